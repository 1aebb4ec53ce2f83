"""Reading and writing by index: `x[...]`, `x[...] = v`, in basic form.

Integers, slices, None and Ellipsis give views, which share memory. Other indices go to
`advanced.py`: tensors, arrays and lists of integers gather, booleans select.
"""

from __future__ import annotations

import builtins
from operator import index as as_index
from typing import Any

import numpy as np

from dualflow.base.dtypes import int64, python_type, storable
from dualflow.base.errors import DTypeError, IndexingError, ShapeError
from dualflow.base.shapes import Shape, normal_axis
from dualflow.ir.op import Op

from .. import door
from .. import primitives as p
from ..devices import beside, near
from ..operands import KNOWN, is_number, number, tensor
from ..primitives.indexing import out_of_bounds
from ..promotion import SCALARS
from . import advanced

Tensor = Any
Chain = tuple[tuple[Op, dict[str, Any]], ...]
_slice = builtins.slice
_SLICE, _SELECT, _RESHAPE = p.slice.op, p.select.op, p.reshape.op
_BASIC = frozenset({int, type(None), type(Ellipsis)})
_KINDS = _BASIC | {_slice}
_BOUNDS = frozenset({int, type(None)})


def getitem(x: Tensor, index: Any) -> Tensor:
    """`x[index]`: a view for integers, slices, None and Ellipsis; else a new tensor.

    Raises:
        IndexingError: an index out of bounds, too many of them, or of a kind that cannot index.
    """
    items = index if type(index) is tuple else (index,)
    eager = door.unnoted(x)
    views = door.viewing(x) if eager is None else eager
    if views is not None and _is_plain(items):
        made = views.part(x, items)
        return basic(x, items) if made is None else made
    if _KINDS.issuperset(map(type, items)):
        return basic(x, items)
    items = advanced.normal(x, items)
    if advanced.is_basic(items):
        return basic(x, items)
    made = None if eager is None else eager.pick(x, items)
    return advanced.read(x, items, basic) if made is None else made


def setitem(x: Tensor, index: Any, value: Any) -> None:
    """`x[index] = value`, broadcast and cast to what the index shows.

    Raises:
        IndexingError: see `getitem`.
        ShapeError, DTypeError: see `write`.
    """
    items = index if type(index) is tuple else (index,)
    plain = _is_plain(items)
    if not plain:
        items = advanced.normal(x, items)
    eager = door.unnoted(x)
    if eager is not None and eager.put(x, items, value):
        return
    if not plain and not advanced.is_basic(items):
        advanced.write(x, items, value, basic, fitted)
        return
    views = door.viewing(x) if plain else None
    target = None if views is None else views.part(x, items)
    if target is None:
        target = basic(x, items)
    if getattr(value, "_storage", None) is target._storage and value._view == target._view:
        return  # x[index] += y: the view that Python hands back has been written already
    write(target, value)


def _is_plain(items: tuple[Any, ...]) -> bool:
    """Whether all indices are basic, and immutable (no slice up to a tensor), so that their chain
    may be made later."""
    for item in items:
        kind = type(item)
        if kind is _slice:
            if not (
                type(item.start) in _BOUNDS
                and type(item.stop) in _BOUNDS
                and type(item.step) in _BOUNDS
            ):
                return False
        elif kind not in _BASIC:
            return False
    return True


def basic(x: Tensor, items: tuple[Any, ...]) -> Tensor:
    """The view for integers, slices, None and Ellipsis."""
    for op, attributes in chain(x.shape, items):
        x = door.run(op, (x,), attributes)
    return x


def chain(shape: Shape, items: tuple[Any, ...]) -> Chain:
    """The view ops for basic indices: a slice, then selects, then new axes.

    Raises:
        IndexingError: see `getitem`.
    """
    if len(items) == 1 and shape:  # the common cases, without loops
        (item,) = items
        if type(item) is int and -shape[0] <= item < shape[0]:
            return ((_SELECT, {"axis": 0, "index": item % shape[0]}),)
        if type(item) is _slice:
            start, stop, step = _bounds(item, shape[0])
            rest = len(shape) - 1
            starts, stops, steps = (start, *(0,) * rest), (stop, *shape[1:]), (step, *(1,) * rest)
            return ((_SLICE, {"starts": starts, "stops": stops, "steps": steps}),)
    return _general(shape, items)


def _bounds(item: Any, size: int) -> tuple[int, int, int]:
    """Start, stop and step of a slice of an axis, normal."""
    start, stop, step = item.indices(size)
    return (start, stop, step) if start >= 0 else (0, 0, 1)  # empty, from before the first element


