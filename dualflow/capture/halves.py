"""A function that one statement keeps from replay, as two functions of which one can be replayed.

    def step(x):              def step(x):                   def step(values):
        y = f(x)         ->       y = f(x)            then       (y,) = values
        look(y)                   return False, y                values.clear()
        return y + 1                                             look(y)
                                                                 return y + 1

Comes in: a function, and the line that keeps it from replay. Goes out: `Halves`, which times both
ways and then runs the faster one. Both halves are compiled functions, and may be halved again; in
`df.stats()` their calls count as well, in `fn.stats()` the whole is one co-executed call.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Sequence
from operator import is_
from time import thread_time
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, final
from weakref import WeakKeyDictionary

from dualflow.base.source import uncounted

from .copies import add
from .instrument import declarations
from .locate import FunctionNode, Module, NoSource, locate, rebuild, text_of
from .slots import at as placed
from .trials import MARGIN, TURNS

if TYPE_CHECKING:
    from .blocks import Block
    from .compiled import CompiledFunction

#: Calls that come before halves are made; whole calls that are faster are not worth it, in seconds.
BEFORE, WAITED, LONG = 100, 4, 2e-4
#: Calls in halves after which they are left if their programs are not ready.
MOST = 2_000
_OTHER_KINDS = 0x20 | 0x80 | 0x100 | 0x200  # generators, coroutines
#: Functions that see which variables there are, or in which function they stand.
_SEEING = frozenset({"locals", "vars", "dir", "eval", "exec", "super", "__class__"})


@final
class Halves:
    """Both ways to run a function, and their times, which are this thread's own: other programs
    change them little.

    Attributes:
        chosen: whether halves are faster; None while that is not known.
    """

    def __init__(
        self, fn: Any, line: int | None, make: Callable[[Any], CompiledFunction], waits: bool
    ) -> None:
        self.chosen: bool | None = None
        self._fn = fn.__func__ if isinstance(fn, MethodType) else fn
        self._self = (fn.__self__,) if isinstance(fn, MethodType) else ()
        self._line, self._make, self._seen = line, make, _seen(self._fn)
        self._first = WAITED if waits else BEFORE
        self._calls = self._halved = 0
        self._times: tuple[list[float], list[float]] = ([], [])
        self._halves: tuple[CompiledFunction, CompiledFunction] | None = None
        if line is None or not isinstance(self._fn, FunctionType):
            self.chosen = False

    @uncounted
    def __call__(self, whole: Callable[[], Any], args: tuple, kwargs: dict) -> Any:
        """The result of a call; `whole` makes it in one piece."""
        if self.chosen is False or (self.chosen and self._changed()):
            return whole()
        if self.chosen:
            return self._run(args, kwargs)
        halved = self._turn()
        start = thread_time()
        out = self._run(args, kwargs) if halved else whole()
        self._note(halved, thread_time() - start)
        return out

    def blocks(self) -> list[Block]:
        """The paths that the last call took, if it ran in halves."""
        both = (self._halves or ()) if self.chosen else ()
        return [block for half in both for block in half.blocks()]

    def _changed(self) -> bool:
        """Whether the function got other code or defaults since."""
        return not all(map(is_, _seen(self._fn), self._seen))

    @uncounted
    def _run(self, args: tuple, kwargs: dict) -> Any:
        assert self._halves is not None
        first, rest = self._halves
        over, *values = first(*self._self, *args, **kwargs)
        return values[0] if over else rest(values)

    def _turn(self) -> bool:
        """Whether the next call runs in halves."""
        self._calls += 1
        if self._calls > WAITED and min(self._times[False], default=0.0) < LONG:
            self.chosen = False
        if self._calls <= self._first or self.chosen is False:
            return False
        if self._halves is None:
            made = halved(self._fn, self._line or 0)
            if made is None or self._changed():
                self.chosen = False
                return False
            self._halves = self._make(made[0]), self._make(made[1])
        self._halved += self._calls % 2
        return self._calls % 2 == 1

    def _note(self, halved: bool, took: float) -> None:
        """Note the time of a call; those of halves count once both have their programs."""
        if self.chosen is not None:
            return
        if halved and self._halves is not None:
            ways = [half.way for half in self._halves]
            if not {"replay", "co-execute"}.issuperset(ways):
                self.chosen = False if self._halved > MOST else None
                return
            if "replay" not in ways:
                self.chosen = False
        self._times[halved].append(took)
        del self._times[halved][:-TURNS]
        if len(self._times[True]) >= TURNS:
            self.chosen = min(self._times[True]) < MARGIN * min(self._times[False])


def _seen(fn: Any) -> tuple[Any, ...]:
    """What a function is made of, of what may change: objects, for addresses are used again."""
    names = ("__code__", "__defaults__", "__kwdefaults__")
    return tuple(getattr(fn, name, None) for name in names)


# Making them ----------------------------------------------------------------------------------


def halved(fn: FunctionType, line: int) -> tuple[FunctionType, FunctionType] | None:
    """The part of `fn` before the statement at `line`, and the rest; if there is none before it,
    that statement, and what follows. None if it cannot be told apart so.

    The first gives (True, what the function returns) or (False, its variables), which the second
    takes as a list that it empties: what they hold then lives as long as in the function.
    """
    code = fn.__code__
    if code.co_flags & _OTHER_KINDS or code.co_cellvars:
        return None
    try:
        node, cls, module = _nodes.get(fn) or locate(code, text_of(code, fn.__globals__))
    except NoSource:
        return None
    if isinstance(node, ast.Lambda) or not _is_plain(node):
        return None
    cut = _cut(node, line)
    if cut is None:
        return None
    found = _variables(code, node.body[:cut], node.body[cut:])
    if found is None:
        return None
    names, perhaps = found
    first, rest = copy.copy(node), copy.copy(node)
    leave = ast.Return(_tuple(False, [ast.Name(name, ast.Load()) for name in names]))
    start = declarations(node.body)
    first.body = [Returns(True).visit(copy.deepcopy(part)) for part in node.body[:cut]]
    first.body[start:start] = _lines(node, [f"{name} = None" for name in perhaps])
    first.body.append(ast.fix_missing_locations(placed(leave, node.body[cut - 1])))
    held = "values"
    while held in {*code.co_varnames, *code.co_names, *code.co_freevars}:
        held += "_"
    taken = [f"[{', '.join(names)}] = {held}", f"{held}.clear()"] if names else []
    rest.body = [*_lines(node, taken), *node.body[cut:]]
    rest.args = ast.arguments([], [ast.arg(held)], None, [], [], None, [])
    made = []
    for half in (first, rest):
        own = rebuild(half, code, cls, module)
        add(own, half, cls, module)
        cells = dict(zip(code.co_freevars, fn.__closure__ or (), strict=True))
        closure = tuple([cells[name] for name in own.co_freevars])
        made.append(FunctionType(own, fn.__globals__, fn.__name__, None, closure))
        made[-1].__qualname__, made[-1].__module__ = fn.__qualname__, fn.__module__
        _nodes[made[-1]] = half, cls, module
    made[0].__defaults__, made[0].__kwdefaults__ = fn.__defaults__, fn.__kwdefaults__
    return made[0], made[1]


#: what halves were made of, for those that are halved again
_nodes: WeakKeyDictionary[FunctionType, tuple[FunctionNode, str | None, Module]] = (
    WeakKeyDictionary()
)


def _cut(node: FunctionNode, line: int) -> int | None:
    """How many statements come first: those before the one that cannot be replayed, if any do."""
    body = node.body
    assert isinstance(body, list)
    start = declarations(body)
    while start < len(body) and body[start].lineno == node.lineno:  # our own
        start += 1
    for i, statement in enumerate(body):
        if i >= start and statement.lineno <= line <= (statement.end_lineno or 0):
            count = i if i > start else i + 1
            return count if count < len(body) else None
    return None


def _lines(node: FunctionNode, texts: list[str]) -> list[ast.stmt]:
    """Statements of our own, in the line where a function begins."""
    statements = ast.parse("\n".join(texts)).body
    for part in (part for statement in statements for part in ast.walk(statement)):
        if isinstance(part, (ast.stmt, ast.expr)):
            part.lineno = part.end_lineno = node.lineno
            part.col_offset = part.end_col_offset = node.col_offset
    return statements


def _is_plain(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether all variables of a function are its own, and none is ever taken away."""
    for part in ast.walk(node):
        if isinstance(part, (ast.Global, ast.Nonlocal, ast.ClassDef)):
            return False
        if isinstance(part, ast.Delete) and any(isinstance(x, ast.Name) for x in part.targets):
            return False
        if isinstance(part, ast.ExceptHandler) and part.name is not None:
            return False
        name = part.id if isinstance(part, ast.Name) else ""
        if name in _SEEING or name.startswith("__"):
            return False
    return True


