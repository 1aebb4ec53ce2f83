"""Scatters run by texts of our own: NumPy's bits, order and errors, whatever lies where."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import IndexingError
from dualflow.ir.program import Call
from dualflow.runtime import cpu

CASES = {
    "rows of a table": ((50, 7), 0, 300, "float32", "int64"),
    "columns": ((5, 50), 1, 77, "float64", "int32"),
    "a middle axis": ((3, 20, 4), 1, 33, "int32", "int64"),
    "a vector": ((256,), 0, 1000, "float64", "int64"),
    "a vector by few": ((9,), 0, 7, "float32", "int32"),
    "a vector by fewer": ((9,), 0, 3, "int64", "int64"),
}


@pytest.fixture(autouse=True)
def no_python(monkeypatch):
    """Calls that Python would run fail."""

    def refuse(step: Call, layout: object) -> None:
        raise AssertionError(f"{step.op.name} is left to Python")

    monkeypatch.setattr(cpu, "PythonCall", refuse)


def given(case: str, alike: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, indices from both ends (`alike`: the same for all lines), values; many for each place."""
    shape, axis, count, dtype, kind = CASES[case]
    rng, size = np.random.default_rng(0), shape[axis]
    places = (*shape[:axis], count, *shape[axis + 1 :])
    indices = rng.integers(-size, size, places).astype(kind)
    if alike:
        one = indices[tuple(slice(None) if k == axis else slice(1) for k in range(len(shape)))]
        indices = np.broadcast_to(one, places)
    values = (100 * rng.standard_normal(places)).astype(dtype)
    return (100 * rng.standard_normal(shape)).astype(dtype), indices, values


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_scatters_have_the_bits_of_numpy(case, alike):
    x, indices, values = given(case, alike)
    axis = CASES[case][1]

    @df.compile(wait=True)
    def both(x, i, v):
        return (df.scatter_add(x, i, v + v, axis=axis), df.scatter(x, i, v + v, axis=axis))

    grids = list(np.indices(indices.shape))
    grids[axis] = indices
    added, put = x.copy(), x.copy()
    np.add.at(added, tuple(grids), values + values)
    put[tuple(grids)] = values + values
    tensors = [df.asarray(array) for array in (x, indices, values)]
    for _ in range(2):
        found = both(*tensors)
    assert both.stats()["replays"] >= 1
    for one, other in zip(found, (added, put), strict=True):
        assert one.numpy().tobytes() == other.tobytes()


@pytest.mark.parametrize("wrong", [50, -51])
def test_an_index_out_of_bounds_is_named_as_by_eager_mode(wrong):
    x, indices, values = given("rows of a table", alike=True)

    @df.compile(wait=True)
    def add(x, i, v):
        return df.scatter_add(x, i, v, axis=0)

    tensors = [df.asarray(array) for array in (x, indices, values)]
    add(*tensors)
    add(*tensors)
    tensors[1] = df.asarray(np.where(indices == 3, wrong, indices))
    with pytest.raises(IndexingError, match=f"index {wrong} for axis 0 of size 50"):
        add(*tensors)


def test_the_gradient_of_an_embedding():
    table = df.asarray(np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32))
    rows = df.asarray(np.array([3, 3, 0, 19, 3]))

    @df.compile(wait=True)
    def gradient(table, rows):
        return df.grad(lambda table: (table[rows] ** 2).sum())(table)

    gradient(table, rows)
    found = gradient(table, rows).numpy()
    assert gradient.stats()["replays"] == 1
    counts = np.bincount(rows.numpy(), minlength=20)[:, None]
    np.testing.assert_allclose(found, 2 * counts * table.numpy(), rtol=1e-6)


@pytest.mark.parametrize("at", [0, 5, 9])
@pytest.mark.parametrize("step", [1, 2])
def test_vectors_refuse_an_index_wherever_it_stands(at, step):
    x, indices = df.zeros(8), np.arange(10 * step) % 8

    @df.compile(wait=True)
    def add(x, i, v):
        return df.scatter_add(x, i[::step], v + v)

    values = df.ones(10)
    for _ in range(2):
        found = add(x, df.asarray(indices), values)
    wanted = 2 * np.bincount(indices[::step], minlength=8)
    np.testing.assert_array_equal(found.numpy(), wanted.astype(np.float32))
    assert add.stats()["replays"] >= 1
    indices[at * step] = -9
    with pytest.raises(IndexingError, match="index -9 for axis 0 of size 8"):
        add(x, df.asarray(indices), values)
