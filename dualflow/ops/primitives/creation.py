"""Records without inputs: constants and positions."""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import Number, as_dtype
from dualflow.base.errors import ShapeError
from dualflow.base.shapes import Shape
from dualflow.base.source import called
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from ..record import primitive
from ..rules import check_axis, check_fill, check_kind

NO_INPUT = "it has no inputs"


def _check_shape(shape: Shape) -> None:
    if any(size < 0 for size in shape):
        raise ShapeError(f"{called('full')}: a shape with a negative size: {shape}")


def _full_rule(*, shape: Shape, value: Number, dtype: np.dtype) -> TensorType:
    _check_shape(shape)
    check_fill(value, as_dtype(dtype))
    return TensorType(shape, dtype)


def _full(*, shape: Shape, value: Number, dtype: np.dtype) -> np.ndarray:
    out = np.empty(shape, dtype)
    out.fill(value)
    return out


def _iota_rule(*, shape: Shape, axis: int, dtype: np.dtype) -> TensorType:
    _check_shape(shape)
    check_axis("iota", axis, len(shape))
    check_kind("iota", as_dtype(dtype), "iuf")
    return TensorType(shape, dtype)


def _iota(*, shape: Shape, axis: int, dtype: np.dtype) -> np.ndarray:
    along = np.arange(shape[axis]).astype(dtype, copy=False)
    if len(shape) == 1:
        return along
    return np.broadcast_to(along.reshape([-1] + [1] * (len(shape) - axis - 1)), shape).copy()


full = primitive(
    "full", Kind.CREATION, _full_rule, _full,
    doc="every element is value", no_gradient=NO_INPUT,
)  # fmt: skip
iota = primitive(
    "iota", Kind.CREATION, _iota_rule, _iota,
    doc="every element is its position along axis", no_gradient=NO_INPUT,
)  # fmt: skip
