"""Random functions: every transformation agrees with the others, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import dualflow as df

F8 = df.float64
W = df.asarray(np.random.default_rng(9).normal(size=(3, 3))).copy()

#: lines over v (any shape), giving another value; smooth nearly everywhere
LINES: tuple[Callable, ...] = (
    lambda v, u: df.tanh(v) * u.sum(),
    lambda v, u: v * df.sin(v) + 0.5,
    lambda v, u: v[..., ::-1] - u.mean(),
    lambda v, u: v.reshape((-1,)) * 2.0,
    lambda v, u: df.stack([v, v * v], axis=-1).sum(axis=-1),
    lambda v, u: df.where(v > 0, v, 0.3 * v),
    lambda v, u: df.maximum(v, u.max()) + v,
    lambda v, u: df.concat([v, df.exp(-v * v)], axis=0)[: v.shape[0] + 1],
    lambda v, u: v[None] * v.reshape((*v.shape, 1)) if v.ndim < 3 else v.sum(axis=0),
    lambda v, u: df.softmax(v),
    lambda v, u: df.cumsum(v, axis=v.ndim - 1) if v.ndim else v * v,
    lambda v, u: df.cumprod(df.tanh(v), axis=0) if v.ndim else -v,
    lambda v, u: df.sort(v, axis=0) if v.ndim else df.sigmoid(v),
    lambda v, u: df.pad(v, 1, 0.5)[..., 1:] if v.ndim else v + 1.0,
    lambda v, u: _tall(v) @ W,
    lambda v, u: W.T @ df.tanh(_tall(v)).T,
    lambda v, u: _tall(v) @ _tall(u).T,
    lambda v, u: df.take(v, df.argmax(v, axis=0), axis=0) if v.ndim == 1 else v.max(axis=-1),
    lambda v, u: v.prod(axis=0) if v.ndim else v * 3.0,
    lambda v, u: _written(v, u),
    lambda v, u: _accumulated(v),
    lambda v, u: df.broadcast_to(v, (2, *v.shape))[1] * u.std() if v.ndim else v,
    lambda v, u: df.checkpoint(lambda z: df.exp(df.sin(z)) * z)(v),
    lambda v, u: df.stop_gradient(v) * v,
    lambda v, u: exponential(v) * u.sum(),
    lambda v, u: straight(v) * scaled(v, u.sum()),
    lambda v, u: df.scan(lambda c, x: (c * 0.5 + x.sum(), c), u.sum(), v)[1] if v.ndim else v,
    lambda v, u: df.cond(u.sum() > 0, df.sin, lambda z: z * z, v),
    lambda v, u: df.layer_norm(v) if v.ndim else df.cos(v),
    lambda v, u: df.roll(v, 1) + df.flip(v) if v.ndim else v,
    lambda v, u: df.linalg.inv(_tall(v)[:1].T @ _tall(v)[:1] + 2.0 * df.eye(3, dtype=F8)),
)  # fmt: skip


@df.custom_gradient
def exponential(x):
    y = df.exp(df.tanh(x))
    return y, lambda g: g * y * (1.0 - df.tanh(x) ** 2)


@df.custom_gradient
def straight(x):
    return df.round(x), lambda g: g


@df.custom_gradient
def scaled(x, k):
    return df.sin(x) * k, lambda g: (g * df.cos(x) * k, (g * df.sin(x)).sum())


def _tall(v):
    flat = v.reshape((-1,))
    flat = df.concat([flat] * (1 + 2 // flat.size))
    return flat[: flat.size // 3 * 3].reshape((-1, 3))


def _written(v, u):
    out = df.zeros((2, *v.shape), dtype=F8)
    out[0] = v * 2.0
    out[1] += u.sum()
    view = out[1]
    view *= v
    return out


def _accumulated(v):
    y = v * 1.0
    y += df.tanh(y)
    y *= v
    return y


def function(seed: int) -> Callable:
    """A function of vectors of 3 numbers that gives a number."""
    rng = np.random.default_rng(seed)
    values, steps = [rows(seed)[0][0]], []
    while len(steps) < 5:
        line = LINES[rng.integers(len(LINES))]
        a, b = rng.integers(len(values), size=2)
        try:
            made = line(values[a], values[b])
        except df.errors.DualflowError:  # it does not fit
            continue
        if made.size < 200 and bool(df.isfinite(made).all()):
            values.append(made)
            steps.append((line, a, b))

    def fn(x):
        values = [x]
        for line, a, b in steps:
            values.append(line(values[a], values[b]))
        return df.tanh(values[-1]).sum() + df.sin(values[-2]).mean()

    return fn


def close(found: df.Tensor, wanted: df.Tensor | np.ndarray, what: str) -> None:
    other = wanted.numpy() if type(wanted) is df.Tensor else wanted
    np.testing.assert_allclose(found.numpy(), other, 1e-7, 1e-9, err_msg=what)
    assert not found.requires_grad, what


def rows(seed: int) -> tuple[df.Tensor, df.Tensor]:
    rng = np.random.default_rng(seed + 1000)
    return df.asarray(rng.normal(size=(4, 3))).copy(), df.asarray(rng.normal(size=(4, 3))).copy()


def check(seed: int) -> None:
    fn = function(seed)
    xs, ts = rows(seed)
    x, t = xs[0].copy(), ts[0].copy()
    single = np.stack([fn(xs[i]).numpy() for i in range(4)])
    slopes = np.stack([df.grad(fn)(xs[i]).numpy() for i in range(4)])
    close(df.vmap(fn)(xs), single, "vmap")
    close(df.vmap(df.grad(fn))(xs), slopes, "vmap of grad")
    close(df.grad(lambda a: df.vmap(fn)(a).sum())(xs), slopes, "grad of vmap")
    close(df.jvp(fn, (x,), (t,))[1], (slopes[0] * t.numpy()).sum(), "jvp")
    close(df.jvp(lambda a: df.vmap(fn)(a), (xs,), (ts,))[1], (slopes * ts.numpy()).sum(1),
          "jvp of vmap")  # fmt: skip
    close(
        df.vmap(lambda a, b: df.jvp(fn, (a,), (b,))[1])(xs, ts),
        (slopes * ts.numpy()).sum(1), "vmap of jvp",
    )  # fmt: skip
    hessian = df.jacrev(df.grad(fn))(x)
    close(df.hessian(fn)(x), hessian, "hessian")
    close(df.hvp(fn, (x,), (t,)), hessian @ t, "hvp")
    close(df.grad(lambda a: (df.grad(fn)(a) * t).sum())(x), hessian @ t, "grad of grad")
    close(df.grad(lambda a: df.jvp(fn, (a,), (t,))[1])(x), hessian @ t, "grad of jvp")
    outer = df.grad(lambda a: (df.vmap(df.grad(fn))(a) * ts).sum())(xs)
    close(outer[0].copy(), hessian @ t, "grad of vmap of grad")


@pytest.mark.parametrize("seed", range(25))
def test_transformations_agree(seed: int):
    check(seed)


@pytest.mark.slow
def test_more_of_them():
    for seed in range(100, 1100):
        check(seed)


@pytest.mark.parametrize("seed", [30, 32])
def test_compiled(seed: int):
    fn = function(seed)
    xs, ts = rows(seed)

    def all_of_it(xs, t):
        x = xs[0]
        return df.vmap(fn)(xs), df.vmap(df.grad(fn))(xs), df.hvp(fn, (x,), (t,))

    compiled = df.compile(all_of_it, wait=True)
    with df.config(on_compiler_error="raise"):
        for _ in range(2):
            for found, wanted in zip(compiled(xs, ts[0]), all_of_it(xs, ts[0]), strict=True):
                close(found, wanted, "compiled")
    stats = compiled.stats()
    assert stats["replays"] + stats["co_executions"] == 1
