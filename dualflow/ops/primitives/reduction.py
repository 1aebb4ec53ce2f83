"""Records that fold axes (`axes`: a sorted tuple, removed from the shape) and running folds.

Identity: the value for no elements, by dtype; None where there is none (max of nothing).
"""

from __future__ import annotations

import math

import numpy as np

from dualflow.base.dtypes import int64, is_float, is_inexact, uint64
from dualflow.base.errors import ShapeError
from dualflow.base.shapes import Shape, reduced
from dualflow.base.source import called
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from .. import domains
from ..record import Strict, linear, primitive
from ..rules import check_axes, check_axis, check_kind, ordered
from .creation import iota
from .elementwise import ALL, where
from .movement import expand

Axes = tuple[int, ...]


def wide(dtype: np.dtype) -> np.dtype:
    """The dtype of a sum of `dtype`: 64 bits for integers and booleans."""
    return dtype if is_inexact(dtype) else uint64 if dtype.kind == "u" else int64


def _reduction_rule(name: str, accepts: str, dtype_of, empty: bool):
    def rule(x: TensorType, *, axes: Axes) -> TensorType:
        check_axes(name, axes, len(x.shape))
        check_kind(name, x.dtype, accepts)
        if not empty and math.prod(x.shape[axis] for axis in axes) == 0:
            raise ShapeError(f"{called(name)} of {x.shape} over axes {axes}",
                             why=f"there is no {name} of no elements")  # fmt: skip
        return TensorType(reduced(x.shape, axes, False), dtype_of(x.dtype))

    return rule


def _reduction(name, numpy, doc, accepts="biuf", dtype_of=None, empty=True, **parts) -> Strict:
    rule = _reduction_rule(name, accepts, dtype_of or (lambda dtype: dtype), empty)
    return primitive(name, Kind.REDUCTION, rule, numpy, doc=doc, **parts)


def spread(reduced_value, shape: Shape, axes: Axes):
    """A value of the reduced shape, repeated along `axes` to `shape`."""
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return expand(reduced_value.reshape(kept), shape=shape)


def _sum(x: np.ndarray, *, axes: Axes) -> np.ndarray:
    return np.add.reduce(x, axis=axes)


def _prod(x: np.ndarray, *, axes: Axes) -> np.ndarray:
    return np.multiply.reduce(x, axis=axes)


def _max(x: np.ndarray, *, axes: Axes) -> np.ndarray:
    return np.maximum.reduce(ordered(x), axis=axes)


def _min(x: np.ndarray, *, axes: Axes) -> np.ndarray:
    return np.minimum.reduce(ordered(x), axis=axes)


def _any(x: np.ndarray, *, axes: Axes) -> np.ndarray:
    return np.logical_or.reduce(x, axis=axes)


def _all(x: np.ndarray, *, axes: Axes) -> np.ndarray:
    return np.logical_and.reduce(x, axis=axes)


def _others(x, axes):
    """Products of the others: those before times those after, so zeros need no division."""
    kept = tuple(axis for axis in range(len(x.shape)) if axis not in axes)
    order = kept + axes
    moved = x.permute(order)
    flat = moved.reshape((*(x.shape[axis] for axis in kept), -1))
    others = _exclusive(flat) * _exclusive(flat.flip(-1)).flip(-1)
    back = tuple(order.index(axis) for axis in range(len(order)))
    return others.reshape(moved.shape).permute(back)


def _prod_gradient(g, out, x, axes):
    return (_others(x, axes).conjugate() * spread(g, x.shape, axes),)


def _exclusive(x):
    """Running products along the last axis, each without its own element."""
    rank = len(x.shape)
    padded = x.pad(((0, 0),) * (rank - 1) + ((1, 0),), 1.0)
    return cumprod(padded[..., :-1], axis=rank - 1)


