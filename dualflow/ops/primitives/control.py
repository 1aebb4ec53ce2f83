"""Records of control flow: a graph run many times, or one of two graphs.

Passes that roll up repeated stretches of a trace make them; users do not call them, so they have
no gradient: gradients are taken before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dualflow.base.dtypes import bool_, int64
from dualflow.base.errors import DTypeError, ShapeError
from dualflow.ir.graph import Graph
from dualflow.ir.interpret import interpret
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType, Window

from ..record import primitive

BEFORE = "gradients are taken before stretches of a trace are rolled up"


def _check_operands(name: str, graph: Graph, types: tuple[TensorType, ...]) -> None:
    wanted = tuple(value.type for value in graph.inputs)
    if wanted != types:
        raise ShapeError(f"{name} of a graph with inputs {', '.join(map(str, wanted))}",
                         why=f"it is given {', '.join(map(str, types))}")  # fmt: skip


Windows = tuple[Window, ...]


def _loop_rule(
    *types: TensorType, body: Graph, count: int, carried: int,
    reads: Windows = (), writes: Windows = (),
) -> Any:  # fmt: skip
    if count < 0 or not 0 <= carried <= len(types):
        raise ShapeError(f"a loop of {count} steps that carries {carried} of {len(types)} values")
    for window in (*reads, *writes):
        shape = types[window.operand].shape
        if window.operand < carried or not window.fits(shape, count):
            raise ShapeError(f"{window} of {shape} in a loop of {count} steps")
    if tuple(window.operand - carried for window in writes) != tuple(range(len(writes))):
        raise ShapeError("a loop whose written operands do not follow the carried ones")
    state, whole = types[:carried], types[len(types) - _constants(body, carried, reads) :]
    seen = tuple(TensorType(w.shape, types[w.operand].dtype) for w in reads)
    _check_operands("loop", body, (TensorType((), int64), *state, *whole, *seen))
    made = tuple(value.type for value in body.outputs)
    written = tuple(TensorType(w.shape, types[w.operand].dtype) for w in writes)
    if made != (*state, *written):
        raise ShapeError(f"a loop that carries {', '.join(map(str, (*state, *written)))}",
                         why=f"its body gives {', '.join(map(str, made))}")  # fmt: skip
    return types[: carried + len(writes)]


def _constants(body: Graph, carried: int, reads: Windows) -> int:
    """How many operands, the last ones, the body takes as they are."""
    return len(body.inputs) - 1 - carried - len(reads)


def _loop(
    *arrays: np.ndarray, body: Graph, count: int, carried: int,
    reads: Windows = (), writes: Windows = (),
) -> tuple[np.ndarray, ...]:  # fmt: skip
    known = list(arrays)
    for window in writes:
        known[window.operand] = arrays[window.operand].copy()
    state, constants = arrays[:carried], arrays[len(arrays) - _constants(body, carried, reads) :]
    for step in range(count):
        seen = [known[window.operand][window.at(step)].copy() for window in reads]
        made = interpret(body, (np.asarray(step, np.int64), *state, *constants, *seen))
        state = made[:carried]
        for window, value in zip(writes, made[carried:], strict=True):
            known[window.operand][window.at(step)] = value
    return (*_apart(state, arrays), *known[carried : carried + len(writes)])


def _apart(outputs: tuple[np.ndarray, ...], inputs: tuple[np.ndarray, ...]) -> tuple:
    """`outputs`, none of which shares memory with an input."""
    return tuple(
        out.copy() if any(np.may_share_memory(out, given) for given in inputs) else out
        for out in outputs
    )


def _branch_rule(condition: TensorType, *types: TensorType, true: Graph, false: Graph) -> Any:
    if condition != TensorType((), bool_):
        raise DTypeError(f"a branch on {condition}", instead="a boolean of shape ()")
    _check_operands("branch", true, types)
    _check_operands("branch", false, types)
    made, other = (tuple(value.type for value in graph.outputs) for graph in (true, false))
    if made != other:
        raise ShapeError(f"a branch that gives {', '.join(map(str, made))}",
                         why=f"or else {', '.join(map(str, other))}")  # fmt: skip
    return made


def _branch(
    condition: np.ndarray, *arrays: np.ndarray, true: Graph, false: Graph
) -> tuple[np.ndarray, ...]:
    return _apart(interpret(true if condition else false, arrays), arrays)


loop = primitive(
    "loop", Kind.LOOP, _loop_rule, _loop, outputs=0, no_gradient=BEFORE,
    doc="body(step, *carried, *constants, *reads) -> carried and what is written, count times; "
    "operands are the carried values, those written or read by windows, the constants",
)  # fmt: skip
branch = primitive(
    "branch", Kind.BRANCH, _branch_rule, _branch, outputs=0, no_gradient=BEFORE,
    doc="true(*operands) where the condition holds, else false(*operands)",
)  # fmt: skip
