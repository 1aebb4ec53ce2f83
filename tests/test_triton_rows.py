"""Products with norms and softmaxes of their rows in one text."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton")

from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from test_codegen_triton_ahead import spilled
from test_triton_norms import made  # noqa: F401 - fixture

import dualflow as df
from dualflow.codegen.triton_forms import forms
from dualflow.codegen.triton_rows import WIDEST
from dualflow.runtime.gpu.compile import build

WHAT = "product with what is computed of its rows"


def normal(*shape: int) -> df.Tensor:
    rng = np.random.default_rng(sum(shape))
    return df.asarray(rng.standard_normal(shape).astype("float32") / 4)


def rms_norm(x: Any, weight: Any) -> Any:
    return x / df.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * weight


#: functions of x (rows, k), w (k, columns), a row, and what is added (rows, columns)
PROGRAMS = {
    "layer_norm": lambda x, w, b, r: df.layer_norm(x @ w + b, b, b),
    "residual": lambda x, w, b, r: df.layer_norm(r + x @ w, b, b),
    "softmax": lambda x, w, b, r: df.softmax(x @ w * 0.5, axis=-1),
    "rms_norm": lambda x, w, b, r: rms_norm(x @ w, b),
    "sums": lambda x, w, b, r: (df.relu(x @ w) * r).sum(axis=1),
    "turned": lambda x, w, b, r: df.softmax(df.tanh(x) @ w.T.copy().T, axis=-1),
}
SHAPES = [(40, 30, 50), (7, 16, 16), (130, 20, 33)]


def operands(shape: tuple[int, int, int], dtype: str) -> list[df.Tensor]:
    m, k, n = shape
    found = normal(m, k), normal(k, n), normal(1, n)[0] + 1.0, normal(m, n)
    return [x.astype(dtype) for x in found]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_rows_of_a_product_stay_in_registers(gpu, name, dtype):  # noqa: F811
    shape = SHAPES[list(PROGRAMS).index(name) % 3]
    function, args = PROGRAMS[name], operands(shape, dtype)
    there = [x.to("cuda") for x in args]
    with df.config(tuning=0.0):
        f = df.compile(function, wait=True)
        for _ in range(3):
            found = f(*there)
        assert f.stats()["replays"] == 2
        assert f"{WHAT}: run by a template" in f.explain(*there)
    close = {"float32": 3e-5, "float16": 1e-2, "bfloat16": 6e-2}[dtype]
    one, other = (x.to("cpu").astype(df.float32).numpy() for x in (found, function(*args)))
    np.testing.assert_allclose(one, other, rtol=close, atol=close)


def test_a_product_that_is_read_again_is_stored_too(gpu):  # noqa: F811
    def function(x, w, b, r):
        y = x @ w
        return df.softmax(y, axis=-1), y.T.copy() * 2.0

    args = operands(SHAPES[0], "float32")
    there = [x.to("cuda") for x in args]
    with df.config(tuning=0.0):
        f = df.compile(function, wait=True)
        for _ in range(3):
            found = f(*there)
        assert WHAT in f.explain(*there)
    for one, other in zip(found, function(*args), strict=True):
        np.testing.assert_allclose(one.tolist(), other.tolist(), rtol=3e-5, atol=3e-5)


def test_rows_wider_than_a_tile_are_a_kernel_of_their_own(gpu):  # noqa: F811
    args = operands((24, 8, WIDEST + 4), "float32")
    there = [x.to("cuda") for x in args]
    f = df.compile(PROGRAMS["softmax"], wait=True)
    for _ in range(3):
        found = f(*there)
    assert WHAT not in f.explain(*there)
    np.testing.assert_allclose(found.tolist(), PROGRAMS["softmax"](*args).tolist(), 3e-5, 1e-6)


@pytest.mark.parametrize("target", [("cuda", 80, 32), ("cuda", 90, 32), ("hip", "gfx942", 64)],
                         ids=lambda target: str(target[1]))  # fmt: skip
@pytest.mark.parametrize(("name", "dtype"), [("layer_norm", "float16"), ("softmax", "bfloat16"),
                                             ("residual", "float32")])  # fmt: skip
def test_machine_code(gpu, made, name, dtype, target, tmp_path):  # noqa: F811
    """Tensor cores for what is narrow, and nothing moved from registers to memory."""
    there = [x.to("cuda") for x in operands((64, 32, WIDEST), dtype)]
    with df.config(tuning=0.0):
        f = df.compile(PROGRAMS[name], wait=True)
        f(*there), f(*there)
    (form,) = [form for program in made for form in forms(program).values() if form.what == WHAT]
    asm = build(form.text, form.variants([True] * len(form.operands))[0], target).asm
    if target[0] == "hip":
        assert re.search(r"\.vgpr_spill_count:\s+0\b", asm["amdgcn"])
        return
    assert spilled(asm["ptx"], tmp_path, target[1]) == 0
    assert bool(re.search(r"wgmma|mma\.sync", asm["ptx"])) == (dtype != "float32")
