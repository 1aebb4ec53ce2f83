"""Tensors in compiled functions: memory and views, dtypes and shapes, gradients, random numbers."""

import math
import sys
import weakref

import numpy as np
import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)
THIS = sys.modules[__name__]


class Plain:
    """A plain object."""

    def __init__(self, **values):
        vars(self).update(values)


def grid(*shape, dtype=df.float32):
    """Small whole numbers."""
    return df.reshape(df.arange(math.prod(shape), dtype=dtype), shape)


# Memory -----------------------------------------------------------------------------------------


def same_tensor_twice(compile, see):
    @compile
    def f(a, b):
        a += 1
        b *= 2
        return a + b

    for _ in range(2):
        see(f, tensor(*X), tensor(*X))
        x = tensor(*X)
        see(f, x, x)


def overlapping_arguments(compile, see):
    @compile
    def f(a, b):
        a[...] = b * 2
        return a + b, b

    for shift in (3, 3, 0, 1, 2, 1):
        x = grid(8)
        see(f, x[:3], x[shift : shift + 3])
        see.that(x)
        y = np.arange(8, dtype=np.float32)
        see(f, df.asarray(y)[:3], df.asarray(y)[shift : shift + 3])
        see.that(y)


def view_and_its_base(compile, see):
    @compile
    def f(x):
        v = x[1:]
        v += 10
        x[0] = v[0]
        w = v[::-1]
        w[0] = -1
        return v, x[2], w

    for n in (4, 4, 5):
        see(f, grid(n))


def returned_views(compile, see):
    @compile
    def f(x):
        return x[0], x.T, x[:, 1:], x.reshape((-1,)), x.expand_dims(0), x + 0, x

    for _ in range(3):
        x = grid(2, 3)
        parts = see(f, x)
        parts[0][...] = 100
        parts[2][0, 0] = -5
        see.that((x, parts))


def views_of_fresh_results(compile, see):
    @compile
    def f(x):
        y = x * 2
        z = y[1:]
        z[0] = 7
        return y, z, y.reshape((3, 1)), [z]

    for _ in range(3):
        found = see(f, tensor(*X))
        found[1][1] = 55
        see.that(found)


def result_is_kept_while_called_again(compile, see):
    @compile
    def f(x):
        return x * 2, x.sum()

    kept = []
    for i in range(5):
        kept.append(see(f, tensor(i, 1)))
        see.that(kept)


def write_into_a_kept_result(compile, see):
    state = Plain(last=tensor(0, 0, 0))

    @compile
    def f(x):
        state.last += x
        old = state.last
        state.last = x * 2
        return old

    for _ in range(4):
        see(f, tensor(*X))
        see.that(state.last)


def outside_tensor_rebound(compile, see):
    o = Plain(w=tensor(1, 1, 1))

    @compile
    def f(x):
        o.w[0] = x[0] + o.w[0]
        return x * o.w

    kept = o.w
    for i in range(6):
        if i == 3:
            o.w = tensor(5, 5, 5)
        if i == 4:
            o.w = kept
        if i == 5:
            o.w = df.ones((3,), dtype=df.float64)
        see(f, tensor(*X))
        see.that((kept, o.w))


def swapped_tensors(compile, see):
    o = Plain(a=tensor(1, 2), b=tensor(3, 4))

    @compile
    def f(x):
        o.a, o.b = o.b, o.a
        o.a += x
        return o.a - o.b

    for _ in range(4):
        see(f, tensor(1, 1))
        see.that((o.a, o.b))


def numpy_memory(compile, see):
    memory = np.arange(4, dtype=np.float32)

    @compile
    def f(x):
        return x * 2

    x = df.asarray(memory)
    for i in range(4):
        memory[0] = i * 10
        see(f, x)
        see.that(memory)


def write_into_numpy_memory(compile, see):
    memory = np.arange(6, dtype=np.float64)

    @compile
    def f(x, y):
        x += y
        y[0] = 1
        return x.sum()

    for pair in ((0, 3), (0, 3), (0, 0), (0, 1), (3, 0)):
        a, b = (df.asarray(memory[i : i + 3]) for i in pair)
        see(f, a, b)
        see.that(memory)


def exported_memory(compile, see):
    @compile
    def f(x):
        x += 1
        return x

    x = tensor(*X)
    for _ in range(2):
        see(f, x)
    seen = np.asarray(x)
    for _ in range(2):
        see(f, x)
        see.that(seen)
    held = memoryview(x.numpy())
    see(f, x)
    see.that((seen, held.tolist()))


