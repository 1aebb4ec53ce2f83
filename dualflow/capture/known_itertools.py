"""Known callables: `itertools`, made over values whose origins are followed.

Comes in: a `Call`. Goes out: its plan. Python's own iterator runs over the arguments themselves (it
may be copied, or asked for more while it gives); the origins are found by position.
"""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor

from . import iteration, twins
from .classes import special
from .provenance import CONSTANT, Origin
from .tables import known

if TYPE_CHECKING:
    from .plans import Call, Plan

Follow = Callable[[], Iterator[tuple[Any, Origin]]]


def _lazily(call: Call, real: Any, follow: Follow) -> Plan:
    recorder = call.recorder
    source = follow()
    return call.plan(
        lambda out: recorder.born(out, "iterator", lambda: source), lambda *a, **k: real
    )


def _source(call: Call, i: int) -> tuple[Any, Callable[[], Origin]] | None:
    """What Python's own iterator is to run over in the place of an argument, and what tells the
    origin of the item given last; None if that is not known. Taps are generators, over what is a
    generator or iterator itself."""
    recorder, value = call.recorder, call.args[i]
    origin = recorder.origin(call.origins[i], value)
    last: list[Any] = [None, -1]
    if type(value) in (list, tuple):
        for _ in recorder.items(value, origin):  # guards the length
            pass

        def part() -> Origin:
            last[1] += 1
            return iteration.part_now(recorder, value, origin, last[1])

        return value, part
    if type(value) in (range, str):
        recorder.pin(origin, value)
        return value, lambda: CONSTANT
    generator = type(value) is types.GeneratorType and not twins.closing(origin)
    if not generator or not iteration.followed(value, origin):
        call.refuse(f"{call.name} of a {type(value).__name__}")
        return None

    def tap() -> Iterator[Any]:
        for item, last[0] in iteration.elements(call.frame, value, origin):
            yield item

    return tap(), lambda: last[0]


@known(itertools.chain)
def _chain(call: Call) -> Plan | None:
    found = [_source(call, i) for i in range(len(call.args))]
    sources = [source for source in found if source is not None]
    lists = all(type(value) in (list, tuple, range, str) for value in call.args)
    if call.kwargs or call.recorder.dead or not (lists or len(sources) == 1):
        call.refuse()
        return None
    real = itertools.chain(*(given for given, _ in sources))

    def follow() -> Iterator[tuple[Any, Origin]]:
        k = given = 0
        for value in real:
            while lists and given >= len(call.args[k]):
                k, given = k + 1, 0
            yield value, sources[k][1]()
            given += 1

    return _lazily(call, real, follow)


@known(itertools.islice)
def _islice(call: Call) -> Plan | None:
    recorder = call.recorder
    source = None if call.kwargs else _source(call, 0)
    if source is None or recorder.dead:
        call.refuse()
        return None
    for value, origin in zip(call.args[1:], call.origins[1:], strict=True):
        recorder.pin(origin, value)
    given, part = source
    real = recorder.certain(lambda *bounds: itertools.islice(given, *bounds), call.args[1:])
    steps = slice(*call.args[1:])
    first, step = steps.start or 0, steps.step or 1

    def follow() -> Iterator[tuple[Any, Origin]]:
        for i, value in enumerate(real):
            if given is call.args[0] and type(given) in (list, tuple):
                yield value, iteration.part_now(recorder, given, call.origins[0], first + i * step)
            else:
                yield value, part()

    return _lazily(call, real, follow)


@known(itertools.product, itertools.permutations, itertools.combinations)
def _choices(call: Call) -> Plan | None:
    """What takes all items first."""
    recorder, f = call.recorder, call.function
    single = f is not itertools.product
    if set(call.kwargs) - {"repeat", "r"}:
        call.refuse()
        return None
    sources, rest = (1, call.args[1:]) if single else (len(call.args), ())
    for value, where in list(zip(call.args, call.origins, strict=True))[:sources]:
        asked = type(value) is not Tensor and special(type(value), "__iter__") is not None
        if asked or not iteration.followed(value, recorder.origin(where, value)):
            call.refuse(f"{call.name} of a {type(value).__name__}")
            return None
    for value, origin in zip(rest, call.origins[1:], strict=False):
        recorder.pin(origin, value)
    for name, value in call.kwargs.items():
        recorder.pin(call.where[name], value)
    pairs = [
        list(iteration.elements(call.frame, call.args[i], call.origins[i])) for i in range(sources)
    ]

    def made(part: int) -> Any:
        given = [[pair[part] for pair in source] for source in pairs]
        return f(*given, *rest, **call.kwargs)

    real = recorder.certain(made, (0,))
    origins = made(1)

    def follow() -> Iterator[tuple[Any, Origin]]:
        for value in real:
            yield value, recorder.born(value, "tuple", list(next(origins)))

    return _lazily(call, real, follow)


@known(itertools.count, itertools.repeat)
def _numbers(call: Call) -> Plan | None:
    """Numbers without end, or one value again and again."""
    recorder, again = call.recorder, call.function is itertools.repeat
    if call.kwargs:
        call.refuse()
        return None
    part: Origin = call.origins[0] if again and call.args else CONSTANT
    for value, origin in list(zip(call.args, call.origins, strict=True))[1 if again else 0 :]:
        recorder.pin(origin, value)
    real = recorder.certain(call.function, call.args, (CONSTANT,) * len(call.args))
    return _lazily(call, real, lambda: ((value, part) for value in real))
