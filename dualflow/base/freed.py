"""Memory that operations free stays with the process, for the next ones.

glibc hands the top of its heap back to the system as soon as 128 KB of it are free (more once it
has seen larger blocks), and a step that freed some megabytes finds them as fresh pages in the next
step, which cost more than the arithmetic that fills them. Other allocators are left as they are.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from .config import keep_freed

#: numbers of mallopt's parameters in glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Larger blocks are pages of their own and go back at once; the most that glibc raises this to.
LARGEST = 32 << 20
#: Where a user has set the allocator up nothing is changed.
_CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep() -> int:
    """Let `DUALFLOW_KEEP_FREED` bytes at the top of the heap stay; how many will (0: the allocator
    is not glibc's, or the user has set it up)."""
    nbytes, mallopt = keep_freed(), _of_glibc("mallopt")
    if not nbytes or mallopt is None or any(name in os.environ for name in _CHOSEN):
        return 0
    # either of the two ends glibc's own learning, so both have to be set
    kept = mallopt(_TRIM_THRESHOLD, nbytes) and mallopt(_MMAP_THRESHOLD, LARGEST)
    return nbytes if kept else 0


def trim() -> None:
    """Give back what is free at the top of the heap and in whole pages within it."""
    malloc_trim = _of_glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(ctypes.c_size_t(0))


def resident() -> int:
    """Bytes of memory that the process holds; 0 where the system does not tell."""
    try:
        pages = int(_text("/proc/self/statm").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


#: The system is short of memory when less than this share is left.
SHORT = 1 / 16
_looked = [0.0, False]  # when, and what was found


def is_short() -> bool:
    """Whether little memory is left in the system, or to the container; it looks once a second."""
    now = time.monotonic()
    if now - _looked[0] >= 1.0 and not sys.is_finalizing():
        _looked[:] = now, any(left < SHORT * total for left, total in _left())
    return bool(_looked[1])


def _left() -> Iterator[tuple[int, int]]:
    """Bytes that are left and that there are: in the system, to the container. On Linux only."""
    try:
        lines = _text("/proc/meminfo").splitlines()
        found = {name: int(rest.split()[0]) << 10 for name, rest in (x.split(":") for x in lines)}
        yield found["MemAvailable"], found["MemTotal"]
        most, used = (int(_text(_GROUP + name)) for name in ("memory.max", "memory.current"))
        yield most - used, most
    except (OSError, ValueError, KeyError):  # not said, or "max"
        return


_GROUP = "/sys/fs/cgroup/"


def _text(path: str) -> str:
    with open(path) as file:
        return file.read()


def _of_glibc(name: str) -> Any:
    """A function of the C library; None if that is not glibc."""
    if os.name != "posix":
        return None
    library = ctypes.CDLL(None)
    return getattr(library, name) if hasattr(library, "gnu_get_libc_version") else None
