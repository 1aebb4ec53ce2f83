"""`x.flat`: the elements of an array row by row, to iterate, read and write.

Comes in: a face. Goes out: scalars and copies; writes go to the face's own memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import numpy as np

from dualflow.ops import primitives as p

from . import crossing, indexing, made


@final
class Flat:
    """The flat iterator of one face."""

    __slots__ = ("_next", "base")

    def __init__(self, base: Any) -> None:
        self.base, self._next = base, 0

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return np.flatiter

    @property
    def index(self) -> int:
        """How many elements were read."""
        return self._next

    @property
    def coords(self) -> tuple[int, ...]:
        """Where the next element lies."""
        return tuple(map(int, np.unravel_index(self._next, self.base.shape)))

    def _elements(self) -> Any:
        x = self.base._tensor
        return made.face(p.reshape(x, shape=(x.size,)))

    def __len__(self) -> int:
        return self.base.size

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._next >= self.base.size:
            raise StopIteration
        self._next += 1
        return self._elements()[self._next - 1]

    def __getitem__(self, index: Any) -> Any:
        if type(index) is slice:
            return self._elements()[index].copy()
        if type(index) is int and -self.base.size <= index < self.base.size:
            return self._elements()[index]
        return crossing.real(_read, (self.base, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        if type(index) not in (int, slice) or np.ndim(value) > 1:
            crossing.real(_write, (self.base, index, value), {})
            return
        places = range(self.base.size)
        given = np.ravel(value)
        count = len(places[index]) if type(index) is slice else int(index in places)
        if not count or given.size not in (1, count):
            crossing.real(_write, (self.base, index, value), {})
            return
        flat = self._elements()
        indexing.setitem(flat, index, given if given.size != 1 else given[0])
        memory = flat._tensor._storage
        if memory is None or memory is not self.base._tensor._storage:  # a copy of the elements
            self.base[...] = made.face(p.reshape(flat._tensor, shape=self.base.shape))

    def copy(self) -> Any:
        """The elements, in a new array."""
        return self._elements().copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(crossing.values(self.base).flat, dtype=dtype, copy=copy)


def _read(array: np.ndarray, index: Any) -> Any:
    return array.flat[index]


def _write(array: np.ndarray, index: Any, value: Any) -> None:
    array.flat[index] = value
