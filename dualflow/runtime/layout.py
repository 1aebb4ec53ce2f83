"""Where the operands of a program lie, as the dispatcher counts: a base and an offset in bytes.

    bases = 0, status, inputs, output buffers, arena (with the kernels' scratch at its end)

Comes in: a Program and the texts of its kernels. Goes out: places of operands, and the NumPy views
of them for steps that Python runs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from math import prod
from typing import Any

import numpy as np

from dualflow.ir.kernel import Kernel
from dualflow.ir.program import Call, Chain, Launch, Loop, Operand, Program, Step, touched
from dualflow.ir.text import KernelText
from dualflow.ir.types import View

from .chains import Blocks, blocks, scratch_bytes, scratch_sizes
from .division import Division, divide, divide_product
from .memory import aligned
from .native import FIRST_ARRAY, NUMBER, STATUS, Argument
from .products import Product, product

Arrays = Sequence[np.ndarray]
#: by which an arena knows the views of it; a number for each, in all layouts
_keys = count()
#: From the inputs, the output buffers and the arena of a call, an operand as an ndarray.
Reader = Callable[[Arrays, Arrays, Any], np.ndarray]


def scalar_word(value: bool | int | float, dtype: np.dtype) -> int:
    """The bits of `value` as `dtype`, in the low end of a word."""
    bits = np.asarray(value, dtype).reshape(1).view(f"u{dtype.itemsize}")
    return int(bits[0])


class Layout:
    """The memory of one program.

    Attributes:
        arrays: how many arrays a native stretch takes.
        buffers: shape and dtype of each output buffer to allocate.
        returns_buffers: whether the outputs are the buffers, one by one.
        arena: bytes of the arena, scratch included.
        traffic: bytes of all operands of all steps.
        products: for each step, the product that it is, or how its blocks run, if it is one.
        divisions: for each step, how it is divided over threads, if it is.
    """

    def __init__(self, program: Program, texts: Mapping[Kernel, KernelText]) -> None:
        self.program = program
        self.constants = [np.ascontiguousarray(array) for array in program.constants]
        self.buffers, self.returns_buffers = self._output_buffers()
        self._scratch_at = aligned(program.arena)
        self.products = [_product(step, texts) for step in program.steps]
        self.divisions = list(map(_division, program.steps, self.products))
        works = zip(program.steps, self.products, self.divisions, strict=True)
        scratch = max((_scratch(*work, texts) for work in works), default=0)
        self.arena = self._scratch_at + scratch if scratch or program.arena else 0
        self._first_buffer = FIRST_ARRAY + len(program.inputs)
        self._arena_base = self._first_buffer + len(self.buffers)
        self.arrays = len(program.inputs) + len(self.buffers) + (1 if self.arena else 0)
        self.traffic = traffic(program)

    def _output_buffers(self) -> tuple[list[tuple[tuple[int, ...], np.dtype]], bool]:
        found: dict[int, tuple[tuple[int, ...], np.dtype]] = {}
        plain = True
        for n, operand in enumerate(self.program.outputs):
            buffer, view = operand.buffer, operand.view
            if buffer.place != "output":
                plain = False
                continue
            fills = view.is_contiguous and not view.offset and buffer.index not in found
            if fills and operand.type.nbytes == buffer.nbytes:
                found[buffer.index] = (view.shape, operand.dtype)
                plain &= buffer.index == n
            else:
                plain = False
                found.setdefault(buffer.index, ((buffer.nbytes,), np.dtype("uint8")))
        self._slots = {index: slot for slot, index in enumerate(sorted(found))}
        return [found[index] for index in sorted(found)], plain

    def place(self, operand: Operand) -> Argument:
        """Base and offset of the operand's first element."""
        buffer = operand.buffer
        offset = operand.view.offset * operand.dtype.itemsize
        if buffer.place == "input":
            given = self.program.inputs[buffer.index]
            offset -= given.view.offset * given.dtype.itemsize
            return FIRST_ARRAY + buffer.index, offset
        if buffer.place == "output":
            return self._first_buffer + self._slots[buffer.index], offset
        if buffer.place == "arena":
            return self._arena_base, buffer.index + offset
        return NUMBER, self.constants[buffer.index].ctypes.data + offset

    def scratch(self, text: KernelText, launch: Launch | Product) -> list[Argument]:
        """Where a kernel's scratch lies: launches run one after the other and share it."""
        found, at = [], self._scratch_at
        for size in scratch_sizes(text, launch.integers):
            found.append((self._arena_base, at))
            at += size
        return found

    def words(self, found: Product) -> list[Argument]:
        """The words of a product's table, in the order of its text."""
        words = [self.place(operand) for operand in found.operands]
        if found.tables is not None:
            words.append((NUMBER, found.tables.ctypes.data))
        if found.status:
            words.append((STATUS, 0))
        words += self.scratch(found.text, found)
        return words + [(NUMBER, integer) for integer in found.integers]

    def scratch_place(self) -> Argument:
        """Where scratch begins: the body of a loop has its arena there."""
        return self._arena_base, self._scratch_at

    def owners(self) -> tuple[tuple[str, int], ...] | None:
        """For each output the buffer ("output") or the input that it is; None where one is a part
        of it, or a constant."""
        found: list[tuple[str, int]] = []
        for operand in self.program.outputs:
            place, index, view = operand.buffer.place, operand.buffer.index, operand.view
            if place == "output":
                index = self._slots[index]
                whole = view.is_contiguous and self.buffers[index] == (view.shape, operand.dtype)
            else:
                whole = place == "input" and self.program.inputs[index].view == view
            if not whole:
                return None
            found.append((place, index))
        return tuple(found)

    # NumPy views, for steps that Python runs and outputs that are no buffer of their own.

    def view(self, operand: Operand) -> Reader:
        """What gives the operand as an ndarray, from the memory of a call."""
        buffer = operand.buffer
        if operand.type.size == 0 and buffer.place == "arena":  # which may be no memory at all
            nothing = np.empty(operand.view.shape, operand.dtype)
            return lambda arrays, buffers, arena: nothing
        if buffer.place == "arena":
            key = next(_keys)
            return lambda arrays, buffers, arena: (
                arena.views[key] if key in arena.views else arena.view(key, operand)
            )
        if buffer.place == "constant":
            constant = strided(self.constants[buffer.index], 0, operand.dtype, operand.view)
            return lambda arrays, buffers, arena: constant
        if buffer.place == "output":
            return self._view_of_buffer(self._slots[buffer.index], operand)
        index, given = buffer.index, self.program.inputs[buffer.index]
        if given.view == operand.view and given.dtype == operand.dtype:
            return lambda arrays, buffers, arena: arrays[index]
        start = -given.view.offset * given.dtype.itemsize
        dtype, view = operand.dtype, operand.view
        if given.view.is_contiguous and operand.type.size:
            part = _part(start, dtype, view)
            return lambda arrays, buffers, arena: part(arrays[index])
        return lambda arrays, buffers, arena: strided(arrays[index], start, dtype, view)

    def _view_of_buffer(self, slot: int, operand: Operand) -> Reader:
        shape, dtype = self.buffers[slot]
        if (
            not operand.view.is_contiguous
            or dtype != operand.dtype
            or (prod(shape) != operand.type.size)
        ):
            if operand.type.size:
                part = _part(0, operand.dtype, operand.view)
                return lambda arrays, buffers, arena: part(buffers[slot])
            seen = operand.dtype, operand.view
            return lambda arrays, buffers, arena: strided(buffers[slot], 0, *seen)
        if shape == operand.view.shape:
            return lambda arrays, buffers, arena: buffers[slot]
        wanted = operand.view.shape
        return lambda arrays, buffers, arena: buffers[slot].reshape(wanted)

    def outputs(self) -> Callable[[Arrays, Arrays], list[np.ndarray]]:
        """What gives the program's outputs, where they are not simply the buffers."""
        readers = [
            (self.view(operand), operand.buffer.place == "constant")
            for operand in self.program.outputs
        ]

        def read(arrays: Arrays, buffers: Arrays) -> list[np.ndarray]:
            found = [(reader(arrays, buffers, None), copy) for reader, copy in readers]
            return [array.copy() if copy else array for array, copy in found]

        return read


