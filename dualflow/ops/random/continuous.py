"""Continuous distributions, made from bit-exact operations.

Comes in: parameters (numbers, or tensors that broadcast with the shape). Goes out: floats. A tensor
element outside a parameter's range gives NaN; a number outside raises. Gradients flow through
locations and scales, not through what shapes a distribution.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dualflow.base.dtypes import float64
from dualflow.base.errors import ArgumentError, ShapeError
from dualflow.base.shapes import Shape, broadcast

from .. import door
from .. import primitives as p
from ..draws import default
from ..functions.linalg import cholesky
from ..functions.linear import matmul
from ..functions.movement import as_shape, broadcast_to
from ..functions.reduction import all as all_
from ..functions.reduction import cumulative_sum
from ..functions.reduction import max as max_
from ..generator import Generator, ShapeLike, as_float, inner_unit, wider
from ..operands import KNOWN, TENSORS
from ..quantiles import exp, log, normal_quantile

Tensor = Any
Parameter = Any  # a number, or a tensor
OptionalShape = ShapeLike | None


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
    return _scaled(_exponential(generator, as_shape(shape), wider(found)), 0.0, scale, found)


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
    return _scaled(p.where.of(inside < 0.5, -size, size), loc, scale, found)


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
    return _scaled(log(inside) - log(1.0 - inside), loc, scale, found)


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
    waited = _exponential(generator, as_shape(shape), wider(found))
    return _scaled(-log(waited), loc, scale, found)


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
    return _scaled(_normal(source, sizes, wider(found)) / _normal(source, sizes, wider(found)),
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
    waited = _exponential(generator, as_shape(shape), wider(found))
    return _scaled(p.sqrt.of(waited * 2.0), 0.0, scale, found)


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
    z = _normal(generator or default, as_shape(shape), wider(found))
    return _scaled(exp(z * _plain(std, wider(found)) + _plain(mean, wider(found))), 0.0, 1.0, found)


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
    return _scaled(p.where.of(inside * width < mode - left, rising, falling), 0.0, 1.0, found)


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
    a = _positive(concentration, sizes, wider(found), "weibull's concentration")
    waited = _exponential(generator, sizes, wider(found))
    return _scaled(exp(log(waited) / a), 0.0, scale, found)


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
    a = _positive(concentration, sizes, wider(found), "pareto's concentration")
    return _scaled(exp(_exponential(generator, sizes, wider(found)) / a), 0.0, scale, found)


def gamma(
    concentration: Parameter,
    scale: Parameter = 1.0,
    shape: OptionalShape = None,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Gamma floats of mean concentration * scale, by rejection (Marsaglia and Tsang, 2000).

    Args:
        concentration: positive, often called shape or alpha; a number or a tensor, without a
            gradient.
        scale: a number or a tensor.
        shape: the sizes, to which both broadcast; by default their common shape.
        dtype: a float dtype, by default float32.
        generator: by default that of the process; the number of draws depends on the numbers.

    Raises:
        ArgumentError: `concentration` is a number that is not positive.

    >>> import dualflow as df
    >>> bool(df.all(df.random.gamma(2.0, shape=(100,)) > 0.0))
    True
    """
    found = as_float(dtype)
    sizes = common(shape, concentration, scale)
    a = _positive(concentration, sizes, wider(found), "gamma's concentration")
    return _scaled(exp(_log_gamma(generator or default, a)), 0.0, scale, found)


