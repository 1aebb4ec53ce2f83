"""Modules, layers, first values."""

from __future__ import annotations

import math
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

import dualflow as df
from dualflow import nn
from dualflow.autograd.check import check_grads
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError

rng = np.random.default_rng(3)


def random(*shape: int, dtype=np.float64) -> df.Tensor:
    return df.asarray(rng.normal(size=shape).astype(dtype))


@dataclass
class Parts:
    weight: df.Tensor
    name: str


Two = namedtuple("Two", "left right")


class Nested(nn.Module):
    def __init__(self):
        self.shared = nn.Parameter([1.0, 2.0])
        self.layers = [nn.Linear(2, 3), {"norm": nn.LayerNorm(3)}]
        self.parts = Parts(nn.Parameter([[3.0]]), "p")
        self.two = Two(nn.Linear(3, 1, bias=False), self.shared)
        self.count = df.asarray([0.0])  # no parameter
        self.owner = self
        self.size, self.text, self.none = 3, "t", None


# Module --------------------------------------------------------------------------------------


def test_parameters_are_found_in_containers_once_each_and_in_order():
    model = Nested()
    assert [name for name, _ in model.named_parameters()] == [
        "shared",
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.norm.weight",
        "layers.1.norm.bias",
        "parts.weight",
        "two.left.weight",
    ]
    assert [name for name, _ in model.named_tensors()][-1] == "count"
    assert model.parameters()[0] is model.shared
    assert [type(module).__name__ for module in model.modules()] == [
        "Nested", "Linear", "LayerNorm", "Linear",
    ]  # fmt: skip


def test_a_module_intercepts_nothing():
    for name in ("__getattr__", "__setattr__", "__getattribute__"):
        assert name not in vars(nn.Module)
    assert type(nn.Module) is type
    with pytest.raises(NotImplementedError, match="Nested"):
        Nested()(1)


def test_train_and_eval_reach_all_modules():
    model = Nested()
    assert all(module.training for module in model.modules())
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    model.train()
    assert all(module.training for module in model.modules())


def test_state_goes_out_as_copies_and_comes_back():
    model, other = Nested(), Nested()
    state = model.state_dict()
    assert len(state) == 8
    assert not any(tensor.requires_grad for tensor in state.values())
    with df.no_grad():
        model.shared += 1.0
    np.testing.assert_array_equal(state["shared"].numpy(), [1.0, 2.0])
    before = other.layers[0].weight
    other.load_state_dict(state)
    assert other.layers[0].weight is before
    assert before.requires_grad
    np.testing.assert_array_equal(before.detach().numpy(), model.layers[0].weight.detach().numpy())


def test_load_state_dict_is_strict_and_all_or_nothing():
    model = nn.Linear(2, 2)
    good = model.state_dict()
    first = good["weight"].numpy().copy()
    with pytest.raises(ArgumentError, match=r"missing \['bias'\], unknown \['b'\]"):
        model.load_state_dict({"weight": good["weight"], "b": good["bias"]})
    with pytest.raises(ShapeError, match="bias has shape"):
        model.load_state_dict({"weight": df.zeros((2, 2)), "bias": df.zeros((3,))})
    with pytest.raises(DTypeError, match="float64"):
        model.load_state_dict({"weight": df.zeros((2, 2)), "bias": df.zeros((2,), df.float64)})
    np.testing.assert_array_equal(model.weight.detach().numpy(), first)


def test_to_changes_the_dtype_and_keeps_sharing():
    model = Nested()
    ints = model.ints = df.asarray([1, 2])
    assert model.to(df.float64) is model
    assert {parameter.dtype.name for parameter in model.parameters()} == {"float64"}
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.two.right is model.shared
    assert type(model.two) is Two
    assert model.count.dtype == np.float64
    assert not model.count.requires_grad
    assert model.ints is ints


def test_zero_grad():
    layer = nn.Linear(2, 1)
    df.sum(layer(df.ones((3, 2)))).backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), [[3.0, 3.0]])
    layer.zero_grad()
    assert layer.weight.grad is None


def test_repr_shows_the_tree():
    text = repr(nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU()))
    assert text == "Sequential(\n  0: Linear(2, 3, bias=False)\n  1: ReLU()\n)"


# Layers --------------------------------------------------------------------------------------


def test_linear_is_x_times_weight_transposed_plus_bias():
    layer = nn.Linear(3, 2, dtype=df.float64)
    assert layer.weight.shape == (2, 3)
    x = random(4, 5, 3)
    expected = x.numpy() @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-12)
    assert np.abs(layer.weight.detach().numpy()).max() <= 1 / math.sqrt(3)


