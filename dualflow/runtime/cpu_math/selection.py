"""Comparison-like helpers, rounding, sign, classification and accumulation, as IR.

In: `Scalar`s, for integers with their signedness. Out: a `Scalar`; an i1 for the questions.
None of the questions can be answered wrongly by fast-math flags: they look at the bits.
"""

from __future__ import annotations

from .builder import Scalar, absolute, intrinsic, select

ABSOLUTE_MASK = {32: 0x7FFFFFFF, 64: 0x7FFFFFFFFFFFFFFF}
INFINITY_BITS = {32: 0x7F800000, 64: 0x7FF0000000000000}
ACCUMULATE = ("reassoc", "nsz", "contract")


def _size_bits(x: Scalar) -> Scalar:
    """The bits of |x|, which order like |x|, NaN last."""
    return x.bits() & ABSOLUTE_MASK[x.width]


def isnan(x: Scalar) -> Scalar:
    """Whether x is NaN."""
    return _size_bits(x) > INFINITY_BITS[x.width]


def isinf(x: Scalar) -> Scalar:
    """Whether x is an infinity."""
    return _size_bits(x).equals(INFINITY_BITS[x.width])


def isfinite(x: Scalar) -> Scalar:
    """Whether x is neither infinite nor NaN."""
    return _size_bits(x) < INFINITY_BITS[x.width]


def signbit(x: Scalar) -> Scalar:
    """Whether the sign bit is set."""
    return x.bits() < 0


def _ordered(name: str, a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """Integer minimum or maximum."""
    return intrinsic(("s" if signed else "u") + name, a, b)


# Ranks: signed integers that order as floats do, -0.0 below 0.0. What folds floats by maximum has
# NaN as the highest rank, what folds by minimum as the lowest: one integer instruction an element
# then does what llvm.maximum needs five for, one waiting for the other.


def of_rank(rank: Scalar) -> Scalar:
    """The bits of the float of a rank; and, for all but NaN, the rank of a float's bits."""
    return rank ^ (rank.shift_right(rank.width - 1) & ABSOLUTE_MASK[rank.width])


def rank_high(x: Scalar) -> Scalar:
    """The rank of x, that of NaN above all others."""
    bits = x.bits()
    return select(x.is_nan(), bits.like(ABSOLUTE_MASK[x.width]), of_rank(bits))


def rank_low(x: Scalar) -> Scalar:
    """The rank of x, that of NaN below all others."""
    bits = x.bits()
    return select(x.is_nan(), bits.like(~ABSOLUTE_MASK[x.width]), of_rank(bits))


def maximum(a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """np.maximum: NaN if either is NaN."""
    return intrinsic("maximum", a, b) if a.is_float else _ordered("max", a, b, signed)


def minimum(a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """np.minimum: NaN if either is NaN."""
    return intrinsic("minimum", a, b) if a.is_float else _ordered("min", a, b, signed)


def fmax(a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """np.fmax: the other one if one is NaN."""
    if not a.is_float:
        return _ordered("max", a, b, signed)
    return select((a >= b) | b.is_nan(), a, b)


def fmin(a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """np.fmin: the other one if one is NaN."""
    if not a.is_float:
        return _ordered("min", a, b, signed)
    return select((a <= b) | b.is_nan(), a, b)


def sign(x: Scalar, signed: bool) -> Scalar:
    """np.sign: -1, 0 or 1; NaN stays NaN."""
    if not x.is_float:
        negative = select(x < 0, x.like(-1), 0) if signed else x.like(0)
        return select(x.equals(0), x, select(x < 0, negative, 1) if signed else x.like(1))
    one = select(x > 0.0, x.like(1.0), select(x < 0.0, x.like(-1.0), x.like(0.0)))
    return select(x.is_nan(), x, one)


def size(x: Scalar, signed: bool) -> Scalar:
    """np.absolute; the smallest integer stays as it is."""
    if x.is_float:
        return absolute(x)
    return select(x < 0, -x, x) if signed else x


def wrap_add(a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """a + b of integers, modulo two to the width: Numba's own says that it never overflows."""
    return a + b


def wrap_subtract(a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """a - b of integers, modulo two to the width."""
    return a - b


def wrap_multiply(a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """a * b of integers, modulo two to the width."""
    return a * b


def wrap_negative(x: Scalar, signed: bool) -> Scalar:
    """-x of an integer, modulo two to the width."""
    return -x


def accumulate_add(total: Scalar, x: Scalar, signed: bool) -> Scalar:
    """total + x, where this one addition may be reordered with its like in a reduction."""
    if not x.is_float:
        return total + x
    return x.wrap(x.builder.fadd(total.value, x.value, flags=ACCUMULATE))


def accumulate_multiply(total: Scalar, x: Scalar, signed: bool) -> Scalar:
    """total * x, where this one product may be reordered with its like in a reduction."""
    if not x.is_float:
        return total * x
    return x.wrap(x.builder.fmul(total.value, x.value, flags=ACCUMULATE))
