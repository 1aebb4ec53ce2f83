"""dualflow on a GPU beside its peers: one command, under eight minutes, results kept as JSON.

    python -m benchmarks.gpu [--minutes 7.5] [--only NAME ...] [--tiny] [--peers torch jax cupy]

Every row is run by all libraries in this process, checked against the first that ran, and printed
with its time, the ratio to the best peer, and the share of the copy bandwidth or matrix rate that
was measured first. What a library cannot do, or has no memory for, is said in its place.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .gpu_libraries import Library, libraries
from .gpu_workloads import WORKLOADS, Workload

RESULTS = Path(__file__).parent / "results"
#: Seconds that the samples of one library take, and how many there are.
SAMPLING, SAMPLES = 0.15, 7


@dataclass
class Row:
    """One workload at one size: seconds by library, and what went wrong where."""

    name: str
    size: str
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    share: float | None = None

    def line(self) -> str:
        """For people."""
        ours = self.seconds.get("dualflow")
        peers = {name: s for name, s in self.seconds.items() if not name.startswith("dualflow")}
        best = min(peers, key=peers.__getitem__) if peers else ""
        ratio = f"{peers[best] / ours:5.2f} of {best}" if ours and best else ""
        share = "" if self.share is None else f"{self.share:5.0%}"
        took = f"{ours * 1e6:10.1f}" if ours else f"{'-':>10}"
        bad = "".join(f"  {name}: {why[:60]}" for name, why in self.failed.items())
        return f"{self.name:28} {self.size:>20} {took} us  {share:>5}  {ratio}{bad}"


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


def measured(workload: Workload, size: tuple[int, ...], chosen: list[Library]) -> Row:
    """All libraries on one workload at one size."""
    row = Row(workload.name, "x".join(map(str, size)))
    wanted: list[np.ndarray] | None = None
    for library in chosen:
        try:
            call = workload.make(library, size)
            found = [library.host(part) for part in library.leaves(call())]
            if wanted is None:
                wanted = found
            for one, other in zip(found, wanted, strict=True):
                assert one.shape == other.shape, f"shapes {one.shape} and {other.shape}"
                scale = max(float(np.abs(other.astype(np.float64)).max(initial=0)), 1e-6)
                error = np.abs(one.astype(np.float64) - other.astype(np.float64)).max(initial=0)
                assert error <= workload.close * scale, f"differs by {error / scale:.1e}"
            library.settle(call)
            row.seconds[library.name] = seconds_of(call, library.wait)
        except Exception as why:  # told in the row; the others go on
            row.failed[library.name] = f"{type(why).__name__}: {why}".splitlines()[0]
        library.forget()
    return row


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


def rows(
    chosen: list[Library], *, only: list[str], tiny: bool, minutes: float
) -> Iterator[Row | dict[str, float]]:
    """The ceilings, then each row, until time is up."""
    start = time.perf_counter()
    limits = ceilings(chosen[0], tiny)
    yield limits
    for workload in WORKLOADS:
        if only and workload.name not in only:
            continue
        for size in workload.tiny if tiny else workload.sizes:
            if time.perf_counter() - start > 60 * minutes:
                return
            row = measured(workload, size, chosen)
            if "dualflow" in row.seconds and workload.work is not None:
                kind, amount = workload.work(size)
                row.share = amount / row.seconds["dualflow"] / limits[kind]
            yield row


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=7.5)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--peers", nargs="*", default=["torch", "jax", "cupy"])
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    chosen, machine = libraries(given.peers)
    machine["python"] = platform.python_version()
    print("  ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    kept: list[dict[str, Any]] = []
    limits: dict[str, float] = {}
    for row in rows(chosen, only=given.only, tiny=given.tiny, minutes=given.minutes):
        if isinstance(row, Row):
            print(row.line(), flush=True)
            kept.append(vars(row))
        else:
            limits = row
            print(f"copy {limits['bytes'] / 1e12:.2f} TB/s, products {limits['float32'] / 1e12:.0f}"
                  f" and {limits['float16'] / 1e12:.0f} TFLOP/s", flush=True)  # fmt: skip
        if not given.tiny:
            device = machine["device"].lower().replace(" ", "-")
            text = json.dumps({"machine": machine, "ceilings": limits, "rows": kept}, indent=1)
            (RESULTS / f"gpu-{device}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
