"""The table of callables of which it is known what they do with what they are given.

Comes in: a `Call`. Goes out: its plan. A callable that is in no table refuses the recording.
"""

from __future__ import annotations

import builtins
import enum
import functools
import math
import operator
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.autograd import functional

from . import attributes, containers
from .provenance import CONSTANT, NUMBERS, SCALARS, Born, Node, Origin
from .recorder import FIXED

if TYPE_CHECKING:
    from .calls import Call, Plan

Handler = Callable[["Call"], "Plan | None"]
TABLE: dict[Any, Handler] = {}
METHODS: dict[tuple[type, str], Handler] = {}
BY_CODE: dict[types.CodeType, Handler] = {}
SPECIAL: dict[type, Handler] = {}


def known(*callables: Any) -> Callable[[Handler], Handler]:
    """Enter a handler for callables."""

    def enter(handler: Handler) -> Handler:
        for function in callables:
            TABLE[function] = handler
        return handler

    return enter


def methods(kind: type, *names: str) -> Callable[[Handler], Handler]:
    """Enter a handler for methods of a built-in type; the object is the first argument."""

    def enter(handler: Handler) -> Handler:
        for name in names:
            METHODS[kind, name] = handler
        return handler

    return enter


# Functions of dualflow ----------------------------------------------------------------------


def trusted(call: Call) -> Plan | None:
    """A function of dualflow: its operations pass the door; Python numbers in it are pinned."""
    recorder = call.recorder
    for value, origin in (*zip(call.args, call.origins, strict=True),
                          *((call.kwargs[k], call.where[k]) for k in call.kwargs)):  # fmt: skip
        recorder.understand(origin, value)
    if recorder.dead:
        return None
    f = call.function
    name = getattr(f, "__name__", "")
    if name in _CHANGES and not (call.origins and isinstance(call.origins[0], Born)):
        call.refuse()
        return None
    if name in _READS and len(call.args) == 1 and type(call.args[0]) is Tensor:
        return _reading(call, f)
    if name == "backward":
        recorder.backwards = True

    def run(*args: Any, **kwargs: Any) -> Any:
        return recorder.guarded(f, *args, **kwargs)

    return call.plan(lambda out: recorder.adopt(out), run)


#: functions of dualflow that change something no operation shows
_CHANGES = frozenset(["requires_grad_", "retain_grad", "seed", "manual_seed", "default_generator"])
_READS = frozenset(["item", "__bool__", "__int__", "__float__", "__index__"])


def _reading(call: Call, f: Any) -> Plan | None:
    recorder = call.recorder
    found: list[Origin] = [None]

    def run(tensor: Tensor) -> Any:
        value, found[0] = recorder.value_of(tensor, f)
        return value

    return call.plan(lambda out: found[0], run)


def _gradient(call: Call) -> Plan | None:
    """`df.grad(f)` and the like, called: `f` is followed, the rest is trusted."""
    from .calls import invoke

    f, recorder = call.function, call.recorder
    recorder.backwards = True
    for value, origin in (*zip(call.args, call.origins, strict=True),
                          *((call.kwargs[k], call.where[k]) for k in call.kwargs)):  # fmt: skip
        recorder.structure(origin, value)
    outer = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
    inner = outer["both"].cell_contents if "both" in outer else f
    names = inner.__code__.co_freevars
    cells = dict(zip(names, inner.__closure__, strict=True))
    user = cells["fn"].cell_contents
    user_origin = recorder.origin(call.origin if isinstance(call.origin, Born) else None, user)
    if user_origin is None or isinstance(call.origin, Born):
        user_origin = recorder.known(user) or CONSTANT

    def bridge(*args: Any, **kwargs: Any) -> Any:
        origins = tuple(recorder.adopt(arg) for arg in args)
        if kwargs:
            recorder.refuse("keyword arguments of a function that is differentiated")
            return user(*args, **kwargs)
        return invoke(call.frame, user, user_origin, args, origins)[0]

    functools.update_wrapper(bridge, user)
    made = _with_cell(inner, "fn", bridge)
    if "both" in outer:
        made = _with_cell(f, "both", made)

    def run(*args: Any, **kwargs: Any) -> Any:
        return recorder.guarded(made, *args, **kwargs)

    return call.plan(lambda out: recorder.adopt(out), run)


