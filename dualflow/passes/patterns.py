"""Rules as pairs of ordinary functions, and the pass that applies them until none fits.

    @rule(lambda x: p.negative(p.negative(x)))
    def double_negation(x):
        return x

Comes in: such pairs. Goes out: `RULES`, and `rewrite`, which also folds constants. A pattern is
traced through the door in a mode of its own: parameters stand for any value, or, used as an
attribute, for any attribute; a number stands for a constant of that value everywhere, of a real
dtype: 1 times a complex number is not always that number.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import copysign
from typing import Any, final

from dualflow.base.records import record
from dualflow.base.source import SourceLine
from dualflow.ir.graph import Graph, Value
from dualflow.ir.op import Op
from dualflow.ops import door
from dualflow.ops import primitives as p

from .rewriter import Rewriter, constant, folded, full_of


@record
class Hole:
    """A parameter of a pattern."""

    name: str


@record
class Application:
    """An application of an op in a pattern."""

    op: Op
    operands: tuple[Any, ...]
    attributes: dict[str, Any]


@record
class Rule:
    """Where `pattern` fits and `when` holds, `replacement` computes the same bits.

    Attributes:
        fast: it may change rounding or overflow, and is used under numerics="fast" only.
    """

    name: str
    pattern: Application
    replacement: Callable[..., Value]
    when: Callable[..., bool] | None
    fast: bool


#: rules by the op at the root of their pattern.
RULES: dict[Op, list[Rule]] = {}


def rule(
    pattern: Callable[..., Any], *, when: Callable[..., bool] | None = None, fast: bool = False
) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Enter a rule: the decorated function gives what stands for `pattern`.

    Args:
        pattern: written with primitives; its parameters are those of the decorated function.
        when: a further condition on the same parameters.
        fast: whether it may change rounding or overflow.
    """
    holes = {name: Hole(name) for name in inspect.signature(pattern).parameters}
    with _through_door(_PatternMode()):
        traced = pattern(**holes)

    def enter(replacement: Callable[..., Value]) -> Callable[..., Value]:
        name = replacement.__name__
        RULES.setdefault(traced.op, []).append(Rule(name, traced, replacement, when, fast))
        return replacement

    return enter


@final
class _PatternMode:
    name = "pattern"

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Application:
        return Application(op, inputs, attributes)


@contextmanager
def _through_door(mode: Any) -> Iterator[None]:
    """The door in `mode`, with no tape: patterns and values of graphs carry no gradients. Rules
    are entered when this room is imported, perhaps before any mode is installed."""
    state, own = door.state, vars(door.state)
    mode_before, grad_before = own.get("mode"), state.grad_enabled
    state.mode, state.grad_enabled = mode, False
    try:
        yield
    finally:
        state.grad_enabled = grad_before
        if mode_before is None:
            del state.mode
        else:
            state.mode = mode_before


def rewrite(graph: Graph, fast: bool = False) -> Graph:
    """Fold constants and apply the rules, at each node until none fits.

    Raises:
        AssertionError: the rules do not settle; the message names the last ones.
    """
    rewriting = _Rewriting(graph, fast)
    with _through_door(rewriting):
        changed = rewriting.run()
    return rewriting.graph_of(graph.outputs) if changed else graph


@final
class _Rewriting(Rewriter):
    """The rewriter, as the door's mode in which replacements are written."""

    name = "rewrite"

    def __init__(self, graph: Graph, fast: bool) -> None:
        super().__init__(graph)
        self.fast = fast
        self.line: SourceLine | None = None
        self.fired: list[str] = []
        self.most = 20 * len(graph.nodes) + 100

    def run(self) -> bool:
        """Rewrite every node; whether anything changed."""
        for node in self.graph.nodes:
            self.line = node.line
            operands = tuple([self.value(value) for value in node.operands])
            if len(node.results) == 1:
                found = self._better(node.op, operands, node.attributes)
                if found is not None:
                    self.replace(node.result, found)
                    continue
            self.keep(node)
        return bool(self.fired)

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Value:
        """Called through the door by replacements."""
        found = self._better(op, inputs, attributes)
        return self.add(op, inputs, attributes, self.line).result if found is None else found

    def _better(self, op: Op, operands: tuple[Value, ...], attributes: Any) -> Value | None:
        """What a rule or folding gives for the node; None where nothing fits."""
        number = folded(op, operands, attributes)
        if number is not None:
            (type_,) = op.infer(tuple([value.type for value in operands]), attributes)
            self._note("fold constants")
            return self.add(p.full.op, (), full_of(number, type_), self.line).result
        for candidate in RULES.get(op, ()):
            if candidate.fast and not self.fast:
                continue
            bound: dict[str, Any] = {}
            if not _fits(candidate.pattern, op, operands, attributes, bound):
                continue
            if candidate.when is None or candidate.when(**bound):
                self._note(candidate.name)
                return candidate.replacement(**bound)
        return None

    def _note(self, name: str) -> None:
        self.fired.append(name)
        last = ", ".join(dict.fromkeys(self.fired[-6:]))
        assert len(self.fired) < self.most, f"rules do not settle; the last were: {last}"


def _fits(
    pattern: Application, op: Op, operands: tuple[Value, ...], attributes: Any,
    bound: dict[str, Any],
) -> bool:  # fmt: skip
    if pattern.op is not op or len(pattern.operands) != len(operands):
        return False
    for name, wanted in pattern.attributes.items():
        found = attributes[name]
        if isinstance(wanted, Hole):
            if bound.setdefault(wanted.name, found) != found:
                return False
        elif wanted != found:
            return False
    return all(map(lambda w, v: _fits_value(w, v, bound), pattern.operands, operands))


def _fits_value(wanted: Any, value: Value, bound: dict[str, Any]) -> bool:
    if isinstance(wanted, Hole):
        return bound.setdefault(wanted.name, value) is value
    if isinstance(wanted, Application):
        node = value.node
        return node is not None and _fits(wanted, node.op, node.operands, node.attributes, bound)
    number = constant(value)
    if number is None or isinstance(number, complex) or number != wanted:
        return False
    if number != 0:
        return True
    signs = (number.real, number.imag) if isinstance(number, complex) else (number,)
    return all(copysign(1, part) == copysign(1, wanted) for part in signs)
