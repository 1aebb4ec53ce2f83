"""Graph: tensor-level, immutable, typed, in single-assignment form.

    Graph = inputs: Value*, nodes: Node* (each after its operands), outputs: Value*
    Node  = op, operands: Value*, attributes (hashable), results: Value*, line of the user
    Value = an input of the graph or one result of a node; compared by identity

Comes in: `GraphBuilder` calls. Goes out: graphs that `verify`, print as Python, and have a `key`
(equal keys: the same computation on the same types).
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np

from dualflow.base.digest import hashed
from dualflow.base.dtypes import as_dtype
from dualflow.base.records import entity
from dualflow.base.shapes import Shape
from dualflow.base.source import SourceLine

from .op import CATALOGUE, Kind, Op
from .types import TensorType


class Value:
    """A tensor in a graph; two values are the same only if they are the same object. Never changed
    after (a frozen dataclass takes three times as long to make).

    Attributes:
        node: what makes it; None for an input of the graph.
        index: which result of the node it is, or which input of the graph.
    """

    __slots__ = ("index", "node", "type")

    def __init__(self, type: TensorType, node: Node | None = None, index: int = 0) -> None:
        self.type, self.node, self.index = type, node, index

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> np.dtype:
        return self.type.dtype

    def __repr__(self) -> str:
        made = self.node.op.name if self.node else "input"
        return f"<{made}.{self.index}: {self.type}>"


class Node:
    """One application of an op. Made by `GraphBuilder.add`, never changed after."""

    __slots__ = ("attributes", "line", "op", "operands", "results")

    def __init__(
        self,
        op: Op,
        operands: tuple[Value, ...],
        attributes: Mapping[str, Hashable],
        types: tuple[TensorType, ...],
        line: SourceLine | None,
    ) -> None:
        self.op, self.operands, self.attributes, self.line = op, operands, attributes, line
        if len(types) == 1:
            self.results: tuple[Value, ...] = (Value(types[0], self),)
        else:
            self.results = tuple([Value(type_, self, i) for i, type_ in enumerate(types)])

    @property
    def result(self) -> Value:
        """The only result."""
        (value,) = self.results
        return value

    @property
    def may_raise(self) -> bool:
        """Whether it may raise on values, itself or in a graph that it runs."""
        if self.op.kind not in (Kind.LOOP, Kind.BRANCH):
            return self.op.may_raise
        graphs = [value for value in self.attributes.values() if isinstance(value, Graph)]
        return any(node.may_raise for graph in graphs for node in graph.nodes)

    def __repr__(self) -> str:
        return f"<node {self.op.name} -> {', '.join(str(r.type) for r in self.results)}>"


@entity
class Graph:
    """A computation from inputs to outputs."""

    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Value, ...]

    @cached_property
    def key(self) -> Hashable:
        """Equal for graphs that compute the same from the same types (source lines ignored)."""
        return self._key()

    def _key(self) -> tuple[Any, ...]:
        number = {value: i for i, value in enumerate(self.inputs)}
        nodes = []
        for node in self.nodes:
            attributes = node.attributes
            if len(attributes) == 1:
                ((name, value),) = attributes.items()
                attributes = ((name, attribute_key(value)),)
            elif attributes:
                attributes = tuple(sorted([(k, attribute_key(v)) for k, v in attributes.items()]))
            else:
                attributes = ()
            nodes.append((node.op.name, tuple([number[v] for v in node.operands]), attributes))
            for result in node.results:
                number[result] = len(number)
        types = tuple([(v.type.shape, v.type.dtype.str) for v in self.inputs])
        return types, tuple(nodes), tuple([number[v] for v in self.outputs])

    @cached_property
    def written(self) -> bytes | None:
        """The graph in bytes, of which another process makes it again: equal for graphs of one
        `key` and the same lines; None for a graph with attributes that have no name outside this
        process."""
        try:
            return marshal.dumps(self._flat(_spelled), 2)  # 2: equal is written equally
        except ValueError:
            return None

    @cached_property
    def digest(self) -> str | None:
        """A short form of `written`."""
        return None if self.written is None else hashed(self.written).hexdigest()

    def _flat(self, spell: Callable[[Any], Any]) -> tuple[Any, ...]:
        """Nodes in one list, for pickle would follow a chain of them as deep as it is long; `spell`
        says attributes in other words."""
        number, types, lines = _Numbers(), _Numbers(), _Numbers()
        inputs = [(number[value], types[value.type])[1] for value in self.inputs]
        nodes = []
        for node in self.nodes:
            operands = tuple([number[value] for value in node.operands])
            given = node.attributes
            if given:
                given = {name: spell(value) for name, value in given.items()}
            made = []
            for value in node.results:
                number[value] = len(number)
                made.append(types[value.type])
            nodes.append((node.op.name, operands, given, made, lines[node.line]))
        kinds = [(type_.shape, type_.dtype.name) for type_ in types]
        places = [line and tuple(line) for line in lines]
        return inputs, nodes, [number[value] for value in self.outputs], kinds, places

    def __reduce__(self) -> tuple[Any, ...]:
        if self.written is None:
            return _restored, self._flat(lambda value: value)
        return _read, (self.written,)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and self.key == other.key

    @cached_property
    def uses(self) -> dict[Value, tuple[Node, ...]]:
        """For each value, the nodes that take it (a node once for each time it takes it)."""
        found: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.operands:
                found.setdefault(value, []).append(node)
        return {value: tuple(nodes) for value, nodes in found.items()}

    def verify(self) -> Graph:
        """Check order and types; returns the graph. An error here is a fault of a pass."""
        known = set(self.inputs)
        for value in self.inputs:
            assert value.node is None, f"input {value} has a producer"
        for node in self.nodes:
            for value in node.operands:
                assert value in known, f"{node} takes {value} before it exists"
            expected = node.op.infer(tuple(v.type for v in node.operands), node.attributes)
            made = tuple(v.type for v in node.results)
            assert made == expected, f"{node}: the rule of {node.op.name} gives {expected}"
            known.update(node.results)
        for value in self.outputs:
            assert value in known, f"output {value} is not in the graph"
        return self

    def __str__(self) -> str:
        return print_graph(self)


class _Numbers(dict[Any, int]):
    """Numbers what it is asked for."""

    def __missing__(self, key: Any) -> int:
        number = self[key] = len(self)
        return number


def _restored(
    inputs: list[int], nodes: list[Any], outputs: list[int], kinds: list[Any], places: list[Any]
) -> Graph:
    """The graph that `Graph._flat` took apart."""
    types = [TensorType(shape, as_dtype(name)) for shape, name in kinds]
    lines = [place and SourceLine(*place) for place in places]
    taken = tuple([Value(types[kind], None, i) for i, kind in enumerate(inputs)])
    values, found = list(taken), []
    for name, operands, attributes, made, line in nodes:
        given = {key: _meant(value) for key, value in attributes.items()}
        results = tuple([types[kind] for kind in made])
        node = Node(CATALOGUE[name], tuple([values[i] for i in operands]), given, results,
                    lines[line])  # fmt: skip
        found.append(node)
        values += node.results
    return Graph(taken, tuple(found), tuple([values[i] for i in outputs]))


def _read(written: bytes) -> Graph:
    return _restored(*marshal.loads(written))


def _spelled(value: Any) -> Any:
    """An attribute in plain values: what is none is a list, as no attribute is.

    Raises:
        ValueError: it has no name outside this process.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is tuple:
        for part in value:
            if type(part) is not int:
                return tuple(map(_spelled, value))
        return value
    if isinstance(value, np.dtype):
        return _dtype_spelled(value)
    if isinstance(value, np.generic):
        return ["number", value.dtype.name, value.tobytes()]
    if isinstance(value, Graph):
        return ["graph", value._flat(_spelled)]
    raise ValueError(f"an attribute of the type {kind.__name__}")


