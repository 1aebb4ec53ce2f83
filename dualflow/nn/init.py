"""First values of weights: the usual distributions, as new parameters.

Comes in: a shape (outputs, inputs, ...). Goes out: a parameter. The last axes beyond two are
those of a kernel, as in a convolution, and count for both fans.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dualflow import api as df
from dualflow.base.errors import ShapeError
from dualflow.ops import draws
from dualflow.ops.generator import Generator

Shape = Sequence[int]
#: the gain that keeps the variance through ReLU, which drops half of it
RELU = math.sqrt(2.0)


def fans(shape: Shape) -> tuple[int, int]:
    """How many inputs each output has, and how many outputs each input has.

    >>> fans((10, 5, 3, 3))
    (45, 90)
    """
    if len(shape) < 2:
        raise ShapeError(f"fans of a weight of shape {tuple(shape)}",
                         why="a weight has an axis of outputs and one of inputs",
                         instead="uniform() or normal() for a vector")  # fmt: skip
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def uniform(
    shape: Shape, bound: float, dtype: Any = None, generator: Generator | None = None
) -> df.Tensor:
    """Evenly distributed from -bound to bound."""
    return draws.uniform(shape, -bound, bound, dtype, generator).requires_grad_()


def normal(
    shape: Shape, std: float, dtype: Any = None, generator: Generator | None = None
) -> df.Tensor:
    """Normally distributed around 0 with standard deviation `std`."""
    return draws.normal(shape, 0.0, std, dtype, generator).requires_grad_()


def zeros(shape: Shape, dtype: Any = None) -> df.Tensor:
    """Zeros."""
    return df.zeros(shape, dtype).requires_grad_()


def ones(shape: Shape, dtype: Any = None) -> df.Tensor:
    """Ones."""
    return df.ones(shape, dtype).requires_grad_()


def kaiming_uniform(
    shape: Shape,
    gain: float = math.sqrt(2.0),
    dtype: Any = None,
    generator: Generator | None = None,
) -> df.Tensor:
    """Evenly distributed with standard deviation gain / sqrt(inputs): He et al.,
    arXiv:1502.01852. The default gain is that for ReLU."""
    return uniform(shape, gain * math.sqrt(3.0 / fans(shape)[0]), dtype, generator)


def kaiming_normal(
    shape: Shape,
    gain: float = math.sqrt(2.0),
    dtype: Any = None,
    generator: Generator | None = None,
) -> df.Tensor:
    """Normally distributed with standard deviation gain / sqrt(inputs)."""
    return normal(shape, gain / math.sqrt(fans(shape)[0]), dtype, generator)


def xavier_uniform(
    shape: Shape, gain: float = 1.0, dtype: Any = None, generator: Generator | None = None
) -> df.Tensor:
    """Evenly distributed with standard deviation gain * sqrt(2 / (inputs + outputs)): Glorot and
    Bengio, AISTATS 2010."""
    return uniform(shape, gain * math.sqrt(6.0 / sum(fans(shape))), dtype, generator)


def xavier_normal(
    shape: Shape, gain: float = 1.0, dtype: Any = None, generator: Generator | None = None
) -> df.Tensor:
    """Normally distributed with standard deviation gain * sqrt(2 / (inputs + outputs))."""
    return normal(shape, gain * math.sqrt(2.0 / sum(fans(shape))), dtype, generator)
