"""Records whose positions come from values: take, gather and the scattering ones.

A negative index counts from the end; one out of bounds raises IndexingError. All but `take` go
along one axis: indices and values have one shape, which equals that of x on the other axes.

`known`, which `schedule/` alone sets, says what need not be looked at again: indices are "inside",
from 0 to the size of the axis, or also "sorted" along it.
"""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import int64
from dualflow.base.errors import DTypeError, IndexingError, ShapeError
from dualflow.base.shapes import Shape, contiguous_strides, size_of
from dualflow.base.source import called
from dualflow.ir.op import Kind
from dualflow.ir.types import Lookup, TensorType, View

from .. import domains
from ..record import primitive
from ..rules import check_axis, check_kind
from .creation import full, iota
from .elementwise import where
from .movement import expand


def out_of_bounds(index: int, size: int, axis: int) -> IndexingError:
    """The error for `index` on an axis of `size`."""
    return IndexingError(f"{called('an index')}: index {index} for axis {axis} of size {size}",
                         why=f"indices of this axis run from {-size} to {size - 1}")  # fmt: skip


def _check_integers(indices: np.ndarray) -> None:
    if indices.dtype.kind not in "iu":
        raise TypeError("indices are not integers")  # the rule says more


def _check_bounds(indices: np.ndarray, size: int, axis: int) -> None:
    _check_integers(indices)
    if indices.size:
        low, high = int(indices.min()), int(indices.max())
        if low < -size or high >= size:
            raise out_of_bounds(low if low < -size else high, size, axis)


