"""Forward mode and whole derivatives: jvp, linearize, hvp, Jacobians, Hessians, complex numbers."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import ArgumentError, GradientError, InPlaceError

F8 = df.float64


def vector(*numbers: float) -> df.Tensor:
    return df.tensor(list(numbers), F8)


X, T = vector(0.5, 2.0, -1.0), vector(1.0, 10.0, -2.0)


def along(fn, x: np.ndarray, t: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The derivative of `fn` along t, by central difference."""
    ahead, behind = fn(df.asarray(x + step * t)), fn(df.asarray(x - step * t))
    return (ahead.numpy() - behind.numpy()) / (2 * step)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: df.sin(x) * x + df.exp(x).sum(),
        lambda x: df.cumprod(x) / (1.0 + x * x),
        lambda x: df.softmax(x) @ df.sort(x),
        lambda x: df.where(x > 0, x * x, 3.0 * x),
        lambda x: df.concat([x[1:], x[:1] * 2.0]).reshape((3, 1)) @ x[None, :],
        lambda x: x.prod() + x.max() * x.min(),
        lambda x: df.pad(x, ((1, 0),), 5.0)[:-1] * x,
        lambda x: df.scatter_add(x, df.asarray([0, 0]), x[1:]),
        lambda x: df.broadcast_to(x[:1], (3,)) - x * 2,
    ],
)
def test_against_central_differences(fn):
    value, tangent = df.jvp(fn, (X,), (T,))
    np.testing.assert_allclose(value.numpy(), fn(X).numpy())
    np.testing.assert_allclose(tangent.numpy(), along(fn, X.numpy(), T.numpy()), 1e-6, 1e-6)
    assert not value.requires_grad
    assert not tangent.requires_grad


def test_containers_and_aux():
    def f(pair, scale):
        return {"product": pair["a"] * scale, "sum": pair["b"].sum()}, "aux"

    given = ({"a": X, "b": X}, vector(2.0, 3.0, 4.0))
    tangents = ({"a": T, "b": T}, vector(0.0, 1.0, 0.0))
    value, tangent, aux = df.jvp(f, given, tangents, has_aux=True)
    assert aux == "aux"
    np.testing.assert_allclose(tangent["product"].numpy(), [2.0, 32.0, -8.0])
    assert tangent["sum"].item() == 9.0
    assert value["product"].tolist() == [1.0, 6.0, -4.0]


def test_aux_of_a_pull():
    value, pull, aux = df.vjp(lambda x: (x * x, {"seen": x}), X, has_aux=True)
    assert pull(T)[0].tolist() == [1.0, 40.0, 4.0]
    assert aux["seen"].tolist() == X.tolist()
    assert value.tolist() == [0.25, 4.0, 1.0]
    assert not aux["seen"].requires_grad


def test_what_does_not_depend_on_the_arguments():
    value, tangent = df.jvp(lambda x: (df.ones(2), x > 0, df.floor(x)), (X,), (T,))
    assert [t.tolist() for t in tangent] == [[0.0, 0.0], [False] * 3, [0.0] * 3]
    assert value[1].tolist() == [True, True, False]


def test_results_share_no_memory_with_what_was_given():
    x, t = X.copy(), T.copy()
    _, tangent = df.jvp(lambda x: (x, x), (x,), (t,))
    tangent[0][0] = 100.0
    assert t.tolist() == T.tolist()
    assert tangent[1].tolist() == T.tolist()


def test_linearize_runs_the_function_once():
    calls = []

    def f(x):
        calls.append(1)
        return x * x

    value, push = df.linearize(f, X)
    assert [push(T).tolist(), push(T * 2.0).tolist()] == [[1.0, 40.0, 4.0], [2.0, 80.0, 8.0]]
    assert value.tolist() == [0.25, 4.0, 1.0]
    assert len(calls) == 1


# Derivatives of derivatives -------------------------------------------------------------------


def test_perturbations_are_not_confused():
    one = df.tensor(1.0, F8)

    def inner(x):
        return x * df.jvp(lambda y: x + y, (one,), (one,))[1]

    assert df.jvp(inner, (one,), (one,))[1].item() == 1.0
    assert df.grad(lambda x: x * df.grad(lambda y: x + y)(one))(one).item() == 1.0


