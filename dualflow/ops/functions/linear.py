"""Products of matrices and vectors."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import Any, NamedTuple

import numpy as np

from dualflow.base.dtypes import compute_dtype, promote
from dualflow.base.errors import ShapeError
from dualflow.base.shapes import Shape, as_integer, broadcast, normal_axis, size_of
from dualflow.ir.op import Kind, Op

from .. import door
from .. import primitives as p
from ..autocast import narrow
from ..operands import TENSORS, tensor
from ..record import needs_no_more
from ..rules import check_kind
from .elementwise import conj, multiply
from .reduction import sum

Tensor = Any
_MATMUL = p.matmul.op


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """The matrix product, over leading batch axes that broadcast.

    A vector is a row on the left and a column on the right, and that axis is dropped.

    Args:
        x: (..., m, k) or (k,).
        y: (..., k, n) or (k,).

    Raises:
        ShapeError: an operand is a scalar, or the inner sizes differ.
        DTypeError: booleans.

    >>> import dualflow as df
    >>> df.matmul(df.asarray([[1.0, 2.0]]), df.asarray([[3.0], [4.0]])).tolist()
    [[11.0]]
    """
    if type(x) not in TENSORS or type(y) not in TENSORS:
        x, y = tensor(x), tensor(y)
    if door.state.autocast:
        x, y = narrow(x, y)
    if x.dtype != y.dtype:
        dtype = promote(x.dtype, y.dtype)
        x, y = (v if v.dtype == dtype else p.cast(v, dtype=dtype) for v in (x, y))
    if x.dtype.kind == "b":
        check_kind("matmul", x.dtype, "iufc")
    a, b = x.shape, y.shape
    if not a or not b or a[-1] != b[-2 if len(b) > 1 else -1]:
        raise ShapeError(f"matmul of {a} and {b}",
                         why="the last size of the first and the last but one of the second "
                             "must be equal",
                         instead="multiply() for scalars; reshape or transpose")  # fmt: skip
    if len(a) > 1 and len(b) > 1 and a[:-2] == b[:-2]:
        return p.matmul(x, y)
    if len(b) < 3 and (out := _in_one_step(x, y)) is not None:
        return door.noted(_ROWS, out, x, y)
    if len(a) == 1:
        x = p.reshape(x, shape=(1, *a))
    if len(b) == 1:
        y = p.reshape(y, shape=(*b, 1))
    if len(a) > 2 and len(b) < 3:  # one product, and one for each gradient, not one a batch
        rows = p.reshape(x, shape=(size_of(a[:-1]), a[-1]))
        return p.reshape(p.matmul(rows, y), shape=a[:-1] + b[1:])
    batch = broadcast(x.shape[:-2], y.shape[:-2], of="matmul")
    x, y = (v if v.shape[:-2] == batch else p.expand(v, shape=batch + v.shape[-2:]) for v in (x, y))
    out = p.matmul(x, y)
    if len(a) > 1 and len(b) > 1:
        return out
    rows = () if len(a) == 1 else (out.shape[-2],)
    columns = () if len(b) == 1 else (out.shape[-1],)
    return p.reshape(out, shape=(*batch, *rows, *columns))


def _in_one_step(x: Tensor, y: Tensor) -> Tensor | None:
    """`x` by a matrix or vector, in a mode that takes no notes of how; None elsewhere."""
    eager = door.computing(x, y) if compute_dtype(x.dtype) == x.dtype else None
    if eager is not None:  # the bits of a matrix of one row or column
        return eager.compute(np.matmul if len(x.shape) < 3 else _rows_times, (x, y))
    mapped = getattr(door.state.mode, "product", None)
    return None if mapped is None else mapped(matmul, x, y)


def _rows_times(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A batch of matrices by one matrix or vector: all rows at once."""
    rows = x.reshape(size_of(x.shape[:-1]), x.shape[-1])
    return np.matmul(rows, y).reshape(x.shape[:-1] + y.shape[1:])


