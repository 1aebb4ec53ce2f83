"""Kernel texts as LLVM IR: the same bits as by Numba, and what is refused."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from dualflow.ir.text import KernelText
from dualflow.runtime import by_numba, compile, loader
from dualflow.runtime.products import texts
from dualflow.runtime.products.scans import text as scan

FLOAT, DOUBLE, INT = map(np.dtype, ("float32", "float64", "int64"))


def run(image: bytes, text: KernelText, words: list[int]) -> None:
    native = loader.load(image, compile.symbol(text))
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(native[compile.symbol(text)])
    function((ctypes.c_int64 * len(words))(*words))


def both(text: KernelText, arrays: list[np.ndarray], *integers: int) -> list[np.ndarray]:
    """What a text makes of arrays, translated; Numba makes the same bits of them."""
    assert compile.translated(text) is not None
    found = []
    for image in (compile.compile_text(text), by_numba.compile_text(text)):
        given = [array.copy() for array in arrays]
        run(image, text, [*(array.ctypes.data for array in given), *integers])
        found.append(given)
    for ours, numbas in zip(*found, strict=True):
        assert ours.tobytes() == numbas.tobytes()
    return found[0]


def kernel(lines: str, *dtypes: np.dtype) -> KernelText:
    names = ", ".join([*(f"p{n}" for n in range(len(dtypes))), "lo", "hi"])
    body = "".join(f"    {line}\n" for line in lines.strip("\n").split("\n"))
    return KernelText(f"def kernel({names}):\n{body}", "kernel", dtypes, (), 2)


ELEMENTS = {
    "arithmetic": ("-a * b + a / b - 2.5 * a", FLOAT, DOUBLE),
    "quotients": ("np.int64(a) // (b * b + 1) - np.int64(a) % -7", INT, INT),
    "bits": ("(a & 12) | (b ^ ~a)", INT, INT),
    "comparisons": ("np.int64(-1 < a <= b) + 2 * np.int64(not a == b)", FLOAT, INT),
    "decisions": ("1 if a > 0 and b > 0 or a < b else 2", FLOAT, INT),
    "functions": ("m_exp(a) + m_sin(b) * select(a < b, a, b)", FLOAT, FLOAT),
    "narrow integers": ("np.int8(np.uint8(a)) + np.int32(b)", INT, INT),
    "extremes": ("min(a, b) - max(a, 3)", INT, INT),
    "halves": ("narrowed(a, float16) + cast(b, float16)", FLOAT, FLOAT),
    "not a number": ("a if a == a else np.float32(np.inf)", FLOAT, FLOAT),
}  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTS)
def test_elements_have_numbas_bits(name: str) -> None:
    expression, given, result = ELEMENTS[name]
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-50, 50, 1000).astype(given) for _ in range(2))
    if given.kind == "f":
        a[::3] *= given.type(0.37)
        a[:4] = [np.inf, -np.inf, np.nan, -0.0]
    text = kernel(
        f"for i in range(lo, hi):\n    a = p0[i]\n    b = p1[i]\n    p2[i] = {expression}",
        *(given, given, result),
    )  # fmt: skip
    out = both(text, [a, b, np.zeros(1000, result)], 0, 1000)[2]
    assert np.unique(out[4:]).size > 1


def test_statements_have_numbas_bits() -> None:
    """While, continue, break, a step backwards, a name of another type, an array on the stack."""
    text = kernel(
        """
held = stack(float32, 16)
total = np.float64(0.0)
for i in range(hi, lo, -1):
    if i % 3 == 0:
        continue
    f = rank_high(p0[i - 1])
    f = of_rank(f)
    held[i % 16] = f
    total += f
    k, m = i, i + 1
    while True:
        k, m = m - k, k
        if k < 5 or m < 2:
            break
    p1[i - 1] = total + m + held[i % 16]
""",
        *(FLOAT, DOUBLE),
    )
    values = np.random.default_rng(1).normal(size=100).astype(FLOAT)
    _, out = both(text, [values, np.zeros(100)], 0, 100)
    assert np.count_nonzero(out) == 67


def test_texts_of_products_have_numbas_bits() -> None:
    x = np.random.default_rng(2).normal(size=(6, 50)).astype(FLOAT)
    _, out = both(scan(FLOAT, "{0} + {1}"), [x, np.zeros_like(x)], 0, 6, 50, 1, 50, 1, 1)
    np.testing.assert_allclose(out, np.cumsum(x, 1), rtol=1e-4, atol=1e-5)
    for made in (texts.matmul, texts.windows, texts.correlate):
        assert compile.translated(made(FLOAT)) is not None


REFUSED = {
    "a type that depends on a branch": "a = 1\nif hi > lo:\n    a = 1.5\np0[0] = a",
    "a type that the step before may have left": (
        "a = 1\nfor i in range(lo, hi):\n    p0[i] = a\n    a = 1.5"
    ),
    "another name": "p0[0] = unheard_of(lo)",
    "a word of other types": "p0[0] = m_exp(lo)",
    "a power": "p0[0] = lo ** 2",
    "another statement": "assert lo",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_translated_is_refused(name: str) -> None:
    assert compile.translated(kernel(REFUSED[name], DOUBLE)) is None


def test_numba_compiles_what_is_refused() -> None:
    text = kernel("for i in range(lo, hi):\n    p0[i] = i ** 2", INT)
    assert compile.translated(text) is None
    image, out = compile.compile_text(text), np.zeros(5, INT)
    run(image, text, [out.ctypes.data, 0, 5])
    assert out.tolist() == [0, 1, 4, 9, 16]
    assert compile.BY_NUMBA.encode() in image
