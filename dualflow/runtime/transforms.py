"""Fourier transforms in the precision of their operands, straight into a program's memory.

`numpy.fft` computes forward transforms of float32 in float64, by casts around pocketfft's loops,
which takes twice the time and up to seventeen times for long ones. Programs call the loops of
pocketfft that NumPy has for the dtype. Comes in: a Call. Goes out: what runs it, or None where
NumPy's function does.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from math import sqrt
from typing import Any

import numpy as np

from dualflow.ir.program import Call

from .once import trial

#: By how much results are multiplied: the power of n, forward and in the inverse.
_POWERS = {"backward": (0.0, -1.0), "ortho": (-0.5, -0.5), "forward": (-1.0, 0.0)}


def transform(step: Call) -> Callable[..., Any] | None:
    """A function of the operand and `out`, for transforms that NumPy has loops for."""
    name = step.op.name
    if name not in ("fft", "ifft", "rfft", "irfft") or step.exact or not loops_work():
        return None
    operand, result, axis = step.operands[0], step.results[0], step.attributes["axis"]
    size = (operand if name == "rfft" else result).view.shape[axis]
    power = _POWERS[step.attributes["norm"]][name in ("ifft", "irfft")]
    real = np.dtype(f"f{operand.dtype.itemsize // (1 if name == 'rfft' else 2)}")
    factor = real.type({0.0: 1.0, -0.5: 1 / sqrt(size), -1.0: 1 / size}[power])
    loop = _loops()[name if name != "rfft" else f"rfft_n_{'odd' if size % 2 else 'even'}"]
    axes = [(axis,), (), (axis,)]

    def run(x: np.ndarray, out: np.ndarray) -> None:
        loop(x, factor, axes=axes, out=out)

    return run


def _loops() -> dict[str, Any]:
    """NumPy's loops, by name; loaded for the first program that transforms."""
    return vars(import_module("numpy.fft._pocketfft_umath"))


@trial
def loops_work() -> bool:
    """Whether NumPy has these loops and they transform as they should."""
    x = np.arange(6, dtype=np.float32)
    half, odd, back = np.empty(4, np.complex64), np.empty(3, np.complex64), np.empty_like(x)
    there, again = np.empty_like(half), np.empty_like(half)
    one, axes = np.float32(1), [(0,), (), (0,)]
    try:
        loops = _loops()
        loops["rfft_n_even"](x, one, axes=axes, out=half)
        loops["rfft_n_odd"](x[:5], one, axes=axes, out=odd)
        loops["irfft"](half, one / 6, axes=axes, out=back)
        loops["fft"](half, one, axes=axes, out=there)
        loops["ifft"](there, one / 4, axes=axes, out=again)
    except (ImportError, KeyError, TypeError, ValueError):
        return False
    pairs = (back, x), (again, half), (half, np.fft.rfft(x)), (odd, np.fft.rfft(x[:5]))
    return all(np.allclose(*pair, atol=1e-5) for pair in pairs)
