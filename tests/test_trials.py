"""Paths whose replays are slower than Python run as they are from then on, and are right."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow.capture import trials


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
