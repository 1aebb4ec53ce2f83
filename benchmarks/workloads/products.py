"""Matrix products and what stands around them: chains, batches, bias and activation, attention."""

from __future__ import annotations

from typing import Any

from ..layers import attention, gelu, softmax
from ..task import GRADIENT, Task, normal, workload


@workload("chain of four products", 16, 128, 512)
def _(n: int) -> Task:
    def chain(xp: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        return a @ b @ c @ d * 0.5

    arrays = tuple(normal(n, n, seed=seed) for seed in range(4))
    return Task(chain, arrays, flops=6.0 * n**3, tolerance=1e-4)


@workload("product, bias and GELU", 16, 128, 1024)
def _(n: int) -> Task:
    def layer(xp: Any, x: Any, w: Any, b: Any) -> Any:
        return gelu(xp, x @ w + b)

    arrays = normal(n, 256), normal(256, 512, seed=1) * 0.06, normal(512, seed=2)
    return Task(layer, arrays, flops=2.0 * n * 256 * 512, tolerance=1e-4)


@workload("batch of products, 16 x 16", 16, 256, 4096)
def _(n: int) -> Task:
    arrays = normal(n, 16, 16), normal(n, 16, 16, seed=1)
    return Task(lambda xp, a, b: a @ b + a, arrays, flops=2.0 * n * 16**3, tolerance=1e-4)


@workload("low-rank update", 32, 256, 1024)
def _(n: int) -> Task:
    def update(xp: Any, m: Any, u: Any, v: Any) -> Any:
        return m + 0.1 * (u @ v.T) - u[:, :1] * v[:, 1:2].T

    return Task(update, (normal(n, n), normal(n, 8, seed=1), normal(n, 8, seed=2)),
                flops=18.0 * n * n)  # fmt: skip


@workload("attention, causal, 4 heads, length", 32, 128, 512)
def _(n: int) -> Task:
    arrays = tuple(normal(2, 4, n, 32, seed=seed) for seed in range(3))
    return Task(attention, arrays, flops=2.0 * 2 * 4 * 32 * n * n, tolerance=1e-4)


@workload("gradient: attention, causal, 4 heads, length", 32, 128, 512)
def _(n: int) -> Task:
    arrays = tuple(normal(2, 4, n, 32, seed=seed) for seed in range(4))
    return Task(lambda xp, q, k, v, w: (attention(xp, q, k, v) * w).sum(), arrays, GRADIENT,
                wrt=(0, 1, 2), flops=6.0 * 2 * 4 * 32 * n * n, tolerance=1e-4)  # fmt: skip


@workload("scores with a bias, softmax, product", 32, 128, 512)
def _(n: int) -> Task:
    def scored(xp: Any, q: Any, k: Any, v: Any, bias: Any) -> Any:
        return softmax(xp, q @ xp.swapaxes(k, -1, -2) * 0.2 + bias) @ v

    arrays = (*(normal(8, n, 32, seed=seed) for seed in range(3)), normal(n, n, seed=3))
    return Task(scored, arrays, flops=4.0 * 8 * 32 * n * n, tolerance=1e-4)
