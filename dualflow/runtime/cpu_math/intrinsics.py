"""Turns the IR functions of this room into words of kernel texts.

In: functions from `Scalar`s to a `Scalar`. Out: `Word`s. Each accepts exactly the argument types it
was made for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from ..translation import kinds as types
from ..translation.words import Made, Word
from .builder import Scalar
from .complex_numbers import Pair
from .conversion import convert

FLOATS = (types.float32, types.float64)
COMPLEX = {types.complex64: types.float32, types.complex128: types.float64}


def _emit(function: Callable, signed: bool | None) -> Callable:
    """What writes a word: wraps the arguments, calls `function` and unwraps."""

    def generate(builder, *arguments):
        scalars = [Scalar(builder, argument) for argument in arguments]
        result = function(*scalars) if signed is None else function(*scalars, signed)
        return result.value

    return generate


def float_function(function: Callable, name: str, count: int = 1) -> object:
    """A word of `count` equal float32 or float64 arguments, returning that type."""

    def typed(first):
        return Made(first, (first,) * count, _emit(function, None))

    return _by_count(typed, lambda kind: kind in FLOATS, name, function.__doc__, count)


def question(function: Callable, name: str) -> object:
    """A word of one float argument that returns a boolean."""

    def typed(first):
        return Made(types.boolean, (first,), _emit(function, None))

    return _by_count(typed, lambda kind: kind in FLOATS, name, function.__doc__, 1)


def through_double(function: Callable) -> Callable:
    """The float version of a function that is written for double."""

    def both(*arguments: Scalar) -> Scalar:
        if arguments[0].width == 64:
            return function(*arguments)
        return function(*(argument.to_double() for argument in arguments)).to_single()

    both.__doc__ = function.__doc__
    return both


def unpacked(builder: ir.IRBuilder, value: ir.Value) -> Pair:
    """The parts of a complex value."""
    re, im = (builder.extract_value(value, n) for n in range(2))
    return Pair(Scalar(builder, re), Scalar(builder, im))


def packed(pair: Pair) -> ir.Value:
    """A complex value."""
    builder, kind = pair.re.builder, ir.LiteralStructType([pair.re.type] * 2)
    value = builder.insert_value(ir.Constant(kind, ir.Undefined), pair.re.value, 0)
    return builder.insert_value(value, pair.im.value, 1)


def complex_function(function: Callable, count: int, result: str = "complex") -> object:
    """A word of `count` equal complex arguments; its result is complex, "real" or a
    "question", a boolean."""

    def typed(first):
        results = {"complex": first, "real": COMPLEX[first], "question": types.boolean}

        def generate(builder, *arguments):
            found = function(*(unpacked(builder, argument) for argument in arguments))
            return packed(found) if isinstance(found, Pair) else found.value

        return Made(results[result], (first,) * count, generate)

    return _by_count(typed, COMPLEX.__contains__, function.__name__, function.__doc__, count)


def number_function(
    on_float: Callable | None, on_integer: Callable, name: str, count: int = 2
) -> object:
    """A word of `count` equal arguments; integers also learn whether they are signed."""

    def accepts(kind):
        if kind in FLOATS:
            return on_float is not None
        return isinstance(kind, types.Integer)

    def typed(first):
        if on_float is not None and first in FLOATS:
            return Made(first, (first,) * count, _emit(on_float, None))
        return Made(first, (first,) * count, _emit(on_integer, first.signed))

    documentation = (on_float or on_integer).__doc__
    return _by_count(typed, accepts, name, documentation, count)


def with_sign(function: Callable) -> Callable:
    """A function of Scalars and a signedness as one of float Scalars alone."""

    def on_float(*arguments: Scalar) -> Scalar:
        return function(*arguments, True)

    on_float.__doc__ = function.__doc__
    return on_float


def _by_count(
    typed: Callable, accepts: Callable, name: str, documentation: str | None, count: int
) -> object:
    """The word of `count` arguments of one kind."""

    def resolve(*kinds):
        if any(kind is not kinds[0] for kind in kinds) or not accepts(kinds[0]):
            return None
        return typed(kinds[0])

    return named(resolve, name, documentation, count)


def named(function: Callable, name: str, documentation: str | None, count: int) -> object:
    """The word that `function` makes, under that name."""
    function.__doc__ = documentation
    return Word(function, name, count)


def _pair(re, im):
    kinds = {real: kind for kind, real in COMPLEX.items()}
    if re not in kinds or re != im:
        return None

    def generate(builder, *arguments):
        return packed(Pair(*(Scalar(builder, argument) for argument in arguments)))

    return Made(kinds[re], (re, im), generate)


def _select(condition, a, b):
    if condition is not types.boolean or a is not b:
        return None

    def generate(builder, *arguments):
        condition, *values = arguments
        if a in COMPLEX:  # part by part, which is what vectorises
            first, second = (unpacked(builder, value) for value in values)
            return packed(first.chosen(Scalar(builder, condition), second))
        return builder.select(*arguments)

    return Made(a, (types.boolean, a, a), generate)


def cast_function(target: types.Kind, name: str) -> object:
    """A word that converts any real scalar to the kind."""

    def typed(source):
        if not isinstance(source, types.Boolean | types.Integer | types.Float):
            return None

        def generate(builder, *arguments):
            return convert(builder, arguments[0], source, target)

        return Made(target, (source,), generate)

    return named(typed, name, f"The argument converted to {target}.", 1)


def bit_cast_function(
    targets: dict[Any, Any],
    name: str,
    change: Callable[[Scalar], Scalar] = lambda x: x,
) -> object:
    """A word that reads the bits of one type, changed, as another of the same width."""

    def typed(source):
        if source not in targets:
            return None
        target = targets[source]
        kind = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}.get(
            target, ir.IntType(target.bitwidth)
        )

        def generate(builder, *arguments):
            return builder.bitcast(change(Scalar(builder, arguments[0])).value, kind)

        return Made(target, (source,), generate)

    return named(typed, name, "The bits of the argument as another type of the same width.", 1)


pair = named(_pair, "pair", "The complex number of two parts.", 2)
select = named(_select, "select", "`a` where the boolean holds, else `b`; both are evaluated.", 3)
