"""Programs on a GPU: launches and calls of libraries one after the other, behind Python.

    prepare(program, texts, ways, index) -> Compilation   polled while kernels are compiled
    Compilation.result()                 -> Executable    run(arrays) -> outputs

Each launch is bound once: its numbers packed, its machine code chosen by how its operands are
aligned. A program of nothing but launches and products that meets the same addresses again is
captured as a CUDA graph, which costs one call however many kernels it has (`graphs.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from dualflow.base.counters import count
from dualflow.ir.form import Form
from dualflow.ir.graph import Graph
from dualflow.ir.kernel import Check, Kernel
from dualflow.ir.program import Call, Launch, Loop, Program, Step
from dualflow.ir.text import KernelText, Variant

from . import narrow
from .gemm import gemm
from .graphs import Graphs
from .libraries import capability, cupy, make_current, translated
from .memory import empty
from .places import Memory, Places
from .steps import LibraryCall, RepeatedBody, Work, bound, work_on
from .tuning import Tuned


class Ways(NamedTuple):
    """What the code generator decides.

    Attributes:
        choose: the compilation that serves a launch whose operands are aligned so, and its grid.
        forms: of steps of a program, by the last step that each stands for.
    """

    choose: Callable[[Launch, Sequence[bool]], tuple[Variant, int]]
    forms: Callable[[Program], Mapping[int, Form]]


def prepare(
    program: Program, texts: Mapping[Kernel, KernelText], ways: Ways, index: int = 0,
    reasons: Sequence[str] = (),
) -> Compilation:  # fmt: skip
    """Start compiling the kernels of `program` for the GPU `index`.

    Raises:
        DeviceError: there is no such GPU.
    """
    return Compilation(program, texts, ways, index, reasons)


class Compilation:
    """A program whose kernels are being compiled.

    Attributes:
        rolled: the graph that was planned, where loops were made in it first; else None.
    """

    rolled: Graph | None = None

    def __init__(
        self, program: Program, texts: Mapping[Kernel, KernelText], ways: Ways, index: int,
        reasons: Sequence[str],
    ) -> None:  # fmt: skip
        self.program, self.texts, self._reasons = program, texts, tuple(reasons)
        capability(index)
        self._executable = Executable(program, texts, ways, index)
        self._builds = self._executable.start()
        self._loaded = False

    @property
    def reasons(self) -> tuple[str, ...]:
        """What was planned and why, and which steps run in which way by now."""
        return *self._reasons, *self._executable.lines()

    @property
    def done(self) -> bool:
        """Whether `result()` will not have to wait."""
        return self._loaded or all(build.poll() for build in self._builds)

    def result(self) -> Executable:
        """The program ready to run; waits for its kernels.

        Raises:
            CompileError: a kernel's text could not be compiled.
        """
        if not self._loaded:
            for build in self._builds:
                build.result()
            self._executable.load()
            self._loaded = True
        return self._executable


class Executable:
    """A program in machine code of one GPU. Calls may overlap: each has its own arena."""

    def __init__(
        self, program: Program, texts: Mapping[Kernel, KernelText], ways: Ways, index: int,
        measures: bool = True,
    ) -> None:  # fmt: skip
        self.program, self.index = program, index
        self._places = places = Places(program)
        forms = ways.forms(program)
        covered = {number for form in forms.values() for number in form.covers}
        made = [_bound(step, texts, ways, places, index) for step in program.steps]
        self._steps: list[Any] = []
        for number, step in enumerate(made):
            form = forms.get(number)
            if form is not None:
                steps = [made[n] for n in form.covers]
                self._steps.append(Tuned(form, steps, places, index, measures))
            elif number not in covered:
                self._steps.append(step)
        self._tuned = [step for step in self._steps if isinstance(step, Tuned)]
        self._open = [step for step in self._tuned if not step.settled]
        self._checks = _may_fail(program)
        self._stretches = self._stretches_of()
        self._spare: dict[int, list[tuple[Any, Any]]] = {}  # by stream: others may still use it
        self._launches, self._calls = program.runs

    def _stretches_of(self) -> list[Stretch]:
        """The steps, in stretches that a graph holds and others. One ends with the last check, and
        the status is read there: what fails has to leave the inputs as they were."""
        last = max((n for n, step in enumerate(self._steps) if step.may_fail), default=-1)
        kinds = [(n > last, step.is_plain) for n, step in enumerate(self._steps)]
        starts = [n for n, kind in enumerate(kinds) if not n or kind != kinds[n - 1]]
        memory = self._places.memory
        if len(starts) > 1:
            memory = memory._replace(whole=False)
        return [
            Stretch(self._steps[start:end], memory, end == last + 1, bool(self._open))
            for start, end in pairwise([*starts, len(self._steps)])
        ]

    @property
    def is_plain(self) -> bool:
        """Whether it is made of launches and products alone, which a CUDA graph can hold."""
        return all(step.is_plain for step in self._steps)

    @property
    def may_fail(self) -> bool:
        """Whether a check of a kernel may set the status."""
        return self._checks

    @property
    def native(self) -> bool:
        """Whether nothing can fail half-way once it has begun."""
        return not self._checks and self.is_plain

    def parts_of_call(self) -> None:
        """None: Python launches, so a call is never one native function."""

    def lines(self) -> list[str]:
        """For people: which steps run in which way."""
        return [step.line() for step in self._tuned]

    def start(self) -> list[Any]:
        """Begin to compile its kernels; the builds that have to be there before it can run."""
        return [build for step in self._steps for build in step.start()]

    def load(self) -> None:
        """Load its machine code; DeviceError if the GPU cannot take it."""
        with cupy().cuda.Device(self.index):
            make_current(self.index)
            for step in self._steps:
                step.load()

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """The outputs for `arrays`, which must have the dtypes, shapes and strides of
        `program.inputs`; those of the host (numbers, constants) are copied to the GPU.

        Raises:
            Exception: the class and message in `program.errors`, if a check failed.
            DeviceError, OutOfMemoryError: what went wrong on the GPU.
        """
        xp = cupy()
        try:
            if xp.cuda.runtime.getDevice() == self.index:
                return self._run(xp, arrays)
            with xp.cuda.Device(self.index):
                return self._run(xp, arrays)
        except Exception as cause:
            found = translated(cause, "a compiled program")
            if found is None:
                raise
            count("device_errors")
            raise found from (None if found is cause else cause)

    def _run(self, xp: Any, arrays: Sequence[Any]) -> list[Any]:
        make_current(self.index)
        given = [narrow.given(a) if isinstance(a, (np.ndarray, np.generic)) else a for a in arrays]
        buffers = [empty(shape, dtype) for shape, dtype in self._places.buffers]
        stream = xp.cuda.get_current_stream()
        kept = self._spare.setdefault(stream.ptr, [])
        try:
            spare = arena, status = kept.pop()
        except IndexError:  # the first call, or one beside another
            arena = xp.empty(self._places.arena, np.uint8) if self._places.arena else None
            spare = arena, status = arena, xp.zeros(1, np.int64) if self._checks else None
        bases = [*given, *buffers] if arena is None else [*given, *buffers, arena]
        work = work_on(stream.ptr, bases, status)
        if self._open:
            self._open[0].asked = True
        for stretch in self._stretches:
            stretch.run(work, stream)
            if stretch.asks and status is not None and (code := int(status[0])):
                status[...] = 0
                kept.append(spare)
                error, message = self.program.errors[code - 1]
                raise error(message)
        kept.append(spare)
        if self._open and self._open[0].settled:
            self._open = [step for step in self._open if not step.adopt()]
            if not self._open:  # from now on graphs are captured
                self._stretches = self._stretches_of()
        if self._launches:
            count("kernel_launches", self._launches)
        if self._calls:
            count("library_calls", self._calls)
        return self._places.outputs(given, buffers)

    def launch_all(self, work: Work) -> None:
        """Launch all steps on given memory, in order, on the stream in use."""
        for step in self._steps:
            step.launch(work)


class Stretch:
    """Steps that run one after the other, as a graph where one can hold them.

    Attributes:
        asks: whether the status is to be read after them.
    """

    def __init__(self, steps: Sequence[Any], memory: Memory, asks: bool, is_open: bool) -> None:
        self._steps, self.asks = steps, asks
        many = sum(step.launches for step in steps) > 1
        plain = many and not is_open and all(step.is_plain for step in steps)
        bases = sorted(set().union(*(step.bases for step in steps)))
        self._graphs = Graphs(self.launch, memory, bases) if plain else None

    def run(self, work: Work, stream: Any) -> None:
        """Run them on the memory of a call."""
        if self._graphs is None or not self._graphs.run(work, stream):
            self.launch(work)

    def launch(self, work: Work) -> None:
        """Launch them one by one."""
        for step in self._steps:
            step.launch(work)


def _bound(step: Step, texts: Any, ways: Ways, places: Places, index: int) -> Any:
    """What launches a step."""
    if isinstance(step, Launch):
        return bound(step, texts[step.kernel], ways.choose, places, index)
    if isinstance(step, Call):
        return (None if step.exact else gemm(step, places)) or LibraryCall(step, places)
    assert isinstance(step, Loop), "programs of a GPU have no chains"
    return RepeatedBody(step, Executable(step.body, texts, ways, index, False), places)


def _may_fail(program: Program) -> bool:
    """Whether a check of a kernel may set the status."""
    return any(isinstance(sink, Check) for launch in program.launches
               for sink in launch.kernel.sinks)  # fmt: skip
