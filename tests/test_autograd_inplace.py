"""Gradients through writes in place and through views, as in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from dualflow.array import Tensor, tensor
from dualflow.autograd import grad, no_grad
from dualflow.autograd.check import check_grads
from dualflow.base.errors import InPlaceError
from dualflow.ops import primitives as p


def leaf(values) -> Tensor:
    return tensor(values, np.float64, requires_grad=True)


def zeros(*shape: int) -> Tensor:
    return tensor(np.zeros(shape))


def same(found: Tensor, expected) -> None:
    np.testing.assert_allclose(found.numpy(), np.asarray(expected, np.float64), rtol=1e-12)
    assert found.shape == np.shape(expected)


# The history after a write --------------------------------------------------------------------


def test_a_write_into_part_of_a_root():
    w, x = leaf([2.0, 3.0]), zeros(4)
    x[1:3] = w * w
    assert x.requires_grad
    (x * tensor([1.0, 10.0, 100.0, 1000.0], np.float64)).sum().backward()
    same(w.grad, [40.0, 600.0])


def test_a_write_of_a_leaf():
    w, x = leaf([2.0, 3.0]), zeros(2)
    x[...] = w
    (x * x).sum().backward()
    same(w.grad, [4.0, 6.0])


def test_views_made_before_a_write_see_it():
    w, x = leaf(5.0), zeros(3)
    before, apart, flipped = x[1:], x[:1], x.flip(0)
    x[1] = w * 2.0
    assert before.requires_grad
    (before * tensor([3.0, 4.0], np.float64)).sum().backward()
    same(w.grad, 6.0)
    w.grad = None
    (flipped * tensor([1.0, 7.0, 1.0], np.float64)).sum().backward()
    same(w.grad, 14.0)
    w.grad = None
    apart.sum().backward()
    same(w.grad, 0.0)


def test_a_write_through_a_view_changes_the_root_and_other_views():
    a, w = leaf([1.0, 2.0, 3.0, 4.0]), leaf([10.0, 20.0])
    x = a * 1.0
    matrix = x.reshape((2, 2))
    column = matrix[:, 1]
    column[...] = w * 3.0  # x is now a0, 3 w0, a2, 3 w1
    (x * x).sum().backward()
    same(a.grad, [2.0, 0.0, 6.0, 0.0])
    same(w.grad, [18.0 * 10.0, 18.0 * 20.0])
    a.grad = w.grad = None
    matrix.permute((1, 0))[1].sum().backward()
    same(a.grad, [0.0, 0.0, 0.0, 0.0])
    same(w.grad, [3.0, 3.0])


def test_in_place_operators_continue_the_history():
    a, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    x = a * 2.0
    x += w
    x *= 3.0
    x.sum().backward()
    same(a.grad, [6.0, 6.0])
    same(w.grad, [3.0, 3.0])


def test_in_place_operator_on_a_view():
    a, w = leaf([1.0, 2.0, 3.0]), leaf(5.0)
    x = a * 2.0
    part = x[1:]
    part += w
    (x * tensor([1.0, 10.0, 100.0], np.float64)).sum().backward()
    same(a.grad, [2.0, 20.0, 200.0])
    same(w.grad, 110.0)


def test_a_loop_that_fills_a_buffer():
    w, x = leaf([1.0, 2.0, 3.0]), zeros(3)
    for i in range(3):
        x[i] = w[i] * (i + 1)
    (x * x).sum().backward()
    same(w.grad, [2.0, 16.0, 54.0])


def test_a_loop_that_reads_what_it_wrote():
    w, x = leaf(2.0), tensor(np.array([1.0, 0.0, 0.0, 0.0]))
    for i in range(3):
        x[i + 1] = x[i].copy() * w
    x[3].backward()
    same(w.grad, 3 * 2.0**2)


def test_a_constant_written_stops_the_gradient():
    a = leaf([1.0, 2.0, 3.0])
    x = a * 2.0
    x[1] = 7.0
    (x * x).sum().backward()
    same(a.grad, [8.0, 0.0, 24.0])
    x = a * 2.0
    x[...] = 1.0
    assert x.requires_grad
    a.grad = None
    x.sum().backward()
    assert a.grad is None or not a.grad.numpy().any()


def test_second_derivative_through_a_write():
    def f(w):
        x = zeros(3)
        x[1:] = w * w
        return (x * x).sum()

    w = tensor([2.0, 3.0], np.float64)
    same(grad(lambda w: grad(f)(w).sum())(w), [48.0, 108.0])


def test_a_write_of_a_view_of_itself():
    a = leaf([1.0, 2.0, 3.0])
    x = a * 1.0
    x[...] = x.flip(0)
    same(x.detach(), [3.0, 2.0, 1.0])
    (x * tensor([1.0, 10.0, 100.0], np.float64)).sum().backward()
    same(a.grad, [100.0, 10.0, 1.0])


def test_a_view_outlives_its_root():
    a, w = leaf([1.0, 2.0, 3.0]), leaf([5.0])
    part = (a * 2.0)[1:]
    other = part[:1]
    part[:1] = w * 3.0
    (part * tensor([10.0, 100.0], np.float64)).sum().backward()
    same(a.grad, [0.0, 0.0, 200.0])
    same(w.grad, [30.0])
    w.grad = None
    other.sum().backward()
    same(w.grad, [3.0])


def test_uses_before_a_write_keep_their_history():
    a, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    x = a * 2.0
    early = x + 1.0
    x[...] = w
    (early + x).sum().backward()
    same(a.grad, [2.0, 2.0])
    same(w.grad, [1.0, 1.0])


def test_many_views_of_one_root_are_forgotten():
    x = zeros(4)
    for _ in range(1000):
        _ = x[1:]
    assert len(x._views) < 130


# Values that are needed ------------------------------------------------------------------------


def test_writing_what_a_gradient_needs_is_an_error():
    a = leaf([1.0, 2.0])
    x = a * 2.0
    y = x * x
    x += 1.0
    with pytest.raises(InPlaceError, match=r"an input of multiply, of shape \(2,\)") as raised:
        y.sum().backward()
    assert "test_autograd_inplace.py" in str(raised.value).splitlines()[0]
    assert "x += 1.0" in str(raised.value).splitlines()[0]
    x = p.exp(a)
    x *= 2.0
    with pytest.raises(InPlaceError, match="the output of exp"):
        x.sum().backward()
    assert a.grad is None


def test_a_write_through_a_view_or_without_grad_is_seen_too():
    a = leaf([1.0, 2.0])
    x = a * 2.0
    y = x * x
    with no_grad():
        x[0:1] = 5.0
    with pytest.raises(InPlaceError, match="1 time"):
        y.sum().backward()
    c = tensor([1.0, 2.0], np.float64)
    y = a * c
    c.detach()[1] = 9.0
    with pytest.raises(InPlaceError, match="multiply"):
        y.sum().backward()


def test_writing_what_no_gradient_needs_is_fine():
    a = leaf([1.0, 2.0])
    x = a * 2.0
    y = x * 3.0 + x
    x += 1.0
    y.sum().backward()
    same(a.grad, [8.0, 8.0])


def test_a_step_between_forward_and_backward_is_an_error():
    w, x = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    loss = (w * x).sum()
    with no_grad():
        w -= 0.1
    with pytest.raises(InPlaceError):
        loss.backward()


# Leaves and arguments --------------------------------------------------------------------------


def test_a_leaf_is_not_written_in_grad_mode():
    a = leaf([1.0, 2.0])
    part = a[:1]
    with pytest.raises(InPlaceError, match=r"no_grad\(\)"):
        a += 1.0
    with pytest.raises(InPlaceError):
        a[0] = 3.0
    with pytest.raises(InPlaceError):
        part[...] = 3.0
    with no_grad():
        early = a[1:]
        a += 1.0
        a[0] = 5.0
    with pytest.raises(InPlaceError):
        early += 1.0
    same(a.detach(), [5.0, 3.0])
    assert a._tape is None
    a.sum().backward()
    same(a.grad, [1.0, 1.0])


def test_a_leaf_that_is_a_view():
    x = zeros(3)
    part = x[1:].requires_grad_()
    with pytest.raises(InPlaceError):
        part += 1.0
    with pytest.raises(InPlaceError):
        x[...] = leaf([1.0, 1.0, 1.0])
    (part * 2.0).sum().backward()
    same(part.grad, [2.0, 2.0])


def test_arguments_of_a_differentiated_function_are_not_written():
    def f(x):
        x += 1.0
        return x.sum()

    x = tensor([1.0])
    with pytest.raises(InPlaceError):
        grad(f)(x)
    with pytest.raises(InPlaceError, match="argument of a differentiated function"):
        grad(lambda x: grad(f)(x * 2.0).sum())(x)
    same(x, [1.0])


def test_detached_memory_has_a_history_of_its_own():
    a, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    x = a * 2.0
    apart = x.detach()
    part = apart[1:]
    apart[...] = w
    part.sum().backward()
    same(w.grad, [0.0, 1.0])
    same(x.detach(), [3.0, 4.0])
    x.sum().backward()
    same(a.grad, [2.0, 2.0])


def test_a_read_only_view_stays_without_history():
    w, x = leaf([1.0, 2.0]), zeros(2)
    wide = x.expand((3, 2))
    with pytest.raises(InPlaceError):
        wide[0] = w
    assert not x.requires_grad
    assert not wide.requires_grad


def test_under_no_grad_a_write_brings_no_history():
    w, x = leaf([1.0, 2.0]), zeros(2)
    with no_grad():
        x[...] = w
    assert not x.requires_grad
    same(x, [1.0, 2.0])


def test_an_in_place_operator_keeps_what_its_own_gradient_needs():
    a, w = leaf([2.0, 3.0]), leaf([5.0, 7.0])
    x = a * 1.0
    x *= w
    x *= x
    x.sum().backward()
    same(w.grad, 2 * np.array([4.0, 9.0]) * [5.0, 7.0])
    same(a.grad, 2 * np.array([2.0, 3.0]) * [25.0, 49.0])
    x = a * 1.0
    y = x * w
    x *= w
    with pytest.raises(InPlaceError):
        (x + y).sum().backward()


# Random programs ------------------------------------------------------------------------------

VIEWS = {
    "tail": lambda x: x[1:],
    "every other": lambda x: x[::2],
    "reversed": lambda x: x.flip(0),
    "transposed": lambda x: x.permute(tuple(reversed(range(len(x.shape))))),
    "flat": lambda x: x.reshape((-1,)),
    "row": lambda x: x[0],
}
WRITES = {
    "assign": lambda x, y: x.__setitem__(Ellipsis, y),
    "add": lambda x, y: x.__iadd__(y),
    "multiply": lambda x, y: x.__imul__(y),
    "constant": lambda x, y: x.__setitem__(Ellipsis, 0.5),
}
STEP = st.tuples(
    st.sampled_from([*VIEWS, *WRITES, "sum", "product", "sine"]),
    st.integers(0, 30),
    st.integers(0, 30),
)


def interpret(program, a: Tensor, b: Tensor) -> Tensor:
    """A sum over all tensors that the program makes, each with a weight of its own."""
    made = [a * 1.0, b * 2.0, zeros(2, 3)]
    for name, i, j in program:
        x = made[i % len(made)]
        if name in VIEWS and x.shape and x.shape[0] > 1:
            made.append(VIEWS[name](x))
        fitting = [y for y in made if y.shape == x.shape]
        y = fitting[j % len(fitting)]
        if name in WRITES:
            WRITES[name](x, y)
        elif name == "sum":
            made.append(x + y)
        elif name == "product":
            made.append(x * y)
        elif name == "sine":
            made.append(p.sin(x))
    total = zeros()
    for weight, x in enumerate(made, 1):
        total = total + (x * x).sum() * (1.0 / weight)
    return total


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(STEP, min_size=2, max_size=8))
def test_programs_of_views_and_writes(program):
    a = tensor(np.linspace(0.2, 0.9, 6).reshape(2, 3))
    b = tensor(np.linspace(-0.8, 0.7, 6).reshape(2, 3))
    try:
        check_grads(lambda a, b: interpret(program, a, b), a, b, order=1)
    except InPlaceError:
        reject()  # a value that a gradient needs was overwritten


def test_a_detached_view_starts_a_history_from_itself():
    base, w = zeros(4), leaf([2.0, 3.0])
    apart = base[1:].detach()
    part = apart[1:]
    part[...] = w * 5.0
    assert not base.requires_grad
    (apart * tensor([1.0, 10.0, 100.0], np.float64)).sum().backward()
    same(w.grad, [50.0, 500.0])
