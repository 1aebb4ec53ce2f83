"""A group of nodes as scalar code: one term for each value at each map.

Comes in: a `Group` and how values in memory lie. Goes out: `Lowering`: what is stored where, as
terms over the axes of the group's domain, which `shaping.py` turns into a Kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dualflow.base.dtypes import bool_, int64, real_dtype
from dualflow.ir.graph import Node, Value
from dualflow.ir.types import View
from dualflow.ops import primitives as p
from dualflow.ops.record import Strict

from .facts import is_exact
from .fusion import Fusion
from .maps import Interval, Map, Pick, padded, positions, through
from .operands import Seen
from .units import Group


@dataclass(eq=False)
class Term:
    """One scalar value of a kernel to be.

    Attributes:
        op: a record's name, or "load", "gather", "place", "scalar", "fold", "total".
        dtype: of the value.
        arguments: terms it is computed from.
        key: load, gather: the `Look`; place (a position): strides and offset; scalar: the number;
            fold, total: the op.
        axes: the domain axes along which it changes.
        depth: how many folds have to come before it.
        dear: whether it is better kept than computed again.
    """

    op: str
    dtype: np.dtype
    arguments: tuple[Term, ...] = ()
    key: Any = None
    axes: frozenset[int] = frozenset()
    depth: int = 0
    dear: bool = False


@dataclass(eq=False)
class Look:
    """A value in memory seen from the domain: an access to be."""

    value: Value
    strides: tuple[int, ...]
    offset: int
    mode: str = "in"


class Lowering:
    """The lowering of one group.

    Attributes:
        nodes: what is computed.
        checks: what has to be true at every point.
        stores: what is stored at every point.
        totalled: the axes of the grid that totals fold, if something is stored after them.
        closing: what is stored when the totals are known.
    """

    def __init__(self, fusion: Fusion, group: Group, layouts: dict[Value, View]) -> None:
        self.fusion, self.group, self.layouts = fusion, group, layouts
        self.domain = group.domain
        self.rank = len(self.domain)
        self.loops = frozenset(group.loops or ())
        self._terms: dict[object, Term] = {}
        self._looks: dict[object, Look] = {}
        self.nodes: dict[object, None] = {}
        self.checks: dict[Term, None] = {}
        self.stores: list[tuple[Look, Term]] = []
        self.totalled: frozenset[int] = frozenset()
        self.closing: list[tuple[Look, Term]] = []
        for value, map_ in group.roots:
            term = self.evaluate(value, map_, store=True)
            look = Look(value, padded(map_.strides, self.rank), map_.offset, "out")
            self.stores.append((look, term))

    def store_in_place(self, value: Value, given: Value) -> bool:
        """Store `value` where the input `given` lies, element upon element; False if the group
        sees the input in another way too, or reads it after the store."""
        stores = [*self.stores, *self.closing]
        at = next(i for i, (look, _) in enumerate(stores) if look.value is value)
        look, term = stores[at]
        layout = self.layouts[given]
        target = Look(given, look.strides, look.offset + layout.offset, "out")
        seen = [look for look in self._looks.values() if look.value is given]
        if seen:
            (first, *others) = seen
            if others or (first.strides, first.offset) != (target.strides, target.offset):
                return False
            if self.closing:
                return False
            deepest = max(t.depth for t in self._terms.values())
            inside = any(look.strides[k] for k in self.loops)
            if self.loops and inside and term.depth < deepest:
                return False
            first.mode = "inout"
            target = first
        if at < len(self.stores):
            self.stores[at] = (target, term)
        else:
            self.closing[at - len(self.stores)] = (target, term)
        return True

    # Terms -------------------------------------------------------------------------------------

    def term(
        self, op: str, dtype: np.dtype, arguments: tuple[Term, ...] = (), key: Any = None,
        axes: frozenset[int] = frozenset(), depth: int = 0, dear: bool = False,
    ) -> Term:  # fmt: skip
        """The term, made once."""
        name = (op, dtype, tuple(map(id, arguments)), key)
        found = self._terms.get(name)
        if found is None:
            for argument in arguments:
                axes |= argument.axes
                depth = max(depth, argument.depth)
            found = self._terms[name] = Term(op, dtype, arguments, key, axes, depth, dear)
        return found

    def folded(
        self, kind: str, dtype: np.dtype, argument: Term, op: str, axes: frozenset[int]
    ) -> Term:
        """The fold or total of `argument`, made once; it changes along `axes`."""
        name = (kind, dtype, id(argument), op)
        made = Term(kind, dtype, (argument,), op, axes, argument.depth + 1)
        return self._terms.setdefault(name, made)

    def _scalar(self, number: bool | int | float, dtype: np.dtype, role: object = None) -> Term:
        """A number that the launch passes; numbers in different roles stay apart, so that a
        kernel does not depend on which sizes happen to be equal."""
        if dtype.kind == "c":  # launches pass no complex numbers
            parts, real = complex(np.array(number, dtype)), real_dtype(dtype)
            re, im = (
                self._scalar(parts.real, real, role),
                self._scalar(parts.imag, real, (role, "im")),
            )
            return self.term("pair", dtype, (re, im))
        return self.term("scalar", dtype, key=(np.array(number, dtype).tobytes(), role))

    def evaluate(self, value: Value, map_: Map, store: bool = False) -> Term:
        """The term of a value at the points of the domain."""
        known = (value, map_, store)
        found = self._terms.get(known)
        if found is None:
            found = self._terms[known] = self._make(value, map_, store)
        return found

    def _make(self, value: Value, map_: Map, store: bool) -> Term:
        value = self.group.instead.get(value, value)
        if value in self.group.loaded and not store:
            return self._load(value, map_, None)
        if value in self.fusion.copy_of:
            return self.evaluate(self.fusion.copy_of[value], map_)
        node = value.node
        assert node is not None, f"{value} is neither loaded nor computed"
        self.nodes[node] = None
        return _MAKE[self.fusion.facts.role[node]](self, node, map_)

    def _load(self, value: Value, map_: Map, other: Term | None) -> Term:
        layout = self.layouts[value]
        seen = through(map_, self.domain, value.shape, layout.strides, layout.offset)
        assert seen is not None, f"{value} has no affine index map"
        strides = padded(seen.strides, self.rank)
        look = self.look(value, strides, seen.offset)
        dtype = value.dtype
        axes = frozenset(k for k, s in enumerate(strides) if s)
        further = self._further(seen)
        masked = ()
        if map_.box:
            masked = (self._inside(map_.box), other or self._scalar(0, dtype))
        if further is None:
            return self.term("load", dtype, masked, look, axes)
        return self.term("gather", dtype, (further, *masked), look, axes)

    def look(self, value: Value, strides: tuple[int, ...], offset: int) -> Look:
        """The access, made once."""
        key = (value, strides, offset)
        return self._looks.setdefault(key, Look(value, strides, offset))

    def _further(self, seen: Map) -> Term | None:
        """How many elements further the picks of a map look."""
        total: Term | None = None
        for pick, stride in seen.picks:
            step, _ = self._picked(pick)
            if stride != 1:
                scale = self._scalar(stride, int64, (pick, "stride"))
                step = self._call(p.multiply, int64, step, scale)
            total = step if total is None else self._call(p.add, int64, total, step)
        return total

    def _picked(self, pick: Pick) -> tuple[Term, Term]:
        """The coordinate, counted from the start and in range; and whether it was in range."""
        index = self.evaluate(pick.indices, pick.map)
        if index.dtype != int64:
            index = self._call(p.cast, int64, index)
        size, zero = self._scalar(pick.size, int64, pick), self._scalar(0, int64, "zero")
        if pick.indices.dtype.kind == "i":
            negative = self._call(p.less, bool_, index, zero)
            wrapped = self._call(p.add, int64, index, size)
            index = self._call(p.where, int64, negative, wrapped, index)
        above = self._call(p.greater_equal, bool_, index, zero)
        below = self._call(p.less, bool_, index, size)
        valid = self._call(p.logical_and, bool_, above, below)
        return self._call(p.where, int64, valid, index, zero), valid

    def _inside(self, box: Sequence[Interval]) -> Term:
        """Whether the point lies in the box."""
        found: Term | None = None
        for axis, low, high in box:
            at = self._index([1 if k == axis else 0 for k in range(self.rank)])
            ends = [(p.greater_equal, low)] if low > 0 else []
            ends += [(p.less, high)] if high < self.domain[axis] else []
            for compare, end in ends:
                edge = self._scalar(end, int64, (axis, compare.op.name))
                test = self._call(compare, bool_, at, edge)
                found = test if found is None else self._call(p.logical_and, bool_, found, test)
        assert found is not None, "a box without an end"
        return found

    def _index(self, steps: Sequence[int], offset: int = 0, picks: Sequence = ()) -> Term:
        """`offset + sum(steps[k] * position along axis k)`, int64; picks are further axes."""
        strides = tuple(s if n != 1 else 0 for s, n in zip(steps, self.domain, strict=False))
        axes = frozenset(k for k, s in enumerate(strides) if s)
        total = self.term("place", int64, key=(padded(strides, self.rank), offset), axes=axes)
        for (pick, _), step in zip(picks, steps[self.rank :], strict=False):
            if step:
                along, _ = self._picked(pick)
                if step != 1:
                    along = self._call(p.multiply, int64, along, self._scalar(step, int64, pick))
                total = self._call(p.add, int64, total, along)
        return total

    def _call(self, primitive: Strict, dtype: np.dtype, *arguments: Term) -> Term:
        return self.term(primitive.op.name, dtype, arguments)

    def _seen(self, node: Node, map_: Map) -> Seen:
        """The operands of a node of this group, and their maps."""
        found = self.fusion.seen.operands(node, self.group, map_)
        assert found is not None, f"{node} has no affine index map"
        return found

    def _elementwise(self, node: Node, map_: Map) -> Term:
        arguments = tuple(self.evaluate(value, map_) for value in node.operands)
        return self.term(node.op.name, node.result.dtype, arguments, dear=not is_exact(node))

    def _constant(self, node: Node, map_: Map) -> Term:
        dtype = node.result.dtype
        return self._scalar(attribute(node, "value"), dtype)

    def _identity(self, node: Node, map_: Map) -> Term:
        dtype = node.result.dtype
        assert node.op.identity is not None
        return self._scalar(node.op.identity(dtype), dtype)

    def _position(self, node: Node, map_: Map) -> Term:
        found = positions(map_, self.domain, node.result.shape)
        assert found is not None
        steps, offset = found[attribute(node, "axis")]
        index = self._index(steps, offset, map_.picks)
        dtype = node.result.dtype
        return index if dtype == int64 else self._call(p.cast, dtype, index)

    def _view(self, node: Node, map_: Map) -> Term:
        ((operand, moved),) = self._seen(node, map_)
        return self.evaluate(operand, moved)

    def _reduction(self, node: Node, map_: Map) -> Term:
        ((operand, moved),) = self._seen(node, map_)
        argument = self.evaluate(operand, moved)
        dtype = node.result.dtype
        axes = frozenset(self.group.grid)
        if dtype.kind != "c":
            return self.folded("fold", dtype, argument, node.op.name, axes)
        parts = []
        for part in (p.real, p.imag):  # only sums get here, which are sums of the parts
            one = self._call(part, real_dtype(dtype), argument)
            parts.append(self.folded("fold", one.dtype, one, node.op.name, axes))
        return self.term("pair", dtype, tuple(parts))

    def _random(self, node: Node, map_: Map) -> Term:
        (state,) = node.operands
        words = [self.evaluate(state, Map((), word)) for word in range(2)]
        steps = padded(map_.strides, self.rank) + tuple(stride for _, stride in map_.picks)
        place = self._index(steps, map_.offset, map_.picks)
        return self.term(node.op.name, node.result.dtype, (place, *words), dear=True)

    def _lookup(self, node: Node, map_: Map) -> Term:
        (_, _), (x, seen) = self._seen(node, map_)
        if not node.attributes.get("known"):
            self.checks[self._picked(seen.picks[-1][0])[1]] = None
        return self.evaluate(x, seen)

    def _scatter(self, node: Node, map_: Map) -> Term:
        (x, same), (indices, at), (values, _) = self._seen(node, map_)
        axis, dtype = attribute(node, "axis"), node.result.dtype
        found = positions(map_, self.domain, node.result.shape)
        assert found is not None
        steps, offset = found[axis]
        here = self._index(steps, offset, map_.picks)
        chosen, valid = self._picked(Pick(indices, at, node.result.shape[axis]))
        self.checks[valid] = None
        old, value = self.evaluate(x, same), self.evaluate(values, at)
        if node.op.scatter:
            value = self.term(node.op.scatter, dtype, (old, value))
        return self._call(p.where, dtype, self._call(p.equal, bool_, here, chosen), value, old)

    def _assembly(self, node: Node, map_: Map) -> Term:
        pieces = self.fusion.seen.pieces(node, self.group, map_)
        assert pieces is not None
        dtype = node.result.dtype
        result: Term | None = None
        if "fill" in node.attributes:
            result = self._scalar(attribute(node, "fill"), dtype)
        for value, seen in pieces:
            if seen is None:
                continue
            if seen.box == map_.box:
                result = self.evaluate(value, seen)
            elif value in self.group.loaded:
                result = self._load(value, seen, result)
            else:
                part = self.evaluate(value, seen)
                inside = self._inside(seen.box)
                result = part if result is None else self._call(
                    p.where, dtype, inside, part, result)  # fmt: skip
        return result if result is not None else self._scalar(0, dtype)


def attribute(node: Node, name: str) -> Any:
    """An attribute, of whatever type its op gives it."""
    return node.attributes[name]


_MAKE: dict[str, Callable[..., Term]] = {
    "elementwise": Lowering._elementwise,
    "constant": Lowering._constant,
    "identity": Lowering._identity,
    "position": Lowering._position,
    "view": Lowering._view,
    "reduction": Lowering._reduction,
    "assembly": Lowering._assembly,
    "random": Lowering._random,
    "lookup": Lowering._lookup,
    "scatter": Lowering._scatter,
}
