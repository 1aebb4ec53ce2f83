"""Python functions that a recorded call reaches: their instrumented copies.

Comes in: a call of a function written in Python. Goes out: the plan of a call of its twin, whose
frame knows where parameters and cells came from; guards that the function is still this one.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, final
from weakref import ref

from dualflow.array.tensor import Tensor
from dualflow.base.source import inside_package, user_line

from .copies import instrumented
from .instrument import Copy
from .locate import NoSource
from .plans import Call, Plan
from .provenance import CONSTANT, TENSOR, Born, Origin
from .slots import FRAME, Refused

if TYPE_CHECKING:
    from .operators import Operators
    from .recorder import Recorder


def twin(call: Call, ends: bool = False) -> Plan | None:
    """Call the instrumented copy of a Python function; `ends`: see `instrumented`."""
    f, recorder = call.function, call.recorder
    closes = False
    try:
        try:
            made = instrumented(f.__code__, f.__globals__, ends)
        except Refused:
            closes = bool(f.__code__.co_flags & 0x20)
            if not closes:
                raise
            made = instrumented(f.__code__, f.__globals__, True)
    except (Refused, NoSource) as reason:
        call.refuse(f"{f.__qualname__} runs as it is: {reason}")
        return None
    frame = call.frame.below(f, made.count, made.slots)
    if not _guard_function(call) or not _bind(call, frame):
        return None
    cells = _cells(call, frame)
    copy = _copy(f, made, cells, frame)
    if f.__kwdefaults__:
        copy.__kwdefaults__ = f.__kwdefaults__
    if not isinstance(call.origin, Born) and not f.__code__.co_flags & (4 | 8 | 0x20):
        recorder.twins[f] = Twin(f, call.origin, made, cells, frame.cells)

    def finish(out: Any) -> Origin:
        if type(out) is types.GeneratorType and f.__code__.co_flags & 0x20:
            running = Running(out, lambda _: frame.innermost().result, closes, frame)
            return recorder.born_weakly(out, "iterator", running)
        return frame.result

    return Plan(_within(recorder, f, copy), call, finish)


def _copy(f: Any, made: Copy, cells: dict[str, Any], frame: Operators) -> types.FunctionType:
    """The instrumented copy of `f`, for one call."""
    cells[FRAME] = types.CellType(frame)
    copy = types.FunctionType(
        made.code, f.__globals__, f.__name__, f.__defaults__,
        tuple([cells[name] for name in made.code.co_freevars]),
    )  # fmt: skip
    copy.__qualname__, copy.__module__ = f.__qualname__, f.__module__
    return copy


def _within(recorder: Recorder, f: Any, copy: Any) -> Any:
    """The copy of `f`, so called that operations of functions of dualflow are on the user's line
    that called them, and those of the user's, called by them, on their own."""
    own = inside_package(f.__code__.co_filename)
    if own is (recorder.line is not None) or recorder.root is None:
        return copy
    return partial(recorder.lined, user_line() if own else None, copy)


