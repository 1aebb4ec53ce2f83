"""References and samples of linear algebra and Fourier transforms, for `references.py`.

Elimination, series and sums in long double; eigenvalues and singular values, which LAPACK alone
gives with its choice of signs, by NumPy in double (their properties are in `test_linalg.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray


def widened(array: Array) -> Array:
    """`array` in long double, or the complex dtype of long doubles."""
    return array.astype(np.clongdouble if array.dtype.kind == "c" else np.longdouble)


def each_matrix(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of matrices in long double, for each of a batch; one result or several."""

    def apply(*arrays: Array, **attributes: Any) -> Any:
        batch = arrays[0].shape[:-2]
        wide = [widened(a).reshape(-1, *a.shape[len(batch) :]) for a in arrays]
        made = [function(*parts, **attributes) for parts in zip(*wide, strict=True)]
        several = isinstance(made[0], tuple)
        columns = zip(*made, strict=True) if several else [made]
        out = tuple(np.array(c).reshape(batch + np.shape(c[0])) for c in columns)
        return out if several else out[0]

    return apply


def _eliminated(a: Array, b: Array) -> tuple[Array, Any]:
    """The solution of a @ x = b by Gauss and Jordan, and the determinant of a."""
    a, b, size = a.copy(), b.copy(), len(a)
    determinant = a.dtype.type(1)
    for k in range(size):
        pivot = k + int(np.argmax(np.abs(a[k:, k])))
        if pivot != k:
            a[[k, pivot]], b[[k, pivot]], determinant = a[[pivot, k]], b[[pivot, k]], -determinant
        determinant *= a[k, k]
        b[k] /= a[k, k]
        a[k] /= a[k, k]
        for i in range(size):
            if i != k:
                b[i] -= a[i, k] * b[k]
                a[i] -= a[i, k] * a[k]
    return b, determinant


def _inverse(a: Array) -> Array:
    return _eliminated(a, np.eye(len(a), dtype=a.dtype))[0]


def _determinant(a: Array) -> Any:
    return _eliminated(a, np.eye(len(a), dtype=a.dtype))[1]


def _slogdet(a: Array) -> tuple[Any, Any]:
    determinant = _determinant(a)
    return determinant / np.abs(determinant), np.log(np.abs(determinant))


def _triangular(a: Array, b: Array, *, below: bool, unit: bool) -> Array:
    a = np.tril(a) if below else np.triu(a)
    if unit:
        np.fill_diagonal(a, 1)
    return _eliminated(a, b)[0]


def _pinv(x: Array, cutoff: Array) -> Array:
    """Of full rank."""
    across = x.conj().T
    if x.shape[0] >= x.shape[1]:
        return _inverse(across @ x) @ across
    return across @ _inverse(x @ across)


def _adjugate(x: Array) -> Array:
    out = np.empty_like(x)
    for i, j in np.ndindex(*x.shape):
        rest = np.delete(np.delete(x, i, 0), j, 1)
        out[j, i] = (-1) ** (i + j) * (_determinant(rest) if len(rest) else 1)
    return out


def _expm(x: Array) -> Array:
    term = total = np.eye(len(x), dtype=x.dtype)
    for k in range(1, 80):
        term = term @ x / k
        total = total + term
    return total


def _cholesky(x: Array) -> Array:
    out = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(i + 1):
            rest = x[i, j] - out[i, :j] @ out[j, :j].conj()
            out[i, j] = np.sqrt(rest.real) if i == j else rest / out[j, j]
    return out


def _qr(x: Array, *, complete: bool) -> tuple[Array, Array]:
    """By reflections, with LAPACK's signs."""
    m, n = x.shape
    q, r = np.eye(m, dtype=x.dtype), x.copy()
    for k in range(min(m - (x.dtype.kind != "c"), n)):
        alpha = r[k, k]
        beta = -np.copysign(np.sqrt((np.abs(r[k:, k]) ** 2).sum()), np.real(alpha))
        v = r[k:, k].copy()
        v[0] -= beta
        v /= alpha - beta
        tau = (beta - alpha) / beta  # H = 1 - tau v v^H, and H^H is applied to x
        r[k:] -= np.conj(tau) * np.outer(v, v.conj() @ r[k:])
        q[:, k:] -= tau * np.outer(q[:, k:] @ v, v.conj())
    count = m if complete else min(m, n)
    return q[:, :count], np.triu(r)[:count]


