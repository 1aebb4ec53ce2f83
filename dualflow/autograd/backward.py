"""`backward`: gradients of a tensor, added to `.grad` of the leaves it was made from.

Comes in: a tensor and the gradient of something with respect to it. Goes out: `.grad`.
"""

from __future__ import annotations

from dualflow.array.tensor import Tensor
from dualflow.base.errors import GradientError
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.devices import beside

from .tape import edge_of
from .walk import walk


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

    >>> import dualflow as df
    >>> x = df.tensor([1.0, 2.0], requires_grad=True)
    >>> df.backward((x * x).sum())
    >>> x.grad.tolist()
    [2.0, 4.0]
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
            _check_owner(leaf)
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
        if tensor.dtype.kind == "c":
            raise GradientError(
                f"backward() of a tensor of {tensor.dtype.name} without a gradient",
                why="only a real number has a gradient: complex ones have no order",
                instead="backward() of its real part or abs(), or backward(gradient)",
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
    with beside(tensor):
        return p.full(shape=tensor.shape, value=1.0, dtype=tensor.dtype)


def _check_owner(leaf: Tensor) -> None:
    """GradientError within `vmap` for a leaf from outside, which cannot hold a batch."""
    owns = getattr(door.state.mode, "owns", None)
    if owns is not None and not owns(leaf):
        raise GradientError(
            f"backward() within vmap reaches a tensor of shape {leaf.shape} from outside",
            why="its .grad would be another one for each of the batch",
            instead="df.grad within, or backward() of what vmap gives",
        )


def _store(leaf: Tensor, g: Tensor, create_graph: bool, taken: set[int]) -> None:
    """Add `g` to `leaf.grad`."""
    if leaf.grad is None:
        leaf.grad = owned(g, taken)
        if leaf.grad.requires_grad and not create_graph:
            leaf.grad = leaf.grad._alias()
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
