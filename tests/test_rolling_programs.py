"""Python loops over arrays, compiled: one program of loops, with the bits of the eager run."""

from __future__ import annotations

import inspect
import sys

import numpy as np
import pytest

import dualflow as df
from dualflow.capture import compiled as compiled_room
from dualflow.ir.op import Kind

STEPS = 60
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _errors():
    with df.config(on_compiler_error="raise"):
        yield


def loops_of(graph) -> int:
    inner = [value for node in graph.nodes for value in node.attributes.values()
             if hasattr(value, "nodes")]  # fmt: skip
    own = sum(node.op.kind is Kind.LOOP for node in graph.nodes)
    return own + sum(map(loops_of, inner))


def leaves(out) -> list:
    return [np.asarray(x) for x in (out if isinstance(out, (tuple, list)) else (out,))]


def check(fn, *args, exact: bool = True, loops: int = 1, nodes: int = 80, rtol: float = 1e-12):
    """Replayed after the first call, as loops, with eager's values; what it is given stays, but
    for what eager changes."""
    compiled = df.compile(fn, wait=True)
    for call in range(3):
        scale = (call + 2) / 2
        given = [(x * scale).astype(x.dtype) if x.dtype.kind == "f" else x.copy() for x in args]
        faces = ([x.copy() for x in given], [df.tensor(x) for x in given])
        for run, kind in zip(faces, (np.ndarray, df.Tensor), strict=True):
            mine = [x.copy() if kind is np.ndarray else df.tensor(np.asarray(x)) for x in run]
            wanted, found = leaves(fn(*run)), leaves(compiled(*mine))
            for a, b in zip((*found, *leaves(mine)), (*wanted, *leaves(run)), strict=True):
                if exact:
                    np.testing.assert_array_equal(a, b, strict=True)
                else:
                    np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)
    assert compiled.stats()["replays"] == 4
    assert compiled.stats()["traces"] == 2
    for section in compiled.report().sections:
        assert loops_of(section.graph) >= loops
        assert len(section.graph.nodes) <= nodes


def normal(*shape, dtype=np.float64) -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


# Stencils ---------------------------------------------------------------------------------------


