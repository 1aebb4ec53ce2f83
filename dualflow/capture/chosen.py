"""Orders and samples that Python's `random` chooses: `shuffle`, `sample`, `choices` of numbers.

Comes in: a call of such a method. Goes out: its plan. Which places are chosen depends on how many
there are: a replay draws the places, and takes the numbers that lie there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dualflow.ir.graph import Value
from dualflow.ir.types import TensorType
from dualflow.ops import primitives as p

from . import shadows
from .ndarrays import random as numpy_random
from .provenance import CONSTANT, SCALARS, Born, Origin

if TYPE_CHECKING:
    from .plans import Call, Plan
    from .recorder import Recorder

_NAMES = frozenset(["shuffle", "sample", "choices"])


def chooses(call: Call) -> bool:
    """Whether a method of a generator is one of these."""
    f = call.function
    return type(f.__self__).__module__ == "random" and f.__name__ in _NAMES


def plan(call: Call) -> Plan | None:
    """The plan of such a call."""
    recorder, name = call.recorder, call.function.__name__
    generator, known = numpy_random.owner_of(call), _numbers(call)
    if known is None or generator is None:
        call.refuse(f"{name} of a random generator")
        return None
    numbers, rest, named = known
    of, origin = call.args[0], call.origins[0]
    shadow = shadows.shadow_of(recorder, of, origin) if name == "shuffle" else None
    if recorder.dead:
        return None

    def finish(out: Any) -> Origin:
        made = of if name == "shuffle" else out
        arguments = [range(len(numbers)), *rest]
        drawn = _drawn(recorder, (generator, name, arguments, named), len(made))
        parts = _parts(recorder, _at(recorder, numbers, drawn), type(numbers[0]), len(made))
        if shadow is None:
            return recorder.born(out, "list", parts)
        born = shadow if isinstance(shadow, Born) else shadow.whole(recorder)
        born.parts[:] = parts
        shadows.replaced(recorder, shadow, slice(None), list(of), parts)
        return CONSTANT

    f = call.function
    return call.plan(finish, lambda *args, **kwargs: recorder.guarded(f, *args, **kwargs))


def _numbers(call: Call) -> tuple[list[Any], list[Any], dict[str, Any]] | None:
    """The numbers to choose from, and the other arguments, all of which are the same next time;
    None of anything else."""
    recorder = call.recorder
    of = call.args[0] if call.args else None
    kinds = set(map(type, of)) if type(of) in (list, tuple, range) else set()  # type: ignore[arg-type]
    others = [*call.args[1:], *call.kwargs.values()]
    leaves = [x for part in others for x in (part if type(part) in (list, tuple) else [part])]
    small = kinds == {float} or (kinds == {int} and all(abs(x) < 2**62 for x in of))  # type: ignore[union-attr]
    if not small or not all(type(x) in SCALARS for x in leaves):
        return None
    for value, origin in zip(call.args, call.origins, strict=True):
        recorder.pin(origin, value)
    for name, value in call.kwargs.items():
        recorder.pin(call.where[name], value)
    rest, named = [_kept(x) for x in call.args[1:]], {k: _kept(x) for k, x in call.kwargs.items()}
    return list(of), rest, named  # type: ignore[arg-type]


def _kept(value: Any) -> Any:
    return tuple(value) if type(value) is list else value


def _drawn(recorder: Recorder, call: tuple[Any, ...], count: int) -> Value:
    """The places that a draw gives."""
    type_ = TensorType((count,), np.dtype("int64"))
    recorder.inputs.append(("drawn", len(recorder.drawn.calls)))
    recorder.drawn.calls.append((*call, type_))
    return recorder.notes.builder.input(type_)


def _at(recorder: Recorder, numbers: list[Any], places: Value) -> Value:
    """The numbers at places."""
    if numbers == list(range(len(numbers))) and type(numbers[0]) is int:
        return places
    table = np.array(numbers)
    recorder.inputs.append(("constant", table))
    values = recorder.notes.builder.input(TensorType(table.shape, table.dtype))
    return recorder.notes.builder.add(p.take.op, (values, places), {"axis": 0}, None).result


def _parts(recorder: Recorder, values: Value, kind: type, count: int) -> list[Origin]:
    """The origins of Python numbers that are the elements of a value."""
    arrays = recorder.arrays
    whole = arrays.bound(values)
    return [arrays.python_number(whole[i], kind) for i in range(count)]
