"""Which callables of NumPy are known: those that change nothing, and those that change their first
argument alone. What is in neither list refuses a recording.
"""

from __future__ import annotations

import operator as o
import os
import sys
from collections import Counter
from typing import Any

import numpy as np

from dualflow.base import counters

from ..kinds import SCALAR_TYPES
from . import faces as numpy_faces

_FUNCTIONS = """
abs all allclose amax amin angle any append apply_over_axes arange argmax argmin argpartition
argsort around array array_equal array_equiv array_split asanyarray asarray ascontiguousarray
asfortranarray astype atleast_1d atleast_2d atleast_3d average bartlett blackman block
broadcast_arrays broadcast_to choose clip column_stack concatenate concat convolve copy corrcoef
correlate count_nonzero cov cross cumprod cumsum cumulative_sum cumulative_prod delete diag
diag_indices diagflat diagonal diff digitize dot dsplit dstack ediff1d einsum empty empty_like
expand_dims eye fix flip fliplr flipud full full_like geomspace gradient hamming hanning
histogram histogram2d hsplit hstack i0 identity imag in1d indices inner insert interp isclose
iscomplex isin isneginf isposinf isreal isrealobj iscomplexobj isscalar issubdtype ix_ kaiser
kron lexsort linspace logspace matmul matrix_transpose matvec vecmat max mean median meshgrid
min moveaxis nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin
nanpercentile nanprod nanquantile nanstd nansum nanvar ndim ones ones_like outer pad partition
percentile permute_dims piecewise poly polyadd polyder polydiv polyfit polyint polymul polysub
polyval prod promote_types ptp quantile ravel real real_if_close repeat reshape resize
result_type rint roll rollaxis roots rot90 round searchsorted select shape sinc size sort
sort_complex split squeeze stack std sum swapaxes take take_along_axis tensordot tile trace
transpose trapezoid tri tril tril_indices tril_indices_from triu triu_indices triu_indices_from
unravel_index ravel_multi_index unstack unwrap vander var vdot vecdot vstack where zeros
zeros_like
"""
_LINALG = """
cholesky cond cross det diagonal eig eigh eigvals eigvalsh inv lstsq matmul matrix_norm
matrix_power matrix_rank matrix_transpose multi_dot norm outer pinv qr slogdet solve svd svdvals
tensordot tensorinv tensorsolve trace vecdot vector_norm
"""
_FFT = """
fft fft2 fftfreq fftn fftshift hfft ifft ifft2 ifftn ifftshift ihfft irfft irfft2 irfftn rfft
rfft2 rfftfreq rfftn
"""
_BY_VALUES = """
argwhere bincount compress extract flatnonzero intersect1d nonzero setdiff1d setxor1d trim_zeros
union1d unique unique_values
"""
_METHODS = """
all any argmax argmin argpartition argsort astype choose clip conj conjugate copy cumprod cumsum
diagonal dot flatten max mean min prod ptp ravel repeat reshape round searchsorted squeeze std
sum swapaxes take trace transpose var
"""


def _of(owner: Any, text: str) -> list[Any]:
    return [getattr(owner, name) for name in text.split() if hasattr(owner, name)]


#: functions the shape of whose results values decide
BY_VALUES: frozenset[Any] = frozenset([*_of(np, _BY_VALUES), *_of(np.ndarray, "nonzero compress")])
_TRANSFORMS = frozenset(_FFT.split())
#: functions whose results depend on their arguments alone, and which change nothing
PURE: frozenset[Any] = frozenset([
    *BY_VALUES, *_of(np, _FUNCTIONS), *_of(np.linalg, _LINALG), *_of(np.ndarray, _METHODS),
    *_of(np.lib.stride_tricks, "sliding_window_view"), *SCALAR_TYPES, o.getitem,
    *numpy_faces.ATTRIBUTES.values(),
    *(f for f in vars(np).values() if isinstance(f, np.ufunc)),
])  # fmt: skip
#: functions that change their first argument and nothing else
CHANGES: frozenset[Any] = frozenset(
    [np.fill_diagonal, np.put, np.place, np.putmask, np.copyto, np.put_along_axis,
     o.setitem, *_of(np.ndarray, "sort fill put partition")]
)  # fmt: skip
_UFUNC_METHODS = frozenset(["reduce", "accumulate", "reduceat", "outer"])
_NUMPY = os.path.dirname(np.__file__) + os.sep
#: calls that a replay makes by NumPy itself, by name, and why
names: Counter[str] = Counter()
why_not: dict[str, str] = {}


def owns(function: Any) -> bool:
    """Whether a function written in Python can be in the tables."""
    return function.__code__.co_filename.startswith(_NUMPY) or function in PURE


def is_pure(function: Any) -> bool:
    """Whether it changes nothing and gives the same each time."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return function.__name__ in _UFUNC_METHODS
    return function in PURE or _is_fft(function)


def _is_fft(function: Any) -> bool:
    """Whether it is in `np.fft`, which is loaded only when it is used."""
    module, name = sys.modules.get("numpy.fft"), getattr(function, "__name__", "")
    return name in _TRANSFORMS and getattr(module, name, None) is function


def is_known(function: Any) -> bool:
    """Whether a recording can go on after a call of it."""
    try:
        return is_pure(function) or changes(function)
    except TypeError:  # it has no hash
        return False


def changes(function: Any) -> bool:
    """Whether it changes its first argument and nothing else."""
    return function in CHANGES or _is_at(function)


def _is_at(function: Any) -> bool:
    return isinstance(getattr(function, "__self__", None), np.ufunc) and function.__name__ == "at"


def count(function: Any, why: str) -> None:
    """Count a call that a replay will make by NumPy itself."""
    name = getattr(function, "__name__", repr(function))
    names[name] += 1
    why_not[name] = why
    counters.count("numpy_fallbacks")