def _variables(
    code: CodeType, first: list[ast.stmt], rest: list[ast.stmt]
) -> tuple[list[str], list[str]] | None:
    """The variables that go from the first part to the rest, and those of them that may have no
    value there; None where one of these is read."""
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 4) + bool(code.co_flags & 8)
    given = code.co_varnames[:count]
    sure, own = set(given), set(code.co_varnames)
    missing = unsure(first, sure)
    made, read = stored(first) & own, _read(rest) & own
    if (missing & own) or (made & read) - sure:
        return None
    names = [name for name in code.co_varnames if name in made or name in read & set(given)]
    return names, [name for name in names if name not in sure]


def unsure(statements: list[ast.stmt], sure: set[str]) -> set[str]:
    """The names that are read where they may have no value; `sure` gets those that surely have
    one in the end."""
    found = set()
    for statement in statements:
        match statement:
            case (
                ast.If(test=head, body=body, orelse=other)
                | ast.While(test=head, body=body, orelse=other)
            ):
                found |= _read([head]) - sure
                one, two = set(sure), set(sure)
                found |= unsure(body, one) | unsure(other, two)
                if isinstance(statement, ast.If):
                    sure |= two if _leaves(body) else one if _leaves(other) else one & two
            case ast.For(target=target, iter=head, body=body, orelse=other):
                found |= _read([head, target]) - sure
                found |= unsure(body, sure | set(_given(target))) | unsure(other, set(sure))
            case ast.With(items=items, body=body):
                found |= _read(items) - sure
                given = [name for item in items for name in _given(item.optional_vars)]
                found |= unsure(body, sure | set(given))
            case ast.Try(body=body, handlers=handlers, orelse=other, finalbody=final):
                ends = set(sure)
                found |= unsure(body, ends) | unsure(other, ends) | unsure(final, set(sure))
                for handler in handlers:
                    end = {*sure, *([handler.name] if handler.name else [])}
                    found |= _read([handler.type] if handler.type else []) - sure
                    found |= unsure(handler.body, end)
                    if not _leaves(handler.body):
                        ends = end if _leaves(other or body) else ends & end
                sure |= ends
            case _:
                found |= _read([statement]) - sure
                sure.update(_bound(statement))
    return found


