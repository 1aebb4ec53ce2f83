"""Compiled calls that take gradients: numbers that vary, tensors that share memory, `.grad`."""

import math

import numpy as np
import pytest

import dualflow as df


def vector(*values):
    return df.tensor([float(value) for value in values])


def parameter(*values):
    return vector(*values).requires_grad_()


def ways(f):
    stats = f.stats()
    return stats["recordings"], stats["replays"], stats["co_executions"], stats["eager_calls"]


def plain(value):
    """What can be compared of a value, `.grad` of tensors included."""
    if type(value) is df.Tensor:
        grad = None if value.grad is None else value.grad.tolist()
        return (repr(value.tolist()), value.dtype.name, value.requires_grad, repr(grad))
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "__dict__"):
        return plain(vars(value))
    return (type(value).__name__, repr(value))


def agree(fn, *calls, after=None):
    """Each call gives in a compiled function what it gives in Python; how the calls ran.

    A call is a function that makes the arguments. `after` is done with arguments and result.
    """
    compiled = df.compile(fn, wait=True)
    for number, make in enumerate(calls):
        seen = []
        for run in (fn, compiled):
            arguments = make()
            try:
                result = run(*arguments)
            except Exception as error:
                seen.append((type(error).__name__, plain(arguments)))
                continue
            then = None if after is None else after(arguments, result)
            seen.append((plain(result), plain(arguments), plain(then)))
        assert seen[1] == seen[0], f"call {number}"
    return ways(compiled)


# Numbers that vary, in gradients ----------------------------------------------------------------


@pytest.mark.parametrize(
    "numbers", [(2, 2, 3, 4), (2.0, 2.0, 3.5, -0.0), (True, True, False, True)]
)
def test_number_in_a_loss(numbers):
    x = vector(1, 2, 3)

    def step(w, k):
        loss = (w * x * k).sum() / (k + 1) - (k - w).sum() * k
        loss.backward()
        return loss

    calls = [lambda k=k: (parameter(1, 2, 3), k) for k in numbers]
    assert agree(step, *calls) == (1, len(numbers) - 1, 0, 0)


def test_number_from_an_attribute_a_closure_and_a_global():
    class Schedule:
        rate = 1.0

    schedule, weight = Schedule(), 1.0

    def step(w):
        loss = ((w * schedule.rate) * w * weight * RATE["x"]).sum()
        loss.backward()
        return loss

    def call(rate, factor, other):
        def make():
            nonlocal weight
            schedule.rate, weight, RATE["x"] = rate, factor, other
            return (parameter(1, 2),)

        return make

    calls = [call(1.0, 1.0, 1.0), call(2.0, 1.0, 1.0), call(2.0, 3.0, 1.0), call(2.0, 3.0, 0.5)]
    assert agree(step, *calls) == (1, 3, 0, 0)


RATE = {"x": 1.0}


def test_number_read_from_a_tensor():
    def step(w, t):
        loss = (w * w * float(t[0])).sum() / int(t[1])
        loss.backward()
        return loss

    calls = [lambda t=t: (parameter(1, 2), vector(*t)) for t in ((1, 2), (3, 2), (3, 5))]
    assert agree(step, *calls)[1:] == (2, 0, 0)


@pytest.mark.parametrize("wanted", [df.grad, df.value_and_grad])
def test_number_in_a_differentiated_function(wanted):
    def f(x, k):
        return wanted(lambda v: (v * v * k / (k + 1)).sum())(x)

    calls = [lambda k=k: (vector(1, 2), k) for k in (1.0, 2.0, 5.0)]
    assert agree(f, *calls) == (1, 2, 0, 0)


def test_number_given_to_a_differentiated_function():
    def f(x, k):
        return df.grad(lambda v, s: (v * v * s).sum())(x, k)

    calls = [lambda k=k: (vector(1, 2), k) for k in (1.0, 2.0, 5.0)]
    assert agree(f, *calls) == (1, 2, 0, 0)


def test_number_in_a_second_derivative():
    def f(x, k):
        return df.grad(lambda v: (df.grad(lambda u: (u * u * u * k).sum())(v) * k).sum())(x)

    calls = [lambda k=k: (vector(1, 2), k) for k in (1.0, 2.0, 5.0)]
    assert agree(f, *calls) == (1, 2, 0, 0)


def test_number_in_a_history_used_after_the_call():
    def f(w, k):
        return (w * k / 3.0).sum() * (k + 1)

    def after(arguments, loss):
        loss.backward()
        return arguments[0].grad

    calls = [lambda k=k: (parameter(1, 2), k) for k in (1.0, 2.0, 5.0)]
    assert agree(f, *calls, after=after) == (1, 2, 0, 0)
    calls = [lambda k=k: (parameter(1, 2), k) for k in (1, 2, 5)]
    assert agree(f, *calls, after=after) == (1, 2, 0, 0)


