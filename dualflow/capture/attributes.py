"""Attributes, globals and module contents: reads and stores, with the guards that make them sure.

Comes in: an object, where it came from, a name. Goes out: the value and where it came from. What a
read does *not* find (an instance attribute that would hide a method) is guarded too.
"""

from __future__ import annotations

import builtins
import enum
import functools
import types
from collections import Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any, final

import numpy as np

from dualflow.array.tensor import Tensor

from . import numpy_calls
from .numpy_arrays import TYPES
from .numpy_random import is_generator
from .provenance import CONSTANT, SCALARS, Born, Node, Origin
from .recorder import FIXED, Recorder
from .values import Unchanging, is_value_class

if TYPE_CHECKING:
    from .operators import Operators

_BUILTIN_DICT = vars(builtins)
_STATIC = ("shape", "dtype", "ndim", "size", "device", "itemsize", "nbytes")
Read = tuple[Any, Origin]
MISSING = object()


class Described:
    """What follows descriptors; `descriptors.py` fills it, which imports this room."""

    follows: Any = staticmethod(lambda raw: False)
    read: Any = None


DESCRIBED = Described()
_BUILT_IN = frozenset([list, dict, set, frozenset, tuple, slice, deque, Counter, OrderedDict,
                       defaultdict])  # fmt: skip
#: what errors made of Python's own arguments are made by
_ERROR_INITS = tuple(
    vars(error)["__init__"]
    for error in vars(builtins).values()
    if isinstance(error, type) and issubclass(error, BaseException) and "__init__" in vars(error)
)
#: classes whose instances look for attributes first in their class, then in themselves
_PLAIN = (object, tuple, int, float, str, bytes, types.SimpleNamespace, BaseException)
#: what stores an attribute in the instance
_STORES: tuple[Any, ...] = (
    object.__setattr__, types.SimpleNamespace.__setattr__, BaseException.__setattr__,
)  # fmt: skip


def read_global(recorder: Recorder, function: Any, name: str, value: Any) -> Origin:
    """The origin of a global variable of `function`."""
    namespace = function.__globals__
    key = "global", id(namespace), name
    stored = recorder.stored.get(key)
    if stored is not None:
        return stored
    if name in namespace:
        node = recorder.nodes("{k0}[{k1}]", (), (namespace, name))
        found = recorder.found(node, value)
        recorder.reads[id(namespace), name] = (namespace, None, namespace, value, found, key)
        return found
    recorder.guard("{k1} not in {k0}", constants=(namespace, name))
    if vars(builtins) is not _BUILTIN_DICT:
        recorder.refuse("builtins of its own")
    node = recorder.nodes("{k0}[{k1}]", (), (_BUILTIN_DICT, name))
    found = recorder.found(node, value)
    recorder.reads[id(namespace), name] = (namespace, None, _BUILTIN_DICT, value, found, key)
    return found


def of_module(
    recorder: Recorder, module: types.ModuleType, name: str, value: Any, origin: Origin = None
) -> Origin:
    """The origin of a name in a module, itself of `origin`."""
    namespace = vars(module)
    stored = recorder.stored.get(("global", id(namespace), name))
    if stored is not None:
        return stored
    if namespace.get(name, MISSING) is not value:
        recorder.refuse(f"{module.__name__}.{name}, which the module computes")
        return None
    found = recorder.found(recorder.nodes("{k0}[{k1}]", (), (namespace, name)), value)
    key = "global", id(namespace), name
    recorder.reads[id(module), name] = (module, origin, namespace, value, found, key)
    return found


def _absent_from_module(recorder: Recorder, module: types.ModuleType, name: str) -> None:
    """Guard that a module does not hold a name."""
    namespace = vars(module)
    if "__getattr__" in namespace:
        recorder.refuse(f"{module.__name__}.{name}, which the module computes")
    for absent in (name, "__getattr__"):
        recorder.guard("{k1} not in {k0}", constants=(namespace, absent))


