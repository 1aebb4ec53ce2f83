"""Known callables: iterators, and what takes functions.

Comes in: a `Call`. Goes out: its plan.
"""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, final

from dualflow.array.tensor import Tensor

from .. import calls, iteration, outer_iterators, twins
from ..classes import special
from ..kinds import DICTS
from ..provenance import CONSTANT, Born, Node, Origin
from ..tables import known, methods

if TYPE_CHECKING:
    from ..plans import Call, Plan
    from ..recorder import Recorder


class InPlace(functools.partial):
    """What C code calls in the place of a function: a copy or pickle is that of the function."""

    of: Any

    def __new__(cls, run: Callable[..., Any], of: Any) -> InPlace:
        made = super().__new__(cls, run)
        made.of = of
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return itself, (self.of,)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self.of, memo)


def itself(value: Any) -> Any:
    return value


#: of these an iterator of Python's own goes beside, for copies and pickles
_BESIDE = frozenset((list, tuple, str, bytes, bytearray, range))


@final
class Tap:
    """The values of something. A copy or pickle is that of Python's own iterator.

    Attributes:
        given, last: the value given last, and its origin; `two` that and the one before.
        over: whether there are no more.
    """

    __slots__ = (
        "_beside", "_iterator", "given", "last", "over", "recorder", "source", "two", "value"
    )  # fmt: skip

    def __init__(self, call: Call, value: Any, origin: Origin) -> None:
        self.value, self.recorder = value, call.recorder
        self.given: Any = None
        self.last: Origin = None
        self.two: tuple[Origin, Origin] = (None, None)
        self.over = False
        taken = iteration.begun(value)
        self._beside = type(value) in _BESIDE
        self._iterator = iter(value) if self._beside else value if taken is None else taken
        followed = isinstance(origin, Born) and origin.kind == "iterator"
        self.source = (
            origin.parts() if followed  # type: ignore[union-attr]
            else iteration.elements(call.frame, value, origin, taken)
        )  # fmt: skip

    def __iter__(self) -> Tap:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._iterator.__reduce_ex__(protocol)

    def __copy__(self) -> Any:
        return copy.copy(self._iterator)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._iterator, memo)

    def __next__(self) -> Any:
        if getattr(self.source, "gi_running", False):
            self.recorder.refuse("an iterator that is asked while it is asked")
            return next(self.value)
        before = self.last
        if self._beside:
            next(self._iterator, None)
        try:
            self.given, self.last = next(self.source)
        except StopIteration:
            self.over = True
            raise
        self.two = before, self.last
        return self.given


def lazily(call: Call, real: Any, follow: Callable[[], Iterator[tuple[Any, Origin]]]) -> Plan:
    """Python's own iterator `real`, made over values whose origins `follow` knows."""
    recorder = call.recorder
    source = follow()
    return call.plan(
        lambda out: recorder.born(out, "iterator", lambda: source), lambda *a, **k: real
    )


def sources(call: Call, first: int = 0) -> list[tuple[Any, Callable[[int], Origin]]] | None:
    """For each iterable of a call what C code is to iterate over, and where the item that it gives
    as the i-th came from; None if that is not known. An object's own `__iter__` is asked now, and
    then there is a plan."""
    recorder, found = call.recorder, []
    given = [
        (value, recorder.origin(where, value))
        for value, where in zip(call.args[first:], call.origins[first:], strict=True)
    ]
    for value, origin in given:
        if twins.closing(origin) or not iteration.followed(value, origin):
            call.refuse(f"{call.name} of a {type(value).__name__}")
            return None
    for value, origin in given:
        if type(value) is not Tensor and special(type(value), "__iter__") is not None:
            made, where = iteration.asked(call.frame, value, origin)
            if twins.closing(where):
                call.refuse(f"{call.name} of a {type(value).__name__}")
            tap = Tap(call, made, where)
            found.append((tap, lambda _, tap=tap: tap.last))
        elif isinstance(value, (list, tuple)):
            for _ in recorder.items(value, origin):  # guards the length
                pass
            part = functools.partial(iteration.part_now, recorder, value, origin)
            found.append((value, part))
        elif type(value) is dict:
            iteration.keys(recorder, value, origin)
            found.append((value, lambda _: CONSTANT))
        elif type(value) in (range, str, bytes, bytearray):
            recorder.pin(origin, value)
            found.append((value, lambda _: CONSTANT))
        else:
            tap = Tap(call, value, origin)
            found.append((tap, lambda _, tap=tap: tap.last))
    return found


@known(enumerate)
def _enumerate(call: Call) -> Plan | None:
    recorder = call.recorder
    if not call.args or len(call.args) + len(call.kwargs) > 2 or set(call.kwargs) - {"start"}:
        call.refuse("enumerate with such arguments")
        return None
    start, where = (*call.args, 0)[1], (*call.origins, CONSTANT)[1]
    start, where = call.kwargs.get("start", start), call.where.get("start", where)
    recorder.pin(where, start)
    found = sources(call.of(enumerate, CONSTANT).only(1))
    if found is None:
        return None
    given, part = found[0]
    real = enumerate(given, start)

    def follow() -> Iterator[tuple[Any, Origin]]:
        for i, pair in enumerate(real):
            yield pair, recorder.born(pair, "tuple", [CONSTANT, part(i)])

    return lazily(call, real, follow)


