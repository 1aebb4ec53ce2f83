"""Element by element: arithmetic, comparison, logic, bits, exponentials, trigonometry, choice.

Each takes tensors, NumPy arrays and Python scalars, promotes and broadcasts them. Python scalars
are weak: they take the dtype of the tensor beside them, and never widen it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.base.dtypes import (
    as_dtype,
    float64,
    floating,
    is_complex,
    is_float,
    is_inexact,
    limits,
    of_scalar,
    python_type,
)
from dualflow.base.errors import ArgumentError
from dualflow.ir.op import Op

from .. import door
from .. import primitives as p
from ..devices import near
from ..operands import KNOWN, TENSORS, operand, tensor
from ..promotion import SCALARS
from ..record import Strict
from ..rules import KIND_NAMES

Tensor = Any
Unary = Callable[[Any], Any]
Binary = Callable[[Any, Any], Any]


def _unary(primitive: Strict, example: str, result: str) -> Unary:
    op, elementwise = primitive.op, door.elementwise

    def function(x: Tensor) -> Tensor:
        if type(x) not in TENSORS:
            x = tensor(x)
        return elementwise(op, x)

    return _documented(function, op, "x: a tensor", f"df.asarray({example})", result)


def _integral(primitive: Strict, example: str, result: str) -> Unary:
    """Rounding: of integers and booleans a copy."""
    op = primitive.op

    def function(x: Tensor) -> Tensor:
        x = tensor(x)
        if not is_inexact(x.dtype):
            return p.cast(x, dtype=x.dtype)
        return door.elementwise(op, x)

    return _documented(function, op, "x: a tensor", f"df.asarray({example})", result)


def _question(primitive: Strict, example: str, result: str, of_integers: bool) -> Unary:
    """A question about floats, of which the answer for integers is known."""
    op = primitive.op

    @near
    def function(x: Tensor) -> Tensor:
        x = tensor(x)
        if not is_inexact(x.dtype):
            return p.full(shape=x.shape, value=of_integers, dtype=as_dtype("bool"))
        return door.elementwise(op, x)

    return _documented(function, op, "x: a tensor", f"df.asarray({example})", result)


def _binary(primitive: Strict, example: str, result: str) -> Binary:
    op, elementwise = primitive.op, door.elementwise

    def function(x: Tensor, y: Tensor) -> Tensor:
        if type(x) not in TENSORS:
            x = operand(x) if type(y) in TENSORS else tensor(x)
        if type(y) not in KNOWN:
            y = operand(y)
        return elementwise(op, x, y)

    first, _, second = example.partition("; ")
    call = f"df.asarray({first}), {second}"
    return _documented(function, op, "x, y: tensors that broadcast", call, result)


def _documented(function: Any, op: Op, arguments: str, call: str, result: str) -> Any:
    name = {"left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift"}.get(
        op.name, op.name
    )
    rule: Any = op.rule
    kinds = ", ".join(KIND_NAMES[kind] for kind in rule.accepts)
    if rule.to_float:
        kinds = "floats; integers become the default float"
    elif rule.to_bool:
        kinds = "anything; what is not 0 counts as true"
    function.__name__ = function.__qualname__ = name
    function.__code__ = function.__code__.replace(co_name=name, co_qualname=name)  # tracebacks
    function.__doc__ = (
        f"{op.doc[0].upper()}{op.doc[1:]}.\n\n    Args:\n"
        f"        {arguments}, NumPy arrays or scalars: {kinds}.\n\n    Raises:\n"
        f"        ShapeError, DTypeError: the operands do not fit.\n\n"
        f"    >>> import dualflow as df\n    >>> df.{name}({call}).tolist()\n    {result}\n    "
    )
    return function


add = _binary(p.add, "[1.0, 2.0]; 1", "[2.0, 3.0]")
subtract = _binary(p.subtract, "[1.0, 2.0]; 1", "[0.0, 1.0]")
multiply = _binary(p.multiply, "[1.0, 2.0]; 3", "[3.0, 6.0]")
divide = _binary(p.divide, "[1, 3]; 2", "[0.5, 1.5]")
floor_divide = _binary(p.floor_divide, "[7, -7]; 2", "[3, -4]")
remainder = _binary(p.remainder, "[7, -7]; 3", "[1, 2]")
maximum = _binary(p.maximum, "[1.0, -1.0]; 0", "[1.0, 0.0]")
minimum = _binary(p.minimum, "[1.0, -1.0]; 0", "[0.0, -1.0]")
equal = _binary(p.equal, "[1, 2]; 2", "[False, True]")
not_equal = _binary(p.not_equal, "[1, 2]; 2", "[True, False]")
less = _binary(p.less, "[1, 2]; 2", "[True, False]")
less_equal = _binary(p.less_equal, "[1, 2]; 1", "[True, False]")
greater = _binary(p.greater, "[1, 2]; 1", "[False, True]")
greater_equal = _binary(p.greater_equal, "[1, 2]; 2", "[False, True]")
logical_and = _binary(p.logical_and, "[True, False]; True", "[True, False]")
logical_or = _binary(p.logical_or, "[True, False]; False", "[True, False]")
logical_xor = _binary(p.logical_xor, "[True, False]; True", "[False, True]")
bitwise_and = _binary(p.bitwise_and, "[6, 5]; 3", "[2, 1]")
bitwise_or = _binary(p.bitwise_or, "[6, 5]; 3", "[7, 7]")
bitwise_xor = _binary(p.bitwise_xor, "[6, 5]; 3", "[5, 6]")
bitwise_left_shift = _binary(p.left_shift, "[1, 3]; 2", "[4, 12]")
bitwise_right_shift = _binary(p.right_shift, "[8, -1]; 2", "[2, -1]")
atan2 = _binary(p.atan2, "[0.0]; 1.0", "[0.0]")
hypot = _binary(p.hypot, "[3.0]; 4.0", "[5.0]")
nextafter = _binary(p.nextafter, "[0.0]; 1.0", "[1.401298464324817e-45]")
logaddexp = _binary(p.logaddexp, "[1000.0]; -1000.0", "[1000.0]")
copysign = _binary(p.copysign, "[1.0, 2.0]; -0.0", "[-1.0, -2.0]")

negative = _unary(p.negative, "[1, -2]", "[-1, 2]")
abs = _unary(p.abs, "[1, -2]", "[1, 2]")
logical_not = _unary(p.logical_not, "[True, False]", "[False, True]")
bitwise_invert = _unary(p.bitwise_invert, "[0, 1]", "[-1, -2]")
exp = _unary(p.exp, "[0.0]", "[1.0]")
exp2 = _unary(p.exp2, "[0.0, 3.0]", "[1.0, 8.0]")
expm1 = _unary(p.expm1, "[0.0]", "[0.0]")
log = _unary(p.log, "[1.0]", "[0.0]")
log2 = _unary(p.log2, "[1.0, 8.0]", "[0.0, 3.0]")
log10 = _unary(p.log10, "[1.0]", "[0.0]")
log1p = _unary(p.log1p, "[0.0]", "[0.0]")
sqrt = _unary(p.sqrt, "[4.0, 9.0]", "[2.0, 3.0]")
cbrt = _unary(p.cbrt, "[64.0, -8.0]", "[4.0, -2.0]")
sin = _unary(p.sin, "[0.0]", "[0.0]")
cos = _unary(p.cos, "[0.0]", "[1.0]")
tan = _unary(p.tan, "[0.0]", "[0.0]")
asin = _unary(p.asin, "[0.0]", "[0.0]")
acos = _unary(p.acos, "[1.0]", "[0.0]")
atan = _unary(p.atan, "[0.0]", "[0.0]")
sinh = _unary(p.sinh, "[0.0]", "[0.0]")
cosh = _unary(p.cosh, "[0.0]", "[1.0]")
tanh = _unary(p.tanh, "[0.0]", "[0.0]")
asinh = _unary(p.asinh, "[0.0]", "[0.0]")
acosh = _unary(p.acosh, "[1.0]", "[0.0]")
atanh = _unary(p.atanh, "[0.0]", "[0.0]")
erf = _unary(p.erf, "[0.0]", "[0.0]")
erfc = _unary(p.erfc, "[0.0]", "[1.0]")
lgamma = _unary(p.lgamma, "[1.0, 2.0]", "[0.0, 0.0]")
sigmoid = _unary(p.sigmoid, "[0.0]", "[0.5]")


def polygamma(n: int, x: Tensor) -> Tensor:
    """Derivative number `n` of `digamma`.

    Args:
        n: 0 or more.
        x: a tensor of floats; integers count as default floats.

    Raises:
        ArgumentError: `n` is no whole number from 0 on.

    >>> import dualflow as df
    >>> df.polygamma(1, df.tensor([1.0])).numpy()
    array([1.644934], dtype=float32)
    """
    if type(n) is not int or n < 0:
        raise ArgumentError(f"polygamma of order {n!r}", instead="a whole number from 0 on")
    x = tensor(x)
    dtype = floating(x.dtype)
    return p.polygamma(x if x.dtype == dtype else p.cast(x, dtype=dtype), order=n)


def digamma(x: Tensor) -> Tensor:
    """The derivative of `lgamma`.

    Args:
        x: a tensor of floats; integers count as default floats.

    >>> import dualflow as df
    >>> df.digamma(df.tensor([1.0])).numpy()
    array([-0.5772157], dtype=float32)
    """
    return polygamma(0, x)


floor = _integral(p.floor, "[1.5, -1.5]", "[1.0, -2.0]")
ceil = _integral(p.ceil, "[1.5, -1.5]", "[2.0, -1.0]")
trunc = _integral(p.trunc, "[1.5, -1.5]", "[1.0, -1.0]")
isnan = _question(p.isnan, "[1.0, float('nan')]", "[False, True]", False)
isinf = _question(p.isinf, "[1.0, float('inf')]", "[False, True]", False)
isfinite = _question(p.isfinite, "[1.0, float('inf')]", "[True, False]", True)


_whole = _integral(p.round, "[1.5, 2.5]", "[2.0, 2.0]")


def round(x: Tensor, decimals: int = 0) -> Tensor:
    """The nearest number with so many decimals, ties to the even one.

    Args:
        x: a tensor.
        decimals: a negative number rounds to tens, hundreds, ...; other numbers than 0 scale by a
            power of ten, round and scale back, as NumPy does.

    >>> import dualflow as df
    >>> df.round(df.asarray([1.5, 2.5])).tolist()
    [2.0, 2.0]
    >>> df.round(df.asarray([127, 2345]), -2).tolist()
    [100, 2300]
    """
    if decimals == 0:
        return _whole(x)
    x = tensor(x)
    if not is_inexact(x.dtype):
        kept = decimals > 0
        return astype(x if kept else round(astype(x, float64), decimals), x.dtype)
    if is_complex(x.dtype):
        return add(round(real(x), decimals), multiply(round(imag(x), decimals), 1j))
    scale = 10.0 ** (decimals if decimals > 0 else -decimals)
    if decimals > 0:
        return divide(_whole(multiply(x, scale)), scale)
    return multiply(_whole(divide(x, scale)), scale)


def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1; NaN for NaN. Of complex numbers x / |x|, and 0 for 0.

    >>> import dualflow as df
    >>> df.sign(df.asarray([3, 0, -2])).tolist()
    [1, 0, -1]
    """
    x = tensor(x)
    if not is_complex(x.dtype):
        return door.elementwise(p.sign.op, x)
    zero = equal(x, 0)
    return where(zero, 0, divide(x, where(zero, 1, abs(x))))


