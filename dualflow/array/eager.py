"""The eager mode: every operation is computed by NumPy when it is called.

Operands go to NumPy unexpanded wherever NumPy's own result has the rule's dtype. The rules are
asked only when NumPy refuses, to say why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dualflow.base.dtypes import NAMED, compute_dtype, float16, is_added, python_type, storable
from dualflow.base.errors import DTypeError, DualflowError, InPlaceError, refusal
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType, View
from dualflow.ops import door
from dualflow.ops.promotion import SCALARS, operand_dtypes, plan

from .arrays import is_writeable
from .storage import held_back
from .tensor import Tensor

away = door.away
_wrap = Tensor._wrap
_wrap_view = Tensor._wrap_view
_ndarray = np.ndarray
#: by the type of a dtype's elements the Python scalars that can be stored in it
_STORABLE: dict[type, frozenset[type]] = {
    bool: frozenset({bool}),
    int: frozenset({bool, int}),
    float: frozenset({bool, int, float}),
    complex: frozenset({bool, int, float, complex}),
}
#: (op, dtype or scalar type of each operand) -> None: hand to NumPy; else: cast to these first
_plans: dict[tuple[Any, ...], tuple[np.dtype, ...] | None] = {}
#: the same -> the dtype to which results are rounded that are computed in float32
_rounded: dict[tuple[Any, ...], np.dtype] = {}
_UNKNOWN: Any = object()
_PRODUCT = Kind.CONTRACTION


class EagerMode:
    """See `ops.door.Mode`."""

    name = "eager"

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        if held_back:
            _let_through(inputs)
        arrays = _arrays_of(inputs)
        if away and (place := away[0].place(op, inputs)) is not None:
            made = away[0].apply(op, arrays, attributes, place)
            if op.view is None:
                return made if type(made) is tuple else _wrap(made)
            if away[0].is_part(made, arrays[0]):
                return _wrap_view(made, inputs[0], op, attributes)
            return _wrap(away[0].packed(made))
        try:
            narrow = NAMED or (op.kind is _PRODUCT and arrays[0].dtype == float16)
            made = (op.compute if narrow else op.numpy)(*arrays, **attributes)
        except DualflowError:
            raise
        except Exception:
            types = tuple(TensorType(a.shape, a.dtype) for a in arrays)
            refused = refusal(op.infer, types, attributes)
            if refused is None:
                raise
        else:
            return self._taken(op, made, inputs, arrays, attributes)
        try:
            raise refused  # not while NumPy's error is handled, which would be its context
        finally:
            del refused

    def _taken(self, op: Op, made: Any, inputs: Any, arrays: Any, attributes: Any) -> Any:
        """What NumPy made, as a tensor or several."""
        if op.view is not None:
            x = arrays[0]
            shared = x.flags.c_contiguous or _is_part(made, x)
            if shared is None:
                shared = op.view(view_of(x), **attributes) is not None
            if shared:
                return _wrap_view(made, inputs[0], op, attributes)
        if type(made) is _ndarray and made.flags.c_contiguous:
            return _wrap(made)
        if type(made) is tuple:
            return tuple(_own(array) for array in made)
        return _own(made)

    def elementwise(self, op: Op, operands: tuple[Any, ...]) -> Any:
        if held_back:
            _let_through(operands)
        if away and (place := away[0].place(op, operands)) is not None:
            return _wrap(away[0].elementwise(op, operands, place))
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
            dtypes = _UNKNOWN
        if dtypes is _UNKNOWN:
            dtypes = _learn(op, tuple(kinds[1:]))
        try:
            if dtypes is not None:
                values = [
                    x.astype(dtype, copy=False) if type(x) is _ndarray else np.asarray(x, dtype)
                    for x, dtype in zip(values, dtypes, strict=True)
                ]
                if NAMED and (wanted := _rounded.get(tuple(kinds))) is not None:
                    wide = [x.astype(compute_dtype(x.dtype), copy=False) for x in values]
                    return _own(op.numpy(*wide).astype(wanted, copy=False))
            made = op.numpy(*values)
        except (ValueError, TypeError, OverflowError):
            refused = refusal(plan, op, operands)
            if refused is None:
                raise
        else:
            return _own(made)
        try:
            raise refused  # not while NumPy's error is handled, which would be its context
        finally:
            del refused

    def write(self, target: Any, value: Any) -> None:
        array = target._array if target._array is not None else target.array
        gpu = away[0] if away and away[0].place(None, (target, value)) is not None else None
        if not (array.flags.writeable if gpu is None else is_writeable(target)):
            raise read_only(target)
        if held_back:
            _let_through((value,))
        source = value._array if value._array is not None else value.array
        storage = target._memory()
        if storage.note is not None:
            storage.note.changing(storage)
        if gpu is not None:
            gpu.write(array, source)
        else:
            np.copyto(array, source)
        storage.version += 1

    def part(self, x: Any, items: tuple[Any, ...]) -> Any:
        if held_back:
            _let_through((x,))
        array = x._array if x._array is not None else x.array
        try:
            made = array[items]
            if type(made) is not _ndarray:
                made = array[(*items, ...)]  # a view of one element, where NumPy gives its value
        except IndexError:
            return None
        return _wrap_view(made, x, array.shape, items)

    def pick(self, x: Any, items: tuple[Any, ...]) -> Any:
        if held_back:
            _let_through((x, *items))
        array = x._array if x._array is not None else x.array
        found = _arrays(items)
        if found is None:
            return None
        try:
            return _own(array[found])
        except IndexError:
            return None

    def put(self, x: Any, items: tuple[Any, ...], value: Any) -> bool:
        array = x._array if x._array is not None else x.array
        root = x if x._root is None else x._root
        found = _arrays(items)
        storage = x._memory()
        source = value
        if type(value) is Tensor:
            source = value._array if value._array is not None else value.array
            if source.dtype != array.dtype or value.requires_grad:
                return False
            if value._storage is storage and _is_handed_back(value, x, items):
                return True
            if (value._storage is storage or storage.exposed) and found is not items:
                return False  # NumPy minds overlaps of basic indices alone
        elif type(value) not in _STORABLE[python_type(array.dtype)]:
            return False
        if found is None or (root.requires_grad and door.state.grad_enabled):
            return False
        if held_back:
            _let_through((value, *items))
        if storage.note is not None:
            storage.note.changing(storage)
        try:
            array[found] = source
        except (IndexError, ValueError, TypeError, OverflowError):
            return False
        storage.version += 1
        return True

    def updated(self, op: Op, x: Any, y: Any) -> bool:
        array, other, kind = x._array, y, type(y)
        if held_back or array is None:
            return False
        if kind is Tensor:
            other = y._array
            if other is None or y.requires_grad:
                return False
            kind = other.dtype
        root = x if x._root is None else x._root
        if _plans.get((op, array.dtype, kind), ()) is not None:
            return False
        if root.requires_grad and door.state.grad_enabled:
            return False
        try:
            made = op.numpy(array, other)
            if made.dtype is not array.dtype or made.shape != array.shape:
                return False
            storage = x._memory()
            if storage.note is not None:
                storage.note.changing(storage)
            array[...] = made
        except (ValueError, TypeError, OverflowError):
            return False
        storage.version += 1
        return True

    def shaped(self, made: Any, shape: tuple[int, ...]) -> Any:
        return _wrap(made._array.reshape(shape))

    def compute(self, function: Any, tensors: Sequence[Any], *arguments: Any) -> Any:
        if held_back:
            _let_through(tuple(tensors))
        made = function(*_arrays_of(tensors), *arguments)
        if type(made) is _ndarray and made.flags.c_contiguous:
            return _wrap(made)
        return _own(made)

    def draw(self, generator: Any) -> Any:
        state = np.array([generator.key, generator.counter], np.uint64)
        generator.counter += 1
        place = door.state.device
        return _wrap(state if place is None else away[0].moved(state, place))

    def values(self, tensor: Any) -> Any:
        array = tensor._array
        if array is None:  # made in a co-executed call
            array = tensor._pending.force(tensor)
        storage = tensor._storage
        if storage is not None and storage.note is not None:
            storage.note.changing(storage)  # the caller may hand the memory out
        return array if not away or type(array) is _ndarray else away[0].on_host(array)


def _let_through(operands: tuple[Any, ...]) -> None:
    """Have writes done that co-executed calls of other threads hold back from `operands`."""
    for x in operands:
        if type(x) is Tensor and x._storage is not None and x._storage.note is not None:
            x._storage.note.reading(x._storage)


def _arrays_of(tensors: Sequence[Any]) -> Sequence[np.ndarray]:
    """The arrays of tensors; one or two, as nearly always, without a loop."""
    if len(tensors) == 1:
        array = tensors[0]._array
        return (array if array is not None else tensors[0].array,)
    if len(tensors) == 2:
        x, y = tensors
        a, b = x._array, y._array
        return (a if a is not None else x.array, b if b is not None else y.array)
    return [x._array if x._array is not None else x.array for x in tensors]


def _arrays(items: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Indices as NumPy takes them: the same tuple if there is no tensor among them; None if one of
    them is a single number, which NumPy would take for an int."""
    for item in items:
        if type(item) is Tensor:
            break
    else:
        return items
    found = []
    for item in items:
        if type(item) is Tensor:
            item = item._array if item._array is not None else item.array
            if item.ndim == 0:
                return None
        found.append(item)
    return tuple(found)


