"""Known callables: context variables.

Comes in: a `Call` of `get`, `set` or `reset`. Goes out: its plan. What the call sets is an effect;
one that it resets before anybody else could look was never set.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from ..provenance import CONSTANT, Born, Node, Origin
from ..tables import methods

if TYPE_CHECKING:
    from ..plans import Call, Plan

#: effects that run no code but Python's own
_QUIET = frozenset(["item", "attr", "delete", "delattr"])
_METHODS = frozenset(["append", "appendleft", "clear", "extend", "insert", "pop", "popleft"])


def _key(variable: ContextVar) -> tuple[str, int]:
    return "context", id(variable)


def _is_quiet(effect: tuple[Any, ...]) -> bool:
    return effect[0] in _QUIET or (effect[0] == "method" and effect[2] in _METHODS)


@methods(ContextVar, "get")
def _get(call: Call) -> Plan | None:
    recorder, (variable, *default), f = call.recorder, call.args, call.function
    node = recorder.as_node(call.origins[0], variable)
    if node is None or call.kwargs or len(default) > 1:
        call.refuse()
        return None
    stored = recorder.stored.get(_key(variable))
    if stored is not None:
        return call.plan(lambda out: stored, lambda _, *rest: f(*rest))
    parents: tuple[Node, ...] = (node,)
    if default:
        other = recorder.as_node(recorder.origin(call.origins[1], default[0]), default[0])
        if other is None:
            call.refuse("a ContextVar asked with a default that is made in the call")
            return None
        parents = node, other
    text = "({0}.get({1}))" if default else "({0}.get())"
    made = recorder.nodes(text, parents)

    def run(_: Any, *rest: Any) -> Any:
        try:
            return f(*rest)
        except LookupError:
            recorder.refuse("a ContextVar without a value")
            raise

    return call.plan(lambda out: recorder.found(made, out), run)


@methods(ContextVar, "set")
def _set(call: Call) -> Plan | None:
    recorder, (variable, value), f = call.recorder, call.args, call.function
    node, key = recorder.as_node(call.origins[0], variable), _key(variable)
    if node is None or call.kwargs or recorder.origin(call.origins[1], value) is None:
        call.refuse()
        return None
    effect = ("method", node, "set", [(value, call.origins[1])], recorder.effect_line())

    def finish(token: Any) -> Origin:
        parts = {"effect": effect, "before": recorder.stored.get(key)}
        recorder.effects.append(effect)
        recorder.stored[key] = recorder.origin(call.origins[1], value)
        return recorder.born(token, "opaque", parts)

    return call.plan(finish, lambda _, value: f(value))


@methods(ContextVar, "reset")
def _reset(call: Call) -> Plan | None:
    """Takes back what `set` did, if nothing that came after may have seen it."""
    recorder, (variable, token), f = call.recorder, call.args, call.function
    origin = recorder.origin(call.origins[1], token)
    own = isinstance(origin, Born) and type(token) is Token and token.var is variable
    parts: Any = origin.parts if own else {"effect": None}  # type: ignore[union-attr]
    effects = recorder.effects
    at = next((i for i, effect in enumerate(effects) if effect is parts["effect"]), len(effects))
    if at == len(effects) or not all(map(_is_quiet, effects[at + 1 :])) or call.kwargs:
        call.refuse("a ContextVar reset after something that may have seen it")
        return None

    def finish(out: Any) -> Origin:
        del effects[at]
        recorder.stored.pop(_key(variable), None)
        if parts["before"] is not None:
            recorder.stored[_key(variable)] = parts["before"]
        parts["effect"] = None
        return CONSTANT

    return call.plan(finish, lambda _, token: f(token))
