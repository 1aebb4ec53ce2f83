"""Records of exponentials, logarithms, roots, trigonometric and hyperbolic functions.

Eager takes NumPy's own (within 1 ulp of float64 and 4 of float32 on current builds), so they are
not `exact`: kernels are within 2 ulp, of complex numbers each part within 4. sqrt of real numbers
is correctly rounded everywhere.
"""

from __future__ import annotations

import math

import numpy as np

from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from .. import domains, gamma, special
from ..record import Strict, elementwise, primitive
from ..rules import check_kind

TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)


_NO_POLES = domains.POSITIVE._replace(specials=False)
#: What kernels compute of complex numbers too.
COMPLEX = frozenset(
    ["exp", "log", "log2", "log10", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh"]
)


def _function(name, numpy, doc, gradient, triton, domain=domains.LINE, **parts) -> Strict:
    numba, triton = {"f": f"m_{name}({{0}})"}, {"f": triton}
    if name in COMPLEX:
        numba["c"] = triton["c"] = f"c_{name}({{0}})"
    parts = {"numba": numba, "exact": False, "accepts": "fc"} | parts
    return elementwise(name, numpy, doc, to_float=True, gradient=gradient,
                       triton=triton, domain=domain, **parts)  # fmt: skip


def _libdevice(name: str) -> str:
    return f"libdevice.{name}({{0}})"


exp = _function(
    "exp", np.exp, "e ** x", lambda g, out, x: (g * out.conjugate(),), _libdevice("exp")
)
exp2 = _function(
    "exp2", np.exp2, "2 ** x",
    lambda g, out, x: (g * (out * math.log(2.0)).conjugate(),), _libdevice("exp2"),
)  # fmt: skip
expm1 = _function(
    "expm1", special.expm1, "e ** x - 1, accurate near 0",
    lambda g, out, x: (g * (out + 1.0).conjugate(),), _libdevice("expm1"),
)  # fmt: skip
log = _function(
    "log", np.log, "the natural logarithm",
    lambda g, out, x: (g / x.conjugate(),), _libdevice("log"), domains.POSITIVE,
)  # fmt: skip
log2 = _function(
    "log2", np.log2, "the logarithm to base 2",
    lambda g, out, x: (g / (x * math.log(2.0)).conjugate(),), _libdevice("log2"), domains.POSITIVE,
)  # fmt: skip
log10 = _function(
    "log10", np.log10, "the logarithm to base 10",
    lambda g, out, x: (g / (x * math.log(10.0)).conjugate(),),
    _libdevice("log10"), domains.POSITIVE,
)  # fmt: skip
log1p = _function(
    "log1p", np.log1p, "log(1 + x), accurate near 0",
    lambda g, out, x: (g / (x + 1.0).conjugate(),), _libdevice("log1p"), domains.ABOVE_MINUS_ONE,
)  # fmt: skip
sqrt = _function(
    "sqrt", np.sqrt, "the square root, correctly rounded",
    lambda g, out, x: (g / (out * 2.0).conjugate(),),
    "square_root({0})", domains.POSITIVE, exact="f",
)  # fmt: skip
cbrt = _function(
    "cbrt", np.cbrt, "the cube root, that of a negative number too",
    lambda g, out, x: (g / (out * out * 3.0),), "cube_root({0})", domains.AWAY_FROM_ZERO,
    accepts="f",
)  # fmt: skip
sin = _function(
    "sin", np.sin, "the sine, of radians", lambda g, out, x: (g * cos.of(x).conjugate(),),
    _libdevice("sin"),
)  # fmt: skip
cos = _function(
    "cos", np.cos, "the cosine, of radians", lambda g, out, x: (-(g * sin.of(x).conjugate()),),
    _libdevice("cos"),
)  # fmt: skip
tan = _function(
    "tan", np.tan, "the tangent, of radians",
    lambda g, out, x: (g * (out * out + 1.0).conjugate(),), _libdevice("tan"), domains.UNIT,
)  # fmt: skip
asin = _function(
    "asin", np.arcsin, "the arc sine, in radians",
    lambda g, out, x: (g / sqrt.of(1.0 - x * x).conjugate(),), _libdevice("asin"), domains.UNIT,
)  # fmt: skip
acos = _function(
    "acos", np.arccos, "the arc cosine, in radians",
    lambda g, out, x: (-(g / sqrt.of(1.0 - x * x).conjugate()),), _libdevice("acos"), domains.UNIT,
)  # fmt: skip
atan = _function(
    "atan", np.arctan, "the arc tangent, in radians",
    lambda g, out, x: (g / (x * x + 1.0).conjugate(),), _libdevice("atan"),
)  # fmt: skip
atan2 = _function(
    "atan2", np.arctan2, "the angle of the point (y, x), in radians; arguments y, x",
    lambda g, out, y, x: (
        lambda: g * (x / (x * x + y * y)), lambda: -(g * (y / (x * x + y * y)))),
    "libdevice.atan2({0}, {1})", domains.AWAY_FROM_ZERO, numba="m_atan2({0}, {1})", accepts="f",
)  # fmt: skip
sinh = _function(
    "sinh", np.sinh, "the hyperbolic sine", lambda g, out, x: (g * cosh.of(x).conjugate(),),
    _libdevice("sinh"),
)  # fmt: skip
cosh = _function(
    "cosh", np.cosh, "the hyperbolic cosine", lambda g, out, x: (g * sinh.of(x).conjugate(),),
    _libdevice("cosh"),
)  # fmt: skip
tanh = _function(
    "tanh", special.tanh, "the hyperbolic tangent",
    lambda g, out, x: (g * (1.0 - out * out).conjugate(),), _libdevice("tanh"),
)  # fmt: skip
asinh = _function(
    "asinh", np.arcsinh, "the inverse hyperbolic sine",
    lambda g, out, x: (g / sqrt.of(x * x + 1.0).conjugate(),), _libdevice("asinh"),
)  # fmt: skip
acosh = _function(
    "acosh", np.arccosh, "the inverse hyperbolic cosine",
    lambda g, out, x: (g / (sqrt.of(x - 1.0) * sqrt.of(x + 1.0)).conjugate(),), _libdevice("acosh"),
    domains.ABOVE_ONE,
)  # fmt: skip
atanh = _function(
    "atanh", np.arctanh, "the inverse hyperbolic tangent",
    lambda g, out, x: (g / (1.0 - x * x).conjugate(),), _libdevice("atanh"), domains.UNIT,
)  # fmt: skip
logaddexp = _function(
    "logaddexp", np.logaddexp, "log(exp(x) + exp(y)), with no overflow",
    lambda g, out, x, y: (lambda: g * sigmoid.of(x - y), lambda: g * sigmoid.of(y - x)),
    "tl.where({0} == {1}, {0} + 0.6931471805599453, tl.maximum({0}, {1}, "
    "propagate_nan=tl.PropagateNan.ALL) + libdevice.log1p(libdevice.exp(-tl.abs({0} - {1}))))",
    domains.POSITIVE, numba="m_logaddexp({0}, {1})", accepts="f",
)  # fmt: skip
erf = _function(
    "erf", special.erf, "the error function, 2 / sqrt(pi) times the integral of exp(-t*t) to x",
    lambda g, out, x: (g * (exp.of(-(x * x)) * TWO_OVER_SQRT_PI),), _libdevice("erf"), accepts="f",
)  # fmt: skip
erfc = _function(
    "erfc", special.erfc, "1 - erf(x), accurate where that is small",
    lambda g, out, x: (g * (exp.of(-(x * x)) * -TWO_OVER_SQRT_PI),),
    _libdevice("erfc"), accepts="f",
)  # fmt: skip
lgamma = _function(
    "lgamma", gamma.lgamma, "log(|gamma(x)|), infinite at 0, -1, -2, ...",
    lambda g, out, x: (g * polygamma(x, order=0),), _libdevice("lgamma"), domains.POSITIVE,
    accepts="f",
)  # fmt: skip


def _polygamma_rule(x: TensorType, *, order: int) -> TensorType:
    check_kind("polygamma", x.dtype, "f")
    return x


polygamma = primitive(
    "polygamma", Kind.LIBRARY, _polygamma_rule, gamma.polygamma,
    doc="derivative number `order` of digamma, the derivative of lgamma",
    gradient=lambda g, out, x, order: (g * polygamma(x, order=order + 1),),
    forward=lambda tangents, out, x, order: tangents[0] * polygamma(x, order=order + 1),
    exact=False, domain=domains.POSITIVE._replace(specials=False),
)  # fmt: skip
sigmoid = _function(
    "sigmoid", special.sigmoid, "1 / (1 + exp(-x)), with no overflow",
    lambda g, out, x: (g * (out * (1.0 - out)),), "sigmoid({0})", accepts="f",
)  # fmt: skip
