"""Co-execution: Python runs, its array operations become fused programs.

Every operation becomes the next step of the open segment and returns a pending tensor. Where
Python needs a value the segment runs: the first time with all live values stored, and by the eager
mode unless programs are waited for; from then on as one compiled program that stores what is used
later. The key of a segment is the chain of its steps, so a call that goes another way merely finds
another segment.

Comes in: a call. Goes out: what the eager call would give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, final

import numpy as np
from numpy._core import umath

from dualflow.array.arrays import is_writeable, shown, write
from dualflow.array.eager import EagerMode, read_only, view_of
from dualflow.array.tensor import Tensor
from dualflow.base import config
from dualflow.base.errors import refusal
from dualflow.base.interrupts import interrupts
from dualflow.base.source import uncounted, user_line
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.door import away
from dualflow.ops.promotion import plan

from ..node_builder import attributes_key, infer
from .execution import Execution, complete
from .pending import Cell, form_of, lock
from .run import Run, is_exposed
from .segments import Segments
from .steps import Constant, Hidden, Step

T = TypeVar("T")
#: A segment of this many slots runs, whether or not a value is needed.
LONGEST = 4_000

_new = object.__new__
_eager = EagerMode()
_FULL = p.full.op
#: types of attributes among whose values some compare equal that are not the same
_INEXACT = frozenset({float, complex, bool, np.float16, np.float32, np.float64, np.bool_})
#: gives another object whenever np.errstate or np.seterr changed something: 30 times faster to ask
#: than np.geterr()
_error_state: Callable[[], Any] = umath._extobj_contextvar.get


@uncounted
def coexecute(segments: Segments, call: Callable[[], T], *, wait: bool = False) -> T:
    """The result of `call()`, whose array operations run as fused programs.

    Inside another co-executed call of this thread its operations join the outer segments.

    Args:
        segments: what earlier calls of the same function have shown; grows.
        call: runs the user's function.
        wait: wait for programs instead of running segments eagerly while they are compiled; those
            that a first call needs next time are then compiled before it returns, too.

    Raises:
        CompileError: the compiler failed, with on_compiler_error="raise".
    """
    before = door.state.mode
    if type(before) is CoexecuteMode:
        return call()
    mode = CoexecuteMode(segments, wait)
    door.state.mode = mode
    try:
        return call()
    finally:
        door.state.mode = before
        mode.finish()


def settle() -> None:
    """Run what is pending in this thread's co-executed call, if there is one: for code that reads
    the memory of tensors without asking the mode."""
    if type(door.state.mode) is CoexecuteMode:
        door.state.mode.flush("array memory was needed as a whole, or settings change")


config.leaving.append(settle)


@final
class CoexecuteMode:
    """The door mode of one co-executed call; see `ops.door.Mode`."""

    name = "co-execute"

    def __init__(self, segments: Segments, wait: bool = False) -> None:
        segments.forget()
        self.segments = segments
        self._execution = Execution(segments.stats, wait, segments.audit)
        segments.audit = None
        self._run = Run(segments, self.flush)
        self._errors_seen: Any = None  # NumPy's state of error handling, as last looked at
        self._strict = False  # whether that state has floating-point errors told

    # The door -------------------------------------------------------------------------------

    def elementwise(self, op: Op, operands: tuple[Any, ...]) -> Any:
        if _error_state() is not self._errors_seen:
            self._look_at_errors()
        if op.may_raise or self._strict:
            self._settle_all(operands, f"{op.name} may raise")
            self.segments.stats.ran(1, fused=False)
            return _eager.elementwise(op, operands)
        if away:
            self._turn(op, operands)
        with lock:
            while True:
                run = self._run
                key: list[Any] = [op]
                scalars = False
                for x in operands:
                    if type(x) is Tensor:
                        cell = x._pending
                        if cell is not None and cell.run is run:
                            key.append(cell.slot)
                        else:
                            key.append(run.slot_of(x))
                    else:
                        scalars = True
                        key.append(type(x))
                        key.append(x if x and type(x) is not complex else repr(x))
                cell, tensor, found = Cell(), _new(Tensor), tuple(key)
                if not run.open:
                    continue  # finding a slot has run the segment
                step = run.step.next.get(found)
                if step is None:
                    step = self._elementwise_step(run, op, operands, found)
                if scalars and step.hidden:
                    scalars = [x for x in operands if type(x) is not Tensor]
                    run.hide(_hidden(scalars, (h.dtype for h in step.hidden), plan, op, operands))
                cell.slot = step.slot
                cell.type = step.types[0]
                cell.run = run
                if run.place is not None:
                    cell.place = run.place
                tensor._pending = cell
                if run.step is not step.parent or not run.open:
                    continue  # a finalizer has added steps meanwhile
                run.step = step  # up to here nothing has changed but unused inputs
                run.cells.append(cell)
                if step.slot > LONGEST:
                    self.flush("the segment became long")
                return tensor

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        if _error_state() is not self._errors_seen:
            self._look_at_errors()
        if self._strict or (op.may_raise and not self._in_bounds(op, inputs, attributes)):
            self._settle_all(inputs, f"{op.name} may raise")
            self.segments.stats.ran(1, fused=False)
            return _eager.apply(op, inputs, attributes)
        if away:
            self._turn(op, inputs)
        if op.view is not None:
            view = self._view(op, inputs[0], attributes)
            if view is not None:
                return view
        if op is _FULL:
            return self._full(attributes)
        with lock:
            while True:
                run = self._run
                key: list[Any] = [op]
                for x in inputs:
                    cell = x._pending
                    if cell is not None and cell.run is run:
                        key.append(cell.slot)
                    else:
                        key.append(run.slot_of(x))
                if attributes:
                    key += attributes
                    key += _attribute_values(attributes)
                found = tuple(key)
                if not run.open:
                    continue
                parent = run.step
                step = parent.next.get(found)
                if step is None:
                    types = infer(op, tuple([TensorType(x.shape, x.dtype) for x in inputs]),
                                  attributes)  # fmt: skip
                    slots = tuple(key[1 : 1 + len(inputs)])
                    step = run.add(parent, found, op, slots, attributes, types)
                made = self._made(run, step)
                if made is not None:
                    return made if op.outputs == 1 else tuple(made)

    def write(self, target: Any, value: Any) -> None:
        if away:
            self._turn(None, (target, value))
        with lock:
            while not self._write(target, value):
                pass  # the segment had to run first
            target._memory().version += 1

    def draw(self, generator: Any) -> Any:
        return _eager.draw(generator)

    def values(self, tensor: Any) -> Any:
        with lock:
            self._settle(tensor, "a value was read")
            storage = tensor._storage
            if storage is not None and storage.note is not None:
                storage.note.changing(storage)
            return tensor._array if not away else away[0].on_host(tensor._array)

    def _in_bounds(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> bool:
        """Whether `op` looks up or stores at indices that are at hand, all of which are there."""
        if op.kind is not Kind.INDEXING:
            return False
        x, indices = inputs[:2]
        array, storage, axis = indices._array, indices._storage, attributes["axis"]
        known = indices._pending is None and type(array) is np.ndarray and array.dtype.kind in "iu"
        if not known or storage in self._run.written or not -1 < axis < x.ndim:
            return False
        size = x.shape[axis]
        return not array.size or bool(-size <= array.min() and array.max() < size)

    def _turn(self, op: Op | None, operands: tuple[Any, ...]) -> None:
        """Have a segment open on the device where `op` is computed; DeviceError if there are
        several."""
        place = away[0].place(op, operands)
        if place != self._run.place:
            with lock:
                self.flush("operations on another device follow")
                self._run = Run(self.segments, self.flush, place)

    def _settle(self, x: Any, cause: str) -> None:
        """Give `x` its array, with all writes to it done."""
        cell = x._pending
        if cell is not None:
            root = cell if cell.root is None else cell.root
            if root.run is self._run:
                self.flush(cause)
            cell.force(x)
        storage = x._storage
        if storage is not None and storage in self._run.written:
            self.flush(cause)

    def _settle_all(self, operands: tuple[Any, ...], cause: str) -> None:
        """Give tensors their arrays, for an op that runs at its line, inside the user's `try`."""
        with lock:
            for x in operands:
                if type(x) is Tensor:
                    self._settle(x, cause)

    def _look_at_errors(self) -> None:
        """Whether NumPy is to tell of floating-point errors other than by a warning."""
        self._errors_seen = _error_state()
        self._strict = not {"ignore", "warn"}.issuperset(np.geterr().values())

    # Steps ----------------------------------------------------------------------------------

    def _made(self, run: Run, step: Step) -> Any:
        """The tensor for the slot of `step`, which becomes the last one; a list of tensors unless
        it has one output. None if meanwhile a finalizer has added steps."""
        cell, tensor = Cell(), _new(Tensor)
        tensor._pending = cell
        cell.slot, cell.type, cell.run, cell.place = step.slot, step.types[0], run, run.place
        cells, made = [cell], tensor
        if step.op.outputs != 1:  # type: ignore[union-attr]
            cells, made = _several(run, step)
        if run.step is not step.parent or not run.open:
            return None
        run.step = step
        run.cells += cells
        if step.slot > LONGEST:
            self.flush("the segment became long")
        return made

    def _elementwise_step(
        self, run: Run, op: Op, operands: tuple[Any, ...], key: tuple[Any, ...]
    ) -> Step:
        """The step for a key not met here before. Raises what the op's rule raises."""
        parent = run.step
        dtypes, shape = plan(op, operands)
        general = _without_scalars(key)
        step = parent.next.get(general)
        if step is not None:
            return step
        varies = self.segments.varies(parent, general, key, (user_line(), op))
        slots = iter(key[1:])
        found: list[Any] = []
        index = parent.inputs
        for x, dtype in zip(operands, dtypes, strict=True):
            slot = next(slots)
            if type(x) is Tensor:
                found.append(slot)
                continue
            next(slots)
            found.append(Hidden(index, dtype) if varies else Constant(x))
            index += varies
        (type_,) = op.infer(tuple(TensorType(shape, dtype) for dtype in dtypes), {})
        return run.add(parent, general if varies else key, op, tuple(found), None, (type_,))

    def _full(self, attributes: dict[str, Any]) -> Any:
        """A constant tensor, whose value becomes an input once it varies."""
        shape, value, dtype = attributes["shape"], attributes["value"], attributes["dtype"]
        general = (_FULL, shape, dtype, type(value))
        key = (*general, value if value and type(value) is not complex else repr(value))
        with lock:
            while True:
                run = self._run
                parent = run.step
                step = parent.next.get(key) or parent.next.get(general)
                if step is None:
                    types = infer(_FULL, (), attributes)
                    place = user_line(), _FULL
                    varies = self.segments.varies(parent, general, key, place)
                    hidden = (Hidden(parent.inputs, dtype),) if varies else ()
                    step = run.add(
                        parent, general if varies else key, _FULL, hidden, attributes, types
                    )
                if step.hidden:
                    run.hide(_hidden([value], [dtype], infer, _FULL, (), attributes))
                made = self._made(run, step)
                if made is not None:
                    return made

    # Views and writes -----------------------------------------------------------------------

    def _view(self, op: Op, x: Any, attributes: dict[str, Any]) -> Any:
        """The view of `x`; None where `op` must copy."""
        cell = x._pending
        if cell is not None:
            root = cell if cell.root is None else cell.root
            if root.run is self._run:
                return self._pending_view(op, x, cell, root, attributes)
            with lock:
                cell.force(x)
        array = x._array
        if not array.flags.c_contiguous or type(array) is not np.ndarray:
            infer(op, (TensorType(array.shape, array.dtype),), attributes)
            if op.view(view_of(array), **attributes) is None:  # type: ignore[misc]
                return None
        try:
            made = shown(op, array, attributes)
        except Exception:
            type_ = TensorType(array.shape, array.dtype)
            refused = refusal(infer, op, (type_,), attributes)
            if refused is None:
                raise
        else:
            return Tensor._wrap_view(made, x, op, attributes)
        try:
            raise refused
        finally:
            del refused

    def _pending_view(
        self, op: Op, x: Any, cell: Cell, root: Cell, attributes: dict[str, Any]
    ) -> Any:
        form = cell.form
        if form is None:
            form = cell.form = form_of(cell.type)
        seen = form.viewed(op, attributes)
        if seen is None:
            return None
        view = Tensor._wrap_view(None, x, op, attributes)
        part = view._pending = Cell()
        part.root, part.form, part.type, part.place = root, seen, seen.type, root.place
        return view

    def _write(self, target: Any, value: Any) -> bool:
        """Note a write, or carry it out; False if the segment had to run first."""
        run = self._run
        cell = target._pending
        if cell is not None:
            root = cell if cell.root is None else cell.root
            if root.run is run:
                _check_writable(target)
                return run.write(target, value)
            cell.force(target)
        if not is_writeable(target):
            raise read_only(target)
        storage = target._memory()
        if not (storage.exposed and is_exposed(target, storage)):
            return run.write(target, value)
        self._settle(value, "memory that other code can see was written to")
        write(target._array, value._array)
        return True

    # Running --------------------------------------------------------------------------------

    def flush(self, cause: str) -> None:
        """Run the open segment: store values, carry out writes."""
        with lock:
            run = self._run
            if run.step.parent is None and not run.written:
                return
            stats = self.segments.stats
            stats.syncs[user_line(), cause] += 1
            following = Run(self.segments, self.flush, run.place)
            try:
                self._run = following
                run.close()
                self._execution.execute(run)
            except BaseException as error:
                if interrupts(error):
                    complete(run)
                raise

    def finish(self) -> None:
        """End the call: run what is pending, learn what outlives it."""
        with lock:
            try:
                self.flush("the call ended")
            finally:
                self._run.close()
                self._execution.learn()


