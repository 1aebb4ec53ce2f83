"""Loops whose steps differ in a number, a random draw or a Python value: rows of a table."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow.ops import primitives as p

STEPS = 300
X = np.linspace(0.0, 1.0, 6, dtype=np.float32)


def affine(x, dt):
    for i in range(STEPS):
        x = x * 0.5 + i * 0.01
    return x


def decay(x, dt):
    for i in range(STEPS):
        x = x * (1.0 / (1 + i)) + 1.0
    return x


def of_an_argument(x, dt):
    for i in range(STEPS):
        x = x * 0.5 + i * dt
    return x


def several(x, dt):
    y = x
    for i in range(STEPS):
        x = x * 0.5 + (i % 3) * 0.25 + i / 7
        y = df.abs(y - i * 0.5) * 0.25 - x
    return x, y


def drawn(x, dt):
    for _ in range(STEPS):
        x = x * 0.5 + df.random.uniform((6,))
    return x


def whole_numbers(x, dt):
    x = df.astype(x, df.int32)
    for i in range(STEPS):
        x = df.abs(x * 3 - i) + (1 << i % 20)
    return x


def parts(made):
    return [part.numpy() for part in (made if isinstance(made, tuple) else (made,))]


@pytest.mark.parametrize(
    "function", [affine, decay, of_an_argument, several, drawn, whole_numbers],
    ids=lambda function: function.__name__,
)  # fmt: skip
def test_steps_that_differ_in_a_number_are_a_loop(function):
    fast = df.compile(function, wait=True)
    for dt in (0.01, 0.01, 0.3, -0.0):
        df.random.seed(7)
        wanted = [parts(function(df.tensor(X), dt)) for _ in range(2)]
        df.random.seed(7)
        found = [parts(fast(df.tensor(X), dt)) for _ in range(2)]
        for one, other in zip(found, wanted, strict=True):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b, strict=True)
    stats = fast.stats()
    assert stats["co_executions"] == stats["eager_calls"] == 0
    assert stats["replays"] >= 4, fast.explain()
    graph = fast._last[2].graph
    assert sum(node.op is p.loop.op for node in graph.nodes) >= 1
    assert len(graph.nodes) < 100


def test_numbers_without_a_loop_stay_in_the_graph():
    numbers = np.random.default_rng(0).normal(size=200).tolist()
    ops = [df.sin, df.cos, df.exp, df.abs, df.tanh]
    order = np.random.default_rng(1).integers(5, size=200).tolist()

    def shuffled(x):
        for number, k in zip(numbers, order, strict=True):
            x = ops[k](x) * number
        return x

    fast = df.compile(shuffled, wait=True)
    fast(df.tensor(X))
    graph = fast._last[2].graph
    assert {value.shape for value in graph.inputs} == {(), (6,)}
    np.testing.assert_allclose(fast(df.tensor(X)).numpy(), shuffled(df.tensor(X)).numpy(), 1e-5)
    assert fast.stats()["replays"] == 1
