"""The matrix product of NumPy's own BLAS, as an address that native code calls.

NumPy's wheels bring OpenBLAS with 64-bit integers beside them. It is used only if, on small
products of both dtypes and all layouts, it gives the bits of `np.matmul`.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

_NAMES = {"float32": "sgemm", "float64": "dgemm"}
_PREFIXES = ("scipy_cblas_", "cblas_")
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112


@lru_cache(maxsize=None)
def gemm(dtype: np.dtype) -> int | None:
    """The address of cblas_?gemm for `dtype`; None where NumPy's own cannot be found or trusted."""
    name = _NAMES.get(dtype.name)
    if name is None:
        return None
    for library in _libraries():
        for prefix in _PREFIXES:
            function = getattr(library, f"{prefix}{name}64_", None)
            if function is not None and _agrees(function, dtype):
                return ctypes.cast(function, ctypes.c_void_p).value
    return None


@lru_cache(maxsize=1)
def _libraries() -> tuple[ctypes.CDLL, ...]:
    package = Path(np.__file__).resolve().parent
    folders = (package.parent / "numpy.libs", package / ".dylibs", package.parent / "numpy/.libs")
    files = [file for folder in folders for file in sorted(folder.glob("*openblas64*"))]
    return tuple(library for file in files if (library := _open(file)) is not None)


def _open(file: Path) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(file))
    except OSError:  # for another machine: NumPy itself runs the products
        return None


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
