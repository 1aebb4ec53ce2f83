"""Compiled functions on a GPU: recorded, planned, emitted, launched, all but the hardware."""

from __future__ import annotations

import re
import sys
import time

import numpy as np
import pytest

pytest.importorskip("triton")

import gpu_stand_in
from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from schedule_graphs import Builder

import dualflow as df
from dualflow import errors, pipeline
from dualflow.ir.graph import Graph
from dualflow.ops import primitives as p
from dualflow.pipeline import compile_graph
from dualflow.runtime import helper
from dualflow.runtime.gpu import compile as gpu_compile
from dualflow.runtime.gpu import launching

pytestmark = pytest.mark.usefixtures("gpu")


def counted(names: str, call) -> list[int]:
    """How far counters move in a call."""
    before = df.stats()
    call()
    after = df.stats()
    return [after[name] - before[name] for name in names.split()]


def matrix(rows: int, columns: int, seed: int = 0) -> df.Tensor:
    return df.asarray(np.random.default_rng(seed).standard_normal((rows, columns), np.float32))


def test_a_compiled_function_replays_and_gives_the_cpus_values():
    @df.compile(wait=True)
    def f(x, w):
        y = df.softmax(x * 2.0 + w, axis=-1)
        return y, y.sum(axis=0), df.argmax(x, axis=1)

    x, w = matrix(6, 40), matrix(1, 40, seed=1)[0]
    there = x.to("cuda"), w.to("cuda")
    f(*there)
    moved = counted("replays eager_calls co_executions kernel_launches", lambda: f(*there))
    assert moved[:3] == [1, 0, 0]
    assert moved[3] >= 1
    for found, expected in zip(f(*there), f(x, w), strict=True):
        assert found.device == "cuda:0"
        np.testing.assert_allclose(found.tolist(), expected.tolist(), rtol=2e-6)
    assert f.stats()["replays"] >= 2


def test_one_trace_for_each_device():
    f = df.compile(lambda x: x * 2 + 1, wait=True)
    x = df.arange(5, dtype="float32")
    on = [x, x.to("cuda:0"), x.to("cuda:1")]
    for _ in range(2):
        for y in on:
            assert f(y).device == y.device
            assert f(y).tolist() == [1.0, 3.0, 5.0, 7.0, 9.0]
    assert counted("recordings replays", lambda: [f(y) for y in on]) == [0, 3]


def test_where_new_tensors_lie_is_a_guard():
    f = df.compile(lambda: df.arange(4, dtype="float32") * 0.5, wait=True)
    for device in ("cpu", "cuda", "cpu", "cuda"):
        with df.device(device):
            assert f().device.startswith(device)
    with df.device("cuda"):
        assert counted("replays", f) == [1]


def test_a_device_may_be_used_within_a_call():
    @df.compile(wait=True)
    def f(n):
        with df.device("cuda"):
            return df.arange(4, dtype="float32") * n + 1

    for n in (2.0, 2.0, 2.0):
        assert f(n).device == "cuda:0"
    assert f(2.0).tolist() == [1.0, 3.0, 5.0, 7.0]
    assert f.stats()["replays"] >= 2


