"""Optimizers and whole training steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers import cross_entropy, relu, sigmoid
from ..task import TRAINING, Task, labels, normal, workload
from .networks import scaled


def adam(xp: Any, w: Any, g: Any, m: Any, v: Any) -> Any:
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * (g * g)
    step = 0.001 * (m / 0.1) / (xp.sqrt(v / 0.001) + 1e-8)
    return w - step, m, v


@workload("Adam on 8 parameters", 1 << 8, 1 << 13, 1 << 17)
def _(n: int) -> Task:
    def all_of(xp: Any, *flat: Any) -> Any:
        made: list[Any] = []
        for i in range(0, 32, 4):
            made += adam(xp, *flat[i : i + 4])
        return tuple(made)

    arrays = [normal(n, seed=seed) for seed in range(32)]
    return Task(all_of, tuple(np.abs(a) if i % 4 == 3 else a for i, a in enumerate(arrays)))


@workload("MLP training step, 64-128-128-10", 32, 256, 1797)
def _(rows: int) -> Task:
    def loss(xp: Any, x: Any, y: Any, a: Any, p: Any, b: Any, q: Any, c: Any, r: Any) -> Any:
        x = relu(xp, x @ a + p)
        x = relu(xp, x @ b + q)
        return cross_entropy(xp, x @ c + r, y)

    sizes = [(64, 128), (128, 128), (128, 10)]
    weights = [w for i, s in enumerate(sizes) for w in (scaled(*s, seed=i), np.zeros(s[1], "f"))]
    arrays = (np.abs(normal(rows, 64)), labels(rows, 10), *weights)
    flops = 6.0 * rows * sum(i * o for i, o in sizes)
    return Task(loss, arrays, TRAINING, tuple(range(2, 8)), flops=flops, tolerance=2e-4)


@workload("training: logistic regression", 64, 1024, 16384)
def _(rows: int) -> Task:
    def loss(xp: Any, x: Any, y: Any, w: Any) -> Any:
        p = sigmoid(xp, x @ w)
        return ((p - y) ** 2).mean() + 0.01 * (w * w).sum()

    y = (normal(rows, 1, seed=1) > 0).astype(np.float32)
    arrays = (normal(rows, 32), y, normal(32, 1, seed=2) * np.float32(0.1))
    return Task(loss, arrays, TRAINING, (2,), flops=4.0 * rows * 32, tolerance=2e-4)
