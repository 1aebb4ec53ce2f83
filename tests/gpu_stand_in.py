"""A GPU that is none: modules that stand in for CuPy and CUDA's driver, over NumPy's memory.

`installed(interpreter)` puts them where imports find them. Arrays are of a class of their own that
refuses NumPy's arrays, as CuPy's does, and has no more functions than CuPy; kernels that are
launched run in Triton's interpreter, on exactly the parameters that CUDA would be given. So all of
dualflow's path to a GPU runs but the compiler (which other tests run) and the hardware.
"""

from __future__ import annotations

import ctypes
import itertools
import pickle
import sys
import types
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from triton_interpreter import Interpreter, Job

import dualflow as df
from dualflow.array import kernels, on_device
from dualflow.ops import door
from dualflow.runtime import builds
from dualflow.runtime.gpu import compile as gpu_compile
from dualflow.runtime.gpu import gemm, graphs, images, launching, libraries, tuning

#: The names of CuPy 14.
NAMES = frozenset((Path(__file__).parent / "cupy_names.txt").read_text().split())
DEVICES = 2
#: the dtypes that `cupy.add.at` takes, but for float16, which not every GPU does
ADDED = {np.dtype(name) for name in ("int32", "uint32", "uint64", "float32", "float64",
                                     "complex64", "complex128")}  # fmt: skip
PAGE = 512  # where CuPy's pool puts arrays


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
        self.ptr = mem.ptr + offset

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
        dtype = np.dtype(dtype)
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


for _name in ("astype", "copy", "reshape", "transpose", "view", "fill", "min", "max", "sum", "any",
              "all", "item", "tolist"):  # fmt: skip
    setattr(Array, _name, _method(_name))
_OPERATORS = """add sub mul truediv floordiv mod pow and or xor eq ne lt le gt ge radd rsub rmul
                rtruediv neg invert"""
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
                return Array(made.shape, made.dtype, MemoryPointer(array.data.mem, offset),
                             made.strides)  # fmt: skip
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

    def synchronize(self) -> None:
        pass


class Stream:
    """A stream: launches run at once, but while it is captured."""

    numbers = itertools.count(1)
    current: ClassVar[list[Stream]] = []
    capturing: ClassVar[dict[int, list[Any]]] = {}

    def __init__(self, non_blocking: bool = False) -> None:
        self.ptr = next(Stream.numbers)

    def __enter__(self) -> Stream:
        Stream.current.append(self)
        return self

    def __exit__(self, *raised: object) -> None:
        Stream.current.pop()

    def begin_capture(self) -> None:
        Stream.capturing[self.ptr] = []

    def end_capture(self) -> Graph:
        return Graph(Stream.capturing.pop(self.ptr))

    def synchronize(self) -> None:
        pass

    def wait_event(self, event: Any) -> None:
        pass


class Graph:
    def __init__(self, launches: list[Any]) -> None:
        self.launches = launches

    def launch(self, stream: Any) -> None:
        for launch in self.launches:
            launch()


class Clock:
    """What launches take, in milliseconds: by the text and the variant, or what it is."""

    now = 0.0

    @staticmethod
    def cost(what: Any) -> float:
        return 0.25


class Event:
    time = 0.0

    def record(self, stream: Any = None) -> None:
        self.time = Clock.now

    def synchronize(self) -> None:
        pass


class Pool:
    def used_bytes(self) -> int:
        return sum(m.size for m in Memory.live if m.device == Device.current)

    def free_bytes(self) -> int:
        return 0

    def free_all_blocks(self) -> None:
        pass


def set_device(number: int) -> None:
    Device.current = number


def asked(stream: int, what: Any, run: Any) -> None:
    """Something was asked of a stream: it is done at once, but while the stream is captured."""

    def timed() -> None:
        Clock.now += Clock.cost(what)
        run()

    if stream in Stream.capturing:
        Stream.capturing[stream].append(timed)
    else:
        timed()


def copy_bytes(target: int, source: int, nbytes: int, kind: int, stream: int) -> None:
    assert kind == 3, "from the device to the device"
    asked(stream, "copy", lambda: ctypes.memmove(target, source, nbytes))


