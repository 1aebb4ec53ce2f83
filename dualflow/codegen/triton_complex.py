"""Complex numbers in Triton texts: pairs of floats, and functions of them in Triton's language.

In memory a complex64 is one 64-bit word and a complex128 two neighbouring doubles, along a further
axis of a tile: so accesses are 16 bytes wide. The product is fused and the quotient is R. Smith's,
as in NumPy's vector loops; functions are computed in double and take C's special values (Annex G).
Comes in: texts of values. Goes out: a `Pair`, texts of accesses, and entries of the prelude.
"""

from __future__ import annotations

import numpy as np

from .triton_narrow import is_byte

COMPLEX64 = np.dtype("complex64")


class Pair(str):
    """What a text calls a complex number: a variable for each part.

    >>> pair = Pair("v3")
    >>> f"{pair}", pair.re
    ('v3r, v3i', 'v3r')
    """

    re: str
    im: str

    def __new__(cls, name: str) -> Pair:
        """The parts of the value `name`."""
        made = str.__new__(cls, f"{name}r, {name}i")
        made.re, made.im = f"{name}r", f"{name}i"
        return made


def memory_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype behind a pointer to elements of `dtype`."""
    if is_byte(dtype):
        return np.dtype("uint8")
    if dtype.kind != "c":
        return dtype
    return np.dtype("int64" if dtype == COMPLEX64 else "float64")


def load_pair(place: str, masks: str, other: str, dtype: np.dtype) -> str:
    """An expression of both parts; `other` is a pair for where nothing is loaded, or empty."""
    if dtype == COMPLEX64:
        other = f", other=as_word({other})" if other else ""
        return f"of_word(tl.load({place}{masks}{other}))"
    if not masks:
        return f"load_two({place})"
    return f"load_two_if({place}{masks.replace('mask=', '')}, {other or '0.0, 0.0'})"


def store_pair(place: str, masks: str, value: Pair, dtype: np.dtype) -> str:
    """A line that stores both parts."""
    if dtype == COMPLEX64:
        return f"tl.store({place}, as_word({value}){masks})"
    if not masks:
        return f"store_two({place}, {value})"
    return f"store_two_if({place}, {value}{masks.replace('mask=', '')})"


def _turned(name: str, by: str, parts: str) -> str:
    """A function that is another one of the number turned by a quarter."""
    return f"""\
@triton.jit
def {name}(re, im):
    x, y = {by}({parts})
    return {"(y, -x)" if name != "c_cos" else "(x, y)"}
"""


#: By name; a function stands after those it calls.
FUNCTIONS = {
    "as_word": """\
@triton.jit
def as_word(re, im):
    low = re.to(tl.float32).to(tl.int32, bitcast=True).to(tl.int64)
    high = im.to(tl.float32).to(tl.int32, bitcast=True).to(tl.int64)
    return (high << 32) | (low & 0xFFFFFFFF)
""",
    "of_word": """\
@triton.jit
def of_word(word):
    re = word.to(tl.int32).to(tl.float32, bitcast=True)
    im = (word >> 32).to(tl.int32).to(tl.float32, bitcast=True)
    return re, im
""",
    "load_two": """\
@triton.jit
def load_two(place):
    if len(place.shape) == 0:
        return tl.load(place), tl.load(place + 1)
    else:
        return tl.split(tl.load(tl.expand_dims(place, len(place.shape)) + tl.arange(0, 2)))
""",
    "load_two_if": """\
@triton.jit
def load_two_if(place, mask, re, im):
    if len(place.shape) == 0:
        return tl.load(place, mask=mask, other=re), tl.load(place + 1, mask=mask, other=im)
    else:
        mask = tl.broadcast_to(mask, place.shape)
        there = tl.expand_dims(mask, len(place.shape))
        both = tl.load(tl.expand_dims(place, len(place.shape)) + tl.arange(0, 2), mask=there)
        x, y = tl.split(both)
        return tl.where(mask, x, re), tl.where(mask, y, im)
