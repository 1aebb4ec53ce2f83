"""Maps over lines of memory: short and long ones, and parts between which comparisons turn."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow.ir.op import CATALOGUE

COMPARISONS = ("less", "less_equal", "greater", "greater_equal")
LENGTHS = (1, 2, 63, 64, 65, 700)
#: so few columns are written out in the text
WRITTEN_OUT = 4
LARGEST = np.iinfo(np.int64).max


def compiled_as_eager(function, *arrays: np.ndarray) -> str:
    """The text of the kernels; asserts that a replay has eager's bits."""
    tensors = [df.asarray(array) for array in arrays]
    fast = df.compile(function, wait=True)
    wanted = function(*tensors)
    for _ in range(2):
        found = fast(*tensors)
    assert fast.stats()["replays"] >= 1
    assert found.numpy().tobytes() == wanted.numpy().tobytes()
    assert found.dtype == wanted.dtype
    return fast.explain()


def lines(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_turn_where_their_records_say(name):
    op = CATALOGUE[name]
    truth = [bool(op.numpy(np.int64(i), np.int64(5))) for i in range(12)]
    (turn,) = [i for i in range(1, 12) if truth[i] != truth[i - 1]]
    assert turn == 5 + op.turns
    others = {op.name for op in CATALOGUE.values() if op.turns is not None}
    assert others == set(COMPARISONS)


@pytest.mark.parametrize("place", [-LARGEST - 1, -1, 0, 1, 40, 699, 700, LARGEST])
@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_of_places_are_eager_s_wherever_they_turn(name, place):
    def parts(x):
        return df.where(getattr(df, name)(df.arange(700), place), x * 2, x - 1)

    assert "while b0 < hi0" in compiled_as_eager(parts, lines(1, 700)[0])


@pytest.mark.parametrize("columns", LENGTHS)
def test_parts_of_lines_of_any_length(columns):
    def joined(x, y):
        return df.concat([x * 2, y[:, :1], df.abs(x - y)], axis=1) * 0.5

    text = compiled_as_eager(joined, lines(5, columns), lines(5, columns, 1))
    assert ("while b1 < hi1" in text) == (columns + 1 + columns > WRITTEN_OUT)


@pytest.mark.parametrize("columns", LENGTHS)
def test_rolled_lines(columns):
    def rolled(x):
        return df.roll(x, 1, 0) + df.roll(x, -1, 1) - 2 * x

    compiled_as_eager(rolled, lines(4, columns))


@pytest.mark.parametrize("columns", LENGTHS)
def test_a_triangle_turns_where_the_row_is(columns):
    def lower(x):
        rows, places = df.arange(6).reshape((6, 1)), df.arange(columns)
        return df.where(places <= rows, x, -x)

    text = compiled_as_eager(lower, lines(6, columns))
    assert ("wrap_add" in text) == (columns > WRITTEN_OUT)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "float16", "bool"])
@pytest.mark.parametrize("columns", LENGTHS)
def test_lines_apart_are_walked_in_whole_vectors_where_they_are_short(columns, dtype):
    def inner(x):
        return x[1:-1, 1:-1] + x[:-2, 1:-1]

    wide = (100 * lines(6, columns + 2)).astype(dtype)
    assert ("whole_vectors()" in compiled_as_eager(inner, wide)) == (columns > WRITTEN_OUT)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "float16", "bool", "complex64"])
@pytest.mark.parametrize("start", [1, 5, 17])
def test_long_lines_begin_where_those_of_the_cache_do(start, dtype):
    def around(x, y):
        return x[1:-1, start:] + x[2:, start:] + y[:-2, start:]

    wide, narrow = (100 * lines(5, 2601)).astype(dtype), (lines(5, 2601, 1) > 0).astype("int8")
    assert "ahead(p" in compiled_as_eager(around, wide, narrow)
    assert "ahead(p" in compiled_as_eager(around, narrow, wide[:, ::1])


TURNED = ("float32", "float64", "float16", "int8", "uint16", "int64", "bool", "complex64")


