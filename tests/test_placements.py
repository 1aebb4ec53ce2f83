"""Sums of parts placed in zeros: written part by part where none overlaps, with the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from schedule_graphs import Builder

import dualflow as df
from dualflow.base.dtypes import complex64, float32, int32
from dualflow.ir.graph import Graph, Value
from dualflow.ir.interpret import interpret
from dualflow.ops import primitives as p
from dualflow.passes.placements import place_parts

ROWS, WIDTH = 40, 3


def put(b: Builder, row: Value, first: int, size: int = 1, zero: float = 0.0) -> Value:
    """Rows of zeros but for `size` rows from `first` on."""
    zeros = b.full((ROWS, WIDTH), zero if row.dtype.kind in "fc" else 0, row.dtype)
    return b(p.slice_update, zeros, row, starts=(first, 0), stops=(first + size, WIDTH),
             steps=(1, 1))  # fmt: skip


def summed(order, dtype=float32, swap: bool = False, zero: float = 0.0) -> Graph:
    """The sum of rows, each an input of its own, at the places of `order`."""
    b = Builder()
    rows = [b.tensor(1, WIDTH, dtype=dtype) for _ in order]
    total = put(b, rows[0], order[0], zero=zero)
    for row, at in zip(rows[1:], order[1:], strict=True):
        part = put(b, row, at)
        total = b(p.add, part, total) if swap else b(p.add, total, part)
    return b.build((total,))


def count(graph: Graph, op) -> int:
    return sum(node.op is op for node in graph.nodes)


def same_bits(graph: Graph, found: Graph) -> None:
    rng = np.random.default_rng(0)
    special = [-0.0, 0.0, 1.5, -2.0, np.inf, np.nan]
    for _ in range(5):
        given = []
        for value in graph.inputs:
            chosen = rng.choice(special if value.dtype.kind == "f" else [-3, 0, 2], value.shape)
            given.append(chosen.astype(value.dtype))
        (one,), (other,) = interpret(graph, given), interpret(found, given)
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("order", [range(ROWS), range(ROWS - 1, -1, -1), [7, 3, 30, 4, 9]])
@pytest.mark.parametrize("swap", [False, True])
def test_rows_apart_are_written_one_after_the_other(order, swap):
    graph = summed(list(order), swap=swap)
    found = place_parts(graph).verify()
    assert count(found, p.slice_update.op) == len(order)
    wholes = [n for n in found.nodes if n.op is p.add.op and n.result.shape == (ROWS, WIDTH)]
    assert not wholes
    assert len(found.nodes) < 4 * len(order)
    same_bits(graph, found)


def test_a_row_that_comes_again_is_added():
    graph = summed([4, 3, 2, 4, 1])
    found = place_parts(graph).verify()
    wholes = [n for n in found.nodes if n.op is p.add.op and n.result.shape == (ROWS, WIDTH)]
    assert len(wholes) == 2  # the row that comes again, and what comes after it
    same_bits(graph, found)


@pytest.mark.parametrize("dtype", [int32, complex64])
def test_other_kinds_of_numbers(dtype):
    graph = summed([1, 5, 2], dtype=dtype)
    found = place_parts(graph).verify()
    assert count(found, p.add.op) == (3 if dtype is complex64 else 0)
    same_bits(graph, found)


def test_negative_zeros_around_a_part_are_no_zeros():
    graph = summed([1, 5], zero=-0.0)
    assert place_parts(graph) is graph


def test_a_part_that_is_wanted_elsewhere_stays():
    b = Builder()
    first, second = (put(b, b.tensor(1, WIDTH), at) for at in (1, 2))
    total = b(p.add, first, second)
    graph = b.build((total, first))
    assert place_parts(graph) is graph


def test_blocks_that_overlap_stay():
    b = Builder()
    first, second = put(b, b.tensor(3, WIDTH), 1, 3), put(b, b.tensor(2, WIDTH), 3, 2)
    graph = b.build((b(p.add, first, second),))
    assert place_parts(graph) is graph


def recurrent(xs, w, u):
    h = xs[0] @ w
    for i in range(xs.shape[0]):
        h = df.tanh(xs[i] @ w + h @ u)
    return h.sum()


@pytest.mark.parametrize("wanted", [(0,), (1, 2), (0, 1, 2)])
def test_gradients_through_rows_are_loops(wanted):
    rng = np.random.default_rng(1)
    xs, w, u = (df.tensor(rng.normal(size=s) * 0.3) for s in ((150, 2, 4), (4, 4), (4, 4)))

    def gradients(xs, w, u):
        return df.grad(recurrent, argnums=wanted)(xs, w, u)

    compiled = df.compile(gradients, wait=True)
    with df.config(on_compiler_error="raise"):
        compiled(xs, w, u)
        found = compiled(xs, w, u)
    assert compiled.stats()["replays"] == 1
    (section,) = compiled.report().sections
    assert len(section.graph.nodes) <= 80  # of 150 steps
    expected = gradients(xs, w, u)
    pairs = zip(found, expected, strict=True) if len(wanted) > 1 else [(found, expected)]
    for one, other in pairs:
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-10, atol=1e-12)
