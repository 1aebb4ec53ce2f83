"""The words of kernel texts beside arithmetic: casts, narrow floats, sums that may be reordered.

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
from .lines import ahead, ask, fence
from .narrow_floats import read, rounded, written
from .products.tiles import NAMESPACE as PRODUCTS
from .translation import kinds as types
from .translation.words import Made, Word, word
from .turned import laid, turned


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
    held = _held(target)

    def generate(builder: Any, *arguments: Any) -> Any:
        (value,), source = arguments, x
        if isinstance(source, types.Complex) or isinstance(target, types.Complex):
            return _cast_complex(builder, value, source, target)
        if held is target:
            return _cast_value(builder, value, source, target)
        if isinstance(source, types.Float):
            return rounded(builder, value, target)
        exact = target is types.float16 and value.type.width > 16
        wide = types.float64 if exact else types.float32
        return rounded(builder, _cast_value(builder, value, source, wide), target)

    return Made(held, (x, wanted), generate)


@word
def bitcast(x: Any, given: Any, wanted: Any) -> Any:
    """The bits of an `x` of dtype `given` as another dtype."""
    source, target = given.instance_type, wanted.instance_type

    def generate(builder: Any, *arguments: Any) -> Any:
        bits = arguments[0]
        if isinstance(source, types.Narrow):
            bits = written(builder, bits, source)
        if isinstance(target, types.Narrow):
            return read(builder, bits, target)
        return builder.bitcast(bits, _native(target))

    return Made(_held(target), (x, given, wanted), generate)


@word
def narrowed(x: Any, wanted: Any) -> Any:
    """A float32 or float64 rounded to what a narrower float can hold, as a float32."""
    target = wanted.instance_type

    def generate(builder: Any, *arguments: Any) -> Any:
        return rounded(builder, arguments[0], target)

    return Made(types.float32, (x, wanted), generate)


@word
def from_bits(bits: Any, given: Any) -> Any:
    """The bits of a narrower float as a float32."""
    source = given.instance_type

    def generate(builder: Any, *arguments: Any) -> Any:
        return read(builder, arguments[0], source)

    return Made(types.float32, (_bits(source), given), generate)


@word
def to_bits(x: Any, wanted: Any) -> Any:
    """The bits of a float32 that a narrower float can hold."""
    target = wanted.instance_type

    def generate(builder: Any, *arguments: Any) -> Any:
        return written(builder, arguments[0], target)

    return Made(_bits(target), (types.float32, wanted), generate)


def _held(kind: Any) -> Any:
    """The kind of the values that stand for one."""
    return types.float32 if isinstance(kind, types.Narrow) else kind


def _bits(kind: Any) -> Any:
    """The kind of the elements of memory that hold a narrower float."""
    return types.uint16 if kind.bitwidth == 16 else types.uint8


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
    "narrowed": narrowed,
    "from_bits": from_bits,
    "to_bits": to_bits,
    "turned": turned,
    "laid": laid,
    "ahead": ahead,
    "ask": ask,
    "fence": fence,
    **types.DTYPES,
}
