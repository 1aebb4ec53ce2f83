"""Which operations compute which ufunc: a primitive, or a composition of primitives.

A composition rounds as NumPy's own loop does: each step is one that the loop takes too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.base.dtypes import bool_, float16, float32, float64
from dualflow.ops import primitives as p

from .plans import COMPOSED, DIRECT

Tensor = Any
Dtypes = tuple[np.dtype, ...]

DIRECT.update({
    np.add: (p.add,),
    np.subtract: (p.subtract,),
    np.multiply: (p.multiply,),
    np.divide: (p.divide,),
    np.floor_divide: (p.floor_divide,),
    np.remainder: (p.remainder,),
    np.power: (p.power, p.integer_power),
    np.float_power: (p.power,),
    np.negative: (p.negative,),
    np.absolute: (p.abs,),
    np.fabs: (p.abs,),
    np.sign: (p.sign,),
    np.maximum: (p.maximum,),
    np.minimum: (p.minimum,),
    np.copysign: (p.copysign,),
    np.hypot: (p.hypot,),
    np.nextafter: (p.nextafter,),
    np.floor: (p.floor,),
    np.ceil: (p.ceil,),
    np.rint: (p.round,),
    np.trunc: (p.trunc,),
    np.equal: (p.equal,),
    np.not_equal: (p.not_equal,),
    np.less: (p.less,),
    np.less_equal: (p.less_equal,),
    np.greater: (p.greater,),
    np.greater_equal: (p.greater_equal,),
    np.isnan: (p.isnan,),
    np.isinf: (p.isinf,),
    np.isfinite: (p.isfinite,),
    np.signbit: (p.signbit,),
    np.logical_and: (p.logical_and,),
    np.logical_or: (p.logical_or,),
    np.logical_xor: (p.logical_xor,),
    np.logical_not: (p.logical_not,),
    np.bitwise_and: (p.bitwise_and,),
    np.bitwise_or: (p.bitwise_or,),
    np.bitwise_xor: (p.bitwise_xor,),
    np.invert: (p.bitwise_invert,),
    np.left_shift: (p.left_shift,),
    np.right_shift: (p.right_shift,),
    np.exp: (p.exp,),
    np.exp2: (p.exp2,),
    np.expm1: (p.expm1,),
    np.log: (p.log,),
    np.log2: (p.log2,),
    np.log10: (p.log10,),
    np.log1p: (p.log1p,),
    np.sqrt: (p.sqrt,),
    np.cbrt: (p.cbrt,),
    np.sin: (p.sin,),
    np.cos: (p.cos,),
    np.tan: (p.tan,),
    np.arcsin: (p.asin,),
    np.arccos: (p.acos,),
    np.arctan: (p.atan,),
    np.arctan2: (p.atan2,),
    np.sinh: (p.sinh,),
    np.cosh: (p.cosh,),
    np.tanh: (p.tanh,),
    np.arcsinh: (p.asinh,),
    np.arccosh: (p.acosh,),
    np.arctanh: (p.atanh,),
})  # fmt: skip


def _for(kinds: str, function: Callable[..., Any]) -> Callable[[Dtypes], Any]:
    """`function` for loops whose operands are all of dtypes of these kinds."""
    return lambda dtypes: function if all(dtype.kind in kinds for dtype in dtypes) else None


def _either(*choices: Callable[[Dtypes], Any]) -> Callable[[Dtypes], Any]:
    def choose(dtypes: Dtypes) -> Any:
        return next((found for choice in choices if (found := choice(dtypes)) is not None), None)

    return choose


def _copy(x: Tensor) -> Tensor:
    return p.cast(x, dtype=x.dtype)


def _answer(value: bool) -> Callable[[Tensor], Tensor]:
    return lambda x: p.full(shape=x.shape, value=value, dtype=bool_)


def _truths(primitive: Any) -> Callable[..., Tensor]:
    """A logical function of numbers: of whether they are not 0."""

    def function(*operands: Any) -> Tensor:
        return primitive.of(*[p.not_equal.of(x, 0) if hasattr(x, "shape") else bool(x)
                              for x in operands])  # fmt: skip

    return function


def _extreme(primitive: Any) -> Callable[[Any, Any], Tensor]:
    """fmax and fmin of floats: the other one beside a NaN."""

    def function(x: Any, y: Any) -> Tensor:
        if not hasattr(x, "shape"):
            return y if math.isnan(x) else function(_like(x, y), y)
        if not hasattr(y, "shape"):
            return _copy(x) if math.isnan(y) else function(x, _like(y, x))
        found = primitive.of(x, y)
        return p.where.of(p.isnan.of(x), y, p.where.of(p.isnan.of(y), x, found))

    return function


def _like(scalar: Any, x: Tensor) -> Tensor:
    return p.full(shape=(), value=float(scalar), dtype=x.dtype)


def _scaled(factor: float, single: float) -> Callable[[Tensor], Tensor]:
    """Degrees and radians: by a constant of the loop's own precision; float16 in float32."""

    def function(x: Tensor) -> Tensor:
        if x.dtype == float16:
            return p.cast(function(p.cast(x, dtype=float32)), dtype=float16)
        return p.multiply.of(x, factor if x.dtype == float64 else single)

    return function