def conj(x: Tensor) -> Tensor:
    """The complex conjugate; a real tensor is its own, and is returned itself.

    Args:
        x: a tensor of any dtype.

    >>> import dualflow as df
    >>> df.conj(df.asarray([1 + 2j])).tolist()
    [(1-2j)]
    """
    if type(x) not in TENSORS:
        x = tensor(x)
    return door.elementwise(p.conj.op, x) if is_complex(x.dtype) else x


def real(x: Tensor) -> Tensor:
    """The real part, in memory of its own; of a real tensor a copy.

    Args:
        x: a tensor of any dtype.

    >>> import dualflow as df
    >>> df.real(df.asarray([1 + 2j])).tolist()
    [1.0]
    """
    x = tensor(x)
    return door.elementwise(p.real.op, x) if is_complex(x.dtype) else p.cast(x, dtype=x.dtype)


@near
def imag(x: Tensor) -> Tensor:
    """The imaginary part, in memory of its own; zeros of a real tensor.

    Args:
        x: a tensor of any dtype.

    >>> import dualflow as df
    >>> df.imag(df.asarray([1 + 2j])).tolist()
    [2.0]
    """
    x = tensor(x)
    if is_complex(x.dtype):
        return door.elementwise(p.imag.op, x)
    return p.full(shape=x.shape, value=python_type(x.dtype)(), dtype=x.dtype)


