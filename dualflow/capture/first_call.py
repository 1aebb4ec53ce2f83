"""The first call of a path: the function runs as eager, and notes are taken.

Comes in: a function with its arguments. Goes out: what it returns or raises, as eager; the
recorder, with the result and where that came from, goes to `keep`, before it forgets anything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from dualflow.base.source import uncounted
from dualflow.ops import door

from . import backward, calls, derivatives, dispatching, leaving
from .frame import Frame
from .known import (
    caches as known_caches,
)
from .known import (
    collections as known_collections,
)
from .known import (
    containers as known_containers,
)
from .known import (
    context as known_context,
)
from .known import (
    copying as known_copying,
)
from .known import (
    dicts as known_dicts,
)
from .known import (
    files as known_files,
)
from .known import (
    iterators as known_iterators,
)
from .known import (
    itertools as known_itertools,
)
from .known import (
    locks as known_locks,
)
from .known import (
    numbers as known_numbers,
)
from .known import (
    order as known_order,
)
from .known import (
    sets as known_sets,
)
from .known import (
    streams as known_streams,
)
from .known import (
    tables_of_text as known_tables,
)
from .known import (
    text as known_text,
)
from .known import (
    time as known_time,
)
from .known import (
    warnings as known_warnings,
)
from .plans import Call
from .provenance import CONSTANT, Origin
from .recorder import Recorder
from .recording import Recording, line_of, strip

#: imported for what they enter into the tables
TABLES = (
    backward, derivatives, dispatching, known_caches, known_collections, known_containers,
    known_context, known_copying, known_dicts, known_files, known_iterators, known_itertools,
    known_locks, known_numbers, known_order, known_sets, known_streams, known_tables, known_text,
    known_time, known_warnings,
)  # fmt: skip


@uncounted
def record(
    fn: Any, args: tuple, kwargs: dict, keep: Callable[[Recorder, Any, Origin], None],
    met: dict[str, Any] | None = None,
) -> Any:  # fmt: skip
    """Call `fn` and keep what was recorded; `met` is what recordings of `fn` tell each other."""
    recorder = Recorder(met)
    with recorder.seldom:
        return _recorded(recorder, fn, args, kwargs, keep)


@uncounted
def _recorded(
    recorder: Recorder, fn: Any, args: tuple, kwargs: dict,
    keep: Callable[[Recorder, Any, Origin], None],
) -> Any:  # fmt: skip
    frame = Frame(recorder, _nothing, 1, {})
    where, named = _arguments(recorder, args, kwargs)
    call = Call(frame, fn, CONSTANT, args, where, kwargs, named)
    before, handled = door.state.mode, sys.exc_info()[1]
    try:  # from here on, for an interrupt may come at any line
        door.state.mode = Recording(recorder, before)
        recorder.alarm.start()
        plan = calls.find(call)
        if plan is None or recorder.dead:
            out, origin = fn(*args, **kwargs), None
        else:
            recorder.root = getattr(plan.function, "__code__", None)
            out = plan.function(*plan.args, **plan.kwargs)
            origin = plan.finish(out)
    except BaseException as error:
        error.__traceback__ = strip(error.__traceback__)
        door.state.mode = before
        _left(recorder, frame, error, keep, alone=handled is None)
        raise
    finally:
        door.state.mode = before
        recorder.alarm.end()
    try:
        if recorder.notes.broken:
            recorder.refuse(recorder.notes.broken)
        if recorder.left_open():
            recorder.refuse("a generator that outlives the call")
        keep(recorder, out, origin)
    finally:
        recorder.release()
    return out


def _left(
    recorder: Recorder, frame: Frame, error: BaseException, keep: Callable, alone: bool
) -> None:
    """Keep what was recorded of a call that `error` leaves."""
    found = leaving.leaving(recorder, frame, error) if alone else None
    if found is None or recorder.notes.broken or recorder.left_open():
        recorder.refuse(f"{type(error).__name__} leaves the function", line_of(error))
    recorder.passing |= isinstance(error, KeyboardInterrupt)
    try:
        keep(recorder, *(found or (None, None)))
    finally:
        recorder.release()


def _arguments(
    recorder: Recorder, args: tuple, kwargs: dict
) -> tuple[tuple[Origin, ...], dict[str, Origin]]:
    nodes = recorder.nodes
    names = recorder.const_tuple(tuple(kwargs))
    recorder.guard("len(args) == {k0} and tuple(kwargs) == {k1}", constants=(len(args), names))
    where = [recorder.read(nodes("args[{k0}]", (), (i,)), arg) for i, arg in enumerate(args)]
    named = {
        key: recorder.read(nodes("kwargs[{k0}]", (), (key,)), value)
        for key, value in kwargs.items()
    }
    return tuple(where), named


def _nothing() -> None:
    """The function of the frame from which a compiled function is called."""
