"""Folds over what the grid of another group computes: one kernel, with totals and closing stages.

Each program is run by the interpreter of kernels and by machine code, and compared with NumPy.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from kernel_interpreter import run
from schedule_graphs import Builder

import dualflow as df
from dualflow.base.dtypes import bool_, float16, float32, float64, int32, int64
from dualflow.base.errors import IndexingError
from dualflow.codegen import numba, triton
from dualflow.ir.backend import TRITON
from dualflow.ir.graph import Graph, Value
from dualflow.ir.interpret import interpret
from dualflow.ir.kernel import Kernel, Total
from dualflow.ir.program import Launch, Program
from dualflow.ir.types import View
from dualflow.ops import primitives as p
from dualflow.passes import simplify
from dualflow.runtime import cpu
from dualflow.schedule import plan


def compiled(program: Program) -> cpu.Executable:
    texts = {launch.kernel: numba.emit(launch.kernel) for launch in program.launches}
    return cpu.prepare(program, texts).result()


def checked(
    graph: Graph, arrays: list[np.ndarray] | None = None, layouts: list[View] | None = None
) -> list[Kernel]:
    """The kernels, after runs of both kinds that were compared with the graph's meaning."""
    program = plan(simplify(graph.verify()), layouts)
    rng = np.random.default_rng(3)
    arrays = arrays or [rng.uniform(0.2, 2, v.shape).astype(v.dtype) for v in graph.inputs]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        wanted, slow = interpret(graph, arrays), run(program, arrays)
    given = [laid_out(a, view) for a, view in zip(arrays, layouts or [], strict=False)] or arrays
    fast = compiled(program).run(given)
    for one, two, three in zip(wanted, slow, fast, strict=True):
        rtol = 2e-3 if one.dtype == float16 else 2e-5 if one.dtype == float32 else 1e-12
        np.testing.assert_allclose(two, one, rtol=rtol, strict=True)
        np.testing.assert_allclose(three, one, rtol=rtol, strict=True)
    assert all(isinstance(step, Launch) for step in program.steps), str(program)
    return [launch.kernel for launch in program.launches]


def laid_out(array: np.ndarray, view: View) -> np.ndarray:
    """The array, its elements where `view` says."""
    flat = np.zeros(view.extent[1], array.dtype)
    steps = [stride * array.itemsize for stride in view.strides]
    made = np.lib.stride_tricks.as_strided(flat[view.offset :], view.shape, steps)
    made[...] = array
    return made


def log_sum_exp(b: Builder, x: Value, axis: int = 1) -> Value:
    top = b.spread(b(p.max, x, axes=(axis,)), x.shape, (axis,))
    total = b(p.sum, b(p.exp, b(p.subtract, x, top)), axes=(axis,))
    return b(p.add, b(p.log, total), b(p.max, x, axes=(axis,)))


def mean(b: Builder, x: Value) -> Value:
    total = b(p.sum, x, axes=tuple(range(len(x.shape))))
    return b(p.divide, total, b.full((), float(max(x.type.size, 1)), x.dtype))


@pytest.mark.parametrize("dtype", [float16, float32, float64])
@pytest.mark.parametrize("rows", [1, 2, 300])
def test_the_mean_of_rows_is_one_kernel(dtype, rows):
    b = Builder()
    graph = b.build([mean(b, log_sum_exp(b, b.tensor(rows, 9, dtype=dtype)))])
    (kernel,) = checked(graph)
    assert kernel.totals == ("i0",)
    assert kernel.lanes in kernel.loops
    assert len(kernel.closing) == 1
    assert len(kernel.accesses) == 2  # the rows and the mean: nothing between lies in memory


@pytest.mark.parametrize("op", [p.sum, p.max, p.min, p.prod])
@pytest.mark.parametrize("dtype", [float16, float32, float64, int32, int64])
def test_every_fold_of_values_can_be_a_total(op, dtype):
    b = Builder()
    rows = b(p.max, b.tensor(7, 5, dtype=dtype), axes=(1,))
    data = (np.arange(35).reshape(7, 5) % 3 + 1).astype(dtype)
    (kernel,) = checked(b.build([b(op, rows, axes=(0,))]), [data])
    assert [sink.op for sink in kernel.sinks if isinstance(sink, Total)] == [op.op.name]


@pytest.mark.parametrize("op", [p.any, p.all, p.sum])
def test_totals_of_booleans(op):
    for data in (np.zeros((4, 3)), np.ones((4, 3)), np.eye(4, 3)):
        b = Builder()
        rows = b(p.any, b.tensor(4, 3, dtype=bool_), axes=(1,))
        assert len(checked(b.build([b(op, rows, axes=(0,))]), [data.astype(bool)])) == 1


@pytest.mark.parametrize("op", [p.argmax, p.argmin])
def test_the_position_of_an_extreme_row(op):
    b = Builder()
    rows = b(p.sum, b.tensor(6, 4, dtype=float64), axes=(1,))
    data = np.random.default_rng(1).integers(0, 3, (6, 4)).astype(float64)
    assert len(checked(b.build([b(op, rows, axes=(0,))]), [data])) == 1
    data[2, 1] = np.nan
    assert len(checked(b.build([b(op, rows, axes=(0,))]), [data])) == 1


