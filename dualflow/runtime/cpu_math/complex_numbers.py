"""Complex arithmetic and functions on pairs of floats, as IR.

In: `Pair`s of `Scalar`s of width 32 or 64. Out: a `Pair`, or a `Scalar` (an i1 for questions).
Product and quotient are NumPy's, bit for bit: the product with one fused step a part, as NumPy's
vector loops have it on processors that fuse, the quotient by R. Smith's division ("Algorithm
116", Communications of the ACM 5, 1962). The functions take the special values of C's Annex G; the
method of the square root is that of W. Kahan, "Branch cuts for complex elementary functions", 1987.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import NamedTuple

import llvmlite.binding as llvm

from .builder import (
    Scalar,
    absolute,
    clamp,
    copy_sign,
    fma,
    intrinsic,
    select,
    square_root,
    two_product,
    two_sum,
)
from .exponential import exp_parts, power_of_two
from .hyperbolic import cosh, sinh
from .logarithm import log_sum
from .power import SQUARED, hypot
from .selection import isfinite, isinf, isnan
from .trigonometric import atan2, cos, sin, tan

#: NumPy's vector loops fuse where the processor does; without fused steps `fma` is a slow call.
FUSES = not llvm.get_process_triple().startswith("x86") or bool(
    llvm.get_host_cpu_features().get("fma")
)
# Above the first size sinh and cosh are exp/2 to the last bit; exponents are limited to the second.
FAR = 22.0
FARTHEST = {32: 210.0, 64: 1500.0}
# A factor below the first would lose digits; so many doublings are put into it first.
SMALL = {32: (2.0**-100, 24), 64: (2.0**-900, 200)}
LOG2_E, LOG10_E = 1.4426950408889634, 0.4342944819032518


class Pair(NamedTuple):
    """A complex number."""

    re: Scalar
    im: Scalar

    def chosen(self, condition: Scalar, other: Pair) -> Pair:
        """This where the condition holds, else the other."""
        return Pair(select(condition, self.re, other.re), select(condition, self.im, other.im))

    def to_double(self) -> Pair:
        """The parts widened to double."""
        return Pair(self.re.to_double(), self.im.to_double())

    def to_single(self) -> Pair:
        """The parts rounded to float."""
        return Pair(self.re.to_single(), self.im.to_single())


# Arithmetic and questions.


def c_add(a: Pair, b: Pair) -> Pair:
    """a + b."""
    return Pair(a.re + b.re, a.im + b.im)


def c_subtract(a: Pair, b: Pair) -> Pair:
    """a - b."""
    return Pair(a.re - b.re, a.im - b.im)


def c_negative(a: Pair) -> Pair:
    """-a."""
    return Pair(-a.re, -a.im)


def c_conj(a: Pair) -> Pair:
    """The complex conjugate."""
    return Pair(a.re, -a.im)


def c_multiply(a: Pair, b: Pair) -> Pair:
    """a * b, as NumPy's vector loops compute it."""
    if FUSES:
        return Pair(fma(a.re, b.re, -(a.im * b.im)), fma(a.re, b.im, a.im * b.re))
    return Pair(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)


def c_divide(a: Pair, b: Pair) -> Pair:
    """a / b by Smith's division; by zero each part is divided by zero."""
    wide = absolute(b.re) >= absolute(b.im)
    ratio = select(wide, b.im, b.re) / select(wide, b.re, b.im)
    scale = 1.0 / (select(wide, b.re, b.im) + select(wide, b.im, b.re) * ratio)
    first, second = select(wide, a.re, a.im), select(wide, a.im, a.re)
    moved = first * ratio
    im = select(wide, second - moved, moved - second)
    zero = b.re.equals(0.0) & b.im.equals(0.0)
    by_zero = Pair(a.re / absolute(b.re), a.im / absolute(b.re))
    return by_zero.chosen(zero, Pair((first + second * ratio) * scale, im * scale))


def c_real(a: Pair) -> Scalar:
    """The real part."""
    return a.re


def c_imag(a: Pair) -> Scalar:
    """The imaginary part."""
    return a.im


def c_abs(a: Pair) -> Scalar:
    """The distance from zero; no square overflows."""
    return hypot(a.re, a.im)


def c_round(a: Pair) -> Pair:
    """The nearest integral values, the even one of two."""
    return Pair(intrinsic("rint", a.re), intrinsic("rint", a.im))