def read(frame: Operators, owner: Any, origin: Origin, name: str) -> Read:
    """`owner.name` and its origin."""
    recorder = frame.recorder
    kind = type(owner)
    if kind is Tensor:
        return _of_tensor(recorder, owner, origin, name)
    if kind in TYPES or kind is np.ufunc or is_generator(owner):
        return numpy_calls.attribute(recorder, owner, origin, name)
    if kind is types.ModuleType:
        recorder.pin(origin, owner)
        try:
            value = getattr(owner, name)
        except AttributeError:
            _absent_from_module(recorder, owner, name)
            raise
        return value, of_module(recorder, owner, name, value, origin)
    if isinstance(owner, type):
        return _of_class(recorder, owner, origin, name)
    if kind is super:
        return _of_super(recorder, owner, name)
    if is_value_class(kind):
        return _of_value(recorder, owner, origin, name)
    if isinstance(owner, np.dtype):
        recorder.pin(origin, owner)
        return getattr(owner, name), CONSTANT
    if isinstance(owner, enum.Enum):
        recorder.pin(origin, owner)
        return _of_member(frame, owner, name)
    if kind is types.FunctionType:
        return _of_function(recorder, owner, origin, name)
    compiled = kind.__module__ == "dualflow.capture.compiled"
    if compiled and name in vars(owner) and isinstance(origin, Node):
        return _of_instance(frame, owner, origin, name)
    if kind is types.MethodType and name in ("__self__", "__func__"):
        return _of_method(recorder, owner, origin, name)
    if kind is types.MethodType:
        inner, where = _of_method(recorder, owner, origin, "__func__")
        return read(frame, inner, where, name)
    if kind is functools.partial:
        return _of_partial(recorder, owner, origin, name)
    if compiled:
        recorder.refuse(f"an attribute of a {kind.__name__}")
        return getattr(owner, name), None
    if kind in SCALARS or kind in _BUILT_IN:
        recorder.typed(origin, owner)
        value = getattr(owner, name)
        if callable(value):
            return value, Born("method", (None, origin))
        if kind is deque and name == "maxlen":
            return value, _maxlen(recorder, origin, owner)
        node = recorder.as_node(origin, owner)
        if node is None or kind not in (int, float, bool):
            recorder.refuse(f"{name} of a {kind.__name__}")
            return value, None
        return value, recorder.nodes(f"(({{0}}).{name})", (node,))
    if isinstance(origin, Born) and origin.kind in ("error", "iterator", "opaque"):
        if origin.kind == "error" and name == "args":
            if origin.parts == "constant" and all(type(x) in SCALARS for x in owner.args):
                return owner.args, CONSTANT
            if type(origin.parts) is dict and len(origin.parts["args"]) == len(owner.args):
                return owner.args, recorder.born(owner.args, "tuple", origin.parts["args"])
            recorder.refuse("the args of an exception")
        if type(origin.parts) is dict and not name.startswith("__"):
            return _of_instance(frame, owner, origin, name)
        value = getattr(owner, name)
        if isinstance(value, types.BuiltinFunctionType):
            return value, Born("method", (None, origin))
        recorder.refuse(f"{name} of a {kind.__name__}")
        return value, None
    return _of_instance(frame, owner, origin, name)


def _maxlen(recorder: Recorder, origin: Origin, owner: deque) -> Origin:
    if isinstance(origin, Node):
        return recorder.read(recorder.nodes("{0}.maxlen", (origin,)), owner.maxlen)
    return CONSTANT


def _of_partial(recorder: Recorder, owner: Any, origin: Origin, name: str) -> Read:
    value, node = getattr(owner, name), recorder.as_node(origin, owner)
    if name not in ("func", "args", "keywords"):
        recorder.refuse(f"{name} of a partial")
    elif node is not None:
        recorder.typed(origin, owner)
        return value, recorder.read(recorder.nodes(f"{{0}}.{name}", (node,)), value)
    elif isinstance(origin, Born) and type(origin.parts) is tuple:
        inner, before, named = origin.parts
        if name == "func":
            return value, recorder.origin(inner, value)
        given = ("tuple", before) if name == "args" else ("dict", named)
        return value, recorder.born(value, *given)
    recorder.refuse(f"{name} of a partial")
    return value, None


