"""Known callables: `copy.copy` and `copy.deepcopy`.

Comes in: a `Call`. Goes out: its plan: the copy is made as the module `copy` makes it, part by
part, of plain values, tensors, containers and objects of plain classes.
"""

from __future__ import annotations

import copy
import copyreg
import enum
import types
from collections import OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor

from .. import attributes, classes, instances, item_reads
from ..kinds import FIXED
from ..provenance import CONSTANT, SCALARS, Node, Origin
from ..tables import known

if TYPE_CHECKING:
    from ..plans import Call, Plan

Pair = tuple[Any, Origin]
#: copies by the identity of what was copied; by a tuple of it where that was found
Memo = dict[Any, Pair]
#: what says how instances are copied
_WAYS = ("__copy__", "__deepcopy__", "__reduce_ex__", "__reduce__", "__getstate__", "__setstate__",
         "__getnewargs__", "__getnewargs_ex__", "__new__", "__getattribute__",
         "__getattr__")  # fmt: skip
_SAME = (*SCALARS, types.FunctionType, types.BuiltinFunctionType, type, range)
_CONTAINERS = (list, dict, set, deque, OrderedDict, defaultdict)


@known(copy.copy, copy.deepcopy)
def _copied(call: Call) -> Plan | None:
    deep = call.function is copy.deepcopy
    if len(call.args) != 1 or call.kwargs or not _known(call, call.args[0], deep, set()):
        call.refuse(f"copy.{call.name} of a {type(call.args[0]).__name__}")
        return None
    found: list[Origin] = [None]
    memo: Memo = {}

    def run(value: Any) -> Any:
        made, found[0] = _copy(call, value, call.origins[0], memo if deep else None)
        places = [part for name, (_, part) in memo.items() if type(name) is tuple]
        apart = [part for part in places if isinstance(part, Node)]
        if len(apart) > 1 and not call.recorder.dead:
            given = "".join(f"{{{i}}}, " for i in range(len(apart)))
            call.recorder.guard(f"{{k0}}({given})", *apart, constants=(_apart,))
        return call.function(value) if call.recorder.dead else made

    return call.plan(lambda out: found[0], run)


def _apart(*values: Any) -> bool:
    """Whether no object is there twice."""
    return len({id(value) for value in values}) == len(values)


def _itself(value: Any, deep: bool) -> bool:
    """Whether the copy of something unchanging is the same object."""
    kind = type(value)
    if kind is frozenset or kind is slice:
        return not deep
    if isinstance(value, enum.Enum):
        found = (classes.lookup(kind, name)[1] for name in _WAYS[:4])
        return all(getattr(raw, "__module__", "enum") == "enum" for raw in found)
    if kind in _SAME or isinstance(value, type):
        return True
    if not isinstance(value, FIXED) or isinstance(value, types.ModuleType):
        return False
    return (copy.deepcopy if deep else copy.copy)(value) is value


def _known(call: Call, value: Any, deep: bool, seen: set[int]) -> bool:
    """Whether it is known how a value, and all in it, is copied."""
    kind = type(value)
    if id(value) in seen or _itself(value, deep):
        return True
    if deep:
        seen.add(id(value))
    if kind is Tensor or kind is tuple or kind in _CONTAINERS:
        parts = (*value, *value.values()) if isinstance(value, dict) else value
        inside = kind is not Tensor and deep
        return not inside or all(_known(call, part, deep, seen) for part in parts)
    held = getattr(value, "__dict__", None)
    if held is None or not _plainly(kind) or any(name in held for name in _WAYS):
        return False
    return not deep or all(_known(call, part, deep, seen) for part in held.values())


def _plainly(kind: type) -> bool:
    """Whether instances are copied as plain objects are."""
    slots = any("__slots__" in vars(cls) and vars(cls)["__slots__"] for cls in kind.__mro__)
    plain = classes.ordinary(kind) and not slots and kind not in copyreg.dispatch_table
    found = (classes.lookup(kind, name)[1] for name in _WAYS)
    own = (vars(object).get(name) for name in _WAYS)
    return plain and type(kind) is type and all(x is y for x, y in zip(found, own, strict=True))


