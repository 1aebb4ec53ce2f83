"""Folding axes: sum, prod, max, min, any, all, mean, var, std, positions, running folds."""

from __future__ import annotations

from typing import Any

from dualflow.base.shapes import Axes, normal_axes, reduced

from .. import primitives as p
from ..operands import TENSORS, tensor
from ..record import Strict

Tensor = Any


def _fold(primitive: Strict, x: Tensor, axis: Axes, keepdims: bool) -> Tensor:
    shape = x.shape
    axes = tuple(range(len(shape))) if axis is None else normal_axes(axis, len(shape))
    out = primitive(x, axes=axes)
    return p.reshape(out, shape=reduced(shape, axes, True)) if keepdims else out


def sum(x: Tensor, axis: Axes = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis`; integers and booleans are summed in 64 bits."""
    if type(x) not in TENSORS:
        x = tensor(x)
    if dtype is not None:
        x = p.cast(x, dtype=dtype)
    return _fold(p.sum, x, axis, keepdims)


def max(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest element over `axis`; NaN if any is NaN."""
    return _fold(p.max, tensor(x), axis, keepdims)


def min(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The smallest element over `axis`; NaN if any is NaN."""
    return _fold(p.min, tensor(x), axis, keepdims)
