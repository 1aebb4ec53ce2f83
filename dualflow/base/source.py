"""Where in the user's file something happens: the innermost frame outside the package.

Comes in: the running frames. Goes out: a `SourceLine` (file, line number, function).
"""

from __future__ import annotations

import linecache
import os
import sys
from dataclasses import dataclass
from types import FrameType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of somebody's file."""

    file: str
    number: int
    function: str

    @property
    def text(self) -> str:
        """The line itself, stripped; empty where the file cannot be read."""
        return linecache.getline(self.file, self.number).strip()

    def __str__(self) -> str:
        text = self.text
        return f"{self.file}:{self.number} in {self.function}" + (f": {text}" if text else "")


def user_line(frame: FrameType | None = None) -> SourceLine | None:
    """The innermost line outside dualflow that led to `frame` (default: to the caller).

    Where no frame lies outside (dualflow's own demonstration), the outermost frame is given.
    """
    here = frame or sys._getframe(1)
    last = here
    while here is not None:
        if not here.f_code.co_filename.startswith(_PACKAGE):
            return SourceLine(here.f_code.co_filename, here.f_lineno, here.f_code.co_name)
        last, here = here, here.f_back
    return SourceLine(last.f_code.co_filename, last.f_lineno, last.f_code.co_name)
