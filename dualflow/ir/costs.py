"""About what steps take, and the same operations in eager mode: for decisions and for people.

Comes in: steps of a Program, or a Graph. Goes out: `Cost`, in ns on one thread. Prices were fitted
to one core of an AMD Zen 5; decisions rest on their ratios, results never.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any, NamedTuple

from dualflow.base.shapes import size_of

from .cases import by_cases, plain
from .graph import Graph, Node
from .kernel import Kernel, Stage, Store
from .op import CATALOGUE, Kind
from .program import Buffer, Call, Chain, Launch, Loop, Program, Step, touched

#: ns: a vectorised operation on 4 bytes, one that is approximated (exp) on 4 bytes, an element from
#: anywhere, a byte of memory in the caches.
CHEAP, DEAR, GATHERED, BYTE = 0.025, 0.2, 0.6, 0.02
#: In NumPy: an approximated operation on 4 bytes, an element of a fold, a byte that is moved,
#: beside one in a program (results are new memory); and an operation of eager mode on anything.
DEAR_THERE, FOLDED_THERE, MOVED_THERE, OPERATION = 1.0, 0.15, 2.0, 1800.0
#: A kernel in a program, a step that Python runs, a program; a multiplication and addition of 4
#: bytes, an element of a running fold, one of an op that a library runs.
LAUNCH, IN_PYTHON, PROGRAM, PRODUCT, RUNNING, LIBRARY = 60.0, 900.0, 1200.0, 0.012, 0.4, 30.0
#: A byte that streams through a working set of at most so many bytes, ns; and of any larger.
STREAMED, FAR = ((1 << 20, 0.008), (24 << 20, 0.014)), 0.035

#: So many cases of a stage are told apart.
MOST_CASES = 32


class Cost(NamedTuple):
    """ns that are waited for memory, for arithmetic, and for calls."""

    memory: float = 0.0
    arithmetic: float = 0.0
    calls: float = 0.0

    @property
    def total(self) -> float:
        return sum(self)

    def __str__(self) -> str:
        """For people: how long, and for what.

        >>> str(Cost(2000.0, 100.0, 30.0))
        'about 2.1 us, for memory'
        """
        most = max(self._fields, key=lambda name: getattr(self, name))
        return f"about {self.total / 1000:.1f} us, for {most}"


def together(costs: Iterable[Cost]) -> Cost:
    """What all of them take, one after the other."""
    return Cost(*map(sum, zip(Cost(), *costs, strict=True)))


def side_by_side(memory: float, arithmetic: float, calls: float) -> Cost:
    """Of memory and arithmetic, which go on side by side, the longer is waited for."""
    return Cost(memory, 0.0, calls) if memory >= arithmetic else Cost(0.0, arithmetic, calls)


def byte_price(nbytes: int) -> float:
    """A byte that is read or written once, where so many bytes are worked on in all."""
    return next((price for most, price in STREAMED if nbytes <= most), FAR)


def of_program(program: Program) -> Cost:
    """A whole program."""
    price = byte_price(working_set(program))
    cost = together(of_step(step, price) for step in program.steps)
    return cost._replace(calls=cost.calls + PROGRAM)


def working_set(program: Program) -> int:
    """Bytes that a program works on in all."""
    outputs = {operand.buffer for operand in program.outputs}
    given = sum(operand.buffer.nbytes for operand in program.inputs)
    return given + sum(buffer.nbytes for buffer in outputs) + program.arena


def of_step(step: Step, price: float) -> Cost:
    """A step, where a byte has that price."""
    if isinstance(step, Loop):
        inner = byte_price(working_set(step.body))
        body = together(of_step(each, inner) for each in step.body.steps)
        return Cost(*(step.count * part for part in body))
    memory = price * moved(step)
    if isinstance(step, Chain):
        parts = [_arithmetic(part) for part in step.steps]
        return side_by_side(memory, sum(parts), LAUNCH * len(parts))
    calls = LAUNCH
    if isinstance(step, Call) and step.op.kind not in (Kind.CONTRACTION, Kind.SCAN):
        calls = IN_PYTHON
    return side_by_side(memory, _arithmetic(step), calls)


def moved(step: Launch | Call | Chain) -> int:
    """Bytes that a step reads and writes, if it touches each element of a buffer once."""
    totals: dict[Buffer, int] = {}
    for operand in touched(step):
        view = operand.view
        sizes = tuple(n for n, s in zip(view.shape, view.strides, strict=True) if s)
        nbytes = size_of(sizes) * operand.dtype.itemsize
        totals[operand.buffer] = min(totals.get(operand.buffer, 0) + nbytes, operand.buffer.nbytes)
    return sum(totals.values())


def _arithmetic(step: Launch | Call) -> float:
    if isinstance(step, Launch):
        return of_launch(step, byte=0.0)
    types = [operand.type for operand in (*step.operands, *step.results)]
    return _of_operation(step.op, step.attributes, types[: len(step.operands)], types)


def of_launch(launch: Launch, byte: float = BYTE) -> float:
    """ns of a kernel on one thread, if a byte that is loaded or stored takes `byte`."""
    kernel = launch.kernel
    numbers = dict(zip(kernel.integers(), launch.integers, strict=True))
    grid = {axis: numbers[f"hi_{axis}"] - numbers[f"lo_{axis}"] for axis in kernel.grid}
    points = prod(grid.values())
    outside = prod(grid[axis] for axis in kernel.grid if axis not in kernel.totals)
    inside = sum(
        _of_stage(kernel, stage, byte) * prod(numbers[f"n_{axis}"] for axis in stage.over)
        for stage in kernel.stages
    )
    inside *= numbers.get("count", 1)
    return points * inside + outside * sum(_of_stage(kernel, s, byte) for s in kernel.closing)


def _of_stage(kernel: Kernel, stage: Stage, byte: float) -> float:
    """ns for one point of the stage, of cases of the place one in the mean."""
    placed = {scalar.name for scalar in kernel.scalars}
    for let in stage.lets:
        if let.op == "index" or (let.op in CATALOGUE and placed.issuperset(let.arguments)):
            placed.add(let.name)
    tree = by_cases(stage, placed, MOST_CASES)
    cases = [stage] if tree is None else plain(tree)
    return sum(_of_case(kernel, case, byte) for case in cases) / len(cases)


def _of_case(kernel: Kernel, stage: Stage, byte: float) -> float:
    """ns for one point of the stage."""
    cost = 0.0
    for let in stage.lets:
        if let.op in CATALOGUE:
            cost += (CHEAP if CATALOGUE[let.op].exact else DEAR) * let.dtype.itemsize / 4
        elif let.op == "gather":
            cost += GATHERED
        elif let.op == "load" and any(kernel.access(let.arguments[0]).strides):
            cost += byte * let.dtype.itemsize
    for sink in stage.sinks:
        stored = isinstance(sink, Store)
        cost += byte * kernel.access(sink.access).dtype.itemsize if stored else CHEAP  # type: ignore[union-attr]
    return cost


# Eager mode.


def of_eager(graph: Graph) -> Cost:
    """The same operations, each run by NumPy at its own line."""
    values = {*graph.inputs, *(value for node in graph.nodes for value in node.results)}
    price = byte_price(sum(value.type.nbytes for value in values if not _is_seen(value.node)))
    return together(_of_node(node, price) for node in graph.nodes)


def _is_seen(node: Node | None) -> bool:
    """Whether the result is only another look at memory."""
    return node is not None and node.op.view is not None


def _of_node(node: Node, price: float) -> Cost:
    if node.op.kind is Kind.LOOP:
        inner, count = node.attributes["body"], node.attributes["count"]
        return Cost(*(count * part for part in of_eager(inner)))  # type: ignore[arg-type,operator]
    if _is_seen(node):
        return Cost(calls=OPERATION)
    types = [value.type for value in (*node.operands, *node.results)]
    memory = MOVED_THERE * price * sum(type_.nbytes for type_ in types)
    given = types[: len(node.operands)]
    arithmetic = _of_operation(node.op, node.attributes, given, types)
    return side_by_side(memory, arithmetic, OPERATION)


def _of_operation(op: Any, attributes: Any, given: list[Any], types: list[Any]) -> float:
    """ns of arithmetic of an op that is run whole; `types` are those of operands and results."""
    size = max((type_.size for type_ in types), default=0)
    width = max((type_.dtype.itemsize for type_ in types), default=0) / 4
    if op.kind is Kind.CONTRACTION and len(given) == 2 and given[0].shape:
        return PRODUCT * width * types[-1].size * given[0].shape[-1]
    if op.kind is Kind.ELEMENTWISE:
        return size * width * (CHEAP if op.exact else DEAR_THERE)
    if op.kind is Kind.REDUCTION:
        return size * FOLDED_THERE
    if op.kind in (Kind.MOVEMENT, Kind.CREATION):
        return size * width * CHEAP
    if op.kind is Kind.INDEXING:
        return size * GATHERED
    return size * (RUNNING if op.kind is Kind.SCAN else LIBRARY)
