"""Gradients of functions: `grad`, `value_and_grad`, `vjp`, for nested containers and of any order.

Comes in: a function of tensors. Goes out: a function that gives gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from dualflow.array.tensor import Tensor
from dualflow.base.errors import GradientError
from dualflow.base.trees import flatten

from .arguments import check_value, check_weight, not_differentiable, rename, split
from .backward import ones_like
from .grad_mode import taping

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
        renamed = rename(fn, args, numbers)
        with taping():
            value = fn(*renamed.args, **kwargs)
        value, aux = split(fn, value) if has_aux else (value, None)
        check_value(fn, value)
        leads = renamed.again([value])
        found = renamed.cut(renamed.gradients([value], [ones_like(value)], leads))
        gradients = found[0] if isinstance(argnums, int) else tuple(found)
        value = renamed.release(value, leads)
        if has_aux:
            return (value, renamed.release(aux)), gradients
        return value, gradients

    return value_and_gradient


def vjp(fn: Function, *args: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The value of `fn(*args)`, and the function that multiplies vectors by its Jacobian.

    Args:
        fn: gives a tensor, or a container of tensors.
        args: containers of float tensors.
        has_aux: whether `fn` returns a pair (value, aux); then (value, function, aux) is returned.

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
    renamed = rename(fn, args, tuple(range(len(args))))
    with taping():
        value = fn(*renamed.args)
    value, aux = split(fn, value) if has_aux else (value, None)
    outs, tree = flatten(value)
    for out in outs:
        if type(out) is not Tensor:
            raise not_differentiable(fn, out)

    def pull(weights: Any) -> tuple[Any, ...]:
        given, shape = flatten(weights)
        if shape != tree:
            raise GradientError("vjp: the weights are nested otherwise than the value",
                                instead="a container like the value")  # fmt: skip
        for out, weight in zip(outs, given, strict=True):
            check_weight("vjp", out, weight)
        return tuple(renamed.cut(renamed.gradients(outs, given, renamed.again(outs, given))))

    released = renamed.release(value), pull
    return (*released, renamed.release(aux)) if has_aux else released
