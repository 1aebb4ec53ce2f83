"""Steps that can run in several ways: a few are measured, the fastest is taken and kept on disk.

While a template's variants are compiled beside, and until each was measured once, in one of the
calls that come, libraries and kernels serve. What may be spent on measuring, in seconds of a
process, is the setting `tuning`; with 0 the rule of the form decides, always alike.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from weakref import WeakSet

from dualflow.base import config
from dualflow.base.digest import hashed
from dualflow.ir.form import Form
from dualflow.ir.text import Variant
from dualflow.runtime import cache as disk
from dualflow.runtime.layout import scalar_word

from . import images
from .graphs import seconds_of
from .libraries import capability, cupy
from .narrow import words
from .places import Places
from .steps import Bound, Work

#: The way that is no template: the steps themselves.
STEPS = -1
#: Launches that are timed together.
TIMES = 10

_spent = 0.0
_unsettled: WeakSet[Tuned] = WeakSet()
#: what was measured in this process, by the names under which it is kept on disk
_choices: dict[str, int] = {}


class Tuned:
    """A form and the steps that it stands for.

    Attributes:
        way: the variant of the form that serves, or `STEPS`.
        settled: whether it stays so.
        asked: whether the next run may measure something.
    """

    may_fail = False

    def __init__(
        self, form: Form, steps: Sequence[Any], places: Places, index: int, measures: bool
    ) -> None:
        self.form, self._steps, self._index, self._places = form, list(steps), index, places
        scalars = zip(form.scalars, form.text.scalars, strict=True)
        numbers = [scalar_word(value, dtype) for value, dtype in scalars]
        numbers += form.integers
        self.variants = form.variants([True] * len(form.operands))
        self._ways = [
            Bound(form.text, form.operands, numbers, self._choice(n), places, index, form.copies)
            for n in range(len(self.variants))
        ]
        self.bases = set().union(*(step.bases for step in (*self._steps, *self._ways)))
        self.seconds: dict[int, float] = {}
        self._builds: dict[int, images.Build] = {}
        kept = self._kept()
        self.asked = False
        self.settled = kept is not None or not measures or config.active().tuning <= 0
        self.way = 0 if form.alone or form.preferred else STEPS
        if kept is not None:
            self.way = kept
        elif not self.settled:
            self.way = 0 if form.alone else STEPS
            _unsettled.add(self)

    def _choice(self, number: int) -> Any:
        """How the variant of that number is chosen for a launch."""

        def choose(aligned: Sequence[bool]) -> tuple[Variant, int]:
            chosen = self.form.variants(aligned)[number]
            return chosen, self.form.grid(chosen)

        return choose

    @property
    def serving(self) -> list[Any]:
        """The steps that run."""
        return self._steps if self.way == STEPS else [self._ways[self.way]]

    @property
    def launches(self) -> int:
        """How many there are in a run."""
        return sum(step.launches for step in self.serving)

    @property
    def is_plain(self) -> bool:
        """Whether a CUDA graph can hold it, and it stays as it is."""
        return self.settled and all(step.is_plain for step in self.serving)

    def start(self) -> list[images.Build]:
        """Begin to compile; the builds that have to be there before it can run."""
        needed = [build for step in self.serving for build in step.start()]
        if not self.settled:
            self._builds = {n: build for n, way in enumerate(self._ways) for build in way.start()}
        return needed

    def load(self) -> None:
        """Load the machine code of what serves."""
        for step in self.serving:
            step.load()

    def launch(self, work: Work) -> None:
        """Run it; where it was asked for, one more way is measured first."""
        if self.asked and not self.settled:
            self.asked = False
            self._measure_next(work)
        for step in self.serving:
            step.launch(work)

    # Measuring -----------------------------------------------------------------------------------

    def _measure_next(self, work: Work) -> None:
        """Measure a way that is compiled by now. The memory of the run is left as it was, but for
        what the steps themselves overwrite, which then run."""
        global _spent
        if _spent >= config.active().tuning:
            self._settle()
            return
        begun = time.perf_counter()
        wanted = [n for n in self._open() if n == STEPS or self._builds[n].poll()]
        if wanted:
            self._measure(wanted[0], work, cupy().cuda.get_current_stream())
        _spent += time.perf_counter() - begun
        if not self._open():
            self._settle()

    def _open(self) -> list[int]:
        """The ways that were not measured and may still be; the steps themselves come first."""
        ways = [] if self.form.alone else [STEPS]
        ways += [n for n, build in self._builds.items() if not build.failure]
        return [n for n in ways if n not in self.seconds]

    def _measure(self, number: int, work: Work, stream: Any) -> None:
        steps = self._steps if number == STEPS else [self._ways[number]]
        operands = [self.form.operands[n] for n in self.form.replaced]
        memory = [words(self._places.array(operand, work.arrays)) for operand in operands]
        saved = [array.copy() for array in memory]
        try:
            for step in steps:
                step.launch(work)  # loads what it needs
            if all(step.is_plain for step in steps):
                self.seconds[number] = seconds_of(
                    lambda on: _launch(steps, on), work, TIMES, stream
                )
            else:
                self.seconds[number] = self._seconds_behind(steps, work, stream)
        except Exception:  # whatever a GPU finds wrong with a variant: it is not taken
            if number == STEPS:
                raise
            self.seconds[number] = float("inf")
        for array, before in zip(memory, saved, strict=True):
            array[...] = before

    def _seconds_behind(self, steps: Sequence[Any], work: Work, stream: Any) -> float:
        """The time of steps that no graph holds, as Python launches them."""
        start, end = (cupy().cuda.Event() for _ in range(2))
        start.record(stream)
        for _ in range(TIMES):
            for step in steps:
                step.launch(work)
        end.record(stream)
        end.synchronize()
        return float(cupy().cuda.get_elapsed_time(start, end)) * 1e-3 / TIMES

    def adopt(self) -> bool:
        """Whether it is settled, perhaps because one like it was measured."""
        way = None if self.settled else _choices.get(self._name())
        if way is not None:
            self.way, self.settled = way, True
            _unsettled.discard(self)
        return self.settled

    def _settle(self) -> None:
        """Take the fastest of what was measured; keep the choice if all was."""
        if self.seconds:
            self.way = min(self.seconds, key=self.seconds.__getitem__)
        self.settled = True
        _unsettled.discard(self)
        if not self._open():
            _choices[self._name()] = self.way
            disk.store(self._name(), str(self.way).encode(), "", disk.TUNED)

    # On disk -------------------------------------------------------------------------------------

    def _name(self) -> str:
        """The name of the choice: of all that decides how fast the ways are."""
        form, target = self.form, capability(self._index)
        texts = [images.key(form.text, variant, target) for variant in self.variants]
        parts = ("tuned", form.what, texts, form.integers, *_device(self._index),
                 [type(step).__name__ for step in self._steps])  # fmt: skip
        return hashed(repr(parts).encode()).hexdigest()

    def _kept(self) -> int | None:
        found = disk.fetch(self._name(), disk.TUNED)
        if found is None:
            return None
        way = int(found)
        least = 0 if self.form.alone else STEPS
        return way if least <= way < len(self.variants) else None

    def line(self) -> str:
        """For people: what runs these steps, and why."""
        numbers = " and ".join(map(str, self.form.covers))
        names: Mapping[int, str] = {STEPS: "the library and kernels", **dict(enumerate(
            f"a template in tiles of {' x '.join(map(str, v.constexprs[:3]))}, {v.warps} warps"
            for v in self.variants))}  # fmt: skip
        why = "by rule"
        if self.seconds:
            why = ", ".join(
                f"{names[n]}: {s * 1e6:.1f} us" for n, s in sorted(self.seconds.items())
            )
        elif self.settled and config.active().tuning > 0:
            why = "as measured before"
        state = "" if self.settled else "; being measured"
        return f"{numbers}: {self.form.what}: run by {names[self.way]} ({why}{state})"


def _launch(steps: Sequence[Any], work: Work) -> None:
    for step in steps:
        step.launch(work)


@cache
def _device(index: int) -> tuple[str, int]:
    """The name of a GPU, and its driver's version."""
    runtime = cupy().cuda.runtime
    found = runtime.getDeviceProperties(index)["name"]
    return (found.decode() if isinstance(found, bytes) else str(found),
            int(runtime.driverGetVersion()))  # fmt: skip


def unsettled() -> int:
    """How many forms of programs in use will still be measured (benchmarks)."""
    return len(_unsettled)


def forget() -> None:
    """Nothing was spent yet, as in a new process (tests and benchmarks)."""
    global _spent
    _spent = 0.0
    _unsettled.clear()
    _choices.clear()
    _device.cache_clear()