def _rows_gradient(g: Tensor, out: Any, x: Tensor, y: Tensor) -> tuple[Any, Any]:
    def to_x() -> Tensor:
        if len(y.shape) > 1:
            return matmul(g, y.mT.conjugate())
        return multiply(p.reshape(g, shape=(*g.shape, 1)), y.conjugate())

    def to_y() -> Tensor:
        count = size_of(x.shape[:-1])
        rows = p.reshape(x, shape=(count, x.shape[-1]))
        return matmul(rows.mT.conjugate(), p.reshape(g, shape=(count, *y.shape[1:])))

    return to_x, to_y


def _rows_forward(tangents: tuple[Any, ...], out: Any, x: Tensor, y: Tensor) -> Tensor:
    to_x, to_y = tangents
    if to_x is None or to_y is None:
        return matmul(x, to_y) if to_x is None else matmul(to_x, y)
    return matmul(to_x, y) + matmul(x, to_y)


#: what the tape notes of a product by a matrix or vector that is made in one step
_ROWS = Op(
    "matmul", Kind.CONTRACTION, _MATMUL.rule, np.matmul,
    gradient=_rows_gradient, forward=needs_no_more(_rows_forward),
)  # fmt: skip


def vecdot(x: Tensor, y: Tensor, axis: int = -1) -> Tensor:
    """The sums of conj(x) * y along `axis` of tensors that broadcast on the other axes.

    Args:
        x, y: numbers.
        axis: of both; negative where they have not the same number of axes.

    Raises:
        ShapeError: the sizes of that axis differ.

    >>> import dualflow as df
    >>> df.vecdot(df.asarray([1.0, 2.0]), df.asarray([3.0, 4.0])).item()
    11.0
    """
    x, y = promoted("vecdot", x, y)
    if x.shape == y.shape:
        eager = door.unnoted(x, y)
        if eager is not None:
            return eager.compute(_vecdot_of_arrays, (x, y), normal_axis(axis, len(x.shape)))
    rank = builtins.max(x.ndim, y.ndim)
    at = normal_axis(axis, rank)
    sizes = [((1,) * (rank - v.ndim) + v.shape)[at] for v in (x, y)]
    if sizes[0] != sizes[1]:
        raise ShapeError(f"vecdot of {x.shape} and {y.shape} along axis {axis}",
                         why="the sizes of that axis must be equal")  # fmt: skip
    out = sum(multiply(conj(x), y), axis=at)
    return out if out.dtype == x.dtype else p.cast(out, dtype=x.dtype)


def _vecdot_of_arrays(x: np.ndarray, y: np.ndarray, axis: int) -> Any:
    products = np.multiply(x.conj() if x.dtype.kind == "c" else x, y, order="C")
    return np.add.reduce(products, axis, x.dtype)


def outer(x: Tensor, y: Tensor) -> Tensor:
    """The products of each element of `x` with each of `y`.

    Args:
        x: (n,) numbers.
        y: (m,) numbers.

    Returns:
        (n, m).

    Raises:
        ShapeError: other shapes.

    >>> import dualflow as df
    >>> df.linalg.outer(df.asarray([1.0, 2.0]), df.asarray([3.0, 4.0])).tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """
    x, y = promoted("outer", x, y)
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError(f"outer of {x.shape} and {y.shape}", why="it takes two vectors",
                         instead="kron(), or multiply() with new axes")  # fmt: skip
    eager = door.unnoted(x, y)
    if eager is not None:
        return eager.compute(np.multiply.outer, (x, y))
    return multiply(p.reshape(x, shape=(*x.shape, 1)), y)


