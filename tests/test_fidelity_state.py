"""State that outlives calls: aliases kept outside, numbers in gradients, the order of effects."""

import math
import sys
import traceback

import numpy as np
import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)
COUNT = 0
THIS = sys.modules[__name__]


class Plain:
    """A plain object."""

    def __init__(self, **values):
        vars(self).update(values)


# Aliases ----------------------------------------------------------------------------------------


def handles_of_one_view_then_of_two(compile, see):
    @compile
    def f(a, b):
        a += 1
        return a * b

    for kind in (0, 0, 1, 1, 2, 0):
        x, y = tensor(1, 2, 3, 4), tensor(10, 20, 30, 40)
        see(f, x[:3], (x[:3], y[:3], x[1:])[kind])
        see.that((x, y))


def handles_of_two_views_then_of_one(compile, see):
    @compile
    def f(a, b):
        a += 1
        return a * b

    for kind in (1, 1, 0, 0, 2, 1):
        x, y = tensor(1, 2, 3, 4), tensor(10, 20, 30, 40)
        see(f, x[:3], (x[:3], y[:3], x[1:])[kind])
        see.that((x, y))


def detached_handle_outside(compile, see):
    @compile
    def f(x):
        x += 1
        return x * 2

    x = tensor(*X)
    other, rows, part = x.detach(), list(x), x[1:]
    for _ in range(3):
        see(f, x)
        see.that((x, other, rows, part))


def numpy_views_of_exported_memory(compile, see):
    @compile
    def f(x):
        x += 1
        return x * 2

    for view in (
        lambda a: a[1:],
        lambda a: a.T,
        lambda a: memoryview(a),
        lambda a: a.view(np.int32),
        lambda a: np.lib.stride_tricks.as_strided(a),
        lambda a: a.reshape(3, 1),
    ):
        x = tensor(*X)
        see(f, x)
        kept = view(np.asarray(x))
        see(f, x)
        see(f, x)
        see.that(np.asarray(kept))


def numpy_sees_results(compile, see):
    @compile
    def f(x):
        return x * 2

    kept = []
    for i in range(4):
        kept.append(np.asarray(f(tensor(i, 1))))
        see.that(kept)
    see(f, tensor(1, 2))


def result_is_also_state(compile, see):
    o = Plain(h=tensor(0, 0, 0))

    @compile
    def f(x):
        h = o.h * 0.5 + x
        o.h = h
        return h

    for i in range(5):
        h = see(f, tensor(*X))
        if i % 2:
            h[0] = 100
        see.that(o.h)


