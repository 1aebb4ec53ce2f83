"""Programs written with NumPy as people write them: none knows of dualflow.

Each is a function with a maker of arguments (by a number: calls differ in their values).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Program:
    """A function, arguments for call number i, and how calls after the first should run."""

    function: Callable[..., Any]
    arguments: Callable[[int], tuple[Any, ...]]
    verdict: str = "replay"

    def __repr__(self) -> str:
        return self.function.__name__


PROGRAMS: list[Program] = []


def program(arguments: Callable[[int], tuple[Any, ...]], verdict: str = "replay") -> Any:
    """Enter a function into `PROGRAMS`."""

    def enter(function: Any) -> Any:
        PROGRAMS.append(Program(function, arguments, verdict))
        return function

    return enter


def values(i: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(i).random(shape)


# Stencils -----------------------------------------------------------------------------------


@program(lambda i: (values(i, 12, 12), 0.1, 5))
def heat(u, alpha, steps):
    for _ in range(steps):
        u[1:-1, 1:-1] += alpha * (
            u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
        )
    return u


@program(lambda i: (values(i, 10, 10), values(i + 1, 10, 10), 0.01, 0.5))
def wave(u, u_prev, dt, c):
    """A step of the wave equation into a new array."""
    u_next = np.zeros_like(u)
    lap = (
        np.roll(u, 1, axis=0) + np.roll(u, -1, axis=0)
        + np.roll(u, 1, axis=1) + np.roll(u, -1, axis=1) - 4 * u
    )  # fmt: skip
    u_next[:] = 2 * u - u_prev + (c * dt) ** 2 * lap
    u_next[0, :] = u_next[-1, :] = 0
    u_next[:, 0] = u_next[:, -1] = 0
    return u_next, u


@program(lambda i: (values(3, 9, 9), 0.05))
def laplace(p, tolerance):
    """Jacobi's iteration until little changes."""
    p = p.copy()
    error = 1.0
    while error > tolerance:
        before = p.copy()
        p[1:-1, 1:-1] = 0.25 * (
            before[1:-1, 2:] + before[1:-1, :-2] + before[2:, 1:-1] + before[:-2, 1:-1]
        )
        p[0, :] = 0.0
        p[-1, :] = 1.0
        error = np.abs(p - before).max()
    return p, error


@program(lambda i: (1.0 + values(i, 21), 0.07, 0.01, 10))
def burgers(u, nu, dt, steps):
    dx = 2 * np.pi / (len(u) - 1)
    for _ in range(steps):
        un = u.copy()
        u[1:-1] = (
            un[1:-1]
            - un[1:-1] * dt / dx * (un[1:-1] - un[:-2])
            + nu * dt / dx**2 * (un[2:] - 2 * un[1:-1] + un[:-2])
        )
        u[0] = u[-1] = un[0]
    return u


def _laplacian(z):
    return -4.0 * z + np.roll(z, 1, 0) + np.roll(z, -1, 0) + np.roll(z, 1, 1) + np.roll(z, -1, 1)


@program(lambda i: (1 - 0.1 * values(i, 8, 8), 0.2 * values(i + 9, 8, 8), 0.16, 0.08, 0.035, 0.065))
def gray_scott(u, v, du, dv, feed, kill):
    for _ in range(4):
        uvv = u * v * v
        u = u + du * _laplacian(u) - uvv + feed * (1 - u)
        v = v + dv * _laplacian(v) + uvv - (feed + kill) * v
    return u, v


@program(lambda i: (40, 0.5 + 0.1 * i))
def advection(n, courant):
    """All arrays are made inside."""
    x = np.linspace(0.0, 1.0, n)
    u = np.where((x > 0.2) & (x < 0.4), 1.0, 0.0)
    for _ in range(5):
        u[1:] = u[1:] - courant * (u[1:] - u[:-1])
    return x, u


@program(lambda i: (values(i, 7, 7) > 0.6,))
def life(board):
    cells = board.astype(int)
    neighbours = sum(
        np.roll(np.roll(cells, i, 0), j, 1)
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
        if (i, j) != (0, 0)
    )
    return (neighbours == 3) | (board & (neighbours == 2))


