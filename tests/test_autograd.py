"""Gradients: backward, grad, vjp, grad mode, what the tape keeps, errors."""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import dataclass

import numpy as np
import pytest

from dualflow.array import Tensor, asarray, tensor
from dualflow.autograd import (
    enable_grad,
    grad,
    is_grad_enabled,
    no_grad,
    value_and_grad,
    vjp,
)
from dualflow.autograd.check import check_grads
from dualflow.autograd.needs import Need, plan
from dualflow.base.errors import GradientError
from dualflow.ir.op import CATALOGUE
from dualflow.ops import primitives as p


def leaf(values, dtype=np.float64) -> Tensor:
    return tensor(values, dtype, requires_grad=True)


def same(found: Tensor, expected, dtype=np.float64) -> None:
    assert type(found) is Tensor
    assert found.dtype == dtype
    np.testing.assert_allclose(found.numpy(), np.asarray(expected, dtype), rtol=1e-12)
    assert found.shape == np.shape(expected)


# backward ------------------------------------------------------------------------------------


def test_backward_gives_gradients_of_all_leaves():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 5.0])
    (x * y + x).sum().backward()
    same(x.grad, [4.0, 6.0])
    same(y.grad, [1.0, 2.0])


def test_backward_accumulates_in_place_on_the_same_tensor():
    x = leaf([1.0, 2.0])
    (x * 3.0).sum().backward()
    first = x.grad
    (x * 4.0).sum().backward()
    assert x.grad is first
    same(first, [7.0, 7.0])


def test_one_value_used_many_times():
    x = leaf(2.0)
    y = x * x
    (y * y + y * x + y).backward()
    same(x.grad, 4 * 8.0 + 3 * 4.0 + 2 * 2.0)


def test_backward_twice_through_one_history():
    x = leaf([1.0, 2.0])
    y = p.exp(x).sum()
    y.backward()
    y.backward()
    same(x.grad, 2 * np.exp([1.0, 2.0]))


def test_backward_with_weights_of_a_tensor_of_several_elements():
    x = leaf([1.0, 2.0, 3.0])
    weights = tensor([1.0, 10.0, 100.0], np.float64)
    (x * x).backward(weights)
    same(x.grad, [2.0, 40.0, 600.0])


def test_gradients_own_their_memory():
    x, y, z = leaf([1.0, 2.0]), leaf([3.0, 4.0]), leaf([[5.0, 6.0]])
    weights = tensor([1.0, 1.0], np.float64)
    (x + y + z.reshape((2,))).backward(weights)
    weights *= 100.0
    x.grad *= 2.0
    z.grad *= 3.0
    same(x.grad, [2.0, 2.0])
    same(y.grad, [1.0, 1.0])
    same(z.grad, [[3.0, 3.0]])


def test_gradient_of_a_sum_can_be_written():
    x = leaf([1.0, 2.0])
    x.sum().backward()
    x.grad[0] = 5.0
    same(x.grad, [5.0, 1.0])


def test_backward_of_a_leaf():
    x = leaf(3.0)
    x.backward()
    same(x.grad, 1.0)


def test_retain_grad_of_a_computed_tensor():
    x = leaf([1.0, 2.0])
    y = x * x
    y.retain_grad()
    (y * y).sum().backward()
    same(y.grad, [2.0, 8.0])
    same(x.grad, [4.0, 32.0])


def test_create_graph_makes_gradients_differentiable():
    x = leaf(2.0)
    (x * x * x).backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    same(first.detach(), 12.0)
    x.grad = None
    first.backward()
    same(x.grad, 12.0)


def test_a_constant_that_becomes_a_variable_later_is_still_a_constant_of_the_past():
    a, c = leaf([2.0]), tensor([3.0], np.float64)
    y = (a * a * c).sum()
    c.requires_grad_()
    y.backward(create_graph=True)
    a.grad.sum().backward()
    assert c.grad is None


def test_without_create_graph_gradients_require_none():
    x = leaf(2.0)
    (x * x).backward()
    assert not x.grad.requires_grad
    assert x.grad._tape is None


def test_gradients_are_cast_and_summed_to_each_operand():
    x = leaf(np.ones((3, 1)), np.float32)
    y = leaf([1.0, 2.0], np.float64)
    (x * y * 2).sum().backward()
    same(x.grad, [[6.0]] * 3, np.float32)
    same(y.grad, [6.0, 6.0])


