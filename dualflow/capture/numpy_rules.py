"""What functions of NumPy are in the graph: rules over stand-ins, by the operations of records.

    rule(arrays, out, *operands, **keywords) -> stand-in (or a list of them) for `out`

Comes in: what NumPy returned, stand-ins for arrays, Numbers, constants. Goes out: the stand-in that
notes made. A rule raises NotCovered (or fails) where it does not apply: the call then becomes a
node that calls NumPy. The result is compared with `out` in type, shape and shared memory.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import bool_
from dualflow.base.shapes import Shape
from dualflow.ir.op import CATALOGUE, Kind, Op
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.functions import indexing, movement

from .numpy_arrays import Arrays, NotCovered, Number, ValuesDecide

Rule = Callable[..., Any]
RULES: dict[Any, Rule] = {}
_PYTHON = (bool, int, float, complex)
#: elementwise records by the ufunc that they are
OPS: dict[Any, Op] = {
    op.numpy: op
    for op in CATALOGUE.values()
    if op.kind is Kind.ELEMENTWISE and isinstance(op.numpy, np.ufunc)
}


def rule(*functions: Any) -> Callable[[Rule], Rule]:
    """Enter a rule for functions of NumPy."""

    def enter(made: Rule) -> Rule:
        for function in functions:
            RULES[function] = made
        return made

    return enter


def fit(x: Any, dtype: np.dtype, shape: Shape) -> Tensor:
    """An operand cast to `dtype` and expanded to `shape`."""
    if type(x) is Number:
        made = x.tensor(dtype)
        x = x.pinned() if made is None else made
    if type(x) in _PYTHON:
        return p.full(shape=shape, value=dtype.type(x).item(), dtype=dtype)
    if type(x) is not Tensor:
        raise NotCovered(f"an operand of type {type(x).__name__}")
    if x.dtype != dtype:
        x = p.cast(x, dtype=dtype)
    return x if x.shape == shape else p.expand(x, shape=shape)


def pinned(x: Any) -> Any:
    """A Python value that must stay as it is."""
    return x.pinned() if type(x) is Number else x


def array(x: Any) -> Tensor:
    if type(x) is not Tensor:
        raise NotCovered(f"a {type(x).__name__} for an array")
    return x


def copied(x: Tensor) -> Tensor:
    """The values of `x` in memory of their own."""
    return p.cast(x, dtype=x.dtype)


# Ufuncs -------------------------------------------------------------------------------------


def ufunc(function: Any) -> Rule | None:
    """The rule of a ufunc; None if no record is it."""
    found = RULES.get(function)
    op = OPS.get(function)
    if found is not None or op is None:
        return found

    def apply(arrays: Arrays, out: Any, *operands: Any, **keywords: Any) -> Tensor:
        return _elementwise(function, op, out, operands, keywords)

    RULES[function] = apply
    return apply


def _elementwise(function: Any, op: Op, out: Any, operands: Sequence[Any], keywords: Any) -> Tensor:
    if keywords:
        raise NotCovered(f"{function.__name__} with {', '.join(keywords)}")
    *dtypes, result = function.resolve_dtypes((*map(_kind, operands), None))
    values = [fit(x, dtype, out.shape) for x, dtype in zip(operands, dtypes, strict=True)]
    made = door.apply(op, *values)
    if made.dtype != result:
        raise NotCovered(f"{op.name} gives {made.dtype.name}")
    return made


def _kind(x: Any) -> Any:
    """What a ufunc's dtypes depend on."""
    if type(x) is Number:
        return type(x.value)
    return type(x) if type(x) in _PYTHON else array(x).dtype


def applied(function: Any, out: Any, *operands: Any) -> Tensor:
    """A ufunc of NumPy on operands; `out` has the shape of the result."""
    return _elementwise(function, OPS[function], out, operands, {})


@rule(np.square)
def _square(arrays: Arrays, out: Any, x: Any) -> Tensor:
    x = fit(x, out.dtype, out.shape)
    return p.multiply(x, x)


@rule(np.reciprocal)
def _reciprocal(arrays: Arrays, out: Any, x: Any) -> Tensor:
    if out.dtype.kind not in "fc":
        raise NotCovered("reciprocals of integers")
    return p.divide(fit(1, out.dtype, out.shape), fit(x, out.dtype, out.shape))


