"""Sizes of vectors and matrices: norms, condition, rank."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from dualflow.base.dtypes import DEFAULT_FLOAT, float32, float64, is_inexact, real_dtype
from dualflow.base.errors import ArgumentError, ShapeError
from dualflow.base.shapes import Axes, normal_axes, reduced

from .. import door
from .. import primitives as p
from ..devices import near
from ..operands import TENSORS, tensor
from ..primitives.matrices import check_matrices
from .creation import zeros
from .elementwise import abs, not_equal, real, where
from .movement import expand_dims
from .reduction import max, min, sum

Tensor = Any
_ROUNDING = {dtype: float(np.finfo(dtype).eps) for dtype in (float32, float64)}


def floats(x: Any) -> Tensor:
    """`x` as a tensor of floats or complex numbers."""
    if type(x) not in TENSORS:
        x = tensor(x)
    return x if is_inexact(x.dtype) else p.cast(x, dtype=DEFAULT_FLOAT)


def vector_norm(x: Tensor, axis: Axes = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """The norm of the vectors along `axis`: sum(abs(x) ** ord) ** (1 / ord), a float.

    Args:
        x: floats or complex numbers.
        axis: one or several; None for all.
        ord: a number; inf and -inf for the largest and smallest size, 0 for how many are not 0.
        keepdims: whether folded axes stay, with size 1.

    The gradient at 0 of the norm of order 2 is 0.

    >>> import dualflow as df
    >>> df.linalg.vector_norm(df.asarray([3.0, 4.0])).item()
    5.0
    """
    x = floats(x)
    if ord == 2:
        return _euclidean(x, normal_axes(axis, len(x.shape)), keepdims)
    if ord == 0:
        return sum(not_equal(x, 0.0), axis, dtype=real_dtype(x.dtype), keepdims=keepdims)
    sizes = abs(x)
    if ord == math.inf:
        return max(sizes, axis, keepdims)
    if ord == -math.inf:
        return min(sizes, axis, keepdims)
    if ord == 1:
        return sum(sizes, axis, keepdims=keepdims)
    power = float(ord)
    return sum(sizes**power, axis, keepdims=keepdims) ** (1.0 / power)


def _euclidean(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The root of the sum of squares, of which the gradient at 0 is 0."""
    eager = door.unnoted(x)
    if eager is not None:
        return eager.compute(_euclidean_of_array, (x,), axes, keepdims)
    squares = real(x * x.conjugate()) if x.dtype.kind == "c" else x * x
    out = sum(squares, axes, keepdims=keepdims)
    zero = out == 0.0
    return where(zero, out, p.sqrt.of(where(zero, 1.0, out)))


