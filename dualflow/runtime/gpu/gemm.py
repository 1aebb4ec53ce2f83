"""Matrix products by cuBLAS on addresses: nothing is allocated, so a CUDA graph may hold them.

cuBLAS splits long sums over memory of its own; a graph is given memory for that (`Work.workspace`),
as what cuBLAS would take is anyone's once the graph was captured. Other libraries of a process may
have loaded a cuBLAS of another version, so handles are made by the one that is called.

Comes in: a Call of a contraction. Goes out: what launches it, or None for operands that cuBLAS
does not take as they lie (CuPy then copies them).
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterable, Sequence
from functools import cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from dualflow.base import config
from dualflow.ir.op import CATALOGUE, Kind
from dualflow.ir.program import Call, Operand
from dualflow.ir.types import View

from .libraries import cupy, failed
from .places import Places
from .steps import Work

#: cudaDataType_t and cublasComputeType_t of what is multiplied; those of 16 bits add up in
#: float32.
_REAL_16, _BRAIN_16, _REAL_32, _REAL_64 = 2, 14, 0, 1
_ADDS_32, _ADDS_TF32, _ADDS_64 = 68, 77, 70
_TYPES = {"float16": (_REAL_16, _ADDS_32), "bfloat16": (_BRAIN_16, _ADDS_32),
          "float32": (_REAL_32, _ADDS_32), "float64": (_REAL_64, _ADDS_64)}  # fmt: skip
_DEFAULT_ALGORITHM = -1


class _Matrix(NamedTuple):
    """A batch of matrices as cuBLAS takes it, column by column: whether they are transposed for
    it, elements from column to column, and from matrix to matrix."""

    turned: int
    leading: int
    following: int


def _matrix(view: View) -> _Matrix | None:
    """The matrices of a view, row-major ones being the transposed of column-major ones."""
    rows, columns = view.shape[-2:]
    count = prod(view.shape[:-2])
    reshape = CATALOGUE["reshape"].view
    assert reshape is not None
    flat = reshape(view, shape=(count, rows, columns))
    if flat is None:
        return None
    following, down, across = flat.strides
    if count == 1:
        following = 0
    if (across == 1 or columns == 1) and (down >= columns or rows == 1):
        return _Matrix(0, max(down, columns, 1) if rows > 1 else columns, following)
    if (down == 1 or rows == 1) and (across >= rows or columns == 1):
        return _Matrix(1, max(across, rows, 1) if columns > 1 else rows, following)
    return None


class Gemm:
    """A product, bound to where its operands lie."""

    is_plain, may_fail, launches = True, False, 1

    def __init__(self, step: Call, places: Places, parts: Sequence[_Matrix]) -> None:
        left, right = step.operands
        (result,) = step.results
        a, b, c = parts
        kind, adds = _TYPES[result.dtype.name]
        if result.dtype.name == "float32" and config.active().numerics == "fast":
            adds = _ADDS_TF32
        (m, k), n = left.view.shape[-2:], right.view.shape[-1]
        word = np.float64 if result.dtype.name == "float64" else np.float32
        self._factors = np.array([1, 0], word)
        one, zero = (self._factors.ctypes.data + i * self._factors.itemsize for i in (0, 1))
        # Columns of the transposed: c' = b' a', and what lies row by row is transposed already.
        self._head = b.turned, a.turned, n, m, k, one
        self._left, self._right = (kind, a.leading, a.following), (kind, b.leading, b.following)
        self._tail = kind, c.leading, c.following, prod(result.view.shape[:-2]), adds
        self._zero = zero
        self._places = [places.place(operand) for operand in (left, right, result)]
        self.bases = places.bases((left, right, result))

    def start(self) -> list[Any]:
        """Nothing is compiled."""
        return []

    def load(self) -> None:
        """Nothing is loaded."""

    def launch(self, work: Work) -> None:
        """Ask for it on the stream of the work; DeviceError if cuBLAS refuses it."""
        a, b, c = (work.pointers[base] + offset for base, offset in self._places)
        library, on = cublas(), handle()
        status = library.cublasSetStream_v2(on, work.stream)
        if work.workspace is not None and not status:
            memory = work.workspace
            status = library.cublasSetWorkspace_v2(on, memory.data.ptr, memory.nbytes)
        status = status or library.cublasGemmStridedBatchedEx(
            on, *self._head, b, *self._right, a, *self._left, self._zero, c, *self._tail,
            _DEFAULT_ALGORITHM,
        )  # fmt: skip
        if status:
            raise failed("a matrix product", f"cuBLAS says {status}")


@cache
def cublas() -> Any:
    """cuBLAS as CuPy has loaded it; CuPy's own functions refuse to become part of a graph."""
    cupy().cuda.device.get_cublas_handle()
    with open("/proc/self/maps") as maps:
        path = path_of_cublas(maps, cupy().cuda.runtime.runtimeGetVersion() // 1000)
    if path is None:
        raise failed("a matrix product", "CuPy has not loaded cuBLAS")
    library = ctypes.CDLL(path)
    address, number, wide = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
    matrix = [address, number, number, wide]
    library.cublasCreate_v2.argtypes = [ctypes.POINTER(address)]
    library.cublasSetStream_v2.argtypes = [address, address]
    library.cublasSetWorkspace_v2.argtypes = [address, address, ctypes.c_size_t]
    library.cublasGemmStridedBatchedEx.argtypes = [
        address, *[number] * 5, address, *matrix, *matrix, address, *matrix, *[number] * 3,
    ]  # fmt: skip
    return library


def path_of_cublas(maps: Iterable[str], major: int) -> str | None:
    """The file of cuBLAS among those that a process has loaded (lines of /proc/self/maps): that of
    CuPy's version of CUDA, if there are several."""
    paths = {line.split(maxsplit=5)[5].strip() for line in maps if "/libcublas.so" in line}
    ours = {path for path in paths if path.rpartition("/libcublas.so.")[2].split(".")[0]
            == str(major)}  # fmt: skip
    return min(ours or paths, default=None)


class _Handles(threading.local):
    """A thread's handles of cuBLAS, by GPU."""

    def __init__(self) -> None:
        self.found: dict[int, int] = {}


_handles = _Handles()
#: the GPUs for which any thread has one
_used: set[int] = set()


def handle() -> int:
    """This thread's handle for the GPU in use; DeviceError if cuBLAS makes none."""
    index = cupy().cuda.runtime.getDevice()
    found = _handles.found.get(index)
    if found is None:
        made = ctypes.c_void_p()
        status = cublas().cublasCreate_v2(ctypes.byref(made))
        if status or not made.value:
            raise failed("a matrix product", f"cuBLAS says {status} when it begins")
        found = _handles.found[index] = made.value
        _used.add(index)
    return found


def make_ready() -> None:
    """Have a handle before launches are captured: one cannot be made meanwhile."""
    if cupy().cuda.runtime.getDevice() in _used:
        handle()


def gemm(step: Call, places: Places) -> Gemm | None:
    """The product that `step` is; None for other ops and layouts."""
    if step.op.kind is not Kind.CONTRACTION or len(step.operands) != 2:
        return None
    operands: tuple[Operand, ...] = (*step.operands, *step.results)
    if step.results[0].dtype.name not in _TYPES or not all(o.type.size for o in operands):
        return None
    found = [_matrix(operand.view) for operand in operands]
    parts = [part for part in found if part is not None and part.leading < 1 << 31]
    if len(parts) < 3 or parts[2].turned:
        return None
    return Gemm(step, places, parts)
