"""Where a value came from: a constant, a node over the state before the call, or born in it.

    Origin = CONSTANT | Node | Born | None (not known: the recording is refused when it is used)
    Node   = Python text over other nodes and constants: paths from the arguments and globals,
             expressions over them, values of tensors (`late`: known once a program ran)

Comes in: what the hooks see. Goes out: nodes, each made once, from which `emit.py` writes guards.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, final
from weakref import ref

from dualflow.base.source import inside_package


@final
class Constant:
    """The origin of what the code alone decides."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "constant"


CONSTANT = Constant()

#: how templates begin that give text
TEXTS = ("format(", "''.join(")
#: characters of the text of a node
_LONGEST = 400


@final
class Node:
    """A value that is found anew at each call.

    Its text for readers is bounded: the middle of a long one is left out.

    Attributes:
        template: Python text; `{0}`, `{1}` stand for the parents, `{k0}` for constants.
        late: whether it needs the value of a tensor.
        typed, needed: whether it is known that guards ask for its type, and evaluate it.
    """

    __slots__ = (
        "__weakref__", "_key", "_text", "constants", "late", "needed", "parents", "template",
        "typed",
    )  # fmt: skip

    def __init__(
        self, template: str, parents: tuple[Node, ...], constants: tuple[Any, ...], late: bool
    ) -> None:
        self.template, self.parents, self.constants, self.late = template, parents, constants, late
        self._text = ""
        self._key: int | None = None
        self.typed = self.needed = False

    def __str__(self) -> str:
        for node in upwards(self, lambda node: node._text != ""):
            parts = {f"k{i}": short(constant) for i, constant in enumerate(node.constants)}
            text = node.template.format(*[parent._text for parent in node.parents], **parts)
            if len(text) > _LONGEST:
                half = _LONGEST // 2 - 15
                text = f"{text[:half]} ...{hash(text):x}... {text[-half:]}"
            node._text = text
        return self._text

    __repr__ = __str__

    @property
    def key(self) -> int:
        """Equal for nodes of two recordings that say the same."""
        for node in upwards(self, lambda node: node._key is not None):
            parents = tuple([parent._key for parent in node.parents])
            node._key = hash((node.template, parents, tuple(map(identity, node.constants))))
        assert self._key is not None
        return self._key


def upwards(node: Node, done: Callable[[Node], bool]) -> Iterator[Node]:
    """What `node` is made of and it itself, parents first, without recursion (expressions may be
    long); what is `done`, which each is after it was given, is left out with all below it."""
    todo = [node]
    while todo:
        top = todo[-1]
        missing = () if done(top) else [parent for parent in top.parents if not done(parent)]
        if missing:
            todo += missing
        else:
            todo.pop()
            if not done(top):
                yield top


@final
class Namespace:
    """Stands for the namespace of a class, which it does not keep alive."""

    __slots__ = ("__weakref__", "owner")

    def __init__(self, owner: type) -> None:
        self.owner = ref(owner)


@final
class Weak:
    """Stands for a constant of guards that they do not keep alive.

    Attributes:
        number: its id; the constant is `part` (Python text) of what `held` refers to.
    """

    __slots__ = ("held", "number", "part")

    def __init__(self, number: int, held: ref[Any], part: str = "") -> None:
        self.number, self.held, self.part = number, held, part

    def constant(self) -> Any:
        """What it stands for; None once that is dead."""
        target = self.held()
        return vars(target) if self.part and target is not None else target


_REFERRED = (types.FunctionType, types.CodeType, types.ModuleType)
_HEAP = 1 << 9  # a flag of classes that are no part of the interpreter


def weakly(constant: Any) -> Weak | None:
    """What stands for a constant that may die: a class, function, code, module or namespace of
    one; None for any other, which is kept."""
    kind = type(constant)
    if kind is Namespace:
        return Weak(id(constant), constant.owner, ".__dict__")
    if isinstance(constant, type):
        return Weak(id(constant), ref(constant)) if constant.__flags__ & _HEAP else None
    if kind in _REFERRED:
        return Weak(id(constant), ref(constant))
    if kind is dict:
        module = sys.modules.get(constant.get("__name__", ""))
        if module is not None and getattr(module, "__dict__", None) is constant:
            return Weak(id(constant), ref(module), ".__dict__")
    return None


