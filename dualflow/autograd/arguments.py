"""Arguments of a function that is differentiated, under names of their own.

Comes in: a function and its arguments, nested containers of tensors. Goes out: aliases that the
tape stops at, so that `.grad` of nothing is touched and a derivative inside a derivative never
mixes up whose variable is whose; and the ways from and to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, final

from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import is_inexact
from dualflow.base.errors import ArgumentError, GradientError
from dualflow.base.trees import Tree, flatten, unflatten
from dualflow.ops import door

from .backward import owned
from .grad_mode import taping
from .history import Argument, Edge, Node
from .tangents import zeros
from .tape import edge_of
from .walk import hooked, push, walk

Function = Callable[..., Any]


@final
class Renamed(NamedTuple):
    """Arguments under names of their own.

    Attributes:
        args: the arguments for the call.
        edges: the `Argument` of each tensor that is differentiated, in order.
        tensors: those tensors, renamed.
        trees: the nesting of each differentiated argument.
    """

    args: tuple[Any, ...]
    edges: tuple[Edge, ...]
    tensors: tuple[Tensor, ...]
    trees: tuple[Tree, ...]

    def cut(self, derivatives: Sequence[Tensor]) -> list[Any]:
        """Derivatives of all tensors as containers like the arguments."""
        return cut(derivatives, self.trees)

    def again(self, outs: Sequence[Tensor], given: Sequence[Tensor] = ()) -> bool:
        """Whether derivatives of `outs` are to be differentiated in turn."""
        return door.state.grad_enabled and (
            any(one.requires_grad for one in given) or self.leads_out(map(edge_of, outs))
        )

    def gradients(
        self, outs: Sequence[Tensor], weights: Sequence[Tensor], again: bool
    ) -> list[Tensor]:
        """The gradients of `outs`, weighted, for each differentiated tensor."""
        pairs = [(edge_of(out), weight) for out, weight in zip(outs, weights, strict=True)]
        with taping(again):
            starts = [(edge, weight) for edge, weight in pairs if edge is not None]
            ends = walk(starts, self.edges, again)[0]
            found = {id(edge): hooked(edge.hooks, g) for edge, g in ends}
            return _apart([found.get(id(edge)) for edge in self.edges], self.tensors, weights)

    def tangents(
        self, outs: Sequence[Tensor], given: Mapping[int, Tensor], again: bool
    ) -> list[Tensor]:
        """The tangents of `outs`, from `given` ones of differentiated tensors, by number."""
        with taping(again):
            starts = [(self.edges[i], tangent) for i, tangent in given.items()]
            found = push([edge_of(out) for out in outs], starts, again)
            return _apart(found, outs, list(given.values()))

    def leads_out(self, starts: Iterable[Edge]) -> bool:
        """Whether a history goes on beyond the arguments: to other tensors that require
        gradients, or to a gradient around this one."""
        own = frozenset(map(id, self.edges))
        first = min((edge.number for edge in self.edges), default=0)
        seen: set[int] = set()
        stack = list(starts)
        while stack:
            edge = stack.pop()
            if edge is None or id(edge) in seen:
                continue
            seen.add(id(edge))
            if id(edge) in own:
                if edge.edges != (None,):
                    return True
            elif type(edge) is Argument and edge.edges == (None,):
                if edge.number < first:  # else of a derivative within this one, which is done
                    return True
            elif isinstance(edge, Node):
                stack.extend(edge.edges)
            else:
                return True
        return False

    def release(self, value: Any, leads: bool | None = None) -> Any:
        """The tensors in `value` without histories that end at the arguments, which are unknown
        outside; `leads`: whether any leads beyond them, if that is known."""
        leaves, tree = flatten(value)
        made = [x for x in leaves if type(x) is Tensor and x.requires_grad]
        if not made:
            return value
        known = leads is not None and door.state.grad_enabled
        some = leads if known else door.state.grad_enabled and self.leads_out(map(edge_of, made))

        def released(x: Any) -> Any:
            if type(x) is not Tensor or not x.requires_grad:
                return x
            if some and (len(made) == 1 or self.leads_out([edge_of(x)])):
                return x
            return x._alias()  # not detach(): a gradient around a vmap goes on

        return unflatten(tree, list(map(released, leaves)))


def rename(fn: Function, args: tuple[Any, ...], numbers: tuple[int, ...]) -> Renamed:
    renamed = list(args)
    tensors: list[Tensor] = []
    trees: list[Tree] = []
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise ArgumentError(
                f"argument {number} of {name_of(fn)}, which was called with {len(args)} of them",
                instead="argnums of arguments that are given by position",
            )
        leaves, tree = flatten(args[number])
        fresh = [_fresh(fn, number, leaf) for leaf in leaves]
        renamed[number] = unflatten(tree, fresh)
        tensors += fresh
        trees.append(tree)
    edges = tuple(tensor._tape for tensor in tensors)
    return Renamed(tuple(renamed), edges, tuple(tensors), tuple(trees))


def lifted(tensor: Tensor) -> Tensor:
    """`tensor` as one of the active mode, which may tell its tensors from those around it."""
    lift = getattr(door.state.mode, "lift", None)
    return tensor if lift is None else lift(tensor)


def _fresh(fn: Function, number: int, leaf: Any) -> Tensor:
    if type(leaf) is not Tensor or not is_inexact(leaf.dtype):
        is_a = f"a tensor of {leaf.dtype.name}" if type(leaf) is Tensor else type(leaf).__name__
        raise GradientError(
            f"the gradient of {name_of(fn)} with respect to argument {number}, which is or holds "
            f"{is_a}",
            why="only tensors of floats (or complex numbers) have gradients",
            instead="df.asarray(...) or astype(df.float32), or other argnums",
        )
    fresh = lifted(leaf)._alias()
    fresh.requires_grad = True
    fresh._tape = Argument(edge_of(leaf) if door.state.grad_enabled else None)
    return fresh


def _apart(
    found: Sequence[Tensor | None], like: Sequence[Tensor], given: Sequence[Tensor]
) -> list[Tensor]:
    """Derivatives, zeros where there is none, that share no memory with what was given."""
    taken = {id(one._memory()) for one in given}
    return [
        owned(zeros(one) if x is None else x, taken) for x, one in zip(found, like, strict=True)
    ]


def cut(leaves: Sequence[Any], trees: Sequence[Tree]) -> list[Any]:
    found, start = [], 0
    for tree in trees:
        found.append(unflatten(tree, leaves[start : start + tree.leaves]))
        start += tree.leaves
    return found


def name_of(fn: Function) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def split(fn: Function, value: Any) -> tuple[Any, Any]:
    if type(value) is not tuple or len(value) != 2:
        raise GradientError(f"{name_of(fn)} returned a {type(value).__name__}",
                            why="with has_aux it returns a pair (value, aux)")  # fmt: skip
    return value


def check_value(fn: Function, value: Any) -> None:
    if type(value) is not Tensor or not is_inexact(value.dtype):
        raise not_differentiable(fn, value)
    if value.dtype.kind == "c":
        raise GradientError(
            f"the gradient of {name_of(fn)}, which returned a tensor of {value.dtype.name}",
            why="only a real number has a gradient: complex ones have no order",
            instead="its real part or its abs(), or df.vjp with complex weights",
        )
    if value.size != 1:
        raise GradientError(
            f"the gradient of {name_of(fn)}, which returned a tensor of shape {value.shape}",
            why="only a single number has a gradient",
            instead="its sum() or mean(), or df.vjp with one weight for each element",
        )


def not_differentiable(fn: Function, value: Any) -> GradientError:
    is_a = f"a tensor of {value.dtype.name}" if type(value) is Tensor else type(value).__name__
    return GradientError(
        f"the gradient of {name_of(fn)}, which returned {is_a}",
        why="only tensors of floats carry gradients; item() and float() drop them",
        instead="return the tensor; other results go out by has_aux=True",
    )


def check_weight(name: str, out: Tensor, weight: Any) -> None:
    """GradientError unless `weight` has the shape and dtype of `out`."""
    if type(weight) is not Tensor or weight.shape != out.shape or weight.dtype != out.dtype:
        is_a = (
            f"a tensor of shape {weight.shape} and dtype {weight.dtype.name}"
            if type(weight) is Tensor else type(weight).__name__
        )  # fmt: skip
        raise GradientError(
            f"{name}: {is_a} beside a tensor of shape {out.shape} and dtype {out.dtype.name}",
            why="there is one number for each element",
        )
