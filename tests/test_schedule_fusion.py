"""What becomes one kernel: hand-made graphs, the number of steps, and the values they compute."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from kernel_interpreter import run
from schedule_graphs import Builder, parts

import dualflow as df
from dualflow.base.config import config
from dualflow.base.dtypes import float16, float32, int32, int64, uint32, uint64
from dualflow.base.errors import IndexingError
from dualflow.ir.graph import Graph, Value
from dualflow.ir.interpret import interpret
from dualflow.ir.kernel import Keep, Kernel
from dualflow.ir.program import Launch, Program
from dualflow.ir.types import View
from dualflow.ops import primitives as p
from dualflow.passes import simplify
from dualflow.schedule import plan, plan_with_reasons


def softmax(b: Builder, x: Value, axis: int) -> Value:
    largest = b.spread(b(p.max, x, axes=(axis,)), x.shape, (axis,))
    e = b(p.exp, b(p.subtract, x, largest))
    return b(p.divide, e, b.spread(b(p.sum, e, axes=(axis,)), x.shape, (axis,)))


def layer_norm(b: Builder, x: Value, weight: Value, bias: Value) -> Value:
    rows, columns = x.shape
    n = b.full((rows,), float(columns))
    mean = b(p.divide, b(p.sum, x, axes=(1,)), n)
    centred = b(p.subtract, x, b.spread(mean, x.shape, (1,)))
    variance = b(p.divide, b(p.sum, b(p.multiply, centred, centred), axes=(1,)), n)
    deviation = b(p.sqrt, b(p.add, variance, b.full((rows,), 1e-5)))
    y = b(p.divide, centred, b.spread(deviation, x.shape, (1,)))
    y = b(p.multiply, y, b(p.expand, weight, shape=x.shape))
    return b(p.add, y, b(p.expand, bias, shape=x.shape))


def losses(b: Builder, x: Value, labels: Value) -> Value:
    """cross_entropy of each row."""
    largest = b.spread(b(p.max, x, axes=(1,)), x.shape, (1,))
    shifted = b(p.subtract, x, largest)
    total = b(p.sum, b(p.exp, shifted), axes=(1,))
    logs = b(p.subtract, shifted, b.spread(b(p.log, total), x.shape, (1,)))
    at = b(p.reshape, labels, shape=(x.shape[0], 1))
    return b(p.negative, b(p.reshape, b(p.gather, logs, at, axis=1), shape=(x.shape[0],)))


def random_arrays(graph: Graph) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [
        rng.standard_normal(v.shape).astype(v.dtype)
        if v.dtype.kind == "f" else rng.integers(0, 3, v.shape).astype(v.dtype)
        for v in graph.inputs
    ]  # fmt: skip


def checked(graph: Graph, layouts: list[View] | None = None, exact: bool = False) -> Program:
    """The program, after a run that was compared with the graph's meaning."""
    program = plan(simplify(graph.verify()), layouts)
    arrays = random_arrays(graph)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        wanted, found = interpret(graph, arrays), run(program, arrays)
    for one, other in zip(found, wanted, strict=True):
        if exact:
            np.testing.assert_array_equal(one, other, strict=True)
        else:
            np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6, strict=True)
    return program


def kernels(program: Program) -> list[Kernel]:
    assert all(isinstance(step, Launch) for step in program.steps), str(program)
    return [launch.kernel for launch in program.launches]


def test_softmax_over_rows_is_one_kernel_that_keeps_the_exponentials():
    b = Builder()
    (kernel,) = kernels(checked(b.build([softmax(b, b.tensor(8, 16), 1)])))
    assert kernel.lanes in kernel.loops
    assert sum(isinstance(sink, Keep) for sink in kernel.sinks) == 1
    assert sum(let.op == "exp" for stage in kernel.stages for let in stage.lets) == 1


def test_softmax_over_columns_has_its_lanes_on_the_grid():
    b = Builder()
    (kernel,) = kernels(checked(b.build([softmax(b, b.tensor(8, 16), 0)])))
    assert kernel.lanes in kernel.grid
    assert kernel.folds_across_lanes
    assert not any(isinstance(sink, Keep) for sink in kernel.sinks)


