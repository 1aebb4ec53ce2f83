"""Every op of the catalogue through the whole compiler to machine code, by the numeric harness."""

from __future__ import annotations

import pytest
from harness import RUNNERS, check, ops

from dualflow.base.counters import stats
from dualflow.ir.op import Kind, Op

FUSED = (Kind.ELEMENTWISE, Kind.REDUCTION)


@pytest.mark.parametrize("op", ops(), ids=lambda op: op.name)
def test_op(op: Op):
    before = stats()["kernel_launches"]
    assert check(op, RUNNERS["numba"])
    if op.kind in FUSED and "numba" in op.spelling:
        assert stats()["kernel_launches"] > before, f"{op.name} never ran in a kernel"