def heat_copy(u):
    for _ in range(STEPS):
        v = u.copy() if isinstance(u, np.ndarray) else df.asarray(u, copy=True)
        v[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
        u = v
    return u


def heat_in_place(u):
    """The caller's array is changed."""
    for _ in range(STEPS):
        u[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
    return u.sum() * 0


def heat_2d(u):
    u = u + 0
    for _ in range(STEPS):
        lap = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
        u[1:-1, 1:-1] += 0.1 * lap
    return u


def wave(u):
    """The field of two steps ago."""
    before, now = u * 1, u * 1
    for _ in range(STEPS):
        new = 2 * now - before
        new[1:-1] += 0.25 * (now[2:] - 2 * now[1:-1] + now[:-2])
        before, now = now, new
    return before, now


def wave_buffers(u):
    """Three buffers that take turns."""
    before, now, new = u * 1, u * 1, u * 1
    for _ in range(STEPS):
        new[1:-1] = 2 * now[1:-1] - before[1:-1] + 0.25 * (now[2:] - 2 * now[1:-1] + now[:-2])
        before, now, new = now, new, before
    return before, now


@pytest.mark.parametrize("fn", [heat_copy, heat_in_place, wave, wave_buffers])
def test_stencils(fn):
    check(fn, normal(50))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_two_dimensions(dtype):
    check(heat_2d, normal(12, 15, dtype=dtype))


def test_life():
    def life(cells):
        for _ in range(STEPS):
            n = cells * 0
            n[1:-1, 1:-1] = (
                cells[:-2, :-2] + cells[:-2, 1:-1] + cells[:-2, 2:] + cells[1:-1, :-2]
                + cells[1:-1, 2:] + cells[2:, :-2] + cells[2:, 1:-1] + cells[2:, 2:]
            )  # fmt: skip
            cells = ((n == 3) | ((cells == 1) & (n == 2))) * (cells * 0 + 1)
        return cells

    check(life, (RNG.random((14, 17)) < 0.4).astype(np.int32))


# Particles, equations ---------------------------------------------------------------------------


def test_bodies():
    """Forces between all pairs; the sums of a kernel add in another order than NumPy's."""

    def bodies(pos, vel):
        for _ in range(STEPS):
            d = pos[:, None, :] - pos[None, :, :]
            r2 = (d * d).sum(axis=2) + 1.0
            vel = vel - 0.01 * (d / (r2 * r2**0.5)[:, :, None]).sum(axis=1)
            pos = pos + 0.01 * vel
        return pos, vel

    check(bodies, normal(6, 3), normal(6, 3), exact=False, rtol=1e-9)


def test_runge_kutta():
    def slope(y):
        return y * (1 - y)

    def rk4(y):
        h = 0.01
        for _ in range(STEPS):
            a = slope(y)
            b = slope(y + h / 2 * a)
            c = slope(y + h / 2 * b)
            y = y + h / 6 * (a + 2 * b + 2 * c + slope(y + h * c))
        return y

    check(rk4, RNG.random(9))


def test_jacobi():
    def jacobi(a, b):
        x, d = b * 0, a.sum(axis=1)
        for _ in range(STEPS):
            new = x * 1
            new[:] = (b - a @ x) / d
            x = new
        return x

    check(jacobi, np.eye(8) * 9 + RNG.random((8, 8)), normal(8), exact=False)


# Rows -------------------------------------------------------------------------------------------


def test_rows_are_written():
    def rows(out, x):
        for i in range(STEPS):
            x = x * 0.99 + 0.1
            x = x - x * x * 0.01
            out[i] = x
        return out * 1

    check(rows, normal(STEPS + 2, 7), normal(7))


def test_rows_are_read():
    def rows(x):
        h = x[0] * 0
        for i in range(4 * STEPS):
            h = h * 0.5 + x[i]
        return h

    check(rows, normal(4 * STEPS, 7))


def test_rows_are_read_backwards_and_columns():
    def rows(x):
        h = x[0, :] * 0
        for i in range(4 * STEPS):
            h = h * 0.5 + x[4 * STEPS - 1 - i] - x[i, 0]
        return h

    check(rows, normal(4 * STEPS, 7))


def test_a_recursion_within_an_array():
    def recursion(x):
        y = x * 1
        for i in range(1, 4 * STEPS):
            y[i] = y[i - 1] * 0.9 + x[i]
        return y

    check(recursion, normal(4 * STEPS, 5))


def test_rows_of_the_caller_are_added_to():
    """`out[i] += x` reads what it writes."""

    def add(out, x):
        for i in range(2 * STEPS):
            out[i] += x
            x = x * 0.99
        return x

    check(add, normal(2 * STEPS, 5), normal(5))


def test_values_are_collected():
    def collect(x):
        made, tops = [], []
        for _ in range(2 * STEPS):
            x = x * 0.99 + 0.1
            made.append(x)
            tops.append(x.max())
        if isinstance(x, np.ndarray):
            return np.stack(made), np.array(tops)
        return df.stack(made), df.stack(tops)

    check(collect, normal(7))


def test_nested_loops():
    def nested(x):
        for _ in range(STEPS):
            y = x
            for _ in range(5):
                y = y * 0.9 + x
            x = y / (1 + abs(y).max())
        return x

    check(nested, normal(7))


def test_two_loops():
    def two(x, y):
        for _ in range(3 * STEPS):
            x = x * 0.9 + y
        x = x - x.max()
        for _ in range(3 * STEPS):
            y = y - x * 0.1
            y = abs(y)
        return x, y

    check(two, normal(7), normal(7), loops=2)


# What is no loop, or not one --------------------------------------------------------------------


def test_numbers_that_change():
    def numbers(x):
        for i in range(3 * STEPS):
            x = x * 0.5 + i
        return x

    check(numbers, normal(7), loops=0, nodes=4 * 3 * STEPS)


def test_an_argument_in_each_step():
    """A number from outside that changes from call to call is one input of the loop."""

    def euler(x, dt):
        for _ in range(2 * STEPS):
            x = x + dt * (1 - x)
        return x

    compiled = df.compile(euler, wait=True)
    x = normal(7)
    for dt in (0.1, 0.2, 0.3, 0.4, 0.5):
        np.testing.assert_array_equal(compiled(x, dt), euler(x, dt))
    assert compiled.stats()["replays"] >= 3
    assert loops_of(compiled.report().sections[0].graph) == 1


def test_random_numbers_are_drawn_in_their_order():
    def walk(x):
        for _ in range(STEPS):
            x = x * 0.9 + df.random.normal((5,))
        return x

    compiled = df.compile(walk, wait=True)
    x = df.tensor(normal(5, dtype=np.float32))
    df.random.seed(3)
    wanted = [walk(x) for _ in range(3)]
    df.random.seed(3)
    for want in wanted:
        np.testing.assert_array_equal(compiled(x), want)
    assert compiled.stats()["replays"] == 2


def test_an_index_out_of_bounds_is_eagers_error():
    def follow(x, i):
        for _ in range(STEPS):
            i = df.take(x, i)
            i = i + 0
        return i

    compiled = df.compile(follow, wait=True)
    x = df.tensor(np.arange(1, 101))
    for start in (0, 5, 3):
        assert compiled(x, df.tensor([start])).tolist() == [start + STEPS]
    with pytest.raises(Exception, match="index") as wanted:
        follow(x, df.tensor([70]))
    with pytest.raises(type(wanted.value)):
        compiled(x, df.tensor([70]))
    assert compiled(x, df.tensor([4])).tolist() == [4 + STEPS]
    assert compiled.stats()["replays"] >= 3


def test_memory_shared_by_arguments():
    """The same array twice, and one that overlaps it: written in place, read by every step."""

    def shift(a, b):
        for _ in range(STEPS):
            a[1:] = a[1:] * 0.5 + b[:-1]
        return a * 1

    compiled = df.compile(shift, wait=True)
    for _ in range(3):
        one, other = normal(9), normal(9)
        for pair in ((one, other), (one, one), (one, one[::-1])):
            kept = one.copy()
            wanted = shift(*pair)
            changed = one.copy()
            one[:] = kept
            np.testing.assert_array_equal(compiled(*pair), wanted)
            np.testing.assert_array_equal(one, changed)


# Gradients --------------------------------------------------------------------------------------


def rnn(x, w, u):
    h = x[0] @ w * 0
    for i in range(STEPS):
        h = df.tanh(x[i] @ w + h @ u)
    return (h * h).sum()


def lstm(x, w, u):
    n = u.shape[0]
    h = c = x[0] @ w[:, :n] * 0
    total = 0.0
    for i in range(STEPS):
        gates = x[i] @ w + h @ u
        keep, add, out = (df.sigmoid(gates[:, k * n : (k + 1) * n]) for k in range(3))
        c = keep * c + add * df.tanh(gates[:, 3 * n :])
        h = out * df.tanh(c)
        total = total + (h * h).mean()
    return total


@pytest.mark.parametrize(("fn", "gates"), [(rnn, 1), (lstm, 4)])
def test_recurrent_nets(fn, gates):
    """Two loops: forwards, and backwards over what the first one made."""

    def both(x, w, u):
        return fn(x, w, u), df.grad(fn, argnums=(1, 2))(x, w, u)

    compiled = df.compile(both, wait=True)
    w, u = (df.tensor(normal(4, gates * 4, dtype=np.float32) * 0.3) for _ in range(2))
    for _ in range(3):
        x = df.tensor(normal(STEPS, 3, 4, dtype=np.float32))
        (value, grads), (found, others) = both(x, w, u), compiled(x, w, u)
        np.testing.assert_allclose(found, value, rtol=2e-5)
        for a, b in zip(others, grads, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)
    assert compiled.stats()["replays"] == 2
    (section,) = compiled.report().sections
    assert loops_of(section.graph) >= 2
    assert len(section.graph.nodes) < 250


def test_a_tape_leaves_the_function():
    """What backward needs of every step is given by the loop."""

    def decay(x, w):
        for _ in range(2 * STEPS):
            x = df.tanh(x * w)
        return x.sum()

    compiled = df.compile(decay, wait=True)
    for _ in range(3):
        x = normal(5)
        grads = []
        for fn in (decay, compiled):
            w = df.tensor(np.full(5, 1.01), requires_grad=True)
            fn(df.tensor(x), w).backward()
            grads.append(np.asarray(w.grad))
        np.testing.assert_allclose(grads[1], grads[0], rtol=1e-9)
    assert compiled.stats()["replays"] == 2


# Loops that are asked for ------------------------------------------------------------------------

LONG = 1000


def test_scan_of_many_steps_and_its_gradient():
    """A loop forwards, one for what each step was asked for, one backwards."""

    def total(w, xs):
        last, ys = df.scan(lambda c, x: (df.tanh(c * w + x), c * c), xs[0] * 0, xs)
        return last.sum() + ys.mean()

    def both(w, xs):
        return total(w, xs), df.grad(total)(w, xs)

    compiled = df.compile(both, wait=True)
    w = df.tensor(np.linspace(0.5, 0.9, 4))
    for _ in range(2):
        xs = df.tensor(normal(LONG, 4))
        for found, wanted in zip(compiled(w, xs), both(w, xs), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-11)
    assert compiled.stats()["replays"] == 1
    (section,) = compiled.report().sections
    assert loops_of(section.graph) >= 3
    assert len(section.graph.nodes) < 300


def test_map_of_many_rows():
    def mapped(xs):
        return df.map(lambda r: (df.floor(r) * 2 + r, r.max()), xs)

    compiled = df.compile(mapped, wait=True)
    for _ in range(3):
        xs = df.tensor(normal(LONG, 4))
        for found, wanted in zip(compiled(xs), mapped(xs), strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert compiled.stats()["replays"] == 2
    (section,) = compiled.report().sections
    assert loops_of(section.graph) == 1
    assert len(section.graph.nodes) < 60


def test_a_while_loop_whose_count_depends_on_values(monkeypatch):
    """Each count is a path of its own, until they are too many: then Python counts."""
    monkeypatch.setattr(compiled_room, "MOST_BLOCKS", 40)

    def halve(x):
        return df.while_loop(lambda s: df.abs(s).max() > 1.0, lambda s: s * 0.5, x)

    def loop(x):
        n = 0
        while abs(x).max() > 1.0:
            x, n = x * 0.5, n + 1
        return x, n

    x = normal(5)
    for fn, make in ((halve, df.tensor), (loop, np.array)):
        compiled = df.compile(fn, wait=True)
        for count in (3, 30, 3, 30, 60, 50, 20, 60):
            given = make(x * 2.0**count)
            for found, wanted in zip(leaves(compiled(given)), leaves(fn(given)), strict=True):
                np.testing.assert_array_equal(found, wanted)
        assert compiled.stats()["replays"] >= 3
        assert compiled.stats()["co_executions"] >= 1
        compiled(make(x * 2.0**45))
        assert "more than 40 branches" in str(compiled.report().reasons)


def test_a_deep_path_is_reported():
    """A path of more tests than Python's stack is deep."""

    def count(x):
        n = 0
        while x.sum() > 0:
            x, n = x - 1, n + 1
        return n

    compiled = df.compile(count, wait=True)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 120)
    try:
        assert compiled(np.full(1, 150)) == 150
        assert len(compiled.report().sections) > 100
    finally:
        sys.setrecursionlimit(limit)
