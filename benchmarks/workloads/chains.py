"""Elementwise chains: one pass over memory, whatever stands in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers import erfc
from ..task import GRADIENT, Task, normal, uniform, workload

SIZES = (1 << 10, 1 << 16, 1 << 20)


def chain(xp: Any, a: Any, b: Any, c: Any) -> Any:
    return xp.tanh(a * b + c) * xp.exp(-(a * a)) + b / (1 + xp.abs(c)) - a * c


@workload("fused chain of 10 ops", *SIZES)
def _(n: int) -> Task:
    arrays = tuple(normal(n, seed=seed) for seed in range(3))
    text = "tanh(a*b+c)*exp(-(a*a))+b/(1+abs(c))-a*c"
    return Task(chain, arrays, text=text, by_hand="chain", flops=50.0 * n)


@workload("gradient: chain of 10 ops", *SIZES)
def _(n: int) -> Task:
    arrays = tuple(normal(n, seed=seed) for seed in range(3))
    return Task(lambda xp, *xs: chain(xp, *xs).sum(), arrays, GRADIENT, flops=90.0 * n)


@workload("three operations", 64, 1 << 16, 1 << 24)
def _(n: int) -> Task:
    arrays = tuple(normal(n, seed=seed) for seed in range(3))
    return Task(lambda xp, a, b, c: (a + b) * c - a, arrays, text="(a+b)*c-a")


def black_scholes(xp: Any, price: Any, strike: Any, time: Any) -> Any:
    root = 0.3 * xp.sqrt(time)
    d1 = (xp.log(price / strike) + 0.065 * time) / root
    d2 = d1 - root
    cumulative = lambda d: 0.5 * erfc(xp, -d * 0.7071067811865476)  # noqa: E731
    return price * cumulative(d1) - strike * xp.exp(-0.02 * time) * cumulative(d2)


def options(n: int) -> tuple[np.ndarray, ...]:
    return (
        uniform(10, 50, n), uniform(10, 50, n, seed=1), uniform(0.1, 2, n, seed=2),
    )  # fmt: skip


@workload("Black-Scholes, float64", *SIZES)
def _(n: int) -> Task:
    return Task(black_scholes, options(n), by_hand="black_scholes", flops=120.0 * n)


@workload("gradient: Black-Scholes, float64", *SIZES)
def _(n: int) -> Task:
    return Task(lambda xp, *xs: black_scholes(xp, *xs).sum(), options(n), GRADIENT)


def polynomial(xp: Any, x: Any) -> Any:
    y = x * 0.1 + 0.7
    for coefficient in (-0.3, 0.9, -0.2, 0.4, 1.1, -0.6, 0.8):
        y = y * x + coefficient
    return xp.where(x > 0.5, y, xp.sqrt(xp.abs(y)) - x)


@workload("polynomial and where", *SIZES)
def _(n: int) -> Task:
    return Task(polynomial, (normal(n),), flops=20.0 * n)


@workload("trigonometry, float64", *SIZES)
def _(n: int) -> Task:
    def waves(xp: Any, x: Any, t: Any) -> Any:
        return xp.sin(x) * xp.cos(t) + xp.sin(2.0 * x + t) / (1.5 + xp.cos(x - t))

    arrays = (normal(n, dtype=np.float64), normal(n, dtype=np.float64, seed=1))
    return Task(waves, arrays, text="sin(a)*cos(b)+sin(2*a+b)/(1.5+cos(a-b))", flops=130.0 * n)


@workload("broadcast row and column", 16, 256, 2048)
def _(n: int) -> Task:
    def outer(xp: Any, m: Any, row: Any, column: Any) -> Any:
        return (m - row) * column + xp.abs(m * row - column)

    return Task(outer, (normal(n, n), normal(1, n, seed=1), normal(n, 1, seed=2)),
                text="(a-b)*c+abs(a*b-c)")  # fmt: skip


@workload("integer mixing", *SIZES)
def _(n: int) -> Task:
    def mix(xp: Any, x: Any, y: Any) -> Any:
        x = (x ^ (x >> 13)) * 1540483477
        x = (x ^ (x >> 11)) + y * 668265263
        return (x ^ (x >> 15)) & 1048575

    keys = np.random.default_rng(0).integers(0, 1 << 31, (2, n))
    return Task(mix, (keys[0], keys[1]))


@workload("Mandelbrot, 20 steps", 32, 128, 512)
def _(n: int) -> Task:
    def escape(xp: Any, re: Any, im: Any) -> Any:
        x, y, count = re * 0, im * 0, re * 0
        for _ in range(20):
            x, y = x * x - y * y + re, 2 * x * y + im
            inside = x * x + y * y < 4
            count = xp.where(inside, count + 1, count)
            x, y = xp.where(inside, x, 2.0), xp.where(inside, y, 0.0)
        return count

    re, im = np.meshgrid(np.linspace(-2, 1, n), np.linspace(-1.5, 1.5, n))
    without = ("torch.compile",)  # its compiler takes minutes
    return Task(escape, (re, im), by_hand="mandelbrot", without=without, flops=20.0 * 11 * n * n)


@workload("complex Mandelbrot, 10 steps", 32, 128, 512)
def _(n: int) -> Task:
    def orbit(xp: Any, c: Any) -> Any:
        z = c
        for _ in range(10):
            z = 0.5 * z * z + 0.3 * c
        return z

    re, im = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    return Task(orbit, (re + 1j * im,), flops=10.0 * 10 * n * n)
