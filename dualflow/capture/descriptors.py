"""Descriptors and `__setattr__` written in Python, and those of `functools`.

Comes in: an object, an attribute's name, and what its class holds under it. Goes out: the value and
where it came from, by the descriptor's own methods, which are followed.
"""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor

from . import attribute_stores, classes
from .provenance import CONSTANT, SCALARS, Born, Node, Origin, Read
from .tables import SPECIAL

if TYPE_CHECKING:
    from .operators import Operators

_LIBRARY = (functools.cached_property, functools.partialmethod, functools.singledispatchmethod)


def follows(raw: Any) -> bool:
    """Whether it is known what a descriptor gives."""
    kind = type(raw)
    if kind in _LIBRARY or type(raw) in SPECIAL:
        return True
    heap = kind.__flags__ & (1 << 9) and kind.__module__ != "functools"
    return bool(heap) and kind is not property and classes.special(kind, "__get__") is not None


def read(frame: Operators, owner: Any, origin: Origin, name: str, raw: Any, node: Node) -> Read:
    """What the descriptor `raw`, which `node` finds in the class, gives for `owner`."""
    recorder = frame.recorder
    if type(raw) in _LIBRARY:
        recorder.guard("{0} is {k0}", node, constants=(raw,))
        return _FOLLOWED[type(raw)](frame, owner, origin, name, raw)
    where = recorder.found(node, raw)
    if type(raw) in SPECIAL:
        return getattr(owner, name), Born("method", (where, origin))
    recorder.classes.guard_special(where, raw, "__get__")
    for other in ("__set__", "__delete__"):
        recorder.classes.find(type(raw), other)
    method = classes.special(type(raw), "__get__")
    return frame.invoke(method, CONSTANT, (raw, owner, type(owner)), (where, origin, CONSTANT))


def _cached(frame: Operators, owner: Any, origin: Origin, name: str, raw: Any) -> Read:
    value, part = frame.invoke(raw.func, CONSTANT, (owner,), (origin,))
    attribute_stores.store(frame, owner, origin, name, value, part)
    owner.__dict__[name] = value
    return value, part


def _partial(frame: Operators, owner: Any, origin: Origin, name: str, raw: Any) -> Read:
    value, recorder = getattr(owner, name), frame.recorder
    fixed = (*raw.args, *raw.keywords.values())
    plain = type(raw.func) is types.FunctionType and all(type(x) in SCALARS for x in fixed)
    if not plain or type(value) is not functools.partial:
        recorder.refuse(f"the method {name}, a partial of more than numbers and text")
        return value, None
    method = Born("method", (recorder.read(recorder.constant(raw.func), raw.func), origin))
    named = dict.fromkeys(raw.keywords, CONSTANT)
    return value, recorder.born(value, "partial", (method, [CONSTANT] * len(raw.args), named))


def _dispatched(frame: Operators, owner: Any, origin: Origin, name: str, raw: Any) -> Read:
    value = getattr(owner, name)
    return value, frame.recorder.born(value, "dispatching", (owner, origin, raw.dispatcher))


_FOLLOWED = {
    functools.cached_property: _cached,
    functools.partialmethod: _partial,
    functools.singledispatchmethod: _dispatched,
}


# Storing ------------------------------------------------------------------------------------------


def set_by_method(
    frame: Operators, owner: Any, origin: Origin, name: str, value: Any, part: Origin
) -> bool:
    """Run the class's `__setattr__`, or a descriptor's `__set__`, in Python's place; False if there
    is none to follow."""
    recorder, kind = frame.recorder, type(owner)
    if kind is Tensor or isinstance(owner, type) or recorder.dead:
        return False
    if kind.__module__.startswith("dualflow") or not recorder.classes.is_plain(kind):
        return False
    method = classes.special(kind, "__setattr__")
    if method is not None:
        recorder.classes.guard_special(origin, owner, "__setattr__")
        frame.invoke(method, CONSTANT, (owner, name, value), (origin, CONSTANT, part))
        return True
    found, raw, _ = classes.lookup(kind, name)
    setter = classes.special(type(raw), "__set__") if found else None
    if setter is None:
        return False
    recorder.typed(origin, owner)
    recorder.classes.find(kind, "__setattr__")
    node = recorder.classes.find(kind, name)
    assert node is not None
    where = recorder.found(node, raw)
    recorder.classes.guard_special(where, raw, "__set__")
    frame.invoke(setter, CONSTANT, (raw, owner, value), (where, origin, part))
    return True
