"""Program: what to launch, in which buffers.

    Program = inputs: TensorType*, outputs: Operand*, steps: Step*, arena size, constants,
              errors (what each status code means)
    Operand = place in a buffer (input i, output j, arena at a byte, constant k) seen by a View
    Launch  = a Kernel with its operands, integers (sizes, strides) and scalars
    Call    = an op run by a library on whole operands
    Loop    = a Program run many times, on memory that is exchanged or moves from step to step
    Chain   = Launches and Calls run for one block of rows after the other
    Step    = Launch | Call | Loop | Chain

Comes in: `schedule/`. Goes out: `runtime/`. Inputs have known strides: they are part of the guard
of a trace, and so of the program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from dualflow.base.records import entity, record
from dualflow.base.source import SourceLine

from .kernel import Kernel
from .op import Op
from .types import TensorType, View


@record
class Buffer:
    """A piece of memory: `index` counts inputs, outputs or constants; in the arena it is a byte. A
    "block" is what a Chain holds of one block of rows at a time, counted within the Chain."""

    place: Literal["input", "output", "arena", "constant", "block"]
    index: int
    nbytes: int


@record
class Operand:
    """A tensor in a buffer. The view's offset and strides count elements of `dtype`."""

    buffer: Buffer
    dtype: np.dtype
    view: View

    @property
    def type(self) -> TensorType:
        return TensorType(self.view.shape, self.dtype)


@record
class Launch:
    """A kernel on its operands, one for each access, and its run-time numbers.

    Attributes:
        integers: a value for each of `kernel.integers()`; grid ranges are whole (0 to size).
        scalars: a value for each of `kernel.scalars`.
        covers: the user's lines of the nodes that it computes, for explanations.
    """

    kernel: Kernel
    operands: tuple[Operand, ...]
    integers: tuple[int, ...]
    scalars: tuple[bool | int | float, ...]
    covers: tuple[SourceLine, ...] = ()


@record
class Call:
    """An op run as a whole, by a library; `exact`: with the bits of its NumPy implementation."""

    op: Op
    attributes: Mapping[str, Any]
    operands: tuple[Operand, ...]
    results: tuple[Operand, ...]
    line: SourceLine | None = None
    exact: bool = False

    @property
    def settings(self) -> str:
        """The attributes as people write them, such as `axis=0`."""
        return ", ".join(f"{name}={value}" for name, value in self.attributes.items())


@record
class Loop:
    """A program run again and again on memory that moves, with nothing allocated on the way.

    Attributes:
        body: its input 0 is the number of the step, from 0.
        count: how often it runs.
        places: where each input and then each output buffer of `body` lies at step 0.
        following: the memory that it has in the next step is that of the place of this number,
        moves: moved on by so many bytes.
        copies: what is copied before the first step: from, to; both packed.
        operands: what is read in all steps together.
        results: what holds the results at the end.
    """

    body: Program
    count: int
    places: tuple[Operand, ...]
    following: tuple[int, ...]
    moves: tuple[int, ...]
    copies: tuple[tuple[Operand, Operand], ...]
    operands: tuple[Operand, ...]
    results: tuple[Operand, ...]


@record
class Chain:
    """Kernels and products of matrices run for one block of rows after the other, so that what they
    hand on stays in the cache and takes memory for one block alone.

    Attributes:
        steps: in the order in which they run for each block.
        rows: the sizes of the axes along which rows are counted; blocks divide the last one.
        tall: rows of a block, but for the last ones.
        moves: for each step, how it follows the rows. For a Launch: for each axis of the grid the
            points that a step along each axis of `rows` moves its range by, or None where all of it
            is walked for each block. For a Call: for each operand and the result, the elements that
            such steps move it by; a result that does not move along the last one is a sum.
        held: for each buffer of place "block", the bytes of a row.
        seen: numbers of columns that row i of a run needs 0 to i of: the step, and for a Launch the
            name of the integer, for a Call which it is: "columns" of the result, those "summed"
            over, if what they meet is finite, or "added rows" or "added columns" of a result that
            is a sum over blocks, if what a block adds up is.
    """

    steps: tuple[Launch | Call, ...]
    rows: tuple[int, ...]
    tall: int
    moves: tuple[tuple[tuple[int, ...] | None, ...], ...]
    held: tuple[int, ...]
    seen: tuple[tuple[int, str], ...] = ()

    @property
    def touched(self) -> tuple[Operand, ...]:
        """The operands and results of its steps that lie in memory."""
        found: list[Operand] = []
        for step in self.steps:
            found += step.operands if isinstance(step, Launch) else (*step.operands, *step.results)
        return tuple(operand for operand in found if operand.buffer.place != "block")


