"""Compiled generator functions and coroutines: each stretch between two stops is a compiled call.

Comes in: a call of one. Goes out: a generator, or a coroutine, as the function gives it, that runs
the stretches one by one (`stretches.py`); a function that cannot be entered in its middle runs as
it is, and each stretch of it is co-executed.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Generator
from importlib import import_module
from typing import TYPE_CHECKING, Any, final

from dualflow.array.eager import EagerMode
from dualflow.base import config
from dualflow.ops import door

from .coexecution.coexecute import coexecute
from .emit import MISS
from .reasons import Reason

if TYPE_CHECKING:
    from .compiled import CompiledFunction
    from .stretches import Stop

#: what a stop is for: a value goes out, an iterator is asked for, something else runs meanwhile
YIELD, ITERATE, DELEGATE = "yield", "iterate", "delegate"
_GENERATOR, _COROUTINE = 0x20, 0x80
_Running = Generator[Any, Any, Any]


def flags(fn: Any) -> int:
    """What kind of function it is; 0 of one that just runs."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    code = getattr(getattr(fn, "__func__", fn), "__code__", None)
    return code.co_flags & (_GENERATOR | _COROUTINE) if isinstance(code, types.CodeType) else 0


def mark(fn: Any, room: str, name: str) -> Any:
    """What a module marks functions by that give coroutines, if `fn` does and it is loaded."""
    return getattr(sys.modules.get(room), name, None) if flags(fn) & _COROUTINE else None


@final
class Resumed:
    """Calls of a compiled generator function or coroutine.

    Attributes:
        steps: what runs a stretch, for each stop where it may begin; none where there is no such
            function.
        last: the stop where the last stretch began.
    """

    __slots__ = ("_code", "_compiled", "_names", "_stops", "last", "steps")

    def __init__(self, compiled: CompiledFunction) -> None:
        self._compiled = compiled
        self._code: Any = None
        self._names: tuple[str, ...] = ()
        self._stops: tuple[Stop, ...] = ()
        self.steps: list[CompiledFunction] = []
        self.last = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        fn = self._compiled._fn
        kind = flags(fn)
        if not kind or type(door.state.mode) is not EagerMode or config.active().mode == "eager":
            return fn(*args, **kwargs) if kind else MISS
        if self._compiled._stop is None:
            self._prepare(fn)
        made: Any = fn(*args, **kwargs)  # or what Python says of the arguments
        running: Any
        if self.steps:
            inside = (made.gi_frame if kind == _GENERATOR else made.cr_frame).f_locals
            values = [inside.get(name) for name in self._names]
            running = self._in_stretches(values, kind)
        elif kind == _GENERATOR:
            running = _whole(self._stretch, made)
        else:
            running = _later(self._stretch, functools.partial(fn, *args, **kwargs))
        if kind == _COROUTINE:
            made.close()  # it would say that it was never awaited
            running = _awaited(running)
        running.__name__, running.__qualname__ = made.__name__, made.__qualname__
        return running

    def _prepare(self, fn: Any) -> None:
        """Find how to run the function, once."""
        function = getattr(fn, "__func__", fn)
        code = getattr(function, "__code__", None)
        if code is self._code:
            return
        self._code, self.steps = code, []
        if type(function) is not types.FunctionType:
            return
        room = import_module("dualflow.capture.stretches")  # few programs have such functions
        found = room.stretches(function)
        if found is not None:
            self._names, self._stops = found.names, found.stops
            self.steps = [self._compiled._part(found.step) for _ in (0, *found.stops)]

    def _stretch(self, resume: Callable[..., Any], given: Any) -> Any:
        """A stretch of a function that cannot be entered in its middle."""
        of = self._compiled
        if type(door.state.mode) is not EagerMode or config.active().mode == "eager":
            return resume(given)
        reason = of._stop = of._stop or Reason("it cannot be entered where it was left", None)
        eager, waits = not of._wait and reason.pieces.eagerly(), of._segments.stats.waits
        of._count("calls")
        of._count("eager_calls" if eager else "co_executions")
        of._last = ("eager" if eager else "co-execute", reason, None)
        if eager:
            out = resume(given)
        else:
            out = coexecute(of._segments, lambda: resume(given), wait=of._wait)
        if not of._wait:
            reason.pieces.note(eager, waited=of._segments.stats.waits > waits)
        return out

    def _in_stretches(self, values: list[Any], kind: int) -> _Running:
        """Run a function by its stretches; what it holds dies when it would."""
        steps, stops = self.steps, self._stops
        at, sent, error = 0, None, None
        while True:
            given = [at, sent, error, *values]
            sent = error = None
            values.clear()
            self.last = at
            try:
                at, *values = steps[at](given)
            except StopIteration as raised:
                name = "generator" if kind == _GENERATOR else "coroutine"
                raise RuntimeError(f"{name} raised StopIteration") from raised
            if not at:
                return values.pop()
            stop = stops[at - 1]
            try:
                if stop.kind == YIELD:
                    sent = yield values.pop()
                    continue
                if stop.called:
                    function, args, kwargs = values.pop()
                    values.append(function(*args, **kwargs))
                    del function, args, kwargs
                if stop.kind != DELEGATE:
                    sent = iter(values.pop())
                elif kind == _GENERATOR:
                    sent = yield from values.pop()
                else:
                    sent = yield from _await(values.pop())  # type: ignore[misc]
            except GeneratorExit as raised:
                if not stop.caught:
                    raise
                error = raised
            except BaseException as raised:
                error = raised


def _whole(stretch: Callable[..., Any], made: Any) -> _Running:
    """Run what cannot be entered in its middle, a stretch a call."""
    resume, given = made.send, None
    held = []
    while True:
        try:
            held.append(stretch(resume, given))
        except StopIteration as over:
            return over.value
        given = None
        try:
            resume, given = made.send, (yield held.pop())
        except BaseException as error:
            resume, given = made.throw, error


def _later(stretch: Callable[..., Any], make: Callable[[], Any]) -> _Running:
    """The same of a coroutine, which is made where it is awaited."""
    made = make()
    del make
    return (yield from _whole(stretch, made))


@types.coroutine
def _as_awaitable(running: _Running) -> _Running:
    return (yield from running)


async def _awaited(running: _Running) -> Any:
    return await _as_awaitable(running)


async def _result(awaited: Any) -> Any:
    return await awaited


@types.coroutine
def _await(awaited: Any) -> _Running:
    return (yield from _result(awaited))
