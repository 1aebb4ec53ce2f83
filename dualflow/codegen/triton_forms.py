"""Program -> the Forms of its steps: products with what is computed before and behind them.

A product is a step of its own. Where a map alone reads it, or a short map alone makes what it
multiplies, one template computes all of them, if no memory is overwritten too early by that. Which
way is faster the runtime measures; `_pays` says which is taken unmeasured, or not worth trying.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from dualflow.base import config
from dualflow.base.dtypes import is_complex
from dualflow.base.records import record
from dualflow.ir.form import Form
from dualflow.ir.kernel import Access, Kernel, Let, Scalar, Store
from dualflow.ir.op import CATALOGUE, Kind
from dualflow.ir.program import Call, Launch, Operand, Program, Step
from dualflow.ir.types import View

from .triton_attention import attention_form
from .triton_groups import group_forms
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
from .triton_scans import scan_form
from .triton_touched import meets, overlap, touched

#: Operations of a map that is computed again for each tile of a product.
SHORT = 5
#: Operations a second that a product reaches, the part of its time that a template loses beside the
#: library, by the bytes of an element; and bytes that memory gives a second: guesses, of an H100.
RATE = {2: 6e14, 4: 5e13}
LOSS = {2: 0.1, 4: 0.3}
MEMORY = 3e12
#: A template that saves less of the product's time is not tried.
LITTLE = 0.02

Template = Callable[[int, Call], "Form | None"]
#: by the word that an op's record says for this backend's templates
TEMPLATES: dict[str, Template] = {"attention": attention_form}


def forms(program: Program) -> dict[int, Form]:
    """The forms of steps of `program` (not of the bodies of its loops), by the last step that each
    stands for; no step is part of two."""
    found: dict[int, Form] = {}
    taken: set[int] = set()
    for number, step in enumerate(program.steps):
        if not isinstance(step, Call) or step.exact:
            continue
        word = step.op.spelling.get("templates")
        if word is not None:
            form = TEMPLATES[word](number, step)
        elif step.op.kind is Kind.SCAN:
            form = scan_form(number, step)
        elif step.op.kind is Kind.CONTRACTION and len(step.operands) == 2:
            form = _Fusing(program, number, step, taken).form()
        else:
            form = None
        if form is not None:
            found[max(form.covers)] = form
            taken.update(form.covers)
    found |= {max(form.covers): form for form in group_forms(program, taken)}
    return found


class _Sizes(NamedTuple):
    z: int
    i: int
    j: int
    k: int


@record
class _Part:
    """Scalar code of a map, renamed so that the code of several maps can stand in one text.

    Attributes:
        operands: for each access of `code`, and then of `outs`.
        outs: what the map stores.
        numbers: of `scalars`.
    """

    code: Code
    outs: tuple[Access, ...]
    operands: tuple[Operand, ...]
    scalars: tuple[Scalar, ...]
    numbers: tuple[bool | int | float, ...]


class _Fusing:
    """One product, and what may be computed with it."""

    def __init__(self, program: Program, number: int, step: Call, taken: set[int]) -> None:
        self.steps, self.number, self.step, self.taken = program.steps, number, step, taken
        self.returned = [operand.buffer for operand in program.outputs]
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
        before = [self._side(left, (z, i, k), "l"), self._side(right, (z, k, j), "r")]
        if (
            behind is None
            and rows is None
            and not any(map_ for _, map_ in before if map_ is not None)
        ):
            return None
        covers = {self.number, last}
        sides: list[_Part] = []
        for plain, with_map in before:
            chosen = plain
            if with_map is not None and self._stays(with_map[0].operands, with_map[1], last):
                chosen = with_map[0]
                covers.add(with_map[1])
            if chosen is None or not self._stays(chosen.operands, self.number, last):
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

    def _behind(self, result: Operand) -> tuple[_Part | None, int]:
        """The map that reads the product first, and the number of its step."""
        z, i, j, _ = self.sizes
        for number in range(self.number + 1, len(self.steps)):
            read, _ = touched(self.steps[number])
            if meets([result.buffer], read):
                made = None if number in self.taken else _part(
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

    def _plain(self, result: Operand) -> _Part | None:
        """The product itself, stored."""
        z, i, j, _ = self.sizes
        out = _access("O", result, (z, i, j), "out")
        if out is None:
            return None
        return _Part(Code((), (), (PRODUCT,)), (out,), (result,), (), ())

    def _side(
        self, operand: Operand, shape: tuple[int, ...], prefix: str
    ) -> tuple[_Part | None, tuple[_Part, int] | None]:
        """What is multiplied: as it lies in memory, and with the map that alone makes it for this
        product, if there is one, and the number of its step."""
        access = _access(f"{prefix}a", operand, shape, "in")
        plain = None
        if access is not None:
            plain = _Part(Code.of(access), (), (operand,), (), ())
        for number in range(self.number - 1, -1, -1):
            step = self.steps[number]
            _, written = touched(step)
            if not meets([operand.buffer], written):
                continue
            if number in self.taken or self._is_read_elsewhere(operand, number):
                break
            made = _part(step, shape, prefix, operand)
            if made is not None and len(made.code.lets) <= SHORT and len(made.outs) == 1:
                return plain, (made, number)
            break
        return plain, None

    def _is_read_elsewhere(self, operand: Operand, number: int) -> bool:
        """Whether anything but the product reads what step `number` stored."""
        if operand.buffer.place != "arena" or meets([operand.buffer], self.returned):
            return True
        for other in range(number + 1, len(self.steps)):
            read, written = touched(self.steps[other])
            if other != self.number and meets([operand.buffer], read):
                return True
            if meets([operand.buffer], written):
                break
        return False

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

    def _stays(self, operands: Sequence[Operand], first: int, last: int) -> bool:
        """Whether nothing overwrites the operands from step `first` to step `last`, inclusive."""
        read = [operand.buffer for operand in operands]
        return not any(meets(read, touched(self.steps[number])[1])
                       for number in range(first, last + 1))  # fmt: skip

    # The form ------------------------------------------------------------------------------------

    def _made(
        self, sides: list[_Part], behind: _Part, kept: bool, covers: tuple[int, ...]
    ) -> Form | None:
        left, right = sides
        (result,) = self.step.results
        outs, values, stored = behind.outs, behind.code.values, list(behind.operands)
        if kept:
            out = _access("O", result, (self.sizes.z, self.sizes.i, self.sizes.j), "out")
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
        self, sides: list[_Part], rows: Rows, kept: bool, covers: tuple[int, ...]
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
            lambda aligned: rows_variants(product, text, integers, aligned),
            lambda chosen: rows_grid(integers, chosen), False, pays == "preferred", replaced,
        )  # fmt: skip

    def _integers(self, product: Product, operands: Sequence[Operand]) -> tuple[int, ...]:
        found = list(self.sizes)
        for (access, axes), operand in zip(product.accesses, operands, strict=True):
            shape = tuple(getattr(self.sizes, axis) for axis in axes)
            seen = _seen(operand, shape)
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


def _seen(operand: Operand, shape: tuple[int, ...]) -> View | None:
    """The operand as a tensor of that shape, if its strides allow it."""
    view = operand.view
    if prod(view.shape) != prod(shape):
        return None
    reshape = CATALOGUE["reshape"].view
    assert reshape is not None
    return reshape(view, shape=shape)


def _access(name: str, operand: Operand, shape: tuple[int, ...], mode: str) -> Access | None:
    """The operand over axes of these sizes; strides that a text should know stand in it."""
    seen = _seen(operand, shape)
    if seen is None:
        return None
    strides = tuple(0 if n == 1 else s if s in (0, 1) else "s"
                    for n, s in zip(seen.shape, seen.strides, strict=True))  # fmt: skip
    return Access(name, operand.dtype, mode, strides)  # type: ignore[arg-type]


def _part(step: Step, shape: tuple[int, ...], prefix: str, about: Operand) -> _Part | None:
    """The code of a map over `shape`, in which `about` is the product (prefix "e": it reads it) or
    what the map makes (else); None for other steps."""
    if not isinstance(step, Launch) or not _is_map(step.kernel):
        return None
    kernel, (stage,) = step.kernel, step.kernel.stages
    names = {scalar.name: f"{prefix}{scalar.name}" for scalar in kernel.scalars}
    names |= {let.name: f"{prefix}{let.name}" for let in stage.lets}
    accesses: dict[str, tuple[Access, Operand]] = {}
    wanted = _seen(about, shape)
    is_about = set()
    for access, operand in zip(kernel.accesses, step.operands, strict=True):
        made = _access(f"{prefix}{access.name}", operand, shape, access.mode)
        if made is None:
            return None
        accesses[access.name] = made, operand
        if overlap(operand.buffer, about.buffer):
            if _seen(operand, shape) != wanted or operand.dtype != about.dtype:
                return None
            is_about.add(access.name)
    stores = [sink for sink in stage.sinks if isinstance(sink, Store)]
    stored = {sink.access for sink in stores}
    if prefix != "e" and stored != is_about:
        return None
    lets, loaded = [], {}
    for let in stage.lets:
        if let.op == "load" and let.arguments[0] in is_about and prefix == "e":
            names[let.name] = PRODUCT
            continue
        arguments = let.arguments
        if let.op == "load":
            loaded[arguments[0]] = None
            arguments = (accesses[arguments[0]][0].name,)
        elif let.op != "constant":
            arguments = tuple(names[name] for name in arguments)
        lets.append(Let(names[let.name], let.op, arguments, let.dtype))
    code = Code(tuple(accesses[name][0] for name in loaded), tuple(lets),
                tuple(names[sink.value] for sink in stores))  # fmt: skip
    outs = tuple(accesses[sink.access][0] for sink in stores)
    operands = [accesses[name][1] for name in loaded]
    if prefix == "e":
        operands += [accesses[sink.access][1] for sink in stores]
    scalars = tuple(Scalar(names[scalar.name], scalar.dtype) for scalar in kernel.scalars)
    return _Part(code, outs, tuple(operands), scalars, step.scalars)


def _is_map(kernel: Kernel) -> bool:
    """Whether each point is computed for itself, of elements at this point alone."""
    if kernel.loops or kernel.totals or len(kernel.stages) != 1:
        return False
    (stage,) = kernel.stages
    return all(isinstance(sink, Store) for sink in stage.sinks) and not any(
        let.op in ("gather", "index") or (let.op == "load" and len(let.arguments) > 1)
        or is_complex(let.dtype)
        for let in stage.lets
    )  # fmt: skip
