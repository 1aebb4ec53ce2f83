"""Parameters of distributions: their common shape, their values at every element, their range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dualflow.base.dtypes import int64
from dualflow.base.errors import ArgumentError, ShapeError
from dualflow.base.shapes import Shape, broadcast

from .. import primitives as p
from ..draws import default
from ..functions.movement import as_shape, broadcast_to
from ..functions.reduction import max as max_
from ..generator import Generator, ShapeLike, inner_unit
from ..operands import KNOWN, NUMBERS, TENSORS
from ..quantiles import log

Tensor = Any
Parameter = Any  # a number, or a tensor
OptionalShape = ShapeLike | None


def common(shape: OptionalShape, *parameters: Parameter) -> Shape:
    """`shape`, or where it is None the common shape of the parameters; ShapeError where these do
    not broadcast to it, ArgumentError where one is neither a number nor a tensor."""
    for parameter in parameters:
        if type(parameter) not in KNOWN and not isinstance(parameter, (np.generic, *NUMBERS)):
            raise ArgumentError(f"a parameter of type {type(parameter).__name__}",
                                why="it is a number or a tensor",
                                instead="df.asarray(...) of several values")  # fmt: skip
    wanted = broadcast(*(x.shape for x in parameters if type(x) in TENSORS))
    if shape is None:
        return wanted
    sizes = as_shape(shape)
    if broadcast(wanted, sizes) != sizes:
        raise ShapeError(f"parameters of shape {wanted} for random numbers of shape {sizes}",
                         instead="a shape to which the parameters broadcast")  # fmt: skip
    return sizes


def shares(weights: Tensor) -> tuple[Tensor, int]:
    """Weights along the last axis as whole numbers in proportion, at most 2**62 in all, so that
    sums of them are the same in any order, as those of floats are not; and the power of two by
    which the largest was multiplied. What is no positive number has no share."""
    bits = 62 - weights.shape[-1].bit_length()
    valid = p.where.of(p.logical_and.of(weights > 0.0, weights < math.inf), weights, 0.0)
    largest = max_(valid, axis=-1, keepdims=True)
    largest = p.where.of(largest > 0.0, largest, 1.0)
    return p.cast(p.floor.of(valid / largest * 2.0**bits), dtype=int64), bits


def full_of(parameter: Parameter, sizes: Shape, dtype: Any) -> Tensor:
    """A parameter at every element, without its history."""
    if type(parameter) not in TENSORS:
        return p.full(shape=sizes, value=float(parameter), dtype=dtype)
    parameter = plain_of(parameter, dtype)
    return parameter if parameter.shape == sizes else broadcast_to(parameter, sizes)


def positive(parameter: Parameter, sizes: Shape, dtype: Any, what: str) -> Tensor:
    """A parameter at every element, NaN where it is not positive; ArgumentError for a number."""
    if type(parameter) not in TENSORS and not 0.0 < parameter < math.inf:
        raise ArgumentError(f"{what} {parameter}", instead="a positive number")
    a = full_of(parameter, sizes, dtype)
    return p.where.of(p.logical_and.of(a > 0.0, a < math.inf), a, math.nan)


def plain_of(parameter: Parameter, dtype: Any) -> Parameter:
    """A parameter in `dtype`, without its history."""
    if type(parameter) not in TENSORS:
        return parameter
    parameter = parameter.detach() if parameter.requires_grad else parameter
    return parameter if parameter.dtype == dtype else p.cast(parameter, dtype=dtype)


def scaled(x: Tensor, loc: Parameter, scale: Parameter, dtype: Any) -> Tensor:
    """x * scale + loc in `dtype`."""
    if type(scale) not in TENSORS and scale < 0:
        raise ArgumentError(f"random numbers with a scale of {scale}", instead="a positive one")
    x = x if x.dtype == dtype else p.cast(x, dtype=dtype)
    for parameter, combine, neutral in ((scale, p.multiply, 1.0), (loc, p.add, 0.0)):
        if type(parameter) in TENSORS:
            fits = parameter.dtype == dtype
            x = combine.of(x, parameter if fits else p.cast(parameter, dtype=dtype))
        elif parameter != neutral:
            x = combine.of(x, float(parameter))
    return x


def exponential_of(generator: Generator | None, shape: Shape, dtype: Any) -> Tensor:
    """Standard exponential numbers."""
    return -log(inner_unit(generator or default, shape, dtype))


def normal_of(generator: Generator, shape: Shape, dtype: Any) -> Tensor:
    """Standard normal numbers."""
    return generator.normal(shape, dtype=dtype)
