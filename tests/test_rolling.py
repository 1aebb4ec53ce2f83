"""Repeated stretches of graphs become loops: what is rolled, what is not, and the same bits."""

from __future__ import annotations

import warnings
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_interpreter import run
from rolling_programs import arguments, program
from schedule_graphs import Builder

from dualflow.base.dtypes import float32, float64, int64
from dualflow.base.errors import IndexingError
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.interpret import interpret
from dualflow.ir.program import Launch, Loop, Step
from dualflow.ir.types import TensorType
from dualflow.ops import primitives as p
from dualflow.passes import rolling, simplify, steps
from dualflow.pipeline import compile_graph
from dualflow.schedule import plan

COUNT = 40


@pytest.fixture(autouse=True)
def _small_loops_count(monkeypatch):
    for limit in ("WORTH", "SAVES"):
        monkeypatch.setattr(rolling, limit, 12)


def loops(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op is p.loop.op]


def same(one, other) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def rolled(graph: Graph, seed: int = 0, native: bool = True) -> Graph:
    """The graph with loops: it means the same, interpreted, planned and compiled."""
    found = rolling.roll(graph.verify()).verify()
    arrays = arguments(graph, Random(seed))
    wanted = interpret(graph, arrays)
    same(interpret(found, arrays), wanted)
    same(run(plan(simplify(graph)), arrays), wanted)
    executable = compile_graph(graph).result()
    assert executable.native or not native
    same(executable.run(arrays), wanted)
    assert any(map(repeats, executable.program.steps)) == bool(loops(found))
    return found


def repeats(step: Step) -> bool:
    """Whether a step of a program is run several times, or runs its kernel several times."""
    return isinstance(step, Loop) or (
        isinstance(step, Launch) and step.kernel.repeated is not None
    )  # fmt: skip


def row(b: Builder, table: Value, at: int) -> Value:
    return b(p.select, table, axis=0, index=at)


def put(b: Builder, table: Value, value: Value, at: int) -> Value:
    n = table.shape[1]
    part = b(p.reshape, value, shape=(1, n))
    return b(p.slice_update, table, part, starts=(at, 0), stops=(at + 1, n), steps=(1, 1))


# Random programs --------------------------------------------------------------------------------

FEW = settings(max_examples=40, deadline=None, derandomize=True)


@FEW
@given(st.integers(0, 1 << 40))
def test_random_programs(seed):
    """The unrolled graph, the rolled one and its program give the same bits."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for module in (rolling, steps):
            patch.setattr(module, "LEAST", 4)
        random = Random(seed)
        graph = program(random)
        arrays = arguments(graph, random)
        wanted = interpret(graph, arrays)
        same(interpret(rolling.roll(graph).verify(), arrays), wanted)
        same(run(plan(simplify(graph)), arrays), wanted)
        patch.setattr(rolling, "LONG", 12)
        patch.setattr(rolling, "NEARLY_ALL", 0.2)
        same(interpret(rolling.shorten(graph).verify(), arrays), wanted)


def test_random_programs_are_rolled_and_compiled(monkeypatch):
    """A third of them, and not one that fails."""
    for module in (rolling, steps):
        monkeypatch.setattr(module, "LEAST", 4)
    graphs = [program(Random(seed)) for seed in range(40)]
    found = [graph for graph in graphs if loops(rolling.roll(graph))]
    assert len(found) > 13
    for graph in found[:4]:
        arrays = arguments(graph, Random(1))
        same(compile_graph(graph).result().run(arrays), interpret(graph, arrays))


# One family each --------------------------------------------------------------------------------


def test_carried_values():
    """Two values, one of which is the other's of the step before."""
    b = Builder()
    u, v, c = (b.tensor(5, dtype=float64) for _ in range(3))
    for _ in range(COUNT):
        u, v = b(p.add, b(p.maximum, u, c), v), u
    found = rolled(b.build([u, v]))
    assert loops(found)
    assert len(found.nodes) <= 5


