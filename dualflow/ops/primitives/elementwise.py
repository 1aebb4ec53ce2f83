"""Records of arithmetic, comparison, logic and bit operations, rounding, choice and casts.

Gradients take the operands as they came to the door, so a scalar may stand in for a tensor and
shapes may still broadcast; autograd sums each gradient to its input's shape. An element of the
tuple may be a function, called only if that gradient is wanted. Of complex numbers a gradient is
dL/dRe + i dL/dIm, so rules take the conjugate of a derivative; that of a real number is itself.
"""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import as_dtype, bool_, is_complex, is_inexact
from dualflow.base.errors import DomainError, DTypeError
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from .. import domains
from ..record import elementwise, needs_no_more, primitive
from .transcendental import log

ALL = "biufc"
ORDERED = "biuf"
NUMBERS = "iufc"
INEXACT = "fc"
BOOLEAN = "the result is boolean"
INTEGER = "it works on integers"


def infix(sign: str) -> str:
    """The spelling of a binary operator."""
    return "{0} " + sign + " {1}"


# Choice and casts. `where` stands first: gradients below are written with it.

where = elementwise(
    "where", np.where, "x where the condition holds, else y",
    accepts=ALL + "s", condition=True, as_given=True,
    gradient=lambda g, out, c, x, y: (
        None, lambda: where.of(c, g, 0.0), lambda: where.of(c, 0.0, g)),
    numba={"biufcs": "select({0}, {1}, {2})"},
    triton={"biufs": "tl.where({0}, {1}, {2})", "biufc": "c_where({0}, {1}, {2})"},
)  # fmt: skip


def _cast_rule(x: TensorType, *, dtype: np.dtype) -> TensorType:
    wanted = as_dtype(dtype)
    if x.dtype.kind == "c" and wanted.kind not in "bc":
        raise DTypeError(f"a cast of {x.dtype.name} to {wanted.name}",
                         why="imaginary parts would be dropped",
                         instead="real(x) or abs(x) first")  # fmt: skip
    return TensorType(x.shape, wanted)


def _cast(x: np.ndarray, *, dtype: np.dtype) -> np.ndarray:
    if x.dtype.kind == "c":
        _cast_rule(TensorType(x.shape, x.dtype), dtype=dtype)  # NumPy would only warn
    return x.astype(dtype)


def _cast_gradient(g, out, x, dtype):
    return (in_dtype(g, x.dtype) if is_inexact(x.dtype) else None,)


def in_dtype(g, dtype: np.dtype):
    """A gradient in `dtype`; for a real number only the real part counts."""
    if is_complex(g.dtype) and not is_complex(dtype):
        g = real(g)
    return g if g.dtype == dtype else cast(g, dtype=dtype)


cast = primitive(
    "cast", Kind.ELEMENTWISE, _cast_rule, _cast,
    doc="the values in another dtype (or a copy in the same)",
    gradient=_cast_gradient, forward=lambda tangents, out, x, dtype: cast(tangents[0], dtype=dtype),
    as_given=True,
    spelling={"numba": {"biufcs": "cast({0}, {dtype})"},
              "triton": {"biufs": "{0}.to({dtype})", "c": "c_cast({0}, {dtype})",
                         "biufc": "as_complex({0}, {dtype})"}},
    domain=domains.CASTABLE,
)  # fmt: skip


def _bitcast_rule(x: TensorType, *, dtype: np.dtype) -> TensorType:
    if as_dtype(dtype).itemsize != x.dtype.itemsize or bool_ in (x.dtype, dtype):
        raise DTypeError(f"bitcast of {x.dtype.name} to {np.dtype(dtype).name}",
                         why="bits are kept, so both must be numbers of one size",
                         instead="astype to convert values")  # fmt: skip
    return TensorType(x.shape, dtype)


def _bitcast(x: np.ndarray, *, dtype: np.dtype) -> np.ndarray:
    _bitcast_rule(TensorType(x.shape, x.dtype), dtype=dtype)  # NumPy would take more
    return np.array(x, order="C", ndmin=1).view(dtype).reshape(x.shape)


