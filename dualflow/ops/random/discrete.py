"""Discrete distributions and choices, made from bit-exact operations in float64.

Comes in: parameters (numbers, or tensors that broadcast with the shape). Goes out: integers,
booleans, rows of a tensor. Counts outside a tensor parameter's range are -1; a number outside
raises.
"""

from __future__ import annotations

import math
from typing import Any

from dualflow.base.dtypes import as_dtype, float64, int64, kind, uint64
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError
from dualflow.base.shapes import as_integer, broadcast, size_of

from .. import door
from .. import primitives as p
from ..draws import default
from ..functions.joining import stack
from ..functions.movement import as_shape, broadcast_to
from ..functions.reduction import all as all_
from ..functions.reduction import any as any_
from ..functions.reduction import argmax, cumulative_sum
from ..functions.searching import searchsorted
from ..generator import Generator, ShapeLike, inner_unit, unit
from ..operands import TENSORS
from ..quantiles import exp, log, log_factorial, stirling_tail
from .parameters import common, full_of, shares

Tensor = Any
Parameter = Any  # a number, or a tensor
OptionalShape = ShapeLike | None


def bernoulli(
    probability: Parameter = 0.5,
    shape: OptionalShape = None,
    generator: Generator | None = None,
) -> Tensor:
    """True with this probability.

    Args:
        probability: from 0 to 1; a number (exact to 2**-32) or a tensor of floats.
        shape: the sizes, to which it broadcasts; by default its own.
        generator: by default that of the process.

    Raises:
        ArgumentError: `probability` is a number outside.

    >>> import dualflow as df
    >>> df.random.bernoulli(1.0, (3,)).tolist()
    [True, True, True]
    """
    source, sizes = generator or default, common(shape, probability)
    if type(probability) not in TENSORS:
        _check_probability(probability)
        bits = p.cast(source.bits(sizes), dtype=uint64)
        return bits < round(probability * 2.0**32)
    return p.less(unit(source, sizes, float64), full_of(probability, sizes, float64))


