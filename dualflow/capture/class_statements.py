"""A `class` statement within a function -> the same with hooks around what its body evaluates.

Comes in: the statement. Goes out: the statements that replace it. Methods stay as they are: their
instrumented copies are made where they are called. What is made, the hook of `local_classes.py`
sees with the origins of all that its body binds.
"""

from __future__ import annotations

import ast
import copy
from typing import TYPE_CHECKING

from .slots import Refused, at

if TYPE_CHECKING:
    from .instrument import Statements

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_NOTES = (
    ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Tuple, ast.BinOp, ast.BitOr,
    ast.expr_context,
)  # fmt: skip


def class_with_hooks(maker: Statements, node: ast.ClassDef) -> list[ast.stmt]:
    """The statement with hooks.

    Raises:
        Refused: its body does more than to bind names to values.
    """
    name = maker.mangled(node.name)
    slot = maker.local(name)
    decorators = [maker.e(decorator) for decorator in node.decorator_list]
    bases = [maker.e(base) for base in node.bases]
    if any(keyword.arg != "metaclass" for keyword in node.keywords):
        raise Refused("a class made with keywords", node.lineno)
    kinds = [maker.e(keyword.value) for keyword in node.keywords]
    kinds = [(maker.hook(k, "metaclass", value), slot) for k, (value, slot) in
             zip(node.keywords, kinds, strict=True)]  # fmt: skip
    scope: dict[str, int] = {}
    outer, maker.cls = maker.cls, node.name
    body: list[ast.stmt] = []
    bound = {name.id for statement in node.body for name in ast.walk(statement)
             if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}  # fmt: skip
    for statement in node.body:
        body += _statement(maker, statement, scope, bound)
    maker.cls = outer
    made = copy.copy(node)
    made.bases, made.body = [base for base, _ in bases], body
    made.keywords = [at(ast.keyword(k.arg, value), k) for k, (value, _) in
                     zip(node.keywords, kinds, strict=True)]  # fmt: skip
    parts = tuple(scope.items())
    pinned = tuple(number for _, number in (*bases, *kinds))
    numbers = tuple(number for _, number in decorators)
    by = [decorator for decorator, _ in decorators]
    hook = maker.hook(node, "class_made", slot, parts, pinned, numbers, *by)
    made.decorator_list = [hook]
    found: list[ast.stmt] = [made]
    kind = maker.kind(name)
    if kind != "local":
        load = at(ast.Name(name, ast.Load()), node)
        stored = maker.hook(node, f"store_{kind}", slot, name, load)
        found.append(at(ast.Expr(stored), node))
    return found


def _statement(
    maker: Statements, node: ast.stmt, scope: dict[str, int], bound: set[str]
) -> list[ast.stmt]:
    """A statement of the body; the names that it binds are in `scope` from then on."""
    if isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ):
        return [node]
    if isinstance(node, ast.ClassDef):
        scope[maker.mangled(node.name)] = maker.slot()
        with _inside(maker, scope):
            return class_with_hooks(maker, node)
    if isinstance(node, ast.FunctionDef):
        return _method(maker, node, scope)
    target, value = None, None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, value = node.targets[0], node.value
    elif isinstance(node, ast.AnnAssign):
        if not all(isinstance(part, _NOTES) for part in ast.walk(node.annotation)):
            raise Refused("such an annotation in a class", node.lineno)
        target, value = node.target, node.value
        if value is None:
            return [node]
    if not isinstance(target, ast.Name) or value is None:
        raise Refused(f"a {type(node).__name__} statement in a class", node.lineno)
    _check(maker, value, scope, bound)
    made = copy.copy(node)
    with _inside(maker, scope):
        made.value, slot = maker.e(value)  # type: ignore[attr-defined]
    scope[target.id] = slot
    return [made]


def _check(maker: Statements, value: ast.expr, scope: dict[str, int], bound: set[str]) -> None:
    """Refuse names that mean something else in a class than in a function."""
    for part in ast.walk(value):
        names = {name.id for name in ast.walk(part) if isinstance(name, ast.Name)}
        if isinstance(part, _COMPREHENSIONS) and not names.isdisjoint(scope):
            raise Refused("a comprehension over names of a class", value.lineno)
        if any(name in bound and maker.kind(name) == "cell" for name in names - set(scope)):
            raise Refused("a name of a class, before it is bound", value.lineno)


def _method(maker: Statements, node: ast.FunctionDef, scope: dict[str, int]) -> list[ast.stmt]:
    name = maker.mangled(node.name)
    accessor = [  # @name.setter
        decorator for decorator in node.decorator_list
        if isinstance(decorator, ast.Attribute) and isinstance(decorator.value, ast.Name)
        and decorator.value.id == name and name in scope
    ]  # fmt: skip
    if accessor and len(node.decorator_list) == 1 and not node.args.defaults:
        return [node]
    before = dict(scope)
    scope[name] = maker.slot()
    with _inside(maker, before | {name: scope[name]}):
        return maker.s_FunctionDef(node)


class _inside:  # noqa: N801 - read as a word
    """Names of the class are looked for first, and of no class around it."""

    def __init__(self, maker: Statements, scope: dict[str, int]) -> None:
        self.maker, self.scope, self.outer = maker, dict(scope), maker.scopes

    def __enter__(self) -> None:
        self.maker.scopes = [self.scope]

    def __exit__(self, *raised: object) -> None:
        self.maker.scopes = self.outer