def _heaviside(x: Any, y: Any) -> Tensor:
    dtype = (x if hasattr(x, "shape") else y).dtype
    x, y = (v if hasattr(v, "shape") else p.full(shape=(), value=v, dtype=dtype) for v in (x, y))
    step = p.cast(p.greater.of(x, 0.0), dtype=dtype)
    return p.where.of(p.equal.of(x, 0.0), y, p.where.of(p.isnan.of(x), x, step))


def _clip(x: Any, low: Any, high: Any) -> Tensor:
    if not hasattr(x, "shape") and not hasattr(low, "shape"):
        x = p.full(shape=(), value=x, dtype=high.dtype)
    return p.minimum.of(p.maximum.of(x, low), high)


def _divmod(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    return p.floor_divide.of(x, y), p.remainder.of(x, y)


_PI = np.pi
_degrees = _scaled(180.0 / _PI, float(np.float32(180.0) / np.float32(_PI)))
_radians = _scaled(_PI / 180.0, float(np.float32(_PI) / np.float32(180.0)))

COMPOSED.update({
    np.square: _for("iufc", lambda x: p.multiply.of(x, x)),
    np.reciprocal: _for("f", lambda x: p.divide.of(1.0, x)),
    np.positive: _for("iufc", _copy),
    np.conjugate: _either(_for("iuf", _copy), _for("c", p.conj.of)),
    np.floor: _for("biu", _copy),
    np.ceil: _for("biu", _copy),
    np.trunc: _for("biu", _copy),
    np.absolute: _for("bu", _copy),
    np.isnan: _for("biu", _answer(False)),
    np.isinf: _for("biu", _answer(False)),
    np.isfinite: _for("biu", _answer(True)),
    np.logical_and: _for("iuf", _truths(p.logical_and)),
    np.logical_or: _for("iuf", _truths(p.logical_or)),
    np.logical_xor: _for("iuf", _truths(p.logical_xor)),
    np.logical_not: _for("iuf", lambda x: p.equal.of(x, 0)),
    np.fmax: _either(_for("biu", p.maximum.of), _for("f", _extreme(p.maximum))),
    np.fmin: _either(_for("biu", p.minimum.of), _for("f", _extreme(p.minimum))),
    np._core.umath.clip: _for("biuf", _clip),  # type: ignore[attr-defined]
    np.heaviside: _for("f", _heaviside),
    np.divmod: _for("iuf", _divmod),
    np.degrees: _for("f", _degrees),
    np.rad2deg: _for("f", _degrees),
    np.radians: _for("f", _radians),
    np.deg2rad: _for("f", _radians),
})  # fmt: skip
