"""Folding axes as NumPy does: `np.add.reduce` and its relatives, running folds, positions.

Comes in: faces and NumPy's keywords. Goes out: faces and scalars; `NotCoveredError` where rounding
would differ (a start value or a mask for float sums), for then NumPy computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dualflow.base.dtypes import bool_, int64
from dualflow.base.shapes import reduced
from dualflow.ops import primitives as p
from dualflow.ops.record import Strict

from . import crossing, layout, made, ufuncs
from .made import FACES
from .ufuncs import METHODS, NotCoveredError, stored_whole

Tensor = Any
NO_VALUE: Any = np._NoValue  # type: ignore[attr-defined]


def axes_of(axis: Any, rank: int) -> tuple[int, ...]:
    """`axis` of a reduction as a sorted tuple counted from 0.

    Raises:
        NotCoveredError: NumPy refuses it.
    """
    if axis is None:
        return tuple(range(rank))
    given = axis if isinstance(axis, Sequence) else (axis,)
    try:
        found = [np._core.multiarray.normalize_axis_index(i, rank) for i in given]  # type: ignore[attr-defined]
    except (np.exceptions.AxisError, TypeError) as cause:
        if rank == 0 and axis in (0, -1):  # a scalar counts as having one axis here
            return ()
        raise NotCoveredError from cause
    if len(set(found)) != len(found):
        raise NotCoveredError
    return tuple(sorted(found))


def axis_of(axis: Any, rank: int) -> int:
    """One axis counted from 0; NotCoveredError where NumPy refuses it."""
    try:
        return np._core.multiarray.normalize_axis_index(axis, rank)  # type: ignore[attr-defined]
    except (np.exceptions.AxisError, TypeError) as cause:
        raise NotCoveredError from cause


def folded(primitive: Strict, x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """`primitive` of `x` over `axes`, in NumPy's layout."""
    shape = x.shape
    order = layout.order_of((x,))
    if order is None:
        out = primitive(x, axes=axes)
        return p.reshape(out, shape=reduced(shape, axes, True)) if keepdims else out
    moved = tuple(sorted(order.index(axis) for axis in axes))
    out = primitive(p.permute(x, axes=order), axes=moved)
    if keepdims:
        out = p.reshape(out, shape=reduced(tuple(shape[i] for i in order), moved, True))
        return p.permute(out, axes=layout.inverse(order))
    kept = [axis for axis in order if axis not in axes]
    back = layout.inverse(tuple(sorted(kept).index(axis) for axis in kept))
    return p.permute(out, axes=back) if len(kept) > 1 else out


def reduce_tensor(
    ufunc: np.ufunc,
    x: Tensor,
    axes: tuple[int, ...],
    dtype: np.dtype | None = None,
    keepdims: bool = False,
    initial: Any = NO_VALUE,
    where: Any = True,
) -> Tensor:
    """`ufunc.reduce` of a tensor.

    Raises:
        NotCoveredError: no operation gives the same.
    """
    primitive, kinds = _REDUCTIONS[ufunc]
    if ufunc in (np.logical_and, np.logical_or):
        if dtype not in (None, bool_) or initial is not NO_VALUE:
            raise NotCoveredError
        x = truth(x)
    elif dtype is not None and dtype != x.dtype:
        if not crossing.supported(dtype) or not np.can_cast(x.dtype, dtype, "same_kind"):
            raise NotCoveredError
        x = layout.cast(x, dtype)
    if x.dtype.kind not in kinds:
        raise NotCoveredError
    exact = x.dtype.kind in "biu" or ufunc in (np.maximum, np.minimum)
    if not exact and (initial is not NO_VALUE or where is not True):
        raise NotCoveredError  # NumPy adds in another order then
    if where is not True:
        x = _masked(ufunc, x, where, initial)
    out = folded(primitive, x, axes, keepdims)
    if dtype is not None and out.dtype != dtype and ufunc not in (np.logical_and, np.logical_or):
        out = layout.cast(out, dtype)  # a sum in few bits wraps as NumPy's does
    if initial is NO_VALUE:
        return out
    start = np.asarray(initial, out.dtype)[()].item()
    return plan_of(ufunc, out)(out, start)


def plan_of(ufunc: np.ufunc, x: Tensor) -> Callable[..., Tensor]:
    """`ufunc` as a function of `x` and a Python scalar of its dtype."""
    return lambda x, y: ufuncs.compute(ufunc, (x, x.dtype.type(y)))


