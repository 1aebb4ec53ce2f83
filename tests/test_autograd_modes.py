"""The tape above the record mode: a training step noted as a graph computes what the run did."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow import nn, optim
from dualflow.array import EagerMode
from dualflow.capture.notes import Notes, RecordMode
from dualflow.ir.interpret import interpret
from dualflow.ir.types import TensorType
from dualflow.ops import door


class Owner:
    """Makes every tensor from outside an input, and remembers what it held then."""

    def __init__(self) -> None:
        self.notes = Notes(self)
        self.arrays: list[np.ndarray] = []
        self.tensors: list[df.Tensor] = []

    def on_input(self, tensor):
        self.tensors.append(tensor)
        self.arrays.append(tensor.array.copy())
        return self.notes.builder.input(TensorType(tensor.shape, tensor.dtype))

    def whole(self, tensor):
        return None

    def overlapping(self, storage):
        pass

    def on_scalar(self, value, position):
        return None

    def on_draw(self, generator, state):
        return self.on_input(state)


def check(function, *args) -> int:
    """Run `function` in record mode; its results and all it wrote must equal what the graph gives,
    interpreted. How many tensors from outside it wrote."""
    owner = Owner()
    with door.using(RecordMode(owner.notes, EagerMode(), lambda tensor, array: None)):
        outs = function(*args)
    assert not owner.notes.broken
    bases = [base for found in owner.notes.written.values() for base in found]
    values = [owner.notes.value_of(out) for out in outs]
    graph = owner.notes.build([*values, *(base.value for base in bases)]).verify()
    made = interpret(graph, owner.arrays)
    for out, array in zip(outs, made, strict=False):
        assert array.tobytes() == out.array.tobytes()
    for base, array in zip(bases, made[len(outs) :], strict=True):
        assert array.tobytes() == owner.tensors[base.input.index].array.tobytes()
    return len(bases)


@pytest.mark.parametrize("make", [optim.AdamW, lambda ps: optim.SGD(ps, 0.1, momentum=0.9)])
def test_a_training_step(make):
    model = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 3))
    optimizer = make(model.parameters())

    def step(x, labels):
        optimizer.zero_grad()
        loss = df.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return (loss, *(parameter.grad for parameter in model.parameters()))

    x, labels = df.random.normal((7, 4)), df.random.integers(0, 3, (7,))
    step(x, labels)
    states = 3 if make is optim.AdamW else 1
    assert check(step, x, labels) == 6 * (1 + states)


def test_second_derivatives_and_writes_with_history():
    def f(w):
        x = df.zeros((3,), df.float64)
        x[1:] = w * w
        x *= 2.0
        return (x[::2] * x[::2]).sum()

    def both(w):
        return df.value_and_grad(lambda w: df.grad(f)(w).sum())(w)

    w = df.asarray(np.array([2.0, 3.0]))
    assert check(both, w) == 0
    assert both(w)[1].tolist() == [0.0, 48.0 * 9.0]


def test_gradients_added_in_place():
    w = df.tensor([1.0, 2.0], requires_grad=True)
    w.grad = df.asarray(np.array([10.0, 20.0], np.float32))
    kept = w.grad

    def accumulate(x):
        (w * x).sum().backward()
        return (w.grad,)

    assert check(accumulate, df.tensor([3.0, 4.0])) == 1
    assert w.grad is kept
    assert kept.tolist() == [13.0, 24.0]
