"""Items stored and deleted: `owner[key] = value`, `del owner[key]`.

Comes in: a container, a key, a value, where all came from. It is done; goes out: the effect that a
replay redoes, or for a container made in the call its new parts.
"""

from __future__ import annotations

import operator
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from dualflow.array.tensor import Tensor

from . import moving, value_keys
from .classes import special
from .iteration import elements, followed
from .kinds import DICTS, HEAP
from .membership import contains
from .ndarrays import calls as numpy_calls
from .provenance import CONSTANT, Born, Node, Origin
from .recorder import Recorder
from .shadows import forget, key_node, plain_keys, replaced, shadow_of
from .subclasses import behaves

if TYPE_CHECKING:
    from .operators import Operators


def set_item(
    frame: Operators, owner: Any, key: Any, value: Any, origin: Origin, ko: Origin, part: Origin
) -> None:
    """`owner[key] = value`, done and noted."""
    recorder = frame.recorder
    kind = type(owner)
    if recorder.dead:
        owner[key] = value
        return
    if kind is Tensor:
        _set_in_tensor(frame, owner, key, value, ko, part)
        return
    if kind.__flags__ & HEAP:
        kind = behaves(recorder, owner, origin)
    if kind is np.ndarray:
        numpy_calls.set_item(recorder, owner, key, value, (origin, ko, part))
        return
    if kind in DICTS:
        if moving.is_key(recorder, key, ko) and _stored_anew(
            recorder, owner, key, value, origin, ko, part
        ):
            recorder.watching(operator.setitem, owner, key, value)
            return
        stands = value_keys.standing(recorder, ko, key)
        if stands is not None and value_keys.sound(recorder, owner):
            recorder.drops(owner.get(key))
            _set_in_dict(recorder, owner, (key, ko), stands, value, origin, part)
            owner[key] = value
            return
        if key_node(recorder, ko, key) and plain_keys(recorder, owner):
            recorder.drops(owner.get(key))
            _set_in_dict(recorder, owner, (key, CONSTANT), None, value, origin, part)
        recorder.watching(operator.setitem, owner, key, value)
        return
    if kind is list and type(key) is slice and followed(value, recorder.origin(part, value)):
        _set_slice(frame, owner, key, value, origin, ko, part)
        return
    if kind in (list, deque) and type(key) is int:
        recorder.pin(ko, key)
        if -len(owner) <= key < len(owner):
            shadow = shadow_of(recorder, owner, origin)
            born = shadow if isinstance(shadow, Born) else shadow.whole(recorder)
            born.parts[key] = part
            if not isinstance(shadow, Born):
                recorder.drops(owner[key])
                effect = ("item", shadow.node, key, CONSTANT, value, part, recorder.effect_line())
                recorder.effects.append(effect)
        else:
            list(recorder.items(owner, origin))
        owner[key] = value
        return
    method = special(kind, "__setitem__")
    if method is not None:
        recorder.classes.guard_special(origin, owner, "__setitem__")
        frame.invoke(method, CONSTANT, (owner, key, value), (origin, ko, part))
        return
    recorder.refuse(f"an item stored in a {kind.__name__}")
    owner[key] = value


def _set_in_tensor(
    frame: Operators, owner: Tensor, key: Any, value: Any, ko: Origin, part: Origin
) -> None:
    recorder = frame.recorder
    if isinstance(part, Node) and frame.fits(part, value, owner):
        value = recorder.late.as_tensor(part, value)
    elif type(value) is not Tensor:
        if isinstance(part, Node) and part.late:
            recorder.refuse("a number read from a tensor, stored in a tensor")
        recorder.understand(part, value)
    if recorder.dead or ko is CONSTANT or not moving.write(recorder, owner, key, value, ko):
        recorder.understand(ko, key)
        recorder.asking(operator.setitem, owner, key, value)


def _set_slice(
    frame: Operators, owner: list, key: slice, value: Any, origin: Origin, ko: Origin, part: Origin
) -> None:
    recorder = frame.recorder
    recorder.pin(ko, key)
    pairs = list(elements(frame, value, part))
    values, parts = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    shadow = None if recorder.dead else shadow_of(recorder, owner, origin)
    born = shadow if shadow is None or isinstance(shadow, Born) else shadow.whole(recorder)
    recorder.drops(owner[key])
    owner[key] = values
    if born is not None and not recorder.dead:
        born.parts[key] = parts
        replaced(recorder, shadow, key, values, parts)


def delete(frame: Operators, owner: Any, key: Any, origin: Origin, ko: Origin) -> None:
    """`del owner[key]`, done and noted."""
    recorder, kind = frame.recorder, type(owner)
    if kind.__flags__ & HEAP and not recorder.dead:
        kind = behaves(recorder, owner, origin)
    if kind in DICTS and not recorder.dead:
        if key_node(recorder, ko, key) and plain_keys(recorder, owner):
            if key in owner:
                forget(recorder, owner, key, origin)
            else:
                contains(frame, key, owner, CONSTANT, origin)
    elif kind in (list, deque) and type(key) in (int, slice) and not recorder.dead:
        recorder.pin(ko, key)
        shadow = shadow_of(recorder, owner, origin)
        born = shadow if isinstance(shadow, Born) else shadow.whole(recorder)
        if type(key) is slice or -len(owner) <= key < len(owner):
            del born.parts[key]
            if not isinstance(shadow, Born):
                recorder.drops(owner[key])
                recorder.effects.append(("delete", shadow.node, key, recorder.effect_line()))
    elif special(kind, "__delitem__") is not None:
        if not recorder.dead:
            recorder.classes.guard_special(origin, owner, "__delitem__")
        frame.invoke(special(kind, "__delitem__"), CONSTANT, (owner, key), (origin, ko))
        return
    else:
        recorder.refuse(f"del of an item of a {kind.__name__}")
    recorder.watching(operator.delitem, owner, key)


def _stored_anew(
    recorder: Recorder, owner: dict, key: Any, value: Any, origin: Origin, ko: Any, part: Origin
) -> bool:
    """Note an item of a dict from outside that is stored under a key which differs from call to
    call; whether that can be."""
    if isinstance(recorder.origin(origin, owner), Born) or not plain_keys(recorder, owner):
        return False
    shadow = shadow_of(recorder, owner, origin)
    if recorder.dead or isinstance(shadow, Born):
        return False
    met = ko in shadow.loose
    if not shadow.store(ko, key, part):
        return False
    if not met:
        recorder.typed(ko, key)
        recorder.guard("{1} in {0}" if key in owner else "{1} not in {0}", shadow.node, ko)
    if key in owner:
        recorder.drops(owner[key])
    recorder.effects.append(("item", shadow.node, key, ko, value, part, recorder.effect_line()))
    return True


def _set_in_dict(
    recorder: Recorder, owner: dict, given: tuple[Any, Origin], stands: Node | None, value: Any,
    origin: Origin, part: Origin,
) -> None:  # fmt: skip
    """Note an item that is stored under a key as it was given; `stands` is its node, unless it is a
    plain value."""
    key = given[0]
    shadow = shadow_of(recorder, owner, origin)
    if isinstance(shadow, Born):
        if stands is not None:
            recorder.refuse(f"a {type(key).__name__} as a key of a dict made in the call")
            return
        shadow.parts[key] = part
        return
    if key not in shadow.changed:
        value_keys.guard_held(recorder, shadow.node, key, stands, key in owner)
    shadow.changed[key] = part
    recorder.effects.append(("item", shadow.node, *given, value, part, recorder.effect_line()))
