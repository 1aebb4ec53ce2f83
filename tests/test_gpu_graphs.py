"""CUDA graphs of the stretches of a program, and what the host pays for a replay."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton")

import gpu_stand_in
from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from test_gpu_compiled import counted, matrix

import dualflow as df
from dualflow.runtime.gpu import program

pytestmark = pytest.mark.usefixtures("gpu")


def softmax_twice(x: df.Tensor) -> tuple[df.Tensor, df.Tensor]:
    y = df.softmax(x, axis=1)
    return y, (y * y).sum(axis=0)


def around_a_sort(x: df.Tensor) -> tuple[df.Tensor, ...]:
    """Kernels, an op that no graph holds, and kernels that read and write the same results."""
    y, sums = softmax_twice(x)
    ordered = df.sort(y, axis=1)
    return (y, *softmax_twice(ordered * sums), ordered)


def test_what_lies_between_calls_of_libraries_is_a_graph_each():
    f, x = df.compile(around_a_sort, wait=True), matrix(4, 30)
    there = x.to("cuda")
    for _ in range(2):
        f(there)
    gpu_stand_in.Memory.reuse = {}
    try:
        for _ in range(4):
            f(there)
        moved = counted("graph_launches replays library_calls", lambda: f(there))
    finally:
        gpu_stand_in.Memory.reuse = None
    assert moved == [2, 1, 1]
    for one, other in zip(f(there), around_a_sort(x), strict=True):
        np.testing.assert_allclose(one.tolist(), other.tolist(), rtol=1e-5)


def test_results_that_several_stretches_write_are_whole_wherever_they_lie():
    f, x = df.compile(around_a_sort, wait=True), matrix(4, 30)
    kept = []
    for scale in range(1, 9):  # results are held, so they lie elsewhere at each call
        kept.append((scale, f((x * float(scale)).to("cuda"))))
    assert counted("graph_launches", lambda: f(x.to("cuda"))) == [2]
    for scale, found in kept:
        for one, other in zip(found, around_a_sort(x * float(scale)), strict=True):
            np.testing.assert_allclose(one.tolist(), other.tolist(), rtol=1e-5)


def test_calls_on_two_streams_share_no_memory(gpu, monkeypatch):  # noqa: F811
    """What the one still computes must not be overwritten by the other."""
    ran: list[tuple[int, Any]] = []
    work_on = program.work_on

    def noted(stream, arrays, status):
        ran.append((stream, arrays[-1].data.ptr))
        return work_on(stream, arrays, status)

    monkeypatch.setattr(program, "work_on", noted)
    x = matrix(6, 8).to("cuda")
    f = df.compile(around_a_sort, wait=True)
    streams = df.cuda.Stream(), df.cuda.Stream()
    for _ in range(3):
        for stream in streams:
            with stream:
                found = f(x)
    arenas = {stream: {arena for one, arena in ran if one == stream} for stream, _ in ran}
    assert len(arenas) == 2
    assert not set.intersection(*arenas.values())
    assert all(len(each) == 1 for each in arenas.values())
    for one, other in zip(found, around_a_sort(x.to("cpu")), strict=True):
        np.testing.assert_allclose(one.tolist(), other.tolist(), rtol=1e-5)


def test_the_host_pays_for_a_replay_not_for_its_kernels(gpu, monkeypatch):  # noqa: F811
    """Pure host cost of a replay: CuPy's and the driver's functions do nothing."""

    def microseconds(rounds: int) -> float:
        @df.compile(wait=True)
        def f(x):
            for axis in (0, 1) * rounds:
                x = x - df.max(x, axis=axis, keepdims=True)
            return x

        made = x = df.ones((4, 4), device="cuda")
        for _ in range(6):
            made = f(x)
        array, stream, found = made.array, gpu.cuda.get_current_stream(), []
        with monkeypatch.context() as patch:
            patch.setattr(gpu, "empty", lambda shape, dtype: array, raising=False)
            patch.setattr(gpu.cuda, "get_current_stream", lambda: stream)
            patch.setattr(gpu_stand_in.Graph, "launch", lambda self, stream: None)
            for _ in range(6):
                f(x)
            before = df.stats()["graph_launches"]
            for _ in range(15):
                start = time.perf_counter()
                for _ in range(100):
                    f(x)
                found.append((time.perf_counter() - start) / 100)
        assert df.stats()["graph_launches"] == before + 1500
        return min(found) * 1e6

    gpu_stand_in.Memory.reuse = {}
    try:
        few, many = microseconds(1), microseconds(20)
    finally:
        gpu_stand_in.Memory.reuse = None
    assert many < 2 * few
    assert many < 60  # 6 where nothing else runs


def test_a_function_of_tensors_of_the_cpu_is_a_native_call_where_there_is_a_gpu():
    x = matrix(3, 4)
    f = df.compile(lambda x: df.tanh(x) * 2, wait=True)
    f(df.ones(2, device="cuda"))
    for _ in range(4):
        f(x)
        f(x.to("cuda"))
    assert f(x).device == "cpu"
    assert f(x.to("cuda")).device == "cuda:0"
    np.testing.assert_allclose(f(x.to("cuda")).tolist(), f(x).tolist(), rtol=1e-6)
    assert f.stats()["eager_calls"] == 0
