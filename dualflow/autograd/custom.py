"""Gradients that a user gives, and gradients that are stopped.

Comes in: a function that gives its value and its gradient. Goes out: a function whose value is that
one, with a node on the tape that asks for the gradient when one arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, final

from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import is_inexact
from dualflow.base.errors import GradientError
from dualflow.base.records import record
from dualflow.base.trees import Tree, flatten, parts, tree_map, unflatten
from dualflow.ir.types import TensorType
from dualflow.ops import door

from .arguments import cut, name_of
from .batched import VmapMode
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
        start = count()
        value, gradient, tangent = _parts(fn, fn(*args, **kwargs))
        outs, value_tree = flatten(value)
        given = _Given(fn, tree, value_tree, gradient, tangent)
        return unflatten(value_tree, _attached(given, leaves, outs, start))

    return with_gradient


@final
@record
class _Given:
    """What the user gave: the function, its gradient and tangent, and the nesting of arguments and
    value."""

    fn: Function
    tree: Tree
    value_tree: Tree
    gradient: Function
    tangent: Function | None


def _attached(given: _Given, leaves: Sequence[Any], outs: list[Any], start: int) -> list[Any]:
    """The outputs, with the given gradient as their history: in the active mode, and in those
    around it, whose tapes are others."""
    mode = door.state.mode
    if type(mode) is VmapMode and any(type(x) is Tensor for x in leaves):
        outs = _attached_around(mode, given, leaves, outs, start)
    wanted = [type(x) is Tensor and x.requires_grad for x in leaves]
    if not (door.state.grad_enabled and any(wanted)):
        return outs
    edges = tuple(edge_of(x) if want else None for x, want in zip(leaves, wanted, strict=True))
    _check_closed(given.fn, outs, edges, start)
    node = Custom(given, edges, leaves, outs)
    return [_with_history(node, i, out, start) for i, out in enumerate(outs)]


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


def _with_history(node: Custom, i: int, out: Any, start: int) -> Any:
    """An output with `node` as its history, in its own handle where `fn` made it: so `gradient`,
    which may hold it, is differentiated through `node` too."""
    if type(out) is not Tensor or not is_inexact(out.dtype):
        return out
    if not made_in(out, start):
        out = out._alias() if not out.requires_grad else out.copy()
    out._tape, out.requires_grad = Output(node, i), True
    return out


@final
class Custom(Node):
    """A call of a function with a gradient of its own.

    Attributes:
        given: what the user gave.
        types, outs: of each leaf of the arguments, of the value; None where it is no tensor.
    """

    __slots__ = ("given", "outs", "types")

    def __init__(
        self, given: _Given, edges: tuple[Edge, ...], leaves: Sequence[Any], outs: Sequence[Any]
    ) -> None:
        super().__init__(edges)
        self.given, self.types, self.outs = given, _types(leaves), _types(outs)

    def gradients(self, g: Parts, differentiable: bool) -> tuple[Any, ...]:
        weights = [
            g.found[i] if i in g.found else None if type_ is None else zeros(type_)
            for i, type_ in enumerate(self.outs)
        ]
        found = call_user(self.given.gradient, unflatten(self.given.value_tree, weights))
        found = (found,) if len(self.given.tree.children) == 1 else found
        if type(found) not in (tuple, list) or len(found) != len(self.given.tree.children):
            raise self._wrong(
                f"{type(found).__name__} for {len(self.given.tree.children)} arguments"
            )
        leaves: list[Any] = []
        for one, tree in zip(found, self.given.tree.children, strict=True):
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
        return GradientError(f"the gradient of {name_of(self.given.fn)} gave {what}",
                             why="there is a gradient for each positional argument, like it",
                             instead="a tensor of its shape, or None")  # fmt: skip

    def tangent(self, given: tuple[Any, ...], differentiable: bool) -> Any:
        if self.given.tangent is None:
            return self._transposed(given, differentiable)
        leaves = [
            t if t is not None or type_ is None else zeros(type_)
            for t, type_ in zip(given, self.types, strict=True)
        ]
        found, shape = flatten(
            call_user(self.given.tangent, *cut(leaves, self.given.tree.children))
        )
        for t, type_ in zip(found, self.outs, strict=False):
            if type_ is not None and (type(t) is not Tensor or t.shape != type_.shape):
                shape = None
        if shape != self.given.value_tree:
            raise GradientError(f"the tangent of {name_of(self.given.fn)} is not like its value")
        return tuple(found)

    def _transposed(self, given: tuple[Any, ...], differentiable: bool) -> Any:
        probes = {}
        for i, type_ in enumerate(self.outs):
            if type_ is not None and is_inexact(type_.dtype):
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


def _types(leaves: Sequence[Any]) -> list[TensorType | None]:
    return [TensorType(x.shape, x.dtype) if type(x) is Tensor else None for x in leaves]


# Around a vmap ------------------------------------------------------------------------------


def _attached_around(
    mode: VmapMode, given: _Given, leaves: Sequence[Any], outs: list[Any], start: int
) -> list[Any]:
    """The outputs of a call within `vmap`, what they hold having the given gradient as history."""
    outs = [mode.spread(out) if type(out) is Tensor else out for out in outs]
    flags = [type(x) is Tensor and mode.cell(x).batched for x in leaves]
    below = [mode.cell(x).value if type(x) is Tensor else x for x in leaves]
    held = [mode.cell(x).value if type(x) is Tensor else x for x in outs]

    def gradient(weights: Any) -> Any:
        wide = [mode.wrapped(w, True) if type(w) is Tensor else w for w in flatten(weights)[0]]
        found = mode.entered(call_user, given.gradient, unflatten(given.value_tree, wide))
        return _summed(mode, given, found, flags)

    def tangent(*tangents: Any) -> Any:
        assert given.tangent is not None
        pairs = zip(flatten(tangents)[0], flags, strict=True)
        wide = [mode.wrapped(t, flag) if type(t) is Tensor else t for t, flag in pairs]
        found = mode.entered(call_user, given.tangent, *unflatten(given.tree, wide))
        leaves, tree = flatten(found)
        return unflatten(tree, [mode.whole(x) if type(x) is Tensor else x for x in leaves])

    gradient.followed = tangent.followed = True  # type: ignore[attr-defined]  # no user's
    around = _Given(given.fn, given.tree, given.value_tree, gradient,
                    None if given.tangent is None else tangent)  # fmt: skip
    made = mode.around(_attached, around, below, held, start)
    return [
        out if new is before else mode.wrapped(new, True)
        for out, new, before in zip(outs, made, held, strict=True)
    ]


def _summed(mode: VmapMode, given: _Given, found: Any, flags: list[bool]) -> Any:
    """Gradients for what the arguments hold: summed over the batch where they are the same for
    all."""
    single = len(given.tree.children) == 1
    several = (found,) if single else found
    if type(several) not in (tuple, list) or len(several) != len(given.tree.children):
        return found  # the node says that it does not fit
    parts_of, rest = [], iter(flags)

    def one(x: Any, flag: bool) -> Any:
        if type(x) is not Tensor:
            return x
        return mode.whole(x) if flag else mode.total(x)

    for part, tree in zip(several, given.tree.children, strict=True):
        below = [next(rest) for _ in range(tree.leaves)]
        leaves, shape = flatten(part)
        if len(leaves) != len(below):  # None stands for a part of it
            below = [any(below)] * len(leaves)
        parts_of.append(unflatten(shape, list(map(one, leaves, below))))
    return parts_of[0] if single else tuple(parts_of)
