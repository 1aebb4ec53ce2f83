"""Scalar code of a Triton text: each value is computed once in a scope, for a whole tile.

Comes in: stages of a Kernel. Goes out: `Values`: lines, and what the text calls each value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from dualflow.ir.kernel import Access, Let, Stage

from .spelling import spelling
from .triton_frame import FLOAT16, Frame, dtype_name, literal, parse


class Values(Frame):
    """The values of stages, by their names in the text."""

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

    def _forget(self, access: str) -> None:
        """A buffer was written: what was loaded from it is loaded anew."""
        self.written.add(access)
        load = f"tl.load({self.pointers[access]} "
        self.made = {e: name for e, name in self.made.items() if not e.startswith(load)}

    def _outdated(self, name: str) -> None:
        """A variable has another value now: so has what was made of it."""
        gone = {name}
        for expression, made in list(self.made.items()):
            if gone & set(re.findall(r"\w+", expression)):
                gone.add(made)
                del self.made[expression]
