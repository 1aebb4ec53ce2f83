"""dualflow on a GPU beside its peers: one command, under eight minutes, results kept as JSON.

    python -m benchmarks.gpu [--minutes 7.5] [--only NAME ...] [--tiny] [--peers torch jax cupy]
                             [--go-on FILE]

A process of its own (`gpu_child.py`) measures; this one prints what it says and writes it to
benchmarks/results/. What takes too long, or breaks the device, ends that process and is left out in
the next one, so one bad row costs no other. What time did not reach, a second run measures, which
goes on from the first one's file on the same device. Every row is printed with our time, its ratio
to the best peer, and the share of the copy bandwidth or matrix rate that was measured first.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
#: Seconds that one library may take on one row, and a process to begin.
PATIENCE, BEGIN = 75.0, 150.0


@dataclass
class Row:
    """One workload at one size: seconds by library, and what went wrong where."""

    name: str
    size: str
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    work: tuple[str, float] | None = None

    def share(self, limits: dict[str, float]) -> float | None:
        """Of the ceiling that bounds it, what our time reaches."""
        ours = self.seconds.get("dualflow")
        if ours is None or self.work is None or self.work[0] not in limits:
            return None
        kind, amount = self.work
        return amount / ours / limits[kind]

    def line(self, limits: dict[str, float]) -> str:
        """For people."""
        ours = self.seconds.get("dualflow")
        peers = {name: s for name, s in self.seconds.items() if not name.startswith("dualflow")}
        best = min(peers, key=peers.__getitem__) if peers else ""
        ratio = f"{peers[best] / ours:5.2f} of {best}" if ours and best else ""
        share = self.share(limits)
        part = "" if share is None else f"{share:5.0%}"
        took = f"{ours * 1e6:10.1f}" if ours else f"{'-':>10}"
        bad = "".join(f"  {name}: {why[:60]}" for name, why in self.failed.items())
        return f"{self.name:28} {self.size:>20} {took} us  {part:>5}  {ratio}{bad}"


@dataclass
class Results:
    """What was measured so far."""

    machine: dict[str, str] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> Row | None:
        """Note what the measuring process says; the row that is finished by it. ValueError where
        earlier rows were measured on another device, or with other versions."""
        if "machine" in event:
            if self.machine and self.machine != event["machine"]:
                raise ValueError(f"measured on {self.machine}, going on {event['machine']}")
            self.machine |= event["machine"]
        if "limits" in event:
            self.limits |= event["limits"]
        if "row" not in event:
            return None
        name, size = event["row"]
        row = self.rows.setdefault((name, size), Row(name, size))
        row.seconds |= event.get("seconds", {})
        row.failed |= event.get("failed", {})
        row.work = event.get("work", row.work)
        return row if event.get("finished") else None

    def known(self) -> list[str]:
        """What need not be measured any more, as processes name it."""
        return [json.dumps([row.name, row.size, library]) for row in self.rows.values()
                for library in (*row.seconds, *row.failed)]  # fmt: skip

    @classmethod
    def of(cls, text: str) -> Results:
        """From JSON."""
        kept = json.loads(text)
        found = cls(kept["machine"], kept["ceilings"])
        for each in kept["rows"]:
            each = {name: value for name, value in each.items() if name != "share"}
            found.rows[each["name"], each["size"]] = Row(**each)
        return found

    def text(self) -> str:
        """As JSON."""
        rows = [vars(row) | {"share": row.share(self.limits)} for row in self.rows.values()]
        kept = {"machine": self.machine, "ceilings": self.limits, "rows": rows}
        return json.dumps(kept, indent=1) + "\n"


class Child:
    """A measuring process, and the events that it prints, one a line."""

    def __init__(self, command: list[str]) -> None:
        environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                         env=environment)  # fmt: skip
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self._events.put(json.loads(line))
        self._events.put(None)

    def event(self, seconds: float) -> dict[str, Any] | None:
        """The next event; None when it has ended. TimeoutError after so many seconds."""
        try:
            return self._events.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            raise TimeoutError from None

    def end(self) -> int:
        """Its exit status; it is killed if it still runs."""
        if self._process.poll() is None and self._events.empty():
            self._process.kill()
        status = self._process.wait()
        self._reader.join()
        self._process.stdout.close()  # type: ignore[union-attr]
        return status


def supervise(command: list[str], results: Results, minutes: float, tell: Any) -> None:
    """Run measuring processes until all rows are done or time is up. `tell(row)` is called with
    each finished row; what is known, or ended a process, is left out in the next."""
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        known = results.known()
        child, at = Child([*command, "--skip", json.dumps(known)]), ""
        patience, why = BEGIN, ""
        try:
            while (event := child.event(min(patience, end - time.monotonic()))) is not None:
                patience, at = PATIENCE, event.get("begins", at)
                row = results.take(event)
                if row is not None:
                    tell(row)
        except TimeoutError:
            why = f"took longer than {patience:.0f} s"
        status = child.end()
        if not why and not status:
            return
        if not at or at in known or time.monotonic() >= end:
            return  # it does not even begin, or time is up
        name, size, library = json.loads(at)
        results.take({"row": (name, size), "failed": {library: why or f"ended with {status}"}})


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=7.5)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--peers", nargs="*", default=["torch", "jax", "cupy"])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--stand-in", action="store_true", help="without a GPU: a trial of it all")
    parser.add_argument("--go-on", type=Path, help="a file of results that is completed")
    given = parser.parse_args()
    command = [sys.executable, "-m", "benchmarks.gpu_child", "--peers", *given.peers,
               "--only", *given.only, *["--tiny"] * given.tiny,
               *["--stand-in"] * given.stand_in]  # fmt: skip
    results = Results() if given.go_on is None else Results.of(given.go_on.read_text())

    def tell(row: Row) -> None:
        if len(results.rows) == 1 and row.name == "chain":
            print("  ".join(f"{name} {value}" for name, value in results.machine.items()))
        print(row.line(results.limits), flush=True)
        if not given.tiny:
            device = results.machine.get("device", "unknown").lower().replace(" ", "-")
            (RESULTS / f"gpu-{device}.json").write_text(results.text())

    supervise(command, results, given.minutes, tell)
    print("together:")
    for row in results.rows.values():
        print(row.line(results.limits))
    for name, value in results.limits.items():
        print(f"ceiling of {name}: {value:.3g} a second")


if __name__ == "__main__":
    main()
