"""Ops that no kernel holds, on arrays of a GPU: by CuPy, or, counted, by NumPy on the host.

Used by programs for their calls and by the eager mode. Comes in: an op and arrays of one GPU.
Goes out: arrays of that GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dualflow.base.counters import count
from dualflow.ir.op import Op
from dualflow.ops.portable import portable

from .libraries import cupy, told
from .memory import to_host


def _raising() -> Any:
    """A context in which cuSOLVER's failures raise LinAlgError: by default CuPy ignores them."""
    import cupyx

    return cupyx.errstate(linalg="raise")


def evaluate(op: Op, arrays: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """`op` of arrays on the GPU in use; an array, or a tuple of them.

    Raises:
        DeviceError, OutOfMemoryError: what went wrong on the GPU.
        Exception: what the op raises.
    """
    xp, function = cupy(), portable(op, arrays[0].dtype.kind if arrays else "f")
    with told(op.name):
        if function is not None and op.may_raise:
            with _raising():
                return function(xp, *arrays, **attributes)
        if function is not None:
            return function(xp, *arrays, **attributes)
        count("host_fallbacks")
        made = op.numpy(*map(to_host, arrays), **attributes)
        if isinstance(made, tuple):
            return tuple(xp.asarray(np.asarray(part)) for part in made)
        return xp.asarray(np.asarray(made))
