"""Known callables: sets of plain values, made in the call or from outside.

Comes in: a `Call`. Goes out: its plan. The values of a set are constants; of one from outside only
what is asked for is guarded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import iteration, moving, shadows
from ..provenance import CONSTANT, SCALARS, Born, Node, Origin
from ..tables import known, methods

if TYPE_CHECKING:
    from ..plans import Call, Plan


@known(set, frozenset)
def _made(call: Call) -> Plan | None:
    kind = call.function
    if call.kwargs or len(call.args) > 1 or any(type(x) is frozenset for x in call.args):
        call.refuse()
        return None
    if call.args and not iteration.followed(call.args[0], call.origins[0]):
        call.refuse(f"a set made of a {type(call.args[0]).__name__}")
        return None

    def run(*args: Any) -> Any:
        return kind([_plain(call, *pair) for pair in iteration.elements(
            call.frame, args[0], call.origins[0])]) if args else kind()  # fmt: skip

    return call.plan(lambda out: _known(call, out), run)


def _plain(call: Call, value: Any, origin: Origin) -> Any:
    if not call.recorder.dead:
        shadows.key_node(call.recorder, origin, value)
    return value


def _known(call: Call, out: Any) -> Origin:
    return CONSTANT if type(out) is frozenset else call.recorder.born(out, "set")


@methods(set, "add", "discard", "remove")
def _change(call: Call) -> Plan | None:
    owner, value = call.args
    recorder, f, name = call.recorder, call.function, call.function.__name__
    if type(value) not in SCALARS:
        call.refuse(f"a set that gets a {type(value).__name__}")
        return None
    if name == "add" and _added_anew(call):
        return call.plan(lambda out: CONSTANT, lambda owner, value: f(value))
    recorder.pin(call.origins[1], value)
    if not all(type(item) in SCALARS for item in owner):
        call.refuse("a set of values that are no plain ones")
        return None
    shadow = shadows.shadow_of(recorder, owner, call.origins[0])
    if not isinstance(shadow, Born):
        if value not in shadow.changed:
            text = "{k0} in {0}" if value in owner else "{k0} not in {0}"
            recorder.guard(text, shadow.node, constants=(value,))
        if name == "add" or value in owner:
            shadow.changed[value] = CONSTANT
            recorder.effects.append(
                ("method", shadow.node, name, [(value, CONSTANT)], recorder.effect_line())
            )
    return call.plan(lambda out: CONSTANT, lambda owner, value: f(value))


def _added_anew(call: Call) -> bool:
    """Note a value that differs from call to call, which is put into a set from outside; whether
    that can be."""
    recorder, (owner, value), (origin, part) = call.recorder, call.args, call.origins
    if not moving.is_key(recorder, value, part):
        return False
    if not all(type(item) in SCALARS for item in owner):
        return False
    shadow = shadows.shadow_of(recorder, owner, origin)
    assert isinstance(part, Node)
    if isinstance(shadow, Born) or recorder.dead or not shadow.store(part, value, CONSTANT):
        return False
    recorder.typed(part, value)
    recorder.guard("{1} in {0}" if value in owner else "{1} not in {0}", shadow.node, part)
    line = recorder.effect_line()
    recorder.effects.append(("method", shadow.node, "add", [(value, part)], line))
    return True


@methods(set, "union", "intersection", "difference", "symmetric_difference", "issubset",
         "issuperset", "isdisjoint", "copy")  # fmt: skip
@methods(frozenset, "union", "intersection", "difference", "symmetric_difference", "issubset",
         "issuperset", "isdisjoint", "copy")  # fmt: skip
def _combined(call: Call) -> Plan | None:
    kinds = (set, frozenset, list, tuple, dict, range)
    if not all(type(value) in kinds for value in call.args):
        call.refuse(f"{call.name} of something that is no set")
        return None
    for value, origin in zip(call.args, call.origins, strict=True):
        if type(value) is dict:
            iteration.keys(call.recorder, value, origin)
        else:
            call.recorder.pin(origin, value)
    f = call.function
    return call.plan(
        lambda out: CONSTANT if type(out) is bool else _known(call, out), lambda owner, *a: f(*a)
    )
