"""Eager draws: native words are NumPy's, and quantiles of arrays are those of tensors."""

import random

import numpy as np
import pytest

import dualflow as df
from dualflow.ops import quantiles, special
from dualflow.ops.generator import Generator, centred
from dualflow.runtime import philox


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000, 8193])
def test_words(size):
    for _ in range(5):
        key, counter = random.getrandbits(64), random.getrandbits(64)
        found = philox.philox(key, counter, size)
        np.testing.assert_array_equal(found, special.portable_philox(key, counter, size))
        assert found.dtype == np.uint32
    assert philox._works()


def test_where_native_words_are_wrong_numpy_serves(monkeypatch):
    monkeypatch.setattr(philox, "_works", lambda: False)
    monkeypatch.setattr(philox, "_natively", None)
    want = special.portable_philox(3, 4, 100)
    np.testing.assert_array_equal(philox.philox(3, 4, 100), want)


@pytest.mark.parametrize("dtype", [df.float32, df.float64])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (20_001,)])
def test_quantiles(dtype, shape):
    q, tail = centred(Generator(9), shape, dtype)
    found = quantiles.normal_quantile(q, tail)
    p = quantiles.p
    outer = quantiles._outer_quantile(q, tail, quantiles._Tensors)
    want = p.where.of(p.abs.of(q) <= 0.425, quantiles._central_quantile(q), outer)
    assert found.numpy().tobytes() == want.numpy().tobytes()
    assert (found.shape, found.dtype) == (shape, dtype)
