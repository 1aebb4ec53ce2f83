"""Tensors made in a call that ask for gradients: what a replay gives back has theirs."""

import pytest

import dualflow as df


def doubled(t):
    w = (t * 2).detach()
    w.requires_grad = True
    df.tanh(w * 1.1).sum().backward()
    return w


def of_the_argument(t):
    w = t.detach().requires_grad_()
    df.tanh(w * 1.1).sum().backward()
    return w, w.grad


def of_a_view(t):
    w = t[1:].detach()
    w.requires_grad = True
    (w * w).sum().backward()
    return w


def of_a_view_of_a_result(t):
    w = (t * 3).detach()[:1].detach().requires_grad_()
    (w * w).sum().backward()
    return [w]


def kept_by_a_result(t):
    w = t.detach().requires_grad_()
    y = w * 3
    y.retain_grad()
    (y * y).sum().backward()
    return {"y": y.detach(), "grad": y.grad}


def set_by_hand(t):
    w = (t + 1).detach().requires_grad_()
    w.grad = t * 5
    (w * 2).sum().backward()
    return w


def asked_no_more(t):
    w = t.copy()
    w.requires_grad = True
    (w**3).sum().backward()
    w.requires_grad = False
    return w, w * 2


def not_yet_used(t):
    w = (t * 2).detach()
    w.requires_grad = True
    return w


def attack(t):
    """A fast gradient sign step."""
    x = t.detach()
    x.requires_grad = True
    (x**2 * 0.5).sum().backward()
    return (x + 0.1 * df.sign(x.grad)).detach()


def shown(found):
    if isinstance(found, df.Tensor):
        grad = None if found.grad is None else found.grad.tolist()
        return found.tolist(), found.requires_grad, found._tape is None, grad
    if isinstance(found, dict):
        return {key: shown(part) for key, part in found.items()}
    return [shown(part) for part in found]


FUNCTIONS = [
    doubled, of_the_argument, of_a_view, kept_by_a_result, set_by_hand, asked_no_more,
    not_yet_used, attack,
]  # fmt: skip


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_leaves_made_in_a_call(f):
    with df.config(numerics="exact"):
        fn = df.compile(f, wait=True)
        for i in range(4):
            t = df.tensor([0.5 + i, 0.25, -1.0])
            assert shown(fn(t)) == shown(f(t))
    assert fn.stats()["replays"] == 3, fn.explain()


def with_a_history(t):
    w = (t * 2).detach().requires_grad_()
    return w, df.tanh(w)


@pytest.mark.parametrize("f", [of_a_view_of_a_result, with_a_history], ids=lambda f: f.__name__)
def test_what_is_not_replayed(f):
    with df.config(numerics="exact"):
        fn = df.compile(f, wait=True)
        for i in range(3):
            t = df.tensor([0.5 + i, 0.25, -1.0])
            assert shown(fn(t)) == shown(f(t))
    assert fn.stats()["co_executions"] == 2


def test_a_leaf_given_back_takes_gradients():
    fn = df.compile(not_yet_used, wait=True)
    t = df.tensor([1.0, 2.0])
    for _ in range(3):
        w = fn(t)
        (w * w).sum().backward()
        assert w.grad.tolist() == [4.0, 8.0]
    assert fn.stats()["replays"] == 2


def sharing(t):
    w = t.detach().requires_grad_()
    (w * w).sum().backward()
    return w, w.grad


def test_the_gradient_is_one_object():
    fn = df.compile(sharing, wait=True)
    for _ in range(3):
        w, grad = fn(df.tensor([1.0, 2.0]))
        assert w.grad is grad
    assert fn.stats()["replays"] == 2
