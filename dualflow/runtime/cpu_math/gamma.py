"""log|gamma| and the cube root, as IR.

In: a `Scalar` (lgamma: double; cbrt: width 32 or 64). Out: a `Scalar` of the same width. The
method of lgamma is that of `ops/gamma.py`, with logarithms and products of two doubles where
terms cancel; arguments below -1.5 are computed one by one and the loop stays vectorised
(`rarely`). The cube root takes Newton's steps for t**(-1/3), no division (F. de Dinechin and others
in CRlibm), and one step from the exact remainder at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from llvmlite import ir

from dualflow.ops.gamma import (
    FAR,
    HALF_LOG_2_PI,
    LAST_PRODUCT,
    LAST_ZERO,
    LEFT_OF_ZERO,
    NEAR_TWO,
    STIRLING,
    ZEROS,
)

from .builder import (
    Scalar,
    absolute,
    copy_sign,
    fast_two_sum,
    fma,
    intrinsic,
    polynomial,
    select,
    two_product,
    two_sum,
)
from .coefficients import CBRT
from .library_calls import pure, rarely
from .power import log_extended
from .trigonometric import sine_of_remainder

DOUBLE, INTEGER = ir.DoubleType(), ir.IntType(64)
Sum = tuple[Scalar, Scalar]


# The cube root.

#: Bits of the first guess of x**(-1/3), beside -1/3 of those of x: x times its cube is within 0.104
#: of 1.
GUESS = {32: 0x54A20000, 64: 0x553EEAAAAAAAA800}
#: Numbers below the first are brought up by the second, a cube; the root goes back by the third.
LIFTED = {32: (2.0**-100, 2.0**48, 2.0**-16), 64: (2.0**-900, 2.0**300, 2.0**-100)}


def cbrt(x: Scalar) -> Scalar:
    """The cube root, without a division: Householder's and Newton's steps for x**(-1/3), whose
    square times x is the root up to its last bits."""
    least, up, down = LIFTED[x.width]
    size = absolute(x)
    small = size < least
    t = select(small, size * up, size)
    third = t.bits().to_float() * (-1.0 / 3.0)
    y = (third + float(GUESS[x.width])).to_bits().as_float()
    rest = fma(-(t * y), y * y, 1.0)
    y = fma(y * rest, polynomial(rest, CBRT[x.width]), y)
    if x.width == 64:
        y = fma(y * (1.0 / 3.0), fma(-(t * y), y * y, 1.0), y)
    square = y * y
    root = t * square
    high, low = two_product(root, root)
    rest = fma(-low, root, fma(-high, root, t))
    root = fma(rest * (1.0 / 3.0), square, root)
    root = root * select(small, x.like(down), 1.0)
    plain = size.equals(0.0) | ~(size < math.inf)
    return select(plain, x, copy_sign(root, x))


# log|gamma|.


def lgamma(x: Scalar) -> Scalar:
    """log|gamma(x)| (double)."""
    far = x >= FAR
    n = intrinsic("rint", 1.75 - x)
    d = x + (n - 2.0)
    product, low = _product_to_two(x, n)
    argument = select(far, x, absolute(product))
    high, rest = log_extended(argument)
    rest = rest + select(far, low.like(0.0), low / product)
    up = n > 0.0
    signed, signed_rest = select(up, -high, high), select(up, -rest, rest)
    near, near_low = _near_two(d)
    total, error = two_sum(signed, near)
    value = select(far, _stirling(x, high, rest), total + (error + (signed_rest + near_low)))
    pole = product.equals(0.0) & ~far
    value = select(pole | x.equals(math.inf), x.like(math.inf), value)
    return rarely(x < -1.5, _lgamma_negative, value, x)


def _near_two(d: Scalar) -> Sum:
    """log gamma(2 + d) as a sum of two: near 1 the first terms of the polynomial cancel."""
    first, second, *others = NEAR_TWO
    inner, inner_low = two_sum(d.like(second), d * polynomial(d, others))
    product, product_low = two_product(d, inner)
    value, low = two_sum(d.like(first), product)
    low = low + fma(d, inner_low, product_low)
    high, rest = two_product(d, value)
    return high, fma(d, low, rest)


def _product_to_two(x: Scalar, n: Scalar) -> Sum:
    """x (x + 1) ... of n factors, or (x - 1) (x - 2) ... of -n, as a sum of two."""
    high, low = x, x.like(0.0)
    for j in (1, 2):
        factor, factor_low = two_sum(x, x.like(float(j)))
        product, product_low = two_product(high, factor)
        product_low = product_low + fma(high, factor_low, low * factor)
        more = n > float(j)
        high, low = select(more, product, high), select(more, product_low, low)
    down = x.like(1.0)
    for j in range(1, 7):
        down = down * select(n <= float(-j), x - float(j), 1.0)
    up = n > 0.0
    return select(up, high, down), select(up, low, 0.0)


def _stirling(x: Scalar, high: Scalar, low: Scalar) -> Scalar:
    """Stirling's series, with high + low = log(x)."""
    inverse = 1.0 / x
    rest = polynomial(inverse * inverse, STIRLING) * inverse
    product, error = two_product(x - 0.5, high)
    error = fma(x - 0.5, low, error)
    total, more = two_sum(product, -x)
    value = total + (more + error + (rest + HALF_LOG_2_PI))
    return select(x > 2.0**60, x * (high - 1.0), value)