def test_number_of_a_tensor_in_a_history_used_after_the_call():
    def f(w, t):
        return (w * t.item()).sum()

    def after(arguments, loss):
        loss.backward()
        return arguments[0].grad

    calls = [lambda k=k: (parameter(1, 2), df.tensor(k)) for k in (1.0, 2.0, 5.0)]
    assert agree(f, *calls, after=after) == (1, 2, 0, 0)


def test_number_in_place():
    def f(w, k):
        y = w * 1.0
        y *= k
        y /= k + 2
        y.sum().backward()
        return y.detach()

    calls = [lambda k=k: (parameter(1, 2), k) for k in (1.0, 2.0, 5.0)]
    assert agree(f, *calls) == (1, 2, 0, 0)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("dtype", [df.float16, df.float64])
def test_large_number_in_a_loss(dtype):
    def f(w, k):
        loss = (w * k).sum()
        loss.backward()
        return loss

    def call(k):
        return lambda: (df.tensor([1.0, 2.0], dtype=dtype).requires_grad_(), k)

    agree(f, call(3), call(70000), call(2**24 + 1), call(2**53 + 1), call(1.5), call(70000.0))


def test_history_of_a_tensor_from_before_the_call():
    def f(loss):
        loss.backward()
        return loss.detach()

    def after(arguments, result):
        return LEAF[0].grad

    def call(k, second=False):
        def make():
            LEAF[:] = [parameter(1, 2)]
            y = LEAF[0] * k
            return ((y * y).sum() if second else y.sum(),)

        return make

    assert agree(f, call(2.0), call(3.0), call(3.0, True), after=after)[1] == 0


LEAF = []


def test_backward_of_what_requires_no_gradient():
    def f(w):
        try:
            (w * 2).sum().backward()
        except df.errors.GradientError:
            return 1
        return 2

    agree(f, lambda: (vector(1, 2),), lambda: (parameter(1, 2),), lambda: (vector(1, 2),))


# Tensors that share memory ----------------------------------------------------------------------


def views(a, b, same):
    x, y = vector(1, 2, 3, 4), vector(5, 6, 7, 8)
    return x[a], (x if same else y)[b]


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_two_handles_of_one_view(first):
    def f(a, b):
        a += 1
        return a * b

    low, high = slice(0, 3), slice(1, 4)
    calls = [lambda: views(low, low, True), lambda: views(low, low, False),
             lambda: views(low, high, True), lambda: views(low, high, False)]  # fmt: skip
    # where they overlap, they are read and written as parts of the tensor that they are of
    assert agree(f, *calls[first:], *calls, *calls)[1] > 0


def test_two_handles_of_one_view_that_is_read():
    def f(a, b):
        return a * b - b

    low, high = slice(0, 3), slice(1, 4)
    calls = [lambda: views(low, low, True), lambda: views(low, low, False),
             lambda: views(low, high, True), lambda: views(low, high, False)]  # fmt: skip
    assert agree(f, *calls, *calls)[1] > 0


@pytest.mark.parametrize("write", [0, 1])
def test_detached_handle(write):
    def f(a, b):
        (a if write == 0 else b).__iadd__(1)
        return a * b

    def together():
        x = vector(1, 2)
        return x, x.detach()

    def apart():
        return vector(1, 2), vector(3, 4)

    agree(f, together, apart, together, apart)
    agree(f, apart, together, apart, together)


def test_one_tensor_given_twice():
    def f(a, b):
        a += 1
        return a * b

    def same():
        x = vector(1, 2)
        return x, x

    def apart():
        return vector(1, 2), vector(3, 4)

    agree(f, same, apart, same, apart)
    agree(f, apart, same, apart, same)


def test_part_of_another_argument():
    def f(a, b):
        a *= 2
        return (a, b) if len(b.shape) else a

    def part():
        x = vector(1, 2, 3)
        return x, x[:2]

    def apart():
        return vector(1, 2, 3), vector(4, 5)

    agree(f, part, apart, part, apart)
    agree(f, apart, part, apart, part)


def test_views_made_in_the_call_of_two_handles():
    def f(a, b):
        a[0:2] += 1
        return b[1:3] * 2

    def together():
        x = vector(1, 2, 3)
        return x, x.detach()

    def apart():
        return vector(1, 2, 3), vector(3, 4, 5)

    agree(f, together, apart, together, apart)
    agree(f, apart, together, apart, together)


def test_result_is_another_handle():
    def f(a, b):
        return [a.detach(), b[1:], b.reshape(2, 1)]

    def together():
        x = vector(1, 2)
        return x, x.detach()

    def apart():
        return vector(1, 2), vector(3, 4)

    def after(arguments, result):
        arguments[0][:] = 9.0
        return result

    agree(f, together, apart, together, apart, after=after)
    agree(f, apart, together, apart, together, after=after)


def test_argument_that_is_a_global_too():
    def f(a):
        a += 1
        return a * GLOBAL[0]

    def same():
        GLOBAL[:] = [vector(1, 2)]
        return (GLOBAL[0],)

    def alias():
        GLOBAL[:] = [vector(1, 2)]
        return (GLOBAL[0].detach(),)

    def apart():
        GLOBAL[:] = [vector(1, 2)]
        return (vector(3, 4),)

    for calls in ((same, alias, apart), (alias, apart, same), (apart, same, alias)):
        agree(f, *calls, *calls)


