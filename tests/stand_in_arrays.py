"""Arrays of a GPU that is none: memory and arrays as CuPy has them, over NumPy's.

An array refuses NumPy's arrays, as CuPy's does, and is used with its own device only.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

#: the dtypes that `cupy.add.at` takes, but for float16, which not every GPU does
ADDED = {np.dtype(name) for name in ("int32", "uint32", "uint64", "float32", "float64",
                                     "complex64", "complex128")}  # fmt: skip
PAGE = 512  # where CuPy's pool puts arrays


class Device:
    """A device, as a context in which memory is taken from it."""

    current = 0
    compute_capability = "90"

    def __init__(self, number: int) -> None:
        self.id, self._before = number, []

    def __enter__(self) -> Device:
        self._before.append(Device.current)
        Device.current = self.id
        return self

    def __exit__(self, *raised: object) -> None:
        Device.current = self._before.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def synchronize(self) -> None:
        pass


class Memory:
    """A piece of a device's memory."""

    live: ClassVar[weakref.WeakSet[Memory]] = weakref.WeakSet()
    limit = 1 << 40
    #: blocks by size that are handed out again once they are free, as a pool does; None: never
    reuse: ClassVar[dict[int, list[np.ndarray]] | None] = None

    def __init__(self, size: int, device: int) -> None:
        if sum(memory.size for memory in Memory.live) + size > Memory.limit:
            raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes.")
        kept = Memory.reuse.get(size) if Memory.reuse is not None else None
        raw = kept.pop() if kept else np.full(size + 2 * PAGE, 0xA5, np.uint8)
        weakref.finalize(self, _freed, raw, size)
        skip = -raw.ctypes.data % PAGE
        self.bytes = raw[skip : skip + max(size, 1)]
        self.ptr, self.size, self.device = self.bytes.ctypes.data, size, device
        Memory.live.add(self)


def _freed(raw: np.ndarray, size: int) -> None:
    if Memory.reuse is not None:
        Memory.reuse.setdefault(size, []).append(raw)


class OutOfMemoryError(MemoryError):
    """As CuPy's."""


class MemoryPointer:
    def __init__(self, mem: Memory, offset: int) -> None:
        self.mem, self._offset = mem, offset
        self.ptr, self.device_id = mem.ptr + offset, mem.device

    def __add__(self, nbytes: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self._offset + nbytes)


class Flags:
    """What CuPy says of an array's memory, and no more: nothing is read-only there."""

    def __init__(self, flags: Any) -> None:
        self.c_contiguous, self.f_contiguous = flags.c_contiguous, flags.f_contiguous


class Array:
    """An array of the device."""

    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None
    ) -> None:
        dtype, self.base = np.dtype(dtype), None
        assert dtype.num < 256, f"CuPy has no {dtype.name}"
        if memptr is None:
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            memptr = MemoryPointer(Memory(size, Device.current), 0)
        self.data = memptr
        self._a = np.ndarray(shape, dtype, memptr.mem.bytes, memptr._offset, strides)

    shape, dtype, strides = (property(lambda self, n=n: getattr(self._a, n))
                             for n in ("shape", "dtype", "strides"))  # fmt: skip
    ndim, size, itemsize, nbytes = (property(lambda self, n=n: getattr(self._a, n))
                                    for n in ("ndim", "size", "itemsize", "nbytes"))  # fmt: skip
    real, imag, T = (property(lambda self, n=n: wrapped(getattr(self._a, n), (self,)))
                     for n in ("real", "imag", "T"))  # fmt: skip

    def view(self, kind: Any) -> Any:
        """Of another dtype, or of another class of arrays on the same words."""
        if isinstance(kind, type) and issubclass(kind, Array):
            made = kind(self.shape, self._a.dtype, self.data, self._a.strides)
            made.base = self if self.base is None else self.base
            return made
        return wrapped(self._a.view(kind), (self,))

    @property
    def flags(self) -> Flags:
        return Flags(self._a.flags)

    @property
    def device(self) -> Device:
        return Device(self.data.mem.device)

    def __array__(self, *args: Any, **settings: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    __array_function__ = __array__

    def __dlpack__(self, **settings: Any) -> Any:
        return self

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.data.mem.device

    def __getitem__(self, key: Any) -> Array:
        return wrapped(self._a[index(key, self.shape)], (self,))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._a[index(key, self.shape)] = plain(value)

    def __int__(self) -> int:
        return int(self._a)

    def __bool__(self) -> bool:
        return bool(self._a)

    def get(self) -> np.ndarray:
        return self._a.copy()


def _method(name: str) -> Any:
    def call(self: Array, *args: Any, **settings: Any) -> Any:
        return wrapped(getattr(self._a, name)(*plain_all(args), **plain_all(settings)), (self,))

    return call


for _name in ("astype", "copy", "reshape", "transpose", "fill", "min", "max", "sum", "any",
              "all", "item", "tolist"):  # fmt: skip
    setattr(Array, _name, _method(_name))
_OPERATORS = """lshift rshift add sub mul truediv floordiv mod pow and or xor eq ne lt le gt ge
                radd rsub rmul rtruediv neg invert"""
for _name in _OPERATORS.split():
    setattr(Array, f"__{_name}__", _method(f"__{_name}__"))


def plain(value: Any) -> Any:
    """The stand-in's memory as NumPy's; a TypeError for NumPy's own arrays, as from CuPy."""
    if isinstance(value, Array):
        assert value.data.mem.device == Device.current, "an array of another device than in use"
        return value._a
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (tuple, list)):
        return type(value)(plain(part) for part in value)
    return value


def plain_all(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: plain(value) for name, value in values.items()}
    return [plain(value) for value in values]


def index(key: Any, shape: tuple[int, ...]) -> Any:
    """A key for NumPy; positions in arrays must be in bounds, as a GPU does not look."""
    key = plain(key)
    parts = key if isinstance(key, tuple) else (key,)
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype.kind in "iu" and part.size:
            assert part.min() >= 0, "an index that was not checked"
    return key


def wrapped(made: Any, given: Sequence[Any]) -> Any:
    """NumPy's result as the device's: a view of an operand's memory, or memory of its own."""
    if isinstance(made, tuple):
        return tuple(wrapped(part, given) for part in made)
    if not isinstance(made, (np.ndarray, np.generic)):
        return made
    made = np.asarray(made)
    for array in given:
        if isinstance(array, Array) and made.base is not None:
            offset = made.ctypes.data - array.data.mem.ptr
            if 0 <= offset < max(array.data.mem.size, 1):
                place = MemoryPointer(array.data.mem, offset)
                view = Array(made.shape, made.dtype, place, made.strides)
                view.base = array if array.base is None else array.base
                return view
    out = Array(made.shape, made.dtype)
    out._a[...] = made
    return out


class Function:
    """One of CuPy's functions."""

    def __init__(self, numpy: Any) -> None:
        self._numpy = numpy

    def __call__(self, *args: Any, **settings: Any) -> Any:
        with np.errstate(all="ignore"):
            return wrapped(self._numpy(*plain_all(args), **plain_all(settings)), leaves(args))

    def at(self, out: Array, places: Any, values: Any) -> None:
        assert out.dtype in ADDED, f"CuPy adds no {out.dtype.name} in place"
        self._numpy.at(out._a, index(places, out.shape), plain(values))


def leaves(args: Sequence[Any]) -> list[Any]:
    return [leaf for arg in args for leaf in (arg if isinstance(arg, (tuple, list)) else (arg,))]
