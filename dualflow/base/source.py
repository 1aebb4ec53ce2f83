"""Where in the user's file something happens: the innermost frame outside the package.

Comes in: the running frames. Goes out: a `SourceLine` (file, line number, function).
"""

from __future__ import annotations

import linecache
import os
import sys
from types import CodeType, FrameType
from typing import Any, NamedTuple, TypeVar

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
#: where the public functions on tensors are
_FUNCTIONS = tuple(
    os.path.join(_PACKAGE, "ops", *place)
    for place in (("functions", ""), ("random", ""), ("composites.py",), ("draws.py",))
)
#: The demonstration is a user's program that happens to lie in the package.
_PROGRAM = os.path.join(_PACKAGE, "inspect", "demonstration.py")
#: where Python's own modules lie, and those that were installed
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = "-packages" + os.sep
_MOST = 20_000
#: What the name of a file holds whose frames `warnings` and `logging` count for no callers.
_UNCOUNTED = " (as importlib._bootstrap)"
F = TypeVar("F")


class SourceLine(NamedTuple):
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
    here: Any = frame or sys._getframe(1)
    inside = _inside.get
    while True:
        code = here.f_code
        known = inside(code.co_filename)  # each operation comes here: no call for each frame
        if not (inside_package(code.co_filename) if known is None else known):
            break
        back = here.f_back
        if back is None:
            break
        here = back
    place = id(code), here.f_lasti
    known_line = _places.get(place)
    if known_line is None:  # the number of a line is searched for in a table of the code
        key = code.co_filename, here.f_lineno, code.co_name
        line = _lines.get(key) or _keep(_lines, key, SourceLine(*key))
        known_line = _keep(_places, place, (line, code))
    return known_line[0]


def called(otherwise: str = "an operation") -> str:
    """The name of the public function that the innermost line outside dualflow called, for errors
    that are found deeper; `otherwise` where there is none (operators, gradients)."""
    here = sys._getframe(1)
    while here is not None and inside_package(here.f_code.co_filename):
        name = here.f_code.co_name
        if here.f_code.co_filename.startswith(_FUNCTIONS) and not name.startswith(("_", "<")):
            otherwise = name
        here = here.f_back
    return otherwise


def own_line(frame: FrameType | None = None) -> SourceLine | None:
    """The innermost line outside dualflow, installed packages and Python's own library; None
    where there is none."""
    here = frame or sys._getframe(1)
    while here is not None:
        if is_own(here.f_code.co_filename):
            return user_line(here)
        here = here.f_back
    return None


def uncounted(function: F) -> F:
    """`function`, whose frames, and those of functions in it, are passed over where Python counts
    callers (`stacklevel`), as those of its import system are: so a warning told by a compiled
    function is about the line that it is about undecorated."""
    code: CodeType = function.__code__  # type: ignore[attr-defined]
    function.__code__ = _renamed(code, code.co_filename + _UNCOUNTED)  # type: ignore[attr-defined]
    return function


def _renamed(code: CodeType, file: str) -> CodeType:
    inner = tuple(_renamed(k, file) if type(k) is CodeType else k for k in code.co_consts)
    return code.replace(co_filename=file, co_consts=inner)


def line_in(code: CodeType | None) -> int | None:
    """The line of the innermost call of `code` that is running; None if there is none."""
    here = sys._getframe(1) if code is not None else None
    while here is not None and here.f_code is not code:
        here = here.f_back
    return None if here is None else here.f_lineno


def is_own(file: str) -> bool:
    """Whether code of `file` is neither dualflow's, nor installed, nor of Python's library."""
    installed = file.startswith(_LIBRARY) or _INSTALLED in file
    return not installed and not inside_package(file)


def inside_package(file: str) -> bool:
    """Whether code of `file` is dualflow's own, or Python's import system."""
    found = _inside.get(file)
    if found is None:
        found = file.startswith((_PACKAGE, "<frozen ")) and file != _PROGRAM
        _keep(_inside, file, found)
    return found


#: what is known of files; every line ever given (each operation asks for one)
_inside: dict[str, bool] = {}
_lines: dict[tuple[str, int, str], SourceLine] = {}
#: the same by the instruction; the code is kept, so that its id means nothing else
_places: dict[tuple[int, int], tuple[SourceLine, CodeType]] = {}


def _keep(found: dict[Any, Any], key: Any, value: Any) -> Any:
    if len(found) >= _MOST:
        found.clear()
    found[key] = value
    return value
