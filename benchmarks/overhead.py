"""What an eager operation on small arrays costs over NumPy's own call, for every operation.

Comes in: nothing. Goes out: seconds by row. A row is text that runs twice: with `xp` dualflow and
tensors, with `xp` NumPy and arrays; two texts where the libraries write it differently. The tests
run every row and compare.
"""

from __future__ import annotations

import timeit
from typing import Any

import numpy as np

import dualflow as df

#: at most this much over NumPy's own call, in seconds, for each operation of a row
BOUND = 2e-6
#: rows of several operations, or of several results
OPERATIONS = {
    "m + x[:6]": 2, "m * m[0]": 2, "m[1:3][0]": 2, "x[1:][1:][1:]": 3, "[v for v in q]": 4,
    "xp.unstack(m)": 4, "xp.split(x, 2)": 2, "xp.broadcast_arrays(m, x[:6])": 3, "m[1] = x[:6]": 2,
    "x[1:3] = y[1:3]": 2, "x[1:3] += 1.0": 3, "m[1] *= m[0]": 4, "xp.empty(10) * 0": 2,
    "xp.acosh(x + 1.0)": 2, "xp.atanh(x * 0.5)": 2, "xp.meshgrid(x, y)": 4, "float(x[3])": 2,
    "x[3].item()": 2, "m.T.reshape(-1)": 2, "m @ m[0]": 2, "xp.allclose(x, y)": 2,
    "xp.vecdot(x, y)": 2, "xp.linalg.matrix_power(q, 3)": 2, "xp.linalg.qr(q)": 2,
    "xp.linalg.slogdet(q)": 2, "xp.linalg.diagonal(q)": 2,
}  # fmt: skip

Row = str | tuple[str, str]


def _calls(names: str, arguments: str) -> list[str]:
    return [f"xp.{name}({arguments})" for name in names.split()]


