"""Known callables: files of text that the call opens, and closes before it ends.

Comes in: a `Call`. Goes out: its plan. What is written is an effect, done where the file is closed;
what is read is read anew by a guard.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from .. import growing, moving
from ..files import File, Opener, closed, known_file
from ..kinds import FIXED
from ..provenance import CONSTANT, SCALARS, Node, Origin
from ..tables import known, methods
from .functions import constant_only

if TYPE_CHECKING:
    from ..plans import Call, Plan

_NAMES = ("file", "mode", "buffering", "encoding", "errors", "newline", "closefd", "opener")
_DEFAULTS = {"buffering": -1, "closefd": True, "opener": None}
_MODES = {"r": "r", "rt": "r", "w": "w", "wt": "w", "a": "a", "at": "a", "rb": "rb", "wb": "wb",
          "ab": "ab"}  # fmt: skip


@known(open)
def _open(call: Call) -> Plan | None:
    recorder = call.recorder
    given = dict(zip(_NAMES, call.args, strict=False)) | call.kwargs
    where = dict(zip(_NAMES, call.origins, strict=False)) | call.where
    path, place = given.pop("file", None), where.pop("file", None)
    for name, value in given.items():
        recorder.pin(where[name], value)
    mode = _MODES.get(given.pop("mode", "r"))
    usual = all(given.pop(name, value) == value for name, value in _DEFAULTS.items())
    if not usual or mode is None or not _is_path(path) or recorder.dead:
        call.refuse("a file opened in a way that is not followed")
        return None
    if isinstance(place, Node) and (place.late or (mode[0] == "r" and recorder.files)):
        recorder.pin(place, path)
        place = CONSTANT
    found = File(path, place, mode, given)
    opener = Opener(mode, given)

    def run(*args: Any, **kwargs: Any) -> Any:
        if mode[0] != "r" and not opener.opens(path):
            recorder.refuse("a file that cannot be written")
        elif mode[0] == "r":
            found.text, found.origin = _read(call, opener, path, place)
        return recorder.guarded(call.function, *args, **kwargs)

    def finish(out: Any) -> Origin:
        if mode[0] != "r":
            node = recorder.as_node(place, path)
            assert node is not None
            recorder.typed(place, path)
            recorder.guard("{k0}({0})", node, constants=(opener.opens,))
            recorder.files.append(found)
        return recorder.born(out, "file", found)

    return call.plan(finish, run)


def _is_path(path: Any) -> bool:
    return type(path) is str or (isinstance(path, FIXED) and isinstance(path, os.PathLike))


def _read(call: Call, opener: Opener, path: Any, place: Origin) -> tuple[Any, Origin]:
    """All that a file holds, and where it comes from."""
    recorder = call.recorder
    if recorder.files:
        return _read_back(call, opener, path)
    node = recorder.as_node(place, path)
    assert node is not None
    recorder.typed(place, path)
    text = recorder.guarded(opener.read, path)
    made = recorder.nodes("({k0}({0}))", (node,), (opener.read,))
    recorder.sure(made)
    recorder.needs(made)
    return text, made


def _read_back(call: Call, opener: Opener, path: Any) -> tuple[Any, Origin]:
    """What the call itself has written into a file."""
    recorder, nothing = call.recorder, File(path, CONSTANT, opener.mode, {}).text
    text: Any = nothing
    origin: Origin = CONSTANT
    for one in recorder.files:
        recorder.pin(one.where, one.path)
        same = one.path == path and one.mode == "closed" and one.options == opener.options
        same = same and type(one.text) is type(text)
        if not same or one.options.get("newline") is not None:
            recorder.refuse("a file read after the call wrote into others")
            return nothing, None
        before = (text, origin) if one.added else (nothing, CONSTANT)
        if one.added and one is recorder.files[0]:
            before = _before(call, opener, path)
        both = (before[1], one.origin)
        origin = call.frame.expression("({0} + {1})", (before[0], one.text), both)
        text = before[0] + one.text
    if isinstance(origin, Node) and type(text) is str:
        recorder.guard("{k0} not in {0}", origin, constants=("\r",))
    if type(text) is str and "\r" in text:
        recorder.refuse("a file with other ends of lines, read by the call that wrote it")
    return text, origin


def _before(call: Call, opener: Opener, path: Any) -> tuple[Any, Origin]:
    """What a file held that the call has only appended to."""
    recorder = call.recorder
    text = opener.content(path)
    added = text[:0].join(one.text for one in recorder.files)
    node = recorder.nodes("({k0}({0}))", (recorder.constant(path),), (opener.content,))
    recorder.sure(node)
    recorder.needs(node)
    if not all(one.added for one in recorder.files) or not text.endswith(added):
        recorder.refuse("a file that is written anew, and appended to")
    return text[: len(text) - len(added)], node


# Writing ------------------------------------------------------------------------------------------


@methods(io.BufferedReader, "close")
@methods(io.BufferedWriter, "close")
@methods(io.BytesIO, "close")
@methods(io.StringIO, "close")
@methods(io.TextIOWrapper, "close")
def _close(call: Call) -> Plan | None:
    found, f = known_file(call.args[0], call.origins[0]), call.function
    if found is None and not call.args[0].closed:
        call.refuse()
        return None

    def run(_: Any) -> None:
        if found is not None:
            closed(call.recorder, found)
        f()

    return call.plan(lambda out: CONSTANT, run)


# Reading ------------------------------------------------------------------------------------------


@methods(io.BufferedReader, "read", "readlines")
@methods(io.BytesIO, "read", "readlines")
@methods(io.StringIO, "read", "readlines")
@methods(io.TextIOWrapper, "read", "readlines")
def _whole(call: Call) -> Plan | None:
    """All that is in a file which was not read before."""
    recorder, f = call.recorder, call.function
    found = known_file(call.args[0], call.origins[0])
    some = len(call.args) == 2 and f.__name__ == "read" and type(call.args[1]) is int
    begun = found is not None and (some or found.mode == "lines")
    modes = ("r", "lines") if begun else ("r",)
    if found is None or found.mode not in modes or call.kwargs or len(call.args) != 1 + some:
        call.refuse()
        return None
    if begun:  # a part of it
        for value, origin in ((found.text, found.origin), (call.args[-1], call.origins[-1])):
            if type(value) in SCALARS:
                recorder.pin(origin, value)
        found.mode = "lines"
        return call.plan(lambda out: _constants(recorder, out), lambda _, *size: f(*size))
    found.mode, lines = "over", f.__name__ == "readlines"
    moved = lines and not found.binary and moving.moves(recorder, found.origin, found.text)
    if lines and not moved:
        recorder.pin(found.origin, found.text)

    def finish(out: Any) -> Origin:
        if moved:
            assert isinstance(found.origin, Node)
            return growing.anew(recorder, out, ("{0}", (found.origin,)), lines_of)
        if lines:
            return _constants(recorder, out)
        if out != found.text:
            recorder.refuse("a file that changes while it is read")
        return found.origin

    return call.plan(finish, lambda _: f())


def _constants(recorder: Any, out: Any) -> Origin:
    return recorder.born(out, "list", [CONSTANT] * len(out)) if type(out) is list else CONSTANT


def lines_of(text: str) -> list[str]:
    """The lines of a text, as those of a file that holds it.

    >>> lines_of("a\\nb")
    ['a\\n', 'b']
    """
    return io.StringIO(text).readlines()


@methods(io.BufferedReader, "readline", "__next__")
@methods(io.BytesIO, "readline", "__next__")
@methods(io.StringIO, "readline", "__next__")
@methods(io.TextIOWrapper, "readline", "__next__")
def _line(call: Call) -> Plan | None:
    found, f = known_file(call.args[0], call.origins[0]), call.function
    if found is None or found.mode not in ("r", "lines") or len(call.args) != 1:
        call.refuse()
        return None
    call.recorder.pin(found.origin, found.text)
    found.mode = "lines"
    return call.plan(lambda out: CONSTANT, lambda _: f())


@known(os.path.exists, os.path.isfile, os.path.isdir, os.path.getsize)
def _asked(call: Call) -> Plan | None:
    """What there is on the disk, asked anew by a guard."""
    recorder = call.recorder
    plain = len(call.args) == 1 and not call.kwargs and _is_path(call.args[0])
    place = call.origins[0] if plain else None
    if not plain or recorder.files or (isinstance(place, Node) and place.late):
        call.refuse()
        return None
    node = recorder.as_node(place, call.args[0])
    if node is None:
        return None
    recorder.typed(place, call.args[0])
    made = recorder.nodes("({k0}({0}))", (node,), (call.function,))
    recorder.sure(made)
    recorder.needs(made)
    return call.plan(lambda out: made, lambda path: recorder.guarded(call.function, path))


known(io.text_encoding)(constant_only)
