"""Compiled functions do what the functions do: programs that change something between two calls."""

import numpy as np
import pytest
from capture_programs import PROGRAMS

import dualflow as df

Tensor = type(df.zeros(()))


def plain(value):
    """A value as nested tuples that can be compared."""
    if isinstance(value, Tensor):
        return ("tensor", str(value.dtype), value.requires_grad, value.detach().numpy().copy())
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    if isinstance(value, dict):
        return tuple((key, plain(item)) for key, item in value.items())
    return type(value).__name__, value


def assert_same(a, b):
    if isinstance(a, tuple):
        assert isinstance(b, tuple)
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, np.ndarray):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)
    elif isinstance(a, float):
        assert b == pytest.approx(a, rel=2e-5, nan_ok=True)
    else:
        assert a == b


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_eager(name):
    program, counts = PROGRAMS[name]
    _, expected = program(lambda f: f)
    f, found = program(lambda f: df.compile(f, wait=True))
    assert_same(plain(expected), plain(found))
    stats = f.stats()
    for counter, least in counts.items():
        assert stats[counter] >= least, stats
