"""What fusion wants to know of a graph beforehand, found in one walk from inputs to outputs.

Comes in: a graph and how its inputs lie. Goes out: `Facts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dualflow.base.dtypes import is_complex, kind
from dualflow.base.shapes import size_of
from dualflow.ir.backend import BY_NAME
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import View

#: How dear an elementwise op that no backend computes exactly (exp, tanh) is beside an addition.
TRANSCENDENTAL = 16
MOST_WORK = 10_000
#: Values with more sources in memory than this count as dear to recompute.
MOST_SOURCES = 4

#: Parts of a value that an element may be looked for in, however narrow they are; elements of the
#: last axis up to which a part is narrow; and how often may be looked in a value of narrow parts.
FEW_PARTS, NARROW, MOST_LOOKED_FOR = 4, 4, 1 << 16


class Facts:
    """Facts of a graph's values.

    Attributes:
        role: what fusion does with a node: "elementwise", "view", "assembly", "constant",
            "position", "reduction", "lookup" or "library".
        view: of view nodes: the result in the row-major order of the operand.
        lies: how a value would lie if only what it is a view of were in memory; None: nohow.
        base: the value that it is then a view of.
        work: scalar operations to recompute an element from memory.
        sources: the values in memory that it is then recomputed from; None: too many.
        folding: the values that reductions go into on the way from memory.
    """

    def __init__(
        self, graph: Graph, layouts: Sequence[View], backend: str, exact: bool = False,
        apart: bool = False,
    ) -> None:  # fmt: skip
        """If `apart`, nothing is fused: NumPy runs each operation that computes."""
        self.backend = backend
        self.role: dict[Node, str] = {}
        self.view: dict[Node, View] = {}
        self.lies: dict[Value, View | None] = {}
        self.base: dict[Value, Value] = {}
        self.work: dict[Value, int] = {}
        self.sources: dict[Value, frozenset[Value] | None] = {}
        self.folding: set[Value] = set()
        for value, layout in zip(graph.inputs, layouts, strict=True):
            self._own(value, layout)
        for node in graph.nodes:
            role = role_of(node, backend, exact)
            role = self.role[node] = "library" if apart and role in _COMPUTED else role
            _WALK.get(role, Facts._memory)(self, node)

    def _own(self, value: Value, layout: View) -> None:
        self.lies[value], self.base[value] = layout, value
        self.work[value], self.sources[value] = 0, frozenset((value,))

    def _memory(self, node: Node) -> None:
        for value in node.results:
            self._own(value, View.contiguous(value.shape))

    def _reduction(self, node: Node) -> None:
        self._memory(node)
        self.folding.add(node.result)

    def _constant(self, node: Node) -> None:
        self._memory(node)
        self.sources[node.result] = frozenset()

    def _view(self, node: Node) -> None:
        (operand,), value = node.operands, node.result
        view = node.op.view(View.contiguous(operand.shape), **node.attributes)  # type: ignore[misc]
        self.view[node] = view
        lies = self.lies[operand]
        self.lies[value] = lies and node.op.view(lies, **node.attributes)  # type: ignore[misc]
        self.base[value] = self.base[operand]
        if self.lies[value] is None:
            self.lies[value], self.base[value] = View.contiguous(value.shape), value
        self.work[value], self.sources[value] = self.work[operand], self.sources[operand]
        if operand in self.folding:
            self.folding.add(value)

    def _elementwise(self, node: Node) -> None:
        value = node.result
        self._memory(node)
        cheap = is_exact(node) and self.role[node] != "random"
        price = 1 if cheap else TRANSCENDENTAL
        self.work[value] = min(MOST_WORK, price + sum(self.work[v] for v in node.operands))
        found: frozenset[Value] | None = frozenset()
        for operand in node.operands:
            more = self.sources[operand]
            found = None if more is None or found is None else found | more
            if operand in self.folding:
                self.folding.add(value)
        self.sources[value] = found if found is not None and len(found) <= MOST_SOURCES else None


_COMPUTED = ("elementwise", "assembly", "reduction", "lookup", "scatter")
_WALK: dict[str, Any] = {
    "elementwise": Facts._elementwise,
    "assembly": Facts._elementwise,
    "random": Facts._elementwise,
    "lookup": Facts._elementwise,
    "scatter": Facts._elementwise,
    "view": Facts._view,
    "constant": Facts._constant,
    "identity": Facts._constant,
    "position": Facts._constant,
    "reduction": Facts._reduction,
}


def same_order(view: View, operand: Value) -> bool:
    """Whether a view of a packed operand shows all its elements in their order."""
    return view.is_contiguous and not view.offset and size_of(view.shape) == operand.type.size


def role_of(node: Node, backend: str, exact: bool) -> str:
    """What fusion does with a node; if `exact`, ops that a backend may round otherwise than NumPy
    are left to NumPy."""
    op, kind = node.op, node.op.kind
    if exact and not is_exact(node):
        return "library"
    if kind is Kind.MOVEMENT and op.view is not None:
        return "view"
    if kind is Kind.MOVEMENT:
        return "assembly" if _assembles(node, BY_NAME[backend].parts) else "library"
    if kind is Kind.CREATION:
        return "constant" if "value" in node.attributes else "position"
    if kind is Kind.ELEMENTWISE and not op.may_raise and spelled(op, node, backend):
        return "elementwise"
    if kind is Kind.REDUCTION and folds(op, node, backend):
        return "reduction" if node.operands[0].type.size else "identity"
    if kind is Kind.RANDOM and op.spelling.get(backend):
        return "random"
    if kind is Kind.INDEXING:
        return _indexing_role(node)
    return "library"


def _indexing_role(node: Node) -> str:
    """A lookup; a scatter of one value to each line; or what a library has to do."""
    op, (x, indices, *_) = node.op, node.operands
    if indices.dtype.name == "uint64" or not x.type.size or not node.result.type.size:
        return "library"
    if op.lookup is not None:
        return "lookup"
    axis = node.attributes["axis"]
    one = op.scatter is not None and indices.shape[axis] == 1  # type: ignore[index]
    return "scatter" if one else "library"


def spelled(op: Op, node: Node, backend: str) -> Any:
    """How the backend spells the op for the dtype of this node; None if it does not."""
    found, asked = op.spelling.get(backend), kind(node.operands[0].dtype)
    asked += "c" if has_complex(node) else ""
    if isinstance(found, dict):
        return next((text for letters, text in found.items() if set(asked) <= set(letters)), None)
    return None if "c" in asked else found


def has_complex(node: Node) -> bool:
    """Whether complex numbers come in or go out."""
    return any(is_complex(value.dtype) for value in (*node.operands, *node.results))


def is_exact(node: Node) -> bool:
    """Whether every backend gives NumPy's bits."""
    return node.op.is_exact(node.operands[0].dtype) if node.operands else bool(node.op.exact)


def folds(op: Op, node: Node, backend: str) -> bool:
    """Whether the backend folds this reduction. One that gives a position is folded along one axis
    only: the order of the points counts."""
    if spelled(op, node, backend) is None:
        return False
    sizes = [node.operands[0].shape[axis] for axis in node.attributes["axes"]]  # type: ignore[union-attr]
    return not op.position_of or sum(n != 1 for n in sizes) <= 1


def _assembles(node: Node, most: int) -> bool:
    """Whether every part fills a block without gaps of the result. Where many parts take turns
    after few elements each, every element looks for its part: large values are left to NumPy."""
    count, size = len(node.operands), node.result.type.size
    if node.op.placement is None or count > most:
        return False
    types = tuple(v.type for v in node.operands)
    packed = View.contiguous(node.result.shape).strides
    views = node.op.placement(types, **node.attributes)
    narrow = any(view.shape[-1:] < (NARROW,) for view in views)
    if count > FEW_PARTS and narrow and count * size > MOST_LOOKED_FOR:
        return False
    return all(
        size == 1 or stride == step
        for view in views
        for size, stride, step in zip(view.shape, view.strides, packed, strict=True)
    )
