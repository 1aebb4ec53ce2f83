"""Shapes and places: reshape, permute_dims, broadcast_to, flip, roll, pad, concat, stack, split."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

from dualflow.base.dtypes import promote
from dualflow.base.errors import ArgumentError, ShapeError
from dualflow.base.shapes import Axes, Shape, broadcast, normal_axes, normal_axis, size_of

from .. import primitives as p
from ..operands import TENSORS, tensor

Tensor = Any


def as_shape(shape: int | Sequence[int]) -> Shape:
    """`shape` as a tuple of Python integers."""
    if type(shape) is int:
        return (shape,)
    try:
        return tuple(map(index, shape)) if not hasattr(shape, "__index__") else (index(shape),)  # type: ignore[arg-type]
    except TypeError as cause:
        raise ArgumentError(f"a shape of type {type(shape).__name__}",
                            instead="an integer or a tuple of integers") from cause  # fmt: skip


def reshape(x: Tensor, *shape: Any, copy: bool | None = None) -> Tensor:
    """The elements of `x`, row by row, in another shape; a view where the strides allow it.

    Args:
        x: any tensor.
        shape: as many elements as `x` has; one size may be -1, and is then inferred.
        copy: True copies always, False raises ShapeError instead of copying.

    Raises:
        ShapeError: the sizes do not fit.
    """
    if type(x) not in TENSORS:
        x = tensor(x)
    wanted = as_shape(shape[0] if len(shape) == 1 else shape)
    if -1 in wanted:
        wanted = _inferred(x.shape, wanted)
    made = p.reshape(x, shape=wanted)
    if copy:
        return made.copy()
    if copy is False and not made._view:
        raise ShapeError(f"reshape of {x.shape} to {wanted} without a copy",
                         why="the elements do not lie evenly in memory",
                         instead="copy=None")  # fmt: skip
    return made


def _inferred(shape: Shape, wanted: Shape) -> Shape:
    rest = size_of(tuple(size for size in wanted if size != -1))
    total = size_of(shape)
    if wanted.count(-1) > 1 or rest == 0 or total % rest:
        raise ShapeError(f"reshape of {shape} to {wanted}",
                         why="the size for -1 cannot be inferred",
                         instead="all sizes, or one -1 among sizes that divide "
                                 f"{total}")  # fmt: skip
    return tuple(total // rest if size == -1 else size for size in wanted)


def permute_dims(x: Tensor, *axes: Any) -> Tensor:
    """A view of `x` with its axes in the order `axes`."""
    x = tensor(x)
    order = as_shape(axes[0] if len(axes) == 1 else axes)
    return p.permute(x, axes=tuple(normal_axis(axis, x.ndim) for axis in order))


def matrix_transpose(x: Tensor) -> Tensor:
    """A view of `x` with its last two axes exchanged."""
    x = tensor(x)
    rank = x.ndim
    if rank < 2:
        raise ShapeError(f"matrix_transpose of {x.shape}", instead="a tensor with 2 or more axes")
    return p.permute(x, axes=(*range(rank - 2), rank - 1, rank - 2))


def broadcast_to(x: Tensor, *shape: Any) -> Tensor:
    """A read-only view of `x`, repeated along new axes and axes of size 1 to `shape`."""
    x = tensor(x)
    wanted = as_shape(shape[0] if len(shape) == 1 else shape)
    return x if x.shape == wanted else p.expand(x, shape=wanted)


def flip(x: Tensor, axis: Axes = None) -> Tensor:
    """A view of `x` with the elements in reverse order along `axis` (None: along all axes)."""
    x = tensor(x)
    axes = normal_axes(axis, x.ndim)
    shape = x.shape
    return p.slice(
        x,
        starts=tuple(max(n - 1, 0) if i in axes else 0 for i, n in enumerate(shape)),
        stops=tuple(-1 if i in axes and n else n for i, n in enumerate(shape)),
        steps=tuple(-1 if i in axes and n else 1 for i, n in enumerate(shape)),
    )


def pad(x: Tensor, widths: Any, fill: float = 0.0) -> Tensor:
    """`x` with `fill` put before and after along each axis.

    Args:
        widths: one integer for all sides, or a pair (before, after) for each axis.
        fill: a Python scalar.
    """
    x = tensor(x)
    if isinstance(widths, int):
        widths = ((widths, widths),) * x.ndim
    kind = {"f": float, "b": bool}.get(x.dtype.kind, int)
    exact = kind(fill) if kind(fill) == fill or fill != fill else fill
    return p.pad(x, widths=tuple((index(a), index(b)) for a, b in widths), fill=exact)


def concat(tensors: Sequence[Tensor], axis: int | None = 0) -> Tensor:
    """The tensors one after the other along `axis` (None: flattened first)."""
    given = [tensor(x) for x in tensors]
    if not given:
        raise ShapeError("concat of nothing", instead="at least one tensor")
    if axis is None:
        given, axis = [reshape(x, -1) for x in given], 0
    dtype = given[0].dtype
    for x in given:
        dtype = promote(dtype, x.dtype)
    given = [x if x.dtype == dtype else p.cast(x, dtype=dtype) for x in given]
    return p.concat(*given, axis=normal_axis(axis, given[0].ndim))


def broadcast_tensors(*tensors: Tensor) -> list[Tensor]:
    """Views of the tensors, all of their common shape."""
    given = [tensor(x) for x in tensors]
    shape = broadcast(*(x.shape for x in given))
    return [broadcast_to(x, shape) for x in given]
