"""Writes to memory from outside that a program carries out in place; nothing else may change."""

import gc

import numpy as np
import pytest

import dualflow as df
from dualflow import optim


def values(*arrays):
    return [np.array(x.numpy()) for x in arrays]


def tensors(seed=0, shape=(5, 7)):
    random = np.random.default_rng(seed)
    return tuple(df.tensor(random.random(shape, dtype=np.float32)) for _ in range(3))


def stored_in_inputs(f):
    """How many outputs of the last replay's program lie in the memory of inputs."""
    block = f._last[2]
    outputs = block.compilation.program.outputs
    return sum(output.buffer.place == "input" for output in outputs)


def both(function, make, calls=4):
    """Eager and compiled calls on objects of their own: results and state, call by call."""
    found = []
    f = df.compile(function, wait=True)
    for run in (function, f):
        args, notes = make(), []
        for _ in range(calls):
            out = run(*args)
            notes += values(*(x for x in (out, *args) if type(x) is df.Tensor))
        found.append(notes)
    for eager, compiled in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-6)
    assert f.stats()["replays"] == calls - 1
    return f


def test_memory_from_outside_is_updated_in_place():
    w, m, g = tensors()

    @df.compile(wait=True)
    def step(w, m, g):
        df.write(m, m * 0.5 + g)
        w -= m * 0.25

    memory = w._array, m._array
    expected_w, expected_m = values(w, m)
    for _ in range(4):
        step(w, m, g)
        expected_m = expected_m * np.float32(0.5) + g.numpy()
        expected_w -= expected_m * np.float32(0.25)
    np.testing.assert_array_equal(w.numpy(), expected_w)
    np.testing.assert_array_equal(m.numpy(), expected_m)
    assert step.stats()["replays"] == 3
    assert stored_in_inputs(step) == 2
    assert w._array is memory[0]
    assert m._array is memory[1]


def test_what_is_read_later_in_the_step_sees_the_order_of_the_lines():
    def f(w, m, g):
        old = w * 2
        w -= g
        return old + w.T.sum() + w[::-1]

    both(f, tensors)


def test_a_result_shares_no_memory_with_what_was_written():
    def f(w, m, g):
        made = w - g
        df.write(w, made)
        return made

    f = both(f, tensors)
    w, m, g = tensors()
    out = f(w, m, g)
    before = values(out)[0]
    f(w, m, g)
    np.testing.assert_array_equal(out.numpy(), before)


def test_one_value_written_twice():
    def f(w, m, g):
        made = w * 0.5 + m
        df.write(w, made)
        df.write(m, made)
        return made

    f = both(f, tensors)
    w, m, g = tensors()
    f(w, m, g)
    df.write(w, g)
    assert not np.array_equal(m.numpy(), w.numpy())


def test_views_of_one_memory():
    def make():
        whole = df.tensor(np.arange(40, dtype=np.float32))
        return whole[:30], whole[10:], df.tensor(np.ones(30, np.float32))

    def f(a, b, g):
        a -= g
        return a + b

    found = []
    compiled = df.compile(f, wait=True)
    for run in (f, compiled):
        args, notes = make(), []
        for _ in range(3):
            notes += values(run(*args), *args)
        found.append(notes)
    for eager, other in zip(*found, strict=True):
        np.testing.assert_array_equal(other, eager)


def test_apart_when_recorded_and_not_afterwards():
    def f(a, b):
        a -= b[::-1]
        return a + b

    compiled = df.compile(f, wait=True)
    for _ in range(3):
        compiled(*(df.tensor(np.arange(9, dtype=np.float32)) for _ in range(2)))
    assert compiled.stats()["replays"] == 2
    notes = []
    for run in (f, compiled):
        whole = df.tensor(np.arange(12, dtype=np.float32))
        a, b = whole[:9], whole[3:]
        notes.append(values(run(a, b), whole))
    for eager, other in zip(*notes, strict=True):
        np.testing.assert_array_equal(other, eager)


def test_an_error_leaves_what_eager_leaves():
    def f(w, at, g):
        w -= g
        picked = df.take(g, at, axis=0)
        w += picked.sum()
        return picked

    compiled = df.compile(f, wait=True)
    notes = []
    for run in (f, compiled):
        w, _, g = tensors()
        for number in (1, 2, 99, 3):
            try:
                run(w, df.tensor([number]), g)
            except IndexError as error:
                notes.append(type(error))
            notes.append(values(w)[0])
    half = len(notes) // 2
    for eager, other in zip(notes[:half], notes[half:], strict=True):
        np.testing.assert_array_equal(other, eager)
    assert compiled.stats()["replays"] == 2
    assert sum(type(note) is type for note in notes) == 2


def test_a_number_read_from_a_result_keeps_writes_in_place():
    w, _, g = tensors()
    row = df.tensor([1.0, 2.0, 3.0])

    @df.compile(wait=True)
    def step(w, g, row):
        w -= g
        return row.sum().item()

    expected = w.numpy().copy()
    for _ in range(4):
        expected -= g.numpy()
        assert step(w, g, row) == 6.0
    np.testing.assert_array_equal(w.numpy(), expected)
    assert step.stats()["replays"] == 3
    assert stored_in_inputs(step) == 1


def test_what_fails_after_the_program_leaves_what_eager_leaves():
    w = df.tensor([6.0, 0.0])

    @df.compile(wait=True)
    def step(w, row):
        w -= 2.0
        return 1.0 / row.sum().item()

    row = df.tensor([1.0, 2.0, 5.0])
    assert [step(w, row), step(w, row)] == [0.125, 0.125]
    with pytest.raises(ZeroDivisionError):
        step(w, row - row)
    assert w.tolist() == [0.0, -6.0]
    assert step(w, row) == 0.125
    assert step.stats()["replays"] == 2
    assert stored_in_inputs(step) == 0


def test_beside_an_op_that_python_runs():
    def f(w, m, g):
        ordered = df.sort(m, axis=1) if hasattr(df, "sort") else df.flip(m, 1)
        w -= g
        return ordered + w

    both(f, tensors)


def test_what_a_history_keeps_is_not_overwritten():
    def f(w, buffer, x):
        y = w * x
        df.write(buffer, y.detach())
        return (y * y).sum()

    found = []
    compiled = df.compile(f, wait=True)
    for run in (f, compiled):
        w, x = df.tensor([1.0, 2.0], requires_grad=True), df.tensor([3.0, 4.0])
        buffer = df.zeros(2)
        losses = [run(w, buffer, x) for _ in range(3)]
        df.write(buffer, buffer * 0.0 - 7.0)
        for loss in losses:
            loss.backward()
        found.append(values(w.grad)[0])
    np.testing.assert_array_equal(*found)
    assert compiled.stats()["replays"] == 2


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW])
def test_a_training_step_keeps_its_memory(kind):
    def make():
        w = df.tensor(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), requires_grad=True)
        return w, kind([w], lr=0.1), df.tensor(np.eye(4, dtype=np.float32))

    def step(w, optimizer, x):
        w.grad = None
        loss = ((w @ x) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    f = both(step, make, 5)
    w, optimizer, x = make()
    f(w, optimizer, x)
    gc.collect()
    memory = w._array
    f(w, optimizer, x)
    assert w._array is memory
    assert stored_in_inputs(f) >= 1
