"""Two functions timed side by side: interleaved, each run from one saved state, medians.

Comes in: callables and what to do before each run. Goes out: a `Timing` for each.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of repeated runs.

    Attributes:
        median: the middle run.
        low, high: the first and third quartile.
        runs: how many there were.
    """

    median: float
    low: float
    high: float
    runs: int

    @staticmethod
    def of(seconds: Sequence[float]) -> Timing:
        """The summary of single runs."""
        if len(seconds) < 2:
            return Timing(seconds[0], seconds[0], seconds[0], len(seconds))
        low, _, high = quantiles(seconds, n=4)
        return Timing(median(seconds), low, high, len(seconds))


def interleave(
    calls: Sequence[Callable[[], Any]],
    before: Callable[[], None],
    budget: float,
    most: int = 300,
    least: int = 7,
) -> list[Timing]:
    """Time `calls` in turn until `budget` seconds are spent, each run after `before()`.

    The first two rounds warm up and are not counted. The order of the calls alternates, and the
    garbage collector is off, so that neither position nor a collection favours one of them.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    start = time.perf_counter()
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(most + 2):
            order = range(len(calls)) if turn % 2 else reversed(range(len(calls)))
            for i in order:
                before()
                begin = time.perf_counter()
                result = calls[i]()
                end = time.perf_counter()
                del result
                if turn >= 2:
                    seconds[i].append(end - begin)
            if turn >= least + 1 and time.perf_counter() - start > budget:
                break
    finally:
        if was_on:
            gc.enable()
    return [Timing.of(each) for each in seconds]
