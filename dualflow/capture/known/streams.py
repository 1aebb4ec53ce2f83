"""Known callables: text streams in memory, and printing into streams.

Comes in: a `Call`. Goes out: its plan. Of a stream made in the call its text is known; what is
written into one from outside is an effect.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

from .. import files, templates
from ..kinds import STREAMS
from ..provenance import CONSTANT, Born, Node, Origin
from ..tables import METHODS, known, methods

if TYPE_CHECKING:
    from ..plans import Call, Plan
    from ..recorder import Recorder


@known(io.BytesIO)
def _of_bytes(call: Call) -> Plan | None:
    """Bytes that are read."""
    if len(call.args) != 1 or type(call.args[0]) is not bytes or call.kwargs:
        call.refuse("a BytesIO that is written into")
        return None
    found = files.File(None, CONSTANT, "rb", {})
    found.text, found.origin = call.args[0], call.origins[0]
    return call.plan(lambda out: call.recorder.born(out, "file", found))


@known(io.StringIO)
def _made(call: Call) -> Plan | None:
    if call.args or call.kwargs:
        return _begun(call)
    return call.plan(lambda out: call.recorder.born(out, "stream", [CONSTANT]))


def _begun(call: Call) -> Plan | None:
    """A stream that is read: nothing is written into one that holds a text."""
    if len(call.args) != 1 or type(call.args[0]) is not str or call.kwargs:
        call.refuse("a StringIO that ends lines in a way of its own")
        return None
    found = files.File(None, CONSTANT, "r", {})
    found.text, found.origin = call.args[0], call.origins[0]
    return call.plan(lambda out: call.recorder.born(out, "file", found))


def filled(text: str) -> io.StringIO:
    """A stream that holds what was written."""
    made = io.StringIO()
    made.write(text)
    return made


@methods(io.BufferedWriter, "write")
@methods(io.StringIO, "write")
@methods(io.TextIOWrapper, "write")
def _write(call: Call) -> Plan | None:
    stream, text = call.args
    found = files.known_file(stream, call.origins[0])
    kind = bytes if found is not None and found.binary else str
    if type(text) is not kind or not is_known(call.recorder, stream, call.origins[0]):
        call.refuse(f"{call.name} of something that is no text, or into an unknown stream")
        return None
    length = call.frame.expression("(len({0}))", (text,), (call.origins[1],))
    f = call.function

    def run(stream: Any, text: str) -> int:
        written(call, stream, call.origins[0], text, call.origins[1])
        return f(text)

    return call.plan(lambda out: length, run)


def is_known(recorder: Recorder, stream: Any, origin: Origin) -> bool:
    """Whether it is known what writing into a stream does."""
    if isinstance(origin, Born):
        found = files.known_file(stream, origin)
        return origin.kind == "stream" or (found is not None and found.mode in ("w", "a"))
    return type(stream) in STREAMS and isinstance(origin, Node) and not stream.closed


def written(call: Call, stream: Any, origin: Origin, text: str, part: Origin) -> None:
    """Note that a text is written into a stream, before it is."""
    recorder = call.recorder
    if recorder.dead:
        return
    found = files.known_file(stream, origin)
    if found is not None:
        files.written(call, found, text, part)
    elif isinstance(origin, Born):
        before = stream.getvalue()
        origin.parts[0] = call.frame.expression(
            "({0} + {1})", (before, text), (origin.parts[0], part)
        )
    elif isinstance(origin, Node):
        recorder.typed(origin, stream)
        recorder.guard("not {0}.closed", origin)
        recorder.writes(origin, stream)
        line = recorder.effect_line()
        recorder.effects.append(("method", origin, "write", [(text, part)], line))


@methods(io.BytesIO, "getvalue")
@methods(io.StringIO, "getvalue")
def _value(call: Call) -> Plan | None:
    recorder, (stream, *_), (origin, *_), f = call.recorder, call.args, call.origins, call.function
    if isinstance(origin, Born) and origin.kind == "stream":
        return call.plan(lambda out: origin.parts[0], lambda _: f())
    if (begun := files.known_file(stream, origin)) is not None:
        return call.plan(lambda out: begun.origin, lambda _: f())
    told = any(effect[0] in ("print", "call") for effect in recorder.effects)  # into any stream
    if not isinstance(origin, Node) or told or id(stream) in recorder.written:
        call.refuse("the text of a stream that the call wrote into")
        return None
    node = recorder.nodes("({0}.getvalue())", (origin,))
    recorder.sure(node)
    return call.plan(lambda out: node, lambda _: f())


def _flush(call: Call) -> Plan | None:
    """An effect, of a stream from outside."""
    recorder, origin, f = call.recorder, call.origins[0], call.function
    if isinstance(origin, Node):
        recorder.effects.append(("method", origin, "flush", [], recorder.effect_line()))
    return call.plan(lambda out: CONSTANT, lambda _: f())


for _kind in STREAMS:
    METHODS[_kind, "flush"] = _flush


# Printing -----------------------------------------------------------------------------------------


def target(call: Call) -> tuple[Any, Origin] | None:
    """The stream that `print` was told to write into, or that the call has put in the place of
    `sys.stdout`, with its origin; None if it prints as ever."""
    stream = call.kwargs.get("file")
    if stream is not None:
        return stream, call.recorder.origin(call.where["file"], stream)
    stored = call.recorder.stored.get(("global", id(vars(sys)), "stdout"))
    return (sys.stdout, stored) if isinstance(stored, Born) else None


def printed(values: tuple[Any, ...], sep: str | None, end: str | None) -> str:
    """What `print` writes.

    >>> printed((1, "a"), None, None)
    '1 a\\n'
    """
    return (" " if sep is None else sep).join(map(str, values)) + ("\n" if end is None else end)


def print_into(call: Call, pairs: list[tuple[Any, Origin]]) -> Plan | None:
    """`print(*values, file=stream)`: the text is written at once."""
    recorder = call.recorder
    stream, origin = target(call) or (sys.stdout, None)
    options = [call.kwargs.get("sep"), call.kwargs.get("end")]
    plain = all(type(option) in (str, type(None)) for option in options)
    if not plain or "flush" in call.kwargs or not is_known(recorder, stream, origin):
        call.refuse("print into a stream that is not known")
        return None
    for name in ("sep", "end"):
        if name in call.where:
            recorder.pin(call.where[name], call.kwargs[name])
    values = tuple(value for value, _ in pairs)
    template = templates.Template(recorder)
    parts = "".join(f"{template.of(*pair)}, " for pair in pairs)
    fixed = ", ".join(template.fixed(option) for option in options)
    part = template.text(f"({template.fixed(printed)}(({parts}), {fixed}))")
    text = printed(values, *options)

    def run(*args: Any, **kwargs: Any) -> None:
        written(call, stream, origin, text, part)
        stream.write(text)

    return call.plan(lambda out: CONSTANT, run)
