"""Run a Graph op by op with NumPy: the meaning of graphs, against which all else is tested.

Comes in: a graph and an array for each input. Goes out: an array for each output.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .graph import Graph, Value


def interpret(graph: Graph, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The outputs of `graph` for `arrays`, one for each input, of exactly its type."""
    known: dict[Value, np.ndarray] = dict(zip(graph.inputs, arrays, strict=True))
    for node in graph.nodes:
        made = node.op.compute(*(known[value] for value in node.operands), **node.attributes)
        results = made if isinstance(made, tuple) else (made,)
        for value, array in zip(node.results, results, strict=True):
            known[value] = np.asarray(array, dtype=value.type.dtype)
    return tuple(known[value] for value in graph.outputs)
