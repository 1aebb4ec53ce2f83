"""Runs Programs and Kernels with NumPy: what they mean, with no code generated.

Every Let is one NumPy call on arrays with an axis for each axis of the kernel, so an error here or
there is a fault of `schedule/`, not of a backend. Memory is poisoned and checked: a store may write
no place twice, and no load may leave its buffer.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from dualflow.base.records import replaced
from dualflow.ir.kernel import Fold, Keep, Kernel, Let, Stage, Store, Total
from dualflow.ir.op import CATALOGUE, Kind
from dualflow.ir.program import Call, Chain, Launch, Loop, Operand, Program


class Memory:
    """The buffers of one run; each is a flat array of bytes. The body of a loop is given its."""

    def __init__(self, program: Program, arrays: Sequence[np.ndarray] | None = None) -> None:
        self.places: dict[tuple[str, int], np.ndarray] = {}
        self.program = program
        self.arena = np.full(program.arena + 8, 0xA5, np.uint8)
        if arrays is None:
            return
        for i, (operand, array) in enumerate(zip(program.inputs, arrays, strict=True)):
            self.places["input", i] = laid_out(array, operand)
        for i, constant in enumerate(program.constants):
            self.places["constant", i] = np.ascontiguousarray(constant).reshape(-1).view(np.uint8)
        for operand in program.outputs:
            if operand.buffer.place == "output":
                key = ("output", operand.buffer.index)
                assert key not in self.places, "two outputs share a buffer"
                self.places[key] = np.full(operand.type.nbytes, 0x5A, np.uint8)

    def flat(self, operand: Operand, dtype: np.dtype | None = None) -> np.ndarray:
        """The buffer as a flat array of the operand's dtype."""
        buffer = operand.buffer
        if buffer.place == "arena":
            assert buffer.index % 64 == 0, "not aligned"
            assert buffer.index + buffer.nbytes <= self.program.arena, "outside the arena"
            raw = self.arena[buffer.index : buffer.index + buffer.nbytes]
        else:
            raw = self.places[buffer.place, buffer.index]
        return raw.view(dtype or operand.dtype)

    def array(self, operand: Operand) -> np.ndarray:
        """The operand as an array, its own memory."""
        view = operand.view
        flat = self.flat(operand)
        low, high = view.extent
        assert low >= 0, "a view leaves its buffer"
        assert high <= max(flat.size, low), "a view leaves its buffer"
        return np.lib.stride_tricks.as_strided(
            flat[view.offset :], view.shape, [s * flat.itemsize for s in view.strides]
        )


def laid_out(array: np.ndarray, operand: Operand) -> np.ndarray:
    """A buffer in which `array` lies as the operand's view says."""
    assert array.shape == operand.view.shape
    assert array.dtype == operand.dtype
    low, high = operand.view.extent
    assert low >= 0
    flat = np.full(high * array.itemsize, 0x77, np.uint8).view(array.dtype)
    if array.size:
        index = np.full(array.shape, operand.view.offset)
        for axis, stride in enumerate(operand.view.strides):
            shape = [1] * array.ndim
            shape[axis] = -1
            index = index + np.arange(array.shape[axis]).reshape(shape) * stride
        flat[index] = array
    return flat.view(np.uint8)