GLOBAL = []


def test_parameters_that_share_memory():
    def f(a, b, x):
        loss = (a * x).sum() + (b * b).sum()
        loss.backward()
        with df.no_grad():
            a -= 0.1 * a.grad
            b -= 0.1 * b.grad
        return loss

    def tied():
        a = parameter(1, 2)
        return a, a.detach().requires_grad_(), vector(3, 4)

    def one():
        a = parameter(1, 2)
        return a, a, vector(3, 4)

    def apart():
        return parameter(1, 2), parameter(5, 6), vector(3, 4)

    for calls in ((tied, one, apart), (one, apart, tied), (apart, tied, one)):
        agree(f, *calls, *calls)


# .grad before the call --------------------------------------------------------------------------


def with_grad(*grad):
    w = parameter(1, 2)
    if grad:
        w.grad = vector(*grad)
    return w


def test_grad_before_the_call_and_set_in_it():
    def f(w, x):
        (w * x).sum().backward()
        g = w.grad
        w.grad = None
        return g

    calls = [lambda: (with_grad(), vector(1, 2)), lambda: (with_grad(5, 5), vector(1, 2))]
    assert agree(f, *calls, *calls)[1] >= 1
    assert agree(f, *calls[::-1], *calls[::-1])[1] >= 1


def test_grad_cleared_first_needs_no_guard():
    def f(w, x):
        w.grad = None
        (w * x).sum().backward()
        return w.grad

    calls = [lambda: (with_grad(), vector(1, 2)), lambda: (with_grad(5, 5), vector(1, 2))]
    assert agree(f, *calls, *calls) == (1, 3, 0, 0)


def test_grad_read_then_stored():
    def f(w):
        if w.grad is None:
            w.grad = vector(0, 0)
        w.grad += 1
        before = w.grad
        w.grad = before * 2
        return before

    calls = [lambda: (with_grad(),), lambda: (with_grad(5, 5),)]
    agree(f, *calls, *calls)
    agree(f, *calls[::-1], *calls[::-1])


def test_grad_shared_by_two_tensors():
    def f(a, b, x):
        (a * x).sum().backward()
        return a.grad * 1.0, b.grad * 1.0

    def shared():
        a, b = with_grad(1, 1), with_grad(2, 2)
        b.grad = a.grad
        return a, b, vector(1, 2)

    def alias():
        a, b = with_grad(1, 1), with_grad(2, 2)
        b.grad = a.grad.detach()
        return a, b, vector(1, 2)

    def apart():
        return with_grad(1, 1), with_grad(2, 2), vector(1, 2)

    for calls in ((shared, alias, apart), (alias, apart, shared), (apart, shared, alias)):
        agree(f, *calls, *calls)


def test_grad_that_is_an_argument():
    def f(w, x):
        (w * x).sum().backward()
        return x * 1.0

    def same():
        w = with_grad(1, 1)
        return w, w.grad

    def apart():
        return with_grad(1, 1), vector(1, 1)

    agree(f, same, apart, same, apart)
    agree(f, apart, same, apart, same)


def test_grad_of_another_layout_or_dtype():
    def f(w):
        w.grad *= 2
        return w.grad.sum()

    def call(dtype, n):
        def make():
            w = parameter(*range(n))
            w.grad = df.tensor([1.0] * n, dtype=dtype)
            return (w,)

        return make

    agree(f, call(df.float32, 2), call(df.float64, 2), call(df.float32, 3), call(df.float64, 2))


def test_gradients_that_add_up_over_calls():
    w, v = parameter(1, 2), parameter(1, 2)

    def f(p, k):
        (p * p * k).sum().backward()

    compiled = df.compile(f, wait=True)
    for k in (1.0, 2.0, 3.0, 4.0):
        f(w, k)
        compiled(v, k)
        assert v.grad.tolist() == w.grad.tolist()
    assert ways(compiled)[1] >= 2


# What else a gradient depends on ----------------------------------------------------------------


def test_requires_grad_toggled():
    def f(w, b, x):
        loss = (w * x + b).sum()
        loss.backward()
        return loss

    def call(first, second):
        def make():
            w, b = vector(1, 2), vector(3, 4)
            w.requires_grad, b.requires_grad = first, second
            return w, b, vector(5, 6)

        return make

    calls = [call(True, True), call(True, False), call(False, True), call(True, True)]
    assert agree(f, *calls, *calls)[1] > 0


def test_grad_mode_toggled():
    w, v = parameter(1, 2), parameter(1, 2)

    def f(p):
        return (p * p).sum()

    compiled = df.compile(f, wait=True)
    for _ in range(2):
        with df.no_grad():
            assert compiled(v).requires_grad is False
        y, z = f(w), compiled(v)
        y.backward()
        z.backward()
        assert v.grad.tolist() == w.grad.tolist()


