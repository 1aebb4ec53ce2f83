"""Modules that stand in for CUDA's driver and cuBLAS: on bare addresses, as those take them.

What is launched runs in Triton's interpreter, on exactly the parameters that CUDA would be given.
"""

from __future__ import annotations

import ctypes
import pickle
import sys
import types
from enum import IntEnum
from typing import Any

import numpy as np
from ml_dtypes import bfloat16
from stand_in_arrays import Memory
from stand_in_cupy import Stream, asked, module
from triton_interpreter import Interpreter, Job

# cuBLAS: matrices column by column, on bare addresses. ----------------------------------------

HANDLE = 7
TYPES = {0: np.float32, 1: np.float64, 2: np.float16, 14: bfloat16}


def make_cublas() -> Any:
    """The library, as ctypes shows it."""

    def matrices(address: int, kind: int, rows: int, columns: int, leading: int, following: int,
                 count: int) -> np.ndarray:  # fmt: skip
        """Views of `count` matrices whose columns lie `leading` elements apart."""
        dtype = np.dtype(TYPES[kind])
        assert leading >= max(1, rows), "cuBLAS refuses a leading dimension below the rows"
        extent = (count - 1) * following + (columns - 1) * leading + rows
        raw = (ctypes.c_char * (extent * dtype.itemsize)).from_address(address)
        flat = np.frombuffer(raw, dtype)
        strides = tuple(n * dtype.itemsize for n in (following, 1, leading))
        return np.lib.stride_tricks.as_strided(flat, (count, rows, columns), strides)

    streams: list[int] = []

    def create(handle: Any) -> int:
        assert not Stream.capturing, "memory is allocated for a handle"
        handle._obj.value = HANDLE
        return 0

    def on(handle: int, stream: int) -> int:
        streams[:] = [stream]
        return 0

    def workspace(handle: int, address: int, nbytes: int) -> int:
        assert streams[0] in Stream.capturing
        assert any(m.ptr == address and m.size == nbytes for m in Memory.live)
        streams.append(address)
        return 0

    def multiply(handle: int, turn_a: int, turn_b: int, m: int, n: int, k: int, alpha: int, a: int,
                 a_type: int, lda: int, a_next: int, b: int, b_type: int, ldb: int, b_next: int,
                 beta: int, c: int, c_type: int, ldc: int, c_next: int, count: int, adds: int,
                 algorithm: int) -> int:  # fmt: skip
        assert (handle, algorithm) == (HANDLE, -1)
        assert streams[0] not in Stream.capturing or len(streams) == 2, "memory of cuBLAS's own"
        word = {70: ctypes.c_double}.get(adds, ctypes.c_float)
        assert (word.from_address(alpha).value, word.from_address(beta).value) == (1, 0)
        assert adds == {0: 68, 1: 70, 2: 68, 14: 68}[a_type] or (a_type, adds) == (0, 77)

        def run() -> None:
            x = matrices(a, a_type, *((k, m) if turn_a else (m, k)), lda, a_next, count)
            y = matrices(b, b_type, *((n, k) if turn_b else (k, n)), ldb, b_next, count)
            out = matrices(c, c_type, m, n, ldc, c_next, count)
            wide = np.float64 if a_type == 1 else np.float32
            x, y = (part.swapaxes(1, 2) if turn else part
                    for part, turn in ((x, turn_a), (y, turn_b)))  # fmt: skip
            with np.errstate(all="ignore"):
                out[...] = np.matmul(x.astype(wide), y.astype(wide))

        asked(streams[0], "gemm", run)
        return 0

    return types.SimpleNamespace(cublasCreate_v2=create, cublasSetStream_v2=on,
                                 cublasSetWorkspace_v2=workspace,
                                 cublasGemmStridedBatchedEx=multiply)  # fmt: skip


# The driver: what is launched runs in the interpreter. ---------------------------------------


class Result(IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1


class Attribute(IntEnum):
    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8


def make_driver(interpreter: Interpreter) -> types.ModuleType:
    """The module cuda.bindings.driver."""

    def launch(function: Any, gx: int, gy: int, gz: int, bx: int, by: int, bz: int, shared: int,
               stream: int, parameters: int, extra: int) -> tuple[Result]:  # fmt: skip
        text, chosen = function
        given = read_parameters(text, chosen, parameters)
        assert (gy, gz, by, bz, extra) == (1, 1, 1, 1, 0)
        assert bx == 32 * chosen.warps
        assert gx > 0

        def run() -> None:
            interpret(interpreter, text, chosen, gx, given)

        asked(stream, function, run)
        return (Result.CUDA_SUCCESS,)

    ok = Result.CUDA_SUCCESS
    return module(
        "cuda.bindings.driver", cuLaunchKernel=launch, CUresult=Result,
        cuModuleLoadData=lambda code: (ok, pickle.loads(code)),
        cuModuleGetFunction=lambda loaded, name: (ok, loaded),
        cuFuncSetAttribute=lambda function, attribute, value: (ok,),
        CUfunction_attribute=Attribute,
    )  # fmt: skip


def read_parameters(text: Any, chosen: Any, address: int) -> list[bytes]:
    """The bytes of each parameter, as CUDA would read them."""
    wide = 4 if chosen.indices == "i32" else 8
    sizes = [8] * len(text.pointers) + [dtype.itemsize for dtype in text.scalars]
    sizes += [wide] * text.integers + [8, 8]
    places = (ctypes.c_void_p * len(sizes)).from_address(address)
    found = [ctypes.string_at(place, size) for place, size in zip(places, sizes, strict=True)]
    assert found[-2:] == [bytes(8)] * 2
    return found[:-2]


def interpret(
    interpreter: Interpreter, text: Any, chosen: Any, grid: int, given: list[bytes]
) -> None:
    """One launch, on the memory that its pointers point into."""
    count = len(text.pointers)
    addresses = [int.from_bytes(data, sys.byteorder) for data in given[:count]]
    roots: list[Memory] = []
    pointers = []
    for address, dtype in zip(addresses, text.pointers, strict=True):
        memory = min(Memory.live, key=lambda m: max(m.ptr - address, address - m.ptr - m.size, 0))
        if memory not in roots:
            roots.append(memory)
        pointers.append((roots.index(memory), address - memory.ptr, dtype))
    numbers = given[count:]
    scalars = [np.frombuffer(data, dtype)[0]
               for data, dtype in zip(numbers, text.scalars, strict=False)]  # fmt: skip
    kind = np.int32 if chosen.indices == "i32" else np.int64
    integers = [np.frombuffer(data, kind)[0] for data in numbers[len(scalars) :]]
    values = [*addresses, *scalars, *integers]
    for parameter, divisor in chosen.divisible:
        assert int(values[parameter]) % divisor == 0, "the compiler was promised a multiple"
    job = Job(text.source, text.name, [memory.bytes for memory in roots], pointers, scalars,
              integers, chosen.constexprs, grid)  # fmt: skip
    for memory, after in zip(roots, interpreter.launch(job), strict=True):
        memory.bytes[:] = after
