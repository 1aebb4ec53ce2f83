"""The eager mode: every operation is computed by NumPy when it is called.

Operands go to NumPy unexpanded wherever NumPy's own result has the rule's dtype. The rules are
asked only when NumPy refuses, to say why.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dualflow.base.errors import DTypeError, DualflowError, InPlaceError
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType, View
from dualflow.ops.promotion import SCALARS, operand_dtypes, plan

from .storage import held_back
from .tensor import Tensor

_wrap = Tensor._wrap
_ndarray = np.ndarray
#: (op, dtype or scalar type of each operand) -> None: hand to NumPy; else: cast to these first
_plans: dict[tuple[Any, ...], tuple[np.dtype, ...] | None] = {}


class EagerMode:
    """See `ops.door.Mode`."""

    name = "eager"

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        if held_back:
            _let_through(inputs)
        arrays = [x._array if x._array is not None else x.array for x in inputs]
        try:
            made = op.numpy(*arrays, **attributes)
        except DualflowError:
            raise
        except Exception:
            op.infer(tuple(TensorType(a.shape, a.dtype) for a in arrays), attributes)
            raise
        if op.view is not None:
            x = arrays[0]
            if x.flags.c_contiguous or op.view(view_of(x), **attributes) is not None:
                return Tensor._wrap_view(made, inputs[0], op, attributes)
        if type(made) is tuple:
            return tuple(_own(array) for array in made)
        return _own(made)

    def elementwise(self, op: Op, operands: tuple[Any, ...]) -> Any:
        if held_back:
            _let_through(operands)
        values = []
        kinds: list[Any] = [op]
        for x in operands:
            kind = type(x)
            if kind is Tensor:
                x = x._array if x._array is not None else x.array
                kind = x.dtype
            values.append(x)
            kinds.append(kind)
        try:
            dtypes = _plans[tuple(kinds)]
        except KeyError:
            dtypes = _learn(op, tuple(kinds[1:]))
        try:
            if dtypes is not None:
                values = [
                    x.astype(dtype, copy=False) if type(x) is _ndarray else np.asarray(x, dtype)
                    for x, dtype in zip(values, dtypes, strict=True)
                ]
            made = op.numpy(*values)
        except (ValueError, TypeError, OverflowError):
            plan(op, operands)
            raise
        return _own(made)

    def write(self, target: Any, value: Any) -> None:
        array = target._array if target._array is not None else target.array
        if not array.flags.writeable:
            raise read_only(target)
        if held_back:
            _let_through((value,))
        source = value._array if value._array is not None else value.array
        storage = target._memory()
        if storage.note is not None:
            storage.note.changing(storage)
        np.copyto(array, source)
        storage.version += 1

    def draw(self, generator: Any) -> Any:
        state = np.array([generator.key, generator.counter], np.uint64)
        generator.counter += 1
        return _wrap(state)

    def values(self, tensor: Any) -> Any:
        array = tensor._array
        if array is None:  # made in a co-executed call
            array = tensor._pending.force(tensor)
        storage = tensor._storage
        if storage is not None and storage.note is not None:
            storage.note.changing(storage)  # the caller may hand the memory out
        return array


def _let_through(operands: tuple[Any, ...]) -> None:
    """Have writes done that co-executed calls of other threads hold back from `operands`."""
    for x in operands:
        if type(x) is Tensor and x._storage is not None and x._storage.note is not None:
            x._storage.note.reading(x._storage)


def _own(made: Any) -> Tensor:
    """The tensor of a result. It lies row-major, as a compiled program's do: NumPy keeps the order
    of transposed operands, and then a reshape of the result would copy here and be a view there."""
    if type(made) is not _ndarray:
        made = np.asarray(made)
    return _wrap(made if made.flags.c_contiguous else made.copy())


def _learn(op: Op, kinds: tuple[Any, ...]) -> tuple[np.dtype, ...] | None:
    """Whether NumPy's own promotion gives the rule's dtype: tried on empty arrays, once."""
    dtypes = operand_dtypes(op, kinds)
    (out,) = op.infer(tuple(TensorType((0,), dtype) for dtype in dtypes), {})
    wanted = out.dtype
    found: tuple[np.dtype, ...] | None = dtypes
    same = all(
        kind == dtype if kind not in SCALARS else kind is not int
        for kind, dtype in zip(kinds, dtypes, strict=True)
    )
    # a boolean result tells nothing of how NumPy promoted, nor that it took 300 beside uint8
    if same or wanted.kind != "b":
        trial = [np.empty(0, kind) if kind not in SCALARS else kind(1) for kind in kinds]
        try:
            if op.numpy(*trial).dtype == wanted:
                found = None
        except TypeError:
            pass  # NumPy has no such loop: the plan's casts give it one
    _plans[(op, *kinds)] = found
    return found


def view_of(array: np.ndarray) -> View:
    """The view of `array` in its own buffer; strides that are no whole elements give None-like
    strides, which no rule merges."""
    size = array.itemsize
    return View(array.shape, tuple(stride // size for stride in array.strides))


def read_only(target: Any) -> DualflowError:
    """The error for a write to `target`, whose memory must not be written."""
    return InPlaceError(
        f"a write to a read-only tensor of shape {target.shape}",
        why="it is a view made by expand or broadcast_to, or adopted from a read-only array",
        instead="copy() it first",
    )


def fits(value: np.dtype, target: np.dtype) -> None:
    """DTypeError if storing `value` into `target` would lose its kind (float into integer)."""
    if not np.can_cast(value, target, "same_kind"):
        raise DTypeError(f"storing {value.name} into {target.name}",
                         instead=f"astype({target.name}) first")  # fmt: skip