@program(lambda i: ((values(i, 8, 8) > 0.5).astype(np.int8), 3))
def life_in_place(world, steps):
    for _ in range(steps):
        n = (
            world[:-2, :-2] + world[:-2, 1:-1] + world[:-2, 2:] + world[1:-1, :-2]
            + world[1:-1, 2:] + world[2:, :-2] + world[2:, 1:-1] + world[2:, 2:]
        )  # fmt: skip
        birth = (n == 3) & (world[1:-1, 1:-1] == 0)
        survive = ((n == 2) | (n == 3)) & (world[1:-1, 1:-1] == 1)
        world[...] = 0
        world[1:-1, 1:-1][birth | survive] = 1
    return world


# Finance, physics ---------------------------------------------------------------------------


def _normal_cdf(x):
    """Abramowitz and Stegun 26.2.17."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    poly = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937
           + t * (-1.821255978 + t * 1.330274429))))  # fmt: skip
    tail = poly * np.exp(-x * x / 2.0) / np.sqrt(2 * np.pi)
    return np.where(x >= 0, 1.0 - tail, tail)


@program(lambda i: (90 + 20 * values(i, 50), 100.0, 0.5 + values(i, 50), 0.02 + 0.01 * i, 0.3))
def black_scholes(spot, strike, time, rate, volatility):
    d1 = (np.log(spot / strike) + (rate + volatility**2 / 2) * time) / (volatility * np.sqrt(time))
    d2 = d1 - volatility * np.sqrt(time)
    discount = strike * np.exp(-rate * time)
    call = spot * _normal_cdf(d1) - discount * _normal_cdf(d2)
    put = discount * _normal_cdf(-d2) - spot * _normal_cdf(-d1)
    return {"call": call, "put": put}


@program(lambda i: (values(i, 6, 3), values(i + 50, 6, 3), 1.0 + values(i + 70, 6), 0.01, 3))
def n_body(position, velocity, mass, dt, steps):
    for _ in range(steps):
        apart = position[np.newaxis, :, :] - position[:, np.newaxis, :]
        distance = (apart**2).sum(axis=-1) + 0.01
        force = (apart * (mass / distance**1.5)[:, :, None]).sum(axis=1)
        velocity += force * dt
        position += velocity * dt
    kinetic = 0.5 * np.sum(mass * (velocity**2).sum(axis=1))
    return kinetic


@program(lambda i: (np.array([1.0, 1.0, 1.0 + 0.1 * i]), 0.01, 4))
def lorenz(state, dt, steps):
    """Runge and Kutta's method over a small system."""

    def slope(s):
        x, y, z = s
        return np.array([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])

    path = np.empty((steps + 1, 3))
    path[0] = state
    for i in range(steps):
        k1 = slope(state)
        k2 = slope(state + dt / 2 * k1)
        k3 = slope(state + dt / 2 * k2)
        k4 = slope(state + dt * k3)
        state = state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        path[i + 1] = state
    return path


@program(lambda i: (2 * values(i, 5, 5) - 1.5 + 1j * values(i + 3, 5, 5), 6))
def mandelbrot(c, steps):
    z = np.zeros_like(c)
    count = np.zeros(c.shape, dtype=int)
    for _ in range(steps):
        z = z * z + c
        count += np.abs(z) < 2
    return count


@program(lambda i: (-2.0, 1.0, 9, 6))
def mandelbrot_real(low, high, n, steps):
    """Real and imaginary parts apart, with masks."""
    y, x = np.mgrid[-1.5:1.5:9j, -2.0:1.0:9j]
    zx, zy = np.zeros_like(x), np.zeros_like(y)
    count = np.zeros(x.shape, dtype=np.int32)
    for _ in range(steps):
        inside = zx * zx + zy * zy <= 4.0
        zx, zy = np.where(inside, zx * zx - zy * zy + x, zx), np.where(inside, 2 * zx * zy + y, zy)
        count[inside] += 1
    return count


