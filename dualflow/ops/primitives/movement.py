"""Records that move elements and do no arithmetic: views, and assembling of parts.

Gradients are written with methods of tensors, which are the public functions.
"""

from __future__ import annotations

import builtins

import numpy as np

from dualflow.base.errors import DTypeError, ShapeError
from dualflow.base.shapes import Shape, contiguous_strides, size_of
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType, View

from ..record import from_types, primitive
from ..rules import check_axis, check_fill
from .creation import full

# reshape ------------------------------------------------------------------------------------


def _reshape_rule(x: TensorType, *, shape: Shape) -> TensorType:
    if size_of(shape) != x.size or any(size < 0 for size in shape):
        raise ShapeError(f"reshape of {x.shape} to {shape}",
                         why=f"{x.size} elements cannot fill {size_of(shape)} places",
                         instead="a shape of as many elements; one size may be -1")  # fmt: skip
    return TensorType(shape, x.dtype)


def _reshape_view(x: View, *, shape: Shape) -> View | None:
    """Merge axes of `x` that lie evenly in memory, then cut them anew; None where they do not."""
    if x.shape == shape:
        return x
    if 0 in shape:
        return View(shape, contiguous_strides(shape), x.offset)
    old = [(n, s) for n, s in zip(x.shape, x.strides, strict=True) if n != 1]
    strides = [0] * len(shape)
    axis = 0
    new = [i for i, n in enumerate(shape) if n != 1]
    while old:
        size, stride = old.pop(0)
        group = [new[axis]]
        product = shape[new[axis]]
        axis += 1
        while size != product:
            if product < size:
                product *= shape[new[axis]]
                group.append(new[axis])
                axis += 1
            else:
                n, s = old.pop(0)
                if stride != n * s:
                    return None
                size, stride = size * n, s
        for i in reversed(group):
            strides[i] = stride
            stride *= shape[i]
    for i in reversed(range(len(shape))):  # strides of axes of size 1: as in a packed array
        if shape[i] == 1:
            strides[i] = strides[i + 1] * shape[i + 1] if i + 1 < len(shape) else 1
    return View(shape, tuple(strides), x.offset)


reshape = primitive(
    "reshape", Kind.MOVEMENT, _reshape_rule, lambda x, *, shape: x.reshape(shape),
    doc="the same elements, row by row, in another shape",
    gradient=lambda g, out, x, shape: (g.reshape(x.shape),),
    view=_reshape_view,
    update=lambda apply, base, value, shape: apply(reshape.op, value, shape=base.shape),
)  # fmt: skip

# permute ------------------------------------------------------------------------------------


