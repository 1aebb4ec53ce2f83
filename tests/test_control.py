"""cond, while_loop, scan and map: values, derivatives, batches, errors."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError

F8 = df.float64
X = df.tensor([0.5, 2.0, 3.0], F8)


def newton(a):
    """The square root of `a`; the number of steps depends on it."""
    return df.while_loop(
        lambda s: df.abs(s * s - a) > 1e-13, lambda s: (s + a / s) * 0.5, a * 0.0 + 1.0
    )


def test_cond_takes_one_branch():
    taken = []

    def times(n):
        return lambda x, k: taken.append(n) or x * float(n) + k

    assert df.cond(X.sum() > 0, times(2), times(3), X, 1.0).tolist() == [2.0, 5.0, 7.0]
    assert df.cond(False, times(2), times(3), X, 0.0).tolist() == [1.5, 6.0, 9.0]
    assert taken == [2, 3]


def test_cond_of_a_batch_takes_what_is_its_own():
    def f(x):
        return df.cond(x.sum() > 1.0, lambda x: (x * 10.0, 1.0), lambda x: (-x, 2.0), x)

    rows = df.stack([X, -X, X * 0.1])
    value, number = df.vmap(f)(rows)
    np.testing.assert_allclose(value.numpy(), [10 * X.numpy(), X.numpy(), -0.1 * X.numpy()])
    assert number.tolist() == [1.0, 2.0, 2.0]
    slope = df.vmap(df.grad(lambda x: f(x)[0].sum()))(rows)
    assert slope[:, 0].tolist() == [10.0, -1.0, -1.0]
    assert df.vmap(lambda x: df.cond(X.sum() > 1.0, df.sin, df.cos, x))(rows).shape == (3, 3)


def test_while_loop():
    assert newton(X[1]).item() == pytest.approx(np.sqrt(2.0))
    assert df.grad(newton)(X[1]).item() == pytest.approx(0.5 / np.sqrt(2.0))
    assert df.jvp(newton, (X[1],), (X[0],))[1].item() == pytest.approx(0.25 / np.sqrt(2.0))
    state = df.while_loop(lambda s: s["i"] < 5, lambda s: {"i": s["i"] + 1, "x": s["x"] * 2.0},
                          {"i": 0, "x": X})  # fmt: skip
    assert (state["i"], state["x"].tolist()) == (5, [16.0, 64.0, 96.0])


def test_while_loop_of_a_batch():
    np.testing.assert_allclose(df.vmap(newton)(X).numpy(), np.sqrt(X.numpy()))
    np.testing.assert_allclose(df.vmap(df.grad(newton))(X).numpy(), 0.5 / np.sqrt(X.numpy()))
    table = df.vmap(lambda a: df.vmap(lambda b: newton(a * b))(X))(X)
    np.testing.assert_allclose(table.numpy(), np.sqrt(np.outer(X.numpy(), X.numpy())))


def step(carry, x):
    return df.sin(carry) * x, (carry * x, None)


def by_hand(c, xs):
    rows = []
    for x in xs:
        rows.append(c * x)
        c = df.sin(c) * x
    return c, df.stack(rows)


def test_scan():
    last, (ys, nothing) = df.scan(step, X[0], X)
    wanted = by_hand(X[0], X)
    assert (last.item(), ys.tolist(), nothing) == (wanted[0].item(), wanted[1].tolist(), None)
    last, (ys, _) = df.scan(step, X[0], X, reverse=True)
    wanted = by_hand(X[0], X[::-1])
    assert (last.item(), ys.tolist()) == (wanted[0].item(), wanted[1][::-1].tolist())
    last, ys = df.scan(lambda c, x: (c * 2.0, c), X, length=3)
    assert ys.shape == (3, 3)
    assert last.tolist() == [4.0, 16.0, 24.0]


def test_derivatives_of_scan():
    def scanned(c, xs, fn=step):
        last, (ys, _) = df.scan(fn, c, xs)
        return last + (ys * ys).sum()

    def plain(c, xs):
        last, ys = by_hand(c, xs)
        return last + (ys * ys).sum()

    for found, wanted in zip(
        df.grad(scanned, (0, 1))(X[0], X), df.grad(plain, (0, 1))(X[0], X), strict=True
    ):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), 1e-12)
    saved = df.grad(lambda xs: scanned(X[0], xs, df.checkpoint(step)))(X)
    np.testing.assert_allclose(saved.numpy(), df.grad(lambda xs: plain(X[0], xs))(X).numpy(), 1e-12)
    df.check_grads(scanned, X[0], X)
    rows = df.stack([X, X * 2.0])
    found = df.vmap(df.grad(lambda xs: scanned(X[0], xs)))(rows)
    np.testing.assert_allclose(
        found[1].numpy(), df.grad(lambda xs: plain(X[0], xs))(rows[1]).numpy(), 1e-12
    )


def test_map():
    found = df.map(lambda pair: {"s": pair[0] * pair[1], "t": pair[0]}, (X, X * 2.0))
    np.testing.assert_allclose(found["s"].numpy(), 2 * X.numpy() ** 2)
    assert found["t"].tolist() == X.tolist()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: df.cond(X, df.sin, df.cos, X), DTypeError, "condition of float64"),
        (lambda: df.cond(X > 0, df.sin, df.cos, X), ShapeError, r"shape \(3,\)"),
        (lambda: df.cond(1, df.sin, df.cos, X), DTypeError, "type int"),
        (lambda: df.vmap(lambda x: df.cond(x > 0, lambda x: x, lambda x: (x,), x))(X), ShapeError,
         "nested otherwise"),
        (lambda: df.vmap(lambda x: df.cond(x, df.sin, df.cos, x))(X), DTypeError, "float64"),
        (lambda: df.while_loop(lambda s: True, lambda s: s[1:], X), ShapeError,
         r"while_loop.*\(2,\).*\(3,\)"),
        (lambda: df.scan(lambda c, x: (c > 0, c), X, X), DTypeError, "bool.*float64"),
        (lambda: df.scan(lambda c, x: c, X, X), ArgumentError, "a pair"),
        (lambda: df.scan(lambda c, x: (c, c), X, (X, X[1:])), ShapeError, r"\(3,\) and \(2,\)"),
        (lambda: df.scan(lambda c, x: (c, c), X), ArgumentError, "length"),
        (lambda: df.scan(lambda c, x: (c, c), X, X[0]), ShapeError, r"shape \(\)"),
        (lambda: df.map(lambda x: x, X[:0]), ShapeError, "size 0"),
    ],
)  # fmt: skip
def test_errors(call, error, says: str):
    with pytest.raises(error, match=says) as raised:
        call()
    assert "test_control.py" in str(raised.value)
