"""The table of callables of which it is known what they do with what they are given.

Comes in: a `Call`. Goes out: its plan. A callable that is in no table refuses the recording.
"""

from __future__ import annotations

import abc
import enum
import sys
import types
from functools import partial
from typing import TYPE_CHECKING, Any, final

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base import config

from .. import attribute_stores, attributes, classes, containers
from ..kinds import FIXED, TYPES
from ..ndarrays.noting import NotCovered
from ..plans import Call, Plan, Ready
from ..provenance import CONSTANT, SCALARS, TENSOR, Born, Node, Origin
from ..tables import Handler, known

if TYPE_CHECKING:
    from ..operators import Operators
    from ..recorder import Recorder


# Functions of dualflow ----------------------------------------------------------------------


def trusting(f: Any) -> Handler:
    """What follows calls of a function of dualflow."""
    return partial(_trusted, asks=_asks(f), special=is_special(f))


def _asks(f: Any) -> bool:
    """Whether a function may ask for values, which become branches."""
    return (getattr(f, "__module__", None) or "").startswith("dualflow.ops.functions")


def is_special(f: Any) -> bool:
    """Whether it does more than operations."""
    return getattr(f, "__name__", "") in _SPECIAL


def trusted(call: Call) -> Plan | None:
    """The plan of a call of such a function."""
    return trusting(call.function)(call)


@final
class Trusted:
    """What is known of such a function from one call for others that give plain arguments."""

    __slots__ = ("_asks", "_function", "_origin")

    def __init__(self, f: Any, origin: Origin) -> None:
        self._function, self._origin, self._asks = f, origin, _asks(f)

    def takes(self, origin: Origin, slots: tuple[Any, ...], count: int) -> bool:
        """Whether a call with so many arguments of what is known as `origin` is one."""
        return origin is self._origin and (not slots or type(slots[0]) is int)

    def plan(
        self,
        frame: Operators,
        slots: tuple[int, ...],
        args: tuple[Any, ...],
        owner: tuple[Any, ...] = (),
        origin: Origin = None,
    ) -> Ready | None:
        """The plan of such a call, of a method of `owner` if there is one; None where it takes
        more, or an argument is not known."""
        recorder, known = frame.recorder, frame.slots
        if owner:
            recorder.understand(origin, owner[0])
        for slot, value in zip(slots, args, strict=True):
            kind, found = type(value), known[slot]
            if found is CONSTANT and kind in SCALARS:
                continue
            if kind in TYPES:
                return None
            if found is None or (kind is Tensor and found is not TENSOR):
                found = frame.origin(slot, value)
            recorder.understand(found, value)
        if recorder.dead:
            return None
        run = partial(recorder.asking if self._asks else recorder.guarded, self._function)
        return Ready(run, owner + args, recorder.adopt, self._function.__name__)


def _trusted(call: Call, asks: bool, special: bool) -> Plan | None:
    """A function of dualflow: its operations pass the door; Python numbers in it are pinned."""
    recorder = call.recorder
    if not TYPES.isdisjoint(map(type, call.args)):
        call = _lent(call)
    for value, origin in zip(call.args, call.origins, strict=True):
        if origin is not CONSTANT or type(value) not in SCALARS:
            recorder.understand(origin, value)
    for name, value in call.kwargs.items():
        recorder.understand(call.where[name], value)
    if recorder.dead:
        return None
    f = call.function
    if special:
        name = f.__name__
        born = call.origins and isinstance(call.origins[0], Born)
        if name in _STATES or (name in _CHANGES and not born):
            call.refuse()
            return None
        if name in _READS and len(call.args) == 1 and type(call.args[0]) is Tensor:
            return reading(call, f)
    return Plan(partial(recorder.asking if asks else recorder.guarded, f), call, recorder.adopt)


#: How many arguments functions make tensors of by `asarray`, by the room they are in.
_CONVERTED = {
    "dualflow.array.creation": 1,
    "dualflow.ops.composites": 2,
    "dualflow.ops.functions.elementwise": 3,
    "dualflow.ops.functions.linear": 2,
    "dualflow.ops.functions.reduction": 1,
}


