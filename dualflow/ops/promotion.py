"""What operands of an elementwise op become before it: their dtypes and the common shape.

Comes in: an op, tensors and Python scalars. Goes out: the plan, which is the meaning of
`door.elementwise`: cast each, expand it to the shape (a scalar: `full` of the shape), then apply.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from dualflow.base.dtypes import bool_, is_inexact, of_scalar, promote, weak
from dualflow.base.errors import DTypeError
from dualflow.base.shapes import Shape, broadcast
from dualflow.ir.op import Op

SCALARS = frozenset({bool, int, float, complex})


def plan(op: Op, operands: Sequence[Any]) -> tuple[tuple[np.dtype, ...], Shape]:
    """The dtype to which each operand is cast, and the shape to which all are expanded.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: `op` does not take such dtypes, or a Python integer does not fit.
    """
    kinds = tuple(type(x) if type(x) in SCALARS else x.dtype for x in operands)
    dtypes = operand_dtypes(op, kinds)
    for operand, dtype in zip(operands, dtypes, strict=True):
        if type(operand) is int:
            check_fits(operand, dtype)
    return dtypes, broadcast(*(x.shape for x in operands if type(x) not in SCALARS), of=op.name)


@lru_cache(maxsize=None)
def operand_dtypes(op: Op, kinds: tuple[np.dtype | type, ...]) -> tuple[np.dtype, ...]:
    """The dtype to which each operand is cast; `kinds` are dtypes, or the types of scalars."""
    rule: Any = op.rule
    valued = kinds[1:] if rule.condition else kinds
    joined = None
    for kind in valued:
        if isinstance(kind, np.dtype):
            joined = kind if joined is None else promote(joined, kind)
    for kind in valued:
        if not isinstance(kind, np.dtype):
            joined = of_scalar(kind(1)) if joined is None else weak(kind(1), joined)
    assert joined is not None
    dtype = rule.operand_dtype(joined)
    if rule.condition and kinds[0] not in (bool, bool_):
        raise DTypeError(f"the condition of {op.name} is not boolean",
                         instead="a comparison, such as x != 0")  # fmt: skip
    return (bool_,) * rule.condition + (dtype,) * len(valued)


def check_fits(scalar: int, dtype: np.dtype) -> None:
    """DTypeError unless the integer `scalar` is a value of `dtype`."""
    if is_inexact(dtype) and abs(scalar) >= 1 << 1023:
        raise DTypeError("a Python integer beyond all floats", instead="float('inf')")
    if dtype.kind not in "iu":
        return
    limits = np.iinfo(dtype)
    if not limits.min <= scalar <= limits.max:
        raise DTypeError(f"the Python integer {scalar} is no {dtype.name}",
                         why="a Python scalar takes the dtype of the tensor beside it",
                         instead="astype(...) of the tensor to a wider dtype first")  # fmt: skip
