"""Scientific computing: transforms, clusters, distances, ranks, solvers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers import softmax
from ..task import Task, normal, uniform, workload


@workload("convolution by FFT", 1 << 10, 1 << 14, 1 << 18)
def _(n: int) -> Task:
    def convolved(xp: Any, x: Any, kernel: Any) -> Any:
        return xp.fft.irfft(xp.fft.rfft(x, 2 * n) * xp.fft.rfft(kernel, 2 * n), 2 * n)[:n]

    arrays = normal(n, dtype=np.float64), normal(101, dtype=np.float64, seed=1)
    return Task(convolved, arrays, flops=3 * 5.0 * n * np.log2(2 * n))


def distances(xp: Any, x: Any, y: Any) -> Any:
    """Squared, of rows of x and y."""
    return (x * x).sum(1)[:, None] - 2 * (x @ y.T) + (y * y).sum(1)[None, :]


@workload("k-means step, 16 centres", 64, 1024, 16384)
def _(n: int) -> Task:
    def step(xp: Any, x: Any, centres: Any, every: Any, one: Any) -> Any:
        nearest = distances(xp, x, centres).argmin(1)
        member = (nearest[:, None] == every) * one
        return (member.T @ x) / xp.clip(member.sum(0), 1.0, None)[:, None]

    arrays = normal(n, 8, dtype=np.float64), normal(16, 8, dtype=np.float64, seed=1)
    return Task(step, (*arrays, np.arange(16), np.ones(1)), flops=4.0 * n * 16 * 8)


@workload("pairwise distances", 32, 256, 1024)
def _(n: int) -> Task:
    def pairwise(xp: Any, x: Any, y: Any) -> Any:
        return xp.sqrt(xp.clip(distances(xp, x, y), 0.0, None))

    return Task(pairwise, (normal(n, 16), normal(n, 16, seed=1)), tolerance=1e-4,
                flops=2.0 * 16 * n * n)  # fmt: skip


@workload("differences of all pairs", 32, 256, 1024)
def _(n: int) -> Task:
    def pairs(xp: Any, x: Any, y: Any) -> Any:
        d = x[:, None, :] - y[None, :, :]
        return xp.exp(-(d * d).sum(2))

    return Task(pairs, (normal(n, 3), normal(n, 3, seed=1)), by_hand="kernel_matrix",
                flops=30.0 * n * n)  # fmt: skip


@workload("PageRank, 20 steps", 32, 256, 1024)
def _(n: int) -> Task:
    def rank(xp: Any, links: Any, start: Any) -> Any:
        links = links / links.sum(0)
        r = start
        for _ in range(20):
            r = 0.85 * (links @ r) + 0.15 / n
        return r

    links = (uniform(0, 1, n, n) > 0.5).astype(float) + 0.01
    return Task(rank, (links, np.full(n, 1 / n)), moved=8.0 * n * n * 21, flops=40.0 * n * n)


@workload("conjugate gradient, 10 steps", 32, 256, 1024)
def _(n: int) -> Task:
    def solve(xp: Any, a: Any, b: Any) -> Any:
        x, r = b * 0, b
        p, rr = r, (r * r).sum()
        for _ in range(10):
            ap = a @ p
            alpha = rr / (p * ap).sum()
            x, r = x + alpha * p, r - alpha * ap
            rr, before = (r * r).sum(), rr
            p = r + rr / before * p
        return x

    m = normal(n, n, dtype=np.float64) / np.sqrt(n)
    return Task(solve, (m @ m.T + np.eye(n), normal(n, dtype=np.float64, seed=1)),
                moved=8.0 * n * n * 10, flops=20.0 * n * n)  # fmt: skip


@workload("Sobel edges", 32, 256, 1024)
def _(n: int) -> Task:
    def edges(xp: Any, u: Any) -> Any:
        corners = u[2:, 2:] - u[:-2, :-2]
        across = corners + u[:-2, 2:] - u[2:, :-2] + 2 * (u[1:-1, 2:] - u[1:-1, :-2])
        down = corners + u[2:, :-2] - u[:-2, 2:] + 2 * (u[2:, 1:-1] - u[:-2, 1:-1])
        return xp.sqrt(across * across + down * down)

    return Task(edges, (normal(n, n),))


@workload("mixture of Gaussians, E step", 64, 1024, 16384)
def _(n: int) -> Task:
    def responsibilities(xp: Any, x: Any, means: Any, scales: Any) -> Any:
        d = (x[:, None, :] - means[None, :, :]) / scales[None, :, :]
        return softmax(xp, -0.5 * (d * d).sum(2) - xp.log(scales).sum(1))

    arrays = normal(n, 4), normal(8, 4, seed=1), uniform(0.5, 2, 8, 4, dtype=np.float32)
    return Task(responsibilities, arrays, flops=n * 8.0 * 40)


@workload("least squares by normal equations", 64, 1024, 16384)
def _(n: int) -> Task:
    def fit(xp: Any, x: Any, y: Any) -> Any:
        return xp.linalg.solve(x.T @ x, x.T @ y)

    arrays = normal(n, 8, dtype=np.float64), normal(n, 1, dtype=np.float64, seed=1)
    return Task(fit, arrays, flops=2.0 * n * 72)
