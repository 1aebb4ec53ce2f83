"""Nodes of a graph under construction, whose types are inferred once for each question.

Comes in: an op with operands that may still have to be cast and expanded. Goes out: its node, those
that fit its operands before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, final

import numpy as np

from dualflow.base.dtypes import Number, python_type
from dualflow.base.shapes import Shape
from dualflow.base.source import SourceLine
from dualflow.ir.graph import Graph, GraphBuilder, Node, Value, attribute_key
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType
from dualflow.ops import primitives as p

_CAST, _EXPAND, _FULL = p.cast.op, p.expand.op, p.full.op


@final
class NodeBuilder(GraphBuilder):
    """Builds a graph from operands that may still have to be cast and expanded."""

    def infer(
        self, op: Op, types: tuple[TensorType, ...], attributes: dict[str, Any]
    ) -> tuple[TensorType, ...]:
        """The types of the results of `op`, from a cache."""
        return infer(op, types, attributes)

    def made(
        self,
        op: Op,
        operands: Sequence[Value],
        attributes: Mapping[str, Any],
        types: tuple[TensorType, ...],
        line: SourceLine | None,
    ) -> tuple[Value, ...]:
        """The results of `op`, whose types are known; nobody changes `attributes` later."""
        node = Node(op, tuple(operands), attributes, types, line)
        self.nodes.append(node)
        return node.results

    def fit(
        self, value: Value, dtype: np.dtype, shape: Shape, line: SourceLine | None = None
    ) -> Value:
        """`value` cast to `dtype` and expanded to `shape`, where it is not so already."""
        type_ = value.type
        if type_.dtype is not dtype and type_.dtype != dtype:
            types = (tensor_type(type_.shape, dtype),)
            (value,) = self.made(_CAST, (value,), {"dtype": dtype}, types, line)
        if type_.shape != shape:
            types = (tensor_type(shape, dtype),)
            (value,) = self.made(_EXPAND, (value,), {"shape": shape}, types, line)
        return value

    def constant(self, value: Number, type_: TensorType, line: SourceLine | None = None) -> Value:
        """A Python scalar as it is beside a tensor of that type."""
        shape, dtype = type_
        attributes = {"shape": shape, "value": scalar_of(value, dtype), "dtype": dtype}
        node = Node(_FULL, (), attributes, (type_,), line)
        self.nodes.append(node)
        return node.results[0]


@lru_cache(maxsize=20_000)
def tensor_type(shape: Shape, dtype: np.dtype) -> TensorType:
    """One type for each shape and dtype."""
    return TensorType(shape, dtype)


def scalar_of(value: Number, dtype: np.dtype) -> Number:
    """The Python scalar of the kind of `dtype` that `value` becomes beside a tensor of it."""
    return _python_type(dtype)(value)


_python_type = lru_cache(maxsize=None)(python_type)


def attributes_key(attributes: dict[str, Any]) -> tuple[Any, ...]:
    """A key in which 1, True, 1.0 and -0.0 differ, as they do for the rules of creation ops."""
    return tuple((name, attribute_key(value)) for name, value in attributes.items())


@final
class _Attributes:
    """Attributes as a hashable argument of a cached function."""

    __slots__ = ("key", "values")

    def __init__(self, values: dict[str, Any]) -> None:
        self.values, self.key = values, attributes_key(values)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Attributes) and self.key == other.key


def infer(
    op: Op, types: tuple[TensorType, ...], attributes: dict[str, Any]
) -> tuple[TensorType, ...]:
    """The types of the results of `op`; the rule is asked once for each question.

    Raises:
        ShapeError, DTypeError: as the rule does.
    """
    return _infer(op, types, _Attributes(attributes))


@lru_cache(maxsize=20_000)
def _infer(
    op: Op, types: tuple[TensorType, ...], attributes: _Attributes
) -> tuple[TensorType, ...]:
    return op.infer(types, attributes.values)


def prune(graph: Graph, outputs: Sequence[Value]) -> Graph:
    """`graph` with other `outputs` and without nodes that they do not need.

    Inputs stay, needed or not; so do nodes that may raise, as raising is an effect.
    """
    needed = set(outputs)
    kept = []
    for node in reversed(graph.nodes):
        if node.op.may_raise or not needed.isdisjoint(node.results):
            kept.append(node)
            needed.update(node.operands)
    return Graph(graph.inputs, tuple(reversed(kept)), tuple(outputs))
