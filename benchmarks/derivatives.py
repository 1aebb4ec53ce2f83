"""What derivatives and maps cost: `jvp` beside its function, `vmap` beside code for batches.

python -m benchmarks.derivatives         eager and compiled, medians, ratios
python -m benchmarks.derivatives --tiny  smallest sizes (the tests run this)
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.threads import one_thread

if __name__ == "__main__":
    one_thread()

import numpy as np

import dualflow as df
from dualflow.inspect.timing import interleave

_RANDOM = np.random.default_rng(0)
#: how many vectors are mapped over
BATCH = 256


@dataclass(frozen=True)
class Pair:
    """Two ways of which the first is bounded by the second.

    Attributes:
        name: of the row.
        first, second: functions of `args`.
        most: what the first may cost, in times of the second.
    """

    name: str
    first: Callable[..., Any]
    second: Callable[..., Any]
    args: tuple[Any, ...]
    most: float


def floats(*shape: int) -> df.Tensor:
    """Normally distributed float32 numbers."""
    return df.tensor(_RANDOM.normal(size=shape).astype(np.float32))


def tangents(tiny: bool) -> list[Pair]:
    """`jvp(f, x, t)` beside `f(x)`."""
    n = 32 if tiny else 512
    weights = [floats(n, n) for _ in range(4)]

    def mlp(x: df.Tensor) -> df.Tensor:
        for w in weights:
            x = df.tanh(x @ w)
        return x

    functions = {
        "a chain of elementwise ops": (
            lambda x: df.exp(-x * x) * df.sin(x) + x / (1.0 + x * x), floats(n * n)),
        "softmax": (lambda x: df.log_softmax(x).mean(), floats(n, n)),
        "layer_norm": (df.layer_norm, floats(n, n)),
        "MLP": (mlp, floats(n // 2, n)),
    }  # fmt: skip
    return [
        Pair(f"jvp of {name}", lambda x, t, f=f: df.jvp(f, (x,), (t,)), lambda x, t, f=f: f(x),
             (x, floats(*x.shape)), 3.0)
        for name, (f, x) in functions.items()
    ]  # fmt: skip


def maps(tiny: bool) -> list[Pair]:
    """`vmap(f)(x)` beside the same written for batches."""
    n = 8 if tiny else 64
    w, b, x = floats(n, n), floats(n), floats(BATCH, n)
    p, q = floats(BATCH, n // 4, n // 4), floats(BATCH, n // 4, n // 4)

    def layer(x: df.Tensor) -> df.Tensor:
        return df.tanh(x @ w + b)

    def energy(x: df.Tensor) -> df.Tensor:
        return (layer(x) ** 2).sum()

    def polynomial(x: df.Tensor) -> df.Tensor:
        return ((x * 2.0 + 1.0) * x + 3.0).sum()

    return [
        Pair("vmap of a layer", df.vmap(layer), layer, (x,), 1.5),
        Pair("vmap of a polynomial", df.vmap(polynomial),
             lambda x: ((x * 2.0 + 1.0) * x + 3.0).sum(axis=1), (x,), 1.5),
        Pair("vmap of softmax of a product", df.vmap(lambda a, b: df.softmax(a @ b)),
             lambda a, b: df.softmax(a @ b), (p, q), 1.5),
        Pair("vmap of a gradient", df.vmap(df.grad(energy)), df.grad(energy), (x,), 1.5),
    ]  # fmt: skip


def measure(pair: Pair, seconds: float) -> dict[str, float]:
    """Medians in seconds, eager and compiled; both ways must give the same."""
    args = pair.args
    ways = {
        "eager": (pair.first, pair.second),
        "compiled": (_compiled(pair.first), _compiled(pair.second)),
    }
    found = {}
    for how, (first, second) in ways.items():
        calls = [lambda first=first: first(*args), lambda second=second: second(*args)]
        one, other = interleave(calls, lambda: None, seconds)
        found[f"{how} first"], found[f"{how} second"] = one.median, other.median
        found[how] = one.median / other.median
    return found


def _compiled(fn: Callable[..., Any]) -> Callable[..., Any]:
    return df.compile(lambda *args: fn(*args), wait=True)


def main() -> int:
    """Print a row for each pair."""
    tiny = "--tiny" in sys.argv
    print(f"{platform.processor() or platform.machine()}; one thread; medians in us; ratio (bound)")
    for pair in (*tangents(tiny), *maps(tiny)):
        found = measure(pair, 0.01 if tiny else 1.0)
        parts = [
            f"{how} {found[how + ' first'] * 1e6:9.1f} / {found[how + ' second'] * 1e6:9.1f} = "
            f"{found[how]:5.2f} ({pair.most})"
            for how in ("eager", "compiled")
        ]
        print(f"{pair.name:<36}{'   '.join(parts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
