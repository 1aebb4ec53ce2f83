"""The word of kernel texts that turns a square block of memory: rows become columns.

Comes in: where the block lies, and how far its rows are apart. Goes out: the block turned, packed.
Rows are vectors, which change halves with one another, then quarters, down to single elements
(Eklundh 1972, "A fast computer method for matrix transposing").
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .translation import kinds
from .translation.words import Made, word

#: Rows and columns of a block.
SIDE = 16
_INT32, _INT64 = ir.IntType(32), ir.IntType(64)


@word
def turned(to: Any, source: Any, at: Any, step: Any) -> Made | None:
    """`to[c * SIDE + r] = source[at + r * step + c]` for all rows r and columns c of a block; what
    the next rows of it are is asked for ahead."""
    if not isinstance(source, kinds.Pointer) or to is not source:
        return None
    if isinstance(source.dtype, kinds.Complex):
        return None

    def generate(builder: Any, packed: Any, memory: Any, start: Any, apart: Any) -> None:
        element = _element(source.dtype)
        row = ir.VectorType(element, SIDE)

        def place(base: Any, offset: Any) -> Any:
            return builder.gep(base, [offset], source_etype=element)

        def line(number: int) -> Any:
            further = builder.mul(apart, ir.Constant(_INT64, number))
            return place(memory, builder.add(start, further))

        rows = [
            builder.load(line(r), typ=row, align=_bytes(element)) for r in range(SIDE)
        ]  # fmt: skip
        _ask_for(builder, [line(r) for r in range(SIDE, 2 * SIDE)])
        for r, column in enumerate(_exchanged(builder, rows)):
            target = place(packed, ir.Constant(_INT64, r * SIDE))
            builder.store(column, target, align=_bytes(element))

    return Made(kinds.nothing, (to, source, kinds.int64, kinds.int64), generate)


def _exchanged(builder: Any, rows: list[Any]) -> list[Any]:
    """The columns of the rows."""
    far = SIDE // 2
    while far:
        first = [c if not c & far else SIDE + c - far for c in range(SIDE)]
        second = [c + far if not c & far else SIDE + c for c in range(SIDE)]
        for r in range(SIDE):
            if not r & far:
                pair = rows[r], rows[r + far]
                rows[r] = _shuffled(builder, *pair, first)
                rows[r + far] = _shuffled(builder, *pair, second)
        far //= 2
    return rows


def _shuffled(builder: Any, one: Any, two: Any, places: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(_INT32, len(places)), places)
    return builder.shuffle_vector(one, two, mask)


def _ask_for(builder: Any, places: list[Any]) -> None:
    """Tell the processor what will be read; it may lie beyond the memory there is."""
    given = [places[0].type, _INT32, _INT32, _INT32]
    ask = builder.module.globals.get("llvm.prefetch.p0") or ir.Function(
        builder.module, ir.FunctionType(ir.VoidType(), given), "llvm.prefetch.p0"
    )
    how = [ir.Constant(_INT32, n) for n in (0, 3, 1)]  # to read, to stay in all caches, data
    for place in places:
        builder.call(ask, [place, *how])


def _element(kind: Any) -> Any:
    if isinstance(kind, kinds.Float):
        return {16: ir.HalfType, 32: ir.FloatType, 64: ir.DoubleType}[kind.bitwidth]()
    return ir.IntType(kind.bitwidth)


def _bytes(element: Any) -> int:
    """The size of an element, to which rows are aligned."""
    sizes = {ir.HalfType: 2, ir.FloatType: 4, ir.DoubleType: 8}
    return sizes.get(type(element)) or element.width // 8
