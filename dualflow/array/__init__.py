"""Tensor and the eager mode: one final class over NumPy arrays, each op computed at its own line.

Comes in: operations through `ops.door`. Goes out: `Tensor`; `EagerMode`, the mode threads start in.
"""

from importlib import import_module

from dualflow.base import freed
from dualflow.ops import convolving, devices, door, operands, special
from dualflow.runtime import openblas

from .creation import adopt, asarray, from_dlpack, own, tensor
from .eager import EagerMode
from .storage import Storage
from .tensor import Tensor

operands.install_tensor(Tensor, adopt, own)
door.install_eager(EagerMode())
devices.install_gpu(lambda: import_module("dualflow.array.on_device"))
convolving.install_native(lambda: import_module("dualflow.runtime.alone").run)
special.install_philox(lambda *given: import_module("dualflow.runtime.philox").philox(*given))
freed.keep()
openblas.keep_to_budget()

__all__ = ["EagerMode", "Storage", "Tensor", "asarray", "from_dlpack", "tensor"]
