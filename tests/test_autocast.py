"""Mixed precision and loss scaling."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import dualflow as df
from dualflow import errors, nn


@pytest.mark.parametrize("dtype", [df.float16, df.bfloat16], ids=str)
def test_products_are_narrow_and_sums_wide(dtype):
    x, w = df.ones((4, 8)), df.ones((8, 3)).requires_grad_()
    image, kernel = df.ones((1, 2, 5, 5)), df.ones((3, 2, 3, 3))
    with df.autocast(dtype):
        y = x @ w
        assert y.dtype == df.conv2d(image, kernel).dtype == dtype
        assert (y + x[:, :3]).dtype == df.float32
        for made in (df.softmax(y), df.layer_norm(y), df.mse_loss(y, y),
                     df.cross_entropy(y, df.asarray([0, 1, 2, 0]))):  # fmt: skip
            assert made.dtype == df.float32
        with df.autocast(enabled=False):
            assert (x @ w).dtype == df.float32
        assert (x.astype(df.float64) @ w.astype(df.float64)).dtype == df.float64
        df.mean(y * 1.0).backward()
    assert w.grad.dtype == df.float32
    np.testing.assert_allclose(w.grad.tolist(), np.full((8, 3), 1 / 3), rtol=df.finfo(dtype).eps)
    assert (x @ w).dtype == df.float32
    for other in (df.float64, df.float8_e5m2, df.int16):
        with pytest.raises(errors.DTypeError, match=f"autocast to {other.name}"):
            df.autocast(other)


def test_it_is_a_guard_of_compiled_functions():
    f = df.compile(lambda x: x @ x, wait=True)
    x = df.ones((3, 3))
    for _ in range(3):
        assert f(x).dtype == df.float32
        with df.autocast():
            assert f(x).dtype == df.float16
        with df.autocast(df.bfloat16):
            assert f(x).dtype == df.bfloat16
    assert f.stats()["recordings"] == 3
    assert f.stats()["replays"] == 6


def test_it_holds_for_one_thread():
    f = df.compile(lambda x: x @ x, wait=True)
    x = df.ones((3, 3))
    found: list[str] = []

    def other() -> None:
        found.extend([(x @ x).dtype.name, *(f(x).dtype.name for _ in range(3))])

    mixed = df.autocast()
    for _ in range(3):
        f(x)
        with mixed:
            assert f(x).dtype == df.float16
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            assert (x @ x).dtype == df.float16
    assert set(found) == {"float32"}
    assert f.stats()["recordings"] == 2


@pytest.mark.parametrize("dtype", [df.float16, df.bfloat16], ids=str)
def test_a_model_learns_in_mixed_precision_as_in_single(dtype):
    def losses(mixed: bool) -> list[float]:
        df.random.seed(0)
        model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
        optimizer, scaler = df.optim.Adam(model.parameters(), 0.02), df.optim.GradScaler()
        x, y = df.random.normal((32, 6)), df.random.integers(0, 3, (32,))

        @df.compile(wait=True)
        def step(x, y):
            optimizer.zero_grad()
            with df.autocast(dtype, enabled=mixed):
                loss = df.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            return loss.detach()

        found = [step(x, y).item() for _ in range(25)]
        assert step.stats()["replays"] >= 20
        return found

    mixed, single = losses(True), losses(False)
    np.testing.assert_allclose(mixed, single, rtol=0.02)
    assert mixed[-1] < 0.8 * mixed[0]


def test_steps_that_overflow_are_left_out_and_the_factor_falls_and_grows():
    w = df.tensor([1.0], requires_grad=True)
    optimizer = df.optim.SGD([w], 0.5)
    scaler = df.optim.GradScaler(scale=8.0, interval=2)

    def step(slope: float) -> bool:
        optimizer.zero_grad()
        scaler.scale((w * slope).sum()).backward()
        return scaler.step(optimizer)

    assert [step(1.0), step(float("inf")), step(1.0)] == [True, False, True]
    assert (w.item(), scaler.factor.item()) == (0.0, 4.0)
    assert step(1.0)
    assert (scaler.factor.item(), scaler.steps.item()) == (8.0, 0)
    with pytest.raises(errors.ArgumentError, match="growth above 1"):
        df.optim.GradScaler(growth=1.0)
