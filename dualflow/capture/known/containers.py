"""Known callables: making, reading and changing lists, tuples and dicts.

Comes in: a `Call`. Goes out: its plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .. import growing, item_reads, item_stores, iteration, membership, shadows, value_keys
from ..kinds import DICTS, FIXED
from ..provenance import CONSTANT, SCALARS, Born, Origin
from ..subclasses import behaves
from ..tables import known, methods
from .functions import constant_only

if TYPE_CHECKING:
    from ..plans import Call, Plan


@known(range, slice)
def _range(call: Call) -> Plan | None:
    recorder = call.recorder
    for value, origin in zip(call.args, call.origins, strict=True):
        if type(value) not in (int, bool, type(None)):
            call.refuse(f"{call.name} of a {type(value).__name__}")
            return None
        recorder.pin(origin, value)
    return call.plan(lambda out: CONSTANT, lambda *args: recorder.certain(call.function, args))


def _first(call: Call) -> tuple[Any, Origin]:
    return call.args[0], call.origins[0]


@known(list, tuple)
def _sequence(call: Call) -> Plan | None:
    recorder, frame, kind = call.recorder, call.frame, call.function
    parts: list[Origin] = []
    whole = growing.whole(recorder, *_first(call)) if len(call.args) == 1 else None
    if whole is not None:
        return growing.made_of(call, whole)

    def run(*args: Any) -> Any:
        if not args:
            return kind()
        pairs = list(iteration.listed(frame, args[0], call.origins[0]))
        parts.extend(part for _, part in pairs)
        return kind([value for value, _ in pairs])

    def finish(out: Any) -> Origin:
        if kind is tuple and all(part is CONSTANT for part in parts):
            return CONSTANT
        return recorder.born(out, kind.__name__, parts)

    return call.plan(finish, run)


@known(dict)
def dict_made(call: Call) -> Plan | None:
    """`dict(...)`."""
    recorder, frame = call.recorder, call.frame
    parts: dict[Any, Origin] = {}
    of = call.args[0] if call.args else ()
    if type(of) is dict and not call.kwargs:
        whole = growing.whole(recorder, *_first(call))
        if whole is not None:
            return growing.made_of(call.of(dict, CONSTANT), whole, dict)
    kind = behaves(recorder, of, call.origins[0]) if call.args else tuple
    mapping = kind not in DICTS and hasattr(of, "keys")
    if mapping or (call.args and not iteration.followed(of, call.origins[0])):
        call.refuse(f"a dict made of a {type(call.args[0]).__name__}")
        return None

    def run(*args: Any, **kwargs: Any) -> Any:
        if args and kind in DICTS:
            for key, value in item_reads.dict_items(frame, args[0], call.origins[0]):
                parts[key] = value
        elif args:
            pairs = []
            for pair, origin in iteration.elements(frame, args[0], call.origins[0]):
                pairs.append(pair)
                if type(pair) not in (list, tuple) or len(pair) != 2:
                    recorder.refuse("a dict made of something that is no pairs")
                    continue
                items = list(recorder.items(pair, recorder.origin(origin, pair)))
                if not recorder.dead and shadows.key_node(recorder, items[0][1], pair[0]):
                    parts[pair[0]] = items[1][1]
            args = (pairs,)
        parts.update(call.where)
        return dict(*args, **kwargs)

    return call.plan(lambda out: recorder.born(out, "dict", parts), run)


@methods(dict, "items", "values", "keys")
def _dict_view(call: Call) -> Plan | None:
    recorder = call.recorder
    owner, origin, name = call.args[0], call.origins[0], call.function.__name__

    def follow() -> Iterator[tuple[Any, Origin]]:
        for key, _ in iteration.elements(call.frame, owner, origin):
            if name == "keys":
                yield key, CONSTANT
                continue
            value, part = owner[key], None
            if not recorder.dead:
                value, part = item_reads.item(call.frame, owner, key, origin, CONSTANT)
            if name == "values":
                yield value, part
            else:
                pair = (key, value)
                yield pair, recorder.born(pair, "tuple", [CONSTANT, part])

    f = call.function
    view = shadows.View(follow, owner, origin)
    return call.plan(lambda out: recorder.born(out, "iterator", view), lambda _: f())


@methods(dict, "get")
def _dict_get(call: Call) -> Plan | None:
    owner, key, *default = call.args
    plain = _plain_key(key) or value_keys.standing(call.recorder, call.origins[1], key) is not None
    if not value_keys.sound(call.recorder, owner):
        call.refuse("a dict with keys that are no plain values")
        return None
    if plain and owner.__contains__(key):
        found = item_reads.item(call.frame, owner, key, call.origins[0], call.origins[1])
    elif plain:
        membership.contains(call.frame, key, owner, call.origins[1], call.origins[0])
        found = (default[0], call.origins[2]) if default else (None, CONSTANT)
    else:
        call.refuse("dict.get of such a key")
        return None
    return call.plan(lambda out: found[1], lambda *a: found[0])


def _plain_key(key: Any) -> bool:
    return type(key) in SCALARS or isinstance(key, FIXED) or shadows.plain_tuple(key)


@methods(dict, "update")
def _update(call: Call) -> Plan | None:
    frame, recorder = call.frame, call.recorder
    origin = call.origins[0]

    def run(owner: dict, *args: Any, **kwargs: Any) -> None:
        if args and type(args[0]) not in DICTS:
            recorder.refuse("dict.update of something that is no dict")
            owner.update(*args, **kwargs)
            return
        if args:
            for key, part in item_reads.dict_items(frame, args[0], call.origins[1]):
                item_stores.set_item(frame, owner, key, args[0][key], origin, CONSTANT, part)
            if recorder.dead:
                owner.update(args[0])
        for key, value in kwargs.items():
            item_stores.set_item(frame, owner, key, value, origin, CONSTANT, call.where[key])

    return call.plan(lambda out: CONSTANT, run)


@methods(list, "append")
def _append(call: Call) -> Plan | None:
    owner, value = call.args
    shadow = shadows.shadow_of(call.recorder, owner, call.origins[0])
    _append_part(call, shadow, value, call.origins[1])
    f = call.function
    return call.plan(lambda out: CONSTANT, lambda owner, value: f(value))


def _append_part(call: Call, shadow: Any, value: Any, part: Origin) -> None:
    recorder = call.recorder
    if isinstance(shadow, Born):
        shadow.parts.append(part)
        return
    shadow.added.append(part)
    if shadow.parts is not None:
        shadow.parts.parts.append(part)
    effect = ("method", shadow.node, "append", [(value, part)], recorder.effect_line())
    recorder.effects.append(effect)


@methods(list, "extend")
def _extend(call: Call) -> Plan | None:
    owner = call.args[0]
    shadow = shadows.shadow_of(call.recorder, owner, call.origins[0])

    def run(owner: list, iterable: Any) -> None:
        pairs: Any = iteration.listed(call.frame, iterable, call.origins[1])
        if type(iterable) in (list, tuple):  # taken as a whole: it may be the list itself
            pairs = list(pairs)
        for value, part in pairs:
            if not call.recorder.dead:
                _append_part(call, shadow, value, part)
            owner.append(value)

    return call.plan(lambda out: CONSTANT, run)


@methods(list, "pop", "insert", "reverse", "clear")
def _list_change(call: Call) -> Plan | None:
    recorder, name = call.recorder, call.function.__name__
    owner, *rest = call.args
    shadow = shadows.shadow_of(recorder, owner, call.origins[0])
    born = shadow if isinstance(shadow, Born) else shadow.whole(recorder)
    if name in ("pop", "insert") and rest:
        recorder.pin(call.origins[1], rest[0])
    index = not rest or type(rest[0]) in (int, bool)
    if recorder.dead or not index or len(born.parts) != len(owner):
        call.refuse()
        return None
    f = call.function
    if name == "pop" and not -len(owner) <= (rest[0] if rest else -1) < len(owner):
        return call.plan(lambda out: None, lambda owner, *a: f(*a))  # raises; nothing is changed
    arguments: list[Any] = [(value, CONSTANT) for value in rest]
    found: Origin = CONSTANT
    if name == "insert":
        born.parts.insert(rest[0], call.origins[2])
        arguments[1] = (rest[1], call.origins[2])
    elif name == "pop":
        found = born.parts.pop(*rest)
    else:
        getattr(born.parts, name)()
    if not isinstance(shadow, Born):
        if name == "clear":
            recorder.drops(owner)
        elif name == "pop":
            recorder.drops(owner[rest[0] if rest else -1])
        effect = ("method", shadow.node, name, arguments, recorder.effect_line())
        recorder.effects.append(effect)
    return call.plan(lambda out: found, lambda owner, *a: f(*a))


@methods(list, "remove")
def _remove(call: Call) -> Plan | None:
    owner, value = call.args
    recorder, f = call.recorder, call.function
    shadow = shadows.shadow_of(recorder, owner, call.origins[0])
    born = shadow if isinstance(shadow, Born) else shadow.whole(recorder)
    if type(value) not in SCALARS or not all(type(item) in SCALARS for item in owner):
        call.refuse("list.remove of something that is no plain value")
        return None
    recorder.pin(call.origins[1], value)
    for item, part in zip(owner, list(born.parts), strict=True):
        recorder.pin(part, item)
    if value in owner:
        del born.parts[owner.index(value)]
        if not isinstance(shadow, Born):
            recorder.effects.append(
                ("method", shadow.node, "remove", [(value, CONSTANT)], recorder.effect_line())
            )
    return call.plan(lambda out: CONSTANT, lambda owner, *a: recorder.certain(f, a))


@methods(list, "copy")
def _copy(call: Call) -> Plan | None:
    whole = growing.whole(call.recorder, *_first(call))
    if whole is not None:
        return growing.made_of(call.of(list, CONSTANT), whole, list)
    parts = [part for _, part in call.recorder.items(call.args[0], call.origins[0])]
    return call.plan(lambda out: call.recorder.born(out, "list", parts), list.copy)


@methods(list, "index", "count")
@methods(tuple, "index", "count")
def _search(call: Call) -> Plan | None:
    f = call.function
    whole = growing.whole(call.recorder, *_first(call)) if type(call.args[0]) is list else None
    if whole is not None and all(type(value) in SCALARS for value in call.args[1:]):
        for value, origin in zip(call.args[1:], call.origins[1:], strict=True):
            call.recorder.pin(origin, value)
        inner = call.of(getattr(list, f.__name__), CONSTANT)
        return growing.made_of(inner, whole, lambda owner, *a: f(*a), *call.args[1:])
    inner = constant_only(call)
    if inner is not None:
        inner.function = lambda owner, *a: call.recorder.certain(f, a)
    return inner
