"""Functions that one statement keeps from replay: what stands before it or after it is replayed."""

from __future__ import annotations

import inspect
import sys
import threading
import traceback
import weakref
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.capture import halves

X = df.asarray([1.0, -2.0, 3.0, 0.5])
LOG: list[Any] = []


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Halves are made after few calls, and taken whatever they cost."""
    for name, value in (("LONG", -1.0), ("MARGIN", 1e9), ("TURNS", 1), ("WAITED", 2)):
        monkeypatch.setattr(halves, name, value)
    LOG.clear()


def look() -> int:
    """What no replay can do."""
    return sys._getframe(1).f_lineno


def equal(a, b):
    return np.array_equal(a.numpy(), b.numpy())


def settled(f, *args, **kwargs):
    """`f` compiled, after so many calls that it runs in halves."""
    fast = df.compile(f, wait=True)
    for _ in range(14):
        fast(*args, **kwargs)
    return fast


def parts(fast):
    """How the halves of the last call ran; None if it ran whole."""
    reason = fast._last[1]
    assert fast.way == "co-execute"
    both = reason.halves._halves if reason.halves is not None and reason.halves.chosen else None
    return None if both is None else tuple(half.way for half in both)


def before(x, scale=2.0):
    y = x * scale
    z = df.sum(y) + 1.0
    LOG.append("before")
    LOG.append(look())
    return y * z


def after(x, scale=2.0):
    line = look()
    y = x * scale
    LOG.append(line)
    return df.sum(y * y) + line


def early(x, stop):
    if stop:
        return x + 1.0
    y = x * 3.0
    look()
    return y


@pytest.mark.parametrize(("f", "args", "ways"), [
    (before, (X,), ("replay", "co-execute")), (after, (X,), ("co-execute", "replay")),
    (before, (X, 3.0), ("replay", "co-execute")), (early, (X, False), ("replay", "co-execute")),
])  # fmt: skip
def test_what_can_be_replayed_is(f, args, ways):
    fast = settled(f, *args)
    LOG.clear()
    got, did = fast(*args), list(LOG)
    LOG.clear()
    wanted = f(*args)
    assert parts(fast) == ways
    assert equal(got, wanted)
    assert did == LOG
    assert fast.stats()["replays"] == 0
    assert "is compiled by itself" in fast.explain()
    assert "graph" in fast.explain()


def test_a_first_half_that_returns():
    fast = settled(early, X, False)
    assert parts(fast) == ("replay", "co-execute")
    for _ in range(3):
        assert equal(fast(X, True), X + 1.0)
        assert equal(fast(X, False), X * 3.0)


def test_other_arguments_and_defaults(monkeypatch):
    def f(x, a=2.0, *rest, b=1.0, **more):
        y = x * a + b + sum(rest)
        look()
        return y - len(more)

    fast = settled(f, X)
    assert parts(fast) == ("replay", "co-execute")
    for args, kwargs in (((X, 4.0), {}), ((X, 4.0, 1.0, 2.0), {"b": 3.0}), ((X,), {"c": 1})):
        assert equal(fast(*args, **kwargs), f(*args, **kwargs))
    f.__defaults__ = (5.0,)
    assert equal(fast(X), X * 5.0 + 1.0)
    with pytest.raises(TypeError, match=r"f\(\) missing 1 required positional argument: 'x'"):
        fast()


def test_code_that_is_replaced():
    def f(x):
        y = x * 2.0
        look()
        return y

    def g(x):
        y = x * 5.0
        look()
        return y

    fast = settled(f, X)
    assert parts(fast) == ("replay", "co-execute")
    f.__code__ = g.__code__
    assert equal(fast(X), X * 5.0)


def test_errors_of_both_halves():
    def f(x, n):
        y = x * (1.0 / n)
        LOG.append(n)
        look()
        z = y * 2.0
        if n == 2:
            raise KeyError(n)
        return z

    fast = settled(f, X, 1)
    assert parts(fast) == ("replay", "co-execute")
    for n, kind in ((0, ZeroDivisionError), (2, KeyError)):
        told = []
        for call in (f, fast):
            LOG.clear()
            with pytest.raises(kind) as caught:
                call(X, n)
            own = [frame for frame in traceback.extract_tb(caught.tb) if frame.name == "f"]
            told.append((str(caught.value), own[-1].lineno, own[-1].filename, list(LOG)))
        assert told[0] == told[1]


def test_methods_closures_and_state():
    factor = 2.0

    class Model:
        def __init__(self):
            self.count, self.w = 0, df.asarray([1.0, 2.0, 3.0, 4.0])

        def step(self, x):
            self.count += 1
            self.w -= 0.5 * x
            y = self.w * factor
            look()
            self.last = y
            return y + self.count

    one, two = Model(), Model()
    fast = df.compile(one.step, wait=True)
    for i in range(12):
        if i == 10:
            factor = 3.0
        assert equal(fast(X), two.step(X))
        assert one.count == two.count
        assert equal(one.last, two.last)
    assert parts(fast) == ("replay", "co-execute")


def test_gradients_go_through_both_halves():
    def f(x):
        y = df.exp(x) * 2.0
        look()
        return df.sum(y * y)

    fast = settled(f, X)
    assert parts(fast) is not None
    for call in (f, fast):
        x = df.tensor([1.0, -2.0, 3.0, 0.5], requires_grad=True)
        call(x).backward()
        LOG.append(x.grad)
    assert np.allclose(LOG[0].numpy(), LOG[1].numpy())


def test_halves_of_halves():
    def f(x):
        a = x * 2.0
        look()
        b = a + 1.0
        look()
        return b * a

    fast = settled(f, X)
    for _ in range(20):
        assert equal(fast(X), f(X))
    rest = fast._last[1].halves._halves[1]
    assert parts(fast) == ("replay", "co-execute")
    assert parts(rest) == ("co-execute", "co-execute")
    assert parts(rest._last[1].halves._halves[1]) == ("replay", "co-execute")


def comprehension(x):
    scale = 2.0
    y = x * scale
    look()
    return [(lambda v: v * scale)(y) for _ in range(2)]


def unbound(x):
    for i in range(0 if x.ndim else 1):
        y = x * i
    look()
    return y


def early_read(x):
    y = x * 2.0
    if x.ndim > 1:
        y = y + COUNT_OF  # noqa: F823
    look()
    COUNT_OF = 3.0  # noqa: N806
    return y * COUNT_OF


COUNT_OF = 1.0  # another one: that of the function has no value yet


def seen(x):
    y = x * 2.0
    look()
    return sorted(locals())


def taken_away(x):
    y = x * 2.0
    look()
    del y
    return x


def counted(x):
    global COUNT
    COUNT = COUNT + 1
    look()
    return x * 2.0


def read_between(x):
    for i in range(x.ndim):
        if i > 0:
            x = x * y  # noqa: F821
        y = x + i  # noqa: F841
    look()
    return x


def within_an_index(x):
    x[0 if x.ndim else (z := 1)] = 2.0
    look()
    return x * z


def alone(x):
    return x * look()


COUNT = 0


@pytest.mark.parametrize(
    "f",
    [
        comprehension,
        unbound,
        early_read,
        seen,
        taken_away,
        counted,
        alone,
        read_between,
        within_an_index,
    ],
)
def test_what_is_not_cut(f):
    lines, start = inspect.getsourcelines(f)
    (at,) = [n for n, line in enumerate(lines, start) if "look()" in line]
    assert halves.halved(f, at) is None


def test_generators_are_not_cut():
    def f(x):
        y = x * 2.0
        look()
        yield y

    assert halves.halved(f, f.__code__.co_firstlineno + 2) is None


class Held:
    """An object that a test sees die."""

    def __init__(self, n=0):
        self.n = n


class Told(Held):
    def __del__(self):
        LOG.append(self.n)


def cut_before_look(f):
    lines, start = inspect.getsourcelines(f)
    (at,) = [n for n, line in enumerate(lines, start) if "look()" in line]
    made = halves.halved(f, at)
    assert made is not None
    return made


def test_what_variables_hold_lives_as_long():
    def f(x, given):
        held = given.pop()  # noqa: F841
        y = x * 2.0
        look()
        LOG.append("rest")
        return y

    first, rest = cut_before_look(f)
    over, *values = first(X, [Told("dead")])
    LOG.append("between")
    assert not over
    assert equal(rest(values), X * 2.0)
    assert " ".join(map(str, LOG)) == "between rest dead"


def test_what_variables_hold_lives_no_longer():
    def f(x, given):
        held = given.pop()
        y = x * 2.0
        look()
        r = weakref.ref(held)
        held = None
        LOG.append(r() is None)
        return y

    first, rest = cut_before_look(f)
    over, *values = first(X, [Held()])
    assert not over
    assert equal(rest(values), X * 2.0)
    assert list(map(str, LOG)) == ["True"]


def test_a_variable_of_one_branch_lives_as_long():
    def f(x, n):
        if n > 10:
            held = Told(n)  # noqa: F841
        y = x * 2.0
        look()
        LOG.append("rest")
        return y

    fast = df.compile(f, wait=True)
    for n in range(16):
        LOG.clear()
        assert equal(fast(X, n), X * 2.0)
        assert [*LOG, n][:2] == ["rest", n]
        assert len(LOG) == 1 + (n > 10)
        if n == 10:
            assert parts(fast) == ("replay", "co-execute")


def test_variables_of_branches_and_loops():
    def f(x, n):
        values = None
        for part in (1.0, 2.0)[:n]:
            y = x * part
            values = y + part
        if n:
            z = x
        else:
            z = x + 1.0
        look()
        return z * 2.0 if values is None else values + z

    fast = settled(f, X, 2)
    assert parts(fast) == ("replay", "co-execute")
    for n in (0, 1, 2, 0, 1, 2, 0):
        assert equal(fast(X, n), f(X, n))


def test_slower_halves_are_left(monkeypatch):
    monkeypatch.setattr(halves, "MARGIN", 0.0)
    fast = settled(before, X)
    assert parts(fast) is None
    assert fast._last[1].halves.chosen is False
    monkeypatch.setattr(halves, "MARGIN", 1e9)
    monkeypatch.setattr(halves, "LONG", 1e9)
    fast = settled(after, X)
    assert parts(fast) is None


def test_comprehensions_have_variables_of_their_own():
    def f(xs):
        ys = [x * 2.0 for x in xs]
        look()
        return sum(x.sum() for x in ys)

    fast = settled(f, [X, X])
    assert parts(fast) == ("replay", "co-execute")
    assert equal(fast([X, X]), f([X, X]))


def test_threads_and_recursion():
    def f(x, n):
        y = x * 2.0
        look()
        return y if n == 0 else fast(y, n - 1)

    fast = df.compile(f, wait=True)
    for _ in range(14):
        assert equal(fast(X, 2), X * 8.0)
    found: list[bool] = []

    def work():
        found.extend(equal(fast(X, 1), X * 4.0) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 150


def test_defaults_replaced_more_than_once():
    """Halves hold the defaults that they were made with: with others, none of them runs."""

    def f(x, scale=(2.0,)):
        y = x * scale[0]
        look()
        return y

    fast = settled(f, X)
    assert parts(fast) == ("replay", "co-execute")
    for n in range(50):
        f.__defaults__ = (([float(n)]),)
        assert equal(fast(X), X * float(n))
