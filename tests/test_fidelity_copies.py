"""Copies, and results that functions keep."""

# ruff: noqa: B019 - the programs are what users write

import copy
import dataclasses
import datetime
import enum
import functools
import math
from typing import Any

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


@dataclasses.dataclass
class Box:
    value: Any


def copies(compile, see):
    class State:
        def __init__(self):
            self.w = tensor(1.0, 2.0)
            self.cfg = {"lr": 0.5, "tags": ["a"]}
            self.me = self

    state = State()

    @compile
    def f(g):
        shallow = copy.copy(state)
        shallow.w = shallow.w - shallow.cfg["lr"] * g
        deep = copy.deepcopy(state)
        deep.cfg["tags"].append("b")
        pair = [g, {"a": (g, 1), "b": (1, 2)}]
        again, flat = copy.deepcopy(pair), copy.copy(pair)
        same = deep.me is deep, deep.w is state.w, again[0] is again[1]["a"][0], flat[0] is g
        return shallow.w, deep.w, deep.cfg, same, again[1]["b"] is pair[1]["b"], again

    for i in range(6):
        see(f, tensor(1.0, float(i)))
        if i == 2:
            state.cfg["more"] = 1
        if i == 3:
            state.extra = 2
    see.that(state.cfg)


def copies_of_other_kinds(compile, see):
    @compile
    def f(x, v):
        return x * 2, copy.deepcopy(v), copy.copy(v)

    for v in (1, 1, 1, [1], [1], {1: 2}, 1.5, [[1], 2], [1, [2]], [1, 2], [1, 2], [1, [3]]):
        see(f, tensor(*X), v)


def copies_keep_aliases(compile, see):
    @compile
    def f(items):
        made = copy.deepcopy(items)
        return made, made[0] is made[1]

    for a, b in ((tensor(*X), tensor(*X)), ([1], [1]), (Box(1), Box(1))):
        for items in ([a, b], [a, b], [a, b], [a, a], [a, a], [a, b]):
            see(f, items)


class Own(enum.Enum):
    A = 1

    def __deepcopy__(self, memo) -> Any:
        return 5


def copies_of_what_does_not_change(compile, see):
    @compile
    def f(x, v):
        try:
            return x * 2, copy.deepcopy(v) is v, copy.copy(v) is v
        except TypeError as error:
            return x, str(error)

    day = datetime.date(2020, 1, 1)
    for v in (1.5, len, frozenset({1}), slice(1, 2), math, day, df.float32, Own.A, (1, (2,))):
        for _ in range(3):
            see(f, tensor(*X), v)


def copied_as_an_instance_says(compile, see):
    @compile
    def f(x, box, deep):
        made = copy.deepcopy(box) if deep else copy.copy(box)
        return x * 2, made.value, made is box

    for deep in (True, False):
        box: Any = Box(1)
        for name, value in (
            ("__deepcopy__", lambda memo, box=box: box),
            ("__reduce_ex__", lambda n: (Box, (7,))),
        ):
            for _ in range(3):
                see(f, tensor(*X), box, deep)
            setattr(box, name, value)
            for _ in range(2):
                see(f, tensor(*X), box, deep)
            delattr(box, name)


def cached_functions(compile, see):
    @functools.lru_cache(maxsize=4)
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    @functools.cache
    def table(n):
        return [1 / (i + 1) for i in range(n)]

    class Scale:
        @functools.lru_cache
        def of(self, k):
            return k * 2.0

    scale = Scale()

    @compile
    def f(x, n):
        return (
            x * fib(n) + sum(table(n)) * scale.of(n),
            table.cache_info(),
            fib.cache_info().maxsize,
        )

    for n in (2, 3, 2, 3, 2, 3, 7, 2, 7, 2, 7, 2):
        see(f, tensor(*X), n)
        see.that([fib.cache_info()[:], table.cache_info()[:], Scale.of.cache_info()[:]])
    table.cache_clear()
    see(f, tensor(*X), 2)
    see(f, tensor(*X), 2)
    see.that(table.cache_info()[:])


def functions_that_count(compile, see):
    def times(k):
        def decorate(fn):
            @functools.wraps(fn)
            def wrapper(*args, **kwargs):
                wrapper.calls += 1
                return fn(*args, **kwargs) * k

            wrapper.calls = 0
            return wrapper

        return decorate

    @times(3)
    def base(x, b=0):
        return x + b

    @compile
    def f(x, b):
        return base(x, b=b), base.calls, base.__name__

    for b in (1, 2, 1, 2):
        see(f, tensor(*X), b)
    see.that(base.calls)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
