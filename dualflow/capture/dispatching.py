"""Functions that `functools.singledispatch` makes: one by the type of the first argument.

Comes in: a call of one. Goes out: the plan of a call of the function for that type, guarded.
"""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any

from .provenance import CONSTANT, Born
from .tables import BY_CODE

if TYPE_CHECKING:
    from .plans import Call, Plan


class _Example:
    @functools.singledispatchmethod
    def method(self, value: Any) -> None: ...


def _chosen(call: Call, dispatcher: Any) -> Any:
    """The function for the type of the first argument; guarded, for more may be registered."""
    recorder, kind = call.recorder, type(call.args[0])
    recorder.typed(call.origins[0], call.args[0])
    recorder.classes.guard_order(kind)
    function = dispatcher.dispatch(kind)
    recorder.guard("{k0}({k1}) is {k2}", constants=(dispatcher.dispatch, kind, function))
    return function


def _by_type(call: Call) -> Plan | None:
    """A function made by `functools.singledispatch`."""
    if not call.args:
        call.refuse()
        return None
    return call.of(_chosen(call, call.function), CONSTANT).find()


def _method_by_type(call: Call) -> Plan | None:
    origin = call.origin
    if not isinstance(origin, Born) or origin.kind != "dispatching" or not call.args:
        call.refuse()
        return None
    owner, where, dispatcher = origin.parts
    function = _chosen(call, dispatcher)
    if type(function) is not types.FunctionType:
        call.refuse(f"{call.name} by a {type(function).__name__}")
        return None
    return call.of(function, CONSTANT, owner, where, bound=True).find()


BY_CODE[id(functools.singledispatch(lambda x: x).__code__)] = _by_type  # type: ignore[attr-defined]
BY_CODE[id(_Example().method.__code__)] = _method_by_type  # type: ignore[attr-defined]
