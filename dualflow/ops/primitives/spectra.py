"""Records of eigenvalues and singular values.

Each works on the matrices in the last two axes, over any leading batch axes. LAPACK runs it,
through NumPy. Vectors are unique up to signs and phases only (and rotations among those of equal
values); derivatives are those of functions that do not depend on the choice.
"""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import complex64, complex128, real_dtype
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from ..record import primitive
from .contraction import matmul
from .elementwise import in_dtype, real
from .linalg import solve
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
    hermitian,
    inverse_or_zero,
    named,
    skew,
    turned,
    without_rest,
)
from .movement import concat

# Eigenvalues ----------------------------------------------------------------------------------


def _eigh_rule(x: TensorType) -> tuple[TensorType, TensorType]:
    check_matrices("eigh", x, square=True)
    return TensorType(x.shape[:-1], real_dtype(x.dtype)), x


def _eigh_gradient(g, out, x):
    (to_values, to_vectors), (values, vectors) = g, out
    back = adjoint(vectors)
    inner = matmul(back, to_vectors) * gaps(values) + diagonal_matrix(to_values)
    return (hermitian(chain(vectors, inner, back)),)


def _eigh_forward(tangents, out, x):
    values, vectors = out
    inner = chain(adjoint(vectors), hermitian(tangents[0]), vectors)
    return real(diagonal(inner)), matmul(vectors, inner * gaps(values))


eigh = primitive(
    "eigh", Kind.LIBRARY, _eigh_rule, named("eigh", lambda x: tuple(np.linalg.eigh(x))), outputs=2,
    doc="rising eigenvalues, and eigenvectors as columns, of Hermitian matrices of which the lower "
    "triangle is read",
    gradient=_eigh_gradient, forward=_eigh_forward, may_raise=True, exact=False,
)  # fmt: skip


def _eigvalsh_gradient(g, out, x):
    _, vectors = eigh(x)
    return (matmul(vectors * as_rows(g), adjoint(vectors)),)


def _eigvalsh_forward(tangents, out, x):
    _, vectors = eigh(x)
    return real(diagonal(chain(adjoint(vectors), tangents[0], vectors)))


