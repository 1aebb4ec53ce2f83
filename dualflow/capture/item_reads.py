"""Items of sequences and dicts: `owner[key]`.

Comes in: a container, a key, where both came from. Goes out: the item and where it came from.
"""

from __future__ import annotations

import operator
import re
from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, Any

import numpy as np

from dualflow.array.tensor import Tensor

from . import growing, moving, value_keys
from .classes import special
from .item_stores import set_item
from .iteration import keys
from .kinds import DICTS, HEAP, MISSING, SEQUENCES, TYPES
from .ndarrays import calls as numpy_calls
from .provenance import CONSTANT, SCALARS, Born, Node, Origin, Read
from .recorder import Recorder
from .shadows import Shadow, key_node, plain_keys, plain_names
from .subclasses import behaves

if TYPE_CHECKING:
    from .operators import Operators


def item(frame: Operators, owner: Any, key: Any, origin: Origin, key_origin: Origin) -> Read:
    """`owner[key]` and its origin."""
    recorder = frame.recorder
    kind: Any = type(owner)
    if kind.__flags__ & HEAP:
        kind = behaves(recorder, owner, origin)
    if isinstance(key, np.integer) and kind in SEQUENCES:
        recorder.pin(key_origin, key)
        key, key_origin = int(key), CONSTANT
    if kind is Tensor:
        moved = None if key_origin is CONSTANT else moving.read(recorder, owner, key, key_origin)
        if moved is not None:
            return moved
        recorder.understand(key_origin, key)
        if not recorder.dead:
            out = recorder.asking(operator.getitem, owner, key)
            return out, recorder.origin(None, out)
        return owner[key], None
    if kind in SEQUENCES or (isinstance(owner, tuple) and hasattr(kind, "_fields")):
        return _of_sequence(recorder, owner, key, origin, key_origin)
    if kind in TYPES:
        return numpy_calls.item(recorder, owner, key, origin, key_origin)
    if kind in numpy_calls.INDEXED and isinstance(origin, Node):
        return numpy_calls.index(recorder, owner, key, origin, key_origin)
    if kind in DICTS:
        return _of_dict(frame, owner, key, origin, key_origin)  # type: ignore[arg-type]
    if kind in (str, bytes, range) or (kind is bytearray and type(key) is int):
        recorder.pin(origin, owner)
        recorder.pin(key_origin, key)
        return recorder.certain(operator.getitem, (owner, key)), CONSTANT
    if isinstance(owner, re.Match):
        recorder.pin(origin, owner)
        recorder.pin(key_origin, key)
        return recorder.certain(operator.getitem, (owner, key)), CONSTANT
    method = special(kind, "__getitem__")
    if method is not None:
        recorder.classes.guard_special(origin, owner, "__getitem__")
        return frame.invoke(method, CONSTANT, (owner, key), (origin, key_origin))
    recorder.refuse(f"an item of a {kind.__name__}")
    return owner[key], None


def _of_sequence(
    recorder: Recorder, owner: Any, key: Any, origin: Origin, key_origin: Origin
) -> Read:
    if type(key) is Tensor and key.shape == () and key.dtype.kind in "iu":  # asked by __index__
        key, key_origin = recorder.late.value_of(key, int)
        recorder.pin(key_origin, key)
    if type(key) is int and moving.moves(recorder, key_origin, key):
        moved = _moved(recorder, owner, key, origin, key_origin)
        if moved is not None:
            return owner[key], moved
    recorder.understand(key_origin, key)
    if recorder.dead:
        return owner[key], None
    kind = list if isinstance(owner, list) else type(owner)
    shadow = recorder.lists.get(id(owner))
    if type(key) is slice and kind is list:
        last = _last(recorder, owner, key, origin)
        whole = growing.whole(recorder, owner, origin) if last is None else None
        if whole is not None:
            value = owner[key]
            return value, growing.anew(recorder, value, whole, operator.getitem, key)
        if last is not None:
            value = owner[key]
            return value, recorder.born(value, "list", last)
    if type(key) is slice and not isinstance(owner, deque):
        parts = [part for _, part in recorder.items(owner, origin)]
        value = owner[key]
        return value, recorder.born(value, "list" if kind is list else "tuple", parts[key])
    if type(key) is not int and type(key) is not bool:
        recorder.refuse(f"a {type(key).__name__} as an index")
        return operator.getitem(owner, key), None
    if not -len(owner) <= key < len(owner):
        list(recorder.items(owner, origin))  # guards the length
        return owner[key], None
    value = owner[key]
    if shadow is not None and shadow.parts is None:
        return value, _of_appended(recorder, shadow, key, value)
    if shadow is not None:
        origin = shadow.parts
    if isinstance(origin, Born):
        if origin.kind not in ("list", "tuple") or len(origin.parts) != len(owner):
            recorder.refuse(f"the parts of a {type(owner).__name__} are not known")
            return value, None
        return value, origin.parts[key]
    if origin is CONSTANT:
        return value, CONSTANT
    assert isinstance(origin, Node)
    recorder.typed(origin, owner)
    return value, recorder.found(recorder.nodes("{0}[{k0}]", (origin,), (key,)), value)


