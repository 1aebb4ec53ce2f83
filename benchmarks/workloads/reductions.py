"""Reductions over the first, last, middle and all axes, several at once, and scans."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers import amax, total
from ..task import GRADIENT, Task, normal, workload


@workload("sum of squares of everything", 1 << 10, 1 << 16, 1 << 22)
def _(n: int) -> Task:
    return Task(lambda xp, x: (x * x).sum(), (normal(n),), by_hand="sum_of_squares", flops=2.0 * n)


@workload("sum of squares of columns", 16, 256, 2048)
def _(n: int) -> Task:
    return Task(lambda xp, x: (x * x).sum(0), (normal(n, 512),), by_hand="column_sums")


@workload("sum of squares of rows", 16, 256, 2048)
def _(n: int) -> Task:
    return Task(lambda xp, x: (x * x).sum(1), (normal(n, 512),), flops=2.0 * 512 * n)


@workload("largest of short rows", 64, 1024, 65536)
def _(n: int) -> Task:
    return Task(lambda xp, x, y: amax(xp, x - y), (normal(n, 12), normal(n, 12, seed=1)))


@workload("mean over the middle axis", 2, 16, 128)
def _(n: int) -> Task:
    return Task(lambda xp, x: xp.exp(x).mean(1), (normal(n, 64, 96),), flops=20.0 * n * 64 * 96)


@workload("variance over first and last axes", 2, 16, 128)
def _(n: int) -> Task:
    def moments(xp: Any, x: Any) -> Any:
        mean = total(xp, x, (0, 2)) / (x.shape[0] * x.shape[2])
        centred = x - mean
        return mean, total(xp, centred * centred, (0, 2)) / (x.shape[0] * x.shape[2])

    return Task(moments, (normal(n, 64, 96),))


@workload("four reductions of one array", 1 << 10, 1 << 16, 1 << 22)
def _(n: int) -> Task:
    def summary(xp: Any, x: Any) -> Any:
        return x.sum(), (x * x).sum(), x.max(), xp.abs(x).max()

    return Task(summary, (normal(n),))


@workload("standardised columns", 16, 256, 4096)
def _(n: int) -> Task:
    def standardised(xp: Any, x: Any) -> Any:
        mean = total(xp, x, 0) / len(x)
        centred = x - mean
        return centred / xp.sqrt(total(xp, centred * centred, 0) / len(x) + 1e-6)

    return Task(standardised, (normal(n, 128),))


@workload("logsumexp of columns", 16, 256, 4096)
def _(n: int) -> Task:
    def logsumexp(xp: Any, x: Any) -> Any:
        top = amax(xp, x, 0)
        return xp.log(total(xp, xp.exp(x - top), 0)) + top

    return Task(logsumexp, (normal(n, 128),), flops=22.0 * n * 128)


@workload("nearest of 64 (argmin)", 16, 256, 4096)
def _(n: int) -> Task:
    return Task(lambda xp, x: xp.abs(x - 0.25).argmin(1), (normal(n, 64),))


@workload("running sums of rows", 16, 256, 4096)
def _(n: int) -> Task:
    return Task(lambda xp, x: xp.cumsum(x * x, 1), (normal(n, 128),), tolerance=1e-4)


@workload("weighted histogram", 1 << 10, 1 << 16, 1 << 20)
def _(n: int) -> Task:
    keys = np.random.default_rng(0).integers(0, 256, n)
    own = {
        "numpy": lambda np, k, w: np.bincount(k, w * w, 256),
        "torch": lambda torch, k, w: torch.bincount(k, w * w, 256),
        "jax": lambda jnp, k, w: jnp.bincount(k, w * w, length=256),
        "dualflow": lambda df, k, w: df.scatter_add(df.zeros(256, dtype=w.dtype), k, w * w),
    }
    weights = normal(n, dtype=np.float64)
    return Task(own["numpy"], (keys, weights), own=own, without=("torch.compile",))


@workload("gradient: variance of columns", 16, 256, 4096)
def _(n: int) -> Task:
    def spread(xp: Any, x: Any) -> Any:
        centred = x - x.mean(0)
        return xp.sqrt((centred * centred).mean(0) + 1e-5).sum()

    return Task(spread, (normal(n, 128),), GRADIENT)