@cache
def _dtype_spelled(dtype: np.dtype) -> list[str]:
    return ["dtype", dtype.name]


def _meant(value: Any) -> Any:
    """The attribute that `_spelled` spelled."""
    kind = type(value)
    if kind is tuple:
        return tuple(map(_meant, value))
    if kind is not list:
        return value
    if value[0] == "dtype":
        return as_dtype(value[1])
    if value[0] == "number":
        return np.frombuffer(value[2], as_dtype(value[1]))[0]
    return _restored(*value[1])


def attribute_key(value: Any) -> Hashable:
    """A key in which 1, True and 1.0, 0.0 and -0.0 differ and NaN equals NaN, also as parts."""
    kind = type(value)
    if kind is tuple:
        for part in value:
            if type(part) is not int:
                return tuple(map(attribute_key, value))
        return value
    if kind in _DISTINCT:
        return kind.__name__, value
    if kind is float:
        return "float", _bytes_of(value)
    if isinstance(value, np.dtype):
        return value.str
    if isinstance(value, (float, np.floating)):
        return kind.__name__, np.float64(value).tobytes()
    if isinstance(value, (complex, np.complexfloating)):
        return kind.__name__, np.complex128(value).tobytes()
    if isinstance(value, tuple):
        return tuple(map(attribute_key, value))
    if isinstance(value, Graph):
        return value.key
    return kind.__name__, value


