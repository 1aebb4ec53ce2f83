"""The rules of algebra: each keeps every bit, but for those marked fast.

x + 0 is no such rule (-0.0 + 0.0 is 0.0), nor is x * 0 (NaN, infinities, -0.0). A number in a
pattern stands for a constant of that value and sign.
"""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import is_added, is_float, is_inexact, is_integer, kind
from dualflow.ir.graph import Value
from dualflow.ops import primitives as p

from .patterns import rule
from .rewriter import constant


def _is_integer(x: Value, **_: object) -> bool:
    return is_integer(x.dtype)


def holds(wide: np.dtype, narrow: np.dtype) -> bool:
    """Whether every value of `narrow` is one of `wide`.

    >>> holds(np.dtype("float64"), np.dtype("int32")), holds(np.dtype("float64"), np.dtype("int64"))
    (True, False)
    """
    if is_integer(narrow) and is_inexact(wide) and narrow.itemsize == 8:
        return False
    if is_added(wide) or is_added(narrow):
        return is_float(wide) and not is_added(wide) and kind(narrow) in "fs" and wide.itemsize > 2
    return np.can_cast(narrow, wide, "safe")


# Arithmetic.


@rule(lambda x: p.negative(p.negative(x)))
def double_negation(x):
    return x


@rule(lambda x: p.multiply(x, 1))
def times_one(x):
    return x


@rule(lambda x: p.multiply(1, x))
def one_times(x):
    return x


@rule(lambda x: p.divide(x, 1))
def divided_by_one(x):
    return x


@rule(lambda x: p.subtract(x, 0))
def minus_zero(x):
    return x


@rule(lambda x: p.add(x, -0.0))
def plus_negative_zero(x):
    return x


@rule(lambda x: p.add(x, 0), when=_is_integer)
def integer_plus_zero(x):
    return x


@rule(lambda x: p.add(0, x), when=_is_integer)
def zero_plus_integer(x):
    return x


@rule(lambda x: p.power(x, 2))
def squared(x):
    return p.multiply(x, x)


@rule(lambda x: p.power(x, 1))
def to_the_first(x):
    return x


@rule(lambda x, y: p.add(x, p.negative(y)))
def plus_negative(x, y):
    return p.subtract(x, y)


@rule(lambda x, y: p.subtract(x, p.negative(y)))
def minus_negative(x, y):
    return p.add(x, y)


@rule(lambda x, y: p.multiply(p.negative(x), p.negative(y)))
def product_of_negatives(x, y):
    return p.multiply(x, y)


@rule(lambda x: p.subtract(x, x), fast=True)
def minus_itself(x):
    return p.full(shape=x.shape, value=x.dtype.type(0).item(), dtype=x.dtype)


@rule(lambda x: p.multiply(x, 0), fast=True)
def times_zero(x):
    return p.full(shape=x.shape, value=x.dtype.type(0).item(), dtype=x.dtype)


@rule(lambda x: p.add(x, 0), fast=True)
def plus_zero(x):
    return x


# Logic and choice.


@rule(lambda x: p.logical_not(p.logical_not(x)))
def double_not(x):
    return x


@rule(lambda x: p.bitwise_invert(p.bitwise_invert(x)))
def double_invert(x):
    return x


@rule(lambda c, x: p.where(c, x, x))
def either_way(c, x):
    return x


@rule(lambda x, y: p.where(True, x, y))
def always(x, y):
    return x


@rule(lambda x, y: p.where(False, x, y))
def never(x, y):
    return y


@rule(lambda c, x, y: p.where(p.logical_not(c), x, y))
def unless(c, x, y):
    return p.where(c, y, x)


# Casts.


@rule(lambda x, dtype: p.cast(x, dtype=dtype), when=lambda x, dtype: x.dtype == dtype)
def cast_to_itself(x, dtype):
    return x


@rule(
    lambda x, middle, dtype: p.cast(p.cast(x, dtype=middle), dtype=dtype),
    when=lambda x, middle, dtype: holds(middle, x.dtype),
)
def cast_by_way_of_wider(x, middle, dtype):
    return p.cast(x, dtype=dtype)


# Movement.


@rule(lambda x, shape: p.reshape(x, shape=shape), when=lambda x, shape: x.shape == shape)
def reshape_to_itself(x, shape):
    return x


@rule(lambda x, first, then: p.reshape(p.reshape(x, shape=first), shape=then))
def reshape_twice(x, first, then):
    return p.reshape(x, shape=then)


@rule(lambda x, axes: p.permute(x, axes=axes), when=lambda x, axes: axes == tuple(range(len(axes))))
def permute_to_itself(x, axes):
    return x


@rule(lambda x, first, then: p.permute(p.permute(x, axes=first), axes=then))
def permute_twice(x, first, then):
    return p.permute(x, axes=tuple(first[axis] for axis in then))


