"""ndarrays that a compiled function makes tensors of: replays that show the arrays' memory."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import InPlaceError

X = np.arange(6.0, dtype=np.float32).reshape(2, 3)


def both(function, calls, replays, rtol=1e-6):
    """The function as written and compiled, on copies of the same arguments; what both leave."""
    compiled = df.compile(function, wait=True)
    for arguments in calls:
        mine, its = ([np.copy(a, order="K") for a in arguments] for _ in range(2))
        wanted, found = function(*mine), compiled(*its)
        for a, b in zip(wanted, found, strict=True):
            assert type(a) is type(b)
            np.testing.assert_allclose(np.asarray(b), np.asarray(a), rtol=rtol, atol=rtol / 10)
        for a, b in zip(mine, its, strict=True):
            np.testing.assert_array_equal(a, b)
    assert compiled.stats()["replays"] == replays
    return compiled


def changing(*arrays):
    return [[array + k for array in arrays] for k in range(4)]


def test_products_with_parameters():
    w = df.ones((3, 2))
    both(lambda x: (df.asarray(x) @ w, df.tensor(x).sum()), changing(X), 3)


def test_other_shapes_and_dtypes_are_recorded_again():
    calls = [[X], [X + 1], [X[:1]], [X[:1] * 2], [X.astype(float)], [X.T], [X.T + 1]]
    both(lambda x: (df.asarray(x) * 2, df.asarray(x, dtype=df.float64).sum()), calls, 3)


def test_functions_of_tensors_take_arrays():
    w = df.ones((3, 2))
    both(
        lambda x: (df.exp(x), df.matmul(x, w), df.where(df.asarray(x) > 2, x, 0.0)), changing(X), 3
    )
    both(lambda x: (df.softmax(x, axis=-1), df.sum(x, axis=0), df.add(x, x)), changing(X), 3)


def test_models_take_arrays():
    model = df.nn.Sequential(df.nn.Linear(3, 4), df.nn.ReLU(), df.nn.Linear(4, 2))
    both(lambda x: (model(x).detach(), x * 2), changing(X), 3, rtol=1e-5)


def test_labels_and_images_train_a_model():
    def run(decorate):
        df.random.seed(0)
        model = df.nn.Linear(3, 4)
        optimizer = df.optim.SGD(model.parameters(), lr=0.1)

        def step(x, y):
            loss = df.cross_entropy(model(df.asarray(x)), df.asarray(y))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        step = decorate(step)
        labels = np.array([0, 3])
        return [step(X + k, (labels + k) % 4).item() for k in range(6)], step

    wanted, _ = run(lambda f: f)
    found, step = run(lambda f: df.compile(f, wait=True))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert step.stats()["replays"] >= 4


def test_a_returned_tensor_shows_the_array():
    f = df.compile(lambda x: df.asarray(x), wait=True)
    for k in range(3):
        x = X + k
        found = f(x)
        x[0, 0] = 50.0 + k
        assert found[0, 0].item() == 50.0 + k
    assert f.stats()["replays"] == 2


def test_a_copy_does_not():
    f = df.compile(lambda x: df.tensor(x), wait=True)
    for k in range(3):
        x = X + k
        found = f(x)
        x[0, 0] = 50.0
        assert found[0, 0].item() == k
    assert f.stats()["replays"] == 2


def test_writes_reach_the_array():
    def f(x):
        t = df.asarray(x)
        t += 1
        return t.sum(), x.sum()

    both(f, changing(X), 3)


def test_writes_into_the_array_reach_the_tensor():
    def f(x):
        t = df.asarray(x)
        x[0] = 7.0
        return t * 2, x[1]

    both(f, changing(X), 3)


def test_two_tensors_of_one_array_are_two():
    def f(x):
        a, b = df.asarray(x), df.asarray(x)
        return a + b, df.tensor(float(a is b))

    both(f, changing(X), 3)


def test_two_arrays_of_one_memory():
    def f(x, y):
        a, b = df.asarray(x), df.asarray(y)
        a += 1
        return b * 2, a * 1

    compiled = df.compile(f, wait=True)
    for k in range(4):
        one, other = np.arange(4.0) + k, np.arange(4.0) + k
        wanted, found = f(one, one[::-1]), compiled(other, other[::-1])
        for a, b in zip(wanted, found, strict=True):
            assert a.tolist() == b.tolist()
        one, other = np.arange(4.0) + k, np.arange(4.0) + k
        apart = np.arange(4.0)
        wanted, found = f(one, apart), compiled(other, apart)
        for a, b in zip(wanted, found, strict=True):
            assert a.tolist() == b.tolist()


def test_read_only_arrays():
    x = X.copy()
    x.flags.writeable = False
    f = df.compile(lambda x: df.asarray(x) * 2, wait=True)
    for _ in range(3):
        assert f(x).tolist() == (X * 2).tolist()

    def write(x):
        t = df.asarray(x)
        t += 1

    g = df.compile(write, wait=True)
    for function in (write, g, g, g):
        with pytest.raises(InPlaceError, match="read-only"):
            function(x)
    assert x.tolist() == X.tolist()


def test_other_things_than_arrays_afterwards():
    f = df.compile(lambda x: df.asarray(x) * 2, wait=True)
    f(X)
    assert f(X).tolist() == (X * 2).tolist()
    assert f([1.0, 2.0]).tolist() == [2.0, 4.0]
    assert f(3.0).item() == 6.0
    assert f(df.ones(2)).tolist() == [2.0, 2.0]
    assert f(X.view(np.matrix)).tolist() == (X * 2).tolist()
