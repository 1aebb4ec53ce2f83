"""Element by element: arithmetic, comparison, logic, bits, exponentials, trigonometry, choice.

Each takes tensors, NumPy arrays and Python scalars, promotes and broadcasts them. Python scalars
are weak: they take the dtype of the tensor beside them, and never widen it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dualflow.base.dtypes import as_dtype
from dualflow.ops import door

from .. import primitives as p
from ..operands import KNOWN, TENSORS, operand, tensor
from ..record import Strict

Tensor = Any
Unary = Callable[[Any], Any]
Binary = Callable[[Any, Any], Any]


def _unary(primitive: Strict) -> Unary:
    op, elementwise = primitive.op, door.elementwise

    def function(x: Tensor) -> Tensor:
        if type(x) not in TENSORS:
            x = tensor(x)
        return elementwise(op, x)

    return _named(function, primitive)


def _binary(primitive: Strict) -> Binary:
    op, elementwise = primitive.op, door.elementwise

    def function(x: Tensor, y: Tensor) -> Tensor:
        if type(x) not in TENSORS:
            x = operand(x) if type(y) in TENSORS else tensor(x)
        if type(y) not in KNOWN:
            y = operand(y)
        return elementwise(op, x, y)

    return _named(function, primitive)


def _named(function: Any, primitive: Strict) -> Any:
    function.__name__ = function.__qualname__ = primitive.op.name
    function.__doc__ = primitive.op.doc
    return function


add = _binary(p.add)
subtract = _binary(p.subtract)
multiply = _binary(p.multiply)
divide = _binary(p.divide)
floor_divide = _binary(p.floor_divide)
remainder = _binary(p.remainder)
maximum = _binary(p.maximum)
minimum = _binary(p.minimum)
equal = _binary(p.equal)
not_equal = _binary(p.not_equal)
less = _binary(p.less)
less_equal = _binary(p.less_equal)
greater = _binary(p.greater)
greater_equal = _binary(p.greater_equal)
logical_and = _binary(p.logical_and)
logical_or = _binary(p.logical_or)
logical_xor = _binary(p.logical_xor)
bitwise_and = _binary(p.bitwise_and)
bitwise_or = _binary(p.bitwise_or)
bitwise_xor = _binary(p.bitwise_xor)
bitwise_left_shift = _binary(p.left_shift)
bitwise_right_shift = _binary(p.right_shift)
atan2 = _binary(p.atan2)
copysign = _binary(p.copysign)

negative = _unary(p.negative)
abs = _unary(p.abs)
sign = _unary(p.sign)
logical_not = _unary(p.logical_not)
bitwise_invert = _unary(p.bitwise_invert)
exp = _unary(p.exp)
exp2 = _unary(p.exp2)
expm1 = _unary(p.expm1)
log = _unary(p.log)
log2 = _unary(p.log2)
log10 = _unary(p.log10)
log1p = _unary(p.log1p)
sqrt = _unary(p.sqrt)
sin = _unary(p.sin)
cos = _unary(p.cos)
tan = _unary(p.tan)
asin = _unary(p.asin)
acos = _unary(p.acos)
atan = _unary(p.atan)
sinh = _unary(p.sinh)
cosh = _unary(p.cosh)
tanh = _unary(p.tanh)
asinh = _unary(p.asinh)
acosh = _unary(p.acosh)
atanh = _unary(p.atanh)


def where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`x` where `condition` holds, else `y`; all broadcast, `x` and `y` promoted."""
    return door.elementwise(p.where.op, tensor(condition), operand(x), operand(y))


def power(x: Tensor, y: Tensor) -> Tensor:
    """`x ** y`, of floats or of integers.

    As in NumPy the scalar powers 2, 0.5 and -1 are x * x, sqrt(x) and 1 / x.

    Raises:
        ValueError: an integer to a negative integer power.
    """
    if type(y) in (int, float) and type(x) in TENSORS:
        if y == 2:
            return x * x
        if x.dtype.kind == "f":
            if y == 0.5:
                return sqrt(x)
            if y == -1:
                return 1.0 / x
    x = operand(x) if type(y) in TENSORS else tensor(x)
    y = operand(y)
    kinds = {type(v) if type(v) in (int, float, bool) else v.dtype.kind for v in (x, y)}
    integers = not kinds & {float, "f"}
    return door.elementwise(p.integer_power.op if integers else p.power.op, x, y)


def astype(x: Tensor, dtype: Any, *, copy: bool = True) -> Tensor:
    """`x` in another dtype; with copy=False `x` itself where it has it already."""
    x = tensor(x)
    found = as_dtype(dtype)
    return x if not copy and x.dtype == found else p.cast(x, dtype=found)
