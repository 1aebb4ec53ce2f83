"""Expressions with hooks: for each kind of syntax, what replaces it, and the slot of its origin.

Comes in: an expression node. Goes out: the node that does the same through the hooks of
`frame.Frame`, and the number of the slot that holds where its value came from.
"""

from __future__ import annotations

import ast
import copy
from typing import Any

from .slots import CONSTANT, FRAME_READERS, Refused, Shape, Slots, at, where_named


class Expressions(Slots):
    """Hooks for the expressions of one function; each method `x_Kind` handles a kind of syntax."""

    def e(self, node: ast.expr, to: int | None = None) -> tuple[ast.expr, int]:
        """One expression with hooks, and the slot of its origin: `to` if that is given."""
        method = getattr(self, "x_" + type(node).__name__, None)
        if method is None:
            raise Refused(f"a {type(node).__name__} expression", node.lineno)
        made, slot = method(node, to)
        if to is not None and slot != to:
            made, slot = self.hook(node, "move", to, slot, made), to
        return made, slot

    def test(self, node: ast.expr) -> ast.expr:
        value, slot = self.e(node)
        return self.hook(node, "truth", slot, value)

    # Names, constants -----------------------------------------------------------------------

    def x_Constant(self, node: ast.Constant, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        return node, CONSTANT

    def x_Name(self, node: ast.Name, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        if node.id in FRAME_READERS and self.kind(node.id) == "glob":
            raise Refused(f"{node.id} looks at the frame", node.lineno)
        kind = self.kind(node.id)
        if kind == "local" and node.id not in self.rebound:
            return node, self.local(node.id)
        slot = self.into(to)
        if kind == "local":  # in `x + (x := 2)` the old value is used after the slot has changed
            return self.hook(node, "move", slot, self.local(node.id), node), slot
        return self.hook(node, kind, slot, node.id, node), slot

    def x_NamedExpr(self, node: ast.NamedExpr, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        name = node.target.id
        scopes, self.scopes = self.scopes, []  # it binds outside comprehensions
        slot, kind = self.local(name), self.kind(name)
        self.scopes = scopes
        value, _ = self.e(node.value, slot)
        if kind != "local":
            value = self.hook(node, f"store_{kind}", slot, name, value)
        return at(ast.NamedExpr(node.target, value), node), slot

    # Operators ------------------------------------------------------------------------------

    def x_BinOp(self, node: ast.BinOp, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        a, sa = self.e(node.left)
        b, sb = self.e(node.right)
        slot = self.into(to)
        return self.hook(node, "binop", slot, type(node.op).__name__, sa, sb, a, b), slot

    def x_UnaryOp(self, node: ast.UnaryOp, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        a, sa = self.e(node.operand)
        if type(node.op) is ast.USub and type(getattr(a, "value", None)) in (int, float):
            return node, CONSTANT
        slot = self.into(to)
        return self.hook(node, "unop", slot, type(node.op).__name__, sa, a), slot

    def x_Compare(self, node: ast.Compare, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        slot = self.into(to)
        parts: list[ast.expr] = []
        left, sa = self.e(node.left)
        for i, (op, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
            b, sb = self.e(right)
            last = i == len(node.ops) - 1
            if not last:  # a < b < c: b is read twice
                parked = self.slot()
                b, sb = self.hook(node, "park", parked, sb, b), parked
            made: ast.expr = self.hook(node, "compare", slot, type(op).__name__, sa, sb, left, b)
            if last:
                parts.append(made)
            else:
                parts.append(self.hook(node, "truth_keep", slot, made, False))
                left, sa = self.hook(node, "parked", sb), sb
        if len(parts) == 1:
            return parts[0], slot
        return at(ast.BoolOp(ast.And(), parts), node), slot

    def x_BoolOp(self, node: ast.BoolOp, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        slot = self.slot()  # not `to`: `x = x or y` reads the variable's own slot
        parts = []
        stops = isinstance(node.op, ast.Or)
        for i, value in enumerate(node.values):
            part, _ = self.e(value, slot)
            if i < len(node.values) - 1:
                part = self.hook(value, "truth_keep", slot, part, stops)
            parts.append(part)
        return at(ast.BoolOp(node.op, parts), node), slot

    def x_IfExp(self, node: ast.IfExp, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        test, slot = self.test(node.test), self.slot()
        body, _ = self.e(node.body, slot)
        orelse, _ = self.e(node.orelse, slot)
        return at(ast.IfExp(test, body, orelse), node), slot

    # Parts of objects -----------------------------------------------------------------------

    def x_Attribute(self, node: ast.Attribute, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        of = node.value.id if isinstance(node.value, ast.Name) else ""
        if node.attr in FRAME_READERS and (node.attr != "eval" or of == "builtins"):
            raise Refused(f"{node.attr} looks at the frame", node.lineno)
        value, so = self.e(node.value)
        slot, where = self.into(to), where_named(node, node)
        return self.hook(where, "attr", slot, so, value, self.mangled(node.attr)), slot

    def x_Subscript(self, node: ast.Subscript, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        value, so = self.e(node.value)
        key, sk = self.e(node.slice)
        slot = self.into(to)
        return self.hook(node, "item", slot, so, sk, value, key), slot

    def x_Slice(self, node: ast.Slice, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        none = (at(ast.Constant(None), node), CONSTANT)
        parts = [self.e(p) if p else none for p in (node.lower, node.upper, node.step)]
        slot = self.into(to)
        slots = tuple(part[1] for part in parts)
        return self.hook(node, "slice", slot, slots, *(part[0] for part in parts)), slot

    # Displays -------------------------------------------------------------------------------

    def _display(self, node: Any, to: int | None) -> tuple[ast.expr, int]:
        parts = [self.e(part) for part in node.elts]
        slot = self.into(to)
        made = copy.copy(node)
        made.elts = [part[0] for part in parts]
        slots = tuple(
            ("*", part[1]) if isinstance(x, ast.Starred) else part[1]
            for x, part in zip(node.elts, parts, strict=True)
        )
        return self.hook(node, "build", slot, slots, made), slot

    x_Tuple = x_List = _display  # noqa: N815

    def x_Set(self, node: ast.Set, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        """A set: what is put into it is a key."""
        made = copy.copy(node)
        made.elts = []
        for element in node.elts:
            value, slot = self.e(element)
            if not isinstance(element, ast.Starred):
                value = self.hook(element, "set_part", slot, value)
            made.elts.append(value)
        slot = self.into(to)
        starred = any(isinstance(element, ast.Starred) for element in node.elts)
        return self.hook(node, "build_set", slot, starred, made), slot

    def x_Starred(self, node: ast.Starred, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        value, source = self.e(node.value)
        slot = self.slot()
        taken = self.hook(node, "star", slot, source, value)
        return at(ast.Starred(taken, ast.Load()), node), slot

    def x_Dict(self, node: ast.Dict, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        if None in node.keys:
            return self._merging(node, to)
        keys, values = [], []
        for key, value in zip(node.keys, node.values, strict=True):  # Python's order
            keys.append(self.e(key))  # type: ignore[arg-type]
            values.append(self.e(value))
        slot = self.into(to)
        made = at(ast.Dict([k[0] for k in keys], [v[0] for v in values]), node)
        slots = tuple(k[1] for k in keys), tuple(v[1] for v in values)
        return self.hook(node, "build_dict", slot, *slots, made), slot

    def _merging(self, node: ast.Dict, to: int | None) -> tuple[ast.expr, int]:
        """A display with `**`: every part goes through a hook of its own, in Python's order."""
        parts = self.slot()
        keys: list[ast.expr | None] = []
        values = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                made, slot = self.e(value)
                keys.append(None)
                values.append(self.hook(value, "all_of", parts, slot, made))
            else:
                name, sk = self.e(key)
                made, slot = self.e(value)
                keys.append(self.hook(key, "key_of", parts, sk, name))
                values.append(self.hook(value, "value_of", parts, slot, made))
        slot = self.into(to)
        begin = self.hook(node, "begin", parts)
        both = at(ast.Tuple([begin, at(ast.Dict(keys, values), node)], ast.Load()), node)
        display = at(ast.Subscript(both, at(ast.Constant(1), node), ast.Load()), node)
        return self.hook(node, "merged", slot, parts, display), slot

    def x_JoinedStr(self, node: ast.JoinedStr, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        parts = [self.e(value) for value in node.values]
        slot = self.into(to)
        slots = tuple(part[1] for part in parts)
        return self.hook(node, "joined", slot, slots, *(part[0] for part in parts)), slot

    def x_FormattedValue(  # noqa: N802
        self, node: ast.FormattedValue, to: int | None
    ) -> tuple[ast.expr, int]:
        value, sv = self.e(node.value)
        spec, ss = at(ast.Constant(""), node), CONSTANT
        if node.format_spec is not None:
            spec, ss = self.e(node.format_spec)  # type: ignore[assignment]
        slot = self.into(to)
        return self.hook(node, "formatted", slot, sv, ss, node.conversion, value, spec), slot

    # Functions and calls --------------------------------------------------------------------

    def defaults(self, node: ast.arguments) -> tuple[ast.arguments, tuple[Any, ...]]:
        """The arguments of an inner function, its defaults with hooks, and their slots."""
        made = copy.copy(node)
        plain = [self.e(default) for default in node.defaults]
        named = [self.e(default) if default else None for default in node.kw_defaults]
        made.defaults = [default[0] for default in plain]
        made.kw_defaults = [default and default[0] for default in named]
        by_name = tuple(
            (self.mangled(arg.arg), default[1])
            for arg, default in zip(node.kwonlyargs, named, strict=True)
            if default
        )
        return made, (tuple(default[1] for default in plain), by_name)

    def x_Lambda(self, node: ast.Lambda, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        made = copy.copy(node)  # its body stays: an original function is made
        made.args, slots = self.defaults(node.args)
        slot = self.into(to)
        return self.hook(node, "func", slot, slots, made), slot

    def x_Call(self, node: ast.Call, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        if self.asks_locals(node):
            return self.locals_of(node)
        function, sf = self.named(node) or self.e(node.func)
        arguments, slots, keywords = [], [], []
        for argument in node.args:
            value, slot = self.e(argument)
            arguments.append(value)
            slots.append(("*" if isinstance(argument, ast.Starred) else "", slot))
        for keyword in node.keywords:
            value, slot = self.e(keyword.value)
            keywords.append(at(ast.keyword(keyword.arg, value), keyword))
            slots.append((keyword.arg or "**", slot))
        slot = self.slot()
        name = "pre_with" if node is self.managed else "pre"
        plain = all(kind == "" for kind, _ in slots)
        head = (slot, sf, tuple(slot for _, slot in slots) if plain else tuple(slots), function)
        where = node
        if {"*", "**"}.intersection(kind for kind, _ in slots):
            before = at(ast.Call(self.hook(node, "starred", name, *head), arguments, []), node)
        else:
            where = where_named(node, node.func)
            before = self.hook(where, name, *head, *arguments)
        before.keywords = keywords
        # the call itself stays in the user's frame: super(), stacklevel, lines, recursion depth
        star = at(ast.Starred(self.held(where, "args"), ast.Load()), where)
        stars = at(ast.keyword(None, self.held(where, "kwargs")), where)
        call = at(ast.Call(before, [star], [stars]), where)
        return self.hook(where, "post", slot, call), slot

    def named(self, node: ast.Call) -> tuple[ast.expr, int] | None:
        """The function of `vars(x)` and `dir(x)`, which look at no frame."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        one = len(node.args) == 1 and not isinstance(node.args[0], ast.Starred)
        if name not in ("vars", "dir") or not one or self.kind(name) != "glob":
            return None
        slot = self.slot()
        return self.hook(node.func, "glob", slot, name, node.func), slot

    def asks_locals(self, node: ast.Call) -> bool:
        """Whether a call is `locals()`, of the function itself."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        plain = name == "locals" and not node.args and not node.keywords
        return plain and self.kind(name) == "glob" and not self.scopes

    def locals_of(self, node: ast.Call) -> tuple[ast.expr, int]:
        """`locals()`, of which a hook leaves out what hooks need."""
        function, slot = self.slot(), self.slot()
        called = self.hook(node.func, "glob", function, "locals", node.func)
        made = at(ast.Call(called, [], []), node)
        names = tuple((name, self.kind(name), self.slots.get(name)) for name in self.own_names)
        return self.hook(node, "locals_of", slot, names, made), slot

    def x_Yield(self, node: ast.Yield, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        value, sv = (node.value and self.e(node.value)) or (at(ast.Constant(None), node), CONSTANT)
        slot = self.into(to)
        inner = at(ast.Yield(self.hook(node, "yielded", sv, value)), node)
        return self.hook(node, "sent", slot, inner), slot

    def x_YieldFrom(self, node: ast.YieldFrom, to: int | None) -> tuple[ast.expr, int]:  # noqa: N802
        value, si = self.e(node.value)
        slot = self.into(to)
        inner = at(ast.YieldFrom(self.hook(node, "delegating", si, value)), node)
        return self.hook(node, "delegated", slot, inner), slot

    # Comprehensions -------------------------------------------------------------------------

    def _comprehension(self, node: Any, to: int | None) -> tuple[ast.expr, int]:
        scope: dict[str, int] = {}
        generators = []
        outside = self.scopes
        for i, generator in enumerate(node.generators):
            if generator.is_async:
                raise Refused("an async comprehension", node.lineno)
            self.scopes = outside if i == 0 else [*outside, scope]
            iterable, si = self.e(generator.iter)
            iterable = self.capturing(iterable, node, scope)
            self.scopes = [*outside, scope]
            shape = self._comprehension_target(generator.target, scope)
            hook = self.hook(generator.iter, "iter", si, iterable, shape)
            tests = [self.capturing(self.test(part), node, scope) for part in generator.ifs]
            generators.append(ast.comprehension(generator.target, hook, tests, 0))
        slot = self.slot()
        if isinstance(node, ast.DictComp):
            key, sk = self.e(node.key)
            key = self.capturing(key, node, scope)
            value, sv = self.e(node.value)
            key = self.hook(node, "keep_key", slot, sk, key)
            made: Any = ast.DictComp(key, self.hook(node, "keep", slot, sv, value), generators)
        else:
            value, sv = self.e(node.elt)
            if isinstance(node, ast.SetComp):
                value = self.hook(node, "set_part", sv, value)
            else:
                value = self.hook(node, "keep", slot, sv, value)
            made = type(node)(self.capturing(value, node, scope), generators)
        self.scopes = outside
        kind = type(node).__name__
        begin = self.hook(node, "begin", slot)
        both = at(ast.Tuple([begin, at(made, node)], ast.Load()), node)
        made = at(ast.Subscript(both, at(ast.Constant(1), node), ast.Load()), node)
        return self.hook(node, "comprehended", slot, kind, made), slot

    x_ListComp = x_SetComp = x_DictComp = x_GeneratorExp = _comprehension  # noqa: N815

    def _comprehension_target(self, node: ast.expr, scope: dict[str, int]) -> Shape:
        if isinstance(node, ast.Name):
            scope[node.id] = self.slot()
            return scope[node.id]
        if isinstance(node, (ast.Tuple, ast.List)):
            return tuple(self._comprehension_target(part, scope) for part in node.elts)
        if isinstance(node, ast.Starred):
            return ("*", self._comprehension_target(node.value, scope))
        raise Refused("such a target of a comprehension", node.lineno)
