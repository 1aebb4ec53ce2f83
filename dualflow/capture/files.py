"""Files that the call opens: what is known of each, and what a replay does for it.

Comes in: a file with its origin. Goes out: what was written into it, noted; the lines of one that
is read; what takes its place in a `with` statement.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, final

from .provenance import CONSTANT, Born, Origin

if TYPE_CHECKING:
    from .frame import Frame
    from .plans import Call
    from .recorder import Recorder
    from .slots import Shape


@final
class File:
    """What is known of a file that the call opened.

    Attributes:
        path: and its origin.
        mode, options: as it was opened.
        text: what was written (text or bytes), and its origin; of one that is read, all of it.
    """

    def __init__(self, path: Any, where: Origin, mode: str, options: dict[str, Any]) -> None:
        self.path, self.where, self.options = path, where, options
        self.binary = mode.endswith("b")
        self.mode, self.added = mode.rstrip("b"), mode[0] == "a"
        self.text: Any = b"" if self.binary else ""
        self.origin: Origin = CONSTANT


@final
class Opener:
    """Opens files in one way."""

    def __init__(self, mode: str, options: dict[str, Any]) -> None:
        self.mode, self.options, self.__name__ = mode, options, "open"

    def write(self, path: Any, text: Any) -> None:
        with open(path, self.mode, **self.options) as file:
            file.write(text)

    def read(self, path: Any) -> Any:
        with open(path, "rb" if self.mode.endswith("b") else "r", **self.options) as file:
            return file.read()

    def content(self, path: Any) -> Any:
        """What a file holds; nothing if there is none."""
        if os.path.exists(path):
            return self.read(path)
        return b"" if self.mode.endswith("b") else ""

    def opens(self, path: Any) -> bool:
        """Whether a file can be written there."""
        if os.path.exists(path):
            return os.path.isfile(path) and os.access(path, os.W_OK)
        folder = os.path.dirname(path) or "."
        return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def known_file(value: Any, origin: Origin) -> File | None:
    """What is known of a file that the call opened, and has not closed."""
    found = origin.parts if isinstance(origin, Born) and origin.kind == "file" else None
    return found if isinstance(found, File) and not value.closed else None


def written(call: Call, found: File, text: Any, part: Origin) -> None:
    """Note that a text is written into a file, before it is."""
    both = (found.origin, part)
    found.origin = call.frame.expression("({0} + {1})", (found.text, text), both)
    found.text += text


def closed(recorder: Recorder, found: File) -> None:
    """Note that a file is closed: what was written is there."""
    if found.mode not in ("w", "a") or recorder.dead:
        return
    opener = Opener(found.mode + "b" * found.binary, found.options)
    pairs = [(found.path, found.where), (found.text, found.origin)]
    recorder.effects.append(("call", opener.write, pairs, recorder.effect_line()))
    found.mode = "closed"


@final
class Opened:
    """Takes the place of a file in a `with` statement."""

    def __init__(self, frame: Frame, file: Any, found: File, origin: Born, shape: Shape) -> None:
        self.frame, self.file, self.found = frame, file, found
        self.origin, self.shape = origin, shape

    def __enter__(self) -> Any:
        made = self.file.__enter__()
        if not self.frame.recorder.dead:
            self.frame._spread(self.shape, made, self.origin)
        return made

    def __exit__(self, *raised: Any) -> None:
        if not self.file.closed:
            closed(self.frame.recorder, self.found)
        self.file.__exit__(*raised)


def lines_of(frame: Any, value: Any, found: File) -> Iterator[tuple[str, Origin]]:
    """The lines of a file, which are pinned."""
    frame.recorder.pin(found.origin, found.text)
    found.mode = "over"
    for line in value:
        yield line, CONSTANT