def _moved(recorder: Recorder, owner: Any, key: int, origin: Origin, where: Any) -> Origin:
    """The origin of an item of a sequence from outside by an index that differs from call to call;
    None where it has to be the same at a replay."""
    shadow = recorder.lists.get(id(owner))
    node = recorder.origin(origin, owner) if shadow is None else shadow.node
    if not isinstance(node, Node) or (shadow is not None and shadow.parts is not None):
        return None
    low, count = (-len(owner), len(owner)) if shadow is None else (0, shadow.count)
    if not low <= key < count or (where.late and type(owner[key]) not in SCALARS):
        return None
    recorder.typed(node, owner)
    recorder.typed(where, key)
    text = "-len({0}) <= {1} < len({0})" if shadow is None else "0 <= {1} < len({0})"
    recorder.guard(text, node, where)
    return recorder.found(recorder.nodes("{0}[{1}]", (node, where)), owner[key])


def _last(recorder: Recorder, owner: list, key: slice, origin: Origin) -> list[Origin] | None:
    """The origins of the last items of a list from outside, `owner[-3:]`, where it may have any
    length from there on; None of other slices."""
    shadow = recorder.lists.get(id(owner))
    node = origin if shadow is None else shadow.node
    appended = shadow.parts is None if shadow is not None else isinstance(origin, Node)
    count = -key.start if type(key.start) is int else 0
    if (
        not appended
        or count < 1
        or count > len(owner)
        or key.stop is not None
        or key.step is not None
    ):
        return None
    added = [] if shadow is None else shadow.added
    before = max(count - len(added), 0)
    recorder.typed(node, owner)
    recorder.guard("len({0}) >= {k0}", node, constants=(before,))  # type: ignore[arg-type]
    parts: list[Origin] = []
    for i in range(before, 0, -1):
        part = recorder.nodes("{0}[{k0}]", (node,), (-i,))  # type: ignore[arg-type]
        parts.append(recorder.found(part, owner[-i - len(added)]))
    return parts + added[max(len(added) - count, 0) :]


def _of_appended(recorder: Recorder, shadow: Shadow, key: int, value: Any) -> Origin:
    if key < 0 and -key <= len(shadow.added):
        return shadow.added[key]
    if 0 <= key < shadow.count:
        return recorder.found(recorder.nodes("{0}[{k0}]", (shadow.node,), (key,)), value)
    return shadow.whole(recorder).parts[key]


def again(
    recorder: Recorder, owner: dict, key: str, origin: Origin, key_origin: Origin
) -> tuple[Any, ...] | None:
    """What is known of an item that was read before, in the same way, and is the same still."""
    before = recorder.reads.get((id(owner), "item", key))
    if (
        before is not None
        and before[1] is origin
        and before[5] is key_origin
        and id(owner) not in recorder.lists
        and owner.get(key, MISSING) is before[3]
    ):
        return before
    return None


