"""Large products of matrices whose rows are needed again later are computed again, not kept.

    s = q @ k'; w = exp(s - m); o = w @ v; ...; d = w * t     w would be kept for d
    s = q @ k'; w = exp(s - m); o = w @ v; ...; w2 = exp(q @ k' - m); d = w2 * t

So the gradient of attention holds no matrix of scores: what reads the second copy runs with it,
block by block (see `chains.py`). Comes in: a graph. Goes out: a graph of the same meaning, with the
same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from dualflow.ir.backend import Backend
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import Kind
from dualflow.ir.types import View

#: A product of so many bytes and more costs as much to write and read as to compute again,
LARGE = 4 << 20
#: if it has so many times the elements of what is multiplied.
LARGER = 2


def recompute_scores(graph: Graph, backend: Backend, exact: bool) -> Graph:
    """See the module."""
    if not backend.chains or exact:
        return graph
    scores: set[Value] = set()
    late: set[Node] = set()
    for number, node in enumerate(graph.nodes):
        if _is_large(node):
            found, readers = _late_readers(graph.nodes[number:])
            if readers:
                scores, late = scores | found, late | readers
    return _with_copies(graph, scores, late) if late else graph


def _is_large(node: Node) -> bool:
    if node.op.kind is not Kind.CONTRACTION:
        return False
    size = sum(value.type.size for value in node.operands)
    return node.result.type.nbytes >= LARGE and node.result.type.size >= LARGER * size


def _late_readers(nodes: Sequence[Node]) -> tuple[set[Value], set[Node]]:
    """Of the product that comes first: its result and what has its elements one by one; and the
    nodes that read these when something else than rows of theirs has been computed of them."""
    scores: set[Value] = {nodes[0].result}
    late: set[Node] = set()
    after: set[Value] = set()  # what is made of a product with the scores
    near: set[Value] = set()  # such that each row of it needs one row of the scores
    for node in nodes[1:]:
        read, made = scores.intersection(node.operands), after.intersection(node.operands)
        if made:
            after.update(node.results)
            if made <= near and _keeps_rows(node, near):
                near.update(node.results)
            if read and not made <= near:
                late.add(node)
        elif read and node.op.kind is Kind.CONTRACTION:
            after.update(node.results)
            near.update(node.results)
        elif read and _keeps_elements(node, nodes[0].result):
            scores.update(node.results)
    return scores, late


def _keeps_rows(node: Node, near: set[Value]) -> bool:
    """Whether rows of the result need the same rows of those operands that are `near`."""
    if node.op.kind is Kind.CONTRACTION:
        return node.operands[0] in near and node.operands[1] not in near
    if node.op.kind is Kind.MOVEMENT:
        return _keeps_order(node)
    if node.op.kind is Kind.REDUCTION:
        axes = node.attributes["axes"]
        return axes == (len(node.operands[0].shape) - 1,)
    return node.op.kind is Kind.ELEMENTWISE


def _keeps_order(node: Node) -> bool:
    """Whether a movement shows all elements of its operand in their order, or repeats them."""
    if node.op.view is None:
        return False
    view = node.op.view(View.contiguous(node.operands[0].shape), **node.attributes)
    if view is None or view.offset:
        return False
    walked = [(n, step) for n, step in zip(view.shape, view.strides, strict=True) if n > 1 and step]
    steps = [step for _, step in walked]
    whole = prod(n for n, _ in walked) == node.operands[0].type.size
    return whole and steps == sorted(steps, reverse=True)


def _keeps_elements(node: Node, scores: Value) -> bool:
    """Whether the result has an element for each of the scores."""
    if node.op.kind not in (Kind.ELEMENTWISE, Kind.MOVEMENT) or node.may_raise:
        return False
    return len(node.results) == 1 and node.result.type.size == scores.type.size


def _with_copies(graph: Graph, scores: set[Value], late: set[Node]) -> Graph:
    """The graph in which the nodes `late` read copies of `scores`, computed just before."""
    copies: dict[Value, Value] = {}
    instead: dict[Value, Value] = {}
    nodes: list[Node] = []

    def put(node: Node, operands: tuple[Value, ...]) -> Node:
        types = tuple(value.type for value in node.results)
        nodes.append(Node(node.op, operands, node.attributes, types, node.line))
        return nodes[-1]

    def read(value: Value) -> Value:
        """A copy of one of the scores, or what stands for another value."""
        if value not in scores:
            return instead.get(value, value)
        if value not in copies:
            node = value.node
            assert node is not None
            copies[value] = put(node, tuple(map(read, node.operands))).result
        return copies[value]

    for node in graph.nodes:
        operands = tuple([instead.get(value, value) for value in node.operands])
        if node in late:
            operands = tuple(map(read, node.operands))
        if operands == node.operands:
            nodes.append(node)
        else:
            instead.update(zip(node.results, put(node, operands).results, strict=True))
    return Graph(graph.inputs, tuple(nodes), tuple(instead.get(v, v) for v in graph.outputs))
