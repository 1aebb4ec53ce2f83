"""Structured control: `cond`, `while_loop`, `scan`, `map`, for code that says what it repeats.

Comes in: functions of tensors and containers, and what they start from. Goes out: what the plain
Python loop gives, with its gradients. Within `vmap`, choices and numbers of steps may differ within
the batch, which Python's own `if` and `while` cannot do. Compiled functions follow each step, as
they follow Python loops: steps are unrolled, and share their kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import bool_
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError
from dualflow.base.trees import Tree, flatten, unflatten
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.functions import joining, reduction

from .arguments import name_of

Function = Callable[..., Any]


def cond(condition: Any, true_fn: Function, false_fn: Function, *operands: Any) -> Any:
    """`true_fn(*operands)` where the condition holds, else `false_fn(*operands)`.

    Args:
        condition: a bool, or a boolean tensor of one element. Where it differs within a batch
            (`vmap`), both functions run for all of it, and each takes what is its own.
        true_fn, false_fn: functions that give tensors or containers of tensors; within `vmap` of
            one nesting, with equal shapes and dtypes.
        operands: what they are called with.

    Raises:
        DTypeError: a condition that is no boolean.
        ShapeError: a condition of several elements; within `vmap`, results of other shapes.

    >>> import dualflow as df
    >>> x = df.tensor([-1.0, 2.0])
    >>> df.vmap(lambda x: df.cond(x > 0, df.square, lambda x: x * 10.0, x))(x).tolist()
    [-10.0, 4.0]
    """
    if not _differs(condition):
        return true_fn(*operands) if _truth("cond", condition) else false_fn(*operands)
    _check_condition("cond", condition)
    found, other = true_fn(*operands), false_fn(*operands)
    return _chosen(f"cond({name_of(true_fn)}, {name_of(false_fn)})", condition, found, other)


def while_loop(cond_fn: Function, body_fn: Function, start: Any) -> Any:
    """Apply `body_fn` for as long as `cond_fn` holds: the last value.

    Args:
        cond_fn: gives a bool or a boolean tensor of one element, for a value. Within `vmap` it may
            differ: steps are made until it holds for none, and change those for which it holds.
        body_fn: gives the next value, of the nesting, shapes and dtypes of the one before.
        start: the first value: a tensor or a container of tensors (and Python numbers).

    Raises:
        DTypeError, ShapeError: see `cond`; or `body_fn` gives something unlike its argument.

    >>> import dualflow as df
    >>> df.while_loop(lambda x: x < 100.0, lambda x: x * 2.0, df.tensor(3.0)).item()
    192.0
    """
    name = f"while_loop({name_of(cond_fn)}, {name_of(body_fn)})"
    value = start
    while True:
        going = cond_fn(value)
        if not _differs(going):
            if not _truth(name, going):
                return value
            value = _like(name, body_fn(value), value)
            continue
        _check_condition(name, going)
        if not _any_of_batch(going):
            return value
        value = _chosen(name, going, _like(name, body_fn(value), value), value)


def scan(
    fn: Function, start: Any, xs: Any = None, *, length: int | None = None, reverse: bool = False
) -> tuple[Any, Any]:
    """Carry a value through the parts of `xs` along axis 0, collecting results.

    Args:
        fn: `fn(carry, x)` gives (next carry, y). The carry keeps its nesting, shapes and dtypes.
            `df.checkpoint(fn)` keeps only the carries for gradients, not what `fn` computes within.
        start: the first carry: a tensor or a container of tensors (and Python numbers).
        xs: a tensor or a container of tensors with equal sizes of axis 0; None for none.
        length: how many steps; needed where `xs` is None.
        reverse: whether to go from the last part to the first; results keep the places of parts.

    Returns:
        The last carry; and the ys, stacked along a new axis 0 (None where `fn` gives None).

    Raises:
        ShapeError, DTypeError: sizes differ, or a carry or y is unlike the one before.
        ArgumentError: no length, or `fn` gives no pair.

    >>> import dualflow as df
    >>> last, sums = df.scan(lambda c, x: (c + x, c + x), df.tensor(0.0), df.tensor([1.0, 2.0]))
    >>> last.item(), sums.tolist()
    (3.0, [1.0, 3.0])
    """
    name = f"scan({name_of(fn)})"
    leaves, tree = flatten(xs)
    steps = _steps(name, leaves, length)
    carry = start
    rows: list[Any] = [None] * steps
    for i in reversed(range(steps)) if reverse else range(steps):
        pair = fn(carry, _part(leaves, tree, i))
        if type(pair) is not tuple or len(pair) != 2:
            raise ArgumentError(f"{name}: it returned a {type(pair).__name__}",
                                why="it returns a pair (next carry, y)")  # fmt: skip
        carry, rows[i] = _like(name, pair[0], carry), pair[1]
    if not rows:
        raise ShapeError(f"{name} of no steps", why="then nothing tells what ys would be")
    return carry, _stacked(name, rows)


def map(fn: Function, xs: Any) -> Any:
    """Apply `fn` to each part of `xs` along axis 0, one after the other: the results, stacked.

    `df.vmap` does all at once, which is faster and takes more memory.

    Args:
        fn: gives a tensor or a container of tensors, of the same shapes each time.
        xs: a tensor or a container of tensors with equal sizes of axis 0.

    Raises:
        ShapeError, DTypeError: sizes differ, or a result is unlike the one before.

    >>> import dualflow as df
    >>> df.map(lambda x: x * x, df.tensor([1.0, 2.0, 3.0])).tolist()
    [1.0, 4.0, 9.0]
    """
    name = f"map({name_of(fn)})"
    leaves, tree = flatten(xs)
    rows = [fn(_part(leaves, tree, i)) for i in range(_steps(name, leaves, None))]
    if not rows:
        raise ShapeError(f"{name} over an axis of size 0", why="then nothing tells what it gives")
    return _stacked(name, rows)


def _part(leaves: list[Any], tree: Tree, i: int) -> Any:
    return unflatten(tree, [p.select(leaf, axis=0, index=i) for leaf in leaves])


def _steps(name: str, leaves: list[Any], length: int | None) -> int:
    sizes = []
    for leaf in leaves:
        if type(leaf) is not Tensor or not leaf.shape:
            is_a = "a tensor of shape ()" if type(leaf) is Tensor else type(leaf).__name__
            raise ShapeError(f"{name} over {is_a}", instead="tensors with at least one axis")
        sizes.append(leaf.shape[0])
    if length is not None:
        sizes.append(length)
    if not sizes:
        raise ArgumentError(f"{name} over nothing", instead="length=...")
    if len(set(sizes)) > 1:
        shapes = " and ".join(str(leaf.shape) for leaf in leaves)
        raise ShapeError(f"{name} over tensors of shapes {shapes}, length {length}",
                         why="axis 0 must have one size")  # fmt: skip
    return sizes[0]


def _stacked(name: str, rows: list[Any]) -> Any:
    leaves, tree = flatten(rows[0])
    columns = [[leaf] for leaf in leaves]
    for row in rows[1:]:
        for column, leaf in zip(columns, flatten(_like(name, row, rows[0]))[0], strict=True):
            column.append(leaf)
    return unflatten(tree, [joining.stack(column) for column in columns])


def _like(name: str, value: Any, before: Any) -> Any:
    """`value`, of the nesting, shapes and dtypes of `before`."""
    (found, tree), (wanted, shape) = flatten(value), flatten(before)
    if tree != shape:
        raise ShapeError(f"{name}: a value that is nested otherwise than the one before",
                         why="each step gives what the next one takes")  # fmt: skip
    for x, y in zip(found, wanted, strict=True):
        if type(x) is Tensor and type(y) is Tensor:
            if x.shape != y.shape:
                raise ShapeError(f"{name}: a value of shape {x.shape} after one of {y.shape}",
                                 why="shapes stay the same from step to step")  # fmt: skip
            if x.dtype != y.dtype:
                raise DTypeError(f"{name}: a value of {x.dtype.name} after one of {y.dtype.name}",
                                 why="dtypes stay the same from step to step",
                                 instead="astype(...)")  # fmt: skip
    return value


# Conditions ---------------------------------------------------------------------------------


def _differs(condition: Any) -> bool:
    """Whether a condition differs within the batch of a `vmap` around."""
    if type(condition) is not Tensor:
        return False
    differs = getattr(door.state.mode, "differs", None)
    return differs is not None and differs(condition)


def _check_condition(name: str, condition: Tensor) -> None:
    if condition.dtype != bool_:
        raise DTypeError(f"{name} with a condition of {condition.dtype.name}",
                         instead="a comparison, such as x != 0")  # fmt: skip
    if condition.shape != ():
        raise ShapeError(f"{name} with a condition of shape {condition.shape}",
                         instead="one of shape (); df.where chooses by element")  # fmt: skip


def _truth(name: str, condition: Any) -> bool:
    if type(condition) is Tensor:
        if condition.dtype != bool_ or condition.size != 1:
            _check_condition(name, condition)
    elif not isinstance(condition, bool):
        raise DTypeError(f"{name} with a condition of type {type(condition).__name__}",
                         instead="a bool or a boolean tensor of shape ()")  # fmt: skip
    return condition if type(condition) is bool else door.truth(condition)


def _any_of_batch(condition: Tensor) -> bool:
    """Whether a condition holds for any of the batches around."""
    mode: Any = door.state.mode
    return mode.around(_holds_for_any, mode.cell(condition).value)


def _holds_for_any(conditions: Tensor) -> bool:
    found = reduction.any(conditions)
    return _any_of_batch(found) if _differs(found) else _truth("while_loop", found)


def _chosen(name: str, condition: Tensor, found: Any, other: Any) -> Any:
    """`found` where the condition holds, else `other`, leaf by leaf."""
    (xs, tree), (ys, _) = flatten(_like(name, found, other)), flatten(other)
    return unflatten(tree, [p.where.of(condition, x, y) for x, y in zip(xs, ys, strict=True)])
