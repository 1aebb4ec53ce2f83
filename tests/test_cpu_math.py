"""Vector mathematics of the CPU runtime: accuracy, special values, NumPy's integer rules."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

mpmath = pytest.importorskip("mpmath")

from dualflow.ir.text import KernelText  # noqa: E402
from dualflow.ops import gamma  # noqa: E402
from dualflow.runtime import compile as compiler  # noqa: E402
from dualflow.runtime import loader  # noqa: E402
from dualflow.runtime.cpu_math import coefficients, derive  # noqa: E402

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
INTEGERS = tuple(np.dtype(f"{kind}{width}") for kind in "iu" for width in (1, 2, 4, 8))
# Name in the table and the functions that give the reference: NumPy's, mpmath's.
UNARY = {
    "m_exp": (np.exp, mpmath.exp),
    "m_exp2": (np.exp2, lambda x: mpmath.power(2, x)),
    "m_expm1": (np.expm1, mpmath.expm1),
    "m_log": (np.log, mpmath.log),
    "m_log2": (np.log2, lambda x: mpmath.log(x, 2)),
    "m_log10": (np.log10, mpmath.log10),
    "m_log1p": (np.log1p, mpmath.log1p),
    "m_sin": (np.sin, mpmath.sin),
    "m_cos": (np.cos, mpmath.cos),
    "m_tan": (np.tan, mpmath.tan),
    "m_asin": (np.arcsin, mpmath.asin),
    "m_acos": (np.arccos, mpmath.acos),
    "m_atan": (np.arctan, mpmath.atan),
    "m_sinh": (np.sinh, mpmath.sinh),
    "m_cosh": (np.cosh, mpmath.cosh),
    "m_tanh": (np.tanh, mpmath.tanh),
    "m_asinh": (np.arcsinh, mpmath.asinh),
    "m_acosh": (np.arccosh, mpmath.acosh),
    "m_atanh": (np.arctanh, mpmath.atanh),
    "m_sqrt": (np.sqrt, mpmath.sqrt),
    "m_cbrt": (np.cbrt, lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x))),
    "m_lgamma": (None, lambda x: mpmath.log(abs(mpmath.gamma(x)))),
    "m_erf": (None, mpmath.erf),
    "m_erfc": (None, mpmath.erfc),
    "m_sigmoid": (None, lambda x: 1 / (1 + mpmath.exp(-x))),
}
BINARY = {
    "m_atan2": (np.arctan2, mpmath.atan2),
    "m_hypot": (np.hypot, mpmath.hypot),
    "m_pow": (np.power, mpmath.power),
}
OF_MPMATH = ("m_erf", "m_erfc", "m_lgamma")
NO_LONG_DOUBLE = np.finfo(np.longdouble).nmant <= 52
SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0)


class Compiled:
    """A kernel text of arrays of one length, the module LLVM made of it, and its assembly."""

    def __init__(self, text: KernelText, output: np.dtype) -> None:
        module = compiler.translated(text)
        assert module is not None, "the translator refuses it"
        self.llvm = str(loader.optimised(module, vectorise=True))
        self.assembly = loader._machine().emit_assembly(loader.optimised(module, vectorise=True))
        self._native = loader.load(compiler.compile_text(text), compiler.symbol(text))
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._native[compiler.symbol(text)])
        self._output = output

    def __call__(self, *arrays: np.ndarray, low: int = 0) -> np.ndarray:
        out = np.zeros(arrays[0].size, self._output)
        words = [*(array.ctypes.data for array in arrays), out.ctypes.data, low, out.size]
        self._run((ctypes.c_int64 * len(words))(*words))
        return out


_kernels: dict[tuple, Compiled] = {}


def kernel(expression: str, inputs: tuple[np.dtype, ...], output: np.dtype) -> Compiled:
    """Compile `for i: O[i] = expression` over raw pointers; `a`, `b`, `c` are the elements."""
    key = (expression, inputs, output)
    if key not in _kernels:
        _kernels[key] = compiled(expression, inputs, output)
    return _kernels[key]


def compiled(expression: str, inputs: tuple[np.dtype, ...], output: np.dtype) -> Compiled:
    names = "ABC"[: len(inputs)]
    # Booleans are bytes in memory.
    reads = ["to_bool({}[i])" if dtype.kind == "b" else "{}[i]" for dtype in inputs]
    loads = "; ".join(
        f"{n.lower()} = {read.format(n)}" for n, read in zip(names, reads, strict=True)
    )
    expression = f"to_uint8({expression})" if output.kind == "b" else expression
    source = (
        f"def k({', '.join(names)}, O, low, high):\n"
        f"  for i in range(low, high):\n    {loads}\n    O[i] = {expression}\n"
    )
    stored = tuple(np.dtype("u1") if t.kind == "b" else t for t in (*inputs, output))
    return Compiled(KernelText(source, "k", stored, (), 2), output)


def bit_patterns(dtype: np.dtype, count: int, seed: int) -> np.ndarray:
    """Random bits: every exponent, NaNs, denormals."""
    random = np.random.default_rng(seed)
    return random.integers(0, 1 << 8 * dtype.itemsize, count, f"u{dtype.itemsize}").view(dtype)


def arguments(dtype: np.dtype, count: int, seed: int) -> np.ndarray:
    """Half random bits, half numbers of everyday size, and the edges of the type."""
    random = np.random.default_rng(seed)
    values = bit_patterns(dtype, count, seed)
    values[::4] = random.uniform(-2, 2, values[::4].size)
    values[1::4] = random.uniform(-1, 1, values[1::4].size) * random.choice(
        [10, 100, 800, 1e4, 1e6], values[1::4].size
    )
    info = np.finfo(dtype)
    edges = [info.tiny, info.smallest_subnormal, info.max, 1 + info.eps, 1 - info.epsneg]
    edges = [*SPECIAL, *edges, *(-edge for edge in edges)]
    values[: len(edges)] = edges
    return values


def errors(got: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """The error of each element in ulp; infinite where NaN, infinity or a zero's sign is wrong."""
    dtype = got.dtype
    right = wide.astype(dtype)
    spacing = np.spacing(np.minimum(np.abs(right), np.finfo(dtype).max))
    result = np.abs(got.astype(wide.dtype) - wide) / spacing.astype(wide.dtype)
    agree = (got == right) | (np.isnan(got) & np.isnan(right))
    result = np.where(agree & ~np.isfinite(right), 0, result)
    wrong_sign = (got == 0) & (right == 0) & (np.signbit(got) != np.signbit(right))
    return np.where(np.isnan(result) | wrong_sign, np.inf, result)


