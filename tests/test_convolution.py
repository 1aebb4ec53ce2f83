"""Convolutions and pooling: values against loops, gradients to order 2, compiled calls, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import references_convolution as references

import dualflow as df
from dualflow.autograd.check import check_grads
from dualflow.base.errors import ArgumentError, CompileError, ShapeError
from dualflow.ops import convolving, door, primitives
from dualflow.runtime import alone


def numbers(*shape: int, dtype: Any = np.float64, seed: int = 0) -> df.Tensor:
    """All different, so that a maximum is one element."""
    rng = np.random.default_rng(seed)
    values = rng.permutation(int(np.prod(shape))).reshape(shape) / 8.0 - 2.0
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return df.asarray(values.astype(dtype))


# Values -----------------------------------------------------------------------------------------

SPACES = {1: (9,), 2: (7, 6), 3: (4, 5, 3)}
MOVES: list[dict[str, Any]] = [
    {},
    {"stride": 2},
    {"padding": 1, "dilation": 2},
    {"padding": "same"},
    {"padding": "same", "dilation": 2},
    {"padding": "valid", "stride": 3},
    {"groups": 2, "padding": 1},
    {"groups": 4},
]


def strict(rank: int, kernel: tuple[int, ...], moves: dict[str, Any]) -> dict[str, Any]:
    """What the loops of the references take."""
    dilation = (moves.get("dilation", 1),) * rank
    padding = moves.get("padding", 0)
    if padding == "same":
        total = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        pairs = tuple((n // 2, n - n // 2) for n in total)
    else:
        pairs = ((0 if padding == "valid" else padding,) * 2,) * rank
    return {"strides": (moves.get("stride", 1),) * rank, "padding": pairs, "dilation": dilation,
            "groups": moves.get("groups", 1)}  # fmt: skip


@pytest.mark.parametrize("moves", MOVES, ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions(rank: int, moves: dict[str, Any]):
    kernel = (3, 2, 1)[:rank]
    groups = moves.get("groups", 1)
    x, w = numbers(2, 4, *SPACES[rank]), numbers(8, 4 // groups, *kernel, seed=1)
    bias = numbers(8, seed=2)
    wanted = references.convolve(x.numpy(), w.numpy(), **strict(rank, kernel, moves))
    function = getattr(df, f"conv{rank}d")
    found = function(x, w, **moves)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.numpy(), wanted.astype(float), atol=1e-9)
    shifted = function(x[0], w, bias, **moves)
    wanted = wanted[0].astype(float) + bias.numpy().reshape(-1, *(1,) * rank)
    np.testing.assert_allclose(shifted.numpy(), wanted, atol=1e-9)


TRANSPOSED: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1, "output_padding": 1},
    {"stride": 3, "dilation": 2},
    {"groups": 2, "padding": 1},
]


@pytest.mark.parametrize("moves", TRANSPOSED, ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_convolutions_are_the_gradient_of_convolutions(rank: int, moves: dict[str, Any]):
    kernel = (3, 2, 3)[:rank]
    groups = moves.get("groups", 1)
    x, w = numbers(2, 4, *SPACES[rank]), numbers(4, 6 // groups, *kernel, seed=1)
    found = getattr(df, f"conv_transpose{rank}d")(x, w, **moves)
    assert found.shape[:2] == (2, 6)
    plain = {key: value for key, value in moves.items() if key != "output_padding"}
    forward = getattr(df, f"conv{rank}d")
    _, back = df.vjp(lambda y: forward(y, w, **plain), numbers(*found.shape, seed=3))
    (wanted,) = back(x) if isinstance(back(x), tuple) else (back(x),)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-9)


def test_sizes_for_each_axis():
    x, w = numbers(1, 2, 6, 7), numbers(3, 2, 2, 3, seed=1)
    how = {"strides": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "groups": 1}
    wanted = references.convolve(x.numpy(), w.numpy(), **how)
    found = df.conv2d(x, w, stride=(2, 1), padding=((1, 0), (2, 1)), dilation=[1, 2])
    np.testing.assert_allclose(found.numpy(), wanted.astype(float), atol=1e-9)
    moves: dict[str, Any] = {"stride": (2, 1), "padding": (1, 2)}
    how = {"strides": (2, 1), "padding": ((1, 1), (2, 2)), "dilation": (1, 1), "groups": 1}
    wanted = references.convolve(x.numpy(), w.numpy(), **how)
    np.testing.assert_allclose(df.conv2d(x, w, **moves).numpy(), wanted.astype(float), atol=1e-9)


@pytest.mark.parametrize("most", [1, 64, 300, 5000])
def test_windows_in_parts_of_any_size(most: int, monkeypatch: pytest.MonkeyPatch):
    """The buffer holds windows of rows of an image, of some groups, or of several images."""
    monkeypatch.setattr(convolving, "_MOST", most)
    monkeypatch.setattr(convolving, "_load", convolving.nothing)
    for x, w, how in references.CALLS:
        rank = len(how["strides"])
        a, b = numbers(*x).numpy(), numbers(*w, seed=1).numpy()
        out = references.convolve(a, b, **how).astype(float)
        np.testing.assert_allclose(convolving.convolve(a, b, **how), out, atol=1e-9)
        space, kernel = {"space": x[-rank:]}, {"kernel": w[-rank:]}
        wanted = references.spread(out, b, **space, **how).astype(float)
        np.testing.assert_allclose(convolving.spread(out, b, **space, **how), wanted, atol=1e-7)
        wanted = references.correlate(a, out, **kernel, **how).astype(float)
        np.testing.assert_allclose(convolving.correlate(a, out, **kernel, **how), wanted, atol=1e-7)


def test_dtypes():
    half = numbers(1, 1, 4, dtype=np.float16)
    assert df.conv1d(half, half).dtype == df.float16
    assert df.conv1d(half, half).item() == np.float16((half.numpy().astype(float) ** 2).sum())
    assert df.conv1d(half, numbers(1, 1, 2, dtype=np.float32)).dtype == df.float32
    whole = df.asarray(np.array([[[1, 2, 3]]]))
    assert df.conv1d(whole, whole).tolist() == [[[14]]]
    assert df.conv1d(numbers(1, 1, 3, dtype=np.complex64), whole).dtype == df.complex64
    assert df.conv2d(df.zeros((0, 2, 5, 5)), df.ones((3, 2, 3, 3))).shape == (0, 3, 3, 3)
    assert df.conv2d(df.ones((2, 0, 5, 5)), df.ones((3, 0, 3, 3))).tolist() == \
        df.zeros((2, 3, 3, 3)).tolist()  # fmt: skip


# Gradients --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("call", range(len(references.CALLS)))
@pytest.mark.parametrize("name", ["convolve", "spread", "correlate"])
def test_gradients(name: str, call: int, dtype: Any):
    if dtype is np.complex128 and call > 1:
        return  # what is conjugated does not depend on how kernels move
    calls = references.samples(lambda calls, **_: calls)[name]
    shapes, attributes = calls[call]
    op = getattr(primitives, name).op
    inputs = [numbers(*shape, seed=i) * 0.1 for i, shape in enumerate(shapes)]
    if dtype is np.float64:
        check_grads(lambda x, y: door.apply(op, x, y, **attributes), *inputs, rtol=1e-4)
        return
    others = [numbers(*shape, seed=i + 2) * 0.1 for i, shape in enumerate(shapes)]

    def of_parts(a: df.Tensor, b: df.Tensor, c: df.Tensor, d: df.Tensor) -> list[df.Tensor]:
        out = door.apply(op, a + b * 1j, c + d * 1j, **attributes)
        return [out.real, out.imag]

    check_grads(of_parts, inputs[0], others[0], inputs[1], others[1], order=2, rtol=1e-4)


@pytest.mark.parametrize("name", ["convolve", "spread", "correlate"])
def test_forward_rules(name: str):
    shapes, attributes = references.samples(lambda calls, **_: calls)[name][2]
    op = getattr(primitives, name).op
    a, b = (numbers(*shape, seed=i) for i, shape in enumerate(shapes))
    da, db = (numbers(*shape, seed=i + 2) for i, shape in enumerate(shapes))
    out = df.asarray(op.numpy(a.numpy(), b.numpy(), **attributes))
    found = op.forward((da, db), out, a, b, **attributes)
    after = op.numpy(a.numpy() + da.numpy(), b.numpy() + db.numpy(), **attributes)
    both = op.numpy(da.numpy(), db.numpy(), **attributes)
    np.testing.assert_allclose(found.numpy(), after - both - out.numpy(), atol=1e-9)
    parts = [op.forward(given, out, a, b, **attributes) for given in ((da, None), (None, db))]
    np.testing.assert_allclose((parts[0] + parts[1]).numpy(), found.numpy(), atol=1e-9)


# Pooling ----------------------------------------------------------------------------------------


def pooled(x: np.ndarray, kernel: Any, step: Any, pad: Any, dilation: int, fold: Any) -> Any:
    """Window by window; elements of the padding are NaN, which `fold` leaves out."""
    rank = len(kernel)
    widths = [(0, 0)] * (x.ndim - rank) + [(n, n) for n in pad]
    x = np.pad(x.astype(float), widths, constant_values=np.nan)
    counts = [(n - (k - 1) * dilation - 1) // s + 1
              for n, k, s in zip(x.shape[-rank:], kernel, step, strict=True)]  # fmt: skip
    out = np.empty((*x.shape[: x.ndim - rank], *counts))
    for place in np.ndindex(*counts):
        window = tuple(
            slice(i * s, i * s + (k - 1) * dilation + 1, dilation)
            for i, k, s in zip(place, kernel, step, strict=True)
        )
        out[(..., *place)] = fold(x[(..., *window)], axis=tuple(range(-rank, 0)))
    return out


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_max_pool(rank: int):
    kernel, step, pad = (3, 2, 2)[:rank], (2, 1, 2)[:rank], (1, 0, 1)[:rank]
    x = numbers(2, 3, *SPACES[rank])
    function = getattr(df, f"max_pool{rank}d")
    found = function(x, kernel, step, pad)
    np.testing.assert_array_equal(found.numpy(), pooled(x.numpy(), kernel, step, pad, 1, np.nanmax))
    found = function(x[0], 2, dilation=2)
    wanted = pooled(x[0].numpy(), (2,) * rank, (2,) * rank, (0,) * rank, 2, np.nanmax)
    np.testing.assert_array_equal(found.numpy(), wanted)
    whole = df.asarray(np.arange(5 * 4**rank).reshape(5, *(4,) * rank) - 90)
    found = function(whole, 2, padding=1)
    assert found.dtype == whole.dtype
    wanted = pooled(whole.numpy(), (2,) * rank, (2,) * rank, (1,) * rank, 1, np.nanmax)
    np.testing.assert_array_equal(found.numpy(), wanted)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_avg_pool(rank: int):
    kernel, step, pad = (3, 2, 2)[:rank], (2, 1, 2)[:rank], (1, 0, 1)[:rank]
    x = numbers(2, 3, *SPACES[rank])
    function = getattr(df, f"avg_pool{rank}d")
    found = function(x, kernel, step, pad, count_include_pad=False)
    np.testing.assert_allclose(found.numpy(), pooled(x.numpy(), kernel, step, pad, 1, np.nanmean))
    total = pooled(x.numpy(), kernel, step, pad, 1, np.nansum)
    found = function(x, kernel, step, pad)
    np.testing.assert_allclose(found.numpy(), total / np.prod(kernel))


def test_adaptive_pooling():
    x = numbers(2, 3, 6, 7)
    for name, fold in (("avg", np.mean), ("max", np.max)):
        function = getattr(df, f"adaptive_{name}_pool2d")
        found = function(x, (3, None))
        wanted = fold(x.numpy().reshape(2, 3, 3, 2, 7), axis=3)
        np.testing.assert_allclose(found.numpy(), wanted)
        found = function(x, (1, 3))
        parts = [x.numpy()[..., a:b] for a, b in ((0, 3), (2, 5), (4, 7))]
        wanted = np.stack([fold(part, axis=(-2, -1)) for part in parts], -1)[..., None, :]
        np.testing.assert_allclose(found.numpy(), wanted)
        line = getattr(df, f"adaptive_{name}_pool1d")(x[0, 0], 2)
        np.testing.assert_allclose(line.numpy()[:, 1], fold(x.numpy()[0, 0, :, 3:], axis=-1))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: df.max_pool2d(x, 2),
        lambda x: df.max_pool2d(x, 3, 2, 1),
        lambda x: df.avg_pool2d(x, 3, 1, 1),
        lambda x: df.avg_pool2d(x, 2, padding=1, count_include_pad=False),
        lambda x: df.adaptive_avg_pool2d(x, (2, 3)),
        lambda x: df.adaptive_max_pool2d(x, 2),
    ],
)
def test_gradients_of_pooling(function: Any):
    check_grads(lambda x: function(x) ** 2, numbers(1, 2, 4, 4), order=2, rtol=1e-4)


# Compiled ---------------------------------------------------------------------------------------


def network(x: df.Tensor, parameters: list[df.Tensor]) -> df.Tensor:
    """A convolution, pooling, another convolution."""
    first, bias, second = parameters
    x = df.max_pool2d(df.relu(df.conv2d(x, first, bias, padding="same")), 2)
    return df.sum(df.conv2d(x, second, stride=2) ** 2)


def test_a_network_compiled_with_its_gradient():
    shapes = [(4, 1, 3, 3), (4,), (6, 4, 3, 3)]
    parameters = [numbers(*s, dtype=np.float32, seed=i) * 0.1 for i, s in enumerate(shapes)]

    def step(x: df.Tensor, parameters: list[df.Tensor]) -> Any:
        return df.value_and_grad(lambda ps: network(x, ps))(parameters)

    f = df.compile(step, wait=True)
    for seed in range(3):
        x = numbers(3, 1, 12, 12, dtype=np.float32, seed=seed) * 0.1
        (value, gradients), (wanted, eager) = f(x, parameters), step(x, parameters)
        np.testing.assert_allclose(value.item(), wanted.item(), rtol=1e-5)
        for one, other in zip(gradients, eager, strict=True):
            scale = np.abs(other.numpy()).max()
            np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5 * scale)
    stats = f.stats()
    assert (stats["recordings"], stats["replays"], stats["co_executions"]) == (1, 2, 0)


@pytest.mark.parametrize("numerics", ["strict", "exact"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_eager_and_compiled_calls_have_the_same_bits(dtype: Any, numerics: Any):
    x, w = numbers(3, 6, 9, 8, dtype=dtype) / 7, numbers(8, 3, 3, 2, dtype=dtype, seed=1) / 7
    x = df.transpose(x, (0, 1, 3, 2))[:, :, ::-1]

    def step(x: df.Tensor, w: df.Tensor) -> Any:
        out = df.conv2d(x, w, stride=(1, 2), padding=1, groups=2)
        back, turned = df.vjp(lambda x, w: df.conv2d(x, w, padding=1, groups=2), x, w)
        return out, back, *turned(df.ones_like(back))

    f = df.compile(step, wait=True)
    with df.config(numerics=numerics):
        f(x, w)
        for found, wanted in zip(f(x, w), step(x, w), strict=True):
            np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    assert f.stats()["replays"] == 1


def test_without_machine_code_numpy_serves(monkeypatch: pytest.MonkeyPatch):
    def fails(*given: Any) -> Any:
        raise CompileError("no machine code")

    x, w = numbers(1, 2, 5, 4), numbers(3, 2, 2, 3)
    wanted = df.conv2d(x, w)
    monkeypatch.setattr(alone, "prepare", fails)
    alone.forget()
    with pytest.raises(CompileError):
        df.conv2d(x, w)
    before = df.stats()["compiler_errors"]
    with df.config(on_compiler_error="eager"):
        for _ in range(2):
            np.testing.assert_allclose(df.conv2d(x, w).numpy(), wanted.numpy(), rtol=1e-12)
    assert df.stats()["compiler_errors"] == before + 1
    alone.forget()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: df.conv_transpose2d(x, df.ones((2, 3, 2, 2)), stride=2) * 2.0,
        lambda x: df.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda x: df.adaptive_max_pool2d(x, (3, 2)),
        lambda x: df.conv1d(x[0], df.ones((5, 1, 3)), padding="same", groups=5),
    ],
)
def test_compiled(function: Any):
    f = df.compile(function, wait=True)
    for seed in range(3):
        x = numbers(2, 2, 5, 6, dtype=np.float32, seed=seed)
        np.testing.assert_allclose(f(x).numpy(), function(x).numpy(), rtol=1e-6, atol=1e-6)
    stats = f.stats()
    assert (stats["recordings"], stats["replays"], stats["co_executions"]) == (1, 2, 0)


# Errors -----------------------------------------------------------------------------------------

X, W = df.ones((1, 2, 5, 5)), df.ones((3, 2, 3, 3))


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (ShapeError, "conv2d of .* with a kernel", lambda: df.conv2d(X, df.ones((3, 3, 3, 3)))),
        (ShapeError, "2 axes of space", lambda: df.conv2d(df.ones((5, 5)), W)),
        (ShapeError, "larger than the space", lambda: df.conv2d(X, df.ones((3, 2, 6, 3)))),
        (ShapeError, "bias", lambda: df.conv2d(X, W, df.ones(2))),
        (ShapeError, "in 2 groups", lambda: df.conv2d(X, W, groups=2)),
        (ArgumentError, "stride=0", lambda: df.conv2d(X, W, stride=0)),
        (ArgumentError, r"stride=\(1, 2, 3\)", lambda: df.conv2d(X, W, stride=(1, 2, 3))),
        (ArgumentError, "same", lambda: df.conv2d(X, W, stride=2, padding="same")),
        (ArgumentError, "padding='full'", lambda: df.conv2d(X, W, padding="full")),
        (ArgumentError, "padding=-1", lambda: df.conv2d(X, W, padding=-1)),
        (ShapeError, "conv_transpose2d", lambda: df.conv_transpose2d(X, W)),
        (ArgumentError, "output_padding", lambda: df.conv_transpose2d(
            X, df.ones((2, 1, 3, 3)), output_padding=1)),
        (ShapeError, "max_pool2d of", lambda: df.max_pool2d(df.ones(5), 2)),
        (ShapeError, "larger than the space", lambda: df.max_pool2d(X, 7)),
        (ArgumentError, "padding alone", lambda: df.max_pool2d(X, 2, padding=2)),
    ],
)  # fmt: skip
def test_bad_input(error: type, text: str, call: Any):
    with pytest.raises(error, match=text):
        call()
