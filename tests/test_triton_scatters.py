"""Scatters as Triton texts: against NumPy in the interpreter, compiled ahead of time, the same bits
whatever order they come in."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("triton")

from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from ml_dtypes import bfloat16
from schedule_graphs import Builder
from test_codegen_triton_ahead import accesses_in, spilled
from triton_kernels import BOOL, C64, C128, F16, F32, F64, I32, I64

import dualflow as df
from dualflow import errors
from dualflow.codegen.triton_forms import forms
from dualflow.ir.backend import NUMBA, TRITON
from dualflow.ir.form import Form
from dualflow.ir.graph import Graph
from dualflow.ir.interpret import interpret
from dualflow.ir.program import Program
from dualflow.ir.types import View
from dualflow.ops import primitives as p
from dualflow.runtime.gpu.compile import build
from dualflow.schedule import plan
from dualflow.schedule.scattering import order_scatters

BF16 = np.dtype(bfloat16)
DTYPES = [BOOL, I32, I64, F16, BF16, F32, C64, C128]
TARGETS = [("cuda", 80, 32), ("cuda", 90, 32), ("hip", "gfx942", 64)]
#: shape, axis, how many values a line, and whether all lines have the same indices
CASES = {
    "rows of a table": ((20, 18), 0, 30, True),
    "columns": ((2, 40), 1, 33, False),
    "a middle axis": ((2, 11, 5), 1, 17, False),
    "a vector by few": ((100,), 0, 3, True),
    "many for few places": ((2,), 0, 150, True),
}


def given(case: str, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, indices from both ends, values."""
    shape, axis, count, alike = CASES[case]
    rng = np.random.default_rng(0)
    places = (*shape[:axis], count, *shape[axis + 1 :])
    indices = rng.integers(-shape[axis], shape[axis], places)
    if alike:
        one = indices[tuple(slice(None) if k == axis else slice(1) for k in range(len(shape)))]
        indices = np.broadcast_to(one, places)
    x, values = (rng.integers(-9, 9, s) for s in (shape, places))
    if dtype.kind in "fc" or dtype == BF16:
        values = values / 4
    if dtype.kind == "c":
        values = values + 0.5j * values[::-1]
    return x.astype(dtype), indices, values.astype(dtype)


def expected(x: np.ndarray, indices: np.ndarray, values: np.ndarray, axis: int) -> list[np.ndarray]:
    grids = list(np.indices(indices.shape, sparse=True))
    grids[axis] = indices
    wide = np.result_type(x.dtype, F32) if x.dtype in (F16, BF16) else x.dtype
    added, put = x.astype(wide), x.copy()
    np.add.at(added, tuple(grids), values.astype(wide))
    put[tuple(grids)] = values
    return [added.astype(x.dtype), put]


def compiled(axis: int, **settings) -> df.Compiled:
    """Both scatters, with operations around that are to run in their kernels."""

    def both(x, i, v):
        twice = v if v.dtype == df.bool else v + v
        return df.scatter_add(x, i, twice, axis=axis), df.scatter(x, i, v, axis=axis)

    return df.compile(both, wait=True, **settings)


def check(case: str, dtype: np.dtype) -> None:
    """Sums that floats hold exactly, so that the order of NumPy's additions does not count."""
    before = df.stats()["host_fallbacks"]
    x, indices, values = given(case, dtype)
    axis = CASES[case][1]
    twice = values if dtype == BOOL else values + values
    wanted = [expected(x, indices, twice, axis)[0], expected(x, indices, values, axis)[1]]
    f = compiled(axis)
    there = [df.asarray(a).to("cuda") for a in (x, indices, values)]
    for _ in range(2):
        found = f(*there)
    assert f.stats()["replays"] == 1
    assert df.stats()["host_fallbacks"] == before
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.to("cpu").numpy(), other, strict=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_scatters_are_numpys(gpu, dtype):  # noqa: F811
    few = "rows of a table" if dtype.itemsize > 2 else "columns"
    for case in CASES if dtype in (F32, I32) else [few]:
        check(case, dtype)


def test_nan_infinities_and_zeros_of_both_signs_stay(gpu):  # noqa: F811
    x = np.array([-0.0, -0.0, 0.0, 1.0, -0.0, 2.0], F32)
    values = np.array([-0.0, np.nan, np.inf, -np.inf, 3.0, np.inf], F32)
    indices = np.array([1, 3, 4, 4, 2, 5])
    f = compiled(0)
    there = [df.asarray(a).to("cuda") for a in (x, indices, values)]
    for _ in range(2):
        found = f(*there)
    with np.errstate(invalid="ignore"):
        wanted = [expected(x, indices, values + values, 0)[0], expected(x, indices, values, 0)[1]]
    for one, other in zip(found, wanted, strict=True):
        one = one.to("cpu").numpy()
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(np.signbit(one), np.signbit(other))