@final
class Twin:
    """What is known of a function from one call for others that give plain arguments."""

    __slots__ = (
        "cells", "code", "count", "free", "function", "known", "made", "origin", "parameters"
    )  # fmt: skip

    def __init__(
        self, f: Any, origin: Origin, made: Copy, cells: dict[str, Any], known: dict[str, Any]
    ) -> None:
        self.function, self.origin, self.made, self.cells = f, origin, made, cells
        self.known = dict(known)
        #: frames and copies of calls that are over, where nothing else may hold them
        self.free: list[tuple[Any, Any]] | None = [] if made.alone else None
        self.code = code = f.__code__
        self.count = -1 if code.co_kwonlyargcount else code.co_argcount
        self.parameters = [made.slots[name] for name in code.co_varnames[: code.co_argcount]]

    def takes(self, origin: Origin, slots: tuple[Any, ...], count: int) -> bool:
        """Whether a call with so many arguments of what is known as `origin` is one."""
        return (
            count == self.count
            and origin is self.origin
            and self.function.__code__ is self.code
            and (not slots or type(slots[0]) is int)
        )

    def plan(
        self,
        frame: Operators,
        slots: tuple[int, ...],
        args: tuple[Any, ...],
        owner: tuple[Any, ...] = (),
        origin: Origin = None,
    ) -> Entered | None:
        """The plan of such a call, of a method of `owner`, known as `origin`, if there is one; None
        if an argument is not known."""
        known, made = frame.slots, self.made
        if self.free:
            below, copy = self.free.pop()
            there: list[Origin] = [None] * made.count
            below.slots = there
            there[0] = CONSTANT
        else:
            below = frame.below(self.function, made.count, made.slots)
            below.cells = dict(self.known) if self.code.co_cellvars else self.known
            copy = _copy(self.function, made, self.cells, below)
            there = below.slots
        parameters = self.parameters
        if owner:
            there[parameters[0]], parameters = origin, parameters[1:]
        for parameter, slot, value in zip(parameters, slots, args, strict=True):
            found = known[slot]
            if found is None or (type(value) is Tensor and found is not TENSOR):
                found = frame.origin(slot, value)
            there[parameter] = found
        if frame.recorder.dead:
            return None
        run = _within(frame.recorder, self.function, copy)
        return Entered(run, owner + args, below, copy, self.free)


@final
class Entered:
    """The plan of a call of a twin."""

    __slots__ = ("_copy", "_free", "args", "frame", "function")
    kwargs: ClassVar[dict[str, Any]] = {}
    watched = False

    def __init__(
        self, function: Any, args: tuple[Any, ...], frame: Operators, copy: Any, free: list | None
    ) -> None:
        self.function, self.args, self.frame = function, args, frame
        self._copy, self._free = copy, free

    @property
    def name(self) -> str:
        """Of what is called, for readers."""
        return self._copy.__qualname__

    def finish(self, out: Any) -> Origin:
        """The origin of what it gave."""
        frame = self.frame
        origin = frame.result
        if self._free is not None:
            frame.result = CONSTANT
            frame.open.clear()
            self._free.append((frame, self._copy))
        return origin


@final
class Running:
    """What knows the items of a generator that runs, of which it does not keep the generator alive.

    Attributes:
        frame: of the generator; None of a generator expression.
        closes: whether it is visible when the generator dies.
    """

    __slots__ = ("_lined", "closes", "frame", "source")

    def __init__(
        self, generator: Any, last: Callable[[Any], Origin], closes: bool, frame: Any = None
    ) -> None:
        self.frame, self.closes = frame, closes
        self._lined = _called if frame is None else partial(frame.recorder.lined, None)
        self.source = self._follow(ref(generator), last)

    def __call__(self) -> Iterator[tuple[Any, Origin]]:
        return self.source

    def _follow(
        self, held: Callable[[], Any], last: Callable[[Any], Origin]
    ) -> Generator[tuple[Any, Origin], None, Any]:
        while (generator := held()) is not None:
            try:
                item = self._lined(next, generator)
            except StopIteration as over:
                return over.value
            del generator
            yield item, last(item)
        return None


def _called(function: Any, *args: Any) -> Any:
    return function(*args)


def closing(origin: Origin) -> bool:
    """Whether the origin is that of a generator whose death is visible."""
    parts = origin.parts if isinstance(origin, Born) else None
    return isinstance(parts, Running) and parts.closes


