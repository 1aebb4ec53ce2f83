"""Records of discrete Fourier transforms along an axis; pocketfft runs them, through NumPy.

`norm` says where the factor 1/n stands: "backward": in the inverse, "forward": in the transform,
"ortho": its root in both. The adjoint of a transform is the inverse with the factor of its own.
"""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import complex64, complex128, compute_dtype, float32, float64, int64
from dualflow.base.errors import ShapeError
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from ..record import primitive
from ..rules import check_axis, check_kind
from .creation import iota
from .elementwise import where

_ADJOINT = {"backward": "forward", "forward": "backward", "ortho": "ortho"}
_COMPLEX = {float32: complex64, float64: complex128}
_REAL = {complex64: float32, complex128: float64}


def _check(name: str, x: TensorType, axis: int, kinds: str, least: int = 1) -> None:
    check_axis(name, axis, len(x.shape))
    check_kind(name, x.dtype, kinds)
    if compute_dtype(x.dtype) != x.dtype:
        check_kind(name, x.dtype, "")
    if x.shape[axis] < least:
        raise ShapeError(f"{name} of {x.shape} along axis {axis}", why="that axis has no elements")


def _resized(x: TensorType, axis: int, size: int, dtype: np.dtype) -> TensorType:
    return TensorType((*x.shape[:axis], size, *x.shape[axis + 1 :]), dtype)


def _complex_rule(name: str):
    def rule(x: TensorType, *, axis: int, norm: str) -> TensorType:
        _check(name, x, axis, "c")
        return x

    return rule


fft = primitive(
    "fft", Kind.LIBRARY, _complex_rule("fft"),
    lambda x, *, axis, norm: np.fft.fft(x, axis=axis, norm=norm),
    doc="the discrete Fourier transform: out[k] = sum of x[j] exp(-2 pi i j k / n)",
    gradient=lambda g, out, x, axis, norm: (ifft(g, axis=axis, norm=_ADJOINT[norm]),),
    forward=lambda tangents, out, x, axis, norm: fft(tangents[0], axis=axis, norm=norm),
    exact=False, spelling={"products": "fft"},
)  # fmt: skip
ifft = primitive(
    "ifft", Kind.LIBRARY, _complex_rule("ifft"),
    lambda x, *, axis, norm: np.fft.ifft(x, axis=axis, norm=norm),
    doc="the inverse of fft: out[j] = sum of x[k] exp(2 pi i j k / n) / n",
    gradient=lambda g, out, x, axis, norm: (fft(g, axis=axis, norm=_ADJOINT[norm]),),
    forward=lambda tangents, out, x, axis, norm: ifft(tangents[0], axis=axis, norm=norm),
    exact=False, spelling={"products": "ifft"},
)  # fmt: skip


def _rfft_rule(x: TensorType, *, axis: int, norm: str) -> TensorType:
    _check("rfft", x, axis, "f")
    return _resized(x, axis, x.shape[axis] // 2 + 1, _COMPLEX[x.dtype])


def _irfft_rule(x: TensorType, *, axis: int, norm: str, n: int) -> TensorType:
    _check("irfft", x, axis, "c")
    if n < 1 or x.shape[axis] != n // 2 + 1:
        raise ShapeError(f"irfft of {x.shape} along axis {axis} to {n} values",
                         why=f"these come from {n // 2 + 1} frequencies")  # fmt: skip
    return _resized(x, axis, n, _REAL[x.dtype])


def _twice(x, axis: int, n: int, factor: float):
    """x times `factor`, but for those of the n // 2 + 1 frequencies that stand for themselves alone
    and not for a conjugate too: 0 and, of an even n, n / 2."""
    shape = [1] * len(x.shape)
    shape[axis] = x.shape[axis]
    k = iota(shape=tuple(shape), axis=axis, dtype=int64)
    alone = (k == 0) | (k * 2 == n)
    return x * where.of(alone, 1.0, factor)


def _rfft_gradient(g, out, x, axis, norm):
    n = x.shape[axis]
    return (irfft(_twice(g, axis, n, 0.5), axis=axis, norm=_ADJOINT[norm], n=n),)


def _irfft_gradient(g, out, x, axis, norm, n):
    return (_twice(rfft(g, axis=axis, norm=_ADJOINT[norm]), axis, n, 2.0),)


rfft = primitive(
    "rfft", Kind.LIBRARY, _rfft_rule,
    lambda x, *, axis, norm: np.fft.rfft(x, axis=axis, norm=norm),
    doc="the first n // 2 + 1 values of the discrete Fourier transform of n reals",
    gradient=_rfft_gradient,
    forward=lambda tangents, out, x, axis, norm: rfft(tangents[0], axis=axis, norm=norm),
    exact=False, spelling={"products": "rfft"},
)  # fmt: skip
irfft = primitive(
    "irfft", Kind.LIBRARY, _irfft_rule,
    lambda x, *, axis, norm, n: np.fft.irfft(x, n, axis=axis, norm=norm),
    doc="the n reals of which x would be the rfft; imaginary parts that they have not are dropped",
    gradient=_irfft_gradient,
    forward=lambda tangents, out, x, axis, norm, n: irfft(
        tangents[0], axis=axis, norm=norm, n=n),
    exact=False, spelling={"products": "irfft"},
)  # fmt: skip
