"""Where the operands of a program lie on a GPU: a base and an offset in bytes.

    bases = inputs, output buffers, arena

Comes in: a Program. Goes out: places of operands, and CuPy's views of them for library calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dualflow.ir.program import Operand, Program

from .memory import empty, view

#: Bytes that a wide access needs an address to be a multiple of.
WIDE = 16


#: What parts of an arena are aligned to, as CuPy's memory is.
PAGE = 512


class Memory(NamedTuple):
    """The bases of a program, for those who let some of them lie elsewhere.

    Attributes:
        inputs: how many of the bases are inputs.
        replaced: the inputs that are written.
        whole: whether all steps run on it at once, so that nothing of the outputs is there before.
    """

    inputs: int
    replaced: frozenset[int]
    whole: bool = True


class Places:
    """The memory of one program.

    Attributes:
        memory: which of the bases are written.
        buffers: shape and dtype of each output buffer to allocate: those of the output itself where
            it is packed.
        arena: bytes of all intermediates; `arena_base`: the number of their base.
    """

    def __init__(self, program: Program) -> None:
        assert not program.constants, "programs take their constants as inputs"
        self.program, self.arena = program, program.arena
        found: dict[int, tuple[tuple[int, ...], np.dtype]] = {}
        for operand in program.outputs:
            if operand.buffer.place == "output":
                whole = operand.view.is_contiguous and not operand.view.offset
                found.setdefault(
                    operand.buffer.index,
                    (operand.view.shape, operand.dtype) if whole
                    else ((operand.buffer.nbytes,), np.dtype("uint8")),
                )  # fmt: skip
        self._slots = {index: slot for slot, index in enumerate(sorted(found))}
        self.buffers = [found[index] for index in sorted(found)]
        self._first_buffer = len(program.inputs)
        self.arena_base = self._first_buffer + len(self.buffers)
        self._given = [self._given_by(operand) for operand in program.outputs]
        replaced = [o.buffer.index for o in program.outputs if o.buffer.place == "input"]
        self.memory = Memory(len(program.inputs), frozenset(replaced))

    def bases(self, operands: Iterable[Operand]) -> set[int]:
        """The numbers of the bases in which operands lie."""
        return {self.place(operand)[0] for operand in operands}

    def reserved(self, nbytes: int) -> int:
        """The offset of so many more bytes at the end of the arena."""
        start = -(-self.arena // PAGE) * PAGE
        self.arena = start + nbytes
        return start

    def _given_by(self, operand: Operand) -> int:
        """The number of the output buffer that is the operand as it is; -1 where it is a view."""
        if operand.buffer.place != "output":
            return -1
        slot = self._slots[operand.buffer.index]
        whole = operand.view.is_contiguous and not operand.view.offset
        return slot if whole and self.buffers[slot] == (operand.view.shape, operand.dtype) else -1

    def place(self, operand: Operand) -> tuple[int, int]:
        """The number of the base, and the offset of the operand's first element."""
        buffer = operand.buffer
        offset = operand.view.offset * operand.dtype.itemsize
        if buffer.place == "input":
            given = self.program.inputs[buffer.index]
            return buffer.index, offset - given.view.offset * given.dtype.itemsize
        if buffer.place == "output":
            return self._first_buffer + self._slots[buffer.index], offset
        return self.arena_base, buffer.index + offset

    def array(self, operand: Operand, bases: Sequence[Any]) -> Any:
        """The operand as an array, on the memory of a call."""
        if 0 in operand.view.shape:
            return empty(operand.view.shape, operand.dtype)
        base, offset = self.place(operand)
        seen = operand.view
        return view(bases[base], offset, seen.shape, operand.dtype, seen.strides)

    def outputs(self, arrays: Sequence[Any], buffers: Sequence[Any]) -> list[Any]:
        """The program's outputs, when it has run."""
        return [
            buffers[slot] if slot >= 0 else self.array(operand, [*arrays, *buffers])
            for slot, operand in zip(self._given, self.program.outputs, strict=True)
        ]