def test_an_eager_call_has_the_bits_of_a_compiled_one_and_nothing_is_done_on_the_host(gpu):  # noqa: F811
    rng, before = np.random.default_rng(3), df.stats()["host_fallbacks"]
    x, v = rng.standard_normal(20).astype(F32), rng.standard_normal(90).astype(F32)
    i = rng.integers(0, 20, 90)
    there = [df.asarray(a).to("cuda") for a in (x, i, v)]
    f = df.compile(lambda x, i, v: (df.scatter_add(x, i, v), df.scatter(x, i, v)), wait=True)
    for _ in range(2):
        found = f(*there)
    with df.config(numerics="exact"):
        g = df.compile(lambda x, i, v: (df.scatter_add(x, i, v), df.scatter(x, i, v)), wait=True)
        for _ in range(2):
            exactly = g(*there)
    assert f.stats()["replays"] == g.stats()["replays"] == 1
    for one, other in zip(found, exactly, strict=True):
        assert one.to("cpu").numpy().tobytes() == other.to("cpu").numpy().tobytes()
    with df.config(numerics="fast"):  # what is compiled so serves no call that asks for order
        df.scatter_add(*there)
    eager = df.scatter_add(*there), df.scatter(*there)
    assert df.stats()["host_fallbacks"] == before
    exact = x.astype(F64)
    np.add.at(exact, i, v.astype(F64))
    for one, other in zip(found, eager, strict=True):
        assert one.to("cpu").numpy().tobytes() == other.to("cpu").numpy().tobytes()
    np.testing.assert_array_equal(found[0].to("cpu").numpy(), exact.astype(F32))  # rounded once


def test_the_order_of_values_does_not_change_a_bit(gpu):  # noqa: F811
    """Of a sum: values for a place come in their own order, whatever lies between them."""
    rng = np.random.default_rng(4)
    i, v = rng.integers(0, 7, 90), rng.standard_normal(90).astype(F64)
    f = df.compile(lambda i, v: df.scatter_add(v[:7] * 0, i, v), wait=True)
    found = [
        f(df.asarray(i[order]).to("cuda"), df.asarray(v[order]).to("cuda")).to("cpu").numpy()
        for order in (np.arange(90), np.argsort(i, kind="stable"), np.arange(90))
    ]
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()
    assert f.stats()["replays"] >= 2


def test_an_index_out_of_bounds_leaves_everything_as_it_was(gpu):  # noqa: F811
    f = df.compile(lambda x, i, v: df.scatter_add(x, i, v * 2), wait=True)
    for dtype in (df.float32, df.int64):
        x, v = df.zeros(5, dtype=dtype, device="cuda"), df.ones(3, dtype=dtype, device="cuda")
        for wrong in (-6, 5):
            for at in ([0, 1, -5], [0, 1, wrong]):
                i = df.asarray(at, device="cuda")
                if wrong not in at:
                    assert f(x, i, v).tolist() == f(x, i, v).tolist()
                    continue
                with pytest.raises(errors.IndexingError, match=f"index {wrong} for axis 0"):
                    f(x, i, v)
        assert x.tolist() == [0] * 5


def test_the_gradient_of_an_embedding(gpu):  # noqa: F811
    table = np.random.default_rng(0).normal(size=(20, 8)).astype(F32)
    rows = np.array([3, 3, 0, 19, 3])

    @df.compile(wait=True)
    def gradient(table, rows):
        return df.grad(lambda table: (table[rows] ** 2).sum())(table)

    there = df.asarray(table).to("cuda"), df.asarray(rows).to("cuda")
    for _ in range(3):
        found = gradient(*there).to("cpu").numpy()
    assert gradient.stats()["replays"] == 2
    assert "scatter of sorted values" in gradient.explain(*there)
    np.testing.assert_allclose(found, 2 * np.bincount(rows, minlength=20)[:, None] * table, 1e-6)


# Ways ---------------------------------------------------------------------------------------------


def graph_of(
    dtype: np.dtype, lone: bool = True, count: int = 300, width: int = 8, op=p.scatter_add
) -> Graph:
    """A scatter into rows of what is computed, at places that are computed."""
    b = Builder()
    x, i, v = b.tensor(50, width, dtype=dtype), b.tensor(count, dtype=I64), b.tensor(
        count, width, dtype=dtype)  # fmt: skip
    at = b(p.expand, b(p.reshape, b(p.add, i, i), shape=(count, 1)), shape=(count, width))
    if not lone:
        at = b.tensor(count, width, dtype=I64)
    return b.build([b(op, x, at, b(p.multiply, v, v), axis=0)])