def _of_value(recorder: Recorder, owner: Any, origin: Origin, name: str) -> Read:
    recorder.pin(origin, owner)
    value = getattr(owner, name)
    if callable(value) and not isinstance(value, Unchanging):
        return value, Born("method", (CONSTANT, CONSTANT))
    parts = value if type(value) is tuple else (value,)
    if all(type(part) in SCALARS or isinstance(part, Unchanging) for part in parts):
        return value, CONSTANT
    recorder.refuse(f"{name} of a {type(owner).__name__}")
    return value, None


def _of_method(recorder: Recorder, owner: types.MethodType, origin: Origin, name: str) -> Read:
    value = getattr(owner, name)
    if isinstance(origin, Born) and origin.kind == "method":
        part = origin.parts[name == "__self__"]
        return value, recorder.origin(part, value)
    node = recorder.as_node(origin, owner)
    assert node is not None
    recorder.typed(origin, owner)
    return value, recorder.read(recorder.nodes(f"{{0}}.{name}", (node,)), value)


@final
class Method:
    """Marks a function that is read as a method."""

    __slots__ = ("function",)

    def __init__(self, function: types.FunctionType) -> None:
        self.function = function


def _of_member(frame: Operators, owner: enum.Enum, name: str) -> Read:
    """An attribute of a member of an enumeration, which is itself a constant."""
    recorder, kind = frame.recorder, type(owner)
    inner = {"name": "_name_", "value": "_value_"}.get(name, name)
    found, raw, _ = lookup(kind, name)
    plain = not found if name == inner else raw is vars(enum.Enum).get(name)
    if not plain or inner not in vars(owner):
        return _of_instance(frame, owner, CONSTANT, name)
    guard_class(recorder, kind, name)
    value = vars(owner)[inner]
    node = recorder.nodes(f"{{k0}}.{inner}", (), (owner,))
    if type(value) in SCALARS or isinstance(value, FIXED):
        recorder.pin(node, value)
        return value, CONSTANT
    return value, recorder.found(node, value)


def _of_tensor(recorder: Recorder, owner: Tensor, origin: Origin, name: str) -> Read:
    if name in _STATIC or name in ("requires_grad", "_version"):
        recorder.tensor(owner)
        return getattr(owner, name), CONSTANT
    if name == "grad":
        stored = recorder.stored.get((id(owner), "grad"))
        value = owner.grad
        if stored is not None and (value is None) == (stored is CONSTANT):
            return value, stored
        if not isinstance(origin, Node):
            return value, CONSTANT if value is None else recorder.origin(None, value)
        before = recorder.grads.get(id(owner))
        if value is not before:  # backward() set it in this call
            return value, recorder.origin(None, value)
        node = recorder.nodes("{0}.grad", (origin,))
        recorder.tensor(owner)
        if value is None:
            recorder.guard("{0} is None", node)
            return value, CONSTANT
        found = recorder.read(node, value)
        recorder.tensor(value)
        return value, found
    raw = vars(Tensor).get(name)
    if raw is None and not lookup(Tensor, name)[0] and name not in vars(owner):
        recorder.tensor(owner)
        recorder.guard("{k1} not in {k0}", constants=(recorder.proxy(Tensor), name))
        _guard_absent(recorder, origin, owner, name)
        return getattr(owner, name), None
    if raw is None or recorder.methods.get(name) is not raw:
        tensor_method(recorder, name)
    value = recorder.guarded(getattr, owner, name)
    if isinstance(value, Tensor):  # T, mT
        return value, recorder.origin(None, value)
    if isinstance(value, types.MethodType) and value.__self__ is owner:
        return value, Born("method", (None, origin))
    recorder.refuse(f"{name} of a tensor")
    return value, None


