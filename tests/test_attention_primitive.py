"""Attention as one primitive: what it computes is in the harness; here its derivatives, and what
the public function makes of numbers of keys."""

from __future__ import annotations

import numpy as np
import pytest
from references_attention import CALLS, REFERENCES, _arrays, samples

import dualflow as df
from dualflow.autograd.check import check_grads
from dualflow.ir.types import TensorType
from dualflow.ops import primitives as p
from dualflow.ops.attending import Sight

OPS = ("attention", "attention_queries", "attention_keys")


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("number", range(len(CALLS) - 1))
def test_derivatives_of_two_orders(name: str, number: int):
    shapes, how = samples(lambda found, **_: found)[name][number]
    rng = np.random.default_rng(number)
    arrays = _arrays(rng, shapes, np.dtype("float64"), how, None, None)
    tensors = [df.asarray(array.astype(np.float64) if array.dtype.kind == "f" else array)
               for array in arrays]  # fmt: skip
    fixed = range(3, 3 + Sight(**how).given)
    moving = [n for n in range(len(tensors)) if n not in fixed]

    def run(*given: df.Tensor) -> df.Tensor:
        every = list(tensors)
        for n, tensor in zip(moving, given, strict=True):
            every[n] = tensor
        made = getattr(p, name)(*every, **how)
        parts = made if isinstance(made, tuple) else (made,)
        return sum(((n + 1.0) * part * part * 0.3).sum() for n, part in enumerate(parts))

    how = dict(how)
    check_grads(run, *[tensors[n] for n in moving], order=2, rtol=1e-4)


def test_batches_of_batches():
    rng = np.random.default_rng(0)
    q, k, v = (df.asarray(rng.standard_normal((3, 2, 2, 4, 5))) for _ in range(3))
    how = {"scale": 0.4, "causal": True, "masked": False, "ragged": False, "ranged": False}
    out, row = df.vmap(lambda *xs: p.attention(*xs, **how))(q, k, v)
    for n in range(3):
        wanted = REFERENCES["attention"](*(x[n].numpy() for x in (q, k, v)), **how)
        np.testing.assert_allclose(out[n].numpy(), wanted[0], rtol=1e-12)
        np.testing.assert_allclose(row[n].numpy(), wanted[1], rtol=1e-12)


def test_operands_that_do_not_fit():
    x = df.ones((1, 2, 3, 4))
    how = {"scale": 1.0, "causal": False, "masked": False, "ragged": False, "ranged": False}
    with pytest.raises(df.errors.ShapeError, match="heads share them evenly"):
        p.attention(x, df.ones((1, 3, 3, 4)), df.ones((1, 3, 3, 4)), **how)
    with pytest.raises(df.errors.DTypeError, match="floats of one dtype"):
        p.attention.op.infer((*[TensorType((1, 2, 3, 4), df.float32)] * 2,
                              TensorType((1, 2, 3, 4), df.float64)), how)  # fmt: skip
    with pytest.raises(df.errors.ShapeError, match="missing, or too many"):
        p.attention(x, x, x, **{**how, "masked": True})


@pytest.mark.parametrize("heads", [(), (2,)])
def test_keys_that_fill_up_are_not_seen(heads):
    rng = np.random.default_rng(1)
    q, k, v = (df.asarray(rng.standard_normal((2, *heads, n, 4))) for n in (3, 5, 5))
    f = df.compile(lambda n: df.scaled_dot_product_attention(q, k, v, key_lengths=n), wait=True)
    lengths = df.asarray([5, 2])
    for _ in range(2):
        found = f(lengths)
    assert f.stats()["replays"] == 1
    for n, length in enumerate((5, 2)):
        wanted = df.scaled_dot_product_attention(q[n], k[n, ..., :length, :], v[n, ..., :length, :])
        np.testing.assert_allclose(found[n].numpy(), wanted.numpy(), rtol=1e-12)
    with pytest.raises(df.errors.ShapeError, match="one for each batch"):
        df.scaled_dot_product_attention(q, k, v, key_lengths=df.asarray([1, 2, 3]))