def test_softmax_of_a_strided_input_copies_rows_before_it_computes():
    b = Builder()
    x = b.tensor(8, 16)
    (kernel,) = kernels(checked(b.build([softmax(b, x, 1)]), [View((8, 16), (128, 8))]))
    assert kernel.stages[0].lets[0].op == "load"
    assert len(kernel.stages[0].lets) == 1
    assert isinstance(kernel.stages[0].sinks[0], Keep)


def test_layer_norm_is_one_kernel():
    b = Builder()
    y = layer_norm(b, b.tensor(8, 16), b.tensor(16), b.tensor(16))
    program = checked(b.build([y]))
    (kernel,) = kernels(program)
    assert [len(stage.over) for stage in kernel.stages] == [1, 1, 1]
    assert program.arena == 0


@pytest.mark.parametrize("dtype", [int64, int32])
def test_cross_entropy_over_rows_is_one_kernel_and_so_is_its_sum(dtype):
    b = Builder()
    x, labels = b.tensor(8, 16), b.tensor(8, dtype=dtype)
    each = losses(b, x, labels)
    assert len(kernels(checked(b.build([each])))) == 1
    assert len(kernels(checked(b.build([b(p.sum, each, axes=(0,))])))) == 1


def test_a_label_out_of_bounds_sets_the_status():
    b = Builder()
    x, labels = b.tensor(4, 5), b.tensor(4, dtype=int64)
    program = plan(b.build([losses(b, x, labels)]))
    data = np.zeros((4, 5), np.float32)
    run(program, [data, np.array([0, 4, -5, -1])])
    for wrong in (5, -6):
        with pytest.raises(IndexingError):
            run(program, [data, np.array([0, 1, wrong, 2])])


def test_a_lookup_that_nobody_wants_is_still_checked():
    b = Builder()
    x, indices = b.tensor(5), b.tensor(3, dtype=int64)
    b(p.take, x, indices, axis=0)
    program = plan(simplify(b.build([b(p.add, x, x)])))
    with pytest.raises(IndexingError):
        run(program, [np.zeros(5, np.float32), np.array([0, 7, 1])])


def test_a_lookup_of_empty_rows_is_still_checked():
    b = Builder()
    x, indices = b.tensor(5, 0), b.tensor(3, dtype=int64)
    program = plan(simplify(b.build([b(p.take, x, indices, axis=0)])))
    with pytest.raises(IndexingError):
        run(program, [np.zeros((5, 0), np.float32), np.array([0, 7, 1])])


def test_a_part_of_a_lookup_does_not_escape_its_check():
    b = Builder()
    x, indices = b.tensor(5), b.tensor(3, dtype=int64)
    first = b(p.slice, b(p.take, x, indices, axis=0), **parts([range(1)]))
    program = plan(simplify(b.build([first])))
    with pytest.raises(IndexingError):
        run(program, [np.zeros(5, np.float32), np.array([0, 7, 1])])


def test_one_hot_gradients_do_not_leave_the_kernel():
    b = Builder()
    x, labels, g = b.tensor(8, 16), b.tensor(8, dtype=int64), b.tensor(8, 1)
    at = b(p.reshape, labels, shape=(8, 1))
    zeros = b.full((8, 16), 0.0)
    y = b(p.multiply, b(p.scatter_add, zeros, at, g, axis=1), x)
    (kernel,) = kernels(checked(b.build([y]), exact=True))
    assert len(kernel.accesses) == 4


def test_column_sums_of_one_input_share_a_kernel_with_lanes_along_the_row():
    b = Builder()
    x, y = b.tensor(32, 16), b.tensor(32, 16)
    outputs = [b(p.sum, x, axes=(0,)), b(p.sum, b(p.multiply, x, y), axes=(0,))]
    (kernel,) = kernels(checked(b.build(outputs)))
    assert kernel.folds_across_lanes
    assert len(kernel.accesses) == 4


