"""Control-C at any line of a compiled call: what it leaves behind works on, and nobody waits."""

from __future__ import annotations

import gc
import os
import signal
import time

import numpy as np
import pytest

import dualflow as df
from dualflow import pipeline
from dualflow.array.eager import EagerMode
from dualflow.base import collection
from dualflow.capture import blocks
from dualflow.capture.alarm import Alarm
from dualflow.capture.coexecution.execution import Execution
from dualflow.capture.coexecution.pending import Watch
from dualflow.capture.coexecution.run import Run
from dualflow.capture.reasons import Reason
from dualflow.ops import door
from dualflow.runtime import builds, helper
from dualflow.runtime.behind import Behind


def interrupted(function, times=1):
    """`function`, at whose end an interrupt comes, so often."""
    left = [times]

    def run(*args, **kwargs):
        out = function(*args, **kwargs)
        if left[0]:
            left[0] -= 1
            raise KeyboardInterrupt
        return out

    return run


def test_as_a_recording_begins(monkeypatch):
    fast = df.compile(lambda x: x * 2 + 1, wait=True)
    x = df.tensor([1.0, 2.0])
    monkeypatch.setattr(Alarm, "start", interrupted(Alarm.start))
    with pytest.raises(KeyboardInterrupt):
        fast(x)
    assert type(door.state.mode) is EagerMode
    assert fast(x).tolist() == fast(x).tolist() == [3.0, 5.0]
    assert fast.stats()["replays"] == 1


def test_as_collections_are_put_off(monkeypatch):
    monkeypatch.setattr(collection.gc, "disable", interrupted(gc.disable))
    with pytest.raises(KeyboardInterrupt):
        collection.put_off(int)()
    assert gc.isenabled()


def test_before_a_write_is_noted(monkeypatch):
    def step(x, y):
        x += 1
        y += x
        return y

    fast = df.compile(step, wait=True)
    fast._stop = Reason("only co-execution is under test", None)
    x, y = df.tensor([1.0, 2.0]), df.tensor([5.0, 5.0])
    monkeypatch.setattr(Run, "_put", interrupted(Run._put))
    with pytest.raises(KeyboardInterrupt):
        fast(x, y)
    assert (x.tolist(), y.tolist()) == ([1.0, 2.0], [5.0, 5.0])
    assert fast(x, y).tolist() == [7.0, 8.0]
    assert fast.stats()["co_executions"] == 2


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Execution, "_results"),
        (Execution, "_store"),
        (Run, "close"),
        (Run, "commit"),
        (Watch, "changing"),
    ],
)
def test_while_a_segment_runs(monkeypatch, owner, name, later):
    made = []

    def step(x):
        y = x * 3
        made.append(y)
        x += 1
        float(x[0])
        made.append(x + y)

    fast = df.compile(step, wait=True)
    fast._stop = Reason("only co-execution is under test", None)
    x = df.tensor([1.0, 2.0])
    before = 3 * later  # once it is known what is used later
    for _ in range(before):
        fast(x)
    start, count = x.numpy().copy(), len(made)
    monkeypatch.setattr(owner, name, interrupted(getattr(owner, name)))
    with pytest.raises(KeyboardInterrupt):
        fast(x)
    assert fast.stats()["co_executions"] == before + 1
    assert np.array_equal(x.numpy(), start + 1)
    assert np.array_equal(made[count].numpy(), start * 3)
    assert len(made) == count + 1  # where a value was asked for
    fast(x)
    assert np.array_equal(x.numpy(), start + 2)


@pytest.fixture
def nothing_kept(monkeypatch):
    """No disk cache, nothing in memory, and a helper that may start at once."""
    builds.forget()
    blocks._compilations.clear()
    monkeypatch.setattr(helper, "_PAUSE", 0.0)
    with df.config(cache=None):
        yield


def replayed(function, x, wanted):
    """Call until a call is replayed, all of which are right."""
    end = time.monotonic() + 60
    while not function.stats()["replays"]:
        assert time.monotonic() < end, function.explain()
        assert np.allclose(function(x).numpy(), wanted, rtol=1e-6)
        time.sleep(0.01)


def until_interrupted(function, x):
    """Call until an interrupt comes."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            function(x)
        except KeyboardInterrupt:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.skipif(os.name != "posix", reason="there is no helper")
@pytest.mark.parametrize(
    ("owner", "name"), [(os, "write"), (os, "read"), (Behind, "_taken"), (pipeline, "on_cpu")]
)
def test_while_the_helper_is_asked(nothing_kept, monkeypatch, owner, name):
    helper.begin()
    fast = df.compile(lambda x: df.tanh(x) * 3 - len(name))
    x = df.tensor([1.0, 2.0])
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted(getattr(owner, name)))
        assert until_interrupted(fast, x)
    replayed(fast, x, np.tanh(x.numpy()) * 3 - len(name))
    other = df.compile(lambda x: df.tanh(x) * 5 - len(name))
    replayed(other, x, np.tanh(x.numpy()) * 5 - len(name))


class LateError(Exception):
    pass


def late(*_):
    raise LateError


@pytest.fixture
def timeout():
    """What a timeout does: a signal whose handler raises."""
    before = signal.signal(signal.SIGUSR1, late)
    yield lambda *_: signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def beginning(function, first):
    """`function`, at whose beginning something else is called."""

    def run(*args, **kwargs):
        first()
        return function(*args, **kwargs)

    return run


@pytest.mark.parametrize("way", ["replay", "co-execute"])
def test_a_timeout_in_a_compiler_is_no_failure_of_it(monkeypatch, timeout, way):
    fast = df.compile(lambda x: x * 2 + 1, wait=True)
    if way == "co-execute":
        fast._stop = Reason("only co-execution is under test", None)
    x, errors = df.tensor([1.0, 2.0]), df.stats()["compiler_errors"]
    with monkeypatch.context() as patched:
        for module in (blocks, pipeline):
            made = beginning(module.compile_graph, timeout)
            patched.setattr(module, "compile_graph", made)
        with pytest.raises(LateError):
            fast(x)
    for _ in range(2):
        assert fast(x).tolist() == [3.0, 5.0]
    assert df.stats()["compiler_errors"] == errors


def test_a_timeout_in_a_guard_or_a_program_is_no_answer(timeout):
    fast = df.compile(lambda x: x * 2 + 1, wait=True)
    x = df.tensor([1.0, 2.0])
    for _ in range(2):
        fast(x)
    (alternative,) = fast._root.alternatives
    namespace = alternative.block.call.__globals__
    for name in ("settings", "run"):
        before = namespace[name]
        namespace[name] = beginning(before, timeout)
        fast._whole = None
        with pytest.raises(LateError):
            fast(x)
        namespace[name] = before
    assert fast(x).tolist() == [3.0, 5.0]
    assert fast.stats()["recordings"] == 1
