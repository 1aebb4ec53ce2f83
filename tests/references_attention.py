"""Attention computed score by score, and how its ops are called (see `references.py`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.base.dtypes import limits
from dualflow.ops.attending import Sight, wide

Array = np.ndarray


def _weights(q: Array, k: Array, rest: Any, row: Array | None, how: Any) -> tuple[Array, Array]:
    """exp(score - row) for each query and key, and row: the logarithm of the sums if not given."""
    rest = list(rest)
    mask = rest.pop(0) if how["masked"] else None
    lengths = rest.pop(0) if how["ragged"] else None
    ranges = rest.pop(0) if how["ranged"] else None
    heads, ni, nj = q.shape[1], q.shape[2], k.shape[2]
    scores = np.full((q.shape[0], heads, ni, nj), -np.inf)
    for b, h, i, j in np.ndindex(*scores.shape):
        if (how["causal"] and j > i) or (lengths is not None and j >= lengths[b]):
            continue
        if ranges is not None and not ranges[b, 0, i] <= j < ranges[b, 1, i]:
            continue
        kept = h * k.shape[1] // heads
        pairs = zip(q[b, h, i], k[b, kept, j], strict=True)
        scores[b, h, i, j] = how["scale"] * sum(float(x) * float(y) for x, y in pairs)
        if mask is not None:
            pairs = zip((b, h, i, j), mask.shape, strict=True)
            places = (n if size > 1 else 0 for n, size in pairs)
            scores[b, h, i, j] += float(mask[tuple(places)])
    if row is None:
        row = np.full(scores.shape[:-1], -np.inf)
        for place in np.ndindex(*row.shape):
            seen = [s for s in scores[place] if s > -math.inf]
            row[place] = math.log(math.fsum(map(math.exp, seen))) if seen else -math.inf
    hidden = np.isneginf(row)[..., None]
    return np.where(hidden, 0.0, np.exp(scores - np.where(hidden, 0.0, row[..., None]))), row


def _each(x: Array, heads: int) -> Array:
    """Keys or values for each head of the queries."""
    return np.stack([x[:, h * x.shape[1] // heads] for h in range(heads)], 1).astype(np.float64)


def attention(q: Array, k: Array, v: Array, *rest: Array, **how: Any) -> tuple[Array, Array]:
    weights, row = _weights(q, k, rest, None, how)
    return np.einsum("bhij,bhjd->bhid", weights, _each(v, q.shape[1])), row


def _gradient_of_scores(
    q: Array, k: Array, v: Array, rest: Any, how: Any
) -> tuple[Array, Array, Array]:
    *others, g, row, delta = rest
    g = g.astype(np.float64)
    weights, _ = _weights(q, k, others, row.astype(np.float64), how)
    products = np.einsum("bhid,bhjd->bhij", g, _each(v, q.shape[1]))
    return weights, weights * (products - delta[..., None]), g


def queries(q: Array, k: Array, v: Array, *rest: Array, **how: Any) -> Array:
    _, d, _ = _gradient_of_scores(q, k, v, rest, how)
    return how["scale"] * np.einsum("bhij,bhjd->bhid", d, _each(k, q.shape[1]))


def keys(q: Array, k: Array, v: Array, *rest: Array, **how: Any) -> tuple[Array, Array]:
    weights, d, g = _gradient_of_scores(q, k, v, rest, how)
    to_k = how["scale"] * np.einsum("bhij,bhid->bhjd", d, q.astype(np.float64))
    to_v = np.einsum("bhij,bhid->bhjd", weights, g)
    group = q.shape[1] // k.shape[1]
    return tuple(sum(x[:, n::group] for n in range(group)) for x in (to_k, to_v))  # type: ignore[return-value]


REFERENCES: dict[str, Callable[..., Any]] = {
    "attention": attention, "attention_queries": queries, "attention_keys": keys,
}  # fmt: skip

#: sizes of batch, heads of q and of k, queries, keys, width; what is seen
CALLS = [
    ((2, 2, 2, 3, 4, 2), {"causal": False, "masked": False, "ragged": False, "ranged": False}),
    ((1, 4, 2, 5, 3, 2), {"causal": True, "masked": True, "ragged": False, "ranged": False}),
    ((2, 1, 1, 3, 5, 3), {"causal": False, "masked": False, "ragged": True, "ranged": False}),
    ((2, 2, 1, 4, 4, 16), {"causal": True, "masked": True, "ragged": True, "ranged": False}),
    ((2, 2, 1, 4, 5, 2), {"causal": False, "masked": True, "ragged": False, "ranged": True}),
]


def ranges_of(rng: np.random.Generator, batch: int, ni: int, nj: int) -> list[Array]:
    """Ranges of keys that go on from query to query, and which queries may see each key."""
    first = np.sort(rng.integers(0, nj + 1, (batch, ni)))
    ends = np.maximum.accumulate(first + rng.integers(0, nj // 2 + 1, first.shape), -1)
    ends = np.minimum(ends, nj)
    keys = np.arange(nj)
    columns = [[np.searchsorted(end, keys, "right"), np.searchsorted(start, keys, "right")]
               for start, end in zip(first, ends, strict=True)]  # fmt: skip
    return [np.stack([first, ends], 1), np.array(columns)]


def _bound(arrays: tuple[Array, ...], attributes: Any, dtype: np.dtype) -> float:
    return 2e3 * float(limits(dtype).eps)


def _arrays(rng, shapes, dtype, attributes, draw, domain) -> list[Array]:
    """By what a shape is of: lengths are whole numbers, masks and sums are not narrow."""
    found = [(rng.integers(-4, 5, shape) / 4).astype(dtype) for shape in shapes]
    if attributes["masked"]:
        found[3] = (rng.integers(-4, 5, shapes[3]) / 4).astype(np.float32)
    if attributes["ragged"]:
        place = 3 + attributes["masked"]
        found[place] = rng.integers(0, shapes[1][2] + 1, shapes[place])
    if attributes["ranged"]:
        place = 3 + attributes["masked"] + attributes["ragged"]
        (batch, _, ni), (*_, nj) = shapes[place : place + 2]
        found[place : place + 2] = ranges_of(rng, batch, ni, nj)
    if len(shapes) > 3 + Sight(**attributes).given:
        found[-2:] = [(rng.integers(0, 5, shape) / 4).astype(wide(dtype)) for shape in shapes[-2:]]
    return found


def samples(sample: Any) -> dict[str, Any]:
    """For each op, `sample(...)` with how it is called."""
    calls: dict[str, list[Any]] = {name: [] for name in REFERENCES}
    for (b, h, kept, i, j, d), seen in CALLS:
        how = {"scale": 0.5, **seen}
        shapes: list[tuple[int, ...]] = [(b, h, i, d), (b, kept, j, d), (b, kept, j, d)]
        shapes += [(1, h, 1, j)] * seen["masked"] + [(b,)] * seen["ragged"]
        shapes += [(b, 2, i), (b, 2, j)] * seen["ranged"]
        calls["attention"].append((tuple(shapes), how))
        more = (*shapes, (b, h, i, d), (b, h, i), (b, h, i))
        calls["attention_queries"].append((more, how))
        calls["attention_keys"].append((more, how))
    options = {"accepts": "f", "bound": _bound, "arrays": _arrays, "layouts": (0, 1, 2)}
    return {name: sample(found, **options) for name, found in calls.items()}
