"""Discrete Fourier transforms: `df.fft`, the extension of the Array API and `fft2` and its kin.

Single precision stays single. `n` (or `s`) is how many values of an axis are taken, after cutting
or padding with zeros. `norm` says where the factor 1/n stands: "backward" (in the inverse),
"forward" (in the transform), or "ortho" (its root in both).
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from dualflow.base.dtypes import as_dtype, complex_dtype, compute_dtype
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError
from dualflow.base.shapes import Axes, as_integer, normal_axes, normal_axis
from dualflow.base.source import called

from .. import door
from .. import primitives as p
from ..operands import tensor
from ..primitives.matrices import TAKEN
from ..record import Strict
from .creation import arange
from .elementwise import conj
from .joining import concat
from .movement import fitted, rolled
from .norms import floats

Tensor = Any
_RFFT = p.rfft.op

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

_SWAPPED = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _norm(norm: str | None) -> str:
    norm = "backward" if norm is None else norm
    if norm not in _SWAPPED:
        raise ArgumentError(
            f"{called()}: norm={norm!r}", instead='"backward", "forward" or "ortho"'
        )
    return norm


def _reals(name: str, x: Any) -> Tensor:
    x = floats(x)
    if x.dtype.char not in "fd":
        raise DTypeError(f"{name} of {x.dtype.name}", why="it takes float32 and float64",
                         instead="fft() of complex numbers; astype(...) first")  # fmt: skip
    return x


def _transformable(name: str, x: Any) -> Tensor:
    x = floats(x)
    if compute_dtype(x.dtype) != x.dtype:
        raise DTypeError(f"{name} of {x.dtype.name}", instead="astype(...) to a wider dtype first")
    return x


def _complexes(x: Tensor) -> Tensor:
    return x if x.dtype.kind == "c" else p.cast(x, dtype=complex_dtype(x.dtype))


def _axis(name: str, x: Tensor, axis: int) -> int:
    rank = len(x.shape)
    if not rank:
        raise ShapeError(f"{name} of a tensor without axes")
    return normal_axis(axis, rank)


def _along(primitive: Strict, x: Any, n: int | None, axis: int, norm: str | None) -> Tensor:
    """A transform of complex numbers along one axis."""
    name = primitive.op.name
    x = tensor(x)
    shape = x.shape
    if n is None and x.dtype.char in TAKEN and type(axis) is int and norm in _SWAPPED:
        eager = door.unnoted(x)
        if eager is not None and -len(shape) <= axis < len(shape) and shape[axis]:
            return eager.compute(_along_of_array, (x,), name, (axis,), norm)
    x = _complexes(_transformable(name, x))
    axis = _axis(name, x, axis)
    return primitive(fitted(name, x, n, axis), axis=axis, norm=_norm(norm))


def _along_of_array(x: np.ndarray, name: str, axes: Sequence[int], norm: str) -> np.ndarray:
    """A transform of all values along several axes, in the order given."""
    x = x.astype(complex_dtype(x.dtype), copy=False)
    transform = getattr(np.fft, name)
    for axis in axes:
        x = transform(x, axis=axis, norm=norm)
    return x


# Along one axis -------------------------------------------------------------------------------


def fft(x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The discrete Fourier transform along an axis: out[k] = sum of x[j] exp(-2 pi i j k / n).

    Args:
        x: numbers; the result is complex.
        n: how many values; None for all.
        axis: along which.
        norm: see `df.fft`.

    >>> import dualflow as df
    >>> df.fft.fft(df.asarray([1.0, 0.0])).tolist()
    [(1+0j), (1+0j)]
    """
    return _along(p.fft, x, n, axis, norm)


