"""Folds over several axes as two folds, where that gives kernels more to do side by side.

    y = sum(x, axes=(0, 1))   ->   t = sum(x, axes=(1,)); y = sum(t, axes=(0,))

Comes in: a graph, whose short folds are written out first. Goes out: a graph of the same meaning;
floats may be rounded otherwise, no worse.
The inner fold can join a kernel that already walks rows (of a softmax, say), and a large fold to
few results gets a grid whose points are independent and whose order does not depend on threads.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from dualflow.base.shapes import size_of
from dualflow.ir.backend import Backend
from dualflow.ir.graph import Graph, Node, Value

from .facts import role_of
from .short import write_out_folds

#: A fold of at least so many elements to each result is split even if nothing can join it,
LARGE = 1 << 16
#: if each point of the grid then folds at least so many.
ENOUGH = 1 << 10


def split_folds(graph: Graph, backend: Backend, exact: bool) -> Graph:
    """See the module."""
    graph = write_out_folds(graph, backend, exact)
    rows: dict[Value, int] = {}  # how many results the folds on the way to a value have
    instead: dict[Value, Value] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        operands = tuple([instead.get(value, value) for value in node.operands])
        kept = node if operands == node.operands else _copy(node, operands, node.attributes)
        role = role_of(node, backend.name, exact)
        before = max((rows.get(value, 0) for value in operands), default=0)
        inner = _inner_axes(node, before, backend) if role == "reduction" else ()
        if inner:
            outer = tuple(a for a in node.attributes["axes"] if a not in inner)  # type: ignore[union-attr]
            first = _copy(node, operands, {"axes": inner})
            kept = _copy(node, (first.result,), {"axes": outer})
            nodes.append(first)
        if kept is not node:
            instead.update(zip(node.results, kept.results, strict=True))
        nodes.append(kept)
        if role == "reduction":
            before = max(before, node.result.type.size)
        if before and role != "library":
            rows[kept.result] = before
    if not instead:
        return graph
    return Graph(graph.inputs, tuple(nodes), tuple(instead.get(v, v) for v in graph.outputs))


def _copy(node: Node, operands: tuple[Value, ...], attributes: Mapping[str, Hashable]) -> Node:
    types = node.op.infer(tuple(value.type for value in operands), attributes)
    return Node(node.op, operands, attributes, types, node.line)


def _inner_axes(node: Node, rows: int, backend: Backend) -> tuple[int, ...]:
    """The axes to fold first; none if the fold is better left whole. `rows`: how many results the
    folds before it have; where it folds just these, it can be a total of their kernel."""
    operand, results = node.operands[0], node.result.type.size
    axes: tuple[int, ...] = node.attributes["axes"]  # type: ignore[assignment]
    real = [axis for axis in axes if operand.shape[axis] != 1]
    if len(real) < 2 or (backend.totals and rows >= operand.type.size):
        return ()
    # The axes of the outer fold are those before, whose numbers stay what they are.
    first = real[-1] if rows > results else real[1]
    inner = tuple(axis for axis in axes if axis >= first)
    if rows > results:
        return inner
    enough = size_of(tuple(operand.shape[axis] for axis in inner)) >= ENOUGH
    return inner if enough and operand.type.size >= LARGE * max(results, 1) else ()
