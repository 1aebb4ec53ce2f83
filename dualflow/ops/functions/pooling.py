"""Pooling of images, (n, channels, *space): the largest element or the mean of each window.

Windows are moved along one axis after the other, as slices of which the maximum or sum is taken
element by element, so that a compiled function fuses them with what is around.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dualflow.base.errors import ArgumentError, ShapeError
from dualflow.base.shapes import Shape

from .. import primitives as p
from ..devices import near
from ..operands import tensor
from .convolution import Each, each_axis, padding_pairs
from .creation import ones
from .elementwise import add, maximum
from .joining import concat
from .movement import part
from .norms import floats
from .reduction import max, mean

Tensor = Any
Combine = Callable[[Tensor, Tensor], Tensor]


def _images(name: str, x: Any, rank: int) -> Tensor:
    x = tensor(x)
    if x.ndim not in (rank + 1, rank + 2):
        raise ShapeError(f"{name} of {x.shape}",
                         instead=f"(n, channels, *space), with {rank} axes of space")  # fmt: skip
    return x


def _slid(x: Tensor, axis: int, size: int, step: int, dilation: int, combine: Combine) -> Tensor:
    """The elements of each window along `axis`, combined."""
    length = x.shape[axis]
    count = (length - (size - 1) * dilation - 1) // step + 1
    starts, steps = [0] * x.ndim, [1] * x.ndim
    stops = list(x.shape)
    steps[axis] = step
    out = None
    for k in range(size):
        starts[axis] = k * dilation
        stops[axis] = k * dilation + (count - 1) * step + 1
        seen = p.slice(x, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))
        out = seen if out is None else combine(out, seen)
    return p.cast(out, dtype=x.dtype) if size == 1 else out


def _pooled(
    name: str, rank: int, x: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    fill: float, combine: Combine,
) -> Tensor:  # fmt: skip
    kernel = each_axis("kernel_size", kernel_size, rank)
    steps = kernel if stride is None else each_axis("stride", stride, rank)
    dilations = each_axis("dilation", dilation, rank)
    pairs = padding_pairs(padding, kernel, (1,) * rank, dilations)
    space = x.shape[-rank:]
    for n, k, pad, d in zip(space, kernel, pairs, dilations, strict=True):
        if n + pad[0] + pad[1] < (k - 1) * d + 1:
            why = f"a window is larger than the space with padding {pairs}"
            raise ShapeError(f"{name} of {x.shape} with windows of {kernel}", why=why)
        if pad[0] >= (k - 1) * d + 1 or pad[1] >= (k - 1) * d + 1:
            raise ArgumentError(f"{name} with windows of {kernel} and padding {pairs}",
                                why="a window would lie in the padding alone")  # fmt: skip
    if any(pair != (0, 0) for pair in pairs):
        widths = ((0, 0),) * (x.ndim - rank) + pairs
        x = p.pad(x, widths=widths, fill=fill)
    for i in reversed(range(rank)):
        axis = x.ndim - rank + i
        x = _slid(x, axis, kernel[i], steps[i], dilations[i], combine)
    return x


def _lowest(dtype: np.dtype) -> float:
    return int(np.iinfo(dtype).min) if dtype.kind in "iu" else -math.inf


def _max_pool(
    rank: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> Tensor:
    name = f"max_pool{rank}d"
    x = _images(name, x, rank)
    lowest = _lowest(x.dtype)
    return _pooled(name, rank, x, kernel_size, stride, padding, dilation, lowest, maximum)


@near
def _avg_pool(
    rank: int, x: Any, kernel_size: Any, stride: Any, padding: Any, count_padding: bool
) -> Tensor:
    name = f"avg_pool{rank}d"
    x = floats(_images(name, x, rank))
    total = _pooled(name, rank, x, kernel_size, stride, padding, 1, 0.0, add)
    kernel = each_axis("kernel_size", kernel_size, rank)
    if count_padding:
        return total * (1.0 / math.prod(kernel))
    there = ones((1, *x.shape[-rank:]), dtype=x.dtype)
    return total / _pooled(name, rank, there, kernel_size, stride, padding, 1, 0.0, add)


def max_pool1d(
    x: Tensor, kernel_size: Each, stride: Each | None = None, padding: Each = 0, dilation: Each = 1
) -> Tensor:
    """The largest element of each window of sequences; see `max_pool2d`.

    >>> import dualflow as df
    >>> df.max_pool1d(df.asarray([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[3.0, 2.0]]
    """
    return _max_pool(1, x, kernel_size, stride, padding, dilation)


def max_pool2d(
    x: Tensor, kernel_size: Each, stride: Each | None = None, padding: Each = 0, dilation: Each = 1
) -> Tensor:
    """The largest element of each window of images; NaN if any is NaN.

    Args:
        x: (n, channels, height, width), or one image without n.
        kernel_size: sizes of windows.
        stride: steps from one window to the next; None for `kernel_size`.
        padding: elements before and after each axis that are no maximum.
        dilation: steps between the elements of a window.

    Equal elements share the gradient.

    Raises:
        ShapeError: a window larger than the padded space.
        ArgumentError: padding as wide as a window.

    >>> import dualflow as df
    >>> df.max_pool2d(df.asarray([[[1.0, 2.0], [3.0, 4.0]]]), 2).tolist()
    [[[4.0]]]
    """
    return _max_pool(2, x, kernel_size, stride, padding, dilation)


def max_pool3d(
    x: Tensor, kernel_size: Each, stride: Each | None = None, padding: Each = 0, dilation: Each = 1
) -> Tensor:
    """The largest element of each window of volumes; see `max_pool2d`.

    >>> import dualflow as df
    >>> df.max_pool3d(df.ones((1, 2, 2, 2)), 2).shape
    (1, 1, 1, 1)
    """
    return _max_pool(3, x, kernel_size, stride, padding, dilation)


def avg_pool1d(
    x: Tensor, kernel_size: Each, stride: Each | None = None, padding: Each = 0,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """The mean of each window of sequences; see `avg_pool2d`.

    >>> import dualflow as df
    >>> df.avg_pool1d(df.asarray([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[2.0, 1.0]]
    """
    return _avg_pool(1, x, kernel_size, stride, padding, count_include_pad)


def avg_pool2d(
    x: Tensor, kernel_size: Each, stride: Each | None = None, padding: Each = 0,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """The mean of each window of images.

    Args:
        x, kernel_size, stride: see `max_pool2d`.
        padding: zeros before and after each axis.
        count_include_pad: whether these count as elements.

    >>> import dualflow as df
    >>> df.avg_pool2d(df.asarray([[[1.0, 2.0], [3.0, 4.0]]]), 2).tolist()
    [[[2.5]]]
    """
    return _avg_pool(2, x, kernel_size, stride, padding, count_include_pad)


def avg_pool3d(
    x: Tensor, kernel_size: Each, stride: Each | None = None, padding: Each = 0,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """The mean of each window of volumes; see `avg_pool2d`.

    >>> import dualflow as df
    >>> df.avg_pool3d(df.ones((1, 2, 2, 2)), 2).tolist()
    [[[[1.0]]]]
    """
    return _avg_pool(3, x, kernel_size, stride, padding, count_include_pad)


# A result of a given size -----------------------------------------------------------------------


def _adaptive(
    name: str, rank: int, x: Any, output_size: Any, fold: Callable[..., Tensor]
) -> Tensor:
    x = _images(name, x, rank)
    sizes = output_size if isinstance(output_size, Sequence) else (output_size,) * rank
    kept = tuple(
        n if size is None else size for n, size in zip(x.shape[-rank:], sizes, strict=True)
    )
    for i, size in enumerate(each_axis("output_size", kept, rank)):
        x = _cut(x, x.ndim - rank + i, size, fold)
    return x


def _cut(x: Tensor, axis: int, size: int, fold: Callable[..., Tensor]) -> Tensor:
    """`axis` cut into `size` parts that are equal, or overlap by one, each folded."""
    n = x.shape[axis]
    if not n:
        raise ShapeError(f"adaptive pooling of {x.shape}", why="there is nothing to pool")
    if n == size:
        return x
    if n % size == 0:
        shape: Shape = (*x.shape[:axis], size, n // size, *x.shape[axis + 1 :])
        return fold(p.reshape(x, shape=shape), axis + 1)
    starts = [i * n // size for i in range(size)]
    stops = [-(-(i + 1) * n // size) for i in range(size)]
    pieces = [
        fold(part(x, axis, start, stop), axis, keepdims=True)
        for start, stop in zip(starts, stops, strict=True)
    ]
    return concat(pieces, axis)


def adaptive_max_pool1d(x: Tensor, output_size: Any) -> Tensor:
    """The largest elements of `output_size` parts of sequences; see `adaptive_avg_pool2d`.

    >>> import dualflow as df
    >>> df.adaptive_max_pool1d(df.asarray([[1.0, 3.0, 2.0]]), 2).tolist()
    [[3.0, 3.0]]
    """
    return _adaptive("adaptive_max_pool1d", 1, x, output_size, max)


def adaptive_max_pool2d(x: Tensor, output_size: Any) -> Tensor:
    """The largest elements of parts of images; see `adaptive_avg_pool2d`.

    >>> import dualflow as df
    >>> df.adaptive_max_pool2d(df.asarray([[[1.0, 2.0], [3.0, 4.0]]]), 1).tolist()
    [[[4.0]]]
    """
    return _adaptive("adaptive_max_pool2d", 2, x, output_size, max)


def adaptive_avg_pool1d(x: Tensor, output_size: Any) -> Tensor:
    """The means of `output_size` parts of sequences; see `adaptive_avg_pool2d`.

    >>> import dualflow as df
    >>> df.adaptive_avg_pool1d(df.asarray([[1.0, 3.0, 2.0]]), 2).tolist()
    [[2.0, 2.5]]
    """
    return _adaptive("adaptive_avg_pool1d", 1, floats(x), output_size, mean)


def adaptive_avg_pool2d(x: Tensor, output_size: Any) -> Tensor:
    """The means of parts of images: part i of an axis of n goes from i * n / size, rounded down, to
    (i + 1) * n / size, rounded up.

    Args:
        x: (n, channels, height, width), or one image without n.
        output_size: the parts of each axis; None for as many as elements.

    >>> import dualflow as df
    >>> df.adaptive_avg_pool2d(df.asarray([[[1.0, 2.0], [3.0, 4.0]]]), 1).tolist()
    [[[2.5]]]
    """
    return _adaptive("adaptive_avg_pool2d", 2, floats(x), output_size, mean)
