"""`np.add.at` and the like: writes at indices, one after the other where indices meet.

Comes in: a face, indices, values. Goes out: writes into the face's memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dualflow.ops import door
from dualflow.ops import primitives as p

from . import crossing, indexing, ufuncs
from .made import FACES
from .ufuncs import METHODS, NotCoveredError

Tensor = Any


def _add_at(a: Any, indices: Any, b: Any = None, /, *, negated: bool = False) -> None:
    """np.add.at along the first axis, by one array of integers."""
    if type(a) not in FACES or a.is_scalar:
        raise NotCoveredError
    x = a._tensor
    (places,), _ = indexing._normal((indices,))
    if not hasattr(places, "shape") or places.dtype.kind not in "iu" or x.dtype.kind == "b":
        raise NotCoveredError
    count, rest = places.size, x.shape[1:]
    value = ufuncs.operand(b)
    dtype = value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype  # never weak here
    if np.result_type(dtype, x.dtype) != x.dtype:
        raise NotCoveredError
    if not hasattr(value, "shape") or isinstance(value, np.generic):
        value = crossing.fresh_tensor(np.asarray(value, x.dtype))
    if value.dtype != x.dtype:
        value = p.cast(value, dtype=x.dtype)
    if negated:
        value = p.negative.of(value)
    wide = indexing.fitted(value, (*places.shape, *rest), x.dtype)
    flat = p.reshape(wide, shape=(count, *rest))
    index = p.reshape(places, shape=(count, *(1,) * len(rest)))
    index = p.expand(index, shape=flat.shape) if index.shape != flat.shape else index
    door.write(x, p.scatter_add(x, index, flat, axis=0))


METHODS[np.add, "at"] = _add_at
METHODS[np.subtract, "at"] = lambda a, indices, b, /: _add_at(a, indices, b, negated=True)
