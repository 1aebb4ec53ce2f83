"""NumPy's own Python functions, run on faces: np.gradient, np.percentile, np.linalg.norm, ...

    borrowed(function) = the same code, in a copy of its module's names in which `asanyarray`,
    `zeros` and the rest of the table keep faces what they are

Comes in: functions that NumPy writes in Python. Goes out: functions of the same meaning whose array
operations pass the door one by one, so that they fuse like the user's own.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import warnings
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, final

import numpy as np

from . import crossing, ufuncs
from .implementations import IMPLEMENTATIONS, backed
from .made import FACES

#: Modules whose Python functions are array programs; all others are called as they are.
_MODULES = frozenset((
    "numpy._core._methods", "numpy._core.fromnumeric", "numpy._core.function_base",
    "numpy._core.numeric", "numpy._core.shape_base", "numpy.fft._helper",
    "numpy.fft._pocketfft", "numpy.lib._arraypad_impl", "numpy.lib._arraysetops_impl",
    "numpy.lib._function_base_impl", "numpy.lib._histograms_impl", "numpy.lib._index_tricks_impl",
    "numpy.lib._nanfunctions_impl", "numpy.lib._polynomial_impl", "numpy.lib._scimath_impl",
    "numpy.lib._shape_base_impl", "numpy.lib._stride_tricks_impl", "numpy.lib._twodim_base_impl",
    "numpy.lib._type_check_impl", "numpy.lib._ufunclike_impl", "numpy.linalg._linalg",
))  # fmt: skip
#: Functions of these modules that do no array arithmetic, or whose code reaches into memory.
_AS_THEY_ARE = frozenset((
    "array_repr", "array_str", "array2string", "as_strided", "asmatrix", "bmat", "broadcast_arrays",
    "broadcast_shapes", "fromfunction", "frompyfunc", "get_include", "isdtype", "isfortran",
    "issubdtype", "mintypecode", "require", "sliding_window_view", "typename", "vectorize",
    "digitize", "nanpercentile", "nanquantile", "nanmedian",
    "histogram", "histogram2d", "histogramdd", "histogram_bin_edges", "unique",
    "unique_all", "unique_counts", "unique_inverse", "unique_values", "isin", "intersect1d",
    "setdiff1d", "setxor1d", "union1d", "partition", "argpartition", "interp", "place", "polyfit",
))  # fmt: skip
#: What makes arrays of Python's values.
_CONSTANTS = frozenset((np.array, np.asarray, np.asanyarray, np.ascontiguousarray))
#: Generated code has this folder in its name, so that a user's line is not sought in it.
_FOLDER = os.path.dirname(os.path.abspath(__file__))
#: module -> the copy of its names
_names: dict[str, dict[str, Any]] = {}


def borrowed(function: Any) -> Callable[..., Any] | None:
    """`function` of NumPy, on faces; None if its code is not Python's, or no array program."""
    plain = getattr(function, "_implementation", function)
    if not isinstance(plain, FunctionType) or plain.__module__ is None:
        return None
    if plain.__globals__["__name__"] not in _MODULES or plain.__name__ in _AS_THEY_ARE:
        return None
    return _rehomed(plain)


def method(name: str) -> Callable[..., Any]:
    """The function of `numpy._core._methods` that is a method of ndarray, made when first used."""

    @functools.cache
    def found() -> Callable[..., Any]:
        return _rehomed(getattr(sys.modules["numpy._core._methods"], name))

    return lambda *args, **kwargs: found()(*args, **kwargs)


