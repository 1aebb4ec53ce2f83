"""The row form whose last stage is dear: what it computes once a row is done for many rows at once.

Comes in: a Kernel with folds along its lanes and a last stage without a loop that computes dear ops
(the logarithm of a cross-entropy). Goes out: its KernelText. Rows are taken in blocks: their folds
are put aside, and the last stage is a loop over the block, in which rows run side by side.
"""

from __future__ import annotations

from contextlib import nullcontext

from dualflow.ir.kernel import Kernel, Stage, Total

from .numba_rows import RowEmitter
from .numba_values import boxed, held_as, literal, stored_as

#: Rows whose folds are put aside; a sum of so many is added in its own dtype.
ROWS = 64


class LateEmitter(RowEmitter):
    """The row form, with the last stage over blocks of rows."""

    @staticmethod
    def suits(kernel: Kernel) -> bool:
        """Whether the last stage of a kernel in the row form is worth a loop of its own."""
        if kernel.lanes not in kernel.loops or not kernel.grid or len(kernel.stages) < 2:
            return False
        if kernel.short:
            return False
        return not kernel.stages[-1].over and RowEmitter(kernel)._is_dear(kernel.stages[-1])

    def _prologue(self) -> None:
        super()._prologue()
        for fold in self.folds:
            dtype = stored_as(held_as(fold.dtype))
            self.put(f"late_{self.names[fold.name]} = stack({dtype.name}, {ROWS})")

    def _grid(self) -> None:
        kernel = self.kernel
        *outer, last = kernel.totals or kernel.grid
        i, hi = self.axes[last], self.integers[f"hi_{last}"]
        b, e = f"b{i[1:]}", f"e{i[1:]}"
        heads = [self._walk(axis) for axis in outer]
        heads.append(f"for {b} in range({self._range(last)}, {ROWS}):")
        with self._closed() if kernel.totals else nullcontext(), self.block(*heads):
            self.put(f"{e} = min({b} + {ROWS}, {hi})")
            with self.block(f"for {i} in range({b}, {e}):"):
                for stage in kernel.stages[:-1]:
                    self._stage(stage)
                for fold in self.folds:
                    name = self.names[fold.name]
                    self.put(f"late_{name}[{i} - {b}] = {boxed(name, fold.dtype)}")
            self._late(kernel.stages[-1], i, b, e)

    def _late(self, stage: Stage, i: str, b: str, e: str) -> None:
        """The last stage, for the rows of a block."""
        sums = [s for s in stage.sinks if isinstance(s, Total) and self._in_blocks(s)]
        for total in sums:
            self.put(f"{self.names[total.name]} = {literal(0, held_as(total.dtype))}")
        used = {name for let in stage.lets for name in let.arguments}
        used |= {sink.value for sink in stage.sinks}
        with self.block(f"for {i} in range({b}, {e}):"):
            for fold in self.folds:
                if fold.name in used:
                    name = self.names[fold.name]
                    truth = " != 0" if fold.dtype.kind == "b" else ""
                    self.put(f"{name} = late_{name}[{i} - {b}]{truth}")
            self._body(stage)
        for total in sums:
            self._join(total)

    def _add_to_total(self, total: Total, stage: Stage) -> None:
        self._accumulate(total, self.kernel.totals)
