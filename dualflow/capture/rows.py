"""Inputs of a program that differ from step to step of a loop, as rows of one.

Comes in: the graph of a block, and what its inputs are. Goes out: a graph with loops, and the
inputs that take their place: states of random draws, numbers that Python computes, tables of
numbers that it wrote down (see `passes/tables.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dualflow.ir.graph import Graph
from dualflow.ir.types import View
from dualflow.passes import shorten as shorten
from dualflow.passes import tabulate

#: what an input is, as the recorder has it; None for a value of an earlier block
Kind = tuple[Any, ...] | None


class Rows(NamedTuple):
    """A graph that takes rows of tables.

    Attributes:
        kept: which of the inputs given it still takes, first.
        sources: what the others are (see `wording.source`), and how they lie.
    """

    graph: Graph
    kept: list[int]
    sources: list[tuple[Any, ...]]
    layouts: list[View]


def rows(graph: Graph, kinds: Sequence[Kind]) -> Rows | None:
    """See the module; None where no loop is found so."""
    families: dict[Any, list[int]] = {}
    for i, kind in enumerate(kinds):
        if kind is not None and kind[0] in ("draw", "scalar"):
            families.setdefault((kind[0], kind[1] if kind[0] == "draw" else kind[2]), []).append(i)
    ordered = {
        name: sorted(family, key=lambda i: _order(kinds[i], i)) for name, family in families.items()
    }
    found = tabulate(graph, list(ordered.values()))
    if found is None:
        return None
    sources: list[tuple[Any, ...]] = [("table", table) for table in found.numbers]
    taken = set(range(len(kinds))).difference(found.kept)
    for (kind, of), family in ordered.items():
        if family[0] not in taken:
            continue
        if kind == "draw":
            befores = np.array([kinds[i][2] for i in family], np.uint64)  # type: ignore[index]
            sources.append(("states", of, befores))
        else:
            sources.append(("numbers", [kinds[i][1] for i in family], of))  # type: ignore[index]
    added = found.graph.inputs[len(found.kept) :]
    layouts = [View.contiguous(value.shape) for value in added]
    return Rows(found.graph, found.kept, sources, layouts)


def _order(kind: Kind, i: int) -> int:
    """Draws as they came; numbers as they were met."""
    assert kind is not None
    return kind[2] if kind[0] == "draw" else i
