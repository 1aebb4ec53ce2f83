"""Steps that are no kernels: ops run whole, by BLAS natively or by their NumPy implementation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dualflow.ir.program import Call

from .layout import Layout
from .memory import Arena
from .native import Argument


class PythonCall:
    """An op run by its NumPy implementation, on views of the program's memory."""

    def __init__(self, step: Call, layout: Layout) -> None:
        self.step, self._layout = step, layout
        # a ufunc writes where it is told; anything else returns arrays, which are copied
        self._writes = isinstance(step.op.numpy, np.ufunc) and not step.attributes

    def run(
        self, arrays: Sequence[np.ndarray], buffers: Sequence[np.ndarray], arena: Arena | None
    ) -> None:
        """Compute the step; raises what the op raises."""
        step, view = self.step, self._layout.view
        operands = [view(operand, arrays, buffers, arena) for operand in step.operands]
        results = [view(operand, arrays, buffers, arena) for operand in step.results]
        if self._writes:
            step.op.numpy(*operands, out=results[0])
            return
        made = step.op.numpy(*operands, **step.attributes)
        for result, value in zip(results, made if len(results) > 1 else (made,), strict=True):
            np.copyto(result, value)


def matmul_step(step: Call, layout: Layout) -> tuple[int, list[Argument]] | None:
    """The step as a native call of BLAS; None where NumPy must run it."""
    return None