#: Variables: vectors x and y of 10 floats, matrices m of (4, 6), q and w (positive) of (4, 4), r of
#: (1, 10), z complex, integers i and j, booleans b and c, positions k and n (of m), a scalar s.
OPERATORS: tuple[Row, ...] = (
    "x + y", "x - y", "x * y", "x / y", "x // y", "x % y", "x ** y", "x + 1.0", "2.0 * x",
    "m + x[:6]", "m * m[0]", "x + 1", "-x", "+x", "abs(x)", "x == y", "x != y", "x < y",
    "x <= 0.5", "x > y",
    "x >= y", "i & j", "i | j", "i ^ 3", "~i", "i << 1", "i >> 1", "q @ q", "m @ m[0]",
)  # fmt: skip
VIEWS: tuple[Row, ...] = (
    "x[1:3]", "x[::-1]", "x[3]", "x[-1]", "x[...]", "x[None]", "m[1]", "m[1:3]", "m[1:3, ::2]",
    "m[:, 1]", "m[1, 2]", "m[..., 1]", "m[:, None]", "m[1, None, 2:]", "m[1:3][0]", "x[1:][1:][1:]",
    "m.T", "m.mT", "x.reshape((2, 5))", "x.reshape(2, -1)", "m.reshape(-1)", "m.T.reshape(-1)",
    "xp.reshape(m, (3, 8))", "xp.permute_dims(m, (1, 0))", "xp.matrix_transpose(m)",
    "xp.moveaxis(m, 0, 1)", "xp.expand_dims(x, axis=0)", "xp.squeeze(r, axis=0)",
    "xp.broadcast_to(x, (3, 10))", "xp.flip(x)", "xp.flip(m, axis=1)", "xp.unstack(m)",
    ("xp.split(x, 2)", "np.split(x, 2)"), "xp.broadcast_arrays(m, x[:6])", "[v for v in q]",
    "x.flatten()",
)  # fmt: skip
WRITES: tuple[Row, ...] = (
    "x[1:3] = 2.0", "x[3] = 2.0", "x[1:3] = y[1:3]", "m[1] = x[:6]", "m[:, 1] = 0.0", "m[1, 2] = 1",
    "x[...] = y", "x += y", "x *= 1.0", "x[1:3] += 1.0", "m[1] *= m[0]", "x[b] = 1.0", "x[k] = 1.0",
)  # fmt: skip
ELEMENTWISE: tuple[Row, ...] = (
    *_calls("abs acos asin asinh atan ceil cos cosh exp expm1 floor log log1p log2 log10", "x"),
    *_calls("negative positive reciprocal round sign signbit sin sinh sqrt square tan", "x"),
    *_calls("tanh trunc exp2 isfinite isinf isnan", "x"), *_calls("floor isnan", "i"),
    *_calls("add atan2 copysign divide equal floor_divide greater greater_equal less", "x, y"),
    *_calls("less_equal logaddexp maximum minimum multiply not_equal pow", "x, y"),
    *_calls("remainder subtract", "x, y"), *_calls("add bitwise_and bitwise_or", "i, j"),
    *_calls("bitwise_xor bitwise_left_shift bitwise_right_shift", "i, j"),
    "xp.acosh(x + 1.0)", "xp.atanh(x * 0.5)",
    "xp.bitwise_invert(i)", "xp.logical_and(b, c)", "xp.logical_or(b, c)", "xp.logical_xor(b, c)",
    "xp.logical_not(b)", "xp.where(b, x, y)", "xp.where(b, x, 0.0)", "xp.clip(x, 0.2, 0.8)",
    "xp.isclose(x, y)", "xp.astype(x, 'float64')", ("x.astype('int64')", "x.astype('int64')"),
    ("xp.maximum(x, 0.0)", "np.maximum(x, np.float32(0))"), ("x.copy()", "x.copy()"),
)  # fmt: skip
REDUCTIONS: tuple[Row, ...] = (
    *_calls("sum prod max min mean any all argmax argmin", "x"),
    *_calls("sum prod max min mean any all argmax argmin", "m, axis=0"),
    *_calls("sum prod max min mean any all argmax argmin", "m, axis=1, keepdims=True"),
    "x.sum()", "x.max()", "x.mean()", "xp.var(x)", "xp.std(m, axis=0)", "xp.cumulative_sum(x)",
    "xp.cumsum(x)", "xp.cumprod(x)", "xp.count_nonzero(b)", "xp.allclose(x, y)",
)  # fmt: skip
INDEXING: tuple[Row, ...] = (
    "x[k]", "m[k]", "m[k, k]", "m[:, k]", "x[b]", "xp.take(x, k)", "xp.take(m, k, axis=1)",
    "xp.take_along_axis(m, n, axis=1)",
    "xp.sort(x)", ("xp.argsort(x)", "np.argsort(x, stable=True)"), "xp.nonzero(b)", "x.argsort()",
)  # fmt: skip
MAKING: tuple[Row, ...] = (
    "xp.concat([x, y])", "xp.stack([x, y])", "xp.roll(x, 2)", ("xp.pad(x, 1)", "np.pad(x, 1)"),
    "xp.tile(x, 2)", "xp.repeat(x, 2)", "xp.tril(q)", "xp.triu(q)",
    ("xp.zeros((4, 6))", "np.zeros((4, 6), np.float32)"),
    ("xp.ones(10)", "np.ones(10, np.float32)"),
    ("xp.full(10, 2.0)", "np.full(10, 2.0, np.float32)"),
    ("xp.empty(10) * 0", "np.empty(10, np.float32) * 0"), "xp.arange(10)", "xp.zeros_like(x)",
    "xp.ones_like(x)", "xp.full_like(x, 2.0)", ("xp.eye(4)", "np.eye(4, dtype=np.float32)"),
    ("xp.linspace(0.0, 1.0, 10)", "np.linspace(0.0, 1.0, 10, dtype=np.float32)"),
    ("xp.asarray([1.0, 2.0])", "np.asarray([1.0, 2.0], np.float32)"), "xp.meshgrid(x, y)",
    "xp.matmul(q, q)", "xp.vecdot(x, y)",
)  # fmt: skip
SCIENTIFIC: tuple[Row, ...] = (
    *_calls("angle conj real imag", "z"), "xp.diff(x)", "xp.hypot(x, y)", "xp.nextafter(x, y)",
    "xp.nan_to_num(x)", "xp.outer(x, y)", "xp.tensordot(q, q, axes=1)", "xp.ravel(m)",
    "xp.einsum('ij,jk->ik', q, q)", "xp.swapaxes(m, 0, 1)", "xp.transpose(m)", "xp.isin(i, k)",
    "xp.searchsorted(i, k)", ("xp.unique_values(k)", "np.unique(k)"), "xp.kron(x, y)",
    "xp.cumulative_prod(x)",
    *(f"xp.linalg.{call}" for call in (
        "det(q)", "inv(q)", "solve(q, q)", "cholesky(w)", "eigvalsh(w)", "qr(q)", "svdvals(q)",
        "slogdet(q)", "matrix_norm(q)", "vector_norm(x)", "norm(x)", "trace(q)", "pinv(q)",
        "matrix_power(q, 3)", "diagonal(q)", "matrix_rank(q)",
    )),
    *_calls("fft.fft fft.ifft fft.rfft fft.fftshift", "x"), "xp.fft.fft2(m)",
)  # fmt: skip
READING: tuple[Row, ...] = (
    "x.shape", "x.ndim", "x.size", "x[3].item()", "float(x[3])", "bool(s)", "int(s)",
    "x.tolist()", "len(x)", "s.item()",
)  # fmt: skip
TABLE: dict[str, tuple[Row, ...]] = {
    "operators": OPERATORS, "views": VIEWS, "writes": WRITES, "elementwise": ELEMENTWISE,
    "reductions": REDUCTIONS, "indexing": INDEXING, "making": MAKING,
    "scientific": SCIENTIFIC, "reading": READING,
}  # fmt: skip


