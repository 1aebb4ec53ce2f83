"""Graph -> Graph: what is the same and cheaper.

Comes in: a recorded Graph. Goes out: a Graph with equal outputs, bit for bit. `rewriter` holds the
passes that need no rules, `patterns` how rules are written and applied, `rules` the rules;
`rolling` makes loops of repeated stretches (`placements` takes sums of parts apart before,
`periods` finds them, `steps` says what a step takes and gives, `bodies` writes the loop).
"""

from __future__ import annotations

from collections.abc import Callable

from dualflow.base import config
from dualflow.ir.graph import Graph
from dualflow.ir.op import Kind

from . import rules as rules
from .patterns import rewrite
from .rewriter import Rewriter, copy_outputs, merge_equal, remove_dead
from .rolling import roll as roll
from .rolling import shorten as shorten
from .tables import tabulate as tabulate


def algebra(graph: Graph) -> Graph:
    """Constants folded and rules applied; those that change rounding only if settings allow."""
    return rewrite(graph, fast=config.active().numerics == "fast")


def bodies(graph: Graph) -> Graph:
    """All passes on the graphs that loops and branches run."""
    rewriter = Rewriter(graph)
    for node in graph.nodes:
        if node.op.kind not in (Kind.LOOP, Kind.BRANCH):
            rewriter.keep(node)
            continue
        attributes = {
            name: _in_order(value) if isinstance(value, Graph) else value
            for name, value in node.attributes.items()
        }
        rewriter.keep(node, attributes)
    return rewriter.graph_of(graph.outputs)


PASSES: tuple[Callable[[Graph], Graph], ...] = (
    roll,
    bodies,
    remove_dead,
    merge_equal,
    algebra,
    merge_equal,
    remove_dead,
)


def simplify(graph: Graph) -> Graph:
    """All passes, in order; what was computed memory stays computed memory."""
    return copy_outputs(graph, _in_order(graph))


def _in_order(graph: Graph) -> Graph:
    for pass_ in PASSES:
        graph = pass_(graph)
    return graph
