"""The way back: from outputs to leaves, each node once, in topological order, without recursion.

Comes in: edges with the gradients of something with respect to them. Goes out: gradients for the
leaves, or for chosen edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor

if TYPE_CHECKING:
    from .history import Edge, Node

Found = list[tuple[Any, Any]]


def walk(starts: Found, targets: Sequence[Edge] | None, create_graph: bool) -> tuple[Found, Found]:
    """Gradients for those of `targets` that are reached, or for all leaves if None; and those for
    tensors of which the gradient is kept. Grad mode must already be `create_graph`.
    """
    order, useful = order_of([edge for edge, _ in starts], targets)
    stops = frozenset(map(id, targets or ()))
    arrived: dict[int, Tensor] = {}
    leaves: dict[int, Tensor] = {}
    kept: Found = []
    for edge, g in starts:
        _arrive(edge, g, arrived, leaves)
    while order:
        node = order.pop()
        if id(node) in stops:
            continue
        g = arrived.pop(id(node), None)
        if g is None:
            continue
        if node.kept is not None and (tensor := node.kept()) is not None:
            kept.append((tensor, g))
        found = node.gradients(g, create_graph)
        for i, edge in enumerate(node.edges):
            gradient = found[i]
            if edge is None or gradient is None or (useful is not None and id(edge) not in useful):
                continue
            if type(gradient) is not Tensor:
                gradient = gradient()
            _arrive(edge, node.fitted(gradient, i), arrived, leaves)
    if targets is None:
        return [(leaf, arrived[number]) for number, leaf in leaves.items()], kept
    return [(edge, arrived[id(edge)]) for edge in targets if id(edge) in arrived], kept


def _arrive(edge: Edge, g: Tensor, arrived: dict[int, Tensor], leaves: dict[int, Tensor]) -> None:
    number = id(edge)
    before = arrived.get(number)
    arrived[number] = g if before is None else before + g
    if type(edge) is Tensor:
        leaves[number] = edge


def order_of(
    starts: Sequence[Edge], targets: Sequence[Edge] | None
) -> tuple[list[Node], set[int] | None]:
    """The nodes on the way from `starts`, each after all that it was made from, and the ids of
    the edges that lead to `targets` (None: all do)."""
    stops = frozenset(map(id, targets or ()))
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[Any] = list(starts)
    while stack:
        node = stack.pop()
        if node is None:  # all below the node that comes next is in `order`
            order.append(stack.pop())
            continue
        if type(node) is Tensor or id(node) in seen:
            continue
        seen.add(id(node))
        stack.append(node)
        stack.append(None)
        if id(node) not in stops:
            for edge in node.edges:
                if edge is not None and id(edge) not in seen:
                    stack.append(edge)
    if targets is None:
        return order, None
    useful = set(stops)
    for node in order:
        for edge in node.edges:
            if edge is not None and id(edge) in useful:
                useful.add(id(node))
                break
    return order, useful
