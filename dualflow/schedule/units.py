"""Units of work: groups of nodes that become one kernel, and nodes that a library runs.

Comes in: what `fusion.py` decides. Goes out: units, and the order in which they can run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dualflow.base.records import record
from dualflow.base.shapes import Shape
from dualflow.ir.graph import Node, Value

from .maps import Map


@dataclass(eq=False)
class Group:
    """Nodes evaluated together at the points of one domain.

    Attributes:
        domain: the sizes of the axes (none of size 1 but for reduced ones).
        loops: which axes are walked inside a grid point; None while no reduction asked.
        roots: what is stored, and the map from the domain into it.
        loaded: the values that are read from memory.
        instead: for inputs that lie as no map can follow, the packed copy to read.
        cleared: values whose reductions are known to fit in this group.
        members: how many nodes are evaluated.
        may_raise: whether one of them may raise.
        readers: units that need what this one stores.
        closing: groups whose work is done here too, as totals over axes of the grid.
    """

    domain: Shape
    loops: tuple[int, ...] | None = None
    roots: list[tuple[Value, Map]] = field(default_factory=list)
    loaded: dict[Value, None] = field(default_factory=dict)
    instead: dict[Value, Value] = field(default_factory=dict)
    cleared: set[Value] = field(default_factory=set)
    members: int = 0
    may_raise: bool = False
    readers: set[Unit] = field(default_factory=set)
    closing: list[Closing] = field(default_factory=list)
    into: Group | None = None  # the group that took this one's work over

    @property
    def grid(self) -> tuple[int, ...]:
        loops = self.loops or ()
        return tuple(k for k in range(len(self.domain)) if k not in loops)

    @property
    def stores(self) -> list[Value]:
        """What is stored here, by the closing groups too."""
        closing = [value for each in self.closing for value, _ in each.group.roots]
        return [*(value for value, _ in self.roots), *closing]


@record
class Closing:
    """A group that folds what another computes at its grid points, as seen by that other.

    Attributes:
        links: the values that go from the one to the other, and the maps into them from the
            domain of the group that computes them.
    """

    group: Group
    links: Mapping[Value, Map]


@dataclass(eq=False)
class Library:
    """A node that is run as a whole."""

    node: Node
    readers: set[Unit] = field(default_factory=set)


Unit = Group | Library


def current(unit: Unit) -> Unit:
    """The unit that does this unit's work now."""
    while isinstance(unit, Group) and unit.into is not None:
        unit = unit.into
    return unit


#: A group with more members takes no further ones: registers and compile time are finite.
MOST_MEMBERS = 100
#: How many units are looked at before `reaches` gives up.
MOST_STEPS = 300


def reaches(start: Unit, goals: Iterable[Unit]) -> bool:
    """Whether one of `goals` has to run after `start`; also true if that takes long to find out,
    so that planning time grows with the size of a graph and not with its square."""
    wanted = {current(goal) for goal in goals}
    seen: set[Unit] = set()
    todo: list[Unit] = [current(reader) for reader in start.readers]
    while todo:
        unit = todo.pop()
        if unit in wanted:
            return True
        if len(seen) > MOST_STEPS:
            return True
        if unit not in seen:
            seen.add(unit)
            todo += [current(reader) for reader in unit.readers]
    return False


def fit_together(one: Group, two: Group) -> bool:
    """Whether two groups fit into one loop nest and neither has to run before the other."""
    large, small = (one, two) if len(one.domain) >= len(two.domain) else (two, one)
    rank = len(small.domain)
    if large.domain[:rank] != small.domain or one.members + two.members > MOST_MEMBERS:
        return False
    if rank < len(large.domain) and large.loops != tuple(range(rank, len(large.domain))):
        return False
    if None not in (large.loops, small.loops) and large.loops != small.loops:
        return False
    if large.loops is None and small.loops is not None and rank != len(large.domain):
        return False
    return not reaches(one, (two,)) and not reaches(two, (one,))


def in_order(units: Iterable[Unit], rank: dict[Unit, int]) -> list[Unit]:
    """The units, each after those it reads from; otherwise by rank."""
    alive = [unit for unit in units if current(unit) is unit]
    waits = dict.fromkeys(alive, 0)
    after: dict[Unit, set[Unit]] = {}
    for unit in alive:
        after[unit] = {current(reader) for reader in unit.readers} - {unit}
        for reader in after[unit]:
            waits[reader] += 1
    ready = sorted((u for u in alive if not waits[u]), key=rank.__getitem__, reverse=True)
    ordered: list[Unit] = []
    while ready:
        unit = ready.pop()
        ordered.append(unit)
        freed = False
        for reader in after[unit]:
            waits[reader] -= 1
            if not waits[reader]:
                ready.append(reader)
                freed = True
        if freed:
            ready.sort(key=rank.__getitem__, reverse=True)
    assert len(ordered) == len(alive), "units wait for each other"
    return ordered
