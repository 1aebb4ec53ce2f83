"""The matrix product of NumPy's own BLAS, as an address that native code calls.

NumPy's wheels bring OpenBLAS with 64-bit integers beside them. It is used only if, on small
products of both dtypes and all layouts, it gives the bits of `np.matmul`.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np

from . import openblas, processor

_NAMES = {"float32": "sgemm", "float64": "dgemm"}
_PREFIXES = ("scipy_cblas_", "cblas_")
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112


@lru_cache(maxsize=None)
def gemm(dtype: np.dtype) -> int | None:
    """The address of cblas_?gemm for `dtype`; None where NumPy's own cannot be found or trusted."""
    name = _NAMES.get(dtype.name)
    if name is None:
        return None
    for library in openblas.libraries():
        for prefix in _PREFIXES:
            function = getattr(library, f"{prefix}{name}64_", None)
            if function is not None and _agrees(function, dtype):
                return ctypes.cast(function, ctypes.c_void_p).value
    return None


#: The cores for which OpenBLAS has products of 64-byte vectors.
_WIDE = ("skylakex", "cooperlake", "sapphirerapids", "a64fx")


@lru_cache(maxsize=1)
def is_wide() -> bool:
    """Whether BLAS uses vectors as wide as this machine's: OpenBLAS takes processors that it does
    not know for older ones, and is then half as fast."""
    if "avx512f" not in processor.features():
        return True
    for get in openblas.functions("get_corename"):
        get.restype = ctypes.c_char_p
        return get().decode().lower() in _WIDE
    return False


def _agrees(function: Any, dtype: np.dtype) -> bool:
    number = ctypes.c_float if dtype.itemsize == 4 else ctypes.c_double
    size, place = ctypes.c_int64, ctypes.c_void_p
    prototype = ctypes.CFUNCTYPE(
        None, ctypes.c_int, ctypes.c_int, ctypes.c_int, size, size, size,
        number, place, size, place, size, number, place, size,
    )  # fmt: skip
    call = prototype(ctypes.cast(function, ctypes.c_void_p).value or 0)
    m, k, n = 37, 19, 23
    values = np.random.default_rng(0).standard_normal((2, 64, 64)).astype(dtype)
    for left in (_PLAIN, _TRANSPOSED):
        for right in (_PLAIN, _TRANSPOSED):
            a = values[0, :m, :k] if left == _PLAIN else values[0, :k, :m].T
            b = values[1, :k, :n] if right == _PLAIN else values[1, :n, :k].T
            out = np.empty((m, n), dtype)
            call(_ROW_MAJOR, left, right, m, n, k, 1.0, a.ctypes.data, 64, b.ctypes.data, 64,
                 0.0, out.ctypes.data, n)  # fmt: skip
            if not np.array_equal(out, np.matmul(a, b)):
                return False
    return True
