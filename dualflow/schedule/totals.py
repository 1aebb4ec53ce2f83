"""Folds of what another group computes at its grid points, done by that group: one kernel.

    rows     t[i] = log(sum over j of exp(x[i, j]))     one kernel: t is added up as the rows are
    closing  y = (sum over i of t[i]) / n               made, and y is stored at the end

Comes in: the groups of a `Fusion` and where values lie. Goes out: groups with `closing` ones, and
their `Lowering`, in which the terms of a closing group are terms over the grid that it closes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dualflow.base.shapes import size_of
from dualflow.ir.graph import Value
from dualflow.ir.op import CATALOGUE
from dualflow.ir.types import View

from .fusion import Fusion
from .lowering import Look, Lowering, Term
from .maps import Map, Position, combine, is_onto, padded, positions, tidy
from .shaping import lanes_in_loop, terms_under
from .units import MOST_MEMBERS, Group, current, reaches

Layouts = dict[Value, View]


def lower(fusion: Fusion, group: Group, layouts: Layouts) -> Lowering:
    """The lowering of a group and of those that close it."""
    lowering = Lowering(fusion, group, layouts)
    for closing in group.closing:
        _Closing(lowering, Lowering(fusion, closing.group, layouts), closing.links).take_over()
    return lowering


def join_totals(fusion: Fusion, layouts: Layouts) -> None:
    """Let groups close those that compute what they fold, wherever one kernel can do both."""
    for unit in fusion.alive():
        if not isinstance(unit, Group) or not unit.loops or unit.closing:
            continue
        writers = (fusion.stored.get(value) for value in unit.loaded)
        for writer in dict.fromkeys(current(writer) for writer in writers if writer):
            if isinstance(writer, Group) and _join(fusion, writer, unit, layouts):
                break


def _join(fusion: Fusion, group: Group, after: Group, layouts: Layouts) -> bool:
    """Let `after` close `group`, if that is one kernel that can run where `group` does."""
    if group is after or not group.loops or group.members + after.members > MOST_MEMBERS:
        return False
    links = {value: map_ for value, map_ in _at_points(group).items() if value in after.loaded}
    others = {current(unit) for unit in group.readers} - {group, after}
    if not links or any(reaches(unit, (after,)) for unit in others):
        return False
    lowering = lower(fusion, group, layouts)
    before = lanes_in_loop(lowering)
    closing = _Closing(lowering, Lowering(fusion, after, layouts), links)
    if not closing.fits() or _leaves_one_thread(lowering, closing.totalled):
        return False
    closing.take_over()
    if lanes_in_loop(lowering) != before:
        return False  # a total axis is no lane: memory would be walked across
    fusion.close(group, after, links)
    return True


#: A kernel of so many points is worth more than one thread, which takes so many grid points,
WORTH, SIDE_BY_SIDE = 1 << 17, 16
#: if what its rows make is little beside what they are made of: rows of at least so many elements.
LONG_ROW = 8


def _leaves_one_thread(lowering: Lowering, totalled: frozenset[int]) -> bool:
    """Whether a kernel that is worth several threads could not be divided with these totals."""
    domain = lowering.domain
    rows = size_of(tuple(domain[k] for k in lowering.loops))
    kept = [k for k in range(len(domain)) if k not in lowering.loops and k not in totalled]
    beside = size_of(tuple(domain[k] for k in kept))
    return size_of(domain) >= WORTH and rows >= LONG_ROW and beside < SIDE_BY_SIDE


def _at_points(group: Group) -> dict[Value, Map]:
    """The values that a group has once at each point of its grid, and the maps into them."""
    found = dict(group.roots)
    for closing in group.closing:
        found.update(closing.links)
    rank = len(group.domain)
    return {
        value: map_ for value, map_ in found.items()
        if not any(padded(map_.strides, rank)[k] for k in group.loops or ())
    }  # fmt: skip


class _Closing:
    """The work of a closing group, as terms of the group that it closes."""

    def __init__(self, outer: Lowering, inner: Lowering, links: Mapping[Value, Map]) -> None:
        self.outer, self.inner, self.links = outer, inner, links
        self.used = terms_under([*inner.checks, *(term for _, term in inner.stores)])
        self.steps = self._steps()
        self.totalled = self._reached(inner.loops)
        self.kept = self._reached(inner.group.grid)
        self._moved: dict[Term, Term] = {}

    def _steps(self) -> list[Position] | None:
        """The position along each axis of the inner domain at a point of the outer one."""
        domain = self.inner.domain
        real = [k for k, size in enumerate(domain) if size != 1]
        for term in self.used:
            if term.op != "load" or term.key.value not in self.links:
                continue
            look, size = term.key, term.key.value.type.size
            if not is_onto(Map(tidy(look.strides, domain), look.offset), domain, real, size):
                continue
            axes = sorted(real, key=lambda k: -look.strides[k])
            shape = tuple(domain[k] for k in axes)
            found = positions(self.links[look.value], self.outer.domain, shape)
            if found is not None:
                by_axis = dict(zip(axes, found, strict=True))
                nowhere = Position((0,) * self.outer.rank, 0)
                return [by_axis.get(k, nowhere) for k in range(len(domain))]
        return None

    def _reached(self, axes: Iterable[int]) -> frozenset[int]:
        """The axes of the outer domain that move some of these axes of the inner one."""
        steps = [self.steps[k].steps for k in axes] if self.steps else []
        return frozenset(k for each in steps for k, step in enumerate(each) if step)

    def fits(self) -> bool:
        """Whether the totals are over whole axes of the grid, and all else of the inner group is
        computed either at every point or after them."""
        outer, inner = self.outer, self.inner
        if self.steps is None or self.totalled & self.kept:
            return False
        if not any(term.op == "fold" for term in self.used):
            return False
        if outer.group.closing and outer.totalled != self.totalled:
            return False
        late = [t for look, t in inner.stores if self._is_inside(look.strides)] + [*inner.checks]
        closing = [t for look, t in inner.stores if not self._is_inside(look.strides)]
        if any(term.depth for term in late) or any(map(self._reads_points, closing)):
            return False
        return all(map(self._is_movable, self.used))

    def _reads_points(self, term: Term) -> bool:
        """Whether the term takes a value of a grid point otherwise than through a fold: it is gone
        when the totals are known."""
        if term.op == "fold":
            return False
        if term.op == "load" and term.key.value in self.links:
            return True
        return any(map(self._reads_points, term.arguments))

    def _is_movable(self, term: Term) -> bool:
        """Whether the term means the same at the points of the outer grid."""
        if term.op == "fold":
            by_place = bool(CATALOGUE[term.key].position_of)
            return not term.arguments[0].depth and not (by_place and len(self.totalled) > 1)
        if term.op not in ("load", "gather") or term.key.value not in self.outer.group.stores:
            return True
        map_ = self.links.get(term.key.value)
        if term.op == "gather" or term.arguments or map_ is None:
            return False
        strides, offset = self._along(term.key.strides, term.key.offset)
        return (strides, offset) == (padded(map_.strides, self.outer.rank), map_.offset)

    def _is_inside(self, strides: tuple[int, ...]) -> bool:
        return any(strides[k] for k in self.inner.loops)

    def _along(self, strides: tuple[int, ...], offset: int) -> tuple[tuple[int, ...], int]:
        """Strides over the inner domain as strides over the outer one."""
        assert self.steps is not None
        found = combine(Map(()), self.steps, strides, offset, self.outer.domain)
        return padded(found.strides, self.outer.rank), found.offset

    def take_over(self) -> None:
        """Give the work to the outer lowering."""
        outer = self.outer
        outer.totalled = self.totalled
        outer.nodes.update(self.inner.nodes)
        outer.checks.update(dict.fromkeys(map(self._move, self.inner.checks)))
        for look, term in self.inner.stores:
            strides, offset = self._along(look.strides, look.offset)
            target = outer.stores if self._is_inside(look.strides) else outer.closing
            target.append((Look(look.value, strides, offset, "out"), self._move(term)))

    def _move(self, term: Term) -> Term:
        if term not in self._moved:
            self._moved[term] = self._made(term)
        return self._moved[term]

    def _made(self, term: Term) -> Term:
        outer, key, axes = self.outer, term.key, frozenset[int]()
        if term.op == "load" and key.value in self.links:
            return outer.evaluate(key.value, self.links[key.value], store=True)
        arguments = tuple(map(self._move, term.arguments))
        if term.op == "fold":
            return outer.folded("total", term.dtype, arguments[0], key, self.kept)
        if term.op in ("load", "gather"):
            key = outer.look(key.value, *self._along(key.strides, key.offset))
            axes = frozenset(k for k, stride in enumerate(key.strides) if stride)
        elif term.op == "place":
            key = self._along(*key)
            axes = frozenset(k for k, stride in enumerate(key[0]) if stride)
        elif term.op == "scalar" and key[1] is not None:
            key = (key[0], ("closing", key[1]))
        return outer.term(term.op, term.dtype, arguments, key, axes, dear=term.dear)
