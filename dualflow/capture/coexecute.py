"""Co-execution: Python runs, its array operations become fused programs.

Every operation becomes the next step of the open segment and returns a pending tensor. Where
Python needs a value the segment runs: the first time by the eager mode, with all live values
stored; from then on as one compiled program that stores what is used later. The key of a segment
is the chain of its steps, so a call that goes another way merely finds another segment.

Comes in: a call. Goes out: what the eager call would give.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, final

import numpy as np
from numpy._core import umath

from dualflow.array.eager import EagerMode, read_only, view_of
from dualflow.array.tensor import Tensor
from dualflow.base.source import user_line
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.promotion import plan

from .execution import Execution
from .notes import attributes_key, infer
from .pending import Cell, form_of, lock
from .run import Run
from .segments import Segments
from .steps import Constant, Hidden, Step

T = TypeVar("T")
#: A segment of this many slots runs, whether or not a value is needed.
LONGEST = 4_000

_new = object.__new__
_eager = EagerMode()
_FULL = p.full.op
_INEXACT = (float, bool, np.floating)
#: gives another object whenever np.errstate or np.seterr changed something: 30 times faster to ask
#: than np.geterr()
_error_state: Callable[[], Any] = umath._extobj_contextvar.get


def coexecute(segments: Segments, call: Callable[[], T], *, wait: bool = False) -> T:
    """The result of `call()`, whose array operations run as fused programs.

    Inside another co-executed call of this thread its operations join the outer segments.

    Args:
        segments: what earlier calls of the same function have shown; grows.
        call: runs the user's function.
        wait: wait for programs instead of running segments eagerly while they are compiled; the
            programs that a first call needs next time are then compiled before it returns.

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
        door.state.mode.flush("array memory was needed as a whole")