def angle(x: Tensor) -> Tensor:
    """The angle of a complex number in radians, from -pi to pi; 0 or pi of a real one.

    Args:
        x: a tensor of any dtype.

    >>> import dualflow as df
    >>> df.angle(df.asarray([1j])).tolist()
    [1.5707963705062866]
    """
    x = tensor(x)
    eager = door.unnoted(x) if is_complex(x.dtype) else None
    if eager is not None:
        return eager.compute(_angle_of_array, (x,))
    return atan2(imag(x), real(x))


def _angle_of_array(x: np.ndarray) -> np.ndarray:
    return np.arctan2(np.imag(x).copy(), np.real(x).copy())  # in one piece: the same loop


def signbit(x: Tensor) -> Tensor:
    """Whether the sign bit of each element is set; of integers, whether they are negative.

    Args:
        x: a real tensor.

    >>> import dualflow as df
    >>> df.signbit(df.asarray([1.0, -0.0])).tolist()
    [False, True]
    """
    x = tensor(x)
    return door.elementwise(p.signbit.op, x) if is_float(x.dtype) else less(x, 0)


def positive(x: Tensor) -> Tensor:
    """A copy of `x`.

    >>> import dualflow as df
    >>> df.positive(df.asarray([1, -2])).tolist()
    [1, -2]
    """
    x = tensor(x)
    return p.cast(x, dtype=x.dtype)


