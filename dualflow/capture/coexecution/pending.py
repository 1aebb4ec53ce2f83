"""Pending values: what a tensor holds while its segment has not run, and how it gets its array.

    Cell  = memory that a pending operation makes (a root), or a view of such memory
    Watch = on a storage: the runs that still need what its memory holds

Comes in: cells made by the co-executing mode. Goes out: arrays, at a flush or when they are asked
for later, from any mode and any thread.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol, final
from weakref import ref

import numpy as np

from dualflow.array import arrays
from dualflow.array.storage import Storage
from dualflow.array.tensor import Tensor
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType, View
from dualflow.ops.devices import Device

from ..node_builder import infer
from .segments import Record

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
        if key in self.views:
            return self.views[key]
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


class Execution(Protocol):
    """What cells and watches know of a `run.Run`."""

    written: dict[Storage, Any]

    def flush(self, cause: str) -> None:
        """Run the segment now, if it is open."""
        ...

    def recompute(self, cell: Cell) -> None:
        """Compute a cell that was not stored."""
        ...

    def leave(self, storage: Storage) -> None:
        """Need the memory of `storage` no more: it is about to change."""
        ...


class Cell:
    """What a pending tensor holds (`_pending`), shared by its aliases.

    Attributes:
        run: the run that makes it, while it is pending; None for a view.
        slot: its current value in that run: a write moves it on.
        array: its memory, once computed.
        place: the GPU on which that lies, or will; None: the CPU.
        root: of a view: the cell of the memory; None for a root.
        form: see `Form`; found when first a view is made.
        stamp: of a view: the slot of the root that `slot` shows.
        record: while it is to be learned whether the value is used after its segment ran.
    """

    run: Execution | None = None
    slot: int = -1
    type: TensorType
    array: np.ndarray | None = None
    place: Device | None = None
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
                    array = arrays.shown(op, array, attributes)
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
        self.runs: list[ref[Execution]] = []

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
