"""The column form: lanes are points of the grid, and each folds for itself over loops outside.

Comes in: a Kernel whose lanes are its last grid axis, with folds. Goes out: its KernelText. Blocks
of lanes have accumulators in an array on the stack; several rows are taken in at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Set

import numpy as np

from dualflow.base.dtypes import is_float
from dualflow.ir.kernel import (
    BUILT_IN,
    Access,
    Check,
    Fold,
    Keep,
    Kernel,
    Let,
    Stage,
    Store,
    Total,
)
from dualflow.ir.op import CATALOGUE

from .numba_folds import SUM_BLOCK
from .numba_rows import RowEmitter
from .numba_values import (
    BOOL,
    FLOAT64,
    INT64,
    boxed,
    converted,
    held_as,
    literal,
    narrow,
    packed,
    spelling,
    stored_as,
)

#: Lanes of a column reduction whose accumulators stay in the first-level cache.
COLUMN_BLOCK = 1024
#: Rows that one pass over the accumulators takes in, unless a row has more than so many values.
ROWS, FEW_VALUES = 4, 10


class ColumnEmitter(RowEmitter):
    """The column form: blocks of lanes; each fold's accumulators are an array over the block."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        assert not self.keeps, "a Keep needs lanes on a loop axis"
        self.lane = self.axes[kernel.lanes]
        self.start, self.end = f"b{self.lane[1:]}", f"e{self.lane[1:]}"
        self.cell = f"[{self.lane} - {self.start}]"
        #: the accumulated values that a stage reads, by the name it reads them under
        self.arrays = {fold.name: f"row_{self.names[fold.name]}" for fold in self.folds}
        #: of values that are the same in all rows: the array that they are put aside in
        self.aside: dict[str, str] = {}
        self.strided = self._strided()
        self._known: dict[Hashable, str] = {}
        self._meanings: dict[Hashable, int] = {}
        self.divided = [self._divide(stage) for stage in kernel.stages]

    def _divide(self, stage: Stage) -> tuple[Stage, Stage]:
        """What a stage computes of its columns alone, and the rest, which would else compute it in
        every row: values that are put aside, but for those that an earlier stage has."""
        keys: dict[str, Hashable] = {name: name for name in (*self.names, *self.axes)}
        for axis in stage.over:
            del keys[axis]
        keys |= {a.name: a.name for a in self.kernel.accesses if not self._moves(a, stage.over)}
        for let in stage.lets if stage.over else ():
            if let.op == "constant" or keys.keys() >= set(let.arguments):
                arguments = (keys.get(name, name) for name in let.arguments)
                meaning = (let.op, let.dtype, *arguments)
                keys[let.name] = self._meanings.setdefault(meaning, len(self._meanings))
        alone = [let for let in stage.lets if let.name in keys]
        computed = {let.name for let in alone if let.op not in BUILT_IN}
        rest = _needed(stage.lets, {sink.value for sink in stage.sinks}, computed)
        read = {name for let in rest for name in let.arguments}
        read |= {sink.value for sink in stage.sinks}
        wanted = [let for let in alone if let.name in computed & read]
        fresh = [let for let in wanted if keys[let.name] not in self._known]
        for let in fresh:
            self._known[keys[let.name]] = f"all_{len(self._known)}"
        self.aside |= {let.name: self._known[keys[let.name]] for let in wanted}
        self.dtypes |= {let.name: let.dtype for let in alone}
        before = _needed(alone, {let.name for let in fresh}, set())
        sinks = tuple(Keep(let.name, let.name, let.dtype) for let in fresh)
        return Stage((), tuple(before), sinks), Stage(stage.over, tuple(rest), stage.sinks)

    def _moves(self, access: Access, over: tuple[str, ...]) -> bool:
        """Whether an access moves along one of the axes."""
        steps = zip(self.kernel.axes, access.strides, strict=True)
        return any(stride and axis.name in over for axis, stride in steps)

    def _prologue(self) -> None:
        super()._prologue()
        for before, _ in self.divided:
            for keep in before.sinks:
                dtype = stored_as(held_as(keep.dtype))  # type: ignore[union-attr]
                self.put(f"{self.aside[keep.value]} = stack({dtype.name}, {COLUMN_BLOCK})")
        for access in self.strided:
            name = f"beside_{self.pointers[access.name]}"
            self.put(f"{name} = stack({stored_as(access.dtype).name}, {COLUMN_BLOCK})")
        for fold in self.folds:
            dtype = stored_as(self._accumulator(fold))
            self.put(f"{self.arrays[fold.name]} = stack({dtype.name}, {COLUMN_BLOCK})")
            if self._is_narrow(fold):
                own = held_as(fold.dtype).name
                self.put(f"part_{self.names[fold.name]} = stack({own}, {COLUMN_BLOCK})")
            if CATALOGUE[fold.op].position_of:
                value = self._value_dtype(fold)
                name = f"best_{self.names[fold.name]}"
                self.put(f"{name} = stack({stored_as(held_as(value)).name}, {COLUMN_BLOCK})")

    def _strided(self) -> list[Access]:
        """The accesses that take steps along the lanes: each row of them is copied beside first,
        by a loop that does nothing else, so that the one that computes is vectorised."""
        lane = self.kernel.grid.index(self.kernel.lanes)
        lets = [let for stage in self.kernel.stages for let in stage.lets]
        plain = {let.arguments[0] for let in lets if let.op == "load" and len(let.arguments) == 1}
        others = {
            let.arguments[0] for let in lets
            if let.op == "gather" or (let.op == "load" and len(let.arguments) > 1)
        }  # fmt: skip
        return [
            access for access in self.kernel.accesses
            if access.strides[lane] == "s" and access.mode == "in"
            and access.name in plain - others and access.name not in self.differing
        ]  # fmt: skip

    def _copied(self, stage: Stage) -> list[Access]:
        """Those that a stage reads in each row."""
        read = {let.arguments[0] for let in stage.lets if let.op == "load"}
        return [access for access in self.strided if access.name in read]

    def _accumulator(self, fold: Fold) -> np.dtype:
        """Sums of floats end in float64, everything else in its own dtype."""
        return FLOAT64 if self._in_blocks(fold) else held_as(fold.dtype)

    def _grid(self) -> None:
        lanes = self.kernel.lanes
        hi = self.integers[f"hi_{lanes}"]
        inside = self.kernel.totals or (lanes,)
        heads = [self._walk(axis) for axis in inside if axis != lanes]
        heads.append(f"for {self.start} in range({self._range(lanes)}, {COLUMN_BLOCK}):")
        with self._closed(), self.block(*heads):
            self.put(f"{self.end} = min({self.start} + {COLUMN_BLOCK}, {hi})")
            for before, rest in self.divided:
                self._put_aside(before)
                self._stage(rest)

    def _put_aside(self, before: Stage) -> None:
        """Compute what is the same in all rows of the stage that follows."""
        if not before.sinks:
            return
        with self.block(self._lane_loop()):
            self._read_folds(before)
            self._lets(before)
            for keep in before.sinks:
                value = boxed(self.names[keep.value], self.dtypes[keep.value])
                self.put(f"{self.aside[keep.value]}{self.cell} = {value}")

    def _lane_loop(self) -> str:
        return f"for {self.lane} in range({self.start}, {self.end}):"

    def _stage(self, stage: Stage) -> None:
        folds = [sink for sink in stage.sinks if isinstance(sink, Fold)]
        for fold in folds:
            with self.block(self._lane_loop()):
                self._start_cell(fold)
        *outer, last = stage.over or ("",)
        with self.block(*(self._loop(axis) for axis in outer)):
            if not last:
                self._pass(stage, [self.axes])
                return
            i, n = self.axes[last], self.integers[f"n_{last}"]
            narrow = [fold for fold in folds if self._is_narrow(fold)]
            if not narrow:
                self._walk_rows(stage, last, "0", n)
                return
            b, e = f"b{i[1:]}", f"e{i[1:]}"
            with self.block(self._blocks(i, SUM_BLOCK)[0]):
                self.put(f"{e} = min({b} + {SUM_BLOCK}, {n})")
                with self.block(self._lane_loop()):
                    for fold in narrow:
                        part = f"part_{self.names[fold.name]}{self.cell}"
                        self.put(f"{part} = {literal(0, held_as(fold.dtype))}")
                self._walk_rows(stage, last, b, e)
                with self.block(self._lane_loop()):
                    for fold in narrow:
                        name = f"{self.names[fold.name]}{self.cell}"
                        self.put(f"row_{name} = row_{name} + np.float64(part_{name})")

    def _walk_rows(self, stage: Stage, axis: str, begin: str, end: str) -> None:
        """All rows from `begin` to `end`, several at a time while there are."""
        i, rows = self.axes[axis], self._rows(stage)
        if rows > 1:
            whole = f"{begin} + ({end} - {begin}) // {rows} * {rows}"
            with self.block(f"for {i} in range({begin}, {whole}, {rows}):"):
                moved = [{**self.axes, axis: f"({i} + {r})" if r else i} for r in range(rows)]
                self._pass(stage, moved)
            begin = whole
        with self.block(f"for {i} in range({begin}, {end}):"):
            self._pass(stage, [self.axes])

    def _is_narrow(self, fold: Fold) -> bool:
        """Whether rows are added in the fold's own dtype first, some at a time."""
        folding = next(stage for stage in self.kernel.stages if fold in stage.sinks)
        return bool(folding.over) and self._in_blocks(fold) and fold.dtype != FLOAT64

    def _rows(self, stage: Stage) -> int:
        """How many rows one pass over the accumulators takes in."""
        folds = [sink for sink in stage.sinks if isinstance(sink, Fold)]
        plain = all(self._combines(fold) for fold in folds)
        if not folds or not plain or len(folds) < len(stage.sinks) or self._copied(stage):
            return 1
        return ROWS if len(stage.lets) <= FEW_VALUES else 1

    def _combines(self, fold: Fold) -> bool:
        """Whether the fold may combine rows among themselves first: exact ones, and sums."""
        if CATALOGUE[fold.op].position_of:
            return False
        return (
            not is_float(fold.dtype)
            or CATALOGUE[fold.op].is_exact(fold.dtype)
            or self._in_blocks(fold)
        )

    def _start_cell(self, fold: Fold) -> None:
        array = self.arrays[fold.name] + self.cell
        self.dtypes[fold.name] = fold.dtype
        if CATALOGUE[fold.op].position_of:
            value = self._value_dtype(fold)
            self.put(f"{array} = {literal(-1, INT64)}")
            cell = f"best_{self.names[fold.name]}{self.cell}"
            self.put(f"{cell} = {boxed(literal(0, value), value)}")
            return
        identity = CATALOGUE[fold.op].identity
        assert identity is not None, f"{fold.op} has no identity to start from"
        dtype = self._accumulator(fold)
        self.put(f"{array} = {boxed(literal(identity(dtype), dtype), dtype)}")

    def _pass(self, stage: Stage, points: Sequence[Mapping[str, str]]) -> None:
        """One walk along the lanes, for each of `points` (the rows taken in at once); in blocks
        where a total adds floats."""
        copied = self._copied(stage)
        if copied:
            with self.block(self._lane_loop()):
                for access in copied:
                    cell = f"beside_{self.pointers[access.name]}{self.cell}"
                    self.put(f"{cell} = {self._element(access, points[0])}")
        self.beside = {a.name: f"beside_{self.pointers[a.name]}{self.cell}" for a in copied}
        self._points_along(stage, points)
        self.beside = {}

    def _points_along(self, stage: Stage, points: Sequence[Mapping[str, str]]) -> None:
        sums = [s for s in stage.sinks if isinstance(s, Total) and self._in_blocks(s)]
        if not sums:
            with self.block(self._lane_loop()):
                self._point(stage, points)
            return
        part = f"q{self.lane[1:]}"
        with self.block(f"for {part} in range({self.start}, {self.end}, {SUM_BLOCK}):"):
            for total in sums:
                self.put(f"{self.names[total.name]} = {literal(0, held_as(total.dtype))}")
            end = f"min({part} + {SUM_BLOCK}, {self.end})"
            with self.block(f"for {self.lane} in range({part}, {end}):"):
                self._point(stage, points)
            for total in sums:
                self._join(total)

    def _point(self, stage: Stage, points: Sequence[Mapping[str, str]]) -> None:
        """What happens at one lane."""
        self._read_folds(stage)
        rows = []
        for axes in points:
            self._lets(stage, axes)
            rows.append({sink: self.names[sink.value] for sink in stage.sinks})
        for sink in stage.sinks:
            values = [row[sink] for row in rows]
            if isinstance(sink, Store):
                access = self.kernel.access(sink.access)
                place = self._element(access, points[0])
                self.put(f"{place} = {packed(values[0], access.dtype)}")
            elif isinstance(sink, Check):
                self.put(f"ok{self.checks.index(sink)} &= {values[0]}")
            elif isinstance(sink, Fold):
                self._accumulate_cell(sink, stage, values)
            elif isinstance(sink, Total):
                self._accumulate(sink, self.kernel.totals)

    def _read_folds(self, stage: Stage) -> None:
        used = {name for let in stage.lets for name in let.arguments}
        used |= {sink.value for sink in stage.sinks}
        for fold in self.folds:
            if fold.name in used:
                text = self.arrays[fold.name] + self.cell
                dtype = self._accumulator(fold)
                text = f"{text} != 0" if dtype == BOOL else text
                self.put(f"{self.names[fold.name]} = {converted(text, dtype, fold.dtype)}")
        made = {let.name for let in stage.lets}
        for name in sorted(used.intersection(self.aside) - made):
            self.names[name] = f"w{self.aside[name][4:]}"
            truth = " != 0" if self.dtypes[name] == BOOL else ""
            self.put(f"{self.names[name]} = {self.aside[name]}{self.cell}{truth}")

    def _accumulate_cell(self, fold: Fold, stage: Stage, values: list[str]) -> None:
        cell, given = self.arrays[fold.name] + self.cell, self.dtypes[fold.value]
        if CATALOGUE[fold.op].position_of:
            self._replace_cell(fold, stage, values[0])
            return
        dtype, held = self._accumulator(fold), held_as(fold.dtype)
        if self._is_narrow(fold):
            dtype, cell = held, f"part_{self.names[fold.name]}{self.cell}"
        combine = spelling(fold.op, fold.dtype)
        values = [converted(value, given, held) for value in values]
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [f"({narrow(combine.format(a, b), held)})" for a, b in pairs]
        value = converted(values[0], held, dtype)
        read = f"({cell} != 0)" if dtype == BOOL else cell
        self.put(f"{cell} = {boxed(narrow(combine.format(read, value), dtype), dtype)}")

    def _replace_cell(self, fold: Fold, stage: Stage, value: str) -> None:
        given = self.dtypes[fold.value]
        position, best = self.arrays[fold.name] + self.cell, f"best_{self.names[fold.name]}"
        where = self._position(stage.over)
        held = f"({best}{self.cell} != 0)" if given == BOOL else f"{best}{self.cell}"
        better = spelling(fold.op, given).format(value, held)
        self.put(f"better = ({position} < 0) | {better}")
        self.put(f"{position} = select(better, {where}, {position})")
        self.put(f"{best}{self.cell} = {boxed(f'select(better, {value}, {held})', given)}")


def _needed(lets: Sequence[Let], names: Set[str], known: Set[str]) -> list[Let]:
    """Those of `lets` that it takes to compute values, where those of `known` need not be."""
    wanted = set(names) - known
    found = []
    for let in reversed(lets):
        if let.name in wanted:
            found.append(let)
            wanted |= set(let.arguments) - known
    return found[::-1]
