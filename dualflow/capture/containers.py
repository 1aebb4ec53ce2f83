"""Containers as wholes: their length, displays that make them, `+`, `*`, `|` and the like of them.

Comes in: containers with where they came from. Goes out: the length, or the container that is made,
with the origins of its parts.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from dualflow.array.tensor import Tensor

from .classes import built_in, special
from .item_reads import dict_items, item
from .iteration import keys
from .kinds import FIXED, HEAP, NUMERIC, SIZED, VIEWS
from .ndarrays import calls as numpy_calls
from .provenance import CONSTANT, SCALARS, Born, Node, Origin, Read
from .shadows import key_node, viewed
from .special_methods import METHODS, Answer
from .subclasses import behaves
from .values import arithmetic_state

if TYPE_CHECKING:
    from .operators import Operators
    from .recorder import Recorder


def length(frame: Operators, value: Any, origin: Origin) -> Read:
    """`len(value)` and its origin."""
    recorder = frame.recorder
    kind = type(value)
    if kind is Tensor:
        recorder.outside.guard(value)
        return recorder.guarded(len, value), CONSTANT
    if kind is np.ndarray:
        return numpy_calls.length(recorder, value, origin)
    if kind.__flags__ & HEAP:
        kind = behaves(recorder, value, origin)
    shadow = recorder.lists.get(id(value))
    if shadow is not None:
        if kind is deque:
            return len(value), CONSTANT if shadow.whole(recorder) else None
        if kind is list and shadow.parts is None:
            added = recorder.constant(len(shadow.added))
            base = recorder.nodes("len({0})", (shadow.node,))
            return len(value), recorder.nodes("(len({0}) + {1})", (shadow.node, added)) or base
        if kind is list:
            return len(value), CONSTANT
        added = recorder.constant(len(value) - shadow.count)  # whether each was there is guarded
        return len(value), recorder.nodes("(len({0}) + {1})", (shadow.node, added))
    if isinstance(origin, Node) and kind in (range, bytearray):
        recorder.pin(origin, value)
        return len(value), CONSTANT
    if isinstance(origin, Node) and kind in SIZED:
        recorder.typed(origin, value)
        return len(value), recorder.nodes("(len({0}))", (origin,))
    here = (isinstance(origin, Born) and origin.kind != "opaque") or origin is CONSTANT
    plain = kind in SIZED or kind is range or isinstance(value, tuple)
    if here and plain:
        return len(value), CONSTANT
    view = viewed(value, origin)
    if view is not None:
        return length(frame, view.owner, view.origin)
    method = special(kind, "__len__")
    if method is not None:
        recorder.classes.guard_special(origin, value, "__len__")
        out, found = frame.invoke(method, CONSTANT, (value,), (origin,))
        if type(out) is not int or not 0 <= out <= sys.maxsize:
            recorder.refuse(f"len of a {kind.__name__}, which is no length")
            return len(Answer(out)), None
        if isinstance(found, Node):
            recorder.typed(found, out)
            recorder.guard("0 <= {0} <= {k0}", found, constants=(sys.maxsize,))
        return out, found
    recorder.refuse(f"len of a {kind.__name__}")
    return len(value), None


def built(frame: Operators, value: Any, found: list[Origin]) -> Origin:
    """The origin of a list, tuple or set display of parts of these origins."""
    recorder = frame.recorder
    if type(value) is set:
        if not all(origin is CONSTANT for origin in found):
            recorder.refuse("a set of values that are no constants")
        return recorder.born(value, "set")
    if len(found) != len(value):
        recorder.refuse("a display whose parts are not known")
        return None
    origins = [frame.known(origin, item) for origin, item in zip(found, value, strict=True)]
    if type(value) is tuple and all(origin is CONSTANT for origin in origins):
        return CONSTANT
    return recorder.born(value, type(value).__name__, origins)


def built_dict(frame: Operators, value: dict, keys: tuple, values: tuple) -> Origin:
    """The origin of a dict display."""
    recorder = frame.recorder
    if len(value) != len(keys):
        recorder.refuse("a dict display with a key twice")
        return None
    parts: dict[Any, Origin] = {}
    for (key, item_), ks, vs in zip(value.items(), keys, values, strict=True):
        if not key_node(recorder, frame.origin(ks, key), key):
            return None
        parts[key] = frame.origin(vs, item_)
    return recorder.born(value, "dict", parts)


def arithmetic(
    frame: Operators, f: Any, symbol: str, a: Any, b: Any, pa: Origin, pb: Origin
) -> Read | None:
    """`+` and `*` of lists and tuples, `|`, `&`, `-` and `^` of sets and dicts; None for anything
    else."""
    recorder = frame.recorder
    if type(a) is dict and type(b) is dict and symbol == "|":
        merged = dict(dict_items(frame, a, pa)) | dict(dict_items(frame, b, pb))
        value = a | b
        return value, recorder.born(value, "dict", merged)
    if type(a) is str and symbol == "%" and type(b) is tuple:
        pairs = [(a, pa), *recorder.items(b, pb)]
        if all(type(part) in SCALARS for part in b):
            text = "({0} % (" + "".join(f"{{{i}}}, " for i in range(1, len(pairs))) + "))"
            values, origins = [pair[0] for pair in pairs], tuple(pair[1] for pair in pairs)
            made = recorder.certain(lambda *_: a % b, values, origins)
            return made, frame.expression(text, tuple(values), origins)
    if type(a) is str and symbol == "%" and type(b) is dict:
        names = list(dict.fromkeys(re.findall(r"%\((\w+)\)", a)))
        found = [(key, *item(frame, b, key, pb, CONSTANT)) for key in names]
        if not recorder.dead and all(type(value) in SCALARS for _, value, _ in found):
            pairs = "".join(f"{key!r}: {{{i}}}, " for i, key in enumerate(names, 1))
            values = (a, *(value for _, value, _ in found))
            origins = (pa, *(part for *_, part in found))
            made = recorder.certain(lambda *_: a % b, values, origins)
            return made, frame.expression(f"({{0}} % {{{{{pairs}}}}})", values, origins)
    if any(type(x) is VIEWS[0] for x in (a, b)) and symbol in ("&", "|", "-", "^"):
        for x, origin in ((a, pa), (b, pb)):
            view = viewed(x, origin)
            if view is not None and type(x) is VIEWS[0]:
                keys(recorder, view.owner, view.origin)
            else:
                recorder.pin(origin, x)
        value = f(a, b)
        return value, recorder.born(value, "set")
    if type(a) in (set, frozenset) and type(b) in (set, frozenset):
        recorder.pin(pa, a)
        recorder.pin(pb, b)
        value = f(a, b)
        return value, CONSTANT if type(value) is frozenset else recorder.born(value, "set")
    sequence = (list, tuple)
    if type(a) in sequence and type(b) is type(a) and symbol == "+":
        parts = [part for side in ((a, pa), (b, pb)) for _, part in recorder.items(*side)]
    elif type(a) in sequence and type(b) is int and symbol == "*":
        recorder.pin(pb, b)
        parts = [part for _, part in recorder.items(a, pa)] * b
    elif type(b) in sequence and type(a) is int and symbol == "*":
        recorder.pin(pa, a)
        parts = [part for _, part in recorder.items(b, pb)] * a
    elif isinstance(a, (*FIXED, *NUMERIC)) or isinstance(b, (*FIXED, *NUMERIC)):
        if not _computes(recorder, f, a, b) or type(a) is type:
            return None
        recorder.pin(pa, a)
        recorder.pin(pb, b)
        if any(type(x).__module__ == "decimal" for x in (a, b)):
            recorder.guard("{k0}() == {k1}", constants=(arithmetic_state, arithmetic_state()))
        return recorder.certain(f, (a, b)), CONSTANT
    else:
        return None
    value = f(a, b)
    if type(value) is tuple and all(part is CONSTANT for part in parts):
        return value, CONSTANT
    return value, recorder.born(value, type(value).__name__, parts)


def _computes(recorder: Recorder, f: Any, a: Any, b: Any) -> bool:
    """Whether an operator makes constants of constants by no code of a program."""
    if not all(type(x) in SCALARS or isinstance(x, (*FIXED, *NUMERIC)) for x in (a, b)):
        return False
    plain = f.__name__ if f.__name__ in METHODS else f.__name__[1:]  # add of iadd
    name = METHODS.get(plain) or METHODS.get(f"{plain}_")
    if name is None:
        return False
    names = [f"__{way}{name[2:]}" for way in ("", "r", "i")]
    return all(built_in(recorder, x, *names) for x in (a, b))
