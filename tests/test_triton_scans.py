"""Scans as Triton texts: in the interpreter against NumPy, compiled ahead of time, in programs."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("triton")

from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from schedule_graphs import Builder
from test_codegen_triton_ahead import accesses_in, spilled
from triton_interpreter import Interpreter, Job
from triton_kernels import BOOL, C64, C128, F16, F32, F64, I32, I64, memory_of

import dualflow as df
from dualflow.base.records import replaced
from dualflow.codegen.triton_forms import forms
from dualflow.codegen.triton_scans import Scan, emit_scan, scan_grid, scan_variants
from dualflow.ir.backend import NUMBA, TRITON
from dualflow.ir.form import Form
from dualflow.ir.graph import Graph
from dualflow.ir.interpret import interpret
from dualflow.ir.op import CATALOGUE
from dualflow.ir.program import Call, Program
from dualflow.ir.types import View
from dualflow.runtime.gpu.compile import build
from dualflow.schedule import plan
from dualflow.schedule.spreading import spread_folds

#: what is compiled for, and whether along the last axis
TARGETS = [(("cuda", 80, 32), True), (("cuda", 90, 32), True), (("cuda", 90, 32), False),
           (("hip", "gfx942", 64), False)]  # fmt: skip


def graph_of(op: str, x: np.ndarray, axis: int) -> Graph:
    b = Builder()
    return b.build(
        b.add(CATALOGUE[op], [b.tensor(*x.shape, dtype=x.dtype)], {"axis": axis}).results
    )


def program_of(op: str, x: np.ndarray, axis: int) -> Program:
    strides = tuple(step // x.itemsize for step in x.strides)
    return plan(graph_of(op, x, axis), [View(x.shape, strides)], TRITON)


def scanned(process: Interpreter, op: str, x: np.ndarray, axis: int, tile=()) -> np.ndarray:
    """What the form of a program of one scan gives, in tiles of `tile`."""
    program = program_of(op, x, axis)
    (form,) = forms(program).values()
    out = np.zeros(x.shape, program.steps[0].results[0].dtype)
    chosen = form.variants([True, True])[0]
    chosen = replaced(chosen, constexprs=tile or chosen.constexprs)
    (root, start), (to, _) = memory_of(x), memory_of(out)
    pointers = [(0, start, form.text.pointers[0]), (1, 0, form.text.pointers[1])]
    integers = [np.int32(n) for n in form.integers]
    job = Job(form.text.source, form.text.name, [root, to], pointers, [], integers,
              chosen.constexprs, form.grid(chosen))  # fmt: skip
    to[:] = process.launch(job)[1]
    return out


def numbers(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    rng = np.random.default_rng(0)
    if dtype.kind in "biu":
        return rng.integers(0, 2 if dtype == BOOL else 9, shape).astype(dtype)
    x = 1 + rng.standard_normal(shape) / 9
    return (x + 1j * rng.standard_normal(shape) / 9 if dtype.kind == "c" else x).astype(dtype)


@pytest.mark.parametrize("dtype", [BOOL, I32, np.dtype("uint8"), F16, F32, F64, C64, C128], ids=str)
@pytest.mark.parametrize("op", ["cumsum", "cumprod"])
def test_along_every_axis_with_a_carry(interpreter, op, dtype):  # noqa: F811
    x = numbers((2, 20, 18), dtype)
    for axis, tile in ((0, ()), (1, (16, 16)), (2, ()), (2, (8, 16))):
        expected = CATALOGUE[op].numpy(x.astype(F32) if dtype == F16 else x, axis=axis)
        found = scanned(interpreter, op, x, axis, tile)
        if dtype.kind in "biu":
            np.testing.assert_array_equal(found, expected, strict=True)
        else:
            np.testing.assert_allclose(found, expected, 30 * np.finfo(dtype).eps)


RUNNING = [(op, dtype) for op in ("cummax", "cummin") for dtype in (BOOL, I32, F16, F32, F64)]
RUNNING += [("logcumsumexp", dtype) for dtype in (F16, F32, F64)]


@pytest.mark.parametrize(("op", "dtype"), RUNNING, ids=str)
def test_running_extremes_and_logarithms(interpreter, op, dtype):  # noqa: F811
    """Falling, so that the carry of the first tile decides in the last; NaN stays from where it
    is on, and nothing but -inf comes to -inf."""
    x = numbers((3, 40), dtype)
    x.sort()
    if dtype.kind == "f":
        x = x[:, ::-1].copy() * 9
        x[0, 20], x[1, :3], x[2, 5] = np.nan, -np.inf, np.inf
    for axis, tile in ((1, (2, 16)), (0, ())):
        with np.errstate(invalid="ignore"):
            expected = CATALOGUE[op].numpy(x, axis=axis)
        found = scanned(interpreter, op, x, axis, tile)
        if op == "logcumsumexp":
            np.testing.assert_allclose(found, expected, 30 * np.finfo(dtype).eps)
        else:
            np.testing.assert_array_equal(found, expected, strict=True)


def test_backwards_and_of_parts(interpreter):  # noqa: F811
    """Views are read as they lie: a reversed scan is a scan of flipped memory."""
    x = numbers((6, 50), F32)
    for part in (x[:, ::-1], x[::-2, 3:40], x.T, np.broadcast_to(x[:1], (4, 50))):
        for axis in (0, 1):
            found = scanned(interpreter, "cumsum", part, axis, (16, 16))
            np.testing.assert_allclose(found, np.cumsum(part, axis), rtol=1e-6)


def test_special_values_and_signed_zeros_stay(interpreter):  # noqa: F811
    x = np.zeros((5, 40), F32)
    x[0] = -0.0
    x[1, 20], x[2, 3], x[3, 3], x[3, 30] = np.nan, np.inf, np.inf, -np.inf
    found = scanned(interpreter, "cumsum", x, 1, (2, 16))
    with np.errstate(invalid="ignore"):
        expected = np.cumsum(x, 1)
    np.testing.assert_array_equal(found, expected)
    assert np.signbit(found[0]).all()


def test_a_long_sum_is_no_worse_than_one_in_order(interpreter):  # noqa: F811
    x = np.random.default_rng(1).standard_normal((2, 20000)).astype(F32)
    exact = np.cumsum(x.astype(F64), 1)
    found = scanned(interpreter, "cumsum", x, 1)
    assert np.abs(found - exact).max() <= np.abs(np.cumsum(x, 1) - exact).max()


def sizes(last: bool) -> tuple[int, ...]:
    return (4096, 4096, 1, 4096, 1, 1) if last else (16, 512, 1024, 512 * 1024, 1024, 1)


@pytest.mark.parametrize(("target", "last"), TARGETS)
@pytest.mark.parametrize(
    ("op", "dtype"),
    [("cumsum", F16), ("cumsum", F32), ("cumprod", F64), ("cumsum", I64), ("cumprod", C64),
     ("cumprod", C128), ("cummax", F32), ("cummin", I64), ("logcumsumexp", F32)],
)  # fmt: skip
def test_machine_code_moves_16_bytes_at_a_time_and_spills_nothing(
    target, last, op, dtype, tmp_path
):
    scan = Scan(op, dtype, dtype, last, True)
    asm = build(emit_scan(scan), scan_variants(scan, sizes(last), (True, True))[0], target).asm
    if target[0] == "hip":
        assert re.search(r"\.vgpr_spill_count:\s+0\b", asm["amdgcn"])
        return
    assert spilled(asm["ptx"], tmp_path, target[1]) == 0
    assert accesses_in(asm["ptx"], "ld")[1] == 0
    assert accesses_in(asm["ptx"], "st")[1] == 0


def test_few_long_lines_are_cut_into_parts():
    """And the parts are even where the length allows it; what they come to is scanned again."""
    rng = np.random.default_rng(2)
    for shape, axis, op in (((2, 40000), 1, "cumsum"), ((33001,), 0, "cumsum"),
                            ((2, 40960, 2), 1, "cumprod")):  # fmt: skip
        x = 1 + rng.standard_normal(shape).astype(F32) / 1e3
        program = program_of(op, x, axis)
        scans = [step.operands[0].view.shape for step in program.steps if isinstance(step, Call)]
        assert len(scans) == 2
        assert max(scans[0]) < x.shape[axis] / 3
        assert len(forms(program)) == 2
        graph = graph_of(op, x, axis)
        (found,) = interpret(spread_folds(graph, TRITON, False), [x])
        np.testing.assert_allclose(found, interpret(graph, [x])[0], rtol=2e-4)
        (zeros,) = interpret(spread_folds(graph, TRITON, False), [-x * 0])
        assert np.signbit(zeros).all() == (op == "cumsum")
    assert spread_folds(graph, NUMBA, False) is graph


def test_what_has_no_form_is_left_to_the_library():
    x = np.zeros((3, 4, 5), F32)
    assert not forms(program_of("cumsum", x[:, :0], 1))
    (form,) = forms(program_of("cumsum", x, 1)).values()
    assert isinstance(form, Form)
    assert form.what == "cumsum in one pass"
    assert scan_grid(Scan("cumsum", F32, F32, True, True), (10, 4, 1), form.variants([True] * 2)[0])


def test_a_compiled_program_scans_with_templates(gpu):  # noqa: F811
    """A cumulative loss and its gradient, which scans backwards."""
    x = df.asarray(numbers((6, 40), F32))
    function = df.value_and_grad(lambda x: (df.cumulative_sum(x, axis=1) * x).sum())
    there = x.to("cuda")
    with df.config(tuning=0.0):
        f = df.compile(function, wait=True)
        for _ in range(3):
            found = f(there)
    assert f.stats()["replays"] >= 2
    assert f.explain(there).count("cumsum in one pass: run by a template") == 2
    for one, other in zip(found, function(x), strict=True):
        np.testing.assert_allclose(one.to("cpu").numpy(), other.numpy(), rtol=1e-5)
