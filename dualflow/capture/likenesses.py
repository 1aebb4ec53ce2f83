"""Functions and instances like those that a recorded call made.

Comes in: an object made in the recorded call. Goes out: its form, and what makes another of it.
"""

from __future__ import annotations

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