def exactly(function: Callable, values: tuple[np.ndarray, ...]) -> np.ndarray:
    """mpmath's value of the function for each element, rounded to long double."""
    with mpmath.workprec(110):
        return np.array(
            [_one_exact(function, row) for row in zip(*values, strict=True)], np.longdouble
        )


def _one_exact(function: Callable, row: tuple) -> np.longdouble:
    try:
        value = function(*(mpmath.mpf(float(number)) for number in row))
    except (ValueError, ZeroDivisionError):
        return np.longdouble(np.nan)
    if isinstance(value, mpmath.mpc) or not mpmath.isfinite(value):
        return np.longdouble(np.nan)
    high = float(value)
    return np.longdouble(high) + np.longdouble(float(value - high))


def worst(name: str, dtype: np.dtype, count: int, seed: int = 3) -> float:
    """The largest error of a function over `count` arguments."""
    reference = {**UNARY, **BINARY}[name][0]
    first = arguments(dtype, count, seed)
    values = (first,)
    if name in BINARY:
        second = arguments(dtype, count, seed + 1)
        second[: len(SPECIAL) ** 2] = np.tile(SPECIAL, len(SPECIAL))
        first[: len(SPECIAL) ** 2] = np.repeat(SPECIAL, len(SPECIAL))
        values = (first, second)
    letters = "a, b" if name in BINARY else "a"
    got = kernel(f"{name}({letters})", (dtype,) * len(values), dtype)(*values)
    wide = np.float64 if dtype == np.float32 else np.longdouble
    with np.errstate(all="ignore"):
        if reference is not None:
            right = reference(*(value.astype(wide) for value in values))
        elif name == "m_sigmoid":
            e = np.exp(-np.abs(first.astype(np.longdouble)))
            right = np.where(first < 0, e, 1) / (1 + e)
        else:  # against the double ones, which are tested against mpmath
            double = np.dtype(np.float64)
            right = kernel(f"{name}(a)", (double,), double)(first.astype(double))
        return float(errors(got, right).max())


