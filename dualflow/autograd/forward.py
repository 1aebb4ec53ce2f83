"""Forward mode: `jvp` and `linearize`, products of the Jacobian with vectors.

Comes in: a function, a point, tangents. Goes out: the value and its tangents. The function runs
with the tape on, and the tape is followed forward from the arguments, in the active mode: so it
works eagerly, compiled, within `vmap`, and with `grad` on either side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dualflow.array.tensor import Tensor
from dualflow.base.errors import GradientError
from dualflow.base.trees import flatten, unflatten
from dualflow.ops import door

from .arguments import check_weight, name_of, not_differentiable, rename, split
from .functional import grad
from .grad_mode import taping
from .tape import edge_of

Function = Callable[..., Any]


def jvp(
    fn: Function, primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False
) -> tuple[Any, ...]:
    """The value of `fn(*primals)`, and how it changes when the arguments move along `tangents`.

    Args:
        fn: gives a tensor or a container of tensors (with `has_aux`, and something else: a pair).
        primals: a sequence of arguments: containers of float or complex tensors.
        tangents: containers like `primals`: a direction for each tensor.
        has_aux: whether `fn` returns a pair (value, aux); then (value, tangent, aux) is returned.

    Returns:
        The value and its tangent, a container like the value; zeros where nothing changes.

    Raises:
        GradientError: `primals` hold something else than float tensors, or `tangents` do not fit.

    >>> import dualflow as df
    >>> x, t = df.tensor([1.0, 2.0]), df.tensor([1.0, 10.0])
    >>> value, tangent = df.jvp(lambda x: x * x, (x,), (t,))
    >>> tangent.tolist()
    [2.0, 40.0]
    """
    value, push, *aux = linearize(fn, *_sequence("primals", primals), has_aux=has_aux)
    return (value, push(*_sequence("tangents", tangents)), *aux)


def _sequence(what: str, given: Any) -> tuple[Any, ...]:
    if type(given) not in (tuple, list):
        raise GradientError(f"jvp: {what} of type {type(given).__name__}",
                            why="there is one for each argument",
                            instead="a tuple, such as (x,)")  # fmt: skip
    return tuple(given)


def linearize(fn: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The value of `fn(*primals)`, and the function that multiplies its Jacobian by vectors.

    Args:
        fn: see `jvp`.
        primals: see `jvp`.
        has_aux: see `jvp`; then (value, function, aux) is returned.

    Returns:
        The value; and a function of tangents, one container for each argument, that gives the
        tangent of the value. It may be called several times and does not call `fn` again.

    >>> import dualflow as df
    >>> value, push = df.linearize(lambda x: x * x, df.tensor([1.0, 2.0]))
    >>> push(df.tensor([1.0, 10.0])).tolist()
    [2.0, 40.0]
    """
    renamed = rename(fn, primals, tuple(range(len(primals))))
    with taping():
        value = fn(*renamed.args)
    value, aux = split(fn, value) if has_aux else (value, None)
    outs, tree = flatten(value)
    for out in outs:
        if type(out) is not Tensor:
            raise not_differentiable(fn, out)
    leads = renamed.leads_out(map(edge_of, outs)) if door.state.grad_enabled else None

    def push(*tangents: Any) -> Any:
        leaves, shape = flatten(tangents)
        if shape.children != renamed.trees:
            raise GradientError(f"the tangents of {name_of(fn)} are nested otherwise than its "
                                "arguments", instead="a container like each argument")  # fmt: skip
        for tensor, tangent in zip(renamed.tensors, leaves, strict=True):
            check_weight(f"a tangent of {name_of(fn)}", tensor, tangent)
        given = dict(enumerate(leaves))
        again = leads and door.state.grad_enabled
        if not again:
            again = renamed.again(outs if leads is None else (), leaves)
        return unflatten(tree, renamed.tangents(outs, given, again))

    released = renamed.release(value, leads), push
    return (*released, renamed.release(aux)) if has_aux else released


def hvp(fn: Function, primals: Sequence[Any], vectors: Sequence[Any]) -> Any:
    """The Hessian of `fn` at `primals` times `vectors`, without the Hessian: forward over reverse.

    Args:
        fn: gives a tensor of one element.
        primals: a sequence of arguments, containers of float tensors.
        vectors: containers like `primals`.

    Returns:
        A container like `primals[0]` if there is one argument, else a tuple of them.

    >>> import dualflow as df
    >>> x, v = df.tensor([1.0, 2.0]), df.tensor([1.0, 10.0])
    >>> df.hvp(lambda x: (x**3).sum(), (x,), (v,)).tolist()
    [6.0, 120.0]
    """
    argnums = 0 if len(primals) == 1 else tuple(range(len(primals)))
    return jvp(grad(fn, argnums), primals, vectors)[1]