def _of_dict(frame: Operators, owner: dict, key: Any, origin: Origin, key_origin: Origin) -> Read:
    recorder, kind = frame.recorder, type(owner)
    if moving.is_key(recorder, key, key_origin):
        moved = _at_key(recorder, owner, key, origin, key_origin)
        if moved is not None:
            return owner[key], moved
    stands = value_keys.standing(recorder, key_origin, key)
    if stands is None and not key_node(recorder, key_origin, key):
        return owner[key], None
    if (kind is not dict or stands is not None) and not value_keys.sound(recorder, owner):
        recorder.refuse("a dict with keys that are no plain values")
        return owner[key], None
    given = key, CONSTANT if stands is None else key_origin
    shadow = recorder.lists.get(id(owner))
    if shadow is not None and key in shadow.changed:
        if kind is not dict and key not in owner:
            recorder.refuse(f"a key that was taken out of a {kind.__name__}")
        return owner[key], shadow.changed[key]
    if isinstance(origin, Born):
        if key not in owner:
            return _missing(frame, owner, given, origin)
        if key not in origin.parts:
            recorder.refuse("the parts of a dict are not known")
            return owner[key], None
        return owner[key], origin.parts[key]
    node = recorder.as_node(origin, owner)
    assert node is not None
    recorder.typed(origin, owner)
    ask = recorder.guarded if stands is not None else recorder.watching
    value = ask(dict.get, owner, key, MISSING)
    if value is MISSING:
        value_keys.guard_held(recorder, node, key, stands, False)
        return _missing(frame, owner, given, origin)
    if kind is not dict:  # a guard that asks for a key must not make it
        value_keys.guard_held(recorder, node, key, stands, True)
    if stands is not None:
        return value, recorder.found(recorder.nodes("{0}[{1}]", (node, stands)), value)
    found = recorder.found(recorder.nodes("{0}[{k0}]", (node,), (key,)), value)
    if kind is dict and type(key) is str and plain_names(recorder, owner):
        recorder.reads[id(owner), "item", key] = (
            owner, origin, owner, value, found, key_origin
        )  # fmt: skip
    return value, found


def _at_key(recorder: Recorder, owner: dict, key: Any, origin: Origin, where: Any) -> Origin:
    """The origin of an item of a dict from outside by a key that differs from call to call; None
    where it has to be the same at a replay."""
    shadow = recorder.lists.get(id(owner))
    if shadow is not None:
        return shadow.loose[where][1] if where in shadow.loose else None
    node = recorder.origin(origin, owner)
    if not isinstance(node, Node) or key not in owner or not plain_keys(recorder, owner):
        return None
    if where.late and type(owner[key]) not in SCALARS:
        return None
    recorder.typed(node, owner)
    recorder.typed(where, key)
    recorder.guard("{1} in {0}", node, where)
    return recorder.found(recorder.nodes("{0}[{1}]", (node, where)), owner[key])


def _missing(frame: Operators, owner: dict, given: tuple[Any, Origin], origin: Origin) -> Read:
    """What a dict gives for a key that it does not have."""
    recorder, (key, where) = frame.recorder, given
    if type(owner) is Counter:
        recorder.classes.guard_special(origin, owner, "__missing__")
        if getattr(Counter.__missing__, "__module__", None) != "collections":
            recorder.refuse("a Counter that was changed")
        return owner[key], CONSTANT
    method = special(type(owner), "__missing__")
    if method is not None:
        recorder.classes.guard_special(origin, owner, "__missing__")
        return frame.invoke(method, CONSTANT, (owner, key), (origin, where))
    if type(owner) is not defaultdict:
        recorder.classes.find(type(owner), "__missing__")
        raise KeyError(key)
    factory, made = owner.default_factory, factory_of(recorder, owner, origin)
    if factory is None:
        recorder.pin(made, factory)
        raise KeyError(key)
    value, part = frame.invoke(factory, made, (), ())
    set_item(frame, owner, key, value, origin, where, part)
    return value, part


def factory_of(recorder: Recorder, owner: defaultdict, origin: Origin) -> Origin:
    """The origin of the factory of a default dict."""
    node = recorder.as_node(origin, owner)
    if node is None:
        return recorder.origin(recorder.factories.get(id(owner)), owner.default_factory)
    return recorder.found(recorder.nodes("{0}.default_factory", (node,)), owner.default_factory)


def dict_items(frame: Operators, value: dict, origin: Origin) -> list[tuple[Any, Origin]]:
    """The keys of a dict, which are guarded, with the origins of the values."""
    names = keys(frame.recorder, value, origin)
    if frame.recorder.dead:
        return []
    return [(key, item(frame, value, key, origin, CONSTANT)[1]) for key in names]
