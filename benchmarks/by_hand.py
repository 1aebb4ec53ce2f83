"""Workloads written by hand for Numba: the loops one would write, compiled by `njit`.

Comes in: the arrays of the task. Goes out: its result. `prange` runs on several threads where the
function is compiled for them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange


def chain(a: Any, b: Any, c: Any) -> Any:
    out = np.empty_like(a)
    for i in prange(a.size):
        x, y, z = a[i], b[i], c[i]
        out[i] = math.tanh(x * y + z) * math.exp(-(x * x)) + y / (1 + abs(z)) - x * z
    return out


def black_scholes(price: Any, strike: Any, time: Any) -> Any:
    out = np.empty_like(price)
    for i in prange(price.size):
        p, k, t = price[i], strike[i], time[i]
        root = 0.3 * math.sqrt(t)
        d1 = (math.log(p / k) + 0.065 * t) / root
        first = 0.5 * math.erfc(-d1 * 0.7071067811865476)
        second = 0.5 * math.erfc(-(d1 - root) * 0.7071067811865476)
        out[i] = p * first - k * math.exp(-0.02 * t) * second
    return out


def mandelbrot(re: Any, im: Any) -> Any:
    out = np.empty_like(re)
    for i in prange(re.shape[0]):
        for j in range(re.shape[1]):
            x, y, count = 0.0, 0.0, 0
            while count < 20 and x * x + y * y < 4:
                x, y = x * x - y * y + re[i, j], 2 * x * y + im[i, j]
                count += x * x + y * y < 4
                if x * x + y * y >= 4:
                    break
            out[i, j] = count
    return out


def sum_of_squares(x: Any) -> Any:
    total = np.float64(0.0)
    for i in prange(x.size):
        total += x[i] * x[i]
    return np.float32(total)


def column_sums(x: Any) -> Any:
    out = np.zeros(x.shape[1], x.dtype)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[j] += x[i, j] * x[i, j]
    return out


def stencil(u: Any) -> Any:
    out = np.empty((u.shape[0] - 2, u.shape[1] - 2), u.dtype)
    slow, four = u.dtype.type(0.1), u.dtype.type(4.0)
    for i in prange(1, u.shape[0] - 1):
        for j in range(1, u.shape[1] - 1):
            around = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
            out[i - 1, j - 1] = u[i, j] + slow * (around - four * u[i, j])
    return out


def kernel_matrix(x: Any, y: Any) -> Any:
    out = np.empty((x.shape[0], y.shape[0]), x.dtype)
    for i in prange(x.shape[0]):
        for j in range(y.shape[0]):
            total = x.dtype.type(0.0)
            for k in range(x.shape[1]):
                d = x[i, k] - y[j, k]
                total += d * d
            out[i, j] = math.exp(-total)
    return out
