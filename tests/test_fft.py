"""df.fft: values against NumPy, sizes and norms, gradients to order 2, compiled calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.autograd.check import check_grads
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError
from dualflow.ops import primitives

NORMS = ["backward", "ortho", "forward"]
RNG = np.random.default_rng(0)


def numbers(*shape: int, dtype: Any = np.complex128, seed: int = 0) -> df.Tensor:
    parts = np.random.default_rng(seed).standard_normal((2, *shape))
    x = parts[0] + 1j * parts[1] if np.dtype(dtype).kind == "c" else parts[0]
    return df.asarray(x.astype(dtype))


def close(found: df.Tensor, wanted: np.ndarray) -> None:
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    eps = float(np.finfo(wanted.dtype).eps)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=200 * eps)


REAL_INPUT = ("rfft", "ihfft", "rfftn", "rfft2")
ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
SEVERAL = ("fftn", "ifftn", "rfftn", "irfftn")
TWO = ("fft2", "ifft2", "rfft2", "irfft2")


def given(name: str, dtype: str) -> df.Tensor:
    kind = "float" if name in REAL_INPUT else "complex"
    return numbers(3, 4, 5, dtype=f"{kind}{int(dtype) * (1 if kind == 'float' else 2)}")


@pytest.mark.parametrize("dtype", ["32", "64"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ONE)
def test_along_one_axis(name: str, norm: str, dtype: str):
    x = given(name, dtype)
    for options in ({}, {"axis": 0}, {"n": 3, "axis": 1}, {"n": 8}, {"n": 7}):
        found = getattr(df.fft, name)(x, norm=norm, **options)
        close(found, getattr(np.fft, name)(x.numpy(), norm=norm, **options))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", SEVERAL + TWO)
def test_along_several_axes(name: str, norm: str):
    x = given(name, "64")
    choices: list[dict[str, Any]] = [{}, {"s": (2, 6), "axes": (2, 0)}]
    choices += [{"axes": (1, 0)}, {"axes": (1,)}] if name in SEVERAL else []
    for options in choices:
        found = getattr(df.fft, name)(x, norm=norm, **options)
        close(found, getattr(np.fft, name)(x.numpy(), norm=norm, **options))


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_frequencies_and_shifts(n: int):
    close(df.fft.fftfreq(n, 0.5, dtype=df.float64), np.fft.fftfreq(n, 0.5))
    close(df.fft.rfftfreq(n, d=2.0, dtype=df.float64), np.fft.rfftfreq(n, 2.0))
    assert df.fft.fftfreq(n).dtype == df.float32
    x = numbers(n, 3)
    for name in ("fftshift", "ifftshift"):
        for axes in (None, 0, (1, 0)):
            found = getattr(df.fft, name)(x, axes)
            np.testing.assert_array_equal(found.numpy(), getattr(np.fft, name)(x.numpy(), axes))


def test_dtypes():
    assert df.fft.fft(df.asarray([1, 2])).dtype == df.complex64
    assert df.fft.fft(df.asarray([1.0, 2.0])).dtype == df.complex64
    assert df.fft.irfft(df.asarray([1.0, 2.0])).dtype == df.float32


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (DTypeError, "rfft of complex128", lambda: df.fft.rfft(numbers(3))),
        (DTypeError, "fft of float16", lambda: df.fft.fft(df.ones(3, dtype=df.float16))),
        (ShapeError, "fft of 0 values", lambda: df.fft.fft(numbers(3), n=0)),
        (ShapeError, "irfft to 0 values", lambda: df.fft.irfft(numbers(1))),
        (ShapeError, "without axes", lambda: df.fft.fft(df.asarray(1.0))),
        (ShapeError, "axis 2", lambda: df.fft.fft(numbers(3), axis=2)),
        (ShapeError, "2 sizes along 1 axes", lambda: df.fft.fftn(numbers(3), s=(1, 2), axes=(0,))),
        (ArgumentError, "norm='all'", lambda: df.fft.fft(numbers(3), norm="all")),
        (ShapeError, "at least one", lambda: df.fft.fftfreq(0)),
    ],
)
def test_bad_input(error: type, text: str, call: Any):
    with pytest.raises(error, match=text):
        call()


def parts(x: df.Tensor) -> list[df.Tensor]:
    return [x.real, x.imag] if x.dtype.kind == "c" else [x]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [5, 6])
@pytest.mark.parametrize("name", ONE)
def test_gradients(name: str, n: int, norm: str):
    function = getattr(df.fft, name)
    x, y = numbers(2, 4, dtype=np.float64), numbers(2, 4, dtype=np.float64, seed=1)
    check_grads(lambda x: parts(function(x, n, norm=norm)), x, order=2, rtol=1e-4)
    if name not in REAL_INPUT:
        check_grads(
            lambda x, y: parts(function(x + y * 1j, n, axis=0, norm=norm)), x, y,
            order=2, rtol=1e-4,
        )  # fmt: skip


@pytest.mark.parametrize("name", [*SEVERAL, "fftshift", "ifftshift"])
def test_gradients_along_several_axes(name: str):
    function = getattr(df.fft, name)
    check_grads(lambda x: parts(function(x)), numbers(3, 2, dtype=np.float64), order=2, rtol=1e-4)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft"])
def test_forward_rules_apply_the_transform_to_the_tangent(name: str):
    op = getattr(primitives, name).op
    attributes: dict[str, Any] = {"axis": 1, "norm": "ortho"}
    if name == "irfft":
        attributes["n"] = 6
    x = given(name, "64")
    tangent = df.asarray(RNG.standard_normal((3, 4, 5))).astype(x.dtype)
    found = op.forward((tangent,), None, x, **attributes)
    np.testing.assert_allclose(found.numpy(), op.numpy(tangent.numpy(), **attributes))


@pytest.mark.parametrize("name", ONE + SEVERAL)
def test_compiled(name: str):
    f = df.compile(lambda x: getattr(df.fft, name)(x * 2.0) + 1.0, wait=True)
    for seed in range(3):
        x = numbers(4, 6, dtype=np.float32 if name in REAL_INPUT else np.complex64, seed=seed)
        wanted = getattr(np.fft, name)(x.numpy() * 2) + 1
        found = f(x)
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4, atol=1e-4)
    stats = f.stats()
    assert (stats["recordings"], stats["replays"], stats["co_executions"]) == (1, 2, 0)


def test_a_filter_compiled_with_its_gradient():
    """A low pass by rfft and irfft: kernels between library calls, and the way back."""

    def energy(x: df.Tensor) -> df.Tensor:
        spectrum = df.fft.rfft(x)
        kept = df.where(df.fft.rfftfreq(x.shape[0]) < 0.25, 1.0, 0.0)
        return df.sum(df.fft.irfft(spectrum * kept, n=x.shape[0]) ** 2)

    f = df.compile(df.value_and_grad(energy), wait=True)
    for seed in range(3):
        x = numbers(16, dtype=np.float32, seed=seed)
        value, gradient = f(x)
        spectrum = np.fft.rfft(x.numpy())
        low = np.fft.irfft(np.where(np.fft.rfftfreq(16) < 0.25, spectrum, 0), 16)
        np.testing.assert_allclose(value.item(), (low**2).sum(), rtol=1e-5)
        np.testing.assert_allclose(gradient.numpy(), 2 * low, atol=1e-5)
    assert f.stats()["replays"] == 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize(("size", "axis"), [(1, 1), (2, 1), (15, 0), (16, 0), (243, 1), (1000, 1)])
def test_compiled_transforms_are_of_the_precision_of_their_operands(
    size: int, axis: int, norm: Any, dtype: str
):
    rng, how = np.random.default_rng(size), dict[str, Any](axis=axis, norm=norm)
    shape = (size, 3) if axis == 0 else (3, size)
    x = rng.standard_normal(shape).astype(dtype)
    z = (x + 1j * rng.standard_normal(shape)).astype(
        "complex64" if dtype == "float32" else "complex128"
    )

    def transforms(x: df.Tensor, z: df.Tensor) -> tuple[df.Tensor, ...]:
        half = df.fft.rfft(x, **how)
        return (
            half, df.fft.irfft(half, n=size, **how), df.fft.fft(z, **how), df.fft.ifft(z, **how)
        )  # fmt: skip

    fast = df.compile(transforms, wait=True)
    given = df.tensor(x), df.tensor(z)
    with df.config(on_compiler_error="raise"):
        fast(*given)
        found = fast(*given)
    assert fast.stats()["replays"] == 1
    wide = x.astype(np.float64), z.astype(np.complex128)
    wanted = (np.fft.rfft(wide[0], **how), wide[0], np.fft.fft(wide[1], **how),
              np.fft.ifft(wide[1], **how))  # fmt: skip
    for one, two in zip(found, wanted, strict=True):
        one = np.asarray(one)
        assert one.dtype.itemsize == two.dtype.itemsize // (2 if dtype == "float32" else 1)
        assert np.abs(one - two).max() <= 8 * np.finfo(dtype).eps * np.abs(two).max()


def test_exact_transforms_are_numpys():
    x = np.random.default_rng(0).standard_normal(600).astype(np.float32)
    with df.config(numerics="exact", on_compiler_error="raise"):
        fast = df.compile(lambda x: df.fft.rfft(x), wait=True)
        fast(df.tensor(x))
        assert np.asarray(fast(df.tensor(x))).tobytes() == np.fft.rfft(x).tobytes()
    assert fast.stats()["replays"] == 1


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("shape", "axis"), [((300, 64), 1), ((64, 300), 0), ((7, 33, 50), 1), ((4096, 8), 1)]
)
def test_many_lines_are_numpy_s_whatever_the_number_of_threads(shape, axis, threads):
    random = np.random.default_rng(0)
    given = random.standard_normal((2, *shape))
    numbers, reals = df.asarray(given[0] + 1j * given[1]), df.asarray(given[0])
    with df.config(threads=threads):
        for function, x in ((df.fft.ifft, numbers), (df.fft.rfft, reals)):
            fast = df.compile(lambda x, of=function: of(x, axis=axis), wait=True)
            fast(x)
            found = fast(x).numpy()
            assert fast.stats()["replays"] == 1
            assert (found == getattr(np.fft, function.__name__)(x.numpy(), axis=axis)).all()
