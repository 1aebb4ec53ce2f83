"""Program: what to launch, in which buffers.

    Program = inputs: TensorType*, outputs: Operand*, steps: (Launch|Call)*, arena size, constants,
              errors (what each status code means)
    Operand = place in a buffer (input i, output j, arena at a byte, constant k) seen by a View
    Launch  = a Kernel with its operands, integers (sizes, strides) and scalars
    Call    = an op run by a library on whole operands

Comes in: `schedule/`. Goes out: `runtime/`. Inputs have known strides: they are part of the guard
of a trace, and so of the program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dualflow.base.source import SourceLine

from .kernel import Kernel
from .op import Op
from .types import TensorType, View


@dataclass(frozen=True, slots=True)
class Buffer:
    """A piece of memory: `index` counts inputs, outputs or constants; in the arena it is a byte."""

    place: Literal["input", "output", "arena", "constant"]
    index: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor in a buffer. The view's offset and strides count elements of `dtype`."""

    buffer: Buffer
    dtype: np.dtype
    view: View

    @property
    def type(self) -> TensorType:
        return TensorType(self.view.shape, self.dtype)


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel on its operands, one for each access, and its run-time numbers.

    Attributes:
        integers: a value for each of `kernel.integers()`; grid ranges are whole (0 to size).
        scalars: a value for each of `kernel.scalars`.
        covers: the user's lines of the nodes that it computes, for comments and explanations.
    """

    kernel: Kernel
    operands: tuple[Operand, ...]
    integers: tuple[int, ...]
    scalars: tuple[bool | int | float, ...]
    covers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """An op run as a whole, by BLAS or by its NumPy implementation."""

    op: Op
    attributes: Mapping[str, Any]
    operands: tuple[Operand, ...]
    results: tuple[Operand, ...]
    line: SourceLine | None = None


Step = Launch | Call


@dataclass(frozen=True, eq=False)
class Program:
    """A whole compiled graph.

    Attributes:
        inputs: the types of the inputs, and their views.
        outputs: where each output of the graph lies: an "output" buffer of its own, or (a graph
            that returns an input or a constant unchanged) an input or a constant.
        arena: bytes for all intermediates together.
        errors: for each status code from 1 on, the exception to raise: class and message.
    """

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    steps: tuple[Step, ...]
    arena: int
    constants: tuple[np.ndarray, ...]
    errors: tuple[tuple[type[Exception], str], ...] = ()

    @property
    def launches(self) -> tuple[Launch, ...]:
        return tuple(step for step in self.steps if isinstance(step, Launch))

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(program: Program) -> Iterator[str]:
    yield f"program: {len(program.steps)} steps, arena {program.arena} bytes"
    for i, step in enumerate(program.steps):
        if isinstance(step, Launch):
            operands = ", ".join(
                f"{access.name}={_place(operand)}"
                for access, operand in zip(step.kernel.accesses, step.operands, strict=True)
            )
            yield f"  {i}: launch {operands} integers={step.integers} scalars={step.scalars}"
        else:
            operands = ", ".join(map(_place, step.operands))
            results = ", ".join(map(_place, step.results))
            yield f"  {i}: call {step.op.name}({operands}) -> {results}"
    yield f"  return {', '.join(map(_place, program.outputs))}"


def _place(operand: Operand) -> str:
    view = operand.view
    where = f"{operand.buffer.place}{operand.buffer.index}"
    layout = "" if view.is_contiguous and not view.offset else f" {view.strides}+{view.offset}"
    return f"{where}:{operand.type}{layout}"