def _several(run: Run, step: Step) -> tuple[list[Cell], list[Any]]:
    """Cells and tensors for an op with several outputs."""
    cells, made = [], []
    for slot, type_ in zip(step.slots, step.types, strict=True):
        cell, tensor = Cell(), _new(Tensor)
        cell.slot, cell.type, cell.run, cell.place = slot, type_, run, run.place
        tensor._pending = cell
        cells.append(cell)
        made.append(tensor)
    return cells, made


def _attribute_values(attributes: dict[str, Any]) -> Any:
    for value in attributes.values():
        if type(value) in _INEXACT:
            return attributes_key(attributes)
    return attributes.values()


def _without_scalars(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """An elementwise key with None for the value of each scalar."""
    found = list(key)
    for i in range(1, len(key)):
        if type(key[i - 1]) is type:
            found[i] = None
    return tuple(found)


def _hidden(
    scalars: Iterable[Any], dtypes: Iterable[Any], rule: Callable[..., Any], *given: Any
) -> list[np.ndarray]:
    """Python scalars as inputs of these dtypes; the rule tells of one that does not fit."""
    try:
        return [np.asarray(x, dtype) for x, dtype in zip(scalars, dtypes, strict=True)]
    except OverflowError:
        refused = refusal(rule, *given)
        if refused is None:
            raise
    try:
        raise refused
    finally:
        del refused


def _check_writable(target: Any) -> None:
    if any(op.update is None for op, _ in target._view):
        raise read_only(target)
