"""Hooks of `match` statements: whether a pattern's parts are there, and their origins.

Comes in: a subject with the slot of its origin. Goes out: whether it matches, and its parts.
"""

from __future__ import annotations

from typing import Any, Literal

from . import attributes, classes, containers, item_reads, membership
from .displays import Displays
from .kinds import MISSING
from .provenance import CONSTANT, Origin

_SEQUENCE, _MAPPING, _SELF = 1 << 5, 1 << 6, 1 << 22  # flags of types
_ITSELF: tuple[str, ...] = ("",)  # told by identity: no attribute is called so


class Matching(Displays):
    """Hooks of patterns."""

    def pattern_found(self, value: Any) -> bool:
        return value is not MISSING

    def pattern_value(self, slot: int, name: str, sa: int, sb: int, a: Any, b: Any) -> bool:
        return self.truth(slot, self.compare(slot, name, sa, sb, a, b))

    def _is(self, slot: int, flag: int, value: Any) -> tuple[bool, Origin]:
        """Whether the type of a subject has a flag, which classes get when they are registered."""
        kind, recorder = type(value), self.recorder
        origin = None if recorder.dead else self.origin(slot, value)
        found = kind.__flags__ & flag
        if not recorder.dead:
            recorder.typed(origin, value)
            if kind.__flags__ & (1 << 9):
                recorder.guard("{k0}.__flags__ & {k1} == {k2}", constants=(kind, flag, found))
        return bool(found), origin

    def _length(self, value: Any, origin: Origin) -> int:
        if self.recorder.dead:
            return len(value)
        size, found = containers.length(self, value, origin)
        self.recorder.pin(found, size)
        return size

    def pattern_sequence(self, slot: int, least: int, exact: bool, value: Any) -> bool:
        found, origin = self._is(slot, _SEQUENCE, value)
        if not found:
            return False
        if not exact and not least:
            return True
        size = self._length(value, origin)
        return size == least if exact else size >= least

    def pattern_item(self, slot: int, ss: int, place: int, value: Any) -> Any:
        recorder = self.recorder
        if place < 0:
            place += len(value)
        if recorder.dead:
            return value[place]
        origin = self.origin(ss, value)
        if recorder.dead:
            return value[place]
        out, self.slots[slot] = item_reads.item(self, value, place, origin, CONSTANT)
        return out

    def pattern_rest(self, slot: int, ss: int, start: int, after: int, value: Any) -> list[Any]:
        recorder = self.recorder
        rest = list(value)[start : len(value) - after]
        if not recorder.dead:
            if not isinstance(value, (list, tuple)):
                recorder.refuse(f"the rest of a {type(value).__name__}, by a pattern")
                return rest
            parts = [part for _, part in recorder.items(value, self.origin(ss, value))]
            parts = parts[start : len(value) - after]
            self.slots[slot] = recorder.born(rest, "list", parts)
        return rest

    def pattern_mapping(self, slot: int, least: int, value: Any) -> bool:
        found, origin = self._is(slot, _MAPPING, value)
        return found and (not least or self._length(value, origin) >= least)

    def pattern_key(self, slot: int, ss: int, sk: int, value: Any, key: Any, *before: Any) -> Any:
        recorder = self.recorder
        if key in before:
            recorder.refuse("a pattern of one key twice")
            raise ValueError(f"mapping pattern checks duplicate key ({key!r})")
        if not recorder.dead and type(value) is dict:
            origin, where = self.origin(ss, value), self.origin(sk, key)
            if not membership.contains(self, key, value, where, origin)[0]:
                return MISSING
            if not recorder.dead:
                out, self.slots[slot] = item_reads.item(self, value, key, origin, where)
                return out
        elif not recorder.dead:
            recorder.refuse(f"a pattern of the keys of a {type(value).__name__}")
        return value.get(key, MISSING)

    def pattern_others(self, slot: int, ss: int, value: Any, *keys: Any) -> dict[Any, Any]:
        recorder = self.recorder
        rest = dict(value)
        for key in keys:
            del rest[key]
        if not recorder.dead:
            parts = dict(item_reads.dict_items(self, value, self.origin(ss, value)))
            left = {key: parts[key] for key in rest if key in parts}
            self.slots[slot] = recorder.born(rest, "dict", left)
        return rest

    def pattern_class(
        self, ss: int, sc: int, count: int, value: Any, cls: Any, *named: str
    ) -> bool:  # fmt: skip
        recorder = self.recorder
        if not isinstance(cls, type):
            raise TypeError("called match pattern must be a class")
        origins = (None, None) if recorder.dead else (self.origin(ss, value), self.origin(sc, cls))
        if not self.invoke(isinstance, CONSTANT, (value, cls), origins)[0]:
            return False
        names = self._names(cls) if count else ()
        if names is _ITSELF and count == 1:
            return True
        if type(names) is tuple and count <= len(names):
            asked = names[:count] + named
            if {type(name) for name in asked} <= {str} and len(set(asked)) == len(asked):
                return True
        recorder.refuse("a pattern that its class does not allow")
        return _does_not_allow(value, cls, names, count, named)

    def _names(self, cls: type) -> Any:
        """What positional patterns of a class are called; `_ITSELF` if its instances are the
        part."""
        if not classes.lookup(cls, "__match_args__")[0]:
            if not self.recorder.dead:
                self.recorder.classes.find(cls, "__match_args__")
            return _ITSELF if cls.__flags__ & _SELF else ()
        if self.recorder.dead:
            return cls.__match_args__  # type: ignore[attr-defined]
        names, origin = attributes.read(self, cls, CONSTANT, "__match_args__")
        self.recorder.pin(origin, names)
        return names

    def pattern_attr(self, slot: int, ss: int, which: Any, value: Any, cls: type) -> Any:
        recorder = self.recorder
        names = self._names(cls) if type(which) is int else (which,)
        if names is _ITSELF:
            if not recorder.dead:
                self.slots[slot] = self.origin(ss, value)
            return value
        name = names[which if type(which) is int else 0]
        if recorder.dead:
            return getattr(value, name, MISSING)
        try:
            out, self.slots[slot] = attributes.read(self, value, self.origin(ss, value), name)
        except AttributeError:
            return MISSING
        return out


def _does_not_allow(
    value: Any, cls: type, names: Any, count: int, named: tuple[str, ...]
) -> Literal[False]:
    """False where an attribute is missing before what is wrong is met, which is raised."""
    if type(names) is not tuple:
        raise TypeError(f"{cls.__name__}.__match_args__ must be a tuple"
                        f" (got {type(names).__name__})")  # fmt: skip
    allowed = len(names)
    if count > allowed:
        plural = "" if allowed == 1 else "s"
        raise TypeError(f"{cls.__name__}() accepts {allowed} positional sub-pattern{plural}"
                        f" ({count} given)")  # fmt: skip
    seen = set()
    for name in (() if names is _ITSELF else names[:count]) + named:
        if type(name) is not str:
            raise TypeError("__match_args__ elements must be strings"
                            f" (got {type(name).__name__})")  # fmt: skip
        if name in seen:
            raise TypeError(f"{cls.__name__}() got multiple sub-patterns for attribute {name!r}")
        if not hasattr(value, name):
            break
        seen.add(name)
    return False
