"""Values that decide after NumPy or Python's `random` drew; draws of other paths are undone."""

import gc
import math
import random

import numpy as np
import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


def generators(seed=3):
    """Generators of all kinds, and what tells their states."""
    made = np.random.default_rng(seed), np.random.RandomState(seed), random.Random(seed)

    def states():
        new, old, own = made
        return (
            new.bit_generator.state["state"]["state"],
            old.get_state()[1:3],
            own.getstate()[1][-1],
        )

    return made, lambda: repr(states())


def metropolis(compile, see):
    (rng, *_), states = generators()
    counts = {"accept": 0, "reject": 0}

    @compile
    def f(x):
        moved = x + float(rng.normal())
        change = float(df.sum(x * x)) - float(df.sum(moved * moved))
        if rng.random() < math.exp(min(0.0, change)):
            counts["accept"] += 1
            return moved
        counts["reject"] += 1
        return x * 1

    for i in range(12):
        see(f, tensor(1.0, -2.0, 0.1 * i))
        see.that((states(), dict(counts)))


def dropped_by_a_draw(compile, see):
    (_, old, own), states = generators()

    @compile
    def f(x, p):
        keep = old.rand() > p
        if own.random() > 0.5:
            x = x + own.randint(1, 3)
        return x / (1 - p) if keep else x * 0

    for p in (0.5, 0.5, 0.25, 0.75, 0.5, 0.5, 0.25, 0.25, 0.75, 0.75):
        see(f, tensor(*X), p)
        see.that(states())


def batches_in_an_order(compile, see):
    (rng, *_), states = generators()
    log = []

    @compile
    def f(w, x):
        for i in rng.permutation(3):
            w = w - 0.1 * w * x[int(i)]
            log.append(round(float(df.sum(w)), 3))
        return w

    for _ in range(8):
        see(f, tensor(*X), tensor(1.0, 2.0, 3.0))
        see.that((states(), list(log)))


def paths_that_end_elsewhere(compile, see):
    (rng, *_), states = generators()
    kept = []

    @compile
    def f(x):
        y = x * rng.normal(size=3).sum()
        if y.sum() > 4:
            raise ValueError(f"{y.sum().item():.1f}")
        if y.sum() > 1:
            kept.append(gc.isenabled())  # of which nothing is known: Python runs
            kept.clear()
            return y - rng.random()
        noise = rng.normal()
        if y.sum() + noise < -1:
            return y + noise + rng.random()
        return y

    for _ in range(24):
        see(f, tensor(*X))
        see.that(states())


def generators_made_in_the_call(compile, see):
    @compile
    def f(x, seed):
        rng = np.random.default_rng(seed)
        if rng.random() > 0.5:
            return x + rng.random()
        return x - rng.random()

    for seed in (1, 2, 1, 3, 2, 3):
        see(f, tensor(*X), seed)


def draws_that_fail(compile, see):
    (rng, *_), states = generators()

    @compile
    def f(x, low):
        first = rng.random()
        if x.sum() * first > 1:
            return x + rng.uniform(low, 1.0)
        return x * rng.exponential(low)

    for low in (0.5, 0.5, 0.25, -1.0, 0.5, -1.0, -2.0, 0.5):
        see(f, tensor(*X), low)
        see.that(states())


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_draws(program, way):
    check(program, way)


def test_a_draw_before_a_branch_is_made_once():
    rng, other = random.Random(1), random.Random(1)
    f = df.compile(lambda x: x + 1 if rng.random() > 0.5 else x - 1, wait=True)
    for _ in range(20):
        f(tensor(*X))
        other.random()
    assert rng.getstate() == other.getstate()
    stats = f.stats()
    assert stats["replays"] == 18
    assert stats["recordings"] == 2
