"""Known callables: what takes keys out of dicts, and copies them.

Comes in: a `Call`. Goes out: its plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import growing, item_reads, item_stores, iteration, membership, shadows, value_keys
from ..provenance import CONSTANT, Origin
from ..tables import methods

if TYPE_CHECKING:
    from ..plans import Call, Plan


@methods(dict, "copy")
def _copy(call: Call) -> Plan | None:
    recorder = call.recorder
    whole = growing.whole(recorder, call.args[0], call.origins[0])
    if whole is not None:
        return growing.made_of(call.of(dict, CONSTANT), whole, dict)
    parts = dict(item_reads.dict_items(call.frame, call.args[0], call.origins[0]))
    return call.plan(lambda out: recorder.born(out, "dict", parts), dict.copy)


@methods(dict, "setdefault")
def _setdefault(call: Call) -> Plan | None:
    owner, key, *rest = call.args
    value, part = (rest[0], call.origins[2]) if rest else (None, CONSTANT)
    recorder, frame = call.recorder, call.frame
    stands = value_keys.standing(recorder, call.origins[1], key)
    if stands is None and not shadows.key_node(recorder, call.origins[1], key):
        return None
    where = CONSTANT if stands is None else call.origins[1]
    if not value_keys.sound(recorder, owner):
        call.refuse("a dict with keys that are no plain values")
        return None
    if key in owner:
        found = item_reads.item(frame, owner, key, call.origins[0], where)[1]
        return call.plan(lambda out: found, lambda *a: owner[key])

    def run(*args: Any) -> Any:
        item_stores.set_item(frame, owner, key, value, call.origins[0], where, part)
        return value

    return call.plan(lambda out: part, run)


@methods(dict, "pop")
def _pop(call: Call) -> Plan | None:
    owner, key, *default = call.args
    recorder = call.recorder
    if not shadows.key_node(recorder, call.origins[1], key):
        return None
    if not shadows.plain_keys(recorder, owner):
        return None
    f = call.function
    if key not in owner:
        membership.contains(call.frame, key, owner, CONSTANT, call.origins[0])
        part: Origin = call.origins[2] if default else None
        return call.plan(lambda out: part, lambda owner, *a: f(*a))
    part = item_reads.item(call.frame, owner, key, call.origins[0], CONSTANT)[1]

    def run(*args: Any) -> Any:
        shadows.forget(recorder, owner, key, call.origins[0])
        return f(key)

    return call.plan(lambda out: part, run)


@methods(dict, "clear")
def _clear(call: Call) -> Plan | None:
    owner, origin, recorder = call.args[0], call.origins[0], call.recorder
    if not shadows.plain_keys(recorder, owner):
        return None
    names = iteration.keys(recorder, owner, origin)

    def run(*args: Any) -> None:
        for key in names:
            shadows.forget(recorder, owner, key, origin)
            del owner[key]

    return None if recorder.dead else call.plan(lambda out: CONSTANT, run)