def test_totals_over_some_axes_of_the_grid():
    b = Builder()
    x = b.tensor(3, 4, 5)
    rows = log_sum_exp(b, x, 2)
    (kernel,) = checked(b.build([b(p.sum, rows, axes=(1,))]))
    assert kernel.grid == ("i0", "i1")
    assert kernel.totals == ("i1",)
    (kernel,) = checked(b.build([b(p.max, rows, axes=(0,))]))
    assert kernel.totals == ("i1",)
    (kernel,) = checked(b.build([mean(b, rows)]))
    assert kernel.grid == kernel.totals


def test_totals_over_columns_have_their_lanes_on_the_grid():
    for columns in (9, 130, 2500):
        for dtype in (float16, float32, float64):
            b = Builder()
            x = b.tensor(4, columns, dtype=dtype)
            (kernel,) = checked(b.build([mean(b, log_sum_exp(b, x, 0))]))
            assert kernel.folds_across_lanes
            assert kernel.totals == (kernel.lanes,)
    for op in (p.max, p.argmin):
        b = Builder()
        columns = b(p.sum, b.tensor(4, 1500, dtype=float64), axes=(0,))
        (kernel,) = checked(b.build([b(op, columns, axes=(0,))]))
        assert kernel.folds_across_lanes


def test_a_total_does_not_take_the_lanes_from_their_axis():
    b = Builder()
    inner = b(p.sum, b(p.exp, b.tensor(3, 4, 50)), axes=(1,))
    first, second = checked(b.build([b(p.sum, b(p.log, inner), axes=(0,))]))
    assert first.lanes in first.grid
    assert not first.totals
    assert not second.totals


def test_loss_and_accuracy_of_rows_close_one_kernel():
    b = Builder()
    x, labels = b.tensor(12, 5), b.tensor(12, dtype=int64)
    right = b(p.equal, b(p.argmax, x, axes=(1,)), labels)
    accuracy = b(p.sum, b(p.cast, right, dtype=float32), axes=(0,))
    data = np.random.default_rng(5).standard_normal((12, 5)).astype(float32)
    (kernel,) = checked(b.build([mean(b, log_sum_exp(b, x)), accuracy]), [data, np.arange(12) % 5])
    assert len([sink for sink in kernel.sinks if isinstance(sink, Total)]) == 2


def test_rows_that_are_also_an_output_or_weighted():
    b = Builder()
    x, weights = b.tensor(6, 5), b.tensor(6)
    rows = log_sum_exp(b, x)
    weighted = b(p.sum, b(p.multiply, rows, weights), axes=(0,))
    total = b(p.sum, weights, axes=(0,))
    (kernel,) = checked(b.build([rows, b(p.divide, weighted, total)]))
    assert len(kernel.accesses) == 4
    assert len(kernel.closing) == 1


def test_rows_of_a_transposed_input():
    b = Builder()
    x = b.tensor(12, 9)
    graph = b.build([mean(b, log_sum_exp(b, x))])
    (kernel,) = checked(graph, layouts=[View((12, 9), (1, 12))])
    assert kernel.lanes in kernel.grid
    (kernel,) = checked(graph, layouts=[View((12, 9), (30, 3), 1)])
    assert kernel.lanes in kernel.loops


def test_what_needs_two_walks_over_the_rows_is_two_kernels():
    b = Builder()
    rows = log_sum_exp(b, b.tensor(6, 5))
    centered = b(p.subtract, rows, b.spread(mean(b, rows), (6,), (0,)))
    assert len(checked(b.build([centered]))) == 2
    assert len(checked(b.build([mean(b, b(p.multiply, centered, centered))]))) == 2
    flipped = b(p.slice, rows, starts=(5,), stops=(-1,), steps=(-1,))
    kernels = checked(b.build([mean(b, b(p.multiply, rows, flipped))]))
    assert not any(kernel.totals for kernel in kernels)


def test_a_kernel_between_the_rows_and_their_total_keeps_them_apart():
    b = Builder()
    x, table = b.tensor(6, 6), b.tensor(6, 6)
    rows = log_sum_exp(b, x)
    product = b(p.matmul, table, b(p.reshape, rows, shape=(6, 1)))
    sums = b(p.sum, b(p.reshape, product, shape=(6,)), axes=(0,)), b(p.sum, rows, axes=(0,))
    graph = b.build([b(p.divide, *sums)])
    program = plan(simplify(graph))
    assert len(program.launches) == 2
    assert not any(launch.kernel.totals for launch in program.launches)
    arrays = [np.random.default_rng(2).uniform(0, 1, (6, 6)).astype(float32) for _ in "ab"]
    (wanted,) = interpret(graph, arrays)
    np.testing.assert_allclose(compiled(program).run(arrays)[0], wanted, rtol=1e-5)


def test_a_row_beside_a_fold_of_one_element_is_no_total():
    b = Builder()
    row = b(p.sum, b(p.tanh, b.tensor(3, dtype=float64)), axes=(0,))
    one = b(p.sum, b.tensor(1, 1, dtype=float64), axes=(0, 1))
    kernels = checked(b.build([b(p.add, row, one)]))
    assert not any(kernel.totals for kernel in kernels)


