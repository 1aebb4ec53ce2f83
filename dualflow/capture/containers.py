"""Lists, tuples, dicts and sets: reads, stores, iteration, with the origins of their parts.

Comes in: a container, where it came from, a key. Goes out: the part and where it came from. A
container from outside that is changed gets a *shadow*, which knows what the call did to it.
"""

from __future__ import annotations

import operator
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, final

import numpy as np

from dualflow.array.tensor import Tensor

from . import numpy_calls
from .attributes import built_in, special
from .numpy_arrays import TYPES
from .provenance import CONSTANT, SCALARS, Born, Node, Origin
from .recorder import FIXED, Recorder
from .values import arithmetic_state

if TYPE_CHECKING:
    from .operators import Operators

Read = tuple[Any, Origin]
_ABSENT = object()
_VIEWS = (type({}.keys()), type({}.values()), type({}.items()))
#: what is looked up and stored in as in a dict; of other keys than a dict's they make values
DICTS = (dict, Counter, defaultdict, OrderedDict)
_SEQUENCES = (list, tuple, deque)
_SIZED = frozenset([*DICTS, *_SEQUENCES, set, frozenset, str, bytes])


@final
class Shadow:
    """A list or dict from outside that the call changed.

    A list that was only appended to need not have a length known beforehand.
    """

    def __init__(self, recorder: Recorder, node: Node, value: Any) -> None:
        self.node, self.kind = node, type(value)
        self.count = len(value)  # before the call
        self.held = tuple(value) if isinstance(value, dict) else ()  # its keys before the call
        self.added: list[Origin] = []  # appended
        self.parts: Born | None = None  # once all is known
        self.changed: dict[Any, Origin] = {}
        recorder.typed(node, value)

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
    return parts if isinstance(parts, View) and type(value) in _VIEWS else None


def shadow_of(recorder: Recorder, value: Any, origin: Origin) -> Any:
    """What knows the parts of a container that is about to be changed: its Born, or a Shadow."""
    found = recorder.lists.get(id(value))
    if found is not None:
        return found
    if isinstance(origin, Born):
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


def item(frame: Operators, owner: Any, key: Any, origin: Origin, key_origin: Origin) -> Read:
    """`owner[key]` and its origin."""
    recorder = frame.recorder
    kind: Any = type(owner)
    if isinstance(key, np.integer) and kind in _SEQUENCES:
        recorder.pin(key_origin, key)
        key, key_origin = int(key), CONSTANT
    if kind is Tensor:
        recorder.understand(key_origin, key)
        if not recorder.dead:
            out = recorder.asking(operator.getitem, owner, key)
            return out, recorder.origin(None, out)
        return owner[key], None
    if kind in _SEQUENCES or (isinstance(owner, tuple) and hasattr(kind, "_fields")):
        return _of_sequence(recorder, owner, key, origin, key_origin)
    if kind in TYPES:
        return numpy_calls.item(recorder, owner, key, origin, key_origin)
    if kind in numpy_calls.INDEXED and isinstance(origin, Node):
        return numpy_calls.index(recorder, owner, key, origin, key_origin)
    if kind in DICTS:
        return _of_dict(frame, owner, key, origin, key_origin)  # type: ignore[arg-type]
    if kind in (str, bytes, range):
        recorder.pin(origin, owner)
        recorder.pin(key_origin, key)
        return recorder.certain(operator.getitem, (owner, key)), CONSTANT
    method = special(kind, "__getitem__")
    if method is not None:
        recorder.guard_special(origin, owner, "__getitem__")
        return frame.invoke(method, CONSTANT, (owner, key), (origin, key_origin))
    recorder.refuse(f"an item of a {kind.__name__}")
    return owner[key], None


