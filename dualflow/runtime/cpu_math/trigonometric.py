"""sin, cos, tan and their inverses, as IR.

In: `Scalar`s of width 32 or 64. Out: a `Scalar` of the same width. sin, cos and tan subtract
a multiple of pi (or pi/2) given in three parts, exactly as far as it matters thanks to fused
multiply-add; arguments above `LIMIT` go to the C library, one by one, and the loop stays
vectorised (`rarely`). The inverses follow fdlibm's reductions with polynomials in place of its
rational functions.
"""

from __future__ import annotations

import math

import numpy as np

from .builder import (
    Scalar,
    absolute,
    copy_sign,
    fma,
    polynomial,
    select,
    square_root,
    two_product,
    two_sum,
)
from .coefficients import ASIN, ATAN, SIN, TAN
from .exponential import ROUNDER, TINY, round_in_place
from .library_calls import rarely

_PI_HIGH = float(np.float32(math.pi))
_PI_MIDDLE = float(np.float32(math.pi - _PI_HIGH))
_PI_REST = 1.2246467991473532e-16
# pi as a sum of three numbers of the width.
PI = {
    32: (_PI_HIGH, _PI_MIDDLE, (math.pi - _PI_HIGH - _PI_MIDDLE) + _PI_REST),
    64: (math.pi, _PI_REST, -2.9947698097183397e-33),
}
# Largest argument whose multiple of pi is found and subtracted precisely here.
LIMIT = {32: 1e5, 64: 1e9}


def sine_of_remainder(x: Scalar, n: Scalar, parity: Scalar) -> Scalar:
    """sin(x - n*pi), negated where the integer `parity` is odd."""
    r = x
    # The first product cancels without error, each later step rounds relative to the result.
    for part in PI[x.width]:
        r = fma(n, -part, r)
    s = r * r
    value = fma(r * s, polynomial(s, SIN[x.width]), r)
    return (value.bits() ^ parity.shift_left(x.width - 1)).as_float()


def sin(x: Scalar) -> Scalar:
    """The sine of x in radians."""
    n, bits = round_in_place(x, 1 / math.pi)
    size = absolute(x)
    value = select(size < TINY[x.width], x, sine_of_remainder(x, n, bits))
    return rarely(size > LIMIT[x.width], "sin", value, x)


def cos(x: Scalar) -> Scalar:
    """The cosine of x in radians."""
    # cos(x) = -(-1)**n * sin(r) with r = x - (n + 1/2)*pi.
    shifted = fma(x, 1 / math.pi, -0.5) + ROUNDER[x.width]
    n = (shifted - ROUNDER[x.width]) + 0.5
    value = sine_of_remainder(x, n, shifted.bits() + 1)
    return rarely(absolute(x) > LIMIT[x.width], "cos", value, x)


def tan(x: Scalar) -> Scalar:
    """The tangent of x in radians."""
    n, bits = round_in_place(x, 2 / math.pi)
    high, middle, rest = (part / 2 for part in PI[x.width])
    product, error = two_product(n, x.like(middle))
    r, low = two_sum(fma(n, -high, x), -product)
    low = fma(n, -rest, low - error)
    s = r * r
    value = r + fma(r * s, polynomial(s, TAN[x.width]), fma(low, s, low))
    value = select(absolute(x) < TINY[x.width], x, value)
    odd = (bits & 1).differs(0)
    value = select(odd, -1.0 / value, value)
    return rarely(absolute(x) > LIMIT[x.width], "tan", value, x)


def _asin_parts(x: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """`(large, t, tail)`: t = |x|, or sqrt((1 - |x|)/2) where |x| > 1/2; asin(t) = t + tail."""
    size = absolute(x)
    large = size > 0.5
    s = select(large, fma(size, -0.5, 0.5), size * size)
    t = select(large, square_root(s), size)
    return large, t, t * s * polynomial(s, ASIN[x.width])


def asin(x: Scalar) -> Scalar:
    """The angle in [-pi/2, pi/2] whose sine is x."""
    large, t, tail = _asin_parts(x)
    high, low, _ = (part / 2 for part in PI[x.width])
    inner = t + tail
    # pi/2 - 2*(t + tail), the small parts first.
    outer = high - ((t + t) + ((tail + tail) - low))
    return copy_sign(select(large, outer, inner), x)


def acos(x: Scalar) -> Scalar:
    """The angle in [0, pi] whose cosine is x."""
    large, t, tail = _asin_parts(x)
    high, low, _ = (part / 2 for part in PI[x.width])
    signed, signed_tail = copy_sign(t, x), copy_sign(tail, x)
    middle = high - (signed + (signed_tail - low))
    right = t + tail
    left = high - (t + (tail - low))
    outer = select(x < 0.0, left, right)
    return select(large, outer + outer, middle)


def _atan_of_ratio(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar]:
    """`(m, v)` with atan(a/b) = m*pi/4 + v, m 0 or 1, for 0 <= a <= b."""
    large = a > b * 0.5
    t = select(large, a - b, a) / select(large, a + b, b)
    s = t * t
    v = fma(t * s, polynomial(s, ATAN[a.width]), t)
    return select(large, a.like(1.0), 0.0), v


def _quarters(m: Scalar, v: Scalar) -> Scalar:
    """m*pi/4 + v."""
    high, low, _ = (part / 4 for part in PI[m.width])
    return fma(m, high, fma(m, low, v))


def atan(x: Scalar) -> Scalar:
    """The angle in [-pi/2, pi/2] whose tangent is x."""
    size = absolute(x)
    inverted = size > 1.0
    one = x.like(1.0)
    m, v = _atan_of_ratio(select(inverted, one, size), select(inverted, size, one))
    angle = _quarters(select(inverted, 2.0 - m, m), select(inverted, -v, v))
    return copy_sign(angle, x)


def atan2(y: Scalar, x: Scalar) -> Scalar:
    """The angle of the point (x, y) in [-pi, pi]."""
    tall, wide = absolute(y), absolute(x)
    steep = tall > wide
    a, b = select(steep, wide, tall), select(steep, tall, wide)
    # Two infinities make 45 degrees; two zeros an angle of zero; a + b must not overflow.
    both_infinite = a.equals(math.inf)
    a, b = select(both_infinite, a.like(1.0), a), select(both_infinite, b.like(1.0), b)
    b = select(b.equals(0.0), b.like(1.0), b)
    shrink = select(b > (2.0**120 if x.width == 32 else 2.0**1000), b.like(0.25), 1.0)
    m, v = _atan_of_ratio(a * shrink, b * shrink)
    m, v = select(steep, 2.0 - m, m), select(steep, -v, v)
    behind = x.bits() < 0
    m, v = select(behind, 4.0 - m, m), select(behind, -v, v)
    angle = copy_sign(_quarters(m, v), y)
    return select(x.is_nan() | y.is_nan(), x + y, angle)
