"""Every op of the catalogue through the whole compiler to machine code, by the numeric harness."""

from __future__ import annotations

import numpy as np
import pytest
from harness import RUNNERS, check, ops

import dualflow as df
from dualflow.base.counters import stats
from dualflow.ir.op import Kind, Op

FUSED = (Kind.ELEMENTWISE, Kind.REDUCTION)


@pytest.mark.parametrize("op", ops(), ids=lambda op: op.name)
def test_op(op: Op):
    before = stats()["kernel_launches"]
    assert check(op, RUNNERS["numba"])
    if op.kind in FUSED and "numba" in op.spelling:
        assert stats()["kernel_launches"] > before, f"{op.name} never ran in a kernel"


@pytest.mark.parametrize("sizes", [(3, 4, 5), (20, 18, 33)], ids=str)
def test_operands_permuted_in_several_ways(sizes: tuple[int, int, int]):
    """Each of them is walked by 1 along another axis, so that tiles have a choice."""
    a, b, c = sizes
    shapes = (c, a, b), (c, b, a), (a, b, c)
    rng = np.random.default_rng(0)
    i, j, k = (df.asarray(rng.standard_normal(shape)) for shape in shapes)

    @df.compile(wait=True)
    def total(i, j, k):
        return df.permute_dims(i, (1, 2, 0)) * df.permute_dims(j, (2, 1, 0)) + k

    wanted = i.numpy().transpose(1, 2, 0) * j.numpy().transpose(2, 1, 0) + k.numpy()
    for _ in range(2):
        np.testing.assert_array_equal(total(i, j, k).numpy(), wanted)
    assert total.stats()["replays"] == 1