def test_retain_grad_in_the_call():
    def f(w):
        y = w * 2
        y.retain_grad()
        (y * y).sum().backward()
        return y.grad

    agree(f, lambda: (parameter(1, 2),), lambda: (parameter(3, 4),))


def test_retain_grad_before_the_call():
    def f(y):
        (y * y).sum().backward()
        return y.detach()

    def call(keep):
        def make():
            y = parameter(1, 2) * 2
            if keep:
                y.retain_grad()
            return (y,)

        return make

    agree(f, call(False), call(True), call(False), call(True))
    agree(f, call(True), call(False), call(True))


def test_attributes_of_ops_that_vary():
    def f(w, low, axis, slope, eps):
        y = df.clip(w, low, 2.0).sum(axis=axis)
        z = df.nn.functional.leaky_relu(y, slope) if hasattr(df.nn, "functional") else y * slope
        (z / (w.mean() + eps)).sum().backward()

    def call(*rest):
        return lambda: (df.tensor([[1.0, -2.0], [3.0, 0.5]]).requires_grad_(), *rest)

    agree(f, call(0.0, 0, 0.1, 1e-5), call(0.6, 0, 0.1, 1e-5), call(0.6, 1, 0.1, 1e-5),
          call(0.6, 1, 0.3, 1e-5), call(0.6, 1, 0.3, 0.5), call(0.0, 0, 0.1, 1e-5))  # fmt: skip


def test_power_with_a_number_that_varies():
    def f(w, k):
        loss = (w**k).sum() + (k**w).sum()
        loss.backward()
        return loss

    agree(f, *[lambda k=k: (parameter(1, 2), k) for k in (2, 2, 3, 2.0, 0.5, 0.5)])


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_settings_of_an_optimizer_that_vary(name):
    def train(compiles):
        w = parameter(1, 2, 3)
        optimizer = getattr(df.optim, name)([w], lr=0.1)

        def step(x, k):
            optimizer.zero_grad()
            loss = ((w * x - 1.0) * (w * x - 1.0)).sum() * k
            loss.backward()
            optimizer.step()
            return loss

        run = df.compile(step, wait=True) if compiles else step
        losses = []
        for i in range(9):
            optimizer.lr = 0.1 / (i + 1)
            changes = {3: ("beta1", 0.8), 4: ("beta2", 0.9), 5: ("eps", 1e-2), 6: ("momentum", 0.5),
                       7: ("weight_decay", 0.1), 8: ("weight_decay", 0.2)}  # fmt: skip
            setting, value = changes.get(i, ("lr", optimizer.lr))
            if hasattr(optimizer.groups[0], setting):
                setattr(optimizer.groups[0], setting, value)
            losses.append(run(vector(1, 2, i), 1.0 + i).item())
        return losses, w.tolist(), ways(run) if compiles else None

    eager, compiled = train(False), train(True)
    np.testing.assert_allclose(compiled[0], eager[0], rtol=1e-6)
    np.testing.assert_allclose(compiled[1], eager[1], rtol=1e-6)
    assert compiled[2][1] >= 3


# Neighbours -------------------------------------------------------------------------------------


def test_versions_of_memory_written_in_two_parts():
    def f(a, b):
        a += 1
        b += 2
        return a * 2

    def make():
        x = vector(1, 2, 3, 4)
        return x[:2], x[2:]

    def after(arguments, result):
        return arguments[0]._memory().version, arguments[1].tolist()

    assert agree(f, make, make, make, after=after) == (1, 2, 0, 0)


@pytest.mark.parametrize("first", [0, 1])
def test_grad_that_is_given_in_the_call_is_added_to(first):
    def f(w, g, x):
        w.grad = g
        (w * x).sum().backward()
        return g * 1.0

    def same():
        g = vector(1, 2)
        return parameter(1, 2), g, g

    def apart():
        return parameter(1, 2), vector(1, 2), vector(3, 4)

    calls = [same, apart, same, apart][first:]
    agree(f, *calls, *calls)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_grad_that_is_the_data(first):
    def f(w, x):
        (w * w * x).sum().backward()
        return w.detach() * 1.0

    def itself():
        w = parameter(1, 2)
        w.grad = w.detach()
        return w, vector(3, 4)

    def other():
        w, x = parameter(1, 2), vector(3, 4)
        w.grad = x
        return w, x

    def apart():
        return with_grad(1, 2), vector(3, 4)

    calls = [itself, other, apart, itself, other, apart][first:]
    agree(f, *calls, *calls)


def test_tied_then_untied():
    def f(model, x):
        loss = (model["a"] * x + model["b"] * model["b"]).sum()
        loss.backward()
        return loss

    def tied():
        w = parameter(1, 2)
        return {"a": w, "b": w}, vector(3, 4)

    def untied():
        return {"a": parameter(1, 2), "b": parameter(1, 2)}, vector(3, 4)

    def shared():
        w = parameter(1, 2)
        return {"a": w, "b": w.detach().requires_grad_()}, vector(3, 4)

    for calls in ((tied, untied, shared), (untied, shared, tied), (shared, tied, untied)):
        assert agree(f, *calls, *calls)[1] > 0


