"""Tensors from outside: lists, NumPy arrays, anything with DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np

from dualflow.base.dtypes import DEFAULT_COMPLEX, DEFAULT_FLOAT, as_dtype
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError, SharingError
from dualflow.ops import devices, door
from dualflow.ops.functions.elementwise import astype

from . import dlpack
from .tensor import Tensor

#: types whose values become arrays of their own
_PYTHON = (list, tuple, bool, int, float, complex)


def asarray(
    value: Any, dtype: Any = None, *, device: str | None = None, copy: bool | None = None
) -> Tensor:
    """`value` as a tensor.

    A NumPy array, or what NumPy shows as one (`__array__`, buffers), is adopted without a copy
    (both then show one memory) unless `copy` is True or `dtype` differs. Lists and Python scalars
    become float32, complex64, int64 or bool.

    Args:
        value: a tensor, an array of NumPy or another library, nested lists of scalars, or a scalar.
        dtype: the dtype wanted; None for that of `value`.
        device: "cpu", "cuda:0"...; by default the one in use (`df.device`), or a tensor's own.
        copy: True copies always, False raises instead of copying.

    Raises:
        DTypeError: no tensor has such a dtype.
        ArgumentError: `value` cannot become an array.
        SharingError: a copy is needed and not allowed.
        ShapeError: nested lists of unequal lengths.
        DeviceError: there is no such device.

    >>> import dualflow as df
    >>> df.asarray([1.0, 2.0])
    Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    if device is not None or door.state.device is not None:
        place = door.state.device if device is None else devices.device(device)
        if type(value) is not Tensor or device is not None:
            return _placed(value, dtype, place, copy)
    wanted = None if dtype is None else as_dtype(dtype)
    if type(value) is Tensor:
        if wanted is not None and wanted != value.dtype:
            if copy is False:
                raise _needs_copy(value)
            return astype(value, wanted)
        return value.copy() if copy else value
    if isinstance(value, (np.ndarray, np.generic)):
        return _adopted(np.asarray(value), wanted, copy)
    if not isinstance(value, _PYTHON):
        shown = _shown(value)
        if shown is not None:
            return _adopted(shown, wanted, copy)
    if copy is False:
        raise _needs_copy(value)
    return Tensor._wrap(_from_python(value, wanted))


def _placed(value: Any, dtype: Any, place: devices.Device, copy: bool | None) -> Tensor:
    """`value` as a tensor on `place`."""
    with devices.CPU:
        found = asarray(value, dtype, copy=None if place == "cpu" else copy)
    if found.device == place:
        return found.copy() if copy and found is value else found
    if copy is False:
        raise _needs_copy(value)
    return found.to_device(place)


def _needs_copy(value: Any) -> SharingError:
    return SharingError(f"a {type(value).__name__} as a tensor without a copy",
                        why="only arrays of that dtype can be shared",
                        instead="copy=None")  # fmt: skip


