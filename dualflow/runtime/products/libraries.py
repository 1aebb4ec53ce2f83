"""Words that call libraries by the address of a function: LAPACK's solver, NumPy's loops.

Comes in: a Writer of the function. Goes out: its body; see `tiles` for what each word does.
"""

from __future__ import annotations

from llvmlite import ir

from .writer import PLACE, WORD, Writer, number


def gesv(writer: Writer) -> None:
    a, b, words, address, n, k = writer.function.args
    builder = writer.builder
    size, right, status, pivots = (writer.at(words, index, WORD) for index in range(4))
    for value, place in ((n, size), (k, right), (number(0), status)):
        builder.store(value, place)
    places = [size, right, a, size, pivots, b, size, status]
    kind = ir.FunctionType(ir.VoidType(), [PLACE] * len(places))
    builder.call(builder.inttoptr(address, kind.as_pointer()), places)
    builder.ret_void()


def transformed(writer: Writer) -> None:
    a, b, words, n, m, lines, after, next_, step, other, factor, address, data = (
        writer.function.args
    )
    builder = writer.builder
    a, b = (builder.ptrtoint(place, WORD) for place in (a, b))
    after, next_ = (builder.mul(apart, number(writer.size)) for apart in (after, next_))
    held = builder.ptrtoint(writer.at(words, 11, WORD), WORD)
    none = number(0)
    for index, value in enumerate(
        (a, held, b, lines, n, m, after, none, next_, step, other, factor)
    ):
        builder.store(value, writer.at(words, index, WORD))
    places = [writer.at(words, index, WORD) for index in (0, 3, 6)]
    kind = ir.FunctionType(ir.VoidType(), [PLACE] * 4)
    function = builder.inttoptr(address, kind.as_pointer())
    builder.call(function, [*places, builder.inttoptr(data, PLACE)])
    builder.ret_void()
