"""The NumPy face: its two classes, the border to real arrays, what pends, what is counted."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import dualflow as df
from dualflow.array import face
from dualflow.base.counters import COUNTERS
from dualflow.capture.coexecution.coexecute import coexecute
from dualflow.capture.coexecution.segments import Segments
from dualflow.ops import door


def pending(function, *arrays):
    """What `function` gives on faces of copies of `arrays`, co-executed, and the segments."""
    segments = Segments()
    handles = [face.wrap(np.array(x)) for x in arrays]
    return coexecute(segments, lambda: function(*handles)), segments


# What it is ----------------------------------------------------------------------------------


def test_a_face_is_an_ndarray_to_whoever_asks():
    x = face.wrap(np.arange(6.0).reshape(2, 3))
    assert isinstance(x, np.ndarray)
    assert x.__class__ is np.ndarray
    assert repr(type(x)) == "<class 'dualflow.array.face.ndarray.ndarray'>"
    assert (x.shape, x.dtype, x.ndim, x.size, x.nbytes) == ((2, 3), np.dtype(float), 2, 6, 48)
    assert x.T.strides == (8, 24)
    with pytest.raises(AttributeError):
        x.name = "fields of users are not ndarray's"  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)


def test_it_has_every_public_attribute_of_ndarray():
    missing = {name for name in dir(np.ndarray) if not name.startswith("_")} - set(dir(face.Face))
    assert missing == set()
    scalars = {name for name in {*dir(np.float64), *dir(np.int64)} if not name.startswith("_")}
    assert scalars - set(dir(face.Scalar)) == set()
    special = {"__array_interface__", "__array_struct__", "__array_finalize__", "__class_getitem__"}
    dunder = {name for name in dir(np.ndarray) if name.startswith("__")} - set(dir(face.Face))
    assert dunder == special


def test_every_ufunc_of_numpy_is_an_operation_or_known_to_be_numpys():
    ufuncs = {value for value in vars(np).values() if isinstance(value, np.ufunc)}
    numpys = {
        np.bitwise_count, np.fmod, np.frexp, np.gcd, np.isnat, np.lcm, np.ldexp,
        np.logaddexp, np.logaddexp2, np.matvec, np.modf, np.spacing, np.vecmat,
    }  # fmt: skip
    known = set(face.DIRECT) | set(face.COMPOSED) | {np.matmul, np.vecdot}
    assert ufuncs - known == numpys


def test_wrap_adopts_and_unwrap_gives_the_very_array_back():
    array = np.zeros(3)
    x = face.wrap(array)
    assert face.unwrap(x) is array
    x[1:] += 2
    assert array.tolist() == [0, 2, 2]
    array[0] = 7
    assert x.tolist() == [7, 2, 2]
    assert np.shares_memory(face.unwrap(x[1:]), array)
    assert np.asarray(x) is array


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a"]), np.array([None]), np.zeros(2, "M8[s]"), np.zeros(2, [("x", float)]),
        np.ma.masked_array([1.0]), np.zeros(2, ">f8"), np.zeros(2, "g"),
        np.zeros(17, np.uint8)[1:].view(float),
    ],
)  # fmt: skip
def test_what_has_no_face_stays_what_it_is(array):
    assert face.wrap(array) is array


def test_trees_are_wrapped_and_unwrapped_with_their_types():
    result = np.linalg.slogdet(np.eye(2))
    tree = face.wrap_all([np.zeros(2), (np.ones(1), {"k": 3})])
    assert [type(tree[0]), type(tree[1][0])] == [face.Face, face.Face]
    assert type(face.unwrap_all(result)) is type(result)
    back = face.unwrap_all(tree)
    assert type(back[0]) is np.ndarray
    assert type(back[1]) is tuple


def test_pickles_and_copies_are_ndarrays_of_their_own():
    x = face.wrap(np.arange(3))
    assert type(pickle.loads(pickle.dumps(x))) is np.ndarray
    twin = copy.deepcopy(x)
    twin[0] = 9
    assert x[0] == 0
    assert np.from_dlpack(x).tolist() == [0, 1, 2]


def test_views_name_their_owner():
    x = face.wrap(np.arange(6))
    assert x[1:][1:].base is x
    assert (x + 1).base is None
    assert x.reshape(2, 3).T.base is x


# Scalars -------------------------------------------------------------------------------------


def test_scalars_are_numpys_where_values_are_at_hand():
    x = face.wrap(np.arange(3.0))
    assert type(x.sum()) is np.float64
    assert type(x[1]) is np.float64
    assert type((x > 5).any()) is np.bool
    assert type(x.argmax()) is np.int64


def test_a_pending_scalar_stands_for_numpys():
    def program(x):
        total = (x * 2).sum()
        kinds = type(total) is face.Scalar, isinstance(total, np.floating), isinstance(total, float)
        half = total / 2
        return kinds, total.dtype, type(half) is face.Scalar, f"{half:.1f}", {total: 1}[6.0], half

    found, _ = pending(program, np.arange(3.0))
    assert found[:5] == ((True, True, True), np.dtype(float), True, "3.0", 1)
    assert type(face.unwrap(found[5])) is np.float64


def test_a_loop_until_converged_asks_one_value_a_turn():
    def program(x):
        turns = 0
        while True:
            new = x * 0.5
            error = np.abs(new - x).max()
            x = new
            turns += 1
            if error < 0.1:
                return x, turns

    found, segments = pending(program, np.array([8.0, 4.0]))
    assert face.unwrap(found[0]).tolist() == [0.0625 * 1, 0.03125]
    assert found[1] == 7
    assert segments.stats.segments == 7


def test_a_scalar_taken_does_not_change_with_the_array():
    def program(x):
        first = x[0]
        y = x * 2
        second = y[1]
        x[0] = 100.0
        y[1] = 100.0
        return first, second

    found, _ = pending(program, np.array([1.0, 2.0]))
    assert [float(value) for value in found] == [1.0, 4.0]


# Operations pass the door --------------------------------------------------------------------


def test_operations_wait_until_a_value_is_needed():
    def program(x):
        y = np.sqrt(np.maximum(x, 0.0)) + x.mean()
        z = np.where(y > 1, y, -y)[::2]
        assert z._tensor._array is None
        return z

    found, segments = pending(program, np.arange(5.0))
    x = np.arange(5.0)
    y = np.sqrt(np.maximum(x, 0.0)) + x.mean()
    np.testing.assert_array_equal(face.unwrap(found), np.where(y > 1, y, -y)[::2])
    assert segments.stats.segments == 1


def test_numpys_own_python_functions_run_on_faces():
    before = face.fallbacks.names.copy()
    x = np.linspace(0.0, 3.0, 12).reshape(3, 4)
    handle = face.wrap(x)
    for function in (np.gradient, np.cov, np.median, np.flip, np.roll, np.kron, np.linalg.norm):
        arguments = {np.roll: (1,), np.kron: (np.eye(2),)}.get(function, ())
        expected = function(x, *arguments)
        np.testing.assert_array_equal(face.unwrap_all(function(handle, *arguments)), expected)
    assert face.fallbacks.names == before
    source = face.IMPLEMENTATIONS[np.gradient]
    assert source.__name__ == "gradient"


def test_what_numpy_computes_is_counted_and_told():
    told = []
    before, counted = face.fallbacks.names["np.bincount"], df.stats()["numpy_fallbacks"]
    face.fallbacks.state.on_fallback = lambda name, why: told.append((name, why))
    try:
        found = np.bincount(face.wrap(np.array([1, 1, 3])))
    finally:
        del face.fallbacks.state.on_fallback
    assert found.tolist() == [0, 2, 0, 1]
    assert type(found) is face.Face
    assert told == [("np.bincount", "dualflow has no operation for it")]
    assert face.fallbacks.names["np.bincount"] == before + 1
    assert df.stats()["numpy_fallbacks"] == counted + 1
    assert "numpy_fallbacks" in COUNTERS


def test_a_fallback_writes_into_the_memory_of_its_arguments():
    array = np.array([3.0, 1.0, 2.0])
    x = face.wrap(array)
    version = x._tensor._memory().version
    np.maximum.at(x, [0, 1], 5.0)
    np.put(x, [2], 7.0)
    assert array.tolist() == [5, 5, 7]
    assert x._tensor._memory().version == version + 2


def test_views_that_only_numpy_makes_share_memory():
    array = np.arange(4.0)
    x = face.wrap(array)
    windows = np.lib.stride_tricks.sliding_window_view(x, 2)
    bits = x.view(np.int64)
    x[0] = 1.0
    assert windows[0].tolist() == [1.0, 1.0]
    assert bits[0] == np.float64(1.0).view(np.int64)
    bits[1] = 0
    assert array[1] == 0.0


def test_memory_lies_as_numpys_does():
    array = np.arange(24.0).reshape(2, 3, 4)
    x = face.wrap(array)
    cases = [
        lambda a: a.T + 1, lambda a: a.transpose(1, 0, 2) * a.transpose(1, 0, 2),
        lambda a: a.T.sum(axis=0), lambda a: np.sin(a.swapaxes(0, 1)), lambda a: a[:, [0, 1]],
        lambda a: np.zeros_like(a.T), lambda a: a.T.astype("f4"), lambda a: np.copy(a.T),
        lambda a: np.concatenate([a.T, a.T]), lambda a: np.cumsum(a.T, axis=1),
        lambda a: np.where(a.T > 3, a.T, 0), lambda a: a[::-1, :, ::2] - 1,
    ]  # fmt: skip
    for case in cases:
        assert face.unwrap(case(x)).strides == case(array).strides


# Other libraries' types ----------------------------------------------------------------------


class Quantity:
    """A class that knows ufuncs."""

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return [type(x) for x in inputs]


class Refuses:
    __array_ufunc__ = None

    def __radd__(self, other):
        return "reflected"


def test_other_classes_answer_as_they_do_for_ndarrays():
    x = face.wrap(np.arange(3.0))
    assert x + Quantity() == [np.ndarray, Quantity]
    assert x + Refuses() == "reflected"
    assert type(x + np.ma.masked_array([1.0, 2.0, 3.0])) is np.ma.MaskedArray
    with pytest.raises(TypeError):
        x + object()
    assert (x == "text").tolist() == [False, False, False]


def test_a_real_array_meets_a_face():
    real, x = np.ones(3), face.wrap(np.arange(3.0))
    for found in (real + x, x + real, np.add(real, x), np.float64(1.0) + x):
        assert type(found) is face.Face
        assert found.tolist() == [1.0, 2.0, 3.0]
    real[1:] = x[1:]
    assert real.tolist() == [1.0, 1.0, 2.0]


@pytest.mark.parametrize("dtype", ["f4", "i1", "u2", "?"])
def test_promotion_is_numpys(dtype):
    array = np.ones(2, dtype)
    x = face.wrap(array)
    for other in (1, 1.5, True, 1j, np.float32(2), np.int8(3), np.float64(1), np.ones(2, "i8")):
        assert (x + other).dtype == (array + other).dtype
        assert (other * x).dtype == (other * array).dtype


def test_errors_are_numpys():
    x = face.wrap(np.ones((2, 3)))
    for program in (
        lambda a: a + np.ones(4), lambda a: a[5], lambda a: a[:, 9], lambda a: a.reshape(5),
        lambda a: a.sum(axis=3), lambda a: a @ a, lambda a: np.concatenate([a, a[0]]),
        lambda a: a.astype("i1") + 300, lambda a: bool(a), lambda a: float(a), lambda a: a["x"],
    ):  # fmt: skip
        with pytest.raises(Exception) as expected:  # noqa: PT011  (each has another)
            program(np.ones((2, 3)))
        with pytest.raises(type(expected.value)) as found:
            program(x)
        assert str(found.value) == str(expected.value)
        assert found.value.__context__ is None


def test_floating_point_errors_that_are_asked_for_are_raised():
    x = face.wrap(np.array([1.0, 0.0]))
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        1.0 / x

    def program(x):
        with np.errstate(divide="raise"):
            return 1.0 / (x * 1.0)

    with pytest.raises(FloatingPointError):
        pending(program, np.array([1.0, 0.0]))


def test_the_mode_is_asked_for_values_and_for_nothing_else():
    asked = []

    class Watching:
        name = "watching"

        def __getattr__(self, name):
            return getattr(eager, name)

        def values(self, tensor):
            asked.append(tensor.shape)
            return eager.values(tensor)

    eager = door.state.mode
    x = face.wrap(np.arange(12.0).reshape(3, 4))
    with door.using(Watching()):  # type: ignore[arg-type]
        y = np.clip(np.gradient(x)[0], 0, 1)[1:] * x.T[:, 1:].T
        y += np.median(x, axis=0)
        np.percentile(x, 40.0, axis=1)
        x.std(axis=0)
        np.pad(x, 1, mode="edge")
        np.meshgrid(x[0], x[1])
        np.block([[x, x], [x, x]])
        np.kron(x, x)
        np.searchsorted(x[1], x[0])
        assert not x.imag.flags.writeable
    assert asked == []
