"""Gradients of functions: `grad`, `value_and_grad`, `vjp`, for nested containers and of any order.

Comes in: a function of tensors. Goes out: a function that gives gradients. Arguments are renamed
for the call (aliases the tape stops at), so `.grad` of nothing is touched and a gradient inside a
gradient never mixes up whose variable is whose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, final

from dualflow.array.tensor import Tensor
from dualflow.base.errors import ArgumentError, GradientError
from dualflow.base.trees import Tree, flatten, tree_map, unflatten
from dualflow.ops import door
from dualflow.ops import primitives as p

from .backward import ones_like, owned
from .grad_mode import enable_grad
from .history import Argument, Edge, Node
from .tape import edge_of
from .walk import walk

Function = Callable[..., Any]


def grad(fn: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """The function that gives the gradient of `fn` with respect to an argument.

    Args:
        fn: gives a tensor of one element (with `has_aux`, and something else: a pair).
        argnums: which argument, counted from 0, or several. An argument may be a nested container
            of float tensors.
        has_aux: whether `fn` returns a pair (value, aux); then (gradient, aux) is returned.

    Returns:
        A function of the same arguments. It gives a container like the argument (for several
        arguments a tuple of them); zeros where `fn` does not depend on a tensor.

    Raises:
        GradientError: an argument holds something else than float tensors, or the value is not a
            float tensor of one element.

    >>> import dualflow as df
    >>> df.grad(lambda x: (x**3).sum())(df.tensor([1.0, 2.0])).tolist()
    [3.0, 12.0]
    """
    both = value_and_grad(fn, argnums, has_aux=has_aux)

    @wraps(fn)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, gradients = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return gradient


def value_and_grad(
    fn: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False
) -> Function:
    """The function that gives the value of `fn` and its gradient, as a pair; see `grad`.

    With `has_aux` the pair is ((value, aux), gradient).

    >>> import dualflow as df
    >>> value, gradient = df.value_and_grad(lambda x: (x * x).sum())(df.tensor([3.0]))
    >>> value.item(), gradient.item()
    (9.0, 6.0)
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @wraps(fn)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        renamed = _rename(fn, args, numbers)
        with enable_grad():
            value = fn(*renamed.args, **kwargs)
        value, aux = _split(fn, value) if has_aux else (value, None)
        _check_value(fn, value)
        found = renamed.pull([value], [ones_like(value)])
        gradients = found[0] if isinstance(argnums, int) else tuple(found)
        value = renamed.release(value)
        if has_aux:
            return (value, tree_map(renamed.release, aux)), gradients
        return value, gradients

    return value_and_gradient


def vjp(fn: Function, *args: Any) -> tuple[Any, Function]:
    """The value of `fn(*args)`, and the function that multiplies vectors by its Jacobian.

    Args:
        fn: gives a tensor, or a container of tensors.
        args: containers of float tensors.

    Returns:
        The value; and a function that takes a container like the value, of weights for each of its
        elements, and gives a tuple of containers like `args`. It may be called several times.

    Raises:
        GradientError: `args` hold something else than float tensors, or weights do not fit.

    >>> import dualflow as df
    >>> value, pull = df.vjp(lambda x: x * x, df.tensor([1.0, 2.0]))
    >>> pull(df.tensor([1.0, 10.0]))[0].tolist()
    [2.0, 40.0]
    """
    renamed = _rename(fn, args, tuple(range(len(args))))
    with enable_grad():
        value = fn(*renamed.args)
    outs, tree = flatten(value)
    for out in outs:
        if type(out) is not Tensor:
            raise _not_differentiable(fn, out)

    def pull(weights: Any) -> tuple[Any, ...]:
        given, shape = flatten(weights)
        if shape != tree:
            raise GradientError("vjp: the weights are nested otherwise than the value",
                                instead="a container like the value")  # fmt: skip
        for out, weight in zip(outs, given, strict=True):
            _check_weight(out, weight)
        return tuple(renamed.pull(outs, given))

    return tree_map(renamed.release, value), pull


