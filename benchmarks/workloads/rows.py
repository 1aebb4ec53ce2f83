"""Norms and losses: reductions over rows and what is computed with them, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers import cross_entropy, layer_norm, library, softmax, total
from ..task import GRADIENT, Task, labels, normal, workload

ROWS = (16, 256, 4096)


def weighted(function: Any) -> Any:
    """A scalar to derive: the sum of the results times weights."""
    return lambda xp, *xs: (function(xp, *xs[:-1]) * xs[-1]).sum()


@workload("softmax over rows of 256", *ROWS)
def _(rows: int) -> Task:
    return Task(softmax, (normal(rows, 256),), flops=22.0 * 256 * rows)


@workload("gradient: softmax over rows of 256", *ROWS)
def _(rows: int) -> Task:
    arrays = (normal(rows, 256), normal(rows, 256, seed=1))
    return Task(weighted(softmax), arrays, GRADIENT, wrt=(0,), flops=28.0 * 256 * rows)


@workload("layer_norm over rows of 256", *ROWS)
def _(rows: int) -> Task:
    return Task(layer_norm, (normal(rows, 256),))


@workload("gradient: layer_norm over rows of 256", *ROWS)
def _(rows: int) -> Task:
    arrays = (normal(rows, 256), normal(256, seed=1), normal(256, seed=2))
    arrays = (*arrays, normal(rows, 256, seed=3))
    return Task(weighted(layer_norm), arrays, GRADIENT, wrt=(0, 1, 2))


def rms_norm(xp: Any, x: Any, weight: Any) -> Any:
    if library(xp) == "torch":
        return xp.nn.functional.rms_norm(x, weight.shape, weight, 1e-5)
    return x / xp.sqrt(total(xp, x * x) / x.shape[-1] + 1e-5) * weight


@workload("RMSNorm over rows of 512", *ROWS)
def _(rows: int) -> Task:
    return Task(rms_norm, (normal(rows, 512), normal(512, seed=1)))


@workload("gradient: RMSNorm over rows of 512", *ROWS)
def _(rows: int) -> Task:
    arrays = (normal(rows, 512), normal(512, seed=1), normal(rows, 512, seed=2))
    return Task(weighted(rms_norm), arrays, GRADIENT, wrt=(0, 1))


def batch_norm(xp: Any, x: Any, weight: Any, bias: Any) -> Any:
    """Over images of a batch, as training does."""
    if library(xp) == "torch":
        return xp.nn.functional.batch_norm(x, None, None, weight, bias, training=True)
    n = x.shape[0] * x.shape[2] * x.shape[3]
    centred = x - total(xp, x, (0, 2, 3)) / n
    deviation = xp.sqrt(total(xp, centred * centred, (0, 2, 3)) / n + 1e-5)
    return centred / deviation * weight[:, None, None] + bias[:, None, None]


@workload("batch norm of images, 32 channels", 1, 8, 64)
def _(n: int) -> Task:
    return Task(batch_norm, (normal(n, 32, 28, 28), normal(32, seed=1), normal(32, seed=2)))


@workload("cross_entropy of 100 classes", *ROWS)
def _(rows: int) -> Task:
    arrays = (normal(rows, 100), labels(rows, 100))
    return Task(cross_entropy, arrays, flops=22.0 * 100 * rows)


@workload("gradient: cross_entropy of 100 classes", *ROWS)
def _(rows: int) -> Task:
    arrays = (normal(rows, 100), labels(rows, 100))
    return Task(cross_entropy, arrays, GRADIENT, flops=26.0 * 100 * rows)


def huber(xp: Any, x: Any, y: Any) -> Any:
    if library(xp) == "torch":
        return xp.nn.functional.huber_loss(x, y)
    d = xp.abs(x - y)
    return xp.where(d < 1, 0.5 * d * d, d - 0.5).mean()


@workload("gradient: Huber loss", 1 << 10, 1 << 16, 1 << 20)
def _(n: int) -> Task:
    return Task(huber, (normal(n), normal(n, seed=1)), GRADIENT, wrt=(0,))


def logistic(xp: Any, x: Any, y: Any) -> Any:
    """Binary cross-entropy of logits."""
    if library(xp) == "torch":
        return xp.nn.functional.binary_cross_entropy_with_logits(x, y)
    return (xp.where(x > 0, x, 0 * x) - x * y + xp.log1p(xp.exp(-xp.abs(x)))).mean()


@workload("binary cross-entropy", 1 << 10, 1 << 16, 1 << 20)
def _(n: int) -> Task:
    y = (normal(n, seed=1) > 0).astype(np.float32)
    return Task(logistic, (normal(n), y), flops=40.0 * n)
