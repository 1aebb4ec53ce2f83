"""A recorded call -> its path: blocks of guards with the programs between them.

    Path = Block*; a block ends in a test of a tensor's value (a branch), the last one in a leaf

Comes in: a finished `Recorder` and what the call returned. Goes out: the blocks, each with its
generated function, to be merged into the tree of the compiled function (`tree.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any
from weakref import ref

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base import collection, config
from dualflow.ir.graph import Value
from dualflow.ir.types import View
from dualflow.ops import devices, door
from dualflow.ops.door import away
from dualflow.passes import shorten

from . import commit, known_locks, slices
from .blocks import Block, outcome_key
from .emit import Emitter, node_key
from .provenance import Node, Origin
from .recorder import Recorder
from .results import Planner, Unsupported
from .rows import rows
from .writing import Writer

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
        self.keys: dict[Node, Any] = {}
        self.there: set[Value] = set()
        self.slices = slices.Path(recorder.notes.builder.nodes)
        self.ahead = False
        self.undo = ""  # what sets random generators back
        self.outside: list[Node | None] = []  # the tensor that each input of the last program is
        self.late: set[int] = set()
        self.arrays: dict[Node, str] = {}
        self.numerics = config.active().numerics
        self.autocast = door.state.autocast
        self.place = door.state.device

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
                self.planner.nodes.update(dict.fromkeys(recorder.computed))
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
                guards = []
        blocks.append(self._leaf(guards, description))
        return blocks

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

    def _guards(self, emitter: Emitter, guards: list[tuple[Any, ...]], block: Block) -> int:
        """Write guards; a key that is equal for guards that say the same."""
        kinds: list[Any] = []
        arrays: dict[str, Any] = {}
        absent = emitter.absences([event[1] for event in guards if event[0] == "guard"])
        for event in guards:
            if event[0] == "guard":
                if event[1] not in absent:
                    emitter.guard(event[1])
                if event[1].template.startswith("type("):
                    kinds.append(str(event[1]))
            elif event[0] == "value":
                emitter.node(event[1])
            else:
                _, node, layout, requires, taped = event
                emitter.tensor(node, layout, requires, taped)
                shape, dtype, strides = layout
                if node.template == "args[{k0}]":
                    block.arguments.append((node.constants[0], shape, dtype))
                place = arrays[emitter.array(node)] = self.recorder.outside.places.get(node, "cpu")
                kinds.append((str(node), shape, dtype.str, strides, requires, taped, str(place)))
        block.kinds = tuple(kinds)
        self._check_places(emitter, arrays)
        return emitter.key()

    def _check_places(self, emitter: Emitter, arrays: dict[str, Any]) -> None:
        """Guard on which devices tensors lie, and on which new ones will."""
        emitter.namespace["away"], emitter.namespace["ndarray"] = away, np.ndarray
        place = None if self.place is None else emitter.constant(self.place)
        test = f"state.device is not {place}" if place is None else f"state.device != {place}"
        emitter.line(f"if {test}: return MISS")
        here = [name for name, on in arrays.items() if on == "cpu"]
        if here:
            tests = " or ".join(f"type({name}) is not ndarray" for name in here)
            emitter.line(f"if away and ({tests}): return MISS")
        for name, on in arrays.items():
            if on != "cpu":
                number = devices.device(on).number
                test = f"type({name}) is ndarray or {name}.data.device_id != {number}"
                emitter.line(f"if {test}: return MISS")

    def _test(
        self, guards: list[tuple[Any, ...]], node: Node, outcome: Any, everything: list[Value]
    ) -> Block:
        block, emitter = Block(None), Emitter()
        recorder = self.recorder
        self._open(emitter)
        key = self._guards(emitter, guards, block)
        emitter.line("if check: return FITS")
        numbers = self._late_of([node])
        wanted = [recorder.late.values[number] for number in numbers]
        block.outcome = outcome_key(outcome)
        block.key = (key, node_key(node, self.keys))
        same = self.find([*self.path, block])
        exports = self._exports(wanted, everything)
        if same is not None:  # an earlier recording went this way: its program is the one that runs
            self.there.update(self.values[number] for number in same.exports)
            self.there.difference_update(self.values[number] for number in same.drops)
            block.drops = same.drops
        elif wanted:
            names = self._program(block, emitter, [*wanted, *exports], raising=False)
            self._late_values(emitter, numbers, names)
            for value, name in zip(exports, names[len(numbers) :], strict=True):
                emitter.line(f"X[{emitter.constant(self.numbers[value])}] = {name}")
            self.there.update(exports)
            self.there.difference_update(self.values[number] for number in block.drops)
            block.exports = [self.numbers[value] for value in exports]
        self.late.update(numbers)
        emitter.line(f"return {emitter.node(node)}")
        self._close(emitter)
        self._finish(block, emitter, f"test {node}")
        return block

    def _exports(self, wanted: list[Value], everything: list[Value]) -> list[Value]:
        """What the program for `wanted` computes and later programs of the path take."""
        if not self.ahead:
            self.ahead = True
            self.slices.look_ahead(everything)
        return self.slices.exports(wanted, self.there)

    def _leaf(self, guards: list[tuple[Any, ...]], description: Any) -> Block:
        block, emitter = Block(None), Emitter()
        block.leaf = True
        recorder = self.recorder
        if not recorder.dead:
            known_locks.write(recorder, emitter)
        self._open(emitter)
        key = self._guards(emitter, guards, block)
        if recorder.dead:
            block.reason = recorder.reason
            emitter.line("return FITS if check else PYTHON")
            self._close(emitter)
            block.key = (key, "python")
            self._finish(block, emitter, "path in Python")
            return block
        for node in self.planner.nodes:
            if not node.late:
                emitter.node(node)
        self.commit.check(emitter)
        emitter.line("if check: return FITS")
        self.outside = []
        self.undo = recorder.drawn.write(emitter)
        numbers = self._late_of(list(self.planner.nodes))
        outputs = list(self.planner.outputs)
        wanted = [*(recorder.late.values[number] for number in numbers), *outputs]
        late = [node for node in self.planner.nodes if node.late]
        names = self._program(block, emitter, wanted, raising=True)
        if all(node.template.startswith("T[") for node in late):  # nothing fails after it has run
            self._store_into(block, wanted)
        self._late_values(emitter, numbers, names)
        if late:
            emitter.line("try:")
            emitter.indent += 1
            emitter.line("pass")
            for node in late:
                emitter.node(node)
            emitter.indent -= 1
            emitter.line(f"except Exception: {self.undo}return RAISED")
        made = dict(zip(outputs, names[len(numbers) :], strict=True))
        self._close(emitter)
        writer = Writer(emitter, self.planner.plans, made)
        calls = [node.constants[2] for node in recorder.arrays.late_calls]
        late = [f"NumPy runs {call!r} on arrays whose shape values decide" for call in calls]
        block.effects = late + self.commit.write(writer)
        result = writer.write(description)
        writer.write_histories()
        emitter.line(f"return {result}")
        known_locks.close(recorder, emitter)
        block.key = (key, "leaf")
        self._finish(block, emitter, "replay")
        return block

    def _late_values(self, emitter: Emitter, numbers: list[int], names: list[str]) -> None:
        """Lines that keep what a program computed for Python."""
        whole = self.recorder.late.whole.values()
        for number, name in zip(numbers, names, strict=False):
            emitter.line(f"T[{number}] = {name}{'' if number in whole else '.item()'}")

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

    def _open(self, emitter: Emitter) -> None:
        emitter.line("try:")
        emitter.indent += 1
        emitter.line(f"if state.grad_enabled is not {self.recorder.grad_enabled}: return MISS")
        emitter.namespace["settings"] = config.active
        emitter.line("now = settings()")
        emitter.line(f"if now.numerics != {self.numerics!r}: return MISS")
        emitter.line(f"if state.autocast != {self.autocast!r}: return MISS")

    def _close(self, emitter: Emitter) -> None:
        emitter.indent -= 1
        emitter.line("except GuardErrors: return MISS")
        emitter.namespace["GuardErrors"] = GUARD_ERRORS

    def _program(
        self, block: Block, emitter: Emitter, wanted: list[Value], raising: bool
    ) -> list[str]:
        """Lines that run a program for `wanted`; the names of its outputs."""
        nodes, taken = self.slices.closure(wanted, self.there, raising)
        names: dict[Value, str] = {}
        arrays, layouts = [], []
        graph = shorten(slices.cut(nodes, taken, wanted)) if nodes else None
        tabled = None if graph is None else rows(graph, list(map(self._kind, taken)), emitter)
        if tabled is not None:
            graph, taken = tabled.graph, [taken[i] for i in tabled.kept]
        for value in taken:
            text, layout = self._input(block, emitter, value)
            arrays.append(text)
            layouts.append(layout)
            names[value] = text
        if graph is None:
            return [f"{names[value]}.copy()" if value in names else "" for value in wanted]
        block.graph = graph
        block.device = self.recorder.notes.device
        self.outside = [self._outside(value) for value in taken]
        if tabled is not None:
            arrays += tabled.texts
            layouts += tabled.layouts
            self.outside += [None] * len(tabled.texts)
        block.layouts = layouts
        out = emitter.name()
        emitter.line(f"try: {out} = run(({''.join(text + ', ' for text in arrays)}))")
        emitter.line(f"except Exception: {self.undo}return RAISED")
        return [f"{out}[{i}]" for i in range(len(wanted))]

    def _kind(self, value: Value) -> tuple[Any, ...] | None:
        """What an input of the recording is; None for what a block before computed."""
        return None if value.node is not None else self.recorder.inputs[value.index]

    def _outside(self, value: Value) -> Node | None:
        """The tensor from outside that a value is; None if it is none."""
        if value.node is not None:
            return None
        kind, *rest = self.recorder.inputs[value.index]
        return rest[0] if kind == "tensor" else None

    def _input(self, block: Block, emitter: Emitter, value: Value) -> tuple[str, View]:
        contiguous = View.contiguous(value.shape)
        if value.node is not None:
            number = self.numbers[value]
            last = not block.leaf and self.slices.is_over(value)
            if last:
                block.drops.append(number)
            name = emitter.constant(number)
            return f"X.pop({name})" if last else f"X[{name}]", contiguous
        kind, *rest = self.recorder.inputs[value.index]
        emitter.namespace["np_array"] = np.array
        if kind == "tensor":
            node, tensor = rest
            array = tensor.array
            strides = tuple(stride // array.itemsize for stride in array.strides)
            return emitter.array(node), View(array.shape, strides)
        if kind == "scalar":
            node, dtype = rest
            return f"np_array({emitter.node(node)}, {emitter.constant(dtype)})", contiguous
        if kind == "constant":
            return emitter.constant(rest[0]), contiguous
        if kind == "late":
            return emitter.node(rest[0]), contiguous
        if kind == "drawn":
            return f"D[{rest[0]}]", contiguous
        node, before = rest  # a draw
        emitter.namespace["uint64"] = np.dtype("uint64")
        name = emitter.node(node)
        return f"np_array(({name}.key, {name}.counter + {before}), uint64)", contiguous

    def _finish(self, block: Block, emitter: Emitter, title: str) -> None:
        block._namespace = emitter.namespace

        def gone(_: Any) -> None:  # ids in the key may come to mean something else
            block.key = object()
            if block.native is not None:
                block.native.end()

        for name, target in emitter.weak:
            block._namespace[name] = ref(target, gone)
        compiled, block.text = emitter.finish(title)

        def first(*given: Any) -> Any:
            block.call = compiled()
            return block.call(*given)

        block.call = first


#: a path that does not exist any more, arithmetic that fails: the guards do not fit
GUARD_ERRORS = Exception