def test_parameters_are_updated_in_place_by_a_training_step():
    def train(device: str) -> list[list[float]]:
        w = matrix(8, 3).to(device).requires_grad_()
        x, y = matrix(5, 8, seed=1).to(device), df.asarray([0, 1, 2, 1, 0]).to(device)
        optimizer = df.optim.Adam([w], 0.1)

        @df.compile(wait=True)
        def step(x, y):
            loss = df.cross_entropy(x @ w, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        losses = [step(x, y).item() for _ in range(5)]
        assert step.stats()["replays"] >= 2
        assert w.device.startswith(device)
        return [losses, *w.tolist()]

    for found, expected in zip(train("cuda"), train("cpu"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_checks_raise_after_the_program_and_python_runs():
    f = df.compile(lambda x, i: df.take(x, i, axis=0) + 1, wait=True)
    x = matrix(4, 5).to("cuda")
    for _ in range(3):
        assert f(x, df.asarray([0, 3], device="cuda")).shape == (2, 5)
    with pytest.raises(errors.IndexingError, match="index 4 for axis 0 of size 4"):
        f(x, df.asarray([0, 4], device="cuda"))


def test_products_loops_and_calls_of_libraries():
    @df.compile(wait=True)
    def f(x):
        for _ in range(40):
            x = df.tanh(x @ x) * 0.5 + x
        return df.sort(x, axis=0), df.cumsum(x, axis=1)

    x = matrix(4, 4)
    f(x.to("cuda"))
    found = []
    moved = counted("replays host_fallbacks", lambda: found.extend(f(x.to("cuda"))))
    assert moved == [1, 0]
    for one, other in zip(found, f(x), strict=True):
        np.testing.assert_allclose(one.tolist(), other.tolist(), rtol=1e-5, atol=1e-6)


def test_random_numbers_in_a_program_are_those_of_the_cpu():
    f = df.compile(lambda x: x + df.random.uniform((3, 5)), wait=True)
    found = []
    for device in ("cpu", "cuda"):
        df.random.seed(11)
        with df.device(device):
            x = df.zeros((3, 5))
            found.append([f(x).tolist() for _ in range(3)])
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]


def test_draws_that_rest_on_sums_are_those_of_the_cpu():
    """Sums of floats differ with their order, so shares are summed as whole numbers."""
    rng = np.random.default_rng(0)
    weights = df.asarray(rng.uniform(1e-6, 1, 3000) ** 4)

    def draw(weights):
        chosen = df.random.choice(3000, (40,), probabilities=weights)
        return chosen * 2, df.random.dirichlet(weights[:70] + 0.1, (3,)) * 2

    found = []
    for device in ("cpu", "cuda"):
        f = df.compile(draw, wait=True)
        given = weights.to(device)
        for _ in range(3):
            df.random.seed(5)
            with df.device(device):
                found.append([x.tolist() for x in f(given)])
    assert found[1:] == found[:-1]
    assert f.stats()["replays"] == 2
    with df.device("cuda"):
        sums = re.findall(r"p\.(?:cumsum|sum)\(.*# (\w+)", f.explain(given))
    assert set(sums) == {"int64"}


def test_programs_are_planned_behind_the_call(monkeypatch):
    """CuPy runs the function until the helper process has planned it and kernels are there."""
    monkeypatch.setattr(helper, "_PAUSE", 0.0)

    def plan(*given):
        raise AssertionError("planned in this process")

    monkeypatch.setattr(pipeline, "plan", plan)
    x = matrix(4, 5)
    f = df.compile(lambda x: df.tanh(x) * 3.0 + x.sum(axis=0))
    there, wanted = x.to("cuda"), (df.tanh(x) * 3.0 + x.sum(axis=0)).tolist()
    deadline = time.monotonic() + 60
    while not f.stats()["replays"]:
        assert time.monotonic() < deadline, f.explain()
        np.testing.assert_allclose(f(there).tolist(), wanted, rtol=1e-5)
        time.sleep(0.01)


def test_programs_become_graphs_when_addresses_repeat():
    x = matrix(4, 30).to("cuda")

    @df.compile(wait=True)
    def f(x):
        y = df.softmax(x, axis=1)
        return (y * y).sum(axis=0)

    expected = f(x.to("cpu")).tolist()
    kept = [f(x) for _ in range(2)]  # held: the outputs lie elsewhere each time
    assert counted("graph_launches", lambda: kept.append(f(x))) == [0]
    kept.append(f(x))  # from here on a graph with memory of its own, from which outputs are copied
    assert counted("graph_launches", lambda: kept.append(f(x * 2))) == [1]
    assert counted("graph_launches", lambda: kept.append(f(x))) == [1]
    np.testing.assert_allclose(kept[-2].tolist(), f(x.to("cpu") * 2).tolist(), rtol=1e-5)
    for made in (*kept[:-2], kept[-1]):  # none of them is memory of another
        np.testing.assert_allclose(made.tolist(), expected, rtol=1e-5)
    held = gpu_stand_in.Memory.reuse = {}
    try:
        for _ in range(3):
            f(x)
        moved = counted("graph_launches kernel_launches", lambda: kept.append(f(x)))
        assert moved == [1, 2]
        x[0] = 3.0  # the same address, other values
        kept.append(f(x))
    finally:
        gpu_stand_in.Memory.reuse = None
    assert held
    np.testing.assert_allclose(kept[-2].tolist(), expected, rtol=1e-5)
    np.testing.assert_allclose(kept[-1].tolist(), f(x.to("cpu")).tolist(), rtol=1e-5)


def test_machine_code_comes_from_the_disk_cache_without_triton(monkeypatch):
    x = matrix(3, 20).to("cuda")
    make = lambda: df.compile(lambda x: df.exp(x) * 3, wait=True)  # noqa: E731
    assert counted("kernels_compiled kernels_loaded", lambda: make()(x)) == [1, 0]
    gpu_stand_in.forget()
    monkeypatch.setattr(gpu_compile, "compile_text", None)
    f = make()
    before = {name for name in sys.modules if name.partition(".")[0] == "triton"}
    names = "kernels_compiled kernels_loaded plans_loaded"
    assert counted(names, lambda: f(x)) == [0, 1, 1]
    assert before == {name for name in sys.modules if name.partition(".")[0] == "triton"}
    np.testing.assert_allclose(f(x).tolist(), (np.exp(x.to("cpu").numpy()) * 3).tolist(), rtol=1e-6)


def test_a_tensor_that_moves_within_a_call_is_never_stale():
    @df.compile(wait=True)
    def f(x):
        return (x.to("cuda") * 2).to("cpu") + 1

    for value in (1.0, 2.0, 5.0):
        assert f(df.asarray([value, 0.0])).tolist() == [2 * value + 1, 1.0]


def test_a_gpu_too_old_for_kernels_runs_eagerly_and_counts_it(monkeypatch):
    monkeypatch.setattr(gpu_stand_in.Device, "compute_capability", "70")
    f = df.compile(lambda x: x * 2 + 1, wait=True)
    x = df.arange(3, dtype="float32", device="cuda")
    with df.config(on_compiler_error="eager"):
        moved = counted("compiler_errors", lambda: [f(x), f(x)])
        assert moved[0] >= 1
        assert f(x).tolist() == [1.0, 3.0, 5.0]
    with pytest.raises((errors.DeviceError, errors.CompileError), match="capability 7"):
        df.compile(lambda x: x * 3 + 1, wait=True)(x)


def test_a_kernel_that_needs_too_much_shared_memory_is_left_to_cupy(monkeypatch):
    monkeypatch.setattr(
        sys.modules["cuda.bindings"].driver, "cuFuncSetAttribute",
        lambda *_: (gpu_stand_in.Result.CUDA_ERROR_INVALID_VALUE,),
    )  # fmt: skip
    x = df.arange(3, dtype="float32", device="cuda")
    with df.config(on_compiler_error="eager"):
        f = df.compile(lambda x: x * 2 + 1, wait=True)
        assert counted("compiler_errors", lambda: [f(x), f(x)])[0] >= 1
        assert f(x).tolist() == [1.0, 3.0, 5.0]
    g = df.compile(lambda x: x * 3 + 1, wait=True)
    with pytest.raises((errors.DeviceError, errors.CompileError), match="shared memory"):
        [g(x) for _ in range(2)]


def test_a_launch_that_fails_says_what_cuda_said():
    x = df.arange(3, dtype="float32", device="cuda")
    program = compile_graph(chain_of(3), device="cuda:0").result()
    lost = gpu_stand_in.Result.CUDA_ERROR_INVALID_VALUE
    for launcher in launchers_of(program):
        launcher._launch = lambda *_: (lost,)
    with pytest.raises(errors.DeviceError, match="launching a kernel: CUDA_ERROR_INVALID_VALUE"):
        program.run([x.array])
    assert df.ones(2).sum().item() == 2.0  # the CPU goes on


def chain_of(n: int) -> Graph:
    b = Builder()
    x = b.tensor(n)
    return b.build([b(p.add, x, x)])


def launchers_of(program) -> list[launching.Launcher]:
    return [one for step in program._steps for one in step._launchers.values()]


def test_texts_that_differ_in_dtypes_alone_are_compiled_apart():
    f = df.compile(lambda x: df.abs(x), wait=True)
    for dtype in ("int8", "int32", "float32"):
        x = df.asarray([-3, 2], dtype=dtype, device="cuda")
        for _ in range(2):
            assert f(x).tolist() == [3, 2]
