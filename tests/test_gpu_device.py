"""What only a GPU can answer: the op harness, programs, templates, training, memory, errors.

    python -m pytest -m gpu tests/test_gpu_device.py

All of it is skipped where there is no GPU, and needs nothing but one: no network, no files.
"""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton")

import fidelity_runner
import test_fidelity_gradients
import test_fidelity_memory
import test_fidelity_tensors
from coexecute_programs import trace
from gpu_training import NETWORKS
from harness import cases, check_against_reference, ops
from hypothesis import HealthCheck, settings
from hypothesis import given as drawn_from
from hypothesis import strategies as st
from schedule_graphs import arrays_for, graphs
from test_coexecute_random import check_close
from test_gpu_narrow import PROGRAMS as NARROW
from test_gpu_narrow import I, W, X
from test_gpu_narrow import close as close_to
from test_gpu_packed_attention import attended as packed
from test_gpu_templates import CASES as ATTENTION
from test_gpu_templates import PROGRAMS, attended, leaves, normal
from test_packed_attention import CASES as PACKED
from test_packed_attention import operands
from test_triton_convolutions import CASES as CONVOLUTIONS
from test_triton_convolutions import check as check_convolution
from test_triton_narrow import BYTES, between, equal, every_value
from test_triton_products import CASES, F16, F32, attend, operands_of, product_of
from test_triton_rows import PROGRAMS as ROWS
from test_triton_rows import operands as row_operands
from test_triton_scatters import CASES as SCATTERS
from test_triton_scatters import DTYPES as SCATTERED
from test_triton_scatters import check as check_scatters
from triton_graphs import GRAPHS

import dualflow as df
from dualflow import errors
from dualflow.base.narrow import bfloat16
from dualflow.capture.coexecution.coexecute import coexecute
from dualflow.capture.coexecution.segments import Segments
from dualflow.codegen.triton_products import emit_product, product_grid, product_variants
from dualflow.inspect import demonstration
from dualflow.ir.interpret import interpret
from dualflow.ir.op import Kind, Op
from dualflow.ir.text import KernelText, Variant
from dualflow.ops import door
from dualflow.pipeline import compile_graph
from dualflow.runtime.gpu import images
from dualflow.runtime.gpu.launching import Launcher
from dualflow.runtime.gpu.libraries import capability, cupy
from dualflow.runtime.gpu.memory import empty
from dualflow.runtime.gpu.narrow import given

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not df.cuda.is_available(), reason="there is no GPU"),
]
CUDA = "cuda:0"
#: random programs that are co-executed
SEEDS = 40