def test_few_steps_and_small_graphs_stay():
    b = Builder()
    x = b.tensor(5, dtype=float64)
    for _ in range(steps.LEAST - 1):
        x = b(p.sum, b(p.expand, b(p.add, x, x), shape=(2, 5)), axes=(0,))
    assert not loops(rolled(b.build([x])))


def test_a_changing_constant_is_no_loop_of_one_constant():
    b = Builder()
    x = b.tensor(5, dtype=float64)
    for k in range(COUNT):
        x = b(p.maximum, b(p.add, x, b.full((5,), float(k), float64)), x)
    rolled(b.build([x]))


@pytest.mark.parametrize(("one", "other"), [(1.0, -1.0), (0.0, -0.0)])
def test_one_other_constant_in_the_middle(one, other):
    b = Builder()
    x = b.tensor(5, dtype=float64)
    for k in range(3 * COUNT):
        number = other if k == COUNT else one
        x = b(p.add, b(p.multiply, x, b.full((5,), number, float64)), x)
        x = b(p.multiply, x, b.full((5,), 0.5, float64))
    assert len(loops(rolled(b.build([x])))) == 2


def test_another_dtype_at_first():
    """The first value is cast, the others are not."""
    b = Builder()
    x = b.tensor(5, dtype=float32)
    y = b.tensor(5, dtype=float64)
    for _ in range(COUNT):
        x = b(p.cast, x, dtype=float64)
        x = b(p.subtract, y, x)
    found = rolled(b.build([x]))
    (loop,) = loops(found)
    assert loop.attributes["count"] < COUNT


@pytest.mark.parametrize(("start", "stride"), [(0, 1), (COUNT, -1), (3, 2), (2 * COUNT, -2)])
def test_rows_that_are_read(start, stride):
    b = Builder()
    table, x = b.tensor(2 * COUNT + 5, 5, dtype=float64), b.tensor(5, dtype=float64)
    for k in range(COUNT):
        x = b(p.minimum, b(p.subtract, row(b, table, start + k * stride), x), x)
    (loop,) = loops(rolled(b.build([x])))
    (read,) = {w.moves for w in loop.attributes["reads"]}
    assert read[0] % stride == 0


def test_rows_that_are_written():
    """`out[k] = x`: the table is written in place, its other rows stay."""
    b = Builder()
    table, x = b.tensor(COUNT + 5, 5, dtype=float64), b.tensor(5, dtype=float64)
    for k in range(COUNT):
        x = b(p.subtract, b(p.minimum, x, row(b, table, 0)), x)
        table = put(b, table, x, k + 2)
    (loop,) = loops(rolled(b.build([table])))
    assert len(loop.attributes["writes"]) == 1


@pytest.mark.parametrize("distance", [1, 2, 0, -1])
@pytest.mark.parametrize("late", [False, True])
def test_rows_that_are_read_and_written(distance, late):
    """`t[k] = f(t[k - distance])`; rows that are read before they are written may be the same."""
    b = Builder()
    table, x = b.tensor(COUNT + 5, 5, dtype=float64), b.tensor(5, dtype=float64)
    for k in range(2, COUNT):
        seen = row(b, table, k - distance)
        table = put(b, table, b(p.minimum, b(p.subtract, seen, x), x), k)
        if late:  # and again after it was written
            x = b(p.maximum, x, row(b, table, k - distance))
    found = rolled(b.build([table, x]))
    assert bool(loops(found)) == (not late or distance != 0)


def test_a_table_of_which_every_state_is_wanted():
    """What is written in place has no earlier state to give."""
    b = Builder()
    table, x = b.tensor(COUNT, 5, dtype=float64), b.tensor(5, dtype=float64)
    tops = []
    for k in range(COUNT):
        table = put(b, table, b(p.subtract, row(b, table, 0), x), k)
        tops.append(b(p.max, table, axes=(0,)))
    assert not loops(rolled(b.build([table, b(p.concat, *tops, axis=0)]), native=False))


