"""erf and erfc, as IR.

In: a `Scalar` of width 32 or 64. Out: a `Scalar` of the same width. Near zero
erf(x) = x + x*P(x*x). Beyond, in float: erf = 1 - exp(P(x)) with P = log(erfc); in double:
erfc(x) = exp(-x*x) * P((x - 3.5)/(x + 3.5)) / (1 + 2*x) (M. Shepherd and J. Laframboise,
"Chebyshev approximation of (1 + 2x)exp(x*x)erfc(x)", Mathematics of Computation 36, 1981).
"""

from __future__ import annotations

from .builder import (
    Scalar,
    absolute,
    clamp,
    copy_sign,
    fast_two_sum,
    fma,
    polynomial,
    select,
    two_product,
    two_sum,
)
from .coefficients import ERF, ERFCX, LOG_ERFC
from .exponential import exp_bounded, exp_split, power_of_two

# erfc rounds to zero above.
FARTHEST = {32: 10.5, 64: 28.0}


def _erf_near_zero(x: Scalar) -> Scalar:
    """erf(x) for |x| <= 1 (double) or 0.93 (float)."""
    return fma(x, polynomial(x * x, ERF[x.width]), x)


def erf(x: Scalar) -> Scalar:
    """The error function."""
    size = absolute(x)
    if x.width == 32:
        # erf rounds to 1 above 3.92.
        far = 1.0 - exp_bounded(polynomial(clamp(size, 0.92, 4.0), LOG_ERFC[32]))
        near = size < 0.925
    else:
        far = 1.0 - _erfc_roughly(size)
        near = size < 1.0
    return copy_sign(select(near, _erf_near_zero(size), far), x)


def _erfc_roughly(x: Scalar) -> Scalar:
    """erfc(x) for x >= 0.78, to the digits that are left when it is taken from 1 (double)."""
    t = clamp(x, 0.78, 6.5)  # erf rounds to 1 above 5.93
    y = (t - 3.5) / (t + 3.5)
    return exp_bounded(-(t * t)) * polynomial(y, ERFCX[64]) / (t + t + 1.0)


def _erfc_positive(x: Scalar) -> Scalar:
    """erfc(x) for x >= 0.78."""
    t = clamp(x, 0.78, FARTHEST[x.width])
    y = (t - 3.5) / (t + 3.5)
    first, second, *others = ERFCX[t.width]
    # The quotient and its rounding error, those of the last additions and of 1 + 2*t included.
    inner, inner_low = two_sum(t.like(second), y * polynomial(y, others))
    part, part_low = two_product(y, inner)
    factor, factor_low = two_sum(t.like(first), part)
    factor_low = factor_low + fma(y, inner_low, part_low)
    bottom, bottom_low = two_sum(t.like(1.0), t + t)
    inverse = 1.0 / bottom
    quotient = factor * inverse
    error = fma(-quotient, bottom_low, fma(-quotient, bottom, factor) + factor_low)
    quotient_low = error * inverse
    # exp(-(high + low)): the rounding error of t*t matters, its size is up to 784.
    high, low = two_product(t, t)
    r, tail, n = exp_split(-high, -low)
    part, part_low = two_product(quotient, r)
    total, error = fast_two_sum(quotient, part)
    product = total + (fma(quotient, tail, quotient_low) + (error + part_low))
    return _times_power(product, n)


def _times_power(x: Scalar, n: Scalar) -> Scalar:
    """x * 2**n where the result may be denormal."""
    first = n.shift_right(1)
    return x * power_of_two(first) * power_of_two(n - first)


def erfc(x: Scalar) -> Scalar:
    """1 - erf(x), precise where it is small."""
    size = absolute(x)
    far = _erfc_positive(size)
    far = select(x < 0.0, 2.0 - far, far)
    # 1 - x is exact where it matters, and the excess of erf(x) over x is small.
    near = fma(-x, polynomial(x * x, ERF[x.width]), 1.0 - x)
    return select(size < 0.8, near, far)
