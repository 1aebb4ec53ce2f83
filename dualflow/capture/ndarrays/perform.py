"""One call of NumPy's, made on real arrays and noted.

Comes in: a function of NumPy, what makes the call, arguments with their origins. Goes out: what
NumPy gave, and where it came from: by a rule (`numpy_faces`) on stand-ins, or as a node that calls
NumPy (`numpy_library`); both are checked against what NumPy made.
"""

from __future__ import annotations

import operator as o
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.ops import door
from dualflow.ops import primitives as p

from ..kinds import SCALAR_TYPES
from ..provenance import CONSTANT, Node, Origin, Read
from . import (
    faces as numpy_faces,
)
from . import (
    late as numpy_late,
)
from . import (
    library as numpy_library,
)
from . import (
    names as numpy_names,
)
from . import (
    selected as numpy_selected,
)
from .arrays import Arrays, Number
from .library import Scalar
from .memory import apart, leaves, shares
from .noting import ByValues, NotCovered
from .selected import Selected

if TYPE_CHECKING:
    from ..recorder import Recorder


#: A recording of more nodes than this is given up: it takes a gigabyte and more.
MOST_NODES = 500_000


#: A recording of more reads and writes of single elements is given up if it does little else.
MOST_SINGLE = 200


#: what warns where `out` has no name
_WARN = (np.maximum, np.minimum)


def perform(
    recorder: Recorder,
    function: Any,
    real: Callable[[], Any],
    args: Sequence[Any],
    origins: Sequence[Origin],
    kwargs: dict[str, Any] | None = None,
    where: dict[str, Origin] | None = None,
) -> Read:
    """What `real()` gives, which calls `function` with the arguments, and its origin."""
    out = recorder.guarded(real)
    if recorder.dead:
        return out, None
    arrays, origin = recorder.arrays, None
    if _is_too_much(recorder, function, out, args):
        return out, None
    kwargs, where = kwargs or {}, where or {}

    def note() -> Origin:
        if numpy_late.concerns(recorder, function, out, [*args, *kwargs.values()],
                               [*origins, *where.values()]):  # fmt: skip
            return numpy_late.call(recorder, function, out, args, origins, kwargs, where)
        kinds = _numbers(function)
        operands = [operand(recorder, v, q, kinds) for v, q in zip(args, origins, strict=True)]
        keywords = {key: operand(recorder, kwargs[key], where[key], kinds) for key in kwargs}
        if recorder.dead:
            return None
        try:
            return _noted(recorder, function, out, operands, keywords, (*args, *kwargs.values()))
        except ByValues:
            return numpy_late.call(recorder, function, out, args, origins, kwargs, where)

    try:
        origin = arrays.noted(note)
    except NotCovered as why:
        recorder.refuse(f"{name_of(function)}: {why}")
    if recorder.notes.broken:
        recorder.refuse(recorder.notes.broken)
    return out, origin


def _is_too_much(recorder: Recorder, function: Any, out: Any, args: Sequence[Any]) -> bool:
    """Whether so much happens, or so much of it to single elements, that a recording is no use."""
    arrays = recorder.arrays
    arrays.calls += 1
    one = function is o.getitem and type(out) is not np.ndarray
    if one or (function is o.setitem and _is_basic(args[1]) and np.ndim(args[2]) == 0):
        arrays.single += 1
        if arrays.single > MOST_SINGLE and arrays.single * 2 > arrays.calls:
            recorder.refuse("an element at a time, which Python does as fast")
    if len(recorder.notes.builder.nodes) > MOST_NODES:
        recorder.refuse(f"more than {MOST_NODES} operations")
    return recorder.dead


def _is_basic(key: Any) -> bool:
    return all(isinstance(x, (int, np.integer)) for x in leaves(key))


def name_of(function: Any) -> str:
    module = "np." if isinstance(function, np.ufunc) else ""
    return module + (getattr(function, "__qualname__", None) or function.__name__)


def _numbers(function: Any) -> tuple[type, ...]:
    """Which Python numbers may change between calls of `function`; others are pinned. Elsewhere
    than in rules, integers are counts and axes, which decide shapes."""
    if function is np.arange:
        return ()
    every = isinstance(function, np.ufunc) or function is o.setitem or function in SCALAR_TYPES
    return (int, float) if every else (float,)


