"""Fourier transforms: what all functions of `np.fft` are made of.

Comes in: faces, as NumPy's own Python code in `numpy.fft` hands them on. Goes out: faces, in
NumPy's order of axes. Single precision is NumPy's own, which computes in double.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from dualflow.base.dtypes import complex128, float64
from dualflow.ops import primitives as p
from dualflow.ops.functions.movement import fitted

from . import layout, made
from .implementations import IMPLEMENTATIONS
from .ufuncs import NotCoveredError

_raw_fft: Callable[..., Any] = import_module("numpy.fft._pocketfft")._raw_fft


def raw_fft(
    a: Any, n: int, axis: int, is_real: bool, is_forward: bool, norm: str | None, out: Any = None
) -> Any:
    """numpy.fft's function for a transform along one axis, of `n` values or to as many."""
    if type(a) not in made.FACES:
        return _raw_fft(a, n, axis, is_real, is_forward, norm, out)
    x, norm = a._tensor, norm or "backward"
    to_complex = not (is_real and is_forward)
    wide = x.dtype in (float64, complex128) or x.dtype.kind in "iub"
    if out is not None or not wide or norm not in ("backward", "ortho", "forward"):
        raise NotCoveredError
    if x.dtype.kind == "c" and not to_complex:
        raise NotCoveredError
    axis = range(len(x.shape))[axis]
    order = layout.order_of((x,)) or tuple(range(len(x.shape)))
    x = p.permute(x, axes=order) if order != tuple(sorted(order)) else x
    along = order.index(axis)
    dtype = complex128 if to_complex else float64
    x = x if x.dtype == dtype else p.cast(x, dtype=dtype)
    if is_real and not is_forward:
        x = fitted("irfft", x, n // 2 + 1, along)
        x = p.irfft(x, axis=along, norm=norm, n=n)
    else:
        transform = p.rfft if is_real else p.fft if is_forward else p.ifft
        x = transform(fitted(transform.op.name, x, n, along), axis=along, norm=norm)
    if order != tuple(sorted(order)):
        x = p.permute(x, axes=layout.inverse(order))
    return made.result(x)


IMPLEMENTATIONS[_raw_fft] = raw_fft
