"""What derivatives within compiled functions are given: containers, keywords, objects, mistakes."""

from __future__ import annotations

import functools
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from derivative_programs import F8, ROWS, T, X, close, compiled

import dualflow as df


class Weights(NamedTuple):
    w: Any
    rest: Any


@dataclass(frozen=True)
class Parameters:
    w: Any
    rest: Any = None


class Energy:
    def __init__(self):
        self.scale = T

    def __call__(self, x):
        return (df.sin(x) * self.scale).sum()


def of_a_named_tuple(p):
    return df.value_and_grad(lambda p: (p.w * p.rest["b"][0]).sum())(p)


def of_a_dataclass(p):
    p = Parameters(p.w, Parameters(p.rest["b"][0]))

    def loss(p):
        return (p.w * p.rest.w).sum(), Parameters(p.w + 1.0)

    g, aux = df.grad(loss, has_aux=True)(p)
    moved = df.vmap(lambda p: Parameters(p.w * 2.0, p.rest))(Parameters(g.w, Parameters(aux.w)))
    return p.w - 0.1 * g.w, g.rest.w, moved.w, moved.rest.w


def of_an_ordered_dict(p):
    p = OrderedDict(w=p.w, b=p.rest["b"][0])
    return dict(df.grad(lambda p: (p["w"] * p["b"]).sum())(p))


def of_a_partial(p):
    return df.grad(functools.partial(lambda w, x: (w * x * x).sum(), p.w))(X)


@pytest.mark.parametrize(
    ("fn", "how"),
    [(of_a_named_tuple, "replays"), (of_a_dataclass, "replays"), (of_a_partial, "replays"),
     (of_an_ordered_dict, "co_executions")],
)  # fmt: skip
def test_containers_are_read_anew_at_each_call(fn, how: str):
    f = df.compile(fn, wait=True)
    for k in (1.0, 1.0, 2.0, 3.0):
        given = Weights(X * k, {"b": (T * k, None)})
        close(f(given), fn(given))
    assert f.stats()[how] == 3, f.report().reasons


def test_a_dataclass_from_outside_is_read_field_by_field():
    def step(p):
        g = df.grad(lambda p: (p.w * p.w * p.rest).sum())(p)
        return Parameters(p.w - 0.1 * g.w, p.rest)

    f = df.compile(step, wait=True)
    for k in (1.0, 1.0, 2.0, 3.0):
        given = Parameters(X * k, T)
        found = f(given)
        assert type(found) is Parameters
        close(found.w, step(given).w)
        assert found.rest is given.rest
    assert f.stats()["replays"] == 3, f.report().reasons


def test_gradients_of_callable_objects_follow_their_attributes():
    energy = Energy()
    f = compiled(lambda x: (df.grad(energy)(x), df.vmap(energy)(ROWS)), X)
    energy.scale = T * 2.0
    close(f(X)[0], df.cos(X) * T * 2.0)


WRONG = {
    "a choice by a batch": lambda x: df.vmap(lambda a: a if a.sum() > 0 else -a)(x),
    "a number of a batch": lambda x: df.vmap(lambda a: a * float(a[0]))(x),
    "unequal sizes": lambda x: df.vmap(lambda a, b: a)(x, x[1:]),
    "no such axis": lambda x: df.vmap(lambda a: a, in_axes=5)(x),
    "shapes within": lambda x: df.vmap(lambda a: a @ df.ones((2, 2), dtype=F8))(x),
    "a value of several elements": lambda x: df.grad(lambda a: a * 2.0)(x),
    "a tangent of another shape": lambda x: df.jvp(df.sin, (x,), (x[0],)),
    "a Jacobian of integers": lambda x: df.jacobian(lambda a: df.argmax(a))(x),
    "a condition of floats": lambda x: df.cond(x, df.sin, df.cos, x),
    "a carry that changes": lambda x: df.scan(lambda c, a: (c[None], a), x[0], x),
    "a gradient that does not fit": lambda x: df.grad(
        lambda a: df.custom_gradient(lambda b: (b * 2.0, lambda g: g.sum()))(a).sum()
    )(x),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_those_of_python(name: str):
    seen = []
    f = df.compile(WRONG[name], wait=True)
    for call in (WRONG[name], f, f):
        with pytest.raises(df.errors.DualflowError) as raised:
            call(ROWS)
        error = raised.value
        seen.append((type(error), error.what, error.why, error.instead))
        assert "test_capture_derivatives_arguments.py" in str(error)
    assert seen[1:] == seen[:1] * 2


# Keyword arguments ----------------------------------------------------------------------------

FACTOR, SHIFT = 2.0, df.tensor([1.0, -1.0, 0.5])


def named_loss(x, *, scale=1.0, shift=None, parts=()):
    y = x * scale if shift is None else x * scale + shift
    for part in parts:
        y = y * part
    return (y**2).sum()


NAMED = {
    "a constant": lambda x, s: df.grad(named_loss)(x, scale=3.0),
    "a number given": lambda x, s: df.grad(named_loss)(x, scale=s),
    "a global": lambda x, s: df.grad(named_loss)(x, scale=FACTOR, shift=SHIFT),
    "the tensor itself": lambda x, s: df.grad(named_loss)(x, shift=x),
    "a tensor made there": lambda x, s: df.grad(named_loss)(x, shift=x * s + 1.0),
    "a container": lambda x, s: df.grad(named_loss)(x, parts=[x, SHIFT]),
    "with the value": lambda x, s: df.value_and_grad(named_loss)(x, scale=s)[1],
    "jacobian": lambda x, s: df.jacobian(lambda x, *, k: x * k * x)(x, k=s),
    "hessian": lambda x, s: df.hessian(named_loss)(x, scale=s, shift=x),
    "vmap": lambda x, s: df.vmap(lambda v, k: v * k + 1.0)(x, k=x * s),
    "vmap of a gradient": lambda x, s: df.vmap(
        lambda v, w: df.grad(lambda v, *, w: (v * w) ** 2)(v, w=w)
    )(x, w=x + s),
    "of a gradient": lambda x, s: df.grad(
        lambda x: df.grad(named_loss)(x, scale=s, shift=x).sum()
    )(x),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_keyword_arguments_replay(name: str, monkeypatch: pytest.MonkeyPatch):
    function = NAMED[name]
    compiled = df.compile(function, wait=True)
    x = df.tensor([1.0, 2.0, -0.5])
    for scale, number, shift in (
        (2.0, 3.0, 1.0),
        (2.0, 3.0, 1.0),
        (2.0, 3.0, 5.0),
        (4.0, 3.0, 5.0),
        (4.0, -1.5, 5.0),
        (4.0, -1.5, 5.0),
    ):
        monkeypatch.setitem(globals(), "FACTOR", scale)
        monkeypatch.setitem(globals(), "SHIFT", df.tensor([shift, -1.0, 0.5]))
        found, wanted = compiled(x, number), function(x, number)
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-6)
    stats = compiled.stats()
    assert stats["co_executions"] == stats["eager_calls"] == 0
    assert stats["replays"] >= 3


def test_names_that_do_not_fit_raise_what_eager_raises():
    compiled = df.compile(lambda x: df.grad(named_loss)(x, other=1.0), wait=True)
    for _ in range(3):
        with pytest.raises(TypeError, match="other"):
            compiled(df.ones(3))
