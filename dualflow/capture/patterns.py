"""`match` statements -> nested `if` statements whose tests are hooks.

Comes in: a `match` statement. Goes out: the subject in a variable of its own, and for each case a
test of its pattern, the stores of the names that it captures, and its guard, in Python's order.
"""

from __future__ import annotations

import ast
from typing import Any

from .expressions import Expressions
from .slots import Refused, at

#: a captured name, the variable that holds the value, and the slot of its origin
Captures = list[tuple[str, str, int]]
Tests = tuple[list[ast.expr], Captures]


class Patterns(Expressions):
    """Patterns with hooks; each method `p_MatchKind` gives its tests and what it captures."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        raise NotImplementedError

    def s_Match(self, node: ast.Match) -> list[ast.stmt]:  # noqa: N802
        outer, self.holding = self.holding, []
        name, slot = self._variable()
        value, _ = self.e(node.subject, slot)
        patterns = [self.pattern(case.pattern, name, slot) for case in node.cases]
        held, self.holding = self.holding, outer
        rest: list[ast.stmt] = [self._let_go(held, node)]
        for case, (tests, captures) in zip(reversed(node.cases), reversed(patterns), strict=True):
            tests += [self._captured(case.pattern, *capture) for capture in captures]
            if case.guard is not None:
                tests.append(self.test(case.guard))
            body = [self._let_go(held, case.pattern), *self.block(case.body)]
            whole = tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)
            test = whole if tests else ast.Constant(True)
            rest = [at(ast.If(at(test, case.pattern), body, rest), case.pattern)]
        return [at(ast.Assign([at(ast.Name(name, ast.Store()), node)], value), node), *rest]

    def pattern(self, node: ast.pattern, name: str, slot: int) -> Tests:
        """The tests of a pattern on what the variable `name` holds."""
        return getattr(self, "p_" + type(node).__name__)(node, name, slot)

    def _variable(self) -> tuple[str, int]:
        name = self.temporary()
        self.holding.append(name)
        return name, self.local(name)

    def _let_go(self, names: list[str], where: ast.AST) -> ast.stmt:
        """What was matched, and its parts, may die where the match is over."""
        targets: list[ast.expr] = [at(ast.Name(name, ast.Store()), where) for name in names]
        return at(ast.Assign(targets, at(ast.Constant(None), where)), where)

    def _load(self, name: str, where: ast.AST) -> ast.expr:
        return at(ast.Name(name, ast.Load()), where)

    def _captured(self, where: ast.AST, name: str, held: str, slot: int) -> ast.expr:
        """A test that always holds and stores a captured name."""
        if self.kind(name) != "local":
            raise Refused(f"a pattern that captures {name}, which is no local", where.lineno)  # type: ignore[attr-defined]
        value = self.hook(where, "move", self.local(name), slot, self._load(held, where))
        store = at(ast.NamedExpr(at(ast.Name(name, ast.Store()), where), value), where)
        return at(ast.List([store], ast.Load()), where)

    def _part(self, node: ast.pattern, hook: str, *arguments: Any) -> Tests:
        """The tests of a part, which `hook` gives, if there is one: it goes to a variable."""
        held, slot = self._variable()
        value = self.hook(node, hook, slot, *arguments)
        store = at(ast.NamedExpr(at(ast.Name(held, ast.Store()), node), value), node)
        tests, captures = self.pattern(node, held, slot)
        return [self.hook(node, "pattern_found", store), *tests], captures

    def p_MatchValue(self, node: ast.MatchValue, name: str, slot: int) -> Tests:  # noqa: N802
        value, sv = self.e(node.value)
        load = self._load(name, node)
        return [self.hook(node, "pattern_value", self.slot(), "Eq", slot, sv, load, value)], []

    def p_MatchSingleton(self, node: Any, name: str, slot: int) -> Tests:  # noqa: N802
        value, sv = self.e(at(ast.Constant(node.value), node))
        load = self._load(name, node)
        return [self.hook(node, "pattern_value", self.slot(), "Is", slot, sv, load, value)], []

    def p_MatchAs(self, node: ast.MatchAs, name: str, slot: int) -> Tests:  # noqa: N802
        tests, captures = self.pattern(node.pattern, name, slot) if node.pattern else ([], [])
        return tests, captures + ([(node.name, name, slot)] if node.name else [])

    def p_MatchOr(self, node: ast.MatchOr, name: str, slot: int) -> Tests:  # noqa: N802
        found: list[ast.expr] = []
        for inner in node.patterns:
            tests, captures = self.pattern(inner, name, slot)
            if captures:
                raise Refused("alternatives that capture names", node.lineno)
            tests = tests or [at(ast.Constant(True), inner)]
            found.append(at(ast.BoolOp(ast.And(), tests), inner) if len(tests) > 1 else tests[0])
        return [at(ast.BoolOp(ast.Or(), found), node)], []

    def p_MatchSequence(self, node: ast.MatchSequence, name: str, slot: int) -> Tests:  # noqa: N802
        parts = node.patterns
        stars = [i for i, part in enumerate(parts) if isinstance(part, ast.MatchStar)]
        least, exact = len(parts) - len(stars), not stars
        load = self._load(name, node)
        tests: list[ast.expr] = [self.hook(node, "pattern_sequence", slot, least, exact, load)]
        captures: Captures = []
        for i, part in enumerate(parts):
            load = self._load(name, part)
            if isinstance(part, ast.MatchStar):
                if part.name:
                    rest = at(ast.MatchAs(None, part.name), part)
                    made = self._part(rest, "pattern_rest", slot, i, len(parts) - i - 1, load)
                else:
                    continue
            else:
                place = i - len(parts) if stars and i > stars[0] else i
                made = self._part(part, "pattern_item", slot, place, load)
            tests += made[0]
            captures += made[1]
        return tests, captures

    def p_MatchMapping(self, node: ast.MatchMapping, name: str, slot: int) -> Tests:  # noqa: N802
        load = self._load(name, node)
        tests: list[ast.expr] = [self.hook(node, "pattern_mapping", slot, len(node.keys), load)]
        captures: Captures = []
        for i, (key, part) in enumerate(zip(node.keys, node.patterns, strict=True)):
            value, sk = self.e(key)
            dotted = not all(isinstance(key, ast.Constant) for key in node.keys[: i + 1])
            before = [self.e(key)[0] for key in node.keys[:i]] if dotted else []
            load = self._load(name, part)
            made = self._part(part, "pattern_key", slot, sk, load, value, *before)
            tests += made[0]
            captures += made[1]
        if node.rest:
            keys = [self.e(key)[0] for key in node.keys]
            rest = at(ast.MatchAs(None, node.rest), node)
            made = self._part(rest, "pattern_others", slot, self._load(name, node), *keys)
            tests += made[0]
            captures += made[1]
        return tests, captures

    def p_MatchClass(self, node: ast.MatchClass, name: str, slot: int) -> Tests:  # noqa: N802
        held, sc = self._variable()
        value, _ = self.e(node.cls, sc)
        cls = at(ast.NamedExpr(at(ast.Name(held, ast.Store()), node), value), node)
        count = len(node.patterns)
        load = self._load(name, node)
        named = [ast.Constant(self.mangled(name)) for name in node.kwd_attrs]
        tests: list[ast.expr] = [
            self.hook(node, "pattern_class", slot, sc, count, load, cls, *named)
        ]
        captures: Captures = []
        parts = [*enumerate(node.patterns), *zip(node.kwd_attrs, node.kwd_patterns, strict=True)]
        for which, part in parts:
            which = which if type(which) is int else self.mangled(which)
            loads = self._load(name, part), self._load(held, part)
            made = self._part(part, "pattern_attr", slot, which, *loads)
            tests += made[0]
            captures += made[1]
        return tests, captures
