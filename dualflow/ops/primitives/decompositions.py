"""Records of matrix factors: Cholesky, QR, eigenvalues, singular values.

Each works on the matrices in the last two axes, over any leading batch axes. LAPACK runs it,
through NumPy. Factors are unique up to signs and phases only (and rotations among equal values);
gradients are those of functions that do not depend on the choice.
"""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import complex64, complex128, real_dtype
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from ..record import primitive
from .contraction import matmul
from .elementwise import in_dtype, real
from .linalg import solve, solve_triangular
from .matrices import (
    adjoint,
    as_columns,
    as_rows,
    chain,
    check_matrices,
    columns,
    diagonal,
    diagonal_matrix,
    gaps,
    half_diagonal,
    hermitian,
    inverse_or_zero,
    lower,
    named,
    rows,
    upper,
)
from .movement import concat

# Cholesky -------------------------------------------------------------------------------------


def _cholesky_rule(x: TensorType) -> TensorType:
    check_matrices("cholesky", x, square=True)
    return x


def _divided(x, triangle):
    """x @ inv(triangle^H), for an upper triangle."""
    return adjoint(solve_triangular(triangle, adjoint(x), below=False, unit=False))


def _cholesky_gradient(g, out, x):
    """Murray 2016, equation 10; Hermitian, as the input is."""
    inner, back = half_diagonal(lower(matmul(adjoint(out), g))), adjoint(out)
    left = solve_triangular(back, inner, below=False, unit=False)
    return (hermitian(_divided(left, back)),)


