"""Known callables: sorting, the least and the greatest by a key, and heaps.

Comes in: a `Call`. Goes out: its plan. The order of what is sorted is compared as a whole at a
replay (`ranks.py`).
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import growing, iteration, ranks, shadows
from ..provenance import CONSTANT, Born, Origin
from ..ranks import Pair, Rank
from ..tables import known, methods

if TYPE_CHECKING:
    from ..plans import Call, Plan


@methods(list, "sort")
def _sort(call: Call) -> Plan | None:
    owner = call.args[0]
    if not _sortable(call):
        return None
    pairs = list(iteration.elements(call.frame, owner, call.origins[0]))
    order = list(range(len(pairs)))

    def rearrange(values: Sequence[Any]) -> tuple[int, ...]:
        order.sort(key=values.__getitem__, reverse=bool(call.kwargs.get("reverse", False)))
        return tuple(order)

    _refill(call, owner, [], False)  # so it is found while it is sorted
    try:
        _in_order(call, pairs, rearrange)
        if owner:
            call.refuse("a list changed while it is sorted")
            raise ValueError("list modified during sort")
    finally:  # what an error leaves of the order is visible too
        _refill(call, owner, [pairs[i] for i in order])
    return call.plan(lambda out: CONSTANT, lambda *args, **kwargs: None)


def _refill(call: Call, owner: list, pairs: list[Pair], told: bool = True) -> None:
    """Let a list hold its items in another order, or one more, or one less; `told` to replays."""
    recorder = call.recorder
    values, parts = [value for value, _ in pairs], [part for _, part in pairs]
    shadow = None if recorder.dead else shadows.shadow_of(recorder, owner, call.origins[0])
    born = shadow if shadow is None or isinstance(shadow, Born) else shadow.whole(recorder)
    owner[:] = values
    if born is not None and not recorder.dead:
        born.parts[:] = parts
        if told:
            shadows.replaced(recorder, shadow, slice(None), values, parts)


def _sortable(call: Call) -> bool:
    """Whether `reverse` is a plain number: Python decides what else may stand for one."""
    if type(call.kwargs.get("reverse", False)) not in (bool, int):
        call.refuse("sorted in an order that is no plain truth")
    return not call.recorder.dead


@known(sorted)
def _sorted(call: Call) -> Plan | None:
    if not _sortable(call):
        return None
    if call.kwargs.get("key") is None and "reverse" not in call.where:
        whole = growing.whole(call.recorder, call.args[0], call.origins[0])
        if whole is not None:
            return growing.made_of(call, whole)
    made = _in_order(call, list(iteration.listed(call.frame, call.args[0], call.origins[0])))
    return call.plan(
        lambda out: call.recorder.born(out, "list", [origin for _, origin in made]),
        lambda *a, **k: [value for value, _ in made],
    )


def _in_order(
    call: Call, pairs: list[Pair], doing: Callable[[Any], Any] | None = None
) -> list[Pair]:
    """The items, sorted; by `doing` if it is given."""
    reverse = call.kwargs.get("reverse", False)
    if "reverse" in call.where:
        call.recorder.pin(call.where["reverse"], reverse)
    find = ranks.falling if reverse else ranks.rising
    return [pairs[i] for i in ranks.places(call, _ranked(call, pairs), find, doing)]


def _ranked(call: Call, pairs: list[Pair]) -> list[Pair]:
    """What the key makes of the items."""
    key = call.kwargs.get("key")
    if key is None:
        return pairs
    where = call.where["key"]
    return [call.frame.invoke(key, where, (value,), (origin,)) for value, origin in pairs]


def chosen(call: Call) -> Plan | None:
    """`min` and `max` by a key."""
    frame = call.frame
    find = ranks.greatest if call.function is max else ranks.least
    found: list[Origin] = [None]

    def run(*args: Any, **kwargs: Any) -> Any:
        given: Any = zip(args, call.origins, strict=True)
        if len(args) == 1:
            given = iteration.elements(frame, args[0], call.origins[0])
        pairs = list(given)
        if not pairs:
            return call.function((), **kwargs)  # raises
        value, found[0] = pairs[ranks.places(call, _ranked(call, pairs), find)]
        return value

    return call.plan(lambda out: found[0], run)


@known(bisect.insort_right, bisect.insort_left)
def _inserted(call: Call) -> Plan | None:
    """`bisect.insort(items, value)`: the place is compared as a whole at a replay."""
    recorder = call.recorder
    if type(call.args[0]) is not list or len(call.args) != 2 or set(call.kwargs) - {"key"}:
        call.refuse(f"{call.name} with such arguments")
        return None
    owner, value = call.args
    find = bisect.bisect_right if call.function is bisect.insort_right else bisect.bisect_left
    before = list(recorder.items(owner, call.origins[0]))
    pairs = [*before, (value, call.origins[1])]

    def places(values: Any) -> tuple[int, ...]:
        every = list(values)
        at = find(every[:-1], every[-1])
        return (*range(at), len(before), *range(at, len(before)))

    def run(*args: Any, **kwargs: Any) -> None:
        _refill(call, owner, _in_order(call, pairs, places))

    return None if recorder.dead else call.plan(lambda out: CONSTANT, run)


# Heaps --------------------------------------------------------------------------------------------


@known(heapq.heappush, heapq.heappop, heapq.heapify, heapq.heapreplace, heapq.heappushpop)
def _heap(call: Call) -> Plan | None:
    """Python's own heap over values that compare themselves by hooks."""
    recorder, frame = call.recorder, call.frame
    if type(call.args[0]) is not list:
        call.refuse(f"{call.name} of a {type(call.args[0]).__name__}")
        return None
    owner = call.args[0]
    heap = [Rank(frame, *pair) for pair in recorder.items(owner, call.origins[0])]
    more = [Rank(frame, *pair) for pair in zip(call.args[1:], call.origins[1:], strict=True)]
    if recorder.dead or (not heap and call.function in (heapq.heappop, heapq.heapreplace)):
        return None if recorder.dead else call.plan(lambda out: None)  # raises
    taken: list[Any] = [None]

    def run(*args: Any) -> Any:
        try:
            taken[0] = call.function(heap, *more)
        finally:  # what an error leaves of the heap is visible too
            if call.function is not heapq.heappushpop or taken[0] is not more[0]:
                _refill(call, owner, [(rank.value, rank.origin) for rank in heap])
        return None if taken[0] is None else taken[0].value

    return call.plan(lambda out: CONSTANT if taken[0] is None else taken[0].origin, run)
