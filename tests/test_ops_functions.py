"""Public functions: NumPy's values, df's promotion, clear errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dualflow as df
from dualflow.base import errors
from dualflow.base.dtypes import BY_NAME
from dualflow.ops import door, quantiles
from dualflow.ops import primitives as p
from dualflow.ops.promotion import plan

RNG = np.random.default_rng(7)
A = RNG.normal(size=(3, 4)).astype(np.float32)
B = RNG.normal(size=(4,)).astype(np.float32)
T = RNG.integers(-5, 6, (2, 3, 4))


def same(tensor: df.Tensor, wanted: object, tolerance: float = 0.0) -> None:
    wanted = np.asarray(wanted)
    found = tensor.numpy()
    assert found.shape == wanted.shape
    if tolerance:
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(found, wanted)


def x(array: object, dtype: object = None) -> df.Tensor:
    return df.asarray(array, dtype)


EQUAL_TO_NUMPY = {
    "reshape": (lambda: df.reshape(x(T), (4, -1)), lambda: T.reshape(4, -1)),
    "flatten": (lambda: df.flatten(x(T)), lambda: T.reshape(-1)),
    "permute_dims": (lambda: df.permute_dims(x(T), (2, 0, 1)), lambda: T.transpose(2, 0, 1)),
    "moveaxis": (lambda: df.moveaxis(x(T), (0, 1), (-1, 0)),
                 lambda: np.moveaxis(T, (0, 1), (-1, 0))),
    "matrix_transpose": (lambda: df.matrix_transpose(x(T)), lambda: np.swapaxes(T, -1, -2)),
    "expand_dims": (lambda: df.expand_dims(x(T), -2), lambda: np.expand_dims(T, -2)),
    "expand_dims two": (lambda: df.expand_dims(x(T), (0, 2)), lambda: np.expand_dims(T, (0, 2))),
    "squeeze": (lambda: df.squeeze(x(T[:1])), lambda: np.squeeze(T[:1])),
    "broadcast_to": (lambda: df.broadcast_to(x(B), (3, 4)), lambda: np.broadcast_to(B, (3, 4))),
    "flip": (lambda: df.flip(x(T)), lambda: np.flip(T)),
    "flip axis": (lambda: df.flip(x(T), (0, -1)), lambda: np.flip(T, (0, -1))),
    "flip empty": (lambda: df.flip(x(T[:0])), lambda: T[:0]),
    "roll": (lambda: df.roll(x(T), 5), lambda: np.roll(T, 5)),
    "roll axes": (lambda: df.roll(x(T), (1, -1), (0, 2)), lambda: np.roll(T, (1, -1), (0, 2))),
    "pad": (lambda: df.pad(x(T), ((0, 1), (2, 0), (1, 1)), 7),
            lambda: np.pad(T, ((0, 1), (2, 0), (1, 1)), constant_values=7)),
    "concat": (lambda: df.concat([x(T), x(T[:1])]), lambda: np.concatenate([T, T[:1]])),
    "concat none": (lambda: df.concat([x(T), x(B)], axis=None),
                    lambda: np.concatenate([T.ravel().astype("f4"), B])),
    "stack": (lambda: df.stack([x(A), x(A)], axis=-1), lambda: np.stack([A, A], axis=-1)),
    "split": (lambda: df.split(x(T), [1, 3], axis=2)[1], lambda: np.split(T, [1, 3], axis=2)[1]),
    "split beyond": (lambda: df.split(x(B), [3, 2, 9])[2], lambda: np.split(B, [3, 2, 9])[2]),
    "unstack": (lambda: df.unstack(x(T), axis=1)[2], lambda: T[:, 2]),
    "tile": (lambda: df.tile(x(A), (2, 1, 3)), lambda: np.tile(A, (2, 1, 3))),
    "repeat": (lambda: df.repeat(x(A), 2, axis=0), lambda: np.repeat(A, 2, axis=0)),
    "sum keepdims": (lambda: df.sum(x(T), (0, 2), keepdims=True),
                     lambda: T.sum((0, 2), keepdims=True)),
    "sum dtype": (lambda: df.sum(x(A), dtype="float64"), lambda: A.sum(dtype="f8")),
    "prod": (lambda: df.prod(x(T), -1), lambda: T.prod(-1)),
    "any": (lambda: df.any(x(T), 1), lambda: T.any(1)),
    "all": (lambda: df.all(x(T), 1, keepdims=True), lambda: T.all(1, keepdims=True)),
    "argmax": (lambda: df.argmax(x(A)), lambda: A.argmax()),
    "argmax axis": (lambda: df.argmax(x(A), 0, keepdims=True), lambda: A.argmax(0, keepdims=True)),
    "argmin": (lambda: df.argmin(x(A), -1), lambda: A.argmin(-1)),
    "cumulative_sum": (lambda: df.cumulative_sum(x(T), axis=1), lambda: T.cumsum(1)),
    "cumulative initial": (lambda: df.cumulative_sum(x(T), axis=-1, include_initial=True),
                           lambda: np.cumulative_sum(T, axis=-1, include_initial=True)
                           if hasattr(np, "cumulative_sum")
                           else np.pad(T.cumsum(-1), ((0, 0), (0, 0), (1, 0)))),
    "cumulative_prod": (lambda: df.cumulative_prod(x(T), axis=0), lambda: T.cumprod(0)),
    "count_nonzero": (lambda: df.count_nonzero(x(T), 0), lambda: np.count_nonzero(T, 0)),
    "clip": (lambda: df.clip(x(A), -0.5, x(B)), lambda: np.clip(A, np.float32(-0.5), B)),
    "clip crossed": (lambda: df.clip(x(A), 1, -1), lambda: np.clip(A, 1, -1)),
    "where": (lambda: df.where(x(A) > 0, x(A), 0), lambda: np.where(A > 0, A, np.float32(0))),
    "take": (lambda: df.take(x(T), x([[0, -1]]), axis=1), lambda: np.take(T, [[0, -1]], axis=1)),
    "take flat": (lambda: df.take(x(T), x([5, 0])), lambda: np.take(T, [5, 0])),
    "take_along_axis": (lambda: df.take_along_axis(x(A), x([[1, -1]]), axis=1),
                        lambda: np.take_along_axis(A, np.array([[1, -1]] * 3), axis=1)),
    "sort": (lambda: df.sort(x(A), axis=0), lambda: np.sort(A, axis=0)),
    "sort descending": (lambda: df.sort(x(A), descending=True), lambda: np.sort(A)[:, ::-1]),
    "argsort descending": (lambda: df.argsort(x([1, 3, 3, 2]), descending=True),
                           lambda: np.array([1, 2, 3, 0])),
    "matmul": (lambda: df.matmul(x(T), x(np.swapaxes(T, 1, 2))), lambda: T @ np.swapaxes(T, 1, 2)),
    "matmul vector": (lambda: df.matmul(x(T), x(T[0, 0])), lambda: T @ T[0, 0]),
    "matmul row": (lambda: df.matmul(x(T[0, :, 0]), x(T)), lambda: T[0, :, 0] @ T),
    "matmul dot": (lambda: df.matmul(x(T[0, 0]), x(T[0, 1])), lambda: T[0, 0] @ T[0, 1]),
    "matmul batches": (lambda: df.matmul(x(T[:, None]), x(np.swapaxes(T, 1, 2))),
                       lambda: T[:, None] @ np.swapaxes(T, 1, 2)),
    "vecdot": (lambda: df.vecdot(x(T), x(T[0, 0])), lambda: (T * T[0, 0]).sum(-1)),
    "arange": (lambda: df.arange(7, 1, -2), lambda: np.arange(7, 1, -2)),
    "arange floats": (lambda: df.arange(0.0, 1.0, 0.1), lambda: np.arange(0, 1, 0.1).astype("f4")),
    "arange empty": (lambda: df.arange(3, 1), lambda: np.arange(3, 1)),
    "linspace": (lambda: df.linspace(0, 1, 7, dtype="float64"), lambda: np.linspace(0, 1, 7)),
    "linspace open": (lambda: df.linspace(2, 4, 5, endpoint=False),
                      lambda: np.linspace(2, 4, 5, endpoint=False, dtype="f4")),
    "linspace one": (lambda: df.linspace(2, 4, 1), lambda: np.linspace(2, 4, 1, dtype="f4")),
    "eye": (lambda: df.eye(3, 4, k=-1), lambda: np.eye(3, 4, k=-1, dtype="f4")),
    "tril": (lambda: df.tril(x(T), k=1), lambda: np.tril(T, k=1)),
    "triu": (lambda: df.triu(x(A)), lambda: np.triu(A)),
    "meshgrid": (lambda: df.meshgrid(x(B), x([1, 2]), x([3]))[1],
                 lambda: np.meshgrid(B, [1, 2], [3])[1]),
    "meshgrid ij": (lambda: df.meshgrid(x(B), x([1, 2]), indexing="ij")[0],
                    lambda: np.meshgrid(B, [1, 2], indexing="ij")[0]),
    "nonzero": (lambda: df.nonzero(x(T))[2], lambda: np.nonzero(T)[2]),
    "isclose": (lambda: df.isclose(x([1.0, math.inf, math.nan, 1.0]),
                                   x([1.0, math.inf, math.nan, 2.0])),
                lambda: np.array([True, True, False, False])),
    "floor of integers": (lambda: df.floor(x(T)), lambda: T),
    "isfinite of integers": (lambda: df.isfinite(x(T)), lambda: np.ones_like(T, bool)),
    "signbit of integers": (lambda: df.signbit(x(T)), lambda: T < 0),
    "power of integers": (lambda: df.power(x(T), x(np.abs(T))), lambda: T ** np.abs(T)),
    "logical_not of floats": (lambda: df.logical_not(x([0.0, 2.0])),
                              lambda: np.array([True, False])),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL_TO_NUMPY)
def test_equal_to_numpy(name: str):
    found, wanted = EQUAL_TO_NUMPY[name]
    same(found(), wanted())
    assert found().dtype == np.asarray(wanted()).dtype


CLOSE_TO_NUMPY = {
    "mean": (lambda: df.mean(x(A), 0), lambda: A.mean(0)),
    "mean of integers": (lambda: df.mean(x(T)), lambda: T.mean()),
    "var": (lambda: df.var(x(A), 1, correction=1, keepdims=True),
            lambda: A.var(1, ddof=1, keepdims=True)),
    "std": (lambda: df.std(x(A)), lambda: A.std()),
    "logaddexp": (lambda: df.logaddexp(x(A), x(B)), lambda: np.logaddexp(A, B)),
    "softmax": (lambda: df.softmax(x(A), 0), lambda: np.exp(A) / np.exp(A).sum(0)),
    "log_softmax": (lambda: df.log_softmax(x(A)),
                    lambda: A - np.log(np.exp(A).sum(-1, keepdims=True))),
    "logsumexp": (lambda: df.logsumexp(x(A), (0, 1)), lambda: np.log(np.exp(A).sum())),
    "silu": (lambda: df.silu(x(A)), lambda: A / (1 + np.exp(-A))),
    "gelu": (lambda: df.gelu(x(A)),
             lambda: np.vectorize(lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))))(A)),
    "gelu tanh": (lambda: df.gelu(x(A), approximate="tanh"),
                  lambda: A * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (A + 0.044715 * A**3)))),
    "layer_norm": (lambda: df.layer_norm(x(A), x(B), x(B), eps=0.1),
                   lambda: (A - A.mean(1, keepdims=True))
                   / np.sqrt(A.var(1, keepdims=True) + 0.1) * B + B),
    "cross_entropy": (lambda: df.cross_entropy(x(A), x([0, 3, 1])),
                      lambda: -np.log(np.exp(A) / np.exp(A).sum(1, keepdims=True))
                      [[0, 1, 2], [0, 3, 1]].mean()),
    "cross_entropy axis": (lambda: df.cross_entropy(x(A.T), x([0, 3, 1]), axis=0, reduction="none"),
                           lambda: -np.log(np.exp(A) / np.exp(A).sum(1, keepdims=True))
                           [[0, 1, 2], [0, 3, 1]]),
    "mse_loss": (lambda: df.mse_loss(x(A), x(A * 2), reduction="sum"), lambda: (A**2).sum()),
    "square": (lambda: df.square(x(A)), lambda: A * A),
    "reciprocal": (lambda: df.reciprocal(x(A)), lambda: 1 / A),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSE_TO_NUMPY)
def test_close_to_numpy(name: str):
    found, wanted = CLOSE_TO_NUMPY[name]
    same(found(), wanted(), 2e-6)


def test_extremes_of_composites():
    with np.errstate(divide="ignore", invalid="ignore"):
        assert df.logsumexp(x([-math.inf, -math.inf])).item() == -math.inf
        assert df.logsumexp(x([math.inf, 0.0])).item() == math.inf
        assert df.logaddexp(x(math.inf), x(math.inf)).item() == math.inf
    same(df.log_softmax(x([0.0, 1e30])), [-1e30, 0.0], 1e-6)
    same(df.relu(x([-0.0, math.nan, -3.0, 2.0])), [0.0, math.nan, 0.0, 2.0])
    half = df.mean(df.full((4096,), 60000.0, "float16"))
    assert (half.dtype, half.item()) == (df.float16, 60000.0)
    dropped = df.dropout(df.ones(10000), 0.25).numpy()
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.75)}
    assert 0.23 < (dropped == 0).mean() < 0.27


@pytest.mark.parametrize("a", BY_NAME.values(), ids=str)
@pytest.mark.parametrize("b", [*BY_NAME.values(), bool, int, float, complex], ids=str)
@pytest.mark.parametrize("op", [p.add, p.divide, p.less, p.maximum], ids=lambda s: s.op.name)
def test_the_door_means_cast_expand_apply(op, a, b):
    """Eager's shortcut gives the bits of the plan: cast each operand, expand, apply."""
    rng = np.random.default_rng(3)
    left = x(rng.integers(0, 2 if a.kind == "b" else 9, (3, 1)).astype(a))
    right = b(1) if isinstance(b, type) else x(rng.integers(0, 2, (4,)).astype(b))
    if "c" in (a.kind, np.dtype(b).kind) and op.op.name in ("less", "maximum"):
        with pytest.raises(errors.DTypeError, match=op.op.name):
            op.of(left, right)
        return
    with np.errstate(all="ignore"):
        found = op.of(left, right)
        dtypes, shape = plan(op.op, (left, right))
        strict = [
            p.full(shape=shape, value=dtype.type(value).item(), dtype=dtype)
            if isinstance(b, type) and value is right
            else p.expand(p.cast(value, dtype=dtype), shape=shape)
            for value, dtype in zip((left, right), dtypes, strict=True)
        ]
        wanted = op(*strict)
    assert found.dtype == wanted.dtype
    same(found, wanted.numpy())


