"""Known callables: numbers, conversions, folds.

Comes in: a `Call`. Goes out: its plan.
"""

from __future__ import annotations

import enum
import functools
import math
import operator
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from dualflow.array.tensor import Tensor

from .. import growing, iteration, shadows, templates
from ..arithmetic import BINARY
from ..classes import built_in, special
from ..kinds import NUMERIC, SCALAR_TYPES, TYPES
from ..ndarrays import calls as numpy_calls
from ..object_text import text_of_object
from ..operators import COMPARE, UNARY
from ..provenance import CONSTANT, NUMBERS, SCALARS, Node, Origin
from ..special_methods import Answer
from ..tables import TABLE, known
from ..templates import plain_text, text_of_error
from ..values import Unchanging
from . import order as known_order
from .functions import constant_only, reading, trusted

if TYPE_CHECKING:
    from ..plans import Call, Plan
    from ..recorder import Recorder


_ABS = (abs, operator.abs)
#: the methods that give what functions of one object give
_UNARY = {
    abs: "__abs__", operator.abs: "__abs__", round: "__round__", math.floor: "__floor__",
    math.ceil: "__ceil__", math.trunc: "__trunc__",
}  # fmt: skip
_MATH = [f for f in vars(math).values() if isinstance(f, types.BuiltinFunctionType)]
#: functions of scalars: the types of those decide that of the result
_OF_ONE_TYPE = {
    *_ABS, round, hash, chr, ord, hex, oct, bin, complex, int, float, bool, str, repr, *_MATH,
}  # fmt: skip


@known(abs, operator.abs, round, divmod, pow, hash, chr, ord, hex, oct, bin, *_MATH, complex)
def _arithmetic(call: Call) -> Plan | None:
    """A function of scalars alone."""
    recorder = call.recorder
    if call.function in _ABS and call.args and type(call.args[0]) is Tensor:
        run = functools.partial(recorder.guarded, abs)
        return call.plan(lambda out: recorder.origin(None, out), run)
    if call.function in _ABS and call.args and type(call.args[0]) in TYPES:
        return numpy_calls.ufunc(call, np.absolute)
    kinds = {type(value) for value in call.args}
    if call.function is pow and len(call.args) == 2 and not kinds <= SCALARS:
        return TABLE[operator.pow](call)
    if call.function is divmod and Tensor in kinds and kinds <= {Tensor, *NUMBERS}:
        return trusted(call)
    if call.function is divmod and numpy_calls.concerned(*call.args):
        return numpy_calls.ufunc(call, np.divmod)
    if call.function is hash and special(type(call.args[0]), "__hash__") is not None:
        return _hashed(call)
    asked = _UNARY.get(call.function)
    if asked is not None and special(type(call.args[0]), asked) is not None:
        return _of_object(call, asked)
    numbers = NUMBERS if call.function is round else NUMBERS | SCALAR_TYPES | {complex}
    if call.kwargs or not all(type(value) in numbers for value in call.args):
        return constant_only(call)

    def finish(out: Any) -> Origin:
        if type(out) is tuple:  # divmod
            node = _expression(call)
            if not isinstance(node, Node):
                return node
            return recorder.born(
                out, "tuple", [recorder.nodes("{0}[{k0}]", (node,), (i,)) for i in (0, 1)]
            )
        return _expression(call)

    return call.plan(finish, lambda *args: recorder.certain(call.function, args, call.origins))


def _of_object(call: Call, name: str) -> Plan | None:
    """What a method of that name, written in Python, gives as it is."""
    call.recorder.classes.guard_special(call.origins[0], call.args[0], name)
    return call.of(special(type(call.args[0]), name), CONSTANT).find()


def _hashed(call: Call) -> Plan:
    """`hash(x)` by a method written in Python."""
    frame, (value, *_), (origin, *_) = call.frame, call.args, call.origins
    call.recorder.classes.guard_special(origin, value, "__hash__")

    def run(value: Any) -> Any:
        method = special(type(value), "__hash__")
        out, found = frame.invoke(method, CONSTANT, (value,), (origin,))
        call.recorder.pin(found, out)
        return hash(Answer(out))

    return call.plan(lambda out: CONSTANT, run)


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
    node = recorder.nodes(text, tuple(parents), (call.function,))
    if call.function in _OF_ONE_TYPE or (
        call.function in (min, max) and len(set(map(type, call.args))) == 1
    ):
        recorder.sure(node)
    recorder.needs(node)
    return node


