"""Programs written for NumPy, decorated and otherwise unchanged, beside themselves undecorated."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..task import PROGRAM, Task, workload

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

written: Any = import_module("numpy_programs")
import_module("numpy_simulations")  # enters further programs
values = written.values
_FUNCTIONS = {each.function.__name__: each.function for each in written.PROGRAMS}


def program(name: str, sizes: tuple[int, ...], arguments: Callable[[int], tuple[Any, ...]]) -> None:
    """A workload of the program called `name` in the tests; numbers are fixed, arrays given."""
    function = _FUNCTIONS[name]

    def make(n: int) -> Task:
        given = arguments(n)
        places = [i for i, x in enumerate(given) if isinstance(x, np.ndarray)]

        def run(xp: Any, *arrays: Any) -> Any:
            full = list(given)
            for i, x in zip(places, arrays, strict=True):
                full[i] = x.copy()  # some programs write there
            return function(*full)

        arrays = tuple(given[i] for i in places)
        return Task(run, arrays, PROGRAM, without=("torch", "torch.compile", "jax.jit"))

    make.__module__ = __name__
    workload(f"program: {name}", *sizes)(make)


SIDES = (12, 100, 600)
program("heat", SIDES, lambda n: (values(1, n, n), 0.1, 5))
program("wave", SIDES, lambda n: (values(1, n, n), values(2, n, n), 0.01, 0.5))
program("laplace", (9, 40, 160), lambda n: (values(3, n, n), 0.05))
program("burgers", (64, 4096, 262144), lambda n: (
    1.0 + values(1, n), 0.07, 0.1 * (6.28 / n) ** 2, 10))  # fmt: skip
program("gray_scott", SIDES, lambda n: (
    1 - 0.1 * values(1, n, n), 0.2 * values(10, n, n), 0.16, 0.08, 0.035, 0.065))  # fmt: skip
program("life_in_place", SIDES, lambda n: ((values(1, n, n) > 0.5).astype(np.int8), 3))
program("black_scholes", (64, 4096, 262144), lambda n: (
    90 + 20 * values(1, n), 100.0, 0.5 + values(1, n), 0.03, 0.3))  # fmt: skip
program("n_body", (8, 64, 256), lambda n: (
    values(1, n, 3), values(51, n, 3), 1.0 + values(71, n), 0.01, 3))  # fmt: skip
program("k_means", (64, 1024, 16384), lambda n: (values(1, n, 2), values(2, 8, 2), 3))
program("sobel", SIDES, lambda n: (values(1, n, n),))
program("floyd_warshall", (8, 32, 128), lambda n: (values(1, n, n) + 0.1,))
program("page_rank", (8, 64, 512), lambda n: ((values(1, n, n) > 0.5).astype(float), 0.85, 20))
program("lattice_boltzmann", (8, 32, 128), lambda n: (1 + 0.01 * values(1, 9, n, n), 0.6, 3))
program("fdtd", SIDES, lambda n: (values(1, n, n), values(2, n, n), values(3, n, n), 4))
program("logistic", (64, 1024, 16384), lambda n: (
    values(1, n, 3), (values(2, n) > 0.5).astype(float), np.zeros(3), 0.1))  # fmt: skip
program("tsne_affinity", (16, 128, 512), lambda n: (values(1, n, 3), 5.0))
program("moving_average", (64, 4096, 262144), lambda n: (values(1, n), 5))
