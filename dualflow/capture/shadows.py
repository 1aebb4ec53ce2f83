"""Containers from outside that the call changes, and what may be a key.

Comes in: a list, dict or set that is about to be changed. Goes out: its `Shadow`, which knows what
the call did to it, so that later reads see it and a replay redoes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import numpy as np

from .classes import built_in
from .kinds import FIXED, VIEWS
from .provenance import CONSTANT, NUMBERS, SCALARS, Born, Node, Origin
from .recorder import Recorder

#: How many keys of a dict are looked at, at most, so that one of them is found again faster.
MOST_NAMES = 100


@final
class Shadow:
    """A list or dict from outside that the call changed.

    A list that was only appended to need not have a length known beforehand.
    """

    def __init__(self, recorder: Recorder, node: Node, value: Any) -> None:
        self.recorder, self.node, self.kind = recorder, node, type(value)
        self.count = len(value)  # before the call
        self.held = tuple(value) if isinstance(value, dict) else ()  # its keys before the call
        self.added: list[Origin] = []  # appended
        self.parts: Born | None = None  # once all is known
        self.loose: dict[Node, tuple[Any, Origin]] = {}  # stored by keys that replays evaluate
        self.taken = False  # whether a key was taken out
        self._changed: dict[Any, Origin] = {}
        recorder.typed(node, value)

    @property
    def changed(self) -> dict[Any, Origin]:
        """What was stored, by key: each is the same at a replay."""
        self.pin_keys()
        return self._changed

    def pin_keys(self) -> None:
        """Let the keys that were stored be the same at a replay."""
        loose, self.loose = self.loose, {}
        for node, (key, part) in loose.items():
            self.recorder.pin(node, key)
            self._changed[key] = part

    def stored(self) -> Iterator[tuple[Origin, Any, Origin]]:
        """The keys that were stored with their origins, and the origins of the values."""
        for key, part in self._changed.items():
            yield CONSTANT, key, part
        for node, (key, part) in self.loose.items():
            yield node, key, part

    def store(self, node: Node, key: Any, part: Origin) -> bool:
        """Note a key that a replay evaluates; whether it may: keys that are stored behind it are
        known to be others only if all are the same at a replay."""
        if self._changed or (self.loose and node not in self.loose):
            return False
        self.loose[node] = key, part
        return True

    def whole(self, recorder: Recorder) -> Born:
        """All parts, at the price of a guard on the length."""
        if self.parts is None:
            recorder.guard("len({0}) == {k0}", self.node, constants=(self.count,))
            value = recorder.shadowed[id(self)]
            origins: list[Origin] = []
            for i in range(self.count):
                origins.append(
                    recorder.read(recorder.nodes("{0}[{k0}]", (self.node,), (i,)), value[i])
                )
            self.parts = Born("list", origins + self.added)
        return self.parts


def shadow_of(recorder: Recorder, value: Any, origin: Origin) -> Any:
    """What knows the parts of a container that is about to be changed: its Born, or a Shadow."""
    found = recorder.lists.get(id(value))
    if found is not None:
        return found
    if isinstance(origin, Born):
        if id(recorder.opened.get(id(value))) in recorder.opened:  # that of an object from outside
            recorder.refuse("the __dict__ of an object changed")
        return origin
    node = recorder.as_node(origin, value)
    assert node is not None
    if id(value) in recorder.opened:
        recorder.refuse("the __dict__ of an object changed")
    made = Shadow(recorder, node, value)
    recorder.lists[id(value)] = made
    recorder.shadowed[id(made)] = value
    recorder.writes(node, value)
    recorder.keep(value)
    return made


def key_node(recorder: Recorder, origin: Origin, key: Any) -> bool:
    """Pin a key; whether it is of a kind whose hash and equality are its value's."""
    plain = type(key) in SCALARS or isinstance(key, FIXED)
    if type(key) in (float, complex) and key != key:  # each NaN is a key of its own
        plain = False
    plain = plain or plain_tuple(key)
    if plain and built_in(recorder, key, "__eq__", "__hash__"):
        recorder.pin(origin, key)
        return True
    recorder.refuse(f"a {type(key).__name__} as a key")
    return False


