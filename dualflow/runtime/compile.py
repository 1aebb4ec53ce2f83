"""Kernel text -> object bytes, by Numba in this process. Slow to import, so imported late.

In: a `KernelText`. Out: an object file whose one entry, `symbol(text)`, takes a table of 64-bit
words: pointers, scratch, scalars (their bits in the low end), integers. No NRT, no wrappers of
Numba's, no fast-math; pointers do not alias.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from dualflow.base.digest import hashed
from dualflow.ir.text import KernelText

from .frames import read_text

#: LLVM may ask the C library to round a double to a half, and most have no such function. Rounding
#: to odd first makes the two steps exact (see `intrinsics`).
_HALF_FROM_DOUBLE = """
declare double @llvm.fabs.f64(double)
define weak half @__truncdfhf2(double %x) nounwind noinline {
  %near = fptrunc double %x to float
  %back = fpext float %near to double
  %bits = bitcast float %near to i32
  %size = call double @llvm.fabs.f64(double %x)
  %size_back = call double @llvm.fabs.f64(double %back)
  %short = fcmp ogt double %size, %size_back
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
    """What the helper does with a kernel text: `compile_text`."""
    return compile_text(read_text(given))


@lru_cache(maxsize=256)
def compile_text(text: KernelText) -> bytes:
    """The object bytes of `text`.

    Raises:
        Exception: whatever Numba or LLVM raise on a text they cannot compile.
    """
    import llvmlite.binding as llvm
    from numba.core import compiler, types
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target

    from .intrinsics import DTYPES, NAMESPACE, WHOLE_VECTORS

    names = dict(NAMESPACE)
    exec(compile(text.source, f"<kernel {fingerprint(text)[:12]}>", "exec"), names)
    pointers = (*text.pointers, *(dtype for dtype, _ in text.scratch))
    parameters = [types.CPointer(DTYPES[dtype.name]) for dtype in pointers]
    parameters += [DTYPES[dtype.name] for dtype in text.scalars]
    parameters += [types.int64] * text.integers
    with global_compiler_lock:
        compiled = compiler.compile_extra(
            cpu_target.typing_context,
            cpu_target.target_context,
            names[text.name],
            tuple(parameters),
            types.none,
            _flags(compiler, text),
            {},
        )
        library = compiled.library
        if "whole_vectors()" in text.source:
            module = llvm.parse_assembly(with_loop_hints(library.get_llvm_str(), WHOLE_VECTORS))
            module.name = library._final_module.name
            library._final_module = module
        entry = _entry(text, compiled.fndesc.llvm_func_name)
        if "half" in text.source:
            entry += _HALF_FROM_DOUBLE
        library.add_llvm_module(llvm.parse_assembly(entry))
        library.finalize()
        library.get_pointer_to_function(symbol(text))  # makes the engine write the object
        return library._get_compiled_object()


#: What LLVM is told of a loop that is to be walked in whole vectors.
_HINTS = (
    '!{!"llvm.loop.vectorize.predicate.enable", i1 true}',
    '!{!"llvm.loop.interleave.count", i32 1}',
)
#: The first number of metadata that no module of Numba's reaches.
_METADATA = 1_000_000


def with_loop_hints(module: str, mark: str) -> str:
    """The text of an LLVM module in which calls of the function `mark` have become hints to the
    vectoriser, on the branches at the ends of their loops."""
    lines, loops, marked = [], 0, False
    for line in module.split("\n"):
        if f"call void @{mark}()" in line:
            marked = True
            continue
        if marked and line.lstrip().startswith("br "):
            line += f", !llvm.loop !{_METADATA + len(_HINTS) + loops}"
            loops, marked = loops + 1, False
        lines.append(line)
    lines += [f"!{_METADATA + n} = {hint}" for n, hint in enumerate(_HINTS)]
    hints = ", ".join(f"!{_METADATA + n}" for n in range(len(_HINTS)))
    for n in range(_METADATA + len(_HINTS), _METADATA + len(_HINTS) + loops):
        lines.append(f"!{n} = distinct !{{!{n}, {hints}}}")
    return "\n".join(lines)


def _flags(compiler: Any, text: KernelText) -> Any:
    from numba.core.cpu import FastMathOptions

    flags = compiler.Flags()
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.no_compile = True
    flags.error_model = "numpy"
    flags.fastmath = FastMathOptions(set(dict(text.options).get("fastmath", "").split()))
    flags.enable_looplift = False
    flags.enable_pyobject = False
    flags.nrt = False
    flags.noalias = True
    flags.boundscheck = False
    return flags


def _entry(text: KernelText, function: str) -> str:
    """LLVM IR of the entry: takes the words out of the table and calls Numba's function."""
    lines, arguments = [], ["ptr %result", "ptr %error"]
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
    declared = ", ".join(argument.split(" ")[0] for argument in arguments)
    return "\n".join(
        [
            f'declare i32 @"{function}"({declared})',
            f"define void @{symbol(text)}(ptr %table) nounwind {{",
            "  %result = alloca i64",
            "  %error = alloca i64",
            *lines,
            f'  %code = call i32 @"{function}"({", ".join(arguments)}) noinline',
            "  ret void",
            "}",
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