@rule(np.positive)
def _positive(arrays: Arrays, out: Any, x: Any) -> Tensor:
    return copied(array(x))


@rule(np.fabs)
def _fabs(arrays: Arrays, out: Any, x: Any) -> Tensor:
    return p.abs(fit(x, out.dtype, out.shape))


def _truth(x: Any, shape: Shape) -> Tensor:
    x = array(x)
    if x.dtype != bool_:
        x = p.not_equal(x, fit(0, x.dtype, x.shape))
    return fit(x, bool_, shape)


for _name in ("logical_and", "logical_or", "logical_xor", "logical_not"):

    def _logical(arrays: Arrays, out: Any, *operands: Any, name: str = _name) -> Tensor:
        return door.apply(CATALOGUE[name], *(_truth(x, out.shape) for x in operands))

    RULES[getattr(np, _name)] = _logical


@rule(np.where)
def _where(arrays: Arrays, out: Any, condition: Any, x: Any, y: Any) -> Tensor:
    values = [fit(value, out.dtype, out.shape) for value in (x, y)]
    return p.where(_truth(condition, out.shape), *values)


@rule(np.clip, np.ndarray.clip)
def _clip(
    arrays: Arrays, out: Any, x: Any, a_min: Any = None, a_max: Any = None, **keywords: Any
) -> Tensor:
    if set(keywords) - {"min", "max"}:
        raise NotCovered("clip with such arguments")
    low, high = keywords.get("min", a_min), keywords.get("max", a_max)
    made = fit(x, out.dtype, out.shape)
    if low is not None:
        made = p.maximum(made, fit(low, out.dtype, out.shape))
    if high is not None:
        made = p.minimum(made, fit(high, out.dtype, out.shape))
    return copied(made) if made is x else made


# Reductions ---------------------------------------------------------------------------------


def axes_of(x: Tensor, axis: Any) -> tuple[int, ...]:
    rank = len(x.shape)
    if axis is None:
        return tuple(range(rank))
    many = axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(int(pinned(a)) % rank for a in many))


def shaped(x: Tensor, shape: Shape) -> Tensor:
    return x if x.shape == shape else p.reshape(x, shape=shape)


def _fold(strict: Any, *, wide: bool = False, truth: bool = False) -> Rule:
    def fold(
        arrays: Arrays, out: Any, x: Any, axis: Any = None, dtype: Any = None, *rest: Any,
        keepdims: Any = False,
    ) -> Tensor:  # fmt: skip
        x = array(x)
        if rest:
            raise NotCovered("a reduction with such arguments")
        if truth:
            x = _truth(x, x.shape)
        elif wide:
            x = fit(x, out.dtype, x.shape)
        return shaped(strict(x, axes=axes_of(x, axis)), out.shape)

    return fold


