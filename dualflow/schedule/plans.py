"""What a Program was planned from: its steps, and what was decided and why, for people.

Comes in: what `assemble.py` decided. Goes out: `Plan`, and its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from dualflow.base.records import entity
from dualflow.ir import costs
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.program import Call, Chain, Launch, Loop, Program


@entity
class Plan:
    """A Program and what is to know of it.

    Attributes:
        graph: what was planned: the graph given, but for folds that were split in two.
        program: what to run.
        steps: for each node that is part of a step, the number of that step; a node that is
            recomputed is part of several.
        reasons: for each value that lies in memory though a kernel made it, why.
        bodies: for each step that is a loop, the plan of its body.
        repeated: for each value that several kernels compute, why.
        moved: for each step, the bytes it reads and writes, each access once.
        eager: what the operations of the graph given would take in eager mode; None if unknown.
        apart: whether each operation runs by itself, as nothing fused would be faster.
        least: bytes of inputs and outputs together: no program moves fewer.
    """

    graph: Graph
    program: Program
    steps: dict[Node, tuple[int, ...]]
    reasons: dict[Value, str]
    bodies: dict[int, Plan]
    moved: tuple[int, ...]
    least: int
    repeated: Mapping[Value, str]
    eager: costs.Cost | None = None
    apart: bool = False

    @property
    def cost(self) -> costs.Cost:
        """What a run takes, by an estimate."""
        return costs.of_program(self.program)

    def lines(self) -> tuple[str, ...]:
        """For people: what each step is made of, and why its results lie in memory."""
        parts: list[list[str]] = [[] for _ in self.program.steps]
        for node, steps in self.steps.items():
            for step in steps:
                parts[step].append(node.op.name)
        found = []
        price = costs.byte_price(costs.working_set(self.program))
        if self.eager is not None:
            whole = f"{self.cost}; in eager mode {self.eager}"
            found.append(f"{whole}; so nothing is fused" if self.apart else whole)
        for i, (made, step) in enumerate(zip(parts, self.program.steps, strict=True)):
            what = "kernel" if isinstance(step, Launch) else "library call"
            names = ", ".join(reversed(made))
            made_of = f"{what} of {names}"
            if isinstance(step, Call) and step.attributes:
                made_of += f" with {step.settings}"
            elif isinstance(step, Chain):
                held = sum(step.held) * prod(step.rows)
                made_of = f"{step.tall} rows of {prod(step.rows):,} at a time: {names}"
                made_of += f", of which {held:,} bytes lie in blocks alone"
            elif isinstance(step, Loop):
                made_of = f"{step.count} times {len(step.body.steps)} steps"
            line = f"{i}: {made_of}; {self.moved[i]:,} bytes"
            if self.eager is not None:
                line += f", {costs.of_step(step, price)}"
            found.append(line)
            found += [f"   {line}" for line in self.bodies[i].lines()] if i in self.bodies else []
        stored = {value: f"lies in memory: {why}" for value, why in self.reasons.items()}
        for value, reason in (*stored.items(), *self.repeated.items()):
            node = value.node
            where = f" ({node.line.function}:{node.line.number})" if node and node.line else ""
            name = node.op.name if node else "input"
            found.append(f"{name} {value.type}{where} {reason}")
        return tuple(found)
