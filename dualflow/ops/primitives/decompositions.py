"""Records of triangular factors: Cholesky, QR.

Each works on the matrices in the last two axes, over any leading batch axes. LAPACK runs it,
through NumPy. Factors are unique up to signs and phases only; derivatives are those of functions
that do not depend on the choice.
"""

from __future__ import annotations

import numpy as np

from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from ..record import primitive
from .contraction import matmul
from .linalg import solve_triangular
from .matrices import (
    adjoint,
    check_matrices,
    columns,
    half_diagonal,
    hermitian,
    lower,
    named,
    rows,
    skew,
    turned,
    upper,
    without_rest,
)
from .movement import concat

# Cholesky -------------------------------------------------------------------------------------


def _cholesky_rule(x: TensorType) -> TensorType:
    check_matrices("cholesky", x, square=True)
    return x


def _divided(x, triangle):
    """x @ inv(triangle^H), for an upper triangle."""
    return adjoint(solve_triangular(triangle, adjoint(x), below=False, unit=False))


def _over(x, triangle):
    """x @ inv(triangle), for an upper triangle."""
    return adjoint(solve_triangular(adjoint(triangle), adjoint(x), below=True, unit=False))


def _cholesky_gradient(g, out, x):
    """Murray 2016, equation 10; Hermitian, as the input is."""
    inner, back = half_diagonal(lower(matmul(adjoint(out), g))), adjoint(out)
    left = solve_triangular(back, inner, below=False, unit=False)
    return (hermitian(_divided(left, back)),)


def _cholesky_forward(tangents, out, x):
    left = solve_triangular(out, hermitian(tangents[0]), below=True, unit=False)
    return matmul(out, half_diagonal(lower(_over(left, adjoint(out)))))


cholesky = primitive(
    "cholesky", Kind.LIBRARY, _cholesky_rule, named("cholesky", np.linalg.cholesky),
    doc="lower triangles with out @ out^H = x, of Hermitian positive matrices of which the lower "
    "triangle is read",
    gradient=_cholesky_gradient, forward=_cholesky_forward, may_raise=True, exact=False,
)  # fmt: skip

# QR -------------------------------------------------------------------------------------------


def _qr_rule(x: TensorType, *, complete: bool) -> tuple[TensorType, TensorType]:
    check_matrices("qr", x)
    *batch, m, n = x.shape
    k = m if complete else min(m, n)
    return TensorType((*batch, m, k), x.dtype), TensorType((*batch, k, n), x.dtype)


def _qr(x: np.ndarray, *, complete: bool) -> tuple[np.ndarray, np.ndarray]:
    q, r = np.linalg.qr(x, "complete" if complete else "reduced")
    return q, r


def _qr_gradient(g, out, x, complete):
    (to_q, to_r), (q, r) = g, out
    *_, m, n = x.shape
    if m > n:
        if complete:
            to_q, q = without_rest(to_q, q, n), columns(q, 0, n)
            to_r, r = rows(to_r, 0, n), rows(r, 0, n)
        return (_tall_qr_gradient(to_q, to_r, q, r),)
    if m == n:
        return (_tall_qr_gradient(to_q, to_r, q, r),)
    rest = columns(to_r, m, n)
    to_q = to_q + matmul(columns(x, m, n), adjoint(rest))
    first = _tall_qr_gradient(to_q, columns(to_r, 0, m), q, columns(r, 0, m))
    return (concat(first, matmul(q, rest), axis=len(x.shape) - 1),)


def _tall_qr_gradient(to_q, to_r, q, r):
    """Seeger et al., arXiv:1710.08717, of x = q r with a square r."""
    inner = half_diagonal(upper(matmul(to_r, adjoint(r)) - matmul(adjoint(q), to_q)))
    return _divided(to_q + matmul(q, inner + adjoint(inner)), r)


def _qr_forward(tangents, out, x, complete):
    (t,), (q, r) = tangents, out
    *_, m, n = x.shape
    if m < n:
        left = columns(x, m, n), columns(t, m, n)
        to_q, first = _tall_qr_forward(columns(t, 0, m), q, columns(r, 0, m))
        rest = matmul(adjoint(to_q), left[0]) + matmul(adjoint(q), left[1])
        return to_q, concat(first, rest, axis=len(x.shape) - 1)
    if m == n or not complete:
        return _tall_qr_forward(t, q, r)
    first, rest, zeros = columns(q, 0, n), columns(q, n, m), rows(r, n, m)
    to_q, to_r = _tall_qr_forward(t, first, rows(r, 0, n))
    to_q = concat(to_q, turned(to_q, first, rest), axis=len(x.shape) - 1)
    return to_q, concat(to_r, zeros * 0.0, axis=len(x.shape) - 2)


def _tall_qr_forward(t, q, r):
    scaled = _over(t, r)
    inner = matmul(adjoint(q), scaled)
    turn = skew(half_diagonal(lower(inner)))
    return scaled + matmul(q, turn - inner), matmul(upper(inner - turn), r)


qr = primitive(
    "qr", Kind.LIBRARY, _qr_rule, _qr, outputs=2,
    doc="x = q @ r: q with orthonormal columns (complete: a square one), r an upper triangle",
    gradient=_qr_gradient, forward=_qr_forward, exact=False,
)  # fmt: skip
