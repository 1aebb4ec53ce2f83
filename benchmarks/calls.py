"""Where the microseconds of a replayed call go, and how small calls compare with NumPy's.

    python -m benchmarks.calls [--save]

Each part is timed alone, so parts do not add up to the whole to the last digit. The least of many
short stretches is taken: a busy machine only ever adds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import dualflow as df
from benchmarks import keeping
from dualflow.capture import tree
from dualflow.capture.compiled import MANY
from dualflow.capture.trials import READY
from dualflow.runtime import native_call

SIZES = (64, 1024)


def chain(xp: Any, x: Any, y: Any) -> Any:
    """Eleven operations, ten of them fused."""
    z = xp.exp(-(x * x + y * y)) * x + y * 0.5
    return xp.tanh(z) - x * 0.25 + y / 3.0


def three(xp: Any, x: Any, y: Any) -> Any:
    return x * y + x - y


def of_tensors(x: Any, y: Any) -> Any:
    return chain(df, x, y)


def of_arrays(x: Any, y: Any) -> Any:
    return chain(np, x, y)


def three_of_both(x: Any, y: Any) -> Any:
    return three(None, x, y)


def least(call: Callable[[], Any], stretches: int = 400, calls: int = 50) -> float:
    """Seconds of one call."""
    best = float("inf")
    for _ in range(stretches):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, (time.perf_counter() - start) / calls)
    return best


def portable(function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """`function` compiled, its calls replayed by Python text and not as one native call."""
    works = native_call.works
    native_call.works = lambda: False
    try:
        compiled = ready(function, *given, **named)
        compiled._waited = -MANY  # it is not asked again
        return compiled
    finally:
        native_call.works = works


def ready(function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """`function` compiled, and replayed already."""
    compiled = df.compile(function, wait=True)
    for _ in range(READY + 3):
        compiled(*given, **named)
    assert compiled.stats()["replays"] == READY + 2, compiled.stats()
    return compiled


def profile(size: int, stretches: int) -> dict[str, float]:
    """Seconds by part, for the chain on `size` elements."""
    random = np.random.default_rng(0)
    arrays = [random.random(size, np.float32) for _ in range(2)]
    tensors = [df.tensor(array) for array in arrays]
    text = portable(of_tensors, *tensors)
    block = text._root.alternatives[0].block
    executable = block.run.__self__
    buffers = [make() for make in executable._allocators]
    whole, of_numpy = ready(of_tensors, *tensors), ready(of_arrays, *arrays)
    x, y = tensors
    parts: dict[str, Callable[[], Any]] = {
        "kernels and dispatcher": lambda: executable._only(*arrays, *buffers),
        "memory for the result": executable._allocators[0],
        "program: these two, counters": lambda: block.run(arrays),
        "guards, as Python text": lambda: block.call((x, y), {}, {}, {}, True),
        "block: guards, program, tensor": lambda: block.call((x, y), {}, {}, {}),
        "tree of paths and block": lambda: tree.run(text._root, (x, y), {}),
        "portable call, tensors": lambda: text(x, y),
        "native call, tensors": lambda: whole(x, y),
        "native call, ndarrays": lambda: of_numpy(*arrays),
        "NumPy's own call": lambda: of_arrays(*arrays),
    }
    empty = least(lambda: None, stretches)
    return {name: least(call, stretches) - empty for name, call in parts.items()}


def fused(size: int, stretches: int) -> dict[str, float]:
    """Seconds of three operations on `size` elements."""
    random = np.random.default_rng(0)
    arrays = [random.random(size, np.float32) for _ in range(2)]
    tensors = [df.tensor(array) for array in arrays]
    of_tensors, of_arrays = ready(three_of_both, *tensors), ready(three_of_both, *arrays)
    return {
        "three operations, native call, tensors": least(lambda: of_tensors(*tensors), stretches),
        "three operations, native call, ndarrays": least(lambda: of_arrays(*arrays), stretches),
        "three operations, NumPy": least(lambda: three_of_both(*arrays), stretches),
    }


def measure(stretches: int = 400) -> dict[str, float]:
    """Seconds by part and size."""
    found = {}
    for size in SIZES:
        times = profile(size, stretches) | fused(size, stretches)
        found |= {f"{size} elements: {name}": seconds for name, seconds in times.items()}
    return found


def main() -> None:
    """Print, and with `--save` keep, all of it."""
    found = measure()
    for name, seconds in found.items():
        print(f"{1e6 * seconds:8.3f} us  {name}")
    if "--save" in sys.argv:
        keeping.save({"facts": found}, "calls")


if __name__ == "__main__":
    main()
