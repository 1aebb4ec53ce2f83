"""Memory that operations free stays with the process, for the next ones.

glibc hands the top of its heap back to the system as soon as 128 KB of it are free (more once it
has seen larger blocks), and a step that freed some megabytes finds them as fresh pages in the next
step, which cost more than the arithmetic that fills them. Other allocators are left as they are.
"""

from __future__ import annotations

import ctypes
import os
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


def _of_glibc(name: str) -> Any:
    """A function of the C library; None if that is not glibc."""
    if os.name != "posix":
        return None
    library = ctypes.CDLL(None)
    return getattr(library, name) if hasattr(library, "gnu_get_libc_version") else None
