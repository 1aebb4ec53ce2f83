"""What a call of NumPy is in the graph: the face's own implementation, run where it is only noted.

Comes in: a callable of NumPy with stand-ins, Numbers and constants. Goes out: the stand-ins of
its results. NotCovered is raised where the face would have NumPy compute.
"""

from __future__ import annotations

import operator as o
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dualflow.array import face
from dualflow.array.face.fallbacks import state as fallbacks
from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import bool_
from dualflow.ops import primitives as p

from ..kinds import SCALAR_TYPES
from .arrays import Arrays, Number
from .library import Scalar
from .memory import leaves
from .noting import NotCovered

_FLOATS = frozenset([np.dtype("float64"), np.dtype("complex128"), bool_])
#: what operators of Python are on faces
_METHODS: dict[Any, Callable[..., Any]] = {
    o.getitem: lambda x, key: _item(x, key), o.setitem: face.Face.__setitem__,
}  # fmt: skip


class Attribute:
    """An attribute of an array as a function of the array."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, array: Any) -> Any:
        return getattr(array, self.__name__)


#: attributes that NumPy computes, as functions
ATTRIBUTES = {name: Attribute(name) for name in ("T", "mT", "real", "imag")}


#: what gives the real and imaginary parts of an array
_PARTS = {
    ATTRIBUTES["real"]: "real", np.real: "real", ATTRIBUTES["imag"]: "imag", np.imag: "imag",
}  # fmt: skip


def part_of(function: Any, operands: Sequence[Any], keywords: dict[str, Any]) -> str | None:
    """Which part of a complex array a call gives; None if it is no such call."""
    name = _PARTS.get(function)
    complex_array = name and len(operands) == 1 and not keywords and type(operands[0]) is Tensor
    return name if complex_array and operands[0].dtype.kind == "c" else None


def _item(x: Any, key: Any) -> Any:
    """`x[key]`; a scalar from an array may be the key."""
    if type(key) is face.Scalar and key.dtype.kind in "iu" and x.ndim == 1:
        return face.Face._of(p.take(x._tensor, key._tensor, axis=0))
    return x[key]


def noted(arrays: Arrays, function: Any, operands: Sequence[Any], keywords: dict[str, Any]) -> Any:
    """The stand-ins of what `function` gives.

    Raises:
        NotCovered: there is no implementation that needs no values.
    """
    dtypes = _dtypes(function, operands)
    args = [_face(x, dtype) for x, dtype in zip(operands, dtypes, strict=True)]
    named = {name: _face(x, _weak(operands)) for name, x in keywords.items()}
    implementation = _implementation(function)
    before, fallbacks.on_fallback = fallbacks.on_fallback, _refuse
    try:
        return _tensors(implementation(*args, **named))
    finally:
        fallbacks.on_fallback = before


def _refuse(name: str, why: str) -> None:
    raise NotCovered(why)


def _implementation(function: Any) -> Callable[..., Any]:
    found = _METHODS.get(function)
    if found is not None or isinstance(function, Attribute):
        return found or function
    if type(function) is type(np.ndarray.sum):  # a method of ndarray
        return getattr(face.Face, function.__name__)
    if isinstance(function, type):
        return lambda x: _cast(x, np.dtype(function))
    return lambda *args, **kwargs: face.call(function, args, kwargs)


def _cast(x: Any, dtype: np.dtype) -> Any:
    if type(x) not in (face.Face, face.Scalar):
        raise NotCovered("a scalar of something that is no array")
    return face.Face._of(p.cast(x._tensor, dtype=dtype))


# Operands -----------------------------------------------------------------------------------


def _dtypes(function: Any, operands: Sequence[Any]) -> Sequence[np.dtype | None]:
    """The dtype that a Python number has at each place."""
    if not any(type(x) is Number for x in leaves(operands)):
        return [None] * len(operands)
    if isinstance(function, np.ufunc) and function.signature is None:
        kinds = [_kind(x) for x in operands[: function.nin]]
        if None not in kinds:
            found = function.resolve_dtypes((*kinds, *(None,) * function.nout))
            return found[: len(operands)]
    if function is o.setitem:
        return [None, None, operands[0].dtype]
    if function in SCALAR_TYPES:
        return [np.dtype(function)]
    return [_weak(operands)] * len(operands)


def _kind(x: Any) -> Any:
    """What the loop of a ufunc depends on."""
    if type(x) is Number:
        return type(x.value)
    if type(x) in (bool, int, float, complex):
        return type(x)
    return x.tensor.dtype if type(x) is Scalar else getattr(x, "dtype", None)


def _weak(operands: Sequence[Any]) -> np.dtype | None:
    """The dtype of a Python float in a function of `operands`; None if that is not sure."""
    found = {_kind(x) for x in leaves(operands) if type(x) in (Tensor, Scalar)}
    return np.dtype(float) if found <= _FLOATS else None


def _face(x: Any, dtype: np.dtype | None) -> Any:
    """An operand as the face's functions take it."""
    kind = type(x)
    if kind is Tensor:
        return face.Face._of(x)
    if kind is Scalar:
        return face.Scalar._of(x.tensor)
    if kind is Number:
        fits = dtype is not None and dtype.kind in ("iuf" if type(x.value) is int else "f")
        made = x.tensor(dtype) if fits else None  # type: ignore[arg-type]
        return x.pinned() if made is None else face.Scalar._of(made)
    if kind in (list, tuple):
        return kind(_face(item, dtype) for item in x)
    return x


def _tensors(made: Any) -> Any:
    """The tensors of what a function of the face gave."""
    if type(made) in (face.Face, face.Scalar):
        return made._tensor
    if isinstance(made, (list, tuple)):
        return [_tensors(item) for item in made]
    return made
