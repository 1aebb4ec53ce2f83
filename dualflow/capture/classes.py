"""What classes hold and how their instances find it; guarded where a program can change it.

Comes in: a class, or an object whose class it is, and a name. Goes out: what the classes hold under
the name, and a node that finds it again. A class written in C needs no guard: nobody can change it.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, final
from weakref import WeakKeyDictionary

from .provenance import CONSTANT, SCALARS, Namespace, Node, Origin
from .values import is_value_class

if TYPE_CHECKING:
    from .recorder import Recorder


#: classes whose instances look for attributes first in their class, then in themselves
_PLAIN = (object, tuple, list, dict, int, float, str, bytes, types.SimpleNamespace, BaseException)


#: what tells of what class an object is
_ASKED = ("__class__", "__getattribute__")
_IN_C = (types.WrapperDescriptorType, types.GetSetDescriptorType)
#: what stands for the namespace of each class, so that guards of two recordings can be equal
_proxies: WeakKeyDictionary[type, Any] = WeakKeyDictionary()


@final
class Classes:
    """The classes of the objects of one recording; what each holds is guarded once."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        # by the ids of classes, which the recorder keeps: those whose order is guarded, where a
        # name is found in them, whether they find names as plain classes do, their proxies
        self._ordered: set[int] = set()
        self._found: dict[tuple[int, str], Node | None] = {}
        self._specials: dict[tuple[int, str], Any] = {}
        self._plain: dict[int, bool] = {}
        self._pretending: dict[int, bool] = {}
        self._spaces: dict[int, Any] = {}
        self._made: set[int] = set()  # classes made in the call, and what they hold

    def release(self) -> None:
        """The classes may die now."""
        for kept in (
            self._ordered, self._found, self._plain, self._pretending, self._spaces, self._made,
            self._specials,
        ):  # fmt: skip
            kept.clear()

    def make(self, cls: type) -> None:
        """A class was made in the call: what it is asked for is certain."""
        self._made.update(map(id, (cls, *vars(cls).values())))
        self.recorder.keep((cls, *vars(cls).values()))

    def certain(self, node: Node) -> bool:
        """Whether a node asks a class that was made in the call, and nothing else."""
        if not self._made or not all(map(self.certain, node.parents)):
            return False
        return bool(node.parents) or any(
            id(value.owner() if type(value) is Namespace else value) in self._made
            for value in node.constants
        )

    def proxy(self, cls: type) -> Any:
        """What stands for the namespace of a class, one object for each class."""
        found = self._spaces.get(id(cls))
        if found is None:
            found = _proxies.get(cls)
            if found is None:
                found = _proxies[cls] = Namespace(cls)
            self._spaces[id(cls)] = found
            self.recorder.keep(cls)
        return found

    def guard_order(self, kind: type) -> None:
        """Guard in which classes instances of `kind` look for attributes."""
        if kind.__flags__ & (1 << 9) and id(kind) not in self._ordered:
            self._ordered.add(id(kind))  # the guard keeps the class
            order = kind.__mro__  # the tuple itself would keep the class alive
            parts = [f"{{k0}}.__mro__[{i}] is {{k{i}}}" for i in range(1, len(order))]
            text = " and ".join([f"len({{k0}}.__mro__) == {len(order)}", *parts])
            self.recorder.guard(text, constants=order)

    def guard_special(self, origin: Origin, owner: Any, name: str, kind: Any = None) -> None:
        """Guard that a class still finds a special method where it does now."""
        self.recorder.typed(origin, owner)
        kind = kind or type(owner)
        raw = lookup(kind, name)[1]
        if self._specials.get((id(kind), name), self) is raw:
            return
        self._specials[id(kind), name] = raw
        self.recorder.keep(kind)
        self.guard_order(kind)
        for cls in kind.__mro__:
            if name in vars(cls):
                if cls.__flags__ & (1 << 9):
                    node = self.recorder.nodes("{k0}[{k1}]", (), (self.proxy(cls), name))
                    self.recorder.guard("{0} is {k0}", node, constants=(vars(cls)[name],))
                return
            if cls.__flags__ & (1 << 9):
                self.recorder.guard("{k1} not in {k0}", constants=(self.proxy(cls), name))

    def find(self, kind: type, name: str) -> Node | None:
        """Guard that a name is found in the classes of `kind` where it is found now: the node of
        what is there, or None if there is nothing."""
        try:
            return self._found[id(kind), name]
        except KeyError:
            self.guard_order(kind)
            self.recorder.keep(kind)
        for cls in kind.__mro__:
            namespace = vars(cls)
            if name in namespace:
                node = self.recorder.nodes("{k0}[{k1}]", (), (self.proxy(cls), name))
                self._found[id(kind), name] = node
                return node
            if cls.__flags__ & (1 << 9):  # a heap type: it can change
                self.recorder.guard("{k1} not in {k0}", constants=(self.proxy(cls), name))
        self._found[id(kind), name] = None
        return None

    def pretends(self, kind: type) -> bool:
        """Whether the instances of a class say of what class they are: who asks runs that code."""
        found = self._pretending.get(id(kind))
        if found is None:
            spaces = map(vars, kind.__mro__[:-1])
            held = [space[name] for space in spaces for name in _ASKED if name in space]
            found = self._pretending[id(kind)] = not all(isinstance(x, _IN_C) for x in held)
            self.recorder.keep(kind)
        return found

    def is_plain(self, kind: type) -> bool:
        """Whether instances find attributes as plain objects do; guarded."""
        plain = self._plain.get(id(kind))
        if plain is None:
            finds: Any = kind.__getattribute__
            self.recorder.guard("{k0}.__getattribute__ is {k1}", constants=(kind, finds))
            plain = type(finds) is types.WrapperDescriptorType and finds.__objclass__ in _PLAIN
            self._plain[id(kind)] = plain
        return plain

    def stored(self, kind: type, name: str) -> Origin:
        """The origin of what the call stored in a class, where instances of `kind` find it; None if
        they find what was there before."""
        stored = self.recorder.stored
        if not stored or not any((id(cls), name) in stored for cls in kind.__mro__):
            return None
        for cls in kind.__mro__:
            found = stored.get((id(cls), name))
            if found is not None:
                self.guard_order(kind)
                return found
            if name in vars(cls):
                return None
            if cls.__flags__ & (1 << 9):
                self.recorder.guard("{k1} not in {k0}", constants=(self.proxy(cls), name))
        return None


