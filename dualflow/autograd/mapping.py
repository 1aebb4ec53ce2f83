"""`vmap`: a function of single things, applied to a whole batch at once.

Comes in: a function, and which axes of its arguments are the batch. Goes out: a function of
batches. It runs once, in `batched.VmapMode`, on tensors that stand for all of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from dualflow.array.creation import adopt
from dualflow.array.tensor import Tensor
from dualflow.base.errors import ArgumentError, AxisError, DualflowError, ShapeError
from dualflow.base.shapes import Shape, normal_axis
from dualflow.base.trees import Tree, flatten, parts, unflatten
from dualflow.ops import primitives as p

from .arguments import name_of
from .backward import owned
from .batched import VmapMode

Function = Callable[..., Any]
RANDOMNESS = ("different", "same", "error")


def vmap(
    fn: Function, in_axes: Any = 0, out_axes: Any = 0, *, randomness: str = "different"
) -> Function:
    """A function that applies `fn` to each part of its arguments along an axis, all at once.

    Args:
        fn: a function of tensors and containers of them; run once, so what it prints or appends
            happens once. A choice by a value that differs within the batch is an error: see
            `df.where`, `df.cond`.
        in_axes: which axis of each argument is the batch: an integer, negative ones from the end;
            None for an argument that is the same for all; a tuple with one for each argument, in
            which a container like the argument may stand. Keyword arguments are mapped along
            axis 0. What is no tensor is passed on as it is.
        out_axes: where the batch goes in the result: an integer, or a container like the result;
            None for what is the same for all.
        randomness: random draws within give "different" numbers for each of the batch (one draw
            of the generator, of numbers for all), the "same", or an "error".

    Returns:
        A function of the same arguments. It can be mapped and differentiated in turn.

    Raises:
        ShapeError: sizes of the batch differ, or there is no such axis.
        ArgumentError: nothing is mapped, `in_axes` or `out_axes` do not fit, or the result holds
            something else than tensors.
        BatchError: Python asks for a value that differs within the batch.

    >>> import dualflow as df
    >>> df.vmap(lambda x, y: (x * y).sum(), in_axes=(0, None))(
    ...     df.tensor([[1.0, 2.0], [3.0, 4.0]]), df.tensor([1.0, 10.0])
    ... ).tolist()
    [21.0, 43.0]
    """
    if randomness not in RANDOMNESS:
        raise ArgumentError(f"vmap with randomness={randomness!r}",
                            instead='"different", "same" or "error"')  # fmt: skip

    @wraps(fn)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        axes_of_args = tuple(in_axes) if type(in_axes) in (tuple, list) else (in_axes,) * len(args)
        if len(axes_of_args) != len(args):
            raise ArgumentError(
                f"vmap({name_of(fn)}) with {len(axes_of_args)} in_axes, called with {len(args)} "
                "arguments", instead="one for each argument given by position",
            )  # fmt: skip
        leaves, tree, axes = _leaves(fn, args, kwargs, axes_of_args)
        mode = VmapMode(name_of(fn), _size(fn, leaves, axes), randomness)
        value = _within(mode, fn, tree, leaves, axes)
        if type(value) is Tensor and out_axes == 0:
            cell = mode.cell(value)
            if cell.batched and cell.born:  # nobody else can reach it
                return cell.value
        taken = {id(x._memory()) for x in leaves if type(x) is Tensor}
        outs, shape = flatten(value)
        places = _spread(fn, out_axes, shape)
        made = [_back(mode, out, at, taken) for out, at in zip(outs, places, strict=True)]
        return unflatten(shape, made)

    return mapped


def _leaves(
    fn: Function, args: tuple[Any, ...], kwargs: dict[str, Any], axes: tuple[Any, ...]
) -> tuple[list[Any], Tree | None, list[Any]]:
    """The leaves of arguments, their nesting (None: they are the arguments), their axes."""
    if not kwargs and _TENSORS.issuperset(map(type, args)) and _SINGLE.issuperset(map(type, axes)):
        return list(args), None, list(axes)
    leaves, tree = flatten((args, kwargs))
    leaves = [adopt(x) if isinstance(x, np.ndarray) else x for x in leaves]
    found = _spread(fn, axes, tree.children[0]) + [0] * tree.children[1].leaves
    axes_of_leaves = [
        axis if type(x) is Tensor else None for x, axis in zip(leaves, found, strict=True)
    ]
    return leaves, tree, axes_of_leaves


_TENSORS, _SINGLE = frozenset({Tensor}), frozenset({int, type(None)})


def _within(
    mode: VmapMode, fn: Function, tree: Tree | None, leaves: list[Any], axes: list[Any]
) -> Any:
    """The result of `fn` in `mode`."""
    given = [
        x if axis is None else mode.wrapped(x if axis == 0 else _front(x, axis), True)
        for x, axis in zip(leaves, axes, strict=True)
    ]
    args, kwargs = (given, {}) if tree is None else unflatten(tree, given)
    return mode.entered(fn, *args, **kwargs)


def _spread(fn: Function, axes: Any, tree: Tree) -> list[Any]:
    """The axis of each leaf: `axes` may stop above the leaves of `tree`."""
    if axes is None or isinstance(axes, int):
        return [axes] * tree.leaves
    found = parts(axes)
    if found is None or tree.kind is None or len(found[1]) != len(tree.children):
        raise ArgumentError(f"vmap({name_of(fn)}) with axes {axes!r}",
                            why="they are nested otherwise than what they are for",
                            instead="integers, None, or containers of these")  # fmt: skip
    keys, inner = found
    if keys and set(keys) == set(tree.keys):
        inner = [inner[keys.index(key)] for key in tree.keys]
    return [axis for one, child in zip(inner, tree.children, strict=True)
            for axis in _spread(fn, one, child)]  # fmt: skip


def _size(fn: Function, leaves: list[Any], axes: list[Any]) -> int:
    found = -1
    for x, axis in zip(leaves, axes, strict=True):
        if axis is None:
            continue
        shape = x.shape
        if not -len(shape) <= axis < len(shape):
            raise _no_axis(fn, axis, shape)
        size = shape[axis]
        if found < 0:
            found = size
        elif found != size:
            raise _unequal(fn, leaves, axes)
    if found < 0:
        raise ArgumentError(f"vmap({name_of(fn)}) of no tensor to map over",
                            why="in_axes is None for all of them, or there is none")  # fmt: skip
    return found


def _no_axis(fn: Function, axis: int, shape: Shape) -> DualflowError:
    if not shape:
        return ShapeError(f"vmap({name_of(fn)}) over a tensor of shape ()",
                          instead="in_axes with None for it")  # fmt: skip
    return AxisError(f"vmap({name_of(fn)}) over axis {axis} of a tensor of shape {shape}",
                     instead="an axis that it has")  # fmt: skip


def _unequal(fn: Function, leaves: list[Any], axes: list[Any]) -> DualflowError:
    shapes = " and ".join(
        f"{x.shape} along axis {axis}"
        for x, axis in zip(leaves, axes, strict=True) if axis is not None
    )  # fmt: skip
    return ShapeError(f"vmap({name_of(fn)}) over tensors of shapes {shapes}",
                      why="the batch must have one size: that of each mapped axis",
                      instead="in_axes with None for what is the same for all")  # fmt: skip


def _front(x: Tensor, axis: int) -> Tensor:
    """`x` with `axis` first."""
    axis = normal_axis(axis, len(x.shape))
    order = (axis, *(other for other in range(len(x.shape)) if other != axis))
    return p.permute(x, axes=order) if axis else x


def _back(mode: VmapMode, out: Any, axis: int | None, taken: set[int]) -> Tensor:
    """A result, as a tensor of its own in the mode around, with the batch at `axis`."""
    if type(out) is not Tensor:
        raise ArgumentError(f"vmap({mode.name_of}): it returned a {type(out).__name__}",
                            why="only tensors can be put together to a batch",
                            instead="df.asarray(...) of it, or a result without it")  # fmt: skip
    cell = mode.cell(out)
    value = cell.value
    if axis is None:
        if cell.batched:
            raise ArgumentError(
                f"vmap({mode.name_of}) with out_axes None for a result of shape {cell.type.shape}",
                why="it differs within the batch", instead="an axis for it",
            )  # fmt: skip
        return owned(value, taken)
    if cell.batched and axis == 0 and cell.born and id(value._memory()) not in taken:
        taken.add(id(value._memory()))  # nobody else can reach it, whatever it is a view of
        return value
    rank = len(cell.type.shape)
    if not -rank - 1 <= axis <= rank:
        raise AxisError(f"vmap({mode.name_of}) with out_axes {axis} for a result of shape "
                        f"{cell.type.shape}", instead=f"from {-rank - 1} to {rank}")  # fmt: skip
    at = axis % (rank + 1)
    if not cell.batched:
        value = p.expand(value, shape=(mode.size, *value.shape))
    if at:
        value = p.permute(value, axes=(*range(1, at + 1), 0, *range(at + 1, rank + 1)))
    return owned(value, taken)
