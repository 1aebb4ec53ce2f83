"""Attributes of any object: `owner.name`, read by the kind of its owner.

Comes in: an object, where it came from, a name. Goes out: the value and where it came from, with
the guards that make that sure. Instances of classes written in Python are in `instances.py`.
"""

from __future__ import annotations

import enum
import functools
import threading
import types
from collections import Counter, OrderedDict, defaultdict, deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.autograd.hooks import Hook
from dualflow.ops.generator import Generator

from .class_attributes import of_class
from .classes import lookup
from .instances import guard_absent, of_instance, of_super
from .kinds import CACHED, FIXED, LOCKS, STREAMS, TYPES
from .namespaces import guard_absent_name, of_module
from .ndarrays import calls as numpy_calls
from .ndarrays.random import is_generator
from .provenance import CONSTANT, SCALARS, Born, Node, Origin, Read
from .recorder import Recorder
from .tables import SPECIAL
from .values import Unchanging, is_value_class

if TYPE_CHECKING:
    from .operators import Operators

_STREAM = ("key", "counter", "spawned", "state")
_MADE = ("error", "file", "iterator", "opaque", "stream")
#: attributes of functions that `def` gives them
_NAMES = ("__name__", "__qualname__", "__doc__", "__module__")
#: attributes of tensors that shape, dtype and place decide
STATIC = frozenset(["shape", "dtype", "ndim", "size", "device", "itemsize", "nbytes"])


_BUILT_IN = frozenset([list, dict, set, frozenset, tuple, slice, range, deque, Counter, OrderedDict,
                       defaultdict])  # fmt: skip


def read(frame: Operators, owner: Any, origin: Origin, name: str) -> Read:
    """`owner.name` and its origin."""
    recorder = frame.recorder
    kind = type(owner)
    if kind in recorder.instances and isinstance(origin, Node):
        return of_instance(frame, owner, origin, name)
    if kind is Tensor:
        return _of_tensor(recorder, owner, origin, name)
    if kind in TYPES or kind is np.ufunc or is_generator(owner):
        return numpy_calls.attribute(recorder, owner, origin, name)
    if kind is Generator and name in _STREAM:  # draws move it, before and after
        recorder.refuse(f"the {name} of a random generator")
        return getattr(owner, name), None
    if kind is types.ModuleType:
        recorder.pin(origin, owner)
        try:
            value = getattr(owner, name)
        except AttributeError:
            guard_absent_name(recorder, owner, name)
            raise
        return value, of_module(recorder, owner, name, value, origin)
    if isinstance(owner, type):
        return of_class(frame, owner, origin, name)
    if kind is super:
        return of_super(recorder, owner, name)
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
    compiled = kind in SPECIAL  # df.compile, df.pure
    if compiled and name in vars(owner) and isinstance(origin, Node):
        return of_instance(frame, owner, origin, name)
    if kind is types.MethodType and name in ("__self__", "__func__"):
        return _of_method(recorder, owner, origin, name)
    if kind is types.MethodType:
        inner, where = _of_method(recorder, owner, origin, "__func__")
        return read(frame, inner, where, name)
    if kind is CACHED and name.startswith("cache_"):
        return getattr(owner, name), Born("method", (None, origin))
    if kind in LOCKS and name in ("acquire", "release"):
        recorder.typed(origin, owner)
        return getattr(owner, name), Born("method", (None, origin))
    if kind in STREAMS and isinstance(origin, Node) and name in ("write", "getvalue", "flush"):
        recorder.typed(origin, owner)
        return getattr(owner, name), Born("method", (None, origin))
    if kind is ContextVar and name in ("get", "set", "reset"):
        recorder.typed(origin, owner)
        return getattr(owner, name), Born("method", (None, origin))
    if kind is threading.local:
        return _of_thread(recorder, owner, origin, name)
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
        if kind is range:
            recorder.pin(origin, owner)
            return value, CONSTANT
        if kind is slice:
            return value, _of_slice(recorder, origin, name, value)
        node = recorder.as_node(origin, owner)
        if node is None or kind not in (int, float, bool, complex):
            recorder.refuse(f"{name} of a {kind.__name__}")
            return value, None
        return value, recorder.nodes(f"(({{0}}).{name})", (node,))
    if isinstance(origin, Born) and origin.kind in _MADE:
        if origin.kind == "error" and name == "args":
            if origin.parts == "constant" and all(type(x) in SCALARS for x in owner.args):
                return owner.args, CONSTANT
            if type(origin.parts) is dict and len(origin.parts["args"]) == len(owner.args):
                return owner.args, recorder.born(owner.args, "tuple", origin.parts["args"])
            recorder.refuse("the args of an exception")
        if origin.kind == "error" and name in ("value", "add_note", *_CHAIN):
            of_error = _of_error(recorder, owner, origin, name)
            if of_error is not None:
                return of_error
        if type(origin.parts) is dict and not name.startswith("__"):
            return of_instance(frame, owner, origin, name)
        value = getattr(owner, name)
        if kind.__module__ == "_csv" and name == "line_num":  # of lines that are pinned
            return value, CONSTANT
        if isinstance(value, (types.BuiltinFunctionType, types.MethodWrapperType)):
            return value, Born("method", (None, origin))
        if kind is Hook and isinstance(value, types.MethodType):
            return value, Born("method", (CONSTANT, origin))
        recorder.refuse(f"{name} of a {kind.__name__}")
        return value, None
    if kind.__module__ != "random":  # an instance of its Random may be a generator, or not
        recorder.instances.add(kind)
    try:
        return of_instance(frame, owner, origin, name)
    except AttributeError as error:
        if error.name is None and error.obj is None:  # as where Python looks for attributes
            error.name, error.obj = name, owner
        raise