#: lists of more numbers than this are not followed
_LONGEST = 256


@known(vars(Tensor)["tolist"])
def _to_list(call: Call) -> Plan | None:
    """The values of a small tensor, each known by its place."""
    recorder, (tensor, *_) = call.recorder, call.args
    if len(call.args) != 1 or call.kwargs or tensor.size > _LONGEST:
        call.refuse()
        return None
    recorder.understand(call.origins[0], tensor)
    array = recorder.late.array_node(tensor)
    if array is None:
        return None
    f = call.function
    node = recorder.nodes("({0}.tolist())", (array,))
    return call.plan(
        lambda out: _parts_of(recorder, out, node), lambda t: recorder.late.unseen(f, t)
    )


def _parts_of(recorder: Recorder, value: Any, node: Node) -> Origin:
    if type(value) is not list:
        recorder.sure(node)
        recorder.needs(node)
        return node
    parts = [
        _parts_of(recorder, item, recorder.nodes("{0}[{k0}]", (node,), (i,)))
        for i, item in enumerate(value)
    ]
    return recorder.born(value, "list", parts)


@known(int, float, bool, str, repr)
def _conversion(call: Call) -> Plan | None:
    recorder = call.recorder
    if len(call.args) == 1 and type(call.args[0]) is Tensor and call.function in NUMBERS:
        return reading(call, call.function)
    one = len(call.args) == 1 and not call.kwargs
    if one and type(call.args[0]) in TYPES and call.function in (*NUMBERS, complex):
        return numpy_calls.converted(call)
    if one and type(call.args[0]) in SCALAR_TYPES:
        return call.plan(lambda out: _expression(call))
    if len(call.args) == 1 and type(call.args[0]) in SCALARS and not call.kwargs:
        return call.plan(
            lambda out: _expression(call),
            lambda *args: recorder.certain(call.function, args, call.origins),
        )
    if call.function is bool and len(call.args) == 1:
        truth = call.frame.truth_of(call.origins[0], call.args[0])
        return call.plan(lambda out: CONSTANT, lambda value: truth)
    if call.function in (str, repr) and len(call.args) == 1 and not call.kwargs:
        text = text_of_error(recorder, call.args[0], call.origins[0], call.function)
        if text is not None:
            return call.plan(lambda out: CONSTANT)
        made = templates.text_of(recorder, call.args[0], call.origins[0], call.function)
        made = made or text_of_object(call.frame, call.args[0], call.origins[0], call.function)
        if made is not None:
            return call.plan(lambda out: made[1], lambda value: made[0])
    if one and call.function in NUMBERS and isinstance(call.args[0], NUMERIC):
        value, name = call.args[0], f"__{call.function.__name__}__"
        if built_in(recorder, value, name, "__index__", "__len__"):
            recorder.pin(call.origins[0], value)
            return call.plan(lambda out: CONSTANT)
    values = list(call.args)
    plain = all(
        type(v) in SCALARS or isinstance(v, (enum.Enum, np.dtype, Unchanging)) for v in values
    )
    if plain and all(plain_text(recorder, v) for v in values):
        return constant_only(call)
    call.refuse()
    return None