def tensor_method(recorder: Recorder, name: str) -> Any:
    """What the class of tensors holds under `name`; guarded, for programs may replace it."""
    raw = vars(Tensor).get(name)
    if raw is not None and recorder.methods.get(name) is not raw:
        recorder.methods[name] = raw
        node = recorder.nodes("{k0}[{k1}]", (), (recorder.proxy(Tensor), name))
        recorder.guard("{0} is {k0}", node, constants=(raw,))
    return raw


def lookup(kind: type, name: str) -> tuple[bool, Any, Any]:
    """What the classes of `kind` hold under `name`, without binding: found, value, namespace."""
    for cls in kind.__mro__:
        if name in vars(cls):
            return True, vars(cls)[name], vars(cls)
    return False, None, None


def special(kind: type, name: str) -> types.FunctionType | None:
    """A special method written in Python; None if the class has none, or one in C."""
    for cls in kind.__mro__:
        if name in vars(cls):
            found = vars(cls)[name]
            return found if isinstance(found, types.FunctionType) else None
    return None


def built_in(recorder: Recorder, value: Any, *names: str) -> bool:
    """Whether special methods of a constant are Python's own, or the library's; guarded."""
    if type(value) in SCALARS or is_value_class(type(value)):
        return True
    for name in names:
        raw = lookup(type(value), name)[1]
        if isinstance(raw, types.FunctionType) and raw.__module__ != "enum":
            return False
    for name in names:
        recorder.guard_special(CONSTANT, value, name)
    return True


def guard_class(recorder: Recorder, kind: type, name: str) -> Node | None:
    """Guard that a name is found in the classes of `kind` where it is found now: the node of what
    is there, or None if there is nothing."""
    try:
        return recorder.classes[id(kind), name]
    except KeyError:
        recorder.guard_order(kind)
        recorder.keep(kind)
    for cls in kind.__mro__:
        namespace = vars(cls)
        if name in namespace:
            node = recorder.nodes("{k0}[{k1}]", (), (recorder.proxy(cls), name))
            recorder.classes[id(kind), name] = node
            return node
        if cls.__flags__ & (1 << 9):  # a heap type: it can change
            recorder.guard("{k1} not in {k0}", constants=(recorder.proxy(cls), name))
    recorder.classes[id(kind), name] = None
    return None


def plain_class(recorder: Recorder, kind: type) -> bool:
    """Whether instances find attributes as plain objects do; guarded."""
    plain = recorder.plains.get(id(kind))
    if plain is None:
        finds: Any = kind.__getattribute__
        recorder.guard("{k0}.__getattribute__ is {k1}", constants=(kind, finds))
        plain = type(finds) is types.WrapperDescriptorType and finds.__objclass__ in _PLAIN
        recorder.plains[id(kind)] = plain
    return plain


def ordinary(kind: type) -> bool:
    """Whether instances are objects with attributes and nothing more that a program can change."""
    return bool(kind.__flags__ & (1 << 9)) or kind is types.SimpleNamespace


def _of_class(recorder: Recorder, owner: type, origin: Origin, name: str) -> Read:
    recorder.pin(origin, owner)
    if not lookup(owner, name)[0] and type(owner) is type and not hasattr(type, name):
        guard_class(recorder, owner, name)
        return getattr(owner, name), None  # raises
    value = recorder.guarded(getattr, owner, name)
    if recorder.dead:
        return value, None
    if isinstance(owner, enum.EnumMeta) and owner._member_map_.get(name) is value:
        return value, CONSTANT
    stored = stored_in_class(recorder, owner, name)
    if stored is not None:
        return value, stored
    found, raw, _ = lookup(owner, name)
    if not found or (type(owner) is not type and lookup(type(owner), name)[0]):
        if name in ("__name__", "__qualname__", "__module__"):
            return value, CONSTANT
        recorder.refuse(f"{name} of the class {owner.__name__}")
        return value, None
    node = guard_class(recorder, owner, name)
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
        classmethod,
    )  # fmt: skip
    if isinstance(raw, built_in_method) or is_value_class(owner):
        return value, CONSTANT
    recorder.refuse(f"{name} of the class {owner.__name__}")
    return value, None