def module(name: str, **contents: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(contents)
    return made


def make_cupy() -> types.ModuleType:
    """The module cupy."""
    default = Stream()
    default.ptr = 0
    Stream.current[:] = [default]

    class CUDARuntimeError(RuntimeError):
        pass

    runtime = module("cupy.cuda.runtime", CUDARuntimeError=CUDARuntimeError,
                     getDeviceCount=lambda: DEVICES, driverGetVersion=lambda: 13000,
                     runtimeGetVersion=lambda: 13000,
                     getDeviceProperties=lambda number: {"name": b"Stand-in"},
                     getDevice=lambda: Device.current, setDevice=set_device,
                     free=lambda address: None, memcpyAsync=copy_bytes,
                     memGetInfo=lambda: (1 << 30, 1 << 31))  # fmt: skip
    cuda = module("cupy.cuda", runtime=runtime, Device=Device, Stream=Stream, Event=Event,
                  get_current_stream=lambda: Stream.current[-1],
                  alloc_pinned_memory=lambda nbytes: bytearray(nbytes),
                  get_elapsed_time=lambda a, b: b.time - a.time,
                  device=module("cupy.cuda.device", get_cublas_handle=lambda: 7))  # fmt: skip

    def asarray(value: Any, dtype: Any = None) -> Array:
        if isinstance(value, Array):
            return value if dtype is None else value.astype(dtype, copy=False)
        return wrapped(np.array(value, dtype), ())

    def asnumpy(value: Any) -> np.ndarray:
        return value.get() if isinstance(value, Array) else np.asarray(value)

    own = {"cuda": cuda, "ndarray": Array, "asarray": asarray, "asnumpy": asnumpy,
           "from_dlpack": lambda value: value.__dlpack__(),
           "get_default_memory_pool": Pool,
           "linalg": functions("cupy.linalg", np.linalg, may_call),
           "fft": functions("cupy.fft", np.fft)}  # fmt: skip

    def __getattr__(name: str) -> Any:  # noqa: N807 - the hook's name
        if name not in NAMES:
            raise AttributeError(f"module 'cupy' has no attribute {name!r}")
        return Function(getattr(np, name))

    made = module("cupy", **own)
    made.__getattr__ = __getattr__  # type: ignore[method-assign]
    return made


#: functions of linear algebra that have a result for every matrix
TOTAL = {"det", "slogdet", "qr"}


def may_call(item: str) -> bool:
    return ErrState.raising or item in TOTAL


def functions(name: str, of: Any, is_allowed: Any = lambda item: True) -> types.ModuleType:
    """A module with the functions of NumPy's."""

    def find(item: str) -> Function:
        assert is_allowed(item), "what cuSOLVER cannot do would not be seen"
        return Function(getattr(of, item))

    made = module(name)
    made.__getattr__ = find  # type: ignore[method-assign]
    return made


class ErrState:
    """cupyx.errstate: whether what cuSOLVER cannot do is looked at."""

    raising = False

    def __init__(self, linalg: str) -> None:
        assert linalg == "raise"

    def __enter__(self) -> None:
        ErrState.raising = True

    def __exit__(self, *raised: object) -> None:
        ErrState.raising = False


# cuBLAS: matrices column by column, on bare addresses. ----------------------------------------

TYPES = {0: np.float32, 1: np.float64, 2: np.float16}


def make_cublas() -> Any:
    """The library, as ctypes shows it."""

    def matrices(address: int, kind: int, rows: int, columns: int, leading: int, following: int,
                 count: int) -> np.ndarray:  # fmt: skip
        """Views of `count` matrices whose columns lie `leading` elements apart."""
        dtype = np.dtype(TYPES[kind])
        assert leading >= max(1, rows), "cuBLAS refuses a leading dimension below the rows"
        extent = (count - 1) * following + (columns - 1) * leading + rows
        raw = (ctypes.c_char * (extent * dtype.itemsize)).from_address(address)
        flat = np.frombuffer(raw, dtype)
        strides = tuple(n * dtype.itemsize for n in (following, 1, leading))
        return np.lib.stride_tricks.as_strided(flat, (count, rows, columns), strides)

    streams: list[int] = []

    def on(handle: int, stream: int) -> int:
        streams[:] = [stream]
        return 0

    def workspace(handle: int, address: int, nbytes: int) -> int:
        assert streams[0] in Stream.capturing
        assert any(m.ptr == address and m.size == nbytes for m in Memory.live)
        streams.append(address)
        return 0

    def multiply(handle: int, turn_a: int, turn_b: int, m: int, n: int, k: int, alpha: int, a: int,
                 a_type: int, lda: int, a_next: int, b: int, b_type: int, ldb: int, b_next: int,
                 beta: int, c: int, c_type: int, ldc: int, c_next: int, count: int, adds: int,
                 algorithm: int) -> int:  # fmt: skip
        assert (handle, algorithm) == (7, -1)
        assert streams[0] not in Stream.capturing or len(streams) == 2, "memory of cuBLAS's own"
        word = {70: ctypes.c_double}.get(adds, ctypes.c_float)
        assert (word.from_address(alpha).value, word.from_address(beta).value) == (1, 0)
        assert adds == {0: 68, 1: 70, 2: 68}[a_type] or (a_type, adds) == (0, 77)

        def run() -> None:
            x = matrices(a, a_type, *((k, m) if turn_a else (m, k)), lda, a_next, count)
            y = matrices(b, b_type, *((n, k) if turn_b else (k, n)), ldb, b_next, count)
            out = matrices(c, c_type, m, n, ldc, c_next, count)
            wide = np.float64 if a_type == 1 else np.float32
            x, y = (part.swapaxes(1, 2) if turn else part
                    for part, turn in ((x, turn_a), (y, turn_b)))  # fmt: skip
            with np.errstate(all="ignore"):
                out[...] = np.matmul(x.astype(wide), y.astype(wide))

        asked(streams[0], "gemm", run)
        return 0

    return types.SimpleNamespace(cublasSetStream_v2=on, cublasSetWorkspace_v2=workspace,
                                 cublasGemmStridedBatchedEx=multiply)  # fmt: skip


# The driver: what is launched runs in the interpreter. ---------------------------------------


class Result(IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1


class Attribute(IntEnum):
    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8


def make_driver(interpreter: Interpreter) -> types.ModuleType:
    """The module cuda.bindings.driver."""

    def launch(function: Any, gx: int, gy: int, gz: int, bx: int, by: int, bz: int, shared: int,
               stream: int, parameters: int, extra: int) -> tuple[Result]:  # fmt: skip
        text, chosen = function
        given = read_parameters(text, chosen, parameters)
        assert (gy, gz, by, bz, extra) == (1, 1, 1, 1, 0)
        assert bx == 32 * chosen.warps
        assert gx > 0

        def run() -> None:
            interpret(interpreter, text, chosen, gx, given)

        asked(stream, function, run)
        return (Result.CUDA_SUCCESS,)

    ok = Result.CUDA_SUCCESS
    return module(
        "cuda.bindings.driver", cuLaunchKernel=launch, CUresult=Result,
        cuModuleLoadData=lambda code: (ok, pickle.loads(code)),
        cuModuleGetFunction=lambda loaded, name: (ok, loaded),
        cuFuncSetAttribute=lambda function, attribute, value: (ok,),
        CUfunction_attribute=Attribute,
    )  # fmt: skip


def read_parameters(text: Any, chosen: Any, address: int) -> list[bytes]:
    """The bytes of each parameter, as CUDA would read them."""
    wide = 4 if chosen.indices == "i32" else 8
    sizes = [8] * len(text.pointers) + [dtype.itemsize for dtype in text.scalars]
    sizes += [wide] * text.integers + [8, 8]
    places = (ctypes.c_void_p * len(sizes)).from_address(address)
    found = [ctypes.string_at(place, size) for place, size in zip(places, sizes, strict=True)]
    assert found[-2:] == [bytes(8)] * 2
    return found[:-2]


def interpret(
    interpreter: Interpreter, text: Any, chosen: Any, grid: int, given: list[bytes]
) -> None:
    """One launch, on the memory that its pointers point into."""
    count = len(text.pointers)
    addresses = [int.from_bytes(data, sys.byteorder) for data in given[:count]]
    roots: list[Memory] = []
    pointers = []
    for address, dtype in zip(addresses, text.pointers, strict=True):
        memory = min(Memory.live, key=lambda m: max(m.ptr - address, address - m.ptr - m.size, 0))
        if memory not in roots:
            roots.append(memory)
        pointers.append((roots.index(memory), address - memory.ptr, dtype))
    numbers = given[count:]
    scalars = [np.frombuffer(data, dtype)[0]
               for data, dtype in zip(numbers, text.scalars, strict=False)]  # fmt: skip
    kind = np.int32 if chosen.indices == "i32" else np.int64
    integers = [np.frombuffer(data, kind)[0] for data in numbers[len(scalars) :]]
    values = [*addresses, *scalars, *integers]
    for parameter, divisor in chosen.divisible:
        assert int(values[parameter]) % divisor == 0, "the compiler was promised a multiple"
    job = Job(text.source, text.name, [memory.bytes for memory in roots], pointers, scalars,
              integers, chosen.constexprs, grid)  # fmt: skip
    for memory, after in zip(roots, interpreter.launch(job), strict=True):
        memory.bytes[:] = after


@contextmanager
def installed(interpreter: Interpreter, monkeypatch: Any) -> Iterator[types.ModuleType]:
    """The stand-in in place of CuPy, the driver and the compiler."""

    def compile_text(text: Any, chosen: Any, capability: int) -> images.Image:
        assert capability == 90
        return images.Image(pickle.dumps((text, chosen)), text.name, 1 << 16, chosen.warps)

    cupy, driver = make_cupy(), make_driver(interpreter)
    bindings = module("cuda.bindings", driver=driver)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupyx", module("cupyx", errstate=ErrState))
    monkeypatch.setitem(sys.modules, "cuda", module("cuda", bindings=bindings))
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    library = make_cublas()
    monkeypatch.setattr(gemm, "cublas", lambda: library)
    monkeypatch.setattr(images, "submit", lambda task, given: None)
    monkeypatch.setattr(gpu_compile, "compile_text", compile_text)
    forget()
    door.away[:] = [on_device]
    yield cupy
    forget()
    door.away.clear()


def forget() -> None:
    """Drop what was imported, loaded and compiled."""
    for cached in (libraries.cupy, libraries.driver, libraries.capability, launching.function):
        cached.cache_clear()
    tuning.forget()
    graphs._workspaces.clear()
    images.forget()
    builds.forget()
    kernels._programs.clear()


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory) -> Iterator[Interpreter]:
    """The process in which kernels run."""
    process = Interpreter(tmp_path_factory.mktemp("triton"))
    yield process
    process.close()


@pytest.fixture
def gpu(interpreter, monkeypatch, tmp_path) -> Iterator[types.ModuleType]:
    """The stand-in; a failure of the compiler is an error."""
    with (
        df.config(cache=tmp_path, on_compiler_error="raise"),
        installed(interpreter, monkeypatch) as cupy,
    ):
        yield cupy