@known(min, max, sum, any, all)
def _folding(call: Call) -> Plan | None:
    recorder, frame = call.recorder, call.frame
    args, kwargs = call.args, call.kwargs
    whole = _of_list(call) if len(args) == 1 and not kwargs else None
    if whole is not None:
        return whole
    if call.function is sum and args and not kwargs:
        return call.plan(*_sum(call))
    if call.function in (any, all) and len(args) == 1:
        return call.plan(*_any_all(call))
    if set(kwargs) == {"key"} and kwargs["key"] is not None:
        return known_order.chosen(call)
    if set(kwargs) - {"default"} or not args or (kwargs and len(args) > 1):
        return constant_only(call)
    if len(args) == 1:
        pairs = list(iteration.elements(frame, args[0], call.origins[0]))
    else:
        pairs = list(zip(args, call.origins, strict=True))
    if not pairs and kwargs:
        return call.plan(lambda out: call.where["default"])
    values = [value for value, _ in pairs]
    if any(type(value) is Tensor or _ordered(type(value)) for value in values):
        return _greatest(call, pairs)
    if not pairs or not all(type(value) in NUMBERS | SCALAR_TYPES for value in values):
        for value, origin in pairs:
            recorder.pin(origin, value)
        return call.plan(lambda out: CONSTANT, lambda *a: call.function(values))
    inner = call.of(call.function, CONSTANT)
    inner.args, inner.origins = tuple(v for v, _ in pairs), tuple(q for _, q in pairs)
    if len(pairs) == 1:
        return call.plan(lambda out: pairs[0][1], lambda *a, **k: pairs[0][0])
    return call.plan(lambda out: _expression(inner), lambda *a, **k: call.function(*inner.args))


def _of_list(call: Call) -> Plan | None:
    """What a list of numbers from outside decides as a whole."""
    recorder = call.recorder
    if call.function in (any, all):
        return None
    found = shadows.numbers(recorder, call.args[0], call.origins[0])
    if found is None:
        return growing.made_of(call, growing.whole(recorder, call.args[0], call.origins[0]))
    text, nodes = found
    node = recorder.nodes(f"({{k0}}({text}))", tuple(nodes), (call.function,))
    recorder.sure(node)
    recorder.needs(node)
    return call.plan(lambda out: node)


def _ordered(kind: type) -> bool:
    """Whether methods written in Python say which of two is less."""
    return special(kind, "__lt__") is not None or special(kind, "__gt__") is not None


def _greatest(call: Call, pairs: list[tuple[Any, Origin]]) -> Plan:
    """`min` and `max` of tensors and objects: by comparisons, one after the other."""
    frame = call.frame
    best: list[Any] = [pairs[0]]

    def run(*args: Any, **kwargs: Any) -> Any:
        slots = frame.slots
        slot, name = len(slots), "Gt" if call.function is max else "Lt"
        slots += [None, None, None]
        for value, origin in pairs[1:]:
            slots[slot], slots[slot + 1] = origin, best[0][1]
            if frame.truth(
                slot + 2, frame.compare(slot + 2, name, slot, slot + 1, value, best[0][0])
            ):
                best[0] = value, origin
        return best[0][0]

    return call.plan(lambda out: best[0][1], run)


def _sum(call: Call) -> tuple[Any, Any]:
    frame, recorder = call.frame, call.recorder
    found: list[Origin] = [CONSTANT]

    def run(iterable: Any, start: Any = 0) -> Any:
        total: Any = start
        origin: Origin = CONSTANT if len(call.args) == 1 else call.origins[1]
        pairs = iteration.elements(frame, iterable, call.origins[0])
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
        for value, origin in iteration.elements(frame, iterable, call.origins[0]):
            truth = bool(value) if frame.recorder.dead else frame.truth_of(origin, value)
            if truth is wanted:
                return wanted
        return not wanted

    return (lambda out: CONSTANT), run


def _operators() -> Iterator[tuple[Any, str, str, int]]:
    """The functions of `operator`: with the hook of the operator, its name and its operands."""
    for name, (function, in_place, _) in BINARY.items():
        yield function, "binop", name, 2
        yield in_place, "iop", name, 2
    for name, (function, _) in COMPARE.items():
        if name not in ("In", "NotIn"):
            yield function, "compare", name, 2
    for name, (function, _) in UNARY.items():
        yield function, "unop", name, 1


for _function, _hook, _name, _count in _operators():

    def _operator(
        call: Call, hook: str = _hook, name: str = _name, count: int = _count
    ) -> Plan | None:
        frame, slots = call.frame, call.frame.slots
        if call.kwargs or len(call.args) != count:
            return None
        first = len(slots)
        slots += [*call.origins, None]
        out = first + count
        run = functools.partial(getattr(frame, hook), out, name, *range(first, out))
        return call.plan(lambda made: slots[out], run)

    TABLE[_function] = _operator
