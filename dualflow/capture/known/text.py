"""Known callables: text, and printing it.

Comes in: a `Call`. Goes out: its plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import formats, growing, iteration, moving, templates
from ..kinds import SCALAR_TYPES
from ..object_text import text_of_object
from ..provenance import CONSTANT, SCALARS, Node, Origin
from ..tables import METHODS, known, methods
from . import streams as known_streams
from .functions import constant_only

if TYPE_CHECKING:
    from ..plans import Call, Plan


for _name in dir(str):
    if not _name.startswith("_") and _name not in ("format", "format_map", "join"):
        METHODS[str, _name] = lambda call: _text(call)


for _kind in (bytes, int, float, bool, complex):
    for _name in dir(_kind):
        if not _name.startswith("_") and _name != "join":
            METHODS[_kind, _name] = lambda call: _text(call)


def _text(call: Call) -> Plan | None:
    f = call.function
    if _changes(call):
        return call.plan(lambda out: _made_anew(call, out), lambda _, *args: f(*args))
    inner = constant_only(call)
    if inner is not None:
        inner.function = lambda owner, *a, **k: call.recorder.certain(f, a, **k)
        inner.finish = lambda out: _plain_result(call, out)
    return inner


def _changes(call: Call) -> bool:
    """Whether a method of a number or text is asked about others from call to call, from tensors
    say, so that a replay is to ask it anew."""
    if call.kwargs or not all(type(value) in SCALARS for value in call.args):
        return False
    pairs = zip(call.origins, call.args, strict=True)
    changed = [moving.moves(call.recorder, *pair) for pair in pairs]  # each is looked at
    return any(changed)


def _made_anew(call: Call, out: Any) -> Origin:
    text = ", ".join(f"{{{i}}}" for i in range(1, len(call.args)))
    node = call.frame.expression(
        f"({{0}}.{call.function.__name__}({text}))", call.args, call.origins
    )
    if not isinstance(node, Node) or type(out) not in (list, tuple):
        return node
    recorder = call.recorder
    if type(out) is list and moving.differs(recorder, f"len({node})", len(out)):
        return growing.anew(recorder, out, ("{0}", (node,)), list)
    recorder.pin(recorder.nodes("(len({0}))", (node,)), len(out))
    parts = [recorder.nodes("{0}[{k0}]", (node,), (i,)) for i in range(len(out))]
    for part in parts:
        recorder.sure(part)
    return recorder.born(out, type(out).__name__, parts)


def _plain_result(call: Call, out: Any) -> Origin:
    if type(out) in SCALARS or (type(out) is tuple and all(type(x) in SCALARS for x in out)):
        return CONSTANT
    if type(out) is list:
        return call.recorder.born(out, "list", [CONSTANT] * len(out))
    return None


@methods(str, "format", "format_map")
def _format(call: Call) -> Plan | None:
    names = list(call.kwargs)
    values = (*call.args, *call.kwargs.values())
    if not all(type(value) in SCALARS for value in values):
        return formats.plan(call)
    origins = (*call.origins, *(call.where[name] for name in names))
    call.recorder.pin(origins[0], values[0])
    parts = [f"{{{i}}}" for i in range(1, len(call.args))]
    parts += [f"{name}={{{len(call.args) + i}}}" for i, name in enumerate(names)]
    text = f"({{0}}.format({', '.join(parts)}))"
    f = call.function

    def run(*args: Any, **kwargs: Any) -> str:
        return call.recorder.certain(lambda *_: f(*args[1:], **kwargs), values, origins)

    return call.plan(lambda out: call.frame.expression(text, values, origins), run)


@methods(str, "join")
def _join(call: Call) -> Plan | None:
    pairs = list(iteration.elements(call.frame, call.args[1], call.origins[1]))
    call.recorder.pin(call.origins[0], call.args[0])
    values, origins = [value for value, _ in pairs], [origin for _, origin in pairs]
    f = call.function
    if all(type(value) is str for value in values):
        changed = [moving.moves(call.recorder, *pair) for pair in zip(origins, values, strict=True)]
        if any(changed):
            places = "".join(f"{{{i}}}, " for i in range(1, len(values) + 1))
            given = (call.args[0], *values), (CONSTANT, *origins)
            text = f"({{0}}.join(({places})))"
            return call.plan(lambda out: call.frame.expression(text, *given), lambda *a: f(values))
    for value, origin in pairs:
        call.recorder.pin(origin, value)
    return call.plan(lambda out: CONSTANT, lambda *a: f(values))


@known(print)
def _print(call: Call) -> Plan | None:
    recorder = call.recorder
    plain = (str, int, float, bool, type(None), *SCALAR_TYPES)
    pairs = []
    for value, origin in zip(call.args, call.origins, strict=True):
        if type(value) in plain:
            pairs.append((value, origin))
            continue
        made = templates.text_of(recorder, value, origin, str)
        made = made or text_of_object(call.frame, value, origin, str)
        if made is not None:
            pairs.append(made)
    if len(pairs) != len(call.args):
        call.refuse("print of something that is no plain value")
        return None
    if known_streams.target(call) is not None:
        return known_streams.print_into(call, pairs)
    for key, value in call.kwargs.items():
        recorder.pin(call.where[key], value)
    if recorder.dead:
        return None
    recorder.effects.append(("print", pairs, dict(call.kwargs), recorder.effect_line()))
    plan = call.plan(lambda out: CONSTANT)  # print itself: what it calls in Python is seen
    plan.args = tuple(value for value, _ in pairs)
    return plan
