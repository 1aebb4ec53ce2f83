"""Where a graph repeats itself: stretches of nodes in which each step does what the last one did.

Comes in: the nodes of a graph. Goes out: `Table`, their operands and positions as numbers, and
`Stretch`es of them, found in time that grows with the number of nodes.

Node i repeats node i - p when both apply one op with one set of attributes and have results of the
same types, and their operands and positions have moved by as much as in the step before: by
nothing (a value from outside), by the length of a step (a value of this step or an earlier one), or
otherwise evenly (a value of another stretch, a window that moves).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dualflow.ir.graph import Node, Value, attribute_key
from dualflow.ops import primitives as p

#: Nodes with more operands are in no stretch.
MOST_OPERANDS = 8
#: Lengths of the runs of nodes whose last appearance tells how long a step may be.
CONTEXTS = (1, 6, 40)
#: How many lengths each of them proposes.
PROPOSALS = 8
#: Attributes that may move from step to step, with what follows from them.
MOVING = {
    p.slice.op: ("starts", "stops"),
    p.slice_update.op: ("starts", "stops"),
    p.select.op: ("index",),
}
#: Inputs of a graph get numbers that never move evenly.
OUTSIDE = -(1 << 40)


class Stretch(NamedTuple):
    """`count` steps of `period` nodes, from node `start` on."""

    start: int
    period: int
    count: int  # type: ignore[assignment]

    @property
    def stop(self) -> int:
        return self.start + self.period * self.count


class Table:
    """Nodes as numbers.

    Attributes:
        width: result r of node i is number i * width + r.
        tokens: equal for nodes that do the same to other operands at other positions.
        operands: the numbers of each node's operands, a row each; 0 where there is none.
        positions: where a slice or select is, along each axis.
    """

    def __init__(self, inputs: Sequence[Value], nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.width = max((len(node.results) for node in nodes), default=1)
        self.number = {value: OUTSIDE - i * i for i, value in enumerate(inputs)}
        most = max((len(n.operands) for n in nodes if len(n.operands) <= MOST_OPERANDS), default=1)
        axes = max((len(n.operands[0].shape) for n in nodes if n.op in MOVING), default=1) or 1
        self.operands = np.zeros((len(nodes), most), np.int64)
        self.positions = np.zeros((len(nodes), axes), np.int64)
        self.tokens = np.zeros(len(nodes), np.int64)
        known: dict[Hashable, int] = {}
        for i, node in enumerate(nodes):
            for r, value in enumerate(node.results):
                self.number[value] = i * self.width + r
            self.tokens[i] = known.setdefault(self._token(i, node), len(known))

    def _token(self, i: int, node: Node) -> Hashable:
        if len(node.operands) > MOST_OPERANDS:
            return i
        for a, value in enumerate(node.operands):
            self.operands[i, a] = self.number[value]
        moving = MOVING.get(node.op, ())
        if moving:
            at: Any = node.attributes[moving[0]]
            at = at if isinstance(at, tuple) else (at,)
            self.positions[i, : len(at)] = at
        attributes = [(k, attribute_key(v)) for k, v in node.attributes.items() if k not in moving]
        types = tuple([value.type for value in node.results])
        return node.op, len(node.operands), types, tuple(attributes)

    def stretches(self, least: int) -> list[Stretch]:
        """All stretches of at least `least` steps, the longest first; they may overlap."""
        found = [
            stretch for period in self._proposals(least) for stretch in self._runs(period, least)
        ]
        return sorted(found, key=lambda s: s.period * (4 - s.count))

    def _proposals(self, least: int) -> list[int]:
        """Lengths of steps that are worth a try: distances between equal contexts."""
        most = len(self.tokens) // least
        proposals: set[int] = set()
        for context in CONTEXTS:
            hashes = _hashes(self.tokens, context)
            order = np.argsort(hashes, kind="stable")
            same = hashes[order][1:] == hashes[order][:-1]
            distances = np.diff(order)[same]
            times = np.bincount(distances[distances <= most], minlength=1)
            best = np.argsort(-times, kind="stable")[:PROPOSALS]
            proposals.update(int(d) for d in best if d and times[d] >= least // 2)
        small = sorted(proposals)[: PROPOSALS // 2]
        proposals.update(k * d for d in small for k in (2, 3, 4) if k * d <= most)
        return sorted(proposals)

    def _runs(self, period: int, least: int) -> Iterator[Stretch]:
        """The stretches whose steps have that length."""
        if len(self.tokens) < max(least, 3) * period:
            return
        alike = self.tokens[period:] == self.tokens[:-period]
        right = alike[period:] & alike[:-period]
        for table in (self.operands, self.positions):
            moved = table[period:] - table[:-period]
            right &= (moved[period:] == moved[:-period]).all(axis=1)
        edges = np.flatnonzero(np.diff(np.concatenate(([False], right, [False])).astype(np.int8)))
        for low, high in edges.reshape(-1, 2).tolist():
            count = (high - low + 2 * period) // period
            if count >= least:
                yield Stretch(low, period, count)


def _hashes(tokens: np.ndarray, context: int) -> np.ndarray:
    """A number for each node that depends on it and the `context` - 1 nodes before."""
    mixed = (tokens.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    found = mixed.copy()
    factor, power = np.uint64(0x100000001B3), 1
    for back in range(1, min(context, len(tokens))):
        power = power * int(factor) % (1 << 64)
        found[back:] += mixed[:-back] * np.uint64(power)
    return found
