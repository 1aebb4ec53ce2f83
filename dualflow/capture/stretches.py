"""A generator function or coroutine as a function that runs it from one stop to the next.

    def f(x, n):                   def f(values):
        for i in range(n):             at, sent, error, x, n, i, each = values ...
            x = x * 2                  if not at: return 1, x, n, i, each, (range, (n,), {})
            yield x            ->      if at == 1: at, each = 0, sent
                                       while at == 2 if at else (i := next(each, values)) ...
                                           if not at: x = x * 2
                                           if not at: return 2, x, n, i, each, x
                                           if at == 2: at = 0
                                       return 0, None

Comes in: a function. Goes out: `Stretches`: the function on the right, whose calls are compiled as
any others, and what `resumed.py` does at each stop. Its lines are those of the user's.
"""

from __future__ import annotations

import ast
import copy
from types import CellType, CodeType, FunctionType
from typing import Any, NamedTuple

from .copies import add
from .halves import Returns, stored, unsure
from .instrument import declarations
from .locate import NoSource, locate, rebuild, text_of
from .resumed import DELEGATE, ITERATE, YIELD
from .slots import at as placed

_STOPS = (ast.Yield, ast.YieldFrom, ast.Await)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
#: of these all parts are evaluated, in the order of the syntax
_IN_ORDER = (ast.Expr, ast.BinOp, ast.UnaryOp, ast.Call, ast.keyword, ast.Tuple, ast.List,
             ast.Attribute, ast.Subscript, ast.Compare, ast.NamedExpr)  # fmt: skip
#: what is said to make an iterator, and runs nothing of the user's before that is asked
_ITERATORS = frozenset({"range", "enumerate", "zip", "reversed"})
_SEEING = frozenset({"locals", "vars", "dir", "eval", "exec", "super", "__class__"})


class Stop(NamedTuple):
    """A place where the function is left.

    Attributes:
        kind: what for.
        called: whether what goes out is (function, arguments, keywords), to be called first.
        caught: whether an error raised there may be caught, or anything be done on its way.
    """

    kind: str
    called: bool
    caught: bool


class Stretches(NamedTuple):
    """What a function is run by.

    Attributes:
        step: takes [where it stopped, what is sent, an error to raise there, *variables], which it
            empties; gives (where it stops, *variables, what goes out), or (0, the result).
        names: the variables.
        stops: what each stop is, from 1 on.
    """

    step: FunctionType
    names: tuple[str, ...]
    stops: tuple[Stop, ...]


class _Refused(Exception):  # noqa: N818 - a reason, not an error of the user
    """A function that cannot be entered in its middle."""


def stretches(fn: FunctionType) -> Stretches | None:
    """How to run `fn`, a generator function or coroutine, in stretches; None if it cannot be."""
    code = fn.__code__
    try:
        node, cls, module = locate(code, text_of(code, fn.__globals__))
        if isinstance(node, ast.Lambda) or not _is_plain(node, code):
            return None
        maker = _Maker(code, node)
        made = maker.function(node)
        own = rebuild(made, code, cls, module, (maker.next,))
    except (NoSource, _Refused):
        return None
    add(own, made, cls, module)
    cells = dict(zip(code.co_freevars, fn.__closure__ or (), strict=True))
    cells[maker.next] = CellType(next)
    closure = tuple([cells[name] for name in own.co_freevars])
    step = FunctionType(own, fn.__globals__, fn.__name__, None, closure)
    step.__qualname__, step.__module__ = fn.__qualname__, fn.__module__
    return Stretches(step, tuple(maker.names), tuple(maker.stops))


def _is_plain(node: ast.FunctionDef | ast.AsyncFunctionDef, code: CodeType) -> bool:
    """Whether all variables are the function's own, have values where they are read, and live in
    no cell that lasts (those of comprehensions, which are complete, do not)."""
    for part in ast.walk(node):
        if isinstance(part, (ast.ClassDef, ast.AsyncFor, ast.AsyncWith)):
            return False
        if isinstance(part, ast.comprehension) and part.is_async:
            return False
        if isinstance(part, ast.Delete) and any(isinstance(x, ast.Name) for x in part.targets):
            return False
        if isinstance(part, ast.Name) and (part.id in _SEEING or part.id.startswith("__")):
            return False
        lasts = isinstance(part, (*_SCOPES, ast.GeneratorExp)) and part is not node
        if lasts and code.co_cellvars:
            return False
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 4) + bool(code.co_flags & 8)
    given = code.co_varnames[:count]
    return not unsure(node.body, set(given)) & {*code.co_varnames, *code.co_cellvars}


def _stops_in(node: ast.AST) -> bool:
    """Whether a function stops within a part of its own body."""
    if isinstance(node, _SCOPES):
        return False
    return isinstance(node, _STOPS) or any(map(_stops_in, ast.iter_child_nodes(node)))


