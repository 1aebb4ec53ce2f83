"""The map form: nested loops over the grid, no folds.

Comes in: a Kernel without loops and totals. Goes out: its KernelText. Lines of memory are walked in
vectors: short ones in masked ones, long ones from where a line of the cache begins. What is true
from a place on, or up to one, along the lanes (the parts of a concatenation) is computed before a
loop over the points in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

from dualflow.ir.cases import Plain, Tree, by_cases, conditions, is_choice, needed
from dualflow.ir.kernel import BUILT_IN, Access, Kernel, Let, Stage
from dualflow.ir.op import CATALOGUE

from .numba_rows import RowEmitter
from .numba_values import INT64, held_as, spelling, stored_as

#: Bytes of a line, in the widest dtype, up to which it is short: a map that reads one value at a
#: point or has parts, and one that reads several.
SHORT_LINE = (256, 2048)
#: Lanes that are copied beside where an operand takes steps along the lanes; where it takes none
#: along other axes, once for all of them.
LANE_BLOCK, FIXED_BLOCK = 512, 2048
#: So many choices the compiler takes out of a loop itself; and so many cases are written at most.
FEW_CASES, MOST_CASES = 4, 32


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
        self._beside(self.strided, self._lane_block())

    def _beside(self, accesses: list[Access], size: int) -> None:
        """Memory for copies of so many elements of each."""
        for access in accesses:
            name = f"beside_{self.pointers[access.name]}"
            self.put(f"{name} = stack({stored_as(access.dtype).name}, {size})")

    def _stages(self) -> None:
        for stage in self.kernel.stages:
            self._stage(stage)

    def _grid(self) -> None:
        if self.strided:
            self._blocks_of_lanes()
        else:
            self._lines_of_memory()

    def _blocks_of_lanes(self) -> None:
        """Loops over blocks of lanes, of which copies are made beside."""
        lanes, size = self.kernel.lanes, self._lane_block()
        i, hi = self.axes[lanes], self.integers[f"hi_{lanes}"]
        b = f"b{i[1:]}"
        walks = [self._walk(axis) for axis in self.kernel.grid if axis != lanes]
        block = f"for {b} in range({self._range(lanes)}, {size}):"
        inside = f"for {i} in range({b}, min({b} + {size}, {hi})):"
        before, after = ([block], walks) if self._is_fixed() else ([*walks, block], [])
        copied = self._copied(self.strided, f"{i} - {b}", [inside])
        with self.block(*before), copied, self.block(*after, inside):
            self._stages()

    @contextmanager
    def _copied(
        self, accesses: list[Access], place: str, inside: list[str], calls: Mapping[str, str] = {}
    ) -> Iterator[None]:
        """Within, these accesses are copies beside, at `place` of a block that the loops `inside`
        walk. Some are copied by `calls`, the rest element by element."""
        beside = {a.name: f"beside_{self.pointers[a.name]}[{place}]" for a in accesses}

        def copy(mode: str) -> None:
            for access in accesses:
                if access.mode != mode:
                    continue
                if access.name in calls:
                    self.put(calls[access.name])
                    continue
                ends = self._element(access, self.axes), beside[access.name]
                with self.block(*inside):
                    self.put(" = ".join(ends if mode == "out" else reversed(ends)))

        copy("in")
        self.beside = beside
        yield
        self.beside = {}
        copy("out")

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
            self._cases(self._walk(axis))
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
            self._cases(f"for {i} in range({b}, {e}):")
            self.put(f"{b} = {e}")
        self.settled.clear()

    def _cases(self, loop: str) -> None:
        """A loop over the lanes; where many choices are known before it, one for each case, for the
        compiler takes but few of them out of a loop."""
        tree = self._by_cases()
        if tree is None:
            with self.block(loop):
                self._stages()
            return
        before = dict(self.settled)
        self._lets(Stage((), tuple(let for let in self._every if let.name in before), ()))
        first = [let for let in self._every if let.name not in before]
        for let in needed(first, conditions(tree)):
            self._lets(Stage((), (let,), ()))
            self.settled[let.name] = self.names[let.name]
        self._write(tree, loop)
        self.settled = before

    def _by_cases(self) -> Tree | None:
        """What is computed, by cases that are known before a loop over the lanes."""
        stages = self.kernel.stages
        if len(stages) != 1 or self.checks:
            return None
        known = {scalar.name for scalar in self.kernel.scalars} | self.settled.keys()
        for let in self._every:
            if let.op == "index":
                steady = let.arguments[0] in self.kernel.grid[:-1]
            else:
                steady = let.op not in BUILT_IN and known.issuperset(let.arguments)
            if steady and let.name not in self.differing:
                known.add(let.name)

        choices = sum(is_choice(let, known) for let in self._every)
        return by_cases(stages[0], known, MOST_CASES) if choices > FEW_CASES else None

    def _write(self, tree: Tree, loop: str) -> None:
        if isinstance(tree, Plain):
            with self.block(loop):
                self._stage(tree.stage)
            return
        with self.block(f"if {self.names[tree.condition]}:"):
            self._write(tree.true, loop)
        with self.block("else:"):
            self._write(tree.false, loop)

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

    # Blocks.

    def _is_fixed(self) -> bool:
        """Whether what is copied beside is the same along all axes but the lanes."""
        return bool(self.strided) and not any(
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
        if all(let.op in BUILT_IN for let in self._every):
            return []
        return self._across()

    def _across(self) -> list[Access]:
        """Those of the accesses that take steps along the lanes that can be copied beside."""
        kernel = self.kernel
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


def _is_masked(let: Let) -> bool:
    """Whether a load looks at memory only where something is true."""
    return let.op == "load" and len(let.arguments) > 1
