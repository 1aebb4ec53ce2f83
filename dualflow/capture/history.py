"""The tape of a replay's results: how they came about, for a backward() after the call.

Comes in: the tape that the recorded call left on a result. Goes out: a `HistoryPlan`: which values
a replay must keep, and how the tape is rebuilt from them. It is rebuilt only when a gradient
reaches it. Where the call overwrote what a gradient needs, backward() raises as it does in eager.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from dualflow.array.tensor import Tensor
from dualflow.autograd.history import Argument, Node, Output, Record, Write
from dualflow.autograd.walk import order_of, push, walk
from dualflow.base.errors import InPlaceError

if TYPE_CHECKING:
    from .recorder import Recorder


class Unknown(Exception):  # noqa: N818 - a reason, not an error of the user
    """A tape that cannot be rebuilt."""


@final
class HistoryPlan:
    """A tape as a list.

    Attributes:
        steps: (kind, fixed arguments, saved tensors by number, edges) of each node, after those it
            leads to; an edge is ("edge", i) to the outside, ("step", i), or None.
        outside: nodes of the inputs that the edges lead to.
        saved: the tensors that the steps keep.
        numbers: nodes of the Python numbers that the steps keep.
        error: the message parts of what backward() raises, if the call overwrote what it needs.
    """

    __slots__ = ("error", "numbers", "outside", "saved", "steps")

    def __init__(self) -> None:
        self.steps: list[tuple[Any, ...]] = []
        self.outside: list[Any] = []
        self.saved: list[Tensor] = []
        self.numbers: list[Any] = []
        self.error: tuple[str, str, str] | None = None


def plan(recorder: Recorder, tape: Node) -> HistoryPlan:
    """How to rebuild the history `tape`.

    Raises:
        Unknown: it leads to something of unknown origin.
    """
    found = HistoryPlan()
    order = _walkable(recorder, tape)
    for node in reversed(order):
        if isinstance(node, Record) and node.versions:
            error = _overwritten(node)
            if error is not None:
                found.error = error
                return found
    numbers: dict[int, int] = {}
    edges: dict[int, int] = {}
    kept: dict[int, int] = {}

    def keep(x: Any) -> Any:
        if type(x) is not Tensor:
            node = recorder.late.taped(x)
            if node is None:
                return ("plain", x)
            found.numbers.append(node)
            return ("number", len(found.numbers) - 1)
        if id(x) not in kept:
            kept[id(x)] = len(found.saved)
            found.saved.append(x)
        return ("saved", kept[id(x)])

    def edge_to(edge: Any) -> Any:
        if edge is None:
            return None
        if id(edge) in numbers:
            return ("step", numbers[id(edge)])
        outside = recorder.outside.edges.get(id(edge))
        if outside is None:
            raise Unknown("a history that leads to something of unknown origin")
        if id(edge) not in edges:
            edges[id(edge)] = len(found.outside)
            found.outside.append(outside)
        return ("edge", edges[id(edge)])

    for node in order:
        if node.kept is not None:
            raise Unknown("a tensor in a history with retain_grad")
        if node.hooks:
            raise Unknown("a tensor in a history with a hook")
        to = tuple(edge_to(edge) for edge in node.edges)
        if isinstance(node, Record):
            kept_values = tuple(map(keep, (*node.inputs, *node.outs)))
            fixed = (node.op, node.attributes, len(node.inputs), bool(node.versions), node.types)
            step = ("record", fixed, kept_values, to)
        elif isinstance(node, Output):
            step = ("output", (node.index,), (), to)
        elif isinstance(node, Write):
            step = ("write", (node.chain, node.shape, node.root), (), to)
        elif isinstance(node, Argument):
            step = ("argument", (), (), to)
        else:
            raise Unknown("a history of another compiled function")
        numbers[id(node)] = len(found.steps)
        found.steps.append(step)
    return found


def _walkable(recorder: Recorder, tape: Node) -> list[Node]:
    """The nodes made in the call, each after those that its edges lead to."""
    order, _ = order_of([tape], None)
    if not any(id(node) in recorder.outside.edges for node in order):
        return order
    inside: dict[int, Node] = {}
    todo: list[Any] = [tape]
    while todo:
        node = todo.pop()
        if not isinstance(node, Node) or id(node) in inside or id(node) in recorder.outside.edges:
            continue
        inside[id(node)] = node
        todo += node.edges
    return [node for node in order if id(node) in inside]


def _overwritten(node: Record) -> tuple[str, str, str] | None:
    """What backward() will say of this node, if a value it needs was overwritten."""
    try:
        node._check_unwritten()
    except InPlaceError as error:
        return error.what, getattr(error, "why", ""), getattr(error, "instead", "")
    return None


@final
class Overwritten(Node):
    """A history of which the call itself overwrote a part."""

    __slots__ = ("error",)

    def __init__(self, error: tuple[str, str, str]) -> None:
        super().__init__(())
        self.error = error

    def gradients(self, g: Any, differentiable: bool) -> tuple[Any, ...]:
        what, why, instead = self.error
        raise InPlaceError(what, why=why, instead=instead)

    def tangent(self, given: tuple[Any, ...], differentiable: bool) -> Any:
        return self.gradients(given, differentiable)


@final
class Replayed(Node):
    """The history of a result of a replay; its edges are what the call was given.

    Attributes:
        plan: how it looks.
        saved: the tensors it keeps, and the versions of their memory at the end of the call.
        numbers: the Python numbers it keeps.
    """

    __slots__ = ("numbers", "plan", "saved", "versions")

    def __init__(
        self,
        plan: HistoryPlan,
        edges: tuple[Any, ...],
        saved: tuple[Tensor, ...],
        numbers: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(edges)
        self.plan, self.saved, self.numbers = plan, saved, numbers
        storages = [t._storage for t in saved]
        self.versions = tuple([0 if s is None else s.version for s in storages])

    def gradients(self, g: Tensor, differentiable: bool) -> tuple[Any, ...]:
        last = self._rebuilt()
        found, _ = walk([(last, g)], [edge for edge in self.edges if edge is not None],
                        differentiable)  # fmt: skip
        by_edge = {id(edge): gradient for edge, gradient in found}
        # one tensor may have been given twice: its whole gradient goes to the first place
        return tuple(by_edge.pop(id(edge), None) for edge in self.edges)

    def tangent(self, given: tuple[Any, ...], differentiable: bool) -> Any:
        known = {id(edge): t for edge, t in zip(self.edges, given, strict=True) if t is not None}
        pairs = [(edge, known[id(edge)]) for edge in self.edges if id(edge) in known]
        return push([self._rebuilt()], pairs, differentiable)[0]

    def _rebuilt(self) -> Node:
        made: list[Node] = []
        for kind, fixed, kept, to in self.plan.steps:
            edges = tuple(
                None if edge is None
                else made[edge[1]] if edge[0] == "step" else self.edges[edge[1]]
                for edge in to
            )  # fmt: skip
            if kind == "write":
                made.append(Write(edges[0], edges[1], *fixed))
            elif kind == "output":
                made.append(Output(made[to[0][1]], fixed[0]))  # type: ignore[arg-type]
            elif kind == "argument":
                made.append(Argument(*edges))
            else:
                made.append(self._record(fixed, kept, edges))
        return made[-1]

    def _record(self, fixed: Any, kept: Any, edges: tuple[Any, ...]) -> Record:
        op, attributes, count, versioned, types = fixed
        values = tuple(x[1] if x[0] == "plain" else self.numbers[x[1]] if x[0] == "number"
                       else self.saved[x[1]] for x in kept)  # fmt: skip
        versions = tuple(self.versions[x[1]] if x[0] == "saved" else -1 for x in kept)
        return Record(op, attributes, values[:count], edges, versions if versioned else (),
                      values[count:], types)  # fmt: skip
