"""What `@df.compile` costs beside kernels: recording, hooks, replays, guards, co-execution.

python -m benchmarks.capture         every figure beside its bound, and the peers'
python -m benchmarks.capture --tiny  once each, no peers (the tests run this)
python -m benchmarks.capture --save  keep the figures in benchmarks/results/capture/
"""

from __future__ import annotations

import gc
import io
import itertools
import linecache
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.threads import one_thread

if __name__ == "__main__":
    one_thread()

import numpy as np

import dualflow as df
from benchmarks import libraries
from benchmarks.keeping import machine, save
from benchmarks.recorded import (
    RANDOM,
    Function,
    Program,
    floats,
    heat,
    plain,
    training,
    transformer,
)
from benchmarks.task import Task
from dualflow.capture import blocks, halves, trials
from dualflow.capture.coexecution.coexecute import coexecute
from dualflow.capture.coexecution.segments import Segments
from dualflow.capture.compiled import CompiledFunction
from dualflow.capture.frame import Frame
from dualflow.capture.plans import Call
from dualflow.capture.provenance import CONSTANT
from dualflow.capture.recorder import Recorder
from dualflow.capture.twins import twin
from dualflow.runtime import cache

_numbers = itertools.count()
LIMIT = 1.5  # a global that a function below reads


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        value: in microseconds, or a share.
        most: what it may be at most; None where nothing is promised.
        unit: "us" or what it is a share of: `most` is then the least.
    """

    name: str
    value: float
    most: float | None = None
    unit: str = "us"


# Recording ----------------------------------------------------------------------------------


def recording(name: str, make: Program, repeats: int) -> list[Figure]:
    """What a first call, and the first one of another size, cost beyond the eager one, for each
    operation in the graph: without the compiler, and with the graph sent to the helper process,
    which does the rest."""
    best = {"": [float("inf")] * 2, "a new size of ": [float("inf")] * 2}
    for _ in range(repeats):
        function, arguments = make()
        function(*arguments)  # states of optimizers, gradients
        compiled = df.compile(function)
        for which, given in zip(best, (arguments, tuple(map(_grown, arguments))), strict=True):
            eager = _once(lambda: function(*given))  # noqa: B023
            with _compiler() as spent:
                first = _once(lambda: compiled(*given))  # noqa: B023
            costs = first - spent["compiler"] - eager, first - eager
            each = [cost / spent["operations"] * 1e6 for cost in costs]
            best[which] = [min(pair) for pair in zip(best[which], each, strict=True)]
        assert compiled.stats()["traces"] == 2, compiled.explain()
    return [
        Figure(f"recording{sending}, {which}{name}, an op", value, 15.0)
        for which, values in best.items()
        for sending, value in zip(("", " and sending"), values, strict=True)
    ]


def _grown(argument: Any) -> Any:
    """A tensor with one row more."""
    if type(argument) is not df.Tensor:
        return argument
    return df.concat([argument, argument[:1]])


@contextmanager
def _compiler() -> Iterator[dict[str, float]]:
    """What the compiler takes of the calls within, and the operations it is given, as if nobody had
    sent such a graph before."""
    spent = {"compiler": 0.0, "operations": 0.0}
    start, holds = blocks.Block.start, cache.holds

    def timed(block: blocks.Block, behind: bool = False) -> None:
        spent["operations"] += len(block.graph.nodes) if block.graph is not None else 0
        before = time.thread_time()
        blocks._compilations.clear()
        start(block, behind)
        spent["compiler"] += time.thread_time() - before

    blocks.Block.start, cache.holds = timed, lambda *_: False  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        blocks.Block.start, cache.holds = start, holds  # type: ignore[method-assign]


def _once(call: Callable[[], Any]) -> float:
    """Seconds of this thread's own time; the collector of cycles has its turn before."""
    gc.collect()
    before = time.thread_time()
    call()
    return time.thread_time() - before


def _each(call: Callable[[], Any], count: int) -> float:
    """Microseconds of a call: the least of seven means, as a busy machine only ever adds."""
    least = float("inf")
    for _ in range(7 if count > 1 else 1):
        before = time.perf_counter()
        for _ in range(count):
            call()
        least = min(least, time.perf_counter() - before)
    return least / count * 1e6


class _Object:
    def __init__(self) -> None:
        self.a = 1.5


