"""scaled_dot_product_attention: masks, grouped heads, gradients, compiled calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.autograd.check import check_grads
from dualflow.base.errors import ShapeError

attention = df.scaled_dot_product_attention


def numbers(*shape: int, dtype: Any = np.float64, seed: int = 0) -> df.Tensor:
    return df.asarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def reference(q: Any, k: Any, v: Any, mask: Any = None, causal: bool = False,
              scale: float | None = None) -> np.ndarray:  # fmt: skip
    """One query after the other."""
    q, k, v = (np.asarray(x, float) for x in (q, k, v))
    heads = q.shape[1] // k.shape[1]
    mask = np.ones((q.shape[2], k.shape[2]), bool) if mask is None else np.asarray(mask)
    mask = np.broadcast_to(mask, (*q.shape[:3], k.shape[2]))
    out = np.zeros((*q.shape[:3], v.shape[-1]))
    for b, h, i in np.ndindex(*q.shape[:3]):
        scores = k[b, h // heads] @ q[b, h, i] * (q.shape[-1] ** -0.5 if scale is None else scale)
        allowed = np.ones(len(scores), bool)
        if mask.dtype == bool:
            allowed &= mask[b, h, i]
        else:
            scores = scores + mask[b, h, i]
        if causal:
            allowed &= np.arange(len(scores)) <= i
        if allowed.any():
            weights = np.exp(scores - scores[allowed].max()) * allowed
            out[b, h, i] = weights @ v[b, h // heads] / weights.sum()
    return out


Q, K, V = numbers(2, 4, 5, 3), numbers(2, 4, 6, 3, seed=1), numbers(2, 4, 6, 2, seed=2)
LOOK = np.random.default_rng(3).random((2, 1, 5, 6)) < 0.6
LOOK[0, 0, 2] = False  # this one may look at nothing
ADDED = np.random.default_rng(4).standard_normal((4, 5, 6))
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"causal": True},
    "scaled": {"scale": 0.3},
    "booleans": {"mask": LOOK},
    "numbers": {"mask": ADDED},
    "booleans, causal": {"mask": LOOK, "causal": True},
}


def called(q: Any, k: Any, v: Any, way: dict[str, Any], **more: Any) -> df.Tensor:
    mask = df.asarray(way["mask"]) if "mask" in way else None
    return attention(q, k, v, mask, is_causal=way.get("causal", False), scale=way.get("scale"),
                     **more)  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_values(way: str):
    wanted = reference(Q.numpy(), K.numpy(), V.numpy(), **WAYS[way])
    np.testing.assert_allclose(called(Q, K, V, WAYS[way]).numpy(), wanted, atol=1e-12)
    q, k, v = (df.asarray(x.numpy().astype(np.float32)) for x in (Q, K, V))
    found = called(q, k, v, WAYS[way] | ({"mask": ADDED.astype("f")} if way == "numbers" else {}))
    assert found.dtype == df.float32
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_grouped_heads(heads: int, way: str):
    k, v = K[:, :heads], V[:, :heads]
    wanted = reference(Q.numpy(), k.numpy(), v.numpy(), **WAYS[way])
    found = called(Q, k, v, WAYS[way], enable_gqa=True)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)


def test_without_heads_and_with_more_axes():
    wanted = reference(Q.numpy(), K.numpy(), V.numpy())
    np.testing.assert_allclose(attention(Q[0, 0], K[0, 0], V[0, 0]).numpy(), wanted[0, 0])
    np.testing.assert_allclose(attention(Q[None], K[None], V[None]).numpy(), wanted[None])
    assert attention(Q, K[:, :, :0], V[:, :, :0]).tolist() == np.zeros((2, 4, 5, 2)).tolist()


def test_large_scores_do_not_overflow():
    x = df.full((1, 2, 4), 200.0)
    np.testing.assert_allclose(attention(x, x, x).numpy(), 200.0)


def test_dropout_takes_weights_away_and_keeps_the_mean():
    q, v = df.zeros((1, 400, 4)), df.ones((1, 300, 1))
    out = attention(q, df.zeros((1, 300, 4)), v, dropout_p=0.5).numpy()
    assert abs(out.mean() - 1.0) < 0.02
    assert out.std() > 0.01


@pytest.mark.parametrize("way", WAYS)
def test_gradients(way: str):
    q, k, v = numbers(1, 2, 3, 2), numbers(1, 1, 3, 2, seed=1), numbers(1, 1, 3, 2, seed=2)
    cut = {"mask": WAYS[way]["mask"][..., :2, :3, :3]} if "mask" in WAYS[way] else {}
    if way.startswith("booleans"):
        cut = {"mask": LOOK[:1, :, :3, :3]}
    given = WAYS[way] | cut
    check_grads(lambda q, k, v: called(q, k, v, given, enable_gqa=True), q, k, v, rtol=1e-4)


@pytest.mark.parametrize("way", ["causal", "booleans", "numbers"])
def test_compiled(way: str):
    f = df.compile(lambda q, k, v: called(q, k, v, WAYS[way], enable_gqa=True), wait=True)
    for seed in range(3):
        q, k, v = numbers(2, 4, 5, 3, seed=seed), K[:, :2].copy(), V[:, :2].copy()
        wanted = reference(q.numpy(), k.numpy(), v.numpy(), **WAYS[way])
        np.testing.assert_allclose(f(q, k, v).numpy(), wanted, atol=1e-12)
    stats = f.stats()
    assert stats["recordings"] == 1
    assert stats["replays"] + stats["co_executions"] == 2
    assert stats["eager_calls"] == 0


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("size of queries", lambda: attention(Q, V, V)),
        ("their number", lambda: attention(Q, K, V[:, :, :3])),
        ("multiple", lambda: attention(Q, K[:, :3], V[:, :3], enable_gqa=True)),
        ("a mask of", lambda: attention(Q, K, V, df.ones((3, 5, 6)))),
        ("attention of", lambda: attention(Q[0, 0, 0], K, V)),
    ],
)
def test_bad_input(text: str, call: Any):
    with pytest.raises(ShapeError, match=text):
        call()
