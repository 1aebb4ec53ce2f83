"""Kernel -> Python source over raw pointers, for Numba.

    map     no loop axis                 nested loops over the grid; transposed accesses in tiles
    row     lanes = the last loop axis   stages one after the other inside each grid point
    column  lanes = the last grid axis,  blocks of lanes with accumulators in an array, and several
            with folds                   rows a pass

Names are numbered (i axes, p accesses, c scalars, v values, f folds, k keeps), so kernels that
differ in names alone have one text. Values are strictly typed: no literal widens a float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from dualflow.base.config import active
from dualflow.ir.kernel import BUILT_IN, Access, Check, Fold, Keep, Kernel, Let, Stage, Store
from dualflow.ir.op import CATALOGUE
from dualflow.ir.text import KernelText

#: Elements of a float sum that are added in their own dtype before they join the wide total. With
#: 128 the error is that of NumPy's pairwise sum or less; 1024 is 5 % faster and twice as wrong.
SUM_BLOCK = 128
#: Lanes of a column reduction whose accumulators stay in the first-level cache.
COLUMN_BLOCK = 1024
#: Lanes that are copied beside where an operand takes steps along the lanes.
LANE_BLOCK = 512
#: Side of the square tiles in which a transposed access is walked.
TILE = 16
#: Combinations that may be reordered when they accumulate floats; the others keep their order.
REORDERED = {"{0} + {1}": "radd({0}, {1})"}
#: Position folds (their spelling is a bare name): when a candidate replaces the best so far.
BETTER = {"argmax": "better_high({0}, {1})", "argmin": "better_low({0}, {1})"}
#: The fold of values that finds what a position fold looks for.
EXTREME = {"argmax": "maximum({0}, {1})", "argmin": "minimum({0}, {1})"}
#: Elements whose extreme is found first, and only if it is better than before, its position.
POSITION_BLOCK = 256

#: What the compiler may do to float arithmetic, by the setting `numerics`.
OPTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "strict": (),
    "exact": (),
    "fast": (("fastmath", "contract"),),
}

BOOL, INT64, FLOAT16, FLOAT32, FLOAT64 = map(
    np.dtype, ("bool", "int64", "float16", "float32", "float64")
)


def emit(kernel: Kernel) -> KernelText:
    """The text of `kernel`: a function `kernel(pointers, scratch, scalars, integers)`.

    With `numerics="fast"` in force a product and a sum may be contracted to one rounding.

    Raises:
        NotImplementedError: an op of the kernel has no spelling for this backend.
    """
    return (_ColumnEmitter if kernel.folds_across_lanes else _Emitter)(kernel).text()


def spelling(op: str, dtype: np.dtype) -> str:
    """How the record `op` spells scalar code on operands of `dtype`."""
    found = CATALOGUE[op].spelling.get("numba")
    if isinstance(found, Mapping):
        found = next((text for kinds, text in found.items() if dtype.kind in kinds), None)
    if found is None:
        raise NotImplementedError(f"op {op} has no numba spelling for {dtype.name}")
    return found


def literal(value: bool | int | float, dtype: np.dtype) -> str:
    """`value` as a typed constant.

    >>> literal(-0.0, np.dtype("float32"))
    'np.float32(-0.0)'
    """
    if dtype == BOOL:
        return str(bool(value))
    if dtype.kind != "f":
        return f"np.{dtype.name}({int(value)})"
    value = float(np.asarray(value, dtype))
    text = repr(value) if np.isfinite(value) else repr(value).replace("inf", "np.inf")
    return f"np.{_held(dtype).name}({text.replace('nan', 'np.nan')})"


def _worst(spelled: str, dtype: np.dtype) -> str:
    """What every value is at least as good as, for the position fold `spelled`."""
    high = EXTREME[spelled].startswith("minimum")
    if dtype.kind == "f":
        return literal(np.inf if high else -np.inf, dtype)
    limits = np.iinfo(dtype)
    return literal(int(limits.max if high else limits.min), dtype)


def _held(dtype: np.dtype) -> np.dtype:
    """The dtype in which a value of `dtype` is held between ops: float16 in float32."""
    return FLOAT32 if dtype == FLOAT16 else dtype


def _stored(dtype: np.dtype) -> np.dtype:
    """The dtype behind the pointer to a buffer of `dtype`."""
    return np.dtype("uint8") if dtype == BOOL else np.dtype("uint16") if dtype == FLOAT16 else dtype


class _Emitter:
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
        self.checks = [s for s in kernel.sinks if isinstance(s, Check)]
        self.keep_stage = {s.name: stage for stage in kernel.stages for s in stage.sinks
                           if isinstance(s, Keep)}  # fmt: skip
        self.names |= {fold.name: f"f{n}" for n, fold in enumerate(self.folds)}
        self.names |= {keep.name: f"k{n}" for n, keep in enumerate(self.keeps)}
        self.integers = self._integer_names()
        self.strided = self._strided()
        #: accesses read and written in a copy of the block at hand, and where
        self.beside: dict[str, str] = {}
        self.counted = 0

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
        pointers = [_stored(access.dtype) for access in kernel.accesses]
        names = list(self.pointers.values())
        if self.checks:
            pointers.append(INT64)
            names.append("status")
        scratch = []
        for keep in self.keeps:
            items = [f"n_{axis}" for axis in self.keep_stage[keep.name].over]
            scratch.append((_stored(keep.dtype), tuple(map(kernel.integers().index, items))))
            names.append(f"row_{self.names[keep.name]}")
        names += [self.names[scalar.name] for scalar in kernel.scalars]
        names += self.integers.values()
        self._prologue()
        self._grid()
        self._epilogue()
        source = f"def kernel({', '.join(names)}):\n" + "\n".join(self.lines) + "\n"
        scalars = tuple(_stored(scalar.dtype) for scalar in kernel.scalars)
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
            self.put(f"{name} = stack({_stored(access.dtype).name}, {size})")

    def _epilogue(self) -> None:
        for n, check in enumerate(self.checks):
            with self.block(f"if status[0] == 0 and not ok{n}:"):
                self.put(f"status[0] = {check.code}")

    def _grid(self) -> None:
        blocked = self._blocked()
        heads = [f"for {self.axes[axis]} in range({self._range(axis)}):"
                 for axis in self.kernel.grid if axis not in blocked]  # fmt: skip
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
        ]

    def _range(self, axis: str) -> str:
        return f"{self.integers[f'lo_{axis}']}, {self.integers[f'hi_{axis}']}"

    def _tiled(self) -> tuple[str, ...]:
        """The grid axes to walk in tiles: lanes, and those that another access walks by 1."""
        kernel = self.kernel
        if kernel.loops:
            return ()
        crossing = {
            axis.name
            for access in kernel.accesses
            for axis, stride in zip(kernel.axes, access.strides, strict=True)
            if stride in (1, -1) and axis.name != kernel.lanes
            and access.strides[-1] == "s"
        }  # fmt: skip
        return tuple(a for a in kernel.grid if a in crossing or (crossing and a == kernel.lanes))

    # One stage: folds start, loops, scalar code, sinks, folds end.

    def _stage(self, stage: Stage) -> None:
        folds = [sink for sink in stage.sinks if isinstance(sink, Fold)]
        walked = self.kernel.lanes in stage.over
        blocked = [fold for fold in folds if walked and self._in_blocks(fold)]
        for fold in folds:
            self._start(fold, fold in blocked)
        *outer, last = stage.over or ("",)
        with self.block(*(self._loop(axis) for axis in outer)):
            if blocked:
                self._sum_in_blocks(stage, self.axes[last], blocked)
            elif walked and self._is_position(stage):
                self._find_in_blocks(stage, self.axes[last], folds[0])
            else:
                with self.block(*([self._loop(last)] if last else [])):
                    self._body(stage)
        for fold in folds:
            self._finish(fold, fold in blocked)

    def _blocks(self, i: str, size: int) -> tuple[str, str]:
        """The loop over blocks of a loop axis, and the loop inside a block."""
        n, b = f"n{i[1:]}", f"b{i[1:]}"
        inside = f"for {i} in range({b}, min({b} + {size}, {n})):"
        return f"for {b} in range(0, {n}, {size}):", inside

    def _sum_in_blocks(self, stage: Stage, i: str, folds: list[Fold]) -> None:
        blocks, inside = self._blocks(i, SUM_BLOCK)
        with self.block(blocks):
            for fold in folds:
                self.put(f"{self.names[fold.name]} = {literal(0, _held(fold.dtype))}")
            with self.block(inside):
                self._body(stage)
            for fold in folds:
                self._join(fold)

    def _is_position(self, stage: Stage) -> bool:
        """Whether the stage does nothing but look for the position of an extreme."""
        if len(stage.sinks) != 1 or not isinstance(fold := stage.sinks[0], Fold):
            return False
        value = self._value_dtype(fold)
        return value != BOOL and spelling(fold.op, value) in EXTREME

    def _find_in_blocks(self, stage: Stage, i: str, fold: Fold) -> None:
        """The extreme of a block vectorises, a search for its position does not."""
        name, dtype = self.names[fold.name], self._value_dtype(fold)
        spelled = spelling(fold.op, dtype)
        blocks, inside = self._blocks(i, POSITION_BLOCK)
        with self.block(blocks):
            self.put(f"top{name} = {_worst(spelled, dtype)}")
            with self.block(inside):
                self._read_keeps(stage)
                self._lets(stage, self.axes)
                value = self.names[fold.value]
                self.put(f"top{name} = {EXTREME[spelled].format(f'top{name}', value)}")
            better = BETTER[spelled].format(f"top{name}", f"best{name}")
            with self.block(f"if {name} < 0 or {better}:", inside):
                self._read_keeps(stage)
                self._lets(stage, self.axes)
                value = self.names[fold.value]
                with self.block(f"if {value} == top{name} or {value} != {value}:"):
                    self.put(f"{name} = {self._position(stage.over)}")
                    self.put(f"best{name} = top{name}")
                    self.put("break")

    def _loop(self, axis: str) -> str:
        return f"for {self.axes[axis]} in range({self.integers[f'n_{axis}']}):"

    def _body(self, stage: Stage) -> None:
        self._read_keeps(stage)
        self._lets(stage, self.axes)
        for sink in stage.sinks:
            value = self.names[sink.value]
            if isinstance(sink, Store):
                access = self.kernel.access(sink.access)
                self.put(f"{self._element(access, self.axes)} = {_packed(value, access.dtype)}")
            elif isinstance(sink, Check):
                self.put(f"ok{self.checks.index(sink)} &= {value}")
            elif isinstance(sink, Keep):
                self.dtypes[sink.name] = sink.dtype
                place = f"row_{self.names[sink.name]}[{self._keep_index(sink.name)}]"
                self.put(f"{place} = {_packed(value, sink.dtype)}")
            else:
                self._accumulate(sink, stage)

    def _read_keeps(self, stage: Stage) -> None:
        used = {name for let in stage.lets for name in let.arguments}
        used |= {sink.value for sink in stage.sinks}
        for keep in self.keeps:
            if keep.name in used:
                place = f"row_{self.names[keep.name]}[{self._keep_index(keep.name)}]"
                self.put(f"{self.names[keep.name]} = {_unpacked(place, keep.dtype)}")

    def _keep_index(self, name: str) -> str:
        return self._position(self.keep_stage[name].over)

    def _position(self, loops: tuple[str, ...]) -> str:
        """The number of the point of `loops`, row by row."""
        if not loops:
            return literal(0, INT64)
        first, *others = loops
        position = self.axes[first]
        for axis in others:
            position = f"({position}) * {self.integers[f'n_{axis}']} + {self.axes[axis]}"
        return position

    def _lets(self, stage: Stage, axes: Mapping[str, str]) -> None:
        """The scalar code, at the point that `axes` (texts of positions) names."""
        for let in stage.lets:
            text = self._expression(let, axes)
            self.names[let.name] = f"v{self.counted}"
            self.counted += 1
            self.dtypes[let.name] = let.dtype
            self.put(f"{self.names[let.name]} = {text}")

    def _expression(self, let: Let, axes: Mapping[str, str]) -> str:
        if let.op == "index":
            return axes[let.arguments[0]]
        if let.op == "constant":
            return literal(_parse(let.arguments[0]), let.dtype)
        if let.op in ("load", "gather"):
            access = self.kernel.access(let.arguments[0])
            values = [self.names[name] for name in let.arguments[1:]]
            offset = values.pop(0) if let.op == "gather" else ""
            text = _unpacked(self._element(access, axes, offset), access.dtype)
            return f"{text} if {values[0]} else {values[1]}" if values else text
        first = self.dtypes[let.arguments[0]] if let.arguments else let.dtype
        values = [self.names[name] for name in let.arguments]
        return _narrow(spelling(let.op, first).format(*values, dtype=let.dtype.name), let.dtype)

    def _element(self, access: Access, axes: Mapping[str, str], offset: str = "") -> str:
        """The element of `access` at the point `axes`, `offset` elements further."""
        if access.name in self.beside:
            return self.beside[access.name]
        terms = [offset] if offset else []
        for axis, stride in zip(self.kernel.axes, access.strides, strict=True):
            position = axes[axis.name]
            if stride == "s":
                terms.append(f"{position} * {self.integers[f'{access.name}_{axis.name}']}")
            elif stride:
                terms.append(position if stride == 1 else f"-{position}")
        return f"{self.pointers[access.name]}[{' + '.join(terms) or '0'}]"

    # Folds. A float sum adds SUM_BLOCK elements in its own dtype, reordered, into f; blocks join
    # a float64 total t, compensated by e where the sum itself is float64 (Neumaier 1974).

    def _value_dtype(self, fold: Fold) -> np.dtype:
        lets = (let for stage in self.kernel.stages for let in stage.lets)
        known = {sink.name: sink.dtype for sink in (*self.folds, *self.keeps)}
        known |= {let.name: let.dtype for let in lets}
        known |= {scalar.name: scalar.dtype for scalar in self.kernel.scalars}
        return known[fold.value]

    def _in_blocks(self, fold: Fold) -> bool:
        return fold.dtype.kind == "f" and spelling(fold.op, fold.dtype) in REORDERED

    def _start(self, fold: Fold, blocked: bool) -> None:
        name, value = self.names[fold.name], self._value_dtype(fold)
        self.dtypes[fold.name] = fold.dtype
        if blocked:
            self.put(f"t{name} = {literal(0, FLOAT64)}")
            if fold.dtype == FLOAT64:
                self.put(f"e{name} = {literal(0, FLOAT64)}")
        elif spelling(fold.op, value) in BETTER:
            self.put(f"{name} = {literal(-1, INT64)}")
            self.put(f"best{name} = {literal(0, value)}")
        else:
            identity = CATALOGUE[fold.op].identity
            assert identity is not None, f"{fold.op} has no identity to start from"
            self.put(f"{name} = {literal(identity(fold.dtype), fold.dtype)}")

    def _accumulate(self, fold: Fold, stage: Stage) -> None:
        name, value = self.names[fold.name], self.names[fold.value]
        given = self.dtypes[fold.value]
        spelled = spelling(fold.op, given)
        if spelled in BETTER:
            self._accumulate_position(fold, stage)
            return
        value = _converted(value, given, fold.dtype)
        combine = spelling(fold.op, fold.dtype)
        if self._in_blocks(fold):
            combine = REORDERED[combine]
        self.put(f"{name} = {_narrow(combine.format(name, value), _held(fold.dtype))}")

    def _accumulate_position(self, fold: Fold, stage: Stage) -> None:
        name, value = self.names[fold.name], self.names[fold.value]
        position = self._position(stage.over)
        better = BETTER[spelling(fold.op, self.dtypes[fold.value])]
        self.put(f"better = ({name} < 0) | {better.format(value, f'best{name}')}")
        self.put(f"{name} = select(better, {position}, {name})")
        self.put(f"best{name} = select(better, {value}, best{name})")

    def _join(self, fold: Fold) -> None:
        name = self.names[fold.name]
        if fold.dtype != FLOAT64:
            self.put(f"t{name} += {name}")
            return
        self.put(f"u{name} = t{name} + {name}")
        self.put(f"z{name} = u{name} - t{name}")
        self.put(f"e{name} += (t{name} - (u{name} - z{name})) + ({name} - z{name})")
        self.put(f"t{name} = u{name}")

    def _finish(self, fold: Fold, blocked: bool) -> None:
        name = self.names[fold.name]
        if blocked and fold.dtype == FLOAT64:
            self.put(f"{name} = select(e{name} == e{name}, t{name} + e{name}, t{name})")
        elif blocked:
            self.put(f"{name} = {_converted(f't{name}', FLOAT64, fold.dtype)}")
        elif fold.dtype == FLOAT16:
            self.put(f"{name} = round_half({name})")


class _ColumnEmitter(_Emitter):
    """The column form: blocks of lanes; each fold's accumulators are an array over the block."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        assert not self.keeps, "a Keep needs lanes on a loop axis"
        self.lane = self.axes[kernel.lanes]
        self.start, self.end = f"b{self.lane[1:]}", f"e{self.lane[1:]}"
        self.cell = f"[{self.lane} - {self.start}]"
        #: the accumulated values that a stage reads, by the name it reads them under
        self.arrays = {fold.name: f"row_{self.names[fold.name]}" for fold in self.folds}

    def _prologue(self) -> None:
        super()._prologue()
        for fold in self.folds:
            dtype = _stored(self._accumulator(fold))
            self.put(f"{self.arrays[fold.name]} = stack({dtype.name}, {COLUMN_BLOCK})")
            value = self._value_dtype(fold)
            if spelling(fold.op, value) in BETTER:
                name = f"best_{self.names[fold.name]}"
                self.put(f"{name} = stack({_stored(_held(value)).name}, {COLUMN_BLOCK})")

    def _accumulator(self, fold: Fold) -> np.dtype:
        """Sums of floats accumulate in float64, everything else in its own dtype."""
        return FLOAT64 if self._in_blocks(fold) else _held(fold.dtype)

    def _grid(self) -> None:
        *outer, lanes = self.kernel.grid
        hi = self.integers[f"hi_{lanes}"]
        heads = [f"for {self.axes[axis]} in range({self._range(axis)}):" for axis in outer]
        heads.append(f"for {self.start} in range({self._range(lanes)}, {COLUMN_BLOCK}):")
        with self.block(*heads):
            self.put(f"{self.end} = min({self.start} + {COLUMN_BLOCK}, {hi})")
            for stage in self.kernel.stages:
                self._stage(stage)

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
            rows = self._rows(stage, folds)
            if rows > 1:
                with self.block(f"for {i} in range(0, {n} // {rows} * {rows}, {rows}):"):
                    moved = [{**self.axes, last: f"({i} + {r})" if r else i} for r in range(rows)]
                    self._pass(stage, moved)
            begin = f"{n} // {rows} * {rows}, " if rows > 1 else ""
            with self.block(f"for {i} in range({begin}{n}):"):
                self._pass(stage, [self.axes])

    def _rows(self, stage: Stage, folds: list[Fold]) -> int:
        """How many rows one pass over the accumulators takes in."""
        plain = all(self._combines(fold) for fold in folds)
        if not folds or not plain or len(folds) < len(stage.sinks):
            return 1
        return 8 if len(stage.lets) <= 4 else 4 if len(stage.lets) <= 10 else 1

    def _combines(self, fold: Fold) -> bool:
        """Whether the fold may combine rows among themselves first: exact ones, and sums."""
        if spelling(fold.op, self._value_dtype(fold)) in BETTER:
            return False
        return fold.dtype.kind != "f" or CATALOGUE[fold.op].exact or self._in_blocks(fold)

    def _start_cell(self, fold: Fold) -> None:
        array = self.arrays[fold.name] + self.cell
        self.dtypes[fold.name] = fold.dtype
        value = self._value_dtype(fold)
        if spelling(fold.op, value) in BETTER:
            self.put(f"{array} = {literal(-1, INT64)}")
            cell = f"best_{self.names[fold.name]}{self.cell}"
            self.put(f"{cell} = {_boxed(literal(0, value), value)}")
            return
        identity = CATALOGUE[fold.op].identity
        assert identity is not None, f"{fold.op} has no identity to start from"
        dtype = self._accumulator(fold)
        self.put(f"{array} = {_boxed(literal(identity(dtype), dtype), dtype)}")

    def _pass(self, stage: Stage, points: Sequence[Mapping[str, str]]) -> None:
        """One walk along the lanes, for each of `points` (the rows taken in at once)."""
        with self.block(self._lane_loop()):
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
                    self.put(f"{place} = {_packed(values[0], access.dtype)}")
                elif isinstance(sink, Check):
                    self.put(f"ok{self.checks.index(sink)} &= {values[0]}")
                elif isinstance(sink, Fold):
                    self._accumulate_cell(sink, stage, values)

    def _read_folds(self, stage: Stage) -> None:
        used = {name for let in stage.lets for name in let.arguments}
        used |= {sink.value for sink in stage.sinks}
        for fold in self.folds:
            if fold.name in used:
                text = self.arrays[fold.name] + self.cell
                dtype = self._accumulator(fold)
                text = f"{text} != 0" if dtype == BOOL else text
                self.put(f"{self.names[fold.name]} = {_converted(text, dtype, fold.dtype)}")

    def _accumulate_cell(self, fold: Fold, stage: Stage, values: list[str]) -> None:
        cell, given = self.arrays[fold.name] + self.cell, self.dtypes[fold.value]
        if spelling(fold.op, given) in BETTER:
            self._replace_cell(fold, stage, values[0])
            return
        dtype, held = self._accumulator(fold), _held(fold.dtype)
        combine = spelling(fold.op, fold.dtype)
        values = [_converted(value, given, held) for value in values]
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [f"({_narrow(combine.format(a, b), held)})" for a, b in pairs]
        value = _converted(values[0], held, dtype)
        read = f"({cell} != 0)" if dtype == BOOL else cell
        self.put(f"{cell} = {_boxed(_narrow(combine.format(read, value), dtype), dtype)}")

    def _replace_cell(self, fold: Fold, stage: Stage, value: str) -> None:
        given = self.dtypes[fold.value]
        position, best = self.arrays[fold.name] + self.cell, f"best_{self.names[fold.name]}"
        where = self._position(stage.over)
        held = f"({best}{self.cell} != 0)" if given == BOOL else f"{best}{self.cell}"
        better = BETTER[spelling(fold.op, given)].format(value, held)
        self.put(f"better = ({position} < 0) | {better}")
        self.put(f"{position} = select(better, {where}, {position})")
        self.put(f"{best}{self.cell} = {_boxed(f'select(better, {value}, {held})', given)}")


