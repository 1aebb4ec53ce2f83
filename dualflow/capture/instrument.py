"""A function's syntax -> the same syntax with a hook around everything that moves values.

Comes in: a code object. Goes out: code of the *instrumented copy* (same file, lines, names, cells,
and one more free variable, `_df_`, the recorder's `Frame` of the call). Where a value came from is
kept in *slots* of the frame, numbered here: each expression and each local name has one, so nothing
can unbalance it. Statements are in this file, expressions in `expressions.py`. A construct that is
in neither is refused with its line, and the function runs as the original.
"""

from __future__ import annotations

import ast
import copy
from types import CodeType
from typing import Any, NamedTuple

from .class_statements import class_with_hooks
from .locate import FunctionNode, Module, locate, rebuild
from .patterns import Patterns
from .private_names import mangle
from .slots import FRAME, Refused, Shape, at, check_frames

_UNTOUCHED = (ast.Pass, ast.Break, ast.Continue, ast.Global, ast.Nonlocal)
_OTHER_KINDS = 0x80 | 0x100 | 0x200  # coroutine, iterable coroutine, async generator


class Statements(Patterns):
    """Statements with hooks; each method `s_Kind` gives the statements that replace one."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for statement in statements:
            if isinstance(statement, _UNTOUCHED):
                found.append(statement)
                continue
            method = getattr(self, "s_" + type(statement).__name__, None)
            if method is None:
                raise Refused(f"a {type(statement).__name__} statement", statement.lineno)
            made = method(statement)
            found += made if isinstance(made, list) else [made]
        return found

    # Targets --------------------------------------------------------------------------------

    def target(self, node: ast.expr) -> tuple[ast.expr, Shape, list[ast.stmt]]:
        """A target of which Python stores every part in a variable; the slots of these; and the
        statements that then tell the frame, or store on where the user wanted it."""
        if isinstance(node, ast.Name):
            slot = self.local(node.id)
            after: list[ast.stmt] = []
            kind = self.kind(node.id)
            if kind != "local":
                load = at(ast.Name(node.id, ast.Load()), node)
                hook = self.hook(node, f"store_{kind}", slot, node.id, load)
                after = [at(ast.Expr(hook), node)]
            return node, slot, after
        if isinstance(node, ast.Starred):
            inner, slot, after = self.target(node.value)
            return at(ast.Starred(inner, ast.Store()), node), ("*", slot), after
        if isinstance(node, (ast.Tuple, ast.List)):
            parts = [self.target(part) for part in node.elts]
            made = at(type(node)([part[0] for part in parts], ast.Store()), node)
            return made, tuple(p[1] for p in parts), [s for p in parts for s in p[2]]
        name = self.temporary()
        slot = self.local(name)
        load = at(ast.Name(name, ast.Load()), node)
        return at(ast.Name(name, ast.Store()), node), slot, self.store(node, load, slot, node)

    def store(self, target: ast.expr, value: ast.expr, slot: int, node: ast.AST) -> list[ast.stmt]:
        """Statements that store `value`, of which `slot` knows the origin, in `target`."""
        if isinstance(target, ast.Name):
            kind = self.kind(target.id)
            if kind != "local":
                value = self.hook(node, f"store_{kind}", slot, target.id, value)
            elif slot != self.local(target.id):
                value = self.hook(node, "move", self.local(target.id), slot, value)
            return [at(ast.Assign([target], value), node)]
        if isinstance(target, ast.Attribute):
            owner, so = self.e(target.value)
            name = self.mangled(target.attr)
            hook = self.hook(node, "set_attr", so, slot, value, owner, name)
            return [at(ast.Expr(hook), node)]
        if isinstance(target, ast.Subscript):
            owner, so = self.e(target.value)
            key, sk = self.e(target.slice)
            hook = self.hook(node, "set_item", so, sk, slot, value, owner, key)
            return [at(ast.Expr(hook), node)]
        native, shape, after = self.target(target)
        hook = self.hook(node, "unpack", slot, shape, value)
        return [at(ast.Assign([native], hook), node), *after]

    # Statements -----------------------------------------------------------------------------

    def s_Expr(self, node: ast.Expr) -> ast.stmt:  # noqa: N802
        if isinstance(node.value, ast.Constant):
            return node
        return at(ast.Expr(self.e(node.value)[0]), node)

    def s_Return(self, node: ast.Return) -> ast.stmt:  # noqa: N802
        if node.value is None:
            return node
        value, slot = self.e(node.value)
        return at(ast.Return(self.hook(node, "ret", slot, value)), node)

    def s_Assign(self, node: ast.Assign) -> list[ast.stmt]:  # noqa: N802
        (first, *rest) = node.targets
        to = None
        if not rest and isinstance(first, ast.Name) and self.kind(first.id) == "local":
            to = self.local(first.id)
        if not rest:
            value, slot = self.e(node.value, to)
            return self.store(first, value, slot, node)
        name = self.temporary()
        slot = self.local(name)
        value, _ = self.e(node.value, slot)
        found: list[ast.stmt] = [
            at(ast.Assign([at(ast.Name(name, ast.Store()), node)], value), node)
        ]
        for target in node.targets:
            found += self.store(target, at(ast.Name(name, ast.Load()), node), slot, node)
        return found

    def s_AnnAssign(self, node: ast.AnnAssign) -> list[ast.stmt]:  # noqa: N802
        if node.value is None:
            return []
        return self.s_Assign(at(ast.Assign([node.target], node.value), node))

    def s_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:  # noqa: N802
        target, op = node.target, type(node.op).__name__
        if isinstance(target, ast.Name):
            old, sa = self.e(at(ast.Name(target.id, ast.Load()), target))
            value, sb = self.e(node.value)
            local = self.kind(target.id) == "local"
            slot = self.local(target.id) if local else self.slot()
            made = self.hook(node, "iop", slot, op, sa, sb, old, value)
            return self.store(target, made, slot, node)
        # o.a += b: o is parked, then o.a read, then b, then the store: Python's own order
        owner, so = self.e(target.value)
        parked, sa, slot = self.slot(), self.slot(), self.slot()
        owner = self.hook(node, "park", parked, so, owner)
        if isinstance(target, ast.Attribute):
            name = self.mangled(target.attr)
            old = self.hook(node, "attr", sa, parked, owner, name)
            value, sb = self.e(node.value)
            made = self.hook(node, "iop", slot, op, sa, sb, old, value)
            again = self.hook(node, "parked", parked)
            return [
                at(ast.Expr(self.hook(node, "set_attr", parked, slot, made, again, name)), node)
            ]
        key, sk = self.e(target.slice)
        key_parked = self.slot()
        key = self.hook(node, "park", key_parked, sk, key)
        old = self.hook(node, "item", sa, parked, key_parked, owner, key)
        value, sb = self.e(node.value)
        made = self.hook(node, "iop", slot, op, sa, sb, old, value)
        again = [self.hook(node, "parked", where) for where in (parked, key_parked)]
        hook = self.hook(node, "set_item", parked, key_parked, slot, made, *again)
        return [at(ast.Expr(hook), node)]

    def s_Delete(self, node: ast.Delete) -> list[ast.stmt]:  # noqa: N802
        found: list[ast.stmt] = []
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                owner, so = self.e(target.value)
                key, sk = self.e(target.slice)
                hook = self.hook(node, "del_item", so, sk, owner, key)
                found.append(at(ast.Expr(hook), node))
            elif isinstance(target, ast.Attribute):
                owner, so = self.e(target.value)
                hook = self.hook(node, "del_attr", so, owner, self.mangled(target.attr))
                found.append(at(ast.Expr(hook), node))
            elif isinstance(target, ast.Name) and self.kind(target.id) == "local":
                found.append(at(ast.Delete([target]), node))
            else:
                raise Refused("del of a captured variable", node.lineno)
        return found

    def s_If(self, node: ast.If) -> ast.stmt:  # noqa: N802
        test = self.test(node.test)
        return at(ast.If(test, self.block(node.body), self.block(node.orelse)), node)

    def s_While(self, node: ast.While) -> ast.stmt:  # noqa: N802
        test = self.test(node.test)
        return at(ast.While(test, self.block(node.body), self.block(node.orelse)), node)

    def s_Assert(self, node: ast.Assert) -> ast.stmt:  # noqa: N802
        test = self.test(node.test)
        if node.msg is None:
            return at(ast.Assert(test, None), node)
        message, slot = self.e(node.msg)
        return at(ast.Assert(test, self.hook(node.msg, "told", slot, message)), node)

    def s_For(self, node: ast.For) -> ast.stmt:  # noqa: N802
        iterable, si = self.e(node.iter)
        target, shape, after = self.target(node.target)
        hook = self.hook(node.iter, "iter", si, iterable, shape)
        body = [*after, *self.block(node.body)]
        return at(ast.For(target, hook, body, self.block(node.orelse)), node)

    def s_Try(self, node: ast.Try) -> ast.stmt:  # noqa: N802
        handlers = []
        for handler in node.handlers:
            kind = None
            if handler.type:
                kind, slot = self.e(handler.type)
                kind = self.hook(handler.type, "handles", slot, kind)
            slot = self.local(handler.name) if handler.name else -1
            hook = at(ast.Expr(self.hook(handler, "caught", slot)), handler)
            if handler.name and self.kind(handler.name) != "local":
                raise Refused("an exception caught into a captured variable", handler.lineno)
            body = [hook, *self.block(handler.body)]
            handlers.append(at(ast.ExceptHandler(kind, handler.name, body), handler))
        body = self.block(node.body)
        orelse, final = self.block(node.orelse), self.block(node.finalbody)
        return at(ast.Try(body, handlers, orelse, final), node)

    def s_With(self, node: ast.With) -> ast.stmt:  # noqa: N802
        items, body = [], []
        for item in node.items:
            self.managed = item.context_expr
            manager, slot = self.e(item.context_expr)
            native, shape, after = None, -1, []
            if item.optional_vars is not None:
                native, shape, after = self.target(item.optional_vars)
            hook = self.hook(item.context_expr, "with_", slot, shape, manager)
            items.append(ast.withitem(hook, native))
            body += after
        inner = [*body, *self.block(node.body)]
        # an error is shown to __exit__ as the user's code raised it, without the frames of hooks
        leaving = at(ast.Expr(self.hook(node, "leaving")), node)
        handler = at(ast.ExceptHandler(None, None, [leaving, at(ast.Raise(), node)]), node)
        return at(ast.With(items, [at(ast.Try(inner, [handler], [], []), node)]), node)

    def s_Raise(self, node: ast.Raise) -> ast.stmt:  # noqa: N802
        parts = [self.e(part) if part else None for part in (node.exc, node.cause)]
        made = [part and self.hook(node, "raising", part[1], part[0]) for part in parts]
        return at(ast.Raise(*made), node)

    def s_FunctionDef(self, node: ast.FunctionDef) -> list[ast.stmt]:  # noqa: N802
        made = copy.copy(node)
        name = self.mangled(node.name)
        slot = self.local(name)
        load = at(ast.Name(name, ast.Load()), node)
        decorators = [self.e(decorator) for decorator in node.decorator_list]
        made.args, slots = self.defaults(node.args)
        found: list[ast.stmt] = [made]
        if decorators:  # one that does all of it: the code keeps its first line
            numbers = tuple(number for _, number in decorators)
            first = node.decorator_list[0]
            hook = self.hook(first, "decorate", slot, slots, numbers, *(d for d, _ in decorators))
            made.decorator_list = [hook]
        else:
            found.append(at(ast.Expr(self.hook(node, "func", slot, slots, load)), node))
        kind = self.kind(name)
        if kind != "local":
            found.append(at(ast.Expr(self.hook(node, f"store_{kind}", slot, name, load)), node))
        return found

    def s_ClassDef(self, node: ast.ClassDef) -> list[ast.stmt]:  # noqa: N802
        return class_with_hooks(self, node)

    def s_Import(self, node: ast.Import | ast.ImportFrom) -> list[ast.stmt]:  # noqa: N802
        found: list[ast.stmt] = [node]
        for alias in node.names:
            name = alias.asname or alias.name.split(".")[0]
            if name == "*" or self.kind(name) != "local" or getattr(node, "level", 0):
                raise Refused("such an import inside a function", node.lineno)
            load = at(ast.Name(name, ast.Load()), node)
            if isinstance(node, ast.ImportFrom):
                parts: tuple[Any, ...] = (node.module, alias.name)
            else:
                parts = (alias.name if alias.asname else name, "")
            hook = self.hook(node, "imported", self.local(name), *parts, load)
            found.append(at(ast.Expr(hook), node))
        return found

    s_ImportFrom = s_Import  # noqa: N815


class Copy(NamedTuple):
    """An instrumented copy.

    Attributes:
        code: of the copy.
        slots: the slot of each variable.
        count: how many slots a frame has.
        alone: whether no function within it holds its frame.
    """

    code: CodeType
    slots: dict[str, int]
    count: int  # type: ignore[assignment]
    alone: bool


def instrument(code: CodeType, text: str, ends: bool) -> Copy:
    """The copy of `code`, which the file with that text holds; see `copies.instrumented`."""
    if code.co_flags & _OTHER_KINDS:
        raise Refused("an async function", code.co_firstlineno)
    return instrument_node(code, *locate(code, text), ends=ends)


def instrument_node(
    code: CodeType, node: FunctionNode, cls: str | None, module: Module, ends: bool = False
) -> Copy:
    """The copy of `code`, which was compiled from `node`."""
    closed = any(isinstance(n, (ast.Try, ast.With)) for n in ast.walk(node))
    if code.co_flags & 0x20 and closed and not ends:
        # when it is closed is visible, and hooks would keep it alive
        raise Refused("a generator with try or with", code.co_firstlineno)
    check_frames(node)
    mangle(node, cls)
    maker = Statements(code, cls)
    walruses = (n for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
    maker.rebound = {walrus.target.id for walrus in walruses}
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 4) + bool(code.co_flags & 8)
    for name in code.co_varnames[:count]:
        maker.local(name)
    made: Any = copy.copy(node)
    if isinstance(node, ast.Lambda):
        value, slot = maker.e(node.body)
        value = maker.hook(node.body, "ret", slot, value)
        if code.co_cellvars:
            own = maker.own(node.body, code.co_cellvars)
            both = at(ast.Tuple([own, value], ast.Load()), node.body)
            value = at(ast.Subscript(both, at(ast.Constant(1), node.body), ast.Load()), node.body)
        made.body = value
    else:
        body = maker.block(node.body)  # type: ignore[arg-type]
        if code.co_cellvars:
            own = at(ast.Expr(maker.own(body[0], code.co_cellvars)), body[0])
            body.insert(declarations(body), own)
        made.body = body
    again = rebuild(made, code, cls, module, (FRAME,))
    inner = (part for part in again.co_consts if type(part) is CodeType)
    alone = not any(FRAME in part.co_freevars for part in inner)
    return Copy(again, dict(maker.slots), maker.count, alone)


def declarations(body: list[ast.stmt]) -> int:
    """How many statements come first that do nothing: docstring and declarations."""
    for i, statement in enumerate(body):
        text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not text and not isinstance(statement, (ast.Global, ast.Nonlocal)):
            return i
    return len(body)
