"""What each op should give, computed another way than the records do; and samples of attributes.

Elementwise references work in long double or on Python numbers; the others index element by
element. `SAMPLES` says with which shapes and attributes ops that are not elementwise are called.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import references_attention
import references_convolution
import references_linalg
from references_elementwise import (
    ELEMENTWISE,
    Array,
    Wide,
    precise,
)

from dualflow.base.dtypes import is_float, limits, python_type
from dualflow.ir.graph import GraphBuilder
from dualflow.ir.op import CATALOGUE
from dualflow.ir.types import TensorType
from dualflow.ops import primitives as p


def _default_arrays(rng, shapes, dtype, attributes, draw, domain):
    return [draw(rng, shape, dtype, domain, i) for i, shape in enumerate(shapes)]


def _searchsorted(x: Array, v: Array, *, right: bool) -> Array:
    """By counting; NaN is larger than all."""
    out = np.empty(v.shape, np.int64)
    for place in np.ndindex(*v.shape):
        value, row = v[place].item(), x[place[:-1]].tolist()
        out[place] = sum(_before(a, value) or (right and not _before(value, a)) for a in row)
    return out


def _before(a: Any, b: Any) -> bool:
    return a == a if b != b else a < b


def _sorted_arrays(rng, shapes, dtype, attributes, draw, domain):
    first, second = _default_arrays(rng, shapes, dtype, attributes, draw, domain)
    return [_sorted(first, axis=-1), second]


def _indexed_arrays(rng, shapes, dtype, attributes, draw, domain):
    x = draw(rng, shapes[0], dtype, domain, 0)
    size = shapes[0][attributes["axis"]]
    indices = rng.integers(-size, max(size, 1), shapes[1])
    return [x, indices, *(draw(rng, shape, dtype, domain, 2) for shape in shapes[2:])]


@dataclass(frozen=True)
class Sample:
    """How an op that is not elementwise is called.

    Attributes:
        calls: (shapes of the operands, attributes), several times.
        accepts: kinds of dtypes of the operands.
        bound: (arrays, attributes, dtype) -> how far the result may be off; None: the usual ulps.
        layouts: which operands come in other layouts, too.
        arrays: makes the operands.
    """

    calls: list[tuple[tuple[tuple[int, ...], ...], dict[str, Any]]]
    accepts: str = "biuf"
    bound: Callable[..., Any] | None = None
    layouts: tuple[int, ...] = (0,)
    arrays: Callable[..., list[Array]] = _default_arrays
    typed: str = ""  # the attribute that takes the dtype
    valued: str = ""  # the attribute that is a value of the dtype
    refused: tuple[str, ...] = ()  # names of dtypes of those kinds that it does not take

    def attributes(self, given: dict[str, Any], dtype: np.dtype) -> dict[str, Any]:
        made = dict(given)
        if self.typed:
            made[self.typed] = dtype
        if self.valued:
            made[self.valued] = python_type(dtype)(given[self.valued])
        return made


def _folded(function: Callable[[list[Any]], Any]) -> Callable[..., Array]:
    """A reduction, computed from the list of elements in row-major order."""

    def apply(x: Array, *, axes: tuple[int, ...]) -> Array:
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        shape = tuple(x.shape[axis] for axis in kept)
        out = np.empty(shape, object)
        for place in np.ndindex(*shape):
            index: list[Any] = [slice(None)] * x.ndim
            for axis, at in zip(kept, place, strict=True):
                index[axis] = at
            part = x[tuple(index)]
            values = part.astype(Wide) if x.dtype.kind == "f" else part.astype(object)
            out[place] = function(list(np.asarray(values).reshape(-1)))
        return out.astype(Wide if x.dtype.kind == "f" else object)

    return apply


def _typed(function: Callable[..., Array], name: str) -> Callable[..., Array]:
    """Python results brought to the dtype that the rule gives, wrapped if they are too large."""

    def apply(*arrays: Array, **attributes: Any) -> Array:
        types = tuple(TensorType(a.shape, a.dtype) for a in arrays)
        (type_,) = CATALOGUE[name].infer(types, attributes)
        found = function(*arrays, **attributes)
        if is_float(type_.dtype):
            return found
        if type_.dtype.kind == "b":
            return found.astype(bool)
        out = np.empty(found.shape, type_.dtype)
        for place in np.ndindex(*found.shape):
            value = int(found[place]) & 0xFFFFFFFFFFFFFFFF
            out[place] = value - (1 << 64) if type_.dtype.kind == "i" and value >> 63 else value
        return out

    return apply


def _largest(values: list[Any]) -> Any:
    return next((v for v in values if v != v), None) if any(v != v for v in values) else max(values)


def _smallest(values: list[Any]) -> Any:
    return next((v for v in values if v != v), None) if any(v != v for v in values) else min(values)


def _position(values: list[Any], best: Callable[..., Any]) -> int:
    for i, value in enumerate(values):
        if value != value:
            return i
    return values.index(best(values))


def _running(function: Callable[[Any, Any], Any]) -> Callable[..., Array]:
    """A running fold along an axis; floats are rounded to the dtype at each step."""

    def apply(x: Array, *, axis: int) -> Array:
        moved = np.moveaxis(x, axis, -1)
        out = np.empty(moved.shape, x.dtype if is_float(x.dtype) else object)
        for place in np.ndindex(*moved.shape[:-1]):
            total = None
            for i in range(moved.shape[-1]):
                value = moved[place][i] if is_float(x.dtype) else int(moved[place][i])
                total = value if total is None else function(total, value)
                out[(*place, i)] = total
        return np.moveaxis(out, -1, axis)

    return apply


def _sum_bound(arrays: tuple[Array, ...], attributes: dict[str, Any], dtype: np.dtype) -> Any:
    """Pairwise summation: log2(n) roundings of the sum of absolute values, and two to spare."""
    x = arrays[0].astype(Wide)
    axes = attributes["axes"]
    count = math.prod(x.shape[axis] for axis in axes)
    total = np.sum(np.abs(np.where(np.isfinite(x), x, 0)), axis=axes)
    steps = max(min(count, 8) + math.log2(max(count, 1)), 2)
    return steps * float(limits(dtype).eps) * total


def _prod_bound(arrays: tuple[Array, ...], attributes: dict[str, Any], dtype: np.dtype) -> Any:
    x = arrays[0].astype(Wide)
    axes = attributes["axes"]
    count = math.prod(x.shape[axis] for axis in axes)
    return count * float(limits(dtype).eps) * np.abs(np.prod(x, axis=axes)) + 1e-30


def _matmul_bound(arrays: tuple[Array, ...], attributes: Any, dtype: np.dtype) -> Any:
    x, y = (np.where(np.isfinite(a), np.abs(a.astype(Wide)), 0) for a in arrays)
    return (x.shape[-1] + 2) * float(limits(dtype).eps) * np.matmul(x, y)


def _matmul(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.einsum("...ij,...jk->...ik", x.astype(Wide), y.astype(Wide))
    out = np.zeros((*x.shape[:-1], y.shape[-1]), x.dtype)
    for k in range(x.shape[-1]):
        out += x[..., :, k, None] * y[..., None, k, :]
    return out


def _slice(x: Array, *, starts: Any, stops: Any, steps: Any) -> Array:
    for axis, part in enumerate(zip(starts, stops, steps, strict=True)):
        x = np.take(x, list(range(*part)), axis=axis)
    return x


def _slice_update(x: Array, value: Array, *, starts: Any, stops: Any, steps: Any) -> Array:
    out = np.array(x)
    ranges = [range(*part) for part in zip(starts, stops, steps, strict=True)]
    for place in np.ndindex(*value.shape):
        out[tuple(r[i] for r, i in zip(ranges, place, strict=True))] = value[place]
    return out


def _take(x: Array, indices: Array, *, axis: int) -> Array:
    parts = [np.moveaxis(x, axis, 0)[int(i)] for i in indices.reshape(-1)]
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    joined = np.array(parts, x.dtype).reshape((*indices.shape, *rest))
    front = range(indices.ndim)
    return np.moveaxis(joined, list(front), [axis + i for i in front])


def _scatter(store: Callable[[Any, Any], Any]) -> Callable[..., Array]:
    def apply(x: Array, indices: Array, values: Array, *, axis: int) -> Array:
        out = np.array(x)
        for place in np.ndindex(*indices.shape):
            at = (*place[:axis], int(indices[place]), *place[axis + 1 :])
            out[at] = store(out[at], values[place])
        return out

    return apply


def _gather(x: Array, indices: Array, *, axis: int) -> Array:
    out = np.empty(indices.shape, x.dtype)
    for place in np.ndindex(*indices.shape):
        out[place] = x[(*place[:axis], int(indices[place]), *place[axis + 1 :])]
    return out


def _philox(state: Array, *, shape: tuple[int, ...]) -> Array:
    """Philox4x32-10 on Python integers."""
    low = 0xFFFFFFFF
    out = np.empty(math.prod(shape), np.uint32)
    for i in range(out.size):
        counter = [i & low, i >> 32, int(state[1]) & low, int(state[1]) >> 32]
        key = [int(state[0]) & low, int(state[0]) >> 32]
        for _ in range(10):
            first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
            counter = [
                (second >> 32) ^ counter[1] ^ key[0], second & low,
                (first >> 32) ^ counter[3] ^ key[1], first & low,
            ]  # fmt: skip
            key = [(key[0] + 0x9E3779B9) & low, (key[1] + 0xBB67AE85) & low]
        out[i] = counter[0]
    return out.reshape(shape)


def _sort_key(value: Any) -> tuple[bool, Any]:
    return (value != value, 0 if value != value else value)


def _sorted(x: Array, *, axis: int) -> Array:
    if not x.size:
        return x
    return np.apply_along_axis(lambda row: np.array(sorted(row, key=_sort_key), x.dtype), axis, x)


def _order(x: Array, *, axis: int) -> Array:
    def places(row: Array) -> Array:
        return np.array(sorted(range(len(row)), key=lambda i: _sort_key(row[i])), np.int64)

    if not x.size:
        return np.empty(x.shape, np.int64)
    return np.apply_along_axis(places, axis, x)


REFERENCES: dict[str, Callable[..., Any]] = ELEMENTWISE | {
    "reshape": lambda x, *, shape: np.array(list(x.flat), x.dtype).reshape(shape),
    "permute": lambda x, *, axes: np.einsum(x, list(range(x.ndim)), list(axes)),
    "expand": lambda x, *, shape: x + np.zeros(shape, x.dtype) if x.dtype.kind in "biuc"
    else np.where(np.ones(shape, bool), x, x),
    "slice": _slice,
    "select": lambda x, *, axis, index: np.take(x, index, axis=axis),
    "slice_update": _slice_update,
    "pad": lambda x, *, widths, fill: np.pad(x, widths, constant_values=fill) if x.ndim else x,
    "concat": lambda *xs, axis: np.moveaxis(
        np.array([part for x in xs for part in np.moveaxis(x, axis, 0)], xs[0].dtype), 0, axis),
    "sum": _typed(_folded(lambda values: sum(values[1:], values[0]) if values else 0), "sum"),
    "prod": _typed(_folded(math.prod), "prod"),
    "max": _typed(_folded(_largest), "max"),
    "min": _typed(_folded(_smallest), "min"),
    "any": _typed(_folded(any), "any"),
    "all": _typed(_folded(all), "all"),
    "argmax": lambda x, *, axes: _folded(lambda v: _position(v, max))(x, axes=axes).astype(int),
    "argmin": lambda x, *, axes: _folded(lambda v: _position(v, min))(x, axes=axes).astype(int),
    "cumsum": _typed(_running(lambda a, b: a + b), "cumsum"),
    "cumprod": _typed(_running(lambda a, b: a * b), "cumprod"),
    "cummax": _running(lambda a, b: _largest([a, b])),
    "cummin": _running(lambda a, b: _smallest([a, b])),
    "logcumsumexp": _running(ELEMENTWISE["logaddexp"]),
    "matmul": _matmul,
    "take": _take,
    "gather": _gather,
    "scatter_add": _scatter(lambda old, new: old | new if old.dtype == bool else old + new),
    "put": _scatter(lambda old, new: new),
    "full": lambda *, shape, value, dtype: np.array([value] * math.prod(shape), dtype)
    .reshape(shape),
    "iota": lambda *, shape, axis, dtype: np.array(
        [place[axis] for place in itertools.product(*map(range, shape))], dtype).reshape(shape),
    "random_bits": _philox,
    "sort": _sorted,
    "argsort": _order,
    "searchsorted": _searchsorted,
    "loop": lambda x, y, *, body, count, carried: (x + count * y,),
    "branch": lambda c, x, y, *, true, false: (x + y if c else x * y,),
}  # fmt: skip

_MATRIX = ((3, 4),)
_REDUCED = [
    (((3, 4),), {"axes": (1,)}),
    (((3, 4),), {"axes": (0,)}),
    (((2, 3, 4),), {"axes": (0, 2)}),
    (((2, 3, 4),), {"axes": (0, 1, 2)}),
    (((2, 3, 4),), {"axes": (1,)}),
    (((40, 3),), {"axes": (0,)}),
    (((3, 700),), {"axes": (1,)}),
    (((),), {"axes": ()}),
    (((0, 3),), {"axes": (1,)}),
]
_EMPTY = [(((0, 3),), {"axes": (0,)}), (((3, 0),), {"axes": (0, 1)})]
_ALONG = [
    (((3, 4), (2, 4)), {"axis": 0}),
    (((3, 4), (3, 6)), {"axis": 1}),
    (((5,), (0,)), {"axis": 0}),
]
_SCATTERED = [((*shapes, shapes[1]), attributes) for shapes, attributes in _ALONG]


def _body(second: Any) -> Any:
    """A graph of a step, x and y that gives x `second` y."""
    builder = GraphBuilder()
    step = builder.input(TensorType((), np.dtype("int64")))
    x, y = (builder.input(TensorType((3,), np.dtype("float64"))) for _ in range(2))
    assert step
    return builder.build(builder.add(second.op, [x, y]).results)


def _either(op: Any) -> Any:
    builder = GraphBuilder()
    x, y = (builder.input(TensorType((3,), np.dtype("float64"))) for _ in range(2))
    return builder.build(builder.add(op.op, [x, y]).results)


def _loop_arrays(rng, shapes, dtype, attributes, draw, domain):
    return [np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.25, 2.0])]


def _branch_arrays(rng, shapes, dtype, attributes, draw, domain):
    return [np.array(shapes == ()), *_loop_arrays(rng, shapes, dtype, attributes, draw, domain)]


def _state(rng, shapes, dtype, attributes, draw, domain):
    return [rng.integers(0, 2**63, 2).astype(np.uint64) * np.uint64(2) + np.uint64(1)]


SAMPLES: dict[str, Sample] = {
    "reshape": Sample([(_MATRIX, {"shape": (2, 6)}), (_MATRIX, {"shape": (12,)}),
                       (((0, 3),), {"shape": (3, 0, 2)}), (((1,),), {"shape": ()}),
                       (((2, 3, 4),), {"shape": (6, 1, 4)})]),
    "permute": Sample([(_MATRIX, {"axes": (1, 0)}), (((2, 3, 4),), {"axes": (2, 0, 1)}),
                       (((),), {"axes": ()})]),
    "expand": Sample([(((3, 1),), {"shape": (3, 4)}), (((4,),), {"shape": (2, 3, 4)}),
                      (((),), {"shape": (2, 2)}), (((1, 3),), {"shape": (0, 3)})]),
    "slice": Sample([
        (_MATRIX, {"starts": (0, 1), "stops": (3, 4), "steps": (2, 1)}),
        (_MATRIX, {"starts": (2, 3), "stops": (-1, 0), "steps": (-1, -2)}),
        (_MATRIX, {"starts": (1, 4), "stops": (2, 4), "steps": (1, 1)}),
        (((6,),), {"starts": (5,), "stops": (-1,), "steps": (-3,)}),
        (((),), {"starts": (), "stops": (), "steps": ()})]),
    "select": Sample([(_MATRIX, {"axis": 0, "index": 2}), (_MATRIX, {"axis": 1, "index": 0}),
                      (((3,),), {"axis": 0, "index": 1})]),
    "slice_update": Sample([
        (((3, 4), (2, 3)), {"starts": (0, 1), "stops": (3, 4), "steps": (2, 1)}),
        (((3, 4), (3, 2)), {"starts": (2, 3), "stops": (-1, 0), "steps": (-1, -2)}),
        (((4,), (0,)), {"starts": (1,), "stops": (1,), "steps": (1,)})], layouts=(0, 1)),
    "pad": Sample([(_MATRIX, {"widths": ((1, 0), (2, 3)), "fill": 1}),
                   (((0,),), {"widths": ((2, 1),), "fill": 0}), (((),), {"widths": (), "fill": 0})],
                  valued="fill"),
    "concat": Sample([(((3, 4), (2, 4)), {"axis": 0}), (((3, 4), (3, 1), (3, 0)), {"axis": 1}),
                      (((2,),), {"axis": 0})], layouts=(0, 1)),
    "sum": Sample(_REDUCED + _EMPTY, bound=_sum_bound),
    "prod": Sample(_REDUCED + _EMPTY, bound=_prod_bound),
    "max": Sample(_REDUCED), "min": Sample(_REDUCED),
    "any": Sample(_REDUCED + _EMPTY, accepts="b"), "all": Sample(_REDUCED + _EMPTY, accepts="b"),
    "argmax": Sample(_REDUCED), "argmin": Sample(_REDUCED),
    "cumsum": Sample([(_MATRIX, {"axis": 1}), (_MATRIX, {"axis": 0}), (((0, 3),), {"axis": 0})]),
    "cumprod": Sample([(_MATRIX, {"axis": 1}), (_MATRIX, {"axis": 0}), (((0, 3),), {"axis": 0})]),
    "cummax": Sample([(_MATRIX, {"axis": 1}), (_MATRIX, {"axis": 0}), (((0, 3),), {"axis": 0})]),
    "cummin": Sample([(_MATRIX, {"axis": 1}), (_MATRIX, {"axis": 0}), (((0, 3),), {"axis": 0})]),
    "logcumsumexp": Sample([(_MATRIX, {"axis": 1}), (_MATRIX, {"axis": 0})], accepts="f"),
    "matmul": Sample([(((3, 4), (4, 2)), {}), (((2, 3, 4), (2, 4, 5)), {}), (((0, 4), (4, 2)), {}),
                      (((3, 0), (0, 2)), {}), (((1, 70), (70, 1)), {})],
                     accepts="iuf", bound=_matmul_bound, layouts=(0, 1)),
    "take": Sample([(((3, 4), (5,)), {"axis": 0}), (((3, 4), (2, 2)), {"axis": 1}),
                    (((4,), ()), {"axis": 0}), (((4,), (0,)), {"axis": 0})],
                   arrays=_indexed_arrays),
    "gather": Sample(_ALONG, arrays=_indexed_arrays, layouts=(0, 1)),
    "scatter_add": Sample(_SCATTERED, arrays=_indexed_arrays, layouts=(0, 2)),
    "put": Sample(_SCATTERED, arrays=_indexed_arrays, layouts=(0, 2)),
    "full": Sample([((), {"shape": (2, 3), "value": 1}), ((), {"shape": (), "value": 0}),
                    ((), {"shape": (0,), "value": 1})], typed="dtype", valued="value"),
    "iota": Sample([((), {"shape": (2, 3), "axis": 1}), ((), {"shape": (4,), "axis": 0}),
                    ((), {"shape": (2, 0), "axis": 0})], accepts="iuf", typed="dtype"),
    "random_bits": Sample([((), {"shape": (3, 4)}), ((), {"shape": ()}), ((), {"shape": (0,)})],
                          accepts="b", arrays=_state, layouts=()),
    "sort": Sample([(_MATRIX, {"axis": 1}), (_MATRIX, {"axis": 0}), (((0, 2),), {"axis": 1})]),
    "argsort": Sample([(_MATRIX, {"axis": 1}), (_MATRIX, {"axis": 0}), (((40,),), {"axis": 0})]),
    "searchsorted": Sample([(((7,), (5,)), {"right": False}), (((7,), (5,)), {"right": True}),
                            (((3, 4), (3, 6)), {"right": False}), (((0,), (2,)), {"right": True})],
                           layouts=(1,), arrays=_sorted_arrays),
    "loop": Sample([((), {"body": _body(p.add), "count": 4, "carried": 1})],
                   accepts="b", arrays=_loop_arrays, layouts=()),
    "branch": Sample([((), {"true": _either(p.add), "false": _either(p.multiply)}),
                      (((1,),), {"true": _either(p.add), "false": _either(p.multiply)})],
                     accepts="b", arrays=_branch_arrays, layouts=()),
}  # fmt: skip

REFERENCES |= references_linalg.REFERENCES
SAMPLES |= references_linalg.samples(Sample)
REFERENCES["polygamma"] = lambda x, order: precise(lambda v: mpmath.polygamma(order, v))(x)
SAMPLES["polygamma"] = Sample(
    [(((5,),), {"order": 0}), (((2, 3),), {"order": 1}), (((4,),), {"order": 2})],
    "f",
    lambda arrays, attributes, dtype: (
        12 * float(limits(dtype).eps) * (1 + 1 / arrays[0].astype(float) ** 3.0)
    ),
)
REFERENCES |= references_attention.REFERENCES
SAMPLES |= references_attention.samples(Sample)
REFERENCES |= references_convolution.REFERENCES
SAMPLES |= references_convolution.samples(Sample)
