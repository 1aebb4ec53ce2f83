"""Schedules: a factor for the learning rate, by the number of steps done.

Comes in: a function from the number of steps to a factor. Goes out: `group.lr` of an optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import final

from dualflow.base.errors import ArgumentError

from .optimizer import Optimizer, check_range

Factor = Callable[[int], float]


@final
class Schedule:
    """Sets the learning rate of every group to its first one times `factor(steps done)`.

    Args:
        optimizer: whose learning rates are set, at once and by each `step()`.
        factor: of the number of steps done, such as `cosine(100)`.

    >>> from dualflow import api as df
    >>> from dualflow.optim import SGD
    >>> optimizer = SGD([df.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = Schedule(optimizer, exponential(0.5))
    >>> schedule.step()
    >>> optimizer.lr
    0.5
    """

    def __init__(self, optimizer: Optimizer, factor: Factor) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"Schedule of a {type(optimizer).__name__}",
                                instead="an optimizer and its factor by step")  # fmt: skip
        self.optimizer = optimizer
        self.factor = factor
        self.first = [group.lr for group in optimizer.groups]
        self.count = 0
        self._set()

    def step(self) -> None:
        """One step more was done."""
        self.count += 1
        self._set()

    def _set(self) -> None:
        factor = self.factor(self.count)
        for group, first in zip(self.optimizer.groups, self.first, strict=True):
            group.lr = first * factor


def exponential(decay: float) -> Factor:
    """decay ** count.

    Args:
        decay: the factor of one step.

    >>> [exponential(0.5)(count) for count in range(3)]
    [1.0, 0.5, 0.25]
    """
    return lambda count: decay**count


def steps(every: int, decay: float) -> Factor:
    """Times `decay` after each `every` steps.

    >>> [steps(2, 0.1)(count) for count in range(4)]
    [1.0, 1.0, 0.1, 0.1]
    """
    check_range("every", every, 1)
    return lambda count: decay ** (count // every)


def cosine(total: int, warmup: int = 0, floor: float = 0.0) -> Factor:
    """Evenly up to 1 over `warmup` steps, then half a cosine down to `floor` at step `total`
    (Loshchilov and Hutter, arXiv:1608.03983).

    >>> [round(cosine(4, warmup=2)(count), 3) for count in range(6)]
    [0.333, 0.667, 1.0, 0.5, 0.0, 0.0]
    """
    check_range("warmup", warmup, 0, total)

    def factor(count: int) -> float:
        if count < warmup:
            return (count + 1) / (warmup + 1)
        done = min(1.0, (count - warmup) / (total - warmup))
        return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * done))

    return factor
