"""A recorded call -> its path: blocks of guards with the programs between them.

    Path = Block*; a block ends in a test of a tensor's value (a branch), the last one in a leaf

Comes in: a finished `Recorder` and what the call returned. Goes out: the blocks, each with its
graph and with what its text is to be (`wording.py`), to be merged into the tree of the compiled
function (`tree.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base import collection, config
from dualflow.base.shapes import Shape
from dualflow.ir.graph import Value
from dualflow.ir.types import View
from dualflow.ops import door

from . import commit, slices, wording
from .blocks import Block, outcome_key
from .keeping import Kept, evaluated
from .known import locks as known_locks
from .ndarrays.random import Drawing
from .provenance import Node, Origin
from .recorder import Recorder
from .results import Planner, Unsupported

#: Shorter graphs are not looked through for loops here, which saves the import of the passes.
LONG = 256

FindBlock = Callable[[Sequence[Block]], Block | None]


class Builder:
    """Makes the blocks of one recorded call."""

    def __init__(
        self,
        recorder: Recorder,
        result: Any,
        origin: Origin,
        find: FindBlock | None = None,
        donated: Sequence[Tensor] = (),
    ) -> None:
        self.recorder, self.result, self.origin = recorder, result, origin
        self.donated = donated
        self.find = find or (lambda path: None)
        self.path: list[Block] = []
        self.planner = Planner(recorder)
        self.commit = commit.Commit(recorder, self.planner)
        self.there: set[Value] = set()
        self.slices = slices.Path(recorder.notes.builder.nodes)
        self.ahead = False
        self.outside: list[Node | None] = []  # the tensor that each input of the last program is
        self.late: set[int] = set()
        self.under = wording.Circumstances(
            recorder.grad_enabled, config.active().numerics, door.state.autocast, door.state.device,
            recorder.outside.places, recorder.locks, recorder.late.arrays, Kept(),
        )  # fmt: skip
        self.drawn = 0  # so many draws of NumPy's the blocks of the path make
        self.shared = 0  # so many blocks of the path are those of an earlier recording
        self.words: list[Any] = []

    @cached_property
    def numbers(self) -> dict[Value, Any]:
        """How blocks call each value."""
        nodes = enumerate(self.recorder.notes.builder.nodes)
        return {value: (i, j) for i, node in nodes for j, value in enumerate(node.results)}

    @cached_property
    def values(self) -> dict[Any, Value]:
        """The value of each number."""
        return {number: value for value, number in self.numbers.items()}

    @collection.put_off
    def build(self) -> list[Block]:
        """The blocks of the path, the last one a leaf."""
        recorder = self.recorder
        description = None
        known_locks.held(recorder)
        if recorder.reason is None:
            self.planner.nodes.update(dict.fromkeys(recorder.arrays.late_calls))
            try:
                description = self.planner.plan(self.result, self.origin)
                self.commit.plan()
                self.commit.donate(self.donated, self.result)
                tested = evaluated(event[1] for event in recorder.events if event[0] == "test")
                computed = [node for node in recorder.computed if node not in tested]
                self.planner.nodes.update(dict.fromkeys(computed))
            except Unsupported as why:
                recorder.refuse(f"the result is {why}")
        blocks: list[Block] = []
        guards: list[tuple[Any, ...]] = []
        cut = self._cuts()
        for event in recorder.events:
            if event[0] != "test":
                guards.append(event)
            else:
                blocks.append(self._test(guards, event[1], event[2], cut))
                self.path.append(blocks[-1])
                self.under = self.under._replace(block=len(blocks))
                guards = []
        blocks.append(self._leaf(guards, description))
        if len(blocks) > 1:
            self._settle(blocks)
        recorder.nodes.let_go()
        return blocks

    def _settle(self, blocks: list[Block]) -> None:
        """Let the new blocks of a path keep what later ones need."""
        kept = self.under.kept
        kept.settle(blocks, [words.roots() for words in self.words], self.shared)
        for place, (block, words) in enumerate(zip(blocks, self.words, strict=True)):
            if block.words is None and place in kept.by:  # it was written to be compared
                block.say(words)

    # Which values ---------------------------------------------------------------------------

    def _late_of(self, nodes: Sequence[Node]) -> list[int]:
        """The numbers of the tensor values in `nodes`, new ones only."""
        found: dict[int, None] = {}
        todo = list(nodes)
        seen = set()
        while todo:
            node = todo.pop()
            if node in seen or not node.late:
                continue
            seen.add(node)
            if node.template.startswith("T["):
                found[node.constants[0]] = None
            todo += node.parents
        return [number for number in found if number not in self.late]

    def _cuts(self) -> list[Value]:
        """All values wanted anywhere on the path."""
        recorder = self.recorder
        if recorder.dead:
            return []
        wanted: dict[Value, None] = dict(self.planner.outputs)
        for number in self._late_of(list(self.planner.nodes)):
            wanted[recorder.late.values[number]] = None
        for event in recorder.events:
            if event[0] == "test":
                for number in self._late_of([event[1]]):
                    wanted[recorder.late.values[number]] = None
        return list(wanted)

    # Blocks ---------------------------------------------------------------------------------

    def _test(
        self, guards: list[tuple[Any, ...]], node: Node, outcome: Any, everything: list[Value]
    ) -> Block:
        numbers = self._late_of([node])
        wanted = [self.recorder.late.values[number] for number in numbers]
        words = wording.Test(self.under, guards, node, numbers, None, [])
        block = Block(words, _arguments(guards))
        block.outcome = outcome_key(outcome)
        place = len(self.path)
        same = self.find([*self.path, block]) if self.shared == place else None
        exports = self._exports(wanted, everything)
        if same is not None:  # an earlier recording went this way: its program is the one that runs
            self.there.update(self.values[number] for number in same.exports)
            self.there.difference_update(self.values[number] for number in same.drops)
            block.drops, block.drawn = same.drops, same.drawn
            self.shared += 1
            self.under.kept.go_on(place, same)
        elif wanted:
            program = self._program(block, [*wanted, *exports], raising=False)
            self.there.update(exports)
            self.there.difference_update(self.values[number] for number in block.drops)
            block.exports = [self.numbers[value] for value in exports]
            drawing = self._drawing(block, program)
            words = wording.Test(self.under, guards, node, numbers, program, block.exports, drawing)
            block.say(words)
        else:
            block.drawn = self.drawn
        self.drawn = block.drawn
        self.words.append(words)
        self.late.update(numbers)
        return block

    def _drawing(self, block: Block, program: wording.Program) -> Drawing:
        """What NumPy draws for a program of a block: all up to what it takes."""
        before = self.drawn
        taken = [source[1] + 1 for source in program.sources if source[0] == "drawn"]
        block.drawn = max(before, *taken) if taken else before
        return Drawing(self.recorder.drawn.calls[before : block.drawn], before)

    def _exports(self, wanted: list[Value], everything: list[Value]) -> list[Value]:
        """What the program for `wanted` computes and later programs of the path take."""
        if not self.ahead:
            self.ahead = True
            self.slices.look_ahead(everything)
        return self.slices.exports(wanted, self.there)

    def _leaf(self, guards: list[tuple[Any, ...]], description: Any) -> Block:
        recorder = self.recorder
        if recorder.dead:
            self.words.append(wording.Python(self.under, guards))
            block = Block(self.words[-1], _arguments(guards), leaf=True)
            block.reason = recorder.reason
            return block
        nodes = list(self.planner.nodes)
        numbers = self._late_of(nodes)
        outputs = list(self.planner.outputs)
        wanted = [*(recorder.late.values[number] for number in numbers), *outputs]
        block = Block(None, _arguments(guards), leaf=True)
        program = self._program(block, wanted, raising=True)
        late = [node for node in nodes if node.late]
        if all(node.template.startswith("T[") for node in late):  # nothing fails after it has run
            self._store_into(block, wanted)
        calls = [node.constants[2] for node in recorder.arrays.late_calls]
        said = [f"NumPy runs {call!r} on arrays whose shape values decide" for call in calls]
        block.words = wording.Leaf(
            self.under, guards, nodes, numbers, outputs, program, self.commit.redoing(),
            self.planner.plans, description,
            Drawing(recorder.drawn.calls[self.drawn :], self.drawn), said,
        )  # fmt: skip
        self.words.append(block.words)
        return block

    def _store_into(self, block: Block, wanted: list[Value]) -> None:
        """Let values of memory from outside be stored there at once, where the program reads it."""
        inputs = {node: i for i, node in enumerate(self.outside) if node is not None}
        written = Counter(value for _, value, _ in self.commit.writes)
        for node, value, _ in self.commit.writes:
            if written[value] == 1 and node in inputs and block.graph is not None:
                block.into[wanted.index(value)] = inputs[node]
        for value, node in self.commit.moved.items():
            if node in inputs and block.graph is not None:
                block.into[wanted.index(value)] = inputs[node]

    def _program(self, block: Block, wanted: list[Value], raising: bool) -> wording.Program:
        """A program for `wanted`."""
        nodes, taken = self.slices.closure(wanted, self.there, raising)
        sources, layouts = [], []
        graph = slices.cut(nodes, taken, wanted) if nodes else None
        tabled = None
        if graph is not None and len(graph.nodes) >= LONG:
            loops = import_module("dualflow.capture.rows")
            graph = loops.shorten(graph)
            tabled = loops.rows(graph, list(map(self._kind, taken)))
            if tabled is not None:
                graph, taken = tabled.graph, [taken[i] for i in tabled.kept]
        for value in taken:
            source, layout = self._input(block, value)
            sources.append(source)
            layouts.append(layout)
        self.outside = [source[1] if source[0] == "tensor" else None for source in sources]
        if graph is None:
            of = {value: i for i, value in enumerate(taken)}
            return wording.Program(sources, False, [of.get(value, -1) for value in wanted])
        if tabled is not None:
            sources += tabled.sources
            layouts += tabled.layouts
        block.graph, block.layouts = graph, layouts
        block.device = self.recorder.notes.device
        return wording.Program(sources, True, [-1] * len(wanted))

    def _kind(self, value: Value) -> tuple[Any, ...] | None:
        """What an input of the recording is; None for what a block before computed."""
        return None if value.node is not None else self.recorder.inputs[value.index]

    def _input(self, block: Block, value: Value) -> tuple[tuple[Any, ...], View]:
        """What an input of a program is (see `wording.Program`), and how it lies."""
        if value.node is not None:
            number = self.numbers[value]
            last = not block.leaf and self.slices.is_over(value)
            if last:
                block.drops.append(number)
            return ("earlier", number, last), View.contiguous(value.shape)
        source = self.recorder.inputs[value.index]
        if source[0] != "tensor":
            return source, View.contiguous(value.shape)
        _, node, tensor = source
        array = tensor.array
        strides = tuple([stride // array.itemsize for stride in array.strides])
        return ("tensor", node), View(array.shape, strides)


def _arguments(guards: list[tuple[Any, ...]]) -> list[tuple[int, Shape, np.dtype]]:
    """Number, shape and dtype of the arguments that guards ask to be tensors."""
    return [
        (event[1].constants[0], event[2][0], event[2][1])
        for event in guards
        if event[0] == "tensor" and event[1].template == "args[{k0}]"
    ]
