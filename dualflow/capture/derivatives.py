"""Calls of functions of dualflow that call the user's functions: derivatives, `vmap`, control.

Comes in: a `Call` of `df.jvp(f, ...)`, or of what `df.vmap(f)` gave. Goes out: its plan: what is
called, given a bridge in the place of each function of the user, which follows that one.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor
from dualflow.autograd import control, custom, forward, functional, jacobians, mapping, recompute
from dualflow.autograd.arguments import name_of
from dualflow.ops import door

from . import tables
from .attributes import read
from .classes import special
from .kinds import FIXED
from .likenesses import fields_of
from .pins import structure
from .provenance import CONSTANT, SCALARS, Born, Node, Origin

if TYPE_CHECKING:
    from .operators import Operators
    from .plans import Call, Plan
    from .recorder import Recorder

#: df.vmap(f) and the like: what they give calls its `fn`
MAKERS = (
    mapping.vmap, jacobians.jacrev, jacobians.jacfwd, jacobians.hessian, recompute.checkpoint,
    custom.custom_gradient,
)  # fmt: skip
#: functions that call those of the user at once, with how many of these stand first
CALLERS = {
    functional.vjp: 1, forward.jvp: 1, forward.linearize: 1, forward.hvp: 1,
    control.while_loop: 2, control.scan: 1, control.map: 1,
}  # fmt: skip


def settle(frame: Operators, origin: Origin, value: Any) -> None:
    """Guard the nesting of `value`; tensors in it must be known, and numbers are pinned."""
    kind, recorder = type(value), frame.recorder
    if kind is dict:
        recorder.structure(origin, value)
        for key, item in value.items():
            part = origin.parts[key] if isinstance(origin, Born) else None
            if isinstance(origin, Node):
                part = recorder.read(recorder.nodes("{0}[{k0}]", (origin,), (key,)), item)
            settle(frame, part, item)
    elif isinstance(value, (list, tuple)):
        for item, part in recorder.items(value, origin):
            settle(frame, part, item)
    elif kind is Tensor:
        recorder.understand(origin, value)
        recorder.outside.guard(value)
    elif kind in SCALARS or isinstance(value, FIXED):
        recorder.pin(origin, value)
    elif origin is not None and (fields := fields_of(value)):
        recorder.classes.guard_special(CONSTANT, None, "__init__", kind)
        recorder.classes.find(kind, "__post_init__")
        for name in fields:
            item, part = read(frame, value, origin, name)
            settle(frame, part, item)
    else:
        recorder.refuse(f"a {kind.__name__} given to a function that maps or differentiates")


def bridge(call: Call, user: Any, origin: Origin) -> Any:
    """A function that follows `user`, while the call is recorded, and is `user` after that."""
    recorder = call.recorder
    if not isinstance(origin, Born):
        origin = recorder.known(user) or CONSTANT
    given: dict[Any, tuple[Any, Origin]] = dict(
        enumerate(zip(call.args, call.origins, strict=True))
    )
    given.update((name, (x, call.where[name])) for name, x in call.kwargs.items())
    by_id = {id(x): where for x, where in given.values() if _is_object(x)}

    def origin_of(at: int | str, x: Any) -> Origin:
        before, where = given.get(at, (given, None))
        return where if x is before else by_id.get(id(x)) or recorder.adopt(x)

    def followed(*args: Any, **kwargs: Any) -> Any:
        if recorder.dead or not _records(recorder):
            return user(*args, **kwargs)
        where = tuple(origin_of(at, x) for at, x in enumerate(args))
        named = {name: origin_of(name, x) for name, x in kwargs.items()}
        value, found = call.frame.invoke(user, origin, args, where, kwargs, named)
        return value if recorder.dead else _returned(call, value, found)

    if isinstance(user, types.FunctionType):
        functools.update_wrapper(followed, user)
    followed.__name__ = name_of(user)
    followed.followed = True  # type: ignore[attr-defined]
    return followed


def _is_object(value: Any) -> bool:
    return type(value) not in SCALARS


def _records(recorder: Recorder) -> bool:
    """Whether the active mode is that of this recording."""
    mode: Any = door.state.mode
    while mode.name == "vmap":
        mode = mode.outer
    return getattr(mode, "recorder", None) is recorder


def _returned(call: Call, value: Any, origin: Origin) -> Any:
    """What a function of the user gave, with bridges in the place of functions that it made."""
    recorder = call.recorder
    if isinstance(value, types.FunctionType):
        return bridge(call, value, origin)
    if type(value) in (list, tuple):
        parts = [_returned(call, item, part) for item, part in recorder.items(value, origin)]
        changed = any(isinstance(item, types.FunctionType) for item in value)
        return type(value)(parts) if changed else value
    if isinstance(origin, Born) and origin.kind == "instance" and (fields := fields_of(value)):
        for name in fields:
            _returned(call, getattr(value, name), origin.parts[name])
    elif type(value) is not Tensor:
        recorder.understand(origin, value)
    return value


def follows(call: Call, user: Any, origin: Origin) -> bool:
    """Whether a function of the user can be followed; guards that it is this one."""
    recorder = call.recorder
    method = isinstance(user, types.MethodType) and isinstance(origin, Born)
    plain = isinstance(user, (types.FunctionType, functools.partial))
    plain = plain or type(user) in tables.SPECIAL
    called = isinstance(origin, Node) and not isinstance(user, FIXED) and (
        special(type(user), "__call__") is not None)  # fmt: skip
    if not (method or plain or called):
        call.refuse(f"{call.name} of something that is no plain function")
        return False
    if method:
        recorder.remember(user, origin)
    if isinstance(origin, Node):
        recorder.guard("{0} is {k0}", origin, constants=(user,))
    return True


def _made(call: Call) -> Plan | None:
    """`df.vmap(f)`: what it gives is known by its code when it is called."""
    recorder = call.recorder
    if not call.args or not follows(call, call.args[0], call.origins[0]):
        call.refuse()
        return None
    _settle_rest(call, 1)
    return call.plan(lambda out: recorder.born(out, "function", ((), {})))


def _settle_rest(call: Call, first: int) -> None:
    for value, origin in list(zip(call.args, call.origins, strict=True))[first:]:
        settle(call.frame, origin, value)
    for key, value in call.kwargs.items():
        settle(call.frame, call.where[key], value)


def _called(call: Call) -> Plan | None:
    """What `df.vmap(f)` gave, called: `f` is followed, the rest is trusted."""
    call.recorder.backwards = True
    _settle_rest(call, 0)
    return _running(call, _followed(call, call.function))


def _gradient(call: Call) -> Plan | None:
    """What `df.grad(f)` gave, called: other arguments than those of `argnums` may be anything."""
    f, recorder = call.function, call.recorder
    recorder.backwards = True
    both = _cells(f).get("both")
    inner = f if both is None else both
    differentiated = {number % max(len(call.args), 1) for number in _cells(inner)["numbers"]}
    for at, (value, origin) in enumerate(zip(call.args, call.origins, strict=True)):
        if at in differentiated:
            settle(call.frame, origin, value)
        else:
            structure(recorder, origin, value)
    for key, value in call.kwargs.items():
        structure(recorder, call.where[key], value)
    made = _followed(call, inner)
    return _running(call, made if both is None else _with_cell(f, "both", made))


def _followed(call: Call, f: Any) -> Any:
    """The closure `f`, with a bridge in the place of the user's function."""
    return _with_cell(f, "fn", bridge(call, _cells(f)["fn"], None))


