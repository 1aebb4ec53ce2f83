"""us of a replayed call by what it reads, takes, returns and changes: Python text and native call.

    python -m benchmarks.call_kinds [--save]

Both are timed in one process, in turns; the least of many short stretches is taken.
"""

from __future__ import annotations

import sys
from collections import namedtuple
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import dualflow as df
from benchmarks import keeping
from benchmarks.calls import least, portable, ready

Pair = namedtuple("Pair", "a b")
_random = np.random.default_rng(0)
Kind = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def tensor(*shape: int) -> df.Tensor:
    return df.tensor(_random.random(shape or 64, np.float32))


class Layer:
    def __init__(self) -> None:
        self.weight, self.bias = tensor(), tensor()


class Model:
    def __init__(self, layers: int = 10) -> None:
        self.layers, self.weight, self.calls = [Layer() for _ in range(layers)], tensor(), 0

    def first(self, x: Any) -> Any:
        return df.tanh(x * self.weight + self.layers[0].bias)

    def whole(self, x: Any) -> Any:
        for layer in self.layers:
            x = df.tanh(x * layer.weight + layer.bias)
        return x

    def counted(self, x: Any) -> Any:
        self.calls += 1
        return df.tanh(x * self.weight)


class Network(df.nn.Module):
    def __init__(self) -> None:
        self.a, self.b = df.nn.Linear(8, 8), df.nn.Linear(8, 4)

    def __call__(self, x: Any) -> Any:
        return self.b(df.tanh(self.a(x)))


def closure() -> Callable[[Any], Any]:
    weight = tensor()
    return lambda x: x * weight + x


def in_place(x: Any, y: Any) -> None:
    x += y
    x *= 0.5


def branch(x: Any) -> Any:
    if x.sum() > 0:
        return x * 2 + 1
    return x * 3


def step(optimizer: Any) -> Callable[[Any], Any]:
    model = Network()
    chosen = optimizer(list(model.parameters()), lr=1e-6)

    def train(x: Any) -> Any:
        chosen.zero_grad()
        loss = (model(x) ** 2).sum()
        loss.backward()
        chosen.step()
        return loss.item()

    return train


def into(a: Any, b: Any) -> Any:
    np.multiply(a, b, out=b)
    return b


def kinds() -> dict[str, Kind]:
    """Functions with what they are called with, by name."""
    x, y, rows, model = tensor(), tensor(), tensor(4, 8), Model()
    a, b = _random.random(64), _random.random(64)
    one = (x,)
    return {
        "two tensors": (lambda x, y: x * y + x - y, (x, y), {}),
        "a closure's tensor": (closure(), one, {}),
        "attributes, a list": (model.first, one, {}),
        "attributes of ten layers": (model.whole, one, {}),
        "a tuple": (lambda p: p[0] * p[1] + p[0], ((x, y),), {}),
        "a dict": (lambda d: d["a"] * d["b"] + d["a"], ({"a": x, "b": y},), {}),
        "a named tuple": (lambda p: p.a * p.b, (Pair(x, y),), {}),
        "a Python number": (lambda x, s: x * s + s, (x, 2.5), {}),
        "keywords, defaults": (lambda x, y=None, scale=2.0: x * y * scale, one, {"y": y}),
        "three results": (lambda x, y: [x * y, x + y, x - y], (x, y), {}),
        "a dict of results": (lambda x, y: {"a": x * y, "b": x + y}, (x, y), {}),
        "item()": (lambda x: (x * x).sum().item(), one, {}),
        "in place": (in_place, (x, y), {}),
        "a counter": (model.counted, one, {}),
        "a branch on a tensor": (branch, one, {}),
        "a random draw": (lambda x: x + df.random.uniform((64,)), one, {}),
        "out= of an ndarray": (into, (a, b), {}),
        "two Linear, with history": (Network(), (rows,), {}),
        "a step of SGD": (step(df.optim.SGD), (rows,), {}),
        "a step of Adam": (step(df.optim.Adam), (rows,), {}),
    }


def measure(stretches: int = 200) -> dict[str, float]:
    """Seconds of a call by kind and way."""
    found = {}
    for name, (function, given, named) in kinds().items():
        text, native = portable(function, *given, **named), ready(function, *given, **named)
        ways = {"Python text": text, "native call": native}
        for way, call in ways.items():
            assert (call._whole is not None) is (way == "native call"), name
            again = partial(call, *given, **named)
            found[f"{name}: {way}"] = least(again, stretches)
    return found


def main() -> None:
    """Print, and with `--save` keep, all of it."""
    found = measure()
    for name in kinds():
        text, native = (found[f"{name}: {way}"] for way in ("Python text", "native call"))
        print(f"{1e6 * text:8.2f} {1e6 * native:8.2f} us  {name}")
    if "--save" in sys.argv:
        keeping.save({"facts": found}, "calls-by-kind")


if __name__ == "__main__":
    main()
