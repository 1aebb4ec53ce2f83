"""Batching rules, one for each kind of op: the same op with the batch as axis 0 of its operands.

    elementwise    operands broadcast
    movement, reduction, scan, library    axes move by one; where a library op names no axis it
                   works on the last ones, and takes axes before them
    contraction    a product with one batched operand becomes one larger product
    indexing       ops along an axis take the batch as one more of the other axes; ops that read
                   slices do so in another place, or with indices repeated to all other axes
    the rest       one after the other

Attributes are known by their names: `axis`, `axes`, `shape`, `starts`, `stops`, `steps`, `widths`
count axes; all others mean the same with a batch.

Comes in: an op and its operands (axis 0 is the batch where marked). Goes out: batched results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from dualflow.array.tensor import Tensor
from dualflow.base.errors import DualflowError
from dualflow.base.shapes import Shape, size_of
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType
from dualflow.ops import primitives as p

Values = Sequence[Tensor]
Flags = Sequence[bool]
Apply = Callable[..., Any]
EXPAND, PERMUTE, RESHAPE = p.expand.op, p.permute.op, p.reshape.op


def batched(
    apply: Apply, op: Op, values: Values, flags: Flags, attributes: Mapping[str, Any], size: int
) -> Any:
    """The results of `op`, with the batch of `size` as axis 0; at least one operand is batched.
    `apply` applies an op in the mode around: `door.apply`, or one that takes no notes."""
    return RULES.get(op.kind, _one_by_one)(apply, op, values, flags, attributes, size)


def repeated(apply: Apply, value: Tensor, flag: bool, size: int) -> Tensor:
    """`value` with the batch as axis 0."""
    return value if flag else apply(EXPAND, value, shape=(size, *value.shape))


def _all_repeated(apply: Apply, values: Values, flags: Flags, size: int) -> list[Tensor]:
    return [repeated(apply, value, flag, size) for value, flag in zip(values, flags, strict=True)]


def _elementwise(
    apply: Apply, op: Op, values: Values, flags: Flags, attributes: Any, size: int
) -> Any:
    return apply(op, *_all_repeated(apply, values, flags, size), **attributes)


def _movement(
    apply: Apply, op: Op, values: Values, flags: Flags, attributes: Any, size: int
) -> Any:
    given = values if all(flags) else _all_repeated(apply, values, flags, size)
    if op.view is not None and op.update is None and "shape" in attributes:
        x = given[0]  # it repeats elements: new axes come behind the batch
        missing = len(attributes["shape"]) + 1 - len(x.shape)
        if missing:
            given = [apply(RESHAPE, x, shape=(size, *(1,) * missing, *x.shape[1:]))]
    return apply(op, *given, **_moved(attributes, size))


def _moved(attributes: Mapping[str, Any], size: int) -> dict[str, Any]:
    return {
        name: _PREFIX[name](value, size) if name in _PREFIX else value
        for name, value in attributes.items()
    }


#: attributes of movements that have a part for each axis
_PREFIX: dict[str, Callable[[Any, int], Any]] = {
    "axis": lambda axis, size: axis + 1,
    "axes": lambda axes, size: (0, *(axis + 1 for axis in axes)),
    "shape": lambda shape, size: (size, *shape),
    "starts": lambda starts, size: (0, *starts),
    "stops": lambda stops, size: (size, *stops),
    "steps": lambda steps, size: (1, *steps),
    "widths": lambda widths, size: ((0, 0), *widths),
}


def _along_axes(
    apply: Apply, op: Op, values: Values, flags: Flags, attributes: Any, size: int
) -> Any:
    given = values if all(flags) else _all_repeated(apply, values, flags, size)
    return apply(op, *given, **shifted(attributes))


def shifted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of an op along axes, with the batch in front of these."""
    moved = dict(attributes)
    if "axis" in moved:
        moved["axis"] += 1
    if "axes" in moved:
        moved["axes"] = tuple([axis + 1 for axis in moved["axes"]])
    return moved