def kron(x: Tensor, y: Tensor) -> Tensor:
    """The Kronecker product: blocks of `y`, each times an element of `x`.

    >>> import dualflow as df
    >>> df.linalg.kron(df.asarray([1.0, 10.0]), df.asarray([1.0, 2.0])).tolist()
    [1.0, 2.0, 10.0, 20.0]
    """
    x, y = promoted("kron", x, y)
    rank = builtins.max(x.ndim, y.ndim)
    a, b = ((1,) * (rank - v.ndim) + v.shape for v in (x, y))
    left = p.reshape(x, shape=tuple(n for size in a for n in (size, 1)))
    right = p.reshape(y, shape=tuple(n for size in b for n in (1, size)))
    return p.reshape(multiply(left, right), shape=tuple(n * m for n, m in zip(a, b, strict=True)))


def tensordot(x: Tensor, y: Tensor, axes: Any = 2) -> Tensor:
    """Sums of products over pairs of axes; left are the other axes of `x`, then those of `y`.

    Args:
        x, y: numbers.
        axes: how many of the last axes of `x` go with the first of `y`; or two lists, of the
            axes of `x` and of those of `y` that go with them.

    Raises:
        ShapeError: axes that do not exist, or of different sizes.

    >>> import dualflow as df
    >>> df.tensordot(df.ones((2, 3)), df.ones((3, 4)), axes=1).shape
    (2, 4)
    """
    x, y = promoted("tensordot", x, y)
    if isinstance(axes, Sequence):
        first, second = (tuple(v) if isinstance(v, Sequence) else (v,) for v in axes)
        return _tensordot_plan(x.shape, y.shape, first, second).of(x, y)
    count = as_integer(axes, "axes")
    if not 0 <= count <= len(x.shape) or count > len(y.shape):
        raise ShapeError(f"tensordot over {count} axes of {x.shape} and {y.shape}")
    first = range(len(x.shape) - count, len(x.shape))
    return _tensordot_plan(x.shape, y.shape, first, range(count)).of(x, y)


class Product(NamedTuple):
    """How two tensors are multiplied as matrices: their axes are put in order, then folded.

    Attributes:
        left, right: the order of the axes; None: as they are.
        rows, columns: the shapes of the matrices, (..., m, k) and (..., k, n); None: as they are.
        out: the shape of the result; None: that of the product.
    """

    left: tuple[int, ...] | None
    rows: Shape | None
    right: tuple[int, ...] | None
    columns: Shape | None
    out: Shape | None

    def of(self, x: Tensor, y: Tensor) -> Tensor:
        """The product of `x` and `y`."""
        left, rows, right, columns, shape = self
        x = x if left is None else p.permute(x, axes=left)
        x = x if rows is None else p.reshape(x, shape=rows)
        y = y if right is None else p.permute(y, axes=right)
        y = y if columns is None else p.reshape(y, shape=columns)
        out = door.run(_MATMUL, (x, y), {})
        return out if shape is None else p.reshape(out, shape=shape)


def product_plan(
    left: tuple[int, ...], right: tuple[int, ...], batch: Shape, rows: Shape, inner: Shape,
    columns: Shape,
) -> Product:  # fmt: skip
    """How to multiply where the axes of x, ordered by `left`, have the sizes batch + rows + inner,
    and those of y, ordered by `right`, batch + inner + columns."""
    m, k, n = size_of(rows), size_of(inner), size_of(columns)
    return Product(
        None if left == tuple(range(len(left))) else left,
        None if len(rows) == len(inner) == 1 else (*batch, m, k),
        None if right == tuple(range(len(right))) else right,
        None if len(inner) == len(columns) == 1 else (*batch, k, n),
        None if len(rows) == len(columns) == 1 else batch + rows + columns,
    )


@lru_cache(maxsize=512)
def _tensordot_plan(a: Shape, b: Shape, first: Sequence[int], second: Sequence[int]) -> Product:
    first, second = _paired_axes(first, second, len(a), len(b))
    if [a[i] for i in first] != [b[i] for i in second]:
        raise ShapeError(f"tensordot of {a} and {b} over axes {first} and {second}",
                         why="the sizes of axes that go together must be equal")  # fmt: skip
    left = [i for i in range(len(a)) if i not in first]
    right = [i for i in range(len(b)) if i not in second]
    rows, inner, columns = (
        tuple(shape[i] for i in axes) for shape, axes in ((a, left), (a, first), (b, right))
    )
    return product_plan((*left, *first), (*second, *right), (), rows, inner, columns)


