"""How array operations of co-executed calls ran is counted: in fused programs, or one by one."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import dualflow as df


@pytest.fixture(autouse=True)
def strictly():
    with df.config(on_compiler_error="raise"):
        yield


def looked_at(x):
    """What no replay does, on one line that is not cut off: nothing comes before or after it."""
    return sum(float((x * n + 1.0).sum()) + sys._getframe(0).f_lineno * 0 for n in (2.0, 3.0))


def test_all_operations_run_in_programs_if_these_are_waited_for():
    fast = df.compile(looked_at, wait=True)
    x = df.asarray(np.arange(5.0))
    before = df.stats()
    for _ in range(4):
        assert fast(x) == looked_at(x)
    stats = fast.stats()
    assert (stats["recordings"], stats["co_executions"], stats["replays"]) == (1, 3, 0)
    # three operations a number, in the first co-executed call already
    assert (stats["operations_eager"], stats["operations_fused"]) == (0, 3 * 6)
    after = df.stats()
    for name in ("operations_eager", "operations_fused"):
        assert after[name] - before[name] == stats[name]


def test_operations_run_one_by_one_where_nothing_waits_for_a_program():
    fast = df.compile(looked_at)
    x = df.asarray(np.arange(6.0))
    for _ in range(2):
        assert fast(x) == looked_at(x)
    stats = fast.stats()
    assert (stats["recordings"], stats["co_executions"]) == (1, 1)
    assert (stats["operations_eager"], stats["operations_fused"]) == (6, 0)


def test_programs_follow_the_settings_of_numerics():
    fast = df.compile(lambda x: (sys._getframe(0), df.exp(x).sum())[1].item(), wait=True)
    x = df.asarray(np.linspace(-20.0, 20.0, 999))
    for numerics in ("strict", "exact", "strict", "exact"):
        with df.config(numerics=numerics):
            made = fast(x), fast(x)
            assert made == (fast.eager(x),) * 2 or numerics != "exact"
    assert fast.stats()["operations_eager"] == 0
    stretch, *_ = fast._segments.records()
    assert len(stretch.programs) == 2


def test_what_may_raise_runs_at_its_line_and_is_counted():
    def f(x, n):
        sys._getframe(0)
        return (x + 1) ** n  # no negative powers of integers

    fast = df.compile(f, wait=True)
    x, n = df.asarray([4, 5, 6]), df.asarray([2, 2, 2])
    for _ in range(4):
        assert fast(x, n).tolist() == [25, 36, 49]
    stats = fast.stats()
    assert stats["co_executions"] == 3
    assert stats["operations_eager"] == 3  # each power
    assert stats["operations_fused"] == 3


def test_a_value_that_is_computed_again_is_counted():
    kept = []

    def f(x, keep):
        sys._getframe(0)
        y = x * 2.0 + 1.0
        z = y.sum()
        if keep:
            kept.append(y)
        return z

    fast = df.compile(f, wait=True)
    x = df.asarray([1.0, 2.0])
    for _ in range(4):
        assert float(fast(x, False)) == 8.0
    assert float(fast(x, True)) == 8.0
    before = fast.stats()["operations_eager"]
    assert kept.pop().tolist() == [3.0, 5.0]
    assert fast.stats()["operations_eager"] - before == 2


def test_rows_and_the_rest_of_a_tensor_replay():
    def f(x):
        first, *rest = x
        for row in rest:
            first = first * 2.0 + row
        return first, len(rest)

    fast = df.compile(f, wait=True)
    for n in (2, 3, 2, 3):
        x = df.asarray(np.arange(4.0 * n).reshape(n, 4))
        made, count = fast(x)
        right, also = f(x)
        assert made.tolist() == right.tolist()
        assert count == also
    assert fast.stats()["replays"] == 2
