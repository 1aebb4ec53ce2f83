"""Tangents of elementwise ops where nobody takes notes: what a rule makes of them is traced once,
then NumPy is called for its steps alone, in place where a temporary is not needed any more. Linear
ops of one input are applied to the tangent.

    Plan = constants, steps, result
    Step = a function of NumPy, and the slots of its operands (last, maybe, of the result)

The slots hold tangents, inputs, the output, constants, then what the steps make. Comes in: a record
of the tape and tangents. Goes out: a tangent, or None where it takes more and the rule is run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, NoReturn, final

import numpy as np

from dualflow.array.eager import EagerMode, casts
from dualflow.array.tensor import Tensor
from dualflow.base.errors import DualflowError
from dualflow.base.shapes import Shape, broadcast
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType
from dualflow.ops import door
from dualflow.ops.promotion import SCALARS

from . import tangents
from .history import Node, Record

#: How many plans are kept. A Python number is a part of its plan, so there may come many.
MOST = 4096
_WHOLE, _PART = (2,), (1,)  # shapes that stand for that of the result, and for others
_plans: dict[tuple[Any, ...], Plan | None] = {}


@final
class Plan(NamedTuple):
    """See the module; `fresh`: whether the result is none of the tangents that came in."""

    constants: tuple[Any, ...]
    steps: tuple[tuple[Callable[..., Any], tuple[int, ...]], ...]
    result: int
    fresh: bool


def tangent(node: Node, given: Sequence[Tensor | None], spare: Sequence[bool]) -> Any:
    """The tangent of what `node` made, whether it is one of those `given`, and whether nobody else
    holds it; None where the rule has to be run. Eager mode is active.

    Args:
        node: of the tape.
        given: for each input a tangent, or None for zero.
        spare: which of them may be overwritten.
    """
    if type(node) is not Record:
        return None
    op = node.op
    if _is_linear(op) and "fill" not in node.attributes:
        made = door.state.mode.apply(op, tuple(given), node.attributes)  # type: ignore[arg-type]
        return made, op.view is not None, op.view is None
    if op.kind is not Kind.ELEMENTWISE or node.attributes:
        return None
    inputs, out = node.values(False)
    shape = _shape(inputs)
    if not shape:
        return None
    key: list[Any] = [op, *spare, inputs[0] is inputs[-1], given[0] is given[-1]]
    values: list[Any] = []
    for x in (*given, *inputs, out):
        if type(x) is Tensor:
            array = x._array
            if type(array) is not np.ndarray:
                return None
            values.append(array)
            key.append(array.dtype if array.shape == shape else (array.dtype,))
        elif type(x) is tuple:
            values.append(None)
            key.append((x[0] == shape, x[1]))
        else:
            values.append(x)
            key.append(None if x is None else repr(x))
    key = tuple(key)  # type: ignore[assignment]
    try:
        plan = _plans[key]  # type: ignore[index]
    except KeyError:
        plan = _learn(key, op, given, inputs, out, spare, shape)  # type: ignore[arg-type]
    if plan is None:
        return None
    values += plan.constants
    for call, operands in plan.steps:
        values.append(call(*[values[i] for i in operands]))
    if not plan.fresh:
        return given[plan.result], True, spare[plan.result]
    made = values[plan.result]
    return Tensor._wrap(made if made.flags.c_contiguous else made.copy()), False, True


@lru_cache(maxsize=None)
def _is_linear(op: Op) -> bool:
    """Whether the op has one input, and on its tangent gives that of the output."""
    if op.kind is Kind.MOVEMENT:
        return op.forward is None and op.placement is None
    return getattr(op.forward, "linear", False)


def _shape(inputs: Sequence[Any]) -> Shape:
    shape: Shape = ()
    for x in inputs:
        if type(x) not in SCALARS:
            other = x[0] if type(x) is tuple else x.shape
            shape = other if not shape or shape == other else broadcast(shape, other)
    return shape


def _learn(
    key: tuple[Any, ...],
    op: Op,
    given: Sequence[Any],
    inputs: Sequence[Any],
    out: Any,
    spare: Sequence[bool],
    shape: Shape,
) -> Plan | None:
    """The plan of a rule, found by running it on small tensors that stand for the real ones."""

    def stand(x: Any) -> Any:
        if type(x) is tuple:
            return TensorType(_WHOLE if x[0] == shape else _PART, x[1])
        if type(x) is not Tensor:
            return x
        return Tensor._wrap(np.ones(_WHOLE if x.shape == shape else _PART, x.dtype))

    stands = [stand(x) for x in (*given, *inputs, out)]
    count = len(inputs)
    if inputs[0] is inputs[-1]:
        stands[2 * count - 1] = stands[count]
    if given[0] is given[-1]:
        stands[count - 1] = stands[0]
    if len(_plans) >= MOST:
        _plans.clear()
    noting = _Noting(stands)
    with np.errstate(all="ignore"), door.using(noting):
        try:
            seen, moves = tuple(stands[count:-1]), tuple(stands[:count])
            made = tangents.tangent(op, {}, seen, stands[-1], moves)
            plan = noting.plan(made, count, spare)
        except (_UnplannedError, DualflowError):  # if it is the user's error, the rule will say so
            plan = None
    _plans[key] = plan
    return plan


class _UnplannedError(Exception):
    """A rule does something that no plan holds."""


def _in_dtype(x: Any, dtype: np.dtype) -> Any:
    """A number in the dtype that it is cast to each time."""
    if type(x) is not Tensor:
        return np.asarray(x, dtype)
    if x.dtype != dtype:
        raise _UnplannedError
    return x


@final
class _Noting:
    """The eager mode while a rule is traced: notes each operation.

    Attributes:
        held: what is in each slot; a tensor that is in two counts as the first.
        constants: the slots of numbers that the rule uses.
        noted: (op, function, slots of the operands, slot of the result).
    """

    name = "tracing a rule"

    def __init__(self, stands: list[Any]) -> None:
        self.held: list[Any] = list(stands)
        self.constants: list[int] = []
        self.noted: list[tuple[Any, list[int], int]] = []
        self.eager: EagerMode = door.state.mode  # type: ignore[assignment]

    def elementwise(self, op: Op, operands: tuple[Any, ...]) -> Any:
        made = self.eager.elementwise(op, operands)
        dtypes = casts((op, *[x.dtype if type(x) is Tensor else type(x) for x in operands]))
        if dtypes is not None:
            operands = tuple(map(_in_dtype, operands, dtypes))
        return self._note(op.numpy, operands, made)

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        if op.kind is not Kind.ELEMENTWISE:
            raise _UnplannedError
        call = partial(op.numpy, **attributes) if attributes else op.numpy
        return self._note(call, inputs, self.eager.apply(op, inputs, attributes))

    def write(self, target: Any, value: Any) -> NoReturn:
        raise _UnplannedError

    def draw(self, generator: Any) -> NoReturn:
        raise _UnplannedError

    def values(self, tensor: Any) -> NoReturn:
        raise _UnplannedError

    def _note(self, call: Any, operands: tuple[Any, ...], made: Tensor) -> Tensor:
        slots = [self._slot(x) for x in operands]
        self.noted.append((call, slots, len(self.held)))
        self.held.append(made)
        return made

    def _slot(self, x: Any) -> int:
        for slot, held in enumerate(self.held):
            if held is x:
                return slot
        if type(x) is Tensor:
            raise _UnplannedError  # it is not from here
        self.constants.append(len(self.held))
        self.held.append(x)
        return len(self.held) - 1

    def plan(self, made: Any, count: int, spare: Sequence[bool]) -> Plan:
        """The plan that gives `made`; `count` tangents came first."""
        result = self._slot(made) if type(made) is Tensor else -1
        if result < 0 or made.shape != _WHOLE or count <= result < 2 * count + 1:
            raise _UnplannedError
        first = 2 * count + 1
        order = [*range(first), *self.constants, *(slot for *_, slot in self.noted)]
        place = {slot: i for i, slot in enumerate(order)}
        last = {slot: k for k, (_, slots, _) in enumerate(self.noted) for slot in slots}
        last[result] = len(self.noted)
        free = {slot for slot in range(count) if spare[slot]}
        steps = []
        for k, (call, slots, to) in enumerate(self.noted):
            operands = [place[slot] for slot in slots]
            if isinstance(call, np.ufunc):
                operands += [place[s] for s in slots if self._reused(s, to, free, last[s] == k)][:1]
            steps.append((call, tuple(operands)))
            free.add(to)
        constants = tuple(self.held[slot] for slot in self.constants)
        return Plan(constants, tuple(steps), place[result], result >= count)

    def _reused(self, slot: int, to: int, free: set[int], is_last: bool) -> bool:
        """Whether what is in `slot` may be overwritten by what goes to slot `to`."""
        if slot not in free or not is_last:
            return False
        old, new = self.held[slot], self.held[to]
        return old.shape == new.shape == _WHOLE and old.dtype == new.dtype