def lookup(kind: type, name: str) -> tuple[bool, Any, Any]:
    """What the classes of `kind` hold under `name`, without binding: found, value, namespace."""
    for cls in kind.__mro__:
        if name in vars(cls):
            return True, vars(cls)[name], vars(cls)
    return False, None, None


def special(kind: type, name: str) -> types.FunctionType | None:
    """A special method written in Python; None if the class has none, or one in C."""
    for cls in kind.__mro__:
        if name in vars(cls):
            found = vars(cls)[name]
            return found if isinstance(found, types.FunctionType) else None
    return None


def built_in(recorder: Recorder, value: Any, *names: str) -> bool:
    """Whether special methods of a constant are Python's own, or the library's; guarded."""
    if type(value) in SCALARS or is_value_class(type(value)):
        return True
    for name in names:
        raw = lookup(type(value), name)[1]
        if isinstance(raw, types.FunctionType) and raw.__module__ != "enum":
            return False
    for name in names:
        recorder.classes.guard_special(CONSTANT, value, name)
    return True


def ordinary(kind: type) -> bool:
    """Whether instances are objects with attributes and nothing more that a program can change."""
    return bool(kind.__flags__ & (1 << 9)) or kind is types.SimpleNamespace


def guard_raw(recorder: Recorder, node: Node, raw: Any) -> None:
    """Guard what a class holds under a name: no other descriptor takes its place."""
    if type(raw) in SCALARS:
        recorder.guard("type({0}) is {k0}", node, constants=(type(raw),))
    else:
        recorder.guard("{0} is {k0}", node, constants=(raw,))
