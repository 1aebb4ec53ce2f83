"""The border between faces and real arrays: in, out, and what NumPy itself has to do.

Comes in: ndarrays, faces, whole argument lists. Goes out: the same of the other kind. Values are
asked for by `door.state.mode.values` alone, so every mode sees that they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from dualflow.array.creation import adopt
from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import BY_NAME
from dualflow.ops import door
from dualflow.ops import primitives as p

from . import fallbacks, made
from .layout import falling, inverse
from .made import FACES

_SUPPORTED = frozenset(BY_NAME.values())
_ndarray, _generic = np.ndarray, np.generic
_CONTAINERS: Any = (list, tuple, dict, slice)


def supported(dtype: np.dtype) -> bool:
    """Whether tensors have `dtype`; all others are NumPy's alone."""
    return dtype in _SUPPORTED and dtype.isnative


def has_face(array: Any) -> bool:
    """Whether a face can show the memory of `array`: no subclass, a dtype of tensors, aligned."""
    return (
        type(array) is _ndarray
        and supported(array.dtype)
        and array.flags.aligned
        and all(stride % array.itemsize == 0 for stride in array.strides)
    )


def tensor_of(array: np.ndarray) -> Tensor:
    """The tensor that shows the memory of somebody's `array`."""
    return adopt(array)


def wrap(value: Any) -> Any:
    """The face of an ndarray, which shares its memory; anything else as it is.

    >>> import numpy as np
    >>> x = np.zeros(2)
    >>> wrap(x)[0] = 1.0
    >>> x.tolist()
    [1.0, 0.0]
    """
    return made.face(tensor_of(value)) if has_face(value) else value


def fresh(array: Any) -> Any:
    """The face of an ndarray that nobody else holds; what has no face stays as it is."""
    if not has_face(array):
        return array
    return made.face(fresh_tensor(array))


def fresh_tensor(array: np.ndarray) -> Tensor:
    """The tensor of an array that nobody else holds. Its root lies row by row."""
    if array.base is not None:
        return tensor_of(array)  # its memory may be another result's, too
    if array.flags.c_contiguous:
        return Tensor._wrap(array)
    order = falling(array.strides, array.shape)
    if order is not None:
        packed = array.transpose(order)
        if packed.flags.c_contiguous:
            return p.permute(Tensor._wrap(packed), axes=inverse(order))
    return tensor_of(array)


def values(x: Any) -> np.ndarray:
    """The real array of a face, now; the face's own memory."""
    return door.state.mode.values(x._tensor)


def unwrap(value: Any) -> Any:
    """The real array or NumPy scalar of a face; anything else as it is.

    >>> import numpy as np
    >>> x = np.zeros(2)
    >>> unwrap(wrap(x)) is x
    True
    """
    if type(value) not in FACES:
        return value
    array = values(value)
    return array[()] if value.is_scalar else array


def unwrap_all(tree: Any) -> Any:
    """`unwrap` of everything in nested lists, tuples, dicts and slices."""
    if type(tree) in FACES:
        return unwrap(tree)
    if not isinstance(tree, _CONTAINERS) or not contains(tree):
        return tree
    if type(tree) is slice:
        return slice(unwrap(tree.start), unwrap(tree.stop), unwrap(tree.step))
    if isinstance(tree, dict):
        return {key: unwrap_all(value) for key, value in tree.items()}
    return rebuilt(tree, map(unwrap_all, tree))


def contains(tree: Any) -> bool:
    """Whether there is a face in nested lists, tuples, dicts and slices."""
    if type(tree) in FACES:
        return True
    return isinstance(tree, _CONTAINERS) and any(map(contains, _children(tree)))


def faces_in(tree: Any) -> list[Any]:
    """The faces in nested lists, tuples, dicts and slices."""
    if type(tree) in FACES:
        return [tree]
    if not isinstance(tree, _CONTAINERS):
        return []
    return [face for child in _children(tree) for face in faces_in(child)]


def _children(tree: Any) -> Iterable[Any]:
    if isinstance(tree, dict):
        return tree.values()
    return (tree.start, tree.stop, tree.step) if type(tree) is slice else tree


def rebuilt(tree: Any, items: Iterable[Any]) -> Any:
    """A list, tuple or named tuple of the type of `tree` with other items."""
    kind = type(tree)
    return kind(*items) if hasattr(kind, "_fields") else kind(items)


def wrap_all(tree: Any, sources: Mapping[int, Any] | None = None) -> Any:
    """Faces in the place of the arrays in nested lists and tuples that NumPy has just made.

    Args:
        tree: the result of a NumPy function.
        sources: the faces among its arguments by the id of their arrays. A result that is such an
            array is that face; one that shows its memory makes both known as exposed.
    """
    if isinstance(tree, (list, tuple)):
        return rebuilt(tree, [wrap_all(item, sources) for item in tree])
    if type(tree) is not _ndarray:
        return tree
    for source in (sources or {}).values():
        array = source._tensor._array
        if array is tree:
            return source
        if array is not None and np.may_share_memory(array, tree):
            source._tensor._memory().exposed = True
            return made.face(tensor_of(tree), source) if has_face(tree) else tree
    return fresh(tree)


def real(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], why: str = ""
) -> Any:
    """What NumPy's `function` gives, computed on real values and counted; faces again.

    Memory that NumPy may write (`out`, and the first argument of functions that return None) is
    written through the faces' own arrays.
    """
    faces = faces_in(args) + faces_in(kwargs)
    name = fallbacks.name_of(function)
    if faces:
        fallbacks.before(name, why)
    given, named = unwrap_all(args), unwrap_all(kwargs)
    sources = {id(face._tensor._array): face for face in faces}
    out = function(*given, **named)
    if faces:
        fallbacks.note(name)
    written = faces_in(kwargs.get("out"))
    if out is None:
        written += faces_in(args[:1])
    for face in written:
        face._tensor._memory().version += 1
    return wrap_all(out, sources)
