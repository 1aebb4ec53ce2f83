"""Every op in every mode against independent references; and every record complete."""

from __future__ import annotations

import numpy as np
import pytest
from harness import (
    RUNNERS,
    arity,
    cases,
    check,
    check_against_reference,
    ops,
    run_eagerly,
    same_bits,
)
from references import REFERENCES, SAMPLES

from dualflow.ir.graph import GraphBuilder
from dualflow.ir.op import CATALOGUE, Kind, Op
from dualflow.ir.types import TensorType
from dualflow.ops import primitives
from dualflow.ops.record import Strict

SPELLED = (Kind.ELEMENTWISE, Kind.REDUCTION, Kind.SCAN)
#: ops of those kinds that a backend runs by the record's NumPy implementation, and why
UNSPELLED = {
    "integer_power": "it may raise on values",
    "nextafter": "it is rare",
    "conj": "kernels take no complex numbers",
    "real": "kernels take no complex numbers",
    "imag": "kernels take no complex numbers",
}


@pytest.mark.parametrize("op", ops(), ids=lambda op: op.name)
def test_eager(op: Op):
    with np.errstate(all="ignore"):
        count = 0
        for case in cases(op):
            check_against_reference(case, run_eagerly(case))
            count += 1
    assert count


@pytest.mark.parametrize("op", ops(), ids=lambda op: op.name)
def test_interpreted(op: Op):
    assert check(op, RUNNERS["interpreted"])


@pytest.mark.parametrize("op", ops(), ids=lambda op: op.name)
def test_the_interpreted_graph_gives_eager_bits(op: Op):
    with np.errstate(all="ignore"):
        for case in cases(op):
            interpreted = RUNNERS["interpreted"](case.graph, list(case.arrays))
            for one, other in zip(interpreted, run_eagerly(case), strict=True):
                assert same_bits(one, other), case.label


@pytest.mark.parametrize("op", ops(), ids=lambda op: op.name)
def test_the_record_is_complete(op: Op):
    assert op.doc
    assert (op.gradient is None) == bool(op.no_gradient), "a gradient, or why there is none"
    assert isinstance(getattr(primitives, op.name), Strict)
    assert op.name in primitives.__all__
    if op.kind in SPELLED and op.name not in UNSPELLED:
        assert {"numba", "triton"} <= set(op.spelling), "a spelling for each backend"
    if op.kind in (Kind.REDUCTION, Kind.SCAN):
        assert (op.identity is None) == (op.name in ("argmax", "argmin")), "positions have none"
    if op.kind is Kind.MOVEMENT:
        assert (op.view is None) != (op.placement is None), "a view or a placement"
        assert op.update is None or op.view is not None


def test_the_tables_of_the_harness_name_every_op():
    assert set(REFERENCES) == set(CATALOGUE)
    assert set(SAMPLES) == {op.name for op in ops() if op.kind is not Kind.ELEMENTWISE}


def test_loops_and_branches_give_memory_of_their_own():
    builder = GraphBuilder()
    step = builder.input(TensorType((), np.dtype("int64")))
    x = builder.input(TensorType((2,), np.dtype("float32")))
    given = np.zeros(2, np.float32)
    body = builder.build([x])
    for count in (0, 2):
        (out,) = CATALOGUE["loop"].numpy(given, body=body, count=count, carried=1)
        assert not np.shares_memory(out, given)
    (out,) = CATALOGUE["branch"].numpy(np.array(True), np.array(0), given, true=body, false=body)
    assert step.type.shape == ()
    assert not np.shares_memory(out, given)


def test_a_wrong_mode_is_found():
    """The harness fails where a mode is wrong in the last bit, in a NaN, in the sign of a zero."""
    add = CATALOGUE["add"]

    def off_by_one_ulp(graph, arrays):
        return (np.nextafter(arrays[0] + arrays[1], np.float32(9)).astype(arrays[0].dtype),)

    with pytest.raises(AssertionError):
        check(add, off_by_one_ulp)
    zeros = np.zeros(3, np.float32)
    assert not same_bits(zeros, -zeros)
    assert same_bits(np.full(2, np.nan), -np.full(2, np.nan))


@pytest.mark.parametrize("op", ops(Kind.ELEMENTWISE), ids=lambda op: op.name)
def test_spellings_use_every_operand(op: Op):
    for spelling in op.spelling.values():
        for text in spelling.values() if isinstance(spelling, dict) else [spelling]:
            for i in range(arity(op)):
                assert f"{{{i}}}" in text, text