def test_operands_of_narrow_dtype_are_widened_before_the_rule():
    x = tensor([1e30], np.float32, requires_grad=True)
    y = leaf([1.0])
    p.atan2.of(y, x).sum().backward()  # x * x overflows in float32
    assert y.grad.item() == pytest.approx(1e-30, rel=1e-6)


def test_nothing_flows_through_integers_comparisons_and_detach():
    x = leaf([1.0, -2.0])
    assert not (x > 0).requires_grad
    assert not x.astype(np.int64).requires_grad
    assert not x.detach().requires_grad
    y = p.where.of(x > 0, x, 0.0) * x.detach()
    y.sum().backward()
    same(x.grad, [1.0, 0.0])


def test_ops_of_few_and_of_many_inputs_with_the_same_ones_variable():
    for count in (1, 3, 0, 2):
        x, rest = leaf([1.0, 2.0]), [tensor([1.0, 1.0])] * count
        p.concat(x * 2.0, *rest, axis=0).sum().backward()
        same(x.grad, [2.0, 2.0])


def test_floor_has_gradient_zero():
    same(grad(lambda x: (p.floor(x) * x).sum())(tensor([1.5, 2.5], np.float64)), [1.0, 2.0])


# grad mode -----------------------------------------------------------------------------------


def test_no_grad_and_enable_grad_nest():
    x = leaf(1.0)
    with no_grad():
        assert not is_grad_enabled()
        assert not (x * 2).requires_grad
        with enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert is_grad_enabled()


def test_no_grad_as_decorator_and_after_an_error():
    @no_grad()
    def double(x):
        """Doubled."""
        return x * 2

    @no_grad()
    def fail():
        raise KeyError("k")

    assert not double(leaf(1.0)).requires_grad
    assert double.__doc__ == "Doubled."
    with pytest.raises(KeyError):
        fail()
    assert is_grad_enabled()


def test_grad_mode_is_of_its_thread():
    found = []
    with no_grad():
        thread = threading.Thread(target=lambda: found.append(is_grad_enabled()))
        thread.start()
        thread.join()
    assert found == [True]


# grad, value_and_grad, vjp --------------------------------------------------------------------


@dataclass
class Pair:
    a: Tensor
    b: Tensor


def test_grad_of_nested_containers():
    tree = {"w": [tensor([1.0, 2.0]), None], "p": Pair(tensor(3.0), tensor(4.0))}

    def f(t, k):
        return (t["w"][0] * k).sum() * t["p"].a + t["p"].b * 2.0

    found = grad(f)(tree, 5.0)
    same(found["w"][0], [15.0, 15.0], np.float32)
    assert found["w"][1] is None
    assert type(found["p"]) is Pair
    same(found["p"].a, 15.0, np.float32)
    same(found["p"].b, 2.0, np.float32)


def test_argnums_and_has_aux():
    def f(x, y):
        return (x * y).sum(), {"product": x * y, "note": "n"}

    x, y = tensor([2.0]), tensor([5.0])
    (gx, gy), aux = grad(f, (0, 1), has_aux=True)(x, y)
    same(gx, [5.0], np.float32)
    same(gy, [2.0], np.float32)
    assert aux["note"] == "n"
    assert not aux["product"].requires_grad
    (value, aux), g = value_and_grad(f, 1, has_aux=True)(x, y)
    assert value.item() == 10.0
    same(g, [2.0], np.float32)
    same(grad(lambda x, y: (x * y).sum(), -1)(x, y), [2.0], np.float32)


def test_grad_leaves_dot_grad_and_arguments_alone():
    w, x = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    found = grad(lambda x: (w * x * x).sum())(x)
    same(found.detach(), [6.0, 16.0])
    assert w.grad is None
    assert x.grad is None
    assert x._tape is None


def test_value_is_cut_from_hidden_arguments_but_not_from_other_tensors():
    x, w = tensor([2.0]), leaf([3.0], np.float32)
    value, g = value_and_grad(lambda x: (x * x).sum())(x)
    assert not value.requires_grad
    assert not g.requires_grad
    value, g = value_and_grad(lambda x: (x * x * w).sum())(x)
    assert value.requires_grad
    assert g.requires_grad
    value.backward()
    same(w.grad, [4.0], np.float32)


