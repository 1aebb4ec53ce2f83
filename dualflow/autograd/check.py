"""Gradients held against central differences, and tangents against gradients.

Comes in: a function and a point. Goes out: nothing, or a GradientError that names the worst
element.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import is_inexact
from dualflow.base.errors import GradientError
from dualflow.base.trees import flatten, unflatten
from dualflow.ops import primitives as p

from .forward import jvp
from .functional import grad

Function = Callable[..., Any]


def check_grads(
    fn: Function, *args: Any, order: int = 2, rtol: float = 1e-5, atol: float = 1e-6
) -> None:
    """Compare gradients of `fn` at `args` with central differences, in float64, up to `order`;
    and tangents, along a direction, with the gradients.

    All float outputs count, each element with a weight of its own, of complex ones both parts; all
    float and complex tensors in `args` are taken as variables, in float64 (and complex128, real
    and imaginary parts by themselves); everything else is passed on as it is.

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
    point = [part for i in places for part in _parts(leaves[i].array)]

    def scalar(*variables: Tensor) -> Tensor:
        filled, rest = list(leaves), iter(variables)
        for i in places:
            is_complex = leaves[i].dtype.kind == "c"
            filled[i] = next(rest) + next(rest) * 1j if is_complex else next(rest)
        return _weighted(fn(*unflatten(tree, filled)))

    for number in range(1, order + 1):
        gradients = grad(scalar, tuple(range(len(point))))
        found = gradients(*map(_fresh, point))
        _compare(scalar, found, point, number, rtol, atol)
        _compare_tangent(scalar, found, point, number, rtol, atol)
        scalar = _next(gradients)


def _parts(array: Any) -> list[np.ndarray]:
    """The real variables of an array."""
    parts = [array.real, array.imag] if array.dtype.kind == "c" else [array]
    return [np.array(part, np.float64) for part in parts]


def _fresh(array: np.ndarray) -> Tensor:
    return Tensor._wrap(array.copy())


def _is_float(leaf: Any) -> bool:
    return type(leaf) is Tensor and is_inexact(leaf.dtype)


def _next(gradients: Function) -> Function:
    return lambda *variables: _weighted(gradients(*variables))


def _weighted(value: Any) -> Tensor:
    """All elements of all float tensors in `value`, each with a weight of its own, summed."""
    total, count = p.full(shape=(), value=0.0, dtype=np.dtype(np.float64)), 1
    for out in flatten(value)[0]:
        if not _is_float(out):
            continue
        for part in (out.real, out.imag) if out.dtype.kind == "c" else (out,):
            weights = np.cos(np.arange(count, count + out.size, dtype=np.float64))
            total = total + (part * Tensor._wrap(weights.reshape(out.shape))).sum()
            count += out.size
    return total


def _compare(
    scalar: Function, found: tuple[Tensor, ...], point: list[np.ndarray], order: int,
    rtol: float, atol: float,
) -> None:  # fmt: skip
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


def _compare_tangent(
    scalar: Function, found: tuple[Tensor, ...], point: list[np.ndarray], order: int,
    rtol: float, atol: float,
) -> None:  # fmt: skip
    along = [np.sin(np.arange(1.0, array.size + 1)).reshape(array.shape) for array in point]
    tangent = jvp(scalar, [*map(_fresh, point)], [*map(_fresh, along)])[1].item()
    terms = [g.array * t for g, t in zip(found, along, strict=True)]
    expected = sum(float(term.sum()) for term in terms)
    size = sum(float(np.abs(term).sum()) for term in terms)
    if not abs(tangent - expected) <= atol + rtol * size:
        raise GradientError(f"a tangent of order {order} is wrong: {tangent!r}, by the gradient "
                            f"{expected!r}", why="a forward rule is wrong")  # fmt: skip


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
