"""Products of matrices and vectors."""

from __future__ import annotations

from typing import Any

from dualflow.base.dtypes import promote
from dualflow.base.errors import ShapeError
from dualflow.base.shapes import broadcast

from .. import primitives as p
from ..operands import TENSORS, tensor
from ..rules import check_kind
from .elementwise import multiply
from .reduction import sum

Tensor = Any


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """The matrix product, over leading batch axes that broadcast.

    A vector is a row on the left and a column on the right, and that axis is dropped.

    Args:
        x: (..., m, k) or (k,).
        y: (..., k, n) or (k,).

    Raises:
        ShapeError: an operand is a scalar, or the inner sizes differ.
        DTypeError: booleans.

    >>> import dualflow as df
    >>> df.matmul(df.asarray([[1.0, 2.0]]), df.asarray([[3.0], [4.0]])).tolist()
    [[11.0]]
    """
    if type(x) not in TENSORS or type(y) not in TENSORS:
        x, y = tensor(x), tensor(y)
    if x.dtype != y.dtype:
        dtype = promote(x.dtype, y.dtype)
        x, y = (v if v.dtype == dtype else p.cast(v, dtype=dtype) for v in (x, y))
    if x.dtype.kind == "b":
        check_kind("matmul", x.dtype, "iuf")
    a, b = x.shape, y.shape
    if not a or not b or a[-1] != b[-2 if len(b) > 1 else -1]:
        raise ShapeError(f"matmul of {a} and {b}",
                         why="the last size of the first and the last but one of the second "
                             "must be equal",
                         instead="multiply() for scalars; reshape or transpose")  # fmt: skip
    if len(a) > 1 and len(b) > 1 and a[:-2] == b[:-2]:
        return p.matmul(x, y)
    if len(a) == 1:
        x = p.reshape(x, shape=(1, *a))
    if len(b) == 1:
        y = p.reshape(y, shape=(*b, 1))
    batch = broadcast(x.shape[:-2], y.shape[:-2])
    x, y = (v if v.shape[:-2] == batch else p.expand(v, shape=batch + v.shape[-2:]) for v in (x, y))
    out = p.matmul(x, y)
    if len(a) > 1 and len(b) > 1:
        return out
    rows = () if len(a) == 1 else (out.shape[-2],)
    columns = () if len(b) == 1 else (out.shape[-1],)
    return p.reshape(out, shape=(*batch, *rows, *columns))


def vecdot(x: Tensor, y: Tensor, axis: int = -1) -> Tensor:
    """The sums of products along `axis` of tensors that broadcast.

    >>> import dualflow as df
    >>> df.vecdot(df.asarray([1.0, 2.0]), df.asarray([3.0, 4.0])).item()
    11.0
    """
    return sum(multiply(tensor(x), y), axis=axis)
