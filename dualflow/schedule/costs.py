"""Whether a value is computed anew where it is wanted, or stored once and read.

Comes in: facts of a graph, a value, who asks for it. Goes out: yes or no. Bytes moved and scalar
operations are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from dualflow.base.shapes import size_of
from dualflow.ir.graph import Value
from dualflow.ir.op import Kind

from .facts import Facts, is_exact
from .maps import Map, still_axes
from .units import Group

#: Scalar operations that may be repeated for each asker rather than stored and read.
CHEAP = 12

#: Roles of nodes that cost nothing to see through.
MOVING = ("view", "constant", "identity", "position")


def is_cheap(facts: Facts, value: Value, askers: int) -> bool:
    """Whether recomputing `value` for each asker moves no more bytes than storing it."""
    if value.node is not None and facts.role[value.node] in MOVING:
        return True
    sources = facts.sources[value]
    if sources is None or facts.work[value] > CHEAP:
        return False
    weight = sum(
        min(1.0, s.type.nbytes / max(value.type.nbytes, 1))
        for s in sources
    )  # fmt: skip
    return weight * (askers - 1) <= askers + 0.5


def is_repeated(facts: Facts, value: Value, group: Group, maps: Sequence[Map]) -> bool:
    """Whether elements of a value that is dear to compute would be computed several times."""
    node = value.node
    assert node is not None
    if facts.role[node] in MOVING:
        return False
    if len(maps) > 1 and facts.work[value] * (len(maps) - 1) > CHEAP:
        return True
    if node.op.kind is not Kind.RANDOM and (is_exact(node) or node.op.kind is not Kind.ELEMENTWISE):
        return False
    folding = group.loops is None and value in facts.folding
    times = sum(_evaluations(map_, group, folding) for map_ in maps)
    return times > value.type.size or any(map_.box for map_ in maps)


def _evaluations(map_: Map, group: Group, folding: bool) -> int:
    """How often a group computes a value under a map: not again along loops that do not move it.
    If it is `folding`, the axes that do not move it will be the loops."""
    still = set(still_axes(map_, group.domain))
    if not folding:
        still.intersection_update(group.loops or ())
    return size_of(tuple(n for k, n in enumerate(group.domain) if k not in still))
