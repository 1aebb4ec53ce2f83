"""Derive the polynomial coefficients of this room; prints `coefficients.py`.

In: the functions below, evaluated by mpmath with 120 digits. Out: the text of `coefficients.py`.
Method: the polynomial of degree n that agrees with the function at the n + 1 Chebyshev points of
the interval; its error is within a small factor of the best possible one (Trefethen,
"Approximation Theory and Approximation Practice", chapter 16). Needs mpmath; nothing imports this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import mpmath as mp


class Fit(NamedTuple):
    """One polynomial to derive: its name, element width, meaning, function, interval, degree."""

    name: str
    width: int
    meaning: str
    function: Callable
    low: Any
    high: Any
    degree: int


def interpolate(function: Callable, low: Any, high: Any, degree: int) -> list:
    """Coefficients, lowest power first, of the Chebyshev interpolant on [low, high]."""
    low, high = mp.mpf(low), mp.mpf(high)
    middle, half = (low + high) / 2, (high - low) / 2
    count = degree + 1
    nudge = mp.mpf(10) ** -25  # keeps a point off zero, where the functions below are 0/0
    angles = [mp.pi * (2 * k + 1) / (2 * count) for k in range(count)]
    points = [middle + nudge + half * mp.cos(angle) for angle in angles]
    matrix = mp.matrix(count, count)
    values = mp.matrix(count, 1)
    for row, point in enumerate(points):
        values[row] = function(point)
        for column in range(count):
            matrix[row, column] = point**column
    return list(mp.lu_solve(matrix, values))


def evaluate(coefficients: list, x: Any) -> Any:
    """The polynomial at x, by Horner's rule."""
    result = mp.mpf(0)
    for coefficient in reversed(coefficients):
        result = result * x + coefficient
    return result


def largest_error(fit: Fit, coefficients: list) -> Any:
    """The largest error on 300 points, divided by the largest value of the function."""
    low, high = mp.mpf(fit.low), mp.mpf(fit.high)
    points = [low + (high - low) * (k + mp.mpf("0.37")) / 301 for k in range(300)]
    values = [fit.function(x) for x in points]
    errors = [abs(evaluate(coefficients, x) - y) for x, y in zip(points, values, strict=True)]
    return max(errors) / max(abs(y) for y in values)


def odd_tail(function: Callable) -> Callable:
    """`(function(x) - x) / x**3` as a function of s = x*x."""

    def tail(s: Any) -> Any:
        x = mp.sqrt(s)
        return (function(x) - x) / x**3

    return tail


def erf_excess(s: Any) -> Any:
    """`erf(x)/x - 1` for s = x*x."""
    x = mp.sqrt(s)
    return mp.erf(x) / x - 1


def scaled_erfc(y: Any) -> Any:
    """`erfc(t) * exp(t*t) * (1 + 2*t)` for t = 3.5*(1 + y)/(1 - y)."""
    t = mp.mpf("3.5") * (1 + y) / (1 - y)
    return mp.erfc(t) * mp.exp(t * t) * (1 + 2 * t)


def log_even(z: Any) -> Any:
    """`(2*atanh(s)/s - 2) / z` for z = s*s."""
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z


def log_even_short(z: Any) -> Any:
    """`(2*atanh(s)/s - 2 - 2*z/3) / z**2` for z = s*s."""
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2 - 2 * z / 3) / z**2


def log_tail(per: Any, f: Any) -> Any:
    """`(log1p(f)/f - 1) / (f*per)`."""
    return (mp.log1p(f) / f - 1) / (f * per)


def cube_root_step(c: Any) -> Any:
    """`((1 - c)**(-1/3) - 1) / c`."""
    return (mp.power(1 - c, -mp.mpf(1) / 3) - 1) / c


