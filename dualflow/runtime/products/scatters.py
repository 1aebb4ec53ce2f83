"""Scatters as texts of our own: values added or stored one after the other, as NumPy does it.

Comes in: a Call of an op that scatters along an axis. Goes out: a `Product`, or None where the
operands lie otherwise than as (before, along the axis, after).
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

import numpy as np

from dualflow.base.shapes import size_of
from dualflow.ir.program import Call, Operand
from dualflow.ir.text import KernelText

from .made import Product

_KINDS = ("float32", "float64", "int32", "int64")
_INDICES = ("int32", "int64")
#: ns of an element that goes anywhere, and of one that goes beside the one before
_ANYWHERE, _BESIDE = 1.0, 0.1

#: The place of an element, counted from the front; or a status.
_PLACE = """i = np.int64(at[{0}])
i = i + size if i < 0 else i
if i < 0 or i >= size:
    status[0] = 1
else:
    {1}"""
_SCATTER = """
def scatter(x, at, v, out, status, lo, hi, size, count, after, x_before, x_along, x_after,
            at_before, at_along, at_after, v_before, v_along, v_after):
    for b in range(lo, hi):
        for i in range(size):
            from_, to = b * x_before + i * x_along, (b * size + i) * after
            if x_after == 1:
                for j in range(after):
                    out[to + j] = x[from_ + j]
            else:
                for j in range(after):
                    out[to + j] = x[from_ + j * x_after]
        first, to, from_ = b * at_before, b * size * after, b * v_before
        if after == 1:
            for k in range(count):
                LONE
            continue
        for k in range(count):
            if at_after == 0 and v_after == 1:
                ROW
            else:
                for j in range(after):
                    EACH
            first, from_ = first + at_along, from_ + v_along
"""
_LINES = {
    "LONE": ("first + k * at_along", "out[to + i]", "v[from_ + k * v_along]"),
    "ROW": ("first", "out[to + i * after + j]", "v[from_ + j]"),
    "EACH": ("first + j * at_after", "out[to + i * after + j]", "v[from_ + j * v_after]"),
}
#: One axis, indices and values packed. Processors learn of each store which loads wait for it: with
#: one of each, all would wait for all.
_PACKED = """
def scatter(x, at, v, out, status, lo, hi, size, count, x_along):
    for i in range(size):
        out[i] = x[i * x_along]
    whole = count // UNROLLED * UNROLLED
    for k in range(0, whole, UNROLLED):
        LONE
    for k in range(whole, count):
        LAST
"""
_UNROLLED = 4


def product(step: Call) -> Product | None:
    """How `step` scatters; None if NumPy has to do it."""
    axis, (x, indices, values), (result,) = step.attributes["axis"], step.operands, step.results
    if x.dtype.name not in _KINDS or indices.dtype.name not in _INDICES:
        return None
    parts = [along(operand, axis) for operand in (x, indices, values)]
    if None in parts or not result.view.is_contiguous:
        return None
    steps = [stride for part in parts if part is not None for stride in part]
    combine = str(step.op.scatter)
    shape, count = x.view.shape, indices.view.shape[axis]
    before, after = size_of(shape[:axis]), size_of(shape[axis + 1 :])
    single = _BESIDE if not parts[1][2] and parts[2][2] == 1 else _ANYWHERE  # type: ignore[index]
    cost = before * after * (_BESIDE * shape[axis] + single * count)
    operands = x, indices, values, result
    if before == after == 1 and parts[1][1] == parts[2][1] == 1:  # type: ignore[index]
        integers = 0, 1, shape[axis], count, parts[0][1]  # type: ignore[index]
        made = packed_text(x.dtype, indices.dtype, combine)
        return Product(made, operands, integers, cost, status=True)
    integers = 0, before, shape[axis], count, after, *steps
    return Product(text(x.dtype, indices.dtype, combine), operands, integers, cost, status=True)


def along(operand: Operand, axis: int) -> tuple[int, int, int] | None:
    """The strides before, along and after the axis; None if axes cannot be seen as one."""
    shape, strides = operand.view.shape, operand.view.strides
    before = _merged(shape[:axis], strides[:axis])
    after = _merged(shape[axis + 1 :], strides[axis + 1 :])
    return None if before is None or after is None else (before, strides[axis], after)


def _merged(shape: tuple[int, ...], strides: tuple[int, ...]) -> int | None:
    """The stride of axes that are walked as one; None if they cannot be."""
    real = [(n, stride) for n, stride in zip(shape, strides, strict=True) if n != 1]
    for (_, outer), (n, inner) in pairwise(real):
        if outer != n * inner:
            return None
    return real[-1][1] if real else 1


@lru_cache(maxsize=None)
def text(dtype: np.dtype, indices: np.dtype, combine: str) -> KernelText:
    """For all sizes and layouts; the integers are those of the text, in its order."""
    source = _SCATTER
    for word, (place, target, value) in _LINES.items():
        line = f"{target} = {_combined(dtype, combine).format(target, value)}"
        if word == "ROW":
            line = f"for j in range(after):\n        {line}"
        source = _replaced(source, word, _PLACE.format(place, line))
    return _text(source, dtype, indices, 14)


@lru_cache(maxsize=None)
def packed_text(dtype: np.dtype, indices: np.dtype, combine: str) -> KernelText:
    """For one axis and packed operands."""
    line = f"out[i] = {_combined(dtype, combine).format('out[i]', 'v[{0}]')}"
    places = [f"k + {n}" for n in range(_UNROLLED)]
    lines = "\n".join(_PLACE.format(place, line.format(place)) for place in places)
    source = _replaced(_PACKED, "LONE", lines)
    source = _replaced(source, "LAST", _PLACE.format("k", line.format("k")))
    return _text(source.replace("UNROLLED", str(_UNROLLED)), dtype, indices, 5)


def _combined(dtype: np.dtype, combine: str) -> str:
    """What an element, {0}, becomes with a value, {1}."""
    added = "({0} + {1})" if dtype.kind == "f" else f"np.{dtype.name}(wrap_add({{0}}, {{1}}))"
    return {"add": added, "": "{1}"}[combine]


def _replaced(source: str, word: str, lines: str) -> str:
    """The source with lines in the place of a word that stands alone."""
    (margin,) = re.findall(f"^( *){word}$", source, re.MULTILINE)
    inner = lines.replace("\n", f"\n{margin}")
    return source.replace(f"{margin}{word}\n", f"{margin}{inner}\n")


def _text(source: str, dtype: np.dtype, indices: np.dtype, integers: int) -> KernelText:
    pointers = (dtype, indices, dtype, dtype, np.dtype("int64"))
    return KernelText(source, "scatter", pointers, (), integers)
