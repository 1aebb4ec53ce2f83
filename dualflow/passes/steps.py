"""What one step of a repeated stretch takes and gives.

Comes in: a `Stretch` of a `Table`, and the stretches before it. Goes out: `Step`; or another
stretch to try in its place; or None, where its values cannot be those of a loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import final

from dualflow.base.records import record
from dualflow.ir.graph import Node, Value
from dualflow.ir.types import View, Window
from dualflow.ops import primitives as p

from .periods import Stretch, Table

#: A loop has at least so many steps.
LEAST = 16
#: How many steps back a step may look.
MOST_BACK = 6


@record
class Outside:
    """A value made before the loop, the same in every step."""

    value: Value


@record
class Made:
    """Result `result` of node `offset` of the step `back` steps ago; 0: of this step."""

    offset: int
    result: int
    back: int


@record
class Row:
    """Result `result` of node `offset` of a stretch before: of its step `first`, then every
    `stride`."""

    step: Step
    offset: int
    result: int
    first: int
    stride: int


Use = Outside | Made | Row
#: A result of a step: number of the node in it, number of the result.
Place = tuple[int, int]


@final
class Step:
    """One step of a stretch.

    Attributes:
        uses: for each node of the step, what its operands are.
        moves: for nodes whose position moves, by how much along each axis.
        buffers: nodes that write parts of a value of the step before, which move; what they make
            is only looked at through windows.
        back: for each result that later steps take: how many steps later at most.
        first: for these, by how many steps back, the value before the first step.
        stacked: results of which every step's is wanted after the loop.
        wanted: the results that are wanted after the loop, and of which steps.
    """

    def __init__(self, stretch: Stretch) -> None:
        self.stretch = stretch
        self.uses: list[tuple[Use, ...]] = []
        self.moves: dict[int, tuple[int, ...]] = {}
        self.buffers: set[int] = set()
        self.back: dict[Place, int] = {}
        self.first: dict[Place, list[Value]] = {}
        self.stacked: set[Place] = set()
        self.wanted: dict[Place, set[int]] = {}


def understand(table: Table, stretch: Stretch, before: Sequence[Step]) -> Step | Stretch | None:
    """See the module."""
    step = Step(stretch)
    later = Stretch(stretch.start + stretch.period, stretch.period, stretch.count - 1)
    for offset in range(stretch.period):
        i = stretch.start + offset
        node, uses = table.nodes[i], []
        if not all(value.type.size for value in (*node.operands, *node.results)):
            return None
        for a, value in enumerate(node.operands):
            use = _use(table, stretch, before, i, a)
            if use is None or isinstance(use, Stretch):
                return use
            if isinstance(use, Outside) and table.number[value] >= stretch.start * table.width:
                return later
            if isinstance(use, Made) and use.back and not _carry(step, table, use, i, a):
                return later
            uses.append(use)
        step.uses.append(tuple(uses))
        moved = table.positions[i + stretch.period] - table.positions[i]
        if moved.any():
            step.moves[offset] = tuple(moved.tolist())
    return step if _windows_are_sound(step, table.nodes[stretch.start : stretch.stop]) else None


def _use(
    table: Table, stretch: Stretch, before: Sequence[Step], i: int, a: int
) -> Use | Stretch | None:
    """What operand `a` of node `i`, a node of the first step, is."""
    start, period, count = stretch
    number = int(table.operands[i, a])
    moved = int(table.operands[i + period, a]) - number
    if moved == 0:
        return Outside(table.nodes[i].operands[a])
    if moved == period * table.width:
        distance = number // table.width - start
        back = 0 if distance >= 0 else -(distance // period)
        if back <= min(MOST_BACK, count):
            return Made(distance + back * period, number % table.width, back)
    for step in before:
        length = step.stretch.period * table.width
        if moved % length:
            continue
        inside = range(step.stretch.start * table.width, step.stretch.stop * table.width)
        steps = _steps_inside(number, moved, count, inside)
        if len(steps) < LEAST:
            continue
        if len(steps) < count:
            return Stretch(start + steps.start * period, period, len(steps))
        first, place = divmod(number - inside.start, length)
        offset, result = divmod(place, table.width)
        return Row(step, offset, result, first, moved // length)
    return None


def _steps_inside(number: int, moved: int, count: int, inside: range) -> range:
    """The steps k below `count` for which number + k * moved is in `inside`."""
    edges = (inside.start - number, inside.stop - 1 - number)
    low, high = edges if moved > 0 else (-edges[1], -edges[0])
    size = abs(moved)
    return range(max(0, -(-low // size)), min(count, high // size + 1))


def _carry(step: Step, table: Table, use: Made, i: int, a: int) -> bool:
    """Note a value that comes from an earlier step; whether it is of one type from the start."""
    place, period = (use.offset, use.result), step.stretch.period
    first = [table.nodes[i + k * period].operands[a] for k in reversed(range(use.back))]
    type_ = table.nodes[step.stretch.start + use.offset].results[use.result].type
    if use.back > step.back.get(place, 0):
        step.back[place], step.first[place] = use.back, first
    return all(value.type == type_ for value in first)


# Windows ---------------------------------------------------------------------------------------


def window(node: Node, moves: tuple[int, ...] | None, operand: int) -> Window:
    """The part of its first operand that a slice, select or slice_update touches."""
    whole = node.operands[0].shape
    moved = (moves or (0,) * len(whole))[: len(whole)]
    if node.op is p.select.op:
        axis, index = node.attributes["axis"], node.attributes["index"]
        starts = tuple(index if k == axis else 0 for k in range(len(whole)))
        shape = tuple(1 if k == axis else size for k, size in enumerate(whole))
        at = moved[0]
        moved = tuple(at if k == axis else 0 for k in range(len(whole)))
        return Window(operand, starts, shape, (1,) * len(whole), moved)  # type: ignore[arg-type]
    shape = (node.operands[1] if node.op is p.slice_update.op else node.result).shape
    starts, steps = node.attributes["starts"], node.attributes["steps"]
    return Window(operand, starts, shape, steps, moved)  # type: ignore[arg-type]


def buffer_of(step: Step, offset: int) -> int | None:
    """The buffer that a node looks into."""
    uses = step.uses[offset]
    if uses and isinstance(uses[0], Made) and uses[0].offset in step.buffers:
        return uses[0].offset
    return None


def _windows_are_sound(step: Step, nodes: Sequence[Node]) -> bool:
    """Whether what moves are parts of values from outside, or of buffers that each step reads and
    writes in different places. What a buffer is read for before it is written is read outside."""
    for offset in step.moves:
        if nodes[offset].op is p.slice_update.op:
            if step.uses[offset][0] != Made(offset, 0, 1):
                return False
            step.buffers.add(offset)
    if any(not _fits(step, nodes[offset], offset) for offset in step.buffers):
        return False
    for offset, buffer in list(_lookers(step)):
        node, use = nodes[offset], step.uses[offset][0]
        if offset == buffer:
            continue
        if node.op not in (p.slice.op, p.select.op) or not isinstance(use, Made) or use.back > 1:
            return False
        read = window(node, step.moves.get(offset), 0)
        written = window(nodes[buffer], step.moves[buffer], 0)
        shape, count = nodes[buffer].result.shape, step.stretch.count
        if read.before(written, shape, count, not use.back):
            step.uses[offset] = (Outside(step.first[buffer, 0][0]),)
        elif not read.apart(written, shape, count):
            return False
    return all(
        isinstance(step.uses[offset][0], Outside) or buffer_of(step, offset) is not None
        for offset in step.moves
    )


def _fits(step: Step, node: Node, offset: int) -> bool:
    """Whether what a buffer's node writes lies in one piece."""
    part = window(node, step.moves[offset], 0)
    return part.view(View.contiguous(node.result.shape)).is_contiguous


def _lookers(step: Step) -> Iterator[tuple[int, int]]:
    """Nodes that take a buffer, and the buffer."""
    for offset, uses in enumerate(step.uses):
        for use in uses:
            if isinstance(use, Made) and use.offset in step.buffers:
                yield offset, use.offset
