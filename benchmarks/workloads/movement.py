"""Elements that move: transposes, rolls, concatenation, padding, gathers, strided views."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..task import GRADIENT, Task, normal, workload

SIDES = (32, 256, 2048)


@workload("transpose and add", *SIDES)
def _(n: int) -> Task:
    return Task(lambda xp, x, y: x.T * 2 + y, (normal(n, n), normal(n, n, seed=1)))


@workload("roll in two directions", *SIDES)
def _(n: int) -> Task:
    def rolled(xp: Any, x: Any) -> Any:
        return xp.roll(x, 1, 0) + xp.roll(x, -1, 1) - 2 * x

    return Task(rolled, (normal(n, n),))


@workload("concatenate and scale", *SIDES)
def _(n: int) -> Task:
    def joined(xp: Any, x: Any, y: Any) -> Any:
        return xp.concatenate([x * 2, y + 1, xp.abs(x - y)], 1) * 0.5

    own = {"dualflow": lambda df, x, y: df.concat([x * 2, y + 1, df.abs(x - y)], axis=1) * 0.5}
    return Task(joined, (normal(n, n), normal(n, n, seed=1)), own=own)


@workload("every second row and column", *SIDES)
def _(n: int) -> Task:
    def halved(xp: Any, x: Any) -> Any:
        return 0.25 * (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2])

    return Task(halved, (normal(n, n),))


@workload("gather rows and scale", 64, 1024, 16384)
def _(n: int) -> Task:
    rows = np.random.default_rng(0).integers(0, 1000, n)
    return Task(lambda xp, table, i, w: table[i] * w, (normal(1000, 64), rows, normal(n, 1)))


@workload("gradient: embedding rows", 64, 1024, 16384)
def _(n: int) -> Task:
    rows = np.random.default_rng(0).integers(0, 1000, n)
    return Task(
        lambda xp, table, i, w: (table[i] * w).sum(),
        (normal(1000, 64), rows, normal(n, 64)), GRADIENT, wrt=(0,), tolerance=1e-4,
    )  # fmt: skip


@workload("split heads", 2, 16, 64)
def _(n: int) -> Task:
    def heads(xp: Any, x: Any) -> Any:
        return xp.swapaxes(x.reshape((n, 64, 8, 32)), 1, 2) * 0.125

    return Task(heads, (normal(n, 64, 256),))
