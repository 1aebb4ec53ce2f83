"""Continuous distributions, made from bit-exact operations.

Comes in: parameters (numbers, or tensors that broadcast with the shape). Goes out: floats. A tensor
element outside a parameter's range gives NaN; a number outside raises. Gradients flow through
locations and scales, not through what shapes a distribution.
"""

from __future__ import annotations

import math
from typing import Any

from dualflow.base.dtypes import float64
from dualflow.base.errors import ArgumentError, ShapeError
from dualflow.base.shapes import broadcast

from .. import primitives as p
from ..draws import default
from ..functions.linalg import cholesky
from ..functions.linear import matmul
from ..functions.movement import as_shape
from ..generator import Generator, ShapeLike, as_float, inner_unit, wider
from ..quantiles import exp, log, normal_quantile
from .parameters import (
    OptionalShape,
    Parameter,
    common,
    exponential_of,
    normal_of,
    plain_of,
    positive,
    scaled,
)

Tensor = Any


def exponential(
    shape: ShapeLike = (),
    scale: Parameter = 1.0,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Waiting times of mean `scale`: -scale log(u).

    Args:
        shape: the sizes.
        scale: the mean, a number or a tensor that broadcasts to `shape`.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> bool(df.all(df.random.exponential((100,)) > 0.0))
    True
    """
    found = as_float(dtype)
    return scaled(exponential_of(generator, as_shape(shape), wider(found)), 0.0, scale, found)


def laplace(
    shape: ShapeLike = (),
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Two-sided exponential floats around `loc`; the variance is 2 scale**2.

    Args:
        shape: the sizes.
        loc, scale: numbers, or tensors that broadcast to `shape`.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> df.random.laplace((2, 3)).shape
    (2, 3)
    """
    found = as_float(dtype)
    inside = inner_unit(generator or default, as_shape(shape), wider(found))
    size = -log(p.minimum.of(inside, 1.0 - inside) * 2.0)
    return scaled(p.where.of(inside < 0.5, -size, size), loc, scale, found)


def logistic(
    shape: ShapeLike = (),
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Logistic floats around `loc`: log(u / (1 - u)); the variance is (pi scale)**2 / 3.

    Args:
        shape: the sizes.
        loc, scale: numbers, or tensors that broadcast to `shape`.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> df.random.logistic((3,), dtype=df.float64).dtype.name
    'float64'
    """
    found = as_float(dtype)
    inside = inner_unit(generator or default, as_shape(shape), wider(found))
    return scaled(log(inside) - log(1.0 - inside), loc, scale, found)


def gumbel(
    shape: ShapeLike = (),
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Largest values (extreme value type I): loc - scale log(-log(u)).

    Args:
        shape: the sizes.
        loc, scale: numbers, or tensors that broadcast to `shape`.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> df.random.gumbel(()).shape
    ()
    """
    found = as_float(dtype)
    waited = exponential_of(generator, as_shape(shape), wider(found))
    return scaled(-log(waited), loc, scale, found)


def cauchy(
    shape: ShapeLike = (),
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Cauchy floats around the median `loc`: the ratio of two normal numbers. It has no mean.

    Args:
        shape: the sizes.
        loc, scale: numbers, or tensors that broadcast to `shape`.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> df.random.cauchy((4,)).shape
    (4,)
    """
    found = as_float(dtype)
    sizes, source = as_shape(shape), generator or default
    return scaled(normal_of(source, sizes, wider(found)) / normal_of(source, sizes, wider(found)),
                   loc, scale, found)  # fmt: skip


def rayleigh(
    shape: ShapeLike = (),
    scale: Parameter = 1.0,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Lengths of vectors of two normal numbers of deviation `scale`.

    Args:
        shape: the sizes.
        scale: a number, or a tensor that broadcasts to `shape`.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> bool(df.all(df.random.rayleigh((100,)) > 0.0))
    True
    """
    found = as_float(dtype)
    waited = exponential_of(generator, as_shape(shape), wider(found))
    return scaled(p.sqrt.of(waited * 2.0), 0.0, scale, found)


def lognormal(
    shape: ShapeLike = (),
    mean: Parameter = 0.0,
    std: Parameter = 1.0,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """exp of normal floats of this `mean` and `std`.

    Args:
        shape: the sizes.
        mean, std: numbers, or tensors that broadcast to `shape`, without a gradient.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> bool(df.all(df.random.lognormal((100,)) > 0.0))
    True
    """
    found = as_float(dtype)
    z = normal_of(generator or default, as_shape(shape), wider(found))
    return scaled(
        exp(z * plain_of(std, wider(found)) + plain_of(mean, wider(found))), 0.0, 1.0, found
    )


def triangular(
    left: float,
    mode: float,
    right: float,
    shape: ShapeLike = (),
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Floats whose density rises in a line from `left` to `mode` and falls to `right`.

    Args:
        left, mode, right: numbers in this order, left < right.
        shape: the sizes.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    Raises:
        ArgumentError: they are in another order.

    >>> import dualflow as df
    >>> bool(df.all(df.random.triangular(-1.0, 0.0, 2.0, (100,)) < 2.0))
    True
    """
    if not left <= mode <= right or left == right:
        raise ArgumentError(f"triangular from {left} over {mode} to {right}",
                            instead="left <= mode <= right, and left < right")  # fmt: skip
    found = as_float(dtype)
    inside = inner_unit(generator or default, as_shape(shape), wider(found))
    width = right - left
    rising = left + p.sqrt.of(inside * (width * (mode - left)))
    falling = right - p.sqrt.of((1.0 - inside) * (width * (right - mode)))
    return scaled(p.where.of(inside * width < mode - left, rising, falling), 0.0, 1.0, found)


def truncated_normal(
    lower: float,
    upper: float,
    shape: ShapeLike = (),
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Standard normal floats given that they lie between two bounds, by the quantile function.

    Args:
        lower, upper: numbers, lower < upper; either may be infinite.
        shape: the sizes.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    Raises:
        ArgumentError: no normal number lies between the bounds, as far as float64 can tell.

    >>> import dualflow as df
    >>> z = df.random.truncated_normal(-2.0, 2.0, (100,))
    >>> bool(df.all(df.abs(z) <= 2.0))
    True
    """
    found = as_float(dtype)
    flipped = lower > 0.0  # work in the lower half, where probabilities are precise
    low, high = (-upper, -lower) if flipped else (lower, upper)
    first, last = (0.5 * math.erfc(-bound / math.sqrt(2.0)) for bound in (low, high))
    if not first < last:
        raise ArgumentError(f"truncated_normal between {lower} and {upper}",
                            why="no normal number lies there", instead="lower < upper")  # fmt: skip
    inside = inner_unit(generator or default, as_shape(shape), float64) * (last - first) + first
    tail = p.minimum.of(p.maximum.of(p.minimum.of(inside, 1.0 - inside), 2.0**-1000), 0.5)
    z = p.minimum.of(p.maximum.of(normal_quantile(inside - 0.5, tail), low), high)
    return p.cast(-z if flipped else z, dtype=found)


def weibull(
    concentration: Parameter,
    scale: Parameter = 1.0,
    shape: OptionalShape = None,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Weibull floats: scale * E**(1 / concentration) of exponential E.

    Args:
        concentration: positive; a number or a tensor, without a gradient.
        scale: a number or a tensor.
        shape: the sizes, to which both broadcast; by default their common shape.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> df.random.weibull(1.5, shape=(3,)).shape
    (3,)
    """
    found = as_float(dtype)
    sizes = common(shape, concentration, scale)
    a = positive(concentration, sizes, wider(found), "weibull's concentration")
    waited = exponential_of(generator, sizes, wider(found))
    return scaled(exp(log(waited) / a), 0.0, scale, found)


def pareto(
    concentration: Parameter,
    scale: Parameter = 1.0,
    shape: OptionalShape = None,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Pareto floats from `scale` up: P(x > t) = (scale / t)**concentration.

    Args:
        concentration: positive; a number or a tensor, without a gradient.
        scale: the least value, a number or a tensor.
        shape: the sizes, to which both broadcast; by default their common shape.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> bool(df.all(df.random.pareto(3.0, shape=(100,)) >= 1.0))
    True
    """
    found = as_float(dtype)
    sizes = common(shape, concentration, scale)
    a = positive(concentration, sizes, wider(found), "pareto's concentration")
    return scaled(exp(exponential_of(generator, sizes, wider(found)) / a), 0.0, scale, found)


def multivariate_normal(
    mean: Tensor,
    covariance: Tensor,
    shape: OptionalShape = None,
    generator: Generator | None = None,
) -> Tensor:
    """Normal vectors, by the Cholesky factor of their covariance.

    Args:
        mean: (..., n) floats.
        covariance: (..., n, n) floats, symmetric and positive definite.
        shape: the sizes before n, to which both broadcast; by default their own.
        generator: by default that of the process.

    Returns:
        (*shape, n) floats of the dtype of `mean`.

    Raises:
        ShapeError: the two do not fit.
        LinAlgError: `covariance` is not positive definite.

    >>> import dualflow as df
    >>> df.random.multivariate_normal(df.zeros(2), df.eye(2), (5,)).shape
    (5, 2)
    """
    count = mean.shape[-1] if mean.ndim else 0
    if mean.ndim == 0 or covariance.shape[-2:] != (count, count):
        raise ShapeError(f"a mean of shape {mean.shape} and a covariance of {covariance.shape}",
                         instead="(..., n) and (..., n, n)")  # fmt: skip
    if shape is None:
        before = broadcast(mean.shape[:-1], covariance.shape[:-2])
    else:
        before = as_shape(shape)
    z = normal_of(generator or default, (*before, count), wider(mean.dtype))
    if z.dtype != mean.dtype:
        z = p.cast(z, dtype=mean.dtype)
    return matmul(cholesky(covariance), z[..., None])[..., 0] + mean


__all__ = [
    "cauchy", "exponential", "gumbel", "laplace", "logistic", "lognormal", "multivariate_normal",
    "pareto", "rayleigh", "triangular", "truncated_normal", "weibull",
]  # fmt: skip
