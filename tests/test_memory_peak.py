"""What compiled training steps hold at the peak, beside what lives at once; what explain says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow import nn, optim
from dualflow.explain.text import size
from dualflow.schedule import assemble

MOST = 1.1  # times what lives at once


def normal(*shape: int, seed: int = 0) -> df.Tensor:
    numbers = np.random.default_rng(seed).normal(size=shape) * 0.1
    return df.tensor(numbers.astype(np.float32), requires_grad=seed > 0)


def network() -> tuple[list[df.Tensor], Callable[..., df.Tensor], tuple[df.Tensor, ...]]:
    net = nn.Sequential(
        nn.Linear(196, 256), nn.ReLU(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 10)
    )
    y = df.tensor(np.arange(128) % 10)
    return list(net.parameters()), lambda x: df.cross_entropy(net(x), y), (normal(128, 196),)


def images() -> tuple[list[df.Tensor], Callable[..., df.Tensor], tuple[df.Tensor, ...]]:
    kernels, last = normal(6, 1, 5, 5, seed=1), normal(6 * 14 * 14, 10, seed=2)
    y = df.tensor(np.arange(16) % 10)

    def loss(x: df.Tensor) -> df.Tensor:
        x = df.max_pool2d(df.relu(df.conv2d(x, kernels, padding=2)), 2)
        return df.cross_entropy(x.reshape((16, -1)) @ last, y)

    return [kernels, last], loss, (normal(16, 1, 28, 28),)


def attention() -> tuple[list[df.Tensor], Callable[..., df.Tensor], tuple[df.Tensor, ...]]:
    size = 32
    into, out, up, down = (
        normal(*shape, seed=i + 1)
        for i, shape in enumerate(((size, 96), (size, size), (size, 128), (128, size)))
    )

    def loss(x: df.Tensor) -> df.Tensor:
        q, k, v = df.split(df.layer_norm(x) @ into, 3, axis=-1)
        x = x + df.scaled_dot_product_attention(q, k, v) @ out
        x = x + df.gelu(df.layer_norm(x) @ up) @ down
        return (x * x).mean()

    return [into, out, up, down], loss, (normal(4, 64, size),)


@pytest.mark.parametrize("model", [network, images, attention], ids=lambda model: model.__name__)
@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_a_training_step_holds_little_more_than_lives_at_once(model: Any, kind: Any):
    parameters, loss_of, args = model()
    optimizer = kind(parameters, 0.01)

    @df.compile(wait=True)
    def step(*args: df.Tensor) -> float:
        optimizer.zero_grad()
        loss = loss_of(*args)
        loss.backward()
        optimizer.step()
        return loss.item()

    for _ in range(3):
        step(*args)
    report = step.report(*args)
    assert step.stats()["replays"] >= 2
    (section,) = report.sections
    assert section.program.needed > 0
    assert section.peak <= MOST * section.peak_least
    assert 0 <= section.scratch <= 1 << 20
    assert f"{size(section.peak)} at the peak" in step.explain(*args)


def test_results_are_those_of_the_eager_run_where_outputs_lend_memory(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(assemble, "WASTEFUL", 0.0)
    parameters, loss_of, args = network()
    gradients = df.grad(lambda *held: loss_of(*args) + sum((x * x).sum() for x in held))

    def all_of_them(*held: df.Tensor) -> Any:
        loss = loss_of(*args)
        loss.backward()
        made = [x.grad for x in parameters]
        for x in parameters:
            x.grad = None
        return gradients(*held), made

    compiled = df.compile(all_of_them, wait=True)
    for _ in range(3):
        (eager, several), (found, made) = all_of_them(*args), compiled(*args)
        for one, other in zip((found, *made), (eager, *several), strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)
    assert compiled.stats()["replays"] == 2
    (section,) = compiled.report(*args).sections
    assert section.program is not None
    lent = [
        operand for step in section.program.steps for operand in step.operands
        if operand.buffer.place == "output" and operand.type.nbytes != operand.buffer.nbytes
    ]  # fmt: skip
    assert lent
