"""Division, remainder and shifts as NumPy defines them, for floats and integers, as IR.

In: two `Scalar`s of one type (integers: with their signedness). Out: a `Scalar` of that type. The
float functions give NumPy's bits (its `npy_math` `divmod`, written with selects); the integer
ones never execute what LLVM leaves undefined: NumPy's results are x // 0 = x % 0 = 0 and
smallest // -1 = smallest.
"""

from __future__ import annotations

import math

from llvmlite import ir

from .builder import Scalar, absolute, copy_sign, fma, intrinsic, select
from .library_calls import rarely

# Below this quotient trunc(a/b) is right or one too large, and a - q*b has no rounding error.
LARGEST_QUOTIENT = {32: 2.0**22, 64: 2.0**51}


def fmod(a: Scalar, b: Scalar) -> Scalar:
    """C's fmod: the exact remainder with the sign of a."""
    size, divisor = absolute(a), absolute(b)
    ratio = size / divisor
    q = intrinsic("trunc", ratio)
    rest = fma(-q, divisor, size)
    rest = select(rest < 0.0, rest + divisor, rest)
    rest = select(divisor.equals(math.inf), size, rest)
    # The negated comparison is true for NaN as well.
    unusual = ~(ratio < LARGEST_QUOTIENT[a.width])
    return rarely(unusual, "fmod", copy_sign(rest, a), a, b)


def _python_remainder(b: Scalar, rest: Scalar) -> tuple[Scalar, Scalar]:
    """`(remainder, moved)`: fmod's rest moved to the sign of b, and whether it was moved."""
    moved = rest.differs(0.0) & ((b < 0.0) ^ (rest < 0.0))
    result = select(rest.differs(0.0), select(moved, rest + b, rest), copy_sign(rest.like(0.0), b))
    return result, moved


def float_remainder(a: Scalar, b: Scalar) -> Scalar:
    """np.remainder: the remainder with the sign of b."""
    rest = fmod(a, b)
    result, _ = _python_remainder(b, rest)
    return select(b.equals(0.0), rest, result)


def float_floor_divide(a: Scalar, b: Scalar) -> Scalar:
    """np.floor_divide: the largest whole number not above a/b, of the exact quotient."""
    rest = fmod(a, b)
    _, moved = _python_remainder(b, rest)
    quotient = (a - rest) / b
    quotient = select(moved, quotient - 1.0, quotient)
    down = intrinsic("floor", quotient)
    down = select(quotient - down > 0.5, down + 1.0, down)
    ratio = a / b
    result = select(quotient.differs(0.0), down, copy_sign(a.like(0.0), ratio))
    return select(b.equals(0.0), ratio, result)


def _quotient(a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """a / b rounded toward zero, b not zero, smallest / -1 excluded."""
    builder = a.builder
    if a.width > 32:
        divide = builder.sdiv if signed else builder.udiv
        return a.wrap(divide(a.value, b.value))
    # Processors have no vector integer division; the double quotient of 32-bit integers
    # truncates to the right integer.
    double, wide = ir.DoubleType(), ir.IntType(64)
    widen = builder.sext if signed else builder.zext
    left, right = (builder.sitofp(widen(v.value, wide), double) for v in (a, b))
    whole = builder.fptosi(builder.fdiv(left, right), wide)
    return a.wrap(builder.trunc(whole, a.type))


def _integer_divmod(a: Scalar, b: Scalar, signed: bool) -> tuple[Scalar, Scalar, Scalar]:
    """`(quotient, rest, b is zero)`, rounded toward zero, with 1 in place of a bad divisor."""
    zero = b.equals(0)
    bad = zero
    if signed:
        smallest = -(2 ** (a.width - 1))
        bad = zero | (a.equals(smallest) & b.equals(-1))
    divisor = select(bad, b.like(1), b)
    quotient = _quotient(a, divisor, signed)
    return quotient, a - quotient * divisor, zero


def integer_floor_divide(a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """np.floor_divide of integers."""
    quotient, rest, zero = _integer_divmod(a, b, signed)
    if signed:
        crosses = rest.differs(0) & ((rest ^ b) < 0)
        quotient = select(crosses, quotient - 1, quotient)
    return select(zero, a.like(0), quotient)


def integer_remainder(a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """np.remainder of integers: the sign of b."""
    _, rest, zero = _integer_divmod(a, b, signed)
    if signed:
        crosses = rest.differs(0) & ((rest ^ b) < 0)
        rest = select(crosses, rest + b, rest)
    return select(zero, a.like(0), rest)


def integer_fmod(a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """np.fmod of integers: the sign of a."""
    _, rest, zero = _integer_divmod(a, b, signed)
    return select(zero, a.like(0), rest)


def _fits(count: Scalar) -> Scalar:
    """Whether 0 <= count < width; a negative count is a large unsigned number."""
    bound = count.like(count.width).value
    return count.wrap(count.builder.icmp_unsigned("<", count.value, bound))


def left_shift(a: Scalar, count: Scalar, signed: bool) -> Scalar:
    """np.left_shift: zero where the count is negative or not below the width."""
    fits = _fits(count)
    return select(fits, a.shift_left(select(fits, count, 0)), 0)


def right_shift(a: Scalar, count: Scalar, signed: bool) -> Scalar:
    """np.right_shift: the sign (0 or -1) where the count is negative or not below the width."""
    fits = _fits(count)
    if signed:
        return a.shift_right(select(fits, count, count.width - 1))
    shifted = a.builder.lshr(a.value, select(fits, count, 0).value)
    return select(fits, a.wrap(shifted), 0)


def multiply_high(a: Scalar, b: Scalar, signed: bool) -> Scalar:
    """The upper half of the product of two unsigned integers."""
    builder, wide = a.builder, ir.IntType(2 * a.width)
    product = builder.mul(builder.zext(a.value, wide), builder.zext(b.value, wide))
    return a.wrap(builder.trunc(builder.lshr(product, wide(a.width)), a.type))