def _guard_function(call: Call) -> bool:
    """Guard that the function is still this code in this module."""
    f, recorder, origin = call.function, call.recorder, call.origin
    if isinstance(origin, Born):
        return True
    if recorder.followed.get(id(f)) == (origin, f.__code__):
        return True
    node = recorder.as_node(origin, f)
    if node is None:
        call.refuse(f"a function of unknown origin, {f.__qualname__}")
        return False
    if origin is not CONSTANT:
        recorder.guard("type({0}) is {k0}", node, constants=(types.FunctionType,))
        recorder.guard("{0}.__globals__ is {k0}", node, constants=(f.__globals__,))
    recorder.guard("{0}.__code__ is {k0}", node, constants=(f.__code__,))
    recorder.followed[id(f)] = origin, f.__code__
    recorder.keep(f)
    return True


def _bind(call: Call, frame: Operators) -> bool:
    """Give the parameters' slots the origins of the arguments."""
    f, code = call.function, call.function.__code__
    count, only = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames[: count + only]
    args, slots, recorder = call.args, frame.slots, call.recorder
    if len(args) == count and not (only or call.where or code.co_flags & (4 | 8)):
        for name, origin in zip(names, call.origins, strict=True):
            slots[frame.names[name]] = origin
        return True
    kwargs = dict(call.where)
    for i, name in enumerate(names[:count]):
        if i < len(args):
            slots[frame.names[name]] = call.origins[i]
        elif name in kwargs and i >= code.co_posonlyargcount:
            slots[frame.names[name]] = kwargs.pop(name)
        else:
            found = _default(call, i - count + len(f.__defaults__ or ()))
            if found is None:
                return False
            slots[frame.names[name]] = found
    for name in names[count:]:
        if name in kwargs:
            slots[frame.names[name]] = kwargs.pop(name)
        else:
            found = _keyword_default(call, name)
            if found is None:
                return False
            slots[frame.names[name]] = found
    at = count + only
    if code.co_flags & 4:
        slots[frame.names[code.co_varnames[at]]] = Born("tuple", list(call.origins[count:]))
        at += 1
    elif len(args) > count:
        call.refuse(f"{call.name} called with too many arguments")
        return False
    if code.co_flags & 8:
        slots[frame.names[code.co_varnames[at]]] = Born("dict", kwargs)
    elif kwargs:
        call.refuse(f"{call.name} called with an argument it does not take")
        return False
    return not recorder.dead


def _default(call: Call, i: int) -> Origin:
    f, recorder = call.function, call.recorder
    defaults = f.__defaults__ or ()
    if i < 0:
        call.refuse(f"{call.name} called without an argument it needs")
        return None
    if isinstance(call.origin, Born):
        return call.origin.parts[0][i]
    node = recorder.nodes("{0}.__defaults__", (recorder.as_node(call.origin, f),))  # type: ignore[arg-type]
    recorder.guard("len({0}) == {k0}", node, constants=(len(defaults),))
    return recorder.read(recorder.nodes("{0}[{k0}]", (node,), (i,)), defaults[i])


def _keyword_default(call: Call, name: str) -> Origin:
    f, recorder = call.function, call.recorder
    defaults = f.__kwdefaults__ or {}
    if name not in defaults:
        call.refuse(f"{call.name} called without {name}")
        return None
    if isinstance(call.origin, Born):
        return call.origin.parts[1][name]
    node = recorder.nodes("{0}.__kwdefaults__", (recorder.as_node(call.origin, f),))  # type: ignore[arg-type]
    return recorder.read(recorder.nodes("{0}[{k0}]", (node,), (name,)), defaults[name])


def _cells(call: Call, frame: Operators) -> dict[str, Any]:
    """The cells of the function, and where each came from."""
    f, recorder = call.function, call.recorder
    if f.__closure__ is None:
        return {}
    found = dict(zip(f.__code__.co_freevars, f.__closure__, strict=True))
    node = None if isinstance(call.origin, Born) else recorder.as_node(call.origin, f)
    for i, (name, cell) in enumerate(found.items()):
        before = recorder.known(cell)
        if before is None and node is not None:
            path = recorder.nodes("{0}.__closure__[{k0}]", (node,), (i,))
            before = recorder.read(path, cell)
        frame.cells[name] = (cell, before)
    return found