def square(x: Tensor) -> Tensor:
    """x * x.

    >>> import dualflow as df
    >>> df.square(df.asarray([3, -2])).tolist()
    [9, 4]
    """
    x = tensor(x)
    return multiply(x, x)


def reciprocal(x: Tensor) -> Tensor:
    """1 / x, of floats.

    >>> import dualflow as df
    >>> df.reciprocal(df.asarray([2.0, 4.0])).tolist()
    [0.5, 0.25]
    """
    return divide(1, tensor(x))


def where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`x` where `condition` holds, else `y`; all three broadcast, `x` and `y` are promoted.

    Raises:
        DTypeError: `condition` is not boolean.
        ShapeError: the shapes do not broadcast.

    >>> import dualflow as df
    >>> df.where(df.asarray([True, False]), 1.0, df.asarray([5.0, 6.0])).tolist()
    [1.0, 6.0]
    """
    condition, x, y = tensor(condition), operand(x), operand(y)
    return door.elementwise(p.where.op, condition, x, y)


def clip(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """`x` held between `min` and `max`; where they cross, `max` wins; NaN stays.

    Args:
        x: a tensor.
        min, max: tensors or scalars that broadcast with `x`; None for no bound.

    >>> import dualflow as df
    >>> df.clip(df.asarray([-2.0, 0.5, 3.0]), 0, 1).tolist()
    [0.0, 0.5, 1.0]
    """
    x = tensor(x)
    if min is not None:
        x = maximum(x, min)
    if max is not None:
        x = minimum(x, max)
    return positive(x) if min is None and max is None else x


def power(x: Tensor, y: Tensor) -> Tensor:
    """`x ** y`, of floats or of integers.

    As in NumPy the scalar powers 2, 0.5 and -1 are x * x, sqrt(x) and 1 / x.

    Raises:
        DomainError: an integer to a negative integer power.

    >>> import dualflow as df
    >>> df.power(df.asarray([2.0, 3.0]), 3).tolist()
    [8.0, 27.0]
    """
    if type(x) not in TENSORS:
        x = operand(x) if type(y) in TENSORS else tensor(x)
    if type(y) in (int, float) and type(x) in TENSORS:
        if y == 2 and (type(y) is int or is_inexact(x.dtype)):
            return multiply(x, x)
        if y == 0.5:
            return sqrt(x)
        if y == -1 and is_inexact(x.dtype):
            return divide(1, x)
    y = operand(y)
    inexact = any(is_inexact(of_scalar(v) if type(v) in SCALARS else v.dtype) for v in (x, y))
    return door.elementwise(p.power.op if inexact else p.integer_power.op, x, y)


#: the Array API's name
pow = power
#: NumPy's name
mod = remainder


def divmod(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """`floor_divide(x, y)` and `remainder(x, y)`.

    >>> import dualflow as df
    >>> [part.tolist() for part in df.divmod(df.asarray([7, -7]), 3)]
    [[2, -3], [1, 2]]
    """
    return floor_divide(x, y), remainder(x, y)


def nan_to_num(
    x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """`x` with numbers in the place of NaN and infinities, of both parts of complex numbers.

    Args:
        x: a tensor; integers and booleans are copied.
        nan: what stands for NaN.
        posinf, neginf: what stands for the infinities; None: the largest and the least float.

    >>> import dualflow as df
    >>> df.nan_to_num(df.asarray([float("nan"), 2.0, float("inf")]), posinf=9.0).tolist()
    [0.0, 2.0, 9.0]
    """
    x = tensor(x)
    if is_complex(x.dtype):
        parts = [nan_to_num(part, nan, posinf, neginf) for part in (real(x), imag(x))]
        return parts[0] + parts[1] * 1j
    if not is_inexact(x.dtype):
        return positive(x)
    eager = door.unnoted(x)
    if eager is not None:
        return eager.compute(np.nan_to_num, (x,), True, nan, posinf, neginf)
    most = limits(x.dtype)
    out = where(isnan(x), nan, x)
    out = where(equal(x, math.inf), float(most.max) if posinf is None else posinf, out)
    return where(equal(x, -math.inf), float(most.min) if neginf is None else neginf, out)


def isclose(
    x: Tensor, y: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether |x - y| <= atol + rtol * |y|; infinities are close to themselves alone.

    Args:
        x, y: tensors that broadcast.
        rtol, atol: the parts of the bound that do and do not grow with `y`.
        equal_nan: whether a NaN is close to another.

    >>> import dualflow as df
    >>> df.isclose(df.asarray([1.0, 2.0]), df.asarray([1.0, 2.1])).tolist()
    [True, False]
    """
    x, y = tensor(x), tensor(y)
    if is_inexact(x.dtype) and x.dtype == y.dtype and (x.shape == y.shape or not y.shape):
        eager = door.unnoted(x, y)
        if eager is not None:
            return eager.compute(np.isclose, (x, y), rtol, atol, equal_nan)
    if not is_inexact(y.dtype):
        y = astype(y, "float64")
    finite = logical_and(isfinite(x), isfinite(y))
    gap = abs(subtract(where(finite, x, 0), where(finite, y, 0)))
    near = logical_and(finite, less_equal(gap, atol + rtol * abs(y)))
    close = logical_or(near, equal(x, y))
    return logical_or(close, logical_and(isnan(x), isnan(y))) if equal_nan else close


def astype(x: Tensor, dtype: Any, *, copy: bool = True, device: str | None = None) -> Tensor:
    """`x` in another dtype; with copy=False `x` itself where it has it already.

    Raises:
        DTypeError: there is no such dtype, or complex numbers would lose their imaginary parts.
        DeviceError: there is no such device.

    >>> import dualflow as df
    >>> df.astype(df.asarray([1.5, -1.5]), df.int32).tolist()
    [1, -1]
    """
    x = tensor(x)
    found = as_dtype(dtype)
    if device is not None:
        x = x.to_device(device)
    return x if not copy and x.dtype == found else p.cast(x, dtype=found)


def bitcast(x: Tensor, dtype: Any) -> Tensor:
    """The bits of `x` read as another dtype of that size.

    Raises:
        DTypeError: the sizes differ.

    >>> import dualflow as df
    >>> hex(df.bitcast(df.asarray(1.0), df.uint32).item())
    '0x3f800000'
    """
    return p.bitcast(tensor(x), dtype=as_dtype(dtype))
