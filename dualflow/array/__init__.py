"""Tensor and the eager mode: one final class over NumPy arrays, each op computed at its own line.

Comes in: operations through `ops.door`. Goes out: `Tensor`; `EagerMode`, the mode threads start in.
"""

from dualflow.base import freed
from dualflow.ops import door, operands
from dualflow.runtime import blas

from .creation import adopt, asarray, from_dlpack, tensor
from .eager import EagerMode
from .storage import Storage
from .tensor import Tensor

operands.install_tensor(Tensor, adopt, Tensor._wrap)
door.install_eager(EagerMode())
freed.keep()
blas.keep_to_budget()

__all__ = ["EagerMode", "Storage", "Tensor", "asarray", "from_dlpack", "tensor"]
