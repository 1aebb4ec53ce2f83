"""Private names: what the compiler makes of names that begin with two underscores in a class.

Comes in: the syntax of a function, and the class around it. Goes out: the same syntax, whose
variables have the names that its code has.
"""

from __future__ import annotations

import ast

#: where the name of a variable stands
_FIELDS: tuple[tuple[type[ast.AST], str], ...] = (
    (ast.Name, "id"), (ast.arg, "arg"), (ast.ExceptHandler, "name"), (ast.alias, "asname"),
    (ast.MatchAs, "name"), (ast.MatchStar, "name"), (ast.MatchMapping, "rest"),
)  # fmt: skip


def mangled(name: str, cls: str | None) -> str:
    """The name that the compiler makes of a name in a class."""
    inside = (cls or "").lstrip("_")
    if not inside or not name.startswith("__") or name.endswith("__") or "." in name:
        return name
    return f"_{inside}{name}"


def mangle(node: ast.AST, cls: str | None) -> None:
    """Give the variables in `node`, but not functions and classes, their names, in place."""
    for kind, field in _FIELDS:
        if isinstance(node, kind) and (name := getattr(node, field)):
            setattr(node, field, mangled(name, cls))
    if isinstance(node, (ast.Global, ast.Nonlocal)):
        node.names = [mangled(name, cls) for name in node.names]
    body = node.body if isinstance(node, ast.ClassDef) else ()
    for child in ast.iter_child_nodes(node):
        mangle(child, node.name if child in body else cls)  # type: ignore[attr-defined]
