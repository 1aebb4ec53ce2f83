"""`np.fft` in compiled NumPy programs: NumPy's bits, layout and errors, as native transforms."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df

ALONG = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
TOGETHER = ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn")
#: what stands in a graph where NumPy is called
CALLED = "= p.numpy("
LAYOUTS = (lambda a: a, lambda a: a.T, lambda a: a[::-1], np.asfortranarray)


def numbers(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = 5 * random.standard_normal((2, *shape))
    return (values[0] + 1j * values[1] if dtype[0] == "c" else values[0]).astype(dtype)


def as_numpy(function, array: np.ndarray) -> str:
    """The explanation; asserts that a replay gives what NumPy gives."""
    fast = df.compile(function, wait=True)
    wanted = function(array)
    for _ in range(3):
        found = fast(array)
        assert type(found) is np.ndarray
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        assert found.tobytes() == wanted.tobytes()
        wide = [n for n, size in enumerate(found.shape) if size > 1]
        assert [found.strides[n] for n in wide] == [wanted.strides[n] for n in wide]
    assert fast.stats()["replays"] == 2
    return fast.explain()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ALONG)
def test_transforms_along_an_axis(name, seed):
    random = np.random.default_rng(seed)
    transform = getattr(np.fft, name)
    dtype = str(random.choice(["f8", "i8", "i2"] if name in ("rfft", "ihfft") else ["f8", "c16"]))
    norm = (None, "backward", "ortho", "forward")[seed]
    n, axis = int(random.integers(1, 12)), int(random.integers(-3, 3))
    array = LAYOUTS[seed](numbers(random, (3, 4, 5), dtype))
    text = as_numpy(lambda x: transform(x, n, axis, norm=norm), array)
    assert CALLED not in text
    assert CALLED not in as_numpy(lambda x: transform(x), array)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", TOGETHER)
def test_transforms_along_several_axes(name, seed):
    random = np.random.default_rng(seed)
    transform = getattr(np.fft, name)
    array = LAYOUTS[seed](numbers(random, (4, 3, 6), "f8"))
    sizes = tuple(map(int, random.integers(2, 7, 2)))
    assert CALLED not in as_numpy(lambda x: transform(x, sizes, (-1, 0)), array)


@pytest.mark.parametrize("dtype", ["f4", "c8"])
def test_single_precision_is_numpy_s_own(dtype):
    array = numbers(np.random.default_rng(0), (12,), dtype)
    assert CALLED in as_numpy(np.fft.fft, array)


def test_errors_are_numpy_s():
    array = numbers(np.random.default_rng(0), (4,), "c16")
    for function in (np.fft.rfft, lambda x: np.fft.fft(x, 0), lambda x: np.fft.fft(x, axis=1)):
        with pytest.raises(Exception) as wanted:  # noqa: PT011
            function(array)
        fast = df.compile(function, wait=True)
        for _ in range(2):
            with pytest.raises(type(wanted.value)) as found:
                fast(array)
            assert str(found.value) == str(wanted.value)
