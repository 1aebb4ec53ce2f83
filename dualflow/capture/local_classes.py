"""Classes made in the call: a replay takes the class that the recorded call made for its own.

Comes in: a class that a `class` statement, `namedtuple` or a decorator of classes has just made,
with the origins of what its body bound. Goes out: its origin. It may be used, but not leave the
call, nor may its instances: each call makes another.
"""

from __future__ import annotations

import abc
import collections
import dataclasses
import functools
import types
from typing import TYPE_CHECKING, Any

from . import tables
from .classes import special
from .known import values as known_values
from .provenance import CONSTANT, Born, Origin

if TYPE_CHECKING:
    from .operators import Operators
    from .plans import Call, Plan
    from .recorder import Recorder


def class_made(
    frame: Operators, made: type, parts: tuple[tuple[str, int], ...], pinned: tuple[int, ...]
) -> Origin:
    """The origin of a class; the slots of `parts` know what its body bound."""
    recorder = frame.recorder
    kinds = (type, abc.ABCMeta)
    plain = type(made) in kinds and all(type(base) in kinds for base in made.__bases__)
    if not plain or "__orig_bases__" in vars(made):
        recorder.refuse("a class that other code than Python's own makes")
        return None
    bases = made.__bases__
    origins = [frame.slots[number] for number in pinned]
    for base, origin in zip((*bases, type(made)), origins, strict=False):
        recorder.pin(origin, base)
        recorder.classes.guard_order(base)
    if any("__init_subclass__" in vars(cls) for cls in made.__mro__[1:-1]):
        recorder.refuse(f"the __init_subclass__ of a base of {made.__name__}")
    for name, number in parts:
        value, origin = vars(made).get(name), frame.slots[number]
        told = special(type(value), "__set_name__")
        if told is not None and told.__module__ not in ("functools", "dataclasses"):
            recorder.refuse(f"the __set_name__ of {name}")
        if hasattr(type(value), "__get__"):
            continue  # found in the class as it is
        recorder.stored[id(made), name] = frame.origin(number, value)
    return _born(recorder, made)


def _born(recorder: Recorder, made: type) -> Origin:
    recorder.classes.make(made)
    return recorder.born(made, "class")


def local(recorder: Recorder, kind: Any) -> bool:
    """Whether a class was made in the call."""
    return isinstance(recorder.known(kind), Born)


@tables.known(property, staticmethod, classmethod, functools.cached_property, abc.abstractmethod)
def _wrapped(call: Call) -> Plan | None:
    """A method is marked."""
    if len(call.args) != 1 or type(call.args[0]) is not types.FunctionType:
        call.refuse(f"{call.name} of something that is no function")
        return None
    return call.plan(lambda out: call.origins[0] if out is call.args[0] else CONSTANT)


@tables.known(collections.namedtuple)
def _named_tuple(call: Call) -> Plan | None:
    """A class of named tuples, which its arguments decide."""
    plan = known_values.plain(call)
    if plan is not None:
        plan.function = functools.partial(_in_module, call.frame.function.__globals__)
        plan.finish = lambda out: _decided(call, out)
    return plan


def _in_module(namespace: dict[str, Any], *args: Any, **kwargs: Any) -> type:
    """The class, of the module whose function makes it."""
    if kwargs.get("module") is None:
        kwargs = {**kwargs, "module": namespace.get("__name__", "__main__")}
    make: Any = collections.namedtuple
    return make(*args, **kwargs)


def _decided(call: Call, made: type) -> Origin:
    values, origins = (*call.args, *call.kwargs.values()), (*call.origins, *call.where.values())
    for value, origin in zip(values, origins, strict=True):
        known_values.pinned(call.recorder, origin, value)
    return _born(call.recorder, made)


@tables.known(dataclasses.dataclass, functools.total_ordering)
def _decorated(call: Call) -> Plan | None:
    """A decorator of classes from the library, or `dataclass` with options."""
    recorder = call.recorder
    if call.args:
        return _by_library(call)
    for name, value in call.kwargs.items():
        recorder.pin(call.where[name], value)
    return call.plan(lambda out: recorder.born(out, "opaque"))


def _by_library(call: Call) -> Plan | None:
    recorder, (cls, *rest) = call.recorder, call.args
    if rest or not local(recorder, cls):
        call.refuse(f"{call.name} of a class from outside")
        return None
    return call.plan(lambda out: _born(recorder, out))  # it may hold more now


tables.BY_CODE[id(dataclasses.dataclass(frozen=True).__code__)] = _by_library


@tables.known(dataclasses.field)
def _field(call: Call) -> Plan | None:
    """A field of a dataclass."""
    for name, value in call.kwargs.items():
        origin = call.recorder.origin(call.where[name], value)
        if not isinstance(origin, Born) or origin.kind != "function":
            call.recorder.pin(origin, value)
    return call.plan(lambda out: CONSTANT)
