"""Running sums and products run by texts of our own: NumPy's bits, whatever lies where."""

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
