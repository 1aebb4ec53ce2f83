"""`del owner.name`, done and noted.

Comes in: an object and where it came from. Goes out: an effect, if the object is from outside.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor

from . import attribute_stores, attributes, classes, instances
from .provenance import Born, Origin

if TYPE_CHECKING:
    from .operators import Operators
    from .recorder import Recorder

_DELETES = (object.__delattr__, types.SimpleNamespace.__delattr__, BaseException.__delattr__)


def delete(frame: Operators, owner: Any, origin: Origin, name: str) -> None:
    """Delete an attribute; of a property, its deleter does it."""
    recorder, kind = frame.recorder, type(owner)
    raw = classes.lookup(kind, name)[1]
    if not _plain(recorder, owner, raw):
        recorder.refuse(f"del of {name} of a {kind.__name__}")
        delattr(owner, name)
        return
    recorder.typed(origin, owner)
    attribute_stores.guard_storing(recorder, kind, name, raw)
    recorder.classes.find(kind, "__delattr__")
    if type(raw) is property:
        frame.invoke(raw.fdel, attributes.CONSTANT, (owner,), (origin,))
        return
    slot = isinstance(raw, types.MemberDescriptorType)
    held = hasattr(owner, name) if slot else name in getattr(owner, "__dict__", ())
    if not held:
        instances.guard_no_own(recorder, origin, owner, name, slot)
    elif isinstance(origin, Born):
        origin.parts.pop(name, None)
    else:
        _from_outside(recorder, owner, origin, name)
    recorder.watching(delattr, owner, name)


def _plain(recorder: Recorder, owner: Any, raw: Any) -> bool:
    """Whether deleting does what is known: that of a plain object, or of a property."""
    kind = type(owner)
    if kind is Tensor or isinstance(owner, (type, types.ModuleType, types.FunctionType)):
        return False
    if kind.__delattr__ not in _DELETES or not classes.ordinary(kind):
        return False
    if not recorder.classes.is_plain(kind) or id(owner) in recorder.opened:
        return False
    if type(raw) is property:
        return type(raw.fdel) is types.FunctionType
    return isinstance(raw, types.MemberDescriptorType) or not hasattr(type(raw), "__delete__")


def _from_outside(recorder: Recorder, owner: Any, origin: Origin, name: str) -> None:
    node, key = recorder.as_node(origin, owner), (id(owner), name)
    assert node is not None
    if recorder.stored.pop(key, None) is None:
        recorder.needs(recorder.nodes(f"{{0}}.{name}", (node,)))  # it is there
    recorder.deleted.add(key)
    recorder.writes(node, owner)
    recorder.drops(getattr(owner, name))
    recorder.keep(owner)
    recorder.effects.append(("delattr", node, name, recorder.effect_line()))
