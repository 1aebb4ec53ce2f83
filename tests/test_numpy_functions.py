"""Real NumPy programs, changed by nothing but the decorator: the same results, writes and types."""

from __future__ import annotations

import copy

import numpy as np
import numpy_simulations
import pytest
from numpy_programs import PROGRAMS

import dualflow as df

MORE = numpy_simulations  # its programs are in the list too


def steps(array):
    """The strides of the axes along which there are steps."""
    return [s for s, size in zip(array.strides, array.shape, strict=True) if size > 1]


def assert_same(wanted, found, where=""):
    """Equal in type, dtype, shape and values (transcendental functions may differ by 2 ulp)."""
    assert type(wanted) is type(found), where
    if isinstance(wanted, (list, tuple)):
        assert len(wanted) == len(found), where
        for i, (a, b) in enumerate(zip(wanted, found, strict=True)):
            assert_same(a, b, f"{where}[{i}]")
    elif isinstance(wanted, dict):
        assert list(wanted) == list(found), where
        for key in wanted:
            assert_same(wanted[key], found[key], f"{where}[{key!r}]")
    elif isinstance(wanted, (np.ndarray, np.generic)):
        assert (wanted.dtype, wanted.shape) == (found.dtype, found.shape), where
        if isinstance(wanted, np.ndarray):
            assert steps(wanted) == steps(found), where
            assert wanted.flags.writeable == found.flags.writeable, where
        if wanted.dtype.kind in "fc":
            eps = np.finfo(wanted.dtype).eps
            np.testing.assert_allclose(found, wanted, rtol=64 * eps, atol=64 * eps, err_msg=where)
        else:
            np.testing.assert_array_equal(found, wanted, err_msg=where)
    elif isinstance(wanted, np.random.Generator):
        assert wanted.bit_generator.state == found.bit_generator.state, where
    elif hasattr(wanted, "__dict__"):
        assert_same(vars(wanted), vars(found), where)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-13, nan_ok=True), where
    else:
        assert wanted == found, where


def compared(function, arguments, calls=4):
    """Call a function and its compiled twin; returns the twin."""
    compiled = df.compile(function, wait=True)
    for i in range(calls):
        mine, theirs = arguments(i), copy.deepcopy(arguments(i))
        wanted, found = function(*theirs), compiled(*mine)
        assert_same(wanted, found, "result")
        assert_same(theirs, mine, "arguments")
    return compiled


@pytest.mark.parametrize("program", PROGRAMS, ids=repr)
def test_programs(program):
    before = df.stats()
    compiled = compared(program.function, program.arguments)
    stats = compiled.stats()
    ways = {
        "replay": stats["replays"], "co-execute": stats["co_executions"],
        "eager": stats["eager_calls"],
    }  # fmt: skip
    assert ways[program.verdict] >= 1, f"{stats} {compiled.explain()}"
    assert ways[program.verdict] + stats["recordings"] == stats["calls"], stats
    if program.verdict == "replay":
        after = df.stats()
        work = ("kernel_launches", "library_calls")
        assert sum(after[key] - before[key] for key in work) > 0
