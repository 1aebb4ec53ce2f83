"""vmap: axes, nesting, gradients on either side, writes, random numbers, errors."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import ArgumentError, BatchError, InPlaceError, ShapeError

F8 = df.float64


def values(*shape: int, seed: int = 0) -> df.Tensor:
    return df.asarray(np.random.default_rng(seed).normal(size=shape))


def loop(fn, *batches: df.Tensor) -> np.ndarray:
    rows = [fn(*[batch[i] for batch in batches]) for i in range(batches[0].shape[0])]
    return np.stack([row.numpy() for row in rows])


def agrees(fn, *batches: df.Tensor) -> None:
    np.testing.assert_allclose(df.vmap(fn)(*batches).numpy(), loop(fn, *batches), 1e-12, 1e-14)


X, Y, W = values(4, 3), values(4, 3, seed=1), values(3, 5, seed=2)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: df.sin(x) * x + df.exp(x).sum(),
        lambda x: df.tanh(x @ W),
        lambda x: W.T @ x,
        lambda x: (x[:, None] * x[None, :]).sum(axis=0),
        lambda x: df.softmax(x) - x.mean(),
        lambda x: df.sort(x)[::-1].cumsum(axis=-1),
        lambda x: df.concat([x, W[:, 0], x * 2.0]),
        lambda x: df.take(W, df.argsort(x), axis=0),
        lambda x: df.stack([x, x + 1.0], axis=1).reshape((-1,)),
        lambda x: df.where(x > 0, x, W[:, 1]),
        lambda x: df.broadcast_to(x, (2, 3)).T.flatten(),
        lambda x: df.scatter_add(df.zeros(3, dtype=F8), df.argsort(x), x),
        lambda x: df.layer_norm(x, weight=W[:, 0]),
        lambda x: x[df.asarray([2, 0, 0])],
        lambda x: df.pad(x, ((1, 2),), 7.0),
    ],
)
def test_functions_of_vectors(fn):
    agrees(fn, X)


@pytest.mark.parametrize("size", [0, 1])
def test_batches_of_none_and_of_one(size: int):
    def f(x):
        y = df.tanh(x @ W)
        return df.softmax(y) * y.max() + W.T @ x, df.take(y, df.argsort(x), axis=0), filled(x)

    parts = df.vmap(f)(X[:size])
    wanted = f(X[0])
    for part, one in zip(parts, wanted, strict=True):
        assert part.shape == (size, *one.shape)
        if size:
            np.testing.assert_allclose(part[0].numpy(), one.numpy(), 1e-12)
    assert df.vmap(df.grad(energy))(X[:size]).shape == (size, 3)


def test_of_two_batches():
    agrees(lambda x, y: x @ y, X, Y)
    agrees(lambda x, y: df.matmul(x[:, None], y[None, :]) @ W, X, Y)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
def test_axes_of_arguments_and_results(axis: int):
    x = values(2, 3, 4)
    moved = np.moveaxis(x.numpy(), axis, 0)
    wanted = np.stack([np.cumsum(part, 0) for part in moved])
    found = df.vmap(lambda part: part.cumsum(axis=0), in_axes=axis)(x)
    np.testing.assert_allclose(found.numpy(), wanted)
    found = df.vmap(lambda part: part.cumsum(axis=0), in_axes=axis, out_axes=axis)(x)
    np.testing.assert_allclose(found.numpy(), np.moveaxis(wanted, 0, axis))


def test_containers_and_keyword_arguments():
    def f(pair, scale, *, shift):
        return {"sum": pair["a"] + pair["b"] * scale, "shift": (shift, None)}

    axes = ({"b": None, "a": 1}, None)
    found = df.vmap(f, in_axes=axes, out_axes={"sum": 1, "shift": 0})(
        {"a": X, "b": Y[:, 0]}, 2.0, shift=df.arange(3)
    )
    np.testing.assert_allclose(found["sum"].numpy(), X.numpy() + 2 * Y.numpy()[:, :1])
    assert found["shift"][0].tolist() == [0, 1, 2]
    assert found["shift"][1] is None


def test_nested():
    outer = df.vmap(df.vmap(lambda a, b: a * b, in_axes=(None, 0)), in_axes=(0, None))
    np.testing.assert_allclose(outer(X[0], Y[0]).numpy(), np.outer(X[0], Y[0]))
    twice = df.vmap(df.vmap(lambda row: df.softmax(row @ W)), in_axes=1)(values(4, 2, 3))
    assert twice.shape == (2, 4, 5)


def test_what_is_the_same_for_all():
    found = df.vmap(lambda x: (df.arange(2), x.sum() * 0 + df.ones((), dtype=F8)))(X)
    assert found[0].tolist() == [[0, 1]] * 4
    only = df.vmap(lambda x: df.ones(2), out_axes=None)(X)
    assert only.tolist() == [1.0, 1.0]


def test_results_have_memory_of_their_own():
    x = X.copy()
    same, view, twice = df.vmap(lambda x: (x, x[1:], x))(x)
    same[0, 0] = view[0, 0] = twice[0, 0] = 100.0
    assert x.tolist() == X.tolist()
    assert (same[1, 0].item(), view[1, 0].item()) == (X[1, 0].item(), X[1, 1].item())
    assert [t[0, 0].item() for t in (same, view, twice)] == [100.0] * 3


# Gradients ------------------------------------------------------------------------------------


def energy(x):
    return (df.tanh(x @ W) ** 2).sum()


def test_gradients_within():
    agrees(df.grad(energy), X)
    agrees(lambda x: df.grad(lambda z: (df.grad(energy)(z) ** 2).sum())(x), X)
    agrees(lambda x: df.jvp(energy, (x,), (x * 2.0,))[1], X)
    agrees(df.jacobian(lambda x: x * x.sum()), X)
    agrees(df.hessian(energy), X)


def test_gradient_around():
    def total(w):
        return df.vmap(lambda x: df.tanh(x @ w))(X).sum()

    wanted = df.grad(lambda w: df.tanh(X @ w).sum())(W)
    found = df.grad(total)(W)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), 1e-12)
    assert not found.requires_grad


def test_gradient_around_gradients_within():
    def norms(w, each):
        def one(x):
            return (df.grad(lambda z: (df.tanh(z @ w) ** 2).sum())(x) ** 2).sum()

        return each(one)

    found = df.grad(lambda w: norms(w, lambda one: df.vmap(one)(X).sum()))(W)
    wanted = df.grad(lambda w: norms(w, lambda one: sum(one(X[i]) for i in range(4))))(W)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), 1e-10)
    assert not found.requires_grad


def test_backward_of_parameters_around():
    w = df.tensor(W, requires_grad=True)
    df.vmap(lambda x: df.tanh(x @ w))(X).sum().backward()
    np.testing.assert_allclose(
        w.grad.numpy(), df.grad(lambda w: df.tanh(X @ w).sum())(W).numpy(), 1e-12
    )


def test_backward_within():
    def slope(x):
        x = x.detach().requires_grad_()
        energy(x).backward()
        return x.grad

    agrees(slope, X)
    w = df.tensor(W, requires_grad=True)
    with pytest.raises(df.errors.GradientError, match="from outside"):
        df.vmap(lambda x: (x @ w).sum().backward() or x)(X)
    assert w.grad is None


def test_no_grad_within_cuts_the_gradient_around():
    def cut(x):
        with df.no_grad():
            return x * 3.0

    found = df.grad(lambda x: (df.vmap(cut)(x) * x).sum())(X)
    np.testing.assert_allclose(found.numpy(), 3.0 * X.numpy())
    with df.no_grad():
        assert not df.vmap(df.grad(energy))(df.tensor(X, requires_grad=True)).requires_grad


def test_stopped_and_given_gradients_within_hold_around():
    def stopped(x):
        return x * df.stop_gradient(x) * x.detach()

    found = df.grad(lambda x: df.vmap(stopped)(x).sum())(X)
    np.testing.assert_allclose(found.numpy(), X.numpy() ** 2)

    @df.custom_gradient
    def straight(x, k):
        return df.round(x) * k, lambda g: (g * 7.0, (g * x).sum())

    def total(x, k):
        return df.vmap(straight, in_axes=(0, None))(x, k).sum()

    by_x, by_k = df.grad(total, (0, 1))(X, df.tensor(2.0, F8))
    assert by_x.tolist() == [[7.0] * 3] * 4
    assert by_k.item() == pytest.approx(X.numpy().sum())
    assert df.jvp(lambda x: total(x, df.tensor(2.0, F8)), (X,), (Y,))[1].item() == pytest.approx(
        7.0 * Y.numpy().sum()
    )
    nested = df.grad(lambda x: df.vmap(df.vmap(lambda v: straight(v, v * 0.0)))(x).sum())(X)
    np.testing.assert_allclose(nested.numpy(), np.full((4, 3), 7.0))


def test_vectors_of_a_pull_of_outside():
    _, pull = df.vjp(lambda x: df.sin(x) * x.sum(), X[0])
    found = df.vmap(pull)(df.eye(3, dtype=F8))[0]
    assert not found.requires_grad
    np.testing.assert_allclose(
        found.numpy(), df.jacobian(lambda x: df.sin(x) * x.sum())(X[0]).numpy(), 1e-12
    )


def test_tangent_around():
    found = df.jvp(lambda x: df.vmap(energy)(x), (X,), (Y,))[1]
    wanted = loop(lambda x, y: df.jvp(energy, (x,), (y,))[1], X, Y)
    np.testing.assert_allclose(found.numpy(), wanted, 1e-12)


# Writes ---------------------------------------------------------------------------------------


def filled(x):
    out = df.zeros(4, dtype=F8)
    view = out[2:]
    out[1:] = x
    out[0] = x[0] * 2.0
    out[3] = 5.0
    out *= x.sum()
    return out * view.sum()


def test_writes_to_memory_made_within():
    agrees(filled, X)
    agrees(df.grad(lambda x: filled(x).sum()), X)


def test_writes_to_an_argument_are_those_of_the_loop():
    def double(x):
        x *= 2.0
        return x.sum()

    x = X.copy()
    found = df.vmap(double)(x)
    np.testing.assert_allclose(x.numpy(), 2 * X.numpy())
    np.testing.assert_allclose(found.numpy(), 2 * X.numpy().sum(1))


def test_memory_from_outside_holds_one_value():
    shared = df.zeros(3, dtype=F8)

    def write(x):
        shared[:] = x
        return x

    with pytest.raises(InPlaceError, match=r"outside of vmap\(write\).*\n.*test_vmap"):
        df.vmap(write)(X)

    def same(x):
        shared[0] = 7.0
        return x + shared

    wanted = X.numpy() + np.array([7.0, 0.0, 0.0])
    np.testing.assert_allclose(df.vmap(same)(X).numpy(), wanted)
    assert shared.tolist() == [7.0, 0.0, 0.0]


# Random numbers -------------------------------------------------------------------------------


def noisy(x):
    return df.random.normal((2,)) + 0.0 * x.sum()


def test_random_numbers_differ_or_not():
    df.random.seed(0)
    found = df.vmap(noisy)(X)
    assert len(np.unique(found.numpy())) == 8
    df.random.seed(0)
    again = df.vmap(noisy)(X)
    assert found.tolist() == again.tolist()
    same = df.vmap(noisy, randomness="same")(X)
    assert len(np.unique(same.numpy())) == 2
    with pytest.raises(BatchError, match="randomness"):
        df.vmap(noisy, randomness="error")(X)


def test_one_draw_moves_the_generator_by_one():
    generator = df.random.Generator(1)
    df.vmap(lambda x: generator.uniform((3,)) + x)(X)
    assert generator.counter == 1


def test_nested_random_numbers():
    found = df.vmap(df.vmap(lambda x: df.random.uniform(()) + 0.0 * x))(X)
    assert len(np.unique(found.numpy())) == 12


# Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "says"),
    [
        (lambda x: x if x.sum() > 0 else -x, "df.where"),
        (lambda x: x * float(x[0]), "shape \\(\\) within vmap"),
        (lambda x: x * x[0].item(), "stands for 4"),
        (lambda x: x.numpy(), "shape \\(3,\\)"),
        (lambda x: x[int(df.argmax(x))], "which may differ"),
    ],
)
def test_python_values_of_a_batch(fn, says: str):
    with pytest.raises(BatchError, match=says) as raised:
        df.vmap(fn)(X)
    assert "test_vmap.py" in str(raised.value)


def test_python_values_of_what_is_the_same_for_all():
    flag = df.asarray([True, False])
    found = df.vmap(lambda x, f: x if f.any() else -x, in_axes=(0, None))(X, flag)
    assert found.tolist() == X.tolist()


def test_arguments_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"vmap\(f\).*\(4, 3\).*\(3, 5\)"):
        df.vmap(named("f", lambda x, y: x))(X, W)
    with pytest.raises(ShapeError, match="over axis 2 of a tensor of shape"):
        df.vmap(lambda x: x, in_axes=2)(X)
    with pytest.raises(ShapeError, match=r"shape \(\)"):
        df.vmap(lambda x: x)(df.asarray(1.0))
    with pytest.raises(ArgumentError, match="no tensor"):
        df.vmap(lambda x: x, in_axes=None)(X)
    with pytest.raises(ArgumentError, match="2 in_axes, called with 1"):
        df.vmap(lambda x: x, in_axes=(0, 0))(X)
    with pytest.raises(ArgumentError, match="nested otherwise"):
        df.vmap(lambda x: x, in_axes=((0, 0),))(X)
    with pytest.raises(ArgumentError, match="out_axes None"):
        df.vmap(lambda x: x, out_axes=None)(X)
    with pytest.raises(ArgumentError, match="returned a int"):
        df.vmap(lambda x: 3)(X)
    with pytest.raises(ArgumentError, match="randomness"):
        df.vmap(lambda x: x, randomness="maybe")


def named(name, fn):
    fn.__name__ = name
    return fn


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x @ values(4, 2),
        lambda x: x + values(2),
        lambda x: x.reshape((2,)),
        lambda x: x.sum(axis=1),
        lambda x: df.concat([x, values(2, 2)]),
    ],
)
def test_errors_of_operations_name_the_shapes_of_single_things(fn):
    with pytest.raises(ShapeError) as raised:
        df.vmap(fn)(X)
    assert "(4, 3)" not in str(raised.value)
    assert "test_vmap.py" in str(raised.value)


def test_a_tensor_that_left_its_call():
    kept = []
    df.vmap(lambda x: kept.append(x) or x)(X)
    with pytest.raises(BatchError, match="outside of its call"):
        kept[0] + 1.0


def test_an_error_within_leaves_the_mode():
    with pytest.raises(ZeroDivisionError):
        df.vmap(lambda x: 1 / 0)(X)
    assert (X + 0.0).tolist() == X.tolist()


def test_printing_shows_the_batch():
    shown = []
    df.vmap(lambda x: shown.append(repr(x)) or x)(X)
    assert shown[0].startswith("Tensor(4 at once: Tensor([[")
