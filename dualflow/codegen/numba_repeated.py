"""The repeated form: each block of lanes takes all steps before the next one, its state beside it.

Comes in: a Kernel that is repeated. Goes out: its KernelText. What a step leaves for the next one
lies in arrays on the stack, which stay in the first-level cache.
"""

from __future__ import annotations

from dualflow.ir.kernel import Kernel

from .numba_rows import RowEmitter
from .numba_values import stored_as

#: Lanes that take all steps together.
STATE_BLOCK = 256


class RepeatedEmitter(RowEmitter):
    """The map form, its stage repeated within blocks of lanes."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.integers["count"] = "count"
        self.before = dict(kernel.repeated or ())
        stores = [access for access in kernel.accesses if access.mode == "out"]
        self.state = {access.name: f"state_{self.pointers[access.name]}" for access in stores}

    def _prologue(self) -> None:
        super()._prologue()
        for name, array in self.state.items():
            dtype = stored_as(self.kernel.access(name).dtype)
            self.put(f"{array} = stack({dtype.name}, {STATE_BLOCK})")

    def _grid(self) -> None:
        kernel = self.kernel
        i, hi = self.axes[kernel.lanes], self.integers[f"hi_{kernel.lanes}"]
        b = f"b{i[1:]}"
        heads = [self._walk(axis) for axis in kernel.grid if axis != kernel.lanes]
        heads.append(f"for {b} in range({self._range(kernel.lanes)}, {STATE_BLOCK}):")
        inside = f"for {i} in range({b}, min({b} + {STATE_BLOCK}, {hi})):"
        cells = {name: f"{array}[{i} - {b}]" for name, array in self.state.items()}
        with self.block(*heads):
            for first, name in self.before.items():
                with self.block(inside):
                    self.put(f"{cells[name]} = {self._element(kernel.access(first), self.axes)}")
            self.beside = cells | {first: cells[name] for first, name in self.before.items()}
            with self.block("for step in range(count):", inside):
                for stage in kernel.stages:
                    self._stage(stage)
            self.beside = {}
            for name, cell in cells.items():
                with self.block(inside):
                    self.put(f"{self._element(kernel.access(name), self.axes)} = {cell}")
