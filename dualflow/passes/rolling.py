"""Repeated stretches of a graph as loops: a step is then compiled once, however many there are.

    t0 = x * c; t1 = t0 * c; ...; t99 = t98 * c    ->    (t99,) = loop(x, body=..., count=100)

Comes in: a graph. Goes out: a graph that computes the same bits with LOOP nodes, in time that grows
with the number of nodes. Values of a step that later steps take are carried; parts of a tensor that
move from step to step are windows; what is wanted of every step is stacked into one tensor.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from math import gcd

import numpy as np

from dualflow.ir.graph import Graph, Value
from dualflow.ir.op import Kind
from dualflow.ops import primitives as p

from .bodies import Emission
from .periods import Stretch, Table, repeated
from .placements import place_parts
from .rewriter import Rewriter, merge_equal, remove_dead
from .steps import LEAST, Outside, Place, Row, Step, understand

#: A graph of fewer nodes is left as it is.
WORTH = 256
#: In one of so many, loops are looked for in the graph as it is first: a recorded loop mostly is
#: one already, and all other passes then see a step of it.
LONG = 2000
#: They then have to hold such a part of it.
NEARLY_ALL = 0.9
#: A loop has to save so many.
SAVES = 64
#: Steps of elementwise operations alone are taken together, up to so many nodes: they share a
#: kernel, whose intermediate values never see memory.
TOGETHER = 64
#: Memory for every step's value where few are wanted: so many times what is, or so many bytes.
SPARSE, SMALL = 2, 1 << 22
_PARTS = (p.slice.op, p.select.op)
#: How often stretches are chosen anew, after one of them turned out to be no loop.
TRIES, FIRST_TRIES = 200, 8


def roll(graph: Graph) -> Graph:
    """See the module."""
    graph = shorten(graph)
    if len(graph.nodes) < WORTH:
        return graph
    graph = place_parts(graph)
    apart = _views_apart(merge_equal(remove_dead(graph)))
    table = Table(apart.inputs, apart.nodes)
    steps = _choose(apart, table, TRIES)
    if not steps:
        return graph
    return remove_dead(merge_equal(Emission(apart, table, steps).run()))


def shorten(graph: Graph) -> Graph:
    """A long graph with loops of stretches that are found in it as it is, if they are nearly all of
    it; else the graph. Takes some microseconds a node: less than to send it somewhere."""
    if len(graph.nodes) < LONG or repeated(graph.nodes, LEAST) < NEARLY_ALL:
        return graph
    graph = place_parts(graph)
    table = Table(graph.inputs, graph.nodes)
    steps = _choose(graph, table, FIRST_TRIES)
    inside = sum(step.stretch.stop - step.stretch.start for step in steps)
    if inside < NEARLY_ALL * len(graph.nodes):
        return graph
    return remove_dead(merge_equal(Emission(graph, table, steps).run()))


def _views_apart(graph: Graph) -> Graph:
    """A part of a tensor that is taken apart is seen anew by each of its readers, right before it:
    stretches that walk the same parts then do not depend on one another."""
    walked: dict[Value, int] = {}
    for node in graph.nodes:
        if node.op in _PARTS:
            walked[node.operands[0]] = walked.get(node.operands[0], 0) + 1

    def is_part(value: Value) -> bool:
        node = value.node
        if node is None or node.op not in _PARTS or walked[node.operands[0]] < LEAST:
            return False
        return walked.get(value, 0) < LEAST

    rewriter = Rewriter(graph)
    for node in graph.nodes:
        if node.op in _PARTS and is_part(node.result):
            continue
        for value in dict.fromkeys(filter(is_part, node.operands)):
            rewriter.keep(value.node, value.node.attributes)  # type: ignore[union-attr]
        rewriter.keep(node)
    for value in dict.fromkeys(filter(is_part, graph.outputs)):
        rewriter.keep(value.node, value.node.attributes)  # type: ignore[union-attr]
    return rewriter.graph_of(graph.outputs)


def _choose(graph: Graph, table: Table, tries: int) -> list[Step]:
    """Stretches that do not overlap and can be loops, in the order of the graph."""
    ends = table.last_uses(graph.outputs)
    candidates = [
        _together(stretch, graph, ends)
        for found in table.stretches(LEAST)
        if found.period * (found.count - 1) >= SAVES and _computes(graph, found)
        for stretch in (table.turned(found), found)
        if stretch is not None and stretch.count >= LEAST
    ]
    for _ in range(tries):
        steps: list[Step] = []
        chosen = _without_overlap(candidates)
        wrong = None
        for stretch in chosen:
            found = _understood(table, stretch, steps)
            if found is None:
                wrong = stretch
                break
            steps.append(found)
        else:
            bad = _want(graph, table, steps)
            if bad is None:
                return steps
            wrong = chosen[steps.index(bad)]
            candidates[candidates.index(wrong)] = _longer(bad) or wrong
        if wrong in candidates:
            candidates.remove(wrong)
    return []


def _understood(table: Table, stretch: Stretch, before: Sequence[Step]) -> Step | None:
    """A step of the stretch, or of so much of it as is a loop; None if it is none worth while."""
    found = understand(table, stretch, before)
    while isinstance(found, Stretch) and found.count >= LEAST:
        if found.period * (found.count - 1) < SAVES:
            return None
        found = understand(table, found, before)
    return found if isinstance(found, Step) else None


def _without_overlap(candidates: Iterable[Stretch]) -> list[Stretch]:
    """The first ones that do not overlap, by place."""
    taken: list[Stretch] = []
    for stretch in candidates:
        if all(stretch.stop <= other.start or other.stop <= stretch.start for other in taken):
            taken.append(stretch)
    return sorted(taken)


def _computes(graph: Graph, stretch: Stretch) -> bool:
    """Whether a step does more than look."""
    nodes = graph.nodes[stretch.start : stretch.start + stretch.period]
    return any(node.op.view is None and node.op.kind is not Kind.CREATION for node in nodes)


def _together(stretch: Stretch, graph: Graph, ends: np.ndarray) -> Stretch:
    """Several steps of elementwise operations as one, if only the last ones are wanted later."""
    start, period, count = stretch
    nodes = [n for n in graph.nodes[start : start + period] if n.op.kind is not Kind.CREATION]
    several = min(TOGETHER // len(nodes), count // LEAST)
    if several < 2 or any(node.op.kind is not Kind.ELEMENTWISE for node in nodes):
        return stretch
    last = start + period * (count // several - 1) * several
    if ends[start:last].max(initial=0) >= stretch.stop:
        return stretch
    return Stretch(start, period * several, count // several)


# What is wanted after a loop --------------------------------------------------------------------


def _want(graph: Graph, table: Table, steps: Sequence[Step]) -> Step | None:
    """Note what is wanted of each step after the loop; a step that cannot give it."""
    for step in steps:
        step.wanted.clear()
    starts = [step.stretch.start for step in steps]
    for value in _taken_outside(graph, steps):
        if value.node is None:
            continue
        i, result = divmod(table.number[value], table.width)
        at = bisect_right(starts, i) - 1
        if at >= 0 and i < steps[at].stretch.stop:
            which, offset = divmod(i - starts[at], steps[at].stretch.period)
            steps[at].wanted.setdefault((offset, result), set()).add(which)
    for step in steps:
        for uses in step.uses:
            for use in uses:
                if isinstance(use, Row):
                    use.step.stacked.add((use.offset, use.result))
    return next((step for step in steps if not _gives(graph, step)), None)


def _taken_outside(graph: Graph, steps: Sequence[Step]) -> Iterator[Value]:
    """Values that something other than steps of the same stretch takes."""
    yield from graph.outputs
    at = 0
    for step in steps:
        for node in graph.nodes[at : step.stretch.start]:
            yield from node.operands
        at = step.stretch.stop
        for uses in step.uses:
            yield from (use.value for use in uses if isinstance(use, Outside))
        for values in step.first.values():
            yield from values
    for node in graph.nodes[at:]:
        yield from node.operands


def _gives(graph: Graph, step: Step) -> bool:
    """Decide which results are stacked; whether all that is wanted can be given."""
    count = step.stretch.count
    for place, wanted in step.wanted.items():
        if place[0] in step.buffers:
            if wanted != {count - 1}:
                return False
            continue
        far = [k for k in wanted if count - k > max(step.back.get(place, 0), 1)]
        if not far or place in step.stacked:
            continue
        if _is_worth_stacking(graph, step, place, len(wanted)):
            step.stacked.add(place)
        else:
            return False
    return not any(offset in step.buffers for offset, _ in step.stacked)


def _longer(step: Step) -> Stretch | None:
    """Several steps as one, of which each gives what only some of `step` do: every tenth state."""
    start, period, count = step.stretch
    for place, wanted in step.wanted.items():
        several = gcd(*(k - min(wanted) for k in wanted))
        if place[0] not in step.buffers and several > 1 and count // several >= LEAST:
            return Stretch(start, period * several, count // several)
    return None


def _is_worth_stacking(graph: Graph, step: Step, place: Place, wanted: int) -> bool:
    value = graph.nodes[step.stretch.start + place[0]].results[place[1]]
    count = step.stretch.count
    return wanted * SPARSE >= count or value.type.nbytes * count <= SMALL
