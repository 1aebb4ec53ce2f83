"""Objects made in the call: instances of classes written in Python, named tuples, errors.

Comes in: a call of a class. Goes out: a plan that makes the object, runs the instrumented
`__init__`, and knows the origin of every attribute.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dualflow.autograd.grad_mode import GradMode

from . import subclasses
from .classes import lookup, special
from .kinds import FIXED
from .known import values as known_values
from .likenesses import sets_plainly, slots_of
from .provenance import CONSTANT, SCALARS, Born, Origin
from .tables import TABLE
from .values import is_value_class

if TYPE_CHECKING:
    from .plans import Call, Plan

#: the class of what a dataclass has in the place of a default that a factory makes
_FACTORY = getattr(dataclasses, "_HAS_DEFAULT_FACTORY_CLASS", None)

#: what enumerations of the library do for a value that no member has
_MISSED = (vars(enum.Enum)["_missing_"], vars(enum.Flag)["_missing_"])


def plan(call: Call) -> Plan | None:
    """How to make an instance of the class `call.function`."""
    cls, recorder = call.function, call.recorder
    made = special(type(cls), "__call__")
    if made is not None and not isinstance(cls, enum.EnumMeta):  # the metaclass makes it
        recorder.classes.guard_special(CONSTANT, cls, "__call__")
        return call.of(made, CONSTANT, cls, CONSTANT, bound=True).find()
    return by_type(call)


def by_type(call: Call) -> Plan | None:
    """How `type.__call__` makes an instance."""
    cls, recorder = call.function, call.recorder
    if issubclass(cls, GradMode) and not call.args:
        return call.plan(lambda out: recorder.born(out, "opaque"))
    if issubclass(cls, BaseException):
        return _error(call)
    if isinstance(cls, enum.EnumMeta):
        return _member(call)
    if is_value_class(cls):
        return known_values.made(call)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _named_tuple(call)
    if subclasses.base_of(cls) is not None:
        return subclasses.made(call)
    if type(cls.__new__) is types.FunctionType and cls.__flags__ & (1 << 9):
        return _by_its_new(call)
    if cls.__new__ is not object.__new__ or not _plain(cls):
        call.refuse(f"an instance of {cls.__name__} is made")
        return None
    init = cls.__init__
    recorder.guard("{k0}.__new__ is {k1}", constants=(cls, cls.__new__))
    recorder.classes.guard_special(CONSTANT, None, "__init__", cls)
    if init is object.__init__:
        return call.plan(lambda out: recorder.born(out, "instance", {}))
    if not isinstance(init, types.FunctionType):
        call.refuse(f"an instance of {cls.__name__} is made")
        return None
    if dataclasses.is_dataclass(cls) and init.__code__.co_filename == "<string>":
        return _dataclass(call)
    return _instance(call, init)


def _plain(cls: type) -> bool:
    """Whether `object.__new__` makes instances of a class, whose death nobody sees."""
    heap = cls.__flags__ & (1 << 9) and not getattr(cls, "__abstractmethods__", ())
    return bool(heap) and "__del__" not in dir(cls)


def bare(call: Call) -> Plan | None:
    """`object.__new__(cls)`, also through `super()`."""
    recorder, cls = call.recorder, call.args[0] if call.args else None
    plain = isinstance(cls, type) and len(call.args) == 1 and not call.kwargs and _plain(cls)
    if not plain or issubclass(cls, BaseException):  # type: ignore[arg-type]
        call.refuse()
        return None
    recorder.pin(call.origins[0], cls)
    return call.plan(lambda out: recorder.born(out, "instance", {}))


TABLE[object.__new__] = bare


def _by_its_new(call: Call) -> Plan | None:
    """An instance that a `__new__` written in Python makes, or finds."""
    cls, recorder, frame = call.function, call.recorder, call.frame
    if special(type(cls), "__getattribute__") is not None:
        call.refuse(f"an instance of {cls.__name__} is made")
        return None
    recorder.classes.guard_special(CONSTANT, None, "__new__", cls)
    found: list[Origin] = [CONSTANT]

    def make(*args: Any, **kwargs: Any) -> Any:
        given = call.origins
        made, origin = frame.invoke(
            cls.__new__, CONSTANT, (cls, *args), (CONSTANT, *given), kwargs, call.where
        )
        found[0] = origin
        kind = type(made)
        if cls not in kind.__mro__:
            return made
        recorder.typed(origin, made)
        recorder.classes.guard_special(origin, made, "__init__")
        init = special(kind, "__init__")
        if init is not None:
            out, told = frame.invoke(
                init, CONSTANT, (made, *args), (origin, *given), kwargs, call.where
            )
            recorder.pin(told, out)
            if out is not None:
                raise TypeError(f"__init__() should return None, not {type(out).__name__!r}")
        elif lookup(kind, "__init__")[1] is not object.__init__:
            recorder.refuse(f"an instance of {cls.__name__} is made")
            kind.__init__(made, *args, **kwargs)
        return made

    return call.plan(lambda out: found[0], make)


def _member(call: Call) -> Plan | None:
    """The member of an enumeration that has a value."""
    cls: Any = call.function
    recorder = call.recorder
    plain = len(call.args) == 1 and not call.kwargs and type(call.args[0]) in SCALARS
    own = lookup(cls, "_missing_")[1] in _MISSED
    if not plain or not own or type(call.function) is not enum.EnumMeta:
        call.refuse(f"a member of {cls.__name__} is looked up")
        return None
    recorder.classes.find(cls, "_missing_")
    return call.plan(
        lambda out: recorder.pin(call.origins[0], call.args[0]) or CONSTANT,
        lambda value: recorder.certain(cls, (value,), call.origins),
    )


def _instance(call: Call, init: Any) -> Plan | None:
    cls, recorder, frame = call.function, call.recorder, call.frame
    if call.kwargs:
        return _with_keywords(call, init, lambda cls, *_, **__: object.__new__(cls), "instance", {})

    def make(*args: Any) -> Any:
        made = object.__new__(cls)
        origin = recorder.born(made, "instance", {})
        out, found = frame.invoke(init, CONSTANT, (made, *args), (origin, *call.origins))
        recorder.typed(found, out)
        if out is not None:
            recorder.refuse(f"__init__ of {cls.__name__}, which returns something")
            raise TypeError(f"__init__() should return None, not {type(out).__name__!r}")
        return made

    return call.plan(recorder.known, make)


def _with_keywords(
    call: Call, init: Any, new: Callable[..., Any], kind: str, parts: dict[str, Any]
) -> Plan | None:
    """The instance that `new` makes, of a kind and with parts known at birth; `init` is followed
    where it can be."""
    cls, recorder = call.function, call.recorder

    def make(*args: Any, **kwargs: Any) -> Any:
        made = new(cls, *args, **kwargs)
        origin = recorder.born(made, kind, parts)
        inner = call.of(init, CONSTANT, made, origin, bound=True).find()
        if inner is None:
            init(made, *args, **kwargs)
        else:
            inner.function(*inner.args, **inner.kwargs)
        return made

    return call.plan(recorder.known, make)


def _dataclass(call: Call) -> Plan | None:
    """A dataclass is made field by field, as the generated `__init__` does it."""
    cls, recorder, frame = call.function, call.recorder, call.frame
    if not sets_plainly(cls):
        call.refuse(f"an instance of {cls.__name__}, a dataclass that stores otherwise, is made")
        return None
    given = _arguments(call, cls.__init__)
    if given is None:
        return None
    fields, slots = dataclasses.fields(cls), slots_of(cls)
    if not set(given) <= {field.name for field in fields}:
        call.refuse(f"arguments of the dataclass {cls.__name__} that are no fields")
        return None
    after = special(cls, "__post_init__")
    if after is not None:
        recorder.classes.guard_special(CONSTANT, None, "__post_init__", cls)
    elif hasattr(cls, "__post_init__"):
        call.refuse(f"the __post_init__ of {cls.__name__}")
        return None

    def make(*args: Any, **kwargs: Any) -> Any:
        made = object.__new__(cls)
        parts: dict[str, Origin] = {}
        origin = recorder.born(made, "instance", parts)
        for field in fields:
            if field.name in given:
                value, part = given[field.name]
            elif field.default_factory is not dataclasses.MISSING:
                value, part = frame.invoke(field.default_factory, CONSTANT, (), ())
            elif field.name in slots and field.default is not dataclasses.MISSING:
                value, part = field.default, CONSTANT
                if type(value) not in SCALARS:
                    recorder.refuse(f"the default {field.name} of {cls.__name__}")
            else:
                continue
            object.__setattr__(made, field.name, value)
            parts[field.name] = part
        if after is not None:
            frame.invoke(after, CONSTANT, (made,), (origin,))
        return made

    return call.plan(recorder.known, make)


def _arguments(call: Call, made: types.FunctionType) -> dict[str, tuple[Any, Origin]] | None:
    """The arguments of a generated function and their origins, by name, behind its first one;
    without those that a factory makes."""
    recorder, code, cls = call.recorder, made.__code__, call.function
    names = code.co_varnames[1 : code.co_argcount]
    only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    given = dict(zip(names, zip(call.args, call.origins, strict=True), strict=False))
    given |= {name: (value, call.where[name]) for name, value in call.kwargs.items()}
    if len(call.args) > len(names) or not set(given) <= {*names, *only}:
        call.refuse(f"{cls.__name__} made of other arguments than it takes")
        return None
    defaults = made.__defaults__ or ()
    values = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    values |= made.__kwdefaults__ or {}
    for name in (*names, *only):
        if name in given or getattr(values.get(name), "__class__", None) is _FACTORY:
            continue
        value = values.get(name, call)
        if not (type(value) in SCALARS or isinstance(value, FIXED) or value == ()):
            call.refuse(f"the default {name} of {cls.__name__}")
            return None
        given[name] = value, CONSTANT
    for field in ("__defaults__", "__kwdefaults__"):
        value = getattr(made, field)
        text = f"{{k0}}.{field} is {{k1}}" if value is None else f"{{k0}}.{field} == {{k1}}"
        recorder.guard(text, constants=(made, value))
    return given


def _named_tuple(call: Call) -> Plan | None:
    cls, recorder = call.function, call.recorder
    new = cls.__new__
    generated = new.__globals__.get("__name__", "") if isinstance(new, types.FunctionType) else ""
    if not generated.startswith("namedtuple_") or isinstance(cls.__init__, types.FunctionType):
        call.refuse(f"an instance of {cls.__name__}, a named tuple that does more, is made")
        return None
    recorder.classes.guard_special(CONSTANT, None, "__new__", cls)
    recorder.classes.guard_special(CONSTANT, None, "__init__", cls)
    given = _arguments(call, new)
    if given is None:
        return None
    parts = [given[name][1] for name in cls._fields]
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
    init, new = cls.__init__, cls.__new__
    if isinstance(new, types.FunctionType) or (call.kwargs and not _follows_init(cls)):
        call.refuse(f"an instance of {cls.__name__} is made")
        return None
    if isinstance(init, types.FunctionType):
        if not _follows_init(cls):
            call.refuse(f"an instance of {cls.__name__} is made")
            return None
        recorder.classes.guard_special(CONSTANT, None, "__new__", cls)
        recorder.classes.guard_special(CONSTANT, None, "__init__", cls)
        return _with_keywords(call, init, new, "error", {"args": list(call.origins)})
    if all(origin is CONSTANT for origin in call.origins):
        return call.plan(lambda out: recorder.born(out, "error", "constant"))
    parts = {"args": list(call.origins)}
    return call.plan(lambda out: recorder.born(out, "error", parts))


def _follows_init(cls: Any) -> bool:
    """Whether errors of the class hold what they are given and what their `__init__` stores."""
    more = (OSError, ImportError, SyntaxError, UnicodeError, StopIteration, SystemExit, NameError,
            AttributeError, BaseExceptionGroup)  # fmt: skip
    return isinstance(cls.__init__, types.FunctionType) and not issubclass(cls, more)


def error_arguments(call: Call) -> Plan | None:
    """`super().__init__(...)` in an error's `__init__`."""
    origin = call.origins[0]
    if call.kwargs or not isinstance(origin, Born) or type(origin.parts) is not dict:
        call.refuse()
        return None
    origin.parts["args"] = list(call.origins[1:])
    f = call.function
    return call.plan(lambda out: CONSTANT, lambda owner, *args: f(*args))


def noted(call: Call) -> Plan | None:
    """`error.add_note(text)`."""
    recorder, (owner, *given), origin = call.recorder, call.args, call.origins[0]
    if call.kwargs or len(given) != 1 or type(given[0]) is not str or not isinstance(origin, Born):
        call.refuse()
        return None
    recorder.pin(call.origins[1], given[0])
    if origin.parts == "constant":
        origin.parts = {"args": [CONSTANT] * len(owner.args)}
    f = call.function

    def finish(out: Any) -> Origin:
        notes = owner.__notes__
        origin.parts["__notes__"] = recorder.born(notes, "list", [CONSTANT] * len(notes))
        return CONSTANT

    return call.plan(finish, lambda _, text: f(text))
