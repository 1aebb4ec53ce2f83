"""Templates of products and attention: in Triton's interpreter, and compiled ahead of time."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("triton")

from gpu_stand_in import interpreter  # noqa: F401 - fixture
from triton_interpreter import Job

from dualflow.codegen.triton_attention import (
    Attention,
    attention_grid,
    attention_variant,
    emit_attention,
)
from dualflow.codegen.triton_products import (
    Product,
    emit_product,
    product_grid,
    product_variants,
)
from dualflow.ir.kernel import Access, Let
from dualflow.ir.text import KernelText, Variant
from dualflow.runtime.gpu.compile import build

F16, F32 = np.dtype("float16"), np.dtype("float32")
TARGETS = [("cuda", 80, 32), ("cuda", 90, 32), ("hip", "gfx942", 64)]


def run(process, text: KernelText, chosen: Variant, grid: int, arrays: Sequence[np.ndarray],
        scalars: Sequence[float], integers: Sequence[int]) -> None:  # fmt: skip
    """Launch the text on the arrays' memory."""
    pointers = [(n, 0, dtype) for n, dtype in enumerate(text.pointers)]
    assert [array.dtype for array in arrays] == list(text.pointers)
    roots = [array.reshape(-1).view(np.uint8) for array in arrays]
    job = Job(text.source, text.name, roots, pointers, [F32.type(s) for s in scalars],
              [np.int32(n) for n in integers], chosen.constexprs, grid)  # fmt: skip
    for root, after in zip(roots, process.launch(job), strict=True):
        root[:] = after


GELU = (
    Let("bias", "load", ("B",), F32),
    Let("x", "add", ("product", "bias"), F32),
    Let("root", "constant", ("0.7071067811865476",), F32),
    Let("half", "constant", ("0.5",), F32),
    Let("one", "constant", ("1.0",), F32),
    Let("scaled", "multiply", ("x", "root"), F32),
    Let("error", "erf", ("scaled",), F32),
    Let("shifted", "add", ("error", "one"), F32),
    Let("halved", "multiply", ("x", "half"), F32),
    Let("y", "multiply", ("halved", "shifted"), F32),
)


def product_of(dtype: np.dtype, fused: bool, fast: bool = False) -> Product:
    """a as it lies, b transposed; with a bias and gelu."""
    left = Access("L", dtype, "in", ("s", "s", 1))
    right = Access("R", dtype, "in", ("s", 1, "s"))
    out = Access("O", dtype, "out", ("s", "s", 1))
    if not fused:
        return Product(left, right, out, fast=fast)
    return Product(left, right, out, (Access("B", F32, "in", (0, 0, 1)),), GELU, "y", fast)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("dtype", [F16, F32], ids=str)
def test_products_with_an_epilogue(interpreter, dtype, fused):  # noqa: F811
    random = np.random.default_rng(0)
    a = random.standard_normal((2, 70, 90)).astype(dtype)
    b = random.standard_normal((2, 50, 90)).astype(dtype)  # read transposed
    bias = random.standard_normal(50).astype(F32)
    out = np.zeros((2, 70, 50), dtype)
    product = product_of(dtype, fused)
    text = emit_product(product)
    integers = [2, 70, 50, 90, 70 * 90, 90, 50 * 90, 90, 70 * 50, 50]
    chosen = product_variants(product, integers, [True] * (3 + fused))[3]
    arrays = [a, b, out, *([bias] if fused else [])]
    run(interpreter, text, chosen, product_grid(integers, chosen), arrays, [], integers)
    wide = a.astype(np.float64) @ b.transpose(0, 2, 1).astype(np.float64)
    if fused:
        x = wide + bias
        wide = x * 0.5 * (1 + np.vectorize(math.erf)(x * np.sqrt(0.5)))
    np.testing.assert_allclose(out, wide, rtol=3e-3 if dtype == F16 else 3e-5, atol=1e-3)


