"""Indexing and functions in one step of NumPy's: the same views, writes and bits as op by op."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dualflow as df
from dualflow.array.eager import view_of
from dualflow.base import errors
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.functions import indexing

A = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
BOUND = st.none() | st.integers(-7, 7)
BASIC = st.lists(
    st.integers(-5, 4)
    | st.builds(slice, BOUND, BOUND, st.none() | st.sampled_from([-2, -1, 1, 2, 3]))
    | st.none()
    | st.just(...),
    max_size=5,
).map(tuple)


def same_memory(x: df.Tensor, y: df.Tensor) -> bool:
    """Whether both show the same places; strides of axes of size 1 say nothing."""
    a, b = (np.asarray(t) for t in (x, y))
    strides = [[s for s, n in zip(c.strides, c.shape, strict=True) if n != 1] for c in (a, b)]
    place = [c.__array_interface__["data"][0] for c in (a, b)]
    return a.shape == b.shape and (
        a.size == 0 or (place[0] == place[1] and strides[0] == strides[1])
    )


@settings(max_examples=300, deadline=None)
@given(BASIC, BASIC)
def test_a_view_is_that_of_its_chain(first, second):
    t = df.tensor(A)
    wanted, error = None, ""
    try:
        wanted = indexing.basic(indexing.basic(t, first), second)
    except errors.IndexingError as raised:
        error = raised.what.rpartition(": ")[2]
    if error:
        with pytest.raises(errors.IndexingError) as again:
            t[first][second]
        assert again.value.what.rpartition(": ")[2] == error
        return
    found = t[first][second]
    assert found._storage is wanted._storage is t._storage
    assert same_memory(found, wanted)
    assert found._view == wanted._view
    assert found[...]._view[:-1] == wanted._view


@settings(max_examples=300, deadline=None)
@given(BASIC, st.sampled_from(["one", "all"]))
def test_a_write_is_that_of_the_view(index, what):
    t, array = df.tensor(A), A.copy()
    try:
        shape = indexing.basic(t, index).shape
    except errors.IndexingError:
        with pytest.raises(errors.IndexingError):
            t[index] = 1.0
        return
    value = 7.0 if what == "one" else np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    array[index] = value
    t[index] = value if what == "one" else df.tensor(value)
    np.testing.assert_array_equal(t.numpy(), array)
    assert t._memory().version == 1
    t[index] += 1.0
    array[index] += 1.0
    np.testing.assert_array_equal(t.numpy(), array)
    assert t._memory().version == 2


def test_bounds_are_read_when_the_view_is_made():
    t, bound = df.tensor(A), df.tensor(1)
    part = t[bound:, : np.int64(2)]
    bound += 1
    assert part.shape == (2, 2, 5)
    assert part._view == t[1:, :2]._view


def test_a_write_into_memory_that_the_value_shows():
    for memory in (df.tensor(np.arange(6.0)), df.asarray(np.arange(6.0))):
        memory[1:3] = df.tensor(np.arange(10.0, 16.0))[1:3]
        assert memory.tolist() == [0, 11, 12, 3, 4, 5]
        memory[1:3] = df.arange(1, 3, dtype="float64")
        memory[1:] = memory[:-1]
        assert memory.tolist() == [0, 0, 1, 2, 3, 4]
        memory[df.asarray([True] * 6)] = memory.flip(0)
        assert memory.tolist() == [4, 3, 2, 1, 0, 0]
        other = memory.detach()
        memory[[0, 1, 2]] = other[1:4]
        assert memory.tolist() == [3, 2, 1, 1, 0, 0]
        memory[:, None] = 1.0
        assert memory.tolist() == [1.0] * 6


def test_a_write_that_is_refused_writes_nothing():
    t = df.tensor(np.arange(4, dtype=np.int8))
    bad = {300: errors.DTypeError, 0.5: errors.DTypeError, 1j: errors.DTypeError}
    bad |= {df.ones(3): errors.DualflowError, "a": errors.DualflowError}
    for value, kind in bad.items():
        with pytest.raises(kind):
            t[1:3] = value
        with pytest.raises(kind):
            t[[0, 1]] = value
    with pytest.raises(errors.IndexingError):
        t[[0, 1, 7]] = 1
    assert t.tolist() == [0, 1, 2, 3]
    frozen = df.broadcast_to(t, (2, 4))
    with pytest.raises(errors.InPlaceError, match="read-only"):
        frozen[0] = 1


def test_a_single_number_of_a_tensor_picks_a_copy():
    t = df.tensor(A)
    row = t[df.tensor(1)]
    row[...] = -1.0
    assert t[1, 0, 0].item() == 20


@pytest.mark.parametrize("index", [[0, 2], ([0, 1], [1, 2]), A[:, 0, 0] > 5, A % 2 == 0])
def test_what_is_picked_has_a_gradient(index):
    index = df.asarray(index) if isinstance(index, np.ndarray) else index
    t = df.tensor(A)
    plain = t[index]
    noted = t.requires_grad_()[index]
    assert noted.tolist() == plain.tolist()
    noted.sum().backward()
    wanted = np.zeros_like(A)
    wanted[index if isinstance(index, (list, tuple)) else index.numpy()] = 1
    np.testing.assert_array_equal(t.grad.numpy(), wanted)


MOVED = {
    "roll": lambda x: df.roll(x, 1, 1), "roll an axis": lambda x: df.roll(x, (-5, 2), (0, 1)),
    "roll nothing": lambda x: df.roll(x, 0, 0), "stack": lambda x: df.stack([x, x], axis=1),
    "stack one": lambda x: df.stack([x]), "tile": lambda x: df.tile(x, (2, 1, 3)),
    "tile once": lambda x: df.tile(x, 1), "tile nothing": lambda x: df.tile(x, 0),
    "repeat": lambda x: df.repeat(x, 3, 1), "repeat once": lambda x: df.repeat(x, 1, 0),
    "repeat all": lambda x: df.repeat(x, 2), "tril": lambda x: df.tril(x, 1), "triu": df.triu,
    "keepdims": lambda x: df.sum(x, axis=-1, keepdims=True),
    "take": lambda x: df.take(x, df.asarray([0, -1]), 1),
    "sum all": lambda x: df.sum(x, keepdims=True),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVED)
@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (0, 2)])
def test_one_step_gives_what_the_ops_give(name, shape):
    """Values, dtype, layout and whether the memory is shared."""
    t = df.tensor(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    for x in (t, t.mT):
        if name == "take" and 0 in x.shape:
            continue
        found = MOVED[name](x)
        wanted = MOVED[name](x.detach().requires_grad_())
        assert found.dtype == wanted.dtype
        assert found._view == ()
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())
        assert found.size == 0 or found.numpy().strides == wanted.numpy().strides
        assert found.numpy().flags.writeable
        assert not np.may_share_memory(found.numpy(), x.numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "int32"])
def test_products_with_vectors_have_the_bits_of_the_op(dtype):
    """In one step NumPy takes vectors as they are; op by op they are matrices."""
    random = np.random.default_rng(0)
    for m, k in ((1, 1), (3, 7), (40, 33), (257, 129), (2, 0)):
        a, v, w = (random.normal(size=s) * 9 for s in ((m, k), (k,), (m,)))
        a, v, w = (df.tensor(t.astype(dtype)) for t in (a, v, w))
        for x, y in ((a, v), (w, a), (v, v), (a.T, w), (a[:, ::2], v[::2])):
            found = df.matmul(x, y)
            x = x if x.ndim > 1 else x[None]
            wide = y if y.ndim > 1 else y[:, None]
            wanted = p.matmul(x, wide).reshape(found.shape)
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found.numpy(), wanted.numpy())


MASKS = [
    ((1,), (0,)), ((3,), (0,)), ((2, 3), (2, 0)), ((2, 3), (0, 3)), ((2, 3), (0,)), ((2, 3), (1,)),
    ((0,), (1,)), ((2, 3), (0, 0)), ((0, 3), (0, 1)), ((2, 2), (2, 1)), ((2,), (2, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "sizes"), MASKS)
def test_empty_masks_select_nothing_whatever_the_sizes(shape, sizes):
    """As in NumPy, in one step, op by op and compiled; other sizes must be those of the tensor."""

    def read(x, mask):
        try:
            return x[mask].shape
        except IndexError:
            return None

    def write(x, mask):
        try:
            x[mask] = 5.0
            return x.tolist()
        except IndexError:
            return None

    array, mask = np.ones(shape, np.float32), df.zeros(sizes, "bool")
    for run in (read, write):
        wanted = run(array.copy(), mask.numpy())
        compiled = df.compile(run, wait=True)
        for x in (df.ones(shape), df.ones(shape).requires_grad_() * 1):
            assert run(x, mask) == wanted
        for _ in range(3):
            assert compiled(df.ones(shape), mask) == wanted
        assert compiled.stats()["eager_calls"] == 0


CALLED = (
    "linalg.norm(x)", "linalg.vector_norm(x, axis=1)", "linalg.matrix_norm(x)", "vecdot(x, y)",
    "vecdot(x, y, axis=0)", "outer(x[..., 0].flatten(), y[0].flatten())", "linalg.trace(x)",
    "linalg.trace(x, 1)", "linalg.pinv(x)", "linalg.pinv(x, 0.25)", "linalg.matrix_rank(x)",
    "linalg.matrix_rank(x, 0.9)", "fft.fft(x)", "fft.ifft(x, axis=0, norm='ortho')", "fft.fftn(x)",
    "fft.ifft2(x, norm='forward')", "fft.fftshift(x)", "angle(x)",
)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("text", CALLED)
def test_functions_in_one_step_have_the_bits_of_the_ops(text, dtype):
    random = np.random.default_rng(3)
    unit = np.dtype(dtype).type(1j if dtype == "complex64" else 1)
    for shape in ((5, 7), (7, 3), (3, 33, 4)):
        parts = random.normal(size=(2, 2, *shape)).astype(unit.real.dtype)
        x, y = (df.tensor(a + b * unit).mT for a, b in parts)
        found = eval(f"df.{text}", {"df": df, "x": x, "y": y})
        x, y = (t.detach().requires_grad_() for t in (x, y))
        wanted = eval(f"df.{text}", {"df": df, "x": x, "y": y}).detach()
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        assert found.numpy().tobytes() == wanted.numpy().tobytes()


def test_a_new_matrix_in_one_step_is_that_of_the_ops():
    for arguments in ((3,), (2, 4), (0,), (3, 0)):
        for k in (-1, 0, 2):
            found = df.eye(*arguments, k=k, dtype="int64")
            wanted = df.compile(lambda a=arguments, k=k: df.eye(*a, k=k, dtype="int64"))()
            np.testing.assert_array_equal(found.numpy(), wanted.numpy())
            np.testing.assert_array_equal(found.numpy(), np.eye(*arguments, k=k, dtype=np.int64))
    with pytest.raises(errors.ShapeError, match="negative"):
        df.eye(-1)


SHAPES = st.lists(st.integers(0, 4), min_size=1, max_size=4)


@settings(max_examples=300, deadline=None)
@given(SHAPES, st.permutations(range(4)), st.lists(st.sampled_from([1, 2, -1]), min_size=4),
       st.integers(0, 3), st.integers(0, 3))  # fmt: skip
def test_reshape_copies_where_the_rule_says_so(shape, order, steps, i, j):
    """NumPy's answer and the one of compiled code must be the same: a view, or not."""
    array = np.zeros(shape, np.float32)
    array = array[tuple(slice(None, None, step) for step in steps[: array.ndim])]
    array = array.transpose([axis for axis in order if axis < array.ndim])
    sizes = list(array.shape)
    if i < len(sizes) and j < len(sizes) and i != j:  # merge two axes, or split one off
        size = sizes.pop(max(i, j))
        sizes[min(i, j)] *= size
    wanted = tuple(sizes)
    made = p.reshape(df.asarray(array), shape=wanted)
    is_view = p.reshape.op.view(view_of(array), shape=wanted) is not None
    assert bool(made._view) == is_view
    if array.size:
        assert np.may_share_memory(made.numpy(), array) == is_view


def test_nothing_is_done_in_one_step_while_notes_are_taken():
    t = df.tensor(A)
    assert door.unnoted(t) is not None
    assert door.unnoted(df.tensor(A).requires_grad_()) is None
    with df.no_grad():
        assert door.unnoted(df.tensor(A).requires_grad_()) is not None
    seen = []

    def function(x):
        seen.append(door.unnoted(x))
        return x[1, 2:] * 2

    df.compile(function, wait=True)(t)
    assert seen == [None]