NAMES = [*UNARY, *BINARY]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_within_two_ulp(name: str, dtype: np.dtype) -> None:
    if dtype == np.float64 and (NO_LONG_DOUBLE or name in OF_MPMATH):
        pytest.skip("the reference is mpmath, in the next test")
    assert worst(name, dtype, 100_000) <= 2.0


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_within_two_ulp_on_many(name: str) -> None:
    assert worst(name, np.dtype(np.float32), 10_000_000, seed=11) <= 2.0


@pytest.mark.parametrize("name", NAMES)
def test_double_against_mpmath(name: str) -> None:
    exact = {**UNARY, **BINARY}[name][1]
    low, high = {"m_asin": (-1, 1), "m_acos": (-1, 1), "m_atanh": (-1, 1), "m_pow": (0, 30)}.get(
        name, (-6, 6)
    )
    if name in ("m_log", "m_log2", "m_log10", "m_sqrt", "m_acosh"):
        low, high = 1, 4
    random = np.random.default_rng(5)
    count = 1500 if name in OF_MPMATH else 300
    values = tuple(random.uniform(low, high, count) for _ in range(1 + (name in BINARY)))
    if name == "m_erfc":
        values[0][:300] = random.uniform(5, 26.5, 300)
    if name == "m_log1p":
        values = (np.abs(values[0]),)
    double = np.dtype(np.float64)
    letters = "a, b" if name in BINARY else "a"
    got = kernel(f"{name}({letters})", (double,) * len(values), double)(*values)
    assert float(errors(got, exactly(exact, values)).max()) <= 2.0


@pytest.mark.parametrize("name", ["m_erf", "m_erfc"])
def test_error_functions_at_special_values(name: str) -> None:
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 40, -40, 1e-310, 5e-324])
    right = {
        "m_erf": [0.0, -0.0, 1, -1, np.nan, 1, -1, 1.1283791670955126e-310, 5e-324],
        "m_erfc": [1, 1, 0.0, 2, np.nan, 0.0, 2, 1, 1],
    }[name]
    for dtype in FLOATS:
        got = kernel(f"{name}(a)", (dtype,), dtype)(values.astype(dtype))
        assert (errors(got, np.array(right)) <= 1).all()


def test_log_gamma_at_its_zeros_and_poles() -> None:
    """Where terms of size 1 to 40 leave 1e-16: next to every zero below -2, to 1 and to 2; next to
    poles; and where the value overflows."""
    zeros = np.array([high for high, _ in gamma.ZEROS if high != -1] + [1.0, 2.0])
    steps = np.arange(-5, 6)
    near = np.concatenate([z + steps * np.spacing(np.abs(z)) for z in zeros])
    poles = np.arange(-30.0, 0.0)
    near = np.concatenate(
        [near, np.nextafter(poles, 1), np.nextafter(poles, -100), [-250.25, -1e4]]
    )
    near = near[(near > 0) | (near != np.floor(near))]
    exact = exactly(lambda x: mpmath.log(abs(mpmath.gamma(x))), (near,))
    double = np.dtype(np.float64)
    run = kernel("m_lgamma(a)", (double,), double)
    assert float(errors(run(near), exact).max()) <= 2.0
    assert float(errors(gamma.log_gamma(near), exact).max()) <= 4.0
    infinite = np.array([0.0, -0.0, -1, -2, -40, -1e300, np.inf, -np.inf, 2.6e305])
    for dtype in FLOATS:
        with np.errstate(over="ignore"):
            values = infinite.astype(dtype)
        got = kernel("m_lgamma(a)", (dtype,), dtype)(np.append(values, np.array([np.nan], dtype)))
        assert np.isposinf(got[:-1]).all()
        assert np.isnan(got[-1])


def test_tables_of_the_gamma_function() -> None:
    """Every zero is one; the coefficients are those that the derivation gives."""
    with mpmath.workdps(60):
        for high, low in gamma.ZEROS:
            if high != -1:
                x = mpmath.mpf(high) + mpmath.mpf(low)
                gap = abs(mpmath.log(abs(mpmath.gamma(x))) / mpmath.digamma(x))
                assert gap <= 1e-31 * abs(x)
    with mpmath.workdps(120):
        for fit, table in zip(derive.gamma_fits(), (gamma.NEAR_TWO, gamma.STIRLING), strict=True):
            found = derive.interpolate(fit.function, fit.low, fit.high, fit.degree)
            assert tuple(map(float, found)) == table


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_tail_equals_vector_body(name: str, dtype: np.dtype) -> None:
    values = [arguments(dtype, 259, seed) for seed in ((7, 8) if name in BINARY else (7,))]
    letters = "a, b" if name in BINARY else "a"
    run = kernel(f"{name}({letters})", (dtype,) * len(values), dtype)
    whole = run(*values)
    apart = np.concatenate([run(*(v[i : i + 1] for v in values)) for i in range(259)])
    numbers = ~np.isnan(whole)
    assert np.array_equal(np.isnan(whole), np.isnan(apart))
    assert whole[numbers].tobytes() == apart[numbers].tobytes()


