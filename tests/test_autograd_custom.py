"""Checkpoints, gradients that users give, gradients that are stopped, hooks."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import GradientError, InPlaceError

F8 = df.float64


def vector(*numbers: float) -> df.Tensor:
    return df.tensor(list(numbers), F8)


X, T = vector(0.5, 2.0, -1.0), vector(1.0, 10.0, -2.0)

# Checkpoints ----------------------------------------------------------------------------------


def block(x):
    return df.exp(df.sin(x)) * x.sum()


def test_checkpoint_has_the_same_derivatives_of_every_kind():
    def plain(x):
        return (block(x * 2.0) ** 2).sum()

    def saved(x):
        return (df.checkpoint(block)(x * 2.0) ** 2).sum()

    for of in (df.grad, df.hessian, lambda f: lambda x: df.jvp(f, (x,), (T,))[1]):
        np.testing.assert_allclose(of(saved)(X).numpy(), of(plain)(X).numpy(), 1e-12)
    batch = df.stack([X, T])
    np.testing.assert_allclose(
        df.vmap(df.grad(saved))(batch).numpy(), df.vmap(df.grad(plain))(batch).numpy(), 1e-10
    )


def test_checkpoint_runs_again_on_the_way_back_and_keeps_nothing():
    runs, kept = [], []

    def noted(x):
        runs.append(1)
        y = df.sin(x)
        kept.append(weakref.ref(y._memory()))
        return df.exp(y)

    x = df.tensor(X, requires_grad=True)
    out = df.checkpoint(noted)(x).sum()
    gc.collect()
    assert kept[0]() is None
    assert len(runs) == 1
    out.backward()
    assert len(runs) == 2
    np.testing.assert_allclose(x.grad.numpy(), np.exp(np.sin(X.numpy())) * np.cos(X.numpy()))


def test_checkpoint_finds_parameters_around():
    w = df.tensor(T, requires_grad=True)
    x = df.tensor(X, requires_grad=True)
    out = df.checkpoint(lambda x: {"a": df.tanh(x * w), "b": (w * 2.0).reshape((3, 1)), "c": 3})(x)
    assert out["c"] == 3
    (out["a"].sum() + (out["b"] * out["b"]).sum()).backward()
    slope = 1 - np.tanh(X.numpy() * T.numpy()) ** 2
    np.testing.assert_allclose(x.grad.numpy(), slope * T.numpy(), 1e-12)
    np.testing.assert_allclose(w.grad.numpy(), slope * X.numpy() + 8 * T.numpy(), 1e-12)


def test_checkpoint_draws_once():
    generator = df.random.Generator(5)

    def noisy(x):
        return df.dropout(df.exp(x), 0.5, generator=generator) * df.random.uniform((3,))

    df.random.seed(3)
    wanted = df.grad(lambda x: noisy(x).sum())(X), df.random.uniform((2,)).tolist()
    generator.counter = 0
    df.random.seed(3)
    found = df.grad(lambda x: df.checkpoint(noisy)(x).sum())(X), df.random.uniform((2,)).tolist()
    assert found[0].tolist() == wanted[0].tolist()
    assert found[1] == wanted[1]
    assert generator.counter == 1


def test_checkpoints_nest():
    inner = df.checkpoint(lambda x: df.dropout(df.sin(x), 0.5) * x)
    outer = df.checkpoint(lambda x: df.exp(inner(x)) + inner(x * 2.0))
    df.random.seed(1)
    found = df.grad(lambda x: outer(x).sum())(X)
    df.random.seed(1)
    plain = lambda x: df.dropout(df.sin(x), 0.5) * x  # noqa: E731
    wanted = df.grad(lambda x: (df.exp(plain(x)) + plain(x * 2.0)).sum())(X)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), 1e-12)


def test_checkpoint_notices_changes():
    x = df.tensor(X, requires_grad=True)
    y = x * 1.0
    out = df.checkpoint(block)(y).sum()
    y.detach()[0] = 0.0
    with pytest.raises(InPlaceError, match="argument of block"):
        out.backward()

    runs = []

    def fickle(x):
        runs.append(1)
        return x * 2.0 if len(runs) == 1 else df.ones(3, dtype=F8)

    out = df.checkpoint(fickle)(x).sum()
    with pytest.raises(GradientError, match=r"fickle.*something else the second time"):
        out.backward()

    drawn = []

    def greedy(x):
        drawn.append(1)
        return x * sum(df.random.uniform(()) for _ in drawn)

    out = df.checkpoint(greedy)(x).sum()
    with pytest.raises(GradientError, match="more random numbers"):
        out.backward()


def test_checkpoint_without_gradients_is_the_function():
    with df.no_grad():
        assert not df.checkpoint(block)(df.tensor(X, requires_grad=True)).requires_grad
    assert df.checkpoint(block)(X).tolist() == block(X).tolist()


# Gradients that users give --------------------------------------------------------------------


def test_a_given_gradient_is_used():
    rounded = df.custom_gradient(lambda x: (df.round(x), lambda g: g * 3.0))
    assert rounded(X).tolist() == df.round(X).tolist()
    assert df.grad(lambda x: (rounded(x) * T).sum())(X).tolist() == [3.0, 30.0, -6.0]
    assert df.jvp(rounded, (X,), (T,))[1].tolist() == [3.0, 30.0, -6.0]


@df.custom_gradient
def exponential(x):
    y = df.exp(x)
    return y, lambda g: g * y


def test_the_value_is_differentiated_by_the_given_gradient_again():
    df.check_grads(lambda x: exponential(x) * x, X, order=3, rtol=1e-4)
    third = df.grad(lambda x: df.hessian(lambda y: exponential(y).sum())(x).sum())(X)
    np.testing.assert_allclose(third.numpy(), np.exp(X.numpy()), 1e-12)


def test_several_arguments_and_containers():
    @df.custom_gradient
    def scaled(pair, w, name, *, power):
        value = {"out": pair["a"] * w, "n": len(name)}

        def gradient(g):
            return {"a": g["out"] * w, "b": None}, (g["out"] * pair["a"]).sum() * power, None

        return value, gradient

    def f(pair, w):
        return scaled(pair, w, "name", power=10.0)["out"].sum()

    found = df.grad(f, (0, 1))({"a": X, "b": T}, df.tensor(2.0, F8))
    assert found[0]["a"].tolist() == [2.0] * 3
    assert found[0]["b"].tolist() == [0.0] * 3
    assert found[1].item() == 15.0


def test_a_given_tangent_is_used():
    @df.custom_gradient
    def f(x, y):
        return x * y, lambda g: (g * y, g * x), lambda t, s: t * y + x * s + 100.0

    tangent = df.jvp(lambda x: f(x, T), (X,), (T,))[1]
    np.testing.assert_allclose(tangent.numpy(), T.numpy() ** 2 + 100.0)


def test_the_identity_with_a_gradient_of_its_own():
    reversed_ = df.custom_gradient(lambda x: (x, lambda g: -g))
    x = df.tensor(X, requires_grad=True)
    y = reversed_(x)
    (y * y).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), -2 * X.numpy())
    y.detach()[0] = 100.0
    assert x.tolist() == X.tolist()


def test_custom_gradient_within_vmap_and_of_complex_numbers():
    batch = df.stack([X, T])
    found = df.vmap(df.grad(lambda x: (exponential(x) ** 2).sum()))(batch)
    np.testing.assert_allclose(found.numpy(), 2 * np.exp(batch.numpy()) ** 2, 1e-12)
    z = df.asarray(np.array([1.0 + 2.0j]))
    squared = df.custom_gradient(lambda z: (z * z, lambda g: g * df.conj(2.0 * z)))
    np.testing.assert_allclose(
        df.grad(lambda z: df.real(squared(z)).sum())(z).numpy(), np.conj(2 * z.numpy())
    )


@pytest.mark.parametrize(
    ("fn", "says"),
    [
        (lambda x: x, "f returned a Tensor"),
        (lambda x: (x * 2.0, 3), "f returned a tuple"),
        (lambda x: (x * 2.0, lambda g: g.sum()), r"the gradient of f gave.*\(\).*\(3,\)"),
        (lambda x: (x * 2.0, lambda g: 3), "gave int"),
        (lambda x: (x * 2.0, lambda g: (g, g)), "gave tuple"),
    ],
)
def test_gradients_that_do_not_fit(fn, says: str):
    fn.__name__ = "f"
    with pytest.raises(GradientError, match=says):
        df.grad(lambda x: df.custom_gradient(fn)(x).sum())(X)


def test_tensors_that_are_no_arguments():
    w = df.tensor(T, requires_grad=True)
    f = df.custom_gradient(lambda x: (x * w, lambda g: g * w))
    with pytest.raises(GradientError, match="is no argument"):
        f(df.tensor(X, requires_grad=True))
    assert f(X).tolist() == (X * T).tolist()


def test_stop_gradient_of_containers():
    def f(x):
        held = df.stop_gradient({"a": x, "n": 2})
        return (x * held["a"] * held["n"]).sum()

    np.testing.assert_allclose(df.grad(f)(X).numpy(), 2 * X.numpy())
    assert df.jvp(lambda x: df.stop_gradient(x) * 1.0, (X,), (T,))[1].tolist() == [0.0] * 3


# Hooks ----------------------------------------------------------------------------------------


def test_hooks_see_and_change_the_whole_gradient():
    seen = []
    x = df.tensor(X, requires_grad=True)
    y = x * 2.0
    first = y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10.0)
    (y.sum() + (y * 3.0).sum()).backward()
    assert seen == [[4.0] * 3]
    assert x.grad.tolist() == [80.0] * 3
    first.remove()
    first.remove()
    y.sum().backward()
    assert len(seen) == 1


def test_hooks_of_leaves_views_and_arguments():
    x = df.tensor(X, requires_grad=True)
    hook = x.register_hook(lambda g: g + 1.0)
    (x * 2.0 + x).sum().backward()
    assert x.grad.tolist() == [4.0] * 3
    hook.remove()
    x.sum().backward()
    assert x.grad.tolist() == [5.0] * 3

    def f(z):
        z.register_hook(lambda g: g * 2.0)
        part = z[1:]
        part.register_hook(lambda g: g * 5.0)
        return part.sum() + z.sum()

    assert df.grad(f)(X).tolist() == [2.0, 12.0, 12.0]


@pytest.mark.parametrize(
    "around",
    [lambda f: f, df.checkpoint, lambda f: df.compile(f, wait=True)],
    ids=["eager", "checkpoint", "replayed"],
)
def test_a_hook_sees_the_whole_gradient_once_also_around_a_history_of_its_own(around):
    f = around(lambda x: (x * x).sum())
    for _ in range(3):
        w = df.tensor([1.0, 2.0], requires_grad=True)
        w.register_hook(lambda g: g * 10.0)
        y, seen = w * 2.0, []
        y.register_hook(lambda g: g * 10.0)
        y.register_hook(lambda g, seen=seen: seen.append(g.tolist()))
        (f(y) + f(w)).backward()
        assert w.grad.tolist() == [820.0, 1640.0]
        assert seen == [[40.0, 80.0]]


def test_retained_gradients_are_those_after_hooks():
    x = df.tensor(X, requires_grad=True)
    y = x * 1.0
    y.retain_grad()
    y.register_hook(lambda g: g * 7.0)
    y.sum().backward()
    assert y.grad.tolist() == [7.0] * 3


def test_hooks_that_do_not_fit():
    with pytest.raises(GradientError, match="requires no gradient"):
        X.register_hook(lambda g: g)
    x = df.tensor(X, requires_grad=True)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(GradientError, match=r"a hook gave a tensor of shape \(\)"):
        x.sum().backward()