def operand(recorder: Recorder, value: Any, origin: Origin, kinds: tuple[type, ...]) -> Any:
    """An argument as rules take it: a stand-in, a Number (of `kinds`), or a constant (pinned)."""
    kind = type(value)
    if kind is np.ndarray:
        known = recorder.arrays.known(value)
        if type(known) is Selected:
            return known
        found = recorder.arrays.tensor(value, recorder.origin(origin, value))
        recorder.outside.guard(found)  # its layout may be all that matters: np.zeros_like(x)
        return found
    if kind in SCALAR_TYPES:
        return Scalar(recorder.arrays.tensor(value, origin))
    if kind in kinds and isinstance(origin, Node):
        return Number(recorder.arrays, origin, value)
    if kind in (list, tuple):
        items = recorder.items(value, origin)
        return kind(operand(recorder, item, part, kinds) for item, part in items)
    if callable(value) and not isinstance(value, type):
        raise NotCovered("a function as an argument")
    recorder.pin(origin, value)
    return value


def _noted(
    recorder: Recorder,
    function: Any,
    out: Any,
    operands: list[Any],
    keywords: dict,
    values: Sequence,
) -> Origin:
    arrays = recorder.arrays
    given: list[Any] = [*leaves(operands), *leaves(list(keywords.values()))]
    if any(type(x) is Scalar for x in operands[:1]) and numpy_names.changes(function):
        raise NotCovered("what it does to a scalar is lost")
    if function in _WARN and len(operands) > 2:
        raise NotCovered("NumPy warns of it")
    if any(type(x) is Selected for x in given):
        note = partial(numpy_faces.noted, arrays)
        try:
            return numpy_selected.call(arrays, note, function, out, operands, keywords)
        except NotCovered as why:
            if arrays.mode.wrote:
                raise
            raise ByValues(str(why)) from None
    if not any(type(x) in (Tensor, Scalar, Number) for x in given):
        if function is np.empty:  # whatever is in that memory
            return arrays.made(out, p.full(shape=out.shape, value=0, dtype=out.dtype), [])
        return arrays.constant(out)
    used = [
        (value, tensor) for value in leaves(list(values)) if type(value) is np.ndarray
        and (tensor := arrays.known(value)) is not None
    ]  # fmt: skip
    chosen = numpy_selected.selected(arrays, *operands) if function is o.getitem else None
    if chosen is not None:
        return arrays.born(out, chosen)
    part = numpy_faces.part_of(function, operands, keywords)
    if part is not None:
        return arrays.part(out, operands[0], part)
    arrays.mode.watched = {id(tensor._memory()) for _, tensor in used}
    if numpy_late.decided_by_values(function, values):
        raise ByValues
    try:
        noted = numpy_faces.noted(arrays, function, operands, keywords)
        if out is None and noted is None:
            return CONSTANT
        return arrays.made(out, noted, used)
    except NotCovered as why:
        if arrays.mode.wrote or keywords.get("out") is not None:
            raise
        reason = str(why)
    return _by_numpy(arrays, function, out, operands, keywords, used, reason)


def _by_numpy(
    arrays: Arrays, function: Any, out: Any, operands: list, keywords: dict, used: list, why: str
) -> Origin:
    """The origin of a result that a replay has NumPy compute."""
    if isinstance(function, type(np.ndarray.sum)) and type(operands[0]) is Scalar:
        operands = [operands[0].tensor, *operands[1:]]
    if not apart(out):
        raise NotCovered("results that share memory")
    numpy_names.count(function, why)
    if not numpy_names.changes(function):
        made = numpy_library.note(function, out, operands, keywords)
        shown = [tensor for array, tensor in used if shares(out, array)]
        return arrays.shown(out, made, shown) if shown else arrays.made(out, made, used)
    target = operands[0]
    if type(target) is not Tensor or out is not None:
        raise NotCovered("it changes something that is no array")
    like = np.empty(target.shape, target.dtype)
    made = numpy_library.note(function, like, operands, keywords, changes=True)
    door.write(target, made)
    return CONSTANT