@program(lambda i: (2 * values(i, 6, 6) - 1.5 + 1j * values(i + 3, 6, 6), 5))
def mandelbrot_masked(c, steps):
    """The points still inside are gathered: their number depends on values."""
    z = np.zeros_like(c)
    count = np.full(c.shape, steps)
    inside = np.ones(c.shape, dtype=bool)
    for i in range(steps):
        z[inside] = z[inside] ** 2 + c[inside]
        escaped = inside & (np.abs(z) > 2)
        count[escaped] = i
        inside &= ~escaped
    return count


# Data ---------------------------------------------------------------------------------------


@program(lambda i: (values(i, 30, 2), values(i + 1, 3, 2), 3))
def k_means(points, centres, steps):
    for _ in range(steps):
        distance = np.linalg.norm(points[:, None, :] - centres[None, :, :], axis=2)
        label = np.argmin(distance, axis=1)
        one_hot = (label[:, None] == np.arange(len(centres))[None, :]).astype(float)
        count = np.maximum(one_hot.sum(axis=0), 1)
        centres = one_hot.T @ points / count[:, None]
    return label, centres


@program(lambda i: (values(i, 30, 2), values(i + 1, 3, 2)))
def k_means_masked(points, centres):
    distance = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    label = distance.argmin(axis=1)
    return np.array([points[label == k].mean(axis=0) for k in range(len(centres))])


@program(lambda i: (values(i, 9, 9),))
def sobel(image):
    padded = np.pad(image, 1, mode="edge")
    gx = (
        padded[:-2, 2:] + 2 * padded[1:-1, 2:] + padded[2:, 2:]
        - padded[:-2, :-2] - 2 * padded[1:-1, :-2] - padded[2:, :-2]
    )  # fmt: skip
    gy = (
        padded[2:, :-2] + 2 * padded[2:, 1:-1] + padded[2:, 2:]
        - padded[:-2, :-2] - 2 * padded[:-2, 1:-1] - padded[:-2, 2:]
    )  # fmt: skip
    magnitude = np.hypot(gx, gy)
    return (255 * magnitude / magnitude.max()).astype(np.uint8)


@program(lambda i: ((255 * values(i, 8, 8, 3)).astype(np.uint8), 1))
def blur(image, radius):
    size = 2 * radius + 1
    padded = np.pad(image.astype(np.float32), ((radius, radius), (radius, radius), (0, 0)),
                    mode="reflect")  # fmt: skip
    out = np.zeros(image.shape, np.float32)
    for i in range(size):
        for j in range(size):
            out += padded[i : i + image.shape[0], j : j + image.shape[1]]
    return np.clip(np.round(out / size**2), 0, 255).astype(np.uint8)


@program(lambda i: (values(i, 10, 10, 3),))
def grey_and_equalised(image):
    grey = image @ np.array([0.299, 0.587, 0.114])
    low, high = grey.min(), grey.max()
    return (grey - low) / (high - low), float(high - low)


@program(lambda i: (values(i, 7, 7) + 0.1,))
def floyd_warshall(distance):
    for k in range(distance.shape[0]):
        np.minimum(distance, distance[:, k, None] + distance[None, k, :], out=distance)
    return distance


@program(lambda i: ((values(i, 8, 8) > 0.5).astype(float), 0.85, 10))
def page_rank(links, damping, steps):
    n = links.shape[0]
    out = links.sum(axis=1, keepdims=True)
    walk = np.where(out > 0, links / np.where(out == 0, 1, out), 1.0 / n)
    rank = np.ones(n) / n
    for _ in range(steps):
        rank = (1 - damping) / n + damping * (rank @ walk)
    return rank / rank.sum()


@program(lambda i: (values(i, 32), values(i + 1, 9)))
def fft_convolution(signal, kernel):
    size = len(signal) + len(kernel) - 1
    made = np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(kernel, size), size)
    return made[: len(signal)]


