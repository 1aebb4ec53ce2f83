"""Kernel -> Triton source: one text a kernel, for any size; what depends on sizes is a constexpr.

    map     no loop axis                full tiles without masks (16-byte accesses), the rest masked
    row     lanes = the last loop axis  WHOLE: a row is one tile, every value stays in registers;
                                        else tile after tile, kept values computed again
    column  lanes = the last grid axis, tile after tile of rows, reduced at the end
            with folds

A program instance computes a tile of one or two axes; `triton_variants.py` says which one, and
which compilations of the text serve a launch. Names are numbered as in `numba.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from dualflow.ir.kernel import Access, Check, Fold, Keep, Kernel, Let, Stage, Store
from dualflow.ir.op import CATALOGUE
from dualflow.ir.text import KernelText

from .spelling import spelling
from .triton_online import Online, online
from .triton_prelude import HEADER, used_by
from .triton_variants import can_be_whole, tile

#: No contraction into fused multiply-add; subnormal results of libdevice functions are kept.
OPTIONS = (("enable_fp_fusion", "False"), ("enable_reflect_ftz", "False"))

BOOL, INT64, FLOAT16, FLOAT32, FLOAT64 = map(
    np.dtype, ("bool", "int64", "float16", "float32", "float64")
)
#: The dtype in which a fold that rounds accumulates.
WIDER = {FLOAT16: FLOAT32, FLOAT32: FLOAT64}
#: How a sum is spelled: float64 sums over many tiles carry their rounding error along.
SUM = "{0} + {1}"


def emit(kernel: Kernel) -> KernelText:
    """The text of `kernel`: a Triton function `kernel(pointers, scalars, integers, constexprs)`.

    Raises:
        NotImplementedError: an op of the kernel has no spelling for this backend, or the kernel has
            totals, which a schedule for this backend makes kernels of their own.
    """
    if kernel.totals:
        raise NotImplementedError("program instances share no totals")
    return _Emitter(kernel).text()


def dtype_name(dtype: np.dtype) -> str:
    """Triton's name of `dtype`.

    >>> dtype_name(np.dtype("bool"))
    'tl.int1'
    """
    return "tl.int1" if dtype == BOOL else f"tl.{dtype.name}"


def literal(value: bool | int | float, dtype: np.dtype) -> str:
    """`value` as a typed constant.

    >>> literal(float("-inf"), np.dtype("float32"))
    "tl.full((), float('-inf'), tl.float32)"
    """
    return f"tl.full((), {number(value, dtype)}, {dtype_name(dtype)})"


def number(value: bool | int | float, dtype: np.dtype) -> str:
    """`value` as Python code; beside a value of `dtype` the language gives it that dtype."""
    if dtype.kind != "f":
        return repr(bool(value) if dtype == BOOL else int(value))
    text = repr(float(value))
    return text if np.isfinite(float(value)) else f"float('{text}')"


class _Emitter:
    """One kernel in the making."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.tile = kernel, tile(kernel)
        self.axes = {axis.name: f"i{n}" for n, axis in enumerate(kernel.axes)}
        self.pointers = {access.name: f"p{n}" for n, access in enumerate(kernel.accesses)}
        self.scalars = {scalar.name: f"c{n}" for n, scalar in enumerate(kernel.scalars)}
        self.folds = [sink for sink in kernel.sinks if isinstance(sink, Fold)]
        self.fold_names = {fold.name: f"f{n}" for n, fold in enumerate(self.folds)}
        self.keeps = {sink.name: (sink, stage) for stage in kernel.stages
                      for sink in stage.sinks if isinstance(sink, Keep)}  # fmt: skip
        self.dtypes = {s.name: s.dtype for s in (*kernel.scalars, *self.folds)}
        self.dtypes |= {name: keep.dtype for name, (keep, _) in self.keeps.items()}
        self.integers = self._integer_names()
        self.lines: list[str] = []
        self.joins: list[str] = []  # templates of the combinations that are reduced with
        self.depth, self.counted = 1, 0
        self.masked, self.whole = True, False
        self.made: dict[str, str] = {}  # the value of an expression that is in scope
        self.kept: dict[str, str] = {}  # the value of a Keep that is in registers
        self.written: set[str] = set()  # accesses that a stage has stored to

    def _integer_names(self) -> dict[str, str]:
        """The text's name of each of `kernel.integers()`, in that order."""
        kernel, axes = self.kernel, self.axes
        names = [f"{end}{axes[axis][1:]}" for axis in kernel.grid for end in ("lo", "hi")]
        names += [f"n{axes[axis][1:]}" for axis in kernel.loops]
        for access in kernel.accesses:
            for axis, stride in zip(kernel.axes, access.strides, strict=True):
                if stride == "s":
                    names.append(f"s{self.pointers[access.name][1:]}_{axes[axis.name][1:]}")
        return dict(zip(kernel.integers(), names, strict=True))

    # The frame of the text.

    def text(self) -> KernelText:
        kernel = self.kernel
        pointers = [access.dtype for access in kernel.accesses]
        parameters = list(self.pointers.values())
        if any(isinstance(sink, Check) for sink in kernel.sinks):
            pointers.append(INT64)
            parameters.append("status")
        parameters += [*self.scalars.values(), *self.integers.values()]
        constexprs = [f"B{self.axes[axis][1:]}" for axis in self.tile]
        constexprs += ["WHOLE"] if can_be_whole(kernel) else []
        parameters += [f"{name}: tl.constexpr" for name in constexprs]
        self._body()
        body = "\n".join(self.lines)
        joins = [
            f"@triton.jit\ndef join{n}(x, y):\n    return {template.format('x', 'y')}\n"
            for n, template in enumerate(self.joins)
        ]
        used = used_by(body + "".join(joins))
        head = f"@triton.jit\ndef kernel({', '.join(parameters)}):\n"
        source = "\n\n".join([HEADER, *used, *joins, head + body + "\n"])
        scalars = tuple(scalar.dtype for scalar in kernel.scalars)
        return KernelText(source, "kernel", tuple(pointers), scalars, len(self.integers), OPTIONS)

    def put(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    @contextmanager
    def block(self, *heads: str) -> Iterator[None]:
        """The lines put inside are nested under `heads`; values made there end with it."""
        made = dict(self.made)
        for head in heads:
            self.put(head)
            self.depth += 1
        yield
        self.depth -= len(heads)
        self.made = made

    def _body(self) -> None:
        starts = self._grid()
        if not self.kernel.loops:
            full = [f"{start} + {self._block(a)} <= {self._end(a)}" for a, start in starts.items()]
            self.masked = False
            with self.block(f"if {' and '.join(full)}:"):
                self._stages()
            self.masked = True
            with self.block("else:"):
                self._stages()
        elif can_be_whole(self.kernel):
            self.whole = True
            with self.block("if WHOLE:"):
                self._place(self.kernel.lanes, "")
                self._stages()
            self.whole = False
            with self.block("else:"):
                self._stages()
        else:
            self._stages()

    def _grid(self) -> dict[str, str]:
        """Which tile this program instance computes: tiles are counted row by row, the last grid
        axis fastest. Returns where the tile starts on each of its grid axes."""
        starts = {}
        if self.kernel.grid:
            self.put("block = tl.program_id(0)")
        for axis in reversed(self.kernel.grid):
            i, low, high = self.axes[axis], self.integers[f"lo_{axis}"], self._end(axis)
            is_outermost = axis == self.kernel.grid[0]
            count = f"({high} - {low})"
            if axis in self.tile:
                count = f"tl.cdiv({high} - {low}, {self._block(axis)})"
            number = "block" if is_outermost else f"(block % {count})"
            if axis in self.tile:
                starts[axis] = f"b{i[1:]}"
                self.put(f"b{i[1:]} = {low} + {number}.to({low}.dtype) * {self._block(axis)}")
                self._place(axis, f"b{i[1:]} + ")
            else:
                self.put(f"{i} = {low} + {number}")
            if not is_outermost:
                self.put(f"block = block // {count}")
        return starts

    def _place(self, axis: str, start: str) -> None:
        """The positions of the tile along `axis`, and which of them exist."""
        i, across = self.axes[axis], ""
        if len(self.tile) == 2:
            across = "[:, None]" if axis == self.tile[0] else "[None, :]"
        self.put(f"{i} = {start}tl.arange(0, {self._block(axis)}){across}")
        self.put(f"m{i[1:]} = {i} < {self._end(axis)}")

    def _block(self, axis: str) -> str:
        return f"B{self.axes[axis][1:]}"

    def _end(self, axis: str) -> str:
        return self.integers[f"{'hi' if axis in self.kernel.grid else 'n'}_{axis}"]

    # One stage: folds start, loops, scalar code, sinks, folds end.

    def _stages(self) -> None:
        self.made, self.kept, self.written = {}, {}, set()
        stages = list(self.kernel.stages)
        while stages:
            stage = stages.pop(0)
            pair = None
            if stages and not self.whole and len(self.tile) == 2:
                pair = online(self.kernel, stage, stages[0])
            if pair is None:
                self._stage(stage)
            else:
                self._pair(pair, stage, stages.pop(0))

    def _pair(self, pair: Online, stage: Stage, second: Stage) -> None:
        """A maximum and the sum of exponentials below it, tile after tile (`triton_online.py`)."""
        name, total = self.fold_names[pair.largest.name], self.fold_names[pair.total.name]
        (lanes,) = stage.over
        rows = [self._block(axis) if axis in self.kernel.grid else "1" for axis in self.tile]
        lowest = self._identity(pair.largest)
        self.put(f"{name} = tl.full([{', '.join(rows)}], {lowest}, tl.float32)")
        self.put(f"{name}b = {self._values(second, [pair.below])[pair.below]}")
        self._start(pair.total, second)
        head = f"for b{self.axes[lanes][1:]} in range(0, {self._end(lanes)}, {self._block(lanes)}):"
        join = self._join(self._template(pair.largest))
        with self.block(head):
            self._place(lanes, f"b{self.axes[lanes][1:]} + ")
            value = self._values(stage, [pair.largest.value])[pair.largest.value]
            mask = self._mask(self._over(stage))
            seen = f"tl.where({mask}, {value}, {lowest})" if mask else value
            tile = f"tl.reduce({seen}, {self.tile.index(lanes)}, {join}, keep_dims=True)"
            self.put(f"{name}o = {name}b")
            self.put(f"{name} = {self._template(pair.largest).format(name, tile)}")
            self._outdated(name)
            self.put(f"{name}b = {self._values(second, [pair.below])[pair.below]}")
            self.put(f"{total}t = scaled({total}t, {name}o, {name}b)")
            value = self._values(second, [pair.total.value])[pair.total.value]
            # nothing above -inf was seen yet: exp(-inf - -inf) is no part of the sum so far
            self.put(f"{name}e = tl.where({name}b == {lowest}, 0.0, {value})")
            self._accumulate(pair.total, f"{name}e", second)
        self.put(
            f"{total}t = no_number({total}t, ({name}b == {lowest}) & ({self._end(lanes)} > 0))"
        )
        self._outdated(name)
        self._finish(pair.total, second)

    def _outdated(self, name: str) -> None:
        """A variable has another value now: so has what was made of it."""
        gone = {name}
        for expression, made in list(self.made.items()):
            if gone & set(re.findall(r"\w+", expression)):
                gone.add(made)
                del self.made[expression]

    def _stage(self, stage: Stage) -> None:
        tiled = self.kernel.loops[-1:]
        walked = tuple(a for a in tiled if a in stage.over and not self.whole)
        heads = [
            f"for {self.axes[a]} in range({self._end(a)}):" for a in stage.over if a not in tiled
        ] + [f"for b{self.axes[a][1:]} in range(0, {self._end(a)}, {self._block(a)}):"
             for a in walked]  # fmt: skip
        folds = [sink for sink in stage.sinks if isinstance(sink, Fold)]
        if not heads:
            self._sinks(stage)
            for fold in folds:
                self._finish(fold, stage)
            return
        for fold in folds:
            self._start(fold, stage)
        with self.block(*heads):
            for axis in walked:
                self._place(axis, f"b{self.axes[axis][1:]} + ")
            self._sinks(stage)
        for fold in folds:
            self._finish(fold, stage)

    def _sinks(self, stage: Stage) -> None:
        names = self._values(stage, [sink.value for sink in stage.sinks])
        live = self._live(stage)
        for sink in stage.sinks:
            value = names[sink.value]
            if isinstance(sink, Store):
                access = self.kernel.access(sink.access)
                mask = self._mask(live)
                mask = f", mask={mask}" if mask else ""
                self.put(f"tl.store({self._pointer(access, live)}, {value}{mask})")
                self._forget(access.name)
            elif isinstance(sink, Check):
                mask = self._mask(live)
                bad = f"({value} == 0) & {mask}" if mask else f"{value} == 0"
                self.put(f"report(status, {bad}, {sink.code})")
            elif isinstance(sink, Keep):
                if self.whole:
                    self.kept[sink.name] = value
            elif isinstance(sink, Fold):
                self._accumulate(sink, value, stage)

    def _forget(self, access: str) -> None:
        """A buffer was written: what was loaded from it is loaded anew."""
        self.written.add(access)
        load = f"tl.load({self.pointers[access]} "
        self.made = {e: name for e, name in self.made.items() if not e.startswith(load)}

    # Scalar code.

    def _values(self, stage: Stage, wanted: Iterable[str]) -> dict[str, str]:
        """Make the values `wanted` at this point; returns what the text calls each of them."""
        needed = set(wanted)
        for let in reversed(stage.lets):
            if let.name in needed:
                needed.update(let.arguments)
        names: dict[str, str] = {**self.scalars, **self.fold_names}
        for name in sorted(needed & self.keeps.keys()):
            names[name] = self._kept(name)
        for let in stage.lets:
            if let.name in needed:
                self.dtypes[let.name] = let.dtype
                names[let.name] = self._make(self._expression(let, names, stage))
        return names

    def _kept(self, name: str) -> str:
        """A value of an earlier stage: in a register, or computed again."""
        keep, stage = self.keeps[name]
        if name in self.kept:
            return self.kept[name]
        for let in stage.lets:
            if let.op in ("load", "gather") and let.arguments[0] in self.written:
                raise NotImplementedError(f"{name} is kept, but {let.arguments[0]} was overwritten")
        return self._values(stage, [keep.value])[keep.value]

    def _make(self, expression: str) -> str:
        """The name of the value of `expression`, which is computed once in a scope."""
        if expression not in self.made:
            name = f"v{self.counted}"
            self.counted += 1
            self.put(f"{name} = {expression}")
            self.made[expression] = name
        return self.made[expression]

    def _expression(self, let: Let, names: Mapping[str, str], stage: Stage) -> str:
        if let.op == "index":
            return f"tl.cast({self.axes[let.arguments[0]]}, tl.int64)"
        if let.op == "constant":
            return literal(parse(let.arguments[0]), let.dtype)
        if let.op in ("load", "gather"):
            return self._load(let, names, self._live(stage))
        values = [names[name] for name in let.arguments]
        dtypes = [self.dtypes[name] for name in let.arguments]
        template = spelling(let.op, "triton", dtypes[0] if dtypes else let.dtype)
        if "{dtype}" in template:  # a conversion: it says itself what becomes of its operand
            return template.format(*values, dtype=dtype_name(let.dtype))
        values = [
            f"{value}.to(tl.float32)" if dtype == FLOAT16 else value
            for value, dtype in zip(values, dtypes, strict=True)
        ]
        text = template.format(*values)
        return f"({text}).to(tl.float16)" if let.dtype == FLOAT16 else text

    def _load(self, let: Let, names: Mapping[str, str], live: tuple[str, ...]) -> str:
        access = self.kernel.access(let.arguments[0])
        values = [names[name] for name in let.arguments[1:]]
        offset = values.pop(0) if let.op == "gather" else ""
        reach = live if values or offset else self._moves(access)
        pointer = self._pointer(access, reach if values or offset else ())
        pointer += f" + {offset}" if offset else ""
        masks = [mask for mask in (self._mask(reach), *values[:1]) if mask]
        arguments = [f"mask={' & '.join(masks)}"] if masks else []
        arguments += [f"other={values[1]}"] if values else []
        return f"tl.load({', '.join([pointer, *arguments])})"

    def _pointer(self, access: Access, live: tuple[str, ...]) -> str:
        """Where `access` has its elements, in the shape of the part of the tile that is `live`."""
        terms = [self.pointers[access.name], "+ 0"]
        for axis, stride in zip(self.kernel.axes, access.strides, strict=True):
            i = self.axes[axis.name]
            if stride == "s":
                terms.append(f"+ {i} * {self.integers[f'{access.name}_{axis.name}']}")
            elif stride:
                terms.append(f"+ {i}" if stride == 1 else f"- {i}")
            elif axis.name in live:
                terms.append(f"+ {i} * 0")
        if len(terms) > 2:
            terms.remove("+ 0")
        return " ".join(terms)

    def _moves(self, access: Access) -> tuple[str, ...]:
        moving = {a.name for a, stride in zip(self.kernel.axes, access.strides, strict=True)
                  if stride != 0}  # fmt: skip
        return tuple(axis for axis in self.tile if axis in moving)

    def _live(self, stage: Stage) -> tuple[str, ...]:
        """The axes of the tile along which values of `stage` vary."""
        return tuple(a for a in self.tile if a in self.kernel.grid or a in stage.over)

    def _mask(self, axes: tuple[str, ...]) -> str:
        return " & ".join(f"m{self.axes[axis][1:]}" for axis in axes) if self.masked else ""

    # Folds. Over several tiles each element of the tile accumulates for itself; the tile is
    # reduced at the end. What rounds (a float sum) accumulates in a wider dtype; a float64 sum
    # carries its error along (Neumaier 1974). A position fold carries the best value and where
    # it was, -1 for nowhere yet.

    def _value_dtype(self, fold: Fold) -> np.dtype:
        if fold.value in self.dtypes:
            return self.dtypes[fold.value]
        return next(let.dtype for stage in self.kernel.stages for let in stage.lets
                    if let.name == fold.value)  # fmt: skip

    def _template(self, fold: Fold) -> str:
        return spelling(fold.op, "triton", self._value_dtype(fold))

    def _is_position(self, fold: Fold) -> bool:
        return "{0}" not in self._template(fold)

    def _is_compensated(self, fold: Fold) -> bool:
        return fold.dtype == FLOAT64 and self._template(fold) == SUM

    def _accumulator(self, fold: Fold) -> np.dtype:
        if self._is_position(fold):
            value = self._value_dtype(fold)
            return np.dtype("int8") if value == BOOL else value
        rounds = not CATALOGUE[fold.op].exact
        return WIDER.get(fold.dtype, fold.dtype) if rounds else fold.dtype

    def _start_value(self, fold: Fold) -> bool | int | float:
        identity = CATALOGUE[fold.op].identity
        assert identity is not None, f"{fold.op} has no identity to start from"
        return identity(fold.dtype)

    def _identity(self, fold: Fold) -> str:
        return number(self._start_value(fold), self._accumulator(fold))

    def _is_single(self, stage: Stage) -> bool:
        """Whether one tile holds all points of the stage."""
        return self.whole or not stage.over

    def _shape(self, stage: Stage) -> str:
        live = self._live(stage)
        return f"[{', '.join(self._block(a) if a in live else '1' for a in self.tile)}]"

    def _start(self, fold: Fold, stage: Stage) -> None:
        name, shape = self.fold_names[fold.name], self._shape(stage)
        dtype = dtype_name(self._accumulator(fold))
        if self._is_position(fold):
            self.put(f"{name}t = tl.zeros({shape}, {dtype})")
            self.put(f"{name}p = tl.full({shape}, -1, tl.int64)")
            return
        self.put(f"{name}t = tl.full({shape}, {self._identity(fold)}, {dtype})")
        if self._is_compensated(fold):
            self.put(f"{name}e = tl.zeros({shape}, {dtype})")

    def _accumulate(self, fold: Fold, value: str, stage: Stage) -> None:
        """Join this tile to the accumulators, or become them where there is one tile alone."""
        name, mask = self.fold_names[fold.name], self._mask(self._over(stage))
        if self._accumulator(fold) != self._value_dtype(fold):
            value = f"{value}.to({dtype_name(self._accumulator(fold))})"
        if self._is_position(fold):
            word, shape = self._template(fold), self._shape(stage)
            position = self._position(stage)
            position = f"tl.where({mask}, {position}, -1)" if mask else position
            self.put(f"{name}w = tl.broadcast_to({position}, {shape})")
            self.put(f"{name}v = tl.broadcast_to({value}, {shape})")
            pair = f"{name}v, {name}w"
            pair = pair if self._is_single(stage) else f"{word}({name}t, {name}p, {pair})"
            self.put(f"{name}t, {name}p = {pair}")
            return
        value = f"tl.where({mask}, {value}, {self._identity(fold)})" if mask else value
        if not stage.over:
            start = literal(self._start_value(fold), self._accumulator(fold))
            self.put(f"{name}t = {self._template(fold).format(start, value)}")
        elif self._is_single(stage):
            self.put(f"{name}t = {value}")
        elif self._is_compensated(fold):
            self.put(f"{name}t, {name}e = two_sum({name}t, {name}e, {value})")
        else:
            self.put(f"{name}t = {self._template(fold).format(f'{name}t', value)}")

    def _over(self, stage: Stage) -> tuple[str, ...]:
        return tuple(axis for axis in self.tile if axis in stage.over)

    def _position(self, stage: Stage) -> str:
        """The position along the loops, counted row by row."""
        text = "tl.cast(0, tl.int64)"
        if stage.over:
            text = f"tl.cast({self.axes[stage.over[0]]}, tl.int64)"
        for axis in stage.over[1:]:
            text = f"({text} * {self._end(axis)} + {self.axes[axis]})"
        return text

    def _finish(self, fold: Fold, stage: Stage) -> None:
        """Reduce the accumulators along the loop axis of the tile."""
        name = self.fold_names[fold.name]
        over = self._over(stage)
        keep = ", keep_dims=True" if len(self.tile) == 2 else ""
        along = self.tile.index(over[0]) if over else None
        if self._is_position(fold):
            word = self._template(fold)
            if along is not None:
                pair = f"({name}t, {name}p), {along}, {word}{keep}"
                self.put(f"{name}v, {name} = tl.reduce({pair})")
            else:
                self.put(f"{name} = {name}p")
            return
        join = self._join(self._template(fold))
        total = f"{name}t" if along is None else f"tl.reduce({name}t, {along}, {join}{keep})"
        if self._is_compensated(fold) and not self._is_single(stage):
            error = f"{name}e" if along is None else f"tl.reduce({name}e, {along}, {join}{keep})"
            total = f"with_error({total}, {error})"
        narrow = self._accumulator(fold) != fold.dtype
        self.put(f"{name} = {total}" + (f".to({dtype_name(fold.dtype)})" if narrow else ""))

    def _join(self, template: str) -> str:
        """The function that combines two values in a reduction."""
        if template not in self.joins:
            self.joins.append(template)
        return f"join{self.joins.index(template)}"


def parse(text: str) -> bool | int | float:
    """The number that a Python literal's `repr` means."""
    return text == "True" if text in ("True", "False") else (
        int(text) if text.lstrip("-").isdigit() else float(text))  # fmt: skip