def view_of_argument_kept(compile, see):
    o = Plain(v=tensor(0, 0))

    @compile
    def f(x):
        old = o.v.sum()
        o.v = x[1:]
        return old

    kept = []
    for i in range(5):
        x = tensor(*X)
        see(f, x)
        kept.append(x)
        kept[i // 2][1] = 50 + i
        see.that((o.v, kept))


def view_of_result_kept(compile, see):
    o = Plain(h=None, v=None)

    @compile
    def f(x):
        h = x * 2
        o.h, o.v = h, h[1:]
        return h, o.v

    for _ in range(3):
        h, v = see(f, tensor(*X))
        h[1] = 77
        see.that((o.h, o.v, h, v, o.h is h, o.v is v))


def list_made_stored_and_returned(compile, see):
    o = Plain(items=None)

    @compile
    def f(x):
        items = [x, x * 2]
        o.items = items
        o.again = (items, items)
        return items, {"items": items}

    for _ in range(3):
        items, table = see(f, tensor(*X))
        items.append(1)
        see.that((o, items is o.items, table["items"] is items))


def state_assigned_crosswise(compile, see):
    o = Plain(a=tensor(1, 1), b=tensor(2, 2), c=tensor(3, 3))

    @compile
    def f(x):
        o.a = o.b
        o.b = o.c
        o.c = o.a + x
        o.b += 1
        return o.a, o.b

    for _ in range(5):
        see(f, tensor(1, 1))
        see.that((o.a, o.b, o.c))


def counter_as_a_tensor(compile, see):
    o = Plain(step=df.tensor(0), scale=df.tensor(1.0))

    @compile
    def f(x):
        o.step = o.step + 1
        o.scale *= 0.5
        if o.step % 2 == 0:
            return x * o.scale
        return x / o.step

    kept = []
    for _ in range(6):
        see(f, tensor(*X))
        kept.append(o.step)
        see.that((o.scale, kept))


def branch_on_a_written_value(compile, see):
    @compile
    def f(x, log):
        x += 1
        if x[0] > 3:
            x[...] = 0
            log.append("reset")
        elif float(x[1]) < 0:
            log.append(float(x[1]))
        return x.sum()

    x, log = tensor(*X), []
    for _ in range(8):
        see(f, x, log)


def write_of_a_changing_number(compile, see):
    @compile
    def f(x, k):
        x[0] = k
        x[1:] = float(x[0]) + 1
        return x * 1

    for k in (1.0, 1.0, 2.0, 3, True, 2.0):
        see(f, tensor(*X), k)


def buffer_in_a_ring(compile, see):
    o = Plain(at=0, ring=df.zeros((3,)))

    @compile
    def f(x):
        o.ring[o.at] = x
        o.at = (o.at + 1) % 3
        return o.ring.mean(), o.ring[o.at - 1]

    for i in range(8):
        see(f, df.tensor(float(i)))
        see.that((o.ring, o.at))


# Numbers in gradients ---------------------------------------------------------------------------


def gradient_scaled_by_an_argument(compile, see):
    w = tensor(*X).requires_grad_()

    @compile
    def f(x, k):
        w.grad = None
        loss = (w * x * k).sum()
        loss.backward()
        return loss

    for k in (2.0, 2.0, 3.0, 3, 0.5):
        see(f, tensor(1, 2, 3), k)
        see.that(w)


def gradient_after_the_call_scaled(compile, see):
    w = tensor(*X).requires_grad_()
    o = Plain(k=2.0)

    @compile
    def f(x):
        return (w * x / o.k + o.k * w).sum()

    for k in (2.0, 2.0, 4.0, 0.5):
        o.k, w.grad = k, None
        see(f, tensor(1, 2, 3)).backward()
        see.that(w)


def gradient_scaled_by_a_value(compile, see):
    def loss(v, k):
        return (v * v * float(k[0])).sum() + v[0] ** 2

    @compile
    def f(x, k):
        return df.grad(loss)(x, k), df.value_and_grad(lambda v: loss(v, k) * 2)(x)

    for k in (2.0, 2.0, 3.0, 4.0):
        see(f, tensor(*X), tensor(k))


def gradient_of_a_gradient_scaled(compile, see):
    @compile
    def f(x, k):
        return df.grad(lambda u: df.grad(lambda v: (v * v * v * k).sum())(u).sum())(x)

    for k in (2.0, 2.0, 3.0):
        see(f, tensor(*X), k)


def gradient_with_a_power_that_varies(compile, see):
    @compile
    def f(x, n):
        first = df.grad(lambda v: (v**n).sum())(x)
        return first, df.grad(lambda v: df.where(v > n, v * 2, v).sum())(x)

    for n in (2, 2, 3, 2.0, 1):
        see(f, tensor(1, 2, 3), n)


def weight_decay_that_changes(compile, see):
    w = df.nn.Parameter(tensor(*X))
    optimizer = df.optim.SGD([w], lr=0.5, weight_decay=0.25)

    @compile
    def f(x, k):
        optimizer.zero_grad()
        loss = (w * x).sum() * k + (w * w).sum() * k
        loss.backward()
        optimizer.step()
        return loss

    for i, k in enumerate((1.0, 1.0, 2.0, 0.5)):
        if i == 3:
            optimizer.weight_decay = 0.5
        see(f, tensor(1, 2, 4), k)
        see.that(w)


def gradient_there_before_the_call(compile, see):
    w = tensor(*X).requires_grad_()

    @compile
    def f(x):
        (w * x).sum().backward()
        found = w.grad * 2
        w.grad = None
        return found

    for i in range(5):
        if i in (2, 4):
            w.grad = tensor(5, 5, i)
        see(f, tensor(1, 2, 3))
        see.that(w)


# Order ------------------------------------------------------------------------------------------


def order_of_evaluation(compile, see):
    log = []

    def say(what, value):
        log.append(what)
        return value

    @compile
    def f(x, table, items):
        table[say("key", "a")] = say("value", 1)
        items[say("index", 0)] += say("added", 2)
        say("owner", Plain(n=1)).n = say("stored", 3)
        made = {say("k1", 1): say("v1", x), say("k2", 2): say("v2", 2)}
        g = dict(b=say("b", 1), a=say("a", 2))  # noqa: C408
        if say("p", 1) < say("q", 3) < say("r", 2) or say("s", 0) or say("t", 5):
            log.append("in")
        a, table[say("k3", "z")] = say("left", 1), say("right", 2)
        return [say("x", x) if say("test", True) else 0, *say("star", [1])], made, g, a

    for _ in range(3):
        see(f, tensor(*X), {}, [1, 2])
        see.that(log)


def order_of_effects(compile, see):
    log = []
    o = Plain(n=0)

    class Loud:
        def write(self, text):
            log.append((text, o.n, len(log)))

        def flush(self):
            pass

    @compile
    def f(x):
        o.n += 1
        print("one", o.n)
        x += 1
        log.append(o.n)
        o.n = o.n * 2
        print("two")
        return x

    before = sys.stdout
    for _ in range(3):
        sys.stdout = Loud()
        try:
            f(tensor(*X))
        finally:
            sys.stdout = before
        see.that(log)
    see(f, tensor(*X))


def output_sees_tensors(compile, see):
    x = tensor(*X)
    log = []

    class Loud:
        def write(self, text):
            log.append((text, x.tolist()))

        def flush(self):
            pass

    @compile
    def f(x):
        print("before")
        x += 1
        print("after")
        return x

    before = sys.stdout
    for _ in range(3):
        sys.stdout = Loud()
        try:
            f(x)
        finally:
            sys.stdout = before
        see.that(log)
    see(f, x)


def captured_parameters_rebound(compile, see):
    @compile
    def f(x, k):
        def scaled():
            return x * k

        first = scaled()
        k = k + 1
        x = x + 1

        def outer():
            def inner():
                nonlocal k
                k = k * 2
                return k

            return inner() + inner()

        return first, scaled(), outer(), k

    for k in (1, 1, 2.0, 3):
        see(f, tensor(*X), k)


def globals_written_and_read_by_others(compile, see):
    @compile
    def f(x):
        bump()
        first = COUNT
        bump()
        return x * COUNT + first, read_count()

    THIS.COUNT = 0
    for i in range(4):
        if i == 2:
            THIS.COUNT = 10
        see(f, tensor(*X))
        see.that(COUNT)


def bump():
    global COUNT
    COUNT += 1


def read_count():
    return COUNT * 100


def functions_on_one_line(compile, see):
    f, g = compile(lambda x: x + 1), compile(lambda x: x + 2)
    h, i = compile(lambda x: x * 2), compile(lambda x: x * 2)
    for _ in range(3):
        for each in (f, g, h, i):
            see(each, tensor(*X))


def function_without_source(compile, see):
    namespace = {}
    exec("def g(x, k):\n    if x[0] > 0:\n        return x * k\n    return x", namespace)
    f = compile(namespace["g"])
    for v, k in ((1, 1), (1, 1), (-1, 1), (1, 2)):
        see(f, tensor(v, 2), k)


def mangled_names(compile, see):
    class Model:
        __shared = 2.0

        def __init__(self):
            self.__k = 1.0

        @compile
        def step(self, x):
            self.__k += self.__shared
            return x * self.__k

    m = Model()
    for _ in range(3):
        see(m.step, tensor(*X))
        see.that(vars(m))


def flags_from_values(compile, see):
    @compile
    def f(x):
        flag = bool(x[0] > 0)
        n = flag + int(x[1] > 0)
        return x * flag, x + n, ["no", "yes"][flag], f"{flag} {n}", flag is True, not flag, n / 2

    for row in ((1, 1), (1, 1), (-1, 1), (1, -1), (-1, -1), (-1, 1)):
        see(f, tensor(*row))


def text_to_numbers(compile, see):
    @compile
    def f(x, text):
        try:
            return x * int(text), float(text), int(text, 16)
        except ValueError as error:
            return str(error), x

    for text in ("1", "1", "2", "a", "1.5", "2"):
        see(f, tensor(*X), text)


def loop_variable_never_set(compile, see):
    @compile
    def f(x, items):
        for i in items:
            x = x + i
        try:
            return x * i
        except UnboundLocalError:
            return x

    for items in ([1, 2], [1, 2], [], [], [3]):
        see(f, tensor(*X), items)


def reraised(compile, see):
    log = []

    @compile
    def f(x, k):
        try:
            if k > 1:
                raise ValueError(k)
            return x * k
        except ValueError:
            log.append(k)
            if k > 2:
                raise
            return x

    for k in (1, 1, 2, 2, 3, 3, 1):
        see(f, tensor(*X), k)
        see.that(log)


def arguments_given_back(compile, see):
    @compile
    def f(*args, **named):
        named["z"] = args
        return args, named, len(args)

    x = tensor(*X)
    for _ in range(2):
        see(f, x, 1, x, a=[1])
        see(f)
        see(f, a=x, z=1)


def many_shapes_and_kinds(compile, see):
    @compile
    def f(x, k=1):
        return (x * k + 1).sum(), x.shape[0]

    for i in range(1, 14):
        see(f, df.ones((i % 5 + 1, 2)), i)
        see(f, df.ones((2,), dtype=(df.float32, df.float64, df.int32)[i % 3]), float(i))


def settings_change(compile, see):
    @compile
    def f(x):
        return df.exp(x), x / 3

    for numerics in ("exact", "exact", "strict", "exact"):
        with df.config(numerics=numerics):
            f(tensor(0, 0))
            see(f, tensor(0, 0))


def errstate_change(compile, see):
    @compile
    def f(x):
        return 1 / x

    for state in ("warn", "ignore", "raise", "ignore", "raise"):
        with np.errstate(divide=state):
            see(f, tensor(0, 1))
            see(f, tensor(2, 1))


def long_unrolled_loop(compile, see):
    @compile
    def f(x, n):
        for i in range(n):
            x = x + i if i % 2 else x - 1
        return x

    for n in (150, 150, 3):
        see(f, tensor(*X), n)


def infinities_and_branches(compile, see):
    @compile
    def f(x, k):
        y = x * k
        if df.isnan(y).any():
            return "nan", df.where(df.isnan(y), 0, y)
        if y.max() == math.inf:
            return "inf", y.min()
        return y, max(k, 0), min(k, 0.0)

    for k in (1.0, 1.0, math.inf, math.nan, 0.0, -0.0, -math.inf):
        see(f, tensor(*X), k)
        see(f, tensor(0.0, -0.0, 1.0), k)


# What nobody uses may raise ----------------------------------------------------------------------


def arithmetic_nobody_uses(compile, see):
    @compile
    def f(x, k):
        7 % k
        1.0 / (float(x[0]) - 1)
        return x * 2

    for k, first in ((2, 3), (2, 3), (3, 4), (0, 3), (2, 1), (2, 5)):
        see(f, tensor(first, 2), k)


def reads_nobody_uses(compile, see):
    box, table, items = Plain(n=1), {"a": 1}, [1, 2]

    @compile
    def f(x):
        box.n, table["a"], items[1]
        return x * 2

    x = tensor(*X)
    for change in (
        lambda: None, lambda: None, lambda: vars(box).clear(), lambda: setattr(box, "n", 2),
        table.clear, lambda: table.update(a=2), items.pop, lambda: items.append(4),
    ):  # fmt: skip
        change()
        see(f, x)


def traceback_told_inside(compile, see):
    @compile
    def f(x, k):
        try:
            return x / (1 // k)
        except ZeroDivisionError as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]

    for k in (0, 1, 0, 1):
        see(f, tensor(*X), k)


def negative_indices(compile, see):
    @compile
    def f(x, k):
        return x[k] if k < 0 else x

    for k in (-1, -2, -1, -2, -3, -1, -2):
        see(f, tensor(*X), k)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
