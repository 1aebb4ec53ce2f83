"""Report: how one call of a compiled function ran, with all that was compiled for it.

Comes in: capture makes one for each path. Goes out: read by `explain` and by `df.compare`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from dualflow.base.records import record
from dualflow.ir.graph import Graph
from dualflow.ir.kernel import Kernel
from dualflow.ir.program import Loop, Program, Step, touched
from dualflow.ir.text import KernelText

How = Literal["record", "replay", "co-execute", "eager"]


@record
class Section:
    """One compiled stretch of a call.

    Attributes:
        graph: what was recorded, before passes.
        program: what runs; None while it is being compiled or where the compiler failed.
        reasons: notes of the scheduler: which nodes share a kernel, why a fusion stopped.
        texts: the source of each kernel.
        working: bytes of the working memory of a run: intermediates, and scratch of kernels and
            products; 0 while it is not known.
    """

    graph: Graph
    program: Program | None = None
    reasons: tuple[str, ...] = ()
    texts: Mapping[Kernel, KernelText] = MappingProxyType({})
    working: int = 0

    @property
    def kernels(self) -> int:
        """Kernel launches of a run."""
        return self.program.runs[0] if self.program else 0

    @property
    def library_calls(self) -> int:
        """Ops run whole, by BLAS or NumPy."""
        return self.program.runs[1] if self.program else 0

    @property
    def bytes_moved(self) -> int:
        """Bytes that the steps read and write, each operand once a step."""
        return sum(map(step_bytes, self.program.steps)) if self.program else 0

    @property
    def bytes_least(self) -> int:
        """Bytes of the inputs that are used and of the outputs, each once."""
        used = set(self.graph.uses) | set(self.graph.outputs)
        inputs = sum(value.type.nbytes for value in self.graph.inputs if value in used)
        made = {value for value in self.graph.outputs if value.node is not None}
        return inputs + sum(value.type.nbytes for value in made)

    @property
    def output_bytes(self) -> tuple[int, ...]:
        """Bytes of each buffer that a run makes for its outputs."""
        outputs = self.program.outputs if self.program else ()
        buffers = {o.buffer for o in outputs if o.buffer.place == "output"}
        return tuple(buffer.nbytes for buffer in buffers)

    @property
    def input_bytes(self) -> int:
        """Bytes of what a run is given, each piece of memory once."""
        return sum(o.buffer.nbytes for o in self.program.inputs) if self.program else 0

    @property
    def scratch(self) -> int:
        """Bytes that steps need for themselves: it grows with threads and blocks, not with data."""
        return max(self.working - self.arena, 0)

    @property
    def peak(self) -> int:
        """Bytes that a run holds, scratch aside: what it is given and returns, intermediates."""
        return self.input_bytes + sum(self.output_bytes) + self.arena

    @property
    def peak_least(self) -> int:
        """Bytes that live at once at the most: no run of these steps in this order holds less."""
        return self.input_bytes + (self.program.needed if self.program else 0)

    @property
    def arena(self) -> int:
        """Bytes of all intermediates together."""
        return self.program.arena if self.program else 0


def step_bytes(step: Step) -> int:
    """Bytes that a step reads and writes: for each operand the elements it shows, those that a
    broadcast repeats once."""
    if isinstance(step, Loop):
        return step.count * sum(map(step_bytes, step.body.steps))
    total = 0
    for operand in touched(step):
        elements = 1
        for size, stride in zip(operand.view.shape, operand.view.strides, strict=True):
            elements *= size if stride or not size else 1
        total += elements * operand.dtype.itemsize
    return total


@record
class Report:
    """How a call ran.

    Attributes:
        name: the function.
        how: which of the ways.
        reasons: why it is no replay, each with the user's line; empty for a replay.
        sections: what was compiled, in the order in which it runs.
        guards: the source of the guard function; empty where there is none.
        effects: what a replay does after the program, a line each.
    """

    name: str
    how: How
    reasons: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    guards: str = ""
    effects: tuple[str, ...] = ()
