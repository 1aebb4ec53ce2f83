"""Guards that stand for many reads, and reads that are remembered: what changes later is seen."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from weakref import ref

import numpy as np
import pytest

import dualflow as df
from dualflow.capture.emit import MISS

GAIN = 2.0


class Settings:
    """Attributes of instances, read one after the other."""

    def __init__(self):
        self.a, self.b, self.c = 1.0, 2.0, 3.0


def x():
    return df.asarray(np.arange(4, dtype=np.float32))


def replayed(compiled, *arguments):
    """What a call gives, and whether it was replayed."""
    before = compiled.stats()["replays"]
    out = compiled(*arguments)
    return out.tolist(), compiled.stats()["replays"] > before


def test_a_property_that_hides_one_of_many_attributes_is_seen():
    class Mine(Settings):
        pass

    def f(x, o):
        return x * o.a + o.b + o.c

    compiled, o = df.compile(f, wait=True), Mine()
    compiled(x(), o)
    assert replayed(compiled, x(), o) == (f(x(), o).tolist(), True)
    assert ".isdisjoint(" in compiled.report().guards
    asked = []
    Mine.b = property(lambda self: asked.append(1) or 50.0, lambda self, value: None)
    found, again = replayed(compiled, x(), o)
    assert (found, again) == ((x() * 1.0 + 50.0 + 3.0).tolist(), False)
    assert len(asked) == 1, "guards do not run the property"
    del Mine.b
    assert replayed(compiled, x(), o) == (f(x(), o).tolist(), True)


def test_a_global_that_hides_a_built_in_function_is_seen(monkeypatch):
    def f(x, values):
        return x * len(values) + len(values)

    compiled = df.compile(f, wait=True)
    compiled(x(), [1, 2])
    assert replayed(compiled, x(), [1, 2]) == (f(x(), [1, 2]).tolist(), True)
    monkeypatch.setitem(globals(), "len", lambda values: 10)
    assert replayed(compiled, x(), [1, 2]) == ((x() * 10 + 10).tolist(), False)


def test_a_global_that_the_call_stores_is_read_anew():
    def f(x):
        global GAIN
        first = x * GAIN
        GAIN = GAIN + 1.0
        return first + GAIN

    compiled = df.compile(f, wait=True)
    wanted = [(x() * gain + (gain + 1.0)).tolist() for gain in (2.0, 3.0, 4.0)]
    assert [compiled(x()).tolist() for _ in range(3)] == wanted
    assert compiled.stats()["replays"] == 2


def test_an_attribute_that_the_call_stores_is_read_anew():
    def f(x, o):
        first = x * o.a
        o.a = o.a * 2.0
        return first + o.a

    compiled, o = df.compile(f, wait=True), Settings()
    wanted = [(x() * a + a * 2.0).tolist() for a in (1.0, 2.0, 4.0)]
    assert [compiled(x(), o).tolist() for _ in range(3)] == wanted
    assert compiled.stats()["replays"] == 2
    assert o.a == 8.0


def test_another_handle_of_an_argument_s_memory_is_one_input():
    def f(a, b):
        a += 1.0
        return a * b

    compiled = df.compile(f, wait=True)
    for _ in range(3):
        one, other = x(), x()
        assert compiled(one, one).tolist() == f(other, other).tolist()
        assert one.tolist() == other.tolist()
    assert compiled.stats()["replays"] == 2


class Held:
    """A tensor that is another one in each call."""

    tensor = df.asarray(np.zeros(4, dtype=np.float32))


@contextmanager
def handing():
    yield Held.tensor


def by_loop(x):
    y = x * 2
    for y in (x, Held.tensor):  # noqa: B007
        pass
    return y + 1


def by_with(x):
    y = x * 2
    with handing() as y:  # noqa: F811
        z = y * 3
    return z + y


def by_unpacking(x):
    y = x * 2
    (y, *rest) = (Held.tensor, x, x)
    return y * rest[0]


def by_inner(x):
    y = x * 2

    def change():
        nonlocal y
        y = Held.tensor

    change()
    return y + x


def by_match(x):
    y = x * 2
    match (x, Held.tensor):
        case (_, y):
            pass
    return y + x


def by_comprehension(x):
    y = x * 2
    return sum([y * x for y in (Held.tensor, x)]) + y


def by_walrus(x):
    y = x * 2
    return (y := Held.tensor) + x * y


@pytest.mark.parametrize("f", [by_loop, by_with, by_unpacking, by_inner, by_match,
                               by_comprehension, by_walrus])  # fmt: skip
def test_a_variable_of_a_tensor_made_here_that_takes_one_from_outside(f):
    compiled = df.compile(f, wait=True)
    for i in range(4):
        Held.tensor = x() + float(i)
        assert compiled(x() * i).tolist() == f(x() * i).tolist()
    assert compiled.stats()["replays"] == 3


def test_a_new_size_leaves_the_guards_of_others_uncompiled():
    compiled = df.compile(lambda x, y: df.exp(x) * 2.0 + y, wait=True)
    sizes = range(3, 9)
    for size in sizes:
        compiled(df.ones(size), df.ones(1))
    blocks = [alternative.block for alternative in compiled._root.alternatives]
    assert [block.arguments[0][:2] for block in blocks] == [(0, (size,)) for size in sizes]
    assert not any(block.words is None for block in blocks)  # their text is not even written
    assert replayed(compiled, df.zeros(5), df.ones(1)) == ([3.0] * 5, True)
    assert [block.words is None for block in blocks] == [size == 5 for size in sizes]
    assert compiled.stats()["recordings"] == len(sizes)


def test_what_guards_refer_to_may_die_before_they_are_written():
    class First(Settings):
        pass

    class Second(Settings):
        pass

    compiled = df.compile(lambda x, o: x * o.a + o.b, wait=True)
    compiled(x(), First())
    (block,) = (alternative.block for alternative in compiled._root.alternatives)
    died = ref(First)
    del First
    gc.collect()
    assert block.words is not None
    assert died() is None, "guards keep nothing alive that they compare with"
    assert block.call((x(), Second()), {}, {}, {}, True) is MISS
    assert replayed(compiled, x(), Second()) == ([2.0, 3.0, 4.0, 5.0], False)
    assert replayed(compiled, x(), Second()) == ([2.0, 3.0, 4.0, 5.0], True)


def test_a_function_that_is_called_again_and_again_has_frames_of_its_own():
    def deep(x, n):
        y = x * n
        return y if n == 0 else deep(y + 1.0, n - 1) + y

    def f(x, n):
        found = [deep(x, n) for _ in range(2)]
        try:
            deep(x, "three")
        except TypeError:
            found.append(deep(x + 1.0, n))
        return found[0] + found[1] * found[2]

    compiled = df.compile(f, wait=True)
    for n in (3, 3, 2, 2):
        assert compiled(x(), n).tolist() == f(x(), n).tolist()
    assert compiled.stats()["replays"] == 2, compiled.explain()