def _lgamma_negative(module: ir.Module) -> ir.Function:
    """The function of one double below -1.5."""
    function = pure(module, "dualflow_lgamma_below", DOUBLE, 1)
    if function.blocks:
        return function
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    x = Scalar(builder, function.args[0])
    n = select(x > LEFT_OF_ZERO, x.like(2.0), intrinsic("rint", -x))
    d = x + n
    infinite = d.equals(0.0) | x.equals(-math.inf)
    with builder.if_then(infinite.value):
        builder.ret(x.like(math.inf).value)
    with builder.if_then((n > float(LAST_PRODUCT)).value):
        builder.ret(_reflected(x, d).value)
    whole = x.wrap(builder.fptosi(n.value, INTEGER))
    zero_near = (n <= float(LAST_ZERO)) & ~(n.equals(2.0) & (d > 0.0))
    with builder.if_then(zero_near.value):
        zero = _looked_up((whole - 2).shift_left(1) + select(d > 0.0, whole.like(1), 0))
        # Towards the pole, beyond the zero, the product keeps digits and the difference loses them.
        with builder.if_then((absolute(d) * 2.0 > absolute(zero[0] + n)).value):
            builder.ret(_from_zero(x, n, d, whole, zero).value)
    builder.ret(_from_product(x, d, whole).value)
    return function


def _reflected(x: Scalar, d: Scalar) -> Scalar:
    """log(pi / |x sin(pi x)|) - lgamma(-x), where the last term is by far the largest."""
    angle = d * math.pi
    sine = absolute(sine_of_remainder(angle, x.like(0.0), x.bits() & 0))
    first, _ = log_extended(sine)
    high, low = log_extended(-x)
    return (math.log(math.pi) - first - high) - _stirling(-x, high, low)


def _from_product(x: Scalar, d: Scalar, whole: Scalar) -> Scalar:
    """g(d) - log(|x| |x + 1| ... |x + n + 1|)."""

    def factor(j: Scalar, product: Sum) -> Sum:
        term, term_low = two_sum(x, j)
        high, low = two_product(product[0], term)
        return fast_two_sum(high, low + fma(product[0], term_low, product[1] * term))

    high, low = _folded(x, whole.like(0), whole + 1, (x.like(1.0), x.like(0.0)), factor)
    first, rest = log_extended(absolute(high))
    near, near_low = _near_two(d)
    total, error = two_sum(near, -first)
    return total + (error + (near_low - (rest + low / high)))


def _from_zero(x: Scalar, n: Scalar, d: Scalar, whole: Scalar, zero_parts: Sum) -> Scalar:
    """The value by the difference to the next zero (see `ops/gamma.py`)."""
    zero, zero_low = zero_parts
    w, w_low = two_sum(x - zero, -zero_low)
    d0, d0_low = two_sum(zero + n, zero_low)

    def factor(j: Scalar, excess: Sum) -> Sum:
        bottom, bottom_low = two_sum(j, -d0)
        bottom_low = bottom_low - d0_low
        more = -(w / bottom)
        more_low = -(fma(more, bottom_low, fma(more, bottom, w)) + w_low) / bottom
        high, low = two_product(excess[0], more)
        low = low + fma(excess[0], more_low, excess[1] * more)
        total, error = two_sum(excess[0], more)
        total, further = two_sum(total, high)
        return fast_two_sum(total, (excess[1] + more_low) + (low + (error + further)))

    nothing = (x.like(0.0), x.like(0.0))
    excess, excess_low = _folded(x, whole.like(-1), whole, nothing, factor)
    step = slope = x.like(NEAR_TWO[-1])
    for coefficient in NEAR_TWO[-2:0:-1]:
        step = fma(step, d0, coefficient)
        slope = fma(slope, d, step)
    # Rise and logarithm cancel in part: the last steps are taken in sums of two.
    step, step_low = two_sum(x.like(NEAR_TWO[0]), step * d0)
    slope, slope_low = two_sum(step, slope * d)
    rise, rise_low = two_product(w, slope)
    one, rest = two_sum(x.like(1.0), excess)
    logarithm, low = log_extended(one)
    low = low + (rest + excess_low) / one
    total, error = two_sum(rise, -logarithm)
    return total + (error + (rise_low + fma(w, step_low + slope_low, -low)))


def _folded(
    x: Scalar, first: Scalar, last: Scalar, start: Sum, step: Callable[[Scalar, Sum], Sum]
) -> Sum:
    """`state = step(float(j), state)` for j from first to last, in a loop."""
    builder = x.builder
    before = builder.basic_block
    body, after = builder.append_basic_block("fold"), builder.append_basic_block("folded")
    builder.branch(body)
    builder.position_at_end(body)
    j, high, low = builder.phi(INTEGER), builder.phi(DOUBLE), builder.phi(DOUBLE)
    made = step(x.wrap(j).to_float(), (x.wrap(high), x.wrap(low)))
    following = x.wrap(j) + 1
    builder.cbranch((following <= last).value, body, after)
    for phi, begin, then in zip((j, high, low), (first, *start), (following, *made), strict=True):
        phi.add_incoming(begin.value, before)
        phi.add_incoming(then.value, body)
    builder.position_at_end(after)
    return made


def _looked_up(place: Scalar) -> Sum:
    """The zero of that number, as a sum of two."""
    builder, name = place.builder, "dualflow_gamma_zeros"
    kind = ir.ArrayType(DOUBLE, 2 * len(ZEROS))
    table = builder.module.globals.get(name)
    if table is None:
        table = ir.GlobalVariable(builder.module, kind, name)
        table.initializer = ir.Constant(kind, [part for zero in ZEROS for part in zero])
        table.linkage, table.global_constant = "internal", True
    index = place.shift_left(1)
    start = ir.Constant(INTEGER, 0)
    cells = (builder.gep(table, [start, (index + n).value]) for n in range(2))
    high, low = (place.wrap(builder.load(cell)) for cell in cells)
    return high, low
