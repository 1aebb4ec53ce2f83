"""`re.sub` with a function that gives what takes the place of a match.

Comes in: a call of `re.sub` or of a pattern's `sub`. Goes out: its plan, in which the function is
followed, called match by match as Python does it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .provenance import CONSTANT, SCALARS, Origin

if TYPE_CHECKING:
    from .plans import Call, Plan

_NAMES = ("pattern", "repl", "string", "count", "flags")


def plan(call: Call) -> Plan | None:
    """How to follow the call; the pattern and the text are pinned."""
    recorder, frame = call.recorder, call.frame
    given = dict(zip(_NAMES, call.args, strict=False)) | call.kwargs
    where = dict(zip(_NAMES, call.origins, strict=False)) | call.where
    f, whose = given.pop("repl", None), where.pop("repl", None)
    pattern = given.pop("pattern", None)
    plain = all(type(value) in SCALARS or isinstance(value, int) for value in given.values())
    if not plain or not isinstance(pattern, (str, bytes, re.Pattern)) or not given.get("string"):
        call.refuse(f"a call of {call.name} with something that is no plain value")
        return None
    for name, value in (given | {"pattern": pattern}).items():
        recorder.pin(where[name], value)
    found: list[Origin] = [CONSTANT]

    def run(*args: Any, **kwargs: Any) -> Any:
        text, at = given["string"], 0
        parts: list[Any] = []
        origins: list[Origin] = []
        compiled = recorder.certain(re.compile, (pattern, given.get("flags", 0)))
        for number, match in enumerate(compiled.finditer(text)):
            if 0 < given.get("count", 0) <= number:
                break
            parts.append(text[at : match.start()])
            made, origin = frame.invoke(f, whose, (match,), (CONSTANT,))
            origins += [CONSTANT, origin]
            parts.append(text[:0] if made is None else made)
            at = match.end()
        parts.append(text[at:])
        if type(text) is not str or not all(type(part) is str for part in parts):
            recorder.refuse("a substitution that is no text")
            return text[:0].join(parts)
        places = "".join(f"{{{i}}}, " for i in range(len(parts)))
        found[0] = frame.expression(f"''.join(({places}))", tuple(parts), (*origins, CONSTANT))
        return "".join(parts)

    return call.plan(lambda out: found[0], run)
