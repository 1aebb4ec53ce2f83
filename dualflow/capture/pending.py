"""Pending values: what a tensor holds while its segment has not run, and how it gets its array.

    Cell  = memory that a pending operation makes (a root), or a view of such memory
    Run   = one execution of a segment: open, then closed; kept by cells that it did not store
    Watch = on a storage: the runs that still need what its memory holds

Comes in: cells made by the co-executing mode. Goes out: arrays, at a flush or when they are asked
for later, from any mode and any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, final
from weakref import ref

import numpy as np

from dualflow.array.storage import Storage, held_back
from dualflow.array.tensor import Tensor
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType, View
from dualflow.ops.views import Chain

from .notes import infer
from .segments import Record, Stats, Step

#: Held while anything pending changes: an operation is noted, a segment runs, a value is fetched.
lock = threading.RLock()


@final
class Form:
    """A type and where its elements lie in the root; with the forms of views of it."""

    __slots__ = ("type", "view", "views")

    def __init__(self, type_: TensorType, view: View) -> None:
        self.type, self.view = type_, view
        self.views: dict[Any, Form | None] = {}

    def viewed(self, op: Op, attributes: dict[str, Any]) -> Form | None:
        """The form of a view of this; None where `op` must copy. Raises what the rule raises."""
        key = (op, *attributes, *attributes.values())
        try:
            return self.views[key]
        except KeyError:
            (type_,) = infer(op, (self.type,), attributes)
            assert op.view is not None
            view = op.view(self.view, **attributes)
            made = self.views[key] = None if view is None else Form(type_, view)
            return made


_forms: dict[TensorType, Form] = {}


def form_of(type_: TensorType) -> Form:
    """The form of a root: row-major."""
    form = _forms.get(type_)
    if form is None:
        form = _forms[type_] = Form(type_, View.contiguous(type_.shape))
    return form


class Cell:
    """What a pending tensor holds (`_pending`), shared by its aliases.

    Attributes:
        run: the run that makes it, while it is pending; None for a view.
        slot: its current value in that run: a write moves it on.
        array: its memory, once computed.
        root: of a view: the cell of the memory; None for a root.
        form: see `Form`; found when first a view is made.
        stamp: of a view: the slot of the root that `slot` shows.
        record: while it is to be learned whether the value is used after its segment ran.
    """

    run: Run | None = None
    slot: int = -1
    type: TensorType
    array: np.ndarray | None = None
    root: Cell | None = None
    form: Form | None = None
    stamp: int = -1
    record: Record | None = None

    def force(self, tensor: Tensor) -> np.ndarray:
        """Give `tensor`, which holds this cell, its array."""
        with lock:
            root = self if self.root is None else self.root
            array = root.array
            if array is None:
                array = root.compute()
            if root.record is not None:
                root.record.used.add(root.slot)
                root.record = None
            if self.root is not None:
                for op, attributes in tensor._view:
                    array = op.numpy(array, **attributes)
            tensor._array, tensor._pending = array, None
            if tensor._storage is not None:
                tensor._storage.array = root.array
            return array

    def compute(self) -> np.ndarray:
        """The memory of a root, by running its segment or computing it alone."""
        run = self.run
        assert run is not None
        run.flush("a value was read outside of the call")
        if self.array is None:
            run.recompute(self)
        assert self.array is not None
        return self.array


@final
class Watch:
    """The runs that read a storage's memory and still need it: open, or kept by cells."""

    __slots__ = ("runs",)

    def __init__(self) -> None:
        self.runs: list[ref[Run]] = []

    def reading(self, storage: Storage) -> None:
        """The memory is about to be read by a mode that knows nothing of pending writes."""
        with lock:
            for reference in list(self.runs):
                run = reference()
                if run is not None and storage in run.written:
                    run.flush("memory written to was read by another thread")

    def changing(self, storage: Storage) -> None:
        """The memory is about to be overwritten, or handed to code that can overwrite it."""
        if not self.runs:
            return
        with lock:
            for reference in list(self.runs):
                run = reference()
                if run is None:
                    self.runs.remove(reference)
                else:
                    run.leave(storage)


