"""The methods that Python asks for an arithmetic operator, in order; what it makes of results.

Comes in: an operator and its operands, instances of classes written in Python among them. Goes out:
the methods; none where it is not known which they are.
"""

from __future__ import annotations

import types
from typing import Any

from .classes import special

METHODS = {
    "add": "__add__", "sub": "__sub__", "mul": "__mul__", "truediv": "__truediv__",
    "matmul": "__matmul__", "pow": "__pow__", "mod": "__mod__", "floordiv": "__floordiv__",
}  # fmt: skip


class Answer:
    """An object whose methods gave `value`: Python makes of it what it makes of any object's."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __bool__(self) -> bool:
        return self.value

    def __hash__(self) -> int:
        return self.value

    def __len__(self) -> int:
        return self.value


def operator_methods(f: Any, a: Any, b: Any) -> list[tuple[str, bool, types.FunctionType]]:
    """The methods that `a + b` asks, in order: their names, whether the left operand's, and they;
    none if that is not known. Operands are instances of plain Python classes, and numbers."""
    name, kinds = METHODS.get(f.__name__), (type(a), type(b))
    if name is None or kinds[0] in kinds[1].__mro__[1:]:
        return []
    found = []
    for left, kind, method in ((True, kinds[0], name), (False, kinds[1], "__r" + name[2:])):
        if not _plain_class(kind) or (not left and kinds[0] is kinds[1]):
            if left and kind not in (bool, int, float, complex):
                return []
            continue
        function = special(kind, method)
        if function is not None:
            found.append((method, left, function))
        elif hasattr(kind, method):
            return []
    return found


def _plain_class(kind: type) -> bool:
    """Whether a class and its bases are written in Python."""
    return all(cls.__flags__ & (1 << 9) for cls in kind.__mro__[:-1]) and kind is not object
