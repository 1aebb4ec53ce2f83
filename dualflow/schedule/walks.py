"""How works walk rows: which axes of theirs, and what moves from block to block.

Comes in: views of memory that holds rows one after the other, and the axes along which rows are
counted. Goes out: `Along`s, and the moves of `ir.program.Chain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

from dualflow.ir.kernel import Kernel
from dualflow.ir.types import View

Moves = tuple[tuple[int, ...] | None, ...]


class Along(NamedTuple):
    """An axis that walks rows: its number, rows from point to point, rows in all, points of a row
    where it walks columns too."""

    axis: int
    step: int
    span: int
    points: int = 1


def rows_of(view: View, axes: Iterable[int], row: int, count: int) -> tuple[Along, ...] | None:
    """How `axes` of a view walk `count` rows of `row` elements that lie one after the other; None
    if they see other elements than all of these rows, in order, each with its own columns."""
    found, last = [], view.offset
    for axis in axes:
        size, stride = view.shape[axis], view.strides[axis]
        if size == 1 or not stride:
            continue
        if stride < 0:
            return None
        if stride % row == 0:
            found.append(Along(axis, stride // row, stride // row * size))
        elif stride * size <= row:
            last += stride * (size - 1)
        elif row % stride == 0 and stride * size % row == 0:
            found.append(Along(axis, 1, stride * size // row, row // stride))
        else:
            return None
    found.sort(key=lambda along: -along.step)
    steps = [*(along.span for along in found), 1]
    whole = steps[0] == count and all(
        along.step == inner for along, inner in zip(found, steps[1:], strict=True)
    )
    return tuple(found) if whole and 0 <= last < row else None


def cuts_of(sizes: Sequence[int], steps: Sequence[Sequence[int]]) -> set[int]:
    """After how many rows one of the operands, with such strides along the axes, begins anew."""
    found, rows = set(), 1
    real = [axis for axis, size in enumerate(sizes) if size != 1]
    for outer, inner in reversed(list(pairwise(real))):
        rows *= sizes[inner]
        if any(each[outer] != each[inner] * sizes[inner] for each in steps):
            found.add(rows)
    return found


def row_steps(rows: Sequence[int]) -> list[int]:
    """How many rows a step along each axis of rows is."""
    return [prod(rows[d + 1 :]) for d in range(len(rows))]


def grid_moves(kernel: Kernel, walk: tuple[Along, ...], rows: tuple[int, ...]) -> Moves:
    """The points that a step along each axis of rows moves each axis of the grid by."""
    found: list[tuple[int, ...] | None] = [None] * len(kernel.grid)
    for along in walk:
        found[along.axis] = tuple(
            step // along.step * along.points if along.step <= step < along.span else 0
            for step in row_steps(rows)
        )
    return tuple(found)


def product_moves(views: Sequence[View], sums: bool, rows: tuple[int, ...]) -> Moves:
    """Elements that the left, the right and the resulting matrix move by."""
    left, right, result = views
    rank = len(result.shape) - 2
    cut = left.shape[-1] if sums else result.shape[-2]
    strides = left.strides, right.strides, result.strides
    axes = list(zip(result.shape[:rank], *strides, strict=False))
    axes.append((cut, left.strides[-1], right.strides[-2], 0) if sums
                else (cut, left.strides[-2], 0, result.strides[-2]))  # fmt: skip
    found: list[tuple[int, ...]] = []
    for step in row_steps(rows):
        inner, moves = 1, (0, 0, 0)
        for n, *strides in reversed(axes):
            if inner <= step < inner * n:
                moves = tuple(stride * (step // inner) for stride in strides)
            inner *= n
        found.append(moves)
    return tuple(zip(*found, strict=True))
