"""Segments: stretches of array operations between two points where Python needs a value.

    Record   = what is known of a stretch of steps: which of its values are used later, its programs
    Segments = the steps and records of one compiled function

Comes in: operations, one by one, as keys that children are found by: a stretch seen before costs
one dictionary look-up an operation. Goes out: values of slots, computed by a compiled program, or
by the eager mode while there is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, final

import numpy as np

from dualflow import pipeline
from dualflow.array.arrays import copied
from dualflow.base import config
from dualflow.base.counters import count
from dualflow.base.errors import CompileError
from dualflow.base.interrupts import pass_on
from dualflow.base.source import SourceLine
from dualflow.ir.graph import Graph
from dualflow.ir.types import View
from dualflow.ops.devices import Device

from .steps import Step, as_graph

#: Steps of one function; beyond it all are forgotten (a function that never repeats itself).
MOST_STEPS = 100_000
#: Programs of the process, found by graph and layouts.
MOST_PROGRAMS = 1_000

#: the strides of each input of a segment, in bytes
Strides = tuple[tuple[int, ...], ...]


@final
class Program:
    """A compiled part of a segment: which inputs it takes, which slots it gives."""

    __slots__ = ("_copies", "_run", "compilation", "graph", "inputs", "slots")

    def __init__(
        self, compilation: Any, graph: Graph, inputs: tuple[int, ...], slots: tuple[int, ...]
    ) -> None:
        self.compilation, self.graph, self.inputs, self.slots = compilation, graph, inputs, slots
        self._run: Any = None
        self._copies: tuple[bool, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether `run` will not have to wait."""
        return self._run is not None or self.compilation.done

    def finish(self) -> None:
        """Wait until it is ready; raises what the compiler raised."""
        if self._run is None:
            executable = self.compilation.result()
            seen, copies = set(), []
            for operand in executable.program.outputs:
                place = operand.buffer.place, operand.buffer.index
                fills = operand.view.is_contiguous and operand.type.nbytes == operand.buffer.nbytes
                copies.append(operand.buffer.place == "input" or place in seen or not fills)
                seen.add(place)
            self._copies, self._run = tuple(copies), executable.run

    def run(self, arrays: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """The values of `slots`, each in memory of its own, for the segment's inputs."""
        made = self._run([arrays[i] for i in self.inputs])
        return {
            slot: copied(array, "C") if shared else array
            for slot, array, shared in zip(self.slots, made, self._copies, strict=True)
        }


#: is asked about a program before it runs on the segment's inputs
Check = Callable[[Program, Sequence[np.ndarray]], None]


@final
class Record:
    """A stretch of steps that ran as one segment.

    Attributes:
        steps: in order, on one device.
        given: the slots of inputs, and which input each is.
        used: slots whose values were asked for after the segment had run, or that outlived the
            call; only these are stored from the second time on.
        runs: how often it ran.
        operations: how many of the steps are operations, not inputs.
    """

    __slots__ = ("_programs", "given", "operations", "runs", "steps", "used")

    def __init__(self, last: Step) -> None:
        steps = []
        step: Step | None = last
        while step is not None and step.parent is not None:
            steps.append(step)
            step = step.parent
        self.steps: tuple[Step, ...] = tuple(reversed(steps))
        self.given = {step.slot: step.inputs - 1 for step in self.steps if step.op is None}
        self.operations = len(self.steps) - len(self.given)
        self.used: set[int] = set()
        self.runs = 0
        self._programs: dict[Hashable, Program | Exception] = {}

    @property
    def programs(self) -> tuple[Program, ...]:
        """Its programs, being compiled ones included; the last is the one in use."""
        return tuple(p for p in self._programs.values() if isinstance(p, Program))

    def program(
        self, slots: tuple[int, ...], strides: Strides, place: Device | None, stats: Stats,
        wait: bool,
    ) -> Program | None:  # fmt: skip
        """The compiled program that gives `slots` for inputs of such strides (in bytes), for the
        GPU `place` or the CPU.

        It starts to compile when it is asked for first; None while it is not ready and `wait` is
        False, or if the compiler failed on it.

        Raises:
            CompileError: the compiler failed, with on_compiler_error="raise".
        """
        key = slots, strides, config.active().numerics
        program = self._programs.get(key)
        if isinstance(program, Exception):  # failed before
            stats.raise_if_asked(program)
            return None
        try:
            if program is None:
                program = self._programs[key] = self._start(slots, strides, place, stats, wait)
            if not (wait or program.ready):
                stats.waits += 1
                return None
            program.finish()
        except Exception as cause:
            pass_on(cause)
            self._programs[key] = cause
            stats.failed(cause)
            return None
        return program

    def _start(
        self, slots: tuple[int, ...], strides: Strides, place: Device | None, stats: Stats,
        wait: bool,
    ) -> Program:  # fmt: skip
        graph, inputs = as_graph(self.steps, slots)
        layouts = []
        for value, i in zip(graph.inputs, inputs, strict=True):
            size = value.dtype.itemsize
            layouts.append(View(value.shape, tuple(stride // size for stride in strides[i])))
        key = graph.key, tuple(layouts), place, config.active().numerics
        compilation = _compilations.get(key)
        if compilation is None:
            settings: dict[str, Any] = {} if wait else {"behind": True}
            if place is not None:
                settings["device"] = place
            compilation = pipeline.compile_graph(graph, layouts, **settings)
            if len(_compilations) >= MOST_PROGRAMS:
                _compilations.clear()
            _compilations[key] = compilation
            stats.programs += 1
        return Program(compilation, graph, inputs, slots)


#: programs of the whole process, by graph, layouts and numerics: two functions may share one
_compilations: dict[Hashable, Any] = {}


@final
class Stats:
    """What happened in one function's co-executed calls.

    Attributes:
        fused, eager: array operations that ran in programs, and one by one.
        segments: stretches that ran; `compiled` of them as programs, the rest by the eager mode.
        recomputed: values asked for that had not been stored.
        copies: inputs copied because they were about to be overwritten while still needed.
        waits: stretches that the eager mode ran since their program was not there yet.
        programs: programs that this function was the first to ask for.
        failures: programs that the compiler failed on.
        syncs: how often a segment ended, by user's line and cause.
    """

    def __init__(self) -> None:
        self.fused = self.eager = 0
        self.segments = self.compiled = self.recomputed = self.copies = 0
        self.programs = self.failures = self.waits = 0
        self.syncs: Counter[tuple[SourceLine | None, str]] = Counter()

    def ran(self, operations: int, *, fused: bool) -> None:
        """Count array operations that ran."""
        if fused:
            self.fused += operations
        else:
            self.eager += operations
        count("operations_fused" if fused else "operations_eager", operations)

    def failed(self, cause: Exception) -> None:
        """Count a failure of the compiler, or raise it, as the settings say."""
        self.failures += 1
        count("compiler_errors")
        self.raise_if_asked(cause)

    def raise_if_asked(self, cause: Exception) -> None:
        """Raise a failure of the compiler, if the settings say so."""
        if config.active().on_compiler_error == "raise":
            if isinstance(cause, CompileError):
                raise cause
            raise CompileError(f"the compiler failed on a co-executed segment: {cause}") from cause


@final
class Segments:
    """What one compiled function's co-executed calls have shown so far.

    Attributes:
        audit: is asked about each program of the next call before it runs.
    """

    def __init__(self) -> None:
        self._roots: dict[Device | None, Step] = {}
        self.steps = 0
        self.stats = Stats()
        self.audit: Check | None = None
        self._varying: set[Hashable] = set()

    def records(self) -> Iterator[Record]:
        """Every stretch that ever ran, for explanations."""
        todo = list(self._roots.values())
        while todo:
            step = todo.pop()
            todo += reversed(step.next.values())
            if step.record is not None:
                yield step.record

    def root(self, place: Device | None) -> Step:
        """What comes before the first step of a segment on a GPU, or, with None, on the CPU."""
        found = self._roots.get(place)
        if found is None:
            found = self._roots[place] = Step(None, None, (), None, (), None)
        return found

    def add(self, step: Step, key: Hashable) -> Step:
        """Enter `step` below its parent."""
        self.steps += 1
        assert step.parent is not None
        step.parent.next[key] = step
        return step

    def varies(self, parent: Step, general: Hashable, key: Hashable, place: Hashable) -> bool:
        """Whether the Python scalars of a step to be entered below `parent` are to be inputs.

        They are once a step there differed in nothing else, or one of the same op at the same
        line (`place`) varied elsewhere. `general` is `key` without the values of scalars.
        """
        if general == key:
            return False
        if parent.scalars is None:
            parent.scalars = set()
        if general in parent.scalars:
            self._varying.add(place)
        parent.scalars.add(general)
        return place in self._varying

    def forget(self) -> None:
        """Drop all steps if there are too many; between two segments only."""
        if self.steps > MOST_STEPS:
            self._roots.clear()
            self.steps = 0
