"""Differences of neighbours, and values between given points."""

from __future__ import annotations

from typing import Any

import numpy as np

from dualflow.base.dtypes import bool_, floating, promote
from dualflow.base.errors import DomainError, ShapeError
from dualflow.base.shapes import as_integer, normal_axis

from .. import door
from .. import primitives as p
from ..operands import tensor
from .elementwise import divide, not_equal, subtract, where
from .joining import concat
from .movement import part
from .searching import searchsorted

Tensor = Any


def diff(
    x: Tensor,
    n: int = 1,
    axis: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """x[1:] - x[:-1] along `axis`, `n` times; of booleans whether neighbours differ.

    Args:
        x: a tensor.
        n: how often; 0 gives `x`.
        axis: along which neighbours are.
        prepend, append: tensors that go before and after `x` along `axis` first.

    Raises:
        DomainError: a negative `n`.

    >>> import dualflow as df
    >>> df.diff(df.asarray([1, 4, 9])).tolist()
    [3, 5]
    """
    x = tensor(x)
    axis, times = normal_axis(axis, x.ndim), as_integer(n, "n")
    if times < 0:
        raise DomainError(f"differences taken {times} times", instead="n >= 0")
    if times == 0:
        return x
    eager = door.unnoted(x) if prepend is append is None else None
    if eager is not None:
        return eager.compute(np.diff, (x,), times, axis)
    parts = [part for part in (prepend, x, append) if part is not None]
    x = concat([_like(part, x, axis) for part in parts], axis=axis) if len(parts) > 1 else x
    for _ in range(times):
        size = x.shape[axis]
        later, earlier = part(x, axis, min(1, size), size), part(x, axis, 0, max(size - 1, 0))
        x = not_equal(later, earlier) if x.dtype == bool_ else subtract(later, earlier)
    return x


def _like(value: Any, x: Tensor, axis: int) -> Tensor:
    """A scalar as one slice of `x` along `axis`; tensors as they are."""
    value = tensor(value)
    if value.ndim:
        return value
    return p.expand(value, shape=(*x.shape[:axis], 1, *x.shape[axis + 1 :]))


def interp(x: Tensor, xp: Tensor, fp: Tensor, left: Any = None, right: Any = None) -> Tensor:
    """The piecewise linear function through the points (xp, fp), at `x`.

    Args:
        x: of any shape.
        xp: (n,) rising.
        fp: (n,) values at `xp`.
        left, right: values below the first and above the last point; None: those of that point.

    Raises:
        ShapeError: `xp` and `fp` are not of one shape (n,), n > 0.

    >>> import dualflow as df
    >>> df.interp(df.asarray([0.5, 9.0]), df.asarray([0.0, 1.0]), df.asarray([2.0, 4.0])).tolist()
    [3.0, 4.0]
    """
    x, xp, fp = tensor(x), tensor(xp), tensor(fp)
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ShapeError(f"interp of points {xp.shape} and values {fp.shape}",
                         instead="as many points as values, along one axis")  # fmt: skip
    dtype = floating(promote(x.dtype, xp.dtype))
    x, xp = (t if t.dtype == dtype else p.cast(t, dtype=dtype) for t in (x, xp))
    fp = fp if fp.dtype == floating(fp.dtype) else p.cast(fp, dtype=floating(fp.dtype))
    last = xp.size - 1
    after = searchsorted(xp.detach(), x.detach(), side="right").clip(min(1, last), last)
    before = (after - 1).clip(0, last)
    x0, x1 = p.take(xp, before, axis=0), p.take(xp, after, axis=0)
    y0, y1 = p.take(fp, before, axis=0), p.take(fp, after, axis=0)
    width = x1 - x0
    weight = divide(x - x0, where(width == 0, 1, width))
    out = y0 + (y1 - y0) * weight
    low, high = xp[0], xp[last]
    out = where(x < low, fp[0] if left is None else left, out)
    return where(x >= high, where(x > high, fp[last] if right is None else right, fp[last]), out)
