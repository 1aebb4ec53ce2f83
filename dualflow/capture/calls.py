"""Calls: what is called, and how its result is known.

Comes in: a callable with its arguments and their origins. Goes out: a `Plan`: what to call instead
(the instrumented twin of a Python function, or the thing itself), and how to find the origin of its
result. What is in no table refuses the recording, and is called as it is.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final
from weakref import ref

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base.source import inside_package

from . import chosen, construct, tables
from .classes import special
from .kinds import TYPES
from .known import functions as known
from .known import logging as known_logging
from .known import values as known_values
from .ndarrays import calls as numpy_calls
from .ndarrays import names as numpy_names
from .ndarrays import random as numpy_random
from .plans import Call, Plan
from .provenance import CONSTANT, TENSOR, Born, Node, Origin
from .recorder import Recorder
from .signatures import fits
from .subclasses import base_of
from .tables import Handler
from .twins import twin
from .values import is_value_class

if TYPE_CHECKING:
    from .operators import Operators

#: packages whose functions are called as they are: what they do to tensors passes the door
TRUSTED = (
    "dualflow.ops", "dualflow.array", "dualflow.autograd", "dualflow.base.dtypes",
    "dualflow.base.shapes",
)  # fmt: skip


#: where Python finds the name of a function that an error is about
_NAMES = ("__module__", "__qualname__")


@final
class Starred:
    """A hook, called with * or **: what Python says of these names the function called."""

    __slots__ = ("function", "given", "hook", "recorder")

    def __init__(
        self, function: Any, recorder: Recorder, hook: Callable[..., Any], given: tuple
    ) -> None:
        self.function, self.recorder = function, recorder
        self.hook, self.given = hook, given

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        self.recorder.merging -= 1
        return self.hook(*self.given, *args, **kwargs)

    def __str__(self) -> str:
        return str(self.function)

    def __getattribute__(self, name: str) -> Any:
        owner = object.__getattribute__(self, "function") if name in _NAMES else None
        return object.__getattribute__(self, name) if owner is None else getattr(owner, name)


def prepare(
    frame: Operators, sf: int, slots: tuple, f: Any, args: tuple, kwargs: dict[str, Any]
) -> Plan | None:
    """The plan of a call in the user's code; None if it cannot be followed. `slots` are those of
    its arguments, each with its kind (*, **, a name) unless all are plain."""
    recorder = frame.recorder
    origin = frame.origin(sf, f)
    origins: list[Origin] = []
    if not slots or type(slots[0]) is int:
        for slot, value in zip(slots, args, strict=True):
            found = frame.slots[slot]
            if found is None or (type(value) is Tensor and found is not TENSOR):
                found = frame.origin(slot, value)
            origins.append(found)
        call = Call(frame, f, origin, args, tuple(origins))
        return None if recorder.dead else find(call)
    where: dict[str, Origin] = {}
    position = 0
    for kind, slot in slots:
        if kind == "":
            origins.append(frame.origin(slot, args[position]))
            position += 1
        elif kind == "*":
            parts = frame.slots[slot]
            if not isinstance(parts, Born):
                break
            origins += parts.parts
            position += len(parts.parts)
        elif kind == "**":
            if not _double_starred(recorder, frame.slots[slot], kwargs, slots, where):
                return None
        else:
            where[kind] = frame.origin(slot, kwargs[kind])
    if recorder.dead or len(origins) != len(args) or where.keys() != kwargs.keys():
        recorder.refuse("a call with * or ** whose parts are not known")
        return None
    return find(Call(frame, f, origin, args, tuple(origins), kwargs, where))


def _double_starred(
    recorder: Recorder, origin: Origin, kwargs: dict, slots: tuple, where: dict[str, Origin]
) -> bool:
    named = {kind for kind, _ in slots if kind not in ("", "*", "**")}
    rest = [key for key in kwargs if key not in named]
    if isinstance(origin, Born) and origin.kind == "dict" and set(origin.parts) == set(rest):
        where.update(origin.parts)
        return True
    if isinstance(origin, Node) and sum(1 for kind, _ in slots if kind == "**") == 1:
        shadows = (s for s in recorder.lists.values() if getattr(s, "node", None) is origin)
        changed = next(shadows, None)
        before = tuple(rest) if changed is None else changed.held
        recorder.guard("type({0}) is dict and tuple({0}) == {k0}", origin,
                       constants=(recorder.const_tuple(before),))  # fmt: skip
        for key in rest:
            if changed is not None and key in changed.changed:  # by the call itself
                where[key] = changed.changed[key]
                continue
            where[key] = recorder.read(recorder.nodes("{0}[{k0}]", (origin,), (key,)), kwargs[key])
        return True
    recorder.refuse("a call with ** of something of unknown origin")
    return False


def invoke(
    frame: Operators,
    f: Any,
    origin: Origin,
    args: tuple[Any, ...],
    origins: tuple[Origin, ...],
    kwargs: dict[str, Any] | None = None,
    where: dict[str, Origin] | None = None,
) -> tuple[Any, Origin]:
    """Make a call in the place of code that would make it: the result and its origin."""
    recorder = frame.recorder
    plan = None if recorder.dead else find(Call(frame, f, origin, args, origins, kwargs, where))
    if plan is None:
        return f(*args, **kwargs or {}), None
    if plan.watched:
        recorder.alarm.open()
    try:
        out = plan.function(*plan.args, **plan.kwargs)
    finally:
        recorder.alarm.close()
    if recorder.dead:
        return out, None
    found = plan.finish(out)
    if found is None:
        found = recorder.origin(None, out)
    if found is None:
        recorder.refuse(f"the result of {plan.name}")
    return out, found


def find(call: Call) -> Plan | None:
    """How to make a call, by the kind of what is called."""
    f, origin, recorder = call.function, call.origin, call.recorder
    kind = type(f)
    if kind is types.FunctionType:
        if origin is CONSTANT and isinstance(made := recorder.known(f), Born):
            call.origin = origin = made  # of a class that was made in the call
        before = recorder.handlers.get(f)
        if before is not None and before[0] is origin:
            return before[1](call)
        if not numpy_names.owns(f):
            return _function(call)
    elif kind is types.MethodType and not numpy_random.is_generator(f.__self__):
        return _method(call)
    follow = tables.SPECIAL.get(kind)
    if follow is not None:  # df.compile, df.pure
        return follow(call)
    method = special(kind, "__call__")
    if method is not None and not issubclass(kind, type):  # before anything asks it something
        recorder.classes.guard_special(origin, f, "__call__")
        return find(call.of(method, CONSTANT, f, origin, bound=True))
    if numpy_random.is_generator(getattr(f, "__self__", None)):
        return chosen.plan(call) if chosen.chooses(call) else numpy_random.method(call)
    if kind is types.MethodType:
        return _method(call)
    plan = numpy_calls.find(call)
    if plan is not None:
        return plan
    if kind is types.FunctionType:
        return _function(call)
    if issubclass(kind, (types.BuiltinFunctionType, types.MethodWrapperType)) and not isinstance(
        f.__self__, (types.ModuleType, type, type(None))
    ):
        return _builtin_method(call)
    if kind is types.MethodWrapperType and f.__name__ == "__call__":  # a metaclass goes on to it
        return construct.by_type(call.of(f.__self__, CONSTANT))
    if isinstance(f, type):
        recorder.pin(origin, f)
        handler = tables.TABLE.get(f)
        if handler is None:
            return construct.plan(call)
        return _handled(handler, call, f)
    if kind is functools.partial:
        return _partial(call)
    if kind is ref:
        return _dereferenced(call)
    if is_value_class(kind) and kind.__module__ == "operator":
        return known_values.getter(call)
    try:
        handler = tables.TABLE.get(f)
    except TypeError:
        handler = None
    if handler is not None:
        if not isinstance(origin, Born):
            recorder.pin(origin, f)
        return _handled(handler, call, f)
    handler = tables.by_name(f) or known_values.handler(f)
    if handler is not None:
        recorder.pin(origin, f)
        return handler(call)
    call.refuse()
    return None


def _handled(handler: Handler, call: Call, function: Any) -> Plan | None:
    """The plan of a call that `function` takes, by its handler; None if that does not expect its
    arguments where they are."""
    if not fits(call, function):
        return None
    try:
        return handler(call)
    except (IndexError, KeyError, ValueError, RecursionError) as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is None or not inside_package(trace.tb_frame.f_code.co_filename):
            raise  # of what it asked of the user's objects
        call.refuse(f"a call of {call.name} with such arguments")
        return None


def _method(call: Call) -> Plan | None:
    f, origin, recorder = call.function, call.origin, call.recorder
    inner, owner = f.__func__, f.__self__
    if isinstance(origin, Born) and origin.kind == "method":
        inner_origin, owner_origin = origin.parts
    elif isinstance(origin, Node):
        recorder.typed(origin, f)
        inner_origin = recorder.read(recorder.nodes("{0}.__func__", (origin,)), inner)
        owner_origin = recorder.read(recorder.nodes("{0}.__self__", (origin,)), owner)
    else:
        inner_origin = CONSTANT
        owner_origin = recorder.read(recorder.constant(owner), owner)
    if owner_origin is None:
        owner_origin = recorder.origin(None, owner)
    return find(call.of(inner, inner_origin or CONSTANT, owner, owner_origin, bound=True))


def _builtin_method(call: Call) -> Plan | None:
    """A method of a list, dict, string... or of an iterator."""
    f, origin, recorder = call.function, call.origin, call.recorder
    owner = f.__self__
    if isinstance(origin, Born) and origin.kind == "method":
        owner_origin = recorder.origin(origin.parts[1], owner)
    elif isinstance(origin, Node):
        recorder.guard("type({0}) is {k0} and {0}.__name__ == {k1}", origin,
                       constants=(type(f), f.__name__))  # fmt: skip
        owner_origin = recorder.read(recorder.nodes("{0}.__self__", (origin,)), owner)
    else:
        call.refuse()
        return None
    if type(owner) in TYPES or isinstance(owner, np.ufunc):
        return numpy_calls.method(call, owner, owner_origin)
    if isinstance(owner, BaseException) and f.__name__ == "__init__":
        inner = call.of(f, CONSTANT, owner, owner_origin, bound=True)
        return construct.error_arguments(inner)
    if isinstance(owner, BaseException) and f.__name__ == "add_note":
        return construct.noted(call.of(f, CONSTANT, owner, owner_origin, bound=True))
    if f.__name__ == "__setattr__" and isinstance(f, types.MethodWrapperType):
        direct = call.of(object.__setattr__, CONSTANT, owner, owner_origin, bound=True)
        return direct.find()
    kind = type(owner)
    base = base_of(kind) or kind
    handler = tables.METHODS.get((base, f.__name__))
    handler = handler or tables.NAMED.get((kind.__module__, f"{kind.__name__}.{f.__name__}"))
    if handler is None and is_value_class(type(owner)):
        recorder.pin(owner_origin, owner)
        return known_values.method(call.of(f, CONSTANT, owner, owner_origin, bound=True))
    if handler is None:
        call.refuse(f"{type(owner).__name__}.{f.__name__}, which is in no table")
        return None
    recorder.typed(owner_origin, owner)
    inner = call.of(f, CONSTANT, owner, owner_origin, bound=True)
    return _handled(handler, inner, getattr(base, f.__name__))


def _dereferenced(call: Call) -> Plan | None:
    """A weak reference from outside, called."""
    recorder, node = call.recorder, call.recorder.as_node(call.origin, call.function)
    if node is None or call.args or call.kwargs:
        call.refuse()
        return None
    if recorder.dropped:
        recorder.stop("a weak reference, asked after something was dropped")
        return None
    recorder.typed(call.origin, call.function)
    return call.plan(lambda out: recorder.found(recorder.nodes("({0}())", (node,)), out))


def _partial(call: Call) -> Plan | None:
    f = call.function
    found = partial_parts(call.recorder, f, call.origin)
    if found is None:
        call.refuse("a functools.partial made in the call")
        return None
    inner_origin, before, named = found
    return find(
        Call(call.frame, f.func, inner_origin, (*f.args, *call.args), (*before, *call.origins),
             {**f.keywords, **call.kwargs}, {**named, **call.where})
    )  # fmt: skip


def partial_parts(
    recorder: Recorder, f: Any, origin: Origin
) -> tuple[Origin, list[Origin], dict[str, Origin]] | None:
    """The origins of the function, arguments and keywords of a partial; None if not known."""
    node = recorder.as_node(origin, f)
    if node is None:
        parts = origin.parts if isinstance(origin, Born) else None
        return parts if isinstance(parts, tuple) else None
    recorder.typed(origin, f)
    inner_origin = recorder.read(recorder.nodes("{0}.func", (node,)), f.func)
    args = recorder.nodes("{0}.args", (node,))
    before = [part for _, part in recorder.items(f.args, args)]
    keywords = recorder.nodes("{0}.keywords", (node,))
    names = recorder.const_tuple(tuple(f.keywords))
    recorder.guard("tuple({0}) == {k0}", keywords, constants=(names,))
    named = {
        key: recorder.read(recorder.nodes("{0}[{k0}]", (keywords,), (key,)), value)
        for key, value in f.keywords.items()
    }
    return inner_origin, before, named


# Python functions ---------------------------------------------------------------------------


def trusted(f: Any) -> bool:
    module = getattr(f, "__module__", None) or ""
    return module.startswith(TRUSTED)


def _function(call: Call) -> Plan | None:
    f, origin, recorder = call.function, call.origin, call.recorder
    handler = _handler(call)
    if handler is not twin:
        _same_function(recorder, origin, f)
    if f.__name__ != "_replace" and not recorder.dead and not numpy_names.owns(f):
        recorder.handlers[f] = origin, handler
        if type(handler) is functools.partial and not known.is_special(f):  # of dualflow's own
            recorder.twins[f] = known.Trusted(f, origin)
    return handler(call)


def _handler(call: Call) -> Handler:
    """What follows calls of a function written in Python."""
    f = call.function
    found = tables.TABLE.get(f) or tables.BY_CODE.get(id(f.__code__))
    if found is None and f.__name__ == "_replace" and construct.is_named_tuple(call.args[:1]):
        found = construct.replaced
    handler = found or known_logging.handler(f) or known_values.handler(f)
    if handler is not None:
        return lambda call: _handled(handler, call, f)
    return known.trusting(f) if trusted(f) else twin


def _same_function(recorder: Recorder, origin: Origin, f: Any) -> None:
    if isinstance(origin, Node):
        recorder.guard("{0} is {k0}", origin, constants=(f,))