def _extreme_gradient(g, out, x, axes):
    """Equal extremes share the gradient evenly."""
    chosen = x == spread(out, x.shape, axes)
    count = chosen.astype(g.dtype).sum(axis=axes)
    return (where.of(chosen, spread(g / count, x.shape, axes), 0.0),)


def _extreme_forward(tangents, out, x, axes):
    """The mean over equal extremes."""
    chosen = x == spread(out, x.shape, axes)
    count = chosen.astype(x.dtype).sum(axis=axes)
    return where.of(chosen, tangents[0], 0.0).sum(axis=axes) / count


def _lowest(dtype: np.dtype):
    return _limits(dtype)[0]


def _highest(dtype: np.dtype):
    return _limits(dtype)[1]


def _limits(dtype: np.dtype):
    if dtype.kind == "b":
        return False, True
    if is_float(dtype):
        return -math.inf, math.inf
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


sum = _reduction(
    "sum", _sum, "the sum; of integers and booleans in 64 bits", accepts=ALL,
    dtype_of=wide, identity=lambda dtype: dtype.type(0).item(), combine="add",
    gradient=lambda g, out, x, axes: (spread(g, x.shape, axes),),
    forward=linear(lambda tangents, out, x, axes: sum(tangents[0], axes=axes)),
    spelling={"numba": {"biufc": "{0} + {1}"}, "triton": {"biufc": "{0} + {1}"}}, exact=False,
)  # fmt: skip
prod = _reduction(
    "prod", _prod, "the product; of integers and booleans in 64 bits", accepts=ALL,
    dtype_of=wide, identity=lambda dtype: dtype.type(1).item(), combine="multiply",
    gradient=_prod_gradient,
    forward=lambda tangents, out, x, axes: sum(_others(x, axes) * tangents[0], axes=axes),
    spelling={"numba": "{0} * {1}", "triton": "{0} * {1}"}, exact=False,
    domain=domains.Domain(((0.5, 1.5),), ((-3, 3),)),
)  # fmt: skip
max = _reduction(
    "max", _max, "the largest; NaN if any is; equals share the gradient",
    empty=False, identity=_lowest, combine="maximum",
    gradient=_extreme_gradient, forward=_extreme_forward,
    spelling={"numba": {"b": "{0} | {1}", "iuf": "maximum({0}, {1})"},
              "triton": {"b": "{0} | {1}",
                         "iuf": "tl.maximum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)"}},
)  # fmt: skip
min = _reduction(
    "min", _min, "the smallest; NaN if any is; equals share the gradient",
    empty=False, identity=_highest, combine="minimum",
    gradient=_extreme_gradient, forward=_extreme_forward,
    spelling={"numba": {"b": "{0} & {1}", "iuf": "minimum({0}, {1})"},
              "triton": {"b": "{0} & {1}",
                         "iuf": "tl.minimum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)"}},
)  # fmt: skip
any = _reduction(
    "any", _any, "whether any is true", accepts="b", identity=lambda dtype: False,
    combine="logical_or",
    no_gradient="the result is boolean",
    spelling={"numba": "{0} | {1}", "triton": "{0} | {1}"},
)  # fmt: skip
all = _reduction(
    "all", _all, "whether all are true", accepts="b", identity=lambda dtype: True,
    combine="logical_and",
    no_gradient="the result is boolean",
    spelling={"numba": "{0} & {1}", "triton": "{0} & {1}"},
)  # fmt: skip


def _position(numpy):
    def find(x: np.ndarray, *, axes: Axes) -> np.ndarray:
        if len(axes) == 1:
            return numpy(ordered(x), axis=axes[0])
        kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
        shape = (*(x.shape[axis] for axis in kept), math.prod(x.shape[axis] for axis in axes))
        return numpy(ordered(x).transpose(kept + axes).reshape(shape), axis=-1)

    return find


