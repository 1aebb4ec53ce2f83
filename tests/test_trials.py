"""Paths whose replays are slower than Python run as they are from then on, and are right."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import dualflow as df
from dualflow import pipeline
from dualflow.array.eager import EagerMode
from dualflow.capture import trials
from dualflow.capture.coexecution import segments
from dualflow.ops import door


def counted(n, monkeypatch, margin, wait=False):
    """A compiled function that was called `n` times, a trial after 20 replays among them."""
    monkeypatch.setattr(trials, "AFTER", 20)
    monkeypatch.setattr(trials, "MARGIN", margin)
    seen = []

    @df.compile(wait=wait)
    def f(x, k):
        y = x * k + 1.0
        x += 1.0
        seen.append(k)
        return y.sum()

    f.warmup(np.arange(5.0), 0.0)
    x, expected = np.arange(5.0), np.arange(5.0)
    for i in range(n):
        assert f(x, float(i)) == (expected * float(i) + 1.0).sum()
        expected += 1.0
        np.testing.assert_array_equal(x, expected)
    assert seen == [float(i) for i in range(n)]
    return f


def test_a_path_that_is_slower_runs_as_it_is(monkeypatch):
    f = counted(60, monkeypatch, margin=1e9)
    stats = f.stats()
    assert stats["replays"] == 20 + trials.TURNS
    assert stats["eager_calls"] == 60 - stats["replays"]
    assert "slower than Python" in f.explain(np.arange(5.0), 2.0)


def test_a_path_that_is_faster_goes_on_replaying(monkeypatch):
    f = counted(60, monkeypatch, margin=0.0)
    stats = f.stats()
    assert stats["eager_calls"] == trials.TURNS
    assert stats["replays"] == 60 - trials.TURNS


def test_long_calls_are_tried_early(monkeypatch):
    monkeypatch.setattr(trials, "LONG", 0.0)
    f = counted(40, monkeypatch, margin=1e9)
    assert f.stats()["replays"] == trials.EARLY + trials.TURNS
    assert "slower than Python" in f.explain(np.arange(5.0), 2.0)


def test_other_shapes_have_verdicts_of_their_own(monkeypatch):
    f = counted(60, monkeypatch, margin=1e9)
    before = f.stats()["replays"]
    f.warmup(np.arange(7.0), 1.0)
    for _ in range(3):
        f(np.arange(7.0), 1.0)
    assert f.stats()["replays"] == before + 3


def test_with_wait_all_calls_of_a_path_run_in_one_way(monkeypatch):
    monkeypatch.setattr(trials, "LONG", 0.0)
    f = counted(60, monkeypatch, margin=1e9, wait=True)
    assert f.stats()["replays"] == 60


def test_a_trial_ends_where_calls_raise(monkeypatch):
    monkeypatch.setattr(trials, "AFTER", 5)
    monkeypatch.setattr(trials, "MOST", 10)

    @df.compile
    def f(x, bad):
        if bad:
            raise ValueError("bad")
        return x + 1

    f.warmup(np.zeros(3), False)
    for i in range(40):
        if i % 2:
            with pytest.raises(ValueError, match="bad"):
                f(np.zeros(3), True)
        else:
            np.testing.assert_array_equal(f(np.zeros(3), False), np.ones(3))
    assert f._trial is None
    assert f.stats()["replays"] >= 5


class Clock:
    """A clock that calls of a function move on, by what they take in pieces and as they are."""

    def __init__(self, pieces, eager):
        self.now, self.pieces, self.eager = 0.0, pieces, eager

    def __call__(self):
        return self.now

    def work(self):
        self.now += self.eager if type(door.state.mode) is EagerMode else self.pieces


@pytest.fixture
def at_once(monkeypatch):
    """Programs are there when they are asked for."""
    compiled = pipeline.compile_graph
    monkeypatch.setattr(
        pipeline, "compile_graph", lambda graph, layouts, behind: compiled(graph, layouts)
    )
    monkeypatch.setattr(segments, "_compilations", {})


def in_pieces(n, monkeypatch, clock, wait=False):
    """A function that cannot be replayed, called `n` times; a trial after 20 of them."""
    monkeypatch.setattr(trials, "AFTER", 20)
    monkeypatch.setattr(trials, "perf_counter", clock)
    seen = []

    @df.compile(wait=wait)
    def f(x):
        seen.append(sys._getframe().f_lineno)
        clock.work()
        return x * 2.0 + 1.0

    for i in range(n):
        np.testing.assert_array_equal(f(df.tensor([float(i)])).array, [i * 2.0 + 1.0])
    assert len(seen) == n
    return f


def test_co_executions_that_are_slower_run_as_they_are(monkeypatch, at_once):
    f = in_pieces(60, monkeypatch, Clock(2.0, 1.0))
    stats = f.stats()
    assert stats["co_executions"] == 20 + trials.TURNS
    assert stats["eager_calls"] == 60 - 1 - stats["co_executions"]
    assert "co-execution was measured to be slower" in f.explain(df.tensor([1.0]))
    assert f.report(df.tensor([1.0])).how == "eager"


def test_co_executions_that_are_faster_go_on(monkeypatch, at_once):
    f = in_pieces(60, monkeypatch, Clock(1.0, 2.0))
    assert f.stats()["eager_calls"] == trials.TURNS
    assert f.stats()["co_executions"] == 60 - 1 - trials.TURNS
    assert "slower" not in f.explain(df.tensor([1.0]))


def test_one_eager_call_that_takes_far_longer_ends_the_trial(monkeypatch, at_once):
    f = in_pieces(60, monkeypatch, Clock(1.0, 3.5))
    assert f.stats()["eager_calls"] == 1


def test_calls_that_wait_for_the_compiler_are_not_judged(monkeypatch, interpreted):
    f = in_pieces(60, monkeypatch, Clock(2.0, 1.0))
    assert f.stats()["co_executions"] == 59
    assert f.stats()["operations_fused"] == 0
    assert "slower" not in f.explain(df.tensor([1.0]))


def test_a_verdict_on_co_executions_is_asked_again(monkeypatch, at_once):
    monkeypatch.setattr(trials, "AGAIN", 30)
    clock = Clock(2.0, 1.0)
    f = in_pieces(60, monkeypatch, clock)
    judged = f.stats()["co_executions"]
    assert judged == 20 + trials.TURNS
    clock.pieces = 0.5
    for _ in range(60):
        f(df.tensor([1.0]))
    assert "slower" not in f.explain(df.tensor([1.0]))
    assert f.stats()["co_executions"] > judged + trials.TURNS


def test_with_wait_co_executions_are_not_timed(monkeypatch):
    f = in_pieces(60, monkeypatch, Clock(2.0, 1.0), wait=True)
    assert f.stats()["eager_calls"] == 0
