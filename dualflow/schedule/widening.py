"""Products and other library ops of narrow floats as those of float32, with casts around them.

    c = matmul(a, b)   ->   c = cast(matmul(cast(a), cast(b)))         a, b, c of bfloat16

It is what eager mode computes; so they run natively, and the casts in the kernels beside them.
Comes in: a graph. Goes out: a graph of the same meaning, with the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dualflow.base.dtypes import compute_dtype
from dualflow.ir.backend import Backend
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import Kind, Op
from dualflow.ops import primitives as p


def widen(graph: Graph, backend: Backend) -> Graph:
    """See the module."""
    if not backend.widens or not any(map(_is_narrow, graph.nodes)):
        return graph
    instead: dict[Value, Value] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        operands = tuple([instead.get(value, value) for value in node.operands])
        narrow = _is_narrow(node)
        if narrow:
            operands = tuple([_cast(x, compute_dtype(x.dtype), node, nodes) for x in operands])
        elif operands == node.operands:
            nodes.append(node)
            continue
        nodes.append(_copy(node.op, operands, node.attributes, node))
        for value, made in zip(node.results, nodes[-1].results, strict=True):
            instead[value] = _cast(made, value.dtype, node, nodes)
    return Graph(graph.inputs, tuple(nodes), tuple(instead.get(v, v) for v in graph.outputs))


def _is_narrow(node: Node) -> bool:
    """Whether a library runs `node` in float32."""
    if node.op.kind not in (Kind.CONTRACTION, Kind.LIBRARY):
        return False
    return any(node.op.widens(value.dtype) for value in node.operands)


def _cast(x: Value, dtype: np.dtype, node: Node, nodes: list[Node]) -> Value:
    if x.dtype == dtype:
        return x
    nodes.append(_copy(p.cast.op, (x,), {"dtype": dtype}, node))
    return nodes[-1].result


def _copy(op: Op, operands: tuple[Value, ...], attributes: Mapping, node: Node) -> Node:
    types = op.infer(tuple([value.type for value in operands]), attributes)
    return Node(op, operands, attributes, types, node.line)