def _short(fold: Rule) -> Rule:
    """The rule of a reduction whose third argument is not a dtype."""

    def short(arrays: Arrays, out: Any, x: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
        return fold(arrays, out, x, axis, keepdims=keepdims)

    return short


sum_ = rule(np.sum, np.ndarray.sum)(_fold(p.sum, wide=True))
rule(np.prod, np.ndarray.prod)(_fold(p.prod, wide=True))
for _names, _strict, _truthful in (
    ("max amax", p.max, False), ("min amin", p.min, False), ("any", p.any, True),
    ("all", p.all, True), ("argmax", p.argmax, False), ("argmin", p.argmin, False),
):  # fmt: skip
    _made = _short(_fold(_strict, truth=_truthful))
    for _name in _names.split():
        rule(*(vars(of)[_name] for of in (np, np.ndarray) if _name in vars(of)))(_made)


#: reductions of ufuncs, which by default fold the first axis
REDUCES: dict[Any, Rule] = {
    np.add: _fold(p.sum, wide=True), np.multiply: _fold(p.prod, wide=True),
    np.maximum: _fold(p.max), np.minimum: _fold(p.min),
    np.logical_or: _fold(p.any, truth=True), np.logical_and: _fold(p.all, truth=True),
}  # fmt: skip


@rule(np.mean, np.ndarray.mean)
def _mean(arrays: Arrays, out: Any, x: Any, axis: Any = None, *, keepdims: Any = False) -> Tensor:
    x = array(x)
    axes = axes_of(x, axis)
    if out.dtype.itemsize < 4:
        raise NotCovered("a mean of float16")
    total = p.sum(fit(x, out.dtype, x.shape), axes=axes)
    return shaped(_divided(total, _count(x, axes)), out.shape)


def _count(x: Tensor, axes: Sequence[int]) -> int:
    return int(np.prod([x.shape[axis] for axis in axes], dtype=int))


def _divided(x: Tensor, count: int) -> Tensor:
    return p.divide(x, fit(count, x.dtype, x.shape))


def _variance(out: Any, x: Tensor, axis: Any, ddof: Any) -> Tensor:
    axes, ddof = axes_of(x, axis), pinned(ddof)
    if out.dtype.kind != "f" or out.dtype.itemsize < 4 or x.dtype.kind == "c":
        raise NotCovered("a variance of such numbers")
    count = _count(x, axes)
    x = fit(x, out.dtype, x.shape)
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    mean = shaped(_divided(p.sum(x, axes=axes), count), kept)
    apart = p.subtract(x, fit(mean, x.dtype, x.shape))
    return _divided(p.sum(p.multiply(apart, apart), axes=axes), max(count - ddof, 0))


@rule(np.var, np.ndarray.var)
def _var(
    arrays: Arrays, out: Any, x: Any, axis: Any = None, *, ddof: Any = 0, keepdims: Any = False
) -> Tensor:
    return shaped(_variance(out, array(x), axis, ddof), out.shape)


@rule(np.std, np.ndarray.std)
def _std(
    arrays: Arrays, out: Any, x: Any, axis: Any = None, *, ddof: Any = 0, keepdims: Any = False
) -> Tensor:
    return shaped(p.sqrt(_variance(out, array(x), axis, ddof)), out.shape)


@rule(np.linalg.norm)
def _norm(arrays: Arrays, out: Any, x: Any, *, axis: Any = None, keepdims: Any = False) -> Tensor:
    x = array(x)
    if x.dtype.kind != "f" or isinstance(axis, tuple):
        raise NotCovered("such a norm")
    return shaped(p.sqrt(p.sum(p.multiply(x, x), axes=axes_of(x, axis))), out.shape)


for _name, _strict in (("cumsum", p.cumsum), ("cumprod", p.cumprod)):

    def _running(
        arrays: Arrays, out: Any, x: Any, axis: Any = None, *, strict: Any = _strict
    ) -> Tensor:
        x = array(x)
        x = fit(x, out.dtype, x.shape)
        if axis is None:
            x, axis = shaped(x, (x.size,)), 0
        return strict(x, axis=pinned(axis) % len(x.shape))

    rule(getattr(np, _name), getattr(np.ndarray, _name))(_running)


@rule(np.ptp)
def _ptp(arrays: Arrays, out: Any, x: Any, axis: Any = None, *, keepdims: Any = False) -> Tensor:
    x = array(x)
    axes = axes_of(x, axis)
    return shaped(p.subtract(p.max(x, axes=axes), p.min(x, axes=axes)), out.shape)


# Products -----------------------------------------------------------------------------------


@rule(np.matmul, np.dot, np.ndarray.dot)
def _matmul(arrays: Arrays, out: Any, x: Any, y: Any) -> Tensor:
    x, y = array(x), array(y)
    x, y = fit(x, out.dtype, x.shape), fit(y, out.dtype, y.shape)
    if out.dtype.kind not in "fc" or min(len(x.shape), len(y.shape)) < 1:
        raise NotCovered("a product of such arrays")
    if max(len(x.shape), len(y.shape)) > 2:
        return linear_product(x, y, out.shape)
    left = x if len(x.shape) == 2 else shaped(x, (1, *x.shape))
    right = y if len(y.shape) == 2 else shaped(y, (*y.shape, 1))
    return shaped(p.matmul(left, right), out.shape)


def linear_product(x: Tensor, y: Tensor, shape: Shape) -> Tensor:
    if min(len(x.shape), len(y.shape)) < 2:
        raise NotCovered("a product with a vector")
    batch = shape[:-2]
    left = fit(x, x.dtype, (*batch, *x.shape[-2:]))
    right = fit(y, y.dtype, (*batch, *y.shape[-2:]))
    return p.matmul(left, right)


@rule(np.outer)
def _outer(arrays: Arrays, out: Any, x: Any, y: Any) -> Tensor:
    x, y = array(x), array(y)
    left, right = shaped(x, (x.size, 1)), shaped(y, (1, y.size))
    return p.multiply(fit(left, out.dtype, out.shape), fit(right, out.dtype, out.shape))


# Shapes -------------------------------------------------------------------------------------


@rule(np.reshape, np.ravel, np.expand_dims, np.squeeze, np.ndarray.reshape, np.ndarray.ravel,
      np.ndarray.squeeze, np.atleast_1d, np.atleast_2d)  # fmt: skip
def _reshaped(arrays: Arrays, out: Any, x: Any, *rest: Any, **keywords: Any) -> Tensor:
    x = array(x)
    if keywords.get("order", "C") != "C" or (len(rest) > 1 and "F" in rest):
        raise NotCovered("another order")
    for argument in (*rest, *keywords.values()):
        _pin_all(argument)
    return p.reshape(x, shape=out.shape) if x.shape != out.shape else _same(x, out)


def _same(x: Tensor, out: Any) -> Tensor:
    """A view of all of `x`; or `x`, if NumPy gave the array itself."""
    return p.reshape(x, shape=x.shape)


def _pin_all(value: Any) -> None:
    for item in value if isinstance(value, (list, tuple)) else (value,):
        pinned(item)


@rule(np.transpose, np.ndarray.transpose)
def _transpose(arrays: Arrays, out: Any, x: Any, *axes: Any) -> Tensor:
    x = array(x)
    rank = len(x.shape)
    order = axes[0] if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple)) else axes
    order = tuple(pinned(a) % rank for a in order) if order else tuple(reversed(range(rank)))
    return p.permute(x, axes=order)


