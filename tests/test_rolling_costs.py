"""What it costs to find loops in graphs of many nodes: a few looks at each of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from random import Random

import numpy as np
from rolling_programs import arguments
from schedule_graphs import Builder

from dualflow.base.dtypes import float64
from dualflow.ir.graph import Graph, Node
from dualflow.ir.interpret import interpret
from dualflow.ops import primitives as p
from dualflow.passes import rolling


def loops(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op is p.loop.op]


def test_time_and_size_grow_with_the_count_alone():
    """The graph of 4,000 steps is that of 1,000; finding it takes no more for each node."""

    def graph_of(count: int) -> Graph:
        b = Builder()
        x, c = b.tensor(5, dtype=float64), b.tensor(5, dtype=float64)
        for _ in range(count):
            x = b(p.max, b(p.expand, b(p.subtract, c, x), shape=(2, 5)), axes=(0,))
        return b.build([x])

    short, long = (rolling.roll(graph_of(count)) for count in (1000, 4000))
    assert len(short.nodes) == len(long.nodes) < 8
    assert calls_of(lambda: rolling.roll(graph_of(4000))) < 4.5 * calls_of(
        lambda: rolling.roll(graph_of(1000))
    )


def test_a_long_recording_is_shortened_as_it_is():
    """What a recorded loop of many steps costs after the recording: a few looks at each node."""
    b = Builder()
    x = b.tensor(8, dtype=float64)
    y = x
    for _ in range(2000):
        half = b(p.full, shape=(8,), value=0.5, dtype=np.dtype("float64"))
        y = b(p.add, b(p.multiply, y, half), x)
    graph = b.build([y])
    found = rolling.shorten(graph).verify()
    assert len(found.nodes) < 200
    assert calls_of(lambda: rolling.shorten(graph)) < 90 * len(graph.nodes)
    arrays = arguments(graph, Random(0))
    for one, other in zip(interpret(found, arrays), interpret(graph, arrays), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def calls_of(run_: Callable[[], object]) -> int:
    """How many Python functions `run_` calls: a measure of time that other load does not change."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        run_()
    finally:
        sys.setprofile(None)
    return count


def test_what_never_repeats_is_given_up_soon():
    """A large graph without loops costs a few looks at each node."""
    random = Random(0)
    b = Builder()
    pool = [b.tensor(5, dtype=float64) for _ in range(3)]
    binary = [p.add, p.subtract, p.maximum, p.minimum]
    for _ in range(6000):
        pool.append(b(random.choice(binary), random.choice(pool[-9:]), random.choice(pool[-9:])))
    graph = b.build(pool[-1:])
    assert not loops(rolling.roll(graph))
    assert calls_of(lambda: rolling.roll(graph)) < 120 * len(graph.nodes)