def fits() -> Iterator[Fit]:
    """Every polynomial of the room."""
    ln2 = mp.log(2)
    r = ln2 / 2 * mp.mpf("1.001")
    half = mp.mpf("0.5005")
    for width, degree in ((32, 5), (64, 9)):
        text = "(exp(r) - 1 - r) / r**2, |r| <= log(2)/2"
        yield Fit("EXP", width, text, lambda x: (mp.expm1(x) - x) / x**2, -r, r, degree)
    for width, degree in ((32, 5), (64, 11)):
        text = "(2**r - 1) / r, |r| <= 1/2"
        yield Fit("EXP2", width, text, lambda x: mp.expm1(x * ln2) / x, -half, half, degree)
    text = "(log1p(f) - f + f**2/2) / f**3, -1/3 <= f <= 1/3"
    third = mp.mpf(1) / 3
    yield Fit("LOG", 32, text, lambda f: (mp.log1p(f) - f + f * f / 2) / f**3, -third, third, 8)
    top = (3 - 2 * mp.sqrt(2)) ** 2 * mp.mpf("1.001")
    yield Fit("LOG", 64, "(2*atanh(s)/s - 2) / z, z = s*s, |s| <= 3 - sqrt(8)", log_even, 0, top, 6)
    text = "(2*atanh(s)/s - 2 - 2*z/3) / z**2, z = s*s, |s| <= 3 - sqrt(8)"
    yield Fit("LOG_EXTENDED", 64, text, log_even_short, 0, top, 7)
    for name, base in (("LOG2", 2), ("LOG10", 10)):
        text = f"(log1p(f)/f - 1) / (f*log({base})), -1/3 <= f <= 1/3"
        tail = partial(log_tail, mp.log(base))
        yield Fit(name, 32, text, tail, -third, third, 9)
    text = "2*atanh(s)/(s*log(2)), z = s*s, |s| <= 3 - sqrt(8)"
    yield Fit("LOG2_FOR_POW", 32, text, lambda z: (log_even(z) * z + 2) / ln2, 0, top, 4)
    yield Fit("EXP2_FOR_POW", 32, "2**r, |r| <= 1/2", lambda x: mp.power(2, x), -half, half, 6)
    quarter = mp.mpf("0.25")
    odd = (
        ("SIN", 32, "sin", mp.sin, (mp.pi / 2 * mp.mpf("1.01")) ** 2, 4),
        ("SIN", 64, "sin", mp.sin, (mp.pi / 2 * mp.mpf("1.01")) ** 2, 7),
        ("TAN", 32, "tan", mp.tan, (mp.pi / 4 * mp.mpf("1.01")) ** 2, 6),
        ("TAN", 64, "tan", mp.tan, (mp.pi / 4 * mp.mpf("1.01")) ** 2, 14),
        ("TANH", 64, "tanh", mp.tanh, mp.mpf("0.36"), 10),
        ("ASIN", 32, "asin", mp.asin, quarter, 4),
        ("ASIN", 64, "asin", mp.asin, quarter, 12),
        ("ATAN", 32, "atan", mp.atan, quarter, 4),
        ("ATAN", 64, "atan", mp.atan, quarter, 12),
        ("SINH", 32, "sinh", mp.sinh, mp.mpf(1), 3),
        ("SINH", 64, "sinh", mp.sinh, mp.mpf(1), 6),
        ("ASINH", 32, "asinh", mp.asinh, quarter, 5),
        ("ASINH", 64, "asinh", mp.asinh, quarter, 12),
        ("ATANH", 32, "atanh", mp.atanh, mp.mpf("0.0548"), 3),
        ("ATANH", 64, "atanh", mp.atanh, mp.mpf("0.0548"), 8),
    )
    for name, width, text, function, high, degree in odd:
        text = f"({text}(x) - x) / x**3 in s = x*x, 0 <= s <= {mp.nstr(high, 4)}"
        yield Fit(name, width, text, odd_tail(function), 0, high, degree)
    for width, degree, high in ((32, 6, mp.mpf("0.87")), (64, 12, mp.mpf(1))):
        text = f"erf(x)/x - 1 in s = x*x, 0 <= s <= {mp.nstr(high, 4)}"
        yield Fit("ERF", width, text, erf_excess, 0, high, degree)
    text = "log(erfc(x)), 0.92 <= x <= 4.1"
    yield Fit("LOG_ERFC", 32, text, lambda x: mp.log(mp.erfc(x)), "0.92", "4.1", 8)
    text = "((1 - c)**(-1/3) - 1) / c, |c| <= 0.104"
    for width in (32, 64):
        yield Fit("CBRT", width, text, cube_root_step, "-0.104", "0.104", 2)
    low = (mp.mpf("0.78") - 3.5) / (mp.mpf("0.78") + 3.5)
    for width, most, degree in ((32, "10.5", 10), (64, "28", 20)):
        text = f"erfc(t)*exp(t*t)*(1 + 2*t), t = 3.5*(1 + y)/(1 - y), 0.78 <= t <= {most}"
        high = (mp.mpf(most) - 3.5) / (mp.mpf(most) + 3.5)
        yield Fit("ERFCX", width, text, scaled_erfc, low, high, degree)


def near_two(d: Any) -> Any:
    """`log(gamma(2 + d)) / d`."""
    return mp.loggamma(2 + d) / d


def stirling_rest(z: Any) -> Any:
    """What Stirling's formula leaves of log(gamma(x)), times x, for z = 1/x**2."""
    x = 1 / mp.sqrt(z)
    half = mp.mpf(1) / 2
    return x * (mp.loggamma(x) - ((x - half) * mp.log(x) - x + mp.log(2 * mp.pi) / 2))


def gamma_fits() -> Iterator[Fit]:
    """The polynomials of `ops/gamma.py`."""
    low, high = mp.mpf("-0.7505"), mp.mpf("0.5005")
    yield Fit("NEAR_TWO", 64, "log(gamma(2 + d)) / d", near_two, low, high, 23)
    first, last = mp.mpf(10) ** -30, mp.mpf(1) / 56
    yield Fit("STIRLING", 64, "the rest, in 1/x**2", stirling_rest, first, last, 7)


def main() -> None:
    """Print the module `coefficients.py`."""
    with mp.workdps(120):
        tables = derive_tables()
    print_module(tables)


def derive_tables() -> dict[str, list[str]]:
    """The source lines of each table."""
    tables: dict[str, list[str]] = {}
    for fit in fits():
        coefficients = interpolate(fit.function, fit.low, fit.high, fit.degree)
        error = mp.log(largest_error(fit, coefficients), 2)
        lines = [f"    # {fit.meaning}; error 2**{mp.nstr(error, 4)}", f"    {fit.width}: ("]
        lines += [f"        {float(c)!r}," for c in coefficients]
        tables.setdefault(fit.name, []).extend([*lines, "    ),"])
    return tables


def print_module(tables: dict[str, list[str]]) -> None:
    """Print the tables as a Python module."""
    print('"""Polynomial coefficients, lowest power first, printed by `derive.py`: do not edit.\n')
    print("Each table is keyed by the width of the element it serves; the comment says what the")
    print("polynomial stands for, on which interval, and its largest error over its largest value.")
    print('"""\n')
    for name, lines in tables.items():
        print(f"{name}: dict[int, tuple[float, ...]] = {{", *lines, "}", sep="\n")


if __name__ == "__main__":
    main()
