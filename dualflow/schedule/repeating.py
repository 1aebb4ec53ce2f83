"""Whether a value is computed anew where it is wanted, or stored once and read.

Comes in: facts of a graph, a value, who asks for it. Goes out: the choice and its reason, from what
bytes and operations take (`ir/costs.py`) on arrays that no cache holds: a plan must not depend on
how large a batch is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dualflow.base.shapes import size_of
from dualflow.ir import costs
from dualflow.ir.graph import Value
from dualflow.ir.op import Kind

from .facts import Facts, is_exact
from .maps import Map, still_axes
from .units import Group

#: ns of an operation on 4 bytes among others that wait for memory, and of a byte of large arrays.
AMONG_OTHERS, FETCHED = costs.CHEAP / 2, costs.FAR
#: Scalar operations that one kernel may repeat rather than store.
FEW = 12

#: Roles of nodes that read nothing, and of all that cost nothing to see through.
FREE = ("constant", "identity", "position")
MOVING = ("view", *FREE)


class Choice(NamedTuple):
    """Whether each asker computes a value anew, and why or why not."""

    anew: bool
    reason: str


def choose(facts: Facts, value: Value, askers: int) -> Choice:
    """What takes less: to compute `value` for each of the `askers`, or to store and read it."""
    if value.node is not None and facts.role[value.node] in MOVING:
        return Choice(True, "")
    sources = facts.sources[value]
    if sources is None:
        return Choice(False, f"wanted by {askers} kernels, and made of much that lies in memory")
    width = value.dtype.itemsize
    read = sum(min(1.0, s.type.nbytes / max(value.type.nbytes, 1)) for s in sources) * width
    again = (askers - 1) * (facts.work[value] * AMONG_OTHERS * width / 4 + read * FETCHED)
    kept = (askers + 0.5) * width * FETCHED
    prices = f"{again:.2g} ns an element beside {kept:.2g} to store and read it"
    if again <= kept:
        return Choice(True, f"computed anew by {askers} kernels: {prices}")
    return Choice(False, f"wanted by {askers} kernels and dear to compute anew: {prices}")


def is_repeated(facts: Facts, value: Value, group: Group, maps: Sequence[Map]) -> bool:
    """Whether elements of a value that is dear to compute would be computed several times."""
    node = value.node
    assert node is not None
    if facts.role[node] in MOVING:
        return False
    if len(maps) > 1 and facts.work[value] * (len(maps) - 1) > FEW:
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
