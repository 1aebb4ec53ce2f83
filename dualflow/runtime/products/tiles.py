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
    transformed(a, i, b, j, words, k, n, m, step, other, factor, function, data)
                                 NumPy's loop at that address makes m elements of b, `other` bytes
                                 apart, of n elements of a, `step` bytes apart
    fetch(a, i, count)           a[i : i + count] is wanted soon
    turn(c, o, ldc, a, i, lda, height, width)       c[o + v*ldc + u] = a[i + u*lda + v]

u counts rows up to `height` (of HEIGHTS or HIGH; for `turn` at most the lanes of a vector), v
columns up to `width` (at most `panel`, LONG times that for a single row; for `turn` the lanes).
`more` adds to what c holds. Comes in: the compiler (this file imports llvmlite). Goes out:
`NAMESPACE`. Each word is one LLVM function of the kernel, called with plain numbers; edges are
masked, nothing outside is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from ..loader import vector_bytes
from ..translation.kinds import Kind, Pointer, float32, int64, nothing
from ..translation.words import Made, Word

WORD, SHORT, BIT, PLACE = ir.IntType(64), ir.IntType(32), ir.IntType(1), ir.PointerType()
#: how many rows a tile may have, HIGH only with one vector a row; and by how many times the panel
#: a single row may be wider
HEIGHTS, HIGH, LONG = (6, 4, 2, 1), 12, 2


@lru_cache(maxsize=1)
def vectors() -> tuple[int, int]:
    """Bytes of this machine's vectors, and how many make the width of a tile: six rows of sums,
    one row of b and one element of a fit into its registers."""
    nbytes = vector_bytes()
    if nbytes > 16:
        return nbytes, nbytes // 16
    return nbytes, 4 if llvm.get_host_cpu_features().get("neon") else 2


def _declared(module: ir.Module, kind: ir.FunctionType, name: str) -> Any:
    """The function of that name, declared once in a module."""
    return module.globals.get(name) or ir.Function(module, kind, name)


