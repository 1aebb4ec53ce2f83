"""Known callables: `functools.lru_cache` and `functools.cache`.

Comes in: a call of a function with a cache. Goes out: its plan. A call whose result is there is
replayed: a guard looks for the key, the result is read from the cache, and the function is called
for its effect, which counts the hit and makes the entry the newest. A call that computes a result
is not replayed, as the next one finds it.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from .. import shadows
from ..kinds import CACHED
from ..provenance import CONSTANT, SCALARS, Node, Origin
from ..tables import SPECIAL, methods

if TYPE_CHECKING:
    from ..plans import Call, Plan


class _Missing:
    """Stands for a result that a cache does not hold."""


def held(function: Any, key: Any) -> Any:
    """What the cache of a function holds for a key, looked at without a trace in the cache;
    `_Missing` if it holds nothing."""
    parts = gc.get_referents(function)
    if function.cache_parameters()["maxsize"] is None:
        return parts[1].get(key, _Missing)  # behind the type
    count = function.cache_info().currsize  # of a bounded one: key, result, type of the entry
    found = ((parts[i], parts[i + 1]) for i in range(1, 1 + 3 * count, 3))
    return next((value for other, value in found if _same(other, key)), _Missing)


def _same(a: Any, b: Any) -> bool:
    return a is b or (hash(a) == hash(b) and bool(a == b))


def _readable(function: Any) -> bool:
    """Whether this interpreter tells what a cache holds as `held` reads it."""
    parts, count = gc.get_referents(function), function.cache_info().currsize
    if function.cache_parameters()["maxsize"] is None:
        return len(parts) > 1 and type(parts[1]) is dict and len(parts[1]) == count
    at = 1 + 3 * count
    ends = all(type(part) is type for part in parts[3:at:3])
    return ends and len(parts) > at and type(parts[at]) is dict and len(parts[at]) == count


def _result(call: Call) -> Plan | None:
    """A call of a function with a cache."""
    recorder, function = call.recorder, call.function
    typed = function.cache_parameters()["typed"]
    found = [_key_part(call, *pair) for pair in zip(call.args, call.origins, strict=True)]
    parents = [part for part in found if part is not None]
    known = len(parents) == len(call.args) and not call.kwargs and not recorder.dead
    if not known or typed or not _readable(function):
        call.refuse(f"{call.name} with a cache, called with such arguments")
        return None
    if isinstance(call.origin, Node):
        recorder.guard("{0} is {k0}", call.origin, constants=(function,))
    alone = len(call.args) == 1 and type(call.args[0]) in (int, str)
    places = "".join(f"{{{i}}}, " for i in range(len(parents)))
    node = recorder.nodes(f"{{k0}}({{k1}}, {'{0}' if alone else f'({places})'})", tuple(parents),
                          (held, function))  # fmt: skip
    value = held(function, call.args[0] if alone else call.args)
    if value is _Missing or _cleared(call):
        recorder.guard("{0} is {k0}", node, constants=(_Missing,))
        call.refuse(f"{call.name} computes a result for its cache")
        return None
    recorder.guard("{0} is not {k0}", node, constants=(_Missing,))
    pairs = list(zip(call.args, call.origins, strict=True))
    recorder.effects.append(("call", function, pairs, recorder.effect_line()))
    return call.plan(lambda out: recorder.read(node, out), function)


def _key_part(call: Call, value: Any, origin: Origin) -> Node | None:
    """The node of an argument that is looked up by its value or by its identity."""
    recorder, kind = call.recorder, type(value)
    plain = kind in SCALARS or shadows.plain_tuple(value)
    if not plain and (kind.__eq__ is not object.__eq__ or kind.__hash__ is not object.__hash__):
        return None
    recorder.typed(origin, value)
    for name in () if plain else ("__eq__", "__hash__"):
        recorder.classes.guard_special(origin, value, name)
    return recorder.as_node(recorder.origin(origin, value), value)


def _cleared(call: Call) -> bool:
    clear = call.function.cache_clear
    return any(effect[:2] == ("call", clear) for effect in call.recorder.effects)


SPECIAL[CACHED] = _result


@methods(CACHED, "cache_info")
def _info(call: Call) -> Plan | None:
    """The counts before the call, and the hits in it."""
    recorder, function = call.recorder, call.args[0]
    node = recorder.as_node(call.origins[0], function)
    if node is None or any(effect[:2] == ("call", function.cache_clear)
                           for effect in recorder.effects):  # fmt: skip
        call.refuse()
        return None
    hits = sum(effect[:2] == ("call", function) for effect in recorder.effects)
    info = recorder.nodes("{0}.cache_info()", (node,))
    recorder.sure(info)
    first = recorder.nodes("({0}[0] + {k0})", (info,), (hits,))
    parts = [first, *(recorder.nodes("{0}[{k0}]", (info,), (i,)) for i in (1, 2, 3))]
    f = call.function
    return call.plan(lambda out: recorder.born(out, "tuple", parts), lambda _: f())


@methods(CACHED, "cache_clear")
def _clear(call: Call) -> Plan | None:
    recorder, f = call.recorder, call.function
    recorder.effects.append(("call", f, [], recorder.effect_line()))
    return call.plan(lambda out: CONSTANT, lambda _: f())
