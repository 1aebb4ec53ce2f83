"""Objects made in the call: instances of classes written in Python, named tuples, errors.

Comes in: a call of a class. Goes out: a plan that makes the object, runs the instrumented
`__init__`, and knows the origin of every attribute.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from typing import TYPE_CHECKING, Any

from dualflow.autograd.grad_mode import GradMode

from .attributes import built_in
from .provenance import CONSTANT, SCALARS, Born, Origin

if TYPE_CHECKING:
    from .calls import Call, Plan
    from .recorder import Recorder


def plan(call: Call) -> Plan | None:
    """How to make an instance of the class `call.function`."""
    cls, recorder = call.function, call.recorder
    if issubclass(cls, GradMode) and not call.args:
        return call.plan(lambda out: recorder.born(out, "opaque"))
    if issubclass(cls, BaseException):
        return _error(call)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _named_tuple(call)
    plain = type(cls) is type and cls.__new__ is object.__new__ and cls.__flags__ & (1 << 9)
    if not plain or "__del__" in dir(cls) or not hasattr(cls, "__dict__"):
        call.refuse(f"an instance of {cls.__name__} is made")
        return None
    init = cls.__init__
    recorder.guard_special(CONSTANT, None, "__init__", cls)
    if init is object.__init__:
        return call.plan(lambda out: recorder.born(out, "instance", {}))
    if not isinstance(init, types.FunctionType):
        call.refuse(f"an instance of {cls.__name__} is made")
        return None
    if dataclasses.is_dataclass(cls) and init.__code__.co_filename == "<string>":
        return _dataclass(call)
    return _instance(call, init)


def _instance(call: Call, init: Any) -> Plan | None:
    cls, recorder, frame = call.function, call.recorder, call.frame
    if call.kwargs:
        return _with_keywords(call, init)

    def make(*args: Any) -> Any:
        made = object.__new__(cls)
        origin = recorder.born(made, "instance", {})
        frame.invoke(init, CONSTANT, (made, *args), (origin, *call.origins))
        return made

    return call.plan(recorder.known, make)


def _with_keywords(call: Call, init: Any) -> Plan | None:
    cls, recorder = call.function, call.recorder

    def make(*args: Any, **kwargs: Any) -> Any:
        made = object.__new__(cls)
        origin = recorder.born(made, "instance", {})
        inner = call.of(init, CONSTANT, made, origin, bound=True).find()
        if inner is None:
            init(made, *args, **kwargs)
        else:
            inner.function(*inner.args, **inner.kwargs)
        return made

    return call.plan(recorder.known, make)


def _dataclass(call: Call) -> Plan | None:
    cls, recorder = call.function, call.recorder
    if hasattr(cls, "__post_init__") or cls.__setattr__ is not object.__setattr__:
        call.refuse(f"an instance of {cls.__name__}, a dataclass that does more, is made")
        return None
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    given: dict[str, Origin] = dict(zip(names, call.origins, strict=False)) | call.where
    for field in dataclasses.fields(cls):
        if field.name in given:
            continue
        if type(field.default) not in SCALARS or "__dict__" not in dir(cls):
            call.refuse(f"the default {field.name} of the dataclass {cls.__name__}")
            return None
        given[field.name] = CONSTANT
    return call.plan(lambda out: recorder.born(out, "instance", given))


def _named_tuple(call: Call) -> Plan | None:
    cls, recorder = call.function, call.recorder
    given: dict[str, Origin] = dict(zip(cls._fields, call.origins, strict=False)) | call.where
    defaults = cls._field_defaults
    for name in cls._fields:
        if name in given:
            continue
        if name not in defaults or type(defaults[name]) not in SCALARS:
            call.refuse(f"the default {name} of {cls.__name__}")
            return None
        given[name] = CONSTANT
    parts = [given[name] for name in cls._fields]
    return call.plan(lambda out: recorder.born(out, "tuple", parts))


def is_named_tuple(args: tuple[Any, ...]) -> bool:
    return bool(args) and isinstance(args[0], tuple) and hasattr(type(args[0]), "_fields")


def replaced(call: Call) -> Plan | None:
    """`named._replace(field=value)`."""
    recorder = call.recorder
    owner = call.args[0]
    parts = [part for _, part in recorder.items(owner, call.origins[0])]
    if recorder.dead or call.function is not getattr(type(owner), "_replace", None):
        call.refuse()
        return None
    for name, origin in call.where.items():
        if name in owner._fields:
            parts[owner._fields.index(name)] = origin
    return call.plan(lambda out: recorder.born(out, "tuple", parts))


def _error(call: Call) -> Plan | None:
    cls, recorder = call.function, call.recorder
    if cls.__init__ is not BaseException.__init__ and isinstance(cls.__init__, types.FunctionType):
        call.refuse(f"an instance of {cls.__name__} is made")
        return None
    constant = all(origin is CONSTANT for origin in call.origins) and not call.kwargs
    return call.plan(lambda out: recorder.born(out, "error", "constant" if constant else None))


def plain_text(recorder: Recorder, value: Any) -> bool:
    """Whether the text of a constant is made by Python and its library alone; guarded."""
    if type(value) is tuple:
        return all(plain_text(recorder, part) for part in value)
    if isinstance(value, enum.Enum) and type(value.value) not in SCALARS:
        return False
    return built_in(recorder, value, "__str__", "__repr__", "__format__")


def text_of(args: tuple[Any, ...], origins: tuple[Origin, ...]) -> str | None:
    """The text of the only argument, an error, where that is a constant; None if it is not."""
    if len(args) != 1 or not isinstance(args[0], BaseException):
        return None
    (value,), (origin,) = args, origins
    plain = all(type(part) in SCALARS for part in value.args)
    made_here = isinstance(origin, Born) and origin.kind == "error" and origin.parts == "constant"
    if made_here and plain and type(value).__str__ is BaseException.__str__:
        return str(value)
    return None