def test_the_sum_of_all_rows_is_made_in_the_kernel_of_the_rows():
    b = Builder()
    x = b.tensor(8, 16)
    y = softmax(b, x, 1)
    program = checked(b.build([y, b(p.sum, b(p.multiply, y, x), axes=(0, 1))]))
    (kernel,) = kernels(program)
    assert len(kernel.accesses) == 3
    assert program.arena == 0


def test_a_large_sum_has_a_grid_and_a_small_one_is_whole():
    for rows, totals in ((4, [False]), (32, [True]), (64, [False, False])):
        b = Builder()
        program = checked(b.build([b(p.sum, b.tensor(rows, 2048), axes=(0, 1))]))
        assert [bool(kernel.totals) for kernel in kernels(program)] == totals
        assert program.launches[0].integers[1] == (rows if rows > 4 else 1)


def test_a_long_sum_is_cut_into_even_parts():
    for n, count in ((1 << 16, 1), (1 << 20, 32), (1_000_000, 32), (999_983, 1)):
        b = Builder()
        x = b.tensor(n)
        program = checked(b.build([b(p.sum, b(p.multiply, x, x), axes=(0,))]))
        assert len(program.launches) == (1 if count == 1 else 2)
        assert program.launches[0].integers[1] == count


def test_a_value_wanted_by_a_reduction_and_outside_is_computed_once():
    b = Builder()
    x = b.tensor(8, 16)
    y = b(p.exp, x)
    (kernel,) = kernels(checked(b.build([y, b(p.sum, y, axes=(1,))])))
    assert sum(let.op == "exp" for stage in kernel.stages for let in stage.lets) == 1


def test_a_transposed_operand_is_read_in_place():
    b = Builder()
    x, y = b.tensor(8, 16), b.tensor(16, 8)
    (kernel,) = kernels(checked(b.build([b(p.add, x, b(p.permute, y, axes=(1, 0)))]), exact=True))
    assert [access.strides for access in kernel.accesses] == [("s", 1), (1, "s"), ("s", 1)]


def test_matmul_takes_transposes_and_its_neighbours_fuse_around_it():
    b = Builder()
    x, w, bias = b.tensor(8, 16), b.tensor(4, 16), b.tensor(4)
    product = b(p.matmul, x, b(p.permute, w, axes=(1, 0)))
    y = b(p.tanh, b(p.add, product, b(p.expand, bias, shape=(8, 4))))
    program = checked(b.build([y]))
    assert [type(step).__name__ for step in program.steps] == ["Call", "Launch"]
    assert program.steps[0].operands[1].view == View((16, 4), (1, 16))


def test_a_stencil_is_one_kernel():
    b = Builder()
    u = b.tensor(9, 11)
    (h, w), total = u.shape, None
    for i, j in ((0, 1), (1, 0), (1, 2), (2, 1)):
        part = b(p.slice, u, **parts([range(i, h - 2 + i), range(j, w - 2 + j)]))
        total = part if total is None else b(p.add, total, part)
    inner = parts([range(1, h - 1), range(1, w - 1)])
    (kernel,) = kernels(checked(b.build([b(p.slice_update, u, total, **inner)]), exact=True))
    masked = [let for stage in kernel.stages for let in stage.lets if len(let.arguments) == 3]
    assert len([let for let in masked if let.op == "load"]) == 4


def test_pad_concat_and_flip_are_loads_under_a_condition():
    b = Builder()
    x, y = b.tensor(5, 6), b.tensor(5, 3)
    padded = b(p.pad, x, widths=((1, 0), (2, 3)), fill=4.0)
    flipped = b(p.slice, y, starts=(0, 2), stops=(5, -1), steps=(1, -1))
    joined = b(p.concat, x, flipped, x, axis=1)
    assert len(kernels(checked(b.build([b(p.add, padded, padded)]), exact=True))) == 1
    assert len(kernels(checked(b.build([b(p.negative, joined)]), exact=True))) == 1


