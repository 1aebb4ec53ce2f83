"""Under which map a node's operands are seen, when the node is seen under a map.

Comes in: a node, a group, a map from the group's domain into the node's result. Goes out: the
operands with their maps, or None where one is not affine. Maps go through views of any kind, into
the parts of an assembly (within a box), to looked-up elements (by a pick), along folded axes.
"""

from __future__ import annotations

from collections.abc import Callable

from dualflow.base.shapes import contiguous_strides, size_of
from dualflow.ir.graph import Node, Value
from dualflow.ir.types import Lookup, View

from .facts import Facts, same_order
from .maps import (
    Map,
    Pick,
    Position,
    combine,
    is_onto,
    narrowed,
    positions,
    still_axes,
    tidy,
)
from .units import Group

Seen = list[tuple[Value, Map]]


class Operands:
    """See the module; what was asked once is remembered."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._known: dict[tuple, Seen | None] = {}

    def operands(self, node: Node, group: Group, map_: Map) -> Seen | None:
        """The operands, and the maps under which they are seen; None if a map is not affine."""
        key = (node, map_, group.domain, group.loops)
        if key not in self._known:
            found = _OPERANDS[self.facts.role[node]](self, node, group, map_)
            self._known[key] = found
        return self._known[key]

    def _of_elementwise(self, node: Node, group: Group, map_: Map) -> Seen:
        return [(value, map_) for value in node.operands]

    def _of_constant(self, node: Node, group: Group, map_: Map) -> Seen:
        return []

    def _of_position(self, node: Node, group: Group, map_: Map) -> Seen | None:
        found = positions(map_, group.domain, node.result.shape)
        return None if found is None else []

    def _of_view(self, node: Node, group: Group, map_: Map) -> Seen | None:
        (operand,) = node.operands
        view = self.facts.view[node]
        if same_order(view, operand):
            return [(operand, map_)]
        found = positions(map_, group.domain, view.shape)
        if found is None:
            return None
        moved = combine(map_, found, view.strides, view.offset, group.domain)
        return [(operand, moved)]

    def _of_assembly(self, node: Node, group: Group, map_: Map) -> Seen | None:
        pieces = self.pieces(node, group, map_)
        return None if pieces is None else [(value, piece) for value, piece in pieces if piece]

    def _of_reduction(self, node: Node, group: Group, map_: Map) -> Seen | None:
        (operand,) = node.operands
        runs = axis_runs(node)
        kept = positions(map_, group.domain, tuple(n for n, folded in runs if not folded))
        walked = self.walk(node.result, group, group.loops or ())
        if kept is None or walked is None:
            return None
        rest, inner = iter(kept), iter(walked)
        both = [next(inner if folded else rest) for _, folded in runs]
        strides = contiguous_strides(tuple(n for n, _ in runs))
        return [(operand, combine(Map(()), both, strides, 0, group.domain))]

    def _of_random(self, node: Node, group: Group, map_: Map) -> Seen:
        """The key and the counter; the position is the element's own."""
        (state,) = node.operands
        return [(state, Map(())), (state, Map((), 1))]

    def _of_lookup(self, node: Node, group: Group, map_: Map) -> Seen | None:
        """x at a coordinate that comes from the indices."""
        x, indices = node.operands
        found = positions(map_, group.domain, node.result.shape)
        if found is None or not self.sees_all(node.result, group, map_):
            return None
        lookup = self.lookup(node)
        at = combine(map_, found, lookup.indices.strides, 0, group.domain)
        seen = combine(map_, found, lookup.start.strides, lookup.start.offset, group.domain)
        pick = Pick(indices, at, lookup.size)
        return [(indices, at), (x, seen._replace(picks=(*seen.picks, (pick, lookup.stride))))]

    def _of_scatter(self, node: Node, group: Group, map_: Map) -> Seen | None:
        """x, the one index of each line along the axis, and its value."""
        x, indices, values = node.operands
        found = positions(map_, group.domain, node.result.shape)
        if found is None or not self.sees_all(node.result, group, map_):
            return None
        strides = list(contiguous_strides(indices.shape))
        strides[node.attributes["axis"]] = 0  # type: ignore[index]
        at = combine(map_, found, strides, 0, group.domain)
        return [(x, map_), (indices, at), (values, at)]

    def lookup(self, node: Node) -> Lookup:
        """How a lookup node reads its packed operands."""
        x, indices = node.operands
        packed = View.contiguous(x.shape)
        return node.op.lookup(packed, indices.shape, **node.attributes)  # type: ignore[misc]

    def sees_all(self, value: Value, group: Group, map_: Map) -> bool:
        """Whether every element is computed, so that no index escapes its check."""
        moving = set(range(len(group.domain))) - set(still_axes(map_, group.domain))
        return is_onto(map_, group.domain, sorted(moving), value.type.size)

    def pieces(self, node: Node, group: Group, map_: Map) -> list[tuple[Value, Map | None]] | None:
        """For each part of an assembly, its map, in whose box it is seen; or None: nowhere."""
        found = positions(map_, group.domain, node.result.shape)
        if found is None:
            return None
        types = tuple(value.type for value in node.operands)
        packed = contiguous_strides(node.result.shape)
        pieces: list[tuple[Value, Map | None]] = []
        views = node.op.placement(types, **node.attributes)  # type: ignore[misc]
        for value, view in zip(node.operands, views, strict=True):
            starts = [
                view.offset // step % size if size else 0
                for step, size in zip(packed, node.result.shape, strict=True)
            ]
            box = narrowed(map_, group.domain, found, starts, view.shape)
            if box is None:
                return None
            if box is False or 0 in view.shape:
                pieces.append((value, None))
                continue
            strides = contiguous_strides(value.shape)
            offset = -sum(a * s for a, s in zip(starts, strides, strict=True))
            seen = combine(map_, found, strides, offset, group.domain)
            pieces.append((value, seen._replace(box=box)))  # type: ignore[arg-type]
        return pieces

    def walk(
        self, reduced: Value, group: Group, loops: tuple[int, ...]
    ) -> tuple[Position, ...] | None:
        """The index along each folded axis, as the loops walk them in row-major order."""
        shape = folded_shape(reduced)
        sizes = tuple(group.domain[k] for k in loops)
        if size_of(shape) != size_of(sizes):
            return None
        strides = [0] * len(group.domain)
        for k, stride in zip(loops, contiguous_strides(sizes), strict=True):
            strides[k] = stride
        return positions(Map(tidy(strides, group.domain)), group.domain, shape)


_OPERANDS: dict[str, Callable[..., Seen | None]] = {
    "elementwise": Operands._of_elementwise,
    "constant": Operands._of_constant,
    "identity": Operands._of_constant,
    "position": Operands._of_position,
    "view": Operands._of_view,
    "assembly": Operands._of_assembly,
    "reduction": Operands._of_reduction,
    "random": Operands._of_random,
    "lookup": Operands._of_lookup,
    "scatter": Operands._of_scatter,
}


def axis_runs(node: Node) -> list[tuple[int, bool]]:
    """The axes that a reduction sees, neighbours that it keeps as one: size, and whether folded."""
    axes = node.attributes["axes"]
    runs: list[tuple[int, bool]] = []
    for axis, size in enumerate(node.operands[0].shape):
        folded = axis in axes  # type: ignore[operator]
        if runs and not folded and not runs[-1][1]:
            runs[-1] = (runs[-1][0] * size, False)
        else:
            runs.append((size, folded))
    return runs


def folded_shape(reduced: Value) -> tuple[int, ...]:
    """The sizes of the axes that the reduction of this result folds."""
    assert reduced.node is not None
    return tuple(size for size, folded in axis_runs(reduced.node) if folded)
