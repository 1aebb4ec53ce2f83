"""Containers from outside that are others from call to call, taken as wholes: a log, counts.

    log.append(v); sorted(log)    ->    sorted([*log, v])

Comes in: a list or dict of plain values, or a view of a dict. Goes out: a text of it for replays:
what `sorted`, `list`, `dict`, a slice make of it needs no guard on how much it holds, or what.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from . import moving
from .kinds import VIEWS
from .provenance import SCALARS, Node, Origin
from .shadows import Shadow, viewed

if TYPE_CHECKING:
    from collections.abc import Callable

    from .plans import Call, Plan
    from .recorder import Recorder

#: How many items are compared with those of recordings before.
_COMPARED = 1_000
#: The text of a container over nodes, which its places stand for.
Whole = tuple[str, tuple[Node, ...]]


def whole(recorder: Recorder, value: Any, origin: Origin) -> Whole | None:
    """The text of a container that held something else in a recording before, and its nodes; None
    of others, of values that are not plain, and where it is not known what the call did to it."""
    view = viewed(value, origin)
    if view is not None:
        found = whole(recorder, view.owner, view.origin)
        method = ("keys", "values", "items")[VIEWS.index(type(value))]
        return None if found is None else (f"{found[0]}.{method}()", found[1])
    shadow = recorder.lists.get(id(value))
    origin = recorder.origin(origin, value) if shadow is None else shadow.node
    if recorder.dead or not isinstance(origin, Node) or not _plain(value):
        return None
    of: Callable[..., Whole | None] = _list if type(value) is list else _dict
    found = of(recorder, value, origin, shadow)
    if found is None or not _differs(recorder, value, origin, len(found[1])):
        return None
    recorder.typed(origin, value)
    guard = "{k0}.issuperset(map(type, {0}))"
    if type(value) is not list:
        guard += " and {k0}.issuperset(map(type, {0}.values()))"
    recorder.guard(guard, origin, constants=(SCALARS,))
    return found


def _plain(value: Any) -> bool:
    kind = type(value)
    if kind is list:
        return all(type(item) in SCALARS for item in value)
    return kind in (dict, Counter) and all(
        type(key) in SCALARS and type(item) in SCALARS for key, item in value.items()
    )


def _differs(recorder: Recorder, value: Any, node: Node, changes: int) -> bool:
    """Whether a container was another one in a recording before, after as many changes."""
    parts: Any = value if type(value) is list else tuple(value.items())
    return moving.differs(recorder, f"{node} {changes}", (len(parts), *parts[:_COMPARED]))


def _list(recorder: Recorder, value: list, node: Node, shadow: Shadow | None) -> Whole | None:
    """What is known of a list to which the call did nothing but append."""
    if shadow is None:
        return "{0}", (node,)
    if shadow.parts is not None:
        return None
    count = len(value) - len(shadow.added)
    return _over(recorder, "[*{0}, ", "]", node, zip(shadow.added, value[count:], strict=True))


def _dict(recorder: Recorder, value: dict, node: Node, shadow: Shadow | None) -> Whole | None:
    """What is known of a dict from which the call took no key."""
    if shadow is None:
        return "{0}", (node,)
    if shadow.taken:
        return None
    pairs = []
    for where, key, part in shadow.stored():
        pairs += [(where, key), (part, value[key])]
    kind = recorder.constant(type(value))
    return _over(recorder, "{1}(dict([*{0}.items(), ", "]))", node, pairs, kind)


def _over(
    recorder: Recorder, before: str, after: str, node: Node, pairs: Any, *more: Node
) -> Whole | None:
    """A text around values that the call stored."""
    for item, part in ((item, part) for part, item in pairs):
        found = recorder.as_node(part, item)
        if found is None:
            return None
        recorder.typed(part, item)
        more = (*more, found)
    nodes = (node, *more)
    places = [f"{{{i}}}" for i in range(len(nodes))]
    if after == "]":
        return f"{before}{', '.join(places[1:])}{after}", nodes
    stored = zip(places[2::2], places[3::2], strict=True)
    return f"{before}{''.join(f'({key}, {item}), ' for key, item in stored)}{after}", nodes


def made_of(
    call: Call, found: Whole | None, run: Callable[..., Any] | None = None, *more: Any
) -> Plan | None:
    """The plan of a function of such a container, which stands first, and of `more` constants. None
    if `found` is."""
    if found is None:
        return None
    return call.plan(lambda out: anew(call.recorder, out, found, call.function, *more), run)


def anew(recorder: Recorder, out: Any, found: Whole, function: Any, *more: Any) -> Origin:
    """The origin of what a function of such a container, and of constants, makes anew at each
    replay: another object each time."""
    number = None
    if type(out) not in SCALARS:
        number = recorder.copies = recorder.copies + 1
    text, nodes = found
    text += "".join(f", {{{i}}}" for i in range(len(nodes), len(nodes) + len(more)))
    nodes += tuple(recorder.constant(value) for value in more)
    node = recorder.nodes(f"({{k0}}({text}))", nodes, (function, number))
    recorder.sure(node)
    recorder.needs(node)
    if number is not None:
        recorder.remember(out, node)
    return node