@functools.cache
def _rehomed(function: FunctionType) -> Callable[..., Any]:
    code = function.__code__.replace(
        co_filename=os.path.join(_FOLDER, "numpy", os.path.basename(function.__code__.co_filename))
    )
    made = FunctionType(
        code,
        _home(sys.modules[function.__globals__["__name__"]]),
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _home(module: ModuleType) -> dict[str, Any]:
    """The names of `module`, with what stands for a part of NumPy replaced."""
    name = module.__name__
    home = _names.get(name)
    if home is None:
        home = _names[name] = {}
        for key, value in list(vars(module).items()):
            home[key] = _replaced(value)
    return home


class _Warnings:
    """What NumPy warns of is left to NumPy."""

    @staticmethod
    def warn(*args: Any, **kwargs: Any) -> None:
        raise ufuncs.NotCoveredError


def _replaced(value: Any) -> Any:
    if value is warnings:
        return _Warnings
    if isinstance(value, ModuleType):
        return _Namespace(value) if value.__name__.partition(".")[0] == "numpy" else value
    if value is _converter_class:
        return Converter
    if value is np.broadcast:
        return _broadcast
    if isinstance(value, np.ufunc):
        return _dispatched(value)
    try:
        implementation = IMPLEMENTATIONS.get(value)
    except TypeError:  # not hashable
        return value
    if implementation is not None:
        return _constant(value, implementation) if value in _CONSTANTS else implementation
    if _is_array_program(value):
        return _Later(value)
    written_in_c = isinstance(value, BuiltinFunctionType)
    return _settled(value) if written_in_c and _is_numpys(value) else value


@functools.cache
def _dispatched(ufunc: np.ufunc) -> Callable[..., Any]:
    """`ufunc` for code that asks for an array by `out=...`, which NumPy does not tell a face."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is Ellipsis and crossing.contains(args):
            return ufuncs.apply_ufunc(ufunc, "__call__", args, kwargs)
        return ufunc(*args, **kwargs)

    for name in ("reduce", "accumulate", "reduceat", "outer", "at", "nin", "nout", "types"):
        setattr(call, name, getattr(ufunc, name))
    return call


def _constant(function: Any, implementation: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes arrays: of faces by `implementation`, of Python's values by NumPy, as
    these are known while the rest of the code runs (axes, widths, shares)."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if crossing.contains(args) or crossing.contains(kwargs):
            return implementation(*args, **kwargs)
        return function(*args, **kwargs)

    return call


def _is_numpys(function: BuiltinFunctionType) -> bool:
    owner = getattr(function, "__module__", None) or type(function.__self__).__module__
    return owner.partition(".")[0] == "numpy" and not isinstance(function.__self__, np.ufunc)


def _settled(function: Any) -> Callable[..., Any]:
    """A function written in C, on real values where it is given faces."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if crossing.contains(args) or crossing.contains(kwargs):
            return crossing.real(function, args, kwargs)
        return function(*args, **kwargs)

    return call


def _is_array_program(value: Any) -> bool:
    plain = getattr(value, "_implementation", value)
    return (
        isinstance(plain, FunctionType)
        and plain.__globals__.get("__name__") in _MODULES
        and plain.__name__ not in _AS_THEY_ARE
    )


@final
class _Namespace:
    """A module of NumPy as code of NumPy sees it: its names, replaced when they are read."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = _replaced(getattr(self._module, name))
        setattr(self, name, found)
        return found


@final
class _Later:
    """A function that is rehomed when it is first called."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self.__name__ = function.__name__
        self._made: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._made is None:
            self._made = _rehomed(getattr(self._function, "_implementation", self._function))
        return self._made(*args, **kwargs)


_converter_class: Any = np._core._multiarray_umath._array_converter  # type: ignore[attr-defined]


@final
class Converter:
    """What NumPy's functions convert their arguments with, for faces."""

    def __init__(self, *values: Any) -> None:
        asarray = _constant(np.asanyarray, IMPLEMENTATIONS[np.asanyarray])
        self._given = values
        self._arrays = tuple(value if isinstance(value, np.ndarray) and type(value) in FACES
                             else asarray(value) for value in values)  # fmt: skip
        self.scalar_input = tuple(not isinstance(v, np.ndarray) and np.ndim(v) == 0 for v in values)

    def __getitem__(self, index: Any) -> Any:
        return self._arrays[index]

    def __len__(self) -> int:
        return len(self._arrays)

    def as_arrays(self, *, subok: bool = True, pyscalars: str = "convert_if_no_array") -> Any:
        """The values as arrays; Python scalars stay beside arrays if that is asked for."""
        scalars = [type(value) in (int, float, complex) for value in self._given]
        keep = pyscalars == "preserve" or (
            pyscalars == "convert_if_no_array" and not all(scalars) and any(scalars))  # fmt: skip
        return tuple(
            value if scalar and keep else array
            for value, array, scalar in zip(self._given, self._arrays, scalars, strict=True)
        )

    def result_type(self, extra_dtype: Any = None, ensure_inexact: bool = False) -> np.dtype:
        """The dtype of a result of all values."""
        kinds = [
            value if type(value) in (int, float, complex) else array.dtype
            for value, array in zip(self._given, self._arrays, strict=True)
        ]
        if extra_dtype is not None:
            kinds.append(extra_dtype)
        return np.result_type(*kinds, 0.0) if ensure_inexact else np.result_type(*kinds)

    def wrap(self, array: Any, /, to_scalar: bool | None = None) -> Any:
        """`array` as it leaves: a scalar where all values were scalars."""
        if to_scalar is None:
            to_scalar = all(self.scalar_input)
        return array[()] if to_scalar and getattr(array, "ndim", 1) == 0 else array


@final
class Broadcast:
    """What NumPy's functions ask of np.broadcast of faces: the shape."""

    def __init__(self, *values: Any) -> None:
        self.shape = np.broadcast_shapes(*[np.shape(value) for value in values])
        self.ndim = self.nd = len(self.shape)
        self.size = math.prod(self.shape)


def _broadcast(*values: Any) -> Any:
    return Broadcast(*values) if crossing.contains(values) else np.broadcast(*values)


def _entry(function: Any) -> Callable[..., Any]:
    """The implementation of `function` by its own code, made when it is first called."""
    later = _Later(function)
    return backed(later, function)


def install() -> None:
    """Enter all of NumPy's public functions that are array programs and have no entry yet."""
    for namespace in (np, np.linalg, np.fft):
        for value in list(vars(namespace).values()):
            if _is_array_program(value) and value not in IMPLEMENTATIONS:
                IMPLEMENTATIONS[value] = _entry(value)
