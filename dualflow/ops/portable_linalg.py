"""Linear algebra by another array module than NumPy: CuPy, over cuSOLVER.

Comes in: that module and arrays. Goes out: what the records' functions give. Whoever calls has to
ask the module to raise where there is no result. Eigenvalues of matrices that are not symmetric,
adjugates and exponentials stay with the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .primitives.matrices import named

Function = Callable[..., Any]


def _told(name: str, function: Function) -> Function:
    """`function(xp, *arrays)`, with errors that name the op and the shapes."""

    def run(xp: Any, *arrays: Any, **attributes: Any) -> Any:
        return named(name, lambda *xs: function(xp, *xs, **attributes))(*arrays)

    return run


def _qr(xp: Any, x: Any, *, complete: bool) -> tuple[Any, Any]:
    q, r = xp.linalg.qr(x, "complete" if complete else "reduced")
    return q, r


def _pinv(xp: Any, x: Any, cutoff: Any) -> Any:
    if not x.size:
        return xp.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    kept = s > cutoff[..., None] * s.max(axis=-1, keepdims=True)
    inverse = xp.where(kept, 1 / xp.where(kept, s, s.dtype.type(1)), s.dtype.type(0))
    first = xp.conj(xp.swapaxes(vh, -1, -2))
    return xp.matmul(first, inverse[..., None] * xp.conj(xp.swapaxes(u, -1, -2)))


def _solve_triangular(xp: Any, a: Any, b: Any, *, below: bool, unit: bool) -> Any:
    a = xp.tril(a) if below else xp.triu(a)
    n = a.shape[-1]
    if unit:
        a = xp.where(xp.arange(n)[:, None] == xp.arange(n), a.dtype.type(1), a)
    elif not bool((xp.diagonal(a, axis1=-2, axis2=-1) != 0).all()):
        raise np.linalg.LinAlgError("singular matrix")
    return xp.linalg.solve(a, b)


_TABLE: dict[str, Function] = {
    "solve": lambda xp, a, b: xp.linalg.solve(a, b),
    "solve_triangular": _solve_triangular,
    "inv": lambda xp, x: xp.linalg.inv(x),
    "pinv": _pinv,
    "det": lambda xp, x: xp.linalg.det(x),
    "slogdet": lambda xp, x: tuple(xp.linalg.slogdet(x)),
    "cholesky": lambda xp, x: xp.linalg.cholesky(x),
    "qr": _qr,
    "eigh": lambda xp, x: tuple(xp.linalg.eigh(x)),
    "eigvalsh": lambda xp, x: xp.linalg.eigvalsh(x),
    "svd": lambda xp, x, *, full: tuple(xp.linalg.svd(x, full_matrices=full)),
    "svdvals": lambda xp, x: xp.linalg.svd(x, compute_uv=False),
}
TABLE = {name: _told(name, function) for name, function in _TABLE.items()}