def _diagonal(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    made = np.zeros((*values.shape[:-1], rows, columns), values.dtype)
    made[..., range(values.shape[-1]), range(values.shape[-1])] = values
    return made


#: of ops whose results are not unique: what their results make up, which has to be the operand
WHOLE = {
    "qr": lambda q, r: q @ r,
    "svd": lambda u, s, vh: u @ _diagonal(s, u.shape[-1], vh.shape[-2]) @ vh,
    "eigh": lambda w, v: (v * w[..., None, :]) @ np.swapaxes(v, -1, -2).conj(),
}


@pytest.fixture(autouse=True)
def strict(tmp_path):
    with df.config(on_compiler_error="raise"):
        yield


def moved(arrays: Any) -> list[df.Tensor]:
    return [df.asarray(np.array(array)).to(CUDA) for array in arrays]


@pytest.mark.parametrize("op", ops(), ids=lambda op: op.name)
def test_an_op_eagerly(op: Op):
    for case in cases(op):
        with df.device(CUDA):
            made = door.run(op, tuple(moved(case.arrays)), case.attributes)
        made = made if isinstance(made, tuple) else (made,)
        found = tuple(door.state.mode.values(t) for t in made)
        if op.name in WHOLE:
            check_whole(op, case.arrays[0], found)
            continue
        with np.errstate(all="ignore"):
            check_against_reference(case, found)


def check_whole(op: Op, x: np.ndarray, found: tuple[np.ndarray, ...]) -> None:
    """A decomposition makes up its operand (of eigh: the lower triangle and its mirror image)."""
    wide = {"float32": 2e-5, "complex64": 2e-5}.get(x.dtype.name, 1e-12)
    if op.name == "eigh":
        below = np.tril(x, -1)
        diagonal = np.diagonal(x, axis1=-2, axis2=-1)[..., None]
        x = below + np.swapaxes(below, -1, -2).conj() + diagonal * np.eye(x.shape[-1])
    scale = max(1.0, float(np.abs(x).max(initial=0)))
    np.testing.assert_allclose(WHOLE[op.name](*found), x, rtol=0, atol=wide * scale * 10)


@pytest.mark.parametrize(
    "op", [op for op in ops() if op.kind not in (Kind.LIBRARY, Kind.LOOP, Kind.BRANCH)],
    ids=lambda op: op.name,
)  # fmt: skip
def test_an_op_compiled(op: Op):
    found = list(cases(op))
    for case in found[:: max(1, len(found) // 12)]:  # each takes a compilation
        program = compile_graph(case.graph, device=CUDA).result()
        made = program.run([tensor.array for tensor in moved(case.arrays)])
        with np.errstate(all="ignore"):
            check_against_reference(case, tuple(array.get() for array in made))


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("n", [9, 3000])
def test_a_form_of_kernel(name: str, n: int):
    graph = GRAPHS[name](n)
    rng = np.random.default_rng(n)
    arrays = [rng.standard_normal(v.shape).astype(v.dtype) if v.dtype.kind == "f"
              else rng.integers(0, 50, v.shape).astype(v.dtype) for v in graph.inputs]  # fmt: skip
    program = compile_graph(graph, device=CUDA).result()
    there = [tensor.array for tensor in moved(arrays)]
    with np.errstate(all="ignore"):
        wanted = interpret(graph, arrays)
    for _ in range(4):  # launched one by one, then as a graph
        for one, other in zip(program.run(there), wanted, strict=True):
            close = {"rtol": 2e-5, "atol": 1e-5} if other.dtype.kind == "f" else {"rtol": 0}
            np.testing.assert_allclose(one.get(), other, **close)


@settings(max_examples=40, deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@drawn_from(graphs(), st.integers(0, 99))
def test_random_programs(drawn, seed):
    graph, _ = drawn
    arrays = arrays_for(graph, seed)
    program = compile_graph(graph, device=CUDA).result()
    found = program.run([tensor.array for tensor in moved(arrays)])
    with np.errstate(all="ignore"):
        wanted = interpret(graph, arrays)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.get(), other, rtol=1e-6, atol=1e-6)


# Templates ------------------------------------------------------------------------------------


def launch(text: KernelText, chosen: Variant, grid: int, arrays: list[Any],
           scalars: list[float], integers: list[int]) -> None:  # fmt: skip
    image = images.start(text, chosen, capability(0)).result()
    bits = [int(np.float32(value).view(np.uint32)) for value in scalars]
    launcher = Launcher(text, chosen, image, grid, 0, [*bits, *integers])
    launcher(cupy().cuda.get_current_stream().ptr, *(array.data.ptr for array in arrays))


@pytest.mark.parametrize("dtype", [F16, bfloat16, F32], ids=str)
def test_products_with_an_epilogue(dtype):
    rng = np.random.default_rng(0)
    m, n, k = 300, 272, 160
    a = (rng.standard_normal((1, m, k)) / 8).astype(dtype)
    b = (rng.standard_normal((1, n, k)) / 8).astype(dtype)
    bias = rng.standard_normal(n).astype(F32)
    product = product_of(dtype, fused=True)
    integers = [1, m, n, k, m * k, k, n * k, k, m * n, n]
    text = emit_product(product)
    wanted = df.gelu(df.asarray(a[0].astype(F32) @ b[0].astype(F32).T + bias)).numpy()
    for chosen in product_variants(product, integers, [True] * 4):
        out = empty((1, m, n), dtype)
        arrays = [given(a), given(b), out, given(bias)]
        launch(text, chosen, product_grid(integers, chosen), arrays, [], integers)
        found = out.get()[0].astype(F32)
        close = 2e-2 if dtype == bfloat16 else 2e-3
        np.testing.assert_allclose(found, wanted, rtol=close, atol=close)


@pytest.mark.parametrize("attention", CASES, ids=str)
def test_attention_and_its_gradients(attention):
    operands = operands_of(attention, 200, 230)

    def run(text: KernelText, chosen: Variant, grid: int, arrays: list[Any], *numbers: Any) -> None:
        there = [given(array) for array in arrays]
        launch(text, chosen, grid, there, *numbers)
        for array, moved_there in zip(arrays, there, strict=True):
            array[...] = moved_there.get()

    close = {"float32": 2e-4, "float16": 1e-2, "bfloat16": 6e-2}[attention.dtype.name]
    for name, found in attend(run, attention, operands).items():
        np.testing.assert_allclose(found.astype(F32), operands[name], close, close, err_msg=name)


@pytest.mark.parametrize("name", NARROW)
def test_programs_of_bfloat16_and_float8(name):
    function, steps = NARROW[name]
    here = [X.astype(df.bfloat16), W.astype(df.bfloat16), I]
    there = [x.to(CUDA) for x in here]
    f = df.compile(function, wait=True)
    for found in (function(*there), f(*there), f(*there), f(*there)):
        close_to(found, function(*here), steps)


@pytest.mark.parametrize("dtype", [bfloat16, *BYTES], ids=str)
def test_conversions_by_instructions_are_those_of_ml_dtypes(dtype):
    """Every value read, and every rounding, ties and what is too large among them."""
    x = every_value(dtype)
    wide = between(dtype)
    f = df.compile(lambda x, y: (x.astype(df.float32), y.astype(dtype)), wait=True)
    for _ in range(2):
        read, written = f(*moved([x, wide]))
    with np.errstate(all="ignore"):
        equal(read.to("cpu").numpy(), x.astype(F32))
        equal(written.to("cpu").numpy(), wide.astype(dtype))


@pytest.mark.parametrize("tuning", [0.0, 10.0])
@pytest.mark.parametrize("name", PROGRAMS)
def test_templates_in_programs(name: str, tuning: float):
    function, args, _ = PROGRAMS[name]
    there = [x.to(CUDA) for x in args]
    narrow = any(x.dtype.name == "float16" for x in args) or name == "cast before"
    rtol = 1e-2 if narrow else 1e-4
    wanted = leaves(function(*args))
    with df.config(tuning=tuning):
        f = df.compile(function, wait=True)
        for _ in range(12):  # by libraries, measured, by what was fastest, as a graph
            for one, other in zip(leaves(f(*there)), wanted, strict=True):
                np.testing.assert_allclose(one.tolist(), other.tolist(), rtol=rtol, atol=rtol)
    assert f.stats()["replays"] >= 10


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ROWS)
def test_rows_of_products(name: str, dtype: str):
    args = row_operands((130, 96, 200), dtype)
    there = [x.to(CUDA) for x in args]
    wanted = ROWS[name](*args).astype("float32").numpy()
    f = df.compile(ROWS[name], wait=True)
    close = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}[dtype]
    for _ in range(8):
        found = f(*there).to("cpu").astype("float32").numpy()
        np.testing.assert_allclose(found, wanted, rtol=close, atol=close)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(case: str, dtype: str):
    check_convolution(case, dtype)


@pytest.mark.parametrize("dtype", SCATTERED, ids=str)
@pytest.mark.parametrize("case", SCATTERS)
def test_scatters(case: str, dtype: np.dtype):
    check_scatters(case, dtype)


def test_scatters_give_the_same_bits_each_time():
    rng = np.random.default_rng(0)
    there = moved([np.zeros((300, 96), F32), rng.integers(0, 300, (20000, 1)),
                   rng.standard_normal((20000, 96)).astype(F32)])  # fmt: skip
    f = df.compile(lambda x, i, v: df.scatter_add(x, i, v * v), wait=True)
    found = [f(*there).to("cpu").numpy().tobytes() for _ in range(20)]
    assert len(set(found)) == 1
    wanted = np.zeros((300, 96))
    values = there[2].to("cpu").numpy()
    np.add.at(wanted, there[1].to("cpu").numpy()[:, 0], (values * values).astype(np.float64))
    np.testing.assert_allclose(f(*there).to("cpu").numpy(), wanted, rtol=2e-7)
    with df.config(numerics="fast"):
        g = df.compile(lambda x, i, v: df.scatter_add(x, i, v * v + 0), wait=True)
        for _ in range(4):
            np.testing.assert_allclose(g(*there).to("cpu").numpy(), wanted, rtol=1e-4)


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_in_programs(name: str):
    how = ATTENTION[name]
    heads = 1 if name == "grouped" else 2
    shapes = (2, 12, 32), (2, 20, 16 * heads), (2, 20, 16 * heads)
    args = [normal(*shape, dtype="float16" if name == "half" else "float32") for shape in shapes]
    how_there = {key: x.to(CUDA) if isinstance(x, df.Tensor) else x for key, x in how.items()}
    f = df.compile(lambda *xs: attended(*xs, **how_there), wait=True)
    close = {"rtol": 1e-2, "atol": 1e-2} if name == "half" else {"rtol": 1e-4, "atol": 1e-4}
    for _ in range(8):
        found = f(*[x.to(CUDA) for x in args])
        for one, other in zip(leaves(found), leaves(attended(*args, **how)), strict=True):
            np.testing.assert_allclose(one.tolist(), other.tolist(), **close)


# Programs of users ----------------------------------------------------------------------------


@pytest.mark.parametrize("wait", [True, False])
def test_the_digits_are_learned_as_on_the_cpu(wait):
    def losses(device: str) -> demonstration.Training:
        return demonstration.train(
            lambda step: df.compile(step, wait=wait), epochs=6, device=device
        )

    there, here = losses(CUDA), losses("cpu")
    np.testing.assert_allclose(there.losses[:40], here.losses[:40], rtol=1e-3)
    assert there.accuracy > 0.9


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_learn_as_on_the_cpu(name, mixed):
    there, here = (NETWORKS[name](device, 12, mixed) for device in (CUDA, "cpu"))
    np.testing.assert_allclose(there, here, rtol=3e-2 if mixed else 1e-3)
    assert there[-1] < there[0]


#: the programs that run on a GPU too
FIDELITY = {
    **vars(test_fidelity_tensors), **vars(test_fidelity_memory), **vars(test_fidelity_gradients),
}  # fmt: skip
#: programs that hand memory to NumPy, which a GPU's does not go to; that make tensors of lists
ON_THE_CPU = ("exported_memory", "adam_with_a_changing_rate", "constants_made_inside")


@pytest.mark.parametrize(
    ("program", "way"),
    [case for case in fidelity_runner.parameters(FIDELITY)
     if case.values[0].__name__ not in ON_THE_CPU],
)  # fmt: skip
def test_a_program_runs_as_eagerly(program, way):
    with df.device(CUDA):
        fidelity_runner.check(program, way)


@pytest.mark.parametrize("wait", [False, True])
def test_random_programs_co_executed(wait):
    for seed in range(SEEDS):
        found = Segments()
        seen = trace(seed, lambda call, found=found: coexecute(found, call, wait=wait), device=CUDA)
        check_close(seen, trace(seed, lambda call: call(), device=CUDA))
        assert found.stats.failures == 0


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", PACKED)
def test_packed_attention(name, causal):
    parts, starts = operands(name, 16, "float32")
    there = [x.to(CUDA) for x in (*parts, *starts)]
    wanted = packed(*parts, *starts, causal=causal)
    f = df.compile(lambda *xs: packed(*xs, causal=causal), wait=True)
    for _ in range(4):
        for one, other in zip(f(*there), wanted, strict=True):
            np.testing.assert_allclose(one.tolist(), other.tolist(), atol=2e-4)


def test_replays_cost_little_on_the_host_however_many_kernels():
    import time

    @df.compile(wait=True)
    def f(x):
        for axis in (0, 1) * 20:
            x = x - df.max(x, axis=axis, keepdims=True)
        return x

    x = df.ones((64, 64), device=CUDA)
    for _ in range(50):
        f(x)
    found = []
    for _ in range(30):  # short stretches: a GPU that is behind lets the host wait
        df.synchronize()
        start = time.perf_counter()
        for _ in range(20):
            f(x)
        found.append((time.perf_counter() - start) / 20)
    df.synchronize()
    assert f.stats()["replays"] >= 600
    each = sorted(found)[len(found) // 2]
    assert each < 10e-6, f"{each * 1e6:.1f} us"


def test_nothing_leaks():
    @df.compile(wait=True)
    def f(x):
        return df.softmax(x @ x.T, axis=-1).sum(axis=0)

    x = df.random.normal((256, 256)).to(CUDA)
    for _ in range(20):
        f(x)
    gc.collect()
    used = df.cuda.memory_stats(CUDA)["used"]
    for _ in range(200):
        f(x)
        (x + 1.0).sum().item()
    gc.collect()
    assert df.cuda.memory_stats(CUDA)["used"] <= used


def test_co_executed_calls_and_their_graphs_leak_nothing():
    f = df.compile(lambda x: (x * 2.0 + vars().get("n", x.sum().item()), x.max()), wait=True)
    x = df.random.normal((256, 256)).to(CUDA)
    for _ in range(20):
        f(x)
    gc.collect()
    used = df.cuda.memory_stats(CUDA)["used"]
    for _ in range(100):
        f(x)
    gc.collect()
    assert df.cuda.memory_stats(CUDA)["used"] <= used
    assert f.stats()["co_executions"] > 100


def test_no_memory_left_is_an_error_and_the_process_goes_on():
    held = df.ones((1 << 20,), device=CUDA)
    with pytest.raises(errors.OutOfMemoryError, match=r"1 x float32\[1048576\]"):
        df.zeros((1 << 40,), device=CUDA)
    assert (held + 1).sum().item() == 2 << 20
    assert df.ones(3).sum().item() == 3.0


def test_indices_out_of_bounds_do_not_break_the_device():
    f = df.compile(lambda x, i: df.take(x, i, axis=0) * 2, wait=True)
    x = df.arange(10, dtype="float32", device=CUDA)
    for bad in (10, -11, 1 << 40):
        with pytest.raises(errors.IndexingError):
            f(x, df.asarray([0, bad], device=CUDA))
        assert f(x, df.asarray([0, 9], device=CUDA)).tolist() == [0.0, 18.0]


def test_dlpack_is_shared_with_other_libraries():
    x = df.arange(6, dtype="float32", device=CUDA)
    theirs = cupy().from_dlpack(x)
    theirs[0] = 5
    assert x[0].item() == 5.0
    torch = pytest.importorskip("torch")
    shown = torch.from_dlpack(x)
    shown[1] = 7
    assert df.from_dlpack(shown).tolist() == [5.0, 7.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("kind", ["memcheck", "racecheck"])
def test_the_sanitizer_finds_nothing(kind):
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        pytest.skip("compute-sanitizer is not installed")
    file = str(Path(__file__))
    forms = "(form_of_kernel and 9) or an_epilogue or attention_and_its or test_scatters"
    command = [tool, "--tool", kind, "--error-exitcode", "9", sys.executable, "-m", "pytest", "-q",
               "-x", file, "-k", forms]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-3000:]
