"""Methods of ndarray that fold, search, sort, round and compare, with NumPy's signatures.

Comes in: a face. Goes out: faces and scalars, or `NotCoveredError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.record import Strict

from . import crossing, indexing, layout, made, reductions, shapes, ufuncs
from .reductions import NO_VALUE, axes_of, axis_of, reducer
from .ufuncs import NotCoveredError, stored_whole

Tensor = Any
_COUNT = type(np.count_nonzero(np.zeros(1)))


def folding(ufunc: np.ufunc) -> Callable[..., Any]:
    """sum, prod, max, min."""
    reduce = reducer(ufunc)
    primitive = reductions.PRIMITIVES[ufunc]
    kinds = "b" if ufunc in (np.logical_or, np.logical_and) else "iuf"

    def fold(
        face: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = NO_VALUE,
        where: Any = True,
    ) -> Any:
        if axis is dtype is out is None and not keepdims and initial is NO_VALUE and where is True:
            x = face._tensor
            if x.dtype.kind in kinds and layout.packed(x):  # the common case
                return made.result(primitive(x, axes=tuple(range(len(x.shape)))))
        return reduce(face, axis, dtype, out, keepdims, initial, where)

    return fold


def extreme(ufunc: np.ufunc) -> Callable[..., Any]:
    """max and min, which take no dtype."""
    fold = folding(ufunc)

    def method(
        face: Any,
        axis: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = NO_VALUE,
        where: Any = True,
    ) -> Any:
        return fold(face, axis, None, out, keepdims, initial, where)

    return method


def deciding(ufunc: np.ufunc) -> Callable[..., Any]:
    """any and all."""
    fold = folding(ufunc)

    def method(
        face: Any, axis: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True
    ) -> Any:
        return fold(face, axis, None, out, keepdims, NO_VALUE, where)

    return method


def positioned(primitive: Strict) -> Callable[..., Any]:
    """argmax and argmin."""

    def method(face: Any, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        found = reductions.position(primitive, face._tensor, axis, keepdims)
        return made.result(found) if out is None else stored_whole(out, found, "no")

    return method


def running(primitive: Strict) -> Callable[..., Any]:
    """cumsum and cumprod."""

    def method(face: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        x = face._tensor
        if axis is None:
            x, axis = p.reshape(x, shape=(x.size,)), 0
        asked = ufuncs.dtype_of(dtype)
        if asked is None and out is not None:
            asked = out.dtype
        found = reductions.running(primitive, x, axis_of(axis, len(x.shape)), asked)
        return made.face(found) if out is None else stored_whole(out, found, "unsafe")

    return method


def rounded(face: Any, decimals: Any = 0, out: Any = None) -> Any:
    """ndarray.round: by scaling with a power of ten, as NumPy does."""
    x, places = face._tensor, decimals.__index__()
    if x.dtype.kind in "bc" or (x.dtype.kind in "iu" and places < 0) or abs(places) > 22:
        raise NotCoveredError
    if x.dtype.kind in "iu":
        value = shapes.astype(face, x.dtype)._tensor
    elif places == 0:
        value = ufuncs.compute(np.rint, (x,))
    else:
        factor = 10.0 ** abs(places)
        there, back = (np.multiply, np.divide) if places > 0 else (np.divide, np.multiply)
        scaled = ufuncs.compute(there, (x, factor))
        value = ufuncs.compute(back, (ufuncs.compute(np.rint, (scaled,)), factor))
    return made.result(value) if out is None else stored_whole(out, value, "unsafe")


def sort(face: Any, axis: int = -1, kind: Any = None, order: Any = None, *, stable: Any = None):
    """ndarray.sort: in place."""
    x = face._tensor
    if order is not None or not x.shape or x.dtype.kind not in "biuf":
        raise NotCoveredError
    door.write(x, p.sort(x, axis=axis_of(axis, len(x.shape))))


def argsort(face: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None):
    """ndarray.argsort, where equal elements keep their order; else their order is NumPy's own."""
    x = face._tensor
    if order is not None or not (stable or kind in ("stable", "mergesort")):
        raise NotCoveredError
    if x.dtype.kind not in "biuf" or not x.shape:
        raise NotCoveredError
    if axis is None:
        x, axis = p.reshape(x, shape=(x.size,)), -1
    return made.face(p.argsort(x, axis=axis_of(axis, len(x.shape))))


def searchsorted(face: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """ndarray.searchsorted."""
    x, values = face._tensor, reductions.tensor(v)
    dtype = np.result_type(x.dtype, values.dtype)
    if sorter is not None or side not in ("left", "right") or dtype.kind not in "iuf":
        raise NotCoveredError
    if len(x.shape) != 1:
        raise NotCoveredError
    x, values = (y if y.dtype == dtype else p.cast(y, dtype=dtype) for y in (x, values))
    flat = p.reshape(values, shape=(values.size,))
    found = p.searchsorted(x, flat, right=side == "right")
    return made.result(p.reshape(found, shape=values.shape))


def nonzero(face: Any) -> tuple[Any, ...]:
    """ndarray.nonzero: its size depends on values, so Python has to know them."""
    if not face.shape:
        raise NotCoveredError
    return crossing.wrap_all(np.nonzero(crossing.values(face)))


def diagonal(face: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """ndarray.diagonal of a packed matrix: a view that cannot be written."""
    x = face._tensor
    if len(x.shape) != 2 or (axis1, axis2) != (0, 1):
        raise NotCoveredError
    rows, columns = x.shape
    offset = offset.__index__()
    count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    flat = p.reshape(x, shape=(x.size,))
    if not flat._view or not count:
        raise NotCoveredError
    first = offset if offset >= 0 else -offset * columns
    step = columns + 1
    last = first + (count - 1) * step + 1
    view = p.slice(flat, starts=(first,), stops=(last,), steps=(step,))
    if view._array is not None:
        view._array.flags.writeable = False
    return made.face(view, face)


def trace(
    face: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    """ndarray.trace."""
    return reducer(np.add)(diagonal(face, offset, axis1, axis2), -1, dtype, out)


def fill(face: Any, value: Any) -> None:
    """ndarray.fill."""
    indexing.setitem(face, Ellipsis, value)


def conjugate(face: Any, out: Any = None) -> Any:
    """ndarray.conjugate: of real numbers the array itself."""
    if out is None and face.dtype.kind != "c":
        return face
    return ufuncs.apply_ufunc(np.conjugate, "__call__", (face,), {"out": out} if out else {})


def count_nonzero(face: Any, axis: Any, keepdims: bool) -> Any:
    """np.count_nonzero; without an axis some versions give a Python integer."""
    x = face._tensor
    found = reductions.count(x, axes_of(axis, len(x.shape)), keepdims)
    plain = _COUNT is int and axis is None and not keepdims
    return int(made.result(found)) if plain else made.result(found)
