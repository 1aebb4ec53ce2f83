"""Random graphs for tests of the compiler: small, of every role that fusion knows.

Comes in: Hypothesis draws. Goes out: a Graph, layouts of its inputs, and arrays for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from dualflow.base.dtypes import bool_, float32, float64, int32, int64, is_complex, is_float
from dualflow.ir.graph import Graph, GraphBuilder, Value
from dualflow.ir.types import TensorType, View
from dualflow.ops import primitives as p
from dualflow.ops.record import Strict

SIZES = (0, 1, 1, 2, 2, 3, 3, 4, 5)
UNARY_FLOAT = (p.negative, p.exp, p.abs, p.floor, p.tanh, p.isnan)
UNARY_COMPLEX = (p.negative, p.conj, p.real, p.imag, p.abs, p.isfinite)
BINARY = (p.add, p.subtract, p.multiply, p.maximum, p.less, p.equal)
BINARY_COMPLEX = (p.add, p.subtract, p.multiply, p.not_equal)
DTYPES = (float32, float64, int32, bool_)


class Builder(GraphBuilder):
    """`b(p.add, x, y)` adds a node and gives its only result."""

    def __call__(self, primitive: Strict, *operands: Value, **attributes: Any) -> Value:
        return self.add(primitive.op, operands, attributes).result

    def tensor(self, *shape: int, dtype: np.dtype = float32) -> Value:
        """A further input."""
        return self.input(TensorType(shape, dtype))

    def full(self, shape: tuple[int, ...], value: float, dtype: np.dtype = float32) -> Value:
        return self(p.full, shape=shape, value=value, dtype=dtype)

    def spread(self, value: Value, shape: tuple[int, ...], axes: tuple[int, ...]) -> Value:
        """A reduced value, repeated along `axes` to `shape`."""
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
        return self(p.expand, self(p.reshape, value, shape=kept), shape=shape)


def arrays_for(graph: Graph, seed: int) -> list[np.ndarray]:
    """Small whole numbers, so that sums are exact in every order, also as floats."""
    rng = np.random.default_rng(seed)
    return [small(rng, v.type) for v in graph.inputs]


def small(rng: np.random.Generator, type_: TensorType) -> np.ndarray:
    values = rng.integers(-3, 4, type_.shape)
    if is_complex(type_.dtype):
        values = values + 1j * rng.integers(-3, 4, type_.shape)
    return np.asarray(values).astype(type_.dtype)


@st.composite
def graphs(
    draw: Callable, steps: int = 12, dtypes: tuple[np.dtype, ...] = DTYPES
) -> tuple[Graph, list[View]]:
    """A graph of up to `steps` nodes, and how its inputs lie; they are of `dtypes`."""
    b = Builder()
    layouts = []
    pool: list[Value] = []
    for _ in range(draw(st.integers(1, 3))):
        shape = tuple(draw(st.lists(st.sampled_from(SIZES), max_size=3)))
        value = b.input(TensorType(shape, draw(st.sampled_from(dtypes))))
        pool.append(value)
        layouts.append(draw(layout(shape)))
    for _ in range(draw(st.integers(1, steps))):
        pool += draw(step(b, pool))
    outputs = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4))
    return b.build(outputs), layouts


@st.composite
def layout(draw: Callable, shape: tuple[int, ...]) -> View:
    """Packed, or in another order of axes, with gaps."""
    if draw(st.booleans()):
        return View.contiguous(shape)
    order = draw(st.permutations(range(len(shape))))
    strides, step = [0] * len(shape), draw(st.integers(1, 2))
    for axis in order:
        strides[axis] = step
        step *= shape[axis] + draw(st.integers(0, 1))
    return View(shape, tuple(strides), draw(st.integers(0, 2)))


@st.composite
def step(draw: Callable, b: Builder, pool: list[Value]) -> list[Value]:
    """New values made from some of the pool."""
    x = draw(st.sampled_from(pool[-6:]))
    kinds = (unary, binary, binary, move, move, reduce_, fold_twice, assemble, create, look_up,
             scan)  # fmt: skip
    kind = draw(st.sampled_from(kinds))
    return draw(kind(b, pool, x))


@st.composite
def unary(draw: Callable, b: Builder, pool: list[Value], x: Value) -> list[Value]:
    if is_complex(x.dtype):
        return [b(draw(st.sampled_from(UNARY_COMPLEX)), x)]
    if is_float(x.dtype):
        return [b(draw(st.sampled_from(UNARY_FLOAT)), x)]
    if x.dtype == bool_:
        return [b(p.logical_not, x), b(p.cast, x, dtype=float32)]
    return [b(p.negative, x), b(p.cast, x, dtype=float32)]


@st.composite
def binary(draw: Callable, b: Builder, pool: list[Value], x: Value) -> list[Value]:
    y = draw(st.sampled_from(pool))
    if y.type.size == 1 and y.shape != x.shape:
        y = b(p.expand, b(p.reshape, y, shape=(1,) * len(x.shape)), shape=x.shape)
    elif y.shape != x.shape and y.shape == x.shape[len(x.shape) - len(y.shape) :]:
        y = b(p.expand, y, shape=x.shape)
    if y.shape != x.shape:
        y = x
    if y.dtype != x.dtype:
        if bool_ in (x.dtype, y.dtype):
            condition, other = (x, y) if x.dtype == bool_ else (y, x)
            return [b(p.where, condition, other, b(p.add, other, other))]
        if is_complex(y.dtype):
            x = b(p.cast, x, dtype=y.dtype)
        else:
            y = b(p.cast, y, dtype=x.dtype)
    if is_complex(x.dtype):
        return [b(draw(st.sampled_from(BINARY_COMPLEX)), x, y)]
    if x.dtype == bool_:
        return [b(draw(st.sampled_from((p.logical_and, p.logical_xor, p.equal))), x, y)]
    return [b(draw(st.sampled_from(BINARY)), x, y)]


@st.composite
def move(draw: Callable, b: Builder, pool: list[Value], x: Value) -> list[Value]:
    shape = x.shape
    kind = draw(st.sampled_from(("permute", "reshape", "expand", "slice")))
    if kind == "permute":
        return [b(p.permute, x, axes=tuple(draw(st.permutations(range(len(shape))))))]
    if kind == "expand":
        new = tuple(draw(st.integers(1, 3)) if n == 1 else n for n in shape)
        extra = tuple(draw(st.lists(st.integers(1, 3), max_size=max(0, 3 - len(shape)))))
        return [b(p.expand, x, shape=extra + new)]
    if kind == "reshape":
        size, factors = x.type.size, []
        while size > 1 and len(factors) < 3 and draw(st.booleans()):
            divisors = [n for n in range(1, size + 1) if size % n == 0]
            factors.append(draw(st.sampled_from(divisors)))
            size //= factors[-1]
        return [b(p.reshape, x, shape=(*factors, size))]
    ranges = [
        range(n)[draw(st.integers(0, 1)) : draw(st.integers(1, max(n, 1)))][
            :: draw(st.sampled_from((1, 1, 2, -1)))
        ]
        for n in shape
    ]
    return [b(p.slice, x, **parts(ranges))]


def parts(ranges: list[range]) -> dict[str, tuple[int, ...]]:
    """The attributes of a slice."""
    ranges = [r if r else range(0) for r in ranges]
    return {
        "starts": tuple(r.start for r in ranges),
        "stops": tuple(r.stop for r in ranges),
        "steps": tuple(r.step for r in ranges),
    }


@st.composite
def reduce_(draw: Callable, b: Builder, pool: list[Value], x: Value) -> list[Value]:
    axes = tuple(axis for axis in range(len(x.shape)) if draw(st.booleans()))
    options = [p.any, p.all] if x.dtype == bool_ else [p.sum]
    if x.type.size and x.dtype != bool_ and not is_complex(x.dtype):
        options += [p.max, p.max]
    folded = b(draw(st.sampled_from(options)), x, axes=axes)
    again = b.spread(folded, x.shape, axes)
    if again.dtype != x.dtype:
        return [folded]
    if x.dtype == bool_:
        return [folded, b(p.logical_xor, x, again)]
    return [folded, b(p.subtract, x, again)]


@st.composite
def scan(draw: Callable, b: Builder, pool: list[Value], x: Value) -> list[Value]:
    """Running sums, forwards or backwards, of numbers that stay small."""
    if not x.shape:
        return [x]
    axis = draw(st.integers(0, len(x.shape) - 1))
    if draw(st.booleans()):
        x = b(p.slice, x, **parts([range(n)[:: -1 if a == axis else 1]
                                   for a, n in enumerate(x.shape)]))  # fmt: skip
    return [b(p.cumsum, x, axis=axis)]


@st.composite
def fold_twice(draw: Callable, b: Builder, pool: list[Value], x: Value) -> list[Value]:
    """Rows folded, and some of the results folded again: the second may be a total of the first."""
    if len(x.shape) < 2 or x.dtype == bool_ or not x.type.size or is_complex(x.dtype):
        return [x]
    axis = draw(st.integers(0, len(x.shape) - 1))
    rows = b(draw(st.sampled_from((p.sum, p.max))), x, axes=(axis,))
    changed = draw(st.sampled_from((rows, b(p.add, rows, rows), b(p.abs, rows))))
    axes = tuple(a for a in range(len(rows.shape)) if draw(st.integers(0, 3)))
    op = draw(st.sampled_from((p.sum, p.max, p.min)))
    return [draw(st.sampled_from((rows, changed))), b(op, changed, axes=axes)]


@st.composite
def assemble(draw: Callable, b: Builder, pool: list[Value], x: Value) -> list[Value]:
    if not x.shape:
        return [x]
    kind = draw(st.sampled_from(("pad", "concat", "update")))
    if kind == "pad":
        widths = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in x.shape)
        if x.type.size > 300:
            return [x]
        return [b(p.pad, x, widths=widths, fill=x.dtype.type(1).item())]
    axis = draw(st.integers(0, len(x.shape) - 1))
    if kind == "concat":
        same = [v for v in pool if v.type == x.type]
        return [b(p.concat, x, draw(st.sampled_from(same)), axis=axis)] if x.type.size < 300 else []
    (part,) = draw(move_slice(b, x))
    value = b(p.equal, part, part) if x.dtype == bool_ else b(p.add, part, part)
    attributes = part.node.attributes  # type: ignore[union-attr]
    return [b(p.slice_update, x, value, **attributes)]


@st.composite
def move_slice(draw: Callable, b: Builder, x: Value) -> list[Value]:
    ranges = [
        range(n)[draw(st.integers(0, 1)) :: draw(st.sampled_from((1, 1, 2)))] for n in x.shape
    ]
    return [b(p.slice, x, **parts(ranges))]


@st.composite
def create(draw: Callable, b: Builder, pool: list[Value], x: Value) -> list[Value]:
    if not x.shape or draw(st.booleans()):
        return [b(p.full, shape=x.shape, value=2, dtype=int64)]
    axis = draw(st.integers(0, len(x.shape) - 1))
    return [b(p.iota, shape=x.shape, axis=axis, dtype=draw(st.sampled_from((float32, int32))))]


@st.composite
def look_up(draw: Callable, b: Builder, pool: list[Value], x: Value) -> list[Value]:
    """take, gather, scatter_add or put, by indices in range (negative ones too)."""
    if not x.shape or 0 in x.shape:
        return [x]
    axis = draw(st.integers(0, len(x.shape) - 1))
    size = x.shape[axis]
    kind = draw(st.sampled_from((p.take, p.gather, p.scatter_add, p.put)))
    if kind is p.take:
        y = draw(st.sampled_from(pool))
        if y.type.size > 20:
            return [x]
    else:
        count = 1 if draw(st.booleans()) else draw(st.integers(1, size))
        y = b(p.slice, x, **parts([range(n)[: count if a == axis else n]
                                   for a, n in enumerate(x.shape)]))  # fmt: skip
    index = b(p.real, y) if is_complex(y.dtype) else y
    index = b(p.cast, index, dtype=int32) if index.dtype != int32 else index
    index = b(p.remainder, index, b.full(y.shape, size, int32))
    if draw(st.booleans()):
        index = b(p.subtract, index, b.full(y.shape, size, int32))
    if kind in (p.take, p.gather):
        return [b(kind, x, index, axis=axis)]
    if x.dtype == bool_:
        return [b(p.put, x, index, y, axis=axis)]
    return [b(kind, x, index, b(p.add, y, y), axis=axis)]
