"""The process's generator, and the numbers that all others are made of.

Comes in: a shape. Goes out: bits, uniform and normal floats, integers, permutations.
"""

from __future__ import annotations

from typing import Any

from dualflow.base.shapes import as_integer

from .generator import MASK, Generator, ShapeLike

Tensor = Any

#: the generator of functions that are given none
default = Generator()


def seed(value: int) -> None:
    """Start the process's generator anew from `value`.

    >>> import dualflow as df
    >>> df.random.seed(0)
    >>> first = df.random.uniform((2,)).tolist()
    >>> df.random.seed(0)
    >>> first == df.random.uniform((2,)).tolist()
    True
    """
    default.key, default.counter, default.spawned = as_integer(value, "a seed") & MASK, 0, 0


def get_state() -> tuple[int, int, int]:
    """Where the process's generator is; see `Generator.state`.

    >>> import dualflow as df
    >>> saved = df.random.get_state()
    >>> a = df.random.normal((2,)).tolist()
    >>> df.random.set_state(saved)
    >>> a == df.random.normal((2,)).tolist()
    True
    """
    return default.state


def set_state(state: tuple[int, int, int]) -> None:
    """Put the process's generator where `state` says, which `get_state` gave.

    Raises:
        ArgumentError: it is no such state.

    >>> import dualflow as df
    >>> df.random.set_state((7, 0, 0))
    >>> df.random.default
    Generator(key=0x7, counter=0)
    """
    default.state = state


def uniform(
    shape: ShapeLike = (),
    low: float = 0.0,
    high: float = 1.0,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Floats evenly from `low` to `high`.

    The smallest step is (high - low) * 2**-24 (float64: 2**-53). `high` itself comes only by
    rounding, and never for 0 and 1.

    Args:
        shape: the sizes.
        low, high: the bounds.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> bool(df.all(df.random.uniform((100,)) < 1.0))
    True
    """
    return (generator or default).uniform(shape, low, high, dtype)


def normal(
    shape: ShapeLike = (),
    mean: float = 0.0,
    std: float = 1.0,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Normally distributed floats, by the quantile function (Wichura's AS 241).

    Args:
        shape: the sizes.
        mean, std: mean and standard deviation.
        dtype: a float dtype, by default float32.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> df.random.normal((2, 3)).shape
    (2, 3)
    """
    return (generator or default).normal(shape, mean, std, dtype)


def integers(
    low: int,
    high: int | None = None,
    shape: ShapeLike = (),
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Integers from `low` up to, but not including, `high` (with one bound: from 0).

    No value is more likely than another by more than 2**-32 of its probability where at most
    2**32 values are asked for; beyond, by (high - low) / 2**64.

    Args:
        low, high: the bounds.
        shape: of the result.
        dtype: an integer dtype, int64 by default.
        generator: by default that of the process.

    Raises:
        ArgumentError: there are no such integers.
        DTypeError: `dtype` does not hold them.

    >>> import dualflow as df
    >>> set(df.random.integers(0, 2, (100,)).tolist()) == {0, 1}
    True
    """
    return (generator or default).integers(low, high, shape, dtype)


def permutation(x: Any, generator: Generator | None = None) -> Tensor:
    """The integers below `x` in random order; or the rows of the tensor `x`.

    Args:
        x: an integer, or a tensor with at least one axis.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> sorted(df.random.permutation(4).tolist())
    [0, 1, 2, 3]
    """
    return (generator or default).permutation(x)


def bits(shape: ShapeLike = (), generator: Generator | None = None) -> Tensor:
    """Independent random bits, as uint32.

    Args:
        shape: of the result.
        generator: by default that of the process.

    >>> import dualflow as df
    >>> df.random.bits((2,)).dtype.name
    'uint32'
    """
    return (generator or default).bits(shape)
