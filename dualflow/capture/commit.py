"""What a call did to the world outside, redone by a replay after nothing can fail any more.

Comes in: a finished recorder. Goes out: lines that write into tensors, set `.grad`, advance random
generators and redo the Python effects in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from dualflow.array.storage import may_share
from dualflow.array.tensor import Tensor
from dualflow.base.trees import flatten
from dualflow.ir.graph import Value
from dualflow.ir.types import TensorType
from dualflow.ops.door import away

from .emit import Emitter
from .provenance import CONSTANT, Node
from .recorder import Recorder
from .results import Planner, Unsupported
from .writing import Writer


class Commit:
    """The effects of one recorded call.

    Attributes:
        writes: (node of the tensor, value its memory gets, times written).
        grads: (node of the tensor, description of its `.grad`).
        python: effects on Python objects, with descriptions of their values.
        moved: results that may lie where donated tensors lay -> the nodes of these.
    """

    def __init__(self, recorder: Recorder, planner: Planner) -> None:
        self.recorder, self.planner = recorder, planner
        self.writes: list[tuple[Node, Value, int]] = []
        self.grads: list[tuple[Node, Any]] = []
        self.python: list[tuple[Any, ...]] = []
        self.moved: dict[Value, Node] = {}
        self._inputs: list[Node] = []

    def plan(self) -> None:
        """Find all effects and what they need.

        Raises:
            Unsupported: one cannot be redone.
        """
        self._plan_writes()
        self._plan_grads()
        for effect in self.recorder.effects:
            self.python.append(self._plan_effect(effect))
        for _, node, _count in self.recorder.draws.taken.values():
            self.planner.nodes[node] = None

    def donate(self, donated: Sequence[Tensor], result: Any) -> None:
        """Let new results lie where tensors lay that are dead after the call, each where one of its
        shape and dtype did; not where anything that stays shows that memory."""
        if not donated:
            return
        plans = list(self.planner.plans.values())
        shown = {plan[1] for plan in plans if plan[0] in ("node", "alias", "outside view")}
        shown.update(node for node, _, _ in self.writes)
        pasts = [plan[4] for plan in plans if plan[0] == "tensor" and plan[4] is not None]
        shown.update(how[1] for _, saved in pasts for how in saved if how[0] == "outside")
        shown.update(self.recorder.outside.places)  # of those, a GPU's memory is another's business
        kept = set(map(id, flatten(result)[0]))
        free: dict[TensorType, list[Node]] = {}
        for tensor in donated:
            _, node = self.recorder.outside.tensors.get(id(tensor), (None, None))
            stays = node in shown or id(tensor) in kept or tensor.requires_grad
            if node is not None and not stays:
                free.setdefault(TensorType(tensor.shape, tensor.dtype), []).append(node)
        stored = {value for _, value, _ in self.writes}
        for plan in plans:
            if plan[0] != "tensor" or plan[1] in stored or plan[1] in self.moved or plan[3]:
                continue
            nodes = free.get(plan[1].type)
            if nodes and plan[5] is None:
                self.moved[plan[1]] = nodes.pop(0)

    def _plan_writes(self) -> None:
        recorder = self.recorder
        if recorder.outside.history_changed():
            raise Unsupported("a tensor from outside, which got another history")
        inputs = [rest for kind, *rest in recorder.inputs if kind == "tensor"]
        self._inputs = list({node: None for node, _ in inputs})
        by_array = {id(tensor._array): node for node, tensor in reversed(inputs)}
        for storage, bases in recorder.notes.written.items():
            for base in bases:
                node = by_array.get(id(base.array))
                if node is None:
                    raise Unsupported("an in-place write to a tensor of unknown origin")
                before = recorder.outside.versions.get(id(storage), 0)
                times = max(storage.version - before, 1) if base is bases[0] else 0
                self.writes.append((node, base.value, times))
                self.planner.outputs[base.value] = None
                self.planner.nodes[node] = None

    def _plan_grads(self) -> None:
        recorder = self.recorder
        for tensor, node in recorder.outside.tensors.values():
            stored = (id(tensor), "grad") in recorder.stored
            before = recorder.outside.grads.get(id(tensor))
            if tensor.grad is before and not stored:
                continue
            if tensor.grad is None:
                description: Any = ("constant", None)
            else:
                description = self.planner.plan(tensor.grad, recorder.origin(None, tensor.grad))
            self.planner.nodes[node] = None
            self.grads.append((node, description))

    def _plan_effect(self, effect: tuple[Any, ...]) -> tuple[Any, ...]:
        kind, *rest = effect
        plan = self.planner.plan
        if kind == "attr":
            node, name, value, origin, line = rest
            self.planner.nodes[node] = None
            return ("attr", node, name, plan(value, origin), line)
        if kind == "item":
            node, key, where, value, origin, line = rest
            self.planner.nodes[node] = None
            known = ("constant", key) if where is CONSTANT else plan(key, where)
            return ("item", node, known, plan(value, origin), line)
        if kind == "delattr":
            self.planner.nodes[rest[0]] = None
            return effect
        if kind == "delete":
            node, key, line = rest
            self.planner.nodes[node] = None
            return ("delete", node, ("constant", key), line)
        if kind == "method":
            node, name, arguments, line = rest
            self.planner.nodes[node] = None
            return ("method", node, name, [plan(v, q) for v, q in arguments], line)
        if kind == "call":
            function, pairs, line = rest
            return ("call", function, [plan(v, q) for v, q in pairs], line)
        pairs, keywords, line = rest
        return ("print", [plan(v, q) for v, q in pairs], keywords, line)

    # Writing --------------------------------------------------------------------------------

    def check(self, emitter: Emitter) -> None:
        """Guards on memory: what is written must be apart from everything else that is used."""
        recorder = self.recorder
        for tensor, node in recorder.outside.tensors.values():
            unstored = (id(tensor), "grad") not in recorder.stored
            if unstored and tensor.grad is not recorder.outside.grads.get(id(tensor)):
                before = recorder.outside.grads.get(id(tensor))
                text = "is not" if before is None else "is"
                emitter.line(f"if {emitter.node(node)}.grad {text} None: return MISS")
        draws = [node for _, node, _ in recorder.draws.taken.values()]
        if len(draws) > 1:
            numbers = ", ".join(f"id({emitter.node(node)})" for node in draws)
            emitter.line(f"if len({{{numbers}}}) != {len(draws)}: return MISS")
        changed = {node for node, _ in self.grads}
        nodes = {
            n: None for t, n in recorder.outside.tensors.values() if t.requires_grad or n in changed
        }
        if changed and len(nodes) > 1:  # a `.grad` that is set is that of one tensor alone
            numbers = ", ".join(f"id({emitter.node(node)})" for node in nodes)
            emitter.line(f"if len({{{numbers}}}) != {len(nodes)}: return MISS")
        changing = dict.fromkeys([*(node for node, _, _ in self.writes), *self.moved.values()])
        if not changing:
            return
        written = [emitter.node(node) for node in changing]
        others = [emitter.node(node) for node in self._inputs if node not in changing]
        emitter.namespace["apart"] = apart
        texts = ["".join(name + ", " for name in names) for names in (written, others)]
        emitter.line(f"if not apart(({texts[0]}), ({texts[1]})): return MISS")
        for name in written if recorder.notes.device == "cpu" else ():
            emitter.line(f"if not {name}._array.flags.writeable: return MISS")

    def write(self, writer: Writer) -> list[str]:
        """Lines that commit; for each effect, a line for readers."""
        said = []
        emitter, make = writer.emitter, writer.write
        emitter.namespace["store"] = store
        for node, value, times in self.writes:
            emitter.line(f"store({emitter.node(node)}, {writer.take(value)}, {times})")
            said.append(f"write into {node}")
        for node, description in self.grads:
            text = make(description)
            emitter.line(f"{emitter.node(node)}.grad = {text}")
            said.append(f"set {node}.grad")
        for _, node, count in self.recorder.draws.taken.values():
            emitter.line(f"{emitter.node(node)}.counter += {count}")
            said.append(f"advance {node} by {count}")
        for kind, *rest in self.python:
            said.append(self._effect(writer, kind, rest))
        return said

    def _effect(self, writer: Writer, kind: str, rest: list[Any]) -> str:
        emitter, make = writer.emitter, writer.write
        if kind == "attr":
            node, name, plan, line = rest
            emitter.line(f"{emitter.node(node)}.{name} = {make(plan)}")
            return f"set {node}.{name} ({line})"
        if kind == "item":
            node, key, plan, line = rest
            text = make(key)
            emitter.line(f"{emitter.node(node)}[{text}] = {make(plan)}")
            return f"set {node}[{text}] ({line})"
        if kind == "delattr":
            node, name, line = rest
            emitter.line(f"del {emitter.node(node)}.{name}")
            return f"delete {node}.{name} ({line})"
        if kind == "delete":
            node, key, line = rest
            text = make(key)
            emitter.line(f"del {emitter.node(node)}[{text}]")
            return f"delete {node}[{text}] ({line})"
        if kind == "method":
            node, name, plans, line = rest
            arguments = ", ".join(make(plan) for plan in plans)
            emitter.line(f"{emitter.node(node)}.{name}({arguments})")
            return f"{node}.{name}(...) ({line})"
        if kind == "call":
            function, plans, line = rest
            arguments = ", ".join(make(plan) for plan in plans)
            emitter.line(f"{emitter.constant(function)}({arguments})")
            return f"{function.__name__} ({line})"
        plans, keywords, line = rest
        arguments = [make(plan) for plan in plans]
        arguments += [f"{key}={emitter.constant(value)}" for key, value in keywords.items()]
        emitter.line(f"print({', '.join(arguments)})")
        return f"print ({line})"


def apart(written: tuple[Tensor, ...], others: tuple[Tensor, ...]) -> bool:
    """Whether no written tensor shares memory with another tensor."""
    by_storage: dict[int, list[Tensor]] = {}
    exposed = []
    for tensor in written:
        storage = tensor._storage
        by_storage.setdefault(id(tensor if storage is None else storage), []).append(tensor)
        if storage is not None and storage.exposed:
            exposed.append(tensor)
    near = [same for same in by_storage.values() if len(same) > 1]
    for tensor in others:
        storage = tensor._storage
        same = by_storage.get(id(tensor if storage is None else storage))
        if same is not None:
            near.append([*same, tensor])
        if exposed and storage is not None and storage.exposed:
            exposed.append(tensor)
    if len(exposed) > 1:
        near.append(exposed)
    if not near:
        return True
    wrote = {id(tensor) for tensor in written}
    return not any(
        may_share(a._array, b._array)
        for group in near
        for i, a in enumerate(group)
        for b in group[:i]
        if id(a) in wrote or id(b) in wrote
    )


def store(tensor: Tensor, made: np.ndarray, times: int) -> None:
    """Let the memory of `tensor` hold `made`: which it is already, or copied, or taken over where
    nobody can tell."""
    array = tensor._array
    storage = tensor._memory()
    storage.version += times
    if made is array:
        return
    whole = not tensor._view and tensor._views is None and not storage.exposed
    # references to the storage: the tensor's, the local one, the argument of getrefcount
    if whole and getrefcount(storage) == 3 and array.strides == made.strides:  # type: ignore[union-attr]
        tensor._array = storage.array = made
    elif isinstance(array, np.ndarray):
        np.copyto(array, made)
    else:
        away[0].write(array, made)