def _copy(call: Call, value: Any, origin: Origin, memo: Memo | None) -> Pair:
    """The copy and its origin; with a `memo` that of what is in it too."""
    recorder, kind = call.recorder, type(value)
    recorder.typed(origin, value)
    if _itself(value, memo is not None):
        if isinstance(value, FIXED):
            recorder.pin(origin, value)
        return value, recorder.origin(origin, value)
    if memo is not None and isinstance(origin, Node):
        before = memo.get((id(value),))
        if before is None:
            memo[(id(value),)] = value, origin
        elif isinstance(before[1], Node) and before[1] is not origin:
            recorder.guard("{0} is {1}", before[1], origin)
    if memo is not None and id(value) in memo:
        return memo[id(value)]
    if kind is tuple:
        made = _of_tuple(call, value, origin, memo)
    elif kind is Tensor:
        made = _of_tensor(call, value, origin)
    elif kind in _CONTAINERS:
        made = _of_container(call, value, origin, memo)
    else:
        made = _of_object(call, value, origin, memo)
    if memo is not None:
        memo[id(value)] = made
        recorder.keep(value)
    return made


def _of_tensor(call: Call, value: Tensor, origin: Origin) -> Pair:
    """The same values in memory of their own, as a leaf."""
    recorder = call.recorder
    for name in ("__deepcopy__", "__reduce__"):
        attributes.tensor_method(recorder, name)
    recorder.understand(origin, value)
    if value.requires_grad or not value.array.flags.c_contiguous:
        recorder.refuse(f"copy.{call.name} of a tensor with a history, or of another layout")
        return call.function(value), None
    out = recorder.guarded(Tensor.copy, value)
    return out, recorder.adopt(out)


def _of_tuple(call: Call, value: tuple, origin: Origin, memo: Memo | None) -> Pair:
    if memo is None:
        return value, call.recorder.origin(origin, value)
    pairs = [_copy(call, *pair, memo) for pair in call.recorder.items(value, origin)]
    if id(value) in memo:  # it holds itself
        return memo[id(value)]
    if all(made is part for (made, _), part in zip(pairs, value, strict=False)):
        return value, call.recorder.origin(origin, value)
    out = tuple([made for made, _ in pairs])
    return out, call.recorder.born(out, "tuple", [part for _, part in pairs])


def _of_container(call: Call, value: Any, origin: Origin, memo: Memo | None) -> Pair:
    recorder, kind = call.recorder, type(value)
    if kind is set:
        recorder.pin(origin, value)
        out = set(value)
        return out, recorder.born(out, "set")
    if kind in (list, deque):
        return _of_sequence(call, value, origin, memo)
    out = value.copy()
    parts: dict[Any, Origin] = {}
    made = recorder.born(out, "dict", parts)
    if kind is defaultdict:
        recorder.factories[id(out)] = item_reads.factory_of(recorder, value, origin)
    if memo is not None:
        out.clear()
        memo[id(value)] = out, made  # it may hold itself
    for key, part in item_reads.dict_items(call.frame, value, origin):
        parts[key] = part
        if memo is not None:
            out[key], parts[key] = _copy(call, value[key], part, memo)
    return out, made


def _of_sequence(call: Call, value: Any, origin: Origin, memo: Memo | None) -> Pair:
    out = value.copy()
    parts: list[Origin] = []
    made = call.recorder.born(out, "list", parts)
    if memo is not None:
        out.clear()
        memo[id(value)] = out, made
    for item, part in list(call.recorder.items(value, origin)):
        if memo is not None:
            copied, part = _copy(call, item, part, memo)
            out.append(copied)
        parts.append(part)
    return out, made


def _of_object(call: Call, value: Any, origin: Origin, memo: Memo | None) -> Pair:
    """An instance: a new one with the same attributes, or copies of them."""
    recorder, held = call.recorder, value.__dict__
    kind: Any = type(value)
    recorder.typed(origin, value)
    for name in _WAYS:
        recorder.classes.guard_special(CONSTANT, None, name, kind)
    recorder.guard("{k0} not in {k1}", constants=(kind, copyreg.dispatch_table))
    out: Any = kind.__new__(kind)
    inside: dict[str, Origin] = {}
    made = recorder.born(out, "instance", inside)
    if memo is not None:
        memo[id(value)] = out, made
    if isinstance(origin, Node):
        if any(key[0] == id(value) for key in (*recorder.stored, *recorder.deleted)):
            recorder.refuse("a copy of an object that the call changed")
            return out, made
        recorder.guard_keys(recorder.nodes("{0}.__dict__", (origin,)), held)
    for name in list(held):
        part = instances.instance_part(recorder, value, origin, name, held[name], True)
        out.__dict__[name], inside[name] = held[name], part
        if memo is not None:
            out.__dict__[name], inside[name] = _copy(call, held[name], part, memo)
    return out, made
