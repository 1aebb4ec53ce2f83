"""The text of a block: what was decided of it -> the function that checks and runs.

Comes in: guards, inputs and outputs of a program, effects, results: facts in which nothing of the
recorded call lives on. Goes out: a `Written`. A block is written when it is first asked for its
text, mostly behind the first call, while its program is being compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any, NamedTuple, final
from weakref import ref

import numpy as np

from dualflow.base import config
from dualflow.ir.graph import Value
from dualflow.ops import devices
from dualflow.ops.door import away

from .emit import Emitter
from .keeping import Kept, nodes_in
from .known import locks as known_locks
from .ndarrays.random import Drawing
from .provenance import Node
from .redoing import Redoing
from .writing import Writer

#: a path that does not exist any more, arithmetic that fails: the guards do not fit
GUARD_ERRORS = Exception


@final
class Written:
    """The text of a block.

    Attributes:
        key: equal for blocks of two recordings that check and compute the same.
        kinds: the types and layouts that its guards ask for.
        text, effects: for readers.
        namespace: of the function.
        compile: what compiles the function, which takes longer than to record it.
        weak: the weak references in the namespace, by name.
    """

    __slots__ = ("compile", "effects", "key", "kinds", "namespace", "text", "weak")

    def __init__(
        self, emitter: Emitter, key: Any, kinds: tuple[Any, ...], title: str, effects: list[str]
    ) -> None:
        self.key, self.kinds, self.effects = key, kinds, effects
        self.namespace, self.weak = emitter.namespace, emitter.weak
        self.compile, self.text = emitter.finish(title)

    def watch(self, gone: Callable[[Any], None]) -> None:
        """Call `gone` when something dies that guards refer to; now, if it is dead already."""
        for name, held in self.weak:
            target = held()
            self.namespace[name] = held if target is None else ref(target, gone)
            if target is None:
                gone(held)


class Circumstances(NamedTuple):
    """What is the same for all blocks of a recorded call, but for the number of the block.

    Attributes:
        grad_enabled, numerics, autocast, device: the settings that it ran under.
        places: where tensors from outside lie that are not on the CPU.
        locks: those that the call takes.
        arrays: the numbers of late values that are whole arrays; it grows up to the last block.
        kept: what blocks keep for later ones.
        block: the number of the block in its path.
    """

    grad_enabled: bool
    numerics: str
    autocast: str
    device: Any
    places: dict[Node, Any]
    locks: dict[Node, Any]
    arrays: Set[int]
    kept: Kept
    block: int = 0

    def emitter(self) -> Emitter:
        """An empty text, which finds what blocks before kept."""
        return Emitter(lambda node: self.kept.name(node, self.block))

    def open(self, emitter: Emitter) -> None:
        """The first lines: guards may fail from here on."""
        emitter.line("try:")
        emitter.indent += 1
        emitter.line(f"if state.grad_enabled is not {self.grad_enabled}: return MISS")
        emitter.namespace["settings"] = config.active
        emitter.line("now = settings()")
        emitter.line(f"if now.numerics != {self.numerics!r}: return MISS")
        emitter.line(f"if state.autocast != {self.autocast!r}: return MISS")

    def close(self, emitter: Emitter) -> None:
        """The end of what fails where guards do not fit."""
        emitter.indent -= 1
        emitter.line("except GuardErrors as error: pass_on(error); return MISS")
        emitter.namespace["GuardErrors"] = GUARD_ERRORS

    def guards(
        self, emitter: Emitter, guards: Sequence[tuple[Any, ...]]
    ) -> tuple[int, tuple[Any, ...]]:
        """Write guards: a key that is equal for guards that say the same, and their kinds."""
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
                place = arrays[emitter.array(node)] = self.places.get(node, "cpu")
                kinds.append((str(node), shape, dtype.str, strides, requires, taped, str(place)))
        self._check_places(emitter, arrays)
        return emitter.key(), tuple(kinds)

    def _check_places(self, emitter: Emitter, arrays: dict[str, Any]) -> None:
        """Guard on which devices tensors lie, and on which new ones will."""
        emitter.namespace["away"], emitter.namespace["ndarray"] = away, np.ndarray
        place = None if self.device is None else emitter.constant(self.device)
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

    def late_values(self, emitter: Emitter, numbers: Sequence[int], names: Sequence[str]) -> None:
        """Lines that keep what a program computed for Python."""
        for number, name in zip(numbers, names, strict=False):
            emitter.line(f"T[{number}] = {name}{'' if number in self.arrays else '.item()'}")

    def keep(self, emitter: Emitter) -> None:
        """Lines that keep Python numbers for later blocks."""
        for node, name in self.kept.by[self.block].items():
            emitter.line(f"T[{name!r}] = {emitter.node(node)}")


class Program(NamedTuple):
    """A program within a block.

    Attributes:
        sources: what its inputs are (see `_source`).
        runs: whether there is anything to compute; else outputs are copies of inputs.
        outputs: for each output the number of the input that it is a copy of, or -1.
    """

    sources: list[tuple[Any, ...]]
    runs: bool
    outputs: list[int]

    def write(self, emitter: Emitter, undo: str = "") -> list[str]:
        """Lines that run it; the names of its outputs."""
        texts = [_source(emitter, *source) for source in self.sources]
        if not self.runs:
            return [f"{texts[i]}.copy()" if i >= 0 else "" for i in self.outputs]
        out = emitter.name()
        emitter.line(f"try: {out} = run(({''.join(text + ', ' for text in texts)}))")
        emitter.line(f"except Exception as error: {undo}pass_on(error); return RAISED")
        return [f"{out}[{i}]" for i in range(len(self.outputs))]


def _source(emitter: Emitter, kind: str, what: Any, more: Any = None) -> str:
    """The text of an input of a program."""
    emitter.namespace["np_array"] = np.array
    if kind == "earlier":  # an output of the program of an earlier block; more: the last one
        name = emitter.constant(what)
        return f"X.pop({name})" if more else f"X[{name}]"
    if kind == "tensor":
        return emitter.array(what)
    if kind == "scalar":
        return f"np_array({emitter.node(what)}, {emitter.constant(more)})"
    if kind in ("constant", "table"):
        return emitter.constant(what)
    if kind == "late":
        return emitter.node(what)
    if kind == "drawn":
        return f"D[{what}]"
    if kind == "numbers":
        parts = ", ".join(map(emitter.node, what))
        return f"np_array(({parts}), {emitter.constant(more)})"
    if kind == "states":
        emitter.namespace["states"] = states
        return f"states({emitter.node(what)}, {emitter.constant(more)})"
    emitter.namespace["uint64"] = np.dtype("uint64")
    name = emitter.node(what)  # a draw
    return f"np_array(({name}.key, {name}.counter + {more}), uint64)"


def guarded(guards: Sequence[tuple[Any, ...]]) -> list[Node]:
    """The nodes in events of a recording."""
    return [event[1] for event in guards]


def states(generator: Any, befores: np.ndarray) -> np.ndarray:
    """The states of draws, so many draws after now, a row each."""
    found = np.empty((len(befores), 2), np.uint64)
    found[:, 0] = generator.key
    found[:, 1] = befores + np.uint64(generator.counter)
    return found


class Test(NamedTuple):
    """A block that ends in a test of the value of a tensor.

    Attributes:
        node: what is tested.
        numbers: of the late values that its program computes.
        exports: the numbers of values that later blocks take.
        drawing: what NumPy draws first.
    """

    under: Circumstances
    guards: list[tuple[Any, ...]]
    node: Node
    numbers: list[int]
    program: Program | None
    exports: list[Any]
    drawing: Drawing = Drawing()

    def roots(self) -> list[Node]:
        """The nodes that it evaluates, not those that they are made of."""
        sources = [] if self.program is None else self.program.sources
        return [*guarded(self.guards), *nodes_in(sources), self.node]

    def write(self) -> Written:
        """The block."""
        emitter, under = self.under.emitter(), self.under
        under.open(emitter)
        key, kinds = under.guards(emitter, self.guards)
        emitter.line("if check: return FITS")
        if self.program is not None:
            self.drawing.write(emitter, ends=False)
            names = self.program.write(emitter)
            under.late_values(emitter, self.numbers, names)
            for number, name in zip(self.exports, names[len(self.numbers) :], strict=True):
                emitter.line(f"X[{emitter.constant(number)}] = {name}")
        under.keep(emitter)
        emitter.line(f"return {emitter.node(self.node)}")
        under.close(emitter)
        return Written(emitter, (key, self.node.key), kinds, f"test {self.node}", [])


class Python(NamedTuple):
    """The end of a path that runs in Python."""

    under: Circumstances
    guards: list[tuple[Any, ...]]

    def roots(self) -> list[Node]:
        """The nodes that it evaluates, not those that they are made of."""
        return guarded(self.guards)

    def write(self) -> Written:
        """The block."""
        emitter = self.under.emitter()
        self.under.open(emitter)
        key, kinds = self.under.guards(emitter, self.guards)
        emitter.line("return FITS if check else PYTHON")
        self.under.close(emitter)
        return Written(emitter, (key, "python"), kinds, "path in Python", [])


class Leaf(NamedTuple):
    """The end of a path that is replayed.

    Attributes:
        nodes: those to evaluate before anything is committed.
        numbers: of the late values that its program computes; `outputs`: what else it does.
        redoing: the effects; `plans`, `result`: of what is made and given back.
        drawing: what NumPy draws first.
        said: what readers are told of the program.
    """

    under: Circumstances
    guards: list[tuple[Any, ...]]
    nodes: list[Node]
    numbers: list[int]
    outputs: list[Value]
    program: Program
    redoing: Redoing
    plans: dict[int, tuple[Any, ...]]
    result: Any
    drawing: Drawing
    said: list[str]

    def roots(self) -> list[Node]:
        """The nodes that it evaluates, not those that they are made of."""
        return [*guarded(self.guards), *nodes_in(self.program.sources), *self.nodes]

    def write(self) -> Written:
        """The block."""
        emitter, under = self.under.emitter(), self.under
        known_locks.write(under.locks, emitter)
        under.open(emitter)
        key, kinds = under.guards(emitter, self.guards)
        for node in self.nodes:
            if not node.late:
                emitter.node(node)
        self.redoing.check(emitter)
        emitter.line("if check: return FITS")
        undo = self.drawing.write(emitter, ends=True)
        names = self.program.write(emitter, undo)
        under.late_values(emitter, self.numbers, names)
        late = [node for node in self.nodes if node.late]
        if late:
            emitter.line("try:")
            emitter.indent += 1
            emitter.line("pass")
            for node in late:
                emitter.node(node)
            emitter.indent -= 1
            emitter.line(f"except Exception as error: {undo}pass_on(error); return RAISED")
        under.close(emitter)
        made = dict(zip(self.outputs, names[len(self.numbers) :], strict=True))
        writer = Writer(emitter, self.plans, made)
        effects = self.said + self.redoing.write(writer)
        result = writer.write(self.result)
        writer.write_histories()
        emitter.line(f"return {result}")
        known_locks.close(under.locks, emitter)
        return Written(emitter, (key, "leaf"), kinds, "replay", effects)
