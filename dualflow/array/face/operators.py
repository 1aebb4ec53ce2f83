"""Python's operators on faces: each is the ufunc that NumPy calls for it.

Comes in: a face or scalar on one side, anything on the other. Goes out: faces and scalars, or
NotImplemented where NumPy too lets the other side answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.base.errors import DualflowError
from dualflow.ops import door
from dualflow.ops.promotion import SCALARS

from . import made, plans, ufuncs
from .layout import packed
from .made import FACES

Operator = Callable[[Any, Any], Any]
_plans = plans._plans


def defers(other: Any) -> bool:
    """Whether an ndarray leaves an operation to `other`: it says so by `__array_ufunc__ = None`,
    or it knows nothing of ufuncs and has a higher priority."""
    if type(other) in FACES or isinstance(other, (np.ndarray, np.generic, list, tuple)):
        return False
    kind = type(other)
    if hasattr(kind, "__array_ufunc__"):
        return kind.__array_ufunc__ is None
    return getattr(kind, "__array_priority__", 0.0) > 0.0


def binary(ufunc: np.ufunc) -> tuple[Operator, Operator]:
    """`x op y` and its reflection."""

    def forward(x: Any, y: Any) -> Any:
        kind = type(y)
        if kind in FACES:
            b = y._tensor
            kind = b.dtype
        elif kind in SCALARS:
            b = y
        else:
            return (
                NotImplemented if defers(y) else ufuncs.apply_ufunc(ufunc, "__call__", (x, y), {})
            )
        a = x._tensor
        plan = _plans.get((ufunc, None, a.dtype, kind))
        if plan is None or plan.op is None or plan.casts is not None or not packed(a):
            return ufuncs.apply_ufunc(ufunc, "__call__", (x, y), {})
        if b is not y and not packed(b):
            return ufuncs.apply_ufunc(ufunc, "__call__", (x, y), {})
        try:
            return made.result(door.elementwise(plan.op, a, b))
        except (DualflowError, OverflowError):
            pass  # NumPy raises its own error
        return ufuncs.apply_ufunc(ufunc, "__call__", (x, y), {})

    def reflected(x: Any, y: Any) -> Any:
        return NotImplemented if defers(y) else ufuncs.apply_ufunc(ufunc, "__call__", (y, x), {})

    return forward, reflected


def in_place(ufunc: np.ufunc) -> Operator:
    """`x op= y`: written into the memory of `x`."""

    def update(x: Any, y: Any) -> Any:
        if defers(y):
            return NotImplemented
        ufuncs.apply_ufunc(ufunc, "__call__", (x, y), {"out": (x,)})
        return x

    return update


def unary(ufunc: np.ufunc) -> Callable[[Any], Any]:
    """`op x`."""
    return lambda x: ufuncs.apply_ufunc(ufunc, "__call__", (x,), {})


add, radd = binary(np.add)
sub, rsub = binary(np.subtract)
mul, rmul = binary(np.multiply)
truediv, rtruediv = binary(np.true_divide)
floordiv, rfloordiv = binary(np.floor_divide)
mod, rmod = binary(np.remainder)
divmod_, rdivmod = binary(np.divmod)
and_, rand = binary(np.bitwise_and)
or_, ror = binary(np.bitwise_or)
xor, rxor = binary(np.bitwise_xor)
lshift, rlshift = binary(np.left_shift)
rshift, rrshift = binary(np.right_shift)
_power, rpower = binary(np.power)
matmul, rmatmul = binary(np.matmul)
eq, _ = binary(np.equal)
ne, _ = binary(np.not_equal)
lt, _ = binary(np.less)
le, _ = binary(np.less_equal)
gt, _ = binary(np.greater)
ge, _ = binary(np.greater_equal)
neg, pos, absolute, invert = (
    unary(np.negative), unary(np.positive), unary(np.absolute), unary(np.invert),
)  # fmt: skip

iadd, isub, imul = in_place(np.add), in_place(np.subtract), in_place(np.multiply)
itruediv, ifloordiv = in_place(np.true_divide), in_place(np.floor_divide)
imod, ipower_plain = in_place(np.remainder), in_place(np.power)
iand, ior, ixor = in_place(np.bitwise_and), in_place(np.bitwise_or), in_place(np.bitwise_xor)
ilshift, irshift = in_place(np.left_shift), in_place(np.right_shift)
imatmul = in_place(np.matmul)

#: the ufunc that NumPy takes for x ** exponent of arrays of floats
_POWERS = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal, 1: np.positive}


def _power_ufunc(x: Any, y: Any) -> np.ufunc:
    """np.power, or what NumPy takes instead for arrays to some Python exponents."""
    if type(y) in (int, float) and not x.is_scalar:
        kind = x._tensor.dtype.kind
        if kind in "fc" or (kind in "iu" and y == 2 and type(y) is int):
            return _POWERS.get(y, np.power)
    return np.power


def power(x: Any, y: Any, modulo: Any = None) -> Any:
    """`x ** y`."""
    if modulo is not None:
        return NotImplemented
    ufunc = _power_ufunc(x, y)
    if ufunc is np.power:
        return _power(x, y)
    return ufuncs.apply_ufunc(ufunc, "__call__", (x,), {})


def ipower(x: Any, y: Any) -> Any:
    """`x **= y`."""
    ufunc = _power_ufunc(x, y)
    if ufunc is np.power:
        return ipower_plain(x, y)
    ufuncs.apply_ufunc(ufunc, "__call__", (x,), {"out": (x,)})
    return x
