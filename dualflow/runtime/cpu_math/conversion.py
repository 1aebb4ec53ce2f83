"""Casts between types with a defined result for every value, and bit casts.

In: a value and its kind. Out: the IR value of the target type. A float that fits an integer
type is truncated toward zero; one that does not is limited to the range and NaN becomes 0
(NumPy leaves these undefined). Integers wrap, anything nonzero (NaN too) is true.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from ..translation import kinds as types
from .builder import Scalar, select


def convert(builder: ir.IRBuilder, value: ir.Value, source: Any, target: Any) -> ir.Value:
    """The value converted from the kind `source` to `target`."""
    if source == target:
        return value
    if isinstance(target, types.Boolean):
        return _to_boolean(builder, value, source)
    if isinstance(target, types.Float):
        return _to_float(builder, value, source, target)
    return _to_integer(builder, value, source, target)


def _to_boolean(builder: ir.IRBuilder, value: ir.Value, source: Any) -> ir.Value:
    if isinstance(source, types.Float):
        return builder.fcmp_unordered("!=", value, ir.Constant(value.type, 0.0))
    return builder.icmp_signed("!=", value, ir.Constant(value.type, 0))


def _to_float(builder: ir.IRBuilder, value: ir.Value, source: Any, target: Any) -> ir.Value:
    kind = ir.FloatType() if target.bitwidth == 32 else ir.DoubleType()
    if isinstance(source, types.Float):
        widen = target.bitwidth > source.bitwidth
        return builder.fpext(value, kind) if widen else builder.fptrunc(value, kind)
    signed = isinstance(source, types.Integer) and source.signed
    return builder.sitofp(value, kind) if signed else builder.uitofp(value, kind)


def _to_integer(builder: ir.IRBuilder, value: ir.Value, source: Any, target: Any) -> ir.Value:
    kind = ir.IntType(target.bitwidth)
    if isinstance(source, types.Float):
        return truncated(Scalar(builder, value), target).value
    if value.type.width > kind.width:
        return builder.trunc(value, kind)
    if value.type.width == kind.width:
        return value
    signed = isinstance(source, types.Integer) and source.signed
    return builder.sext(value, kind) if signed else builder.zext(value, kind)


def truncated(x: Scalar, target: Any) -> Scalar:
    """A float as an integer: toward zero, limited to the range, NaN as 0.

    LLVM's own saturating conversion does the same but was not vectorised.
    """
    kind = ir.IntType(target.bitwidth)
    largest = 2 ** (target.bitwidth - target.signed) - 1
    smallest = -largest - 1 if target.signed else 0
    # Where smallest - 1 is a number of the type, everything above it truncates into the range.
    below = float(smallest - 1)
    digits = 24 if x.width == 32 else 53
    exact = not target.signed or target.bitwidth < digits
    fits = (x > below if exact else x >= float(smallest)) & (x < float(largest + 1))
    safe = select(fits, x, 0.0)
    convert_one = x.builder.fptosi if target.signed else x.builder.fptoui
    whole = x.wrap(convert_one(safe.value, kind))
    limit = select(x > 0.0, whole.like(largest), select(x < 0.0, whole.like(smallest), 0))
    return select(fits, whole, limit)