def _of_function(recorder: Recorder, owner: Any, origin: Origin, name: str) -> Read:
    value = recorder.guarded(getattr, owner, name)
    stored = recorder.stored.get((id(owner), name))
    if stored is not None:
        return value, stored
    if isinstance(origin, Born) and name in ("__name__", "__qualname__"):
        return value, CONSTANT
    node = recorder.as_node(origin, owner)
    if node is None or not (name in vars(owner) or name in ("__name__", "__qualname__")):
        recorder.refuse(f"{name} of a function")
        return value, None
    recorder.typed(origin, owner)
    return value, recorder.found(recorder.nodes(f"{{0}}.{name}", (node,)), value)


def _of_instance(frame: Operators, owner: Any, origin: Origin, name: str) -> Read:
    """An attribute of an instance of a class written in Python."""
    recorder = frame.recorder
    kind = type(owner)
    if not plain_class(recorder, kind) or not ordinary(kind):
        recorder.refuse(f"{name} of a {kind.__name__}")
        return getattr(owner, name), None
    recorder.typed(origin, owner)
    found, raw, _ = lookup(kind, name)
    inside = getattr(owner, "__dict__", None)
    held = inside is not None and name in inside
    if not found and not held:
        guard_class(recorder, kind, name)
        _guard_absent(recorder, origin, owner, name)
        answers = special(kind, "__getattr__")
        if answers is not None:
            recorder.guard_special(origin, owner, "__getattr__")
            return frame.invoke(answers, CONSTANT, (owner, name), (origin, CONSTANT))
        if guard_class(recorder, kind, "__getattr__") is not None:
            recorder.refuse(f"{kind.__name__} has a __getattr__")
        return getattr(owner, name), None
    stored = stored_in_class(recorder, kind, name) if found else None
    if stored is not None:
        if held:
            value = getattr(owner, name)
            return value, _instance_part(recorder, owner, origin, name, value, True)
        _guard_absent(recorder, origin, owner, name)
        return getattr(owner, name), stored
    node = guard_class(recorder, kind, name)
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
            _guard_raw(recorder, node, raw)
        value = inside[name]  # type: ignore[index]
        part = _instance_part(recorder, owner, origin, name, value, hidden=found)
        if isinstance(origin, Node) and not recorder.dead:
            recorder.reads[id(owner), name] = (
                owner, origin, inside, value, part, (id(owner), name)
            )  # fmt: skip
        return value, part
    assert node is not None
    _guard_absent(recorder, origin, owner, name)
    return _bound(frame, owner, origin, name, raw, node)


def _of_property(frame: Operators, owner: Any, origin: Origin, name: str, getter: Any) -> Read:
    """What a property gives; if it raises AttributeError, the class may have another answer."""
    recorder, kind = frame.recorder, type(owner)
    try:
        return frame.invoke(getter, CONSTANT, (owner,), (origin,))
    except AttributeError:
        if guard_class(recorder, kind, "__getattr__") is None:
            raise
    recorder.refuse(f"the property {name} of {kind.__name__} raised an AttributeError")
    return kind.__getattr__(owner, name), None  # type: ignore[attr-defined]


def _of_super(recorder: Recorder, owner: Any, name: str) -> Read:
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
                node = recorder.nodes("{k0}[{k1}]", (), (recorder.proxy(cls), name))
                recorder.guard("{0} is {k0}", node, constants=(raw,))
            break
        if heap:
            recorder.guard("{k1} not in {k0}", constants=(recorder.proxy(cls), name))
    if isinstance(raw, types.FunctionType) and isinstance(found, Born):
        return value, Born("method", (CONSTANT, found.parts))
    plain = raw in (object.__init__, object.__setattr__) or (
        name == "__init__" and raw in _ERROR_INITS
    )
    if plain and isinstance(found, Born):
        return value, Born("method", (None, found.parts))
    recorder.refuse(f"super().{name}")
    return value, None


