"""Vector mathematics for CPU kernels: names that kernel texts may call.

In: nothing. Out: `NAMESPACE`, from name to `Word`, for the globals of a kernel. Each one
emits scalar LLVM IR without fast-math flags that the loop vectoriser takes; the scalar remainder
and the vector body of a loop give the same bits. Arguments of one call have one type.

    m_exp m_exp2 m_expm1 m_log m_log2 m_log10 m_log1p m_sigmoid           float -> float
    m_sin m_cos m_tan m_asin m_acos m_atan m_sinh m_cosh m_tanh           float -> float
    m_asinh m_acosh m_atanh m_erf m_erfc m_sqrt m_cbrt m_lgamma           float -> float
    m_atan2(y, x)  m_pow(x, y)  m_hypot  m_logaddexp              two floats -> float
    fmod  copysign                                                two floats -> float
    fma(a, b, c)                                                 a*b + c, one rounding
    rint floor ceil trunc                                                 float -> float
    isnan isinf isfinite signbit                                          float -> boolean
    maximum minimum fmax fmin floor_divide remainder fmod    two numbers -> number, as NumPy
    sign absolute                                                 number -> number, as NumPy
    left_shift right_shift                                 two integers -> integer, as NumPy
    umulh                             upper half of the product of two uint32 or two uint64
    select(condition, a, b)                             both sides evaluated, never a branch
    radd(total, x)  rmul(total, x)    accumulation that alone may be reordered (reductions)
    to_bool to_int8 ... to_uint64 to_float32 to_float64      any number -> that type, defined
    c_add c_subtract c_multiply c_divide                   two complex numbers -> a complex one
    c_negative c_conj c_round c_exp c_log c_log2 c_log10 c_sqrt       complex -> complex
    c_sin c_cos c_sinh c_cosh c_tan c_tanh                            complex -> complex
    c_real c_imag c_abs  pair(re, im)           complex -> float; two floats -> complex
    c_equal c_not_equal c_isnan c_isinf c_isfinite                    complex -> boolean
    float_bits (float -> signed integer)   bits_float (integer -> float)          bit casts

The transcendental functions are within 2 ulp on the whole range, with C's special values; sqrt,
fma, fmod and the divisions are exact. Some are NumPy's functions of vectors where the machine has
them (`numpy_vectors`). m_pow and m_lgamma compute float32 in double. m_sin, m_cos
and m_tan (sizes above 1e5 in float32, 1e9 in float64) and fmod (quotients above 2**22 and 2**51,
special values) call the C library for that element without ending vectorisation:
`LIBRARY_SYMBOLS` lists what a loader of kernels must be able to resolve. Numba cannot store a
boolean through a raw pointer: boolean arrays are pointers to uint8, read as `to_bool(A[i])` and
written as `to_uint8(condition)`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .. import numpy_vectors
from ..translation import kinds as types
from . import complex_numbers, division, selection
from .builder import Scalar, copy_sign, fma, intrinsic, square_root
from .error_function import erf, erfc
from .exponential import exp, exp2, expm1, sigmoid
from .gamma import cbrt, lgamma
from .hyperbolic import acosh, asinh, atanh, cosh, sinh, tanh
from .intrinsics import (
    bit_cast_function,
    cast_function,
    complex_function,
    float_function,
    number_function,
    pair,
    question,
    select,
    through_double,
    with_sign,
)
from .library_calls import of_vectors
from .logarithm import log, log1p, log2, log10, logaddexp
from .philox import philox
from .power import hypot, power
from .trigonometric import acos, asin, atan, atan2, cos, sin, tan

# What compiled code may call in the C library (`fma` only where the processor has no fused
# multiply-add), and in NumPy.
LIBRARY_SYMBOLS: tuple[str, ...] = (
    *("sin", "sinf", "cos", "cosf", "tan", "tanf", "fmod", "fmodf"),
    *("fma", "fmaf"),
    *(numpy_vectors.PREFIX + name for name in numpy_vectors.NAMES.values()),
)

_IN_THE_WIDTH = (exp, exp2, expm1, sigmoid, log, log2, log10, log1p, sin, cos, asin, acos, atan)
_IN_THE_WIDTH += (tanh, erf, cbrt, tan, sinh, cosh, asinh, acosh, atanh, erfc)
_IN_DOUBLE = (lgamma,)
_INTEGERS = {f"int{n}": getattr(types, f"int{n}") for n in (8, 16, 32, 64)}
_UNSIGNED = {f"uint{n}": getattr(types, f"uint{n}") for n in (8, 16, 32, 64)}
_REALS = {"float32": types.float32, "float64": types.float64}


def _fastest(function: Callable[..., Scalar]) -> Callable[..., Scalar]:
    """`function`, by NumPy's of vectors where that is faster."""

    def chosen(*arguments: Scalar) -> Scalar:
        width = arguments[0].width
        name = numpy_vectors.NAMES.get((function.__name__, width))
        if name is None or not numpy_vectors.usable():
            return function(*arguments)
        return of_vectors(numpy_vectors.PREFIX + name, 512 // width, *arguments)

    chosen.__doc__ = function.__doc__
    return chosen


def _functions() -> dict[str, object]:
    """Functions of floats."""
    table = {
        f"m_{f.__name__}": float_function(_fastest(f), f"m_{f.__name__}") for f in _IN_THE_WIDTH
    }
    for f in _IN_DOUBLE:
        table[f"m_{f.__name__}"] = float_function(through_double(f), f"m_{f.__name__}")
    table["m_sqrt"] = float_function(square_root, "m_sqrt")
    table["m_atan2"] = float_function(atan2, "m_atan2", 2)
    table["m_pow"] = float_function(_fastest(power), "m_pow", 2)
    table["m_hypot"] = float_function(hypot, "m_hypot", 2)
    table["m_logaddexp"] = float_function(logaddexp, "m_logaddexp", 2)
    table["copysign"] = float_function(copy_sign, "copysign", 2)
    table["fma"] = float_function(fma, "fma", 3)
    for name in ("rint", "floor", "ceil", "trunc"):
        table[name] = float_function(partial(intrinsic, name), name)
    for f in (selection.isnan, selection.isinf, selection.isfinite, selection.signbit):
        table[f.__name__] = question(f, f.__name__)
    return table


def _number_functions() -> dict[str, object]:
    """Functions of floats and integers, and of integers alone."""
    both = {
        "maximum": selection.maximum,
        "minimum": selection.minimum,
        "fmax": selection.fmax,
        "fmin": selection.fmin,
        "radd": selection.accumulate_add,
        "rmul": selection.accumulate_multiply,
    }
    table = {name: number_function(with_sign(f), f, name) for name, f in both.items()}
    for f in (selection.wrap_add, selection.wrap_subtract, selection.wrap_multiply):
        table[f.__name__] = number_function(None, f, f.__name__)
    table["wrap_negative"] = number_function(None, selection.wrap_negative, "wrap_negative", 1)
    for name, f in (("sign", selection.sign), ("absolute", selection.size)):
        table[name] = number_function(with_sign(f), f, name, 1)
    pairs = (
        ("floor_divide", division.float_floor_divide, division.integer_floor_divide),
        ("remainder", division.float_remainder, division.integer_remainder),
        ("fmod", division.fmod, division.integer_fmod),
        ("left_shift", None, division.left_shift),
        ("right_shift", None, division.right_shift),
        ("umulh", None, division.multiply_high),
    )
    for name, on_float, on_integer in pairs:
        table[name] = number_function(on_float, on_integer, name)
    return table


def _complex_functions() -> dict[str, object]:
    """Functions of complex numbers; some of complex64 compute in double."""
    c = complex_numbers
    pairs = (c.c_add, c.c_subtract, c.c_multiply, c.c_divide)
    table = {f.__name__: complex_function(f, 1 + (f in pairs)) for f in c.ARITHMETIC}
    table |= {f.__name__: complex_function(f, 1, "real") for f in c.PARTS}
    equals = (c.c_equal, c.c_not_equal)
    table |= {f.__name__: complex_function(f, 1 + (f in equals), "question") for f in c.QUESTIONS}
    table |= {f.__name__: complex_function(f, 1) for f in c.FUNCTIONS}
    doubles = c.FUNCTIONS_OF_DOUBLES
    return table | {f.__name__: complex_function(c.in_double(f), 1) for f in doubles}


def _conversions() -> dict[str, object]:
    """Casts and bit casts."""
    targets = {"bool": types.boolean, **_INTEGERS, **_UNSIGNED, **_REALS}
    table = {f"to_{name}": cast_function(kind, f"to_{name}") for name, kind in targets.items()}
    to_bits = {types.float32: types.int32, types.float64: types.int64}
    to_floats = {
        **{integer: real for real, integer in to_bits.items()},
        types.uint32: types.float32,
        types.uint64: types.float64,
    }
    table["float_bits"] = bit_cast_function(to_bits, "float_bits")
    table["bits_float"] = bit_cast_function(to_floats, "bits_float")
    table["rank_high"] = bit_cast_function(to_bits, "rank_high", selection.rank_high)
    table["rank_low"] = bit_cast_function(to_bits, "rank_low", selection.rank_low)
    table["of_rank"] = bit_cast_function(to_floats, "of_rank", selection.of_rank)
    return table


NAMESPACE: dict[str, object] = {
    **_functions(),
    **_number_functions(),
    **_complex_functions(),
    **_conversions(),
    "pair": pair,
    "select": select,
    "philox": philox,
}

__all__ = ["LIBRARY_SYMBOLS", "NAMESPACE"]
