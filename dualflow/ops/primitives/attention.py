"""Records of attention and its gradients, each computed without a matrix of scores in memory.

They serve where a backend has a template of that name; elsewhere attention is written with products
and a softmax (`functions/attention.py`). Second derivatives are written so as well.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from dualflow.base.dtypes import int64, is_float
from dualflow.base.errors import DTypeError, ShapeError
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from .. import attending, domains
from ..attending import Sight, wide
from ..record import primitive
from .contraction import matmul
from .creation import iota
from .elementwise import add, cast, where
from .movement import expand, reshape, select
from .reduction import sum as total
from .transcendental import exp


def _check(name: str, q: TensorType, k: TensorType, v: TensorType, count: int, how: Any) -> None:
    shapes = f"{name} of {q}, {k} and {v}"
    if not (len(q.shape) == len(k.shape) == len(v.shape) >= 3 and q.shape[:-3] == k.shape[:-3]):
        raise ShapeError(shapes, instead="(..., heads, length, size), of as many axes")
    if q.dtype != k.dtype or q.dtype != v.dtype or not is_float(q.dtype):
        raise DTypeError(shapes, instead="floats of one dtype")
    fits = k.shape[:-1] == v.shape[:-1] and q.shape[-1] == k.shape[-1]
    if not fits or not k.shape[-3] or q.shape[-3] % k.shape[-3]:
        raise ShapeError(shapes, why="keys and values go together, heads share them evenly")
    if count != Sight(**how).given:
        raise ShapeError(shapes, why="a mask or numbers of keys are missing, or too many")


def _rule(q: TensorType, k: TensorType, v: TensorType, *rest: TensorType, **how: Any) -> Any:
    _check("attention", q, k, v, len(rest), how)
    return (TensorType((*q.shape[:-1], v.shape[-1]), q.dtype),
            TensorType(q.shape[:-1], wide(q.dtype)))  # fmt: skip


def _queries_rule(q: TensorType, k: TensorType, v: TensorType, *rest: TensorType, **how: Any):
    _check("attention_queries", q, k, v, len(rest) - 3, how)
    return q


def _keys_rule(q: TensorType, k: TensorType, v: TensorType, *rest: TensorType, **how: Any):
    _check("attention_keys", q, k, v, len(rest) - 3, how)
    return k, v


def _as(x: Any, dtype: np.dtype) -> Any:
    return x if x.dtype == dtype else cast(x, dtype=dtype)


def _row_sums(x: Any) -> Any:
    return total(x, axes=(x.ndim - 1,))


def _column(x: Any) -> Any:
    """(..., i) as (..., i, 1), along all columns of what it meets."""
    return reshape(x, shape=(*x.shape, 1))


class _Parts:
    """The matrices that the templates never store, of operands widened and shared by heads."""

    def __init__(self, q, k, v, rest, scale, **how) -> None:
        *others, g, row, delta = rest
        sight = Sight(scale, **how)
        mask, lengths, ranges = sight.parts(others)
        self.kept, self.dtype, self.scale = k.shape, wide(q.dtype), scale
        self.q, self.g = _as(q, self.dtype), _as(g, self.dtype)
        self.k, self.v = self.each(k, q), self.each(v, q)
        s = matmul(self.q, self.k.mT) * scale
        if mask is not None:
            s = add.of(s, _as(mask, self.dtype))
        i, j = (iota(shape=s.shape[-2:], axis=axis, dtype=int64) for axis in (0, 1))
        if sight.causal:
            s = where.of(j <= i, s, -math.inf)
        if lengths is not None:
            seen = reshape(lengths, shape=(*lengths.shape, 1, 1, 1))
            s = where.of(j < seen, s, -math.inf)
        if ranges is not None:
            *batch, _, ni = ranges.shape
            first, end = (reshape(select(ranges, axis=len(batch), index=n),
                                  shape=(*batch, 1, ni, 1)) for n in (0, 1))  # fmt: skip
            s = where.of(j >= first, where.of(j < end, s, -math.inf), -math.inf)
        hidden = _column(row) == -math.inf
        self.p = where.of(hidden, 0.0, exp(s - where.of(hidden, 0.0, _column(row))))
        self.t = matmul(self.g, self.v.mT) - _column(delta)
        self.d = self.p * self.t

    def each(self, x: Any, q: Any) -> Any:
        """Keys or values, or what belongs to them, for each head of the queries."""
        x, (*batch, kept, j, d) = _as(x, self.dtype), x.shape
        heads = q.shape[-3]
        if kept == heads:
            return x
        wider = expand(reshape(x, shape=(*batch, kept, 1, j, d)),
                       shape=(*batch, kept, heads // kept, j, d))  # fmt: skip
        return reshape(wider, shape=(*batch, heads, j, d))

    def joined(self, x: Any) -> Any:
        """The sum over the heads that share keys."""
        *batch, heads, j, d = x.shape
        kept = self.kept[-3]
        if kept == heads:
            return x
        return total(reshape(x, shape=(*batch, kept, heads // kept, j, d)), axes=(x.ndim - 2,))

    def back(self, to_d: Any, to_p: Any, more: dict[str, Any], rest: Any) -> tuple[Any, ...]:
        """Gradients of all operands, from those of d and p and what else reaches them."""
        to_p = to_d * self.t if to_p is None else to_d * self.t + to_p
        to_t, to_s = to_d * self.p, to_p * self.p
        to_q = matmul(to_s, self.k) * self.scale + more.get("q", 0.0)
        to_k = matmul(to_s.mT, self.q) * self.scale + more.get("k", 0.0)
        to_g = matmul(to_t, self.v) + more.get("g", 0.0)
        to_v = self.joined(matmul(to_t.mT, self.g))
        nothing = (None,) * (len(rest) - 3)
        kind = rest[-3].dtype
        found = (_as(to_q, kind), _as(self.joined(to_k), kind), _as(to_v, kind))
        return (*found, *nothing, _as(to_g, kind), -_row_sums(to_s), -_row_sums(to_t))

    def along(self, tangents: Any, q: Any, rest: Any) -> tuple[Any, ...]:
        """Tangents of p and d, and those of q, k and g, widened."""
        to_q, to_k, to_v, *_, to_g, to_row, to_delta = tangents
        to_q, to_g = (x * 0.0 if t is None else _as(t, self.dtype)
                      for t, x in ((to_q, self.q), (to_g, self.g)))  # fmt: skip
        to_k, to_v = (x * 0.0 if t is None else self.each(t, q)
                      for t, x in ((to_k, self.k), (to_v, self.v)))  # fmt: skip
        s = (matmul(to_q, self.k.mT) + matmul(self.q, to_k.mT)) * self.scale
        to_p = self.p * (s if to_row is None else s - _column(to_row))
        to_t = matmul(to_g, self.v.mT) + matmul(self.g, to_v.mT)
        to_t = to_t if to_delta is None else to_t - _column(to_delta)
        return to_p, to_p * self.t + self.p * to_t, to_q, to_k, to_g


def _gradient(g, out, q, k, v, *rest, **how):
    (to_out, to_row), (made, row) = g, out
    dtype = wide(q.dtype)
    delta = _row_sums(_as(made, dtype) * _as(to_out, dtype)) - to_row
    given = (q, k, v, *rest, to_out, row, delta)
    return (attention_queries(*given, **how), *attention_keys(*given, **how),
            *(None,) * len(rest))  # fmt: skip


def _forward(tangents, out, q, k, v, *rest, **how):
    made, row = out
    made = _as(made, row.dtype)
    parts = _Parts(q, k, v, (*rest, made, row, row * 0.0), **how)
    to_v = parts.v * 0.0 if tangents[2] is None else parts.each(tangents[2], q)
    e, *_ = parts.along((*tangents[:2], None, *tangents[3:], None, None, None), q, rest)
    sums = _row_sums(e)
    moved = matmul(e, parts.v) + matmul(parts.p, to_v) - _column(sums) * made
    return _as(moved, q.dtype), sums


def _queries_gradient(g, out, q, k, v, *rest, **how):
    parts = _Parts(q, k, v, rest, **how)
    u = _as(g, parts.dtype)
    more = {"k": matmul(parts.d.mT, u) * parts.scale}
    return parts.back(matmul(u, parts.k.mT) * parts.scale, None, more, rest)


def _queries_forward(tangents, out, q, k, v, *rest, **how):
    parts = _Parts(q, k, v, rest, **how)
    _, to_d, _, to_k, _ = parts.along(tangents, q, rest)
    made = (matmul(to_d, parts.k) + matmul(parts.d, to_k)) * parts.scale
    return _as(made, q.dtype)


def _keys_gradient(g, out, q, k, v, *rest, **how):
    parts = _Parts(q, k, v, rest, **how)
    of_k, of_v = (parts.each(x, q) for x in g)
    more = {"q": matmul(parts.d, of_k) * parts.scale, "g": matmul(parts.p, of_v)}
    to_p = matmul(parts.g, of_v.mT)
    return parts.back(matmul(parts.q, of_k.mT) * parts.scale, to_p, more, rest)


def _keys_forward(tangents, out, q, k, v, *rest, **how):
    parts = _Parts(q, k, v, rest, **how)
    to_p, to_d, to_q, _, to_g = parts.along(tangents, q, rest)
    of_k = (matmul(to_d.mT, parts.q) + matmul(parts.d.mT, to_q)) * parts.scale
    of_v = matmul(to_p.mT, parts.g) + matmul(parts.p.mT, to_g)
    return _as(parts.joined(of_k), k.dtype), _as(parts.joined(of_v), v.dtype)


attention = primitive(
    "attention", Kind.LIBRARY, _rule, partial(attending.attention, np), outputs=2,
    doc="values averaged by softmax(scale q k' + mask), and the logarithm of each row's sum",
    gradient=_gradient, forward=_forward, exact=False, spelling={"templates": "attention"},
    domain=domains.FEW_VALUES,
)  # fmt: skip
attention_queries = primitive(
    "attention_queries", Kind.LIBRARY, _queries_rule, partial(attending.queries, np),
    doc="the gradient of attention with respect to its queries",
    gradient=_queries_gradient, forward=_queries_forward, exact=False,
    spelling={"templates": "attention"}, domain=domains.FEW_VALUES,
)  # fmt: skip
attention_keys = primitive(
    "attention_keys", Kind.LIBRARY, _keys_rule, partial(attending.keys, np), outputs=2,
    doc="the gradients of attention with respect to its keys and values",
    gradient=_keys_gradient, forward=_keys_forward, exact=False,
    spelling={"templates": "attention"}, domain=domains.FEW_VALUES,
)  # fmt: skip
