"""Mean, variance, median and quantiles: compositions that round as NumPy's own functions do.

Comes in: faces and NumPy's keywords. Goes out: faces and scalars, without a value being asked for.
Selecting is done by sorting: a whole sort is one primitive, and no part of its order is left open.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dualflow.base.dtypes import float32, float64
from dualflow.ops import primitives as p

from . import creation, crossing, indexing, layout, made, reductions, ufuncs
from .implementations import implements
from .made import FACES
from .reductions import axes_of, axis_of
from .ufuncs import NotCoveredError, stored_whole

Tensor = Any
#: More elements than these are not sorted for a quantile: NumPy parts them, which is faster.
_SORTED = 1000
#: where NumPy keeps its own functions that leave NaN out, and its quantiles
_nans: Any = np.lib._nanfunctions_impl  # type: ignore[attr-defined]
_numpys: Any = np.lib._function_base_impl  # type: ignore[attr-defined]


def _summed_dtype(x: Tensor, dtype: Any) -> np.dtype | None:
    """The dtype in which elements are added: float64 for integers, float32 for float16."""
    if dtype is not None:
        return ufuncs.dtype_of(dtype)
    if x.dtype.kind in "biu":
        return float64
    return float32 if x.dtype == np.float16 else None


def _divided(total: Tensor, count: int) -> Tensor:
    """`total` / `count` in the dtype of `total`."""
    if total.dtype.kind == "f" and count < 1 << 24:
        return ufuncs.compute(np.true_divide, (total, float(count)))
    found = ufuncs.compute(np.true_divide, (total, np.intp(count)))
    return found if found.dtype == total.dtype else layout.cast(found, total.dtype)


def _count(x: Tensor, axes: tuple[int, ...]) -> int:
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    if count == 0:
        raise NotCoveredError  # NumPy warns
    return count


def _averaged(x: Tensor, axes: tuple[int, ...], dtype: Any, keepdims: bool) -> Tensor:
    total = reductions.reduce_tensor(np.add, x, axes, _summed_dtype(x, dtype), keepdims)
    return _divided(total, _count(x, axes))


def mean(
    face: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    *,
    where: Any = True,
) -> Any:
    """ndarray.mean."""
    x = face._tensor
    if where is not True or (axis is not None and not x.shape):
        raise NotCoveredError
    found = _averaged(x, axes_of(axis, len(x.shape)), dtype, bool(keepdims))
    if x.dtype == np.float16 and dtype is None:
        found = layout.cast(found, x.dtype)
    return made.result(found) if out is None else stored_whole(out, found, "unsafe")


def _variance(
    face: Any, axis: Any, dtype: Any, ddof: Any, keepdims: Any, where: Any, given: Any
) -> Tensor:
    """The variance, in the dtype in which it is computed."""
    x = face._tensor
    axes = axes_of(axis, len(x.shape))
    count = _count(x, axes)
    if where is not True or x.dtype.kind == "c" or (axis is not None and not x.shape):
        raise NotCoveredError
    if type(ddof) not in (int, float) or ddof >= count:
        raise NotCoveredError
    asked = ufuncs.dtype_of(dtype)
    if asked is None and x.dtype.kind in "biu":
        asked = float64
    if given is np._NoValue:  # type: ignore[attr-defined]
        total = reductions.reduce_tensor(np.add, x, axes, asked, True)
        centre = _divided(total, count)
    else:
        centre = creation.asarray(given)._tensor
    gap = ufuncs.compute(np.subtract, (x, centre))
    squares = ufuncs.compute(np.square, (gap,))
    total = reductions.reduce_tensor(np.add, squares, axes, asked, bool(keepdims))
    rest = count - ddof
    if type(rest) is int:
        return _divided(total, rest)
    found = ufuncs.compute(np.true_divide, (total, np.float64(rest)))
    return found if found.dtype == total.dtype else layout.cast(found, total.dtype)


def var(
    face: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = np._NoValue,  # type: ignore[attr-defined]
) -> Any:
    """ndarray.var."""
    found = _variance(face, axis, dtype, ddof, keepdims, where, mean)
    return made.result(found) if out is None else stored_whole(out, found, "unsafe")


def std(
    face: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = np._NoValue,  # type: ignore[attr-defined]
) -> Any:
    """ndarray.std."""
    found = _variance(face, axis, dtype, ddof, keepdims, where, mean)
    found = ufuncs.compute(np.sqrt, (found,))
    return made.result(found) if out is None else stored_whole(out, found, "unsafe")


@implements(_nans._divide_by_count)
def divide_by_count(a: Any, b: Any, out: Any = None) -> Any:
    """What the functions that leave NaN out divide by, in the dtype of `a`."""
    if out is not None or type(a) not in FACES:
        raise NotCoveredError
    if not a.is_scalar:
        return np.divide(a, b, out=a, casting="unsafe")
    return (a / b).astype(a.dtype)


def _sorted(face: Any, axis: Any) -> tuple[Any, int]:
    """The elements in rising order along an axis (None: all of them), NaN last."""
    x = face._tensor
    if axis is None:
        x, axis = p.reshape(x, shape=(x.size,)), 0
    axis = axis_of(axis, len(x.shape))
    if x.dtype.kind not in "iuf" or not 0 < x.shape[axis] <= _SORTED:
        raise NotCoveredError
    order = layout.order_of((x,))
    if order is None:
        return made.face(p.sort(x, axis=axis)), axis
    ordered = p.sort(p.permute(x, axes=order), axis=order.index(axis))
    return made.face(p.permute(ordered, axes=layout.inverse(order))), axis


def _last_if_nan(found: Any, last: Any) -> Any:
    """`found`, but NaN where the greatest element is NaN."""
    if found.dtype.kind != "f":
        return made.result(found._tensor)
    if found.dtype != last.dtype:
        raise NotCoveredError
    x, y = last._tensor, found._tensor if type(found) in FACES else crossing.tensor_of(found)
    return made.result(layout.laid(lambda a, b: p.where.of(p.isnan.of(a), a, b), (x, y), (x, y)))


@implements(_numpys._median)
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False) -> Any:
    """np.median over one axis or all: the mean of the one or two elements in the middle."""
    face = creation.asanyarray(a)
    if out is not None or overwrite_input or not face.ndim:
        raise NotCoveredError
    ordered, axis = _sorted(face, axis)
    middle, odd = divmod(ordered.shape[axis], 2)
    places = [slice(None)] * ordered.ndim
    places[axis] = slice(middle - 1 + odd, middle + 1)
    found = mean(indexing.getitem(ordered, tuple(places)), axis)
    if ordered.dtype.kind != "f":
        return found
    places[axis] = -1  # type: ignore[call-overload]
    return _last_if_nan(_as_face(found), _as_face(indexing.getitem(ordered, tuple(places))))


def _as_face(x: Any) -> Any:
    return x if type(x) in FACES else made.face(crossing.fresh_tensor(np.asarray(x)))


@implements(_numpys._quantile)
def quantile(
    arr: Any,
    quantiles: Any,
    axis: int = -1,
    method: str = "linear",
    out: Any = None,
    weights: Any = None,
    weak_q: bool = False,
) -> Any:
    """Quantiles along one axis: NumPy's own positions, taken from the elements in order."""
    if out is not None or weights is not None or type(quantiles) in FACES:
        raise NotCoveredError
    ordered, axis = _sorted(creation.asanyarray(arr), axis)
    if axis:
        ordered = np.moveaxis(ordered, axis, 0)
    count = ordered.shape[0]
    kind = _numpys._QuantileMethods[method]
    virtual = np.asanyarray(kind["get_virtual_index"](count, quantiles))
    last = _as_face(ordered[-1])
    if np.issubdtype(virtual.dtype, np.integer):
        found = _as_face(np.take(ordered, virtual, axis=0))
        return _last_if_nan(found, last)
    before, after = _numpys._get_indexes(np.empty(0, ordered.dtype), virtual, count)
    share = _numpys._get_gamma(virtual, before, kind)
    share = float(share) if weak_q else share.reshape(virtual.shape + (1,) * (ordered.ndim - 1))
    low, high = (_as_face(ordered[places]) for places in (before, after))
    return _last_if_nan(_between(low, high, share), last)


def _between(low: Any, high: Any, share: Any) -> Any:
    """low + (high - low) * share, counted from the nearer end."""
    gap = high - low
    near, far = low + gap * share, high - gap * (1 - share)
    if type(share) is float:
        return _as_face(far if share >= 0.5 else near)
    return _as_face(np.where(share >= 0.5, far, near))
