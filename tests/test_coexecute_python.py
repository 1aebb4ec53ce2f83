"""Co-execution with handles, finalizers, generators, threads and indices around it."""

import gc
import threading
import weakref

import numpy as np
import pytest
from coexecute_base import Env, both, square

from dualflow.array import asarray, tensor
from dualflow.base.errors import (
    IndexingError,
)
from dualflow.capture.coexecution import segments
from dualflow.capture.coexecution.coexecute import coexecute, settle
from dualflow.capture.coexecution.segments import Segments
from dualflow.ops import door
from dualflow.ops import primitives as p


def test_a_dropped_handle_dies_at_once(interpreted):
    def function(env):
        h = env.w * 2.0
        died = weakref.ref(h)
        env.log.append(died() is None)
        k = h + env.w
        env.log.append(died() is None)
        del h
        env.log.append(died() is None)
        return k

    both(lambda: Env(w=square()), function)


def test_operations_in_finalizers(interpreted):
    def function(env):
        h = env.w * 2.0
        watcher = weakref.ref(h, lambda _: env.log.append((env.w * 5.0).sum().item()))
        k = h + env.w
        del h
        assert watcher() is None
        return k * 2.0

    both(lambda: Env(w=square()), function)


class Cycle:
    """Garbage whose finalizer runs operations, at any allocation."""

    def __init__(self, env):
        self.env, self.me = env, self

    def __del__(self):
        self.env.log.append((self.env.w * 5.0).sum().item())


def test_operations_in_the_garbage_collector(interpreted):
    def function(env):
        Cycle(env)
        before = gc.get_threshold()
        gc.set_threshold(1)
        try:
            h = env.w * 2.0
            for _ in range(20):
                h = h + env.w
                Cycle(env)
        finally:
            gc.set_threshold(*before)
        return h

    env, found = Env(w=square()), Segments()
    expected = (square() * 22.0).tolist()
    for _ in range(4):
        result = coexecute(found, lambda: function(env))
        np.testing.assert_allclose(result.numpy(), expected)
    gc.collect()
    assert len(env.log) == 84
    assert set(env.log) == {(square() * 5.0).sum().item()}


def test_nested_calls_recursion_and_generators(interpreted):
    def halve(t):
        return coexecute(inner, lambda: t * 0.5)

    def sum_down(t, n):
        return t if n == 0 else coexecute(inner, lambda: sum_down(t + 1.0, n - 1))

    inner = Segments()

    def stream(t):
        while True:
            t = t * 2.0
            yield t

    def function(env):
        if not env.kept:
            env.kept.append(stream(env.w))
        return halve(sum_down(env.w, 3)) + next(env.kept[0])

    found = both(lambda: Env(w=square()), function)
    assert found.stats.segments == 4
    inner = Segments()
    coexecute(found, lambda: function(Env(w=square())))
    assert inner.stats.segments == 0  # their operations joined the outer segments
    assert found.stats.segments == 5


def test_a_function_in_two_threads():
    found = Segments()
    results = {}

    def work(name):
        w = square() + float(name)
        results[name] = [coexecute(found, lambda: step(w)).tolist() for _ in range(50)]

    def step(w):
        h = p.tanh.of(w * 0.5)
        w += h * 0.1
        return (h * w).sum()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in range(3):
        w = square() + float(name)
        np.testing.assert_allclose(results[name], [step(w).tolist() for _ in range(50)], rtol=1e-12)


def test_another_thread_sees_pending_values_and_writes(interpreted):
    def function(env):
        h = env.w * 2.0
        env.w[0] += 1.0
        h[1] = 4.0

        def look():
            env.log.append((env.w * 1.0).tolist())
            env.log.append((h + 1.0).tolist())
            env.w[2] = 0.5
            h[2] = 0.25

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return h + env.w

    both(lambda: Env(w=square()), function)


def test_eager_writes_of_another_thread_do_not_reach_pending_reads(interpreted):
    def function(env):
        h = env.w * 2.0
        thread = threading.Thread(target=lambda: env.w.__setitem__(0, 5.0))
        thread.start()
        thread.join()
        return h + env.w

    both(lambda: Env(w=square()), function)


def test_settle_makes_memory_right():
    w = square()

    def function():
        w[0] = 1.0
        settle()
        return w._array[0].tolist()

    assert coexecute(Segments(), function) == [1.0, 1.0, 1.0]
    settle()  # elsewhere it does nothing


class Counter:
    """A random generator as `door.state.mode.draw` wants it."""

    def __init__(self):
        self.key, self.counter = 5, 0


def indices():
    return Env(x=square(), at=tensor(np.array([2, 0, -1])), log=[])


@pytest.mark.parametrize("written", [False, True])
def test_look_ups_at_indices_at_hand_are_deferred(written):
    def function(env):
        h = env.x * 2.0
        y = p.take(h, env.at, axis=0) + 1.0
        if written:
            env.at[0] = (env.at[0] + 1) % 3  # what was looked up stays that
        z = p.scatter_add(h, asarray(np.array([[0, 1, 1]])), h[:1], axis=0)
        env.x += y.sum()
        return z

    found = both(indices, function, exact=False)
    assert not any("may raise" in cause for _, cause in found.stats.syncs)


@pytest.mark.parametrize("outside", [3, -4])
def test_indices_out_of_bounds_raise_at_their_line(outside):
    def function(env):
        h = env.x * 2.0
        env.at[env.count % 3] = outside if env.count == 2 else 1
        env.count += 1
        try:
            return p.take(h, env.at, axis=0) * 3.0
        except IndexingError as error:
            return h.sum() + len(str(error))

    both(indices, function, exact=False)


def test_indices_that_are_pending_are_waited_for(interpreted):
    def function(env):
        at = env.at * env.at - 3
        return p.take(env.x * 2.0, at, axis=0)

    found = both(indices, function)
    assert any("take may raise" in cause for _, cause in found.stats.syncs)


def test_draws_take_their_counter_when_called(interpreted):
    def function(env):
        a = p.random_bits(door.state.mode.draw(env.generator), shape=(4,))
        env.generator.counter += 10
        b = p.random_bits(door.state.mode.draw(env.generator), shape=(4,))
        return a - b

    both(lambda: Env(generator=Counter()), function)


def test_a_long_stretch_is_cut(interpreted):
    def function(env):
        x = env.w
        for _ in range(5000):
            x = x + 0.5
        return x

    found = both(lambda: Env(w=square()), function, calls=2)
    assert found.stats.segments == 4


def test_steps_are_forgotten_when_there_are_too_many(interpreted, monkeypatch):
    monkeypatch.setattr(segments, "MOST_STEPS", 50)

    def function(env):
        env.count += 1
        return env.w.reshape((1,) * env.count + (3, 3)).sum() * 2.0

    found = both(lambda: Env(w=square()), function, calls=40)
    assert found.steps <= 60