@pytest.mark.parametrize("dtype", TURNED)
@pytest.mark.parametrize("shape", [(16, 16), (15, 40), (33, 17), (80, 67), (3, 48, 33)])
def test_turned_tiles_and_what_is_left_of_them(shape, dtype):
    values = 100 * np.random.default_rng(0).standard_normal((2, *shape))
    x, y = values.astype(dtype)

    def turned(x, y):
        return df.matrix_transpose(x) + df.matrix_transpose(y)[..., ::1]

    text = compiled_as_eager(turned, x, y)
    assert ("turned(" in text) == (dtype != "complex64")


@pytest.mark.parametrize("shape", [(1104, 1024), (1103, 1030), (3, 608, 640)])
@pytest.mark.parametrize("dtype", ["float32", "int8", "float64"])
def test_far_tiles_are_asked_for_and_written_past_the_caches(shape, dtype):
    count = 4 * np.prod(shape) // 1000  # values that do not recur soon
    values = (np.arange(2 * np.prod(shape)) * 7919 % count % 251 - 125).astype(dtype)
    x, y = values.reshape(2, *shape)
    y = df.matrix_transpose(df.asarray(y)).copy().numpy()
    text = compiled_as_eager(lambda x, y: df.matrix_transpose(x) + y, x, y)
    assert "ask(p0" in text
    assert "laid(p2" in text


def test_far_tiles_are_the_same_in_parts():
    x = lines(1100, 1300)
    with df.config(threads=2):
        compiled_as_eager(lambda x: df.sqrt(df.abs(x.T)), x)


def test_turned_tiles_of_views():
    x = np.random.default_rng(0).standard_normal((70, 90)).astype(np.float32)

    def views(x):
        inner, back = x[3:67:2, 5:85], x[3:67:2, 84:4:-1]
        return df.sqrt(df.abs(inner.T)) + back.T, df.flip(inner, axis=0).T * 1

    for i in range(2):
        compiled_as_eager(lambda x, i=i: views(x)[i], x)


def test_a_plain_transpose_is_turned():
    x = np.random.default_rng(0).standard_normal((40, 50))
    assert "turned(" in compiled_as_eager(lambda x: (x.T * 1.0, x.T)[0], x)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("count", [5, 16])
def test_many_parts_are_one_kernel(count, axis):
    x = lines(40, 6 * count)

    def joined(x):
        return df.concat([x[:, i : i + 6 + i % 3] * i for i in range(count)], axis=1) - 1

    def piled(x):
        return df.concat([x[i : i + 1 + i % 3] * i for i in range(count)], axis=0) - 1

    text = compiled_as_eager((piled, joined)[axis], x)
    assert "program: 1 kernel launches" in text
    if axis == 0 and count == 16:
        assert "select(" not in text, "each part has a loop"


@pytest.mark.parametrize("count", [6, 16, 40])
def test_parts_that_are_chosen_again_by_other_conditions(count):
    xs = [lines(3, 90, seed=i) for i in range(count)]

    def chosen(*xs):
        piled = df.concat([x * (i + 1) for i, x in enumerate(xs)], axis=0)
        joined = df.concat([x[:, :7] for x in xs], axis=1)
        return piled[:, : 7 * 6] * joined[:1, : 7 * 6] + df.where(
            piled[:, :42] > 0, piled[:, :42], 1
        )

    compiled_as_eager(chosen, *xs)


@pytest.mark.parametrize("count", [5, 6, 7, 8, 12, 40])
def test_many_numbers_are_stacked(count):
    compiled = df.compile(lambda x: df.stack([x[i] * i for i in range(count)]), wait=True)
    x = df.arange(float(count))
    for _ in range(2):
        assert compiled(x).tolist() == [float(i * i) for i in range(count)]
    assert compiled.stats()["replays"] == 1


@pytest.mark.parametrize(("side", "calls"), [(8, 0), (120, 1)])
def test_many_narrow_parts_are_left_to_numpy_where_they_are_long(side, calls):
    def stacked(x):
        return df.stack([x * i for i in range(6)], axis=-1) + 1

    assert f"{calls} library calls" in compiled_as_eager(stacked, lines(side, side))