class _Writer:
    """One LLVM function under construction, with pointers and vectors of one float type."""

    def __init__(self, module: ir.Module, name: str, element: ir.Type, kinds: Sequence[ir.Type]):
        self.module, self.element = module, element
        self.size = 4 if isinstance(element, ir.FloatType) else 8
        self.lanes = vectors()[0] // self.size
        self.vector = ir.VectorType(element, self.lanes)
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        self.builder = ir.IRBuilder(self.function.append_basic_block())
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        self.any = ir.Constant(self.vector, ir.Undefined)
        self.lane = ir.VectorType(SHORT, self.lanes)

    def at(self, place: Any, index: Any, kind: ir.Type | None = None) -> Any:
        """The address `index` elements on."""
        index = number(index) if isinstance(index, int) else index
        return self.builder.gep(place, [index], source_etype=kind or self.element)

    def word(self, place: Any, index: Any) -> Any:
        return self.builder.load(self.at(place, index, WORD), typ=WORD)

    def everywhere(self, value: Any) -> Any:
        """A vector of one element."""
        first = self.builder.insert_element(self.any, value, ir.Constant(SHORT, 0))
        return self.shuffled(first, self.any, [0] * self.lanes)

    def shuffled(self, x: Any, y: Any, lanes: list[int]) -> Any:
        return self.builder.shuffle_vector(x, y, ir.Constant(self.lane, lanes))

    def mask(self, count: Any) -> Any:
        """The first `count` lanes."""
        wide = ir.VectorType(WORD, self.lanes)
        nothing = ir.Constant(wide, ir.Undefined)
        first = self.builder.insert_element(nothing, count, ir.Constant(SHORT, 0))
        same = self.builder.shuffle_vector(first, nothing, ir.Constant(self.lane, [0] * self.lanes))
        return self.builder.icmp_signed("<", ir.Constant(wide, list(range(self.lanes))), same)

    def _named(self, what: str, result: ir.Type, kinds: Sequence[ir.Type], place: bool) -> Any:
        name = f"llvm.{what}.v{self.lanes}f{8 * self.size}" + (".p0" if place else "")
        return _declared(self.module, ir.FunctionType(result, kinds), name)

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        return self.builder.call(
            self._named("fma", self.vector, [self.vector] * 3, False), [x, y, z]
        )

    def load(self, place: Any, mask: Any = None) -> Any:
        if mask is None:
            return self.builder.load(place, align=self.size, typ=self.vector)
        kinds = [PLACE, SHORT, mask.type, self.vector]
        function = self._named("masked.load", self.vector, kinds, True)
        return self.builder.call(function, [place, ir.Constant(SHORT, self.size), mask, self.zero])

    def store(self, value: Any, place: Any, mask: Any = None) -> None:
        if mask is None:
            self.builder.store(value, place, align=self.size)
            return
        kinds = [self.vector, PLACE, SHORT, mask.type]
        function = self._named("masked.store", ir.VoidType(), kinds, True)
        self.builder.call(function, [value, place, ir.Constant(SHORT, self.size), mask])

    def total(self, value: Any) -> Any:
        """The sum of the lanes."""
        kinds = [self.element, self.vector]
        function = self._named("vector.reduce.fadd", self.element, kinds, False)
        nothing = ir.Constant(self.element, -0.0)
        return self.builder.call(function, [nothing, value], fastmath=["reassoc"])

    def walk(self, start: Any, stop: Any, step: int, held: Sequence[Any],
             body: Callable[[Any, list[Any]], list[Any]],
             full: bool = False) -> list[Any]:  # fmt: skip
        """A loop that runs at least once; `body` gives what it holds next. One that is `full` keeps
        the machine busy as it is: several steps at a time would only be more code."""
        builder = self.builder
        before, inside = builder.block, builder.append_basic_block()
        after = builder.append_basic_block()
        builder.branch(inside)
        builder.position_at_end(inside)
        index = builder.phi(WORD)
        now = [builder.phi(value.type) for value in held]
        following = body(index, now)
        further = builder.add(index, number(step))
        end = builder.block
        for phi, first, later in zip((index, *now), (start, *held), (further, *following),
                                     strict=True):  # fmt: skip
            phi.add_incoming(first, before)
            phi.add_incoming(later, end)
        again = builder.cbranch(builder.icmp_signed("<", further, stop), inside, after)
        if full:
            again.set_metadata("llvm.loop", self._as_it_is())
        builder.position_at_end(after)
        return following

    def _as_it_is(self) -> Any:
        """What tells LLVM not to unroll a loop; the first part of such a node is the node."""
        how = self.module.add_metadata(["llvm.loop.unroll.disable"])
        node = ir.MDValue(self.module, [how], name=str(len(self.module.metadata)))
        node.operands = (node, how)
        return node

    def walk_if_any(self, start: Any, stop: Any, step: int, held: Sequence[Any],
                    body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:  # fmt: skip
        """A loop that may run not at all."""
        builder, before = self.builder, self.builder.block
        with builder.if_then(builder.icmp_signed("<", start, stop)):
            found = self.walk(start, stop, step, held, body)
            end = builder.block
        merged = []
        for first, later in zip(held, found, strict=True):
            phi = builder.phi(later.type)
            phi.add_incoming(first, before)
            phi.add_incoming(later, end)
            merged.append(phi)
        return merged


def number(value: int) -> ir.Constant:
    return ir.Constant(WORD, value)


def _columns(writer: _Writer, width: Any, wide: int) -> list[Any]:
    """The mask of each of `wide` vectors: none but for the last."""
    return [None] * (wide - 1) + [
        writer.mask(writer.builder.sub(width, number((wide - 1) * writer.lanes)))
    ]


def _block(writer: _Writer, high: int, wide: int, at: bool) -> None:
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


def _lines_block(writer: _Writer, high: int, wide: int) -> None:
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
    height_at: int, long: int, block: Callable[[_Writer, int, int], None]
) -> Callable[[_Writer], None]:
    def write(writer: _Writer) -> None:
        """Goes to the block for this height (the argument of this number) and width (the next):
        a single row may be `long` times as wide as others."""
        builder, function = writer.builder, writer.function
        height, width = function.args[height_at], function.args[height_at + 1]
        most = vectors()[1]
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


def _dots(writer: _Writer) -> None:
    """Goes to the block for this height."""
    builder, function = writer.builder, writer.function
    a, rows, b, k, c, ldc, height, more = function.args
    nowhere = function.append_basic_block()
    chosen = builder.switch(height, nowhere)
    builder.position_at_end(nowhere)
    builder.ret_void()
    for high in HEIGHTS:
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


def _copy(writer: _Writer) -> None:
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


def _copies(writer: _Writer) -> None:
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


def _halve(writer: _Writer) -> None:
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


