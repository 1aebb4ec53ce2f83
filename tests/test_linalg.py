"""df.linalg: values against NumPy, properties of factors, gradients to order 2, compiled calls."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.autograd.check import check_grads
from dualflow.base.errors import ArgumentError, DTypeError, LinearAlgebraError, ShapeError
from dualflow.ops import primitives
from dualflow.ops.functions import linear

DTYPES = [np.float32, np.float64, np.complex64, np.complex128]
lin = df.linalg


def matrix(*shape: int, dtype: Any = np.float64, seed: int = 0) -> df.Tensor:
    """Numbers of the size of 1; a square matrix is far from singular, a product x x^H from 0."""
    parts = np.random.default_rng(seed).standard_normal((2, *shape))
    x = parts[0] + 1j * parts[1] if np.dtype(dtype).kind == "c" else parts[0]
    if shape[-1:] == shape[-2:-1]:
        x = x + 3 * np.eye(shape[-1])
    return df.asarray(x.astype(dtype))


def adjoint(x: df.Tensor) -> df.Tensor:
    return x.mT.conjugate()


def hermitian(x: df.Tensor) -> df.Tensor:
    return (x + adjoint(x)) * 0.5


def positive(x: df.Tensor) -> df.Tensor:
    return x @ adjoint(x) + df.eye(x.shape[-1], dtype=x.dtype)


def close(found: df.Tensor, wanted: Any) -> None:
    wanted = np.asarray(wanted)
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    eps = float(np.finfo(wanted.dtype).eps)
    scale = float(np.abs(wanted).max(initial=1.0))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=300 * eps * scale)


# Values -----------------------------------------------------------------------------------------

LIKE_NUMPY: dict[str, Any] = {
    "inv": lambda xp, x: xp.linalg.inv(x),
    "det": lambda xp, x: xp.linalg.det(x),
    "pinv": lambda xp, x: xp.linalg.pinv(x[..., :2]),
    "matrix_power": lambda xp, x: xp.linalg.matrix_power(x, 5),
    "matrix_power 0": lambda xp, x: xp.linalg.matrix_power(x, 0),
    "matrix_power -2": lambda xp, x: xp.linalg.matrix_power(x, -2),
    "solve": lambda xp, x: xp.linalg.solve(x, x[..., :2]),
    "solve of a vector": lambda xp, x: xp.linalg.solve(x, x[0, 0]),
    "trace": lambda xp, x: xp.linalg.trace(x, offset=1),
    "diagonal": lambda xp, x: xp.linalg.diagonal(x, offset=-1),
    "diagonal of a transpose": lambda xp, x: xp.linalg.diagonal(x.mT, offset=1),
    "diagonal of none": lambda xp, x: xp.linalg.diagonal(x, offset=7),
    "outer": lambda xp, x: xp.linalg.outer(x[0, 0], x[1, 1]),
    "cross": lambda xp, x: xp.linalg.cross(x, x[:, :1]),
    "vecdot": lambda xp, x: xp.linalg.vecdot(x, x[0]),
    "tensordot": lambda xp, x: xp.linalg.tensordot(x, x, axes=((0, 2), (0, 1))),
    "tensordot 1": lambda xp, x: xp.linalg.tensordot(x, x[0], axes=1),
    "tensordot 0": lambda xp, x: xp.linalg.tensordot(x[0], x, axes=0),
    "svdvals": lambda xp, x: xp.linalg.svdvals(x[..., :2]),
    "cond": lambda xp, x: xp.linalg.cond(x),
    "cond 1": lambda xp, x: xp.linalg.cond(x, 1),
    "norm": lambda xp, x: xp.linalg.norm(x),
    "norm of columns": lambda xp, x: xp.linalg.norm(x, axis=1, keepdims=True),
    "norm of matrices": lambda xp, x: xp.linalg.norm(x, 1, axis=(2, 0)),
    "vector_norm": lambda xp, x: xp.linalg.vector_norm(x, axis=(0, 1), ord=3.5),
    "kron": lambda xp, x: (xp if xp is np else lin).kron(x[0], x[1]),
    "multi_dot": lambda xp, x: xp.linalg.multi_dot([x[0, 0], x[1], x[0], x[1, 2]]),
}
for _order in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
    LIKE_NUMPY[f"matrix_norm {_order}"] = lambda xp, x, order=_order: xp.linalg.matrix_norm(
        x, ord=order, keepdims=True
    )
for _order in (0, 1, 2, -1, np.inf, -np.inf):
    LIKE_NUMPY[f"vector_norm {_order}"] = lambda xp, x, order=_order: xp.linalg.vector_norm(
        x, axis=-1, ord=order
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("name", LIKE_NUMPY)
def test_as_numpy(name: str, dtype: Any):
    x = matrix(2, 3, 3, dtype=dtype)
    close(LIKE_NUMPY[name](df, x), LIKE_NUMPY[name](np, x.numpy()))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_factors_multiply_to_the_matrix(dtype: Any):
    for shape in ((2, 3, 3), (4, 2), (2, 4)):
        x = matrix(*shape, dtype=dtype)
        for mode in ("reduced", "complete"):
            q, r = lin.qr(x, mode=mode)
            close(q @ r, x.numpy())
            close(
                adjoint(q) @ q,
                np.broadcast_to(
                    np.eye(q.shape[-1], dtype=dtype), (*q.shape[:-2], q.shape[-1], q.shape[-1])
                ),
            )
        for full in (False, True):
            u, s, vh = lin.svd(x, full_matrices=full)
            k = s.shape[-1]
            close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], x.numpy())
            assert (s[..., :-1] >= s[..., 1:]).numpy().all()
    x = positive(matrix(2, 3, 3, dtype=dtype))
    triangle = lin.cholesky(x)
    close(triangle @ adjoint(triangle), x.numpy())
    close(lin.cholesky(x, upper=True), adjoint(triangle).numpy())
    values, vectors = lin.eigh(x)
    close(vectors * values[..., None, :], (x @ vectors).numpy())
    close(lin.eigvalsh(x), values.numpy())
    x = matrix(2, 3, 3, dtype=dtype)
    values, vectors = lin.eig(x)
    wanted = np.result_type(dtype, np.complex64)
    close(vectors * values[..., None, :], (x.astype(wanted) @ vectors).numpy())
    close(lin.eigvals(x), values.numpy())


def test_one_triangle_alone_is_read():
    x = positive(matrix(3, 3)).numpy()
    spoiled = df.asarray(np.tril(x) + np.triu(np.full((3, 3), np.nan), 1))
    close(lin.cholesky(spoiled), np.linalg.cholesky(x))
    close(lin.eigvalsh(spoiled), np.linalg.eigvalsh(x))
    close(lin.cholesky(spoiled.mT, upper=True), np.linalg.cholesky(x).T)


@pytest.mark.parametrize("size", [1, 5, 200])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("unit", [True, False])
def test_solve_triangular(size: int, lower: bool, unit: bool):
    x = matrix(size, size, seed=1) * 0.1 + df.eye(size, dtype=df.float64)
    b = matrix(2, size, 3, seed=2)
    out = lin.solve_triangular(x, b, lower=lower, unit_diagonal=unit)
    a = np.tril(x.numpy()) if lower else np.triu(x.numpy())
    if unit:
        np.fill_diagonal(a, 1.0)
    np.testing.assert_allclose(a @ out.numpy(), b.numpy(), atol=1e-9 * np.abs(out.numpy()).max())


def test_slogdet_and_expm():
    x = matrix(3, 3, dtype=np.complex128)
    sign, size = lin.slogdet(x)
    close(sign * df.exp(size), np.linalg.det(x.numpy()))
    turn = df.asarray(np.array([[0.0, -np.pi / 2], [np.pi / 2, 0.0]]))
    close(lin.expm(turn), np.array([[0.0, -1.0], [1.0, 0.0]]))
    large, small = df.full((1, 1), 300.0, dtype=df.float64), df.zeros((1, 1), dtype=df.float64)
    both = lin.expm(df.stack([large, small]))
    np.testing.assert_allclose(both.numpy().ravel(), [np.exp(300.0), 1.0], rtol=1e-12)


def test_lstsq():
    a, b = matrix(5, 2), matrix(5, 3, seed=1)
    wanted, residuals, rank, values = np.linalg.lstsq(a.numpy(), b.numpy())
    found = lin.lstsq(a, b)
    close(found.x, wanted)
    close(found.residuals, residuals)
    close(found.singular_values, values)
    assert found.rank.item() == rank
    one = lin.lstsq(a, b[:, 0])
    assert (one.x.shape, one.residuals.shape) == ((2,), ())
    wide = lin.lstsq(a.mT, b[:2])
    close(wide.x, np.linalg.lstsq(a.numpy().T, b.numpy()[:2])[0])


def test_rank_and_tolerances():
    x = df.asarray(np.diag([1.0, 1e-3, 1e-20])).astype(df.float64)
    assert [lin.matrix_rank(x, rtol=t).item() for t in (None, 1e-2, 0.0)] == [2, 1, 3]
    both = lin.matrix_rank(df.stack([x, x]), rtol=df.asarray([1e-2, 1e-4]).astype(df.float64))
    assert both.tolist() == [1, 2]
    assert both.dtype == df.int64
    assert lin.matrix_rank(df.zeros((2, 0, 3))).tolist() == [0, 0]
    close(lin.pinv(x, rtol=1e-2), np.diag([1.0, 0.0, 0.0]))


def test_products_of_integers_keep_their_dtype():
    x = df.asarray(np.array([100, 100, 3], np.int8))
    assert df.vecdot(x, x).dtype == np.int8
    assert df.vecdot(x, x).item() == np.int64(20009).astype(np.int8)
    assert lin.outer(x, x).dtype == np.int8
    assert df.tensordot(x, x, axes=1).dtype == np.int8
    assert lin.cross(x, x).tolist() == [0, 0, 0]
    assert lin.inv(df.asarray([[2]])).dtype == df.float32


def test_arrays_are_taken_whatever_is_used_first():
    script = "import dualflow as df, numpy as np; print(df.linalg.inv(np.eye(2)).tolist())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[[1.0, 0.0], [0.0, 1.0]]"


def test_empty_matrices():
    nothing = df.zeros((2, 0, 0))
    assert lin.inv(nothing).shape == (2, 0, 0)
    assert lin.det(nothing).tolist() == [1.0, 1.0]
    assert lin.expm(nothing).shape == (2, 0, 0)
    assert lin.pinv(df.zeros((0, 3))).shape == (3, 0)
    assert lin.svd(df.zeros((0, 3))).Vh.shape == (3, 3)
    assert lin.matrix_norm(df.zeros((0, 3))).item() == 0.0


def test_the_order_of_a_chain_of_products_is_the_cheapest():
    """(2, 500) @ ((500, 500) @ (500, 1)), not the other way round."""
    sizes = []

    def noted(x, y):
        sizes.append((x.shape, y.shape))
        return multiply_matrices(x, y)

    multiply_matrices = linear.matmul
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "matmul", noted)
        out = lin.multi_dot([df.ones((2, 500)), df.ones((500, 500)), df.ones((500, 1))])
    assert out.tolist() == [[250000.0], [250000.0]]
    assert sizes == [((500, 500), (500, 1)), ((2, 500), (500, 1))]


# Errors -----------------------------------------------------------------------------------------

SINGULAR = df.zeros((2, 2))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("inv", lambda: lin.inv(SINGULAR)),
        ("solve", lambda: lin.solve(SINGULAR, df.ones(2))),
        ("solve_triangular", lambda: lin.solve_triangular(SINGULAR, df.ones(2))),
        ("cholesky", lambda: lin.cholesky(SINGULAR - 1.0)),
        ("svd", lambda: lin.svd(SINGULAR * np.nan)),
    ],
)
def test_what_lapack_cannot_do(name: str, call: Any):
    with pytest.raises(LinearAlgebraError, match=rf"^{name} of \(2, 2\)") as info:
        call()
    assert isinstance(info.value, np.linalg.LinAlgError)
    assert "test_linalg.py" in str(info.value)


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (ShapeError, r"inv of \(2, 3\)", lambda: lin.inv(df.ones((2, 3)))),
        (ShapeError, r"det of \(3,\)", lambda: lin.det(df.ones(3))),
        (ShapeError, r"solve of \(2, 2\) and \(3,\)", lambda: lin.solve(df.eye(2), df.ones(3))),
        (DTypeError, "cholesky of float16", lambda: lin.cholesky(df.eye(2, dtype=df.float16))),
        (ArgumentError, "mode='full'", lambda: lin.qr(df.eye(2), mode="full")),
        (ArgumentError, "ord='best'", lambda: lin.matrix_norm(df.eye(2), ord="best")),
        (ShapeError, r"tolerances of \(2,\)", lambda: lin.pinv(df.ones((3, 2, 2)), df.ones(2))),
        (ShapeError, "3 elements", lambda: lin.cross(df.ones(2), df.ones(2))),
        (ShapeError, "axis -1", lambda: df.vecdot(df.ones(2), df.ones(1))),
        (ShapeError, "two vectors", lambda: lin.outer(df.eye(2), df.ones(2))),
        (ShapeError, "equal", lambda: df.tensordot(df.ones((2, 3)), df.ones((2, 3)), axes=1)),
        (ShapeError, "over 3 axes", lambda: df.tensordot(df.ones(2), df.ones(2), axes=3)),
        (ShapeError, "at least two", lambda: lin.multi_dot([df.eye(2)])),
        (ShapeError, "square|equal", lambda: lin.matrix_power(df.ones((2, 3)), 2)),
        (DTypeError, "booleans|bool", lambda: lin.outer(df.ones(2) > 0, df.ones(2) > 0)),
    ],
)
def test_bad_input(error: type, text: str, call: Any):
    with pytest.raises(error, match=text):
        call()


# Gradients --------------------------------------------------------------------------------------


def _projections(vectors: df.Tensor, weights: Any) -> df.Tensor:
    """What does not depend on signs and phases of columns."""
    row = df.asarray(np.array(weights, float)).astype(vectors.dtype)
    return (vectors * row) @ adjoint(vectors)


def _qr_complete(x: df.Tensor) -> list[df.Tensor]:
    q, r = lin.qr(x, mode="complete")
    n = min(x.shape[-2:])
    rest = q[..., n:]
    return [q[..., :n], r, rest @ adjoint(rest)]


def _svd(full: bool) -> Any:
    def parts(x: df.Tensor) -> list[df.Tensor]:
        u, s, vh = lin.svd(x, full_matrices=full)
        k = s.shape[-1]
        weights = df.asarray(np.arange(1.0, k + 1)).astype(x.dtype)
        inside = (u[..., :k] * weights) @ vh[..., :k, :]
        out = [s, inside, _projections(u[..., :1], [1]), _projections(adjoint(vh)[..., :1], [1])]
        if full:
            rest = adjoint(vh)[..., k:]
            out += [u[..., k:] @ adjoint(u[..., k:]), rest @ adjoint(rest)]
        return out

    return parts


def _eigh(x: df.Tensor) -> list[df.Tensor]:
    values, vectors = lin.eigh(hermitian(x))
    return [values, _projections(vectors, [1, 5, 2])]


def _eig(x: df.Tensor) -> list[df.Tensor]:
    values, vectors = lin.eig(x)
    return [values, _projections(vectors[..., :1], [1]), _projections(vectors, [1, 5, 2])]


RULES: dict[str, tuple[Any, list[tuple[int, ...]]]] = {
    "inv": (lin.inv, [(2, 2, 2)]),
    "solve": (lin.solve, [(3, 3), (3, 2)]),
    "solve of batches": (lin.solve, [(2, 2), (2, 2, 1)]),
    "solve_triangular": (lambda a, b: lin.solve_triangular(a, b), [(3, 3), (3, 2)]),
    "solve_triangular lower": (lambda a, b: lin.solve_triangular(a, b, True), [(3, 3), (3, 2)]),
    "solve_triangular unit": (
        lambda a, b: lin.solve_triangular(a, b, True, True),
        [(3, 3), (3, 2)],
    ),
    "pinv": (lin.pinv, [(3, 3)]),
    "pinv tall": (lin.pinv, [(4, 2)]),
    "pinv wide": (lin.pinv, [(2, 4)]),
    "lstsq": (lambda a, b: lin.lstsq(a, b)[:2], [(4, 2), (4,)]),
    "det": (lin.det, [(2, 3, 3)]),
    "slogdet": (lin.slogdet, [(3, 3)]),
    "expm": (lambda x: lin.expm(x * 0.3), [(2, 2)]),
    "matrix_power": (lambda x: lin.matrix_power(x * 0.3, 3), [(2, 2)]),
    "cholesky": (lambda x: lin.cholesky(positive(x)), [(3, 3)]),
    "cholesky upper": (lambda x: lin.cholesky(positive(x), upper=True), [(2, 2)]),
    "qr": (lin.qr, [(3, 3)]),
    "qr tall": (lin.qr, [(4, 2)]),
    "qr wide": (lin.qr, [(2, 4)]),
    "qr complete": (_qr_complete, [(4, 2)]),
    "svd": (_svd(False), [(3, 3)]),
    "svd tall": (_svd(False), [(4, 2)]),
    "svd wide": (_svd(False), [(2, 4)]),
    "svd full tall": (_svd(True), [(4, 2)]),
    "svd full wide": (_svd(True), [(2, 4)]),
    "svdvals": (lin.svdvals, [(3, 2)]),
    "eigh": (_eigh, [(3, 3)]),
    "eigvalsh": (lambda x: lin.eigvalsh(hermitian(x)), [(3, 3)]),
    "eig": (_eig, [(3, 3)]),
    "eigvals": (lin.eigvals, [(3, 3)]),
    "norms": (lambda x: [lin.matrix_norm(x, ord=o) for o in ("fro", "nuc", 1, 2, -2)], [(3, 2)]),
    "vector norms": (lambda x: [lin.vector_norm(x, ord=o) for o in (1, 2, 3.5)], [(3,)]),
    "cross": (lin.cross, [(2, 3), (3,)]),
    "products": (lambda x, y: [lin.kron(x, y), df.tensordot(x, y, 1)], [(2, 2), (2, 3)]),
    "vecdot and trace": (lambda x, y: [df.vecdot(x, y), lin.trace(x, offset=1)], [(2, 2), (2, 2)]),
}


def parts(out: Any) -> list[df.Tensor]:
    """Real and imaginary parts of tensors."""
    found = []
    for tensor in [out] if isinstance(out, df.Tensor) else out:
        complex_ = tensor.dtype.kind == "c"
        found += [tensor.real, tensor.imag] if complex_ else [tensor]
    return found


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("name", RULES)
def test_gradients(name: str, kind: str):
    function, shapes = RULES[name]
    reals = [matrix(*shape, seed=i) for i, shape in enumerate(shapes)]
    if kind == "real":
        check_grads(lambda *xs: parts(function(*xs)), *reals, order=2, rtol=1e-4)
        return
    imaginary = [matrix(*shape, seed=i + 7) - 0.5 for i, shape in enumerate(shapes)]
    n = len(reals)

    def of_parts(*xs: df.Tensor) -> list[df.Tensor]:
        pairs = zip(xs[:n], xs[n:], strict=True)
        return parts(function(*(x + y * 1j for x, y in pairs)))

    check_grads(of_parts, *reals, *imaginary, order=2, rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("name", ["inv", "solve", "solve_triangular", "expm"])
def test_forward_rules(name: str, dtype: Any):
    """The rule given is what central differences show."""
    op = getattr(primitives, name).op
    attributes = {"below": True, "unit": False} if name == "solve_triangular" else {}
    inputs = [matrix(3, 3, dtype=dtype)]
    inputs += [matrix(3, 2, dtype=dtype, seed=1)] if "solve" in name else []
    changes = [matrix(*x.shape, dtype=dtype, seed=5 + i) for i, x in enumerate(inputs)]

    def at(step: float) -> np.ndarray:
        moved = [x.numpy() + step * d.numpy() for x, d in zip(inputs, changes, strict=True)]
        return op.numpy(*moved, **attributes)

    out = df.asarray(at(0.0))
    found = op.forward(tuple(changes), out, *inputs, **attributes)
    wanted = (at(1e-6) - at(-1e-6)) / 2e-6
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6, atol=1e-7)
    if len(inputs) == 2:
        alone = op.forward((changes[0], None), out, *inputs, **attributes)
        other = op.forward((None, changes[1]), out, *inputs, **attributes)
        np.testing.assert_allclose((alone + other).numpy(), found.numpy(), rtol=1e-9)


FORWARD: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "cholesky": ((2, 3, 3), {}), "det": ((2, 3, 3), {}), "adjugate": ((2, 3, 3), {}),
    "slogdet": ((2, 3, 3), {}), "eigh": ((2, 3, 3), {}), "eigvalsh": ((2, 3, 3), {}),
    "eig": ((2, 3, 3), {}), "eigvals": ((2, 3, 3), {}), "svdvals": ((2, 3, 4), {}),
    "pinv": ((2, 3, 4), {}), "pinv tall": ((4, 2), {}),
    "qr": ((2, 3, 3), {"complete": False}), "qr tall": ((4, 2), {"complete": False}),
    "qr wide": ((2, 4), {"complete": False}), "qr complete": ((4, 2), {"complete": True}),
    "svd": ((2, 3, 3), {"full": False}), "svd tall": ((4, 2), {"full": False}),
    "svd wide": ((2, 4), {"full": False}), "svd full": ((4, 2), {"full": True}),
    "svd full wide": ((2, 4), {"full": True}),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("name", FORWARD)
def test_forward_rules_are_the_reverse_ones_transposed(name: str, dtype: Any):
    """Signs and phases of vectors included: <g, J t> = <J^T g, t>."""
    shape, attributes = FORWARD[name]
    op = getattr(primitives, name.split()[0]).op
    x, t = matrix(*shape, dtype=dtype), matrix(*shape, dtype=dtype, seed=5)
    if name == "cholesky":
        x = positive(x)
    elif name.startswith("eig") and "h" in name:
        x = hermitian(x)
    more = [df.zeros(shape[:-2], dtype=np.float64)] if "pinv" in name else []
    inputs, tangents = [x, *more], (t, *([None] * len(more)))
    made = op.numpy(*(i.numpy() for i in inputs), **attributes)
    outs = tuple(map(df.asarray, _several(made)))
    gs = tuple(matrix(*out.shape, dtype=out.dtype, seed=9) for out in outs)
    g, out = (gs, outs) if op.outputs > 1 else (gs[0], outs[0])
    moved = _several(op.forward(tangents, out, *inputs, **attributes))
    forward = sum(_inner(one, other) for one, other in zip(gs, moved, strict=True))
    reverse = _inner(op.gradient(g, out, *inputs, **attributes)[0], t)
    np.testing.assert_allclose(forward, reverse, rtol=1e-9)
    for out, tangent in zip(outs, moved, strict=True):
        assert tangent is None or (tangent.shape, tangent.dtype) == (out.shape, out.dtype)


def _several(made: Any) -> tuple[Any, ...]:
    return made if isinstance(made, tuple) else (made,)


def _inner(x: df.Tensor, y: df.Tensor | None) -> float:
    """The product of real vectors, of which complex numbers are two elements each."""
    return 0.0 if y is None else float(np.vdot(x.numpy(), y.numpy()).real)


def test_gradients_where_matrices_are_special():
    det = df.grad(lambda x: lin.det(x))
    singular = df.asarray([[1.0, 2.0], [2.0, 4.0]])
    np.testing.assert_allclose(det(singular).numpy(), [[4.0, -2.0], [-2.0, 1.0]], atol=1e-5)
    norm = df.grad(lambda x: lin.vector_norm(x))
    assert norm(df.zeros(2)).tolist() == [0.0, 0.0]
    total = df.grad(lambda x: df.sum(lin.eigvalsh(x)))
    np.testing.assert_allclose(total(df.eye(3)).numpy(), np.eye(3), atol=1e-6)
    nuclear = df.grad(lambda x: lin.matrix_norm(x, ord="nuc"))
    np.testing.assert_allclose(nuclear(df.eye(2) * 2.0).numpy(), np.eye(2), atol=1e-6)


# Compiled ---------------------------------------------------------------------------------------

COMPILED: dict[str, Any] = {
    **{name: (lambda x, f=f: f(df, x)) for name, f in LIKE_NUMPY.items()},
    "qr": lambda x: lin.qr(x),
    "svd": lambda x: lin.svd(x),
    "slogdet": lambda x: lin.slogdet(x),
    "eigh": lambda x: lin.eigh(positive(x)),
    "eig": lambda x: lin.eig(x),
    "eigvals": lambda x: lin.eigvals(x),
    "eigvalsh": lambda x: lin.eigvalsh(positive(x)),
    "cholesky": lambda x: lin.cholesky(positive(x)) * 2.0,
    "lstsq": lambda x: lin.lstsq(x[..., :2], x[..., 2:]),
    "matrix_rank": lambda x: lin.matrix_rank(x),
    "solve_triangular": lambda x: lin.solve_triangular(x, x),
    "expm": lambda x: lin.expm(x) + 1.0,
    "pinv": lambda x: lin.pinv(x),
}


def ways(f: Any) -> tuple[int, int, int, int]:
    stats = f.stats()
    return stats["recordings"], stats["replays"], stats["co_executions"], stats["eager_calls"]


@pytest.mark.parametrize("dtype", [np.float32, np.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name: str, dtype: Any):
    function = COMPILED[name]
    f = df.compile(function, wait=True)
    for seed in range(3):
        x = matrix(2, 3, 3, dtype=dtype, seed=seed)
        found, wanted = f(x), function(x)
        assert type(found) is type(wanted)
        if not isinstance(found, tuple):
            found, wanted = (found,), (wanted,)
        for one, other in zip(found, wanted, strict=True):
            if one.dtype.kind in "fc":
                close(one, other.numpy())
            else:
                assert one.tolist() == other.tolist()
    assert ways(f) == (1, 2, 0, 0)


def test_errors_are_the_same_compiled():
    @df.compile(wait=True)
    def f(x):
        y = x * 2.0
        try:
            return lin.inv(y) + 1.0
        except np.linalg.LinAlgError as error:
            return str(error).split("\n")[0], y

    good, bad = df.eye(2) * 2.0, df.zeros((2, 2))
    for _ in range(3):
        assert f(good).tolist() == [[1.25, 1.0], [1.0, 1.25]]
    assert ways(f)[:2] == (1, 2)
    text, y = f(bad)
    assert text == "inv of (2, 2): singular matrix"
    assert y.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert f(good).tolist() == [[1.25, 1.0], [1.0, 1.25]]


def test_gradients_compiled():
    @df.compile(wait=True)
    def f(x):
        return df.value_and_grad(lambda x: lin.slogdet(x @ x.mT).logabsdet)(x)

    for seed in range(3):
        x = matrix(3, 3, seed=seed)
        value, gradient = f(x)
        inverse = np.linalg.inv(x.numpy())
        np.testing.assert_allclose(value.item(), 2 * np.log(abs(np.linalg.det(x.numpy()))))
        np.testing.assert_allclose(gradient.numpy(), 2 * inverse.T, rtol=1e-9)
    assert ways(f) == (1, 2, 0, 0)