def strided_arguments(compile, see):
    @compile
    def f(x):
        x[0] = x[1] * 2
        return x + 1, x.sum(), x * x.T if x.shape[0] == x.shape[-1] else x

    for _ in range(2):
        for make in (
            lambda b: b,
            lambda b: b.T,
            lambda b: b[::2, ::2],
            lambda b: b[::-1],
            lambda b: b[1:, 1:],
            lambda b: b[:, ::-2],
        ):
            base = grid(4, 4)
            see(f, make(base))
            see.that(base)


def expanded_argument_written(compile, see):
    @compile
    def f(x):
        x[0] = 5
        return x

    for _ in range(2):
        see(f, tensor(1, 2, 3))
        see(f, df.broadcast_to(tensor(1), (3,)))


def tensors_in_an_outside_list(compile, see):
    log = []

    @compile
    def f(x):
        y = x * 2
        log.append(y)
        y += 1
        log.append(y[0])
        x -= 1
        log.append(x)
        return y

    x = tensor(*X)
    for _ in range(3):
        see(f, x)
        see.that((log, x))


def deleted_names(compile, see):
    @compile
    def f(x):
        y = x * 2
        z = y + 1
        del y
        if x[0] > 1:
            del z
            return x
        return z

    for v in (1, 1, 2, 1):
        see(f, tensor(v, 1))


def deleted_name_used(compile, see):
    @compile
    def f(x, k):
        y = x * 2
        if k:
            del y
        return y

    for k in (0, 0, 1, 1, 0):
        see(f, tensor(*X), k)


def weak_references(compile, see):
    @compile
    def f(x):
        y = x * 2
        r = weakref.ref(y)
        z = r() + 1
        del y
        return z, r() is None

    for _ in range(3):
        see(f, tensor(*X))


def versions(compile, see):
    @compile
    def f(x):
        before = x._version
        x += 1
        x[0] = 2
        return before, x._version

    x = tensor(*X)
    for _ in range(4):
        see(f, x)


# Values -----------------------------------------------------------------------------------------


def numbers_from_tensors(compile, see):
    @compile
    def f(x, i):
        n, v, b = int(x[0]), float(x[1]), bool(x[2])
        return x * v + n, i[n], range(n), [v] * n, b, x.shape[0] / (n + 1), x[0].item(), i.tolist()

    for row in ((1, 2, 3), (1, 2.5, 0), (2, -1, 0), (0, math.inf, math.nan), (1, 2, 3)):
        see(f, tensor(*row), grid(4, dtype=df.int64))


def number_stored_outside(compile, see):
    o = Plain(best=-math.inf, at=None)

    @compile
    def f(x, step):
        value = float(x.sum())
        if value > o.best:
            o.best, o.at = value, step
        return x + o.best

    for step, v in enumerate((1, 3, 2, 5, 5, 7)):
        see(f, tensor(v, 0), step)
        see.that(vars(o))


def number_beyond_the_dtype(compile, see):
    @compile
    def f(x, y):
        n = int(x[0])
        return y + n, y * float(x[0])

    for v in (1, 1, 100, 200, 40000, 3e9, 1e30):
        for dtype in (df.int8, df.int32, df.float16, df.float32, df.int64):
            see(f, df.tensor([v], dtype=df.float64), df.tensor([1, 2], dtype=dtype))


def signs_of_zeros(compile, see):
    @compile
    def f(x, k):
        return x * k, x + 0.0, -x, 0 - x, x * 0, df.abs(x), x / math.inf, df.maximum(x, 1) * k

    for k in (0.0, 0.0, -0.0, -1, 0):
        see(f, tensor(0.0, -0.0, 1.0, -1.0, math.inf, math.nan), k)


def integer_arithmetic(compile, see):
    @compile
    def f(x, y):
        return x + y, x * y, x - y, x // y, x % y, -x, x < y, x & y, x ^ y, abs(x)

    for dtype in (df.int8, df.int8, df.int32, df.int64, df.uint8):
        low = 0 if dtype == df.uint8 else -100
        see(f, df.tensor([100, 7, 127, low], dtype=dtype), df.tensor([100, 3, 2, 7], dtype=dtype))


def division_by_zero(compile, see):
    @compile
    def f(x, y):
        try:
            return x // y, x % y
        except Exception as error:
            return type(error).__name__

    for values in ((1, 2), (1, 2), (0, 2), (0, 0), (3, 1)):
        see(f, df.tensor([7, -7]), df.tensor(list(values)))
        see(f, tensor(7, -7), tensor(*values))


