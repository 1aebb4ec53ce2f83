"""Graph -> Graph: what is the same and cheaper.

Comes in: a recorded Graph. Goes out: a Graph with equal outputs, bit for bit. `rewriter` holds the
passes that need no rules, `patterns` how rules are written and applied, `rules` the rules;
`rolling` makes loops of repeated stretches (`periods` finds them, `steps` says what a step takes
and gives, `bodies` writes the loop).
"""

from __future__ import annotations

from collections.abc import Callable

from dualflow.base import config
from dualflow.ir.graph import Graph

from . import rules as rules
from .patterns import rewrite
from .rewriter import copy_outputs, merge_equal, remove_dead
from .rolling import roll


def algebra(graph: Graph) -> Graph:
    """Constants folded and rules applied; those that change rounding only if settings allow."""
    return rewrite(graph, fast=config.active().numerics == "fast")


PASSES: tuple[Callable[[Graph], Graph], ...] = (
    remove_dead,
    merge_equal,
    algebra,
    merge_equal,
    remove_dead,
    roll,
)


def simplify(graph: Graph) -> Graph:
    """All passes, in order; what was computed memory stays computed memory."""
    found = graph
    for pass_ in PASSES:
        found = pass_(found)
    return copy_outputs(graph, found)
