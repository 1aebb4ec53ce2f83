"""A product of matrices with what is computed before and behind it, as a Form.

Where a map alone reads the product, or a kernel over its rows does, or a short map alone makes what
it multiplies, one template computes all of them. Which way is faster the runtime measures; `_pays`
says which is taken unmeasured, or not worth trying. Comes in: a step of a Program.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from dualflow.base import config
from dualflow.ir.form import Form
from dualflow.ir.program import Call, Launch, Operand, Program

from .triton_parts import Part, Surroundings, access_of, part_of, seen_as
from .triton_products import (
    MULTIPLIED,
    PRODUCT,
    Code,
    Product,
    emit_product,
    product_grid,
    product_variants,
)
from .triton_rows import Rows, emit_product_of_rows, rows_grid, rows_of, rows_variants
from .triton_touched import meets, touched

#: Operations a second that a product reaches, the part of its time that a template loses beside the
#: library, by the bytes of an element; and bytes that memory gives a second: guesses, of an H100.
RATE = {2: 6e14, 4: 5e13}
LOSS = {2: 0.1, 4: 0.3}
MEMORY = 3e12
#: A template that saves less of the product's time is not tried.
LITTLE = 0.02


def product_form(program: Program, number: int, step: Call, taken: set[int]) -> Form | None:
    """The product with the maps around it; None where there are none, or nothing is gained."""
    return _Fusing(program, number, step, taken).form()


class _Sizes(NamedTuple):
    z: int
    i: int
    j: int
    k: int


class _Fusing(Surroundings):
    """One product, and what may be computed with it."""

    def __init__(self, program: Program, number: int, step: Call, taken: set[int]) -> None:
        super().__init__(program, number, taken)
        self.step = step
        left, right = step.operands
        (m, k), n = left.view.shape[-2:], right.view.shape[-1]
        self.sizes = _Sizes(prod(left.view.shape[:-2]), m, n, k)

    def form(self) -> Form | None:
        """The product with the maps around it; None where there are none, or nothing is gained."""
        (left, right), (result,) = self.step.operands, self.step.results
        z, i, j, k = self.sizes
        if left.dtype.name not in MULTIPLIED or not prod(self.sizes):
            return None
        behind, last = self._behind(result)
        rows = self._rows(result) if behind is None else None
        last = last if rows is None else rows[1]
        before = [self.side(left, (z, i, k), "l"), self.side(right, (z, k, j), "r")]
        if (
            behind is None
            and rows is None
            and not any(map_ for _, map_ in before if map_ is not None)
        ):
            return None
        covers = {self.number, last}
        sides: list[Part] = []
        for plain, with_map in before:
            chosen = plain
            if with_map is not None and self.stays(with_map[0].operands, with_map[1], last):
                chosen = with_map[0]
                covers.add(with_map[1])
            if chosen is None or not self.stays(chosen.operands, self.number, last):
                return None
            sides.append(chosen)
        if rows is not None:
            return self._of_rows(sides, rows[0], self._kept(result, last), tuple(sorted(covers)))
        if behind is None:
            behind = self._plain(result)
        if behind is None or len(covers) == 1:
            return None
        kept = last != self.number and self._kept(result, last)
        return self._made(sides, behind, kept, tuple(sorted(covers)))

    # What is around it ---------------------------------------------------------------------------

    def _behind(self, result: Operand) -> tuple[Part | None, int]:
        """The map that reads the product first, and the number of its step."""
        z, i, j, _ = self.sizes
        for number in range(self.number + 1, len(self.steps)):
            read, _ = touched(self.steps[number])
            if meets([result.buffer], read):
                made = None if number in self.taken else part_of(
                    self.steps[number], (z, i, j), "e", result)  # fmt: skip
                return (made, number) if made is not None else (None, self.number)
        return None, self.number

    def _rows(self, result: Operand) -> tuple[Rows, int] | None:
        """The kernel over rows that reads the product first, and the number of its step."""
        z, i, j, _ = self.sizes
        for number in range(self.number + 1, len(self.steps)):
            step = self.steps[number]
            if meets([result.buffer], touched(step)[0]):
                if z != 1 or number in self.taken or not isinstance(step, Launch):
                    return None
                found = rows_of(step, result, i, j)
                return None if found is None else (found, number)
        return None

    def _plain(self, result: Operand) -> Part | None:
        """The product itself, stored."""
        z, i, j, _ = self.sizes
        out = access_of("O", result, (z, i, j), "out")
        if out is None:
            return None
        return Part(Code((), (), (PRODUCT,)), (out,), (result,), (), ())

    def _kept(self, result: Operand, last: int) -> bool:
        """Whether the product is read after step `last`, or returned."""
        if meets([result.buffer], self.returned) or result.buffer.place != "arena":
            return True
        for number in range(last, len(self.steps)):
            read, written = touched(self.steps[number])
            if number > last and meets([result.buffer], read):
                return True
            if meets([result.buffer], written):
                break
        return False

    # The form ------------------------------------------------------------------------------------

    def _made(
        self, sides: list[Part], behind: Part, kept: bool, covers: tuple[int, ...]
    ) -> Form | None:
        left, right = sides
        (result,) = self.step.results
        outs, values, stored = behind.outs, behind.code.values, list(behind.operands)
        if kept:
            out = access_of("O", result, (self.sizes.z, self.sizes.i, self.sizes.j), "out")
            if out is None:
                return None
            outs, values, stored = (*outs, out), (*values, PRODUCT), [*stored, result]
        count = len(behind.code.accesses)
        inputs, written = stored[:count], stored[count:]
        product = Product(
            left.code, right.code, outs, Code(behind.code.accesses, behind.code.lets, values),
            result.dtype, (*left.scalars, *right.scalars, *behind.scalars),
            config.active().numerics == "fast",
        )  # fmt: skip
        operands = (*left.operands, *right.operands, *written, *inputs)
        sides_count = len(left.operands) + len(right.operands)
        if meets([o.buffer for o in operands[:sides_count]], [o.buffer for o in written]):
            return None
        saved = self._saved(covers, kept)
        pays = _pays(self.sizes, result.dtype, saved)
        try:
            text = emit_product(product)
        except NotImplementedError:  # an op of the maps has no spelling
            return None
        integers = self._integers(product, operands)
        replaced = tuple(sides_count + n for n, out in enumerate(written)
                         if meets([out.buffer], [o.buffer for o in inputs]))  # fmt: skip
        return (pays and Form(
            "product with the maps around it", covers, text, operands,
            (*left.numbers, *right.numbers, *behind.numbers), integers,
            lambda aligned: product_variants(product, integers, aligned),
            lambda chosen: product_grid(integers, chosen), False, pays == "preferred", replaced,
        )) or None  # fmt: skip

    def _of_rows(
        self, sides: list[Part], rows: Rows, kept: bool, covers: tuple[int, ...]
    ) -> Form | None:
        """The product and the kernel over its rows in one launch."""
        left, right = sides
        (result,), step = self.step.results, self.steps[covers[-1]]
        assert isinstance(step, Launch)
        plain = self._plain(result)
        if plain is None:
            return None
        outs, written = (plain.outs, [result]) if kept else ((), [])
        product = Product(
            left.code, right.code, outs, Code((), (), (PRODUCT,) * kept), result.dtype,
            (*left.scalars, *right.scalars), config.active().numerics == "fast",
        )  # fmt: skip
        pairs = list(zip(rows.kernel.accesses, step.operands, strict=True))
        stored = [operand.buffer for access, operand in pairs if access.mode != "in"]
        pairs = [(access, operand) for access, operand in pairs if access.name != rows.held]
        operands = (*left.operands, *right.operands, *written)
        saved = self._saved(covers, kept)
        pays = _pays(self.sizes, result.dtype, saved)
        if not pays or meets([operand.buffer for operand in operands], stored):
            return None
        try:
            text = emit_product_of_rows(product, rows)
        except NotImplementedError:  # an op of the rows has no spelling
            return None
        integers = (*self._integers(product, operands), *step.integers)
        replaced = tuple(len(operands) + n for n, (access, _) in enumerate(pairs)
                         if access.mode == "inout")  # fmt: skip
        return Form(
            "product with what is computed of its rows", covers, text,
            (*operands, *(operand for _, operand in pairs)),
            (*left.numbers, *right.numbers, *step.scalars), integers,
            lambda aligned: rows_variants(product, rows.kernel, text, integers, aligned),
            lambda chosen: rows_grid(integers, chosen), False, pays == "preferred", replaced,
        )  # fmt: skip

    def _integers(self, product: Product, operands: Sequence[Operand]) -> tuple[int, ...]:
        found = list(self.sizes)
        for (access, axes), operand in zip(product.accesses, operands, strict=True):
            shape = tuple(getattr(self.sizes, axis) for axis in axes)
            seen = seen_as(operand, shape)
            assert seen is not None
            found += [stride for stride, step in zip(seen.strides, access.strides, strict=True)
                      if step == "s"]  # fmt: skip
        return tuple(found)

    def _saved(self, covers: Sequence[int], kept: bool) -> int:
        """Bytes that are neither written nor read again by the form."""
        (result,) = self.step.results
        found = (1 if kept else 2) * result.type.nbytes if max(covers) > self.number else 0
        for operand, number in zip(self.step.operands, self._makers(covers), strict=True):
            found += 2 * operand.type.nbytes if number is not None else 0
        return found

    def _makers(self, covers: Sequence[int]) -> list[int | None]:
        """For each side of the product, the covered step that makes it."""
        return [
            next((n for n in covers if n < self.number
                  and meets([operand.buffer], touched(self.steps[n])[1])), None)
            for operand in self.step.operands
        ]  # fmt: skip


def _pays(sizes: _Sizes, dtype: np.dtype, saved: int) -> str:
    """Whether a template wins by rule ("preferred"), may win ("tried"), or cannot ("")."""
    took, loss = 2.0 * prod(sizes) / RATE[dtype.itemsize], LOSS[dtype.itemsize]
    less = saved / MEMORY
    return "preferred" if less > loss * took else "tried" if less > LITTLE * took else ""