def c_equal(a: Pair, b: Pair) -> Scalar:
    """a == b."""
    return a.re.equals(b.re) & a.im.equals(b.im)


def c_not_equal(a: Pair, b: Pair) -> Scalar:
    """a != b; true if a part is NaN."""
    return a.re.differs(b.re) | a.im.differs(b.im)


def c_isnan(a: Pair) -> Scalar:
    """Whether a part is NaN."""
    return isnan(a.re) | isnan(a.im)


def c_isinf(a: Pair) -> Scalar:
    """Whether a part is infinite."""
    return isinf(a.re) | isinf(a.im)


def c_isfinite(a: Pair) -> Scalar:
    """Whether both parts are finite."""
    return isfinite(a.re) & isfinite(a.im)


# Functions.


def _times_exp(factor: Scalar, x: Scalar, doublings: int = 0) -> Scalar:
    """factor * e**x * 2**doublings, where e**x alone may overflow or the factor be denormal."""
    least, lift = SMALL[x.width]
    tiny, farthest = absolute(factor) < least, FARTHEST[x.width]
    p, n = exp_parts(clamp(x, -farthest, farthest))
    n = n + doublings - select(tiny, n.like(lift), 0)
    factor = select(tiny, factor * 2.0**lift, factor)
    third = (n * 85).shift_right(8)
    power = power_of_two(third)
    factor = factor * power
    return fma(factor, p, factor) * power * power_of_two(n - third - third)


def c_exp(a: Pair) -> Pair:
    """e**a."""
    re, im = _times_exp(cos(a.im), a.re), _times_exp(sin(a.im), a.re)
    im = select(a.im.equals(0.0), a.im, im)
    # An infinite real part decides where the angle is no number.
    lost = ~isfinite(a.im)
    gone, up = a.re.equals(-math.inf), a.re.equals(math.inf)
    re = select(lost & gone, a.re.like(0.0), select(lost & up, a.re, re))
    re = select(isinf(a.re) & a.im.equals(0.0), select(gone, a.re.like(0.0), a.re), re)
    im = select(lost & gone, a.re.like(0.0), im)
    return Pair(re, im)


def _log_size(a: Pair) -> Scalar:
    """log|a|, precise also near |a| = 1."""
    x, y = absolute(a.re), absolute(a.im)
    small, large, factor = SQUARED[64]
    huge, tiny = (x > large) | (y > large), (x < small) & (y < small)
    by = select(huge, x.like(1 / factor), select(tiny, x.like(factor), 1.0))
    doublings = select(huge, x.like(1400.0), select(tiny, x.like(-1400.0), 0.0))
    first, first_low = two_product(x * by, x * by)
    second, second_low = two_product(y * by, y * by)
    total, low = two_sum(first, second)
    result = log_sum(total, low + (first_low + second_low), doublings) * 0.5
    infinite = x.equals(math.inf) | y.equals(math.inf)
    return select(infinite, x.like(math.inf), result)


def c_log(a: Pair) -> Pair:
    """The logarithm with an imaginary part in [-pi, pi]."""
    return Pair(_log_size(a), atan2(a.im, a.re))


def c_log2(a: Pair) -> Pair:
    """The logarithm to base 2."""
    found = c_log(a)
    return Pair(found.re * LOG2_E, found.im * LOG2_E)


def c_log10(a: Pair) -> Pair:
    """The logarithm to base 10."""
    found = c_log(a)
    return Pair(found.re * LOG10_E, found.im * LOG10_E)


def c_sqrt(a: Pair) -> Pair:
    """The square root with a real part that is not negative."""
    small, large, _ = SQUARED[64]
    x, y = absolute(a.re), absolute(a.im)
    huge, tiny = (x > large) | (y > large), (x < small) & (y < small)
    by = select(huge, x.like(2.0**-700), select(tiny, x.like(2.0**700), 1.0))
    back = select(huge, x.like(2.0**350), select(tiny, x.like(2.0**-350), 1.0))
    x, y = x * by, y * by
    root = square_root((x + square_root(fma(x, x, y * y))) * 0.5)
    other = select(root.equals(0.0), root, y / (root + root))
    root, other = root * back, other * back
    behind = a.re < 0.0
    re, im = select(behind, other, root), copy_sign(select(behind, root, other), a.im)
    # Infinite parts.
    right, left = a.re.equals(math.inf), a.re.equals(-math.inf)
    nothing = absolute(a.im) - absolute(a.im)  # 0, or NaN
    re = select(right, a.re, select(left, nothing, re))
    im = select(right, copy_sign(nothing, a.im), select(left, copy_sign(a.re, a.im), im))
    upright = isinf(a.im)
    return Pair(select(upright, absolute(a.im), re), select(upright, a.im, im))


