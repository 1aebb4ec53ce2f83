"""Kernels that fold: rows, columns, positions, late stages, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cpu_kernels import (
    FLOATS,
    GRID_I,
    GRID_J,
    LOOP_J,
    LOOP_R,
    REAL,
    load,
    reduce_columns,
    reduce_rows,
    run,
    same,
    softmax,
    values,
)

import dualflow as df
from dualflow.base.dtypes import (
    bool_,
    float16,
    float32,
    float64,
    int64,
)
from dualflow.base.records import replaced
from dualflow.codegen.numba import emit
from dualflow.ir.kernel import Access, Fold, Kernel, Let, Scalar, Stage, Store


@pytest.mark.parametrize("shape", [(64, 1024), (7, 1000), (3, 5), (1, 70000), (0, 4), (4, 0)])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_sums_are_at_least_as_accurate_as_numpy(dtype, shape):
    x = np.random.default_rng(0).random(shape).astype(dtype)
    rows, columns = shape
    by_row = run(reduce_rows("sum", dtype), [x, (rows,)], {"i": rows, "j": columns})[0]
    by_column = run(reduce_columns("sum", dtype), [x.T, (columns,)], {"j": columns, "r": rows})[0]
    for axis, found in ((1, by_row), (0, by_column)):
        exact = np.array([math.fsum(line) for line in np.moveaxis(x, axis, -1)])
        ours = np.sqrt(np.sum((found - exact) ** 2))
        rounding = np.sqrt(np.sum((exact.astype(dtype) - exact) ** 2))
        assert ours <= 1.05 * np.sqrt(np.sum((x.sum(axis) - exact) ** 2)) + 2 * rounding
        assert found.dtype == dtype


@pytest.mark.parametrize("total", [np.inf, -np.inf, np.nan, -0.0])
@pytest.mark.parametrize("dtype", [float16, *FLOATS], ids=str)
def test_sums_of_special_values(dtype, total):
    x = np.zeros((2, 300), dtype)
    x[0, 200] = x[1, :] = total
    wanted = np.add.reduce(x, axis=1)
    same(run(reduce_rows("sum", dtype), [x, (2,)], {"i": 2, "j": 300})[0], wanted)
    same(run(reduce_columns("sum", dtype), [x, (2,)], {"j": 2, "r": 300})[0], wanted)


@pytest.mark.parametrize("dtype", REAL, ids=str)
def test_sums_of_integers_and_booleans_are_exact_in_64_bits(dtype):
    x = values(dtype, 33, 70)
    if dtype.kind == "f":
        x = np.round(x)
    wide = x.sum(0).dtype
    same(run(reduce_rows("sum", dtype, wide), [x, (33,)], {"i": 33, "j": 70})[0], x.sum(1))
    same(run(reduce_columns("sum", dtype, wide), [x.T, (70,)], {"j": 70, "r": 33})[0], x.sum(0))


@pytest.mark.parametrize("dtype", REAL, ids=str)
@pytest.mark.parametrize("op", ["max", "min", "argmax", "argmin"])
def test_extremes_and_their_positions(op, dtype):
    x = values(dtype, 21, 300)
    x[3, 7] = x[3, 9] = x[3].max()
    if dtype.kind == "f":
        x[5, 100], x[6, 299], x[7, 0] = np.nan, np.nan, -np.inf
        x[8] = -np.inf
        x[9, 4] = x[9, 30] = np.nan
    out = int64 if op.startswith("arg") else dtype
    rows = run(reduce_rows(op, dtype, out), [x, (21,)], {"i": 21, "j": 300})[0]
    same(rows, getattr(x, op)(axis=1))
    columns = run(reduce_columns(op, dtype, out), [x.T, (300,)], {"j": 300, "r": 21})[0]
    same(columns, getattr(x, op)(axis=0))


@pytest.mark.parametrize("op", ["any", "all"])
def test_any_and_all(op):
    x = np.zeros((5, 2000), bool)
    x[1, 1999], x[2], x[3, :1000] = True, True, True
    rows = run(reduce_rows(op, bool_), [x, (5,)], {"i": 5, "j": 2000})[0]
    same(rows, getattr(x, op)(axis=1))
    same(
        run(reduce_columns(op, bool_), [x.T, (2000,)], {"j": 2000, "r": 5})[0],
        getattr(x, op)(axis=0),
    )


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_products_keep_their_order(dtype):
    x = np.resize(np.array([1e30, 1e-30, 3, -1, 0.5]), (4, 50)).astype(dtype)
    with np.errstate(all="ignore"):
        wanted = np.multiply.reduce(x, axis=1)
    found = run(reduce_rows("prod", dtype), [x, (4,)], {"i": 4, "j": 50})[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert np.isfinite(found).all()


def test_products_of_integers_wrap():
    x = values(int64, 4, 50) | 1
    same(run(reduce_rows("prod", int64), [x, (4,)], {"i": 4, "j": 50})[0], x.prod(1))


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_softmax_of_rows_in_one_kernel(dtype, keep):
    big = values(dtype, 12, 300) * 5
    x = big[:, :150]
    x[3, 4], x[4, 5], x[5], x[6, 0] = np.nan, np.inf, -np.inf, -np.inf
    found = run(softmax(keep, dtype), [x, (12, 150)], {"i": 12, "j": 150})[0]
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(1, keepdims=True))
        wanted = e / e.sum(1, keepdims=True)
    np.testing.assert_allclose(found, wanted, rtol=20 * np.finfo(dtype).eps, atol=0)


def test_a_fold_over_two_loops():
    stages = (
        Stage(
            ("r", "j"),
            (load("x", "X"),),
            (Fold("f", "sum", "x", float32), Fold("a", "argmax", "x", int64)),
        ),
        Stage((), (), (Store("O", "f"), Store("P", "a"))),
    )
    accesses = (
        Access("X", float32, "in", ("s", "s", 1)),
        Access("O", float32, "out", (1, 0, 0)),
        Access("P", int64, "out", (1, 0, 0)),
    )
    kernel = Kernel((GRID_I, LOOP_R, LOOP_J), accesses, (), stages, "j")
    x = values(float32, 6, 4, 40).transpose(1, 0, 2)
    total, place = run(kernel, [x, (4,), (4,)], {"i": 4, "r": 6, "j": 40})
    np.testing.assert_allclose(total, x.sum((1, 2), dtype=float64), rtol=1e-6)
    same(place, x.reshape(4, -1).argmax(1))


@pytest.mark.parametrize("n", [5, 300])
def test_a_fold_of_dear_values_is_stored_in_the_whole_row(n):
    lets = (load("x", "X"), Let("e", "exp", ("x",), float32))
    stages = (
        Stage(("j",), lets, (Fold("f", "sum", "e", float32),)),
        Stage(("j",), (), (Store("O", "f"),)),
    )
    accesses = (Access("X", float32, "in", ("s", 1)), Access("O", float32, "out", ("s", 1)))
    kernel = Kernel((GRID_I, LOOP_J), accesses, (), stages, "j")
    x = values(float32, 4, n)
    found = run(kernel, [x, (4, n)], {"i": 4, "j": n})[0]
    total = np.exp(x).sum(1, keepdims=True, dtype=float64)
    np.testing.assert_allclose(found, np.broadcast_to(total, x.shape), rtol=1e-6)


def test_columns_use_their_folds_in_later_stages():
    stages = (
        Stage(("r",), (load("x", "X"),), (Fold("m", "max", "x", float32),)),
        Stage(
            ("r",),
            (load("y", "X"), Let("d", "subtract", ("y", "m"), float32)),
            (Fold("s", "sum", "d", float32),),
        ),
        Stage(
            ("r",), (load("z", "X"), Let("q", "divide", ("z", "s"), float32)), (Store("O", "q"),)
        ),
    )
    accesses = (Access("X", float32, "in", (1, "s")), Access("O", float32, "out", ("s", 1)))
    kernel = Kernel((GRID_J, LOOP_R), accesses, (), stages, "j")
    x = values(float32, 11, 1500)
    found = run(kernel, [x.T, (1500, 11)], {"j": 1500, "r": 11})[0]
    total = (x - x.max(0)).sum(0, dtype=float64).astype(float32)
    np.testing.assert_allclose(found, (x / total).T, rtol=1e-5)


@pytest.mark.parametrize("dtype", [float16, float32, float64])
@pytest.mark.parametrize("keep", [True, False])
def test_rows_short_and_long_are_walked_in_whole_vectors_or_not(dtype, keep):
    text = emit(softmax(keep, dtype)).source
    assert text.count("whole_vectors()") == 3
    limit = 64 if dtype == float64 else 128
    assert text.count(f"if n1 <= {limit}:") == (2 if keep else 3)
    assert (f"if {limit // 2} < n1 < {limit}:" in text) is keep
    rng = np.random.default_rng(0)
    for n in (1, 3, 7, 8, 15, 16, 17, 33, limit - 1, limit, limit + 1, 2 * limit + 5):
        x = rng.standard_normal((5, n)).astype(dtype)
        x[1, n // 2], x[2, n - 1], x[3, 0] = np.nan, np.inf, -np.inf
        (found,) = run(softmax(keep, dtype), [x, (5, n)], {"i": 5, "j": n})
        with np.errstate(all="ignore"):
            e = np.exp(x.astype(float64) - x.max(axis=1, keepdims=True))
            wanted = e / e.sum(axis=1, keepdims=True)
        rtol = {float16: 5e-3, float32: 2e-6, float64: 1e-14}[dtype]
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-7 if dtype == float16 else 0)


@pytest.mark.parametrize("dtype", [float16, float32, float64])
@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes_of_floats_are_found_among_integers_of_their_order(name, dtype):
    rng = np.random.default_rng(0)
    f = df.compile(lambda x: getattr(x, name)(axis=1), wait=True)
    specials = np.array([0.0, -0.0, np.inf, -np.inf, 5e-324, 1e300, -1e300, 1.0, -1.0])
    with np.errstate(over="ignore"):
        specials = specials.astype(dtype)
    for n in (1, 2, 15, 16, 17, 100, 128, 300):
        x = rng.choice(specials, (40, n))
        x[30, rng.integers(n)] = np.nan
        x[31, rng.integers(n)] = -np.nan
        x[32] = -np.inf
        x[33] = np.inf
        x[34] = np.nan
        f(df.tensor(x))
        np.testing.assert_array_equal(f(df.tensor(x)).numpy(), getattr(x, name)(axis=1))
    zeros = np.array([[0.0, -0.0], [-0.0, -0.0], [0.0, 0.0]], dtype)
    f(df.tensor(zeros))
    signs = np.signbit(f(df.tensor(zeros)).numpy()).tolist()
    assert signs == [name == "min", True, False]
    assert f.stats()["replays"] == 9


@pytest.mark.parametrize("rows", [1, 63, 64, 200])
def test_a_dear_last_stage_is_computed_for_many_rows_at_once(rows):
    """One store a row, a total over all rows, and a fold of booleans that the stage reads."""
    x = np.random.default_rng(rows).normal(size=(rows, 37)).astype(np.float32)

    @df.compile(wait=True)
    def f(x):
        each = df.where(df.any(x > 2.0, axis=1), df.log(df.exp(x).sum(axis=1)), -1.0)
        return each, df.tanh(x.max(axis=1)).mean()

    given = df.asarray(x)
    assert f.explain(given).count("once:") > 0
    for _ in range(2):
        each, mean = f(given)
    assert f.stats()["replays"] >= 1
    wide = x.astype(np.float64)
    wanted = np.where((x > 2).any(1), np.log(np.exp(wide).sum(1)), -1.0)
    np.testing.assert_allclose(each.numpy(), wanted, 2e-6)
    np.testing.assert_allclose(mean.numpy(), np.tanh(wide.max(1)).mean(), 2e-6)


def test_rows_are_put_aside_only_for_a_dear_last_stage():
    plain = reduce_rows("sum", float32)
    last = Stage((), (Let("l", "log", ("f",), float32),), (Store("O", "l"),))
    late = replaced(plain, stages=(plain.stages[0], last))
    assert "late_f0" in emit(late).source
    assert "late_f0" not in emit(plain).source


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_positions_of_equal_extremes_are_the_first(dtype):
    """Zeros of both signs are equal, and of NaNs the first counts."""
    rows = np.array([[0.0, -0.0, 1, 2], [-0.0, 0.0, -1, -1], [3, np.nan, 1, np.nan], [7, 7, 7, 7]])
    x = np.tile(rows, (3, 5)).astype(dtype)
    x[1, ::2] *= -1

    @df.compile(wait=True)
    def f(x):
        return x.argmin(axis=1), x.argmax(axis=1), abs(x).argmin(axis=1)

    given = df.asarray(x)
    f(given)
    lowest, highest, nearest = f(given)
    assert f.stats()["replays"] == 1
    same(lowest.numpy(), x.argmin(1))
    same(highest.numpy(), x.argmax(1))
    same(nearest.numpy(), abs(x).argmin(1))


@pytest.mark.parametrize("n", [1, 7, 50])
def test_what_columns_alone_need_is_computed_once_for_all_rows(n):
    @df.compile(wait=True)
    def standardised(x, w):
        mean = x.mean(axis=0)
        centred = (x - mean) * df.exp(w)
        spread = df.sqrt((centred * centred).mean(axis=0) + 1e-3)
        return centred / spread, (centred / spread).max(axis=0), df.any(x > mean, axis=0)

    rng = np.random.default_rng(n)
    x, w = rng.normal(size=(n, 1030)), rng.normal(size=1030)
    given = df.asarray(x), df.asarray(w)
    standardised(*given)
    found = standardised(*given)
    assert standardised.stats()["replays"] == 1
    centred = (x - x.mean(0)) * np.exp(w)
    wanted = centred / np.sqrt((centred * centred).mean(0) + 1e-3)
    np.testing.assert_allclose(found[0].numpy(), wanted, 1e-11, 1e-12)
    np.testing.assert_allclose(found[1].numpy(), wanted.max(0), 1e-11, 1e-12)
    same(found[2].numpy(), (x > x.mean(0)).any(0))


def test_a_column_stage_reads_what_was_put_aside():
    text = emit(column_mean_and_spread()).source
    outside, inside = text.split("for i1 in range(b1, b1 + (e1 - b1) // 4 * 4, 4):", 2)[1:]
    assert "/ c0" in outside
    assert "/ c0" not in inside.split("for i1 in range(b1 + ")[0]


def column_mean_and_spread() -> Kernel:
    """Columns, centred by their mean: a fold of what takes another fold."""
    first = Stage(("r",), (load("x", "X"),), (Fold("f", "sum", "x", float32),))
    centred = (load("y", "X"), Let("m", "divide", ("f", "c"), float32),
               Let("d", "subtract", ("y", "m"), float32))  # fmt: skip
    second = Stage(("r",), centred, (Fold("s", "sum", "d", float32),))
    last = Stage((), (), (Store("O", "s"),))
    accesses = Access("X", float32, "in", (1, "s")), Access("O", float32, "out", (1, 0))
    scalars = (Scalar("c", float32),)
    return Kernel((GRID_I, LOOP_R), accesses, scalars, (first, second, last), "i").verify()


def test_a_stage_of_many_dear_ops_is_written_once():
    plain = reduce_rows("sum", float32)
    lets = [plain.stages[0].lets[0]]
    for k in range(4):
        lets.append(Let(f"t{k}", "tanh", (lets[-1].name,), float32))
    for count, loops in ((1, 2), (4, 1)):
        sinks = tuple(replaced(sink, value=lets[count].name) for sink in plain.stages[0].sinks)
        heavy = Stage(plain.stages[0].over, tuple(lets[: count + 1]), sinks)
        source = emit(replaced(plain, stages=(heavy, *plain.stages[1:]))).source
        assert source.count("m_tanh") == count * loops
        assert source.count("whole_vectors()") == 1


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
def test_folds_of_a_single_element(shape, dtype):
    @df.compile(wait=True)
    def f(x):
        return x.sum() + x, x.max() * x, x.mean()

    x = df.asarray(np.full(shape, 3, dtype))
    f(x)
    total, largest, mean = f(x)
    assert f.stats()["replays"] == 1
    same(total.numpy(), np.full(shape, 6, total.numpy().dtype))
    same(largest.numpy(), np.full(shape, 9, dtype))
    assert float(mean) == 3


@pytest.mark.parametrize("dtype", ["float32", "float16", "int16", "complex64", "bool"])
@pytest.mark.parametrize("columns", [9, 130, 1100])
def test_columns_take_a_turned_operand_from_copies_of_its_rows(columns, dtype):
    def f(x, y):
        z = x.T + df.concat([y[1:], y[:1]], axis=0)
        return z.sum(axis=0), z * y

    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, (columns, 21)).astype(dtype)
    y = rng.integers(-3, 4, (21, columns)).astype(dtype)
    fast = df.compile(f, wait=True)
    tensors = df.asarray(x), df.asarray(y)
    for _ in range(2):
        found = fast(*tensors)
    assert fast.stats()["replays"] == 1
    assert "beside_p" in fast.explain()
    for one, wanted in zip(found, f(*tensors), strict=True):
        same(one.numpy(), wanted.numpy())


@pytest.mark.parametrize("length", [1000, 1536])
def test_rows_that_are_asked_for_ahead_have_the_bits_of_few_rows(length):
    x = np.random.default_rng(0).standard_normal((1200, length)).astype(np.float32)
    fast = df.compile(lambda x: df.softmax(x, axis=1) * df.mean(x, axis=1)[:, None], wait=True)
    for part in (x, x[:7]):
        fast(df.asarray(part))
    assert "ask(p0" in fast.explain()
    whole, few = fast(df.asarray(x)).numpy(), fast(df.asarray(x[:7])).numpy()
    assert fast.stats()["replays"] >= 2
    assert whole[:7].tobytes() == few.tobytes()
    wide = x.astype(np.float64)
    wide = np.exp(wide - wide.max(axis=1, keepdims=True))
    wide = wide / wide.sum(axis=1, keepdims=True) * x.mean(axis=1, dtype=np.float64)[:, None]
    np.testing.assert_allclose(whole, wide, rtol=2e-5, atol=1e-9)
