"""Calls that products of our own run: which texts, on which memory, with which numbers.

Comes in: a Call of a program. Goes out: a `Product`, or None where another form runs the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dualflow.ir.op import Kind
from dualflow.ir.program import Call, Chain, Loop, Operand, Program
from dualflow.ir.text import KernelText
from dualflow.ir.types import View

from . import scans, scatters, systems, transforms, windows
from .made import Product, batch_of, cost
from .texts import COPY, DEPTH, DIRECT, DOTS, GATHER, PACKED, TURN, WIDEST, finite, matmul, panels

_FLOATS = ("float32", "float64")
_TRANSFORMS = ("fft", "ifft", "rfft", "irfft")
#: up to so many rows of a result, moving the right matrix costs more than reading it as it lies
_FEW = 18
#: up to so many columns (or rows), scalar products beat tiles
_NARROW = 4
#: rows of a part of a narrow result; rows of the left matrix that are turned at once
_TALL, _TALLEST = 96, 384
#: elements of matrices of which the next ones are fetched while one is multiplied
_SMALL = 2048
#: columns of a part where what is done once for all of them is dear
_LONG = 1024


def texts_of(program: Program) -> dict[KernelText, None]:
    """The texts that products in `program` run, in loops too."""
    found: dict[KernelText, None] = {}
    for step in program.steps:
        if isinstance(step, Loop):
            found |= texts_of(step.body)
        elif isinstance(step, Chain):
            for part in step.steps:
                if isinstance(part, Call):
                    dtype = part.results[0].dtype
                    found |= {matmul(dtype): None, panels(dtype): None}
                    found |= {finite(dtype): None} if step.seen else {}
        elif isinstance(step, Call) and (made := product(step)) is not None:
            found[made.text] = None
    return found


def product(step: Call) -> Product | None:
    """How `step` runs as a product; None if it must be eager's implementation, or is none."""
    if step.op.scatter is not None:
        return scatters.product(step)
    if step.op.kind is Kind.SCAN:
        return scans.product(step)
    if not step.results[0].type.size or not all(operand.type.size for operand in step.operands):
        return None
    form = step.op.spelling.get("products")
    if form in _TRANSFORMS:
        return transforms.product(step)
    if step.results[0].dtype.name not in _FLOATS:
        return None
    if form is not None:
        return systems.product(step) if form == "solve" else windows.product(step)
    contracts = step.op.kind is Kind.CONTRACTION and len(step.operands) == 2
    return _matrices(step) if contracts and not step.exact else None


class _Sizes(NamedTuple):
    """Batches of products, c[i, j] = sum of a[i, p] b[p, j], and how the matrices lie."""

    number: int
    m: int
    n: int
    k: int
    a: tuple[int, int]
    b: tuple[int, int]
    c: tuple[int, int]
    following: tuple[int, ...]

    @property
    def is_turned(self) -> bool:
        """Whether the columns of the left matrix lie packed."""
        return self.a[0] == 1 and self.a[1] > 1

    def turned(self) -> _Sizes:
        """The same product of the transposed matrices, the right one first."""
        a, b, c = ((column, row) for row, column in (self.b, self.a, self.c))
        first, second, third = self.following
        return _Sizes(self.number, self.n, self.m, self.k, a, b, c, (second, first, third))


def _matrices(step: Call) -> Product | None:
    left, right = step.operands
    (result,) = step.results
    batch = batch_of(left.view, right.view, result.view)
    if batch is None:
        return None
    (m, k), n = left.view.shape[-2:], right.view.shape[-1]
    a, b, c = (_steps(operand.view) for operand in (left, right, result))
    return _multiplied(left, right, result, _Sizes(batch[0], m, n, k, a, b, c, batch[1]))


def _steps(view: View) -> tuple[int, int]:
    """The strides of the last two axes."""
    row, column = view.strides[-2:]
    return row, column


