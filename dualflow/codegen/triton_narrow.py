"""Floats narrower than 32 bits in Triton texts: stored so, computed in float32, rounded after each.

float16 and bfloat16 are dtypes of the language. A float of 8 bits is the byte that is stored: it is
moved as it is, and conversions alone read it, by instructions where a GPU has them (`HAS_FLOAT8`,
which the compiler sets), else by integers. Comes in: texts of values. Goes out: texts, and entries
of the prelude.
"""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import compute_dtype, kind

#: How a conversion is spelled once, for both formats of 8 bits: from each 2 ** 120 is left to the
#: exponents' difference; a step of the smallest numbers is that of float32 at `small`.
_FLOAT8 = """\
@triton.jit
def from_{name}(x):
    if HAS_FLOAT8:
        return x.to(tl.{type}, bitcast=True).to(tl.float32)
    else:
        code = x.to(tl.uint32)
        found = {read}
        return tl.where((code & 0x80) != 0, -found, found)
"""
_TO_FLOAT8 = """\
@triton.jit
def to_{name}(x):
    bits = x.to(tl.uint32, bitcast=True)
    size = bits & 0x7FFFFFFF
    if HAS_FLOAT8:
        code = x.to(tl.{type}).to(tl.uint8, bitcast=True).to(tl.uint32) & 0x7F
    else:
        even = (size >> {shift}) & 1
        normal = ((size + even + {half}) >> {shift}) - {bias}
        small = (tl.abs(x) + {small}).to(tl.uint32, bitcast=True) - {small_bits}
        code = tl.where(size < {least}, small, normal)
    code = tl.where(size {over}, {beyond}, code)
    code = tl.where(size > 0x7F800000, 0x7F, code)
    return (((bits >> 24) & 0x80) | code).to(tl.uint8)
"""


def _bits(value: float) -> str:
    return hex(int(np.float32(value).view(np.uint32)))


def _conversions(name: str, type_: str, digits: int, bias: int, **parts: str) -> dict[str, str]:
    """The functions for a format of so many binary digits behind the point."""
    shift, small = 23 - digits, 2.0 ** (24 - bias - digits)
    numbers = {
        "name": name, "type": type_, "shift": shift, "half": hex((1 << (shift - 1)) - 1),
        "bias": (127 - bias) << digits, "small": small, "small_bits": _bits(small),
        "least": hex((128 - bias) << 23),
    }  # fmt: skip
    return {f"from_{name}": _FLOAT8.format(**numbers, **parts),
            f"to_{name}": _TO_FLOAT8.format(**numbers, **parts)}  # fmt: skip


#: Entries of the prelude. Above 464 an e4m3 is NaN, and from 61440 on an e5m2 infinite.
FUNCTIONS = _conversions(
    "float8_e4m3fn", "float8e4nv", 3, 7, over=f"> {_bits(464.0)}", beyond="0x7F",
    read="tl.where((code & 0x7F) == 0x7F, float('nan'), "
    f"((code & 0x7F) << 20).to(tl.float32, bitcast=True) * {2.0**120!r})",
) | _conversions(
    "float8_e5m2", "float8e5", 2, 15, over=f">= {_bits(61440.0)}", beyond="0x7C",
    read="((code & 0x7F) << 8).to(tl.uint16).to(tl.float16, bitcast=True).to(tl.float32)",
)  # fmt: skip


def is_byte(dtype: np.dtype) -> bool:
    """Whether a text holds values of `dtype` as bytes: floats of 8 bits."""
    return kind(dtype) == "s"


def widened(value: str, dtype: np.dtype) -> str:
    """A value of `dtype` in the dtype in which it is computed with."""
    if is_byte(dtype):
        return f"from_{dtype.name}({value})"
    return f"{value}.to(tl.float32)" if compute_dtype(dtype) != dtype else value


def rounded(text: str, dtype: np.dtype) -> str:
    """What was computed for `dtype`, in that dtype."""
    if is_byte(dtype):
        return f"to_{dtype.name}({text})"
    return f"({text}).to(tl.{dtype.name})" if compute_dtype(dtype) != dtype else text


def converted(value: str, given: np.dtype, wanted: np.dtype) -> str | None:
    """`value` in another dtype, if one of the two is a float that NumPy lacks; else None."""
    added = [dtype for dtype in (given, wanted) if is_byte(dtype) or dtype.name == "bfloat16"]
    if not added or wanted.kind == "c":
        return None
    wide = widened(value, given)
    if wanted in added:
        return rounded(f"({wide}).to(tl.float32)", wanted)
    if wanted == np.dtype("bool"):
        return f"({wide} != 0)"
    return f"({wide}).to(tl.{wanted.name})"
