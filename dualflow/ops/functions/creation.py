"""New tensors: constants, ranges, identities, grids; float32 and int64 by default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from dualflow.base.dtypes import (
    DEFAULT_FLOAT,
    DEFAULT_INT,
    as_dtype,
    bool_,
    float64,
    int64,
    is_float,
    kind,
    of_scalar,
    python_type,
    weak,
)
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError
from dualflow.base.shapes import as_integer, as_number

from .. import door
from .. import primitives as p
from ..devices import near, on
from ..operands import TENSORS, is_number, number, tensor
from ..promotion import SCALARS, plan
from ..rules import check_fill
from .elementwise import where
from .movement import as_shape

Tensor = Any
_FULL, _IOTA = p.full.op, p.iota.op


def full(
    shape: int | Sequence[int], fill_value: Any, dtype: Any = None, device: str | None = None
) -> Tensor:
    """A tensor whose elements are all `fill_value`.

    Args:
        shape: its sizes.
        fill_value: a Python or NumPy scalar; or a tensor of shape (), which may require a gradient.
        dtype: by default that of a tensor; else float32, complex64, int64 or bool, as `fill_value`
            is.
        device: "cpu", "cuda:0"...; by default the one in use (`df.device`).

    Raises:
        DeviceError: another device.
        ArgumentError: `fill_value` is no scalar.
        DTypeError: `fill_value` does not fit `dtype`.

    >>> import dualflow as df
    >>> df.full((2,), 7).tolist()
    [7, 7]
    """
    if device is not None:
        return on(device, full, shape, fill_value, dtype)
    value = fill_value
    if type(value) not in SCALARS:
        if type(value) in TENSORS and value.shape == ():
            found = value.dtype if dtype is None else as_dtype(dtype)
            return p.cast(p.expand(value, shape=as_shape(shape)), dtype=found)
        plain = is_number(value)
        if not plain and not hasattr(value, "item"):
            raise ArgumentError(f"a fill of type {type(value).__name__}",
                                instead="a Python scalar")  # fmt: skip
        value = number(value) if plain else value.item()
    found = of_scalar(value) if dtype is None else as_dtype(dtype)
    if python_type(found) is float and type(value) is not complex:
        value = float(value)
    elif found.kind == "c":
        value = complex(value)
    elif found.kind == "b" and value in (0, 1):
        value = bool(value)
    elif type(value) in (float, complex) or found.kind == "b":
        check_fill(value, found)
    return door.run(_FULL, (), {"shape": as_shape(shape), "value": value, "dtype": found})


def zeros(shape: int | Sequence[int], dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of zeros, float32 by default.

    Args:
        shape: an integer or several.
        dtype: of the tensor.
        device: "cpu", "cuda:0"...; by default the one in use (`df.device`).

    >>> import dualflow as df
    >>> df.zeros(2).tolist()
    [0.0, 0.0]
    """
    return full(shape, 0, DEFAULT_FLOAT if dtype is None else dtype, device)


#: memory that is not cleared would show what ran before: empty is zeros
empty = zeros


