"""New tensors: constants, ranges. The default dtype is float32 (integers: int64)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dualflow.base.dtypes import DEFAULT_FLOAT, as_dtype, of_scalar
from dualflow.base.errors import ArgumentError

from .. import primitives as p
from ..operands import tensor
from ..promotion import SCALARS
from .movement import as_shape

Tensor = Any


def full(shape: int | Sequence[int], value: bool | int | float, dtype: Any = None) -> Tensor:
    """A tensor of `shape` whose elements are all `value`.

    Raises:
        ArgumentError: `value` is no Python scalar.
        DTypeError: `value` does not fit `dtype`.
    """
    if type(value) not in SCALARS:
        if not hasattr(value, "item"):
            raise ArgumentError(f"a fill of type {type(value).__name__}",
                                instead="a Python scalar")  # fmt: skip
        value = value.item()
    found = of_scalar(value) if dtype is None else as_dtype(dtype)
    if found.kind == "f":
        value = float(value)
    elif found.kind == "b":
        value = bool(value)
    return p.full(shape=as_shape(shape), value=value, dtype=found)


def zeros(shape: int | Sequence[int], dtype: Any = None) -> Tensor:
    """A tensor of zeros."""
    return full(shape, 0, DEFAULT_FLOAT if dtype is None else dtype)


def ones(shape: int | Sequence[int], dtype: Any = None) -> Tensor:
    """A tensor of ones."""
    return full(shape, 1, DEFAULT_FLOAT if dtype is None else dtype)


def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Zeros of the shape, and by default the dtype, of `x`."""
    x = tensor(x)
    return full(x.shape, 0, x.dtype if dtype is None else dtype)


def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Ones of the shape, and by default the dtype, of `x`."""
    x = tensor(x)
    return full(x.shape, 1, x.dtype if dtype is None else dtype)