def _gesv(writer: _Writer) -> None:
    a, b, words, address, n, k = writer.function.args
    builder = writer.builder
    size, right, status, pivots = (writer.at(words, index, WORD) for index in range(4))
    for value, place in ((n, size), (k, right), (number(0), status)):
        builder.store(value, place)
    places = [size, right, a, size, pivots, b, size, status]
    kind = ir.FunctionType(ir.VoidType(), [PLACE] * len(places))
    builder.call(builder.inttoptr(address, kind.as_pointer()), places)
    builder.ret_void()


def _transformed(writer: _Writer) -> None:
    a, b, words, n, m, step, other, factor, address, data = writer.function.args
    builder = writer.builder
    a, b = (builder.ptrtoint(place, WORD) for place in (a, b))
    held = builder.ptrtoint(writer.at(words, 11, WORD), WORD)
    none = number(0)
    for index, value in enumerate(
        (a, held, b, number(1), n, m, none, none, none, step, other, factor)
    ):
        builder.store(value, writer.at(words, index, WORD))
    places = [writer.at(words, index, WORD) for index in (0, 3, 6)]
    kind = ir.FunctionType(ir.VoidType(), [PLACE] * 4)
    function = builder.inttoptr(address, kind.as_pointer())
    builder.call(function, [*places, builder.inttoptr(data, PLACE)])
    builder.ret_void()


def _fetch(writer: _Writer) -> None:
    a, count = writer.function.args
    kinds = [PLACE, SHORT, SHORT, SHORT]
    prefetch = _declared(writer.module, ir.FunctionType(ir.VoidType(), kinds), "llvm.prefetch.p0")
    how = [ir.Constant(SHORT, flag) for flag in (0, 3, 1)]  # to read, into the first cache, data

    def ask(p: Any, held: list[Any]) -> list[Any]:
        writer.builder.call(prefetch, [writer.at(a, p), *how])
        return held

    writer.walk_if_any(number(0), count, 64 // writer.size, [], ask)
    writer.builder.ret_void()


def _turn(writer: _Writer) -> None:
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


_ADDRESS = "address"  # of a pair (pointer, index) of a word's arguments


def _word(name: str, shape: str, write: Callable[[_Writer], None]) -> Any:
    """The word `name`. `shape` has a letter for each of its arguments: `p` a pointer to
    floats and `q` one to words, each followed by an index in the text, `n` a number."""
    kinds = [WORD if letter == "n" else PLACE for letter in shape]

    def emit(element: ir.Type, builder: Any, *arguments: Any) -> None:
        given, passed = iter(arguments), []
        for letter in shape:
            value = next(given)
            if letter != "n":
                source = element if letter == "p" else WORD
                value = builder.gep(value, [next(given)], source_etype=source)
            passed.append(value)
        full = f"dualflow_{name}_{element}"
        writer = _Writer(builder.module, full, element, kinds)
        write(writer)
        builder.call(writer.function, passed)

    def made(first: Pointer, *others: Kind) -> Made:
        element = ir.FloatType() if first.dtype is float32 else ir.DoubleType()
        wanted = [kind if isinstance(kind, Pointer) else int64 for kind in (first, *others)]
        return Made(nothing, tuple(wanted), partial(emit, element))

    return Word(made, name, sum(1 if letter == "n" else 2 for letter in shape))


def panel(size: int) -> int:
    """Columns of a tile, of floats of so many bytes."""
    nbytes, count = vectors()
    return nbytes * count // size


#: What product texts call.
NAMESPACE: dict[str, Any] = {
    "tile": _word("tile", "pqnpnnpnnnn", _blocks(8, LONG, partial(_block, at=False))),
    "tile_at": _word("tile_at", "pqnpqnpnnnn", _blocks(8, LONG, partial(_block, at=True))),
    "lines_of": _word("lines_of", "ppnqnpnnn", _blocks(7, 1, _lines_block)),
    "dots": _word("dots", "pqpnpnnn", _dots),
    "copy": _word("copy", "ppn", _copy),
    "copies": _word("copies", "pnpnnn", _copies),
    "halve": _word("halve", "ppn", _halve),
    "gesv": _word("gesv", "ppqnnn", _gesv),
    "transformed": _word("transformed", "ppqnnnnnnn", _transformed),
    "fetch": _word("fetch", "pn", _fetch),
    "turn": _word("turn", "pnpnnn", _turn),
    "PANEL32": panel(4),
    "PANEL64": panel(8),
    "LANES32": vectors()[0] // 4,
    "LANES64": vectors()[0] // 8,
}
