"""Tensors put together, taken apart and repeated: pad, concat, stack, split, tile, repeat."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from operator import index
from typing import Any

import numpy as np

from dualflow.base.dtypes import promote, python_type
from dualflow.base.errors import ArgumentError, DomainError, ShapeError
from dualflow.base.shapes import as_integer, normal_axis

from .. import door
from .. import primitives as p
from ..devices import near
from ..operands import TENSORS, own, tensor
from ..rules import check_kind
from .indexing import getitem
from .movement import as_shape, expand_dims, flatten, part

Tensor = Any
_slice = builtins.slice
_CONCAT = p.concat.op
_WHOLE = _slice(None)


def pad(x: Tensor, widths: Any, fill: float = 0.0) -> Tensor:
    """`x` with `fill` put before and after along each axis.

    Args:
        x: a tensor.
        widths: one integer for all sides, or a pair (before, after) for each axis.
        fill: a Python scalar.

    Raises:
        ShapeError: a negative width, or not one pair for each axis.
        DTypeError: `fill` is no value of the dtype of `x`.

    >>> import dualflow as df
    >>> df.pad(df.asarray([1, 2]), 1, fill=9).tolist()
    [9, 1, 2, 9]
    """
    x = tensor(x)
    if isinstance(widths, int):
        widths = ((widths, widths),) * x.ndim
    kind = python_type(x.dtype)
    fits = kind is complex or (type(fill) is not complex and (kind is float or fill == kind(fill)))
    try:
        pairs = tuple((as_integer(a, "a width"), as_integer(b, "a width")) for a, b in widths)
    except (TypeError, ValueError) as cause:
        raise ArgumentError(
            "widths that are no pairs of integers",
            instead="an integer, or (before, after) for each axis",
        ) from cause
    return p.pad(x, widths=pairs, fill=kind(fill) if fits else fill)


def concat(tensors: Sequence[Tensor], axis: int | None = 0) -> Tensor:
    """The tensors one after the other along `axis` (None: flattened first).

    Raises:
        ShapeError: other axes differ, or there are no tensors.

    >>> import dualflow as df
    >>> df.concat([df.asarray([1, 2]), df.asarray([3])]).tolist()
    [1, 2, 3]
    """
    given = _same_dtype(tensors, "concat")
    if axis is None:
        given, axis = [flatten(x) for x in given], 0
    axis = normal_axis(axis, len(given[0].shape))
    return door.run(_CONCAT, tuple(given), {"axis": axis})


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis.

    Raises:
        ShapeError: the shapes differ, or there are no tensors.

    >>> import dualflow as df
    >>> df.stack([df.asarray([1, 2]), df.asarray([3, 4])], axis=1).tolist()
    [[1, 3], [2, 4]]
    """
    given = _same_dtype(tensors, "stack")
    for x in given:
        if x.shape != given[0].shape:
            raise ShapeError(f"stack of {given[0].shape} and {x.shape}",
                             instead="tensors of one shape, or concat")  # fmt: skip
    at = normal_axis(axis, given[0].ndim + 1)
    eager = door.unnoted(*given)
    if eager is not None:
        items = (*(_WHOLE,) * at, None)
        return eager.compute(lambda *arrays: np.concatenate([a[items] for a in arrays], at), given)
    return p.concat(*(expand_dims(x, at) for x in given), axis=at)


def _same_dtype(tensors: Sequence[Tensor], name: str) -> list[Tensor]:
    if not hasattr(tensors, "__iter__"):
        raise ArgumentError(f"{name} of a {type(tensors).__name__}", instead="a list of tensors")
    given = [x if type(x) in TENSORS else tensor(x) for x in tensors]
    if not given:
        raise ShapeError(f"{name} of nothing", instead="at least one tensor")
    dtypes = [x.dtype for x in given]
    if dtypes.count(dtypes[0]) == len(dtypes):
        return given
    dtype = reduce(promote, dtypes)
    return [x if x.dtype == dtype else p.cast(x, dtype=dtype) for x in given]


