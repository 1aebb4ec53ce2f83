"""Attributes of instances of classes written in Python: reads.

Comes in: an instance, where it came from, a name. Goes out: the value and where it came from. What
the read does *not* find (an attribute of the instance's own that would hide a method) is guarded.
"""

from __future__ import annotations

import builtins
import types
from typing import TYPE_CHECKING, Any, final

from . import descriptors
from .classes import guard_raw, lookup, ordinary, special
from .kinds import CACHED
from .provenance import CONSTANT, Born, Node, Origin, Read
from .recorder import Recorder
from .subclasses import inherits, inside

if TYPE_CHECKING:
    from .operators import Operators


#: what errors made of Python's own arguments are made by
_ERROR_INITS = tuple(
    vars(error)["__init__"]
    for error in vars(builtins).values()
    if isinstance(error, type) and issubclass(error, BaseException) and "__init__" in vars(error)
)


@final
class Method:
    """Marks a function that is read as a method."""

    __slots__ = ("function",)

    def __init__(self, function: types.FunctionType) -> None:
        self.function = function


def of_instance(frame: Operators, owner: Any, origin: Origin, name: str) -> Read:
    """An attribute of an instance of a class written in Python."""
    recorder = frame.recorder
    kind = type(owner)
    if not recorder.classes.is_plain(kind) or not ordinary(kind):
        recorder.refuse(f"{name} of a {kind.__name__}")
        return getattr(owner, name), None
    if not kind.__dictoffset__ and special(kind, "__getattr__") is not None:
        recorder.refuse(f"{kind.__name__} has slots alone, and a __getattr__")
        return getattr(owner, name), None
    recorder.typed(origin, owner)
    found, raw, _ = lookup(kind, name)
    inside = getattr(owner, "__dict__", None)
    held = inside is not None and name in inside
    if not found and not held:
        recorder.classes.find(kind, name)
        guard_absent(recorder, origin, owner, name)
        answers = special(kind, "__getattr__")
        if answers is not None:
            recorder.classes.guard_special(origin, owner, "__getattr__")
            return frame.invoke(answers, CONSTANT, (owner, name), (origin, CONSTANT))
        if recorder.classes.find(kind, "__getattr__") is not None:
            recorder.refuse(f"{kind.__name__} has a __getattr__")
        return getattr(owner, name), None
    stored = recorder.classes.stored(kind, name) if found else None
    if stored is not None:
        if held:
            value = getattr(owner, name)
            return value, instance_part(recorder, owner, origin, name, value, True)
        guard_absent(recorder, origin, owner, name)
        return getattr(owner, name), stored
    node = recorder.classes.find(kind, name)
    if found and isinstance(raw, property):
        assert node is not None
        recorder.guard("{0} is {k0}", node, constants=(raw,))
        if type(raw) is not property or type(raw.fget) is not types.FunctionType:
            recorder.refuse(f"the property {name} of {kind.__name__}")
            return getattr(owner, name), None
        return _of_property(frame, owner, origin, name, raw.fget)
    if name == "__dict__":
        return _open(recorder, owner, origin)
    if raw is vars(object)["__class__"]:
        return kind, CONSTANT
    if found and hasattr(type(raw), "__set__"):
        return _of_slot(frame, owner, origin, name, raw, node)
    if held:
        if node is not None:
            guard_raw(recorder, node, raw)
        value = inside[name]  # type: ignore[index]
        hidden = found or special(kind, "__getattr__") is not None  # which a guard must not ask
        part = instance_part(recorder, owner, origin, name, value, hidden)
        if isinstance(origin, Node) and not recorder.dead:
            recorder.reads[id(owner), name] = (
                owner, origin, inside, value, part, (id(owner), name)
            )  # fmt: skip
        return value, part
    assert node is not None
    guard_absent(recorder, origin, owner, name)
    return _bound(frame, owner, origin, name, raw, node)


