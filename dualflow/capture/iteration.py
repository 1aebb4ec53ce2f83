"""Iteration: the items of anything, each with where it came from.

Comes in: what a loop, a display or a function goes through. Goes out: items as Python gives them,
one by one, so that what is changed meanwhile is seen; how many there are becomes a guard.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from dualflow.array.tensor import Tensor

from . import files
from .classes import lookup, special
from .kinds import DICTS, HEAP, SEQUENCES
from .ndarrays import calls as numpy_calls
from .provenance import CONSTANT, Born, Node, Origin
from .recorder import Recorder
from .special_methods import Answer
from .subclasses import base_of, behaves

if TYPE_CHECKING:
    from .operators import Operators

#: containers that tell where they were changed since they were asked for their items
_REMEMBERED = frozenset({*DICTS, set, frozenset, deque})


def followed(value: Any, origin: Origin) -> bool:
    """Whether `elements` knows the items of something."""
    kind = base_of(type(value)) or type(value)
    if isinstance(origin, Born) and origin.kind == "iterator":
        return origin.parts is not None
    if kind in (set, frozenset):
        return origin is not None
    if (file := files.known_file(value, origin)) is not None:
        return file.mode in ("r", "lines")
    known = kind in (*SEQUENCES, *DICTS, range, str, bytes, bytearray, Tensor, np.ndarray)
    known = known or special(kind, "__iter__") is not None or _by_index(kind)
    return known or _named(value)


def _named(value: Any) -> bool:
    """Whether something is a named tuple that is iterated as tuples are."""
    kind = type(value)
    ways = ("__iter__", "__getitem__", "__len__")
    fields = isinstance(value, tuple) and hasattr(kind, "_fields")
    return fields and all(special(kind, name) is None for name in ways)


def listed(frame: Operators, value: Any, origin: Origin) -> Iterator[tuple[Any, Origin]]:
    """`elements` of what becomes a list or tuple: Python asks it how long it is, too."""
    recorder, kind = frame.recorder, type(value)
    sized, hints = special(kind, "__len__"), special(kind, "__length_hint__")
    if kind is Tensor or recorder.dead or sized is hints is None:
        yield from elements(frame, value, origin)
        return
    by_index = _by_index(kind)
    if sized is None or not (by_index or special(kind, "__iter__") is not None):
        recorder.refuse(f"the length of a {kind.__name__} that becomes a list")
        yield from elements(frame, value, origin)
        return
    made, where = (value, origin) if by_index else asked(frame, value, origin)
    recorder.classes.guard_special(origin, value, "__len__")
    try:
        length, part = frame.invoke(sized, CONSTANT, (value,), (origin,))
        recorder.pin(part, length)
        len(Answer(length))
    except TypeError:  # Python goes on without a length
        recorder.refuse(f"the length of a {kind.__name__}, which is none")
    yield from (elements if by_index else given)(frame, made, where)


def begun(value: Any) -> Any:
    """What remembers how a container was when its items were asked for; None of others."""
    return iter(value) if type(value) in _REMEMBERED else None


def elements(
    frame: Operators, value: Any, origin: Origin, taken: Any = None
) -> Generator[tuple[Any, Origin], None, Any]:
    """The items of anything iterable, each with its origin; `taken` is what `begun` gave. Returns
    what an iterator written in Python returns."""
    recorder = frame.recorder
    taken = value if taken is None else taken
    if recorder.dead:
        for item in taken:
            yield item, None
        return None
    origin = recorder.origin(origin, value)
    kind: Any = type(value)
    if kind.__flags__ & HEAP:
        kind = behaves(recorder, value, origin)
    if kind in (list, tuple) or _named(value):
        yield from _items_now(recorder, value, origin)
    elif kind is deque:
        recorder.measured(value, origin)
        for i, element in enumerate(taken):  # raises what Python raises if it is changed
            yield element, part_now(recorder, value, origin, i)
    elif kind in DICTS:
        keys(recorder, value, origin)  # type: ignore[arg-type]
        for key in taken:  # raises what Python raises if the dict changes its size
            yield key, CONSTANT
    elif kind in (set, frozenset) and isinstance(origin, Node):
        if id(value) in recorder.lists:
            recorder.refuse(f"iteration over a {kind.__name__} that was changed")
        else:
            recorder.typed(origin, value)
            recorder.guard_keys(origin, value)  # its order too
        for element in taken:
            yield element, CONSTANT
    elif kind in (range, str, bytes, bytearray) or (
        kind in (set, frozenset) and origin is not None
    ):
        recorder.pin(origin, value)
        for element in value:
            yield element, CONSTANT
    elif kind is Tensor:
        recorder.outside.guard(value)  # type: ignore[arg-type]
        for element in value:
            yield element, recorder.origin(None, element)
    elif kind is np.ndarray:
        recorder.guarded(iter, value)  # one of shape () says that it cannot
        recorder.pin(numpy_calls.length(recorder, value, origin)[1], len(value))  # type: ignore[arg-type]
        for i in range(len(value)):
            yield numpy_calls.item(recorder, value, i, origin, CONSTANT)
    elif isinstance(origin, Born) and origin.kind == "iterator" and origin.parts is not None:
        source = origin.parts()
        if getattr(source, "gi_running", False):
            recorder.refuse("an iterator that is asked while it is asked")
            source = ((element, None) for element in value)
        # not `yield from`, which would end it where the loop is left
        for pair in source:  # noqa: UP028
            yield pair
    elif (file := files.known_file(value, origin)) is not None and file.mode in ("r", "lines"):
        yield from files.lines_of(frame, value, file)
    elif special(kind, "__iter__") is not None:
        return (yield from given(frame, *asked(frame, value, origin)))
    elif _by_index(kind):
        yield from _at_each_index(frame, value, origin)
    else:
        recorder.refuse(f"iteration over a {kind.__name__}")
        for element in value:
            yield element, None
    return None


def _by_index(kind: type) -> bool:
    """Whether Python asks instances for the items 0, 1, 2... by a method written in Python."""
    return special(kind, "__getitem__") is not None and not lookup(kind, "__iter__")[0]


def _at_each_index(frame: Operators, value: Any, origin: Origin) -> Iterator[tuple[Any, Origin]]:
    recorder, method = frame.recorder, special(type(value), "__getitem__")
    recorder.classes.find(type(value), "__iter__")
    recorder.classes.guard_special(origin, value, "__getitem__")
    for i in itertools.count():
        try:
            pair = frame.invoke(method, CONSTANT, (value, i), (origin, CONSTANT))
        except (IndexError, StopIteration):
            return
        yield pair


def asked(frame: Operators, value: Any, origin: Origin) -> tuple[Any, Origin]:
    """The iterator that an object of a class written in Python gives, and its origin."""
    recorder = frame.recorder
    recorder.classes.guard_special(origin, value, "__iter__")
    made, where = frame.invoke(special(type(value), "__iter__"), CONSTANT, (value,), (origin,))
    if not hasattr(type(made), "__next__"):
        recorder.refuse(f"a {type(made).__name__}, which is no iterator")
        raise TypeError(f"iter() returned non-iterator of type {type(made).__name__!r}")
    found = recorder.origin(where, made)
    recorder.typed(found, made)
    return made, found


def given(frame: Operators, made: Any, where: Origin) -> Generator[tuple[Any, Origin], None, Any]:
    """The items that the iterator of such an object gives; returns what that returns."""
    recorder = frame.recorder
    following = special(type(made), "__next__")
    if following is None and not recorder.dead and followed(made, where):
        return (yield from elements(frame, made, where))
    if following is None:
        recorder.refuse(f"iteration over a {type(made).__name__}")
    elif not recorder.dead:
        recorder.classes.guard_special(where, made, "__next__")
    while True:
        try:
            if not hasattr(type(made), "__next__"):  # by what it did itself
                raise TypeError(f"{type(made).__name__!r} object is not iterable")
            if recorder.dead:
                item_, part = next(made), None
            else:
                item_, part = frame.invoke(following, CONSTANT, (made,), (where,))
        except StopIteration as over:
            return over.value
        yield item_, part


def _items_now(recorder: Recorder, value: Any, origin: Origin) -> Iterator[tuple[Any, Origin]]:
    """The items of a list or tuple, by position as Python goes, with their origins: what is put
    into a list while it is iterated is seen."""
    recorder.measured(value, origin)
    reads, number, i = recorder.reads, id(value), 0
    while i < len(value):
        item, key = value[i], (number, i)
        before = reads.get(key)
        if (
            before is not None
            and before[1] is origin
            and before[3] is item
            and number not in recorder.lists
        ):
            yield item, before[4]
        else:
            part = part_now(recorder, value, origin, i)
            if isinstance(origin, Node) and number not in recorder.lists and not recorder.dead:
                reads[key] = (value, origin, None, item, part, None)
            yield item, part
        i += 1


def part_now(recorder: Recorder, value: Any, origin: Origin, i: int) -> Origin:
    """The origin of what is now the item `i` of a list or tuple of guarded length."""
    if recorder.dead:
        return None
    origin = recorder.parted(value, origin)
    if isinstance(origin, Born):
        return origin.parts[i]
    if isinstance(origin, Node):
        return recorder.read(recorder.nodes("{0}[{k0}]", (origin,), (i,)), value[i])
    return origin


def keys(recorder: Recorder, value: dict, origin: Origin) -> list[Any]:
    """The keys of a dict, in order, as constants."""
    shadow = recorder.lists.get(id(value))
    if shadow is not None:
        shadow.pin_keys()
        recorder.guard_keys(shadow.node, shadow.held)  # what is stored comes behind, as here
    elif isinstance(origin, Node):
        recorder.typed(origin, value)
        recorder.guard_keys(origin, value)
    return list(value)
