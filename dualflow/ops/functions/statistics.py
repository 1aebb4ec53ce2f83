"""Order statistics, sums that leave NaN out, covariances, counts in bins.

Composites over the public functions: differentiable wherever their parts are. `axis` is an
integer, several, or None for all axes; keepdims keeps folded axes with size 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dualflow.base.dtypes import float64, floating, int64, is_complex, is_float, promote
from dualflow.base.errors import ArgumentError, DomainError, ShapeError
from dualflow.base.shapes import Axes, as_integer, normal_axes, reduced, size_of
from dualflow.base.source import called

from .. import door
from .. import primitives as p
from ..devices import near
from ..operands import TENSORS, tensor
from ..rules import check_kind
from .creation import arange, full, zeros
from .elementwise import conj, divide, floor, isnan, sqrt, where
from .joining import concat
from .linear import matmul
from .movement import flatten, flip, matrix_transpose
from .reduction import all, max, mean, min, sum
from .searching import searchsorted

Tensor = Any
_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def _floats(x: Any) -> Tensor:
    x = tensor(x)
    dtype = floating(x.dtype)
    return x if x.dtype == dtype else p.cast(x, dtype=dtype)


def _lanes(x: Tensor, axis: Axes) -> tuple[Tensor, tuple[int, ...]]:
    """`x` with the axes to be folded merged into a last one; and these axes."""
    axes = normal_axes(axis, x.ndim)
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    moved = p.permute(x, axes=kept + axes)
    shape = (*(x.shape[i] for i in kept), size_of(tuple(x.shape[i] for i in axes)))
    return p.reshape(moved, shape=shape), axes


def median(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The middle element, or the mean of the two in the middle; NaN if any is NaN.

    Arguments as for `sum`.

    Raises:
        ShapeError: there are no elements.

    >>> import dualflow as df
    >>> df.median(df.asarray([3.0, 1.0, 2.0, 10.0])).item()
    2.5
    """
    x = _floats(x)
    eager = door.unnoted(x)
    if eager is not None and x.size and is_float(x.dtype):
        return eager.compute(_middle, (x,), normal_axes(axis, x.ndim), keepdims)
    return quantile(x, 0.5, axis, keepdims, method="midpoint")


