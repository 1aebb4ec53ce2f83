"""Known callables: deques, counters, ordered and default dicts, simple namespaces.

Comes in: a `Call`. Goes out: its plan. What a deque does to its items is done to their origins by a
deque of origins.
"""

from __future__ import annotations

import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .. import growing, item_reads, item_stores, iteration, membership, shadows
from ..kinds import DICTS
from ..provenance import CONSTANT, Born, Origin
from ..tables import METHODS, known, methods
from . import containers as known_containers
from . import dicts as known_dicts
from . import values as known_values

if TYPE_CHECKING:
    from ..plans import Call, Plan
    from ..recorder import Recorder

assert known_dicts  # it enters methods of dict into the table
for _kind in (Counter, OrderedDict, defaultdict):
    for _name in ("items", "values", "keys", "get", "setdefault", "pop", "clear"):
        METHODS[_kind, _name] = METHODS[dict, _name]
for _kind in (OrderedDict, defaultdict):
    METHODS[_kind, "update"] = METHODS[dict, "update"]


# Deques -------------------------------------------------------------------------------------------


@known(deque)
def _deque(call: Call) -> Plan | None:
    recorder = call.recorder
    names = dict(zip(("iterable", "maxlen"), call.args, strict=False)) | call.kwargs
    where = dict(zip(names, (*call.origins, *call.where.values()), strict=True))
    size = names.get("maxlen")
    if "maxlen" in names:
        recorder.pin(where["maxlen"], size)
    parts: deque[Origin] = deque(maxlen=size)

    def run(*args: Any, **kwargs: Any) -> Any:
        pairs = []
        if "iterable" in names:
            pairs = list(iteration.elements(call.frame, names["iterable"], where["iterable"]))
        parts.extend(part for _, part in pairs)
        return deque([value for value, _ in pairs], size)

    return call.plan(lambda out: recorder.born(out, "list", list(parts)), run)


_CHANGES = ("append", "appendleft", "pop", "popleft", "extend", "extendleft", "rotate", "clear",
            "reverse", "insert")  # fmt: skip


#: each change of a deque takes time for each of its items: of longer ones it is not followed
_LONGEST = 1024


@methods(deque, *_CHANGES)
def _changed(call: Call) -> Plan | None:
    """A method that changes a deque: done to the origins of its items too."""
    recorder, name, f = call.recorder, call.function.__name__, call.function
    owner, *rest = call.args
    if len(owner) > _LONGEST:
        call.refuse(f"a deque of more than {_LONGEST} items is changed")
        return None
    shadow = shadows.shadow_of(recorder, owner, call.origins[0])
    outside = not isinstance(shadow, Born)
    born = shadow.whole(recorder) if outside else shadow
    _bounded(recorder, owner, shadow)
    if name in ("rotate", "insert") and rest:
        recorder.pin(call.origins[1], rest[0])
    if recorder.dead or len(born.parts) != len(owner) or (name[:3] == "pop" and not owner):
        if not recorder.dead and len(born.parts) == len(owner):
            return call.plan(lambda out: None, lambda _: f())  # raises
        call.refuse()
        return None
    found: list[Origin] = [CONSTANT]

    def run(owner: deque, *args: Any) -> Any:
        given = list(zip(args, call.origins[1:], strict=True))
        if name in ("rotate", "insert") and given:
            given[0] = given[0][0], CONSTANT
        changes = [(args, [part for _, part in given], given)]
        if name in ("extend", "extendleft"):
            pairs = list(iteration.elements(call.frame, *given[0]))
            changes = [((value,), [part], [(value, part)]) for value, part in pairs]
        method = name.replace("extend", "append")
        out = None
        for values, origins, pairs in changes:
            if not recorder.dead:
                if method in ("rotate", "insert"):
                    origins[:1] = values[:1]
                mirror = deque(born.parts, owner.maxlen)
                found[0] = getattr(mirror, method)(*origins) or CONSTANT
                born.parts[:] = mirror
                if outside:
                    _lost(call, owner, method)
                    line = recorder.effect_line()
                    recorder.effects.append(("method", shadow.node, method, pairs, line))
            out = getattr(owner, method)(*values)
        return out

    return call.plan(lambda out: found[0], run)


def _bounded(recorder: Recorder, owner: deque, shadow: Any) -> None:
    """How many items a deque may have is guarded: of one made in the call it is known."""
    if not isinstance(shadow, Born) and not recorder.dead:
        recorder.guard("{0}.maxlen == {k0}", shadow.node, constants=(owner.maxlen,))