def mixed_dtypes(compile, see):
    @compile
    def f(a, b):
        return a + b, a * b, a / b, df.where(a > b, a, b), df.concat([a, b])

    kinds = (df.bool_, df.int8, df.int64, df.float16, df.float32, df.float64)
    for first in kinds:
        for second in kinds:
            see(f, df.tensor([1, 0, 1], dtype=first), df.tensor([1, 1, 0], dtype=second))
    see(f, df.tensor([1, 0, 1], dtype=df.int8), df.tensor([1, 1, 0], dtype=df.int8))


def comparison_with_numbers_out_of_range(compile, see):
    @compile
    def f(x, k):
        return x < k, x == k, x > 300, x < -1, x != 2.5

    for dtype in (df.int8, df.uint8, df.int64):
        for k in (5, 5, 300, -300, 2.5):
            see(f, df.tensor([1, 2, 100], dtype=dtype), k)


def shapes_of_all_kinds(compile, see):
    @compile
    def f(x):
        return x.sum(), x * 2, x.reshape((-1,)), len(x) if x.ndim else None, x.mean(), x.shape

    for _ in range(2):
        for shape in ((), (0,), (1,), (3,), (2, 0), (2, 3), (1, 1, 2)):
            see(lambda s=shape: f(grid(*s)) if s else f(df.tensor(2.0)))


def shape_arithmetic(compile, see):
    @compile
    def f(x):
        rows, columns = x.shape
        half = rows // 2
        out = x[:half] + x[half : 2 * half]
        if columns > 2:
            out = out * columns
        return out / x.size, x.shape[0] * 2, f"{rows}x{columns}"

    for shape in ((2, 3), (2, 3), (4, 2), (5, 4), (2, 3)):
        see(f, grid(*shape))


def indexing(compile, see):
    @compile
    def f(x, i, mask):
        return (
            x[i],
            x[-1],
            x[..., 0],
            x[None],
            x[1:, ::-1],
            x[mask],
            x[[0, 1]],
            x[df.tensor([1, 0])],
            x[i][0],
        )

    for i in (0, 0, 1, -1, slice(0, 1), 5):
        see(f, grid(2, 3), i, df.tensor([[True, False, True], [False, False, True]]))


def indexed_writes(compile, see):
    @compile
    def f(x, i, v):
        x[i] = v
        x[:, 1] += 5
        x[x > 50] = 0
        x[..., -1] *= 2
        return x.sum()

    for i, v in ((0, 1), (0, 1), (1, 70.0), (slice(None), 2), ((0, 1), 3), (7, 1), (0, True)):
        see(f, grid(2, 3), i, v)


def loops_over_tensors(compile, see):
    @compile
    def f(x, k):
        out = []
        for row in x:
            out.append(row * k)
            k = k + 1
        for i, row in enumerate(x):
            row[0] = i
        return df.stack(out), k, sum(out), x

    for n in (2, 2, 3, 1):
        see(f, grid(n, 2), 1.0)


def numpy_in_the_function(compile, see):
    @compile
    def f(x, k):
        a = np.asarray(x) * k
        return a.sum(), df.asarray(a) + x, np.sqrt(4.0) * x

    for k in (1, 1, 2):
        see(f, tensor(*X), k)


def numpy_arguments(compile, see):
    @compile
    def f(a, k):
        a[0] = k
        return a * 2, a.sum()

    for k in (1, 1, 2):
        see(f, np.arange(3.0), k)


def constants_made_inside(compile, see):
    @compile
    def f(x, k):
        a = df.tensor([1.0, 2.0, k])
        b = df.zeros((3,))
        b[0] = k
        c = df.arange(3) * k
        return a, x * a, b, c, df.full((2,), k), df.linspace(0.0, k, 3)

    for k in (1.0, 1.0, 3.0, 2):
        found = see(f, tensor(*X), k)
        found[0][0] = 99


def dtypes_as_arguments(compile, see):
    @compile
    def f(x, dtype):
        return x.astype(dtype), df.zeros((2,), dtype=dtype), x.dtype == dtype

    for dtype in (df.float32, df.float32, df.int32, df.float64, df.bool_, df.float16):
        see(f, tensor(*X), dtype)


# Gradients --------------------------------------------------------------------------------------


def gradients_add_up(compile, see):
    w = tensor(*X)
    w.requires_grad = True

    @compile
    def f(x):
        loss = (w * w * x).sum()
        loss.backward()
        return loss

    for i in range(6):
        if i == 3:
            w.grad = None
        if i == 4:
            w.grad = tensor(1, 1, 1)
        see(f, tensor(1, 2, i))
        see.that(w)


