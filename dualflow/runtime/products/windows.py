"""Convolutions as sums of products over windows that are never copied out.

Comes in: a Call of a convolution, of its transpose or of the gradient for its kernel. Goes out: a
`Product` with tables of offsets. The images are copied once into a padded space, of which each
element of the kernel sees a shifted part: with steps of s, space is sorted by its remainders
modulo s, so that what neighbouring places see lies side by side. Places are counted through the
width of that space; the few between its lines are computed and dropped.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from dualflow.ir.program import Call, Operand
from dualflow.ir.types import View

from .. import threads
from . import texts
from .made import Product, cost

#: places whose sums are held at once, those of all channels; and where images of more bytes lie
#: beyond the second cache
_CHUNKS, _FAR = (1024, 256), 1 << 20
#: elements of a vector, and of a number, on most machines; bytes of the second cache that images
#: which are worked on together may fill, and the most of them
_LANES, _SINGLE, _NEAR, _TOGETHER = 16, 4, 512 << 10, 8
#: places that sums over them have at least, if there are so many in all images
_ENOUGH = 48
#: the same for products with few channels, in which sums are single numbers
_LONG = 1024
_FEW = 4
_RANK = 3
#: ns from which on channels are divided over threads where images are too few
_WORTH = 100_000
#: words of a chunk of places
_EACH = 7
#: the most rows of a tile
_ROWS = 12

Element = tuple[int, int, int]  # of the kernel along one axis: its number, the phase and place


class _Out(NamedTuple):
    """Places along one axis: the first, the step and how many, and what a kernel sees there."""

    first: int
    step: int
    places: int
    elements: list[Element]


class _Axis(NamedTuple):
    """One axis of the padded space, sorted into `phases` of `size` elements.

    Attributes:
        fills: what is copied: to which phase, from where, to where, how many; in steps of `step`.
        outs: the places of the result, of which those in one item see alike.
    """

    phases: int
    size: int
    step: int
    fills: list[tuple[int, int, int, int]]
    outs: list[_Out]


def _forward(n: int, k: int, places: int, s: int, lo: int, d: int) -> _Axis:
    """Element e at place p sees s * p + d * e - lo of the n elements."""
    length = (places - 1) * s + (k - 1) * d + 1
    size = -(-length // s)
    used = sorted({e * d % s for e in range(k)})
    fills = []
    for phase, r in enumerate(used):
        start = (r - lo) % s
        q = (start + lo) // s
        count = min(-(-(n - start) // s), -(-(length - start - lo) // s))
        if count > 0:
            fills.append((phase, start, q, count))
    elements = [(e, used.index(e * d % s), e * d // s) for e in range(k)]
    return _Axis(len(used), size, s, fills, [_Out(0, 1, places, elements)])


def _backward(n: int, k: int, places: int, s: int, lo: int, d: int) -> _Axis:
    """Place i of n sees, through element e, that p of `places` with s * p + d * e - lo = i."""
    ranges = [(r, -((r - lo) // s), (n - 1 + lo - r) // s) for r in range(s)]
    ranges = [(r, first, last) for r, first, last in ranges if first <= last]
    seen = {r: [(e, (d * e - r) // s) for e in range(k) if (d * e - r) % s == 0] for r in range(s)}
    low = min((first - m for r, first, _ in ranges for _, m in seen[r]), default=0)
    high = max((last - m for r, _, last in ranges for _, m in seen[r]), default=0)
    start, stop = max(0, low), min(places - 1, high)
    outs = [
        _Out(s * first + r - lo, s, last - first + 1, [(e, 0, first - m - low) for e, m in seen[r]])
        for r, first, last in ranges
    ]
    fills = [(0, start, start - low, stop - start + 1)] if start <= stop else []
    return _Axis(1, high - low + 1, 1, fills, outs)


class _Words:
    """Tables in the making: one array of words."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._size = 0

    def add(self, words: Any) -> int:
        """Where `words` begin."""
        at = self._size
        part = np.asarray(words, np.int64).reshape(-1)
        self._parts.append(part)
        self._size += part.size
        return at

    def array(self) -> np.ndarray:
        return np.concatenate([*self._parts, np.zeros(1, np.int64)])


