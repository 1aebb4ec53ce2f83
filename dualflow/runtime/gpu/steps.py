"""The steps of a program on a GPU, bound to where their operands lie.

Work          the memory and the stream of one run
Bound         a launch of a text: machine code by alignment, numbers packed
LibraryCall   an op run whole, by CuPy
RepeatedBody  a loop: its body's launches again and again, on memory that moves
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dualflow.ir.kernel import Kernel
from dualflow.ir.program import Call, Launch, Loop, Operand
from dualflow.ir.text import KernelText, Variant
from dualflow.runtime.layout import scalar_word

from . import images, narrow
from .launching import Launcher
from .libraries import capability
from .library_ops import evaluate
from .memory import moved, view
from .places import WIDE, Places

#: For pointers that are aligned so: the compilation, and how many program instances it starts.
Choose = Callable[[Sequence[bool]], tuple[Variant, int]]


class Work(NamedTuple):
    """One run of a program.

    Attributes:
        stream: on which it is launched; the stream in use.
        arrays, pointers: inputs, output buffers and the arena, and where they begin.
        status: the word that checks set, if there are any, and its address.
        workspace: memory for libraries, while a graph is captured.
    """

    stream: int
    arrays: Sequence[Any]
    pointers: Sequence[int]
    status: Any
    word: int
    workspace: Any = None


def work_on(stream: int, arrays: Sequence[Any], status: Any) -> Work:
    """A run on the memory of these arrays."""
    word = 0 if status is None else status.data.ptr
    return Work(stream, arrays, [array.data.ptr for array in arrays], status, word)


class Bound:
    """Launches of a text on the same operands.

    Attributes:
        is_plain: whether a CUDA graph can hold it: nothing is allocated or read back.
        may_fail: whether a check of it may set the status.
        launches: how many there are in a run.
        bases: the numbers of those that it reads or writes.
    """

    is_plain, launches = True, 1

    def __init__(
        self, text: KernelText, operands: Sequence[Operand], numbers: Sequence[int],
        choose: Choose, places: Places, index: int, copies: Sequence[tuple[Operand, Operand]] = (),
    ) -> None:  # fmt: skip
        """`numbers`: the bits of the scalars, then the integers; `copies`: see `Form`."""
        self._copies = [(places.place(to), places.place(source), to.type.nbytes)
                        for source, to in copies]  # fmt: skip
        self._text, self._numbers, self._choose, self._index = text, numbers, choose, index
        self._places = [places.place(operand) for operand in operands]
        self.bases = places.bases([*operands, *(o for pair in copies for o in pair)])
        self._aligned = tuple(offset % WIDE == 0 for _, offset in self._places)
        self.may_fail = len(text.pointers) > len(operands)
        self._launchers: dict[tuple[bool, ...], Launcher | None] = {}

    def start(self) -> list[images.Build]:
        """Begin to compile it for bases that are aligned as CuPy's memory is."""
        chosen, _ = self._choose(self._aligned)
        return [images.start(self._text, chosen, capability(self._index))]

    def load(self) -> None:
        """Load that machine code, so that what is wrong with it shows before anything runs;
        DeviceError if the GPU cannot take it."""
        self._launchers[self._aligned] = self._launcher(self._aligned)

    def launch(self, work: Work) -> None:
        """Launch it."""
        bases = work.pointers
        pointers = [bases[base] + offset for base, offset in self._places]
        aligned = tuple([pointer % WIDE == 0 for pointer in pointers])
        try:
            launcher = self._launchers[aligned]
        except KeyError:
            launcher = self._launchers[aligned] = self._launcher(aligned)
        for (to, to_offset), (source, offset), nbytes in self._copies:
            moved(bases[to] + to_offset, bases[source] + offset, nbytes, work.stream)
        if launcher is None:
            return
        if self.may_fail:
            pointers.append(work.word)
        launcher(work.stream, *pointers)

    def _launcher(self, aligned: tuple[bool, ...]) -> Launcher | None:
        """What launches it for operands aligned so; None for a grid without points."""
        chosen, grid = self._choose(aligned)
        if not grid:
            return None
        image = images.start(self._text, chosen, capability(self._index)).result()
        return Launcher(self._text, chosen, image, grid, self._index, self._numbers)