@program(lambda i: (i, 100))
def monte_carlo_pi(seed, n):
    rng = np.random.default_rng(seed)
    x, y = rng.random(n), rng.random(n)
    return 4 * np.mean(x * x + y * y <= 1.0)


@program(lambda i: (100.0 + i, 0.02, 0.2, 20, values(i, 6, 20) - 0.5))
def paths(start, rate, volatility, steps, noise):
    """Prices along random walks whose noise is given."""
    dt = 1 / steps
    growth = (rate - 0.5 * volatility**2) * dt + volatility * np.sqrt(dt) * noise
    prices = start * np.exp(np.cumsum(growth, axis=1))
    payoff = np.maximum(prices[:, -1] - start, 0.0)
    return prices, payoff.mean() * np.exp(-rate), payoff.std(ddof=1)


# Learning -----------------------------------------------------------------------------------


def _network(i):
    w1, b1 = values(1, 4, 8) - 0.5, np.zeros(8)
    w2, b2 = values(2, 8, 3) - 0.5, np.zeros(3)
    x = values(i, 10, 4)
    return x, np.argmax(x[:, :3], axis=1), {"w1": w1, "b1": b1, "w2": w2, "b2": b2}, 0.1


@program(_network)
def network(x, target, weights, rate):
    """A step of gradient descent, written by hand."""
    hidden = x @ weights["w1"] + weights["b1"]
    active = np.maximum(hidden, 0)
    score = active @ weights["w2"] + weights["b2"]
    score -= score.max(axis=1, keepdims=True)
    probability = np.exp(score)
    probability /= probability.sum(axis=1, keepdims=True)
    one_hot = np.eye(score.shape[1])[target]
    loss = -np.mean(np.sum(one_hot * np.log(probability), axis=1))
    d_score = (probability - one_hot) / len(x)
    d_hidden = (d_score @ weights["w2"].T) * (hidden > 0)
    weights["w2"] -= rate * (active.T @ d_score)
    weights["b2"] -= rate * d_score.sum(axis=0)
    weights["w1"] -= rate * (x.T @ d_hidden)
    weights["b1"] -= rate * d_hidden.sum(axis=0)
    return loss


class Regression:
    def __init__(self, i):
        self.weights = np.zeros(3)
        self.history = []

    def step(self, x, y, rate):
        error = x @ self.weights - y
        self.weights = self.weights - rate * (x.T @ error) / len(y)
        self.history.append(float((error**2).mean()))
        return self


@program(lambda i: (Regression(i), values(i, 12, 3), values(i + 5, 12), 0.1))
def regression(model, x, y, rate):
    """Arrays in attributes; floats kept in a list."""
    for _ in range(3):
        model.step(x, y, rate)
    return model.history[-1] < model.history[0]


@program(lambda i: (values(i, 12, 3), values(i + 5, 12)))
def least_squares(x, y):
    x1 = np.column_stack([np.ones(len(x)), x])
    solution = np.linalg.solve(x1.T @ x1, x1.T @ y)
    residual = y - x1 @ solution
    r2 = 1 - (residual @ residual) / ((y - y.mean()) ** 2).sum()
    return solution, r2


@program(lambda i: (values(i, 15, 3),))
def principal_components(x):
    centred = x - x.mean(axis=0)
    covariance = centred.T @ centred / (len(x) - 1)
    power = np.ones(3)
    for _ in range(10):
        power = covariance @ power
        power /= np.linalg.norm(power)
    return power @ covariance @ power, np.std(x, axis=0), np.percentile(x, 75)


@program(lambda i: (values(i, 6, 6) + 6 * np.eye(6), values(i, 6)))
def conjugate_gradient(a, b):
    a = (a + a.T) / 2
    x = np.zeros_like(b)
    r = b - a @ x
    p = r.copy()
    rs = r @ r
    for _ in range(len(b)):
        ap = a @ p
        alpha = rs / (p @ ap)
        x = x + alpha * p
        r = r - alpha * ap
        rs_new = r @ r
        if np.sqrt(rs_new) < 1e-3:
            break
        p = r + (rs_new / rs) * p
        rs = rs_new
    return x
