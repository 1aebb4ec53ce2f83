"""Products of matrices and vectors: `@`, matmul, dot, inner, vdot, and the gufuncs like them.

Comes in: faces, arrays, lists. Goes out: faces and scalars. The product itself is one primitive, so
it is BLAS in every mode.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dualflow.ops import primitives as p
from dualflow.ops.functions import linear

from . import crossing, layout, made, reductions, ufuncs
from .ufuncs import METHODS, NotCoveredError, stored_whole

Tensor = Any


def _tensors(*given: Any) -> list[Tensor]:
    """The operands as tensors of one dtype.

    Raises:
        NotCoveredError: there is none, or they are booleans.
    """
    operands = [ufuncs.operand(x) for x in given]
    dtype = np.result_type(*[
        x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype for x in operands
    ])  # fmt: skip
    if not crossing.supported(dtype) or dtype.kind == "b":
        raise NotCoveredError
    found = []
    for x in operands:
        if not hasattr(x, "shape") or isinstance(x, np.generic):
            x = p.full(shape=(), value=np.asarray(x, dtype).item(), dtype=dtype)
        found.append(x if x.dtype == dtype else p.cast(x, dtype=dtype))
    return found


def _left(value: Tensor, out: Any, casting: str = "same_kind") -> Any:
    if type(out) is tuple:
        (out,) = out
    return made.result(value) if out is None else stored_whole(out, value, casting)


def matmul(x1: Any, x2: Any, /, out: Any = None, casting: str = "same_kind") -> Any:
    """np.matmul."""
    x, y = _tensors(x1, x2)
    if not x.shape or not y.shape:
        raise NotCoveredError
    return _left(linear.matmul(x, y), out, casting)


def _checked_out(out: Any, value: Tensor) -> None:
    """np.dot takes only an `out` of the very shape and dtype of its result."""
    if out is not None and (
        type(out) not in made.FACES
        or out.shape != value.shape
        or out.dtype != value.dtype
        or not out.flags.c_contiguous
    ):
        raise NotCoveredError


def dot(a: Any, b: Any, out: Any = None) -> Any:
    """np.dot."""
    x, y = _tensors(a, b)
    if not x.shape or not y.shape:
        value = p.multiply.of(x, y)
    elif len(y.shape) > 2 or (len(x.shape) > 2 and len(y.shape) == 2):
        value = _many(x, y, len(y.shape) - 2)
    else:
        value = linear.matmul(x, y)
    _checked_out(out, value)
    return _left(value, out)


def inner(a: Any, b: Any, /) -> Any:
    """np.inner."""
    x, y = _tensors(a, b)
    if not x.shape or not y.shape:
        return made.result(p.multiply.of(x, y))
    if x.dtype.kind == "c":
        raise NotCoveredError
    if len(x.shape) == len(y.shape) == 1:
        return made.result(linear.matmul(x, y))
    return made.result(_many(x, y, len(y.shape) - 1))


def _many(x: Tensor, y: Tensor, axis: int) -> Tensor:
    """Sums of products over the last axis of `x` and `axis` of `y`; all other axes remain."""
    size = x.shape[-1]
    if y.shape[axis] != size or size == 0:
        raise NotCoveredError
    others = tuple(i for i in range(len(y.shape)) if i != axis)
    rows = p.reshape(x, shape=(x.size // size, size))
    columns = p.reshape(p.permute(y, axes=(axis, *others)), shape=(size, y.size // size))
    shape = (*x.shape[:-1], *(y.shape[i] for i in others))
    return p.reshape(p.matmul(rows, columns), shape=shape)


def vdot(a: Any, b: Any, /) -> Any:
    """np.vdot."""
    x, y = _tensors(a, b)
    if x.dtype.kind == "c" or x.size != y.size:
        raise NotCoveredError
    return made.result(linear.matmul(*[p.reshape(v, shape=(v.size,)) for v in (x, y)]))


def _vecdot(x1: Any, x2: Any, /, axis: int = -1) -> Any:
    x, y = _tensors(x1, x2)
    rank = len(x.shape)
    if x.shape != y.shape or not rank or x.dtype.kind == "c" or layout.order_of((x, y)):
        raise NotCoveredError
    rows = [p.permute(v, axes=_last(rank, reductions.axis_of(axis, rank))) for v in (x, y)]
    left = p.reshape(rows[0], shape=(*rows[0].shape[:-1], 1, rows[0].shape[-1]))
    right = p.reshape(rows[1], shape=(*rows[1].shape, 1))
    return made.result(p.reshape(p.matmul(left, right), shape=rows[0].shape[:-1]))


def _last(rank: int, axis: int) -> tuple[int, ...]:
    return (*(i for i in range(rank) if i != axis), axis)


METHODS[np.matmul, "__call__"] = matmul
METHODS[np.vecdot, "__call__"] = _vecdot