def same_bits(got: np.ndarray, right: np.ndarray) -> bool:
    """Equal bit for bit, any NaN equal to any NaN."""
    assert got.dtype == right.dtype
    if got.dtype.kind != "f":
        return np.array_equal(got, right)
    both_nan = np.isnan(got) & np.isnan(right)
    return bool((both_nan | (got.view(f"u{got.itemsize}") == right.view(f"u{got.itemsize}"))).all())


def pairs(dtype: np.dtype, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of random bits and small numbers with every pair of special values."""
    if dtype.kind == "f":
        first, second = arguments(dtype, count, 21), arguments(dtype, count, 22)
        special = first[:20].copy()
    else:
        info = np.iinfo(dtype)
        random = np.random.default_rng(23)
        first, second = (
            random.integers(info.min, info.max, count, dtype, endpoint=True) for _ in range(2)
        )
        second[::2] >>= dtype.type(dtype.itemsize * 8 - 4)
        special = np.array([0, 1, 2, 7, info.max, info.min, info.min + 1], dtype)
        if dtype.kind == "i":
            special = np.append(special, np.array([-1, -2], dtype))
    size = special.size**2
    first[:size], second[:size] = np.repeat(special, special.size), np.tile(special, special.size)
    return first, second


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS], ids=str)
@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod"])
def test_division_is_numpys(name: str, dtype: np.dtype) -> None:
    a, b = pairs(dtype)
    with np.errstate(all="ignore"):
        right = getattr(np, name)(a, b)
    assert same_bits(kernel(f"{name}(a, b)", (dtype, dtype), dtype)(a, b), right)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("name", ["left_shift", "right_shift"])
def test_shift_is_numpys(name: str, dtype: np.dtype) -> None:
    a, _ = pairs(dtype)
    low = -5 if dtype.kind == "i" else 0
    counts = np.random.default_rng(1).integers(low, 70, a.size).astype(dtype)
    got = kernel(f"{name}(a, b)", (dtype, dtype), dtype)(a, counts)
    assert same_bits(got, getattr(np, name)(a, counts))


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS], ids=str)
@pytest.mark.parametrize("name", ["maximum", "minimum", "fmax", "fmin"])
def test_extremes_are_numpys(name: str, dtype: np.dtype) -> None:
    a, b = pairs(dtype)
    got, right = kernel(f"{name}(a, b)", (dtype, dtype), dtype)(a, b), getattr(np, name)(a, b)
    if dtype.kind == "f":
        zeros = (a == 0) & (b == 0)  # the sign of a zero from zeros of both signs is free
        assert (got[zeros] == 0).all()
        got, right = got[~zeros], right[~zeros]
    assert same_bits(got, right)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS], ids=str)
@pytest.mark.parametrize("name", ["sign", "absolute"])
def test_sign_and_absolute_are_numpys(name: str, dtype: np.dtype) -> None:
    a, _ = pairs(dtype)
    assert same_bits(kernel(f"{name}(a)", (dtype,), dtype)(a), getattr(np, name)(a))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", ["rint", "floor", "ceil", "trunc", "copysign"])
def test_rounding_is_numpys(name: str, dtype: np.dtype) -> None:
    a, b = pairs(dtype)
    a[::3] = np.random.default_rng(4).integers(-1000, 1000, a[::3].size) + 0.5
    values = (a, b) if name == "copysign" else (a,)
    letters = "a, b" if name == "copysign" else "a"
    got = kernel(f"{name}({letters})", (dtype,) * len(values), dtype)(*values)
    with np.errstate(all="ignore"):
        assert same_bits(got, getattr(np, name)(*values))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "signbit"])
def test_questions_are_numpys(name: str, dtype: np.dtype) -> None:
    a, _ = pairs(dtype)
    got = kernel(f"{name}(a)", (dtype,), np.dtype(bool))(a)
    assert np.array_equal(got, getattr(np, name)(a))


@pytest.mark.parametrize("source", [*FLOATS, *INTEGERS, np.dtype(bool)], ids=str)
@pytest.mark.parametrize("target", [*FLOATS, *INTEGERS, np.dtype(bool)], ids=str)
def test_casts_are_numpys(source: np.dtype, target: np.dtype) -> None:
    a = np.array([True, False]) if source.kind == "b" else pairs(source)[0]
    with np.errstate(all="ignore"):
        if source.kind == "f" and target.kind in "iu":
            info = np.iinfo(target)
            whole = np.trunc(a)
            a = a[(whole >= info.min) & (whole < float(info.max) + 1)]
            a = np.append(a, np.array([0.9, 1.5], source))
        right = a.astype(target)
    assert same_bits(kernel(f"to_{target}(a)", (source,), target)(a), right)


def test_cast_of_values_that_do_not_fit() -> None:
    double, int32 = np.dtype(np.float64), np.dtype(np.int32)
    values = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30])
    got = kernel("to_int32(a)", (double,), int32)(values)
    limits = np.iinfo(int32)
    assert got.tolist() == [0, limits.max, limits.min, limits.max, limits.min]


@pytest.mark.parametrize("dtype", [np.dtype(np.uint32), np.dtype(np.uint64)], ids=str)
def test_multiply_high(dtype: np.dtype) -> None:
    a, b = pairs(dtype, 2000)
    got = kernel("umulh(a, b)", (dtype, dtype), dtype)(a, b)
    width = 8 * dtype.itemsize
    assert got.tolist() == [(int(x) * int(y)) >> width for x, y in zip(a, b, strict=True)]


def test_select_fma_and_accumulation() -> None:
    double = np.dtype(np.float64)
    a, b = np.array([1.0, np.nan, 3.0]), np.array([2.0, 5.0, 0.1])
    assert kernel("select(a < b, a, b)", (double, double), double)(a, b).tolist() == [1, 5, 0.1]
    x = np.array([1 + 2.0**-52])
    assert kernel("fma(a, a, -(a * a))", (double,), double)(x).tolist() == [2.0**-104]
    assert kernel("radd(a, b)", (double, double), double)(a, b)[2] == 3.1
    assert kernel("rmul(a, b)", (double, double), double)(a, b)[0] == 2.0


@pytest.mark.parametrize(("dtype", "bits"), [("f4", "i4"), ("f8", "i8")])
def test_bit_casts(dtype: str, bits: str) -> None:
    real, integer = np.dtype(dtype), np.dtype(bits)
    a = bit_patterns(real, 1000, 2)
    assert np.array_equal(kernel("float_bits(a)", (real,), integer)(a), a.view(integer))
    assert same_bits(kernel("bits_float(a)", (integer,), real)(a.view(integer)), a)


def test_large_angles_keep_their_neighbours() -> None:
    """The C library's lanes do not disturb the others."""
    for dtype in FLOATS:
        a = np.linspace(-3, 3, 64).astype(dtype)
        a[::7] = dtype.type(1e30)
        got = kernel("m_sin(a)", (dtype,), dtype)(a)
        assert float(errors(got, np.sin(a.astype(np.longdouble))).max()) <= 2.0


@pytest.mark.parametrize("name", ["m_sin", "m_cos", "m_tan"])
@pytest.mark.skipif(NO_LONG_DOUBLE, reason="the reference needs a long double")
def test_double_angles_next_to_multiples_of_half_pi(name: str) -> None:
    """Where subtracting the multiple cancels almost everything."""
    half_pi = np.longdouble(1.5707963267948966) + np.longdouble(6.123233995736766e-17)
    count = np.random.default_rng(6).integers(1, 6 * 10**8, 20_000)
    a = (count * half_pi).astype(np.float64)
    got = kernel(f"{name}(a)", (a.dtype,), a.dtype)(a)
    right = UNARY[name][0](a.astype(np.longdouble))
    assert float(errors(got, right).max()) <= 2.0


def test_coefficients_are_those_that_derive_prints(capsys: pytest.CaptureFixture) -> None:
    derive.main()
    assert capsys.readouterr().out == Path(coefficients.__file__).read_text()
