"""The methods that Python asks for an arithmetic operator, in order; what it makes of results.

Comes in: an operator and its operands, instances of classes written in Python among them. Goes out:
the methods; none where it is not known which they are.
"""

from __future__ import annotations

import types
from typing import Any

from dualflow.array.tensor import Tensor

from .classes import lookup, special
from .provenance import SCALARS

METHODS = {
    "add": "__add__", "sub": "__sub__", "mul": "__mul__", "truediv": "__truediv__",
    "matmul": "__matmul__", "pow": "__pow__", "mod": "__mod__", "floordiv": "__floordiv__",
    "and_": "__and__", "or_": "__or__", "xor": "__xor__", "lshift": "__lshift__",
    "rshift": "__rshift__",
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
        if kind is Tensor:
            continue
        if not _plain_class(kind) or (not left and kinds[0] is kinds[1]):
            if left and kind not in (bool, int, float, complex):
                return []
            continue
        function = special(kind, method)
        if function is not None:
            found.append((method, left, function))
        elif lookup(kind, method)[0]:
            return []
    return found


def in_place_method(f: Any, a: Any, b: Any) -> tuple[str, types.FunctionType | None] | None:
    """The name of the method that `a += b` asks first, and the method, None if there is none but
    methods for `f`, the operator of two operands; None where it is not known what is asked."""
    name = METHODS.get(f.__name__)
    if name is None or not _plain_class(type(a)):
        return None
    name = f"__i{name[2:]}"
    method = special(type(a), name)
    if method is None and (lookup(type(a), name)[0] or not operator_methods(f, a, b)):
        return None
    return name, method


def unfit(f: Any, a: Any, b: Any) -> bool:
    """Whether it is known that neither operand, the left one of a plain Python class, has a method
    for an operator."""
    known = type(b) in SCALARS or (_plain_class(type(b)) and type(b) is not Tensor)
    names = METHODS[f.__name__], f"__r{METHODS[f.__name__][2:]}"
    own = lookup(type(a), names[0])[0] or (_plain_class(type(b)) and lookup(type(b), names[1])[0])
    return known and not own


def beside_tensor(f: Any, a: Any, b: Any) -> bool:
    """Whether one operand is a tensor, and methods of the other one, of a plain Python class, say
    what an operator makes of them: tensors leave that to it."""
    other = b if type(a) is Tensor else a
    kind = type(other)
    if kind is Tensor or kind in SCALARS:
        return False
    name = METHODS.get(f.__name__)
    if name is None or not _plain_class(kind):
        return False
    return special(kind, name if other is a else "__r" + name[2:]) is not None


def _plain_class(kind: type) -> bool:
    """Whether a class and its bases are written in Python."""
    return all(cls.__flags__ & (1 << 9) for cls in kind.__mro__[:-1]) and kind is not object
