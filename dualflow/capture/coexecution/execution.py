"""Execution: a segment runs, stores what is needed, carries out writes; and learns what was needed.

Comes in: runs that take no more steps. Goes out: arrays in their live cells and in the memory that
they write. A cell whose value never was used after the run of its segment is not stored again: it
keeps the run, and with it the inputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from sys import getrefcount
from typing import final
from weakref import ref

import numpy as np

from dualflow.array.arrays import copied, owned
from dualflow.base.errors import CompileError
from dualflow.ops.devices import Device

from .pending import Cell
from .run import Run
from .segments import Check, Record, Stats, Strides
from .steps import interpret


@final
class Execution:
    """The segments of one call, as they run.

    Args:
        stats: where they are counted.
        wait: whether to wait for programs that are being compiled.
        audit: is asked about each program before it runs.
    """

    def __init__(self, stats: Stats, wait: bool, audit: Check | None = None) -> None:
        self.stats, self.wait, self.audit = stats, wait, audit
        self._learning: list[tuple[ref[Cell], Record]] = []
        self._most = 1000  # of those, before dead cells are dropped from the list
        self._first: list[tuple[Record, frozenset[int], Strides, Device | None]] = []
        self._error: CompileError | None = None

    def execute(self, run: Run) -> None:
        """Run a segment.

        Raises:
            CompileError: the compiler failed, with on_compiler_error="raise"; everything is
                computed, by the eager mode, all the same.
        """
        record = run.step.record
        if record is None:
            record = run.step.record = Record(run.step)
        cells, run.cells = run.cells, []
        # references to a dead cell: the list's, the variable's, the argument of getrefcount
        alive = [cell for cell in cells if getrefcount(cell) > 3]
        cells.clear()
        run.cells = alive
        written = run.commits()
        commits = frozenset(region.slot for region in written)
        wanted = {cell.slot for cell in alive}
        first = record.runs == 0
        record.runs += 1
        if not first:  # a cell that holds an input's value has to have a copy
            wanted &= record.used | record.given.keys()
        with np.errstate(all="ignore"):  # the state at the op's line was looked at there
            results = self._results(run, record, wanted, commits, first)
        unstored = self._store(record, alive, results, first)
        run.sources = [results[region.slot] for region in written]
        if unstored:
            run.keep(record, unstored)
        else:
            run.leave_all()
        run.commit()
        run.cells = []
        if not unstored:
            run.arrays, run.storages = [], []
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _results(
        self,
        run: Run,
        record: Record,
        wanted: set[int],
        commits: frozenset[int],
        first: bool,
    ) -> dict[int, np.ndarray]:
        """Arrays of the slots to store or to write, each in memory of its own."""
        arrays, given = run.arrays, record.given
        slots = wanted | commits
        results = {slot: copied(arrays[given[slot]], "C") for slot in slots if slot in given}
        slots -= given.keys()
        if not slots:
            return results
        self.stats.segments += 1
        strides = tuple([array.strides for array in arrays])
        outputs = _outputs(record, commits)
        if first:  # what is used later is not known yet
            self._first.append((record, commits, strides, run.place))
            outputs = tuple(sorted(slots))
        if self.wait or not first:
            try:
                program = record.program(outputs, strides, run.place, self.stats, self.wait)
            except CompileError as error:
                program, self._error = None, error
            if program is not None:
                self.stats.compiled += 1
                self.stats.ran(record.operations, fused=True)
                if self.audit is not None:
                    self.audit(program, arrays)
                results.update(program.run(arrays))
                return results
        self.stats.waits += first
        self.stats.ran(record.operations, fused=False)
        for slot, array in interpret(record.steps, slots, arrays, run.place).items():
            results[slot] = owned(array)
        return results

    def _store(
        self, record: Record, alive: list[Cell], results: dict[int, np.ndarray], first: bool
    ) -> list[Cell]:
        """Give live cells their arrays; those for which there is none are returned."""
        unstored, taken = [], set()
        for cell in alive:
            array = results.get(cell.slot)
            if array is None or first:
                self._learning.append((ref(cell), record))
            if array is None:
                unstored.append(cell)
                continue
            if first:
                cell.record = record
            cell.array = copied(array, "C") if cell.slot in taken else array
            cell.run = None
            taken.add(cell.slot)
        if len(self._learning) > self._most:
            self._learning = [pair for pair in self._learning if pair[0]() is not None]
            self._most = 2 * len(self._learning) + 1000
        return unstored

    def learn(self) -> None:
        """At the end of the call: values that outlive it count as used."""
        for reference, record in self._learning:
            cell = reference()
            if cell is not None:
                record.used.add(cell.slot)
                cell.record = None
        if self.wait:
            for record, commits, strides, place in self._first:
                outputs = _outputs(record, commits)
                if outputs:
                    record.program(outputs, strides, place, self.stats, wait=True)


def _outputs(record: Record, commits: Iterable[int]) -> tuple[int, ...]:
    """The slots that a program is to give."""
    return tuple(sorted(record.used.union(commits) - record.given.keys()))


def complete(run: Run) -> None:
    """Compute op by op, and write, what an interrupt has left of a segment: the lines of the user's
    that it stands for were over."""
    if run.open:
        run.close()
    record = run.step.record or Record(run.step)
    cells = [] if run.kept else [cell for cell in run.cells if cell.array is None]
    slots = {cell.slot for cell in cells}
    if run.sources is None:
        slots |= {region.slot for region in run.commits()}
    with np.errstate(all="ignore"):
        made = interpret(record.steps, slots, run.arrays, run.place)
    for cell in cells:
        cell.array, cell.run = copied(made[cell.slot], "C"), None
    if run.sources is None:
        run.sources = [copied(made[region.slot], "C") for region in run.commits()]
    run.leave_all()
    run.commit()
