"""What a stretch of a program made of the tape: nodes are numbered in the order they are made.

Comes in: results of the stretch, and the number at which it began. Goes out: the edges by which
their history leads to what was there before.
"""

from __future__ import annotations

from collections.abc import Sequence

from dualflow.array.tensor import Tensor

from .history import Edge, Node


def outside(edges: Sequence[Edge], start: int) -> list[Edge]:
    """The leaves, and the nodes made before `start`, that are reached from `edges`."""
    found: dict[int, Edge] = {}
    seen: set[int] = set()
    stack = list(edges)
    while stack:
        edge = stack.pop()
        if edge is None or id(edge) in seen:
            continue
        seen.add(id(edge))
        if isinstance(edge, Node) and edge.number > start:
            stack.extend(edge.edges)
        else:
            found[id(edge)] = edge
    return list(found.values())


def made_in(tensor: Tensor, start: int) -> bool:
    """Whether a result has memory of its own and was computed on the tape since `start`."""
    node = tensor._tape
    return isinstance(node, Node) and node.number > start and not tensor._view
