"""Records of linear equations: solving, inverse, pseudo-inverse, determinants, exponential.

Each works on the matrices in the last two axes, over any leading batch axes. LAPACK runs it,
through NumPy. `g` is the gradient with the complex convention of `ir.op`.
"""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import real_dtype
from dualflow.base.errors import ShapeError
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from ..record import primitive
from .contraction import matmul
from .elementwise import negative, real
from .matrices import (
    adjoint,
    chain,
    check_matrices,
    check_same,
    columns,
    diagonal,
    lower,
    named,
    rows,
    upper,
)
from .movement import concat, reshape

# Solving --------------------------------------------------------------------------------------


def _square_rule(name: str):
    def rule(x: TensorType) -> TensorType:
        check_matrices(name, x, square=True)
        return x

    return rule


def _check_system(name: str, a: TensorType, b: TensorType) -> None:
    check_matrices(name, a, square=True)
    check_matrices(name, b)
    check_same(name, a, b)
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(f"{name} of {a.shape} and {b.shape}",
                         why="the right side must have as many rows as the matrix")  # fmt: skip


def _solve_rule(a: TensorType, b: TensorType) -> TensorType:
    _check_system("solve", a, b)
    return b


def _solve_gradient(g, out, a, b):
    to_b = solve(adjoint(a), g)
    return lambda: negative(matmul(to_b, adjoint(out))), to_b


def _solve_forward(tangents, out, a, b):
    to_a, to_b = tangents
    if to_a is None:
        return solve(a, to_b)
    change = negative(matmul(to_a, out))
    return solve(a, change if to_b is None else to_b + change)


solve = primitive(
    "solve", Kind.LIBRARY, _solve_rule, named("solve", np.linalg.solve),
    doc="the solution of a @ out = b, for square a (..., n, n) and b (..., n, k)",
    gradient=_solve_gradient, forward=_solve_forward, may_raise=True, exact=False,
    spelling={"products": "solve"},
)  # fmt: skip


def _triangular_rule(a: TensorType, b: TensorType, *, below: bool, unit: bool) -> TensorType:
    _check_system("solve_triangular", a, b)
    return b


#: matrices of this size are solved at once; larger ones by halves, so that products do the work
_BLOCK = 48


def _solve_triangular(a: np.ndarray, b: np.ndarray, *, below: bool, unit: bool) -> np.ndarray:
    a = np.tril(a) if below else np.triu(a)
    n = a.shape[-1]
    diagonal = np.einsum("...ii->...i", a)
    if unit:
        diagonal[...] = 1
    elif not np.all(diagonal):
        raise np.linalg.LinAlgError("singular matrix")
    out = np.array(b, order="C")
    _substitute(a, out, 0, n, below)
    return out


def _substitute(a: np.ndarray, out: np.ndarray, start: int, stop: int, below: bool) -> None:
    """Solve rows start to stop of `out` in place."""
    if stop - start <= _BLOCK:
        part = out[..., start:stop, :]
        part[...] = np.linalg.solve(a[..., start:stop, start:stop], part)
        return
    middle = (start + stop) // 2
    first, second = (start, middle), (middle, stop)
    if not below:
        first, second = second, first
    _substitute(a, out, *first, below)
    known, wanted = slice(*first), slice(*second)
    out[..., wanted, :] -= a[..., wanted, known] @ out[..., known, :]
    _substitute(a, out, *second, below)


def _triangular_gradient(g, out, a, b, below, unit):
    to_b = solve_triangular(adjoint(a), g, below=not below, unit=unit)

    def to_a():
        full = negative(matmul(to_b, adjoint(out)))
        return lower(full, -unit) if below else upper(full, unit)

    return to_a, to_b


def _triangular_forward(tangents, out, a, b, below, unit):
    to_a, to_b = tangents
    if to_a is not None:
        part = lower(to_a, -unit) if below else upper(to_a, unit)
        change = negative(matmul(part, out))
        to_b = change if to_b is None else to_b + change
    return solve_triangular(a, to_b, below=below, unit=unit)


