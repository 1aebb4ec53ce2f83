"""`x op= y` in eager mode, which takes one step where nobody takes notes."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import dualflow as df
from dualflow.array.eager import EagerMode
from dualflow.base.errors import DualflowError, InPlaceError, ShapeError

OPERATORS = (
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv,
    operator.imod, operator.iand, operator.ior, operator.ixor, operator.ilshift, operator.irshift,
)  # fmt: skip
#: operands for x = [[6, 9, 4]] of each dtype; those that widen or do not fit take the longer way
OTHERS = (2, 1.5, True, np.float32(2), np.array([3, 2, 1]), np.array([3.0, 2.0, 1.0]))


@pytest.fixture
def taken(monkeypatch):
    """How often the one step was taken."""
    found = []
    step = EagerMode.updated

    def counted(self, *given):
        found.append(step(self, *given))
        return found[-1]

    monkeypatch.setattr(EagerMode, "updated", counted)
    return found


def outcome(function):
    try:
        return function()
    except (DualflowError, TypeError) as error:
        return type(error)


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_it_is_what_the_longer_way_gives(op, dtype, other, monkeypatch):
    def updated():
        x = df.asarray(np.array([[6, 9, 4]], dtype))
        y = df.asarray(other) if isinstance(other, np.ndarray) else other
        whole = x
        for _ in range(2):  # the first of its kind is learnt
            x = op(x, y)
        assert x is whole
        return x.numpy().tolist(), x.dtype

    found = outcome(updated)
    with monkeypatch.context() as patched:
        patched.setattr(EagerMode, "updated", lambda *given: False)
        assert found == outcome(updated)


def test_one_step_is_taken(taken):
    x, y = df.ones((3,)), df.ones((3,))
    x += y
    x += y
    x *= 2.0
    x *= 2.0
    assert taken == [taken[0], True, taken[2], True]
    np.testing.assert_array_equal(x.numpy(), 12.0)


def test_views_see_it_and_it_is_counted(taken):
    x = df.ones((4, 3))
    row, version = x[1], x._memory().version
    for _ in range(2):
        row += 1.0
    assert taken[-1]
    assert x._memory().version == version + 2
    np.testing.assert_array_equal(x.numpy()[:, 0], [1, 3, 1, 1])


def test_overlapping_operands_are_read_first(taken):
    x = df.arange(6, dtype=df.float32)
    for _ in range(2):
        tail, head = x[1:], x[:-1]
        tail += head
    assert taken[-1]
    np.testing.assert_array_equal(x.numpy(), [0, 1, 4, 8, 12, 16])


def test_an_error_of_numpy_leaves_the_memory():
    x = df.ones((3,))
    for _ in range(2):
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
            x /= 0.0
    np.testing.assert_array_equal(x.numpy(), 1.0)


def test_what_cannot_be_stored_is_refused():
    x = df.ones((3,))
    x += 1.0
    with pytest.raises(ShapeError, match="memory cannot grow"):
        x += df.ones((2, 3))
    shown = df.broadcast_to(df.ones((1,)), (3,))
    for _ in range(2):
        with pytest.raises(InPlaceError):
            shown += df.ones((3,))


@pytest.mark.parametrize("which", ["target", "operand", "root"])
def test_gradients_take_notes(which, taken):
    x, y = df.ones((3,)), df.full((3,), 2.0)
    x += y  # known from here on
    leaf = df.tensor([3.0, 3.0, 3.0], requires_grad=True)
    taken.clear()
    target = (leaf * 1.0) if which == "target" else (leaf * 1.0)[:] if which == "root" else x
    target *= leaf if which == "operand" else y
    assert True not in taken
    target.sum().backward()
    assert leaf.grad is not None
    np.testing.assert_array_equal(leaf.grad.numpy(), 3.0 if which == "operand" else 2.0)
