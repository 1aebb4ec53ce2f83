"""Graph -> Plan: fuse, lower every group, place the buffers.

Comes in: a simplified graph and how its inputs lie. Goes out: `Plan`: the Program, and beside it
what was decided and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dualflow.base import config
from dualflow.base.errors import IndexingError, LinearAlgebraError
from dualflow.base.records import replaced
from dualflow.ir import costs
from dualflow.ir.backend import NUMBA, Backend
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import Kind
from dualflow.ir.program import (
    Buffer,
    Call,
    Chain,
    Launch,
    Loop,
    Operand,
    Program,
    Step,
)
from dualflow.ir.types import View

from .causal import causal_scores, column_limits
from .chains import Chained, Use, chained
from .fusion import Fusion
from .loops import Repeated, repeat
from .lowering import Lowering
from .memory import Life, Room, lasting, needed, place, place_well
from .plans import Plan
from .recomputing import recompute_scores
from .registers import in_registers
from .scattering import order_scatters
from .shaping import Lowered, shape_kernel
from .splitting import split_folds
from .spreading import spread_folds
from .totals import join_totals, lower
from .units import Group, Library
from .widening import widen

#: What the status that a check sets means.
ERRORS = (
    (IndexingError, "an index is out of bounds"),
    (LinearAlgebraError, "a matrix is singular"),
)
#: A better plan is looked for, in which outputs lend their memory until they are written, where the
#: first needs so many times of what lives at once.
WASTEFUL = 1.05
#: and there are at most so many intermediates: the time goes with their square.
MOST_TRIED = 500


def plan(
    graph: Graph,
    layouts: Sequence[View] | None = None,
    backend: Backend = NUMBA,
    into: Mapping[int, int] | None = None,
) -> Program:
    """The Program of `graph`.

    Args:
        layouts: how each input lies; by default packed.
        backend: decides which ops can stand in a kernel, and whether it may hold totals.
        into: for outputs that are to overwrite an input in the end, the number of that input. Where
            it can be done safely, the output is stored there at once, after all that may raise:
            `program.outputs[i]` then lies in the input's buffer. Else it is an output as any other.
    """
    return plan_with_reasons(graph, layouts, backend, into).program


def plan_with_reasons(
    graph: Graph,
    layouts: Sequence[View] | None = None,
    backend: Backend = NUMBA,
    into: Mapping[int, int] | None = None,
) -> Plan:
    """As `plan`, with what was decided and why. Where eager mode would take less than what is
    fused, each operation runs by itself."""
    if layouts is None:
        layouts = [View.contiguous(value.shape) for value in graph.inputs]
    graph = widen(graph, backend)
    made = _Assembly(graph, layouts, backend, into or {}).plan()
    if not backend.priced:
        return made
    eager = costs.of_eager(graph)
    if made.cost.total > eager.total:
        apart = _Assembly(graph, layouts, backend, into or {}, apart=True).plan()
        if apart.cost.total < made.cost.total:
            return replaced(apart, eager=eager, apart=True)
    return replaced(made, eager=eager)


class _Assembly:
    def __init__(
        self, graph: Graph, layouts: Sequence[View], backend: Backend, into: Mapping[int, int],
        apart: bool = False,
    ) -> None:  # fmt: skip
        self.exact = exact = config.active().numerics == "exact"
        if not apart:
            graph = spread_folds(split_folds(graph, backend, exact), backend, exact)
            graph = recompute_scores(graph, backend, exact)
        graph = order_scatters(graph, backend)
        self.graph, self.layouts = graph, layouts
        self.backend = backend
        self.fusion = fusion = Fusion(graph, layouts, backend.name, exact, apart)
        self.lies = {value: View.contiguous(value.shape) for value in fusion.stored}
        self.lies.update(zip(graph.inputs, layouts, strict=True))
        if backend.totals:
            join_totals(fusion, self.lies)
        fusion.finish(layouts, into)
        self.nodes: list[tuple[Node, ...]] = []
        self.works: list[Lowered | Library | Repeated | Chained] = []
        self.shared: dict[Value, Value] = {}  # what lies where another value lay before
        self.given_away: dict[int, set[Value]] = {}  # that other, by the number of the work
        self.seen: dict[Chained, tuple[tuple[int, str], ...]] = {}
        self.parts: dict[Chained, list[tuple[Node, ...]]] = {}  # the nodes of each of their works
        ends = self._ends()
        for unit in fusion.units:
            self._lower(unit, ends.get(unit, []))
        if backend.chains and not exact and not apart:
            self._join_chains()
        self.buffers = self._buffers()

    def _ends(self) -> dict[Group | Library, list[Value]]:
        """For each unit the intermediates that no later one reads, in order."""
        last: dict[Value, Group | Library] = {}
        for unit in self.fusion.units:
            if isinstance(unit, Group):
                read = iter(unit.loaded)
            else:
                read = (self._whole(value, unit)[0] for value in unit.node.operands)
            last.update((value, unit) for value in read)
        found: dict[Group | Library, list[Value]] = {}
        for value, unit in last.items():
            if value.node is not None and value not in self.fusion.outputs:
                found.setdefault(unit, []).append(value)
        return found

    def _share(self, lowering: Lowering, roots: Sequence[Value], ended: list[Value]) -> None:
        """Let what the group stores lie where an intermediate of its type lay that ends with it."""
        for value in roots:
            if value in self.fusion.outputs or value in self.fusion.into:
                continue
            for given in [given for given in ended if given.type == value.type]:
                if lowering.store_in_place(value, given):
                    self.shared[value] = given
                    self.given_away.setdefault(len(self.works), set()).add(given)
                    ended.remove(given)
                    break

    def _home(self, value: Value) -> Value:
        """The first value that lay where `value` lies."""
        while value in self.shared:
            value = self.shared[value]
        return value

    def _lower(self, unit: Group | Library, ended: list[Value]) -> None:
        if isinstance(unit, Library):
            if any(v.type.size for v in unit.node.results) or unit.node.may_raise:
                self.works.append(self._repeated(unit) or unit)
                self.nodes.append((unit.node,))
            self._settle(unit.node.results)
            return
        roots = unit.stores
        if all(value.type.size == 0 for value in roots):
            self._settle(roots)
            return
        lowering = lower(self.fusion, unit, self.lies)
        for value in roots:
            given = self.fusion.into.get(value)
            if given is not None and not lowering.store_in_place(value, given):
                del self.fusion.into[value]
        self._share(lowering, roots, ended)
        self._settle(roots)
        self.works.append(shape_kernel(lowering))
        self.nodes.append(tuple(lowering.nodes))  # type: ignore[arg-type]

    def _repeated(self, unit: Library) -> Repeated | Lowered | None:
        """A loop whose body is planned here; None for other nodes, and loops that NumPy runs."""
        if unit.node.op.kind is not Kind.LOOP or not self.backend.loops:
            return None
        operands = [self._whole(value, unit) for value in unit.node.operands]
        inner = replaced(self.backend, lends=False)  # outputs may lie where the step before reads
        made = repeat(
            unit.node, operands,
            lambda graph, layouts: plan_with_reasons(graph, layouts, inner),
        )  # fmt: skip
        if made is not None and self.backend.repeats and (alone := in_registers(made)):
            return alone
        if made is not None:
            self.lies.update((value, View.contiguous(value.shape)) for value in made.spare)
        return made

    def _settle(self, values: Iterable[Value]) -> None:
        """Those that take the memory of an input lie as it does."""
        for value in values:
            if value in self.fusion.into:
                self.lies[value] = self.lies[self.fusion.into[value]]

    def _join_chains(self) -> None:
        """Let works run together for one block of rows after the other."""
        scores = causal_scores(self.graph)
        kept = {*self.graph.inputs, *map(self._home, self.fusion.outputs)}
        made = chained(self.works, self._uses, kept)  # type: ignore[arg-type]
        self.works = [work for work, _ in made]
        given, nodes = self.given_away, self.nodes
        self.given_away, self.nodes = {}, []
        for step, (work, numbers) in enumerate(made):
            parts = [nodes[number] for number in numbers]
            self.nodes.append(tuple(node for part in reversed(parts) for node in part))
            if isinstance(work, Chained):
                self.parts[work] = parts
                uses = [self._uses(part) for part in work.works]
                self.seen[work] = column_limits(work, parts, uses, scores)
            gone = set().union(*(given.get(number, set()) for number in numbers))
            if gone:
                self.given_away[step] = gone

    def _uses(self, work: Lowered | Library | Repeated) -> list[Use]:
        """The memory of a work, in the order of its operands and results."""

        def used(value: Value, view: View, written: bool) -> Use:
            return Use(self._home(self.fusion.into.get(value, value)), view, written)

        if isinstance(work, Lowered):
            looks = zip(work.kernel.accesses, work.looks, strict=True)
            return [used(*look, access.mode != "in") for access, look in looks]
        if isinstance(work, Repeated):
            wholes = {value: View.contiguous(value.shape) for value in self._touched(work)}
            return [used(value, view, True) for value, view in wholes.items()]
        operands = [used(*self._whole(value, work), False) for value in work.node.operands]
        return operands + [used(value, self.lies[value], True) for value in work.node.results]

    # Buffers -----------------------------------------------------------------------------------

    def _buffers(self) -> dict[Value, Buffer]:
        buffers = {
            value: Buffer("input", i, layout.extent[1] * value.dtype.itemsize)
            for i, (value, layout) in enumerate(zip(self.graph.inputs, self.layouts, strict=True))
        }
        for value, given in self.fusion.into.items():
            buffers[value] = buffers[given]
        made = [value for value in self.fusion.outputs if value not in buffers]
        for i, value in enumerate(made):
            buffers[value] = Buffer("output", i, value.type.nbytes)
        for work in self.works:
            if isinstance(work, Chained):
                for i, value in enumerate(work.inner):
                    buffers[value] = Buffer("block", i, value.type.nbytes)
        lives = self._lives()
        made = [value for value in made if value in lives]
        for value in made:  # what is returned stays
            lives[value] = lives[value]._replace(last=len(self.works))
        within = [value for value in lives if value not in buffers]
        self.needed = needed([lives[value] for value in (*made, *within)])
        inner = lasting([lives[value] for value in within], self.backend.apart, len(self.works))
        spots, self.arena = place(inner)
        total = self.arena + sum(value.type.nbytes for value in made)
        if total > WASTEFUL * self.needed and len(inner) <= MOST_TRIED:
            lent = [Room(v.type.nbytes, lives[v].first) for v in made if self.backend.lends]
            spots, self.arena = place_well(inner, lent)
        self.within: dict[Value, int] = {}
        for value, spot in zip(within, spots, strict=True):
            if spot.room < 0:
                buffers[value] = Buffer("arena", spot.offset, value.type.nbytes)
            else:
                buffers[value] = buffers[made[spot.room]]
                self.within[value] = spot.offset // value.dtype.itemsize
        for value in self.shared:
            home = self._home(value)
            buffers[value] = buffers[home]
            if home in self.within:
                self.within[value] = self.within[home]
        return buffers

    def _lives(self) -> dict[Value, Life]:
        """When each value that a step writes is needed."""
        lives: dict[Value, Life] = {}
        gone: set[Value] = set()  # what lay where something else lies now
        for step, work in enumerate(self.works):
            touched = self._touched(work)
            assert gone.isdisjoint(touched), "a value is read after its memory was given away"
            for value in map(self._home, touched):
                life = lives.get(value) or Life(value.type.nbytes, step, step)
                lives[value] = life._replace(last=step)
            gone |= self.given_away.get(step, set())
        return lives

    def _touched(self, work: Lowered | Library | Repeated | Chained) -> list[Value]:
        if isinstance(work, Chained):
            values = [value for each in work.works for value in self._touched(each)]
            return [value for value in values if self._home(value) not in work.inner]
        if isinstance(work, Lowered):
            return [value for value, _ in work.looks]
        if isinstance(work, Repeated):
            operands = (value for value, _ in work.operands)
            return [*work.node.results, *work.spare, *operands]
        return [*work.node.results, *(self._whole(v, work)[0] for v in work.node.operands)]

    def _whole(self, value: Value, unit: Library) -> tuple[Value, View]:
        """The value in memory that a library node reads for an operand, and its view of it."""
        facts = self.fusion.facts
        if value in self.fusion.packed and not self.fusion.readable(value, unit):
            return self.fusion.packed[value], View.contiguous(value.shape)
        if self.fusion.readable(value, unit):
            view = facts.lies[value]
            assert view is not None
            return facts.base[value], view
        return value, View.contiguous(value.shape)

    # The program -------------------------------------------------------------------------------

    def plan(self) -> Plan:
        steps = list(map(self._step, self.works, self.nodes))
        inputs = tuple(map(self._operand, self.graph.inputs, self.layouts))
        outputs = tuple(self._operand(v, self.lies[v]) for v in self.fusion.outputs)
        checks = any(map(_may_fail, self.works))
        errors = ERRORS if checks else ()
        program = Program(inputs, outputs, tuple(steps), self.arena, (), errors, self.needed)
        parts: dict[Node, tuple[int, ...]] = {}
        for i, nodes in enumerate(self.nodes):
            for node in nodes:
                parts[node] = (*parts.get(node, ()), i)
        stored = {v: self.fusion.reasons[v] for v in self.fusion.stored if v.node is not None}
        for work in self.works:
            if isinstance(work, Chained):
                inner = [value for value in stored if self._home(value) in work.inner]
                stored |= dict.fromkeys(inner, f"{work.tall} rows of it at a time")
        values = {*self.graph.inputs, *self.graph.outputs}
        least = sum(value.type.nbytes for value in values)
        bodies = {i: w.body for i, w in enumerate(self.works) if isinstance(w, Repeated)}
        return Plan(
            self.graph,
            program,
            parts,
            stored,
            bodies,
            tuple(map(_moved, steps)),
            least,
            self.fusion.repeated,
        )

    def _operand(self, value: Value, view: View) -> Operand:
        if value in self.within:
            view = view._replace(offset=view.offset + self.within[value])
        return Operand(self.buffers[value], value.dtype, view)

    def _step(self, work: Lowered | Library | Repeated | Chained, nodes: tuple[Node, ...]) -> Step:
        if isinstance(work, Chained):
            return self._chain(work)
        if isinstance(work, Repeated):
            return work.step(self._operand)
        if isinstance(work, Library):
            node = work.node
            operands = tuple(self._operand(*self._whole(v, work)) for v in node.operands)
            results = tuple(self._operand(v, self.lies[v]) for v in node.results)
            return Call(node.op, node.attributes, operands, results, node.line, self.exact)
        operands = tuple(self._operand(value, view) for value, view in work.looks)
        covers = tuple(dict.fromkeys(node.line for node in nodes if node.line))
        return Launch(work.kernel, operands, work.integers, work.scalars, covers)

    def _chain(self, work: Chained) -> Chain:
        steps = tuple(map(self._step, work.works, self.parts[work]))
        held = tuple(work.inner.values())
        seen = self.seen[work]
        return Chain(steps, work.rows, work.tall, work.moves, held, seen)  # type: ignore[arg-type]


def _may_fail(work: Lowered | Library | Repeated | Chained) -> bool:
    """Whether the step may set a status."""
    if isinstance(work, Chained):
        return any(map(_may_fail, work.works))
    if isinstance(work, Repeated):
        return bool(work.body.program.errors)
    if isinstance(work, Library):
        op = work.node.op
        return op.scatter is not None or (op.may_raise and "products" in op.spelling)
    return work.may_fail


def _moved(step: Step) -> int:
    """Bytes that a step reads and writes, if it touches each element of a buffer once."""
    if isinstance(step, Loop):
        return step.count * sum(map(_moved, step.body.steps))
    return costs.moved(step)
