"""Loop steps: a native loop where all of the body is native, else the body run from Python.

Comes in: a Loop, its body made to run, and the Layout of the program around. Goes out: a native
step, or a `PythonLoop`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dualflow.ir.program import Loop
from dualflow.ir.types import View

from . import native
from .layout import Layout, strided
from .memory import Arena
from .native import FIRST_ARRAY, NUMBER, Argument


def loop_step(
    step: Loop, code: np.ndarray, body: Layout, around: Layout
) -> tuple[int, list[Argument], np.ndarray]:
    """The step as the dispatcher's loop, and the plan that has to live as long."""
    arena = [around.scratch_place()] if body.arena else []
    exchanged = [0, 1, *(FIRST_ARRAY + place for place in step.following)]
    moves = [0, 0, *step.moves]
    if arena:
        exchanged.append(len(exchanged))
        moves.append(0)
    plan = np.array([*zip(exchanged, moves, strict=True)], np.int64)
    places = [around.place(operand) for operand in step.places]
    numbers = (code.ctypes.data, step.count, len(exchanged), plan.ctypes.data)
    words = [(native.STATUS, 0), *((NUMBER, number) for number in numbers)]
    words += [places[0], (NUMBER, len(step.copies)), *places, *arena]
    for source, target in step.copies:
        words += [around.place(source), around.place(target), (NUMBER, target.type.nbytes)]
    return native.loop(), words, plan


class PythonLoop:
    """A loop whose body has steps that Python runs."""

    def __init__(self, step: Loop, body: Any, around: Layout) -> None:
        self._count, self._body = step.count, body
        self._following, self._moves = step.following, step.moves
        self._places = [around.view(operand) for operand in step.places]
        self._copies = [
            (around.view(source), around.view(target)) for source, target in step.copies
        ]
        self._inputs = len(step.body.inputs)

    def run(
        self, arrays: Sequence[np.ndarray], buffers: Sequence[np.ndarray], arena: Arena | None
    ) -> int:
        """Run all steps; the status of the first that sets one. Raises what an op raises."""
        for source, target in self._copies:
            np.copyto(target(arrays, buffers, arena), source(arrays, buffers, arena))
        places = [read(arrays, buffers, arena) for read in self._places]
        offsets = [0] * len(places)
        for step in range(self._count):
            seen = [
                place if not offset else _moved(place, offset)
                for place, offset in zip(places, offsets, strict=True)
            ]
            seen[0][...] = step
            status = self._body.run_on(seen[: self._inputs], seen[self._inputs :])
            if status:
                return status
            places = [places[place] for place in self._following]
            offsets = [
                offsets[place] + move
                for place, move in zip(self._following, self._moves, strict=True)
            ]
        return 0


def _moved(array: np.ndarray, offset: int) -> np.ndarray:
    """What lies `offset` bytes from `array`, in the same memory, seen alike."""
    view = View(array.shape, tuple(step // array.itemsize for step in array.strides))
    return strided(array, offset, array.dtype, view)
