"""Gradients held against central differences.

Comes in: a function and a point. Goes out: nothing, or a GradientError that names the worst
element.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base.errors import GradientError
from dualflow.base.trees import flatten, unflatten
from dualflow.ops import primitives as p

from .functional import grad

Function = Callable[..., Any]


def check_grads(
    fn: Function, *args: Any, order: int = 2, rtol: float = 1e-5, atol: float = 1e-6
) -> None:
    """Compare gradients of `fn` at `args` with central differences, in float64, up to `order`.

    All float outputs count, each element with a weight of its own; all float tensors in `args` are
    taken as variables, in float64; everything else is passed on as it is.

    Args:
        fn: a function of tensors that gives a tensor or a container of tensors, and the same for
            the same arguments.
        args: where to check; not within 1e-5 of a jump or a bend.
        order: the highest derivative that is checked.
        rtol, atol: a difference is an error above atol + rtol * |central difference|.

    Raises:
        GradientError: names the order, argument and element that differ most.

    >>> import dualflow as df
    >>> check_grads(lambda x: df.exp(x) * x, df.tensor([0.5, 1.0]))
    """
    leaves, tree = flatten(args)
    places = [i for i, leaf in enumerate(leaves) if _is_float(leaf)]
    point = [np.array(leaves[i].array, np.float64) for i in places]

    def scalar(*variables: Tensor) -> Tensor:
        filled = list(leaves)
        for i, variable in zip(places, variables, strict=True):
            filled[i] = variable
        return _weighted(fn(*unflatten(tree, filled)))

    for number in range(1, order + 1):
        gradients = grad(scalar, tuple(range(len(places))))
        _compare(scalar, gradients, point, number, rtol, atol)
        scalar = _next(gradients)


def _is_float(leaf: Any) -> bool:
    return type(leaf) is Tensor and leaf.dtype.kind == "f"


def _next(gradients: Function) -> Function:
    return lambda *variables: _weighted(gradients(*variables))


def _weighted(value: Any) -> Tensor:
    """All elements of all float tensors in `value`, each with a weight of its own, summed."""
    total, count = p.full(shape=(), value=0.0, dtype=np.dtype(np.float64)), 1
    for out in flatten(value)[0]:
        if _is_float(out):
            weights = np.cos(np.arange(count, count + out.size, dtype=np.float64))
            total = total + (out * Tensor._wrap(weights.reshape(out.shape))).sum()
            count += out.size
    return total


def _compare(
    scalar: Function, gradients: Function, point: list[np.ndarray], order: int,
    rtol: float, atol: float,
) -> None:  # fmt: skip
    found = gradients(*(Tensor._wrap(array.copy()) for array in point))
    worst: tuple[float, str] = (0.0, "")
    for argument, g in enumerate(found):
        for index in np.ndindex(g.shape):
            expected = _central(scalar, point, argument, index)
            computed = float(g.array[index])
            excess = abs(computed - expected) / (atol + rtol * abs(expected))
            if math.isnan(excess):
                excess = math.inf
            if excess > max(worst[0], 1.0):
                worst = (
                    excess,
                    f"tensor {argument}, element {index}: {computed!r}, by central difference "
                    f"{expected!r}",
                )
    if worst[1]:
        raise GradientError(f"a derivative of order {order} is wrong at {worst[1]}",
                            why="a gradient rule is wrong, or the function bends here, or gives "
                            "other values when called again")  # fmt: skip


def _central(
    scalar: Function, point: list[np.ndarray], argument: int, index: tuple[int, ...]
) -> float:
    step = 1e-5 * max(1.0, abs(float(point[argument][index])))
    values = []
    for sign in (1.0, -1.0):
        moved = [array.copy() for array in point]
        moved[argument][index] += sign * step
        values.append(scalar(*map(Tensor._wrap, moved)).item())
    return (values[0] - values[1]) / (2.0 * step)
