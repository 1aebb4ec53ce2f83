"""Known callables: `itertools`, made over values whose origins are followed.

Comes in: a `Call`. Goes out: its plan. Python's own iterator runs over the arguments themselves (it
may be copied, or asked for more while it gives); the origins are found by position.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor

from .. import iteration, shadows, twins
from ..classes import special
from ..provenance import CONSTANT, SCALARS, Origin
from ..tables import known
from .iterators import InPlace, Tap, itself

if TYPE_CHECKING:
    from ..plans import Call, Plan

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
    last = [-1]
    if type(value) in (list, tuple):
        recorder.measured(value, origin)

        def part() -> Origin:
            last[0] += 1
            return iteration.part_now(recorder, value, origin, last[0])

        return value, part
    if type(value) in (range, str):
        recorder.pin(origin, value)
        return value, lambda: CONSTANT
    tap = _tap(call, value, call.origins[i])
    return None if tap is None else (tap, lambda: tap.last)


@known(itertools.chain)
def _chain(call: Call) -> Plan | None:
    if call.kwargs:
        call.refuse()
        return None
    if not all(type(value) in (list, tuple, range, str) for value in call.args):
        taps = [_tap(call, *pair) for pair in zip(call.args, call.origins, strict=True)]
        return None if None in taps else _one_by_one(call, itertools.chain, taps)
    sources = [source for i in range(len(call.args)) if (source := _source(call, i)) is not None]
    if call.recorder.dead:
        return None
    real = itertools.chain(*(given for given, _ in sources))

    def follow() -> Iterator[tuple[Any, Origin]]:
        k = given = 0
        for value in real:
            while given >= len(call.args[k]):
                k, given = k + 1, 0
            yield value, sources[k][1]()
            given += 1

    return _lazily(call, real, follow)


def _one_by_one(call: Call, make: Any, taps: Iterable[Any]) -> Plan:
    """What `make` makes of one iterator over the items of all taps."""
    last: list[Origin] = [None]

    def inner() -> Iterator[Any]:
        for tap in taps:
            for value in tap:
                last[0] = tap.last
                yield value

    real = make(inner())
    return _lazily(call, real, lambda: ((value, last[0]) for value in real))


@known(itertools.tee)
def _tee(call: Call) -> Plan | None:
    """Iterators over the items of one, each of which is asked for once."""
    recorder = call.recorder
    count = call.args[1] if len(call.args) == 2 else 2
    source = _source(call, 0) if type(count) is int and not call.kwargs else None
    if source is None or recorder.dead:
        call.refuse()
        return None
    if len(call.args) == 2:
        recorder.pin(call.origins[1], count)
    given, part = source
    parts: list[Origin] = []

    def asked() -> Iterator[Any]:
        for value in given:
            parts.append(part())
            yield value

    def follow(one: Any) -> Iterator[tuple[Any, Origin]]:
        for i, value in enumerate(one):
            yield value, parts[i]

    def finish(out: Any) -> Origin:
        sources = [follow(one) for one in out]
        return recorder.born(out, "tuple", [
            recorder.born(one, "iterator", functools.partial(itself, source))
            for one, source in zip(out, sources, strict=True)
        ])  # fmt: skip

    return call.plan(finish, lambda *args: itertools.tee(asked(), *args[1:]))


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


# Over what is asked one by one --------------------------------------------------------------------


def _tap(call: Call, value: Any, where: Origin) -> Tap | None:
    """What gives the items of an iterable one by one, and knows where the last came from."""
    origin = call.recorder.origin(where, value)
    asked = type(value) is not Tensor and special(type(value), "__iter__") is not None
    if asked or twins.closing(origin) or not iteration.followed(value, origin):
        call.refuse(f"{call.name} of a {type(value).__name__}")
        return None
    return Tap(call, value, origin)


def _tapped(of: Callable[[Call, Tap], Plan | None]) -> Callable[[Call], Plan | None]:
    """What follows a call by a tap of its first argument."""

    def handler(call: Call) -> Plan | None:
        tap = _tap(call, call.args[0], call.origins[0])
        return None if tap is None else of(call, tap)

    return handler


@known(itertools.accumulate)
def _accumulate(call: Call) -> Plan | None:
    frame, named = call.frame, {**dict(zip(("func",), call.args[1:], strict=False)), **call.kwargs}
    where = {**dict(zip(("func",), call.origins[1:], strict=False)), **call.where}
    tap = _tap(call, call.args[0], call.origins[0]) if len(call.args) in (1, 2) else None
    if tap is None:
        call.refuse()
        return None
    f = named.get("func") or operator.add
    total: list[Origin] = [where.get("initial")]

    def add(a: Any, b: Any) -> Any:
        out, total[0] = frame.invoke(f, where.get("func", CONSTANT), (a, b), (total[0], tap.last))
        return out

    initial = named.get("initial")
    real = itertools.accumulate(tap, InPlace(add, named.get("func")), initial=initial)

    def follow() -> Iterator[tuple[Any, Origin]]:
        for i, value in enumerate(real):
            if i == 0 and initial is None:
                total[0] = tap.last
            yield value, total[0]

    return _lazily(call, real, follow)


@known(itertools.starmap)
def _starmap(call: Call) -> Plan | None:
    recorder, frame = call.recorder, call.frame
    tap = _tap(call, call.args[1], call.origins[1])
    if tap is None:
        return None
    found: list[Origin] = [None]

    def apply(*values: Any) -> Any:
        origin = recorder.origin(tap.last, tap.given)
        parts = tuple(part for _, part in recorder.items(values, origin))
        if len(parts) != len(values) or not isinstance(tap.given, (list, tuple)):
            recorder.refuse("starmap over something that is no list or tuple")
            return call.args[0](*values)
        out, found[0] = frame.invoke(call.args[0], call.origins[0], values, parts)
        return out

    real = itertools.starmap(InPlace(apply, call.args[0]), tap)
    return _lazily(call, real, lambda: ((value, found[0]) for value in real))


@known(itertools.compress)
def _compress(call: Call) -> Plan | None:
    """Items whose selectors are true."""
    names = dict(zip(("data", "selectors"), call.args, strict=False)) | call.kwargs
    where = dict(zip(("data", "selectors"), call.origins, strict=False)) | call.where
    if names.keys() != {"data", "selectors"}:
        call.refuse()
        return None
    data, selectors = (_tap(call, names[n], where[n]) for n in ("data", "selectors"))
    if data is None or selectors is None:
        return None
    recorder = call.recorder
    truths = (
        bool(value) if recorder.dead else call.frame.truth_of(selectors.last, value)
        for value in selectors
    )
    real = itertools.compress(data, truths)
    return _lazily(call, real, lambda: ((value, data.last) for value in real))


@known(itertools.takewhile, itertools.dropwhile, itertools.filterfalse)
def _while(call: Call) -> Plan | None:
    frame, (f, value), (origin, where) = call.frame, call.args, call.origins
    tap = _tap(call, value, where)
    if tap is None:
        return None

    def test(value: Any) -> bool:
        out, part = value, tap.last
        if f is not None:
            out, part = frame.invoke(f, origin, (value,), (part,))
        return bool(out) if frame.recorder.dead else frame.truth_of(part, out)

    real = call.function(InPlace(test, f), tap)
    return _lazily(call, real, lambda: ((value, tap.last) for value in real))


@known(itertools.pairwise)
@_tapped
def _pairwise(call: Call, tap: Tap) -> Plan | None:
    real = itertools.pairwise(tap)

    def follow() -> Iterator[tuple[Any, Origin]]:
        for pair in real:
            yield pair, call.recorder.born(pair, "tuple", list(tap.two))

    return _lazily(call, real, follow)


@known(itertools.zip_longest)
def _zip_longest(call: Call) -> Plan | None:
    taps = [_tap(call, *pair) for pair in zip(call.args, call.origins, strict=True)]
    fill = call.where.get("fillvalue", CONSTANT)
    if None in taps or set(call.kwargs) - {"fillvalue"}:
        call.refuse()
        return None
    real = itertools.zip_longest(*taps, **call.kwargs)  # type: ignore[arg-type]

    def follow() -> Iterator[tuple[Any, Origin]]:
        for made in real:
            parts = [fill if tap.over else tap.last for tap in taps]  # type: ignore[union-attr]
            yield made, call.recorder.born(made, "tuple", parts)

    return _lazily(call, real, follow)


@known(itertools.chain.from_iterable)
@_tapped
def _flattened(call: Call, outer: Tap) -> Plan | None:
    taps = (Tap(call, value, call.recorder.origin(outer.last, value)) for value in outer)
    return _one_by_one(call, lambda items: itertools.chain.from_iterable([items]), taps)


@known(itertools.cycle)
@_tapped
def _cycle(call: Call, tap: Tap) -> Plan | None:
    real = itertools.cycle(tap)

    def follow() -> Iterator[tuple[Any, Origin]]:
        seen: list[Origin] = []
        for i, value in enumerate(real):
            if not tap.over:
                seen.append(tap.last)
            yield value, seen[i % len(seen)]

    return _lazily(call, real, follow)


@known(itertools.groupby)
def _groupby(call: Call) -> Plan | None:
    """Runs of items of equal keys, which are pinned."""
    recorder, frame = call.recorder, call.frame
    named = {**dict(zip(("key",), call.args[1:], strict=False)), **call.kwargs}
    where = {**dict(zip(("key",), call.origins[1:], strict=False)), **call.where}
    tap = _tap(call, call.args[0], call.origins[0]) if call.args else None
    if tap is None:
        call.refuse()
        return None
    f = named.get("key")

    def key(value: Any) -> Any:
        out, part = value, tap.last
        if f is not None:
            out, part = frame.invoke(f, where["key"], (value,), (part,))
        if not recorder.dead and not (type(out) in SCALARS or shadows.plain_tuple(out)):
            recorder.refuse("groupby with keys that are no plain values")
        recorder.pin(part, out)
        return out

    real = itertools.groupby(tap, InPlace(key, f))

    def follow() -> Iterator[tuple[Any, Origin]]:
        for pair in real:
            group = ((value, tap.last) for value in pair[1])
            inside = recorder.born(pair[1], "iterator", lambda group=group: group)
            yield pair, recorder.born(pair, "tuple", [CONSTANT, inside])

    return _lazily(call, real, follow)
