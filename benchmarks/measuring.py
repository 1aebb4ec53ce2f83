"""One workload at one size: checked, then timed beside its peers in turns.

Comes in: a workload, a size, settings. Goes out: a row of figures (a dict, as JSON has it).
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time
from typing import Any

from . import libraries
from .ceilings import Ceilings
from .checking import CALLS, Reference
from .task import Task, Workload

#: how long a sample takes at least, in seconds: calls are repeated in it, after one that does not
#: count, so that each library finds the caches as its own last call left them
SAMPLE = 2e-3
COMPILED = ("dualflow", "torch.compile", "jax.jit", "numba")
Row = dict[str, Any]


class WrongError(Exception):
    """dualflow computes something else than NumPy does."""


def row_of(
    workload: Workload, size: int, ceilings: Ceilings, seconds: float, threads: int, busy: bool
) -> Row:
    """The figures of a workload: times in seconds by library, share of the ceiling, first calls.

    Args:
        seconds: for the samples, all libraries together.
        threads: that every library may use.
        busy: whether others use the machine: then the times are those of this process on a
            processor, and the least of the samples counts.
    """
    task = workload.make(size)
    reference = Reference(task)
    calls, first, failed = {}, {}, {}
    for name in libraries.available(task):
        try:
            call, began, results = _begun(name, task, threads)
            wrong = reference.differs(results)
        except Exception as error:
            if name.startswith("dualflow"):
                raise
            wrong = f"{type(error).__name__}: {str(error).splitlines()[:1]}"
        if wrong and name.startswith("dualflow"):
            raise WrongError(f"{workload.name} at {size}, {name}: {wrong}")
        if wrong:
            failed[name] = wrong
            continue
        calls[name] = call
        if name in COMPILED:
            first[name] = began
    samples = timed(list(calls.values()), seconds, process_time if busy else perf_counter)
    medians = {name: median(found) for name, found in zip(calls, samples, strict=True)}
    lowest = {name: min(found) for name, found in zip(calls, samples, strict=True)}
    times = lowest if busy else medians
    moved = task.moved or _bytes(task, reference)
    least, limit = ceilings.least(moved, task.flops, task.dtype.name)
    return {
        "workload": workload.name, "group": workload.group, "size": size,
        "threads": threads, "runs": _how(calls["dualflow"]),
        "times": times, "medians": medians, "least": lowest, "first": first, "failed": failed,
        "share": least / times["dualflow"], "limit": limit,
    }  # fmt: skip


def warm_start(workload: Workload, size: int) -> float:
    """Seconds of the first call where every kernel is on disk."""
    call = libraries.call_of("dualflow", workload.make(size))
    start = perf_counter()
    call()
    return perf_counter() - start


def _begun(name: str, task: Task, threads: int) -> tuple[libraries.Call, float, list[Any]]:
    """A call, the seconds of its first, and the results of the first few."""
    call = libraries.call_of(name, task, threads)
    start = perf_counter()
    results = [call()]
    began = perf_counter() - start
    results = [libraries.arrays_of(results[0])]
    results += [libraries.arrays_of(call()) for _ in range(CALLS - 1)]
    return call, began, results


def _bytes(task: Task, reference: Reference) -> float:
    """Of all arrays and results, in the dtype of the task."""
    narrow = task.dtype.itemsize
    made = sum(x.size * (narrow if x.dtype.kind == "f" else x.itemsize)
               for x in reference.wanted[0])  # fmt: skip
    return made + sum(x.nbytes for x in task.arrays)


def _how(call: Any) -> str:
    """Whether calls are replayed."""
    stats = call.func.stats()
    return "replay" if stats["replays"] >= stats["calls"] - 2 else "co-execute or eager"


def timed(
    calls: list[libraries.Call], seconds: float, clock: Callable[[], float]
) -> list[list[float]]:
    """Samples for each call, in seconds a call: in turns, until each has had its share."""
    share = seconds / len(calls)
    single = [min(_sample(call, 1, clock) for _ in range(3)) for call in calls]
    repeats = [max(1, min(1000, round(SAMPLE / took))) for took in single]
    found: list[list[float]] = [[] for _ in calls]
    spent = [0.0] * len(calls)
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        while any(wanted := [s < share or len(f) < 3 for s, f in zip(spent, found, strict=True)]):
            for i, call in enumerate(calls):
                if wanted[i]:
                    call()
                    sample = _sample(call, repeats[i], clock)
                    spent[i] += sample * repeats[i]
                    found[i].append(sample)
    finally:
        if was_on:
            gc.enable()
    return found


def _sample(call: libraries.Call, repeats: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(repeats):
        call()
    return max((clock() - start) / repeats, 1e-9)