bitcast = primitive(
    "bitcast", Kind.ELEMENTWISE, _bitcast_rule, _bitcast,
    doc="the same bits as another dtype of that size",
    no_gradient="bits are not a smooth function of a value", as_given=True,
    spelling={"numba": "bitcast({0}, {given}, {dtype})", "triton": "{0}.to({dtype}, bitcast=True)"},
)  # fmt: skip

# Arithmetic.

add = elementwise(
    "add", np.add, "x + y (or, for booleans)", accepts=ALL,
    gradient=lambda g, out, x, y: (g, g),
    numba={"b": "{0} | {1}", "iu": "wrap_add({0}, {1})", "f": "{0} + {1}", "c": "c_add({0}, {1})"},
    triton={"b": "{0} | {1}", "iuf": "{0} + {1}", "c": "c_add({0}, {1})"},
)  # fmt: skip


@needs_no_more
def _difference_forward(tangents, out, x, y):
    to_x, to_y = tangents
    if to_y is None:
        return to_x
    return -to_y if to_x is None else to_x - to_y


subtract = elementwise(
    "subtract", np.subtract, "x - y", accepts=NUMBERS,
    gradient=lambda g, out, x, y: (g, lambda: -g),
    forward=_difference_forward,
    numba={"iu": "wrap_subtract({0}, {1})", "f": "{0} - {1}", "c": "c_subtract({0}, {1})"},
    triton={"iuf": "{0} - {1}", "c": "c_subtract({0}, {1})"},
)  # fmt: skip


@needs_no_more
def _product_forward(tangents, out, x, y):
    to_x, to_y = tangents
    if to_x is None:
        return x * to_y
    if to_y is None:
        return to_x * y
    first = to_x * y
    return first + (first if x is y and to_x is to_y else x * to_y)


multiply = elementwise(
    "multiply", np.multiply, "x * y (and, for booleans)", accepts=ALL,
    gradient=lambda g, out, x, y: (lambda: g * y.conjugate(), lambda: g * x.conjugate()),
    forward=_product_forward,
    numba={"b": "{0} & {1}", "iu": "wrap_multiply({0}, {1})", "f": "{0} * {1}",
           "c": "c_multiply({0}, {1})"},
    triton={"b": "{0} & {1}", "iuf": "{0} * {1}", "c": "c_multiply({0}, {1})"},
)  # fmt: skip


@needs_no_more
def _quotient_forward(tangents, out, x, y):
    to_x, to_y = tangents
    if to_y is None:
        return to_x / y
    moved = out * to_y
    return (-moved if to_x is None else to_x - moved) / y


divide = elementwise(
    "divide", np.true_divide, "x / y, of floats", accepts=INEXACT, to_float=True,
    gradient=lambda g, out, x, y: (
        lambda: g / y.conjugate(), lambda: -(g * out.conjugate()) / y.conjugate()),
    forward=_quotient_forward,
    numba={"f": "{0} / {1}", "c": "c_divide({0}, {1})"},
    triton={"f": "divide({0}, {1})", "c": "c_divide({0}, {1})"}, domain=domains.DIVISION,
)  # fmt: skip
floor_divide = elementwise(
    "floor_divide", np.floor_divide,
    "the integral value below x / y; integers divided by 0 give 0, as in NumPy",
    gradient=lambda g, out, x, y: (None, None),
    numba="floor_divide({0}, {1})", triton="floor_divide({0}, {1})", domain=domains.DIVISION,
)  # fmt: skip
remainder = elementwise(
    "remainder", np.remainder, "x - y * floor_divide(x, y), with the sign of y",
    gradient=lambda g, out, x, y: (g, lambda: -(g * floor_divide.of(x, y))),
    numba="remainder({0}, {1})", triton="remainder({0}, {1})", domain=domains.DIVISION,
)  # fmt: skip


