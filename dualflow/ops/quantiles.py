"""Logarithm, exponential and normal quantile from bit-exact operations: + - * /, integers, choice.

Comes in: tensors of float32 or float64. Goes out: the same bits on every machine and in every
mode, which NumPy's own functions do not give: theirs differ between processors in the last bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dualflow.base.dtypes import float32, float64, int32, int64, uint32, uint64

from . import door
from . import primitives as p

Tensor = Any

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

# The logarithm of normal numbers: the method and coefficients of fdlibm's e_log.c and e_logf.c
# (Sun Microsystems, 1993).
_LOG = {
    float32: (uint32, int32, 23, 127, 0x3F800000, (6.9313812256e-01, 9.0580006145e-06),
              (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841)),
    float64: (uint64, int64, 52, 1023, 0x3FF0000000000000,
              (6.93147180369123816490e-01, 1.90821492927058770002e-10),
              (6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
               2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
               1.479819860511658591e-01)),
}  # fmt: skip

# The exponential: the method and coefficients of fdlibm's e_exp.c and e_expf.c. The bounds beyond
# which it is infinite or 0; the places of the mantissa; the exponent's bias; ln 2 in two parts.
_EXP = {
    float32: (88.72283, -103.97208, int32, 23, 127, (6.9313812256e-01, 9.0580006145e-06),
              (1.6666667163e-01, -2.7777778450e-03, 6.6137559770e-05, -1.6533901999e-06,
               4.1381369442e-08)),
    float64: (709.782712893384, -745.1332191019411, int64, 52, 1023,
              (6.93147180369123816490e-01, 1.90821492927058770002e-10),
              (1.66666666666666019037e-01, -2.77777777770155933842e-03,
               6.61375632143793436117e-05, -1.65339022054652515390e-06,
               4.13813679705723846039e-08)),
}  # fmt: skip

# log k! - Stirling's formula, for k = 0 to 9 (Hoermann, 1993).
_STIRLING_TAIL = (
    0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509,
    0.0166446911898211, 0.0138761288230707, 0.0118967099458917, 0.0104112652619720,
    0.00925546218271273, 0.00833056343336287,
)  # fmt: skip


def polynomial(x: Any, coefficients: tuple[float, ...]) -> Any:
    """The polynomial of these coefficients, lowest power first, by Horner's rule."""
    total = x * coefficients[-1] + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        total = total * x + coefficient
    return total


def _ratio(x: Any, parts: tuple[tuple[float, ...], tuple[float, ...]]) -> Any:
    return polynomial(x, parts[0]) / polynomial(x, parts[1])


class _Tensors:
    """The operations on tensors that are no operators."""

    where, sqrt, abs = p.where.of, p.sqrt.of, p.abs.of
    bitcast, cast = p.bitcast, p.cast


class _Arrays:
    """The same on NumPy arrays."""

    where, sqrt, abs = np.where, np.sqrt, np.abs

    @staticmethod
    def bitcast(x: np.ndarray, dtype: Any) -> np.ndarray:
        return x.view(dtype)

    @staticmethod
    def cast(x: np.ndarray, dtype: Any) -> np.ndarray:
        return x.astype(dtype)


#: Elements of arrays that are taken at a time, so that what lies between stays in the cache.
_BLOCK = 8192


def normal_quantile(q: Tensor, tail: Tensor) -> Tensor:
    """The normal quantile of 1/2 + q; `tail` is the distance of that to 0 or 1."""
    eager = door.unnoted(q, tail)
    if eager is not None:
        return eager.compute(_quantile_of_arrays, (q, tail))
    outer = _outer_quantile(q, tail, _Tensors)
    return p.where.of(p.abs.of(q) <= 0.425, _central_quantile(q), outer)


def _quantile_of_arrays(q: np.ndarray, tail: np.ndarray) -> np.ndarray:
    out = np.empty(q.shape, q.dtype)
    flat, qs, tails = out.reshape(-1), q.reshape(-1), tail.reshape(-1)
    for start in range(0, q.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        flat[part] = _central_quantile(qs[part])
        (outer,) = np.nonzero(np.abs(qs[part]) > 0.425)
        flat[part][outer] = _outer_quantile(qs[part][outer], tails[part][outer], _Arrays)
    return out


def _central_quantile(q: Any) -> Any:
    return q * _ratio(0.180625 - q * q, _QUANTILE[q.dtype][0])


def _outer_quantile(q: Any, tail: Any, on: Any) -> Any:
    _, *tails = _QUANTILE[q.dtype]
    r = on.sqrt(-log(tail, on))
    outer = _ratio(r - 1.6, tails[0])
    if len(tails) > 1:  # float32 never comes so far: its smallest tail is 2**-24
        outer = on.where(r <= 5.0, outer, _ratio(r - 5.0, tails[1]))
    return on.where(q < 0.0, -outer, outer)


def log(x: Any, on: Any = _Tensors) -> Any:
    """log(x) of positive normal x, within 1 ulp."""
    unsigned, signed, places, bias, one, (ln2_high, ln2_low), coefficients = _LOG[x.dtype]
    bits = on.bitcast(x, dtype=unsigned)
    mantissa = on.bitcast((bits & ((1 << places) - 1)) | one, dtype=x.dtype)  # in [1, 2)
    exponent = on.cast(on.cast(bits >> places, dtype=signed) - bias, dtype=x.dtype)
    above = mantissa > math.sqrt(2.0)
    mantissa = on.where(above, mantissa * 0.5, mantissa)
    exponent = on.where(above, exponent + 1.0, exponent)
    f = mantissa - 1.0
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    series = z * polynomial(z, coefficients)
    return exponent * ln2_high - ((half - (s * (half + series) + exponent * ln2_low)) - f)


def exp(x: Tensor) -> Tensor:
    """exp(x), within 1 ulp; 0 and infinity where it leaves the range."""
    most, least, signed, places, bias, (ln2_high, ln2_low), coefficients = _EXP[x.dtype]
    number = p.equal.of(x, x)  # not NaN, which no integer holds
    inside = p.where.of(number, p.minimum.of(p.maximum.of(x, least), most), 0.0)
    k = p.floor.of(inside * (1.0 / math.log(2.0)) + 0.5)
    high, low = inside - k * ln2_high, k * ln2_low
    r = high - low
    t = r * r
    c = r - t * polynomial(t, coefficients)
    y = 1.0 - ((low - (r * c) / (2.0 - c)) - high)
    half = p.cast(k, dtype=signed) >> 1  # 2**k in two steps: it may be beyond the largest power
    rest = p.cast(k, dtype=signed) - half
    for power in (half, rest):
        y = y * p.bitcast((power + bias) << places, dtype=x.dtype)
    y = p.where.of(x > most, math.inf, y)
    y = p.where.of(x < least, 0.0, y)
    return p.where.of(number, y, x)


def log_factorial(k: Tensor) -> Tensor:
    """log(k!) of integral float64 k >= 0: Stirling's formula with its tail."""
    return (k + 0.5) * log(k + 1.0) - (k + 1.0) + 0.5 * math.log(2.0 * math.pi) + stirling_tail(k)


def stirling_tail(k: Tensor) -> Tensor:
    """What Stirling's formula for log(k!) lacks, of integral float64 k >= 0."""
    next_ = k + 1.0
    squared = next_ * next_
    tail = (1 / 12 - (1 / 360 - 1 / 1260 / squared) / squared) / next_
    for value, known in enumerate(_STIRLING_TAIL):
        tail = p.where.of(k == float(value), known, tail)
    return tail


__all__ = ["exp", "log", "log_factorial", "normal_quantile", "polynomial", "stirling_tail"]
