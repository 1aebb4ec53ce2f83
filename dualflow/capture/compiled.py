"""`df.compile` and `df.pure`: a function that runs faster and otherwise as before.

Comes in: a Python function, method or callable object. Goes out: `CompiledFunction`, which for each
call takes the fastest way that is proven right: replay, co-execution, or eager with notes taken.
"""

from __future__ import annotations

import functools
import sys
import threading
import types
from collections.abc import Callable
from copy import deepcopy
from time import perf_counter
from typing import Any, final

import numpy as np

from dualflow.array import held
from dualflow.array.eager import EagerMode
from dualflow.base import collection, config
from dualflow.base.counters import count
from dualflow.base.errors import CompileError
from dualflow.explain import write as write_report
from dualflow.explain.report import Report, Section
from dualflow.ops import door

from . import (
    calls,
    derivatives,
    known,
    known_collections,
    known_containers,
    known_dicts,
    known_iterators,
    known_itertools,
    known_numbers,
    known_sets,
    known_text,
    known_time,
    retraces,
    tree,
    trials,
)
from . import leaving as leaves
from .audit import Audit
from .coexecute import coexecute
from .emit import MISS, PYTHON, RAISED
from .frame import Frame
from .path import Block, Builder
from .provenance import CONSTANT, SCALARS, Node, Origin
from .recorder import Reason, Recorder
from .recording import Recording, line_of, strip
from .segments import Segments
from .world import World

#: NumPy's error state, as one object that changes whenever the state does
_error_state: Any = getattr(np._core._ufunc_config, "_extobj_contextvar", None)  # type: ignore[attr-defined]

_quiet: list[Any] = []
MOST_BLOCKS = 1000
#: After so many calls in Python in which there was nothing to fuse only each such call looks again.
UNFUSED = 64
#: More calls than there will be.
MANY = 1 << 62
_SLOWER = Reason("replays of it were measured to be slower than Python", None)


def _errors_are_quiet() -> bool:
    """Whether NumPy ignores or warns of floating-point errors, and does nothing more."""
    state = _error_state.get() if _error_state is not None else None
    if state is not None:
        for known_state in _quiet:
            if state is known_state:
                return True
    quiet = set(np.geterr().values()) <= {"ignore", "warn"}
    if quiet and state is not None and len(_quiet) < 16:
        _quiet.append(state)
    return quiet


def _of_function(name: str) -> property:
    """An attribute that a compiled function has from the function."""
    return property(
        lambda self: getattr(self._fn, name), lambda self, value: setattr(self._fn, name, value)
    )


def _by_name(made: Any) -> str | None:
    """The name under which its module holds `made`, as pickle needs it; None if it does not."""
    name = vars(made).get("__qualname__", "")
    found: Any = sys.modules.get(vars(made).get("__module__", ""))
    for part in name.split("."):
        found = getattr(found, part, None)
    return name if found is made else None


class Undecorated(EagerMode):
    """Eager, and compiled functions run as they were written."""


