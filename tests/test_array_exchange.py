"""Memory shared with other libraries: DLPack, `__array__`, buffers; devices; one boolean."""

from __future__ import annotations

import array as buffers

import numpy as np
import pytest

import dualflow as df
from dualflow.base import errors

DTYPES = ["bool", "int8", "uint16", "int64", "float16", "float32", "float64", "complex64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_shares_memory_with_numpy_both_ways(dtype):
    t = df.zeros((2, 3), dtype)[:, ::2]
    shown = np.from_dlpack(t)
    assert (shown.shape, shown.dtype, shown.strides) == (t.shape, t.dtype, t.numpy().strides)
    shown[1, 1] = 1
    assert t.tolist()[1][1] == 1
    memory = np.zeros((2, 3), dtype)[:, ::2]
    back = df.from_dlpack(memory)
    memory[0, 1] = 1
    back[1, 0] = True if dtype == "bool" else 1
    assert back.tolist()[0][1] == 1
    assert memory[1, 0] == 1
    assert back._memory().exposed
    assert t._memory().exposed


def test_dlpack_takes_the_arguments_of_its_standard():
    t = df.tensor([1.0, 2.0])
    assert t.__dlpack_device__() == (1, 0)
    assert type(t.__dlpack__(max_version=(1, 0), dl_device=(1, 0))).__name__ == "PyCapsule"
    copied = df.tensor([1.0, 2.0])
    copied.__dlpack__(copy=True)
    assert not copied._memory().exposed
    for options in ({"stream": 1}, {"dl_device": (2, 0)}):
        with pytest.raises(errors.SharingError, match="float32 by DLPack"):
            t.__dlpack__(**options)
    wide = df.broadcast_to(t, (3, 2))
    with pytest.raises(BufferError, match="readonly"):
        wide.__dlpack__()
    assert not np.from_dlpack(wide).flags.writeable


def test_from_dlpack_copies_when_asked():
    memory = np.arange(3.0)
    copied = df.from_dlpack(memory, copy=True)
    shared = df.from_dlpack(memory, copy=False, device="cpu")
    memory[0] = 9.0
    assert copied.tolist() == [0, 1, 2]
    assert shared.tolist() == [9, 1, 2]
    assert not copied._memory().exposed
    copied[0] = 5.0
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    with pytest.raises(errors.InPlaceError, match="read-only"):
        df.from_dlpack(frozen)[0] = 1.0


class Refuses:
    """An array on another device, whose library does not copy."""

    def __dlpack__(self, **options):
        raise BufferError("not from this device")

    def __dlpack_device__(self):
        return 2, 0


def test_from_dlpack_says_what_it_cannot_do():
    with pytest.raises(errors.DeviceError, match="cuda"):
        df.from_dlpack(np.zeros(2), device="cuda")
    with pytest.raises(errors.ArgumentError, match="a list without DLPack"):
        df.from_dlpack([1.0])
    with pytest.raises(errors.SharingError, match="Refuses by DLPack"):
        df.from_dlpack(Refuses(), device="cpu")
    with pytest.raises((errors.DeviceError, errors.SharingError), match=r"GPU|DLPack"):
        df.from_dlpack(Refuses())


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "uint16"])
def test_torch_shares_memory_both_ways(dtype):
    torch = pytest.importorskip("torch")
    t = df.zeros((2, 3), dtype)
    theirs = torch.from_dlpack(t)
    theirs[0, 1] = 1
    assert t.tolist()[0][1] == 1
    mine = df.from_dlpack(theirs.mT)
    mine[2, 1] = True if dtype == "bool" else 1
    assert (theirs[1, 2].item(), mine.dtype) == (1, t.dtype)
    assert df.from_dlpack(theirs, copy=True).tolist() == theirs.tolist()
    shown = df.asarray(theirs)
    theirs[0, 0] = 1
    assert shown.tolist()[0][0] == 1