Step = Launch | Call | Loop | Chain


def touched(step: Launch | Call | Chain) -> tuple[Operand, ...]:
    """What a step that is no loop reads and writes in memory."""
    if isinstance(step, Chain):
        return step.touched
    return step.operands if isinstance(step, Launch) else (*step.operands, *step.results)


@entity
class Program:
    """A whole compiled graph.

    Attributes:
        inputs: the types of the inputs, and their views.
        outputs: where each output of the graph lies: an "output" buffer of its own, or (a graph
            that returns an input or a constant unchanged) an input or a constant.
        arena: bytes for all intermediates together.
        errors: for each status code from 1 on, the exception to raise: class and message.
        needed: bytes of outputs and intermediates that live at once at the most: with its steps in
            this order, no plan needs less.
    """

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    steps: tuple[Step, ...]
    arena: int
    constants: tuple[np.ndarray, ...]
    errors: tuple[tuple[type[Exception], str], ...] = ()
    needed: int = 0

    @property
    def launches(self) -> tuple[Launch, ...]:
        """All there are, those of the bodies of loops once."""
        found: list[Launch] = []
        for step in self.steps:
            if isinstance(step, Loop):
                found += step.body.launches
            elif isinstance(step, Chain):
                found += [part for part in step.steps if isinstance(part, Launch)]
            elif isinstance(step, Launch):
                found.append(step)
        return tuple(found)

    @property
    def runs(self) -> tuple[int, int]:
        """How many kernels a run launches, and how many library calls it makes."""
        launches = calls = 0
        for step in self.steps:
            if isinstance(step, Loop):
                inner = step.body.runs
                launches += step.count * inner[0]
                calls += step.count * inner[1]
                continue
            parts = step.steps if isinstance(step, Chain) else (step,)
            kernels = sum(isinstance(part, Launch) for part in parts)
            launches += kernels
            calls += len(parts) - kernels
        return launches, calls

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(program: Program) -> Iterator[str]:
    yield f"program: {len(program.steps)} steps, arena {program.arena} bytes"
    for i, step in enumerate(program.steps):
        if isinstance(step, Loop):
            yield from _loop_lines(i, step)
        elif isinstance(step, Chain):
            yield f"  {i}: {step.tall} rows of {step.rows} at a time, {sum(step.held)} bytes a row:"
            yield from (f"     {_step_line(part)}" for part in step.steps)
        else:
            yield f"  {i}: {_step_line(step)}"
    yield f"  return {', '.join(map(_place, program.outputs))}"


def _step_line(step: Launch | Call) -> str:
    if isinstance(step, Launch):
        operands = ", ".join(
            f"{access.name}={_place(operand)}"
            for access, operand in zip(step.kernel.accesses, step.operands, strict=True)
        )
        return f"launch {operands} integers={step.integers} scalars={step.scalars}"
    settings = (step.settings,) if step.attributes else ()
    operands = ", ".join((*map(_place, step.operands), *settings))
    return f"call {step.op.name}({operands}) -> {', '.join(map(_place, step.results))}"


def _loop_lines(number: int, loop: Loop) -> Iterator[str]:
    for source, target in loop.copies:
        yield f"  {number}: copy {_place(source)} -> {_place(target)}"
    inputs = len(loop.body.inputs)
    yield f"  {number}: {loop.count} times, with"
    for i, (place, after, move) in enumerate(
        zip(loop.places, loop.following, loop.moves, strict=True)
    ):
        name = f"input{i}" if i < inputs else f"output{i - inputs}"
        other = f"input{after}" if after < inputs else f"output{after - inputs}"
        then = f", then {other}'s" if after != i else f", then {move:+} bytes" if move else ""
        yield f"       {name} = {_place(place)}{then}"
    yield from (f"     {line}" for line in _lines(loop.body))


def _place(operand: Operand) -> str:
    view = operand.view
    where = f"{operand.buffer.place}{operand.buffer.index}"
    layout = "" if view.is_contiguous and not view.offset else f" {view.strides}+{view.offset}"
    return f"{where}:{operand.type}{layout}"
