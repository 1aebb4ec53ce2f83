"""Gamma numbers and the distributions made of them: gamma, chisquare, standard_t, beta, dirichlet.

As in `continuous.py`: made from bit-exact operations, NaN where a parameter is out of its range.
"""

from __future__ import annotations

import math
from typing import Any

from dualflow.base.errors import ShapeError

from .. import door
from .. import primitives as p
from ..draws import default
from ..functions.movement import as_shape
from ..functions.reduction import all as all_
from ..functions.reduction import max as max_
from ..functions.reduction import sum as sum_
from ..generator import Generator, as_float, inner_unit, wider
from ..operands import TENSORS
from ..quantiles import exp, log
from .parameters import (
    OptionalShape,
    Parameter,
    common,
    normal_of,
    positive,
    scaled,
    shares,
)

Tensor = Any


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
    a = positive(concentration, sizes, wider(found), "gamma's concentration")
    return scaled(exp(_log_gamma(generator or default, a)), 0.0, scale, found)


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
    a = positive(degrees, common(shape, degrees), wider(found), "chisquare's degrees") * 0.5
    return scaled(exp(_log_gamma(generator or default, a)), 0.0, 2.0, found)


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
    half = positive(degrees, sizes, wider(found), "standard_t's degrees") * 0.5
    z = normal_of(source, sizes, wider(found))
    return scaled(z * exp((log(half) - _log_gamma(source, half)) * 0.5), 0.0, 1.0, found)


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
    x, y = (_log_gamma(source, positive(k, sizes, wider(found), "a parameter of beta"))
            for k in (a, b))  # fmt: skip
    most = p.maximum.of(x, y)
    x, y = exp(x - most), exp(y - most)
    return scaled(x / (x + y), 0.0, 1.0, found)


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
    a = positive(concentration, sizes, wider(found), "dirichlet's concentration")
    logs = _log_gamma(generator or default, a)
    weights = exp(logs - max_(logs, axis=-1, keepdims=True))
    parts, bits = shares(weights)  # of the largest, which is 1
    total = p.cast(sum_(parts, axis=-1, keepdims=True), dtype=weights.dtype) * 2.0**-bits
    return scaled(weights / total, 0.0, 1.0, found)


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
        x = normal_of(generator, a.shape, a.dtype)
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


__all__ = ["beta", "chisquare", "dirichlet", "gamma", "standard_t"]
