"""Generator: a key and a counter; each draw takes the counter and moves it on.

Bits come from Philox4x32-10 (Salmon et al., 2011) at (element, counter) under the key. Here are
bits, uniform and centred numbers, from which the distributions beside are made.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, final

from dualflow.base.dtypes import (
    DEFAULT_FLOAT,
    as_dtype,
    float16,
    float32,
    float64,
    int64,
    is_float,
    uint64,
)
from dualflow.base.errors import ArgumentError, DTypeError
from dualflow.base.shapes import Shape, as_integer

from . import door
from . import primitives as p
from .functions.movement import as_shape
from .operands import TENSORS
from .quantiles import normal_quantile

Tensor = Any
ShapeLike = int | Sequence[int]
MASK = (1 << 64) - 1


@final
class Generator:
    """A stream of random numbers.

    Every function of `df.random` takes one as `generator=`; the commonest are methods, too.

    Args:
        seed: any integer; equal seeds give equal numbers. None takes one from the system.

    Attributes:
        key: says which stream it is, 64 bits.
        counter: how many draws were made.

    >>> import dualflow as df
    >>> g = df.random.Generator(1)
    >>> first = df.random.integers(0, 10, (3,), generator=g)
    >>> g.counter
    1
    >>> first.tolist() == df.random.Generator(1).integers(0, 10, (3,)).tolist()
    True
    """

    __slots__ = ("counter", "key", "spawned")

    def __init__(self, seed: int | None = None) -> None:
        start = int.from_bytes(os.urandom(8)) if seed is None else as_integer(seed, "a seed")
        self.key = start & MASK
        self.counter = 0
        self.spawned = 0

    @property
    def state(self) -> tuple[int, int, int]:
        """Where the stream is: key, counter and the number of generators spawned. Assign it to go
        back there; it can be saved anywhere.

        >>> import dualflow as df
        >>> g = df.random.Generator(1)
        >>> saved = g.state
        >>> a = g.uniform((2,)).tolist()
        >>> g.state = saved
        >>> a == g.uniform((2,)).tolist()
        True
        """
        return self.key, self.counter, self.spawned

    @state.setter
    def state(self, state: tuple[int, int, int]) -> None:
        try:
            key, counter, spawned = (as_integer(part, "a part of a state") for part in state)
        except (TypeError, ValueError) as cause:
            raise ArgumentError(f"a generator's state from a {type(state).__name__}",
                                instead="what `state` of a generator gave") from cause  # fmt: skip
        self.key, self.counter, self.spawned = key & MASK, counter & MASK, spawned

    def spawn(self, count: int) -> list[Generator]:
        """`count` generators whose streams are independent of this one's and of each other, for
        workers; this generator's own numbers stay what they were.

        Keys are mixed with SplitMix64 (Steele, Lea and Flood, 2014).

        >>> import dualflow as df
        >>> a, b = df.random.Generator(1).spawn(2)
        >>> a.uniform().item() != b.uniform().item()
        True
        """
        made = []
        for _ in range(as_integer(count, "a count")):
            self.spawned += 1
            made.append(Generator(_mixed(_mixed(self.key) + self.spawned)))
        return made

    def bits(self, shape: ShapeLike = ()) -> Tensor:
        """See `random.bits`."""
        return p.random_bits(door.draw(self), shape=as_shape(shape))

    def uniform(
        self, shape: ShapeLike = (), low: float = 0.0, high: float = 1.0, dtype: Any = None
    ) -> Tensor:
        """See `random.uniform`."""
        _check_parameters("uniform", shape, (low, high) == (0.0, 1.0), low, high)
        made = unit(self, as_shape(shape), as_float(dtype))
        return made if (low, high) == (0.0, 1.0) else made * (high - low) + low

    def normal(
        self, shape: ShapeLike = (), mean: float = 0.0, std: float = 1.0, dtype: Any = None
    ) -> Tensor:
        """See `random.normal`."""
        _check_parameters("normal", shape, (mean, std) == (0.0, 1.0), mean, std)
        if std < 0:
            raise ArgumentError(f"normal() with a deviation of {std}", instead="a positive one")
        found = as_float(dtype)
        wide = wider(found)
        z = normal_quantile(*centred(self, as_shape(shape), wide))
        if (mean, std) != (0.0, 1.0):
            z = z * std + mean
        return z if found == wide else p.cast(z, dtype=found)

    def integers(
        self, low: int, high: int | None = None, shape: ShapeLike = (), dtype: Any = None
    ) -> Tensor:
        """See `random.integers`."""
        low, high = (0, low) if high is None else (low, high)
        low, high = as_integer(low, "a bound"), as_integer(high, "a bound")
        found = as_dtype(dtype or int64)
        size = high - low
        if size <= 0:
            raise ArgumentError(f"integers from {low} before {high}", why="there are none")
        if found.kind not in "iu":
            raise DTypeError(f"integers of {found.name}", instead="an integer dtype")
        p.full.op.rule(shape=(), value=low, dtype=found)
        p.full.op.rule(shape=(), value=high - 1, dtype=found)
        upper, lower = words(self, as_shape(shape))
        if size <= 1 << 32:  # the high word of the 96-bit product size * (upper, lower)
            steps = (upper * size + ((lower * size) >> 32)) >> 32
        else:
            whole = (upper << 32) | lower
            steps = whole if size > MASK else whole % size
        # added modulo 2**64, which is right for every signed and unsigned dtype
        return p.cast(steps + (low & MASK), dtype=found)

    def permutation(self, x: Any) -> Tensor:
        """See `random.permutation`."""
        rows = len(x) if type(x) in TENSORS else as_integer(x, "a length")
        upper, lower = words(self, (rows,))
        order = p.argsort((upper << 32) | lower, axis=0)
        return p.take(x, order, axis=0) if type(x) in TENSORS else order

    def __repr__(self) -> str:
        return f"Generator(key={self.key:#x}, counter={self.counter})"


def _check_parameters(name: str, shape: Any, standard: bool, *parameters: Any) -> None:
    """Arguments in the order of NumPy, where the shape comes last, are told where they can be."""
    if type(shape) is int and shape == 0 and not standard:
        raise ArgumentError(f"{name}() of shape 0 with parameters", why="the shape comes first",
                            instead=f"{name}((2, 3), ...), or (0,) for nothing")  # fmt: skip
    for parameter in parameters:
        if isinstance(parameter, (tuple, list)):
            raise ArgumentError(f"{name}() with a {type(parameter).__name__} as a parameter",
                                why="the shape comes first",
                                instead=f"{name}((2, 3), ...)")  # fmt: skip


def _mixed(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def as_float(dtype: Any) -> Any:
    """The float dtype that `dtype` names, or the default; DTypeError for any other."""
    found = as_dtype(dtype or DEFAULT_FLOAT)
    if not is_float(found):
        raise DTypeError(f"random floats of {found.name}", instead="a float dtype")
    return found


def wider(dtype: Any) -> Any:
    """The dtype in which numbers of `dtype` are made: float64, or float32 for narrower ones too."""
    return float64 if dtype == float64 else float32


def words(generator: Generator, shape: Shape) -> tuple[Tensor, Tensor]:
    """Two independent words of 32 bits for each element, as uint64."""
    both = p.cast(generator.bits((2, *shape)), dtype=uint64)
    return both[0], both[1]


def unit(generator: Generator, shape: Shape, dtype: Any) -> Tensor:
    """Multiples of 2**-53 (float64), 2**-24 (float32), 2**-11 (float16) or 2**-8 (bfloat16) in
    [0, 1)."""
    if dtype == float64:
        upper, lower = words(generator, shape)
        whole = ((upper >> 5) << 26) | (lower >> 6)
        return p.cast(whole, dtype=float64) * 2.0**-53
    kept = 24 if dtype == float32 else 11 if dtype == float16 else 8
    return p.cast(generator.bits(shape) >> (32 - kept), dtype=dtype) * 2.0**-kept


def inner_unit(generator: Generator, shape: Shape, dtype: Any) -> Tensor:
    """Odd multiples of 2**-53 (float64) or 2**-24 (float32) in (0, 1): never 0, never 1."""
    if dtype == float64:
        upper, lower = words(generator, shape)
        whole, kept = (upper << 20) | (lower >> 12), 52
    else:
        whole, kept = generator.bits(shape) >> 9, 23
    return (p.cast(whole, dtype=dtype) + 0.5) * 2.0**-kept


def centred(generator: Generator, shape: Shape, dtype: Any) -> tuple[Tensor, Tensor]:
    """q in (-1/2, 1/2), and the distance of 1/2 + q to the nearer of 0 and 1; both exact."""
    inside = inner_unit(generator, shape, dtype)
    return inside - 0.5, p.minimum.of(inside, 1.0 - inside)
