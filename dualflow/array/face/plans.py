"""Which loop a ufunc takes for operands of given types, and which operation computes it.

Comes in: a ufunc and the kinds of its operands: dtypes, or int, float, bool and complex for Python
scalars, which are weak. Goes out: a `Plan`, looked up in one dictionary from the second time on.
NumPy itself is asked for the dtypes (`resolve_dtypes`), so promotion is its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.base.errors import DualflowError
from dualflow.base.records import record
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType
from dualflow.ops.promotion import operand_dtypes
from dualflow.ops.record import Strict

from .crossing import supported

Kind = np.dtype | type
#: what computes a ufunc on tensors and Python scalars of the dtypes of a loop; None if it cannot
Composition = Callable[..., Any]


@record
class Plan:
    """How one ufunc is computed for operands of certain kinds.

    Attributes:
        compute: takes the operands, cast; gives a tensor, or a tuple of them.
        casts: the dtype to which each operand is cast; None where nothing is.
        dtypes: those of the loop's operands.
        results: those of its results.
        op: the one elementwise op that `compute` is, if it is one.
    """

    compute: Composition
    casts: tuple[np.dtype | None, ...] | None
    dtypes: tuple[np.dtype, ...]
    results: tuple[np.dtype, ...]
    op: Op | None


#: ufunc -> primitives that compute it, the first whose rule takes the dtypes of the loop
DIRECT: dict[np.ufunc, tuple[Strict, ...]] = {}
#: ufunc -> `composition(dtypes)`, which gives the function for a loop, or None
COMPOSED: dict[np.ufunc, Callable[[tuple[np.dtype, ...]], Composition | None]] = {}
#: (ufunc, dtype of the result that is asked for, *kinds) -> Plan; None: NumPy computes it
_plans: dict[tuple[Any, ...], Plan | None] = {}
_MISSING = object()
_BOOL = np.dtype(bool)


def plan(ufunc: np.ufunc, kinds: tuple[Kind, ...], dtype: np.dtype | None = None) -> Plan | None:
    """The plan for `ufunc` of operands of `kinds`, with the loop for `dtype` if one is given."""
    key = (ufunc, dtype, *kinds)
    found = _plans.get(key, _MISSING)
    if found is _MISSING:
        found = _plans[key] = _made(ufunc, kinds, dtype)
    return found  # type: ignore[return-value]


#: the plan for a key of (ufunc, dtype, *kinds) that was asked for before
known = _plans.get


def _made(ufunc: np.ufunc, kinds: tuple[Kind, ...], dtype: np.dtype | None) -> Plan | None:
    asked: dict[str, Any] = {}
    if dtype is not None:
        asked["signature"] = (*(None,) * ufunc.nin, *(dtype,) * ufunc.nout)
    try:
        given = [_BOOL if kind is bool else kind for kind in kinds]
        loop = ufunc.resolve_dtypes((*given, *(None,) * ufunc.nout), **asked)
    except (TypeError, ValueError):
        return None  # NumPy says why
    dtypes, results = loop[: ufunc.nin], loop[ufunc.nin :]
    if not all(map(supported, loop)):
        return None
    casts = tuple(
        wanted if isinstance(kind, np.dtype) and kind != wanted else None
        for kind, wanted in zip(kinds, dtypes, strict=True)
    )
    kept = casts if any(cast is not None for cast in casts) else None
    strict = _direct(ufunc, kinds, dtypes, results)
    if strict is not None:
        return Plan(strict.of, kept, dtypes, results, strict.op)
    composed = COMPOSED.get(ufunc)
    compute = composed(dtypes) if composed is not None else None
    return None if compute is None else Plan(compute, kept, dtypes, results, None)


def _direct(
    ufunc: np.ufunc,
    kinds: tuple[Kind, ...],
    dtypes: tuple[np.dtype, ...],
    results: tuple[np.dtype, ...],
) -> Strict | None:
    """The primitive that is this loop: door.elementwise takes its operands, once cast, as they
    are and gives the loop's dtype."""
    cast = tuple(
        wanted if isinstance(kind, np.dtype) else kind
        for kind, wanted in zip(kinds, dtypes, strict=True)
    )
    for strict in DIRECT.get(ufunc, ()):
        if dtypes[0].kind == "c" and strict.op.numpy is not ufunc:
            continue  # its rounding is not NumPy's
        try:
            (out,) = strict.op.infer(tuple(TensorType((), dtype) for dtype in dtypes), {})
            if (out.dtype,) == results and operand_dtypes(strict.op, cast) == dtypes:
                return strict
        except DualflowError:
            continue
    return None
