"""How far two results are apart: in ulp, and relative to a float64 run.

Comes in: arrays of one shape and dtype. Goes out: numbers; NaN equals NaN.
"""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import is_float


def ulps(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference in units in the last place; for integers and bools 0 or inf.

    >>> ulps(np.float32([1.0]), np.nextafter(np.float32([1.0]), np.float32(2)))
    1.0
    """
    if a.shape != b.shape or a.dtype != b.dtype:
        return np.inf
    if a.size == 0:
        return 0.0
    if not is_float(a.dtype):
        return 0.0 if np.array_equal(a, b) else np.inf
    both_nan = np.isnan(a) & np.isnan(b)
    steps = _ordered(a) - _ordered(b)
    steps = np.where(both_nan, 0.0, np.abs(steps))
    unlike = np.isnan(a) != np.isnan(b)
    return float(np.where(unlike, np.inf, steps).max())


def _ordered(a: np.ndarray) -> np.ndarray:
    """The position of each float among all floats of its dtype; both zeros have position 0."""
    bits = a.view({2: np.int16, 4: np.int32, 8: np.int64}[a.dtype.itemsize])
    lowest = np.iinfo(bits.dtype).min
    mirrored = np.where(bits < 0, lowest - bits, bits)
    return mirrored.astype(np.longdouble)


def relative(a: np.ndarray, exact: np.ndarray) -> float:
    """The largest |a - exact| over the largest |exact|; 0 where they are equal or NaN alike."""
    if a.shape != exact.shape:
        return np.inf
    if a.size == 0:
        return 0.0
    wide = a.astype(np.float64)
    same = (wide == exact) | (np.isnan(wide) & np.isnan(exact))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(wide - exact))
    if not gap.any():
        return 0.0
    finite = np.abs(exact[np.isfinite(exact)])
    scale = float(finite.max()) if finite.size else 0.0
    worst = float(np.where(np.isnan(gap), np.inf, gap).max())
    return worst / scale if scale else np.inf
