"""NumPy programs that try to tell a compiled function from the one it was made of.

Each takes the decorator, and gives what it observed: it runs once with `compile` doing nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import types

import numpy as np

import dualflow as df

ADVERSARIES = {}
ONES = np.ones(3)


def adversary(**counts):
    """Enter a program; `counts` are what `fn.stats()` must say at least."""

    def enter(function):
        ADVERSARIES[function.__name__] = (function, counts)
        return function

    return enter


def line(n=6, dtype=float):
    return np.arange(n).astype(dtype)


# Memory that is shared ----------------------------------------------------------------------


@adversary(replays=2)
def one_array_twice(compile):
    @compile
    def f(a, b):
        a += b
        return a - b

    seen = []
    for same in (False, False, True, True, False):
        a = line()
        b = a if same else line() + 1
        seen += [f(a, b), a, b]
    return f, seen


@adversary(replays=1)
def overlapping_views(compile):
    @compile
    def f(a, b):
        a[:] = a + b
        b *= 2
        return a.sum()

    seen = []
    for apart in (3, 3, 1, 1, 3):
        x = line(8)
        seen += [f(x[:3], x[apart : apart + 3]), x]
    return f, seen


@adversary(replays=3)
def arguments_come_back(compile):
    @compile
    def f(x, y):
        return x, [y, x], x[1:3], y.T, np.asarray(x), x.reshape(2, 3)

    seen = []
    for _ in range(4):
        x, y = line(), line(4).reshape(2, 2)
        a, (b, c), part, turned, same, shaped = f(x, y)
        assert all(one is x for one in (a, c, same, part.base, shaped.base))
        assert b is y
        assert np.shares_memory(turned, y)
        part[0] = 77
        seen += [x, y, part, turned, shaped]
    return f, seen


@adversary()
def view_in_a_global(compile):
    module = types.SimpleNamespace(whole=line(8))
    module.part = module.whole[2:5]

    @compile
    def f(k):
        module.whole[3] += k
        return module.part * 2, module.part

    seen = []
    for i in range(4):
        doubled, part = f(float(i))
        assert part is module.part
        seen += [doubled, module.whole.copy()]
    return f, seen


@adversary(replays=2)
def views_held_outside_see_writes(compile):
    @compile
    def f(x):
        x[1:] = x[:-1]
        x[::2] *= -1

    seen = []
    for _ in range(3):
        x = line()
        view, turned = x[2:4], x[::-1]
        assert f(x) is None
        seen += [x, view, turned]
    return f, seen


@adversary(replays=2)
def scalars_are_snapshots(compile):
    @compile
    def f(x):
        first, row = x[0, 0], x[0]
        cell = x[..., 0, 0]
        x += 10
        return first, row, cell, x[0, 0]

    return f, [f(line().reshape(2, 3)) for _ in range(3)]


@adversary(replays=2)
def results_are_fresh(compile):
    @compile
    def f(n):
        zeros, ramp = np.zeros(n), np.linspace(0, 1, n)
        return zeros, ramp, np.array([1, 2, 3]), np.ones((2, n))[0], np.eye(n)

    seen = []
    for _ in range(3):
        made = f(4)
        seen += [array.copy() for array in made]
        for array in made:
            array += 5
    return f, seen


@adversary(replays=2)
def transposed_and_strided(compile):
    @compile
    def f(x):
        y = x * 2 + 1
        y[0] = x.sum(axis=0)
        x[:, 1] = 0
        return y, y.ravel(), x.T.copy(), np.ascontiguousarray(x.T)

    seen = []
    shapes = [lambda x: x, lambda x: x.T, lambda x: x[::2], lambda x: x[::-1, ::-1]]
    for shape in (*shapes, *shapes):
        x = line(16).reshape(4, 4)
        seen += [f(shape(x)), x]
    return f, seen


# Where arrays live --------------------------------------------------------------------------


@adversary(replays=2)
def globals_that_change(compile):
    module = types.SimpleNamespace(weights=line(3), scale=np.float64(2.0))

    @compile
    def f(x):
        return x * module.weights * module.scale

    seen = []
    for i in range(3):
        module.weights[i] = 100  # in place: no guard may miss it
        module.scale = np.float64(i)
        seen.append(f(np.ones(3)))
    module.weights = line(3).astype(np.float32)
    seen.append(f(np.ones(3, np.float32)))
    module.weights = 3
    seen.append(f(np.ones(3)))
    return f, seen


class Field:
    def __init__(self):
        self.u = line()
        self.old = None
        self.history = []


@adversary(replays=2)
def attributes_and_lists(compile):
    @compile
    def step(field, dt):
        field.old = field.u
        field.u = field.u + dt * np.ones(6)
        field.u[0] = 0
        field.history.append(field.u.copy())
        field.history.append(field.u.max())
        return field

    field, seen = Field(), []
    for i in range(4):
        assert step(field, 0.5 + i) is field
        assert field.old is not field.u
        seen += [field.u, field.old, *field.history]
    return step, seen


@dataclasses.dataclass
class Pair:
    a: np.ndarray
    b: np.ndarray


@adversary(replays=2)
def containers(compile):
    @compile
    def f(pair, items, *rest, **named):
        pair.a[:] = pair.b + items[0]["x"]
        items.append(pair.a * 2)
        return {"sum": pair.a.sum(), "rest": [r + 1 for r in rest]}, tuple(named.values())

    seen = []
    for i in range(3):
        pair, items = Pair(line(), line() + i), [{"x": line() * i}]
        seen += [f(pair, items, line(), line(2), z=line(3)), pair.a, items[1]]
    return f, seen


@adversary(replays=2)
def cells_and_defaults(compile):
    total = np.zeros(3)

    def helper(x, scale=ONES):
        return x * scale

    @compile
    def f(x):
        nonlocal total
        total = total + helper(x)
        return total

    return f, [f(line(3)) for _ in range(3)]


# Python -------------------------------------------------------------------------------------


@adversary(replays=2)
def types_and_identity(compile):
    @compile
    def f(x, y):
        return (
            type(x) is np.ndarray, isinstance(x, np.ndarray), x.__class__, x is y, x is not None,
            np.asarray(x) is x, x[:] is x, type(x.sum()), isinstance(x.mean(), float),
            x.dtype == np.float64, x.dtype.name, x.shape, x.ndim, len(x), x.T.shape, x.base is None,
            isinstance(x, (list, tuple)), callable(x), hasattr(x, "sum"),
        )  # fmt: skip

    return f, [f(line(), line()) for _ in range(3)]


@adversary(replays=3)
def numbers(compile):
    @compile
    def f(x, k):
        total = x.sum()
        whole = int(total) + k
        return (
            total, whole, float(total) / 3, total.item(), x[1] * 2, x.max() > 3, bool(x.any()),
            round(float(x.mean()), 2), x.astype(np.float32).sum(), np.float32(3) * x[0],
            np.argmax(x), abs(x.min() - 1), -total, total // 2, divmod(7, 2), 2 ** x[2],
        )  # fmt: skip

    return f, [f(line() + i, i) for i in range(4)]


@adversary()
def numbers_that_decide(compile):
    @compile
    def f(x):
        n = int(x.max())
        out = []
        for i in range(n):
            out.append(x[i] * i)
        if x[0] > 0:
            return out
        return x[n:], np.zeros(n)

    return f, [f(line(5) - i % 2) for i in range(6)]


@adversary(replays=1)
def branches_on_values(compile):
    @compile
    def f(x):
        if (x > 4).any():
            x = x / x.max()
        if np.all(x >= 0) and x.sum() < 100:
            return "small", x
        return "large", x * 2

    return f, [f(line(i + 3) - (i % 3)) for i in (1, 2, 3, 1, 2, 3, 1, 2, 3)]


@adversary()
def errors_midway(compile):
    @compile
    def f(x, i):
        x += 1
        x[i] = 5
        return x[i] + x.reshape(2, 3).sum(axis=i % 2)

    seen = []
    for i in (0, 1, 9, 1, 0, 9):
        x = line()
        try:
            seen.append(f(x, i))
        except IndexError as error:
            seen.append(str(error))
        seen.append(x)
    return f, seen


@adversary()
def errors_of_numpy(compile):
    @compile
    def f(x, y):
        x[0] = 9
        return x + y, np.linalg.inv(x.reshape(2, 2))

    seen = []
    for y in (line(4), line(4), line(3), line(4)):
        for x in (line(4), np.zeros(4)):
            try:
                seen.append(f(x, y))
            except Exception as error:
                seen.append((type(error).__name__, str(error)))
            seen.append(x)
    return f, seen


@adversary()
def read_only(compile):
    @compile
    def f(x):
        y = x * 2
        x[0] = 1
        return y

    seen = []
    for writeable in (True, True, False, True):
        x = line()
        x.flags.writeable = writeable
        try:
            seen.append(f(x))
        except ValueError as error:
            seen.append(str(error))
        seen.append(x)
    return f, seen


@adversary()
def caught_inside(compile):
    @compile
    def f(x):
        try:
            y = x.reshape(4, 4)
        except ValueError:
            y = x * 2
        return y

    return f, [f(line() + i) for i in range(3)]


@adversary(replays=2)
def printed(compile):
    @compile
    def f(x):
        total = x.sum()
        print("sum", total, total / 2, f"{total:.3f} {x.mean()} {x.dtype} {x.shape}")
        return x * total

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        seen = [f(line() + i) for i in range(3)]
    return f, [*seen, out.getvalue()]


@adversary(replays=2)
def warnings_off(compile):
    @compile
    def f(x):
        with np.errstate(divide="ignore", invalid="ignore"):
            y = np.where(x > 0, np.log(x) / x, 0.0)
        return y

    return f, [f(line()) for _ in range(3)]


@adversary()
def errors_asked_for(compile):
    @compile
    def f(x):
        return 1 / x

    seen = []
    for state in ("ignore", "ignore", "raise", "ignore"):
        with np.errstate(divide=state):
            try:
                seen.append(f(line()))
            except FloatingPointError as error:
                seen.append(str(error))
    return f, seen


@adversary()
def random_numbers(compile):
    @compile
    def f(n):
        x = np.random.rand(n)
        np.random.shuffle(x)
        return x * 2, np.random.randint(0, 10, 3)

    np.random.seed(7)
    return f, [f(4) for _ in range(3)] + [np.random.rand()]


@adversary()
def generators(compile):
    @compile
    def f(x):
        for i in range(3):
            x = x + i
            yield x

    return f, [list(f(line())) for _ in range(3)]


# Dtypes -------------------------------------------------------------------------------------


@adversary(replays=2)
def promotion(compile):
    @compile
    def f(i8, u8, f4, i4, b):
        return (
            i8 + i8, u8 - 1, u8 * u8, f4 * 2.5, f4 + i4, i4 / 2, i4 * 2.5, i8 + u8, b + b, b * 3,
            f4 ** 2, i4 ** 2, i4 // 3, i4 % 3, f4 > 1, np.sqrt(i4), np.sqrt(f4), -u8, ~i8, i4 << 2,
            f4.sum(), i8.sum(), b.sum(), i4.mean(), f4.mean(), f4 * np.float64(2), np.exp(i8 / 64),
            f4 ** 0.5,
            i4 & 1, b & (i4 > 2), ~b, np.maximum(i8, u8), np.where(b, i8, 1.5), np.add(i4, f4),
            i4.max() + 1.5, f4[0] * 2, i4.astype(float) * f4, i8.astype(np.uint8), b.any(),
        )  # fmt: skip

    i8 = np.array([100, 27, -128, 5], np.int8)
    u8 = np.array([250, 3, 0, 255], np.uint8)
    i4 = np.array([1, 2, 3, 4], np.int32)
    return f, [f(i8, u8, i4.astype(np.float32), i4 + i, i4 > 2) for i in range(3)]


@adversary(replays=2)
def stores_cast(compile):
    @compile
    def f(i, g):
        i[1:] = g[1:] * 1.7
        i[0] = 3.9
        i += 2
        g[:] = i
        g[2] = True
        return i, g

    return f, [f(line(4, np.int32), line(4, np.float32) + k) for k in range(3)]


@adversary(replays=3)
def out_and_where(compile):
    @compile
    def f(x, y, z):
        np.add(x, y, out=z)
        np.multiply(z, 2, out=(z,))
        np.sqrt(z, out=z, where=z > 4)
        r = np.subtract(x, 1, where=x > 2, out=np.zeros_like(x))
        np.maximum(r, 0.5, out=r)
        return r, z.clip(0, 3), np.sum(x, axis=0, out=np.empty(())), z is np.add(x, y, out=z)

    return f, [f(line() + i, line(), np.empty(6)) for i in range(4)]


@adversary()
def other_kinds_of_array(compile):
    @compile
    def f(x):
        return x + x, x[1:]

    kinds = [
        np.array([1, "a", None], object)[:1], np.array(["a", "b"], dtype="U1").astype(object),
        np.array([1, 2], ">f8"), np.ma.array([1.0, 2.0], mask=[0, 1]),
        np.array([1, 2], dtype="m8[s]"), np.array([1 + 2j, 3j]), np.array(3.0), np.zeros((0, 3)),
        np.array([1.0, 2.0], np.float16), np.array([1.0, 2.0], np.longdouble),
    ]  # fmt: skip
    seen = []
    for x in (*kinds, *kinds):
        try:
            seen += [repr(part) for part in f(x)]
        except Exception as error:
            seen.append(repr(error))
    return f, seen


@adversary(replays=2)
def special_values(compile):
    @compile
    def f(x):
        return (
            x.max(), x.min(), np.nanmax(x), np.isnan(x), np.sign(x), np.floor(x), x == x, x != x,
            np.maximum(x, 0), np.minimum(x, 0), np.abs(x), -x, x * 0, np.isfinite(x).all(),
            np.argmax(x), x > np.inf, np.nan_to_num(x), 1 / (x + 1), np.copysign(1, x),
        )  # fmt: skip

    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.5, -2.5])
    with np.errstate(all="ignore"):
        return f, [f(x) for _ in range(3)]


@adversary(replays=2)
def integers_that_divide_by_zero(compile):
    @compile
    def f(x, y):
        with np.errstate(all="ignore"):
            return x // y, x % y, x / y

    return f, [f(np.array([5, -5, 0, 7]), np.array([0, 2, 0, -3])) for _ in range(3)]


# Indices ------------------------------------------------------------------------------------


@adversary(replays=2)
def fancy(compile):
    @compile
    def f(x, rows, mask):
        picked = x[rows]
        x[rows, 0] = -1
        x[mask] = 0
        x[1:][mask[1:]] += 100
        np.add.at(x, (rows, 1), 2.5)
        y = x[:, [2, 0]] + x[rows][:, None, 0]
        order = np.argsort(x[:, 2])
        return picked, y, x[order], np.take(x, rows, axis=0), x[-1, -1], x[np.int64(1)]

    seen = []
    for i in range(3):
        x = line(12).reshape(4, 3) + i
        seen += [f(x, np.array([2, 0, 2, 3]), x > 6 + i), x]
    return f, seen


@adversary(replays=2)
def masks(compile):
    @compile
    def f(x, limit):
        high = x > limit
        x[high] = limit
        y = x.copy()
        y[~high] = y[~high] * 2 + 1
        y[high] -= 3
        mean = x[high].mean() if high.any() else 0.0
        return y, mean, x[high].sum(), len(x[high])

    return f, [f(line(8) * (i + 1), 4.5) for i in (0, 0, 1, 0)]


@adversary(replays=2)
def sorts_in_place(compile):
    @compile
    def f(x):
        x.sort()
        x[:2].fill(7)
        np.fill_diagonal(x.reshape(2, 3), 1)
        np.copyto(x[4:], 9)
        return np.sort(-x), x.argsort(), np.partition(x, 2)

    seen = []
    for i in range(3):
        x = np.array([3.0, 1, 2, 9, 5, 4]) * (i + 1)
        seen += [f(x), x]
    return f, seen


@adversary()
def mixed_with_tensors(compile):
    @compile
    def f(t, x):
        y = np.sin(x)
        return t * 2, y, df.asarray(x) + t

    seen = []
    for i in range(3):
        t, y, u = f(df.tensor([1.0, 2.0]), line(2, np.float32) + i)
        seen += [t.tolist(), y, u.tolist()]
    return f, seen


@adversary(replays=2)
def shapes_change(compile):
    @compile
    def f(x, n):
        y = np.zeros((n, x.shape[0]))
        for i in range(n):
            y[i] = x * i
        return y.sum(axis=0)

    return f, [f(line(k), n) for k, n in ((3, 2), (4, 2), (3, 2), (3, 3), (4, 2))]


@adversary(replays=3)
def floats_need_no_new_trace(compile):
    @compile
    def f(x, dt, k, n):
        y = x + dt * k
        y[0] = dt
        y[1:3] = n
        return np.where(x > dt, y, k), np.clip(y, dt, k), np.full(3, dt), np.float32(dt) * x, y % k

    return f, [f(line(), 0.1 * i, 2.0 + i, i) for i in range(4)]


@adversary(co_executions=2)
def an_element_at_a_time(compile):
    @compile
    def f(x):
        out = np.zeros(len(x))
        for i in range(1, len(x)):
            out[i] = 0.5 * (x[i - 1] + x[i])
        return out

    return f, [f(line(150) + i) for i in range(3)]


@adversary(replays=2)
def python_numbers_that_become_numpys(compile):
    @compile
    def f(x, k):
        total = 0.0
        for row in x:
            total += row[0] * k
        total -= k
        count = 1
        count *= x[0, 0]
        return total, count, total > 1, {"low": min(total, 2.0)}

    return f, [f(line().reshape(2, 3) + i, 0.5 * i) for i in range(3)]


@adversary()
def functions_given_to_numpy(compile):
    seen = []

    def scaled(x):
        seen.append(float(x[0]))
        return x * 2

    @compile
    def f(x):
        return np.piecewise(x, [x < 2, x >= 2], [scaled, 0]), np.apply_along_axis(sum, 0, x)

    return f, [f(line() + i) for i in range(3)] + [seen]


@adversary(replays=2)
def writes_before_an_error(compile):
    @compile
    def f(x, y):
        x += 1
        x *= x
        return np.linalg.inv(y)

    seen = []
    for i in range(5):
        x = line()
        try:
            seen.append(f(x, np.eye(2) * (i != 3)))
        except np.linalg.LinAlgError as error:
            seen.append(str(error))
        seen.append(x)
    return f, seen


@adversary(replays=3)
def draws_in_order(compile):
    rng = np.random.default_rng(5)

    @compile
    def f(n, scale, y):
        own, other = np.random.default_rng(n), np.random.default_rng(n)
        x = rng.normal(0.0, scale, (n, 2))
        z = np.random.rand(n) + own.random(n) - other.random(n)
        return x.sum(axis=0), z, np.random.randint(0, 9, size=3), np.linalg.inv(y), rng.random(2)

    np.random.seed(3)
    seen = []
    for i in range(6):
        try:
            seen += f(4, 1.0 + i, np.eye(2) * (i != 3))
        except np.linalg.LinAlgError as error:
            seen.append(str(error))
    return f, [*seen, rng.random(), np.random.rand()]


@adversary()
def draws_that_decide(compile):
    @compile
    def f(x):
        noise = np.random.rand(3)
        if noise.sum() > 1.5:
            return x + noise
        return x - np.random.rand()

    np.random.seed(3)
    return f, [f(np.ones(3)) for _ in range(6)] + [np.random.rand()]
