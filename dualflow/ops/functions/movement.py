"""Shapes and places: reshape, permute_dims, squeeze, broadcast_to, flip, roll."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from math import prod
from operator import index
from typing import Any

import numpy as np

from dualflow.base.errors import ArgumentError, ShapeError
from dualflow.base.shapes import (
    Axes,
    Shape,
    broadcast,
    normal_axes,
    normal_axis,
)
from dualflow.base.source import called

from .. import door
from .. import primitives as p
from ..operands import TENSORS, tensor
from .indexing import getitem

Tensor = Any
_slice = builtins.slice
_RESHAPE, _PERMUTE, _EXPAND = p.reshape.op, p.permute.op, p.expand.op
_WHOLE, _REVERSED = _slice(None), _slice(None, None, -1)


def as_shape(shape: int | Sequence[int]) -> Shape:
    """`shape` as a tuple of Python integers."""
    if type(shape) is int:
        return (shape,)
    if type(shape) is not tuple and hasattr(shape, "__index__"):
        return (index(shape),)  # type: ignore[arg-type]
    try:
        return (*map(index, shape),)  # type: ignore[arg-type]
    except TypeError as cause:
        raise ArgumentError(f"{called()}: a shape of type {type(shape).__name__}",
                            instead="an integer or a tuple of integers") from cause  # fmt: skip


def reshape(x: Tensor, shape: int | Sequence[int], *, copy: bool | None = None) -> Tensor:
    """The elements of `x`, row by row, in another shape; a view where the strides allow it.

    Args:
        x: any tensor.
        shape: as many elements as `x` has; one size may be -1, and is then inferred.
        copy: True copies always, False raises instead of copying.

    Raises:
        ShapeError: the sizes do not fit, or a copy is needed and not allowed.

    >>> import dualflow as df
    >>> df.reshape(df.arange(4), (2, -1)).tolist()
    [[0, 1], [2, 3]]
    """
    return _reshaped(x if type(x) in TENSORS else tensor(x), as_shape(shape), copy)


def reshaped(x: Tensor, *shape: Any, copy: bool | None = None) -> Tensor:
    """The method: `reshape` whose sizes may be arguments of their own.

    >>> import dualflow as df
    >>> df.zeros((2, 3)).reshape(3, -1).shape
    (3, 2)
    """
    wanted = as_shape(shape[0] if len(shape) == 1 else shape)
    if copy is not None:
        return _reshaped(x, wanted, copy)
    if -1 in wanted:
        wanted = _inferred(x.shape, wanted)
    return door.run(_RESHAPE, (x,), {"shape": wanted})


def _reshaped(x: Tensor, wanted: Shape, copy: bool | None) -> Tensor:
    if -1 in wanted:
        wanted = _inferred(x.shape, wanted)
    made = door.run(_RESHAPE, (x,), {"shape": wanted})
    if copy is None:
        return made
    if copy:
        return p.cast(made, dtype=made.dtype)
    if not made._view:
        raise ShapeError(f"reshape of {x.shape} to {wanted} without a copy",
                         why="the elements do not lie evenly in memory",
                         instead="copy=None")  # fmt: skip
    return made


def _inferred(shape: Shape, wanted: Shape) -> Shape:
    total, rest = prod(shape), -prod(wanted)
    if rest > 0 and not total % rest:
        sizes = list(wanted)
        sizes[sizes.index(-1)] = total // rest
        if -1 not in sizes:
            return tuple(sizes)
    raise ShapeError(f"reshape of {shape} to {wanted}",
                     why="the size for -1 cannot be inferred",
                     instead=f"one -1, among sizes whose product divides {total}")  # fmt: skip


def flatten(x: Tensor) -> Tensor:
    """The elements of `x`, row by row, along one axis; a view where the strides allow it.

    >>> import dualflow as df
    >>> df.flatten(df.asarray([[1, 2], [3, 4]])).tolist()
    [1, 2, 3, 4]
    """
    x = tensor(x)
    return p.reshape(x, shape=(x.size,))


#: NumPy's name
ravel = flatten


def permute_dims(x: Tensor, axes: Sequence[int]) -> Tensor:
    """A view of `x` with its axes in the order `axes`.

    Raises:
        ShapeError: `axes` do not name each axis once.

    >>> import dualflow as df
    >>> df.permute_dims(df.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    x = tensor(x)
    rank = len(x.shape)
    order = as_shape(axes)
    order = tuple([i if 0 <= i < rank else normal_axis(i, rank) for i in order])
    return door.run(_PERMUTE, (x,), {"axes": order})


def permuted(x: Tensor, *axes: Any) -> Tensor:
    """The method: `permute_dims` whose axes may be arguments of their own.

    >>> import dualflow as df
    >>> df.zeros((2, 3, 4)).permute(2, 0, 1).shape
    (4, 2, 3)
    """
    return permute_dims(x, axes[0] if len(axes) == 1 else axes)


def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """A view of `x` with its axes in the order `axes`; None reverses their order.

    >>> import dualflow as df
    >>> df.transpose(df.zeros((2, 3, 4))).shape
    (4, 3, 2)
    """
    if axes is not None:
        return permute_dims(x, axes)
    x = tensor(x)
    return door.run(_PERMUTE, (x,), {"axes": tuple(range(len(x.shape) - 1, -1, -1))})


def transposed(x: Tensor, *axes: Any) -> Tensor:
    """The method: `transpose` whose axes may be arguments of their own.

    >>> import dualflow as df
    >>> df.zeros((2, 3, 4)).transpose(0, 2, 1).shape
    (2, 4, 3)
    """
    return transpose(x, axes[0] if len(axes) == 1 else axes or None)


def moveaxis(x: Tensor, source: Axes, destination: Axes) -> Tensor:
    """A view of `x` with the axes `source` at the places `destination`, the others in order.

    >>> import dualflow as df
    >>> df.moveaxis(df.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = tensor(x)
    sources = [normal_axis(axis, x.ndim) for axis in as_shape(source)]  # type: ignore[arg-type]
    targets = [normal_axis(axis, x.ndim) for axis in as_shape(destination)]  # type: ignore[arg-type]
    if len(sources) != len(targets):
        raise ShapeError(f"moveaxis of {len(sources)} axes to {len(targets)} places")
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return p.permute(x, axes=tuple(order))


def matrix_transpose(x: Tensor) -> Tensor:
    """A view of `x` with its last two axes exchanged.

    Raises:
        ShapeError: there are fewer than two axes.

    >>> import dualflow as df
    >>> df.matrix_transpose(df.asarray([[1, 2], [3, 4]])).tolist()
    [[1, 3], [2, 4]]
    """
    if type(x) not in TENSORS:
        x = tensor(x)
    rank = len(x.shape)
    if rank < 2:
        raise ShapeError(f"matrix_transpose of {x.shape}", instead="a tensor with 2 or more axes")
    axes = (1, 0) if rank == 2 else (*range(rank - 2), rank - 1, rank - 2)
    return door.run(_PERMUTE, (x,), {"axes": axes})


def expand_dims(x: Tensor, axis: Axes = 0) -> Tensor:
    """A view of `x` with a new axis of size 1 at `axis` (counted in the result).

    >>> import dualflow as df
    >>> df.expand_dims(df.zeros(3), axis=-1).shape
    (3, 1)
    """
    x = tensor(x)
    given = as_shape(axis)  # type: ignore[arg-type]
    shape = list(x.shape)
    for i in normal_axes(given, len(shape) + len(given)):
        shape.insert(i, 1)
    return p.reshape(x, shape=tuple(shape))


def squeeze(x: Tensor, axis: Axes = None) -> Tensor:
    """A view of `x` without the axes `axis` of size 1 (None: without any such axis).

    Raises:
        ShapeError: a named axis has another size.

    >>> import dualflow as df
    >>> df.squeeze(df.zeros((1, 3, 1)), axis=0).shape
    (3, 1)
    """
    x = tensor(x)
    shape = x.shape
    if axis is None:
        return p.reshape(x, shape=tuple([size for size in shape if size != 1]))
    axes = normal_axes(axis, len(shape))
    for i in axes:
        if shape[i] != 1:
            raise ShapeError(f"squeeze of axis {i} of {shape}", why="its size is not 1")
    kept = [n for i, n in enumerate(shape) if i not in axes]
    return door.run(_RESHAPE, (x,), {"shape": tuple(kept)})


def broadcast_to(x: Tensor, shape: int | Sequence[int]) -> Tensor:
    """A read-only view of `x`, repeated along new axes and axes of size 1 to `shape`.

    Raises:
        ShapeError: `x` does not broadcast to `shape`.

    >>> import dualflow as df
    >>> df.broadcast_to(df.asarray([1, 2]), (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    x = tensor(x)
    return p.expand(x, shape=as_shape(shape))


def expanded(x: Tensor, *shape: Any) -> Tensor:
    """The method: `broadcast_to` whose sizes may be arguments of their own.

    >>> import dualflow as df
    >>> df.zeros((2, 1)).expand(2, 3).shape
    (2, 3)
    """
    return broadcast_to(x, shape[0] if len(shape) == 1 else shape)


def broadcast_arrays(*tensors: Tensor) -> list[Tensor]:
    """Read-only views of the tensors, all of their common shape.

    >>> import dualflow as df
    >>> [x.shape for x in df.broadcast_arrays(df.zeros((2, 1)), df.zeros(3))]
    [(2, 3), (2, 3)]
    """
    given = [tensor(x) for x in tensors]
    shape = broadcast(*(x.shape for x in given), of="broadcast_arrays")
    return [door.run(_EXPAND, (x,), {"shape": shape}) for x in given]


def flip(x: Tensor, axis: Axes = None) -> Tensor:
    """A view of `x` with the elements in reverse order along `axis` (None: along all axes).

    >>> import dualflow as df
    >>> df.flip(df.asarray([1, 2, 3])).tolist()
    [3, 2, 1]
    """
    x = tensor(x)
    rank = len(x.shape)
    axes = normal_axes(axis, rank)
    return getitem(x, tuple([_REVERSED if i in axes else _WHOLE for i in range(rank)]))


def part(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """The view of `x` from `start` to `stop` along `axis` (all normal)."""
    return getitem(x, (*(_WHOLE,) * axis, _slice(start, stop)))


def fitted(name: str, x: Tensor, n: int | None, axis: int) -> Tensor:
    """`x` with `n` values along `axis` (normal): cut, or padded with zeros."""
    have = x.shape[axis]
    if n is None and have:
        return x
    wanted = have if n is None else index(n)
    if wanted < 1:
        raise ShapeError(f"{name} of {wanted} values of axis {axis} of {x.shape}",
                         why="at least one is needed")  # fmt: skip
    if wanted < have:
        return part(x, axis, 0, wanted)
    if wanted > have:
        widths = tuple((0, wanted - have if i == axis else 0) for i in range(x.ndim))
        return p.pad(x, widths=widths, fill=0.0)
    return x


def roll(x: Tensor, shift: int | Sequence[int], axis: Axes = None) -> Tensor:
    """`x` with its elements moved on by `shift` along `axis`; what falls off comes in again.

    Args:
        x: a tensor.
        shift: how far, one for each axis named.
        axis: None rolls the flattened elements.

    >>> import dualflow as df
    >>> df.roll(df.asarray([1, 2, 3, 4]), 1).tolist()
    [4, 1, 2, 3]
    """
    x = tensor(x)
    rank = len(x.shape)
    if axis is None and rank != 1:
        return p.reshape(roll(flatten(x), shift, 0), shape=x.shape)
    axis = 0 if axis is None else axis
    shifts, axes = as_shape(shift), as_shape(axis)  # type: ignore[arg-type]
    if len(shifts) == 1:
        shifts = shifts * len(axes)
    if len(shifts) != len(axes):
        raise ShapeError(f"roll by {len(shifts)} shifts along {len(axes)} axes")
    return rolled(x, shifts, tuple([normal_axis(one, rank) for one in axes]))


def rolled(x: Tensor, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Tensor:
    """`roll` by one shift for each of `axes` (normal)."""
    eager = door.unnoted(x)
    if eager is not None and axes:
        return eager.compute(np.roll, (x,), shifts, axes)
    moved = False
    for by, i in zip(shifts, axes, strict=True):
        size = x.shape[i]
        by = by % size if size else 0
        if by:
            x = p.concat(part(x, i, size - by, size), part(x, i, 0, size - by), axis=i)
            moved = True
    return x if moved else p.cast(x, dtype=x.dtype)


def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """A view of `x` with two axes exchanged.

    Args:
        x: a tensor.
        axis1, axis2: which; negative ones count from the last.

    >>> import dualflow as df
    >>> df.swapaxes(df.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    x = tensor(x)
    rank = len(x.shape)
    first, second = normal_axis(axis1, rank), normal_axis(axis2, rank)
    order = list(range(rank))
    order[first], order[second] = second, first
    return door.run(_PERMUTE, (x,), {"axes": tuple(order)})