def _contraction(
    apply: Apply, op: Op, values: Values, flags: Flags, attributes: Any, size: int
) -> Any:
    plain = not attributes and len(values) == 2 and not all(flags)
    if not plain or len(values[0].shape) - flags[0] != 2:
        return _along_axes(apply, op, values, flags, attributes, size)
    x, y = values  # of matrices (m, k) and (k, n), one of them batched
    if flags[0]:
        rows, length = x.shape[1:]
        out = apply(op, apply(RESHAPE, x, shape=(size * rows, length)), y)
        return apply(RESHAPE, out, shape=(size, rows, y.shape[1]))
    length, columns = y.shape[1:]
    wide = apply(RESHAPE, apply(PERMUTE, y, axes=(1, 0, 2)), shape=(length, size * columns))
    out = apply(RESHAPE, apply(op, x, wide), shape=(x.shape[0], size, columns))
    return apply(PERMUTE, out, axes=(1, 0, 2))


def _indexing(
    apply: Apply, op: Op, values: Values, flags: Flags, attributes: Any, size: int
) -> Any:
    shapes = tuple(
        value.shape[1:] if flag else value.shape for value, flag in zip(values, flags, strict=True)
    )
    axis = attributes["axis"]
    wanted, along = _shape_of(op, shapes, tuple(value.dtype for value in values), axis)
    if along:
        return _along_axes(apply, op, values, flags, attributes, size)
    x, indices = values
    if not flags[1]:
        return apply(op, x, indices, axis=axis + 1)
    if not flags[0]:
        out = apply(op, x, indices, axis=axis)
        order = [axis, *range(axis), *range(axis + 1, len(out.shape))]
        return apply(PERMUTE, out, axes=tuple(order))
    return _slices_of_each(apply, x, indices, axis + 1, (size, *wanted))


@lru_cache(maxsize=10_000)
def _shape_of(op: Op, shapes: tuple[Shape, ...], dtypes: Any, axis: int) -> tuple[Shape, bool]:
    """The shape of the result without a batch; and whether `op` works along an axis, with equal
    sizes on all others: a batch of a size that no tensor has shows it."""
    types = tuple(map(TensorType, shapes, dtypes))
    (wanted,) = op.infer(types, {"axis": axis})
    probe = 1 + max(size for shape in shapes for size in (*shape, 1))
    wide = tuple(TensorType((probe, *one.shape), one.dtype) for one in types)
    try:
        (made,) = op.infer(wide, {"axis": axis + 1})
    except DualflowError:
        return wanted.shape, False
    return wanted.shape, made.shape == (probe, *wanted.shape)


def _slices_of_each(apply: Apply, x: Tensor, indices: Tensor, axis: int, shape: Shape) -> Tensor:
    """Of each tensor of the batch the slices at its own indices: its indices are repeated to all
    other axes."""
    rank = len(x.shape)
    count = size_of(indices.shape[1:])
    kept = [1] * rank
    kept[0], kept[axis] = indices.shape[0], count
    wide = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    positions = apply(EXPAND, apply(RESHAPE, indices, shape=tuple(kept)), shape=wide)
    return apply(RESHAPE, apply(p.gather.op, x, positions, axis=axis), shape=shape)


def _one_by_one(
    apply: Apply, op: Op, values: Values, flags: Flags, attributes: Any, size: int
) -> Any:
    rows = []
    for i in range(size):
        given = [
            apply(p.select.op, value, axis=0, index=i) if flag else value
            for value, flag in zip(values, flags, strict=True)
        ]
        made = apply(op, *given, **attributes)
        rows.append(made if type(made) is tuple else (made,))
    stacked = tuple(
        apply(p.concat.op, *[apply(RESHAPE, x, shape=(1, *x.shape)) for x in column], axis=0)
        for column in zip(*rows, strict=True)
    )
    return stacked if op.outputs != 1 else stacked[0]


RULES: dict[Kind, Callable[..., Any]] = {
    Kind.ELEMENTWISE: _elementwise,
    Kind.MOVEMENT: _movement,
    Kind.REDUCTION: _along_axes,
    Kind.SCAN: _along_axes,
    Kind.LIBRARY: _along_axes,
    Kind.CONTRACTION: _contraction,
    Kind.INDEXING: _indexing,
}
