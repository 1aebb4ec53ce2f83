"""What a replay on a GPU costs the host, without a GPU: CuPy and the driver are stood in for.

    python -m benchmarks.gpu_host [--save]

All that dualflow does runs; what the stand-in would do (allocate, launch) is nothing. So beside a
real device come CuPy's allocation of each result (0.6 us), and one launch of a graph, or, where
none holds the launches, the driver's time for each. The least of many short stretches is taken.
"""

from __future__ import annotations

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
#: Stretches that are timed, and calls in each.
STRETCHES, CALLS = 15, 200


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


@contextmanager
def stand_in() -> Iterator[Any]:
    """The stand-in of the tests, whose launches do nothing."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    import gpu_stand_in
    import pytest

    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(df.config(cache=folder, on_compiler_error="raise"))
        cupy = stack.enter_context(gpu_stand_in.installed(None, patch))
        bindings: Any = sys.modules["cuda.bindings"]
        patch.setattr(bindings.driver, "cuLaunchKernel", lambda *_: (0,))
        patch.setattr(gpu_stand_in.Memory, "reuse", {})
        yield cupy, gpu_stand_in, patch


def microseconds(call: Callable[[], Any]) -> float:
    """The least time of a call."""
    found = []
    for _ in range(STRETCHES):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        found.append((time.perf_counter() - start) / CALLS)
    return min(found) * 1e6


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
        after = df.stats()
        launched = after["kernel_launches"] - before["kernel_launches"]
        assert launched == kernels * STRETCHES * CALLS, launched
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


def main() -> None:
    """Measure, print, and keep if asked to."""
    figures: dict[str, Any] = {}
    with stand_in() as stood_in:
        for kernels in KERNELS:
            figures[f"{kernels} kernels"] = found = replays(kernels, *stood_in)
            print(f"a replay of {kernels:3} kernels: {found['graph']:6.1f} us as a graph, "
                  f"{found['one by one']:6.1f} us one by one", flush=True)  # fmt: skip
        figures["co-executed"] = segments(*stood_in)
        print(f"a co-executed call, 15 operations, 3 reads: {figures['co-executed']:6.1f} us")
    if "--save" in sys.argv:
        keeping.save(figures, "gpu-host")


if __name__ == "__main__":
    main()
