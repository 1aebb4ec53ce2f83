"""Machine code of kernels has vector instructions: every function, and small integers as bytes.

A call of the C library in a loop would keep LLVM from it, as the control shows.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from llvmlite import ir
from test_cpu_math import BINARY, FLOATS, UNARY, compiled, kernel

from dualflow.runtime import numpy_vectors
from dualflow.runtime.cpu_math import LIBRARY_SYMBOLS
from dualflow.runtime.intrinsics import NAMESPACE
from dualflow.runtime.translation import kinds
from dualflow.runtime.translation.words import Made, word, written

#: Arithmetic on packed floats: x86 with and without AVX, Arm.
PACKED = re.compile(
    r"\bv?(?:mul|add|sub|sqrt|f?n?m(?:add|sub)\d+)p[sd]\b|\bf(?:mul|add|mla|sqrt)\.[24][sd]"
)
DECLARED = re.compile(r"^declare [^@]*@([\w.]+)\(", re.MULTILINE)
#: Registers of whole vectors.
REGISTERS = re.compile(r"%[xyz]mm\d+|\bv\d+\.(?:16b|8h)|\.(?:16b|8h)\b")


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_functions_are_vectorised(name: str, dtype: np.dtype) -> None:
    two = name in BINARY
    text = f"{name}(a, b)" if two else f"{name}(a)"
    run = kernel(text, (dtype,) * (1 + two), dtype)
    loop = run.assembly.partition("dualflow_kernel:")[2].partition(".Lfunc_end")[0]
    packed = PACKED.search(run.assembly) is not None
    assert packed or numpy_vectors.PREFIX in loop  # all others call it in a function beside
    called = set(DECLARED.findall(run.llvm))
    foreign = {found for found in called if not found.startswith("llvm.")}
    assert foreign <= {*LIBRARY_SYMBOLS}, "a function of another library in the loop"


def test_a_call_of_the_library_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what calls a function of the C library."""

    def library_exp(kind: kinds.Kind) -> Made:
        def emit(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
            signature = ir.FunctionType(x.type, [x.type])
            return builder.call(ir.Function(builder.module, signature, "exp"), [x])

        return Made(kind, (kind,), emit)

    monkeypatch.setitem(NAMESPACE, "library_exp", word(library_exp))
    double = np.dtype(np.float64)
    assert not PACKED.search(kernel("library_exp(a)", (double,), double).assembly)


@pytest.mark.skipif(not numpy_vectors.usable(), reason="NumPy has no functions of vectors here")
@pytest.mark.parametrize(("name", "width"), numpy_vectors.NAMES)
def test_functions_of_vectors_give_the_bits_of_numpy(name: str, width: int) -> None:
    """In whole vectors, in what is left of them, and one by one."""
    dtype, count = np.dtype(f"float{width}"), 2 if name == "power" else 1
    word = "m_pow" if name == "power" else f"m_{name}"
    run = kernel(f"{word}({', '.join('ab'[:count])})", (dtype,) * count, dtype)
    numpy = getattr(np, {"asinh": "arcsinh", "acosh": "arccosh"}.get(name, name))
    rng = np.random.default_rng(width)
    bits = rng.integers(0, 1 << width, (count, 4099), np.uint64).astype(f"uint{width}")
    everyday = rng.standard_normal((count, 4099)).astype(dtype)
    with np.errstate(all="ignore"):
        for arrays in (bits.view(dtype), everyday, abs(everyday) + 1):
            wanted = numpy(*arrays)
            np.testing.assert_array_equal(run(*arrays), wanted)
            ones = [run(*(array[i : i + 1] for array in arrays)) for i in range(40)]
            np.testing.assert_array_equal(np.concatenate(ones), wanted[:40])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", ["m_pow", "m_cbrt", "m_asinh", "m_acosh", "m_log2", "m_log10"])
def test_without_functions_of_vectors_ours_serve(
    name: str, dtype: np.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_vectors, "usable", lambda: False)
    written.cache_clear()
    text = "m_pow(a, b)" if name == "m_pow" else f"{name}(a)"
    run = compiled(text, (dtype,) * (1 + (name == "m_pow")), dtype)
    written.cache_clear()
    assert PACKED.search(run.assembly)
    assert numpy_vectors.PREFIX not in run.assembly


INTEGER_WORK = ("wrap_add(a, b)", "wrap_subtract(a, b)", "maximum(a, b)", "select(a < b, a, b)",
                "left_shift(a, b)", "sign(a)")  # fmt: skip


@pytest.mark.parametrize("text", INTEGER_WORK)
@pytest.mark.parametrize("name", ["int8", "uint8", "int16", "uint16"])
def test_small_integers_are_vectorised(name: str, text: str) -> None:
    dtype = np.dtype(name)
    run = kernel(f"np.{name}({text})", (dtype, dtype), dtype)
    assert f" x i{8 * dtype.itemsize}>" in run.llvm
    assert REGISTERS.search(run.assembly)


@pytest.mark.parametrize("text", ["a & b", "a | b", "a ^ b", "logical_not(a)"])
def test_booleans_are_bytes_side_by_side(text: str) -> None:
    boolean = np.dtype(bool)
    run = kernel(text, (boolean, boolean), boolean)
    assert " x i8>" in run.llvm
    assert REGISTERS.search(run.assembly)