def _of_sequence(
    recorder: Recorder, owner: Any, key: Any, origin: Origin, key_origin: Origin
) -> Read:
    recorder.understand(key_origin, key)
    if recorder.dead:
        return owner[key], None
    shadow = recorder.lists.get(id(owner))
    if type(key) is slice and not isinstance(owner, deque):
        parts = [part for _, part in recorder.items(owner, origin)]
        value = owner[key]
        return value, recorder.born(value, type(owner).__name__, parts[key])
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


def _of_appended(recorder: Recorder, shadow: Shadow, key: int, value: Any) -> Origin:
    if key < 0 and -key <= len(shadow.added):
        return shadow.added[key]
    if 0 <= key < shadow.count:
        return recorder.found(recorder.nodes("{0}[{k0}]", (shadow.node,), (key,)), value)
    return shadow.whole(recorder).parts[key]


def _of_dict(frame: Operators, owner: dict, key: Any, origin: Origin, key_origin: Origin) -> Read:
    recorder, kind = frame.recorder, type(owner)
    if not key_node(recorder, key_origin, key):
        return owner[key], None
    if kind is not dict and not plain_keys(recorder, owner):
        return owner[key], None
    shadow = recorder.lists.get(id(owner))
    if shadow is not None and key in shadow.changed:
        if kind is not dict and key not in owner:
            recorder.refuse(f"a key that was taken out of a {kind.__name__}")
        return owner[key], shadow.changed[key]
    if isinstance(origin, Born):
        if key not in owner:
            return _missing(frame, owner, key, origin)
        if key not in origin.parts:
            recorder.refuse("the parts of a dict are not known")
            return owner[key], None
        return owner[key], origin.parts[key]
    node = recorder.as_node(origin, owner)
    assert node is not None
    recorder.typed(origin, owner)
    value = recorder.watching(owner.get, key, _ABSENT)
    if value is _ABSENT:
        recorder.guard("{k0} not in {0}", node, constants=(key,))
        return _missing(frame, owner, key, origin)
    if kind is not dict:  # a guard that asks for a key must not make it
        recorder.guard("{k0} in {0}", node, constants=(key,))
    return value, recorder.found(recorder.nodes("{0}[{k0}]", (node,), (key,)), value)


def _missing(frame: Operators, owner: dict, key: Any, origin: Origin) -> Read:
    """What a dict gives for a key that it does not have."""
    recorder = frame.recorder
    if type(owner) is Counter:
        recorder.guard_special(origin, owner, "__missing__")
        if getattr(Counter.__missing__, "__module__", None) != "collections":
            recorder.refuse("a Counter that was changed")
        return owner[key], CONSTANT
    if type(owner) is not defaultdict:
        raise KeyError(key)
    factory, made = owner.default_factory, factory_of(recorder, owner, origin)
    if factory is None:
        recorder.pin(made, factory)
        raise KeyError(key)
    value, part = frame.invoke(factory, made, (), ())
    set_item(frame, owner, key, value, origin, CONSTANT, part)
    return value, part


def factory_of(recorder: Recorder, owner: defaultdict, origin: Origin) -> Origin:
    """The origin of the factory of a default dict."""
    node = recorder.as_node(origin, owner)
    if node is None:
        return recorder.origin(recorder.factories.get(id(owner)), owner.default_factory)
    return recorder.found(recorder.nodes("{0}.default_factory", (node,)), owner.default_factory)


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
        recorder.understand(ko, key)
        scalars = []
        if type(value) is not Tensor:
            if isinstance(part, Node) and part.late:
                recorder.refuse("a number read from a tensor, stored in a tensor")
            recorder.understand(part, value)
        with recorder.with_scalars(scalars):
            recorder.asking(operator.setitem, owner, key, value)
        return
    if kind is np.ndarray:
        numpy_calls.set_item(recorder, owner, key, value, (origin, ko, part))
        return
    if kind in DICTS:
        if key_node(recorder, ko, key) and plain_keys(recorder, owner):
            recorder.drops(owner.get(key))
            _set_in_dict(recorder, owner, key, value, origin, part)
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
    recorder.refuse(f"an item stored in a {kind.__name__}")
    owner[key] = value


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


