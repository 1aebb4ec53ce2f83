"""The map form: nested loops over the grid, no folds; transposed accesses in tiles.

Comes in: a Kernel without loops and totals. Goes out: its KernelText. Lines of memory are walked in
vectors: short ones in masked ones, long ones from where a line of the cache begins. What is true
from a place on, or up to one, along the lanes (the parts of a concatenation) is computed before a
loop over the points in between.
"""

from __future__ import annotations

from functools import cached_property

from dualflow.ir.kernel import BUILT_IN, Access, Kernel, Let
from dualflow.ir.op import CATALOGUE

from .numba_rows import RowEmitter
from .numba_values import INT64, held_as, spelling, stored_as

#: Bytes of a line, in the widest dtype, up to which it is short: a map that reads one value at a
#: point or has parts, and one that reads several.
SHORT_LINE = (256, 2048)
#: Lanes that are copied beside where an operand takes steps along the lanes; where it takes none
#: along other axes, once for all of them.
LANE_BLOCK, FIXED_BLOCK = 512, 2048
#: Side of the square tiles in which a transposed access is walked.
TILE = 16
#: Tiles that are walked beside each other.
TILES = 4


class MapEmitter(RowEmitter):
    """The map form."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.strided = self._strided()

    @cached_property
    def _every(self) -> list[Let]:
        return [let for stage in self.kernel.stages for let in stage.lets]

    def _prologue(self) -> None:
        super()._prologue()
        size = TILE * TILE if self._tiled() else self._lane_block()
        for access in self.strided:
            name = f"beside_{self.pointers[access.name]}"
            self.put(f"{name} = stack({stored_as(access.dtype).name}, {size})")

    def _stages(self) -> None:
        for stage in self.kernel.stages:
            self._stage(stage)

    def _grid(self) -> None:
        blocked = self._blocked()
        if not blocked:
            self._lines_of_memory()
            return
        walks = [self._walk(axis) for axis in self.kernel.grid if axis not in blocked]
        blocks, inside, places = [], [], []
        for axis, size in blocked.items():
            i, hi = self.axes[axis], self.integers[f"hi_{axis}"]
            b = f"b{i[1:]}"
            blocks.append(f"for {b} in range({self._range(axis)}, {size}):")
            inside.append(f"for {i} in range({b}, min({b} + {size}, {hi})):")
            places.append(f"({i} - {b})" if not places else f"{i} - {b}")
        if self._tiled():
            blocks = self._tiles_in_order(*blocked)
        place = f" * {TILE} + ".join(places)
        beside = {a.name: f"beside_{self.pointers[a.name]}[{place}]" for a in self.strided}
        before, after = (blocks, walks) if self._is_fixed() else ([*walks, *blocks], [])
        with self.block(*before):
            for access in self.strided:
                if access.mode == "in":
                    self._copy_beside(access, beside[access.name], blocked, inside)
            self.beside = beside
            with self.block(*after, *inside):
                self._stages()
                if self._tiled():
                    self.put("whole_vectors()")
            self.beside = {}
            for access in self.strided:
                if access.mode == "out":
                    with self.block(*inside):
                        self.put(f"{self._element(access, self.axes)} = {beside[access.name]}")

    def _tiles_in_order(self, outer: str, lanes: str) -> list[str]:
        """Loops over tiles, some beside each other along the outer axis: what is turned is then
        read in longer pieces."""
        i, hi = self.axes[outer][1:], self.integers[f"hi_{outer}"]
        return [
            f"for d{i} in range({self._range(outer)}, {TILES * TILE}):",
            f"for b{self.axes[lanes][1:]} in range({self._range(lanes)}, {TILE}):",
            f"for b{i} in range(d{i}, min(d{i} + {TILES * TILE}, {hi}), {TILE}):",
        ]

    def _copy_beside(
        self, access: Access, cell: str, blocked: dict[str, int], inside: list[str]
    ) -> None:
        """Copy a block; a whole tile of lines that lie along its other axis is turned at once."""
        copied = f"{cell} = {self._element(access, self.axes)}"
        first = self.kernel.axes.index(next(a for a in self.kernel.axes if a.name in blocked))
        if not self._tiled() or access.strides[first] != 1 or access.dtype.kind == "c":
            with self.block(*inside):
                self.put(copied)
            return
        starts = {axis: f"b{self.axes[axis][1:]}" for axis in blocked}
        whole = [f"{b} + {TILE} <= {self.integers[f'hi_{axis}']}" for axis, b in starts.items()]
        pointer, place = self._place(access, {**self.axes, **starts})
        step = self.integers[f"{access.name}_{self.kernel.lanes}"]
        with self.block(f"if {' and '.join(whole)}:"):
            self.put(f"turned({cell.partition('[')[0]}, {pointer}, {place}, {step})")
        with self.block("else:", *reversed(inside)):
            self.put(copied)

    # Lines of memory.

    def _lines_of_memory(self) -> None:
        """Loops over the grid, and over the vectors of lines if there are many lines."""
        *outer, last = self.kernel.grid
        edges = self._edges()
        with self.block(*map(self._walk, outer)):
            if outer and not edges and self._suits_vectors():
                self._vectors(last)
                return
            if not outer or not edges:
                self._line(last, edges)
                return
            lo, hi = self.integers[f"lo_{last}"], self.integers[f"hi_{last}"]
            with self.block(f"if {hi} - {lo} <= {self._short(edges)}:", self._walk(last)):
                self._stages()
            with self.block("else:"):
                self._line(last, edges)

    def _short(self, edges: list[Let]) -> int:
        """Points of a line that count as few."""
        several = not edges and sum(let.op == "load" for let in self._every) > 1
        widest = max(held_as(access.dtype).itemsize for access in self.kernel.accesses)
        return SHORT_LINE[several] // widest

    def _vectors(self, axis: str) -> None:
        """A line without parts. A long one is walked from where the first access begins a line of
        the cache; what is before that in a masked vector, as are short ones."""
        i, lo, hi = self.axes[axis], self.integers[f"lo_{axis}"], self.integers[f"hi_{axis}"]
        b, lane = f"b{i[1:]}", self.kernel.grid.index(axis)
        near = next(a for a in self.kernel.accesses if a.strides[lane] == 1)
        pointer, place = self._place(near, {**self.axes, axis: lo})
        with self.block(f"if {hi} - {lo} <= {self._short([])}:", self._walk(axis)):
            self._stages()
            self.put("whole_vectors()")
        with self.block("else:"):
            self.put(f"{b} = min({lo} + ahead({pointer}, {place}), {hi})")
            with self.block(f"for {i} in range({lo}, {b}):"):
                self._stages()
                self.put("whole_vectors()")
            with self.block(f"for {i} in range({b}, {hi}):"):
                self._stages()

    def _suits_vectors(self) -> bool:
        """Whether a masked vector does what a loop over single points would do."""
        lane = self.kernel.grid.index(self.kernel.lanes)
        plain = not any(let.op == "gather" or _is_masked(let) for let in self._every)
        near = {access.strides[lane] for access in self.kernel.accesses}
        return plain and 1 in near <= {0, 1} and any(let.op == "load" for let in self._every)

    def _line(self, axis: str, edges: list[Let]) -> None:
        """The loop over the lanes, between the places where a comparison turns."""
        if not edges:
            with self.block(self._walk(axis)):
                self._stages()
            return
        i, lo, hi = self.axes[axis], self.integers[f"lo_{axis}"], self.integers[f"hi_{axis}"]
        b, e = f"b{i[1:]}", f"e{i[1:]}"
        self.put(f"{b} = {lo}")
        with self.block(f"while {b} < {hi}:"):
            self.put(f"{e} = {hi}")
            for n, let in enumerate(edges):
                other = self._steady(let.arguments[1])
                turn = f"wrap_add({other}, 1)" if CATALOGUE[let.op].turns else other
                self.put(f"{e} = min({e}, {turn} if {turn} > {b} else {hi})")
                self.put(f"is{n} = {spelling(let.op, INT64).format(b, other)}")
                self.settled[let.name] = f"is{n}"
            with self.block(f"for {i} in range({b}, {e}):"):
                self._stages()
            self.put(f"{b} = {e}")
        self.settled.clear()

    def _edges(self) -> list[Let]:
        """Comparisons of the place along the lanes with what does not change along them."""
        places = {let.name: let.arguments[0] for let in self._every if let.op == "index"}
        steady = {scalar.name for scalar in self.kernel.scalars if scalar.dtype == INT64}
        steady |= {name for name, axis in places.items() if axis in self.kernel.grid[:-1]}
        compared = [
            let for let in self._every
            if let.op in CATALOGUE and CATALOGUE[let.op].turns is not None
        ]  # fmt: skip
        return [
            let for let in compared
            if places.get(let.arguments[0]) == self.kernel.lanes and let.arguments[1] in steady
        ]  # fmt: skip

    def _steady(self, name: str) -> str:
        """The text of what does not change along the lanes: a scalar, or the place on an axis."""
        made = next((let for let in self._every if let.name == name), None)
        return self.names[name] if made is None else self.axes[made.arguments[0]]

    # Blocks and tiles.

    def _blocked(self) -> dict[str, int]:
        """The grid axes to walk in blocks, and the length of a block."""
        tiled = self._tiled()
        if tiled:
            return dict.fromkeys(tiled, TILE)
        return {self.kernel.lanes: self._lane_block()} if self.strided else {}

    def _is_fixed(self) -> bool:
        """Whether what is copied beside is the same along all axes but the lanes."""
        return bool(self.strided) and not self._tiled() and not any(
            stride
            for access in self.strided
            for axis, stride in zip(self.kernel.axes, access.strides, strict=True)
            if axis.name != self.kernel.lanes
        )  # fmt: skip

    def _lane_block(self) -> int:
        return FIXED_BLOCK if self._is_fixed() else LANE_BLOCK

    def _strided(self) -> list[Access]:
        """The accesses that take steps along the lanes: a loop that computes would not vectorise
        with them, so it computes on copies of a block, made by a loop that does nothing else."""
        kernel = self.kernel
        if not self._tiled() and all(let.op in BUILT_IN for let in self._every):
            return []
        lane = kernel.grid.index(kernel.lanes)
        elsewhere = {
            let.arguments[0] for let in self._every if let.op == "gather" or _is_masked(let)
        }
        return [
            access
            for access in kernel.accesses
            if access.strides[lane] == "s"
            and access.mode != "inout"
            and access.name not in elsewhere
            and access.name not in self.differing
        ]

    def _tiled(self) -> tuple[str, ...]:
        """The grid axes to walk in tiles: lanes, and the last that another access walks by 1."""
        kernel = self.kernel
        lane = kernel.grid.index(kernel.lanes)
        crossing = {
            axis.name
            for access in kernel.accesses
            for axis, stride in zip(kernel.axes, access.strides, strict=True)
            if stride in (1, -1) and axis.name != kernel.lanes and axis.role != "short"
            and access.strides[lane] == "s"
        }  # fmt: skip
        found = [a for a in kernel.grid if a in crossing or (crossing and a == kernel.lanes)]
        return tuple(found[-2:])


def _is_masked(let: Let) -> bool:
    """Whether a load looks at memory only where something is true."""
    return let.op == "load" and len(let.arguments) > 1
