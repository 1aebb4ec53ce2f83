"""Tensors whose memory was given away: every later use of them raises.

Comes in: tensors that a call was given for good. Goes out: whether their memory is theirs alone,
a copy where it is not, and the same handles without memory.
"""

from __future__ import annotations

from sys import getrefcount
from typing import Any, NoReturn, final

import numpy as np

from dualflow.base.errors import DonatedError
from dualflow.base.shapes import Shape

from .tensor import Tensor


@final
class Donated:
    """What a donated tensor holds (`_pending`).

    Attributes:
        to: the name of the function that it was donated to.
        shape, dtype: what it was.
        run, root: None; so pending values of co-executed calls are told from it.
        place: None, as of what lies on no GPU.
    """

    run = root = place = None

    def __init__(self, to: str, shape: Shape, dtype: np.dtype) -> None:
        self.to, self.shape, self.dtype = to, shape, dtype

    @property
    def type(self) -> NoReturn:
        """Asked for by all that wants to compute with it."""
        raise self.error()

    def force(self, tensor: Tensor) -> NoReturn:
        """Its values are asked for."""
        raise self.error()

    def error(self) -> DonatedError:
        """What using it raises."""
        return DonatedError(
            f"a tensor of shape {self.shape} and dtype {self.dtype.name} that was donated to "
            f"{self.to}",
            why="its memory may hold what that call made",
            instead="what the call returned; or donate a copy()",
        )

    def text(self) -> str:
        """For printing."""
        return f"Tensor(donated to {self.to}, shape={self.shape}, dtype={self.dtype.name})"


def give_away(tensor: Tensor, to: str) -> None:
    """Let go of the memory of `tensor`, for good."""
    if type(tensor._pending) is Donated:
        return
    tensor._pending = Donated(to, tensor.shape, tensor.dtype)
    tensor._array = tensor._storage = tensor._root = tensor._tape = tensor._views = None
    tensor._chain = ()


def own(tensor: Tensor) -> None:
    """Give `tensor` a copy of its values if anything else may show its memory: what is written
    there later is then seen by nobody else."""
    array = tensor._array
    if type(array) is not np.ndarray or tensor.requires_grad or _is_alone(tensor, array):
        return
    tensor._array, tensor._storage, tensor._chain = array.copy(), None, ()
    tensor._root = tensor._views = None


def _is_alone(tensor: Tensor, array: Any) -> bool:
    storage = tensor._storage
    if tensor._root is not None or not array.flags.writeable or isinstance(array.base, np.ndarray):
        return False
    if storage is None:
        return getrefcount(array) <= 4  # of the tensor, here, of the caller, of the count
    return (
        not storage.exposed
        and storage.array is array
        and getrefcount(storage) <= 3  # of the tensor, here, of the count
        and getrefcount(array) <= 5
    )