@final
class CoexecuteMode:
    """The door mode of one co-executed call; see `ops.door.Mode`."""

    name = "co-execute"

    def __init__(self, segments: Segments, wait: bool = False) -> None:
        segments.forget()
        self.segments = segments
        self._execution = Execution(segments.stats, wait)
        self._run = Run(segments, self.flush)
        self._errors_seen: Any = None  # NumPy's state of error handling, as last looked at
        self._strict = False  # whether that state has floating-point errors told

    # The door -------------------------------------------------------------------------------

    def elementwise(self, op: Op, operands: tuple[Any, ...]) -> Any:
        if _error_state() is not self._errors_seen:
            self._look_at_errors()
        if self._strict:
            self._settle_all(operands, "floating-point errors are told")
            return _eager.elementwise(op, operands)
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
                        key.append(x or repr(x))
                cell, tensor, found = Cell(), _new(Tensor), tuple(key)
                if not run.open:
                    continue  # finding a slot has run the segment
                step = run.step.next.get(found)
                if step is None:
                    step = self._elementwise_step(run, op, operands, found)
                    if step.parent is not run.step or not run.open:
                        continue  # a finalizer has added steps meanwhile
                if scalars and step.hidden:
                    run.hide(_hidden(step, op, operands))
                run.step = step
                cell.slot = step.slot
                cell.type = step.types[0]
                cell.run = run
                run.cells.append(cell)
                tensor._pending = cell
                if step.slot > LONGEST:
                    self.flush("the segment became long")
                return tensor

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        if _error_state() is not self._errors_seen:
            self._look_at_errors()
        if op.may_raise or self._strict:
            self._settle_all(inputs, f"{op.name} may raise")
            return _eager.apply(op, inputs, attributes)
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
                step = run.step.next.get(found)
                if step is None:
                    types = infer(op, tuple([TensorType(x.shape, x.dtype) for x in inputs]),
                                  attributes)  # fmt: skip
                    slots = tuple(key[1 : 1 + len(inputs)])
                    step = run.add(found, op, slots, attributes, types)
                    if step.parent is not run.step or not run.open:
                        continue
                return self._made(run, step)

    def write(self, target: Any, value: Any) -> None:
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
            return tensor._array

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
        """Tensors for the slots of `step`, which becomes the last one."""
        made = []
        for type_ in step.types:
            cell, tensor = Cell(), _new(Tensor)
            cell.type, cell.run, tensor._pending = type_, run, cell
            made.append(tensor)
        run.step = step
        slot = step.slot
        for tensor in made:
            cell = tensor._pending
            cell.slot = slot
            slot += 1
            run.cells.append(cell)
        if slot > LONGEST:
            self.flush("the segment became long")
        return made[0] if step.op.outputs == 1 else tuple(made)  # type: ignore[union-attr]

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
        return run.add(general if varies else key, op, tuple(found), None, (type_,))

    def _full(self, attributes: dict[str, Any]) -> Any:
        """A constant tensor, whose value becomes an input once it varies."""
        with lock:
            run = self._run
            parent = run.step
            shape, value, dtype = attributes["shape"], attributes["value"], attributes["dtype"]
            general = (_FULL, shape, dtype, type(value))
            key = (*general, value or repr(value))
            step = parent.next.get(key) or parent.next.get(general)
            if step is None:
                types = infer(_FULL, (), attributes)
                place = user_line(), _FULL
                varies = self.segments.varies(parent, general, key, place)
                hidden = (Hidden(parent.inputs, dtype),) if varies else ()
                step = run.add(general if varies else key, _FULL, hidden, attributes, types)
            if step.hidden:
                try:
                    run.hide([np.asarray(value, dtype)])
                except OverflowError:
                    infer(_FULL, (), attributes)  # says more clearly that it does not fit
                    raise
            return self._made(run, step)

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
        if not array.flags.c_contiguous:
            infer(op, (TensorType(array.shape, array.dtype),), attributes)
            if op.view(view_of(array), **attributes) is None:  # type: ignore[misc]
                return None
        try:
            made = op.numpy(array, **attributes)
        except Exception:
            infer(op, (TensorType(array.shape, array.dtype),), attributes)
            raise
        return Tensor._wrap_view(made, x, op, attributes)

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
        part.root, part.form, part.type = root, seen, seen.type
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
        if not target._array.flags.writeable:
            raise read_only(target)
        if not target._memory().exposed:
            return run.write(target, value)
        self._settle(value, "memory that other code can see was written to")
        np.copyto(target._array, value._array)
        return True

    # Running --------------------------------------------------------------------------------

    def flush(self, cause: str) -> None:
        """Run the open segment: store values, carry out writes."""
        with lock:
            run = self._run
            if run.step is self.segments.root and not run.written:
                return
            stats = self.segments.stats
            stats.syncs[user_line(), cause] += 1
            self._run = Run(self.segments, self.flush)
            run.close()
            self._execution.execute(run)

    def finish(self) -> None:
        """End the call: run what is pending, learn what outlives it."""
        with lock:
            try:
                self.flush("the call ended")
            finally:
                self._run.close()
                self._execution.learn()


def _attribute_values(attributes: dict[str, Any]) -> Any:
    for value in attributes.values():
        if isinstance(value, _INEXACT):
            return attributes_key(attributes)
    return attributes.values()


def _without_scalars(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """An elementwise key with None for the value of each scalar."""
    found = list(key)
    for i in range(1, len(key)):
        if type(key[i - 1]) is type:
            found[i] = None
    return tuple(found)


def _hidden(step: Step, op: Op, operands: tuple[Any, ...]) -> list[np.ndarray]:
    """The Python scalars among `operands`, which are inputs of `step`."""
    scalars = [x for x in operands if type(x) is not Tensor]
    try:
        return [np.asarray(x, h.dtype) for x, h in zip(scalars, step.hidden, strict=True)]
    except OverflowError:
        plan(op, operands)  # says more clearly that an integer does not fit
        raise


def _check_writable(target: Any) -> None:
    if any(op.update is None for op, _ in target._view):
        raise read_only(target)
