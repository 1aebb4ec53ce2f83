"""sinh, cosh, tanh and their inverses, as IR.

In: a `Scalar` of width 32 or 64. Out: a `Scalar` of the same width. An odd
polynomial near zero, exponentials or logarithms beyond, with the rounding error of the inner
steps carried along where it would show.
"""

from __future__ import annotations

import math

from .builder import (
    Scalar,
    absolute,
    clamp,
    copy_sign,
    fma,
    polynomial,
    select,
    square_root,
    two_product,
    two_sum,
)
from .coefficients import ASINH, ATANH, SINH, TANH
from .exponential import LN2, MANTISSA_BITS, exp_bounded, exp_parts, exp_quarter, power_of_two
from .logarithm import log_sum

# Above this size x*x + 1 and x*x - 1 are x*x to the last bit.
HUGE = {32: 2.0**14, 64: 2.0**28}
# sinh and cosh overflow below this.
LARGEST = {32: 89.5, 64: 710.5}


def _odd(x: Scalar, coefficients: tuple[float, ...]) -> Scalar:
    """x + x**3 * polynomial(x**2)."""
    s = x * x
    return fma(x * s, polynomial(s, coefficients), x)


def tanh(x: Scalar) -> Scalar:
    """The hyperbolic tangent."""
    size = absolute(x)
    # tanh rounds to 1 above 9.02 (float), 19.1 (double).
    most = x.like(10.0 if x.width == 32 else 20.0)
    bounded = select(size > most, most, size)
    if x.width == 32:
        p, n = exp_parts(bounded + bounded)
        power = power_of_two(n)
        below = fma(power, p, power - 1.0)  # e**2x - 1
        ratio, half = below / (below + 2.0), below * 0.5
        # Where it is small, half of it less half of it times the ratio is rounded once less.
        return copy_sign(select(below < 0.8, fma(-half, ratio, half), ratio), x)
    large = 1.0 - 2.0 / (exp_bounded(bounded + bounded) + 1.0)
    return copy_sign(select(size < 0.6, _odd(size, TANH[x.width]), large), x)


def sinh(x: Scalar) -> Scalar:
    """The hyperbolic sine."""
    size = absolute(x)
    high, low = exp_quarter(clamp(size, 0.0, LARGEST[x.width]))
    half = high + (low - 0.0625 / high)
    return copy_sign(select(size < 1.0, _odd(size, SINH[x.width]), half + half), x)


def cosh(x: Scalar) -> Scalar:
    """The hyperbolic cosine."""
    high, low = exp_quarter(clamp(absolute(x), 0.0, LARGEST[x.width]))
    half = high + (low + 0.0625 / high)
    return half + half


def _plus_root(x: Scalar, offset: float) -> tuple[Scalar, Scalar]:
    """`(u, c)` with u + c = x + sqrt(x*x + offset), for x > 0 whose square is finite."""
    square, error = two_product(x, x)
    radicand, more = two_sum(square, x.like(offset))
    root = square_root(radicand)
    low = (fma(-root, root, radicand) + (error + more)) / (root + root)
    low = select(root > 0.0, low, 0.0)
    u, c = two_sum(x, root)
    return u, c + low


def _log_plus_root(x: Scalar, offset: float) -> Scalar:
    """log(x + sqrt(x*x + offset)) for x > 0."""
    huge = x > HUGE[x.width]
    u, c = _plus_root(x, offset)
    doublings = select(huge, x.like(1.0), 0.0)
    return log_sum(select(huge, x, u), select(huge, x.like(0.0), c), doublings)


def asinh(x: Scalar) -> Scalar:
    """The inverse hyperbolic sine."""
    size = absolute(x)
    near = _odd(size, ASINH[x.width])
    return copy_sign(select(size < 0.5, near, _log_plus_root(size, 1.0)), x)


def acosh(x: Scalar) -> Scalar:
    """The inverse hyperbolic cosine, NaN below 1."""
    return select(x >= 1.0, _log_plus_root(x, -1.0), math.nan)


def atanh(x: Scalar) -> Scalar:
    """The inverse hyperbolic tangent, NaN outside [-1, 1]."""
    # With t = 1 + a, b = 1 - a, a = |x|: log(t/b)/2 = k*log(2)/2 + atanh(s), where
    # s = (t - 2**k*b) / (t + 2**k*b) and 2**k is about t/b, as the difference of bits tells. Sums
    # carry their rounding errors; s is a itself where k is 0, to 0.2, for with k = 1 a part of
    # log(2)/2 is taken away again.
    width = x.width
    a = absolute(x)
    t, b = a + 1.0, 1.0 - a
    t_low, b_low = a - (t - 1.0), (1.0 - b) - a
    part = int(0.4 * 2 ** MANTISSA_BITS[width])
    k = (t.bits() - b.bits() + part).shift_right(MANTISSA_BITS[width])
    power = power_of_two(k)
    scaled = b * power
    plain = k.equals(0)
    top = select(plain, a + a, (t - scaled) + fma(-b_low, power, t_low))
    bottom = select(plain, t.like(2.0), t + scaled)
    inverse = 1.0 / bottom
    s = top * inverse
    rest = fma(-s, bottom, top) * inverse
    high, low = LN2[width]
    n = k.to_float() * 0.5
    z = s * s
    tail = fma(s * z, polynomial(z, ATANH[width]), fma(n, low, rest))
    value = fma(n, high, tail + s)
    edge = select(a.equals(1.0), x.like(math.inf), math.nan)
    return copy_sign(select(a < 1.0, value, edge), x)
