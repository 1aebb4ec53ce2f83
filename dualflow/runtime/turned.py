"""The words of kernel texts that turn a square block of memory, rows to columns, and lay one down.

Comes in: where the block lies, and how far its rows are apart. Goes out: the block turned, packed;
or a packed block in its place.
Rows are vectors, which change halves with one another, then quarters, down to single elements
(Eklundh 1972, "A fast computer method for matrix transposing").
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .lines import LINE
from .translation import kinds
from .translation.words import Made, word

#: Rows and columns of a block.
SIDE = 16
_INT32, _INT64 = ir.IntType(32), ir.IntType(64)


@word
def turned(to: Any, source: Any, at: Any, step: Any) -> Made | None:
    """`to[c * SIDE + r] = source[at + r * step + c]` for all rows r and columns c of a block."""
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
        for r, column in enumerate(_exchanged(builder, rows)):
            target = place(packed, ir.Constant(_INT64, r * SIDE))
            builder.store(column, target, align=_bytes(element))

    return Made(kinds.nothing, (to, source, kinds.int64, kinds.int64), generate)


@word
def laid(to: Any, at: Any, step: Any, source: Any, past: Any) -> Made | None:
    """`to[at + r * step + c] = source[r * SIDE + c]` for all rows r and columns c of a block; where
    `past`, and where rows begin lines of the cache, it is written past the caches."""
    if not isinstance(to, kinds.Pointer) or to is not source or isinstance(to.dtype, kinds.Complex):
        return None

    def generate(
        builder: Any, memory: Any, start: Any, apart: Any, packed: Any, wanted: Any
    ) -> None:
        element = _element(to.dtype)
        row = ir.VectorType(element, SIDE)
        first = builder.gep(memory, [start], source_etype=element)
        places = [
            builder.gep(first, [builder.mul(apart, ir.Constant(_INT64, r))], source_etype=element)
            for r in range(SIDE)
        ]

        def store(align: int) -> None:
            for r, place in enumerate(places):
                own = builder.gep(packed, [ir.Constant(_INT64, r * SIDE)], source_etype=element)
                line = builder.load(own, typ=row, align=_bytes(element))
                stored = builder.store(line, place, align=align)
                if align == LINE:
                    one = builder.module.add_metadata([ir.Constant(_INT32, 1)])
                    stored.set_metadata("nontemporal", one)

        ends = [builder.ptrtoint(place, _INT64) for place in places[:2]]
        off = builder.and_(builder.or_(*ends), ir.Constant(_INT64, LINE - 1))
        on_lines = builder.icmp_unsigned("==", off, ir.Constant(_INT64, 0))
        with builder.if_else(builder.and_(wanted, on_lines)) as (beyond, within):
            with beyond:
                store(LINE)
            with within:
                store(_bytes(element))

    return Made(kinds.nothing, (to, kinds.int64, kinds.int64, source, kinds.boolean), generate)


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


def _element(kind: Any) -> Any:
    if isinstance(kind, kinds.Float):
        return {16: ir.HalfType, 32: ir.FloatType, 64: ir.DoubleType}[kind.bitwidth]()
    return ir.IntType(kind.bitwidth)


def _bytes(element: Any) -> int:
    """The size of an element, to which rows are aligned."""
    sizes = {ir.HalfType: 2, ir.FloatType: 4, ir.DoubleType: 8}
    return sizes.get(type(element)) or element.width // 8
