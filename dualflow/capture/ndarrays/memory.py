"""Which memory NumPy arrays show, and how it lies.

Comes in: arrays, or lists and tuples of them. Goes out: whether they share memory, which part of
each other they show, copies in another order of axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


def shares(made: Any, array: np.ndarray) -> bool:
    """Whether a result is, or holds, an array that may share memory with `array`."""
    arrays = [x for x in leaves(made) if type(x) is np.ndarray]
    return any(np.may_share_memory(x, array) for x in arrays)


def apart(made: Any) -> bool:
    """Whether no two arrays of a result share memory."""
    arrays = [x for x in leaves(made) if type(x) is np.ndarray]
    return not any(np.may_share_memory(x, y) for i, x in enumerate(arrays) for y in arrays[:i])


def laid_out(array: np.ndarray, strides: tuple[int, ...]) -> np.ndarray:
    """The values of `array` in memory ordered as `strides` say, where they are a packed order of
    axes: whether a later reshape is a view depends on it."""
    order = sorted(range(array.ndim), key=lambda axis: (array.shape[axis] > 1, -strides[axis]))
    back = sorted(range(array.ndim), key=order.__getitem__)
    made = np.empty([array.shape[axis] for axis in order], array.dtype).transpose(back)
    np.copyto(made, array)
    wide = [axis for axis, size in enumerate(array.shape) if size > 1]
    return made if all(made.strides[i] == strides[i] for i in wide) else array


def _same_part(out: np.ndarray, array: np.ndarray, view: Any, of: Any) -> bool:
    """Whether `out` shows of `array` what `view` shows of `of`."""
    steps = [(a, b) for a, b, n in zip(out.strides, view.strides, out.shape, strict=True) if n > 1]
    return _address(out) - _address(array) == _address(view) - _address(of) and all(
        a == b for a, b in steps
    )


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def leaves(value: Any) -> Iterator[Any]:
    """What lists and tuples hold, however deep."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    else:
        yield value
