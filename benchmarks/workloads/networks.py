"""Networks, forward and with gradients: MLP, LeNet, a ResNet block, LSTM, a transformer block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers import (
    along,
    attention,
    conv2d,
    cross_entropy,
    gelu,
    layer_norm,
    max_pool2d,
    relu,
    sigmoid,
)  # fmt: skip
from ..task import FORWARD, GRADIENT, TRAINING, Task, labels, normal, workload

Make = Callable[[int, str], Task]
#: of gradients: where a unit is about zero, rounding decides whether it takes part
LOOSE = 5e-3


def scaled(*shape: int, seed: int) -> np.ndarray:
    """Weights that keep the size of what goes through them."""
    fan_in = shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))
    return normal(*shape, seed=seed) / np.float32(np.sqrt(fan_in))


def network(name: str, sizes: tuple[int, ...], training: bool = False) -> Callable[[Make], Make]:
    """Workloads of `make(size, mode)`: forward, gradients, and if asked for whole steps."""

    def add(make: Make) -> Make:
        workload(name, *sizes)(lambda n: make(n, FORWARD))
        workload(f"gradient: {name}", *sizes)(lambda n: make(n, GRADIENT))
        if training:
            workload(f"training: {name}", *sizes)(lambda n: make(n, TRAINING))
        return make

    return add


def classified(function: Any, x: np.ndarray, weights: tuple[np.ndarray, ...], classes: int,
               mode: str, flops: float) -> Task:  # fmt: skip
    """`function(xp, x, *weights)` gives logits; with gradients, their cross-entropy."""
    if mode == FORWARD:
        return Task(function, (x, *weights), flops=flops, tolerance=1e-4)
    wrt = tuple(range(2, 2 + len(weights)))

    def loss(xp: Any, x: Any, y: Any, *weights: Any) -> Any:
        return cross_entropy(xp, function(xp, x, *weights), y)

    arrays = (x, labels(len(x), classes), *weights)
    return Task(loss, arrays, mode, wrt, flops=3 * flops, tolerance=LOOSE)


def squared(function: Any, x: np.ndarray, weights: tuple[np.ndarray, ...], mode: str,
            flops: float) -> Task:  # fmt: skip
    """`function(xp, x, *weights)`; with gradients, of the mean of its squares."""
    if mode == FORWARD:
        return Task(function, (x, *weights), flops=flops, tolerance=1e-4)

    def loss(xp: Any, *xs: Any) -> Any:
        return (function(xp, *xs) ** 2).mean()

    return Task(loss, (x, *weights), mode, flops=3 * flops, tolerance=LOOSE)


@network("multilayer perceptron, 256-512-512-10", (16, 128, 1024))
def _(n: int, mode: str) -> Task:
    def forward(xp: Any, x: Any, a: Any, p: Any, b: Any, q: Any, c: Any, r: Any) -> Any:
        x = relu(xp, x @ a + p)
        x = relu(xp, x @ b + q)
        return x @ c + r

    sizes = [(256, 512), (512, 512), (512, 10)]
    weights = [w for i, s in enumerate(sizes) for w in (scaled(*s, seed=i), np.zeros(s[1], "f"))]
    flops = 2.0 * n * sum(i * o for i, o in sizes)
    return classified(forward, normal(n, 256), tuple(weights), 10, mode, flops)


@network("LeNet, 28 x 28", (1, 16, 64), training=True)
def _(n: int, mode: str) -> Task:
    def forward(xp: Any, x: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        x = max_pool2d(xp, relu(xp, conv2d(xp, x, a, 2)))
        x = max_pool2d(xp, relu(xp, conv2d(xp, x, b)))
        return relu(xp, x.reshape((n, 400)) @ c) @ d

    shapes = [(6, 1, 5, 5), (16, 6, 5, 5), (400, 84), (84, 10)]
    weights = tuple(scaled(*shape, seed=i) for i, shape in enumerate(shapes))
    flops = 2.0 * n * (784 * 150 + 100 * 2400 + 400 * 84 + 840)
    return classified(forward, normal(n, 1, 28, 28), weights, 10, mode, flops)


@network("ResNet block, 32 channels of 28 x 28", (1, 4, 16))
def _(n: int, mode: str) -> Task:
    def forward(xp: Any, x: Any, a: Any, s: Any, b: Any, t: Any) -> Any:
        y = relu(xp, conv2d(xp, x, a, 1) * s[:, None, None])
        return relu(xp, conv2d(xp, y, b, 1) * t[:, None, None] + x)

    weights = (scaled(32, 32, 3, 3, seed=1), 1 + 0.1 * normal(32, seed=2),
               scaled(32, 32, 3, 3, seed=3), 1 + 0.1 * normal(32, seed=4))  # fmt: skip
    flops = 2 * 2.0 * n * 784 * 32 * 288
    return squared(forward, normal(n, 32, 28, 28), weights, mode, flops)


@network("LSTM, 64 wide, 16 rows, steps", (8, 32, 128))
def _(n: int, mode: str) -> Task:
    def forward(xp: Any, x: Any, w: Any, u: Any, b: Any) -> Any:
        def step(i: Any, state: Any) -> Any:
            h, c = state
            gates = x[i] @ w + h @ u + b
            keep = sigmoid(xp, gates[:, :64])
            take = sigmoid(xp, gates[:, 64:128])
            give = sigmoid(xp, gates[:, 128:192])
            c = keep * c + take * xp.tanh(gates[:, 192:])
            return give * xp.tanh(c), c

        zeros = x[0] * 0
        return along(xp, n, step, (zeros, zeros))[0]

    weights = scaled(64, 256, seed=1), scaled(64, 256, seed=2), normal(256, seed=3)
    task = squared(forward, normal(n, 16, 64), weights, mode, 4.0 * n * 16 * 64 * 256)
    return task


@network("transformer block, 128 wide, length", (16, 64, 256), training=True)
def _(n: int, mode: str) -> Task:
    def forward(xp: Any, x: Any, *weights: Any) -> Any:
        g, p, qkv, out, h, q, up, down = weights
        y = layer_norm(xp, x, g, p) @ qkv
        parts = xp.swapaxes(y.reshape((2, n, 3, 4, 32)), 1, 3)
        y = attention(xp, parts[:, :, 0], parts[:, :, 1], parts[:, :, 2])
        x = x + xp.swapaxes(y, 1, 2).reshape((2, n, 128)) @ out
        return x + gelu(xp, layer_norm(xp, x, h, q) @ up) @ down

    weights = (
        1 + 0.1 * normal(128, seed=1), 0.1 * normal(128, seed=2), scaled(128, 384, seed=3),
        scaled(128, 128, seed=4), 1 + 0.1 * normal(128, seed=5), 0.1 * normal(128, seed=6),
        scaled(128, 512, seed=7), scaled(512, 128, seed=8),
    )  # fmt: skip
    flops = 2.0 * 2 * n * 128 * (384 + 128 + 1024) + 4.0 * 2 * 4 * 32 * n * n
    return squared(forward, normal(2, n, 128), weights, mode, flops)