def test_scalars_and_positions_are_computed_in_place():
    b = Builder()
    x = b.tensor(5, 6)
    at = b(p.iota, shape=(5, 6), axis=1, dtype=float32)
    y = b(p.multiply, b(p.add, x, at), b.full((5, 6), 0.25))
    (kernel,) = kernels(checked(b.build([y]), exact=True))
    assert len(kernel.accesses) == 2
    assert [scalar.dtype for scalar in kernel.scalars] == [float32]


def test_random_bits_are_drawn_inside_the_kernel_that_uses_them():
    b = Builder()
    state, x = b.tensor(2, dtype=uint64), b.tensor(5, 6)
    bits = b(p.permute, b(p.random_bits, state, shape=(6, 5)), axes=(1, 0))
    half = b.full((5, 6), 2**31, uint32)
    y = b(p.where, b(p.less, bits, half), x, b.full((5, 6), 0.0))
    (kernel,) = kernels(checked(b.build([y]), exact=True))
    assert sum(let.op == "random_bits" for stage in kernel.stages for let in stage.lets) == 1


def test_adam_updates_three_tensors_in_one_kernel():
    b = Builder()
    shape = (6, 7)
    weight, g, m, v, step = (*(b.tensor(*shape) for _ in range(4)), b.tensor())

    def of(number: float) -> Value:
        return b.full(shape, number)

    m = b(p.add, b(p.multiply, m, of(0.9)), b(p.multiply, g, of(0.1)))
    v = b(p.add, b(p.multiply, v, of(0.99)), b(p.multiply, b(p.multiply, g, g), of(0.01)))
    rate = b(p.divide, m, b(p.add, b(p.sqrt, b(p.abs, v)), of(1e-8)))
    new = b(p.subtract, weight, b(p.multiply, rate, b(p.expand, step, shape=shape)))
    program = checked(b.build([new, m, v]))
    (kernel,) = kernels(program)
    assert kernel.grid == ("i0",)
    assert len(kernel.accesses) == 8


def updated(b: Builder, x: Value, g: Value) -> Value:
    return b(p.subtract, x, b(p.multiply, g, b.full(x.shape, 0.5)))


def test_an_output_takes_the_memory_of_the_input_it_replaces():
    b = Builder()
    x, g = b.tensor(6, 7), b.tensor(6, 7)
    graph = b.build([updated(b, x, g), b(p.add, x, g)])
    program = plan(graph, into={0: 0})
    (kernel,) = kernels(program)
    assert [access.mode for access in kernel.accesses] == ["inout", "in", "out"]
    assert program.outputs[0].buffer.place == "input"
    arrays = random_arrays(graph)
    for one, other in zip(run(program, arrays), interpret(graph, arrays), strict=True):
        np.testing.assert_array_equal(one, other)


def test_memory_is_not_taken_while_neighbours_are_still_read():
    b = Builder()
    x = b.tensor(8)
    shifted = b(p.slice, x, **parts([range(8)[::-1]]))
    program = plan(b.build([b(p.add, x, shifted)]), into={0: 0})
    assert program.outputs[0].buffer.place == "output"


def test_memory_is_taken_only_after_all_that_may_raise():
    b = Builder()
    x, g, at = b.tensor(6), b.tensor(6), b.tensor(3, dtype=int64)
    graph = b.build([updated(b, x, g), b(p.take, g, at, axis=0)])
    program = plan(graph, into={0: 0})
    assert [bool(launch.kernel.accesses[-1].mode == "inout" or
                 launch.kernel.accesses[0].mode == "inout") for launch in program.launches] == [
        False, True,
    ]  # fmt: skip


def test_float16_is_moved_and_computed_in_kernels():
    b = Builder()
    x = b.tensor(5, 6, dtype=float16)
    program = checked(b.build([b(p.permute, b(p.add, x, x), axes=(1, 0))]), exact=True)
    assert len(kernels(program)) == 1


def test_outputs_have_memory_of_their_own():
    b = Builder()
    x, y = b.tensor(4, 3), b.tensor(4, 3)
    total = b(p.add, x, y)
    view = b(p.reshape, x, shape=(12,))
    program = checked(b.build([total, total, view, x]), exact=True)
    places = [(o.buffer.place, o.buffer.index) for o in program.outputs]
    assert places == [("output", 0), ("output", 1), ("output", 2), ("input", 0)]
    assert all(o.view.is_contiguous for o in program.outputs)


