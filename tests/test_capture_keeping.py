"""Numbers that Python goes on with from branch to branch: each block computes its part."""

import math
import random

import numpy as np
import pytest

import dualflow as df
from dualflow.capture.provenance import Node


def settled(fn):
    return df.compile(fn, wait=True)


def adaptive(t, h, tol):
    """A step that grows and shrinks as errors tell."""
    x, steps = 0.0, []
    while x < 2.0:
        error = float((t * h).sum()) ** 2
        if error < tol:
            x += h
            steps.append(h)
        h *= min(1.5, max(0.3, 0.9 * (tol / (error + 1e-12)) ** 0.5))
        if len(steps) > 40:
            break
    return t * h, x, steps


def shown(result):
    t, x, steps = result
    return t.tolist(), x, steps


def test_a_step_that_adapts_is_what_eager_gives():
    fn, draw = settled(adaptive), random.Random(3)
    for _ in range(60):
        given = df.tensor([draw.uniform(0.5, 1.5)] * 3, dtype="float64"), draw.uniform(0.05, 0.3)
        want = shown(adaptive(*given, 0.25))
        assert shown(fn(*given, 0.25)) == want
    stats = fn.stats()
    assert stats["replays"] + stats["recordings"] == 60
    assert stats["replays"] > 30


def texts(fn):
    found, todo = [], list(fn._root.alternatives)
    while todo:
        alternative = todo.pop()
        found.append(alternative.block.written.text)
        todo += [a for fork in alternative.below.values() for a in fork.alternatives]
    return found


def halving(t, steps):
    h = 1.0 * t.sum().item()
    for _ in range(steps):
        h = h * 0.5 + 0.1 / (1.0 + h)
        if h < -1:
            break
    return t * h


def test_blocks_do_not_grow_with_the_branches_before_them():
    fn, few = settled(halving), settled(halving)
    t = df.tensor([1.0, 2.0])
    for _ in range(2):
        assert fn(t, 60).tolist() == halving(t, 60).tolist()
        few(t, 6)
    assert fn.stats()["replays"] == few.stats()["replays"] == 1
    assert max(map(len, texts(fn))) < 1.3 * max(map(len, texts(few)))


def paths(t, x, n):
    """Recordings of which the first blocks are the same."""
    total = 0.0
    for i in range(n):
        x = x * 0.7 + total / (i + 2.0)
        if t[i % 3].item() > x:
            total += x
        if total > 3.0:
            break
    return t + total, total, x


def test_recordings_that_begin_alike_share_what_is_kept():
    fn, draw = settled(paths), random.Random(5)
    for _ in range(80):
        given = [draw.choice([0.1, 0.5, 2.0]) for _ in range(3)]
        t, x = df.tensor(given, dtype="float64"), draw.uniform(0.2, 2.0)
        got, want = fn(t, x, 6), paths(t, x, 6)
        assert got[0].tolist() == want[0].tolist()
        assert got[1:] == want[1:]
    stats = fn.stats()
    assert stats["replays"] > 20
    assert stats["co_executions"] == stats["eager_calls"] == 0


def squares(t, n):
    v = t.sum().item()
    for _ in range(n):
        v = v * v * 0.5 + v * 0.1
        if v > 3:
            break
    return t * v


def test_numbers_that_occur_twice_in_each_step():
    """Expressions over them, written out, double with each step."""
    fn = settled(squares)
    for x in (0.1, 0.2, 0.3):
        t = df.tensor([x, x])
        np.testing.assert_array_equal(fn(t, 100).numpy(), squares(t, 100).numpy())
    assert fn.stats()["replays"] == 2


@pytest.mark.parametrize("depth", [10, 3000])
def test_the_text_of_a_node_is_bounded(depth):
    made = Node("args[{k0}]", (), (0,), False)
    for _ in range(depth):
        made = Node("({0} * {1})", (made, made), (), False)
    other = Node("({0} + {1})", (made, made), (), False)
    assert len(str(made)) <= 400
    assert str(made) != str(other)
    assert made.key != other.key


def lines_of_text(t):
    return "".join(f"{(t * i).sum().item():.3f}," for i in range(9))


def told(t):
    loss, largest = t.sum().item(), round(abs(t.max().item()), 3)
    number = "%.2e" % loss  # noqa: UP031
    parts = [f"loss {loss:8.3f}", str(largest), number, repr(math.floor(largest))]
    return " | ".join(parts).ljust(60) + f"{min(loss, 0.5)!r:>20}"


@pytest.mark.parametrize("f", [lines_of_text, told], ids=lambda f: f.__name__)
def test_text_of_values_is_no_branch(f):
    """Its type is always the same: all that is computed is one program."""
    fn, draw = settled(f), random.Random(7)
    for _ in range(12):
        t = df.tensor([draw.uniform(-3, 3), draw.uniform(-3, 3)], dtype="float64")
        assert fn(t) == f(t)
    assert fn.stats()["replays"] == 11
    assert fn.stats()["branches"] == 0
