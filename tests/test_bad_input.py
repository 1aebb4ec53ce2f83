"""What matrices, derivatives, maps and contractions do not take: the error names the function, the
shapes and the user's line, and is the same eagerly, while recording and at a later call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow import linalg as lin


def numbers(*shape: int) -> df.Tensor:
    return df.asarray(np.random.default_rng(0).standard_normal(shape))


any_: Any = df  # as untyped code calls it
SINGULAR = df.ones((3, 3), dtype=df.float64)
UNKNOWN = SINGULAR * float("nan")
IMAGE, KERNEL = (1, 3, 8, 8), (2, 3, 3, 3)

#: what the first line of the error says; the call; its arguments (shapes stand for numbers)
CASES: dict[str, tuple[Any, ...]] = {
    # what is no number, no size and no list
    "arange: a bound or step of type str": (lambda x: df.arange("a"), 1.0),
    "eye: a size of type NoneType": (lambda x: any_.eye(None), 1.0),
    "linspace: an end of type NoneType": (lambda x: any_.linspace(None, 1.0, 3), 1.0),
    "linspace: an end of type str": (lambda x: any_.linspace(0.0, "a", 3), 1.0),
    "quantile at 'a'": (lambda x: df.quantile(x, "a"), (3,)),
    "fftfreq: a number of values of type NoneType": (lambda x: any_.fft.fftfreq(None), 1.0),
    "concat of a int": (lambda x: any_.concat(3), 1.0),
    "stack of a NoneType": (lambda x: any_.stack(None), 1.0),
    # values
    "inv of (3, 3): singular matrix": (lambda x: lin.inv(x), SINGULAR),
    "solve of (3, 3) and (3, 3): singular matrix": (lambda x: lin.solve(x, x), SINGULAR),
    "solve_triangular of (3, 3) and (3, 2)": (
        lambda x, y: lin.solve_triangular(x * 0.0, y), SINGULAR, (3, 2)),
    "cholesky of (3, 3): matrix is not": (lambda x: lin.cholesky(-x), SINGULAR),
    "eigh of (3, 3)": (lambda x: lin.eigh(x), UNKNOWN),
    "svd of (3, 3)": (lambda x: lin.svd(x), UNKNOWN),
    "inv of (2, 3, 3): singular": (lambda x: df.vmap(lin.inv)(df.stack([x, x])), SINGULAR),
    "inv of (3, 3): singular": (lambda x: df.grad(lambda a: lin.inv(a).sum())(x), SINGULAR),
    # shapes of matrices
    "inv of (3, 4)": (lambda x: lin.inv(x), (3, 4)),
    "det of (3, 4)": (lambda x: lin.det(x), (3, 4)),
    "slogdet of (3,)": (lambda x: lin.slogdet(x), (3,)),
    "eig of (2, 3)": (lambda x: lin.eig(x), (2, 3)),
    "solve of (3, 3) and (4, 2)": (lambda x, y: lin.solve(x, y), (3, 3), (4, 2)),
    "solve of shapes (2,) and (5,)": (lambda x, y: lin.solve(x, y), (2, 3, 3), (5, 3, 1)),
    "lstsq of (3, 2) and (4,)": (lambda x, y: lin.lstsq(x, y), (3, 2), (4,)),
    # maps
    "over tensors of shapes (3, 2) along axis 0 and (4, 2) along axis 0": (
        lambda x, y: df.vmap(lambda a, b: a + b)(x, y), (3, 2), (4, 2)),
    "vmap(<lambda>) over axis 3 of a tensor of shape (3, 2)": (
        lambda x: df.vmap(lambda a: a, in_axes=3)(x), (3, 2)),
    "vmap(<lambda>) with out_axes 4 for a result of shape (2,)": (
        lambda x: df.vmap(lambda a: a, out_axes=4)(x), (3, 2)),
    "add of shapes (2,) and (4,) that do not broadcast": (
        lambda x, y: df.vmap(lambda a, b: a + b)(x, y), (3, 2), (3, 4)),
    "matmul of (2,) and (4,)": (
        lambda x, y: df.vmap(lambda a, b: a @ b)(x, y), (3, 2), (3, 4)),
    # derivatives
    "nextafter has no gradient": (
        lambda x: df.grad(lambda a: df.nextafter(a, a + 1.0).sum())(x), (3,)),
    "a tangent of <lambda>: a tensor of shape (4,)": (
        lambda x, t: df.jvp(lambda a: a * a, (x,), (t,)), (3,), (4,)),
    "vjp: a tensor of shape (4,)": (lambda x, t: df.vjp(lambda a: a * a, x)[1](t), (3,), (4,)),
    "the gradient of <lambda>, which returned a tensor of int64": (
        lambda x: df.grad(lambda a: df.argmax(a))(x), (3,)),
    "gave a tensor of shape (1,) for an argument of shape (3,)": (
        lambda x: df.grad(
            lambda a: df.custom_gradient(lambda b: (b * 2.0, lambda g: g[:1]))(a).sum())(x), (3,)),
    # contractions
    "matmul of shapes (2,) and (3,)": (lambda x, y: x @ y, (2, 3, 4), (3, 4, 2)),
    "einsum of (2, 3) and (4, 5) by 'ij,jk->ik'": (
        lambda x, y: df.einsum("ij,jk->ik", x, y), (2, 3), (4, 5)),
    "tensordot of (2, 3) and (4, 5)": (lambda x, y: df.tensordot(x, y, 2), (2, 3), (4, 5)),
    "conv2d of (1, 3, 8, 8) with a kernel of (2, 4, 3, 3)": (
        lambda x, w: df.conv2d(x, w), IMAGE, (2, 4, 3, 3)),
    "conv2d of space (2, 2) with a kernel of (3, 3)": (
        lambda x, w: df.conv2d(x, w), (1, 3, 2, 2), KERNEL),
    "avg_pool2d of (1, 3, 8, 8) with windows of (9, 9)": (lambda x: df.avg_pool2d(x, 9), IMAGE),
    "attention of queries (2, 4, 8), keys (2, 5, 7)": (
        lambda q, k: df.scaled_dot_product_attention(q, k, k), (2, 4, 8), (2, 5, 7)),
    "scaled_dot_product_attention of shapes (3, 3) and (2, 4, 4)": (
        lambda q: df.scaled_dot_product_attention(q, q, q, df.zeros((3, 3))), (2, 4, 8)),
    "irfft to 0 values along axis 0 of (3,)": (lambda x: df.fft.irfft(x + 0j, n=0), (3,)),
}  # fmt: skip


@pytest.mark.parametrize("says", CASES)
def test_the_error_is_the_same_in_both_modes(says: str):
    function, *given = CASES[says]
    args = [numbers(*x) if isinstance(x, tuple) else x for x in given]
    compiled = df.compile(function, wait=True)
    seen = []
    for call in (function, compiled, compiled):
        with pytest.raises(df.errors.DualflowError) as raised:
            call(*args)
        seen.append((type(raised.value), str(raised.value)))
    first, where = seen[0][1].split("\n")[:2]
    assert says in first
    assert Path(__file__).name in where
    assert seen[1:] == seen[:1] * 2