""",
    "store_two": """\
@triton.jit
def store_two(place, re, im):
    if len(place.shape) == 0:
        tl.store(place, re)
        tl.store(place + 1, im)
    else:
        place = tl.expand_dims(place, len(place.shape)) + tl.arange(0, 2)
        tl.store(place, tl.join(re, im))
""",
    "store_two_if": """\
@triton.jit
def store_two_if(place, re, im, mask):
    if len(place.shape) == 0:
        tl.store(place, re, mask=mask)
        tl.store(place + 1, im, mask=mask)
    else:
        there = tl.expand_dims(tl.broadcast_to(mask, place.shape), len(place.shape))
        place = tl.expand_dims(place, len(place.shape)) + tl.arange(0, 2)
        tl.store(place, tl.join(re, im), mask=there)
""",
    "as_complex": """\
@triton.jit
def as_complex(re, dtype: tl.constexpr):
    x = re.to(dtype)
    return x, x * 0
""",
    "c_cast": """\
@triton.jit
def c_cast(re, im, dtype: tl.constexpr):
    if dtype == tl.int1:
        return (re != 0) | (im != 0)
    else:
        return re.to(dtype), im.to(dtype)
""",
    "c_multiply": """\
@triton.jit
def c_multiply(a, b, c, d):
    return tl.fma(a, c, -(b * d)), tl.fma(a, d, b * c)
""",
    "c_divide": """\
@triton.jit
def c_divide(a, b, c, d):
    wide = tl.abs(c) >= tl.abs(d)
    ratio = divide(tl.where(wide, d, c), tl.where(wide, c, d))
    bottom = tl.where(wide, c, d) + tl.where(wide, d, c) * ratio
    scale = divide(tl.full(bottom.shape, 1.0, bottom.dtype), bottom)
    first, second = tl.where(wide, a, b), tl.where(wide, b, a)
    moved = first * ratio
    im = tl.where(wide, second - moved, moved - second) * scale
    zero = (c == 0) & (d == 0)
    re = tl.where(zero, divide(a, tl.abs(c)), (first + second * ratio) * scale)
    return re, tl.where(zero, divide(b, tl.abs(c)), im)
""",
    "c_add": """\
@triton.jit
def c_add(a, b, c, d):
    return a + c, b + d
""",
    "c_subtract": """\
@triton.jit
def c_subtract(a, b, c, d):
    return a - c, b - d
""",
    "c_negative": """\
@triton.jit
def c_negative(re, im):
    return -re, -im
""",
    "c_conj": """\
@triton.jit
def c_conj(re, im):
    return re, -im
""",
    "c_round": """\
@triton.jit
def c_round(re, im):
    return libdevice.rint(re), libdevice.rint(im)
""",
    "c_where": """\
@triton.jit
def c_where(condition, a, b, c, d):
    return tl.where(condition, a, c), tl.where(condition, b, d)
""",
    "c_real": """\
@triton.jit
def c_real(re, im):
    return re
""",
    "c_imag": """\
@triton.jit
def c_imag(re, im):
    return im
""",
    "c_abs": """\
@triton.jit
def c_abs(re, im):
    return libdevice.hypot(re, im)
""",
    "c_equal": """\
@triton.jit
def c_equal(a, b, c, d):
    return (a == c) & (b == d)
""",
    "c_not_equal": """\
@triton.jit
def c_not_equal(a, b, c, d):
    return (a != c) | (b != d)
""",
    "c_isnan": """\
@triton.jit
def c_isnan(re, im):
    return (re != re) | (im != im)
""",
    "c_isinf": """\
@triton.jit
def c_isinf(re, im):
    return (tl.abs(re) == float("inf")) | (tl.abs(im) == float("inf"))
""",
    "c_isfinite": """\