def _take_rule(x: TensorType, indices: TensorType, *, axis: int, known: str = "") -> TensorType:
    check_axis("take", axis, len(x.shape))
    check_kind("take by indices", indices.dtype, "iu")
    return TensorType((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)


def _take(x: np.ndarray, indices: np.ndarray, *, axis: int, known: str = "") -> np.ndarray:
    _check_integers(indices)
    try:
        return x.take(indices.astype(np.int64, copy=False), axis)
    except IndexError:
        _check_bounds(indices, x.shape[axis], axis)
        raise


def along(indices, shape, axis: int, rank: int):
    """1-d positions, repeated to indices of `shape` for scattering along `axis`."""
    kept = [1] * rank
    kept[axis] = -1
    return expand(indices.reshape(tuple(kept)), shape=shape)


def _take_gradient(g, out, x, indices, axis):
    flat = g.reshape((*x.shape[:axis], size_of(indices.shape), *x.shape[axis + 1 :]))
    zeros = full(shape=x.shape, value=0.0, dtype=g.dtype)
    positions = along(indices, flat.shape, axis, len(x.shape))
    return scatter_add(zeros, positions, flat, axis=axis), None


def _take_lookup(x: View, shape: Shape, *, axis: int, known: str = "") -> Lookup:
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    out = (*before, *shape, *after)
    strides = (*x.strides[:axis], *(0,) * len(shape), *x.strides[axis + 1 :])
    along = (*(0,) * len(before), *contiguous_strides(shape), *(0,) * len(after))
    return Lookup(View(out, strides, x.offset), View(out, along), x.strides[axis], x.shape[axis])


def _gather_lookup(x: View, shape: Shape, *, axis: int, known: str = "") -> Lookup:
    strides = (*x.strides[:axis], 0, *x.strides[axis + 1 :])
    start = View(shape, strides, x.offset)
    return Lookup(start, View.contiguous(shape), x.strides[axis], x.shape[axis])


take = primitive(
    "take", Kind.INDEXING, _take_rule, _take,
    doc="the slices of x at indices along an axis, in the shape of indices",
    gradient=_take_gradient, lookup=_take_lookup, may_raise=True, domain=domains.FEW_VALUES,
)  # fmt: skip


def _along_rule(name: str, valued: bool):
    def rule(
        x: TensorType, indices: TensorType, *values: TensorType, axis: int, known: str = ""
    ) -> TensorType:
        check_axis(name, axis, len(x.shape))
        check_kind(f"{name} by indices", indices.dtype, "iu")
        check_kind(name, x.dtype, "biufc" if name == "scatter_add" else "biufcs")
        others = (*x.shape[:axis], *x.shape[axis + 1 :])
        if len(indices.shape) != len(x.shape) or others != (
            *indices.shape[:axis], *indices.shape[axis + 1 :]
        ):  # fmt: skip
            raise ShapeError(f"{name} of {x.shape} by indices of {indices.shape} on axis {axis}",
                             why="the other axes must have equal sizes")  # fmt: skip
        for value in values:
            if value.shape != indices.shape:
                raise ShapeError(f"{name} of values {value.shape} at indices {indices.shape}")
            if value.dtype != x.dtype:
                raise DTypeError(f"{name} of {value.dtype.name} values into {x.dtype.name}",
                                 why="primitives do not promote", instead="cast first")  # fmt: skip
        return x if valued else TensorType(indices.shape, x.dtype)

    return rule


def _places(indices: np.ndarray, axis: int) -> tuple[np.ndarray, ...]:
    rank = indices.ndim
    grids = [
        indices.astype(np.int64, copy=False) if i == axis
        else np.arange(size).reshape((size,) + (1,) * (rank - i - 1))
        for i, size in enumerate(indices.shape)
    ]  # fmt: skip
    return tuple(grids)


def _gather(x: np.ndarray, indices: np.ndarray, *, axis: int, known: str = "") -> np.ndarray:
    _check_integers(indices)
    try:
        return x[_places(indices, axis)]
    except IndexError:
        _check_bounds(indices, x.shape[axis], axis)
        raise


def _scatter_add(
    x: np.ndarray, indices: np.ndarray, values: np.ndarray, *, axis: int, known: str = ""
) -> np.ndarray:
    _check_bounds(indices, x.shape[axis], axis)
    out = x.copy()
    np.add.at(out, _places(indices, axis), values)
    return out


def _put(
    x: np.ndarray, indices: np.ndarray, values: np.ndarray, *, axis: int, known: str = ""
) -> np.ndarray:
    _check_bounds(indices, x.shape[axis], axis)
    out = x.copy()
    out[_places(indices, axis)] = values
    return out


def _gather_gradient(g, out, x, indices, axis):
    zeros = full(shape=x.shape, value=0.0, dtype=g.dtype)
    return scatter_add(zeros, indices, g, axis=axis), None


def _put_gradient(g, out, x, indices, values, axis):
    def to_x():
        zeros = full(shape=indices.shape, value=0.0, dtype=g.dtype)
        return put(g, indices, zeros, axis=axis)

    def to_values():  # of values for one place the last was kept: it alone has a gradient
        order = iota(shape=indices.shape, axis=axis, dtype=int64)
        kept = put(full(shape=x.shape, value=-1, dtype=int64), indices, order, axis=axis)
        is_kept = gather(kept, indices, axis=axis) == order
        return where.of(is_kept, gather(g, indices, axis=axis), 0.0)

    return to_x, None, to_values


gather = primitive(
    "gather", Kind.INDEXING, _along_rule("gather", valued=False), _gather,
    doc="out[i, j] = x[indices[i, j], j] (for axis 0)",
    gradient=_gather_gradient, lookup=_gather_lookup, may_raise=True, domain=domains.FEW_VALUES,
)  # fmt: skip
scatter_add = primitive(
    "scatter_add", Kind.INDEXING, _along_rule("scatter_add", valued=True), _scatter_add,
    doc="x with values added: x[indices[i, j], j] += values[i, j] (for axis 0), in order",
    gradient=lambda g, out, x, indices, values, axis: (
        g, None, lambda: gather(g, indices, axis=axis)),
    scatter="add", may_raise=True, domain=domains.FEW_VALUES,
)  # fmt: skip
put = primitive(
    "put", Kind.INDEXING, _along_rule("put", valued=True), _put,
    doc="x with values stored: x[indices[i, j], j] = values[i, j] (for axis 0), the last one stays",
    gradient=_put_gradient, scatter="", may_raise=True, domain=domains.FEW_VALUES,
)  # fmt: skip