def _permute_rule(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    if sorted(axes) != list(range(len(x.shape))):
        raise ShapeError(
            f"permute of {x.shape} by axes {axes}",
            why="each axis must be named once", instead="axes counted from 0",
        )  # fmt: skip
    return TensorType(tuple(x.shape[axis] for axis in axes), x.dtype)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def _permute_view(x: View, *, axes: tuple[int, ...]) -> View:
    return View(tuple(x.shape[a] for a in axes), tuple(x.strides[a] for a in axes), x.offset)


permute = primitive(
    "permute", Kind.MOVEMENT, _permute_rule, lambda x, *, axes: x.transpose(axes),
    doc="the axes in another order",
    gradient=lambda g, out, x, axes: (permute(g, axes=_inverse(axes)),),
    view=_permute_view,
    update=lambda apply, base, value, axes: apply(permute.op, value, axes=_inverse(axes)),
)  # fmt: skip

# expand -------------------------------------------------------------------------------------


def _expand_rule(x: TensorType, *, shape: Shape) -> TensorType:
    new = len(shape) - len(x.shape)
    fits = new >= 0 <= builtins.min(shape, default=0) and all(
        n in (1, m) for n, m in zip(x.shape, shape[builtins.max(new, 0) :], strict=False)
    )
    if not fits:
        raise ShapeError(f"expand of {x.shape} to {shape}",
                         why="only axes of size 1, and new leading axes, can be repeated",
                         instead="expand_dims or reshape first")  # fmt: skip
    return TensorType(shape, x.dtype)


def _expand_view(x: View, *, shape: Shape) -> View:
    new = len(shape) - len(x.shape)
    strides = tuple(
        stride if size == wanted else 0
        for size, stride, wanted in zip(x.shape, x.strides, shape[new:], strict=True)
    )
    return View(shape, (0,) * new + strides, x.offset)


def _expand_gradient(g, out, x, shape):
    return (sum_to(g, x.shape),)


def sum_to(g, shape: Shape):
    """`g` summed over the axes along which `shape` was repeated to give its shape."""
    new = len(g.shape) - len(shape)
    axes = tuple(
        axis for axis, size in enumerate(g.shape)
        if axis < new or (shape[axis - new] == 1 and size != 1)
    )  # fmt: skip
    summed = g.sum(axis=axes) if axes else g
    return summed if summed.shape == shape else summed.reshape(shape)


expand = primitive(
    "expand", Kind.MOVEMENT, _expand_rule, lambda x, *, shape: np.broadcast_to(x, shape),
    doc="axes of size 1, and new leading axes, repeated; a read-only view",
    gradient=_expand_gradient, view=_expand_view,
)  # fmt: skip

# slice --------------------------------------------------------------------------------------


def _slice_shape(starts: tuple, stops: tuple, steps: tuple) -> Shape:
    return tuple(len(range(*part)) for part in zip(starts, stops, steps, strict=True))


def _slice_rule(x: TensorType, *, starts: tuple, stops: tuple, steps: tuple) -> TensorType:
    if not len(starts) == len(stops) == len(steps) == len(x.shape):
        raise ShapeError(f"slice of {x.shape} with {len(starts)} starts",
                         why="it takes one start, stop and step for each axis")  # fmt: skip
    shape = _slice_shape(starts, stops, steps)
    for size, taken, start, step in zip(x.shape, shape, starts, steps, strict=True):
        last = start + (taken - 1) * step
        if start < 0 or (taken and not (start < size and 0 <= last < size)):
            raise ShapeError(f"slice from {start} to {last} of an axis of size {size}",
                             instead="starts and stops within the axis")  # fmt: skip
    return TensorType(shape, x.dtype)


def _slices(starts: tuple, stops: tuple, steps: tuple) -> tuple[builtins.slice, ...]:
    return tuple(
        [
            builtins.slice(start, stop if stop >= 0 else None, step)
            for start, stop, step in zip(starts, stops, steps, strict=True)
        ]
    )


def _slice(x: np.ndarray, *, starts: tuple, stops: tuple, steps: tuple) -> np.ndarray:
    if len(starts) == 1:  # the common case, without loops
        (stop,) = stops
        return x[starts[0] : stop if stop >= 0 else None : steps[0]]
    return x[_slices(starts, stops, steps)] if starts else x[...]


def _slice_view(x: View, *, starts: tuple, stops: tuple, steps: tuple) -> View:
    shape = _slice_shape(starts, stops, steps)
    offset = x.offset
    if 0 not in shape:
        offset += builtins.sum(a * s for a, s in zip(starts, x.strides, strict=True))
    strides = tuple(step * s for step, s in zip(steps, x.strides, strict=True))
    return View(shape, strides, offset)


def _slice_gradient(g, out, x, starts, stops, steps):
    zeros = full(shape=x.shape, value=0.0, dtype=g.dtype)
    return (slice_update(zeros, g, starts=starts, stops=stops, steps=steps),)


def _slice_update_rule(x: TensorType, value: TensorType, **part: tuple) -> TensorType:
    wanted = _slice_rule(x, **part).shape
    if value.shape != wanted:
        raise ShapeError(f"a value of {value.shape} for a slice of shape {wanted}")
    if value.dtype != x.dtype:
        raise DTypeError(f"a value of {value.dtype.name} for a tensor of {x.dtype.name}",
                         why="primitives do not promote", instead="cast first")  # fmt: skip
    return x


def _slice_update(x: np.ndarray, value: np.ndarray, **part: tuple) -> np.ndarray:
    out = x.copy()
    out[(*_slices(**part), ...)] = value
    return out


def _update_gradient(g, out, x, value, **part):
    def to_x():
        zeros = full(shape=value.shape, value=0.0, dtype=g.dtype)
        return slice_update(g, zeros, **part)

    return to_x, lambda: slice(g, **part)


slice = primitive(
    "slice", Kind.MOVEMENT, _slice_rule, _slice,
    doc="along each axis the elements start, start + step, ... before stop",
    gradient=_slice_gradient, view=_slice_view,
    update=lambda apply, base, value, **part: apply(slice_update.op, base, value, **part),
)  # fmt: skip
slice_update = primitive(
    "slice_update", Kind.MOVEMENT, _slice_update_rule, _slice_update,
    doc="x with the slice from starts to stops by steps replaced by value",
    gradient=_update_gradient,
    placement=lambda types, **part: (
        View.contiguous(types[0].shape), _slice_view(View.contiguous(types[0].shape), **part)),
)  # fmt: skip

# select -------------------------------------------------------------------------------------


def _select_rule(x: TensorType, *, axis: int, index: int) -> TensorType:
    check_axis("select", axis, len(x.shape))
    if not 0 <= index < x.shape[axis]:
        raise ShapeError(f"select of {index} on axis {axis} of {x.shape}",
                         instead="an index counted from 0, within the axis")  # fmt: skip
    return TensorType((*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype)


def _select(x: np.ndarray, *, axis: int, index: int) -> np.ndarray:
    return x[(*(_EVERYTHING,) * axis, index, ...)]


_EVERYTHING = builtins.slice(None)


def _select_view(x: View, *, axis: int, index: int) -> View:
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    strides = (*x.strides[:axis], *x.strides[axis + 1 :])
    return View(shape, strides, x.offset + index * x.strides[axis])


def _selected(shape: Shape, axis: int, index: int) -> dict[str, tuple[int, ...]]:
    """The slice that holds what select gives, with its axis kept."""
    ones = (1,) * len(shape)
    starts = (*(0,) * axis, index, *(0,) * (len(shape) - axis - 1))
    return {"starts": starts, "stops": (*shape[:axis], index + 1, *shape[axis + 1 :]),
            "steps": ones}  # fmt: skip


def _select_gradient(g, out, x, axis, index):
    kept = g.reshape((*g.shape[:axis], 1, *g.shape[axis:]))
    zeros = full(shape=x.shape, value=0.0, dtype=g.dtype)
    return (slice_update(zeros, kept, **_selected(x.shape, axis, index)),)


def _select_update(apply, base, value, axis, index):
    kept = apply(reshape.op, value, shape=(*value.shape[:axis], 1, *value.shape[axis:]))
    return apply(slice_update.op, base, kept, **_selected(base.shape, axis, index))


select = primitive(
    "select", Kind.MOVEMENT, _select_rule, _select,
    doc="what lies at one index of an axis, which is removed",
    gradient=_select_gradient, view=_select_view, update=_select_update,
)  # fmt: skip

# pad and concat -----------------------------------------------------------------------------

Widths = tuple[tuple[int, int], ...]


def _pad_rule(x: TensorType, *, widths: Widths, fill: bool | int | float) -> TensorType:
    if len(widths) != len(x.shape) or any(w < 0 for pair in widths for w in pair):
        raise ShapeError(f"pad of {x.shape} by {widths}",
                         instead="a pair (before, after), at least 0, for each axis")  # fmt: skip
    check_fill(fill, x.dtype)
    sizes = zip(x.shape, widths, strict=True)
    return TensorType(tuple(before + n + after for n, (before, after) in sizes), x.dtype)


def _inside(shape: Shape, widths: Widths) -> dict[str, tuple[int, ...]]:
    starts = tuple(before for before, _ in widths)
    stops = tuple(before + size for before, size in zip(starts, shape, strict=True))
    return {"starts": starts, "stops": stops, "steps": (1,) * len(shape)}


def _pad(x: np.ndarray, *, widths: Widths, fill: bool | int | float) -> np.ndarray:
    out = np.full(_pad_rule(TensorType(x.shape, x.dtype), widths=widths, fill=fill).shape, fill,
                  dtype=x.dtype)  # fmt: skip
    out[(*_slices(**_inside(x.shape, widths)), ...)] = x
    return out


def _pad_placement(types: tuple[TensorType, ...], *, widths: Widths, fill: object) -> tuple:
    (x,) = types
    sizes = zip(x.shape, widths, strict=True)
    out = View.contiguous(tuple(before + n + after for n, (before, after) in sizes))
    return (_slice_view(out, **_inside(x.shape, widths)),)


pad = primitive(
    "pad", Kind.MOVEMENT, _pad_rule, _pad,
    doc="the constant fill put before and after along each axis",
    gradient=lambda g, out, x, widths, fill: (slice(g, **_inside(x.shape, widths)),),
    placement=_pad_placement,
)  # fmt: skip


def _concat_rule(*types: TensorType, axis: int) -> TensorType:
    if not types:
        raise ShapeError("concat of nothing", instead="at least one tensor")
    first = types[0]
    check_axis("concat", axis, len(first.shape))
    for other in types:
        if len(other.shape) != len(first.shape) or any(
            n != m for i, (n, m) in enumerate(zip(other.shape, first.shape, strict=True))
            if i != axis
        ):  # fmt: skip
            raise ShapeError(f"concat of {first.shape} and {other.shape} along axis {axis}",
                             why="all other axes must have equal sizes")  # fmt: skip
        if other.dtype != first.dtype:
            raise DTypeError(f"concat of {first.dtype.name} and {other.dtype.name}",
                             why="primitives do not promote", instead="cast first")  # fmt: skip
    size = builtins.sum(t.shape[axis] for t in types)
    return TensorType((*first.shape[:axis], size, *first.shape[axis + 1 :]), first.dtype)


def _parts(shapes: list[Shape], axis: int) -> list[dict[str, tuple[int, ...]]]:
    """For each input of a concat, the slice of the output that it fills."""
    found, start = [], 0
    for shape in shapes:
        widths = [(0, 0)] * len(shape)
        widths[axis] = (start, 0)
        found.append(_inside(shape, tuple(widths)))
        start += shape[axis]
    return found


def _concat_placement(types: tuple[TensorType, ...], *, axis: int) -> tuple[View, ...]:
    out = View.contiguous(_concat_rule(*types, axis=axis).shape)
    return tuple(_slice_view(out, **part) for part in _parts([t.shape for t in types], axis))


@from_types
def _concat_gradient(g, out, *inputs, axis):
    return tuple(slice(g, **part) for part in _parts([x.shape for x in inputs], axis))


concat = primitive(
    "concat", Kind.MOVEMENT, _concat_rule, lambda *xs, axis: np.concatenate(xs, axis=axis),
    doc="inputs one after the other along an axis",
    gradient=_concat_gradient, placement=_concat_placement,
)  # fmt: skip
