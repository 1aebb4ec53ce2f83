"""Attention: averages of values, weighted by how well queries fit keys."""

from __future__ import annotations

import math
from typing import Any

from dualflow.base.dtypes import bool_, float32, int64
from dualflow.base.errors import ShapeError
from dualflow.base.shapes import Shape, broadcast, size_of

from .. import composites, door
from .. import primitives as p
from ..devices import near
from ..generator import Generator
from ..operands import tensor
from .elementwise import exp, isfinite, where
from .linear import matmul, promoted
from .norms import floats
from .reduction import max, sum

Tensor = Any


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    key_lengths: Tensor | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """softmax(query @ key^T * scale + mask) @ value (Vaswani et al., arXiv:1706.03762).

    Args:
        query: (..., heads, l, e) or (..., l, e).
        key: (..., heads, s, e).
        value: (..., heads, s, v).
        attn_mask: broadcasts to (..., heads, l, s): booleans, true where a query may look, or
            numbers that are added.
        dropout_p: the part of the weights that is set to 0.
        is_causal: whether query i looks at keys 0 to i only.
        scale: None for 1 / sqrt(e).
        enable_gqa: whether `key` and `value` may have fewer heads, each for several of `query`
            that follow one another.
        key_lengths: for each batch, (...), how many keys there are; those that follow fill up.
        generator: of random numbers for dropout.

    Returns:
        (..., heads, l, v); zeros for a query that may look at nothing.

    Raises:
        ShapeError: sizes that do not fit.

    >>> import dualflow as df
    >>> x = df.ones((2, 4, 8))
    >>> df.scaled_dot_product_attention(x, x, x, is_causal=True).shape
    (2, 4, 8)
    """
    q, k, v = map(floats, promoted("attention", query, key, value))
    _check(q, k, v, enable_gqa)
    scale = 1.0 / math.sqrt(q.shape[-1] or 1) if scale is None else scale
    grouped = enable_gqa or q.shape[-3:-2] == k.shape[-3:-2]
    if dropout_p == 0.0 and grouped and has_template(q, k, v, attn_mask):
        return _in_one_pass(q, k, v, attn_mask, is_causal, scale, key_lengths)
    groups = q.shape[-3] // k.shape[-3] if enable_gqa and k.shape[-3] else 1
    length, heads = q.shape[-2], q.shape[-3] if enable_gqa else 0
    q = q * scale
    if groups > 1:  # heads of one key become rows of one product
        q = p.reshape(q, shape=(*q.shape[:-3], heads // groups, groups * length, q.shape[-1]))
    scores = matmul(q, k.mT)
    if groups > 1:
        scores = p.reshape(scores, shape=(*q.shape[:-3], heads, length, k.shape[-2]))
    scores = _masked(scores, attn_mask, is_causal, key_lengths)
    largest = max(scores.detach(), -1, keepdims=True) if k.shape[-2] else 0.0
    largest = where(isfinite(largest), largest, 0.0) if k.shape[-2] else 0.0
    weights = exp(scores - largest)
    total = sum(weights, -1, keepdims=True)
    weights = composites.dropout(weights, dropout_p, generator=generator)
    if groups > 1:
        rows = (*weights.shape[:-3], heads // groups, groups * length, k.shape[-2])
        weights = p.reshape(weights, shape=rows)
    out = matmul(weights, v)
    if groups > 1:
        out = p.reshape(out, shape=(*out.shape[:-3], heads, length, v.shape[-1]))
    return out / where(total == 0.0, 1.0, total)


def _check(q: Tensor, k: Tensor, v: Tensor, grouped: bool) -> None:
    shapes = f"attention of queries {q.shape}, keys {k.shape} and values {v.shape}"
    if min(q.ndim, k.ndim, v.ndim) < 2 + grouped:
        raise ShapeError(shapes, instead="(..., heads, length, size)")
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(shapes, why="keys have the size of queries, and values their number")
    if grouped and (k.shape[-3] != v.shape[-3] or not k.shape[-3] or q.shape[-3] % k.shape[-3]):
        raise ShapeError(shapes, why="the heads of queries are a multiple of those of keys")


#: widths of heads that templates take, and dtypes by their names
_WIDTHS, _NARROW = (16, 32, 64, 128, 256), ("float16", "bfloat16", "float32")


def has_template(q: Tensor, k: Tensor, v: Tensor, mask: Any) -> bool:
    """Whether a kernel of the device computes all of it, without a matrix of scores in memory."""
    if not door.away or q.device == "cpu" or q.dtype.name not in _NARROW:
        return False
    if getattr(mask, "requires_grad", False) or not k.shape[-2] or not q.shape[-2]:
        return False
    return q.shape[-1] == v.shape[-1] and q.shape[-1] in _WIDTHS and q.shape[:-3] == k.shape[:-3]


@near
def _in_one_pass(
    q: Tensor, k: Tensor, v: Tensor, mask: Any, causal: bool, scale: float, lengths: Any
) -> Tensor:
    """Attention as one primitive, of operands (batch, heads, length, size)."""
    shape = q.shape
    batch = size_of(shape[:-3])
    rest = []
    if mask is not None:
        mask = tensor(mask)
        wide = (*shape[:-1], k.shape[-2])
        if broadcast(mask.shape, wide, of="attention by a mask") != wide:
            raise ShapeError(f"a mask of {mask.shape} for scores of {wide}")
        added = where(mask, 0.0, -math.inf) if mask.dtype == bool_ else mask
        full = (1,) * (len(shape) - added.ndim) + added.shape
        if 1 < size_of(full[:-3]) < batch:  # a part of the batches: each is given its own
            full = (*shape[:-3], *full[-3:])
            added = p.expand(p.reshape(added, shape=(1,) * (len(shape) - added.ndim)
                             + added.shape), shape=full)  # fmt: skip
        full = (1,) * (3 - len(full)) + full
        rest.append(p.reshape(added.astype(float32), shape=(size_of(full[:-3]), *full[-3:])))
    if lengths is not None:
        rest.append(p.reshape(tensor(lengths).astype(int64), shape=(batch,)))
    parts = [_shaped(x, (batch, *((1,) if x.ndim < 3 else ()), *x.shape[-3:])) for x in (q, k, v)]
    out, _ = p.attention(*parts, *rest, scale=float(scale), causal=causal,
                         masked=mask is not None, ragged=lengths is not None,
                         ranged=False)  # fmt: skip
    return _shaped(out, shape)


def _shaped(x: Tensor, shape: Shape) -> Tensor:
    return x if x.shape == shape else p.reshape(x, shape=shape)


@near
def _masked(scores: Tensor, mask: Any, causal: bool, lengths: Any) -> Tensor:
    """`scores` with the mask added, and -inf where a query may not look."""
    if mask is not None:
        mask = tensor(mask)
        if broadcast(mask.shape, scores.shape, of="attention by a mask") != scores.shape:
            raise ShapeError(f"a mask of {mask.shape} for scores of {scores.shape}")
        scores = where(mask, scores, -math.inf) if mask.dtype == bool_ else scores + mask
    if causal:
        shape = scores.shape[-2:]
        row, column = (p.iota(shape=shape, axis=axis, dtype=int64) for axis in (0, 1))
        scores = where(column <= row, scores, -math.inf)
    if lengths is not None:
        seen = tensor(lengths)
        if seen.shape != scores.shape[: seen.ndim] or seen.ndim > scores.ndim - 2:
            raise ShapeError(f"numbers of keys {seen.shape} for scores of {scores.shape}",
                             instead="one for each batch")  # fmt: skip
        places = p.iota(shape=scores.shape[-1:], axis=0, dtype=int64)
        fits = (*seen.shape, *(1,) * (scores.ndim - seen.ndim))
        scores = where(places < p.reshape(seen, shape=fits), scores, -math.inf)
    return scores
