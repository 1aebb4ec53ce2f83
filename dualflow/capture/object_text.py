"""The text of objects of classes written in Python: `str`, `repr` and `format` by their methods.

Comes in: an object with its origin. Goes out: the text and its origin, where the methods that
Python would ask are followed.
"""

from __future__ import annotations

import dataclasses
import reprlib
from threading import get_ident
from types import FunctionType
from typing import TYPE_CHECKING, Any

from .classes import lookup
from .provenance import CONSTANT, Origin
from .tables import BY_CODE, known

if TYPE_CHECKING:
    from .operators import Operators
    from .plans import Call, Plan

_ASKED: dict[Any, tuple[str, ...]] = {
    format: ("__format__", "__str__", "__repr__"),
    str: ("__str__", "__repr__"),
    repr: ("__repr__",),
}


def text_of_object(
    frame: Operators, value: Any, origin: Origin, convert: Any, spec: str = ""
) -> tuple[str, Origin] | None:
    """`convert(value)`, of str, repr or format, and its origin; None if no method written in Python
    makes it, and nothing was called."""
    recorder, kind = frame.recorder, type(value)
    if isinstance(value, type) or convert not in _ASKED or recorder.dead:
        return None
    for name in _ASKED[convert]:
        raw = lookup(kind, name)[1]
        if type(raw) is FunctionType:
            recorder.classes.guard_special(origin, value, name)
            more = (spec,) if name == "__format__" else ()
            out, found = frame.invoke(
                raw, CONSTANT, (value, *more), (origin, *[CONSTANT for _ in more])
            )
            if type(out) is not str:
                recorder.refuse(f"{name} of a {kind.__name__}, which gives no text")
                out = convert(_Text(out))
            recorder.typed(found, out)
            return out, found
        if raw is not vars(object)[name] or (name == "__format__" and spec):
            return None
        recorder.classes.guard_special(origin, value, name)
    return None


class _Text:
    """An object whose methods gave `value`: Python makes of it what it makes of any object's."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __str__(self) -> str:
        return self.value

    def __format__(self, spec: str) -> str:
        return self.value

    __repr__ = __str__


def _of_fields(call: Call) -> Plan | None:
    """The `__repr__` that `dataclasses` made of the fields; of an object within itself, dots."""
    f = call.function
    cells = dict(zip(f.__code__.co_freevars, f.__closure__, strict=True))
    running, key = cells["repr_running"].cell_contents, (id(call.args[0]), get_ident())
    if key in running:
        return call.plan(lambda out: CONSTANT, lambda *args: "...")
    inner = call.of(f.__wrapped__, CONSTANT).find()
    if inner is None:
        return None
    follow = inner.function

    def run(*args: Any, **kwargs: Any) -> Any:
        running.add(key)
        try:
            return follow(*args, **kwargs)
        finally:
            running.discard(key)

    inner.function = run
    return inner


#: what `dataclasses` puts around it: its own function, and from Python 3.13 on that of `reprlib`
_around = getattr(dataclasses, "_recursive_repr", None) or reprlib.recursive_repr()
BY_CODE[id(_around(repr).__code__)] = _of_fields


@known(format)
def _formatted_alone(call: Call) -> Plan | None:
    """`format(value, spec)`."""
    frame: Any = call.frame
    slot = len(frame.slots)
    frame.slots += [None, *call.origins, CONSTANT]

    def run(value: Any, spec: str = "") -> str:
        if type(spec) is not str:
            call.refuse("a format that is no text")
        return frame.formatted(slot, slot + 1, slot + 2, -1, value, spec)

    return call.plan(lambda out: frame.slots[slot], run)