def _with_cell(f: Any, name: str, value: Any) -> Any:
    """A copy of a closure with another value in one cell."""
    cells = [
        types.CellType(value) if free == name else cell
        for free, cell in zip(f.__code__.co_freevars, f.__closure__, strict=True)
    ]
    made = types.FunctionType(f.__code__, f.__globals__, f.__name__, f.__defaults__, tuple(cells))
    made.__kwdefaults__ = f.__kwdefaults__
    return made


for _wrapper in (functional.grad(lambda x: x), functional.value_and_grad(lambda x: x)):
    BY_CODE[_wrapper.__code__] = _gradient


@known(functional.grad, functional.value_and_grad)
def _gradient_made(call: Call) -> Plan | None:
    recorder = call.recorder
    if not isinstance(call.args[0], types.FunctionType):
        call.refuse("the gradient of something that is no plain function")
        return None
    for value, origin in list(zip(call.args, call.origins, strict=True))[1:]:
        recorder.understand(origin, value)
    for key, value in call.kwargs.items():
        recorder.understand(call.where[key], value)
    if isinstance(call.origins[0], Node):
        recorder.guard("{0} is {k0}", call.origins[0], constants=(call.args[0],))
    return call.plan(lambda out: recorder.born(out, "function", ((), {})))


# Numbers ------------------------------------------------------------------------------------

_MATH = [f for f in vars(math).values() if isinstance(f, types.BuiltinFunctionType)]


@known(abs, round, divmod, pow, hash, chr, ord, hex, oct, bin, *_MATH, complex)
def _arithmetic(call: Call) -> Plan | None:
    """A function of scalars alone."""
    recorder = call.recorder
    if call.function is abs and call.args and type(call.args[0]) is Tensor:
        run = functools.partial(recorder.guarded, abs)
        return call.plan(lambda out: recorder.origin(None, out), run)
    if call.kwargs or not all(type(value) in NUMBERS for value in call.args):
        return _constant_only(call)

    def finish(out: Any) -> Origin:
        if type(out) is tuple:  # divmod
            node = _expression(call)
            if node is CONSTANT or node is None:
                return node
            return recorder.born(out, "tuple", [recorder.nodes("{0}[{k0}]", (node,), (i,)) for i in (0, 1)])
        return _expression(call)

    return call.plan(finish, functools.partial(recorder.guarded, call.function))


def _expression(call: Call) -> Origin:
    recorder = call.recorder
    text = "({k0}(" + ", ".join(f"{{{i}}}" for i in range(len(call.args))) + "))"
    if all(origin is CONSTANT for origin in call.origins):
        return CONSTANT
    parents = []
    for value, origin in zip(call.args, call.origins, strict=True):
        recorder.typed(origin, value)
        node = recorder.as_node(origin, value)
        if node is None:
            recorder.refuse(f"an argument of {call.name} of unknown origin")
            return None
        parents.append(node)
    return recorder.nodes(text, tuple(parents), (call.function,))


def _constant_only(call: Call) -> Plan | None:
    """Arguments are pinned, so the result is a constant."""
    recorder = call.recorder
    for value, origin in zip(call.args, call.origins, strict=True):
        recorder.pin(origin, value)
    for key, value in call.kwargs.items():
        recorder.pin(call.where[key], value)
    if recorder.dead:
        return None
    return call.plan(
        lambda out: CONSTANT if type(out) in SCALARS or isinstance(out, FIXED) else None,
        functools.partial(recorder.guarded, call.function),
    )


@known(int, float, bool, str, repr)
def _conversion(call: Call) -> Plan | None:
    recorder = call.recorder
    if len(call.args) == 1 and type(call.args[0]) is Tensor and call.function in NUMBERS:
        return _reading(call, call.function)
    if len(call.args) == 1 and type(call.args[0]) in SCALARS and not call.kwargs:
        run = functools.partial(recorder.guarded, call.function)
        return call.plan(lambda out: _expression(call), run)
    if call.function is bool and len(call.args) == 1:
        truth = call.frame._truth(call.origins[0], call.args[0])
        return call.plan(lambda out: CONSTANT, lambda value: truth)
    if call.function is str and len(call.args) == 1:
        from .calls import text_of

        if text_of(call.frame, call.args[0], call.origins[0]) is not None:
            return call.plan(lambda out: CONSTANT)
    values = list(call.args)
    if all(type(v) in SCALARS or isinstance(v, (enum.Enum, np.dtype)) for v in values):
        return _constant_only(call)
    call.refuse()
    return None


