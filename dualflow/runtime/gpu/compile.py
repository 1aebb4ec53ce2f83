"""Kernel text and variant -> machine code of a GPU, by Triton in this process (the helper's).

No GPU is needed. Triton is slow to import, so it is imported late.
"""

from __future__ import annotations

import linecache
import pickle
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from dualflow.ir.text import KernelText, Variant

from .image import Image, parameter_types

#: Threads of a program instance, on every target.
MOST_THREADS = 1024


def compile_pickled(given: bytes) -> bytes:
    """What the helper does with a text, a variant and a capability: see `compile_text`."""
    return compile_text(*pickle.loads(given)).written()


def compile_text(text: KernelText, chosen: Variant, capability: int) -> Image:
    """The machine code of `text`, under the assumptions `chosen`.

    Raises:
        Exception: whatever Triton raises on a text that it cannot compile.
    """
    made = build(text, chosen, ("cuda", capability, 32))
    return Image(made.asm["cubin"], made.metadata.name, made.metadata.shared, chosen.warps)


def build(text: KernelText, chosen: Variant, target: tuple[str, int | str, int]) -> Any:
    """What Triton makes of `text` for a target: a backend, an architecture, lanes of a warp."""
    from triton import knobs
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    function = load(text, {"HAS_FLOAT8": has_float8(target), "HAS_CBRT": target[0] == "cuda"})
    types, constexprs, attributes = signature(text, chosen, function.arg_names)
    source = ASTSource(fn=function, signature=types, constexprs=constexprs, attrs=attributes)
    options: dict[str, Any] = {name: value == "True" for name, value in text.options}
    warps = min(chosen.warps, MOST_THREADS // target[2])
    options |= {"num_warps": warps, "num_stages": chosen.stages}
    with tempfile.TemporaryDirectory() as folder, knobs.cache.scope():
        knobs.cache.dir = folder  # what is kept on disk is kept by `images.py`
        return compile(source, target=GPUTarget(*target), options=options)


def signature(
    text: KernelText, chosen: Variant, parameters: Sequence[str]
) -> tuple[dict[str, str], dict[str, int], dict[tuple[int], list[list[object]]]]:
    """`signature`, `constexprs` and `attrs` of Triton's ASTSource; `parameters` are the names of
    the text's function, in order."""
    types = parameter_types(text, chosen)
    constexprs = dict(zip(parameters[len(types) :], chosen.constexprs, strict=True))
    types += ["constexpr"] * len(constexprs)
    attributes: dict[tuple[int], list[list[object]]] = {
        (n,): [["tt.divisibility", by]] for n, by in chosen.divisible
    }
    return dict(zip(parameters, types, strict=True)), constexprs, attributes


def has_float8(target: tuple[str, int | str, int]) -> bool:
    """Whether a target converts floats of 8 bits by instructions (those of AMD's gfx942 are of
    other formats)."""
    backend, capability, _ = target
    return backend == "cuda" and int(capability) >= 89


def load(text: KernelText, abilities: Mapping[str, bool]) -> Any:
    """The text's function as Triton takes it: with its source known to `linecache`, and told what
    the target has: conversions of floats of 8 bits, a function for cube roots."""
    import triton.language as tl

    file = f"<triton kernel {hash(text.source)}>"
    linecache.cache[file] = (len(text.source), None, text.source.splitlines(True), file)
    scope: dict[str, Any] = {name: tl.constexpr(has) for name, has in abilities.items()}
    scope["__name__"] = file
    exec(compile(text.source, file, "exec"), scope)
    return scope[text.name]