def _in_double(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(x: Array, **attributes: Any) -> Any:
        made = function(x.astype(np.complex128 if x.dtype.kind == "c" else float), **attributes)
        return tuple(made) if isinstance(made, tuple) else made

    return apply


def _transform(sign: int, norm_of_inverse: bool) -> Callable[..., Array]:
    """The sums that define the transform, along the last axis."""

    def apply(x: Array, norm: str) -> Array:
        n = x.shape[-1]
        jk = np.outer(np.arange(n), np.arange(n)) % n
        angles = np.longdouble(2) * np.arccos(np.longdouble(-1)) * jk / n
        whole = {"backward": norm_of_inverse, "forward": not norm_of_inverse}.get(norm, 0.5)
        table = (np.cos(angles) + sign * 1j * np.sin(angles)) / np.longdouble(n) ** whole
        return np.einsum("...j,jk->...k", widened(x), table)

    return apply


def _along(function: Callable[..., Array]) -> Callable[..., Array]:
    def apply(x: Array, *, axis: int, **attributes: Any) -> Array:
        return np.moveaxis(function(np.moveaxis(x, axis, -1), **attributes), -1, axis)

    return apply


_forward, _inverse_transform = _transform(-1, False), _transform(1, True)


def _rfft(x: Array, norm: str) -> Array:
    return _forward(x, norm)[..., : x.shape[-1] // 2 + 1]


def _irfft(x: Array, norm: str, n: int) -> Array:
    tail = x[..., 1 : n - x.shape[-1] + 1][..., ::-1].conj()
    whole = np.concatenate([x, tail], axis=-1)
    whole[..., 0] = np.real(whole[..., 0])
    if n % 2 == 0:
        whole[..., n // 2] = np.real(whole[..., n // 2])
    return np.real(_inverse_transform(whole, norm))


REFERENCES: dict[str, Callable[..., Any]] = {
    "inv": each_matrix(_inverse),
    "solve": each_matrix(lambda a, b: _eliminated(a, b)[0]),
    "solve_triangular": each_matrix(_triangular),
    "pinv": each_matrix(_pinv),
    "det": each_matrix(_determinant),
    "adjugate": each_matrix(_adjugate),
    "slogdet": each_matrix(_slogdet),
    "expm": each_matrix(_expm),
    "cholesky": each_matrix(_cholesky),
    "qr": each_matrix(_qr),
    "eigh": _in_double(np.linalg.eigh),
    "eigvalsh": _in_double(np.linalg.eigvalsh),
    "eig": _in_double(np.linalg.eig),
    "eigvals": _in_double(np.linalg.eigvals),
    "svd": _in_double(lambda x, full: np.linalg.svd(x, full_matrices=full)),
    "svdvals": _in_double(lambda x: np.linalg.svd(x, compute_uv=False)),
    "fft": _along(_forward),
    "ifft": _along(_inverse_transform),
    "rfft": _along(_rfft),
    "irfft": _along(_irfft),
}


def matrices(rng, shapes, dtype, attributes, draw, domain) -> list[Array]:
    """Far from singular; the first of each is Hermitian and positive if square."""
    found = []
    for shape in shapes:
        parts = rng.standard_normal((2, *shape))
        x = (parts[0] + 1j * parts[1]) if dtype.kind == "c" else parts[0]
        if len(shape) > 1 and shape[-1] == shape[-2]:
            x = x + 4 * np.eye(shape[-1])
        found.append(x.astype(dtype))
    return found


def small(*rest: Any) -> list[Array]:
    """So that exponentials are not large."""
    return [x * x.dtype.type(0.25) for x in matrices(*rest)]


def hermitian(*rest: Any) -> list[Array]:
    (x,) = matrices(*rest)
    n = x.shape[-1]
    whole = (x + np.swapaxes(x, -1, -2).conj()) / 2 + np.diag(np.arange(n))
    return [whole.astype(x.dtype)]


def with_cutoff(*rest: Any) -> list[Array]:
    (x,) = matrices(*rest)
    return [x, np.full(x.shape[:-2], 1e-6, np.real(x).dtype)]


def bound(arrays: tuple[Array, ...], attributes: Any, dtype: np.dtype) -> float:
    """The matrices above are well-conditioned: some roundings of numbers of the size of 100."""
    return 3e4 * float(np.finfo(dtype).eps) if dtype.kind in "fc" else 0.0


_SQUARE = [(((3, 3),), {}), (((2, 4, 4),), {}), (((1, 1),), {})]
_ANY = [(((3, 3),), {}), (((2, 4, 2),), {}), (((2, 5),), {})]
_SYSTEMS = [(((3, 3), (3, 2)), {}), (((2, 4, 4), (2, 4, 1)), {})]


def _with(calls: list, **attributes: Any) -> list:
    return [(shapes, {**given, **attributes}) for shapes, given in calls]


def _transforms(**more: Any) -> list:
    return [
        (((3, 4),), {"axis": 1, "norm": "backward", **more}),
        (((4, 3),), {"axis": 0, "norm": "ortho", **more}),
        (((2, 4, 1),), {"axis": 1, "norm": "forward", **more}),
    ]


def samples(sample: Any) -> dict[str, Any]:
    """For each op, `sample(...)` with how it is called."""
    narrow = {"refused": ("float16", "bfloat16"), "bound": bound}
    linear = {"accepts": "fc", "arrays": matrices, "layouts": (), **narrow}
    full = _with(_ANY, full=True) + _with(_ANY, full=False)
    below = [
        call
        for side in (False, True)
        for unit in (False, True)
        for call in _with(_SYSTEMS, below=side, unit=unit)
    ]
    found = {
        **dict.fromkeys(
            ("inv", "det", "adjugate", "slogdet", "eig", "eigvals"), sample(_SQUARE, **linear)
        ),
        "expm": sample(_SQUARE, **(linear | {"arrays": small})),
        **dict.fromkeys(
            ("cholesky", "eigh", "eigvalsh"), sample(_SQUARE, **(linear | {"arrays": hermitian}))
        ),
        "solve": sample(_SYSTEMS, **linear),
        "solve_triangular": sample(below, **linear),
        "pinv": sample(_ANY, **(linear | {"arrays": with_cutoff})),
        "qr": sample(_with(_ANY, complete=True) + _with(_ANY, complete=False), **linear),
        "svd": sample(full, **linear),
        "svdvals": sample(_ANY, **linear),
    }
    for name in ("fft", "ifft"):
        found[name] = sample(_transforms(), accepts="c", arrays=matrices, **narrow)
    found["rfft"] = sample(_transforms(), accepts="f", arrays=matrices, **narrow)
    halves = [
        (((3, 4),), {"axis": 1, "norm": "backward", "n": 6}),
        (((4, 3),), {"axis": 0, "norm": "ortho", "n": 7}),
        (((2, 4, 1),), {"axis": 1, "norm": "forward", "n": 6}),
    ]
    found["irfft"] = sample(halves, accepts="c", arrays=matrices, **narrow)
    return found