def replaced(recorder: Recorder, shadow: Any, key: slice, values: list, parts: list) -> None:
    """Note that the items `key` of a list are now `values`."""
    if not isinstance(shadow, Born):
        made = recorder.born(values, "list", parts)
        line = recorder.effect_line()
        recorder.effects.append(("item", shadow.node, key, CONSTANT, values, made, line))


def delete(frame: Operators, owner: Any, key: Any, origin: Origin, ko: Origin) -> None:
    """`del owner[key]`, done and noted."""
    recorder, kind = frame.recorder, type(owner)
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
    else:
        recorder.refuse(f"del of an item of a {kind.__name__}")
    recorder.watching(operator.delitem, owner, key)


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
    shadow.changed[key] = CONSTANT
    recorder.effects.append(("delete", shadow.node, key, recorder.effect_line()))


def _set_in_dict(
    recorder: Recorder, owner: dict, key: Any, value: Any, origin: Origin, part: Origin
) -> None:
    shadow = shadow_of(recorder, owner, origin)
    if isinstance(shadow, Born):
        shadow.parts[key] = part
        return
    if key not in shadow.changed:
        text = "{k0} in {0}" if key in owner else "{k0} not in {0}"
        recorder.guard(text, shadow.node, constants=(key,))
    shadow.changed[key] = part
    recorder.effects.append(
        ("item", shadow.node, key, CONSTANT, value, part, recorder.effect_line())
    )


def contains(frame: Operators, a: Any, b: Any, pa: Origin, pb: Origin) -> Read:
    """`a in b` and its origin."""
    recorder = frame.recorder
    kind = type(b)
    if kind in DICTS:
        if not key_node(recorder, pa, a):
            return a in b, None
        shadow = recorder.lists.get(id(b))
        out = recorder.watching(operator.contains, b, a)
        if isinstance(pb, Node) and not (shadow is not None and a in shadow.changed):
            recorder.typed(pb, b)
            text = "{k0} in {0}" if out else "{k0} not in {0}"
            recorder.guard(text, pb, constants=(a,))
        return out, CONSTANT
    view = viewed(b, pb)
    if view is not None and kind is _VIEWS[0]:
        return contains(frame, a, view.owner, pa, view.origin)
    scalars = type(a) in SCALARS or isinstance(a, FIXED)
    if kind in _SEQUENCES and type(a) in SCALARS:
        parts = list(recorder.items(b, pb))
        if all(type(item) in SCALARS for item, _ in parts):
            values = (a, *(item for item, _ in parts))
            origins = (pa, *(part for _, part in parts))
            text = "({0} in (" + "".join(f"{{{i}}}, " for i in range(1, len(values))) + "))"
            return a in b, frame.expression(text, values, origins)
    if kind in _SEQUENCES and any(type(x) is Tensor for x in (a, *b)):
        return _contains_tensor(frame, a, b, pa, pb), CONSTANT
    if kind in (list, tuple, set, frozenset, str, range) and scalars:
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
        recorder.guard_special(pb, b, "__contains__")
        out, made = frame.invoke(method, CONSTANT, (b, a), (pb, pa))
        return bool(out) if recorder.dead else frame._truth(made, out), CONSTANT
    recorder.refuse(f"{type(a).__name__} in {kind.__name__}")
    return a in b, None


def _contains_tensor(frame: Operators, a: Any, b: Any, pa: Origin, pb: Origin) -> bool:
    """`a in b` by comparisons, one after the other, as Python does it."""
    slots = frame.slots
    slot = len(slots)
    slots += [None, None, None]
    for item, part in frame.recorder.items(b, pb):
        if item is a:
            frame.recorder.refuse("`in` that finds the same object")
            return True
        slots[slot], slots[slot + 1] = pa, part
        out = frame.compare(slot + 2, "Eq", slot, slot + 1, a, item)
        if frame.truth(slot + 2, out):
            return True
    return False


