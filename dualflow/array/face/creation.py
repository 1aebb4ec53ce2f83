"""New arrays: array, asarray and their relatives, zeros, ones, full, arange, and the *_like ones.

Comes in: shapes, scalars, lists with or without faces in them. Goes out: faces of NumPy's dtypes in
the memory order asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any

import numpy as np

from dualflow.base.dtypes import int64
from dualflow.ops import primitives as p

from . import crossing, layout, made, shapes
from .implementations import implements
from .made import FACES
from .ufuncs import NotCoveredError

Tensor = Any
_SCALARS = (bool, int, float, complex, np.generic)


@implements(np.array)
def array(
    value: Any,
    dtype: Any = None,
    *,
    copy: bool | None = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
    like: Any = None,
    ndmax: int = 0,
) -> Any:
    """np.array."""
    if ndmax or (like is not None and type(like) not in FACES):
        raise NotCoveredError
    if subok and subclassed(value):
        raise NotCoveredError
    found = _converted(value, dtype, copy, order)
    if ndmin > found.ndim:
        shape = (1,) * (ndmin - found.ndim) + found.shape
        return made.face(p.reshape(found._tensor, shape=shape), found)
    return found


def _converted(value: Any, dtype: Any, copy: bool | None, order: str | None) -> Any:
    order = order or "K"
    if type(value) in FACES:
        source = made.face(value._tensor) if value.is_scalar else value
        wanted = source.dtype if dtype is None else np.dtype(dtype)
        found = shapes.astype(source, wanted, order, copy=bool(copy) or value.is_scalar)
        if copy is False and found is not value:
            raise NotCoveredError
        return found
    if not isinstance(value, (np.ndarray, *_SCALARS)) and hasattr(type(value), "__array__"):
        return _converted(value.__array__(), dtype, copy, order)
    if crossing.contains(value):
        if copy is False:
            raise NotCoveredError
        return _assembled(value, dtype)
    if isinstance(value, np.ndarray):
        real = np.array(value, dtype=dtype, copy=copy, order=order)  # type: ignore[arg-type]
        found = crossing.wrap(real) if np.may_share_memory(real, value) else crossing.fresh(real)
    else:
        found = crossing.fresh(np.array(value, dtype=dtype, copy=copy, order=order))  # type: ignore[arg-type]
    if type(found) not in FACES:
        raise NotCoveredError
    return found


def _assembled(tree: Any, dtype: Any) -> Any:
    """The array of nested lists with faces in them."""
    leaves = _leaves(tree)
    wanted = np.result_type(*map(_dtype_of, leaves)) if dtype is None else np.dtype(dtype)
    if not crossing.supported(wanted):
        raise NotCoveredError
    return made.face(_stacked(tree, wanted))


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, (list, tuple)):
        return [leaf for item in tree for leaf in _leaves(item)]
    return [tree]


def _dtype_of(leaf: Any) -> np.dtype:
    if type(leaf) in FACES or isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype
    if isinstance(leaf, _SCALARS):
        return np.asarray(leaf).dtype
    raise NotCoveredError


def _stacked(tree: Any, dtype: np.dtype) -> Tensor:
    if isinstance(tree, (list, tuple)):
        parts = [_stacked(item, dtype) for item in tree]
        if not parts:
            return p.full(shape=(0,), value=scalar_of(0, dtype), dtype=dtype)
        parts = [p.reshape(part, shape=(1, *part.shape)) for part in parts]
        return p.concat(*parts, axis=0)
    if type(tree) in FACES:
        x = tree._tensor
        return x if x.dtype == dtype else p.cast(x, dtype=dtype)
    if isinstance(tree, np.ndarray):
        return crossing.tensor_of(tree.astype(dtype))
    return p.full(shape=(), value=scalar_of(tree, dtype), dtype=dtype)


def scalar_of(value: Any, dtype: np.dtype) -> Any:
    """A scalar as a Python scalar of the kind of `dtype`, converted as NumPy stores it."""
    cell = np.empty((), dtype)
    cell[()] = value
    return cell.item()


def subclassed(value: Any) -> bool:
    """Whether `value` is of a class derived from ndarray, which keeps its own ways."""
    return (
        isinstance(value, np.ndarray) and type(value) is not np.ndarray and type(value) not in FACES
    )


@implements(np.asarray)
def asarray(
    value: Any,
    dtype: Any = None,
    order: str | None = None,
    *,
    device: str | None = None,
    copy: bool | None = None,
    like: Any = None,
) -> Any:
    """np.asarray."""
    if device not in (None, "cpu"):
        raise NotCoveredError
    return array(value, dtype, copy=copy, order=order or "K", like=like)


@implements(np.asanyarray)
def asanyarray(
    value: Any,
    dtype: Any = None,
    order: str | None = None,
    *,
    device: str | None = None,
    copy: bool | None = None,
    like: Any = None,
) -> Any:
    """np.asanyarray."""
    if subclassed(value):
        raise NotCoveredError
    return asarray(value, dtype, order, device=device, copy=copy, like=like)


@implements(np.ascontiguousarray)
def ascontiguousarray(value: Any, dtype: Any = None, *, like: Any = None) -> Any:
    """np.ascontiguousarray."""
    return array(value, dtype, copy=None, order="C", ndmin=1)


@implements(np.asfortranarray)
def asfortranarray(value: Any, dtype: Any = None, *, like: Any = None) -> Any:
    """np.asfortranarray."""
    found = array(value, dtype, copy=None, order="K", ndmin=1)
    x = found._tensor
    if layout.fortran(x) or (layout.packed(x) and sum(size != 1 for size in x.shape) <= 1):
        return found
    return made.face(layout.copied(x, "F"))


def filled(shape: Any, value: Any, dtype: np.dtype, order: str | None = "C") -> Any:
    """The array of `shape` full of a scalar."""
    sizes = (index(shape),) if hasattr(shape, "__index__") else tuple(map(index, shape))
    if not crossing.supported(dtype) or order not in ("C", "F", "A", "K", None):
        raise NotCoveredError
    value = scalar_of(value, dtype)
    if order == "F" and len(sizes) > 1:
        x = p.full(shape=tuple(reversed(sizes)), value=value, dtype=dtype)
        return made.face(p.permute(x, axes=tuple(reversed(range(len(sizes))))))
    return made.face(p.full(shape=sizes, value=value, dtype=dtype))


def _constant(value: int) -> Callable[..., Any]:
    def function(
        shape: Any,
        dtype: Any = float,
        order: str = "C",
        *,
        device: str | None = None,
        like: Any = None,
    ) -> Any:
        return filled(shape, value, np.dtype(dtype), order)

    return function


zeros = implements(np.zeros, np.empty)(_constant(0))
ones = implements(np.ones)(_constant(1))


@implements(np.full)
def full(
    shape: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "C",
    *,
    device: str | None = None,
    like: Any = None,
) -> Any:
    """np.full."""
    if not isinstance(fill_value, _SCALARS):
        value = array(fill_value, copy=None)
        out = filled(shape, 0, value.dtype if dtype is None else np.dtype(dtype), order)
        out[...] = value
        return out
    found = np.asarray(fill_value).dtype if dtype is None else np.dtype(dtype)
    return filled(shape, fill_value, found, order)


def _like(value: int | None) -> Callable[..., Any]:
    def function(
        prototype: Any,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        *,
        device: str | None = None,
    ) -> Any:
        return like(prototype, value, dtype, order, shape)

    return function


def like(prototype: Any, value: Any, dtype: Any, order: str, shape: Any) -> Any:
    """An array full of `value` in the shape, dtype and memory order of `prototype`."""
    x = array(prototype, copy=None)._tensor
    wanted = x.dtype if dtype is None else np.dtype(dtype)
    sizes = x.shape if shape is None else shapes.shape_of((shape,))
    if order not in ("C", "F", "A", "K"):
        raise NotCoveredError
    if order == "A":
        order = "F" if layout.fortran(x) else "C"
    if order != "K" or layout.packed(x) or len(sizes) != len(x.shape):
        return filled(sizes, value, wanted, order)
    axes = layout.falling(layout.strides(x), x.shape)
    if axes is None:
        return filled(sizes, value, wanted)
    turned = filled(tuple(sizes[axis] for axis in axes), value, wanted)
    return made.face(p.permute(turned._tensor, axes=layout.inverse(axes)))


zeros_like = implements(np.zeros_like, np.empty_like)(_like(0))
ones_like = implements(np.ones_like)(_like(1))


@implements(np.full_like)
def full_like(
    prototype: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: str | None = None,
) -> Any:
    """np.full_like."""
    if isinstance(fill_value, _SCALARS):
        return like(prototype, fill_value, dtype, order, shape)
    out = like(prototype, 0, dtype, order, shape)
    out[...] = fill_value
    return out


@implements(np.arange)
def arange(
    start: Any, stop: Any = None, step: Any = None, dtype: Any = None, *, device: Any = None,
    like: Any = None,
) -> Any:  # fmt: skip
    """np.arange. Of integers it is computed; of floats NumPy says where each one lies."""
    given = [start, stop, step]
    wanted = None if dtype is None else np.dtype(dtype)
    whole = all(x is None or type(x) is int for x in given)
    if not whole or (wanted is not None and wanted != int64):
        given = [np.asarray(crossing.unwrap(x))[()] if x is not None else None for x in given]
        return crossing.fresh(np.arange(given[0], *given[1:], dtype=dtype))
    first, last, by = (0, start, 1) if stop is None else (start, stop, step)
    by = 1 if by is None else by
    if by == 0 or max(abs(first), abs(last)) >= 2**62:
        raise NotCoveredError
    i = p.iota(shape=(len(range(first, last, by)),), axis=0, dtype=int64)
    if by != 1:
        i = p.multiply.of(i, by)
    return made.face(p.add.of(i, first) if first else i)
