"""A LOOP node as a Loop step: its body planned once, its values in memory that is exchanged.

    carried values    input and output buffers of the body change places from step to step, such
                      that the last step leaves each result where it belongs
    windows           inputs and outputs of the body that move on in larger buffers

Comes in: the node, and how its operands lie. Goes out: `Repeated`; None where the node has to be
run by its NumPy implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dualflow.ir.graph import Graph, GraphBuilder, Node, Value
from dualflow.ir.program import Loop, Operand, Program
from dualflow.ir.types import TensorType, View, Window
from dualflow.ops import primitives as p

#: A value of the graph, or spare memory, and how a place of the loop sees it.
Place = tuple[Value, View]


@dataclass(eq=False)
class Repeated:
    """A loop to be, but for the buffers.

    Attributes:
        node: the LOOP node.
        body: the plan of its body.
        operands: the values in memory that it reads.
        spare: values made here, for memory that only the loop needs.
        places, following, moves: as in `Loop`.
        copies: pairs of source and target.
    """

    node: Node
    body: Any
    operands: tuple[Place, ...]
    spare: list[Value]
    places: list[Place]
    following: tuple[int, ...]
    moves: tuple[int, ...]
    copies: list[tuple[Place, Place]]

    def step(self, operand: Callable[[Value, View], Operand]) -> Loop:
        """The step, when buffers are known."""
        return Loop(
            self.body.program, self.node.attributes["count"],  # type: ignore[arg-type]
            tuple(operand(*place) for place in self.places), self.following, self.moves,
            tuple((operand(*source), operand(*target)) for source, target in self.copies),
            tuple(operand(*place) for place in self.operands),
            tuple(operand(value, packed(value)) for value in self.node.results),
        )  # fmt: skip


def packed(value: Value) -> View:
    return View.contiguous(value.shape)


def takes_as_it_lies(node: Node, value: Value, view: View | None) -> bool:
    """Whether the loop `node` can take the operand `value` from memory seen as `view`: what is
    carried or written is copied first, and has to be packed."""
    reached = node.attributes["carried"] + len(node.attributes.get("writes", ()))  # type: ignore[operator,arg-type]
    return view is not None and (value not in node.operands[:reached] or view.is_contiguous)


def repeat(
    node: Node, operands: Sequence[Place], plan: Callable[[Graph, list[View]], Any]
) -> Repeated | None:
    """See the module. `plan(graph, layouts)` plans a body."""
    attributes: Any = node.attributes
    carried, reads = attributes["carried"], attributes.get("reads", ())
    writes: Sequence[Window] = attributes.get("writes", ())
    body = _stored_apart(attributes["body"], carried)
    values = (*node.operands, *body.inputs, *body.outputs)
    if attributes["count"] == 0 or not body.outputs or any(not v.type.size for v in values):
        return None
    spare = [Value(body.inputs[0].type)]
    places: list[Place] = [(spare[0], packed(spare[0]))]
    places += [(result, packed(result)) for result in node.results[:carried]]  # for now
    places += operands[len(operands) - (len(body.inputs) - 1 - carried - len(reads)) :]
    memory = [*operands[:carried], *((value, packed(value)) for value in node.results[carried:])]
    memory += operands[len(memory) :]
    places += [_part(memory[window.operand], window) for window in reads]
    if not all(
        read.operand != write.operand
        or read.apart(write, node.operands[read.operand].shape, attributes["count"])
        for read in reads
        for write in writes
    ):
        return None
    found = plan(body, [View(view.shape, view.strides) for _, view in places])
    inputs, following = len(places), _following(found.program, carried)
    moves = [0] * (inputs - len(reads)) + [_move(window, memory) for window in reads]
    for value in body.outputs[:carried]:
        if value.node is not None:
            places.append((node.results[0], packed(value)))  # for now
            moves.append(0)
    for window in writes:
        place = _part(memory[window.operand], window)
        if not place[1].is_contiguous:
            return None
        places.append(place)
        moves.append(_move(window, memory))
    made = Repeated(
        node, found, tuple(operands), spare, places, following, tuple(moves), []
    )  # fmt: skip
    _settle(made, carried)
    _copy(made, body, operands, carried, writes)
    return made


def _part(place: Place, window: Window) -> Place:
    return place[0], window.view(place[1])


def _move(window: Window, memory: Sequence[Place]) -> int:
    """Bytes that a window moves on."""
    value, view = memory[window.operand]
    return window.move(view) * value.dtype.itemsize


def _stored_apart(body: Graph, carried: int) -> Graph:
    """The body, in which each output has memory of its own, or is another carried value."""
    builder = GraphBuilder()
    builder.inputs += body.inputs
    builder.nodes += body.nodes
    state, taken, outputs = set(body.inputs[1 : carried + 1]), set(), []
    for i, value in enumerate(body.outputs):
        exchanged = i < carried and value in state
        if value in taken or (value.node is None and not exchanged):
            value = builder.add(p.cast.op, (value,), {"dtype": value.dtype}).result
        taken.add(value)
        outputs.append(value)
    return builder.build(outputs)


def _following(program: Program, carried: int) -> tuple[int, ...]:
    """For each input and output buffer of the body, whose memory it has in the next step."""
    inputs = len(program.inputs)
    slots = [o.buffer.index for o in program.outputs if o.buffer.place == "output"]
    found = list(range(inputs + len(slots)))
    for i, output in enumerate(program.outputs[:carried]):
        made = output.buffer.place == "output"
        found[1 + i] = output.buffer.index + (inputs if made else 0)
    taken = {found[1 + i]: 1 + i for i in range(carried)}
    for place in [place for place in taken if place >= inputs]:
        last = place
        while last in taken:
            last = taken[last]
        found[place] = last
    return tuple(found)


def _settle(made: Repeated, carried: int) -> None:
    """Choose where exchanged places lie at first, so that the results end where they belong."""
    count: Any = made.node.attributes["count"]
    ends: dict[int, Value] = {}
    for i in range(carried):
        ends[_after(made.following, 1 + i, count)] = made.node.results[i]
    for place, follows in enumerate(made.following):
        if place != follows or 1 <= place <= carried:
            value = ends.get(place)
            if value is None:
                value = Value(TensorType(made.places[place][1].shape, _dtype(made, place)))
                made.spare.append(value)
            made.places[place] = (value, packed(value))


def _dtype(made: Repeated, place: int) -> Any:
    program = made.body.program
    if place < len(program.inputs):
        return program.inputs[place].dtype
    index = place - len(program.inputs)
    return next(o.dtype for o in program.outputs if o.buffer == _slot(program, index))


def _slot(program: Program, index: int) -> Any:
    found = (o.buffer for o in program.outputs if o.buffer.place == "output")
    return next(buffer for buffer in found if buffer.index == index)


def _after(following: Sequence[int], place: int, count: int) -> int:
    """Whose first memory a place has after `count` steps."""
    cycle = [place]
    while following[cycle[-1]] != place:
        cycle.append(following[cycle[-1]])
    return cycle[count % len(cycle)]


def _copy(
    made: Repeated, body: Graph, operands: Sequence[Place], carried: int, writes: Sequence[Window]
) -> None:
    """First values: of what is carried, if anything reads it, and of what is not all written."""
    read = {value for node in body.nodes for value in node.operands} | set(body.outputs)
    for i in range(carried):
        if body.inputs[1 + i] in read:
            made.copies.append((operands[i], made.places[1 + i]))
    count: Any = made.node.attributes["count"]
    for window in writes:
        value = made.node.results[window.operand]
        part = TensorType(window.shape, value.dtype).size
        if abs(window.move(packed(value))) != part or part * count != value.type.size:
            made.copies.append((operands[window.operand], (value, packed(value))))