def _of_property(frame: Operators, owner: Any, origin: Origin, name: str, getter: Any) -> Read:
    """What a property gives; if it raises AttributeError, the class may have another answer."""
    recorder, kind = frame.recorder, type(owner)
    try:
        return frame.invoke(getter, CONSTANT, (owner,), (origin,))
    except AttributeError:
        if recorder.classes.find(kind, "__getattr__") is None:
            raise
    recorder.refuse(f"the property {name} of {kind.__name__} raised an AttributeError")
    return kind.__getattr__(owner, name), None  # type: ignore[attr-defined]


def of_super(recorder: Recorder, owner: Any, name: str) -> Read:
    """`super().name`: a method of a class further on."""
    value = recorder.guarded(getattr, owner, name)
    found = recorder.known(owner)
    mro = owner.__self_class__.__mro__
    raw = None
    for cls in mro[mro.index(owner.__thisclass__) + 1 :]:
        heap = cls.__flags__ & (1 << 9)
        if name in vars(cls):
            raw = vars(cls)[name]
            if heap:
                node = recorder.nodes("{k0}[{k1}]", (), (recorder.classes.proxy(cls), name))
                recorder.guard("{0} is {k0}", node, constants=(raw,))
            break
        if heap:
            recorder.guard("{k1} not in {k0}", constants=(recorder.classes.proxy(cls), name))
    if isinstance(raw, types.FunctionType) and isinstance(found, Born):
        return value, Born("method", (CONSTANT, found.parts))
    made = raw in (object.__new__, vars(type)["__call__"]) or isinstance(raw, staticmethod)
    if made and (raw is object.__new__ or isinstance(owner.__self__, type)):
        return value, CONSTANT
    plain = raw in (object.__init__, object.__setattr__) or (
        name == "__init__" and raw in _ERROR_INITS
    )
    if isinstance(found, Born) and (plain or inherits(type(owner.__self__), raw)):
        return value, Born("method", (None, found.parts))
    recorder.refuse(f"super().{name}")
    return value, None


def instance_part(
    recorder: Recorder, owner: Any, origin: Origin, name: str, value: Any, hidden: bool
) -> Origin:
    stored = recorder.stored.get((id(owner), name))
    if stored is not None:
        return stored
    origin = inside(recorder, owner, origin)
    if isinstance(origin, Born):
        parts = origin.parts
        if origin.kind not in ("instance", "error") or name not in parts:
            recorder.refuse(f"{name} of a {type(owner).__name__} made in the call")
            return None
        return parts[name]
    node = recorder.as_node(origin, owner)
    assert node is not None
    template = f"{{0}}.__dict__[{name!r}]" if hidden else f"{{0}}.{name}"
    return recorder.found(recorder.nodes(template, (node,)), value)


def _open(recorder: Recorder, owner: Any, origin: Origin) -> Read:
    """`owner.__dict__`, to be read only."""
    value = owner.__dict__
    if isinstance(origin, Born) and origin.kind == "instance" and set(origin.parts) <= set(value):
        recorder.opened[id(value)] = owner
        return value, recorder.known(value) or recorder.born(value, "dict", origin.parts)
    changed = any(key[0] == id(owner) for key in recorder.stored)
    deleted = any(key[0] == id(owner) for key in recorder.deleted)
    if deleted or not isinstance(origin, Node):
        recorder.refuse("the __dict__ of an object that the call changed")
        return value, None
    if changed:
        return value, _changed(recorder, owner, origin)
    recorder.opened[id(value)] = recorder.opened[id(owner)] = owner
    return value, recorder.read(recorder.nodes("{0}.__dict__", (origin,)), value)


def _changed(recorder: Recorder, owner: Any, origin: Node) -> Origin:
    """The `__dict__` of an object from outside that the call has changed, as it is now."""
    recorder.typed(origin, owner)
    node = recorder.nodes("{0}.__dict__", (origin,))
    held = owner.__dict__
    names = tuple(name for name in held if (id(owner), name) not in recorder.fresh)
    recorder.guard("tuple({0}) == {k0}", node, constants=(recorder.const_tuple(names),))
    parts = {}
    for name, value in held.items():
        stored = recorder.stored.get((id(owner), name))
        read = recorder.nodes("{0}[{k0}]", (node,), (name,))
        parts[name] = stored if stored is not None else recorder.found(read, value)
    recorder.opened[id(held)] = recorder.opened[id(owner)] = owner
    return recorder.born(held, "dict", parts)


