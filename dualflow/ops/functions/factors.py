"""Factors of matrices: Cholesky, QR, eigenvalues, singular values."""

from __future__ import annotations

from typing import Any, NamedTuple

from dualflow.base.errors import ArgumentError

from .. import primitives as p
from ..primitives.matrices import check_matrices
from .elementwise import conj
from .movement import matrix_transpose
from .norms import floats

Tensor = Any


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Tensor
    R: Tensor


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class EigResult(NamedTuple):
    """What `eig` gives."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def matrices(name: str, x: Any, square: bool = False) -> Tensor:
    """`x` as floats or complex numbers; ShapeError unless it holds (square) matrices."""
    x = floats(x)
    check_matrices(name, x, square)
    return x


def cholesky(x: Tensor, upper: bool = False) -> Tensor:
    """The triangle L with L @ L^H = x, of a Hermitian positive definite matrix.

    Args:
        x: (..., n, n), of which one triangle is read.
        upper: whether the result is the upper triangle L^H, from the upper triangle of `x`.

    The gradient is Hermitian, as `x` is taken to be.

    Raises:
        LinearAlgebraError: a matrix that is not positive definite.

    >>> import dualflow as df
    >>> df.linalg.cholesky(df.asarray([[4.0, 0.0], [0.0, 9.0]])).tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    x = matrices("cholesky", x, square=True)
    return _adjoint(p.cholesky(_adjoint(x))) if upper else p.cholesky(x)


def _adjoint(x: Tensor) -> Tensor:
    return matrix_transpose(conj(x))


def qr(x: Tensor, mode: str = "reduced") -> QRResult:
    """x = Q @ R: Q with orthonormal columns, R an upper triangle.

    Args:
        x: (..., m, n).
        mode: "reduced": Q is (m, k), R (k, n), with k = min(m, n); "complete": (m, m), (m, n).

    Raises:
        ArgumentError: another `mode`.

    >>> import dualflow as df
    >>> df.linalg.qr(df.ones((3, 2))).R.shape
    (2, 2)
    """
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"qr with mode={mode!r}", instead='"reduced" or "complete"')
    return QRResult(*p.qr(matrices("qr", x), complete=mode == "complete"))


def eigh(x: Tensor) -> EighResult:
    """The rising eigenvalues of Hermitian matrices and, as columns, eigenvectors of length 1.

    Args:
        x: (..., n, n), of which the lower triangle is read.

    The gradient is Hermitian, as `x` is taken to be, and that of functions that do not depend on
    the signs (or phases) of eigenvectors.

    Raises:
        LinearAlgebraError: it does not converge (NaN).

    >>> import dualflow as df
    >>> df.linalg.eigh(df.asarray([[2.0, 0.0], [0.0, 1.0]])).eigenvalues.tolist()
    [1.0, 2.0]
    """
    return EighResult(*p.eigh(matrices("eigh", x, square=True)))


def eigvalsh(x: Tensor) -> Tensor:
    """The rising eigenvalues of Hermitian matrices; see `eigh`.

    >>> import dualflow as df
    >>> df.linalg.eigvalsh(df.asarray([[2.0, 0.0], [0.0, 1.0]])).tolist()
    [1.0, 2.0]
    """
    return p.eigvalsh(matrices("eigvalsh", x, square=True))


def eig(x: Tensor) -> EigResult:
    """The eigenvalues of square matrices and, as columns, eigenvectors of length 1; complex.

    The gradient is that of functions that do not depend on the phases of eigenvectors.

    Args:
        x: (..., n, n) floats or complex numbers.

    Raises:
        LinearAlgebraError: it does not converge (NaN).

    >>> import dualflow as df
    >>> df.linalg.eig(df.asarray([[0.0, -1.0], [1.0, 0.0]])).eigenvalues.tolist()
    [1j, -1j]
    """
    return EigResult(*p.eig(matrices("eig", x, square=True)))


def eigvals(x: Tensor) -> Tensor:
    """The eigenvalues of square matrices, complex; see `eig`.

    >>> import dualflow as df
    >>> df.linalg.eigvals(df.asarray([[2.0, 0.0], [0.0, 1.0]])).tolist()
    [(2+0j), (1+0j)]
    """
    return p.eigvals(matrices("eigvals", x, square=True))


def svd(x: Tensor, full_matrices: bool = True) -> SVDResult:
    """x = U @ diag(S) @ Vh: unitary U and Vh, falling singular values S.

    Args:
        x: (..., m, n).
        full_matrices: whether U and Vh are square; else they have k = min(m, n) columns and rows.

    The gradient is that of functions that do not depend on the signs (or phases) of the columns.

    Raises:
        LinearAlgebraError: it does not converge (NaN).

    >>> import dualflow as df
    >>> df.linalg.svd(df.asarray([[0.0, 2.0], [1.0, 0.0]])).S.tolist()
    [2.0, 1.0]
    """
    return SVDResult(*p.svd(matrices("svd", x), full=bool(full_matrices)))


def svdvals(x: Tensor) -> Tensor:
    """The falling singular values of matrices; see `svd`.

    >>> import dualflow as df
    >>> df.linalg.svdvals(df.asarray([[0.0, 2.0], [1.0, 0.0]])).tolist()
    [2.0, 1.0]
    """
    return p.svdvals(matrices("svdvals", x))
