"""Methods that move elements: reshape, ravel, transpose, squeeze, repeat, take, diagonal, copies.

Comes in: a face and NumPy's arguments. Goes out: views where NumPy gives views, else copies in
NumPy's order; `NotCoveredError` where NumPy has to compute it or to say what is wrong.
"""

from __future__ import annotations

from operator import index as as_index
from typing import Any

import numpy as np

from dualflow.base.dtypes import int64
from dualflow.base.shapes import Shape, size_of
from dualflow.ops import primitives as p

from . import crossing, layout, made, ufuncs
from .reductions import axis_of
from .ufuncs import NotCoveredError, stored

Tensor = Any


def shape_of(given: tuple[Any, ...]) -> Shape:
    """A shape given as one tuple or as several integers.

    Raises:
        NotCoveredError: it is none.
    """
    shape = given[0] if len(given) == 1 else given
    sizes = shape if isinstance(shape, (tuple, list)) or np.ndim(shape) == 1 else (shape,)
    if any(isinstance(size, (bool, np.bool)) for size in sizes):
        raise NotCoveredError
    try:
        return tuple(map(as_index, sizes))
    except TypeError as cause:
        raise NotCoveredError from cause


def viewed(face: Any, tensor: Tensor) -> Any:
    """The face of `tensor`, which an op made of that of `face`: a view, or a copy."""
    shares = tensor._storage is not None and tensor._storage is face._tensor._storage
    return made.face(tensor, face if shares else None)


