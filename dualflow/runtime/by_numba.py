"""Kernel text -> object bytes by Numba: what `translation` refuses, and a reference for tests.

In: a `KernelText`. Out: an object file as `compile` makes it, by another front end: no NRT, no
wrappers of Numba's. This file imports Numba.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils, compiler, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu import FastMathOptions
from numba.core.extending import intrinsic
from numba.core.registry import cpu_target

from dualflow.ir.text import KernelText

from . import intrinsics
from .compile import BY_NUMBA, entry, symbol
from .translation import kinds
from .translation.words import Word

#: what the IR of a loop calls that is to be walked in whole vectors, and what LLVM is told of it
_WHOLE_VECTORS = "dualflow_whole_vectors"
_HINTS = (
    '!{!"llvm.loop.vectorize.predicate.enable", i1 true}',
    '!{!"llvm.loop.interleave.count", i32 1}',
    '!{!"llvm.loop.unroll.disable"}',
)
#: The first number of metadata that no module of Numba's reaches.
_METADATA = 1_000_000
_TYPES: dict[kinds.Kind, Any] = {
    **{
        kind: getattr(types, name, None) or types.Number(name)
        for name, kind in kinds.DTYPES.items()
        if name != "bool"
    },
    kinds.boolean: types.boolean,
    kinds.nothing: types.none,
}
_KINDS = {kind: ours for ours, kind in _TYPES.items()}


def compile_text(text: KernelText) -> bytes:
    """The object bytes of `text`.

    Raises:
        Exception: whatever Numba or LLVM raise on a text they cannot compile.
    """
    names = dict(NAMESPACE)
    exec(compile(text.source, "<kernel>", "exec"), names)
    pointers = (*text.pointers, *(dtype for dtype, _ in text.scratch))
    parameters = [types.CPointer(_dtype(dtype)) for dtype in pointers]
    parameters += [_dtype(dtype) for dtype in text.scalars]
    parameters += [types.int64] * text.integers
    with global_compiler_lock:
        library, function = compiled(names[text.name], parameters, types.none, _flags(text))
        if "whole_vectors()" in text.source:
            module = llvm.parse_assembly(with_loop_hints(library.get_llvm_str(), _WHOLE_VECTORS))
            module.name = library._final_module.name
            library._final_module = module
        library.add_llvm_module(llvm.parse_assembly(_called(text, function)))
        library.finalize()
        library.get_pointer_to_function(symbol(text))  # makes the engine write the object
        return library._get_compiled_object()


def compiled(function: Any, parameters: Any, result: Any, flags: Any) -> tuple[Any, str]:
    """A Python function as Numba's library, and its name there."""
    context = cpu_target.typing_context, cpu_target.target_context
    made = compiler.compile_extra(*context, function, tuple(parameters), result, flags, {})
    return made.library, made.fndesc.llvm_func_name


def _called(text: KernelText, function: str) -> str:
    """The entry of an object whose function is Numba's, which gives a status and an error."""
    pointers = ["ptr"] * (len(text.pointers) + len(text.scratch))
    numbers = [kinds.DTYPES[dtype.name].text for dtype in text.scalars]
    declared = ", ".join(["ptr", "ptr", *pointers, *numbers, *["i64"] * text.integers])
    made = entry(text, function, "ptr %result", "ptr %error")
    made = made.replace("{\n", "{\n  %result = alloca i64\n  %error = alloca i64\n", 1)
    made = made.replace("call void", "call i32", 1)
    mark = f"define void @{BY_NUMBA}() {{\n  ret void\n}}"
    return f'declare i32 @"{function}"({declared})\n{made}\n{mark}'


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


def _flags(text: KernelText) -> Any:
    flags = compiler.Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = flags.noalias = True
    flags.error_model = "numpy"
    flags.fastmath = FastMathOptions(set(dict(text.options).get("fastmath", "").split()))
    flags.enable_looplift = flags.enable_pyobject = flags.nrt = flags.boundscheck = False
    return flags


def _dtype(dtype: np.dtype) -> Any:
    return _TYPES[kinds.DTYPES[dtype.name]]


# Words as Numba's intrinsics.


def _kind(given: Any) -> kinds.Kind | None:
    """A type of Numba's as ours."""
    if isinstance(given, types.CPointer):
        return kinds.pointer(_KINDS[given.dtype])
    if isinstance(given, types.NumberClass):
        return kinds.class_of(_KINDS[given.instance_type])
    return _KINDS.get(types.unliteral(given))


def _type(kind: kinds.Kind) -> Any:
    """A kind as a type of Numba's."""
    if isinstance(kind, kinds.Pointer):
        return types.CPointer(_TYPES[kind.dtype])
    if isinstance(kind, kinds.Class):
        return types.NumberClass(_TYPES[kind.instance_type])
    return _TYPES[kind]


def _intrinsic(word: Word) -> Any:
    """The word as Numba calls it."""

    def typed(typing: Any, *given: Any) -> Any:
        found = [_kind(one) for one in given]
        made = None if None in found else word.made(*found)  # type: ignore[arg-type]
        if made is None:
            return None

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            values = [
                value
                for value, kind in zip(arguments, made.arguments, strict=True)
                if not isinstance(kind, kinds.Class)
            ]
            result = made.emit(builder, *values)
            return context.get_dummy_value() if result is None else result

        return _type(made.result)(*map(_type, made.arguments)), generate

    names = ", ".join(f"x{n}" for n in range(word.count))
    scope: dict[str, Any] = {"typed": typed}
    exec(f"def {word.name}(typing, {names}): return typed(typing, {names})", scope)
    return intrinsic(scope[word.name])


@intrinsic
def _whole_vectors(typing: Any) -> Any:
    """At the end of a loop: walk it in whole vectors, the last one masked; no scalar loop."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        nothing = ir.FunctionType(ir.VoidType(), [])
        builder.call(cgutils.get_or_insert_function(builder.module, nothing, _WHOLE_VECTORS), [])
        return context.get_dummy_value()

    return types.none(), generate


@intrinsic
def _stack(typing: Any, wanted: Any, size: Any) -> Any:
    """A pointer to `size` (a literal) items on the stack of the kernel."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    kind, count = wanted.instance_type, size.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = cgutils.alloca_once(builder, context.get_data_type(kind), size=count)
        memory.align = 64
        return memory

    return types.CPointer(kind)(wanted, size), generate


#: The globals of kernel texts for Numba.
NAMESPACE: dict[str, Any] = {
    name: _intrinsic(given) if isinstance(given, Word) else _TYPES.get(given, given)
    for name, given in intrinsics.NAMESPACE.items()
} | {"np": np, "stack": _stack, "whole_vectors": _whole_vectors}