def _multiplied(a: Operand, b: Operand, c: Operand, s: _Sizes) -> Product | None:
    """The product of sizes `s` in the way that is fastest for them."""
    ways = [(_mode(s), a, b, s), (_mode(s.turned()), b, a, s.turned())]
    ways = [way for way in ways if way[0] == DOTS or way[3].c[1] == 1 or way[3].n == 1]
    if not ways:
        return None
    mode, a, b, s = min(ways, key=lambda way: _PREFERRED.index(way[0]))
    if not s.following[1] and s.following[0] == s.m * s.a[0] and s.following[2] == s.m * s.c[0]:
        s = s._replace(m=s.m * s.number, number=1)
    depth, tall, wide, left = min(s.k, DEPTH), s.m, WIDEST, 0
    if mode == DOTS or s.n <= WIDEST:
        tall = _TALL
    elif s.m == 1:  # long rows, a few at a time, are what the prefetcher follows
        depth, wide = min(s.k, _FEW), _LONG
    elif mode != DIRECT and s.is_turned:
        tall = _TALLEST
        left = min(s.m, tall) * depth
        wide = _LONG
    soon = s.number > 1 and max(s.m, s.k) * max(s.n, s.k) <= _SMALL
    units = s.number * -(-s.m // tall) * (1 if mode == DOTS else -(-s.n // wide))
    return _product((a, b, c), s, units, mode, depth, tall, wide, left, soon)


def _product(
    operands: tuple[Operand, Operand, Operand], s: _Sizes, units: int, mode: int, depth: int,
    tall: int, wide: int, left: int = 0, soon: bool = False,
) -> Product:  # fmt: skip
    """The text for products of sizes `s`, whose parts have `tall` rows and `wide` columns."""
    pack = s.k if mode == DOTS else 1 if mode in (DIRECT, PACKED) else depth * 2 * WIDEST
    integers = (0, units, s.m, s.n, s.k, *s.a, *s.b, *s.c, *s.following, mode, 0, depth, tall, wide,
                int(soon), pack, left, 12, EVERY, EVERY)  # fmt: skip
    dtype = operands[2].dtype
    return Product(matmul(dtype), operands, integers, cost(s.number * s.m * s.n * s.k, dtype))


#: Among the integers of a product of matrices: its rows, its columns, what is summed over, whether
#: it is added to what the result holds, and how many rows and columns then are, if what meets zeros
#: in the others is finite.
ROWS, COLUMNS, SUMMED, ADDS, ROWS_SEEN, COLUMNS_SEEN = 2, 3, 4, 15, 23, 24


#: More columns than there are.
EVERY = 1 << 62
#: To copy an element takes as long as so many multiplications.
COPYING = 8


def of_blocks(step: Call, rows: int, sums: bool) -> Product:
    """The product of one block of so many rows of the left matrix, or (`sums`) of both, over which
    it then sums. The matrices lie at their operands' strides; where is the caller's to say."""
    left, right = step.operands
    (result,) = step.results
    s = _block_sizes(step, rows, sums)
    mode, depth, tall, held = _mode(s), min(s.k, DEPTH), s.m, 0
    if mode != DOTS and s.is_turned:
        mode = COPY if mode == DIRECT else mode
        tall = min(s.m, _TALLEST)
        held = tall * depth
    return _product((left, right, result), s, -(-s.m // tall), mode, depth, tall, s.n, held)


def _block_sizes(step: Call, rows: int, sums: bool) -> _Sizes:
    left, right = step.operands
    (m, k), n = left.view.shape[-2:], right.view.shape[-1]
    m, k = (m, rows) if sums else (rows, k)
    a, b, c = (_steps(operand.view) for operand in (left, right, step.results[0]))
    return _Sizes(1, m, n, k, a, b, c, (0, 0, 0))


def packed(step: Call, rows: int, batches: Sequence[tuple[int, int]]) -> Packed | None:
    """The same product with its right matrices copied into panels before, once for all blocks;
    None if they are better read as they lie.

    Args:
        step: the product.
        rows: of a block.
        batches: of the right matrices, at most two axes: how many, and elements from one to the
            next.
    """
    (right, result), s = (step.operands[1], step.results[0]), _block_sizes(step, rows, False)
    mode = _mode(s)
    if mode in (DOTS, DIRECT) or len(batches) > 2:
        return None
    (outer, outer_step), (inner, inner_step) = [*[(1, 0)] * (2 - len(batches)), *batches]
    depth, apart = min(s.k, DEPTH), s.k * (s.n + WIDEST)
    count = outer * inner
    integers = (0, count * -(-s.k // depth), s.k, s.n, *s.b, inner, inner_step, outer_step, apart,
                mode, depth)  # fmt: skip
    work = cost(COPYING * count * apart, right.dtype)
    copies = Product(panels(right.dtype), (right,), integers, work)
    operands = step.operands[0], right, result
    made = _product(operands, s._replace(b=(s.k, s.n)), 1, PACKED, depth, s.m, s.n)
    test = (0, count, s.k, s.n, s.b[0], inner, inner_step, outer_step, EVERY, 1)
    tests = Product(finite(right.dtype), (right,), test, 0.0) if s.b[1] == 1 else None
    return Packed(made, copies, tests, count, apart)


class Packed(NamedTuple):
    """A product whose right matrices lie in panels, what copies them there, what tests whether they
    are finite, how many there are and the elements from one to the next."""

    product: Product
    copies: Product
    tests: Product | None
    matrices: int
    apart: int


_PREFERRED = (DOTS, DIRECT, COPY, TURN, GATHER)


def _mode(s: _Sizes) -> int:
    """How the right matrix is best read."""
    if s.a[1] == 1 and (s.n == 1 or (s.n <= _NARROW and s.b[0] == 1)):
        return DOTS
    if s.b[1] == 1 and s.n > 1:
        return DIRECT if s.m <= _FEW or (s.n <= WIDEST // 2 and s.b[0] == s.n) else COPY
    return TURN if s.b[0] == 1 else GATHER
