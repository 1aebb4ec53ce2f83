"""Attention of sequences of several lengths, packed one after the other."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from dualflow.base.dtypes import int64
from dualflow.base.errors import ArgumentError, ShapeError

from .. import primitives as p
from ..devices import near
from ..operands import tensor
from .attention import has_template, scaled_dot_product_attention
from .elementwise import where
from .joining import concat, stack
from .linear import promoted
from .norms import floats
from .reduction import max, min

Tensor = Any
#: no token has this number
_FAR = 1 << 62


def packed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seqlens: Tensor,
    cu_seqlens_key: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Attention within sequences of any lengths that lie one after the other, without padding.

    Each is what `scaled_dot_product_attention` makes of it. On a GPU the lengths are never read by
    Python: calls with others are replayed, and what they say is not checked.

    Args:
        query: (tokens, heads, e), the sequences joined along axis 0.
        key: (keys, kept, e); heads / kept heads of `query` that follow one another share one.
        value: (keys, kept, v).
        cu_seqlens: (sequences + 1,) integers, where each sequence of `query` begins, and the end of
            the last: the sums of the lengths, from 0. Tokens behind the last belong to none.
        cu_seqlens_key: the same of `key` and `value`; None for that of `query`.
        is_causal: whether query i of a sequence looks at keys 0 to i of it only.
        scale: None for 1 / sqrt(e).

    Returns:
        (tokens, heads, v); zeros for what belongs to no sequence or may look at nothing.

    Raises:
        ShapeError: sizes that do not fit.
        ArgumentError: numbers that are no such sums (on the CPU).

    >>> import dualflow as df
    >>> x = df.ones((5, 2, 8))
    >>> df.packed_attention(x, x, x, df.asarray([0, 3, 5]), is_causal=True).shape
    (5, 2, 8)
    """
    q, k, v = map(floats, promoted("packed_attention", query, key, value))
    starts = tensor(cu_seqlens)
    key_starts = starts if cu_seqlens_key is None else tensor(cu_seqlens_key)
    _check_packed(q, k, v, starts, key_starts)
    scale = 1.0 / math.sqrt(q.shape[-1] or 1) if scale is None else scale
    q, k, v = (p.permute(x, axes=(1, 0, 2)) for x in (q, k, v))
    compute = _in_one_pass if has_template(q, k, v, None) else _one_by_one
    out = compute(q, k, v, starts, key_starts, is_causal, scale)
    return p.permute(out, axes=(1, 0, 2))


def _check_packed(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, key_starts: Tensor) -> None:
    shapes = f"packed_attention of queries {q.shape}, keys {k.shape} and values {v.shape}"
    if not q.ndim == k.ndim == v.ndim == 3:
        raise ShapeError(shapes, instead="(tokens, heads, size)")
    fits = q.shape[-1] == k.shape[-1] and k.shape[:-1] == v.shape[:-1]
    if not fits or not k.shape[1] or q.shape[1] % k.shape[1]:
        raise ShapeError(shapes, why="keys and values go together, heads share them evenly")
    for given in (starts, key_starts):
        if given.ndim != 1 or given.dtype.kind not in "iu" or given.shape != starts.shape:
            raise ShapeError(f"{shapes} with cu_seqlens {given.dtype.name}{list(given.shape)}",
                             instead="sums of lengths, (sequences + 1,) integers")  # fmt: skip
    if not starts.size:
        raise ShapeError(f"{shapes} with no cu_seqlens", instead="at least the first 0")


def _bounds(starts: Tensor, size: int) -> list[int]:
    """Where sequences begin, and the last ends, among so many tokens."""
    found = starts.tolist()
    if found[0] or found[-1] > size or any(a > b for a, b in pairwise(found)):
        raise ArgumentError(f"cu_seqlens that begin at {found[0]} and end at {found[-1]}, for "
                            f"{size} tokens", why="they go up from 0 to the number of tokens",
                            instead="df.cumsum of the lengths, after a 0")  # fmt: skip
    return found


def _one_by_one(
    q: Tensor, k: Tensor, v: Tensor, starts: Tensor, key_starts: Tensor, causal: bool, scale: float
) -> Tensor:
    """Each sequence as a call of its own, of (heads, tokens, size)."""
    rows, keys = _bounds(starts, q.shape[1]), _bounds(key_starts, k.shape[1])
    parts = [
        scaled_dot_product_attention(q[:, a:b], k[:, c:d], v[:, c:d], is_causal=causal,
                                     scale=scale, enable_gqa=True)
        for (a, b), (c, d) in zip(pairwise(rows), pairwise(keys), strict=True) if b > a
    ]  # fmt: skip
    rest = (q.shape[0], q.shape[1] - rows[-1], v.shape[-1])
    if rest[1] or not parts:
        parts.append(p.full(shape=rest, value=0.0, dtype=q.dtype))
    return concat(parts, axis=1)


@near
def _in_one_pass(
    q: Tensor, k: Tensor, v: Tensor, starts: Tensor, key_starts: Tensor, causal: bool, scale: float
) -> Tensor:
    """One primitive: each query sees a range of keys, each key is seen by a range of queries."""
    starts, key_starts = starts.astype(int64), key_starts.astype(int64)
    ranges = _ranges(starts, key_starts, q.shape[1])
    columns = _ranges(key_starts, starts, k.shape[1])
    if causal:
        place, (first, end, start) = _places(q.shape[1]), ranges
        last = first + (place - start) + 1
        ranges = first, where(last < end, last, end), start
        place, (first, end, start) = _places(k.shape[1]), columns
        columns = first + place - start, end, start
    given = [p.reshape(stack(pair[:2]), shape=(1, 2, pair[0].shape[0]))
             for pair in (ranges, columns)]  # fmt: skip
    parts = [p.reshape(x, shape=(1, *x.shape)) for x in (q, k, v)]
    out, _ = p.attention(*parts, *given, scale=float(scale), causal=False, masked=False,
                         ragged=False, ranged=True)  # fmt: skip
    return p.reshape(out, shape=out.shape[1:])


def _places(count: int) -> Tensor:
    return p.iota(shape=(count,), axis=0, dtype=int64)


def _ranges(starts: Tensor, others: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `count` tokens the range of tokens of the other kind of its sequence, and where
    the sequence starts; an empty range behind the last sequence."""
    place = p.reshape(_places(count), shape=(1, count))
    at, of = (p.reshape(x, shape=(x.shape[0], 1)) for x in (starts, others))
    begun = at <= place
    first, start = (max(where(begun, x, 0), 0) for x in (of, at))
    after = where(begun, _FAR, of)
    end = min(after, 0)
    return first, where(end == _FAR, first, end), start