def gradient_kept_outside(compile, see):
    w = tensor(*X).requires_grad_()

    @compile
    def f(x):
        (w * x).sum().backward()
        g = w.grad
        w.grad = None
        return g

    for i in range(4):
        kept = w.grad
        see(f, tensor(1, 2, i))
        see.that((w, kept))
        if i == 1:
            w.grad = tensor(5, 5, 5)


def gradient_read_and_clipped(compile, see):
    w = tensor(*X).requires_grad_()

    @compile
    def f(x, most):
        (w * w * x).sum().backward()
        if float(df.max(df.abs(w.grad))) > most:
            w.grad *= 0.5
        with df.no_grad():
            w.__isub__(w.grad)
            w.grad[...] = 0
        return w.grad

    for i in range(5):
        see(f, tensor(0.5, 0.25, i * 0.125), 1.0)
        see.that(w)


def requires_grad_switched(compile, see):
    w = tensor(*X)

    @compile
    def f(x):
        y = w * x
        return y, y.requires_grad, w.requires_grad

    for on in (False, False, True, True, False):
        w.requires_grad = on
        y = see(f, tensor(*X))
        if on:
            y[0].sum().backward()
            see.that(w)


def gradient_mode(compile, see):
    @compile
    def f(x, off):
        y = x * 2
        if off:
            with df.no_grad():
                z = y * x
        else:
            z = y * x
        return y, z, df.is_grad_enabled()

    x = tensor(*X).requires_grad_()
    for off in (False, False, True, True):
        see(f, x, off)
        with df.no_grad():
            see(f, x, off)


def enable_grad_inside(compile, see):
    @compile
    @df.no_grad()
    def f(x):
        y = x * 2
        with df.enable_grad():
            z = x * 3
        return y, z

    x = tensor(*X).requires_grad_()
    for _ in range(3):
        see(f, x)


def backward_after_the_call(compile, see):
    w = tensor(*X).requires_grad_()

    @compile
    def f(x):
        h = w * x
        return (h * h).sum(), h, h.detach()

    for i in range(4):
        loss, h, d = see(f, tensor(1, i, 2))
        (loss + h.sum() + d.sum()).backward()
        see.that(w)


def gradient_through_two_calls(compile, see):
    w = tensor(2.0).requires_grad_()

    @compile
    def f(x):
        return x * w + x * x

    for i in range(4):
        x = tensor(1, i).requires_grad_()
        f(f(x)).sum().backward()
        see(f, x)
        see.that((x, w))


def gradient_overwritten(compile, see):
    w = tensor(*X).requires_grad_()

    @compile
    def f(x):
        y = w * 2
        z = y * y
        y += x
        return z.sum()

    for _ in range(3):
        see(lambda: f(tensor(*X)).backward())
        see.that(w)


def functional_gradients(compile, see):
    scale = Plain(k=2.0)

    def loss(x, y):
        return (x * x * y * scale.k).sum()

    @compile
    def f(x, y):
        value, g = df.value_and_grad(loss)(x, y)
        second = df.grad(lambda v: df.grad(loss)(v, y).sum())(x)
        return value, g, df.grad(loss, argnums=1)(x, y), second

    for k in (2.0, 2.0, 3.0, 3):
        scale.k = k
        see(f, tensor(*X), tensor(1, 2, 3))


def gradient_of_compiled(compile, see):
    @compile
    def f(x, k):
        return (x * x).sum() * k if x[0] > 0 else x.sum()

    for v, k in ((1, 2.0), (1, 2.0), (-1, 2.0), (1, 3.0)):
        see(df.grad(f), tensor(v, 2), k)


def optimizer_step(compile, see):
    w = df.nn.Parameter(tensor(*X))
    optimizer = df.optim.SGD([w], lr=0.5, momentum=0.5)

    @compile
    def f(x):
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    for i in range(6):
        if i == 3:
            optimizer.lr = 0.25
        see(f, tensor(1, 2, 4))
        see.that(w)


def adam_with_a_changing_rate(compile, see):
    w = df.nn.Parameter(tensor(*X))
    optimizer = df.optim.Adam([w], lr=0.5)

    @compile
    def f(x):
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    for i in range(5):
        if i == 3:
            optimizer.lr = 0.25
        f(tensor(1, 2, 4))
        see.that(np.round(w.detach().numpy(), 5))
    see(lambda: None)


