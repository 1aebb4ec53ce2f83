"""Instances of classes of the program as keys of dicts: those that are equal where their parts are.

Comes in: a key whose class has an `__eq__` or `__hash__` written in Python. Goes out: what stands
for it in guards, an equal instance that no program holds. The methods are read, not trusted: they
may only look at plain attributes, so that a replay can call them as often as it likes.
"""

from __future__ import annotations

import builtins
import dis
import types
from collections.abc import Callable, Set
from typing import Any, final
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from .classes import built_in, lookup, special
from .instances import instance_part
from .kinds import FIXED
from .likenesses import attributes_of
from .provenance import CONSTANT, SCALARS, Born, Node, Origin, identity
from .recorder import Recorder
from .shadows import plain_tuple

#: built-in functions that do nothing but tell something of plain values
_TOLD = frozenset(["hash", "isinstance", "type", "len", "tuple", "frozenset", "str", "repr",
                   "int", "float", "bool", "abs", "min", "max", "sum", "id"])  # fmt: skip
#: instructions that change nothing: what they call, and whose attributes they read, is looked at
_QUIET = frozenset([
    "RESUME", "NOP", "CACHE", "COPY", "SWAP", "POP_TOP", "PUSH_NULL", "PRECALL", "CALL",
    "KW_NAMES", "COPY_FREE_VARS", "MAKE_CELL", "LOAD_FAST", "LOAD_FAST_CHECK",
    "LOAD_FAST_LOAD_FAST", "STORE_FAST", "LOAD_CONST", "BUILD_TUPLE", "TO_BOOL", "COMPARE_OP",
    "IS_OP", "CONTAINS_OP", "UNARY_NOT", "UNARY_NEGATIVE", "BINARY_OP", "BINARY_SUBSCR",
    "JUMP_FORWARD", "JUMP_IF_FALSE_OR_POP", "JUMP_IF_TRUE_OR_POP",
    "POP_JUMP_FORWARD_IF_FALSE", "POP_JUMP_FORWARD_IF_TRUE", "POP_JUMP_FORWARD_IF_NONE",
    "POP_JUMP_FORWARD_IF_NOT_NONE", "POP_JUMP_IF_FALSE", "POP_JUMP_IF_TRUE",
    "POP_JUMP_IF_NONE", "POP_JUMP_IF_NOT_NONE", "RETURN_VALUE", "RETURN_CONST", "NOT_TAKEN",
])  # fmt: skip

_SLOT = types.MemberDescriptorType
_readings: WeakKeyDictionary[type, tuple[frozenset[str], Any]] = WeakKeyDictionary()
#: what stands for keys, by class and parts, while a recording or a block holds it
_standing: WeakValueDictionary[Any, Any] = WeakValueDictionary()


def standing(recorder: Recorder, origin: Origin, key: Any) -> Node | None:
    """The node of a key whose parts are pinned: a key from outside itself, which dicts also find by
    its identity, or what stands for one made in the call; None if its hash is that of a plain
    value, or it is not known what its methods do."""
    kind = type(key)
    if kind in SCALARS or isinstance(key, (*FIXED, tuple)) or recorder.dead:
        return None
    parts = _parts(recorder, key)
    if parts is None:
        return None
    recorder.typed(origin, key)
    origin = recorder.origin(origin, key)
    made = isinstance(origin, Born)
    if origin is None or (
        made and not (origin.kind == "instance" and parts.keys() <= origin.parts.keys())
    ):
        return None
    for name, value in parts.items():
        recorder.pin(instance_part(recorder, key, origin, name, value, hidden=False), value)
    if not isinstance(origin, Born):
        return recorder.as_node(origin, key)
    number = id(kind), tuple(parts), tuple(map(identity, parts.values()))
    found = _standing.get(number)
    if found is None:
        found = object.__new__(kind)
        for name, value in parts.items():
            object.__setattr__(found, name, value)
        if kind.__weakrefoffset__:
            _standing[number] = found
    return recorder.constant(found)


def guard_held(recorder: Recorder, owner: Node, key: Any, stands: Node | None, held: bool) -> None:
    """Guard whether a dict has a key, of which `stands` is the node unless it is a plain value."""
    if stands is not None:
        recorder.guard("{1} in {0}" if held else "{1} not in {0}", owner, stands)
    else:
        recorder.guard("{k0} in {0}" if held else "{k0} not in {0}", owner, constants=(key,))


def _made(origin: Born) -> Set[str]:
    """The attributes that an instance made in the call was given."""
    return origin.parts.keys() if origin.kind == "instance" else set()