def ifft(x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The inverse of `fft`.

    >>> import dualflow as df
    >>> df.fft.ifft(df.asarray([1.0, 1.0])).tolist()
    [(1+0j), 0j]
    """
    return _along(p.ifft, x, n, axis, norm)


def rfft(x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The first n // 2 + 1 values of `fft` of real numbers; the others are their conjugates.

    >>> import dualflow as df
    >>> df.fft.rfft(df.asarray([1.0, 0.0, 0.0])).tolist()
    [(1+0j), (1+0j)]
    """
    x = _reals("rfft", x)
    axis = _axis("rfft", x, axis)
    x = fitted("rfft", x, n, axis)
    return door.run(_RFFT, (x,), {"axis": axis, "norm": _norm(norm)})


def irfft(x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The inverse of `rfft`: `n` real numbers; None for 2 * (size - 1).

    >>> import dualflow as df
    >>> df.fft.irfft(df.asarray([1.0, 1.0]), n=3).tolist()
    [1.0, 0.0, 0.0]
    """
    x = _complexes(_transformable("irfft", x))
    axis = _axis("irfft", x, axis)
    count = 2 * (x.shape[axis] - 1) if n is None else index(n)
    if count < 1:
        raise ShapeError(f"irfft to {count} values along axis {axis} of {x.shape}",
                         why="at least one is needed", instead="n=")  # fmt: skip
    x = fitted("irfft", x, count // 2 + 1, axis)
    return p.irfft(x, axis=axis, norm=_norm(norm), n=count)


def hfft(x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """`fft` of `n` values of which `x` has the first half, the others being their conjugates; real.

    >>> import dualflow as df
    >>> df.fft.hfft(df.asarray([1.0, 0.0]), n=2).tolist()
    [1.0, 1.0]
    """
    return irfft(conj(_complexes(_transformable("hfft", x))), n, axis, _SWAPPED[_norm(norm)])


def ihfft(x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The inverse of `hfft`: the first n // 2 + 1 values.

    >>> import dualflow as df
    >>> df.fft.ihfft(df.asarray([1.0, 1.0])).real.tolist()
    [1.0, 0.0]
    """
    return conj(rfft(_reals("ihfft", x), n, axis, _SWAPPED[_norm(norm)]))


# Along several axes ---------------------------------------------------------------------------

Sizes = Sequence[int] | None


def _plan(name: str, x: Tensor, s: Sizes, axes: Sequence[int] | None) -> list[tuple[int, Any]]:
    """The axes, in the order given, each with how many values are taken (None: all)."""
    if axes is None:
        count = x.ndim if s is None else len(s)
        axes = range(x.ndim - count, x.ndim)
    found = [normal_axis(axis, x.ndim) for axis in axes]
    if s is not None and len(s) != len(found):
        raise ShapeError(f"{name} of {len(s)} sizes along {len(found)} axes of {x.shape}",
                         instead="one for each axis")  # fmt: skip
    if not found:
        raise ShapeError(f"{name} along no axis of {x.shape}")
    sizes = [None] * len(found) if s is None else [None if n == -1 else index(n) for n in s]
    return list(zip(found, sizes, strict=True))


def _along_all(name: str, one: Any, x: Any, s: Sizes, axes: Any, norm: str | None) -> Tensor:
    x = _transformable(name, x)
    plan = _plan(name, x, s, axes)
    eager = door.unnoted(x) if s is None and x.size else None
    if eager is not None:
        backwards = [axis for axis, _ in reversed(plan)]
        return eager.compute(_along_of_array, (x,), one.__name__, backwards, _norm(norm))
    for axis, n in reversed(plan):
        x = one(x, n, axis, norm)
    return x


def fftn(
    x: Tensor, s: Sizes = None, axes: Sequence[int] | None = None, norm: str | None = "backward"
) -> Tensor:
    """`fft` along several axes, one after the other.

    Args:
        x: numbers; the result is complex.
        s: how many values of each axis; None for all.
        axes: None for all, or for the last len(s).
        norm: see `df.fft`.

    >>> import dualflow as df
    >>> df.fft.fftn(df.asarray([[1.0, 0.0], [0.0, 0.0]])).real.tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    return _along_all("fftn", fft, x, s, axes, norm)


def ifftn(
    x: Tensor, s: Sizes = None, axes: Sequence[int] | None = None, norm: str | None = "backward"
) -> Tensor:
    """The inverse of `fftn`.

    >>> import dualflow as df
    >>> df.fft.ifftn(df.ones((2, 2))).real.tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    return _along_all("ifftn", ifft, x, s, axes, norm)


def rfftn(
    x: Tensor, s: Sizes = None, axes: Sequence[int] | None = None, norm: str | None = "backward"
) -> Tensor:
    """`rfft` along the last of several axes, then `fft` along the others.

    Arguments as for `fftn`.

    >>> import dualflow as df
    >>> df.fft.rfftn(df.ones((2, 3))).real.tolist()
    [[6.0, 0.0], [0.0, 0.0]]
    """
    x = _reals("rfftn", x)
    *others, (axis, n) = _plan("rfftn", x, s, axes)
    out = rfft(x, n, axis, norm)
    for axis, n in reversed(others):
        out = fft(out, n, axis, norm)
    return out


def irfftn(
    x: Tensor, s: Sizes = None, axes: Sequence[int] | None = None, norm: str | None = "backward"
) -> Tensor:
    """The inverse of `rfftn`; without `s` the last axis gives 2 * (size - 1) values.

    >>> import dualflow as df
    >>> df.fft.irfftn(df.fft.rfftn(df.ones((2, 4)))).tolist()
    [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """
    x = _complexes(_transformable("irfftn", x))
    *others, (last, count) = _plan("irfftn", x, s, axes)
    for axis, n in reversed(others):
        x = ifft(x, n, axis, norm)
    return irfft(x, count, last, norm)


def fft2(
    x: Tensor, s: Sizes = None, axes: Sequence[int] = (-2, -1), norm: str | None = "backward"
) -> Tensor:
    """`fftn` along two axes.

    >>> import dualflow as df
    >>> df.fft.fft2(df.ones((2, 2))).real.tolist()
    [[4.0, 0.0], [0.0, 0.0]]
    """
    return fftn(x, s, axes, norm)


def ifft2(
    x: Tensor, s: Sizes = None, axes: Sequence[int] = (-2, -1), norm: str | None = "backward"
) -> Tensor:
    """`ifftn` along two axes.

    >>> import dualflow as df
    >>> df.fft.ifft2(df.ones((2, 2))).real.tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    return ifftn(x, s, axes, norm)


def rfft2(
    x: Tensor, s: Sizes = None, axes: Sequence[int] = (-2, -1), norm: str | None = "backward"
) -> Tensor:
    """`rfftn` along two axes.

    >>> import dualflow as df
    >>> df.fft.rfft2(df.ones((2, 2))).real.tolist()
    [[4.0, 0.0], [0.0, 0.0]]
    """
    return rfftn(x, s, axes, norm)


def irfft2(
    x: Tensor, s: Sizes = None, axes: Sequence[int] = (-2, -1), norm: str | None = "backward"
) -> Tensor:
    """`irfftn` along two axes.

    >>> import dualflow as df
    >>> df.fft.irfft2(df.fft.rfft2(df.ones((2, 2)))).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    return irfftn(x, s, axes, norm)


# Frequencies ----------------------------------------------------------------------------------


def _check_count(name: str, n: Any) -> int:
    n = as_integer(n, "a number of values")
    if n < 1:
        raise ShapeError(f"{name} of {n} values", why="at least one is needed")
    return n


def fftfreq(n: int, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """The frequencies of what `fft` gives for `n` values at distances `d`, the negative ones last.

    Args:
        n: how many values.
        d: from one to the next, in any unit; the frequencies are in cycles a unit.
        dtype: float32 by default.
        device: "cpu", which is the only one.

    >>> import dualflow as df
    >>> df.fft.fftfreq(4).tolist()
    [0.0, 0.25, -0.5, -0.25]
    """
    n = _check_count("fftfreq", n)
    dtype = as_dtype("float32" if dtype is None else dtype)
    middle = (n - 1) // 2 + 1
    first = arange(0, middle, dtype=dtype, device=device)
    rest = arange(-(n // 2), 0, dtype=dtype, device=device)
    return concat([first, rest]) / (n * d)


def rfftfreq(n: int, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """The frequencies of what `rfft` gives for `n` values at distances `d`.

    Arguments as for `fftfreq`.

    >>> import dualflow as df
    >>> df.fft.rfftfreq(4).tolist()
    [0.0, 0.25, 0.5]
    """
    n = _check_count("rfftfreq", n)
    dtype = as_dtype("float32" if dtype is None else dtype)
    return arange(0, n // 2 + 1, dtype=dtype, device=device) / (n * d)


def fftshift(x: Tensor, axes: Axes = None) -> Tensor:
    """`x` turned along `axes` (None: all) so that frequency 0 lies in the middle.

    >>> import dualflow as df
    >>> df.fft.fftshift(df.fft.fftfreq(4)).tolist()
    [-0.5, -0.25, 0.0, 0.25]
    """
    x = tensor(x)
    chosen = normal_axes(axes, len(x.shape))
    return rolled(x, tuple([x.shape[axis] // 2 for axis in chosen]), chosen)


def ifftshift(x: Tensor, axes: Axes = None) -> Tensor:
    """The inverse of `fftshift`.

    >>> import dualflow as df
    >>> df.fft.ifftshift(df.asarray([-0.5, -0.25, 0.0, 0.25])).tolist()
    [0.0, 0.25, -0.5, -0.25]
    """
    x = tensor(x)
    chosen = normal_axes(axes, len(x.shape))
    return rolled(x, tuple([-(x.shape[axis] // 2) for axis in chosen]), chosen)