@triton.jit
def c_isfinite(re, im):
    return (tl.abs(re) < float("inf")) & (tl.abs(im) < float("inf"))
""",
    "times_exp": """\
@triton.jit
def times_exp(factor, x):
    far = tl.abs(x) > 700
    power = libdevice.exp(tl.where(far, x * 0.5, x))
    return tl.where(far, factor * power * power, factor * power)
""",
    "c_exp": """\
@triton.jit
def c_exp(re, im):
    x, y = re.to(tl.float64), im.to(tl.float64)
    a, b = times_exp(libdevice.cos(y), x), times_exp(libdevice.sin(y), x)
    flat, lost = y == 0, (tl.abs(y) < float("inf")) == 0
    gone, up = x == float("-inf"), x == float("inf")
    a = tl.where(lost & gone, 0.0, tl.where(lost & up, x, a))
    a = tl.where((gone | up) & flat, tl.where(gone, 0.0, x), a)
    b = tl.where(lost & gone, 0.0, tl.where(flat, y, b))
    return a.to(re.dtype), b.to(re.dtype)
""",
    "square_of": """\
@triton.jit
def square_of(x):
    high = x * x
    return high, tl.fma(x, x, -high)
""",
    "c_log": """\
@triton.jit
def c_log(re, im):
    a, b = tl.abs(re.to(tl.float64)), tl.abs(im.to(tl.float64))
    x, y = tl.where(a < b, b, a), tl.where(a < b, a, b)
    huge, tiny = x > 1e150, x < 1e-150
    by = tl.where(huge, 2.0**-700, tl.where(tiny, 2.0**700, 1.0))
    more = tl.where(huge, 700.0, tl.where(tiny, -700.0, 0.0))
    p, p_low = square_of(x * by)
    q, q_low = square_of(y * by)
    total = p + q
    low = (q - (total - p)) + (p_low + q_low)
    near = tl.abs(total - 1.0) < 0.5
    size = libdevice.log1p(tl.where(near, (total - 1.0) + low, 0.0))
    size = tl.where(near, size, libdevice.log(tl.where(near, 1.0, total + low))) * 0.5
    size = size + more.to(tl.float64) * 0.6931471805599453
    size = tl.where((a == float("inf")) | (b == float("inf")), float("inf"), size)
    turn = libdevice.atan2(im.to(tl.float64), re.to(tl.float64))
    return size.to(re.dtype), turn.to(re.dtype)
""",
    "c_log2": """\
@triton.jit
def c_log2(re, im):
    x, y = c_log(re.to(tl.float64), im.to(tl.float64))
    return (x * 1.4426950408889634).to(re.dtype), (y * 1.4426950408889634).to(re.dtype)
""",
    "c_log10": """\
@triton.jit
def c_log10(re, im):
    x, y = c_log(re.to(tl.float64), im.to(tl.float64))
    return (x * 0.4342944819032518).to(re.dtype), (y * 0.4342944819032518).to(re.dtype)
""",
    "c_sqrt": """\
@triton.jit
def c_sqrt(re, im):
    a, b = re.to(tl.float64), im.to(tl.float64)
    x, y = tl.abs(a), tl.abs(b)
    huge, tiny = (x > 1e150) | (y > 1e150), (x < 1e-150) & (y < 1e-150)
    by = tl.where(huge, 2.0**-700, tl.where(tiny, 2.0**700, 1.0))
    back = tl.where(huge, 2.0**350, tl.where(tiny, 2.0**-350, 1.0))
    x, y = x * by, y * by
    root = tl.sqrt((x + tl.sqrt(tl.fma(x, x, y * y))) * 0.5)
    other = tl.where(root == 0, root, y / tl.where(root == 0, 1.0, root + root))
    root, other = root * back, other * back
    behind = a < 0
    u = tl.where(behind, other, root)
    v = libdevice.copysign(tl.where(behind, root, other), b)
    nothing = y - y
    right, left, upright = a == float("inf"), a == float("-inf"), tl.abs(b) == float("inf")
    u = tl.where(right, a, tl.where(left, nothing, u))
    v = tl.where(right, libdevice.copysign(nothing, b),
                 tl.where(left, libdevice.copysign(tl.abs(a), b), v))
    u, v = tl.where(upright, tl.abs(b), u), tl.where(upright, b, v)
    return u.to(re.dtype), v.to(re.dtype)
