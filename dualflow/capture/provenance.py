"""Where a value came from: a constant, a node over the state before the call, or born in it.

    Origin = CONSTANT | Node | Born | None (not known: the recording is refused when it is used)
    Node   = Python text over other nodes and constants: paths from the arguments and globals,
             expressions over them, values of tensors (`late`: known once a program ran)

Comes in: what the hooks see. Goes out: nodes, each made once, from which `emit.py` writes guards.
"""

from __future__ import annotations

from typing import Any, final
from weakref import ref


@final
class Constant:
    """The origin of what the code alone decides."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "constant"


CONSTANT = Constant()


@final
class Node:
    """A value that is found anew at each call.

    Attributes:
        template: Python text; `{0}`, `{1}` stand for the parents, `{k0}` for constants.
        late: whether it needs the value of a tensor.
    """

    __slots__ = ("__weakref__", "_text", "constants", "late", "parents", "template")

    def __init__(
        self, template: str, parents: tuple[Node, ...], constants: tuple[Any, ...], late: bool
    ) -> None:
        self.template, self.parents, self.constants, self.late = template, parents, constants, late
        self._text = ""

    def __str__(self) -> str:
        if not self._text:
            parts = {f"k{i}": short(constant) for i, constant in enumerate(self.constants)}
            self._text = self.template.format(*map(str, self.parents), **parts)
        return self._text

    __repr__ = __str__


@final
class Namespace:
    """Stands for the namespace of a class, which it does not keep alive."""

    __slots__ = ("__weakref__", "owner")

    def __init__(self, owner: type) -> None:
        self.owner = ref(owner)


def short(constant: Any) -> str:
    """A constant as a reader of guards wants it."""
    if type(constant) in SCALARS:
        return repr(constant)
    if type(constant) is dict and "__name__" in constant:  # the globals of a module
        return f"vars({constant['__name__']})"
    name = getattr(constant, "__qualname__", None) or getattr(constant, "__name__", None)
    return name or f"<{type(constant).__name__}>"


SCALARS = frozenset([bool, int, float, complex, str, bytes, type(None), type(...)])
NUMBERS = frozenset([bool, int, float])
_HASHED = frozenset([bool, str, bytes, type(None), type(...)])


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
            (first, *rest) = constants
            key = template, parents, first if type(first) is str else identity(first)
            if rest:
                key += tuple(map(identity, rest))
        node = self._found.get(key)
        if node is None:
            for parent in parents:
                late = late or parent.late
            node = self._found[key] = Node(template, parents, constants, late)
        return node


def identity(constant: Any) -> Any:
    """A key in which only what is the same everywhere is the same: 1, True, 1.0, -0.0 differ."""
    kind = type(constant)
    if kind is str:
        return constant
    if kind in SCALARS:
        return kind, constant if kind in _HASHED else repr(constant)  # -1 has the hash of -2
    if kind is tuple:
        return tuple(map(identity, constant))
    return id(constant)
