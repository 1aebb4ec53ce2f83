"""How a tensor came about: the nodes of the tape, and what each does on the way back.

    Edge = a node, or a leaf (a Tensor that requires a gradient and was not computed), or None
    Node = Record (an op applied) | Write (memory written in place) | Argument (of `grad`)

Comes in: the gradient for what a node made. Goes out: one gradient for each of its edges. A node
knows what it was made from and nothing of what was made from it, so there are no cycles.
"""

from __future__ import annotations

import weakref
from typing import Any, final

from dualflow.array.storage import Storage
from dualflow.array.tensor import Tensor
from dualflow.base.errors import GradientError, InPlaceError
from dualflow.base.shapes import Shape
from dualflow.base.source import SourceLine
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType
from dualflow.ops import door, views
from dualflow.ops import primitives as p
from dualflow.ops.primitives.movement import sum_to

Edge = Any  # Node | Tensor | None
#: where a memory was last written with gradients at stake, for the message of an error
written_at: weakref.WeakKeyDictionary[Storage, SourceLine] = weakref.WeakKeyDictionary()


class Node:
    """What made a tensor.

    Attributes:
        edges: for each input, where its gradient goes; None where none is wanted.
        kept: the tensor whose `.grad` is to be set, if `retain_grad` was called on it.
    """

    __slots__ = ("edges", "kept")
    edges: tuple[Edge, ...]
    kept: weakref.ref[Tensor] | None

    def gradients(self, g: Tensor, differentiable: bool) -> tuple[Any, ...]:
        """For each edge the gradient, from the gradient `g` of what was made: a tensor, None for
        zero, or a function that makes it. They can be differentiated if `differentiable`."""
        raise NotImplementedError

    def fitted(self, gradient: Tensor, i: int) -> Tensor:
        """The gradient for edge `i`, of the shape and dtype of that input."""
        return gradient


@final
class Record(Node):
    """An op applied.

    Attributes:
        op, attributes: what was applied.
        inputs: what came to the door; of a tensor whose values the gradient rule does not use,
            its (shape, dtype), or None if these are of no use either.
        versions: of each kept tensor, the version of its memory; -1 elsewhere; last, that of `out`.
        out: an alias of the output if the rule uses it.
    """

    __slots__ = ("attributes", "inputs", "op", "out", "versions")

    def __init__(
        self,
        op: Op,
        attributes: dict[str, Any],
        inputs: tuple[Any, ...],
        edges: tuple[Edge, ...],
        versions: tuple[int, ...],
        out: Tensor | None,
    ) -> None:
        self.op = op
        self.attributes = attributes
        self.inputs = inputs
        self.edges = edges
        self.versions = versions
        self.out = out
        self.kept = None

    def gradients(self, g: Tensor, differentiable: bool) -> tuple[Any, ...]:
        rule = self.op.gradient
        if rule is None:
            raise GradientError(f"{self.op.name} has no gradient", why=self.op.no_gradient,
                                instead="detach() its input if none should flow")  # fmt: skip
        if self.versions:
            self._check_unwritten()
        inputs, out = self.inputs, self.out
        if differentiable:
            inputs = tuple(map(_with_history, inputs, self.edges))
            out = out if out is None else _made_by(self, out)
        if self.op.kind is Kind.ELEMENTWISE and not self.attributes:
            return self._elementwise(rule, g, out, inputs)
        return rule(g, out, *map(_typed, inputs), **self.attributes)

    def _elementwise(self, rule: Any, g: Tensor, out: Any, inputs: tuple[Any, ...]) -> tuple:
        """The gradients, of the dtype and shape of the output; `fitted` undoes cast and expand."""
        dtype = g.dtype
        return rule(g, out, *[_in_dtype(x, dtype) for x in inputs])

    def fitted(self, gradient: Tensor, i: int) -> Tensor:
        if self.op.kind is not Kind.ELEMENTWISE or self.attributes:
            return gradient
        x = self.inputs[i]
        shape, dtype = x if type(x) is tuple else (x.shape, x.dtype)
        if gradient.shape != shape:
            gradient = sum_to(gradient, shape)
        return gradient if gradient.dtype == dtype else p.cast(gradient, dtype=dtype)

    def keep_from(self, target: Tensor) -> None:
        """Copy the inputs that show the memory of `target`, which is about to be overwritten by
        what this node made: so `x *= y` can be differentiated with respect to y."""
        memory = target._memory()
        inputs, versions = list(self.inputs), list(self.versions)
        for i, version in enumerate(versions[:-1]):
            x = inputs[i]
            if version >= 0 and x._storage is memory and version == memory.version:
                inputs[i], versions[i] = p.cast(x.detach(), dtype=x.dtype), 0
        self.inputs, self.versions = tuple(inputs), tuple(versions)

    def _check_unwritten(self) -> None:
        """InPlaceError if a tensor that the rule uses was written since."""
        for x, version in zip((*self.inputs, self.out), self.versions, strict=True):
            if version < 0 or x is None:
                continue
            storage = x._storage
            now = 0 if storage is None else storage.version
            if now != version:
                role = "the output" if x is self.out else "an input"
                line = written_at.get(x._memory())
                raise InPlaceError(
                    f"{role} of {self.op.name}, of shape {x.shape}, was written in place "
                    f"{now - version} time(s) after it was computed with"
                    + ("" if line is None else f", last at {line}"),
                    why=f"the gradient of {self.op.name} needs the values from before",
                    instead="write into a copy(), or make a new tensor (x = x + y, not x += y)",
                )


@final
class Write(Node):
    """Part of a root's memory written in place: the history of the root from then on.

    Edges: the root's history before, the history of the value.

    Attributes:
        chain: the views from the root to what was written.
        shape: of what was written.
    """

    __slots__ = ("chain", "shape")

    def __init__(self, before: Edge, value: Edge, chain: views.Chain, shape: Shape) -> None:
        self.edges = (before, value)
        self.chain = chain
        self.shape = shape
        self.kept = None

    def gradients(self, g: Tensor, differentiable: bool) -> tuple[Any, ...]:
        def before() -> Tensor:
            zeros = p.full(shape=self.shape, value=0.0, dtype=g.dtype)
            return views.put(door.apply, g, self.chain, zeros)

        return before, lambda: views.read(door.apply, g, self.chain)


@final
class Argument(Node):
    """The same values under another name: where `grad` stops, and a gradient around it goes on."""

    __slots__ = ()

    def __init__(self, edge: Edge) -> None:
        self.edges = (edge,)
        self.kept = None

    def gradients(self, g: Tensor, differentiable: bool) -> tuple[Any, ...]:
        return (g,)


def _with_history(x: Any, edge: Edge) -> Any:
    """An input as it was when the op was applied: with that history, whatever it has now."""
    if type(x) is not Tensor or edge is x:
        return x
    if edge is None:
        return x._alias() if x.requires_grad else x
    return x if x._tape is edge else _made_by(edge, x)


def _made_by(node: Node, x: Tensor) -> Tensor:
    alias = x._alias()
    alias.requires_grad, alias._tape = True, node
    return alias


def _typed(x: Any) -> Any:
    return TensorType(*x) if type(x) is tuple else x


def _in_dtype(x: Any, dtype: Any) -> Any:
    """An operand as the op saw it: numbers in the dtype of the result; conditions as they are."""
    if type(x) is Tensor and x.dtype != dtype and x.dtype.kind != "b":
        return p.cast(x, dtype=dtype)
    return x