eigvalsh = primitive(
    "eigvalsh", Kind.LIBRARY, lambda x: _eigh_rule(x)[0],
    named("eigvalsh", np.linalg.eigvalsh),
    doc="rising eigenvalues of Hermitian matrices of which the lower triangle is read",
    gradient=_eigvalsh_gradient, forward=_eigvalsh_forward, may_raise=True, exact=False,
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


def _eig_forward(tangents, out, x):
    values, vectors = out
    inner = solve(vectors, matmul(in_dtype(tangents[0], values.dtype), vectors))
    moved = matmul(vectors, inner * gaps(values))
    along = as_rows(real(diagonal(matmul(adjoint(vectors), moved))))
    return diagonal(inner), moved - vectors * along


eig = primitive(
    "eig", Kind.LIBRARY, _eig_rule, named("eig", _eig), outputs=2,
    doc="eigenvalues and, as columns of length 1, eigenvectors of square matrices, complex",
    gradient=_eig_gradient, forward=_eig_forward, may_raise=True, exact=False,
)  # fmt: skip


def _eigvals(x: np.ndarray) -> np.ndarray:
    return np.linalg.eigvals(x).astype(_COMPLEX[x.dtype.char], copy=False)


def _eigvals_gradient(g, out, x):
    _, vectors = eig(x)
    back = adjoint(vectors)
    return (in_dtype(solve(back, as_columns(g) * back), x.dtype),)


def _eigvals_forward(tangents, out, x):
    _, vectors = eig(x)
    return diagonal(solve(vectors, matmul(in_dtype(tangents[0], out.dtype), vectors)))


eigvals = primitive(
    "eigvals", Kind.LIBRARY, lambda x: _eig_rule(x)[0], named("eigvals", _eigvals),
    doc="eigenvalues of square matrices, complex",
    gradient=_eigvals_gradient, forward=_eigvals_forward, may_raise=True, exact=False,
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
    turn_u, turn_v = skew(matmul(adjoint(u), to_u)), skew(matmul(adjoint(v), to_v))
    inverse = as_rows(inverse_or_zero(values))
    inner = (turn_u * as_rows(values) + as_columns(values) * turn_v) * gaps(values * values)
    inner = inner + diagonal_matrix(to_values)
    if x.dtype.kind == "c":
        inner = inner + diagonal_matrix(diagonal(turn_u)) * inverse * 0.5
    left, right = matmul(u, inner), adjoint(v)
    *_, m, n = x.shape
    if m > count:
        left = left + _outside(u, to_u * inverse)
    to_x = matmul(left, right)
    if n > count:
        to_x = to_x + matmul(u, adjoint(_outside(v, to_v * inverse)))
    return (to_x,)


def _first_columns(to_all, every, count: int):
    """Gradient and value of the first `count` columns of unitary matrices."""
    if count == every.shape[-1]:
        return to_all, every
    return without_rest(to_all, every, count), columns(every, 0, count)


def _svd_forward(tangents, out, x, full):
    (t,), (u, values, vh) = tangents, out
    v, count = adjoint(vh), values.shape[-1]
    every_u, every_v = u, v
    u, v = columns(u, 0, count), columns(v, 0, count)
    inner = chain(adjoint(u), t, v)
    back, row, column = adjoint(inner), as_rows(values), as_columns(values)
    between = gaps(values * values)
    turn_u = (inner * row + column * back) * between
    turn_v = (column * inner + back * row) * between
    inverse = as_rows(inverse_or_zero(values))
    if x.dtype.kind == "c":
        turn_u = turn_u + diagonal_matrix(diagonal(skew(inner))) * inverse * 0.5
    to_u, to_v = matmul(u, turn_u), matmul(v, turn_v)
    *_, m, n = x.shape
    if m > count:
        to_u = to_u + _outside(u, matmul(t, v) * inverse)
    if n > count:
        to_v = to_v + _outside(v, matmul(adjoint(t), u) * inverse)
    if full:
        to_u, to_v = _with_rest(to_u, u, every_u), _with_rest(to_v, v, every_v)
    return to_u, real(diagonal(inner)), adjoint(to_v)


def _outside(u, x):
    """What of x lies outside of the range of the orthonormal columns u."""
    return x - chain(u, adjoint(u), x)


def _with_rest(change, first, every):
    """Tangents of all columns of unitary matrices, from those of the first."""
    count, size = first.shape[-1], every.shape[-1]
    if count == size:
        return change
    rest = columns(every, count, size)
    return concat(change, turned(change, first, rest), axis=len(change.shape) - 1)


svd = primitive(
    "svd", Kind.LIBRARY, _svd_rule, named("svd", _svd), outputs=3,
    doc="x = u @ diag(s) @ vh with falling s >= 0; full: square unitary u and vh",
    gradient=_svd_gradient, forward=_svd_forward, may_raise=True, exact=False,
)  # fmt: skip


def _svdvals_rule(x: TensorType) -> TensorType:
    return _svd_rule(x, full=False)[1]


def _svdvals(x: np.ndarray) -> np.ndarray:
    return np.linalg.svd(x, compute_uv=False)


def _svdvals_gradient(g, out, x):
    u, _, vh = svd(x, full=False)
    return (matmul(u * as_rows(g), vh),)


def _svdvals_forward(tangents, out, x):
    u, _, vh = svd(x, full=False)
    return real(diagonal(chain(adjoint(u), tangents[0], adjoint(vh))))


svdvals = primitive(
    "svdvals", Kind.LIBRARY, _svdvals_rule, named("svdvals", _svdvals),
    doc="falling singular values of matrices",
    gradient=_svdvals_gradient, forward=_svdvals_forward, may_raise=True, exact=False,
)  # fmt: skip