def planned(graph: Graph) -> tuple[Program, Form]:
    program = plan(graph, [View.contiguous(v.shape) for v in graph.inputs], TRITON)
    found = forms(program)
    return program, next(form for form in found.values() if "scatter" in form.what)


def test_what_is_computed_of_values_and_indices_is_part_of_the_kernels():
    program, form = planned(graph_of(I64))
    assert [type(step).__name__ for step in program.steps] == ["Launch", "Launch", "Call"]
    assert (form.covers, form.what) == ((1, 2), "scatter that adds as values come")
    assert "tl.atomic_add" in form.text.source
    program, form = planned(graph_of(F32))
    assert [type(step).__name__ for step in program.steps] == ["Launch", "Call", "Launch", "Launch",
                                                               "Call"]  # fmt: skip
    assert "tl.atomic" not in form.text.source
    with df.config(numerics="fast"):
        _, form = planned(graph_of(F32))
    assert "tl.atomic_add" in form.text.source


@pytest.mark.parametrize("lone", [True, False])
@pytest.mark.parametrize("dtype", [F32, I64])
def test_the_graph_means_the_same(dtype, lone):
    graph, rng = graph_of(dtype, lone), np.random.default_rng(0)
    given = [rng.integers(-5, 5, v.shape).astype(v.dtype) for v in graph.inputs]
    ordered = order_scatters(graph, TRITON)
    assert ordered is not graph
    np.testing.assert_array_equal(interpret(ordered, given)[0], interpret(graph, given)[0])
    assert order_scatters(graph, NUMBA) is graph


def test_two_scatters_by_the_same_indices_sort_them_once():
    b = Builder()
    x, i, v = b.tensor(9), b.tensor(30, dtype=I64), b.tensor(30)
    graph = b.build([b(p.scatter_add, x, i, v, axis=0), b(p.put, x, i, v, axis=0)])
    ordered = order_scatters(graph, TRITON)
    assert sum(node.op is p.argsort.op for node in ordered.nodes) == 1


def test_what_lies_otherwise_than_three_axes_is_done_by_the_library(gpu):  # noqa: F811
    """Values whose axes after the scattered one cannot be seen as one are left to the host."""
    x, v = np.zeros((4, 3, 5), F32), np.ones((5, 6, 3), F32)
    i = np.arange(6).reshape(6, 1, 1) % 4
    f = df.compile(lambda x, i, v: df.scatter_add(x, i, v.permute_dims(1, 2, 0)), wait=True)
    there = [df.asarray(a).to("cuda") for a in (x, i, v)]
    for _ in range(2):
        found = f(*there)
    wanted = np.bincount(i.ravel(), minlength=4).astype(F32)[:, None, None]
    np.testing.assert_array_equal(found.to("cpu").numpy(), np.broadcast_to(wanted, x.shape))


# Ahead of time ------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: str(t[1]))
@pytest.mark.parametrize(
    ("dtype", "op", "width"),
    [(F32, p.scatter_add, 768), (F32, p.scatter_add, 1), (BF16, p.scatter_add, 768),
     (C64, p.scatter_add, 64), (F64, p.put, 64), (I64, p.scatter_add, 1),
     (np.dtype("uint32"), p.scatter_add, 64)],
)  # fmt: skip
def test_machine_code_spills_nothing_and_reads_wide(target, dtype, op, width, tmp_path):
    _, form = planned(graph_of(dtype, count=4096, width=width, op=op))
    chosen = form.variants([True] * len(form.operands))[0]
    asm = build(form.text, chosen, target).asm
    if target[0] == "hip":
        assert re.search(r"\.vgpr_spill_count:\s+0\b", asm["amdgcn"])
        return
    assert spilled(asm["ptx"], tmp_path, target[1]) == 0
    if form.copies:
        assert re.search(r"\b(red|atom)\.\S*\.add\.[us]", asm["ptx"])
    elif width > 1 and dtype == F32:
        assert accesses_in(asm["ptx"], "ld")[0]


def test_positions_beyond_32_bits_are_counted_in_64():
    _, form = planned(graph_of(F32, count=64, width=1 << 26))
    assert form.variants([True] * 4)[0].indices == "i64"
    build(form.text, form.variants([True] * 4)[0], TARGETS[1])
