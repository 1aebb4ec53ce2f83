"""Whether a group can fold the reductions that a value needs: its axes become grid and loops.

Comes in: a value, a group that asks for it, the map under which it does. Goes out: yes or no, and
the loops of the group. A reduction fits where the points of the grid see each of its results once
and the loops walk what it folds.
"""

from __future__ import annotations

from dualflow.ir.graph import Value

from .facts import Facts
from .maps import Map, is_onto, positions, still_axes
from .operands import Operands, axis_runs, folded_shape
from .units import Group


class Folding:
    """See the module."""

    def __init__(self, facts: Facts, operands: Operands) -> None:
        self.facts, self.operands = facts, operands

    def on_the_way(
        self, value: Value, group: Group, map_: Map
    ) -> tuple[list[tuple[Value, Map]], set[Value]] | None:
        """The reductions on the way from memory to the value, with the maps under which the group
        would see them, and all values on the way; None if there is no map."""
        found: list[tuple[Value, Map]] = []
        passed = {value}
        todo = [(value, map_)]
        while todo:
            value, map_ = todo.pop()
            node = value.node
            if node is None or value not in self.facts.folding:
                continue
            if self.facts.role[node] == "reduction":
                found.append((value, map_))
                continue
            operands = self.operands.operands(node, group, map_)
            if operands is None:
                return None
            for operand, seen in operands:
                if operand in self.facts.folding and operand not in passed:
                    passed.add(operand)
                    todo.append((operand, seen))
        return found, passed

    def fits(self, reduced: Value, group: Group | None, map_: Map) -> bool:
        """Whether the points of the grid see each result once and the loops walk what it folds."""
        if group is None or map_.box or map_.picks:
            return False
        still = still_axes(map_, group.domain)
        moving = tuple(k for k in range(len(group.domain)) if k not in still)
        if not is_onto(map_, group.domain, moving, reduced.type.size):
            return False
        loops = still if group.loops is None else group.loops
        if tuple(k for k in loops if group.domain[k] != 1) != still:
            return False
        kept = tuple(n for n, folded in axis_runs(reduced.node) if not folded)  # type: ignore[arg-type]
        if positions(map_, group.domain, kept) is None:
            return False
        if group.loops is None and not still:
            return True
        return self.operands.walk(reduced, group, loops) is not None

    def may_store(self, value: Value, group: Group, map_: Map) -> bool:
        """Whether the group sees each element once, at every point or once for each grid point,
        and can fold all that the value needs."""
        if map_.box or map_.picks or not self.operands.sees_all(value, group, map_):
            return False
        found: list[tuple[Value, Map]] = []
        if value in self.facts.folding:
            way = self.on_the_way(value, group, map_)
            if way is None or not all(self.fits(r, group, m) for r, m in way[0]):
                return False
            found = way[0]
        still = still_axes(map_, group.domain)
        if (value, map_) in found:
            adopt(value, group, map_)
        if group.loops is None:
            if not still:
                return True
            alike = [r for r, m in found if still_axes(m, group.domain) == still]
            if alike:
                adopt(alike[0], group, map_)
            return bool(alike)
        return not still or still == tuple(k for k in group.loops if group.domain[k] != 1)


def adopt(reduced: Value, group: Group, map_: Map) -> None:
    """Make the axes that `reduced` folds the loops of the group."""
    if group.loops is not None:
        return
    still = still_axes(map_, group.domain)
    if still:
        group.loops = still
        return
    rank = len(group.domain)
    group.domain += folded_shape(reduced)
    group.loops = tuple(range(rank, len(group.domain)))
