"""Scalar code of a Triton text: each value is computed once in a scope, for a whole tile.

Comes in: stages of a Kernel. Goes out: `Values`: lines, and what the text calls each value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dualflow.base.dtypes import is_complex
from dualflow.ir.kernel import Access, Let, Stage, Store

from .spelling import spelling
from .triton_complex import COMPLEX64, Pair, load_pair, store_pair
from .triton_frame import Frame, dtype_name, literal, parse
from .triton_narrow import converted, is_byte, rounded, widened

#: How records spell a conversion of real numbers.
CAST = "{0}.to({dtype})"


def computed(
    let: Let, template: str, values: Sequence[str], dtypes: Sequence[np.dtype]
) -> str:  # fmt: skip
    """An elementwise op of values of these dtypes, by its template."""
    if template == CAST:
        text = converted(values[0], dtypes[0], let.dtype)
        if text is not None:
            return text
    if "{dtype}" in template:  # a conversion: it says itself what becomes of its operand
        return template.format(*values, dtype=dtype_name(let.dtype))
    if is_byte(let.dtype):  # chosen as it is
        return template.format(*values)
    wide = [widened(value, dtype) for value, dtype in zip(values, dtypes, strict=True)]
    return rounded(template.format(*wide), let.dtype)


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
                names[let.name] = self._make(self._expression(let, names, stage), let.dtype)
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

    def _make(self, expression: str, dtype: np.dtype) -> str:
        """The name of the value of `expression`, which is computed once in a scope."""
        if expression not in self.made:
            name = f"v{self.counted}"
            name = Pair(name) if is_complex(dtype) else name
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
        if let.op == "pair":
            return f"({', '.join(values)})"
        pairs = any(map(is_complex, (let.dtype, *dtypes)))
        template = spelling(let.op, "triton", dtypes[0], pairs)
        return computed(let, template, values, dtypes)

    def _load(self, let: Let, names: Mapping[str, str], live: tuple[str, ...]) -> str:
        access = self.kernel.access(let.arguments[0])
        if access.name == self.held:
            return "made"
        values = [names[name] for name in let.arguments[1:]]
        offset = values.pop(0) if let.op == "gather" else ""
        reach = live if values or offset else self._moves(access)
        pointer = self._pointer(access, reach if values or offset else (), offset)
        masks = [mask for mask in (self._mask(reach), *values[:1]) if mask]
        mask = f", mask={' & '.join(masks)}" if masks else ""
        other = values[1] if values else ""
        if is_complex(let.dtype):
            return load_pair(pointer, mask, other, let.dtype)
        return f"tl.load({pointer}{mask}{f', other={other}' if other else ''})"

    def _store(self, sink: Store, value: str, live: tuple[str, ...]) -> None:
        """Write a value where the points of the tile exist."""
        access = self.kernel.access(sink.access)
        place, mask = self._pointer(access, live), self._mask(live)
        mask = f", mask={mask}" if mask else ""
        if isinstance(value, Pair):
            self.put(store_pair(place, mask, value, access.dtype))
        else:
            self.put(f"tl.store({place}, {value}{mask})")
        self._forget(access.name)

    def _pointer(self, access: Access, live: tuple[str, ...], further: str = "") -> str:
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
        terms += [f"+ {further}"] if further else []
        if is_complex(access.dtype) and access.dtype != COMPLEX64:  # two words each
            terms[1:] = [f"+ (0 {' '.join(terms[1:])}) * 2"]
        return " ".join(terms)

    def _moves(self, access: Access) -> tuple[str, ...]:
        moving = {a.name for a, stride in zip(self.kernel.axes, access.strides, strict=True)
                  if stride != 0}  # fmt: skip
        return tuple(axis for axis in self.tile if axis in moving)

    def _forget(self, access: str) -> None:
        """A buffer was written: what was loaded from it is loaded anew."""
        self.written.add(access)
        first = f"({self.pointers[access]} "
        self.made = {e: name for e, name in self.made.items() if first not in e}

    def _outdated(self, name: str) -> None:
        """A variable has another value now: so has what was made of it."""
        gone = {name}
        for expression, made in list(self.made.items()):
            if gone & set(re.findall(r"\w+", expression)):
                gone.update(re.findall(r"\w+", made))
                del self.made[expression]