def _power_gradient(g, out, x, y):
    def to_base():
        if isinstance(y, (int, float)):
            return g * (y * power.of(x, y - 1.0)).conjugate() if y else g * 0.0
        return g * where.of(y == 0, 0.0, y * power.of(x, y - 1.0)).conjugate()

    def to_exponent():  # at x = 0 the limit of x**y log(x), 0, is taken
        logarithm = log_or_zero(x, y)
        return g * (out * logarithm).conjugate()

    return to_base, to_exponent


def log_or_zero(x, like):
    """log(x), and 0 where x is 0; `like` is a tensor, for x may be a scalar."""
    x = where.of(like == like, x, x)
    return log.of(where.of(x == 0, 1.0, x))


power = elementwise(
    "power", np.power, "x ** y, of floats", accepts=INEXACT, to_float=True,
    gradient=_power_gradient,
    numba="m_pow({0}, {1})", triton="libdevice.pow({0}, {1})", exact=False, domain=domains.POWER,
)  # fmt: skip


def whole_power(x, y):
    """NumPy's x ** y of integers, with an error of this package's."""
    try:
        return np.power(x, y)
    except ValueError:
        raise DomainError(
            "an integer to a negative integer power",
            why="the result of a power of integers is an integer",
            instead="x.astype(float32) ** y",
        ) from None


integer_power = elementwise(
    "integer_power", whole_power, "x ** y, of integers; raises for y < 0", accepts="iu",
    no_gradient=INTEGER, may_raise=True, domain=domains.INTEGER_POWER,
)  # fmt: skip
negative = elementwise(
    "negative", np.negative, "-x", accepts=NUMBERS,
    gradient=lambda g, out, x: (-g,),
    numba={"iu": "wrap_negative({0})", "f": "-{0}", "c": "c_negative({0})"},
    triton={"iuf": "-{0}", "c": "c_negative({0})"},
)  # fmt: skip
abs = elementwise(
    "abs", np.absolute, "|x|; the gradient at 0 is 0", accepts=NUMBERS, to_real=True,
    gradient=lambda g, out, x: (g * x.sign(),),
    forward=lambda t, out, x: in_dtype(t[0] * x.sign().conjugate(), out.dtype),
    numba={"iuf": "absolute({0})", "c": "c_abs({0})"},
    triton={"iuf": "tl.abs({0})", "c": "c_abs({0})"}, exact="iuf",
    domain=domains.AWAY_FROM_ZERO,
)  # fmt: skip
sign = elementwise(
    "sign", np.sign, "-1, 0 or 1; NaN for NaN; the gradient is 0 everywhere",
    gradient=lambda g, out, x: (None,),
    numba="sign({0})", triton="sign({0})", domain=domains.AWAY_FROM_ZERO,
)  # fmt: skip


def _larger_gradient(g, x, y, x_wins):
    """Where both are equal, each gets half."""
    tie = x == y
    return (
        lambda: where.of(tie, g * 0.5, where.of(x_wins(), g, 0.0)),
        lambda: where.of(tie, g * 0.5, where.of(x_wins(), 0.0, g)),
    )


maximum = elementwise(
    "maximum", np.maximum, "the larger; NaN if either is; equals share the gradient",
    accepts=ORDERED,
    gradient=lambda g, out, x, y: _larger_gradient(g, x, y, lambda: x > y),
    numba={"b": "{0} | {1}", "iuf": "maximum({0}, {1})"},
    triton={"b": "{0} | {1}",
            "iuf": "tl.maximum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)"},
)  # fmt: skip
minimum = elementwise(
    "minimum", np.minimum, "the smaller; NaN if either is; equals share the gradient",
    accepts=ORDERED,
    gradient=lambda g, out, x, y: _larger_gradient(g, x, y, lambda: x < y),
    numba={"b": "{0} & {1}", "iuf": "minimum({0}, {1})"},
    triton={"b": "{0} & {1}",
            "iuf": "tl.minimum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)"},
)  # fmt: skip
copysign = elementwise(
    "copysign", np.copysign, "|x| with the sign of y; no gradient flows to y",
    accepts="f", to_float=True,
    gradient=lambda g, out, x, y: (lambda: g * (sign.of(x) * copysign.of(1.0, y)), None),
    numba="copysign({0}, {1})", triton="libdevice.copysign({0}, {1})",
    domain=domains.AWAY_FROM_ZERO,
)  # fmt: skip
hypot = elementwise(
    "hypot", np.hypot, "sqrt(x*x + y*y), with no overflow; the gradient at 0 is 0",
    accepts="f", to_float=True, exact=False,
    gradient=lambda g, out, x, y: (
        lambda: g * (x / where.of(out == 0, 1.0, out)),
        lambda: g * (y / where.of(out == 0, 1.0, out))),
    numba="m_hypot({0}, {1})", triton="libdevice.hypot({0}, {1})", domain=domains.AWAY_FROM_ZERO,
)  # fmt: skip
nextafter = elementwise(
    "nextafter", np.nextafter, "the float next to x towards y", accepts="f", to_float=True,
    no_gradient="the next float is no smooth function of a float", as_given=True,
)  # fmt: skip

