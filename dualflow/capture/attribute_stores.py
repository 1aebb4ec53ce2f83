"""Attributes stored: `owner.name = value`.

Comes in: an object, a name, a value, where both came from. Goes out: the effect that a replay
redoes, or for an object made in the call its new part; guards that storing is what a plain object
does.
"""

from __future__ import annotations

import threading
import types
from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor
from dualflow.ops.generator import Generator

from .classes import guard_raw, lookup, ordinary
from .provenance import CONSTANT, SCALARS, Born, Node, Origin
from .recorder import Recorder
from .subclasses import inside

if TYPE_CHECKING:
    from .operators import Operators


#: what stores an attribute in the instance
_STORES: tuple[Any, ...] = (
    object.__setattr__, types.SimpleNamespace.__setattr__, BaseException.__setattr__,
)  # fmt: skip


def store(
    frame: Operators, owner: Any, origin: Origin, name: str, value: Any, part: Origin
) -> None:
    """Note `owner.name = value`; the caller does it."""
    recorder = frame.recorder
    if recorder.dead:
        return
    kind = type(owner)
    if kind is Tensor:
        _store_in_tensor(recorder, owner, origin, name, value, part)
        return
    if isinstance(owner, (types.FunctionType, types.ModuleType)):
        if isinstance(origin, Born):
            if name.startswith("__") and name != "__wrapped__":
                recorder.refuse(f"{name} stored in a function made in the call")
            recorder.stored[id(owner), name] = part
            return
    elif isinstance(owner, type):
        _store_in_class(recorder, owner, origin, name, value, part)
        return
    elif name == "__traceback__" and isinstance(origin, Born) and origin.kind == "error":
        return  # the lines of an error that leaves are told when it does
    elif kind is not threading.local and not _storable(recorder, kind, name):
        recorder.refuse(f"{name} stored in a {kind.__name__}")
        return
    note_stored(recorder, owner, origin, name, value, part)


def note_stored(
    recorder: Recorder, owner: Any, origin: Origin, name: str, value: Any, part: Origin,
    by: Any = None,
) -> None:  # fmt: skip
    """Note what was stored in an object; `by` a function that a replay calls for it."""
    kind = type(owner)
    origin = inside(recorder, owner, origin)
    if isinstance(origin, Born):
        error = origin.kind == "error" and type(origin.parts) is dict and name != "args"
        if origin.kind != "instance" and not error:
            recorder.refuse(f"{name} stored in a {kind.__name__}")
            return
        origin.parts[name] = part
        return
    if id(owner) in recorder.opened:
        recorder.refuse("an object changed after its __dict__ was read")
    node = recorder.as_node(origin, owner)
    assert node is not None
    recorder.typed(origin, owner)
    recorder.writes(node, owner)
    held = getattr(owner, "__dict__", {})
    recorder.drops(held.get(name))
    key = (id(owner), name)
    if name not in held:
        recorder.fresh.add(key)
    if kind is types.ModuleType:  # its names are the globals of its functions
        key = ("global", id(vars(owner)), name)
    recorder.stored[key] = part
    recorder.deleted.discard(key)
    recorder.keep(owner)
    line = recorder.effect_line()
    if by is None:
        recorder.effects.append(("attr", node, name, value, part, line))
    else:
        pairs = [(owner, origin), (name, CONSTANT), (value, part)]
        recorder.effects.append(("call", by, pairs, line))


def _store_in_class(
    recorder: Recorder, owner: type, origin: Origin, name: str, value: Any, part: Origin
) -> None:
    """Note `Class.name = value`, a counter or the like: no method, no descriptor."""
    kind = type(value)
    plain = kind in SCALARS or kind in (Tensor, list, tuple, dict)
    plain = plain or (ordinary(kind) and not isinstance(value, type) and not _binds(kind))
    before = lookup(owner, name)[1]
    if hasattr(type(before), "__get__") or (name.startswith("__") and name.endswith("__")):
        plain = False
    if type(owner).__setattr__ is not type.__setattr__ or lookup(type(owner), name)[0]:
        plain = False
    if not plain or part is None or not owner.__flags__ & (1 << 9):
        recorder.refuse(f"{name} stored in the class {owner.__name__}")
        return
    recorder.stored[id(owner), name] = part
    if isinstance(origin, Born):  # made in the call
        return
    recorder.pin(origin, owner)
    recorder.drops(vars(owner).get(name))
    recorder.keep(owner)
    node = recorder.constant(owner)
    recorder.effects.append(("attr", node, name, value, part, recorder.effect_line()))


def _binds(kind: type) -> bool:
    """Whether instances say what they are where a class holds them."""
    return any(name in vars(cls) for cls in kind.__mro__ for name in ("__get__", "__set__"))


def _storable(recorder: Recorder, kind: type, name: str) -> bool:
    """Whether storing is what a plain object does; guarded."""
    if kind.__setattr__ not in _STORES or not recorder.classes.is_plain(kind):
        return False
    if not ordinary(kind):
        return False
    return storable_directly(recorder, kind, name)


def storable_directly(recorder: Recorder, kind: type, name: str) -> bool:
    """Whether `object.__setattr__` stores in the instance, or a slot; guarded."""
    found, raw, _ = lookup(kind, name)
    if kind is Generator:  # draws move it as well
        return False
    stored = recorder.classes.stored(kind, name) if found else None
    if stored is not None and kind.__dictoffset__ and not hasattr(type(raw), "__set__"):
        recorder.typed(stored, raw)
        recorder.classes.find(kind, "__setattr__")
        return True
    if stored is not None:
        return False
    if found and hasattr(type(raw), "__set__") and not isinstance(raw, types.MemberDescriptorType):
        return False
    if not kind.__dictoffset__ and not isinstance(raw, types.MemberDescriptorType):
        return False  # it raises
    guard_storing(recorder, kind, name, raw)
    return True


def guard_storing(recorder: Recorder, kind: type, name: str, raw: Any) -> None:
    """Guard what an instance's attribute is stored through: `raw` of the class, no __setattr__."""
    node = recorder.classes.find(kind, name)
    if node is not None:
        guard_raw(recorder, node, raw)
    recorder.classes.find(kind, "__setattr__")


def set_by_property(
    frame: Operators, owner: Any, origin: Origin, name: str, value: Any, part: Origin
) -> bool:
    """Run the setter of a property in Python's place; False if there is none to follow."""
    recorder, kind = frame.recorder, type(owner)
    raw = lookup(kind, name)[1]
    if recorder.dead or type(raw) is not property or type(raw.fset) is not types.FunctionType:
        return False
    own = kind in (Tensor, Generator) or kind.__module__.startswith("dualflow.capture")
    if own or kind.__setattr__ not in _STORES or not recorder.classes.is_plain(kind):
        return False
    recorder.typed(origin, owner)
    guard_storing(recorder, kind, name, raw)
    frame.invoke(raw.fset, CONSTANT, (owner, value), (origin, part))
    return True


def _store_in_tensor(
    recorder: Recorder, owner: Tensor, origin: Origin, name: str, value: Any, part: Origin
) -> None:
    if name == "requires_grad" and isinstance(origin, Born) and type(value) is bool:
        recorder.pin(part, value)  # what is given back of the tensor says it
        return
    if name != "grad":
        recorder.refuse(f"{name} of a tensor set")
        return
    recorder.stored[id(owner), "grad"] = part
    if isinstance(origin, Node):
        recorder.outside.guard(owner)