def _general(shape: Shape, items: tuple[Any, ...]) -> Chain:
    rank = len(shape)
    starts: list[int] = []
    stops: list[int] = []
    steps: list[int] = []
    selected: list[tuple[int, int]] = []  # (axis, index)
    new: list[int] = []  # axes of the result
    filled = False
    for item in items:
        axis = len(starts)
        kind = type(item)
        if kind is _slice:
            start, stop, step = _bounds(item, _size(shape, axis, items))
            starts.append(start)
            stops.append(stop)
            steps.append(step)
        elif kind is int:
            size = _size(shape, axis, items)
            at = item + size if item < 0 else item
            if not 0 <= at < size:
                raise out_of_bounds(item, size, axis)
            selected.append((axis, at))
            starts.append(0)
            stops.append(size)
            steps.append(1)
        elif item is None:
            new.append(axis - len(selected) + len(new))
        else:
            if filled:
                raise IndexingError("an index with two Ellipsis", instead="one ...")
            filled = True
            after = rank - builtins.sum(i is not None for i in items) + 1
            rest = shape[axis : axis + builtins.max(after, 0)]
            starts += (0,) * len(rest)
            stops += rest
            steps += (1,) * len(rest)
    rest = shape[len(starts) :]
    whole = (*starts, *(0,) * len(rest)), (*stops, *rest), (*steps, *(1,) * len(rest))
    return _steps(shape, *whole, selected, new)


def _steps(
    shape: Shape, starts: Shape, stops: Shape, steps: Shape, selected: list[tuple[int, int]],
    new: list[int],
) -> Chain:  # fmt: skip
    found: list[tuple[Op, dict[str, Any]]] = []
    if not (selected or new) or builtins.any(starts) or stops != shape or set(steps) - {1}:
        found.append((_SLICE, {"starts": starts, "stops": stops, "steps": steps}))
    for axis, at in reversed(selected):
        found.append((_SELECT, {"axis": axis, "index": at}))
    if new:
        taken = {axis for axis, _ in selected}
        sizes = map(len, map(range, starts, stops, steps))
        kept = [size for axis, size in enumerate(sizes) if axis not in taken]
        for axis in new:
            kept.insert(axis, 1)
        found.append((_RESHAPE, {"shape": tuple(kept)}))
    return tuple(found)


def _size(shape: Shape, axis: int, items: tuple[Any, ...]) -> int:
    if axis >= len(shape):
        given = builtins.sum(i is not None and i is not Ellipsis for i in items)
        raise IndexingError(f"{given} indices for a tensor with {len(shape)} axes")
    return shape[axis]


def write(target: Tensor, value: Any) -> None:
    """Store `value` in the memory that `target` shows, in place; every view of it sees that.

    Raises:
        ShapeError: `value` does not broadcast to the shape of `target`.
        DTypeError: floats into integers, or numbers into booleans.
        InPlaceError: `target` is read-only, or its old value is needed for a gradient.

    >>> import dualflow as df
    >>> x = df.zeros(3)
    >>> df.write(x[1:], 5.0)
    >>> x.tolist()
    [0.0, 5.0, 5.0]
    """
    if door.away:
        with beside(target):
            value = fitted(value, target.shape, target.dtype)
    door.write(target, fitted(value, target.shape, target.dtype))


def fitted(value: Any, shape: Shape, dtype: np.dtype) -> Tensor:
    """`value` as a tensor of `shape` and `dtype`."""
    given = type(value)
    if given not in KNOWN and is_number(value):
        return fitted(number(value), shape, dtype)
    if given in SCALARS:
        if python_type(dtype) is float and given is not complex:
            value = float(value)
        elif dtype.kind == "c":
            value = complex(value)
        elif given in (float, complex) or (given is int and dtype.kind == "b"):
            raise _storing(given.__name__, dtype)
        elif dtype.kind in "iu":
            value = as_index(value)
        return p.full(shape=shape, value=value, dtype=dtype)
    value = tensor(_from_list(value, dtype), "a value")
    if value.dtype != dtype:
        if not storable(value.dtype, dtype):
            raise _storing(value.dtype.name, dtype)
        value = p.cast(value, dtype=dtype)
    if len(value.shape) > len(shape):  # leading axes of size 1 are dropped, as in NumPy
        extra = len(value.shape) - len(shape)
        if value.shape[:extra] == (1,) * extra:
            value = p.reshape(value, shape=value.shape[extra:])
    return value if value.shape == shape else p.expand(value, shape=shape)


def _from_list(value: Any, dtype: np.dtype) -> Any:
    """Lists of Python scalars as an array that loses nothing by being cast."""
    if not isinstance(value, (list, tuple)):
        return value
    array = np.asarray(value)
    safe = {float: "biuf", complex: "biufc"}.get(python_type(dtype), "")
    return array.astype(dtype) if array.dtype.kind in safe else array


def _storing(what: str, dtype: np.dtype) -> DTypeError:
    return DTypeError(f"storing {what} into {dtype.name}", why="the values would be cut",
                      instead="astype(...) one of them first")  # fmt: skip


