"""Time-stepping codes as workloads: a Python loop for dualflow and NumPy, `fori_loop` for JAX.

Comes in: a number of steps. Goes out: as in `workloads`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import dualflow as df

from . import peers
from .workloads import Call, normal, workload

STEPS = (20, 1000)
Step = Callable[..., tuple[Any, ...]]


def calls(step: Step, state: tuple[np.ndarray, ...], constants: tuple[np.ndarray, ...],
          count: int) -> dict[str, Call]:  # fmt: skip
    """`count` times `state = step(xp, i, *state, *constants)`, by each library."""

    def run(*given: Any) -> tuple[Any, ...]:
        values, rest = given[: len(state)], given[len(state) :]
        for i in range(count):
            values = step(np, i, *values, *rest)
        return values

    compiled = df.compile(run, wait=True)
    arrays = (*state, *constants)
    found: dict[str, Call] = {"dualflow": lambda: compiled(*arrays), "numpy": lambda: run(*arrays)}
    if peers.installed("jax"):
        found["jax.jit"] = _jax(step, state, constants, count)
    return found


def _jax(step: Step, state: tuple[np.ndarray, ...], constants: tuple[np.ndarray, ...],
         count: int) -> Call:  # fmt: skip
    import jax

    jax.config.update("jax_enable_x64", True)

    def body(i: Any, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return step(jax.numpy, i, *values, *given)

    jitted = jax.jit(lambda *values: jax.lax.fori_loop(0, count, body, values))
    given = tuple(map(jax.numpy.asarray, constants))
    values = tuple(map(jax.numpy.asarray, state))
    return lambda: jax.block_until_ready(jitted(*values))


def heat(xp: Any, i: int, u: Any) -> tuple[Any, ...]:
    inner = u[1:-1] + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
    return (xp.concatenate([u[:1], inner, u[-1:]]),)


@workload("heat equation, 1000 points, steps", STEPS, lambda steps: 16 * 1000 * steps)
def _(steps: int) -> dict[str, Call]:
    return calls(heat, (normal(1000, dtype=np.float64),), (), steps)


def bodies(xp: Any, i: int, pos: Any, vel: Any) -> tuple[Any, ...]:
    d = pos[:, None, :] - pos[None, :, :]
    r2 = (d * d).sum(axis=2) + 0.01
    vel = vel - 0.01 * (d / (r2 * xp.sqrt(r2))[:, :, None]).sum(axis=1)
    return pos + 0.01 * vel, vel


@workload("n-body, 32 bodies, steps", STEPS, lambda steps: 4 * 8 * 32 * 3 * steps)
def _(steps: int) -> dict[str, Call]:
    state = normal(32, 3, dtype=np.float64), normal(32, 3, dtype=np.float64, seed=1)
    return calls(bodies, state, (), steps)


def recurrent(xp: Any, i: int, h: Any, x: Any, w: Any, u: Any) -> tuple[Any, ...]:
    return (xp.tanh(x[i] @ w + h @ u),)


@workload("recurrent net, 16 x 64, steps", STEPS, lambda steps: 4 * 3 * 16 * 64 * steps)
def _(steps: int) -> dict[str, Call]:
    weights = normal(64, 64) * 0.1, normal(64, 64, seed=1) * 0.1
    return calls(recurrent, (normal(16, 64),), (normal(steps, 16, 64), *weights), steps)