def _is_handed_back(value: Tensor, x: Tensor, items: tuple[Any, ...]) -> bool:
    """Whether `value` is `x[items]`: `x[items] += y` writes it, then stores it in itself."""
    chain = value._chain
    return type(chain) is list and chain[0] is x._chain and chain[1:] == [x.shape, items]


def _is_part(made: np.ndarray, of: np.ndarray) -> bool | None:
    """Whether `made` shows the memory of `of`; None where NumPy does not tell at once."""
    base = made.base
    if base is None:
        return False
    if base is of or base is of.base:
        return True
    return False if type(base) is _ndarray and base.flags.owndata else None


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
    # a boolean result tells nothing of how NumPy promoted, nor that it took 300 beside uint8; what
    # is no ufunc (where) wraps 300
    refuses = wanted.kind != "b" and (int not in kinds or isinstance(op.numpy, np.ufunc))
    if any(map(is_added, dtypes)):
        if not op.as_given:
            _rounded[(op, *kinds)] = wanted
    elif same or refuses:
        trial = [np.empty(0, kind) if kind not in SCALARS else kind(1) for kind in kinds]
        try:
            if op.numpy(*trial).dtype == wanted:
                found = None
        except TypeError:
            pass  # NumPy has no such loop: the plan's casts give it one
    _plans[(op, *kinds)] = found
    return found


def casts(kinds: tuple[Any, ...]) -> tuple[np.dtype, ...] | None:
    """To which dtypes an elementwise op casts its operands, of `kinds`: the op, then the dtypes and
    types of scalars. None: NumPy gets them as they are; empty: `elementwise` has seen no such."""
    return _plans.get(kinds, ())


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
    if not storable(value, target):
        raise DTypeError(f"storing {value.name} into {target.name}",
                         instead=f"astype({target.name}) first")  # fmt: skip
