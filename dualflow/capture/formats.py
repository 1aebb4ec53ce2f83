"""`text.format(...)` and `text.format_map(...)`, field by field, as Python goes through them.

Comes in: a call whose arguments are more than numbers and text. Goes out: its plan, in which every
field is read and made text by the hooks.
"""

from __future__ import annotations

from _string import formatter_field_name_split, formatter_parser
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from . import item_reads
from .provenance import CONSTANT, Origin, Read

if TYPE_CHECKING:
    from .plans import Call, Plan

_CONVERSIONS = {None: -1, "s": 115, "r": 114, "a": 97}


def plan(call: Call) -> Plan:
    """How to follow the call; the text with the fields is pinned."""
    recorder, f = call.recorder, call.function
    recorder.pin(call.origins[0], call.args[0])
    found: list[Origin] = [None]
    number = count()

    def first(name: Any) -> Read:
        if f.__name__ == "format_map":
            return item_reads.item(call.frame, call.args[1], name, call.origins[1], CONSTANT)
        if name == "":
            name = next(number)
        if type(name) is int:
            return call.args[1 + name], call.origins[1 + name]
        return call.kwargs[name], call.where[name]

    def run(text: str, *args: Any, **kwargs: Any) -> str:
        try:
            made, found[0] = _formatted(call.frame, text, first)
        except (LookupError, AttributeError, TypeError, ValueError):
            recorder.refuse("str.format that raises an error")
            return f(*args, **kwargs)
        return made

    return call.plan(lambda out: found[0], run)


def _formatted(frame: Any, text: str, first: Callable[[Any], Read]) -> tuple[str, Origin]:
    """The text with its fields filled, and its origin."""
    parts: list[str] = []
    origins: list[Origin] = []
    for literal, field, spec, conversion in formatter_parser(text):
        parts.append(literal)
        origins.append(CONSTANT)
        if field is None:
            continue
        name, rest = formatter_field_name_split(field)
        value, origin = first(name)
        for is_attribute, key in rest:
            slot = len(frame.slots)
            frame.slots += [origin, CONSTANT, None]
            if is_attribute:
                value = frame.attr(slot + 2, slot, value, key)
            else:
                value = frame.item(slot + 2, slot, slot + 1, value, key)
            origin = frame.slots[slot + 2]
        given, where = _formatted(frame, spec, first) if spec else ("", CONSTANT)
        slot = len(frame.slots)
        frame.slots += [origin, where, None]
        number = _CONVERSIONS[conversion]
        parts.append(frame.formatted(slot + 2, slot, slot + 1, number, value, given))
        origins.append(frame.slots[slot + 2])
    places = "".join(f"{{{i}}}, " for i in range(len(parts)))
    if not parts or all(origin is CONSTANT for origin in origins):
        return "".join(parts), CONSTANT
    return "".join(parts), frame.expression(f"''.join(({places}))", tuple(parts), tuple(origins))
