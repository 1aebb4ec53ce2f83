"""Templates of products and attention: in Triton's interpreter, and compiled ahead of time."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton")

from gpu_stand_in import interpreter  # noqa: F401 - fixture
from references_attention import ranges_of
from test_codegen_triton_ahead import accesses_in, spilled
from triton_interpreter import Job

from dualflow.base.narrow import bfloat16
from dualflow.codegen.triton_attention import (
    Attention,
    attention_grid,
    attention_variants,
    emit_attention,
    integers,
    names,
)
from dualflow.codegen.triton_products import (
    PRODUCT,
    Code,
    Product,
    emit_product,
    product_grid,
    product_variants,
)
from dualflow.ir.kernel import Access, Let
from dualflow.ir.text import KernelText, Variant
from dualflow.ops import attending
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
    Let("x", "add", ("wide", "bias"), F32),
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
    left = Code.of(Access("L", dtype, "in", ("s", "s", 1)))
    right = Code.of(Access("R", dtype, "in", ("s", 1, "s")))
    outs = (Access("O", dtype, "out", ("s", "s", 1)),)
    code = Code((), (), (PRODUCT,))
    if fused:
        wide = Let("wide", "cast", (PRODUCT,), F32)
        code = Code((Access("B", F32, "in", (0, 0, 1)),), (wide, *GELU), ("y",))
    return Product(left, right, outs, code, dtype, fast=fast)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("dtype", [F16, bfloat16, F32], ids=str)
def test_products_with_an_epilogue(interpreter, dtype, fused):  # noqa: F811
    random = np.random.default_rng(0)
    a = random.standard_normal((2, 70, 90)).astype(dtype)
    b = random.standard_normal((2, 50, 90)).astype(dtype)  # read transposed
    bias = random.standard_normal(50).astype(F32)
    out = np.zeros((2, 70, 50), dtype)
    product = product_of(dtype, fused)
    text = emit_product(product)
    sizes = [2, 70, 50, 90, 70 * 90, 90, 50 * 90, 90, 70 * 50, 50]
    chosen = product_variants(product, sizes, [True] * (3 + fused))[3]
    arrays = [a, b, out, *([bias] if fused else [])]
    run(interpreter, text, chosen, product_grid(sizes, chosen), arrays, [], sizes)
    wide = a.astype(np.float64) @ b.transpose(0, 2, 1).astype(np.float64)
    if fused:
        x = wide + bias
        wide = x * 0.5 * (1 + np.vectorize(math.erf)(x * np.sqrt(0.5)))
    close = {"float32": 3e-5, "float16": 3e-3, "bfloat16": 2e-2}[dtype.name]
    np.testing.assert_allclose(out.astype(F32), wide, rtol=close, atol=max(1e-3, close))


def operands_of(attention: Attention, ni: int, nj: int, batch: int = 2) -> dict[str, np.ndarray]:
    """Random operands, and what comes out in float64, by the names of the texts."""
    random, d, dtype = np.random.default_rng(1), attention.width, attention.dtype
    heads, kept = 2 * attention.group, 2
    found = {name: random.standard_normal((batch, heads, ni, d)).astype(dtype) for name in "qg"}
    found |= {name: random.standard_normal((batch, kept, nj, d)).astype(dtype) for name in "kv"}
    rest = []
    if attention.masked:
        found["mask"] = random.standard_normal((1, heads, ni, nj)).astype(F32)
        rest.append(found["mask"])
    if attention.ragged:
        found["lengths"] = random.integers(0, nj + 1, batch)
        rest.append(found["lengths"])
    if attention.ranged:
        found["ranges"], found["columns"] = ranges_of(random, batch, ni, nj)
        rest += [found["ranges"], found["columns"]]
    how = {"scale": 1 / math.sqrt(d), "causal": attention.causal, "masked": attention.masked,
           "ragged": attention.ragged, "ranged": attention.ranged}  # fmt: skip
    q, k, v, g = (found[name].astype(np.float64) for name in "qkvg")
    with np.errstate(divide="ignore"):  # queries that see nothing
        found["out"], found["row"] = attending.attention(np, q, k, v, *rest, **how)
    found["delta"] = (found["out"] * g).sum(-1)
    more = (*rest, g, found["row"], found["delta"])
    found["to_q"] = attending.queries(np, q, k, v, *more, **how)
    found["to_k"], found["to_v"] = attending.keys(np, q, k, v, *more, **how)
    return found


OPS = ("attention", "attention_queries", "attention_keys")
CASES = [
    Attention(F32, 16), Attention(F32, 32, causal=True), Attention(F32, 16, masked=True),
    Attention(F32, 16, causal=True, group=2), Attention(F32, 16, ragged=True),
    Attention(F16, 16, causal=True, masked=True, ragged=True, group=2),
    Attention(F32, 16, ranged=True), Attention(bfloat16, 16, causal=True),
    Attention(F16, 16, masked=True, ranged=True, group=2),
]  # fmt: skip


def packed_numbers(attention: Attention, op: str, given: dict[str, np.ndarray]) -> list[int]:
    """The integers of a launch on packed operands."""
    owner = given["k" if op == "attention_keys" else "q"]
    numbers = [owner.shape[1], given["q"].shape[2], given["k"].shape[2]]
    for name in names(attention, op):
        if name in "qkvg":
            numbers += [stride // given[name].itemsize for stride in given[name].strides[:3]]
        elif name == "mask":
            numbers += [0, *(stride // 4 for stride in given[name].strides[1:])]
    return numbers


def attend(launch: Any, attention: Attention, given: dict[str, np.ndarray]) -> dict[str, Any]:
    """What the three texts give; `launch(text, variant, grid, arrays, scalars, integers)`."""
    made: dict[str, Any] = {}
    for op in OPS:
        results = {"attention": ("out", "row"), "attention_queries": ("to_q",)}.get(
            op, ("to_k", "to_v"))  # fmt: skip
        arrays = []
        for name in names(attention, op):
            wide = name in ("row", "delta")
            if name in results:
                made[name] = np.zeros(given[name].shape, F32 if wide else attention.dtype)
            arrays.append(made[name] if name in results else
                          given[name].astype(F32) if wide else given[name])  # fmt: skip
        numbers = packed_numbers(attention, op, given)
        chosen = attention_variants(attention, op, numbers, [True] * len(arrays))[0]
        owner = given["k" if op == "attention_keys" else "q"]
        grid = attention_grid(op, owner.shape[0] * owner.shape[1], owner.shape[2], chosen)
        scale = [1 / math.sqrt(attention.width)]
        launch(emit_attention(attention, op), chosen, grid, arrays, scale, numbers)
    return made


@pytest.mark.parametrize("attention", CASES, ids=str)
def test_attention_and_its_gradients(interpreter, attention):  # noqa: F811
    given = operands_of(attention, 40, 55)

    def launch(*args: Any) -> None:
        run(interpreter, *args)

    close = {"float32": 2e-5, "float16": 5e-3, "bfloat16": 4e-2}[attention.dtype.name]
    for name, found in attend(launch, attention, given).items():
        np.testing.assert_allclose(found.astype(F32), given[name], close, close, err_msg=name)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target[1]))
@pytest.mark.parametrize("dtype", [F16, bfloat16], ids=str)
def test_products_compile_for_tensor_cores(target, dtype, tmp_path):
    product = product_of(dtype, fused=True)
    sizes = [1, 4096, 4096, 1024, 2**22, 1024, 2**22, 1024, 2**24, 4096]
    chosen = product_variants(product, sizes, [True] * 4)[0]
    asm = build(emit_product(product), chosen, target).asm
    if target[0] == "hip":
        assert "mfma" in asm["amdgcn"]
        return
    ptx = asm["ptx"]
    assert re.search(rf"(wgmma|mma\.sync).*{'bf16' if dtype == bfloat16 else 'f16'}", ptx)
    assert "cp.async" in ptx  # loads run ahead of the products
    assert accesses_in(ptx, "ld")[1] == accesses_in(ptx, "st")[1] == 0  # 16 bytes at a time
    assert spilled(ptx, tmp_path, target[1]) == 0


def test_float32_products_are_not_rounded_to_tf32():
    sizes = [1, 512, 512, 512, 2**18, 512, 2**18, 512, 2**18, 512]
    for fast in (False, True):
        product = product_of(F32, fused=False, fast=fast)
        chosen = product_variants(product, sizes, [True] * 3)[3]
        ptx = build(emit_product(product), chosen, ("cuda", 80, 32)).asm["ptx"]
        assert ("tf32" in ptx) is fast


CAUSAL = {"causal": True}


@pytest.mark.parametrize(
    ("op", "dtype", "target", "how"),
    [("attention", F16, TARGETS[0], CAUSAL), ("attention_keys", F16, TARGETS[2], CAUSAL),
     ("attention", bfloat16, TARGETS[0], CAUSAL),
     *[(op, bfloat16, TARGETS[1], CAUSAL) for op in OPS],
     *[(op, F16, TARGETS[1], how) for op in OPS for how in (CAUSAL, {"ranged": True})]],
    ids=str,
)  # fmt: skip
def test_attention_compiles(op, dtype, target, how, tmp_path):
    attention = Attention(dtype, 64, **how)
    text = emit_attention(attention, op)
    numbers = [16, 1024, 1024, *[2**20, 2**16, 64] * (len(integers(attention, op)) // 3 - 1)]
    chosen = attention_variants(attention, op, numbers, [True] * len(text.pointers))[0]
    asm = build(text, chosen, target).asm
    assert len(asm["hsaco" if target[0] == "hip" else "cubin"]) > 1000
    if target[0] == "cuda":
        assert re.search(r"wgmma|mma\.sync", asm["ptx"])
        assert "ld.global.v4" in asm["ptx"] or "cp.async" in asm["ptx"]  # 16 bytes at a time
        assert spilled(asm["ptx"], tmp_path, target[1]) == 0