def test_forward_and_reverse_in_every_order():
    def f(x):
        return (df.sin(x) * x.sum() ** 2).sum()

    exact = df.grad(lambda x: (df.grad(f)(x) * T).sum())(X)
    found = {
        "forward over reverse": df.jvp(df.grad(f), (X,), (T,))[1],
        "reverse over forward": df.grad(lambda x: df.jvp(f, (x,), (T,))[1])(X),
        "hvp": df.hvp(f, (X,), (T,)),
        "hessian": df.hessian(f)(X) @ T,
    }
    for name, one in found.items():
        np.testing.assert_allclose(one.numpy(), exact.numpy(), 1e-12, err_msg=name)
        assert not one.requires_grad, name
    twice = df.jvp(lambda x: df.jvp(f, (x,), (T,))[1], (X,), (T,))[1]
    assert twice.item() == pytest.approx((exact * T).sum().item())


def test_third_derivatives():
    def third(x):
        def second(y):
            return df.jvp(lambda z: df.jvp(df.exp, (z,), (one,))[1], (y,), (one,))[1]

        return df.grad(second)(x)

    one = df.tensor(1.0, F8)
    assert third(df.tensor(0.3, F8)).item() == pytest.approx(np.exp(0.3))


def test_gradients_flow_to_parameters_around():
    w = df.tensor([2.0, 3.0, 4.0], F8, requires_grad=True)
    _, tangent = df.jvp(lambda x: x * x * w, (X,), (T,))
    assert tangent.requires_grad
    tangent.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * X.numpy() * T.numpy())


def test_writes_in_place():
    def f(x):
        y = x * 1.0
        y[0] = x[1] * x[1]
        z = df.zeros(4, dtype=F8)
        z[1:] = y
        z[1:][0] *= 2.0
        return z

    np.testing.assert_allclose(
        df.jvp(f, (X,), (T,))[1].numpy(), along(f, X.numpy(), T.numpy()), 1e-6, 1e-6
    )


def test_overwritten_values_are_noticed():
    kept = []

    def g(x):
        y = x * 1.0
        kept.append(y.detach())
        return df.sin(y)

    _, push = df.linearize(g, X)
    kept[0][0] = 0.0
    with pytest.raises(InPlaceError, match="an input of sin"):
        push(T)


def test_a_tape_of_a_replay_is_followed_forward():
    f = df.compile(lambda x: df.sin(x) * x, wait=True)
    for _ in range(3):
        tangent = df.jvp(f, (X,), (T,))[1]
    assert f.stats()["replays"] == 2
    np.testing.assert_allclose(
        tangent.numpy(), along(lambda x: df.sin(x) * x, X.numpy(), T.numpy()), 1e-6
    )


# Jacobians and Hessians -----------------------------------------------------------------------


@pytest.mark.parametrize("jacobian", [df.jacrev, df.jacfwd, df.jacobian])
def test_jacobian(jacobian):
    def f(x, y):
        return x[:, None] * y[None, :2]

    found = jacobian(f, (0, 1))(X, vector(1.0, 2.0, 3.0))
    assert [j.shape for j in found] == [(3, 2, 3), (3, 2, 3)]
    wanted = np.zeros((3, 2, 3))
    for i in range(3):
        wanted[i, :, i] = [1.0, 2.0]
    np.testing.assert_allclose(found[0].numpy(), wanted)
    for i in range(2):
        np.testing.assert_allclose(found[1].numpy()[:, i, i], X.numpy())
    assert not found[0].requires_grad


def test_jacobian_of_containers():
    found = df.jacrev(lambda p: {"s": p["a"].sum(), "p": (p["a"] * p["b"],)})({"a": X, "b": T})
    assert found["s"]["b"].tolist() == [0.0] * 3
    np.testing.assert_allclose(found["p"][0]["a"].numpy(), np.diag(T.numpy()))
    forward = df.jacfwd(lambda p: {"s": p["a"].sum(), "p": (p["a"] * p["b"],)})({"a": X, "b": T})
    assert forward["p"][0]["b"].tolist() == found["p"][0]["b"].tolist()


