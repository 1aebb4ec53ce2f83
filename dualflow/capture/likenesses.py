"""Functions and instances like those that a recorded call made.

Comes in: an object made in the recorded call. Goes out: its form, and what makes another of it.
"""

from __future__ import annotations

import dataclasses
import types
from typing import Any, NamedTuple


class Form(NamedTuple):
    """What functions made by one `def` or `lambda` have in common."""

    code: types.CodeType
    namespace: dict[str, Any]
    name: str
    qualname: str
    module: Any
    doc: Any
    notes: dict[str, Any]


def form_of(function: Any) -> Form:
    return Form(function.__code__, function.__globals__, function.__name__, function.__qualname__,
                function.__module__, function.__doc__, dict(function.__annotations__))  # fmt: skip


def function_like(form: Form, defaults: tuple, keywords: dict | None, cells: tuple) -> Any:
    """A function with such defaults and cells."""
    made = types.FunctionType(form.code, form.namespace, form.name, defaults or None, cells)
    made.__kwdefaults__ = keywords
    made.__qualname__, made.__module__, made.__doc__ = form.qualname, form.module, form.doc
    if form.notes:
        made.__annotations__ = dict(form.notes)
    return made


def slots_of(kind: type) -> dict[str, Any]:
    """The slots of a class written in Python, by name."""
    found: dict[str, Any] = {}
    for cls in reversed(kind.__mro__):
        for name, member in vars(cls).items():
            if type(member) is types.MemberDescriptorType and name != "__dict__":
                found[name] = member
    return found


def attributes_of(value: Any) -> dict[str, Any]:
    """The attributes of an instance, in its `__dict__` and in slots."""
    slots = {n: getattr(value, n) for n in slots_of(type(value)) if hasattr(value, n)}
    return slots | getattr(value, "__dict__", {})


def sets_plainly(cls: Any) -> bool:
    """Whether `__init__` of a dataclass stores as `object` does."""
    found = cls.__setattr__
    frozen = cls.__dataclass_params__.frozen and found.__code__.co_filename == "<string>"
    return found is object.__setattr__ or frozen


def fields_of(value: Any) -> tuple[str, ...]:
    """The names of the fields of a dataclass's instance that its fields alone make: no code of the
    program runs where it is put together; none for anything else."""
    cls = type(value)
    if not hasattr(cls, "__dataclass_fields__") or hasattr(cls, "__post_init__"):
        return ()
    generated = getattr(getattr(cls.__init__, "__code__", None), "co_filename", "") == "<string>"
    plain = generated and cls.__new__ is object.__new__ and sets_plainly(cls)
    fields = dataclasses.fields(cls)
    names = tuple(field.name for field in fields if field.init)
    whole = len(names) == len(fields) and attributes_of(value).keys() == set(names)
    return names if plain and whole else ()