def reshape(face: Any, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
    """ndarray.reshape."""
    x = face._tensor
    wanted = _inferred(x.size, shape_of(shape))
    if order == "A":
        order = "F" if layout.fortran(x) else "C"
    if order not in ("C", "F") or copy is not None:
        raise NotCoveredError
    if order == "C":
        return viewed(face, p.reshape(x, shape=wanted))
    turned = p.reshape(_turned(x), shape=tuple(reversed(wanted)))
    return viewed(face, _turned(turned))


def _turned(x: Tensor) -> Tensor:
    return p.permute(x, axes=tuple(reversed(range(len(x.shape)))))


def _inferred(size: int, wanted: Shape) -> Shape:
    if -1 not in wanted:
        if size_of(wanted) != size or min(wanted, default=0) < 0:
            raise NotCoveredError
        return wanted
    rest = size_of(tuple(n for n in wanted if n != -1))
    if wanted.count(-1) > 1 or rest <= 0 or size % rest:
        raise NotCoveredError
    return tuple(size // rest if n == -1 else n for n in wanted)


def ravel(face: Any, order: str = "C") -> Any:
    """ndarray.ravel."""
    if order not in ("C", "F", "A", "K"):
        raise NotCoveredError
    x = face._tensor
    if order == "K" and not layout.packed(x):
        axes = layout.falling(layout.strides(x), x.shape)
        if axes is not None:
            x = p.permute(x, axes=axes)
        order = "C"
    if order == "F" or (order == "A" and layout.fortran(x)):
        x = _turned(x)
    flat = p.reshape(x, shape=(x.size,))
    if flat._view and not _adjacent(flat):  # NumPy's ravel never gives a view with gaps
        return made.face(p.cast(flat, dtype=flat.dtype))
    return viewed(face, flat)


def _adjacent(x: Tensor) -> bool:
    return x.size < 2 or layout.strides(x)[0] == x.dtype.itemsize


def flatten(face: Any, order: str = "C") -> Any:
    """ndarray.flatten."""
    flat = ravel(face, order)
    return copy(flat) if flat._base is not None else flat


def transpose(face: Any, *axes: Any) -> Any:
    """ndarray.transpose."""
    x = face._tensor
    rank = len(x.shape)
    if not axes or axes[0] is None:
        return made.face(_turned(x), face)
    order = tuple(axis_of(axis, rank) for axis in shape_of(axes))
    if sorted(order) != list(range(rank)):
        raise NotCoveredError
    return made.face(p.permute(x, axes=order), face)


def swapaxes(face: Any, axis1: int, axis2: int) -> Any:
    """ndarray.swapaxes."""
    x = face._tensor
    order = list(range(len(x.shape)))
    a, b = axis_of(axis1, len(order)), axis_of(axis2, len(order))
    order[a], order[b] = order[b], order[a]
    return made.face(p.permute(x, axes=tuple(order)), face)


def squeeze(face: Any, axis: Any = None) -> Any:
    """ndarray.squeeze."""
    x = face._tensor
    shape = x.shape
    if axis is None:
        gone = {i for i, size in enumerate(shape) if size == 1}
    else:
        given = axis if isinstance(axis, tuple) else (axis,)
        gone = {axis_of(i, len(shape)) for i in given}
        if len(gone) != len(given) or any(shape[i] != 1 for i in gone):
            raise NotCoveredError
    kept = tuple(size for i, size in enumerate(shape) if i not in gone)
    return face if kept == shape else made.face(p.reshape(x, shape=kept), face)


def copy(face: Any, order: str = "C") -> Any:
    """ndarray.copy."""
    if order not in ("C", "F", "A", "K"):
        raise NotCoveredError
    return made.face(layout.copied(face._tensor, order))


def astype(
    face: Any,
    dtype: Any,
    order: str = "K",
    casting: str = "unsafe",
    subok: bool = True,
    copy: bool = True,
) -> Any:
    """ndarray.astype."""
    x, wanted = face._tensor, np.dtype(dtype)
    if order not in ("C", "F", "A", "K") or not crossing.supported(wanted):
        raise NotCoveredError
    if not np.can_cast(x.dtype, wanted, casting):  # type: ignore[arg-type]
        raise NotCoveredError
    if not copy and wanted == x.dtype and (order == "K" or (order == "C" and layout.packed(x))):
        return face
    if wanted == x.dtype:
        return made.face(layout.copied(x, order))
    if order == "K":
        return made.face(layout.cast(x, wanted))
    return made.face(layout.copied(p.cast(x, dtype=wanted), order))


def repeat(face: Any, repeats: Any, axis: int | None = None) -> Any:
    """ndarray.repeat, by one number of repeats."""
    x = face._tensor
    times = _count(repeats)
    if axis is None:
        x, axis = p.reshape(x, shape=(x.size,)), 0
    axis = axis_of(axis, len(x.shape))
    before, size, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    wide = p.expand(
        p.reshape(x, shape=(*before, size, 1, *after)), shape=(*before, size, times, *after)
    )
    flat = p.reshape(wide, shape=(*before, size * times, *after))
    return made.face(p.cast(flat, dtype=x.dtype) if flat._view else flat)


def _count(repeats: Any) -> int:
    try:
        times = as_index(repeats)
    except TypeError as cause:
        raise NotCoveredError from cause
    if times < 0:
        raise NotCoveredError
    return times


def take(face: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    """ndarray.take."""
    x = face._tensor
    if axis is None:
        x, axis = p.reshape(x, shape=(x.size,)), 0
    axis = axis_of(axis, len(x.shape))
    places = _positions(indices)
    if mode != "raise":
        places = _within(places, x.shape[axis], mode)
    value = p.take(x, places, axis=axis)
    return made.result(value) if out is None else stored(out, value, "unsafe")


def _positions(indices: Any) -> Tensor:
    found = ufuncs.operand(np.asarray(indices) if isinstance(indices, (int, list)) else indices)
    if isinstance(found, np.generic):
        found = crossing.fresh_tensor(np.asarray(found))
    if not hasattr(found, "shape") or found.dtype.kind not in "iu":
        raise NotCoveredError
    return found


def _within(places: Tensor, size: int, mode: str) -> Tensor:
    """Positions beyond an axis of `size`, wrapped around or clipped to its ends."""
    if size == 0 or mode not in ("wrap", "clip"):
        raise NotCoveredError
    if places.dtype != int64:
        places = p.cast(places, dtype=int64)
    if mode == "wrap":
        return p.remainder.of(places, size)
    return p.minimum.of(p.maximum.of(places, 0), size - 1)


def resize(face: Any, *shape: Any, refcheck: bool = True) -> None:
    """ndarray.resize: other memory, for this array alone. The references that NumPy counts first
    are not those to the face, so it asks for refcheck=False."""
    wanted = shape_of(shape)
    if refcheck or face.base is not None or min(wanted, default=0) < 0:
        raise NotCoveredError
    array = crossing.values(face).flatten()
    array.resize(wanted, refcheck=False)
    face._tensor = crossing.fresh_tensor(array)