#: attributes of errors that tell of others
_CHAIN = ("__cause__", "__context__", "__suppress_context__")


def _of_error(recorder: Recorder, owner: Any, origin: Born, name: str) -> Read | None:
    """What a generator returned, in the error that says so; the method that notes something; the
    errors of this call that an error came from."""
    raw = lookup(type(owner), name)[1]
    if name in _CHAIN and raw is vars(BaseException).get(name):
        value = getattr(owner, name)
        if type(value) is bool or (value is None and name == "__cause__"):
            return value, CONSTANT  # no caller's error is a cause, as one may be a context
        known = recorder.known(value)
        return None if known is None else (value, known)
    if raw is vars(StopIteration)["value"] and type(origin.parts) is dict:
        return owner.value, origin.parts["args"][0]
    if raw is vars(StopIteration)["value"] and owner.value is None:
        return None, CONSTANT
    if raw is vars(BaseException).get("add_note"):
        return getattr(owner, name), Born("method", (None, origin))
    return None


def _of_thread(recorder: Recorder, owner: Any, origin: Origin, name: str) -> Read:
    """An attribute that each thread has for itself; the guard asks in the thread of the replay."""
    stored, node = recorder.stored.get((id(owner), name)), recorder.as_node(origin, owner)
    if node is None or name.startswith("__"):
        recorder.refuse(f"{name} of a local of a thread")
        return getattr(owner, name), None
    if stored is not None:
        return getattr(owner, name), stored
    recorder.typed(origin, owner)
    if name not in vars(owner):
        recorder.guard("{k1} not in {k0}({0})", node, constants=(vars, name))
        return getattr(owner, name), None  # raises
    value = getattr(owner, name)
    return value, recorder.found(recorder.nodes("{k0}({0})[{k1}]", (node,), (vars, name)), value)


def _of_slice(recorder: Recorder, origin: Origin, name: str, value: Any) -> Origin:
    if isinstance(origin, Born):
        return origin.parts[("start", "stop", "step").index(name)]
    if isinstance(origin, Node):
        return recorder.read(recorder.nodes(f"{{0}}.{name}", (origin,)), value)
    return CONSTANT


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


def _of_member(frame: Operators, owner: enum.Enum, name: str) -> Read:
    """An attribute of a member of an enumeration, which is itself a constant."""
    recorder, kind = frame.recorder, type(owner)
    inner = {"name": "_name_", "value": "_value_"}.get(name, name)
    found, raw, _ = lookup(kind, name)
    plain = not found if name == inner else raw is vars(enum.Enum).get(name)
    if not plain or inner not in vars(owner):
        return of_instance(frame, owner, CONSTANT, name)
    recorder.classes.find(kind, name)
    value = vars(owner)[inner]
    node = recorder.nodes(f"{{k0}}.{inner}", (), (owner,))
    if type(value) in SCALARS or isinstance(value, FIXED):
        recorder.pin(node, value)
        return value, CONSTANT
    return value, recorder.found(node, value)


def _of_tensor(recorder: Recorder, owner: Tensor, origin: Origin, name: str) -> Read:
    if name in STATIC or name in ("requires_grad", "_version"):
        recorder.outside.guard(owner)
        return getattr(owner, name), CONSTANT
    if name == "grad":
        stored = recorder.stored.get((id(owner), "grad"))
        value = owner.grad
        if stored is not None and (value is None) == (stored is CONSTANT):
            return value, stored
        if not isinstance(origin, Node):
            return value, CONSTANT if value is None else recorder.origin(None, value)
        before = recorder.outside.grads.get(id(owner))
        if value is not before:  # backward() set it in this call
            return value, recorder.origin(None, value)
        node = recorder.nodes("{0}.grad", (origin,))
        recorder.outside.guard(owner)
        if value is None:
            recorder.guard("{0} is None", node)
            return value, CONSTANT
        found = recorder.read(node, value)
        recorder.outside.guard(value)
        return value, found
    raw = vars(Tensor).get(name)
    if raw is None and not lookup(Tensor, name)[0] and name not in vars(owner):
        recorder.outside.guard(owner)
        recorder.guard("{k1} not in {k0}", constants=(recorder.classes.proxy(Tensor), name))
        guard_absent(recorder, origin, owner, name)
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
        node = recorder.nodes("{k0}[{k1}]", (), (recorder.classes.proxy(Tensor), name))
        recorder.guard("{0} is {k0}", node, constants=(raw,))
    return raw


def _of_function(recorder: Recorder, owner: Any, origin: Origin, name: str) -> Read:
    value = recorder.guarded(getattr, owner, name)
    stored = recorder.stored.get((id(owner), name))
    if stored is not None:
        return value, stored
    if isinstance(origin, Born) and name in _NAMES:
        return value, CONSTANT
    node = recorder.as_node(origin, owner)
    if node is None or not (name in vars(owner) or name in _NAMES):
        recorder.refuse(f"{name} of a function")
        return value, None
    recorder.typed(origin, owner)
    return value, recorder.found(recorder.nodes(f"{{0}}.{name}", (node,)), value)
