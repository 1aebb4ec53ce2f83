"""`x.flat`: the elements of an array row by row, to iterate, read and write.

Comes in: a face. Goes out: scalars and copies; writes go to the face's own memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import numpy as np

from dualflow.ops import door
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
        try:
            found = self._elements()[index]
        except (IndexError, TypeError, ValueError):
            found = crossing.values(self.base).flat[index]  # raises its own error
        return found.copy() if getattr(found, "ndim", 0) else found

    def __setitem__(self, index: Any, value: Any) -> None:
        try:
            np.empty(self.base.size, bool)[crossing.unwrap_all(index)]
        except (IndexError, TypeError, ValueError):
            crossing.values(self.base).flat[crossing.unwrap_all(index)] = value  # raises its own
        flat = self._elements()
        shared = flat._tensor._storage is not None
        if shared and flat._tensor._storage is self.base._tensor._storage:
            _store(flat, index, value)
            return
        _store(flat, index, value)
        door.write(self.base._tensor, p.reshape(flat._tensor, shape=self.base.shape))

    def copy(self) -> Any:
        """The elements, in a new array."""
        return self._elements().copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return crossing.values(self.copy()).__array__(dtype, copy=copy)


def _store(flat: Any, index: Any, value: Any) -> None:
    """Store `value`, repeated or cut to as many elements as `index` names."""
    given = np.ravel(value)
    size = np.size(flat[index])
    if given.size not in (1, size) and given.size:
        given = np.resize(given, size)
    indexing.setitem(flat, index, given if given.size != 1 else given[0])
