"""Sums of parts that are each placed in zeros, as gradients of `x[0]`, `x[1]`, ... are.

    slice_update(0, a, at 0) + slice_update(0, b, at 1) + ...
        ->  slice_update(slice_update(0, a + 0, at 0), b + 0, at 1) ...

Comes in: a graph. Goes out: one with the same bits, where such parts do not overlap: all that is
added to a part is zeros, which change no bit but the sign of a zero, and that the first time only.
Steps of a loop then write their parts, where each had added a whole array.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from math import copysign
from typing import Any

from dualflow.base.dtypes import is_inexact
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ops import primitives as p

from .rewriter import Rewriter, constant, full_of


class _Sum:
    """Parts that lie apart along one axis; `spans` of them, in order."""

    def __init__(self, first: Node, axis: int) -> None:
        self.axis, self.spans = axis, [_span(first, axis)]

    def takes(self, part: Node) -> bool:
        """Whether the part lies apart from all others; it is one of them then."""
        low, high = _span(part, self.axis)
        at = bisect_left(self.spans, (low, high))
        if at and self.spans[at - 1][1] > low:
            return False
        if at < len(self.spans) and self.spans[at][0] < high:
            return False
        self.spans.insert(at, (low, high))
        return True


def place_parts(graph: Graph) -> Graph:
    """See the module."""
    updates = [node for node in graph.nodes if node.op is p.slice_update.op]
    parts = {node.result: node for node in updates if _is_part(node)}
    if len(parts) < 2:
        return graph
    uses = Counter(value for node in graph.nodes for value in node.operands)
    uses.update(graph.outputs)
    sums: dict[Value, _Sum] = {}
    joined: dict[Node, tuple[Value, Node]] = {}  # additions: what is there, the part that comes
    for node in graph.nodes:
        if node.op is not p.add.op:
            continue
        x, y = node.operands
        if y not in parts:
            x, y = y, x
        part = parts.get(y)
        if part is None or uses[x] > 1 or uses[y] > 1:
            continue
        found = sums.get(x) or _begun(parts.get(x), part)
        if found is not None and found.takes(part):
            sums[node.result] = found
            joined[node] = x, part
    return _written(graph, parts, joined, uses) if joined else graph


def _begun(first: Node | None, second: Node) -> _Sum | None:
    """A sum that begins with a part, along an axis where the next one lies apart; if there is."""
    if first is None:
        return None
    for axis in range(len(first.result.shape)):
        (a, b), (c, d) = _span(first, axis), _span(second, axis)
        if b <= c or d <= a:
            return _Sum(first, axis)
    return None


def _written(
    graph: Graph,
    parts: dict[Value, Node],
    joined: dict[Node, tuple[Value, Node]],
    uses: Counter[Value],
) -> Graph:
    gone = {part for _, part in joined.values()}
    gone |= {parts[x] for x, _ in joined.values() if x in parts}
    gone |= {part.operands[0].node for part in gone if uses[part.operands[0]] == 1}  # type: ignore[misc]
    rewriter = Rewriter(graph)
    for node in graph.nodes:
        if node in gone:
            continue
        if node not in joined:
            rewriter.keep(node)
            continue
        x, part = joined[node]
        whole = rewriter.value(x)
        if x in parts:
            zero: Any = constant(parts[x].operands[0])
            zeros = rewriter.add(p.full.op, (), full_of(zero, x.type), node.line).result
            whole = _put(rewriter, zeros, parts[x])
        rewriter.replace(node.result, _put(rewriter, whole, part))
    return rewriter.graph_of(graph.outputs)


def _put(rewriter: Rewriter, whole: Value, part: Node) -> Value:
    """`whole` with the part of `part` in it, to which zeros were added."""
    value = rewriter.value(part.operands[1])
    if is_inexact(value.dtype):
        zeros = rewriter.add(p.full.op, (), full_of(0.0, value.type), part.line).result
        value = rewriter.add(p.add.op, (value, zeros), {}, part.line).result
    return rewriter.add(p.slice_update.op, (whole, value), part.attributes, part.line).result


def _is_part(node: Node) -> bool:
    """Whether an update places a part in zeros."""
    if min(node.attributes["steps"], default=1) < 1:  # type: ignore[call-overload]
        return False
    number = constant(node.operands[0])
    return type(number) in (int, float) and number == 0 and copysign(1, number) > 0  # type: ignore[arg-type]


def _span(part: Node, axis: int) -> tuple[int, int]:
    starts, stops = part.attributes["starts"], part.attributes["stops"]
    return starts[axis], stops[axis]  # type: ignore[index]