def test_where_a_function_does_not_depend_on_an_argument_its_gradient_is_zero():
    gx, gy = grad(lambda x, y: (x * 2.0).sum(), (0, 1))(tensor([1.0]), tensor([[1.0, 2.0]]))
    same(gx, [2.0], np.float32)
    same(gy, [[0.0, 0.0]], np.float32)
    same(grad(lambda x: tensor(1.0))(tensor([1.0])), [0.0], np.float32)


def test_gradients_of_functions_own_their_memory():
    gx, gy = grad(lambda x, y: (x + y).sum(), (0, 1))(tensor([1.0]), tensor([1.0]))
    gx *= 5.0
    same(gx, [5.0], np.float32)
    same(gy, [1.0], np.float32)


def test_nested_gradients_do_not_confuse_whose_variable_is_whose():
    # d/dx [x * d/dy (x + y)] = 1; with confusion it would be 2
    def f(x):
        return x * grad(lambda y: x + y)(tensor(1.0))

    same(grad(f)(tensor(1.0)), 1.0, np.float32)

    def h(x):  # d/dx [x * (d/dx' x'^2 at x)] = d/dx 2 x^2
        return x * grad(lambda z: z * z)(x)

    same(grad(h)(tensor(3.0)), 12.0, np.float32)


def test_derivatives_of_order_five():
    f = lambda x: p.exp(x * 2.0)  # noqa: E731
    for order in range(1, 6):
        f = grad(f)
        same(f(tensor(0.5, np.float64)), 2.0**order * np.e)


def test_grad_inside_backward_and_backward_inside_grad():
    w = leaf(3.0)
    slope = grad(lambda x: w * x * x)(tensor(2.0, np.float64))
    slope.backward()
    same(w.grad, 4.0)

    def inner(x):
        v = leaf(5.0)
        (v * v * v).backward()
        return x * v.grad

    same(grad(inner)(tensor(1.0, np.float64)), 75.0)


def test_grad_works_inside_no_grad():
    with no_grad():
        same(grad(lambda x: x * x)(tensor(3.0)), 6.0, np.float32)
        assert not is_grad_enabled()


def test_vjp_pulls_back_several_times():
    value, pull = vjp(lambda x, y: {"a": x * y, "b": x.sum()}, tensor([1.0, 2.0]), tensor(3.0))
    assert not value["a"].requires_grad
    np.testing.assert_array_equal(value["a"].numpy(), [3.0, 6.0])
    gx, gy = pull({"a": tensor([1.0, 10.0]), "b": tensor(100.0)})
    same(gx, [103.0, 130.0], np.float32)
    same(gy, 21.0, np.float32)
    gx, gy = pull({"a": tensor([0.0, 0.0]), "b": tensor(1.0)})
    same(gx, [1.0, 1.0], np.float32)
    same(gy, 0.0, np.float32)


def test_hessian_vector_product():
    x, v = tensor([1.0, 2.0], np.float64), tensor([1.0, -1.0], np.float64)
    product = grad(lambda x: (grad(lambda z: (z**3).sum())(x) * v).sum())(x)
    same(product, [6.0, -12.0])


# what the tape keeps --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wanted", "inputs", "out"),
    [
        ("add", (True, True), "NN", "N"),
        ("multiply", (True, True), "VV", "N"),
        ("multiply", (True, False), "NV", "N"),
        ("divide", (True, False), "NV", "N"),
        ("exp", (True,), "N", "V"),
        ("sum", (True,), "T", "N"),
        ("slice", (True,), "T", "N"),
        ("where", (False, True, False), "VNN", "N"),
        ("concat", (True, False, True), "TTT", "N"),
        ("maximum", (True, True), "VV", "N"),
        ("matmul", (False, True), "VN", "N"),
    ],
)
def test_only_what_a_rule_uses_is_kept(name, wanted, inputs, out):
    letters = {"N": Need.NOTHING, "T": Need.TYPE, "V": Need.VALUE}
    found = plan(CATALOGUE[name], wanted)
    assert found.inputs == tuple(letters[letter] for letter in inputs)
    assert found.out == letters[out]


def test_views_need_no_values():
    for op in CATALOGUE.values():
        if op.view is not None:
            found = plan(op, (True,))
            assert found.inputs[0] <= Need.TYPE
            assert found.out == Need.NOTHING


def test_memory_is_released_without_the_collector():
    gc.disable()
    try:
        x = leaf([1.0, 2.0])
        middle = p.exp(x * 2.0)
        array = weakref.ref(middle.array)
        y = (middle + 1.0).sum()
        del middle
        assert array() is not None, "exp needs its output"
        y.backward()
        del y
        assert array() is None
        middle = x * 2.0
        array = weakref.ref(middle.array)
        y = middle + 1.0
        del middle
        assert y.requires_grad
        assert array() is None, "add needs nothing"
    finally:
        gc.enable()