@known(min, max, sum, any, all)
def _folding(call: Call) -> Plan | None:
    from .calls import invoke

    recorder, frame = call.recorder, call.frame
    args, kwargs = call.args, call.kwargs
    if call.function is sum and args and not kwargs:
        return call.plan(*_sum(call))
    if call.function in (any, all) and len(args) == 1:
        return call.plan(*_any_all(call))
    if kwargs or not args:
        return _constant_only(call)
    if len(args) == 1:
        pairs = list(containers.elements(frame, args[0], call.origins[0]))
    else:
        pairs = list(zip(args, call.origins, strict=True))
    if not pairs or not all(type(value) in NUMBERS for value, _ in pairs):
        if any(type(value) is Tensor for value, _ in pairs):
            call.refuse(f"{call.name} of tensors")
            return None
        for value, origin in pairs:
            recorder.pin(origin, value)
        return call.plan(lambda out: CONSTANT, lambda *a: call.function([v for v, _ in pairs]))
    inner = call.of(call.function, CONSTANT)
    inner.args, inner.origins = tuple(v for v, _ in pairs), tuple(q for _, q in pairs)
    if len(pairs) == 1:
        return call.plan(lambda out: pairs[0][1], lambda *a: pairs[0][0])
    return call.plan(lambda out: _expression(inner), lambda *a: call.function(*inner.args))
    _ = invoke


def _sum(call: Call) -> tuple[Any, Any]:
    frame, recorder = call.frame, call.recorder
    found: list[Origin] = [CONSTANT]

    def run(iterable: Any, start: Any = 0) -> Any:
        total: Any = start
        origin: Origin = CONSTANT if len(call.args) == 1 else call.origins[1]
        slot, other, out = 0, 0, 0
        pairs = containers.elements(frame, iterable, call.origins[0])
        slots = frame.slots
        slot, other, out = len(slots), len(slots) + 1, len(slots) + 2
        slots += [None, None, None]
        for value, part in pairs:
            frame.slots[slot], frame.slots[other] = origin, part
            total = frame.binop(out, "Add", slot, other, total, value)
            origin = frame.slots[out]
        found[0] = origin
        return total

    return (lambda out: found[0] if not recorder.dead else None), run


def _any_all(call: Call) -> tuple[Any, Any]:
    frame = call.frame
    wanted = call.function is any

    def run(iterable: Any) -> bool:
        for value, origin in containers.elements(frame, iterable, call.origins[0]):
            truth = bool(value) if frame.recorder.dead else frame._truth(origin, value)
            if truth is wanted:
                return wanted
        return not wanted

    return (lambda out: CONSTANT), run


# Types --------------------------------------------------------------------------------------


@known(isinstance, issubclass, type, callable)
def _type_test(call: Call) -> Plan | None:
    recorder = call.recorder
    for i, (value, origin) in enumerate(zip(call.args, call.origins, strict=True)):
        if i == 0 and call.function is not issubclass:
            recorder.typed(origin, value)
            late = isinstance(origin, Node) and origin.late
            if late and type(value) is not float and not str(origin).startswith("bool"):
                pass  # the dtype of a tensor decides the type, and is guarded
        else:
            recorder.pin(origin, value)
    classes = call.args[-1] if isinstance(call.args[-1], tuple) else (call.args[-1],)
    if call.function is isinstance and not all(type(c) in (type, enum.EnumMeta) for c in classes):
        call.refuse("isinstance with a class that decides for itself")
        return None
    if call.function is type and len(call.args) != 1:
        call.refuse("a class made in the call")
        return None
    return call.plan(lambda out: CONSTANT)


@known(len)
def _len(call: Call) -> Plan | None:
    value, origin = containers.length(call.frame, call.args[0], call.origins[0])
    return call.plan(lambda out: origin, lambda _: value)


