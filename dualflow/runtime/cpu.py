"""Programs on the CPU: a whole program is one native call, as far as its steps are native.

    prepare(program, texts) -> Compilation   polled while its kernels are compiled elsewhere
    Compilation.result()    -> Executable    run(arrays) -> outputs

A table of kernels and BLAS calls is built once; a run obtains memory, hands data pointers to the
native dispatcher, and turns its status into an exception. Steps with no native form run their
NumPy implementation between native stretches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from dualflow.base.counters import count
from dualflow.ir.graph import Graph
from dualflow.ir.kernel import Kernel
from dualflow.ir.program import Call, Chain, Launch, Loop, Program
from dualflow.ir.text import KernelText

from . import blas, builds, native, products
from .calls import PythonCall, matmul_step
from .chains import Blocks, bound_place, chain_step, scratch_bytes
from .division import WORTH_PYTHON, Division, PythonThreads, divide_product, native_step
from .layout import Layout, scalar_word
from .loops import PythonLoop, loop_step
from .memory import POOLED, Arena, allocator, arenas
from .native import MOST_ARENA, NativeProgram


def prepare(
    program: Program, texts: Mapping[Kernel, KernelText], reasons: Sequence[str] = ()
) -> Compilation:
    """Start compiling the kernels of `program`; `texts` has the text of each. `reasons` are the
    scheduler's, for people."""
    return Compilation(program, texts, reasons)


class Compilation:
    """A program whose kernels are being compiled.

    Attributes:
        rolled: the graph that was planned, where loops were made in it first; else None.
    """

    rolled: Graph | None = None

    def __init__(
        self, program: Program, texts: Mapping[Kernel, KernelText], reasons: Sequence[str] = ()
    ) -> None:
        self.program, self.texts, self.reasons = program, texts, tuple(reasons)
        self._builds = {kernel: builds.start(text) for kernel, text in texts.items()}
        self._products = [builds.start(text) for text in products.texts_of(program)]
        self._executable: Executable | None = None

    @property
    def done(self) -> bool:
        """Whether `result()` will not have to wait."""
        if self._executable is not None:
            return True
        return all(b.poll() for b in (*self._builds.values(), *self._products))

    def result(self) -> Executable:
        """The program ready to run; waits for its kernels.

        Raises:
            CompileError: a kernel's text could not be compiled.
        """
        if self._executable is None:
            self._executable = Executable(self.program, self.texts, self._builds)
        return self._executable


Part = Callable[..., int] | PythonCall | PythonLoop | PythonThreads
_IN_PYTHON = (PythonCall, PythonLoop, PythonThreads)
#: Programs that move more bytes than this let other Python threads run meanwhile.
RELEASE_BYTES = 1 << 20