def traffic(program: Program) -> int:
    """Bytes of all operands of all steps."""
    return sum(
        step.count * traffic(step.body)
        if isinstance(step, Loop)
        else sum(operand.type.nbytes for operand in touched(step))
        for step in program.steps
    )


def strided(base: np.ndarray, start: int, dtype: np.dtype, view: View) -> np.ndarray:
    """What `view` shows of the memory of `base`, which begins `start` bytes after its zero."""
    itemsize = dtype.itemsize
    if 0 in view.shape:
        return np.empty(view.shape, dtype)
    low, high = (edge * itemsize for edge in view.extent)
    address = base.__array_interface__["data"][0] + start
    window = _window(base, address + low, high - low)
    strides = tuple(stride * itemsize for stride in view.strides)
    offset = view.offset * itemsize - low
    return np.ndarray(view.shape, dtype, window, offset, strides)


def _part(start: int, dtype: np.dtype, view: View) -> Callable[[np.ndarray], np.ndarray]:
    """What shows `view` of packed arrays that begin `start` bytes after its zero."""
    shape, offset = view.shape, view.offset * dtype.itemsize + start
    strides = tuple(stride * dtype.itemsize for stride in view.strides)
    return lambda array: np.ndarray(shape, dtype, array, offset, strides)


def _window(base: np.ndarray, address: int, nbytes: int) -> Any:
    """Bytes of the memory of `base`, as something that np.ndarray takes as a buffer."""
    memory: Any = (ctypes.c_char * nbytes).from_address(address)
    memory.base = base  # keeps the memory alive
    return memory


def _product(step: Step, texts: Mapping[Kernel, KernelText]) -> Product | Blocks | None:
    if isinstance(step, Chain):
        return blocks(step, texts)
    return product(step) if isinstance(step, Call) else None


def _division(step: Step, found: Product | Blocks | None) -> Division | None:
    if isinstance(step, Launch):
        return divide(step)
    if isinstance(found, Blocks):
        return found.division
    return divide_product(found) if found is not None else None


def _scratch(
    step: Step,
    found: Product | Blocks | None,
    division: Division | None,
    texts: Mapping[Kernel, KernelText],
) -> int:
    """Bytes that a step needs for itself: the scratch of a kernel, for each thread that may run
    it; the arena of a body."""
    if isinstance(step, Loop):
        return Layout(step.body, texts).arena
    shares = division.threads if division else 1
    if isinstance(step, Launch):
        return scratch_bytes(texts[step.kernel], step.integers) * shares
    if isinstance(found, Blocks):
        return found.panels + found.scratch * shares
    return scratch_bytes(found.text, found.integers) * shares if found is not None else 0
