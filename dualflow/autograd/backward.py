"""The way back: from outputs to leaves, each node once, in topological order, without recursion.

Comes in: a tensor and the gradient of something with respect to it. Goes out: gradients for the
leaves, added to `.grad`, or for chosen edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dualflow.array.tensor import Tensor
from dualflow.base.errors import GradientError
from dualflow.ops import door
from dualflow.ops import primitives as p

from .history import Edge, Node
from .tape import edge_of


def backward(tensor: Tensor, gradient: Tensor | None = None, *, create_graph: bool = False) -> None:
    """Add to `.grad` of every leaf the gradient of `tensor` with respect to it.

    The history stays as long as tensors that need it live, so it may be called again.

    Args:
        tensor: the result; of one element unless `gradient` is given.
        gradient: the gradient of something with respect to `tensor`, of its shape and dtype.
        create_graph: whether the gradients can be differentiated in turn. Then `.grad` is
            replaced by a sum; else it is added to in place.

    Raises:
        GradientError: `tensor` requires no gradient, or `gradient` is missing or does not fit.
        InPlaceError: a value that a gradient needs was written in place.
    """
    start = edge_of(tensor)
    if start is None:
        raise GradientError(
            f"backward() of a tensor of shape {tensor.shape} that requires no gradient",
            why="nothing it was computed from requires one, or it was computed under no_grad() "
            "or from detach()ed values",
            instead="requires_grad_() on the inputs before computing",
        )
    given = _check_gradient(tensor, gradient)
    before = door.state.grad_enabled
    door.state.grad_enabled = create_graph
    try:
        found, kept = walk([(start, given)], None, create_graph)
        taken = set() if gradient is None else {id(given._memory())}
        for leaf, g in (*found, *kept):
            _store(leaf, g, create_graph, taken)
    finally:
        door.state.grad_enabled = before


def _check_gradient(tensor: Tensor, gradient: Tensor | None) -> Tensor:
    if gradient is None:
        if tensor.size != 1:
            raise GradientError(
                f"backward() of a tensor of shape {tensor.shape} without a gradient",
                why="only a single number has a gradient by itself",
                instead="backward() of its sum() or mean(), or backward(gradient) with one weight "
                "for each element",
            )
        return ones_like(tensor)
    if type(gradient) is not Tensor:
        raise GradientError(f"a gradient of type {type(gradient).__name__}",
                            instead="a tensor")  # fmt: skip
    if gradient.shape != tensor.shape or gradient.dtype != tensor.dtype:
        raise GradientError(
            f"a gradient of shape {gradient.shape} and dtype {gradient.dtype.name} for a tensor "
            f"of shape {tensor.shape} and dtype {tensor.dtype.name}",
            why="there is one weight for each element",
        )
    return gradient


def ones_like(tensor: Tensor) -> Tensor:
    return p.full(shape=tensor.shape, value=1.0, dtype=tensor.dtype)


def _store(leaf: Tensor, g: Tensor, create_graph: bool, taken: set[int]) -> None:
    """Add `g` to `leaf.grad`."""
    if leaf.grad is None:
        leaf.grad = owned(g, taken)
        if leaf.grad.requires_grad and not create_graph:
            leaf.grad = leaf.grad.detach()
    elif create_graph:
        leaf.grad = leaf.grad + g
    else:
        held = leaf.grad
        held += g


def owned(g: Tensor, taken: set[int]) -> Tensor:
    """`g`, or a copy of it if it is a view or its memory is one of those `taken` already.

    Gradients that leave this room are written in place by users (clipping, say), so no two share
    memory. The memory of the result is added to `taken`.
    """
    if g._view or id(g._memory()) in taken:
        g = p.cast(g, dtype=g.dtype)
    taken.add(id(g._memory()))
    return g


Found = list[tuple[Edge, Tensor]]


def walk(starts: Found, targets: Sequence[Edge] | None, create_graph: bool) -> tuple[Found, Found]:
    """Gradients for those of `targets` that are reached, or for all leaves if None; and those for
    tensors of which the gradient is kept. Grad mode must already be `create_graph`.
    """
    order, useful = _order([edge for edge, _ in starts], targets)
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


def _order(
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
