"""What steps take, by an estimate: decisions that rest on it, and how they are told."""

from __future__ import annotations

import numpy as np
import pytest
from schedule_graphs import Builder

import dualflow as df
from dualflow.ir import costs
from dualflow.ops import primitives as p
from dualflow.schedule import plan_with_reasons


def chain(side: int):
    """Five operations on a square matrix, and a fold."""
    b = Builder()
    x, y = b.tensor(side, side), b.tensor(side, side)
    made = b(p.exp, b(p.multiply, b(p.add, x, y), y))
    return b.build([b(p.sum, b(p.subtract, made, x), axes=(1,))])


@pytest.mark.parametrize("side", [2, 64, 1024])
def test_what_is_fused_is_estimated_below_eager_mode(side):
    found = plan_with_reasons(chain(side))
    assert found.eager is not None
    assert not found.apart
    assert found.cost.total < found.eager.total
    assert found.lines()[0] == f"{found.cost}; in eager mode {found.eager}"
    (step,) = found.lines()[1:2]
    assert step.startswith("0: kernel of ")
    assert " us, for " in step


def test_a_larger_matrix_takes_longer_and_waits_for_memory():
    small, large = (plan_with_reasons(chain(side)).cost for side in (16, 4096))
    assert large.total > 1000 * small.total
    assert str(small).endswith("for calls")
    b = Builder()
    x = b.tensor(4096, 4096)
    copied = plan_with_reasons(b.build([b(p.negative, x)])).cost
    assert copied.memory > 0 == copied.arithmetic
    assert str(copied).endswith("for memory")


def test_nothing_is_fused_where_eager_mode_would_take_less(monkeypatch):
    monkeypatch.setattr(costs, "LAUNCH", 1e9)

    def function(x, y):
        z = df.exp(x + y.T) - df.concat([x[:, 1:], y[:, :1]], axis=1)
        return (z - z.max(axis=1, keepdims=True)).sum(axis=0), z[::2]

    fast = df.compile(function, wait=True)
    rng = np.random.default_rng(0)
    tensors = [df.asarray(rng.standard_normal((6, 6))) for _ in range(2)]
    found = wanted = function(*tensors)
    for _ in range(2):
        found = fast(*tensors)
    assert fast.stats()["replays"] >= 1
    for one, other in zip(found, wanted, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes()
    text = fast.explain()
    assert "so nothing is fused" in text
    assert "kernel of exp" not in text
    assert "library call of exp" in text


def test_a_cheap_value_is_computed_anew_and_a_dear_one_stored_with_the_price_told():
    def two_readers(op):
        b = Builder()
        x = b.tensor(40, 50)
        y = b(op, b(op, x))
        down, across = b(p.sum, y, axes=(0,)), b(p.sum, y, axes=(1,))
        return plan_with_reasons(b.build([down, across]))

    cheap, dear = two_readers(p.negative), two_readers(p.exp)
    assert cheap.repeated
    for reason in cheap.repeated.values():
        assert reason.startswith("computed anew by 2 kernels: ")
        assert reason in "\n".join(cheap.lines())
    assert not dear.repeated
    (told,) = [line for line in dear.lines() if "dear to compute anew" in line]
    assert told.startswith("exp float32[40, 50] lies in memory: wanted by 2 kernels")
