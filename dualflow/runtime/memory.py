"""Memory of programs: outputs from a caching pool, arenas.

Fresh pages cost more than the arithmetic that fills them, so a large output's memory comes back to
the pool when the last view of it is gone, whoever holds that view; programs share arenas. Comes in:
shapes and dtypes. Goes out: ordinary ndarrays, writeable, on 64-byte boundaries (2 MB and huge
pages when large).
"""

from __future__ import annotations

import ctypes
import mmap
import threading
from collections.abc import Callable
from functools import lru_cache, partial
from math import prod
from typing import Any

import numpy as np

from dualflow.base.errors import OutOfMemoryError
from dualflow.base.freed import is_short, resident, trim
from dualflow.base.shapes import Shape
from dualflow.ir.program import Operand

ALIGNMENT = 64
#: From this size on outputs come from the pool; below, NumPy's own allocation is as quick.
POOLED = 1 << 20
#: From this size on memory lies on 2 MB boundaries, in huge pages where the system has them.
HUGE = 16 << 20
HUGE_PAGE = 2 << 20
#: Memory of this process alone: what is shared with forks gets no huge pages, and a fork's writes.
_OWN: dict[str, int] = (
    {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
)
#: The pool keeps at most this many bytes that nobody uses.
LIMIT = 1 << 30


def aligned(nbytes: int) -> int:
    """`nbytes` rounded up to the alignment of buffers."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


class Pool:
    """Blocks of memory by size class, handed out as the bases of ndarrays.

    >>> pool = Pool()
    >>> address = pool.empty((1000, 1000), np.dtype("float32")).ctypes.data
    >>> pool.empty((999, 1000), np.dtype("float32")).ctypes.data == address
    True
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._free: dict[int, list[tuple[int, Any]]] = {}
        self._lock = threading.RLock()  # a collection may run `_give_back` inside `empty`
        self._idle = self._lent = self._most = self._hits = self._misses = 0

    def empty(self, shape: Shape, dtype: np.dtype) -> np.ndarray:
        """An ndarray with undefined elements, whose memory comes back when it is dropped."""
        return self.take(shape, dtype, size_class(prod(shape) * dtype.itemsize))

    def take(self, shape: Shape, dtype: np.dtype, size: int) -> np.ndarray:
        """`empty`, in a block of the size class `size`."""
        with self._lock:
            blocks = self._free.get(size)
            if blocks:
                address, memory = blocks.pop()
                self._idle -= size
                self._hits += 1
            else:
                address, memory = self._fresh(size)
                self._misses += 1
            self._lent += size
            self._most = max(self._most, self._lent)
        block = _block_type(size).from_address(address)
        block.pool, block.memory = self, memory
        return np.ndarray(shape, dtype, block)

    def _fresh(self, size: int) -> tuple[int, Any]:
        """As `_obtain`, in the second try without all that is idle.

        Raises:
            OutOfMemoryError: the system gives no more.
        """
        try:
            return _obtain(size)
        except (MemoryError, OSError):
            release_memory()
            self.clear()
        try:
            return _obtain(size)
        except (MemoryError, OSError) as cause:
            held = f"results and working memory of compiled functions hold {self._lent:,} bytes"
            process = resident()
            raise OutOfMemoryError(
                f"{size:,} bytes of memory for a compiled function, which the system does not give",
                why=held + (f", the whole process {process:,}" if process else ""),
                instead="smaller batches, or df.checkpoint; df.memory_summary() lists tensors",
            ) from cause

    def _give_back(self, size: int, address: int, memory: Any) -> None:
        with self._lock:
            self._lent -= size
            if is_short():
                self.clear()
            elif self._idle + size <= self.limit:
                self._idle += size
                self._free.setdefault(size, []).append((address, memory))

    def clear(self) -> None:
        """Give what nobody uses back to the system."""
        with self._lock:
            self._free.clear()
            self._idle = 0

    def stats(self) -> dict[str, int]:
        """Bytes `lent`, the `most` that ever were, and `idle`; how often a block was at hand
        (`hits`) or not (`misses`)."""
        with self._lock:
            return {"lent": self._lent, "most": self._most, "idle": self._idle,
                    "hits": self._hits, "misses": self._misses}  # fmt: skip


def size_class(nbytes: int) -> int:
    """`nbytes` rounded up to a power of two or one of the three sizes evenly between two.

    >>> [size_class(n) for n in (1, 65536, 65537, 90000)]
    [65536, 65536, 81920, 98304]
    """
    if nbytes <= 1 << 16:
        return 1 << 16
    step = 1 << ((nbytes - 1).bit_length() - 3)
    return -(-nbytes // step) * step


def _obtain(size: int) -> tuple[int, Any]:
    """Fresh memory: the address to use, and the object that owns it."""
    if size < HUGE:
        raw = np.empty(size + ALIGNMENT, np.uint8)
        address = raw.ctypes.data
        return address + -address % ALIGNMENT, raw
    pages = mmap.mmap(-1, size + HUGE_PAGE, **_OWN)
    address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            pages.madvise(mmap.MADV_HUGEPAGE)
        except OSError:  # a kernel without huge pages: ordinary ones serve
            return address + -address % HUGE_PAGE, pages
    return address + -address % HUGE_PAGE, pages


@lru_cache(maxsize=None)
def _block_type(size: int) -> Any:
    """The base object of arrays of one size class: it exports its memory, and in the end returns
    it."""

    def give_back(self: Any, addressof: Any = ctypes.addressof) -> None:
        self.pool._give_back(size, addressof(self), self.memory)

    return type("Block", (ctypes.c_char * size,), {"__del__": give_back})


pool = Pool()


def release_memory() -> None:
    """Give memory that no tensor uses any more back to the system.

    Else up to 1 GB stays for the results of compiled functions, what they work in, and, where glibc
    allocates, up to 256 MB at the top of the heap (environment variable `DUALFLOW_KEEP_FREED`, in
    bytes). When the system is short of memory, what results leave is given back at once.

    >>> import dualflow as df
    >>> df.release_memory()
    """
    for kept in _arenas.values():
        kept.clear()
    pool.clear()
    trim()


def allocator(shape: Shape, dtype: np.dtype) -> Callable[[], np.ndarray]:
    """What makes an output of this shape and dtype: pooled when it is large."""
    nbytes = prod(shape) * dtype.itemsize
    if nbytes >= POOLED:
        return partial(pool.take, shape, dtype, size_class(nbytes))
    return partial(np.empty, shape, dtype)


class Arena:
    """The intermediates of one running call, and the NumPy views made of them."""

    __slots__ = ("array", "views")
    #: as many views are kept
    MOST = 4096

    def __init__(self, nbytes: int) -> None:
        raw = pool.empty((nbytes + ALIGNMENT,), np.dtype(np.uint8))
        skip = -raw.ctypes.data % ALIGNMENT
        self.array = raw[skip : skip + nbytes]
        self.views: dict[int, np.ndarray] = {}

    def view(self, key: int, operand: Operand) -> np.ndarray:
        """`operand` as an array, from now on known by `key`."""
        itemsize, view = operand.dtype.itemsize, operand.view
        strides = tuple(stride * itemsize for stride in view.strides)
        offset = operand.buffer.index + view.offset * itemsize
        made = np.ndarray(view.shape, operand.dtype, self.array, offset, strides)
        if len(self.views) >= self.MOST:
            self.views.clear()
        self.views[key] = made
        return made


#: by their size: the arenas that no call is using
_arenas: dict[int, list[Arena]] = {}


def arenas(nbytes: int) -> tuple[int, list[Arena]]:
    """A size from `nbytes` on, and the arenas of that size that no call is using: to be taken from
    the end of the list, and put back."""
    size = size_class(nbytes + ALIGNMENT) - ALIGNMENT
    return size, _arenas.setdefault(size, [])


def idle_arenas() -> int:
    """Bytes of the arenas that no call is using."""
    return sum((size + ALIGNMENT) * len(kept) for size, kept in list(_arenas.items()))
