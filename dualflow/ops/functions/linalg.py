"""Linear algebra: `df.linalg`, the extension of the Array API and what users of NumPy expect.

Matrices lie in the last two axes, any axes before them are a batch. LAPACK does the work, in
float32, float64, complex64 or complex128; integers become the default float. A matrix without
such a result (singular, say) raises LinearAlgebraError, which is a np.linalg.LinAlgError.
"""

from __future__ import annotations

from operator import index
from typing import Any, NamedTuple

import numpy as np

from dualflow.base.dtypes import promote
from dualflow.base.errors import ShapeError
from dualflow.base.shapes import Shape, broadcast, normal_axis
from dualflow.base.source import called

from .. import door
from .. import primitives as p
from ..devices import near
from ..operands import tensor
from ..primitives.matrices import check_matrices
from .creation import eye, zeros
from .elementwise import conj, real
from .factors import cholesky, eig, eigh, eigvals, eigvalsh, matrices, qr, svd, svdvals
from .joining import stack, unstack
from .linear import kron, matmul, multi_dot, outer, promoted, tensordot, vecdot
from .movement import broadcast_arrays, expand_dims, matrix_transpose, squeeze
from .norms import (
    cond,
    floats,
    matrix_norm,
    matrix_rank,
    norm,
    one_tolerance,
    tolerance,
    vector_norm,
)
from .reduction import sum

Tensor = Any
_SOLVE = p.solve.op