def _lent(call: Call) -> Call:
    """The call, with stand-ins for what the function makes tensors of: ndarrays from outside, whose
    memory they show and which are found anew by their paths, and NumPy scalars."""
    args, origins = list(call.args), list(call.origins)
    for i in range(min(len(args), _CONVERTED.get(getattr(call.function, "__module__", ""), 0))):
        array, origin, arrays = args[i], origins[i], call.recorder.arrays
        lends = isinstance(origin, Node) if type(array) is np.ndarray else type(array) in TYPES
        if lends and not call.recorder.dead:
            take: Any = arrays.lend if type(array) is np.ndarray else arrays.given
            try:
                args[i], origins[i] = take(array, origin), TENSOR
            except NotCovered:
                return call
    return type(call)(call.frame, call.function, call.origin, tuple(args), tuple(origins),
                      call.kwargs, call.where)  # fmt: skip


#: functions of dualflow that change something no operation shows, if that is not born in the call
_CHANGES = frozenset(["requires_grad_", "retain_grad"])
#: functions of dualflow that read or change what calls leave behind
_STATES = frozenset(["seed", "get_state", "set_state", "spawn", "default", "memory_summary"])
_READS = frozenset(["item", "__bool__", "__int__", "__float__", "__index__"])
_SPECIAL = _CHANGES | _STATES | _READS


def reading(call: Call, f: Any) -> Plan | None:
    recorder = call.recorder
    found: list[Origin] = [None]

    def run(tensor: Tensor) -> Any:
        value, found[0] = recorder.late.value_of(tensor, f)
        return value

    return call.plan(lambda out: found[0], run)


@known(config.set_config, config.config)
def _settings(call: Call) -> None:
    call.refuse("settings changed in the call")


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
        if isinstance(value, type):
            recorder.classes.guard_order(value)
        recorder.classes.guard_order(type(value))
    if call.function is callable:
        recorder.classes.find(type(call.args[0]), "__call__")
    asked = call.args[-1] if isinstance(call.args[-1], tuple) else (call.args[-1],)
    for cls in asked if call.function is isinstance else ():
        if type(cls) is abc.ABCMeta and _abstract(recorder, type(call.args[0]), cls):
            continue
        if type(cls) not in (type, enum.EnumMeta):
            answer = None if isinstance(call.args[1], tuple) else _protocol(call, cls)
            if answer is not None:
                return call.plan(lambda out: CONSTANT, partial(_answer, answer))
            call.refuse("isinstance with a class that decides for itself")
            return None
    if call.function is type and len(call.args) != 1:
        call.refuse("a class made in the call")
        return None
    return call.plan(lambda out: CONSTANT)


def _abstract(recorder: Recorder, kind: type, cls: abc.ABCMeta) -> bool:
    """Guard whether `kind` is a subclass of an abstract class, where no code of a program decides
    that: classes may be registered."""
    hook = getattr(cls.__subclasshook__, "__func__", None)
    if hook is not None and hook.__module__.split(".")[0] not in sys.stdlib_module_names:
        return False
    recorder.guard("{k2}({k0}, {k1}) is {k3}",
                   constants=(kind, cls, issubclass, issubclass(kind, cls)))  # fmt: skip
    return True


def _answer(answer: Any, *_: Any) -> Any:
    return answer


def _protocol(call: Call, cls: Any) -> bool | None:
    """Whether an object has the attributes that a protocol asks for, each of which is asked for;
    None where something else decides."""
    typing: Any = sys.modules.get("typing")
    plain = typing and type(cls) is type(typing.Protocol) and getattr(cls, "_is_protocol", False)
    if not plain or not getattr(cls, "_is_runtime_protocol", False):
        return None
    names = getattr(cls, "__protocol_attrs__", None) or typing._get_protocol_attrs(cls)
    owner, origin = call.args[0], call.origins[0]
    found = []
    for name in sorted(names):
        if isinstance(owner, FIXED):
            call.recorder.pin(origin, owner)
            found.append(hasattr(owner, name))
            continue
        pair = (owner, name), (origin, CONSTANT)
        found.append(call.frame.invoke(hasattr, CONSTANT, *pair)[0])
        if found[-1] and not callable(getattr(cls, name, None)):
            return None
    return all(found) if all(found) is isinstance(owner, cls) else None


@known(types.MethodType)
def _bound(call: Call) -> Plan | None:
    if len(call.args) != 2 or call.kwargs:
        call.refuse()
        return None
    return call.plan(lambda out: call.recorder.born(out, "method", call.origins))


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


