"""The ways along the tape: back with gradients, forward with tangents; each node once, in
topological order, without recursion.

Comes in: edges with the gradients of something with respect to them, or with tangents. Goes out:
gradients for the leaves or for chosen edges; tangents of results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dualflow.array.storage import held_back
from dualflow.array.tensor import Tensor
from dualflow.ops import devices, door

from . import diagonals

if TYPE_CHECKING:
    from .history import Edge, Node

Found = list[tuple[Any, Any]]

away = door.away


def walk(starts: Found, targets: Sequence[Edge] | None, create_graph: bool) -> tuple[Found, Found]:
    """Gradients for those of `targets` that are reached, or for all leaves if None; and those for
    tensors of which the gradient is kept. Grad mode must already be `create_graph`. The hooks of
    `targets` are left to the caller, for whom the gradient may be a part of the whole one.
    """
    if not away:
        return _walk(starts, targets, create_graph)
    before = door.state.device
    try:
        return _walk(starts, targets, create_graph)
    finally:
        door.state.device = before


def _walk(starts: Found, targets: Sequence[Edge] | None, create_graph: bool) -> tuple[Found, Found]:
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
        if node.hooks is not None:
            g = hooked(node.hooks, g)
        if node.kept is not None and (tensor := node.kept()) is not None:
            kept.append((tensor, g))
        if away:
            devices.lie_beside(g)
        found = node.gradients(g, create_graph)
        for i, edge in enumerate(node.edges):
            gradient = found[i]
            if edge is None or gradient is None or (useful is not None and id(edge) not in useful):
                continue
            if type(gradient) is not Tensor:
                gradient = gradient()
            _arrive(edge, node.fitted(gradient, i), arrived, leaves)
    if targets is not None:
        return [(edge, arrived[id(edge)]) for edge in targets if id(edge) in arrived], kept
    return [(leaf, hooked(leaf._hooks, arrived[at])) for at, leaf in leaves.items()], kept


def hooked(hooks: dict[int, Any] | None, g: Tensor) -> Tensor:
    """A gradient after hooks have seen it, in the order in which they were registered."""
    if not hooks:
        return g
    for hook in list(hooks.values()):
        g = hook(g)
    return g


def push(outs: Sequence[Edge], given: Found, create_graph: bool) -> list[Any]:
    """The tangent of each of `outs` (None: zero), from those `given` for edges. Grad mode must
    already be `create_graph`."""
    sources = [edge for edge, _ in given]
    tangents: dict[int, Any] = {id(edge): tangent for edge, tangent in given}
    order, useful = order_of([edge for edge in outs if edge is not None], sources)
    assert useful is not None
    last: dict[int, Any] = {}  # by edge the node that uses its tangent last
    steps = []
    for node in order:
        if id(node) in useful and id(node) not in tangents:
            steps.append(node)
            for edge in node.edges:
                last[id(edge)] = node
    for edge in outs:
        last[id(edge)] = None
    at_once = not create_graph and door.unnoted() is not None and not held_back
    own: set[int] = set()  # the nodes whose tangents nobody else holds
    for node in steps:
        numbers = tuple(map(id, node.edges))
        arrived = tuple(map(tangents.get, numbers))
        if arrived[0] is None and all(one is None for one in arrived):
            continue
        spare = []
        for number in numbers:
            ends = last[number] is node
            spare.append(ends and number in own and numbers.count(number) == 1)
            if ends:
                tangents.pop(number, None)  # its memory serves the tangents to come
        if away:
            devices.lie_beside(next(one for one in arrived if one is not None))
        found = diagonals.tangent(node, arrived, spare) if at_once else None
        if found is None:
            own.difference_update(numbers)  # the rule may hand on a part of what it was given
            tangents[id(node)] = node.tangent(arrived, create_graph)
            continue
        tangents[id(node)], handed_on, is_own = found
        if handed_on:
            own.difference_update(numbers)
        if is_own:
            own.add(id(node))
    return [None if edge is None else tangents.get(id(edge)) for edge in outs]


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
