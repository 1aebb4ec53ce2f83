"""Finding: places in sorted values, unique values, membership.

How many unique values there are depends on values, so Python has to know them (`mode.values`);
the results are then taken out of the tensor, and so carry gradients.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dualflow.base.dtypes import compute_dtype, promote
from dualflow.base.errors import ArgumentError, ShapeError

from .. import door
from .. import primitives as p
from ..devices import near
from ..operands import own, tensor
from .elementwise import logical_not
from .movement import flatten

Tensor = Any


class UniqueAll(NamedTuple):
    """See `unique_all`."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """See `unique_counts`."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """See `unique_inverse`."""

    values: Tensor
    inverse_indices: Tensor


@near
def unique_all(x: Tensor) -> UniqueAll:
    """The different elements of `x` in rising order, and where they are.

    NaN differs from itself, so each NaN is a value of its own; 0.0 and -0.0 are one.

    Args:
        x: a tensor of any shape.

    Returns:
        values: (n,) of the dtype of `x`, sorted.
        indices: (n,) where each stands first in the flattened `x`.
        inverse_indices: of the shape of `x`: which value each element is.
        counts: (n,) how often each occurs.

    >>> import dualflow as df
    >>> df.unique_all(df.asarray([3, 1, 3])).counts.tolist()
    [1, 2]
    """
    x = tensor(x)
    array = door.state.mode.values(x)
    values, first, inverse, counts = _unique(array, True, True, True)
    indices, inverse = own(first), own(inverse.reshape(array.shape))
    noted = x.requires_grad and door.state.grad_enabled
    found = p.take(flatten(x), indices, axis=0) if noted else own(values)
    return UniqueAll(found, indices, inverse, own(counts))


@near
def unique_counts(x: Tensor) -> UniqueCounts:
    """The different elements of `x` in rising order, and how often each occurs.

    >>> import dualflow as df
    >>> df.unique_counts(df.asarray([3, 1, 3])).counts.tolist()
    [1, 2]
    """
    array = _plain(x)
    if array is None:
        found = unique_all(x)
        return UniqueCounts(found.values, found.counts)
    values, counts = _unique(array, False, False, True)
    return UniqueCounts(own(values), own(counts))


@near
def unique_inverse(x: Tensor) -> UniqueInverse:
    """The different elements of `x` in rising order, and which of them each element is.

    >>> import dualflow as df
    >>> df.unique_inverse(df.asarray([3, 1, 3])).inverse_indices.tolist()
    [1, 0, 1]
    """
    array = _plain(x)
    if array is None:
        found = unique_all(x)
        return UniqueInverse(found.values, found.inverse_indices)
    values, inverse = _unique(array, False, True)
    return UniqueInverse(own(values), own(inverse.reshape(array.shape)))


@near
def unique_values(x: Tensor) -> Tensor:
    """The different elements of `x`, in rising order.

    >>> import dualflow as df
    >>> df.unique_values(df.asarray([3, 1, 3])).tolist()
    [1, 3]
    """
    array = _plain(x)
    return unique_all(x).values if array is None else own(_unique(array)[0])


def _unique(array: np.ndarray, *asked: bool) -> tuple[np.ndarray, ...]:
    """`np.unique`, always as a tuple; NumPy sorts float32 for floats that it lacks."""
    wide = array.astype(compute_dtype(array.dtype), copy=False)
    found: Any = np.unique(wide, *asked, equal_nan=False)  # type: ignore[call-overload]
    values, *rest = found if asked else (found,)
    return values.astype(array.dtype, copy=False), *rest


def _plain(x: Any) -> np.ndarray | None:
    """The values of `x`, unless a gradient with respect to it is asked for."""
    x = tensor(x)
    if x.requires_grad and door.state.grad_enabled:
        return None
    return door.state.mode.values(x)


def searchsorted(
    x: Tensor, v: Tensor, *, side: str = "left", sorter: Tensor | None = None
) -> Tensor:
    """Where to put the elements of `v` in the sorted `x` so that it stays sorted.

    Args:
        x: (n,) real numbers, sorted in rising order unless `sorter` is given.
        v: of any shape.
        side: "left" for the first such place (before equals), "right" for the last.
        sorter: (n,) integers that sort `x`, such as `argsort(x)`.

    Raises:
        ArgumentError: another `side`.
        ShapeError: `x` has not one axis.
        DTypeError: complex numbers.

    >>> import dualflow as df
    >>> df.searchsorted(df.asarray([1, 3, 5]), df.asarray([3, 4])).tolist()
    [1, 2]
    """
    if side not in ("left", "right"):
        raise ArgumentError(f"side={side!r}", instead='"left" or "right"')
    x, v = tensor(x), tensor(v)
    if x.ndim != 1:
        raise ShapeError(f"searchsorted in {x.shape}", instead="a tensor with one axis")
    if sorter is not None:
        x = p.take(x, tensor(sorter), axis=0)
    if x.dtype != v.dtype:
        dtype = promote(x.dtype, v.dtype)
        x, v = (t if t.dtype == dtype else p.cast(t, dtype=dtype) for t in (x, v))
    if v.ndim == 1:
        return p.searchsorted(x, v, right=side == "right")
    found = p.searchsorted(x, p.reshape(v, shape=(v.size,)), right=side == "right")
    return p.reshape(found, shape=v.shape)


def isin(x: Tensor, values: Tensor, *, invert: bool = False) -> Tensor:
    """Whether each element of `x` is one of `values`; NaN never is.

    Args:
        x, values: tensors of any shapes.
        invert: whether it is none of them, instead.

    >>> import dualflow as df
    >>> df.isin(df.asarray([1, 2, 3]), df.asarray([2, 5])).tolist()
    [False, True, False]
    """
    x, values = tensor(x), tensor(values)
    wide = p.reshape(x, shape=(*x.shape, 1))
    found = p.any(p.equal.of(wide, flatten(values)), axes=(x.ndim,))
    return logical_not(found) if invert else found
