"""What is known of dtypes: limits, kinds, the dtype of a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dualflow.base.dtypes import as_dtype, of_scalar, promote, weak
from dualflow.base.errors import ArgumentError, DTypeError

from ..promotion import SCALARS

_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "",
    "numeric": "iuf",
}


@dataclass(frozen=True)
class FloatInfo:
    """Limits of a float dtype; see `finfo`."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype


@dataclass(frozen=True)
class IntegerInfo:
    """Limits of an integer dtype; see `iinfo`."""

    bits: int
    max: int
    min: int
    dtype: np.dtype


def finfo(dtype: Any) -> FloatInfo:
    """The limits of a float dtype, or of that of a tensor.

    Raises:
        DTypeError: it is no float dtype.

    >>> import dualflow as df
    >>> df.finfo(df.float32).eps
    1.1920928955078125e-07
    """
    found = as_dtype(getattr(dtype, "dtype", dtype))
    if found.kind != "f":
        raise DTypeError(f"finfo of {found.name}", instead="iinfo")
    info = np.finfo(found)
    eps, high, low, normal = map(float, (info.eps, info.max, info.min, info.smallest_normal))
    return FloatInfo(info.bits, eps, high, low, normal, found)


def iinfo(dtype: Any) -> IntegerInfo:
    """The limits of an integer dtype, or of that of a tensor.

    Raises:
        DTypeError: it is no integer dtype.

    >>> import dualflow as df
    >>> df.iinfo(df.int8).max
    127
    """
    found = as_dtype(getattr(dtype, "dtype", dtype))
    if found.kind not in "iu":
        raise DTypeError(f"iinfo of {found.name}", instead="finfo")
    info = np.iinfo(found)
    return IntegerInfo(info.bits, int(info.max), int(info.min), found)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether `dtype` is of `kind`: a dtype, a name such as "integral", or a tuple of these.

    >>> import dualflow as df
    >>> df.isdtype(df.int8, ("bool", "integral"))
    True
    """
    found = as_dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(found, one) for one in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ArgumentError(f"no kind of dtypes {kind!r}", instead=", ".join(_KINDS))
        return found.kind in _KINDS[kind]
    return found == as_dtype(kind)


def result_type(*values: Any) -> np.dtype:
    """The dtype of an elementwise result of tensors, dtypes and Python scalars.

    >>> import dualflow as df
    >>> df.result_type(df.int64, df.float32, 1.0).name
    'float32'
    """
    if not values:
        raise ArgumentError("result_type of nothing", instead="tensors or dtypes")
    found = None
    for value in values:
        if type(value) not in SCALARS:
            dtype = as_dtype(getattr(value, "dtype", value))
            found = dtype if found is None else promote(found, dtype)
    for value in values:
        if type(value) in SCALARS:
            found = of_scalar(value) if found is None else weak(value, found)
    assert found is not None
    return found
