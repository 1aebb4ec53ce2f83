"""`x[mask]`, whose length no replay knows: kept as all of `x` beside the mask, while that will do.

    z[inside] = z[inside] ** 2 + c[inside]      is      z = where(inside, z ** 2 + c, z)

Comes in: calls of NumPy with such an array among the operands. Goes out: for ufuncs another such
array, for a store at the same mask a `where`, for sums and means a number; NotCovered for the rest.
"""

from __future__ import annotations

import operator as o
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import bool_
from dualflow.ir.graph import Value, attribute_key
from dualflow.ops import door
from dualflow.ops import primitives as p

from ..provenance import CONSTANT, Node, Origin
from . import library as numpy_library
from . import names as numpy_names
from .noting import NotCovered

if TYPE_CHECKING:
    from .arrays import Arrays

Implementation = Callable[[Any, Sequence[Any], dict[str, Any]], Any]
_UNKNOWN = "how many elements a mask selects depends on values"
#: How deep two masks are compared.
_DEPTH = 8


@final
class Selected:
    """The elements of `values` at which `mask`, of its first axes, is true; neither changes.

    Attributes:
        node: what a replay has NumPy choose, if more than these elements' place is wanted.
    """

    __slots__ = ("mask", "node", "values")

    def __init__(self, values: Tensor, mask: Tensor) -> None:
        self.values, self.mask = values, mask
        self.node: Node | None = None

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    def spread(self) -> Tensor:
        """The mask in the shape of the values."""
        shape = self.values.shape
        ones = (1,) * (len(shape) - len(self.mask.shape))
        mask = p.reshape(self.mask, shape=(*self.mask.shape, *ones)) if ones else self.mask
        return mask if mask.shape == shape else p.expand(mask, shape=shape)

    def count(self, dtype: np.dtype) -> Tensor:
        """How many there are along the axis that took the place of the mask's."""
        mask = p.cast(self.mask, dtype=dtype)
        return p.sum(mask, axes=tuple(range(len(mask.shape))))


def selected(arrays: Arrays, x: Any, key: Any) -> Selected | None:
    """What `x[key]` is; None if `key` is no mask."""
    if type(x) is not Tensor or type(key) is not Tensor or key.dtype != bool_ or not key.shape:
        return None
    if key.shape != x.shape[: len(key.shape)]:
        return None
    notes = arrays.recorder.notes
    return Selected(arrays.bound(notes.value_of(x)), arrays.bound(notes.value_of(key)))


def call(
    arrays: Arrays, note: Implementation, function: Any, out: Any, operands: Sequence[Any],
    keywords: dict[str, Any],
) -> Origin:  # fmt: skip
    """The origin of `out`, which `function` gave for operands with a `Selected` among them.

    Raises:
        NotCovered: it is known only with the number of elements.
    """
    if function is o.setitem:
        _store(arrays, *operands)
        return CONSTANT
    if isinstance(function, np.ufunc):
        return _ufunc(arrays, note, function, out, operands, keywords)
    fold = _FOLDS.get(function)
    if fold is None or len(operands) != 1 or type(operands[0]) is not Selected:
        raise NotCovered(_UNKNOWN)
    return arrays.made(out, fold(operands[0], out, **keywords), [])


def _ufunc(
    arrays: Arrays, note: Implementation, function: Any, out: Any, operands: Sequence[Any],
    keywords: dict[str, Any],
) -> Origin:  # fmt: skip
    (first, *others) = [x for x in operands if type(x) is Selected]
    apart = any(not _same(arrays, first, other) for other in others)
    shaped = any(type(x) is Tensor and x.shape != () for x in operands)
    if apart or shaped or set(keywords) - {"out"} or function.signature is not None:
        raise NotCovered(_UNKNOWN)
    made = _everywhere(arrays, note, function, out, operands)
    target = keywords.get("out")
    if target is None:
        if type(out) is not np.ndarray or made.dtype != out.dtype:
            raise NotCovered("another type")
        return arrays.born(out, Selected(made, first.mask))
    if type(target) is not Selected or not arrays.is_alone(out):
        raise NotCovered(_UNKNOWN)
    if made.dtype != target.dtype:
        made = p.cast(made, dtype=target.dtype)
    arrays.born(out, Selected(made, target.mask))
    return arrays.recorder.known(out)


