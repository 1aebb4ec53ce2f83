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
#: The demonstration is a user's program that happens to lie in the package.
_PROGRAM = os.path.join(_PACKAGE, "inspect", "demonstration.py")


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

    Where no frame lies outside, the outermost frame is given.
    """
    here = frame or sys._getframe(1)
    last = here
    while here is not None:
        file = here.f_code.co_filename
        if not file.startswith((_PACKAGE, "<frozen ")) or file == _PROGRAM:
            return SourceLine(here.f_code.co_filename, here.f_lineno, here.f_code.co_name)
        last, here = here, here.f_back
    return SourceLine(last.f_code.co_filename, last.f_lineno, last.f_code.co_name)