def test_gradient_given_to_backward():
    def f(w, g, k):
        (w * w * k).backward(g * k)
        return w.grad

    calls = [lambda k=k: (parameter(1, 2), vector(k, 4), k) for k in (1.0, 2.0, 3.0)]
    assert agree(f, *calls) == (1, 2, 0, 0)

    def same():
        g = vector(1, 2)
        w = parameter(1, 2)
        w.grad = g
        return w, g, 2.0

    agree(f, *calls, same, *calls, same)
    agree(f, same, *calls, same)


def test_create_graph():
    def f(w, k):
        (w * w * w * k).sum().backward(create_graph=True)
        g = w.grad
        w.grad = None
        (g * g * k).sum().backward()
        return g.detach()

    calls = [lambda k=k: (parameter(1, 2), k) for k in (1.0, 2.0, 3.0)]
    assert agree(f, *calls)[1:] in ((2, 0, 0), (0, 2, 0))


def test_python_functions_of_the_number():
    def f(w, k, settings):
        scale = math.sqrt(abs(-k)) + max(k, 1.5) + min(k, 2) + round(k, 1) + float(k) ** 2 - -k
        loss = (w * scale * settings["a"] * settings["b"][1]).sum()
        loss.backward()
        return loss

    calls = [
        lambda k=k, a=a: (parameter(1, 2), k, {"a": a, "b": [1.0, a + 1]})
        for k, a in ((1.0, 1.0), (2.0, 1.0), (2.0, 3.0), (5.0, 3.0))
    ]
    agree(f, *calls)


def test_number_of_numpy():
    def f(w, k):
        loss = (w * k).sum()
        loss.backward()
        return loss

    agree(f, *[lambda k=k: (parameter(1, 2), np.float64(k)) for k in (1.0, 1.0, 2.0, 3.0)])
    agree(f, *[lambda k=k: (parameter(1, 2), np.float32(k)) for k in (1.0, 1.0, 2.0, 3.0)])


@pytest.mark.filterwarnings("ignore")
def test_numbers_that_are_not_finite():
    def f(w, k):
        loss = (w * k - k).sum() / k
        loss.backward()
        return loss

    numbers = (1.0, float("nan"), float("inf"), -0.0, 0.0, 2.0)
    agree(f, *[lambda k=k: (parameter(1, 2), k) for k in numbers])


def test_numbers_in_sums_loops_and_comprehensions():
    def f(w, ks):
        loss = sum([(w * k).sum() for k in ks], ks[0])
        for i, k in enumerate(ks):
            loss = loss + (w * w).sum() * (k * i)
        loss.backward()
        return loss

    numbers = ([1.0, 2.0], [1.0, 3.0], [4.0, 2.0], [1.0, 2.0, 3.0])
    agree(f, *[lambda ks=ks: (parameter(1, 2), list(ks)) for ks in numbers])


def test_numbers_given_to_functions():
    def f(w, k, x):
        y = df.where(x > k, w, k) + df.maximum(w, k) + df.full((2,), k) * w
        y = y + df.tensor([k, 1.0]) * w + df.clip(w, k, 10.0)
        z = w * 1.0
        z[0] = k
        loss = (y * z).sum()
        loss.backward()
        return loss

    calls = [lambda k=k: (parameter(1, 2), k, vector(1, 2)) for k in (1.5, 1.5, 0.5, 3.0)]
    agree(f, *calls)


def test_number_in_an_inner_compiled_function():
    inner = df.compile(lambda w, k: (w * k * w).sum(), wait=True)

    def f(w, k):
        loss = inner(w, k) / k
        loss.backward()
        return loss

    agree(f, *[lambda k=k: (parameter(1, 2), k) for k in (1.0, 2.0, 3.0, 4.0)])


def test_vjp_with_numbers():
    def f(x, k):
        value, pull = df.vjp(lambda v: v * v * k, x)
        return value, pull(x * k)[0]

    agree(f, *[lambda k=k: (vector(1, 2), k) for k in (1.0, 2.0, 3.0)])


def test_two_results_with_histories():
    def f(w, k):
        y = w * k
        return y, (y * k).sum(), (y / k).sum()

    def after(arguments, result):
        w = arguments[0]
        seen = []
        for part in (result[2], result[1], result[0].sum(), result[0].sum()):
            part.backward()
            seen.append(w.grad.tolist())
        return seen

    calls = [lambda k=k: (parameter(1, 2), k) for k in (1.0, 2.0, 3.0)]
    assert agree(f, *calls, after=after) == (1, 2, 0, 0)


