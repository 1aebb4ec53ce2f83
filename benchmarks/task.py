"""What is computed, free of any library: a function of an array namespace and its arrays.

Comes in: what the files of `workloads/` write down. Goes out: `Task`, which `libraries` runs, and
`Workload`, a task for each of some sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Function = Callable[..., Any]
#: what is done with the function
FORWARD, GRADIENT, TRAINING, PROGRAM = "forward", "gradient", "training", "program"


@dataclass(frozen=True)
class Task:
    """One computation.

    Attributes:
        function: `function(xp, *arrays)` in each library's own namespace.
        arrays: NumPy's, given to all libraries.
        mode: forward; gradient (value and gradients of a scalar with regard to `wrt`); training
            (steps of Adam on `wrt`, which give the loss); program (dualflow, too, is given NumPy's
            arrays and NumPy, as a program that was written for NumPy and decorated).
        wrt: positions of the arrays that are derived by; all float ones unless said.
        own: by library (`dualflow`, `numpy`, `torch`, `jax`), the function as users of it write it.
        text: the same for numexpr, the arrays named a, b, c and so on.
        by_hand: name of a function of `by_hand.py`, compiled by Numba.
        without: libraries that take no part.
        moved: bytes that have to be moved; those of arrays and results unless said.
        flops: additions and multiplications, as far as they matter.
        tolerance: of the results, by the largest element of the reference.
    """

    function: Function
    arrays: tuple[np.ndarray, ...]
    mode: str = FORWARD
    wrt: tuple[int, ...] = ()
    own: Mapping[str, Function] = field(default_factory=dict)
    text: str = ""
    by_hand: str = ""
    without: tuple[str, ...] = ()
    moved: float = 0.0
    flops: float = 0.0
    tolerance: float = 2e-5

    def of(self, library: str) -> Function:
        """The function for one of dualflow, numpy, torch, jax."""
        return self.own.get(library, self.function)

    def derived_by(self) -> tuple[int, ...]:
        """Positions of the arrays that gradients are of."""
        every = (i for i, x in enumerate(self.arrays) if x.dtype.kind in "fc")
        return self.wrt or tuple(every)

    @property
    def dtype(self) -> np.dtype:
        """The float dtype that is computed in."""
        kinds = [x.dtype for x in self.arrays if x.dtype.kind in "fc"]
        return np.dtype(kinds[0]) if kinds else np.dtype(np.float64)


@dataclass(frozen=True)
class Workload:
    """A task at several sizes, small to large.

    Attributes:
        group: the file that it stands in.
        make: the task for a size.
    """

    name: str
    group: str
    sizes: tuple[int, ...]
    make: Callable[[int], Task]


WORKLOADS: list[Workload] = []


def workload(name: str, *sizes: int) -> Callable[[Callable[[int], Task]], Callable[[int], Task]]:
    """Add a function that makes tasks to the list."""

    def add(make: Callable[[int], Task]) -> Callable[[int], Task]:
        group = make.__module__.rpartition(".")[2]
        WORKLOADS.append(Workload(name, group, sizes, make))
        return make

    return add


def normal(*shape: int, dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    """Normally distributed numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def uniform(low: float, high: float, *shape: int, dtype: Any = np.float64,
            seed: int = 0) -> np.ndarray:  # fmt: skip
    """Uniformly distributed numbers."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(dtype)


def labels(count: int, classes: int) -> np.ndarray:
    """Numbers of classes."""
    return np.random.default_rng(1).integers(0, classes, count)