class Holder:
    """Shows an array of its own through `__array__`."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_what_numpy_shows_as_an_array_is_adopted():
    for values in (np.arange(3), np.arange(3.0)):
        t = df.asarray(Holder(values))
        values[0] = 7
        assert (t.tolist(), t.dtype) == ([7, 1, 2], values.dtype)
        assert t._memory().exposed
        assert df.tensor(Holder(values))._memory().exposed is False
    memory = bytearray(b"ab")
    t = df.asarray(memory)
    memory[0] = 0
    assert (t.tolist(), t.dtype) == ([0, 98], df.uint8)
    assert df.asarray(buffers.array("d", [1.5])).dtype == df.float64
    with pytest.raises(errors.DTypeError):
        df.asarray(Holder(np.array(["a"])))


def test_a_compiled_call_sees_what_an_adopted_memory_holds():
    values = np.arange(3.0)
    t = df.asarray(Holder(values))
    double = df.compile(lambda x: x * 2, wait=True)
    double(t)
    values[0] = 5.0
    assert double(t).tolist() == [10, 2, 4]
    assert double.stats()["replays"] == 1


def test_the_device_is_cpu():
    t = df.ones(2)
    assert t.device == "cpu"
    assert t.to_device("cpu") is t
    with pytest.raises(errors.DeviceError, match="cuda"):
        t.to_device("cuda")
    with pytest.raises(errors.DeviceError, match="stream"):
        t.to_device("cpu", stream=1)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
@pytest.mark.parametrize("truth", [True, False])
def test_one_boolean_selects_along_a_new_axis(shape, truth):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    mask = np.asarray(truth)
    t = df.tensor(values)
    np.testing.assert_array_equal(t[df.asarray(mask)].numpy(), values[mask])
    t[df.asarray(mask)] = 7.0
    values[mask] = 7.0
    np.testing.assert_array_equal(t.numpy(), values)


# NumPy's functions called on tensors -------------------------------------------------------------


def test_ufuncs_of_tensors_are_dualflow_functions():
    x = df.tensor([0.25, 0.5], requires_grad=True)
    y = np.exp(x) * np.ones(2, np.float32)
    assert type(y) is df.Tensor
    assert y.dtype == df.float32
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.exp(x).numpy())
    for name in ("arctan", "absolute", "conj", "isnan", "invert", "matmul", "true_divide"):
        given = (df.asarray([1, 2]),) * getattr(np, name).nin
        assert type(getattr(np, name)(*given)) is df.Tensor, name
    twos = np.full(2, 2.0, np.float32)
    assert (twos < x).tolist() == [False, False]
    assert (twos @ x).item() == 1.5
    assert np.divmod(df.asarray([7]), df.asarray([2]))[1].tolist() == [1]


def test_an_array_takes_a_tensor_in_place():
    array = kept = np.arange(3.0)
    array += df.ones(3)
    np.multiply(array, df.full((3,), 2.0), out=array)
    assert array is kept
    assert array.tolist() == [2.0, 4.0, 6.0]


def test_other_functions_of_numpy_see_the_arrays_of_tensors():
    x = df.asarray([[1.0, 2.0], [3.0, 5.0]])
    assert np.sum(x) == 11.0
    assert np.mean(x, axis=0).tolist() == [2.0, 3.5]
    assert (np.max(x), np.ptp(x), bool(np.any(x)), np.std(x) > 1) == (5.0, 4.0, True, True)
    assert np.concatenate([x, np.ones((1, 2))]).shape == (3, 2)
    assert np.add.reduce(x).tolist() == [4.0, 7.0]
    assert np.heaviside(x, 0.5).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    for found in (np.mean(x, axis=0), np.transpose(x), np.add.outer(x, x), np.heaviside(x, 0.5)):
        assert type(found) is np.ndarray


def test_they_mean_the_same_in_a_compiled_function():
    def mixed(array, x):
        kept = array
        array += np.square(x)
        return array is kept, np.sum(x), array * x, np.isnan(x).any()

    compiled = df.compile(mixed, wait=True)
    for k in range(3):
        x = df.asarray([float(k), 1.0])
        first, second = np.ones(2), np.ones(2)
        wanted, found = mixed(first, x), compiled(second, x)
        assert [str(value) for value in found] == [str(value) for value in wanted]
        assert found[0]
        np.testing.assert_array_equal(first, second)
    assert compiled.stats()["eager_calls"] == 0
