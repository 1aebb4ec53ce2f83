"""x**y and the length of (x, y), as IR.

In: two `Scalar`s of width 32 or 64. Out: a `Scalar` of the same width. |x|**y = exp(y*log|x|).
For 32 bits in double; for 64 bits the logarithm is a sum of two doubles with 2**-64 relative
error, since y*log|x| may reach 745 and its absolute error is the relative error of the result.
"""

from __future__ import annotations

import math

from .builder import (
    Scalar,
    absolute,
    clamp,
    fast_two_sum,
    fma,
    intrinsic,
    polynomial,
    select,
    square_root,
    two_product,
    two_sum,
)
from .coefficients import EXP2_FOR_POW, LOG2_FOR_POW, LOG_EXTENDED
from .exponential import (
    EXP_RANGE,
    LN2,
    ROUNDER_BITS,
    exp_parts,
    power_of_two,
    round_in_place,
    scale,
)
from .logarithm import decompose, decompose_any

TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
# Any larger exponent overflows or underflows every base but 1.
LARGEST_EXPONENT = 2.0**70
# Squares of sizes between the first two neither overflow nor lose what counts; others are brought
# there by a factor of the third.
SQUARED = {32: (2.0**-40, 2.0**60, 2.0**90), 64: (2.0**-400, 2.0**500, 2.0**700)}


def log_extended(x: Scalar) -> tuple[Scalar, Scalar]:
    """`(high, low)` with high + low = log(x), for finite x > 0 (double)."""
    f, k = decompose_any(x)
    bottom, bottom_low = two_sum(x.like(2.0), f)
    inverse = 1.0 / bottom
    s = f * inverse
    s_low = fma(-s, bottom_low, fma(-s, bottom, f)) * inverse
    z, z_low = two_product(s, s)
    z_low = fma(s + s, s_low, z_low)
    # log(1 + f) = 2*s + s*(2/3*z + z*z*P(z)); all but the last term in two doubles.
    third, third_low = two_product(z, x.like(TWO_THIRDS[0]))
    rest = fma(z_low, TWO_THIRDS[0], fma(z, TWO_THIRDS[1], third_low))
    rest = fma(z * z, polynomial(z, LOG_EXTENDED[64]), rest)
    cube, cube_low = two_product(s, third)
    cube_low = fma(s, rest, fma(s_low, third, cube_low))
    high, low = fast_two_sum(s + s, cube)
    low = low + fma(s_low, 2.0, cube_low)
    shift, shift_low = two_product(k, x.like(LN2[64][0]))
    shift_low = fma(k, LN2[64][1], shift_low)
    total, error = two_sum(shift, high)
    return fast_two_sum(total, error + (shift_low + low))


def _pow_double(x: Scalar, y: Scalar) -> Scalar:
    """x**y for finite x > 0 (double)."""
    high, low = log_extended(x)
    product, error = two_product(y, high)
    error = fma(y, low, error)
    bottom, top = EXP_RANGE[64]
    inside = (product > bottom) & (product < top)
    error = select(inside, error, 0.0)
    p, n = exp_parts(clamp(product, bottom, top), error)
    return scale(p, n)


def _pow_single(x: Scalar, y: Scalar) -> Scalar:
    """x**y for finite x > 0, in double; to be rounded to float by the caller."""
    f, k = decompose(x)
    s = f / (f + 2.0)
    logarithm = fma(s, polynomial(s * s, LOG2_FOR_POW[32]), k.to_float())
    exponent = clamp(y * logarithm, -200.0, 200.0)
    n, bits = round_in_place(exponent, 1.0)
    power = power_of_two(bits - ROUNDER_BITS[64])
    return polynomial(exponent - n, EXP2_FOR_POW[32]) * power


def power(x: Scalar, y: Scalar) -> Scalar:
    """x**y with the special values of C's pow."""
    size = absolute(x)
    bounded = clamp(y, -LARGEST_EXPONENT, LARGEST_EXPONENT)
    if x.width == 32:
        result = _pow_single(size.to_double(), bounded.to_double()).to_single()
    else:
        result = _pow_double(size, bounded)
    infinity = x.like(math.inf)
    zero = x.like(0.0)
    result = select(size.equals(0.0), select(y < 0.0, infinity, zero), result)
    result = select(size.equals(infinity), select(y < 0.0, zero, infinity), result)
    # A negative base: the sign of an odd power, NaN unless y is an integer.
    whole = intrinsic("rint", y).equals(y)
    half = y * 0.5
    odd = whole & intrinsic("rint", half).differs(half)
    negative = x.bits() < 0
    result = select(negative & odd, -result, result)
    undefined = (x < 0.0) & ~whole & x.differs(-math.inf)
    undefined = undefined | x.is_nan() | y.is_nan()
    result = select(undefined, x.like(math.nan), result)
    return select(y.equals(0.0) | x.equals(1.0), x.like(1.0), result)


def hypot(x: Scalar, y: Scalar) -> Scalar:
    """sqrt(x*x + y*y) within 2 ulp, with no overflow; infinite if either is, else NaN if either."""
    x, y = absolute(x), absolute(y)
    small, large, factor = SQUARED[x.width]
    huge, tiny = (x > large) | (y > large), (x < small) & (y < small)
    by = select(huge, x.like(1 / factor), select(tiny, x.like(factor), 1.0))
    back = select(huge, x.like(factor), select(tiny, x.like(1 / factor), 1.0))
    a, b = x * by, y * by
    length = square_root(fma(a, a, b * b)) * back
    return select(x.equals(math.inf) | y.equals(math.inf), x.like(math.inf), length)
