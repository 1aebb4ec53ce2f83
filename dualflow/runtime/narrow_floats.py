"""Floats of 8 and 16 bits in kernels: held as float32, read and written as integers.

Comes in: LLVM values. Goes out: the float32 that bits stand for, a float32 rounded to what such a
float can hold (to nearest, ties to even), and its bits. float16 has instructions; the others are
integer arithmetic, which vectorises everywhere. Casts of wider numbers go by float32.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from llvmlite import ir

from .cpu_math.builder import Scalar, absolute, copy_sign, intrinsic, select
from .translation import kinds as types

HALF, SINGLE, DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()
INT32 = ir.IntType(32)
_FRACTION, _BIAS = 23, 127  # of float32: bits behind the point, and what exponents are raised by


class Format(NamedTuple):
    """A float narrower than 32 bits.

    Attributes:
        fraction: how many bits are behind the point.
        lowest: the exponent of the least normal number.
        largest: the largest finite number.
        infinite: whether larger ones are infinite, else they are NaN.
    """

    fraction: int
    lowest: int
    largest: float
    infinite: bool

    @property
    def dropped(self) -> int:
        """How many bits fewer than float32 it has behind the point."""
        return _FRACTION - self.fraction

    @property
    def step(self) -> float:
        """The distance of numbers below the normal ones."""
        return math.ldexp(1.0, self.lowest - self.fraction)


FORMATS = {
    types.float8_e4m3fn: Format(3, -6, 448.0, False),
    types.float8_e5m2: Format(2, -14, 57344.0, True),
}


def rounded(builder: Any, value: Any, kind: types.Narrow) -> Any:
    """A float or double as the nearest number that `kind` holds, as a float32."""
    if kind is types.float16:
        value = _to_odd(builder, value) if value.type == DOUBLE else value
        return builder.fpext(builder.fptrunc(value, HALF), SINGLE)
    value = builder.fptrunc(value, SINGLE) if value.type == DOUBLE else value
    x = Scalar(builder, value)
    if kind is types.bfloat16:
        return select(x.is_nan(), x, _shortened(x, 16)).value
    form, size = FORMATS[kind], absolute(x)
    small = intrinsic("rint", size * (1.0 / form.step)) * form.step
    near = select(size < math.ldexp(1.0, form.lowest), small, _shortened(size, form.dropped))
    beyond = size.like(math.inf if form.infinite else math.nan)
    return copy_sign(select(near > form.largest, beyond, near), x).value


def read(builder: Any, bits: Any, kind: types.Narrow) -> Any:
    """The float32 that the bits of a `kind` stand for."""
    if kind is types.float16:
        return builder.fpext(builder.bitcast(bits, HALF), SINGLE)
    wide = Scalar(builder, builder.zext(bits, INT32))
    if kind is types.bfloat16:
        return wide.shift_left(16).as_float().value
    form, size = FORMATS[kind], wide & 0x7F
    above = size.like((_BIAS - 1 + form.lowest) << _FRACTION)
    normal = (size.shift_left(form.dropped) + above).as_float()
    made = select(size < (1 << form.fraction), size.to_float() * form.step, normal)
    if form.infinite:
        first = 0x1F << form.fraction
        special = size.like(0x7F800000) + (size - first).shift_left(form.dropped)
        made = select(size < first, made, special.as_float())
    else:
        made = select(size.equals(0x7F), made.like(math.nan), made)
    sign = (wide & 0x80).shift_left(24).as_float()
    return copy_sign(made, sign).value


def written(builder: Any, value: Any, kind: types.Narrow) -> Any:
    """The bits of a float32 that `kind` holds."""
    if kind is types.float16:
        return builder.bitcast(builder.fptrunc(value, HALF), ir.IntType(16))
    x = Scalar(builder, value)
    if kind is types.bfloat16:
        return builder.trunc(x.bits().shift_right(16).value, ir.IntType(16))
    form, size = FORMATS[kind], absolute(x)
    above = (_BIAS - 1 + form.lowest) << form.fraction
    normal = size.bits().shift_right(form.dropped) - above
    small = (select(size < 1.0, size, 0.0) * (1.0 / form.step)).to_bits()
    made = select(size < math.ldexp(1.0, form.lowest), small, normal)
    made = select(size.equals(math.inf), made.like(0x1F << form.fraction), made)
    made = select(x.is_nan(), made.like(0x7F), made)
    sign = x.bits().shift_right(24) & 0x80
    return builder.trunc((made | sign).value, ir.IntType(8))


def _shortened(x: Scalar, dropped: int) -> Scalar:
    """A float32 with so many bits fewer behind the point: the nearest, the even one of two."""
    bits = x.bits()
    odd = bits.shift_right(dropped) & 1
    return ((bits + odd + ((1 << (dropped - 1)) - 1)) & (-1 << dropped)).as_float()


def _to_odd(builder: Any, value: Any) -> Any:
    """A double as a float32, rounded to odd: a second rounding then gives the nearest float16.

    CPUs round a double to a half in two steps only (Boldo and Melquiond 2008, "Emulation of a FMA
    and correctly rounded sums: proved algorithms using rounding to odd").
    """
    near = builder.fptrunc(value, SINGLE)
    back = builder.fpext(near, DOUBLE)
    bits = builder.bitcast(near, INT32)
    one = ir.Constant(INT32, 1)
    size = builder.module.declare_intrinsic("llvm.fabs", [DOUBLE])
    short = builder.fcmp_ordered(">", builder.call(size, [value]), builder.call(size, [back]))
    step = builder.select(short, one, ir.Constant(INT32, -1))
    even = builder.icmp_unsigned("==", builder.and_(bits, one), ir.Constant(INT32, 0))
    inexact = builder.fcmp_ordered("!=", value, back)
    moved = builder.select(builder.and_(inexact, even), builder.add(bits, step), bits)
    return builder.bitcast(moved, SINGLE)