@known(zip)
def _zip(call: Call) -> Plan | None:
    recorder = call.recorder
    if set(call.kwargs) - {"strict"}:
        call.refuse("zip with such arguments")
        return None
    strict = call.kwargs.get("strict", False)
    if "strict" in call.where:
        recorder.pin(call.where["strict"], strict)
    found = sources(call)
    if found is None:
        return None
    real = zip(*(given for given, _ in found), strict=strict)

    def follow() -> Iterator[tuple[Any, Origin]]:
        for i, made in enumerate(real):
            yield made, recorder.born(made, "tuple", [part(i) for _, part in found])

    return lazily(call, real, follow)


@known(map)
def _map(call: Call) -> Plan | None:
    frame = call.frame
    f, origin = call.args[0], call.origins[0]
    found = sources(call, 1)
    if found is None:
        return None
    made: list[Any] = [None, 0]

    def apply(*values: Any) -> Any:
        origins = tuple(part(made[1]) for _, part in found)
        made[1] += 1
        out, made[0] = frame.invoke(f, origin, values, origins)
        return out

    real = map(InPlace(apply, f), *(given for given, _ in found))
    return lazily(call, real, lambda: ((out, made[0]) for out in real))


@known(filter)
def _filter(call: Call) -> Plan | None:
    frame = call.frame
    f, origin = call.args[0], call.origins[0]
    found = sources(call, 1)
    if found is None:
        return None
    given, part = found[0]
    last: list[Any] = [None, 0]

    def keep(value: Any) -> bool:
        last[0], last[1] = part(last[1]), last[1] + 1
        out, found = value, last[0]
        if f is not None:
            out, found = frame.invoke(f, origin, (value,), (last[0],))
        return bool(out) if frame.recorder.dead else frame.truth_of(found, out)

    real = filter(InPlace(keep, f), given)
    return lazily(call, real, lambda: ((value, last[0]) for value in real))


@known(reversed, iter)
def _iterator(call: Call) -> Plan | None:
    value = call.args[0]
    origin = call.recorder.origin(call.origins[0], value)
    followed = isinstance(origin, Born) and origin.kind == "iterator"
    if call.function is iter and followed and iter(value) is value:
        return call.plan(lambda out: origin)
    if call.function is iter and len(call.args) == 1 and origin is not None:
        if special(type(value), "__iter__") is not None:
            made, where = iteration.asked(call.frame, value, origin)
            return call.plan(lambda out: where, lambda _: made)
        if type(value) in (*DICTS, str, bytes, set, frozenset):
            return _of_constants(call, value, origin)
    if len(call.args) != 1 or type(value) not in (list, tuple, range):
        call.refuse(f"{call.name} of a {type(value).__name__}")
        return None
    recorder, real = call.recorder, call.function(value)
    first, step = (len(value) - 1, -1) if call.function is reversed else (0, 1)
    if type(value) is range:
        recorder.pin(origin, value)
        origin = CONSTANT
    else:
        for _ in recorder.items(value, origin):  # guards the length
            pass

    def follow() -> Iterator[tuple[Any, Origin]]:
        for i, item in enumerate(real):
            yield item, iteration.part_now(recorder, value, origin, first + i * step)

    return lazily(call, real, follow)


def _of_constants(call: Call, value: Any, origin: Origin) -> Plan:
    """`iter` of what has constant items: text, a set, the keys of a dict."""
    real = iter(value)
    next(iteration.elements(call.frame, value, origin), None)  # guards what there is, and its order
    return lazily(call, real, lambda: ((item, CONSTANT) for item in real))


@known(next)
def _next(call: Call) -> Plan | None:
    recorder = call.recorder
    origin = recorder.origin(call.origins[0], call.args[0])
    following = special(type(call.args[0]), "__next__")
    if following is not None and origin is not None:
        return _next_of_object(call, following, origin)
    if isinstance(origin, Node):
        return outer_iterators.plan(call, origin)
    if not isinstance(origin, Born) or origin.kind != "iterator":
        call.refuse("next of an iterator of unknown origin")
        return None
    found: list[Origin] = [None]
    source = origin.parts()

    def run(iterator: Any, *default: Any) -> Any:
        if getattr(source, "gi_running", False):
            recorder.refuse("an iterator that is asked while it is asked")
            return next(iterator, *default)
        try:
            value, found[0] = next(source)
            return value
        except StopIteration as over:
            given = () if over.value is None else (over.value,)
        if default:
            found[0] = call.origins[1]
            return default[0]
        raise _over(recorder, origin.parts, given)

    return call.plan(lambda out: found[0], run)


