"""Programs written with NumPy, unchanged but for the decorator: how they run, and how fast.

python -m benchmarks.numpy_programs         every program of tests/numpy_programs.py, two sizes
python -m benchmarks.numpy_programs --tiny  few calls of a few programs (the tests run this)
python -m benchmarks.numpy_programs --save  keep the table in benchmarks/results/

A ratio is the time of the decorated function through that of the undecorated one, each the least
of several calls that take turns. `small` are the tests' arguments; there the decorated function has
been called so often that paths which Python runs faster are known.
"""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.threads import one_thread

if __name__ == "__main__":
    one_thread()

import numpy as np

import dualflow as df
from benchmarks.keeping import machine

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

programs: Any = import_module("numpy_programs")
import_module("numpy_simulations")  # enters further programs
values = programs.values
Arguments = Callable[[int], tuple[Any, ...]]
#: arguments of a size that people compute with, where the tests' are too small to show anything
LARGE: dict[str, Arguments] = {
    "heat": lambda i: (values(i, 1000, 1000), 0.1, 5),
    "wave": lambda i: (values(i, 1000, 1000), values(i + 1, 1000, 1000), 0.01, 0.5),
    "laplace": lambda i: (values(3, 400, 400), 0.05),
    "burgers": lambda i: (1.0 + values(i, 100_001), 0.07, 0.01, 10),
    "gray_scott": lambda i: (
        1 - 0.1 * values(i, 400, 400), 0.2 * values(i + 9, 400, 400), 0.16, 0.08, 0.035, 0.065,
    ),
    "advection": lambda i: (100_000, 0.5 + 0.1 * i),
    "life": lambda i: (values(i, 500, 500) > 0.6,),
    "life_in_place": lambda i: ((values(i, 500, 500) > 0.5).astype(np.int8), 3),
    "black_scholes": lambda i: (
        90 + 20 * values(i, 200_000), 100.0, 0.5 + values(i, 200_000), 0.02 + 0.01 * i, 0.3,
    ),
    "n_body": lambda i: (values(i, 300, 3), values(i + 50, 300, 3), 1.0 + values(i + 70, 300),
                         0.01, 3),
    "mandelbrot": lambda i: (2 * values(i, 300, 300) - 1.5 + 1j * values(i + 3, 300, 300), 6),
    "mandelbrot_masked": lambda i: (
        2 * values(i, 300, 300) - 1.5 + 1j * values(i + 3, 300, 300), 5,
    ),
    "k_means": lambda i: (values(i, 20_000, 2), values(i + 1, 8, 2), 3),
    "k_means_masked": lambda i: (values(i, 20_000, 2), values(i + 1, 3, 2)),
    "sobel": lambda i: (values(i, 800, 800),),
    "blur": lambda i: ((255 * values(i, 400, 400, 3)).astype(np.uint8), 2),
    "grey_and_equalised": lambda i: (values(i, 500, 500, 3),),
    "floyd_warshall": lambda i: (values(i, 120, 120) + 0.1,),
    "page_rank": lambda i: ((values(i, 500, 500) > 0.5).astype(float), 0.85, 20),
    "fft_convolution": lambda i: (values(i, 100_000), values(i + 1, 999)),
    "monte_carlo_pi": lambda i: (i, 500_000),
    "paths": lambda i: (100.0 + i, 0.02, 0.2, 50, values(i, 5_000, 50) - 0.5),
    "least_squares": lambda i: (values(i, 50_000, 3), values(i + 5, 50_000)),
    "principal_components": lambda i: (values(i, 50_000, 3),),
    "conjugate_gradient": lambda i: (values(i, 300, 300) + 300 * np.eye(300), values(i, 300)),
    "lattice_boltzmann": lambda i: (1 + 0.01 * values(i, 9, 100, 100), 0.6, 3),
    "fdtd": lambda i: (values(i, 400, 400), values(i + 1, 400, 400), values(i + 2, 400, 400), 4),
    "logistic": lambda i: (values(i, 20_000, 3), (values(i + 1, 20_000) > 0.5).astype(float),
                           np.zeros(3), 0.1),
    "lu": lambda i: (values(i, 60, 60) + 60 * np.eye(60),),
    "spectral": lambda i: (values(i, 128, 128), 0.01, 0.001, 3),
    "equalise": lambda i: ((255 * values(i, 500, 500)).astype(np.uint8),),
    "tsne_affinity": lambda i: (values(i, 400, 3), 5.0),
    "moving_average": lambda i: (values(i, 500_000), 5),
    "attention": lambda i: (values(i, 500, 5), [1, 3]),
    "outliers": lambda i: (values(i, 300_000), 0.3),
    "label_peaks": lambda i: (values(i, 600, 600), 0.6),
    "group_means": lambda i: ((9 * values(i, 100_000)).astype(int), values(i + 1, 100_000)),
    "gram_schmidt": lambda i: (values(i, 2_000, 12),),
    "option_by_simulation": lambda i: (np.random.default_rng(i), 50_000, 100.0, 0.02, 0.3),
    "median_filter": lambda i: (values(i, 150, 150), 2),
    "schroedinger": lambda i: (values(i, 16_384) + 1j * 0, 0.05, 6),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What was measured of a program: how calls run at last, and seconds a call."""

    name: str
    size: str
    how: str
    undecorated: float
    decorated: float

    def __str__(self) -> str:
        ratio = self.decorated / self.undecorated
        return (
            f"{self.name:22}{self.size:7}{self.how:12}{1e6 * self.undecorated:11.1f}"
            f"{1e6 * self.decorated:11.1f}{ratio:8.2f}"
        )


def measure(program: Any, size: str, arguments: Arguments, calls: int, seconds: float) -> Row:
    """Call both ways in turns, until the calls or the seconds are used up."""
    function = program.function
    compiled = df.compile(function)
    compiled.warmup(*copy.deepcopy(arguments(1)))
    times: tuple[list[float], list[float]] = ([], [])
    end = perf_counter() + seconds
    while len(times[1]) < 5 or (len(times[1]) < calls and perf_counter() < end):
        for called, seen in zip((function, compiled), times, strict=True):
            given = copy.deepcopy(arguments(1))
            start = perf_counter()
            called(*given)
            seen.append(perf_counter() - start)
    how = compiled.report(*copy.deepcopy(arguments(1))).how
    late = times[1][len(times[1]) // 2 :]
    return Row(function.__name__, size, how, min(times[0]), min(late))


def table(tiny: bool) -> list[Row]:
    """All rows, printed as they are found."""
    rows = []
    print(f"{machine()}, one thread; microseconds a call")
    print(f"{'program':22}{'size':7}{'runs as':12}{'NumPy':>11}{'decorated':>11}{'ratio':>8}")
    for program in programs.PROGRAMS[:: 12 if tiny else 1]:
        sizes = [("small", program.arguments)]
        large = LARGE.get(program.function.__name__)
        if large is not None and not tiny:
            sizes.append(("large", large))
        for size, arguments in sizes:
            calls = 3 if tiny else 600 if size == "small" else 60
            rows.append(measure(program, size, arguments, calls, 0.0 if tiny else 3.0))
            print(rows[-1], flush=True)
    return rows


def main() -> int:
    """Print the table, and keep it if asked to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        rows = table("--tiny" in sys.argv)
    slower = [row for row in rows if row.decorated > 1.1 * row.undecorated]
    print(f"{len(rows) - len(slower)} of {len(rows)} are no slower than undecorated (10 %)")
    if "--save" in sys.argv:
        target = Path(__file__).parent / "results" / f"{date.today()}-numpy-programs.txt"
        lines = [f"{machine()}, one thread; microseconds a call, least of several", *map(str, rows)]
        target.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
