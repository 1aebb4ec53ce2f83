"""Whether replays are faster: some calls run as they are instead, and both ways are timed.

Comes in: the times of calls, by the path that they begin with. Goes out: a verdict on each path.
Programs of few small arrays between calls of NumPy may cost more to start than Python does.
"""

from __future__ import annotations

from time import perf_counter
from typing import final

from .path import Block

#: After so many replays of a function, and then each `AGAIN`, the paths not yet tried are tried;
#: those of which `FEW` replays take at least `LONG` seconds are tried after `EARLY` replays.
AFTER, AGAIN, EARLY = 200, 1024, 8
FEW, LONG = 3, 5e-4
#: Calls that are timed of each way; a trial that does not come to them is left after `MOST` calls.
TURNS, MOST = 7, 100
#: Python must be so much faster: what times differ by anyway.
MARGIN = 0.92


def until(replays: int) -> int:
    """How many replays follow so many before the one after which paths are tried.

    >>> [until(n) for n in (0, 7, 8, 199, 200, 1031)]
    [7, 0, 191, 0, 831, 0]
    """
    at = replays % AGAIN
    return (EARLY if at < EARLY else AFTER if at < AFTER else AGAIN + EARLY) - at - 1


@final
class Trial:
    """The times of some calls of one function."""

    __slots__ = ("_calls", "_long", "_times")

    def __init__(self, replays: int) -> None:
        self._calls = 0
        self._long = LONG if replays == EARLY else 0.0
        self._times: dict[Block, tuple[list[float], list[float]]] = {}

    @property
    def over(self) -> bool:
        """Whether no call is to be timed any more."""
        return self._calls >= MOST

    def eagerly(self, block: Block) -> bool:
        """Whether the next call of the path that begins with `block` should run as it is."""
        replayed, eager = self._times.get(block, ((), ()))
        return len(replayed) >= FEW and len(eager) < len(replayed)

    def note(self, block: Block, eager: bool, start: float) -> None:
        """A call has run since `start`."""
        times = self._times.setdefault(block, ([], []))
        times[eager].append(perf_counter() - start)
        if not eager and times[False][-1] < self._long:
            self._calls = MOST
        if min(map(len, times)) >= TURNS:
            block.slow = min(times[1]) < MARGIN * min(times[0])
            del self._times[block]
            if not self._times:
                self._calls = MOST

    def count(self) -> None:
        """One more call, timed or not."""
        self._calls += 1