def _euclidean_of_array(x: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> Any:
    if x.dtype.kind == "c":
        squares = np.real(np.multiply(x, x.conj(), order="C")).copy()
    else:
        squares = np.multiply(x, x, order="C")
    return np.sqrt(np.add.reduce(squares, axes, keepdims=keepdims))


def matrix_norm(x: Tensor, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """The norm of the matrices in the last two axes, a float.

    Args:
        x: (..., m, n) floats or complex numbers.
        keepdims: whether the two axes stay, with size 1.
        ord: "fro" (root of the sum of squares), "nuc" (sum of singular values), 1 and -1 (largest
            and smallest column sum of sizes), inf and -inf (of rows), 2 and -2 (largest and
            smallest singular value).

    Raises:
        ArgumentError: another `ord`.
        LinearAlgebraError: singular values of NaN or infinities.

    >>> import dualflow as df
    >>> df.linalg.matrix_norm(df.asarray([[1.0, -2.0], [3.0, 4.0]]), ord=1).item()
    6.0
    """
    x = floats(x)
    if x.ndim < 2:
        raise ShapeError(f"matrix_norm of {x.shape}", instead="vector_norm() for vectors")
    if ord == "fro":
        return _euclidean(x, (x.ndim - 2, x.ndim - 1), keepdims)
    if ord == "nuc":
        out = sum(_singular_values(x), -1)
    elif ord in (2, -2):
        out = (max if ord == 2 else min)(_singular_values(x), -1)
    elif ord in (1, -1, math.inf, -math.inf):
        axis = -2 if ord in (1, -1) else -1
        sums = sum(abs(x), axis, keepdims=True)
        out = (max if ord > 0 else min)(sums, (-2, -1))
    else:
        raise ArgumentError(f"matrix_norm with ord={ord!r}",
                            instead='"fro", "nuc", 1, -1, 2, -2, inf or -inf')  # fmt: skip
    return expand_dims(out, (-2, -1)) if keepdims else out


def _singular_values(x: Tensor) -> Tensor:
    check_matrices("svdvals", x)
    return p.svdvals(x)


def norm(x: Tensor, ord: Any = None, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors along one axis or matrices in two, as in `np.linalg.norm`.

    Args:
        x: floats or complex numbers.
        ord: see `vector_norm` and `matrix_norm`; None for the root of the sum of squares.
        axis: one for vectors, two for matrices; None: all axes, of a vector or matrix unless
            `ord` is None.
        keepdims: whether folded axes stay, with size 1.

    >>> import dualflow as df
    >>> df.linalg.norm(df.asarray([[3.0, 4.0]])).item()
    5.0
    """
    x = floats(x)
    axes = normal_axes(axis, len(x.shape))
    if ord is None:
        return _euclidean(x, axes, keepdims)
    if len(axes) == 1:
        return vector_norm(x, axes, keepdims, ord)
    if len(axes) != 2:
        raise ShapeError(f"norm of order {ord!r} over {len(axes)} axes of {x.shape}",
                         instead="axis= with one axis or two")  # fmt: skip
    if axis is not None and next(iter(axis)) % x.ndim > axes[0]:  # type: ignore[arg-type]
        axes = axes[::-1]
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    out = matrix_norm(p.permute(x, axes=rest + axes), ord=ord)
    return p.reshape(out, shape=reduced(x.shape, axes, True)) if keepdims else out


def cond(x: Tensor, ord: Any = None) -> Tensor:
    """The condition numbers of matrices: their norm times that of their inverses.

    Args:
        x: (..., m, n); square unless `ord` is None, 2 or -2.
        ord: see `matrix_norm`; None for 2.

    >>> import dualflow as df
    >>> df.linalg.cond(df.asarray([[2.0, 0.0], [0.0, 8.0]])).item()
    4.0
    """
    x = floats(x)
    if ord in (None, 2, -2):
        values = _singular_values(x)
        largest, smallest = max(values, -1), min(values, -1)
        return smallest / largest if ord == -2 else largest / smallest
    check_matrices("cond", x, square=True)
    return matrix_norm(x, ord=ord) * matrix_norm(p.inv(x), ord=ord)


@near
def tolerance(x: Tensor, rtol: Any) -> Tensor:
    """Relative tolerances for the singular values of each matrix, of shape x.shape[:-2]."""
    dtype, batch = real_dtype(x.dtype), x.shape[:-2]
    number = one_tolerance(x, rtol)
    if number is not None:
        return p.full(shape=batch, value=number.item(), dtype=dtype)
    given = tensor(rtol)
    given = given if given.dtype == dtype else p.cast(given, dtype=dtype)
    if given.shape == batch:
        return given
    sizes = zip(reversed(given.shape), reversed(batch), strict=False)
    if given.ndim > len(batch) or any(n not in (1, wanted) for n, wanted in sizes):
        raise ShapeError(f"tolerances of {given.shape} for matrices of {x.shape}",
                         why="there is one for each matrix, or one for all")  # fmt: skip
    return p.expand(given, shape=batch)


def one_tolerance(x: Tensor, rtol: Any) -> Any:
    """The relative tolerance in the dtype of singular values of `x`; None if there are several."""
    dtype = real_dtype(x.dtype)
    if rtol is None:
        return dtype.type(_ROUNDING[dtype] * builtins.max(x.shape[-2:]))
    return dtype.type(rtol) if type(rtol) is float else None


@near
def matrix_rank(x: Tensor, rtol: Any = None) -> Tensor:
    """How many singular values are larger than `rtol` times the largest.

    Args:
        x: (..., m, n) floats or complex numbers.
        rtol: a float, or one for each matrix; None for max(m, n) times the rounding of the dtype.

    Returns:
        int64, of shape x.shape[:-2].

    >>> import dualflow as df
    >>> df.linalg.matrix_rank(df.asarray([[1.0, 2.0], [2.0, 4.0]])).item()
    1
    """
    x = floats(x)
    check_matrices("matrix_rank", x)
    if not x.shape[-1] or not x.shape[-2]:
        return zeros(x.shape[:-2], dtype="int64")
    eager, number = door.unnoted(x), one_tolerance(x, rtol)
    if eager is not None and number is not None:
        return eager.compute(_rank_of_array, (x,), number)
    values = p.svdvals(x)
    least = max(values, -1, keepdims=True) * expand_dims(tolerance(x, rtol), -1)
    return sum(values > least, -1)


def _rank_of_array(x: np.ndarray, rtol: Any) -> Any:
    values = p.svdvals.op.numpy(x)
    return np.add.reduce(values > np.maximum.reduce(values, -1, keepdims=True) * rtol, -1)
