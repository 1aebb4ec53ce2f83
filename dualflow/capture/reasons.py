"""Why calls of a compiled function are not replayed."""

from __future__ import annotations

from dualflow.base.source import SourceLine

from .halves import Halves
from .trials import Pieces


class Reason:
    """Why a call cannot be replayed, and at which line; where that is a library's, also at which
    line of the user's own it was reached; how long such calls take.

    Attributes:
        at: the line of the compiled function itself, if it was known.
        halves: once it is known whether what stands before or after that line can be replayed.
    """

    def __init__(
        self, why: str, line: SourceLine | None, own: SourceLine | None = None,
        at: int | None = None,
    ) -> None:  # fmt: skip
        self.why, self.line, self.own, self.at = why, line, own, at
        self.pieces = Pieces()
        self.halves: Halves | None = None

    def __str__(self) -> str:
        slower = "; co-execution was measured to be slower than Python" if self.pieces.slow else ""
        if self.halves is not None and self.halves.chosen:
            slower = "; what stands before it, or after it, is compiled by itself"
        if self.line is None:
            return self.why + slower
        reached = f"; reached from {self.own}" if self.own is not None else ""
        return f"{self.why} ({self.line}{reached}){slower}"


#: why paths are left to Python that replay well
SLOWER = Reason("replays of it were measured to be slower than Python", None)
