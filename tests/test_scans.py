"""Scans run by texts of our own: NumPy's bits, whatever lies where."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow.ir.program import Call
from dualflow.runtime import cpu


@pytest.fixture(autouse=True)
def no_python(monkeypatch):
    """Calls that Python would run fail."""

    def refuse(step: Call, layout: object) -> None:
        raise AssertionError(f"{step.op.name} is left to Python")

    monkeypatch.setattr(cpu, "PythonCall", refuse)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(9, 30, 1), (3, 5, 4), (1, 1, 7), (6, 1, 2)])
def test_scans_have_the_bits_of_numpy(shape, axis, dtype):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    x[0, 0, 0] = -0.0
    x[-1, -1, -1] = 1e30

    @df.compile(wait=True)
    def both(x):
        return df.cumsum(x * 3.0, axis=axis), df.cumprod(x, axis=axis)

    given = df.asarray(x)
    both(given)
    found = both(given)
    assert both.stats()["replays"] == 1
    scale = np.asarray(3.0, dtype)
    for one, other in zip(found, (np.cumsum(x * scale, axis), np.cumprod(x, axis)), strict=True):
        assert one.numpy().tobytes() == other.tobytes()


@pytest.mark.parametrize("axis", [0, 1])
def test_running_extremes_and_logarithms(axis):
    x = np.random.default_rng(0).normal(size=(5, 30)).astype("float32")
    x[1, 7], x[2, :3] = np.nan, -np.inf

    @df.compile(wait=True)
    def three(x):
        return (df.cumulative_max(x * 1.5, axis), df.cumulative_min(x, axis),
                df.cumulative_logsumexp(x, axis))  # fmt: skip

    with np.errstate(invalid="ignore"):
        three(df.asarray(x))
        found = [tensor.numpy() for tensor in three(df.asarray(x))]
        logarithms = np.logaddexp.accumulate(x, axis)
    assert three.stats()["replays"] == 1
    assert found[0].tobytes() == np.maximum.accumulate(x * np.float32(1.5), axis).tobytes()
    assert found[1].tobytes() == np.minimum.accumulate(x, axis).tobytes()
    np.testing.assert_allclose(found[2], logarithms, 2e-6)


def test_running_extremes_of_numpy_programs():
    @df.compile(wait=True)
    def drop(x):
        return np.maximum.accumulate(x) - x, np.minimum.accumulate(x, axis=1)

    x = np.random.default_rng(0).normal(size=(20, 6))
    drop(x)
    high, low = drop(x)
    assert drop.stats()["replays"] == 1
    np.testing.assert_array_equal(high, np.maximum.accumulate(x) - x)
    np.testing.assert_array_equal(low, np.minimum.accumulate(x, 1))


def test_logarithms_of_integers_are_floats():
    fast = df.compile(lambda x: df.cumulative_logsumexp(x) * 1, wait=True)
    for run in (lambda x: df.cumulative_logsumexp(x) * 1, fast, fast):
        found = run(df.asarray([1, 2]))
        assert found.dtype == df.float32
        np.testing.assert_allclose(found.numpy(), [1, np.logaddexp(1, 2)], 1e-6)


def test_the_gradient_goes_where_an_extreme_was_reached_first():
    x = df.asarray([1.0, 3.0, 3.0, 2.0, np.nan, 5.0])
    g = df.asarray([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    found = df.grad(lambda x: (df.cumulative_max(x) * g).sum())(x)
    assert found.tolist()[:4] == [1.0, 14.0, 0.0, 0.0]
    far = df.asarray([-np.inf, 1000.0, 1001.0])
    found = df.grad(lambda x: (df.cumulative_logsumexp(x) * g[1:4]).sum())(far)
    np.testing.assert_allclose(found.numpy(), [0.0, 4 + 8 / (1 + np.e), 8 / (1 + 1 / np.e)], 1e-4)


def test_a_scan_of_a_view_and_its_gradient():
    x = df.asarray(np.random.default_rng(1).normal(size=(8, 12)))
    fast = df.compile(
        lambda x: df.grad(lambda x: (df.cumsum(x[2:6].T, axis=0) ** 2).sum())(x), wait=True
    )
    fast(x)
    found = fast(x).numpy()
    assert fast.stats()["replays"] == 1
    sums = np.cumsum(x.numpy()[2:6], axis=1)
    wanted = np.zeros((8, 12))
    wanted[2:6] = np.cumsum(2 * sums[:, ::-1], axis=1)[:, ::-1]
    np.testing.assert_allclose(found, wanted, 1e-12)