def _hyperbolic_parts(a: Pair) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """`(cosh x cos y, sinh x sin y, sinh x cos y, cosh x sin y)` of x + iy."""
    size, c, s = absolute(a.re), cos(a.im), sin(a.im)
    far, sign = size > FAR, copy_sign(a.re.like(1.0), a.re)
    near = select(far, sign, a.re)
    even, odd = cosh(near), sinh(near)
    far_c, far_s = _times_exp(c, size, -1), _times_exp(s, size, -1)
    return (
        select(far, far_c, even * c),
        select(far, far_s * sign, odd * s),
        select(far, far_c * sign, odd * c),
        select(far, far_s, even * s),
    )


def c_sinh(a: Pair) -> Pair:
    """The hyperbolic sine."""
    _, _, re, im = _hyperbolic_parts(a)
    flat, lost = a.im.equals(0.0), ~isfinite(a.im)
    ends = (a.re.equals(0.0) & lost) | (isinf(a.re) & (lost | flat))
    return Pair(select(ends, a.re, re), select(flat, a.im, im))


def c_cosh(a: Pair) -> Pair:
    """The hyperbolic cosine."""
    re, im, _, _ = _hyperbolic_parts(a)
    flat, lost = a.im.equals(0.0), ~isfinite(a.im)
    zero = copy_sign(a.im.like(0.0), a.re) * copy_sign(a.im.like(1.0), a.im)
    ends = isinf(a.re) & (lost | flat)
    im = select(flat | (a.re.equals(0.0) & lost), zero, im)
    return Pair(select(ends, absolute(a.re), re), im)


def c_tanh(a: Pair) -> Pair:
    """The hyperbolic tangent; its imaginary part is zero at an infinite real part."""
    size = absolute(a.re)
    far = size > FAR
    tangent, s = tan(a.im), sinh(select(far, a.re.like(1.0), size))
    growth = fma(tangent, tangent, 1.0)
    bottom = fma(growth * s, s, 1.0)
    near = growth * square_root(fma(s, s, 1.0)) * s / bottom
    re = copy_sign(select(far, a.re.like(1.0), near), a.re)
    im = select(far, _times_exp(sin(a.im) * cos(a.im), -size - size, 2), tangent / bottom)
    lost = ~isfinite(a.im) & ~isinf(a.re)
    lost_re = select(a.re.equals(0.0), a.re, math.nan)
    re = select(a.re.is_nan() | lost, lost_re, re)
    zero = copy_sign(a.im.like(0.0), a.im)
    return Pair(re, select(isinf(a.re) | a.im.equals(0.0), zero, im))


def c_sin(a: Pair) -> Pair:
    """The sine: sinh turned by a quarter."""
    turned = c_sinh(Pair(-a.im, a.re))
    return Pair(turned.im, -turned.re)


def c_cos(a: Pair) -> Pair:
    """The cosine: cosh turned by a quarter."""
    return c_cosh(Pair(-a.im, a.re))


def c_tan(a: Pair) -> Pair:
    """The tangent: tanh turned by a quarter."""
    turned = c_tanh(Pair(-a.im, a.re))
    return Pair(turned.im, -turned.re)


def in_double(function: Callable[[Pair], Pair]) -> Callable[[Pair], Pair]:
    """The version for both widths of a function that is written for double."""

    @wraps(function)
    def both(a: Pair) -> Pair:
        return function(a) if a.re.width == 64 else function(a.to_double()).to_single()

    return both


ARITHMETIC = (c_add, c_subtract, c_multiply, c_divide, c_negative, c_conj, c_round)
PARTS = (c_real, c_imag, c_abs)
QUESTIONS = (c_equal, c_not_equal, c_isnan, c_isinf, c_isfinite)
FUNCTIONS = (c_exp, c_sin, c_cos, c_sinh, c_cosh)
FUNCTIONS_OF_DOUBLES = (c_log, c_log2, c_log10, c_sqrt, c_tan, c_tanh)
