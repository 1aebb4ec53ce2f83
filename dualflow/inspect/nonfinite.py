"""The hunt for the first NaN or infinity: which operation made it, where, of what.

Comes in: a stretch of code in a `with` block. Goes out: NonFiniteError at the first operation whose
result is not finite though all that it took was. Within the block everything runs eagerly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from dualflow.array.eager import EagerMode
from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import is_complex, is_inexact
from dualflow.base.errors import NonFiniteError
from dualflow.ir.op import Kind, Op
from dualflow.ops import door


@contextmanager
def debug_nans(*, infinities: bool = True) -> Iterator[None]:
    """Stop at the first operation that makes a NaN or an infinity of finite operands.

    Args:
        infinities: whether infinities are looked for as well as NaN.

    Within the block compiled functions run as they were written. Gradients are looked at too.

    Raises:
        NonFiniteError: names the operation, its line, and the least and the largest value of each
            operand; it is a FloatingPointError.

    >>> import dualflow as df
    >>> with df.debug_nans():
    ...     try:
    ...         y = df.sqrt(df.tensor([4.0, -1.0]))
    ...     except FloatingPointError as error:
    ...         print(error.what, "as", error.why)
    sqrt made 1 NaN of 2 numbers, the first at [1] as its operand was float32 (2,) from -1 to 4
    """
    with door.using(_Watching(infinities)):
        yield


class _Watching(EagerMode):
    """Eager, and every result is looked at."""

    name = "debug_nans"

    def __init__(self, infinities: bool) -> None:
        self._fine = np.isfinite if infinities else _is_number

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        with np.errstate(all="ignore"):  # the error says more than NumPy's warning
            out = super().apply(op, inputs, attributes)
        if op.kind is not Kind.CREATION:
            self._look(op, inputs, out)
        return out

    def elementwise(self, op: Op, operands: tuple[Any, ...]) -> Any:
        with np.errstate(all="ignore"):
            out = super().elementwise(op, operands)
        self._look(op, operands, out)
        return out

    def _look(self, op: Op, operands: Sequence[Any], out: Any) -> None:
        for result in out if isinstance(out, tuple) else (out,):
            array = result.array
            if not is_inexact(array.dtype) or self._fine(array).all():
                continue
            arrays = [x.array if type(x) is Tensor else np.asarray(x) for x in operands]
            if all(not is_inexact(a.dtype) or np.isfinite(a).all() for a in arrays):
                raise _error(op, arrays, array, ~self._fine(array))


def _is_number(array: np.ndarray) -> np.ndarray:
    return ~np.isnan(array)


def _error(op: Op, operands: list[np.ndarray], made: np.ndarray, bad: np.ndarray) -> NonFiniteError:
    nans = int(np.isnan(made).sum())
    infinite = int(bad.sum()) - nans
    found = [f"{nans} NaN"] * bool(nans) + [f"{infinite} infinite"] * bool(infinite)
    place = ", ".join(str(int(i)) for i in np.argwhere(bad)[0])
    ranges = ", ".join(map(_range, operands))
    return NonFiniteError(
        f"{op.name} made {' and '.join(found)} of {made.size} numbers, the first at [{place}]",
        why=f"its operand{'s were' if len(operands) > 1 else ' was'} {ranges}",
    )


def _range(array: np.ndarray) -> str:
    text = f"{array.dtype} {array.shape}"
    if not array.size or is_complex(array.dtype):
        return text
    return f"{text} from {array.min():g} to {array.max():g}"