def permuted(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """`x` itself, or its view with the axes in another order."""
    return x if axes == tuple(range(len(axes))) else p.permute(x, axes=axes)


def reshaped(x: Tensor, shape: Shape) -> Tensor:
    """`x` itself, or its elements in another shape."""
    return x if x.shape == shape else p.reshape(x, shape=shape)


def _paired_axes(
    first: Sequence[int], second: Sequence[int], x_rank: int, y_rank: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    found = (
        tuple(normal_axis(axis, x_rank) for axis in first),
        tuple(normal_axis(axis, y_rank) for axis in second),
    )
    if len(found[0]) != len(found[1]) or any(len(set(part)) != len(part) for part in found):
        raise ShapeError(f"tensordot over axes {found[0]} and {found[1]}",
                         instead="as many axes of one as of the other, each once")  # fmt: skip
    return found


def promoted(name: str, *operands: Any) -> list[Tensor]:
    """The operands as tensors of one dtype; DTypeError for booleans."""
    given = [x if type(x) in TENSORS else tensor(x) for x in operands]
    dtypes = [x.dtype for x in given]
    dtype = dtypes[0]
    same = dtypes.count(dtype) == len(dtypes)
    if not same:
        dtype = reduce(promote, dtypes)
    if dtype.kind == "b":
        check_kind(name, dtype, "iufc")
    return given if same else [x if x.dtype == dtype else p.cast(x, dtype=dtype) for x in given]


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices, in the order of multiplication that costs least.

    The first and the last may be vectors (a row, a column; that axis is dropped).

    Args:
        tensors: matrices (rows, columns), each with as many rows as the one before has columns.

    Raises:
        ShapeError: fewer than two, or shapes that do not fit.

    >>> import dualflow as df
    >>> df.linalg.multi_dot([df.ones((2, 9)), df.ones((9, 1)), df.ones((1, 9))]).shape
    (2, 9)
    """
    given = promoted("multi_dot", *tensors)
    if len(given) < 2:
        raise ShapeError(f"multi_dot of {len(given)} tensors", instead="at least two")
    for i, x in enumerate(given):
        if x.ndim != 2 and not (x.ndim == 1 and i in (0, len(given) - 1)):
            raise ShapeError(f"multi_dot of {', '.join(str(v.shape) for v in given)}",
                             why="all but the first and the last must be matrices")  # fmt: skip
    sizes = [1 if given[0].ndim == 1 else given[0].shape[0]]
    sizes += [1 if x.ndim == 1 and i else x.shape[-1] for i, x in enumerate(given)]
    cut = _cheapest_cuts(tuple(sizes))

    def product(low: int, high: int) -> Tensor:
        if high - low == 1:
            return given[low]
        middle = cut[low, high]
        return matmul(product(low, middle), product(middle, high))

    return product(0, len(given))


def _cheapest_cuts(sizes: tuple[int, ...]) -> dict[tuple[int, int], int]:
    """For each run of matrices, number low to high, where the last product splits it."""
    count = len(sizes) - 1
    cost: dict[tuple[int, int], int] = {(i, i + 1): 0 for i in range(count)}
    cut: dict[tuple[int, int], int] = {}
    for length in range(2, count + 1):
        for low in range(count - length + 1):
            high = low + length
            costs = {
                middle: cost[low, middle] + cost[middle, high]
                + sizes[low] * sizes[middle] * sizes[high]
                for middle in range(low + 1, high)
            }  # fmt: skip
            cut[low, high] = builtins.min(costs, key=costs.__getitem__)
            cost[low, high] = costs[cut[low, high]]
    return cut
