"""Steps: the operations of a segment, one after the other, and what can be made of them.

    Step = an input, or an op on slots; its children are the steps that ever followed it

Comes in: steps, and the slots whose values are wanted. Goes out: their arrays, computed by the
eager mode, or the Graph that computes them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from dualflow.array.eager import EagerMode
from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import Number
from dualflow.base.source import SourceLine
from dualflow.ir.graph import Graph, Value
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.devices import Device
from dualflow.ops.promotion import plan

from ..node_builder import NodeBuilder, prune, tensor_type

if TYPE_CHECKING:
    from .segments import Record

_eager = EagerMode()


@final
class Hidden:
    """A Python scalar that differs from call to call: number `index` of the segment's inputs."""

    __slots__ = ("dtype", "index")

    def __init__(self, index: int, dtype: np.dtype) -> None:
        self.index, self.dtype = index, dtype


@final
class Step:
    """One operation of a stretch, at the place where it follows its parent.

    Attributes:
        op: None for an input from outside.
        operands: slots (int) of tensors; Python scalars as `Constant`, or `Hidden`.
        attributes: None for an elementwise op whose operands are still to be promoted.
        slot: the first slot that it fills; one for each of `types`.
        inputs: how many inputs the segment has after it.
        next: the steps that ever followed.
        scalars: keys, less the values of scalars, of the children that have scalars.
    """

    __slots__ = (
        "attributes", "hidden", "inputs", "line", "next", "op", "operands", "parent", "record",
        "scalars", "slot", "types",
    )  # fmt: skip

    def __init__(
        self,
        parent: Step | None,
        op: Op | None,
        operands: tuple[Any, ...],
        attributes: dict[str, Any] | None,
        types: tuple[TensorType, ...],
        line: SourceLine | None,
    ) -> None:
        self.parent, self.op, self.operands, self.attributes = parent, op, operands, attributes
        self.types, self.line = types, line
        self.slot = parent.slot + len(parent.types) if parent is not None else 0
        self.hidden = tuple(x for x in operands if type(x) is Hidden)
        before = parent.inputs if parent is not None else 0
        self.inputs = before + len(self.hidden) + (parent is not None and op is None)
        self.next: dict[Hashable, Step] = {}
        self.record: Record | None = None
        self.scalars: set[Hashable] | None = None

    @property
    def slots(self) -> range:
        """The slots that it fills."""
        return range(self.slot, self.slot + len(self.types))


@final
class Constant:
    """A Python scalar among the operands of a step."""

    __slots__ = ("value",)

    def __init__(self, value: Number) -> None:
        self.value = value


def needed(steps: Sequence[Step], slots: Iterable[int]) -> list[Step]:
    """The steps, in order, without which `slots` cannot be computed."""
    wanted = set(slots)
    found = []
    for step in reversed(steps):
        if not wanted.isdisjoint(step.slots):
            found.append(step)
            wanted.update(x for x in step.operands if type(x) is int)
    found.reverse()
    return found


def inputs(steps: Sequence[Step], slots: Iterable[int]) -> set[int]:
    """The inputs of the segment, hidden scalars too, that `slots` are computed from."""
    found = set()
    for step in needed(steps, slots):
        found.update(x.index for x in step.hidden)
        if step.op is None:
            found.add(step.inputs - 1)
    return found


def interpret(
    steps: Sequence[Step], slots: Iterable[int], arrays: Sequence[np.ndarray],
    place: Device | None = None,
) -> dict[int, np.ndarray]:  # fmt: skip
    """The arrays of `slots`, computed by the eager mode from the inputs `arrays` on the GPU `place`
    or the CPU, whatever device is in use now."""
    before, door.state.device = door.state.device, place
    try:
        return _interpreted(steps, set(slots), arrays)
    finally:
        door.state.device = before


def _interpreted(
    steps: Sequence[Step], slots: set[int], arrays: Sequence[np.ndarray]
) -> dict[int, np.ndarray]:
    steps = needed(steps, slots)
    last = {x: step for step in steps for x in step.operands if type(x) is int}
    known: dict[int, Tensor] = {}
    for step in steps:
        made = _run_step(step, known, arrays)
        for slot, tensor in zip(step.slots, made, strict=True):
            known[slot] = tensor
        for x in step.operands:
            if type(x) is int and last[x] is step and x not in slots:
                known.pop(x, None)
    return {slot: known[slot].array for slot in slots}


def as_graph(steps: Sequence[Step], slots: Sequence[int]) -> tuple[Graph, tuple[int, ...]]:
    """The graph that computes `slots`, and which inputs of the segment it takes."""
    builder = NodeBuilder()
    taken: list[int] = []
    values: dict[int, Value] = {}

    def hidden(x: Hidden) -> Value:
        taken.append(x.index)
        return builder.input(TensorType((), x.dtype))

    for step in needed(steps, slots):
        if step.op is None:
            taken.append(step.inputs - 1)
            values[step.slot] = builder.input(step.types[0])
            continue
        operands: list[Any] = [values[x] if type(x) is int else x for x in step.operands]
        attributes = step.attributes
        if attributes is None:
            operands = _promoted(builder, step.op, operands, hidden, step.line)
            attributes = {}
        elif step.hidden:  # full, of a hidden value
            type_ = step.types[0]
            value = builder.fit(hidden(operands[0]), type_.dtype, type_.shape, step.line)
            if value.node is None:  # of shape (): it must not be the input itself
                value = builder.add(p.cast.op, (value,), {"dtype": type_.dtype}).result
            values[step.slot] = value
            continue
        node = builder.add(step.op, operands, attributes, step.line)
        values.update(zip(step.slots, node.results, strict=True))
    outputs = [values[slot] for slot in slots]
    return prune(builder.build(outputs), outputs), tuple(taken)


def _promoted(
    builder: NodeBuilder,
    op: Op,
    operands: list[Any],
    hidden: Callable[[Hidden], Value],
    line: SourceLine | None,
) -> list[Value]:
    """Operands cast and expanded; scalars written as full or taken as inputs."""
    plain = [x.value if type(x) is Constant else x for x in operands]
    plain = [x.dtype.type(0).item() if type(x) is Hidden else x for x in plain]
    dtypes, shape = plan(op, plain)
    found = []
    for x, dtype in zip(operands, dtypes, strict=True):
        if type(x) is Constant:
            found.append(builder.constant(x.value, tensor_type(shape, dtype), line))
        else:
            value = hidden(x) if type(x) is Hidden else x
            found.append(builder.fit(value, dtype, shape, line))
    return found


def _run_step(
    step: Step, known: dict[int, Tensor], arrays: Sequence[np.ndarray]
) -> tuple[Tensor, ...]:
    if step.op is None:
        return (Tensor._wrap(arrays[step.inputs - 1]),)
    operands = []
    for x in step.operands:
        if type(x) is int:
            operands.append(known[x])
        elif type(x) is Constant:
            operands.append(x.value)
        else:
            operands.append(arrays[x.index].item())
    if step.attributes is None:
        made = _eager.elementwise(step.op, tuple(operands))
    elif step.hidden:
        made = _eager.apply(step.op, (), {**step.attributes, "value": operands[0]})
    else:
        made = _eager.apply(step.op, tuple(operands), step.attributes)
    return made if type(made) is tuple else (made,)
