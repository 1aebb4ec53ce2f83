"""What `df.compile` gives: a function that runs faster and otherwise as before.

Comes in: a Python function, method or callable object. Goes out: `CompiledFunction`, which for each
call takes the fastest way that is proven right: replay, co-execution, or eager with notes taken.
"""

from __future__ import annotations

import functools
import threading
import types
from collections.abc import Callable, Sequence
from copy import deepcopy
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Any, final

from dualflow.array import held
from dualflow.array.eager import EagerMode
from dualflow.array.tensor import Tensor
from dualflow.base import config
from dualflow.base.counters import count
from dualflow.base.errors import CompileError
from dualflow.base.interrupts import pass_on
from dualflow.base.source import uncounted
from dualflow.ops import door
from dualflow.runtime.behind import machine_under_way

from . import (
    calls,
    plans,
    retraces,
    tables,
    tree,
    trials,
)
from .audit import Audit
from .blocks import Block
from .coexecution.coexecute import coexecute
from .coexecution.segments import Segments
from .emit import MISS, PYTHON, RAISED
from .error_state import errors_are_quiet
from .first_call import record
from .halves import Halves
from .path import Builder
from .provenance import Origin
from .pure import by_name
from .reasons import SLOWER, Reason
from .recorder import Recorder
from .resumed import Resumed, flags, mark
from .world import World

if TYPE_CHECKING:
    from dualflow.explain.report import Report

    from .whole import Whole

MOST_BLOCKS = 1000
#: After so many calls in Python in which there was nothing to fuse only each such call looks again.
UNFUSED = 64
#: More calls than there will be.
MANY = 1 << 62
#: Replays after which it is asked again whether calls can be native calls as a whole.
RETRY = 10_000


def _of_function(name: str) -> property:
    """An attribute that a compiled function has from the function."""
    return property(
        lambda self: getattr(self._fn, name), lambda self, value: setattr(self._fn, name, value)
    )


class Undecorated(EagerMode):
    """Eager, and compiled functions run as they were written."""


