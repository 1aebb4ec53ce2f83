"""Folds of few elements as operations on these elements, which any kernel can compute on its way.

    y = sum(x, axes=(1,))   ->   y = (x[:, 0] + x[:, 1]) + x[:, 2]        x of shape (n, 3)

Comes in: a graph. Goes out: a graph of the same meaning, without a loop where there were few steps;
elements are taken in their order, as NumPy takes them. Folds over a first axis are left alone: its
size may be that of a batch, on which no text depends. So are elements that are dear to compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from dualflow.base.dtypes import compute_dtype
from dualflow.base.shapes import size_of
from dualflow.ir.backend import Backend
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import CATALOGUE
from dualflow.ir.types import View
from dualflow.ops import primitives as p

from .facts import Facts, role_of

#: Scalar operations of a fold that is written out: each reader of its result may repeat them.
CHEAP = 12


def write_out_folds(graph: Graph, backend: Backend, exact: bool) -> Graph:
    """See the module."""
    short = {node for node in graph.nodes if _is_short(node, backend, exact)}
    if not short:
        return graph
    layouts = [View.contiguous(value.shape) for value in graph.inputs]
    work = Facts(graph, layouts, backend.name, exact).work
    instead: dict[Value, Value] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        operands = tuple([instead.get(value, value) for value in node.operands])
        if node in short and (work[node.operands[0]] + 1) * _points(node) <= CHEAP:
            instead[node.result] = _written_out(node, operands[0], nodes)
            continue
        if operands != node.operands:
            kept = Node(node.op, operands, node.attributes, tuple(v.type for v in node.results),
                        node.line)  # fmt: skip
            instead.update(zip(node.results, kept.results, strict=True))
            node = kept
        nodes.append(node)
    return Graph(graph.inputs, tuple(nodes), tuple(instead.get(v, v) for v in graph.outputs))


def _is_short(node: Node, backend: Backend, exact: bool) -> bool:
    if not node.op.combine or role_of(node, backend.name, exact) != "reduction":
        return False
    if compute_dtype(node.result.dtype) != node.result.dtype and not node.op.exact:
        return False  # the sums of NumPy are wider than their steps
    axes: Sequence[int] = node.attributes["axes"]  # type: ignore[assignment]
    shape = node.operands[0].shape
    points = _points(node)
    kept = size_of(tuple(shape[axis] for axis in range(len(shape)) if axis not in axes))
    return 0 not in axes and 1 < points <= backend.short and kept > 1


def _points(node: Node) -> int:
    """How many elements the fold takes for each result."""
    return node.operands[0].type.size // max(node.result.type.size, 1)


def _written_out(node: Node, x: Value, nodes: list[Node]) -> Value:
    """The result of a short fold of `x`; `nodes` gets what computes it."""

    def add(op, *operands: Value, **attributes) -> Value:
        types = op.infer(tuple(value.type for value in operands), attributes)
        nodes.append(Node(op, operands, attributes, types, node.line))
        return nodes[-1].result

    axes: Sequence[int] = node.attributes["axes"]  # type: ignore[assignment]
    dtype = node.result.dtype
    total: Value | None = None
    for point in product(*(range(x.shape[axis]) for axis in axes)):
        part = x
        for axis, index in reversed(list(zip(axes, point, strict=True))):
            part = add(p.select.op, part, axis=axis, index=index)
        part = part if part.dtype == dtype else add(p.cast.op, part, dtype=dtype)
        total = part if total is None else add(CATALOGUE[node.op.combine], total, part)
    assert total is not None, "a fold of no elements is no reduction"
    return total
