"""`a in b`.

Comes in: a value and what it may be in, where both came from. Goes out: the answer, and the guards
that make it sure.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor

from . import growing, iteration, moving, value_keys
from .classes import lookup, special
from .kinds import DICTS, FIXED, HEAP, SEQUENCES, VIEWS
from .provenance import CONSTANT, SCALARS, Born, Node, Origin, Read
from .shadows import key_node, viewed
from .subclasses import behaves

if TYPE_CHECKING:
    from .operators import Operators


def contains(frame: Operators, a: Any, b: Any, pa: Origin, pb: Origin) -> Read:
    """`a in b` and its origin."""
    recorder = frame.recorder
    kind = type(b)
    if kind.__flags__ & HEAP:
        kind = behaves(recorder, b, pb)
    if kind in DICTS:
        found = _of_changing(recorder, a, b, pa, pb)
        if found is not None:
            return found, CONSTANT
        stands = value_keys.standing(recorder, pa, a)
        if stands is not None and not value_keys.sound(recorder, b):
            recorder.refuse("a dict with keys that are no plain values")
        elif stands is None and not key_node(recorder, pa, a):
            return a in b, None
        shadow = recorder.lists.get(id(b))
        out = recorder.watching(operator.contains, b, a) if stands is None else a in b
        if isinstance(pb, Node) and not (shadow is not None and a in shadow.changed):
            recorder.typed(pb, b)
            value_keys.guard_held(recorder, pb, a, stands, out)
        return out, CONSTANT
    view = viewed(b, pb)
    if view is not None and kind is VIEWS[0]:
        return contains(frame, a, view.owner, pa, view.origin)
    scalars = type(a) in SCALARS or isinstance(a, FIXED)
    whole = growing.whole(recorder, b, pb) if kind is list and type(a) in SCALARS else None
    if whole is not None:
        recorder.typed(pa, a)
        text, nodes = whole
        known = recorder.as_node(pa, a)
        if known is not None:
            found = recorder.nodes(f"({{{len(nodes)}}} in {text})", (*nodes, known))
            recorder.sure(found)
            return a in b, found
    if kind in SEQUENCES and type(a) in SCALARS:
        parts = list(recorder.items(b, pb))
        if all(type(item) in SCALARS for item, _ in parts):
            values = (a, *(item for item, _ in parts))
            origins = (pa, *(part for _, part in parts))
            text = "({0} in (" + "".join(f"{{{i}}}, " for i in range(1, len(values))) + "))"
            return a in b, frame.expression(text, values, origins)
    if kind in SEQUENCES and any(type(x) is Tensor for x in (a, *b)):
        return _among(frame, a, recorder.items(b, pb), pa), CONSTANT
    if kind in (list, tuple, set, frozenset, str, range) and scalars:
        if kind is set:
            found = _of_changing(recorder, a, b, pa, pb)
            if found is not None:
                return found, CONSTANT
        if kind in (set, frozenset) and isinstance(pb, Node):
            recorder.typed(pb, b)
            recorder.pin(pa, a)
            shadow = recorder.lists.get(id(b))
            if shadow is None or a not in shadow.changed:
                recorder.guard("{k0} in {0}" if a in b else "{k0} not in {0}", pb, constants=(a,))
            return a in b, CONSTANT
        recorder.pin(pa, a)
        recorder.pin(pb, b)
        return recorder.guarded(operator.contains, b, a), CONSTANT
    method = special(kind, "__contains__")
    if method is not None:
        recorder.classes.guard_special(pb, b, "__contains__")
        out, made = frame.invoke(method, CONSTANT, (b, a), (pb, pa))
        return bool(out) if recorder.dead else frame.truth_of(made, out), CONSTANT
    made_here = isinstance(pb, Born) and pb.kind == "iterator"
    if not lookup(kind, "__contains__")[0] and iteration.followed(b, pb):
        if not made_here:
            recorder.classes.find(kind, "__contains__")
        return _among(frame, a, iteration.elements(frame, b, pb), pa), CONSTANT
    recorder.refuse(f"{type(a).__name__} in {kind.__name__}")
    return a in b, None


def _of_changing(recorder: Any, a: Any, b: Any, pa: Origin, pb: Origin) -> bool | None:
    """Whether a key that differs from call to call is in a dict from outside, or one that the call
    has stored by that key; None if it has to be the same at a replay."""
    shadow = recorder.lists.get(id(b))
    if not moving.is_key(recorder, a, pa) or (shadow is None and not isinstance(pb, Node)):
        return None
    if not all(type(key) in SCALARS for key in b):
        return None
    if shadow is not None:
        return True if pa in shadow.loose else None
    assert isinstance(pb, Node)
    assert isinstance(pa, Node)
    recorder.typed(pb, b)
    recorder.typed(pa, a)
    recorder.guard("{1} in {0}" if a in b else "{1} not in {0}", pb, pa)
    return a in b


def _among(frame: Operators, a: Any, items: Iterable[tuple[Any, Origin]], pa: Origin) -> bool:
    """`a in items` by comparisons, one after the other, as Python does it."""
    slots = frame.slots
    slot = len(slots)
    slots += [None, None, None]
    for item, part in items:
        if item is a and (type(a) not in SCALARS or a != a):
            frame.recorder.refuse("`in` that finds the same object")
            return True
        slots[slot], slots[slot + 1] = pa, part
        out = frame.compare(slot + 2, "Eq", slot + 1, slot, item, a)
        if frame.truth(slot + 2, out):
            return True
    return False