def _masked(ufunc: np.ufunc, x: Tensor, where: Any, initial: Any) -> Tensor:
    mask = ufuncs.operand(where)
    if ufuncs.kind_of(mask) != bool_ or not hasattr(mask, "shape"):
        raise NotCoveredError
    if isinstance(mask, np.generic):
        mask = p.full(shape=(), value=bool(mask), dtype=bool_)
    if ufunc in (np.maximum, np.minimum) and initial is NO_VALUE:
        raise NotCoveredError
    primitive, _ = _REDUCTIONS[ufunc]
    identity = primitive.op.identity
    assert identity is not None
    return p.where.of(mask, x, identity(x.dtype))


def truth(x: Tensor) -> Tensor:
    """Whether elements are not 0."""
    if x.dtype == bool_:
        return x
    return layout.laid(lambda v: p.not_equal.of(v, 0), (x,), (x,))


_REDUCTIONS: dict[np.ufunc, tuple[Strict, str]] = {
    np.add: (p.sum, "biufc"),
    np.multiply: (p.prod, "biufc"),
    np.maximum: (p.max, "biuf"),
    np.minimum: (p.min, "biuf"),
    np.logical_and: (p.all, "b"),
    np.logical_or: (p.any, "b"),
}


#: ufunc -> the primitive that is its `reduce` of numbers
PRIMITIVES = {ufunc: primitive for ufunc, (primitive, _) in _REDUCTIONS.items()}


def reducer(ufunc: np.ufunc) -> Callable[..., Any]:
    """`ufunc.reduce` with NumPy's signature."""

    def reduce(
        array: Any,
        axis: Any = 0,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = NO_VALUE,
        where: Any = True,
    ) -> Any:
        x = tensor(array)
        asked = ufuncs.dtype_of(dtype)
        if type(out) is tuple:
            (out,) = out
        if asked is None and out is not None and type(out) in FACES:
            asked = out._tensor.dtype if ufunc in (np.add, np.multiply) else None
        axes = axes_of(axis, len(x.shape))
        found = reduce_tensor(ufunc, x, axes, asked, bool(keepdims), initial, where)
        if out is Ellipsis:
            return made.face(found)
        return made.result(found) if out is None else stored_whole(out, found, "unsafe")

    return reduce


def tensor(x: Any) -> Tensor:
    """The tensor of a face, array or list.

    Raises:
        NotCoveredError: there is none.
    """
    found = ufuncs.operand(x)
    if not hasattr(found, "shape") or isinstance(found, np.generic):
        raise NotCoveredError
    return found


def _accumulator(primitive: Strict, ufunc: np.ufunc) -> Callable[..., Any]:
    def accumulate(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        x = tensor(array)
        asked = ufuncs.dtype_of(dtype)
        if type(out) is tuple:
            (out,) = out
        if asked is None and out is not None and type(out) in FACES:
            asked = out._tensor.dtype
        found = running(primitive, x, axis_of(axis, len(x.shape)), asked)
        return made.face(found) if out is None else stored_whole(out, found, "unsafe")

    return accumulate


def running(primitive: Strict, x: Tensor, axis: int, dtype: np.dtype | None) -> Tensor:
    """`primitive`, a running fold, along `axis`, in NumPy's layout."""
    if dtype is not None and dtype != x.dtype:
        if not crossing.supported(dtype):
            raise NotCoveredError
        x = layout.cast(x, dtype)
    if x.dtype.kind == "b" and dtype == bool_:
        raise NotCoveredError
    order = layout.order_of((x,))
    if order is None:
        out = primitive(x, axis=axis)
    else:
        out = primitive(p.permute(x, axes=order), axis=order.index(axis))
        out = p.permute(out, axes=layout.inverse(order))
    return out if dtype is None or out.dtype == dtype else layout.cast(out, dtype)


def position(primitive: Strict, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    """argmax and argmin: of all elements row by row, or along one axis."""
    rank = len(x.shape)
    axes = tuple(range(rank)) if axis is None else (axis_of(axis, rank),)
    if x.dtype.kind not in "biuf":
        raise NotCoveredError
    out = primitive(x, axes=axes)
    return p.reshape(out, shape=reduced(x.shape, axes, True)) if keepdims else out


for _ufunc in _REDUCTIONS:
    METHODS[_ufunc, "reduce"] = reducer(_ufunc)
METHODS[np.add, "accumulate"] = _accumulator(p.cumsum, np.add)
METHODS[np.multiply, "accumulate"] = _accumulator(p.cumprod, np.multiply)
METHODS[np.maximum, "accumulate"] = _accumulator(p.cummax, np.maximum)
METHODS[np.minimum, "accumulate"] = _accumulator(p.cummin, np.minimum)
METHODS[np.logaddexp, "accumulate"] = _accumulator(p.logcumsumexp, np.logaddexp)


def count(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """How many elements are not 0."""
    return folded(p.sum, layout.cast(truth(x), int64), axes, keepdims)
