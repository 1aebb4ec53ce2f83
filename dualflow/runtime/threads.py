"""One budget of threads for kernels and BLAS, and the native pool that spends it.

In: the setting `threads`, or the processors this process may use. Out: `step()`, the address of the
dispatcher's parallel step where the native pool passes its test on this machine, else None: there
programs use Python threads (see `division`). A forked child has a pool of its own.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from dualflow.base import config

from . import cache
from .loader import Native
from .native_pool import HEAD, MOST_THREADS, SYMBOLS, pool_text
from .once import once, trial

_QUOTA = "/sys/fs/cgroup/cpu.max"


def budget() -> int:
    """How many threads may compute at once."""
    return min(config.active().threads or processors(), MOST_THREADS)


def most() -> int:
    """The largest budget that programs are prepared for."""
    return min(max(budget(), processors()), MOST_THREADS)


@lru_cache(maxsize=1)
def processors() -> int:
    """The processors that this process may use: those it is bound to, no more than its container
    gets time of, and no more than OMP_NUM_THREADS where that is set."""
    bound = getattr(os, "sched_getaffinity", None)
    found = len(bound(0)) if bound else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if wanted.isdecimal() and int(wanted):
        found = min(found, int(wanted))
    try:
        with open(_QUOTA) as file:
            share, period = file.read().split()
    except (OSError, ValueError):
        return found
    return found if share == "max" else max(1, min(found, -(-int(share) // int(period))))


@once
def step() -> int | None:
    """The address of the step that divides a kernel over the pool (see `native_pool`)."""
    pool = _pool()
    if pool is None:
        return None
    os.register_at_fork(after_in_child=_call(pool, "dualflow_pool_reset"))
    atexit.register(_call(pool, "dualflow_pool_stop"))  # before the code is unloaded
    config.watchers.append(_apply)
    _apply(config.active())
    return pool["dualflow_parallel"]


def launches() -> int:
    """How many steps were divided over the native pool."""
    pool = _pool() if step() is not None else None
    return 0 if pool is None else _set_limit(pool, budget())


@trial
def _pool() -> Native | None:
    """The pool's code, if it works here."""
    if not hasattr(os, "register_at_fork"):  # no POSIX threads either
        return None
    try:
        pool = cache.native_part(pool_text(), SYMBOLS)
    except RuntimeError:  # a symbol that this C library lacks
        return None
    _call(pool, "dualflow_pool_reset")()
    return pool if _works(pool) else None


def _works(pool: Native, parts: int = 64) -> bool:
    """Whether two threads run each part of a step once."""
    counts = np.zeros(4 * parts, np.int64)
    words = [
        pool["dualflow_probe"],
        3,
        1,
        4,
        parts,
        2,
        0,
        0,
        0,
        0,
        counts.ctypes.data,
        0,
        counts.size,
    ]
    assert len(words) == HEAD + 3
    table = np.array(words, np.int64)
    before = _set_limit(pool, 2)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(pool["dualflow_parallel"])(table.ctypes.data)
    return bool((counts == 1).all()) and _set_limit(pool, 1) == before + 1


def _set_limit(pool: Native, threads: int) -> int:
    function = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(pool["dualflow_pool_limit"])
    return function(threads)


def _call(pool: Native, name: str) -> Callable[[], None]:
    return ctypes.CFUNCTYPE(None)(pool[name])


def _apply(settings: config.Config) -> None:
    """Give the pool the budget; BLAS follows the setting itself (see `blas`)."""
    pool = _pool()
    if pool is not None:
        _set_limit(pool, budget())
