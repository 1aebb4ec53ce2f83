"""Eager tensors on a GPU: all of the way there but the hardware (see `gpu_stand_in`)."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("triton")

import gpu_stand_in
from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures

import dualflow as df
from dualflow import errors
from dualflow.ops import primitives as p

pytestmark = pytest.mark.usefixtures("gpu")


def test_there_and_back():
    x = df.asarray([[1.0, 2.0], [3.0, 4.0]])
    y = x.to("cuda")
    assert (x.device, y.device, y.to("cuda") is y) == ("cpu", "cuda:0", True)
    assert y.to("cpu").numpy().tolist() == y.tolist() == x.tolist()
    assert y.to(df.float64).device == "cuda:0"
    assert y.to("cuda:1").device == "cuda:1"
    assert y.to_device(df.device("cpu")).device == "cpu"
    assert "device=cuda:0" in repr(y)
    assert (y.sum().item(), bool(y.any()), float(y[0, 1])) == (10.0, True, 2.0)
    with pytest.raises(errors.DeviceError, match=r"there are 2, counted from 0"):
        x.to("cuda:2")
    with pytest.raises(errors.DeviceError, match=r'to\("cpu"\).numpy\(\)'):
        y.numpy()


def test_where_new_tensors_lie():
    assert df.zeros(2, device="cuda").device == "cuda:0"
    for make in (df.ones, df.arange, df.eye, lambda n, device: df.linspace(0, 1, n, device=device),
                 lambda n, device: df.full((n,), 3, device=device),
                 lambda n, device: df.asarray([n], device=device)):  # fmt: skip
        assert make(2, device="cuda").device == "cuda:0"
        assert make(2, device="cuda").tolist() == make(2, device="cpu").tolist()
    with df.device("cuda:1"):
        assert df.zeros(2).device == df.random.normal((2,)).device == "cuda:1"
        assert df.asarray(np.ones(2)).device == "cuda:1"
        with df.device("cpu"):
            assert df.zeros(2).device == "cpu"
        assert df.tensor([1.0]).device == "cuda:1"
    x = df.zeros((2, 2), device="cuda")
    assert df.zeros(2).device == "cpu"
    made = (df.ones_like(x), df.tril(x), df.softmax(x), df.diagonal(x), x[[0, 1]], df.nonzero(x)[0])
    assert {y.device for y in made} == {"cuda:0"}


def test_the_namespace_tells_devices():
    info = df.__array_namespace_info__()
    assert info.devices() == ["cpu", *(f"cuda:{i}" for i in range(df.cuda.device_count()))]
    assert df.cuda.device_count() > 0
    assert info.default_device() == "cpu"
    with df.device("cuda"):
        assert info.default_device() == "cuda:0"


def test_operands_on_several_devices_are_an_error_that_says_what_to_write():
    x, y, z = df.ones(3), df.ones(3, device="cuda"), df.ones(3, device="cuda:1")
    for mixed in (lambda: x + y, lambda: y * z, lambda: df.concat([y, x]), lambda: y @ x):
        with pytest.raises(errors.DeviceError, match=r"write instead: x\.to\('cuda"):
            mixed()
    with pytest.raises(errors.DeviceError, match="a write of tensors"):
        y[:] = x
    assert (y + df.asarray(2.0)).tolist() == [3.0] * 3  # single numbers are copied


def test_views_and_writes():
    x = df.arange(12, dtype="float32", device="cuda").reshape(3, 4)
    view = x[1:, ::2]
    view[0] = 5.0
    x[:, 3] = x[:, 0]
    x[x > 8.0] = -1.0
    x += 1
    assert x.tolist() == [[1, 2, 3, 1], [6, 6, 6, 6], [9, 0, 0, 9]]
    assert view.tolist() == [[6, 6], [9, 0]]
    assert x.T.tolist() == np.array(x.tolist()).T.tolist()
    with pytest.raises(errors.InPlaceError, match="read-only"):
        df.broadcast_to(df.ones(1, device="cuda"), (3,))[0] = 2.0


def test_indices_out_of_bounds_raise_as_on_the_cpu():
    x = df.arange(4, device="cuda")
    assert df.take(x, df.asarray([-1, 0], device="cuda")).tolist() == [3, 0]
    with pytest.raises(errors.IndexingError, match="index 4 for axis 0 of size 4"):
        x[df.asarray([4], device="cuda")]


def test_whole_numbers_of_64_bits_are_added_exactly():
    x = df.asarray([2**62, -5], device="cuda")
    places, values = df.asarray([1, 1, 0], device="cuda"), df.asarray([-(2**40), 3, 1]).to("cuda")
    found = p.scatter_add(x, places, values, axis=0)
    assert found.tolist() == [2**62 + 1, -5 - 2**40 + 3]


def test_ops_that_cupy_lacks_are_kernels_of_one_node():
    before = df.stats()["kernel_launches"]
    x = df.asarray([0.5, -1.0, 2.0], device="cuda")
    np.testing.assert_allclose(df.erf(x).tolist(), df.erf(x.to("cpu")).tolist(), rtol=1e-6)
    n = df.asarray([7, -7, 8], device="cuda")
    assert (n // df.asarray([0, 2, 3], device="cuda")).tolist() == [0, -4, 2]
    assert df.stats()["kernel_launches"] == before + 2


def test_random_numbers_are_those_of_the_cpu():
    df.random.seed(3)
    on_cpu = [df.random.uniform((5,)), df.random.normal((2, 3))]
    df.random.seed(3)
    with df.device("cuda"):
        there = [df.random.uniform((5,)), df.random.normal((2, 3))]
    assert there[0].device == "cuda:0"
    assert there[0].tolist() == on_cpu[0].tolist()
    np.testing.assert_allclose(there[1].tolist(), on_cpu[1].tolist(), rtol=1e-6)


def test_gradients_flow_on_the_device_and_back_to_the_cpu():
    w = df.asarray([[1.0, -2.0], [0.5, 3.0]]).requires_grad_()
    x = df.asarray([[1.0, 2.0]], device="cuda")

    def loss(w: df.Tensor, x: df.Tensor) -> df.Tensor:
        y = df.softmax(df.tanh(x @ w), axis=-1)
        return (df.tril(y) * y[0, 1]).sum() + df.take(y, df.asarray([0], device=y.device)).sum()

    loss(w.to("cuda"), x).backward()
    assert w.grad.device == "cpu"
    expected = df.grad(loss)(w.detach(), x.to("cpu"))
    np.testing.assert_allclose(w.grad.tolist(), expected.tolist(), rtol=1e-6)
    there = df.grad(loss)(w.detach().to("cuda"), x)
    assert there.device == "cuda:0"
    np.testing.assert_allclose(there.tolist(), expected.tolist(), rtol=1e-6)


def test_copies_pickles_and_dlpack(gpu):  # noqa: F811
    x = df.asarray([1.0, 2.0], device="cuda:1")
    assert copy.deepcopy(x).device == pickle.loads(pickle.dumps(x)).device == "cuda:1"
    assert x.__dlpack_device__() == (2, 1)
    theirs = gpu.from_dlpack(x)
    mine = df.from_dlpack(theirs)
    assert mine.device == "cuda:1"
    mine[0] = 7.0
    assert x.tolist() == [7.0, 2.0]
    assert df.from_dlpack(theirs, device="cuda:0").device == "cuda:0"
    with pytest.raises(errors.SharingError):
        df.from_dlpack(theirs, device="cuda:0", copy=False)


def test_streams_events_and_memory():
    x = df.ones((1000,), device="cuda")
    stream, event = df.cuda.Stream(), df.cuda.Event()
    with stream:
        y = x + 1
        event.record()
    df.cuda.Stream().wait(event)
    event.synchronize()
    df.synchronize("cuda")
    df.synchronize()
    assert y[0].item() == 2.0
    assert df.cuda.memory_stats("cuda")["used"] >= 8000
    summary = df.cuda.memory_summary("cuda")
    assert "2 x float32[1000]: 0.0 MB" in summary
    assert df.cuda.pin(df.ones(3)).to("cuda").tolist() == [1.0] * 3
    assert (df.cuda.is_available(), df.cuda.device_count()) == (True, 2)


def test_without_memory_left_the_error_names_the_tensors_that_are_held(monkeypatch):
    held = df.ones((1 << 16,), device="cuda")
    used = sum(memory.size for memory in gpu_stand_in.Memory.live)
    monkeypatch.setattr(gpu_stand_in.Memory, "limit", used + 1000)
    with pytest.raises(errors.OutOfMemoryError, match=r"1 x float32\[65536\]: 0.3 MB"):
        held + 1
    with pytest.raises(MemoryError, match="no memory left"):
        df.zeros((1 << 16,), device="cuda")
    there = df.arange(1 << 16)
    double = df.compile(lambda x: x * 2, wait=True)
    for ask in (lambda: df.erf(held), lambda: df.scatter_add(held, held.astype("int64"), held),
                lambda: there.to("cuda"), lambda: double(held)):  # fmt: skip
        with pytest.raises(errors.OutOfMemoryError, match=r"tensors hold\s+1 x float32\[65536\]"):
            ask()


def test_what_is_wrong_with_a_machine_is_said(gpu, monkeypatch):  # noqa: F811
    runtime = gpu.cuda.runtime

    def fail(message: str):
        def call() -> int:
            raise runtime.CUDARuntimeError(message)

        return call

    def error_of(count, version=13000) -> str:
        gpu_stand_in.forget()
        monkeypatch.setattr(runtime, "getDeviceCount", count)
        monkeypatch.setattr(runtime, "driverGetVersion", lambda: version)
        with pytest.raises(errors.DeviceError) as raised:
            df.zeros(2, device="cuda")
        return str(raised.value)

    old = fail("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
    assert "there is no NVIDIA driver" in error_of(old, 0)
    assert "its driver knows CUDA 11.8, CuPy was built for 13.0" in error_of(old, 11080)
    assert "the driver finds none" in error_of(lambda: 0)
    assert df.ones(2).sum().item() == 2.0  # the CPU goes on