def _instance_part(
    recorder: Recorder, owner: Any, origin: Origin, name: str, value: Any, hidden: bool
) -> Origin:
    stored = recorder.stored.get((id(owner), name))
    if stored is not None:
        return stored
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
    changed = any(key[0] == id(owner) for key in recorder.stored)
    if changed or not isinstance(origin, Node):
        recorder.refuse("the __dict__ of an object that the call changed")
        return value, None
    recorder.opened[id(value)] = recorder.opened[id(owner)] = owner
    return value, recorder.read(recorder.nodes("{0}.__dict__", (origin,)), value)


def _of_slot(
    frame: Operators, owner: Any, origin: Origin, name: str, raw: Any, node: Node | None
) -> Read:
    """A slot, or a named tuple's field."""
    recorder = frame.recorder
    unset = isinstance(raw, types.MemberDescriptorType) and not hasattr(owner, name)
    if unset and guard_class(recorder, type(owner), "__getattr__") is None:
        slot = recorder.as_node(origin, owner)
        if slot is not None and (id(owner), name) not in recorder.deleted:
            recorder.guard(f"not hasattr({{0}}, {name!r})", slot)
        return getattr(owner, name), None  # raises
    if node is not None and DESCRIBED.follows(raw):
        return DESCRIBED.read(frame, owner, origin, name, raw, node)
    value = recorder.guarded(getattr, owner, name)
    if isinstance(owner, tuple) and type(raw).__name__ == "_tuplegetter":
        if isinstance(origin, Born):
            return value, origin.parts[type(owner)._fields.index(name)]  # type: ignore[attr-defined]
        found = recorder.as_node(origin, owner)
        assert found is not None
        return value, recorder.read(recorder.nodes(f"{{0}}.{name}", (found,)), value)
    if isinstance(raw, types.MemberDescriptorType):
        return value, _instance_part(recorder, owner, origin, name, value, hidden=False)
    recorder.refuse(f"the descriptor {name} of {type(owner).__name__}")
    return value, None


def _bound(frame: Operators, owner: Any, origin: Origin, name: str, raw: Any, node: Node) -> Read:
    """What an instance finds in its class."""
    recorder = frame.recorder
    if DESCRIBED.follows(raw):
        return DESCRIBED.read(frame, owner, origin, name, raw, node)
    value = recorder.guarded(getattr, owner, name)
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
    if hasattr(type(raw), "__get__"):
        recorder.refuse(f"the descriptor {name} of {type(owner).__name__}")
        return value, None
    stored = recorder.stored.get((id(owner), name))
    return value, stored if stored is not None else recorder.found(node, raw)


def _guard_absent(recorder: Recorder, origin: Origin, owner: Any, name: str) -> None:
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
        _guard_absent(recorder, origin, owner, name)
    elif node is not None and (id(owner), name) not in recorder.deleted:
        recorder.guard(f"not hasattr({{0}}, {name!r})", node)


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
    elif not _storable(recorder, kind, name):
        recorder.refuse(f"{name} stored in a {kind.__name__}")
        return
    note_stored(recorder, owner, origin, name, value, part)


