"""Stretches that can be loops, written as loops.

Comes in: a graph, its `Table`, and the `Step` of each stretch. Goes out: a graph in which a LOOP
node stands for each stretch, and what takes its values takes the loop's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dualflow.base.dtypes import int64
from dualflow.ir.graph import Graph, GraphBuilder, Node, Value
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType, Window
from dualflow.ops import primitives as p

from .periods import Table
from .rewriter import Rewriter, full_of
from .steps import Made, Outside, Place, Row, Step, Use, buffer_of, window

#: So many parts of a concat that are steps of one loop become one part.
MERGED = 4


class Emission(Rewriter):
    """See the module."""

    def __init__(self, graph: Graph, table: Table, steps: Sequence[Step]) -> None:
        super().__init__(graph)
        self.table, self.steps = table, steps
        self.stacks: dict[tuple[Step, Place], Value] = {}
        self.places: dict[Value, tuple[Step, Place, int]] = {}

    def run(self) -> Graph:
        """The graph with loops."""
        at = 0
        for step in self.steps:
            for node in self.graph.nodes[at : step.stretch.start]:
                self._keep(node)
            self._loop(step)
            at = step.stretch.stop
        for node in self.graph.nodes[at:]:
            self._keep(node)
        return self.graph_of(self.graph.outputs)

    def full(self, number: float, type_: TensorType) -> Value:
        """A constant; the elements of none are ever seen."""
        kind = type_.dtype.type(number).item()
        return self.add(p.full.op, (), full_of(kind, type_), None).result

    # A loop ------------------------------------------------------------------------------------

    def _loop(self, step: Step) -> None:
        body = _Body(self, step)
        node = self.add(p.loop.op, body.operands, body.attributes, body.line)
        period, count = step.stretch.period, step.stretch.count
        nodes, results = self.graph.nodes[step.stretch.start : step.stretch.stop], node.results
        for offset in step.buffers:
            self.replace(nodes[offset - period].result, results[body.written[offset, 0]])
        for place in step.stacked:
            stack = results[body.written[place]]
            self.stacks[step, place] = stack
            for k in range(count):
                value = nodes[k * period + place[0]].results[place[1]]
                self.places[value] = step, place, k
        for place, wanted in step.wanted.items():
            for k in wanted:
                value = nodes[k * period + place[0]].results[place[1]]
                if count - k <= body.depth.get(place, 0):
                    self.replace(value, results[body.carried[place] + count - k - 1])
                elif place in step.stacked:
                    row = {"axis": 0, "index": k}
                    self.replace(value, self.add(p.select.op, (self.stacks[step, place],), row,
                                                 None).result)  # fmt: skip

    # What takes all steps ----------------------------------------------------------------------

    def _keep(self, node: Node) -> None:
        if node.op is not p.concat.op or len(node.operands) < MERGED:
            self.keep(node)
            return
        axis: int = node.attributes["axis"]  # type: ignore[assignment]
        parts = [self._merged(part, axis) for part in self._runs(node.operands)]
        if len(parts) == len(node.operands):
            self.keep(node)
            return
        made = parts[0]
        if len(parts) > 1:
            made = self.add(p.concat.op, tuple(parts), {"axis": axis}, node.line).result
        self.replace(node.result, made)

    def _runs(self, values: Sequence[Value]) -> Iterator[list[Value]]:
        """Cut where the values are not those of one step after the other, or the other way."""
        run: list[Value] = []
        for value in values:
            if run and not self._continues(run, value):
                yield from [run] if len(run) >= MERGED else [[v] for v in run]
                run = []
            run.append(value)
        yield from [run] if len(run) >= MERGED else [[v] for v in run]

    def _continues(self, run: Sequence[Value], value: Value) -> bool:
        last, this = self._source(run[-1]), self._source(value)
        if last is None or this is None or last[:2] != this[:2]:
            return False
        if value.type != run[-1].type:
            return False
        stride = this[2] - last[2]
        before = self._source(run[-2]) if len(run) > 1 else None
        return abs(stride) == 1 and (before is None or last[2] - before[2] == stride)

    def _source(self, value: Value) -> tuple[Step, Place, int] | None:
        """The stacked value that this one is, seen in another shape."""
        while value not in self.places and value.node is not None:
            if value.node.op is not p.reshape.op:
                return None
            value = value.node.operands[0]
        return self.places.get(value)

    def _merged(self, run: Sequence[Value], axis: int) -> Value:
        """Values of one step after the other, put together along an axis."""
        if len(run) == 1:
            return self.value(run[0])
        step, place, first = self._source(run[0])  # type: ignore[misc]
        stride = self._source(run[1])[2] - first  # type: ignore[index]
        stack, shape = self.stacks[step, place], run[0].shape
        whole = stack.shape
        part = {
            "starts": (first, *(0 for _ in whole[1:])),
            "stops": (first + len(run) * stride, *whole[1:]),
            "steps": (stride, *(1 for _ in whole[1:])),
        }
        rows = self.add(p.slice.op, (stack,), part, None).result
        rows = self.add(p.reshape.op, (rows,), {"shape": (len(run), *shape)}, None).result
        axes = (*range(1, axis + 1), 0, *range(axis + 1, len(shape) + 1))
        rows = self.add(p.permute.op, (rows,), {"axes": axes}, None).result
        merged = (*shape[:axis], len(run) * shape[axis], *shape[axis + 1 :])
        return self.add(p.reshape.op, (rows,), {"shape": merged}, None).result


class _Body:
    """The body of one loop, and what the loop node needs beside it.

    Attributes:
        operands, attributes: of the loop node.
        depth: of results that are carried, by how many steps.
        carried: for these, which result of the loop is that of the last step.
        written: which result of the loop is a buffer (of a node and result) or a stack.
    """

    def __init__(self, emission: Emission, step: Step) -> None:
        self.emission, self.step = emission, step
        stretch, graph = step.stretch, emission.graph
        self.template = graph.nodes[stretch.start : stretch.start + stretch.period]
        self.line = self.template[0].line
        self.builder = GraphBuilder()
        self.builder.input(TensorType((), int64))
        self.depth = self._depths()
        self.carried: dict[Place, int] = {}
        self.inputs: dict[tuple[Place, int], Value] = {}
        first = self._carry()
        buffers, self.written = self._buffers(len(first))
        self.memory = [*first, *buffers]
        self.constants: dict[Value, Value] = {}
        self.reads: dict[Window, Value] = {}
        self._find_constants_and_reads()
        made = self._write_nodes()
        graph = self._graph(made)
        constants = self._constant_operands
        self.operands = (*self.memory, *constants)
        self.attributes = {
            "body": graph, "count": stretch.count, "carried": len(first),
            "reads": tuple(self.reads), "writes": self._writes(len(first)),
        }  # fmt: skip

    def _depths(self) -> dict[Place, int]:
        count = self.step.stretch.count
        found = {p_: n for p_, n in self.step.back.items() if p_[0] not in self.step.buffers}
        for place, wanted in self.step.wanted.items():
            if count - 1 in wanted and place[0] not in self.step.buffers:
                found.setdefault(place, 1)
        return found

    def _value(self, place: Place) -> Value:
        return self.template[place[0]].results[place[1]]

    def _carry(self) -> list[Value]:
        """Inputs of the body for what is carried; the values before the first step."""
        first: list[Value] = []
        for place, depth in self.depth.items():
            type_ = self._value(place).type
            self.carried[place] = len(first)
            known = self.step.first.get(place, ())
            for back in range(1, depth + 1):
                self.inputs[place, back] = self.builder.input(type_)
                if back <= len(known):
                    first.append(self.emission.value(known[back - 1]))
                else:
                    first.append(self.emission.full(0, type_))
        return first

    def _buffers(self, carried: int) -> tuple[list[Value], dict[Place, int]]:
        found: list[Value] = []
        places: dict[Place, int] = {}
        for offset in sorted(self.step.buffers):
            places[offset, 0] = carried + len(found)
            (first,) = self.step.first[offset, 0][:1]
            found.append(self.emission.value(first))
        for place in sorted(self.step.stacked):
            places[place] = carried + len(found)
            type_ = self._value(place).type
            rows = TensorType((self.step.stretch.count, *type_.shape), type_.dtype)
            found.append(self.emission.full(0, rows))
        return found, places

    def _writes(self, carried: int) -> tuple[Window, ...]:
        found = []
        for offset in sorted(self.step.buffers):
            moves = self.step.moves[offset]
            found.append(window(self.template[offset], moves, carried + len(found)))
        for place in sorted(self.step.stacked):
            shape = self._value(place).shape
            found.append(_row(carried + len(found), shape, 0, 1))
        return tuple(found)

    # Operands ----------------------------------------------------------------------------------

    def _find_constants_and_reads(self) -> None:
        """Inputs of the body: first all constants, then all windows."""
        reads: dict[Window, TensorType] = {}
        constants: dict[Value, None] = {}
        walked: dict[Value, int] = {}
        self.seen: dict[tuple[int, int], Window] = {}

        def operand(value: Value) -> int:
            if value not in walked:
                walked[value] = len(self.memory)
                self.memory.append(value)
            return walked[value]

        for offset, uses in enumerate(self.step.uses):
            node, buffer = self.template[offset], buffer_of(self.step, offset)
            for a, use in enumerate(uses):
                found = None
                if isinstance(use, Row):
                    stack = self.emission.stacks[use.step, (use.offset, use.result)]
                    shape = stack.shape[1:]
                    found = _row(operand(stack), shape, use.first, use.stride)
                elif offset in self.step.buffers and a == 0:
                    continue
                elif buffer is not None and a == 0:
                    found = window(node, self.step.moves.get(offset), self.written[buffer, 0])
                elif isinstance(use, Outside) and a == 0 and offset in self.step.moves:
                    value = self.emission.value(use.value)
                    found = window(node, self.step.moves[offset], operand(value))
                elif isinstance(use, Outside) and not _is_number(use.value):
                    constants[self.emission.value(use.value)] = None
                if found is not None:
                    self.seen[offset, a] = found
                    reads[found] = TensorType(found.shape, self.memory[found.operand].dtype)
        self._constant_operands = tuple(constants)
        for value in constants:
            self.constants[value] = self.builder.input(value.type)
        for read, type_ in reads.items():
            self.reads[read] = self.builder.input(type_)

    def _operand(self, use: Use, made: dict[Place, Value]) -> Value:
        if isinstance(use, Made):
            place = use.offset, use.result
            return self.inputs[place, use.back] if use.back else made[place]
        assert isinstance(use, Outside)
        node = use.value.node
        if node is not None and _is_number(use.value):
            return self._add(node, ())
        return self.constants[self.emission.value(use.value)]

    def _add(self, node: Node, operands: tuple[Value, ...]) -> Value:
        return self.builder.add(node.op, operands, node.attributes, node.line).results[0]

    def _reshaped(self, value: Value, shape: tuple[int, ...]) -> Value:
        if value.shape == shape:
            return value
        return self.builder.add(p.reshape.op, (value,), {"shape": shape}).result

    # Nodes -------------------------------------------------------------------------------------

    def _write_nodes(self) -> dict[Place, Value]:
        """The nodes of one step; for a buffer, what is written into it."""
        made: dict[Place, Value] = {}
        for offset, (node, uses) in enumerate(zip(self.template, self.step.uses, strict=True)):
            looked = self.seen.get((offset, 0))
            if looked is not None and not isinstance(uses[0], Row):
                made[offset, 0] = self._reshaped(self.reads[looked], node.result.shape)
                continue
            if offset in self.step.buffers:
                made[offset, 0] = self._taken(offset, 1, made)
                continue
            operands = tuple(self._taken(offset, a, made) for a in range(len(uses)))
            kept = self.builder.add(node.op, operands, node.attributes, node.line)
            for r, value in enumerate(kept.results):
                made[offset, r] = value
        return made

    def _taken(self, offset: int, a: int, made: dict[Place, Value]) -> Value:
        read = self.seen.get((offset, a))
        if read is None:
            return self._operand(self.step.uses[offset][a], made)
        return self._reshaped(self.reads[read], self.template[offset].operands[a].shape)

    def _graph(self, made: dict[Place, Value]) -> Graph:
        outputs: list[Value] = []
        for place, depth in self.depth.items():
            outputs.append(made[place])
            outputs += [self.inputs[place, back] for back in range(1, depth)]
        outputs += [made[offset, 0] for offset in sorted(self.step.buffers)]
        for place in sorted(self.step.stacked):
            outputs.append(self._reshaped(made[place], (1, *made[place].shape)))
        return self.builder.build(outputs)


def _is_number(value: Value) -> bool:
    """Whether a constant is made anew in the body."""
    return value.node is not None and value.node.op.kind is Kind.CREATION


def _row(operand: int, shape: tuple[int, ...], first: int, stride: int) -> Window:
    """A row of a stack."""
    zeros = (0,) * len(shape)
    return Window(operand, (first, *zeros), (1, *shape), (1,) * (1 + len(shape)), (stride, *zeros))
