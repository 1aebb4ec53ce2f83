"""The row form: grid loops outside, stages one after the other inside each grid point.

Comes in: a Kernel. Goes out: its KernelText.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from dualflow.base.config import active
from dualflow.ir.kernel import (
    BUILT_IN,
    Access,
    Check,
    Fold,
    Keep,
    Kernel,
    Sink,
    Stage,
    Store,
    Total,
)
from dualflow.ir.op import CATALOGUE
from dualflow.ir.text import KernelText

from .numba_folds import SUM_BLOCK, FoldWriter
from .numba_values import BOOL, INT64, held_as, is_narrow, literal, packed, stored_as, unpacked

#: Bytes of a row, in the widest dtype of a stage, below which a stage that computes dear ops walks
#: it in whole vectors: a scalar loop for the rest of 100 elements took a third of a softmax. Longer
#: rows are faster in several vectors at a time, and their rest is a small part.
SHORT_ROW = 512
#: A stage with so many dear ops is walked in whole vectors however long the row is.
HEAVY = 4
#: Bytes of an operand from which it is far, beyond the caches; and of a line of them.
FAR, LINE = 4 << 20, 64
#: What the compiler may do to float arithmetic, by the setting `numerics`.
OPTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "strict": (),
    "exact": (),
    "fast": (("fastmath", "contract"),),
}


class RowEmitter(FoldWriter):
    """One kernel in the making, of any form but the column form, which is built on it."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.adding = [stage for stage in kernel.stages if self._is_adding(stage)][-1:]
        self.asked = self._asked() if self.adding and kernel.grid else []

    def text(self) -> KernelText:
        kernel = self.kernel
        pointers = [stored_as(access.dtype) for access in kernel.accesses]
        names = list(self.pointers.values())
        if self.checks:
            pointers.append(INT64)
            names.append("status")
        scratch = []
        for keep in self.keeps:
            items = [f"n_{axis}" for axis in self.keep_stage[keep.name].over]
            scratch.append((stored_as(keep.dtype), tuple(map(kernel.integers().index, items))))
            names.append(f"row_{self.names[keep.name]}")
        names += [self.names[scalar.name] for scalar in kernel.scalars]
        names += self.integers.values()
        self._prologue()
        self._grid()
        self._epilogue()
        source = f"def kernel({', '.join(names)}):\n" + "\n".join(self.lines) + "\n"
        scalars = tuple(stored_as(scalar.dtype) for scalar in kernel.scalars)
        return KernelText(source, "kernel", tuple(pointers), scalars, len(kernel.integers()),
                          OPTIONS[active().numerics], tuple(scratch))  # fmt: skip

    def _prologue(self) -> None:
        for scalar in self.kernel.scalars:
            name = self.names[scalar.name]
            if scalar.dtype == BOOL:
                self.put(f"{name} = {name} != 0")
            elif is_narrow(scalar.dtype):
                self.put(f"{name} = {unpacked(name, scalar.dtype)}")
        for n in range(len(self.checks)):
            self.put(f"ok{n} = True")
        if self.asked:
            widest = max(stored_as(access.dtype).itemsize for access in self.asked)
            sizes = [self._points_of_grid(), *(self.integers[f"n_{a}"] for a in self.kernel.loops)]
            n = self.axes[self.kernel.lanes][1:]
            self.put(f"e{n} = n{n} if {' * '.join(sizes)} > {FAR // widest} else 0")

    def _points_of_grid(self) -> str:
        """The text of how many points of the grid the call walks."""
        ends = [(self.integers[f"hi_{a}"], self.integers[f"lo_{a}"]) for a in self.kernel.grid]
        return " * ".join(f"({hi} - {lo})" for hi, lo in ends)

    def _epilogue(self) -> None:
        for n, check in enumerate(self.checks):
            with self.block(f"if status[0] == 0 and not ok{n}:"):
                self.put(f"status[0] = {check.code}")

    @contextmanager
    def _closed(self) -> Iterator[None]:
        """The lines put inside are nested in the grid axes other than lanes and total axes, between
        the start of the totals and the closing stages."""
        inside = (*self.kernel.totals, self.kernel.lanes)
        with self.block(*(self._walk(axis) for axis in self.kernel.grid if axis not in inside)):
            for total in self.totals:
                self._start(total, self._in_blocks(total))
            yield
            for total in self.totals:
                self._finish(total, self._in_blocks(total))
            for stage in self.kernel.closing:
                self._body(stage)

    def _grid(self) -> None:
        if self.kernel.totals:
            with self._closed(), self.block(*map(self._walk, self.kernel.totals)):
                for stage in self.kernel.stages:
                    self._stage(stage)
            return
        with self.block(*map(self._walk, self.kernel.grid)):
            for stage in self.kernel.stages:
                self._stage(stage)

    def _stage(self, stage: Stage) -> None:
        folds = [sink for sink in stage.sinks if isinstance(sink, Fold)]
        walked = self.kernel.lanes in stage.over
        blocked = [fold for fold in folds if walked and self._in_blocks(fold)]
        searched = walked and self._is_position(stage)
        for fold in folds if not searched else ():
            for _ in self._points(fold.name):
                self._start(fold, fold in blocked)
        if searched:
            self._start_search(folds[0])
        *outer, last = stage.over or ("",)
        with self.block(*(self._loop(axis) for axis in outer)):
            if searched:
                self._find_in_blocks(stage, self.axes[last], folds[0])
            elif walked and self._is_heavy(stage):
                self._walk_lanes(stage, last, blocked, "whole_vectors()")
            elif walked and any(map(self._is_dear, self.kernel.stages)):
                with self.block(f"if {self._is_short(stage, self.integers[f'n_{last}'])}:"):
                    self._add_block(stage, self._loop(last), blocked, "whole_vectors()")
                with self.block("else:"):
                    self._walk_lanes(stage, last, blocked)
            elif walked:
                self._walk_lanes(stage, last, blocked)
            else:
                with self.block(*([self._loop(last)] if last else [])):
                    self._body(stage)
        for fold in folds:
            for _ in self._points(fold.name):
                self._finish(fold, fold in blocked)

    def _is_dear(self, stage: Stage) -> bool:
        """Whether a scalar loop for the rest of a row would take long."""
        if any(isinstance(sink, Fold) and self._rank(sink) for sink in stage.sinks):
            return True
        lets = [let for let in stage.lets if let.op not in BUILT_IN]
        return not all(CATALOGUE[let.op].is_exact(let.dtype) for let in lets)

    def _is_heavy(self, stage: Stage) -> bool:
        """Whether the stage computes so much that a second loop for what is left of whole vectors
        would cost more to compile than it saves."""
        lets = [let for let in stage.lets if let.op not in BUILT_IN]
        return sum(not CATALOGUE[let.op].is_exact(let.dtype) for let in lets) >= HEAVY

    def _is_short(self, stage: Stage, n: str) -> str:
        """The test whether `n` elements are walked in whole vectors; cheap stages only gain where
        much is left after the first few vectors at a time."""
        dtypes = [x.dtype for x in stage.lets or self.kernel.accesses]
        most = min(SHORT_ROW // max(held_as(dtype).itemsize for dtype in dtypes), SUM_BLOCK)
        return f"{n} <= {most}" if self._is_dear(stage) else f"{most // 2} < {n} < {most}"

    def _walk_lanes(self, stage: Stage, axis: str, sums: list[Fold], end: str = "") -> None:
        """A loop over the lanes, in blocks where floats are added; `end` stands last in it."""
        if not sums:
            self._add_block(stage, self._loop(axis), sums, end)
            return
        blocks, inside = self._blocks(self.axes[axis], SUM_BLOCK)
        with self.block(blocks):
            if stage in self.adding:
                self._ask_for_next()
            self._add_block(stage, inside, sums, end)

    def _is_adding(self, stage: Stage) -> bool:
        folds = [sink for sink in stage.sinks if isinstance(sink, Fold)]
        return self.kernel.lanes in stage.over and any(map(self._in_blocks, folds))

    def _asked(self) -> list[Access]:
        """The operands whose rows, along the lanes, are asked for before their grid point."""
        axes = [axis.name for axis in self.kernel.axes]
        row, lane = axes.index(self.kernel.grid[-1]), axes.index(self.kernel.lanes)
        return [
            access for access in self.kernel.accesses
            if access.mode == "in" and (access.strides[row], access.strides[lane]) == ("s", 1)
        ]  # fmt: skip

    def _ask_for_next(self) -> None:
        """Ask for what lies where a block does in the row of the next grid point: while a row is
        written nothing else would be on its way."""
        i, j = self.axes[self.kernel.grid[-1]], self.axes[self.kernel.lanes]
        axes = {**self.places[0], self.kernel.grid[-1]: f"({i} + 1)"}
        b, end = f"b{j[1:]}", f"e{j[1:]}"
        for access in self.asked:
            step = LINE // stored_as(access.dtype).itemsize
            with self.block(f"for {j} in range({b}, min({b} + {SUM_BLOCK}, {end}), {step}):"):
                self.put(f"ask({', '.join(self._place(access, axes))})")

    def _add_block(self, stage: Stage, loop: str, sums: list[Fold], end: str = "") -> None:
        """One loop, and what it adds to the totals of float sums; `end` stands last in it."""
        for fold in sums:
            for _ in self._points(fold.name):
                self.put(f"{self.names[fold.name]} = {literal(0, held_as(fold.dtype))}")
        with self.block(loop):
            self._body(stage)
            if end:
                self.put(end)
        for fold in sums:
            for _ in self._points(fold.name):
                self._join(fold)

    def _body(self, stage: Stage) -> None:
        self._read_keeps(stage)
        self._lets(stage)
        for sink in stage.sinks:
            target = sink.access if isinstance(sink, Store) else ""
            for axes in self._points(sink.value, target):
                self._sink(sink, stage, axes)

    def _sink(self, sink: Sink, stage: Stage, axes: Mapping[str, str]) -> None:
        """What becomes of a value of the stage at the point `axes`."""
        value = self.names[sink.value]
        if isinstance(sink, Store):
            access = self.kernel.access(sink.access)
            self.put(f"{self._element(access, axes)} = {packed(value, access.dtype)}")
        elif isinstance(sink, Check):
            self.put(f"ok{self.checks.index(sink)} &= {value}")
        elif isinstance(sink, Keep):
            self.dtypes[sink.name] = sink.dtype
            place = f"row_{self.names[sink.name]}[{self._keep_index(sink.name)}]"
            self.put(f"{place} = {packed(value, sink.dtype)}")
        elif isinstance(sink, Total):
            self._add_to_total(sink, stage)
        else:
            self._accumulate(sink, stage.over)
