"""What a recording holds: a loop of many steps lets go of what each step made."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import dualflow as df

STEPS = 120


class Pair(NamedTuple):
    u: Any
    v: Any


@dataclass
class State:
    u: Any
    v: Any


def lists(u):
    for _ in range(STEPS):
        u = df.concat([u[:1], u[1:-1] * 0.5, u[-1:]])
    return u


def tuples(u):
    def step(u, v):
        return u * 0.5 + v, v * 0.9

    v = u
    for _ in range(STEPS):
        u, v = step(u, v)
    return u


def named_tuples(u):
    pair = Pair(u, u)
    for _ in range(STEPS):
        pair = Pair(pair.u * 0.5 + pair.v, pair.v * 0.9)
    return pair.u


def dicts(u):
    state = {"u": u, "v": u}
    for _ in range(STEPS):
        state = {"u": state["u"] * 0.5 + state["v"], "v": state["v"] * 0.9}
    return state["u"]


def objects(u):
    state = State(u, u)
    for _ in range(STEPS):
        state = State(state.u * 0.5 + state.v, state.v * 0.9)
    return state.u


@pytest.mark.parametrize("loop", [lists, tuples, named_tuples, dicts, objects])
def test_a_recording_holds_no_array_of_earlier_steps(loop):
    u = df.asarray(np.ones(50_000, np.float32))
    each = u.array.nbytes
    wanted = loop(u).numpy()
    compiled = df.compile(loop, wait=True)
    tracemalloc.start()
    try:
        found = compiled(u).numpy()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found, wanted)
    assert peak < 60 * each  # two arrays a step would be 240 of them
    np.testing.assert_allclose(compiled(u + 1.0).numpy(), loop(u + 1.0).numpy(), 1e-6)
    assert compiled.stats()["replays"] == 1


def test_what_dies_and_what_takes_its_place_are_told_apart():
    """Objects at addresses where others were, known by other paths."""

    def f(x, scale, names):
        kept, total = [], 0.0
        for i in range(STEPS):
            part = [scale, i] if i % 2 else (i, scale)
            total = total + part[0] * part[1]
            made = defaultdict(list)
            made[names[i % 3]].append(part)
            if i % 40 == 0:
                kept.append({"part": part, "made": made})
        return x * total, [(k["part"][1], list(k["made"])) for k in kept]

    x, names = df.ones(3), ["a", "b", "c"]
    compiled = df.compile(f, wait=True)
    for scale in (2.0, 3.0, -1.5):
        (found, kept), (wanted, others) = compiled(x, scale, names), f(x, scale, names)
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())
        assert kept == others
    assert compiled.stats()["replays"] == 2
