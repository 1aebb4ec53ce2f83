"""`x[index]` and `x[index] = value` as NumPy does them: views, copies, scalars.

Comes in: faces and indices of any kind. Goes out: faces and scalars; NumPy itself says what is
wrong with an index, and takes those of other kinds (field names, booleans without axes).
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from dualflow.base.dtypes import bool_
from dualflow.base.errors import DualflowError
from dualflow.base.shapes import Shape, size_of
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.functions import advanced
from dualflow.ops.functions.indexing import basic
from dualflow.ops.promotion import SCALARS

from . import crossing, layout, made, ufuncs
from .made import FACES
from .ufuncs import NotCoveredError

Tensor = Any
_slice = builtins.slice
_BASIC = frozenset({int, _slice, type(None), type(Ellipsis)})
_REFUSED = (NotCoveredError, DualflowError)


def getitem(face: Any, index: Any) -> Any:
    """`face[index]`."""
    x = face._tensor
    items = index if type(index) is tuple else (index,)
    try:
        for item in items:
            if type(item) not in _BASIC:
                return _general(face, x, items)
        return _basic(face, x, items)
    except (*_REFUSED, ValueError):
        pass  # NumPy computes it, or raises its own error
    return crossing.real(np.ndarray.__getitem__, (face, index), {})


def _basic(face: Any, x: Tensor, items: tuple[Any, ...], copied: bool = False) -> Any:
    eager = door.unnoted(x)
    view = None if eager is None else eager.part(x, items)
    if view is None:
        view = basic(x, items)
    if not view.shape and Ellipsis not in items:
        return made.element(view)
    if copied:  # an index that is an array gives a copy
        return made.result(layout.copied(view, "K"))
    return made.face(view, face)


def _general(face: Any, x: Tensor, items: tuple[Any, ...]) -> Any:
    found, arrays = _normal(items)
    if not any(type(item) not in _BASIC for item in found):
        return _basic(face, x, found, copied=arrays)
    return made.result(_read(x, found))


def _normal(items: tuple[Any, ...]) -> tuple[tuple[Any, ...], bool]:
    """Indices as ints, slices, None, Ellipsis and tensors; whether one was a 0-d array."""
    found, arrays = [], False
    for item in items:
        if type(item) not in _BASIC:
            made_array = not (isinstance(item, np.generic) or getattr(item, "is_scalar", False))
            item = _normal_item(item)
            arrays |= made_array and type(item) is int
        elif type(item) is _slice and crossing.contains(item):
            item = crossing.unwrap_all(item)
        found.append(item)
    return tuple(found), arrays


def _normal_item(item: Any) -> Any:
    if isinstance(item, (bool, np.bool)):
        raise NotCoveredError
    if type(item) in FACES:
        tensor = item._tensor
    elif isinstance(item, np.integer) or not isinstance(item, (list, np.ndarray)):
        return _integer(item)
    else:
        if isinstance(item, list):
            item = np.asarray(crossing.unwrap_all(item))
            item = item.astype(np.intp) if item.size == 0 else item
        if not crossing.has_face(item):
            raise NotCoveredError
        if not item.shape and item.dtype.kind in "iu":
            return int(item)
        tensor = crossing.tensor_of(item)
    if tensor.dtype.kind not in "biu" or (tensor.dtype == bool_ and not tensor.shape):
        raise NotCoveredError
    return int(door.state.mode.values(tensor)) if not tensor.shape else tensor


def _integer(item: Any) -> int:
    try:
        return item.__index__()
    except (AttributeError, TypeError) as cause:
        raise NotCoveredError from cause


def _read(x: Tensor, items: tuple[Any, ...]) -> Tensor:
    """`x[items]` with tensors among the indices. As in NumPy the indexed axes are the slowest in
    memory, wherever they go in the shape."""
    plan = advanced._plan(x, items, basic)
    view, count = plan.view, len(plan.shape)
    others = [axis for axis in range(len(view.shape)) if axis not in plan.axes]
    steps = layout.strides(view)
    ranked = sorted(others, key=lambda axis: -abs(steps[axis]))
    front = p.permute(view, axes=(*plan.axes, *ranked))
    size = size_of(tuple(view.shape[axis] for axis in plan.axes))
    flat = p.reshape(front, shape=(size, *(view.shape[axis] for axis in ranked)))
    index = plan.indices[0] if len(plan.axes) == 1 else advanced._linear(plan)
    lies = layout.order_of(plan.indices)
    if lies is not None:
        index = p.permute(index, axes=lies)
    out = p.take(flat, index, axis=0)
    places = [count + ranked.index(axis) for axis in others]
    indexed = range(count) if lies is None else layout.inverse(lies)
    order = (*places[: plan.place], *indexed, *places[plan.place :])
    return out if order == tuple(range(len(order))) else p.permute(out, axes=order)


def setitem(face: Any, index: Any, value: Any) -> None:
    """`face[index] = value`."""
    x = face._tensor
    items = index if type(index) is tuple else (index,)
    try:
        given = _value(value, x.dtype)
        arrays = any(type(item) not in _BASIC for item in items)
        if arrays:
            items, _ = _normal(items)
            if not advanced.is_basic(items):
                advanced.write(x, items, given, basic, fitted)
                return
        target = basic(x, items)
        same = type(value) in FACES and given._storage is not None
        if same and given._storage is target._storage and given._view == target._view:
            return  # x[index] += y: the view that Python hands back has been written already
        if isinstance(value, (list, tuple)) and len(given.shape) > len(target.shape):
            raise NotCoveredError
        door.write(target, fitted(given, target.shape, target.dtype))
        return
    except (*_REFUSED, OverflowError, TypeError, ValueError):
        pass
    crossing.real(np.ndarray.__setitem__, (face, index, value), {})


def _value(value: Any, dtype: np.dtype) -> Any:
    """What is to be stored, as a tensor or a Python scalar of the kind of `dtype`."""
    if type(value) in FACES:
        return value._tensor
    if isinstance(value, np.ndarray):
        if crossing.has_face(value):
            return crossing.tensor_of(value)
        raise NotCoveredError
    if type(value) in SCALARS or isinstance(value, np.generic):
        cell = np.empty((), dtype)
        cell[()] = value  # converts as NumPy does, or raises what it raises
        return cell.item()
    if isinstance(value, (list, tuple)):
        array = np.asarray(crossing.unwrap_all(value), dtype)
        if crossing.has_face(array):
            return crossing.fresh_tensor(array)
    raise NotCoveredError


def fitted(value: Any, shape: Shape, dtype: np.dtype) -> Tensor:
    """`value`, as `_value` gives it, as a tensor of `shape` and `dtype`."""
    if type(value) in SCALARS:
        return p.full(shape=shape, value=value, dtype=dtype)
    if value.dtype != dtype:
        value = p.cast(value, dtype=dtype)
    extra = len(value.shape) - len(shape)
    if extra > 0 and value.shape[:extra] == (1,) * extra:
        value = p.reshape(value, shape=value.shape[extra:])
    return value if value.shape == shape else p.expand(value, shape=shape)


def assign(face: Any, value: Any, casting: str = "same_kind") -> None:
    """Store `value` in all of `face`, as np.copyto does.

    Raises:
        NotCoveredError: the dtypes do not allow it.
    """
    given = ufuncs.operand(value)
    if type(given) in SCALARS:
        given = np.asarray(given)[()]
    if not np.can_cast(given.dtype, face._tensor.dtype, casting):  # type: ignore[arg-type]
        raise NotCoveredError
    if isinstance(given, np.generic):
        given = _value(given, face._tensor.dtype)
    x = face._tensor
    door.write(x, fitted(given, x.shape, x.dtype))
