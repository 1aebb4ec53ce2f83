"""Scores of which a row needs the columns up to its own only: causal attention.

    s = q @ k'; t = where(column <= row, s, -inf); w = exp(t - m); o = w @ v
    r = g @ v'; d = where(column <= row, r * w, 0); dq = d @ k; dk = d' @ q; dv = w' @ g

Beyond its own column a row of s or r is not looked at, and of w and d it is 0. Comes in: a graph.
Goes out: such values, and the numbers in a chain that may leave such columns out. Zeros add nothing
to a product with finite numbers, which is for the program to see.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dualflow.base.dtypes import is_float
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import Kind
from dualflow.ops import primitives as p

from .chains import Chained, Use
from .shaping import Lowered
from .units import Library

#: What the columns beyond a row's own are, where they are not one number: what nobody may look at;
#: zeros of a transposed matrix; and what has no such columns, or in which they are as eager's.
ANY, TURNED, PLAIN = "any", "turned", "plain"
Hidden = float | str


def causal_scores(graph: Graph) -> dict[Value, int]:
    """The values whose rows need the columns up to their own, and the length of a run of rows."""
    found: dict[Value, int] = {}
    if not any(_is_diagonal(value) for node in graph.nodes for value in node.results):
        return found
    for number, node in enumerate(graph.nodes):
        if node.op.kind is Kind.CONTRACTION and is_float(node.result.dtype):
            nodes = graph.nodes[number:]
            found |= _hidden(graph, nodes, True) or _hidden(graph, nodes, False)
    return found


def _hidden(graph: Graph, nodes: Sequence[Node], alike: bool) -> dict[Value, int]:
    """The same of the product that comes first, and (`alike`) others with results of its type."""
    scores = nodes[0].result
    states: dict[Value, Hidden] = {scores: ANY}
    runs: set[int] = set()
    for node in nodes[1:]:
        if states.keys().isdisjoint(node.operands):
            if alike and node.op.kind is Kind.CONTRACTION and node.result.type == scores.type:
                states[node.result] = ANY
            continue
        state = _state(node, [states.get(value, PLAIN) for value in node.operands])
        if state is None:
            return {}
        if _is_choice(node) and state != ANY:
            runs.add(node.result.shape[-2])
        if state != PLAIN:
            states[node.result] = state
    hidden = len(runs) == 1 and 0.0 in states.values()
    if not hidden or not states.keys().isdisjoint(graph.outputs):
        return {}
    run = runs.pop()
    return {value: run for value, state in states.items() if state != TURNED}


def _state(node: Node, given: list[Hidden]) -> Hidden | None:
    """What the columns beyond a row's own are in the result; None where what they are in operands
    may matter."""
    if node.op.kind is Kind.ELEMENTWISE and not node.may_raise and TURNED not in given:
        return _of_elements(node, given)
    if node.op.kind is Kind.MOVEMENT:
        return _moved(node, given[0])
    if node.op.kind is Kind.REDUCTION and node.op.identity is not None:
        along = node.attributes["axes"] == (len(node.operands[0].shape) - 1,)
        nothing = node.op.identity(node.operands[0].dtype)
        return PLAIN if along and given[0] == nothing else None
    if node.op.kind is Kind.CONTRACTION:
        return PLAIN if given in ([0.0, PLAIN], [TURNED, PLAIN], [PLAIN, 0.0]) else None
    return None


def _of_elements(node: Node, given: list[Hidden]) -> Hidden:
    """The same of an elementwise op."""
    if _is_choice(node):
        number = _full(node.operands[2])
        return ANY if number is None else number
    if all(isinstance(state, float) for state in given):
        values = [value.dtype.type(x) for value, x in zip(node.operands, given, strict=True)]
        with np.errstate(all="ignore"):
            return float(node.op.numpy(*values, **node.attributes))
    if node.op is p.subtract.op and given == [-math.inf, PLAIN] and _is_finite(node.operands[1]):
        return -math.inf
    return ANY


def _moved(node: Node, given: Hidden) -> Hidden | None:
    """The same of a movement: of one that keeps rows, or exchanges them for columns."""
    rank = len(node.operands[0].shape)
    axes = node.attributes.get("axes")
    if axes == (*range(rank - 2), rank - 1, rank - 2) and rank >= 2:
        return TURNED if given == 0.0 else None
    keeps = node.op is p.reshape.op and node.result.shape[-1:] == node.operands[0].shape[-1:]
    return given if keeps and given != TURNED else None


def _is_choice(node: Node) -> bool:
    """Whether it is `where(column <= row, x, y)`."""
    return node.op.chooses and _is_diagonal(node.operands[0])


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


def _full(value: Value) -> float | None:
    """The number that all elements are, if it stands in the graph."""
    node = _made_by(value, "full")
    return None if node is None else float(node.attributes["value"])  # type: ignore[arg-type]


def _is_finite(value: Value) -> bool:
    """Whether it is `where(isfinite(x), x, 0)`."""
    node = _made_by(value, "where")
    if node is None or _full(node.operands[2]) != 0.0:
        return False
    test = _made_by(node.operands[0], "isfinite")
    return test is not None and test.operands[0] is node.operands[1]


def column_limits(
    chain: Chained, parts: Sequence[tuple[Node, ...]], uses: Sequence[Sequence[Use]],
    scores: dict[Value, int],
) -> tuple[tuple[int, str], ...]:  # fmt: skip
    """Which integers of a chain's steps count columns that blocks need up to their last row alone:
    for a kernel an integer's name; for a product "columns" of its result or those "summed" over,
    "added rows" or "added columns" of a result that is a sum over blocks.

    Args:
        chain: the chain.
        parts: the nodes of each step.
        uses: the memory of each step.
        scores: what `causal_scores` found.
    """
    found: list[tuple[int, str]] = []
    added = [_added(work, mine, scores) for work, mine in zip(chain.works, uses, strict=True)]
    for step, (work, nodes, mine) in enumerate(zip(chain.works, parts, uses, strict=True)):
        if not any(use.home in scores for use in mine):
            continue
        if isinstance(work, Library):
            name = added[step] or _product_limit(work.node, scores)
        else:  # what is added up over blocks has to be there in all columns
            name = "" if any(added) else _kernel_limit(work, nodes, mine, scores)
        if name is None:
            return ()
        found += [(step, name)] if name else []
    homes = {use.home for mine in uses for use in mine if use.home in scores}
    runs = {scores[home] for home in homes}
    if runs != {chain.rows[-1]} or not homes <= chain.inner.keys():
        return ()
    return tuple(found) if {"columns", "summed"} <= {name for _, name in found} else ()


def _added(work: Lowered | Library, uses: Sequence[Use], scores: dict[Value, int]) -> str:
    """What of a result counts columns of scores, whose rows a product sums up; else nothing."""
    if not isinstance(work, Library):
        return ""
    left, right, _ = uses
    turned = left.home in scores and work.node.operands[0] not in scores
    return "added rows" if turned else "added columns" if right.home in scores else ""


def _product_limit(node: Node, scores: dict[Value, int]) -> str | None:
    left, result = node.operands[0] in scores, node.result in scores
    return None if left == result else "columns" if result else "summed"


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
