"""Indices that are not basic: tensors, arrays and lists of integers or booleans.

As in NumPy: several are broadcast together; their axes go where the first stood, or to the front
if a slice, None or Ellipsis lies between two of them. A boolean index stands for its positions.
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dualflow.base.dtypes import bool_, int64
from dualflow.base.errors import IndexingError
from dualflow.base.shapes import Shape, broadcast, size_of

from .. import door, operands
from .. import primitives as p
from ..devices import near
from ..operands import TENSORS
from ..primitives.indexing import along

Tensor = Any
Basic = Callable[[Any, tuple[Any, ...]], Any]


def normal(x: Tensor, items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Indices of `x` as ints, slices, None, Ellipsis and tensors of integers or booleans."""
    if door.away:
        return _normal_there(x, items)
    return tuple([_normal_item(item) for item in items])


@near
def _normal_there(x: Tensor, items: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple([_normal_item(item) for item in items])


def _normal_item(item: Any) -> Any:
    kind: Any = type(item)
    if item is None or item is Ellipsis or kind is int:
        return item
    if kind is slice or (kind in TENSORS and item.dtype.kind in "biu"):
        return item
    if isinstance(item, np.integer) or (kind is not bool and isinstance(item, int)):
        return operator.index(item)  # type: ignore[arg-type]
    if isinstance(item, list):
        item = np.asarray(item)
        item = item.astype(np.int64) if item.size == 0 else item
    if isinstance(item, np.ndarray):
        item = operands.tensor(item)
    if type(item) not in TENSORS or item.dtype.kind not in "biu":
        what = item.dtype.name if hasattr(item, "dtype") else type(item).__name__
        raise IndexingError(
            f"an index of type {type(item).__name__} ({what})",
            why="indices are integers, slices, None, ..., and tensors or lists of integers or "
            "booleans",
        )
    return item


def is_basic(items: tuple[Any, ...]) -> bool:
    """Whether no tensor is left among normal indices."""
    return TENSORS.isdisjoint(map(type, items))


class _Plan(NamedTuple):
    """What normal indices ask of a tensor.

    Attributes:
        view: what the basic indices show of it.
        axes: the axes of `view` that are indexed by tensors.
        indices: a tensor of integers for each of them.
        shape: to which they broadcast.
        place: where the axes of that shape go among those of `view` that are left.
    """

    view: Tensor
    axes: tuple[int, ...]
    indices: tuple[Tensor, ...]
    shape: Shape
    place: int


def _plan(x: Tensor, items: tuple[Any, ...], basic: Basic) -> _Plan:
    spread: list[Any] = []  # booleans replaced by their positions, one tensor an axis
    axis = 0
    for item in items:
        if type(item) in TENSORS and item.dtype == bool_:
            _check_mask(item, x.shape, axis, items)
            spread += positions(item)
        else:
            spread.append(item)
        axis = len(x.shape) - _width(items) if item is Ellipsis else axis + _width((item,))
    strong = [i for i, item in enumerate(spread) if type(item) in TENSORS or type(item) is int]
    separated = strong[-1] - strong[0] + 1 != len(strong)
    view = basic(x, tuple(slice(None) if type(i) in TENSORS else i for i in spread))
    axes, indices = [], []
    at = 0
    for item in spread:
        if type(item) in TENSORS:
            axes.append(at)
            indices.append(item)
        if item is Ellipsis:
            at += len(x.shape) - _width(tuple(spread))
        elif type(item) is not int:
            at += 1
    shape = broadcast(*(index.shape for index in indices), of="an index")
    return _Plan(view, tuple(axes), tuple(indices), shape, 0 if separated else axes[0])


def _width(items: tuple[Any, ...]) -> int:
    """How many axes of the indexed tensor normal indices take."""
    return builtins.sum(
        item.ndim if type(item) in TENSORS and item.dtype == bool_
        else item is not None and item is not Ellipsis
        for item in items
    )  # fmt: skip


def _check_mask(mask: Tensor, shape: Shape, axis: int, items: tuple[Any, ...]) -> None:
    if Ellipsis in [item for item in items if type(item) not in TENSORS]:
        before = builtins.next(i for i, item in enumerate(items) if item is Ellipsis)
        if builtins.any(item is mask for item in items[before:]):
            axis = len(shape) - _width(items[before:])
    sizes = shape[axis : axis + mask.ndim]
    fits = [n in (size, 0) for n, size in zip(mask.shape, sizes, strict=False)]  # as in NumPy
    if not mask.ndim or len(sizes) < mask.ndim or not builtins.all(fits):
        raise IndexingError(f"a boolean index of shape {mask.shape} for axes {axis}... of {shape}",
                            why="a mask must have the sizes of the axes it selects from",
                            instead="df.where(mask, x, y) keeps the shape")  # fmt: skip


@near
def positions(x: Tensor) -> tuple[Tensor, ...]:
    """The positions of the elements that are not 0; Python must know the values."""
    found = np.nonzero(door.state.mode.values(x))
    return tuple(operands.own(axis) for axis in found)


@near
def read(x: Tensor, items: tuple[Any, ...], basic: Basic) -> Tensor:
    """`x[items]`, a new tensor."""
    if _is_truth(items):
        return read(basic(x, (None,)), (p.reshape(items[0], shape=(1,)),), basic)
    plan = _plan(x, items, basic)
    if len(plan.axes) == 1:
        out = p.take(plan.view, plan.indices[0], axis=plan.axes[0])
        return _moved(out, plan.axes[0], plan.place, len(plan.shape))
    flat, rest = _flattened(plan)
    out = p.take(flat, _linear(plan), axis=0)
    return _moved(out, 0, plan.place, len(plan.shape)) if rest else out


def _is_truth(items: tuple[Any, ...]) -> bool:
    """Whether the only index is one boolean: it selects from a new first axis of size 1."""
    (first, *others) = items
    return not others and first.dtype == bool_ and not first.shape


def _moved(x: Tensor, source: int, target: int, count: int) -> Tensor:
    """`x` with the `count` axes from `source` on at `target` among the others."""
    if source == target or count == 0:
        return x
    others = [i for i in range(x.ndim) if not source <= i < source + count]
    order = (*others[:target], *range(source, source + count), *others[target:])
    return p.permute(x, axes=tuple(order))


def _flattened(plan: _Plan) -> tuple[Tensor, Shape]:
    """The indexed axes of the view merged into a first one; and the sizes of the rest."""
    shape = plan.view.shape
    others = tuple(i for i in range(len(shape)) if i not in plan.axes)
    rest = tuple(shape[i] for i in others)
    size = size_of(tuple(shape[i] for i in plan.axes))
    front = p.permute(plan.view, axes=plan.axes + others)
    return p.reshape(front, shape=(size, *rest)), rest


def _linear(plan: _Plan) -> Tensor:
    """One index into the merged axes; each part is checked against its own axis."""
    linear: Any = None
    for axis, index in zip(plan.axes, plan.indices, strict=True):
        size = plan.view.shape[axis]
        checked = p.take(p.iota(shape=(size,), axis=0, dtype=int64), index, axis=0)
        linear = checked if linear is None else linear * size + checked
    return linear if linear.shape == plan.shape else p.expand(linear, shape=plan.shape)


@near
def write(x: Tensor, items: tuple[Any, ...], value: Any, basic: Basic, fitted: Any) -> None:
    """`x[items] = value`."""
    if _is_truth(items):
        write(basic(x, (None,)), (p.reshape(items[0], shape=(1,)),), value, basic, fitted)
        return
    (first, *others) = items
    if not others and type(first) in TENSORS and first.dtype == bool_ and _is_one(value):
        _check_mask(first, x.shape, 0, items)
        one = fitted(value, (), x.dtype)
        if 0 not in first.shape:  # else it selects nothing, whatever the sizes of x
            mask = p.reshape(first, shape=first.shape + (1,) * (x.ndim - first.ndim))
            door.write(x, p.where.of(mask, one, x))
        return
    plan = _plan(x, items, basic)
    if len(plan.axes) == 1:
        _write_along(plan, value, fitted)
    else:
        _write_merged(plan, value, fitted)


def _write_along(plan: _Plan, value: Any, fitted: Any) -> None:
    """Store `value` at the positions of the one index."""
    view, (axis,), place = plan.view, plan.axes, plan.place
    before, after = view.shape[:axis], view.shape[axis + 1 :]
    rest = before + after
    given = fitted(value, rest[:place] + plan.shape + rest[place:], view.dtype)
    given = _moved(given, place, axis, len(plan.shape))
    count = size_of(plan.shape)
    values = p.reshape(given, shape=(*before, count, *after))
    flat = p.reshape(plan.indices[0], shape=(count,))
    indices = along(flat, values.shape, axis, len(view.shape))
    door.write(view, p.put(view, indices, values, axis=axis))


def _write_merged(plan: _Plan, value: Any, fitted: Any) -> None:
    """Store `value` where several indices meet: their axes become one, in front."""
    view, place = plan.view, plan.place
    flat, rest = _flattened(plan)
    given = fitted(value, rest[:place] + plan.shape + rest[place:], view.dtype)
    given = _moved(given, place, 0, len(plan.shape))
    count = size_of(plan.shape)
    values = p.reshape(given, shape=(count, *rest))
    linear = p.reshape(_linear(plan), shape=(count,))
    made = p.put(flat, along(linear, values.shape, 0, flat.ndim), values, axis=0)
    order = plan.axes + tuple(i for i in range(view.ndim) if i not in plan.axes)
    front = p.reshape(made, shape=tuple(view.shape[i] for i in order))
    inverse = tuple(sorted(range(view.ndim), key=order.__getitem__))
    door.write(view, p.permute(front, axes=inverse))


def _is_one(value: Any) -> bool:
    return np.ndim(value) == 0 if not hasattr(value, "ndim") else value.ndim == 0
