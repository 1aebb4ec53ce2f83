"""A kernel's text in the making: names, lines, loops, scalar code and the elements of buffers.

Comes in: a Kernel. Goes out: lines of Python over raw pointers, for the forms of kernels to build
on. Names are numbered (i axes, p accesses, c scalars, v values, f folds, g totals, k keeps), so
kernels that differ in names alone have one text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product

import numpy as np

from dualflow.ir.kernel import Access, Check, Fold, Keep, Kernel, Let, Stage, Total

from .numba_values import INT64, literal, narrow, parse_literal, spelling, unpacked


class Writer:
    """One kernel in the making."""

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
        #: accesses read and written in a copy of the block at hand, and where
        self.beside: dict[str, str] = {}
        #: values that are known before the loop at hand, by the name they have there
        self.settled: dict[str, str] = {}
        self.counted = 0

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

    def put(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    @contextmanager
    def block(self, *heads: str) -> Iterator[None]:
        """The lines put inside are nested under `heads`, of which some may be plain lines."""
        before = self.depth
        for head in heads:
            self.put(head)
            self.depth += head.endswith(":")
        yield
        self.depth = before

    def _walk(self, axis: str) -> str:
        return f"for {self.axes[axis]} in range({self._range(axis)}):"

    def _range(self, axis: str) -> str:
        return f"{self.integers[f'lo_{axis}']}, {self.integers[f'hi_{axis}']}"

    def _loop(self, axis: str) -> str:
        return f"for {self.axes[axis]} in range({self.integers[f'n_{axis}']}):"

    def _blocks(self, i: str, size: int) -> tuple[str, str]:
        """The loop over blocks of a loop axis, and the loop inside a block."""
        n, b = f"n{i[1:]}", f"b{i[1:]}"
        inside = f"for {i} in range({b}, min({b} + {size}, {n})):"
        return f"for {b} in range(0, {n}, {size}):", inside

    def _element(self, access: Access, axes: Mapping[str, str], offset: str = "") -> str:
        """The element of `access` at the point `axes`, `offset` elements further."""
        if access.name in self.beside:
            return self.beside[access.name]
        pointer, place = self._place(access, axes, offset)
        return f"{pointer}[{place}]"

    def _place(self, access: Access, axes: Mapping[str, str], offset: str = "") -> tuple[str, str]:
        """The pointer of `access`, and how many elements after it that element is."""
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
        return self.pointers[name], " + ".join(terms) or "0"

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
            if let.name in self.settled:
                self._call(let.name, self.settled[let.name])
                continue
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
        text = spelling(let.op, first).format(*values, given=first.name, dtype=let.dtype.name)
        return narrow(text, let.dtype)

    def _value_dtype(self, fold: Fold | Total) -> np.dtype:
        lets = (let for stage in self.kernel.stages for let in stage.lets)
        known = {sink.name: sink.dtype for sink in (*self.folds, *self.keeps)}
        known |= {let.name: let.dtype for let in lets}
        known |= {scalar.name: scalar.dtype for scalar in self.kernel.scalars}
        return known[fold.value]
