"""bfloat16 and floats of 8 bits in Triton texts: against ml_dtypes in the interpreter, compiled
ahead of time."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("triton")

from gpu_stand_in import interpreter  # noqa: F401 - fixture
from test_codegen_triton_ahead import accesses_in, spilled
from triton_kernels import (
    BOOL,
    F16,
    F32,
    F64,
    I32,
    I64,
    fold_kernel,
    launch,
    load,
    map_kernel,
    numbers,
    softmax,
)

from dualflow.base.narrow import bfloat16, float8_e4m3fn, float8_e5m2
from dualflow.codegen.spelling import spelling
from dualflow.codegen.triton import emit
from dualflow.codegen.triton_variants import variant
from dualflow.ir.kernel import Access, Kernel, Let
from dualflow.ir.op import CATALOGUE, Kind
from dualflow.runtime.gpu.compile import build

BYTES = (float8_e4m3fn, float8_e5m2)
TARGETS = [("cuda", 80, 32), ("cuda", 90, 32), ("hip", "gfx942", 64)]


def every_value(dtype: np.dtype) -> np.ndarray:
    return np.arange(1 << 8 * dtype.itemsize).astype(f"u{dtype.itemsize}").view(dtype)


def equal(found: np.ndarray, expected: np.ndarray) -> None:
    """Value for value, signs of zeros too; NaN where NaN is."""
    assert found.dtype == expected.dtype
    with np.errstate(all="ignore"):
        one, other = found.astype(F32), expected.astype(F32)
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal((np.signbit(one) | np.isnan(one)),
                                  (np.signbit(other) | np.isnan(other)))  # fmt: skip


def between(dtype: np.dtype) -> np.ndarray:
    """Each value of `dtype`, what lies between it and the next, and a step beside that; and what
    is too large, as float32."""
    with np.errstate(all="ignore"):
        each = every_value(dtype).astype(F32)
        each = np.sort(each[np.isfinite(each)])
        middles = (each[1:] * 0.5 + each[:-1] * 0.5).astype(F32)
    more = [464, 465, 448, 480, 61439, 61440, 1e30, 3.4e38, 1e-40, -0.0, np.inf, -np.inf, np.nan]
    infinity = F32.type(np.inf)
    return np.concatenate([each, middles, np.nextafter(middles, infinity),
                           np.nextafter(middles, -infinity), np.array(more, F32)])  # fmt: skip


def casts(source: np.dtype, targets: list[np.dtype]) -> Kernel:
    lets = [load("x", "X", source)]
    lets += [Let(f"r{n}", "cast", ("x",), target) for n, target in enumerate(targets)]
    accesses = [Access("X", source, "in", (1,))]
    accesses += [Access(f"O{n}", target, "out", (1,)) for n, target in enumerate(targets)]
    return map_kernel(lets, [(f"O{n}", f"r{n}") for n in range(len(targets))], tuple(accesses))


@pytest.mark.parametrize("source", [bfloat16, *BYTES], ids=str)
def test_every_value_is_read(interpreter, source):  # noqa: F811
    targets = [BOOL, F16, F32, F64, bfloat16, *BYTES]
    x = every_value(source)
    outs = [np.zeros(len(x), target) for target in targets]
    launch(interpreter, casts(source, targets), [x, *outs])
    for target, out in zip(targets, outs, strict=True):
        with np.errstate(all="ignore"):
            equal(out, x.astype(F32).astype(target))


@pytest.mark.parametrize("target", [bfloat16, *BYTES], ids=str)
def test_every_rounding_is_to_nearest_even(interpreter, target):  # noqa: F811
    x = between(target)
    out = np.zeros(len(x), target)
    launch(interpreter, casts(F32, [target]), [x, out])
    with np.errstate(all="ignore"):
        equal(out, x.astype(target))
    for source in (F64, F16, I32, I64):
        y = np.array([0, 1, -3, 100, 257], source)
        out = np.zeros(len(y), target)
        launch(interpreter, casts(source, [target]), [y, out])
        equal(out, y.astype(F32).astype(target))


def test_ops_of_bfloat16_round_once_each(interpreter):  # noqa: F811
    """As `Op.numpy` does: in float32, and rounded."""
    names = [op.name for op in CATALOGUE.values() if op.kind is Kind.ELEMENTWISE
             and (op.exact is True or "f" in str(op.exact)) and "triton" in op.spelling
             and not op.as_given and "f" in op.rule.accepts]  # fmt: skip
    assert {"add", "divide", "floor", "less", "sqrt"} <= set(names)
    rng = np.random.default_rng(0)
    values = np.array([0.0, -0.0, 1, -1, 0.5, np.inf, -np.inf, np.nan, 3e38, 1e-39,
                       *rng.standard_normal(20)]).astype(bfloat16)  # fmt: skip
    x, y = (part.ravel() for part in np.meshgrid(values, values))
    lets = [load("x", "X", bfloat16), load("y", "Y", bfloat16)]
    accesses = [Access("X", bfloat16, "in", (1,)), Access("Y", bfloat16, "in", (1,))]
    stores, wanted = [], []
    for n, name in enumerate(names):
        op = CATALOGUE[name]
        count = 1 + ("{1}" in spelling(name, "triton", bfloat16))
        with np.errstate(all="ignore"):
            expected = np.asarray(op.numpy(*(v.astype(F32) for v in (x, y)[:count])))
            expected = expected.astype(bfloat16) if expected.dtype == F32 else expected
        lets.append(Let(f"r{n}", name, ("x", "y")[:count], expected.dtype))
        accesses.append(Access(f"O{n}", expected.dtype, "out", (1,)))
        stores.append((f"O{n}", f"r{n}"))
        wanted.append(expected)
    outs = [np.zeros_like(one) for one in wanted]
    launch(interpreter, map_kernel(lets, stores, tuple(accesses)), [x, y, *outs])
    zeros = (x == 0) & (y == 0)
    for name, out, expected in zip(names, outs, wanted, strict=True):
        seen = ~zeros if name in ("maximum", "minimum") else slice(None)
        equal(out[seen], expected[seen])


def test_bytes_are_chosen_and_moved_as_they_are(interpreter):  # noqa: F811
    """Elements, a constant, and the element of an empty place."""
    x = every_value(float8_e4m3fn).reshape(16, 16)
    lets = (load("x", "X", float8_e4m3fn), load("c", "C", BOOL),
            Let("k", "constant", ("1.5",), float8_e4m3fn),
            Let("y", "where", ("c", "x", "k"), float8_e4m3fn))  # fmt: skip
    accesses = (Access("X", float8_e4m3fn, "in", (1, "s")), Access("C", BOOL, "in", ("s", 1)),
                Access("O", float8_e4m3fn, "out", ("s", 1)))  # fmt: skip
    chosen = np.random.default_rng(0).integers(0, 2, (16, 16)).astype(BOOL)
    out = np.zeros((16, 16), float8_e4m3fn)
    launch(interpreter, map_kernel(lets, [("O", "y")], accesses, 2), [x.T, chosen, out])
    expected = np.where(chosen, x.T.view(np.uint8), np.array(1.5, float8_e4m3fn).view(np.uint8))
    np.testing.assert_array_equal(out.view(np.uint8), expected)


@pytest.mark.parametrize("form", ["row", "column"])
@pytest.mark.parametrize("op", ["sum", "prod", "max", "min", "argmax", "argmin"])
def test_folds_of_bfloat16(interpreter, op, form):  # noqa: F811
    """Sums and products accumulate in float32; the rest is exact."""
    x = np.random.default_rng(0).standard_normal((24, 300)).astype(bfloat16)
    x[3, 7] = np.nan
    result = I64 if op.startswith("arg") else bfloat16
    wide, axis = x.astype(F32), 1 if form == "row" else 0
    given = np.where(np.isnan(wide), 1, wide) if op in ("sum", "prod") else wide
    expected = getattr(np, op)(given.astype(F64) if op in ("sum", "prod") else given, axis=axis)
    out = np.zeros(24 if form == "row" else 300, result)
    given = given.astype(bfloat16)
    given = given if form == "row" else given.T
    launch(interpreter, fold_kernel(op, bfloat16, result, form), [given, out])
    if op in ("sum", "prod"):
        np.testing.assert_allclose(out.astype(F32), expected.astype(bfloat16).astype(F32), 1e-2)
    else:
        equal(out, expected.astype(result))


def test_a_softmax_of_bfloat16(interpreter):  # noqa: F811
    x = (np.random.default_rng(0).standard_normal((5, 700)) * 3).astype(bfloat16)
    out = np.zeros_like(x)
    launch(interpreter, softmax(dtype=bfloat16), [x, out])
    below = (x.astype(F32) - x.astype(F32).max(1, keepdims=True)).astype(bfloat16)
    e = np.exp(below.astype(F32)).astype(bfloat16).astype(F32)
    total = e.sum(1, keepdims=True).astype(bfloat16).astype(F32)
    np.testing.assert_allclose(out.astype(F32), e / total, rtol=2**-7)


def kernel_of(name: str) -> tuple[Kernel, list[np.ndarray]]:
    """A kernel and operands of the sizes of the machine code."""
    if name == "softmax":
        return softmax(dtype=bfloat16), [np.empty((64, 2048), bfloat16)] * 2
    if name == "sum":
        return fold_kernel("sum", bfloat16, bfloat16, "column"), [
            np.empty((2048, 64), bfloat16).T, np.empty(64, bfloat16)]  # fmt: skip
    source, target = {"read e4m3": (float8_e4m3fn, bfloat16), "read e5m2": (float8_e5m2, F16),
                      "write e4m3": (bfloat16, float8_e4m3fn), "write e5m2": (F16, float8_e5m2),
                      }[name]  # fmt: skip
    return casts(source, [target]), [np.empty(1 << 16, source), np.empty(1 << 16, target)]


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize(
    "name", ["softmax", "sum", "read e4m3", "read e5m2", "write e4m3", "write e5m2"]
)
def test_machine_code(name, target, tmp_path):
    kernel, arrays = kernel_of(name)
    chosen = variant(kernel, numbers(kernel, arrays), [True] * len(arrays))
    asm = build(emit(kernel), chosen, target).asm
    if target[0] == "hip":
        assert re.search(r"\.vgpr_spill_count:\s+0\b", asm["amdgcn"])
        return
    assert spilled(asm["ptx"], tmp_path, target[1]) == 0
    assert accesses_in(asm["ptx"], "ld")[0]
    if name != "sum":
        assert accesses_in(asm["ptx"], "st")[0]
    hardware = {"read e4m3": r"cvt\.rn\.f16x2\.e4m3x2", "read e5m2": r"cvt\.rn\.f16x2\.e5m2x2",
                "write e4m3": r"cvt\.rn\.satfinite\.e4m3x2",
                "write e5m2": r"cvt\.rn\.satfinite\.e5m2x2"}.get(name)  # fmt: skip
    if hardware is not None:
        assert bool(re.search(hardware, asm["ptx"])) == (target[1] >= 89)