solve_triangular = primitive(
    "solve_triangular", Kind.LIBRARY, _triangular_rule,
    named("solve_triangular", _solve_triangular),
    doc="the solution of a @ out = b, where only the triangle of a below (or above) its diagonal "
    "counts; unit: its diagonal is taken as ones",
    gradient=_triangular_gradient, forward=_triangular_forward, may_raise=True, exact=False,
)  # fmt: skip

inv = primitive(
    "inv", Kind.LIBRARY, _square_rule("inv"), named("inv", np.linalg.inv),
    doc="the inverses of square matrices",
    gradient=lambda g, out, x: (negative(chain(adjoint(out), g, adjoint(out))),),
    forward=lambda tangents, out, x: negative(chain(out, tangents[0], out)),
    may_raise=True, exact=False,
)  # fmt: skip


def _pinv_rule(x: TensorType, cutoff: TensorType) -> TensorType:
    check_matrices("pinv", x)
    if cutoff != TensorType(x.shape[:-2], real_dtype(x.dtype)):
        raise ShapeError(f"pinv of {x} with tolerances {cutoff}",
                         why="there is one for each matrix, in the dtype of its size")  # fmt: skip
    *batch, m, n = x.shape
    return TensorType((*batch, n, m), x.dtype)


def _pinv(x: np.ndarray, cutoff: np.ndarray) -> np.ndarray:
    if not x.size:
        return np.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    kept = s > cutoff[..., None] * s.max(axis=-1, keepdims=True)
    inverse = np.divide(1, s, where=kept, out=np.zeros_like(s))
    return np.swapaxes(vh, -1, -2).conj() @ (inverse[..., None] * np.swapaxes(u, -1, -2).conj())


def _pinv_gradient(g, out, x, cutoff):
    """Golub and Pereyra 1973, where the rank does not change."""
    back, product = adjoint(out), matmul(adjoint(g), out)
    # out - out x out is rounding only, but what it stands for has a derivative: keep it
    left = chain(product, adjoint(out))
    right = chain(back, out, adjoint(g))
    to_x = negative(chain(back, g, back))
    return (to_x + (left - chain(x, out, left)) + (right - chain(right, out, x)), None)


def _pinv_forward(tangents, out, x, cutoff):
    t = tangents[0]
    back, product = adjoint(out), adjoint(t)
    left, right = chain(out, back, product), chain(product, back, out)
    change = negative(chain(out, t, out))
    return change + (left - chain(left, x, out)) + (right - chain(out, x, right))


pinv = primitive(
    "pinv", Kind.LIBRARY, _pinv_rule, named("pinv", _pinv),
    doc="the pseudo-inverses of matrices; singular values up to cutoff times the largest are 0",
    gradient=_pinv_gradient, forward=_pinv_forward, may_raise=True, exact=False,
)  # fmt: skip

# Determinants ---------------------------------------------------------------------------------


def _det_rule(x: TensorType) -> TensorType:
    check_matrices("det", x, square=True)
    return TensorType(x.shape[:-2], x.dtype)


def _det_gradient(g, out, x):
    return (reshape(g, shape=(*g.shape, 1, 1)) * adjoint(adjugate(x)),)


def _traces(a, b):
    """The traces of a @ b."""
    return (a.mT * b).sum(axis=(-2, -1))


det = primitive(
    "det", Kind.LIBRARY, _det_rule, np.linalg.det, doc="the determinants of square matrices",
    gradient=_det_gradient, forward=lambda tangents, out, x: _traces(adjugate(x), tangents[0]),
    exact=False,
)  # fmt: skip


def _adjugate(x: np.ndarray) -> np.ndarray:
    """By singular values, so that singular matrices have one: with x = u s v,
    adj(x) = det(u v) adj(v) adj(s) adj(u) / det(u v) and adj(s) the products of all others."""
    if not x.size:
        return x.copy()
    u, s, vh = np.linalg.svd(x)
    n = s.shape[-1]
    others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(axis=-1).astype(s.dtype)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    out = np.swapaxes(vh, -1, -2).conj() @ (others[..., None] * np.swapaxes(u, -1, -2).conj())
    return out * sign[..., None, None]