cholesky = primitive(
    "cholesky", Kind.LIBRARY, _cholesky_rule, named("cholesky", np.linalg.cholesky),
    doc="lower triangles with out @ out^H = x, of Hermitian positive matrices of which the lower "
    "triangle is read",
    gradient=_cholesky_gradient, may_raise=True, exact=False,
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
            to_q, q = _without_rest(to_q, q, n), columns(q, 0, n)
            to_r, r = rows(to_r, 0, n), rows(r, 0, n)
        return (_tall_qr_gradient(to_q, to_r, q, r),)
    if m == n:
        return (_tall_qr_gradient(to_q, to_r, q, r),)
    rest = columns(to_r, m, n)
    to_q = to_q + matmul(columns(x, m, n), adjoint(rest))
    first = _tall_qr_gradient(to_q, columns(to_r, 0, m), q, columns(r, 0, m))
    return (concat(first, matmul(q, rest), axis=len(x.shape) - 1),)


def _without_rest(to_all, every, count: int):
    """The gradient for the first `count` columns of unitary matrices, whose other columns turn as
    little as they can when these change."""
    size = every.shape[-1]
    first, rest = columns(every, 0, count), columns(every, count, size)
    moved = chain(rest, adjoint(columns(to_all, count, size)), first)
    return columns(to_all, 0, count) - moved


def _tall_qr_gradient(to_q, to_r, q, r):
    """Seeger et al., arXiv:1710.08717, of x = q r with a square r."""
    inner = half_diagonal(upper(matmul(to_r, adjoint(r)) - matmul(adjoint(q), to_q)))
    return _divided(to_q + matmul(q, inner + adjoint(inner)), r)


qr = primitive(
    "qr", Kind.LIBRARY, _qr_rule, _qr, outputs=2,
    doc="x = q @ r: q with orthonormal columns (complete: a square one), r an upper triangle",
    gradient=_qr_gradient, exact=False,
)  # fmt: skip

# Eigenvalues ----------------------------------------------------------------------------------


def _eigh_rule(x: TensorType) -> tuple[TensorType, TensorType]:
    check_matrices("eigh", x, square=True)
    return TensorType(x.shape[:-1], real_dtype(x.dtype)), x


def _eigh_gradient(g, out, x):
    (to_values, to_vectors), (values, vectors) = g, out
    back = adjoint(vectors)
    inner = matmul(back, to_vectors) * gaps(values) + diagonal_matrix(to_values)
    return (hermitian(chain(vectors, inner, back)),)


eigh = primitive(
    "eigh", Kind.LIBRARY, _eigh_rule, named("eigh", lambda x: tuple(np.linalg.eigh(x))), outputs=2,
    doc="rising eigenvalues, and eigenvectors as columns, of Hermitian matrices of which the lower "
    "triangle is read",
    gradient=_eigh_gradient, may_raise=True, exact=False,
)  # fmt: skip


def _eigvalsh_gradient(g, out, x):
    _, vectors = eigh(x)
    return (matmul(vectors * as_rows(g), adjoint(vectors)),)


eigvalsh = primitive(
    "eigvalsh", Kind.LIBRARY, lambda x: _eigh_rule(x)[0],
    named("eigvalsh", np.linalg.eigvalsh),
    doc="rising eigenvalues of Hermitian matrices of which the lower triangle is read",
    gradient=_eigvalsh_gradient, may_raise=True, exact=False,
)  # fmt: skip

_COMPLEX = {"f": complex64, "d": complex128, "F": complex64, "D": complex128}


def _eig_rule(x: TensorType) -> tuple[TensorType, TensorType]:
    check_matrices("eig", x, square=True)
    dtype = _COMPLEX[x.dtype.char]
    return TensorType(x.shape[:-1], dtype), TensorType(x.shape, dtype)


def _eig(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eig(x)
    dtype = _COMPLEX[x.dtype.char]
    return values.astype(dtype, copy=False), vectors.astype(dtype, copy=False)


def _eig_gradient(g, out, x):
    """Of columns of length 1 (Boeddeker et al., arXiv:1701.00392, and their length kept)."""
    (to_values, to_vectors), (values, vectors) = g, out
    back = adjoint(vectors)
    turned = matmul(back, to_vectors)
    along = as_rows(real(diagonal(turned)))
    inner = (turned - matmul(back, vectors) * along) * gaps(values.conjugate())
    to_x = solve(back, matmul(inner + diagonal_matrix(to_values), back))
    return (in_dtype(to_x, x.dtype),)


eig = primitive(
    "eig", Kind.LIBRARY, _eig_rule, named("eig", _eig), outputs=2,
    doc="eigenvalues and, as columns of length 1, eigenvectors of square matrices, complex",
    gradient=_eig_gradient, may_raise=True, exact=False,
)  # fmt: skip


def _eigvals(x: np.ndarray) -> np.ndarray:
    return np.linalg.eigvals(x).astype(_COMPLEX[x.dtype.char], copy=False)


def _eigvals_gradient(g, out, x):
    _, vectors = eig(x)
    back = adjoint(vectors)
    return (in_dtype(solve(back, as_columns(g) * back), x.dtype),)


eigvals = primitive(
    "eigvals", Kind.LIBRARY, lambda x: _eig_rule(x)[0], named("eigvals", _eigvals),
    doc="eigenvalues of square matrices, complex",
    gradient=_eigvals_gradient, may_raise=True, exact=False,
)  # fmt: skip

# Singular values ------------------------------------------------------------------------------


def _svd_rule(x: TensorType, *, full: bool) -> tuple[TensorType, TensorType, TensorType]:
    check_matrices("svd", x)
    *batch, m, n = x.shape
    k = min(m, n)
    u, v = ((*batch, m, m if full else k), (*batch, n if full else k, n))
    values = TensorType((*batch, k), real_dtype(x.dtype))
    return TensorType(u, x.dtype), values, TensorType(v, x.dtype)


def _svd(x: np.ndarray, *, full: bool) -> tuple[np.ndarray, ...]:
    return tuple(np.linalg.svd(x, full_matrices=full))


def _svd_gradient(g, out, x, full):
    """Wan and Zhang, arXiv:1909.02659, and the columns outside of the range of a thin x."""
    (to_u, to_values, to_vh), (u, values, vh) = g, out
    to_v, v = adjoint(to_vh), adjoint(vh)
    count = values.shape[-1]
    if full:
        to_u, u = _first_columns(to_u, u, count)
        to_v, v = _first_columns(to_v, v, count)
    turn_u, turn_v = _skew(matmul(adjoint(u), to_u)), _skew(matmul(adjoint(v), to_v))
    inverse = as_rows(inverse_or_zero(values))
    inner = (turn_u * as_rows(values) + as_columns(values) * turn_v) * gaps(values * values)
    inner = inner + diagonal_matrix(to_values)
    if x.dtype.kind == "c":
        inner = inner + diagonal_matrix(diagonal(turn_u)) * inverse * 0.5
    left, right = matmul(u, inner), adjoint(v)
    *_, m, n = x.shape
    if m > count:
        outside = to_u * inverse
        left = left + outside - chain(u, adjoint(u), outside)
    to_x = matmul(left, right)
    if n > count:
        outside = to_v * inverse
        to_x = to_x + matmul(u, adjoint(outside - chain(v, adjoint(v), outside)))
    return (to_x,)


def _first_columns(to_all, every, count: int):
    """Gradient and value of the first `count` columns of unitary matrices."""
    if count == every.shape[-1]:
        return to_all, every
    return _without_rest(to_all, every, count), columns(every, 0, count)


def _skew(x):
    return x - adjoint(x)


svd = primitive(
    "svd", Kind.LIBRARY, _svd_rule, named("svd", _svd), outputs=3,
    doc="x = u @ diag(s) @ vh with falling s >= 0; full: square unitary u and vh",
    gradient=_svd_gradient, may_raise=True, exact=False,
)  # fmt: skip


def _svdvals_rule(x: TensorType) -> TensorType:
    return _svd_rule(x, full=False)[1]


def _svdvals(x: np.ndarray) -> np.ndarray:
    return np.linalg.svd(x, compute_uv=False)


def _svdvals_gradient(g, out, x):
    u, _, vh = svd(x, full=False)
    return (matmul(u * as_rows(g), vh),)


svdvals = primitive(
    "svdvals", Kind.LIBRARY, _svdvals_rule, named("svdvals", _svdvals),
    doc="falling singular values of matrices",
    gradient=_svdvals_gradient, may_raise=True, exact=False,
)  # fmt: skip
