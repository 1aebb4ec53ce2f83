"""Functions of SciPy and scikit-learn on tensors, compared with the same on NumPy arrays.

Run as `python tests/neighbour_programs.py scipy`, with SCIPY_ARRAY_API=1: SciPy reads that once.
Prints how many calls gave tensors (or Python numbers) of the same values; fails where one did not.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

import dualflow as df

Give = Callable[[np.ndarray], Any]
RNG = np.random.default_rng(0)
X, Y, M = RNG.normal(size=20), RNG.normal(size=20), RNG.normal(size=(12, 4))
P, Q = abs(X) / abs(X).max(), abs(Y)


def scipy_calls() -> dict[str, Callable[[Give], Any]]:
    """SciPy's functions that accept arrays of the Array API: special functions, statistics,
    integration, transforms, filters, root finding, rotations."""
    from scipy import cluster, constants, fft, integrate, ndimage, signal, special, stats
    from scipy.differentiate import derivative, jacobian
    from scipy.optimize.elementwise import find_minimum, find_root
    from scipy.spatial.transform import Rotation

    one, low, high = np.array([1.0, 2.0, 3.0]), np.full(3, -9.0), np.full(3, 9.0)
    return {
        "expit": lambda f: special.expit(f(X)),
        "erf": lambda f: special.erf(f(X)),
        "gammaln": lambda f: special.gammaln(f(X)),
        "logsumexp": lambda f: special.logsumexp(f(M), axis=1),
        "softmax": lambda f: special.softmax(f(M), axis=1),
        "log_softmax": lambda f: special.log_softmax(f(M), axis=1),
        "xlogy": lambda f: special.xlogy(f(P), f(Q)),
        "rel_entr": lambda f: special.rel_entr(f(P), f(Q)),
        "zscore": lambda f: stats.zscore(f(X)),
        "skew": lambda f: stats.skew(f(M)),
        "kurtosis": lambda f: stats.kurtosis(f(M)),
        "describe": lambda f: stats.describe(f(M)).variance,
        "ttest_1samp": lambda f: stats.ttest_1samp(f(X), 0.1).pvalue,
        "ttest_ind": lambda f: stats.ttest_ind(f(X), f(Y)).pvalue,
        "pearsonr": lambda f: stats.pearsonr(f(X), f(Y)).statistic,
        "gmean": lambda f: stats.gmean(f(P)),
        "entropy": lambda f: stats.entropy(f(P)),
        "circmean": lambda f: stats.circmean(f(X)),
        "rankdata": lambda f: stats.rankdata(f(X)),
        "quantile": lambda f: stats.quantile(f(X), f(np.array([0.1, 0.5]))),
        "lmoment": lambda f: stats.lmoment(f(X)),
        "combine_pvalues": lambda f: stats.combine_pvalues(f(P)).pvalue,
        "trapezoid": lambda f: integrate.trapezoid(f(X)),
        "cumulative_simpson": lambda f: integrate.cumulative_simpson(f(X)),
        "tanhsinh": lambda f: integrate.tanhsinh(lambda z: z**2, f(one - 1.0), f(one)).integral,
        "cubature": lambda f: (
            integrate.cubature(lambda z: z[:, 0] ** 2, f(np.zeros(1)), f(np.ones(1))).estimate
        ),
        "fft": lambda f: fft.fft(f(X)),
        "rfft2": lambda f: fft.rfft2(f(M)),
        "dct": lambda f: fft.dct(f(X)),
        "gaussian_filter": lambda f: ndimage.gaussian_filter(f(M), 1.0),
        "label": lambda f: ndimage.label(f((M > 0) * 1))[0],
        "whiten": lambda f: cluster.vq.whiten(f(M)),
        "vq": lambda f: cluster.vq.vq(f(M), f(M[:3]))[0],
        "convert_temperature": lambda f: constants.convert_temperature(f(X), "C", "K"),
        "detrend": lambda f: signal.detrend(f(X)),
        "hilbert": lambda f: signal.hilbert(f(X)),
        "fftconvolve": lambda f: signal.fftconvolve(f(X), f(Y)),
        "lfilter": lambda f: signal.lfilter(f(one), f(one[:1]), f(X)),
        "find_root": lambda f: (
            find_root(lambda z, c: z**3 - c, (f(low), f(high)), args=(f(one),)).x
        ),
        "find_minimum": lambda f: (
            find_minimum(
                lambda z, c: (z - c) ** 2, (f(low), f(0.0 * low), f(high)), args=(f(one),)
            ).x
        ),
        "derivative": lambda f: derivative(lambda z: z**3, f(X)).df,
        "jacobian": lambda f: jacobian(lambda z: z**2, f(X[:3])).df,
        "Rotation": lambda f: Rotation.from_rotvec(f(M[:, :3])).as_matrix(),
    }


def sklearn_calls() -> dict[str, Callable[[Give], Any]]:
    """scikit-learn's estimators and measures with `array_api_dispatch`."""
    from sklearn import datasets, metrics, preprocessing
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import Ridge
    from sklearn.metrics import pairwise
    from sklearn.mixture import GaussianMixture
    from sklearn.model_selection import cross_val_predict, train_test_split
    from sklearn.naive_bayes import GaussianNB

    x, y = datasets.load_iris(return_X_y=True)
    first, is_rare = x[:, 0].copy(), (y > 0) * 1
    ridge = Ridge(solver="svd")
    mixture = GaussianMixture(3, init_params="random_from_data", random_state=0)
    return {
        "PCA": lambda f: PCA(2, svd_solver="full").fit_transform(f(x)),
        "PCA by covariance": lambda f: PCA(2, svd_solver="covariance_eigh").fit_transform(f(x)),
        "LDA": lambda f: LinearDiscriminantAnalysis().fit(f(x), f(y)).predict_proba(f(x)),
        "Ridge": lambda f: ridge.fit(f(x), f(first)).coef_,
        "cross_val_predict": lambda f: cross_val_predict(ridge, f(x), f(first)),
        "GaussianMixture": lambda f: mixture.fit(f(x)).predict(f(x)),
        "GaussianNB": lambda f: GaussianNB().fit(f(x), f(y)).predict(f(x)),
        "MinMaxScaler": lambda f: preprocessing.MinMaxScaler().fit_transform(f(x)),
        "Normalizer": lambda f: preprocessing.Normalizer().fit_transform(f(x)),
        "PolynomialFeatures": lambda f: preprocessing.PolynomialFeatures(2).fit_transform(f(x)),
        "LabelEncoder": lambda f: preprocessing.LabelEncoder().fit_transform(f(y)),
        "r2_score": lambda f: metrics.r2_score(f(x[:, 0]), f(x[:, 1])),
        "mean_squared_error": lambda f: metrics.mean_squared_error(f(x[:, 0]), f(x[:, 1])),
        "accuracy_score": lambda f: metrics.accuracy_score(f(y), f(y)),
        "log_loss": lambda f: metrics.log_loss(f(is_rare), f(np.linspace(0.1, 0.9, 150))),
        "confusion_matrix": lambda f: metrics.confusion_matrix(f(y), f(y)),
        "rbf_kernel": lambda f: pairwise.rbf_kernel(f(x)),
        "cosine_similarity": lambda f: pairwise.cosine_similarity(f(x)),
        "train_test_split": lambda f: train_test_split(f(x), random_state=0)[0],
    }


def check(name: str, call: Callable[[Give], Any]) -> None:
    """A call gives tensors the values that it gives arrays."""
    wanted = call(lambda array: array)
    found = call(df.tensor)
    assert isinstance(found, df.Tensor) or not hasattr(found, "dtype"), (name, type(found))
    np.testing.assert_allclose(
        np.asarray(found), np.asarray(wanted), rtol=1e-6, atol=1e-9, err_msg=name
    )


def main(library: str) -> None:
    """Check all calls of a library."""
    warnings.simplefilter("error")
    context: Any = nullcontext()
    if library == "sklearn":
        from sklearn import config_context

        context = config_context(array_api_dispatch=True)
    with context:
        calls = {"scipy": scipy_calls, "sklearn": sklearn_calls}[library]()
        for name, call in calls.items():
            check(name, call)
    print(len(calls))


if __name__ == "__main__":
    main(sys.argv[1])
