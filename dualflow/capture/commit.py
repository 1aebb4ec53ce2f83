"""What a call did to the world outside, redone by a replay after nothing can fail any more.

Comes in: a finished recorder. Goes out: descriptions of writes into tensors, of `.grad`, random
generators and Python effects, of which `redoing.py` makes lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dualflow.array.tensor import Tensor
from dualflow.base.trees import flatten
from dualflow.ir.graph import Value
from dualflow.ir.types import TensorType

from .provenance import CONSTANT, Node
from .recorder import Recorder
from .redoing import Redoing
from .results import Planner, Unsupported


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

    def redoing(self) -> Redoing:
        """What writes all that was found; nothing of the recorded call lives on in it."""
        recorder = self.recorder
        outside = recorder.outside
        gradless = []
        for tensor, node in outside.tensors.values():
            before = outside.grads.get(id(tensor))
            if (id(tensor), "grad") not in recorder.stored and tensor.grad is not before:
                gradless.append((node, before is None))
        set_ = {node for node, _ in self.grads}
        alone = [n for t, n in outside.tensors.values() if t.requires_grad or n in set_]
        changing = list(
            dict.fromkeys([*(node for node, _, _ in self.writes), *self.moved.values()])
        )
        return Redoing(
            self.writes, self.grads, self.python,
            [(node, times) for _, node, times in recorder.draws.taken.values()],
            gradless,
            list(dict.fromkeys(alone)) if set_ else [],
            changing,
            [node for node in self._inputs if node not in changing] if changing else [],
            recorder.notes.device == "cpu",
        )  # fmt: skip
