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
#: Values that are taken more steps later are not carried from step to step.
FARTHEST = 8
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
        self.width = width = max([len(node.results) for node in nodes], default=1)
        self.number = number = {value: OUTSIDE - i * i for i, value in enumerate(inputs)}
        tokens, known = [], _Tokens()
        seen, positions = known.seen, _Ragged()
        rows: list[tuple[list[int], list[int]]] = [([], []) for _ in range(MOST_OPERANDS + 1)]
        for i, node in enumerate(nodes):  # a recording has a hundred thousand
            op, few, results = node.op, node.operands, node.results
            count, moving = len(few), MOVING.get(op)
            if moving is None and count <= MOST_OPERANDS and len(results) == 1:
                what = (op, count, id(results[0].type), *map(id, node.attributes.values()))
                token = seen.get(what)
                tokens.append(known.of(i, node, what) if token is None else token)
            else:
                tokens.append(known.of(i, node))
            if count <= MOST_OPERANDS:
                places, numbers = rows[count]
                places.append(i)
                for value in few:
                    numbers.append(number[value])
            for r, value in enumerate(results):
                number[value] = i * width + r
            if moving is not None:
                at: Any = node.attributes[moving[0]]
                positions.add(i, at if type(at) is tuple else (at,))
        self.tokens = np.array(tokens, np.int64)
        operands = _Ragged({length: row for length, row in enumerate(rows) if row[0]})
        self.operands = operands.table(len(nodes))
        self.positions = positions.table(len(nodes))

    def last_uses(self, outputs: Sequence[Value]) -> np.ndarray:
        """For each node, the last one that takes a result of it; past the end for an output."""
        ends = np.zeros(len(self.nodes), np.int64)
        counts = np.array([len(node.operands) for node in self.nodes], np.int64)
        for a in range(self.operands.shape[1]):
            users = np.flatnonzero((counts > a) & (counts <= MOST_OPERANDS))
            makers = self.operands[users, a]
            inside = makers >= 0
            np.maximum.at(ends, makers[inside] // self.width, users[inside])
        taken = [(i, value) for i in np.flatnonzero(counts > MOST_OPERANDS).tolist()
                 for value in self.nodes[i].operands]  # fmt: skip
        for i, value in [*taken, *((len(self.nodes), value) for value in outputs)]:
            number = self.number[value]
            if number >= 0:
                maker = number // self.width
                ends[maker] = max(ends[maker], i)
        return ends

    def stretches(self, least: int) -> list[Stretch]:
        """All stretches of at least `least` steps, the longest first; they may overlap."""
        found = [
            stretch
            for period in _proposals(self.tokens, least)
            for stretch in self._runs(period, least)
        ]
        return sorted(found, key=lambda s: s.period * (4 - s.count))

    def turned(self, stretch: Stretch) -> Stretch | None:
        """The stretch with its steps cut where the fewest values pass from one to the next; None if
        they are cut so. Of `v = f(u); u = g(v)` a step begins where one value is carried."""
        start, period, count = stretch
        passing = [0] * period
        for (offset, _), reach in self._reaches(stretch).items():
            for place in range(offset + 1, offset + reach + 1):
                passing[place % period] += 1
        by = min(range(period), key=passing.__getitem__)
        if passing[by] == passing[0]:
            return None
        whole = stretch.stop + by <= len(self.nodes) and self._goes_on(stretch, by)
        return Stretch(start + by, period, count if whole else count - 1)

    def _reaches(self, stretch: Stretch) -> dict[tuple[int, int], int]:
        """For each result of a step, by node and number, how many nodes later it is taken."""
        start, period, count = stretch
        found: dict[tuple[int, int], int] = {}
        middle = start + count // 2 * period
        for i in range(middle, middle + period):
            for a in range(min(len(self.nodes[i].operands), self.operands.shape[1])):
                number = int(self.operands[i, a])
                maker, result = divmod(number, self.width)
                moves = int(self.operands[i + period, a]) - number == period * self.width
                if moves and start <= maker and i - maker <= FARTHEST * period:
                    place = (maker - start) % period, result
                    found[place] = max(found.get(place, 0), i - maker)
        return found

    def _goes_on(self, stretch: Stretch, more: int) -> bool:
        """Whether as many nodes behind a stretch go on as it does."""
        stop, period = stretch.stop, stretch.period
        now, before, first = (slice(stop - k * period, stop - k * period + more) for k in range(3))
        even = (self.tokens[now] == self.tokens[before]).all()
        for table in (self.operands, self.positions):
            even &= (table[now] - table[before] == table[before] - table[first]).all()
        return bool(even)

    def _runs(self, period: int, least: int) -> Iterator[Stretch]:
        """The stretches whose steps have that length."""
        if len(self.tokens) < max(least, 3) * period:
            return
        alike = self.tokens[period:] == self.tokens[:-period]
        right = alike[period:] & alike[:-period]
        for table in (self.operands, self.positions):
            moved = table[period:] - table[:-period]
            right &= (moved[period:] == moved[:-period]).all(axis=1)
        for low, high in _edges(right):
            count = (high - low + 2 * period) // period
            if count >= least:
                yield Stretch(low, period, count)


def repeated(nodes: Sequence[Node], least: int) -> float:
    """The share of nodes that can be in stretches at most: those in `least` steps of some length
    with the same ops on the same lines."""
    whats = [(node.op, node.line) for node in nodes]
    number = {what: i for i, what in enumerate(dict.fromkeys(whats))}
    tokens = np.array([number[what] for what in whats], np.int64)
    inside = np.zeros(len(tokens), bool)
    for period in _proposals(tokens, least):
        for low, high in _edges(tokens[period:] == tokens[:-period]):
            if high - low >= (least - 1) * period:
                inside[low : high + period] = True
    return float(inside.mean()) if len(nodes) else 0.0


def _edges(right: np.ndarray) -> list[list[int]]:
    """Where runs of true begin and end."""
    changes = np.diff(np.concatenate(([False], right, [False])).astype(np.int8))
    return np.flatnonzero(changes).reshape(-1, 2).tolist()


def _proposals(tokens: np.ndarray, least: int) -> list[int]:
    """Lengths of steps that are worth a try: distances between equal contexts."""
    most = len(tokens) // least
    proposals: set[int] = set()
    for context in CONTEXTS:
        hashes = _hashes(tokens, context)
        order = np.argsort(hashes, kind="stable")
        same = hashes[order][1:] == hashes[order][:-1]
        distances = np.diff(order)[same]
        times = np.bincount(distances[distances <= most], minlength=1)
        best = np.argsort(-times, kind="stable")[:PROPOSALS]
        proposals.update(int(d) for d in best if d and times[d] >= least // 2)
    small = sorted(proposals)[: PROPOSALS // 2]
    proposals.update(k * d for d in small for k in (2, 3, 4) if k * d <= most)
    return sorted(proposals)


class _Ragged:
    """Rows of numbers, few lengths of many rows: by their length, the places of rows and them."""

    def __init__(self, rows: dict[int, tuple[list[int], list[int]]] | None = None) -> None:
        self._rows = {} if rows is None else rows

    def add(self, i: int, row: Sequence[int]) -> None:
        places, numbers = self._rows.get(len(row)) or self._rows.setdefault(len(row), ([], []))
        places.append(i)
        numbers += row

    def table(self, count: int) -> np.ndarray:
        """All of them, the others and what is missing 0."""
        found = np.zeros((count, max(self._rows, default=0) or 1), np.int64)
        for length, (places, numbers) in self._rows.items():
            found[places, :length] = np.array(numbers, np.int64).reshape(len(places), length)
        return found


class _Tokens:
    """Numbers for what nodes do. Attributes are mostly the same few objects, which the graph keeps:
    what they are is then looked up by where they are, in `seen`."""

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}
        self.seen: dict[Hashable, int] = {}

    def of(self, i: int, node: Node, what: Hashable = None) -> int:
        """Equal for nodes that do the same to other operands at other positions; `what` is by which
        objects this one does it."""
        if len(node.operands) > MOST_OPERANDS:
            return -1 - i
        if what is None:
            types = tuple([id(value.type) for value in node.results])
            moving = MOVING.get(node.op, ())  # whole numbers
            fixed = tuple([v for k, v in node.attributes.items() if k not in moving])
            by = fixed if moving else tuple(map(id, fixed))
            what = node.op, len(node.operands), types, by
        token = self.seen.get(what)
        if token is None:
            token = self._known.setdefault(self._key(node), len(self._known))
            self.seen[what] = token
        return token

    def _key(self, node: Node) -> Hashable:
        moving = MOVING.get(node.op, ())
        attributes = [(k, attribute_key(v)) for k, v in node.attributes.items() if k not in moving]
        types = tuple([value.type for value in node.results])
        return node.op, len(node.operands), types, tuple(attributes)


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
