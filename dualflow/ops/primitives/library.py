"""Records that a library runs and that are never fused: sorting."""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import int64
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from .. import domains
from ..record import primitive
from ..rules import check_axis, check_kind
from .creation import full
from .indexing import scatter_add


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
    "sort", Kind.LIBRARY, _sort_rule, lambda x, *, axis: np.sort(x, axis=axis, kind="stable"),
    doc="the elements in rising order along an axis, NaN last",
    gradient=_sort_gradient, domain=domains.FEW_VALUES,
)  # fmt: skip
argsort = primitive(
    "argsort", Kind.LIBRARY, _argsort_rule,
    lambda x, *, axis: np.argsort(x, axis=axis, kind="stable"),
    doc="positions that sort along an axis; equals keep their order, NaN last",
    no_gradient="the result is a position", domain=domains.FEW_VALUES,
)  # fmt: skip
