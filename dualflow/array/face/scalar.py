"""Scalar: what a NumPy scalar is while its value is not known yet, one final class.

It never changes, and its `__class__` is that of the NumPy scalar it stands for. Whatever Python
needs of it (a truth, a hash, a text) computes it.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any, final

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.ops import primitives as p

from . import crossing, made, ndarray, operators

_new = object.__new__


def _own(name: str) -> Callable[..., Any]:
    """The method `name` of the real scalar."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(crossing.unwrap(self), name)(*args, **kwargs)

    call.__name__ = name
    return call


def _arrays(name: str) -> Callable[..., Any]:
    """The method `name` of an array without axes, whose result is a scalar again."""
    function = getattr(ndarray.Face, name)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = function(made.face(p.cast(self._tensor, dtype=self.dtype)), *args, **kwargs)
        is_array = type(found) is ndarray.Face and not found.shape
        return made.scalar(found._tensor) if is_array else found

    call.__name__ = name
    return call


@final
class Scalar:
    """A scalar of a dtype that tensors have."""

    __slots__ = ("__weakref__", "_tensor")

    _tensor: Tensor
    is_scalar = True
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    ndim, size, base, device = 0, 1, None, "cpu"

    @staticmethod
    def _of(tensor: Tensor) -> Scalar:
        """The scalar of a tensor of shape (), which nobody will write to."""
        scalar = _new(Scalar)
        scalar._tensor = tensor
        return scalar

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return self._tensor.dtype.type

    @property
    def dtype(self) -> np.dtype:
        return self._tensor.dtype

    @property
    def itemsize(self) -> int:
        return self._tensor.dtype.itemsize

    nbytes = itemsize

    @property
    def T(self) -> Any:  # noqa: N802  (NumPy's name)
        return self

    @property
    def real(self) -> Any:
        return self if self._tensor.dtype.kind != "c" else crossing.unwrap(self).real

    @property
    def imag(self) -> Any:
        return crossing.unwrap(self).imag

    @property
    def numerator(self) -> Any:
        return crossing.unwrap(self).numerator

    @property
    def denominator(self) -> Any:
        return crossing.unwrap(self).denominator

    @property
    def flags(self) -> Any:
        return crossing.unwrap(self).flags

    @property
    def flat(self) -> Any:
        return crossing.unwrap(self).flat

    @property
    def data(self) -> Any:
        return crossing.unwrap(self).data

    __array_priority__ = -1000000.0
    __array_ufunc__ = ndarray.Face.__array_ufunc__
    __array_function__ = ndarray.Face.__array_function__

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return crossing.values(self).astype(dtype or self.dtype)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()]

    __bool__, __int__, __float__, __complex__ = map(
        _own, ("__bool__", "__int__", "__float__", "__complex__")
    )
    __hash__, __repr__, __str__ = map(_own, ("__hash__", "__repr__", "__str__"))
    __format__, __reduce_ex__, __round__ = map(_own, ("__format__", "__reduce_ex__", "__round__"))
    __floor__, __ceil__, __trunc__ = map(_own, ("__floor__", "__ceil__", "__trunc__"))
    __getitem__ = _own("__getitem__")
    item, tolist, tobytes = map(_own, ("item", "tolist", "tobytes"))
    is_integer, as_integer_ratio, hex = map(_own, ("is_integer", "as_integer_ratio", "hex"))
    view, bit_count, fromhex = map(_own, ("view", "bit_count", "fromhex"))
    sort, argsort, searchsorted = map(_own, ("sort", "argsort", "searchsorted"))
    nonzero, diagonal, trace = map(_own, ("nonzero", "diagonal", "trace"))
    choose, compress, put, fill = map(_own, ("choose", "compress", "put", "fill"))
    byteswap, getfield, setfield = map(_own, ("byteswap", "getfield", "setfield"))
    setflags, resize, swapaxes = map(_own, ("setflags", "resize", "swapaxes"))
    dump, dumps, tofile, to_device = map(_own, ("dump", "dumps", "tofile", "to_device"))
    __array_namespace__ = _own("__array_namespace__")

    def __index__(self) -> int:
        return index(crossing.unwrap(self))

    def __setitem__(self, key: Any, value: Any) -> None:
        name = self._tensor.dtype.type.__name__
        raise TypeError(f"'numpy.{name}' object does not support item assignment")

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    __add__, __radd__ = operators.add, operators.radd
    __sub__, __rsub__ = operators.sub, operators.rsub
    __mul__, __rmul__ = operators.mul, operators.rmul
    __truediv__, __rtruediv__ = operators.truediv, operators.rtruediv
    __floordiv__, __rfloordiv__ = operators.floordiv, operators.rfloordiv
    __mod__, __rmod__ = operators.mod, operators.rmod
    __divmod__, __rdivmod__ = operators.divmod_, operators.rdivmod
    __pow__, __rpow__ = operators.power, operators.rpower
    __matmul__, __rmatmul__ = operators.matmul, operators.rmatmul
    __and__, __rand__ = operators.and_, operators.rand
    __or__, __ror__ = operators.or_, operators.ror
    __xor__, __rxor__ = operators.xor, operators.rxor
    __lshift__, __rlshift__ = operators.lshift, operators.rlshift
    __rshift__, __rrshift__ = operators.rshift, operators.rrshift
    __eq__, __ne__ = operators.eq, operators.ne  # type: ignore[assignment]
    __lt__, __le__, __gt__, __ge__ = operators.lt, operators.le, operators.gt, operators.ge
    __neg__, __pos__ = operators.neg, operators.pos
    __abs__, __invert__ = operators.absolute, operators.invert

    astype, copy, round, clip = map(_arrays, ("astype", "copy", "round", "clip"))
    sum, prod, max, min, mean = map(_arrays, ("sum", "prod", "max", "min", "mean"))
    any, all, var, std = map(_arrays, ("any", "all", "var", "std"))
    argmax, argmin, cumsum, cumprod = map(_arrays, ("argmax", "argmin", "cumsum", "cumprod"))
    reshape, ravel, flatten = map(_arrays, ("reshape", "ravel", "flatten"))
    squeeze, transpose, repeat, take = map(_arrays, ("squeeze", "transpose", "repeat", "take"))
    conj, conjugate, dot = map(_arrays, ("conj", "conjugate", "dot"))


made.install(ndarray.Face, Scalar)
ndarray.Face.__name__ = ndarray.Face.__qualname__ = "ndarray"  # in messages, and printed types
