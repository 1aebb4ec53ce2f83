"""Instances of subclasses of list and dict that leave it to list and dict how items are found.

Comes in: a value with its origin. Goes out: the class whose ways it has, guarded; for instances
made in the call, what knows their attributes.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from .classes import special
from .provenance import CONSTANT, Born, Origin
from .tables import METHODS, TABLE

if TYPE_CHECKING:
    from .plans import Call, Plan
    from .recorder import Recorder

_BASES = (dict, list)
#: methods of which none may be another than that of list or dict
_DECIDING = ("__getitem__", "__setitem__", "__delitem__", "__iter__", "__len__", "__contains__",
             "__bool__", "__new__", "__getattribute__", "__del__", "__eq__", "__reversed__",
             "keys")  # fmt: skip
_HEAP = 1 << 9  # a flag of classes that are no part of the interpreter


def base_of(kind: type) -> type | None:
    """List or dict, where instances of a subclass are one in all but attributes; else None."""
    if not kind.__flags__ & _HEAP or type(kind) is not type:
        return None
    for cls in kind.__mro__:
        if cls in _BASES:
            return cls
        if not cls.__flags__ & _HEAP or not vars(cls).keys().isdisjoint(_DECIDING):
            return None
    return None


def behaves(recorder: Recorder, value: Any, origin: Origin) -> type:
    """The class that says how the items of a value are found."""
    kind = type(value)
    base = base_of(kind)
    if base is None:
        return kind
    recorder.typed(origin, value)
    for name in _DECIDING:
        recorder.classes.find(kind, name)
    return base


def inside(recorder: Recorder, value: Any, origin: Origin) -> Origin:
    """What knows the attributes of an object, where `origin` knows its items."""
    if isinstance(origin, Born) and origin.kind in ("list", "dict"):
        return recorder.factories.get(id(value)) or origin
    return origin


def like(cls: Any, items: Any, held: dict[str, Any]) -> Any:
    """An instance of a subclass with such items and attributes.

    >>> class Names(list):
    ...     pass
    >>> made = like(Names, ["a"], {"of": "files"})
    >>> made, made.of, type(made).__name__
    (['a'], 'files', 'Names')
    """
    base: Any = base_of(cls) or type(items)
    made = base.__new__(cls)
    base.__init__(made, items)
    vars(made).update(held)
    return made


def made(call: Call) -> Plan | None:
    """`cls(...)` of such a class."""
    cls, recorder = call.function, call.recorder
    base: Any = base_of(cls)
    plain = cls.__dictoffset__ and not getattr(cls, "__abstractmethods__", ())
    init = special(cls, "__init__")
    if not plain or (init is None and cls.__init__ is not base.__init__):
        call.refuse(f"an instance of {cls.__name__} is made")
        return None
    for name in (*_DECIDING, "__init__"):
        recorder.classes.find(cls, name)

    def begun() -> Any:
        new = base.__new__(cls)
        recorder.born(new, base.__name__, base())
        recorder.factories[id(new)] = Born("instance", {})
        return new

    if init is None:
        inner = TABLE[base](call.of(base, CONSTANT))
        if inner is None:
            return None

        def run(*args: Any, **kwargs: Any) -> Any:
            return filled(recorder, begun(), inner, args, kwargs)

        return call.plan(recorder.known, run)

    def make(*args: Any, **kwargs: Any) -> Any:
        new = begun()
        of = call.of(init, CONSTANT, new, recorder.known(new), bound=True)
        plan = of.find()
        out = init(*of.args, **kwargs) if plan is None else plan.function(*plan.args, **plan.kwargs)
        if out is not None:
            recorder.refuse(f"__init__ of {cls.__name__}, which returns something")
            raise TypeError(f"__init__() should return None, not {type(out).__name__!r}")
        return new

    return call.plan(recorder.known, make)


def filled(recorder: Recorder, new: Any, inner: Plan, args: tuple, kwargs: dict) -> Any:
    """Put what list or dict would hold into an instance made in the call."""
    items = inner.function(*args, **kwargs)
    base: Any = type(items)
    origin, known = inner.finish(items), recorder.known(new)
    base.__init__(new, items)
    if not recorder.dead and isinstance(known, Born) and isinstance(origin, Born):
        known.parts = base(origin.parts)
    return new


def _begun(call: Call) -> Plan | None:
    """`super().__init__(...)` of an instance made in the call, which holds nothing yet."""
    recorder, (new, *_), (origin, *_) = call.recorder, call.args, call.origins
    base: Any = base_of(type(new))
    if base is None or new or not isinstance(origin, Born) or recorder.dead:
        call.refuse("an instance that is filled again")
        return None
    of = call.of(base, CONSTANT)
    of.args, of.origins = call.args[1:], call.origins[1:]
    inner = TABLE[base](of)
    if inner is None:
        return None

    def run(new: Any, *args: Any, **kwargs: Any) -> None:
        filled(recorder, new, inner, args, kwargs)

    return call.plan(lambda out: CONSTANT, run)


def inherits(kind: type, raw: Any) -> bool:
    """Whether a method that instances find is that of list or dict."""
    base = base_of(kind)
    in_c = isinstance(raw, (types.MethodDescriptorType, types.WrapperDescriptorType))
    return base is not None and in_c and raw.__objclass__ in (base, object)


for _base in _BASES:
    METHODS[_base, "__init__"] = _begun