def sound(recorder: Recorder, owner: dict) -> bool:
    """Whether each key of a dict is plain, or is one that something can stand for."""
    if id(owner) in recorder.plain:
        return True
    others = [
        key for key in owner
        if not (type(key) in SCALARS or isinstance(key, FIXED) or plain_tuple(key))
    ]  # fmt: skip
    if not others:
        recorder.plain[id(owner)] = owner
    return all(_parts(recorder, key) is not None for key in others)


def _parts(recorder: Recorder, key: Any) -> dict[str, Any] | None:
    """The attributes by which a key is equal to others, which are plain values; None if its methods
    do more than to compare them. Guarded."""
    kind: Any = type(key)
    held = attributes_of(key) if kind.__flags__ & (1 << 9) else {}
    found = None if isinstance(key, type) else _Reading.of(kind, frozenset(held))
    if found is None or not recorder.classes.is_plain(kind):
        return None
    for name, weak in found.methods.items():
        method = weak()
        recorder.classes.guard_special(CONSTANT, key, name)
        recorder.guard("{k0}.__code__ is {k1}", constants=(method, method.__code__))
    parts = {name: value for name, value in held.items() if name in found.names}
    for value in parts.values():
        if type(value) in SCALARS and value == value:
            continue
        if not isinstance(value, FIXED) or not built_in(recorder, value, "__eq__", "__hash__"):
            return None
    return parts


@final
class _Reading:
    """What `__eq__` and `__hash__` of a class do with instances that hold such attributes.

    Attributes:
        names: of the attributes that they look at.
        methods: they, and what they call, by name; `codes`: of these.
    """

    def __init__(self, kind: Any, held: frozenset[str]) -> None:
        self.kind, self.held, self.names = kind, held, set[str]()
        self.methods: dict[str, Callable[[], Any]] = {}  # weakly
        self.quiet = kind.__new__ is object.__new__ and special(kind, "__getattr__") is None
        self.quiet = self.quiet and all(cls.__flags__ & (1 << 9) for cls in kind.__mro__[:-1])
        self.quiet = self.quiet and all(map(self._follow, ("__eq__", "__hash__")))
        self.codes = [method().__code__ for method in self.methods.values()]

    @classmethod
    def of(cls, kind: Any, held: frozenset[str]) -> _Reading | None:
        """What is known of a class; None if its methods do more than to look."""
        found = _readings.get(kind)
        if found is None or found[0] != held or not found[1].holds(kind):
            if special(kind, "__eq__") is None or special(kind, "__hash__") is None:
                return None
            found = _readings[kind] = held, cls(kind, held)
            found[1].kind = None  # which may die
        return found[1] if found[1].quiet else None

    def holds(self, kind: type) -> bool:
        """Whether the methods are still these."""
        pairs = zip(self.methods.items(), self.codes, strict=True)
        return all(
            special(kind, name) is held() and held().__code__ is code
            for (name, held), code in pairs
        )

    def _follow(self, name: str) -> bool:
        """Whether a method only looks at attributes."""
        method = special(self.kind, name)
        if method is None or name in self.methods:
            return method is not None
        self.methods[name], code = ref(method), method.__code__
        if code.co_flags & (4 | 8 | 0x20) or code.co_exceptiontable:
            return False
        cells = dict(zip(code.co_freevars, method.__closure__ or (), strict=True))
        called = False
        for step in dis.get_instructions(code):
            if not self._looks(step, method.__globals__, cells, called):
                return False
            called = step.opname == "PUSH_NULL"
        return True

    def _looks(self, step: dis.Instruction, names: dict, cells: dict, called: bool) -> bool:
        name, what = step.argval, step.opname
        if what == "LOAD_GLOBAL":
            value = names.get(name, getattr(builtins, name, None))
            return _known(value, bool((step.arg or 0) & 1) or called)
        if what == "LOAD_DEREF":
            return name in cells and _known(cells[name].cell_contents, called)
        if what not in ("LOAD_ATTR", "LOAD_METHOD"):
            return what in _QUIET and not (called and what.startswith("LOAD_FAST"))
        found = lookup(self.kind, name)[1]
        if name in self.held and (not hasattr(type(found), "__set__") or type(found) is _SLOT):
            self.names.add(name)
            return True
        if type(found) is types.FunctionType:
            return self._follow(name)
        return name in ("__class__", "__name__", "__qualname__")


def _known(value: Any, called: bool) -> bool:
    """Whether a name stands for something that does nothing where it is used."""
    if called:
        return getattr(builtins, getattr(value, "__name__", ""), None) is value and (
            value.__name__ in _TOLD
        )
    return type(value) is type or value is NotImplemented or type(value) in SCALARS
