"""What each elementwise op should give: in long double, in mpmath or on Python numbers."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

from dualflow.base.dtypes import limits, python_type

Array = np.ndarray
Wide = np.longdouble
mpmath.mp.prec = 90


def each(function: Callable[..., Any], dtype: Any = None) -> Callable[..., Array]:
    """`function` of Python numbers, applied to every element; the dtype is that of the first
    operand unless given."""

    def apply(*arrays: Array) -> Array:
        found = dtype or arrays[0].dtype
        out = np.empty(arrays[0].shape, found)
        for place in np.ndindex(*out.shape):
            out[place] = function(*(array[place].item() for array in arrays))
        return out

    return apply


def wide(function: Callable[..., Any]) -> Callable[..., Array]:
    """A NumPy function in long double."""
    return lambda *arrays: np.asarray(function(*map(widened, arrays)))


def widened(array: Array) -> Array:
    """`array` in long double, or the complex dtype of long doubles."""
    return array.astype(np.clongdouble if array.dtype.kind == "c" else Wide)


def precise(function: Callable[[Any], Any]) -> Callable[[Array], Array]:
    """A function of mpmath, as long double."""

    def one(x: float) -> Any:
        if math.isnan(x):
            return Wide("nan")
        return Wide(mpmath.nstr(function(mpmath.mpf(x)), 25))

    return each(one, Wide)


def wrapped(function: Callable[[int, int], int]) -> Callable[..., Array]:
    """A function of Python integers, its result taken modulo the size of the dtype."""

    def apply(*arrays: Array) -> Array:
        dtype = arrays[0].dtype
        bits = 8 * dtype.itemsize
        exact = each(function, object)(*arrays)
        out = np.empty(exact.shape, dtype)
        for place in np.ndindex(*out.shape):
            value = int(exact[place]) % (1 << bits)
            signed = dtype.kind == "i" and value >= 1 << (bits - 1)
            out[place] = value - (1 << bits) if signed else value
        return out

    return apply


def by_kind(**functions: Callable[..., Array]) -> Callable[..., Array]:
    """One reference a kind of dtype: f (floats), c (complex, as f), i (integers), b (booleans)."""

    def apply(*arrays: Array) -> Array:
        kind = arrays[-1].dtype.kind
        if kind == "c" and "c" not in functions:
            kind = "f"
        return functions["i" if kind == "u" else kind](*arrays)

    return apply


def rounded(function: Callable[..., Any]) -> Callable[..., Array]:
    """Correctly rounded: computed in long double (exact enough for one + - * / or sqrt of at most
    24 bits), and for float64 by Python, whose arithmetic is that of the processor."""

    def apply(*arrays: Array) -> Array:
        dtype = arrays[0].dtype
        if dtype.kind == "c":
            return np.asarray(function(*map(widened, arrays)))
        if dtype == np.float64:
            return np.asarray(function(*arrays))
        return np.asarray(function(*(array.astype(np.float64) for array in arrays))).astype(dtype)

    return apply


def _maximum(x: Any, y: Any) -> Any:
    if x != x or y != y:
        return math.nan
    return x if x >= y else y


def _minimum(x: Any, y: Any) -> Any:
    if x != x or y != y:
        return math.nan
    return x if x <= y else y


def _sign(x: Any) -> Any:
    return x if x != x else (x > 0) - (x < 0)


def _floor_divide(x: int, y: int) -> int:
    return x // y if y else 0


def _remainder(x: int, y: int) -> int:
    return x % y if y else 0


def _left(bits: int) -> Callable[[int, int], int]:
    return lambda x, y: x << y if 0 <= y < bits else 0


def _right(bits: int) -> Callable[[int, int], int]:
    return lambda x, y: x >> y if 0 <= y < bits else (-1 if x < 0 else 0)


def _shift(make: Callable[[int], Callable[[int, int], int]]) -> Callable[..., Array]:
    return lambda x, y: wrapped(make(8 * x.dtype.itemsize))(x, y)


def _round(x: float) -> float:
    return math.copysign(round(x), x) if math.isfinite(x) else x


def _nextafter(x: Array, y: Array) -> Array:
    """One step in the order of bits, which for floats of one sign is that of values."""
    out = np.empty(x.shape, x.dtype)
    bits = np.dtype(f"int{8 * x.dtype.itemsize}")
    for place in np.ndindex(*x.shape):
        a, b = x[place], y[place]
        if a != a or b != b:
            out[place] = math.nan
        elif a == b:
            out[place] = b
        elif a == 0:
            out[place] = np.copysign(limits(x.dtype).smallest_subnormal, b)
        else:
            step = 1 if (b > a) == (a > 0) else -1
            out[place] = (a.view(bits) + bits.type(step)).view(x.dtype)
    return out


def _hypot(x: Array, y: Array) -> Array:
    """By the square root of a sum that is scaled to the larger; infinite beside an infinity."""
    a, b = np.abs(x.astype(Wide)), np.abs(y.astype(Wide))
    large, small = np.maximum(a, b), np.minimum(a, b)
    ratio = np.where(large > 0, small / np.where(large > 0, large, 1), 0)
    return np.where(np.isinf(a) | np.isinf(b), np.inf, large * np.sqrt(1 + ratio * ratio))


def _float_remainder(x: Array, y: Array) -> Array:
    """As Python defines it; what Python refuses, NumPy says is NaN."""

    def one(a: float, b: float) -> float:
        if math.isnan(a) or math.isnan(b) or math.isinf(a) or b == 0:
            return math.nan
        return a % b

    return each(one, np.float64)(x, y).astype(x.dtype)


def _float_floor_divide(x: Array, y: Array) -> Array:
    """As Python defines it; by 0 as division; of infinities by another number NaN."""

    def one(a: float, b: float) -> float:
        if math.isnan(a) or math.isnan(b) or (math.isinf(a) and b != 0):
            return math.nan
        if b == 0:
            return math.nan if a == 0 else math.copysign(math.inf, a) * math.copysign(1, b)
        return a // b

    return each(one, np.float64)(x, y).astype(x.dtype)


def _cast(x: Array, *, dtype: np.dtype) -> Array:
    if python_type(x.dtype) is float and dtype.kind in "iu":
        return each(int, dtype)(x)
    return each(lambda value: value, dtype)(x)


def _power(x: Array, y: Array) -> Array:
    return np.power(widened(x), widened(y))


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "where": lambda c, x, y: each(lambda a, b, d: b if a else d, x.dtype)(c, x, y),
    "cast": _cast,
    "bitcast": lambda x, *, dtype: np.frombuffer(x.tobytes(), dtype).reshape(x.shape),
    "add": by_kind(f=rounded(np.add), i=wrapped(lambda x, y: x + y), b=np.logical_or),
    "subtract": by_kind(f=rounded(np.subtract), i=wrapped(lambda x, y: x - y)),
    "multiply": by_kind(f=rounded(np.multiply), i=wrapped(lambda x, y: x * y), b=np.logical_and),
    "divide": rounded(np.divide),
    "floor_divide": by_kind(f=_float_floor_divide, i=wrapped(_floor_divide)),
    "remainder": by_kind(f=_float_remainder, i=wrapped(_remainder)),
    "power": _power,
    "integer_power": wrapped(lambda x, y: x**y),
    "negative": by_kind(f=each(lambda x: -x), i=wrapped(lambda x: -x)),  # type: ignore[arg-type]
    "abs": by_kind(f=each(math.fabs), c=wide(np.abs), i=wrapped(abs)),  # type: ignore[arg-type]
    "conj": each(lambda x: x.conjugate()),
    "real": lambda x: each(lambda value: value.real, x.real.dtype)(x),
    "imag": lambda x: each(lambda value: value.imag, x.real.dtype)(x),
    "nextafter": _nextafter,
    "sign": each(_sign),
    "maximum": each(_maximum),
    "minimum": each(_minimum),
    "copysign": each(math.copysign),
    "floor": each(lambda x: math.copysign(math.floor(x), x) if math.isfinite(x) else x),
    "ceil": each(lambda x: math.copysign(math.ceil(x), x) if math.isfinite(x) else x),
    "round": by_kind(f=each(_round), c=each(lambda x: complex(_round(x.real), _round(x.imag)))),
    "trunc": each(lambda x: math.copysign(math.trunc(x), x) if math.isfinite(x) else x),
    "equal": each(lambda x, y: x == y, bool),
    "not_equal": each(lambda x, y: x != y, bool),
    "less": each(lambda x, y: x < y, bool),
    "less_equal": each(lambda x, y: x <= y, bool),
    "greater": each(lambda x, y: x > y, bool),
    "greater_equal": each(lambda x, y: x >= y, bool),
    "isnan": each(cmath.isnan, bool),
    "isinf": each(cmath.isinf, bool),
    "isfinite": each(cmath.isfinite, bool),
    "signbit": each(lambda x: math.copysign(1, x) < 0, bool),
    "logical_and": each(lambda x, y: x and y),
    "logical_or": each(lambda x, y: x or y),
    "logical_xor": each(lambda x, y: x != y),
    "logical_not": each(lambda x: not x),
    "bitwise_and": each(lambda x, y: x & y),
    "bitwise_or": each(lambda x, y: x | y),
    "bitwise_xor": each(lambda x, y: x ^ y),
    "bitwise_invert": by_kind(i=wrapped(lambda x: ~x), b=each(lambda x: not x)),  # type: ignore[arg-type]
    "left_shift": _shift(_left),
    "right_shift": _shift(_right),
    "sqrt": rounded(np.sqrt),
    "erf": precise(mpmath.erf),
    "erfc": precise(mpmath.erfc),
    "hypot": _hypot,
    "cbrt": wide(np.cbrt),
    "lgamma": precise(lambda x: mpmath.loggamma(x) if x > 0 else mpmath.inf),
    "logaddexp": wide(lambda x, y: np.log(np.exp(x) + np.exp(y))),
    "sigmoid": wide(lambda x: 1 / (1 + np.exp(-x))),
} | {
    name: wide(getattr(np, other))
    for name, other in {
        "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log", "log2": "log2",
        "log10": "log10", "log1p": "log1p", "sin": "sin", "cos": "cos", "tan": "tan",
        "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2",
        "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "asinh": "arcsinh", "acosh": "arccosh",
        "atanh": "arctanh",
    }.items()
}  # fmt: skip