__all__ = [
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "expm",
    "inv",
    "kron",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Tensor
    logabsdet: Tensor


class LstsqResult(NamedTuple):
    """What `lstsq` gives."""

    x: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def _batched(x: Tensor, batch: Shape) -> Tensor:
    shape = batch + x.shape[-2:]
    return x if x.shape == shape else p.expand(x, shape=shape)


def _system(name: str, a: Any, b: Any, square: bool = True) -> tuple[Tensor, Tensor, bool]:
    """Matrices and right sides of one dtype and batch; and whether these were one vector."""
    a, b = floats(a), floats(b)
    if a.dtype != b.dtype:
        dtype = promote(a.dtype, b.dtype)
        a, b = (v if v.dtype == dtype else p.cast(v, dtype=dtype) for v in (a, b))
    check_matrices(name, a, square)
    left, right = a.shape, b.shape
    if len(left) == len(right) == 2 and left[0] == right[0]:
        return a, b, False
    one = len(right) == 1
    if not right or left[-2] != right[-1 if one else -2]:
        raise ShapeError(f"{name} of {left} and {right}",
                         why="the right side, (m,) or (..., m, k), must have as many rows as the "
                             "matrix")  # fmt: skip
    b = expand_dims(b, -1) if one else b
    if left[:-2] == right[:-2]:
        return a, b, one
    batch = broadcast(left[:-2], right[:-2], of=name)
    return _batched(a, batch), _batched(b, batch), one


# Solving --------------------------------------------------------------------------------------


def solve(x1: Tensor, x2: Tensor) -> Tensor:
    """The solution of x1 @ out = x2.

    Args:
        x1: (..., n, n).
        x2: (n,), one right side, or (..., n, k).

    Raises:
        LinearAlgebraError: a singular matrix.

    >>> import dualflow as df
    >>> df.linalg.solve(df.asarray([[2.0, 0.0], [0.0, 4.0]]), df.asarray([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    a, b, one = _system("solve", x1, x2)
    out = door.run(_SOLVE, (a, b), {})
    return squeeze(out, -1) if one else out


def solve_triangular(
    x1: Tensor, x2: Tensor, lower: bool = False, unit_diagonal: bool = False
) -> Tensor:
    """The solution of x1 @ out = x2, where only one triangle of `x1` is looked at.

    Args:
        x1: (..., n, n).
        x2: (n,) or (..., n, k).
        lower: whether the lower triangle counts, and not the upper one.
        unit_diagonal: whether the diagonal is taken as ones.

    Raises:
        LinearAlgebraError: a zero on the diagonal.

    >>> import dualflow as df
    >>> a = df.asarray([[2.0, 9.0], [1.0, 1.0]])
    >>> df.linalg.solve_triangular(a, df.asarray([2.0, 2.0]), lower=True).tolist()
    [1.0, 1.0]
    """
    a, b, one = _system("solve_triangular", x1, x2)
    out = p.solve_triangular(a, b, below=bool(lower), unit=bool(unit_diagonal))
    return squeeze(out, -1) if one else out


def inv(x: Tensor) -> Tensor:
    """The inverses of square matrices.

    Args:
        x: (..., n, n) floats or complex numbers.

    Raises:
        LinearAlgebraError: a singular matrix.

    >>> import dualflow as df
    >>> df.linalg.inv(df.asarray([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return p.inv(matrices("inv", x, square=True))


def pinv(x: Tensor, rtol: Any = None) -> Tensor:
    """The pseudo-inverses of matrices (Moore and Penrose).

    Args:
        x: (..., m, n).
        rtol: singular values up to `rtol` times the largest count as 0: a float, or one for each
            matrix; None for max(m, n) times the rounding of the dtype.

    >>> import dualflow as df
    >>> df.linalg.pinv(df.asarray([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    x = matrices("pinv", x)
    eager, number = door.unnoted(x), one_tolerance(x, rtol)
    if eager is not None and number is not None:
        return eager.compute(p.pinv.op.numpy, (x,), number)
    return p.pinv(x, tolerance(x, rtol))


def lstsq(x1: Tensor, x2: Tensor, rcond: Any = None) -> LstsqResult:
    """The shortest `x` for which x1 @ x comes closest to `x2`, in squares.

    Args:
        x1: (..., m, n).
        x2: (m,) or (..., m, k).
        rcond: see `rtol` of `pinv`.

    Returns:
        x: (n,) or (..., n, k); residuals: the sums of squares left, () or (..., k); rank and
        singular values of `x1`.

    >>> import dualflow as df
    >>> df.linalg.lstsq(df.asarray([[1.0], [0.0]]), df.asarray([2.0, 3.0])).x.tolist()
    [2.0]
    """
    a, b, one = _system("lstsq", x1, x2, square=False)
    out = p.matmul(pinv(a, rcond), b)
    rest = b - p.matmul(a, out)
    residuals = sum(real(rest * conj(rest)), -2)
    if one:
        out, residuals = squeeze(out, -1), squeeze(residuals, -1)
    return LstsqResult(out, residuals, matrix_rank(a, rcond), p.svdvals(a))


# Determinants and powers ----------------------------------------------------------------------


def det(x: Tensor) -> Tensor:
    """The determinants of square matrices.

    Args:
        x: (..., n, n) floats or complex numbers.

    >>> import dualflow as df
    >>> df.linalg.det(df.asarray([[2.0, 0.0], [1.0, 4.0]])).item()
    8.0
    """
    return p.det(matrices("det", x, square=True))


def slogdet(x: Tensor) -> SlogdetResult:
    """The signs (or phases) of determinants, and the logarithms of their sizes.

    Args:
        x: (..., n, n) floats or complex numbers.

    >>> import dualflow as df
    >>> df.linalg.slogdet(df.asarray([[-1.0, 0.0], [0.0, 1.0]])).sign.item()
    -1.0
    """
    return SlogdetResult(*p.slogdet(matrices("slogdet", x, square=True)))


@near
def matrix_power(x: Tensor, n: int) -> Tensor:
    """Square matrices multiplied with themselves, `n` factors; of their inverses for negative `n`.

    Args:
        x: (..., n, n) floats or complex numbers.
        n: an integer.

    Raises:
        LinearAlgebraError: a singular matrix and negative `n`.

    >>> import dualflow as df
    >>> df.linalg.matrix_power(df.asarray([[2.0, 0.0], [0.0, 1.0]]), 3).tolist()
    [[8.0, 0.0], [0.0, 1.0]]
    """
    x, n = tensor(x), index(n)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"matrix_power of {x.shape}", why="the last two sizes must be equal")
    if n == 0:
        ones = p.expand(eye(x.shape[-1], dtype=x.dtype), shape=x.shape)
        return p.cast(ones, dtype=x.dtype)
    if n < 0:
        x, n = inv(x), -n
    while not n & 1:
        x, n = p.matmul(x, x), n >> 1
    out = p.cast(x, dtype=x.dtype)  # a copy where nothing is multiplied
    while n := n >> 1:
        x = p.matmul(x, x)
        if n & 1:
            out = p.matmul(out, x)
    return out


def expm(x: Tensor) -> Tensor:
    """The exponentials of square matrices, the sums of x^k / k!.

    >>> import dualflow as df
    >>> df.linalg.expm(df.zeros((2, 2))).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return p.expm(matrices("expm", x, square=True))


# Parts ----------------------------------------------------------------------------------------


@near
def diagonal(x: Tensor, offset: int = 0) -> Tensor:
    """The elements x[..., i, i + offset] of matrices; a view where the strides allow it.

    >>> import dualflow as df
    >>> df.linalg.diagonal(df.asarray([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [1.0, 4.0]
    """
    x, offset = tensor(x), index(offset)
    if x.ndim < 2:
        raise ShapeError(f"{called()} of {x.shape}", why="it takes matrices, (..., rows, columns)")
    *batch, m, n = x.shape
    row, column = (0, offset) if offset >= 0 else (-offset, 0)
    count = min(m - row, n - column)
    if count <= 0:
        return zeros((*batch, 0), dtype=x.dtype)
    flat = p.reshape(x, shape=(*batch, m * n))
    start = row * n + column
    stop = start + (count - 1) * (n + 1) + 1
    none = (0,) * len(batch)
    return p.slice(flat, starts=(*none, start), stops=(*batch, stop),
                   steps=(*(1,) * len(batch), n + 1))  # fmt: skip


def trace(x: Tensor, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sums of the diagonals of matrices, see `diagonal`; integers are summed in 64 bits.

    Args:
        x: (..., rows, columns).
        offset: how far above the main diagonal; below it if negative.
        dtype: to sum in, and of the result.

    >>> import dualflow as df
    >>> df.linalg.trace(df.asarray([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    x = tensor(x)
    eager = door.unnoted(x) if dtype is None and x.ndim > 1 else None
    if eager is not None:
        return eager.compute(_trace_of_array, (x,), index(offset))
    return sum(diagonal(x, offset), -1, dtype=dtype)


def _trace_of_array(x: np.ndarray, offset: int) -> Any:
    return np.add.reduce(x.diagonal(offset, -2, -1), -1)


def cross(x1: Tensor, x2: Tensor, axis: int = -1) -> Tensor:
    """The cross products of vectors of 3 elements along `axis`.

    Args:
        x1, x2: numbers that broadcast on the other axes.
        axis: of both; negative where they have not the same number of axes.

    Raises:
        ShapeError: that axis has not 3 elements.

    >>> import dualflow as df
    >>> df.linalg.cross(df.asarray([1.0, 0.0, 0.0]), df.asarray([0.0, 1.0, 0.0])).tolist()
    [0.0, 0.0, 1.0]
    """
    given = promoted("cross", x1, x2)
    rank = max(x.ndim for x in given)
    at = normal_axis(axis, rank)
    for x in given:
        if (*(1,) * (rank - x.ndim), *x.shape)[at] != 3:
            raise ShapeError(f"cross of {given[0].shape} and {given[1].shape} along axis {axis}",
                             why="that axis must have 3 elements")  # fmt: skip
    a, b = broadcast_arrays(*given)
    (a0, a1, a2), (b0, b1, b2) = unstack(a, at), unstack(b, at)
    return stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], at)