def _over(recorder: Recorder, running: Any, given: tuple[Any, ...]) -> StopIteration:
    """The error of a generator that is over, with what it returned."""
    error = StopIteration(*given)
    if given and isinstance(running, twins.Running) and running.frame is not None:
        recorder.born(error, "error", {"args": [running.frame.result]})
    return error


def _next_of_object(call: Call, following: types.FunctionType, origin: Origin) -> Plan:
    """`next` of an object whose `__next__` is written in Python."""
    call.recorder.classes.guard_special(origin, call.args[0], "__next__")
    found: list[Origin] = [None]

    def run(iterator: Any, *default: Any) -> Any:
        try:
            value, found[0] = call.frame.invoke(following, CONSTANT, (iterator,), (origin,))
        except StopIteration:
            if not default:
                raise
            value, found[0] = default[0], call.origins[1]
        return value

    return call.plan(lambda out: found[0], run)


@methods(types.GeneratorType, "__next__")
def _next_method(call: Call) -> Plan | None:
    f = call.function
    plan = _next(call.of(next, CONSTANT))
    if plan is not None and plan.function is next:
        plan.function = lambda _: f()
    return plan


@methods(types.GeneratorType, "send")
def _send(call: Call) -> Plan | None:
    origin, f = call.origins[0], call.function
    running = origin.parts if isinstance(origin, Born) else None
    if not isinstance(running, twins.Running) or running.frame is None:
        call.refuse()
        return None
    running.frame.innermost().incoming = call.origins[1]
    return call.plan(lambda out: running.frame.innermost().result, lambda _, value: f(value))


@methods(types.GeneratorType, "throw")
def _throw(call: Call) -> Plan | None:
    """An error made in the call, thrown into a generator that runs in it."""
    recorder, f, (origin, *given) = call.recorder, call.function, call.origins
    running = origin.parts if isinstance(origin, Born) else None
    known = [recorder.origin(part, value) for part, value in zip(given, call.args[1:], strict=True)]
    if len(known) == 3 and type(call.args[3]) is types.TracebackType:
        known = known[1:2] if type(call.args[2]) is call.args[1] else []  # as Python had it
    plain = len(known) == 1 and isinstance(known[0], Born) and known[0].kind == "error"
    if not plain or not isinstance(running, twins.Running) or running.frame is None:
        call.refuse()
        return None
    return call.plan(lambda out: running.frame.innermost().result, lambda _, *error: f(*error))


@methods(types.GeneratorType, "close")
def _close(call: Call) -> Plan | None:
    f = call.function
    return call.plan(lambda out: CONSTANT, lambda _: f())


@known(functools.reduce)
def _reduce(call: Call) -> Plan | None:
    frame = call.frame
    f, iterable, *start = call.args
    found: list[Origin] = [None]

    def run(*args: Any) -> Any:
        pairs = iteration.elements(frame, iterable, call.origins[1])
        if start:
            total, origin = start[0], call.origins[2]
        else:
            first = next(pairs, None)
            if first is None:
                raise TypeError("reduce() of empty iterable with no initial value")
            total, origin = first
        for value, part in pairs:
            total, origin = frame.invoke(f, call.origins[0], (total, value), (origin, part))
        found[0] = origin
        return total

    return call.plan(lambda out: found[0], run)


@known(functools.partial)
def _partial(call: Call) -> Plan | None:
    """A partial; of a partial Python takes the parts."""
    recorder, of = call.recorder, call.args[0]
    parts = (call.origins[0], list(call.origins[1:]), dict(call.where))
    if type(of) is functools.partial:
        found = calls.partial_parts(recorder, of, call.origins[0])
        if found is None:
            call.refuse()
            return None
        parts = (found[0], found[1] + parts[1], found[2] | parts[2])
    return call.plan(lambda out: recorder.born(out, "partial", parts))


@known(functools.update_wrapper)
def _wrapped(call: Call) -> Plan | None:
    """What `functools.wraps` does to a function made in the call: names and notes are constants."""
    recorder = call.recorder
    names = dict(zip(("wrapper", "wrapped"), call.args, strict=False)) | call.kwargs
    where = dict(zip(("wrapper", "wrapped"), call.origins, strict=False)) | call.where
    made, of = names["wrapper"], names.get("wrapped")
    plain = names.get("assigned", functools.WRAPPER_ASSIGNMENTS) is functools.WRAPPER_ASSIGNMENTS
    plain = plain and names.get("updated", functools.WRAPPER_UPDATES) is functools.WRAPPER_UPDATES
    functions = type(made) is type(of) is types.FunctionType
    if not (plain and functions and isinstance(where["wrapper"], Born)) or vars(of):
        call.refuse()
        return None
    if not isinstance(where["wrapped"], Born):
        recorder.pin(where["wrapped"], of)
    recorder.stored[id(made), "__wrapped__"] = where["wrapped"]
    return call.plan(lambda out: where["wrapper"])
