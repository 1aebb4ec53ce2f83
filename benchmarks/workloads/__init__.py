"""The workloads, a file for each group.

Comes in: nothing. Goes out: `WORKLOADS`, in the order of `GROUPS`.
"""

from __future__ import annotations

from .. import task
from . import (
    chains,
    movement,
    networks,
    products,
    programs,
    reductions,
    rows,
    science,
    stepping,
    training,
)  # fmt: skip

GROUPS = (
    chains, reductions, rows, movement, stepping, science, products, networks, training, programs,
)  # fmt: skip
_ORDER = [group.__name__.rpartition(".")[2] for group in GROUPS]
WORKLOADS = sorted(task.WORKLOADS, key=lambda each: _ORDER.index(each.group))