def test_layers_take_gradients_to_order_2():
    norm = nn.LayerNorm((2, 3), dtype=df.float64)
    linear = nn.Linear(3, 2, dtype=df.float64)
    for layer, x in ((norm, random(2, 2, 3)), (linear, random(2, 3)), (nn.GELU(), random(4)),
                     (nn.GELU("tanh"), random(3)), (nn.SiLU(), random(4)), (nn.Tanh(), random(3)),
                     (nn.Sigmoid(), random(3))):  # fmt: skip
        check_grads(layer, x)

    def of_weights(weight, bias, x):
        norm.weight, norm.bias = weight, bias
        return norm(x)

    check_grads(of_weights, random(2, 3), random(2, 3), random(2, 2, 3))


def test_layer_norm_against_numpy():
    x = random(4, 3, 5)
    values = x.numpy()
    mean, var = values.mean((1, 2), keepdims=True), values.var((1, 2), keepdims=True)
    out = nn.LayerNorm((3, 5), dtype=df.float64)(x)
    expected = (values - mean) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-10)
    assert nn.LayerNorm(5, affine=False).parameters() == []


def test_dropout_only_in_training():
    layer = nn.Dropout(0.25, df.random.Generator(1))
    x = df.ones((1000,))
    out = layer(x).numpy()
    assert set(np.unique(out)) == {0.0, np.float32(1 / 0.75)}
    assert 0.2 < (out == 0).mean() < 0.3
    assert (layer(x).numpy() != out).any()
    np.testing.assert_array_equal(layer.eval()(x).numpy(), x.numpy())


def test_embedding_takes_rows_and_adds_their_gradients():
    layer = nn.Embedding(5, 2)
    out = layer(df.asarray([[1, 3], [1, 1]]))
    np.testing.assert_array_equal(out[0, 1].detach().numpy(), layer.weight[3].detach().numpy())
    df.sum(out).backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy()[:, 0], [0, 3, 0, 1, 0])


def test_flatten_and_sequential():
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), df.relu, nn.Linear(4, 2))
    assert model(df.zeros((5, 2, 3))).shape == (5, 2)
    assert len(model) == 4
    assert model[2] is df.relu
    assert nn.Flatten(0)(df.zeros((2, 3))).shape == (6,)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Linear(3, 2)(df.zeros((4, 5))), ShapeError, "Linear(3, 2) got a tensor of"),
        (lambda: nn.Linear(3, 2)(df.zeros((3,), df.float64)), DTypeError, "astype(float32)"),
        (lambda: nn.Linear(3, 2)([1.0, 2.0, 3.0]), ArgumentError, "Linear(3, 2) got a list"),
        (lambda: nn.Linear(0, 2), ArgumentError, "inputs=0"),
        (lambda: nn.LayerNorm((2, 3))(df.zeros((3,))), ShapeError, "(2, 3)"),
        (lambda: nn.Dropout(1.0), ArgumentError, "probability < 1"),
        (lambda: nn.Embedding(3, 2)(df.zeros((2,))), DTypeError, "integer"),
        (lambda: nn.Embedding(3, 2)(df.asarray([3])), IndexError, "index 3"),
        (lambda: nn.Flatten(2)(df.zeros((2,))), ShapeError, "no such axis"),
        (lambda: nn.Sequential(nn.ReLU(), 3), ArgumentError, "Sequential of a int"),
        (lambda: nn.init.xavier_normal((3,)), ShapeError, "fans"),
    ],
)
def test_errors_name_the_layer(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)


# First values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "std"),
    [
        (nn.init.kaiming_uniform, math.sqrt(2 / 200)),
        (nn.init.kaiming_normal, math.sqrt(2 / 200)),
        (nn.init.xavier_uniform, math.sqrt(2 / 500)),
        (nn.init.xavier_normal, math.sqrt(2 / 500)),
    ],
)
def test_first_values_have_the_spread_that_the_paper_says(make, std):
    weight = make((300, 200), generator=df.random.Generator(0))
    assert weight.requires_grad
    values = weight.detach().numpy()
    assert values.std() == pytest.approx(std, rel=0.02)
    assert abs(values.mean()) < std / 50
    if "uniform" in make.__name__:
        assert np.abs(values).max() <= std * math.sqrt(3) * (1 + 1e-6)
    again = make((300, 200), generator=df.random.Generator(0)).detach().numpy()
    np.testing.assert_array_equal(values, again)
