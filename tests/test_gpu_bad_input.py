"""What may be wrong with a GPU or its software: a clear error or a counted fallback, and the
process works on on the CPU. More of it stands in `test_gpu_eager.py` and `test_gpu_compiled.py`."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton")

import gpu_stand_in
from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from test_gpu_compiled import chain_of, launchers_of

import dualflow as df
from dualflow import errors
from dualflow.pipeline import compile_graph
from dualflow.runtime.gpu import compile as gpu_compile
from dualflow.runtime.gpu import gemm

pytestmark = pytest.mark.usefixtures("gpu")


@pytest.fixture(autouse=True)
def goes_on():
    """After each of these the CPU computes."""
    yield
    assert (df.ones((2, 3)) @ df.ones((3, 2))).sum().item() == 12.0
    f = df.compile(lambda x: df.tanh(x) + 1, wait=True)
    assert f(df.zeros(3)).tolist() == f(df.zeros(3)).tolist() == [1.0] * 3


def square(x: Any) -> Any:
    return df.exp(x @ x) + 1


def test_without_cupy_the_error_says_what_to_install(monkeypatch):
    gpu_stand_in.forget()
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(errors.DeviceError, match=r"CuPy cannot be imported[\s\S]*dualflow\[gpu\]"):
        df.ones(2, device="cuda")
    assert not df.cuda.is_available()
    assert df.cuda.device_count() == 0


def test_without_cuda_bindings_cupy_runs_every_operation_and_it_is_counted(monkeypatch):
    x = df.eye(3, device="cuda")
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    f = df.compile(square, wait=True)
    with pytest.raises((errors.DeviceError, errors.CompileError), match="cuda-bindings"):
        [f(x) for _ in range(2)]
    with df.config(on_compiler_error="eager"):
        f = df.compile(lambda x: square(x) * 2, wait=True)
        before = df.stats()["compiler_errors"]
        found = [f(x).tolist() for _ in range(2)][1]
        assert df.stats()["compiler_errors"] > before
    np.testing.assert_allclose(found, 2 * (np.exp(np.eye(3)) + 1), rtol=1e-6)


def test_without_triton_programs_are_left_to_cupy(monkeypatch):
    def fail(*_: Any) -> None:
        raise ImportError("No module named 'triton'")

    monkeypatch.setattr(gpu_compile, "compile_text", fail)
    x = df.eye(3, device="cuda")
    f = df.compile(lambda x: df.exp(x) * 5, wait=True)
    with pytest.raises(errors.CompileError, match="No module named 'triton'"):
        [f(x) for _ in range(2)]
    with df.config(on_compiler_error="eager"):
        f = df.compile(lambda x: df.exp(x) * 7, wait=True)
        assert f(x).tolist() == f(x).tolist()
        q = df.ones((1, 1, 4, 16), device="cuda")
        before = df.stats()["compiler_errors"]
        assert df.scaled_dot_product_attention(q, q, q).tolist() == q.tolist()
        assert df.stats()["compiler_errors"] == before + 1
    with pytest.raises(errors.CompileError):
        df.scaled_dot_product_attention(q, q, q)


def test_a_template_that_cannot_be_compiled_is_not_taken(monkeypatch):
    compile_text = gpu_compile.compile_text

    def fail(text: Any, *args: Any) -> Any:
        if "tl.dot" in text.source:
            raise RuntimeError("out of resource")
        return compile_text(text, *args)

    monkeypatch.setattr(gpu_compile, "compile_text", fail)
    x = df.eye(20, device="cuda")
    f = df.compile(lambda x: df.exp(x @ x) - 3, wait=True)
    for _ in range(4):
        found = f(x)
    np.testing.assert_allclose(found.tolist(), np.exp(np.eye(20)) - 3, rtol=1e-6)
    assert "run by the library and kernels" in f.explain(x)


@pytest.mark.parametrize("word", ["CUDA_ERROR_ILLEGAL_ADDRESS", "CUDA_ERROR_LAUNCH_FAILED",
                                  "CUDA_ERROR_ECC_UNCORRECTABLE"])  # fmt: skip
def test_a_device_that_stopped_is_told(monkeypatch, word):
    class Status(int):
        name = word

    x = df.eye(3, device="cuda")
    program = compile_graph(chain_of(3), device="cuda:0").result()
    monkeypatch.setattr(launchers_of(program)[0], "_launch", lambda *_: (Status(700),))
    before = df.stats()["device_errors"]
    with pytest.raises(errors.DeviceError, match=r"the GPU stopped[\s\S]*a new process"):
        program.run([x.array[0]])
    assert df.stats()["device_errors"] == before + 1


def test_a_lost_device_is_told_by_what_waits_for_it(gpu, monkeypatch):  # noqa: F811
    def fail(*_: Any) -> None:
        raise gpu.cuda.runtime.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access")

    monkeypatch.setattr(gpu_stand_in.Device, "synchronize", fail)
    with pytest.raises(errors.DeviceError, match="the GPU stopped"):
        df.synchronize("cuda")
    monkeypatch.setattr(gpu, "asnumpy", fail, raising=False)
    with pytest.raises(errors.DeviceError, match="the GPU stopped"):
        df.ones(2, device="cuda").to("cpu")


def test_a_product_that_cublas_refuses_is_counted_and_python_runs(monkeypatch):
    x = df.eye(3, device="cuda")
    f = df.compile(lambda x: (x @ x).T @ x, wait=True)
    f(x)
    monkeypatch.setattr(gemm.cublas(), "cublasGemmStridedBatchedEx", lambda *_: 13)
    before = df.stats()["device_errors"]
    assert f(x).tolist() == np.eye(3).tolist()
    assert df.stats()["device_errors"] == before + 1
    assert f.stats()["replays"] == 0


@pytest.mark.parametrize("word", ["CUDA_ERROR_INVALID_IMAGE", "CUDA_ERROR_NO_BINARY_FOR_GPU"])
def test_machine_code_that_the_driver_does_not_take_is_left_to_cupy(monkeypatch, word):
    class Status(int):
        name = word

    driver = sys.modules["cuda.bindings"].driver
    monkeypatch.setattr(driver, "cuModuleLoadData", lambda code: (Status(200),))
    x = df.arange(3, dtype="float32", device="cuda")
    with df.config(on_compiler_error="eager"):
        f = df.compile(lambda x: x * 2 + 1, wait=True)
        before = df.stats()["compiler_errors"]
        assert [f(x).tolist() for _ in range(2)] == [[1.0, 3.0, 5.0]] * 2
        assert df.stats()["compiler_errors"] > before
    g = df.compile(lambda x: x * 3 + 1, wait=True)
    with pytest.raises((errors.DeviceError, errors.CompileError), match="an older triton"):
        [g(x) for _ in range(2)]


def test_without_the_drivers_library_the_error_is_ours(monkeypatch):
    class DynamicLibNotFoundError(RuntimeError):
        pass

    def fail(*_: Any) -> None:
        raise DynamicLibNotFoundError('"cuda" is an NVIDIA driver library')

    x = df.eye(3, device="cuda")
    program = compile_graph(chain_of(3), device="cuda:0").result()
    monkeypatch.setattr(launchers_of(program)[0], "_launch", fail)
    with pytest.raises(errors.DeviceError, match="NVIDIA driver library"):
        program.run([x.array[0]])


MAPS = """\
7f00-7f01 r-xp 0000 08:01 12 /opt/a b/nvidia/cublas/lib/libcublas.so.12
7f02-7f03 r-xp 0000 08:01 13 /opt/a b/nvidia/cu13/lib/libcublas.so.13
7f04-7f05 r-xp 0000 08:01 14 /opt/a b/nvidia/cu13/lib/libcublasLt.so.13
""".splitlines()


def test_of_several_versions_of_cublas_the_one_of_cupy_is_called():
    found = [gemm.path_of_cublas(MAPS, major) for major in (12, 13)]
    assert found == ["/opt/a b/nvidia/cublas/lib/libcublas.so.12",
                     "/opt/a b/nvidia/cu13/lib/libcublas.so.13"]  # fmt: skip
    assert gemm.path_of_cublas(MAPS[2:], 13) is None


def test_cublas_that_cannot_begin_is_told(monkeypatch):
    monkeypatch.setattr(gemm.cublas(), "cublasCreate_v2", lambda made: 3)
    x = df.eye(3, device="cuda")
    program = df.compile(lambda x: (x @ x).T @ x, wait=True)
    before = df.stats()["device_errors"]
    for _ in range(2):
        assert program(x).tolist() == np.eye(3).tolist()
    assert df.stats()["device_errors"] > before
    with pytest.raises(errors.DeviceError, match="cuBLAS says 3 when it begins"):
        gemm.handle()


def test_a_failed_check_leaves_what_a_step_replaces_as_it_was():
    table = df.asarray(np.arange(12, dtype=np.float32).reshape(4, 3)).to("cuda")

    def step(table: Any, i: Any) -> Any:
        picked = df.take(table, i, axis=0)
        table *= 0.5
        return picked.sum()

    f = df.compile(step, wait=True)
    good = df.asarray([0, 3], device="cuda")
    for _ in range(3):
        f(table, good)
    assert f.stats()["replays"] >= 1
    before = table.tolist()
    with pytest.raises(errors.IndexingError):
        f(table, df.asarray([0, 9], device="cuda"))
    assert table.tolist() == before
    assert f(table, good).item() == pytest.approx(sum(before[0]) + sum(before[3]))