def exact(q, k, v, mask, causal, group):
    """Attention and the weights, in float64."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    k, v = (np.repeat(x, group, axis=0) for x in (k, v))
    s = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    if mask is not None:
        s = s + mask
    if causal:
        i, j = np.ogrid[: s.shape[1], : s.shape[2]]
        s = np.where(j <= i + s.shape[2] - s.shape[1], s, -np.inf)
    e = np.exp(s - s.max(-1, keepdims=True))
    w = e / e.sum(-1, keepdims=True)
    return w @ v, w, k, v


CASES = [
    Attention(F32, 16), Attention(F32, 32, causal=True), Attention(F32, 16, masked=True),
    Attention(F32, 16, causal=True, group=2), Attention(F16, 16, causal=True, masked=True, group=2),
]  # fmt: skip


@pytest.mark.parametrize("attention", CASES, ids=str)
def test_attention_and_its_gradients(interpreter, attention):  # noqa: F811
    heads, ni, nj, d = 2 * attention.group, 40, 55, attention.width
    random = np.random.default_rng(1)
    dtype = attention.dtype
    q, g = (random.standard_normal((heads, ni, d)).astype(dtype) for _ in range(2))
    k, v = (random.standard_normal((2, nj, d)).astype(dtype) for _ in range(2))
    mask = random.standard_normal((ni, nj)).astype(F32) if attention.masked else None
    wanted, w, wide_k, wide_v = exact(q, k, v, mask, attention.causal, attention.group)
    texts = emit_attention(attention)
    extra, steps = ([mask], [0, nj, 1]) if mask is not None else ([], [])
    scale, sizes = [1 / np.sqrt(d)], [ni, nj, *steps]
    out, row = np.zeros_like(q), np.zeros((heads, ni), F32)
    to_q, to_k, to_v = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    delta = np.zeros((heads, ni), F32)

    def launch(name: str, arrays: list[np.ndarray], count: int, n: int, *numbers: list) -> None:
        chosen = attention_variant(attention, name, len(arrays))
        small = tuple(min(block, 32) for block in chosen.constexprs)
        chosen = Variant(small, "i32", chosen.divisible, chosen.warps)
        run(interpreter, texts[name], chosen, attention_grid(name, count, n, chosen), arrays,
            *numbers)  # fmt: skip

    launch("forward", [q, k, v, *extra, out, row], heads, ni, scale, sizes)
    close = {"rtol": 5e-3, "atol": 5e-3} if dtype == F16 else {"rtol": 2e-5, "atol": 2e-5}
    np.testing.assert_allclose(out, wanted, **close)
    launch("rows", [out, g, delta], heads, ni, [], [ni])
    launch("queries", [q, k, v, *extra, g, row, delta, to_q], heads, ni, scale, sizes)
    launch("keys", [q, k, v, *extra, g, row, delta, to_k, to_v], 2, nj, scale, sizes)
    wide_g = g.astype(np.float64)
    to_w = wide_g @ wide_v.transpose(0, 2, 1)
    to_s = w * (to_w - (to_w * w).sum(-1, keepdims=True)) / np.sqrt(d)
    shared = (2, attention.group, nj, d)
    np.testing.assert_allclose(to_q, to_s @ wide_k, **close)
    found_k = (to_s.transpose(0, 2, 1) @ q.astype(np.float64)).reshape(shared).sum(1)
    found_v = (w.transpose(0, 2, 1) @ wide_g).reshape(shared).sum(1)
    np.testing.assert_allclose(to_k, found_k, **close)
    np.testing.assert_allclose(to_v, found_v, **close)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target[1]))
def test_products_compile_for_tensor_cores(target):
    product = product_of(F16, fused=True)
    integers = [1, 4096, 4096, 1024, 2**22, 1024, 2**22, 1024, 2**24, 4096]
    chosen = product_variants(product, integers, [True] * 4)[0]
    asm = build(emit_product(product), chosen, target).asm
    if target[0] == "hip":
        assert "mfma" in asm["amdgcn"]
        return
    ptx = asm["ptx"]
    assert re.search(r"wgmma|mma\.sync", ptx)
    assert "cp.async" in ptx  # loads run ahead of the products


def test_float32_products_are_not_rounded_to_tf32():
    integers = [1, 512, 512, 512, 2**18, 512, 2**18, 512, 2**18, 512]
    for fast in (False, True):
        product = product_of(F32, fused=False, fast=fast)
        chosen = product_variants(product, integers, [True] * 3)[3]
        ptx = build(emit_product(product), chosen, ("cuda", 80, 32)).asm["ptx"]
        assert ("tf32" in ptx) is fast


@pytest.mark.parametrize(
    ("name", "target"),
    [("forward", TARGETS[0]), ("keys", TARGETS[2])]
    + [(name, TARGETS[1]) for name in ("forward", "rows", "queries", "keys")],
)
def test_attention_compiles(name, target):
    attention = Attention(F16, 64, causal=True)
    text = emit_attention(attention)[name]
    chosen = attention_variant(attention, name, len(text.pointers))
    asm = build(text, chosen, target).asm
    assert len(asm["hsaco" if target[0] == "hip" else "cubin"]) > 1000
    if target[0] == "cuda" and name != "rows":
        assert re.search(r"wgmma|mma\.sync", asm["ptx"])
