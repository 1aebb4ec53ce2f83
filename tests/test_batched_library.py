"""vmap, vmap of grad and jvp of vmap, over linear algebra, transforms and contractions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dualflow as df

lin = df.linalg
COUNT = 3


def numbers(*shape: int, seed: int = 0) -> df.Tensor:
    return df.asarray(np.random.default_rng(seed).standard_normal(shape))


def square(*shape: int) -> df.Tensor:
    return numbers(*shape) + 3 * df.eye(shape[-1], dtype=df.float64)


FIXED = square(3, 3)
CASES: dict[str, tuple[Any, list[df.Tensor]]] = {
    "inv": (lin.inv, [square(3, 3, 3)]),
    "solve": (lin.solve, [square(3, 3, 3), numbers(3, 3)]),
    "solve of one matrix": (lambda b: lin.solve(FIXED, b), [numbers(3, 3)]),
    "solve_triangular": (lin.solve_triangular, [square(3, 3, 3), numbers(3, 3, 2)]),
    "pinv": (lin.pinv, [numbers(3, 4, 2)]),
    "lstsq": (lambda a, b: lin.lstsq(a, b).x, [numbers(3, 4, 2), numbers(3, 4)]),
    "det": (lin.det, [square(3, 3, 3)]),
    "slogdet": (lambda x: lin.slogdet(x).logabsdet, [square(3, 3, 3)]),
    "expm": (lin.expm, [numbers(3, 2, 2)]),
    "cholesky": (lambda x: lin.cholesky(x @ x.mT), [square(3, 2, 2)]),
    "qr": (lambda x: lin.qr(x).R, [numbers(3, 4, 2)]),
    "svd": (lambda x: lin.svd(x).S, [numbers(3, 4, 2)]),
    "eigh": (lambda x: lin.eigh(x + x.mT).eigenvalues, [square(3, 3, 3)]),
    "diagonal": (lambda x: lin.diagonal(x, 1), [numbers(3, 2, 3)]),
    "norm": (lin.norm, [numbers(3, 4, 2)]),
    "fft": (lambda x: df.fft.fft(x, axis=0), [numbers(3, 4, 2)]),
    "irfft": (lambda x: df.fft.irfft(df.fft.rfft(x) * 2.0), [numbers(3, 6)]),
    "fftn": (df.fft.fftn, [numbers(3, 4, 2)]),
    "conv2d": (lambda x, w: df.conv2d(x, w, stride=2, padding=1),
               [numbers(3, 2, 4, 5, 5), numbers(3, 2, 4, 3, 3)]),
    "conv1d of images": (lambda x: df.conv1d(x, FIXED[:, :, None]), [numbers(3, 3, 5)]),
    "conv_transpose1d": (lambda x, w: df.conv_transpose1d(x, w, stride=2, groups=2),
                         [numbers(3, 1, 2, 5), numbers(3, 2, 2, 3)]),
    "max_pool2d": (lambda x: df.max_pool2d(x, 2), [numbers(3, 2, 4, 4)]),
    "attention": (lambda q, k: df.scaled_dot_product_attention(q, k, k, is_causal=True),
                  [numbers(3, 2, 3, 2), numbers(3, 2, 4, 2)]),
    "einsum": (lambda x, y: df.einsum("ij,jk,kk->ik", x, y, FIXED),
               [numbers(3, 2, 4), numbers(3, 4, 3)]),
    "matmul by a batch": (lambda x: df.matmul(numbers(2, 4, 3), x), [numbers(3, 3)]),
    "matmul of a batch": (lambda x: df.matmul(x, FIXED), [numbers(3, 2, 5, 3)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_as_one_after_the_other(name: str):
    function, given = CASES[name]
    rows = [[x[i] for x in given] for i in range(COUNT)]
    mapped = df.vmap(function)
    found = mapped(*given)
    wanted = np.stack([function(*row).numpy() for row in rows])
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-9)

    def energy(*xs: df.Tensor) -> df.Tensor:
        return df.sum(df.abs(function(*xs)) ** 2)

    gradient = df.grad(energy)
    wanted = np.stack([gradient(*row).numpy() for row in rows])
    np.testing.assert_allclose(df.vmap(gradient)(*given).numpy(), wanted, atol=1e-8)
    changes = tuple(numbers(*x.shape, seed=9) for x in given)
    _, tangent = df.jvp(mapped, tuple(given), changes)

    def at(step: float) -> np.ndarray:
        return mapped(*(x + step * d for x, d in zip(given, changes, strict=True))).numpy()

    wanted = (at(1e-6) - at(-1e-6)) / 2e-6
    np.testing.assert_allclose(tangent.numpy(), wanted, rtol=1e-5, atol=1e-6)
