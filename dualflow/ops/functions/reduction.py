"""Folding axes: sum, prod, max, min, any, all, mean, var, std, positions, running folds.

`axis` is an integer, several, or None for all axes; keepdims keeps folded axes with size 1.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from dualflow.base.dtypes import (
    as_dtype,
    bool_,
    compute_dtype,
    float16,
    float32,
    float64,
    floating,
    is_complex,
    is_inexact,
)
from dualflow.base.errors import ShapeError
from dualflow.base.shapes import Axes, Shape, normal_axes, normal_axis, reduced
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType

from .. import door
from .. import primitives as p
from ..devices import near
from ..operands import TENSORS, tensor
from ..primitives.reduction import spread
from ..record import Strict, linear
from .elementwise import conj, isclose, real, sqrt

Tensor = Any
_DIVIDE = p.divide.op


def _fold(primitive: Strict, x: Tensor, axis: Axes, keepdims: bool) -> Tensor:
    shape = x.shape
    axes = normal_axes(axis, len(shape))
    out = door.run(primitive.op, (x,), {"axes": axes})
    if not keepdims:
        return out
    kept = reduced(shape, axes, True)
    eager = door.unnoted(x)
    return p.reshape(out, shape=kept) if eager is None else eager.shaped(out, kept)


def _in_dtype(x: Tensor, dtype: Any) -> Tensor:
    found = as_dtype(dtype)
    return x if x.dtype == found else p.cast(x, dtype=found)


def sum(x: Tensor, axis: Axes = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum; integers and booleans are summed in 64 bits, narrow floats in float32.

    Args:
        x: a tensor.
        axis: over which axes: an integer, several, or None for all.
        dtype: to sum in, and of the result.
        keepdims: whether these axes stay, with size 1.

    Raises:
        ShapeError: an axis that does not exist.

    >>> import dualflow as df
    >>> df.sum(df.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=0).tolist()
    [4.0, 6.0]
    """
    if type(x) not in TENSORS:
        x = tensor(x)
    if dtype is None:
        if x.dtype != float16:
            return _fold(p.sum, x, axis, keepdims)
        dtype = float16
    return _in_dtype(_fold(p.sum, _to_fold(x, dtype), axis, keepdims), dtype)


def _to_fold(x: Tensor, dtype: Any) -> Tensor:
    """`x` in `dtype`, and then in the dtype in which such numbers are summed: NumPy adds float16 in
    itself, step by step."""
    x = _in_dtype(x, dtype)
    return p.cast(x, dtype=float32) if x.dtype == float16 else x


