"""Products of matrices and vectors."""

from __future__ import annotations

from typing import Any

from dualflow.base.dtypes import promote
from dualflow.base.errors import ShapeError
from dualflow.base.shapes import broadcast

from .. import primitives as p
from ..operands import tensor

Tensor = Any


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """The matrix product, over leading batch axes that broadcast; a vector is a row or a column.

    Raises:
        ShapeError: an operand is a scalar, or the inner sizes differ.
    """
    x, y = tensor(x), tensor(y)
    if x.dtype != y.dtype:
        dtype = promote(x.dtype, y.dtype)
        x, y = (v if v.dtype == dtype else p.cast(v, dtype=dtype) for v in (x, y))
    a, b = x.shape, y.shape
    if len(a) == len(b) == 2 or (len(a) == len(b) > 2 and a[:-2] == b[:-2]):
        return p.matmul(x, y)
    if not a or not b or a[-1] != b[-2 if len(b) > 1 else -1]:
        raise ShapeError(f"matmul of {a} and {b}",
                         why="the last size of the first and the last but one of the second "
                             "must be equal",
                         instead="multiply() for scalars; reshape or transpose")  # fmt: skip
    if len(a) == 1:
        x = p.reshape(x, shape=(1, *a))
    if len(b) == 1:
        y = p.reshape(y, shape=(*b, 1))
    batch = broadcast(x.shape[:-2], y.shape[:-2])
    x, y = (
        v if v.shape[:-2] == batch else p.expand(v, shape=batch + v.shape[-2:]) for v in (x, y)
    )
    out = p.matmul(x, y)
    kept = out.shape[: -2 if len(a) == 1 else -1] + (out.shape[-1:] if len(b) > 1 else ())
    return out if len(a) > 1 and len(b) > 1 else p.reshape(out, shape=kept)
