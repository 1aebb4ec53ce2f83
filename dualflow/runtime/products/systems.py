"""Systems of linear equations by LAPACK beside NumPy, as a text: no call of Python, NumPy's bits.

Comes in: a Call that solves. Goes out: a `Product`, or None where NumPy's LAPACK cannot be called
as NumPy calls it, or matrices lie otherwise than one step after the other.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

import numpy as np

from dualflow.ir.program import Call
from dualflow.ir.text import KernelText

from .. import openblas
from ..once import once
from .made import Product, batch_of

_NAMES = ("scipy_dgesv_64_", "dgesv_64_")
#: What the status says of a singular matrix: see `schedule.assemble.ERRORS`.
_SINGULAR = 2
#: Words that LAPACK reads and writes before the pivots: n, k, its status.
_WORDS = 3

_SOLVE = f"""
def solve(a, b, out, status, left, right, words, lo, hi, n, k, a_next, a_row, a_column, b_next,
          b_row, b_column, function, left_size, right_size, words_size):
    for unit in range(lo, hi):
        a0, b0, to = unit * a_next, unit * b_next, unit * n * k
        for i in range(n):
            for j in range(n):
                left[j * n + i] = to_float64(a[a0 + i * a_row + j * a_column])
            for j in range(k):
                right[j * n + i] = to_float64(b[b0 + i * b_row + j * b_column])
        gesv(left, 0, right, 0, words, 0, function, n, k)
        if words[2] != 0:
            status[0] = {_SINGULAR}
        for i in range(n):
            for j in range(k):
                out[to + i * k + j] = to_KIND(right[j * n + i])
"""


def product(step: Call) -> Product | None:
    """How `step` solves; None if NumPy has to do it."""
    (a, b), (out,) = step.operands, step.results
    function, batch = gesv(), batch_of(a.view, b.view, out.view)
    if function is None or batch is None or not out.view.is_contiguous:
        return None
    count, steps = batch
    n, k = b.view.shape[-2:]
    sizes = n * n, n * k, _WORDS + n
    integers = (0, count, n, k, steps[0], *a.view.strides[-2:], steps[1], *b.view.strides[-2:],
                function, *sizes)  # fmt: skip
    return Product(text(out.dtype), (a, b, out), integers, 0.0, status=True)


@lru_cache(maxsize=None)
def text(dtype: np.dtype) -> KernelText:
    """For all sizes and layouts; the integers are those of the text, in its order."""
    word, wide = np.dtype("int64"), np.dtype("float64")
    scratch = (wide, (11,)), (wide, (12,)), (word, (13,))
    source = _SOLVE.replace("KIND", dtype.name)
    return KernelText(source, "solve", (dtype, dtype, dtype, word), (), 14, scratch=scratch)


@once
def gesv() -> int | None:
    """The address of LAPACK's dgesv, by which NumPy solves systems of float32 too; None where
    NumPy's own cannot be found or trusted."""
    for library in openblas.libraries():
        for name in _NAMES:
            function = getattr(library, name, None)
            address = ctypes.cast(function, ctypes.c_void_p).value if function else None
            if address and _agrees(address):
                return address
    return None


def _agrees(address: int) -> bool:
    """Whether it gives the bits of `np.linalg.solve`."""
    n, k = 19, 3
    values = np.random.default_rng(0).standard_normal((n, n + k))
    a, b = (part.copy(order="F") for part in (values[:, :n], values[:, n:]))
    words = np.array([n, k, 0, *[0] * n], np.int64)
    at = words.ctypes.data
    size, right, status, pivots = (at + 8 * index for index in range(4))
    places = (size, right, a.ctypes.data, size, pivots, b.ctypes.data, size, status)
    ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(places))(address)(*places)
    return not words[2] and np.array_equal(b, np.linalg.solve(values[:, :n], values[:, n:]))
