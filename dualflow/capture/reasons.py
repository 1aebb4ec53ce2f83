"""Why calls of a compiled function are not replayed."""

from __future__ import annotations

from dualflow.base.source import SourceLine

from .trials import Pieces


class Reason:
    """Why a call cannot be replayed, and at which line; where that is a library's, also at which
    line of the user's own it was reached; and how long such calls take."""

    def __init__(self, why: str, line: SourceLine | None, own: SourceLine | None = None) -> None:
        self.why, self.line, self.own = why, line, own
        self.pieces = Pieces()

    def __str__(self) -> str:
        slower = "; co-execution was measured to be slower than Python" if self.pieces.slow else ""
        if self.line is None:
            return self.why + slower
        reached = f"; reached from {self.own}" if self.own is not None else ""
        return f"{self.why} ({self.line}{reached}){slower}"


#: why paths are left to Python that replay well
SLOWER = Reason("replays of it were measured to be slower than Python", None)
