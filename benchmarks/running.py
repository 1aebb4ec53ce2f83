"""Worker processes started one after the other, and what they tell gathered.

Comes in: `Wanted`. Goes out: `Results`: rows, ceilings, ratios, means.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from dualflow.inspect.show import seconds

from .threads import settings

ROOT = Path(__file__).resolve().parent.parent
Row = dict[str, Any]
OWN = ("dualflow", "dualflow eager")


@dataclass(frozen=True)
class Wanted:
    """What to measure.

    Attributes:
        workloads: names.
        peers: what takes part beside NumPy.
        sizes: positions in the sizes of a workload.
        threads: numbers of threads; each is a process of its own.
        seconds: for the samples of a row, all libraries together.
        busy: whether others use the machine (see `measuring.row_of`).
        minutes: after which a process begins no further row.
    """

    workloads: list[str]
    peers: list[str]
    sizes: list[int]
    threads: list[int]
    seconds: float
    busy: bool = False
    minutes: float = 1e6


@dataclass
class Results:
    """What was measured.

    Attributes:
        rows: as `measuring.row_of` makes them, with `warm` once that is known.
        ceilings: of each number of threads.
        facts: seconds by name, of `startup`.
        wrong: where dualflow computed something else than NumPy, in words.
    """

    rows: list[Row] = field(default_factory=list)
    ceilings: list[Row] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def as_json(self) -> Row:
        means = {"geometric mean": mean(self.rows), "below 1": len(behind(self.rows))}
        return means | {"ceilings": self.ceilings, "rows": self.rows, "facts": self.facts}


def best_peer(row: Row) -> tuple[str, float] | None:
    """The fastest library besides dualflow, and its time through dualflow's."""
    others = {name: took for name, took in row["times"].items() if name not in OWN}
    if not others:
        return None
    name = min(others, key=others.__getitem__)
    return name, others[name] / row["times"]["dualflow"]


def ratios(rows: list[Row]) -> list[float]:
    """To the best peer, of the rows that have one."""
    return [best[1] for row in rows if (best := best_peer(row))]


def mean(rows: list[Row]) -> float:
    """The geometric mean of the ratios to the best peer; NaN of none."""
    found = ratios(rows)
    return geometric_mean(found) if found else float("nan")


def behind(rows: list[Row]) -> list[Row]:
    """The rows in which a peer is faster."""
    return [row for row in rows if (best := best_peer(row)) and best[1] < 1]


def run(wanted: Wanted, warm: bool = True) -> Results:
    """Everything, the kernels compiled anew and then once more started from the disk."""
    found = Results()
    for threads in wanted.threads:
        with tempfile.TemporaryDirectory() as cache:
            for line in _worker(wanted, threads, cache, warm=False):
                if "bandwidth" in line:
                    found.ceilings.append(line)
                elif "wrong" in line:
                    found.wrong.append(line["wrong"])
                    print(f"WRONG: {line['wrong']}", file=sys.stderr)
                elif "left out" not in line:
                    found.rows.append(line)
                    print(_said(line), file=sys.stderr)
            by_row = {(row["workload"], row["size"]): row for row in found.rows
                      if row["threads"] == threads}  # fmt: skip
            for line in _worker(wanted, threads, cache, warm=True) if warm else ():
                if row := by_row.get((line["workload"], line["size"])):
                    row["warm"] = line["warm"]
    return found


def _worker(wanted: Wanted, threads: int, cache: str, warm: bool) -> Iterator[Row]:
    """The lines that a worker prints; RuntimeError if it ends badly."""
    told = json.dumps(asdict(wanted) | {"threads": threads, "warm": warm})
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    environment = {**os.environ, **settings(threads), "DUALFLOW_CACHE": cache, "PYTHONPATH": path}
    command = [sys.executable, "-m", "benchmarks.worker", told]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise RuntimeError(f"the worker of {threads} threads ended with {process.returncode}")


def _said(row: Row) -> str:
    times = ", ".join(f"{name} {seconds(took)}" for name, took in row["times"].items())
    failed = "".join(f"; {name} left out: {why}" for name, why in row["failed"].items())
    return f"{row['workload']} {row['size']}, {row['threads']} threads: {times}{failed}"
