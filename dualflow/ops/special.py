"""What NumPy lacks: erf, erfc, sigmoid (its exp is less accurate) and Philox; and expm1 and tanh,
which it has, but with other values at complex infinities than the Array API says.

Comes in: float arrays (Philox: key, counter, shape). Goes out: arrays of the same dtype, within
2 ulp. erfc and sigmoid of float32 and float16 are computed in float64 and then rounded. Long
arrays go in blocks that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

BLOCK = 8192

# erf and erfc: the rational approximations of fdlibm's s_erf.c (Sun Microsystems, 1993; "Permission
# to use, copy, modify, and distribute this software is freely granted"). Lowest power first.
_ERX = 8.45062911510467529297e-01  # erf(1) in few bits
_NEAR_0 = (
    (1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02,
     -5.77027029648944159157e-03, -2.37630166566501626084e-05),
    (1.0, 3.97917223959155352819e-01, 6.50222499887672944485e-02, 5.08130628187576562776e-03,
     1.32494738004321644526e-04, -3.96022827877536812320e-06),
)  # fmt: skip
_NEAR_1 = (
    (-2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01,
     3.18346619901161753674e-01, -1.10894694282396677476e-01, 3.54783043256182359371e-02,
     -2.16637559486879084300e-03),
    (1.0, 1.06420880400844228286e-01, 5.40397917702171048937e-01, 7.18286544141962662868e-02,
     1.26171219808761642112e-01, 1.36370839120290507362e-02, 1.19844998467991074170e-02),
)  # fmt: skip
_TO_2_86 = (
    (-9.86494403484714822705e-03, -6.93858572707181764372e-01, -1.05586262253232909814e+01,
     -6.23753324503260060396e+01, -1.62396669462573470355e+02, -1.84605092906711035994e+02,
     -8.12874355063065934246e+01, -9.81432934416914548592e+00),
    (1.0, 1.96512716674392571292e+01, 1.37657754143519042600e+02, 4.34565877475229228821e+02,
     6.45387271733267880336e+02, 4.29008140027567833386e+02, 1.08635005541779435134e+02,
     6.57024977031928170135e+00, -6.04244152148580987438e-02),
)  # fmt: skip
_TO_28 = (
    (-9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e+01,
     -1.60636384855821916062e+02, -6.37566443368389627722e+02, -1.02509513161107724954e+03,
     -4.83519191608651397019e+02),
    (1.0, 3.03380607434824582924e+01, 3.25792512996573918826e+02, 1.53672958608443695994e+03,
     3.19985821950859553908e+03, 2.55305040643316442583e+03, 4.74528541206955367215e+02,
     -2.24409524465858183362e+01),
)  # fmt: skip


def _polynomial(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    out = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        out *= x
        out += coefficient
    return out


def _ratio(x: np.ndarray, parts: tuple[tuple[float, ...], tuple[float, ...]]) -> np.ndarray:
    out = _polynomial(x, parts[0])
    out /= _polynomial(x, parts[1])
    return out


# erf of float32: polynomials fitted by `runtime/cpu_math/derive.py`, of compiled kernels too.
# erf(x)/x - 1 in x*x below 0.925 (error 2**-20); log(erfc(x)) in x from 0.92 to 4 (error 2**-29).
_ERF_NEAR_32 = (
    0.12837916660163606, -0.37612633334349227, 0.11283688724605818, -0.026858997423761088,
    0.005199989254558691, -0.0008130444670237092, 8.316879717745381e-05,
)  # fmt: skip
_LOG_ERFC_32 = (
    0.0003063900320105477, -1.130176369817008, -0.6319268014947353, -0.10998137806998419,
    0.026362490208562808, -0.0047379606273890585, 0.0005919634832430312, -4.545639866061612e-05,
    1.6053339879191964e-06,
)  # fmt: skip


def _in_blocks(
    function: Callable[[np.ndarray], np.ndarray], dtype: type[np.floating] = np.float64
) -> Callable[[np.ndarray], np.ndarray]:
    """`function` of flat blocks of `dtype`, for an array of any float dtype and shape."""

    def blocked(x: np.ndarray) -> np.ndarray:
        flat = x.reshape(-1)
        out = np.empty(flat.shape, x.dtype)
        with np.errstate(under="ignore"):
            for start in range(0, flat.size, BLOCK):
                block = flat[start : start + BLOCK].astype(dtype)
                out[start : start + BLOCK] = function(block)
        return out.reshape(x.shape)

    return blocked


def _tail(a: np.ndarray) -> np.ndarray:
    """erfc(a) for 1.25 <= a < 28."""
    s = 1.0 / (a * a)
    ratio = np.empty_like(a)
    near = a < 1.0 / 0.35
    ratio[near] = _ratio(s[near], _TO_2_86)
    far = ~near
    ratio[far] = _ratio(s[far], _TO_28)
    high = (a.view(np.int64) & np.int64(-0x100000000)).view(np.float64)  # a, in few bits
    large, rest = -high * high - 0.5625, (high - a) * (high + a) + ratio
    exponent = large + rest
    value = np.exp(exponent)
    return (value + value * ((large - exponent) + rest)) / a


def _erf(x: np.ndarray) -> np.ndarray:
    a = np.abs(x)
    out = np.sign(x)  # 1 beyond 6; NaN stays
    small = a < 0.84375
    y = x[small]
    out[small] = y + y * _ratio(y * y, _NEAR_0)
    middle = (a >= 0.84375) & (a < 1.25)
    out[middle] *= _ERX + _ratio(a[middle] - 1.0, _NEAR_1)
    large = (a >= 1.25) & (a < 6.0)
    out[large] *= 1.0 - _tail(a[large])
    return out


def _erfc(x: np.ndarray) -> np.ndarray:
    a = np.abs(x)
    out = 1.0 - np.sign(x)  # 0 and 2 far out; NaN stays
    small = a < 0.84375
    y = x[small]
    value = y * _ratio(y * y, _NEAR_0)
    out[small] = np.where(y < 0.25, 1.0 - (y + value), 0.5 - (y - 0.5 + value))
    middle = (a >= 0.84375) & (a < 1.25)
    ratio = _ratio(a[middle] - 1.0, _NEAR_1)
    out[middle] = np.where(x[middle] > 0, 1.0 - _ERX - ratio, 1.0 + (_ERX + ratio))
    large = (a >= 1.25) & (a < 28.0)
    tail = _tail(a[large])
    out[large] = np.where(x[large] > 0, tail, 2.0 - tail)
    return out


def _sigmoid(x: np.ndarray) -> np.ndarray:
    falling = np.exp(-np.abs(x))  # at most 1, so nothing overflows
    bottom = 1.0 + falling
    return np.where(x < 0, falling - falling * falling / bottom, 1.0 / bottom)


def _erf_32(x: np.ndarray) -> np.ndarray:
    a = np.abs(x)
    near = x + x * _polynomial(x * x, _ERF_NEAR_32)
    far = 1 - np.exp(_polynomial(np.clip(a, 0.92, 4.0), _LOG_ERFC_32))  # rounds to 1 above 3.92
    return np.where(a > 0.925, np.copysign(far, x), near)


_erf_double, _erf_single = _in_blocks(_erf), _in_blocks(_erf_32, np.float32)


def erf(x: np.ndarray) -> np.ndarray:
    """The error function."""
    with np.errstate(over="ignore", invalid="ignore"):  # of the branch that is not taken
        return _erf_double(x) if x.dtype == np.float64 else _erf_single(x)


erfc = _in_blocks(_erfc)
sigmoid = _in_blocks(_sigmoid)


def expm1(x: np.ndarray) -> np.ndarray:
    """exp(x) - 1; of complex numbers with the Array API's values at 0, infinities and NaN."""
    out = np.expm1(x)
    if x.dtype.kind != "c":
        return out
    out = np.array(out)
    for part in (x == 0, ~np.isfinite(x)):
        if part.any():
            out[part] = _expm1_at(x[part], out[part])
    return out


