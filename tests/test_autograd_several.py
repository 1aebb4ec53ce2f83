"""The tape over ops with several outputs: gradients arrive as tuples, zeros where none did."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow.autograd.check import check_grads
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType
from dualflow.ops import door


def _rule(x: TensorType, y: TensorType) -> tuple[TensorType, ...]:
    return x, TensorType(x.shape, np.dtype(np.int64)), y


def _numpy(x, y):
    return x * y, (x > y).astype(np.int64), x * x + y


def _gradient(g, out, x, y):
    assert [type(one) for one in g] == [df.Tensor] * 3
    assert g[1].dtype == np.int64
    return lambda: g[0] * y + g[2] * x * 2.0, lambda: g[0] * out[0] / y + g[2]


def _forward(tangents, out, x, y):
    to_x, to_y = (df.zeros_like(out[0]) if t is None else t for t in tangents)
    return to_x * y + x * to_y, None, to_x * x * 2.0 + to_y


# the product, whether x is larger, x * x + y; not in the catalogue
MIXED = Op("mixed", Kind.LIBRARY, _rule, _numpy, gradient=_gradient, forward=_forward, outputs=3)


def mixed(x, y):
    return door.apply(MIXED, x, y)


def leaf(*values: float) -> df.Tensor:
    return df.tensor(list(values), df.float64, requires_grad=True)


def test_only_differentiable_outputs_have_a_history():
    product, larger, _ = mixed(leaf(1.0), leaf(2.0))
    assert product.requires_grad
    assert not larger.requires_grad


def test_gradients_of_all_outputs_are_joined():
    x, y = leaf(2.0, 3.0), leaf(5.0, 7.0)
    product, _, other = mixed(x, y)
    (product.sum() + (other * 10.0).sum()).backward()
    np.testing.assert_allclose(x.grad.numpy(), [5 + 40.0, 7 + 60.0])
    np.testing.assert_allclose(y.grad.numpy(), [2 * 2 / 5 * 5 / 2 + 10.0, 13.0])


def test_an_output_that_is_not_used_counts_as_zeros():
    x, y = leaf(2.0), leaf(5.0)
    mixed(x, y)[2].sum().backward()
    assert (x.grad.item(), y.grad.item()) == (4.0, 1.0)


def test_second_order_through_a_kept_output():
    def f(x, y):
        product, _, other = mixed(x, y)
        return product * other

    check_grads(f, leaf(0.5, 1.5), leaf(2.0, 0.7), order=2)


def test_overwriting_a_kept_output_is_noticed():
    product, _, other = mixed(leaf(2.0), leaf(5.0))
    product.detach()[0] = 1.0
    with pytest.raises(df.errors.InPlaceError, match="the output of mixed"):
        other.sum().backward()
