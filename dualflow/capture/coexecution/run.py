"""Run: one execution of a segment, from its first step to its last value.

Comes in: tensors and ops of the open segment. Goes out: slots and steps; and, once the segment has
run, values that it did not store, computed when they are asked for. What it reads from outside is
held, and copied before somebody overwrites it; what it writes outside is held back as regions.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount
from typing import Any, final
from weakref import ref

import numpy as np

from dualflow.array.arrays import copied, moved, owned, write
from dualflow.array.storage import Storage, held_back, may_share
from dualflow.base.source import user_line
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType
from dualflow.ops import primitives as p
from dualflow.ops import views
from dualflow.ops.devices import Device

from ..node_builder import infer
from .pending import Cell, Watch
from .segments import Record, Segments
from .steps import Step, inputs, interpret, needed

#: A write into a part of memory of at most this many bytes is a write of the whole.
SMALL = 1 << 14
_CAST = p.cast.op


@final
class Slot:
    """A slot with its type, as `views.read` and `views.put` pass it on."""

    __slots__ = ("dtype", "shape", "slot")

    def __init__(self, slot: int, type_: TensorType) -> None:
        self.slot, self.shape, self.dtype = slot, type_.shape, type_.dtype


@final
class Region:
    """Memory from outside that an open run has overwritten: `chain` leads to it from its root."""

    __slots__ = ("array", "chain", "slot", "storage", "type")

    def __init__(self, storage: Storage, array: np.ndarray, chain: views.Chain) -> None:
        self.storage, self.array, self.chain = storage, array, chain
        self.type = TensorType(array.shape, array.dtype)
        self.slot = -1  # of its current value; -1 while it was not read


@final
class Run:
    """See the module.

    Attributes:
        step: the last step so far.
        open: whether it takes further steps.
        cells: the roots that it makes, while it is open.
        arrays: the inputs so far; `storages` of them where somebody may write to them.
        bound: the slots of inputs, by id of array.
        written: memory from outside that is overwritten, by storage.
        sources: what is to be written there, once it is computed.
        place: the GPU on which all of it lies; None: the CPU.
    """

    __slots__ = (
        "__weakref__", "_flush", "_record", "_unstored", "arrays", "bound", "cells", "open",
        "place", "segments", "self", "sources", "step", "storages", "written",
    )  # fmt: skip

    def __init__(
        self, segments: Segments, flush: Callable[[str], None], place: Device | None = None
    ) -> None:  # fmt: skip
        self.segments, self.place, self.step = segments, place, segments.root(place)
        self._flush: Callable[[str], None] | None = flush
        self.open = True
        self.cells: list[Cell] = []
        self.arrays: list[Any] = []
        self.storages: list[Storage | None] = []
        self.bound: dict[int, int] = {}
        self.written: dict[Storage, list[Region]] = {}
        self.sources: list[np.ndarray] | None = None
        self._record: Record | None = None
        self._unstored: tuple[ref[Cell], ...] = ()
        self.self = ref(self)

    def flush(self, cause: str) -> None:
        """Run the segment now, if it is open."""
        if self._flush is not None:
            self._flush(cause)

    # Operands: each may flush the run, which is then closed, and slots found before are void.

    def slot_of(self, x: Any) -> int:
        """The slot of the value that the tensor `x` shows now."""
        cell = x._pending
        if cell is not None:
            if cell.run is self:
                return cell.slot
            root = cell.root
            if root is not None and root.run is self:
                if cell.stamp != root.slot:
                    made = views.read(self.emit, Slot(root.slot, root.type), x._view)
                    cell.slot, cell.stamp = made.slot, root.slot
                return cell.slot
            cell.force(x)
            if not self.open:
                return -1
        storage = x._storage
        if storage is not None:
            if storage.exposed and is_exposed(x, storage):
                return self.input(copied(x._array), None)
            if self.written and storage in self.written:
                slot = self._written(x, self.written[storage])
                if slot is not None:
                    return slot
        array = x._array
        if self.place is not None and type(array) is np.ndarray:  # a single number of the CPU
            return self.input(moved(array, self.place), None)
        slot = self.bound.get(id(array))
        return slot if slot is not None else self._bind(array, storage or x._memory())

    def input(self, array: np.ndarray, storage: Storage | None) -> int:
        """The slot of a further input."""
        key = (None, array.shape, array.dtype)
        while True:
            parent = self.step
            step = parent.next.get(key)
            if step is None:
                step = self.add(parent, key, None, (), {}, (TensorType(array.shape, array.dtype),))
            self._hold([array], storage)
            if self.step is step.parent:  # else a finalizer has added steps meanwhile
                self.step = step
                return step.slot

    def hide(self, arrays: list[np.ndarray]) -> None:
        """Inputs without a slot: the hidden scalars of the step to come."""
        self._hold(arrays, None)

    def _hold(self, arrays: list[np.ndarray], storage: Storage | None) -> None:
        count = self.step.inputs
        if len(self.arrays) != count:  # left by an operation that was interrupted (control-C)
            del self.arrays[count:], self.storages[count:]
        self.arrays += arrays
        self.storages += [storage] * len(arrays)

    def _bind(self, array: np.ndarray, storage: Storage) -> int:
        self._watch(storage)
        slot = self.input(array, storage)
        self.bound[id(array)] = slot
        return slot

    def _written(self, x: Any, regions: list[Region]) -> int | None:
        """The slot of a tensor some of whose memory was written to; None if not its own part."""
        chain = x._view
        for region in regions:
            if chain[: len(region.chain)] == region.chain:
                base, rest = Slot(region.slot, region.type), chain[len(region.chain) :]
                return views.read(self.emit, base, rest).slot
        if _overlaps(x, regions):
            self.flush("memory written to in part was read as a whole")
            return -1
        return None

    # Steps ----------------------------------------------------------------------------------

    def add(
        self,
        parent: Step,
        key: Any,
        op: Op | None,
        operands: tuple[Any, ...],
        attributes: dict[str, Any] | None,
        types: tuple[TensorType, ...],
    ) -> Step:
        """A new step after `parent`, the last one; it does not yet become the last one."""
        step = Step(parent, op, operands, attributes, types, user_line())
        return self.segments.add(step, key)

    def emit(self, op: Op, *operands: Slot, **attributes: Any) -> Slot:
        """Go on by a step that no tensor stands for: reading or writing through a view."""
        key = (op, *[x.slot for x in operands], *attributes, *attributes.values())
        while True:
            parent = self.step
            step = parent.next.get(key)
            if step is None:
                types = infer(op, tuple(TensorType(x.shape, x.dtype) for x in operands), attributes)
                slots = tuple(x.slot for x in operands)
                step = self.add(parent, key, op, slots, attributes, types)
            made = Slot(step.slot, step.types[0])
            if self.step is step.parent:  # else a finalizer has added steps meanwhile
                self.step = step
                return made

    # Writes ---------------------------------------------------------------------------------

    def write(self, target: Any, value: Any) -> bool:
        """Note a write of `value` into what `target` shows; False if it has flushed the run
        instead. Neither is exposed memory."""
        slot = self.slot_of(value)
        if not self.open:
            return False
        cell = target._pending
        if cell is not None:
            root = cell if cell.root is None else cell.root
            chain = () if cell.root is None else target._view
            root.slot = self._put(Slot(root.slot, root.type), chain, slot, value)
            return True
        storage = target._memory()
        found = self._region(target, storage)
        if found is None:
            self.flush("memory written to in part was written to as a whole")
            return False
        region, rest = found
        if rest and region.slot < 0:
            bound = self.bound.get(id(region.array))
            region.slot = bound if bound is not None else self._bind(region.array, storage)
        region.slot = self._put(Slot(region.slot, region.type), rest, slot, value)
        return True

    def _put(self, base: Slot, chain: views.Chain, slot: int, value: Any) -> int:
        """The slot of `base` with `slot`, the one of `value`, stored in what `chain` shows of it.

        It is packed row by row like the memory it stands for, so that sums of it round alike.
        """
        if not chain and _packed(value):
            return slot
        made = Slot(slot, TensorType(value.shape, value.dtype))
        if chain:
            made = views.put(self.emit, base, chain, made)
            if self.step.op is not None and self.step.op.view is None:
                return made.slot
        return self.emit(_CAST, made, dtype=made.dtype).slot

    def _region(self, target: Any, storage: Storage) -> tuple[Region, views.Chain] | None:
        """The region that a write to `target` changes, and the chain from there; None if `target`
        overlaps another one."""
        chain = target._view
        regions = self.written.get(storage)
        for region in regions or ():
            if chain[: len(region.chain)] == region.chain:
                return region, chain[len(region.chain) :]
        if regions and _overlaps(target, regions):
            return None
        whole = storage.array
        small = chain and whole is not None and not regions
        if small and whole.nbytes <= max(SMALL, 4 * target._array.nbytes):  # type: ignore[union-attr]
            region, rest = Region(storage, whole, ()), chain  # type: ignore[arg-type]
        else:
            region, rest = Region(storage, target._array, chain), ()
        self._watch(storage)
        if not self.written:
            held_back.append(self)
        self.written.setdefault(storage, []).append(region)
        return region, rest

    # The end, and after ---------------------------------------------------------------------

    def close(self) -> None:
        """Take no more steps."""
        self.open, self._flush = False, None
        if self.written:
            held_back.remove(self)

    def commits(self) -> list[Region]:
        """The regions to be written."""
        regions = [region for regions in self.written.values() for region in regions]
        return [region for region in regions if region.slot >= 0]  # else it was interrupted

    def commit(self) -> None:
        """Write what is computed."""
        for region, source in zip(self.commits(), self.sources or (), strict=False):
            region.storage.note.changing(region.storage)
            write(region.array, source)
        self.written.clear()
        self.bound.clear()

    @property
    def kept(self) -> bool:
        """Whether cells that are not stored can be computed."""
        return self._record is not None

    def keep(self, record: Record, unstored: list[Cell]) -> None:
        """Stay able to compute the cells `unstored`, which hold this run."""
        self._record = record
        self._unstored = tuple(map(ref, unstored))
        needed = inputs(record.steps, {cell.slot for cell in unstored})
        self.leave_all()
        for i in range(len(self.arrays)):
            if i not in needed:
                self.arrays[i] = self.storages[i] = None
        for storage in self.storages:
            if storage is not None:
                self._watch(storage)

    def recompute(self, cell: Cell) -> None:
        """Compute a cell that was not stored."""
        assert self._record is not None
        steps = needed(self._record.steps, {cell.slot})
        self.segments.stats.ran(sum(step.op is not None for step in steps), fused=False)
        with np.errstate(all="ignore"):
            made = interpret(steps, (cell.slot,), self.arrays, self.place)
        cell.array = owned(made[cell.slot])
        cell.run = None
        self._record.used.add(cell.slot)
        self.segments.stats.recomputed += 1

    def _watch(self, storage: Storage) -> None:
        """Be told before the memory of `storage` changes."""
        watch = storage.note
        if watch is None:
            watch = storage.note = Watch()
        if len(watch.runs) >= 8:  # runs that died without a word
            watch.runs = [run for run in watch.runs if run() is not None]
        if self.self not in watch.runs:
            watch.runs.append(self.self)  # type: ignore[arg-type]

    def leave(self, storage: Storage) -> None:
        """Need the memory of `storage` no more: it is about to change."""
        if storage in self.written:
            self.flush("memory written to was read or exported")
        was_copied = False
        for i, other in enumerate(self.storages):
            if other is storage:
                self.bound.pop(id(self.arrays[i]), None)
                self.arrays[i] = copied(self.arrays[i])
                self.storages[i] = None
                self.segments.stats.copies += 1
                was_copied = True
        if self.self in storage.note.runs:
            storage.note.runs.remove(self.self)
        if was_copied and self._record is not None:
            # storing the values costs less than copying what they are computed from
            cells = [reference() for reference in self._unstored]
            waiting = {cell.slot for cell in cells if cell is not None and cell.array is None}
            self._record.used |= waiting

    def leave_all(self) -> None:
        """Need no memory from outside any more."""
        for storage in (*self.storages, *self.written):
            if storage is not None and self.self in storage.note.runs:
                storage.note.runs.remove(self.self)


def is_exposed(x: Any, storage: Storage) -> bool:
    """Whether code outside dualflow can still write the memory of `x`, which was exposed once.

    NumPy views, memoryviews and DLPack capsules all hold the array: when the tensor and its storage
    are the only ones that do, nobody else can reach it.
    """
    if type(x._array) is not np.ndarray:
        return storage.exposed  # CuPy's arrays do not say whose memory they show
    if not x._view and x._array is storage.array and x._array.base is None:
        # references: the tensor's, the storage's, the argument of getrefcount
        storage.exposed = getrefcount(x._array) > 3
    return storage.exposed


def _overlaps(x: Any, regions: list[Region]) -> bool:
    return any(may_share(x._array, region.array) for region in regions)


def _packed(value: Any) -> bool:
    """Whether the elements of a tensor lie row-major, without gaps."""
    cell = value._pending
    if cell is None:
        return value._array.flags.c_contiguous
    return cell.form is None or cell.form.view.is_contiguous
