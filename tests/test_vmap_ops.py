"""The batching rule of every op in the catalogue, held against a Python loop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from harness import Case, agree, cases, ops

import dualflow as df
from dualflow.autograd.batching import RULES
from dualflow.ir.op import Kind, Op
from dualflow.ops import door

BATCH = 3
#: kinds without a rule: they have no tensor operands, or no function of users makes them
DTYPES = ("float32", "int64", "bool", "complex64")


def sampled(op: Op) -> list[Case]:
    """A few calls of `op`: the first of each shape of operands, in one layout."""
    found: dict[object, Case] = {}
    for case in cases(op):
        key = (tuple(a.shape for a in case.arrays), repr(case.attributes))
        floats = case.arrays and case.arrays[0].dtype.name in DTYPES
        if floats and (key not in found or found[key].arrays[0].dtype.name != "float32"):
            found[key] = case
    return list(found.values())[:6]


def batches(case: Case) -> list[np.ndarray]:
    """For each operand a batch of operands: the same elements in other orders, so that they stay
    where the op is defined; matrices stay what they are."""
    rng = np.random.default_rng(5)
    made = []
    for array in case.arrays:
        if case.op.kind is Kind.LIBRARY and array.ndim > 1:
            rows = [array, array * 1, array.copy()]
            rows[1] = (array * 2).astype(array.dtype) if array.dtype.kind in "fc" else array
        else:
            rows = [rng.permutation(array.reshape(-1)).reshape(array.shape) for _ in range(BATCH)]
        made.append(np.stack(rows))
    return made


def same(op: Op, found, wanted) -> bool:
    if op.exact:
        return agree(op, found, wanted)
    return found.dtype == wanted.dtype and np.allclose(found, wanted, 1e-4, 1e-5, equal_nan=True)


VARIABLE = [op for op in ops() if op.kind in RULES]


@pytest.mark.parametrize("op", VARIABLE, ids=lambda op: op.name)
def test_every_op_against_a_loop(op: Op):
    count = 0
    for case in sampled(op):
        wide = batches(case)
        for axes in itertools.product((0, None), repeat=len(wide)):
            if all(axis is None for axis in axes) or (len(wide) > 3 and None in axes):
                continue
            check(case, wide, axes)
            count += 1
    assert count


def check(case: Case, wide: list[np.ndarray], axes: tuple) -> None:
    def call(*tensors):
        return door.apply(case.op, *tensors, **case.attributes)

    def row(i: int):
        return [
            df.asarray(array[i if axis == 0 else 0]) for array, axis in zip(wide, axes, strict=True)
        ]

    given = [df.asarray(a if axis == 0 else a[0]) for a, axis in zip(wide, axes, strict=True)]
    with np.errstate(all="ignore"):
        found = df.vmap(call, in_axes=axes)(*given)
        loop = [call(*row(i)) for i in range(BATCH)]
    found = found if type(found) is tuple else (found,)
    loop = [one if type(one) is tuple else (one,) for one in loop]
    for part, rows in zip(found, zip(*loop, strict=True), strict=True):
        wanted = np.stack([one.numpy() for one in rows])
        label = f"{case.label} in_axes={axes}"
        assert part.shape == wanted.shape, label
        assert same(case.op, part.numpy(), wanted), f"{label}\n{part}\n{wanted}"


def test_a_wrong_rule_is_found(monkeypatch):
    """The comparison fails where axes do not move."""
    op = next(op for op in ops() if op.name == "cumsum")

    def unmoved(apply, op, values, flags, attributes, size):
        return apply(op, *values, **attributes)

    monkeypatch.setitem(RULES, Kind.SCAN, unmoved)
    with pytest.raises(AssertionError):
        test_every_op_against_a_loop(op)
