"""How memory lies: NumPy keeps the order of axes of transposed operands, and so does a face.

Comes in: tensors. Goes out: the order of axes in which NumPy lays a result out. An operation then
runs on operands permuted to that order, whose results are packed row by row in every mode, and
its result is permuted back: what a face shows has NumPy's own strides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from dualflow.base.shapes import contiguous_strides
from dualflow.ops import primitives as p

Tensor = Any
Order = tuple[int, ...]
Strides = tuple[int, ...]


def packed(x: Tensor) -> bool:
    """Whether the elements of `x` lie row by row, without gaps."""
    array = x._array
    if array is not None:
        return array.flags.c_contiguous
    form = x._pending.form
    return form is None or form.view.is_contiguous


def strides(x: Tensor) -> Strides:
    """The strides of `x` in bytes."""
    array = x._array
    if array is not None:
        return array.strides
    form, size = x._pending.form, x.dtype.itemsize
    steps = contiguous_strides(x.shape) if form is None else form.view.strides
    return tuple(step * size for step in steps)


def order_of(operands: Sequence[Tensor]) -> Order | None:
    """The axes of an elementwise result of tensors from the slowest to the fastest; None where
    they are in their order."""
    for x in operands:
        if not packed(x):
            return _order(tuple((x.shape, strides(x)) for x in operands))
    return None


@lru_cache(maxsize=4096)
def _order(operands: tuple[tuple[tuple[int, ...], Strides], ...]) -> Order | None:
    """What NumPy's own iterator makes of such operands, which it never reads."""
    cell = np.zeros((), np.int8)
    given = [as_strided(cell, shape, steps) for shape, steps in operands]
    made = np.nditer(
        [*given, None],
        flags=["zerosize_ok", "multi_index"],
        op_flags=[["readonly"]] * len(given) + [["writeonly", "allocate"]],  # type: ignore[arg-type]
        order="K",
    ).operands[-1]
    return falling(made.strides, made.shape)


def falling(steps: Strides, shape: tuple[int, ...]) -> Order | None:
    """The axes by falling strides; None where they are in that order already."""
    wide = [axis for axis in range(len(shape)) if shape[axis] != 1]
    sizes = [abs(steps[axis]) for axis in wide]
    if sizes == sorted(sizes, reverse=True):
        return None
    ranked = iter(sorted(wide, key=lambda axis: -abs(steps[axis])))
    return tuple(next(ranked) if size != 1 else axis for axis, size in enumerate(shape))


def inverse(order: Order) -> Order:
    """The permutation that undoes `order`."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def permuted(x: Tensor, order: Order) -> Tensor:
    """`x` (or something that broadcasts to as many axes as `order` has) in that order of axes."""
    rank, shape = len(order), x.shape
    if not shape:
        return x
    if len(shape) < rank:
        x = p.reshape(x, shape=(1,) * (rank - len(shape)) + shape)
    return p.permute(x, axes=order)


def laid(
    function: Callable[..., Tensor], operands: Sequence[Any], tensors: Sequence[Tensor]
) -> Any:
    """`function(*operands)`, elementwise, in NumPy's layout; `tensors` are those among operands."""
    order = order_of(tensors)
    if order is None:
        return function(*operands)
    back = inverse(order)
    made = function(*[permuted(x, order) if hasattr(x, "shape") else x for x in operands])
    if type(made) is tuple:
        return tuple(p.permute(out, axes=back) for out in made)
    return p.permute(made, axes=back)


def copied(x: Tensor, order: str = "C") -> Tensor:
    """A copy of `x` in the order "C", "F", "A" or "K", as NumPy's copy makes it."""
    rank = len(x.shape)
    axes: Order | None = None
    if order == "F" or (order == "A" and fortran(x)):
        axes = tuple(reversed(range(rank)))
    elif order == "K":
        axes = None if packed(x) else falling(strides(x), x.shape)
    if axes is None or rank < 2:
        return p.cast(x, dtype=x.dtype)
    return p.permute(p.cast(p.permute(x, axes=axes), dtype=x.dtype), axes=inverse(axes))


def small(x: Tensor) -> np.ndarray:
    """An array of few elements whose axes lie in the order of those of `x`."""
    shape = tuple(min(size, 2) for size in x.shape)
    order = falling(strides(x), x.shape)
    if order is None:
        return np.zeros(shape, np.int8)
    return np.zeros([shape[axis] for axis in order], np.int8).transpose(inverse(order))


def cast(x: Tensor, dtype: np.dtype) -> Tensor:
    """`x` in another dtype, in the same order of axes."""
    return laid(lambda v: p.cast(v, dtype=dtype), (x,), (x,))


def fortran(x: Tensor) -> bool:
    """Whether the elements of `x` lie column by column without gaps, and not also row by row."""
    if packed(x):
        return False
    shape, steps, step = x.shape, strides(x), x.dtype.itemsize
    for size, stride in zip(shape, steps, strict=True):
        if size != 1 and stride != step:
            return False
        step *= size
    return True