def _middle(x: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    """What `quantile` computes op by op; np.median gives zeros another sign."""
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(x.shape[i] for i in kept)
    ordered = np.sort(x.transpose(kept + axes).reshape((*shape, -1)), axis=-1, kind="stable")
    size = ordered.shape[-1]
    low = (size - 1) // 2
    out = ordered[..., low]
    if size % 2 == 0:
        out = (out + ordered[..., low + 1]) * x.dtype.type(0.5)
    last = ordered[..., -1]
    out = np.where(np.isnan(last), last, out)
    return out.reshape(reduced(x.shape, axes, keepdims))


@near
def quantile(
    x: Tensor,
    q: float | Sequence[float] | Tensor,
    axis: Axes = None,
    keepdims: bool = False,
    method: str = "linear",
) -> Tensor:
    """The values below which the parts `q` of the elements lie; NaN if any element is NaN.

    Args:
        x: real numbers.
        q: from 0 to 1; for a sequence or tensor of shape (k,) the result has a first axis of k.
        axis: axes of `x` to fold.
        keepdims: keep them with size 1.
        method: between two elements: "linear", "lower", "higher", "midpoint" or "nearest".

    Raises:
        ArgumentError: another `method`.
        ShapeError: there are no elements.
        DomainError: a Python number `q` that is not from 0 to 1.

    >>> import dualflow as df
    >>> df.quantile(df.asarray([0.0, 1.0, 2.0, 3.0]), 0.25).item()
    0.75
    """
    if method not in _METHODS:
        raise ArgumentError(f"method={method!r}", instead=", ".join(_METHODS))
    if type(q) not in TENSORS and np.asarray(q).dtype.kind not in "biuf":
        raise ArgumentError(f"{called()} at {q!r}", instead="parts from 0 to 1")
    if type(q) not in TENSORS and not np.all((np.asarray(q) >= 0) & (np.asarray(q) <= 1)):
        raise DomainError(f"a quantile at {q}", instead="parts from 0 to 1")
    x = _floats(x)
    shape = x.shape
    lanes, axes = _lanes(x, axis)
    size = lanes.shape[-1]
    if not size:
        raise ShapeError(f"{called()} of {shape} over axes {axes}", why="there are no elements")
    last = lanes.ndim - 1
    ordered = p.sort(lanes, axis=last)
    place = _numbers(q) * (size - 1)
    out = _between(ordered, place, method, last, size)
    broken = isnan(ordered[..., size - 1])
    if place.ndim:  # (lanes..., k) -> (k, lanes...)
        out = p.permute(out, axes=(last, *range(last)))
    out = where(broken, math.nan, out)
    if not keepdims:
        return out
    return p.reshape(out, shape=(*place.shape, *reduced(shape, axes, True)))


def _numbers(q: float | Sequence[float] | Tensor) -> Tensor:
    """`q` as float64, of shape () or (k,)."""
    if type(q) in TENSORS:
        return p.cast(q, dtype=float64)
    parts = np.asarray(q, np.float64)
    shape = () if parts.ndim == 0 else (1,)
    made = [p.full(shape=shape, value=value, dtype=float64) for value in parts.reshape(-1).tolist()]
    return p.concat(*made, axis=0) if shape else made[0]


def _between(ordered: Tensor, place: Tensor, method: str, axis: int, size: int) -> Tensor:
    low = floor(place)
    part = place - low
    if method == "nearest":
        low, part = p.round.of(place), part * 0
    below = p.cast(low, dtype=int64).clip(0, size - 1)
    above = (below + 1).clip(0, size - 1)
    a, b = p.take(ordered, below, axis=axis), p.take(ordered, above, axis=axis)
    part = p.cast(part, dtype=ordered.dtype)
    if method in ("lower", "nearest"):
        return a
    if method == "higher":
        return where(part > 0, b, a)
    if method == "midpoint":
        return where(part > 0, (a + b) * 0.5, a)
    near = part < 0.5
    return where(part == 0, a, where(near, a + (b - a) * part, b - (b - a) * (1.0 - part)))


def percentile(
    x: Tensor, q: Any, axis: Axes = None, keepdims: bool = False, method: str = "linear"
) -> Tensor:
    """`quantile` at q / 100.

    >>> import dualflow as df
    >>> df.percentile(df.asarray([0.0, 1.0, 2.0, 3.0]), 50).item()
    1.5
    """
    part = q / 100 if isinstance(q, (int, float)) else divide(tensor(q), 100.0)
    return quantile(x, part, axis, keepdims, method)


def nansum(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The sum of the elements that are not NaN.

    Arguments as for `sum`.

    >>> import dualflow as df
    >>> df.nansum(df.asarray([1.0, float("nan"), 2.0])).item()
    3.0
    """
    x = tensor(x)
    return sum(where(isnan(x), 0, x), axis, keepdims=keepdims)


def nanmean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The mean of the elements that are not NaN; NaN if there is none.

    Arguments as for `sum`.

    >>> import dualflow as df
    >>> df.nanmean(df.asarray([1.0, float("nan"), 2.0])).item()
    1.5
    """
    x = _floats(x)
    count = sum(~isnan(x), axis, keepdims=keepdims)
    return divide(nansum(x, axis, keepdims), p.cast(count, dtype=x.dtype))


def nanvar(x: Tensor, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """`var` of the elements that are not NaN.

    Arguments as for `var`.

    >>> import dualflow as df
    >>> df.nanvar(df.asarray([1.0, float("nan"), 3.0])).item()
    1.0
    """
    x = _floats(x)
    gap = where(isnan(x), 0, x - nanmean(x, axis, keepdims=True))
    count = p.cast(sum(~isnan(x), axis, keepdims=keepdims), dtype=gap.dtype)
    return divide(sum(gap * gap, axis, keepdims=keepdims), (count - correction).clip(0.0))


def nanstd(x: Tensor, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The square root of `nanvar`.

    >>> import dualflow as df
    >>> df.nanstd(df.asarray([1.0, float("nan"), 3.0])).item()
    1.0
    """
    return sqrt(nanvar(x, axis, correction, keepdims))


def nanmax(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest element that is not NaN; NaN if there is none.

    Arguments as for `sum`.

    >>> import dualflow as df
    >>> df.nanmax(df.asarray([1.0, float("nan"), 2.0])).item()
    2.0
    """
    return _nan_extreme(max, -math.inf, x, axis, keepdims)


def nanmin(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The smallest element that is not NaN; NaN if there is none.

    Arguments as for `sum`.

    >>> import dualflow as df
    >>> df.nanmin(df.asarray([1.0, float("nan"), 2.0])).item()
    1.0
    """
    return _nan_extreme(min, math.inf, x, axis, keepdims)


def _nan_extreme(
    fold: Callable[..., Tensor], least: float, x: Any, axis: Axes, keepdims: bool
) -> Tensor:
    x = tensor(x)
    if not is_float(x.dtype):
        return fold(x, axis, keepdims=keepdims)
    missing = isnan(x)
    out = fold(where(missing, least, x), axis, keepdims=keepdims)
    return where(all(missing, axis, keepdims=keepdims), math.nan, out)


def average(x: Tensor, axis: Axes = None, weights: Any = None) -> Tensor:
    """The mean, in which each element counts as much as its weight says.

    Args:
        x: a tensor.
        axis: axes to fold.
        weights: broadcast with `x`; of shape (n,) for one `axis` of n elements. None: all equal.

    >>> import dualflow as df
    >>> df.average(df.asarray([1.0, 3.0]), weights=df.asarray([3.0, 1.0])).item()
    1.5
    """
    x = _floats(x)
    if weights is None:
        return mean(x, axis)
    weights = tensor(weights)
    if weights.ndim == 1 and isinstance(axis, int):
        kept = [1] * x.ndim
        kept[axis] = weights.size
        weights = p.reshape(weights, shape=tuple(kept))
    weights = p.expand(weights, shape=x.shape)
    return divide(sum(x * weights, axis), sum(weights, axis))


def cov(
    x: Tensor, y: Tensor | None = None, *, rowvar: bool = True, correction: float = 1.0
) -> Tensor:
    """The covariances of variables.

    Args:
        x: (variables, observations), or (observations,) of one variable.
        y: further variables, in the same form.
        rowvar: False if variables are columns.
        correction: n - correction instead of n divides the sums.

    Returns:
        (variables, variables); of shape () for one variable.

    >>> import dualflow as df
    >>> df.cov(df.asarray([[1.0, 3.0], [2.0, 6.0]])).tolist()
    [[2.0, 4.0], [4.0, 8.0]]
    """
    rows = _variables(x, rowvar)
    if y is not None:
        rows = concat([rows, _variables(y, rowvar)], axis=0)
    gap = rows - mean(rows, 1, keepdims=True)
    products = matmul(gap, conj(matrix_transpose(gap)))
    out = products / float(np.maximum(rows.shape[1] - correction, 0.0))
    return p.reshape(out, shape=()) if out.size == 1 else out


def _variables(x: Any, rowvar: bool) -> Tensor:
    x = _floats(x)
    if x.ndim > 2 or not x.ndim:
        raise ShapeError(f"variables of shape {x.shape}", instead="one axis or two")
    if x.ndim == 1:
        return p.reshape(x, shape=(1, x.size))
    return x if rowvar else matrix_transpose(x)


@near
def corrcoef(x: Tensor, y: Tensor | None = None, *, rowvar: bool = True) -> Tensor:
    """The correlations of variables: covariances divided by both standard deviations.

    Args:
        x, y, rowvar: see `cov`.

    >>> import dualflow as df
    >>> df.corrcoef(df.asarray([[1.0, 3.0], [2.0, 6.0]])).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    found = cov(x, y, rowvar=rowvar)
    if not found.ndim:
        return found / found
    count = found.shape[0]
    variances = p.take(flatten(found), arange(count) * (count + 1), axis=0)
    spread = sqrt(variances.real if is_complex(found.dtype) else variances)
    return found / p.reshape(spread, shape=(count, 1)) / spread


def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2... occurs, or the sum of its weights.

    The largest value decides the shape, so Python has to know it.

    Args:
        x: (n,) integers, at least 0.
        weights: (n,).
        minlength: the least length of the result.

    Raises:
        DomainError: a negative value.
        ShapeError: `x` has not one axis.

    >>> import dualflow as df
    >>> df.bincount(df.asarray([0, 2, 2])).tolist()
    [1, 0, 2]
    """
    x = tensor(x)
    check_kind("bincount", x.dtype, "biu")
    if x.ndim != 1:
        raise ShapeError(f"bincount of {x.shape}", instead="one axis")
    array = door.state.mode.values(x)
    if array.size and int(array.min()) < 0:
        raise DomainError("bincount of a negative value")
    length = int(array.max()) + 1 if array.size else 0
    length = length if length > minlength else as_integer(minlength, "minlength")
    return _counted(p.cast(x, dtype=int64), weights, length)


@near
def _counted(places: Tensor, weights: Any, length: int) -> Tensor:
    """The sums of weights (None: 1) at each place."""
    if weights is None:
        given = full(places.shape, 1, "int64")
    else:
        given = tensor(weights)
        given = _floats(given) if given.dtype.kind in "biuf" else given
    if given.shape != places.shape:
        raise ShapeError(f"weights of shape {given.shape} for {places.shape} values")
    return p.scatter_add(zeros(length, given.dtype), places, given, axis=0)


def histogram(
    x: Tensor,
    bins: int | Tensor = 10,
    range: tuple[float, float] | None = None,
    weights: Tensor | None = None,
    density: bool = False,
) -> tuple[Tensor, Tensor]:
    """How many elements lie in each bin, each from its lower edge up to, but for the last bin
    without, its upper edge.

    Args:
        x: real numbers, flattened.
        bins: how many bins of equal width; or their edges, rising.
        range: from where to where equal bins go; None: from the least to the largest element.
        weights: of the shape of `x`; sums of them instead of counts.
        density: divide so that the integral is 1.

    Returns:
        the counts (bins,), integers or the dtype of `weights`, and the edges (bins + 1,).

    Raises:
        ArgumentError: no bins, or a `range` that falls.

    >>> import dualflow as df
    >>> df.histogram(df.asarray([0.0, 1.0, 1.0, 4.0]), 2)[0].tolist()
    [3, 1]
    """
    x = _floats(flatten(tensor(x)))
    edges = _edges(x, bins, range) if isinstance(bins, int) else tensor(bins)
    dtype = promote(x.dtype, edges.dtype)
    x, edges = (t if t.dtype == dtype else p.cast(t, dtype=dtype) for t in (x, edges))
    count = edges.size - 1
    if count < 1:
        raise ArgumentError("a histogram without bins", instead="bins >= 1, or 2 or more edges")
    place = searchsorted(edges.detach(), x.detach(), side="right") - 1
    place = where(x == edges[-1], count - 1, place)
    inside = (place >= 0) & (place < count)
    place = where(inside, place, count)  # what lies outside is counted in a bin that is dropped
    found = _counted(place, None if weights is None else flatten(tensor(weights)), count + 1)
    found = found[:count]
    if not density:
        return found, edges
    return divide(found, p.cast(sum(found), dtype=dtype) * (edges[1:] - edges[:-1])), edges


@near
def _edges(x: Tensor, bins: int, range: tuple[float, float] | None) -> Tensor:
    if bins < 1:
        raise ArgumentError(f"a histogram of {bins} bins", instead="bins >= 1")
    if range is not None:
        low, high = map(float, range)
        if low > high:
            raise ArgumentError(f"a histogram over {range}", instead="range=(low, high)")
        low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
        first, last = (full((), value, x.dtype) for value in (low, high))
    elif x.size:
        first, last = min(x.detach()), max(x.detach())
        same = first == last
        first, last = where(same, first - 0.5, first), where(same, last + 0.5, last)
    else:
        first, last = full((), 0.0, x.dtype), full((), 1.0, x.dtype)
    i = arange(bins + 1, dtype="float64")
    even = i * ((p.cast(last, dtype=i.dtype) - first) / bins) + first
    return p.cast(where(i == bins, last, even), dtype=x.dtype)


def digitize(x: Tensor, bins: Tensor, right: bool = False) -> Tensor:
    """In which bin each element lies: i with bins[i - 1] <= x < bins[i].

    Args:
        x: of any shape.
        bins: (n,) edges, rising; or falling, then i with bins[i - 1] > x >= bins[i].
        right: whether a bin holds its right edge instead of its left one.

    >>> import dualflow as df
    >>> df.digitize(df.asarray([0.5, 1.0, 7.0]), df.asarray([0.0, 1.0, 2.0])).tolist()
    [1, 2, 3]
    """
    x, bins = tensor(x), tensor(bins)
    if bins.ndim != 1:
        raise ShapeError(f"bins of shape {bins.shape}", instead="edges along one axis")
    side = "left" if right else "right"
    if bins.size < 2 or bool(bins[0] <= bins[-1]):
        return searchsorted(bins, x, side=side)
    return bins.size - searchsorted(flip(bins), x, side="right" if right else "left")


def ptp(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest element less the smallest.

    Arguments as for `sum`.

    >>> import dualflow as df
    >>> df.ptp(df.asarray([3, 9, 4])).item()
    6
    """
    return max(x, axis, keepdims) - min(x, axis, keepdims)