def hooks(count: int) -> list[Figure]:
    """Hooks that have proven what they see: what they add to the Python that they stand for."""
    recorder, thing = Recorder(), _Object()

    def function(thing: Any, x: Any, y: Any) -> float:
        return thing.a

    outer = Frame(recorder, function, 1, {})
    nodes = recorder.nodes
    paths = [nodes("args[{k0}]", (), (i,)) for i in range(3)]
    values = thing, a, b = thing, 2.0, 3.0
    origins = [recorder.read(node, value) for node, value in zip(paths, values, strict=True)]
    call = Call(outer, function, CONSTANT, values, tuple(origins))
    frame = Frame(recorder, function, 10, {"thing": 1, "x": 2, "y": 3})
    frame.slots[1:4] = origins
    rows: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
        ("an attribute", lambda: frame.attr(5, 1, thing, "a"), lambda: thing.a),
        ("a global", lambda: frame.glob(5, "LIMIT", LIMIT), lambda: LIMIT),
        ("constants added", lambda: frame.binop(5, "Add", 0, 0, a, b), lambda: a + b),
        ("arguments added", lambda: frame.binop(5, "Add", 2, 3, a, b), lambda: a + b),
        ("the twin of a function", lambda: twin(call), lambda: None),
    ]  # fmt: skip
    found = []
    for name, hook, python in rows:
        hook()
        assert not recorder.dead, recorder.reason
        found.append(Figure(f"hook: {name}", _each(hook, count) - _each(python, count)))
    recorder.release()
    return found


# Replay, guards -----------------------------------------------------------------------------


def replays(count: int) -> list[Figure]:
    """A function of three small tensors: its call, and what of it is no kernel."""

    def small(xp: Any, a: Any, b: Any, c: Any) -> Any:
        return a * b + c

    arrays = [RANDOM.random(4, np.float32) for _ in range(3)]
    task = Task(small, tuple(arrays))
    calls = {name: libraries.call_of(name, task) for name in libraries.available(task)}
    for _ in range(3):
        for call in calls.values():
            call()
    found = [
        Figure(f"call of a function of three small tensors, {name}", _each(call, count))
        for name, call in calls.items()
    ]
    tensors = [df.asarray(array) for array in arrays]
    fast = df.compile(lambda a, b, c: a * b + c, wait=True)
    whole = _replayed(fast, tensors, count)
    block = fast._last[2]
    assert block is not None
    run, given = block.run, [tensor.array for tensor in tensors]
    beyond = whole - _each(lambda: run(given), count)
    return [*found, Figure("replay of three small tensors, beyond its kernels", beyond, 5.0)]


def guards(count: int) -> list[Figure]:
    """A hundred reads of attributes, beyond the same function with one of them."""
    lines = [f"    if o.a{i} > 1e9: return x\n" for i in range(101)]
    thing = _Object()
    for i in range(101):
        setattr(thing, f"a{i}", float(i))
    x = floats(4)
    functions = (_source("".join(lines[:n]), o=thing) for n in (101, 1))
    costs = [_replayed(df.compile(f, wait=True), [x], count) for f in functions]
    return [Figure("guards of 100 reads", costs[0] - costs[1], 5.0)]


def _source(body: str, **variables: Any) -> Function:
    """A function with a source, as functions that are recorded need it."""
    file, text = f"<benchmark {next(_numbers)}>", f"def f(x):\n{body}    return x * 2.0\n"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    namespace = {"__name__": file, **variables}
    exec(compile(text, file, "exec"), namespace)
    return namespace["f"]


def _replayed(fast: CompiledFunction, arguments: list[Any], count: int) -> float:
    for _ in range(3):
        fast(*arguments)
    each = _each(lambda: fast(*arguments), count)
    assert fast._last[0] == "replay", fast.explain()
    return each


# Co-execution -------------------------------------------------------------------------------


