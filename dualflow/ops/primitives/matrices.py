"""What records of matrices share: checks, named errors, and parts that their gradients use.

Comes in: types, arrays or tensors of shape (..., rows, columns). Goes out: the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from dualflow.base.dtypes import int64
from dualflow.base.errors import DTypeError, LinearAlgebraError, ShapeError
from dualflow.base.source import called
from dualflow.ir.types import TensorType

from .contraction import matmul
from .creation import iota
from .elementwise import negative, where
from .movement import reshape, slice

#: dtype letters of what LAPACK takes
TAKEN = "fdFD"


def check_matrices(name: str, x: Any, square: bool = False) -> None:
    """ShapeError or DTypeError unless x (a type or a tensor) holds (square) matrices for LAPACK."""
    if x.dtype.char not in TAKEN:
        raise DTypeError(f"{name} of {x.dtype.name}",
                         why="LAPACK has it for float32, float64, complex64 and complex128",
                         instead="astype(...) to one of these first")  # fmt: skip
    shape = x.shape
    if len(shape) < 2:
        raise ShapeError(f"{name} of {shape}", why="it takes matrices, (..., rows, columns)")
    if square and shape[-1] != shape[-2]:
        raise ShapeError(f"{name} of {shape}", why="the last two sizes must be equal")


def check_same(name: str, a: TensorType, b: TensorType) -> None:
    """DTypeError or ShapeError unless both have one dtype and the same batch axes."""
    if a.dtype != b.dtype:
        raise DTypeError(f"{name} of {a.dtype.name} and {b.dtype.name}",
                         why="primitives do not promote", instead="cast first")  # fmt: skip
    if a.shape[:-2] != b.shape[:-2]:
        raise ShapeError(f"{name} of {a.shape} and {b.shape}",
                         why="primitives do not broadcast", instead="expand first")  # fmt: skip


def named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of arrays; what LAPACK cannot do raises an error with the name and the shapes."""

    @wraps(function)
    def run(*arrays: np.ndarray, **attributes: Any) -> Any:
        try:
            return function(*arrays, **attributes)
        except np.linalg.LinAlgError as cause:
            shapes = " and ".join(str(array.shape) for array in arrays)
            message = str(cause).lower()
            raise LinearAlgebraError(f"{called(name)} of {shapes}: {message}",
                                     why="its values have no such result") from cause  # fmt: skip

    return run


# Parts of gradients ---------------------------------------------------------------------------


def adjoint(x: Any) -> Any:
    """The conjugate transposes of matrices."""
    return x.mT.conjugate()


def as_rows(x: Any) -> Any:
    """(..., n) as (..., 1, n): one factor for each column of a matrix."""
    return reshape(x, shape=(*x.shape[:-1], 1, x.shape[-1]))


def as_columns(x: Any) -> Any:
    """(..., n) as (..., n, 1): one factor for each row of a matrix."""
    return reshape(x, shape=(*x.shape, 1))


def _diagonals(x: Any) -> Any:
    """For each element of a matrix of x, the number of its diagonal: column - row."""
    shape = x.shape[-2:]
    return iota(shape=shape, axis=1, dtype=int64) - iota(shape=shape, axis=0, dtype=int64)


def lower(x: Any, highest: int = 0) -> Any:
    """x with zeros above the diagonal of number `highest`."""
    return where.of(_diagonals(x) <= highest, x, 0.0)


def upper(x: Any, lowest: int = 0) -> Any:
    """x with zeros below the diagonal of number `lowest`."""
    return where.of(_diagonals(x) >= lowest, x, 0.0)


def half_diagonal(x: Any) -> Any:
    """x with half its diagonal."""
    return where.of(_diagonals(x) == 0, x * 0.5, x)


def diagonal_matrix(x: Any) -> Any:
    """(..., n) on the diagonal of (..., n, n)."""
    columns = as_columns(x)
    wide = columns.expand((*x.shape, x.shape[-1]))
    return where.of(_diagonals(wide) == 0, wide, 0.0)


def diagonal(x: Any) -> Any:
    """The diagonal of (..., n, n), as (..., n)."""
    return where.of(_diagonals(x) == 0, x, 0.0).sum(axis=-1)


def hermitian(x: Any) -> Any:
    """The part of x that equals its conjugate transpose."""
    return (x + adjoint(x)) * 0.5


def skew(x: Any) -> Any:
    """x minus its conjugate transpose."""
    return x - adjoint(x)


def inverse_or_zero(x: Any) -> Any:
    """1 / x, and 0 where x is 0."""
    zero = x == 0.0
    return where.of(zero, 0.0, 1.0 / where.of(zero, 1.0, x))


def gaps(values: Any) -> Any:
    """1 / (values[j] - values[i]) at row i and column j; 0 where the values are equal."""
    return inverse_or_zero(as_rows(values) - as_columns(values))


def columns(x: Any, start: int, stop: int) -> Any:
    """The columns from start to stop of matrices."""
    rank = len(x.shape)
    return slice(
        x, starts=(*(0,) * (rank - 1), start), stops=(*x.shape[:-1], stop), steps=(1,) * rank
    )


def rows(x: Any, start: int, stop: int) -> Any:
    """The rows from start to stop of matrices."""
    return columns(x.mT, start, stop).mT


def chain(*factors: Any) -> Any:
    """The matrix product of several tensors, from the left."""
    out = factors[0]
    for factor in factors[1:]:
        out = matmul(out, factor)
    return out


# The first columns of unitary matrices, of which the others turn as little as they can --------


def without_rest(to_all: Any, every: Any, count: int) -> Any:
    """The gradient for the first `count` columns, from that for all."""
    size = every.shape[-1]
    first, rest = columns(every, 0, count), columns(every, count, size)
    return columns(to_all, 0, count) - chain(rest, adjoint(columns(to_all, count, size)), first)


def turned(change: Any, first: Any, rest: Any) -> Any:
    """The tangents of the columns `rest`, from the tangents `change` of the columns `first`."""
    return negative(chain(first, adjoint(change), rest))
