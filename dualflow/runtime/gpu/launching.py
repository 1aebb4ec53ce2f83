"""Machine code on a GPU: loaded once in each process, launched through CUDA's driver.

A kernel's parameters are packed into one buffer, as C lays out a struct, and CUDA is given the
address of each; two pointers follow that Triton's kernels take and these never use.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from dualflow.base.errors import DeviceError
from dualflow.ir.text import KernelText, Variant

from .image import Image
from .libraries import driver, failed

#: Shared memory beyond this has to be asked for.
PLAIN_SHARED = 48 << 10
_WARP = 32
#: what a driver says of machine code that is not for it
_OTHER_CODE = ("CUDA_ERROR_INVALID_IMAGE", "CUDA_ERROR_NO_BINARY_FOR_GPU",
               "CUDA_ERROR_UNSUPPORTED_PTX_VERSION")  # fmt: skip
#: how `struct` calls a word of so many bytes
_WORDS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def checked(result: Any, what: str) -> Any:
    """What a call of the driver gave beside its status.

    Raises:
        DeviceError: the status says that it failed.
    """
    status, *rest = result
    if int(status):
        raise failed(what, getattr(status, "name", str(status)))
    return rest[0] if rest else None


@cache
def function(image: Image, index: int) -> Any:
    """The function of `image`, loaded on the GPU `index`, which is in use.

    Raises:
        DeviceError: the GPU cannot take it: made for another one, or too much shared memory.
    """
    cuda = driver()
    loaded = cuda.cuModuleLoadData(image.code)
    if getattr(loaded[0], "name", "") in _OTHER_CODE:
        raise DeviceError(
            f"machine code that the driver of cuda:{index} does not take ({loaded[0].name})",
            why="Triton's assembler is of a newer CUDA than the driver, or it is for another GPU",
            instead="a newer driver, an older triton, or df.config(mode='eager')",
        )
    module = checked(loaded, f"loading a kernel on cuda:{index}")
    found = checked(cuda.cuModuleGetFunction(module, image.name.encode()), "finding a kernel")
    if image.shared > PLAIN_SHARED:
        attribute = cuda.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        (status, *_) = cuda.cuFuncSetAttribute(found, attribute, image.shared)
        if int(status):
            raise DeviceError(
                f"a kernel that needs {image.shared} bytes of shared memory",
                why=f"cuda:{index} does not have them for one block",
                instead="df.config(mode='eager'), where CuPy runs every operation",
            )
    return found


class Launcher:
    """Launches of one function with one grid; the numbers are set once, pointers each time."""

    def __init__(
        self, text: KernelText, chosen: Variant, image: Image, grid: int, index: int,
        numbers: Sequence[int],
    ) -> None:  # fmt: skip
        """`numbers`: the bits of the scalars, then the integers."""
        self._function, self._grid = function(image, index), grid
        self._threads, self._shared = image.warps * _WARP, image.shared
        self._launch = driver().cuLaunchKernel
        codes = ["Q"] * len(text.pointers) + [_WORDS[dtype.itemsize] for dtype in text.scalars]
        codes += ["i" if chosen.indices == "i32" else "q"] * text.integers + ["Q", "Q"]
        pattern, offsets, at = "=", [], 0
        for code in codes:
            size = struct.calcsize(code)
            gap = -at % size
            pattern += "x" * gap + code
            offsets.append(at + gap)
            at += gap + size
        self._buffer = ctypes.create_string_buffer(at)
        base = ctypes.addressof(self._buffer)
        self._addresses = (ctypes.c_void_p * len(offsets))(*(base + n for n in offsets))
        self._parameters = ctypes.addressof(self._addresses)
        nothing = [0] * len(text.pointers)
        struct.Struct(pattern).pack_into(self._buffer, 0, *nothing, *numbers, 0, 0)
        self._pack = struct.Struct(f"={len(text.pointers)}Q").pack_into
        self._lock = threading.Lock()

    def __call__(self, stream: Any, *pointers: int) -> None:
        """Launch on a stream; DeviceError if CUDA refuses it."""
        with self._lock:
            self._pack(self._buffer, 0, *pointers)
            (status, *_) = self._launch(
                self._function, self._grid, 1, 1, self._threads, 1, 1, self._shared, stream,
                self._parameters, 0,
            )  # fmt: skip
        if status:
            raise failed("launching a kernel", getattr(status, "name", str(status)))