def _lost(call: Call, owner: deque, method: str) -> None:
    """What a deque from outside loses by a change."""
    full = owner.maxlen is not None and len(owner) == owner.maxlen
    if method == "clear":
        for value in owner:
            call.recorder.drops(value)
    elif owner and (method == "popleft" or (method == "append" and full)):
        call.recorder.drops(owner[0])
    elif owner and (method == "pop" or (method == "appendleft" and full)):
        call.recorder.drops(owner[-1])


@methods(deque, "copy")
def _copy(call: Call) -> Plan | None:
    recorder, owner, origin = call.recorder, call.args[0], call.origins[0]
    parts = [part for _, part in recorder.items(owner, origin)]
    _bounded(recorder, owner, shadows.shadow_of(recorder, owner, origin))
    return call.plan(lambda out: recorder.born(out, "list", parts), deque.copy)


METHODS[deque, "count"] = METHODS[deque, "index"] = METHODS[list, "index"]


# Dicts --------------------------------------------------------------------------------------------


@known(OrderedDict)
def _ordered(call: Call) -> Plan | None:
    plan = known_containers.dict_made(call.of(dict, CONSTANT))
    if plan is not None:
        inner = plan.function
        plan.function = lambda *args, **kwargs: OrderedDict(inner(*args, **kwargs))
    return plan


@known(defaultdict)
def _default(call: Call) -> Plan | None:
    factory, *rest = call.args or (None,)
    inner = call.of(dict, CONSTANT)
    inner.args, inner.origins = tuple(rest), call.origins[1:]
    plan = known_containers.dict_made(inner)
    if plan is None:
        return None
    if call.recorder.origin(call.origins[0] if call.origins else CONSTANT, factory) is None:
        call.refuse("a factory of unknown origin")
        return None
    make = plan.function
    plan.args = call.args
    plan.function = lambda *args, **kwargs: defaultdict(factory, make(*args[1:], **kwargs))
    finish = plan.finish

    def known_factory(out: Any) -> Origin:
        call.recorder.factories[id(out)] = call.origins[0] if call.origins else CONSTANT
        return finish(out)

    plan.finish = known_factory
    return plan


@methods(OrderedDict, "move_to_end")
def _moved(call: Call) -> Plan | None:
    owner, key, *rest = call.args
    recorder, f = call.recorder, call.function
    for value, origin in zip((key, *rest), call.origins[1:], strict=True):
        recorder.pin(origin, value)
    last = call.kwargs.get("last", rest[0] if rest else True)
    if "last" in call.where:
        recorder.pin(call.where["last"], last)
    if not shadows.plain_keys(recorder, owner) or key not in owner:
        call.refuse()
        return None
    membership.contains(call.frame, key, owner, CONSTANT, call.origins[0])
    shadow = shadows.shadow_of(recorder, owner, call.origins[0])
    if not isinstance(shadow, Born):
        pairs = [(key, CONSTANT), (last, CONSTANT)]
        recorder.effects.append(("method", shadow.node, "move_to_end", pairs, _line(call)))
    return call.plan(lambda out: CONSTANT, lambda owner, *a, **k: f(*a, **k))


def _line(call: Call) -> Any:
    return call.recorder.effect_line()


@methods(OrderedDict, "popitem")
@methods(dict, "popitem")
@methods(defaultdict, "popitem")
def _popped(call: Call) -> Plan | None:
    owner, *rest = call.args
    recorder, frame, f = call.recorder, call.frame, call.function
    for value, origin in (*zip(rest, call.origins[1:], strict=True),
                          *((call.kwargs[k], call.where[k]) for k in call.kwargs)):  # fmt: skip
        recorder.pin(origin, value)
    last = call.kwargs.get("last", rest[0] if rest else True)
    names = iteration.keys(recorder, owner, call.origins[0])
    if not names or not shadows.plain_keys(recorder, owner):
        return call.plan(lambda out: None, lambda _, *a, **k: f(*a, **k))  # raises
    key = names[-1] if last else names[0]
    part = item_reads.item(frame, owner, key, call.origins[0], CONSTANT)[1]

    def run(owner: Any, *args: Any, **kwargs: Any) -> Any:
        shadows.forget(recorder, owner, key, call.origins[0])
        return f(*args, **kwargs)

    return call.plan(lambda out: recorder.born(out, "tuple", [CONSTANT, part]), run)