def ones(shape: int | Sequence[int], dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of ones, float32 by default.

    Arguments as for `zeros`.

    >>> import dualflow as df
    >>> df.ones(2).tolist()
    [1.0, 1.0]
    """
    return full(shape, 1, DEFAULT_FLOAT if dtype is None else dtype, device)


def full_like(x: Tensor, fill_value: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """`fill_value` in the shape, and by default the dtype, of `x`.

    Args:
        x: a tensor.
        fill_value: a Python scalar, or a tensor of shape ().
        dtype: None for that of `x`.
        device: "cpu", "cuda:0"...; by default the one in use (`df.device`).

    >>> import dualflow as df
    >>> df.full_like(df.zeros(2), 3).tolist()
    [3.0, 3.0]
    """
    x = tensor(x)
    found = x.dtype if dtype is None else dtype
    if device is None and door.away:
        device = x.device
    return full(x.shape, fill_value, found, device)


def zeros_like(x: Tensor, dtype: Any = None, device: str | None = None) -> Tensor:
    """Zeros in the shape, and by default the dtype, of `x`.

    Arguments as for `full_like`.

    >>> import dualflow as df
    >>> df.zeros_like(df.asarray([1, 2])).tolist()
    [0, 0]
    """
    return full_like(x, 0, dtype, device)


empty_like = zeros_like


def ones_like(x: Tensor, dtype: Any = None, device: str | None = None) -> Tensor:
    """Ones in the shape, and by default the dtype, of `x`.

    Arguments as for `full_like`.

    >>> import dualflow as df
    >>> df.ones_like(df.asarray([1, 2])).tolist()
    [1, 1]
    """
    return full_like(x, 1, dtype, device)


def arange(
    start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, device: str | None = None
) -> Tensor:
    """start, start + step, ... before stop; floats are computed in float64.

    Args:
        start: the first value; 0 if it is the only argument, which then is `stop`.
        stop: the end, left out.
        step: not 0.
        dtype: by default int64, or float32 if an argument is a float.
        device: "cpu", "cuda:0"...; by default the one in use (`df.device`).

    Raises:
        ArgumentError: `step` is 0.

    >>> import dualflow as df
    >>> df.arange(2, 8, 3).tolist()
    [2, 5]
    """
    if device is not None:
        return on(device, arange, start, stop, step, dtype)
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ArgumentError("arange with step 0", instead="a step above or below 0")
    floats = isinstance(start, float) or isinstance(stop, float) or isinstance(step, float)
    found = as_dtype(dtype or (DEFAULT_FLOAT if floats else DEFAULT_INT))
    if found == bool_:
        raise DTypeError("arange of booleans")
    if floats:
        size = max(math.ceil((stop - start) / step), 0)
    else:
        if not type(start) is type(stop) is type(step) is int:
            start, stop, step = (as_integer(x, "a bound or step") for x in (start, stop, step))
        size = len(range(start, stop, step))  # type: ignore[arg-type]
        eager = door.unnoted()
        if eager is not None and found.kind in "iu":
            return eager.compute(np.arange, (), start, stop, step, found)
    wide = float64 if floats or is_float(found) else int64
    plain = start == 0 and step == 1
    first = found if plain and kind(found) != "s" else wide
    i = door.run(_IOTA, (), {"shape": (size,), "axis": 0, "dtype": first})
    if not plain:
        i = i * step + start
    return i if i.dtype == found else p.cast(i, dtype=found)


def linspace(
    start: complex,
    stop: complex,
    num: int,
    dtype: Any = None,
    device: str | None = None,
    endpoint: bool = True,
) -> Tensor:
    """`num` values evenly from `start` to `stop`, which is the last one if `endpoint`.

    Args:
        start, stop: numbers, or tensors of shape (); if one is complex, so are the values.
        num: how many values.
        dtype: by default float32 or complex64, or that of tensors of floats.
        device: "cpu", "cuda:0"...; by default the one in use (`df.device`).
        endpoint: whether `stop` is a value.

    Raises:
        ShapeError: `num` is negative.

    >>> import dualflow as df
    >>> df.linspace(0.0, 1.0, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if device is not None:
        return on(device, linspace, start, stop, num, dtype, endpoint=endpoint)
    if num < 0:
        raise ShapeError(f"linspace of {num} values")
    if type(start) in TENSORS or type(stop) in TENSORS:
        return _between(start, stop, index(num), dtype, endpoint)
    kind = complex if complex in (type(start), type(stop)) else float
    if not type(start) is type(stop) is kind and kind is float:
        start, stop = as_number(start, "an end"), as_number(stop, "an end")
    low, high = kind(start), kind(stop)  # type: ignore[arg-type]
    found = as_dtype(dtype or of_scalar(low))
    eager = door.unnoted()
    if eager is not None and is_float(found) and kind is float and low != high:
        return eager.compute(np.linspace, (), low, high, index(num), endpoint, False, found)
    i = p.iota(shape=(index(num),), axis=0, dtype=float64)
    parts = num - 1 if endpoint else num
    values = i * ((high - low) / max(parts, 1)) + low
    if endpoint and num > 1:
        values = where(i == num - 1, high, values)
    return p.cast(values, dtype=found)


def _between(start: Any, stop: Any, num: int, dtype: Any, endpoint: bool) -> Tensor:
    """`linspace` from or to a tensor, computed in its dtype."""
    whole = weak(1.0, plan(p.add.op, (start, stop))[0][0])
    for end in (start, stop):
        if type(end) in TENSORS and end.shape != ():
            raise ShapeError(f"linspace with an end of shape {end.shape}",
                             instead="ends of shape ()")  # fmt: skip
    i = p.cast(p.iota(shape=(num,), axis=0, dtype=int64), dtype=whole)
    low, high = (full((num,), end, whole) for end in (start, stop))
    values = low + i * ((high - low) / max((num - 1 if endpoint else num), 1))
    if endpoint and num > 1:
        values = where(i == num - 1, high, values)
    return values if dtype is None else p.cast(values, dtype=as_dtype(dtype))


def eye(
    rows: int,
    columns: int | None = None,
    *,
    k: int = 0,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Ones on the diagonal `k` above the main one, zeros elsewhere.

    Args:
        rows, columns: the shape; as many columns as rows by default.
        k: how far above the main diagonal; below it if negative.
        dtype: float32 by default.
        device: "cpu", "cuda:0"...; by default the one in use (`df.device`).

    >>> import dualflow as df
    >>> df.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if device is not None:
        return on(device, eye, rows, columns, k=k, dtype=dtype)
    columns, found = rows if columns is None else columns, as_dtype(dtype or DEFAULT_FLOAT)
    if not type(rows) is type(columns) is int:
        rows, columns = as_integer(rows, "a size"), as_integer(columns, "a size")
    k = _within(k, (rows, columns))
    eager = door.unnoted()
    if eager is not None and rows >= 0 <= columns:
        return eager.compute(np.eye, (), rows, columns, k, found)
    return p.cast(_column_minus_row((rows, columns)) == k, dtype=found)


def _within(k: int, shape: tuple[int, ...]) -> int:
    """The diagonal `k`, or, if that lies outside the matrices, the nearest one that does."""
    if len(shape) < 2:
        raise ShapeError(f"a triangle of {shape}", instead="a tensor with 2 or more axes")
    return max(-shape[-2], min(index(k), shape[-1]))


def _column_minus_row(shape: tuple[int, ...]) -> Tensor:
    rank = len(shape)
    column = p.iota(shape=shape, axis=rank - 1, dtype=int64)
    return column - p.iota(shape=shape, axis=rank - 2, dtype=int64)


@near
def tril(x: Tensor, k: int = 0) -> Tensor:
    """`x` with zeros above the diagonal `k` of its last two axes.

    >>> import dualflow as df
    >>> df.tril(df.ones((2, 2))).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    x = tensor(x)
    k = _within(k, x.shape)
    eager = door.unnoted(x)
    if eager is not None:
        return eager.compute(np.tril, (x,), k)
    return where(_column_minus_row(x.shape) <= k, x, False)


@near
def triu(x: Tensor, k: int = 0) -> Tensor:
    """`x` with zeros below the diagonal `k` of its last two axes.

    >>> import dualflow as df
    >>> df.triu(df.ones((2, 2))).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    x = tensor(x)
    k = _within(k, x.shape)
    eager = door.unnoted(x)
    if eager is not None:
        return eager.compute(np.triu, (x,), k)
    return where(_column_minus_row(x.shape) >= k, x, False)


def meshgrid(*tensors: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Coordinates on a grid, as read-only views: one tensor for each of the axes given.

    Args:
        tensors: one-dimensional coordinates.
        indexing: "ij" for matrix order, "xy" with the first two axes exchanged.

    Raises:
        ArgumentError: another `indexing`.
        ShapeError: coordinates with more than one axis.

    >>> import dualflow as df
    >>> [grid.tolist() for grid in df.meshgrid(df.arange(2), df.arange(2))]
    [[[0, 1], [0, 1]], [[0, 0], [1, 1]]]
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"indexing={indexing!r}", instead='"xy" or "ij"')
    given = [tensor(x) for x in tensors]
    for x in given:
        if x.ndim != 1:
            raise ShapeError(f"meshgrid of {x.shape}", instead="tensors with one axis")
    places = list(range(len(given)))
    if indexing == "xy" and len(given) > 1:
        places[:2] = [1, 0]
    shape = [0] * len(given)
    for x, place in zip(given, places, strict=True):
        shape[place] = x.size
    return [
        p.expand(
            p.reshape(x, shape=tuple(x.size if i == place else 1 for i in range(len(given)))),
            shape=tuple(shape),
        )
        for x, place in zip(given, places, strict=True)
    ]