def matching(count: int) -> list[Figure]:
    """What an operation costs in co-execution once it is known: the slope of a chain of them."""
    x, y = floats(4), floats(4)

    def chain(length: int) -> Callable[[], df.Tensor]:
        def run() -> df.Tensor:
            a = x
            for _ in range(length // 2):
                a = a * y
                a = a + x
            return a

        return run

    costs = []
    for length in (20, 220):
        segments, run = Segments(), chain(length)
        for _ in range(4):
            coexecute(segments, run, wait=True)
        costs.append(_each(lambda: coexecute(segments, run), count))  # noqa: B023
    return [Figure("co-execution, an op", (costs[1] - costs[0]) / 200, 2.0)]


def loops(batch: int, width: int, repeats: int) -> list[Figure]:
    """A training step that reads its loss and logs it, in the speed of the one that does neither:
    replayed, and (because it looks at its frame) co-executed: as it is, with all but the look
    replayed, and as one statement, of which nothing is."""
    log = logging.Logger("benchmark", logging.INFO)
    log.addHandler(logging.StreamHandler(io.StringIO()))
    steps = {"": training(batch, width), "replayed": training(batch, width, log),
             "co-executed": training(batch, width, log, frames=True)}  # fmt: skip
    made = {name: make() for name, make in steps.items()}
    step, arguments = steps["co-executed"]()
    made["one statement"] = (lambda *given: step(*given)), arguments
    fast = {name: df.compile(step, wait=True) for name, (step, _) in made.items()}
    best = dict.fromkeys(fast, float("inf"))
    for i in range(repeats + halves.WAITED + 4 * trials.TURNS):
        for name, call in fast.items():
            before = time.perf_counter()
            call(*made[name][1])
            if i >= halves.WAITED + 4 * trials.TURNS:
                best[name] = min(best[name], time.perf_counter() - before)
    assert fast["replayed"].stats()["co_executions"] == 0, fast["replayed"].explain()
    assert fast["co-executed"].stats()["replays"] == fast["one statement"].stats()["replays"] == 0
    bounds = {"replayed": 0.8, "co-executed": 0.8, "one statement": None}
    return [
        Figure(f"loss and log line at batch {batch}, width {width}, {name}",
               best[""] / best[name], bound, "of replayed speed")
        for name, bound in bounds.items()
    ]  # fmt: skip


# Beside the helper --------------------------------------------------------------------------


def beside(repeats: int, seconds: float) -> list[Figure]:
    """How fast Python and NumPy are while the helper process compiles, in their speed alone."""
    x, numbers = floats(64, 64), RANDOM.random(100_000)

    def rate() -> float:
        count, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            np.add(numbers, 1.0).sum()
            sum(range(2000))
            count += 1
        return count / (time.perf_counter() - began)

    shares = []
    for k in range(repeats):
        with tempfile.TemporaryDirectory() as folder, df.config(cache=folder):
            lines = (f"    x = df.exp(x - x.max(axis={i % 2})) * {k + i}.5\n" for i in range(6))
            alone = rate()
            fast = df.compile(_source("".join(lines), df=df))
            fast(x)
            block, found = fast._root.alternatives[0].block, []
            while not block.ready:
                found.append(rate())
            if found:
                shares.append(median(found) / median([alone, rate()]))
    value = median(shares) if shares else 1.0
    return [Figure("beside the compiling helper", value, 0.9, "of the speed alone")]


# The command --------------------------------------------------------------------------------


def measure(tiny: bool) -> list[Figure]:
    """All figures; `tiny`: once each, of small programs."""
    count, repeats = (1, 1) if tiny else (20_000, 15)
    programs = {
        "digits step": training(), "transformer": transformer, "heat loop": heat,
        "plain Python": plain,
    }  # fmt: skip
    found = [f for name, make in programs.items() for f in recording(name, make, repeats)]
    found += hooks(count) + replays(count) + guards(count) + matching(max(count // 100, 1))
    for batch, width in ((64, 16),) if tiny else ((512, 256), (2048, 512)):
        found += loops(batch, width, 2 if tiny else 12)
    return found + beside(1 if tiny else 15, 0.02 if tiny else 0.08)


def main() -> int:
    """Print what is measured; with --save, keep it."""
    tiny = "--tiny" in sys.argv
    if tiny:
        libraries.CHOSEN.clear()
    print(f"{machine()}; one thread for every library; least of several means")
    found = measure(tiny)
    for figure in found:
        bound = "" if figure.most is None else f"   bound {figure.most:g}"
        print(f"{figure.name:<62}{figure.value:9.2f} {figure.unit}{bound}", flush=True)
    if "--save" in sys.argv:
        facts = {f"{figure.name} ({figure.unit})": figure.value for figure in found}
        save({"threads": 1, "rows": [], "facts": facts}, "capture")
    return 0


if __name__ == "__main__":
    sys.exit(main())
