"""Data types: the Array API's names as NumPy dtypes, and df's promotion rules.

A dtype is an ordinary `np.dtype` everywhere in dualflow, so nothing is converted at the border
to NumPy. `promote` differs from NumPy in one way: integers never widen floats.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .errors import DTypeError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

bool_ = np.dtype("bool")
int8, int16, int32, int64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
float16, float32, float64 = (np.dtype(f"float{bits}") for bits in (16, 32, 64))
complex64, complex128 = (np.dtype(f"complex{bits}") for bits in (64, 128))

BY_NAME: dict[str, np.dtype] = {
    dtype.name: dtype
    for dtype in (
        bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64,
        complex64, complex128,
    )
}  # fmt: skip
DEFAULT_FLOAT = float32
DEFAULT_INT = int64
DEFAULT_COMPLEX = complex64
Number = bool | int | float | complex
_PARTS = {complex64: float32, complex128: float64}
_COMPLEX = {float64: complex128, complex128: complex128}


def as_dtype(dtype: DTypeLike) -> np.dtype:
    """The supported dtype that `dtype` names; DTypeError for any other."""
    try:
        found = np.dtype(dtype)
    except TypeError as cause:
        raise unsupported(dtype) from cause
    native = found if found.isnative else found.newbyteorder("=")
    if native not in _SUPPORTED:
        raise unsupported(dtype)
    return native


def unsupported(dtype: object) -> DTypeError:
    if isinstance(dtype, int):
        return DTypeError(f"dtype={dtype}", why="a shape of several sizes is one argument",
                          instead="a tuple of sizes: zeros((2, 3)), not zeros(2, 3)")  # fmt: skip
    return DTypeError(
        f"dualflow has no dtype {dtype!r}",
        why="tensors hold booleans, integers of 8 to 64 bits, floats of 16 to 64 bits and "
        "complex numbers of two floats of 32 or 64 bits",
        instead="one of " + ", ".join(BY_NAME),
    )


_SUPPORTED = frozenset(BY_NAME.values())


def is_float(dtype: np.dtype) -> bool:
    return dtype.kind == "f"


def is_integer(dtype: np.dtype) -> bool:
    return dtype.kind in "iu"


def is_complex(dtype: np.dtype) -> bool:
    return dtype.kind == "c"


def is_inexact(dtype: np.dtype) -> bool:
    """Whether values of `dtype` are rounded, and so have gradients: floats and complex numbers."""
    return dtype.kind in "fc"


def real_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the parts of `dtype`: float32 of complex64; any other dtype is its own."""
    return _PARTS.get(dtype, dtype)


def complex_dtype(dtype: np.dtype) -> np.dtype:
    """The complex dtype whose parts hold floats of `dtype`; that of the default for integers."""
    return _COMPLEX.get(dtype, DEFAULT_COMPLEX)


@lru_cache(maxsize=None)
def promote(a: np.dtype, b: np.dtype) -> np.dtype:
    """The dtype of an elementwise result of arrays of `a` and `b`.

    As the Array API says; where it is silent (an integer array with a float array) the float or
    complex dtype is kept: float32 with int64 is float32 (NumPy would say float64). uint64 with a
    signed integer is float32, the default float, as no integer holds both.
    """
    if a == b:
        return a
    if is_inexact(a) != is_inexact(b):
        return a if is_inexact(a) else b
    joined = np.promote_types(a, b)
    return joined if is_inexact(joined) == is_inexact(a) else DEFAULT_FLOAT


def weak(scalar: Number, dtype: np.dtype) -> np.dtype:
    """The dtype that a Python scalar takes beside an array of `dtype`; it never widens its kind."""
    if isinstance(scalar, bool):
        return dtype
    if isinstance(scalar, int):
        return DEFAULT_INT if dtype == bool_ else dtype
    if isinstance(scalar, complex):
        return complex_dtype(dtype)
    return dtype if is_inexact(dtype) else DEFAULT_FLOAT


def of_scalar(scalar: Number) -> np.dtype:
    """The dtype of an array made of one Python scalar alone."""
    if isinstance(scalar, bool):
        return bool_
    if isinstance(scalar, complex):
        return DEFAULT_COMPLEX
    return DEFAULT_INT if isinstance(scalar, int) else DEFAULT_FLOAT


def floating(dtype: np.dtype) -> np.dtype:
    """The dtype in which exp, sqrt or true division of `dtype` are computed."""
    return dtype if is_inexact(dtype) else DEFAULT_FLOAT
