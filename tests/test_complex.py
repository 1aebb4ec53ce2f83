"""Complex numbers: promotion, scalars, interchange, errors, gradients, compiled functions."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import dualflow as df
from dualflow import errors

RNG = np.random.default_rng(11)


def draw(*shape: int) -> df.Tensor:
    return df.asarray(RNG.normal(size=shape) + 1j * RNG.normal(size=shape))


@pytest.mark.parametrize(
    ("a", "b", "joined"),
    [
        ("float32", "complex64", "complex64"),
        ("float64", "complex64", "complex128"),
        ("float16", "complex64", "complex64"),
        ("int64", "complex64", "complex64"),
        ("bool", "complex128", "complex128"),
        ("float32", "complex128", "complex128"),
    ],
)
def test_promotion(a: str, b: str, joined: str):
    assert (df.ones(2, a) + df.ones(2, b)).dtype == joined
    assert (df.ones(2, b) * df.ones(2, a)).dtype == joined
    assert df.where(df.asarray(True), df.ones(2, a), df.ones(2, b)).dtype == joined
    assert df.concat([df.ones(2, a), df.ones(2, b)]).dtype == joined


def test_python_scalars_are_weak():
    assert (df.ones(2) * 1j).dtype == df.complex64
    assert (df.ones(2, "float64") + 1j).dtype == df.complex128
    assert (1j - df.asarray([1, 2])).dtype == df.complex64
    assert (df.asarray([1j]) * 2.5).dtype == df.complex64
    assert (df.asarray([True]) * 1j).dtype == df.complex64
    assert df.asarray([1j, 2.0]).dtype == df.complex64
    assert df.full((2,), 1j).tolist() == [1j, 1j]
    x = df.zeros(3, "complex64")
    x[0], x[1] = 2j, 1
    x[2:] = [3 - 1j]
    assert x.tolist() == [2j, 1, 3 - 1j]


def test_what_leaves_python():
    z = df.asarray([1 + 2j, -0.5j])
    assert repr(z) == "Tensor([ 1.+2.j , -0.-0.5j], shape=(2,), dtype=complex64, device=cpu)"
    assert z[0].item() == complex(z[0]) == 1 + 2j
    assert np.shares_memory(z.numpy(), df.from_dlpack(z).numpy())
    assert pickle.loads(pickle.dumps(z)).tolist() == z.tolist()
    assert (z.real.tolist(), z.imag.tolist()) == ([1.0, 0.0], [2.0, -0.5])
    assert not np.shares_memory(z.real.numpy(), z.numpy())
    x = df.ones(2)
    assert df.conj(x) is x
    assert z.conj().tolist() == [1 - 2j, 0.5j]
    assert df.angle(df.asarray([-1.0, 1.0])).tolist() == pytest.approx([np.pi, 0.0])


def test_what_has_no_meaning():
    z, x = df.asarray([1j]), df.ones(1)
    for function in (df.less, df.maximum, df.floor_divide, df.atan2, df.bitwise_and):
        with pytest.raises(errors.DTypeError, match=r"complex|bitwise"):
            function(z, x)
    for function in (df.sort, df.max, df.argmin, df.floor, df.erf, df.signbit):
        with pytest.raises(errors.DTypeError):
            function(z)
    for call in (
        lambda: z.astype("float32"),
        lambda: df.full((2,), 1j, "float32"),
        lambda: df.pad(x, 1, 1j),
    ):
        with pytest.raises(errors.DTypeError):
            call()
    with pytest.raises(errors.DTypeError, match="storing"):
        x[0] = 1j
    with pytest.raises(errors.DTypeError, match="storing"):
        x[:] = z
    with pytest.raises(TypeError):
        float(z)


GRADIENTS = {
    "product": lambda z, w: df.prod(z * w, axis=1),
    "running product": lambda z, w: df.cumulative_prod(z, axis=1) * w,
    "running sum": lambda z, w: df.cumulative_sum(z * z, axis=0) * w,
    "matrices": lambda z, w: z @ w.mT.conj(),
    "vectors": lambda z, w: df.vecdot(z, w),
    "sizes": lambda z, w: df.abs(z) * w,
    "parts": lambda z, w: z.real * w.imag + df.imag(z * w),
    "angles": lambda z, w: df.angle(z) * df.angle(w),
    "directions": lambda z, w: df.sign(z) / w,
    "powers": lambda z, w: z**3 + w**0.5 + (z + 3.0) ** w,
    "mixed": lambda z, w: (z.real * w + df.exp(z) * w.real) * 2j,
    "choice": lambda z, w: df.where(df.abs(z) < 1.0, z * w, z.real),
    "moves": lambda z, w: df.concat([z[:, ::-1], w.T.reshape((2, 3))], axis=1) * 1.5,
    "spread": lambda z, w: df.var(z, axis=1) + df.std(w, axis=1) + df.mean(z * w, axis=1),
    "picks": lambda z, w: df.take(z, df.asarray([2, 0, 2]), axis=1) * w,
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str):
    df.check_grads(GRADIENTS[name], draw(2, 3), draw(2, 3), order=2, rtol=1e-4)


def test_the_convention():
    """dL/dRe + i dL/dIm: a step against it makes a real L smaller."""
    z = df.tensor([3 + 4j], requires_grad=True)
    (df.abs(z) ** 2).sum().backward()
    assert z.grad.tolist() == pytest.approx([6 + 8j])
    x = df.tensor([2.0], requires_grad=True)
    df.abs(x * (1 + 1j)).sum().backward()
    assert x.grad.dtype == df.float32
    assert x.grad.tolist() == pytest.approx([2**0.5])


@pytest.mark.parametrize("name", GRADIENTS)
def test_compiled(name: str):
    function = GRADIENTS[name]

    @df.compile(wait=True)
    def step(z, w):
        return function(z, w), df.grad(lambda v: df.abs(function(v, w)).sum())(z)

    z, w = draw(2, 3), draw(2, 3)
    with df.config(on_compiler_error="raise"):
        wanted = step(z, w)
        for _ in range(2):
            found = step(z, w)
    assert step.stats()["replays"] == 2
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-14)


def test_scalars_are_constants_of_a_trace():
    @df.compile(wait=True)
    def turn(x, by):
        return x * by

    x = df.ones(2)
    for by in (1j, 2j, complex(0.0, -0.0), complex(-0.0, 0.0), 1j, 3.0):
        with df.config(on_compiler_error="raise"):
            assert turn(x, by).dtype == (df.complex64 if type(by) is complex else df.float32)
            found = turn(x, by).numpy()
        wanted = (x * by).numpy()
        assert found.tobytes() == wanted.tobytes()
    assert turn.stats()["replays"] >= 6


def test_constants_in_a_deferred_call():
    """Zeros of both signs are different constants, too, where a function is co-executed."""

    @df.compile(wait=True)
    def turn(x, parts):
        by = complex(*(float(text) for text in parts.split(",")))
        return x + by, df.full((2,), by)

    x = df.zeros(2, "complex64") - 0.0
    for parts in ("1.0,0.0", "1.0,-0.0", "-0.0,-0.0", "0.0,0.0") * 2:
        found = turn(x, parts)
        wanted = turn.__wrapped__(x, parts)
        for one, other in zip(found, wanted, strict=True):
            assert one.numpy().tobytes() == other.numpy().tobytes()
    stats = turn.stats()
    assert stats["replays"] + stats["co_executions"] >= 4