_bytes_of = struct.Struct("=d").pack
_DISTINCT = frozenset([int, bool, str])
#: of which equal ones, and no others, are written equally
_PLAIN = frozenset([int, bool, str, float, complex, bytes, type(None)])


class GraphBuilder:
    """Builds a graph node by node; types come from the ops' rules."""

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []

    def input(self, type_: TensorType) -> Value:
        """A further input of the graph."""
        value = Value(type_, None, len(self.inputs))
        self.inputs.append(value)
        return value

    def add(
        self,
        op: Op,
        operands: Sequence[Value],
        attributes: Mapping[str, Any] | None = None,
        line: SourceLine | None = None,
    ) -> Node:
        """A node that applies `op`; raises what the op's rule raises."""
        operands, attributes = tuple(operands), dict(attributes or {})
        types = self.infer(op, tuple([value.type for value in operands]), attributes)
        node = Node(op, operands, attributes, types, line)
        self.nodes.append(node)
        return node

    def infer(
        self, op: Op, types: tuple[TensorType, ...], attributes: dict[str, Any]
    ) -> tuple[TensorType, ...]:
        """The types of the results of `op`."""
        return op.infer(types, attributes)

    def build(self, outputs: Sequence[Value]) -> Graph:
        """The graph of what was added so far."""
        return Graph(tuple(self.inputs), tuple(self.nodes), tuple(outputs))


def names(graph: Graph) -> dict[Value, str]:
    """A short name for every value of a graph: inputs `x0, x1...`, results `t0, t1...`."""
    found = {value: f"x{i}" for i, value in enumerate(graph.inputs)}
    results = (result for node in graph.nodes for result in node.results)
    found.update((value, f"t{i}") for i, value in enumerate(results))
    return found


def print_graph(graph: Graph, name: str = "graph") -> str:
    """The graph as Python that a person could run with `from dualflow.ops import primitives as p`.

    Each line shows the type and the user's line.
    """
    return "\n".join(_lines(graph, name))


def _lines(graph: Graph, name: str) -> Iterator[str]:
    called = names(graph)
    parameters = ", ".join(called[value] for value in graph.inputs)
    for i, node in enumerate(graph.nodes):
        for key, value in node.attributes.items():
            if isinstance(value, Graph):
                yield from _lines(value, f"{name}_{key}{i}")
                yield ""
    yield f"def {name}({parameters}):"
    for value in graph.inputs:
        yield f"    # {called[value]}: {value.type}"
    for i, node in enumerate(graph.nodes):
        arguments = [called[value] for value in node.operands]
        arguments += [f"{k}={_spell(v, f'{name}_{k}{i}')}" for k, v in node.attributes.items()]
        left = ", ".join(called[value] for value in node.results)
        types = ", ".join(str(value.type) for value in node.results)
        text = f"    {left} = p.{node.op.name}({', '.join(arguments)})"
        where = f"  {node.line.function}:{node.line.number} {node.line.text}" if node.line else ""
        yield f"{text:<60}  # {types}{where}"
    yield f"    return ({''.join(called[value] + ', ' for value in graph.outputs)})"


def _spell(value: Any, graph_name: str) -> str:
    if isinstance(value, Graph):
        return graph_name
    if isinstance(value, np.dtype):
        return repr(value.name)
    return repr(value)