# How values change between a buffer, a variable and another dtype.


def _unpacked(element: str, dtype: np.dtype) -> str:
    """An element of a buffer as a value."""
    if dtype == BOOL:
        return f"({element} != 0)"
    return f"from_half({element})" if dtype == FLOAT16 else element


def _packed(value: str, dtype: np.dtype) -> str:
    """A value as an element of a buffer."""
    return f"to_half({value})" if dtype == FLOAT16 else _boxed(value, dtype)


def _boxed(value: str, dtype: np.dtype) -> str:
    return f"np.uint8({value})" if dtype == BOOL else value


def _narrow(text: str, dtype: np.dtype) -> str:
    """`text` in its own dtype again: Numba widens integers, and float16 is computed in float32."""
    if dtype.kind in "iu":
        return f"np.{dtype.name}({text})"
    return f"round_half({text})" if dtype == FLOAT16 else text


def _converted(value: str, given: np.dtype, wanted: np.dtype) -> str:
    """`value` of dtype `given` in dtype `wanted` (of the same kind, or wider)."""
    if given == wanted or (wanted == FLOAT32 and given == FLOAT16):
        return value
    if wanted == FLOAT16:
        return f"round_half({value})"
    return f"np.{wanted.name}({value})"


def _parse(text: str) -> bool | int | float:
    """The literal that `repr` wrote."""
    words: dict[str, Callable[[], bool | int | float]] = {
        "True": lambda: True,
        "False": lambda: False,
    }
    if text in words:
        return words[text]()
    return int(text) if text.lstrip("-").isdigit() else float(text)
