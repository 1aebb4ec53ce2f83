"""The steps of a program on a GPU, bound to where their operands lie.

Bound         a launch: machine code by alignment, numbers packed
LibraryCall   an op run whole, by CuPy
RepeatedBody  a loop: its body's launches again and again, on memory that moves
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dualflow.ir.program import Call, Launch, Loop
from dualflow.ir.text import KernelText
from dualflow.runtime.layout import scalar_word

from . import images
from .launching import Launcher
from .libraries import capability, cupy
from .library_ops import evaluate
from .memory import view
from .places import WIDE, Places


class Bound:
    """A launch of a kernel."""

    def __init__(
        self, step: Launch, text: KernelText, places: Places, choose: Callable[..., Any], index: int
    ) -> None:
        self._step, self._text, self._choose, self._index = step, text, choose, index
        self._places = [places.place(operand) for operand in step.operands]
        self._status = len(text.pointers) > len(step.operands)
        scalars = zip(step.kernel.scalars, step.scalars, strict=True)
        self._numbers = [scalar_word(value, scalar.dtype) for scalar, value in scalars]
        self._numbers += step.integers
        self._launchers: dict[tuple[bool, ...], Launcher | None] = {}

    def load(self, aligned: tuple[bool, ...]) -> None:
        """Load the machine code for operands aligned so, so that what is wrong with it shows before
        anything runs; DeviceError if the GPU cannot take it."""
        self._launchers[aligned] = self._launcher(aligned)

    def launch(self, stream: int, bases: Sequence[int], status: int) -> None:
        """Launch it on a stream, with operands in the memory at these addresses."""
        pointers = [bases[base] + offset for base, offset in self._places]
        aligned = tuple(pointer % WIDE == 0 for pointer in pointers)
        try:
            launcher = self._launchers[aligned]
        except KeyError:
            launcher = self._launchers[aligned] = self._launcher(aligned)
        if launcher is None:
            return
        if self._status:
            pointers.append(status)
        launcher(stream, *pointers)

    def _launcher(self, aligned: tuple[bool, ...]) -> Launcher | None:
        """What launches it for operands aligned so; None for a grid without points."""
        chosen, grid = self._choose(self._step, aligned)
        if not grid:
            return None
        image = images.start(self._text, chosen, capability(self._index)).result()
        return Launcher(self._text, chosen, image, grid, self._index, self._numbers)


class LibraryCall:
    """An op run whole."""

    def __init__(self, step: Call, places: Places) -> None:
        self._step, self._places = step, places

    def run(self, bases: Sequence[Any], status: Any) -> None:
        """Compute it on the memory of a call; raises what the op raises."""
        step = self._step
        operands = [self._places.array(operand, bases) for operand in step.operands]
        made = evaluate(step.op, operands, step.attributes)
        made = made if isinstance(made, tuple) else (made,)
        for result, value in zip(step.results, made, strict=True):
            self._places.array(result, bases)[...] = value


class RepeatedBody:
    """A loop: Python counts, the GPU computes."""

    def __init__(self, step: Loop, body: Any, places: Places) -> None:
        self._step, self._body, self._places = step, body, places
        self._inputs = len(step.body.inputs)

    def run(self, bases: Sequence[Any], status: Any) -> None:
        """All steps, on the memory of a call."""
        step, array = self._step, self._places.array
        for source, target in step.copies:
            array(target, bases)[...] = array(source, bases)
        places = [array(operand, bases) for operand in step.places]
        offsets = [0] * len(places)
        arena = None
        if step.body.arena:
            arena = cupy().empty(step.body.arena, np.uint8)
        for number in range(step.count):
            seen = [
                view(place, offset, place.shape, place.dtype,
                     [s // place.itemsize for s in place.strides]) if offset else place
                for place, offset in zip(places, offsets, strict=True)
            ]  # fmt: skip
            seen[0][...] = number
            self._body.run_on(seen[: self._inputs], seen[self._inputs :], arena, status)
            places = [places[place] for place in step.following]
            offsets = [offsets[place] + move
                       for place, move in zip(step.following, step.moves, strict=True)]  # fmt: skip
