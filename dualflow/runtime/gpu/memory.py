"""Arrays on GPUs: there and back, streams, and what memory is in use.

Memory comes from CuPy's pool, which keeps what was freed and hands it out again in the order of
the stream, so a buffer may be dropped as soon as what reads it is launched.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dualflow.base.errors import DeviceError

from .libraries import count_devices, cupy, told
from .narrow import class_of, given, holding, word, words

_ON_DEVICE = 3  # cudaMemcpyDeviceToDevice


def to_device(array: Any, index: int) -> Any:
    """A copy of `array`, of the host or of another GPU, on the GPU `index`.

    Raises:
        DeviceError: there is no such GPU, or none at all.
        OutOfMemoryError: it has no room.
    """
    xp = cupy()
    check(index)
    with told(f"a copy of {array.nbytes} bytes to cuda:{index}"), xp.cuda.Device(index):
        if isinstance(array, np.ndarray):
            return given(np.ascontiguousarray(array).reshape(array.shape))
        return copied(array)


def copied(array: Any, order: str = "C") -> Any:
    """A copy on the GPU in use."""
    return holding(words(array).copy(order), array.dtype)


def moved(target: int, source: int, nbytes: int, stream: int) -> None:
    """Copy bytes from one address of the GPU in use to another, on a stream; it may be captured."""
    if nbytes and target != source:
        cupy().cuda.runtime.memcpyAsync(target, source, nbytes, _ON_DEVICE, stream)


def to_host(array: Any) -> np.ndarray:
    """A copy of a GPU's array, in row-major order; waits for what computes it."""
    with told("a copy to the host"):
        return cupy().asnumpy(words(array)).view(array.dtype)


def check(index: int) -> None:
    """DeviceError unless there is a GPU `index`."""
    count = count_devices(cupy())
    if not 0 <= index < count:
        raise DeviceError(f"device cuda:{index}", why=f"there are {count}, counted from 0")


def empty(shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """An array with undefined elements on the GPU in use."""
    return class_of(dtype)(shape, word(dtype))


def view(base: Any, offset: int, shape: tuple[int, ...], dtype: np.dtype, steps: Any) -> Any:
    """What lies `offset` bytes into the memory of `base`; `steps` count elements."""
    strides = tuple(step * dtype.itemsize for step in steps)
    return class_of(dtype)(shape, word(dtype), base.data + offset, strides)


def pinned(array: np.ndarray) -> np.ndarray:
    """A copy of `array` in host memory from which a GPU copies while Python goes on."""
    with told(f"{array.nbytes} bytes of pinned host memory"):
        memory = cupy().cuda.alloc_pinned_memory(max(array.nbytes, 1))
    made = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
    made[...] = array
    return made


def synchronize(index: int) -> None:
    """Wait until the GPU has done all that was asked of it."""
    check(index)
    with told("synchronize"):
        cupy().cuda.Device(index).synchronize()


def statistics(index: int) -> dict[str, int]:
    """Bytes: `used` by arrays, `idle` in the pool, `free` and `total` on the GPU."""
    xp = cupy()
    check(index)
    with told("memory statistics"), xp.cuda.Device(index):
        pool = xp.get_default_memory_pool()
        free, total = xp.cuda.runtime.memGetInfo()
        return {"used": int(pool.used_bytes()), "idle": int(pool.free_bytes()),
                "free": int(free), "total": int(total)}  # fmt: skip


def release(index: int) -> None:
    """Give idle memory of the pool back to the GPU."""
    xp = cupy()
    with xp.cuda.Device(index):
        xp.get_default_memory_pool().free_all_blocks()
