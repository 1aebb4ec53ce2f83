"""Records of sums of products: matmul."""

from __future__ import annotations

import numpy as np

from dualflow.base.errors import DTypeError, ShapeError
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from .. import domains
from ..record import primitive
from ..rules import check_kind


def _matmul_rule(x: TensorType, y: TensorType) -> TensorType:
    fits = (
        len(x.shape) == len(y.shape) >= 2
        and x.shape[:-2] == y.shape[:-2]
        and x.shape[-1] == y.shape[-2]
    )
    if not fits:
        raise ShapeError(f"matmul of {x.shape} and {y.shape}",
                         why="it takes (..., m, k) and (..., k, n)",
                         instead="transpose or reshape one of them")  # fmt: skip
    if x.dtype != y.dtype:
        raise DTypeError(f"matmul of {x.dtype.name} and {y.dtype.name}",
                         why="primitives do not promote", instead="cast first")  # fmt: skip
    check_kind("matmul", x.dtype, "iufc")
    return TensorType((*x.shape[:-1], y.shape[-1]), x.dtype)


def _matmul_gradient(g, out, x, y):
    return lambda: matmul(g, y.mT.conjugate()), lambda: matmul(x.mT.conjugate(), g)


matmul = primitive(
    "matmul", Kind.CONTRACTION, _matmul_rule, np.matmul,
    doc="the matrix product (..., m, k) @ (..., k, n) -> (..., m, n)",
    gradient=_matmul_gradient, exact=False, domain=domains.FEW_VALUES,
)  # fmt: skip