def _expm1_at(x: Any, out: Any) -> np.ndarray:
    """The values at 0 and where a part is not finite; `out` is what NumPy says."""
    re, im = x.real, x.imag
    odd = np.isnan(re) | ~np.isfinite(im)
    out[(re == -np.inf) & odd] = -1.0
    out[(re == np.inf) & odd] = complex(np.inf, np.nan)
    axis = (im == 0) & (re != -np.inf)
    out.real[axis], out.imag[axis] = re[axis] + 0.0, im[axis]
    return out


def tanh(x: Any) -> np.ndarray:
    """The hyperbolic tangent; of complex numbers with the Array API's zeros at infinities."""
    out: Any = np.tanh(x)
    if x.dtype.kind != "c":
        return out
    far = np.isinf(x.real) & np.isfinite(x.imag)
    if far.any():
        out = np.array(out)
        out.imag[far] = np.copysign(0.0, x.imag[far])
    return out


# Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(key: int, counter: int, size: int) -> np.ndarray:
    """Word 0 of Philox4x32-10 for the counters (i, counter), i from 0 to size - 1, as uint32."""
    return _philox(key, counter, size)


def install_philox(natively: Philox) -> None:
    """Let `natively` compute what `portable_philox` does."""
    global _philox
    _philox = natively


def portable_philox(key: int, counter: int, size: int) -> np.ndarray:
    """`philox` by NumPy."""
    out = np.empty(size, np.uint32)
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        out[start:stop] = _philox_block(key, counter, np.arange(start, stop, dtype=np.uint64))
    return out


def _philox_block(key: int, counter: int, i: np.ndarray) -> np.ndarray:
    c0, c1 = i & _LOW, i >> _HALF
    c2, c3 = (np.asarray(word, np.uint64) for word in (counter & 0xFFFFFFFF, counter >> 32))
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        product0, product1 = c0 * _M0, c2 * _M1
        c0 = (product1 >> _HALF) ^ c1 ^ np.uint64(k0)
        c1 = product1 & _LOW
        c2 = (product0 >> _HALF) ^ c3 ^ np.uint64(k1)
        c3 = product0 & _LOW
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return c0


Philox = Callable[[int, int, int], np.ndarray]
_philox: Philox = portable_philox