def _of_slot(
    frame: Operators, owner: Any, origin: Origin, name: str, raw: Any, node: Node | None
) -> Read:
    """A slot, or a named tuple's field."""
    recorder = frame.recorder
    unset = isinstance(raw, types.MemberDescriptorType) and not hasattr(owner, name)
    if unset and recorder.classes.find(type(owner), "__getattr__") is None:
        slot = recorder.as_node(origin, owner)
        if slot is not None and (id(owner), name) not in recorder.deleted:
            recorder.guard(f"not hasattr({{0}}, {name!r})", slot)
        return getattr(owner, name), None  # raises
    if node is not None and descriptors.follows(raw):
        return descriptors.read(frame, owner, origin, name, raw, node)
    value = recorder.guarded(getattr, owner, name)
    if isinstance(owner, tuple) and type(raw).__name__ == "_tuplegetter":
        if isinstance(origin, Born):
            return value, origin.parts[type(owner)._fields.index(name)]  # type: ignore[attr-defined]
        found = recorder.as_node(origin, owner)
        assert found is not None
        return value, recorder.read(recorder.nodes(f"{{0}}.{name}", (found,)), value)
    if isinstance(raw, types.MemberDescriptorType):
        return value, instance_part(recorder, owner, origin, name, value, hidden=False)
    recorder.refuse(f"the descriptor {name} of {type(owner).__name__}")
    return value, None


def _bound(frame: Operators, owner: Any, origin: Origin, name: str, raw: Any, node: Node) -> Read:
    """What an instance finds in its class."""
    recorder = frame.recorder
    if descriptors.follows(raw):
        return descriptors.read(frame, owner, origin, name, raw, node)
    value = recorder.guarded(getattr, owner, name)
    if type(raw) is CACHED:
        return value, Born("method", (recorder.found(node, raw), origin))
    if isinstance(raw, types.FunctionType):
        method = Born("method", (recorder.found(node, raw), origin))
        inside = getattr(owner, "__dict__", {})
        if isinstance(origin, Node) and not recorder.dead:
            recorder.reads[id(owner), name] = (
                owner, origin, inside, Method(raw), method, (id(owner), name)
            )  # fmt: skip
        return value, method
    if isinstance(raw, staticmethod):
        recorder.guard("{0} is {k0}", node, constants=(raw,))
        return value, CONSTANT
    if isinstance(raw, classmethod):
        recorder.guard("{0} is {k0}", node, constants=(raw,))
        return value, Born("method", (CONSTANT, CONSTANT))
    if isinstance(owner, tuple) and isinstance(raw, types.MethodDescriptorType):
        return value, Born("method", (None, origin))
    if inherits(type(owner), raw):
        return value, Born("method", (None, origin))
    if hasattr(type(raw), "__get__"):
        recorder.refuse(f"the descriptor {name} of {type(owner).__name__}")
        return value, None
    stored = recorder.stored.get((id(owner), name))
    return value, stored if stored is not None else recorder.found(node, raw)


def guard_absent(recorder: Recorder, origin: Origin, owner: Any, name: str) -> None:
    """Guard that an instance has no attribute of its own by this name."""
    node = recorder.as_node(origin, owner)
    if (id(owner), name) in recorder.deleted:
        return
    if node is not None and hasattr(owner, "__dict__"):
        recorder.guard("{k0} not in {0}.__dict__", node, constants=(name,))


def guard_no_own(recorder: Recorder, origin: Origin, owner: Any, name: str, slot: bool) -> None:
    """Guard that an instance has no such attribute, or slot that is filled."""
    node = recorder.as_node(origin, owner)
    if not slot:
        guard_absent(recorder, origin, owner, name)
    elif node is not None and (id(owner), name) not in recorder.deleted:
        recorder.guard(f"not hasattr({{0}}, {name!r})", node)
