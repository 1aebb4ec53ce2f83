"""Integer arithmetic is modulo two to the width in both modes: no comparison is folded away."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df


def edges(x: df.Tensor) -> tuple[df.Tensor, ...]:
    return x + 1 > x, x - 1 < x, x * 3, -x, x.sum(), (x * x).sum()


@pytest.mark.parametrize("name", ["int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"])
def test_integers_wrap(name):
    limits = np.iinfo(name)
    x = df.asarray(np.array([limits.max, limits.min, 0, 5], name))
    compiled = df.compile(edges, wait=True)
    compiled(x)
    for made, expected in zip(compiled(x), edges(x), strict=True):
        np.testing.assert_array_equal(made.numpy(), expected.numpy())
    assert compiled.stats()["replays"] == 1
    assert compiled.report(x).sections[0].kernels > 0