def graph_of_size(rows: int) -> Graph:
    """Everything that may depend on a batch size: merged axes, broadcasts, sums, predicates."""
    b = Builder()
    x, w, labels = b.tensor(rows, 16), b.tensor(16), b.tensor(rows, dtype=int64)
    y = layer_norm(b, b(p.tanh, x), w, w)
    each = losses(b, y, labels)
    padded = b(p.pad, y, widths=((1, 2), (0, 0)), fill=0.0)
    shifted = b(p.slice, padded, **parts([range(2, rows + 2), range(16)]))
    at = b(p.iota, shape=(rows, 16), axis=0, dtype=float32)
    mean = b(p.divide, b(p.sum, each, axes=(0,)), b.full((), float(rows)))
    columns = b(p.sum, b(p.multiply, b(p.add, shifted, at), y), axes=(0,))
    return b.build([y, mean, columns, softmax(b, x, 0)])


def test_another_batch_size_gives_equal_kernels():
    wanted = kernels(checked(graph_of_size(5)))
    for rows in (2, 7, 16, 64):
        assert kernels(checked(graph_of_size(rows))) == wanted


def test_exact_numerics_leave_inexact_ops_to_numpy():
    b = Builder()
    x = b.tensor(8, 16)
    graph = b.build([b(p.sum, b(p.exp, b(p.add, x, x)), axes=(1,))])
    with config(numerics="exact"):
        program = plan(graph)
    assert [type(step).__name__ for step in program.steps] == ["Launch", "Call", "Call"]


def test_a_plan_tells_why_values_are_stored_and_how_many_bytes_move():
    b = Builder()
    x, w = b.tensor(8, 16), b.tensor(16, 4)
    y = b(p.matmul, b(p.exp, x), w)
    graph = b.build([b(p.add, y, y)])
    found = plan_with_reasons(graph)
    product, result = y.node, graph.outputs[0].node
    assert found.reasons[y] == "matmul is run by a library"
    assert found.steps[product] == (1,)
    assert found.steps[result] == (2,)
    assert found.least == 4 * (8 * 16 + 16 * 4 + 8 * 4)
    assert found.moved == (4 * 2 * 128, 4 * (128 + 64 + 32), 4 * 2 * 32)
    assert found.lines()[2].startswith("1: library call of matmul; 896 bytes, about 0.1 us")
    assert "exp float32[8, 16] lies in memory: read as a whole by a library" in found.lines()


@pytest.mark.parametrize(("points", "folded", "lanes"), [
    (40, 6, "i1"), (40, 9, "j0"), (5, 6, "i1"), (5, 9, "j0"),
])  # fmt: skip
def test_few_that_are_folded_do_not_run_side_by_side(points, folded, lanes):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(points, folded)), rng.normal(size=(points, folded))

    @df.compile(wait=True)
    def distances(x, y):
        d = x[:, None, :] - y[None, :, :]
        return df.sqrt((d * d).sum(axis=2))

    tensors = df.asarray(x), df.asarray(y)
    distances(*tensors)
    found = distances(*tensors).numpy()
    assert distances.stats()["replays"] == 1
    assert f"lanes {lanes}\n" in distances.explain(*tensors)
    wanted = np.sqrt(((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2))
    np.testing.assert_allclose(found, wanted, 1e-14)


def test_what_shares_constants_alone_stays_apart_and_constants_lie_in_registers():
    b = Builder()
    outputs = []
    for _ in range(30):
        y = b.tensor(40)
        for _ in range(5):
            y = b(p.add, b(p.multiply, y, b.full((40,), 0.5)), b.full((40,), 0.25))
        outputs.append(y)
    found = plan_with_reasons(simplify(b.build(outputs)))
    assert len({launch.kernel for launch in found.program.launches}) == 1
    assert found.program.runs == (30, 0)
    assert {value.node.op.name for value in found.reasons} == {"add"}