def split(x: Tensor, sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Views of consecutive parts of `x` along `axis`, as in `np.split`.

    Args:
        x: a tensor.
        sections: how many equal parts; or the places where to cut.
        axis: the axis to cut.

    Raises:
        ShapeError: the size does not divide evenly.

    >>> import dualflow as df
    >>> [part.tolist() for part in df.split(df.arange(5), [2, 3])]
    [[0, 1], [2], [3, 4]]
    """
    x = tensor(x)
    axis = normal_axis(axis, x.ndim)
    size = x.shape[axis]
    if isinstance(sections, int):
        if sections <= 0 or size % sections:
            raise ShapeError(f"split of {size} elements into {sections} equal parts",
                             instead="the places where to cut, as a list")  # fmt: skip
        cuts = [i * (size // sections) for i in range(1, sections)]
    else:
        cuts = [_slice(None, index(cut)).indices(size)[1] for cut in sections]
    bounds = [0, *cuts, size]
    return [part(x, axis, a, max(a, b)) for a, b in pairwise(bounds)]


def unstack(x: Tensor, axis: int = 0) -> tuple[Tensor, ...]:
    """The views of `x` at each place of `axis`, which is removed.

    >>> import dualflow as df
    >>> [row.tolist() for row in df.unstack(df.asarray([[1, 2], [3, 4]]))]
    [[1, 2], [3, 4]]
    """
    x = tensor(x)
    axis = normal_axis(axis, x.ndim)
    before = (_WHOLE,) * axis
    return tuple([getitem(x, (*before, i)) for i in range(x.shape[axis])])


def tile(x: Tensor, repetitions: int | Sequence[int]) -> Tensor:
    """`x` repeated as a whole, `repetitions` times along each axis.

    >>> import dualflow as df
    >>> df.tile(df.asarray([1, 2]), 2).tolist()
    [1, 2, 1, 2]
    """
    x = tensor(x)
    times = as_shape(repetitions)
    if builtins.min(times, default=0) < 0:
        raise ShapeError(f"tile of {x.shape} {times} times")
    rank = max(x.ndim, len(times))
    times = (1,) * (rank - len(times)) + times
    eager = door.unnoted(x)
    if eager is not None:
        return eager.compute(np.tile, (x,), times)
    shape = (1,) * (rank - x.ndim) + x.shape
    paired = p.reshape(x, shape=tuple(n for size in shape for n in (1, size)))
    wanted = tuple(n for t, size in zip(times, shape, strict=True) for n in (t, size))
    whole = tuple(t * size for t, size in zip(times, shape, strict=True))
    return _owned(p.reshape(p.expand(paired, shape=wanted), shape=whole))


def repeat(x: Tensor, repeats: int | Tensor, axis: int | None = None) -> Tensor:
    """Each element of `x` `repeats` times along `axis` (None: of the flattened elements).

    Args:
        x: a tensor.
        repeats: an integer, or integers, one for each element along `axis`; their values decide
            the shape of the result, so Python has to know them.
        axis: an axis of `x`.

    Raises:
        ShapeError: not one number of repetitions for each element.
        DomainError: a negative one.

    >>> import dualflow as df
    >>> df.repeat(df.asarray([1, 2]), 2).tolist()
    [1, 1, 2, 2]
    """
    x = tensor(x)
    if axis is None:
        x, axis = x if x.ndim == 1 else flatten(x), 0
    axis = normal_axis(axis, x.ndim)
    if type(repeats) in TENSORS or isinstance(repeats, (np.ndarray, Sequence)):
        return p.take(x, _repeated(tensor(repeats), x.shape[axis]), axis=axis)
    repeats = as_integer(repeats, "repeats")
    if repeats < 0:
        raise ShapeError(f"repeat of {x.shape}, each element {repeats} times")
    eager = door.unnoted(x)
    if eager is not None:
        return eager.compute(np.repeat, (x,), repeats, axis)
    shape = x.shape
    before, after = shape[: axis + 1], shape[axis + 1 :]
    paired = p.reshape(x, shape=(*before, 1, *after))
    wide = p.expand(paired, shape=(*before, repeats, *after))
    return _owned(p.reshape(wide, shape=(*before[:-1], before[-1] * repeats, *after)))


def _owned(x: Tensor) -> Tensor:
    """`x` in memory of its own: repeated elements of size 1 may still be a view."""
    return p.cast(x, dtype=x.dtype) if x._view else x


@near
def _repeated(repeats: Tensor, size: int) -> Tensor:
    """The positions 0 to size - 1, each as often as `repeats` says."""
    if repeats.ndim > 1 or repeats.size not in (1, size):
        raise ShapeError(f"repeats of shape {repeats.shape} for {size} elements",
                         instead="one number, or one for each element")  # fmt: skip
    check_kind("repeats", repeats.dtype, "iu")
    times = door.state.mode.values(repeats).reshape(-1).astype(np.int64)
    if (times < 0).any():
        raise DomainError("a negative number of repetitions")
    return own(np.repeat(np.arange(size), times))
