"""Whole derivatives: Jacobians by forward and by reverse mode, Hessians.

Comes in: a function of tensors. Goes out: a function that gives all its partial derivatives: one
product with the Jacobian, mapped over the unit vectors by `vmap`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import int64, is_inexact
from dualflow.base.errors import ArgumentError, GradientError
from dualflow.base.trees import flatten, unflatten
from dualflow.ops import primitives as p

from .arguments import Renamed, cut, name_of, not_differentiable, rename
from .functional import grad
from .grad_mode import taping
from .mapping import vmap

Function = Callable[..., Any]


def jacobian(fn: Function, argnums: int | Sequence[int] = 0, *, mode: str = "reverse") -> Function:
    """The function that gives the Jacobian of `fn` with respect to an argument.

    Args:
        fn: gives a tensor or a container of tensors.
        argnums: which argument, counted from 0, or several; containers of float tensors.
        mode: "reverse" costs a gradient for each element of the value, "forward" a tangent for
            each element of the argument: choose the smaller.

    Returns:
        A function of the same arguments. Where `fn` gives a tensor and the argument is one, it
        gives a tensor of shape (*value.shape, *argument.shape); of containers a container like the
        value of containers like the argument (of several arguments, of tuples of them).

    >>> import dualflow as df
    >>> df.jacobian(lambda x: x * x)(df.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    if mode not in ("reverse", "forward"):
        raise ArgumentError(f"jacobian with mode={mode!r}", instead='"reverse" or "forward"')
    return (jacrev if mode == "reverse" else jacfwd)(fn, argnums)


def jacrev(fn: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The Jacobian by reverse mode: a gradient for each element of the value; see `jacobian`.

    >>> import dualflow as df
    >>> df.jacrev(lambda x: x.sum())(df.tensor([1.0, 2.0])).tolist()
    [1.0, 1.0]
    """

    @wraps(fn)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        renamed, outs, tree = _run(fn, argnums, args, kwargs)
        rows = [_rows(renamed, outs, i) for i in range(len(outs))]
        return unflatten(tree, [_nested(renamed, argnums, row) for row in rows])

    return jacobian_of


def jacfwd(fn: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The Jacobian by forward mode: a tangent for each element of the argument; see `jacobian`.

    >>> import dualflow as df
    >>> df.jacfwd(lambda x: x[:1] * x)(df.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [2.0, 1.0]]
    """

    @wraps(fn)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        renamed, outs, tree = _run(fn, argnums, args, kwargs)
        columns = [_columns(renamed, outs, i) for i in range(len(renamed.tensors))]
        rows = [[column[i] for column in columns] for i in range(len(outs))]
        return unflatten(tree, [_nested(renamed, argnums, row) for row in rows])

    return jacobian_of


def hessian(fn: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The function that gives the second derivatives of `fn`: forward over reverse mode.

    Args:
        fn: gives a tensor of one element.
        argnums: see `jacobian`.

    Returns:
        A function of the same arguments: for an argument of shape s a tensor of shape (*s, *s).

    >>> import dualflow as df
    >>> df.hessian(lambda x: (x**3).sum())(df.tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """

    @wraps(fn)
    def hessian_of(*args: Any, **kwargs: Any) -> Any:
        return jacfwd(grad(fn, argnums), argnums)(*args, **kwargs)

    return hessian_of


def _run(
    fn: Function, argnums: int | Sequence[int], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Renamed, list[Tensor], Any]:
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    renamed = rename(fn, args, numbers)
    with taping():
        value = fn(*renamed.args, **kwargs)
    outs, tree = flatten(value)
    for out in outs:
        if type(out) is not Tensor or not is_inexact(out.dtype):
            raise not_differentiable(fn, out)
    kinds = {x.dtype.kind for x in (*outs, *renamed.tensors)}
    if len(kinds) > 1:
        raise GradientError(
            f"the Jacobian of {name_of(fn)} between real and complex tensors",
            why="no complex number says how both parts change",
            instead="df.grad, df.vjp or df.jvp; or real and imaginary parts as tensors of their "
            "own",
        )
    return renamed, outs, tree


def _rows(renamed: Renamed, outs: list[Tensor], number: int) -> list[Tensor]:
    """The derivatives of one output with respect to each argument tensor."""
    out = outs[number]
    again = renamed.again([out])

    def row(weight: Tensor) -> tuple[Tensor, ...]:
        return tuple(renamed.gradients([out], [weight], again))

    with taping(again):
        found = vmap(row)(_unit_vectors(out))
        found = [g.conj() for g in found] if out.dtype.kind == "c" else found
        return [
            g.reshape((*out.shape, *tensor.shape))
            for g, tensor in zip(found, renamed.tensors, strict=True)
        ]


def _columns(renamed: Renamed, outs: list[Tensor], number: int) -> list[Tensor]:
    """The derivatives of each output with respect to one argument tensor."""
    tensor = renamed.tensors[number]
    again = renamed.again(outs)

    def column(tangent: Tensor) -> tuple[Tensor, ...]:
        return tuple(renamed.tangents(outs, {number: tangent}, again))

    with taping(again):
        found = vmap(column, out_axes=-1)(_unit_vectors(tensor))
        return [t.reshape((*out.shape, *tensor.shape)) for t, out in zip(found, outs, strict=True)]


def _unit_vectors(like: Tensor) -> Tensor:
    """One for each element of `like`, of its shape."""
    size = like.size
    rows = p.iota(shape=(size, size), axis=0, dtype=int64)
    columns = p.iota(shape=(size, size), axis=1, dtype=int64)
    unit = p.cast(p.equal(rows, columns), dtype=np.dtype(like.dtype))
    return p.reshape(unit, shape=(size, *like.shape))


def _nested(renamed: Renamed, argnums: int | Sequence[int], row: list[Tensor]) -> Any:
    nested = cut(row, renamed.trees)
    return nested[0] if isinstance(argnums, int) else tuple(nested)
