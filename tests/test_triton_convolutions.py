"""Convolutions as Triton texts: against NumPy in the interpreter, compiled ahead of time."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton")

from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from schedule_graphs import Builder
from test_codegen_triton_ahead import spilled

import dualflow as df
from dualflow.base.dtypes import as_dtype
from dualflow.codegen.triton_forms import forms
from dualflow.ir.backend import NUMBA, TRITON
from dualflow.ir.form import Form
from dualflow.ir.interpret import interpret
from dualflow.ir.types import View
from dualflow.ops import primitives as p
from dualflow.runtime.gpu.compile import build
from dualflow.schedule import plan
from dualflow.schedule.spreading import spread_folds

TARGETS = [("cuda", 80, 32), ("cuda", 90, 32), ("hip", "gfx942", 64)]
WHAT = "convolution without windows"
#: images, kernel, and how it moves
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 9, 8), (4, 3, 3, 3), {}),
    "padded, in steps": ((2, 4, 7, 9), (6, 2, 3, 2), {"padding": (1, 2), "stride": 2, "groups": 2}),
    "dilated": ((1, 2, 20), (3, 2, 4), {"dilation": 3, "padding": 2, "stride": (2,)}),
    "of volumes": ((1, 2, 4, 5, 3), (2, 2, 2, 3, 2), {"padding": (1, 0, 1)}),
    "each channel for itself": ((3, 5, 6, 6), (5, 1, 3, 3), {"groups": 5, "padding": 1}),
    "single elements": ((2, 20, 5, 5), (18, 20, 1, 1), {}),
}
CONVOLUTIONS = {1: df.conv1d, 2: df.conv2d, 3: df.conv3d}


def convolution(case: str) -> Any:
    """The convolution of a case, as a function of images and kernel."""
    _, kernel, how = CASES[case]
    function = CONVOLUTIONS[len(kernel) - 2]
    return lambda x, w: function(x, w, **how)


def operands(case: str, dtype: str) -> list[df.Tensor]:
    rng = np.random.default_rng(0)
    return [df.asarray(rng.integers(-4, 5, shape) / 4).astype(dtype) for shape in CASES[case][:2]]


def check(case: str, dtype: str) -> None:
    """The convolution and its gradients; numbers whose products floats of 16 bits nearly hold."""
    convolve, args = convolution(case), operands(case, dtype)

    def loss(x, w):
        y = convolve(x, w)
        return (y * y).astype(df.float32).sum() / 16

    function = df.value_and_grad(loss, argnums=(0, 1))
    there = [x.to("cuda") for x in args]
    with df.config(tuning=0.0):
        f, g = df.compile(function, wait=True), df.compile(convolve, wait=True)
        for _ in range(3):
            (value, grads), made = f(*there), g(*there)
        assert f.stats()["replays"] == g.stats()["replays"] == 2
        assert f.explain(*there).count(WHAT) == 3
    close = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 6e-2}[dtype]
    wanted, slopes = function(*args)
    pairs = [(value, wanted), (made, convolve(*args)), *zip(grads, slopes, strict=True)]
    for one, other in pairs:
        one, other = (x.to("cpu").astype(df.float32).numpy() for x in (one, other))
        np.testing.assert_allclose(one, other, close, close * max(1.0, np.abs(other).max()))


@pytest.mark.parametrize("case", CASES)
def test_convolutions_and_their_gradients(gpu, case):  # noqa: F811
    check(case, "float32")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_what_is_narrow_is_added_up_in_single(gpu, dtype):  # noqa: F811
    check("padded, in steps", dtype)


def test_vmap_over_images_and_kernels_is_one_launch(gpu):  # noqa: F811
    rng = np.random.default_rng(1)
    x, w = (df.asarray(rng.standard_normal(s).astype(np.float32))
            for s in ((3, 2, 2, 6, 6), (3, 4, 2, 3, 3)))  # fmt: skip
    function = df.vmap(lambda x, w: df.conv2d(x, w))
    with df.config(tuning=0.0):
        f = df.compile(function, wait=True)
        there = x.to("cuda"), w.to("cuda")
        for _ in range(2):
            found = f(*there)
        assert WHAT in f.explain(*there)
    np.testing.assert_allclose(found.to("cpu").numpy(), function(x, w).numpy(), 1e-5, 1e-5)


def test_many_images_are_correlated_in_parts(gpu):  # noqa: F811
    """Which run side by side and are added up, in one order."""
    b = Builder()
    x, y = b.tensor(12, 3, 40, 40), b.tensor(12, 4, 40, 40)
    graph = b.build([b(p.correlate, x, y, kernel=(3, 3), **HOW)])
    made = spread_folds(graph, TRITON, False)
    assert [node.op.name for node in made.nodes] == ["reshape", "reshape", "correlate", "sum"]
    assert made.nodes[2].operands[0].shape[0] == 4
    rng = np.random.default_rng(0)
    given = [rng.standard_normal(v.shape).astype(np.float32) for v in graph.inputs]
    (wanted,), (found,) = interpret(graph, given), interpret(made, given)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert spread_folds(graph, NUMBA, False) is graph
    assert spread_folds(graph, TRITON, True) is graph


# Ahead of time ------------------------------------------------------------------------------------

HOW = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


def form_of(op: str, dtype: np.dtype) -> Form:
    b = Builder()
    x, w, y = (b.tensor(*shape, dtype=dtype)
               for shape in ((64, 64, 56, 56), (128, 64, 3, 3), (64, 128, 56, 56)))  # fmt: skip
    made = {"convolve": lambda: b(p.convolve, x, w, **HOW),
            "spread": lambda: b(p.spread, y, w, space=(56, 56), **HOW),
            "correlate": lambda: b(p.correlate, x, y, kernel=(3, 3), **HOW)}[op]()  # fmt: skip
    graph = b.build([made])
    program = plan(graph, [View.contiguous(v.shape) for v in graph.inputs], TRITON)
    return next(form for form in forms(program).values() if form.what == WHAT)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target[1]))
@pytest.mark.parametrize(("op", "dtype"), [("convolve", "float16"), ("spread", "bfloat16"),
                                           ("correlate", "float32")])  # fmt: skip
def test_machine_code(op, dtype, target, tmp_path):
    """Tensor cores for what is narrow, and nothing moved from registers to memory."""
    form = form_of(op, as_dtype(dtype))
    asm = build(form.text, form.variants([True] * 3)[0], target).asm
    if target[0] == "hip":
        assert re.search(r"\.vgpr_spill_count:\s+0\b", asm["amdgcn"])
        return
    assert spilled(asm["ptx"], tmp_path, target[1]) == 0
    assert bool(re.search(r"wgmma|mma\.sync", asm["ptx"])) == (dtype != "float32")
