"""`next` of an iterator from before the call: a replay looks what comes, and takes it as an effect.

Comes in: `next(iterator)` of Python's own iterator. Goes out: its plan. What a generator gives only
its code knows, so that is not followed.
"""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any

from .provenance import Node

if TYPE_CHECKING:
    from .plans import Call, Plan

_SEQUENCES = (list, tuple, str, bytes)
_OF_SEQUENCES = (*[type(iter(kind())) for kind in _SEQUENCES], type(iter(range(0))))
#: asked for their state, they warn from Python 3.12 on
_OF_ITERTOOLS = (itertools.count, itertools.cycle) if sys.version_info < (3, 12) else ()
_OF_OTHERS = (enumerate, zip)


def followed(iterator: Any) -> bool:
    """Whether it is known what an iterator gives next."""
    kind = type(iterator)
    if kind is itertools.cycle and kind in _OF_ITERTOOLS:
        return type(iterator.__reduce__()[1][0]) in _OF_SEQUENCES  # type: ignore[index]
    if kind in _OF_OTHERS:
        inner = within(iterator)
        alone = len(set(map(id, inner))) == len(inner)
        return alone and len(iterator.__reduce__()) == 2 and all(map(followed, inner))  # not strict
    return kind in _OF_SEQUENCES or kind in _OF_ITERTOOLS


def within(iterator: Any) -> list[Any]:
    """The iterators that an iterator asks whenever it is asked, and those that they ask."""
    kind = type(iterator)
    parts = iterator.__reduce__()[1] if kind in _OF_OTHERS else ()
    inner = parts[:1] if kind is enumerate else parts
    return [one for part in inner for one in (part, *within(part))]


def coming(iterator: Any, number: int) -> Any:
    """What the iterator gives after so many others.

    Raises:
        IndexError: it ends before.
    """
    kind = type(iterator)
    if kind is itertools.count:
        value, *steps = iterator.__reduce__()[1]  # type: ignore[misc]
        for _ in range(number):
            value = value + (steps[0] if steps else 1)
        return value
    if kind is enumerate:
        inner, start = iterator.__reduce__()[1]
        return start + number, coming(inner, number)
    if kind is zip:
        return tuple([coming(inner, number) for inner in iterator.__reduce__()[1]])
    if kind is not itertools.cycle:
        return _item(*_state(iterator), number)
    _, (inner,), (saved, again) = iterator.__reduce__()  # type: ignore[misc]
    sequence, place = _state(inner)
    left = len(sequence) - place
    if number < left:
        return _item(sequence, place, number)
    whole = saved if again else [*saved, *(_item(sequence, place, i) for i in range(left))]
    return whole[(number - left) % len(whole) if whole else 0]


def _state(iterator: Any) -> tuple[Any, int]:
    """The sequence of an iterator, and the place of what it gives next."""
    _, (sequence, *_), *place = iterator.__reduce__()
    return sequence, place[0] or 0 if place else 0  # from Python 3.12 on ranges begin at the place


def _item(sequence: Any, place: int, number: int) -> Any:
    """An item, as an iterator finds it."""
    kind = next((kind for kind in _SEQUENCES if isinstance(sequence, kind)), range)
    return kind.__getitem__(sequence, place + number)  # type: ignore[arg-type]


def coming_or(iterator: Any, number: int, default: Any) -> Any:
    """What the iterator gives after so many others; `default` if it ends before."""
    try:
        return coming(iterator, number)
    except IndexError:
        return default


def plan(call: Call, origin: Node) -> Plan | None:
    """How to follow `next(iterator)` and `next(iterator, default)`."""
    recorder, (iterator, *default) = call.recorder, call.args
    if not followed(iterator):
        call.refuse(f"next of a {type(iterator).__name__} from before the call")
        return None
    asked = [iterator, *within(iterator)]
    if any(id(_list_of(one)) in recorder.lists for one in asked):
        call.refuse("an iterator of a list that the call changes")
        return None
    number, *others = [recorder.taken_from.get(id(one), 0) for one in asked]
    if any(other != number for other in others):
        call.refuse("an iterator that is asked alone and by another one")
        return None
    recorder.typed(origin, iterator)
    for one in asked:
        recorder.taken_from[id(one)] = number + 1
        recorder.keep(one)
    recorder.guard("{k0}({0})", origin, constants=(followed,))
    if default:
        other = recorder.as_node(recorder.origin(call.origins[1], default[0]), default[0])
        if other is None:
            call.refuse("next with a default that is made in the call")
            return None
        value = coming_or(iterator, 0, default[0])
        node = recorder.nodes("({k0}({0}, {k1}, {1}))", (origin, other), (coming_or, number))
    else:
        try:
            value = coming(iterator, 0)
        except IndexError:
            call.refuse("an iterator from before the call, which is over")
            return None
        node = recorder.nodes("({k0}({0}, {k1}))", (origin,), (coming, number))
    pairs = list(zip(call.args, call.origins, strict=True))
    recorder.effects.append(("call", next, pairs, recorder.effect_line()))
    found = recorder.found(node, value)
    return call.plan(lambda out: found)


def _list_of(iterator: Any) -> Any:
    """The sequence that an iterator goes through, if it goes through one."""
    if type(iterator) is itertools.cycle:
        iterator = iterator.__reduce__()[1][0]  # type: ignore[index]
    return _state(iterator)[0] if type(iterator) in _OF_SEQUENCES else None