def _adjugate_gradient(g, out, x):
    """That of det(x) inv(x), so second derivatives of determinants need an inverse."""
    inverse, size = adjoint(inv(x)), det(x).conjugate()
    along = (g * inverse.mT).sum(axis=(-2, -1), keepdims=True)
    scaled = g * reshape(size, shape=(*size.shape, 1, 1))
    return (along * adjoint(out) - chain(inverse, scaled, inverse),)


def _adjugate_forward(tangents, out, x):
    turn = matmul(inv(x), tangents[0])
    trace = diagonal(turn).sum(axis=-1)
    return reshape(trace, shape=(*trace.shape, 1, 1)) * out - matmul(turn, out)


adjugate = primitive(
    "adjugate", Kind.LIBRARY, _square_rule("adjugate"), named("adjugate", _adjugate),
    doc="the transposed matrices of cofactors: det(x) inv(x), defined for singular matrices too",
    gradient=_adjugate_gradient, forward=_adjugate_forward, may_raise=True, exact=False,
)  # fmt: skip


def _slogdet_rule(x: TensorType) -> tuple[TensorType, TensorType]:
    check_matrices("slogdet", x, square=True)
    return TensorType(x.shape[:-2], x.dtype), TensorType(x.shape[:-2], real_dtype(x.dtype))


def _slogdet_gradient(g, out, x):
    (to_sign, to_log), (sign, _) = g, out
    if x.dtype.kind == "c":
        turn = to_sign.conjugate() * sign
        to_log = to_log - (turn - turn.conjugate()) * 0.5
    return (reshape(to_log, shape=(*to_log.shape, 1, 1)) * adjoint(inv(x)),)


def _slogdet_forward(tangents, out, x):
    change = _traces(inv(x), tangents[0])
    if x.dtype.kind != "c":
        return None, change
    return out[0] * (change - change.conjugate()) * 0.5, real(change)


slogdet = primitive(
    "slogdet", Kind.LIBRARY, _slogdet_rule, lambda x: tuple(np.linalg.slogdet(x)),
    doc="the signs (or phases) of determinants and the logarithms of their sizes",
    gradient=_slogdet_gradient, forward=_slogdet_forward, outputs=2, exact=False,
)  # fmt: skip

# Exponential ----------------------------------------------------------------------------------

#: coefficients of the Pade approximant of order 13, and the 1-norm up to which it is exact enough
_PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000,
    10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip
_NORM = 5.371920351148152


def _expm(x: np.ndarray) -> np.ndarray:
    """Scaling and squaring (Higham, SIAM J. Matrix Anal. 26, 2005)."""
    n = x.shape[-1]
    if not x.size:
        return x.copy()
    norm = np.abs(x).sum(axis=-2).max(axis=-1)
    finite = np.where(np.isfinite(norm), norm, 0)
    times = np.maximum(0, np.ceil(np.log2(np.maximum(finite, 1e-30) / _NORM))).astype(int)
    a = x / (2.0**times)[..., None, None].astype(real_dtype(x.dtype))
    b = [x.dtype.type(value) for value in _PADE]
    one = np.eye(n, dtype=x.dtype)
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a @ (a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2)
               + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one)  # fmt: skip
    even = (a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2)
            + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one)  # fmt: skip
    out = np.linalg.solve(even - odd, even + odd)
    for step in range(int(times.max())):
        out = np.where((times > step)[..., None, None], out @ out, out)
    return out


def _expm_gradient(g, out, x):
    """The upper right block of expm([[x^H, g], [0, x^H]]) (Najfeld and Havel 1995)."""
    return (_expm_derivative(adjoint(x), g),)


def _expm_derivative(x, change):
    n = x.shape[-1]
    top = concat(x, change, axis=len(x.shape) - 1)
    bottom = concat(x * 0.0, x, axis=len(x.shape) - 1)
    whole = expm(concat(top, bottom, axis=len(x.shape) - 2))
    return columns(rows(whole, 0, n), n, 2 * n)


expm = primitive(
    "expm", Kind.LIBRARY, _square_rule("expm"), named("expm", _expm),
    doc="the exponentials of square matrices, sum of x^k / k!",
    gradient=_expm_gradient, forward=lambda tangents, out, x: _expm_derivative(x, tangents[0]),
    may_raise=True, exact=False,
)  # fmt: skip
