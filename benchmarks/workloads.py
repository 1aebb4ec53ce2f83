"""The workloads: the same computation written for dualflow, NumPy, PyTorch, JAX and numexpr.

Comes in: a size. Goes out: for each library a function of no arguments to be timed, and a way to
check that all of them compute the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import peers

Call = Callable[[], Any]


@dataclass(frozen=True)
class Workload:
    """One workload.

    Attributes:
        sizes: named sizes, small to large; the first is also the tiny one of the tests.
        make: `make(size)` gives the calls by library name.
        moved: bytes that an ideal implementation moves for a size.
    """

    name: str
    sizes: tuple[int, ...]
    make: Callable[[int], dict[str, Call]]
    moved: Callable[[int], int]


WORKLOADS: list[Workload] = []


def workload(
    name: str, sizes: tuple[int, ...], moved: Callable[[int], int]
) -> Callable[[Callable[[int], dict[str, Call]]], Callable[[int], dict[str, Call]]]:
    """Add a workload to the list."""

    def add(make: Callable[[int], dict[str, Call]]) -> Callable[[int], dict[str, Call]]:
        WORKLOADS.append(Workload(name, sizes, make, moved))
        return make

    return add


def normal(*shape: int, dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def chain(xp: Any, a: Any, b: Any, c: Any) -> Any:
    return xp.tanh(a * b + c) * xp.exp(-(a * a)) + b / (1 + xp.abs(c)) - a * c


@workload("fused chain of 10 ops", (1 << 10, 1 << 16, 1 << 20), lambda n: 16 * n)
def _(n: int) -> dict[str, Call]:
    arrays = [normal(n, seed=seed) for seed in range(3)]
    calls = peers.elementwise(chain, arrays)
    text = "tanh(a*b+c)*exp(-(a*a))+b/(1+abs(c))-a*c"
    return calls | peers.numexpr_call(text, dict(zip("abc", arrays, strict=True)))


def softmax(xp: Any, x: Any) -> Any:
    shifted = xp.exp(x - peers.amax(xp, x))
    return shifted / peers.total(xp, shifted)


@workload("softmax over rows of 256", (16, 256, 4096), lambda rows: 2 * 4 * 256 * rows)
def _(rows: int) -> dict[str, Call]:
    own = {
        "dualflow": lambda df, x: df.softmax(x, axis=-1),
        "torch": lambda torch, x: torch.softmax(x, -1),
        "jax": lambda jax, x: jax.nn.softmax(x, axis=-1),
    }
    return peers.elementwise(softmax, [normal(rows, 256)], own)


def layer_norm(xp: Any, x: Any) -> Any:
    n = x.shape[-1]
    mean = peers.total(xp, x) / n
    centered = x - mean
    return centered / xp.sqrt(peers.total(xp, centered * centered) / n + 1e-5)


@workload("layer_norm over rows of 256", (16, 256, 4096), lambda rows: 2 * 4 * 256 * rows)
def _(rows: int) -> dict[str, Call]:
    own = {
        "dualflow": lambda df, x: df.layer_norm(x),
        "torch": lambda torch, x: torch.nn.functional.layer_norm(x, (256,)),
    }
    return peers.elementwise(layer_norm, [normal(rows, 256)], own)


def cross_entropy_numpy(xp: Any, x: Any, labels: Any) -> Any:
    shifted = x - x.max(axis=1, keepdims=True)
    log_sum = xp.log(xp.exp(shifted).sum(axis=1))
    return (log_sum - shifted[xp.arange(len(x)), labels]).mean()


@workload("cross_entropy of 100 classes", (16, 256, 4096), lambda rows: 4 * 100 * rows)
def _(rows: int) -> dict[str, Call]:
    labels = np.random.default_rng(1).integers(0, 100, rows)
    own = {
        "dualflow": lambda df, x, y: df.cross_entropy(x, y),
        "torch": lambda torch, x, y: torch.nn.functional.cross_entropy(x, y),
    }
    return peers.elementwise(cross_entropy_numpy, [normal(rows, 100), labels], own)


def black_scholes(xp: Any, price: Any, strike: Any, time: Any) -> Any:
    root = 0.3 * xp.sqrt(time)
    d1 = (xp.log(price / strike) + 0.065 * time) / root
    d2 = d1 - root
    cumulative = lambda d: 0.5 * peers.erfc(xp, -d * 0.7071067811865476)  # noqa: E731
    return price * cumulative(d1) - strike * xp.exp(-0.02 * time) * cumulative(d2)


@workload("Black-Scholes, float64", (1 << 10, 1 << 16, 1 << 20), lambda n: 32 * n)
def _(n: int) -> dict[str, Call]:
    rng = np.random.default_rng(2)
    arrays = [rng.uniform(10, 50, n), rng.uniform(10, 50, n), rng.uniform(0.1, 2, n)]
    return peers.elementwise(black_scholes, arrays)


def stencil(xp: Any, u: Any) -> Any:
    middle = u[1:-1, 1:-1]
    around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
    return middle + 0.1 * (around - 4.0 * middle)


@workload("2-D heat stencil", (32, 256, 1024), lambda n: 8 * n * n)
def _(n: int) -> dict[str, Call]:
    return peers.elementwise(stencil, [normal(n, n)])


def column_sum(xp: Any, x: Any) -> Any:
    return (x * x).sum(0)


@workload("sum of squares of columns", (16, 256, 2048), lambda n: 4 * n * 512)
def _(n: int) -> dict[str, Call]:
    return peers.elementwise(column_sum, [normal(n, 512)])


def adam(xp: Any, w: Any, g: Any, m: Any, v: Any) -> Any:
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * (g * g)
    step = 0.001 * (m / 0.1) / (xp.sqrt(v / 0.001) + 1e-8)
    return w - step, m, v


@workload("Adam on 8 parameters", (1 << 8, 1 << 13, 1 << 17), lambda n: 8 * 7 * 4 * n)
def _(n: int) -> dict[str, Call]:
    arrays = [normal(n, seed=seed) for seed in range(32)]
    arrays = [np.abs(a) if i % 4 == 3 else a for i, a in enumerate(arrays)]

    def all_of(xp: Any, *flat: Any) -> Any:
        made: list[Any] = []
        for i in range(0, 32, 4):
            made += adam(xp, *flat[i : i + 4])
        return tuple(made)

    return peers.elementwise(all_of, arrays)


@workload("MLP training step, 64-128-128-10", (32, 256, 1797), lambda rows: 4 * rows * 64)
def _(rows: int) -> dict[str, Call]:
    images = np.abs(normal(rows, 64))
    labels = np.random.default_rng(3).integers(0, 10, rows)
    return peers.training_steps(images, labels)