# Complex numbers.

conj = elementwise(
    "conj", np.conjugate, "the complex conjugate", accepts="c",
    gradient=lambda g, out, x: (g.conjugate(),),
    forward=lambda t, out, x: t[0].conjugate(), numba={"c": "c_conj({0})"},
    triton={"c": "c_conj({0})"},
)  # fmt: skip
real = elementwise(
    "real", lambda x: x.real.copy(), "the real part of complex numbers", accepts="c", to_real=True,
    gradient=lambda g, out, x: (cast(g, dtype=x.dtype),),
    forward=lambda t, out, x: real(t[0]), numba={"c": "c_real({0})"},
    triton={"c": "c_real({0})"},
)  # fmt: skip
imag = elementwise(
    "imag", lambda x: x.imag.copy(), "the imaginary part of complex numbers", accepts="c",
    to_real=True,
    gradient=lambda g, out, x: (g * 1j,),
    forward=lambda t, out, x: imag(t[0]), numba={"c": "c_imag({0})"},
    triton={"c": "c_imag({0})"},
)  # fmt: skip

# Rounding: the gradient is 0 wherever there is one, and 0 is taken elsewhere too.

floor = elementwise(
    "floor", np.floor, "the integral value below", accepts="f",
    gradient=lambda g, out, x: (None,),
    numba="floor({0})", triton="tl.floor({0})", domain=domains.BETWEEN_HALVES,
)  # fmt: skip
ceil = elementwise(
    "ceil", np.ceil, "the integral value above", accepts="f",
    gradient=lambda g, out, x: (None,),
    numba="ceil({0})", triton="tl.ceil({0})", domain=domains.BETWEEN_HALVES,
)  # fmt: skip
round = elementwise(
    "round", np.rint, "the nearest integral value, the even one of two", accepts=INEXACT,
    gradient=lambda g, out, x: (None,),
    numba={"f": "rint({0})", "c": "c_round({0})"},
    triton={"f": "libdevice.rint({0})", "c": "c_round({0})"},
    domain=domains.BETWEEN_HALVES,
)  # fmt: skip
trunc = elementwise(
    "trunc", np.trunc, "the integral value towards 0", accepts="f",
    gradient=lambda g, out, x: (None,),
    numba="trunc({0})", triton="libdevice.trunc({0})", domain=domains.BETWEEN_HALVES,
)  # fmt: skip

# Comparison.

