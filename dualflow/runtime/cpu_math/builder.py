"""The layer that writes LLVM IR: `Scalar` makes IR arithmetic read like arithmetic.

In: an llvmlite builder and IR values. Out: instructions without fast-math flags, so that the
scalar remainder of a loop and its vectorised body give the same bits. Fused multiply-add is always
asked for by name (`fma`); a processor without it calls the C library's `fma`: slower, same bits.
No function here makes a branch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llvmlite import ir

Number = float | int


class Scalar:
    """An IR value with Python operators; a Python number operand becomes a constant of its type."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder = builder
        self.value = value

    @property
    def type(self) -> ir.Type:
        """The LLVM type."""
        return self.value.type

    @property
    def is_float(self) -> bool:
        """Whether this is a float or a double."""
        return isinstance(self.type, ir.FloatType | ir.DoubleType)

    @property
    def width(self) -> int:
        """Bits of the type."""
        if isinstance(self.type, ir.FloatType):
            return 32
        return 64 if isinstance(self.type, ir.DoubleType) else self.type.width

    def wrap(self, value: ir.Value) -> Scalar:
        """The IR value as a Scalar on the same builder."""
        return Scalar(self.builder, value)

    def like(self, number: Scalar | Number) -> Scalar:
        """A constant of this type; a Scalar is returned as it is."""
        if isinstance(number, Scalar):
            return number
        if self.width == 32 and self.is_float:
            number = float(np.float32(number))
        return self.wrap(ir.Constant(self.type, number))

    def _binary(self, other: Scalar | Number, on_float: str, on_int: str) -> Scalar:
        name = on_float if self.is_float else on_int
        return self.wrap(getattr(self.builder, name)(self.value, self.like(other).value))

    def __add__(self, other: Scalar | Number) -> Scalar:
        return self._binary(other, "fadd", "add")

    def __sub__(self, other: Scalar | Number) -> Scalar:
        return self._binary(other, "fsub", "sub")

    def __rsub__(self, other: Number) -> Scalar:
        return self.like(other) - self

    def __mul__(self, other: Scalar | Number) -> Scalar:
        return self._binary(other, "fmul", "mul")

    def __truediv__(self, other: Scalar | Number) -> Scalar:
        return self.wrap(self.builder.fdiv(self.value, self.like(other).value))

    def __rtruediv__(self, other: Number) -> Scalar:
        return self.like(other) / self

    def __neg__(self) -> Scalar:
        return self.wrap(
            self.builder.fneg(self.value) if self.is_float else self.builder.neg(self.value)
        )

    def __and__(self, other: Scalar | Number) -> Scalar:
        return self.wrap(self.builder.and_(self.value, self.like(other).value))

    def __or__(self, other: Scalar | Number) -> Scalar:
        return self.wrap(self.builder.or_(self.value, self.like(other).value))

    def __xor__(self, other: Scalar | Number) -> Scalar:
        return self.wrap(self.builder.xor(self.value, self.like(other).value))

    def __invert__(self) -> Scalar:
        return self.wrap(self.builder.not_(self.value))

    def _compare(self, sign: str, other: Scalar | Number) -> Scalar:
        right = self.like(other).value
        if not self.is_float:
            return self.wrap(self.builder.icmp_signed(sign, self.value, right))
        # An ordered comparison with NaN is false; `!=` alone is true, as in Python.
        compare = self.builder.fcmp_unordered if sign == "!=" else self.builder.fcmp_ordered
        return self.wrap(compare(sign, self.value, right))

    def __lt__(self, other: Scalar | Number) -> Scalar:
        return self._compare("<", other)

    def __le__(self, other: Scalar | Number) -> Scalar:
        return self._compare("<=", other)

    def __gt__(self, other: Scalar | Number) -> Scalar:
        return self._compare(">", other)

    def __ge__(self, other: Scalar | Number) -> Scalar:
        return self._compare(">=", other)

    def equals(self, other: Scalar | Number) -> Scalar:
        """`self == other` as an i1."""
        return self._compare("==", other)

    def differs(self, other: Scalar | Number) -> Scalar:
        """`self != other` as an i1."""
        return self._compare("!=", other)

    def is_nan(self) -> Scalar:
        """Whether this is NaN, as an i1."""
        return self.wrap(self.builder.fcmp_unordered("uno", self.value, self.value))

    def shift_left(self, count: Scalar | int) -> Scalar:
        """Integer shift; the count is below the width."""
        return self.wrap(self.builder.shl(self.value, self.like(count).value))

    def shift_right(self, count: Scalar | int) -> Scalar:
        """Integer shift that copies the sign bit; the count is below the width."""
        return self.wrap(self.builder.ashr(self.value, self.like(count).value))

    def bits(self) -> Scalar:
        """The bits of a float as an integer of the same width."""
        return self.wrap(self.builder.bitcast(self.value, ir.IntType(self.width)))

    def as_float(self) -> Scalar:
        """The bits of an integer as a float of the same width."""
        return self.wrap(self.builder.bitcast(self.value, float_type(self.width)))

    def to_float(self) -> Scalar:
        """A signed integer converted to the float of the same width."""
        return self.wrap(self.builder.sitofp(self.value, float_type(self.width)))

    def to_bits(self) -> Scalar:
        """A float that fits converted to a signed integer of the same width."""
        return self.wrap(self.builder.fptosi(self.value, ir.IntType(self.width)))

    def to_double(self) -> Scalar:
        """A float widened to double."""
        return self.wrap(self.builder.fpext(self.value, ir.DoubleType()))

    def to_single(self) -> Scalar:
        """A double rounded to float."""
        return self.wrap(self.builder.fptrunc(self.value, ir.FloatType()))


