"""What differs from step to step as rows of a table: stretches that differ in nothing else repeat.

    t0 = x + 0.0; t1 = t0 + 0.01; ...    ->    t0 = x + table[0]; t1 = t0 + table[1]; ...

Comes in: a graph in which no loop was found, and which of its inputs are of one family (the states
of random draws, say). Goes out: a graph with loops that takes tables in their place, and the tables
that are known: of Python's numbers, which the recording wrote into the graph.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from dualflow.ir.graph import Graph, Node, Value, attribute_key
from dualflow.ir.types import TensorType
from dualflow.ops import primitives as p

from .rewriter import Rewriter
from .rolling import WORTH, roll
from .steps import LEAST

#: What is left of the graph has to be less than such a part of it.
SHORTER = 0.5


class Tabled(NamedTuple):
    """A graph that takes tables.

    Attributes:
        graph: its inputs are those given that are in no family, then `numbers`, then the families.
        kept: the places of the former.
        numbers: tables of numbers.
    """

    graph: Graph
    kept: list[int]
    numbers: list[np.ndarray]


def tabulate(graph: Graph, families: Sequence[Sequence[int]]) -> Tabled | None:
    """See the module; None where no loops come of it. `families` are places of inputs of one type,
    in the order of the rows."""
    if len(graph.nodes) < WORTH:
        return None
    places = _varying(graph)
    families = [family for family in families if len(family) >= LEAST]
    if not places and not families:
        return None
    numbers = [_table(nodes) for nodes in places]
    within = {place for family in families for place in family}
    kept = [i for i in range(len(graph.inputs)) if i not in within]
    types = [graph.inputs[i].type for i in kept]
    types += [TensorType(table.shape, table.dtype) for table in numbers]
    for family in families:
        row = graph.inputs[family[0]].type
        types.append(TensorType((len(family), *row.shape), row.dtype))
    inputs = tuple([Value(type_, None, i) for i, type_ in enumerate(types)])
    found = roll(_rewritten(graph, kept, places, families, inputs))
    return Tabled(found, kept, numbers) if len(found.nodes) < SHORTER * len(graph.nodes) else None


def _varying(graph: Graph) -> list[list[Node]]:
    """Constants of one line and type that are taken by one op in one place, with many values: few
    are found as they are, as they come back every so manyth step."""
    groups: dict[Hashable, list[Node]] = {}
    seen: set[Node] = set()
    full = p.full.op
    for node in graph.nodes:
        for a, value in enumerate(node.operands):
            made = value.node
            if made is not None and made.op is full and made not in seen:
                seen.add(made)
                groups.setdefault((made.line, value.type, node.op, a), []).append(made)
    return [nodes for nodes in groups.values() if _values(nodes) >= LEAST]


def _values(nodes: Sequence[Node]) -> int:
    """How many there are; no more than nodes."""
    if len(nodes) < LEAST:
        return 0
    return len({attribute_key(node.attributes["value"]) for node in nodes})


def _table(nodes: Sequence[Node]) -> np.ndarray:
    table = np.empty(len(nodes), nodes[0].result.dtype)
    for i, node in enumerate(nodes):
        table[i] = node.attributes["value"]
    return table


def _rewritten(
    graph: Graph,
    kept: Sequence[int],
    places: Sequence[Sequence[Node]],
    families: Sequence[Sequence[int]],
    inputs: tuple[Value, ...],
) -> Graph:
    """The graph that takes `inputs`; a row of a family is seen anew by each of its readers."""
    rewriter = Rewriter(Graph(inputs, (), ()))
    for i, new in zip(kept, inputs, strict=False):
        rewriter.replace(graph.inputs[i], new)
    first, second = len(kept), len(kept) + len(places)
    numbers = {
        node: (table, k)
        for nodes, table in zip(places, inputs[first:second], strict=True)
        for k, node in enumerate(nodes)
    }
    rows = {
        graph.inputs[i]: (table, k)
        for family, table in zip(families, inputs[second:], strict=True)
        for k, i in enumerate(family)
    }

    def row(of: tuple[Value, int], node: Node | None) -> Value:
        line = None if node is None else node.line
        return rewriter.add(p.select.op, (of[0],), {"axis": 0, "index": of[1]}, line).result

    for node in graph.nodes:
        if node in numbers:
            value, shape = row(numbers[node], node), node.result.shape
            if shape:
                value = rewriter.add(p.expand.op, (value,), {"shape": shape}, node.line).result
            rewriter.replace(node.result, value)
            continue
        for value in dict.fromkeys(node.operands):
            if value in rows:
                rewriter.replace(value, row(rows[value], node))
        rewriter.keep(node)
    for value in graph.outputs:
        if value in rows:
            rewriter.replace(value, row(rows[value], None))
    return rewriter.graph_of(graph.outputs)