def test_an_index_out_of_bounds_is_told_whatever_the_total():
    b = Builder()
    x, labels = b.tensor(4, 5), b.tensor(4, dtype=int64)
    at = b(p.reshape, labels, shape=(4, 1))
    picked = b(p.reshape, b(p.gather, x, at, axis=1), shape=(4,))
    loss = b(p.subtract, log_sum_exp(b, x), picked)
    program = plan(simplify(b.build([b(p.sum, loss, axes=(0,))])))
    assert len(program.launches) == 1
    executable, data = compiled(program), np.zeros((4, 5), float32)
    (found,) = executable.run([data, np.array([0, 4, -5, -1])])
    np.testing.assert_allclose(found, 4 * math.log(5), rtol=1e-6)
    with pytest.raises(IndexingError):
        executable.run([data, np.array([0, 4, 5, -1])])


def test_a_total_may_take_the_memory_of_an_input():
    b = Builder()
    x, old = b.tensor(6, 5), b.tensor()
    rows = log_sum_exp(b, x)
    for value, in_place in ((mean(b, rows), True), (b(p.add, mean(b, rows), old), False)):
        graph = b.build([value])
        program = plan(graph, into={0: graph.inputs.index(old)})
        assert len(program.launches) == 1
        assert (program.outputs[0].buffer.place == "input") == in_place
        arrays = [np.ones((6, 5), float32), np.array(2, float32)]
        wanted = interpret(graph, arrays)
        np.testing.assert_allclose(compiled(program).run(arrays)[0], wanted[0], rtol=1e-6)


@pytest.mark.parametrize("dtype", [float32, float64])
def test_totals_are_as_accurate_as_pairwise_sums(dtype):
    rng = np.random.default_rng(0)
    for size in (1000, 100_003):
        b = Builder()
        rows = b(p.max, b.tensor(size, 2, dtype=dtype), axes=(1,))
        program = plan(b.build([b(p.sum, rows, axes=(0,))]))
        assert len(program.launches) == 1
        data = rng.standard_normal((size, 2)).astype(dtype)
        (found,) = compiled(program).run([data])
        exact = math.fsum(data.max(axis=1).tolist())
        assert abs(float(found) - exact) <= np.finfo(dtype).eps * abs(exact)


def test_a_backend_without_totals_gets_two_kernels():
    b = Builder()
    graph = b.build([mean(b, log_sum_exp(b, b.tensor(8, 16)))])
    (kernel,) = (launch.kernel for launch in plan(graph).launches)
    with pytest.raises(NotImplementedError, match="totals"):
        triton.emit(kernel)
    kernels = [launch.kernel for launch in plan(graph, backend=TRITON).launches]
    assert [kernel.totals for kernel in kernels] == [(), ()]
    assert all("tl.store" in triton.emit(kernel).source for kernel in kernels)


def test_a_batch_of_another_size_has_the_same_kernel():
    found = set()
    for rows in (2, 3, 17):
        b = Builder()
        found.add(plan(b.build([mean(b, log_sum_exp(b, b.tensor(rows, 9)))])).launches[0].kernel)
    assert len(found) == 1


def test_kernels_with_totals_are_verified():
    b = Builder()
    kernel = plan(b.build([mean(b, log_sum_exp(b, b.tensor(8, 16)))])).launches[0].kernel
    without = Kernel(kernel.axes, kernel.accesses, kernel.scalars, kernel.stages[:-1],
                     kernel.lanes, kernel.closing)  # fmt: skip
    with pytest.raises(AssertionError, match="totals fold over total axes"):
        without.verify()
    assert "kernel grid() total(i0) loop(j0) lanes j0" in str(kernel)
    assert "closing:" in str(kernel)


def test_a_group_that_folds_nothing_closes_none():
    """Numbers and columns of tangents of tangents, which share a kernel, beside rows of them."""
    x = df.asarray(np.random.default_rng(1).normal(size=6)).copy()

    def scanned(x):
        c, made = df.scan(lambda c, t: (df.sin(c) * t + c, c * t), x.sum(), x)
        return c + (made * made).sum()

    @df.compile(wait=True)
    def second(x):
        return df.jacfwd(df.jacfwd(scanned))(x)

    with df.config(on_compiler_error="raise"):
        second(x)
        found = second(x)
    assert second.stats()["replays"] == 1
    np.testing.assert_allclose(found.numpy(), df.jacfwd(df.jacfwd(scanned))(x).numpy(), 1e-12)


@pytest.mark.parametrize("shape", [(5, 7, 1), (5, 7, 1, 3), (4, 1, 5, 1, 3), (2, 1500, 1, 30)])
def test_a_fold_in_two_has_axes_of_one_element_after_those_it_folds_first(shape):
    b = Builder()
    x = b.tensor(*shape, dtype=float64)
    made = b(p.subtract, x, b.spread(b(p.max, x, axes=(1,)), shape, (1,)))
    assert checked(b.build([b(p.sum, made, axes=(0, 1, 2))]))