def length(frame: Operators, value: Any, origin: Origin) -> Read:
    """`len(value)` and its origin."""
    recorder = frame.recorder
    kind = type(value)
    if kind is Tensor:
        recorder.tensor(value)
        return recorder.guarded(len, value), CONSTANT
    if kind is np.ndarray:
        return numpy_calls.length(recorder, value, origin)
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
        recorder.guard("len({0}) == {k0}", shadow.node, constants=(shadow.count,))
        return len(value), CONSTANT
    if isinstance(origin, Node) and kind is range:
        recorder.pin(origin, value)
        return len(value), CONSTANT
    if isinstance(origin, Node) and kind in _SIZED:
        recorder.typed(origin, value)
        return len(value), recorder.nodes("(len({0}))", (origin,))
    here = (isinstance(origin, Born) and origin.kind != "opaque") or origin is CONSTANT
    plain = kind in _SIZED or kind is range or isinstance(value, tuple)
    if here and plain:
        return len(value), CONSTANT
    view = viewed(value, origin)
    if view is not None:
        return length(frame, view.owner, view.origin)
    method = special(kind, "__len__")
    if method is not None:
        recorder.guard_special(origin, value, "__len__")
        return frame.invoke(method, CONSTANT, (value,), (origin,))
    recorder.refuse(f"len of a {kind.__name__}")
    return len(value), None


def followed(value: Any, origin: Origin) -> bool:
    """Whether `elements` knows the items of something."""
    kind = type(value)
    if isinstance(origin, Born) and origin.kind == "iterator":
        return origin.parts is not None
    if kind in (set, frozenset):
        return origin is not None
    known = kind in (*_SEQUENCES, *DICTS, range, str, bytes, Tensor, np.ndarray)
    known = known or special(kind, "__iter__") is not None
    return known or (isinstance(value, tuple) and hasattr(kind, "_fields"))


def hinted(recorder: Recorder, value: Any) -> None:
    """Python asks what it puts into a list or tuple how long it is."""
    kind = type(value)
    if kind is Tensor:
        return
    if special(kind, "__len__") is not None or special(kind, "__length_hint__") is not None:
        recorder.refuse(f"the length of a {kind.__name__} that becomes a list")


def elements(frame: Operators, value: Any, origin: Origin) -> Iterator[tuple[Any, Origin]]:
    """The items of anything iterable, each with its origin."""
    recorder = frame.recorder
    if recorder.dead:
        for item in value:
            yield item, None
        return
    origin = recorder.origin(origin, value)
    kind: Any = type(value)
    if kind in (list, tuple) or (isinstance(value, tuple) and hasattr(kind, "_fields")):
        yield from _items_now(recorder, value, origin)
    elif kind is deque:
        for _ in recorder.items(value, origin):  # guards the length
            pass
        for i, element in enumerate(value):  # raises what Python raises if it is changed
            yield element, part_now(recorder, value, origin, i)
    elif kind in DICTS:
        keys(recorder, value, origin)  # type: ignore[arg-type]
        for key in value:  # raises what Python raises if the dict changes its size
            yield key, CONSTANT
    elif kind in (set, frozenset) and isinstance(origin, Node):
        if id(value) in recorder.lists:
            recorder.refuse(f"iteration over a {kind.__name__} that was changed")
        else:
            recorder.typed(origin, value)
            recorder.guard_keys(origin, value)  # its order too
        for element in value:
            yield element, CONSTANT
    elif kind in (range, str, bytes) or (kind in (set, frozenset) and origin is not None):
        recorder.pin(origin, value)
        for element in value:
            yield element, CONSTANT
    elif kind is Tensor:
        recorder.tensor(value)  # type: ignore[arg-type]
        for element in value:
            yield element, recorder.origin(None, element)
    elif kind is np.ndarray:
        recorder.guarded(iter, value)  # one of shape () says that it cannot
        recorder.pin(numpy_calls.length(recorder, value, origin)[1], len(value))  # type: ignore[arg-type]
        for i in range(len(value)):
            yield numpy_calls.item(recorder, value, i, origin, CONSTANT)
    elif isinstance(origin, Born) and origin.kind == "iterator" and origin.parts is not None:
        source = origin.parts()
        # not `yield from`, which would end it where the loop is left
        for pair in source:  # noqa: UP028
            yield pair
    elif special(kind, "__iter__") is not None:
        yield from _asked(frame, value, origin)
    else:
        recorder.refuse(f"iteration over a {kind.__name__}")
        for element in value:
            yield element, None