def test_a_chain_of_100_000_operations():
    x = leaf([1.0])
    y = x
    for _ in range(100_000):
        y = y + x
    y.sum().backward()
    same(x.grad, [100_001.0])
    del y  # and freeing it does not recurse either


def test_a_chain_that_keeps_values_is_freed():
    x = leaf([1.0], np.float32)
    y = x
    for i in range(100_000):
        y = p.sigmoid(y)
        if i == 0:
            first = weakref.ref(y.array)
    assert first() is not None
    del y
    assert first() is None


# errors ---------------------------------------------------------------------------------------


def test_errors_say_what_to_write():
    x = leaf([1.0, 2.0])
    with pytest.raises(GradientError, match=r"sum\(\) or mean\(\)"):
        (x * 2).backward()
    with pytest.raises(GradientError, match="requires no gradient"):
        tensor(1.0).backward()
    with no_grad():
        y = x.sum()
    with pytest.raises(GradientError, match="no_grad"):
        y.backward()
    with pytest.raises(GradientError, match=r"shape \(3,\)"):
        (x * 2).backward(tensor([1.0, 2.0, 3.0], np.float64))
    with pytest.raises(GradientError, match="float32"):
        (x * 2).backward(tensor([1.0, 2.0]))
    with pytest.raises(GradientError, match="int64"):
        tensor([1], np.int64).requires_grad_()
    with pytest.raises(GradientError, match="detach"):
        (x * 2).requires_grad_(False)
    with pytest.raises(GradientError, match="no gradient"):
        tensor(1.0).retain_grad()


def test_an_op_without_gradient_says_why():
    x = leaf([1.0])
    y = p.bitcast(p.bitcast(x, dtype=np.dtype(np.int64)), dtype=np.dtype(np.float64))
    assert not y.requires_grad
    y = p.bitcast(x, dtype=np.dtype(np.float64))
    with pytest.raises(GradientError, match="bits are not a smooth function"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grad(lambda x: x)(1.0), "holds float"),
        (lambda: grad(lambda x: x)(asarray([1, 2])), "tensor of int64"),
        (lambda: grad(lambda x: x)([tensor(1.0), 3]), "holds int"),
        (lambda: grad(lambda x: x * 2)(tensor([1.0, 2.0])), "shape (2,)"),
        (lambda: grad(lambda x: x.sum().item())(tensor([1.0])), "returned float"),
        (lambda: grad(lambda x: x > 0)(tensor(1.0)), "tensor of bool"),
        (lambda: grad(lambda x: x, has_aux=True)(tensor(1.0)), "pair"),
        (lambda: vjp(lambda x: x, tensor(1.0))[1](1.0), "float as weights"),
        (lambda: vjp(lambda x: x, tensor(1.0))[1]([tensor(1.0)]), "nested otherwise"),
        (lambda: vjp(lambda x: 3, tensor(1.0)), "returned int"),
    ],
)
def test_errors_of_grad_and_vjp(call, message):
    with pytest.raises(GradientError) as raised:
        call()
    assert message in str(raised.value)


def test_argnums_of_an_argument_that_is_not_there():
    with pytest.raises(TypeError, match="argument 2"):
        grad(lambda x: x, 2)(tensor(1.0))


# check_grads ----------------------------------------------------------------------------------


def test_check_grads_passes_and_names_the_worst_element():
    check_grads(lambda x, k: {"a": p.sin(x) * x, "n": k}, tensor([0.3, 1.2]), 5)

    def wrong(x):  # its gradient is that of x * x, its value another one at the second element
        return x * x + (x.detach() * tensor([0.0, 1.0], np.float64))

    with pytest.raises(GradientError, match=r"order 1 .* tensor 0, element \(1,\)"):
        check_grads(wrong, tensor([1.0, 2.0], np.float64))


def test_check_grads_finds_a_wrong_second_derivative():
    def wrong(x):
        slope = x.detach() * 2.0
        return x * x.detach() * 0.0 + slope * x - (slope * x).detach() + (x * x).detach()

    check_grads(wrong, tensor([1.5], np.float64), order=1)
    with pytest.raises(GradientError, match="order 2"):
        check_grads(wrong, tensor([1.5], np.float64), order=2)
