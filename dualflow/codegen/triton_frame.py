"""What every Triton text has: its parameters, its tiles, its lines, and how numbers are written.

Comes in: a Kernel. Goes out: `Frame`, on which `triton_values.py`, `triton_folds.py` and
`triton.py` stand, each with what it writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from dualflow.base.dtypes import is_float, real_dtype
from dualflow.ir.kernel import Check, Fold, Keep, Kernel, Stage
from dualflow.ir.text import KernelText

from .triton_complex import memory_dtype
from .triton_narrow import is_byte
from .triton_prelude import HEADER, used_by
from .triton_variants import can_be_whole, tile

#: No contraction into fused multiply-add; subnormal results of libdevice functions are kept.
OPTIONS = (("enable_fp_fusion", "False"), ("enable_reflect_ftz", "False"))

BOOL, INT64, FLOAT32, FLOAT64 = map(np.dtype, ("bool", "int64", "float32", "float64"))


def dtype_name(dtype: np.dtype) -> str:
    """Triton's name of `dtype`; of complex numbers that of their parts, of bytes their own.

    >>> dtype_name(np.dtype("bool"))
    'tl.int1'
    """
    if is_byte(dtype):
        return "tl.uint8"
    return "tl.int1" if dtype == BOOL else f"tl.{real_dtype(dtype).name}"


def literal(value: bool | int | float, dtype: np.dtype) -> str:
    """`value` as a typed constant.

    >>> literal(float("-inf"), np.dtype("float32"))
    "tl.full((), float('-inf'), tl.float32)"
    """
    return f"tl.full((), {number(value, dtype)}, {dtype_name(dtype)})"


def number(value: bool | int | float, dtype: np.dtype) -> str:
    """`value` as Python code; beside a value of `dtype` the language gives it that dtype."""
    if is_byte(dtype):
        return repr(int(np.asarray(value, dtype).view(np.uint8)))
    if not is_float(dtype):
        return repr(bool(value) if dtype == BOOL else int(value))
    text = repr(float(value))
    return text if np.isfinite(float(value)) else f"float('{text}')"


def parse(text: str) -> bool | int | float:
    """The number that a Python literal's `repr` means."""
    return text == "True" if text in ("True", "False") else (
        int(text) if text.lstrip("-").isdigit() else float(text))  # fmt: skip


class Frame:
    """One kernel in the making; by another name than "kernel", as a part of a text: a function that
    is told which of its program instances it is; what is `held` it is given as a tile, `made`."""

    def __init__(self, kernel: Kernel, name: str = "kernel", held: str = "") -> None:
        self.kernel, self.name, self.tile, self.held = kernel, name, tile(kernel), held
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

    def text(self) -> KernelText:
        kernel = self.kernel
        pointers = [memory_dtype(access.dtype) for access in kernel.accesses]
        pointers += [INT64] if self._may_fail() else []
        functions = self.functions()
        source = "\n\n".join([HEADER, *used_by("".join(functions)), *functions])
        scalars = tuple(scalar.dtype for scalar in kernel.scalars)
        return KernelText(source, self.name, tuple(pointers), scalars, len(self.integers), OPTIONS)

    def functions(self) -> list[str]:
        """The function, behind those of its own that it calls."""
        parameters = [place for name, place in self.pointers.items() if name != self.held]
        parameters += ["status"] if self._may_fail() else []
        parameters += [*self.scalars.values(), *self.integers.values()]
        constexprs = [f"B{self.axes[axis][1:]}" for axis in self.tile]
        constexprs += ["WHOLE"] if can_be_whole(self.kernel) else []
        parameters += [f"{name}: tl.constexpr" for name in constexprs]
        if self.name == "kernel":
            self.put("block = tl.program_id(0)")
        else:
            parameters[:0] = ["block", "made"] if self.held else ["block"]
        self._body()
        joins = [
            f"@triton.jit\ndef {self._join(template)}(x, y):\n"
            f"    return {template.format('x', 'y')}\n" for template in self.joins
        ]  # fmt: skip
        head = f"@triton.jit\ndef {self.name}({', '.join(parameters)}):\n"
        return [*joins, head + "\n".join(self.lines) + "\n"]

    def _may_fail(self) -> bool:
        return any(isinstance(sink, Check) for sink in self.kernel.sinks)

    def _body(self) -> None:
        raise NotImplementedError

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

    def _grid(self) -> dict[str, str]:
        """Which tile this program instance computes: tiles are counted row by row, the last grid
        axis fastest. Returns where the tile starts on each of its grid axes."""
        starts = {}
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

    def _over(self, stage: Stage) -> tuple[str, ...]:
        """The axes of the tile that the stage walks."""
        return tuple(axis for axis in self.tile if axis in stage.over)

    def _live(self, stage: Stage) -> tuple[str, ...]:
        """The axes of the tile along which values of `stage` vary."""
        return tuple(a for a in self.tile if a in self.kernel.grid or a in stage.over)

    def _mask(self, axes: tuple[str, ...]) -> str:
        return " & ".join(f"m{self.axes[axis][1:]}" for axis in axes) if self.masked else ""

    def _join(self, template: str) -> str:
        """The function that combines two values in a reduction."""
        if template not in self.joins:
            self.joins.append(template)
        prefix = "" if self.name == "kernel" else f"{self.name}_"
        return f"{prefix}join{self.joins.index(template)}"
