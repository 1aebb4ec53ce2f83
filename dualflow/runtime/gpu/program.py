"""Programs on a GPU: launches and calls of libraries one after the other, behind Python.

    prepare(program, texts, choose, index) -> Compilation   polled while kernels are compiled
    Compilation.result()                   -> Executable    run(arrays) -> outputs

Each launch is bound once: its numbers packed, its machine code chosen by how its operands are
aligned. A program of launches alone that meets the same addresses again is captured as a CUDA
graph, which costs one call however many kernels it has; other addresses are launched one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dualflow.base.counters import count
from dualflow.ir.graph import Graph
from dualflow.ir.kernel import Check, Kernel
from dualflow.ir.program import Call, Launch, Program
from dualflow.ir.text import KernelText, Variant

from . import images
from .graphs import Graphs
from .libraries import capability, cupy, told
from .places import Places
from .steps import Bound, LibraryCall, RepeatedBody

#: The compilation that serves a launch whose operands are aligned so, and its grid.
Choose = Callable[[Launch, Sequence[bool]], tuple[Variant, int]]


def prepare(
    program: Program, texts: Mapping[Kernel, KernelText], choose: Choose, index: int = 0,
    reasons: Sequence[str] = (),
) -> Compilation:  # fmt: skip
    """Start compiling the kernels of `program` for the GPU `index`.

    Raises:
        DeviceError: there is no such GPU.
    """
    return Compilation(program, texts, choose, index, reasons)


class Compilation:
    """A program whose kernels are being compiled.

    Attributes:
        rolled: the graph that was planned, where loops were made in it first; else None.
    """

    rolled: Graph | None = None

    def __init__(
        self, program: Program, texts: Mapping[Kernel, KernelText], choose: Choose, index: int,
        reasons: Sequence[str],
    ) -> None:  # fmt: skip
        self.program, self.texts, self.reasons = program, texts, tuple(reasons)
        self._choose, self._index = choose, index
        target = capability(index)
        places = Places(program)
        self._builds = [
            images.start(texts[launch.kernel], choose(launch, places.aligned(launch))[0], target)
            for launch in program.launches
        ]
        self._executable: Executable | None = None

    @property
    def done(self) -> bool:
        """Whether `result()` will not have to wait."""
        return self._executable is not None or all(build.poll() for build in self._builds)

    def result(self) -> Executable:
        """The program ready to run; waits for its kernels.

        Raises:
            CompileError: a kernel's text could not be compiled.
        """
        if self._executable is None:
            for build in self._builds:
                build.result()
            self._executable = Executable(self.program, self.texts, self._choose, self._index)
        return self._executable


class Executable:
    """A program in machine code of one GPU. Calls may overlap: each has its own arena."""

    def __init__(
        self, program: Program, texts: Mapping[Kernel, KernelText], choose: Choose, index: int
    ) -> None:
        self.program, self.index = program, index
        self._places = places = Places(program)
        self._steps: list[Bound | LibraryCall | RepeatedBody] = []
        for step in program.steps:
            if isinstance(step, Launch):
                self._steps.append(Bound(step, texts[step.kernel], places, choose, index))
            elif isinstance(step, Call):
                self._steps.append(LibraryCall(step, places))
            else:
                body = Executable(step.body, texts, choose, index)
                self._steps.append(RepeatedBody(step, body, places))
        with told("loading kernels"), cupy().cuda.Device(index):
            cupy().zeros(1, np.int64)  # makes the device's context current, for the driver
            for step, bound in zip(program.steps, self._steps, strict=True):
                if isinstance(step, Launch) and isinstance(bound, Bound):
                    bound.load(places.aligned(step))
        self._checks = _may_fail(program)
        launches = all(isinstance(step, Bound) for step in self._steps)
        self._graphs = Graphs() if launches and len(self._steps) > 1 else None
        self._arenas: list[Any] = []
        self._launches, self._calls = program.runs

    @property
    def native(self) -> bool:
        """Whether nothing can fail half-way once it has begun."""
        return not self._checks and all(isinstance(step, Bound) for step in self._steps)

    def parts_of_call(self) -> None:
        """None: Python launches, so a call is never one native function."""

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """The outputs for `arrays`, which must have the dtypes, shapes and strides of
        `program.inputs`; those of the host (numbers, constants) are copied to the GPU.

        Raises:
            Exception: the class and message in `program.errors`, if a check failed.
            DeviceError, OutOfMemoryError: what went wrong on the GPU.
        """
        xp = cupy()
        with told("a compiled program"), xp.cuda.Device(self.index):
            given = [xp.asarray(a) if isinstance(a, (np.ndarray, np.generic)) else a
                     for a in arrays]  # fmt: skip
            buffers = [xp.empty(shape, dtype) for shape, dtype in self._places.buffers]
            arena = self._arena(xp)
            status = xp.zeros(1, np.int64) if self._checks else None
            self.run_on(given, buffers, arena, status)
            if arena is not None:
                self._arenas.append(arena)
            if status is not None and (code := int(status[0])):
                error, message = self.program.errors[code - 1]
                raise error(message)
            if self._launches:
                count("kernel_launches", self._launches)
            if self._calls:
                count("library_calls", self._calls)
            return self._places.outputs(given, buffers)

    def _arena(self, xp: Any) -> Any:
        if not self._places.arena:
            return None
        try:
            return self._arenas.pop()
        except IndexError:  # the first call, or one beside another
            return xp.empty(self._places.arena, np.uint8)

    def run_on(
        self, arrays: Sequence[Any], buffers: Sequence[Any], arena: Any, status: Any
    ) -> None:
        """Launch all steps on given memory, in order, on the stream in use."""
        bases = [*arrays, *buffers, *([] if arena is None else [arena])]
        pointers = [base.data.ptr for base in bases]
        word = 0 if status is None else status.data.ptr
        stream = cupy().cuda.get_current_stream()
        key = (stream.ptr, *pointers)
        may_capture = self._graphs is not None and status is None
        if may_capture and self._graphs.run(key, stream, self._steps, pointers):  # type: ignore[union-attr]
            return
        for step in self._steps:
            if isinstance(step, Bound):
                step.launch(stream.ptr, pointers, word)
            else:
                step.run(bases, status)


def _may_fail(program: Program) -> bool:
    """Whether a check of a kernel may set the status."""
    return any(isinstance(sink, Check) for launch in program.launches
               for sink in launch.kernel.sinks)  # fmt: skip