def run(program: Program, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The outputs of the program.

    Raises:
        the program's own errors, when a check fails.
    """
    memory = Memory(program, arrays)
    before = {k: v.copy() for k, v in memory.places.items() if k[0] in ("input", "constant")}
    status = run_steps(memory)
    if status:
        error, message = program.errors[status - 1]
        raise error(message)
    for operand in program.outputs:  # an output may have taken the memory of an input
        before.pop((operand.buffer.place, operand.buffer.index), None)
    for key, value in before.items():
        assert np.array_equal(value, memory.places[key]), f"{key} was overwritten"
    return tuple(memory.array(operand).copy() for operand in program.outputs)


def run_steps(memory: Memory) -> int:
    """All steps; the status of the first that sets one."""
    status = 0
    for step in memory.program.steps:
        if isinstance(step, Call):
            call(step, memory)
        elif isinstance(step, Loop):
            status = status or loop(step, memory)
        elif isinstance(step, Chain):
            status = status or run_chain(step, memory)
        else:
            status = status or KernelRun(step, memory).run()
    return status


def run_chain(step: Chain, memory: Memory) -> int:
    """Run a chain with all rows at once: what a block holds is then all of them."""
    count = int(np.prod(step.rows))
    for i, nbytes in enumerate(step.held):
        memory.places["block", i] = np.full(count * nbytes, 0xA5, np.uint8)
    status = 0
    for part in step.steps:
        if isinstance(part, Call):
            call(part, memory)
        else:
            status = status or KernelRun(part, memory).run()
    return status


def loop(step: Loop, memory: Memory) -> int:
    """Run a loop: its body has the memory around as its inputs and outputs, and a fresh arena."""
    for source, target in step.copies:
        memory.array(target)[...] = memory.array(source)
    inputs = len(step.body.inputs)
    names = [("input", i) for i in range(inputs)]
    names += [("output", i) for i in range(len(step.places) - inputs)]
    raws = [memory.flat(place, np.dtype(np.uint8)) for place in step.places]
    starts = [place.view.offset * place.dtype.itemsize for place in step.places]
    for k in range(step.count):
        body = Memory(seen_from(step.body, dict(zip(names, starts, strict=True))))
        body.places = dict(zip(names, raws, strict=True))
        body.array(body.program.inputs[0])[...] = k
        status = run_steps(body)
        if status:
            return status
        raws = [raws[place] for place in step.following]
        starts = [starts[place] + move
                  for place, move in zip(step.following, step.moves, strict=True)]  # fmt: skip
    return 0


def seen_from(part: Any, starts: dict[tuple[str, int], int]) -> Any:
    """A program, in which inputs and outputs lie so many bytes further on in their memory."""
    if isinstance(part, Operand):
        start = starts.get((part.buffer.place, part.buffer.index), 0) // part.dtype.itemsize
        return replaced(part, view=part.view._replace(offset=part.view.offset + start))
    if type(part) is tuple:
        return tuple(seen_from(inner, starts) for inner in part)
    if isinstance(part, (Program, Launch, Call, Chain)):
        made = {name: seen_from(getattr(part, name), starts) for name in part.__match_args__}
        return type(part)(**made)
    if isinstance(part, Loop):  # its body sees its places
        made = {name: seen_from(getattr(part, name), starts) for name in part.__match_args__}
        return replaced(part, **{**made, "body": part.body})
    return part


def call(step: Call, memory: Memory) -> None:
    """Run a library call by the op's own NumPy implementation."""
    made = step.op.numpy(*map(memory.array, step.operands), **step.attributes)
    results = made if isinstance(made, tuple) else (made,)
    for operand, array in zip(step.results, results, strict=True):
        memory.array(operand)[...] = array


class KernelRun:
    """One launch."""

    def __init__(self, launch: Launch, memory: Memory) -> None:
        self.kernel: Kernel = launch.kernel.verify()
        self.memory = memory
        self.numbers = dict(zip(self.kernel.integers(), launch.integers, strict=True))
        self.operands = {
            access.name: operand
            for access, operand in zip(self.kernel.accesses, launch.operands, strict=True)
        }
        self.rank = len(self.kernel.axes)
        self.position = {}
        for n, axis in enumerate(self.kernel.axes):
            low = self.numbers.get(f"lo_{axis.name}", 0)
            end = f"hi_{axis.name}" if axis.name in self.kernel.grid else f"n_{axis.name}"
            high = axis.size or self.numbers[end]
            shape = [1] * self.rank
            shape[n] = -1
            self.position[axis.name] = np.arange(low, high).reshape(shape)
        self.lasting: dict[str, np.ndarray] = {}
        for scalar, number in zip(self.kernel.scalars, launch.scalars, strict=True):
            self.lasting[scalar.name] = np.full([1] * self.rank, number, scalar.dtype)
        self.status = 0
        self.closed = False  # whether values are one for each point of the total axes no more

    def run(self) -> int:
        for _ in range(self.numbers.get("count", 1)):
            for stage in self.kernel.stages:
                self.stage(stage)
            for seen, stored in self.kernel.repeated or ():
                self.operands[seen] = self.operands[stored]  # from now on
        self.closed = True
        for stage in self.kernel.closing:
            self.stage(stage)
        return self.status

    def index(self, name: str) -> np.ndarray:
        """Where each point looks in the buffer of an access."""
        access, operand = self.kernel.access(name), self.operands[name]
        at = np.full([1] * self.rank, operand.view.offset)
        for axis, stride in zip(self.kernel.axes, access.strides, strict=True):
            step = self.numbers[f"{name}_{axis.name}"] if stride == "s" else int(stride)
            if step:
                at = at + self.position[axis.name] * step
        if access.near:
            neighbour, further = access.near
            moves = self.operands[neighbour].view.offset + further
            assert moves == operand.view.offset, f"{name} does not lie where it is read"
            assert self.operands[neighbour].buffer == operand.buffer
        return at

    def load(self, let: Let, get, offset: np.ndarray | int = 0) -> np.ndarray:
        name, *masked = let.arguments
        masked = masked[1:] if let.op == "gather" else masked
        flat = self.memory.flat(self.operands[name], let.dtype)
        at = self.index(name) + offset
        if masked:
            mask, at = np.broadcast_arrays(get(masked[0]), at)
            inside = at[mask]
        else:
            inside = at
        assert not inside.size or (inside.min() >= 0 and inside.max() < flat.size), "out of buffer"
        if not masked:
            return flat[at] if at.size else np.empty(at.shape, flat.dtype)
        found = np.broadcast_to(get(masked[1]), at.shape).copy()
        found[mask] = flat[inside]
        return found

    def let(self, let: Let, get) -> np.ndarray:
        if let.op == "load":
            return self.load(let, get)
        if let.op == "gather":
            return self.load(let, get, get(let.arguments[1]))
        if let.op == "index":
            return self.position[let.arguments[0]]
        if let.op == "pair":
            re, im = map(get, let.arguments)
            return np.asarray(re + 1j * im, let.dtype)
        op = CATALOGUE[let.op]
        arguments = [get(name) for name in let.arguments]
        if op.kind is Kind.RANDOM:
            place, key, counter = np.broadcast_arrays(*arguments)
            state = np.array([key.flat[0], counter.flat[0]], np.uint64)
            return op.numpy(state, shape=(int(place.max(initial=0)) + 1,))[place]
        if op.name in ("cast", "bitcast"):
            return op.numpy(*arguments, dtype=let.dtype)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            made = np.asarray(op.numpy(*np.broadcast_arrays(*arguments)))
        assert made.dtype == let.dtype, f"{let.name}: {made.dtype}, not {let.dtype}"
        return made

    def full(self, value: np.ndarray, over: tuple[str, ...]) -> np.ndarray:
        """The value at every point of the grid and the loops `over`."""
        live = self.kernel.grid + tuple(axis.name for axis in self.kernel.short) + over
        if self.closed:
            live = tuple(axis for axis in live if axis not in self.kernel.totals)
        shape = [self.position[a.name].size if a.name in live else 1 for a in self.kernel.axes]
        return np.broadcast_to(value, shape)

    def stage(self, stage: Stage) -> None:
        values: dict[str, np.ndarray] = {}

        def get(name: str) -> np.ndarray:
            return values[name] if name in values else self.lasting[name]

        for let in stage.lets:
            values[let.name] = self.let(let, get)
        made = {}
        for sink in stage.sinks:
            value = self.full(get(sink.value), stage.over)
            if isinstance(sink, (Fold, Total)):
                names = [a.name for a in self.kernel.axes]
                over = self.kernel.totals if isinstance(sink, Total) else stage.over
                axes = tuple(names.index(a) for a in over)
                with np.errstate(all="ignore"):
                    folded = CATALOGUE[sink.op].numpy(value, axes=axes)
                made[sink.name] = np.expand_dims(folded, axes).astype(sink.dtype)
            elif isinstance(sink, Keep):
                assert self.kernel.lanes in self.kernel.loops, "Keep needs lanes on a loop axis"
                assert stage.over == self.kernel.loops
                made[sink.name] = value
            elif isinstance(sink, Store):
                flat = self.memory.flat(self.operands[sink.access], value.dtype)
                at = np.broadcast_to(self.index(sink.access), value.shape)
                assert len(np.unique(at)) == at.size, "a place is written twice"
                flat[at] = value
            elif not bool(np.all(value)):
                self.status = self.status or sink.code
        self.lasting |= made
