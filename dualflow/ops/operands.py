"""What public functions accept beside tensors: Python scalars, NumPy arrays and scalars.

Comes in: any value. Goes out: a tensor or a Python scalar, or an ArgumentError. The array room
installs its class here, so that ops never imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.base.dtypes import of_scalar
from dualflow.base.errors import ArgumentError
from dualflow.base.source import called

from . import primitives as p
from .promotion import SCALARS

#: what instances of subclasses are numbers as well: members of an `IntEnum`, say
NUMBERS = (int, float, complex)
#: types that pass the door as they are: scalars and, once installed, tensors.
KNOWN: set[type] = set(SCALARS)
#: the tensor class alone.
TENSORS: set[type] = set()
_adopt: Callable[[np.ndarray], Any]
_own: Callable[[np.ndarray], Any]


def install_tensor(
    tensor: type, adopt: Callable[[np.ndarray], Any], own: Callable[[np.ndarray], Any]
) -> None:
    """Make `tensor` the class of tensors; `adopt` makes one of somebody's NumPy array, without a
    copy, `own` one of an array that nobody else holds."""
    global _adopt, _own
    _own = own
    KNOWN.add(tensor)
    TENSORS.add(tensor)
    _adopt = adopt


def operand(value: Any, what: str = "an operand") -> Any:
    """`value` as a tensor or a Python scalar.

    Raises:
        ArgumentError: it is neither, nor a NumPy array or scalar.
    """
    if type(value) in KNOWN:
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return _adopt(np.asarray(value))
    if isinstance(value, NUMBERS):
        return number(value)
    raise ArgumentError(f"{called()}: {what} of type {type(value).__name__}",
                        why="operations take tensors, NumPy arrays and Python scalars",
                        instead="df.asarray(...) first")  # fmt: skip


def number(value: Any) -> Any:
    """The Python scalar that an instance of a subclass of one is; anything else as it is."""
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    return complex.__complex__(value) if isinstance(value, complex) else value


def is_number(value: Any) -> bool:
    """Whether a value is of a subclass of Python's numbers, and not NumPy's."""
    return isinstance(value, NUMBERS) and not isinstance(value, np.generic)


def tensor(value: Any, what: str = "an operand") -> Any:
    """`value` as a tensor; a Python scalar becomes one of shape ().

    Raises:
        ArgumentError: see `operand`.
    """
    if type(value) in TENSORS:
        return value
    value = operand(value, what)
    if type(value) in SCALARS:
        return p.full(shape=(), value=value, dtype=of_scalar(value))
    return value


def own(array: np.ndarray) -> Any:
    """A tensor of an array that nobody else holds."""
    return _own(array)
