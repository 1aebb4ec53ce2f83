"""Fourier transforms in the precision of their operands, as a text: no call of Python.

`numpy.fft` computes forward transforms of float32 in float64, by casts around pocketfft's loops,
which takes twice the time and up to seventeen times for long ones. The text calls the loop of
pocketfft that NumPy has for the dtype. Comes in: a Call. Goes out: a `Product`, or None where
NumPy's function has to run: for `exact` numerics, and where the loops are not as they should be.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from importlib import import_module
from math import log2, sqrt
from typing import Any

import numpy as np

from dualflow.base.shapes import size_of
from dualflow.ir.program import Call
from dualflow.ir.text import KernelText

from ..once import trial
from .made import Product
from .scatters import along

#: By how much results are multiplied: the power of n, forward and in the inverse.
_POWERS = {"backward": (0.0, -1.0), "ortho": (-0.5, -0.5), "forward": (-1.0, 0.0)}
#: ns of one of n log2(n) steps
_STEP = 0.3
_WORD = np.dtype("int64")
#: Words that a loop of NumPy reads: three addresses, three sizes, five steps, the factor.
_WORDS = 12

_TRANSFORM = """
def transform(x, out, words, lo, hi, after, n, m, x_before, x_along, x_after, out_before, out_along,
              out_after, factor, function, data, words_size):
    unit = lo
    while unit < hi:
        b, a = unit // after, unit % after
        lines = min(after - a, hi - unit)
        transformed(x, b * x_before + a * x_after, out, b * out_before + a * out_after, words, 0, n,
                    m, lines, x_after, out_after, x_along, out_along, factor, function, data)
        unit += lines
"""


def product(step: Call) -> Product | None:
    """How `step` transforms; None if NumPy has to do it."""
    (x,), (out,), axis = step.operands, step.results, step.attributes["axis"]
    places = along(x, axis), along(out, axis)
    if step.exact or None in places or not loops_work():
        return None
    form, shape = str(step.op.spelling["products"]), x.view.shape
    real = np.dtype(f"f{x.dtype.itemsize // (1 if x.dtype.kind == 'f' else 2)}")
    n, m = shape[axis], out.view.shape[axis]
    size = n if form == "rfft" else m
    power = _POWERS[step.attributes["norm"]][form in ("ifft", "irfft")]
    factor = real.type({0.0: 1.0, -0.5: 1 / sqrt(size), -1.0: 1 / size}[power])
    outer, lines = size_of(shape[:axis]), size_of(shape[axis + 1 :])
    steps = []
    for operand, (before, inside, after) in zip((x, out), places, strict=True):  # type: ignore[misc]
        numbers = operand.dtype.itemsize // real.itemsize
        apart = (before, after) if lines > 1 else (0, before)
        steps += [apart[0] * numbers, inside * operand.dtype.itemsize, apart[1] * numbers]
    outer, lines = (outer, lines) if lines > 1 else (1, outer)  # as many as can be in one call
    bits = int(np.frombuffer(factor.tobytes(), f"u{real.itemsize}")[0])
    integers = (0, outer * lines, lines, n, m, *steps, bits - (bits >> 63 << 64),
                *_loop(form, size % 2, real.char), _WORDS)  # fmt: skip
    cost = outer * lines * size * log2(size + 1) * _STEP
    return Product(text(real), (x, out), integers, cost)


@lru_cache(maxsize=None)
def text(dtype: np.dtype) -> KernelText:
    """For all sizes and layouts; complex numbers are two floats."""
    return KernelText(_TRANSFORM, "transform", (dtype, dtype), (), 15, scratch=((_WORD, (14,)),))


class _Ufunc(ctypes.Structure):
    """The beginning of NumPy's PyUFuncObject, after what all objects have."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("inputs", "outputs", "operands", "identity")),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("count", ctypes.c_int),
        ("reserved", ctypes.c_int),
    )


def _loop(form: str, odd: int, letter: str) -> tuple[int, int]:
    """The address of a loop for this precision, and of what it is given besides."""
    ufunc = _loops()[form if form != "rfft" else f"rfft_n_{'odd' if odd else 'even'}"]
    found = _Ufunc.from_address(id(ufunc) + object.__basicsize__)
    (number,) = (i for i, kinds in enumerate(ufunc.types) if kinds[1] == letter)
    return found.functions[number] or 0, (found.data[number] or 0) if found.data else 0


def _loops() -> dict[str, Any]:
    """NumPy's loops, by name; loaded for the first program that transforms."""
    return vars(import_module("numpy.fft._pocketfft_umath"))


@trial
def loops_work() -> bool:
    """Whether NumPy has these loops, where they are looked for, and they do what they should."""
    x = np.arange(6, dtype=np.float32)
    half, odd = np.empty(4, np.complex64), np.empty(3, np.complex64)
    there, again, back = np.empty_like(half), np.empty_like(half), np.empty_like(x)
    work = (("rfft", x, half, 1.0), ("rfft", x[:5], odd, 1.0), ("irfft", half, back, 1 / 6),
            ("fft", half, there, 1.0), ("ifft", there, again, 0.25))  # fmt: skip
    try:
        if not all(map(_is_known, _loops().values())):
            return False
        for form, given, made, factor in work:
            _run(form, given, made, np.float32(factor))
    except (ImportError, KeyError, TypeError, ValueError):
        return False
    pairs = (back, x), (again, half), (half, np.fft.rfft(x)), (odd, np.fft.rfft(x[:5]))
    return all(np.allclose(*pair, atol=1e-5) for pair in pairs)


def _is_known(ufunc: Any) -> bool:
    """Whether it lies in memory as `_Ufunc` says, if it is one."""
    if not isinstance(ufunc, np.ufunc):
        return True
    found = _Ufunc.from_address(id(ufunc) + object.__basicsize__)
    told = ufunc.nin, ufunc.nout, ufunc.nargs, ufunc.ntypes
    return told == (found.inputs, found.outputs, found.operands, found.count)


def _run(form: str, x: np.ndarray, out: np.ndarray, factor: np.float32) -> None:
    """What the text does, for one line."""
    size = x.size if form == "rfft" else out.size
    function, data = _loop(form, size % 2, "f")
    held = np.array(factor)
    places = (ctypes.c_void_p * 3)(x.ctypes.data, held.ctypes.data, out.ctypes.data)
    sizes = (ctypes.c_int64 * 3)(1, x.size, out.size)
    steps = (ctypes.c_int64 * 5)(0, 0, 0, *x.strides, *out.strides)
    kind = ctypes.PYFUNCTYPE(None, *[ctypes.c_void_p] * 4)
    kind(function)(*map(ctypes.addressof, (places, sizes, steps)), data)
