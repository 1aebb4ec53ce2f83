"""Scalar code by cases: what is chosen by a condition that is known before a loop is chosen there.

    for i: v = select(c, f(i), select(d, g(i), h(i)))
    if c: for i: f(i)    elif d: for i: g(i)    else: for i: h(i)

Comes in: a stage. Goes out: a tree of `Case` and `Plain`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from dualflow.base.records import replaced

from .kernel import Let, Stage
from .op import CATALOGUE


class Plain(NamedTuple):
    """Code without a choice."""

    stage: Stage


class Case(NamedTuple):
    """One code where the condition is true, another one where it is not."""

    condition: str
    true: Tree
    false: Tree


Tree = Plain | Case


def by_cases(stage: Stage, known: Collection[str], most: int) -> Tree | None:
    """The stage by cases of conditions that are `known`; None if there are more than `most`."""
    choice = next((let for let in reversed(stage.lets) if is_choice(let, known)), None)
    if choice is None:
        return Plain(stage)
    condition, one, other = choice.arguments
    true = by_cases(_with(stage, choice.name, one), known, most - 1)
    if true is None or most < 2:
        return None
    false = by_cases(_with(stage, choice.name, other), known, most - len(plain(true)))
    return None if false is None else Case(condition, true, false)


def is_choice(let: Let, known: Collection[str]) -> bool:
    """Whether the let is one of two values, by a condition that is known."""
    op = CATALOGUE.get(let.op)
    return op is not None and op.chooses and let.arguments[0] in known


def plain(tree: Tree) -> list[Stage]:
    """The codes without choices."""
    return [tree.stage] if isinstance(tree, Plain) else [*plain(tree.true), *plain(tree.false)]


def conditions(tree: Tree) -> list[str]:
    """What is asked."""
    if isinstance(tree, Plain):
        return []
    return [tree.condition, *conditions(tree.true), *conditions(tree.false)]


def _with(stage: Stage, name: str, value: str) -> Stage:
    """The stage with one value in place of another, and nothing that is not used."""
    lets = [
        replaced(let, arguments=tuple(value if a == name else a for a in let.arguments))
        for let in stage.lets
    ]
    sinks = tuple(
        replaced(sink, value=value) if sink.value == name else sink for sink in stage.sinks
    )
    return Stage(stage.over, tuple(needed(lets, [sink.value for sink in sinks])), sinks)


def needed(lets: Sequence[Let], values: Sequence[str]) -> list[Let]:
    """Those of the lets that the values are made of, in order."""
    wanted, found = set(values), []
    for let in reversed(lets):
        if let.name in wanted:
            wanted.update(let.arguments)
            found.append(let)
    return found[::-1]
