"""What Python's operators do on tensors: plain functions, which the array room attaches.

Comes in: a tensor on one side, anything on the other. Goes out: a tensor, or NotImplemented for
what no operation takes, so that Python can ask the other side or raise TypeError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.base.errors import ShapeError

from . import door
from . import primitives as p
from .functions import elementwise as f
from .functions.indexing import write
from .functions.linear import matmul
from .operands import KNOWN, NUMBERS, operand
from .record import Strict

Operator = Callable[[Any, Any], Any]
_WHOLE = (Ellipsis,)


def _usable(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic, *NUMBERS))


def _operators(primitive: Strict) -> tuple[Operator, Operator]:
    """`x op y` and its reflection, straight to the door."""
    op, elementwise = primitive.op, door.elementwise

    def forward(x: Any, y: Any) -> Any:
        if type(y) not in KNOWN:
            if not _usable(y):
                return NotImplemented
            y = operand(y)
        return elementwise(op, x, y)

    def reflected(x: Any, y: Any) -> Any:
        if type(y) not in KNOWN:
            if not _usable(y):
                return NotImplemented
            y = operand(y)
        return elementwise(op, y, x)

    return forward, reflected


def _function_operators(function: Operator) -> tuple[Operator, Operator]:
    def forward(x: Any, y: Any) -> Any:
        return function(x, y) if type(y) in KNOWN or _usable(y) else NotImplemented

    def reflected(x: Any, y: Any) -> Any:
        return function(y, x) if type(y) in KNOWN or _usable(y) else NotImplemented

    return forward, reflected


add, radd = _operators(p.add)
sub, rsub = _operators(p.subtract)
mul, rmul = _operators(p.multiply)
truediv, rtruediv = _operators(p.divide)
floordiv, rfloordiv = _operators(p.floor_divide)
mod, rmod = _operators(p.remainder)
power, rpower = _function_operators(f.power)
product, rproduct = _function_operators(matmul)
divmod_, rdivmod = _function_operators(f.divmod)
and_, rand = _operators(p.bitwise_and)
or_, ror = _operators(p.bitwise_or)
xor, rxor = _operators(p.bitwise_xor)
lshift, rlshift = _operators(p.left_shift)
rshift, rrshift = _operators(p.right_shift)
eq, _ = _operators(p.equal)
ne, _ = _operators(p.not_equal)
lt, _ = _operators(p.less)
le, _ = _operators(p.less_equal)
gt, _ = _operators(p.greater)
ge, _ = _operators(p.greater_equal)
neg = f.negative
absolute = f.abs
invert = f.bitwise_invert


def pos(x: Any) -> Any:
    """`+x`: a copy."""
    return x.copy()


def _in_place(forward: Operator, primitive: Strict | None = None) -> Operator:
    op = None if primitive is None else primitive.op

    def update(x: Any, y: Any) -> Any:
        eager = door.unnoted(x)
        if eager is not None and op is not None and eager.updated(op, x, y):
            return x
        value = forward(x, y)
        if value is NotImplemented:
            return value
        if value.shape != x.shape:
            raise ShapeError(f"an in-place operation on {x.shape} that gives {value.shape}",
                             why="memory cannot grow", instead="x = x + y")  # fmt: skip
        if eager is not None and eager.put(x, _WHOLE, value):
            return x
        if value.dtype == x.dtype:
            door.write(x, value)
        else:
            write(x, value)
        return x

    return update


iadd = _in_place(add, p.add)
isub = _in_place(sub, p.subtract)
imul = _in_place(mul, p.multiply)
itruediv = _in_place(truediv, p.divide)
ifloordiv = _in_place(floordiv, p.floor_divide)
imod = _in_place(mod, p.remainder)
ipower = _in_place(power)
iproduct = _in_place(product)
iand = _in_place(and_, p.bitwise_and)
ior = _in_place(or_, p.bitwise_or)
ixor = _in_place(xor, p.bitwise_xor)
ilshift = _in_place(lshift, p.left_shift)
irshift = _in_place(rshift, p.right_shift)