class _Maker:
    """Makes the function; `names` and `stops` grow meanwhile."""

    def __init__(self, code: CodeType, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        caught = {n.name for n in ast.walk(node) if isinstance(n, ast.ExceptHandler) and n.name}
        own = dict.fromkeys((*code.co_varnames, *code.co_cellvars))
        if caught & stored(node.body) or caught & set(code.co_cellvars):
            raise _Refused
        self.names = [name for name in own if name not in caught]
        self._own = set(self.names)
        self._taken = {*own, *code.co_freevars, *code.co_names}
        self._at, self._sent, self._error = map(self._name, ("at", "sent", "error"))
        self._values, self._out, self._leaving = map(self._name, ("values", "out", "leaving"))
        self.next = self._name("next")
        self.stops: list[Stop] = []
        self._left: list[ast.Tuple] = []  # what is returned at stops
        self._tries = 0  # around what is made

    def _name(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def _temporary(self, name: str) -> str:
        made = self._name(name)
        self.names.append(made)
        self._own.add(made)
        return made

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.FunctionDef:
        start = declarations(node.body)
        body = self.block(node.body[start:])
        for left in self._left:  # now that all names are known
            names = [placed(ast.Name(name, ast.Load()), left) for name in self.names]
            left.elts[1:1] = names
        first = node.body[min(start, len(node.body) - 1)]
        targets = ", ".join([self._at, self._sent, self._error, *self.names])
        head = f"[{targets}] = {self._values}\n{self._values}.clear()\n{self._leaving} = False"
        over = _parsed("return 0, None", node.body[-1])
        arguments = ast.arguments([], [ast.arg(self._values)], None, [], [], None, [])
        body = [*node.body[:start], *_parsed(head, first), *body, *over]
        made = ast.FunctionDef(node.name, arguments, body, node.decorator_list)
        return ast.fix_missing_locations(ast.copy_location(made, node))

    # Statements -----------------------------------------------------------------------------

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Statements that can be entered before them, or at a stop within: then what comes before
        that is left out."""
        found: list[ast.stmt] = []
        before: list[ast.stmt] = []
        for statement in statements:
            if not _stops_in(statement):
                before.append(Returns(0).visit(copy.deepcopy(statement)))
                continue
            if before:
                found.append(self._fresh(before))
                before = []
            made = getattr(self, "s_" + type(statement).__name__, self._simple)(statement)
            found.append(_if(f"{self._at} <= {len(self.stops)}", made))  # else the stop is behind
        return found + before

    def _fresh(self, statements: list[ast.stmt]) -> ast.stmt:
        """Statements that do not run on the way to a stop."""
        return _if(f"not {self._at}", statements)

    def _entered(self, test: ast.expr, first: int) -> ast.expr:
        """`test`; on the way to a stop, whether it is one of those since `first`."""
        text = " or ".join(f"{self._at} == {k + 1}" for k in range(first, len(self.stops)))
        made: Any = _parsed(f"({text or False}) if {self._at} else None", test)[0]
        made.value.orelse = test
        return made.value

    def s_If(self, node: ast.If) -> list[ast.stmt]:  # noqa: N802
        before, test = self._hoisted(node.test)
        first = len(self.stops)
        body = self.block(node.body)
        test = self._entered(test, first)
        return [*before, placed(ast.If(test, body, self.block(node.orelse)), node)]

    def s_While(self, node: ast.While) -> list[ast.stmt]:  # noqa: N802
        if _stops_in(node.test):
            raise _Refused
        return [self._loop(node, node.test, node.body)]

    def _loop(self, node: ast.While | ast.For, test: ast.expr, body: list[ast.stmt]) -> ast.stmt:
        first = len(self.stops)
        inner = self.block(body)
        test = self._entered(test, first)
        return placed(ast.While(test, inner, self.block(node.orelse)), node)

    def s_For(self, node: ast.For) -> list[ast.stmt]:  # noqa: N802
        iterator, item, end = self._temporary("each"), self._name("item"), self._values
        before = self._stop(iterator, node.iter, ITERATE)
        text = (
            f"({item} := {self.next}({iterator}, {end})) is not {end}\nitem = {item}; {item} = None"
        )
        head, assign, let_go = _parsed(text, node.iter)
        assign.targets = [node.target]  # type: ignore[attr-defined]
        loop = self._loop(node, head.value, [assign, let_go, *node.body])  # type: ignore[attr-defined]
        return [*before, loop, self._fresh(_parsed(f"{iterator} = None", node.iter))]

    def s_Try(self, node: ast.Try) -> list[ast.stmt]:  # noqa: N802
        if any(map(_stops_in, [*node.handlers, *node.orelse, *node.finalbody])):
            raise _Refused
        made = Returns(0).visit(copy.deepcopy(node))
        self._tries += 1
        made.body = self.block(node.body)
        self._tries -= 1
        if made.finalbody:
            made.finalbody = [_if(f"not {self._leaving}", made.finalbody)]
        return [made]

    def _simple(self, node: ast.stmt) -> list[ast.stmt]:
        """A statement that stops within its value."""
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        known = isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return))
        old = isinstance(node, ast.AugAssign) and not self._lasts(node.target)
        if not known or old or any(t is not None and _stops_in(t) for t in targets):
            raise _Refused
        node = copy.deepcopy(node)
        count = len(self.names)
        before, node.value = self._hoisted(node.value)  # type: ignore[attr-defined]
        used: list[ast.stmt] = [Returns(0).visit(node)]
        made = self.names[count:]  # which are not needed any more
        return [*before, self._fresh([*used, *_parsed(" = ".join([*made, "None"]), node)])]

    # Expressions ----------------------------------------------------------------------------

    def _hoisted(self, value: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        """The stops within an expression as statements before it, and what is left of it."""
        holder, found = ast.Expr(copy.deepcopy(value)), []
        while _stops_in(holder.value):
            found += self._first(holder)
        return found, holder.value

    def _first(self, node: Any) -> list[ast.stmt]:
        """Put the first stop within `node`, and what is evaluated before it, before `node`."""
        if not isinstance(node, _IN_ORDER) or len(getattr(node, "ops", ())) > 1:
            raise _Refused
        found: list[ast.stmt] = []
        for field, held in ast.iter_fields(node):
            parts = held if isinstance(held, list) else [held]
            for i, part in enumerate(parts):
                if not isinstance(part, (ast.expr, ast.keyword)):
                    continue
                stops = isinstance(part, _STOPS)
                if _stops_in(part) and not stops:
                    return found + self._first(part)
                if not stops and self._lasts(part):
                    continue
                if isinstance(part, (ast.keyword, ast.Starred)):
                    raise _Refused
                name = self._temporary("got")
                parts[i] = placed(ast.Name(name, ast.Load()), part)
                setattr(node, field, parts if isinstance(held, list) else parts[0])
                if stops:
                    kind = YIELD if isinstance(part, ast.Yield) else DELEGATE
                    value = part.value or placed(ast.Constant(None), part)
                    return found + self._stop(name, value, kind)
                target = placed(ast.Name(name, ast.Store()), part)
                found.append(self._fresh([placed(ast.Assign([target], part), part)]))
        raise _Refused

    def _lasts(self, node: ast.expr | ast.keyword) -> bool:
        """Whether an expression is the same before a stop and after it."""
        if isinstance(node, ast.keyword):
            node = node.value
        return isinstance(node, ast.Constant) or (
            isinstance(node, ast.Name) and node.id in self._own
        )

    def _stop(self, name: str, value: ast.expr, kind: str) -> list[ast.stmt]:
        """Leave the function with `value`; what comes back becomes the variable `name`."""
        before, value = self._hoisted(value)
        called = self._called(value, kind)
        self.stops.append(Stop(kind, called is not None, self._tries > 0))
        number = len(self.stops)
        text = f"""if not {self._at}:
    {self._out} = None
    {self._leaving} = True
    return {number}, {self._out}
if {self._at} == {number}:
    {self._at} = 0
    if {self._error} is not None:
        raise {self._error}
    {name}, {self._sent} = {self._sent}, None"""
        leave, enter = _parsed(text, value)
        assign, _, left = leave.body  # type: ignore[attr-defined]
        assign.value = value if called is None else called
        self._left.append(left.value)
        return [*before, leave, enter]

    def _called(self, value: ast.expr, kind: str) -> ast.Tuple | None:
        """The parts of a call that can be made once the function is left; None of others."""
        if kind == YIELD or not isinstance(value, ast.Call):
            return None
        own = isinstance(value.func, ast.Name) and value.func.id in _ITERATORS
        if kind == ITERATE and not own:
            return None
        if any(isinstance(part, ast.Starred) for part in value.args):
            return None
        if any(part.arg is None for part in value.keywords):
            return None
        names: list[ast.expr | None] = [ast.Constant(part.arg) for part in value.keywords]
        keywords = ast.Dict(names, [part.value for part in value.keywords])
        parts = [value.func, ast.Tuple(value.args, ast.Load()), keywords]
        return ast.fix_missing_locations(placed(ast.Tuple(parts, ast.Load()), value))


def _if(test: str, statements: list[ast.stmt]) -> ast.stmt:
    (made,) = _parsed(f"if {test}: pass", statements[0])
    made.body = statements  # type: ignore[attr-defined]
    return made


def _parsed(text: str, node: ast.AST) -> list[ast.stmt]:
    """Statements of our own, in the place of a part of the user's."""
    found = ast.parse(text).body
    for part in (part for statement in found for part in ast.walk(statement)):
        if isinstance(part, (ast.stmt, ast.expr)):
            ast.copy_location(part, node)
    return found
