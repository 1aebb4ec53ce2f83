"""Programs whose recording is measured: a training step, a transformer, a stencil, plain Python.

Comes in: nothing. Goes out: functions with their arguments, new at each call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import dualflow as df

RANDOM = np.random.default_rng(0)
LIMIT = 1.5  # a global that a function below reads
Function = Callable[..., Any]
#: a function with its arguments, new at each call
Program = Callable[[], tuple[Function, tuple[Any, ...]]]


def floats(*shape: int) -> df.Tensor:
    """Normally distributed float32 numbers."""
    return df.tensor(RANDOM.normal(size=shape).astype(np.float32))


def training(batch: int = 64, width: int = 128, log: Any = None, frames: bool = False) -> Program:
    """A step of Adam on the digits' network; with `log`, it logs its loss; with `frames`, it looks
    at its frame, which no replay can do."""

    def make() -> tuple[Function, tuple[Any, ...]]:
        nn = df.nn
        model = nn.Sequential(
            nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, 10),
        )  # fmt: skip
        optimizer = df.optim.Adam(model.parameters(), lr=1e-3)

        def step(x: df.Tensor, y: df.Tensor) -> Any:
            optimizer.zero_grad()
            loss = df.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            if log is None:
                return loss.detach()
            value = loss.item()
            log.info("loss %.4f", value)
            if frames:
                look()
            return value

        return step, (floats(batch, 64), df.asarray(np.arange(batch) % 10))

    return make


def look() -> None:
    """Look at the frame: a function that does is called as it is, and no replay follows."""
    sys._getframe()


def transformer() -> tuple[Function, tuple[Any, ...]]:
    """A block of a transformer: attention of four heads, then two layers."""
    n, width, heads = 16, 32, 4
    wide = [floats(width, width) for _ in range(4)]
    up, down = floats(width, 4 * width), floats(4 * width, width)

    def split(x: df.Tensor) -> df.Tensor:
        return df.permute_dims(x.reshape((-1, heads, width // heads)), (1, 0, 2))

    def block(x: df.Tensor) -> df.Tensor:
        for _ in range(4):
            h = df.layer_norm(x)
            q, k, v = (split(h @ w) for w in wide[:3])
            scores = df.softmax(q @ df.matrix_transpose(k) / 2.8, axis=-1)
            x = x + df.permute_dims(scores @ v, (1, 0, 2)).reshape((-1, width)) @ wide[3]
            x = x + df.gelu(df.layer_norm(x) @ up) @ down
        return x

    return block, (floats(n, width),)


def heat() -> tuple[Function, tuple[Any, ...]]:
    """Fifty steps of a heat equation, written in place."""

    def solve(u: df.Tensor, steps: int = 50, k: float = 0.1) -> df.Tensor:
        for _ in range(steps):
            u[1:-1] = u[1:-1] + k * (u[2:] - 2 * u[1:-1] + u[:-2])
        return u

    return solve, (floats(1000),)


def plain() -> tuple[Function, tuple[Any, ...]]:
    """Much plain Python around few operations: objects, dicts, calls, branches."""
    table = {"x": 1.0, "y": 2.0, "z": 3.0}

    class Settings:
        def __init__(self) -> None:
            self.scale, self.names = 2, ["x", "y", "z"]

    settings = Settings()

    def weight(value: float, k: int) -> float:
        return value * k + 1 if k > LIMIT else value

    def run(x: df.Tensor, count: int) -> df.Tensor:
        for i in range(count):
            total = 0.0
            for name in settings.names:
                total = total + weight(table[name], settings.scale)
            x = x * total + (i if i % 3 else 1)
        return x

    return run, (floats(10), 30)
