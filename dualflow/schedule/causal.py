"""Scores of which a row needs the columns up to its own only: causal attention.

    s = q @ k'; t = where(column <= row, s, -inf); w = exp(t - m); o = w @ v

Beyond its own column a row of s is not looked at, and of w it is 0. Comes in: a graph. Goes out:
such values, and the numbers in a chain that may leave such columns out. Zeros add nothing to a
product with finite numbers, which is for the program to see.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import Kind
from dualflow.ops import primitives as p

from .chains import Chained, Use
from .shaping import Lowered


def causal_scores(graph: Graph) -> dict[Value, int]:
    """The values whose rows need the columns up to their own, and the length of a run of rows."""
    found: dict[Value, int] = {}
    if not any(node.op is p.less_equal.op for node in graph.nodes):
        return found
    for number, node in enumerate(graph.nodes):
        if node.op.kind is Kind.CONTRACTION:
            found |= _hidden(graph, graph.nodes[number:])
    return found


def _hidden(graph: Graph, nodes: Sequence[Node]) -> dict[Value, int]:
    """The same of the product that comes first."""
    scores = nodes[0].result
    states: dict[Value, str] = {scores: "any"}
    runs: set[int] = set()
    for node in nodes[1:]:
        if states.keys().isdisjoint(node.operands):
            continue
        state = _state(node, states)
        if state is None:
            return {}
        if node.op is p.where.op and state == "low":
            runs.add(node.result.shape[-2])
        if state:
            states[node.result] = state
    hidden = len(runs) == 1 and "zero" in states.values()
    if not hidden or not states.keys().isdisjoint(graph.outputs):
        return {}
    return dict.fromkeys(states, runs.pop())


def _state(node: Node, states: dict[Value, str]) -> str | None:
    """What a reader of scores makes of the columns beyond a row's own: "any" numbers, "low" ones
    (-inf) or "zero"; nothing where they do not matter; None where they might."""
    given = [states.get(value, "") for value in node.operands]
    shapes = {value.shape[-1] for value in node.operands}
    if node.op is p.where.op and given == ["", "any", ""] and _is_diagonal(node.operands[0]):
        return "low" if _is_full(node.operands[2], -math.inf) else None
    if node.op.kind is Kind.ELEMENTWISE and {*given} <= {"any", ""} and not node.may_raise:
        return "any"
    if node.op is p.subtract.op and given == ["low", ""] and _is_finite(node.operands[1]):
        return "low"
    if node.op is p.exp.op and given == ["low"]:
        return "zero"
    if node.op is p.reshape.op and node.result.shape[-1:] == (*shapes,):
        return given[0]
    if node.op.kind is Kind.REDUCTION:
        along = node.attributes["axes"] == (len(node.operands[0].shape) - 1,)
        folds = {"low": p.max.op, "zero": p.sum.op}
        return "" if along and folds.get(given[0]) is node.op else None
    if node.op.kind is Kind.CONTRACTION and given == ["zero", ""]:
        return ""
    return None


def _made_by(value: Value, *names: str) -> Node | None:
    """The node of one of these ops that makes the value, behind expansions."""
    node = value.node
    while node is not None and node.op is p.expand.op:
        node = node.operands[0].node
    return node if node is not None and node.op.name in names else None


def _is_diagonal(value: Value) -> bool:
    """Whether it is true where the column is at most the row."""
    node = _made_by(value, "less_equal")
    if node is None:
        return False
    column, row = (_made_by(operand, "iota") for operand in node.operands)
    shape = node.result.shape
    if column is None or row is None or len(shape) != 2 or value.shape[-2:] != shape:
        return False
    axes = column.attributes["axis"], row.attributes["axis"]
    shapes = {column.result.shape, row.result.shape}
    return axes == (1, 0) and shapes == {shape}


def _is_full(value: Value, number: float) -> bool:
    node = _made_by(value, "full")
    return node is not None and node.attributes["value"] == number


def _is_finite(value: Value) -> bool:
    """Whether it is `where(isfinite(x), x, 0)`."""
    node = _made_by(value, "where")
    if node is None or not _is_full(node.operands[2], 0.0):
        return False
    test = _made_by(node.operands[0], "isfinite")
    return test is not None and test.operands[0] is node.operands[1]


def column_limits(
    chain: Chained, parts: Sequence[tuple[Node, ...]], uses: Sequence[Sequence[Use]],
    scores: dict[Value, int],
) -> tuple[tuple[int, str], ...]:  # fmt: skip
    """Which integers of a chain's steps count columns that blocks need up to their last row alone:
    for a kernel an integer's name, for a product "columns" of its result or those "summed" over.

    Args:
        chain: the chain.
        parts: the nodes of each step.
        uses: the memory of each step.
        scores: what `causal_scores` found.
    """
    found: list[tuple[int, str]] = []
    for step, (work, nodes, mine) in enumerate(zip(chain.works, parts, uses, strict=True)):
        if not any(use.home in scores for use in mine):
            continue
        name = _kernel_limit(work, nodes, mine, scores) if isinstance(work, Lowered) else \
            _product_limit(mine, scores)  # fmt: skip
        if name is None:
            return ()
        found.append((step, name))
    homes = {use.home for mine in uses for use in mine if use.home in scores}
    runs = {scores[home] for home in homes}
    if runs != {chain.rows[-1]} or not homes <= chain.inner.keys():
        return ()
    return tuple(found) if {"columns", "summed"} <= {name for _, name in found} else ()


def _product_limit(uses: Sequence[Use], scores: dict[Value, int]) -> str | None:
    left, right, result = (use.home in scores for use in uses)
    if right or left == result:
        return None
    return "columns" if result else "summed"


def _kernel_limit(
    work: Lowered, nodes: Sequence[Node], uses: Sequence[Use], scores: dict[Value, int]
) -> str | None:
    """The integer that counts the columns of scores, if the kernel makes nothing else of them."""
    if any(node.op.kind is Kind.REDUCTION and node.operands[0] not in scores for node in nodes):
        return None
    columns = {
        axis
        for use in uses if use.home in scores
        for axis, (size, stride) in enumerate(zip(use.view.shape, use.view.strides, strict=True))
        if stride == 1 and size == use.home.shape[-1]
    }  # fmt: skip
    if len(columns) != 1:
        return None
    (axis,) = columns
    if any(use.written and use.view.strides[axis] and use.home not in scores for use in uses):
        return None
    name, role = work.kernel.axes[axis].name, work.kernel.axes[axis].role
    return f"n_{name}" if role == "loop" else f"hi_{name}" if role == "grid" else None