@methods(OrderedDict, "copy")
@methods(defaultdict, "copy")
def _copied(call: Call) -> Plan | None:
    recorder = call.recorder
    owner = call.args[0]
    parts = dict(item_reads.dict_items(call.frame, owner, call.origins[0]))
    factory: Origin = None
    if type(owner) is defaultdict:
        factory = item_reads.factory_of(recorder, owner, call.origins[0])

    def finish(out: Any) -> Origin:
        if type(owner) is defaultdict:
            recorder.factories[id(out)] = factory
        return recorder.born(out, "dict", parts)

    return call.plan(finish, type(owner).copy)


# Counters -----------------------------------------------------------------------------------------


@known(Counter)
def _counter(call: Call) -> Plan | None:
    recorder = call.recorder
    parts: dict[Any, Origin] = {}
    if len(call.args) > 1 or not _summed(call.args) or (call.args and call.kwargs):
        call.refuse()
        return None

    def run(*args: Any, **kwargs: Any) -> Any:
        made = Counter()
        for value, origin in zip(args, call.origins, strict=True):
            _count(call, made, parts, value, origin, 1)
        for key, value in kwargs.items():
            made[key], parts[key] = value, call.where[key]
        return made

    return call.plan(lambda out: recorder.born(out, "dict", parts), run)


def _summed(given: Iterable[Any]) -> bool:
    """Whether the counts of mappings are what they are added to nothing: an empty counter takes
    others, `True` and `-0.0`, as they are, and does not add them."""
    counts = [n for value in given if type(value) in DICTS for n in value.values()]
    return all(type(n) is int or (type(n) is float and n != 0) for n in counts)


def _count(call: Call, into: Counter, parts: dict, value: Any, origin: Origin, sign: int) -> None:
    """Add or take away what an iterable or a mapping holds; counts are pinned."""
    recorder = call.recorder
    if value is None:
        return
    if type(value) in DICTS:
        for key, part in item_reads.dict_items(call.frame, value, origin):
            known_values.pinned(recorder, part, value[key])
            into[key] += sign * value[key]
            parts[key] = CONSTANT
        return
    for key, part in iteration.elements(call.frame, value, origin):
        if not recorder.dead:
            shadows.key_node(recorder, part, key)
        into[key] += sign
        parts[key] = CONSTANT


@known(Counter.update, Counter.subtract)
def _updated(call: Call) -> Plan | None:
    """Each count that changes is stored as an item is."""
    recorder, frame = call.recorder, call.frame
    owner, *rest = call.args
    sign = 1 if call.function is Counter.update else -1
    plain = len(rest) == 1 and _summed(rest)
    if call.kwargs or not plain or not shadows.plain_keys(recorder, owner):
        call.refuse()
        return None

    def run(owner: Counter, *args: Any) -> None:
        more: Counter = Counter()
        for value, origin in zip(rest, call.origins[1:], strict=True):
            _count(call, more, {}, value, origin, sign)
        for key, value in more.items():
            before, part = item_reads.item(frame, owner, key, call.origins[0], CONSTANT)
            part = frame.expression("({0} + {1})", (before, value), (part, CONSTANT))
            after = before + value
            item_stores.set_item(frame, owner, key, after, call.origins[0], CONSTANT, part)

    return call.plan(lambda out: CONSTANT, run)


@known(Counter.most_common, Counter.total, Counter.elements)
def _asked(call: Call) -> Plan | None:
    """What the counts decide."""
    recorder = call.recorder
    owner, *rest = call.args
    plain = not call.kwargs and call.function is not Counter.elements
    whole = growing.whole(recorder, owner, call.origins[0]) if plain else None
    if whole is not None:
        for value, origin in zip(rest, call.origins[1:], strict=True):
            recorder.pin(origin, value)
        return growing.made_of(call, whole, None, *rest)
    for key, part in item_reads.dict_items(call.frame, owner, call.origins[0]):
        recorder.pin(part, owner[key])
    for value, origin in zip(rest, call.origins[1:], strict=True):
        recorder.pin(origin, value)
    if call.kwargs or recorder.dead:
        call.refuse()
        return None
    if call.function is Counter.elements:
        source = ((value, CONSTANT) for value in list(owner.elements()))
        return call.plan(lambda out: recorder.born(out, "iterator", lambda: source))
    return call.plan(lambda out: known_values.adopted(recorder, out))


# Namespaces ---------------------------------------------------------------------------------------


@known(types.SimpleNamespace)
def _namespace(call: Call) -> Plan | None:
    if call.args:
        call.refuse()
        return None
    parts = dict(call.where)
    return call.plan(lambda out: call.recorder.born(out, "instance", parts))
