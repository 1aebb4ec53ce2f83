"""What tensors hold the memory of a device: for its summary, and when there is none left.

Comes in: a device. Goes out: text and errors that name shapes, dtypes and sizes.
"""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

from dualflow.base.errors import OutOfMemoryError
from dualflow.base.freed import resident
from dualflow.ops.devices import Device, device
from dualflow.runtime.gpu import memory
from dualflow.runtime.memory import idle_arenas, pool

#: Lines of a list of tensors.
MOST = 10


def tensors(where: str) -> Counter[tuple[tuple[int, ...], str, int]]:
    """How often each shape, dtype and number of bytes is held by tensors on `where`; views and
    other handles of one memory count once."""
    from .tensor import Tensor

    found: Counter[tuple[tuple[int, ...], str, int]] = Counter()
    seen = set()
    for thing in gc.get_objects():
        if type(thing) is Tensor and thing._array is not None and thing.device == where:
            memory_of = thing._memory().array
            if id(memory_of) not in seen:
                seen.add(id(memory_of))
                array: Any = memory_of
                found[array.shape, array.dtype.name, array.nbytes] += 1
    return found


def lines(where: str) -> list[str]:
    """The largest of them, for people."""
    found = sorted(tensors(where).items(), key=lambda item: -item[0][2] * item[1])
    said = [
        f"{times} x {dtype}{list(shape)}: {size(nbytes * times)}"
        for (shape, dtype, nbytes), times in found[:MOST]
    ]
    rest = sum(times for _, times in found[MOST:])
    return [*said, f"and {rest} more"] if rest else said


def size(nbytes: int) -> str:
    """Bytes as people read them.

    >>> size(3_500_000)
    '3.5 MB'
    """
    return f"{nbytes / 1e9:.2f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.1f} MB"


def explained(cause: OutOfMemoryError, where: Device) -> OutOfMemoryError:
    """The same error, with what tensors hold."""
    held = "\n         ".join(lines(where)) or "none"
    return OutOfMemoryError(cause.what, why=f"{cause.why}; tensors hold\n         {held}",
                            instead=cause.instead)  # fmt: skip


def memory_summary(where: str) -> str:
    """What memory of a device is in use, and by which tensors.

    Raises:
        DeviceError: there is no such GPU.
    """
    found = device(where)
    numbers = memory.statistics(found.number) if found.type == "cuda" else _of_the_pool()
    said = ", ".join(f"{name} {size(value)}" for name, value in numbers.items())
    return "\n".join([f"{found}: {said}", *(f"  {line}" for line in lines(found))])


def _of_the_pool() -> dict[str, int]:
    """Bytes of compiled functions: results and working memory in use, the most that ever were, and
    what is kept for the next ones; bytes of the whole process."""
    found, arenas = pool.stats(), idle_arenas()
    return {"compiled functions": found["lent"] - arenas, "at most so far": found["most"],
            "kept for results": found["idle"], "kept to work in": arenas,
            "process": resident()}  # fmt: skip
