"""Attention of arrays, one whole matrix of scores at a time: what a fused kernel computes in parts.

    s = scale q k' + mask,  p = exp(s - row),  out = p v,  row = log(sum of exp(s)) of each query

Comes in: a module with NumPy's functions, and arrays (..., heads, length, size); several heads of q
may share one of k and v. Goes out: results, and gradients with respect to q, k and v.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = Any


class Sight(NamedTuple):
    """How queries see keys.

    Attributes:
        scale: of the products.
        causal: whether query i sees keys 0 to i only.
        masked: whether a mask is added, (..., heads or 1, queries or 1, keys).
        ragged: whether numbers of keys to see are given, (...) int64.
        ranged: whether each query sees a range of keys: the firsts and the ends of the ranges,
            (..., 2, queries) int64, and, of each key, which queries may see it, (..., 2, keys),
            where kernels look.

    What is given follows q, k and v in this order.
    """

    scale: float
    causal: bool
    masked: bool
    ragged: bool
    ranged: bool

    @property
    def given(self) -> int:
        """How many further operands there are."""
        return self.masked + self.ragged + 2 * self.ranged

    def parts(self, rest: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Of these operands the mask, the numbers of keys and the ranges; None for each that is not
        given."""
        left = iter(rest)
        there = (self.masked, self.ragged, self.ranged)
        mask, lengths, ranges = (next(left) if given else None for given in there)
        return mask, lengths, ranges


def wide(dtype: np.dtype) -> np.dtype:
    """The dtype in which scores are computed."""
    return dtype if dtype == np.float64 else np.dtype("float32")


def _shared(xp: Any, x: Array, heads: int) -> Array:
    """Keys or values for each head of the queries."""
    return xp.repeat(x, heads // x.shape[-3], axis=-3) if x.shape[-3] != heads else x


def _scores(xp: Any, q: Array, k: Array, rest: tuple[Array, ...], sight: Sight) -> Array:
    s = xp.matmul(q, xp.swapaxes(k, -1, -2)) * q.dtype.type(sight.scale)
    mask, lengths, ranges = sight.parts(rest)
    if mask is not None:
        s = s + mask.astype(s.dtype)
    i, j = xp.arange(s.shape[-2])[:, None], xp.arange(s.shape[-1])[None, :]
    if sight.causal:
        s = xp.where(j <= i, s, -np.inf)
    if lengths is not None:
        s = xp.where(j < lengths[..., None, None, None], s, -np.inf)
    if ranges is not None:
        first, end = (ranges[..., None, n, :, None] for n in (0, 1))
        s = xp.where((j >= first) & (j < end), s, -np.inf)
    return s


def attention(xp: Any, q: Array, k: Array, v: Array, *rest: Array, **how: Any) -> tuple:
    """`out` and `row`."""
    dtype, kind = wide(q.dtype), q.dtype
    q, k, v = (x.astype(dtype) for x in (q, k, v))
    s = _scores(xp, q, _shared(xp, k, q.shape[-3]), rest, Sight(**how))
    if not s.shape[-1]:
        return (xp.zeros((*s.shape[:-1], v.shape[-1]), kind),
                xp.full(s.shape[:-1], -np.inf, dtype))  # fmt: skip
    top = s.max(axis=-1, keepdims=True)
    safe = xp.where(top == -np.inf, dtype.type(0), top)
    e = xp.exp(s - safe)
    total = e.sum(axis=-1, keepdims=True)
    out = xp.matmul(e, _shared(xp, v, q.shape[-3])) / xp.where(total == 0, dtype.type(1), total)
    return out.astype(kind), (safe + xp.log(total))[..., 0].astype(dtype)


def _parts(
    xp: Any, q: Array, k: Array, v: Array, rest: tuple[Array, ...], how: Any
) -> tuple[Array, ...]:
    """p, the gradient of the scores (without the scale), and the widened operands."""
    dtype = wide(q.dtype)
    *others, g, row, delta = rest
    q, k, v, g = (x.astype(dtype) for x in (q, k, v, g))
    every_k, every_v = (_shared(xp, x, q.shape[-3]) for x in (k, v))
    s = _scores(xp, q, every_k, tuple(others), Sight(**how))
    row = row[..., None]
    p = xp.where(row == -np.inf, dtype.type(0), xp.exp(s - xp.where(row == -np.inf, 0, row)))
    d = p * (xp.matmul(g, xp.swapaxes(every_v, -1, -2)) - delta[..., None])
    return p.astype(dtype), d.astype(dtype), q, every_k, g


def queries(xp: Any, q: Array, k: Array, v: Array, *rest: Array, **how: Any) -> Array:
    """The gradient of q; `rest` ends with that of out, with row, and with sum(out * gradient)."""
    _, d, _, every_k, _ = _parts(xp, q, k, v, rest, how)
    return (xp.matmul(d, every_k) * d.dtype.type(how["scale"])).astype(q.dtype)


def keys(xp: Any, q: Array, k: Array, v: Array, *rest: Array, **how: Any) -> tuple[Array, Array]:
    """The gradients of k and v; `rest` as for `queries`."""
    p, d, wide_q, _, g = _parts(xp, q, k, v, rest, how)
    to_k = xp.matmul(xp.swapaxes(d, -1, -2), wide_q) * d.dtype.type(how["scale"])
    to_v = xp.matmul(xp.swapaxes(p, -1, -2), g)
    shape = (*k.shape[:-3], k.shape[-3], q.shape[-3] // k.shape[-3] if k.shape[-3] else 1)
    to_k, to_v = (x.reshape(*shape, *x.shape[-2:]).sum(axis=-3) for x in (to_k, to_v))
    return to_k.astype(k.dtype), to_v.astype(v.dtype)
