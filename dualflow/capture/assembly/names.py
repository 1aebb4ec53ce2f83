"""What names in the text of a block stand for, and what is known of expressions before any call.

Comes in: the text as a tree, its namespace, weak references among them. Goes out: objects, and
names in namespaces.
"""

from __future__ import annotations

import ast
import gc
import re
from collections import Counter
from typing import Any

from .code import Other

_NAMES, _STORES = re.compile(r"\b[A-Za-z_]\w*"), re.compile(r"(?m)^\s*(?:try: )?(\w+) = ")
_ARRAYS = re.compile(r"\b(\w+)\._array\b")
_VALUE, _KEPT = re.compile(r"\bT\[(\d+)\]"), re.compile(r"(?m)^\s*T\[(\d+)\] = ")
_SINGLE = (bool, type(None), type(...))
#: What `known` gives for what differs from call to call.
UNKNOWN = object()


def name_of(node: ast.AST) -> str:
    """The name that an expression is; "" if it is none."""
    return node.id if isinstance(node, ast.Name) else ""


class Names:
    """The names of one block.

    Attributes:
        variables: what is assigned to, and how often.
        weak: what W0, W1, ... stand for.
        spaces: those of them that are the dict of a module or of a class.
        lookups: variables that are read once, in a test: what is evaluated there instead.
    """

    def __init__(self, text: str, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.variables = Counter(_STORES.findall(text))
        self._uses = Counter(_NAMES.findall(text))
        self._arrays = Counter(_ARRAYS.findall(text))
        tests = (line for line in text.splitlines() if line.lstrip().startswith("if "))
        self._tested = frozenset(_NAMES.findall("\n".join(tests)))
        self.weak: dict[str, Any] = {}
        self.spaces: dict[str, dict[str, Any]] = {}
        self.lookups: dict[str, ast.expr] = {}

    def head(self, name: str, node: ast.expr) -> bool:
        """Whether a line is `W0 = weak_W0()` or `W0 = W0.__dict__`; notes what it says."""
        if not name.startswith("W"):
            return False
        if isinstance(node, ast.Attribute):
            self.spaces[name] = _dict_of(self.weak[name])
            return True
        found = self.weak[name] = self.namespace["weak_" + name]()
        if found is None:
            raise Other("something is no more")
        return True

    def is_head(self, node: ast.expr) -> bool:
        """Whether a test is `W0 is None`, which `head` has made."""
        return (
            isinstance(node, ast.Compare)
            and name_of(node.left) in self.weak
            and isinstance(node.comparators[0], ast.Constant)
        )

    def look_up_late(self, name: str, node: ast.expr) -> bool:
        """Whether what is found in a namespace can be looked up where it is compared: by a guard,
        since effects may have written to the namespace."""
        if not self._once(name) or name not in self._tested or self.space(node) is None:
            return False
        self.lookups[name] = node
        return True

    def compared_next(self, node: ast.stmt, after: ast.stmt) -> bool:
        """Whether the next line alone asks for the comparison that this one keeps: `v2 = v1 > K0`,
        then `if not v2: ...`, which can be one test."""
        if not (isinstance(node, ast.Assign) and isinstance(after, ast.If)):
            return False
        name, asked = name_of(node.targets[0]), after.test
        while isinstance(asked, ast.UnaryOp) and isinstance(asked.op, ast.Not):
            asked = asked.operand
        compared = isinstance(node.value, ast.Compare) and name_of(asked) == name
        if not compared or not self._once(name):
            return False
        self.lookups[name] = node.value
        return True

    def _once(self, name: str) -> bool:
        """Whether a variable is written once and read once."""
        return self._uses[name] == 2 and self.variables[name] == 1

    def is_shell(self, name: str) -> bool:
        """Whether a tensor is made for its array alone: that is stored, read once, and no more."""
        return (self._uses[name], self._arrays[name]) == (3, 2)

    def known(self, node: ast.expr) -> Any:
        """The object that a name or constant is in all calls; UNKNOWN if it differs."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name) and node.id not in self.variables:
            if node.id in self.namespace:
                return self.namespace[node.id]
            return __builtins__.get(node.id, UNKNOWN)  # as this package sees them
        return UNKNOWN

    def operands(
        self, node: ast.AST | None, function: Any, count: int = 1
    ) -> list[ast.expr] | None:
        """The operands of an expression that calls `function` with so many; None of others."""
        match node:
            case ast.Call(func=ast.Name() as called, args=given, keywords=[]):
                right = self.known(called) is function and len(given) == count
                return given if right else None
        return None

    def space(self, node: ast.expr) -> tuple[dict[str, Any], str] | None:
        """The dict, which is the same in all calls, and the name in it that an expression reads."""
        if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name):
            return None
        space, key = self.dict_named(node.value), self.known(node.slice)
        return None if space is None or type(key) is not str else (space, key)

    def dict_named(self, node: ast.expr) -> dict[Any, Any] | None:
        """The dict that a name is in all calls."""
        name = name_of(node)
        found = self.spaces[name] if name in self.spaces else self.known(node)
        return found if type(found) is dict else None

    def weakly(self, name: str) -> Any:
        """What W0, W1, ... are in the text, as an object: the namespace of a class is none."""
        space = self.spaces.get(name)
        if space is not None and isinstance(self.weak[name], type):
            raise Other("the namespace of a class")
        return self.weak[name] if space is None else space

    def single(self, node: ast.expr) -> tuple[Any, bool] | None:
        """The object that an expression is in all calls, and whether it is referred to weakly; None
        if it differs, or there may be several that are equal to it."""
        if isinstance(node, ast.Name) and node.id in self.weak:
            return self.weakly(node.id), True
        known = self.known(node)
        if known is UNKNOWN or (isinstance(node, ast.Constant) and type(known) not in _SINGLE):
            return None
        return known, False


def kept(text: str) -> str:
    """The text of a leaf, with variables for the values of tensors that it keeps for itself.

    >>> kept("T[0] = v3[0].item(); return T[0] + T[1]")
    'T_0 = v3[0].item(); return T_0 + T[1]'
    """
    own = set(_KEPT.findall(text))
    return _VALUE.sub(lambda found: f"T_{found[1]}" if found[1] in own else found[0], text)


def _dict_of(owner: Any) -> dict[str, Any]:
    """The dict of a module, or the one behind the namespace of a class."""
    if not isinstance(owner, type):
        return vars(owner)
    found = [x for x in gc.get_referents(vars(owner)) if type(x) is dict]
    if len(found) != 1:
        raise Other("a namespace")
    return found[0]
