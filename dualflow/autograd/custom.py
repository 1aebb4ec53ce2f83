"""Gradients that a user gives, and gradients that are stopped.

Comes in: a function that gives its value and its gradient. Goes out: a function whose value is that
one, with a node on the tape that asks for the gradient when one arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, final

from dualflow.array.tensor import Tensor
from dualflow.base.errors import GradientError
from dualflow.base.trees import Tree, flatten, parts, tree_map, unflatten
from dualflow.ir.types import TensorType
from dualflow.ops import door

from .arguments import cut, name_of
from .grad_mode import taping
from .history import Edge, Node, Output, Parts, count, in_dtype
from .segment import made_in, outside
from .tangents import zeros
from .tape import edge_of
from .users import call_user
from .walk import walk

Function = Callable[..., Any]


def stop_gradient(x: Any) -> Any:
    """`x` (a tensor, or a container of tensors) with no gradient flowing through it.

    >>> import dualflow as df
    >>> df.grad(lambda x: (x * df.stop_gradient(x)).sum())(df.tensor([3.0])).tolist()
    [3.0]
    """
    return tree_map(lambda leaf: leaf.detach() if type(leaf) is Tensor else leaf, x)


def custom_gradient(fn: Function) -> Function:
    """A function with a gradient of its own.

    Args:
        fn: gives a pair (value, gradient), or a triple (value, gradient, tangent). `value` is a
            tensor or a container. `gradient(g)` gets a container like the value and gives the
            gradient for the argument; of several positional arguments a tuple, one for each, None
            for none. `tangent(*t)` gets a tangent for each argument and gives that of the value;
            without it forward mode transposes `gradient`, which must then be made of operations
            on g. Complex numbers: `gradient` follows df.grad's convention, dL/dRe + i dL/dIm.

    Returns:
        A function of the same arguments that gives the value. Second derivatives are those of
        what `gradient` computes, with the value itself differentiated by `gradient` again.

    Raises:
        GradientError: `fn` gives something else; it uses tensors that require a gradient and are
            no positional arguments; gradients do not fit the arguments.

    >>> import dualflow as df
    >>> @df.custom_gradient
    ... def round_straight_through(x):
    ...     return df.round(x), lambda g: g
    >>> df.grad(lambda x: round_straight_through(x * 3.0).sum())(df.tensor([0.5])).tolist()
    [3.0]
    """

    @wraps(fn)
    def with_gradient(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = flatten(args)
        wanted = [type(x) is Tensor and x.requires_grad for x in leaves]
        start = count()
        with taping(door.state.grad_enabled and any(wanted)):
            value, gradient, tangent = _parts(fn, fn(*args, **kwargs))
        if not (door.state.grad_enabled and any(wanted)):
            return value
        outs, value_tree = flatten(value)
        edges = tuple(edge_of(x) if want else None for x, want in zip(leaves, wanted, strict=True))
        _check_closed(fn, outs, edges, start)
        types = [TensorType(x.shape, x.dtype) if type(x) is Tensor else None for x in leaves]
        node = Custom(fn, edges, types, tree, value_tree, outs, gradient, tangent)
        return unflatten(value_tree, [_given(node, i, out, start) for i, out in enumerate(outs)])

    return with_gradient


def _parts(fn: Function, found: Any) -> tuple[Any, Any, Any]:
    if type(found) is tuple and len(found) in (2, 3) and all(map(callable, found[1:])):
        return found[0], found[1], found[2] if len(found) == 3 else None
    raise GradientError(f"{name_of(fn)} returned a {type(found).__name__}",
                        why="with custom_gradient it returns a pair (value, gradient), or "
                        "(value, gradient, tangent)")  # fmt: skip


def _check_closed(fn: Function, outs: Sequence[Any], edges: Sequence[Edge], start: int) -> None:
    own = {id(edge) for edge in edges}
    made = [edge_of(out) for out in outs if type(out) is Tensor]
    if any(id(edge) not in own for edge in outside(made, start)):
        raise GradientError(
            f"{name_of(fn)} uses a tensor that requires a gradient and is no argument",
            why="its gradient is given for positional arguments only",
            instead="pass the tensor as an argument, or stop_gradient() it",
        )


def _given(node: Custom, i: int, out: Any, start: int) -> Any:
    """An output with `node` as its history, in its own handle where `fn` made it: so `gradient`,
    which may hold it, is differentiated through `node` too."""
    if type(out) is not Tensor or out.dtype.kind not in "fc":
        return out
    if not made_in(out, start):
        out = out._alias() if not out.requires_grad else out.copy()
    out._tape, out.requires_grad = Output(node, i), True
    return out


@final
class Custom(Node):
    """A call of a function with a gradient of its own.

    Attributes:
        fn: the function, for messages.
        types: of each leaf of the arguments, None where it is no tensor.
        tree, value_tree: the nesting of the arguments, of the value.
        outs: the type of each leaf of the value; None where it is no tensor.
        gradient, tangent: what the user gave.
    """

    __slots__ = ("fn", "gradient_of", "outs", "tangent_of", "tree", "types", "value_tree")

    def __init__(
        self, fn: Function, edges: tuple[Edge, ...], types: list[TensorType | None], tree: Tree,
        value_tree: Tree, outs: Sequence[Any], gradient: Function, tangent: Function | None,
    ) -> None:  # fmt: skip
        super().__init__(edges)
        self.fn, self.types, self.tree, self.value_tree = fn, types, tree, value_tree
        self.outs = [TensorType(x.shape, x.dtype) if type(x) is Tensor else None for x in outs]
        self.gradient_of, self.tangent_of = gradient, tangent

    def gradients(self, g: Parts, differentiable: bool) -> tuple[Any, ...]:
        weights = [
            g.found[i] if i in g.found else None if type_ is None else zeros(type_)
            for i, type_ in enumerate(self.outs)
        ]
        found = call_user(self.gradient_of, unflatten(self.value_tree, weights))
        found = (found,) if len(self.tree.children) == 1 else found
        if type(found) not in (tuple, list) or len(found) != len(self.tree.children):
            raise self._wrong(f"{type(found).__name__} for {len(self.tree.children)} arguments")
        leaves: list[Any] = []
        for one, tree in zip(found, self.tree.children, strict=True):
            leaves += self._leaves(one, tree)
        return tuple(map(self._fitting, leaves, self.types, self.edges))

    def _leaves(self, value: Any, tree: Tree) -> list[Any]:
        """The leaves of a gradient for an argument; None may stand for any part of it."""
        if value is None:
            return [None] * tree.leaves
        if tree.kind is None:
            return [value]
        keys, inner = parts(value) or ((), [])
        if type(value) is not tree.kind or set(keys) != set(tree.keys) or (
            len(inner) != len(tree.children)
        ):  # fmt: skip
            raise self._wrong("a container that is nested otherwise than the argument")
        if keys:
            inner = [inner[keys.index(key)] for key in tree.keys]
        pairs = zip(inner, tree.children, strict=True)
        return [leaf for part, below in pairs for leaf in self._leaves(part, below)]

    def _fitting(self, g: Any, type_: TensorType | None, edge: Edge) -> Any:
        if edge is None or g is None:
            return None
        assert type_ is not None
        if type(g) is not Tensor or g.shape != type_.shape:
            what = f"a tensor of shape {g.shape}" if type(g) is Tensor else type(g).__name__
            raise self._wrong(f"{what} for an argument of shape {type_.shape}")
        return in_dtype(g, type_.dtype)

    def _wrong(self, what: str) -> GradientError:
        return GradientError(f"the gradient of {name_of(self.fn)} gave {what}",
                             why="there is a gradient for each positional argument, like it",
                             instead="a tensor of its shape, or None")  # fmt: skip

    def tangent(self, given: tuple[Any, ...], differentiable: bool) -> Any:
        if self.tangent_of is None:
            return self._transposed(given, differentiable)
        leaves = [
            t if t is not None or type_ is None else zeros(type_)
            for t, type_ in zip(given, self.types, strict=True)
        ]
        found, shape = flatten(call_user(self.tangent_of, *cut(leaves, self.tree.children)))
        for t, type_ in zip(found, self.outs, strict=False):
            if type_ is not None and (type(t) is not Tensor or t.shape != type_.shape):
                shape = None
        if shape != self.value_tree:
            raise GradientError(f"the tangent of {name_of(self.fn)} is not like its value")
        return tuple(found)

    def _transposed(self, given: tuple[Any, ...], differentiable: bool) -> Any:
        probes = {}
        for i, type_ in enumerate(self.outs):
            if type_ is not None and type_.dtype.kind in "fc":
                probes[i] = zeros(type_).requires_grad_()
        with taping():
            found = self.gradients(Parts(probes), True)
            pairs = [(edge_of(g), t) for g, t in zip(found, given, strict=True)
                     if t is not None and g is not None]  # fmt: skip
        starts = [(edge, t) for edge, t in pairs if edge is not None]
        reached = {
            id(edge): t for edge, t in walk(starts, list(probes.values()), differentiable)[0]
        }
        return tuple(
            reached.get(id(probes[i])) if i in probes else None for i in range(len(self.outs))
        )
