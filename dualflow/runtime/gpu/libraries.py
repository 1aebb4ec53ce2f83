"""CuPy and CUDA's driver, imported when the first tensor goes to a GPU, and what may be wrong.

Goes out: the modules; a DeviceError that says what is missing, never an ImportError.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from dualflow.base.errors import DeviceError, OutOfMemoryError

#: The oldest compute capability that kernels are compiled for, times ten.
OLDEST = 80
#: What a driver has to support: the major version of CUDA that CuPy was built for.
INSTALL = "pip install 'dualflow[gpu]'"


@cache
def cupy() -> Any:
    """The module cupy.

    Raises:
        DeviceError: it is not installed, or there is no GPU that it can use.
    """
    try:
        import cupy
    except ImportError as cause:
        raise DeviceError("tensors on a GPU (cuda)", why=f"CuPy cannot be imported ({cause})",
                          instead=INSTALL) from cause  # fmt: skip
    count_devices(cupy)
    return cupy


@cache
def driver() -> Any:
    """The module cuda.bindings.driver.

    Raises:
        DeviceError: it is not installed.
    """
    try:
        from cuda.bindings import driver
    except ImportError as cause:
        raise DeviceError("kernels on a GPU", why=f"cuda-bindings cannot be imported ({cause})",
                          instead=INSTALL) from cause  # fmt: skip
    return driver


def count_devices(cupy: Any) -> int:
    """How many GPUs there are, at least one.

    Raises:
        DeviceError: no driver, one that is too old, or no GPU.
    """
    runtime = cupy.cuda.runtime
    try:
        count = int(runtime.getDeviceCount())
    except runtime.CUDARuntimeError as cause:
        version = _driver_version(runtime)
        if not version:
            why = "there is no NVIDIA driver"
            instead = "a machine with one, or tensors on the CPU"
        elif "InsufficientDriver" in str(cause):
            why = f"its driver knows CUDA {version}, CuPy was built for {_built_for(runtime)}"
            instead = f"a newer driver, or CuPy for CUDA 12: {INSTALL[:-2]}-cuda12]'"
        else:
            why, instead = str(cause), "tensors on the CPU"
        raise DeviceError("a GPU (cuda) that cannot be used", why=why, instead=instead) from cause
    if not count:
        raise DeviceError("no GPU", why="the driver finds none (CUDA_VISIBLE_DEVICES?)",
                          instead="tensors on the CPU")  # fmt: skip
    return count


def _driver_version(runtime: Any) -> str:
    """The newest CUDA that the driver knows, as people write it; empty without a driver."""
    try:
        return _version(int(runtime.driverGetVersion()))
    except runtime.CUDARuntimeError:
        return ""


def _built_for(runtime: Any) -> str:
    return _version(int(runtime.runtimeGetVersion()))


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""


@cache
def capability(index: int) -> int:
    """The compute capability of a GPU times ten, such as 90.

    Raises:
        DeviceError: there is no such GPU, or it is too old for kernels.
    """
    count = count_devices(cupy())
    if not 0 <= index < count:
        raise DeviceError(f"device cuda:{index}", why=f"there are {count}, counted from 0")
    found = int(cupy().cuda.Device(index).compute_capability)
    if found < OLDEST:
        raise DeviceError(
            f"kernels for a GPU of compute capability {found // 10}.{found % 10}",
            why=f"Triton compiles for {OLDEST // 10}.{OLDEST % 10} and newer ones",
            instead="df.config(mode='eager'), where CuPy runs every operation",
        )
    return found


class _Ready(threading.local):
    """The GPU whose context is current in this thread, for CUDA's driver; -1 for none."""

    index = -1


_ready = _Ready()


def make_current(index: int) -> None:
    """Let the driver's calls of this thread go to the GPU `index`, which is in use: CuPy makes a
    context current when it first needs one, a launch of ours may come before that."""
    if _ready.index != index:
        cupy().cuda.runtime.setDevice(index)
        cupy().cuda.runtime.free(0)
        _ready.index = index


@contextmanager
def told(what: str) -> Iterator[None]:
    """Errors of CuPy and CUDA as ours, with what was being done."""
    try:
        yield
    except Exception as cause:
        found = translated(cause, what)
        if found is None or found is cause:
            raise
        raise found from cause


def translated(cause: Exception, what: str) -> Exception | None:
    """Our error for one of CuPy's or of the driver's, and such an error itself; None for others."""
    if isinstance(cause, (DeviceError, OutOfMemoryError)):
        return cause
    name = type(cause).__name__
    if name == "OutOfMemoryError":
        return OutOfMemoryError(f"{what}: the GPU has no memory left", why=str(cause),
                                instead="smaller batches, or df.checkpoint")  # fmt: skip
    if name in ("CUDARuntimeError", "CUDADriverError", "CUBLASError", "CUSOLVERError",
                "CuFFTError", "NVRTCError", "DynamicLibNotFoundError"):  # fmt: skip
        return failed(what, str(cause))
    return None


#: words of CUDA's errors after which every later call on the device fails
_LOST = ("ILLEGAL", "illegal", "LaunchFailure", "LAUNCH_FAILED", "ECC", "misaligned", "MISALIGNED",
         "AssertError", "DEVICE_LOST", "DeviceLost", "unspecified launch failure")  # fmt: skip


def failed(what: str, message: str) -> DeviceError:
    """The error for a call that CUDA refused, or that a kernel before it has broken."""
    if any(word in message for word in _LOST):
        why = f"{message} (in this or an earlier operation: they run behind Python)"
        return DeviceError(f"{what}: the GPU stopped", why=why,
                           instead="a new process; tensors on the CPU still work")  # fmt: skip
    return DeviceError(f"{what}: {message}")
