"""Folds of many elements to few results, and long scans, as two, for grid points run side by side.

    y = sum(x, axes=(0,))   ->   t = sum(reshape(x, (parts, n / parts)), axes=(1,))
                                 y = sum(t, axes=(0,))
    y = argmax(x, axes)     ->   y = min(where(x == max(x), position, n)), which spreads as well
    y = cumsum(x, axis)     ->   t = cumsum(reshape(x, (parts, n / parts)), 1)
                                 y = t + what the parts before come to
    y = correlate(x, g)     ->   t = correlate of n / parts images each
                                 y = sum(t, axes=(0,))

Comes in: a graph. Goes out: a graph of the same meaning; floats may be rounded otherwise, no worse.
What is cut depends on sizes and the backend alone (`ir/backend.py`), never on how many threads
there are, so that bits do not either. Positions are left to one thread where kernels hold totals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dualflow.base.dtypes import bool_, int64, is_float
from dualflow.base.shapes import size_of
from dualflow.ir.backend import Backend, Spreading
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import CATALOGUE, Kind
from dualflow.ops import primitives as p

from .facts import role_of

#: An even cut is looked for up to so many times as many parts as are wanted.
EVEN = 8
#: Elements of a kernel that one program instance correlates.
CORRELATED = 4096
#: Padded parts are multiples of this, so that each begins at an aligned address.
ALIGNED = 64


def spread_folds(graph: Graph, backend: Backend, exact: bool) -> Graph:
    """See the module."""
    return _Spreading(graph, backend, exact).graph()


class _Spreading:
    def __init__(self, graph: Graph, backend: Backend, exact: bool) -> None:
        self.old, self.backend, self.exact = graph, backend, exact
        self.instead: dict[Value, Value] = {}
        self.nodes: list[Node] = []

    def graph(self) -> Graph:
        for node in self.old.nodes:
            operands = tuple(self.instead.get(value, value) for value in node.operands)
            kept = node if operands == node.operands else self._copy(node, operands)
            made = self._spread(kept)
            if made is not None:
                self.instead[node.result] = made
                continue
            if kept is not node:
                self.instead.update(zip(node.results, kept.results, strict=True))
            self.nodes.append(kept)
        if not self.instead:
            return self.old
        outputs = tuple(self.instead.get(value, value) for value in self.old.outputs)
        return Graph(self.old.inputs, tuple(self.nodes), outputs)

    def _copy(self, node: Node, operands: tuple[Value, ...]) -> Node:
        types = node.op.infer(tuple(value.type for value in operands), node.attributes)
        return Node(node.op, operands, node.attributes, types, node.line)

    def _add(self, like: Node, op: Any, *operands: Value, **attributes: Any) -> Value:
        """The result of a further node, at the user's line of `like`."""
        types = op.infer(tuple(value.type for value in operands), attributes)
        self.nodes.append(Node(op, operands, attributes, types, like.line))
        return self.nodes[-1].result

    def _spread(self, node: Node) -> Value | None:
        """The result of `node` computed in parts; None where it is better left whole."""
        if node.op.kind is Kind.SCAN and self.backend.spreading.scans and not self.exact:
            return self._scan(node)
        if node.op.spelling.get("products") == "correlate" and self.backend.spreading.scans:
            return None if self.exact else self._correlated(node)
        if node.op.kind is not Kind.REDUCTION:
            return None
        if role_of(node, self.backend.name, self.exact) != "reduction":
            return None
        x, axes = node.operands[0], _axes(node.attributes)
        if not axes or axes != tuple(range(axes[0], axes[-1] + 1)):
            return None
        folded = size_of(tuple(x.shape[axis] for axis in axes))
        shape = (*x.shape[: axes[0]], folded, *x.shape[axes[-1] + 1 :])
        count = parts(shape, axes[0], self.backend.spreading)
        if count < 2:
            return None
        if node.op.position_of:
            if self.backend.totals:
                return None
            return self._position(node, x, next(axis for axis in axes if x.shape[axis] != 1))
        flat = x if shape == x.shape else self._add(node, p.reshape.op, x, shape=shape)
        return self._in_parts(node, flat, axes[0], count)

    def _in_parts(self, node: Node, x: Value, axis: int, count: int) -> Value:
        """`x` folded along `axis`, which is cut into about `count` parts."""
        first = self._add(node, node.op, self._cut(node, x, axis, count), axes=(axis + 1,))
        return self._add(node, node.op, first, axes=(axis,))

    def _cut(self, node: Node, x: Value, axis: int, count: int) -> Value:
        """`x` with `axis` as two, the first of about `count` parts; padded where it is uneven."""
        n = x.shape[axis]
        if self.backend.spreading.padded:
            count = next((c for c in range(count, 2 * count) if n % c == 0), count)
        if n % count:
            each = -(-n // (count * ALIGNED)) * ALIGNED
            count = -(-n // each)
            widths = tuple((0, each * count - n if a == axis else 0) for a in range(len(x.shape)))
            assert node.op.identity is not None, f"{node.op.name} has no identity to pad with"
            x = self._add(node, p.pad.op, x, widths=widths, fill=node.op.identity(x.dtype))
        shape = (*x.shape[:axis], count, x.shape[axis] // count, *x.shape[axis + 1 :])
        return self._add(node, p.reshape.op, x, shape=shape)

    def _scan(self, node: Node) -> Value | None:
        """A scan of few long lines, by parts, each joined to what the parts before come to."""
        (x,), axis = node.operands, _axis(node.attributes)
        count = parts(x.shape, axis, self.backend.spreading)
        if count < 2:
            return None
        cut = self._cut(node, x, axis, count)
        found = self._add(node, node.op, cut, axis=axis + 1)
        count, each = cut.shape[axis : axis + 2]
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        ends = self._part(node, found, axis + 1, each - 1, each)
        ends = self._add(node, p.reshape.op, ends, shape=shape)
        before = self._part(node, self._add(node, node.op, ends, axis=axis), axis, 0, count - 1)
        shape = (*x.shape[:axis], count - 1, 1, *x.shape[axis + 1 :])
        first, rest = self._part(node, found, axis, 0, 1), self._part(node, found, axis, 1, count)
        before = self._add(node, p.reshape.op, before, shape=shape)
        before = self._add(node, p.expand.op, before, shape=rest.shape)
        rest = self._add(node, CATALOGUE[node.op.combine], before, rest)
        joined = self._add(node, p.concat.op, first, rest, axis=axis)
        whole = (*x.shape[:axis], count * each, *x.shape[axis + 1 :])
        joined = self._add(node, p.reshape.op, joined, shape=whole)
        return self._part(node, joined, axis, 0, x.shape[axis])

    def _correlated(self, node: Node) -> Value | None:
        """What kernels are multiplied with, of parts of the images; floats that are rounded to half
        of their bits are left whole, as each part would be rounded."""
        x, g = node.operands
        axis = len(x.shape) - len(node.attributes["strides"]) - 2  # type: ignore[arg-type]
        n, (made,) = x.shape[axis], node.results
        each = size_of(g.shape[axis + 2 :])
        limits, tiles = self.backend.spreading, -(-made.type.size // CORRELATED)
        most = min(n, limits.wanted // max(tiles, 1), n * each // limits.least)
        count = next((c for c in range(most, 1, -1) if n % c == 0), 1)
        if count < 2 or made.dtype.itemsize < 4:
            return None
        parts = [self._add(node, p.reshape.op, v, shape=(
            *v.shape[:axis], count, n // count, *v.shape[axis + 1 :])) for v in (x, g)]  # fmt: skip
        found = self._add(node, node.op, *parts, **node.attributes)
        return self._add(node, p.sum.op, found, axes=(axis,))

    def _part(self, node: Node, x: Value, axis: int, start: int, stop: int) -> Value:
        """The elements from `start` to `stop` along `axis`."""
        starts, stops = [0] * len(x.shape), list(x.shape)
        starts[axis], stops[axis] = start, stop
        return self._add(node, p.slice.op, x, starts=tuple(starts), stops=tuple(stops),
                         steps=(1,) * len(x.shape))  # fmt: skip

    def _position(self, node: Node, x: Value, axis: int) -> Value:
        """The first place of the extreme: a fold of places, after a fold of values."""
        op = CATALOGUE[node.op.position_of]
        axes = _axes(node.attributes)
        best = self._folded(node, op, x, axes)
        kept = tuple(1 if a in axes else size for a, size in enumerate(x.shape))
        wide = self._add(node, p.reshape.op, best, shape=kept)
        wide = self._add(node, p.expand.op, wide, shape=x.shape)
        here = self._add(node, p.equal.op, x, wide)
        if is_float(x.dtype):  # NaN comes first, and where there is one, nothing equals it
            odd = self._add(node, p.isnan.op, x)
            here = self._add(node, p.logical_or.op, here, odd)
        assert here.dtype == bool_
        place = self._add(node, p.iota.op, shape=x.shape, axis=axis, dtype=int64)
        last = self._add(node, p.full.op, shape=x.shape, value=x.shape[axis], dtype=int64)
        return self._folded(node, p.min.op, self._add(node, p.where.op, here, place, last), axes)

    def _folded(self, node: Node, op: Any, x: Value, axes: tuple[int, ...]) -> Value:
        types = op.infer((x.type,), {"axes": axes})
        whole = Node(op, (x,), {"axes": axes}, types, node.line)
        made = self._spread(whole)
        if made is None:
            self.nodes.append(whole)
            return whole.result
        return made


def _axes(attributes: Mapping[str, Any]) -> tuple[int, ...]:
    return attributes["axes"]


def _axis(attributes: Mapping[str, Any]) -> int:
    return attributes["axis"]


def parts(shape: tuple[int, ...], axis: int, limits: Spreading) -> int:
    """Into how many parts to cut a fold over `axis`; 1: none.

    >>> from dualflow.ir.backend import NUMBA, TRITON
    >>> shapes = ((1 << 20,), 0), ((4096, 1024), 0), ((4096, 1024), 1)
    >>> [parts(*shape, TRITON.spreading) for shape in shapes]
    [256, 32, 1]
    >>> [parts(*shape, NUMBA.spreading) for shape in shapes]
    [32, 1, 1]
    """
    results = size_of(shape[:axis] + shape[axis + 1 :])
    columns = limits.columns if size_of(shape[axis + 1 :]) > 1 else 1
    programs = -(-results // columns)
    each = shape[axis] * min(columns, results)
    if programs >= limits.busy or each < limits.long:
        return 1
    count = min(-(-limits.wanted // max(programs, 1)), each // limits.least, shape[axis])
    count = 1 << (count.bit_length() - 1)
    if limits.padded or not shape[axis] % count:
        return count
    even = (c for c in range(count, EVEN * count) if not shape[axis] % c)
    return next(even, 1)
