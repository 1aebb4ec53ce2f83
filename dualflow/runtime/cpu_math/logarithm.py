"""log, log2, log10, log1p, logaddexp, as IR.

In: a `Scalar` of width 32 or 64. Out: a `Scalar` of the same width. Method: x = 2**k * z with z
around 1, f = z - 1. For 64 bits log1p(f) follows fdlibm's e_log.c (Sun Microsystems, 1993):
s = f/(2 + f), an even polynomial in s, f kept apart from the small rest. For 32 bits a polynomial.
"""

from __future__ import annotations

import math

import numpy as np

from .builder import Scalar, absolute, fma, intrinsic, polynomial, select, two_sum
from .coefficients import LOG, LOG2, LOG10
from .exponential import EXPONENT_BIAS, LN2, MANTISSA_BITS, TINY, exp, power_of_two

# Bits of the smallest z: 2/3 (float), sqrt(1/2) (double).
SMALLEST_Z = {32: 0x3F2AAAAB, 64: 0x3FE6A09E667F3BCD}
SMALLEST_NORMAL = {32: 2.0**-126, 64: 2.0**-1022}
LIFT = {32: 24, 64: 54}


def split_constant(text_high: float, rest: float, width: int) -> tuple[float, float]:
    """The constant text_high + rest as a sum of two numbers of the width."""
    if width == 64:
        return text_high, rest
    high = float(np.float32(text_high))
    return high, text_high - high


# 1/log(2), 1/log(10) and log10(2), each to 106 bits.
PER_LN2 = (1.4426950408889634, 2.0355273740931033e-17)
PER_LN10 = (0.4342944819032518, 1.098319650216765e-17)
LOG10_2 = (0.3010299956639812, -2.8037281277851704e-18)


def decompose(x: Scalar) -> tuple[Scalar, Scalar]:
    """`(f, k)`, k an integer: x = 2**k * (1 + f), for a positive normal x."""
    bits = x.bits()
    k = (bits - SMALLEST_Z[x.width]).shift_right(MANTISSA_BITS[x.width])
    z = (bits - k.shift_left(MANTISSA_BITS[x.width])).as_float()
    return z - 1.0, k


def decompose_any(x: Scalar) -> tuple[Scalar, Scalar]:
    """`decompose` for denormal numbers too; k is a float."""
    width = x.width
    small = x < SMALLEST_NORMAL[width]
    f, k = decompose(select(small, x * 2.0 ** LIFT[width], x))
    return f, k.to_float() - select(small, x.like(LIFT[width]), 0.0)


def log1p_tail(f: Scalar) -> Scalar:
    """log1p(f) - f for -0.34 < f < 0.42."""
    square = f * f
    if f.width == 32:
        return fma(square * f, polynomial(f, LOG[32]), square * -0.5)
    s = f / (f + 2.0)
    z = s * s
    half = square * 0.5
    return fma(s, half + z * polynomial(z, LOG[64]), -half)


def with_limits(x: Scalar, result: Scalar) -> Scalar:
    """The result of a logarithm with zero, negative, infinite and NaN arguments put right."""
    outside = select(x.equals(0.0), x.like(-math.inf), math.nan)
    result = select(x > 0.0, result, outside)
    return select(x.equals(math.inf), x, result)


def log(x: Scalar) -> Scalar:
    """The natural logarithm."""
    f, k = decompose_any(x)
    high, low = LN2[x.width]
    return with_limits(x, fma(k, high, f + fma(k, low, log1p_tail(f))))


def log_sum(u: Scalar, c: Scalar, doublings: Scalar | None = None) -> Scalar:
    """log(2**doublings * (u + c)) for a normal u, |c| <= ulp(u); c keeps log precise near 1."""
    f, exponent = decompose(u)
    # 2**-exponent stays a normal number; where that limit acts, c no longer matters.
    shift = intrinsic("smin", exponent, exponent.like(EXPONENT_BIAS[u.width] - 1))
    low = c * power_of_two(-shift)
    # low / (1 + f) to first orders: enough, since low is below an ulp.
    low = low * fma(f, f - 1.0, 1.0)
    k = exponent.to_float()
    if doublings is not None:
        k = k + doublings
    high, rest = LN2[u.width]
    result = fma(k, high, f + fma(k, rest, log1p_tail(f) + low))
    return with_limits(u, result)


def log1p(x: Scalar) -> Scalar:
    """log(1 + x), precise near zero."""
    u, c = two_sum(x.like(1.0), x)
    return select(absolute(x) < TINY[x.width], x, log_sum(u, c))


def _log_in_base(x: Scalar, factor: tuple[float, float], per_k: tuple[float, float],
                 series: dict[int, tuple[float, ...]]) -> Scalar:  # fmt: skip
    """log(x) * factor, where log(2) * factor = per_k, and for floats the series gives
    log1p(f)/f * factor as factor + f * series(f)."""
    f, k = decompose_any(x)
    high, low = split_constant(*factor, x.width)
    k_high, k_low = split_constant(*per_k, x.width)
    if x.width == 32:
        tail = f * fma(f, polynomial(f, series[32]), low)
        rest = fma(k, k_low, tail) if k_low else tail
        return with_limits(x, fma(k, k_high, fma(f, high, rest)))
    head = f * high
    tail = fma(f, high, -head) + fma(f, low, log1p_tail(f) * high)
    rest = fma(k, k_low, tail) if k_low else tail
    return with_limits(x, fma(k, k_high, head + rest))


def log2(x: Scalar) -> Scalar:
    """The logarithm to base 2; exact for powers of two."""
    return _log_in_base(x, PER_LN2, (1.0, 0.0), LOG2)


def log10(x: Scalar) -> Scalar:
    """The logarithm to base 10."""
    return _log_in_base(x, PER_LN10, LOG10_2, LOG10)


def logaddexp(x: Scalar, y: Scalar) -> Scalar:
    """log(e**x + e**y) with no overflow; the difference of two infinities is not taken."""
    apart = intrinsic("maximum", x, y) + log1p(exp(-absolute(x - y)))
    return select(x.equals(y), x + math.log(2.0), apart)
