"""What is known of dtypes and of the namespace: limits, kinds, capabilities, defaults."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from dualflow.base.dtypes import (
    BY_NAME,
    DEFAULT_COMPLEX,
    DEFAULT_FLOAT,
    DEFAULT_INT,
    as_dtype,
    is_inexact,
    limits,
    of_scalar,
    promote,
    real_dtype,
    weak,
)
from dualflow.base.dtypes import kind as letter
from dualflow.base.errors import ArgumentError, DTypeError
from dualflow.base.records import record

from .. import door
from ..devices import device as device_of
from ..devices import gpus
from ..promotion import SCALARS

_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "fs",
    "complex floating": "c",
    "numeric": "iufcs",
}


@record
class FloatInfo:
    """Limits of a float dtype; see `finfo`."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype


@record
class IntegerInfo:
    """Limits of an integer dtype; see `iinfo`."""

    bits: int
    max: int
    min: int
    dtype: np.dtype


def finfo(dtype: Any) -> FloatInfo:
    """The limits of a float dtype, or of that of a tensor; of a complex one those of its parts.

    Raises:
        DTypeError: it is no float or complex dtype.

    >>> import dualflow as df
    >>> df.finfo(df.float32).eps
    1.1920928955078125e-07
    """
    found = as_dtype(getattr(dtype, "dtype", dtype))
    if not is_inexact(found):
        raise DTypeError(f"finfo of {found.name}", instead="iinfo")
    return _float_info(real_dtype(found))


@cache
def _float_info(found: np.dtype) -> FloatInfo:
    info: Any = limits(found)
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
    return _integer_info(found)


@cache
def _integer_info(found: np.dtype) -> IntegerInfo:
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
        return letter(found) in _KINDS[kind]
    return found == as_dtype(kind)


def can_cast(from_: Any, to: Any) -> bool:
    """Whether promotion can make `to` of `from_`: whether beside `to` the result is of `to`.

    Args:
        from_: a dtype or a tensor.
        to: a dtype.

    >>> import dualflow as df
    >>> df.can_cast(df.int8, df.int32), df.can_cast(df.float64, df.float32)
    (True, False)
    """
    found, wanted = as_dtype(getattr(from_, "dtype", from_)), as_dtype(to)
    return promote(found, wanted) == wanted


def result_type(*values: Any) -> np.dtype:
    """The dtype of an elementwise result of tensors, dtypes and Python scalars.

    Args:
        values: at least one tensor or dtype among them.

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


class NamespaceInfo:
    """What the Array API says a namespace can tell of itself; see `__array_namespace_info__`."""

    def capabilities(self) -> dict[str, Any]:
        """What optional parts of the standard work: boolean indices, shapes that depend on data,
        and as many axes as NumPy has.

        >>> import dualflow as df
        >>> df.__array_namespace_info__().capabilities()["boolean indexing"]
        True
        """
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """Where new tensors are: on the device in use (`df.device`).

        >>> import dualflow as df
        >>> df.__array_namespace_info__().default_device()
        'cpu'
        """
        return str(door.state.device or "cpu")

    def default_dtypes(self, *, device: str | None = None) -> dict[str, np.dtype]:
        """The dtypes of new tensors made of Python scalars, and of positions.

        >>> import dualflow as df
        >>> df.__array_namespace_info__().default_dtypes()["real floating"].name
        'float32'
        """
        _check_device(device)
        return {
            "real floating": DEFAULT_FLOAT,
            "complex floating": DEFAULT_COMPLEX,
            "integral": DEFAULT_INT,
            "indexing": DEFAULT_INT,
        }

    def dtypes(
        self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, np.dtype]:
        """The dtypes of the standard by name, or those of some kinds (see `isdtype`).

        >>> import dualflow as df
        >>> list(df.__array_namespace_info__().dtypes(kind="real floating"))
        ['float32', 'float64']
        """
        _check_device(device)
        standard = {name: dtype for name, dtype in BY_NAME.items() if name != "float16"}
        if kind is None:
            return standard
        return {name: dtype for name, dtype in standard.items() if isdtype(dtype, kind)}

    def devices(self) -> list[str]:
        """Where tensors can be: the CPU, and the GPUs that can be used.

        >>> import dualflow as df
        >>> df.__array_namespace_info__().devices()[0]
        'cpu'
        """
        return ["cpu", *map(str, gpus())]


def _check_device(device: str | None) -> None:
    """DeviceError if there is no such device."""
    if device is not None and device_of(device).type != "cpu":
        door.away[0].check(device_of(device))


def __array_namespace_info__() -> NamespaceInfo:  # noqa: N807 - the standard's name
    """What this namespace can do, and its dtypes, devices and defaults.

    >>> import dualflow as df
    >>> df.__array_namespace_info__().default_device()
    'cpu'
    """
    return _INFO


_INFO = NamespaceInfo()
