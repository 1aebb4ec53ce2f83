"""The digits, splitting and batching; and a short training run on them."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import ArgumentError, ShapeError
from dualflow.data import Batches, digits, train_test_split
from dualflow.inspect import demonstration


def test_digits():
    images, labels = digits()
    assert (images.shape, images.dtype) == ((1797, 64), np.float32)
    assert (labels.shape, labels.dtype) == ((1797,), np.int64)
    values = images.numpy()
    assert (values.min(), values.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(np.round(values * 16), values * 16)
    counts = np.bincount(labels.numpy())
    np.testing.assert_array_equal(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    assert int((values * 16).sum()) + int(labels.numpy().sum()) == 569788  # of the source file
    images += 1.0
    assert digits()[0].numpy().max() == 1.0


def test_split_parts_all_examples_the_same_way_each_time():
    x, y = df.arange(10), df.arange(10) * 10
    (a, b), (c, d) = train_test_split(x, y, held_out=0.3, seed=4)
    assert (a.shape, c.shape) == ((7,), (3,))
    np.testing.assert_array_equal(a.numpy() * 10, b.numpy())
    np.testing.assert_array_equal(c.numpy() * 10, d.numpy())
    assert sorted([*a.tolist(), *c.tolist()]) == list(range(10))
    again, other = train_test_split(x, seed=4, held_out=0.3), train_test_split(x, seed=5)
    assert again[0][0].tolist() == a.tolist()
    assert other[0][0].tolist() != a.tolist()


def test_batches_pass_over_all_examples_in_new_orders():
    x = df.arange(10)
    batches = Batches(x, x * 2, size=4, generator=df.random.Generator(0))
    assert len(batches) == 3
    first = list(batches)
    assert [a.shape for a, _ in first] == [(4,), (4,), (2,)]
    orders = [[n for a, _ in one for n in a.tolist()] for one in (first, list(batches))]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(10))
    assert orders[0] != orders[1]
    for a, b in first:
        np.testing.assert_array_equal(a.numpy() * 2, b.numpy())
    same = Batches(x, size=4, generator=df.random.Generator(0))
    assert [n for (a,) in same for n in a.tolist()] == orders[0]


def test_batches_can_leave_out_the_rest():
    batches = Batches(df.arange(10), size=4, shuffle=False, drop_last=True)
    assert len(batches) == 2
    assert [a.tolist() for (a,) in batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: Batches(df.zeros(3), size=0), ArgumentError),
        (lambda: Batches(size=1), ArgumentError),
        (lambda: Batches(df.zeros(3), df.zeros(4), size=1), ShapeError),
        (lambda: Batches(df.zeros(()), size=1), ArgumentError),
        (lambda: train_test_split(df.zeros(3), held_out=1.0), ArgumentError),
    ],
)
def test_errors(call, error):
    with pytest.raises(error):
        call()


def test_a_short_training_run_learns_the_digits():
    found = demonstration.train(epochs=4)
    assert len(found.losses) == 4 * 23
    assert found.losses[0] == pytest.approx(np.log(10), abs=0.15)
    assert found.accuracy >= 0.92
    again = demonstration.train(epochs=1)
    assert again.losses == found.losses[:23]


def test_the_whole_demonstration_reaches_96_percent():
    assert demonstration.train().accuracy >= 0.96


def test_training_in_float64():
    found = demonstration.train(epochs=1, dtype=df.float64)
    narrow = demonstration.train(epochs=1)
    assert found.losses[0] == pytest.approx(narrow.losses[0], rel=0.1)
    assert found.losses[-1] < found.losses[0] * 0.75
