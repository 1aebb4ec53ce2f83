"""The BLAS library beside NumPy, and its threads: while the setting `threads` is a number, so many.

Comes in: settings. Goes out: `libraries()` and their functions. Imported with the package, so it
imports nothing that NumPy has not.
"""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from typing import Any

import numpy as np

from dualflow.base import config


def keep_to_budget() -> None:
    """From now on give BLAS the threads of the setting."""
    config.watchers.append(_limit)
    _limit(config.active())


def threads() -> int | None:
    """How many threads BLAS uses; None if it does not tell."""
    found = [get() for get in functions("get_num_threads")]
    return found[0] if found else None


#: how many threads BLAS used before it was limited
_unlimited: list[int] = []


def _limit(settings: config.Config) -> None:
    if settings.threads is None and not _unlimited:
        return
    if not _unlimited:
        _unlimited.extend(get() for get in functions("get_num_threads"))
    for put, before in zip(functions("set_num_threads"), _unlimited, strict=True):
        put(settings.threads or before)


def functions(name: str) -> list[Any]:
    """OpenBLAS's function of this name, of each library that has it."""
    found = []
    for library in libraries():
        whole = f"openblas_{name}"
        names = (f"scipy_{whole}64_", f"{whole}64_", f"scipy_{whole}", whole)
        each = (getattr(library, full, None) for full in names)
        found += [function for function in each if function is not None][:1]
    return found


@lru_cache(maxsize=1)
def libraries() -> tuple[ctypes.CDLL, ...]:
    """OpenBLAS with 64-bit integers, as NumPy's wheels bring it."""
    package = os.path.dirname(np.__file__)
    beside = os.path.join(os.path.dirname(package), "numpy.libs")
    folders = (beside, os.path.join(package, ".dylibs"), os.path.join(package, ".libs"))
    files = [
        os.path.join(folder, name)
        for folder in folders
        if os.path.isdir(folder)
        for name in sorted(os.listdir(folder))
        if "openblas64" in name
    ]
    return tuple(library for file in files if (library := _open(file)) is not None)


def _open(file: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(file)
    except OSError:  # for another machine: NumPy itself runs the products
        return None
