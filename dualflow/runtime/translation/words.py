"""Words: what kernel texts call. Each is a small function in LLVM IR, made for types of arguments.

Comes in: a function from the kinds of arguments to what is made of them. Out: a `Word`, which the
translator and Numba (`by_numba`) both take.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from inspect import signature
from itertools import count
from typing import Any, NamedTuple

from llvmlite import ir

from .kinds import Class, Kind, nothing


class Made(NamedTuple):
    """A word for given kinds: `emit(builder, *values)` writes it; a `Class` has no value."""

    result: Kind
    arguments: tuple[Kind, ...]
    emit: Callable[..., Any]


class Word:
    """A name that texts call. `made(*kinds)` is None for kinds that it does not take."""

    def __init__(self, made: Callable[..., Made | None], name: str, count: int) -> None:
        self.made, self.name, self.count = made, name, count
        self.__doc__ = made.__doc__

    def __repr__(self) -> str:
        return f"<word {self.name}>"


def word(made: Callable[..., Made | None]) -> Word:
    """The word that is written by `made`, named as it is."""
    return Word(made, made.__name__, len(signature(made).parameters))


class Written(NamedTuple):
    """A word as text: its function, all that a module needs for it by name, and what of that no
    pass may drop though nothing calls it."""

    made: Made
    name: str
    parts: dict[str, str]
    kept: tuple[str, ...]


_METADATA, _USED = re.compile(r"!(\d+)\b"), "llvm.compiler.used"
#: numbers of metadata, of which each word has its own
_numbers = count()


@lru_cache(maxsize=None)
def written(given: Word, kinds: tuple[Kind, ...]) -> Written | None:
    """The LLVM text of a word for these kinds of arguments; None where it does not take them."""
    made = given.made(*kinds)
    if made is None:
        return None
    module = ir.Module()
    passed = [_native(kind) for kind in made.arguments if not isinstance(kind, Class)]
    name = ".".join((given.name, *(kind.name.replace(" ", "_") for kind in kinds)))
    function = ir.Function(module, ir.FunctionType(_native(made.result), passed), name)
    function.linkage = "internal"
    function.attributes.add("alwaysinline")
    builder = ir.IRBuilder(function.append_basic_block())
    result = made.emit(builder, *function.args)
    if made.result is nothing:
        builder.ret_void()
    else:
        builder.ret(result)
    parts = {name: str(value) for name, value in module.globals.items()}
    kept = tuple(re.findall(r'@"([^"]+)"', parts.pop(_USED, "").partition("=")[2]))
    parts |= {f"!{n}": str(node) for n, node in enumerate(module.metadata)}
    own = {str(n): f"!{next(_numbers)}" for n in range(len(module.metadata))}
    parts = {
        _METADATA.sub(lambda found: own[found[1]], name): _METADATA.sub(
            lambda found: own[found[1]], part
        )
        for name, part in parts.items()
    }
    return Written(made, function.name, parts, kept)


def _native(kind: Kind) -> Any:
    """The type of llvmlite's that a kind is."""
    text = kind.text
    if text == "void":
        return ir.VoidType()
    if text == "ptr":
        return ir.PointerType()
    if text[0] == "i":
        return ir.IntType(int(text[1:]))
    if text[0] == "{":
        part = ir.FloatType() if "float" in text else ir.DoubleType()
        return ir.LiteralStructType([part, part])
    return {"float": ir.FloatType, "double": ir.DoubleType}[text]()
