"""What instrumented copies are made of: slots for origins, temporaries, and calls of hooks.

Comes in: the code of a function; names and places in it. Goes out: numbers of slots; nodes that
call the frame (`frame.Frame`) where the compiler takes them for the user's own lines.
"""

from __future__ import annotations

import ast
import copy
from types import CodeType
from typing import Any, TypeVar

from .private_names import mangled

FRAME = "_df_"  # the one hidden free variable
CONSTANT = 0  # the slot of constants

#: names whose use means that a function looks at its own frame, which a copy cannot fake
FRAME_READERS = frozenset(["locals", "eval", "exec", "vars", "dir", "globals"])
#: names whose use, in functions within it too, means that it looks at frames, its own among them
_STACK_READERS = frozenset(
    ["_getframe", "_current_frames", "currentframe", "breakpoint", "set_trace", "settrace",
     "setprofile", "f_back", "f_locals", "f_lineno", "tb_frame", "gi_frame", "walk_stack",
     "walk_tb", "extract_stack", "print_stack", "format_stack", "clear_frames", "capture_locals",
     "tb_next", "adaptive", "getgeneratorlocals", "getcoroutinelocals"]
)  # fmt: skip
Shape = int | tuple[Any, ...]
N = TypeVar("N", bound=ast.AST)


class Refused(Exception):  # noqa: N818 - a reason, not an error of the user
    """A construct that is not in the table."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(f"{what} (line {line})")
        self.line = line


def at(node: N, where: ast.AST) -> N:
    """`node`, placed where `where` is."""
    return ast.copy_location(node, where)


def where_named(node: N, attribute: ast.expr) -> N:
    """Where the compiler says that an attribute is read or a method is called: from the line on
    which its name stands, as of `x` in lines of `.first()`, `.second()`."""
    if not isinstance(attribute, ast.Attribute) or attribute.end_lineno == node.lineno:  # type: ignore[attr-defined]
        return node
    moved = copy.copy(node)
    moved.lineno = attribute.end_lineno  # type: ignore[attr-defined]
    moved.col_offset = (attribute.end_col_offset or 0) - len(attribute.attr)  # type: ignore[attr-defined]
    return moved


def check_frames(function: ast.AST) -> None:
    """Refuse a function that looks at frames: it would see hooks, and what they hold."""
    for node in ast.walk(function):
        for field in ("id", "attr", "arg"):
            name = getattr(node, field, None)
            if name in _STACK_READERS:
                raise Refused(f"{name} looks at frames", node.lineno)  # type: ignore[attr-defined]


class Slots:
    """The slots and temporaries of one function, and calls of hooks at places of it."""

    def __init__(self, code: CodeType, cls: str | None) -> None:
        self.cls = cls
        self.count = 1
        self.slots: dict[str, int] = {}
        self.cells = {*code.co_cellvars, *code.co_freevars}
        self.variables = {*code.co_varnames, *self.cells}
        named = dict.fromkeys((*code.co_varnames, *code.co_cellvars, *code.co_freevars))
        self.own_names = tuple(named)  # in the order of `locals()`
        self.scopes: list[dict[str, int]] = []  # targets of comprehensions
        self.temporaries = 0
        self.holding: list[str] = []  # temporaries of what is being matched
        self.managed: ast.expr | None = None  # what `with` enters at once
        self.rebound: set[str] = set()  # variables that expressions assign to

    def slot(self) -> int:
        self.count += 1
        return self.count - 1

    def local(self, name: str) -> int:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        if name not in self.slots:
            self.slots[name] = self.slot()
        return self.slots[name]

    def kind(self, name: str) -> str:
        """Where a variable lives: "local", "cell" or "glob"."""
        if any(name in scope for scope in self.scopes):
            return "local"
        if name in self.cells:
            return "cell"
        return "local" if name in self.variables else "glob"

    def temporary(self) -> str:
        self.temporaries += 1
        name = f"_df_t{self.temporaries}"
        self.variables.add(name)
        return name

    def mangled(self, name: str) -> str:
        """An attribute's name as the compiler would mangle it inside a class."""
        return mangled(name, self.cls)

    def hook(self, where: ast.AST, name: str, *arguments: Any) -> ast.Call:
        """A call of the frame's method `name`; numbers, strings and tuples become constants."""
        made = [a if isinstance(a, ast.AST) else ast.Constant(a) for a in arguments]
        method = ast.Attribute(ast.Name(FRAME, ast.Load()), name, ast.Load())
        call = ast.Call(method, made, [])  # type: ignore[arg-type]
        for node in (call, method, method.value, *made):
            if not hasattr(node, "lineno"):
                at(node, where)
        # the compiler moves a method call to the line on which the attribute ends
        for node in (method, method.value):
            node.end_lineno = node.lineno  # type: ignore[attr-defined]
            node.end_col_offset = node.col_offset  # type: ignore[attr-defined]
        return call

    def held(self, where: ast.AST, name: str) -> ast.expr:
        """What the frame holds as `name`."""
        return at(ast.Attribute(at(ast.Name(FRAME, ast.Load()), where), name, ast.Load()), where)

    def own(self, where: ast.AST, names: tuple[str, ...]) -> ast.Call:
        """The hook that shows the frame the cells of the function's own variables."""
        names = tuple(name for name in names if name != "__class__")
        loads: list[ast.expr] = [at(ast.Name(name, ast.Load()), where) for name in names]
        nothing = ast.arguments([], [], None, [], [], None, [])
        body = at(ast.Tuple(loads, ast.Load()), where)
        return self.hook(where, "own", at(ast.Lambda(nothing, body), where))

    def capturing(self, value: ast.expr, node: ast.expr, scope: dict[str, int]) -> ast.expr:
        """`value`, before which the frame is shown the cells of variables of the comprehension
        `node` that functions within it capture."""
        captured = tuple(name for name in scope if _captures(node, name))
        if not captured:
            return value
        shown = self.own(value, captured)
        shown.func.attr = "captured"  # type: ignore[attr-defined]
        for name in captured:
            shown.args += [at(ast.Constant(part), value) for part in (name, scope[name])]
        both = at(ast.Tuple([shown, value], ast.Load()), value)
        return at(ast.Subscript(both, at(ast.Constant(1), value), ast.Load()), value)

    def into(self, to: int | None) -> int:
        return self.slot() if to is None else to


def _captures(node: ast.AST, name: str) -> bool:
    """Whether a lambda within `node` may capture the variable `name`."""
    inner = (part for part in ast.walk(node) if isinstance(part, ast.Lambda))
    names = (part for body in inner for part in ast.walk(body) if isinstance(part, ast.Name))
    return any(part.id == name for part in names)
