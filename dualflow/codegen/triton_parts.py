"""What stands around a step of a program: maps that one launch computes with it.

Where a short map alone makes what a template reads, the template computes it, if no memory is
overwritten too early by that. Comes in: a Program and a step. Goes out: `Part`s: scalar code over
the axes of the template, with its operands.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from dualflow.base.dtypes import is_complex
from dualflow.base.records import record
from dualflow.ir.kernel import Access, Kernel, Let, Scalar, Store
from dualflow.ir.op import CATALOGUE
from dualflow.ir.program import Launch, Operand, Program, Step
from dualflow.ir.types import View

from .triton_products import PRODUCT, Code
from .triton_touched import meets, overlap, touched

#: Operations of a map that is computed again for each tile of a template.
SHORT = 5


@record
class Part:
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


class Surroundings:
    """The steps of a program around the step `number`; those `taken` are part of another form."""

    def __init__(self, program: Program, number: int, taken: set[int]) -> None:
        self.steps, self.number, self.taken = program.steps, number, taken
        self.returned = [operand.buffer for operand in program.outputs]

    def side(
        self, operand: Operand, shape: tuple[int, ...], prefix: str
    ) -> tuple[Part | None, tuple[Part, int] | None]:
        """What the step reads: as it lies in memory, and with the map that alone makes it for this
        step, if there is one, and the number of its step."""
        access = access_of(f"{prefix}a", operand, shape, "in")
        plain = None
        if access is not None:
            plain = Part(Code.of(access), (), (operand,), (), ())
        for number in range(self.number - 1, -1, -1):
            step = self.steps[number]
            _, written = touched(step)
            if not meets([operand.buffer], written):
                continue
            if number in self.taken or self._is_read_elsewhere(operand, number):
                break
            made = part_of(step, shape, prefix, operand)
            if made is not None and len(made.code.lets) <= SHORT and len(made.outs) == 1:
                return plain, (made, number)
            break
        return plain, None

    def _is_read_elsewhere(self, operand: Operand, number: int) -> bool:
        """Whether anything but the step reads what step `number` stored."""
        if operand.buffer.place != "arena" or meets([operand.buffer], self.returned):
            return True
        for other in range(number + 1, len(self.steps)):
            read, written = touched(self.steps[other])
            if other != self.number and meets([operand.buffer], read):
                return True
            if meets([operand.buffer], written):
                break
        return False

    def stays(self, operands: Sequence[Operand], first: int, last: int) -> bool:
        """Whether nothing overwrites the operands from step `first` to step `last`, inclusive."""
        read = [operand.buffer for operand in operands]
        return not any(meets(read, touched(self.steps[number])[1])
                       for number in range(first, last + 1))  # fmt: skip


def seen_as(operand: Operand, shape: tuple[int, ...]) -> View | None:
    """The operand as a tensor of that shape, if its strides allow it."""
    view = operand.view
    if prod(view.shape) != prod(shape):
        return None
    reshape = CATALOGUE["reshape"].view
    assert reshape is not None
    return reshape(view, shape=shape)


def access_of(name: str, operand: Operand, shape: tuple[int, ...], mode: str) -> Access | None:
    """The operand over axes of these sizes; strides that a text should know stand in it."""
    seen = seen_as(operand, shape)
    if seen is None:
        return None
    strides = tuple(0 if n == 1 else s if s in (0, 1) else "s"
                    for n, s in zip(seen.shape, seen.strides, strict=True))  # fmt: skip
    return Access(name, operand.dtype, mode, strides)  # type: ignore[arg-type]


def part_of(step: Step, shape: tuple[int, ...], prefix: str, about: Operand) -> Part | None:
    """The code of a map over `shape`, in which `about` is the product (prefix "e": it reads it) or
    what the map makes (else); None for other steps."""
    if not isinstance(step, Launch) or not _is_map(step.kernel):
        return None
    kernel, (stage,) = step.kernel, step.kernel.stages
    names = {scalar.name: f"{prefix}{scalar.name}" for scalar in kernel.scalars}
    names |= {let.name: f"{prefix}{let.name}" for let in stage.lets}
    accesses: dict[str, tuple[Access, Operand]] = {}
    wanted = seen_as(about, shape)
    is_about = set()
    for access, operand in zip(kernel.accesses, step.operands, strict=True):
        made = access_of(f"{prefix}{access.name}", operand, shape, access.mode)
        if made is None:
            return None
        accesses[access.name] = made, operand
        if overlap(operand.buffer, about.buffer):
            if seen_as(operand, shape) != wanted or operand.dtype != about.dtype:
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
    return Part(code, outs, tuple(operands), scalars, step.scalars)


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
