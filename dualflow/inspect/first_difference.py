"""The first op whose compiled value is not eager's, on eager's own operands.

Comes in: a call to run. Goes out: a `Deviation`: which op, how many ulp, on which line. The call
runs eagerly; beside each new kind of operation a graph of that one node is compiled and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dualflow import pipeline
from dualflow.array.eager import EagerMode
from dualflow.base.source import SourceLine, user_line
from dualflow.ir.graph import Graph, GraphBuilder, Value
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.promotion import SCALARS, plan

from .difference import ulps


@dataclass(frozen=True, slots=True)
class Deviation:
    """An op whose compiled value differs from eager's."""

    op: str
    ulp: float
    line: SourceLine | None

    def __str__(self) -> str:
        return f"{self.op}, {self.ulp:g} ulp, at {self.line}"


def first_difference(call: Callable[[], Any]) -> Deviation | None:
    """Run `call` eagerly and find the first op that differs compiled; None if none does."""
    mode = CheckingMode()
    with door.using(mode):
        call()
    return mode.found


class CheckingMode(EagerMode):
    """Eager, and each kind of operation (op, types, attributes) compared once with its kernel."""

    name = "check"

    def __init__(self) -> None:
        self.found: Deviation | None = None
        self._seen: set[Hashable] = set()

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        arrays = [x.array for x in inputs]
        out = super().apply(op, inputs, attributes)
        if self.found is None and op.view is None:
            builder = GraphBuilder()
            values = [builder.input(TensorType(a.shape, a.dtype)) for a in arrays]
            node = builder.add(op, values, attributes)
            self._check(op, builder.build(node.results), arrays, out)
        return out

    def elementwise(self, op: Op, operands: tuple[Any, ...]) -> Any:
        out = super().elementwise(op, operands)
        if self.found is None:
            dtypes, shape = plan(op, operands)
            builder = GraphBuilder()
            arrays: list[np.ndarray] = []
            values = [
                _strict(builder, arrays, operand, dtype, shape)
                for operand, dtype in zip(operands, dtypes, strict=True)
            ]
            self._check(op, builder.build(builder.add(op, values).results), arrays, out)
        return out

    def _check(self, op: Op, graph: Graph, arrays: list[np.ndarray], out: Any) -> None:
        if graph.key in self._seen:
            return
        self._seen.add(graph.key)
        made = pipeline.compile_graph(graph).result().run([np.ascontiguousarray(a) for a in arrays])
        outs = out if isinstance(out, tuple) else (out,)
        worst = max(ulps(a, b.array) for a, b in zip(made, outs, strict=True))
        if worst:
            self.found = Deviation(op.name, worst, user_line())


def _strict(
    builder: GraphBuilder, arrays: list[np.ndarray], operand: Any, dtype: np.dtype, shape: Any
) -> Value:
    """`operand` as a value of the dtype and shape that the primitive wants."""
    if type(operand) in SCALARS:
        return builder.add(p.full.op, (), {"shape": shape, "value": operand, "dtype": dtype}).result
    array = operand.array
    arrays.append(array)
    value = builder.input(TensorType(array.shape, array.dtype))
    if array.dtype != dtype:
        value = builder.add(p.cast.op, (value,), {"dtype": dtype}).result
    if array.shape != shape:
        value = builder.add(p.expand.op, (value,), {"shape": shape}).result
    return value
