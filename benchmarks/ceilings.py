"""What the machine can do at most, measured: bytes copied and numbers multiplied a second.

Comes in: a number of threads. Goes out: `Ceilings`, which tells how long a task takes at least.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

#: bytes moved by the copies that are timed: from the nearest cache to memory
SIZES = tuple(1 << k for k in (14, 17, 20, 23, 26, 28))


@dataclass(frozen=True)
class Ceilings:
    """Rates of this machine.

    Attributes:
        bandwidth: bytes read and written a second by copies of `SIZES` bytes.
        rate: additions and multiplications a second, by the name of the dtype.
    """

    bandwidth: tuple[float, ...]
    rate: dict[str, float]

    def least(self, moved: float, flops: float, dtype: str) -> tuple[float, str]:
        """The seconds that a task takes at least, and what limits it."""
        speed = float(np.interp(np.log(max(moved, 1.0)), np.log(SIZES), self.bandwidth))
        rate = self.rate["float32" if dtype in ("float32", "complex64") else "float64"]
        return max((moved / speed, "bandwidth"), (flops / rate, "arithmetic"))


def measure(threads: int, tiny: bool = False) -> Ceilings:
    """The best of several tries; `tiny` tries once and copies little."""
    tries = 1 if tiny else 9
    sizes = SIZES[:3] if tiny else SIZES
    bandwidth = [_copied(size, threads, tries) for size in sizes]
    bandwidth += bandwidth[-1:] * (len(SIZES) - len(sizes))
    rates = {name: _multiplied(name, tries) for name in ("float32", "float64")}
    return Ceilings(tuple(bandwidth), rates)


def _copied(size: int, threads: int, tries: int) -> float:
    """Bytes a second, of one thread or of all, whichever is more."""
    source, target = np.ones(size // 2, np.uint8), np.ones(size // 2, np.uint8)
    repeats = max(1, (1 << 22) // size)
    best = _least(lambda: np.copyto(target, source), repeats, tries)
    if threads > 1:
        halves = list(zip(np.split(target, threads), np.split(source, threads), strict=True))
        with ThreadPoolExecutor(threads) as pool:

            def every() -> None:
                list(pool.map(lambda half: np.copyto(*half), halves))

            best = min(best, _least(every, repeats, tries))
    return size / best


def _multiplied(name: str, tries: int) -> float:
    """Of a matrix product, which comes near to what fused multiply-adds allow."""
    n = 512
    a: Any = np.ones((n, n), name)
    out = np.empty_like(a)
    return 2 * n**3 / _least(lambda: np.matmul(a, a, out=out), 1, tries)


def _least(call: Callable[[], Any], repeats: int, tries: int) -> float:
    call()
    found = []
    for _ in range(tries):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        found.append((time.perf_counter() - start) / repeats)
    return min(found)