def test_a_constant_is_written_into_moving_rows():
    """Only the table moves: what is written is the same in every step."""
    b = Builder()
    table, x = b.tensor(COUNT + 3, 5, dtype=float64), b.tensor(1, 5, dtype=float64)
    for k in range(COUNT):
        at = {"starts": (k, 0), "stops": (k + 1, 5), "steps": (1, 1)}
        table = b(p.slice_update, table, x, **at)
        last = b(p.subtract, row(b, table, COUNT + 1), x if k < 0 else row(b, table, COUNT + 2))
    rolled(b.build([table, last]))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("order", [1, -1])
def test_values_of_all_steps(axis, order):
    """What each step made, put together in either order: one value of the loop."""
    b = Builder()
    x, c = b.tensor(5, 2, dtype=float64), b.tensor(5, 2, dtype=float64)
    made = []
    for _ in range(COUNT):
        x = b(p.subtract, c, b(p.maximum, x, c))
        made.append(x)
    found = rolled(b.build([b(p.concat, *made[::order], axis=axis)]))
    assert loops(found)
    assert len(found.nodes) < COUNT / 2


@pytest.mark.parametrize("steps_", [[0], [7], [COUNT - 1], [COUNT - 2], [0, 1, 7]])
def test_values_of_some_steps(steps_):
    b = Builder()
    x, c = b.tensor(5, dtype=float64), b.tensor(5, dtype=float64)
    made = []
    for _ in range(COUNT):
        x = b(p.subtract, c, b(p.maximum, x, c))
        made.append(x)
    assert loops(rolled(b.build([x, *(made[k] for k in steps_)])))


def test_every_tenth_state_of_a_large_field():
    """Ten steps are one: no memory is taken for states that nobody wants."""
    b = Builder()
    x, c = (b.tensor(300, 200, dtype=float64) for _ in range(2))
    made = []
    for k in range(400):
        x = b(p.subtract, c, b(p.maximum, x, c))
        if k % 10 == 3:
            made.append(b(p.reshape, x, shape=(1, 300, 200)))
    graph = b.build([b(p.concat, *made, axis=0)])
    found = rolling.roll(graph)
    (loop,) = loops(found)
    assert loop.attributes["count"] >= 36
    program = plan(simplify(graph))
    assert program.arena < 90 * 300 * 200 * 8
    arrays = arguments(graph, Random(0))
    same(compile_graph(graph).result().run(arrays), interpret(graph, arrays))


@pytest.mark.parametrize("back", [2, 3, steps.MOST_BACK])
def test_values_of_several_steps_ago(back):
    b = Builder()
    past = [b.tensor(5, dtype=float64) for _ in range(back)]
    for _ in range(COUNT):
        past.append(b(p.minimum, b(p.subtract, past[-1], past[-back]), past[0]))
    assert loops(rolled(b.build(past[-3:])))


def test_a_loop_over_what_another_made():
    """Forwards, then backwards over the same rows and values, as gradients are taken."""
    b = Builder()
    table, h = b.tensor(COUNT, 5, dtype=float64), b.tensor(5, dtype=float64)
    seen, made = [], []
    for k in range(COUNT):
        seen.append(row(b, table, k))
        h = b(p.subtract, b(p.maximum, seen[-1], h), seen[-1])
        made.append(h)
    g = h
    for x, y in zip(reversed(seen), reversed(made), strict=True):
        g = b(p.minimum, b(p.subtract, g, x), b(p.maximum, y, x))
    found = rolled(b.build([g]))
    assert len(loops(found)) == 2
    assert len(found.nodes) < 30


def test_nested_loops():
    """Whatever repeats within a step is a loop in the body."""
    b = Builder()
    x, c = b.tensor(5, dtype=float64), b.tensor(5, dtype=float64)
    for _ in range(20):
        y = b(p.max, b(p.expand, x, shape=(2, 5)), axes=(0,))
        for _ in range(30):
            y = b(p.min, b(p.expand, b(p.subtract, c, y), shape=(2, 5)), axes=(0,))
        x = b(p.maximum, x, y)
    graph = b.build([x])
    found = simplify(graph)
    *_, loop = loops(found)
    assert loops(loop.attributes["body"])
    rolled(graph)