def parameter_replaced(compile, see):
    model = df.nn.Linear(3, 1)
    with df.no_grad():
        model.weight[...] = 0.5

    @compile
    def f(x):
        return (model(x) * 2).sum()

    for i in range(5):
        if i == 2:
            model.weight = df.nn.Parameter(df.ones(model.weight.shape))
        if i == 3:
            model.bias = None
        see(f, df.ones((2, 3)))


# Random numbers ---------------------------------------------------------------------------------


def random_numbers(compile, see):
    @compile
    def f(x):
        a = df.random.uniform(x.shape)
        if a[0] > 0.5:
            a = a + df.random.normal((1,))
        return a, df.random.integers(0, 10, (3,))

    for i in range(6):
        if i == 4:
            df.random.seed(11)
        see(f, tensor(*X))
    see.that(df.random.uniform((2,)))


def seeded_inside(compile, see):
    @compile
    def f(x, seed):
        df.random.seed(seed)
        return x + df.random.uniform(x.shape)

    for seed in (1, 1, 2, 1):
        see(f, tensor(*X), seed)
    see.that(df.random.uniform((2,)))


def generators_of_ones_own(compile, see):
    g, h = df.random.Generator(3), df.random.Generator(3)

    @compile
    def f(x, a, b):
        return df.random.uniform((2,), generator=a), df.random.uniform((2,), generator=b)

    for pair in ((g, h), (g, h), (g, g), (h, g)):
        see(f, tensor(*X), *pair)


def dropout(compile, see):
    layer = df.nn.Dropout(0.5)

    @compile
    def f(x):
        return layer(x)

    for i in range(6):
        if i == 2:
            layer.eval()
        if i == 4:
            layer.train()
        see(f, df.ones((8,)))
    see.that(df.random.uniform((2,)))


def error_after_a_draw(compile, see):
    @compile
    def f(x, k):
        a = df.random.uniform((2,))
        if k:
            raise ValueError("after a draw")
        return a

    for k in (0, 0, 1, 1, 0):
        see(f, tensor(*X), k)


# Control on values ------------------------------------------------------------------------------


def newton(compile, see):
    @compile
    def f(x, most):
        y, n = x, 0
        while df.max(df.abs(y * y - x)) > 1e-3 and n < most:
            y = (y + x / y) / 2
            n += 1
        return y, n

    for v, most in ((4, 20), (4, 20), (2, 20), (9, 2), (4, 1)):
        see(f, df.tensor([v, v + 1], dtype=df.float64), most)


def early_return_on_values(compile, see):
    @compile
    def f(x, log):
        if not df.any(x > 0):
            log.append("none")
            return None
        if df.all(x > 0):
            return x
        log.append(int(df.sum(x > 0)))
        return df.where(x > 0, x, 0)

    log = []
    for row in ((1, 2), (1, 2), (-1, 2), (-1, -2), (2, -1), (-1, -1)):
        see(f, tensor(*row), log)


def truth_of_many(compile, see):
    @compile
    def f(x):
        if x:
            return 1
        return 0

    for row in ((1,), (1,), (0,), (1, 2), (math.nan,)):
        see(f, tensor(*row))


def state_machine(compile, see):
    o = Plain(mode="warm", count=0, average=None)

    @compile
    def f(x):
        o.count += 1
        if o.mode == "warm":
            o.average = x if o.average is None else o.average + x
            if o.count == 3:
                o.mode = "run"
                o.average = o.average / o.count
        else:
            o.average = o.average * 0.5 + x * 0.5
        return o.average - x, o.mode

    for i in range(8):
        see(f, tensor(i, 1))
        see.that(vars(o))


def replay_buffer(compile, see):
    o = Plain(items=[], table={})

    @compile
    def f(x, key):
        if key in o.table:
            o.table[key] = o.table[key] + x
        else:
            o.table[key] = x
        o.items.append(key)
        if len(o.items) > 3:
            o.items.pop(0)
        return o.table[key] * len(o.items)

    for key in ("a", "b", "a", "a", "b", "c", "a"):
        see(f, tensor(1, 2), key)
        see.that(vars(o))


def whole_numbers_that_nobody_takes(compile, see):
    class Box:
        def __init__(self, n):
            self.n = n

    def unused(x):
        n = int(x.sum())  # noqa: F841 - it may raise all the same
        return x

    def dies(x, log):
        log.append("begun")
        Box([int(x.max())])
        return x * 2

    unused, dies = compile(unused), compile(dies)
    log = []
    for last in (1.0, 2.0, float("nan"), float("inf"), -float("inf"), 3.0):
        see(unused, tensor(1.0, last))
        see(dies, tensor(1.0, last), log)
        see.that(log)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