@known(getattr, hasattr)
def _getattr(call: Call) -> Plan | None:
    recorder, frame = call.recorder, call.frame
    owner, name = call.args[0], call.args[1]
    recorder.pin(call.origins[1], name)
    found: list[Origin] = [None]

    def run(owner: Any, name: str, *default: Any) -> Any:
        try:
            value, found[0] = attributes.read(frame, owner, call.origins[0], name)
        except AttributeError:
            if call.function is hasattr:
                found[0] = CONSTANT
                return False
            if not default:
                raise
            found[0] = call.origins[2]
            return default[0]
        if call.function is hasattr:
            found[0] = CONSTANT
            return True
        return value

    if type(name) is not str or recorder.dead:
        return None
    if owner is None:
        recorder.refuse("an attribute of None")
    return call.plan(lambda out: found[0], run)


@known(setattr)
def _setattr(call: Call) -> Plan | None:
    recorder = call.recorder
    recorder.pin(call.origins[1], call.args[1])
    owner, name, value = call.args
    attributes.store(call.frame, owner, call.origins[0], name, value, call.origins[2])
    return None if recorder.dead else call.plan(lambda out: CONSTANT)


@known(super)
def _super(call: Call) -> Plan | None:
    if call.args:
        call.refuse("super with arguments")
        return None
    recorder = call.recorder

    def finish(out: Any) -> Origin:
        owner = out.__self__
        return recorder.born(out, "super", recorder.origin(None, owner))

    return call.plan(finish)


# Iterables ----------------------------------------------------------------------------------


@known(range, slice)
def _range(call: Call) -> Plan | None:
    recorder = call.recorder
    for value, origin in zip(call.args, call.origins, strict=True):
        if type(value) not in (int, bool, type(None)):
            call.refuse(f"{call.name} of a {type(value).__name__}")
            return None
        recorder.pin(origin, value)
    return call.plan(lambda out: CONSTANT, functools.partial(recorder.guarded, call.function))


@known(list, tuple)
def _sequence(call: Call) -> Plan | None:
    recorder, frame, kind = call.recorder, call.frame, call.function
    parts: list[Origin] = []

    def run(*args: Any) -> Any:
        if not args:
            return kind()
        pairs = list(containers.elements(frame, args[0], call.origins[0]))
        parts.extend(part for _, part in pairs)
        return kind([value for value, _ in pairs])

    def finish(out: Any) -> Origin:
        if kind is tuple and all(part is CONSTANT for part in parts):
            return CONSTANT
        return recorder.born(out, kind.__name__, parts)

    return call.plan(finish, run)


@known(dict)
def _dict(call: Call) -> Plan | None:
    recorder, frame = call.recorder, call.frame
    parts: dict[Any, Origin] = {}

    def run(*args: Any, **kwargs: Any) -> Any:
        if args and type(args[0]) is dict:
            for key, value in _dict_items(call, args[0], call.origins[0]):
                parts[key] = value
        elif args:
            pairs = []
            for pair, origin in containers.elements(frame, args[0], call.origins[0]):
                (key, ko), (value, part) = recorder.items(pair, recorder.origin(origin, pair))
                containers.key_node(recorder, ko, key)
                pairs.append((key, value))
                parts[key] = part
            args = (pairs,)
        parts.update(call.where)
        return dict(*args, **kwargs)

    return call.plan(lambda out: recorder.born(out, "dict", parts), run)


def _dict_items(call: Call, value: dict, origin: Origin) -> list[tuple[Any, Origin]]:
    recorder = call.recorder
    names = containers.keys(recorder, value, origin)
    if recorder.dead:
        return []
    return [(key, containers.item(call.frame, value, key, origin, CONSTANT)[1]) for key in names]


@methods(dict, "items", "values", "keys")
def _dict_view(call: Call) -> Plan | None:
    recorder = call.recorder
    owner, origin, name = call.args[0], call.origins[0], call.function.__name__
    parts = _dict_items(call, owner, origin)

    def follow() -> Iterator[tuple[Any, Origin]]:
        for key, part in parts:
            if name == "keys":
                yield key, CONSTANT
            elif name == "values":
                yield owner[key], part
            else:
                pair = (key, owner[key])
                yield pair, recorder.born(pair, "tuple", [CONSTANT, part])

    f = call.function
    return call.plan(lambda out: recorder.born(out, "iterator", follow), lambda _: f())


@methods(dict, "get")
def _dict_get(call: Call) -> Plan | None:
    owner, key, *default = call.args
    if owner.__contains__(key) if _plain_key(key) else False:
        found = containers.item(call.frame, owner, key, call.origins[0], call.origins[1])
    elif _plain_key(key):
        containers.contains(call.frame, key, owner, call.origins[1], call.origins[0])
        found = (default[0], call.origins[2]) if default else (None, CONSTANT)
    else:
        call.refuse("dict.get of such a key")
        return None
    return call.plan(lambda out: found[1], lambda *a: found[0])


