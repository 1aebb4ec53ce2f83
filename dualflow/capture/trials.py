"""Whether replays and co-executions are faster: some calls run as they are instead, and both ways
are timed.

Comes in: the times of calls, by the path that they begin with, or by the reason why they cannot be
replayed. Goes out: a verdict on each. Programs of few small arrays between calls of NumPy may cost
more to start than Python does.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from .blocks import Block

#: After so many replays of a function, and then each `AGAIN`, the paths not yet tried are tried;
#: those of which `FEW` replays take at least `LONG` seconds are tried after `EARLY` replays.
AFTER, AGAIN, EARLY = 200, 1024, 8
FEW, LONG = 3, 5e-4
#: Calls that are timed of each way; a trial that does not come to them is left after `MOST` calls.
TURNS, MOST = 7, 100
#: Replays by Python after which calls become native as a whole: about what that costs.
READY = 8
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


#: An eager call that takes so many times as long ends a trial of co-executions.
FAR = 3.0


@final
class Pieces:
    """The times of co-executed calls that one reason keeps from replay, and of eager ones.

    Attributes:
        slow: whether Python was measured to be faster; None while it was not.
    """

    __slots__ = ("_calls", "_start", "_times", "slow")

    def __init__(self) -> None:
        self.slow: bool | None = None
        self._calls, self._start = 0, 0.0
        self._times: tuple[list[float], list[float]] = ([], [])

    def eagerly(self) -> bool:
        """Whether the next call should run as it is: always, or to be timed."""
        self._calls += 1
        if self.slow and self._calls >= AGAIN:  # the machine may have been busy with other things
            self.slow, self._calls, self._times = None, AFTER, ([], [])
        if self.slow is not None:
            return self.slow
        if self._calls <= AFTER:
            return False
        pieces, eager = self._times
        self._start = perf_counter()
        return len(pieces) >= FEW and len(eager) < len(pieces)

    def note(self, eager: bool, waited: bool) -> None:
        """The call has run; `waited`: a program was not there yet, so its time says nothing."""
        if self.slow is not None or self._calls <= AFTER or waited:
            return
        took = perf_counter() - self._start
        self._times[eager].append(took)
        if eager and took > FAR * min(self._times[False]):
            self.slow = False
        elif min(map(len, self._times)) >= TURNS:
            self.slow = min(self._times[True]) < MARGIN * min(self._times[False])
            self._calls = 0
