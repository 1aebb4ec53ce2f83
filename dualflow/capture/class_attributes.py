"""Attributes of classes: reads.

Comes in: a class and a name. Goes out: the value, found in the class, its bases or its metaclass,
and where it came from.
"""

from __future__ import annotations

import enum
import types
from typing import TYPE_CHECKING, Any

from .classes import lookup
from .provenance import CONSTANT, Born, Origin, Read
from .values import is_value_class

if TYPE_CHECKING:
    from .operators import Operators
    from .recorder import Recorder


def of_class(frame: Operators, owner: type, origin: Origin, name: str) -> Read:
    """`owner.name` and its origin."""
    recorder = frame.recorder
    recorder.pin(origin, owner)
    if not lookup(owner, name)[0] and type(owner) is type and not hasattr(type, name):
        recorder.classes.find(owner, name)
        return getattr(owner, name), None  # raises
    value = recorder.guarded(getattr, owner, name)
    if recorder.dead:
        return value, None
    if isinstance(owner, enum.EnumMeta) and owner._member_map_.get(name) is value:
        return value, CONSTANT
    stored = recorder.classes.stored(owner, name)
    if stored is not None:
        return value, stored
    found, raw, _ = lookup(owner, name)
    if not found or (type(owner) is not type and lookup(type(owner), name)[0]):
        if name in ("__name__", "__qualname__", "__module__"):
            return value, CONSTANT
        return _of_metaclass(recorder, owner, name, value)
    node = recorder.classes.find(owner, name)
    assert node is not None
    if isinstance(raw, staticmethod):
        recorder.guard("{0} is {k0}", node, constants=(raw,))
        return value, CONSTANT
    if isinstance(raw, classmethod) and isinstance(raw.__func__, types.FunctionType):
        recorder.guard("{0} is {k0}", node, constants=(raw,))
        return value, Born("method", (CONSTANT, origin))
    if raw is value and (type(raw) is types.FunctionType or not hasattr(type(raw), "__get__")):
        return value, recorder.found(node, value)
    built_in_method = (
        types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType,
        types.ClassMethodDescriptorType, classmethod,
    )  # fmt: skip
    if isinstance(raw, built_in_method) or is_value_class(owner):
        return value, CONSTANT
    recorder.refuse(f"{name} of the class {owner.__name__}")
    return value, None


def _of_metaclass(recorder: Recorder, owner: type, name: str, value: Any) -> Read:
    """What a class finds in its metaclass alone: a method, or a plain value."""
    kind = type(owner)
    found, raw, _ = lookup(kind, name)
    if found and not lookup(owner, name)[0] and not isinstance(owner, enum.EnumMeta):
        stored = recorder.classes.stored(kind, name)
        if stored is not None:
            return value, stored
        recorder.classes.find(owner, name)
        node = recorder.classes.find(kind, name)
        if type(raw) is types.FunctionType:
            return value, Born("method", (recorder.found(node, raw), CONSTANT))  # type: ignore[arg-type]
        if raw is value and not hasattr(type(raw), "__get__"):
            return value, recorder.found(node, value)  # type: ignore[arg-type]
    recorder.refuse(f"{name} of the class {owner.__name__}")
    return value, None
