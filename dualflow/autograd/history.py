"""How a tensor came about: the nodes of the tape, and what each does on the way back.

    Edge = a node, or a leaf (a Tensor that requires a gradient and was not computed), or None
    Node = Record (an op applied) | Output (one of several outputs of a node)
         | Write (memory written in place) | Argument (of `grad`)

Comes in: the gradient for what a node made. Goes out: one gradient for each of its edges. A node
knows what it was made from and nothing of what was made from it, so there are no cycles.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Mapping
from typing import Any, final

from dualflow.array.storage import Storage
from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import is_inexact
from dualflow.base.errors import GradientError, InPlaceError
from dualflow.base.shapes import Shape
from dualflow.base.source import SourceLine
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType
from dualflow.ops import door, views
from dualflow.ops import primitives as p
from dualflow.ops.primitives.movement import sum_to

from . import tangents

Edge = Any  # Node | Tensor | None
#: numbers of nodes, in the order in which they were made
count = itertools.count().__next__
#: where a memory was last written with gradients at stake, for the message of an error
written_at: weakref.WeakKeyDictionary[Storage, SourceLine] = weakref.WeakKeyDictionary()


class Node:
    """What made a tensor.

    Attributes:
        edges: for each input, where its gradient goes; None where none is wanted.
        kept: the tensor whose `.grad` is to be set, if `retain_grad` was called on it.
        hooks: functions that the gradient for what was made passes, by number; None for none.
        number: larger than that of every node made before.
    """

    __slots__ = ("edges", "hooks", "kept", "number")
    edges: tuple[Edge, ...]
    hooks: dict[int, Callable[[Tensor], Tensor | None]] | None
    kept: weakref.ref[Tensor] | None
    number: int

    def __init__(self, edges: tuple[Edge, ...]) -> None:
        self.edges = edges
        self.hooks = self.kept = None
        self.number = count()

    def gradients(self, g: Any, differentiable: bool) -> tuple[Any, ...]:
        """For each edge the gradient, from the gradient `g` of what was made: a tensor, None for
        zero, or a function that makes it. They can be differentiated if `differentiable`. A node
        of several outputs is given `Parts`."""
        raise NotImplementedError

    def fitted(self, gradient: Tensor, i: int) -> Tensor:
        """The gradient for edge `i`, of the shape and dtype of that input."""
        return gradient

    def tangent(self, given: tuple[Any, ...], differentiable: bool) -> Any:
        """The tangent of what was made (a tuple for several outputs; None for zero), from the
        tangent of each edge (None for zero), not all of which are None."""
        raise NotImplementedError


@final
class Record(Node):
    """An op applied.

    Attributes:
        op, attributes: what was applied.
        inputs: what came to the door; of a tensor whose values the rules do not use, its
            (shape, dtype).
        versions: of each kept tensor, the version of its memory; -1 elsewhere; last, of `outs`.
        outs: aliases of the outputs if a rule uses them, else empty.
        types: (shape, dtype) of each output if there are several, else empty.
    """

    __slots__ = ("attributes", "inputs", "op", "outs", "types", "versions")

    def __init__(
        self,
        op: Op,
        attributes: Mapping[str, Any],
        inputs: tuple[Any, ...],
        edges: tuple[Edge, ...],
        versions: tuple[int, ...],
        outs: tuple[Tensor, ...],
        types: tuple[Any, ...] = (),
    ) -> None:
        self.op = op
        self.attributes = attributes
        self.inputs = inputs
        self.edges = edges
        self.versions = versions
        self.outs = outs
        self.types = types
        self.hooks = self.kept = None
        self.number = count()

    def gradients(self, g: Any, differentiable: bool) -> tuple[Any, ...]:
        rule = self.op.gradient
        if rule is None:
            raise GradientError(f"{self.op.name} has no gradient", why=self.op.no_gradient,
                                instead="detach() its input if none should flow")  # fmt: skip
        inputs, out = self.values(differentiable)
        if self.types:
            g = g.all(self.types)
        if self.op.kind is Kind.ELEMENTWISE and not self.attributes:
            return self._elementwise(rule, g, out, inputs)
        return rule(g, out, *map(_typed, inputs), **self.attributes)

    def tangent(self, given: tuple[Any, ...], differentiable: bool) -> Any:
        inputs, out = self.values(differentiable)
        op, inputs = self.op, tuple(map(_typed, inputs))
        return tangents.tangent(op, self.attributes, inputs, out, given)

    def values(self, differentiable: bool) -> tuple[tuple[Any, ...], Any]:
        """The inputs, and the output (a tuple of several) if a rule uses it; with their history if
        `differentiable`.

        Raises:
            InPlaceError: one of them was written since.
        """
        if self.versions:
            self._check_unwritten()
        inputs, outs = self.inputs, self.outs
        if differentiable:
            inputs = tuple(map(_with_history, inputs, self.edges))
        elif door.state.mode.name == "vmap":  # the mode around may take notes all the same
            inputs = tuple(map(_detached, inputs))
        if self.types:
            if differentiable:
                outs = tuple(
                    _made_by(Output(self, i), out) if is_inexact(out.dtype) else out
                    for i, out in enumerate(outs)
                )
            return inputs, outs
        if not outs:
            return inputs, None
        return inputs, _made_by(self, outs[0]) if differentiable else outs[0]

    def _elementwise(self, rule: Any, g: Tensor, out: Any, inputs: tuple[Any, ...]) -> tuple:
        """The gradients, of the dtype and shape of the output; `fitted` undoes cast and expand."""
        dtype = g.dtype
        return rule(g, out, *[_as_seen(_typed(x), dtype) for x in inputs])

    def fitted(self, gradient: Tensor, i: int) -> Tensor:
        if self.op.kind is not Kind.ELEMENTWISE or self.attributes:
            return gradient
        x = self.inputs[i]
        shape, dtype = x if type(x) is tuple else (x.shape, x.dtype)
        if gradient.shape != shape:
            gradient = sum_to(gradient, shape)
        return in_dtype(gradient, dtype)

    def keep_from(self, target: Tensor) -> None:
        """Copy the inputs that show the memory of `target`, which is about to be overwritten by
        what this node made: so `x *= y` can be differentiated with respect to y."""
        memory = target._memory()
        inputs, versions = list(self.inputs), list(self.versions)
        for i, x in enumerate(inputs):
            version = versions[i]
            if version >= 0 and x._storage is memory and version == memory.version:
                inputs[i], versions[i] = p.cast(x._alias(), dtype=x.dtype), 0
        self.inputs, self.versions = tuple(inputs), tuple(versions)

    def _check_unwritten(self) -> None:
        """InPlaceError if a tensor that the rule uses was written since."""
        for x, version in zip((*self.inputs, *self.outs), self.versions, strict=True):
            if version < 0:
                continue
            storage = x._storage
            now = 0 if storage is None else storage.version
            if now != version:
                role = "the output" if any(x is out for out in self.outs) else "an input"
                line = written_at.get(x._memory())
                raise InPlaceError(
                    f"{role} of {self.op.name}, of shape {x.shape}, was written in place "
                    f"{now - version} time(s) after it was computed with"
                    + ("" if line is None else f", last at {line}"),
                    why=f"the gradient of {self.op.name} needs the values from before",
                    instead="write into a copy(), or make a new tensor (x = x + y, not x += y)",
                )


@final
class Parts:
    """Gradients for some outputs of a node that has several."""

    __slots__ = ("found",)

    def __init__(self, found: dict[int, Tensor]) -> None:
        self.found = found

    def __add__(self, other: Parts) -> Parts:
        found = dict(self.found)
        for i, g in other.found.items():
            found[i] = found[i] + g if i in found else g
        return Parts(found)

    def all(self, types: tuple[Any, ...]) -> tuple[Tensor, ...]:
        """A gradient for every output: zeros where none arrived."""
        return tuple(
            self.found[i] if i in self.found else tangents.zeros(TensorType(*type_))
            for i, type_ in enumerate(types)
        )


@final
class Output(Node):
    """One of several outputs of a node.

    Attributes:
        index: which one.
    """

    __slots__ = ("index",)

    def __init__(self, node: Node, index: int) -> None:
        super().__init__((node,))
        self.index = index

    def gradients(self, g: Tensor, differentiable: bool) -> tuple[Any, ...]:
        return (lambda: Parts({self.index: g}),)

    def tangent(self, given: tuple[Any, ...], differentiable: bool) -> Any:
        return given[0][self.index]


@final
class Write(Node):
    """Part of a root's memory written in place: the history of the root from then on.

    Edges: the root's history before, the history of the value.

    Attributes:
        chain: the views from the root to what was written.
        shape: of what was written.
        root: (shape, dtype) of the root.
    """

    __slots__ = ("chain", "root", "shape")

    def __init__(
        self, before: Edge, value: Edge, chain: views.Chain, shape: Shape, root: tuple[Any, Any]
    ) -> None:
        super().__init__((before, value))
        self.chain, self.shape, self.root = chain, shape, root

    def gradients(self, g: Tensor, differentiable: bool) -> tuple[Any, ...]:
        def before() -> Tensor:
            zeros = p.full(shape=self.shape, value=0.0, dtype=g.dtype)
            return views.put(door.apply, g, self.chain, zeros)

        return before, lambda: views.read(door.apply, g, self.chain)

    def tangent(self, given: tuple[Any, ...], differentiable: bool) -> Any:
        before, value = given
        dtype = self.root[1]
        if value is None:
            value = tangents.zeros(TensorType(self.shape, dtype))
        if not self.chain:
            return value
        if before is None:
            before = tangents.zeros(TensorType(*self.root))
        return views.put(door.apply, before, self.chain, value)


@final
class Argument(Node):
    """The same values under another name: where `grad` stops, and a gradient around it goes on."""

    __slots__ = ()

    def __init__(self, edge: Edge) -> None:
        super().__init__((edge,))

    def gradients(self, g: Tensor, differentiable: bool) -> tuple[Any, ...]:
        return (g,)

    def tangent(self, given: tuple[Any, ...], differentiable: bool) -> Any:
        return given[0]


def _with_history(x: Any, edge: Edge) -> Any:
    """An input as it was when the op was applied: with that history, whatever it has now."""
    if type(x) is not Tensor or edge is x:
        return x
    if edge is None:
        return x._alias() if x.requires_grad else x
    return x if x._tape is edge else _made_by(edge, x)


def _detached(x: Any) -> Any:
    """A tensor from around the `vmap` that is active without its history, of which the mode there
    would take notes; what the `vmap` made is none of its business."""
    if type(x) is not Tensor or not x.requires_grad or door.state.mode.owns(x):  # type: ignore[attr-defined]
        return x
    return x._alias()


def _made_by(node: Node, x: Tensor) -> Tensor:
    alias = x._alias()
    alias.requires_grad, alias._tape = True, node
    return alias


def _typed(x: Any) -> Any:
    return TensorType(*x) if type(x) is tuple else x


def _as_seen(x: Any, dtype: Any) -> Any:
    """An operand as the op saw it: numbers in the dtype of the result; conditions, and complex
    numbers of which the result is real, as they are."""
    if type(x) is not Tensor or x.dtype == dtype or x.dtype.kind == "b":
        return x
    return x if x.dtype.kind == "c" != dtype.kind else p.cast(x, dtype=dtype)


def in_dtype(x: Tensor, dtype: Any) -> Tensor:
    """A gradient in the dtype of what it belongs to: of complex numbers for a real one the real
    part counts."""
    if x.dtype == dtype:
        return x
    if x.dtype.kind == "c" != dtype.kind:
        x = p.real(x)
    return x if x.dtype == dtype else p.cast(x, dtype=dtype)