def _cells(f: Any) -> dict[str, Any]:
    """What the variables hold that a function has from around it."""
    pairs = zip(f.__code__.co_freevars, f.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in pairs}


def _with_cell(f: Any, name: str, value: Any) -> Any:
    """A copy of a closure with another value in one cell."""
    cells = [
        types.CellType(value) if free == name else cell
        for free, cell in zip(f.__code__.co_freevars, f.__closure__, strict=True)
    ]
    made = types.FunctionType(f.__code__, f.__globals__, f.__name__, f.__defaults__, tuple(cells))
    made.__kwdefaults__ = f.__kwdefaults__
    return made


def _at_once(count: int) -> Callable[[Call], Plan | None]:
    """`df.jvp(f, ...)`: `count` functions of the user stand first."""

    def handle(call: Call) -> Plan | None:
        recorder = call.recorder
        recorder.backwards = True
        pairs = list(zip(call.args, call.origins, strict=True))
        if len(pairs) < count or not all(follows(call, *pair) for pair in pairs[:count]):
            call.refuse()
            return None
        _settle_rest(call, count)
        bridges = [bridge(call, *pair) for pair in pairs[:count]]
        return _running(call, functools.partial(_with_first, call.function, bridges))

    return handle


def _with_first(function: Any, bridges: list[Any], *args: Any, **kwargs: Any) -> Any:
    return function(*bridges, *args[len(bridges) :], **kwargs)


def _cond(call: Call) -> Plan | None:
    pairs = list(zip(call.args, call.origins, strict=True))
    if len(pairs) < 3 or not all(follows(call, *pair) for pair in pairs[1:3]):
        call.refuse()
        return None
    settle(call.frame, call.origins[0], call.args[0])
    _settle_rest(call, 3)
    either = [bridge(call, *pair) for pair in pairs[1:3]]

    def run(condition: Any, _: Any, __: Any, *operands: Any) -> Any:
        return control.cond(condition, *either, *operands)

    return _running(call, run)


def _running(call: Call, function: Callable[..., Any]) -> Plan | None:
    recorder = call.recorder
    if recorder.dead:
        return None

    def run(*args: Any, **kwargs: Any) -> Any:
        return recorder.guarded(function, *args, **kwargs)

    return call.plan(recorder.adopt, run)


def _enter() -> None:
    for maker in MAKERS:
        tables.TABLE[maker] = _made
        tables.BY_CODE[id(maker(_example).__code__)] = _called
    tables.TABLE[jacobians.jacobian] = _made
    for maker in (functional.grad, functional.value_and_grad):
        tables.TABLE[maker] = _made
        tables.BY_CODE[id(maker(_example).__code__)] = _gradient
    for caller, count in CALLERS.items():
        tables.TABLE[caller] = _at_once(count)
    tables.TABLE[control.cond] = _cond


def _example(x: Any) -> Any:
    return x


_enter()
