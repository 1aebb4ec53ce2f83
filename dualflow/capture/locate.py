"""From a code object to the syntax it was compiled from, and from changed syntax back to code.

Comes in: the code of a Python function. Goes out: its `def` or `lambda` node, refused unless it
recompiles to the very same code (a file edited since, or rewritten by a test runner, does not); and
`rebuild`, which compiles a changed node so that it fits the same globals, cells and lines.
"""

from __future__ import annotations
import __future__

import ast
import copy
import linecache
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType
from typing import Any

from dualflow.base.syntax import code_of, parse

from . import generated

_FUTURE = 0
for _name in __future__.all_feature_names:
    _FUTURE |= getattr(__future__, _name).compiler_flag

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_LAMBDA = "__dualflow_lambda__"
#: CPython 3.11 fails where two threads make syntax trees at once
_parsing = threading.Lock()


@contextmanager
def _quietly() -> Iterator[None]:
    """Python compiles something once more: what it warns of was told the first time."""
    with _parsing, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class NoSource(Exception):  # noqa: N818 - a reason, not an error of the user
    """The source of a function cannot be had, or is not what runs."""


class Module:
    """A parsed file, and the imports in it."""

    def __init__(self, text: str) -> None:
        with _quietly():
            self._tree = parse(text)
        self.imports = _imports(self._tree)

    def functions(self, name: str, line: int) -> list[tuple[FunctionNode, str | None]]:
        """Those of that name whose first line (of a decorator, if it has some) is `line`, with the
        class around each."""
        return list(_at(self._tree, None, name, line))


def _at(
    node: ast.AST, cls: str | None, name: str, line: int
) -> Iterator[tuple[FunctionNode, str | None]]:
    for child in ast.iter_child_nodes(node):
        first, last = _lines(child)
        if not first <= line <= last:
            continue
        if isinstance(child, FunctionNode) and first == line and name == _called(child):
            yield child, cls
        yield from _at(child, child.name if isinstance(child, ast.ClassDef) else cls, name, line)


def _called(node: FunctionNode) -> str:
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _lines(node: ast.AST) -> tuple[int, int]:
    """The lines from which to which a node goes, with its decorators; all lines for one that has
    no place of its own."""
    first, last = getattr(node, "lineno", 0), getattr(node, "end_lineno", 1 << 60)
    decorators = getattr(node, "decorator_list", ())
    return min([first, *(d.lineno for d in decorators)]), last


def _imports(tree: ast.Module) -> list[ast.stmt]:
    """The imports at module level: how a name is called depends on whether it was imported, so the
    module in which a function is rebuilt holds them too."""
    todo: list[ast.AST] = list(tree.body)
    found: list[ast.stmt] = []
    while todo:
        node = todo.pop(0)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            future = getattr(node, "module", "") == "__future__"
            if not future and not any(alias.name == "*" for alias in node.names):
                found.append(node)
        elif not isinstance(node, (*FunctionNode.__args__, ast.ClassDef)):
            below = ast.iter_child_nodes(node)
            todo += [child for child in below if isinstance(child, (ast.stmt, ast.excepthandler))]
    return found


@lru_cache(maxsize=64)
def _parsed(text: str) -> Module:
    return Module(text)


def text_of(code: CodeType, namespace: dict[str, Any]) -> str:
    """The file that holds `code`, as it is now.

    Raises:
        NoSource: there is none.
    """
    file = code.co_filename
    if file.startswith("<frozen "):  # a module of the standard library, which has a file too
        file = namespace.get("__file__") or file
    linecache.checkcache(file)
    lines = linecache.getlines(file, namespace)
    made = None if lines else generated.source(code)
    if made is not None:
        return made
    if not lines:
        raise NoSource(f"no source for {code.co_filename}")
    return "".join(lines)


