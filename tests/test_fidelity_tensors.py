"""Values of tensors in compiled functions: dtypes, shapes, and control that depends on them."""

import math

import numpy as np
import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


class Plain:
    """A plain object."""

    def __init__(self, **values):
        vars(self).update(values)


def grid(*shape, dtype=df.float32):
    """Small whole numbers."""
    return df.reshape(df.arange(math.prod(shape), dtype=dtype), shape)


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
