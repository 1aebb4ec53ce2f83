"""Mixed precision: products in half precision, what adds up many numbers in single.

Comes in: float32 tensors, under `df.autocast()`. Goes out: matmul, convolutions and attention in
float16 or bfloat16; softmax, norms and losses in float32; the rest in the dtype of its operands.
Weights and their gradients stay float32, as casts are operations like any others.
"""

from __future__ import annotations

from typing import Any, final

from dualflow.base.dtypes import as_dtype, compute_dtype, float16, float32, is_float
from dualflow.base.errors import DTypeError
from dualflow.base.thread import get_ident

from . import door
from . import primitives as p


@final
class Autocast:
    """Mixed precision, or none, for a `with` block."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._before: dict[int, list[str]] = {}

    def __enter__(self) -> None:
        self._before.setdefault(get_ident(), []).append(door.state.autocast)
        door.state.autocast = self._dtype

    def __exit__(self, *raised: object) -> None:
        door.state.autocast = self._before[get_ident()].pop()


def autocast(dtype: Any = float16, enabled: bool = True) -> Autocast:
    """Mixed precision for a `with` block: products of float32 tensors are computed in `dtype`.

    Gradients of float16 may vanish: see `df.optim.GradScaler`; bfloat16 has the range of float32.
    It holds for this thread.

    Args:
        dtype: float16 or bfloat16.
        enabled: False for full precision within a block with mixed.

    Raises:
        DTypeError: another dtype.

    >>> import dualflow as df
    >>> with df.autocast():
    ...     y = df.ones((2, 3)) @ df.ones((3, 2))
    >>> y.dtype.name, df.softmax(y).dtype.name
    ('float16', 'float16')
    """
    found = as_dtype(dtype)
    if found.itemsize != 2 or not is_float(found):
        raise DTypeError(f"autocast to {found.name}", instead="float16 or bfloat16")
    return Autocast(found.name if enabled else "")


def narrow(x: Any, y: Any) -> tuple[Any, Any]:
    """Operands of a product, under autocast in half precision."""
    if not door.state.autocast:
        return x, y
    dtype = as_dtype(door.state.autocast)
    return tuple(p.cast(v, dtype=dtype) if v.dtype == float32 else v for v in (x, y))  # type: ignore[return-value]


def wide(x: Any) -> Any:
    """A tensor that is summed, under autocast in single precision."""
    if door.state.autocast and x.dtype != (dtype := compute_dtype(x.dtype)):
        return p.cast(x, dtype=dtype)
    return x


def mixes(x: Any, y: Any) -> bool:
    """Whether products of the two are narrowed to one dtype."""
    return {x.dtype, y.dtype} == {as_dtype(door.state.autocast or float32), float32}