def rademacher(
    shape: ShapeLike = (), dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """-1 or 1, equally likely.

    Args:
        shape: the sizes.
        dtype: a signed dtype, by default int64.
        generator: by default that of the process.

    Raises:
        DTypeError: `dtype` does not hold -1.

    >>> import dualflow as df
    >>> set(df.random.rademacher((100,)).tolist()) == {-1, 1}
    True
    """
    found = as_dtype(dtype or int64)
    if kind(found) not in "if":
        raise DTypeError(f"rademacher of {found.name}", instead="a signed dtype")
    bit = (generator or default).bits(as_shape(shape)) >> 31
    return p.cast(bit, dtype=found) * 2 - 1


def geometric(
    probability: Parameter,
    shape: OptionalShape = None,
    generator: Generator | None = None,
) -> Tensor:
    """How many trials until the first success: at least 1. By the quantile function.

    Args:
        probability: of a success, above 0 up to 1; a number or a tensor.
        shape: the sizes, to which it broadcasts; by default its own.
        generator: by default that of the process.

    Returns:
        int64.

    Raises:
        ArgumentError: `probability` is a number outside.

    >>> import dualflow as df
    >>> df.random.geometric(1.0, (3,)).tolist()
    [1, 1, 1]
    """
    sizes = common(shape, probability)
    if type(probability) not in TENSORS and not 0.0 < probability <= 1.0:
        raise ArgumentError(f"geometric with probability {probability}", instead="0 < p <= 1")
    success = full_of(probability, sizes, float64)
    inside = _both(success > 0.0, success < 1.0)
    q = p.where.of(inside, success, 0.5)
    failure = 1.0 - q  # log1p(-q), from the rounded 1 - q and its rounding error
    rounded = p.where.of(failure < 1.0, 1.0 - failure, 1.0)
    step = p.where.of(failure < 1.0, log(failure) * (q / rounded), -q)
    trials = p.ceil.of(log(inner_unit(generator or default, sizes, float64)) / step)
    trials = p.minimum.of(p.maximum.of(trials, 1.0), 2.0**62)
    trials = p.where.of(inside, trials, p.where.of(p.equal.of(success, 1.0), 1.0, -1.0))
    return p.cast(trials, dtype=int64)


def poisson(
    rate: Parameter,
    shape: OptionalShape = None,
    generator: Generator | None = None,
) -> Tensor:
    """How many events happen where `rate` are expected.

    By inversion below a rate of 10, by transformed rejection above (Hoermann, "The transformed
    rejection method for generating Poisson random variables", 1993: PTRS).

    Args:
        rate: from 0 to 2**53; a number or a tensor.
        shape: the sizes, to which it broadcasts; by default its own.
        generator: by default that of the process; the number of draws depends on the numbers.

    Returns:
        int64.

    Raises:
        ArgumentError: `rate` is a number outside.

    >>> import dualflow as df
    >>> df.random.poisson(0.0, (3,)).tolist()
    [0, 0, 0]
    """
    source, sizes = generator or default, common(shape, rate)
    if type(rate) not in TENSORS and not 0.0 <= rate <= 2.0**53:
        raise ArgumentError(f"poisson of rate {rate}", instead="0 <= rate <= 2**53")
    mean = full_of(rate, sizes, float64)
    valid = _both(mean >= 0.0, mean <= 2.0**53)
    mean = p.where.of(valid, mean, 0.0)
    low = mean < 10.0
    small = p.where.of(low, mean, 0.0)
    few = _inverted(source, exp(-small), lambda k: small / k)
    many = few if door.truth(all_(low)) else _poisson_many(source, p.where.of(low, 10.0, mean), low)
    counts = p.where.of(valid, p.where.of(low, few, many), -1.0)
    return p.cast(counts, dtype=int64)


def binomial(
    trials: Parameter,
    probability: Parameter,
    shape: OptionalShape = None,
    generator: Generator | None = None,
) -> Tensor:
    """How many of `trials` succeed.

    By inversion where less than 10 successes (or failures) are expected, by transformed rejection
    above (Hoermann, "The generation of binomial random variates", 1993: BTRS).

    Args:
        trials: integral, from 0 to 2**53; a number or a tensor.
        probability: of a success, from 0 to 1; a number or a tensor.
        shape: the sizes, to which both broadcast; by default their common shape.
        generator: by default that of the process; the number of draws depends on the numbers.

    Returns:
        int64.

    Raises:
        ArgumentError: a number is outside.

    >>> import dualflow as df
    >>> df.random.binomial(5, 1.0, (3,)).tolist()
    [5, 5, 5]
    """
    source, sizes = generator or default, common(shape, trials, probability)
    if type(probability) not in TENSORS:
        _check_probability(probability)
    if type(trials) not in TENSORS and not 0 <= trials <= 2**53:
        raise ArgumentError(f"binomial of {trials} trials", instead="0 <= trials <= 2**53")
    n, success = full_of(trials, sizes, float64), full_of(probability, sizes, float64)
    valid = _both(_both(n >= 0.0, n <= 2.0**53), _both(success >= 0.0, success <= 1.0))
    valid = _both(valid, p.equal.of(p.floor.of(n), n))
    n, success = p.where.of(valid, n, 0.0), p.where.of(valid, success, 0.0)
    flipped = success > 0.5
    q = p.where.of(flipped, 1.0 - success, success)
    low = n * q < 10.0
    few_n, few_q = p.where.of(low, n, 0.0), p.where.of(low, q, 0.0)
    odds = few_q / (1.0 - few_q)
    none = exp(few_n * log(1.0 - few_q))
    few = _inverted(source, none, lambda k: odds * p.maximum.of(few_n - k + 1.0, 0.0) / k)
    few = p.minimum.of(few, few_n)
    if door.truth(all_(low)):
        many = few
    else:
        many = _binomial_many(
            source, p.where.of(low, 40.0, n), p.where.of(low, 0.5, q), low
        )  # fmt: skip
    counts = p.where.of(low, few, many)
    counts = p.where.of(flipped, n - counts, counts)
    return p.cast(p.where.of(valid, counts, -1.0), dtype=int64)


def multinomial(
    trials: int,
    probabilities: Tensor,
    shape: OptionalShape = None,
    generator: Generator | None = None,
) -> Tensor:
    """How many of `trials` fall into each of n classes; see `binomial`.

    Args:
        trials: a number from 0 to 2**53.
        probabilities: (..., n) floats that sum to 1.
        shape: the sizes before n, to which `probabilities` broadcast; by default their own.
        generator: by default that of the process.

    Returns:
        (*shape, n) int64.

    Raises:
        ShapeError: `probabilities` have no axis.

    >>> import dualflow as df
    >>> df.random.multinomial(3, df.asarray([0.0, 1.0])).tolist()
    [0, 3]
    """
    shares = _rows(probabilities, "multinomial", shape)
    count = shares.shape[-1]
    left = p.full(shape=shares.shape[:-1], value=as_integer(trials, "trials"), dtype=int64)
    rest = p.full(shape=shares.shape[:-1], value=1.0, dtype=float64)
    parts = []
    for k in range(count - 1):
        share = shares[..., k]
        certain = rest <= share  # also where rounding left too little
        chance = share / p.where.of(certain, 1.0, rest)
        chance = p.where.of(certain, p.where.of(share > 0.0, 1.0, 0.0), chance)
        drawn = binomial(left, chance, generator=generator)
        parts.append(drawn)
        left, rest = left - drawn, rest - share
    return stack([*parts, left], axis=-1)


def categorical(
    logits: Tensor,
    shape: OptionalShape = None,
    generator: Generator | None = None,
) -> Tensor:
    """Classes, class k with probability softmax(logits)[k]: the largest of logits + Gumbel noise.

    Args:
        logits: (..., n) floats, unnormalised logarithms of probabilities; -inf for never.
        shape: the sizes, to which the sizes before n broadcast; by default those.
        generator: by default that of the process.

    Returns:
        int64 of `shape`.

    Raises:
        ShapeError: `logits` have no axis.

    >>> import dualflow as df
    >>> df.random.categorical(df.asarray([0.0, float("-inf")]), (3,)).tolist()
    [0, 0, 0]
    """
    rows = _rows(logits, "categorical", shape)
    waited = -log(inner_unit(generator or default, rows.shape, float64))
    return argmax(rows - log(waited), axis=-1)


def choice(
    x: Any,
    shape: ShapeLike = (),
    replace: bool = True,
    probabilities: Tensor | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Random rows of a tensor, or random integers below a number.

    Args:
        x: a tensor with at least one row, or a positive integer.
        shape: the sizes of what is chosen.
        replace: whether a row can be chosen again.
        probabilities: (n,) floats that sum to 1, one for each row; by default all are equal.
        generator: by default that of the process.

    Returns:
        Of shape (*shape, *x.shape[1:]).

    Raises:
        ArgumentError: there is nothing to choose from, or not enough without replacement.
        ShapeError: there is not one probability for each row.

    >>> import dualflow as df
    >>> sorted(df.random.choice(4, (4,), replace=False).tolist())
    [0, 1, 2, 3]
    """
    source, sizes = generator or default, as_shape(shape)
    rows = len(x) if type(x) in TENSORS else as_integer(x, "a number of choices")
    wanted = size_of(sizes)
    if wanted and (rows < 1 or (not replace and wanted > rows)):
        raise ArgumentError(f"{wanted} choices of {rows} with replace={replace}",
                            instead="fewer, or replace=True")  # fmt: skip
    if probabilities is not None and probabilities.shape != (rows,):
        raise ShapeError(f"probabilities of shape {probabilities.shape} for {rows} rows",
                         instead=f"shape ({rows},)")  # fmt: skip
    if probabilities is None:
        found = source.integers(0, max(rows, 1), sizes) if replace else source.permutation(rows)
    elif replace:
        parts, _ = shares(full_of(probabilities, (rows,), float64))
        ends = cumulative_sum(parts)
        drawn = p.cast(unit(source, sizes, float64) * p.cast(ends[-1], dtype=float64), dtype=int64)
        found = searchsorted(ends, p.minimum.of(drawn, ends[-1] - 1), side="right")
    else:  # exponential waiting times: Efraimidis and Spirakis, 2006
        weights = full_of(probabilities, (rows,), float64)
        waited = -log(inner_unit(source, (rows,), float64))
        possible = weights > 0.0
        waited = p.where.of(possible, waited / p.where.of(possible, weights, 1.0), math.inf)
        found = p.argsort(waited, axis=0)
    if not replace:
        found = p.reshape(found[:wanted], shape=sizes)
    if type(x) not in TENSORS:
        return found
    taken = p.take(x, p.reshape(found, shape=(wanted,)), axis=0)
    return p.reshape(taken, shape=(*sizes, *x.shape[1:]))


def shuffle(x: Tensor, generator: Generator | None = None) -> None:
    """Put the rows of `x` into random order, in place.

    Args:
        x: a tensor with at least one axis; nothing is given back.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> x = df.arange(4)
    >>> df.random.shuffle(x)
    >>> sorted(x.tolist())
    [0, 1, 2, 3]
    """
    x[...] = (generator or default).permutation(x)


def _inverted(source: Generator, none: Tensor, ratio: Any) -> Tensor:
    """Counts by inversion, where P(0) is `none` and P(k) / P(k - 1) is `ratio(k)`."""
    u = inner_unit(source, none.shape, float64)
    count, chance, total = p.full(shape=none.shape, value=0.0, dtype=float64), none, none
    k = 0.0
    while door.truth(any_(u > total)) and k < 200.0:  # beyond 200 the sum no longer grows
        k += 1.0
        count = p.where.of(u > total, k, count)
        chance = chance * ratio(k)
        total = total + chance
    return count


def _poisson_many(source: Generator, mean: Tensor, done: Tensor) -> Tensor:
    """PTRS: for rates of at least 10; nothing is looked for where `done`."""
    b = 0.931 + 2.53 * p.sqrt.of(mean)
    a = -0.059 + 0.02483 * b
    log_alpha = log(1.1239 + 1.1328 / (b - 3.4))
    bound = 0.9277 - 3.6224 / (b - 2.0)
    log_mean = log(mean)
    found = mean
    while True:
        u = inner_unit(source, mean.shape, float64) - 0.5
        v = inner_unit(source, mean.shape, float64)
        us = 0.5 - p.abs.of(u)
        k = p.floor.of((2.0 * a / us + b) * u + mean + 0.43)
        at = p.maximum.of(k, 0.0)
        left = log(v) + log_alpha - log(a / (us * us) + b)
        sure = _both(us >= 0.07, v <= bound)
        fits = _both(left <= at * log_mean - mean - log_factorial(at),
                     _both(k >= 0.0, p.logical_or.of(us >= 0.013, v <= us)))  # fmt: skip
        found, done = _filled(found, done, k, p.logical_or.of(sure, fits))
        if door.truth(all_(done)):
            return found


def _binomial_many(source: Generator, n: Tensor, q: Tensor, done: Tensor) -> Tensor:
    """BTRS: for q <= 1/2 and n q >= 10; nothing is looked for where `done`."""
    deviation = p.sqrt.of(n * q * (1.0 - q))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * q
    centre = n * q + 0.5
    bound = 0.92 - 4.2 / b
    alpha = (2.83 + 5.1 / b) * deviation
    m = p.floor.of((n + 1.0) * q)
    odds = q / (1.0 - q)
    at_mode = (m + 0.5) * log((m + 1.0) / (odds * (n - m + 1.0))) + stirling_tail(m)
    at_mode = at_mode + stirling_tail(n - m)
    found = m
    while True:
        u = inner_unit(source, n.shape, float64) - 0.5
        v = inner_unit(source, n.shape, float64)
        us = 0.5 - p.abs.of(u)
        k = p.floor.of((2.0 * a / us + b) * u + centre)
        inside = _both(k >= 0.0, k <= n)
        at = p.where.of(inside, k, m)
        left = log(v * alpha / (a / (us * us) + b))
        right = at_mode + (n + 1.0) * log((n - m + 1.0) / (n - at + 1.0))
        right = right + (at + 0.5) * log(odds * (n - at + 1.0) / (at + 1.0))
        right = right - stirling_tail(at) - stirling_tail(n - at)
        sure = _both(us >= 0.07, v <= bound)
        fits = _both(inside, p.logical_or.of(sure, left <= right))
        found, done = _filled(found, done, k, fits)
        if door.truth(all_(done)):
            return found


def _filled(found: Tensor, done: Tensor, k: Tensor, fits: Tensor) -> tuple[Tensor, Tensor]:
    new = _both(fits, p.logical_not.of(done))
    return p.where.of(new, k, found), p.logical_or.of(done, fits)


def _both(a: Tensor, b: Tensor) -> Tensor:
    return p.logical_and.of(a, b)


def _rows(x: Tensor, what: str, shape: OptionalShape) -> Tensor:
    if type(x) not in TENSORS or x.ndim == 0:
        raise ShapeError(f"{what} of a single number", instead="a tensor of shape (..., n)")
    rows = full_of(x, x.shape, float64)
    if shape is None:
        return rows
    sizes = as_shape(shape)
    if broadcast(x.shape[:-1], sizes) != sizes:
        raise ShapeError(f"{what} of shape {sizes} from {x.shape}",
                         instead="sizes to which those before the last axis broadcast")  # fmt: skip
    return broadcast_to(rows, (*sizes, x.shape[-1]))


def _check_probability(probability: float) -> None:
    if not 0.0 <= probability <= 1.0:
        raise ArgumentError(f"a probability of {probability}", instead="0 <= p <= 1")


__all__ = [
    "bernoulli", "binomial", "categorical", "choice", "geometric", "multinomial", "poisson",
    "rademacher", "shuffle",
]  # fmt: skip