@final
class CompiledFunction:
    """A compiled function; made by `df.compile`.

    What it holds itself is in slots: its `__dict__` is the user's, as that of a function.

    Attributes:
        __wrapped__: the function as it was given.
        donor: the tensors among arguments that are dead after the call; None if none ever are.
    """

    __slots__ = (
        "__dict__", "__weakref__", "_audit", "_blocks", "_counts", "_fn", "_last", "_lock",
        "_made", "_met", "_resumed", "_retraces", "_root", "_segments", "_stop", "_trial", "_wait",
        "_waited", "_whole", "donor",
    )  # fmt: skip

    __code__ = _of_function("__code__")
    __defaults__ = _of_function("__defaults__")
    __kwdefaults__ = _of_function("__kwdefaults__")

    # what `iscoroutinefunction` of these modules asks for
    _is_coroutine = property(lambda self: mark(self._fn, "asyncio.coroutines", "_is_coroutine"))
    _is_coroutine_mark = property(lambda self: mark(self._fn, "inspect", "_is_coroutine_mark"))

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
        self.donor: Callable[[tuple, dict], Sequence[Tensor]] | None = None
        self.__wrapped__ = fn
        self._reset()

    def _reset(self) -> None:
        self._root = tree.Fork()
        self._segments = Segments()
        self._lock = threading.RLock()
        self._blocks = 0
        self._stop: Reason | None = None
        self._retraces = retraces.Retraces()
        self._met: dict[str, Any] = {}  # `Recorder.met`
        self._counts: dict[str, int] = dict.fromkeys(STATS, 0)
        self._last: tuple[str, Any, Block | None] = ("eager", None, None)
        self._trial: trials.Trial | None = None
        self._resumed = Resumed(self) if flags(self._fn) else None
        self._whole: Callable[..., Any] | None = self._resumed
        self._made: Whole | None = None
        self._waited = 0

    def __reduce__(self) -> str | tuple[Any, ...]:
        return by_name(self) or (CompiledFunction, self._made_of(self._fn))

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

    @uncounted
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        whole = self._whole
        if whole is not None:
            out = whole(*args, **kwargs) if kwargs else whole(*args)
            if out is not MISS:
                return out
            self._settle()
        if type(door.state.mode) is not EagerMode or config.active().mode == "eager":
            return self._fn(*args, **kwargs)  # within a call that is being recorded or co-executed
        if self._audit is not None:
            self._audit.before(self, args, kwargs)
        trial = self._trial
        if trial is not None or not errors_are_quiet():
            return self._unlike(trial, args, kwargs)
        try:
            out, block = tree.run(self._root, args, kwargs)
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
            elif self._audit is None:
                self._offer(MANY if self._wait else trials.until(replays))
            return out
        self._count("calls")
        return self._otherwise(out, block, args, kwargs)

    def _offer(self, calls: int) -> None:
        """Let so many calls be native calls as a whole, if they can be."""
        self._settle()
        made = self._made
        if made is None or made.stale(self._blocks):
            self._waited += 1
            if self._waited >= trials.READY and not machine_under_way():
                room = import_module("dualflow.capture.whole")  # calls that come once need it not
                with self._lock:
                    made = self._made = room.whole(self._root, self._blocks, self._counts)
                self._waited = 0 if made is not None else -RETRY
        self._whole = None if made is None else made.allow(calls)

    def _settle(self) -> None:
        """Count the calls that were native as a whole."""
        made = self._made
        if made is not None and made.settle():
            self._last = ("replay", None, made.last)

    @uncounted
    def _unlike(self, trial: trials.Trial | None, args: tuple, kwargs: dict) -> Any:
        """A call that is not simply replayed: NumPy's errors are told, or replays are on trial."""
        self._count("calls")
        if trial is None or not errors_are_quiet():
            return self._eager(args, kwargs, Reason("np.seterr asks for errors", None))
        return self._tried(trial, args, kwargs)

    @uncounted
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

    @uncounted
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
        out, block = tree.run(self._root, args, kwargs)
        if block is None or not block.leaf or isinstance(out, tree.Marker):
            return self._otherwise(out, block, args, kwargs)
        if wanted is not None:
            trial.note(wanted.block, False, start)
        self._count("replays")
        self._last = ("replay", None, block)
        return out

    @uncounted
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
            return self._eager(args, kwargs, SLOWER)
        if out is tree.NOT_READY:
            return self._eager(args, kwargs, Reason("its program is being compiled", None))
        if out is tree.FAILED:
            assert block is not None
            return self._compiler_failed(block, args, kwargs)
        self._count("guard_misses")
        if self._stop is not None:
            return self._coexecute(args, kwargs, self._stop)
        return self._record(args, kwargs)

    @uncounted
    def _eager(self, args: tuple, kwargs: dict, reason: Reason) -> Any:
        self._count("eager_calls")
        self._last = ("eager", reason, None)
        return self._fn(*args, **kwargs)

    @uncounted
    def _coexecute(self, args: tuple, kwargs: dict, reason: Reason | None) -> Any:
        calls = self._counts["co_executions"] + self._counts["eager_calls"]
        if calls > UNFUSED and not self._segments.steps and calls % UNFUSED and reason is not None:
            return self._eager(args, kwargs, reason)  # there was nothing to fuse so far
        undecided = (
            reason is not None and reason.halves is not None and reason.halves.chosen is None
        )
        if reason is None or self._wait or undecided:
            return self._in_pieces(args, kwargs, reason)
        pieces, eager, stats = reason.pieces, reason.pieces.eagerly(), self._segments.stats
        waits = stats.waits
        out = (self._eager if eager else self._in_pieces)(args, kwargs, reason)
        pieces.note(eager, waited=stats.waits > waits)
        return out

    @uncounted
    def _in_pieces(self, args: tuple, kwargs: dict, reason: Reason | None) -> Any:
        self._count("co_executions")
        self._last = ("co-execute", reason, None)

        def whole() -> Any:
            return coexecute(self._segments, lambda: self._fn(*args, **kwargs), wait=self._wait)

        if reason is None or self._audit is not None or self.donor is not None:
            return whole()
        if reason.halves is None:
            reason.halves = Halves(self._fn, reason.at, self._half, self._wait)
        return reason.halves(whole, args, kwargs)

    def _half(self, fn: Any) -> CompiledFunction:
        """A part of this function, whose array operations count as those of the whole."""
        made = CompiledFunction(fn, wait=self._wait)
        made._segments.stats = self._segments.stats
        return made

    def _part(self, fn: Any) -> CompiledFunction:
        """What runs a stretch of this function, whose calls count as its own."""
        made = self._half(fn)
        made._counts = self._counts
        return made

    def _compiler_failed(self, block: Block, args: tuple, kwargs: dict) -> Any:
        count("compiler_errors")
        if config.active().on_compiler_error == "raise":
            if isinstance(block.failed, CompileError):
                raise block.failed
            raise CompileError(f"the compiler failed on {self!r}: {block.failed}") from block.failed
        return self._eager(args, kwargs, Reason(f"the compiler failed: {block.failed}", None))

    # Recording ------------------------------------------------------------------------------

    @uncounted
    def _record(self, args: tuple, kwargs: dict) -> Any:
        self._count("recordings")
        self._last = ("record", None, None)
        keep = self._keep
        if self.donor is not None:
            keep = functools.partial(keep, donated=self.donor(args, kwargs))
        return record(self._fn, args, kwargs, keep, self._met)

    def _keep(
        self, recorder: Recorder, out: Any, origin: Origin, donated: Sequence[Tensor] = ()
    ) -> None:
        """Merge what was recorded into the tree, and start compiling it."""
        if recorder.passing or recorder.stopped:
            self._last = ("record", recorder.reason, None)
            self._stop = recorder.reason if recorder.stopped else self._stop
            return
        recorder.distinct()
        with self._lock:
            blocks = Builder(
                recorder, out, origin, lambda path: tree.find(self._root, path), donated
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
            pass_on(error)
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
        """How calls ran: a counter for each way, for what was recorded, and for array operations of
        co-executed calls (see `df.stats`). Of a generator function or coroutine each stretch from
        one stop to the next is a call."""
        self._settle()
        for step in self._resumed.steps if self._resumed is not None else ():
            step._settle()
        ran = self._segments.stats
        return {**self._counts, "operations_fused": ran.fused, "operations_eager": ran.eager}

    @property
    def way(self) -> str:
        """How the last call ran."""
        if self._resumed is not None and self._resumed.steps:
            return self._resumed.steps[self._resumed.last].way
        self._settle()
        return self._last[0]

    def blocks(self) -> list[Block]:
        """The path that the last call took; that of its halves, if it ran in halves."""
        self._settle()
        _, reason, block = self._last
        if block is not None:
            return _told().above(self._root, block)
        return [] if reason is None or reason.halves is None else reason.halves.blocks()

    def report(self, *args: Any, **kwargs: Any) -> Report:
        """How the last call ran; given arguments, how the path they take ran."""
        if self._resumed is not None and self._resumed.steps:
            return self._resumed.steps[self._resumed.last].report()
        self._settle()
        how, reason, _ = self._last
        blocks = self.blocks()
        if args or kwargs:
            how, reason, blocks = self._path(args, kwargs)
        name = getattr(self._fn, "__qualname__", repr(self._fn))
        return _told().report(name, how, (reason, self._retraces.told), blocks)

    def _path(self, args: tuple, kwargs: dict) -> tuple[str, Reason | None, list[Block]]:
        """The way that a call with these arguments would take, and the blocks of its path."""
        return _told().way(self._root, args, kwargs) or (self._last[0], self._last[1], [])

    def explain(self, *args: Any, **kwargs: Any) -> str:
        """What was recorded and compiled, and why a call is no replay. If nothing is recorded for
        the arguments given, the function is called once with them."""
        if (args or kwargs) and not self._path(args, kwargs)[2]:
            self(*args, **kwargs)
        return import_module("dualflow.explain").write(self.report(*args, **kwargs))


def _told() -> Any:
    """The room that tells of calls, which few programs ask."""
    return import_module("dualflow.capture.reporting")


STATS = (
    "calls", "replays", "co_executions", "eager_calls", "recordings", "traces", "branches",
    "guard_misses",
)  # fmt: skip


# What the recorder does where a recorded function calls one of these ------------------------


def _inline(call: plans.Call) -> plans.Plan | None:
    """A compiled function called within a recording is part of it."""
    f, recorder = call.function, call.recorder
    node = recorder.as_node(call.origin, f)
    if node is None:
        call.refuse("a compiled function made in the call")
        return None
    recorder.typed(call.origin, f)
    inner = recorder.read(recorder.nodes("{0}._fn", (node,)), f._fn)
    return calls.find(call.of(f._fn, inner))


tables.SPECIAL[CompiledFunction] = _inline