class _Space:
    """The padded space of the images that are worked on together: their lines lie side by side, and
    the padding between two of them is that of both.

    Attributes:
        apart: elements from image to image.
        steps: elements that places along each axis are apart.
        volume: elements of one phase.
        span: elements of a channel.
    """

    def __init__(self, axes: list[_Axis], together: int) -> None:
        self.axes, self.together = axes, together
        first, down, last = axes
        # zeros at the end of a line, of which there are as many at its beginning
        shared = min((min(to, last.size - to - n) for _, _, to, n in last.fills), default=0)
        self.apart = last.size - shared
        line = together * self.apart
        self.steps = down.size * line, line, 1
        self.volume = first.size * self.steps[0] + shared
        self.span = prod(axis.phases for axis in axes) * self.volume

    def at(self, phases: Sequence[int], places: Sequence[int]) -> int:
        number = 0
        for axis, phase in zip(self.axes, phases, strict=True):
            number = number * axis.phases + phase
        flat = sum(step * place for step, place in zip(self.steps, places, strict=True))
        return number * self.volume + flat

    def through(self, channels: int, places: list[int]) -> np.ndarray:
        """`places` of all channels."""
        return np.arange(channels)[:, None] * self.span + np.array(places, np.int64)[None]

    def fills(self, steps: Sequence[int]) -> list[tuple[int, ...]]:
        """Lines to copy from a channel with these strides: (from, to, elements, elements that these
        are apart, lines, elements that lines are apart there, here)*."""
        found = []
        first_step, second_step, third_step = (
            axis.step * step for axis, step in zip(self.axes, steps, strict=True)
        )
        for first, second, third in itertools.product(*(axis.fills for axis in self.axes)):
            start = first[1] * steps[0] + second[1] * steps[1] + third[1] * steps[2]
            to = self.at((first[0], second[0], third[0]), (first[2], second[2], third[2]))
            found += [
                (start + a * first_step, to + a * self.steps[0], third[3], third_step, second[3],
                 second_step, self.steps[1])
                for a in range(first[3])
            ]  # fmt: skip
        return found

    def chunks(self, outs: Sequence[_Out], steps: Sequence[int], most: int) -> list[int]:
        """Lines of places that are worked on together: (first, length; where they lie in what holds
        the places, with strides `steps`: the first, lines, elements, elements that these are apart,
        and lines)*."""
        across, down = outs[2], outs[1]
        found: list[int] = []
        height = self._height(outs, most)
        for a in range(outs[0].places):
            for top in range(0, down.places, height):
                many = min(height, down.places - top)
                to = (outs[0].first + a * outs[0].step) * steps[0] + across.first * steps[2]
                to += (down.first + top * down.step) * steps[1]
                first = a * self.steps[0] + top * self.steps[1]
                length = (many - 1) * self.steps[1] + across.places
                found += [first, length, to, many, across.places, across.step * steps[2],
                          down.step * steps[1]]  # fmt: skip
        return found

    def _height(self, outs: Sequence[_Out], most: int) -> int:
        """How many lines fill whole vectors best."""
        count, step = outs[1].places, self.steps[1]
        across = outs[2].places + (self.together - 1) * self.apart

        def vectors(height: int) -> int:
            full, rest = divmod(count, height)
            total = full * -(-((height - 1) * step + across) // _LANES)
            return total + (-(-((rest - 1) * step + across) // _LANES) if rest else 0)

        heights = range(1, max(1, min(count, most // step)) + 1)
        return min(heights, key=lambda height: (vectors(height), -height))


def _spatial(view: View, rank: int) -> tuple[list[int], list[int]]:
    """Sizes and strides of the axes of space, of which there are three."""
    extra = _RANK - rank
    return [1] * extra + list(view.shape[-rank:]), [0] * extra + list(view.strides[-rank:])


class _Moves(NamedTuple):
    """How a kernel moves, along three axes."""

    strides: list[int]
    lows: list[int]
    dilation: list[int]
    groups: int
    rank: int


def _moves(attributes: Mapping[str, Any]) -> _Moves:
    rank = len(attributes["strides"])
    extra = _RANK - rank
    strides, dilation = ([1] * extra + list(attributes[name]) for name in ("strides", "dilation"))
    lows = [0] * extra + [lo for lo, _ in attributes["padding"]]
    return _Moves(strides, lows, dilation, attributes["groups"], rank)


def _outer(operand: Operand, moves: _Moves) -> tuple[int, ...]:
    """The sizes of the two axes before space."""
    return operand.view.shape[-2 - moves.rank : -moves.rank]


def _outer_steps(operand: Operand, moves: _Moves) -> tuple[int, ...]:
    return operand.view.strides[-2 - moves.rank : -moves.rank]


def _starts(
    operands: Sequence[Operand], steps: Sequence[int], moves: _Moves
) -> list[tuple[int, ...]]:
    """Where each group of each item of a batch begins in the operands, `steps` from group to
    group."""
    batch = operands[0].view.shape[: -2 - moves.rank]
    found = []
    for index in itertools.product(*map(range, batch)):
        items = [
            sum(n * step for n, step in zip(index, operand.view.strides, strict=False))
            for operand in operands
        ]
        for group in range(moves.groups):
            found.append(tuple(i + group * s for i, s in zip(items, steps, strict=True)))
    return found


def _is_plain(operand: Operand) -> bool:
    return operand.view.is_contiguous


def product(step: Call) -> Product | None:
    """The product of a convolution; None where the operands lie as it cannot read them."""
    moves = _moves(step.attributes)
    if moves.rank > _RANK or not _is_plain(step.results[0]):
        return None
    left, right = step.operands
    form = step.op.spelling["products"]
    if form == "correlate":
        return _correlated(left, right, step.results[0], moves)
    if not _is_plain(right):
        return None
    return _windows(left, right, step.results[0], moves, form == "spread")


def _axes(
    how: Callable[..., _Axis], space: list[int], kernel: list[int], places: list[int], moves: _Moves
) -> list[_Axis]:
    """The axes of the padded space of images of size `space`."""
    each = (space, kernel, places, moves.strides, moves.lows, moves.dilation)
    return [how(*numbers) for numbers in zip(*each, strict=True)]


def _seen(room: _Space, outs: Sequence[_Out], kernel: list[int]) -> tuple[list[int], list[int]]:
    """The elements of the kernel that places see, and where in the space of an image."""
    each = list(itertools.product(*(out.elements for out in outs)))
    numbers = [(a[0] * kernel[1] + b[0]) * kernel[2] + c[0] for a, b, c in each]
    return numbers, [room.at((a[1], b[1], c[1]), (a[2], b[2], c[2])) for a, b, c in each]


def _windows(x: Operand, w: Operand, out: Operand, moves: _Moves, back: bool) -> Product:
    space, x_steps = _spatial(x.view, moves.rank)
    places, out_steps = _spatial(out.view, moves.rank)
    kernel, _ = _spatial(w.view, moves.rank)
    axes = _axes(_backward, places, kernel, space, moves) if back else \
        _axes(_forward, space, kernel, places, moves)  # fmt: skip
    images, channels = _outer(x, moves)
    channels, outputs = channels // moves.groups, _outer(out, moves)[1] // moves.groups
    x_image, x_channel = _outer_steps(x, moves)
    out_image, out_channel = _outer_steps(out, moves)
    w_outer = _outer_steps(w, moves)[0]
    room = _room(axes, images if outputs > 1 else 1, channels)
    most = _CHUNKS[channels * room.span * _SINGLE > _FAR]
    words, phases, taken, longest = _Words(), [], 0, 0
    for outs in itertools.product(*(axis.outs for axis in axes)):
        numbers, at = _seen(room, outs, kernel)
        k = channels * len(at)
        row = k if back else w_outer
        chunks = room.chunks(outs, out_steps, most)
        longest = max(longest, *chunks[1::_EACH])
        offsets, rows = words.add(room.through(channels, at)), words.add(np.arange(_ROWS) * row)
        phases += [k, offsets, taken, rows, row, words.add(chunks), len(chunks) // _EACH]
        phases += [words.add(numbers), len(at)]
        taken += outputs * k if back else 0
    steps = channels * x_channel, (channels if back else outputs) * w_outer, outputs * out_channel
    starts, fills = _starts((x, w, out), steps, moves), room.fills(x_steps)
    work, blocks = _cost(x if back else out, w), -(-images // room.together)
    parts = _parts(outputs, len(starts) * blocks) if work > _WORTH else 1
    outputs //= parts
    each = 0, outputs * (prod(kernel) if back else w_outer), outputs * out_channel
    starts = [
        tuple(at + part * step for at, step in zip(start, each, strict=True))
        for start in starts for part in range(parts)
    ]  # fmt: skip
    strip = longest + (room.together - 1) * room.apart
    direct = outputs == 1 and room.together == 1 and axes[2].outs[0].step * out_steps[2] == 1
    direct &= all(0 < k <= texts.DEPTH for k in phases[::9])
    integers = (
        0, len(starts) * blocks, images, room.together, room.apart, channels,
        outputs, x_image, x_channel, out_image, out_channel, w_outer, prod(kernel),
        room.span, words.add(starts), len(fills), words.add(fills), len(phases) // 9,
        words.add(phases), strip, int(back), int(direct), room.steps[1],
        channels * room.span, _ROWS * strip, max(1, taken),
    )  # fmt: skip
    return Product(texts.windows(out.dtype), (x, w, out), integers, work, words.array())


def _parts(outputs: int, units: int) -> int:
    """Into how many parts channels are divided, so that all threads have some: each part copies
    its images anew."""
    wanted = -(-threads.most() // units)
    return next((n for n in range(wanted, 1, -1) if outputs % n == 0 and outputs >= n * _ROWS), 1)


def _cost(places: Operand, kernel: Operand) -> float:
    """Each place of a convolution, or of its gradient, sees one part of the kernel."""
    return cost(places.type.size * kernel.type.size // kernel.view.shape[0], kernel.dtype)


def _room(axes: list[_Axis], images: int, channels: int) -> _Space:
    """Space for as many images as fill vectors best, if it stays in the cache and all threads get
    some."""
    rows, across = axes[1].outs[0].places, axes[2].outs[0].places
    one = _Space(axes, 1)
    fits = _NEAR // max(1, one.span * channels * _SINGLE)
    most = min(_TOGETHER, fits, -(-images // threads.most())) if _sees_alike(axes) else 1

    def vectors(together: int) -> int:
        """Those of all images, and about one for what is done once for a block."""
        length = (rows * together - 1) * one.apart + across
        return -(-images // together) * (-(-length // _LANES) + 1)

    return _Space(axes, min(range(1, max(1, most) + 1), key=vectors))


def _sees_alike(axes: list[_Axis]) -> bool:
    """Whether all places see the same elements of the kernel."""
    return all(len(axis.outs) == 1 for axis in axes)


def _correlated(x: Operand, g: Operand, out: Operand, moves: _Moves) -> Product:
    space, x_steps = _spatial(x.view, moves.rank)
    places, g_steps = _spatial(g.view, moves.rank)
    kernel, _ = _spatial(out.view, moves.rank)
    images, channels = _outer(x, moves)
    channels, outputs = channels // moves.groups, _outer(g, moves)[1] // moves.groups
    x_image, x_channel = _outer_steps(x, moves)
    g_image, g_channel = _outer_steps(g, moves)
    axes = _axes(_forward, space, kernel, places, moves)
    room = _Space(axes, max(1, min(images, _ENOUGH // prod(places))))
    rows, narrow = channels * prod(kernel), outputs <= _FEW
    wide = outputs if narrow else -(-outputs // _LANES) * _LANES
    words, outs = _Words(), [axis.outs[0] for axis in room.axes]
    offsets = room.through(channels, _seen(room, outs, kernel)[1])
    chunks = room.chunks(outs, g_steps, _LONG if narrow else texts.DEPTH)
    steps = channels * x_channel, outputs * g_channel, outputs * rows
    starts, fills = _starts((x, g, out), steps, moves), room.fills(x_steps)
    block = -(-channels // threads.most())
    longest = max(chunks[1::_EACH]) + (room.together - 1) * room.apart
    integers = (
        0, len(starts) * -(-channels // block), images, channels, outputs, x_image, x_channel,
        g_image, g_channel,
        prod(kernel), room.span, words.add(starts), len(fills), words.add(fills),
        words.add(offsets), words.add(chunks), len(chunks) // _EACH, wide, int(narrow), block,
        room.together, room.apart, room.steps[1], channels * room.span, longest * wide, rows * wide,
    )  # fmt: skip
    return Product(texts.correlate(out.dtype), (x, g, out), integers, _cost(g, out), words.array())
