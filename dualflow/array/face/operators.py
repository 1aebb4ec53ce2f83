"""Python's operators on faces: each is the ufunc that NumPy calls for it.

Comes in: a face or scalar on one side, anything on the other. Goes out: faces and scalars, or
NotImplemented where NumPy too lets the other side answer.
"""

from __future__ import annotations

import operator as o
from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.base.errors import DualflowError
from dualflow.ops import door
from dualflow.ops.promotion import SCALARS

from . import crossing, made, plans, ufuncs
from .layout import packed
from .made import FACES

Operator = Callable[[Any, Any], Any]


def defers(other: Any) -> bool:
    """Whether an ndarray leaves an operation to `other`: it says so by `__array_ufunc__ = None`,
    or it knows nothing of ufuncs and has a higher priority."""
    if type(other) in FACES or isinstance(other, (np.ndarray, np.generic, list, tuple)):
        return False
    kind = type(other)
    if hasattr(kind, "__array_ufunc__"):
        return kind.__array_ufunc__ is None
    return getattr(kind, "__array_priority__", 0.0) > 0.0


def _general(ufunc: np.ufunc, real: Callable[..., Any]) -> Callable[..., Any]:
    """`ufunc` of any operands; where no operation computes it, Python's operator `real` on real
    arrays, which knows more than the ufunc: comparison with text, its own errors."""

    def general(*operands: Any, **kwargs: Any) -> Any:
        try:
            return ufuncs.covered(ufunc, "__call__", operands, kwargs)
        except ufuncs.REFUSED:
            pass
        return crossing.real(real, operands, {})

    return general


def binary(ufunc: np.ufunc, real: Callable[..., Any]) -> tuple[Operator, Operator]:
    """`x op y` and its reflection."""
    general = _general(ufunc, real)

    def forward(x: Any, y: Any) -> Any:
        kind = type(y)
        if kind in FACES:
            b = y._tensor
            kind = b.dtype
        elif kind in SCALARS:
            b = y
        else:
            return NotImplemented if defers(y) else general(x, y)
        a = x._tensor
        plan = plans.known((ufunc, None, a.dtype, kind))
        if plan is None or plan.op is None or plan.casts is not None or not packed(a):
            return general(x, y)
        if b is not y and not packed(b):
            return general(x, y)
        try:
            return made.result(door.elementwise(plan.op, a, b))
        except (DualflowError, OverflowError):
            pass  # NumPy raises its own error
        return crossing.real(real, (x, y), {})

    def reflected(x: Any, y: Any) -> Any:
        return NotImplemented if defers(y) else general(y, x)

    return forward, reflected


def in_place(ufunc: np.ufunc, real: Callable[..., Any]) -> Operator:
    """`x op= y`: written into the memory of `x`."""
    general = _general(ufunc, real)

    def update(x: Any, y: Any) -> Any:
        if defers(y):
            return NotImplemented
        general(x, y, out=(x,))
        return x

    return update


def unary(ufunc: np.ufunc) -> Callable[[Any], Any]:
    """`op x`."""
    return lambda x: ufuncs.called(ufunc, (x,))


add, radd = binary(np.add, o.add)
sub, rsub = binary(np.subtract, o.sub)
mul, rmul = binary(np.multiply, o.mul)
truediv, rtruediv = binary(np.true_divide, o.truediv)
floordiv, rfloordiv = binary(np.floor_divide, o.floordiv)
mod, rmod = binary(np.remainder, o.mod)
divmod_, rdivmod = binary(np.divmod, divmod)
and_, rand = binary(np.bitwise_and, o.and_)
or_, ror = binary(np.bitwise_or, o.or_)
xor, rxor = binary(np.bitwise_xor, o.xor)
lshift, rlshift = binary(np.left_shift, o.lshift)
rshift, rrshift = binary(np.right_shift, o.rshift)
_power, rpower = binary(np.power, o.pow)
matmul, rmatmul = binary(np.matmul, o.matmul)
eq, _ = binary(np.equal, o.eq)
ne, _ = binary(np.not_equal, o.ne)
lt, _ = binary(np.less, o.lt)
le, _ = binary(np.less_equal, o.le)
gt, _ = binary(np.greater, o.gt)
ge, _ = binary(np.greater_equal, o.ge)
neg, pos = unary(np.negative), unary(np.positive)
absolute, invert = unary(np.absolute), unary(np.invert)

iadd, isub = in_place(np.add, o.iadd), in_place(np.subtract, o.isub)
imul, itruediv = in_place(np.multiply, o.imul), in_place(np.true_divide, o.itruediv)
ifloordiv, imod = in_place(np.floor_divide, o.ifloordiv), in_place(np.remainder, o.imod)
iand, ior = in_place(np.bitwise_and, o.iand), in_place(np.bitwise_or, o.ior)
ixor, ilshift = in_place(np.bitwise_xor, o.ixor), in_place(np.left_shift, o.ilshift)
irshift, _ipower = in_place(np.right_shift, o.irshift), in_place(np.power, o.ipow)
_imatmul = in_place(np.matmul, o.imatmul)


def imatmul(x: Any, y: Any) -> Any:
    """`x @= y`."""
    if x.ndim < 2 or np.ndim(y) < 2:
        crossing.real(o.imatmul, (x, y), {})  # NumPy has rules of its own for vectors
        return x
    return _imatmul(x, y)


#: the ufunc that NumPy takes for x ** exponent of arrays of floats
_POWERS = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal, 1: np.positive}


def _power_ufunc(x: Any, y: Any) -> np.ufunc:
    """np.power, or what NumPy takes instead for arrays to some Python exponents."""
    if type(y) in (int, float) and not x.is_scalar:
        kind = x._tensor.dtype.kind
        if kind in "fc" or (kind in "biu" and y == 2 and type(y) is int):
            return _POWERS.get(y, np.power)
    return np.power


def power(x: Any, y: Any, modulo: Any = None) -> Any:
    """`x ** y`."""
    if modulo is not None:
        return NotImplemented
    ufunc = _power_ufunc(x, y)
    if ufunc is np.power:
        return _power(x, y)
    return ufuncs.called(ufunc, (x,))


def ipower(x: Any, y: Any) -> Any:
    """`x **= y`."""
    ufunc = _power_ufunc(x, y)
    if ufunc is np.power:
        return _ipower(x, y)
    ufuncs.apply_ufunc(ufunc, "__call__", (x,), {"out": (x,)})
    return x
