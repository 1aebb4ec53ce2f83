"""Scans as texts of our own, one element after the other as NumPy's.

Comes in: a Call of a scan along an axis. Goes out: a `Product`, or None where the operand lies
otherwise than as (before, along the axis, after), or holds no floats.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from dualflow.base.shapes import size_of
from dualflow.ir.program import Call
from dualflow.ir.text import KernelText

from .made import Product
from .scatters import along

#: ns of an element of lines that are walked several at a time, and of a line alone
_TOGETHER, _ALONE = 0.25, 0.8

_SCAN = """
def scan(x, out, lo, hi, count, after, x_before, x_along, x_after):
    b = lo
    while after == 1 and b + 4 <= hi:
        f0, t0 = b * x_before, b * count
        f1, t1 = f0 + x_before, t0 + count
        f2, t2 = f1 + x_before, t1 + count
        f3, t3 = f2 + x_before, t2 + count
        a0, a1, a2, a3 = x[f0], x[f1], x[f2], x[f3]
        out[t0], out[t1], out[t2], out[t3] = a0, a1, a2, a3
        for k in range(1, count):
            step = k * x_along
            a0 = COMBINED(a0, x[f0 + step])
            a1 = COMBINED(a1, x[f1 + step])
            a2 = COMBINED(a2, x[f2 + step])
            a3 = COMBINED(a3, x[f3 + step])
            out[t0 + k] = a0
            out[t1 + k] = a1
            out[t2 + k] = a2
            out[t3 + k] = a3
        b += 4
    while b < hi:
        first, to = b * x_before, b * count * after
        if after == 1:
            last = x[first]
            out[to] = last
            for k in range(1, count):
                last = COMBINED(last, x[first + k * x_along])
                out[to + k] = last
        else:
            for j in range(after):
                out[to + j] = x[first + j * x_after]
            for k in range(1, count):
                first, to = first + x_along, to + after
                for j in range(after):
                    out[to + j] = COMBINED(out[to - after + j], x[first + j * x_after])
        b += 1
"""


def product(step: Call) -> Product | None:
    """How `step` scans; None if NumPy has to do it."""
    axis, (x,), (result,) = step.attributes["axis"], step.operands, step.results
    if x.dtype.name not in ("float32", "float64") or x.dtype != result.dtype:
        return None
    steps = along(x, axis)
    if steps is None or not x.type.size or not result.view.is_contiguous:
        return None
    shape = x.view.shape
    before, after = size_of(shape[:axis]), size_of(shape[axis + 1 :])
    cost = x.type.size * (_TOGETHER if before >= 4 or after > 1 else _ALONE)
    integers = (0, before, shape[axis], after, *steps)
    spelled = step.op.spelling["numba"]
    if not isinstance(spelled, str):
        spelled = next(text for kinds, text in spelled.items() if "f" in kinds)
    return Product(text(x.dtype, spelled), (x, result), integers, cost)


@lru_cache(maxsize=None)
def text(dtype: np.dtype, spelling: str) -> KernelText:
    """For all sizes and layouts; the integers are those of the text, in its order."""
    combined = spelling.format(r"\1", r"\2")
    source = re.sub(r"COMBINED\((.*?), (x\[.*?\])\)", combined, _SCAN)
    return KernelText(source, "scan", (dtype, dtype), (), 7)
