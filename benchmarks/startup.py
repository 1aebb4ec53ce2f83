"""What is paid outside kernels: imports, first calls, warm starts, calls, eager operations.

Comes in: nothing. Goes out: seconds by name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import dualflow as df
from benchmarks import overhead

ROOT = Path(__file__).resolve().parent.parent
_IMPORT = """
import time
import numpy
t = time.perf_counter()
import dualflow as df
df.Tensor
print(time.perf_counter() - t)
"""
_START = """
import time
import numpy
t = time.perf_counter()
import dualflow as df
f = df.compile(lambda x: df.tanh(x) * 2 + df.softmax(x, axis=-1), wait=True)
x = df.ones((16, 64))
f(x)
f(x)
assert f.stats()["replays"] == 1, f.stats()
print(time.perf_counter() - t)
"""


def measure(tiny: bool = False) -> dict[str, float]:
    """All of it; `tiny` runs everything once."""
    repeats = 1 if tiny else 7
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:  # its bytecode is written, as of an installed one
        environment = {"DUALFLOW_CACHE": folder, "PYTHONPYCACHEPREFIX": folder}
        _fresh(_IMPORT, **environment)
        imports = [_fresh(_IMPORT, **environment) for _ in range(repeats)]
        found["import dualflow, over NumPy's own"] = median(imports)
        found["first two calls, empty cache"] = _fresh(_START, **environment)
        warm = [_fresh(_START, **environment) for _ in range(repeats)]
        found["first two calls in a new process, warm cache"] = median(warm)
    return found | _calls(100 if tiny else 20_000)


def _fresh(script: str, **environment: str) -> float:
    """Seconds that `script` prints, run in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "script.py"  # a function without a source file is never replayed
        file.write_text(script)
        common = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, str(file)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **common, **environment},
        )
    return float(done.stdout)


def _calls(count: int) -> dict[str, float]:
    x, y = df.ones((10,)), df.ones((10,))
    small = df.compile(lambda x, y: x * y + 1, wait=True)
    small(x, y)
    found = {"replayed call of a small function": _each(lambda: small(x, y), count)}
    assert small.stats()["replays"] >= count
    times = overhead.over(overhead.measure(min(count, 300), 1 if count < 1000 else 40))
    for name in ("x + y", "x.sum()", "x[1:3]", "m[1:3, ::2]", "m + x[:6]", "x[1:3] = 2.0"):
        found[f"eager {name}, over NumPy's own"] = times[name]
    worst = max(times, key=times.__getitem__)
    found[f"the most of {len(times)} eager operations, {worst}"] = times[worst]
    return found


def _each(call: Callable[[], Any], count: int) -> float:
    """Seconds of one call: the least of five medians is not shaken by a busy machine."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(count):
            call()
        times.append((time.perf_counter() - start) / count)
    return min(times)
