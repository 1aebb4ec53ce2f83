"""The tables of callables that a recording knows, by the callable, its type, or its code.

Comes in: handlers, which the rooms of `known/` enter. Goes out: the handler of a callable, which
makes a `Plan` of a `Call`. A callable that is in no table refuses the recording.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .plans import Call, Plan


Handler = Callable[["Call"], "Plan | None"]


TABLE: dict[Any, Handler] = {}


METHODS: dict[tuple[type, str], Handler] = {}


#: by the id of the code of an inner function of a library, which lives as long as that does
BY_CODE: dict[int, Handler] = {}


SPECIAL: dict[type, Handler] = {}


#: by module and name, of modules that few programs load
NAMED: dict[tuple[str, str], Handler] = {}


def known(*callables: Any) -> Callable[[Handler], Handler]:
    """Enter a handler for callables."""

    def enter(handler: Handler) -> Handler:
        for function in callables:
            TABLE[function] = handler
        return handler

    return enter


def named(module: str, *names: str) -> Callable[[Handler], Handler]:
    """Enter a handler for functions, or methods of classes, of a module that is not loaded yet."""

    def enter(handler: Handler) -> Handler:
        for name in names:
            NAMED[module, name] = handler
        return handler

    return enter


def by_name(function: Any) -> Handler | None:
    """The handler of a function that `named` has entered."""
    module, name = getattr(function, "__module__", None), getattr(function, "__name__", "")
    found = NAMED.get((module, name)) if type(module) is str else None  # type: ignore[arg-type]
    return found if found and getattr(sys.modules.get(module), name, None) is function else None  # type: ignore[arg-type]


def methods(kind: type, *names: str) -> Callable[[Handler], Handler]:
    """Enter a handler for methods of a built-in type; the object is the first argument."""

    def enter(handler: Handler) -> Handler:
        for name in names:
            METHODS[kind, name] = handler
        return handler

    return enter