def take(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """The slices of `x` at `indices` along `axis`, in the shape of `indices`.

    Args:
        x: a tensor.
        indices: integers; negative ones count from the end.
        axis: None takes from the flattened elements.

    Raises:
        IndexingError: an index out of bounds.
        DTypeError: indices that are no integers.

    >>> import dualflow as df
    >>> df.take(df.asarray([10, 20, 30]), df.asarray([2, 0])).tolist()
    [30, 10]
    """
    x = tensor(x)
    if axis is None:
        x, axis = x if x.ndim == 1 else p.reshape(x, shape=(x.size,)), 0
    return p.take(x, tensor(indices), axis=normal_axis(axis, x.ndim))


def take_along_axis(x: Tensor, indices: Tensor, axis: int = -1) -> Tensor:
    """The elements of `x` at `indices` along `axis`; the other axes broadcast.

    Raises:
        IndexingError: an index out of bounds.
        ShapeError: other numbers of axes, or sizes that do not broadcast.

    >>> import dualflow as df
    >>> x = df.asarray([[1, 2], [3, 4]])
    >>> df.take_along_axis(x, df.asarray([[1], [0]]), axis=1).tolist()
    [[2], [3]]
    """
    x, indices = tensor(x), tensor(indices)
    axis = normal_axis(axis, x.ndim)
    return p.gather(x, _along(indices, x, axis), axis=axis)


def scatter_add(x: Tensor, indices: Tensor, values: Tensor, axis: int = 0) -> Tensor:
    """`x` with `values` added at `indices` along `axis`: out[indices[i, j], j] += values[i, j].

    Args:
        x: a tensor.
        indices: integers, with as many axes as `x`; other axes broadcast.
        values: broadcast to the shape of `indices`.
        axis: the axis along which `indices` count.

    Raises:
        IndexingError: an index out of bounds.

    >>> import dualflow as df
    >>> df.scatter_add(df.zeros(3), df.asarray([0, 0, 2]), 1.0).tolist()
    [2.0, 0.0, 1.0]
    """
    return _scattered(p.scatter_add, x, indices, values, axis)


def scatter(x: Tensor, indices: Tensor, values: Tensor, axis: int = 0) -> Tensor:
    """`x` with `values` stored at `indices` along `axis`; of several for one place the last stays.

    Raises:
        IndexingError: an index out of bounds.

    >>> import dualflow as df
    >>> df.scatter(df.zeros(3), df.asarray([0, 2]), 1.0).tolist()
    [1.0, 0.0, 1.0]
    """
    return _scattered(p.put, x, indices, values, axis)


def _scattered(primitive: Any, x: Tensor, indices: Tensor, values: Tensor, axis: int) -> Tensor:
    x, indices = tensor(x), tensor(indices)
    axis = normal_axis(axis, x.ndim)
    indices = _along(indices, x, axis)
    return primitive(x, indices, fitted(values, indices.shape, x.dtype), axis=axis)


def _along(indices: Tensor, x: Tensor, axis: int) -> Tensor:
    shape = list(x.shape)
    if len(indices.shape) == len(shape):
        shape[axis] = indices.shape[axis]
    wanted = tuple(shape)
    return indices if indices.shape == wanted else p.expand(indices, shape=wanted)


def sort(x: Tensor, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements along `axis` in rising order, NaN last (descending: in falling order).

    Args:
        x: a tensor of any dtype but a complex one.
        axis: along which to sort.
        descending: whether the largest comes first.
        stable: the order of equal elements is kept in any case.

    >>> import dualflow as df
    >>> df.sort(df.asarray([3, 1, 2])).tolist()
    [1, 2, 3]
    """
    x = tensor(x)
    axis = normal_axis(axis, x.ndim)
    out = p.sort(x, axis=axis)
    return out.flip(axis) if descending else out


def argsort(x: Tensor, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The positions that sort `x` along `axis`; equal elements keep their order.

    Arguments as for `sort`.

    >>> import dualflow as df
    >>> df.argsort(df.asarray([3, 1, 2])).tolist()
    [1, 2, 0]
    """
    x = tensor(x)
    axis = normal_axis(axis, x.ndim)
    if not descending:
        return p.argsort(x, axis=axis)
    return x.shape[axis] - 1 - p.argsort(x.flip(axis), axis=axis).flip(axis)


@near
def argwhere(x: Tensor) -> Tensor:
    """The positions of the elements that are not 0: (count, axes), one row for each.

    Args:
        x: a tensor.

    >>> import dualflow as df
    >>> df.argwhere(df.asarray([[0, 5], [7, 0]])).tolist()
    [[0, 1], [1, 0]]
    """
    x = tensor(x)
    found = nonzero(x)
    if not found:
        return p.full(shape=(int(bool(x)), 0), value=0, dtype=int64)
    columns = [p.reshape(axis, shape=(axis.size, 1)) for axis in found]
    return p.concat(*columns, axis=1)


def nonzero(x: Tensor) -> tuple[Tensor, ...]:
    """The positions of the elements that are not 0, one tensor for each axis.

    Their number depends on values, so Python has to know them.

    Args:
        x: a tensor with at least one axis.

    >>> import dualflow as df
    >>> df.nonzero(df.asarray([0, 5, 7]))[0].tolist()
    [1, 2]
    """
    x = tensor(x)
    if not x.ndim:
        raise ShapeError("nonzero of a tensor without axes", instead="reshape(x, (1,)) first")
    return advanced.positions(x)