def chisquare(
    degrees: Parameter,
    shape: OptionalShape = None,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Sums of the squares of `degrees` normal numbers; see `gamma`.

    Args:
        degrees: of freedom, positive; a number or a tensor, without a gradient.
        shape: the sizes, to which it broadcasts; by default its own.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> df.random.chisquare(3.0, (2,)).shape
    (2,)
    """
    found = as_float(dtype)
    a = _positive(degrees, common(shape, degrees), wider(found), "chisquare's degrees") * 0.5
    return _scaled(exp(_log_gamma(generator or default, a)), 0.0, 2.0, found)


def standard_t(
    degrees: Parameter,
    shape: OptionalShape = None,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Student's t floats of this many `degrees` of freedom; see `gamma`.

    Args:
        degrees: positive; a number or a tensor, without a gradient.
        shape: the sizes, to which it broadcasts; by default its own.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> df.random.standard_t(5.0, (2,)).shape
    (2,)
    """
    found = as_float(dtype)
    source, sizes = generator or default, common(shape, degrees)
    half = _positive(degrees, sizes, wider(found), "standard_t's degrees") * 0.5
    z = _normal(source, sizes, wider(found))
    return _scaled(z * exp((log(half) - _log_gamma(source, half)) * 0.5), 0.0, 1.0, found)


def beta(
    a: Parameter,
    b: Parameter,
    shape: OptionalShape = None,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Beta floats in [0, 1], of mean a / (a + b): the share of one gamma number in two.

    Args:
        a, b: positive; numbers or tensors, without a gradient.
        shape: the sizes, to which both broadcast; by default their common shape.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> df.random.beta(2.0, 3.0, (2,)).shape
    (2,)
    """
    found = as_float(dtype)
    source, sizes = generator or default, common(shape, a, b)
    x, y = (_log_gamma(source, _positive(k, sizes, wider(found), "a parameter of beta"))
            for k in (a, b))  # fmt: skip
    most = p.maximum.of(x, y)
    x, y = exp(x - most), exp(y - most)
    return _scaled(x / (x + y), 0.0, 1.0, found)


def dirichlet(
    concentration: Tensor,
    shape: OptionalShape = None,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Random shares that sum to 1.

    Args:
        concentration: (..., n) positive, without a gradient.
        shape: the sizes before n, to which it broadcasts; by default its own.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    Returns:
        (*shape, n) floats.

    Raises:
        ShapeError: `concentration` has no axis.

    >>> import dualflow as df
    >>> df.random.dirichlet(df.asarray([1.0, 2.0, 3.0]), (5,)).shape
    (5, 3)
    """
    found = as_float(dtype)
    if type(concentration) not in TENSORS or concentration.ndim == 0:
        raise ShapeError("dirichlet of a single number", instead="a tensor of shape (..., n)")
    *before, count = concentration.shape
    sizes = (*(before if shape is None else as_shape(shape)), count)
    a = _positive(concentration, sizes, wider(found), "dirichlet's concentration")
    logs = _log_gamma(generator or default, a)
    weights = exp(logs - max_(logs, axis=-1, keepdims=True))
    total = cumulative_sum(weights, axis=-1)[..., -1:]  # its bits, unlike those of sum(), are fixed
    return _scaled(weights / total, 0.0, 1.0, found)


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
    z = _normal(generator or default, (*before, count), wider(mean.dtype))
    if z.dtype != mean.dtype:
        z = p.cast(z, dtype=mean.dtype)
    return matmul(cholesky(covariance), z[..., None])[..., 0] + mean


def common(shape: OptionalShape, *parameters: Parameter) -> Shape:
    """`shape`, or where it is None the common shape of the parameters; ShapeError where these do
    not broadcast to it, ArgumentError where one is neither a number nor a tensor."""
    for parameter in parameters:
        if type(parameter) not in KNOWN and not isinstance(parameter, np.generic):
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


def full_of(parameter: Parameter, sizes: Shape, dtype: Any) -> Tensor:
    """A parameter at every element, without its history."""
    if type(parameter) not in TENSORS:
        return p.full(shape=sizes, value=float(parameter), dtype=dtype)
    parameter = _plain(parameter, dtype)
    return parameter if parameter.shape == sizes else broadcast_to(parameter, sizes)


def _positive(parameter: Parameter, sizes: Shape, dtype: Any, what: str) -> Tensor:
    if type(parameter) not in TENSORS and not 0.0 < parameter < math.inf:
        raise ArgumentError(f"{what} {parameter}", instead="a positive number")
    a = full_of(parameter, sizes, dtype)
    return p.where.of(p.logical_and.of(a > 0.0, a < math.inf), a, math.nan)


def _plain(parameter: Parameter, dtype: Any) -> Parameter:
    if type(parameter) not in TENSORS:
        return parameter
    parameter = parameter.detach() if parameter.requires_grad else parameter
    return parameter if parameter.dtype == dtype else p.cast(parameter, dtype=dtype)


def _scaled(x: Tensor, loc: Parameter, scale: Parameter, dtype: Any) -> Tensor:
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


def _exponential(generator: Generator | None, shape: Shape, dtype: Any) -> Tensor:
    return -log(inner_unit(generator or default, shape, dtype))


def _normal(generator: Generator, shape: Shape, dtype: Any) -> Tensor:
    return generator.normal(shape, dtype=dtype)


def _log_gamma(generator: Generator, a: Tensor) -> Tensor:
    """The logarithm of gamma numbers of concentration `a`: it does not underflow for small ones.

    A number below 1 is raised by 1 and the result multiplied by u**(1 / a). Each round draws for
    all elements and fills those that are still empty: at least 95 % of them.
    """
    valid = p.equal.of(a, a)  # others are NaN
    small = a < 1.0
    raised = p.where.of(valid, p.where.of(small, a + 1.0, a), 1.0)
    d = raised - 1.0 / 3.0
    c = 1.0 / p.sqrt.of(d * 9.0)
    found = p.where.of(valid, d, math.nan)
    done = p.logical_not.of(valid)
    while True:
        x = _normal(generator, a.shape, a.dtype)
        root = x * c + 1.0
        inside = root > 0.0
        v = p.where.of(inside, root, 1.0)
        v = v * v * v
        log_v = log(v)
        u = inner_unit(generator, a.shape, a.dtype)
        fits = log(u) < x * x * 0.5 + d - d * v + d * log_v
        fits = p.logical_and.of(inside, fits)
        found = p.where.of(p.logical_and.of(fits, p.logical_not.of(done)), log(d) + log_v, found)
        done = p.logical_or.of(done, fits)
        if door.truth(all_(done)):
            break
    lowered = log(inner_unit(generator, a.shape, a.dtype)) / p.where.of(valid, a, 1.0)
    return p.where.of(small, found + lowered, found)


__all__ = [
    "beta", "cauchy", "chisquare", "dirichlet", "exponential", "gamma", "gumbel", "laplace",
    "logistic", "lognormal", "multivariate_normal", "pareto", "rayleigh", "standard_t",
    "triangular", "truncated_normal", "weibull",
]  # fmt: skip
