"""Codes that step through time: Python loops in NumPy and dualflow, `fori_loop` in JAX.

The program is NumPy's; dualflow gets it decorated and otherwise unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers import padded
from ..task import PROGRAM, Task, normal, workload

Step = Callable[..., tuple[Any, ...]]


def stepped(step: Step, count: int, state: tuple[np.ndarray, ...],
            constants: tuple[np.ndarray, ...] = (), **more: Any) -> Task:  # fmt: skip
    """`count` times `state = step(xp, i, *state, *constants)`."""
    width = len(state)

    def run(xp: Any, *given: Any) -> tuple[Any, ...]:
        values, rest = given[:width], given[width:]
        for i in range(count):
            values = step(xp, i, *values, *rest)
        return values

    def in_jax(xp: Any, *given: Any) -> tuple[Any, ...]:
        from jax import lax

        rest = given[width:]
        return lax.fori_loop(0, count, lambda i, s: step(xp, i, *s, *rest), given[:width])

    moved = 2.0 * count * sum(x.nbytes for x in state)
    without = ("torch", "torch.compile") if count > 20 else ("torch.compile",)
    settings = {"moved": moved, "without": without} | more
    return Task(run, (*state, *constants), PROGRAM, own={"jax": in_jax}, **settings)


@workload("heat equation, 1000 points, steps", 20, 200, 1000)
def _(steps: int) -> Task:
    def heat(xp: Any, i: int, u: Any) -> tuple[Any, ...]:
        inner = u[1:-1] + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
        return (xp.concatenate([u[:1], inner, u[-1:]]),)

    return stepped(heat, steps, (normal(1000, dtype=np.float64),))


@workload("2-D heat stencil", 32, 256, 1024)
def _(n: int) -> Task:
    def stencil(xp: Any, u: Any) -> Any:
        middle = u[1:-1, 1:-1]
        around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
        return middle + 0.1 * (around - 4.0 * middle)

    return Task(stencil, (normal(n, n),), by_hand="stencil")


@workload("wave in two dimensions, 50 steps", 32, 128, 512)
def _(n: int) -> Task:
    def wave(xp: Any, i: int, u: Any, before: Any) -> tuple[Any, ...]:
        near = xp.roll(u, 1, 0) + xp.roll(u, -1, 0) + xp.roll(u, 1, 1) + xp.roll(u, -1, 1)
        return 2 * u - before + 0.1 * (near - 4 * u), u

    u = normal(n, n, dtype=np.float64)
    return stepped(wave, 50, (u, u))


@workload("diffusion with fixed edges, 50 steps", 32, 128, 512)
def _(n: int) -> Task:
    def diffuse(xp: Any, i: int, u: Any) -> tuple[Any, ...]:
        near = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
        return (u + 0.1 * padded(xp, near),)

    return stepped(diffuse, 50, (normal(n, n, dtype=np.float64),))


@workload("diffusion in three dimensions, 20 steps", 8, 32, 96)
def _(n: int) -> Task:
    def diffuse(xp: Any, i: int, u: Any) -> tuple[Any, ...]:
        c = u[1:-1, 1:-1, 1:-1]
        near = u[2:, 1:-1, 1:-1] + u[:-2, 1:-1, 1:-1] + u[1:-1, 2:, 1:-1] + u[1:-1, :-2, 1:-1]
        near = near + u[1:-1, 1:-1, 2:] + u[1:-1, 1:-1, :-2] - 6 * c
        return (padded(xp, c + 0.05 * near),)

    return stepped(diffuse, 20, (normal(n, n, n),))


@workload("game of life, 20 steps", 32, 128, 512)
def _(n: int) -> Task:
    def life(xp: Any, i: int, board: Any) -> tuple[Any, ...]:
        rows = xp.roll(board, 1, 0) + board + xp.roll(board, -1, 0)
        count = xp.roll(rows, 1, 1) + rows + xp.roll(rows, -1, 1)
        return (xp.where((count == 3) | ((board == 1) & (count == 4)), 1, 0),)

    return stepped(life, 20, ((normal(n, n) > 0.5).astype(np.int64),))


@workload("n-body, 32 bodies, steps", 20, 200, 1000)
def _(steps: int) -> Task:
    def bodies(xp: Any, i: int, pos: Any, vel: Any) -> tuple[Any, ...]:
        d = pos[:, None, :] - pos[None, :, :]
        r2 = (d * d).sum(2) + 0.01
        vel = vel - 1e-4 * (d / (r2 * xp.sqrt(r2))[:, :, None]).sum(1)
        return pos + 1e-4 * vel, vel

    state = normal(32, 3, dtype=np.float64), normal(32, 3, dtype=np.float64, seed=1)
    work = 32.0 * 32 * 20 * steps
    return stepped(bodies, steps, state, flops=work, tolerance=1e-3)


@workload("recurrent net, 16 x 64, steps", 20, 200, 1000)
def _(steps: int) -> Task:
    def recurrent(xp: Any, i: int, h: Any, x: Any, w: Any, u: Any) -> tuple[Any, ...]:
        return (xp.tanh(x[i] @ w + h @ u),)

    weights = normal(64, 64) * 0.1, normal(64, 64, seed=1) * 0.1
    constants = (normal(steps, 16, 64), *weights)
    work = 4.0 * 16 * 64 * 64 * steps
    return stepped(recurrent, steps, (normal(16, 64),), constants, flops=work, tolerance=1e-4)