class Executable:
    """A program in machine code. Calls may overlap and nest: each has its own arena.

    Matrix products make the BLAS call that `np.matmul` makes on the same operands, so their bits
    are those of eager mode.
    """

    def __init__(
        self,
        program: Program,
        texts: Mapping[Kernel, KernelText],
        compiled: Mapping[Kernel, builds.Build],
        portable: bool = False,
        inside: bool = False,
    ) -> None:
        """`portable`: even where the native way in works, use ctypes; `inside` a loop, which stays
        one native call."""
        self.program = program
        self.texts, self._portable, self._inside = texts, portable, inside
        self._kernels = {kernel: build.address for kernel, build in compiled.items()}
        self._compiled = compiled
        self._alive: list[object] = list(compiled.values())
        self._layout = Layout(program, texts)
        self._parts = self._cut()
        self._arena_size, self._arenas = arenas(self._layout.arena)
        self._launches, self._calls = program.runs
        self._allocators = [allocator(shape, dtype) for shape, dtype in self._layout.buffers]
        self._whole = self._layout.returns_buffers
        self._outputs = self._layout.outputs()
        only = self._parts[0] if len(self._parts) == 1 else None
        self._only = None if only is None or isinstance(only, _IN_PYTHON) else only

    @property
    def native(self) -> bool:
        """Whether all of it is one native call, in which nothing fails half-way but what
        `program.errors` tells of."""
        return self._only is not None

    def parts_of_call(self) -> NativeProgram | None:
        """What a run is, if it is one native call; None if it is more."""
        layout, outputs = self._layout, self._layout.owners()
        if self._only is None or outputs is None or layout.arena > MOST_ARENA:
            return None
        small = [prod(shape) * dtype.itemsize < POOLED for shape, dtype in layout.buffers]
        buffers = [
            (*buffer, None if quick else make)
            for buffer, quick, make in zip(layout.buffers, small, self._allocators, strict=True)
        ]
        release = layout.traffic > RELEASE_BYTES
        return NativeProgram(self.code, tuple(buffers), layout.arena, release, outputs)

    @property
    def working(self) -> int:
        """Bytes of working memory of a run: the arena, with the scratch of kernels."""
        return self._layout.arena

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for `arrays`, which must have the dtypes, shapes and strides of
        `program.inputs`. Outputs are new ndarrays, except where the program returns an input.

        Raises:
            Exception: the class and message in `program.errors`, if a check failed.
        """
        buffers = [make() for make in self._allocators]
        status = self.run_on(arrays, buffers)
        if status:
            error, message = self.program.errors[status - 1]
            raise error(message)
        if self._launches:
            count("kernel_launches", self._launches)
        if self._calls:
            count("library_calls", self._calls)
        return buffers if self._whole else self._outputs(arrays, buffers)

    def run_on(self, arrays: Sequence[np.ndarray], buffers: list[np.ndarray]) -> int:
        """Run on given memory for the outputs; the status of the step that set one, or 0."""
        if self._layout.arena:
            return self._run_with_arena(arrays, buffers)
        if self._only is not None:
            status = self._only(*arrays, *buffers)
            if status >= 0:
                return status
        return self._run_parts(arrays, buffers, None)

    def _run_with_arena(self, arrays: Sequence[np.ndarray], buffers: list[np.ndarray]) -> int:
        try:
            arena = self._arenas.pop()
        except IndexError:  # the first call, or one inside or beside another
            arena = Arena(self._arena_size)
        try:
            if self._only is not None:
                status = self._only(*arrays, *buffers, arena.array)
                if status >= 0:
                    return status
            return self._run_parts(arrays, buffers, arena)
        finally:
            self._arenas.append(arena)

    def _run_parts(
        self, arrays: Sequence[np.ndarray], buffers: list[np.ndarray], arena: Arena | None
    ) -> int:
        memory = [*arrays, *buffers]
        if arena is not None:
            memory.append(arena.array)
        for part in self._parts:
            if isinstance(part, PythonCall):
                part.run(arrays, buffers, arena)
                continue
            if isinstance(part, PythonLoop):
                status = part.run(arrays, buffers, arena)
                if status:
                    return status
                continue
            call = part.run if isinstance(part, PythonThreads) else part
            status = call(*memory)
            if status == native.WRONG_ARRAYS:
                memory = [np.asarray(array).view(np.ndarray) for array in memory]
                status = call(*memory)
            if status:
                return status
        return 0

    # Building the table.

    def _cut(self) -> list[Part]:
        """Native stretches, and between them the steps that Python runs."""
        parts: list[Part] = []
        stretch: list[tuple[int, list[native.Argument]]] = []
        layout = self._layout
        works = zip(self.program.steps, layout.products, layout.divisions, strict=True)
        for step, found, division in works:
            made: tuple[int, list[native.Argument]] | Part | None
            if isinstance(step, Chain):
                assert isinstance(found, Blocks)
                stretch += self._panels(found)
                made = self._chain(found)
            elif isinstance(step, Launch):
                made = self._launch(step, division)
            elif isinstance(step, Loop):
                made = self._loop(step)
            else:
                assert not isinstance(found, Blocks)
                made = self._call(step, found, division)
            if isinstance(made, tuple):
                stretch.append(made)
                continue
            if stretch:
                parts.append(self._bind(stretch))
                stretch = []
            parts.append(made)
        if stretch:
            parts.append(self._bind(stretch))
        return parts

    def _launch(
        self, step: Launch, division: Division | None
    ) -> tuple[int, list[native.Argument]] | PythonThreads:
        """The step as a native call of its kernel, or divided over threads."""
        text = self.texts[step.kernel]
        words, scratch = self._arguments(step), scratch_bytes(text, step.integers)
        return self._divided(division, self._kernels[step.kernel], text, words, scratch)

    def _divided(
        self, division: Division | None, address: int, text: KernelText,
        words: list[native.Argument], scratch: int,
    ) -> tuple[int, list[native.Argument]] | PythonThreads:  # fmt: skip
        """The machine code of `text` as a native call, over threads if there is a division."""
        if division is None:
            return address, words
        found = native_step(division, address, text, words, scratch)
        if found is None and division.cost > WORTH_PYTHON and not self._inside:
            return PythonThreads(division, address, text, words, scratch)
        return found or (address, words)

    def _call(
        self, step: Call, found: products.Product | None, division: Division | None
    ) -> tuple[int, list[native.Argument]] | PythonCall | PythonThreads:
        """The step as a native call, of BLAS where that is as fast, or in Python."""
        made = matmul_step(step, self._layout) if found is None or blas.is_wide() else None
        if made is not None or found is None:
            return made or PythonCall(step, self._layout)
        build = builds.start(found.text)
        self._alive += [build, found.tables]
        words, scratch = self._layout.words(found), scratch_bytes(found.text, found.integers)
        return self._divided(division, build.address, found.text, words, scratch)

    def _panels(self, found: Blocks) -> list[tuple[int, list[native.Argument]]]:
        """The steps that copy right matrices before the blocks are walked."""
        steps, (base, start) = [], self._layout.scratch_place()
        for panels in found.packed.values():
            copies, division = panels.copies, divide_product(panels.copies)
            build = builds.start(copies.text)
            self._alive.append(build)
            words = [self._layout.place(copies.operands[0]), (base, start + panels.offset)]
            words += [(native.NUMBER, integer) for integer in copies.integers]
            divided = division and native_step(division, build.address, copies.text, words, 0)
            steps.append(divided or (build.address, words))
        for number, test in enumerate(found.tests):
            build = builds.start(test.text)
            self._alive.append(build)
            words = [self._layout.place(test.operands[0])]
            words.append(bound_place(found, self._layout.scratch_place()))
            words += [
                (native.NUMBER, integer) for integer in (*test.integers[:-1], int(number > 0))
            ]
            steps.append((build.address, words))
        return steps

    def _chain(self, found: Blocks) -> tuple[int, list[native.Argument]]:
        """The step as a native walk over blocks of rows."""
        stages: list[tuple[int, KernelText, list[native.Argument]]] = []
        for step, made in zip(found.chain.steps, found.products, strict=True):
            if isinstance(step, Launch):
                text, numbers = self.texts[step.kernel], _numbers(step)
                stages.append((self._kernels[step.kernel], text, numbers))
            elif made is not None:
                build = builds.start(made.text)
                self._alive.append(build)
                stages.append((build.address, made.text, []))
        layout = self._layout
        function, words, plan = chain_step(found, stages, layout.place, layout.scratch_place())
        self._alive.append(plan)
        return function, words

    def _bind(self, stretch: list[tuple[int, list[native.Argument]]]) -> native.Binding:
        release = self._layout.traffic > RELEASE_BYTES
        self.code = native.encode(stretch)
        return native.bind(self.code, self._layout.arrays, release, self._portable)

    def _loop(self, step: Loop) -> tuple[int, list[native.Argument]] | PythonLoop:
        """The step as a native loop, if all of its body is native."""
        body = Executable(step.body, self.texts, self._compiled, self._portable, inside=True)
        if not body.native:
            return PythonLoop(step, body, self._layout)
        address, words, plan = loop_step(step, body.code, body._layout, self._layout)
        self._alive += [body, plan]
        return address, words

    def _arguments(self, launch: Launch) -> list[native.Argument]:
        """The words of a kernel's table, in the order of `KernelText`."""
        text = self.texts[launch.kernel]
        found = [self._layout.place(operand) for operand in launch.operands]
        if len(text.pointers) > len(launch.operands):
            found.append((native.STATUS, 0))
        return found + self._layout.scratch(text, launch) + _numbers(launch)


def _numbers(launch: Launch) -> list[native.Argument]:
    """The words of a kernel's scalars and integers."""
    scalars = zip(launch.kernel.scalars, launch.scalars, strict=True)
    words = [scalar_word(value, scalar.dtype) for scalar, value in scalars]
    return [(native.NUMBER, word) for word in (*words, *launch.integers)]
