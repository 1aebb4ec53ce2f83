"""Memory of programs: outputs and arenas.

Comes in: shapes and dtypes. Goes out: ndarrays on 64-byte boundaries.
"""

from __future__ import annotations

import numpy as np

from dualflow.ir.program import Operand

ALIGNMENT = 64

allocate = np.empty


class Arena:
    """The intermediates of one running call, and the NumPy views made of them."""

    __slots__ = ("_views", "array")

    def __init__(self, nbytes: int) -> None:
        raw = np.empty(nbytes + ALIGNMENT, np.uint8)
        skip = -raw.ctypes.data % ALIGNMENT
        self.array = raw[skip : skip + nbytes]
        self._views: dict[tuple[int, Operand], np.ndarray] = {}

    def view(self, start: int, operand: Operand) -> np.ndarray:
        """`operand`, whose buffer begins `start` bytes into the arena."""
        found = self._views.get((start, operand))
        if found is None:
            itemsize = operand.dtype.itemsize
            strides = tuple(stride * itemsize for stride in operand.view.strides)
            offset = start + operand.view.offset * itemsize
            if operand.type.size == 0:
                found = np.empty(operand.view.shape, operand.dtype)
            else:
                found = np.ndarray(
                    operand.view.shape, operand.dtype, self.array, offset, strides
                )
            self._views[start, operand] = found
        return found