def test_promotion_keeps_floats():
    i, f = x([1, 2]), x([1.0, 2.0])
    assert (i + f).dtype == df.float32
    assert (i / 2).dtype == df.float32
    assert (i * 0.5).dtype == df.float32
    assert (f * 2).dtype == df.float32
    assert (x([True]) + 1).dtype == df.int64
    assert df.sum(x([1, 2], "int8")).dtype == df.int64
    assert df.exp(x([1], "float16")).dtype == df.float16
    assert (x([1], "uint64") + x([1], "int64")).dtype == df.float32
    assert df.result_type(df.int8, df.uint8) == df.int16


ERRORS = {
    "broadcast": (lambda: x(A) + x(B[:3]), errors.ShapeError, r"shapes \(3, 4\) and \(3,\)"),
    "reshape": (lambda: df.reshape(x(B), (3,)), errors.ShapeError, "4 elements"),
    "reshape -1": (lambda: df.reshape(x(B), (3, -1)), errors.ShapeError, "-1"),
    "reshape copy": (lambda: df.reshape(x(A).T, (12,), copy=False), errors.ShapeError, "copy"),
    "axis": (lambda: df.sum(x(A), 2), errors.ShapeError, "axis 2"),
    "axis twice": (lambda: df.sum(x(A), (0, -2)), errors.ShapeError, "twice"),
    "max empty": (lambda: df.max(x(A[:0])), errors.ShapeError, "no elements"),
    "argmin empty": (lambda: df.argmin(x(A[:0]), 0), errors.ShapeError, "no elements"),
    "matmul": (lambda: x(A) @ x(A), errors.ShapeError, r"matmul of \(3, 4\)"),
    "matmul scalar": (lambda: df.matmul(x(A), 1.0), errors.ShapeError, "matmul"),
    "concat": (lambda: df.concat([x(A), x(B)]), errors.ShapeError, "concat"),
    "concat nothing": (lambda: df.concat([]), errors.ShapeError, "nothing"),
    "stack": (lambda: df.stack([x(A), x(B)]), errors.ShapeError, "stack"),
    "split": (lambda: df.split(x(B), 3), errors.ShapeError, "equal parts"),
    "squeeze": (lambda: df.squeeze(x(A), 0), errors.ShapeError, "size is not 1"),
    "expand": (lambda: df.broadcast_to(x(A), (2, 2)), errors.ShapeError, "expand"),
    "permute": (lambda: df.permute_dims(x(A), (0, 0)), errors.ShapeError, "once"),
    "full": (lambda: df.full((2,), "a"), errors.ArgumentError, "str"),
    "full too large": (lambda: df.full((2,), 300, "uint8"), errors.DTypeError, "300"),
    "negative shape": (lambda: df.zeros((-1,)), errors.ShapeError, "negative"),
    "bits of floats": (lambda: x(A) & x(A), errors.DTypeError, "bitwise_and"),
    "subtract booleans": (lambda: x([True]) - x([True]), errors.DTypeError, "subtract"),
    "condition": (lambda: df.where(x(A), 1.0, 0.0), errors.DTypeError, "condition"),
    "scalar does not fit": (lambda: x([1], "uint8") + 300, errors.DTypeError, "300"),
    "compare does not fit": (lambda: x([1], "uint8") < 300, errors.DTypeError, "300"),
    "choice does not fit": (
        lambda: df.where(x([1]) > 0, x([1], "uint8"), 300), errors.DTypeError, "300",
    ),
    "no dtype": (lambda: df.zeros(2, "complex256"), errors.DTypeError, "complex256"),
    "no tensor": (lambda: df.add("a", x(A)), errors.ArgumentError, "str"),
    "list": (lambda: df.exp([1.0]), errors.ArgumentError, "list"),
    "bitcast": (lambda: df.bitcast(x(A), "int8"), errors.DTypeError, "one size"),
    "take": (lambda: df.take(x(B), x([4])), errors.IndexingError, "index 4 for axis 0 of size 4"),
    "take floats": (lambda: df.take(x(B), x(B)), errors.DTypeError, "indices"),
    "label": (lambda: df.cross_entropy(x(A), x([0, 4, 0])), errors.IndexingError, "index 4"),
    "labels": (lambda: df.cross_entropy(x(A), x([0, 4])), errors.ShapeError, "one label"),
    "mse": (lambda: df.mse_loss(x(A), x(B)), errors.ShapeError, "mse_loss"),
    "gelu": (lambda: df.gelu(x(A), approximate="no"), errors.ArgumentError, "none"),
    "dropout": (lambda: df.dropout(x(A), 1.0), errors.ArgumentError, "probability"),
    "scatter": (lambda: df.scatter_add(x(B), x([9]), 1.0), errors.IndexingError, "index 9"),
    "strict shape": (lambda: p.add.op.infer((p.full(shape=(2,), value=1, dtype=df.int8),
                                             p.full(shape=(), value=1, dtype=df.int8)), {}),
                     errors.ShapeError, "do not broadcast"),
    "huge integer": (lambda: x(A) + 2**2000, errors.DTypeError, "beyond all floats"),
    "axis of floats": (lambda: df.sum(x(A), axis=1.5), errors.ArgumentError, "an axis of type"),
    "matmul of booleans": (lambda: x([[True]]) @ x([[True]]), errors.DTypeError, "matmul of bool"),
    "widths": (lambda: df.pad(x(B), ((1,),)), errors.ArgumentError, "pairs"),
    "fill": (lambda: df.pad(x([1]), 1, fill=0.5), errors.DTypeError, "float"),
    "full of floats": (lambda: df.full((2,), 1.5, "int64"), errors.DTypeError, "float"),
    "full of booleans": (lambda: df.full((2,), 2, "bool"), errors.DTypeError, "int"),
    "tile": (lambda: df.tile(x(B), -1), errors.ShapeError, "expand"),
    "repeat": (lambda: df.repeat(x(B), 1.5), errors.ArgumentError, "repeats"),
    "bitcast to bool": (lambda: df.bitcast(x([1], "uint8"), "bool"), errors.DTypeError, "bool"),
    "random bounds": (lambda: df.random.integers(1.5), errors.ArgumentError, "a bound"),
    "step 0": (lambda: df.arange(0, 1, 0), errors.ArgumentError, "step 0"),
    "meshgrid": (lambda: df.meshgrid(x(A)), errors.ShapeError, "one axis"),
    "integers": (lambda: df.random.integers(3, 3), errors.ArgumentError, "none"),
    "integers too large": (lambda: df.random.integers(0, 300, dtype="int8"), errors.DTypeError,
                           "299"),
    "normal of integers": (lambda: df.random.normal((2,), dtype="int8"), errors.DTypeError, "int8"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_teach(name: str):
    call, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text) as caught:
        call()
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_integer_power_raises_as_numpy_does():
    with pytest.raises(ValueError, match="negative integer power"):
        df.power(x([2]), x([-1]))


def test_random_is_philox_of_element_and_call():
    df.random.seed(5)
    first, second = df.random.bits((4,)), df.random.bits((2, 2))
    generator = df.random.Generator(5)
    same(generator.bits((4,)), first.numpy())
    same(generator.bits((2, 2)), second.numpy())
    assert first.tolist() != second.numpy().reshape(-1).tolist()
    assert generator.counter == 2
    state = x(np.array([0, 0], np.uint64))
    assert p.random_bits(state, shape=(1,)).item() == 0x6627E8D5  # Random123's known answer


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_distributions(dtype: str):
    u = df.random.uniform((20000,), dtype=dtype).numpy().astype(np.float64)
    assert 0 <= u.min() < 0.001
    assert 0.999 < u.max() < 1
    assert abs(u.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.03
    z = df.random.normal((20000,), 1.0, 2.0, dtype=dtype).numpy().astype(np.float64)
    assert abs(z.mean() - 1) < 0.06
    assert abs(z.std() - 2) < 0.04
    assert abs(((z - 1) ** 3).mean() / 8) < 0.1
    assert abs(((z - 1) ** 4).mean() / 16 - 3) < 0.25


def test_the_normal_quantile_is_wichuras():
    q = x(np.array([-0.4999, -0.3, 0.0, 0.01, 0.4, 0.5 - 1e-12]))
    tail = df.minimum(0.5 + q, 0.5 - q)
    from statistics import NormalDist

    wanted = [NormalDist().inv_cdf(0.5 + value) for value in q.tolist()]
    found = quantiles.normal_quantile(q, tail)
    same(found, wanted, 1e-7)


def test_integers_are_even():
    counts = np.bincount(df.random.integers(-3, 4, (70000,)).numpy() + 3)
    assert counts.size == 7
    assert np.abs(counts - 10000).max() < 400
    wide = df.random.integers(-(2**63), 2**63 - 1, (2000,)).numpy()
    assert (wide < 0).any()
    assert (wide > 2**62).any()
    assert df.random.integers(0, 256, (500,), dtype="uint8").numpy().max() > 240
    shuffled = df.random.permutation(100).tolist()
    assert sorted(shuffled) == list(range(100))
    assert shuffled != list(range(100))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_views_are_what_their_records_say(data):
    """A chain of views: the record's View of the root's memory shows what eager shows, and a
    reshape shares memory exactly where the record says so."""
    from dualflow.array.eager import view_of

    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    root = df.asarray(np.arange(math.prod(shape)).reshape(shape))
    t = root
    for _ in range(data.draw(st.integers(1, 4))):
        t = _some_view(data, t)
        if not t._view:
            return  # a reshape copied
    view = view_of(root.numpy())
    for op, attributes in t._view:
        view = op.view(view, **attributes)
    memory = root.numpy().reshape(-1)
    shown = np.empty(view.shape, memory.dtype)
    for place in np.ndindex(*view.shape):
        at = view.offset + sum(i * s for i, s in zip(place, view.strides, strict=True))
        shown[place] = memory[at]
    assert (shown == t.numpy()).all()
    if t.size:
        assert np.shares_memory(t.numpy(), root.numpy())


def _some_view(data, t):
    kind = data.draw(st.sampled_from(["permute", "slice", "reshape", "expand", "index"]))
    if kind == "permute":
        return df.permute_dims(t, tuple(data.draw(st.permutations(range(t.ndim)))))
    if kind == "slice" and t.ndim:
        parts = [
            slice(*data.draw(st.tuples(st.integers(-4, 4), st.integers(-4, 4))),
                  data.draw(st.sampled_from([1, 2, -1, -2])))
            for _ in range(t.ndim)
        ]  # fmt: skip
        return t[tuple(parts)]
    if kind == "reshape":
        before = t.numpy()
        sizes = [n for n in range(1, t.size + 1) if t.size % n == 0] or [0]
        first = data.draw(st.sampled_from(sizes))
        made = t.reshape(first, t.size // first if first else 1)
        shares = np.shares_memory(before, made.numpy()) if t.size else bool(made._view)
        assert shares == bool(made._view)
        return made
    if kind == "expand":
        return df.broadcast_to(t, (2, *t.shape))
    if t.ndim and t.shape[0]:
        return t[data.draw(st.integers(0, t.shape[0] - 1))]
    return t[...]


@pytest.mark.parametrize("decimals", [0, 1, 3, -1, -2])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "complex128"])
def test_round_to_decimals_is_numpys(decimals, dtype):
    values = np.array([0.125, -2.345, 12.5, 1250.0, -349.99, 15.0, 25.0]).astype(dtype)
    same(df.round(x(values), decimals), np.round(values, decimals))
    compiled = df.compile(lambda t: round(t, decimals) + t.round(decimals), wait=True)
    for _ in range(2):
        same(compiled(x(values)), np.round(values, decimals) * 2)
    same(round(x(values)), np.round(values))


def test_reading_and_writing_through_views():
    """views.put is the inverse of views.read for every view op that can be written."""
    from dualflow.ops.views import put, read

    root = x(np.arange(24).reshape(2, 3, 4))
    view = root[:, ::-1].permute_dims(2, 0, 1)[1:].reshape(3, 2, 3)[0]
    value = df.full(view.shape, -1)
    made = put(door_apply, root, view._view, value)
    same(read(door_apply, made, view._view), value.numpy())
    changed = made.numpy() != root.numpy()
    assert changed.sum() == view.size
    wide = df.broadcast_to(x([1]), (3,))
    with pytest.raises(errors.InPlaceError, match="expand"):
        put(door_apply, x([1]), wide._view, df.zeros(3, "int64"))


def door_apply(op, *operands, **attributes):
    return door.apply(op, *operands, **attributes)