def locate(code: CodeType, text: str) -> tuple[FunctionNode, str | None, Module]:
    """The node of `code`, the class around it, and its file, which holds `text`.

    Raises:
        NoSource: no function of the file compiles to `code`.
    """
    try:
        module = _parsed(text)
    except SyntaxError as cause:
        raise NoSource(f"{code.co_filename} no longer parses") from cause
    for node, cls in module.functions(code.co_name, code.co_firstlineno):
        try:
            again = rebuild(node, code, cls, module)
        except (SyntaxError, StopIteration, IndexError):
            continue
        if _key(again) == _key(code):
            return node, cls, module
    raise NoSource(f"the file no longer holds {code.co_qualname} as it runs")


def _key(code: CodeType) -> tuple[Any, ...]:
    constants = [_constant_key(k) for k in code.co_consts]
    return (code.co_code, code.co_names, code.co_varnames, set(code.co_freevars),
            code.co_firstlineno, list(code.co_positions()), constants)  # fmt: skip


def _constant_key(value: Any) -> Any:
    """Equal for constants that are the same; a set that a display made has no order."""
    if isinstance(value, CodeType):
        return _key(value)
    if isinstance(value, (tuple, frozenset)):
        return type(value), type(value)(map(_constant_key, value))
    return type(value), repr(value)


def rebuild(
    node: FunctionNode,
    code: CodeType,
    cls: str | None,
    module: Module,
    extra: tuple[str, ...] = (),
) -> CodeType:
    """Compile `node` in the place of `code`: same free variables (and `extra`), class, lines."""
    inner: ast.stmt
    if isinstance(node, ast.Lambda):
        inner = ast.Assign([ast.Name(_LAMBDA, ast.Store())], node)
        bound = _LAMBDA
    else:  # decorators and defaults stay: the factory never runs, and they give the first line
        inner = copy.copy(node)
        bound = node.name
    free = [name for name in code.co_freevars if not (cls and name == "__class__")] + list(extra)
    body: list[ast.stmt] = [inner]
    if cls:
        body = [ast.ClassDef(name=cls, bases=[], keywords=[], body=[inner], decorator_list=[])]
        bound = cls
    if bound in code.co_freevars:
        free = [name for name in free if name != bound]
    else:  # the factory's own def would capture recursion and class names as cells
        body.insert(0, ast.Global([bound]))
    arguments = ast.arguments([], [ast.arg(name) for name in free], None, [], [], None, [])
    factory = ast.FunctionDef("__factory__", arguments, body, [])
    tree = ast.Module([*module.imports, factory], [])
    if hasattr(ast, "type_param"):
        for made in ast.walk(tree):
            if isinstance(made, (ast.ClassDef, ast.FunctionDef)) and not hasattr(
                made, "type_params"
            ):
                made.type_params = []  # type: ignore[attr-defined]
    _fill_positions(tree, code.co_firstlineno)
    with _quietly():
        made_module = code_of(tree, code.co_filename, "exec", code.co_flags & _FUTURE)
    found = next(c for c in _codes(made_module) if c.co_name == "__factory__")
    if cls:
        found = next(c for c in _codes(found) if c.co_name == cls)
    found = [c for c in _codes(found) if c.co_name == code.co_name][-1]  # after those in defaults
    return _named(found, code.co_qualname)


def _named(code: CodeType, name: str) -> CodeType:
    """`code` under another qualified name, as is the code within."""
    told = not code.co_flags & 1  # a class says its name in its body
    constants = tuple(
        _named(part, name + part.co_qualname.removeprefix(code.co_qualname))
        if isinstance(part, CodeType) and part.co_qualname.startswith(code.co_qualname + ".")
        else (name if told and part == code.co_qualname else part)
        for part in code.co_consts
    )
    return code.replace(co_qualname=name, co_consts=constants)


def _codes(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _fill_positions(tree: ast.AST, line: int) -> None:
    for node in ast.walk(tree):
        if isinstance(node, (ast.expr, ast.stmt, ast.arg)) and not hasattr(node, "lineno"):
            node.lineno = node.end_lineno = line
            node.col_offset = node.end_col_offset = 0
    ast.fix_missing_locations(tree)
