"""The arena and index arithmetic: properties that hold for any input."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_graphs import Builder

from dualflow.ir.program import Call, Launch
from dualflow.ir.types import View
from dualflow.ops import primitives as p
from dualflow.schedule import plan
from dualflow.schedule.maps import (
    Map,
    bounds,
    narrowed,
    natural,
    padded,
    positions,
    tidy,
)
from dualflow.schedule.memory import ALIGNMENT, Life, Room, aligned, needed, place

LIVES = st.lists(
    st.builds(
        lambda nbytes, first, more: Life(nbytes, first, first + more),
        st.sampled_from((0, 1, 60, 64, 65, 200, 1000)), st.integers(0, 8), st.integers(0, 4),
    ),
    max_size=14,
)  # fmt: skip


ROOMS = st.lists(
    st.builds(Room, st.sampled_from((1, 64, 100, 1000)), st.integers(0, 9)), max_size=3
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(LIVES, ROOMS)
def test_values_that_live_at_one_time_lie_apart(lives, rooms):
    spots, size = place(lives, rooms)
    for i, (one, spot) in enumerate(zip(lives, spots, strict=True)):
        if not one.nbytes:
            continue
        assert spot.offset % ALIGNMENT == 0
        room = rooms[spot.room] if spot.room >= 0 else Room(size, 99)
        assert spot.offset + one.nbytes <= room.nbytes
        assert one.last < room.until
        for two, other in zip(lives[:i], spots[:i], strict=True):
            together = one.first <= two.last and two.first <= one.last
            high, low = spot.offset + one.nbytes, other.offset + two.nbytes
            apart = spot.room != other.room or high <= other.offset or low <= spot.offset
            assert apart or not together or not two.nbytes
    if not rooms:
        padded = [life._replace(nbytes=aligned(life.nbytes)) for life in lives]
        assert needed(padded) <= size <= max(needed(padded), sum(life.nbytes for life in padded))
    busiest = max((sum(life.nbytes for life in lives if life.first <= t <= life.last)
                   for t in range(13)), default=0)  # fmt: skip
    assert needed(lives) == busiest


def test_an_output_lends_its_memory_until_it_is_written():
    b = Builder()
    x, y = b.tensor(64, 64), b.tensor(64, 64)
    z = x
    for _ in range(4):
        z = b(p.matmul, z, y)
    first = b(p.matmul, z, y)
    second = b(p.matmul, first, x)
    program = plan(b.build([first, second]))
    square = 64 * 64 * 4
    assert program.needed == 2 * square  # an operand and a result
    assert program.arena == 0
    calls = [step for step in program.steps if isinstance(step, Call)]
    assert {o.buffer.place for call in calls for o in call.results} == {"output"}
    assert len(calls) == 6


def test_a_chain_of_products_needs_room_for_two():
    b = Builder()
    x = b.tensor(16, 16)
    for _ in range(6):
        x = b(p.matmul, x, x)
    program = plan(b.build([x]))
    assert program.needed == 2 * 16 * 16 * 4
    assert program.arena == 16 * 16 * 4  # the other one is the output


def test_a_kernel_stores_where_an_intermediate_ends():
    b = Builder()
    x, y = b.tensor(64, 64), b.tensor(64, 64)
    z = b(p.matmul, x, y)
    z = b(p.matmul, b(p.tanh, z), y)  # tanh in the place of the product
    z = b(p.matmul, b(p.tanh, z), y)
    program = plan(b.build([z]))
    kernels = [step for step in program.steps if isinstance(step, Launch)]
    assert len(kernels) == 2
    for step in kernels:
        assert [access.mode for access in step.kernel.accesses] == ["inout"]
    assert program.needed == 2 * 64 * 64 * 4

    b = Builder()
    x, y = b.tensor(64, 64), b.tensor(64, 64)
    z = b(p.matmul, x, y)
    t = b(p.tanh, z)
    program = plan(b.build([b(p.matmul, b(p.matmul, t, y), z)]))  # z is read again
    (kernel,) = (step for step in program.steps if isinstance(step, Launch))
    assert [access.mode for access in kernel.kernel.accesses] == ["in", "out"]


def points_of(map_: Map, domain: tuple[int, ...]) -> np.ndarray:
    """The element that each point of the box sees."""
    at = np.full([1] * len(domain), map_.offset)
    ranges = bounds(map_.box, domain)
    for k, ((low, high), stride) in enumerate(
        zip(ranges, padded(map_.strides, len(domain)), strict=True)
    ):
        shape = [1] * len(domain)
        shape[k] = -1
        at = at + stride * np.arange(low, high).reshape(shape)
    return np.broadcast_to(at, [high - low for low, high in ranges])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_positions_are_those_of_the_elements(data):
    """A slice of a permuted reshape, followed by digits and by NumPy."""
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    order = data.draw(st.permutations(range(len(shape))))
    view = View.contiguous(shape)
    strides = [view.strides[axis] for axis in order]
    domain, offset = [], 0
    for k, axis in enumerate(order):
        start = data.draw(st.integers(0, shape[axis] - 1))
        step = data.draw(st.sampled_from((1, 2, -1)))
        part = range(shape[axis])[start::step]
        domain.append(len(part))
        offset += start * strides[k]
        strides[k] *= step
    map_ = Map(tidy(strides, domain), offset)
    other = data.draw(st.sampled_from([shape, (view.extent[1],), (1, *shape)]))
    found = positions(map_, domain, other)
    assert found is not None
    seen = np.unravel_index(points_of(map_, tuple(domain)), other)
    for position, wanted in zip(found, seen, strict=True):
        along = points_of(Map(position.steps, position.offset), tuple(domain))
        np.testing.assert_array_equal(along, wanted)


def test_positions_that_carry_are_refused():
    assert positions(natural((6,)), (6,), (2, 3)) is None
    assert positions(natural((2, 3)), (2, 3), (6,)) is not None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_a_box_holds_the_points_that_look_inside_a_block(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=2)))
    strides = list(View.contiguous(shape).strides)
    offset = 0
    for k, size in enumerate(shape):
        if data.draw(st.booleans()):
            offset += strides[k] * (size - 1)
            strides[k] = -strides[k]
    map_ = Map(tidy(strides, shape), offset)
    found = positions(map_, shape, shape)
    assert found is not None
    starts = [data.draw(st.integers(0, n - 1)) for n in shape]
    sizes = [data.draw(st.integers(1, n - a)) for n, a in zip(shape, starts, strict=True)]
    box = narrowed(map_, shape, found, starts, sizes)
    at = np.unravel_index(points_of(map_, shape), shape)
    inside = np.ones(shape, bool)
    for place_, start, size in zip(at, starts, sizes, strict=True):
        inside &= (place_ >= start) & (place_ < start + size)
    chosen = np.zeros(shape, bool)
    assert isinstance(box, tuple)
    chosen[tuple(slice(low, high) for low, high in bounds(box, shape))] = True
    np.testing.assert_array_equal(chosen, inside)
