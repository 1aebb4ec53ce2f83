"""Which kernels are divided over threads, and how: the same parts whatever the number of threads.

Comes in: a Launch and its KernelText. Goes out: a `Division` of one axis of its grid, whose points
are independent of each other, so that bits do not depend on it; None where dividing does not pay.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from dualflow.base.records import record
from dualflow.ir.costs import byte_price, moved, of_launch
from dualflow.ir.kernel import Kernel, Store
from dualflow.ir.program import Launch
from dualflow.ir.text import KernelText

from . import native, threads
from .native import Argument
from .products import Product

#: A kernel is divided from this many ns on, in parts of about so many, into at most so many parts.
WORTH, PART, MOST_PARTS = 8_000, 2_000, 128
#: A kernel of fewer ns wakes no threads that sleep, or seldom: that takes 20 us.
LIGHT = 60_000
#: The same for Python threads, which take 50 to 100 us to start.
WORTH_PYTHON = 400_000
#: Points of an axis that are not divided: whole vectors of lanes, whole tiles of other axes.
LANES, TILE = 64, 16


@record
class Division:
    """An axis of the grid in parts.

    Attributes:
        lo: the number of its `lo` among the integers of the launch; its `hi` follows.
        points: points of the axis in a part, but for the last.
        parts: how many there are.
        threads: how many threads may work on it at most.
        cost: an estimate for the whole kernel on one thread, ns.
    """

    lo: int
    points: int
    parts: int
    threads: int
    cost: float


def divide(launch: Launch) -> Division | None:
    """How `launch` is divided; None if it runs on one thread."""
    if threads.most() < 2:
        return None
    kernel = launch.kernel
    names = kernel.integers()
    numbers = dict(zip(names, launch.integers, strict=True))
    cost = of_launch(launch, byte_price(moved(launch)))  # where its bytes come from decides
    wanted = min(int(cost // PART), MOST_PARTS)
    if cost < WORTH or wanted < 2:
        return None
    axis = _axis(kernel, numbers, wanted)
    if axis is None:
        return None
    length = numbers[f"hi_{axis}"]
    points = -(-length // wanted)
    grain = LANES if axis == kernel.lanes else TILE
    if points > grain or axis == kernel.lanes:
        points = -(-points // grain) * grain
    parts = -(-length // points)
    if parts < 2:
        return None
    return Division(names.index(f"lo_{axis}"), points, parts, min(parts, threads.most()), cost)


def divide_product(found: Product) -> Division | None:
    """The same for a product, whose units do not depend on each other."""
    most, units = threads.most(), found.integers[1]
    wanted = min(int(found.cost // PART), MOST_PARTS, units)
    if most < 2 or found.cost < WORTH or wanted < 2:
        return None
    points = -(-units // wanted)
    parts = -(-units // points)
    return Division(0, points, parts, min(parts, most), found.cost)


def _axis(kernel: Kernel, numbers: dict[str, int], wanted: int) -> str | None:
    """The outermost axis of independent points with enough of them, else the longest."""
    stores = [kernel.access(sink.access) for sink in kernel.sinks if isinstance(sink, Store)]
    free = [
        axis.name
        for n, axis in enumerate(kernel.axes)
        if axis.role == "grid" and all(access.strides[n] != 0 for access in stores)
    ]
    enough = [axis for axis in free if numbers[f"hi_{axis}"] >= (
        wanted * LANES if axis == kernel.lanes else wanted)]  # fmt: skip
    longest = sorted(free, key=lambda axis: -numbers[f"hi_{axis}"])
    return next(iter([*enough, *longest]), None)


def native_step(
    division: Division, kernel: int, text: KernelText, arguments: Sequence[Argument], scratch: int
) -> tuple[int, list[Argument]] | None:
    """The divided kernel as a step of the dispatcher, with `scratch` bytes for each thread; None
    without a native pool."""
    lo = len(arguments) - text.integers + division.lo
    lent = len(text.pointers), len(text.scratch)
    return pooled_step(division, kernel, arguments, lo, scratch, *lent)


def pooled_step(
    division: Division, function: int, arguments: Sequence[Argument], lo: int, scratch: int,
    first: int, lent: int,
) -> tuple[int, list[Argument]] | None:  # fmt: skip
    """A function whose range begins at its word `lo`, divided over the native pool; None without
    one. Each thread has `scratch` bytes, to which `lent` words from the `first` on point."""
    step = threads.step()
    if step is None:
        return None
    numbers = (function, len(arguments), lo, division.points, division.parts, division.threads,
               scratch, first, lent, division.cost < LIGHT)  # fmt: skip
    return step, [*((native.NUMBER, int(number)) for number in numbers), *arguments]


class PythonThreads:
    """A divided kernel run by Python threads, which let go of the interpreter meanwhile."""

    def __init__(
        self, division: Division, kernel: int, text: KernelText, arguments: Sequence[Argument],
        scratch: int,
    ) -> None:  # fmt: skip
        lo = len(arguments) - text.integers + division.lo
        first, end = arguments[lo][1], arguments[lo + 1][1]
        steps: list[list[tuple[int, list[Argument]]]] = [[] for _ in range(division.threads)]
        for part in range(division.parts):
            thread = part % division.threads
            words = list(arguments)
            for n in range(len(text.pointers), len(text.pointers) + len(text.scratch)):
                words[n] = (words[n][0], words[n][1] + thread * scratch)
            begin = first + part * division.points
            words[lo] = (native.NUMBER, begin)
            words[lo + 1] = (native.NUMBER, min(begin + division.points, end))
            steps[thread].append((kernel, words))
        self._calls = [native.through_ctypes(native.encode(each), release=True) for each in steps]

    def run(self, *memory: np.ndarray) -> int:
        """Run all parts on the memory of a call; the status of one that set one, or 0."""
        found: list[int] = []
        budget = threads.budget()
        shares = [self._calls[n::budget] for n in range(min(budget, len(self._calls)))]

        def work(share: list[native.Binding]) -> None:
            found.extend([call(*memory) for call in share])

        others = [threading.Thread(target=work, args=(share,)) for share in shares[1:]]
        for thread in others:
            thread.start()
        work(shares[0])
        for thread in others:
            thread.join()
        return max(found)