def _asked(frame: Operators, value: Any, origin: Origin) -> Iterator[tuple[Any, Origin]]:
    """The items that an object of a class written in Python gives."""
    recorder = frame.recorder
    recorder.guard_special(origin, value, "__iter__")
    made, where = frame.invoke(special(type(value), "__iter__"), CONSTANT, (value,), (origin,))
    if not hasattr(type(made), "__next__"):
        raise TypeError(f"iter() returned non-iterator of type {type(made).__name__!r}")
    following = special(type(made), "__next__")
    if following is None or recorder.dead:
        yield from elements(frame, made, where)
        return
    recorder.guard_special(where, made, "__next__")
    while True:
        try:
            item_, part = frame.invoke(following, CONSTANT, (made,), (where,))
        except StopIteration:
            return
        yield item_, part


def _items_now(recorder: Recorder, value: Any, origin: Origin) -> Iterator[tuple[Any, Origin]]:
    """The items of a list or tuple, by position as Python goes, with their origins: what is put
    into a list while it is iterated is seen."""
    for _ in recorder.items(value, origin):  # guards the length
        pass
    i = 0
    while i < len(value):
        yield value[i], part_now(recorder, value, origin, i)
        i += 1


def part_now(recorder: Recorder, value: Any, origin: Origin, i: int) -> Origin:
    """The origin of what is now the item `i` of a list or tuple of guarded length."""
    if recorder.dead:
        return None
    shadow = recorder.lists.get(id(value))
    if shadow is not None:
        origin = shadow.whole(recorder)
    if isinstance(origin, Born):
        if origin.kind not in ("list", "tuple") or len(origin.parts) != len(value):
            recorder.refuse(f"the parts of a {type(value).__name__} are not known")
            return None
        return origin.parts[i]
    if isinstance(origin, Node):
        return recorder.read(recorder.nodes("{0}[{k0}]", (origin,), (i,)), value[i])
    return origin


def dict_items(frame: Operators, value: dict, origin: Origin) -> list[tuple[Any, Origin]]:
    """The keys of a dict, which are guarded, with the origins of the values."""
    names = keys(frame.recorder, value, origin)
    if frame.recorder.dead:
        return []
    return [(key, item(frame, value, key, origin, CONSTANT)[1]) for key in names]


def keys(recorder: Recorder, value: dict, origin: Origin) -> list[Any]:
    """The keys of a dict, in order, as constants."""
    shadow = recorder.lists.get(id(value))
    if shadow is not None:
        recorder.guard_keys(shadow.node, shadow.held)  # what is stored comes behind, as here
    elif isinstance(origin, Node):
        recorder.typed(origin, value)
        recorder.guard_keys(origin, value)
    return list(value)


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
    if any(type(x) is _VIEWS[0] for x in (a, b)) and symbol in ("&", "|", "-", "^"):
        for x, origin in ((a, pa), (b, pb)):
            view = viewed(x, origin)
            if view is not None and type(x) is _VIEWS[0]:
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
    elif isinstance(a, FIXED) or isinstance(b, FIXED):
        if not (type(a) in SCALARS or isinstance(a, FIXED)) or type(a) is type:
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
