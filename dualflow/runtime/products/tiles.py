"""Words of product texts: sums of products held in registers, copies and transposed copies.

    tile(a, i, rows, r, step, b, j, stride, k, c, o, ldc, height, width, more)
        c[o + u*ldc + v] (+)= sum over p < k of a[i + rows[r+u] + p*step] * b[j + p*stride + v]
    tile_at(..., offsets, ...)   the same with b[j + offsets[p] + v]
    lines_of(a, i, b, j, next, offsets, q, k, c, o, ldc, height, width)
        c[o + u*ldc + v] = sum over p < k of a[i + p] * b[j + u*next + offsets[q+p] + v]
    dots(a, i, rows, r, b, j, k, c, o, ldc, height, more)
        c[o + u*ldc] (+)= sum over p < k of a[i + rows[r+u] + p] * b[j + p]
    copy(c, o, a, i, count)      c[o + v] = a[i + v]
    copies(c, o, ldc, a, i, lda, height, count)     c[o + u*ldc + v] = a[i + u*lda + v]
    halve(c, o, a, i, count)     c[o + v] = a[i + 2*v]
    gesv(a, i, b, j, words, k, function, n, m)
                                 LAPACK's function of that address solves a x = b, with n rows and m
                                 columns of b; words[k + 2] is its status
    transformed(a, i, b, j, words, k, n, m, lines, after, next, step, other, factor, function, data)
                                 NumPy's loop at that address makes m elements of b, `other` bytes
                                 apart, of n elements of a, `step` bytes apart, for each of `lines`,
                                 which lie `after` and `next` floats apart
    fetch(a, i, count)           a[i : i + count] is wanted soon
    turn(c, o, ldc, a, i, lda, height, width)       c[o + v*ldc + u] = a[i + u*lda + v]

u counts rows up to `height` (of HEIGHTS, HIGH or NINE; for `turn` at most a vector's lanes), v
columns up to `width` (at most `panel`, LONG times that for a single row; for `turn` the lanes).
`more` adds to what c holds. Comes in: the compiler. Goes out: `NAMESPACE`. Each word is one LLVM
function of the kernel, called with plain numbers; edges are masked, nothing outside is touched.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir

from . import libraries, moves
from . import writer as machine
from .writer import Writer, number, panel, word_of

#: how many rows a tile may have, HIGH only with one vector a row, NINE only `dots`; and by how many
#: times the panel a single row may be wider
HEIGHTS, HIGH, NINE, LONG = (6, 4, 2, 1), 12, 9, 2


def _columns(writer: Writer, width: Any, wide: int) -> list[Any]:
    """The mask of each of `wide` vectors: none but for the last."""
    return [None] * (wide - 1) + [
        writer.mask(writer.builder.sub(width, number((wide - 1) * writer.lanes)))
    ]


def _block(writer: Writer, high: int, wide: int, at: bool) -> None:
    """The body of a tile of `high` rows and `wide` vectors, to the end of the function."""
    a, rows, step, b, stride, k, c, ldc, _, width, more = writer.function.args
    builder, lanes = writer.builder, writer.lanes
    masks = _columns(writer, width, wide)
    places = [writer.at(a, writer.word(rows, u)) for u in range(high)]

    def products(p: Any, held: list[Any]) -> list[Any]:
        along, across, sums = held[0], held[1], held[2:]
        row = writer.at(b, writer.word(stride, p) if at else across)
        right = [writer.load(writer.at(row, v * lanes), m) for v, m in enumerate(masks)]
        found = []
        for u in range(high):
            left = builder.load(writer.at(places[u], along), typ=writer.element)
            left = writer.everywhere(left)
            found += [writer.fma(left, right[v], sums[u * wide + v]) for v in range(wide)]
        return [builder.add(along, step), across if at else builder.add(across, stride), *found]

    none = number(0)
    sums = writer.walk(none, k, 1, [none, none, *[writer.zero] * (high * wide)], products, True)[2:]
    targets = [
        (writer.at(c, builder.add(builder.mul(ldc, number(u)), number(v * lanes))), masks[v])
        for u in range(high)
        for v in range(wide)
    ]
    with builder.if_else(builder.icmp_signed("!=", more, none)) as (adding, storing):
        with adding:
            for value, (place, mask) in zip(sums, targets, strict=True):
                writer.store(builder.fadd(writer.load(place, mask), value), place, mask)
        with storing:
            for value, (place, mask) in zip(sums, targets, strict=True):
                writer.store(value, place, mask)
    builder.ret_void()


def _lines_block(writer: Writer, high: int, wide: int) -> None:
    """As `_block`, of the same numbers of a times lines of b, which is stored as it is."""
    a, b, following, offsets, k, c, ldc, _, width = writer.function.args
    builder, lanes = writer.builder, writer.lanes
    masks = _columns(writer, width, wide)
    starts = [writer.at(b, builder.mul(following, number(u))) for u in range(high)]

    def products(p: Any, sums: list[Any]) -> list[Any]:
        offset = writer.word(offsets, p)
        left = writer.everywhere(builder.load(writer.at(a, p), typ=writer.element))
        found = []
        for u, start in enumerate(starts):
            row = writer.at(start, offset)
            for v, mask in enumerate(masks):
                right = writer.load(writer.at(row, v * lanes), mask)
                found.append(writer.fma(left, right, sums[u * wide + v]))
        return found

    sums = writer.walk(number(0), k, 1, [writer.zero] * (high * wide), products, True)
    for u in range(high):
        row = writer.at(c, builder.mul(ldc, number(u)))
        for v, mask in enumerate(masks):
            writer.store(sums[u * wide + v], writer.at(row, v * lanes), mask)
    builder.ret_void()


def _blocks(
    height_at: int, long: int, block: Callable[[Writer, int, int], None]
) -> Callable[[Writer], None]:
    def write(writer: Writer) -> None:
        """Goes to the block for this height (the argument of this number) and width (the next):
        a single row may be `long` times as wide as others."""
        builder, function = writer.builder, writer.function
        height, width = function.args[height_at], function.args[height_at + 1]
        most = machine.vectors()[1]
        wide = builder.sdiv(builder.add(width, number(writer.lanes - 1)), number(writer.lanes))
        number_of = builder.add(builder.mul(height, number(8)), wide)
        nowhere = function.append_basic_block()
        chosen = builder.switch(number_of, nowhere)
        builder.position_at_end(nowhere)
        builder.ret_void()
        sizes = [(HIGH, 1)] if long > 1 else []
        for high in HEIGHTS:
            sizes += [(high, 1 + n) for n in range(most * (long if high == 1 else 1))]
        for high, count in sizes:
            here = function.append_basic_block()
            chosen.add_case(number(high * 8 + count), here)
            builder.position_at_end(here)
            block(writer, high, count)

    return write


def _dots(writer: Writer) -> None:
    """Goes to the block for this height."""
    builder, function = writer.builder, writer.function
    a, rows, b, k, c, ldc, height, more = function.args
    nowhere = function.append_basic_block()
    chosen = builder.switch(height, nowhere)
    builder.position_at_end(nowhere)
    builder.ret_void()
    for high in (NINE, *HEIGHTS):
        block = function.append_basic_block()
        chosen.add_case(number(high), block)
        builder.position_at_end(block)
        places = [writer.at(a, writer.word(rows, u)) for u in range(high)]

        def products(p: Any, sums: list[Any], mask: Any = None, of: Any = tuple(places)) -> Any:
            right = writer.load(writer.at(b, p), mask)
            return [
                writer.fma(writer.load(writer.at(place, p), mask), right, held)
                for place, held in zip(of, sums, strict=True)
            ]

        whole, zeros = builder.and_(k, number(-writer.lanes)), [writer.zero] * high
        sums = writer.walk_if_any(number(0), whole, writer.lanes, zeros, products)
        sums = products(whole, sums, writer.mask(builder.sub(k, whole)))
        for u, held in enumerate(sums):
            place = writer.at(c, builder.mul(ldc, number(u)))
            before = builder.load(place, typ=writer.element)
            nothing = ir.Constant(writer.element, 0.0)
            before = builder.select(builder.icmp_signed("!=", more, number(0)), before, nothing)
            builder.store(builder.fadd(before, writer.total(held)), place)
        builder.ret_void()


#: What product texts call.
NAMESPACE: dict[str, Any] = {
    "tile": word_of("tile", "pqnpnnpnnnn", _blocks(8, LONG, partial(_block, at=False))),
    "tile_at": word_of("tile_at", "pqnpqnpnnnn", _blocks(8, LONG, partial(_block, at=True))),
    "lines_of": word_of("lines_of", "ppnqnpnnn", _blocks(7, 1, _lines_block)),
    "dots": word_of("dots", "pqpnpnnn", _dots),
    "copy": word_of("copy", "ppn", moves.copy),
    "copies": word_of("copies", "pnpnnn", moves.copies),
    "halve": word_of("halve", "ppn", moves.halve),
    "gesv": word_of("gesv", "ppqnnn", libraries.gesv),
    "transformed": word_of("transformed", "ppqnnnnnnnnnn", libraries.transformed),
    "fetch": word_of("fetch", "pn", moves.fetch),
    "turn": word_of("turn", "pnpnnn", moves.turn),
    "PANEL32": panel(4),
    "PANEL64": panel(8),
    "LANES32": machine.vectors()[0] // 4,
    "LANES64": machine.vectors()[0] // 8,
}
