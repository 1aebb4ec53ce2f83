"""Segments: stretches of array operations between two points where Python needs a value.

    Step    = an input, or an op on slots; its children are the steps that ever followed it
    Record  = what is known of a stretch that ended at a step: which of its values are used later,
              and its programs
    Segments = the steps and records of one compiled function

Comes in: operations, one by one, as keys that children are found by: a stretch seen before costs
one dictionary look-up an operation. Goes out: values of slots, computed by the eager mode, or by a
compiled program once a stretch has come a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, final

import numpy as np

from dualflow import pipeline
from dualflow.array.eager import EagerMode
from dualflow.array.tensor import Tensor
from dualflow.base import config
from dualflow.base.counters import count
from dualflow.base.errors import CompileError
from dualflow.base.source import SourceLine
from dualflow.ir.graph import Graph, Value
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType, View
from dualflow.ops import primitives as p
from dualflow.ops.promotion import plan

from .notes import NodeBuilder, prune

#: Steps of one function; beyond it all are forgotten (a function that never repeats itself).
MOST_STEPS = 100_000
#: Programs of the process, found by graph and layouts.
MOST_PROGRAMS = 1_000

#: the strides of each input of a segment, in bytes
Strides = tuple[tuple[int, ...], ...]
_eager = EagerMode()


@final
class Hidden:
    """A Python scalar that differs from call to call: the input number `index` of the segment."""

    __slots__ = ("dtype", "index")

    def __init__(self, index: int, dtype: np.dtype) -> None:
        self.index, self.dtype = index, dtype


@final
class Step:
    """One operation of a stretch, at the place where it follows its parent.

    Attributes:
        op: None for an input from outside.
        operands: slots (int) of tensors; Python scalars as `Constant`, or `Hidden`.
        attributes: None for an elementwise op whose operands are still to be promoted.
        slot: the first slot that it fills; one for each of `types`.
        inputs: how many inputs the segment has after it.
        next: the steps that ever followed.
        scalars: keys, less the values of scalars, of the children that have scalars.
    """

    __slots__ = (
        "attributes", "hidden", "inputs", "line", "next", "op", "operands", "parent", "record",
        "scalars", "slot", "types",
    )  # fmt: skip

    def __init__(
        self,
        parent: Step | None,
        op: Op | None,
        operands: tuple[Any, ...],
        attributes: dict[str, Any] | None,
        types: tuple[TensorType, ...],
        line: SourceLine | None,
    ) -> None:
        self.parent, self.op, self.operands, self.attributes = parent, op, operands, attributes
        self.types, self.line = types, line
        self.slot = parent.slot + len(parent.types) if parent is not None else 0
        self.hidden = tuple(x for x in operands if type(x) is Hidden)
        before = parent.inputs if parent is not None else 0
        self.inputs = before + len(self.hidden) + (parent is not None and op is None)
        self.next: dict[Hashable, Step] = {}
        self.record: Record | None = None
        self.scalars: set[Hashable] | None = None

    @property
    def slots(self) -> range:
        """The slots that it fills."""
        return range(self.slot, self.slot + len(self.types))


@final
class Constant:
    """A Python scalar among the operands of a step."""

    __slots__ = ("value",)

    def __init__(self, value: bool | int | float) -> None:
        self.value = value


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
            slot: array.copy() if copied else array
            for slot, array, copied in zip(self.slots, made, self._copies, strict=True)
        }


@final
class Record:
    """A stretch of steps that ran as one segment.

    Attributes:
        steps: in order.
        given: the slots of inputs, and which input each is.
        used: slots whose values were asked for after the segment had run, or that outlived the
            call; only these are stored from the second time on.
        runs: how often it ran.
    """

    __slots__ = ("_programs", "given", "runs", "steps", "used")

    def __init__(self, last: Step) -> None:
        steps = []
        step: Step | None = last
        while step is not None and step.parent is not None:
            steps.append(step)
            step = step.parent
        self.steps: tuple[Step, ...] = tuple(reversed(steps))
        self.given = {step.slot: step.inputs - 1 for step in self.steps if step.op is None}
        self.used: set[int] = set()
        self.runs = 0
        self._programs: dict[Hashable, Program | None] = {}

    def needed(self, slots: Iterable[int]) -> list[Step]:
        """The steps, in order, without which `slots` cannot be computed."""
        wanted = set(slots)
        found = []
        for step in reversed(self.steps):
            if not wanted.isdisjoint(step.slots):
                found.append(step)
                wanted.update(x for x in step.operands if type(x) is int)
        found.reverse()
        return found

    def inputs(self, slots: Iterable[int]) -> set[int]:
        """The inputs of the segment, hidden scalars too, that `slots` are computed from."""
        found = set()
        for step in self.needed(slots):
            found.update(x.index for x in step.hidden)
            if step.op is None:
                found.add(step.inputs - 1)
        return found

    def interpret(self, slots: Iterable[int], arrays: Sequence[np.ndarray]) -> dict[int, Any]:
        """The arrays of `slots`, computed by the eager mode from the inputs `arrays`."""
        slots = set(slots)
        steps = self.needed(slots)
        last = {x: step for step in steps for x in step.operands if type(x) is int}
        known: dict[int, Tensor] = {}
        for step in steps:
            made = _run_step(step, known, arrays)
            for slot, tensor in zip(step.slots, made, strict=True):
                known[slot] = tensor
            for x in step.operands:
                if type(x) is int and last[x] is step and x not in slots:
                    known.pop(x, None)
        return {slot: known[slot].array for slot in slots}

    def program(
        self, slots: tuple[int, ...], strides: Strides, stats: Stats, wait: bool
    ) -> Program | None:
        """The compiled program that gives `slots` for inputs of such strides (in bytes).

        It starts to compile when it is asked for first; None while it is not ready and `wait` is
        False, or if the compiler failed on it.

        Raises:
            CompileError: the compiler failed, with on_compiler_error="raise".
        """
        key = slots, strides
        program = self._programs.get(key)
        if program is None:
            if key in self._programs:
                return None
            program = self._programs[key] = self._start(slots, strides, stats)
        if program is None or not (wait or program.ready):
            return None
        try:
            program.finish()
        except Exception as cause:
            self._programs[key] = None
            stats.failed(cause)
            return None
        return program

    def _start(self, slots: tuple[int, ...], strides: Strides, stats: Stats) -> Program | None:
        graph, inputs = self.graph(slots)
        layouts = []
        for value, i in zip(graph.inputs, inputs, strict=True):
            size = value.dtype.itemsize
            layouts.append(View(value.shape, tuple(stride // size for stride in strides[i])))
        try:
            key = graph.key, tuple(layouts)
            compilation = _compilations.get(key)
            if compilation is None:
                compilation = pipeline.compile_graph(graph, layouts)
                if len(_compilations) >= MOST_PROGRAMS:
                    _compilations.clear()
                _compilations[key] = compilation
                stats.programs += 1
        except Exception as cause:
            stats.failed(cause)
            return None
        return Program(compilation, graph, inputs, slots)

    def graph(self, slots: Sequence[int]) -> tuple[Graph, tuple[int, ...]]:
        """The graph that computes `slots`, and which inputs of the segment it takes."""
        builder = NodeBuilder()
        inputs: list[int] = []
        values: dict[int, Value] = {}

        def hidden(x: Hidden) -> Value:
            inputs.append(x.index)
            return builder.input(TensorType((), x.dtype))

        for step in self.needed(slots):
            if step.op is None:
                inputs.append(step.inputs - 1)
                values[step.slot] = builder.input(step.types[0])
                continue
            operands = [values[x] if type(x) is int else x for x in step.operands]
            attributes = step.attributes
            if attributes is None:
                operands = _promoted(builder, step.op, operands, hidden, step.line)
                attributes = {}
            elif step.hidden:  # full, of a hidden value
                type_ = step.types[0]
                value = builder.fit(hidden(operands[0]), type_.dtype, type_.shape, step.line)
                if value.node is None:  # of shape (): it must not be the input itself
                    value = builder.add(p.cast.op, (value,), {"dtype": type_.dtype}).result
                values[step.slot] = value
                continue
            node = builder.add(step.op, operands, attributes, step.line)
            values.update(zip(step.slots, node.results, strict=True))
        outputs = [values[slot] for slot in slots]
        return prune(builder.build(outputs), outputs), tuple(inputs)


#: programs of the whole process, by graph and layouts: two functions may share one
_compilations: dict[Hashable, Any] = {}


def _promoted(
    builder: NodeBuilder, op: Op, operands: list[Any], hidden: Any, line: SourceLine | None
) -> list[Value]:
    """Operands cast and expanded; scalars written as full or taken as inputs."""
    plain = [x.value if type(x) is Constant else x for x in operands]
    plain = [x.dtype.type(0).item() if type(x) is Hidden else x for x in plain]
    dtypes, shape = plan(op, plain)
    found = []
    for x, dtype in zip(operands, dtypes, strict=True):
        if type(x) is Constant:
            found.append(builder.constant(x.value, dtype, shape, line))
        else:
            value = hidden(x) if type(x) is Hidden else x
            found.append(builder.fit(value, dtype, shape, line))
    return found


def _run_step(
    step: Step, known: dict[int, Tensor], arrays: Sequence[np.ndarray]
) -> tuple[Tensor, ...]:
    if step.op is None:
        return (Tensor._wrap(arrays[step.inputs - 1]),)
    operands = []
    for x in step.operands:
        if type(x) is int:
            operands.append(known[x])
        elif type(x) is Constant:
            operands.append(x.value)
        else:
            operands.append(arrays[x.index].item())
    if step.attributes is None:
        made = _eager.elementwise(step.op, tuple(operands))
    elif step.hidden:
        made = _eager.apply(step.op, (), {**step.attributes, "value": operands[0]})
    else:
        made = _eager.apply(step.op, tuple(operands), step.attributes)
    return made if type(made) is tuple else (made,)


@final
class Stats:
    """What happened in one function's co-executed calls.

    Attributes:
        segments: stretches that ran; `compiled` of them as programs, the rest by the eager mode.
        recomputed: values asked for that had not been stored.
        copies: inputs copied because they were about to be overwritten while still needed.
        programs: programs that this function was the first to ask for.
        failures: programs that the compiler failed on.
        syncs: how often a segment ended, by user's line and cause.
    """

    def __init__(self) -> None:
        self.segments = self.compiled = self.recomputed = self.copies = 0
        self.programs = self.failures = 0
        self.syncs: Counter[tuple[SourceLine | None, str]] = Counter()

    def failed(self, cause: Exception) -> None:
        """Count a failure of the compiler, or raise it, as the settings say."""
        self.failures += 1
        count("compiler_errors")
        if config.active().on_compiler_error == "raise":
            if isinstance(cause, CompileError):
                raise cause
            raise CompileError(f"the compiler failed on a co-executed segment: {cause}") from cause


@final
class Segments:
    """What one compiled function's co-executed calls have shown so far."""

    def __init__(self) -> None:
        self.root = Step(None, None, (), None, (), None)
        self.steps = 0
        self.stats = Stats()
        self._varying: set[Hashable] = set()

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
            self.root, self.steps = Step(None, None, (), None, (), None), 0

