"""The measuring process of `benchmarks.gpu`: prints an event a line, as JSON.

    {"machine": {...}}                          device and versions
    {"limits": {...}}                           bytes and operations a second
    {"begins": "[name, size, library]"}         what comes next
    {"row": [name, size], "seconds": {...}}     what was found, or "failed"; "finished" at the end

The sizes that matter most come first, and what compiles for long comes behind all else of them.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from .gpu_libraries import SLOW, Library, libraries
from .gpu_workloads import WORKLOADS, Workload

#: Seconds that the samples of one library take, and how many there are.
SAMPLING, SAMPLES = 0.15, 7
Event = dict[str, Any]
Sized = tuple[Workload, tuple[int, ...]]


def seconds_of(call: Callable[[], Any], wait: Callable[[], None]) -> float:
    """The least time of a call, of several stretches that are waited for."""
    for _ in range(4):  # recording, compiling, replaying, capturing
        call()
    wait()
    start = time.perf_counter()
    call()
    wait()
    once = max(time.perf_counter() - start, 1e-6)
    count = max(1, int(SAMPLING / SAMPLES / once))
    found = []
    for _ in range(SAMPLES):
        start = time.perf_counter()
        for _ in range(count):
            call()
        wait()
        found.append((time.perf_counter() - start) / count)
    return min(found)


def checked(workload: Workload, found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    """AssertionError where results differ by more than the workload allows."""
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape, f"shapes {one.shape} and {other.shape}"
        scale = max(float(np.abs(other.astype(np.float64)).max(initial=0)), 1e-6)
        error = np.abs(one.astype(np.float64) - other.astype(np.float64)).max(initial=0)
        assert error <= workload.close * scale, f"differs by {error / scale:.1e}"


def measured(
    workload: Workload, size: tuple[int, ...], chosen: list[Library], skipped: list[str],
    reference: Library | None = None,
) -> Iterator[Event]:  # fmt: skip
    """Libraries on one workload at one size, checked against the first, or `reference`."""
    row = workload.name, "x".join(map(str, size))
    chosen = [each for each in chosen if json.dumps([*row, each.name]) not in skipped]
    if not chosen:
        return
    wanted: list[np.ndarray] | None = None
    if reference is not None:
        wanted = [reference.host(part)
                  for part in reference.leaves(workload.make(reference, size)())]  # fmt: skip
    for library in chosen:
        yield {"begins": json.dumps([*row, library.name])}
        try:
            call = workload.make(library, size)
            found = [library.host(part) for part in library.leaves(call())]
            if wanted is None:
                wanted = found
            checked(workload, found, wanted)
            library.settle(call)
            yield {"row": row, "seconds": {library.name: seconds_of(call, library.wait)}}
        except Exception as why:  # told in the row; the others go on
            said = f"{type(why).__name__}: {why}".splitlines()[0]
            yield {"row": row, "failed": {library.name: said}}
        library.forget()
    work = None if workload.work is None else workload.work(size)
    yield {"row": row, "work": work, "finished": True}


def ceilings(library: Library, tiny: bool) -> dict[str, float]:
    """Bytes a second of a copy, and floating-point operations a second of products."""
    n = 1 << (12 if tiny else 28)
    x = library.array(np.zeros(n, np.float32))
    copy = library.compile(lambda x: x * 1.0)
    found = {"bytes": 8 * n / seconds_of(lambda: copy(x), library.wait)}
    m = 64 if tiny else 8192
    for dtype in ("float32", "float16"):
        a = library.array(np.ones((m, m), dtype))
        product = library.compile(lambda a: library.ops.matmul(a, a))
        found[dtype] = 2 * m**3 / seconds_of(lambda a=a, p=product: p(a), library.wait)
    return found


def sizes(only: list[str], tiny: bool) -> tuple[list[Sized], list[Sized]]:
    """Workloads with their first size, and with their further ones."""
    picked = [each for each in WORKLOADS if not only or each.name in only]
    every = [(workload, workload.tiny if tiny else workload.sizes) for workload in picked]
    return ([(workload, first) for workload, (first, *_) in every],
            [(workload, size) for workload, (_, *rest) in every for size in rest])  # fmt: skip


def events(
    chosen: list[Library], *, only: list[str], tiny: bool, skipped: list[str]
) -> Iterator[Event]:
    """The ceilings, then each row by what is soon ready, then by what compiles for long."""
    yield {"limits": ceilings(chosen[0], tiny)}
    ours = chosen[0]
    stages = [[library for library in chosen if library.name not in SLOW]]
    stages += [[library] for name in SLOW for library in chosen if library.name == name]
    for part in sizes(only, tiny):
        for libraries_ in stages:
            given = None if libraries_[0] is ours else ours
            for workload, size in part:
                yield from measured(workload, size, libraries_, skipped, given)


def main() -> None:
    """Measure, and print events."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--peers", nargs="*", default=[])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--stand-in", action="store_true")
    parser.add_argument("--skip", type=json.loads, default=[])
    given = parser.parse_args()
    if given.stand_in:
        from .gpu_host import stand_in
    with stand_in() if given.stand_in else nullcontext():
        chosen, machine = libraries(given.peers)
        print(json.dumps({"machine": machine | {"python": platform.python_version()}}), flush=True)
        for event in events(chosen, only=given.only, tiny=given.tiny, skipped=given.skip):
            print(json.dumps(event), flush=True)


if __name__ == "__main__":
    main()
