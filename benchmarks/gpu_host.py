"""What a replay on a GPU costs the host, without a GPU: CuPy and the driver are stood in for.

    python -m benchmarks.gpu_host [--save]

All that dualflow does runs; what the stand-in would do (allocate, launch) is nothing. So beside a
real device come CuPy's allocation of each result (0.6 us), and one launch of a graph, or, where
none holds the launches, the driver's time for each. The least of many short stretches is taken,
and of the first calls of several processes that find everything in the cache.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import dualflow as df
from benchmarks import keeping
from dualflow.runtime.gpu.graphs import Graphs

KERNELS = (1, 10, 100)
#: Stretches that are timed, and seconds of each.
STRETCHES, SECONDS = 150, 1e-3
#: Processes that start with a warm cache.
PROCESSES = 5
FIRST_CALLS = "--first-calls"


def program(kernels: int) -> Callable[[Any], Any]:
    """A compiled function of so many kernels."""

    @df.compile(wait=True)
    def steps(x: Any) -> Any:
        for i in range(kernels):
            x = x - df.max(x, axis=i % 2, keepdims=True)
        return x

    return steps


def co_executed(x: Any) -> Any:
    """Fifteen operations in three fused stretches, at the end of which Python reads a value."""
    for _ in range(3):
        x = df.tanh(x * 0.5 + 1.0) - x
        vars()["read"] = x.sum().item()
    return x


def rows(x: Any, w: Any) -> Any:
    """A few kernels."""
    return df.softmax(df.tanh(x * w) + 1.0, axis=-1).sum(axis=0)


@contextmanager
def stand_in(folder: str | None = None) -> Iterator[Any]:
    """The stand-in of the tests, whose launches do nothing; `folder`: where the cache lies."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    import gpu_stand_in
    import pytest

    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        folder = folder or stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(df.config(cache=folder, on_compiler_error="raise"))
        cupy = stack.enter_context(gpu_stand_in.installed(None, patch))
        bindings: Any = sys.modules["cuda.bindings"]
        patch.setattr(bindings.driver, "cuLaunchKernel", lambda *_: (0,))
        patch.setattr(gpu_stand_in.Memory, "reuse", {})
        yield cupy, gpu_stand_in, patch


def microseconds(call: Callable[[], Any]) -> float:
    """The least time of a call."""

    def each(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - start) / calls

    once = min(each(1) for _ in range(5))
    calls = max(1, int(SECONDS / once))
    return min(each(calls) for _ in range(STRETCHES)) * 1e6


@contextmanager
def nothing_is_done(cupy: Any, room: Any, patch: Any) -> Iterator[Any]:
    """Results of one shape lie in the same memory, graphs are not launched."""
    stream = cupy.cuda.get_current_stream()
    make = cache(cupy.empty)
    with patch.context() as nothing:
        nothing.setattr(cupy, "empty", make, raising=False)
        nothing.setattr(cupy.cuda, "get_current_stream", lambda: stream)
        nothing.setattr(room.Graph, "launch", lambda self, stream: None)
        yield nothing


def replays(kernels: int, *stood_in: Any) -> dict[str, float]:
    """A replay as a graph, and with its kernels launched one by one."""
    f, x = program(kernels), df.ones((64, 64), device="cuda")
    for _ in range(6):  # recorded, compiled, captured
        f(x)
    with nothing_is_done(*stood_in) as nothing:
        for _ in range(6):
            f(x)
        before = df.stats()
        found = {"graph": microseconds(lambda: f(x))}
        moved = {name: value - before[name] for name, value in df.stats().items()}
        assert moved["kernel_launches"] == kernels * moved["replays"] > 0
        assert moved["graph_launches"] == moved["replays"] * (kernels > 1)
        nothing.setattr(Graphs, "run", lambda *_: False)
        found["one by one"] = microseconds(lambda: f(x))
    return found


def segments(*stood_in: Any) -> float:
    """A call of `co_executed`."""
    f, x = df.compile(co_executed, wait=True), df.ones((64,), device="cuda")
    for _ in range(6):
        f(x)
    before = df.stats()["co_executions"]
    with nothing_is_done(*stood_in):
        f(x)
        took = microseconds(lambda: f(x))
    assert df.stats()["co_executions"] > before
    return took


def first_calls(folder: str) -> dict[str, Any]:
    """What the first two calls of a process take beyond imports, in milliseconds, where the cache
    lies in `folder`; what was loaded and compiled for them."""
    with stand_in(folder):
        x, w = df.ones((64, 64), device="cuda"), df.ones((64,), device="cuda")
        begun, used = time.perf_counter(), time.process_time()
        f = df.compile(rows, wait=True)
        for _ in range(2):
            f(x, w)
        found: dict[str, Any] = {"ms": (time.perf_counter() - begun) * 1e3,
                                 "cpu ms": (time.process_time() - used) * 1e3}  # fmt: skip
    stats, triton = df.stats(), "triton" in sys.modules
    names = ("kernels_compiled", "kernels_loaded", "plans_loaded", "replays")
    return found | {name: stats[name] for name in names} | {"triton": triton}


def in_new_processes(count: int) -> list[dict[str, Any]]:
    """`first_calls` of so many processes, one after the other, with one cache."""
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        given = os.environ | {"PYTHONPYCACHEPREFIX": f"{folder}/pyc", "PYTHONPATH": str(root)}
        given.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-m", "benchmarks.gpu_host", FIRST_CALLS, f"{folder}/cache"]
        return [json.loads(subprocess.run(command, env=given, cwd=root, check=True, text=True,
                                          stdout=subprocess.PIPE).stdout)
                for _ in range(count)]  # fmt: skip


def main() -> None:
    """Measure, print, and keep if asked to."""
    if FIRST_CALLS in sys.argv:
        print(json.dumps(first_calls(sys.argv[-1])))
        return
    figures: dict[str, Any] = {}
    with stand_in() as stood_in:
        for kernels in KERNELS:
            figures[f"{kernels} kernels"] = found = replays(kernels, *stood_in)
            print(f"a replay of {kernels:3} kernels: {found['graph']:6.1f} us as a graph, "
                  f"{found['one by one']:6.1f} us one by one", flush=True)  # fmt: skip
        figures["co-executed"] = segments(*stood_in)
        print(f"a co-executed call, 15 operations, 3 reads: {figures['co-executed']:6.1f} us")
    cold, *warm = in_new_processes(1 + PROCESSES)
    figures["first calls"] = {"cold": cold, "warm": min(warm, key=lambda each: each["cpu ms"])}
    for name, each in figures["first calls"].items():
        print(f"the first two calls of a process, {name}: {each['ms']:6.1f} ms, "
              f"{each['cpu ms']:.1f} of a processor")  # fmt: skip
    if "--save" in sys.argv:
        keeping.save(figures, "gpu-host")


if __name__ == "__main__":
    main()
