"""The map and row forms: grid loops outside, stages one after the other inside each grid point.

Comes in: a Kernel. Goes out: its KernelText. Names are numbered (i axes, p accesses, c scalars,
v values, f folds, g totals, k keeps), so kernels that differ in names alone have one text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product

import numpy as np

from dualflow.base.config import active
from dualflow.ir.kernel import (
    BUILT_IN,
    Access,
    Check,
    Fold,
    Keep,
    Kernel,
    Let,
    Sink,
    Stage,
    Store,
    Total,
)
from dualflow.ir.op import CATALOGUE
from dualflow.ir.text import KernelText

from .numba_values import (
    BOOL,
    FLOAT16,
    FLOAT64,
    INT64,
    RANKED,
    REORDERED,
    converted,
    held_as,
    literal,
    narrow,
    packed,
    parse_literal,
    spelling,
    stored_as,
    unpacked,
    worst,
)

#: Elements of a float sum that are added in their own dtype before they join the wide total. With
#: 128 the error is that of NumPy's pairwise sum or less; 1024 is 5 % faster and twice as wrong.
SUM_BLOCK = 128
#: Bytes of a row, in the widest dtype of a stage, below which a stage that computes dear ops walks
#: it in whole vectors: a scalar loop for the rest of 100 elements took a third of a softmax. Longer
#: rows are faster in several vectors at a time, and their rest is a small part.
SHORT_ROW = 512
#: A stage with so many dear ops is walked in whole vectors however long the row is.
HEAVY = 4
#: Lanes that are copied beside where an operand takes steps along the lanes.
LANE_BLOCK = 512
#: Side of the square tiles in which a transposed access is walked.
TILE = 16
#: Elements whose extreme is found first, and only if it is better than before, its position.
POSITION_BLOCK = 1024
#: What the compiler may do to float arithmetic, by the setting `numerics`.
OPTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "strict": (),
    "exact": (),
    "fast": (("fastmath", "contract"),),
}


class RowEmitter:
    """One kernel in the making: the map and row forms."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.lines: list[str] = []
        self.depth = 1
        self.axes = {axis.name: f"i{n}" for n, axis in enumerate(kernel.axes)}
        self.pointers = {access.name: f"p{n}" for n, access in enumerate(kernel.accesses)}
        self.names: dict[str, str] = {s.name: f"c{n}" for n, s in enumerate(kernel.scalars)}
        self.dtypes: dict[str, np.dtype] = {s.name: s.dtype for s in kernel.scalars}
        self.folds = [s for s in kernel.sinks if isinstance(s, Fold)]
        self.keeps = [s for s in kernel.sinks if isinstance(s, Keep)]
        self.totals = [s for s in kernel.sinks if isinstance(s, Total)]
        self.checks = [s for s in kernel.sinks if isinstance(s, Check)]
        self.keep_stage = {s.name: stage for stage in kernel.stages for s in stage.sinks
                           if isinstance(s, Keep)}  # fmt: skip
        self.names |= {fold.name: f"f{n}" for n, fold in enumerate(self.folds)}
        self.names |= {keep.name: f"k{n}" for n, keep in enumerate(self.keeps)}
        self.names |= {total.name: f"g{n}" for n, total in enumerate(self.totals)}
        self._write_out()
        self.integers = self._integer_names()
        self.strided = self._strided()
        #: accesses read and written in a copy of the block at hand, and where
        self.beside: dict[str, str] = {}
        self.counted = 0

    # Short axes: what differs along them has a name for each of their points.

    def _write_out(self) -> None:
        """Find the points of the short axes and the values that differ between them."""
        short = self.kernel.short
        numbers = product(*(range(axis.size) for axis in short))
        self.places = [
            self.axes | {axis.name: str(n) for axis, n in zip(short, point, strict=True)}
            for point in numbers
        ]
        moving = {axis.name for axis in short}
        self.differing: set[str] = set(moving)
        for access in self.kernel.accesses:
            steps = zip(self.kernel.axes, access.strides, strict=True)
            if any(stride and axis.name in moving for axis, stride in steps):
                self.differing.add(access.name)
        for stage in self.kernel.stages:
            for let in stage.lets:
                if self.differing.intersection(let.arguments):
                    self.differing.add(let.name)
            self.differing.update(
                s.name for s in stage.sinks if isinstance(s, Fold) and s.value in self.differing
            )
        self.names_at = [dict(self.names) for _ in self.places]
        for n, names in enumerate(self.names_at):
            for fold in self.folds:
                if fold.name in self.differing and len(self.places) > 1:
                    names[fold.name] += f"_{n}"
        self.names = self.names_at[0]

    def _points(self, *names: str) -> Iterator[Mapping[str, str]]:
        """The points of the short axes, with the names there in force; one, if none of these names
        differs between them."""
        count = len(self.places) if self.differing.intersection(names) else 1
        for n in range(count):
            self.names = self.names_at[n]
            yield self.places[n]
        self.names = self.names_at[0]

    def _call(self, value: str, name: str) -> None:
        """Name a value in the text, at the point at hand or, if it is the same at all, at all."""
        everywhere = [self.names] if value in self.differing else self.names_at
        for names in everywhere:
            names[value] = name

    def _integer_names(self) -> dict[str, str]:
        """The text's name of each of `kernel.integers()`, in that order."""
        found = {}
        for axis in self.kernel.grid:
            for end in ("lo", "hi"):
                found[f"{end}_{axis}"] = f"{end}{self.axes[axis][1:]}"
        found |= {f"n_{axis}": f"n{self.axes[axis][1:]}" for axis in self.kernel.loops}
        for access in self.kernel.accesses:
            for axis, stride in zip(self.kernel.axes, access.strides, strict=True):
                if stride == "s":
                    name = f"s{self.pointers[access.name][1:]}_{self.axes[axis.name][1:]}"
                    found[f"{access.name}_{axis.name}"] = name
        return found

    # The frame of the function.

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

    def put(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    @contextmanager
    def block(self, *heads: str) -> Iterator[None]:
        """The lines put inside are nested under `heads`."""
        for head in heads:
            self.put(head)
            self.depth += 1
        yield
        self.depth -= len(heads)

    def _prologue(self) -> None:
        for scalar in self.kernel.scalars:
            name = self.names[scalar.name]
            if scalar.dtype == BOOL:
                self.put(f"{name} = {name} != 0")
            elif scalar.dtype == FLOAT16:
                self.put(f"{name} = from_half({name})")
        for n in range(len(self.checks)):
            self.put(f"ok{n} = True")
        size = TILE * TILE if self._tiled() else LANE_BLOCK
        for access in self.strided:
            name = f"beside_{self.pointers[access.name]}"
            self.put(f"{name} = stack({stored_as(access.dtype).name}, {size})")

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

    def _walk(self, axis: str) -> str:
        return f"for {self.axes[axis]} in range({self._range(axis)}):"

    def _grid(self) -> None:
        if self.kernel.totals:
            with self._closed(), self.block(*map(self._walk, self.kernel.totals)):
                for stage in self.kernel.stages:
                    self._stage(stage)
            return
        blocked = self._blocked()
        heads = [self._walk(axis) for axis in self.kernel.grid if axis not in blocked]
        inside, places = [], []
        for axis, size in blocked.items():
            i, hi = self.axes[axis], self.integers[f"hi_{axis}"]
            b = f"b{i[1:]}"
            heads.append(f"for {b} in range({self._range(axis)}, {size}):")
            inside.append(f"for {i} in range({b}, min({b} + {size}, {hi})):")
            places.append(f"({i} - {b})" if not places else f"{i} - {b}")
        place = f" * {TILE} + ".join(places)
        beside = {a.name: f"beside_{self.pointers[a.name]}[{place}]" for a in self.strided}
        with self.block(*heads):
            for access in self.strided:
                if access.mode == "in":
                    with self.block(*inside):
                        self.put(f"{beside[access.name]} = {self._element(access, self.axes)}")
            self.beside = beside
            with self.block(*inside):
                for stage in self.kernel.stages:
                    self._stage(stage)
            self.beside = {}
            for access in self.strided:
                if access.mode == "out":
                    with self.block(*inside):
                        self.put(f"{self._element(access, self.axes)} = {beside[access.name]}")

    def _blocked(self) -> dict[str, int]:
        """The grid axes to walk in blocks, and the length of a block."""
        tiled = self._tiled()
        if tiled:
            return dict.fromkeys(tiled, TILE)
        return {self.kernel.lanes: LANE_BLOCK} if self.strided else {}

    def _strided(self) -> list[Access]:
        """The accesses that take steps along the lanes: a loop that computes would not vectorise
        with them, so it computes on copies of a block, made by a loop that does nothing else."""
        kernel = self.kernel
        lets = [let for stage in kernel.stages for let in stage.lets]
        if kernel.loops or all(let.op in BUILT_IN for let in lets):
            return []
        lane = kernel.grid.index(kernel.lanes)
        elsewhere = {
            let.arguments[0]
            for let in lets
            if let.op == "gather" or (let.op == "load" and len(let.arguments) > 1)
        }
        return [
            access
            for access in kernel.accesses
            if access.strides[lane] == "s"
            and access.mode != "inout"
            and access.name not in elsewhere
            and access.name not in self.differing
        ]

    def _range(self, axis: str) -> str:
        return f"{self.integers[f'lo_{axis}']}, {self.integers[f'hi_{axis}']}"

    def _tiled(self) -> tuple[str, ...]:
        """The grid axes to walk in tiles: lanes, and the last that another access walks by 1."""
        kernel = self.kernel
        if kernel.loops:
            return ()
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

    # One stage: folds start, loops, scalar code, sinks, folds end.

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

    def _blocks(self, i: str, size: int) -> tuple[str, str]:
        """The loop over blocks of a loop axis, and the loop inside a block."""
        n, b = f"n{i[1:]}", f"b{i[1:]}"
        inside = f"for {i} in range({b}, min({b} + {size}, {n})):"
        return f"for {b} in range(0, {n}, {size}):", inside

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
            self._add_block(stage, inside, sums, end)

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

    def _is_position(self, stage: Stage) -> bool:
        """Whether the stage does nothing but look for the position of an extreme."""
        if len(stage.sinks) != 1 or not isinstance(fold := stage.sinks[0], Fold):
            return False
        return bool(CATALOGUE[fold.op].position_of) and self._value_dtype(fold) != BOOL

    def _start_search(self, fold: Fold) -> None:
        name, dtype = self.names[fold.name], self._value_dtype(fold)
        self.dtypes[fold.name] = fold.dtype
        worst_rank = self._search_rank(fold).format(worst(CATALOGUE[fold.op].position_of, dtype))
        self.put(f"{name} = {literal(-1, INT64)}")
        self.put(f"best{name} = {worst_rank}")

    def _search_rank(self, fold: Fold) -> str:
        """How a value becomes what the extreme is looked for among: floats integers of the same
        order, in which zeros of both signs are one."""
        dtype = self._value_dtype(fold)
        extreme = spelling(CATALOGUE[fold.op].position_of, dtype)
        if dtype.kind != "f":
            return "{0}"
        return RANKED[extreme].format("{0} + " + literal(0, dtype))

    def _find_in_blocks(self, stage: Stage, i: str, fold: Fold) -> None:
        """The extreme of each block, and its position only where it is better than before."""
        name, dtype, rank = self.names[fold.name], self._value_dtype(fold), self._search_rank(fold)
        best = CATALOGUE[fold.op].position_of
        extreme = spelling(best, dtype)
        blocks, inside = self._blocks(i, POSITION_BLOCK)

        def seen() -> str:
            self._read_keeps(stage)
            self._lets(stage)
            return rank.format(self.names[fold.value])

        with self.block(blocks):
            self.put(f"top{name} = {rank.format(worst(best, dtype))}")
            with self.block(inside):
                self.put(f"top{name} = {extreme.format(f'top{name}', seen())}")
            better = spelling(fold.op, dtype).format(f"top{name}", f"best{name}")
            with self.block(f"if {name} < 0 or {better}:"):
                none = f"np.int32({POSITION_BLOCK})"
                self.put(f"first = {none}")
                with self.block(inside):
                    found, here = f"{seen()} == top{name}", f"np.int32({i} - b{i[1:]})"
                    self.put(f"first = minimum(first, select({found}, {here}, {none}))")
                place = f"b{i[1:]} + np.int64(first)"
                self.put(f"{name} = {self._position(stage.over, f'({place})')}")
                self.put(f"best{name} = top{name}")

    def _loop(self, axis: str) -> str:
        return f"for {self.axes[axis]} in range({self.integers[f'n_{axis}']}):"

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

    def _read_keeps(self, stage: Stage) -> None:
        used = {name for let in stage.lets for name in let.arguments}
        used |= {sink.value for sink in stage.sinks}
        for keep in self.keeps:
            if keep.name in used:
                place = f"row_{self.names[keep.name]}[{self._keep_index(keep.name)}]"
                self.put(f"{self.names[keep.name]} = {unpacked(place, keep.dtype)}")

    def _keep_index(self, name: str) -> str:
        return self._position(self.keep_stage[name].over)

    def _position(self, loops: tuple[str, ...], last: str = "") -> str:
        """The number of the point of `loops`, row by row; `last` stands for the last axis."""
        if not loops:
            return literal(0, INT64)
        points = [self.axes[axis] for axis in loops]
        points[-1] = last or points[-1]
        position = points[0]
        for axis, point in zip(loops[1:], points[1:], strict=True):
            position = f"({position}) * {self.integers[f'n_{axis}']} + {point}"
        return position

    def _lets(self, stage: Stage, moved: Mapping[str, str] | None = None) -> None:
        """The scalar code; `moved` are texts of positions along axes that are not the loops'."""
        for let in stage.lets:
            self.dtypes[let.name] = let.dtype
            for axes in self._points(let.name):
                text = self._expression(let, {**axes, **moved} if moved else axes)
                name = f"v{self.counted}"
                self.counted += 1
                self.put(f"{name} = {text}")
                self._call(let.name, name)

    def _expression(self, let: Let, axes: Mapping[str, str]) -> str:
        if let.op == "index":
            return axes[let.arguments[0]]
        if let.op == "constant":
            return literal(parse_literal(let.arguments[0]), let.dtype)
        if let.op in ("load", "gather"):
            access = self.kernel.access(let.arguments[0])
            values = [self.names[name] for name in let.arguments[1:]]
            offset = values.pop(0) if let.op == "gather" else ""
            text = unpacked(self._element(access, axes, offset), access.dtype)
            return f"{text} if {values[0]} else {values[1]}" if values else text
        if let.op == "pair":
            return f"pair({', '.join(self.names[name] for name in let.arguments)})"
        first = self.dtypes[let.arguments[0]] if let.arguments else let.dtype
        values = [self.names[name] for name in let.arguments]
        return narrow(spelling(let.op, first).format(*values, dtype=let.dtype.name), let.dtype)

    def _element(self, access: Access, axes: Mapping[str, str], offset: str = "") -> str:
        """The element of `access` at the point `axes`, `offset` elements further."""
        if access.name in self.beside:
            return self.beside[access.name]
        name, further = access.near or (access.name, 0)
        terms = [offset] if offset else []
        terms += [str(further)] if further else []
        for axis, stride in zip(self.kernel.axes, access.strides, strict=True):
            position = axes[axis.name]
            if stride == "s":
                terms.append(f"{position} * {self.integers[f'{name}_{axis.name}']}")
            elif stride:
                step = {1: "", -1: "-"}.get(stride, f"{stride} * ")  # type: ignore[arg-type]
                terms.append(f"{step}{position}")
        return f"{self.pointers[name]}[{' + '.join(terms) or '0'}]"

    # Folds. A float sum adds SUM_BLOCK elements in its own dtype, reordered, into f; blocks join
    # a float64 total t, compensated by e where the sum itself is float64 (Neumaier 1974). So do
    # totals, by blocks of one value where the values come one by one.

    def _value_dtype(self, fold: Fold | Total) -> np.dtype:
        lets = (let for stage in self.kernel.stages for let in stage.lets)
        known = {sink.name: sink.dtype for sink in (*self.folds, *self.keeps)}
        known |= {let.name: let.dtype for let in lets}
        known |= {scalar.name: scalar.dtype for scalar in self.kernel.scalars}
        return known[fold.value]

    def _in_blocks(self, fold: Fold | Total) -> bool:
        return fold.dtype.kind == "f" and spelling(fold.op, fold.dtype) in REORDERED

    def _rank(self, fold: Fold | Total) -> str | None:
        """How a value becomes what an extreme of floats is found among; None for other folds."""
        return RANKED.get(spelling(fold.op, fold.dtype)) if fold.dtype.kind == "f" else None

    def _start(self, fold: Fold | Total, blocked: bool) -> None:
        name, value = self.names[fold.name], self._value_dtype(fold)
        self.dtypes[fold.name] = fold.dtype
        if blocked:
            self.put(f"t{name} = {literal(0, FLOAT64)}")
            if fold.dtype == FLOAT64:
                self.put(f"e{name} = {literal(0, FLOAT64)}")
        elif CATALOGUE[fold.op].position_of:
            self.put(f"{name} = {literal(-1, INT64)}")
            self.put(f"best{name} = {literal(0, value)}")
        else:
            identity = CATALOGUE[fold.op].identity
            assert identity is not None, f"{fold.op} has no identity to start from"
            start = literal(identity(fold.dtype), fold.dtype)
            rank = self._rank(fold)
            self.put(f"{name} = {rank.format(start) if rank else start}")

    def _add_to_total(self, total: Total, stage: Stage) -> None:
        """One value more for a total."""
        if not self._in_blocks(total):
            self._accumulate(total, self.kernel.totals)
            return
        value = converted(self.names[total.value], self.dtypes[total.value], held_as(total.dtype))
        self.put(f"{self.names[total.name]} = {value}")
        self._join(total)

    def _accumulate(self, fold: Fold | Total, over: tuple[str, ...]) -> None:
        name, value = self.names[fold.name], self.names[fold.value]
        given = self.dtypes[fold.value]
        if CATALOGUE[fold.op].position_of:
            self._accumulate_position(fold, over)
            return
        value = converted(value, given, fold.dtype)
        combine = spelling(fold.op, fold.dtype)
        rank = self._rank(fold)
        if rank:
            self.put(f"{name} = {combine.format(name, rank.format(value))}")
            return
        if self._in_blocks(fold):
            combine = REORDERED[combine]
        self.put(f"{name} = {narrow(combine.format(name, value), held_as(fold.dtype))}")

    def _accumulate_position(self, fold: Fold | Total, over: tuple[str, ...]) -> None:
        name, value = self.names[fold.name], self.names[fold.value]
        position = self._position(over)
        better = spelling(fold.op, self.dtypes[fold.value])
        self.put(f"better = ({name} < 0) | {better.format(value, f'best{name}')}")
        self.put(f"{name} = select(better, {position}, {name})")
        self.put(f"best{name} = select(better, {value}, best{name})")

    def _join(self, fold: Fold | Total) -> None:
        name = self.names[fold.name]
        if fold.dtype != FLOAT64:
            self.put(f"t{name} += {name}")
            return
        self.put(f"u{name} = t{name} + {name}")
        self.put(f"z{name} = u{name} - t{name}")
        self.put(f"e{name} += (t{name} - (u{name} - z{name})) + ({name} - z{name})")
        self.put(f"t{name} = u{name}")

    def _finish(self, fold: Fold | Total, blocked: bool) -> None:
        name = self.names[fold.name]
        if blocked and fold.dtype == FLOAT64:
            self.put(f"{name} = select(e{name} == e{name}, t{name} + e{name}, t{name})")
        elif blocked:
            self.put(f"{name} = {converted(f't{name}', FLOAT64, fold.dtype)}")
        elif self._rank(fold):
            self.put(f"{name} = of_rank({name})")
        elif fold.dtype == FLOAT16:
            self.put(f"{name} = round_half({name})")
