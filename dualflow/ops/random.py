"""Random numbers from a counter: the same bits eager and compiled, on every machine.

A `Generator` is a key and a counter; each call takes the counter and moves it on. Bits come from
Philox4x32-10 (Salmon et al., 2011) at (element, counter); distributions use bit-exact operations
only: integers, + - * /, sqrt. Functions here use one generator for the process, see `seed`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, final

from dualflow.base.dtypes import (
    DEFAULT_FLOAT,
    as_dtype,
    float16,
    float32,
    float64,
    int32,
    int64,
    uint32,
    uint64,
)
from dualflow.base.errors import ArgumentError, DTypeError
from dualflow.base.shapes import Shape, as_integer

from . import door
from . import primitives as p
from .functions.movement import as_shape
from .operands import TENSORS

Tensor = Any
ShapeLike = int | Sequence[int]
_MASK = (1 << 64) - 1


@final
class Generator:
    """A stream of random numbers.

    Args:
        seed: any integer; equal seeds give equal numbers. None takes one from the system.

    >>> import dualflow as df
    >>> g = df.random.Generator(1)
    >>> g.integers(0, 10, (3,)).tolist() == df.random.Generator(1).integers(0, 10, (3,)).tolist()
    True
    """

    __slots__ = ("counter", "key")

    def __init__(self, seed: int | None = None) -> None:
        start = int.from_bytes(os.urandom(8)) if seed is None else as_integer(seed, "a seed")
        self.key = start & _MASK
        self.counter = 0

    def bits(self, shape: ShapeLike = ()) -> Tensor:
        """Independent bits, as uint32."""
        return p.random_bits(door.draw(self), shape=as_shape(shape))

    def uniform(
        self, shape: ShapeLike = (), low: float = 0.0, high: float = 1.0, dtype: Any = None
    ) -> Tensor:
        """See `random.uniform`."""
        found = _float(dtype)
        unit = _unit(self, as_shape(shape), found)
        return unit if (low, high) == (0.0, 1.0) else unit * (high - low) + low

    def normal(
        self, shape: ShapeLike = (), mean: float = 0.0, std: float = 1.0, dtype: Any = None
    ) -> Tensor:
        """See `random.normal`."""
        found = _float(dtype)
        wide = float64 if found == float64 else float32
        z = _normal(*_centred(self, as_shape(shape), wide), wide)
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
        upper, lower = _words(self, as_shape(shape))
        if size <= 1 << 32:  # the high word of the 96-bit product size * (upper, lower)
            steps = (upper * size + ((lower * size) >> 32)) >> 32
        else:
            whole = (upper << 32) | lower
            steps = whole if size > _MASK else whole % size
        # added modulo 2**64, which is right for every signed and unsigned dtype
        return p.cast(steps + (low & _MASK), dtype=found)

    def permutation(self, x: Any) -> Tensor:
        """See `random.permutation`."""
        rows = len(x) if type(x) in TENSORS else as_integer(x, "a length")
        upper, lower = _words(self, (rows,))
        order = p.argsort((upper << 32) | lower, axis=0)
        return p.take(x, order, axis=0) if type(x) in TENSORS else order

    def __repr__(self) -> str:
        return f"Generator(key={self.key:#x}, counter={self.counter})"


def _float(dtype: Any) -> Any:
    found = as_dtype(dtype or DEFAULT_FLOAT)
    if found.kind != "f":
        raise DTypeError(f"random floats of {found.name}", instead="a float dtype")
    return found


def _words(generator: Generator, shape: Shape) -> tuple[Tensor, Tensor]:
    """Two independent words of 32 bits for each element, as uint64."""
    both = p.cast(generator.bits((2, *shape)), dtype=uint64)
    return both[0], both[1]


def _unit(generator: Generator, shape: Shape, dtype: Any) -> Tensor:
    """Multiples of 2**-53 (float64), 2**-24 (float32) or 2**-11 (float16) in [0, 1)."""
    if dtype == float64:
        upper, lower = _words(generator, shape)
        whole = ((upper >> 5) << 26) | (lower >> 6)
        return p.cast(whole, dtype=float64) * 2.0**-53
    kept = 11 if dtype == float16 else 24
    return p.cast(generator.bits(shape) >> (32 - kept), dtype=dtype) * 2.0**-kept


def _centred(generator: Generator, shape: Shape, dtype: Any) -> tuple[Tensor, Tensor]:
    """q in (-1/2, 1/2), and the distance of 1/2 + q to the nearer of 0 and 1; both exact."""
    if dtype == float64:
        upper, lower = _words(generator, shape)
        whole, kept = (upper << 20) | (lower >> 12), 52
    else:
        whole, kept = generator.bits(shape) >> 9, 23
    unit = (p.cast(whole, dtype=dtype) + 0.5) * 2.0**-kept
    return unit - 0.5, p.minimum.of(unit, 1.0 - unit)


# The normal quantile: M. J. Wichura, "Algorithm AS 241: the percentage points of the normal
# distribution", Applied Statistics 37 (1988): PPND7 for float32, PPND16 for float64.
# Numerator and denominator, lowest power first: centre, tails, far tails.
_QUANTILE = {
    float32: (
        ((3.3871327179, 50.434271938, 159.29113202, 59.109374720),
         (1.0, 17.895169469, 78.757757664, 67.187563600)),
        ((1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103),
         (1.0, 0.73700164250, 0.12021132975)),
    ),
    float64: (
        ((3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427,
          13731.693765509461125, 45921.953931549871457, 67265.770927008700853,
          33430.575583588128105, 2509.0809287301226727),
         (1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077,
          21213.794301586595867, 39307.895800092710610, 28729.085735721942674,
          5226.4952788528545610)),
        ((1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550,
          3.64784832476320460504, 1.27045825245236838258, 0.241780725177450611770,
          0.0227238449892691845833, 7.74545014278341407640e-4),
         (1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550,
          0.148103976427480074590, 0.0151986665636164571966, 5.47593808499534494600e-4,
          1.05075007164441684324e-9)),
        ((6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580,
          0.296560571828504891230, 0.0265321895265761230930, 1.24266094738807843860e-3,
          2.71155556874348757815e-5, 2.01033439929228813265e-7),
         (1.0, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525,
          7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
          2.04426310338993978564e-15)),
    ),
}  # fmt: skip


def _polynomial(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    total = x * coefficients[-1] + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        total = total * x + coefficient
    return total


def _ratio(x: Tensor, parts: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
    return _polynomial(x, parts[0]) / _polynomial(x, parts[1])


def _normal(q: Tensor, tail: Tensor, dtype: Any) -> Tensor:
    """The normal quantile of 1/2 + q; `tail` is the distance of that to 0 or 1."""
    centre, *tails = _QUANTILE[dtype]
    central = q * _ratio(0.180625 - q * q, centre)
    r = p.sqrt.of(-_log(tail, dtype))
    outer = _ratio(r - 1.6, tails[0])
    if len(tails) > 1:  # float32 never comes so far: its smallest tail is 2**-24
        outer = p.where.of(r <= 5.0, outer, _ratio(r - 5.0, tails[1]))
    outer = p.where.of(q < 0.0, -outer, outer)
    return p.where.of(p.abs.of(q) <= 0.425, central, outer)


# The logarithm of normal numbers: the method and coefficients of fdlibm's e_log.c and e_logf.c
# (Sun Microsystems, 1993). NumPy's own differs between processors in the last bit.
_LOG = {
    float32: (uint32, int32, 23, 127, 0x3F800000, (6.9313812256e-01, 9.0580006145e-06),
              (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841)),
    float64: (uint64, int64, 52, 1023, 0x3FF0000000000000,
              (6.93147180369123816490e-01, 1.90821492927058770002e-10),
              (6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
               2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
               1.479819860511658591e-01)),
}  # fmt: skip


def _log(x: Tensor, dtype: Any) -> Tensor:
    """log(x) of positive normal x, from bit-exact operations."""
    unsigned, signed, places, bias, one, (ln2_high, ln2_low), coefficients = _LOG[dtype]
    bits = p.bitcast(x, dtype=unsigned)
    mantissa = p.bitcast((bits & ((1 << places) - 1)) | one, dtype=dtype)  # in [1, 2)
    exponent = p.cast(p.cast(bits >> places, dtype=signed) - bias, dtype=dtype)
    above = mantissa > math.sqrt(2.0)
    mantissa = p.where.of(above, mantissa * 0.5, mantissa)
    exponent = p.where.of(above, exponent + 1.0, exponent)
    f = mantissa - 1.0
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    series = z * _polynomial(z, coefficients)
    return exponent * ln2_high - ((half - (s * (half + series) + exponent * ln2_low)) - f)


#: the generator of the functions below
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
    default.key, default.counter = as_integer(value, "a seed") & _MASK, 0


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

    >>> import dualflow as df
    >>> sorted(df.random.permutation(4).tolist())
    [0, 1, 2, 3]
    """
    return (generator or default).permutation(x)


def bits(shape: ShapeLike = (), generator: Generator | None = None) -> Tensor:
    """Independent random bits, as uint32.

    >>> import dualflow as df
    >>> df.random.bits((2,)).dtype.name
    'uint32'
    """
    return (generator or default).bits(shape)
