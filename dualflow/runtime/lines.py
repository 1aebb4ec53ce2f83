"""The word of kernel texts that tells where lines of the cache begin.

Comes in: a place in memory. Goes out: how far it is from there to the next line. Loads of vectors
that begin with a line touch one line each, others two.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .translation import kinds
from .translation.words import Made, word

LINE = 64
_INT64, _BYTE = ir.IntType(64), ir.IntType(8)


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


def _size_of(kind: Any) -> int:
    """Bytes of an element."""
    if isinstance(kind, kinds.Complex):
        return 2 * _size_of(kind.underlying_float)
    return kind.bitwidth // 8
