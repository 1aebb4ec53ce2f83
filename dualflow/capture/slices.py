"""Parts of a recorded graph, each to be compiled by itself.

Comes in: the nodes of a recording, which values are wanted, which are there already. Goes out: a
Graph that computes the wanted from what is there, and which values it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import final

from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType


@final
class Path:
    """The nodes of one recording, to be cut into blocks one after the other."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._raising = [node for node in nodes if node.op.may_raise]
        self._uses: dict[Value, list[Node]] = {}
        self._done: set[Node] = set()

    def closure(
        self, wanted: Collection[Value], there: Collection[Value], raising: bool
    ) -> tuple[list[Node], list[Value]]:
        """The nodes needed for `wanted` (with `raising`, also those that may raise), in order, and
        the values of `there` and inputs that they take."""
        kept: dict[Node, None] = {}
        taken: dict[Value, None] = {}
        todo = list(wanted)
        if raising:
            for node in self._raising:
                if not all(result in there for result in node.results):
                    kept[node] = None
                    todo += node.operands
        while todo:
            value = todo.pop()
            node = value.node
            if node is None or value in there:
                taken[value] = None
            elif node not in kept:
                kept[node] = None
                todo += node.operands
        given = sorted(taken, key=_given) if all(v.node is None for v in taken) else list(taken)
        if 4 * len(kept) > len(self._nodes):
            return [node for node in self._nodes if node in kept], given
        return sorted(kept, key=self._rank.__getitem__), given

    @cached_property
    def _rank(self) -> dict[Node, int]:
        """The place of each node."""
        return {node: i for i, node in enumerate(self._nodes)}

    def look_ahead(self, everything: Collection[Value]) -> None:
        """Learn which nodes the path needs for `everything` that it wants."""
        self._wanted = set(everything)
        for node in self.closure(everything, (), raising=True)[0]:
            for operand in node.operands:
                self._uses.setdefault(operand, []).append(node)

    def exports(self, wanted: Collection[Value], there: Collection[Value]) -> list[Value]:
        """What the program for `wanted`, the next one, computes and later programs take."""
        here, _ = self.closure(wanted, there, raising=False)
        self._done.update(here)
        made = [value for node in here for value in node.results if not cheap(value)]
        return [value for value in made if value not in wanted and self._is_used_later(value)]

    def is_over(self, value: Value) -> bool:
        """Whether no block to come takes `value`."""
        return not self._is_used_later(value)

    def _is_used_later(self, value: Value) -> bool:
        if value in self._wanted:
            return True
        return any(
            node not in self._done
            or node.op.may_raise
            or any(cheap(result) and self._is_used_later(result) for result in node.results)
            for node in self._uses.get(value, ())
        )


def cheap(value: Value) -> bool:
    """Whether it costs less to compute a value again than to keep it."""
    node = value.node
    if node is None:
        return False
    repeats = all(operand.type.size < value.type.size for operand in node.operands)
    return node.op.kind is Kind.CREATION or (node.op.view is not None and repeats)


def _given(value: Value) -> int:
    """Which input of the recording a value is."""
    return value.index


def cut(nodes: Sequence[Node], taken: Sequence[Value], wanted: Sequence[Value]) -> Graph:
    """The graph of `nodes` from `taken` to `wanted`."""
    if all(value.node is None and value.index == i for i, value in enumerate(taken)):
        return Graph(tuple(taken), tuple(nodes), tuple(wanted))
    inputs = tuple(
        Value(TensorType(value.shape, value.dtype), None, i) for i, value in enumerate(taken)
    )
    known = dict(zip(taken, inputs, strict=True))
    made = []
    for node in nodes:
        operands = tuple([known[value] for value in node.operands])
        types = tuple([result.type for result in node.results])
        copy = Node(node.op, operands, node.attributes, types, node.line)
        for old, new in zip(node.results, copy.results, strict=True):
            known.setdefault(old, new)
        made.append(copy)
    return Graph(inputs, tuple(made), tuple(known[value] for value in wanted))
