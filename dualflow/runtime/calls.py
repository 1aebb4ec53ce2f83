"""Steps that are no kernels: ops run whole, by BLAS natively or by their NumPy implementation.

Comes in: a Call and the Layout of its program. Goes out: a native step, or a `PythonCall`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dualflow.base.dtypes import is_added
from dualflow.ir.op import Kind
from dualflow.ir.program import Call
from dualflow.ir.types import View

from . import blas, native
from .layout import Layout
from .memory import Arena
from .native import NUMBER, Argument
from .products.made import batch_of


class PythonCall:
    """An op run by its NumPy implementation, on views of the program's memory."""

    def __init__(self, step: Call, layout: Layout) -> None:
        self._compute, self._attributes = step.op.compute, dict(step.attributes)
        self._operands = [layout.view(operand) for operand in step.operands]
        self._results = [layout.view(operand) for operand in step.results]
        # a ufunc writes where it is told; anything else returns arrays, which are copied
        places = (*step.operands, *step.results)
        plain = not step.attributes and not any(is_added(place.dtype) for place in places)
        self._ufunc = step.op.numpy if plain and isinstance(step.op.numpy, np.ufunc) else None

    def run(
        self, arrays: Sequence[np.ndarray], buffers: Sequence[np.ndarray], arena: Arena | None
    ) -> None:
        """Compute the step; raises what the op raises."""
        operands = [read(arrays, buffers, arena) for read in self._operands]
        results = [read(arrays, buffers, arena) for read in self._results]
        if self._ufunc is not None:
            self._ufunc(*operands, out=results[0])
            return
        made = self._compute(*operands, **self._attributes)
        for result, value in zip(results, made if len(results) > 1 else (made,), strict=True):
            np.copyto(result, value)


def matmul_step(step: Call, layout: Layout) -> tuple[int, list[Argument]] | None:
    """The step as a native call of BLAS; None where NumPy must run it.

    It is native only where `np.matmul` makes the same call of the same library: two matrices that
    BLAS can read as they lie or transposed, no axis of length 0 or 1, not a matrix by its own
    transpose (for these NumPy calls gemv, dot or syrk, or its own loops).
    """
    if step.op.kind is not Kind.CONTRACTION or len(step.operands) != 2:
        return None
    left, right = step.operands
    (result,) = step.results
    function = blas.gemm(result.dtype)
    (m, k), n = left.view.shape[-2:], right.view.shape[-1]
    if function is None or min(m, n, k) <= 1 or not result.view.is_contiguous:
        return None
    a, b = _read_by_blas(left.view), _read_by_blas(right.view)
    batch = batch_of(left.view, right.view, result.view)
    if a is None or b is None or batch is None:
        return None
    places = [layout.place(operand) for operand in (left, right, result)]
    if places[0] == places[1] and a[0] != b[0]:
        return None
    count, steps = batch
    numbers = [m, n, k, a[0], b[0], a[1], b[1], n, count]
    numbers += [step * result.dtype.itemsize for step in steps]
    words = [(NUMBER, function), *places, *((NUMBER, number) for number in numbers)]
    return native.gemm(result.dtype), words


_PLAIN, _TRANSPOSED = 111, 112  # CBLAS's names for how a matrix lies


def _read_by_blas(view: View) -> tuple[int, int] | None:
    """How BLAS reads the last two axes, and the leading dimension; None if it cannot."""
    (rows, columns), (row_step, column_step) = view.shape[-2:], view.strides[-2:]
    if column_step == 1 and row_step >= columns:
        return _PLAIN, row_step
    if row_step == 1 and column_step >= rows:
        return _TRANSPOSED, column_step
    return None
