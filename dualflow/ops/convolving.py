"""Convolutions of arrays: the three sides of sum g[n, o, p] x[n, c, s p + d k - lo] w[o, c, k].

Comes in: arrays, and how kernels move. Goes out: the sums over all but one of g, x and w. Floats
are convolved as in compiled programs, by machine code that the layer above installs. For other
dtypes, and where there is none, windows of x are copied side by side, a few images at a time into
one buffer, and BLAS multiplies them; leading axes before (n, c) or (o, c) are a batch: they become
groups.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided

from dualflow.base.shapes import Shape
from dualflow.base.thread import local

Array = np.ndarray
Pairs = tuple[tuple[int, int], ...]
#: elements of the buffer of windows: what stays in the cache
_MOST = 1 << 19
#: buffers up to so many bytes are kept for the next call, as fresh pages cost more than copying
_KEPT = 16 << 20
#: images with at least so many places are multiplied one by one, smaller ones together
_ENOUGH = 64
_buffers = local()


class Native(Protocol):
    """What convolves natively: the op of a name on arrays; None where it cannot."""

    def __call__(
        self, name: str, arrays: tuple[Array, ...], attributes: dict[str, Any]
    ) -> Array | None: ...


def nothing() -> Native:
    """What leaves all convolutions to NumPy."""
    return lambda name, arrays, attributes: None


_load: Callable[[], Native] = nothing


def install_native(load: Callable[[], Native]) -> None:
    """Let `load` give what convolves floats natively, when there are some."""
    global _load
    _load = load


def _buffer(shape: Shape, dtype: np.dtype) -> Array:
    """Memory of this thread, overwritten by the next call."""
    nbytes = math.prod(shape) * dtype.itemsize
    held = getattr(_buffers, "held", None)
    if held is None or held.size < nbytes:
        held = np.empty(nbytes, np.uint8)
        if nbytes <= _KEPT:
            _buffers.held = held
    return held[:nbytes].view(dtype).reshape(shape)


class Moves(NamedTuple):
    """How kernels move, for each axis of space.

    Attributes:
        strides: steps of x from one place of the kernel to the next (s).
        padding: zeros before and after x (lo, hi).
        dilation: steps of x from one element of the kernel to the next (d).
        groups: parts of the channels that do not see each other.
    """

    strides: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    groups: int

    def places(self, space: Shape, kernel: Shape) -> Shape:
        """How many places the kernel has along each axis."""
        each = zip(space, kernel, self.strides, self.padding, self.dilation, strict=True)
        return tuple((n + sum(pad) - (k - 1) * d - 1) // s + 1 for n, k, s, pad, d in each)

    def padded(self, space: Shape) -> Shape:
        return tuple(n + sum(pad) for n, pad in zip(space, self.padding, strict=True))

    def inside(self, space: Shape) -> tuple[slice, ...]:
        return tuple(slice(lo, lo + n) for n, (lo, _) in zip(space, self.padding, strict=True))

    def turned_round(self, kernel: Shape) -> Moves | None:
        """How a kernel turned round moves in the transposed convolution; None if it spreads out."""
        each = zip(self.padding, kernel, self.dilation, strict=True)
        padding = tuple(((k - 1) * d - lo, (k - 1) * d - hi) for (lo, hi), k, d in each)
        if max(self.strides) > 1 or min(map(min, padding)) < 0:
            return None
        return Moves(self.strides, padding, self.dilation, self.groups)

    def at(self, element: Shape, places: Shape) -> tuple[slice, ...]:
        """What an element of the kernel sees of padded space, from all places."""
        each = zip(element, places, self.strides, self.dilation, strict=True)
        return tuple(slice(k * d, k * d + (n - 1) * s + 1, s) for k, n, s, d in each)


def _natively(portable: Callable[..., Array]) -> Callable[..., Array]:
    """Floats are convolved natively where that is possible, all else by `portable`; half precision
    in single, rounded at the end."""
    name = portable.__name__

    @wraps(portable)
    def run(a: Array, b: Array, **how: Any) -> Array:
        if a.dtype == np.float16:
            return run(a.astype(np.float32), b.astype(np.float32), **how).astype(np.float16)
        made = _load()(name, (a, b), how) if a.dtype.char in "fd" else None
        return portable(a, b, **how) if made is None else made

    return run


def _grouped(images: Array, groups: int, rank: int) -> tuple[Array, Shape]:
    """(*batch, n, c, *space) as (n, batch * groups, c / groups, *space); and the batch."""
    cut = images.ndim - rank - 2
    batch, n, space = images.shape[:cut], images.shape[cut], images.shape[cut + 2 :]
    parts = math.prod(batch) * groups
    moved = np.moveaxis(images, cut, 0) if cut else images
    return moved.reshape(n, parts, images.shape[cut + 1] // groups, *space), batch


def _ungrouped(images: Array, batch: Shape, groups: int) -> Array:
    """The inverse of `_grouped`."""
    n, _, c, *space = images.shape
    whole = images.reshape(n, *batch, groups * c, *space)
    return np.moveaxis(whole, 0, len(batch)) if batch else whole


def _windows(x: Array, moves: Moves, kernel: Shape) -> Array:
    """The view (n, groups, c, *kernel, *places) of x (n, groups, c, *space), padded with zeros."""
    space = x.shape[3:]
    if any(map(any, moves.padding)):
        whole = np.zeros(x.shape[:3] + moves.padded(space), x.dtype)
        whole[(..., *moves.inside(space))] = x
        x = whole
    steps = x.strides[3:]
    inner = tuple(step * d for step, d in zip(steps, moves.dilation, strict=True))
    outer = tuple(step * s for step, s in zip(steps, moves.strides, strict=True))
    places = moves.places(space, kernel)
    shape = x.shape[:3] + kernel + places
    return as_strided(x, shape, x.strides[:3] + inner + outer, writeable=False)


class _Part(NamedTuple):
    """What is multiplied at once: images, groups, and places along the first axis of space."""

    images: slice
    groups: slice
    first: slice

    @property
    def wanted(self) -> tuple[slice, ...]:
        """Of an array (images, groups, channels, *places)."""
        return (self.images, self.groups, slice(None), self.first)


def _parts(images: int, groups: int, first: int, each: int) -> Iterator[_Part]:
    """Parts of which the windows fill the buffer; those of an image and group have `each` elements,
    in `first` rows of places."""
    count = max(1, min(images, _MOST // max(1, each * groups)))
    width = groups if count > 1 else max(1, min(groups, _MOST // max(1, each)))
    height = first if width > 1 else max(1, min(first, first * _MOST // max(1, each)))
    for i in range(0, images, count):
        for j in range(0, groups, width):
            for k in range(0, first, height):
                yield _Part(slice(i, i + count), slice(j, j + width), slice(k, k + height))


class _Columns:
    """Windows of some images, copied into one buffer as matrices."""

    def __init__(self, windows: Array) -> None:
        self.windows, self.rank = windows, (windows.ndim - 3) // 2
        self.rows = math.prod(windows.shape[2 : 3 + self.rank])

    def parts(self) -> Iterator[_Part]:
        images, groups, *each = self.windows.shape
        return _parts(images, groups, each[1 + self.rank], math.prod(each))

    def _seen(self, part: _Part) -> Array:
        return self.windows[(part.images, part.groups, *(slice(None),) * (1 + self.rank),
                             part.first)]  # fmt: skip

    def joined(self, part: _Part) -> Array:
        """(groups, c * kernel, images * places)."""
        seen = np.moveaxis(self._seen(part), 0, 2 + self.rank)
        columns = _buffer(seen.shape, seen.dtype)
        np.copyto(columns, seen)
        return columns.reshape(seen.shape[0], self.rows, math.prod(seen.shape[2 + self.rank :]))

    def apart(self, part: _Part) -> Array:
        """(images, groups, c * kernel, places)."""
        seen = self._seen(part)
        columns = _buffer(seen.shape, seen.dtype)
        np.copyto(columns, seen)
        return columns.reshape(*seen.shape[:2], self.rows, math.prod(seen.shape[3 + self.rank :]))


@_natively
def convolve(x: Array, w: Array, **how: Any) -> Array:
    """The sums over c and k: (*batch, n, o, *places)."""
    moves = Moves(**how)
    rank = len(moves.strides)
    x, batch = _grouped(x, moves.groups, rank)
    outputs, *size = w.shape[-rank - 2 :]
    kernels = w.reshape(x.shape[1], outputs // moves.groups, *size)
    return _ungrouped(_convolved(x, kernels, moves), batch, moves.groups)


def _convolved(x: Array, kernels: Array, moves: Moves) -> Array:
    """Images (n, groups, c, *space) by kernels (groups, o, c, *kernel)."""
    kernel = kernels.shape[3:]
    places = moves.places(x.shape[3:], kernel)
    n, (groups, rows) = len(x), kernels.shape[:2]
    matrices = kernels.reshape(groups, rows, math.prod(kernels.shape[2:]))
    out = np.zeros((n, groups, rows, *places), x.dtype)
    if out.size:
        columns = _Columns(_windows(x, moves, kernel))
        for part in columns.parts():
            seen, matrix = out[part.wanted], matrices[part.groups]
            if math.prod(seen.shape[3:]) >= _ENOUGH:
                flat = seen.reshape(*seen.shape[:3], -1)  # a view: rows of places lie together
                np.matmul(matrix, columns.apart(part), out=flat)
            else:
                made = np.matmul(matrix, columns.joined(part))
                seen[...] = np.moveaxis(made.reshape(*made.shape[:2], -1, *seen.shape[3:]), 2, 0)
    return out


def _turned_round(kernels: Array) -> Array:
    """(groups, o, c, *kernel) as (groups, c, o, *kernel), the last element first."""
    swapped = np.swapaxes(kernels, 1, 2)
    return np.ascontiguousarray(np.flip(swapped, tuple(range(3, swapped.ndim))))  # for BLAS


@_natively
def spread(g: Array, w: Array, *, space: Shape, **how: Any) -> Array:
    """The sums over o and p, the transposed convolution: (*batch, n, c, *space)."""
    moves = Moves(**how)
    rank, kernel = len(moves.strides), w.shape[-len(moves.strides) :]
    g, batch = _grouped(g, moves.groups, rank)
    n, groups, outputs, *rest = g.shape
    places, channels = tuple(rest), w.shape[-rank - 1]
    back = moves.turned_round(kernel)
    if back is not None and outputs <= 2 * channels:
        turned = _turned_round(w.reshape(groups, outputs, channels, *kernel))
        return _ungrouped(_convolved(g, turned, back), batch, moves.groups)
    elements = list(itertools.product(*map(range, kernel)))
    matrices = np.swapaxes(w.reshape(groups, outputs, channels * len(elements)), -1, -2)
    whole = np.zeros((n, groups, channels, *moves.padded(space)), g.dtype)
    each = math.prod((channels, *kernel, *places))
    for part in _parts(n, groups, places[0], each) if each and outputs else ():
        multiply = np.matmul if outputs > 1 else np.multiply  # matmul has no fast outer product
        seen = g[part.wanted]
        flat = seen.reshape(*seen.shape[:3], -1)
        made = _buffer((*flat.shape[:2], *matrices.shape[1:2], *flat.shape[3:]), flat.dtype)
        multiply(matrices[part.groups], flat, out=made)
        made = made.reshape(*made.shape[:2], channels, *kernel, *seen.shape[3:])
        for element in elements:
            there = whole[part.images, part.groups][(..., *moves.at(element, places))]
            there[:, :, :, part.first] += made[(slice(None), slice(None), slice(None), *element)]
    return _ungrouped(whole[(..., *moves.inside(space))], batch, moves.groups)


@_natively
def correlate(x: Array, g: Array, *, kernel: Shape, **how: Any) -> Array:
    """The sums over n and p: (*batch, o, c / groups, *kernel)."""
    moves = Moves(**how)
    rank = len(moves.strides)
    x, batch = _grouped(x, moves.groups, rank)
    g, _ = _grouped(g, moves.groups, rank)
    groups, channels = x.shape[1:3]
    outputs = g.shape[2]
    out = np.zeros((groups, outputs, channels * math.prod(kernel)), x.dtype)
    if g.size and out.size:
        columns = _Columns(_windows(x, moves, kernel))
        for part in columns.parts():
            seen = np.moveaxis(g[part.wanted], 0, 2)
            left = seen.reshape(*seen.shape[:2], -1)
            out[part.groups] += np.matmul(left, np.swapaxes(columns.joined(part), -1, -2))
    return out.reshape(*batch, moves.groups * outputs, channels, *kernel)
