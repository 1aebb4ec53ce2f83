"""Derivatives, vmap and structured control within compiled functions: the same, and replayed."""

from __future__ import annotations

import numpy as np
import pytest
from derivative_programs import F8, OTHERS, ROWS, T, W, X, close, compiled

import dualflow as df

SCALE = [2.0]


def energy(x):
    return (df.tanh(x @ W) ** 2).sum()


def wave(x):
    return df.sin(x) * x * SCALE[0]


def linearized(x, t):
    value, push = df.linearize(wave, x)
    return value, push(t), push(t * 2.0)


def pulled(x, t):
    value, pull = df.vjp(wave, x)
    return value, pull(t)


def filled(x):
    out = df.zeros(4, dtype=F8)
    out[1:] = x
    out[0] = x[0] * 2.0
    return out * out[2:].sum()


def step(carry, x):
    return df.sin(carry) * x, carry + x


outside = df.vmap(lambda x: df.tanh(x @ W))
straight = df.custom_gradient(lambda x: (df.round(x), lambda g: g * SCALE[0]))


@df.custom_gradient
def exponential(x):
    y = df.exp(x)
    return y, lambda g: g * y


DERIVATIVES = {
    "jvp": lambda x, t: df.jvp(wave, (x,), (t,)),
    "linearize": linearized,
    "vjp": pulled,
    "hvp": lambda x, t: df.hvp(energy, (x,), (t,)),
    "jacrev": lambda x, t: df.jacrev(wave)(x),
    "jacfwd": lambda x, t: df.jacfwd(wave)(x),
    "jacobian": lambda x, t: df.jacobian(wave, mode="forward")(x),
    "hessian": lambda x, t: df.hessian(energy)(x),
    "hessian of products": lambda x, t: df.hessian(lambda a: ((a @ a.mT) ** 2).sum())(
        df.stack([x, t, x * t])
    ),
    "double backward": lambda x, t: df.grad(lambda a: (df.grad(energy)(a) ** 2).sum())(x),
    "forward over reverse": lambda x, t: df.jvp(df.grad(energy), (x,), (t,))[1],
    "forward over forward": lambda x, t: df.jvp(
        lambda a: df.jvp(energy, (a,), (t,))[1], (x,), (t,)
    ),
    "checkpoint": lambda x, t: df.grad(lambda a: energy(df.checkpoint(wave)(a)))(x),
    "custom_gradient": lambda x, t: df.grad(lambda a: (straight(a) * a).sum())(x),
    "custom_gradient twice": lambda x, t: df.grad(
        lambda a: (df.grad(lambda b: exponential(b).sum())(a) ** 2).sum()
    )(x),
    "stop_gradient": lambda x, t: df.grad(lambda a: (df.stop_gradient(a) * a).sum())(x),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives(name: str):
    compiled(DERIVATIVES[name], X, T)


MAPS = {
    "vmap": lambda x, y: df.vmap(lambda a: df.tanh(a @ W))(x),
    "of two": lambda x, y: df.vmap(lambda a, b: (a * b).sum() + a, in_axes=(0, 0))(x, y),
    "axes": lambda x, y: df.vmap(lambda a: a.cumsum(), in_axes=-1, out_axes=1)(x),
    "nested": lambda x, y: df.vmap(lambda a: df.vmap(lambda b: a @ b)(y))(x),
    "of grad": lambda x, y: df.vmap(df.grad(energy))(x),
    "of jvp": lambda x, y: df.vmap(lambda a, b: df.jvp(energy, (a,), (b,))[1])(x, y),
    "writes": lambda x, y: df.vmap(filled)(x),
    "made outside": lambda x, y: outside(x),
    "cond": lambda x, y: df.vmap(lambda a: df.cond(a.sum() > 0, df.sin, df.cos, a))(x),
    "while_loop": lambda x, y: df.vmap(
        lambda a: df.while_loop(lambda s: s.sum() < 50.0, lambda s: s * s + 1.0, a)
    )(x),
    "scan": lambda x, y: df.vmap(lambda a: df.scan(step, a[0], a))(x),
}


@pytest.mark.parametrize("name", MAPS)
def test_maps(name: str):
    compiled(MAPS[name], ROWS, OTHERS)


def test_gradient_of_a_map():
    compiled(lambda w: df.grad(lambda w: df.vmap(lambda a: df.tanh(a @ w).sum())(ROWS).sum())(w), W)


CONTROL = {
    "cond": lambda x, rows: df.cond(x.sum() > 0, lambda a: a * 2.0, lambda a: a * 3.0, x),
    "while_loop": lambda x, rows: df.while_loop(
        lambda s: s.sum() < 100.0, lambda s: s * s + 1.0, x
    ),
    "scan": lambda x, rows: df.scan(step, x, rows),
    "gradient of scan": lambda x, rows: df.grad(
        lambda a: df.scan(df.checkpoint(step), a, rows)[1].sum()
    )(x),
    "map": lambda x, rows: df.map(lambda a: a * a.sum() + x, rows),
}


@pytest.mark.parametrize("name", CONTROL)
def test_control(name: str):
    compiled(CONTROL[name], X, ROWS)


def test_the_other_branch_is_recorded_too():
    f = compiled(CONTROL["cond"], X, ROWS)
    for _ in range(2):
        close(f(-X, ROWS), CONTROL["cond"](-X, ROWS))
    assert f.stats()["replays"] == 3
    g = compiled(CONTROL["while_loop"], X, ROWS)
    close(g(X * 5.0, ROWS), CONTROL["while_loop"](X * 5.0, ROWS))
    assert g.stats()["recordings"] == 2


def test_numbers_around_a_followed_function_are_guarded():
    f = df.compile(lambda x: df.vmap(wave)(x), wait=True)
    for scale in (2.0, 3.0, 3.0, 2.0):
        SCALE[0] = scale
        close(f(ROWS), df.vmap(wave)(ROWS))
    assert f.stats()["replays"] >= 1
    SCALE[0] = 2.0
    g = df.compile(lambda x, k: df.vmap(lambda a, k: a * k, in_axes=(0, None))(x, k), wait=True)
    for k in (2.0, 3.0, 3.0):
        close(g(ROWS, k), ROWS * k)


def test_a_module_is_followed():
    model = df.nn.Linear(3, 2, dtype=df.float64)
    f = compiled(lambda x: df.vmap(model)(x), ROWS)
    model.bias = df.ones(2, dtype=df.float64)
    close(f(ROWS), model(ROWS))


def test_random_numbers_and_masks():
    def noisy(x):
        return df.vmap(lambda a: a + df.random.normal((3,)))(x)

    def dropped(x):
        return df.grad(lambda a: (df.checkpoint(lambda z: df.dropout(z * z, 0.5))(a)).sum())(x)

    for fn in (noisy, dropped):
        df.random.seed(7)
        wanted = [fn(ROWS) for _ in range(3)]
        df.random.seed(7)
        f = df.compile(fn, wait=True)
        close([f(ROWS) for _ in range(3)], wanted)
        assert f.stats()["replays"] == 2, f.report().reasons


def test_a_map_of_a_compiled_function():
    inner = df.compile(lambda a: df.tanh(a @ W), wait=True)
    close(df.vmap(inner)(ROWS), df.tanh(ROWS @ W))
    compiled(lambda x: df.vmap(inner)(x), ROWS)


def test_histories_that_leave_a_call():
    w = df.tensor(T, requires_grad=True)
    saved = df.checkpoint(lambda x: df.exp(df.sin(x)))
    f = df.compile(lambda x: (saved(x * w) + df.vmap(df.sin)(x * w)).sum(), wait=True)
    for _ in range(3):
        w.grad = None
        f(X).backward()
        close(w.grad, df.grad(lambda w: (df.exp(df.sin(X * w)) + df.sin(X * w)).sum())(T))
    assert f.stats()["replays"] + f.stats()["co_executions"] == 2


def hook_with_effects(x, scale, log):
    w = x.copy().requires_grad_()
    y = w * w

    def hook(g):
        log.append(float(g.sum()))
        return df.clip(g, -scale, scale) if g.sum() > 0 else None

    y.register_hook(hook)
    w.register_hook(lambda g: log.append("leaf"))
    (y * y).sum().backward()
    return w.grad


def hooks_taken_off(x):
    w = x.copy().requires_grad_()
    y, handles = w, []
    for i in range(3):
        y = df.sin(y) * w
        handles.append(y.register_hook(lambda g, i=i: g * (i + 2.0)))
    y.sum().backward(create_graph=True)
    handles[1].remove()
    y.sum().backward()
    return w.grad.detach()


def hook_in_a_gradient(x):
    def cubed(x):
        y = x**3
        y.register_hook(lambda g: g * g * 2.0)
        return y.sum()

    inner = df.grad(df.checkpoint(cubed))(x), df.vmap(df.grad(cubed))(ROWS)
    return *inner, df.grad(lambda x: df.grad(cubed)(x).sum())(x)


def test_hooks_made_in_a_call_are_replayed():
    logs = [], []
    f = df.compile(hook_with_effects, wait=True)
    for fn, log in zip((hook_with_effects, f), logs, strict=True):
        found = [fn(X, 0.5, log), fn(X, 0.5, log), fn(X, 0.5, log), fn(X, 0.25, log)]
        close(found[0], found[2])
    close(found, [hook_with_effects(X, s, []) for s in (0.5, 0.5, 0.5, 0.25)])
    np.testing.assert_allclose(logs[0][::2], logs[1][::2], 1e-9)
    assert logs[0][1::2] == logs[1][1::2] == ["leaf"] * 4
    assert f.stats()["replays"] == 2, f.report().reasons
    compiled(hooks_taken_off, X)
    compiled(hook_in_a_gradient, X)


def test_hooks_from_outside_and_hooks_that_leave():
    seen = []
    leaf = df.tensor(X, requires_grad=True)

    def trained(t):
        leaf.grad = None
        (leaf * t).sum().backward()
        return leaf.grad

    f = compiled(trained, T)
    hook = leaf.register_hook(lambda g: seen.append(1) or g * 3.0)
    for _ in range(2):  # the replay of before has seen no hook
        close(f(T), T * 3.0)
    assert len(seen) == 2
    assert f.stats()["replays"] == 3
    hook.remove()
    close(f(T), T)
    assert f.stats()["replays"] == 4
    leaf.register_hook(lambda g: seen.append(2) or g * 4.0)
    for _ in range(2):
        close(f(T), T * 4.0)
    assert seen == [1, 1, 2, 2]
    leaf.register_hook(lambda g: g + 1.0)
    for _ in range(2):
        close(f(T), T * 4.0 + 1.0)
    assert f.stats()["replays"] == 6, f.report().reasons

    def hooked(x):
        w = x.copy().requires_grad_()
        y = w * 2.0
        y.register_hook(lambda g: g * 5.0)
        return w, y.sum()

    g = df.compile(hooked, wait=True)
    for _ in range(3):
        w, out = g(X)
        out.backward()
        close(w.grad, df.ones(3, dtype=F8) * 10.0)
    assert g.stats()["co_executions"] == 2
