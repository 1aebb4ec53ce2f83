"""Norms and losses over rows with their gradients: how many kernels, and that each reads once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton")

from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from test_codegen_triton_ahead import accesses_in, spilled

import dualflow as df
from dualflow.codegen.triton import emit
from dualflow.codegen.triton_variants import can_be_whole, choose
from dualflow.ir.program import Program
from dualflow.runtime.gpu import program
from dualflow.runtime.gpu.compile import build

ROWS, WIDTH = 24, 96


def normal(*shape: int) -> df.Tensor:
    rng = np.random.default_rng(sum(shape))
    return df.asarray(rng.standard_normal(shape).astype("float32"))


def rms_norm(x: Any, weight: Any) -> Any:
    return x / df.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * weight


X, G, W, B = normal(ROWS, WIDTH), normal(WIDTH, ROWS).T.copy(), normal(WIDTH), normal(1, WIDTH)[0]
LABELS = df.asarray(np.arange(ROWS) % WIDTH)
#: a loss, its operands, those it is differentiated for, kernels over rows and over columns
CASES = {
    "softmax": (lambda x, g: (df.softmax(x) * g).sum(), [X, G], (0,), 1, 0),
    "log_softmax": (lambda x, g: (df.log_softmax(x) * g).sum(), [X, G], (0,), 1, 0),
    "cross_entropy": (df.cross_entropy, [X, LABELS], (0,), 1, 0),
    "layer_norm": (lambda x, w, b, g: (df.layer_norm(x, w, b) * g).sum(), [X, W, B, G],
                   (0, 1, 2), 1, 1),
    "rms_norm": (lambda x, w, g: (rms_norm(x, w) * g).sum(), [X, W, G], (0, 1), 1, 1),
    "rms_norm and silu": (lambda x, w, g: (df.silu(rms_norm(x, w)) * g).sum(), [X, W, G],
                          (0, 1), 1, 1),
}  # fmt: skip


@pytest.fixture
def made(monkeypatch) -> list[Program]:
    """The programs that a test prepares."""
    found: list[Program] = []
    begin = program.Executable.__init__

    def noted(self, planned: Program, *args: Any, **settings: Any) -> None:
        begin(self, planned, *args, **settings)
        found.append(planned)

    monkeypatch.setattr(program.Executable, "__init__", noted)
    return found


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradients_take_one_pass(gpu, made, name, tmp_path):  # noqa: F811
    """One kernel over rows, whose whole row stays in registers, and where there are weights one
    over columns; the row kernel moves 16 bytes at a time and spills nothing."""
    loss, args, argnums, rows, columns = CASES[name]
    function = df.value_and_grad(loss, argnums=argnums)
    there = [x.to("cuda") for x in args]
    with df.config(tuning=0.0):
        f = df.compile(function, wait=True)
        for _ in range(3):
            found = f(*there)
    assert f.stats()["replays"] >= 2
    value, gradients = function(*args)
    np.testing.assert_allclose(found[0].item(), value.item(), rtol=1e-5)
    for one, other in zip(flat(found[1]), flat(gradients), strict=True):
        np.testing.assert_allclose(one.tolist(), other.tolist(), rtol=1e-4, atol=1e-6)
    planned = max(made, key=lambda one: len(one.steps))  # others are operations that CuPy lacks
    over_rows = [step for step in planned.launches if can_be_whole(step.kernel)
                 and ROWS in step.integers[:2]]  # fmt: skip
    over_columns = [step for step in planned.launches if step.kernel.folds_across_lanes]
    assert (len(over_rows), len(over_columns)) == (rows, columns)
    rest = len(planned.steps) - rows - columns
    assert rest <= 1, "what is left adds up a number for each row"
    for step in over_rows:
        text = emit(step.kernel)
        whole = text.source.partition("if WHOLE")[2].partition("\n    else:")[0]
        read = re.findall(r"tl\.load\((p\d+) ", whole)
        assert sorted(read) == sorted(set(read)), "a row is read once"
        chosen, _ = choose(step, [True] * len(step.operands))
        ptx = build(text, chosen, ("cuda", 90, 32)).asm["ptx"]
        assert accesses_in(ptx, "ld")[0] > 0
        assert spilled(ptx, tmp_path) == 0


def flat(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