def test_second_derivative_of_a_history():
    def f(w, k):
        return (w * w * w * k).sum()

    def after(arguments, loss):
        w = arguments[0]
        loss.backward(create_graph=True)
        g, w.grad = w.grad, None
        (g * g).sum().backward()
        return w.grad

    calls = [lambda k=k: (parameter(1, 2), k) for k in (1.0, 2.0, 3.0)]
    assert agree(f, *calls, after=after) == (1, 2, 0, 0)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_frozen_in_the_middle_of_training(name):
    def train(compiles):
        a, b = parameter(1, 2), parameter(3, 4)
        optimizer = getattr(df.optim, name)([a, b], lr=0.1)

        def forward(x, k):
            return ((a * x - b) * (a * x - b)).sum() * k

        forward_ = df.compile(forward, wait=True) if compiles else forward
        step = df.compile(optimizer.step, wait=True) if compiles else optimizer.step
        seen = []
        for i in range(12):
            b.requires_grad = i % 5 != 3
            optimizer.zero_grad()
            forward_(vector(1, i), 1.0 / (i + 1)).backward()
            if i == 6:
                b.grad = a.grad
            if i == 7:
                a.grad = None
            if i == 8:
                b.grad = b.detach()
            step()
            seen.append((a.tolist(), b.tolist()))
        return seen

    np.testing.assert_allclose(train(True), train(False), rtol=1e-6)