""",
    "copied_sign": """\
@triton.jit
def copied_sign(size, x):
    return libdevice.copysign((x == x).to(tl.float64) * 0.0 + size, x)
""",
    "grown": """\
@triton.jit
def grown(x, near, factor):
    size = tl.abs(x)
    far = times_exp(factor * 0.5, tl.where(size > 22, size, 0.0))
    return tl.where(size > 22, far, near * factor)
""",
    "c_sinh": """\
@triton.jit
def c_sinh(re, im):
    x, y = re.to(tl.float64), im.to(tl.float64)
    near = tl.where(tl.abs(x) > 22, 0.0, x)
    sign = copied_sign(1.0, x)
    odd = libdevice.sinh(near)
    u = grown(x, tl.abs(odd), libdevice.cos(y)) * sign
    v = grown(x, libdevice.cosh(near), libdevice.sin(y))
    flat, lost = y == 0, (tl.abs(y) < float("inf")) == 0
    ends = ((x == 0) & lost) | ((tl.abs(x) == float("inf")) & (lost | flat))
    u, v = tl.where(ends, x, u), tl.where(flat, y, v)
    return u.to(re.dtype), v.to(re.dtype)
""",
    "c_cosh": """\
@triton.jit
def c_cosh(re, im):
    x, y = re.to(tl.float64), im.to(tl.float64)
    near = tl.where(tl.abs(x) > 22, 0.0, x)
    sign = copied_sign(1.0, x)
    u = grown(x, libdevice.cosh(near), libdevice.cos(y))
    v = grown(x, tl.abs(libdevice.sinh(near)), libdevice.sin(y)) * sign
    flat, lost = y == 0, (tl.abs(y) < float("inf")) == 0
    ends = (tl.abs(x) == float("inf")) & (lost | flat)
    zero = copied_sign(0.0, x) * copied_sign(1.0, y)
    u = tl.where(ends, tl.abs(x), u)
    v = tl.where(flat | ((x == 0) & lost), zero, v)
    return u.to(re.dtype), v.to(re.dtype)
""",
    "c_tanh": """\
@triton.jit
def c_tanh(re, im):
    x, y = re.to(tl.float64), im.to(tl.float64)
    size = tl.abs(x)
    far = size > 22
    tangent, s = libdevice.tan(y), libdevice.sinh(tl.where(far, 1.0, size))
    growth = tl.fma(tangent, tangent, tangent * 0.0 + 1.0)
    bottom = tl.fma(growth * s, s, growth * 0.0 + 1.0)
    near = growth * tl.sqrt(tl.fma(s, s, s * 0.0 + 1.0)) * s / bottom
    u = libdevice.copysign(tl.where(far, 1.0, near), x)
    small = times_exp(libdevice.sin(y) * libdevice.cos(y) * 4.0, -(size + size))
    v = tl.where(far, small, tangent / bottom)
    lost = ((tl.abs(y) < float("inf")) == 0) & (size < float("inf"))
    u = tl.where((x != x) | lost, tl.where(x == 0, x, float("nan")), u)
    flat = (size == float("inf")) | (y == 0)
    v = tl.where(flat, copied_sign(0.0, y), v)
    return u.to(re.dtype), v.to(re.dtype)
""",
    "c_sin": _turned("c_sin", "c_sinh", "-im, re"),
    "c_cos": _turned("c_cos", "c_cosh", "-im, re"),
    "c_tan": _turned("c_tan", "c_tanh", "-im, re"),
}
