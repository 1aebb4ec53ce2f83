"""The words of kernel texts that know of lines of the cache.

Comes in: a place in memory. Goes out: how far it is from there to the next line (loads of vectors
that begin with a line touch one line each, others two), or a line that is on its way.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .translation import kinds
from .translation.words import Made, word

LINE = 64
_INT64, _INT32, _BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)


@word
def ahead(p: Any, at: Any) -> Made | None:
    """How many elements after `p[at]` the next one lies that begins a line."""
    if not isinstance(p, kinds.Pointer):
        return None

    def generate(builder: Any, memory: Any, index: Any) -> Any:
        size = ir.Constant(_INT64, _size_of(p.dtype))
        place = builder.gep(memory, [builder.mul(index, size)], source_etype=_BYTE)
        beyond = builder.and_(
            builder.neg(builder.ptrtoint(place, _INT64)), ir.Constant(_INT64, LINE - 1)
        )
        return builder.udiv(beyond, size)

    return Made(kinds.int64, (p, kinds.int64), generate)


@word
def ask(p: Any, at: Any) -> Made | None:
    """Tell the processor that the line of `p[at]`, which may lie beyond the memory there is, will
    be read."""
    if not isinstance(p, kinds.Pointer):
        return None

    def generate(builder: Any, memory: Any, index: Any) -> None:
        offset = builder.mul(index, ir.Constant(_INT64, _size_of(p.dtype)))
        name = "llvm.prefetch.p0"
        asked = builder.module.globals.get(name) or ir.Function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [memory.type, _INT32, _INT32, _INT32]),
            name,
        )
        how = [ir.Constant(_INT32, n) for n in (0, 3, 1)]  # to read, to stay in all caches, data
        builder.call(asked, [builder.gep(memory, [offset], source_etype=_BYTE), *how])

    return Made(kinds.nothing, (p, kinds.int64), generate)


@word
def fence() -> Made | None:
    """What was written past the caches is there before what is written from now on."""

    def generate(builder: Any) -> None:
        builder.fence("seq_cst")

    return Made(kinds.nothing, (), generate)


def _size_of(kind: Any) -> int:
    """Bytes of an element."""
    if isinstance(kind, kinds.Complex):
        return 2 * _size_of(kind.underlying_float)
    return kind.bitwidth // 8
