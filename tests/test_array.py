"""Tensor: making, reading, operators, views, indexing, writing, exchange with other libraries."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import dualflow as df
from dualflow.base import errors

A = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
RNG = np.random.default_rng(1)
INTS = np.array([0, 2, -1])
COLUMN = np.array([[1], [2]])
MASK = A % 3 == 0
ROWS = np.array([True, False, True])
LAST = A[0] % 2 == 0

INDICES = {
    "int": 0, "negative": -1, "slice": slice(1, 3), "reversed": slice(None, None, -1),
    "steps back": slice(3, 0, -2), "none": None, "all": ..., "ints": (0, -1), "last": (..., 1),
    "column": (slice(None), 1), "new axes": (None, 0, ..., None), "empty": slice(5, 1),
    "before the first": slice(-9, 0, -1), "list": [0, 2], "array": INTS, "grid": COLUMN,
    "pairs": (INTS, INTS), "apart": (INTS, slice(None), INTS), "int apart": (0, slice(None), INTS),
    "beside int": (slice(None), 0, INTS), "int after": (slice(None), INTS, 0),
    "broadcast": (slice(None), COLUMN, INTS), "none between": (COLUMN, None, INTS),
    "mask": MASK, "rows": ROWS, "last mask": (slice(None), LAST), "mask after dots": (..., LAST),
    "mask and ints": (ROWS, slice(None), INTS[:2]), "rows and dots": (ROWS, ...),
    "dots and ints": (..., INTS), "in the middle": (..., INTS, slice(1, 2)),
    "numpy integer": np.int64(1), "one number": np.array(1), "nothing": [],
    "none after": (INTS, None), "between ints": (0, INTS, 1), "booleans": ([True, False, True], 0),
}  # fmt: skip


def as_tensors(index):
    if isinstance(index, tuple):
        return tuple(map(as_tensors, index))
    return df.asarray(index) if isinstance(index, np.ndarray) else index


@pytest.mark.parametrize("convert", [lambda i: i, as_tensors], ids=["arrays", "tensors"])
@pytest.mark.parametrize("name", INDICES)
def test_indexing_is_numpys(name: str, convert):
    index = INDICES[name]
    wanted = A[index]
    found = df.tensor(A)[convert(index)]
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(found.numpy(), wanted)
    for value in (7.0, RNG.random(wanted.shape).astype(np.float32)):
        array, t = A.copy(), df.tensor(A)
        array[index] = value
        t[convert(index)] = value if isinstance(value, float) else df.asarray(value)
        np.testing.assert_array_equal(t.numpy(), array)
        array[index] += value
        t[convert(index)] += value if isinstance(value, float) else df.asarray(value)
        np.testing.assert_array_equal(t.numpy(), array)


BAD_INDICES = {
    "beyond": (3, "index 3 for axis 0 of size 3"),
    "before": (-4, "index -4"),
    "too many": ((0, 0, 0, 0), "4 indices"),
    "list beyond": ([7], "index 7"),
    "pair beyond": ((INTS, INTS + 2), "index 4"),
    "float": (1.5, "float"),
    "text": ("a", "str"),
    "float array": (np.array([1.5]), "float64"),
    "mask shape": (np.ones((2, 2), bool), "boolean index"),
    "two dots": ((..., ...), "two Ellipsis"),
    "bool": (True, "bool"),
}


@pytest.mark.parametrize("name", BAD_INDICES)
def test_bad_indices(name: str):
    index, text = BAD_INDICES[name]
    for act in (lambda t: t[index], lambda t: t.__setitem__(index, 0.0)):
        with pytest.raises(errors.IndexingError, match=text):
            act(df.tensor(A))


def test_views_share_memory():
    t = df.tensor(A)
    view = t[1:, ::-1].permute_dims(2, 0, 1).reshape(5, 2, 4)
    view[0, 1] = -1.0
    assert (t.numpy()[2, :, 0] == -1).all()
    t[2, 0, 0] = 5.0
    assert view[0, 1, 3].item() == 5
    assert view._storage is t._storage
    assert [op.name for op, _ in view._view] == ["slice", "permute", "reshape"]
    detached = t.detach()
    detached += 1.0
    assert t.numpy()[0, 0, 0] == 1
    copied = t.copy()
    copied += 1.0
    assert t.numpy()[0, 0, 0] == 1
    assert t._memory().version == 3


def test_in_place_keeps_memory_dtype_and_shape():
    t = df.tensor([1.0, 2.0])
    same = t
    array = t.numpy()
    t += 1
    t *= df.asarray([2.0, 3.0], "float64")
    t -= 1
    t /= 2
    t **= 2
    assert same is t
    assert array.tolist() == [2.25, 16.0]
    i, n = df.tensor([7, -7]), np.array([7, -7])
    for value in (i, n):
        value //= 2
        value %= 3
        value <<= 2
        value |= 1
        value ^= 2
        value &= 7
        value >>= 1
    assert i.tolist() == n.tolist()
    with pytest.raises(errors.DTypeError, match="storing float32 into int64"):
        i += 0.5
    with pytest.raises(errors.ShapeError, match="in-place"):
        t += df.ones((3, 2))
    m = df.tensor([[1.0, 2.0], [3.0, 4.0]])
    m @= df.asarray([[0.0, 1.0], [1.0, 0.0]])
    assert m.tolist() == [[2.0, 1.0], [4.0, 3.0]]


def test_writes_that_do_not_fit():
    t = df.tensor(A)
    with pytest.raises(errors.ShapeError):
        t[0] = df.ones(3)
    with pytest.raises(errors.DTypeError, match="storing float"):
        df.tensor([1, 2])[0] = 1.5
    with pytest.raises(errors.DTypeError, match="storing"):
        df.tensor([True])[0] = 2
    with pytest.raises(errors.InPlaceError, match="read-only"):
        df.broadcast_to(df.ones(1), (3,))[0] = 2.0
    frozen = np.zeros(2)
    frozen.flags.writeable = False
    with pytest.raises(errors.InPlaceError, match="read-only"):
        df.asarray(frozen)[0] = 1.0


OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "==", "!="]


@pytest.mark.parametrize("sign", OPERATORS)
def test_operators_with_tensors_scalars_and_arrays(sign: str):
    a = np.array([1.5, 2.0, 4.0], np.float32)
    b = np.array([0.5, 2.0, 3.0], np.float32)
    do = eval(f"lambda x, y: x {sign} y")
    t, u = df.asarray(a), df.asarray(b)
    for found, wanted in (
        (do(t, u), do(a, b)), (do(t, b), do(a, b)), (do(a, u), do(a, b)), (do(t, 2), do(a, 2)),
        (do(2, t), do(2, a)), (do(t, 2.0), do(a, 2.0)), (do(2.0, u), do(2.0, b)),
        (do(np.float32(3), u), do(np.float32(3), b)), (do(t, np.float32(3)), do(a, np.float32(3))),
    ):  # fmt: skip
        assert type(found) is df.Tensor
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found.numpy(), wanted, rtol=3e-7)


@pytest.mark.parametrize("sign", ["&", "|", "^", "<<", ">>"])
def test_operators_of_integers(sign: str):
    do = eval(f"lambda x, y: x {sign} y")
    a, b = np.array([6, 5, -9]), np.array([3, 1, 2])
    for found, wanted in (
        (do(df.asarray(a), df.asarray(b)), do(a, b)), (do(5, df.asarray(b)), do(5, b)),
        (do(df.asarray(a), 2), do(a, 2)),
    ):  # fmt: skip
        np.testing.assert_array_equal(found.numpy(), wanted)


def test_unary_operators_and_matmul():
    t = df.asarray([[1.0, -2.0], [3.0, 4.0]])
    assert (-t).tolist() == [[-1, 2], [-3, -4]]
    assert abs(t).tolist() == [[1, 2], [3, 4]]
    assert (+t).tolist() == t.tolist()
    assert (~df.asarray([True, False])).tolist() == [False, True]
    assert (t @ t).tolist() == (t.numpy() @ t.numpy()).tolist()
    assert (t.numpy() @ t).tolist() == (t.numpy() @ t.numpy()).tolist()
    with pytest.raises(TypeError):
        t + "a"
    with pytest.raises(TypeError):
        [1.0] + t  # noqa: RUF005


def test_what_a_tensor_is():
    t = df.tensor(A)
    assert (t.shape, t.dtype, t.ndim, t.size, t.device) == ((3, 4, 5), df.float32, 3, 60, "cpu")
    assert len(t) == 3
    assert [row.shape for row in t] == [(4, 5)] * 3
    assert t.mT.shape == (3, 5, 4)
    assert t[0].T.shape == (5, 4)
    with pytest.raises(errors.ShapeError, match="mT"):
        _ = t.T
    assert hash(t) != hash(df.tensor(A))
    assert 59.0 in t
    assert -1.0 not in t
    assert t.to("cpu") is t
    assert t.to("float64").dtype == df.float64
    with pytest.raises(errors.DeviceError, match="cuda"):
        t.to("cuda:0")
    assert t.__array_namespace__() is df
    with pytest.raises(AttributeError):
        t.shape = (60,)


def test_reading_values():
    assert df.tensor([2.5]).item() == 2.5
    assert type(df.tensor(2).item()) is int
    assert (bool(df.tensor(0.0)), int(df.tensor(2.7)), float(df.tensor(2))) == (False, 2, 2.0)
    assert [10, 20][df.tensor(1)] == 20
    assert df.tensor([[1, 2]]).tolist() == [[1, 2]]
    for act in (bool, int, float, lambda t: t.item()):
        with pytest.raises(errors.ShapeError, match=r"shape \(2,\)"):
            act(df.zeros(2))
    with pytest.raises(TypeError):
        [1][df.tensor(0.0)]
    with pytest.raises(TypeError):
        len(df.tensor(1.0))


def test_repr_shows_all():
    t = df.tensor([1.0, 2.0], requires_grad=True)
    assert repr(t) == "Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu, requires_grad=True)"
    assert f"{df.tensor([0.123456]):.3f} {df.tensor(3)}" == (
        "0.123 Tensor(3, shape=(), dtype=int64, device=cpu)"
    )
    with pytest.raises(errors.ShapeError, match="exactly one"):
        f"{t:.3f}"
    assert repr(df.tensor(3)) == "Tensor(3, shape=(), dtype=int64, device=cpu)"


def test_making():
    assert df.asarray([1.0, 2]).dtype == df.float32
    assert df.asarray([1, 2]).dtype == df.int64
    assert df.asarray([True]).dtype == df.bool
    assert df.asarray(2.0).shape == ()
    assert df.asarray([1, 2], "int8").dtype == df.int8
    assert df.asarray([np.float64(1.0)]).dtype == df.float64
    array = np.zeros(3)
    adopted = df.asarray(array)
    adopted[0] = 1.0
    assert array[0] == 1
    assert adopted._memory().exposed
    copied = df.asarray(array, copy=True)
    copied[0] = 2.0
    assert array[0] == 1
    assert not copied._memory().exposed
    big_endian = df.asarray(np.array([1, 2], ">i4"))
    assert (big_endian.dtype, big_endian.tolist()) == (df.int32, [1, 2])
    t = df.tensor([1.0])
    assert df.asarray(t) is t
    assert not t._memory().exposed
    t.numpy()
    assert t._memory().exposed


def test_copies_and_devices_that_are_not_allowed():
    for value in ([1.0], np.zeros(2, ">f4"), np.zeros((2, 2), "f4,i2")["f0"]):
        with pytest.raises(errors.SharingError, match="without a copy"):
            df.asarray(value, copy=False)
    with pytest.raises(errors.SharingError, match="without a copy"):
        df.asarray(df.zeros(2), "int8", copy=False)
    assert df.asarray(np.zeros(2), copy=False).shape == (2,)
    for make in (df.zeros, df.ones, df.arange, lambda n, device: df.asarray([n], device=device)):
        assert make(2, device="cpu").device == "cpu"
        with pytest.raises(errors.DeviceError, match="cuda"):
            make(2, device="cuda")


BAD_VALUES = {
    "ragged": ([[1, 2], [3]], errors.ShapeError, "unequal"),
    "text": (["a"], errors.DTypeError, "dtype"),
    "object": (object(), errors.ArgumentError, "object"),
    "complex": (np.zeros(2, np.clongdouble), errors.DTypeError, "complex256"),
    "structured": (np.zeros(2, [("a", int)]), errors.DTypeError, "dtype"),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_what_is_no_tensor(name: str):
    value, kind, text = BAD_VALUES[name]
    with pytest.raises(kind, match=text):
        df.asarray(value)


def test_exchange_with_numpy_and_dlpack():
    t = df.tensor([1.0, 2.0])
    array = np.asarray(t)
    array[0] = 5.0
    assert t.tolist() == [5.0, 2.0]
    assert np.array(t, np.float64).dtype == np.float64
    assert np.sum(np.asarray(t)) == 7
    with pytest.raises(ValueError, match="needs a copy"):
        np.asarray(t, dtype=np.int8, copy=False)
    shared = np.from_dlpack(df.tensor([1, 2]))
    assert shared.tolist() == [1, 2]
    memory = np.arange(3)
    back = df.from_dlpack(memory)
    memory[0] = 9
    assert back.tolist() == [9, 1, 2]
    assert back._memory().exposed


def test_copies_and_pickles():
    t = df.tensor([1.0, 2.0], requires_grad=True)
    for made in (copy.deepcopy(t), copy.copy(t), pickle.loads(pickle.dumps(t))):
        assert made is not t
        assert made.tolist() == [1.0, 2.0]
        assert made.requires_grad
    view = df.tensor(A)[0, ::2]
    assert pickle.loads(pickle.dumps(view)).tolist() == view.tolist()
    with pytest.raises(errors.GradientError, match="detach"):
        pickle.dumps(t * 2)


def test_tensors_are_made_by_functions():
    with pytest.raises(errors.ArgumentError, match="made by functions"):
        df.Tensor([1.0])


def test_requires_grad_needs_floats():
    with pytest.raises(errors.GradientError, match="int64"):
        df.tensor([1]).requires_grad_()


def test_importing_costs_little_and_brings_nothing_heavy():
    script = (
        "import numpy, time, sys; start = time.perf_counter(); import dualflow; "
        "spent = time.perf_counter() - start; dualflow.ones(2) + 1; "
        "print(spent, [m for m in ('rich', 'numba', 'llvmlite', 'triton') if m in sys.modules])"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.split(" ", 1)
    assert float(seconds) < 0.02
    assert heavy.strip() == "[]"
