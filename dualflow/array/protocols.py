"""NumPy's functions called on tensors.

Comes in: a call of a ufunc or function of NumPy with tensors among its arguments. Goes out: a
tensor for a ufunc that dualflow has too, with its gradient; else what NumPy makes of their arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dualflow.base import trees
from dualflow.ops.functions import elementwise
from dualflow.ops.functions.linear import matmul, vecdot
from dualflow.ops.operands import TENSORS

#: NumPy 2 has the Array API's names, too: `np.acos` is `np.arccos`
_OURS = {
    getattr(np, name): ours
    for name, ours in vars(elementwise).items()
    if isinstance(getattr(np, name, None), np.ufunc)
}
_OURS |= {np.matmul: matmul, np.vecdot: vecdot}


def ufunc(_: Any, function: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
    """`__array_ufunc__` of tensors: `np.exp(t)`, `array + t`, `array += t`."""
    ours = _OURS.get(function)
    if ours is not None and method == "__call__" and not settings:
        return ours(*inputs)
    return getattr(function, method)(*_arrays(inputs), **_arrays(settings))


def function(_: Any, function: Any, __: Any, args: Any, keywords: Any) -> Any:
    """`__array_function__` of tensors: `np.sum(t)`, `np.stack([t, u])`."""
    return function(*_arrays(args), **_arrays(keywords))


def _arrays(values: Any) -> Any:
    return trees.tree_map(lambda v: np.asarray(v) if type(v) in TENSORS else v, values)