@known(vars)
def _vars(call: Call) -> Plan | None:
    """`vars(x)`: the `__dict__` of an object."""
    frame, (owner, *_), (origin, *_) = call.frame, call.args, call.origins
    found: list[Origin] = [None]

    def run(owner: Any) -> Any:
        value, found[0] = attributes.read(frame, owner, origin, "__dict__")
        return value

    if len(call.args) != 1 or isinstance(owner, (type, types.ModuleType)):
        call.refuse("vars of a class or module")
        return None
    if not type(owner).__dictoffset__:
        call.refuse(f"vars of a {type(owner).__name__}, which Python may refuse")
        return None
    return call.plan(lambda out: found[0], run)


@known(sys.exc_info)
def _handled(call: Call) -> Plan | None:
    """`sys.exc_info()`: nothing is being handled, or an error of the call."""
    recorder, error = call.recorder, sys.exc_info()[1]
    if call.args or call.kwargs:
        call.refuse()
        return None
    known = None if error is None else recorder.known(error)
    if isinstance(known, Born) and known.kind == "error":
        return call.plan(lambda out: recorder.born(out, "tuple", [CONSTANT, known, None]))
    if error is not None:
        call.refuse("an error that was raised before the call, asked for")
        return None
    call.recorder.guard("{k0}()[1] is None", constants=(sys.exc_info,))
    return call.plan(lambda out: CONSTANT)


@known(setattr)
def _setattr(call: Call) -> Plan | None:
    frame: Any = call.frame
    call.recorder.pin(call.origins[1], call.args[1])
    if call.recorder.dead or type(call.args[1]) is not str:
        return None

    def run(owner: Any, name: str, value: Any) -> None:
        slot = len(frame.slots)
        frame.slots += [call.origins[0], call.origins[2]]
        frame.set_attr(slot, slot + 1, value, owner, name)

    return call.plan(lambda out: CONSTANT, run)


@known(super)
def _super(call: Call) -> Plan | None:
    recorder = call.recorder
    if call.args and (len(call.args) != 2 or not isinstance(call.args[0], type)):
        call.refuse("super with such arguments")
        return None
    for value, origin in zip(call.args, call.origins, strict=True):
        if isinstance(value, type):
            recorder.pin(origin, value)
            recorder.classes.guard_order(value)
        recorder.typed(origin, value)
        recorder.classes.guard_order(type(value))

    def finish(out: Any) -> Origin:
        owner = out.__self__
        return recorder.born(out, "super", recorder.origin(None, owner))

    return call.plan(finish)


def _inert(value: Any) -> bool:
    """Whether C code that is given the value calls nothing written in Python."""
    if isinstance(value, (tuple, list)):
        return all(map(_inert, value))
    if isinstance(value, type):
        return not value.__flags__ & (1 << 9)
    if isinstance(value, enum.Enum):
        return type(value).__eq__ is object.__eq__ and type(value).__hash__ is enum.Enum.__hash__
    return not isinstance(value, types.FunctionType)


def constant_only(call: Call) -> Plan | None:
    """Arguments are pinned, so the result is a constant."""
    recorder = call.recorder
    if not all(map(_inert, (*call.args, *call.kwargs.values()))):
        call.refuse(f"a call of {call.name} with something that may call Python")
        return None
    for value, origin in zip(call.args, call.origins, strict=True):
        recorder.pin(origin, value)
    for key, value in call.kwargs.items():
        recorder.pin(call.where[key], value)
    if recorder.dead:
        return None
    return call.plan(
        lambda out: CONSTANT if type(out) in SCALARS or isinstance(out, FIXED) else None,
        lambda *args, **kwargs: recorder.certain(call.function, args, **kwargs),
    )


@known(object.__setattr__)
def stored_directly(call: Call) -> Plan | None:
    """`object.__setattr__(owner, name, value)`, also through `super()`."""
    recorder = call.recorder
    if len(call.args) != 3 or type(call.args[1]) is not str or call.kwargs:
        call.refuse()
        return None
    owner, name, value = call.args
    recorder.pin(call.origins[1], name)
    kind = type(owner)
    heap = classes.ordinary(kind) and not isinstance(owner, type)
    if not heap or not attribute_stores.storable_directly(recorder, kind, name):
        call.refuse(f"{name} stored in a {kind.__name__}")
        return None
    recorder.typed(call.origins[0], owner)
    attribute_stores.note_stored(recorder, owner, call.origins[0], name, value, call.origins[2],
                           object.__setattr__)  # fmt: skip
    return call.plan(lambda out: CONSTANT, object.__setattr__)
