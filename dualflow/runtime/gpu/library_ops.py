"""Ops that no kernel holds, on arrays of a GPU: by CuPy, or, counted, by NumPy on the host.

Used by programs for their calls and by the eager mode. Comes in: an op and arrays of one GPU.
Goes out: arrays of that GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dualflow.base.counters import count
from dualflow.base.dtypes import is_added
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType
from dualflow.ops.portable import portable

from . import narrow
from .libraries import cupy, told
from .memory import copied, to_host


def _raising() -> Any:
    """A context in which cuSOLVER's failures raise LinAlgError: by default CuPy ignores them."""
    import cupyx

    return cupyx.errstate(linalg="raise")


#: ops that only move elements, whatever these are
_MOVING = (Kind.MOVEMENT, Kind.INDEXING)


def _of_words(op: Op, arrays: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """`evaluate` where floats are among operands or results that CuPy lacks."""
    results = op.infer(tuple(TensorType(a.shape, a.dtype) for a in arrays), attributes)
    how = dict(attributes)
    if (op.kind in _MOVING and not op.scatter) or op.kind is Kind.CREATION:
        moved = results[0].dtype
        for name in ("fill", "value"):
            if name in how:
                how[name] = np.asarray(how[name], moved).view(narrow.word(moved)).item()
        if "dtype" in how:
            how["dtype"] = narrow.word(moved)
        return narrow.holding(evaluate(op, [narrow.words(a) for a in arrays], how), moved)
    made = evaluate(op, [narrow.widened(a) for a in arrays], how)
    parts = made if isinstance(made, tuple) else (made,)
    found = tuple(narrow.rounded(part, type_.dtype)
                  for part, type_ in zip(parts, results, strict=True))  # fmt: skip
    return found if isinstance(made, tuple) else found[0]


def evaluate(op: Op, arrays: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """`op` of arrays on the GPU in use; an array, or a tuple of them.

    Raises:
        DeviceError, OutOfMemoryError: what went wrong on the GPU.
        Exception: what the op raises.
    """
    if op.scatter is not None and not arrays[-1].size:
        return copied(arrays[0])
    dtypes = [array.dtype for array in arrays]
    asked = attributes.get("dtype")
    if any(map(is_added, [*dtypes, *([] if asked is None else [np.dtype(asked)])])):
        return _of_words(op, arrays, attributes)
    xp, function = cupy(), portable(op, dtypes[0].kind if arrays else "f")
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
