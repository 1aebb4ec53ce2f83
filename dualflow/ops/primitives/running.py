"""Records of running extremes, and of the running logarithm of a sum of exponentials.

Running sums and products stand beside the sums and products, whose gradients name them.
"""

from __future__ import annotations

import math

import numpy as np

from dualflow.base.dtypes import int64
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from .. import domains
from ..record import Strict, primitive
from ..rules import check_axis, check_kind, ordered
from .creation import iota
from .elementwise import isnan, where
from .indexing import gather, scatter_add
from .reduction import max as largest
from .reduction import min as smallest
from .transcendental import exp, log, logaddexp


def _rule(name: str, accepts: str):
    def rule(x: TensorType, *, axis: int) -> TensorType:
        check_axis(name, axis, len(x.shape))
        check_kind(name, x.dtype, accepts)
        return x

    return rule


def _split(x, axis: int):
    """`x` without its last element along `axis`, and without its first."""
    before, after = [slice(None)] * len(x.shape), [slice(None)] * len(x.shape)
    before[axis], after[axis] = slice(None, -1), slice(1, None)
    return x[tuple(before)], x[tuple(after)]


def _reached(out, axis: int):
    """Where each running extreme was reached first."""
    before, after = _split(out, axis)
    widths = tuple((int(a == axis), 0) for a in range(len(out.shape)))
    changed = ((after != before) & ~isnan.of(before)).pad(widths, False)
    place = iota(shape=out.shape, axis=axis, dtype=int64)
    return cummax(where.of(changed, place, 0), axis=axis)


def _gradient(g, out, x, axis):
    zeros = g * 0.0
    return (scatter_add(zeros, _reached(out, axis), g, axis=axis),)


def _forward(tangents, out, x, axis):
    return gather(tangents[0], _reached(out, axis), axis=axis)


def _extreme(name: str, ufunc: np.ufunc, like: Strict, doc: str) -> Strict:
    return primitive(
        name, Kind.SCAN, _rule(name, "biuf"),
        lambda x, *, axis: ufunc.accumulate(ordered(x), axis=axis),
        doc=doc, identity=like.op.identity, combine=like.op.combine, gradient=_gradient,
        forward=_forward, spelling=like.op.spelling,
    )  # fmt: skip


cummax = _extreme(
    "cummax", np.maximum, largest, "running maxima along an axis; NaN from the first NaN on"
)
cummin = _extreme(
    "cummin", np.minimum, smallest, "running minima along an axis; NaN from the first NaN on"
)


def _log(g, there):
    """The logarithm of positive `g` where it is `there`, else of 0."""
    return where.of(there, log.of(where.of(there, g, 1.0)), -math.inf)


# Sums of g[i] exp(x[j] - out[i]) go by logarithms, since either factor alone may not fit; so
# positive and negative parts of g are summed apart.


def _sum_gradient(g, out, x, axis):
    def part(g):
        there = (g > 0) & (out > -math.inf)
        least = _log(g, there) - where.of(there, out, 0.0)
        return exp.of(x + logcumsumexp(least.flip(axis), axis=axis).flip(axis))

    return (part(g) - part(-g),)


def _sum_forward(tangents, out, x, axis):
    (t,) = tangents
    seen = where.of(out > -math.inf, out, 0.0)

    def part(t):
        return exp.of(logcumsumexp(_log(t, t > 0) + x, axis=axis) - seen)

    return part(t) - part(-t)


logcumsumexp = primitive(
    "logcumsumexp", Kind.SCAN, _rule("logcumsumexp", "f"),
    lambda x, *, axis: np.logaddexp.accumulate(x, axis=axis),
    doc="running log(exp(x[0]) + ... + exp(x[i])) along an axis, with no overflow",
    identity=lambda dtype: -math.inf, combine="logaddexp", gradient=_sum_gradient,
    forward=_sum_forward, spelling=logaddexp.op.spelling, exact=False,
    domain=domains.Domain(((-3.0, 3.0),)),
)  # fmt: skip
