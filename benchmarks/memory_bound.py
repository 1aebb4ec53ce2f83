"""Fused kernels on arrays beyond the caches, beside the time it takes to copy as many bytes.

python -m benchmarks.memory_bound            4096 x 4096 float32, one thread
python -m benchmarks.memory_bound --side N   N x N

The floor is a copy by NumPy, for as many arrays as the kernel reads and writes; both take turns.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks.threads import one_thread

if __name__ == "__main__":
    one_thread()

import numpy as np

import dualflow as df
from benchmarks import measuring

#: of the matrices; for all samples of a row
SIDE, SECONDS = 4096, 0.6


class Row(NamedTuple):
    """A kernel: what it computes of two matrices, and the arrays that it reads and writes."""

    name: str
    function: Callable[..., Any]
    arrays: int


def _scaled(x: Any) -> Any:
    return (x - x.mean(axis=1, keepdims=True)) / df.sqrt(df.var(x, axis=1, keepdims=True) + 1e-5)


def _stencil(u: Any) -> Any:
    around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
    return u[1:-1, 1:-1] + 0.1 * (around - 4 * u[1:-1, 1:-1])


ROWS = (
    Row("x * 2", lambda x, y: x * 2.0, 2),
    Row("chain", lambda x, y: x * y + x - y, 3),
    Row("exp", lambda x, y: df.exp(x), 2),
    Row("concat", lambda x, y: df.concat([x, y], axis=1) * 0.5, 4),
    Row("stencil", lambda x, y: _stencil(x), 2),
    Row("x.T * 2", lambda x, y: x.T * 2.0, 2),
    Row("x.T + y", lambda x, y: x.T + y, 3),
    Row("sum of squares of rows", lambda x, y: (x * x).sum(axis=1), 1),
    Row("layer_norm", lambda x, y: _scaled(x), 2),
    Row("softmax", lambda x, y: df.softmax(x, axis=1), 2),
)


def measure(side: int, seconds: float) -> list[tuple[Row, float, float]]:
    """Each row, its seconds and those of its floor: the least of samples."""
    rng = np.random.default_rng(0)
    given = [df.asarray(rng.standard_normal((side, side), np.float32)) for _ in range(2)]
    source, target = (np.ones((side, side), np.float32) for _ in range(2))
    found = []
    for row in ROWS:
        compiled = df.compile(row.function, wait=True)
        for _ in range(2):
            compiled(*given)
        assert compiled.stats()["replays"] >= 1, f"{row.name} is not replayed"
        calls = [partial(compiled, *given), partial(np.copyto, target, source)]
        kernel, copy = map(min, measuring.timed(calls, seconds, perf_counter))
        found.append((row, kernel, copy * row.arrays / 2))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.memory_bound")
    made.add_argument("--side", type=int, default=SIDE)
    wanted = made.parse_args(arguments)
    with df.config(threads=1):
        for row, seconds, floor in measure(wanted.side, SECONDS):
            share = seconds / floor
            print(f"{row.name:24}{1e3 * seconds:9.2f} ms {1e3 * floor:9.2f} at least {share:7.2f}")


if __name__ == "__main__":
    main()
