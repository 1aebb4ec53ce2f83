"""Programs of whole graphs, their kernels as Triton texts in the interpreter, against the graph.

The kernels are those that every backend gets: `schedule` knows none.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_interpreter import Memory, call
from schedule_graphs import arrays_for, graphs
from triton_graphs import GRAPHS
from triton_interpreter import Interpreter, Job

from dualflow.base.dtypes import (
    bool_,
    complex64,
    complex128,
    float16,
    float32,
    int8,
    int64,
    uint8,
)
from dualflow.codegen import triton as triton_codegen
from dualflow.codegen.triton_forms import forms
from dualflow.codegen.triton_variants import launch_grid, variant
from dualflow.ir.backend import TRITON
from dualflow.ir.form import Form
from dualflow.ir.graph import Graph
from dualflow.ir.interpret import interpret
from dualflow.ir.program import Call, Launch, Operand, Program
from dualflow.ir.text import KernelText, Variant
from dualflow.ir.types import View
from dualflow.passes import simplify
from dualflow.schedule import plan

pytest.importorskip("triton")


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory) -> Iterator[Interpreter]:
    process = Interpreter(tmp_path_factory.mktemp("triton"))
    yield process
    process.close()


def run(
    process: Interpreter, program: Program, arrays: Sequence[np.ndarray], grouped: bool = False
) -> list[np.ndarray]:
    """The outputs of the program; its calls run in NumPy, its launches in the interpreter, and so
    do forms of them, scans and small launches together, if `grouped`."""
    memory = Memory(program, arrays)
    found = forms(program) if grouped else {}
    covered = {number for form in found.values() for number in form.covers}
    for number, step in enumerate(program.steps):
        if number in found:
            launch_form(process, memory, found[number])
        elif number in covered:
            continue
        elif isinstance(step, Call):
            call(step, memory)
        else:
            assert launch(process, memory, step) == 0, "no check fails"
    return [memory.array(operand).copy() for operand in program.outputs]


class Roots:
    """The memory of a program as pieces of which the interpreter gets copies."""

    def __init__(self, memory: Memory) -> None:
        self.memory, self.roots, self.places = memory, [], {}

    def pointer(self, operand: Operand, dtype: np.dtype) -> tuple[int, int, np.dtype]:
        """Which piece an operand lies in, where, and the dtype of its pointer."""
        buffer = operand.buffer
        in_arena = buffer.place == "arena"
        key = ("arena", 0) if in_arena else (buffer.place, buffer.index)
        if key not in self.places:
            self.places[key] = len(self.roots)
            self.roots.append(self.memory.arena if in_arena else self.memory.places[key])
        start = operand.view.offset * operand.dtype.itemsize + (buffer.index if in_arena else 0)
        return self.places[key], start, dtype


def launch(process: Interpreter, memory: Memory, step: Launch) -> int:
    """Run one launch on the memory; the status word."""
    text = triton_codegen.emit(step.kernel.verify())
    status, roots = np.zeros(8, np.uint8), Roots(memory)
    pointers = [roots.pointer(*pair) for pair in zip(step.operands, text.pointers, strict=False)]
    roots.roots.append(status)
    if len(text.pointers) > len(pointers):
        pointers.append((len(roots.roots) - 1, 0, int64))
    aligned = [offset % 16 == 0 for _, offset, _ in pointers[: len(step.operands)]]
    chosen = variant(step.kernel, step.integers, aligned)
    scalars = [s.dtype.type(v) for s, v in zip(step.kernel.scalars, step.scalars, strict=True)]
    grid = launch_grid(step.kernel, step.integers, chosen)
    interpret_text(process, text, chosen, roots.roots, pointers, scalars, step.integers, grid)
    return int(status.view(np.int64)[0])


def launch_form(process: Interpreter, memory: Memory, form: Form) -> None:
    """Run a form on the memory."""
    for source, to in form.copies:
        memory.array(to)[...] = memory.array(source)
    roots = Roots(memory)
    pairs = zip(form.operands, form.text.pointers, strict=True)
    pointers = [roots.pointer(*pair) for pair in pairs]
    chosen = form.variants([offset % 16 == 0 for _, offset, _ in pointers])[0]
    scalars = [d.type(v) for d, v in zip(form.text.scalars, form.scalars, strict=True)]
    interpret_text(process, form.text, chosen, roots.roots, pointers, scalars, form.integers,
                   form.grid(chosen))  # fmt: skip


def interpret_text(
    process: Interpreter, text: KernelText, chosen: Variant, roots: list[np.ndarray],
    pointers: list[Any], scalars: list[Any], integers: Sequence[int], grid: int,
) -> None:  # fmt: skip
    wide = np.int32 if chosen.indices == "i32" else np.int64
    job = Job(text.source, text.name, roots, pointers, scalars, [wide(n) for n in integers],
              chosen.constexprs, grid)  # fmt: skip
    for root, after in zip(roots, process.launch(job), strict=True):
        root[:] = after


def arrays_of(graph: Graph, seed: int) -> list[np.ndarray]:
    """Inputs: normal numbers, and positions below 50."""
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, 50, v.shape).astype(v.dtype) if v.dtype.kind in "biu"
        else (rng.standard_normal(v.shape) + 1j * rng.standard_normal(v.shape)).astype(v.dtype)
        if v.dtype.kind == "c" else rng.standard_normal(v.shape).astype(v.dtype)
        for v in graph.inputs
    ]  # fmt: skip


def wanted(graph: Graph, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return interpret(graph, arrays)


@pytest.mark.parametrize("name", GRAPHS)
def test_two_batches_through_one_text(interpreter, name):
    texts = []
    for n in (9, 33):
        graph = GRAPHS[name](n).verify()
        arrays = arrays_of(graph, n)
        if name in ("softmax_rows", "chain"):
            arrays[0][1, 2], arrays[0][3, 4], arrays[0][5, 6] = np.nan, np.inf, -0.0
        program = plan(simplify(graph), backend=TRITON)
        found = run(interpreter, program, arrays)
        for one, other in zip(found, wanted(graph, arrays), strict=True):
            assert one.dtype == other.dtype
            close = {
                "rtol": 1e-5 * (other.dtype.kind in "fc"),
                "atol": 1e-6 * (other.dtype.kind in "fc"),
            }
            np.testing.assert_allclose(one, other, **close)
        assert program.launches
        texts.append({triton_codegen.emit(step.kernel).source for step in program.launches})
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["softmax_rows", "layer_norm", "cross_entropy"])
def test_strided_inputs(interpreter, name):
    graph = GRAPHS[name](10)
    layouts = [View.contiguous(v.shape) for v in graph.inputs]
    for first in (View((10, 72), (150, 1), 20), View((10, 72), (150, 2), 3),
                  View((10, 72), (1, 10), 0)):  # fmt: skip
        layouts[0] = first
        arrays = arrays_of(graph, 0)
        found = run(interpreter, plan(simplify(graph), layouts, TRITON), arrays)
        for one, other in zip(found, wanted(graph, arrays), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


RANDOM = settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large,
                           HealthCheck.function_scoped_fixture],
)  # fmt: skip


@RANDOM
@given(graphs(), st.integers(0, 99))
def test_random_graphs(interpreter, drawn, seed):
    check(interpreter, *drawn, seed)


@RANDOM
@given(graphs(dtypes=(complex64, complex128, float32)), st.integers(0, 99))
def test_random_graphs_of_complex_numbers(interpreter, drawn, seed):
    check(interpreter, *drawn, seed)


@RANDOM
@given(graphs(dtypes=(int8, uint8, int64, float16, bool_)), st.integers(0, 99))
def test_random_graphs_of_narrow_and_wide_numbers(interpreter, drawn, seed):
    check(interpreter, *drawn, seed)


def check(interpreter, graph: Graph, layouts: list[View], seed: int) -> None:
    """A program gives what its graph gives; for odd seeds small launches are joined."""
    arrays = arrays_for(graph, seed)
    program = plan(simplify(graph), layouts, TRITON)
    found = run(interpreter, program, arrays, grouped=seed % 2 == 1)
    narrow = any(v.dtype == float16 for v in graph.inputs)
    close = 4e-3 if narrow else 1e-6
    for one, other in zip(found, wanted(graph, arrays), strict=True):
        if other.dtype.kind in "fc":
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=close, atol=close)
        else:
            np.testing.assert_array_equal(one, other, strict=True)
