"""Convolutions of images, (n, channels, *space), in one, two and three axes of space.

Sizes for each axis may be given as one number for all. As everywhere in learning, kernels are not
turned round.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import index
from typing import Any

from dualflow.base.dtypes import promote
from dualflow.base.errors import ArgumentError, ShapeError
from dualflow.base.shapes import Shape

from .. import primitives as p
from ..autocast import narrow
from ..operands import tensor
from .movement import expand_dims, squeeze

Tensor = Any
Each = int | Sequence[int]
Padding = str | int | Sequence[Any]


def each_axis(what: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """A number for each axis of space; ArgumentError if there is none, or one below `least`."""
    try:
        found = tuple(map(index, value)) if isinstance(value, Sequence) else (index(value),) * rank
    except TypeError as cause:
        raise ArgumentError(f"{what}={value!r}",
                            instead="an integer, or one for each axis") from cause  # fmt: skip
    if len(found) != rank or min(found) < least:
        raise ArgumentError(f"{what}={value!r} for {rank} axes of space",
                            instead=f"integers of at least {least}")  # fmt: skip
    return found


def _operands(name: str, rank: int, x: Any, weight: Any) -> tuple[Tensor, Tensor, bool]:
    """Of one dtype; and whether `x` was one image alone."""
    x, weight = narrow(tensor(x), tensor(weight))
    dtype = reduce(promote, (x.dtype, weight.dtype))
    x, weight = (v if v.dtype == dtype else p.cast(v, dtype=dtype) for v in (x, weight))
    one = x.ndim == rank + 1
    if weight.ndim != rank + 2 or not (one or x.ndim == rank + 2):
        raise ShapeError(f"{name} of {x.shape} with a kernel of {weight.shape}",
                         why=f"it takes (n, channels, *space) with {rank} axes of space, and a "
                             "kernel of as many axes")  # fmt: skip
    return (expand_dims(x, 0) if one else x), weight, one


def _with_bias(out: Tensor, bias: Any, rank: int, one: bool) -> Tensor:
    if bias is not None:
        bias = tensor(bias)
        if bias.shape != out.shape[1:2]:
            raise ShapeError(f"a bias of {bias.shape} for {out.shape[1]} channels")
        out = out + p.reshape(bias, shape=(*bias.shape, *(1,) * rank))
    return squeeze(out, 0) if one else out


def padding_pairs(
    padding: Padding, kernel: Shape, stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """How many elements to put before and after each axis."""
    rank = len(kernel)
    if padding == "valid":
        return ((0, 0),) * rank
    if padding == "same":
        if max(stride) > 1:
            raise ArgumentError(f'padding="same" with stride={stride}',
                                why="the result has as many places as the input only if it is 1",
                                instead="numbers for padding")  # fmt: skip
        total = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        return tuple((n // 2, n - n // 2) for n in total)
    if isinstance(padding, str):
        raise ArgumentError(f"padding={padding!r}", instead='"same", "valid" or numbers')
    if isinstance(padding, Sequence) and any(isinstance(pair, Sequence) for pair in padding):
        if len(padding) != rank or any(len(pair) != 2 for pair in padding):
            raise ArgumentError(f"padding={padding!r} for {rank} axes of space",
                                instead="a pair for each axis")  # fmt: skip
        return tuple(each_axis("padding", pair, 2, 0) for pair in padding)  # type: ignore[misc]
    return tuple((n, n) for n in each_axis("padding", padding, rank, 0))


def _convolve(
    name: str, rank: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
    groups: int,
) -> Tensor:  # fmt: skip
    x, weight, one = _operands(name, rank, x, weight)
    strides, dilations = each_axis("stride", stride, rank), each_axis("dilation", dilation, rank)
    kernel = weight.shape[2:]
    pairs = padding_pairs(padding, kernel, strides, dilations)
    groups = index(groups)
    if groups < 1 or weight.shape[0] % groups or x.shape[1] != weight.shape[1] * groups:
        why = "the kernel is (channels out, channels in / groups, *size)"
        raise _unfit(name, x, weight, groups, why)
    _check_inside(name, x.shape[2:], kernel, pairs, dilations)
    out = p.convolve(x, weight, strides=strides, padding=pairs, dilation=dilations, groups=groups)
    return _with_bias(out, bias, rank, one)


def _unfit(name: str, x: Tensor, weight: Tensor, groups: int, why: str) -> ShapeError:
    what = f"{name} of {x.shape} with a kernel of {weight.shape} in {groups} groups"
    return ShapeError(what, why=why)


def _check_inside(
    name: str, space: Shape, kernel: Shape, pairs: Any, dilation: tuple[int, ...]
) -> None:
    for n, k, pad, d in zip(space, kernel, pairs, dilation, strict=True):
        if k < 1 or n + sum(pad) < (k - 1) * d + 1:
            raise ShapeError(f"{name} of space {space} with a kernel of {kernel}",
                             why=f"with padding {pairs} and dilation {dilation} the kernel is "
                                 "larger than the space, or empty")  # fmt: skip


def conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Each = 1, padding: Padding = 0,
    dilation: Each = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """The convolution of sequences with a kernel; see `conv2d`.

    Args:
        x: (n, channels in, size), or one image without n.
        weight: (channels out, channels in / groups, size).

    >>> import dualflow as df
    >>> x, kernel = df.asarray([[1.0, 2.0, 4.0]]), df.asarray([[[-1.0, 1.0]]])
    >>> df.conv1d(x, kernel).tolist()
    [[1.0, 2.0]]
    """
    return _convolve("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Each = 1, padding: Padding = 0,
    dilation: Each = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """The convolution of images with a kernel.

    Args:
        x: (n, channels in, height, width), or one image without n.
        weight: (channels out, channels in / groups, height, width).
        bias: (channels out,).
        stride: steps from one place of the kernel to the next.
        padding: zeros before and after each axis: numbers, pairs of them, "valid" (none) or
            "same" (as many places as elements).
        dilation: steps from one element of the kernel to the next.
        groups: parts of the channels, each with a part of the kernel of its own.

    Raises:
        ShapeError: shapes that do not fit; a kernel larger than the padded space.
        ArgumentError: a stride or dilation below 1, another `padding`.

    >>> import dualflow as df
    >>> df.conv2d(df.ones((1, 1, 3, 3)), df.ones((1, 1, 2, 2))).tolist()
    [[[[4.0, 4.0], [4.0, 4.0]]]]
    """
    return _convolve("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


def conv3d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Each = 1, padding: Padding = 0,
    dilation: Each = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """The convolution of volumes with a kernel; see `conv2d`.

    Args:
        x: (n, channels in, depth, height, width), or one without n.
        weight: (channels out, channels in / groups, depth, height, width).

    >>> import dualflow as df
    >>> df.conv3d(df.ones((1, 1, 2, 2, 2)), df.ones((1, 1, 2, 2, 2))).item()
    8.0
    """
    return _convolve("conv3d", 3, x, weight, bias, stride, padding, dilation, groups)


def _spread(
    name: str, rank: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any,
    output_padding: Any, groups: int, dilation: Any,
) -> Tensor:  # fmt: skip
    x, weight, one = _operands(name, rank, x, weight)
    strides, dilations = each_axis("stride", stride, rank), each_axis("dilation", dilation, rank)
    extra = each_axis("output_padding", output_padding, rank, 0)
    kernel = weight.shape[2:]
    pairs = padding_pairs(padding, kernel, strides, dilations)
    groups = index(groups)
    if groups < 1 or x.shape[1] % groups or x.shape[1] != weight.shape[0]:
        why = "the kernel is (channels in, channels out / groups, *size)"
        raise _unfit(name, x, weight, groups, why)
    if any(e >= s for e, s in zip(extra, strides, strict=True)):
        raise ArgumentError(f"output_padding={output_padding!r} with stride={stride!r}",
                            instead="less than the stride")  # fmt: skip
    each = zip(x.shape[2:], kernel, strides, dilations, pairs, extra, strict=True)
    space = tuple((n - 1) * s + (k - 1) * d + 1 - sum(pad) + e for n, k, s, d, pad, e in each)
    if min(space) < 1:
        raise ShapeError(f"{name} of {x.shape} with padding {pairs}", why="nothing is left")
    out = p.spread(
        x, weight, space=space, strides=strides, padding=pairs, dilation=dilations, groups=groups
    )
    return _with_bias(out, bias, rank, one)


def conv_transpose1d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Each = 1, padding: Padding = 0,
    output_padding: Each = 0, groups: int = 1, dilation: Each = 1,
) -> Tensor:  # fmt: skip
    """The transposed convolution of sequences; see `conv_transpose2d`.

    >>> import dualflow as df
    >>> df.conv_transpose1d(df.ones((1, 2)), df.ones((1, 1, 2)), stride=2).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """
    return _spread(
        "conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Each = 1, padding: Padding = 0,
    output_padding: Each = 0, groups: int = 1, dilation: Each = 1,
) -> Tensor:  # fmt: skip
    """What the gradient of `conv2d` does: each element of `x` adds a kernel to the result.

    Args:
        x: (n, channels in, height, width), or one image without n.
        weight: (channels in, channels out / groups, height, width).
        bias: (channels out,).
        stride: steps of the result from one place of the kernel to the next.
        padding: elements to cut off before and after each axis; see `conv2d`.
        output_padding: elements to add after each axis, less than the stride.
        groups, dilation: see `conv2d`.

    Raises:
        ShapeError, ArgumentError: shapes or numbers that do not fit.

    >>> import dualflow as df
    >>> df.conv_transpose2d(df.ones((1, 1, 2, 2)), df.ones((1, 1, 2, 2))).tolist()
    [[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]]
    """
    return _spread(
        "conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose3d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Each = 1, padding: Padding = 0,
    output_padding: Each = 0, groups: int = 1, dilation: Each = 1,
) -> Tensor:  # fmt: skip
    """The transposed convolution of volumes; see `conv_transpose2d`.

    >>> import dualflow as df
    >>> df.conv_transpose3d(df.ones((1, 1, 1, 1, 1)), df.ones((1, 2, 2, 1, 1))).shape
    (1, 2, 2, 1, 1)
    """
    return _spread(
        "conv_transpose3d", 3, x, weight, bias, stride, padding, output_padding, groups, dilation
    )