@rule(np.swapaxes, np.ndarray.swapaxes)
def _swapaxes(arrays: Arrays, out: Any, x: Any, a: Any, b: Any) -> Tensor:
    order = list(range(len(array(x).shape)))
    a, b = pinned(a), pinned(b)
    order[a], order[b] = order[b], order[a]
    return p.permute(x, axes=tuple(order))


@rule(np.moveaxis)
def _moveaxis(arrays: Arrays, out: Any, x: Any, source: Any, destination: Any) -> Tensor:
    return movement.moveaxis(array(x), pinned(source), pinned(destination))


@rule(np.broadcast_to)
def _broadcast_to(arrays: Arrays, out: Any, x: Any, shape: Any) -> Tensor:
    _pin_all(shape)
    return p.expand(array(x), shape=out.shape)


@rule(np.roll)
def _roll(arrays: Arrays, out: Any, x: Any, shift: Any, axis: Any = None) -> Tensor:
    made = movement.roll(array(x), _plain(shift), _plain(axis))
    return copied(made) if made._view else made


def _plain(value: Any) -> Any:
    return tuple(map(pinned, value)) if isinstance(value, (list, tuple)) else pinned(value)


@rule(np.pad)
def _pad(
    arrays: Arrays, out: Any, x: Any, pad_width: Any, mode: str = "constant", **keywords: Any
) -> Tensor:
    x = array(x)
    widths = np.broadcast_to(np.asarray(_plain(pad_width)), (len(x.shape), 2)).tolist()
    if mode == "constant":
        fill = pinned(keywords.pop("constant_values", 0))
        if keywords or type(fill) not in _PYTHON:
            raise NotCovered("padding with such values")
        value = x.dtype.type(fill).item()
        return p.pad(x, widths=tuple(map(tuple, widths)), fill=value)
    if mode not in ("edge", "wrap", "reflect", "symmetric") or keywords:
        raise NotCovered(f"padding by {mode}")
    for axis, width in enumerate(widths):
        if any(width):
            places = np.pad(np.arange(x.shape[axis]), width, mode)
            x = p.take(x, arrays.held(places), axis=axis)
    return x


@rule(np.concatenate)
def _concatenate(arrays: Arrays, out: Any, parts: Any, axis: Any = 0) -> Tensor:
    parts = [fit(part, out.dtype, array(part).shape) for part in _sequence(parts)]
    if axis is None:
        return p.concat(*(shaped(x, (x.size,)) for x in parts), axis=0)
    return p.concat(*parts, axis=pinned(axis) % len(out.shape))