def test_values_of_several_types():
    b = Builder()
    x, n, t = b.tensor(5, dtype=float64), b.tensor(dtype=int64), b.tensor(2, 5, dtype=float32)
    for _ in range(COUNT):
        n = b(p.maximum, n, b(p.cast, b(p.max, x, axes=(0,)), dtype=int64))
        wide = b(p.expand, b(p.cast, n, dtype=float32), shape=(2, 5))
        t = b(p.subtract, wide, t)
        x = b(p.minimum, x, b(p.cast, b(p.max, t, axes=(0,)), dtype=float64))
    assert loops(rolled(b.build([x, n, t])))


def test_nothing_and_no_elements():
    b = Builder()
    x, y = b.tensor(0, 5, dtype=float64), b.tensor(5, dtype=float64)
    for _ in range(COUNT):
        x = b(p.add, x, x)
        y = b(p.add, y, b(p.sum, x, axes=(0,)))
    rolled(b.build([x, y]))


def test_an_index_out_of_bounds():
    """A step that may raise raises, in whichever step it is."""
    b = Builder()
    x, i = b.tensor(50, dtype=int64), b.tensor(1, dtype=int64)
    for _ in range(COUNT):
        i = b(p.take, x, i, axis=0)
    graph = b.build([i])
    monotone = np.arange(1, 51)
    assert loops(rolling.roll(graph))
    executable = compile_graph(graph).result()
    assert executable.native
    (got,) = executable.run([monotone, np.array([3])])
    assert got == [3 + COUNT]
    with pytest.raises(IndexingError):
        executable.run([monotone, np.array([30])])


def test_what_no_output_needs_but_may_raise_stays():
    b = Builder()
    x, i, y = b.tensor(50, dtype=int64), b.tensor(1, dtype=int64), b.tensor(5, dtype=float64)
    for _ in range(COUNT):
        i = b(p.take, x, i, axis=0)
        y = b(p.maximum, b(p.subtract, y, b(p.abs, y)), y)
    executable = compile_graph(b.build([y])).result()
    with pytest.raises(IndexingError):
        executable.run([np.arange(1, 51), np.array([30]), np.zeros(5)])


def test_library_steps():
    """An op that only NumPy has: the loop is run from Python."""
    b = Builder()
    x, c = b.tensor(6, dtype=float64), b.tensor(6, dtype=float64)
    for _ in range(COUNT):
        x = b(p.sort, b(p.subtract, c, x), axis=0)
    assert loops(rolled(b.build([x]), native=False))


def test_outputs_that_are_one_value_or_an_input():
    b = Builder()
    x, c = b.tensor(5, dtype=float64), b.tensor(5, dtype=float64)
    first = x
    for _ in range(COUNT):
        x = b(p.subtract, c, b(p.maximum, x, c))
    assert loops(rolled(b.build([x, x, c, first])))


def test_a_loop_keeps_its_types():
    found = rolling.roll(chain_of(TensorType((3, 4), float32)))
    (loop,) = loops(found)
    assert loop.results[0].type == TensorType((3, 4), float32)


def chain_of(type_: TensorType) -> Graph:
    b = Builder()
    x = b.input(type_)
    for _ in range(COUNT):
        x = b(p.subtract, b(p.abs, x), x)
    return b.build([x])


def test_a_step_begins_where_one_array_is_carried():
    """`a, b = f(u); u = concat(a, b)` is recorded from the first f on: what passes is u."""
    b = Builder()
    u = b.tensor(6)
    half = b.full((3,), 0.5)
    for _ in range(COUNT):
        parts = [b(p.slice, u, starts=(at,), stops=(at + 3,), steps=(1,)) for at in (0, 3)]
        u = b(p.concat, *(b(p.multiply, part, half) for part in reversed(parts)), axis=0)
    (loop,) = loops(rolled(b.build((u,)), native=False))
    assert loop.attributes["carried"] == 1
    assert loop.attributes["count"] in (COUNT - 2, COUNT - 1, COUNT)