def short(constant: Any) -> str:
    """A constant as a reader of guards wants it."""
    if type(constant) in SCALARS:
        return repr(constant)
    if type(constant) is Weak:
        constant = constant.constant()
    if type(constant) is Weak:
        constant = constant.constant()
    if type(constant) is dict and "__name__" in constant:  # the globals of a module
        return f"vars({constant['__name__']})"
    name = getattr(constant, "__qualname__", None) or getattr(constant, "__name__", None)
    return name or f"<{type(constant).__name__}>"


SCALARS = frozenset([bool, int, float, complex, str, bytes, type(None), type(...)])
NUMBERS = frozenset([bool, int, float])
_HASHED = frozenset([bool, str, bytes, type(None), type(...)])
#: constants of which equal ones are the same, and those by which nothing is kept alive
_BY_VALUE = SCALARS | {tuple, Weak}
_EXACT = _HASHED | {int}
_WEIGHTLESS = SCALARS | {Namespace}


@final
class Born:
    """The origin of an object made in this call, and the origins of its parts.

    Attributes:
        kind: "list", "tuple", "dict", "set", "instance", "function", "method", "iterator",
            "slice", "cell", "error", "tensor" or "opaque" (can be used, cannot be a result).
        parts: list or dict of origins; for a function (defaults, keyword defaults); for a method
            (origin of the function, of the object); for an iterator, a generator function of
            (value, origin).
    """

    __slots__ = ("kind", "parts")

    def __init__(self, kind: str, parts: Any = None) -> None:
        self.kind, self.parts = kind, parts

    def __repr__(self) -> str:
        return f"born {self.kind}"


TENSOR = Born("tensor")
Origin = Constant | Node | Born | None
#: a value that was read, and where it came from
Read = tuple[Any, Origin]


@final
class Nodes:
    """All nodes of a recording, each once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Any, ...], Node] = {}
        self._holding: list[Node] = []  # those of constants that are no plain values

    def __call__(
        self,
        template: str,
        parents: tuple[Node, ...] = (),
        constants: tuple[Any, ...] = (),
        late: bool = False,
    ) -> Node:
        """The node of `template`; equal ones are one."""
        key: tuple[Any, ...] = (template, parents)
        if constants:
            first = constants[0]
            kind = type(first)
            if len(constants) > 1:
                key = template, parents, *map(identity, constants)
            elif kind in _EXACT:
                key = template, parents, kind, first
            elif kind in _BY_VALUE:
                key = template, parents, identity(first)
            else:
                key = template, parents, id(first)
        node = self._found.get(key)
        if node is None:
            for parent in parents:
                late = late or parent.late
            node = self._found[key] = Node(template, parents, constants, late)
            for constant in constants:
                if type(constant) not in _WEIGHTLESS:
                    self._holding.append(node)
                    break
        return node

    def release(self) -> None:
        """Keep none any more."""
        self._found.clear()
        self._holding.clear()

    def let_go(self) -> None:
        """Let nodes keep nothing alive that guards only compare with."""
        released: dict[int, Any] = {}
        for node in self._holding:
            found = []
            for constant in node.constants:
                if id(constant) not in released:
                    released[id(constant)] = _released(constant)
                found.append(released[id(constant)])
            node.constants = tuple(found)


def identity(constant: Any) -> Any:
    """A key in which only what is the same everywhere is the same: 1, True, 1.0, -0.0 differ."""
    kind = type(constant)
    if kind is str:
        return constant
    if kind in SCALARS:
        return kind, constant if kind in _HASHED else repr(constant)  # -1 has the hash of -2
    if kind is tuple:
        return tuple(map(identity, constant))
    return constant.number if kind is Weak else id(constant)


def _released(constant: Any) -> Any:
    """A constant of a node that outlives the recording; functions of dualflow live on anyway."""
    kind = type(constant)
    own = kind is types.FunctionType and inside_package(constant.__code__.co_filename)
    if own or kind in _WEIGHTLESS:
        return constant
    return weakly(constant) or constant
