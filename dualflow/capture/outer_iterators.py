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


def followed(iterator: Any) -> bool:
    """Whether it is known what an iterator gives next."""
    kind = type(iterator)
    if kind is itertools.cycle and kind in _OF_ITERTOOLS:
        return type(iterator.__reduce__()[1][0]) in _OF_SEQUENCES  # type: ignore[index]
    return kind in _OF_SEQUENCES or kind in _OF_ITERTOOLS


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


def plan(call: Call, origin: Node) -> Plan | None:
    """How to follow `next(iterator)`."""
    recorder, iterator = call.recorder, call.args[0]
    if len(call.args) != 1 or not followed(iterator):
        call.refuse(f"next of a {type(iterator).__name__} from before the call")
        return None
    inner = iterator.__reduce__()[1][0] if type(iterator) is itertools.cycle else iterator
    if type(inner) in _OF_SEQUENCES and id(_state(inner)[0]) in recorder.lists:
        call.refuse("an iterator of a list that the call changes")
        return None
    number = recorder.taken_from.get(id(iterator), 0)
    try:
        value = coming(iterator, 0)
    except IndexError:
        call.refuse("an iterator from before the call, which is over")
        return None
    recorder.typed(origin, iterator)
    recorder.taken_from[id(iterator)] = number + 1
    recorder.keep(iterator)
    recorder.guard("{k0}({0})", origin, constants=(followed,))
    node = recorder.nodes("({k0}({0}, {k1}))", (origin,), (coming, number))
    recorder.effects.append(("call", next, [(iterator, origin)], recorder.effect_line()))
    found = recorder.found(node, value)
    return call.plan(lambda out: found)
