"""NumPy's functions that are written in C: concatenate, where, copyto, result_type, ...

Comes in: faces and NumPy's arguments. Goes out: faces and scalars. What is not here, and is no
array program of `borrowed`, runs in NumPy and is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.base.dtypes import bool_
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.promotion import SCALARS

from . import (
    borrowed,
    creation,
    crossing,
    indexing,
    layout,
    linear,
    made,
    methods,
    reductions,
    shapes,
    ufuncs,
)
from .implementations import implements
from .made import FACES
from .ufuncs import NotCoveredError, stored

Tensor = Any

implements(np.dot)(linear.dot)
implements(np.inner)(linear.inner)
implements(np.vdot)(linear.vdot)


def _tensor(x: Any) -> Tensor:
    """Anything as a tensor."""
    return creation.asarray(x)._tensor


@implements(np.concatenate)
def concatenate(
    arrays: Any,
    /,
    axis: Any = 0,
    out: Any = None,
    *,
    dtype: Any = None,
    casting: str = "same_kind",
) -> Any:
    """np.concatenate."""
    arrays = tuple(arrays)
    parts = [_tensor(x) for x in arrays]
    kinds = [x if type(x) in SCALARS else part.dtype for x, part in zip(arrays, parts, strict=True)]
    wanted = np.result_type(*kinds) if dtype is None else np.dtype(dtype)
    if dtype is None and type(out) in FACES:
        wanted = out._tensor.dtype
    if out is not None and type(out) not in FACES:
        raise NotCoveredError
    if not all(np.can_cast(x.dtype, wanted, casting) for x in parts):  # type: ignore[arg-type]
        raise NotCoveredError
    if not crossing.supported(wanted):
        raise NotCoveredError
    if axis is None:
        parts, axis = [p.reshape(x, shape=(x.size,)) for x in parts], 0
    axis = reductions.axis_of(axis, len(parts[0].shape))
    made_tensor = _joined(
        [x if x.dtype == wanted else p.cast(x, dtype=wanted) for x in parts], axis
    )
    return made.face(made_tensor) if out is None else stored(out, made_tensor, casting)


def _joined(parts: list[Tensor], axis: int) -> Tensor:
    """The parts one after the other, in NumPy's layout."""
    order = None
    if not all(map(layout.packed, parts)):
        small = [layout.small(x) for x in parts]
        lies = np.concatenate(small, axis=axis)
        order = layout.falling(lies.strides, lies.shape)
    if order is None:
        return p.concat(*parts, axis=axis)
    turned = [p.permute(x, axes=order) for x in parts]
    return p.permute(p.concat(*turned, axis=order.index(axis)), axes=layout.inverse(order))


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """np.where."""
    if x is None and y is None:
        return creation.asarray(condition).nonzero()
    given: list[Any] = [v if type(v) in SCALARS else ufuncs.operand(v) for v in (x, y)]
    wanted = np.result_type(*[v.dtype if hasattr(v, "dtype") else v for v in given])
    if not crossing.supported(wanted):
        raise NotCoveredError
    mask = reductions.truth(_tensor(condition))
    operands = [mask]
    for v in given:
        if hasattr(v, "shape") and not isinstance(v, np.generic):
            operands.append(v)
        else:
            value = creation.scalar_of(v, wanted)
            operands.append(p.full(shape=(), value=value, dtype=wanted))

    def choose(c: Tensor, a: Tensor, b: Tensor) -> Tensor:
        a, b = (v if v.dtype == wanted else p.cast(v, dtype=wanted) for v in (a, b))
        return p.where.of(c, a, b)

    return made.face(layout.laid(choose, operands, operands))


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """np.copyto."""
    if type(dst) not in FACES or dst.is_scalar:
        raise NotCoveredError
    if where is True:
        indexing.assign(dst, src, casting)
        return
    x = dst._tensor
    mask, given = _tensor(where), ufuncs.operand(src)
    if mask.dtype != bool_:
        raise NotCoveredError
    if type(given) in SCALARS:
        given = np.asarray(given)[()]
    if not np.can_cast(given.dtype, x.dtype, casting):  # type: ignore[arg-type]
        raise NotCoveredError
    if isinstance(given, np.generic):
        given = p.full(shape=(), value=creation.scalar_of(given, x.dtype), dtype=x.dtype)
    if given.dtype != x.dtype:
        given = p.cast(given, dtype=x.dtype)
    value = p.where.of(mask, given, x)
    if value.shape != x.shape:
        raise NotCoveredError
    door.write(x, value)


@implements(np.putmask)
def putmask(a: Any, /, mask: Any, values: Any) -> None:
    """np.putmask, with one value or as many as `a` has."""
    if type(a) not in FACES or np.shape(values) not in ((), a.shape):
        raise NotCoveredError
    given = _tensor(values)
    if not np.can_cast(given.dtype, a.dtype, "same_kind") or np.shape(mask) != a.shape:
        raise NotCoveredError
    copyto(a, values, where=_booleans(mask))


def _booleans(mask: Any) -> Any:
    """A mask as an array of booleans."""
    return made.face(reductions.truth(_tensor(mask)))


@implements(np.result_type)
def result_type(*values: Any) -> np.dtype:
    """np.result_type."""
    return np.result_type(*[x.dtype if type(x) in FACES else x for x in values])


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """np.can_cast."""
    return np.can_cast(from_.dtype if type(from_) in FACES else from_, to, casting)  # type: ignore[arg-type]


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """np.count_nonzero."""
    return methods.count_nonzero(creation.asarray(a), axis, keepdims)


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """np.broadcast_to."""
    face = creation.asarray(array)
    return made.face(p.expand(face._tensor, shape=shapes.shape_of((shape,))), face)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    """np.broadcast_arrays."""
    given = [creation.asarray(x) for x in args]
    shape = np.broadcast_shapes(*[x.shape for x in given])
    return tuple(x if x.shape == shape else broadcast_to(x, shape) for x in given)


@implements(np.shape)
def shape(a: Any) -> tuple[int, ...]:
    """np.shape."""
    return a.shape if type(a) in FACES else creation.asarray(a).shape


@implements(np.ndim)
def ndim(a: Any) -> int:
    """np.ndim."""
    return len(shape(a))


def _text(function: Any) -> Callable[..., Any]:
    return lambda a, *args, **kwargs: function(crossing.unwrap(a), *args, **kwargs)


for _function in (np.array_repr, np.array_str, np.array2string):
    implements(_function)(_text(_function))

borrowed.install()