def bound(step: Launch, text: KernelText, choose: Callable[..., Any], places: Places, index: int,
          ) -> Bound:  # fmt: skip
    """The launch of a kernel."""
    numbers = [*words(step.kernel, step.scalars), *step.integers]
    return Bound(text, step.operands, numbers, lambda aligned: choose(step, aligned), places, index)


def words(kernel: Kernel, scalars: Sequence[bool | int | float]) -> list[int]:
    """The bits of the scalars of a kernel."""
    pairs = zip(kernel.scalars, scalars, strict=True)
    return [scalar_word(value, scalar.dtype) for scalar, value in pairs]


class LibraryCall:
    """An op run whole."""

    is_plain, may_fail, launches = False, False, 1

    def __init__(self, step: Call, places: Places) -> None:
        self._step, self._places = step, places
        self.bases = places.bases([*step.operands, *step.results])

    def start(self) -> list[images.Build]:
        """Nothing is compiled."""
        return []

    def load(self) -> None:
        """Nothing is loaded."""

    def launch(self, work: Work) -> None:
        """Compute it on the memory of a run; raises what the op raises."""
        step, bases = self._step, work.arrays
        operands = [self._places.array(operand, bases) for operand in step.operands]
        made = evaluate(step.op, operands, step.attributes)
        made = made if isinstance(made, tuple) else (made,)
        for result, value in zip(step.results, made, strict=True):
            narrow.words(self._places.array(result, bases))[...] = narrow.words(value)


class RepeatedBody:
    """A loop: Python counts, the GPU computes. Its body works in memory at the end of the arena."""

    def __init__(self, step: Loop, body: Any, places: Places) -> None:
        self._step, self._body, self._places = step, body, places
        self.launches = step.count * len(step.body.steps)
        self.bases = places.bases(step.places) | places.bases(o for pair in step.copies
                                                              for o in pair)  # fmt: skip
        self._arena = places.reserved(step.body.arena) if step.body.arena else None
        if self._arena is not None:
            self.bases.add(places.arena_base)

    @property
    def is_plain(self) -> bool:
        """Whether it is made of launches alone."""
        return self._body.is_plain

    @property
    def may_fail(self) -> bool:
        """Whether a check in it may set the status."""
        return self._body.may_fail

    def start(self) -> list[images.Build]:
        """Begin to compile its kernels."""
        return self._body.start()

    def load(self) -> None:
        """Load their machine code."""
        self._body.load()

    def launch(self, work: Work) -> None:
        """All steps, on the memory of a run."""
        step, array, bases = self._step, self._places.array, work.arrays
        for source, target in step.copies:
            narrow.words(array(target, bases))[...] = narrow.words(array(source, bases))
        places = [array(operand, bases) for operand in step.places]
        offsets = [0] * len(places)
        arena = None
        if self._arena is not None:
            arena = view(bases[-1], self._arena, (step.body.arena,), np.dtype("uint8"), (1,))
        for number in range(step.count):
            seen = [
                view(place, offset, place.shape, place.dtype,
                     [s // place.itemsize for s in place.strides]) if offset else place
                for place, offset in zip(places, offsets, strict=True)
            ]  # fmt: skip
            seen[0][...] = number
            inner = [*seen, *([] if arena is None else [arena])]
            on = work_on(work.stream, inner, work.status)
            self._body.launch_all(on._replace(workspace=work.workspace))
            places = [places[place] for place in step.following]
            offsets = [offsets[place] + move
                       for place, move in zip(step.following, step.moves, strict=True)]  # fmt: skip