@final
@dataclass(frozen=True, slots=True)
class _Renamed:
    """Arguments under names of their own.

    Attributes:
        args: the arguments for the call.
        edges: the fresh edge of each tensor that is differentiated, in order.
        tensors: those tensors, renamed.
        trees: the nesting of each differentiated argument.
    """

    args: tuple[Any, ...]
    edges: tuple[Edge, ...]
    tensors: tuple[Tensor, ...]
    trees: tuple[Tree, ...]

    def pull(self, outs: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Any]:
        """The gradients of `outs`, weighted, for each differentiated argument."""
        pairs = [(edge_of(out), weight) for out, weight in zip(outs, weights, strict=True)]
        starts = [(edge, weight) for edge, weight in pairs if edge is not None]
        before = door.state.grad_enabled
        differentiable = before and (
            any(weight.requires_grad for weight in weights)
            or any(self.leads_out(edge) for edge, _ in starts)
        )
        door.state.grad_enabled = differentiable
        try:
            found = {id(edge): g for edge, g in walk(starts, self.edges, differentiable)[0]}
            taken = {id(weight._memory()) for weight in weights}
            leaves = []
            for edge, tensor in zip(self.edges, self.tensors, strict=True):
                g = found.get(id(edge))
                if g is None:
                    g = p.full(shape=tensor.shape, value=0.0, dtype=tensor.dtype)
                leaves.append(owned(g, taken))
        finally:
            door.state.grad_enabled = before
        return _cut(leaves, self.trees)

    def leads_out(self, start: Edge) -> bool:
        """Whether the history goes on beyond the arguments: to other tensors that require
        gradients, or to a gradient around this one."""
        own = frozenset(map(id, self.edges))
        seen: set[int] = set()
        stack = [start]
        while stack:
            edge = stack.pop()
            if edge is None or id(edge) in seen:
                continue
            seen.add(id(edge))
            if id(edge) in own:
                if isinstance(edge, Node):
                    return True
            elif isinstance(edge, Node):
                stack.extend(edge.edges)
            else:
                return True
        return False

    def release(self, value: Any) -> Any:
        """`value` without the history that ends at the arguments, which are unknown outside."""
        if type(value) is not Tensor or not value.requires_grad:
            return value
        if door.state.grad_enabled and self.leads_out(edge_of(value)):
            return value
        return value.detach()


def _rename(fn: Function, args: tuple[Any, ...], numbers: tuple[int, ...]) -> _Renamed:
    renamed = list(args)
    tensors: list[Tensor] = []
    trees: list[Tree] = []
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise ArgumentError(
                f"argument {number} of {_name(fn)}, which was called with {len(args)} by position",
                instead="argnums of arguments that are given by position",
            )
        leaves, tree = flatten(args[number])
        fresh = [_fresh(fn, number, leaf) for leaf in leaves]
        renamed[number] = unflatten(tree, fresh)
        tensors += fresh
        trees.append(tree)
    edges = tuple(tensor if tensor._tape is None else tensor._tape for tensor in tensors)
    return _Renamed(tuple(renamed), edges, tuple(tensors), tuple(trees))


def _fresh(fn: Function, number: int, leaf: Any) -> Tensor:
    if type(leaf) is not Tensor or leaf.dtype.kind not in "fc":
        is_a = f"a tensor of {leaf.dtype.name}" if type(leaf) is Tensor else type(leaf).__name__
        raise GradientError(
            f"the gradient of {_name(fn)} with respect to argument {number}, which is or holds "
            f"{is_a}",
            why="only tensors of floats (or complex numbers) have gradients",
            instead="df.asarray(...) or astype(df.float32), or other argnums",
        )
    fresh = leaf._alias()
    fresh.requires_grad = True
    edge = edge_of(leaf) if door.state.grad_enabled else None
    if edge is not None:
        fresh._tape = Argument(edge)
    return fresh


def _cut(leaves: list[Tensor], trees: Sequence[Tree]) -> list[Any]:
    found, start = [], 0
    for tree in trees:
        found.append(unflatten(tree, leaves[start : start + tree.leaves]))
        start += tree.leaves
    return found


def _name(fn: Function) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def _split(fn: Function, value: Any) -> tuple[Any, Any]:
    if type(value) is not tuple or len(value) != 2:
        raise GradientError(f"{_name(fn)} returned a {type(value).__name__}",
                            why="with has_aux it returns a pair (value, aux)")  # fmt: skip
    return value


def _check_value(fn: Function, value: Any) -> None:
    if type(value) is not Tensor or value.dtype.kind not in "fc":
        raise _not_differentiable(fn, value)
    if value.dtype.kind == "c":
        raise GradientError(
            f"the gradient of {_name(fn)}, which returned a tensor of {value.dtype.name}",
            why="only a real number has a gradient: complex ones have no order",
            instead="its real part or its abs(), or df.vjp with complex weights",
        )
    if value.size != 1:
        raise GradientError(
            f"the gradient of {_name(fn)}, which returned a tensor of shape {value.shape}",
            why="only a single number has a gradient",
            instead="its sum() or mean(), or df.vjp with one weight for each element",
        )


def _not_differentiable(fn: Function, value: Any) -> GradientError:
    is_a = f"a tensor of {value.dtype.name}" if type(value) is Tensor else type(value).__name__
    return GradientError(
        f"the gradient of {_name(fn)}, which returned {is_a}",
        why="only tensors of floats carry gradients; item() and float() drop them",
        instead="return the tensor; other results go out by has_aux=True",
    )


def _check_weight(out: Tensor, weight: Any) -> None:
    if type(weight) is not Tensor or weight.shape != out.shape or weight.dtype != out.dtype:
        is_a = (
            f"a tensor of shape {weight.shape} and dtype {weight.dtype.name}"
            if type(weight) is Tensor else type(weight).__name__
        )  # fmt: skip
        raise GradientError(
            f"vjp: {is_a} as weights of a value of shape {out.shape} and dtype {out.dtype.name}",
            why="there is one weight for each element",
        )