def tensor(value: Any, dtype: Any = None, *, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of `value`, a leaf.

    Args:
        value: see `asarray`.
        dtype: the dtype wanted; None for that of `value`.
        requires_grad: whether to ask for gradients with respect to it.

    Raises:
        GradientError: gradients with respect to integers or booleans. See also `asarray`.

    >>> import dualflow as df
    >>> df.tensor([1.0], requires_grad=True)
    Tensor([1.], shape=(1,), dtype=float32, device=cpu, requires_grad=True)
    """
    made = asarray(value, dtype, copy=True)
    if type(value) is Tensor:
        made = made.detach()
    return made.requires_grad_() if requires_grad else made


def adopt(array: np.ndarray) -> Tensor:
    """The tensor that shows the memory of `array`."""
    made = _adopted(array, None, None)
    return made if door.state.device is None else made.to_device(door.state.device)


def own(array: np.ndarray) -> Tensor:
    """The tensor of an array that nobody else holds, on the device in use."""
    made = Tensor._wrap(array)
    return made if door.state.device is None else made.to_device(door.state.device)


def _adopted(array: np.ndarray, wanted: np.dtype | None, copy: bool | None) -> Tensor:
    found = as_dtype(array.dtype)
    if wanted is None:
        wanted = found
    fits = array.dtype == wanted and array.dtype.isnative and type(array) is np.ndarray
    aligned = all(stride % array.itemsize == 0 for stride in array.strides)
    if copy is False and not (fits and aligned):
        raise _needs_copy(array)
    if copy or not fits or not aligned:
        return Tensor._wrap(np.array(array, dtype=wanted, copy=True, subok=False))
    made = Tensor._wrap(array)
    made._memory().exposed = True
    return made


def _shown(value: Any) -> np.ndarray | None:
    """The memory of an object of another library, as NumPy shows it; None of other objects."""
    if not hasattr(value, "__array__"):
        try:
            value = memoryview(value)
        except TypeError:
            return None
    try:
        return np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as cause:
        raise ArgumentError(f"a {type(value).__name__} that is no array: {cause}") from cause


def _from_python(value: Any, wanted: np.dtype | None) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=wanted)
    except (ValueError, TypeError, OverflowError) as cause:
        if "inhomogeneous" in str(cause):
            raise ShapeError("nested lists of unequal lengths",
                             why="a tensor is rectangular",
                             instead="pad the rows to one length") from cause  # fmt: skip
        raise ArgumentError(f"a {type(value).__name__} that is no array: {cause}") from cause
    if array.dtype.kind == "O":
        raise ArgumentError(f"a {type(value).__name__} as a tensor",
                            instead="lists of Python scalars, or NumPy arrays")  # fmt: skip
    if wanted is None and array.dtype.kind in "fc" and not _holds_arrays(value):
        array = array.astype(DEFAULT_FLOAT if array.dtype.kind == "f" else DEFAULT_COMPLEX)
    if as_dtype(array.dtype) != array.dtype:
        raise DTypeError(f"values of {array.dtype}")
    return np.array(array, copy=True) if array.base is not None else array


def _holds_arrays(value: Any) -> bool:
    """Whether nested lists hold NumPy arrays or tensors, whose dtype is then kept."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (np.ndarray, np.generic, Tensor))


def from_dlpack(value: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """The tensor that shows the memory of another library's array, by DLPack.

    Args:
        value: an array with `__dlpack__` and `__dlpack_device__`.
        device: where it shall be; memory of another device is then copied. None: where it is.
        copy: True copies always, False raises instead of copying.

    Raises:
        ArgumentError: `value` is no such array.
        DeviceError: another device.
        DTypeError: no tensor has such a dtype.
        SharingError: the other library cannot do it, or a copy is needed and not allowed.

    >>> import dualflow as df
    >>> import numpy as np
    >>> df.from_dlpack(np.arange(3)).tolist()
    [0, 1, 2]
    """
    if not hasattr(value, "__dlpack__") or not hasattr(value, "__dlpack_device__"):
        raise ArgumentError(f"a {type(value).__name__} without DLPack",
                            instead="df.asarray(...)")  # fmt: skip
    place = None if device is None else devices.device(device)
    if value.__dlpack_device__()[0] == _CUDA and place != "cpu":
        return _from_gpu(value, place, copy)
    if place is not None and place.type != "cpu":
        return from_dlpack(value, copy=copy).to_device(place)
    try:
        array = dlpack.adopted(value, device="cpu" if device else None, copy=copy)
    except (BufferError, RuntimeError, ValueError) as cause:
        raise SharingError(f"a {type(value).__name__} by DLPack: {cause}") from cause
    if copy:
        as_dtype(array.dtype)
        return Tensor._wrap(array)
    return _adopted(array, None, copy)


#: DLPack's number of memory on NVIDIA's GPUs
_CUDA = 2


def _from_gpu(value: Any, place: devices.Device | None, copy: bool | None) -> Tensor:
    """The tensor that shows an array on a GPU, or a copy of it on `place`."""
    index = value.__dlpack_device__()[1]
    devices.gpu(index)  # loads the room that knows of GPUs
    made = Tensor._wrap(door.away[0].adopted(value))
    as_dtype(made.dtype)
    if place is not None and place != made.device:
        if copy is False:
            raise _needs_copy(value)
        return made.to_device(place)
    if copy:
        return made.copy()
    made._memory().exposed = True
    return made
