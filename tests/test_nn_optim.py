"""Optimizers against their formulas, written again in NumPy."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import dualflow as df
from dualflow import optim
from dualflow.base.errors import ArgumentError, GradientError, ShapeError

START = np.array([[1.0, -2.0, 0.5], [3.0, 0.1, -0.7]])
rng = np.random.default_rng(5)
GRADIENTS = [rng.normal(size=START.shape) for _ in range(7)]


def run(make, steps=GRADIENTS) -> np.ndarray:
    parameter = df.tensor(START, requires_grad=True)
    optimizer = make([parameter])
    for gradient in steps:
        optimizer.zero_grad()
        (parameter * df.asarray(gradient)).sum().backward()
        optimizer.step()
    return parameter.detach().numpy()


def sgd(lr, momentum=0.0, nesterov=False, weight_decay=0.0) -> np.ndarray:
    p, v = START.copy(), np.zeros_like(START)
    for g in GRADIENTS:
        g = g + weight_decay * p
        v = momentum * v + g
        p = p - lr * (g + momentum * v if nesterov else v)
    return p


def adam(lr, beta1=0.9, beta2=0.999, eps=1e-8, l2=0.0, decay=0.0) -> np.ndarray:
    p, m, v = START.copy(), np.zeros_like(START), np.zeros_like(START)
    for t, g in enumerate(GRADIENTS, 1):
        g = g + l2 * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        p = p - lr * (m_hat / (np.sqrt(v_hat) + eps) + decay * p)
    return p


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda ps: optim.SGD(ps, 0.1), sgd(0.1)),
        (lambda ps: optim.SGD(ps, 0.1, weight_decay=0.3), sgd(0.1, weight_decay=0.3)),
        (lambda ps: optim.SGD(ps, 0.1, momentum=0.8), sgd(0.1, 0.8)),
        (
            lambda ps: optim.SGD(ps, 0.1, momentum=0.8, nesterov=True, weight_decay=0.2),
            sgd(0.1, 0.8, True, 0.2),
        ),
        (lambda ps: optim.Adam(ps, 0.05), adam(0.05)),
        (
            lambda ps: optim.Adam(ps, 0.05, beta1=0.7, beta2=0.9, eps=0.1, weight_decay=0.3),
            adam(0.05, 0.7, 0.9, 0.1, l2=0.3),
        ),
        (lambda ps: optim.AdamW(ps, 0.05), adam(0.05, decay=0.01)),
        (lambda ps: optim.AdamW(ps, 0.05, weight_decay=0.3), adam(0.05, decay=0.3)),
    ],
)
def test_steps_follow_the_formula(make, expected):
    np.testing.assert_allclose(run(make), expected, rtol=1e-13)


def test_parameters_are_changed_in_place_and_stay_leaves():
    parameter = df.tensor(START, requires_grad=True)
    memory = parameter.detach().numpy()
    parameter.sum().backward()
    optim.AdamW([parameter]).step()
    assert parameter.requires_grad
    assert parameter._tape is None
    assert parameter.detach().numpy() is not START
    np.testing.assert_array_equal(memory, parameter.detach().numpy())
    assert (memory != START).all()


def test_dtypes_are_kept():
    parameter = df.tensor([1.0, 2.0], df.float32, requires_grad=True)
    optimizer = optim.AdamW([parameter])
    (parameter * parameter).sum().backward()
    optimizer.step()
    assert parameter.dtype == np.float32
    assert optimizer.groups[0].means[0].dtype == np.float32
    assert optimizer.groups[0].steps[0].item() == 1.0


def test_parameters_without_gradient_are_left_alone_and_do_not_age():
    used, unused = df.tensor([1.0], requires_grad=True), df.tensor([1.0], requires_grad=True)
    optimizer = optim.Adam([used, unused], 0.1)
    used.sum().backward()
    optimizer.step()
    assert unused.item() == 1.0
    assert [step.item() for step in optimizer.groups[0].steps] == [1.0, 0.0]


def test_groups_have_settings_of_their_own():
    a, b = df.tensor([1.0], requires_grad=True), df.tensor([1.0], requires_grad=True)
    groups = [{"parameters": [a], "lr": 0.5}, {"parameters": [b]}]
    optimizer = optim.SGD(groups, lr=0.25)
    (a + b).sum().backward()
    optimizer.step()
    assert (a.item(), b.item()) == (0.5, 0.75)
    optimizer.lr = 0.125
    optimizer.step()
    assert (a.item(), b.item()) == (0.375, 0.625)


@pytest.mark.parametrize("make", [
    lambda ps: optim.SGD(ps, 0.1, momentum=0.9), lambda ps: optim.AdamW(ps, 0.1),
])  # fmt: skip
def test_state_saved_and_loaded_goes_on_alike(make):
    def advance(parameter, optimizer, steps):
        for gradient in steps:
            optimizer.zero_grad()
            (parameter * df.asarray(gradient)).sum().backward()
            optimizer.step()

    first = df.tensor(START, requires_grad=True)
    optimizer = make([first])
    advance(first, optimizer, GRADIENTS[:4])
    state = optimizer.state_dict()
    second = df.tensor(first, requires_grad=True)
    other = make([second])
    other.lr = 77.0
    other.load_state_dict(copy.copy(state))
    advance(first, optimizer, GRADIENTS[4:])
    advance(second, other, GRADIENTS[4:])
    np.testing.assert_array_equal(first.detach().numpy(), second.detach().numpy())


def test_states_that_do_not_fit():
    parameter = df.tensor(START, requires_grad=True)
    optimizer = optim.AdamW([parameter])
    with pytest.raises(ArgumentError, match="a state with"):
        optimizer.load_state_dict(optim.SGD([parameter], 0.1).state_dict())
    other = optim.AdamW([df.tensor([1.0], requires_grad=True)])
    with pytest.raises(ShapeError, match="means"):
        optimizer.load_state_dict(other.state_dict())
    with pytest.raises(ArgumentError, match="2 groups"):
        optimizer.load_state_dict({"groups": other.state_dict()["groups"] * 2})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: optim.SGD([], 0.1), ArgumentError, "without parameters"),
        (lambda p: optim.SGD(p.sum, 0.1), ArgumentError, "model.parameters()"),
        (lambda p: optim.SGD([p, p], 0.1), ArgumentError, "given twice"),
        (lambda p: optim.SGD([p], -0.1), ArgumentError, "lr=-0.1"),
        (lambda p: optim.SGD([p], math.nan), ArgumentError, "lr=nan"),
        (lambda p: optim.SGD([p], 0.1, nesterov=True), ArgumentError, "nesterov"),
        (lambda p: optim.Adam([p], beta1=1.0), ArgumentError, "beta1=1.0"),
        (lambda p: optim.Adam([p * 2.0]), GradientError, "no leaf"),
        (lambda p: optim.Adam([p.detach()]), GradientError, "nn.Parameter"),
        (lambda p: optim.Adam([1.0]), ArgumentError, "type float"),
        (lambda p: optim.Adam([{"parameters": [p], "rate": 1}]), ArgumentError, "rate"),
        (lambda p: optim.Adam([{"lr": 1}]), ArgumentError, "group without"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error) as raised:
        call(df.tensor([1.0], requires_grad=True))
    assert message in str(raised.value)


def test_repr_shows_settings_and_no_tensors():
    first, second = df.tensor([1.0], requires_grad=True), df.tensor([2.0], requires_grad=True)
    adam = optim.Adam([first], lr=0.1)
    assert repr(adam).startswith("Adam(lr=0.1, beta1=0.9, ")
    assert repr(adam).endswith("; 1 parameters)")
    both = optim.SGD([{"parameters": [first], "lr": 1.0}, {"parameters": [second]}], lr=0.5)
    assert repr(both) == (
        "SGD(lr=1.0, momentum=0.0, nesterov=False, weight_decay=0.0; 1 parameters | "
        "lr=0.5, momentum=0.0, nesterov=False, weight_decay=0.0; 1 parameters)"
    )


def test_clip_gradients_scales_all_together():
    a = df.tensor([3.0], requires_grad=True)
    b = df.tensor([[4.0]], df.float64, requires_grad=True)
    (a * a / 2.0).sum().backward()
    (b * b / 2.0).sum().backward()
    kept = a.grad
    assert optim.clip_gradients([a, b], 10.0).item() == 5.0
    assert (a.grad.item(), b.grad.item()) == (3.0, 4.0)
    optim.clip_gradients([a, b], 2.5)
    assert a.grad is kept
    assert (a.grad.item(), b.grad.item()) == pytest.approx((1.5, 2.0))
    assert b.grad.dtype == np.float64


def test_schedules():
    optimizer = optim.SGD(
        [{"parameters": [df.tensor([1.0], requires_grad=True)], "lr": 2.0},
         {"parameters": [df.tensor([1.0], requires_grad=True)]}], lr=1.0,
    )  # fmt: skip
    schedule = optim.Schedule(optimizer, optim.cosine(10, warmup=1, floor=0.1))
    rates = [optimizer.groups[0].lr]
    for _ in range(12):
        schedule.step()
        rates.append(optimizer.groups[0].lr)
    assert optimizer.groups[1].lr == rates[-1] / 2
    assert rates[0] == 1.0
    assert rates[1] == 2.0
    assert rates[4] == pytest.approx(2 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 3 / 9))))
    assert rates[10:] == pytest.approx([0.2] * 3)
    assert [optim.exponential(0.5)(n) for n in (0, 1, 3)] == [1.0, 0.5, 0.125]
