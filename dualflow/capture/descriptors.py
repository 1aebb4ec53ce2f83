"""Descriptors and `__setattr__` written in Python, and those of `functools`.

Comes in: an object, an attribute's name, and what its class holds under it. Goes out: the value and
where it came from, by the descriptor's own methods, which are followed.
"""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor

from . import attributes
from .known import BY_CODE, known
from .provenance import CONSTANT, SCALARS, Born, Node, Origin

if TYPE_CHECKING:
    from .calls import Call, Plan
    from .operators import Operators

_LIBRARY = (functools.cached_property, functools.partialmethod, functools.singledispatchmethod)


def _compiled(raw: Any) -> bool:
    return type(raw).__module__ == "dualflow.capture.compiled"


def follows(raw: Any) -> bool:
    """Whether it is known what a descriptor gives."""
    kind = type(raw)
    if kind in _LIBRARY or _compiled(raw):
        return True
    heap = kind.__flags__ & (1 << 9) and kind.__module__ != "functools"
    return bool(heap) and kind is not property and attributes.special(kind, "__get__") is not None


def read(
    frame: Operators, owner: Any, origin: Origin, name: str, raw: Any, node: Node
) -> attributes.Read:
    """What the descriptor `raw`, which `node` finds in the class, gives for `owner`."""
    recorder = frame.recorder
    if type(raw) in _LIBRARY:
        recorder.guard("{0} is {k0}", node, constants=(raw,))
        return _FOLLOWED[type(raw)](frame, owner, origin, name, raw)
    where = recorder.found(node, raw)
    if _compiled(raw):
        return getattr(owner, name), Born("method", (where, origin))
    recorder.guard_special(where, raw, "__get__")
    for other in ("__set__", "__delete__"):
        attributes.guard_class(recorder, type(raw), other)
    method = attributes.special(type(raw), "__get__")
    return frame.invoke(method, CONSTANT, (raw, owner, type(owner)), (where, origin, CONSTANT))


def _cached(frame: Operators, owner: Any, origin: Origin, name: str, raw: Any) -> attributes.Read:
    value, part = frame.invoke(raw.func, CONSTANT, (owner,), (origin,))
    attributes.store(frame, owner, origin, name, value, part)
    owner.__dict__[name] = value
    return value, part


def _partial(frame: Operators, owner: Any, origin: Origin, name: str, raw: Any) -> attributes.Read:
    value, recorder = getattr(owner, name), frame.recorder
    fixed = (*raw.args, *raw.keywords.values())
    plain = type(raw.func) is types.FunctionType and all(type(x) in SCALARS for x in fixed)
    if not plain or type(value) is not functools.partial:
        recorder.refuse(f"the method {name}, a partial of more than numbers and text")
        return value, None
    method = Born("method", (recorder.read(recorder.constant(raw.func), raw.func), origin))
    named = dict.fromkeys(raw.keywords, CONSTANT)
    return value, recorder.born(value, "partial", (method, [CONSTANT] * len(raw.args), named))


def _dispatched(
    frame: Operators, owner: Any, origin: Origin, name: str, raw: Any
) -> attributes.Read:
    value = getattr(owner, name)
    return value, frame.recorder.born(value, "dispatching", (owner, origin, raw.dispatcher))


_FOLLOWED = {
    functools.cached_property: _cached,
    functools.partialmethod: _partial,
    functools.singledispatchmethod: _dispatched,
}
attributes.DESCRIBED.follows, attributes.DESCRIBED.read = follows, read


# Functions by the type of the first argument ------------------------------------------------------


class _Example:
    @functools.singledispatchmethod
    def method(self, value: Any) -> None: ...


def _chosen(call: Call, dispatcher: Any) -> Any:
    """The function for the type of the first argument; guarded, for more may be registered."""
    recorder, kind = call.recorder, type(call.args[0])
    recorder.typed(call.origins[0], call.args[0])
    recorder.guard_order(kind)
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


# Storing ------------------------------------------------------------------------------------------


def set_by_method(
    frame: Operators, owner: Any, origin: Origin, name: str, value: Any, part: Origin
) -> bool:
    """Run the class's `__setattr__`, or a descriptor's `__set__`, in Python's place; False if there
    is none to follow."""
    recorder, kind = frame.recorder, type(owner)
    if kind is Tensor or isinstance(owner, type) or recorder.dead:
        return False
    if kind.__module__.startswith("dualflow") or not attributes.plain_class(recorder, kind):
        return False
    method = attributes.special(kind, "__setattr__")
    if method is not None and method.__code__.co_filename != "<string>":  # of a frozen dataclass
        recorder.guard_special(origin, owner, "__setattr__")
        frame.invoke(method, CONSTANT, (owner, name, value), (origin, CONSTANT, part))
        return True
    found, raw, _ = attributes.lookup(kind, name)
    setter = attributes.special(type(raw), "__set__") if found else None
    if method is not None or setter is None:
        return False
    recorder.typed(origin, owner)
    attributes.guard_class(recorder, kind, "__setattr__")
    node = attributes.guard_class(recorder, kind, name)
    assert node is not None
    where = recorder.found(node, raw)
    recorder.guard_special(where, raw, "__set__")
    frame.invoke(setter, CONSTANT, (raw, owner, value), (where, origin, part))
    return True


@known(object.__setattr__)
def stored_directly(call: Call) -> Plan | None:
    """`object.__setattr__(owner, name, value)`, also through `super()`."""
    recorder = call.recorder
    if len(call.args) != 3 or type(call.args[1]) is not str or call.kwargs:
        call.refuse()
        return None
    owner, name, value = call.args
    recorder.pin(call.origins[1], name)
    kind = type(owner)
    heap = attributes.ordinary(kind) and not isinstance(owner, type)
    if not heap or not attributes.storable_directly(recorder, kind, name):
        call.refuse(f"{name} stored in a {kind.__name__}")
        return None
    recorder.typed(call.origins[0], owner)
    attributes.note_stored(recorder, owner, call.origins[0], name, value, call.origins[2],
                           object.__setattr__)  # fmt: skip
    return call.plan(lambda out: CONSTANT, object.__setattr__)
