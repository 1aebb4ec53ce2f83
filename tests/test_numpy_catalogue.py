"""Functions of NumPy in compiled functions: each gives what it gives undecorated."""

from __future__ import annotations

import linecache

import numpy as np
import pytest
from numpy_catalogue import BY_VALUE, REPLAYED, SHOWING, arguments
from test_numpy_functions import compared

import dualflow as df


def _name(function):
    code = function.__code__
    return linecache.getline(code.co_filename, code.co_firstlineno).partition(": ")[2][:40]


def _arguments(function):
    """A maker of the arguments that a function names."""
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return lambda k: tuple(arguments(k)[name] for name in names)


@pytest.mark.parametrize("function", REPLAYED, ids=_name)
def test_fixed_shapes_replay(function):
    compiled = compared(function, _arguments(function), 3)
    stats = compiled.stats()
    assert stats["replays"] == 2, compiled.explain()


@pytest.mark.parametrize("function", BY_VALUE, ids=_name)
def test_shapes_that_depend_on_values_replay(function):
    before = df.stats()["numpy_fallbacks"]
    compiled = compared(function, _arguments(function), 5)
    assert compiled.stats()["replays"] == 4, compiled.explain()
    assert df.stats()["numpy_fallbacks"] > before
    assert "on arrays whose shape values decide" in compiled.explain()


def test_what_numpy_computes_is_counted_and_named():
    @df.compile(wait=True)
    def f(x):
        return np.interp(x, x, x * 2), np.unique(x)

    before = df.stats()["numpy_fallbacks"]
    for _ in range(2):
        line, found = f(np.arange(4.0))
        np.testing.assert_array_equal(line, [0, 2, 4, 6])
        np.testing.assert_array_equal(found, [0, 1, 2, 3])
    assert f.stats()["replays"] == 1
    assert df.stats()["numpy_fallbacks"] == before + 2
    said = f.explain()
    assert "recipe=interp" in said
    assert "NumPy runs unique" in said


@pytest.mark.parametrize("function", SHOWING, ids=_name)
def test_memory_shown_otherwise_runs_in_python(function):
    stats = compared(function, _arguments(function), 3).stats()
    assert stats["co_executions"] + stats["eager_calls"] == 2