def _sequence(parts: Any) -> Sequence[Any]:
    if not isinstance(parts, (list, tuple)):
        raise NotCovered("the parts of an array")
    return parts


@rule(np.stack)
def _stack(arrays: Arrays, out: Any, parts: Any, axis: Any = 0) -> Tensor:
    axis = pinned(axis) % len(out.shape)
    shape = (*out.shape[:axis], 1, *out.shape[axis + 1 :])
    return p.concat(
        *(shaped(fit(x, out.dtype, array(x).shape), shape) for x in _sequence(parts)), axis=axis
    )


@rule(np.vstack)
def _vstack(arrays: Arrays, out: Any, parts: Any) -> Tensor:
    parts = [array(x) for x in _sequence(parts)]
    parts = [x if len(x.shape) > 1 else shaped(x, (1, x.size)) for x in parts]
    return _concatenate(arrays, out, parts, 0)


@rule(np.hstack)
def _hstack(arrays: Arrays, out: Any, parts: Any) -> Tensor:
    parts = [array(x) for x in _sequence(parts)]
    parts = [x if x.shape else shaped(x, (1,)) for x in parts]
    return _concatenate(arrays, out, parts, 0 if len(parts[0].shape) == 1 else 1)


@rule(np.column_stack)
def _column_stack(arrays: Arrays, out: Any, parts: Any) -> Tensor:
    parts = [array(x) for x in _sequence(parts)]
    return _concatenate(
        arrays, out, [x if len(x.shape) > 1 else shaped(x, (x.size, 1)) for x in parts], 1
    )


@rule(np.diff)
def _diff(arrays: Arrays, out: Any, x: Any, n: Any = 1, axis: Any = -1) -> Tensor:
    x = array(x)
    axis, n = pinned(axis) % len(x.shape), pinned(n)
    if x.dtype == bool_ or n != 1:
        raise NotCovered("differences of such a kind")
    size = x.shape[axis]
    return p.subtract(movement.part(x, axis, 1, size), movement.part(x, axis, 0, size - 1))


for _name, _lower in (("tril", True), ("triu", False)):

    def _triangle(arrays: Arrays, out: Any, m: Any, k: Any = 0, *, lower: bool = _lower) -> Tensor:
        m, k = array(m), pinned(k)
        rows, columns = m.shape[-2:]
        mask = np.tri(rows, columns, k if lower else k - 1, dtype=bool)
        kept = arrays.held(mask if lower else ~mask)
        return p.where(fit(kept, bool_, m.shape), m, fit(0, m.dtype, m.shape))

    RULES[getattr(np, _name)] = _triangle


# Making -------------------------------------------------------------------------------------


@rule(np.copy, np.ndarray.copy, np.ndarray.flatten)
def _copy(arrays: Arrays, out: Any, x: Any, order: str = "C") -> Tensor:
    if order not in ("C", "K", "A"):
        raise NotCovered("another order")
    return copied(shaped(array(x), out.shape))


@rule(np.ndarray.astype, np.astype)
def _astype(arrays: Arrays, out: Any, x: Any, dtype: Any, *_: Any, copy: Any = True) -> Tensor:
    x = array(x)
    if x.dtype.kind == "c" != out.dtype.kind:
        raise NotCovered("the imaginary parts are dropped")
    if x.dtype == out.dtype and not copy:
        return x
    return p.cast(x, dtype=out.dtype)


@rule(np.array, np.asarray, np.asanyarray, np.ascontiguousarray)
def _array(arrays: Arrays, out: Any, value: Any, *_: Any, **keywords: Any) -> Tensor:
    if set(keywords) - {"dtype", "copy"}:
        raise NotCovered("an array made in such a way")
    if type(value) is not Tensor:
        return _gathered(out, value)
    if arrays.known(out) is value:
        return value
    return p.cast(value, dtype=out.dtype)


def _gathered(out: Any, value: Any, depth: int = 0) -> Tensor:
    shape = out.shape[depth:]
    if not isinstance(value, (list, tuple)):
        return fit(value, out.dtype, shape)
    parts = [_gathered(out, item, depth + 1) for item in value]
    return p.concat(*(shaped(part, (1, *shape[1:])) for part in parts), axis=0)


