"""Building a new graph from an old one, node by node, and the passes that need no rules.

Comes in: a Graph. Goes out: a Graph that computes the same; nodes that do not change are shared.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np

from dualflow.base.dtypes import Number
from dualflow.base.source import SourceLine
from dualflow.ir.graph import Graph, Node, Value, attribute_key
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType
from dualflow.ops import primitives as p

#: Reductions of constants of more elements than this are left to run time.
SMALL = 4096


class Rewriter:
    """A graph in the making; `value` says what stands for a value of the old graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self._instead: dict[Value, Value] = {}

    def value(self, old: Value) -> Value:
        return self._instead.get(old, old)

    def replace(self, old: Value, new: Value) -> None:
        self._instead[old] = new

    def keep(self, node: Node, attributes: Mapping[str, Hashable] | None = None) -> Node:
        """The node on what now stands for its operands, with `attributes` if there are any that
        leave its results of their types: itself, if nothing changed."""
        operands = tuple([self._instead.get(value, value) for value in node.operands])
        if operands != node.operands or attributes is not None:
            types = tuple([value.type for value in node.results])
            changed = Node(node.op, operands, attributes or node.attributes, types, node.line)
            self._instead.update(zip(node.results, changed.results, strict=True))
            node = changed
        self.nodes.append(node)
        return node

    def add(
        self, op: Op, operands: tuple[Value, ...], attributes: Mapping[str, Any],
        line: SourceLine | None,
    ) -> Node:  # fmt: skip
        """A new node."""
        types = op.infer(tuple([value.type for value in operands]), attributes)
        node = Node(op, operands, attributes, types, line)
        self.nodes.append(node)
        return node

    def graph_of(self, outputs: Iterable[Value]) -> Graph:
        """The new graph."""
        return Graph(self.graph.inputs, tuple(self.nodes), tuple(map(self.value, outputs)))


def remove_dead(graph: Graph) -> Graph:
    """Nodes that no output needs go; those that may raise stay, as raising is an effect."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if node.may_raise or not needed.isdisjoint(node.results):
            kept.append(node)
            needed.update(node.operands)
    if len(kept) == len(graph.nodes):
        return graph
    return Graph(graph.inputs, tuple(reversed(kept)), graph.outputs)


def merge_equal(graph: Graph) -> Graph:
    """`y = sin(x); z = sin(x)` -> `y = sin(x); z = y`: one node for equal computations."""
    rewriter = Rewriter(graph)
    known: dict[Hashable, Node] = {}
    for node in graph.nodes:
        operands = tuple([rewriter.value(value) for value in node.operands])
        key: Hashable = (node.op, operands)
        if node.attributes:
            key = (*key, *[(k, attribute_key(v)) for k, v in node.attributes.items()])  # type: ignore[misc]
        found = known.get(key)
        if found is None:
            known[key] = rewriter.keep(node)
            continue
        for old, new in zip(node.results, found.results, strict=True):
            rewriter.replace(old, new)
    if len(rewriter.nodes) == len(graph.nodes):
        return graph
    return rewriter.graph_of(graph.outputs)


def copy_outputs(before: Graph, after: Graph) -> Graph:
    """An output that was computed and has become an input of the graph is copied: the caller gets
    memory of its own, as without the compiler. `-(-x)` -> `copy of x`."""
    given = set(after.inputs)
    rewriter = Rewriter(after)
    rewriter.nodes.extend(after.nodes)
    outputs = []
    for old, new in zip(before.outputs, after.outputs, strict=True):
        if new in given and old is not new:
            line = old.node.line if old.node else None
            new = rewriter.add(p.cast.op, (new,), {"dtype": new.dtype}, line).result
        outputs.append(new)
    if len(rewriter.nodes) == len(after.nodes):
        return after
    return Graph(after.inputs, tuple(rewriter.nodes), tuple(outputs))


def constant(value: Value) -> Number | None:
    """The number that every element of `value` is; None if that is not known."""
    node = value.node
    if node is None or node.op is not p.full.op:
        return None
    return node.attributes["value"]  # type: ignore[return-value]


def folded(op: Op, operands: tuple[Value, ...], attributes: Mapping[str, Any]) -> Any:
    """The number that an op on constants gives everywhere; None if it is not one number."""
    if not operands or op.may_raise or op.outputs != 1:
        return None
    numbers = []
    for value in operands:
        number = constant(value)
        if number is None:
            return None
        numbers.append(number)
    if op.kind is Kind.MOVEMENT:
        return numbers[0] if op.view is not None else None
    if op.kind is Kind.REDUCTION:
        if not 0 < operands[0].type.size <= SMALL:
            return None
        shapes = [operands[0].shape]
    elif op.kind is Kind.ELEMENTWISE:
        shapes = [(1,)] * len(operands)
    else:
        return None
    arrays = [
        np.full(shape, number, value.dtype)
        for shape, number, value in zip(shapes, numbers, operands, strict=True)
    ]
    with np.errstate(all="ignore"):
        found = np.asarray(op.compute(*arrays, **attributes)).reshape(-1)
    return found[0].item() if found.size and np.all(found == found[0]) else None


def full_of(number: Number, type_: TensorType) -> dict[str, Any]:
    """The attributes of a `full` of that type."""
    return {"shape": type_.shape, "value": number, "dtype": type_.dtype}
