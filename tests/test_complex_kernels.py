"""Complex numbers in kernels: NumPy's bits of arithmetic, C's special values, vector code."""

from __future__ import annotations

from itertools import product

import mpmath
import numpy as np
import pytest
from test_cpu_math import kernel

import dualflow as df

COMPLEX = (np.dtype(np.complex64), np.dtype(np.complex128))
ARITHMETIC = {
    "c_add(a, b)": np.add,
    "c_subtract(a, b)": np.subtract,
    "c_multiply(a, b)": np.multiply,
    "c_divide(a, b)": np.divide,
    "c_negative(a)": np.negative,
    "c_conj(a)": np.conj,
    "c_round(a)": np.rint,
    "select(c_equal(a, b), a, b)": lambda a, b: np.where(a == b, a, b),
    "select(c_not_equal(a, b), a, b)": lambda a, b: np.where(a != b, a, b),
    "select(c_isnan(a), a, b)": lambda a, b: np.where(np.isnan(a), a, b),
    "select(c_isinf(a), a, b)": lambda a, b: np.where(np.isinf(a), a, b),
    "select(c_isfinite(a), a, b)": lambda a, b: np.where(np.isfinite(a), a, b),
}
FUNCTIONS = {
    "exp": mpmath.exp, "log": mpmath.log, "log2": lambda z: mpmath.log(z) / mpmath.log(2),
    "log10": mpmath.log10, "sqrt": mpmath.sqrt, "sin": mpmath.sin, "cos": mpmath.cos,
    "tan": mpmath.tan, "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh,
    "abs": abs,
}  # fmt: skip
EDGES = (0.0, -0.0, 1.0, -2.5, 30.0, -745.0, 1e-9, np.inf, -np.inf, np.nan)
#: Where C leaves a sign open, or the Array API says another value than NumPy does.
OPEN = {"sin", "cos", "tan", "sinh", "cosh", "tanh", "exp"}


def pairs(dtype: np.dtype, count: int) -> np.ndarray:
    """Random numbers of many sizes, all pairs of edges first."""
    random = np.random.default_rng(5)
    sizes = random.choice([0.01, 1, 10, 100], (2, count))
    re, im = random.normal(size=(2, count)) * sizes
    edges = np.array(list(product(EDGES, EDGES)))
    re[: len(edges)], im[: len(edges)] = edges.T
    z = np.empty(count, dtype)
    z.real, z.imag = re, im
    return z


def same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where both are equal with their signs, any NaN equal to any NaN."""
    return ((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
@pytest.mark.parametrize("text", ARITHMETIC)
def test_arithmetic_is_numpys(text: str, dtype: np.dtype) -> None:
    z = pairs(dtype, 1000)
    operands = [z] if "b" not in text.replace("sub", "") else [np.repeat(z, 1000), np.tile(z, 1000)]
    with np.errstate(all="ignore"):
        right = ARITHMETIC[text](*operands)
    got = kernel(text, (dtype,) * len(operands), dtype)(*operands)
    assert same(got.real, right.real).all()
    assert same(got.imag, right.imag).all()


def exactly(name: str, z: complex) -> tuple[mpmath.mpf, ...]:
    with mpmath.workprec(300):
        value = FUNCTIONS[name](mpmath.mpc(z))
        return (value,) if name == "abs" else (value.real, value.imag)


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_near_the_truth(name: str, dtype: np.dtype) -> None:
    part = np.finfo(dtype).dtype
    out = part if name == "abs" else dtype
    z = pairs(dtype, 700)
    z[-100:] = np.exp(1j * z[-100:].real) * (1 + 1e-9 * z[-100:].imag)  # |z| near 1
    z = z[np.isfinite(z) & (z.real != 0) & (z.imag != 0)]  # mpmath has no signed zeros
    got = kernel(f"c_{name}(a)", (dtype,), out)(z)
    for one, given in zip(got, z, strict=True):
        found = (one,) if name == "abs" else (one.real, one.imag)
        for value, right in zip(found, exactly(name, complex(given)), strict=True):
            with np.errstate(over="ignore"):
                near = part.type(float(right))
            if not np.isfinite(near):
                assert value == near, given
            else:
                gap = abs(mpmath.mpf(float(value)) - right)
                assert gap <= 4 * mpmath.mpf(float(np.spacing(abs(near)))), (given, value, right)


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values_are_those_of_eager(name: str, dtype: np.dtype) -> None:
    z = pairs(dtype, 100)
    z = z[~np.isfinite(z) | (z.real == 0) | (z.imag == 0)]
    out = np.finfo(dtype).dtype if name == "abs" else dtype
    got = kernel(f"c_{name}(a)", (dtype,), out)(z)
    with np.errstate(all="ignore"):
        right = getattr(df, name)(df.asarray(z)).numpy()
    for one, other in ((got.real, right.real), (got.imag, right.imag)):
        agree = same(one, other) | np.isclose(one, other, rtol=4 * np.finfo(dtype).eps)
        if name in OPEN:
            agree |= np.abs(one) == np.abs(other)
        assert agree.all(), list(zip(z[~agree], got[~agree], right[~agree], strict=True))


@pytest.mark.parametrize("text", ["c_multiply(a, b)", "c_divide(a, b)", "c_exp(a)", "c_log(b)"])
@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_loops_are_vectorised(text: str, dtype: np.dtype) -> None:
    run = kernel(text, (dtype, dtype), dtype)
    assert f" x {'float' if dtype == COMPLEX[0] else 'double'}>" in run.llvm


def escape(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps of z*z + c until |z| > 2, and the last z."""
    z, count = np.zeros_like(c), np.zeros(c.shape, np.int64)
    for _ in range(30):
        alive = np.abs(z) <= 2
        z = np.where(alive, z * z + c, z)
        count += alive
    return z, count


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_the_mandelbrot_set_has_eagers_bits(dtype: np.dtype) -> None:
    y, x = np.mgrid[-1.5:1.5:60j, -2:1:60j]  # type: ignore[misc]
    c = (x + 1j * y).astype(dtype)
    compiled = df.compile(escape, wait=True)
    compiled(c)
    before = df.stats()
    found, right = compiled(c), escape(c)
    assert compiled.stats()["replays"] == 1
    assert df.stats()["library_calls"] == before["library_calls"]
    assert df.stats()["kernel_launches"] > before["kernel_launches"]
    for one, other in zip(found, right, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_sums_are_folded_in_kernels(dtype: np.dtype) -> None:
    z = pairs(dtype, 40 * 30)
    z = np.where(np.isfinite(z), z, 1).reshape(40, 30)

    def sums(z: np.ndarray) -> tuple[np.ndarray, ...]:
        size = np.sqrt((z * z.conj()).sum(axis=1, keepdims=True))
        return (z + 1j).sum(axis=0), z / size, (z - z.mean(axis=1, keepdims=True)).sum()

    compiled = df.compile(sums, wait=True)
    compiled(z)
    before = df.stats()["library_calls"]
    for found, right in zip(compiled(z), sums(z), strict=True):
        assert found.dtype == right.dtype
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(found, right, 20 * eps, 2000 * eps * np.abs(z).max())
    assert compiled.stats()["replays"] == 1
    assert df.stats()["library_calls"] == before
