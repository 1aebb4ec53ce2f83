"""Graph -> Graph: what is the same and cheaper.

Comes in: a recorded Graph. Goes out: a Graph with equal outputs, bit for bit.
"""

from __future__ import annotations

from dualflow.ir.graph import Graph


def simplify(graph: Graph) -> Graph:
    """The graph without nodes that no output needs."""
    needed = set(graph.outputs)
    nodes = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.results):
            nodes.append(node)
            needed.update(node.operands)
    return Graph(graph.inputs, tuple(reversed(nodes)), graph.outputs)
