"""What a replay gives back and does to objects, as lines of Python: descriptions -> text.

Comes in: the plans of `results.py`, and the names of the program's outputs. Goes out: lines that
make each object once, whichever other objects hold it.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, final

from dualflow.array.tensor import Tensor
from dualflow.autograd.tape import edge_of
from dualflow.ir.graph import Value
from dualflow.ops import door

from . import history, leaving
from .emit import Emitter
from .likenesses import function_like, slots_of
from .ndarrays.memory import laid_out


@final
class Writer:
    """Writes what was planned, in the order in which it is asked for.

    Attributes:
        plans: of objects, by id.
        outputs: the texts of the values that the program gives.
    """

    def __init__(
        self, emitter: Emitter, plans: dict[int, tuple[Any, ...]], outputs: dict[Value, str]
    ) -> None:
        self.emitter, self.plans, self.outputs = emitter, plans, outputs
        self._made: dict[int, str] = {}
        self._roots: dict[int, str] = {}
        self._hidden: dict[tuple[Value, int], str] = {}  # what histories alone keep
        self._taken: set[Value] = set()
        self._within = 0  # so many objects are being written
        self._unfilled: list[Callable[[], None]] = []  # what writes contents that may be cyclic
        self._histories: list[tuple[str, Any]] = []

    def write(self, plan: tuple[Any, ...]) -> str:
        """Lines that make what `plan` says; the text of it."""
        emitter = self.emitter
        kind = plan[0]
        if kind == "constant":
            return emitter.constant(plan[1])
        if kind == "node":
            return emitter.node(plan[1])
        if kind == "numpy scalar":
            return f"{self.write(plan[1])}._array[()]"
        if kind == "object":
            number = plan[1]
            if number not in self._made:
                self._within += 1
                self._made[number] = self._object(self.plans[number])
                self._within -= 1
                while self._unfilled and not self._within:
                    self._unfilled.pop()()
            return self._made[number]
        raise AssertionError(kind)

    def _object(self, plan: tuple[Any, ...]) -> str:
        emitter = self.emitter
        kind = plan[0]
        if kind == "node":
            return emitter.node(plan[1])
        name = emitter.name()
        if kind == "numpy array":
            part = f".{plan[2]}" if plan[2] else ""
            emitter.line(f"{name} = {self.write(plan[1])}._array{part}")
            if not plan[3]:
                emitter.line(f"{name}.flags.writeable = False")
        elif kind == "tensor":
            self._write_tensor(name, plan)
            if plan[4] is not None:
                self._histories.append((name, plan[4]))
        elif kind == "alias":
            emitter.line(f"{name} = {emitter.node(plan[1])}._alias()")
            self._as_leaf(name, *plan[2:])
        elif kind == "outside view":
            self._write_view(name, emitter.node(plan[1]), plan[2], plan[3])
            self._as_leaf(name, *plan[4:])
        elif kind == "view":
            root = self.write(plan[1])
            self.write_histories()
            self._write_view(name, root, plan[2], plan[3])
            self._as_leaf(name, *plan[4:])
        elif kind == "sequence":
            items = [self.write(item) for item in plan[2]]
            if plan[1] is list:
                emitter.line(f"{name} = [{', '.join(items)}]")
            elif plan[1] is tuple:
                emitter.line(f"{name} = ({''.join(item + ', ' for item in items)})")
            else:
                make = emitter.constant(plan[1]._make)
                emitter.line(f"{name} = {make}(({''.join(item + ', ' for item in items)}))")
        elif kind == "made":
            given = [self.write(part) for part in plan[2]]
            named: Any = plan[3:] and plan[3]
            given += [f"{key}={self.write(part)}" for key, part in named]
            emitter.line(f"{name} = {emitter.constant(plan[1])}({', '.join(given)})")
        elif kind == "leaving":
            emitter.namespace["raised"] = leaving.raised
            made = self.write(plan[1])
            emitter.line(f"{name} = raised({made})")
        elif kind == "error":
            emitter.namespace["error_like"] = leaving.error_like
            args = "".join(self.write(part) + ", " for part in plan[2])
            before = ", ".join(self.write(part) for part in plan[4])
            inside = self._pairs(plan[3])
            kind = emitter.constant(plan[1])
            more = f"{inside}, {before}, {plan[5]}, {emitter.constant(plan[6])}"
            emitter.line(f"{name} = error_like({kind}, ({args}), {more})")
        elif kind == "cell":
            emitter.line(f"{name} = {emitter.constant(types.CellType)}()")
            self._unfilled += [self._filling(name, part) for part in plan[1]]
        elif kind == "function":
            self._write_function(name, plan)
        elif kind == "deque":
            items = [self.write(item) for item in plan[2]]
            made = emitter.constant(deque)
            emitter.line(f"{name} = {made}([{', '.join(items)}], {emitter.constant(plan[1])})")
        elif kind == "filled":
            given = "".join(self.write(part) + ", " for part in plan[2])
            pairs = self._pairs(plan[3])
            emitter.line(f"{name} = {emitter.constant(plan[1])}({given}{pairs})")
        elif kind == "dict":
            emitter.line(f"{name} = {self._pairs(plan[1])}")
        elif kind == "instance":
            self._write_instance(name, plan[1], plan[2])
        elif kind == "set":
            emitter.line(f"{name} = {emitter.constant(plan[1])}.copy()")
        else:
            raise AssertionError(kind)
        return name

    def _write_instance(self, name: str, kind: type, inside: list[tuple[str, Any]]) -> None:
        emitter, slots = self.emitter, slots_of(kind)
        make = "new" if kind is not SimpleNamespace else emitter.constant(kind.__new__)
        emitter.line(f"{name} = {make}({emitter.constant(kind)})")
        for slot, item in inside:
            if slot in slots:
                put = emitter.constant(slots[slot].__set__)
                emitter.line(f"{put}({name}, {self.write(item)})")
        rest = [(key, item) for key, item in inside if key not in slots]
        if rest:
            emitter.line(f"{name}.__dict__.update({self._pairs(rest)})")

    def _filling(self, name: str, part: tuple[Any, ...]) -> Callable[[], None]:
        return lambda: self.emitter.line(f"{name}.cell_contents = {self.write(part)}")

    def _write_function(self, name: str, plan: tuple[Any, ...]) -> None:
        emitter = self.emitter
        _, form, defaults, keywords, cells, inside = plan
        parts = [[self.write(part) for part in group] for group in
                 (defaults, cells)]  # fmt: skip
        texts = ["(" + "".join(part + ", " for part in group) + ")" for group in parts]
        emitter.namespace["function_like"] = function_like
        more = self._pairs(keywords) if keywords else None
        emitter.line(f"{name} = function_like({emitter.constant(form)}, {texts[0]}, "
                     f"{more}, {texts[1]})")  # fmt: skip
        if inside:
            self._unfilled.append(lambda: emitter.line(
                f"{name}.__dict__.update({self._pairs(inside)})"))  # fmt: skip

    def _pairs(self, pairs: Any) -> str:
        items = [f"{self.emitter.constant(k)}: {self.write(v)}" for k, v in pairs]
        return "{" + ", ".join(items) + "}"

    def _write_view(self, name: str, root: str, chain: Any, requires: bool) -> None:
        emitter = self.emitter
        emitter.namespace["noted"], emitter.namespace["unnoted"] = door.run, unnoted
        apply = "noted" if requires else "unnoted"
        step = root
        for op, attributes in chain:
            emitter.line(f"{name} = {apply}({emitter.constant(op)}, ({step}, ), "
                         f"{emitter.constant(attributes)})")  # fmt: skip
            step = name
        if not chain:
            emitter.line(f"{name} = {root}._alias()")

    def write_histories(self) -> None:
        """Lines that give results their histories, once all of them are made."""
        emitter = self.emitter
        while self._histories:
            name, (plan, saved) = self._histories.pop(0)
            if plan.error is not None:
                emitter.namespace["Overwritten"] = history.Overwritten
                emitter.line(f"{name}._tape = Overwritten({emitter.constant(plan.error)})")
                continue
            emitter.namespace["Replayed"] = history.Replayed
            emitter.namespace["edge_of"] = edge_of
            edges = "".join(f"edge_of({emitter.node(node)}), " for node in plan.outside)
            kept = "".join(self._kept(how) + ", " for how in saved)
            plan_name = emitter.constant(plan)
            numbers = "".join(f"{emitter.node(node)}, " for node in plan.numbers)
            made = f"Replayed({plan_name}, ({edges}), ({kept}), ({numbers}))"
            emitter.line(f"{name}._tape = {made}")

    def _kept(self, how: tuple[Any, ...]) -> str:
        emitter = self.emitter
        name = emitter.name()
        if how[0] == "outside":
            if not how[2]:
                return emitter.node(how[1])
            self._write_view(name, emitter.node(how[1]), how[2], False)
            return name
        _, value, storage, chain = how
        root, like = self._roots.get(storage), (value, storage)
        if root is not None:  # memory of a result: writing to it later must be noticed
            self._write_view(name, f"{root}._alias()", chain, False)
        elif like in self._hidden:
            return self._hidden[like]
        else:
            self._hidden[like] = name
            emitter.line(f"{name} = new(Tensor)")
            emitter.line(f"{name}._array = {self._text(value)}")
        return name

    def take(self, value: Value) -> str:
        """An output's array, for one owner; another one gets a copy."""
        text = self._text(value)
        self._taken.add(value)
        return text

    def _text(self, value: Value) -> str:
        return self.outputs[value] + ".copy()" if value in self._taken else self.outputs[value]

    def _write_tensor(self, name: str, plan: tuple[Any, ...]) -> None:
        emitter = self.emitter
        _, value, storage, requires, _, strides, grad = plan
        before = self._roots.get(storage)
        if before is not None:  # another handle of memory that is made already
            emitter.line(f"{name} = {before}._alias()")
        else:
            self._roots[storage] = name
            emitter.line(f"{name} = new(Tensor)")
            text = self.take(value)
            if strides is not None:
                emitter.namespace["laid_out"] = laid_out
                text = f"laid_out({text}, {emitter.constant(strides)})"
            emitter.line(f"{name}._array = {text}")
        self._as_leaf(name, requires, grad)

    def _as_leaf(self, name: str, requires: bool, grad: tuple[Any, ...] | None) -> None:
        """Let a new tensor ask for gradients, and have the one that it had."""
        if requires:
            self.emitter.line(f"{name}.requires_grad = True")
        if grad is not None:
            self.emitter.line(f"{name}.grad = {self.write(grad)}")


def unnoted(op: Any, inputs: tuple[Tensor], attributes: dict[str, Any]) -> Tensor:
    """A view of which the tape knows nothing."""
    return door.state.mode.apply(op, inputs, attributes)
