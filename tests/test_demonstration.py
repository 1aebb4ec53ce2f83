"""The main job: digits learnt in both modes with the same losses, and what its step compiles to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.data import Batches
from dualflow.inspect import demonstration

EPOCH = 23  # steps: 1438 images in batches of 64, the last one smaller


def losses_of_an_epoch(dtype: Any, wrap: Callable[..., Any]) -> tuple[list[float], Any]:
    """The losses of one epoch, and the step."""
    (images, labels), _ = demonstration.split_digits(dtype)
    model = demonstration.digits_model(3, dtype=dtype)
    step = wrap(demonstration.make_step(model, demonstration.digits_optimizer(model)))
    batches = Batches(images, labels, size=64, generator=df.random.Generator(4))
    return [step(*batch).item() for batch in batches], step


@pytest.mark.parametrize(("dtype", "bound"), [(df.float32, 1e-3), (df.float64, 1e-9)])
def test_losses_of_an_epoch_are_the_same(dtype, bound):
    before = df.stats()
    found, step = losses_of_an_epoch(dtype, lambda fn: df.compile(fn, wait=True))
    after = df.stats()
    wanted, _ = losses_of_an_epoch(dtype, lambda fn: fn)
    np.testing.assert_allclose(found, wanted, rtol=bound)
    assert wanted[-1] < 0.7 * wanted[0]
    stats = step.stats()
    assert stats["calls"] == EPOCH
    assert stats["co_executions"] == stats["eager_calls"] == 0
    assert stats["replays"] >= EPOCH - 4  # recorded: first and second step, and the smaller batch
    assert after["kernel_launches"] - before["kernel_launches"] > 3 * stats["replays"]
    assert after["library_calls"] - before["library_calls"] > 3 * stats["replays"]


def test_the_step_is_compiled_whole():
    _, step = losses_of_an_epoch(None, lambda fn: df.compile(fn, wait=True))
    report = step.report()
    assert report.reasons == ()
    (section,) = report.sections
    names = {node.op.name for node in section.graph.nodes}
    assert {"matmul", "exp", "sqrt", "where", "sum"} <= names  # forward, backward, optimizer
    assert section.library_calls == 8  # three layers: 3 forward, 3 + 2 backward
    assert section.kernels <= 20
    assert section.kernels + section.library_calls < len(section.graph.nodes) / 4


def test_compiled_training_learns():
    found = demonstration.train(lambda fn: df.compile(fn, wait=True), epochs=20)
    assert found.accuracy >= 0.96
    assert len(found.losses) == 20 * EPOCH
    assert all(np.isfinite(found.losses))


def norm(x: df.Tensor) -> df.Tensor:
    return df.layer_norm(x)


def norm_with_weights(x: df.Tensor, weight: df.Tensor, bias: df.Tensor) -> df.Tensor:
    return df.layer_norm(x, weight=weight, bias=bias)


def softmax(x: df.Tensor) -> df.Tensor:
    return df.softmax(x, axis=-1)


def cross_entropy(x: df.Tensor, labels: df.Tensor) -> df.Tensor:
    return df.cross_entropy(x, labels, reduction="none")


NAMES = {
    softmax: "softmax",
    norm: "layer_norm",
    norm_with_weights: "layer_norm",
    cross_entropy: "cross_entropy",
}


def composite_inputs(function: Any, rows: int) -> tuple[df.Tensor, ...]:
    df.random.seed(rows)
    x = df.random.normal((rows, 33))
    if function is norm_with_weights:
        return x, df.random.normal((33,)), df.random.normal((33,))
    if function is cross_entropy:
        return x, df.random.integers(0, 33, (rows,))
    return (x,)


@pytest.mark.parametrize("function", NAMES)
def test_composites_are_one_kernel(function):
    compiled = df.compile(function, wait=True)
    for rows in (8, 8, 8, 21, 21):
        args = composite_inputs(function, rows)
        np.testing.assert_allclose(
            compiled(*args).numpy(), function(*args).numpy(), rtol=2e-5, atol=2e-6
        )
    assert compiled.stats()["replays"] == 3
    (section,) = compiled.report().sections
    assert section.kernels == 1
    assert section.library_calls == 0
    text = compiled.explain()
    assert "replay" in text.splitlines()[0]
    assert "1 kernel launches of 1 kernels, 0 library calls" in text
    assert text.count("def kernel(") == 1
    assert f"# {function.__name__}:" in text  # the user's lines
    assert f"return df.{NAMES[function]}(" in text


@pytest.mark.parametrize("function", [softmax, norm_with_weights, cross_entropy])
def test_another_batch_size_compiles_no_kernel(function):
    compiled = df.compile(function, wait=True)
    compiled(*composite_inputs(function, 8))
    before = df.stats()
    for rows in (16, 16, 5, 5):
        args = composite_inputs(function, rows)
        np.testing.assert_allclose(
            compiled(*args).numpy(), function(*args).numpy(), rtol=2e-5, atol=2e-6
        )
    after = df.stats()
    assert compiled.stats()["replays"] == 2
    assert after["kernels_compiled"] == before["kernels_compiled"]
    assert after["kernels_loaded"] == before["kernels_loaded"]
    assert after["kernel_launches"] == before["kernel_launches"] + 2


def mean_cross_entropy(x: df.Tensor, labels: df.Tensor) -> df.Tensor:
    return df.cross_entropy(x, labels)


def test_a_mean_over_rows_reads_the_logits_once():
    compiled = df.compile(mean_cross_entropy, wait=True)
    for _ in range(2):
        compiled(*composite_inputs(cross_entropy, 64))
    assert compiled.stats()["replays"] == 1
    (section,) = compiled.report().sections
    assert section.kernels == 1
    assert section.library_calls == 0
    assert section.bytes_moved < 1.1 * section.bytes_least


def make_training(dtype: Any) -> tuple[Any, Any, Any]:
    """A step of a small network with layers of every kind, its model and its optimizer."""
    generator = df.random.Generator(1)
    model = df.nn.Sequential(
        df.nn.Linear(6, 16, dtype=dtype, generator=generator),
        df.nn.LayerNorm(16, dtype=dtype),
        df.nn.GELU(),
        df.nn.Linear(16, 3, dtype=dtype, generator=generator),
    )
    optimizer = df.optim.Adam(model.parameters(), lr=0.01)

    def step(x: df.Tensor, labels: df.Tensor) -> df.Tensor:
        optimizer.zero_grad()
        loss = df.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, model, optimizer


@pytest.mark.parametrize("dtype", [df.float32, df.float64])
def test_a_training_step_is_compiled_whole_for_two_batch_sizes(dtype):
    plain, other, _ = make_training(dtype)
    step, model, _ = make_training(dtype)
    compiled = df.compile(step, wait=True)
    rng = np.random.default_rng(0)
    known = None
    for number, rows in enumerate([8, 8, 8, 12, 12, 12, 8]):
        x = df.tensor(rng.standard_normal((rows, 6)).astype(dtype))
        labels = df.tensor(rng.integers(0, 3, rows))
        before = df.stats()
        found, wanted = compiled(x, labels), plain(x, labels)
        after = df.stats()
        tolerance = 1e-4 if dtype == df.float32 else 1e-10
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=tolerance)
        for one, two in zip(model.parameters(), other.parameters(), strict=True):
            np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=tolerance, atol=tolerance)
            np.testing.assert_allclose(
                one.grad.numpy(), two.grad.numpy(), rtol=tolerance, atol=tolerance
            )
        if number == 2:
            known = after["kernels_compiled"], after["kernels_loaded"]
        if number > 2:
            assert (after["kernels_compiled"], after["kernels_loaded"]) == known
        if compiled.stats()["replays"] and number in (2, 5, 6):
            assert after["kernel_launches"] > before["kernel_launches"]
            assert after["library_calls"] >= before["library_calls"] + 5
    stats = compiled.stats()
    assert stats["co_executions"] == stats["eager_calls"] == 0
    assert stats["replays"] >= 3
    assert compiled.report().reasons == ()
    assert len(compiled.report().sections) == 1
