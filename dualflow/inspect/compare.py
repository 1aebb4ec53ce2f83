"""Both modes of a function side by side: speed, memory, kernels, and how far their results differ.

Comes in: a function and its arguments. Goes out: a `Comparison` with all figures.
"""

from __future__ import annotations

import contextlib
import io
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base.config import config
from dualflow.base.counters import stats
from dualflow.base.trees import flatten
from dualflow.capture import compile as df_compile
from dualflow.capture.audit import difference
from dualflow.capture.world import World
from dualflow.explain.report import Report
from dualflow.runtime.memory import POOLED

from .difference import relative, ulps
from .first_difference import Deviation, first_difference
from .timing import Timing, interleave


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """One output or written tensor of the call, in both modes.

    Attributes:
        name: where it stands: "result 0", "written 3".
        ulp: the largest difference of compiled and eager in units in the last place.
        eager_error, compiled_error: the largest difference from a run in float64, relative to its
            largest value; None where there is no such run.
    """

    name: str
    type: str
    ulp: float
    eager_error: float | None
    compiled_error: float | None


@dataclass(frozen=True)
class Comparison:
    """What `df.compare` found. Times are seconds, sizes bytes.

    Attributes:
        how: how the compiled function ran in the end: replay, co-execute or eager.
        reasons: why, where it is no replay.
        first_call: the compiled function's first call: recording and compiling.
        pays_after: after how many calls the first one has paid for itself; None: never.
        kernels, fused_ops, library_calls: of one call.
        bytes_moved, bytes_least: by the program's steps; inputs and outputs once.
        eager_peak, compiled_peak: the most memory a call takes beyond what lives before it.
        outputs: differences of every result and of every tensor written; empty if the two modes
            could only be compared for time.
        first_deviation: the first op whose compiled value differs, and where.
        audit: with `audit=True` the first bit that differs with numerics="exact", as a text;
            "none" if none does.
        notes: what a reader should know, such as effects that keep values from being compared.
    """

    name: str
    how: str
    reasons: tuple[str, ...]
    eager: Timing
    compiled: Timing
    first_call: float
    kernels: int
    fused_ops: int
    library_calls: int
    bytes_moved: int
    bytes_least: int
    eager_peak: int
    compiled_peak: int
    outputs: tuple[OutputDifference, ...]
    first_deviation: Deviation | None
    audit: str | None
    notes: tuple[str, ...]

    @property
    def speedup(self) -> float:
        """Eager's median time over compiled's."""
        return self.eager.median / self.compiled.median

    @property
    def pays_after(self) -> int | None:
        """Calls after which compiling has paid for itself; None if compiled is not faster."""
        saved = self.eager.median - self.compiled.median
        if saved <= 0:
            return None
        return max(1, int(np.ceil((self.first_call - self.compiled.median) / saved)))

    @property
    def worst_ulp(self) -> float:
        """The largest difference of any output."""
        return max((output.ulp for output in self.outputs), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain Python values, for JSON."""
        found = asdict(self)
        deviation = self.first_deviation
        found["first_deviation"] = None if deviation is None else str(deviation)
        return found | {"speedup": self.speedup, "pays_after": self.pays_after}


def compare(
    function: Callable[..., Any],
    *args: Any,
    setup: Callable[[], tuple[Any, ...]] | None = None,
    seconds: float = 2.0,
    audit: bool = False,
    **kwargs: Any,
) -> Comparison:
    """Run `function` eagerly and compiled, in turn and from one saved state, and compare.

    Before every run the arguments, tensors reached (values and `.grad`), attributes, containers,
    closure cells and df's random state are put back as they were.

    Args:
        function: a function, decorated or not.
        args, kwargs: its arguments.
        setup: called before every run instead of putting saved state back; gives the positional
            arguments of the run.
        seconds: about how long to time.
        audit: also run the call compiled with numerics="exact", whose bits have to be eager's.

    Returns:
        A `Comparison`. A function that does not repeat itself from one state (it reads a clock, a
        file, another library's random numbers) is compared for time only; `notes` says so.

    >>> import dualflow as df
    >>> found = df.compare(lambda x: df.tanh(x) * 2 + 1, df.ones(1000), seconds=0.05)
    >>> found.how, found.kernels
    ('replay', 1)
    """
    eager = getattr(function, "__wrapped__", function)
    state = _State(eager, args, kwargs, setup)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        found = _compare(eager, state, seconds)
        found["audit"] = _audit(eager, state) if audit else None
    if printed.getvalue():
        found["notes"].append("the function prints; its output was hidden here")
    found["notes"] = tuple(found["notes"])
    return Comparison(name=getattr(eager, "__qualname__", repr(eager)), **found)


class _State:
    """Where every run starts: a saved world, or what the user's `setup` gives."""

    def __init__(self, function: Any, args: Any, kwargs: Any, setup: Any) -> None:
        self.args, self.kwargs, self.setup = args, kwargs, setup
        if setup is not None:
            self.args = setup()
        self.world = World(function, self.args, kwargs)

    def reset(self) -> None:
        if self.setup is None:
            self.world.restore()
        else:
            self.args = self.setup()

    def call(self, function: Callable[..., Any]) -> Any:
        return function(*self.args, **self.kwargs)


def _compare(eager: Callable[..., Any], state: _State, seconds: float) -> dict[str, Any]:
    notes: list[str] = []
    before, kinds = _outputs(eager, state)
    again, _ = _outputs(eager, state)
    repeats = _same(before, again)
    if not repeats:
        notes.append("two eager runs from one state differ: compared for time only")
    compiled = df_compile(eager, wait=True)
    state.reset()
    compiled_before = stats()["kernels_compiled"]
    start = time.perf_counter()
    state.call(compiled)
    first_call = time.perf_counter() - start
    if stats()["kernels_compiled"] == compiled_before:
        notes.append("the first call compiled no kernel: they were in the cache or in this process")
    for _ in range(2):  # a second path (state made by the first call) may be recorded
        state.reset()
        state.call(compiled)
    after, _ = _outputs(compiled, state)
    differences: tuple[OutputDifference, ...] = ()
    deviation = None
    if repeats:
        differences = _differences(kinds, before, after, _exact(eager, state, notes))
        state.reset()
        deviation = first_difference(lambda: state.call(eager))
    peaks = [_peak(each, state) for each in (eager, compiled)]
    state.reset()
    timings = interleave(
        (lambda: state.call(eager), lambda: state.call(compiled)), state.reset, seconds
    )
    state.reset()
    report: Report = compiled.report()
    state.reset()
    return {
        "how": report.how,
        "reasons": report.reasons,
        "eager": timings[0],
        "compiled": timings[1],
        "first_call": first_call,
        "kernels": sum(section.kernels for section in report.sections),
        "fused_ops": sum(len(section.graph.nodes) for section in report.sections),
        "library_calls": sum(section.library_calls for section in report.sections),
        "bytes_moved": sum(section.bytes_moved for section in report.sections),
        "bytes_least": sum(section.bytes_least for section in report.sections),
        "eager_peak": peaks[0],
        "compiled_peak": peaks[1] + _untraced(report),
        "outputs": differences,
        "first_deviation": deviation,
        "notes": notes,
    }


def _audit(eager: Callable[..., Any], state: _State) -> str:
    """The first bit in which the function compiled with numerics="exact" differs from eager."""
    before, _ = _outputs(eager, state)
    with config(numerics="exact"):
        exact = df_compile(eager, wait=True)
        after = [_outputs(exact, state)[0] for _ in range(3)][-1]
    state.reset()
    return difference(before, after, exactly=True) or "none"


def _outputs(
    function: Callable[..., Any], state: _State
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Copies of the results of a call and of all tensors reached (values and `.grad`)."""
    state.reset()
    leaves, _ = flatten(state.call(function))
    found: dict[str, np.ndarray] = {}
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, (Tensor, np.ndarray, bool, int, float)):
            array = leaf.array if isinstance(leaf, Tensor) else np.asarray(leaf)
            found[f"result {i}"] = array.copy()
    found |= state.world.values()
    kinds = {name: f"{array.dtype.name}{list(array.shape)}" for name, array in found.items()}
    return found, kinds


def _same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(ulps(a[name], b[name]) == 0 for name in a)


def _exact(
    eager: Callable[..., Any], state: _State, notes: list[str]
) -> dict[str, np.ndarray] | None:
    """The outputs of an eager run whose reached float tensors hold float64."""
    if state.setup is not None:
        return None
    try:
        with state.world.in_float64():
            leaves, _ = flatten(state.call(eager))
            arrays = [x.array if isinstance(x, Tensor) else np.asarray(x) for x in leaves]
            found = {f"result {i}": array.copy() for i, array in enumerate(arrays)}
            return found | state.world.values()
    except Exception as error:  # the function insists on its dtypes: say so, compare without
        notes.append(f"no run in float64: {type(error).__name__}: {str(error).splitlines()[0]}")
        return None


def _differences(
    kinds: dict[str, str],
    eager: dict[str, np.ndarray],
    compiled: dict[str, np.ndarray],
    exact: dict[str, np.ndarray] | None,
) -> tuple[OutputDifference, ...]:
    found = []
    for name, array in eager.items():
        other = compiled.get(name)
        true = None if exact is None else exact.get(name)
        if true is not None and (true.dtype.kind != "f" or true.shape != array.shape):
            true = None
        found.append(
            OutputDifference(
                name,
                kinds[name],
                np.inf if other is None else ulps(array, other),
                None if true is None else relative(array, true),
                None if true is None or other is None else relative(other, true),
            )
        )
    return tuple(found)


def _untraced(report: Report) -> int:
    """Bytes of a run that Python does not see: the arena, and outputs from the pool."""
    pooled = [n for section in report.sections for n in section.output_bytes if n >= POOLED]
    return sum(section.arena for section in report.sections) + sum(pooled)


def _peak(function: Callable[..., Any], state: _State) -> int:
    """The most memory that a call takes, as Python and NumPy report it."""
    state.reset()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        result = state.call(function)
        _, peak = tracemalloc.get_traced_memory()
        del result
    finally:
        tracemalloc.stop()
    return max(0, peak - before)