argmax = _reduction(
    "argmax", _position(np.argmax),
    "the position (row by row over axes) of the first largest, or of the first NaN",
    dtype_of=lambda dtype: int64, empty=False, no_gradient="the result is a position",
    spelling={"numba": "better_high({0}, {1})", "triton": "argmax"}, position_of="max",
    domain=domains.FEW_VALUES,
)  # fmt: skip
argmin = _reduction(
    "argmin", _position(np.argmin),
    "the position (row by row over axes) of the first smallest, or of the first NaN",
    dtype_of=lambda dtype: int64, empty=False, no_gradient="the result is a position",
    spelling={"numba": "better_low({0}, {1})", "triton": "argmin"}, position_of="min",
    domain=domains.FEW_VALUES,
)  # fmt: skip


def _scan_rule(name: str):
    def rule(x: TensorType, *, axis: int) -> TensorType:
        check_axis(name, axis, len(x.shape))
        check_kind(name, x.dtype, ALL)
        return TensorType(x.shape, wide(x.dtype))

    return rule


def _cumprod_parts(moved):
    """Along the last axis: products before i, and [..., i, j] those after i up to j >= i. So the
    product of both is out[j] / x[i], with no division, which zeros would harm."""
    n, last = moved.shape[-1], len(moved.shape)
    rows = expand(moved.reshape((*moved.shape[:-1], 1, n)), shape=(*moved.shape[:-1], n, n))
    i, j = iota(shape=(n, n), axis=0, dtype=int64), iota(shape=(n, n), axis=1, dtype=int64)
    after = cumprod(where.of(j > i, rows, 1.0), axis=last)
    return _exclusive(moved), where.of(j >= i, after, 0.0)


def _cumprod_gradient(g, out, x, axis):
    last = len(x.shape) - 1
    before, after = _cumprod_parts(move_axis(x, axis, last))
    g = move_axis(g, axis, last)
    triangle = after.conjugate() * g.reshape((*g.shape[:-1], 1, g.shape[-1]))
    return (move_axis(triangle.sum(axis=(last + 1,)) * before.conjugate(), last, axis),)


def _cumprod_forward(tangents, out, x, axis):
    last = len(x.shape) - 1
    before, after = _cumprod_parts(move_axis(x, axis, last))
    t = before * move_axis(tangents[0], axis, last)
    return move_axis((after * t.reshape((*t.shape, 1))).sum(axis=(last,)), last, axis)


def move_axis(x, source: int, target: int):
    """`x` with axis `source` at `target`, the others in their order."""
    order = [axis for axis in range(len(x.shape)) if axis != source]
    order.insert(target, source)
    return x.permute(tuple(order))


def _cumsum(x: np.ndarray, *, axis: int) -> np.ndarray:
    return np.add.accumulate(x, axis=axis, dtype=wide(x.dtype))


def _cumprod(x: np.ndarray, *, axis: int) -> np.ndarray:
    return np.multiply.accumulate(x, axis=axis, dtype=wide(x.dtype))


cumsum = primitive(
    "cumsum", Kind.SCAN, _scan_rule("cumsum"), _cumsum,
    doc="running sums along an axis, in order",
    identity=lambda dtype: dtype.type(0).item(), combine="add",
    gradient=lambda g, out, x, axis: (cumsum(g.flip(axis), axis=axis).flip(axis),),
    forward=linear(lambda tangents, out, x, axis: cumsum(tangents[0], axis=axis)),
    spelling={"numba": "{0} + {1}",
              "triton": {"iuf": "{0} + {1}", "c": "c_add({0}, {1})"}},
)  # fmt: skip
cumprod = primitive(
    "cumprod", Kind.SCAN, _scan_rule("cumprod"), _cumprod,
    doc="running products along an axis, in order",
    identity=lambda dtype: dtype.type(1).item(), combine="multiply", gradient=_cumprod_gradient,
    forward=_cumprod_forward,
    spelling={"numba": "{0} * {1}", "triton": {"iuf": "{0} * {1}", "c": "c_multiply({0}, {1})"}},
    domain=domains.Domain(((0.5, 1.5),), ((-3, 3),)),
)  # fmt: skip