@final
class Region:
    """Memory from outside that an open run has overwritten: `chain` leads to it from its root."""

    __slots__ = ("array", "chain", "slot", "storage", "type")

    def __init__(self, storage: Storage, array: np.ndarray, chain: Chain) -> None:
        self.storage, self.array, self.chain = storage, array, chain
        self.type = TensorType(array.shape, array.dtype)
        self.slot = -1  # of its current value; -1 while it was not read


@final
class Run:
    """One execution of a segment.

    Attributes:
        step: the last step so far.
        cells: the roots that it makes, while it is open.
        arrays: the inputs so far; `storages` of them where somebody may write to them.
        bound: the slots of inputs, by id of array.
        written: memory from outside that is overwritten, by storage.
    """

    __slots__ = (
        "__weakref__", "_flush", "_unstored", "arrays", "bound", "cells", "open", "record", "self",
        "stats", "step", "storages", "written",
    )  # fmt: skip

    def __init__(self, root: Step, stats: Stats, flush: Callable[[str], None]) -> None:
        self.step, self.stats = root, stats
        self._flush: Callable[[str], None] | None = flush
        self.cells: list[Cell] = []
        self.arrays: list[Any] = []
        self.storages: list[Storage | None] = []
        self.bound: dict[int, int] = {}
        self.written: dict[Storage, list[Region]] = {}
        self.open = True
        self.record: Record | None = None
        self._unstored: tuple[ref[Cell], ...] = ()
        self.self = ref(self)

    def flush(self, cause: str) -> None:
        """Run the segment now, if it is open."""
        if self._flush is not None:
            self._flush(cause)

    def close(self) -> None:
        """Take no more steps."""
        self.open, self._flush = False, None
        if self.written:
            held_back.remove(self)

    def watch(self, storage: Storage) -> None:
        """Be told before the memory of `storage` changes."""
        watch = storage.note
        if watch is None:
            watch = storage.note = Watch()
        if self.self not in watch.runs:
            watch.runs.append(self.self)

    def unwatch(self) -> None:
        """Need no memory from outside any more."""
        mine = self.self
        for storage in (*self.storages, *self.written):
            if storage is not None and mine in storage.note.runs:
                storage.note.runs.remove(mine)

    def leave(self, storage: Storage) -> None:
        """Need the memory of `storage` no more: it is about to change."""
        if self.open and storage in self.written:
            self.flush("memory written to was read or exported")
        kept = False
        for i, other in enumerate(self.storages):
            if other is storage and self.arrays[i] is not None:
                array = self.arrays[i]
                self.bound.pop(id(array), None)
                self.arrays[i] = array.copy(order="K")
                self.storages[i] = None
                self.stats.copies += 1
                kept = True
        if self.self in storage.note.runs:
            storage.note.runs.remove(self.self)
        if kept and not self.open and self.record is not None:
            # storing the values costs less than copying what they are computed from
            cells = [cell for cell in (reference() for reference in self._unstored) if cell]
            self.record.used.update(cell.slot for cell in cells if cell.array is None)

    def keep(self, record: Record, unstored: list[Cell]) -> None:
        """Close, but stay able to compute the cells `unstored`, which hold this run."""
        self.record = record
        self._unstored = tuple(map(ref, unstored))
        needed = record.inputs({cell.slot for cell in unstored})
        self.unwatch()
        for i in range(len(self.arrays)):
            if i not in needed:
                self.arrays[i] = self.storages[i] = None
        for storage in {s for s in self.storages if s is not None}:
            self.watch(storage)

    def recompute(self, cell: Cell) -> None:
        """Compute a cell that was not stored."""
        assert self.record is not None
        made = self.record.interpret((cell.slot,), self.arrays)
        cell.array = owned(made[cell.slot])
        self.record.used.add(cell.slot)
        self.stats.recomputed += 1
        cell.run = None


def owned(array: np.ndarray) -> np.ndarray:
    """`array`, which an op has just made, as row-major memory of its own."""
    if array.base is None and array.flags.c_contiguous:
        return array
    return array.copy(order="C")
