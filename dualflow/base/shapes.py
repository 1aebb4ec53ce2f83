"""Shape arithmetic: broadcasting, axes, sizes; with errors that name the shapes.

Comes in: shapes as tuples of ints, axes as ints. Goes out: the same, checked and non-negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from operator import index

from .errors import ArgumentError, AxisError, ShapeError
from .source import called

Shape = tuple[int, ...]
Axes = int | Sequence[int] | None


def broadcast(*shapes: Shape, of: str = "") -> Shape:
    """The shape to which `shapes` broadcast, as NumPy does; `of` names the function in errors.

    >>> broadcast((3, 1), (4,))
    (3, 4)

    Raises:
        ShapeError: two sizes of one axis differ and neither is 1.
    """
    rank = max(map(len, shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for axis, size in enumerate(shape, rank - len(shape)):
            if size != 1 and result[axis] != size:
                if result[axis] != 1:
                    of = called(of)
                    raise ShapeError(
                        f"{of}{' of ' * bool(of)}shapes {' and '.join(map(str, shapes))} that "
                        "do not broadcast",
                        why="sizes of an axis, counted from the last, must be equal or 1",
                        instead="reshape or expand one of them first",
                    )
                result[axis] = size
    return tuple(result)


def as_integer(value: object, what: str) -> int:
    """`value` as a Python integer; ArgumentError if it is none. `what` names it."""
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError as cause:
        raise ArgumentError(f"{called()}: {what} of type {type(value).__name__}",
                            instead="an integer") from cause  # fmt: skip


def as_number(value: object, what: str) -> float:
    """`value` as a Python float; ArgumentError if it is no real number. `what` names it."""
    try:
        if not isinstance(value, (str, bytes, bytearray)):
            return float(value)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise ArgumentError(f"{called()}: {what} of type {type(value).__name__}",
                        instead="a real number")  # fmt: skip


def normal_axis(axis: int, rank: int) -> int:
    """`axis` counted from 0; AxisError if a tensor of `rank` axes has none such."""
    if type(axis) is int and -rank <= axis < rank:  # the common case
        return axis % rank
    axis = as_integer(axis, "an axis")
    if not -rank <= axis < rank:
        raise AxisError(f"{called()}: axis {axis} of a tensor with {rank} axes",
                        instead=f"an axis from {-rank} to {rank - 1}" if rank else "")  # fmt: skip
    return axis % rank


def normal_axes(axes: Axes, rank: int) -> tuple[int, ...]:
    """`axes` as a sorted tuple counted from 0; None means all of them."""
    if axes is None:
        return tuple(range(rank))
    if type(axes) is int and -rank <= axes < rank:  # the common case
        return (axes % rank,)
    given = tuple(axes) if isinstance(axes, Sequence) else (axes,)
    found = sorted(normal_axis(axis, rank) for axis in given)
    if len(set(found)) != len(found):
        raise ShapeError(f"{called()}: axes {tuple(given)} name one axis twice")
    return tuple(found)


def reduced(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """The shape left when `axes` (normal) are reduced."""
    if keepdims:
        kept = list(shape)
        for axis in axes:
            kept[axis] = 1
        return tuple(kept)
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def size_of(shape: Shape) -> int:
    """How many elements a tensor of `shape` has."""
    return prod(shape)


def contiguous_strides(shape: Shape) -> tuple[int, ...]:
    """Row-major strides, in elements."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