_COMPARISONS = (
    ("equal", np.equal, "==", ALL, None),
    ("not_equal", np.not_equal, "!=", ALL, None),
    ("less", np.less, "<", ORDERED, 0),
    ("less_equal", np.less_equal, "<=", ORDERED, 1),
    ("greater", np.greater, ">", ORDERED, 1),
    ("greater_equal", np.greater_equal, ">=", ORDERED, 0),
)
equal, not_equal, less, less_equal, greater, greater_equal = (
    elementwise(
        name, numpy, f"whether x {sign} y; false if either is NaN (!=: true)",
        accepts=accepts, result=bool_, no_gradient=BOOLEAN,
        numba={"biuf": infix(sign), "c": f"c_{name}({{0}}, {{1}})"},
        triton={"biuf": infix(sign), "c": f"c_{name}({{0}}, {{1}})"},
        domain=domains.FEW_VALUES, turns=turns,
    )
    for name, numpy, sign, accepts, turns in _COMPARISONS
)  # fmt: skip
isnan = elementwise(
    "isnan", np.isnan, "whether x is NaN", accepts=INEXACT, result=bool_, no_gradient=BOOLEAN,
    numba={"f": "{0} != {0}", "c": "c_isnan({0})"},
    triton={"f": "{0} != {0}", "c": "c_isnan({0})"},
)  # fmt: skip
isinf = elementwise(
    "isinf", np.isinf, "whether x is infinite", accepts=INEXACT, result=bool_, no_gradient=BOOLEAN,
    numba={"f": "isinf({0})", "c": "c_isinf({0})"},
    triton={"f": "tl.abs({0}) == float('inf')", "c": "c_isinf({0})"},
)  # fmt: skip
isfinite = elementwise(
    "isfinite", np.isfinite, "whether x is neither infinite nor NaN",
    accepts=INEXACT, result=bool_, no_gradient=BOOLEAN,
    numba={"f": "isfinite({0})", "c": "c_isfinite({0})"},
    triton={"f": "tl.abs({0}) < float('inf')", "c": "c_isfinite({0})"},
)  # fmt: skip
signbit = elementwise(
    "signbit", np.signbit, "whether the sign bit is set (also of -0.0)",
    accepts="f", result=bool_, no_gradient=BOOLEAN,
    numba="signbit({0})", triton="libdevice.signbit({0}) != 0",
)  # fmt: skip

# Logic, on booleans.

logical_and, logical_or, logical_xor = (
    elementwise(
        name, numpy, f"{word} of booleans", accepts="b", result=bool_, to_bool=True,
        no_gradient=BOOLEAN, numba=infix(sign), triton=infix(sign),
    )
    for name, numpy, sign, word in (
        ("logical_and", np.logical_and, "&", "and"),
        ("logical_or", np.logical_or, "|", "or"),
        ("logical_xor", np.logical_xor, "^", "exclusive or"),
    )
)  # fmt: skip
logical_not = elementwise(
    "logical_not", np.logical_not, "not, of booleans", accepts="b", result=bool_, to_bool=True,
    no_gradient=BOOLEAN, numba="logical_not({0})", triton="{0} == 0",
)  # fmt: skip

# Bits.

bitwise_and, bitwise_or, bitwise_xor = (
    elementwise(
        name, numpy, f"{word} of each bit", accepts="biu", no_gradient=INTEGER,
        numba=infix(sign), triton=infix(sign),
    )
    for name, numpy, sign, word in (
        ("bitwise_and", np.bitwise_and, "&", "and"),
        ("bitwise_or", np.bitwise_or, "|", "or"),
        ("bitwise_xor", np.bitwise_xor, "^", "exclusive or"),
    )
)  # fmt: skip
bitwise_invert = elementwise(
    "bitwise_invert", np.invert, "not of each bit", accepts="biu", no_gradient=INTEGER,
    numba={"b": "logical_not({0})", "iu": "~{0}"}, triton={"b": "{0} == 0", "iu": "~{0}"},
)  # fmt: skip
left_shift = elementwise(
    "left_shift", np.left_shift,
    "x * 2**y; 0 where y is negative or no smaller than the number of bits", accepts="iu",
    no_gradient=INTEGER, numba="left_shift({0}, {1})", triton="left_shift({0}, {1})",
    domain=domains.SHIFT,
)  # fmt: skip
right_shift = elementwise(
    "right_shift", np.right_shift,
    "x / 2**y rounded down; the sign alone (0 or -1) where y is negative or too large",
    accepts="iu", no_gradient=INTEGER,
    numba="right_shift({0}, {1})", triton="right_shift({0}, {1})",
    domain=domains.SHIFT,
)  # fmt: skip