def prod(x: Tensor, axis: Axes = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The product; integers and booleans are multiplied in 64 bits.

    Arguments as for `sum`.

    >>> import dualflow as df
    >>> df.prod(df.asarray([2, 3, 4])).item()
    24
    """
    x = tensor(x)
    if dtype is None:
        if x.dtype != float16:
            return _fold(p.prod, x, axis, keepdims)
        dtype = float16
    return _in_dtype(_fold(p.prod, _to_fold(x, dtype), axis, keepdims), dtype)


def max(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest element; NaN if any is NaN.

    Arguments as for `sum`.

    Raises:
        ShapeError: there are no elements.

    >>> import dualflow as df
    >>> df.max(df.asarray([[1, 5], [3, 4]]), axis=1).tolist()
    [5, 4]
    """
    return _fold(p.max, tensor(x), axis, keepdims)


def min(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The smallest element; NaN if any is NaN.

    Arguments as for `sum`.

    Raises:
        ShapeError: there are no elements.

    >>> import dualflow as df
    >>> df.min(df.asarray([[1, 5], [3, 4]]), axis=1).tolist()
    [1, 3]
    """
    return _fold(p.min, tensor(x), axis, keepdims)


def any(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether any element is true (not 0).

    Arguments as for `sum`.

    >>> import dualflow as df
    >>> df.any(df.asarray([False, True])).item()
    True
    """
    return _fold(p.any, _truth(x), axis, keepdims)


def all(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether all elements are true (not 0).

    Arguments as for `sum`.

    >>> import dualflow as df
    >>> df.all(df.asarray([1, 0])).item()
    False
    """
    return _fold(p.all, _truth(x), axis, keepdims)


def _truth(x: Tensor) -> Tensor:
    """What any and all fold; NumPy itself takes numbers for booleans."""
    x = tensor(x)
    plain = x.dtype == bool_ or door.unnoted(x) is not None
    return x if plain else p.cast(x, dtype=bool_)


def argmax(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The position of the first largest element (or first NaN); of all axes: row by row.

    Arguments as for `sum`.

    Raises:
        ShapeError: there are no elements.

    >>> import dualflow as df
    >>> df.argmax(df.asarray([1.0, 3.0, 3.0])).item()
    1
    """
    return _fold(p.argmax, tensor(x), axis, keepdims)


def argmin(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The position of the first smallest element (or first NaN); of all axes: row by row.

    Arguments as for `sum`.

    Raises:
        ShapeError: there are no elements.

    >>> import dualflow as df
    >>> df.argmin(df.asarray([3.0, 1.0, 1.0])).item()
    1
    """
    return _fold(p.argmin, tensor(x), axis, keepdims)


def _count(x: Tensor, axis: Axes) -> int:
    return math.prod(x.shape[i] for i in normal_axes(axis, x.ndim))


def mean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The mean, a float; NaN of no elements. Narrower floats are summed in float32.

    Arguments as for `sum`.

    >>> import dualflow as df
    >>> df.mean(df.asarray([1.0, 2.0, 6.0])).item()
    3.0
    """
    x = tensor(x)
    dtype = x.dtype
    if is_inexact(dtype) and compute_dtype(dtype) == dtype:
        eager = door.computing(x)
        if eager is not None:
            how = {"axes": normal_axes(axis, len(x.shape)), "kept": keepdims}
            return door.noted(_MEAN, eager.apply(_MEAN, (x,), how), x, **how)
        out = sum(x, axis, keepdims=keepdims)
        count = x.size if axis is None else _count(x, axis)
        return door.elementwise(_DIVIDE, out, float(count))
    dtype = floating(dtype)
    return p.cast(mean(p.cast(x, dtype=float32), axis, keepdims), dtype=dtype)


def _mean(x: np.ndarray, *, axes: tuple[int, ...], kept: bool) -> Any:
    return np.true_divide(np.add.reduce(x, axis=axes, keepdims=kept), _size(x.shape, axes))


def _mean_type(x: TensorType, *, axes: tuple[int, ...], kept: bool) -> TensorType:
    return TensorType(reduced(x.shape, axes, kept), x.dtype)


def _size(shape: Shape, axes: tuple[int, ...]) -> float:
    return float(math.prod([shape[axis] for axis in axes]))


#: what the tape notes of a mean that is made in one step
_MEAN = Op(
    "mean", Kind.REDUCTION, _mean_type, _mean,
    gradient=lambda g, out, x, axes, kept: (
        spread(door.elementwise(_DIVIDE, g, _size(x.shape, axes)), x.shape, axes),),
    forward=linear(lambda tangents, out, x, axes, kept: mean(tangents[0], axes, kept)),
)  # fmt: skip


def var(x: Tensor, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The mean squared distance from the mean, divided by n - correction instead of n.

    Args:
        x: a tensor; integers become floats.
        axis, keepdims: as for `sum`.
        correction: 1 for the unbiased estimate, which is PyTorch's default.

    >>> import dualflow as df
    >>> df.var(df.asarray([1.0, 3.0])).item()
    1.0
    """
    x = tensor(x)
    dtype = floating(x.dtype)
    at_once = _at_once(np.ndarray.var, x, axis, correction, keepdims)
    if at_once is not None:
        return at_once
    wide = compute_dtype(dtype)
    values = x if x.dtype == wide else p.cast(x, dtype=wide)
    gap = values - mean(values, axis, keepdims=True)
    squared = real(gap * conj(gap)) if is_complex(wide) else gap * gap
    out = p.divide.of(
        sum(squared, axis, keepdims=keepdims),
        builtins.max(float(_count(x, axis) - correction), 0.0),
    )
    return out if dtype == wide else p.cast(out, dtype=dtype)


def std(x: Tensor, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The square root of `var`.

    >>> import dualflow as df
    >>> df.std(df.asarray([1.0, 3.0])).item()
    1.0
    """
    at_once = _at_once(np.ndarray.std, x, axis, correction, keepdims)
    return sqrt(var(x, axis, correction, keepdims)) if at_once is None else at_once


def _at_once(function: Any, x: Any, axis: Axes, correction: float, keepdims: bool) -> Tensor | None:
    """NumPy's `var` or `std`, where it has the bits and the warnings of the ops."""
    x = tensor(x)
    eager = door.unnoted(x)
    dtype = x.dtype
    if eager is None or dtype not in (float32, float64):
        return None
    if axis is None:
        count = x.size
    elif type(axis) is int and -x.ndim <= axis < x.ndim:
        count = x.shape[axis]
    else:
        axis = normal_axes(axis, x.ndim)
        count = _count(x, axis)
    if count <= correction:
        return None
    whole = int(correction)  # NumPy counts faster in integers
    fewer = whole if whole == correction else correction
    return eager.compute(function, (x,), axis, None, None, fewer, keepdims)


def cumulative_sum(
    x: Tensor, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running sums along `axis`; integers and booleans in 64 bits.

    Args:
        x: a tensor.
        axis: may be left out for a tensor with one axis.
        dtype: the dtype to sum in.
        include_initial: begin with 0, one element more.

    >>> import dualflow as df
    >>> df.cumulative_sum(df.asarray([1, 2, 3])).tolist()
    [1, 3, 6]
    """
    return _running(p.cumsum, x, axis, dtype, include_initial, 0)


def cumulative_prod(
    x: Tensor, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running products along `axis`; integers and booleans in 64 bits.

    Arguments as for `cumulative_sum`.

    >>> import dualflow as df
    >>> df.cumulative_prod(df.asarray([1, 2, 3])).tolist()
    [1, 2, 6]
    """
    return _running(p.cumprod, x, axis, dtype, include_initial, 1)


cumsum, cumprod = cumulative_sum, cumulative_prod


def cumulative_max(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Running maxima along `axis`; NaN from the first NaN on.

    The gradient goes to the element by which each maximum was reached first.

    Args:
        x: a tensor.
        axis: may be left out for a tensor with one axis.
        dtype: the dtype to compare in.

    >>> import dualflow as df
    >>> df.cumulative_max(df.asarray([1, 3, 2])).tolist()
    [1, 3, 3]
    """
    return _running(p.cummax, x, axis, dtype, False, 0)


def cumulative_min(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Running minima along `axis`; NaN from the first NaN on.

    Arguments as for `cumulative_max`.

    >>> import dualflow as df
    >>> df.cumulative_min(df.asarray([3, 1, 2])).tolist()
    [3, 1, 1]
    """
    return _running(p.cummin, x, axis, dtype, False, 0)


def cumulative_logsumexp(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Running log(exp(x[0]) + ... + exp(x[i])) along `axis`, with no overflow; of integers in the
    default float dtype.

    Arguments as for `cumulative_sum`.

    >>> import dualflow as df
    >>> df.round(df.cumulative_logsumexp(df.asarray([1000.0, 1000.0])), 1).tolist()
    [1000.0, 1000.7000122070312]
    """
    x = tensor(x)
    x = _in_dtype(x, floating(x.dtype)) if dtype is None else x
    return _running(p.logcumsumexp, x, axis, dtype, False, 0)


@near
def _running(
    primitive: Strict, x: Tensor, axis: int | None, dtype: Any, initial: bool, start: int
) -> Tensor:
    x = tensor(x)
    if axis is None:
        if x.ndim != 1:
            raise ShapeError(f"{primitive.op.name} of {x.shape}", instead="axis=...")
        axis = 0
    axis = normal_axis(axis, x.ndim)
    if dtype is None:
        out = primitive(x, axis=axis)
    else:
        out = _in_dtype(primitive(_in_dtype(x, dtype), axis=axis), dtype)
    if not initial:
        return out
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    value = float(start) if is_inexact(out.dtype) else start
    return p.concat(p.full(shape=shape, value=value, dtype=out.dtype), out, axis=axis)


def count_nonzero(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """How many elements are not 0.

    Arguments as for `sum`.

    >>> import dualflow as df
    >>> df.count_nonzero(df.asarray([1, 0, 2])).item()
    2
    """
    x = tensor(x)
    eager = None if keepdims or axis is not None else door.unnoted(x)
    if eager is not None:
        return eager.compute(np.count_nonzero, (x,))
    return sum(p.cast(x, dtype=bool_), axis, keepdims=keepdims)


def allclose(
    x: Tensor, y: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, see `isclose`; a Python boolean.

    >>> import dualflow as df
    >>> df.allclose(df.asarray([1.0]), df.asarray([1.0 + 1e-7]))
    True
    """
    return bool(all(isclose(x, y, rtol, atol, equal_nan)))
