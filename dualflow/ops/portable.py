"""Ops by another array module than NumPy, which has NumPy's functions: CuPy.

Comes in: an op. Goes out: `function(xp, *arrays, **attributes)`, or None where the module has
nothing that gives NumPy's results; then a kernel or the host computes the op. Where NumPy's own
function is a ufunc the module's of that name serves; the others stand in the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from dualflow.ir.op import Op

from . import attending, portable_linalg
from .convolving_portable import convolve, correlate, spread
from .primitives.indexing import out_of_bounds
from .primitives.reduction import wide

Function = Callable[..., Any]
#: ufuncs whose results in other modules are others than NumPy's (division by zero, large shifts),
#: which check nothing, or which are undefined for booleans
OWN_WAYS = {"floor_divide", "remainder", "left_shift", "right_shift"}
#: of complex numbers the records say more than the module's function does
REAL = {"expm1", "tanh"}
#: of floats the module adds up in no order, and gives other bits each time
UNORDERED = {"scatter_add"}


@cache
def portable(op: Op, kind: str = "f") -> Function | None:
    """How another module computes `op` of operands of a dtype kind; None where it cannot."""
    if (kind == "c" and op.name in REAL) or (kind in "fc" and op.name in UNORDERED):
        return None
    found = TABLE.get(op.name)
    if found is None and isinstance(op.numpy, np.ufunc) and op.name not in OWN_WAYS:
        return _ufunc(op.numpy.__name__)
    return found


def _ufunc(name: str) -> Function:
    return lambda xp, *arrays: getattr(xp, name)(*arrays)


def _fold(name: str) -> Function:
    return lambda xp, x, *, axes: getattr(xp, name)(x, axis=axes) if axes else x.copy()


def _wide_fold(name: str) -> Function:
    def fold(xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        dtype = wide(x.dtype)
        return getattr(xp, name)(x, axis=axes, dtype=dtype) if axes else x.astype(dtype)

    return fold


def _place(name: str) -> Function:
    def find(xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
        sizes = (*(x.shape[axis] for axis in kept), math.prod(x.shape[axis] for axis in axes))
        moved = x.transpose(kept + axes).reshape(sizes)
        return getattr(xp, name)(moved, axis=-1).astype(np.int64, copy=False)

    return find


def _scan(name: str) -> Function:
    return lambda xp, x, *, axis: getattr(xp, name)(x, axis=axis, dtype=wide(x.dtype))


def _doubled(name: str) -> Function:
    """A scan by its ufunc: each element joined to that 1, 2, 4... before it."""

    def scan(xp: Any, x: Any, *, axis: int) -> Any:
        out, step = xp.moveaxis(x, axis, -1).copy(), 1
        while step < x.shape[axis]:
            joined = getattr(xp, name)(out[..., :-step], out[..., step:])
            out = xp.concatenate([out[..., :step], joined], axis=-1)
            step *= 2
        return xp.moveaxis(out, -1, axis)

    return scan


def _full(xp: Any, *, shape: tuple[int, ...], value: Any, dtype: np.dtype) -> Any:
    return xp.full(shape, value, dtype)


def _iota(xp: Any, *, shape: tuple[int, ...], axis: int, dtype: np.dtype) -> Any:
    along = xp.arange(shape[axis]).astype(dtype)
    return xp.broadcast_to(along.reshape([-1] + [1] * (len(shape) - axis - 1)), shape).copy()


def _bitcast(xp: Any, x: Any, *, dtype: np.dtype) -> Any:
    return xp.ascontiguousarray(x).reshape(-1).view(dtype).reshape(x.shape)


def _slices(starts: tuple, stops: tuple, steps: tuple) -> tuple[Any, ...]:
    parts = zip(starts, stops, steps, strict=True)
    return (*(slice(a, b if b >= 0 else None, c) for a, b, c in parts), ...)


def _slice_update(xp: Any, x: Any, value: Any, **part: tuple) -> Any:
    out = x.copy()
    out[_slices(**part)] = value
    return out


def _pad(xp: Any, x: Any, *, widths: tuple[tuple[int, int], ...], fill: Any) -> Any:
    sizes = list(zip(x.shape, widths, strict=True))
    out = xp.full(tuple(a + n + b for n, (a, b) in sizes), fill, x.dtype)
    out[(*(slice(a, a + n) for n, (a, _) in sizes), ...)] = x
    return out


# Indices are checked before they are used: a GPU's own indexing wraps or reads past the end.


def _checked(xp: Any, indices: Any, size: int, axis: int) -> Any:
    """Indices counted from the start; IndexingError if one is out of bounds."""
    indices = indices.astype(np.int64, copy=False)
    if indices.size:
        low, high = int(indices.min()), int(indices.max())
        if low < -size or high >= size:
            raise out_of_bounds(low if low < -size else high, size, axis)
        if low < 0:
            return xp.where(indices < 0, indices + size, indices)
    return indices


def _take(xp: Any, x: Any, indices: Any, *, axis: int, known: str = "") -> Any:
    return xp.take(x, _checked(xp, indices, x.shape[axis], axis), axis=axis)


def _places(xp: Any, indices: Any, size: int, axis: int) -> tuple[Any, ...]:
    checked = _checked(xp, indices, size, axis)
    rank = indices.ndim
    return tuple(
        checked if i == axis else xp.arange(n).reshape((n,) + (1,) * (rank - i - 1))
        for i, n in enumerate(indices.shape)
    )


def _gather(xp: Any, x: Any, indices: Any, *, axis: int, known: str = "") -> Any:
    return x[_places(xp, indices, x.shape[axis], axis)]


#: what a GPU adds to memory in one go; of other dtypes, the one that is added in their place:
#: whole numbers wrap alike in every dtype of their size
ATOMIC = {np.dtype(name) for name in ("int32", "uint32", "uint64")}
INSTEAD = {"int64": "uint64", "bool": "int32", "int8": "int32", "int16": "int32",
           "uint8": "int32", "uint16": "int32"}  # fmt: skip


def _scatter_add(xp: Any, x: Any, indices: Any, values: Any, *, axis: int, known: str = "") -> Any:
    wide = x.dtype if x.dtype in ATOMIC else np.dtype(INSTEAD[x.dtype.name])
    out = x.astype(wide)
    xp.add.at(out, _places(xp, indices, x.shape[axis], axis), values.astype(wide))
    return out.astype(x.dtype, copy=False)


def _sorted(name: str) -> Function:
    return lambda xp, x, *, axis: getattr(xp, name)(x, axis=axis, kind="stable")


def _searchsorted(xp: Any, x: Any, v: Any, *, right: bool) -> Any:
    side = "right" if right else "left"
    if x.ndim == v.ndim == 1:
        return xp.searchsorted(x, v, side).astype(np.int64, copy=False)
    out = xp.empty(v.shape, np.int64)
    for place in np.ndindex(*x.shape[:-1]):
        out[place] = xp.searchsorted(x[place], v[place], side)
    return out


def _transform(name: str) -> Function:
    return lambda xp, x, *, axis, norm, n=None: getattr(xp.fft, name)(x, n, axis, norm)


TABLE: dict[str, Function] = {
    "full": _full, "iota": _iota,
    "where": lambda xp, c, x, y: xp.where(c, x, y),
    "cast": lambda xp, x, *, dtype: x.astype(dtype),
    "bitcast": _bitcast,
    "real": lambda xp, x: x.real.copy(), "imag": lambda xp, x: x.imag.copy(),
    "expm1": lambda xp, x: xp.expm1(x), "tanh": lambda xp, x: xp.tanh(x),
    "reshape": lambda xp, x, *, shape: x.reshape(shape),
    "permute": lambda xp, x, *, axes: x.transpose(axes),
    "expand": lambda xp, x, *, shape: xp.broadcast_to(x, shape),
    "slice": lambda xp, x, **part: x[_slices(**part)],
    "select": lambda xp, x, *, axis, index: x[(*(slice(None),) * axis, index, ...)],
    "slice_update": _slice_update, "pad": _pad,
    "concat": lambda xp, *xs, axis: xp.concatenate(xs, axis=axis),
    "take": _take, "gather": _gather, "scatter_add": _scatter_add,
    "sort": _sorted("sort"), "argsort": _sorted("argsort"), "searchsorted": _searchsorted,
    "sum": _wide_fold("sum"), "prod": _wide_fold("prod"),
    "max": _fold("max"), "min": _fold("min"), "any": _fold("any"), "all": _fold("all"),
    "argmax": _place("argmax"), "argmin": _place("argmin"),
    "cumsum": _scan("cumsum"), "cumprod": _scan("cumprod"),
    "cummax": _doubled("maximum"), "cummin": _doubled("minimum"),
    "logcumsumexp": _doubled("logaddexp"),
    "fft": _transform("fft"), "ifft": _transform("ifft"),
    "rfft": _transform("rfft"), "irfft": _transform("irfft"),
    "convolve": convolve, "spread": spread, "correlate": correlate,
    "attention": attending.attention, "attention_queries": attending.queries,
    "attention_keys": attending.keys,
}  # fmt: skip
TABLE |= portable_linalg.TABLE
