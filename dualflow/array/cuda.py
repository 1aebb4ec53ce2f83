"""`df.cuda`: streams, events, pinned memory and memory statistics of GPUs.

Everything on a GPU runs behind Python, in the order of the stream in use. Comes in: devices by
name. Goes out: what waits, orders and tells.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, final

from dualflow.base.errors import DeviceError
from dualflow.ops import door
from dualflow.ops.devices import Device, device
from dualflow.runtime.gpu import libraries, memory

from . import held, on_device
from .tensor import Tensor


def _gpu(where: str | None) -> Device:
    """The GPU meant; by default the one in use, else the first."""
    found = device(where) if where is not None else door.state.device or device("cuda")
    if found.type == "cpu":
        raise DeviceError("streams and memory of the device 'cpu'", instead='"cuda"')
    return found


def is_available() -> bool:
    """Whether there is a GPU that can be used.

    >>> import dualflow as df
    >>> df.cuda.is_available() in (True, False)
    True
    """
    return on_device.count() > 0


def device_count() -> int:
    """How many GPUs can be used; 0 without any.

    >>> import dualflow as df
    >>> df.cuda.device_count() >= 0
    True
    """
    return on_device.count()


def synchronize(where: str | None = None) -> None:
    """Wait until a GPU has done all that was asked of it; for the CPU nothing is to be waited for.

    Args:
        where: the device; by default the GPU in use, or the first. Without any GPU it returns.

    Raises:
        DeviceError: there is no such GPU, or something on it failed.

    >>> import dualflow as df
    >>> df.synchronize("cpu")
    """
    if where is not None and device(where).type == "cpu":
        return
    if where is None and not is_available():
        return
    memory.synchronize(_gpu(where).number)


def memory_summary(where: str | None = None) -> str:
    """What memory of a device is in use, in how many bytes, and by which tensors.

    Args:
        where: the device; by default the one in use.

    Raises:
        DeviceError: there is no such GPU.

    >>> import dualflow as df
    >>> x = df.ones((250, 1000))
    >>> "1 x float32[250, 1000]: 1.0 MB" in df.memory_summary("cpu")
    True
    """
    return held.memory_summary(str(where or door.state.device or "cpu"))


def memory_stats(where: str | None = None) -> dict[str, int]:
    """Bytes of a GPU: `used` by arrays, `idle` in the pool, `free` and `total` on the device.

    Args:
        where: the GPU; by default the one in use, or the first.

    Raises:
        DeviceError: there is no such GPU.
    """
    return memory.statistics(_gpu(where).number)


def release_memory(where: str | None = None) -> None:
    """Give memory that no tensor uses any more back to the GPU; arguments as `memory_summary`."""
    memory.release(_gpu(where).number)


def pin(x: Tensor) -> Tensor:
    """A copy of a tensor of the CPU in pinned memory, from which `x.to("cuda")` does not wait.

    Raises:
        DeviceError: there is no GPU, or `x` lies on one.
    """
    if x.device != "cpu":
        raise DeviceError(f"pinned memory for a tensor on {x.device}", instead='x.to("cpu") first')
    return Tensor._wrap(memory.pinned(door.state.mode.values(x)))


@final
class Stream:
    """An order of operations on a GPU: inside `with stream:` they are asked of it."""

    def __init__(self, where: str | None = None) -> None:
        self.device = _gpu(where)
        xp = libraries.cupy()
        memory.check(self.device.number)
        with xp.cuda.Device(self.device.number):
            self._stream = xp.cuda.Stream(non_blocking=True)

    def __enter__(self) -> Stream:
        self._stream.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stream.__exit__(kind, error, trace)

    def wait(self, event: Event) -> None:
        """Let what comes later on this stream wait for the event."""
        self._stream.wait_event(event._event)

    def synchronize(self) -> None:
        """Wait until it has done all that was asked of it."""
        with libraries.told("synchronize"):
            self._stream.synchronize()


@final
class Event:
    """A point in a stream: it can be waited for, and times what lies between two of them."""

    def __init__(self, where: str | None = None) -> None:
        self.device = _gpu(where)
        with libraries.cupy().cuda.Device(self.device.number):
            self._event = libraries.cupy().cuda.Event()

    def record(self, stream: Stream | None = None) -> Event:
        """Note this point of a stream, by default of the one in use; returns the event."""
        given: Any = libraries.cupy().cuda.get_current_stream()
        self._event.record(given if stream is None else stream._stream)
        return self

    def synchronize(self) -> None:
        """Wait until the stream is past this point."""
        with libraries.told("synchronize"):
            self._event.synchronize()

    def milliseconds_since(self, earlier: Event) -> float:
        """The time between two events that both have passed."""
        return float(libraries.cupy().cuda.get_elapsed_time(earlier._event, self._event))
