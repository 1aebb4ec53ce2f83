"""Kernel text -> object bytes, by LLVM in this process. llvmlite is imported late.

In: a `KernelText`. Out: an object file whose one entry, `symbol(text)`, takes a table of 64-bit
words: pointers, scratch, scalars (their bits in the low end), integers. Pointers do not alias. A
text is translated here (`translation/`); what that refuses is Numba's to compile (`by_numba`).
"""

from __future__ import annotations

import pickle
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from dualflow.base.digest import hashed
from dualflow.ir.text import WRITTEN_OUT, KernelText

from . import loader

#: LLVM may ask the C library to round a double to a half, and most have no such function. Rounding
#: to odd first makes the two steps exact (see `narrow_floats`).
_HALF_FROM_DOUBLE = """
define weak half @__truncdfhf2(double %x) nounwind noinline {
  %near = fptrunc double %x to float
  %back = fpext float %near to double
  %bits = bitcast float %near to i32
  %bits_x = bitcast double %x to i64
  %bits_back = bitcast double %back to i64
  %size = and i64 %bits_x, 9223372036854775807
  %size_back = and i64 %bits_back, 9223372036854775807
  %short = icmp ugt i64 %size, %size_back
  %step = select i1 %short, i32 1, i32 -1
  %low = and i32 %bits, 1
  %even = icmp eq i32 %low, 0
  %inexact = fcmp one double %x, %back
  %move = and i1 %inexact, %even
  %moved = add i32 %bits, %step
  %odd = select i1 %move, i32 %moved, i32 %bits
  %value = bitcast i32 %odd to float
  %half = fptrunc float %value to half
  ret half %half
}
"""
#: a symbol of objects that Numba made
BY_NUMBA = "dualflow_by_numba"
_IR_TYPES = {"float32": "float", "float64": "double"}


def symbol(text: KernelText) -> str:
    """The entry of the object that `text` compiles to."""
    return "dualflow_" + fingerprint(text)[:24]


def fingerprint(text: KernelText) -> str:
    """A hash of all that decides the machine code, the machine and versions aside."""
    return hashed(repr(_parts(text)).encode()).hexdigest()


def _parts(text: KernelText) -> tuple[Any, ...]:
    scratch = tuple((dtype.name, integers) for dtype, integers in text.scratch)
    pointers, scalars = ([dtype.name for dtype in group] for group in (text.pointers, text.scalars))
    return text.source, text.name, pointers, scalars, text.integers, text.options, scratch


def compile_written(given: bytes) -> bytes:
    """What the helper does with a pickled kernel text: `compile_text`."""
    return compile_text(pickle.loads(given))


@lru_cache(maxsize=256)
def compile_text(text: KernelText) -> bytes:
    """The object bytes of `text`.

    Raises:
        Exception: whatever LLVM or Numba raise on a text they cannot compile.
    """
    module = translated(text)
    if module is None:
        return import_module("dualflow.runtime.by_numba").compile_text(text)
    return loader.compile_ir(module, vectorise=WRITTEN_OUT not in text.options)


def translated(text: KernelText) -> str | None:
    """The LLVM module of `text`; None if Numba has to compile it."""
    function = import_module("dualflow.runtime.translation.function")
    names = import_module("dualflow.runtime.intrinsics").NAMESPACE
    try:
        module = function.translated(text, names)
    except function.Refused:
        return None
    return f"{module}\n{entry(text, function.NAME)}"


def entry(text: KernelText, function: str, *first: str) -> str:
    """LLVM IR of the entry: takes the words out of the table and calls the function of that name,
    which is given `first` before them; and what half floats need."""
    lines, arguments = [], list(first)
    kinds: list[np.dtype | str] = ["ptr"] * (len(text.pointers) + len(text.scratch))
    kinds += [*text.scalars, *["i64"] * text.integers]
    for n, kind in enumerate(kinds):
        lines.append(f"  %place{n} = getelementptr i64, ptr %table, i64 {n}")
        lines.append(f"  %word{n} = load i64, ptr %place{n}")
        if kind == "ptr":
            lines.append(f"  %value{n} = inttoptr i64 %word{n} to ptr")
            arguments.append(f"ptr %value{n}")
        elif kind == "i64":
            arguments.append(f"i64 %word{n}")
        else:
            assert isinstance(kind, np.dtype)
            lines += _scalar_bits(n, kind)
            arguments.append(f"{_ir_type(kind)} %value{n}")
    return "\n".join(
        [
            f"define void @{symbol(text)}(ptr %table) nounwind {{",
            *lines,
            f'  call void @"{function}"({", ".join(arguments)})',
            "  ret void",
            "}",
            _HALF_FROM_DOUBLE if "float16" in text.source else "",
        ]
    )


def _ir_type(dtype: np.dtype) -> str:
    return _IR_TYPES.get(dtype.name, f"i{8 * dtype.itemsize}")


def _scalar_bits(n: int, dtype: np.dtype) -> list[str]:
    bits, kind = 8 * dtype.itemsize, _ir_type(dtype)
    if bits == 64:
        return [f"  %value{n} = bitcast i64 %word{n} to {kind}"]
    lines = [f"  %bits{n} = trunc i64 %word{n} to i{bits}"]
    return [*lines, f"  %value{n} = bitcast i{bits} %bits{n} to {kind}"]
