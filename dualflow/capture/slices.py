"""Parts of a recorded graph, each to be compiled by itself.

Comes in: the nodes of a recording, which values are wanted, which are there already. Goes out: a
Graph that computes the wanted from what is there, and which values it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType


def closure(
    nodes: Sequence[Node], wanted: Collection[Value], there: Collection[Value], raising: bool
) -> tuple[list[Node], list[Value]]:
    """The nodes needed for `wanted` (with `raising`, also those that may raise), in order, and the
    values of `there` and inputs that they take."""
    available = set(there)
    needed = set(wanted)
    kept: list[Node] = []
    taken: dict[Value, None] = {}
    for value in wanted:
        if value in available or value.node is None:
            taken[value] = None
    for node in reversed(nodes):
        missing = any(result in needed and result not in available for result in node.results)
        unknown = not available.issuperset(node.results)
        if missing or (raising and node.op.may_raise and unknown):
            kept.append(node)
            for operand in node.operands:
                needed.add(operand)
                if operand in available or operand.node is None:
                    taken[operand] = None
    kept.reverse()
    return kept, list(taken)


def cheap(value: Value) -> bool:
    """Whether it costs less to compute a value again than to keep it."""
    node = value.node
    if node is None:
        return False
    repeats = all(operand.type.size < value.type.size for operand in node.operands)
    return node.op.kind is Kind.CREATION or (node.op.view is not None and repeats)


def cut(nodes: Sequence[Node], taken: Sequence[Value], wanted: Sequence[Value]) -> Graph:
    """The graph of `nodes` from `taken` to `wanted`."""
    inputs = tuple(
        Value(TensorType(value.shape, value.dtype), None, i) for i, value in enumerate(taken)
    )
    known = dict(zip(taken, inputs, strict=True))
    made = []
    for node in nodes:
        operands = tuple(known[value] for value in node.operands)
        types = tuple(result.type for result in node.results)
        copy = Node(node.op, operands, node.attributes, types, node.line)
        for old, new in zip(node.results, copy.results, strict=True):
            known.setdefault(old, new)
        made.append(copy)
    return Graph(inputs, tuple(made), tuple(known[value] for value in wanted))
