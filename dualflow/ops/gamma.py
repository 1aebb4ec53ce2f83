"""The logarithm of the gamma function and its derivative, which NumPy lacks.

Comes in: float arrays. Goes out: arrays of the same dtype. With the nearest whole number moved to
2, log gamma(x) = g(d) - log(x (x + 1) ... ), d = t - 2, g a polynomial of a relative error of
2**-59; from 8 on Stirling's series (Abramowitz and Stegun, 6.1.40). Below -1.5 it has two zeros for
each whole number; differences to the next zero keep every digit there, a method of J. Myers for
glibc ("lgamma_neg.c", 2013). Kernels take the tables from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps

import numpy as np

# log(gamma(2 + d)) / d for -0.75 <= d <= 0.5; x (log(gamma(x)) - (x - 1/2) log(x) + x -
# log(2 pi) / 2) in 1/x**2 for x >= 7.5. Lowest power first, from `runtime/cpu_math/derive.py`.
NEAR_TWO = (
    0.42278433509846713, 0.3224670334241132, -0.0673523010531981, 0.020580808427784394,
    -0.007385551028673814, 0.0028905103307530875, -0.0011927539117078864, 0.0005096695243389998,
    -0.000223154758502813, 9.94575205867467e-05, -4.4926232404003e-05, 2.050712212249021e-05,
    -9.439573869735768e-06, 4.37551960150074e-06, -2.0383500773558223e-06, 9.522756105588867e-07,
    -4.543173741824768e-07, 2.1901179950002662e-07, -8.307405196122108e-08, 4.197831401608803e-08,
    -5.487261076350241e-08, 1.1539389827626228e-09, 1.9273545443041888e-08, 2.0894747345278358e-08,
)  # fmt: skip
STIRLING = (
    0.08333333333333333, -0.00277777777777753, 0.0007936507933577391, -0.0005952379626838185,
    0.0008417212044647813, -0.0019138893144208886, 0.006157629874267405, -0.019928768735518528,
)  # fmt: skip
HALF_LOG_2_PI = 0.9189385332046728
FAR = 8.0
# The zeros on both sides of -n, n from 2 to 17, each as a sum of two; there is none right of -2.
ZEROS = (
    (-2.4570247382208006, -3.7075610815513266e-17), (-1.0, 0.0),
    (-3.14358088834998, -2.1818179852331714e-16), (-2.7476826467274127, 9.055340329338315e-17),
    (-4.039361839740537, 2.1143995503980602e-16), (-3.955294284858598, -1.999428391746348e-17),
    (-5.0082181683225935, -4.3926353491015815e-17), (-4.991544640560048, 1.5174411760571722e-16),
    (-6.001385294453155, 6.415847287933042e-17), (-5.998607480080875, -3.311862478893795e-16),
    (-7.000198333407325, 2.504354173632409e-16), (-6.999801507890638, 1.0550130037400023e-17),
    (-8.000024800270682, -4.354586297860107e-16), (-7.999975197095821, -5.261737128572354e-17),
    (-9.000002755714823, -9.491348611623208e-17), (-8.999997244250977, -2.2185620509727132e-16),
    (-10.000000275573013, -3.4909708332642057e-16), (-9.99999972442663, 4.883037618642443e-16),
    (-11.000000025052106, -6.850849812286175e-16), (-10.99999997494789, 1.9843998306985407e-16),
    (-12.000000002087676, 1.2222548112048185e-16), (-11.999999997912324, -1.0020693920103036e-16),
    (-13.00000000016059, -6.745919484964342e-16), (-12.99999999983941, 6.747262033096337e-16),
    (-14.00000000001147, -8.094853704222662e-16), (-13.99999999998853, 8.094860741926607e-16),
    (-15.000000000000764, -8.829322382710274e-16), (-14.999999999999236, 8.82932241476868e-16),
    (-16.000000000000046, -1.6094954994609367e-15), (-15.999999999999952, -1.668613399265054e-16),
    (-17.000000000000004, 7.412564244550028e-16), (-16.999999999999996, -7.412564244549576e-16),
)  # fmt: skip
LAST_ZERO = 17
#: Between this and -2 the zero next to -2.5 is the one to take.
LEFT_OF_ZERO = -2.61
#: Products of |x + j| stay finite for whole parts up to this.
LAST_PRODUCT = 160

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def _polynomial(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    out = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        out *= x
        out += coefficient
    return out


def _near(x: np.ndarray) -> np.ndarray:
    """-1.5 <= x < 8."""
    n = np.rint(1.75 - x)  # near 2 the zero is that of d, near 1 the logarithm takes part
    d = x + (n - 2.0)
    product = np.ones_like(x)
    for j in range(3):
        product = np.where(n > j, product * (x + j), product)
    for j in range(1, 7):
        product = np.where(n <= -j, product * (x - j), product)
    return d * _polynomial(d, NEAR_TWO) - np.copysign(1.0, n - 0.5) * np.log(np.abs(product))


def _far(x: np.ndarray) -> np.ndarray:
    """8 <= x."""
    rest = _polynomial(1.0 / (x * x), STIRLING) / x
    return (x - 0.5) * (np.log(x) - 1.0) + ((HALF_LOG_2_PI - 0.5) + rest)


def _mirrored(x: np.ndarray) -> np.ndarray:
    """x below -LAST_PRODUCT."""
    d = x + np.rint(-x)
    return math.log(math.pi) - np.log(np.abs(x * np.sin(math.pi * d))) - log_gamma(-x)


def _below(x: np.ndarray) -> np.ndarray:
    """-LAST_PRODUCT < x < -1.5; near zeros by the difference w to the next zero r: with d = x + n
    and d0 = r + n, gamma(r) / gamma(x) is the product of 1 - w / (j - d0), j from 0 to n, but for
    gamma(1 + d). In the widest floats, since terms cancel."""
    x = x.astype(np.longdouble)
    n = np.where(x > LEFT_OF_ZERO, 2.0, np.rint(-x))
    d = x + n
    place = np.clip(2 * (n - 2) + (d > 0), 0, len(ZEROS) - 1).astype(np.intp)
    high, low = np.array(ZEROS, np.longdouble)[place].T
    d0 = (high + n) + low
    close = (n <= LAST_ZERO) & (high != -1.0) & (np.abs(d) * 2 > np.abs(d0))
    product = np.ones_like(x)
    for j in range(int(n.max()) + 2):
        product = np.where(j <= n + 1, product * (x + j), product)
    value = d * _polynomial(d, NEAR_TWO) - np.log(np.abs(product))
    value[close] = _from_zero(*(part[close] for part in (x, n, d, d0, high, low)))
    return value


def _from_zero(
    x: np.ndarray, n: np.ndarray, d: np.ndarray, d0: np.ndarray, high: np.ndarray, low: np.ndarray
) -> np.ndarray:
    w = (x - high) - low
    excess = np.zeros_like(x)
    for j in range(-1, LAST_ZERO + 1):
        more = np.where(j <= n, -w / (j - d0), 0.0)
        excess = excess + more + excess * more
    slope = step = np.full_like(x, NEAR_TWO[-1])
    for coefficient in NEAR_TWO[-2::-1]:
        step = coefficient + d0 * step
        slope = step + d * slope
    return w * slope - np.log1p(excess)


def log_gamma(x: np.ndarray) -> np.ndarray:
    """log|gamma(x)| of float64, infinite at 0, -1, -2, ..."""
    out = np.full_like(x, np.inf)
    whole = (x <= 0) & (x == np.floor(x))
    far = (x >= FAR) & (x < np.inf)
    near = (x >= -1.5) & ~far & (x < FAR) & ~whole
    below = (x < -1.5) & (x > -LAST_PRODUCT) & ~whole
    mirrored = (x <= -LAST_PRODUCT) & ~whole
    for part, function in ((far, _far), (near, _near), (below, _below), (mirrored, _mirrored)):
        if part.any():
            out[part] = function(x[part])
    out[np.isnan(x)] = np.nan
    return out


def _blocks(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """`function` of float64 for an array of any float dtype and shape."""

    @wraps(function)
    def of_any(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return function(np.ravel(x).astype(np.float64)).astype(x.dtype).reshape(x.shape)

    return of_any


@_blocks
def lgamma(x: np.ndarray) -> np.ndarray:
    """log|gamma(x)|, infinite at 0, -1, -2, ..."""
    return log_gamma(x)


def polygamma(x: np.ndarray, *, order: int) -> np.ndarray:
    """Derivative number `order` of digamma, itself the derivative of log|gamma|; by recurrence and
    the asymptotic series (Abramowitz and Stegun, 6.4.11), mirrored below 1/2."""
    return _blocks(lambda values: _polygamma(values, order))(x)


def _polygamma(x: np.ndarray, order: int) -> np.ndarray:
    below = x < 0.5
    value = _polygamma_right(np.where(below, 1.0 - x, x), order)
    if below.any():  # (-1)**n f(1 - x) - f(x) = pi times derivative n of cot(pi x)
        at = x[below] - np.rint(x[below])
        cotangent = np.polynomial.Polynomial([0.0, 1.0])
        for _ in range(order):
            cotangent = cotangent.deriv() * np.polynomial.Polynomial([-1.0, 0.0, -1.0])
        mirror = math.pi ** (order + 1) * cotangent(1.0 / np.tan(math.pi * at))
        pole = np.where((order == 0) & (x[below] == 0), np.copysign(np.inf, -x[below]), np.nan)
        pole = np.where(order % 2 == 1, np.inf, pole)
        found = (-1) ** order * value[below] - mirror
        value[below] = np.where(at == 0, pole, found)
    return value


def _polygamma_right(y: np.ndarray, order: int) -> np.ndarray:
    """For y >= 1/2."""
    moved = np.zeros_like(y)
    for _ in range(8 + order):
        small = y < FAR + order
        moved += np.where(small, y ** -(order + 1.0), 0.0)
        y = np.where(small, y + 1.0, y)
    z, near = 1.0 / (y * y), math.factorial(order)
    series = [b * math.factorial(2 * k + order + 1) / math.factorial(2 * k + 2)
              for k, b in enumerate(_BERNOULLI)]  # fmt: skip
    rest = 0.5 * near / y + z * _polynomial(z, tuple(series))
    first = -np.log(y) if order == 0 else math.factorial(order - 1) + 0.0 * y
    total = (first + rest) / y**order + near * moved
    total = np.where(y == np.inf, -np.inf if order == 0 else 0.0, total)
    return total if order % 2 else -total
