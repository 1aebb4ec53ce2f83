"""What a Python loop of many steps costs: recorded, compiled, in memory, replayed.

python -m benchmarks.loops           10 to 10,000 steps of four programs, each in a new process
python -m benchmarks.loops --tiny    10 and 40 steps (the tests run this)
python -m benchmarks.loops --save    keep the figures in benchmarks/results/loops/

Each process begins with an empty cache. Columns: microseconds of a step in eager calls; those of
the first call beyond an eager one; seconds from its end to the first replay; MiB that the process
grew at most since before the first call; microseconds of a step in replays. The first two and the
last are processor time.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.threads import one_thread

if __name__ == "__main__":
    one_thread()

import numpy as np

import dualflow as df
from benchmarks.keeping import machine, save

ROOT = Path(__file__).resolve().parent.parent
STEPS = (10, 100, 1000, 10_000)
COLUMNS = ("eager, us a step", "recording, us", "to a replay, s", "memory, MiB", "replay, us")


def heat(u: df.Tensor, steps: int) -> df.Tensor:
    """Steps of a heat equation along a rod, ends fixed."""
    for _ in range(steps):
        u = df.concat([u[:1], u[1:-1] + 0.1 * (u[2:] - 2.0 * u[1:-1] + u[:-2]), u[-1:]])
    return u


def in_place(u: df.Tensor, steps: int) -> df.Tensor:
    """The same, written in place."""
    for _ in range(steps):
        u[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2.0 * u[1:-1] + u[:-2])
    return u


def bodies(x: df.Tensor, v: df.Tensor, steps: int) -> df.Tensor:
    """Steps of bodies that attract each other, by the leapfrog method."""
    for _ in range(steps):
        apart = x[None, :, :] - x[:, None, :]
        near = ((apart * apart).sum(axis=-1) + 0.01) ** -1.5
        v = v + 0.001 * (apart * near[:, :, None]).sum(axis=1)
        x = x + 0.001 * v
    return x


def recurrent(h: df.Tensor, x: df.Tensor, w: df.Tensor, u: df.Tensor, steps: int) -> df.Tensor:
    """Steps of a recurrent net over the rows of a sequence."""
    for i in range(steps):
        h = df.tanh(h @ w + x[i] @ u)
    return h


def floats(*shape: int) -> df.Tensor:
    """Small normally distributed float32 numbers."""
    return df.tensor(np.random.default_rng(0).normal(0.0, 0.1, shape).astype(np.float32))


PROGRAMS: dict[str, Callable[[int], tuple[Any, tuple[Any, ...]]]] = {
    "heat": lambda steps: (heat, (floats(200),)),
    "heat in place": lambda steps: (in_place, (floats(200),)),
    "n-body": lambda steps: (bodies, (floats(16, 3), floats(16, 3))),
    "recurrent net": lambda steps: (
        recurrent, (floats(8, 32), floats(steps, 8, 32), floats(32, 32), floats(32, 32)),
    ),
}  # fmt: skip


def one(name: str, steps: int) -> list[float]:
    """The figures of a program, in this process."""
    function, arguments = PROGRAMS[name](steps)
    eager = min(_seconds(lambda: function(*arguments, steps)) for _ in range(3))
    compiled = df.compile(function)
    before = _memory("VmRSS")
    first = _seconds(lambda: compiled(*arguments, steps))
    began = time.perf_counter()
    while not compiled._root.alternatives[0].block.ready:
        time.sleep(0.01)  # calls meanwhile would take the helper's processor
    compiled(*arguments, steps)
    assert compiled.stats()["replays"] == 1, compiled.explain()
    waited = time.perf_counter() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    replay = min(_seconds(lambda: compiled(*arguments, steps)) for _ in range(5))
    each = [eager, first - eager, replay]
    eager, recording, replay = (seconds / steps * 1e6 for seconds in each)
    return [eager, recording, waited, grown, replay]


def _seconds(call: Callable[[], Any]) -> float:
    before = time.thread_time()
    call()
    return time.thread_time() - before


def _memory(name: str) -> float:
    """MiB of this process, as Linux tells."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def fresh(name: str, steps: int) -> list[float]:
    """The figures of a program, in a new process with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DUALFLOW_CACHE": folder, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.loops", "--one", name, str(steps)],
            capture_output=True, text=True, check=True, env=environment, cwd=ROOT, timeout=200,
        )  # fmt: skip
    return json.loads(done.stdout)


def main() -> int:
    """Print what is measured; with --save, keep it."""
    if "--one" in sys.argv:
        name, steps = sys.argv[-2:]
        print(json.dumps(one(name, int(steps))))
        return 0
    tiny = "--tiny" in sys.argv
    print(f"{machine()}; one thread")
    print(f"{'':<24}" + "".join(f"{column:>18}" for column in COLUMNS))
    facts: dict[str, float] = {}
    for name in PROGRAMS:
        for steps in (10, 40) if tiny else STEPS:
            found = one(name, steps) if tiny else fresh(name, steps)
            title = f"{name}, {steps} steps"
            print(f"{title:<24}" + "".join(f"{value:18.3g}" for value in found), flush=True)
            facts |= {f"{title}: {of}": value for of, value in zip(COLUMNS, found, strict=True)}
    if "--save" in sys.argv:
        save({"threads": 1, "rows": [], "facts": facts}, "loops")
    return 0


if __name__ == "__main__":
    sys.exit(main())
