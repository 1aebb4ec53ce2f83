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
from dualflow.ir.types import TensorType

from ..record import primitive

BEFORE = "gradients are taken before stretches of a trace are rolled up"


def _check_operands(name: str, graph: Graph, types: tuple[TensorType, ...]) -> None:
    wanted = tuple(value.type for value in graph.inputs)
    if wanted != types:
        raise ShapeError(f"{name} of a graph with inputs {', '.join(map(str, wanted))}",
                         why=f"it is given {', '.join(map(str, types))}")  # fmt: skip


def _loop_rule(*types: TensorType, body: Graph, count: int, carried: int) -> Any:
    if count < 0 or not 0 <= carried <= len(types):
        raise ShapeError(f"a loop of {count} steps that carries {carried} of {len(types)} values")
    _check_operands("loop", body, (TensorType((), int64), *types))
    made = tuple(value.type for value in body.outputs)
    if made != types[:carried]:
        raise ShapeError(f"a loop that carries {', '.join(map(str, types[:carried]))}",
                         why=f"its body gives {', '.join(map(str, made))}")  # fmt: skip
    return made


def _loop(*arrays: np.ndarray, body: Graph, count: int, carried: int) -> tuple[np.ndarray, ...]:
    state, constants = arrays[:carried], arrays[carried:]
    for step in range(count):
        state = interpret(body, (np.asarray(step, np.int64), *state, *constants))
    return _apart(state, arrays)


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
    doc="body(step, *carried, *constants) -> carried, count times, from step 0",
)  # fmt: skip
branch = primitive(
    "branch", Kind.BRANCH, _branch_rule, _branch, outputs=0, no_gradient=BEFORE,
    doc="true(*operands) where the condition holds, else false(*operands)",
)  # fmt: skip
