"""What modes do with the arrays of tensors, wherever those lie: NumPy's, or CuPy's on a GPU.

Comes in: arrays. Goes out: copies, parts and writes, on the device of the array.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dualflow.ir.op import Op
from dualflow.ops import door
from dualflow.ops.devices import Device

_ndarray = np.ndarray
away = door.away


def copied(array: Any, order: Any = "K") -> Any:
    """A copy, its axes in the order in which they lie ("K"), or row by row ("C")."""
    return array.copy(order) if type(array) is _ndarray else away[0].copied(array, order)


def moved(array: np.ndarray, place: Device) -> Any:
    """A copy of an array of the CPU on a GPU."""
    return away[0].moved(array, place)


def on_host(array: Any) -> np.ndarray:
    """The values as NumPy's; of an array of the CPU itself."""
    return np.asarray(array) if not away else away[0].on_host(array)


def owned(array: Any) -> Any:
    """`array`, which an op has just made, as row-major memory of its own."""
    if array.base is None and array.flags.c_contiguous:
        return array
    return copied(array, "C")


def write(array: Any, source: Any) -> None:
    """Store `source`, of the same shape, dtype and device, into `array`."""
    if type(array) is _ndarray:
        np.copyto(array, source)
    else:
        away[0].write(array, source)


def shown(op: Op, array: Any, attributes: Mapping[str, Any]) -> Any:
    """What the view op shows of `array`, without a copy."""
    if type(array) is _ndarray:
        return op.numpy(array, **attributes)
    return away[0].shown(op, array, attributes)


def is_writeable(target: Any) -> bool:
    """Whether the memory of a tensor may be written: it is no view by an op that repeats elements.
    A GPU's arrays do not say so themselves."""
    array = target._array
    if type(array) is _ndarray:
        return bool(array.flags.writeable)
    return all(op.update is not None for op, _ in target._view)
