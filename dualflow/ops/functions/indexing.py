"""Reading and writing by index: `x[...]`, `x[...] = v`, take, take_along_axis, scatter_add.

Integers, slices, None and Ellipsis give views; tensors of integers gather; a boolean tensor
selects (its result has a shape that depends on values, so Python must know them).
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from dualflow.base.errors import DTypeError, IndexingError
from dualflow.base.shapes import Shape

from .. import door
from .. import primitives as p
from ..operands import tensor
from ..primitives.indexing import out_of_bounds
from ..promotion import SCALARS

Tensor = Any
_slice = builtins.slice


def getitem(x: Tensor, index: Any) -> Tensor:
    """`x[index]`: a view for integers, slices, None and Ellipsis, else a new tensor."""
    kind = type(index)
    if kind is _slice or kind is int:
        return _basic(x, (index,))
    items = index if kind is tuple else (index,)
    for item in items:
        if not (item is None or item is Ellipsis or type(item) in _BASIC):
            return _advanced(x, items)
    return _basic(x, items)


_BASIC = frozenset({int, _slice})


def _basic(x: Tensor, items: tuple[Any, ...]) -> Tensor:
    """The view for integers, slices, None and Ellipsis."""
    shape = x.shape
    starts, stops, steps, kept = [], [], [], []
    axis = 0
    sliced = False
    for item in items:
        kind = type(item)
        if kind is _slice:
            size = _size(shape, axis, items)
            start, stop, step = item.indices(size)
            kept.append(len(range(start, stop, step)))
        elif kind is int:
            size = _size(shape, axis, items)
            start = item + size if item < 0 else item
            if not 0 <= start < size:
                raise out_of_bounds(item, size, axis)
            stop, step = start + 1, 1
            sliced = True
        elif item is None:
            kept.append(1)
            sliced = True
            continue
        else:
            after = axis + len(shape) - builtins.sum(i is not None for i in items) + 1
            while axis < after:
                starts.append(0)
                stops.append(shape[axis])
                steps.append(1)
                kept.append(shape[axis])
                axis += 1
            continue
        starts.append(start)
        stops.append(stop)
        steps.append(step)
        axis += 1
    while axis < len(shape):
        starts.append(0)
        stops.append(shape[axis])
        steps.append(1)
        kept.append(shape[axis])
        axis += 1
    out = p.slice(x, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))
    return p.reshape(out, shape=tuple(kept)) if sliced else out


def _size(shape: Shape, axis: int, items: tuple[Any, ...]) -> int:
    if axis >= len(shape):
        given = builtins.sum(i is not None and i is not Ellipsis for i in items)
        raise IndexingError(f"{given} indices for a tensor with {len(shape)} axes")
    return shape[axis]


def _advanced(x: Tensor, items: tuple[Any, ...]) -> Tensor:
    raise IndexingError(f"an index of type {type(items[0]).__name__}")


def setitem(x: Tensor, index: Any, value: Any) -> None:
    """`x[index] = value`, broadcast and cast to what the index shows."""
    write(getitem(x, index), value)


def write(target: Tensor, value: Any) -> None:
    """Store `value` in the memory that `target` shows, in place.

    Raises:
        ShapeError: `value` does not broadcast to the shape of `target`.
        DTypeError: floats into integers, or integers into booleans.
    """
    door.write(target, fitted(target, value))


def fitted(target: Tensor, value: Any) -> Tensor:
    """`value` in the shape and dtype of `target`."""
    shape, dtype = target.shape, target.dtype
    if type(value) in SCALARS:
        kind = {"f": float, "b": bool}.get(dtype.kind)
        if kind is None and type(value) is bool:
            kind = int
        if type(value) is float and dtype.kind != "f":
            raise storing("float", dtype)
        return p.full(shape=shape, value=value if kind is None else kind(value), dtype=dtype)
    value = tensor(value, "a value")
    if value.dtype != dtype:
        if not np.can_cast(value.dtype, dtype, "same_kind"):
            raise storing(value.dtype.name, dtype)
        value = p.cast(value, dtype=dtype)
    return value if value.shape == shape else p.expand(value, shape=shape)


def storing(what: str, dtype: np.dtype) -> DTypeError:
    """The error for storing `what` into a tensor of `dtype`."""
    return DTypeError(f"storing {what} into {dtype.name}",
                      why="the values would be cut", instead="astype(...) one of them first")  # fmt: skip
