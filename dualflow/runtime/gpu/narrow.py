"""Arrays of floats that CuPy lacks: of words, and of a class whose dtype says what they hold.

Memory is moved, cut and joined as words. What computes does so in float32 and is rounded
(`library_ops.py`), or is a kernel. Comes in and goes out: arrays of either kind.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from dualflow.base.dtypes import is_added

from .libraries import cupy


def word(dtype: np.dtype) -> np.dtype:
    """The dtype that CuPy is given for elements of `dtype`.

    >>> word(np.dtype("float32")).name
    'float32'
    """
    return np.dtype(f"uint{dtype.itemsize * 8}") if is_added(dtype) else dtype


def class_of(dtype: np.dtype) -> Any:
    """The class of arrays of `dtype`."""
    plain = cupy().ndarray
    return _class(plain, dtype) if is_added(dtype) else plain


@cache
def _class(plain: Any, dtype: np.dtype) -> Any:
    def get(array: Any, *args: Any, **settings: Any) -> np.ndarray:
        return plain.get(array, *args, **settings).view(dtype)

    parts = {"dtype": property(lambda array: dtype), "get": get}
    return type(f"Array_{dtype.name}", (plain,), parts)


def words(array: Any) -> Any:
    """The array as CuPy may compute with it: of words, on the same memory."""
    return array.view(cupy().ndarray) if is_added(array.dtype) else array


def holding(made: Any, dtype: np.dtype) -> Any:
    """An array of words on the same memory, as one of `dtype`."""
    if not is_added(dtype):
        return made
    if made.base is not None:
        return made.view(class_of(dtype))
    return class_of(dtype)(made.shape, word(dtype), made.data, made.strides)


def given(array: Any) -> Any:
    """A copy of an array or number of the host on the GPU in use."""
    array = np.asarray(array)
    if not is_added(array.dtype):
        return cupy().asarray(array)
    return holding(cupy().asarray(array.view(word(array.dtype))), array.dtype)


def widened(array: Any) -> Any:
    """The values in float32."""
    if array.dtype.name != "bfloat16":
        return array
    return (words(array).astype(np.uint32) << 16).view(np.float32)


def rounded(made: Any, dtype: np.dtype) -> Any:
    """float32 rounded to bfloat16, to nearest even; arrays of other dtypes as they are."""
    if dtype.name != "bfloat16" or made.dtype != np.float32:
        return made
    xp = cupy()
    bits = xp.ascontiguousarray(made).reshape(made.shape).view(np.uint32)
    nearest = (bits + ((bits >> 16) & 1) + 0x7FFF) >> 16
    found = xp.where(made != made, np.uint32(0x7FC0), nearest).astype(np.uint16)
    return holding(found, dtype)