def _everywhere(
    arrays: Arrays, note: Implementation, function: Any, out: Any, operands: Sequence[Any]
) -> Tensor:
    """What a ufunc gives for all the values, chosen or not."""
    nodes = arrays.recorder.notes.builder.nodes
    before = len(nodes)
    whole = [x.values if type(x) is Selected else x for x in operands]
    if function is np.power and out.dtype.kind in "iu":
        raise NotCovered("a power of integers may raise where nothing was chosen")
    try:
        made = note(function, whole, {})
        if type(made) is not Tensor or any(node.op.may_raise for node in nodes[before:]):
            raise NotCovered(_UNKNOWN)
    except NotCovered as why:
        shape = next(x.values.shape for x in operands if type(x) is Selected)
        numpy_names.count(function, str(why))
        made = numpy_library.note(function, np.empty(shape, out.dtype), whole, {})
    return made


def _store(arrays: Arrays, target: Any, key: Any, value: Any) -> None:
    there = selected(arrays, target, key)
    if there is None or type(value) is not Selected or not _same(arrays, there, value):
        raise NotCovered(_UNKNOWN)
    made = value.values
    if made.dtype != target.dtype:
        if made.dtype.kind == "c":
            raise NotCovered("the imaginary parts are dropped")
        made = p.cast(made, dtype=target.dtype)
    door.write(target, p.where(there.spread(), made, there.values))


def _same(arrays: Arrays, a: Selected, b: Selected) -> bool:
    """Whether both are chosen by one mask from arrays of one shape."""
    if a.values.shape != b.values.shape:
        return False
    value_of = arrays.recorder.notes.value_of
    return equal(value_of(a.mask), value_of(b.mask), _DEPTH)


def equal(a: Value, b: Value, depth: int) -> bool:
    """Whether two values of a graph are certainly the same."""
    if a is b:
        return True
    x, y = a.node, b.node
    if not depth or x is None or y is None or x.op is not y.op:
        return False
    keys = [{k: attribute_key(v) for k, v in node.attributes.items()} for node in (x, y)]
    same = keys[0] == keys[1] and len(x.operands) == len(y.operands)
    return same and all(equal(m, n, depth - 1) for m, n in zip(x.operands, y.operands, strict=True))


# Folds --------------------------------------------------------------------------------------


def _sum(x: Selected, out: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    values, axes = x.values, tuple(range(len(x.values.shape)))
    if axis == 0:
        axes = axes[: len(x.mask.shape)]
    if (axis is not None and axis != 0) or keepdims or out.dtype.itemsize < 4:
        raise NotCovered(_UNKNOWN)
    if values.dtype != out.dtype:
        values = p.cast(values, dtype=out.dtype)
    none = p.full(shape=values.shape, value=out.dtype.type(0).item(), dtype=out.dtype)
    return p.sum(p.where(x.spread(), values, none), axes=axes)


def _mean(x: Selected, out: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    total, count = _sum(x, out, axis, keepdims), x.count(out.dtype)
    rest = x.values.shape[len(x.mask.shape) :]
    if axis is None and rest:
        size = p.full(shape=(), value=out.dtype.type(np.prod(rest)).item(), dtype=out.dtype)
        count = p.multiply(count, size)
    return p.divide(total, count if not total.shape else p.expand(count, shape=total.shape))


_FOLDS: dict[Any, Callable[..., Tensor]] = {
    np.sum: _sum, np.ndarray.sum: _sum, np.mean: _mean, np.ndarray.mean: _mean,
}  # fmt: skip


def length(arrays: Arrays, x: Selected) -> Origin:
    """The origin of `len(x[mask])`."""
    return arrays.python_number(x.count(np.dtype("int64")), int)