@rule(np.zeros_like, np.empty_like, np.empty)
def _zeros(arrays: Arrays, out: Any, *rest: Any, **keywords: Any) -> Tensor:
    for argument in (*rest, *keywords.values()):
        if type(argument) is not Tensor:
            _pin_all(argument)
    return fit(0, out.dtype, out.shape)


@rule(np.ones_like)
def _ones(arrays: Arrays, out: Any, *rest: Any, **keywords: Any) -> Tensor:
    _zeros(arrays, out, *rest, **keywords)
    return fit(1, out.dtype, out.shape)


@rule(np.full, np.full_like)
def _full(
    arrays: Arrays, out: Any, shape: Any, fill_value: Any, *_: Any, **keywords: Any
) -> Tensor:
    if type(shape) is not Tensor:
        _pin_all(shape)
    return fit(fill_value, out.dtype, out.shape)


# Items --------------------------------------------------------------------------------------


def is_basic(key: Any) -> bool:
    items = key if isinstance(key, tuple) else (key,)
    return all(x is None or x is Ellipsis or type(x) in (int, slice) for x in items)


def getitem(arrays: Arrays, out: Any, x: Any, key: Any) -> Tensor:
    """The rule of `x[key]`."""
    if any(type(k) is Tensor and k.dtype == bool_ for k in _items(key)):
        raise ValuesDecide("the shape of the result depends on values")
    return indexing.getitem(array(x), key)


def _items(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def setitem(x: Tensor, key: Any, value: Any) -> None:
    """The rule of `x[key] = value`."""
    if is_basic(key):
        target = indexing.basic(x, _items(key))
        if _is_there(target, value):
            return
    elif type(key) is Tensor and key.dtype == bool_:
        target = x
        ones = (1,) * (len(x.shape) - len(key.shape))
        kept = fit(shaped(key, (*key.shape, *ones)), bool_, x.shape)
        if type(value) is Tensor and value.shape not in ((), (1,)):
            raise NotCovered("an array stored at a mask")
        value = p.where(kept, fitted(value, x), x)
    else:
        raise NotCovered("an item of such a kind")
    door.write(target, fitted(value, target))


def _is_there(target: Tensor, value: Any) -> bool:
    """Whether `value` is what `target` shows: `x[key] += y` stores what it has written already."""
    same = type(value) is Tensor and value._storage is target._storage is not None
    return same and value._view == target._view


def fitted(value: Any, target: Tensor) -> Tensor:
    """`value` as NumPy stores it in `target`."""
    if isinstance(value, (list, tuple)):
        value = _gathered(np.empty(np.shape(value), target.dtype), value)
    if type(value) is Tensor:
        if value.dtype.kind == "c" != target.dtype.kind:
            raise NotCovered("the imaginary parts are dropped")
        extra = len(value.shape) - len(target.shape)
        if extra > 0:
            value = shaped(value, value.shape[extra:])
    return fit(value, target.dtype, target.shape)


def _fill(x: Tensor, value: Any) -> None:
    door.write(x, fitted(value, x))


def where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return p.where(_truth(condition, x.shape), x, y)


def reduction(function: Any) -> Rule | None:
    """The rule of a method of a ufunc, or of any other function that has one."""
    owner = getattr(function, "__self__", None)
    if not isinstance(owner, np.ufunc):
        return RULES.get(function)
    if function.__name__ == "reduce" and owner in REDUCES:
        fold = REDUCES[owner]
        return lambda arrays, out, x, axis=0, **keywords: fold(arrays, out, x, axis, **keywords)
    return None


RULES[operator.getitem] = getitem
#: functions that change their first argument: what they do to stand-ins
CHANGES: dict[Any, Callable[..., None]] = {operator.setitem: setitem, np.ndarray.fill: _fill}
ATTRIBUTES: dict[str, Any] = {"T": np.transpose, "real": np.real, "imag": np.imag}
#: functions that are not NumPy's own
PURE = (operator.getitem,)


@rule(np.real)
def _real(arrays: Arrays, out: Any, x: Any) -> Tensor:
    x = array(x)
    if x.dtype.kind == "c":
        raise NotCovered("a view of real parts")
    return x if arrays.known(out) is x else p.reshape(x, shape=x.shape)
