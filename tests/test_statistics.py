"""Order statistics, sums without NaN, covariances, bins, differences: NumPy's values, eagerly and
compiled, and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow import errors

RNG = np.random.default_rng(3)
X = RNG.normal(size=(4, 5))
HOLES = np.where(RNG.random((4, 5)) < 0.3, np.nan, X)
HOLES[1] = np.nan
COUNTS = np.array([3, 0, 3, 5, 1])
W = np.abs(RNG.normal(size=5)) + 0.1
Z = X[:2] + 1j * X[2:]

#: what is computed, by NumPy's and by dualflow's functions, and of which arrays
CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "median": (lambda x: np.median(x), lambda x: df.median(x), (X,)),
    "median of rows": (
        lambda x: np.median(x, axis=1, keepdims=True),
        lambda x: df.median(x, 1, keepdims=True),
        (X,),
    ),
    "median with NaN": (lambda x: np.median(x, 0), lambda x: df.median(x, 0), (HOLES,)),
    "quantile": (lambda x: np.quantile(x, 0.3, 0), lambda x: df.quantile(x, 0.3, 0), (X,)),
    "quantiles": (
        lambda x: np.quantile(x, [0.0, 0.41, 1.0], axis=(0, 1), keepdims=True),
        lambda x: df.quantile(x, [0.0, 0.41, 1.0], axis=(0, 1), keepdims=True),
        (X,),
    ),
    "quantile by a tensor": (
        lambda x, q: np.quantile(x, q, axis=1),
        lambda x, q: df.quantile(x, q, axis=1),
        (X, np.array([0.2, 0.9])),
    ),
    "percentile": (
        lambda x: np.percentile(x, 37, axis=1),
        lambda x: df.percentile(x, 37, axis=1),
        (X,),
    ),
    "nansum": (lambda x: np.nansum(x, 1), lambda x: df.nansum(x, 1), (HOLES,)),
    "nanmean": (lambda x: np.nanmean(x, 1), lambda x: df.nanmean(x, 1), (HOLES,)),
    "nanvar": (
        lambda x: np.nanvar(x, 0, ddof=1),
        lambda x: df.nanvar(x, 0, correction=1),
        (HOLES,),
    ),
    "nanstd": (lambda x: np.nanstd(x), lambda x: df.nanstd(x), (HOLES,)),
    "nanmax": (lambda x: np.nanmax(x, 1), lambda x: df.nanmax(x, 1), (HOLES,)),
    "nanmin": (lambda x: np.nanmin(x, 0), lambda x: df.nanmin(x, 0), (HOLES,)),
    "nan_to_num": (
        lambda x: np.nan_to_num(x / 0.0, nan=3.0, neginf=-1.0),
        lambda x: df.nan_to_num(x / 0.0, nan=3.0, neginf=-1.0),
        (HOLES,),
    ),
    "average": (
        lambda x, w: np.average(x, 1, weights=w),
        lambda x, w: df.average(x, 1, weights=w),
        (X, W),
    ),
    "cov": (lambda x: np.cov(x), lambda x: df.cov(x), (X,)),
    "cov of columns": (
        lambda x: np.cov(x, rowvar=False, bias=True),
        lambda x: df.cov(x, rowvar=False, correction=0),
        (X,),
    ),
    "cov of two": (lambda x, y: np.cov(x, y), lambda x, y: df.cov(x, y), (X[0], X[1])),
    "cov of complex": (lambda z: np.cov(z), lambda z: df.cov(z), (Z,)),
    "corrcoef": (lambda x: np.corrcoef(x), lambda x: df.corrcoef(x), (X,)),
    "bincount": (lambda n: np.bincount(n), lambda n: df.bincount(n), (COUNTS,)),
    "bincount with weights": (
        lambda n, w: np.bincount(n, w, 9),
        lambda n, w: df.bincount(n, w, 9),
        (COUNTS, W),
    ),
    "histogram": (lambda x: np.histogram(x, 6), lambda x: df.histogram(x, 6), (X,)),
    "histogram in a range": (
        lambda x: np.histogram(x, 4, range=(-1.0, 1.0), density=True),
        lambda x: df.histogram(x, 4, range=(-1.0, 1.0), density=True),
        (X,),
    ),
    "histogram of weights": (
        lambda x, w: np.histogram(x, np.array([-1.0, 0.0, 2.0]), weights=w),
        lambda x, w: df.histogram(x, df.asarray([-1.0, 0.0, 2.0]), weights=w),
        (X[0], W),
    ),
    "histogram of equals": (
        lambda x: np.histogram(x * 0.0 + 2.0, 3),
        lambda x: df.histogram(x * 0.0 + 2.0, 3),
        (X,),
    ),
    "interp": (
        lambda x, p, v: np.interp(x, p, v),
        lambda x, p, v: df.interp(x, p, v),
        (X, np.linspace(-1.0, 1.0, 7), X.ravel()[:7]),
    ),
    "interp outside": (
        lambda x, p, v: np.interp(x, p, v, left=-9.0, right=9.0),
        lambda x, p, v: df.interp(x, p, v, left=-9.0, right=9.0),
        (X, np.array([0.25]), np.array([4.0])),
    ),
    "diff": (
        lambda x: np.diff(x, n=2, axis=0),
        lambda x: df.diff(x, n=2, axis=0),
        (X,),
    ),
    "diff of booleans": (
        lambda x: np.diff(x > 0, prepend=True),
        lambda x: df.diff(x > 0, prepend=df.asarray([[True]] * 4)),
        (X,),
    ),
    "isin": (lambda n: np.isin(n, n[1::2] - 2), lambda n: df.isin(n, n[1::2] - 2), (COUNTS,)),
    "isin inverted": (
        lambda n: np.isin(n, COUNTS[1:3], invert=True),
        lambda n: df.isin(n, n[1:3], invert=True),
        (COUNTS,),
    ),
    "swapaxes": (lambda x: np.swapaxes(x, 0, -1), lambda x: df.swapaxes(x, 0, -1), (X,)),
    "divmod": (lambda x: np.divmod(x, 0.7), lambda x: df.divmod(x, 0.7), (X,)),
    "divmod by the operator": (
        lambda x: divmod(1.0, np.abs(x) + 1),
        lambda x: divmod(1.0, abs(x) + 1),
        (X,),
    ),
    "argwhere": (lambda x: np.argwhere(x > 0), lambda x: df.argwhere(x > 0), (X,)),
    "digitize": (
        lambda x, bins: (np.digitize(x, bins), np.digitize(x, bins[::-1], right=True)),
        lambda x, bins: (df.digitize(x, bins), df.digitize(x, df.flip(bins), right=True)),
        (X, np.array([-1.0, 0.0, 2.0])),
    ),
    "ptp": (lambda x: np.ptp(x, axis=1), lambda x: df.ptp(x, axis=1), (X,)),
    "ravel": (lambda x: np.ravel(x.T), lambda x: df.ravel(x.T), (X,)),
    "outer": (lambda w: np.outer(w, w), lambda w: df.outer(w, w), (W,)),
    "mod": (lambda x: np.mod(x, -0.7), lambda x: df.mod(x, -0.7), (X,)),
}
SMOOTH = [
    "median", "quantile", "quantiles", "percentile", "nansum", "average", "cov", "cov of two",
    "corrcoef", "interp", "diff", "cov of complex",
]  # fmt: skip


def parts(value: Any) -> list[np.ndarray]:
    return [np.asarray(part) for part in (value if isinstance(value, tuple) else (value,))]


@pytest.mark.filterwarnings("ignore:Mean of empty|Degrees of freedom|All-NaN")
@pytest.mark.parametrize("name", CASES)
def test_numpys_values(name: str):
    wanted, function, arrays = CASES[name]
    tensors = [df.asarray(array) for array in arrays]
    compiled = df.compile(function, wait=True)
    with np.errstate(all="ignore"), df.config(on_compiler_error="raise"):
        expected = parts(wanted(*arrays))
        eager = parts(function(*tensors))
        compiled(*tensors)
        second = parts(compiled(*tensors))
    assert compiled.stats()["replays"] == 1
    for found in (eager, second):
        for one, other in zip(found, expected, strict=True):
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name: str):
    _, function, arrays = CASES[name]
    df.check_grads(function, *(df.asarray(array) for array in arrays), order=2, rtol=1e-4)


def test_errors():
    x = df.asarray(X)
    with pytest.raises(errors.ArgumentError, match="cubic"):
        df.quantile(x, 0.5, method="cubic")
    with pytest.raises(errors.DomainError, match=r"1\.5"):
        df.quantile(x, 1.5)
    with pytest.raises(errors.ShapeError, match="no elements"):
        df.median(df.zeros((0,)))
    with pytest.raises(errors.DomainError, match="negative"):
        df.bincount(df.asarray([-1]))
    with pytest.raises(errors.DTypeError, match="bincount"):
        df.bincount(x[0])
    with pytest.raises(errors.ArgumentError, match="0 bins"):
        df.histogram(x, 0)
    with pytest.raises(errors.ShapeError, match="interp"):
        df.interp(x, df.ones(3), df.ones(2))
    with pytest.raises(errors.DomainError, match="-1 times"):
        df.diff(x, n=-1)
    with pytest.raises(errors.ShapeError, match="repeats"):
        df.repeat(x, df.asarray([1, 2]), axis=1)
    with pytest.raises(errors.ArgumentError, match="side"):
        df.searchsorted(x[0], x, side="middle")
    with pytest.raises(IndexError):
        df.expand_dims(x, axis=4)


def test_methods_of_quantile():
    for method in ("linear", "lower", "higher", "midpoint", "nearest"):
        for q in (0.0, 0.1, 0.37, 0.5, 1.0):
            found = df.quantile(df.asarray(X[0]), q, method=method).item()
            assert found == pytest.approx(np.quantile(X[0], q, method=method), rel=1e-12)


def test_gradients_where_values_decide_the_shape():
    x = df.asarray(X[0])
    df.check_grads(lambda x: df.unique_all(x).values ** 2, x)
    df.check_grads(lambda x: df.unique_counts(x).values * df.unique_inverse(x).values, x)
    df.check_grads(lambda x: df.repeat(x * x, df.asarray([2, 0, 1, 3, 1])), x)
    df.check_grads(lambda x: df.bincount(df.asarray(COUNTS), x * x, 7), x)
    df.check_grads(lambda x: x[df.nonzero(x > 0)[0]] ** 2, x)
