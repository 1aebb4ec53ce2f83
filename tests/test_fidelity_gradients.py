"""Gradients and random numbers in compiled functions."""

import numpy as np
import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


class Plain:
    """A plain object."""

    def __init__(self, **values):
        vars(self).update(values)


# Gradients --------------------------------------------------------------------------------------


def gradients_add_up(compile, see):
    w = tensor(*X)
    w.requires_grad = True

    @compile
    def f(x):
        loss = (w * w * x).sum()
        loss.backward()
        return loss

    for i in range(6):
        if i == 3:
            w.grad = None
        if i == 4:
            w.grad = tensor(1, 1, 1)
        see(f, tensor(1, 2, i))
        see.that(w)


def gradient_kept_outside(compile, see):
    w = tensor(*X).requires_grad_()

    @compile
    def f(x):
        (w * x).sum().backward()
        g = w.grad
        w.grad = None
        return g

    for i in range(4):
        kept = w.grad
        see(f, tensor(1, 2, i))
        see.that((w, kept))
        if i == 1:
            w.grad = tensor(5, 5, 5)


def gradient_read_and_clipped(compile, see):
    w = tensor(*X).requires_grad_()

    @compile
    def f(x, most):
        (w * w * x).sum().backward()
        if float(df.max(df.abs(w.grad))) > most:
            w.grad *= 0.5
        with df.no_grad():
            w.__isub__(w.grad)
            w.grad[...] = 0
        return w.grad

    for i in range(5):
        see(f, tensor(0.5, 0.25, i * 0.125), 1.0)
        see.that(w)


def requires_grad_switched(compile, see):
    w = tensor(*X)

    @compile
    def f(x):
        y = w * x
        return y, y.requires_grad, w.requires_grad

    for on in (False, False, True, True, False):
        w.requires_grad = on
        y = see(f, tensor(*X))
        if on:
            y[0].sum().backward()
            see.that(w)


def gradient_mode(compile, see):
    @compile
    def f(x, off):
        y = x * 2
        if off:
            with df.no_grad():
                z = y * x
        else:
            z = y * x
        return y, z, df.is_grad_enabled()

    x = tensor(*X).requires_grad_()
    for off in (False, False, True, True):
        see(f, x, off)
        with df.no_grad():
            see(f, x, off)


def enable_grad_inside(compile, see):
    @compile
    @df.no_grad()
    def f(x):
        y = x * 2
        with df.enable_grad():
            z = x * 3
        return y, z

    x = tensor(*X).requires_grad_()
    for _ in range(3):
        see(f, x)


def backward_after_the_call(compile, see):
    w = tensor(*X).requires_grad_()

    @compile
    def f(x):
        h = w * x
        return (h * h).sum(), h, h.detach()

    for i in range(4):
        loss, h, d = see(f, tensor(1, i, 2))
        (loss + h.sum() + d.sum()).backward()
        see.that(w)


def gradient_through_two_calls(compile, see):
    w = tensor(2.0).requires_grad_()

    @compile
    def f(x):
        return x * w + x * x

    for i in range(4):
        x = tensor(1, i).requires_grad_()
        f(f(x)).sum().backward()
        see(f, x)
        see.that((x, w))


def gradient_overwritten(compile, see):
    w = tensor(*X).requires_grad_()

    @compile
    def f(x):
        y = w * 2
        z = y * y
        y += x
        return z.sum()

    for _ in range(3):
        see(lambda: f(tensor(*X)).backward())
        see.that(w)


def functional_gradients(compile, see):
    scale = Plain(k=2.0)

    def loss(x, y):
        return (x * x * y * scale.k).sum()

    @compile
    def f(x, y):
        value, g = df.value_and_grad(loss)(x, y)
        second = df.grad(lambda v: df.grad(loss)(v, y).sum())(x)
        return value, g, df.grad(loss, argnums=1)(x, y), second

    for k in (2.0, 2.0, 3.0, 3):
        scale.k = k
        see(f, tensor(*X), tensor(1, 2, 3))


def gradient_of_compiled(compile, see):
    @compile
    def f(x, k):
        return (x * x).sum() * k if x[0] > 0 else x.sum()

    for v, k in ((1, 2.0), (1, 2.0), (-1, 2.0), (1, 3.0)):
        see(df.grad(f), tensor(v, 2), k)


def optimizer_step(compile, see):
    w = df.nn.Parameter(tensor(*X))
    optimizer = df.optim.SGD([w], lr=0.5, momentum=0.5)

    @compile
    def f(x):
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    for i in range(6):
        if i == 3:
            optimizer.lr = 0.25
        see(f, tensor(1, 2, 4))
        see.that(w)


def adam_with_a_changing_rate(compile, see):
    w = df.nn.Parameter(tensor(*X))
    optimizer = df.optim.Adam([w], lr=0.5)

    @compile
    def f(x):
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    for i in range(5):
        if i == 3:
            optimizer.lr = 0.25
        f(tensor(1, 2, 4))
        see.that(np.round(w.detach().numpy(), 5))
    see(lambda: None)


def parameter_replaced(compile, see):
    model = df.nn.Linear(3, 1)
    with df.no_grad():
        model.weight[...] = 0.5

    @compile
    def f(x):
        return (model(x) * 2).sum()

    for i in range(5):
        if i == 2:
            model.weight = df.nn.Parameter(df.ones(model.weight.shape))
        if i == 3:
            model.bias = None
        see(f, df.ones((2, 3)))


# Random numbers ---------------------------------------------------------------------------------


def random_numbers(compile, see):
    @compile
    def f(x):
        a = df.random.uniform(x.shape)
        if a[0] > 0.5:
            a = a + df.random.normal((1,))
        return a, df.random.integers(0, 10, (3,))

    for i in range(6):
        if i == 4:
            df.random.seed(11)
        see(f, tensor(*X))
    see.that(df.random.uniform((2,)))


def seeded_inside(compile, see):
    @compile
    def f(x, seed):
        df.random.seed(seed)
        return x + df.random.uniform(x.shape)

    for seed in (1, 1, 2, 1):
        see(f, tensor(*X), seed)
    see.that(df.random.uniform((2,)))


def generators_of_ones_own(compile, see):
    g, h = df.random.Generator(3), df.random.Generator(3)

    @compile
    def f(x, a, b):
        return df.random.uniform((2,), generator=a), df.random.uniform((2,), generator=b)

    for pair in ((g, h), (g, h), (g, g), (h, g)):
        see(f, tensor(*X), *pair)


def dropout(compile, see):
    layer = df.nn.Dropout(0.5)

    @compile
    def f(x):
        return layer(x)

    for i in range(6):
        if i == 2:
            layer.eval()
        if i == 4:
            layer.train()
        see(f, df.ones((8,)))
    see.that(df.random.uniform((2,)))


def error_after_a_draw(compile, see):
    @compile
    def f(x, k):
        a = df.random.uniform((2,))
        if k:
            raise ValueError("after a draw")
        return a

    for k in (0, 0, 1, 1, 0):
        see(f, tensor(*X), k)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