def _plain_key(key: Any) -> bool:
    return type(key) in SCALARS or isinstance(key, FIXED)


@methods(dict, "setdefault")
def _setdefault(call: Call) -> Plan | None:
    owner, key, *default = call.args
    if not _plain_key(key) or not isinstance(call.origins[0], Born):
        call.refuse("dict.setdefault of a dict from outside")
        return None
    if key in owner:
        return _dict_get(call)
    parts = [*call.origins[2:], CONSTANT]
    call.recorder.pin(call.origins[1], key)
    f = call.function

    def finish(out: Any) -> Origin:
        call.origins[0].parts[key] = parts[0]  # type: ignore[union-attr]
        return parts[0]

    return call.plan(finish, lambda owner, *a: f(*a))
    _ = default


@methods(dict, "update")
def _update(call: Call) -> Plan | None:
    frame, recorder = call.frame, call.recorder
    owner, origin = call.args[0], call.origins[0]

    def run(owner: dict, *args: Any, **kwargs: Any) -> None:
        if args and type(args[0]) is not dict:
            recorder.refuse("dict.update of something that is no dict")
            owner.update(*args, **kwargs)
            return
        if args:
            for key, part in _dict_items(call, args[0], call.origins[1]) or []:
                containers.set_item(frame, owner, key, args[0][key], origin, CONSTANT, part)
            if recorder.dead:
                owner.update(args[0])
        for key, value in kwargs.items():
            containers.set_item(frame, owner, key, value, origin, CONSTANT, call.where[key])

    return call.plan(lambda out: CONSTANT, run)


@methods(list, "append")
def _append(call: Call) -> Plan | None:
    owner, value = call.args
    shadow = containers.shadow_of(call.recorder, owner, call.origins[0])
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
    shadow = containers.shadow_of(call.recorder, owner, call.origins[0])

    def run(owner: list, iterable: Any) -> None:
        for value, part in containers.elements(call.frame, iterable, call.origins[1]):
            if not call.recorder.dead:
                _append_part(call, shadow, value, part)
            owner.append(value)

    return call.plan(lambda out: CONSTANT, run)


@methods(list, "pop", "insert", "reverse", "clear")
def _list_change(call: Call) -> Plan | None:
    recorder, name = call.recorder, call.function.__name__
    owner, *rest = call.args
    shadow = containers.shadow_of(recorder, owner, call.origins[0])
    born = shadow if isinstance(shadow, Born) else shadow.whole(recorder)
    if name in ("pop", "insert") and rest:
        recorder.pin(call.origins[1], rest[0])
    if recorder.dead or len(born.parts) != len(owner):
        call.refuse()
        return None
    arguments: list[Any] = [(value, CONSTANT) for value in rest]
    found: Origin = CONSTANT
    if name == "insert":
        born.parts.insert(rest[0], call.origins[2])
        arguments[1] = (rest[1], call.origins[2])
    elif owner or name != "pop":
        found = getattr(born.parts, name)(*rest) if name == "pop" else CONSTANT
        if name != "pop":
            getattr(born.parts, name)()
    if born is not shadow:
        effect = ("method", shadow.node, name, arguments, recorder.effect_line())
        recorder.effects.append(effect)
    f = call.function
    return call.plan(lambda out: found, lambda owner, *a: f(*a))


@methods(list, "copy")
def _copy(call: Call) -> Plan | None:
    parts = [part for _, part in call.recorder.items(call.args[0], call.origins[0])]
    return call.plan(lambda out: call.recorder.born(out, "list", parts), list.copy)


@methods(list, "index", "count")
@methods(tuple, "index", "count")
def _search(call: Call) -> Plan | None:
    f = call.function
    inner = _constant_only(call)
    if inner is not None:
        inner.function = lambda owner, *a: call.recorder.guarded(f, *a)
    return inner


