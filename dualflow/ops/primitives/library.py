"""Records that a library runs and that are never fused: sorting and searching."""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import int64
from dualflow.base.errors import DTypeError, ShapeError
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from .. import domains
from ..record import primitive
from ..rules import check_axis, check_kind, ordered
from .creation import full
from .indexing import gather, scatter_add


def _sort_rule(x: TensorType, *, axis: int) -> TensorType:
    check_axis("sort", axis, len(x.shape))
    check_kind("sort", x.dtype, "biuf")
    return x


def _argsort_rule(x: TensorType, *, axis: int) -> TensorType:
    check_axis("argsort", axis, len(x.shape))
    check_kind("argsort", x.dtype, "biuf")
    return TensorType(x.shape, int64)


def _sort_gradient(g, out, x, axis):
    zeros = full(shape=x.shape, value=0.0, dtype=g.dtype)
    return (scatter_add(zeros, argsort(x, axis=axis), g, axis=axis),)


sort = primitive(
    "sort", Kind.LIBRARY, _sort_rule,
    lambda x, *, axis: np.sort(ordered(x), axis=axis, kind="stable"),
    doc="the elements in rising order along an axis, NaN last",
    gradient=_sort_gradient, domain=domains.FEW_VALUES,
    forward=lambda tangents, out, x, axis: gather(tangents[0], argsort(x, axis=axis), axis=axis),
)  # fmt: skip
argsort = primitive(
    "argsort", Kind.LIBRARY, _argsort_rule,
    lambda x, *, axis: ordered(x).argsort(axis, kind="stable"),
    doc="positions that sort along an axis; equals keep their order, NaN last",
    no_gradient="the result is a position", domain=domains.FEW_VALUES,
)  # fmt: skip


def _searchsorted_rule(x: TensorType, v: TensorType, *, right: bool) -> TensorType:
    if not x.shape or x.shape[:-1] != v.shape[:-1]:
        raise ShapeError(f"searchsorted of {v.shape} in {x.shape}",
                         why="it takes (..., n) and (..., m)")  # fmt: skip
    check_kind("searchsorted", x.dtype, "biuf")
    if x.dtype != v.dtype:
        raise DTypeError(f"searchsorted of {v.dtype.name} in {x.dtype.name}",
                         why="primitives do not promote", instead="cast first")  # fmt: skip
    return TensorType(v.shape, int64)


def _searchsorted(x: np.ndarray, v: np.ndarray, *, right: bool) -> np.ndarray:
    side = "right" if right else "left"
    if x.ndim == v.ndim == 1 and x.dtype == v.dtype:
        return ordered(x).searchsorted(v, side)
    _searchsorted_rule(TensorType(x.shape, x.dtype), TensorType(v.shape, v.dtype), right=right)
    out = np.empty(v.shape, np.int64)
    for place in np.ndindex(*x.shape[:-1]):
        out[place] = np.searchsorted(x[place], v[place], side)
    return out


searchsorted = primitive(
    "searchsorted", Kind.LIBRARY, _searchsorted_rule, _searchsorted,
    doc="how many elements of each sorted row are less than (right: at most) the value",
    no_gradient="the result is a position", domain=domains.FEW_VALUES,
)  # fmt: skip
