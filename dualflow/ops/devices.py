"""Devices: their names, which one is in use, and where values go that functions make for others.

A device is its name: "cpu", or "cuda:0" for the first GPU. The room `array` computes there; this
one only says where. As long as no GPU is named nothing here costs anything.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

from dualflow.base.errors import DeviceError
from dualflow.base.thread import get_ident

from . import door

F = TypeVar("F", bound=Callable[..., Any])


_load: Callable[[], Any]


def install_gpu(load: Callable[[], Any]) -> None:
    """Let `load` give the room that computes on GPUs, when one is named first."""
    global _load
    _load = load


class Device(str):
    """A device by its name; as a context manager, where tensors are made that say nothing else.

    Attributes:
        type: "cpu" or "cuda".
        number: which GPU; 0 for the CPU.

    >>> import dualflow as df
    >>> df.device("cpu"), df.device("cpu").type, df.device("cuda") == "cuda:0"
    ('cpu', 'cpu', True)
    >>> with df.device("cpu"):
    ...     df.zeros(2).device
    'cpu'
    """

    __slots__ = ("_before", "number", "type")

    def __new__(cls, name: str) -> Device:
        """The device `name`: "cpu", "cuda" or "cuda:1"; DeviceError for anything else."""
        kind, colon, number = str(name).partition(":")
        known = kind in ("cpu", "cuda", "gpu") and (number.isdecimal() if colon else True)
        if not known or (kind == "cpu" and number not in ("", "0")):
            raise DeviceError(f"device {name!r}", instead='"cpu", "cuda" or "cuda:1"')
        kind = "cpu" if kind == "cpu" else "cuda"
        index = int(number or 0)
        made = str.__new__(cls, kind if kind == "cpu" else f"cuda:{index}")
        made.type, made.number, made._before = kind, index, {}
        if kind != "cpu" and not door.away:
            door.away.append(_load())
        return made

    def __enter__(self) -> Device:
        self._before.setdefault(get_ident(), []).append(door.state.device)
        door.state.device = None if self.type == "cpu" else self
        return self

    def __exit__(self, *raised: object) -> None:
        door.state.device = self._before[get_ident()].pop()

    def __reduce__(self) -> tuple[Any, ...]:
        return Device, (str(self),)


CPU = Device("cpu")


def device(name: str) -> Device:
    """The device of that name, as an argument, for `.to()`, and as a context manager.

    Args:
        name: "cpu", "cuda" (the first GPU) or "cuda:1".

    Raises:
        DeviceError: no device has such a name. Whether there is a GPU shows when it is used.

    >>> import dualflow as df
    >>> df.ones(2).to(df.device("cpu")).device
    'cpu'
    """
    return name if type(name) is Device else Device(name)


@cache
def gpu(index: int) -> Device:
    """The GPU of that number."""
    return Device(f"cuda:{index}")


def gpus() -> list[Device]:
    """The GPUs that can be used."""
    return [gpu(index) for index in range(_load().count())]


def on(name: str, function: Callable[..., Any], *args: Any, **settings: Any) -> Any:
    """What `function(*args, **settings)` makes with `name` as the device in use."""
    with device(name):
        return function(*args, **settings)


class _Nothing:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *raised: object) -> None:
        pass


_NOTHING = _Nothing()


def beside(tensor: Any) -> Any:
    """A context in which new values lie on the device of `tensor`."""
    return device(tensor.device) if door.away else _NOTHING


def lie_beside(tensor: Any) -> None:
    """Let new values lie on the device of `tensor` from now on; the caller sets it back."""
    found = getattr(tensor, "device", None)
    if found is None:  # gradients for several outputs, of which the tape knows
        return
    place = device(found)
    door.state.device = None if place.type == "cpu" else place


def near(function: F) -> F:
    """`function`, within which values that it makes itself (positions, zeros) lie where its first
    tensor does."""

    @wraps(function)
    def run(*args: Any, **settings: Any) -> Any:
        if door.away:
            for value in args:
                if hasattr(value, "_pending"):
                    with device(value.device):
                        return function(*args, **settings)
        return function(*args, **settings)

    return run  # type: ignore[return-value]