@known(enumerate)
def _enumerate(call: Call) -> Plan | None:
    frame, recorder = call.frame, call.recorder
    start = call.args[1] if len(call.args) > 1 else call.kwargs.get("start", 0)
    if len(call.args) > 1:
        recorder.pin(call.origins[1], start)
    elif "start" in call.kwargs:
        recorder.pin(call.where["start"], start)
    source = containers.elements(frame, call.args[0], call.origins[0])

    def follow() -> Iterator[tuple[Any, Origin]]:
        for i, (value, origin) in enumerate(source, start):
            pair = (i, value)
            yield pair, recorder.born(pair, "tuple", [CONSTANT, origin])

    return _lazily(call, follow)


@known(zip)
def _zip(call: Call) -> Plan | None:
    frame, recorder = call.frame, call.recorder
    if call.kwargs and call.kwargs != {"strict": True}:
        call.refuse("zip with such arguments")
        return None
    sources = [containers.elements(frame, value, origin)
               for value, origin in zip(call.args, call.origins, strict=True)]  # fmt: skip

    def follow() -> Iterator[tuple[Any, Origin]]:
        for pairs in zip(*sources, **call.kwargs):
            made = tuple(value for value, _ in pairs)
            yield made, recorder.born(made, "tuple", [origin for _, origin in pairs])

    return _lazily(call, follow)


@known(map)
def _map(call: Call) -> Plan | None:
    from .calls import invoke

    frame = call.frame
    f, origin = call.args[0], call.origins[0]
    sources = [containers.elements(frame, value, where) for value, where in
               zip(call.args[1:], call.origins[1:], strict=True)]  # fmt: skip

    def follow() -> Iterator[tuple[Any, Origin]]:
        for pairs in zip(*sources, strict=False):
            values, origins = zip(*pairs, strict=True)
            yield invoke(frame, f, origin, values, origins)

    return _lazily(call, follow)


@known(filter)
def _filter(call: Call) -> Plan | None:
    from .calls import invoke

    frame = call.frame
    f, origin = call.args[0], call.origins[0]
    source = containers.elements(frame, call.args[1], call.origins[1])

    def follow() -> Iterator[tuple[Any, Origin]]:
        for value, part in source:
            out, found = (value, part) if f is None else invoke(frame, f, origin, (value,), (part,))
            truth = bool(out) if frame.recorder.dead else frame._truth(found, out)
            if truth:
                yield value, part

    return _lazily(call, follow)


def _lazily(call: Call, follow: Any) -> Plan:
    """An iterator that computes as it is asked: a real generator stands in for C's object, which
    is why it must not leave the call."""
    recorder = call.recorder
    source = follow()
    made = (value for value, _ in ())

    def rest() -> Iterator[tuple[Any, Origin]]:
        return source

    recorder.stand_in(made)
    return call.plan(
        lambda out: recorder.born(out, "iterator", rest), lambda *a, **k: _Standing(source)
    )


class _Standing:
    """An iterator in the place of C's `zip`, `map`, `enumerate`..., within a recorded call."""

    __slots__ = ("source",)

    def __init__(self, source: Iterator[tuple[Any, Origin]]) -> None:
        self.source = source

    def __iter__(self) -> _Standing:
        return self

    def __next__(self) -> Any:
        return next(self.source)[0]


@known(reversed)
def _reversed(call: Call) -> Plan | None:
    if type(call.args[0]) not in (list, tuple, range):
        call.refuse(f"reversed of a {type(call.args[0]).__name__}")
        return None
    source = list(containers.elements(call.frame, call.args[0], call.origins[0]))
    return _lazily(call, lambda: reversed(source))


@known(iter)
def _iter(call: Call) -> Plan | None:
    if len(call.args) != 1:
        call.refuse("iter with two arguments")
        return None
    return _lazily(call, lambda: containers.elements(call.frame, call.args[0], call.origins[0]))


@known(next)
def _next(call: Call) -> Plan | None:
    recorder = call.recorder
    origin = recorder.origin(call.origins[0], call.args[0])
    if not isinstance(origin, Born) or origin.kind != "iterator":
        call.refuse("next of an iterator of unknown origin")
        return None
    found: list[Origin] = [None]
    source = origin.parts()

    def run(iterator: Any, *default: Any) -> Any:
        for value, found[0] in source:
            return value
        if default:
            found[0] = call.origins[1]
            return default[0]
        raise StopIteration

    return call.plan(lambda out: found[0], run)


