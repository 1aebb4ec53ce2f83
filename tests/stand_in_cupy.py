"""A module that stands in for CuPy: its functions, streams, events and graphs.

It has no more functions than CuPy 14 (`cupy_names.txt`). What is asked of a stream is done at once,
but while the stream is captured.
"""

from __future__ import annotations

import ctypes
import itertools
import types
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from stand_in_arrays import Array, Device, Function, Memory, wrapped

#: The names of CuPy 14.
NAMES = frozenset((Path(__file__).parent / "cupy_names.txt").read_text().split())
DEVICES = 2


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