def measure(count: int, passes: int) -> dict[str, tuple[float, float]]:
    """Seconds of each row: dualflow's, NumPy's own; the least of `passes` means of `count` calls,
    as a busy machine only ever adds."""
    rows = [row for rows in TABLE.values() for row in rows]
    pairs = {text_of(row): timers(row) for row in rows}
    found = {name: (float("inf"), float("inf")) for name in pairs}
    for _ in range(passes):
        for name, (mine, theirs) in pairs.items():
            best = found[name]
            found[name] = (
                min(best[0], mine.timeit(count) / count),
                min(best[1], theirs.timeit(count) / count),
            )
    return found


def over(found: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Seconds over NumPy's own call for each operation of a row."""
    return {
        name: (mine - theirs) / OPERATIONS.get(name, 1) for name, (mine, theirs) in found.items()
    }


def text_of(row: Row) -> str:
    """What a row is called: its text for dualflow."""
    return row if isinstance(row, str) else row[0]


def timers(row: Row) -> tuple[timeit.Timer, timeit.Timer]:
    """Timers of a row for dualflow and for NumPy, each with variables of its own."""
    mine, theirs = (row, row) if isinstance(row, str) else row
    return _timer(mine, tensors()), _timer(theirs, arrays())


def _timer(text: str, variables: dict[str, Any]) -> timeit.Timer:
    setup = "; ".join(f"{name} = _[{name!r}]" for name in variables)
    return timeit.Timer(text, setup, globals={"_": variables})


def arrays() -> dict[str, Any]:
    """The variables of the rows, for NumPy."""
    random = np.random.default_rng(0)

    def floats(*shape: int) -> np.ndarray:
        return random.random(shape, np.float32) + np.float32(0.1)

    return {
        "xp": np, "np": np, "x": floats(10), "y": floats(10), "m": floats(4, 6),
        "n": np.argsort(floats(4, 6), axis=1),
        "q": floats(4, 4), "r": floats(1, 10), "s": np.asarray(np.float32(2.0)),
        "i": np.arange(10), "j": np.arange(10) % 4 + 1, "k": np.array([0, 2, 1]),
        "z": floats(10) + 1j * floats(10), "w": np.eye(4, dtype=np.float32) * 3 + 1,
        "b": np.arange(10) % 2 == 0, "c": np.arange(10) % 3 == 0,
    }  # fmt: skip


def tensors() -> dict[str, Any]:
    """The variables of the rows, for dualflow."""
    return {
        name: df.tensor(value) if isinstance(value, np.ndarray) else value
        for name, value in arrays().items()
    } | {"xp": df}