@known(sorted)
def _sorted(call: Call) -> Plan | None:
    from .calls import invoke

    recorder, frame = call.recorder, call.frame
    key = call.kwargs.get("key")
    pairs = list(containers.elements(frame, call.args[0], call.origins[0]))
    ranks = []
    for value, origin in pairs:
        rank, where = value, origin
        if key is not None:
            rank, where = invoke(frame, key, call.where["key"], (value,), (origin,))
        recorder.pin(where, rank)
        ranks.append(rank)
    if "reverse" in call.kwargs:
        recorder.pin(call.where["reverse"], call.kwargs["reverse"])
    plain = all(type(r) in SCALARS or type(r) is tuple for r in ranks)
    if recorder.dead or not plain:
        call.refuse("sorted by keys that are no plain values")
        return None
    order = sorted(range(len(pairs)), key=ranks.__getitem__, reverse=call.kwargs.get("reverse", False))
    made = [pairs[i] for i in order]
    return call.plan(
        lambda out: recorder.born(out, "list", [origin for _, origin in made]),
        lambda *a, **k: [value for value, _ in made],
    )


@known(functools.reduce)
def _reduce(call: Call) -> Plan | None:
    from .calls import invoke

    frame = call.frame
    f, iterable, *start = call.args
    found: list[Origin] = [None]

    def run(*args: Any) -> Any:
        pairs = containers.elements(frame, iterable, call.origins[1])
        if start:
            total, origin = start[0], call.origins[2]
        else:
            total, origin = next(pairs)
        for value, part in pairs:
            total, origin = invoke(frame, f, call.origins[0], (total, value), (origin, part))
        found[0] = origin
        return total

    return call.plan(lambda out: found[0], run)


@known(functools.partial)
def _partial(call: Call) -> Plan | None:
    recorder = call.recorder
    parts = (call.origins[0], list(call.origins[1:]), dict(call.where))
    return call.plan(lambda out: recorder.born(out, "partial", parts))


# Text and output ----------------------------------------------------------------------------

for _name in dir(str):
    if not _name.startswith("_") and _name not in ("format", "format_map", "join"):
        METHODS[str, _name] = lambda call: _text(call)


def _text(call: Call) -> Plan | None:
    f = call.function
    inner = _constant_only(call)
    if inner is not None:
        inner.function = lambda owner, *a, **k: call.recorder.guarded(f, *a, **k)
        inner.finish = lambda out: _plain_result(call, out)
    return inner


def _plain_result(call: Call, out: Any) -> Origin:
    if type(out) in SCALARS or (type(out) is tuple and all(type(x) in SCALARS for x in out)):
        return CONSTANT
    if type(out) is list:
        return call.recorder.born(out, "list", [CONSTANT] * len(out))
    return None


@methods(str, "join")
def _join(call: Call) -> Plan | None:
    pairs = list(containers.elements(call.frame, call.args[1], call.origins[1]))
    call.recorder.pin(call.origins[0], call.args[0])
    for value, origin in pairs:
        call.recorder.pin(origin, value)
    f = call.function
    return call.plan(lambda out: CONSTANT, lambda *a: f([value for value, _ in pairs]))


@known(print)
def _print(call: Call) -> Plan | None:
    recorder = call.recorder
    plain = (str, int, float, bool, type(None))
    if "file" in call.kwargs or not all(type(v) in plain for v in call.args):
        call.refuse("print of something that is no plain value")
        return None
    pairs = list(zip(call.args, call.origins, strict=True))
    for key, value in call.kwargs.items():
        recorder.pin(call.where[key], value)
    if recorder.dead:
        return None
    recorder.effects.append(("print", pairs, dict(call.kwargs), recorder.effect_line()))
    return call.plan(lambda out: CONSTANT)


for _function in (operator.add, operator.mul, operator.sub, operator.truediv, operator.matmul):
    _NAMES = {"add": "Add", "mul": "Mult", "sub": "Sub", "truediv": "Div", "matmul": "MatMult"}

    def _operator(call: Call, name: str = _NAMES[_function.__name__]) -> Plan | None:
        frame = call.frame
        slots = frame.slots
        slot = len(slots)
        slots += [call.origins[0], call.origins[1], None]
        return call.plan(
            lambda out: slots[slot + 2],
            lambda a, b: frame.binop(slot + 2, name, slot, slot + 1, a, b),
        )

    TABLE[_function] = _operator

_ = builtins