def note_stored(
    recorder: Recorder, owner: Any, origin: Origin, name: str, value: Any, part: Origin,
    by: Any = None,
) -> None:  # fmt: skip
    """Note what was stored in an object; `by` a function that a replay calls for it."""
    kind = type(owner)
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
    recorder.drops(getattr(owner, "__dict__", {}).get(name))
    key = (id(owner), name)
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
    plain = type(value) in SCALARS or type(value) in (Tensor, list, tuple, dict)
    before = lookup(owner, name)[1]
    if hasattr(type(before), "__get__") or (name.startswith("__") and name.endswith("__")):
        plain = False
    if type(owner).__setattr__ is not type.__setattr__ or lookup(type(owner), name)[0]:
        plain = False
    if not plain or part is None or not owner.__flags__ & (1 << 9):
        recorder.refuse(f"{name} stored in the class {owner.__name__}")
        return
    recorder.pin(origin, owner)
    recorder.drops(vars(owner).get(name))
    recorder.stored[id(owner), name] = part
    recorder.keep(owner)
    node = recorder.constant(owner)
    recorder.effects.append(("attr", node, name, value, part, recorder.effect_line()))


def stored_in_class(recorder: Recorder, kind: type, name: str) -> Origin:
    """The origin of what the call stored in a class, where instances of `kind` find it; None if
    they find what was there before."""
    if not any(key[1:] == (name,) for key in recorder.stored):
        return None
    for cls in kind.__mro__:
        found = recorder.stored.get((id(cls), name))
        if found is not None:
            recorder.guard_order(kind)
            return found
        if name in vars(cls):
            return None
        if cls.__flags__ & (1 << 9):
            recorder.guard("{k1} not in {k0}", constants=(recorder.proxy(cls), name))
    return None


def _storable(recorder: Recorder, kind: type, name: str) -> bool:
    """Whether storing is what a plain object does; guarded."""
    if kind.__setattr__ not in _STORES or not plain_class(recorder, kind):
        return False
    if not ordinary(kind):
        return False
    return storable_directly(recorder, kind, name)


def storable_directly(recorder: Recorder, kind: type, name: str) -> bool:
    """Whether `object.__setattr__` stores in the instance, or a slot; guarded."""
    found, raw, _ = lookup(kind, name)
    if found and stored_in_class(recorder, kind, name) is not None:
        return False
    if found and hasattr(type(raw), "__set__") and not isinstance(raw, types.MemberDescriptorType):
        return False
    if not kind.__dictoffset__ and not isinstance(raw, types.MemberDescriptorType):
        return False  # it raises
    guard_storing(recorder, kind, name, raw)
    return True


def guard_storing(recorder: Recorder, kind: type, name: str, raw: Any) -> None:
    """Guard what an instance's attribute is stored through: `raw` of the class, no __setattr__."""
    node = guard_class(recorder, kind, name)
    if node is not None:
        _guard_raw(recorder, node, raw)
    guard_class(recorder, kind, "__setattr__")


def _guard_raw(recorder: Recorder, node: Node, raw: Any) -> None:
    """Guard what a class holds under a name: no other descriptor takes its place."""
    if type(raw) in SCALARS:
        recorder.guard("type({0}) is {k0}", node, constants=(type(raw),))
    else:
        recorder.guard("{0} is {k0}", node, constants=(raw,))


def set_by_property(
    frame: Operators, owner: Any, origin: Origin, name: str, value: Any, part: Origin
) -> bool:
    """Run the setter of a property in Python's place; False if there is none to follow."""
    recorder, kind = frame.recorder, type(owner)
    raw = lookup(kind, name)[1]
    if recorder.dead or type(raw) is not property or type(raw.fset) is not types.FunctionType:
        return False
    own = kind is Tensor or kind.__module__.startswith("dualflow.capture")
    if own or kind.__setattr__ not in _STORES or not plain_class(recorder, kind):
        return False
    recorder.typed(origin, owner)
    guard_storing(recorder, kind, name, raw)
    frame.invoke(raw.fset, CONSTANT, (owner, value), (origin, part))
    return True


def _store_in_tensor(
    recorder: Recorder, owner: Tensor, origin: Origin, name: str, value: Any, part: Origin
) -> None:
    if name != "grad":
        recorder.refuse(f"{name} of a tensor set")
        return
    recorder.stored[id(owner), "grad"] = part
    if isinstance(origin, Node):
        recorder.tensor(owner)