@final
class CompiledFunction:
    """A compiled function; made by `df.compile`.

    What it holds itself is in slots: its `__dict__` is the user's, as that of a function.

    Attributes:
        __wrapped__: the function as it was given.
    """

    __slots__ = (
        "__dict__", "__weakref__", "_audit", "_blocks", "_counts", "_fn", "_last", "_lock",
        "_plain", "_retraces", "_root", "_segments", "_stop", "_trial", "_wait", "_whole",
    )  # fmt: skip

    __code__ = _of_function("__code__")
    __defaults__ = _of_function("__defaults__")
    __kwdefaults__ = _of_function("__kwdefaults__")

    def __init__(
        self, fn: Callable[..., Any], wait: bool = False, audit: float | None = None
    ) -> None:
        if not callable(fn):
            raise TypeError(f"df.compile of a {type(fn).__name__}, which is not callable")
        if isinstance(fn, (types.FunctionType, types.MethodType, type, CompiledFunction)):
            functools.update_wrapper(self, fn)
        if isinstance(fn, CompiledFunction):
            fn, wait = fn._fn, wait or fn._wait
        self._audit = None if audit is None else Audit(audit)
        self._fn, self._wait = fn, wait
        self.__wrapped__ = fn
        self._reset()

    def _reset(self) -> None:
        self._root = tree.Fork()
        self._segments = Segments()
        self._lock = threading.RLock()
        self._blocks = 0
        self._stop: Reason | None = None
        self._retraces = retraces.Retraces()
        self._counts: dict[str, int] = dict.fromkeys(STATS, 0)
        self._last: tuple[str, Any, Block | None] = ("eager", None, None)
        self._trial: trials.Trial | None = None
        self._whole: Callable[..., Any] | None = None
        self._plain: Block | None = None

    def __reduce__(self) -> str | tuple[Any, ...]:
        return _by_name(self) or (CompiledFunction, self._made_of(self._fn))

    def __copy__(self) -> CompiledFunction:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledFunction:
        if isinstance(self._fn, types.FunctionType):
            return self  # as a function is
        return CompiledFunction(*self._made_of(deepcopy(self._fn, memo)))

    def _made_of(self, fn: Any) -> tuple[Any, bool, float | None]:
        return fn, self._wait, None if self._audit is None else self._audit.share

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else types.MethodType(self, owner)

    def __repr__(self) -> str:
        return f"<compiled {getattr(self._fn, '__qualname__', repr(self._fn))}>"

    # Calling --------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        whole = self._whole
        if whole is not None and not kwargs:
            out = whole(*args)
            if out is not MISS:
                return out
            self._settle()
        if type(door.state.mode) is not EagerMode or config.active().mode == "eager":
            return self._fn(*args, **kwargs)  # within a call that is being recorded or co-executed
        if self._audit is not None:
            self._audit.before(self, args, kwargs)
        trial = self._trial
        if trial is not None or not _errors_are_quiet():
            return self._unlike(trial, args, kwargs)
        try:
            out, block, _ = tree.run(self._root, args, kwargs)
        except BaseException:
            self._count("calls")
            raise
        if block is not None and block.leaf and type(out) is not tree.Marker:
            counts = self._counts
            counts["calls"] += 1
            counts["replays"] = replays = counts["replays"] + 1
            count("calls", also="replays")
            self._last = ("replay", None, block)
            at = replays % trials.AGAIN
            if (at == trials.AFTER or at == trials.EARLY) and not self._wait:
                self._trial = trials.Trial(at)
            elif block.plain is not None and self._audit is None:
                self._offer(block, MANY if self._wait else trials.until(replays))
            return out
        self._count("calls")
        return self._otherwise(out, block, args, kwargs)

    def _offer(self, block: Block, calls: int) -> None:
        """Let so many calls of this path be native calls as a whole, if it can be."""
        assert block.plain is not None
        self._settle()
        self._whole = block.plain.whole(block.run, self._counts, calls)
        self._plain = block

    def _settle(self) -> None:
        """Count the calls that were native as a whole."""
        block = self._plain
        if block is not None and block.plain is not None and block.plain.settle():
            self._last = ("replay", None, block)

    def _unlike(self, trial: trials.Trial | None, args: tuple, kwargs: dict) -> Any:
        """A call that is not simply replayed: NumPy's errors are told, or replays are on trial."""
        self._count("calls")
        if trial is None or not _errors_are_quiet():
            return self._eager(args, kwargs, Reason("np.seterr asks for errors", None))
        return self._tried(trial, args, kwargs)

    def eager(self, *args: Any, **kwargs: Any) -> Any:
        """The function as it was written, called; compiled functions that it calls run so too."""
        if type(door.state.mode) is not EagerMode:
            return self._fn(*args, **kwargs)
        with door.using(Undecorated()):
            return self._fn(*args, **kwargs)

    def warmup(self, *args: Any, **kwargs: Any) -> None:
        """Compile for such arguments, before there is a call that counts.

        The function is called, and the tensors, containers and objects that it reaches are put
        back as they were; what else it does (prints, files) it does.
        """
        world, wait = World(self._fn, args, kwargs), self._wait
        self._wait = True
        try:
            self(*args, **kwargs)
            for block in self._path(args, kwargs)[2]:
                block.link()
        finally:
            self._wait = wait
            world.restore()

    def _tried(self, trial: trials.Trial, args: tuple, kwargs: dict) -> Any:
        """A call that is timed, if its path was not yet tried: a replay, or as it is."""
        trial.count()
        if trial.over:
            self._trial = None
        found = tree.first(self._root, args, kwargs)
        wanted = found if found is not None and found.block.slow is None else None
        start = perf_counter()
        if wanted is not None and trial.eagerly(wanted.block):
            out = self._eager(args, kwargs, Reason("it is timed beside replays", None))
            trial.note(wanted.block, True, start)
            wanted.linked = wanted.linked and not wanted.block.slow
            return out
        out, block, _ = tree.run(self._root, args, kwargs)
        if block is None or not block.leaf or isinstance(out, tree.Marker):
            return self._otherwise(out, block, args, kwargs)
        if wanted is not None:
            trial.note(wanted.block, False, start)
        self._count("replays")
        self._last = ("replay", None, block)
        return out

    def _otherwise(self, out: Any, block: Block | None, args: tuple, kwargs: dict) -> Any:
        """A call that no program can replay, or one that ends with an exception."""
        if isinstance(out, tree.Marker) and out.error is not None:
            self._count("replays")
            self._last = ("replay", None, block)
            raise out.error
        if out is RAISED:
            try:
                return self._eager(args, kwargs, Reason("an operation raised an error", None))
            except MemoryError as error:  # the one that eager raises; beside it, what is held
                error.add_note(held.memory_summary("cpu"))
                raise
        if out is PYTHON:
            assert block is not None
            return self._coexecute(args, kwargs, block.reason)
        if out is tree.SLOWER:
            return self._eager(args, kwargs, _SLOWER)
        if out is tree.NOT_READY:
            return self._eager(args, kwargs, Reason("its program is being compiled", None))
        if out is tree.FAILED:
            assert block is not None
            return self._compiler_failed(block, args, kwargs)
        self._count("guard_misses")
        if self._stop is not None:
            return self._coexecute(args, kwargs, self._stop)
        return self._record(args, kwargs)

    def _eager(self, args: tuple, kwargs: dict, reason: Reason) -> Any:
        self._count("eager_calls")
        self._last = ("eager", reason, None)
        return self._fn(*args, **kwargs)

    def _coexecute(self, args: tuple, kwargs: dict, reason: Reason | None) -> Any:
        calls = self._counts["co_executions"] + self._counts["eager_calls"]
        if calls > UNFUSED and not self._segments.steps and calls % UNFUSED and reason is not None:
            return self._eager(args, kwargs, reason)  # there was nothing to fuse so far
        if reason is None or self._wait:
            return self._in_pieces(args, kwargs, reason)
        pieces, eager = reason.pieces, reason.pieces.eagerly()
        out = (self._eager if eager else self._in_pieces)(args, kwargs, reason)
        pieces.note(eager)
        return out

    def _in_pieces(self, args: tuple, kwargs: dict, reason: Reason | None) -> Any:
        self._count("co_executions")
        self._last = ("co-execute", reason, None)
        return coexecute(self._segments, lambda: self._fn(*args, **kwargs), wait=self._wait)

    def _compiler_failed(self, block: Block, args: tuple, kwargs: dict) -> Any:
        count("compiler_errors")
        if config.active().on_compiler_error == "raise":
            if isinstance(block.failed, CompileError):
                raise block.failed
            raise CompileError(f"the compiler failed on {self!r}: {block.failed}") from block.failed
        return self._eager(args, kwargs, Reason(f"the compiler failed: {block.failed}", None))

    # Recording ------------------------------------------------------------------------------

    @collection.seldom()
    def _record(self, args: tuple, kwargs: dict) -> Any:
        recorder = Recorder()
        self._count("recordings")
        self._last = ("record", None, None)
        frame = Frame(recorder, _nothing, 1, {})
        where, named = self._arguments(recorder, args, kwargs)
        call = calls.Call(frame, self._fn, CONSTANT, args, where, kwargs, named)
        before, handled = door.state.mode, sys.exc_info()[1]
        door.state.mode = Recording(recorder, before)
        recorder.alarm.start()
        try:
            plan = calls.find(call)
            if plan is None or recorder.dead:
                out, origin = self._fn(*args, **kwargs), None
            else:
                out = plan.function(*plan.args, **plan.kwargs)
                origin = plan.finish(out)
        except BaseException as error:
            error.__traceback__ = strip(error.__traceback__)
            door.state.mode = before
            found = leaves.leaving(recorder, frame, error) if handled is None else None
            if found is None or recorder.notes.broken or recorder.left_open():
                recorder.refuse(f"{type(error).__name__} leaves the function", line_of(error))
            self._keep(recorder, *(found or (None, None)))
            raise
        finally:
            door.state.mode = before
            recorder.alarm.end()
        try:
            if recorder.notes.broken:
                recorder.refuse(recorder.notes.broken)
            if recorder.left_open():
                recorder.refuse("a generator that outlives the call")
            self._keep(recorder, out, origin)
        finally:
            recorder.release()
        return out

    def _arguments(
        self, recorder: Recorder, args: tuple, kwargs: dict
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

    def _keep(self, recorder: Recorder, out: Any, origin: Origin) -> None:
        """Merge what was recorded into the tree, and start compiling it."""
        if recorder.passing:
            self._last = ("record", recorder.reason, None)
            return
        recorder.distinct()
        with self._lock:
            blocks = Builder(
                recorder, out, origin, lambda path: tree.find(self._root, path)
            ).build()
            new, most, widest = tree.merge(self._root, blocks)
            self._blocks += len(new)
            name = getattr(self._fn, "__qualname__", repr(self._fn))
            self._retraces.note(name, recorder.events, widest, config.active().retraces)
            if most > config.active().retraces:
                self._stop = Reason(
                    f"recorded {most} times for changing Python values at one place", None
                )
            elif self._blocks > MOST_BLOCKS:
                self._stop = Reason(f"more than {MOST_BLOCKS} branches were recorded", None)
        self._count("traces")
        tests = sum(1 for block in new if not block.leaf)
        if len(blocks) > 1:
            self._count("branches", tests)
        for block in new:
            self._start(block)
        self._last = ("record", blocks[-1].reason, blocks[-1])

    def _start(self, block: Block) -> None:
        try:
            block.start(behind=not self._wait)
            if self._wait:
                block.link()
        except Exception as error:
            block.failed = error
            if config.active().on_compiler_error == "raise":
                count("compiler_errors")
                if isinstance(error, CompileError):
                    raise
                raise CompileError(f"the compiler failed on {self!r}: {error}") from error

    # Looking inside -------------------------------------------------------------------------

    def _count(self, name: str, by: int = 1) -> None:
        self._counts[name] += by
        count(name, by)

    def stats(self) -> dict[str, int]:
        """How calls ran: a counter for each way, and for what was recorded (see `df.stats`)."""
        self._settle()
        return dict(self._counts)

    def report(self, *args: Any, **kwargs: Any) -> Report:
        """How the last call ran; given arguments, how the path they take ran."""
        self._settle()
        how, reason, block = self._last
        blocks = [] if block is None else [block]
        if args or kwargs:
            how, reason, blocks = self._path(args, kwargs)
        elif block is not None:
            blocks = self._above(block)
        return Report(
            getattr(self._fn, "__qualname__", repr(self._fn)),
            how,  # type: ignore[arg-type]
            tuple(str(told) for told in (reason, self._retraces.told) if told is not None),
            tuple(_section(b) for b in blocks if b.graph is not None),
            "\n".join(b.text for b in blocks),
            tuple(effect for b in blocks for effect in b.effects),
        )

    def _path(self, args: tuple, kwargs: dict) -> tuple[str, Reason | None, list[Block]]:
        """The way that a call with these arguments would take, without making it: the leaf whose
        path it shares as far as guards tell."""
        fork, blocks = self._root, []
        while fork.alternatives:
            found = next(
                (a for a in fork.alternatives if tree.fits(a.block, args, kwargs, {}, {})), None
            )
            if found is None:
                break
            blocks.append(found.block)
            if found.block.leaf or not found.below:
                break
            fork = next(iter(found.below.values()))
        if not blocks:
            return self._last[0], self._last[1], []
        if blocks[0].slow:
            return "eager", _SLOWER, blocks
        reason = blocks[-1].reason
        if reason is not None and reason.pieces.slow:
            return "eager", reason, blocks
        return ("replay" if reason is None else "co-execute"), reason, blocks

    def _above(self, leaf: Block) -> list[Block]:
        """The blocks of the path that ends in `leaf`."""
        above: dict[Block, Block | None] = {}
        todo: list[tuple[tree.Fork, Block | None]] = [(self._root, None)]
        while todo and leaf not in above:
            fork, last = todo.pop()
            for alternative in fork.alternatives:
                above[alternative.block] = last
                todo += [(below, alternative.block) for below in alternative.below.values()]
        path = [leaf]
        while (last := above.get(path[-1])) is not None:
            path.append(last)
        return path[::-1]

    def explain(self, *args: Any, **kwargs: Any) -> str:
        """What was recorded and compiled, and why a call is no replay. If nothing is recorded for
        the arguments given, the function is called once with them."""
        if (args or kwargs) and not self._path(args, kwargs)[2]:
            self(*args, **kwargs)
        return write_report(self.report(*args, **kwargs))


STATS = (
    "calls", "replays", "co_executions", "eager_calls", "recordings", "traces", "branches",
    "guard_misses",
)  # fmt: skip


def _nothing() -> None:
    """The function of the frame from which a compiled function is called."""


def _section(block: Block) -> Section:
    assert block.graph is not None
    compilation = block.compilation
    if compilation is None or block.failed is not None:
        return Section(block.graph)
    try:
        program = compilation.program
        working = getattr(compilation.result(), "working", 0) if compilation.done else 0
    except Exception:  # told by the call that wants it
        return Section(block.graph)
    return Section(
        getattr(compilation, "rolled", None) or block.graph,
        program,
        tuple(getattr(compilation, "reasons", ())),
        dict(getattr(compilation, "texts", {})),
        working,
    )


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
        return _by_name(self) or (Pure, (self._fn,))

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else types.MethodType(self, owner)


def pure(fn: Callable[..., Any]) -> Pure:
    """Declare that a compiled function may leave out calls of `fn`.

    A call that is left out returns what the recorded one returned.

    >>> import dualflow as df
    >>> shown = df.pure(print)
    """
    return Pure(fn)


def compile(fn: Any = None, *, wait: bool = False, audit: float | None = None) -> Any:
    """Make a function of tensors faster; nothing else about it changes.

    Args:
        fn: a function, method, lambda, `functools.partial` or callable object. Left out, the
            decorator is returned.
        wait: compile before the first call returns; else calls run eagerly meanwhile. Paths that
            replay are never timed beside Python then: all calls of a path run in one way.
        audit: the share of calls that are checked against the function as written, 0.001 say; a
            difference is logged, counted in `df.stats()` and written down as a script. Such a
            call takes as long as several, and needs memory for what it reaches once more.

    >>> import dualflow as df
    >>> @df.compile
    ... def double(x):
    ...     return x * 2
    >>> double(df.tensor([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """
    if fn is None:
        return lambda function: CompiledFunction(function, wait, audit)
    return CompiledFunction(fn, wait, audit)


# What the recorder does where a recorded function calls one of these ------------------------


def _inline(call: calls.Call) -> calls.Plan | None:
    """A compiled function called within a recording is part of it."""
    f, recorder = call.function, call.recorder
    node = recorder.as_node(call.origin, f)
    if node is None:
        call.refuse("a compiled function made in the call")
        return None
    recorder.typed(call.origin, f)
    inner = recorder.read(recorder.nodes("{0}._fn", (node,)), f._fn)
    return calls.find(call.of(f._fn, inner))


def _skip(call: calls.Call) -> calls.Plan | None:
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


known.SPECIAL[CompiledFunction] = _inline
known.SPECIAL[Pure] = _skip
#: imported for what they enter into the tables
TABLES = (
    derivatives, known_collections, known_containers, known_dicts, known_iterators, known_itertools,
    known_numbers, known_sets, known_text, known_time,
)  # fmt: skip
