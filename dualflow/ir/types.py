"""What is known of a tensor before it has values: shape and dtype; and of a view: strides too."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dualflow.base.shapes import Shape, contiguous_strides, size_of


class TensorType(NamedTuple):
    """Shape and dtype of a tensor."""

    shape: Shape
    dtype: np.dtype

    @property
    def size(self) -> int:
        """How many elements."""
        return size_of(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes the elements take, packed."""
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"


class View(NamedTuple):
    """Which elements of a buffer a tensor shows: element i of axis a lies at offset + i*strides[a].

    Offset and strides count elements, not bytes; strides may be 0 (broadcast) or negative.
    """

    shape: Shape
    strides: tuple[int, ...]
    offset: int = 0

    @staticmethod
    def contiguous(shape: Shape) -> View:
        """The row-major view of a buffer of its own."""
        return View(shape, contiguous_strides(shape))

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie row-major without gaps (axes of size 1 do not matter)."""
        if 0 in self.shape:
            return True
        expected = contiguous_strides(self.shape)
        return all(
            size == 1 or stride == step
            for size, stride, step in zip(self.shape, self.strides, expected, strict=True)
        )

    @property
    def extent(self) -> tuple[int, int]:
        """The first and one past the last element of the buffer that the view can touch."""
        if 0 in self.shape:
            return self.offset, self.offset
        reach = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        low = self.offset + sum(r for r in reach if r < 0)
        high = self.offset + sum(r for r in reach if r > 0)
        return low, high + 1


class Window(NamedTuple):
    """The part of an operand of a loop that one step reads or writes: a slice that moves evenly.

    Attributes:
        operand: which operand of the loop.
        starts: of the slice along each axis, at step 0.
        shape: of the slice.
        steps: of the slice along each axis.
        moves: how far the slice moves along each axis from step to step.
    """

    operand: int
    starts: tuple[int, ...]
    shape: Shape
    steps: tuple[int, ...]
    moves: tuple[int, ...]

    def at(self, step: int) -> tuple[slice, ...]:
        """The slices that show the part at a step."""
        found = []
        for start, size, stride, move in zip(
            self.starts, self.shape, self.steps, self.moves, strict=True
        ):
            first = start + step * move
            stop = first + size * stride
            found.append(slice(first, stop if stop >= 0 else None, stride))
        return tuple(found)

    def view(self, whole: View) -> View:
        """The part at step 0 of a tensor that lies as `whole` says."""
        offset = whole.offset + sum(a * s for a, s in zip(self.starts, whole.strides, strict=True))
        strides = tuple(a * s for a, s in zip(self.steps, whole.strides, strict=True))
        return View(self.shape, strides, offset)

    def move(self, whole: View) -> int:
        """How many elements the part of such a tensor moves on from step to step."""
        return sum(a * s for a, s in zip(self.moves, whole.strides, strict=True))

    def apart(self, other: Window, shape: Shape, count: int) -> bool:
        """Whether in a packed tensor of that shape none of `count` steps touches by the one
        window what it touches by the other."""
        whole = View.contiguous(shape)
        before = after = True
        for k in (0, count - 1):
            low, high = (edge + k * self.move(whole) for edge in self.view(whole).extent)
            first, end = (edge + k * other.move(whole) for edge in other.view(whole).extent)
            before &= high <= first
            after &= low >= end
        return before or after

    def before(self, written: Window, shape: Shape, count: int, own: bool) -> bool:
        """Whether in a packed tensor of that shape none of `count` steps touches by this window
        what an earlier step, or with `own` the step itself, touches by the other."""
        whole = View.contiguous(shape)
        move = self.move(whole)
        (low, high), (first, end) = self.view(whole).extent, written.view(whole).extent
        ahead = range(0 if own else 1, count)
        return move == written.move(whole) and (
            not ahead
            or all(low + k * move >= end for k in (ahead[0], ahead[-1]))
            or all(high + k * move <= first for k in (ahead[0], ahead[-1]))
        )

    def fits(self, shape: Shape, count: int) -> bool:
        """Whether at each of `count` steps the slice is a part of `shape`."""
        ends = (0, count - 1) if count else ()
        return len(self.starts) == len(shape) and all(
            0 <= edge < size
            for size, start, n, stride, move in zip(
                shape, self.starts, self.shape, self.steps, self.moves, strict=True
            )
            if n
            for k in ends
            for edge in (start + k * move, start + k * move + (n - 1) * stride)
        )


class Lookup(NamedTuple):
    """Which element of a tensor x each element of an output reads, by an index out of `indices`.

    Attributes:
        start: x as the output sees it where the index is 0.
        indices: the packed indices as the output sees them.
        stride: of x along the indexed axis.
        size: of that axis.
    """

    start: View
    indices: View
    stride: int
    size: int
