"""Whether a compiled part is ever slower than eager mode: workloads, and random programs.

python -m benchmarks.segments              all of it; names each that is slower by more than noise
python -m benchmarks.segments --short      what runs in CI: few random programs
python -m benchmarks.segments --count 300  so many random programs

A part is what one program computes. Each is timed beside itself in eager mode, both taking turns in
one process; what seems slower is measured again, since others on the machine slow samples.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from benchmarks.threads import one_thread

if __name__ == "__main__":
    one_thread()

import numpy as np

import dualflow as df
from benchmarks import libraries, measuring
from benchmarks.workloads import WORKLOADS

#: eager's time through the compiled part's, below which the part counts as slower
NOISE = 0.9
TRIES = 4
SECONDS = 0.02
SIDES = (8, 96, 600)
LONGEST = 10
COUNT, FEW = 60, 8

Values = list[Any]
Step = Callable[[Values], Any]


class Draw(NamedTuple):
    """Random choices for a step that follows `known` values."""

    rng: np.random.Generator
    known: int

    def value(self) -> int:
        """The number of a value, a late one rather than an early one."""
        return max(int(self.rng.integers(self.known)), int(self.rng.integers(self.known)))

    def axis(self) -> int:
        return int(self.rng.integers(2))

    def word(self, *words: str) -> str:
        return str(self.rng.choice(words))


def mapped(draw: Draw) -> Step:
    function = getattr(df, draw.word("exp", "tanh", "abs", "square", "negative", "sin", "floor"))
    i = draw.value()
    return lambda v: function(v[i] * 0.25)


def joined(draw: Draw) -> Step:
    function = getattr(df, draw.word("add", "subtract", "multiply", "maximum", "minimum"))
    i, j = draw.value(), draw.value()
    return lambda v: function(v[i], v[j])


def less_a_fold(draw: Draw) -> Step:
    function = getattr(df, draw.word("sum", "max", "mean", "min", "var"))
    i, axis = draw.value(), draw.axis()
    return lambda v: v[i] - function(v[i], axis=axis, keepdims=True)


def less_the_mean(draw: Draw) -> Step:
    i, j = draw.value(), draw.value()
    return lambda v: v[i] - v[j].mean()


def turned(draw: Draw) -> Step:
    i, j = draw.value(), draw.value()
    return lambda v: v[i].T + v[j]


def rolled(draw: Draw) -> Step:
    i, axis, far = draw.value(), draw.axis(), int(draw.rng.integers(1, 5))
    return lambda v: df.roll(v[i], far, axis)


def pieced(draw: Draw) -> Step:
    i, j, axis = draw.value(), draw.value(), draw.axis()
    if axis:
        return lambda v: df.concat([v[j][:, 3:], v[i][:, :3]], axis=1)
    return lambda v: df.concat([v[j][3:], v[i][:3]], axis=0)


def in_many_pieces(draw: Draw) -> Step:
    i, j, axis = draw.value(), draw.value(), draw.axis()
    if axis:
        return lambda v: df.concat([*(v[i][:, k : k + 1] for k in range(7)), v[j][:, 7:]], axis=1)
    return lambda v: df.concat([*(v[i][k : k + 1] for k in range(7)), v[j][7:]], axis=0)


def stacked(draw: Draw) -> Step:
    i, j, axis = draw.value(), draw.value(), draw.axis()
    return lambda v: df.stack([v[i] * k - v[j] for k in range(6)], axis=2 * axis).max(axis=2 * axis)


def chosen(draw: Draw) -> Step:
    i, j = draw.value(), draw.value()
    return lambda v: df.where(v[i] > 0, v[i], v[j])


def neighbours(draw: Draw) -> Step:
    i = draw.value()
    return lambda v: df.pad(v[i][1:] - v[i][:-1], ((1, 0), (0, 0)))


def multiplied(draw: Draw) -> Step:
    i, j = draw.value(), draw.value()
    return lambda v: (v[i] @ v[j]) * 0.01


def running(draw: Draw) -> Step:
    i, axis = draw.value(), draw.axis()
    return lambda v: df.cumulative_sum(v[i], axis=axis) * 0.01


def sorted_(draw: Draw) -> Step:
    i, axis = draw.value(), draw.axis()
    return lambda v: df.sort(v[i], axis=axis)


MAKERS = (
    mapped, mapped, joined, joined, joined, less_a_fold, less_a_fold, less_the_mean, turned, rolled,
    pieced, in_many_pieces, stacked, chosen, neighbours, multiplied, running, sorted_,
)  # fmt: skip


def program(seed: int) -> Callable[..., Any]:
    """A random function of two square matrices, which gives its last value and a fold of it."""
    rng = np.random.default_rng(seed)
    steps = []
    for n in range(int(rng.integers(2, LONGEST))):
        maker = MAKERS[int(rng.integers(len(MAKERS)))]
        steps.append((maker.__name__, maker(Draw(rng, 2 + n))))

    def run(x: Any, y: Any) -> Any:
        values = [x, y]
        for _, step in steps:
            values.append(step(values))
        return values[-1], values[-2].sum(axis=0)

    run.__name__ = " ".join(name for name, _ in steps)
    return run


class Part(NamedTuple):
    """What is compared."""

    name: str
    eager: Callable[[], Any]
    compiled: Callable[[], Any]


def random_parts(count: int) -> Iterator[Part]:
    """Random programs, each at one of the sizes."""
    for seed in range(count):
        side, run = SIDES[seed % len(SIDES)], program(seed)
        rng = np.random.default_rng(seed)
        given = [df.asarray(rng.standard_normal((side, side), np.float32)) for _ in range(2)]
        fast = df.compile(run, wait=True)
        name = f"random program {seed}, {side} x {side}: {run.__name__}"
        yield Part(name, partial(run, *given), partial(fast, *given))


def workload_parts() -> Iterator[Part]:
    """The workloads at small and middle sizes."""
    for each in WORKLOADS:
        for size in each.sizes[:2]:
            task = each.make(size)
            eager = "dualflow eager" if "dualflow eager" in libraries.available(task) else "numpy"
            calls = [libraries.call_of(name, task) for name in (eager, "dualflow")]
            yield Part(f"{each.name}, {size}", *calls)


def ratio_of(part: Part) -> float:
    """Eager's time through the compiled part's: the best of several measurements, in processor
    time, of which the first that is no slower is enough."""
    for _ in range(4):  # until it is replayed by native code
        part.eager()
        part.compiled()
    best = 0.0
    for attempt in range(TRIES):
        seconds = SECONDS * 2**attempt
        found = measuring.timed([part.eager, part.compiled], seconds, time.process_time)
        eager, compiled = map(min, found)
        best = max(best, eager / compiled)
        if best >= 1:
            break
    return best


def slower(parts: Iterable[Part]) -> tuple[list[str], list[float]]:
    """A line for each part that is slower than eager mode, and the ratios of all."""
    told, ratios = [], []
    for part in parts:
        ratios.append(ratio_of(part))
        if ratios[-1] < NOISE:
            told.append(f"{ratios[-1]:.2f} times eager's speed: {part.name}")
            print(told[-1], flush=True)
    return told, ratios


def main() -> int:
    """Compare, and tell what is slower; 1 if something is."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.segments")
    made.add_argument("--count", type=int, default=COUNT, help="random programs")
    made.add_argument("--short", action="store_true", help="few random programs alone")
    options = made.parse_args()
    libraries.CHOSEN.clear()
    count = FEW if options.short else options.count
    told, ratios = slower(chain(random_parts(count), () if options.short else workload_parts()))
    middle = float(np.exp(np.mean(np.log(ratios))))
    print(f"{len(ratios)} parts, {middle:.2f} times eager's speed in the mean; {len(told)} slower")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
