"""A call with the origins of everything in it, and the plan of how to make it.

Comes in: what `calls.py` found at a call. Goes out: to handlers, a `Call`; from them, a `Plan`.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, final

from .provenance import Origin

if TYPE_CHECKING:
    from .operators import Operators


Finish = Callable[[Any], Origin]


@final
class Plan:
    """How to make a call. Once there is one it is followed, even if the recording was refused: it
    may have asked iterators already.

    Attributes:
        watched: whether it is C code that may call Python.
    """

    __slots__ = ("args", "call", "finish", "function", "kwargs", "watched")

    def __init__(self, function: Any, call: Call, finish: Finish, watched: bool = False) -> None:
        self.function, self.call, self.finish, self.watched = function, call, finish, watched
        self.args, self.kwargs = call.args, call.kwargs

    @property
    def name(self) -> str:
        """Of what is called, for readers."""
        return self.call.name


@final
class Ready:
    """The plan of a call like one before, with plain arguments."""

    __slots__ = ("args", "finish", "function", "name")
    kwargs: ClassVar[dict[str, Any]] = {}
    watched = False

    def __init__(self, function: Any, args: tuple[Any, ...], finish: Finish, name: str) -> None:
        self.function, self.args, self.finish, self.name = function, args, finish, name


@final
class Call:
    """A call with the origins of everything in it."""

    __slots__ = ("args", "frame", "function", "kwargs", "origin", "origins", "recorder", "where")

    def __init__(
        self,
        frame: Operators,
        function: Any,
        origin: Origin,
        args: tuple[Any, ...],
        origins: tuple[Origin, ...],
        kwargs: dict[str, Any] | None = None,
        where: dict[str, Origin] | None = None,
    ) -> None:
        self.frame, self.recorder = frame, frame.recorder
        self.function, self.origin = function, origin
        self.args, self.origins = tuple(args), tuple(origins)
        self.kwargs, self.where = kwargs or {}, where or {}

    def of(self, function: Any, origin: Origin, before: Any = None, before_origin: Origin = None,
           bound: bool = False) -> Call:  # fmt: skip
        """The same arguments to something else, behind a first one if `bound`."""
        args, origins = self.args, self.origins
        if bound:
            args, origins = (before, *args), (before_origin, *origins)
        return Call(self.frame, function, origin, args, origins, self.kwargs, self.where)

    def only(self, count: int) -> Call:
        """The first arguments alone."""
        args, origins = self.args[:count], self.origins[:count]
        return Call(self.frame, self.function, self.origin, args, origins)

    @property
    def name(self) -> str:
        return getattr(self.function, "__qualname__", None) or type(self.function).__name__

    def plan(self, finish: Finish, function: Any = None) -> Plan:
        """Call the thing itself, or `function`."""
        if function is not None:
            return Plan(function, self, finish)
        watched = type(self.function) is types.BuiltinFunctionType
        return Plan(self.function, self, finish, watched)

    def find(self) -> Plan | None:
        """How to make the call."""
        return self.frame.find(self)

    def refuse(self, why: str = "") -> None:
        self.recorder.refuse(why or f"a call of {self.name}, which is in no table")
