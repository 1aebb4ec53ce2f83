"""Ufuncs on faces: `np.add(x, y, out=..., where=...)`, `.reduce`, `.accumulate`, `.outer`, `.at`.

Comes in: a ufunc, a method, inputs (faces, arrays, scalars, lists) and NumPy's keywords. Goes out:
faces and scalars, or what NumPy itself makes of it, counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dualflow.base.errors import DualflowError
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.promotion import SCALARS

from . import crossing, layout, made, plans
from .made import FACES

Tensor = Any
_generic, _ndarray = np.generic, np.ndarray
#: (ufunc, method) -> implementation with the method's own signature
METHODS: dict[tuple[np.ufunc, str], Callable[..., Any]] = {}


class NotCoveredError(Exception):
    """No operation does this: NumPy has to."""


#: what `covered` raises where NumPy shall compute it, or raise its own error
REFUSED = (NotCoveredError, DualflowError, OverflowError, TypeError)


def operand(x: Any) -> Any:
    """A ufunc's input as a tensor, a NumPy scalar or a Python scalar.

    Raises:
        NotCoveredError: it is none, or of a dtype that tensors do not have.
    """
    kind = type(x)
    if kind in FACES:
        return x._tensor
    if kind in SCALARS:
        return x
    if kind is complex:
        return np.complex128(x) if complex not in SCALARS else x
    if isinstance(x, _generic):
        if crossing.supported(x.dtype):
            return x
        raise NotCoveredError
    if kind is list or kind is tuple:
        x = np.asarray(crossing.unwrap_all(x))
    if crossing.has_face(x):
        return crossing.tensor_of(x)
    raise NotCoveredError


def dtype_of(dtype: Any) -> np.dtype | None:
    """The dtype that an argument `dtype` names: a class of dtypes, too."""
    if isinstance(dtype, type) and issubclass(dtype, np.dtype):
        return dtype()  # type: ignore[call-overload]
    return None if dtype is None else np.dtype(dtype)


def kind_of(x: Any) -> Any:
    """The dtype of a tensor or NumPy scalar, the type of a Python scalar."""
    return type(x) if type(x) in SCALARS else x.dtype


def compute(ufunc: np.ufunc, operands: Sequence[Any], dtype: np.dtype | None = None) -> Any:
    """The tensor, or the tuple of tensors, that `ufunc` gives for operands as `operand` makes them.

    Raises:
        NotCoveredError: no operation computes this loop.
    """
    plan = plans.plan(ufunc, tuple([kind_of(x) for x in operands]), dtype)
    if plan is None:
        raise NotCoveredError
    tensors, given = [], []
    for x, wanted in zip(operands, plan.dtypes, strict=True):
        if isinstance(x, _generic):
            x = x.astype(wanted).item()
        elif type(x) not in SCALARS:
            tensors.append(x)
        given.append(x)
    if not tensors:
        raise NotCoveredError
    casts = plan.casts
    if casts is None:
        return layout.laid(plan.compute, given, tensors)

    def cast_first(*operands: Any) -> Any:
        return plan.compute(*[
            x if dtype is None or type(x) in SCALARS else p.cast(x, dtype=dtype)
            for x, dtype in zip(operands, casts, strict=True)
        ])  # fmt: skip

    return layout.laid(cast_first, given, tensors)


def apply_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: Any) -> Any:
    """What `ufunc` (method "__call__") or a method of it gives; see `ndarray.__array_ufunc__`."""
    try:
        return covered(ufunc, method, inputs, kwargs)
    except REFUSED:
        pass  # NumPy computes it, or raises its own error
    function = ufunc if method == "__call__" else getattr(ufunc, method)
    return crossing.real(function, inputs, kwargs)


def called(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    """`ufunc(*inputs)`; straight to the door where one operation takes the operands as they are."""
    key: list[Any] = [ufunc, None]
    operands = []
    for x in inputs:
        kind = type(x)
        if kind in FACES:
            tensor = x._tensor
            if not layout.packed(tensor):
                break
            key.append(tensor.dtype)
            operands.append(tensor)
        elif kind in SCALARS:
            key.append(kind)
            operands.append(x)
        else:
            break
    else:
        plan = plans.known(tuple(key))
        if plan is not None and plan.op is not None and plan.casts is None:
            try:
                return made.result(door.elementwise(plan.op, *operands))
            except REFUSED:
                pass
    return apply_ufunc(ufunc, "__call__", inputs, {})


def covered(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: Any) -> Any:
    """`apply_ufunc` by operations alone.

    Raises:
        NotCoveredError: there are none. Others of `REFUSED`: NumPy has to say whether it is right.
    """
    implementation = METHODS.get((ufunc, method))
    if implementation is not None:
        return implementation(*inputs, **kwargs)
    if method == "__call__":
        return _called(ufunc, inputs, **kwargs)
    if method == "outer" and not kwargs:
        return _outer(ufunc, *inputs)
    raise NotCoveredError


def _called(
    ufunc: np.ufunc,
    inputs: tuple[Any, ...],
    out: Any = None,
    where: Any = True,
    dtype: Any = None,
    casting: str = "same_kind",
    order: str = "K",
    subok: bool = True,
) -> Any:
    if len(inputs) > ufunc.nin:
        inputs, out = inputs[: ufunc.nin], inputs[ufunc.nin :]
    if len(inputs) < ufunc.nin or ufunc.signature is not None:
        raise NotCoveredError
    if order != "K" or casting not in ("same_kind", "unsafe"):
        raise NotCoveredError
    operands = [operand(x) for x in inputs]
    asked = dtype_of(dtype)
    if where is not True and where is not np._NoValue:  # type: ignore[attr-defined]
        return _masked(ufunc, operands, out, where, asked, casting)
    found = compute(ufunc, operands, asked)
    if out is None:
        return made.results(found)
    outs: tuple[Any, ...] = out if type(out) is tuple else (out,)
    if len(outs) == 1 and outs[0] is Ellipsis:
        return made.face(found)
    results = found if type(found) is tuple else (found,)
    if len(outs) != len(results) or (len(outs) > 1 and any(x is not None for x in outs)):
        raise NotCoveredError
    given = [
        made.result(value) if target is None else stored(target, value, casting)
        for target, value in zip(outs, results, strict=True)
    ]
    return tuple(given) if len(given) > 1 else given[0]


def stored(target: Any, value: Tensor, casting: str = "same_kind") -> Any:
    """`target`, the face given as `out`, with `value` written into it.

    Raises:
        NotCoveredError: NumPy refuses it, or `target` is no face.
    """
    if type(target) not in FACES or target.is_scalar:
        raise NotCoveredError
    write(target._tensor, value, casting)
    return target


def stored_whole(target: Any, value: Tensor, casting: str = "same_kind") -> Any:
    """`stored`, where `out` must have the very shape of the result, as for reductions."""
    if getattr(target, "shape", None) != value.shape:
        raise NotCoveredError
    return stored(target, value, casting)


def write(target: Tensor, value: Tensor, casting: str = "same_kind") -> None:
    """Store `value` in the memory of `target`, broadcast and cast.

    Raises:
        NotCoveredError: the shapes or dtypes do not allow it.
    """
    dtype, shape = target.dtype, target.shape
    if value.dtype != dtype:
        if not np.can_cast(value.dtype, dtype, casting):  # type: ignore[arg-type]
            raise NotCoveredError
        value = p.cast(value, dtype=dtype)
    if value.shape != shape:
        value = p.expand(value, shape=shape)
    door.write(target, value)


def _masked(
    ufunc: np.ufunc, operands: list[Any], out: Any, where: Any, dtype: Any, casting: str
) -> Any:
    """With `where`: elements elsewhere keep what `out` holds (without `out` NumPy warns)."""
    if out is None or ufunc.nout != 1 or ufunc in (np.power, np.float_power):
        raise NotCoveredError  # a power may raise on elements that are not wanted
    mask = operand(where)
    if kind_of(mask) not in (bool, np.dtype(bool)):
        raise NotCoveredError
    if isinstance(mask, (bool, np.bool)):
        mask = p.full(shape=(), value=bool(mask), dtype=np.dtype(bool))
    found = compute(ufunc, operands, dtype)
    if type(out) is tuple:
        (out,) = out
    if type(out) not in FACES:
        raise NotCoveredError
    old = out._tensor
    if not np.can_cast(found.dtype, old.dtype, casting):  # type: ignore[arg-type]
        raise NotCoveredError
    if found.dtype != old.dtype:
        found = p.cast(found, dtype=old.dtype)
    return stored(out, p.where.of(mask, found, old))


def _outer(ufunc: np.ufunc, x: Any, y: Any) -> Any:
    if ufunc.nin != 2 or ufunc.nout != 1 or ufunc.signature is not None:
        raise NotCoveredError
    a, b = operand(x), operand(y)
    rank = len(getattr(b, "shape", ()))
    if rank and hasattr(a, "shape") and a.shape:
        a = p.reshape(a, shape=a.shape + (1,) * rank)
    return made.results(compute(ufunc, (a, b)))
