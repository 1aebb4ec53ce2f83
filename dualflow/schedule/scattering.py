"""Scatters whose result does not depend on the order in which a GPU comes to them.

    scatter_add(x, i, v)   ->   at = take(iota(n), i)                checked, counted from the start
                                order = argsort(at)
                                scatter_add(x, gather(at, order), gather(v, order), known="sorted")
    of whole numbers       ->   scatter_add(x, at, v, known="inside")

Sorted, the values for one place lie side by side, in their order: each place folds its own, always
alike. Whole numbers wrap alike in any order, so they are added as they come. What is computed of
indices and values is part of the kernels that check and move them. Comes in: a graph; goes out: one
of the same meaning; floats may be rounded otherwise, no worse.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

from dualflow.base import config
from dualflow.base.dtypes import int32, int64
from dualflow.ir.backend import Backend
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.types import View
from dualflow.ops import primitives as p

#: dtypes of numbers that wrap alike in any order, and of those that atomic instructions add
WRAPPING, ADDED = ("int32", "uint32", "int64", "uint64"), ("float32", "float64")


class _Places(NamedTuple):
    """Where a scatter writes: what says it, along which axis, of how many places, and whether it
    has to be sorted."""

    base: Value
    axis: int
    size: int
    ordered: bool


class _Known(NamedTuple):
    """Checked places, and the order that sorts them."""

    places: Value
    order: Value | None


def order_scatters(graph: Graph, backend: Backend) -> Graph:
    """See the module."""
    if not backend.unordered or not any(node.op.scatter is not None for node in graph.nodes):
        return graph
    return _Ordering(graph).graph()


class _Ordering:
    def __init__(self, graph: Graph) -> None:
        self.old = graph
        self.nodes: list[Node] = []
        self.instead: dict[Value, Value] = {}
        self.known: dict[_Places, _Known] = {}
        self.wanted: dict[Value, dict[_Places, Node]] = defaultdict(dict)
        self.scatters: dict[Node, _Places] = {}
        for node in graph.nodes:
            places = _places(node)
            if places is not None:
                self.scatters[node] = places
                self.wanted[places.base].setdefault(places, node)

    def graph(self) -> Graph:
        """Indices are checked and sorted as soon as they are there: a check is waited for."""
        if not self.scatters:
            return self.old
        for value in self.old.inputs:
            self._prepare(value)
        for node in self.old.nodes:
            operands = tuple(self.instead.get(value, value) for value in node.operands)
            kept = node
            if node in self.scatters:
                self.instead[node.result] = self._scattered(node, operands, self.scatters[node])
            elif operands != node.operands:
                types = tuple(value.type for value in node.results)
                kept = Node(node.op, operands, node.attributes, types, node.line)
                self.instead.update(zip(node.results, kept.results, strict=True))
            if node not in self.scatters:
                self.nodes.append(kept)
            for value in node.results:
                self._prepare(value)
        outputs = tuple(self.instead.get(value, value) for value in self.old.outputs)
        return Graph(self.old.inputs, tuple(self.nodes), outputs)

    def _prepare(self, value: Value) -> None:
        """The places that come from a value, if a scatter is to write there."""
        for wanted, like in self.wanted.get(value, {}).items():
            base = self.instead.get(value, value)
            counted = self._add(like, p.iota, shape=(wanted.size,), axis=0, dtype=int64)
            places = self._add(like, p.take, counted, base, axis=0)
            if wanted.size < 2**31:  # half the bytes to sort and to look at
                places = self._add(like, p.cast, places, dtype=int32)
            order, axis = None, wanted.axis
            if wanted.ordered:
                order = self._add(like, p.argsort, places, axis=axis)
                places = self._add(like, p.gather, places, order, axis=axis, known="inside")
            self.known[wanted] = _Known(places, order)

    def _scattered(self, node: Node, operands: tuple[Value, ...], wanted: _Places) -> Value:
        x, _, values = operands
        places, order = self.known[wanted]
        axis, how = wanted.axis, "inside" if order is None else "sorted"
        if order is not None and places.shape == values.shape:
            values = self._add(node, p.gather, values, order, axis=axis, known="inside")
        elif order is not None:
            flat = self._add(node, p.reshape, order, shape=(order.shape[axis],))
            values = self._add(node, p.take, values, flat, axis=axis, known="inside")
        if places.shape != values.shape:
            places = self._add(node, p.expand, places, shape=values.shape)
        return self._add(node, node.op, x, places, values, axis=axis, known=how)

    def _add(self, like: Node, op: Any, *operands: Value, **attributes: Any) -> Value:
        """The result of a further node, at the user's line of `like`."""
        op = getattr(op, "op", op)
        types = op.infer(tuple(value.type for value in operands), attributes)
        self.nodes.append(Node(op, operands, attributes, types, like.line))
        return self.nodes[-1].result


def _places(node: Node) -> _Places | None:
    """Where a node scatters; None for one that fusion computes, and for others."""
    if node.op.scatter is None or node.attributes.get("known"):
        return None
    x, indices, values = node.operands
    axis = node.attributes["axis"]
    assert isinstance(axis, int)
    one = indices.shape[axis] == 1
    if one or indices.dtype.name == "uint64" or not x.type.size or not values.type.size:
        return None
    base = _lone(indices, axis)
    ordered = not (node.op.scatter and _in_any_order(x.dtype))
    return _Places(base, axis, x.shape[axis], ordered)


def _in_any_order(dtype: np.dtype) -> bool:
    fast = config.active().numerics == "fast"
    return dtype.name in WRAPPING or (fast and dtype.name in ADDED)


def _lone(indices: Value, axis: int) -> Value:
    """The indices of one line, where all lines have the same."""
    node = indices.node
    if node is None or node.op.view is None or len(node.operands) != 1:
        return indices
    (given,) = node.operands
    lone = tuple(n if k == axis else 1 for k, n in enumerate(indices.shape))
    if given.shape != lone or given.shape == indices.shape:
        return indices
    view = node.op.view(View.contiguous(given.shape), **node.attributes)
    moves = [step for k, step in enumerate(view.strides) if k != axis and indices.shape[k] != 1]
    return given if not any(moves) and view.strides[axis] == 1 else indices