def float_type(width: int) -> ir.Type:
    """float or double."""
    return ir.FloatType() if width == 32 else ir.DoubleType()


def intrinsic(name: str, *operands: Scalar) -> Scalar:
    """A call of `llvm.<name>`, overloaded on the operands' common type."""
    first = operands[0]
    kind = ir.FunctionType(first.type, [first.type] * len(operands))
    function = first.builder.module.declare_intrinsic(f"llvm.{name}", [first.type], kind)
    return first.wrap(first.builder.call(function, [operand.value for operand in operands]))


def fma(a: Scalar, b: Scalar | Number, c: Scalar | Number) -> Scalar:
    """`a*b + c` with one rounding."""
    return intrinsic("fma", a, a.like(b), a.like(c))


def select(condition: Scalar, a: Scalar, b: Scalar | Number) -> Scalar:
    """`a` where the i1 condition holds, else `b`; both are evaluated."""
    chosen = a.builder.select(condition.value, a.value, a.like(b).value)
    return a.wrap(chosen)


def absolute(x: Scalar) -> Scalar:
    """The float with its sign bit cleared."""
    return intrinsic("fabs", x)


def square_root(x: Scalar) -> Scalar:
    """The correctly rounded square root."""
    return intrinsic("sqrt", x)


def copy_sign(magnitude: Scalar, sign: Scalar) -> Scalar:
    """`magnitude` with the sign bit of `sign`."""
    return intrinsic("copysign", magnitude, sign)


def clamp(x: Scalar, low: float, high: float) -> Scalar:
    """`x` limited to [low, high]; NaN stays NaN."""
    x = select(x < low, x.like(low), x)
    return select(x > high, x.like(high), x)


def polynomial(x: Scalar, coefficients: Sequence[float]) -> Scalar:
    """The polynomial, coefficients lowest power first. The first one is added last, as in Horner's
    rule; of the rest, even and odd powers go side by side: half the steps wait for each other."""
    first, *rest = coefficients
    if len(rest) < 4:
        return fma(_horner(x, rest), x, first)
    square = x * x
    return fma(fma(_horner(square, rest[1::2]), x, _horner(square, rest[::2])), x, first)


def _horner(x: Scalar, coefficients: Sequence[float]) -> Scalar:
    """Horner's rule."""
    result = x.like(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        result = fma(result, x, coefficient)
    return result


def two_sum(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar]:
    """`(s, e)` with s = round(a + b) and s + e = a + b exactly (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def fast_two_sum(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar]:
    """`two_sum` for |a| >= |b| (Dekker)."""
    total = a + b
    return total, b - (total - a)


def two_product(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar]:
    """`(p, e)` with p = round(a*b) and p + e = a*b exactly."""
    product = a * b
    return product, fma(a, b, -product)
