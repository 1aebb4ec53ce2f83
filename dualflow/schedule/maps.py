"""Where a value is looked at from the points of a domain: affine maps into its row-major order.

Comes in: maps, shapes, views. Goes out: the map of an operand, a view's strides over the domain, or
None where the composition is not affine (a reshape across a transposed axis).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dualflow.base.shapes import Shape, contiguous_strides, size_of
from dualflow.ir.graph import Value

#: A domain axis and the interval of it, low to high, where a map is valid.
Interval = tuple[int, int, int]


class Pick(NamedTuple):
    """A coordinate that comes from data: an element of `indices`, from 0 to `size` - 1."""

    indices: Value
    map: Map
    size: int


class Map(NamedTuple):
    """Element `offset + sum(strides[k] * point[k])` of a value, in row-major order.

    Strides along axes of size 1 are 0 and trailing zeros are left out, so that equal maps compare
    equal, also after the domain got further axes. Outside `box` (intervals of domain axes, sorted)
    the map means nothing: such points must not look. Each of `picks` adds its stride times its
    coordinate.
    """

    strides: tuple[int, ...]
    offset: int = 0
    box: tuple[Interval, ...] = ()
    picks: tuple[tuple[Pick, int], ...] = ()


class Position(NamedTuple):
    """The index along one axis of a value: `offset + sum(steps[k] * point[k])`; the picks of the
    map that it comes from count as further axes."""

    steps: tuple[int, ...]
    offset: int


def tidy(strides: Sequence[int], domain: Sequence[int]) -> tuple[int, ...]:
    """Strides in the normal form of `Map`."""
    found = [0 if n == 1 else s for n, s in zip(domain, strides, strict=False)]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def natural(shape: Shape) -> Map:
    """Each point of a domain `shape` looks at its own element."""
    return Map(tidy(contiguous_strides(shape), shape))


def padded(strides: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """One stride for each of `rank` axes."""
    return strides + (0,) * (rank - len(strides))


def bounds(box: tuple[Interval, ...], domain: Sequence[int]) -> list[tuple[int, int]]:
    """The interval of every domain axis inside `box`."""
    found = [(0, n) for n in domain]
    for axis, low, high in box:
        found[axis] = (low, high)
    return found


def positions(map_: Map, domain: Sequence[int], shape: Shape) -> tuple[Position, ...] | None:
    """The index along each axis of a value of `shape`; None where one is not affine."""
    ranges = bounds(map_.box, domain) + [(0, pick.size) for pick, _ in map_.picks]
    strides = padded(map_.strides, len(domain)) + tuple(stride for _, stride in map_.picks)
    rank = len(ranges)
    start = map_.offset + sum(s * low for s, (low, _) in zip(strides, ranges, strict=True))
    first = _digits(start, shape)
    steps = [[0] * rank for _ in shape]
    for k, ((low, high), stride) in enumerate(zip(ranges, strides, strict=True)):
        if stride and high - low > 1:
            for a, digit in enumerate(_digits(start + stride, shape)):
                steps[a][k] = digit - first[a]
    found = []
    for a, size in enumerate(shape):
        least = most = first[a]
        origin = first[a]
        for step, (low, high) in zip(steps[a], ranges, strict=True):
            if step:
                reach = step * (high - low - 1)
                least, most = least + min(reach, 0), most + max(reach, 0)
                origin -= step * low
        if least < 0 or most >= max(size, 1):
            return None
        found.append(Position(tuple(steps[a]), origin))
    return tuple(found)


def _digits(number: int, shape: Shape) -> list[int]:
    digits = []
    for size in reversed(shape[1:]):
        number, digit = divmod(number, size) if size else (number, 0)
        digits.append(digit)
    if shape:
        digits.append(number)
    digits.reverse()
    return digits


def combine(
    map_: Map, found: Sequence[Position], strides: Sequence[int], offset: int,
    domain: Sequence[int],
) -> Map:  # fmt: skip
    """The map to `offset + sum(strides[a] * index along axis a)`; `found` comes from `map_`."""
    total = [0] * (len(domain) + len(map_.picks))
    for position, stride in zip(found, strides, strict=True):
        if stride:
            offset += stride * position.offset
            for k, step in enumerate(position.steps):
                total[k] += stride * step
    picks = tuple(
        (pick, stride)
        for (pick, _), stride in zip(map_.picks, total[len(domain) :], strict=True)
        if stride
    )
    return Map(tidy(total, domain), offset, map_.box, picks)


def through(
    map_: Map, domain: Sequence[int], shape: Shape, strides: tuple[int, ...], offset: int
) -> Map | None:
    """The map into a buffer that shows a value of `shape` with `strides` from `offset`."""
    if strides == contiguous_strides(shape):
        return map_ if not offset else map_._replace(offset=map_.offset + offset)
    found = positions(map_, domain, shape)
    if found is None:
        return None
    return combine(map_, found, strides, offset, domain)


def is_onto(map_: Map, domain: Sequence[int], axes: Sequence[int], size: int) -> bool:
    """Whether the points along `axes` see each of `size` elements exactly once, in any order."""
    if map_.offset or map_.box or map_.picks:
        return False
    strides = padded(map_.strides, len(domain))
    step = 1
    for stride, n in sorted((strides[k], domain[k]) for k in axes if domain[k] != 1):
        if stride != step:
            return False
        step *= n
    return step == size


def still_axes(map_: Map, domain: Sequence[int]) -> tuple[int, ...]:
    """The axes of more than one point along which the map does not move."""
    strides = padded(map_.strides, len(domain))
    return tuple(k for k, n in enumerate(domain) if n != 1 and not strides[k])


def narrowed(
    map_: Map, domain: Sequence[int], found: Sequence[Position], starts: Sequence[int],
    sizes: Sequence[int],
) -> tuple[Interval, ...] | bool | None:  # fmt: skip
    """The box of `map_` cut to the points whose positions lie in a block of the value.

    False: no point does. None: the cut is not a box of domain axes.
    """
    ranges = bounds(map_.box, domain) + [(0, pick.size) for pick, _ in map_.picks]
    for position, start, size in zip(found, starts, sizes, strict=True):
        moving = [k for k, step in enumerate(position.steps) if step]
        if not moving:
            if not start <= position.offset < start + size:
                return False
            continue
        low, high = _reach(position, ranges)
        if start <= low and high <= start + size - 1:
            continue
        k = moving[0]
        if len(moving) > 1 or k >= len(domain):
            return None
        ranges[k] = _solve(position.steps[k], position.offset, start, start + size, ranges[k])
        if ranges[k][0] >= ranges[k][1]:
            return False
    return tuple((k, *r) for k, r in enumerate(ranges[: len(domain)]) if r != (0, domain[k]))


def _reach(position: Position, ranges: Sequence[tuple[int, int]]) -> tuple[int, int]:
    low = high = position.offset
    for step, (first, end) in zip(position.steps, ranges, strict=True):
        ends = (step * first, step * (end - 1))
        low, high = low + min(ends), high + max(ends)
    return low, high


def _solve(
    step: int, offset: int, start: int, end: int, range_: tuple[int, int]
) -> tuple[int, int]:
    """The points p of `range_` with start <= offset + step * p < end."""
    if step > 0:
        low, high = -((offset - start) // step), -((offset - end) // step)
    else:
        low, high = -((end - 1 - offset) // -step), (offset - start) // -step + 1
    return max(range_[0], low), min(range_[1], high)


def points(domain: Sequence[int], box: tuple[Interval, ...] = ()) -> int:
    """How many points of the domain lie in the box."""
    return size_of(tuple(high - low for low, high in bounds(box, domain)))
