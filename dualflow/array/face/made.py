"""How results leave: a tensor becomes a face, or a scalar where NumPy gives one.

Comes in: tensors. Goes out: handles of the two classes of this room, which install themselves here,
so that functions need not import them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dualflow.ops import door
from dualflow.ops import primitives as p

Tensor = Any

#: the class of arrays and the class of scalars
FACES: set[type] = set()
_array: Callable[..., Any]
_scalar: Callable[[Tensor], Any]


def install(array: type, scalar: type) -> None:
    """Make `array` and `scalar` the classes of this room."""
    global _array, _scalar
    FACES.update((array, scalar))
    _array, _scalar = array._of, scalar._of  # type: ignore[attr-defined]


def face(tensor: Tensor, base: Any = None) -> Any:
    """The array that shows `tensor`; `base` is the array of whose memory it is a view."""
    return _array(tensor, base)


def scalar(tensor: Tensor) -> Any:
    """The NumPy scalar of a tensor of shape (): the real one where its value is at hand, one that
    waits for it elsewhere."""
    mode = door.state.mode
    name = mode.name
    if name == "eager" or (name == "co-execute" and tensor._array is not None):
        return mode.values(tensor)[()]
    return _scalar(tensor)


def result(tensor: Tensor) -> Any:
    """What NumPy gives for the result `tensor`: an array, or a scalar for shape ()."""
    return _array(tensor) if tensor.shape else scalar(tensor)


def results(tensors: Any) -> Any:
    """`result` of one tensor, or of each of a tuple."""
    return tuple(map(result, tensors)) if type(tensors) is tuple else result(tensors)


def element(view: Tensor) -> Any:
    """The scalar in `view`, of shape (), as it is now: later writes do not change it."""
    if view._array is None or door.state.mode.name not in ("eager", "co-execute"):
        view = p.cast(view, dtype=view.dtype)
    return scalar(view)
