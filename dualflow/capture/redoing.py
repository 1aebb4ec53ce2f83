"""What a call did to the world outside, as lines of a replay: behind all that can fail.

Comes in: what `commit.py` found. Goes out: guards on memory that is written, lines that write into
tensors, set `.grad`, advance random generators and redo the Python effects in their order.
"""

from __future__ import annotations

from sys import getrefcount
from typing import Any, NamedTuple

import numpy as np

from dualflow.array.storage import may_share
from dualflow.array.tensor import Tensor
from dualflow.ir.graph import Value
from dualflow.ops.door import away

from .emit import Emitter
from .provenance import Node
from .writing import Writer


class Redoing(NamedTuple):
    """The effects of one recorded call.

    Attributes:
        writes, grads, python: see `commit.Commit`.
        draws: random generators, and how often each was asked.
        graded: tensors whose `.grad` the call set, and whether they must have none before.
        alone: tensors of which no two may be one, as a `.grad` is set.
        changing: tensors that are written, and those where results may lie.
        others: further tensors that are read.
        here: whether all lie in memory of the CPU.
    """

    writes: list[tuple[Node, Value, int]]
    grads: list[tuple[Node, Any]]
    python: list[tuple[Any, ...]]
    draws: list[tuple[Node, int]]
    graded: list[tuple[Node, bool]]
    alone: list[Node]
    changing: list[Node]
    others: list[Node]
    here: bool

    def check(self, emitter: Emitter) -> None:
        """Guards on memory: what is written must be apart from everything else that is used."""
        for node, bare in self.graded:
            text = "is not" if bare else "is"
            emitter.line(f"if {emitter.node(node)}.grad {text} None: return MISS")
        self._differ(emitter, [node for node, _ in self.draws])
        self._differ(emitter, self.alone)  # a `.grad` that is set is that of one tensor alone
        if not self.changing:
            return
        written, others = (
            [emitter.node(node) for node in nodes] for nodes in (self.changing, self.others)
        )
        emitter.namespace["apart"] = apart
        texts = ["".join(name + ", " for name in names) for names in (written, others)]
        emitter.line(f"if not apart(({texts[0]}), ({texts[1]})): return MISS")
        for name in written if self.here else ():
            emitter.line(f"if not {name}._array.flags.writeable: return MISS")

    def _differ(self, emitter: Emitter, nodes: list[Node]) -> None:
        if len(nodes) > 1:
            numbers = ", ".join(f"id({emitter.node(node)})" for node in nodes)
            emitter.line(f"if len({{{numbers}}}) != {len(nodes)}: return MISS")

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
        for node, count in self.draws:
            emitter.line(f"{emitter.node(node)}.counter += {count}")
            said.append(f"advance {node} by {count}")
        for kind, *rest in self.python:
            said.append(_effect(writer, kind, rest))
        return said


def _effect(writer: Writer, kind: str, rest: list[Any]) -> str:
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