def plain_tuple(key: Any) -> bool:
    """Whether a key is a tuple, or a named one, of plain values, dtypes and built-in types."""
    kind = type(key)
    if not isinstance(key, tuple) or not (kind is tuple or hasattr(kind, "_fields")):
        return False
    if kind.__eq__ is not tuple.__eq__ or kind.__hash__ is not tuple.__hash__:
        return False
    return all(
        (type(part) in SCALARS and part == part)
        or isinstance(part, np.dtype)
        or (isinstance(part, type) and not part.__flags__ & (1 << 9))
        or plain_tuple(part)
        for part in key
    )


def plain_keys(recorder: Recorder, owner: dict) -> bool:
    """Whether no key of a dict runs Python when it is compared: it may then be looked up more often
    than the user's code does it."""
    if id(owner) not in recorder.plain:
        plain = (
            type(key) in SCALARS or isinstance(key, FIXED) or plain_tuple(key) for key in owner
        )
        if not all(plain):
            recorder.refuse("a dict with keys that are no plain values")
            return False
        recorder.plain[id(owner)] = owner
    return True


def plain_names(recorder: Recorder, owner: dict) -> bool:
    """Whether a small dict has strings alone as keys, so that no look-up in it runs Python."""
    if id(owner) in recorder.plain:
        return True
    plain = len(owner) <= MOST_NAMES and all(type(key) is str for key in owner)
    if plain:
        recorder.plain[id(owner)] = owner
    return plain


def replaced(recorder: Recorder, shadow: Any, key: slice, values: list, parts: list) -> None:
    """Note that the items `key` of a list are now `values`."""
    if not isinstance(shadow, Born):
        made = recorder.born(values, "list", parts)
        line = recorder.effect_line()
        recorder.effects.append(("item", shadow.node, key, CONSTANT, values, made, line))


def forget(recorder: Recorder, owner: dict, key: Any, origin: Origin) -> None:
    """Note that a key which a dict has is taken out of it; the caller does it."""
    if recorder.dead:
        return
    shadow = shadow_of(recorder, owner, origin)
    if isinstance(shadow, Born):
        del shadow.parts[key]
        return
    if key not in shadow.changed:
        recorder.guard("{k0} in {0}", shadow.node, constants=(key,))
    recorder.drops(owner[key])
    shadow.changed[key], shadow.taken = CONSTANT, True
    recorder.effects.append(("delete", shadow.node, key, recorder.effect_line()))


def numbers(recorder: Recorder, value: Any, origin: Origin) -> tuple[str, list[Node]] | None:
    """The text of a list from outside of numbers of one type, and its nodes, for what takes it as a
    whole: it may have any length, and the call may have appended to it. None of other lists."""
    kinds = set(map(type, value)) if type(value) is list else set()
    shadow = recorder.lists.get(id(value))
    if not kinds <= NUMBERS or len(kinds) != 1 or recorder.dead:
        return None
    if shadow is None and isinstance(origin, Node):
        recorder.typed(origin, value)
        recorder.guard("set(map(type, {0})) == {k0}", origin, constants=(frozenset(kinds),))
        return "{0}", [origin]
    if shadow is None or shadow.parts is not None or not shadow.added:
        return None
    added = value[-len(shadow.added) :]
    for item, part in zip(added, shadow.added, strict=True):
        recorder.typed(part, item)
    nodes = [recorder.as_node(*pair) for pair in zip(shadow.added, added, strict=True)]
    known = [node for node in nodes if node is not None]
    if len(known) != len(nodes):
        return None
    recorder.guard("set(map(type, {0})) <= {k0}", shadow.node, constants=(frozenset(kinds),))
    places = "".join(f", {{{i}}}" for i in range(1, len(known) + 1))
    return f"[*{{0}}{places}]", [shadow.node, *known]


@final
class View:
    """What knows the items of a view of a dict."""

    def __init__(self, follow: Any, owner: Any, origin: Origin) -> None:
        self.follow, self.owner, self.origin = follow, owner, origin

    def __call__(self) -> Iterator[tuple[Any, Origin]]:
        return self.follow()


def viewed(value: Any, origin: Origin) -> View | None:
    """The view that `dict.keys()` gave, or `values()`, or `items()`; None of anything else."""
    parts = origin.parts if isinstance(origin, Born) else None
    return parts if isinstance(parts, View) and type(value) in VIEWS else None
