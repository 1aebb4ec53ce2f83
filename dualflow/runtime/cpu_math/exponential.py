"""exp, exp2, expm1 and the logistic function, as IR.

In: a `Scalar` of width 32 or 64. Out: a `Scalar` of the same width. Method (Cody and Waite,
"Software Manual for the Elementary Functions", 1980): x = n*log(2) + r with |r| <= log(2)/2,
exp(x) = 2**n * (1 + p), p = exp(r) - 1 by a polynomial; 2**n is built from its bits.
"""

from __future__ import annotations

import numpy as np

from .builder import Scalar, absolute, clamp, fast_two_sum, fma, polynomial, select
from .coefficients import EXP, EXP2

LOG2_E = 1.4426950408889634
# log(2) = LN2[0] + LN2[1] to twice the precision of the width.
LN2 = {
    32: (float(np.float32(0.6931471805599453)), -1.904654299957768e-09),
    64: (0.6931471805599453, 2.319046813846300e-17),
}
# Adding and subtracting 1.5 * 2**(mantissa bits) rounds to an integer, which then stands in the
# low bits of the sum; no conversion to an integer type is needed.
ROUNDER = {32: 12582912.0, 64: 6755399441055744.0}
ROUNDER_BITS = {32: 0x4B400000, 64: 0x4338000000000000}
MANTISSA_BITS = {32: 23, 64: 52}
EXPONENT_BIAS = {32: 127, 64: 1023}
# exp rounds to zero below the first bound, overflows above the second.
EXP_RANGE = {32: (-104.0, 89.0), 64: (-746.0, 710.0)}
EXP2_RANGE = {32: (-151.0, 129.0), 64: (-1076.0, 1025.0)}
# Below this size f(x) = x to the last bit for expm1, log1p, atanh and the like.
TINY = {32: 2.0**-26, 64: 2.0**-55}


def power_of_two(exponent: Scalar) -> Scalar:
    """2**exponent for an integer within the normal range."""
    width = exponent.width
    biased = exponent + EXPONENT_BIAS[width]
    return biased.shift_left(MANTISSA_BITS[width]).as_float()


def round_in_place(x: Scalar, factor: float) -> tuple[Scalar, Scalar]:
    """`(n, bits)`: n = x*factor rounded to an integer, as a float, and bits ending in n."""
    rounder = ROUNDER[x.width]
    shifted = fma(x, factor, rounder)
    return shifted - rounder, shifted.bits()


def exp_parts(x: Scalar, low: Scalar | None = None) -> tuple[Scalar, Scalar]:
    """`(p, n)` with exp(x + low) = 2**n * (1 + p), |p| < 0.42."""
    width = x.width
    n, bits = round_in_place(x, LOG2_E)
    high, rest = LN2[width]
    r = fma(n, -rest, fma(n, -high, x))
    if low is not None:
        r = r + low
    return fma(r * r, polynomial(r, EXP[width]), r), bits - ROUNDER_BITS[width]


def exp_split(x: Scalar, low: Scalar | None = None) -> tuple[Scalar, Scalar, Scalar]:
    """`(r, tail, n)` with exp(x + low) = 2**n * (1 + r + tail): r and its rounding error are kept
    apart from the small rest of the series."""
    n, bits = round_in_place(x, LOG2_E)
    high, rest = LN2[x.width]
    first = fma(n, -high, x)
    r = fma(n, -rest, first)
    error = fma(n, -rest, first - r)
    if low is not None:
        error = error + low
        r, error = fast_two_sum(r, error)
    tail = fma(r * r, polynomial(r, EXP[x.width]), error)
    return r, tail, bits - ROUNDER_BITS[x.width]


def scale(p: Scalar, exponent: Scalar) -> Scalar:
    """2**exponent * (1 + p), right also where the result is denormal or infinite."""
    half = exponent.shift_right(1)
    first, second = power_of_two(half), power_of_two(exponent - half)
    return fma(first, p, first) * second


def exp(x: Scalar) -> Scalar:
    """e**x."""
    p, n = exp_parts(clamp(x, *EXP_RANGE[x.width]))
    return scale(p, n)


def exp_bounded(x: Scalar) -> Scalar:
    """e**x where the result is known to be a normal number."""
    p, n = exp_parts(x)
    power = power_of_two(n)
    return fma(power, p, power)


def exp_quarter(x: Scalar) -> tuple[Scalar, Scalar]:
    """`(high, low)` with high + low = e**x / 4, for 0 <= x <= 710.5 (float: 89.5)."""
    p, n = exp_parts(x)
    power = power_of_two(n - 2)
    return fast_two_sum(power, power * p)


def exp2(x: Scalar) -> Scalar:
    """2**x."""
    x = clamp(x, *EXP2_RANGE[x.width])
    n, bits = round_in_place(x, 1.0)
    r = x - n
    return scale(r * polynomial(r, EXP2[x.width]), bits - ROUNDER_BITS[x.width])


def expm1(x: Scalar) -> Scalar:
    """e**x - 1, precise near zero."""
    clamped = clamp(x, -50.0, EXP_RANGE[x.width][1])
    # Subtracting 1 enlarges relative errors. Half of the result is computed: its power of two
    # never overflows.
    r, tail, n = exp_split(clamped)
    power = power_of_two(n - 1)
    half = fma(power, tail, fma(power, r, power - 0.5))
    return select(absolute(x) < TINY[x.width], x, half + half)


def sigmoid(x: Scalar) -> Scalar:
    """1 / (1 + e**-x), precise also where it is tiny."""
    # With e = exp(-|x|): 1/(1 + e), or e - e * e/(1 + e), whose last term is the smaller one.
    e = exp(-absolute(x))
    negative = x < 0.0
    ratio = select(negative, e, x.like(1.0)) / (e + 1.0)
    return select(negative, fma(-e, ratio, e), ratio)
