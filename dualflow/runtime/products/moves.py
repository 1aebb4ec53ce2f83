"""Words that move elements: copies of lines, of every other element, transposed; and prefetches.

Comes in: a Writer of the function. Goes out: its body; see `tiles` for what each word does.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .writer import BIT, PLACE, SHORT, Writer, declared, number


def copy(writer: Writer) -> None:
    c, a, count = writer.function.args
    builder = writer.builder
    whole = builder.and_(count, number(-writer.lanes))

    def move(p: Any, held: list[Any]) -> list[Any]:
        writer.store(writer.load(writer.at(a, p)), writer.at(c, p))
        return held

    writer.walk_if_any(number(0), whole, writer.lanes, [], move)
    with builder.if_then(builder.icmp_signed("<", whole, count)):
        mask = writer.mask(builder.sub(count, whole))
        writer.store(writer.load(writer.at(a, whole), mask), writer.at(c, whole), mask)
    builder.ret_void()


def copies(writer: Writer) -> None:
    c, ldc, a, lda, height, count = writer.function.args
    builder = writer.builder
    whole = builder.and_(count, number(-writer.lanes))
    mask = writer.mask(builder.sub(count, whole))

    def line(u: Any, held: list[Any]) -> list[Any]:
        start, to = writer.at(a, builder.mul(u, lda)), writer.at(c, builder.mul(u, ldc))

        def move(p: Any, held: list[Any]) -> list[Any]:
            writer.store(writer.load(writer.at(start, p)), writer.at(to, p))
            return held

        writer.walk_if_any(number(0), whole, writer.lanes, [], move)
        writer.store(writer.load(writer.at(start, whole), mask), writer.at(to, whole), mask)
        return held

    writer.walk_if_any(number(0), height, 1, [], line)
    builder.ret_void()


def halve(writer: Writer) -> None:
    c, a, count = writer.function.args
    builder, lanes = writer.builder, writer.lanes
    whole = builder.and_(builder.sub(count, number(1)), number(-lanes))  # nothing beyond is read
    even = list(range(0, 2 * lanes, 2))

    def pairs(p: Any) -> tuple[Any, Any]:
        place = writer.at(a, builder.add(p, p))
        return place, writer.at(place, lanes)

    def move(p: Any, held: list[Any]) -> list[Any]:
        first, second = map(writer.load, pairs(p))
        writer.store(writer.shuffled(first, second, even), writer.at(c, p))
        return held

    writer.walk_if_any(number(0), whole, lanes, [], move)
    rest = builder.sub(count, whole)
    seen = builder.sub(builder.add(rest, rest), number(1))
    masks = writer.mask(seen), writer.mask(builder.sub(seen, number(lanes)))
    first, second = map(writer.load, pairs(whole), masks)
    writer.store(writer.shuffled(first, second, even), writer.at(c, whole), writer.mask(rest))
    builder.ret_void()


def fetch(writer: Writer) -> None:
    a, count = writer.function.args
    kinds = [PLACE, SHORT, SHORT, SHORT]
    prefetch = declared(writer.module, ir.FunctionType(ir.VoidType(), kinds), "llvm.prefetch.p0")
    how = [ir.Constant(SHORT, flag) for flag in (0, 3, 1)]  # to read, into the first cache, data

    def ask(p: Any, held: list[Any]) -> list[Any]:
        writer.builder.call(prefetch, [writer.at(a, p), *how])
        return held

    writer.walk_if_any(number(0), count, 64 // writer.size, [], ask)
    writer.builder.ret_void()


def turn(writer: Writer) -> None:
    """A square of vectors: each round puts lanes side by side that lie half the rows apart."""
    c, ldc, a, lda, height, width = writer.function.args
    builder, lanes = writer.builder, writer.lanes
    nothing = ir.Constant(ir.VectorType(BIT, lanes), [0] * lanes)
    across, down = writer.mask(width), writer.mask(height)

    def kept(mask: Any, count: Any, u: int) -> Any:
        return builder.select(builder.icmp_signed(">", count, number(u)), mask, nothing)

    rows = [
        writer.load(writer.at(a, builder.mul(lda, number(u))), kept(across, height, u))
        for u in range(lanes)
    ]
    half = lanes // 2
    low = [lane // 2 + (lane % 2) * lanes for lane in range(lanes)]
    high = [lane + half for lane in low]
    for _ in range(lanes.bit_length() - 1):
        pairs = list(zip(rows[:half], rows[half:], strict=True))
        rows = [writer.shuffled(x, y, order) for x, y in pairs for order in (low, high)]
    for v, row in enumerate(rows):
        place = writer.at(c, builder.mul(ldc, number(v)))
        writer.store(row, place, kept(down, width, v))
    builder.ret_void()