def _leaves(statements: list[ast.stmt]) -> bool:
    """Whether what follows is never reached through them."""
    leaving = (ast.Return, ast.Raise, ast.Break, ast.Continue)
    return bool(statements) and isinstance(statements[-1], leaving)


def _bound(statement: ast.stmt) -> list[str]:
    """The variables that a statement certainly gives a value."""
    match statement:
        case ast.Assign(targets=targets):
            return [name for target in targets for name in _given(target)]
        case ast.AnnAssign(target=target, value=value) if value is not None:
            return _given(target)
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name.split(".")[0] for alias in names]
        case ast.FunctionDef(name=name):
            return [name]
        case _:
            return []


def _given(target: ast.expr | None) -> list[str]:
    """The variables that get a value where `target` does; none of those within an index."""
    match target:
        case ast.Name(id=name):
            return [name]
        case ast.Starred(value=part):
            return _given(part)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [name for part in parts for name in _given(part)]
        case _:
            return []


def _read(statements: Sequence[ast.AST]) -> set[str]:
    """The names that statements read."""
    found = set()
    for node in (n for statement in statements for n in ast.walk(statement)):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
    return found


def stored(statements: Sequence[ast.AST]) -> set[str]:
    """The names that statements give values, in whatever way."""
    found: set[str | None] = set()
    for node in (n for statement in statements for n in ast.walk(statement)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.add(other or name.split(".")[0])
            case ast.FunctionDef(name=name) | ast.MatchAs(name=name) | ast.MatchStar(name=name):
                found.add(name)
            case ast.MatchMapping(rest=name):
                found.add(name)
    return {name for name in found if name is not None}


class Returns(ast.NodeTransformer):
    """`return x` -> `return mark, x`, in a function itself and not in those within."""

    def __init__(self, mark: Any) -> None:
        self._mark = mark

    def visit_Return(self, node: ast.Return) -> ast.Return:
        leave = ast.Return(_tuple(self._mark, [node.value or ast.Constant(None)]))
        return ast.fix_missing_locations(placed(leave, node))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        return node


def _tuple(over: Any, values: list[ast.expr]) -> ast.Tuple:
    return ast.Tuple([ast.Constant(over), *values], ast.Load())
