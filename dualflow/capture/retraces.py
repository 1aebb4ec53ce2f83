"""What makes a function be recorded again and again, told once.

Comes in: the events of each new recording of a function. Goes out: one line in the log `dualflow`
(a warning would pass the filters of the user's, who may have made warnings errors), and the line
that `explain` shows: the first guard in which the last two recordings differ, and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

from dualflow.base.telling import warn

#: So many recordings of a function for one cause are told.
MANY = 8


@final
class Retraces:
    """The recordings of one function that differ from others at one fork of its tree alone.

    Attributes:
        told: what was said; None before.
    """

    __slots__ = ("_before", "told")

    def __init__(self) -> None:
        self._before: list[str] = []
        self.told: str | None = None

    def note(self, name: str, events: Iterable[tuple[Any, ...]], alike: int, limit: int) -> None:
        """One of `alike` recordings at one place; values make no more than `limit`."""
        if self.told is not None or alike < MANY - 1:
            return
        now = [str(text) for event in events if (text := _asked(event)) is not None]
        if alike >= MANY:
            self.told = _cause(name, self._before, now, alike, limit)
            warn("%s", self.told)
        self._before = now


def _asked(event: tuple[Any, ...]) -> str | None:
    """What a guard asks, as a text."""
    if event[0] == "guard":
        return str(event[1])
    if event[0] == "tensor":
        _, node, (shape, dtype, strides), *_ = event
        return f"{node}: shape {shape}, dtype {dtype}, strides {strides}"
    return None


def _cause(name: str, before: list[str], now: list[str], alike: int, limit: int) -> str:
    differing = next(((a, b) for a, b in zip(before, now, strict=False) if a != b), None)
    text = f"{name} was recorded {alike} times"
    if differing is None:
        return f"{text}, as its branches go another way each time"
    last, this = differing
    if ": shape " in this and ": shape " in last:
        remedy = "call it with few different shapes: pad the last batch, say"
    else:
        remedy = "hand what changes over as a tensor, or as a number that no branch depends on"
        remedy += f" (after {limit} recordings calls run in Python, with fused operations)"
    return f"{text}: last for {last}, now for {this}; {remedy}"
