"""What writes words of product texts: one LLVM function under construction, and the machine's
vectors.

Comes in: the compiler (this file imports llvmlite). Goes out: `Writer`; `word_of` makes a word of
what writes its function. Edges are masked, nothing outside is touched.
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


@lru_cache(maxsize=1)
def vectors() -> tuple[int, int]:
    """Bytes of this machine's vectors, and how many make the width of a tile: six rows of sums,
    one row of b and one element of a fit into its registers."""
    nbytes = vector_bytes()
    if nbytes > 16:
        return nbytes, nbytes // 16
    return nbytes, 4 if llvm.get_host_cpu_features().get("neon") else 2


def declared(module: ir.Module, kind: ir.FunctionType, name: str) -> Any:
    """The function of that name, declared once in a module."""
    return module.globals.get(name) or ir.Function(module, kind, name)


class Writer:
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
        self.zero = ir.Constant(self.vector, None)
        self.any = ir.Constant(self.vector, ir.Undefined)
        self.lane = ir.VectorType(SHORT, self.lanes)
        self.first = ir.Constant(self.lane, None)

    def at(self, place: Any, index: Any, kind: ir.Type | None = None) -> Any:
        """The address `index` elements on."""
        index = number(index) if isinstance(index, int) else index
        return self.builder.gep(place, [index], source_etype=kind or self.element)

    def word(self, place: Any, index: Any) -> Any:
        return self.builder.load(self.at(place, index, WORD), typ=WORD)

    def everywhere(self, value: Any) -> Any:
        """A vector of one element."""
        first = self.builder.insert_element(self.any, value, ir.Constant(SHORT, 0))
        return self.builder.shuffle_vector(first, self.any, self.first)

    def shuffled(self, x: Any, y: Any, lanes: list[int]) -> Any:
        return self.builder.shuffle_vector(x, y, ir.Constant(self.lane, lanes))

    def mask(self, count: Any) -> Any:
        """The first `count` lanes."""
        wide = ir.VectorType(WORD, self.lanes)
        nothing = ir.Constant(wide, ir.Undefined)
        first = self.builder.insert_element(nothing, count, ir.Constant(SHORT, 0))
        same = self.builder.shuffle_vector(first, nothing, self.first)
        return self.builder.icmp_signed("<", ir.Constant(wide, list(range(self.lanes))), same)

    def _named(self, what: str, result: ir.Type, kinds: Sequence[ir.Type], place: bool) -> Any:
        name = f"llvm.{what}.v{self.lanes}f{8 * self.size}" + (".p0" if place else "")
        return declared(self.module, ir.FunctionType(result, kinds), name)

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


def word_of(name: str, shape: str, write: Callable[[Writer], None]) -> Any:
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
        writer = Writer(builder.module, full, element, kinds)
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
