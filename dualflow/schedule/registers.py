"""A loop whose steps need no other point as one kernel, in which each point takes all steps.

    18 steps, each a kernel over all points   ->   a kernel of 18 steps for a block of points

Comes in: a `Repeated`. Goes out: `Lowered`; None where points see each other, or steps differ.
"""

from __future__ import annotations

from dualflow.base.records import replaced
from dualflow.ir.graph import Value
from dualflow.ir.kernel import Kernel, Store
from dualflow.ir.program import Launch, Operand
from dualflow.ir.types import View

from .loops import Place, Repeated, packed
from .shaping import Lowered


def in_registers(made: Repeated) -> Lowered | None:
    """See the module."""
    body = made.body.program
    if len(body.steps) != 1 or not isinstance(body.steps[0], Launch) or any(made.moves):
        return None
    launch = body.steps[0]
    kernel = launch.kernel
    carried: int = made.node.attributes["carried"]  # type: ignore[assignment]
    if not _is_pointwise(kernel) or carried != len(made.node.results):
        return None
    looks: list[tuple[Value, View]] = []
    state: dict[int, list[tuple[str, View]]] = {}
    for access, operand in zip(kernel.accesses, launch.operands, strict=True):
        number = _carried(operand, body.outputs[:carried])
        if number >= 0:
            state.setdefault(number, []).append((access.name, operand.view))
        place = _place(made, operand, number)
        if place is None:
            return None
        value, view = place
        looks.append((value, operand.view._replace(offset=operand.view.offset + view.offset)))
    pairs = []
    for number in range(carried):
        seen = state.get(number, ())
        modes = [kernel.access(name).mode for name, _ in seen]
        if modes not in (["in", "out"], ["out"]) or len({view for _, view in seen}) != 1:
            return None
        if len(seen) == 2:
            pairs.append((seen[0][0], seen[1][0]))
    repeated = replaced(kernel, repeated=tuple(pairs))
    count: int = made.node.attributes["count"]  # type: ignore[assignment]
    return Lowered(repeated.verify(), tuple(looks), (*launch.integers, count), launch.scalars)


def _is_pointwise(kernel: Kernel) -> bool:
    """Whether nothing is folded, looked up or checked, and lanes lie next to each other."""
    lane = kernel.grid.index(kernel.lanes) if kernel.lanes in kernel.grid else -1
    lets = [let for stage in kernel.stages for let in stage.lets]
    return (
        not kernel.loops
        and not kernel.totals
        and not kernel.short
        and len(kernel.stages) == 1
        and all(isinstance(sink, Store) for sink in kernel.sinks)
        and all(access.strides[lane] in (0, 1) for access in kernel.accesses)
        and not any(
            let.op == "gather" or (let.op == "load" and len(let.arguments) > 1) for let in lets
        )
    )


def _carried(operand: Operand, outputs: tuple[Operand, ...]) -> int:
    """Which carried value of the body the operand is, before or after the step; -1: none."""
    buffer = operand.buffer
    if buffer.place == "input":
        return buffer.index - 1 if 1 <= buffer.index <= len(outputs) else -1
    return next((i for i, output in enumerate(outputs) if output.buffer == buffer), -1)


def _place(made: Repeated, operand: Operand, carried: int) -> Place | None:
    """Where the operand of the body lies in the graph of the loop: a carried value first and last;
    None for the number of the step."""
    buffer = operand.buffer
    if carried >= 0:
        if buffer.place == "input":
            return made.operands[carried]
        result = made.node.results[carried]
        return result, packed(result)
    if buffer.place != "input" or not buffer.index:
        return None
    return made.places[buffer.index]