def test_gradients_clipped_under_a_schedule():
    def train(compiles):
        a, b = parameter(1, 2), parameter(3, 4)
        optimizer = df.optim.SGD([a, b], lr=0.1)
        schedule = df.optim.Schedule(optimizer, df.optim.cosine(10, warmup=2))
        longest = {"norm": 1.0}

        def step(x):
            optimizer.zero_grad()
            loss = ((a * x - b) * (a * x - b)).sum() * optimizer.lr
            loss.backward()
            norm = df.optim.clip_gradients([a, b], longest["norm"])
            optimizer.step()
            schedule.step()
            return loss, norm

        run = df.compile(step, wait=True) if compiles else step
        seen = []
        for i in range(8):
            longest["norm"] = 1.0 / (1 + i // 3)
            loss, norm = run(vector(1, i))
            seen.append((loss.item(), norm.item(), *a.tolist(), *b.tolist(), schedule.count))
        return seen, ways(run) if compiles else None

    (compiled, how), (eager, _) = train(True), train(False)
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    assert how[1] + how[2] > 0


def test_dropout_and_training_flag():
    def train(compiles):
        df.random.seed(1)
        drop = df.nn.Dropout(0.5)
        w = parameter(*range(8))

        def f(x):
            loss = (drop(w * x) * drop.p).sum()
            loss.backward()
            return loss

        run = df.compile(f, wait=True) if compiles else f
        seen = []
        for p, training in ((0.5, 1), (0.5, 1), (0.25, 1), (0.25, 0), (0.5, 0), (0.5, 1), (0.0, 1)):
            drop.p = p
            drop.train() if training else drop.eval()
            seen.append((run(vector(*[2.0] * 8)).item(), w.grad.tolist()))
        return seen

    assert train(True) == train(False)


def test_layer_norm_eps():
    layer = df.nn.LayerNorm(2)

    def f(x, w):
        loss = (layer(x * w) * x).sum()
        loss.backward()
        return loss

    def call(eps):
        def make():
            layer.eps = eps
            layer.weight.grad = layer.bias.grad = None
            return vector(1, 2), parameter(3, 4)

        return make

    compiled = df.compile(f, wait=True)
    for eps in (1e-5, 1e-5, 0.1, 0.2):
        results = []
        for run in (f, compiled):
            x, w = call(eps)()
            loss = run(x, w)
            results.append([loss.tolist(), *w.grad.tolist(), *layer.weight.grad.tolist()])
        np.testing.assert_allclose(results[1], results[0], rtol=1e-4, atol=1e-6)


# Views made along the way -----------------------------------------------------------------------


def test_windows_of_one_array():
    data = vector(*range(20))

    def f(a, b, w):
        loss = (a * w - b).sum()
        loss.backward()
        return loss

    calls = [lambda i=i: (data[i : i + 3], data[i + 1 : i + 4], parameter(1, 2, 3))
             for i in range(6)]  # fmt: skip
    assert agree(f, *calls) == (1, 5, 0, 0)


def test_view_kept_in_an_object():
    class Cache:
        pass

    def f(cache, x):
        cache.rows += x
        cache.last = cache.rows[1:]
        return cache.all * 2, cache.last

    def call(shared):
        def make():
            cache = Cache()
            cache.all = vector(1, 2, 3)
            cache.rows = cache.all[1:] if shared else vector(2, 3)
            return cache, vector(5, 6)

        return make

    def after(arguments, result):
        cache = arguments[0]
        seen = plain([cache.all, cache.rows, cache.last])
        cache.all[:] = 0.0
        return cache.rows, cache.last, result, seen

    agree(f, call(True), call(False), call(True), call(False), after=after)
    agree(f, call(False), call(True), call(False), call(True), after=after)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_results_that_show_arguments(first):
    def f(a, b):
        return a, b, a.detach(), b[:1], a.reshape(2, 1)

    def same():
        x = vector(1, 2)
        return x, x

    def handles():
        x = vector(1, 2)
        return x, x.detach()

    def apart():
        return vector(1, 2), vector(3, 4)

    def after(arguments, result):
        arguments[0][0] = 7.0
        arguments[1][1] = 8.0
        return [x.tolist() for x in result], result[0] is arguments[0], result[1] is arguments[1]

    calls = [same, handles, apart, same, handles, apart][first:]
    agree(f, *calls, *calls, after=after)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_history_through_shared_memory(first):
    def f(a, b, k):
        return (a * b * k).sum()

    def same():
        x = parameter(1, 2)
        return x, x, 2.0

    def handles():
        x = parameter(1, 2)
        return x, x.detach().requires_grad_(), 3.0

    def detached():
        x = parameter(1, 2)
        return x, x.detach(), 4.0

    def apart():
        return parameter(1, 2), parameter(3, 4), 5.0

    def after(arguments, loss):
        loss.backward()
        return [x.grad for x in arguments[:2]]

    calls = [same, handles, detached, apart, same, handles, detached, apart][first:]
    assert agree(f, *calls, *calls, after=after)[1] > 0


def test_written_after_the_call_before_backward():
    def f(a, k):
        return (a * a * k).sum()

    def after(arguments, loss):
        with df.no_grad():
            arguments[0].__iadd__(1)
        try:
            loss.backward()
        except df.errors.InPlaceError:
            return "refused"
        return arguments[0].grad

    calls = [lambda k=k: (parameter(1, 2), k) for k in (1.0, 2.0, 3.0)]
    assert agree(f, *calls, after=after) == (1, 2, 0, 0)


@pytest.mark.parametrize("first", [0, 1])
def test_written_in_the_call_before_backward_after_it(first):
    def f(w, a, b):
        loss = (w * b).sum()
        a += 1
        return loss

    def shared():
        x = vector(1, 2)
        return parameter(1, 2), x, x.detach()

    def apart():
        return parameter(1, 2), vector(1, 2), vector(1, 2)

    def after(arguments, loss):
        try:
            loss.backward()
        except df.errors.InPlaceError:
            return "refused"
        return arguments[0].grad

    calls = [shared, apart, shared, apart][first:]
    agree(f, *calls, *calls, after=after)


def test_branch_after_a_gradient_through_a_number():
    def f(w, k):
        loss = (w * w * k).sum()
        loss.backward()
        if w.grad.sum() > 10:
            w.grad = w.grad / k
        else:
            w.grad = None
        return loss * k

    calls = [lambda k=k, g=g: (with_grad(*g), k)
             for k in (1.0, 2.0, 3.0, 4.0) for g in ((), (20, 20), (-9, 1))]  # fmt: skip
    assert agree(f, *calls, *calls)[1] > 4


def test_noted_gradients_of_a_list_of_parameters():
    def f(ps, k):
        loss = sum((p * p * (k + i)).sum() for i, p in enumerate(ps))
        loss.backward()
        grads = [p.grad for p in ps]
        for p in ps:
            p.grad = None
        return grads

    calls = [lambda k=k, g=g: ([with_grad(*g), parameter(3, 4)], k)
             for k in (1.0, 2.0) for g in ((), (1, 1))]  # fmt: skip
    agree(f, *calls, *calls)


# Histories of tensors from outside --------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
def test_write_that_changes_the_history_of_an_argument(whole):
    def f(y, x, k):
        if whole:
            y *= k
        else:
            y[0] = x.sum() * k
        return (y * k).sum()

    def call(k, taped):
        def make():
            w, x = parameter(1, 2), parameter(3, 4)
            LEAF[:] = [w, x]
            return (w * 2 if taped else vector(1, 2)), x, k

        return make

    def after(arguments, loss):
        (arguments[0].sum() + loss).backward() if arguments[0].requires_grad else None
        return LEAF

    calls = [call(k, taped) for k in (1.0, 2.0) for taped in (True, False, True)]
    agree(f, *calls, after=after)


def test_numbers_in_the_aux_of_a_gradient():
    def f(p, k):
        def loss(p, s):
            return (p["a"] * s * p["b"]).sum(), [s * 2, {"s": s, "p": p["a"] * s}]

        return df.value_and_grad(loss, has_aux=True)(p, k)

    calls = [lambda k=k: ({"a": vector(1, 2), "b": vector(3, k)}, k) for k in (1.0, 1.0, 2.0, 3.0)]
    assert agree(f, *calls)[1] >= 1


def test_numbers_of_an_object_in_a_differentiated_method():
    class Model:
        scale = 1.0

        def loss(self, p):
            return (p * p * self.scale).sum()

    model = Model()
    outside = df.grad(model.loss)

    def f(p):
        return df.grad(model.loss)(p), outside(p)

    def call(k):
        def make():
            model.scale = k
            return (vector(1, 2),)

        return make

    assert agree(f, call(1.0), call(2.0), call(3.0)) == (1, 2, 0, 0)


def test_gradient_of_the_method_of_another_object():
    class Model:
        def __init__(self, scale):
            self.scale = scale

        def loss(self, p, k):
            return (p * p * self.scale * k).sum()

    class Other(Model):
        def loss(self, p, k):
            return (p * self.scale / k).sum()

    def f(model, p, k):
        gradient = df.grad(model.loss)
        return gradient(p, k), df.value_and_grad(model.loss)(p, k * 2)

    calls = [lambda m=m, k=k: (m, vector(1, 2), k) for m in (Model(1.0), Model(2.0), Other(3.0))
             for k in (1.0, 2.0)]  # fmt: skip
    assert agree(f, *calls) == (2, 4, 0, 0)


def test_gradient_of_a_compiled_function_in_a_compiled_function():
    inner = [df.compile(lambda v, k: (v * v * k).sum(), wait=True),
             df.compile(lambda v, k: (v / k).sum(), wait=True)]  # fmt: skip

    def f(i, x, k):
        return df.grad(inner[i])(x, k), df.grad(lambda v: inner[i](v, k) * k)(x)

    calls = [lambda i=i, k=k: (i, vector(1, 2), k) for i in (0, 1) for k in (1.0, 2.0, 3.0)]
    assert agree(f, *calls) == (2, 4, 0, 0)


def test_compiled_gradient():
    gradient = df.grad(lambda p, k: (p * p * k).sum())
    calls = [lambda k=k: (vector(1, 2), k) for k in (1.0, 2.0, 3.0)]
    assert agree(gradient, *calls) == (1, 2, 0, 0)


# Every kind of sharing, in random orders --------------------------------------------------------


def two_leaves(kind, k):
    a, b = parameter(1, 2), parameter(3, 4)
    if kind == 1:
        b = a
    elif kind == 2:
        b = a.detach().requires_grad_()
    elif kind == 3:
        b = a.detach()
    elif kind == 4:
        a.grad = vector(1, 1)
    elif kind == 5:
        a.grad = b.grad = vector(1, 1)
    elif kind == 6:
        a.grad = vector(1, 1)
        b.grad = a.grad.detach()
    elif kind == 7:
        a.grad = b.detach()
    elif kind == 8:
        b.grad = b.detach()
    elif kind == 9:
        a = vector(1, 2)
    elif kind == 10:
        b = a.detach()
        b.grad = vector(1, 1)
    elif kind == 11:
        b = vector(1, 2)
        a.grad = b
    return a, b, k


def accumulate(a, b, k):
    loss = (a * b * k).sum()
    loss.backward()
    return loss


def accumulate_or_scale(a, b, k):
    loss = (a * b * k).sum()
    if a.grad is None:
        loss.backward()
    else:
        a.grad *= k
    return loss


def exchange(a, b, k):
    before = a.grad
    (a * k).sum().backward()
    other = b.grad
    b.grad = a.grad
    a.grad = other
    return before, other


def descend(a, b, k):
    loss = (a * b * k).sum()
    loss.backward()
    with df.no_grad():
        for p in (a, b):
            if p.grad is not None:
                p -= p.grad * k
                p.grad = None
    return loss


def histories(a, b, k):
    return (a * b * k).sum(), a.detach(), b * k


def backward_of_all(arguments, result):
    for tensor in result if type(result) is tuple else ():
        if type(tensor) is df.Tensor and tensor.requires_grad:
            tensor.sum().backward()
    return plain(arguments)


@pytest.mark.parametrize("f", [accumulate, accumulate_or_scale, exchange, descend, histories])
def test_leaves_that_share(f):
    random = np.random.default_rng(3)
    for _ in range(8):
        kinds = random.integers(0, 12, 14).tolist()
        numbers = random.choice([1.0, 2.0, 3.5], 14).tolist()
        calls = [lambda kind=kind, k=k: two_leaves(kind, k)
                 for kind, k in zip(kinds, numbers, strict=True)]  # fmt: skip
        agree(f, *calls, after=backward_of_all)


def two_parts(kind):
    memory = np.arange(6, dtype=np.float32)
    x = df.asarray(memory, copy=False) if kind < 5 else vector(0, 1, 2, 3, 4, 5)
    place = kind % 5
    if place == 0:
        return x[:3], x[:3], 2.0
    if place == 1:
        return x[:3], x[1:4], 3.0
    if place == 2:
        return x[:3], x[3:], 4.0
    if place == 3:
        return (*[x[:3]] * 2, 5.0)
    if kind == 4:
        return (*[df.asarray(memory[i : i + 3], copy=False) for i in (0, 2)], 6.0)
    return vector(1, 2, 3), vector(4, 5, 6), 7.0


def write_both(a, b, k):
    a *= k
    c = a * b
    b += c
    return a + b


def write_by_value(a, b, k):
    s = (a * b).sum()
    if s > 40:
        a += k
    b -= 1
    return a * b + s


def write_through_views(a, b, k):
    v = a[1:]
    b[:2] *= v
    v += k
    return v * b[1:], v


@pytest.mark.parametrize("f", [write_both, write_by_value, write_through_views])
def test_parts_of_one_memory(f):
    def after(arguments, result):
        arguments[0][1] = 50.0
        return plain(arguments), plain(result)

    random = np.random.default_rng(4)
    for _ in range(8):
        calls = [lambda kind=kind: two_parts(kind) for kind in random.integers(0, 10, 12).tolist()]
        agree(f, *calls, after=after)
