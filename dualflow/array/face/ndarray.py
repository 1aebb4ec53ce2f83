"""Face: the ndarray of a compiled NumPy function, one final class in every mode.

Its operators, methods, dtypes and promotion are NumPy's, and its `__class__` is `np.ndarray`. Its
values are a tensor's: real, noted, or pending. `Scalar` is what NumPy's scalars are beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base.shapes import size_of
from dualflow.ops import primitives as p

from . import (
    borrowed,
    creation,
    crossing,
    indexing,
    layout,
    linear,
    made,
    methods,
    operators,
    shapes,
    statistics,
    ufuncs,
)
from .flags import Flags
from .flat import Flat
from .implementations import call, method, numpys
from .made import FACES

_new = object.__new__


@final
class Face:
    """An array; see `wrap` and `fresh` for making one."""

    __slots__ = ("__weakref__", "_base", "_tensor")

    _tensor: Tensor
    _base: Any
    is_scalar = False

    @staticmethod
    def _of(tensor: Tensor, base: Any = None) -> Face:
        """The array that shows `tensor`; a view of `base`."""
        face = _new(Face)
        face._tensor = tensor
        face._base = base
        return face

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return np.ndarray

    # What it is -----------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._tensor.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        x = self._tensor
        users = x._storage is not None and x._storage.exposed and not x._view
        if not users:  # no ndarray that the user holds changes with it
            made = self.reshape(shape)._tensor
            if made._storage is not None and made._storage is x._storage:
                self._tensor = made
                return
        self._changed("shape", shape)

    @property
    def dtype(self) -> np.dtype:
        return self._tensor.dtype

    @dtype.setter
    def dtype(self, dtype: Any) -> None:
        self._changed("dtype", dtype)

    @property
    def strides(self) -> tuple[int, ...]:
        return layout.strides(self._tensor)

    @strides.setter
    def strides(self, strides: Any) -> None:
        self._changed("strides", strides)

    def _changed(self, name: str, value: Any) -> None:
        """Set an attribute that changes how memory is shown: on the real array."""
        array = crossing.values(self)
        setattr(array, name, value)
        self._tensor._memory().exposed = True
        self._tensor = crossing.tensor_of(array)

    @property
    def ndim(self) -> int:
        return len(self._tensor.shape)

    @property
    def size(self) -> int:
        return size_of(self._tensor.shape)

    @property
    def itemsize(self) -> int:
        return self._tensor.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self._tensor.dtype.itemsize

    @property
    def base(self) -> Any:
        if self._base is not None:  # NumPy names the array that owns the memory
            owner = self._base.base
            return self._base if owner is None else owner
        storage, array = self._tensor._storage, self._tensor._array
        if storage is None or not storage.exposed or array is None:
            return None
        return array.base

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def T(self) -> Any:  # noqa: N802  (NumPy's name)
        return self.transpose()

    @property
    def mT(self) -> Any:  # noqa: N802
        if self.ndim < 2:
            raise ValueError("matrix transpose with ndim < 2 is undefined")
        return self.swapaxes(-1, -2)

    @property
    def real(self) -> Any:
        if self._tensor.dtype.kind != "c":
            return self
        return crossing.real(_real, (self,), {})

    @real.setter
    def real(self, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> Any:
        dtype = self._tensor.dtype
        if dtype.kind not in "iuf":
            return crossing.real(_imag, (self,), {})
        zeros = creation.like(self, 0, None, "A", None)
        if zeros._tensor._array is not None:
            zeros._tensor._array.flags.writeable = False
        return zeros

    @imag.setter
    def imag(self, value: Any) -> None:
        if self._tensor.dtype.kind != "c":
            raise TypeError("array does not have imaginary part to set")
        self.imag[...] = value

    @property
    def flags(self) -> Any:
        return Flags(self)

    # Memory as such: code that sees it may write it.

    @property
    def data(self) -> memoryview:
        return self._exported().data

    @property
    def ctypes(self) -> Any:
        return self._exported().ctypes

    def _exported(self) -> np.ndarray:
        self._tensor._memory().exposed = True
        return crossing.values(self)

    @property
    def flat(self) -> Any:
        return Flat(self)

    @flat.setter
    def flat(self, value: Any) -> None:
        Flat(self)[:] = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is None:
            array = self._exported()
            return array if dtype is None else array.astype(dtype, copy=False)
        return np.array(crossing.values(self), dtype=dtype, copy=copy)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        if return_scalar and array.ndim == 0:
            return array[()]
        return array if type(array) in FACES else crossing.wrap(array)

    def __array_ufunc__(self, ufunc: Any, how: str, *inputs: Any, **kwargs: Any) -> Any:
        if not kwargs and how == "__call__":
            return ufuncs.called(ufunc, inputs)
        return ufuncs.apply_ufunc(ufunc, how, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if all(kind in FACES or issubclass(kind, np.ndarray) for kind in types):
            return call(function, args, kwargs)
        return crossing.real(function, args, kwargs)

    def __dlpack__(self, **options: Any) -> Any:
        return self._exported().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # kDLCPU

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return np.empty(0).__array_namespace__(api_version=api_version)  # type: ignore[arg-type]

    def __buffer__(self, flags: int) -> memoryview:
        return self._exported().data

    __array_priority__ = 0.0

    # Values that Python needs ---------------------------------------------------------------

    def __len__(self) -> int:
        shape = self._tensor.shape
        if not shape:
            raise TypeError("len() of unsized object")
        return shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self._tensor.shape:
            raise TypeError("iteration over a 0-d array")
        return map(self.__getitem__, range(self._tensor.shape[0]))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    def __bool__(self) -> bool:
        return bool(crossing.values(self))

    def __int__(self) -> int:
        return int(crossing.values(self))  # type: ignore[call-overload]

    def __float__(self) -> float:
        return float(crossing.values(self))

    def __complex__(self) -> complex:
        return complex(crossing.values(self))  # type: ignore[call-overload]

    def __index__(self) -> int:
        return crossing.values(self).__index__()

    def __repr__(self) -> str:
        return repr(crossing.values(self))

    def __str__(self) -> str:
        return str(crossing.values(self))

    def __format__(self, spec: str) -> str:
        return format(crossing.values(self), spec)

    def item(self, *index: Any) -> Any:
        return crossing.values(self).item(*index)

    def tolist(self) -> Any:
        return crossing.values(self).tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        return crossing.values(self).tobytes(order)

    def tofile(self, *args: Any, **kwargs: Any) -> None:
        crossing.values(self).tofile(*args, **kwargs)

    def dump(self, file: Any) -> None:
        crossing.values(self).dump(file)

    def dumps(self) -> bytes:
        return crossing.values(self).dumps()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return crossing.values(self).__reduce_ex__(protocol)

    def __copy__(self) -> Any:
        return made.face(layout.copied(self._tensor, "K"))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return made.face(layout.copied(self._tensor, "K"))

    def __sizeof__(self) -> int:
        return crossing.values(self).__sizeof__()

    __hash__ = None  # type: ignore[assignment]

    # Operators ------------------------------------------------------------------------------

    __getitem__, __setitem__ = indexing.getitem, indexing.setitem

    def __delitem__(self, index: Any) -> None:
        raise ValueError("cannot delete array elements")

    __add__, __radd__, __iadd__ = operators.add, operators.radd, operators.iadd
    __sub__, __rsub__, __isub__ = operators.sub, operators.rsub, operators.isub
    __mul__, __rmul__, __imul__ = operators.mul, operators.rmul, operators.imul
    __truediv__, __rtruediv__ = operators.truediv, operators.rtruediv
    __itruediv__ = operators.itruediv
    __floordiv__, __rfloordiv__ = operators.floordiv, operators.rfloordiv
    __ifloordiv__ = operators.ifloordiv
    __mod__, __rmod__, __imod__ = operators.mod, operators.rmod, operators.imod
    __divmod__, __rdivmod__ = operators.divmod_, operators.rdivmod
    __pow__, __rpow__, __ipow__ = operators.power, operators.rpower, operators.ipower
    __matmul__, __rmatmul__ = operators.matmul, operators.rmatmul
    __imatmul__ = operators.imatmul
    __and__, __rand__, __iand__ = operators.and_, operators.rand, operators.iand
    __or__, __ror__, __ior__ = operators.or_, operators.ror, operators.ior
    __xor__, __rxor__, __ixor__ = operators.xor, operators.rxor, operators.ixor
    __lshift__, __rlshift__, __ilshift__ = operators.lshift, operators.rlshift, operators.ilshift
    __rshift__, __rrshift__, __irshift__ = operators.rshift, operators.rrshift, operators.irshift
    __eq__, __ne__ = operators.eq, operators.ne  # type: ignore[assignment]
    __lt__, __le__, __gt__, __ge__ = operators.lt, operators.le, operators.gt, operators.ge
    __neg__, __pos__ = operators.neg, operators.pos
    __abs__, __invert__ = operators.absolute, operators.invert

    # Methods --------------------------------------------------------------------------------

    reshape, ravel = method("reshape", shapes.reshape), method("ravel", shapes.ravel)
    flatten, transpose = method("flatten", shapes.flatten), method("transpose", shapes.transpose)
    swapaxes, squeeze = method("swapaxes", shapes.swapaxes), method("squeeze", shapes.squeeze)
    copy, astype = method("copy", shapes.copy), method("astype", shapes.astype)
    repeat, take = method("repeat", shapes.repeat), method("take", shapes.take)
    sum, prod = method("sum", methods.folding(np.add)), method("prod", methods.folding(np.multiply))
    max = method("max", methods.extreme(np.maximum))
    min = method("min", methods.extreme(np.minimum))
    any = method("any", methods.deciding(np.logical_or))
    all = method("all", methods.deciding(np.logical_and))
    argmax = method("argmax", methods.positioned(p.argmax))
    argmin = method("argmin", methods.positioned(p.argmin))
    cumsum = method("cumsum", methods.running(p.cumsum))
    cumprod = method("cumprod", methods.running(p.cumprod))
    round, clip = method("round", methods.rounded), method("clip", borrowed.method("_clip"))
    mean, var = method("mean", statistics.mean), method("var", statistics.var)
    std = method("std", statistics.std)
    sort, argsort = method("sort", methods.sort), method("argsort", methods.argsort)
    nonzero, dot = method("nonzero", methods.nonzero), method("dot", linear.dot)
    diagonal, trace = method("diagonal", methods.diagonal), method("trace", methods.trace)
    fill = method("fill", methods.fill)
    conj = conjugate = method("conjugate", methods.conjugate)
    argpartition, partition = numpys("argpartition"), numpys("partition")
    byteswap, choose, compress = numpys("byteswap"), numpys("choose"), numpys("compress")
    getfield, setfield, setflags = numpys("getfield"), numpys("setfield"), numpys("setflags")
    searchsorted = method("searchsorted", methods.searchsorted)
    put, view = numpys("put"), numpys("view")
    __setstate__ = numpys("__setstate__")

    resize = method("resize", shapes.resize)

    def to_device(self, device: Any, /, *, stream: Any = None) -> Any:
        """ndarray.to_device: this array, for "cpu"."""
        np.empty(0).to_device(device, stream=stream)
        return self


def _real(array: Any) -> np.ndarray:
    return array.real


def _imag(array: Any) -> np.ndarray:
    return array.imag
