"""Functions in Triton's language that generated kernels may name; a text holds those it uses.

They give what NumPy defines and the language leaves open: correct rounding, integer division by
zero, shifts that are too large, positions of extremes with NaN first, Philox's random bits.
"""

from __future__ import annotations

import re

from .triton_complex import FUNCTIONS as COMPLEX
from .triton_narrow import FUNCTIONS as NARROW

HEADER = """\
import triton
import triton.language as tl
from triton.language.extra import libdevice
"""

#: Those of other files.
FUNCTIONS = NARROW | COMPLEX

#: Whether the pair (y, j) replaces (x, i), the best so far; positions are -1 for nowhere.
_POSITION = """\
@triton.jit
def {name}(x, i, y, j):
    better = (y {sign} x) | ((y != y) & (x == x))
    worse = (x {sign} y) | ((x != x) & (y == y))
    take = (i < 0) | ((j >= 0) & (better | ((worse == 0) & (j < i))))
    return tl.where(take, y, x), tl.where(take, j, i)
"""

#: By name; a function stands after those it calls.
PRELUDE = {
    "divide": """\
@triton.jit
def divide(x, y):
    if x.dtype == tl.float64:
        return x / y
    else:
        return tl.div_rn(x, y)
""",
    "square_root": """\
@triton.jit
def square_root(x):
    if x.dtype == tl.float64:
        return tl.sqrt(x)
    else:
        return tl.sqrt_rn(x)
""",
    "sigmoid": """\
@triton.jit
def sigmoid(x):
    small = libdevice.exp(-tl.abs(x))
    return divide(tl.where(x < 0, small, 1.0), 1.0 + small)
""",
    "cube_root": """\
@triton.jit
def cube_root(x):
    if HAS_CBRT:
        return libdevice.cbrt(x)
    else:
        size = tl.abs(x).to(tl.float64)
        near = libdevice.pow(size, size * 0 + 1 / 3)
        found = near - (near * near * near - size) / (3 * near * near)
        found = tl.where((size > 0) & (size < float("inf")), found, size)
        return libdevice.copysign(found.to(x.dtype), x)
""",
    "report": """\
@triton.jit
def report(status, bad, code):
    tl.store(status + bad.to(tl.int32) * 0, code, mask=bad)
""",
    "two_sum": """\
@triton.jit
def two_sum(total, error, value):
    joined = total + value
    back = joined - total
    return joined, error + ((total - (joined - back)) + (value - back))
""",
    "with_error": """\
@triton.jit
def with_error(total, error):
    return tl.where(error == error, total + error, total)
""",
    "scaled": """\
@triton.jit
def scaled(total, before, now):
    less = libdevice.exp((before - now).to(total.dtype))
    return tl.where((total == 0) | (before == now), total, total * less)
""",
    "around": """\
@triton.jit
def around(squares, total, center, count):
    center = center.to(tl.float64)
    found = squares - center * (total + total) + center * center * count
    return tl.where(found < 0, 0.0, found).to(tl.float32)
""",
    "no_number": """\
@triton.jit
def no_number(total, where):
    return tl.where(where, float("nan"), total)
""",
    "argmax": _POSITION.format(name="argmax", sign=">"),
    "argmin": _POSITION.format(name="argmin", sign="<"),
    "floor_divide": """\
@triton.jit
def floor_divide(x, y):
    if x.dtype.is_floating():
        rest = libdevice.fmod(x, y)
        quotient = divide(x - rest, y)
        quotient = tl.where((rest != 0) & ((y < 0) != (rest < 0)), quotient - 1, quotient)
        below = tl.floor(quotient)
        below = tl.where(quotient - below > 0.5, below + 1, below)
        plain = divide(x, y)
        below = tl.where(quotient == 0, libdevice.copysign(plain * 0, plain), below)
        return tl.where(y == 0, plain, below)
    elif x.dtype.is_int_signed():
        safe = tl.where((y == 0) | (y == -1), 1, y).to(x.dtype)
        quotient = x // safe
        rest = x - quotient * safe
        quotient = tl.where((rest != 0) & ((rest < 0) != (safe < 0)), quotient - 1, quotient)
        return tl.where(y == 0, 0, tl.where(y == -1, -x, quotient)).to(x.dtype)
    else:
        return tl.where(y == 0, 0, x // tl.where(y == 0, 1, y)).to(x.dtype)
""",
    "remainder": """\
@triton.jit
def remainder(x, y):
    if x.dtype.is_floating():
        rest = libdevice.fmod(x, y)
        moved = tl.where((y < 0) != (rest < 0), rest + y, rest)
        return tl.where(rest == 0, libdevice.copysign(rest, y), moved)
    elif x.dtype.is_int_signed():
        safe = tl.where((y == 0) | (y == -1), 1, y).to(x.dtype)
        rest = x % safe
        return tl.where((rest != 0) & ((rest < 0) != (safe < 0)), rest + safe, rest).to(x.dtype)
    else:
        return tl.where(y == 0, 0, x % tl.where(y == 0, 1, y)).to(x.dtype)
""",
    "sign": """\
@triton.jit
def sign(x):
    found = (x > 0).to(x.dtype) - (x < 0).to(x.dtype)
    return tl.where(x != x, x, found)
""",
    "philox": """\
@triton.jit
def philox(place, key, counter):
    c0, c1 = place.to(tl.uint32), (place.to(tl.uint64) >> 32).to(tl.uint32)
    c2, c3 = counter.to(tl.uint32), (counter >> 32).to(tl.uint32)
    k0, k1 = key.to(tl.uint32), (key >> 32).to(tl.uint32)
    first, second = tl.full((), 0xD2511F53, tl.uint32), tl.full((), 0xCD9E8D57, tl.uint32)
    for _ in tl.static_range(10):
        high0, low0 = tl.umulhi(c0, first), c0 * first
        high1, low1 = tl.umulhi(c2, second), c2 * second
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 += tl.full((), 0x9E3779B9, tl.uint32)
        k1 += tl.full((), 0xBB67AE85, tl.uint32)
    return c0
""",
    "left_shift": """\
@triton.jit
def left_shift(x, y):
    bits: tl.constexpr = x.dtype.primitive_bitwidth
    fits = (y >= 0) & (y < bits)
    return tl.where(fits, x << tl.where(fits, y, 0).to(x.dtype), 0).to(x.dtype)
""",
    "right_shift": """\
@triton.jit
def right_shift(x, y):
    bits: tl.constexpr = x.dtype.primitive_bitwidth
    fits = (y >= 0) & (y < bits)
    if x.dtype.is_int_signed():
        return (x >> tl.where(fits, y, bits - 1)).to(x.dtype)
    else:
        return tl.where(fits, x >> tl.where(fits, y, 0).to(x.dtype), 0).to(x.dtype)
""",
} | FUNCTIONS


def used_by(text: str) -> list[str]:
    """The functions that `text` names, and those that they name, in the order of the prelude."""
    words = set(re.findall(r"\w+", text))
    found = []
    for name in reversed(PRELUDE):
        if name in words:
            words.update(re.findall(r"\w+", PRELUDE[name]))
            found.append(PRELUDE[name])
    return found[::-1]
