"""The matrix product of NumPy's own BLAS, as an address that native code calls; and its threads.

NumPy's wheels bring OpenBLAS with 64-bit integers beside them. It is used only if, on small
products of both dtypes and all layouts, it gives the bits of `np.matmul`. While the setting
`threads` is a number, OpenBLAS uses so many.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dualflow.base import config

from . import loader

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


#: The cores for which OpenBLAS has products of 64-byte vectors.
_WIDE = ("skylakex", "cooperlake", "sapphirerapids", "a64fx")


@lru_cache(maxsize=1)
def is_wide() -> bool:
    """Whether BLAS uses vectors as wide as this machine's: OpenBLAS takes processors that it does
    not know for older ones, and is then half as fast."""
    if "+avx512f" not in loader.cpu()[2]:
        return True
    for get in _functions("get_corename"):
        get.restype = ctypes.c_char_p
        return get().decode().lower() in _WIDE
    return False


def keep_to_budget() -> None:
    """From now on give BLAS the threads of the setting."""
    config.watchers.append(_limit)
    _limit(config.active())


def threads() -> int | None:
    """How many threads BLAS uses; None if it does not tell."""
    found = [get() for get in _functions("get_num_threads")]
    return found[0] if found else None


#: how many threads BLAS used before it was limited
_unlimited: list[int] = []


def _limit(settings: config.Config) -> None:
    if settings.threads is None and not _unlimited:
        return
    if not _unlimited:
        _unlimited.extend(get() for get in _functions("get_num_threads"))
    for put, before in zip(_functions("set_num_threads"), _unlimited, strict=True):
        put(settings.threads or before)


def _functions(name: str) -> list[Any]:
    """OpenBLAS's function of this name, of each library that has it."""
    found = []
    for library in _libraries():
        whole = f"openblas_{name}"
        names = (f"scipy_{whole}64_", f"{whole}64_", f"scipy_{whole}", whole)
        each = (getattr(library, full, None) for full in names)
        found += [next(function for function in each if function is not None)]
    return found


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
