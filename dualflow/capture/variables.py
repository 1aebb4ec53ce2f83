"""Hooks of variables: locals, globals, cells, imports; and what every hook needs.

Comes in: values, and the numbers of the slots that know their origins. Goes out: the same values.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any, Self

from dualflow.array.tensor import Tensor

from . import namespaces
from .provenance import CONSTANT, TENSOR, Born, Node, Origin
from .recorder import Recorder


def contents(cell: types.CellType) -> Any:
    """What a cell holds; None if nothing."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


_NO_CELL: tuple[Any, Origin] = (None, None)


class Variables:
    """The state of one running call of an instrumented copy, and the hooks of its variables.

    Attributes:
        recorder: of the whole recording.
        function: the function as the user wrote it.
        slots: the origin of each expression's and variable's value.
        cells: captured variables, by name: the cell, and the origin of the cell itself.
        open: plans of calls under way, by slot; values parked.
        args, kwargs: what the call that begins is made with.
        entering: whether the call under way makes what `with` enters.
        result: the origin of what the call returned, or its generator gave last.
        delegate: the frame of the generator that `yield from` is in.
        incoming: the origin of what is sent into its generator.
    """

    args: tuple[Any, ...] | None
    kwargs: dict[str, Any] | None
    # what most calls never change is the class's: making a frame is a share of each call
    entering = False
    result: Origin = CONSTANT
    delegate: Self | None = None
    incoming: Origin = None
    generators: dict[int, Any] | None = None

    def __init__(
        self, recorder: Recorder, function: types.FunctionType, count: int, names: dict[str, int]
    ) -> None:
        self.recorder, self.function, self.names = recorder, function, names
        self.slots: list[Origin] = [None] * count
        self.slots[0] = CONSTANT
        self.cells: dict[str, tuple[Any, Origin]] = {}
        self.open: dict[Any, Any] = {}

    def origin(self, slot: int, value: Any) -> Origin:
        found = self.slots[slot]
        if found is TENSOR or (found is not None and type(value) is not Tensor):
            return found
        return self.known(found, value)

    def known(self, origin: Origin, value: Any) -> Origin:
        """The origin of a value that a slot or container knows as `origin`; unknown: refused."""
        found = self.recorder.origin(origin, value)
        if found is None and not self.recorder.dead:
            self.recorder.refuse(f"a {type(value).__name__} of unknown origin")
        return found

    def innermost(self) -> Self:
        """The frame of the generator that gives, and is sent, values."""
        frame = self
        while frame.delegate is not None:
            frame = frame.delegate
        return frame

    def below(self, function: types.FunctionType, count: int, names: dict[str, int]) -> Self:
        """The frame of a call that is made here."""
        return type(self)(self.recorder, function, count, names)

    def glob(self, slot: int, name: str, value: Any) -> Any:
        recorder = self.recorder
        if not recorder.dead:
            namespace = self.function.__globals__
            before = recorder.reads.get((id(namespace), name))
            if (
                before is not None
                and before[3] is value
                and before[5] not in recorder.stored
                and (name in namespace) is (before[2] is namespace)  # else it is Python's own
            ):
                self.slots[slot] = before[4]
                return value
            self.slots[slot] = namespaces.read_global(recorder, self.function, name, value)
        return value

    def store_glob(self, slot: int, name: str, value: Any) -> Any:
        recorder = self.recorder
        if recorder.dead:
            return value
        namespace = self.function.__globals__
        origin = self.origin(slot, value)
        recorder.drops(namespace.get(name))
        recorder.stored["global", id(namespace), name] = origin
        node = recorder.constant(namespace)
        recorder.effects.append(
            ("item", node, name, CONSTANT, value, origin, recorder.effect_line())
        )
        return value

    def own(self, closure: Callable[[], Any]) -> None:
        """The cells of the function's own variables; those of parameters have their values."""
        names = closure.__code__.co_freevars
        for name, cell in zip(names, closure.__closure__ or (), strict=True):
            if name == "_df_" or name in self.cells:
                continue
            self.recorder.born(cell, "cell")
            self.cells[name] = (cell, Born("cell"))
            if name in self.names:
                self._store(cell, self.slots[self.names[name]])

    def captured(self, closure: Callable[[], Any], *places: Any) -> None:
        """The cells of variables of a comprehension, which functions within it capture: names, each
        with its slot."""
        slots = dict(zip(places[::2], places[1::2], strict=True))
        for name, cell in zip(closure.__code__.co_freevars, closure.__closure__ or (), strict=True):
            slot = slots.get(name)
            if slot is None or self.slots[slot] is None or self.recorder.dead:
                continue
            if self.recorder.known(cell) is None:
                self.recorder.born(cell, "cell")
            self._store(cell, self.origin(slot, contents(cell)))

    def _store(self, cell: Any, origin: Origin) -> None:
        """The call stored what is known as `origin` in a cell."""
        self.recorder.stored[id(cell), "cell"] = origin
        self.recorder.contents.pop(id(cell), None)

    def cell(self, slot: int, name: str, value: Any) -> Any:
        recorder = self.recorder
        if recorder.dead:
            return value
        cell, origin = self.cells.get(name, _NO_CELL)
        before = recorder.contents.get(id(cell))
        if before is not None and before[0] is value and before[1] is origin:
            self.slots[slot] = before[2]
            return value
        stored = recorder.stored.get((id(cell), "cell"))
        if stored is not None:
            self.slots[slot] = stored
        elif name == "__class__":
            self.slots[slot] = CONSTANT
        elif isinstance(origin, Node):
            node = recorder.nodes("{0}.cell_contents", (origin,))
            self.slots[slot] = found = recorder.found(node, value)
            recorder.contents[id(cell)] = value, origin, found, cell
        else:
            self.slots[slot] = recorder.known(value)
        return value

    def store_cell(self, slot: int, name: str, value: Any) -> Any:
        recorder = self.recorder
        if recorder.dead:
            return value
        cell, cell_origin = self.cells.get(name, (None, None))
        origin = self.origin(slot, value)
        if cell is None:
            recorder.refuse(f"the captured variable {name} is not known")
            return value
        self._store(cell, origin)
        if isinstance(cell_origin, Node):
            recorder.drops(contents(cell))
            recorder.writes(cell_origin, cell)
            recorder.effects.append(
                ("attr", cell_origin, "cell_contents", value, origin, recorder.effect_line())
            )
        return value

    def imported(self, slot: int, module: str, name: str, value: Any) -> None:
        recorder = self.recorder
        if recorder.dead:
            return
        node = recorder.nodes("{k0}[{k1}]", (), (sys.modules, module))
        found = sys.modules[module]
        recorder.guard("{0} is {k0}", node, constants=(found,))
        self.slots[slot] = CONSTANT
        if name:
            self.slots[slot] = namespaces.of_module(recorder, found, name, value)

    def locals_of(self, slot: int, names: tuple, value: dict[str, Any]) -> dict[str, Any]:
        """What `locals()` gives: one dict for all that the function asks, as of now."""
        made = self.open.setdefault("locals", {}) if sys.version_info < (3, 13) else {}
        again = bool(made)
        made.clear()
        made.update((name, value[name]) for name, *_ in names if name in value)
        if self.recorder.dead:
            return made
        if again:
            self.recorder.refuse("locals() asked twice")
            return made
        parts: dict[str, Origin] = {}
        for name, kind, number in names:
            if name not in made:
                continue
            if kind == "cell":
                number = len(self.slots)
                self.slots.append(None)
                self.cell(number, name, made[name])
            parts[name] = None if number is None else self.origin(number, made[name])
        self.slots[slot] = self.recorder.born(made, "dict", parts)
        return made

    def move(self, to: int, slot: int, value: Any) -> Any:
        self.slots[to] = self.slots[slot]
        return value

    def park(self, to: int, slot: int, value: Any) -> Any:
        self.slots[to] = self.slots[slot]
        self.open[to] = value
        return value

    def parked(self, slot: int) -> Any:
        return self.open[slot]
