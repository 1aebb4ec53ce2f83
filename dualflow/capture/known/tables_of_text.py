"""Known callables: `csv` and `pickle`, of plain values.

Comes in: a `Call`. Goes out: its plan. Lines that are read are pinned; rows are written as a text
that replays make anew.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .. import iteration
from ..provenance import CONSTANT, SCALARS, Born, Origin
from ..tables import named
from ..templates import Template
from . import streams as known_streams
from . import values as known_values
from .iterators import lazily, sources

if TYPE_CHECKING:
    from ..plans import Call, Plan


# Tables -------------------------------------------------------------------------------------------


def _options(call: Call) -> dict[str, Any] | None:
    """What a reader or writer is told beside its file, which is pinned; None if it is not plain."""
    names = dict(zip(("dialect",), call.args[1:], strict=False)) | call.kwargs
    where = dict(zip(("dialect",), call.origins[1:], strict=False)) | call.where
    if len(call.args) > 2 or not all(type(value) in SCALARS for value in names.values()):
        call.refuse(f"{call.name} told something that is no plain value")
        return None
    for name, value in names.items():
        call.recorder.pin(where[name], value)
    dialect = names.get("dialect", "excel")
    call.recorder.guard("{k0}({k1}) == {k2}", constants=(meaning, dialect, meaning(dialect)))
    return None if call.recorder.dead else names


def meaning(dialect: str) -> tuple[Any, ...] | None:
    """What the name of a dialect stands for."""
    room: Any = sys.modules["_csv"]
    try:
        found = room.get_dialect(dialect)
    except (room.Error, TypeError):
        return None
    return (found.delimiter, found.quotechar, found.escapechar, found.doublequote,
            found.skipinitialspace, found.lineterminator, found.quoting, found.strict)  # fmt: skip


@named("_csv", "reader")
def _reader(call: Call) -> Plan | None:
    recorder, make, options = call.recorder, call.function, _options(call)
    found = None if options is None else sources(call.only(1))
    if found is None or options is None:
        return None
    given, part = found[0]

    def lines() -> Iterator[str]:
        for i, line in enumerate(given):
            recorder.pin(part(i), line)
            yield line

    real = recorder.certain(lambda: make(lines(), **options), ())

    def follow() -> Iterator[tuple[Any, Origin]]:
        for row in real:
            yield row, recorder.born(row, "list", [CONSTANT] * len(row))

    return lazily(call, real, follow)


@named("_csv", "writer")
def _writer(call: Call) -> Plan | None:
    options = _options(call)
    if options is None:
        return None
    parts = call.args[0], call.origins[0], options
    return call.plan(lambda out: call.recorder.born(out, "opaque", parts))


def written(options: dict[str, Any], rows: tuple[Any, ...]) -> str:
    """What a writer writes.

    >>> import csv
    >>> written({"delimiter": ";"}, ((1, "a b"), (None, "c;d")))
    '1;a b\\r\\n;"c;d"\\r\\n'
    """
    stream = io.StringIO(newline="")
    sys.modules["_csv"].writer(stream, **options).writerows(rows)
    return stream.getvalue()


@named("_csv", "writer.writerow", "writer.writerows")
def _row(call: Call) -> Plan | None:
    """The text of rows, written into the stream."""
    recorder, frame, f = call.recorder, call.frame, call.function
    origin = recorder.origin(call.origins[0], call.args[0])
    parts = origin.parts if isinstance(origin, Born) else None
    if type(parts) is not tuple or len(call.args) != 2 or call.kwargs:
        call.refuse()
        return None
    stream, where, options = parts
    given = [(call.args[1], call.origins[1])]
    if f.__name__ == "writerows":
        given = list(iteration.elements(frame, *given[0]))
    rows = [list(iteration.elements(frame, *row)) for row in given]
    plain = all(type(value) in SCALARS for row in rows for value, _ in row)
    if not plain or recorder.dead or not known_streams.is_known(recorder, stream, where):
        call.refuse(f"{call.name} of something that is no plain value, or into an unknown stream")
        return call.plan(lambda out: None, lambda *_: _write(f, rows))
    template = Template(recorder)
    texts = ["".join(f"{template.of(*pair)}, " for pair in row) for row in rows]
    inner = "".join(f"({text}), " for text in texts)
    part = template.text(f"({template.fixed(written)}({template.fixed(options)}, ({inner})))")
    text = written(options, tuple(tuple(value for value, _ in row) for row in rows))
    length = frame.expression("(len({0}))", (text,), (part,))

    def run(*_: Any) -> Any:
        known_streams.written(call, stream, where, text, part)
        return _write(f, rows)

    return call.plan(lambda out: CONSTANT if out is None else length, run)


def _write(f: Any, rows: list[list[tuple[Any, Origin]]]) -> Any:
    values = [[value for value, _ in row] for row in rows]
    return f(values) if f.__name__ == "writerows" else f(*values)


# Pickles ------------------------------------------------------------------------------------------


@named("_pickle", "dumps")
def _dumped(call: Call) -> Plan | None:
    """Which bytes they are depends on what is one object, so replays make them anew."""
    values, origins = [*call.args, *call.kwargs.values()], [*call.origins, *call.where.values()]
    if not all(map(known_values.is_plain, values)):
        call.refuse("a pickle of something that is no plain value")
        return None
    for value, origin in zip(values, origins, strict=True):
        known_values.pinned(call.recorder, origin, value)
    return call.plan(lambda out: known_values.anew(call, values, origins, len(call.args), 0))


@named("_pickle", "loads")
def _loaded(call: Call) -> Plan | None:
    """Plain values, which no code of a program makes."""
    if len(call.args) != 1 or call.kwargs or not _is_plain(call.args[0]):
        call.refuse("a pickle that names functions or classes")
        return None
    return known_values.plain(call)


def _is_plain(data: Any) -> bool:
    """Whether a pickle holds plain values alone."""
    room: Any = sys.modules["_pickle"]

    class Plain(room.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            raise room.UnpicklingError(name)

    try:
        return type(data) is bytes and known_values.is_plain(Plain(io.BytesIO(data)).load())
    except Exception:
        return False