@rule(lambda x, shape: p.expand(x, shape=shape), when=lambda x, shape: x.shape == shape)
def expand_to_itself(x, shape):
    return x


@rule(lambda x, first, then: p.expand(p.expand(x, shape=first), shape=then))
def expand_twice(x, first, then):
    return p.expand(x, shape=then)


def _is_whole(x, starts, stops, steps):
    sizes = zip(x.shape, starts, stops, steps, strict=True)
    return all(range(*part) == range(n) for n, *part in sizes)


@rule(
    lambda x, starts, stops, steps: p.slice(x, starts=starts, stops=stops, steps=steps),
    when=_is_whole,
)
def slice_of_all(x, starts, stops, steps):
    return x


@rule(
    lambda x, a, b, c, starts, stops, steps: p.slice(
        p.slice(x, starts=a, stops=b, steps=c), starts=starts, stops=stops, steps=steps
    ),
    when=lambda x, starts, stops, steps, **_: all(map(range, starts, stops, steps)),
)
def slice_twice(x, a, b, c, starts, stops, steps):
    parts = [
        range(*first)[_slice(range(*then))]
        for first, then in zip(
            zip(a, b, c, strict=True), zip(starts, stops, steps, strict=True), strict=True
        )
    ]
    return p.slice(
        x,
        starts=tuple(part.start for part in parts),
        stops=tuple(max(part.stop, -1) for part in parts),
        steps=tuple(part.step for part in parts),
    )


def _slice(part: range) -> slice:
    return slice(part.start, part.stop if part.stop >= 0 else None, part.step)


# Writes. `np.pad` is a write into the middle, and for each side one into a view of a view.


@rule(
    lambda x, v, starts, stops, steps: p.slice_update(
        x, v, starts=starts, stops=stops, steps=steps
    ),
    when=lambda x, starts, stops, steps, **_: _is_whole(x, starts, stops, steps),
)
def update_of_all(x, v, starts, stops, steps):
    return v


@rule(
    lambda x, v, a, b, c, starts, stops, steps: p.slice_update(
        x,
        p.slice_update(p.slice(x, starts=a, stops=b, steps=c), v, starts=starts, stops=stops,
                       steps=steps),
        starts=a, stops=b, steps=c,
    ),
    when=lambda v, c, steps, **_: v.type.size and min(*c, *steps, 1) > 0,
)  # fmt: skip
def update_of_a_part_of_a_part(x, v, a, b, c, starts, stops, steps):
    parts = [
        range(*outer)[slice(*inner)]
        for outer, inner in zip(
            zip(a, b, c, strict=True), zip(starts, stops, steps, strict=True), strict=True
        )
    ]
    return p.slice_update(
        x,
        v,
        starts=tuple(part.start for part in parts),
        stops=tuple(part.stop for part in parts),
        steps=tuple(part.step for part in parts),
    )


def _writes_again(x, w, a, b, c, starts, stops, steps, **_):
    """Whether the number in `w` stands where it is written, beside the part from `a` to `b`."""
    number = constant(x)
    if number is None or repr(number) != repr(constant(w)) or min(*c, *steps, 1) < 1:
        return False
    ends = zip(a, b, starts, stops, strict=True)
    return any(stop <= begin or end <= start for begin, end, start, stop in ends)


@rule(
    lambda x, v, w, a, b, c, starts, stops, steps: p.slice_update(
        p.slice_update(x, v, starts=a, stops=b, steps=c), w,
        starts=starts, stops=stops, steps=steps,
    ),
    when=_writes_again,
)  # fmt: skip
def update_with_what_is_there(x, v, w, a, b, c, starts, stops, steps):
    return p.slice_update(x, v, starts=a, stops=b, steps=c)


def _keeps_borders(u, v, a, b, c, d, e, f, axis):
    """Whether all of `u` is there, in its place, but for what `v` takes the place of."""
    before = tuple(b[axis] if k == axis else size for k, size in enumerate(u.shape))
    behind = tuple(b[axis] + v.shape[axis] if k == axis else 0 for k in range(len(u.shape)))
    return (
        (*c, *f) == (1,) * 2 * len(u.shape)
        and not any(a)
        and (b, d, e) == (before, behind, u.shape)
        and v.dtype == u.dtype
    )


@rule(
    lambda u, v, a, b, c, d, e, f, axis: p.concat(
        p.slice(u, starts=a, stops=b, steps=c), v, p.slice(u, starts=d, stops=e, steps=f), axis=axis
    ),
    when=_keeps_borders,
)
def middle_between_borders(u, v, a, b, c, d, e, f, axis):  # the step of a stencil
    stops = tuple(d[axis] if k == axis else size for k, size in enumerate(u.shape))
    starts = tuple(b[axis] if k == axis else 0 for k in range(len(u.shape)))
    return p.slice_update(u, v, starts=starts, stops=stops, steps=c)
