"""Random functions of NumPy give compiled what they give undecorated, call after call.

Results, written arguments, globals, which arrays share memory, and errors with their texts, for
arguments whose values, dtypes, shapes, layouts, overlaps and classes change between calls.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
import pytest
import random_numpy
from test_numpy_functions import assert_same

import dualflow as df

CALLS = (0, 0, 0, 1, 1, 0, 2, 2)


def run(module: Any, function: Any, given: list[Any]) -> Any:
    """What a call gives, or its error; and what it left behind."""
    np.random.seed(5)
    try:
        found = function(*given)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    return [found, module.state(), float(np.random.random())]


def plain(value: Any) -> Any:
    """What can be compared by value, and in how many steps memory is walked."""
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(plain, value)]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "OUM":
        return [type(value).__name__, value.dtype.str, value.shape, repr(value.tolist())]
    if isinstance(value, np.ndarray):
        packed = np.ascontiguousarray(np.asarray(value).astype(value.dtype.newbyteorder("=")))
        return [type(value).__name__, value.dtype.str, value.shape, packed]
    if isinstance(value, (np.generic, bool, int, float, complex, str, bytes, type(None))):
        return value
    return type(value).__name__


def sharing(*trees: Any) -> list[bool]:
    """Which of the arrays share memory."""
    arrays: list[np.ndarray] = []

    def walk(value: Any) -> None:
        if isinstance(value, np.ndarray) and value.dtype.kind != "O":
            arrays.append(value)
        elif isinstance(value, (list, tuple)):
            for part in value:
                walk(part)

    walk(trees)
    return [np.shares_memory(x, y) for i, x in enumerate(arrays[:12]) for y in arrays[:i]]


@pytest.mark.parametrize("start", range(0, 160, 20))
def test_no_difference(start, tmp_path):
    ways = dict.fromkeys(("replays", "recordings"), 0)
    for seed in range(start, start + 20):
        draw = np.random.default_rng(seed)
        text = random_numpy.source(draw, int(draw.integers(1, 5)))
        kinds = [random_numpy.kind_of_call(draw) for _ in range(3)]
        if draw.random() < 0.6:
            kinds[0] = (("f8", "f8"), kinds[0][1], 0, "")
        mine, theirs = (random_numpy.load(text, tmp_path, f"numpy_{seed}_{k}") for k in "ab")
        compiled = df.compile(mine.f, wait=True)
        for turn, which in enumerate(CALLS):
            with warnings.catch_warnings(), contextlib.suppress(RecursionError):
                warnings.simplefilter("ignore")
                a, b = (random_numpy.arguments(99 * seed + turn, kinds[which]) for _ in range(2))
                wanted, found = run(theirs, theirs.f, a), run(mine, compiled, b)
                where = f"seed {seed} turn {turn} {kinds[which]}\n{text}"
                assert_same(plain([wanted, a]), plain([found, b]), where)
                assert sharing(wanted[0], a) == sharing(found[0], b), where
        for way in ways:
            ways[way] += compiled.stats()[way]
    assert ways["replays"] > 10
    assert ways["recordings"] > 10
