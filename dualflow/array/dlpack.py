"""DLPack of the floats that NumPy lacks: NumPy hands over integers of their size, and the dtype
that the capsule names is changed on the way.

Comes in: arrays, or objects of other libraries. Goes out: capsules, or arrays. A capsule is read
once, by whom it is handed to, so what it says belongs to us until then.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from dualflow.base.dtypes import as_dtype

#: DLDataTypeCode
_UNSIGNED = 1
_CODES = {"bfloat16": 4, "float8_e4m3fn": 10, "float8_e5m2": 12}
_NAMES = {code: name for name, code in _CODES.items()}
#: where the code stands in what a capsule of that name shows: behind the data pointer, the device
#: and the number of axes of a DLTensor, which a newer capsule has behind 32 bytes of its own
_PLACES = {b"dltensor": 20, b"dltensor_versioned": 52}

_address = ctypes.pythonapi.PyCapsule_GetPointer
_address.restype, _address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_name = ctypes.pythonapi.PyCapsule_GetName
_name.restype, _name.argtypes = ctypes.c_char_p, [ctypes.py_object]


class _Integers:
    """An object of another library, whose floats are shown as integers."""

    def __init__(self, capsule: Any, device: tuple[int, int]) -> None:
        self._capsule, self._device = capsule, device

    def __dlpack__(self, **asked: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


def exported(array: np.ndarray, **asked: Any) -> Any:
    """The capsule of an array of a dtype that NumPy lacks; `asked` as of `__dlpack__`."""
    capsule = array.view(f"u{array.itemsize}").__dlpack__(**asked)
    _code(capsule).value = _CODES[array.dtype.name]
    return capsule


def adopted(value: Any, **asked: Any) -> np.ndarray:
    """The memory of an object of another library; `asked` as of `np.from_dlpack`.

    Raises:
        BufferError, RuntimeError, ValueError: it cannot be had so, or NumPy has no such dtype.
    """
    try:
        return np.from_dlpack(value, **asked)
    except (BufferError, RuntimeError):  # maybe for its dtype
        capsule = _capsule(value)
        code = _code(capsule)
        if code.value not in _NAMES:
            raise
    dtype = as_dtype(_NAMES[code.value])
    code.value = _UNSIGNED
    shown = np.from_dlpack(_Integers(capsule, value.__dlpack_device__()), **asked)
    return shown.copy().view(dtype) if asked.get("copy") else shown.view(dtype)


def _capsule(value: Any) -> Any:
    """A capsule that says whether its memory may be written, where the library has such."""
    try:
        return value.__dlpack__(max_version=(1, 0))
    except TypeError:
        return value.__dlpack__()


def _code(capsule: Any) -> ctypes.c_uint8:
    """The byte of a capsule that says of what kind its elements are."""
    name = _name(capsule)
    return ctypes.c_uint8.from_address(_address(capsule, name) + _PLACES[name])
