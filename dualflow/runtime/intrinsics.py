"""The words of kernel texts beside arithmetic: casts, half floats, sums that may be reordered.

Comes in: the compiler (this file imports llvmlite, so `compile.py` imports it late). Goes out:
`NAMESPACE`, the globals of every kernel text, with the mathematics of `cpu_math`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .cpu_math import NAMESPACE as MATHEMATICS
from .cpu_math.builder import Scalar
from .cpu_math.complex_numbers import Pair
from .cpu_math.conversion import truncated
from .cpu_math.intrinsics import packed, unpacked
from .products.tiles import NAMESPACE as PRODUCTS
from .translation import kinds as types
from .translation.words import Made, Word, word
from .turned import turned

HALF = ir.HalfType()
INT16 = ir.IntType(16)


@word
def radd(x: Any, y: Any) -> Any:
    """`x + y` that may be reordered with its neighbours: it alone carries the flag `reassoc`."""

    def generate(builder: Any, *arguments: Any) -> Any:
        return builder.fadd(*arguments, flags=["reassoc"])

    return Made(x, (x, x), generate)


@word
def logical_not(x: Any) -> Any:
    """Not, of a boolean."""

    def generate(builder: Any, *arguments: Any) -> Any:
        return builder.not_(arguments[0])

    return Made(types.boolean, (types.boolean,), generate)


def _better(name: str, sign: str) -> Any:
    def better(x: Any, best: Any) -> Any:
        """Whether `x` beats the best so far: a NaN beats all but a NaN."""

        def generate(builder: Any, *arguments: Any) -> Any:
            held, top = arguments
            if not isinstance(x, types.Float):
                signed = getattr(x, "signed", False)
                compare = builder.icmp_signed if signed else builder.icmp_unsigned
                return compare(sign, held, top)
            sought = builder.fcmp_unordered(sign, held, top)  # true for a NaN on either side
            return builder.and_(sought, builder.fcmp_ordered("ord", top, top))

        return Made(types.boolean, (x, x), generate)

    return Word(better, name, 2)


def _to_integer(builder: Any, value: Any, target: Any) -> Any:
    """As NumPy's loops do it: through 32 or 64 bits, then truncated; the nearest integer of those
    where it does not fit, 0 for NaN: never poison."""
    wide = target
    if target.bitwidth < 64:
        wide = types.int64 if target == types.uint32 else types.int32
    found = truncated(Scalar(builder, value), wide).value
    return found if wide.bitwidth == target.bitwidth else builder.trunc(found, _native(target))


def _cast_value(builder: Any, value: Any, source: Any, target: Any) -> Any:
    if source == target:
        return value
    if target == types.boolean:
        zero = ir.Constant(value.type, 0.0 if isinstance(source, types.Float) else 0)
        if isinstance(source, types.Float):
            return builder.fcmp_unordered("!=", value, zero)
        return builder.icmp_unsigned("!=", value, zero)
    kind = _native(target)
    if isinstance(source, types.Float):
        if isinstance(target, types.Integer):
            return _to_integer(builder, value, target)
        widen = source.bitwidth < target.bitwidth
        return builder.fpext(value, kind) if widen else builder.fptrunc(value, kind)
    signed = getattr(source, "signed", False)
    if isinstance(target, types.Float):
        return builder.sitofp(value, kind) if signed else builder.uitofp(value, kind)
    bits = value.type.width
    if bits >= target.bitwidth:
        return value if bits == target.bitwidth else builder.trunc(value, kind)
    return builder.sext(value, kind) if signed else builder.zext(value, kind)


def _native(kind: Any) -> Any:
    if isinstance(kind, types.Float):
        return ir.FloatType() if kind.bitwidth == 32 else ir.DoubleType()
    return ir.IntType(1 if kind == types.boolean else kind.bitwidth)


def _rounded(builder: Any, value: Any) -> Any:
    """A float as the nearest float16, held as a float32."""
    if isinstance(value.type, ir.DoubleType):
        value = _to_odd(builder, value)
    return builder.fpext(builder.fptrunc(value, HALF), ir.FloatType())


def _to_odd(builder: Any, value: Any) -> Any:
    """A double as a float32, rounded to odd: a second rounding then gives the nearest float16.

    CPUs round a double to a half in two steps only (Boldo and Melquiond 2008, "Emulation of a FMA
    and correctly rounded sums: proved algorithms using rounding to odd").
    """
    near = builder.fptrunc(value, ir.FloatType())
    back = builder.fpext(near, ir.DoubleType())
    bits = builder.bitcast(near, ir.IntType(32))
    one = ir.Constant(ir.IntType(32), 1)
    size = builder.module.declare_intrinsic("llvm.fabs", [ir.DoubleType()])
    short = builder.fcmp_ordered(">", builder.call(size, [value]), builder.call(size, [back]))
    step = builder.select(short, one, ir.Constant(ir.IntType(32), -1))
    even = builder.icmp_unsigned("==", builder.and_(bits, one), ir.Constant(ir.IntType(32), 0))
    inexact = builder.fcmp_ordered("!=", value, back)
    moved = builder.select(builder.and_(inexact, even), builder.add(bits, step), bits)
    return builder.bitcast(moved, ir.FloatType())


def _cast_complex(builder: Any, value: Any, source: Any, target: Any) -> Any:
    """A number as a complex one, or a complex one as a boolean."""
    parts, given = [value], source
    if isinstance(source, types.Complex):
        parts, given = [part.value for part in unpacked(builder, value)], source.underlying_float
    if target == types.boolean:
        return builder.or_(*(_cast_value(builder, part, given, target) for part in parts))
    made = [_cast_value(builder, part, given, target.underlying_float) for part in parts]
    made += [ir.Constant(made[0].type, 0.0)] * (2 - len(made))
    return packed(Pair(*(Scalar(builder, part) for part in made)))


@word
def cast(x: Any, wanted: Any) -> Any:
    """The value in another dtype. Float to integer never gives LLVM's undefined result."""
    target = wanted.instance_type
    held = types.float32 if target == types.float16 else target

    def generate(builder: Any, *arguments: Any) -> Any:
        (value,), source = arguments, x
        if isinstance(source, types.Complex) or isinstance(target, types.Complex):
            return _cast_complex(builder, value, source, target)
        if target != types.float16:
            return _cast_value(builder, value, source, held)
        if isinstance(source, types.Float):
            return _rounded(builder, value)
        wide = types.float64 if value.type.width > 16 else types.float32
        return _rounded(builder, _cast_value(builder, value, source, wide))

    return Made(held, (x, wanted), generate)


@word
def bitcast(x: Any, wanted: Any) -> Any:
    """The same bits as another dtype. A float32 that stands for a float16 has 16 of them."""
    target = wanted.instance_type
    held = types.float32 if target == types.float16 else target

    def generate(builder: Any, *arguments: Any) -> Any:
        (value,), source = arguments, x
        if target == types.float16:
            if isinstance(source, types.Float):
                return value
            return builder.fpext(builder.bitcast(value, HALF), ir.FloatType())
        if isinstance(source, types.Float) and target.bitwidth == 16:
            return builder.bitcast(builder.fptrunc(value, HALF), INT16)
        return builder.bitcast(value, _native(target))

    return Made(held, (x, wanted), generate)


@word
def round_half(x: Any) -> Any:
    """A float32 or float64 rounded to what a float16 can hold, as a float32."""

    def generate(builder: Any, *arguments: Any) -> Any:
        return _rounded(builder, arguments[0])

    return Made(types.float32, (x,), generate)


@word
def from_half(bits: Any) -> Any:
    """The 16 bits of a float16 as a float32."""

    def generate(builder: Any, *arguments: Any) -> Any:
        return builder.fpext(builder.bitcast(arguments[0], HALF), ir.FloatType())

    return Made(types.float32, (types.uint16,), generate)


@word
def to_half(x: Any) -> Any:
    """A float32 as the 16 bits of a float16."""

    def generate(builder: Any, *arguments: Any) -> Any:
        return builder.bitcast(builder.fptrunc(arguments[0], HALF), INT16)

    return Made(types.uint16, (types.float32,), generate)


#: The globals of every kernel text.
NAMESPACE: dict[str, Any] = {
    **MATHEMATICS,
    **PRODUCTS,
    "radd": radd,
    "logical_not": logical_not,
    "better_high": _better("better_high", ">"),
    "better_low": _better("better_low", "<"),
    "cast": cast,
    "bitcast": bitcast,
    "round_half": round_half,
    "from_half": from_half,
    "to_half": to_half,
    "turned": turned,
    **types.DTYPES,
}
