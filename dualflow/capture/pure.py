"""`df.pure`: a function of which skipping a call is right.

Comes in: a function. Goes out: a `Pure`, which calls it; a recording that meets one makes the call,
a replay leaves it out.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any, final

from dualflow.ops import door

from . import (
    tables,
)
from .plans import Call, Plan
from .provenance import CONSTANT, SCALARS, Node, Origin


def by_name(made: Any) -> str | None:
    """The name under which its module holds `made`, as pickle needs it; None if it does not."""
    name = vars(made).get("__qualname__", "")
    found: Any = sys.modules.get(vars(made).get("__module__", ""))
    for part in name.split("."):
        found = getattr(found, part, None)
    return name if found is made else None


@final
class Pure:
    """A function of which skipping a call is right; made by `df.pure`."""

    __slots__ = ("__dict__", "__weakref__", "_fn")

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)
        self._fn = fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._fn(*args, **kwargs)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return by_name(self) or (Pure, (self._fn,))

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else types.MethodType(self, owner)


def pure(fn: Callable[..., Any]) -> Pure:
    """Declare that a compiled function may leave out calls of `fn`.

    A call that is left out returns what the recorded one returned.

    >>> import dualflow as df
    >>> shown = df.pure(print)
    """
    return Pure(fn)


def _skip(call: Call) -> Plan | None:
    """A call of a pure function: made now, left out by a replay."""
    f, recorder = call.function, call.recorder
    if isinstance(call.origin, Node):
        recorder.guard("{0} is {k0}", call.origin, constants=(f,))

    def run(*args: Any, **kwargs: Any) -> Any:
        mode, door.state.mode = door.state.mode, door.state.mode.eager  # type: ignore[attr-defined]
        try:
            return f._fn(*args, **kwargs)
        finally:
            door.state.mode = mode

    def finish(out: Any) -> Origin:
        if type(out) in SCALARS:
            return CONSTANT
        return recorder.read(recorder.nodes("{k0}[0]", (), ((out,),)), out)  # kept by the block

    return call.plan(finish, run)


tables.SPECIAL[Pure] = _skip
