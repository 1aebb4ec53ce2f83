"""The demonstration: a small network learns the handwritten digits that come with the package.

Comes in: nothing but a seed. Goes out: `Training`, with the loss of every step and the accuracy on
the fifth of the images that was held out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

from dualflow import api as df
from dualflow import nn, optim
from dualflow.data import Batches, digits, train_test_split
from dualflow.ops.generator import Generator

Step = Callable[[df.Tensor, df.Tensor], df.Tensor]
EPOCHS = 20
BATCH = 64


def digits_model(seed: int = 0, hidden: int = 128, dtype: Any = None) -> nn.Sequential:
    """An MLP with two hidden layers: images (n, 64) -> logits (n, 10)."""
    generator = Generator(seed)
    return nn.Sequential(
        nn.Linear(64, hidden, dtype=dtype, generator=generator),
        nn.ReLU(),
        nn.Linear(hidden, hidden, dtype=dtype, generator=generator),
        nn.ReLU(),
        nn.Linear(hidden, 10, dtype=dtype, generator=generator),
    )


def digits_optimizer(model: nn.Module) -> optim.AdamW:
    """The optimizer of the demonstration."""
    return optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)


def make_step(model: nn.Module, optimizer: optim.Optimizer) -> Step:
    """The function that does one step of training and gives the loss; not compiled."""

    def step(images: df.Tensor, labels: df.Tensor) -> df.Tensor:
        optimizer.zero_grad()
        loss = df.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def split_digits(dtype: Any = None) -> tuple[tuple[df.Tensor, ...], tuple[df.Tensor, ...]]:
    """((images, labels) to train with, (images, labels) held out: a fifth)."""
    images, labels = digits()
    if dtype is not None:
        images = images.astype(dtype)
    return train_test_split(images, labels, held_out=0.2, seed=0)


def accuracy(model: nn.Module, images: df.Tensor, labels: df.Tensor) -> float:
    """The part of the images that the model gives their label."""
    with df.no_grad():
        right = df.argmax(model(images), axis=1) == labels
        return df.mean(right.astype(df.float64)).item()


@final
@dataclass
class Training:
    """What happened.

    Attributes:
        losses: of every step.
        accuracy: on the images held out, at the end.
        first_step: seconds of the first step, which compiles where the step is compiled.
        seconds: that all other steps took together.
    """

    losses: list[float] = field(default_factory=list)
    accuracy: float = 0.0
    first_step: float = 0.0
    seconds: float = 0.0


def train(
    decorate: Callable[[Step], Step] | None = None,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    dtype: Any = None,
    device: str = "cpu",
    progress: bool = False,
    title: str = "training",
) -> Training:
    """Train a new model on the digits.

    Args:
        decorate: applied to the step, `df.compile` for example; None for the plain function.
        epochs: passes over the training images.
        seed: of the first weights and of the order of the images.
        dtype: of images and weights, by default float32.
        device: where the training runs.
        progress: whether to show a progress bar, `title` before it.
    """
    (images, labels), held_out = split_digits(dtype)
    images, labels = images.to(device), labels.to(device)
    held_out = tuple(x.to(device) for x in held_out)
    model = digits_model(seed, dtype=dtype).to(device)
    step = make_step(model, digits_optimizer(model))
    step = step if decorate is None else decorate(step)
    batches = Batches(images, labels, size=BATCH, generator=Generator(seed + 1))
    found = Training()
    bar = _Bar(title, epochs * len(batches)) if progress else None
    try:
        for epoch in range(epochs):
            for batch in batches:
                start = time.perf_counter()
                loss: Any = step(*batch).item()
                took = time.perf_counter() - start
                if found.losses:
                    found.seconds += took
                else:
                    found.first_step = took
                found.losses.append(loss)
                if bar is not None:
                    bar.advance(f"{title}: epoch {epoch + 1}/{epochs}, loss {loss:.4f}")
    finally:
        if bar is not None:
            bar.stop()
    found.accuracy = accuracy(model, *held_out)
    return found


@final
class _Bar:
    """rich's progress bar with one task."""

    def __init__(self, title: str, total: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns)
        self._task = self._progress.add_task(title, total=total)
        self._progress.start()

    def advance(self, text: str) -> None:
        self._progress.update(self._task, advance=1, description=text)

    def stop(self) -> None:
        self._progress.stop()