def test_hessian_of_two_arguments():
    found = df.hessian(lambda x, y: (x * x * y).sum(), (0, 1))(X, T)
    np.testing.assert_allclose(found[0][0].numpy(), np.diag(2 * T.numpy()))
    np.testing.assert_allclose(found[0][1].numpy(), np.diag(2 * X.numpy()))
    np.testing.assert_allclose(found[1][1].numpy(), np.zeros((3, 3)))


def test_gradient_of_a_jacobian():
    found = df.grad(lambda x: (df.jacobian(lambda y: y**3)(x) ** 2).sum())(X)
    np.testing.assert_allclose(found.numpy(), 4 * 9 * X.numpy() ** 3, 1e-12)


# Complex numbers ------------------------------------------------------------------------------

Z = df.asarray(np.array([1.0 + 2.0j, -0.5 + 0.3j]))
S = df.asarray(np.array([0.3 - 1.0j, 2.0 + 0.1j]))


def test_gradient_is_the_direction_of_steepest_ascent():
    found = df.grad(lambda z: (df.abs(z) ** 2).sum())(Z)
    np.testing.assert_allclose(found.numpy(), 2 * Z.numpy(), 1e-12)


def test_holomorphic_tangents_are_products_with_the_derivative():
    _, tangent = df.jvp(lambda z: df.exp(z) * z, (Z,), (S,))
    z = Z.numpy()
    np.testing.assert_allclose(tangent.numpy(), (np.exp(z) * (z + 1)) * S.numpy(), 1e-12)
    for jacobian in (df.jacrev, df.jacfwd):
        found = jacobian(lambda z: df.exp(z) * z)(Z)
        np.testing.assert_allclose(found.numpy(), np.diag(np.exp(z) * (z + 1)), 1e-12)


def test_functions_that_are_not_holomorphic():
    def f(z):
        return (df.abs(z) * df.real(z) + df.imag(z * z)) * df.conj(z)

    df.check_grads(f, Z)
    np.testing.assert_allclose(
        df.jvp(f, (Z,), (S,))[1].numpy(), along(f, Z.numpy(), S.numpy()), 1e-6
    )


def test_real_and_complex_together():
    x = vector(0.5, 2.0)
    df.check_grads(lambda x, z: df.abs(x * z + df.exp(z)), x, Z)
    g = df.grad(lambda x: df.real(x * Z).sum())(x)
    assert g.dtype == F8
    np.testing.assert_allclose(g.numpy(), Z.numpy().real)


def test_what_has_no_single_derivative():
    with pytest.raises(GradientError, match="complex ones have no order"):
        df.grad(lambda z: z.sum())(Z)
    with pytest.raises(GradientError, match="between real and complex"):
        df.jacobian(lambda z: df.abs(z))(Z)
    with pytest.raises(GradientError, match="complex ones have no order"):
        df.tensor(Z, requires_grad=True).sum().backward()


# Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda f: df.jvp(f, (X,), (T[:2],)), r"tangent of f.*\(2,\).*\(3,\)"),
        (lambda f: df.jvp(f, (X,), (T.astype(df.float32),)), "float32"),
        (lambda f: df.jvp(f, (X,), ((T,),)), "nested otherwise"),
        (lambda f: df.jvp(f, X, (T,)), "primals of type Tensor"),
        (lambda f: df.jvp(f, (X > 0,), (T,)), "argument 0.*bool"),
        (lambda f: df.jacobian(lambda x: 3)(X), "returned int"),
        (lambda f: df.linearize(lambda x: 3, X), "returned int"),
    ],
)
def test_arguments_that_do_not_fit(call, says: str):
    def f(x):
        return x * 2.0

    with pytest.raises(GradientError, match=says) as raised:
        call(f)
    assert "test_autograd_forward.py" in str(raised.value)


def test_a_mode_that_does_not_exist():
    with pytest.raises(ArgumentError, match="mode='both'"):
        df.jacobian(lambda x: x, mode="both")
    with pytest.raises(ArgumentError, match="argument 1 of"):
        df.jacobian(lambda x: x, 1)(X)
